//! Runs a plan's steps on every core: tasks of a step are taken one by one, and a step begins when all of the one before
//! are done. Workers wait by spinning, since a step is often shorter than a sleep; where they wait long they yield.

use crate::layout::Arena;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

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
    steps: &'a [Box<dyn Step>],
    arena: Arena,
}

/// The first steps for a few images after the other, and the rest for all images at once, as the arena is laid out.
fn passes<'a>(steps: &'a [Box<dyn Step>], arena: &Arena) -> Vec<Pass<'a>> {
    let (images, few) = (arena.images, arena.layout().few);
    let (first, rest) = steps.split_at(arena.layout().first.min(steps.len()));
    let part = |begin| arena.of_images(begin..images.min(begin + few));
    let turns = (0..images).step_by(few).map(|begin| Pass { steps: first, arena: part(begin) });
    turns.chain([Pass { steps: rest, arena: arena.clone() }]).collect()
}

/// Runs all steps, in order.
pub fn run(steps: &[Box<dyn Step>], arena: &Arena) {
    let passes = passes(steps, arena);
    let all = || passes.iter().flat_map(|pass| pass.steps.iter().map(|step| (step, &pass.arena)));
    let progress: Vec<Progress> = all().map(|_| Progress::default()).collect();
    let panicked = AtomicBool::new(false);
    rayon::broadcast(|context| {
        let _alarm = Alarm(&panicked);
        let workers = context.num_threads();
        for ((step, arena), progress) in all().zip(&progress) {
            let tasks = step.tasks(arena.images, workers);
            loop {
                let task = progress.taken.fetch_add(1, Ordering::Relaxed);
                if task >= tasks {
                    break;
                }
                // SAFETY: the counter gives a task to one worker, and the wait below keeps steps apart.
                unsafe { step.run(task, workers, arena) };
            }
            progress.arrived.fetch_add(1, Ordering::AcqRel);
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
