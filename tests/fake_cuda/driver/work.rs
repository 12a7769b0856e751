//! What a stream can be given to do, and how it is done.

use super::{
    Board,
    clock::{self, Engine},
    driver, error,
    error::{Answer, Error},
    event::Record,
    graph::Executable,
    launch::Kernel,
    locked,
    stream::Stream,
};
use crate::memory::{Allocations, Range};
use std::{ffi::c_void, sync::Arc};

/// One piece of work.
#[derive(Clone)]
pub enum Work {
    Kernel(Arc<Kernel>),
    Copy(Copy),
    Fill(Fill),
    /// Memory of a graph, which has it from the capture on.
    Allocate {
        address: u64,
    },
    Free {
        address: u64,
    },
    Host(HostCall),
    Record(Arc<Record>),
    Wait(Arc<Record>),
    Graph(Arc<Executable>),
    Nothing,
}

/// One side of a copy.
#[derive(Clone)]
pub enum Side {
    /// Memory of the card, or any other that the driver gave: unified addressing.
    Known(u64),
    /// Memory of the host that the driver doesn't know.
    Host(u64),
    /// Bytes that were taken from the host when the copy was asked for.
    Staged(Arc<[u8]>),
}

/// A copy of rows; one row if it is a plain one.
#[derive(Clone)]
pub struct Copy {
    pub source: Side,
    pub source_pitch: u64,
    pub target: Side,
    pub target_pitch: u64,
    pub width: u64,
    pub height: u64,
}

/// Memory set to a value of one, two or four bytes.
#[derive(Clone)]
pub struct Fill {
    pub address: u64,
    pub pitch: u64,
    pub value: u32,
    /// Bytes of the value.
    pub unit: u64,
    /// Bytes of a row.
    pub width: u64,
    pub height: u64,
}

/// A function of the program.
#[derive(Clone, Copy)]
pub struct HostCall {
    pub function: unsafe extern "C" fn(*mut c_void),
    pub data: usize,
}

/// Where the time of work is counted.
pub struct Doing<'a> {
    pub board: &'a Board,
    pub stream: &'a Stream,
    /// When the host had issued it.
    pub issued: clock::Time,
}

impl Doing<'_> {
    /// Counts work of an engine.
    fn took(&self, engine: Engine, length: f64) {
        let mut ready = locked(&self.stream.ready);
        *ready = locked(&self.board.clock).run(engine, ready.max(self.issued), length);
    }
}

/// Nodes of a graph, `CUgraphNodeType`.
pub fn node_type(work: &Work) -> i32 {
    match work {
        Work::Kernel(_) => 0,
        Work::Copy(_) => 1,
        Work::Fill(_) => 2,
        Work::Host(_) => 3,
        Work::Graph(_) => 4,
        Work::Nothing => 5,
        Work::Wait(_) => 6,
        Work::Record(_) => 7,
        Work::Allocate { .. } => 10,
        Work::Free { .. } => 11,
    }
}

impl Work {
    /// Does it.
    ///
    /// # Errors
    /// What every later call on the card will return.
    pub fn run(&self, doing: &Doing) -> Answer {
        match self {
            Self::Kernel(kernel) => {
                let load = kernel.run(doing.board)?;
                doing.took(Engine::Kernels, clock::kernel(&doing.board.card, &load));
            }
            Self::Copy(copy) => {
                copy.run().map_err(|why| fault("a copy", &why))?;
                let (engine, host) = copy.engine();
                doing.took(engine, clock::copy(&doing.board.card, copy.width * copy.height, host));
            }
            Self::Fill(fill) => {
                fill.run().map_err(|why| fault("a memset", &why))?;
                doing.took(Engine::Kernels, clock::copy(&doing.board.card, fill.width * fill.height, false));
            }
            Self::Free { address } => {
                super::memory::release(*address);
            }
            // SAFETY: the program gave the function for this data, and promised that it may be called later.
            Self::Host(call) => unsafe { (call.function)(std::ptr::with_exposed_provenance_mut(call.data)) },
            Self::Record(record) => {
                let ready = locked(&doing.stream.ready).max(doing.issued);
                record.reached(ready);
            }
            Self::Wait(record) => {
                let mut ready = locked(&doing.stream.ready);
                *ready = ready.max(record.time().unwrap_or(0.0));
            }
            Self::Graph(graph) => return graph.run(doing),
            Self::Allocate { .. } | Self::Nothing => {}
        }
        Ok(())
    }

