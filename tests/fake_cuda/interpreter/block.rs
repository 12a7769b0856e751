//! A block: its shared memory, its warps in turn, its barriers.

use super::{
    Counts, Done, Launch,
    access::Pattern,
    decode::{BLOCK_ROWS, WORD_ROW, lane_mask},
    lane::{ALL, LANES, lanes},
    load_store::WIDEST,
    program::{Control, Program, ReductionKind},
    schedule::{self, Stop},
    shadow::Shadow,
    warp::{Rows, Warp},
};
use crate::{
    fault::{Fault, code},
    memory::Allocations,
    ptx::instruction::Special,
};

/// What the warps of a block share, and what the launch gives them.
pub struct Block<'a> {
    pub launch: &'a Launch<'a>,
    pub program: &'a Program,
    pub allocations: &'a Allocations,
    /// Which block of the grid it is.
    pub position: [u32; 3],
    memory: Rows,
    pub shared_bytes: u32,
    /// Whether nobody looks at what the kernel computes.
    pub measures: bool,
    /// Whether reads of global memory that nobody wrote are looked for.
    pub unwritten: bool,
    /// What a lane reads that nobody wrote.
    pub poisoned: [[u8; WIDEST]; LANES],
    /// Who accessed what, if the launch is strict.
    pub shadow: Option<Shadow>,
    /// The last picture of the addresses of each instruction that accesses memory.
    pub patterns: Vec<Pattern<'a>>,
    pub counts: Counts,
    /// Grows with everything that a waiting thread could wait for.
    pub events: u64,
}

impl Block<'_> {
    /// Where shared memory begins in this process.
    pub fn shared(&mut self) -> *mut u8 {
        self.memory.pointer()
    }

    /// The thread of a lane.
    pub fn thread(&self, warp: usize, lane: usize) -> [u32; 3] {
        let [x, y, _] = self.launch.block;
        let id = (warp * LANES + lane) as u32;
        [id % x, id / x % y, id / (x * y)]
    }

    /// A fault of the current instruction of a warp, by one of its lanes.
    #[cold]
    pub fn fault(&self, warp: &Warp, code: i32, lane: usize, what: impl Into<String>) -> Box<Fault> {
        let line = self.program.operations.get(warp.pc as usize).map_or(0, |operation| operation.line);
        Box::new(Fault {
            code,
            what: what.into(),
            kernel: self.launch.kernel.name.clone(),
            line,
            ptx: self.launch.kernel.line(line).to_owned(),
            block: Some(self.position),
            thread: Some(self.thread(warp.index, lane)),
        })
    }
}

/// A barrier of the block that some warps have come to.
#[derive(Clone, Default)]
struct Arrivals {
    /// Threads, counted in whole warps as the hardware does.
    threads: u32,
    expected: Option<u32>,
    /// Warps that wait, and the instruction at which they do.
    waiting: Vec<usize>,
    /// Warps that have come, waiting or not.
    arrived: Vec<u32>,
    /// For `bar.red`: over the threads so far.
    all: bool,
    any: bool,
    count: u32,
}

/// What a warp does between two turns.
#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Ready,
    Waiting,
    Ended,
}

/// The memory that one thread of the host needs to run blocks, one after the other.
pub struct Worker<'a> {
    block: Block<'a>,
    warps: Vec<Warp>,
    states: Vec<State>,
    barriers: Vec<Arrivals>,
    /// Keep the rows alive that the warps point to.
    _constants: Rows,
    block_rows: Rows,
}

/// Barriers of a block.
const BARRIERS: usize = 16;
/// Turns in which every warp only waits for memory to change, before it counts as a hang.
const PATIENCE: u32 = 1_000_000;
/// Shared memory begins at a multiple of this, as TMA with a swizzle wants it.
const SHARED_ALIGN: usize = 1024;

