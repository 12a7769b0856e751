//! Finds the memory behind addresses: bounds, alignment, whether it was ever written, and races.

use super::{
    access::{Shape, addresses},
    block::Block,
    decode::{Address, window},
    lane::{LANES, lanes},
    shadow::{Conflict, Mode, Shadow, TOGETHER, Thread},
    warp::Warp,
};
use crate::{
    fault::{Fault, code},
    memory::{Allocations, Range},
};

/// The space that an instruction names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Space {
    Generic,
    Global,
    Shared,
    Local,
    Param,
}

/// What an access does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Read,
    Write,
    Atomic,
}

/// One access of all active lanes.
#[derive(Clone, Copy, Debug)]
pub struct Access {
    pub space: Space,
    pub address: Address,
    /// Bytes of each lane.
    pub bytes: u32,
    pub kind: Kind,
    /// `volatile`, `relaxed`, `acquire`, `release`: it may meet others of its kind.
    pub strong: bool,
    /// Which picture of addresses is its own.
    pub pattern: usize,
}

/// The memory of an access. Only the lanes that run have a pointer that may be followed.
pub struct Located {
    pub pointers: [*mut u8; LANES],
    pub shape: Shape,
    /// Addresses within the space.
    pub addresses: [u64; LANES],
    pub space: Space,
}

/// What was found, or what is wrong.
pub type Found<T> = Result<T, Box<Fault>>;

