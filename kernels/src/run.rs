//! Runs a plan's steps on every core: tasks of a step are taken one by one, and a step begins when all of the one before
//! are done. Workers wait by spinning, since a step is often shorter than a sleep; where they wait long they yield.

use crate::layout::Arena;
use std::{
    sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    time::{Duration, Instant},
};

/// Turns of waiting before a worker lets others have its core.
const SPINS: usize = 4000;

/// Bytes that a step reads and writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Traffic {
    /// Its weights, whatever the number of images.
    pub weights: usize,
    /// Maps of an image.
    pub an_image: usize,
}

/// Work on the maps of an arena that falls into independent tasks.
pub trait Step: Send + Sync {
    /// What it reads and writes.
    fn traffic(&self) -> Traffic;

    /// How many tasks there are for so many images.
    fn tasks(&self, images: usize, workers: usize) -> usize;

    /// Does one task.
    ///
    /// # Safety
    /// The arena must be the plan's, each task must be run by one worker, and no other step may run meanwhile. A task writes
    /// only to rows of its output that are its own.
    unsafe fn run(&self, task: usize, workers: usize, arena: &Arena);
}

/// Tasks a worker, so that none waits long for the last.
const TASKS: usize = 4;

/// Blocks of images cut into bands of rows, where there are not enough of them for all workers.
#[derive(Clone, Copy, Debug)]
pub struct Bands {
    height: usize,
    /// Bands of a block.
    count: usize,
}

impl Bands {
    /// Cuts `blocks` blocks, of all images together, of `height` rows each.
    pub fn of(blocks: usize, height: usize, workers: usize) -> Self {
        Self { height, count: (TASKS * workers).div_ceil(blocks.max(1)).clamp(1, height.max(1)) }
    }

    /// Bands of a block.
    pub const fn count(self) -> usize {
        self.count
    }

    /// The block and the rows of a task.
    pub fn rows(self, task: usize) -> (usize, std::ops::Range<usize>) {
        let (block, band) = (task / self.count, task % self.count);
        (block, band * self.height / self.count..(band + 1) * self.height / self.count)
    }
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

/// Bytes of a step's maps that a worker's caches hold until the next step reads them.
const MAPS_IN_CACHE: usize = 1 << 20;

/// How many of the first steps take `few` images after the other, where there are many. What a step writes is then still in
/// a cache when the next one reads it, while weights are read again for every few images: that pays at the beginning of a
/// network, where maps are large and weights few.
pub fn few_by_few(steps: &[Box<dyn Step>], few: usize, workers: usize) -> usize {
    // Bytes an image that need not come from memory, and those that come once more.
    let gain = |step: &dyn Step| {
        let Traffic { weights, an_image } = step.traffic();
        let kept = if few * an_image <= MAPS_IN_CACHE * workers { an_image } else { 0 };
        kept as i64 - (weights / few) as i64
    };
    let sums = steps.iter().scan(0, |sum, step| {
        *sum += gain(&**step);
        Some(*sum)
    });
    sums.enumerate().filter(|(_, sum)| *sum > 0).max_by_key(|(_, sum)| *sum).map_or(0, |(last, _)| last + 1)
}

/// Steps and the images that they work on.
struct Pass<'a> {
    /// Which step the first one is.
    first: usize,
    steps: &'a [Box<dyn Step>],
    arena: Arena,
}

/// The first steps for a few images after the other, and the rest for all images at once, as the arena is laid out.
fn passes<'a>(steps: &'a [Box<dyn Step>], arena: &Arena) -> Vec<Pass<'a>> {
    let (images, few) = (arena.images, arena.layout().few);
    let (first, rest) = steps.split_at(arena.layout().first.min(steps.len()));
    let part = |begin| arena.of_images(begin..images.min(begin + few));
    let turns = (0..images).step_by(few).map(|begin| Pass { first: 0, steps: first, arena: part(begin) });
    let last = Pass { first: first.len(), steps: rest, arena: arena.clone() };
    turns.chain([last]).collect()
}

/// Is told by each worker when it begins, and by the last one to arrive when a step's turn is over.
trait Watch: Sync {
    fn begin(&self);
    fn done(&self, turn: usize);
}

/// Nobody watches.
impl Watch for () {
    #[inline(always)]
    fn begin(&self) {}

    #[inline(always)]
    fn done(&self, _: usize) {}
}

/// Notes when each turn was over, and when the first worker began: ns since an origin.
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

    fn done(&self, turn: usize) {
        self.done[turn].store(self.now(), Ordering::Relaxed);
    }
}

/// Runs all steps, in order.
pub fn run(steps: &[Box<dyn Step>], arena: &Arena) {
    watched(&passes(steps, arena), &());
}

/// Runs all steps, in order, and gives the time of each: from when the one before it was done to when all workers have
/// arrived at its end. The last one to arrive reads the clock: one that waits may see it long after, where others want its
/// core. Steps that take a few images after the other have the sum of their turns.
pub fn timed(steps: &[Box<dyn Step>], arena: &Arena) -> Vec<Duration> {
    let passes = passes(steps, arena);
    let of_turn: Vec<usize> = passes.iter().flat_map(|pass| pass.first..pass.first + pass.steps.len()).collect();
    let done = of_turn.iter().map(|_| AtomicU64::new(0)).collect();
    let watch = Stopwatch { origin: Instant::now(), begun: AtomicU64::new(u64::MAX), done };
    watched(&passes, &watch);
    let mut before = watch.begun.into_inner();
    let mut took = vec![Duration::ZERO; steps.len()];
    for (step, done) in of_turn.into_iter().zip(watch.done) {
        let done = done.into_inner();
        took[step] += Duration::from_nanos(done.saturating_sub(std::mem::replace(&mut before, done)));
    }
    took
}

#[inline(always)]
fn watched<W: Watch>(passes: &[Pass<'_>], watch: &W) {
    let turns = || passes.iter().flat_map(|pass| pass.steps.iter().map(|step| (step, &pass.arena)));
    let progress: Vec<Progress> = turns().map(|_| Progress::default()).collect();
    let panicked = AtomicBool::new(false);
    rayon::broadcast(|context| {
        let _alarm = Alarm(&panicked);
        let workers = context.num_threads();
        watch.begin();
        for (i, ((step, arena), progress)) in turns().zip(&progress).enumerate() {
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