impl<'a> Worker<'a> {
    pub fn new(launch: &'a Launch<'a>, program: &'a Program, allocations: &'a Allocations) -> Self {
        let count = launch.threads().div_ceil(LANES as u32) as usize;
        let mut constants = Rows::new(program.constants.len());
        // SAFETY: the rows are at least as long as the constants.
        unsafe {
            std::ptr::copy_nonoverlapping(program.constants.as_ptr(), constants.pointer(), program.constants.len())
        };
        let mut block_rows = Rows::new(BLOCK_ROWS.len() * WORD_ROW as usize);
        let local = program.local_bytes as usize;
        let warps = (0..count)
            .map(|index| Warp::new(index, program.register_bytes, constants.pointer(), block_rows.pointer(), local));
        let warps = warps.collect();
        let shared_bytes = program.dynamic_offset.max(program.shared_bytes) + launch.dynamic_shared;
        let shadow = launch.strict.then(|| Shadow::new(shared_bytes, program.granules, count));
        let block = Block {
            launch,
            program,
            allocations,
            position: [0; 3],
            memory: Rows::new(shared_bytes as usize + SHARED_ALIGN),
            shared_bytes,
            measures: launch.measures(),
            unwritten: launch.strict && !launch.measures(),
            poisoned: [[0; WIDEST]; LANES],
            shadow,
            patterns: vec![Pattern::default(); program.patterns],
            counts: Counts::default(),
            events: 0,
        };
        let mut worker = Self {
            block,
            warps,
            states: vec![State::Ready; count],
            barriers: vec![Arrivals::default(); BARRIERS],
            _constants: constants,
            block_rows,
        };
        worker.fill_specials();
        worker
    }

    pub fn counts(&self) -> Counts {
        self.block.counts.clone()
    }

    /// Writes the special registers that never change.
    fn fill_specials(&mut self) {
        for warp in &mut self.warps {
            for (special, row) in &self.block.program.specials {
                let mut values = [0_u32; LANES];
                for (lane, value) in values.iter_mut().enumerate() {
                    *value = match special {
                        Special::Tid(axis) => self.block.thread(warp.index, lane)[usize::from(*axis)],
                        Special::Lane => lane as u32,
                        Special::Warp => warp.index as u32,
                        Special::LaneMask(kind) => lane_mask(*kind, lane as u32),
                        _ => 0,
                    };
                }
                if !matches!(special, Special::Clock64 | Special::GlobalTimer) {
                    warp.fill(*row, values);
                }
            }
        }
    }

    /// Writes what all warps of the block see the same of.
    fn fill_block_rows(&mut self) {
        let launch = self.block.launch;
        let warps = self.warps.len() as u32;
        let rows: *mut [u32; LANES] = self.block_rows.pointer().cast();
        for (index, special) in BLOCK_ROWS.iter().enumerate() {
            let value = match special {
                Special::Ctaid(axis) => self.block.position[usize::from(*axis)],
                Special::Ntid(axis) => launch.block[usize::from(*axis)],
                Special::Nctaid(axis) => launch.grid[usize::from(*axis)],
                Special::Warps => warps,
                Special::SharedDynamic => launch.dynamic_shared,
                Special::Multiprocessors => launch.card.multiprocessors,
                _ => self.block.shared_bytes,
            };
            // SAFETY: there is a row for each of these, and no warp runs at the moment.
            unsafe { rows.add(index).write([value; LANES]) };
        }
    }

    /// Runs the Nth block of the grid.
    pub fn run(&mut self, number: u64) -> Done {
        let [x, y, _] = self.block.launch.grid.map(u64::from);
        self.block.position = [number % x, number / x % y, number / (x * y)].map(|axis| axis as u32);
        self.fill_block_rows();
        let threads = self.block.launch.threads();
        for warp in &mut self.warps {
            warp.start(threads - (warp.index * LANES) as u32);
        }
        self.states.fill(State::Ready);
        self.barriers.fill(Arrivals::default());
        if let Some(shadow) = &mut self.block.shadow {
            shadow.start();
        }
        self.block.counts.blocks += 1;
        self.block.counts.threads += u64::from(threads);
        self.turns()
    }

    /// Lets every warp run in turn until all have ended.
    fn turns(&mut self) -> Done {
        let mut idle = 0;
        loop {
            let before = self.block.events;
            let mut moved = false;
            for index in 0..self.warps.len() {
                if self.states[index] != State::Ready {
                    continue;
                }
                match schedule::run(&mut self.warps[index], &mut self.block)? {
                    Stop::Ended => self.states[index] = State::Ended,
                    Stop::Barrier => self.arrive(index)?,
                    Stop::Yield => continue,
                }
                moved = true;
                self.release();
            }
            if self.states.iter().all(|state| *state == State::Ended) {
                return Ok(());
            }
            let ready = self.states.contains(&State::Ready);
            if !ready {
                return Err(self.stuck());
            }
            idle = if moved || self.block.events != before { 0 } else { idle + 1 };
            if idle > PATIENCE {
                return Err(self.hangs());
            }
        }
    }

