//! The order of accesses to shared memory within a block: who wrote and who read each place last, and what of that each
//! warp has waited for. An access that does not come after those it conflicts with is a race.
//!
//! Time counts the synchronisations of the block. `seen[w][v]` is the time up to which the accesses of warp `v` come before
//! whatever warp `w` does next; a barrier of the block raises all of them, `bar.warp` raises `seen[w][w]`, and waiting for
//! an mbarrier passes on what those had seen who arrived at it. Copies that run beside the threads (`cp.async.bulk`) are
//! agents of their own, one for loads and one for stores.

use super::{program::Granules, write_table::Table};
use std::collections::HashMap;

/// A time; the shadow is emptied before it runs over.
pub type Time = u32;

/// The time from which on a block begins with an empty shadow: the records keep 26 bits.
const LATEST: Time = 1 << 25;

/// The lane of an access by a whole warp together, which no single thread has made.
pub const TOGETHER: u32 = 32;

/// Who accesses: a warp or an agent, and the lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Thread {
    pub agent: u32,
    /// Or [`TOGETHER`].
    pub lane: u32,
}

/// What kind of access it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    Plain,
    /// Atomic accesses don't race with each other.
    Atomic,
    /// Being written by a `cp.async` that nobody has waited for.
    Pending,
}

/// What is wrong with an access.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Conflict {
    /// Nobody in this block has written it.
    Unwritten,
    WrittenBy(Thread),
    ReadBy(Thread),
    /// A `cp.async` may still be writing it.
    Copying(Thread),
}

/// The last write to a place: its time, who, and how.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct Written(u64);

impl Written {
    fn new(time: Time, by: Thread, mode: Mode) -> Self {
        Self(u64::from(time) << 32 | u64::from(by.agent) << 16 | u64::from(by.lane) << 8 | mode as u64)
    }

    pub fn time(self) -> Time {
        (self.0 >> 32) as Time
    }

    fn by(self) -> Thread {
        Thread { agent: (self.0 >> 16) as u32 & 0xffff, lane: (self.0 >> 8) as u32 & 0xff }
    }

    fn is(self, mode: Mode) -> bool {
        self.0 & 0xff == mode as u64
    }
}

/// Of one mbarrier: what those who arrived in this phase had seen, and what was passed on when the last phase ended.
#[derive(Clone, Default)]
struct Passed {
    arriving: Vec<Time>,
    completed: Vec<Time>,
}

/// The shadow of the shared memory of a block.
pub struct Shadow {
    /// One record stands for so many bytes, as a power of two.
    shift: u32,
    warps: usize,
    now: Time,
    /// When the block began.
    start: Time,
    writes: Vec<Written>,
    /// For each place, for each agent: the time of its last read, whether several lanes read, and the lane.
    reads: Vec<u32>,
    seen: Vec<Time>,
    barriers: HashMap<u64, Passed>,
    global: Table,
}

impl Shadow {
    pub fn new(bytes: u32, granules: Granules, warps: usize) -> Self {
        let granule = granules.shared;
        let places = bytes.div_ceil(granule) as usize;
        let agents = warps + 2;
        Self {
            shift: granule.trailing_zeros(),
            warps,
            now: 0,
            start: 0,
            writes: vec![Written::default(); places],
            reads: vec![0; places * agents],
            seen: vec![0; agents * agents],
            barriers: HashMap::new(),
            global: Table::new(granules.global),
        }
    }

    fn agents(&self) -> usize {
        self.warps + 2
    }

    /// The agent of copies into shared memory.
    pub fn loader(&self) -> u32 {
        self.warps as u32
    }

    /// The agent of copies out of shared memory.
    pub fn storer(&self) -> u32 {
        self.warps as u32 + 1
    }

    /// Begins a block: nothing is written.
    pub fn start(&mut self) {
        if self.now >= LATEST {
            self.writes.fill(Written::default());
            self.reads.fill(0);
            self.global = Table::new(1 << self.global.shift);
            self.now = 0;
        }
        self.now += 1;
        self.start = self.now;
        self.seen.fill(self.now);
        self.barriers.clear();
        self.global.start();
    }

    fn seen(&self, agent: u32, other: u32) -> Time {
        self.seen[agent as usize * self.agents() + other as usize]
    }

    /// Whether an access at this time by another thread comes before what `me` does now.
    #[inline(always)]
    fn ordered(&self, me: Thread, time: Time, other: Thread) -> bool {
        time < self.seen(me.agent, other.agent) || me == other && me.lane != TOGETHER
    }

