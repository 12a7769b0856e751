//! Runs a plan's steps on every core: tasks of a step are taken one by one, and a step begins when all of the one before
//! are done. Workers wait by spinning, since a step is often shorter than a sleep; where they wait long they yield.

use crate::layout::Arena;
use std::{
    sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    time::{Duration, Instant},
};

/// Turns of waiting before a worker lets others have its core.
const SPINS: usize = 4000;

/// Work on the maps of an arena that falls into independent tasks.
pub trait Step: Send + Sync {
    /// How many tasks there are for so many images.
    fn tasks(&self, images: usize, workers: usize) -> usize;

    /// Does one task.
    ///
    /// # Safety
    /// The arena must be the plan's, each task must be run by one worker, and no other step may run meanwhile. A task writes
    /// only to rows of its output that are its own.
    unsafe fn run(&self, task: usize, workers: usize, arena: &Arena);
}

/// Where the workers are in a step.
#[derive(Default)]
struct Progress {
    taken: AtomicUsize,
    arrived: AtomicUsize,
}

/// Raises a flag when its worker panics, so that the others don't wait for it.
struct Alarm<'a>(&'a AtomicBool);

impl Drop for Alarm<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.store(true, Ordering::Release);
        }
    }
}

/// Is told by each worker when it begins, and by the last one to arrive when a step is done.
trait Watch: Sync {
    fn begin(&self);
    fn done(&self, step: usize);
}

/// Nobody watches.
impl Watch for () {
    #[inline(always)]
    fn begin(&self) {}

    #[inline(always)]
    fn done(&self, _: usize) {}
}

/// Notes when each step was done, and when the first worker began: ns since an origin.
struct Stopwatch {
    origin: Instant,
    begun: AtomicU64,
    done: Vec<AtomicU64>,
}

impl Stopwatch {
    fn now(&self) -> u64 {
        self.origin.elapsed().as_nanos() as u64
    }
}

impl Watch for Stopwatch {
    fn begin(&self) {
        self.begun.fetch_min(self.now(), Ordering::Relaxed);
    }

    fn done(&self, step: usize) {
        self.done[step].store(self.now(), Ordering::Relaxed);
    }
}

/// Runs all steps, in order.
pub fn run(steps: &[Box<dyn Step>], arena: &Arena) {
    watched(steps, arena, &());
}

/// Runs all steps, in order, and gives the time of each: from when the one before it was done to when all workers have
/// arrived at its end. The last one to arrive reads the clock: one that waits may see it long after, where others want its
/// core.
pub fn timed(steps: &[Box<dyn Step>], arena: &Arena) -> Vec<Duration> {
    let done = steps.iter().map(|_| AtomicU64::new(0)).collect();
    let watch = Stopwatch { origin: Instant::now(), begun: AtomicU64::new(u64::MAX), done };
    watched(steps, arena, &watch);
    let mut before = watch.begun.into_inner();
    let took = |done: AtomicU64| {
        let done = done.into_inner();
        Duration::from_nanos(done.saturating_sub(std::mem::replace(&mut before, done)))
    };
    watch.done.into_iter().map(took).collect()
}

#[inline(always)]
fn watched<W: Watch>(steps: &[Box<dyn Step>], arena: &Arena, watch: &W) {
    let progress: Vec<Progress> = steps.iter().map(|_| Progress::default()).collect();
    let panicked = AtomicBool::new(false);
    rayon::broadcast(|context| {
        let _alarm = Alarm(&panicked);
        let workers = context.num_threads();
        watch.begin();
        for (i, (step, progress)) in steps.iter().zip(&progress).enumerate() {
            let tasks = step.tasks(arena.images, workers);
            loop {
                let task = progress.taken.fetch_add(1, Ordering::Relaxed);
                if task >= tasks {
                    break;
                }
                // SAFETY: the counter gives a task to one worker, and the wait below keeps steps apart.
                unsafe { step.run(task, workers, arena) };
            }
            if progress.arrived.fetch_add(1, Ordering::AcqRel) + 1 == workers {
                watch.done(i);
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
