//! Executes kernels: PTX, a warp of 32 lanes at a time, strictly.
//!
//! ```text
//! ptx::Kernel ─ inline.rs ─ flow.rs ──── decode.rs ────► Program: closures over rows of 32 lanes
//!               calls       registers    a file a family
//!               gone        to rows      of instructions
//!
//! execute ─► a thread takes blocks ─► block.rs: warps in turn, barriers ─► schedule.rs: groups of lanes that diverged
//! ```
//!
//! Every access to memory goes through `space.rs`, which knows bounds, alignment and who wrote what; `shadow.rs` knows the
//! order of accesses within a block and finds races. What a kernel may not do ends the launch with a [`Fault`].
//!
//! Built for the processor that runs it (`-C target-cpu=native`) it is more than twice as fast: rows are vectors.

mod access;
mod arithmetic;
mod asynchronous;
mod atomic;
mod barrier;
mod bits;
mod block;
mod compare;
mod convert;
mod counts;
mod decode;
mod float;
mod flow;
mod half;
mod inline;
mod lane;
mod load_store;
mod matrix;
mod moves;
mod number;
mod program;
mod schedule;
mod shadow;
mod shuffle;
mod space;
mod span;
mod tensor_copy;
#[cfg(test)]
mod tests;
mod unwritten;
mod warp;
mod write_table;

pub use counts::Counts;

use crate::{
    cards::Card,
    fault::{Fault, code},
    memory::Allocations,
    ptx::module::Kernel,
};
use block::{Block, Worker};
use program::Program;
use std::sync::{
    Arc, Mutex, PoisonError,
    atomic::{AtomicBool, AtomicU64, Ordering},
};
use warp::Warp;

/// What an instruction comes to.
type Done = Result<(), Box<Fault>>;

/// A decoded instruction.
type Run = Box<dyn Fn(&mut Warp, &mut Block) -> Done + Send + Sync>;

/// One launch of a kernel.
pub struct Launch<'a> {
    pub kernel: &'a Arc<Kernel>,
    pub grid: [u32; 3],
    pub block: [u32; 3],
    /// Bytes of shared memory beside those that the kernel declares.
    pub dynamic_shared: u32,
    /// The parameters, each at the offset that [`Kernel::parameters`] says.
    pub parameters: Vec<u8>,
    pub card: &'a Card,
    /// Whether races are faults, and reads of memory that nobody wrote are looked for. Bounds and alignment are always looked at.
    pub strict: bool,
}

/// Kernels by which CubeCL measures the card when it tunes, by the beginnings of their names. They read memory that nobody
/// wrote and nobody looks at what they make of it: only their time counts.
const MEASURING: [&str; 7] = [
    "launch_overhead_",
    "compute_cmma_throughput_",
    "compute_direct_throughput_",
    "memory_direct_throughput_",
    "memory_read_throughput_",
    "memory_write_throughput_",
    "prime_buffer_",
];

/// How many blocks of a kernel that measures are executed; the counts are those of all.
const MEASURED: u64 = 4;

impl Launch<'_> {
    /// Whether nobody looks at what the kernel computes.
    fn measures(&self) -> bool {
        MEASURING.iter().any(|name| self.kernel.name.starts_with(name))
    }

    /// How many blocks the grid has.
    pub fn blocks(&self) -> u64 {
        self.grid.iter().map(|size| u64::from(*size)).product()
    }

    /// How many threads a block has.
    pub fn threads(&self) -> u32 {
        self.block.iter().product()
    }
}

/// Executes a launch on so many threads.
///
/// # Errors
/// The first fault ends the launch; what blocks have written by then stays written, as on a card.
pub fn execute(launch: &Launch, allocations: &Allocations, threads: usize) -> Result<Counts, Fault> {
    fits(launch)?;
    let program = Program::of(launch.kernel).map_err(|error| refused(launch, error))?;
    let blocks = if launch.measures() { launch.blocks().min(MEASURED) } else { launch.blocks() };
    let next = AtomicU64::new(0);
    let stop = AtomicBool::new(false);
    let outcome = Mutex::new(Ok(Counts::default()));
    let work = || {
        let mut worker = Worker::new(launch, program, allocations);
        let mut result = Ok(());
        while result.is_ok() && !stop.load(Ordering::Relaxed) {
            let block = next.fetch_add(1, Ordering::Relaxed);
            if block >= blocks {
                break;
            }
            result = worker.run(block);
        }
        let mut outcome = outcome.lock().unwrap_or_else(PoisonError::into_inner);
        match (result, &mut *outcome) {
            (Ok(()), Ok(counts)) => counts.add(&worker.counts()),
            (Err(fault), Ok(_)) => {
                stop.store(true, Ordering::Relaxed);
                *outcome = Err(*fault);
            }
            (_, Err(_)) => {}
        }
    };
    let helpers = blocks.min(threads as u64).saturating_sub(1);
    std::thread::scope(|scope| {
        (0..helpers).for_each(|_| drop(scope.spawn(work)));
        work();
    });
    let mut counts = outcome.into_inner().unwrap_or_else(PoisonError::into_inner)?;
    counts.scale(launch.blocks(), blocks.max(1));
    counts.launches = 1;
    Ok(counts)
}

/// Whether the launch gives the kernel what it asks for.
fn fits(launch: &Launch) -> Result<(), Fault> {
    let kernel = launch.kernel;
    let threads = launch.threads();
    let most = kernel.max_threads.map_or(u32::MAX, |size| size.iter().product());
    let given = launch.parameters.len();
    let what = match () {
        () if given < kernel.parameter_bytes as usize => {
            format!("a launch with {given} bytes of parameters of a kernel that takes {}", kernel.parameter_bytes)
        }
        () if threads > most => format!("a launch with {threads} threads in a block of a kernel for {most} at most"),
        () if kernel.required_threads.is_some_and(|size| size != launch.block) => {
            format!("a launch with blocks of {:?} threads of a kernel for {:?}", launch.block, kernel.required_threads)
        }
        () => return Ok(()),
    };
    let line = kernel.function.line;
    let (code, name) = (code::INVALID_VALUE, kernel.name.clone());
    Err(Fault { code, what, kernel: name, line, ptx: kernel.line(line).to_owned(), block: None, thread: None })
}

fn refused(launch: &Launch, error: &decode::Unknown) -> Fault {
    Fault {
        code: code::INVALID_PTX,
        what: error.what.clone(),
        kernel: launch.kernel.name.clone(),
        line: error.line,
        ptx: launch.kernel.line(error.line).to_owned(),
        block: None,
        thread: None,
    }
}