    /// A warp has come to the barrier at which it stands.
    fn arrive(&mut self, index: usize) -> Done {
        let warp = &mut self.warps[index];
        let program = self.block.program;
        let Control::Barrier(barrier) = &program.operations[warp.pc as usize].control else { return Ok(()) };
        let lane = warp.first();
        let number = warp.lane::<u32>(barrier.number, lane) as usize;
        let expected = barrier.threads.map(|threads| warp.lane::<u32>(threads, lane));
        let Some(arrivals) = self.barriers.get_mut(number) else {
            return Err(self.block.fault(warp, code::LAUNCH_FAILED, lane, format!("there is no barrier {number}")));
        };
        if arrivals.threads > 0 && arrivals.expected != expected {
            let what = format!("barrier {number} expects another number of threads than the warps that wait at it do");
            return Err(self.block.fault(warp, code::LAUNCH_FAILED, lane, what));
        }
        if arrivals.threads == 0 {
            (arrivals.all, arrivals.any, arrivals.count) = (true, false, 0);
        }
        self.block.counts.barriers += 1;
        arrivals.expected = expected;
        arrivals.threads += LANES as u32;
        arrivals.arrived.push(index as u32);
        if let Some(reduction) = &barrier.reduction {
            let input = warp.predicate(reduction.input);
            let input = if reduction.negated { !input } else { input } & warp.active;
            arrivals.all &= input == warp.active;
            arrivals.any |= input != 0;
            arrivals.count += input.count_ones();
        }
        if barrier.waits {
            arrivals.waiting.push(index);
            self.states[index] = State::Waiting;
        } else {
            warp.pc += 1;
        }
        Ok(())
    }

    /// Ends the barriers at which everybody has come.
    fn release(&mut self) {
        let alive = self.states.iter().filter(|state| **state != State::Ended).count() as u32;
        for number in 0..BARRIERS {
            let arrivals = &self.barriers[number];
            if arrivals.threads == 0 || arrivals.threads < arrivals.expected.unwrap_or(alive * LANES as u32) {
                continue;
            }
            let arrivals = std::mem::take(&mut self.barriers[number]);
            if let Some(shadow) = &mut self.block.shadow {
                shadow.barrier(arrivals.arrived.iter().copied());
            }
            for index in &arrivals.waiting {
                let warp = &mut self.warps[*index];
                if let Control::Barrier(barrier) = &self.block.program.operations[warp.pc as usize].control
                    && let Some(reduction) = &barrier.reduction
                {
                    match reduction.kind {
                        ReductionKind::Count => warp.set(reduction.target, &[arrivals.count; LANES]),
                        ReductionKind::And => warp.set_predicate(reduction.target, if arrivals.all { ALL } else { 0 }),
                        ReductionKind::Or => warp.set_predicate(reduction.target, if arrivals.any { ALL } else { 0 }),
                    }
                }
                warp.pc += 1;
                self.states[*index] = State::Ready;
            }
            self.block.events += 1;
        }
    }

    /// Every warp waits at a barrier that nobody will complete.
    #[cold]
    fn stuck(&self) -> Box<Fault> {
        let waiting = self.states.iter().position(|state| *state == State::Waiting).unwrap_or_default();
        let warp = &self.warps[waiting];
        let others: Vec<_> = self.states.iter().enumerate().filter(|(_, state)| **state == State::Waiting).collect();
        let elsewhere = others.iter().find(|(index, _)| self.warps[*index].pc != warp.pc);
        let what = match elsewhere {
            Some((index, _)) => {
                let line = self.block.program.operations[self.warps[*index].pc as usize].line;
                format!("a barrier is not reached by all threads: warp {index} waits at the one in line {line}")
            }
            None => "a barrier expects more threads than reach it".into(),
        };
        self.block.fault(warp, code::LAUNCH_TIMEOUT, warp.first(), what)
    }

    /// Some warp waits for ever for memory to change.
    #[cold]
    fn hangs(&self) -> Box<Fault> {
        let ready = self.states.iter().position(|state| *state == State::Ready).unwrap_or_default();
        let warp = &self.warps[ready];
        let lane = lanes(warp.mask).next().unwrap_or_default();
        self.block.fault(warp, code::LAUNCH_TIMEOUT, lane, "a thread waits for ever")
    }
}
