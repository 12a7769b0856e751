//! A warp: the registers of 32 threads, which of them run, and where the others wait.

use super::lane::{ALL, LANES, Row, Slot, Source};

/// Threads of a warp that wait at another instruction than those that run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Group {
    pub pc: u32,
    pub mask: u32,
    pub wait: Wait,
}

/// What a group waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wait {
    Nothing,
    /// For other lanes to come to the same instruction.
    Lanes,
    /// For memory to change: another warp's turn.
    Memory,
}

/// Memory for rows, aligned as vector instructions like it.
#[derive(Clone, Debug, Default)]
pub struct Rows(Vec<RowLine>);

#[repr(C, align(64))]
#[derive(Clone, Copy, Debug)]
struct RowLine([u8; 64]);

impl Rows {
    pub fn new(bytes: usize) -> Self {
        Self(vec![RowLine([0; 64]); bytes.div_ceil(64)])
    }

    pub fn pointer(&mut self) -> *mut u8 {
        self.0.as_mut_ptr().cast()
    }
}

/// One warp of a block.
pub struct Warp {
    /// Where the rows of each [`Bank`](super::lane::Bank) begin.
    banks: [*mut u8; 3],
    /// Keeps the registers alive: `banks` points into it.
    _registers: Rows,
    /// The lanes of the instruction that runs: those of the group for which its guard holds.
    pub active: u32,
    /// The lanes of the group that runs.
    pub mask: u32,
    /// The instruction that runs.
    pub pc: u32,
    /// The other groups, by `pc`.
    pub others: Vec<Group>,
    /// Lanes that have a thread.
    pub threads: u32,
    /// Lanes whose thread has ended.
    pub exited: u32,
    /// Lanes whose last addition carried: the condition code.
    pub carry: u32,
    /// Which warp of its block it is.
    pub index: usize,
    /// Local memory, a lane's behind that of the lane before it.
    pub local: Vec<u8>,
    /// Whether the instruction found that it waits for memory to change.
    pub sleeps: bool,
    /// Instructions of this block so far.
    pub executed: u64,
    /// Copies of each lane that `cp.async` began, oldest group first.
    pub copies: super::asynchronous::Copies,
}

impl Warp {
    /// A warp with so many bytes of registers, and the rows that it shares with others.
    pub fn new(index: usize, bytes: usize, constants: *mut u8, block: *mut u8, local: usize) -> Self {
        let mut registers = Rows::new(bytes);
        Self {
            banks: [registers.pointer(), constants, block],
            _registers: registers,
            active: 0,
            mask: 0,
            pc: 0,
            others: Vec::new(),
            threads: 0,
            exited: 0,
            carry: 0,
            index,
            local: vec![0; local * LANES],
            sleeps: false,
            executed: 0,
            copies: Default::default(),
        }
    }

    /// Begins a block: so many threads at the first instruction.
    pub fn start(&mut self, threads: u32) {
        self.threads = if threads >= LANES as u32 { ALL } else { (1 << threads) - 1 };
        (self.mask, self.pc, self.exited, self.carry) = (self.threads, 0, 0, 0);
        self.others.clear();
        (self.sleeps, self.executed) = (false, 0);
        self.copies.clear();
    }

    fn address<S>(&self, source: Source) -> *mut S {
        // SAFETY: the decoder takes every offset from the layout by which the banks were made, and the rows are aligned.
        unsafe { self.banks[source.bank as usize].add(source.offset as usize).cast() }
    }

    /// The row of an operand, by value: so the compiler knows that a destination doesn't overlap it.
    #[inline(always)]
    pub fn row<S: Slot>(&self, source: Source) -> [S; LANES] {
        // SAFETY: as in `address`; a row is as long as 32 slots.
        unsafe { self.address::<[S; LANES]>(source).read() }
    }

    /// One lane of an operand.
    #[inline(always)]
    pub fn lane<S: Slot>(&self, source: Source, lane: usize) -> S {
        // SAFETY: as in `row`, and `lane` is below 32.
        unsafe { self.address::<S>(source).add(lane % LANES).read() }
    }

    /// Writes the active lanes of a register.
    #[inline(always)]
    pub fn set<S: Slot>(&mut self, row: Row, values: &[S; LANES]) {
        // SAFETY: as in `row`; nobody else refers to the registers of this warp.
        let target = unsafe { &mut *self.address::<[S; LANES]>(row.into()) };
        if self.active == ALL {
            *target = *values;
        } else {
            for lane in 0..LANES {
                target[lane] = if self.active >> lane & 1 != 0 { values[lane] } else { target[lane] };
            }
        }
    }

    /// Writes one lane of a register.
    #[inline(always)]
    pub fn set_lane<S: Slot>(&mut self, row: Row, lane: usize, value: S) {
        // SAFETY: as in `lane`.
        unsafe { self.address::<S>(row.into()).add(lane % LANES).write(value) }
    }

    /// Writes all lanes of a register, also those that don't run: for what never changes.
    pub fn fill<S: Slot>(&mut self, row: Row, values: [S; LANES]) {
        // SAFETY: as in `set`.
        unsafe { self.address::<[S; LANES]>(row.into()).write(values) }
    }

    /// The lanes for which a predicate holds.
    #[inline(always)]
    pub fn predicate(&self, source: Source) -> u32 {
        // SAFETY: the row of a predicate is one word.
        unsafe { self.address::<u32>(source).read() }
    }

    /// Writes the active lanes of a predicate.
    #[inline(always)]
    pub fn set_predicate(&mut self, row: Row, mask: u32) {
        let old = self.predicate(row.into());
        self.set_lane(row, 0, old & !self.active | mask & self.active);
    }

    /// The first lane that runs.
    pub fn first(&self) -> usize {
        self.active.trailing_zeros() as usize % LANES
    }

    /// Lanes that have a thread which has not ended.
    pub fn alive(&self) -> u32 {
        self.threads & !self.exited
    }
}