    /// Counts it as done at no cost, as on a card that is lost: nobody waits for an event for ever.
    pub fn skip(&self, doing: &Doing) {
        if let Self::Record(record) = self {
            record.reached(locked(&doing.stream.ready).max(doing.issued));
        }
    }
}

/// Reports memory that is used wrongly, which ends all work of the card as it does on a real one.
fn fault(what: &str, why: &str) -> Error {
    driver().report.fault(&format!("{what}: {why}"));
    error::ILLEGAL_ADDRESS
}

impl Side {
    fn address(&self) -> u64 {
        match self {
            Self::Known(address) | Self::Host(address) => *address,
            Self::Staged(bytes) => bytes.as_ptr().addr() as u64,
        }
    }

    /// The range of a row, if the driver knows the memory.
    fn range<'a>(&self, memory: &'a Allocations, offset: u64, width: u64) -> Result<Option<&'a Range>, String> {
        match self {
            Self::Known(start) => memory.find(start + offset, width).map(Some).map_err(|why| why.to_string()),
            _ => Ok(None),
        }
    }
}

impl Copy {
    fn engine(&self) -> (Engine, bool) {
        match (&self.source, &self.target) {
            (Side::Known(_), Side::Known(_)) => (Engine::Kernels, false),
            (Side::Known(_), _) => (Engine::Out, true),
            _ => (Engine::In, true),
        }
    }

    /// Whether all memory that the driver knows is there.
    pub fn check(&self, memory: &Allocations) -> Result<(), String> {
        for row in 0..self.height {
            self.source.range(memory, row * self.source_pitch, self.width)?;
            self.target.range(memory, row * self.target_pitch, self.width)?;
        }
        Ok(())
    }

    fn run(&self) -> Result<(), String> {
        let driver = driver();
        let memory = driver.memory.snapshot();
        self.check(&memory)?;
        let mut unwritten = None;
        for row in 0..self.height {
            let (from, to) = (row * self.source_pitch, row * self.target_pitch);
            let source = self.source.range(&memory, from, self.width)?;
            let target = self.target.range(&memory, to, self.width)?;
            let (from, to) = (self.source.address() + from, self.target.address() + to);
            // SAFETY: ranges that the driver knows are live and hold the row; the program vouches for its own memory.
            unsafe { std::ptr::copy(pointer(from), pointer::<u8>(to).cast_mut(), self.width as usize) };
            match (source, target) {
                (Some(source), Some(target)) => inherit(source, from, target, to, self.width),
                (None, Some(target)) => target.mark_written(to, self.width),
                (Some(source), None) if !source.is_written(from, self.width) => unwritten = Some((from, source.id)),
                _ => {}
            }
        }
        if let Some((address, id)) = unwritten
            && driver.settings.strict
            && driver.settings.execute
        {
            driver.report.finding(&format!(
                "{} bytes are copied to the host from {address:#x} (allocation {id}), and nobody wrote all of them",
                self.width
            ));
        }
        Ok(())
    }
}

fn pointer<T>(address: u64) -> *const T {
    std::ptr::with_exposed_provenance(address as usize)
}

/// Bytes of the target were written if those of the source were.
fn inherit(source: &Range, from: u64, target: &Range, to: u64, bytes: u64) {
    if source.is_written(from, bytes) {
        target.mark_written(to, bytes);
    } else if bytes > 1 {
        let half = bytes / 2;
        inherit(source, from, target, to, half);
        inherit(source, from + half, target, to + half, bytes - half);
    }
}

impl Fill {
    /// Whether the memory is there.
    pub fn check(&self, memory: &Allocations) -> Result<(), String> {
        (0..self.height).try_for_each(|row| {
            memory.find(self.address + row * self.pitch, self.width).map(|_| ()).map_err(|why| why.to_string())
        })
    }

    fn run(&self) -> Result<(), String> {
        let memory = driver().memory.snapshot();
        let value = self.value.to_le_bytes();
        for row in 0..self.height {
            let start = self.address + row * self.pitch;
            let range = memory.find(start, self.width).map_err(|why| why.to_string())?;
            // SAFETY: the range is live and holds the row.
            let bytes = unsafe { std::slice::from_raw_parts_mut(pointer::<u8>(start).cast_mut(), self.width as usize) };
            for unit in bytes.chunks_mut(self.unit as usize) {
                unit.copy_from_slice(&value[..unit.len()]);
            }
            range.mark_written(start, self.width);
        }
        Ok(())
    }
}