    fn places(&self, offset: u32, bytes: u32) -> std::ops::RangeInclusive<usize> {
        (offset >> self.shift) as usize..=((offset + bytes - 1) >> self.shift) as usize
    }

    /// Whether somebody in this block has written these bytes.
    pub fn is_written(&self, offset: u32, bytes: u32) -> bool {
        self.places(offset, bytes).all(|place| self.writes[place].time() >= self.start)
    }

    /// Notes a read.
    ///
    /// # Errors
    /// Says which earlier access it does not come after.
    #[inline]
    pub fn read(&mut self, me: Thread, offset: u32, bytes: u32) -> Result<(), Conflict> {
        let agents = self.agents();
        for place in self.places(offset, bytes) {
            let written = self.writes[place];
            if written.time() >= self.seen(me.agent, written.by().agent) || written.time() < self.start {
                self.check_read(me, written)?;
            } else if written.is(Mode::Pending) {
                return Err(Conflict::Copying(written.by()));
            }
            let record = &mut self.reads[place * agents + me.agent as usize];
            let alone = self.now << 6 | me.lane;
            let several = *record >> 6 == self.now && *record != alone;
            *record = if several { self.now << 6 | TOGETHER } else { alone };
        }
        Ok(())
    }

    #[cold]
    fn check_read(&self, me: Thread, written: Written) -> Result<(), Conflict> {
        if written.time() < self.start {
            return Err(Conflict::Unwritten);
        }
        if written.is(Mode::Pending) {
            return Err(Conflict::Copying(written.by()));
        }
        if self.ordered(me, written.time(), written.by()) { Ok(()) } else { Err(Conflict::WrittenBy(written.by())) }
    }

    /// Notes a write. `same` says that it stores what is there already, which harms nobody who wrote the same.
    ///
    /// # Errors
    /// As for [`Shadow::read`].
    #[inline]
    pub fn write(&mut self, me: Thread, offset: u32, bytes: u32, mode: Mode, same: bool) -> Result<(), Conflict> {
        let agents = self.agents();
        for place in self.places(offset, bytes) {
            let written = self.writes[place];
            if written.time() >= self.seen(me.agent, written.by().agent) {
                let both_atomic = mode == Mode::Atomic && written.is(Mode::Atomic);
                if !(both_atomic || same || self.ordered(me, written.time(), written.by())) {
                    return Err(Conflict::WrittenBy(written.by()));
                }
            }
            if written.is(Mode::Pending) && written.time() >= self.start && written.by() != me {
                return Err(Conflict::Copying(written.by()));
            }
            for agent in 0..agents {
                let read = self.reads[place * agents + agent];
                if read >> 6 >= self.seen(me.agent, agent as u32) {
                    let by = Thread { agent: agent as u32, lane: read & 63 };
                    if !self.ordered(me, read >> 6, by) {
                        return Err(Conflict::ReadBy(by));
                    }
                }
            }
            self.writes[place] = Written::new(self.now, me, mode);
        }
        Ok(())
    }

    /// Notes a write to global memory.
    ///
    /// # Errors
    /// Says which earlier write of this block it does not come after.
    #[inline]
    pub fn write_global(
        &mut self,
        me: Thread,
        address: u64,
        bytes: u32,
        mode: Mode,
        same: bool,
    ) -> Result<(), Conflict> {
        let table = &mut self.global;
        (table.low, table.high) = (table.low.min(address), table.high.max(address + u64::from(bytes)));
        for place in address >> table.shift..=(address + u64::from(bytes) - 1) >> table.shift {
            if self.global.used * 2 > self.global.entries.len() {
                self.global.grow(self.start);
            }
            let (start, now) = (self.start, self.now);
            let (found, written) = *self.global.entry(place, start);
            let known = found == place && written.time() >= start;
            let both_atomic = mode == Mode::Atomic && written.is(Mode::Atomic);
            if known && !(same || both_atomic || self.ordered(me, written.time(), written.by())) {
                return Err(Conflict::WrittenBy(written.by()));
            }
            self.global.used += usize::from(!known);
            *self.global.entry(place, start) = (place, Written::new(now, me, mode));
        }
        Ok(())
    }

    /// Whether this block may have written between these addresses.
    #[inline(always)]
    pub fn touches_global(&self, low: u64, high: u64) -> bool {
        low < self.global.high && high > self.global.low
    }

