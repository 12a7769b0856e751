//! Runs a plan's steps on every core: tasks of a step are taken one by one, and a step begins when all of the one before
//! are done. Workers wait by spinning, since a step is often shorter than a sleep; where they wait long they yield.

use crate::layout::Arena;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

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

/// Runs all steps, in order.
pub fn run(steps: &[Box<dyn Step>], arena: &Arena) {
    let progress: Vec<Progress> = steps.iter().map(|_| Progress::default()).collect();
    let panicked = AtomicBool::new(false);
    rayon::broadcast(|context| {
        let _alarm = Alarm(&panicked);
        let workers = context.num_threads();
        for (step, progress) in steps.iter().zip(&progress) {
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