impl Block<'_> {
    /// Finds the memory of an access, and notes it if it reads.
    #[inline]
    pub fn locate(&mut self, warp: &mut Warp, access: &Access) -> Found<Located> {
        let all = addresses(warp, &access.address);
        let located = self.locate_at(warp, access, all)?;
        if access.strong && self.program.fences {
            self.synchronise(warp, access, &located);
        }
        Ok(located)
    }

    /// Orders what comes before and behind atomic and volatile accesses to one place.
    #[cold]
    fn synchronise(&mut self, warp: &Warp, access: &Access, located: &Located) {
        let Some(shadow) = &mut self.shadow else { return };
        let lanes = if located.shape == Shape::Uniform { 1 << warp.first() } else { warp.active };
        for lane in super::lane::lanes(lanes) {
            // Places in shared memory and in global memory are told apart by their size.
            let place = located.addresses[lane];
            shadow.synchronise(warp.index as u32, place, access.kind != Kind::Write, access.kind != Kind::Read);
        }
    }

    /// The same for addresses that are known already. Those of lanes that don't run must repeat one that does.
    pub fn locate_at(&mut self, warp: &mut Warp, access: &Access, mut all: [u64; LANES]) -> Found<Located> {
        let mut space = access.space;
        if space == Space::Generic {
            space = space_of(all[warp.first()]);
            if lanes(warp.active).any(|lane| space_of(all[lane]) != space) {
                return self.locate_mixed(warp, access, &all);
            }
            if space != Space::Global {
                all.iter_mut().for_each(|address| *address &= !window::MASK);
            }
        }
        match space {
            Space::Shared => self.locate_shared(warp, access, all),
            Space::Local => self.locate_local(warp, access, all),
            Space::Param => self.locate_param(warp, access, all),
            Space::Global | Space::Generic => self.locate_global(warp, access, all),
        }
    }

    /// Lanes whose generic addresses lie in several spaces: one space after the other.
    #[cold]
    fn locate_mixed(&mut self, warp: &mut Warp, access: &Access, all: &[u64; LANES]) -> Found<Located> {
        let active = warp.active;
        let mut result: Option<Located> = None;
        let mut rest = active;
        while rest != 0 {
            let first = rest.trailing_zeros() as usize;
            let space = space_of(all[first]);
            warp.active =
                lanes(rest).filter(|lane| space_of(all[*lane]) == space).fold(0, |mask, lane| mask | 1 << lane);
            rest &= !warp.active;
            let mut own = *all;
            (0..LANES).filter(|lane| warp.active >> lane & 1 == 0).for_each(|lane| own[lane] = all[first]);
            let part = self.locate_at(warp, access, own);
            let mask = std::mem::replace(&mut warp.active, active);
            let part = part?;
            let result = result.get_or_insert(Located { shape: Shape::Scattered, space: Space::Generic, ..part });
            lanes(mask).for_each(|lane| result.pointers[lane] = part.pointers[lane]);
        }
        match result {
            Some(located) => Ok(located),
            None => Err(self.fault(warp, code::LAUNCH_FAILED, 0, "an access of no lane")),
        }
    }

    #[inline]
    fn locate_shared(&mut self, warp: &mut Warp, access: &Access, all: [u64; LANES]) -> Found<Located> {
        let base = all[warp.first()];
        let pattern = &mut self.patterns[access.pattern];
        pattern.update(&all, warp.active, access.bytes, true);
        let (shape, conflicts, bits, (low, high)) = (pattern.shape, pattern.conflicts, pattern.bits, pattern.span);
        let bytes = u64::from(access.bytes);
        let inside = base.checked_add_signed(low).is_some()
            && base.checked_add_signed(high).is_some_and(|last| last.saturating_add(bytes) <= self.shared_bytes.into());
        if !inside {
            return Err(self.outside(warp, access, &all, "shared memory", self.shared_bytes.into()));
        }
        self.check_alignment(warp, access, &all, base | bits)?;
        let total = u64::from(warp.active.count_ones()) * bytes;
        if access.kind == Kind::Read {
            self.counts.shared_read_bytes += total;
        } else {
            self.counts.shared_written_bytes += total;
        }
        self.counts.bank_conflicts += conflicts;
        if self.shadow.is_some() && access.kind == Kind::Read && !access.strong {
            self.note_reads(warp, access, base)?;
        }
        let start = self.shared();
        let mut pointers = [start; LANES];
        for lane in 0..LANES {
            pointers[lane] = start.wrapping_add(all[lane] as usize);
        }
        Ok(Located { pointers, shape, addresses: all, space: Space::Shared })
    }

    fn note_reads(&mut self, warp: &Warp, access: &Access, base: u64) -> Found<()> {
        let Some(shadow) = &mut self.shadow else { return Ok(()) };
        let agent = warp.index as u32;
        for (relative, lane) in &self.patterns[access.pattern].readers {
            let at = base.wrapping_add_signed(*relative);
            if let Err(conflict) = shadow.read(Thread { agent, lane: *lane }, at as u32, access.bytes) {
                let lane = if *lane == TOGETHER { warp.first() } else { *lane as usize };
                return Err(self.race(warp, lane, conflict, "read", at, access.bytes));
            }
        }
        Ok(())
    }

    /// Notes the write of a lane. `same` says whether it stores what is there already.
    #[inline]
    pub fn note_write(
        &mut self,
        warp: &Warp,
        access: &Access,
        located: &Located,
        lane: usize,
        same: impl Fn() -> bool,
    ) -> Found<()> {
        let Some(shadow) = &mut self.shadow else { return Ok(()) };
        let me = Thread { agent: warp.index as u32, lane: lane as u32 };
        let mode = if access.kind == Kind::Atomic || access.strong { Mode::Atomic } else { Mode::Plain };
        let address = located.addresses[lane];
        let mut note = |same| match located.space {
            Space::Shared => shadow.write(me, address as u32, access.bytes, mode, same),
            Space::Global => shadow.write_global(me, address, access.bytes, mode, same),
            _ => Ok(()),
        };
        match note(false) {
            Err(Conflict::WrittenBy(_)) if access.kind == Kind::Write && same() => note(true),
            result => result,
        }
        .map_err(|conflict| self.race(warp, lane, conflict, "write", address, access.bytes))
    }

    /// Checks that what an atomic access reads was written.
    pub fn note_atomic_read(&mut self, warp: &Warp, access: &Access, located: &Located, lane: usize) -> Found<()> {
        let at = located.addresses[lane];
        match &self.shadow {
            Some(shadow) if !shadow.is_written(at as u32, access.bytes) => {
                Err(self.race(warp, lane, Conflict::Unwritten, "atomic access", at, access.bytes))
            }
            _ => Ok(()),
        }
    }

    /// Says which access a lane's access does not come after.
    #[cold]
    pub fn race(&self, warp: &Warp, lane: usize, conflict: Conflict, what: &str, at: u64, bytes: u32) -> Box<Fault> {
        let who = |by: Thread| {
            let warps = self.shadow.as_ref().map_or(0, Shadow::loader);
            if by.agent >= warps {
                return "an asynchronous copy that nobody has waited for".to_owned();
            }
            match by.lane {
                TOGETHER => format!("several threads of warp {}", by.agent),
                lane => {
                    let [x, y, z] = self.thread(by.agent as usize, lane as usize);
                    format!("thread ({x}, {y}, {z})")
                }
            }
        };
        let what = match conflict {
            Conflict::Unwritten => format!("a {what} of {bytes} bytes of shared memory at {at} that nobody wrote"),
            Conflict::WrittenBy(by) => {
                format!(
                    "a race: a {what} of {bytes} bytes at {at:#x} that {} wrote, and nothing orders the two",
                    who(by)
                )
            }
            Conflict::ReadBy(by) => {
                format!(
                    "a race: a {what} of {bytes} bytes at {at:#x} that {} read, and nothing orders the two",
                    who(by)
                )
            }
            Conflict::Copying(by) => {
                format!("a {what} of {bytes} bytes at {at:#x} that a cp.async of {} may still be writing", who(by))
            }
        };
        self.fault(warp, code::LAUNCH_FAILED, lane, what)
    }

    #[inline]
    fn locate_global(&mut self, warp: &mut Warp, access: &Access, all: [u64; LANES]) -> Found<Located> {
        let base = all[warp.first()];
        let pattern = &mut self.patterns[access.pattern];
        pattern.update(&all, warp.active, access.bytes, false);
        let (shape, sectors, bits, (low, high)) = (pattern.shape, pattern.sectors, pattern.bits, pattern.span);
        let (first, last) = (base.wrapping_add_signed(low), base.wrapping_add_signed(high));
        let length = last.wrapping_sub(first).wrapping_add(access.bytes.into());
        let known = pattern.range.filter(|range| {
            first >= range.start && length <= range.bytes && first - range.start <= range.bytes - length
        });
        self.check_alignment(warp, access, &all, base | bits)?;
        let poisoned = match known {
            Some(range) => self.check_written(warp, access, &all, range, first, length)?,
            None => self.find_ranges(warp, access, &all, first, length)?,
        };
        let total = u64::from(warp.active.count_ones() * access.bytes);
        if access.kind == Kind::Read {
            self.counts.global_read_bytes += total;
            self.counts.global_read_sectors += sectors;
            if !access.strong && self.shadow.as_ref().is_some_and(|shadow| shadow.touches_global(first, first + length))
            {
                self.check_global_reads(warp, access, &all)?;
            }
        } else {
            self.counts.global_written_bytes += total;
            self.counts.global_written_sectors += sectors;
        }
        let mut pointers = [std::ptr::null_mut(); LANES];
        for lane in 0..LANES {
            pointers[lane] = all[lane] as *mut u8;
        }
        if poisoned == 0 {
            return Ok(Located { pointers, shape, addresses: all, space: Space::Global });
        }
        lanes(poisoned).for_each(|lane| pointers[lane] = self.poisoned[lane].as_mut_ptr());
        Ok(Located { pointers, shape: Shape::Scattered, addresses: all, space: Space::Global })
    }

    /// Looks up the ranges of an access: mostly one for all lanes. The rest is as for `check_written`.
    #[cold]
    fn find_ranges(&mut self, warp: &Warp, access: &Access, all: &[u64; LANES], first: u64, length: u64) -> Found<u32> {
        let allocations = self.allocations;
        if let Some(range) = holding(allocations, first, length) {
            self.patterns[access.pattern].range = Some(range);
            return self.check_written(warp, access, all, range, first, length);
        }
        let mut poisoned = 0;
        for lane in lanes(warp.active) {
            let bytes = access.bytes.into();
            if self.launch.kernel.globals.holds(all[lane], bytes) {
                continue;
            }
            match allocations.find(all[lane], bytes) {
                Ok(range) => poisoned |= self.check_lane(warp, access, range, lane, all[lane])?,
                Err(error) => {
                    let what = format!("a {} outside of memory: {error}", access.kind.name());
                    return Err(self.fault(warp, code::ILLEGAL_ADDRESS, lane, what));
                }
            }
        }
        Ok(poisoned)
    }

    /// Checks that what is read was written, and notes what is written. The lanes that read what nobody wrote have their
    /// bytes in `poisoned`.
    #[inline]
    fn check_written(
        &mut self,
        warp: &Warp,
        access: &Access,
        all: &[u64; LANES],
        range: &Range,
        first: u64,
        length: u64,
    ) -> Found<u32> {
        let together = length <= u64::from(access.bytes) * 64;
        if access.kind != Kind::Write {
            if !self.unwritten || together && range.is_written(first, length) {
                return Ok(0);
            }
        } else if self.patterns[access.pattern].shape != Shape::Scattered {
            range.mark_written(first, length);
            return Ok(0);
        }
        let mut poisoned = 0;
        for lane in lanes(warp.active) {
            poisoned |= self.check_lane(warp, access, range, lane, all[lane])?;
        }
        Ok(poisoned)
    }

    fn check_lane(&mut self, warp: &Warp, access: &Access, range: &Range, lane: usize, at: u64) -> Found<u32> {
        let bytes = access.bytes.into();
        if access.kind == Kind::Write {
            range.mark_written(at, bytes);
        } else if self.unwritten && !range.is_written(at, bytes) {
            self.read_unwritten(warp, access, range, lane, at)?;
            return Ok(1 << lane);
        }
        Ok(0)
    }

    #[cold]
    fn check_global_reads(&mut self, warp: &Warp, access: &Access, all: &[u64; LANES]) -> Found<()> {
        let Some(shadow) = &mut self.shadow else { return Ok(()) };
        for lane in lanes(warp.active) {
            let me = Thread { agent: warp.index as u32, lane: lane as u32 };
            if let Err(conflict) = shadow.read_global(me, all[lane], access.bytes) {
                return Err(self.race(warp, lane, conflict, "read", all[lane], access.bytes));
            }
        }
        Ok(())
    }

    fn locate_local(&mut self, warp: &mut Warp, access: &Access, all: [u64; LANES]) -> Found<Located> {
        let size = u64::from(self.program.local_bytes);
        let mut bits = 0;
        for lane in lanes(warp.active) {
            if all[lane].saturating_add(access.bytes.into()) > size {
                return Err(self.outside(warp, access, &all, "local memory", size));
            }
            bits |= all[lane];
        }
        self.check_alignment(warp, access, &all, bits)?;
        let start = warp.local.as_mut_ptr();
        let mut pointers = [start; LANES];
        for lane in lanes(warp.active) {
            pointers[lane] = start.wrapping_add(lane * size as usize + all[lane] as usize);
        }
        Ok(Located { pointers, shape: Shape::Scattered, addresses: all, space: Space::Local })
    }

    fn locate_param(&mut self, warp: &mut Warp, access: &Access, all: [u64; LANES]) -> Found<Located> {
        let parameters = &self.launch.parameters;
        let size = parameters.len() as u64;
        let mut bits = 0;
        for lane in lanes(warp.active) {
            if all[lane].saturating_add(access.bytes.into()) > size {
                return Err(self.outside(warp, access, &all, "the parameters", size));
            }
            bits |= all[lane];
        }
        if access.kind != Kind::Read {
            return Err(self.fault(warp, code::ILLEGAL_ADDRESS, warp.first(), "a write to the parameters"));
        }
        self.check_alignment(warp, access, &all, bits)?;
        let start = parameters.as_ptr().cast_mut();
        let mut pointers = [start; LANES];
        for lane in lanes(warp.active) {
            pointers[lane] = start.wrapping_add(all[lane] as usize);
        }
        Ok(Located { pointers, shape: Shape::Scattered, addresses: all, space: Space::Param })
    }

    #[cold]
    fn outside(&self, warp: &Warp, access: &Access, all: &[u64; LANES], space: &str, size: u64) -> Box<Fault> {
        let bytes = u64::from(access.bytes);
        let lane = lanes(warp.active).find(|lane| all[*lane].saturating_add(bytes) > size).unwrap_or_default();
        let what = format!(
            "a {} of {bytes} bytes at {} is outside of {space}, which has {size} bytes",
            access.kind.name(),
            all[lane].cast_signed()
        );
        self.fault(warp, code::ILLEGAL_ADDRESS, lane, what)
    }

    #[inline(always)]
    fn check_alignment(&self, warp: &Warp, access: &Access, all: &[u64; LANES], bits: u64) -> Found<()> {
        if bits & (u64::from(access.bytes) - 1) == 0 {
            return Ok(());
        }
        Err(self.misaligned(warp, access, all))
    }

    #[cold]
    fn misaligned(&self, warp: &Warp, access: &Access, all: &[u64; LANES]) -> Box<Fault> {
        let bytes = u64::from(access.bytes);
        let lane = lanes(warp.active).find(|lane| !all[*lane].is_multiple_of(bytes)).unwrap_or_default();
        let what = format!("a misaligned {} of {bytes} bytes at {:#x}", access.kind.name(), all[lane]);
        self.fault(warp, code::MISALIGNED_ADDRESS, lane, what)
    }
}

impl Kind {
    pub fn name(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::Atomic => "atomic access",
        }
    }
}

/// The range that holds these bytes. Lanes that are far apart have none, which needs no explanation.
fn holding(allocations: &Allocations, at: u64, bytes: u64) -> Option<&Range> {
    let after = allocations.live().partition_point(|range| range.start <= at);
    let range = allocations.live().get(after.checked_sub(1)?)?;
    (bytes <= range.bytes && at - range.start <= range.bytes - bytes).then_some(&**range)
}

/// The space of a generic address.
pub fn space_of(address: u64) -> Space {
    match address & window::MASK {
        window::SHARED => Space::Shared,
        window::LOCAL => Space::Local,
        window::PARAM => Space::Param,
        _ => Space::Global,
    }
}