    /// Checks a read of global memory against the writes of this block.
    ///
    /// # Errors
    /// As for [`Shadow::write_global`].
    pub fn read_global(&mut self, me: Thread, address: u64, bytes: u32) -> Result<(), Conflict> {
        let start = self.start;
        for place in address >> self.global.shift..=(address + u64::from(bytes) - 1) >> self.global.shift {
            let (found, written) = *self.global.entry(place, start);
            if found == place && written.time() >= start && !self.ordered(me, written.time(), written.by()) {
                return Err(Conflict::WrittenBy(written.by()));
            }
        }
        Ok(())
    }

    /// The bytes are written, and before everything that comes: for accesses whose order the program takes care of.
    pub fn settle(&mut self, offset: u32, bytes: u32) {
        let by = Thread { agent: 0, lane: 0 };
        for place in self.places(offset, bytes) {
            self.writes[place] = Written::new(self.start, by, Mode::Atomic);
        }
    }

    /// A `cp.async` of a thread into these bytes has ended, and the thread has waited for it.
    pub fn copied(&mut self, me: Thread, offset: u32, bytes: u32) {
        for place in self.places(offset, bytes) {
            let written = self.writes[place];
            if written.is(Mode::Pending) && written.by() == me {
                self.writes[place] = Written::new(self.now, me, Mode::Plain);
            }
        }
    }

    /// A barrier of these warps.
    pub fn barrier(&mut self, warps: impl Iterator<Item = u32> + Clone) {
        self.now += 1;
        let agents = self.agents();
        // What any of them has seen of others, all of them have seen now.
        let mut union = vec![0; agents];
        for warp in warps.clone() {
            for (other, union) in union.iter_mut().enumerate() {
                *union = (*union).max(self.seen[warp as usize * agents + other]);
            }
        }
        warps.clone().for_each(|warp| union[warp as usize] = self.now);
        for warp in warps {
            self.seen[warp as usize * agents..][..agents].copy_from_slice(&union);
        }
    }

    /// A barrier within a warp.
    pub fn warp_barrier(&mut self, warp: u32) {
        self.now += 1;
        let at = warp as usize * self.agents() + warp as usize;
        self.seen[at] = self.now;
    }

    /// An agent goes on from where a warp stands: a copy that it starts.
    pub fn fork(&mut self, warp: u32, agent: u32) {
        self.now += 1;
        let agents = self.agents();
        for other in 0..agents {
            let seen = self.seen[warp as usize * agents + other];
            let mine = &mut self.seen[agent as usize * agents + other];
            *mine = (*mine).max(seen);
        }
        // The thread that starts a copy has made all its accesses before.
        self.seen[agent as usize * agents + warp as usize] = self.now;
    }

    /// A warp has waited for all that an agent did.
    pub fn join(&mut self, warp: u32, agent: u32) {
        self.now += 1;
        let at = warp as usize * self.agents() + agent as usize;
        self.seen[at] = self.now;
    }

    /// A warp or an agent arrives at an mbarrier.
    pub fn arrive(&mut self, agent: u32, barrier: u64) {
        self.now += 1;
        let agents = self.agents();
        let passed = self.barriers.entry(barrier).or_default();
        passed.arriving.resize(agents, 0);
        for (other, arriving) in passed.arriving.iter_mut().enumerate() {
            *arriving = (*arriving).max(self.seen[agent as usize * agents + other]);
        }
        passed.arriving[agent as usize] = self.now;
    }

    /// A phase of an mbarrier ends.
    pub fn complete(&mut self, barrier: u64) {
        if let Some(passed) = self.barriers.get_mut(&barrier) {
            passed.completed = passed.arriving.clone();
        }
    }

    /// A warp has seen that a phase of an mbarrier ended.
    pub fn wait(&mut self, warp: u32, barrier: u64) {
        let agents = self.agents();
        if let Some(passed) = self.barriers.get(&barrier) {
            for (other, completed) in passed.completed.iter().enumerate() {
                let seen = &mut self.seen[warp as usize * agents + other];
                *seen = (*seen).max(*completed);
            }
        }
    }
}

