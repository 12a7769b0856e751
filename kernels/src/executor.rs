//! Runs the steps of a plan on all cores. Workers take the tasks of a step one by one, and a step begins when all tasks of the
//! one before are done. At this barrier workers spin, since most steps are shorter than putting a thread to sleep and waking
//! it; after a while they yield.

use crate::layout::Arena;
use crate::step::{Step, Traffic};
use std::{
    sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    time::{Duration, Instant},
};

/// Iterations that a worker spins before it yields its core to other threads.
const SPINS: usize = 4000;

/// Bytes of a step's maps that a worker's share of the caches keeps until the next step reads them.
const CACHED_BYTES: usize = 1 << 20;

/// Number of steps, from the first on, that should run on micro-batches of `micro_batch` images, one after the other.
///
/// What a step writes is then still cached when the next one reads it, but weights are read again for each micro-batch. That
/// pays at the beginning of a network, where maps are large and weights few.
pub fn micro_batch_steps(steps: &[Box<dyn Step>], micro_batch: usize, workers: usize) -> usize {
    // Bytes per image that memory need not deliver, less those of weights that it delivers again.
    let gain = |step: &dyn Step| {
        let Traffic { weights, per_image } = step.traffic();
        let cached = if micro_batch * per_image <= CACHED_BYTES * workers { per_image } else { 0 };
        cached as i64 - (weights / micro_batch) as i64
    };
    let totals = steps.iter().scan(0, |total, step| {
        *total += gain(&**step);
        Some(*total)
    });
    let best = totals.enumerate().filter(|(_, total)| *total > 0).max_by_key(|(_, total)| *total);
    best.map_or(0, |(last, _)| last + 1)
}

/// Consecutive steps and the images that they run on.
struct Pass<'a> {
    /// Index of the first step.
    first_step: usize,
    steps: &'a [Box<dyn Step>],
    arena: Arena,
}

/// The passes that the arena's layout plans: the first steps for one micro-batch after the other, the rest for the batch.
fn passes<'a>(steps: &'a [Box<dyn Step>], arena: &Arena) -> Vec<Pass<'a>> {
    let (images, micro_batch) = (arena.images, arena.layout().micro_batch);
    let (first, rest) = steps.split_at(arena.layout().micro_batch_steps.min(steps.len()));
    let part = |begin| arena.of_images(begin..images.min(begin + micro_batch));
    let micro_batches =
        (0..images).step_by(micro_batch).map(|begin| Pass { first_step: 0, steps: first, arena: part(begin) });
    let last = Pass { first_step: first.len(), steps: rest, arena: arena.clone() };
    micro_batches.chain([last]).collect()
}

/// Observes an execution.
trait Observer: Sync {
    /// Called by each worker when it begins.
    fn begin(&self);
    /// Called when the `n`th step of all passes is complete, by the worker that completes it.
    fn complete(&self, n: usize);
}

/// Observes nothing.
impl Observer for () {
    #[inline(always)]
    fn begin(&self) {}

    #[inline(always)]
    fn complete(&self, _: usize) {}
}

/// Records when the first worker began and when each step was complete, ns since `origin`.
struct Stopwatch {
    origin: Instant,
    begun: AtomicU64,
    complete: Vec<AtomicU64>,
}

impl Stopwatch {
    fn now(&self) -> u64 {
        self.origin.elapsed().as_nanos() as u64
    }
}

impl Observer for Stopwatch {
    fn begin(&self) {
        self.begun.fetch_min(self.now(), Ordering::Relaxed);
    }

    fn complete(&self, n: usize) {
        self.complete[n].store(self.now(), Ordering::Relaxed);
    }
}

/// Runs all steps in order.
pub fn run(steps: &[Box<dyn Step>], arena: &Arena) {
    execute(&passes(steps, arena), &());
}

/// Runs all steps in order and returns the duration of each: from the completion of the step before to its own. The worker that
/// completes a step reads the clock: one that waits at the barrier may be descheduled meanwhile. The durations of a step
/// that runs in micro-batches are summed.
pub fn run_timed(steps: &[Box<dyn Step>], arena: &Arena) -> Vec<Duration> {
    let passes = passes(steps, arena);
    let order: Vec<usize> =
        passes.iter().flat_map(|pass| pass.first_step..pass.first_step + pass.steps.len()).collect();
    let complete = order.iter().map(|_| AtomicU64::new(0)).collect();
    let stopwatch = Stopwatch { origin: Instant::now(), begun: AtomicU64::new(u64::MAX), complete };
    execute(&passes, &stopwatch);
    let mut before = stopwatch.begun.into_inner();
    let mut durations = vec![Duration::ZERO; steps.len()];
    for (step, complete) in order.into_iter().zip(stopwatch.complete) {
        let complete = complete.into_inner();
        durations[step] += Duration::from_nanos(complete.saturating_sub(std::mem::replace(&mut before, complete)));
    }
    durations
}

/// How far the workers are with a step.
#[derive(Default)]
struct Progress {
    /// Tasks that were taken.
    taken: AtomicUsize,
    /// Workers that found no task left.
    arrived: AtomicUsize,
}

/// Raises a flag when its worker panics, so that the others do not wait for it forever.
struct PanicFlag<'a>(&'a AtomicBool);

impl Drop for PanicFlag<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.store(true, Ordering::Release);
        }
    }
}

#[inline(always)]
fn execute<O: Observer>(passes: &[Pass<'_>], observer: &O) {
    let steps = || passes.iter().flat_map(|pass| pass.steps.iter().map(|step| (step, &pass.arena)));
    let progress: Vec<Progress> = steps().map(|_| Progress::default()).collect();
    let panicked = AtomicBool::new(false);
    rayon::broadcast(|context| {
        let _flag = PanicFlag(&panicked);
        let workers = context.num_threads();
        observer.begin();
        for (n, ((step, arena), progress)) in steps().zip(&progress).enumerate() {
            let tasks = step.tasks(arena.images, workers);
            loop {
                let task = progress.taken.fetch_add(1, Ordering::Relaxed);
                if task >= tasks {
                    break;
                }
                // SAFETY: the counter gives each task to one worker, and the barrier below separates the steps.
                unsafe { step.run(task, workers, arena) };
            }
            if progress.arrived.fetch_add(1, Ordering::AcqRel) + 1 == workers {
                observer.complete(n);
            }
            let mut spins = 0;
            while progress.arrived.load(Ordering::Acquire) < workers {
                if panicked.load(Ordering::Acquire) {
                    return;
                }
                spins += 1;
                if spins < SPINS { std::hint::spin_loop() } else { std::thread::yield_now() }
            }
        }
    });
}