impl Shadow {
    /// An atomic or volatile access of a kernel that has fences: it may be how threads wait for each other, so what comes
    /// before it is taken to be seen by whoever accesses the same place later.
    pub fn synchronise(&mut self, warp: u32, place: u64, reads: bool, writes: bool) {
        if reads {
            self.wait(warp, place);
        }
        if writes {
            self.arrive(warp, place);
            self.complete(place);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: Thread = Thread { agent: 0, lane: 3 };
    const B: Thread = Thread { agent: 1, lane: 3 };

    fn shadow() -> Shadow {
        let mut shadow = Shadow::new(64, Granules { shared: 4, global: 4 }, 2);
        shadow.start();
        shadow
    }

    #[test]
    fn accesses_of_two_warps_need_a_barrier_between_them() {
        let mut shadow = shadow();
        assert_eq!(shadow.read(A, 0, 4), Err(Conflict::Unwritten));
        shadow.write(A, 0, 8, Mode::Plain, false).unwrap();
        shadow.read(A, 4, 4).unwrap();
        assert_eq!(shadow.read(B, 4, 4), Err(Conflict::WrittenBy(A)));
        shadow.barrier(0..2);
        shadow.read(B, 4, 4).unwrap();
        assert_eq!(shadow.write(A, 4, 4, Mode::Plain, false), Err(Conflict::ReadBy(B)));
        shadow.barrier(0..2);
        shadow.write(A, 4, 4, Mode::Plain, false).unwrap();
        shadow.start();
        assert_eq!(shadow.read(A, 4, 4), Err(Conflict::Unwritten), "another block begins with nothing");
    }

    #[test]
    fn lanes_of_one_warp_need_a_barrier_of_the_warp() {
        let mut shadow = shadow();
        let neighbour = Thread { lane: 4, ..A };
        shadow.write(A, 0, 4, Mode::Plain, false).unwrap();
        assert_eq!(shadow.read(neighbour, 0, 4), Err(Conflict::WrittenBy(A)));
        shadow.warp_barrier(0);
        shadow.read(neighbour, 0, 4).unwrap();
        shadow.read(A, 0, 4).unwrap();
        let both = Thread { lane: TOGETHER, ..A };
        assert_eq!(shadow.write(A, 0, 4, Mode::Plain, false), Err(Conflict::ReadBy(both)));
    }

    #[test]
    fn an_mbarrier_orders_what_came_before_the_arrivals() {
        let mut shadow = shadow();
        shadow.write(A, 0, 4, Mode::Plain, false).unwrap();
        shadow.arrive(0, 32);
        shadow.write(A, 8, 4, Mode::Plain, false).unwrap();
        shadow.complete(32);
        assert_eq!(shadow.read(B, 0, 4), Err(Conflict::WrittenBy(A)));
        shadow.wait(1, 32);
        shadow.read(B, 0, 4).unwrap();
        assert_eq!(shadow.read(B, 8, 4), Err(Conflict::WrittenBy(A)));
    }

    #[test]
    fn global_memory_has_a_shadow_as_large_as_what_a_block_wrote() {
        let mut shadow = shadow();
        for address in (0..4096).step_by(4) {
            shadow.write_global(A, address, 4, Mode::Plain, false).unwrap();
        }
        assert_eq!(shadow.read_global(B, 1000, 4), Err(Conflict::WrittenBy(A)));
        assert_eq!(shadow.write_global(B, 1000, 4, Mode::Plain, false), Err(Conflict::WrittenBy(A)));
        shadow.read_global(A, 1000, 4).unwrap();
        shadow.barrier(0..2);
        shadow.read_global(B, 1000, 4).unwrap();
        shadow.start();
        shadow.write_global(B, 1000, 4, Mode::Plain, false).unwrap();
        assert!(shadow.touches_global(996, 1001) && !shadow.touches_global(0, 1000));
    }

    #[test]
    fn atomics_race_with_plain_accesses_only() {
        let mut shadow = shadow();
        shadow.write(A, 0, 4, Mode::Plain, false).unwrap();
        shadow.barrier(0..2);
        shadow.write(A, 0, 4, Mode::Atomic, false).unwrap();
        shadow.write(B, 0, 4, Mode::Atomic, false).unwrap();
        assert_eq!(shadow.read(A, 0, 4), Err(Conflict::WrittenBy(B)));
    }

    #[test]
    fn a_copy_must_be_waited_for() {
        let mut shadow = shadow();
        shadow.write(A, 0, 16, Mode::Pending, false).unwrap();
        assert_eq!(shadow.read(A, 0, 4), Err(Conflict::Copying(A)));
        shadow.copied(A, 0, 16);
        shadow.read(A, 0, 4).unwrap();
        assert_eq!(shadow.read(B, 0, 4), Err(Conflict::WrittenBy(A)));
    }
}
