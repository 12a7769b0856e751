//! `cp.async` and `cp.async.bulk`: copies that run beside the threads.
//!
//! The bytes are copied at once; what may be relied on when is kept by the shadow. A `cp.async` of a thread is pending
//! until the thread waits for its group. A bulk copy is made by an agent of its own, and its bytes may be read by who has
//! seen the phase of its mbarrier end.

use super::{
    Done, Run,
    block::Block,
    decode::{Decoded, Decoder},
    lane::{LANES, Source, lanes},
    shadow::{Mode, Thread},
    space::{Access, Kind, Space},
    tensor_copy,
    warp::Warp,
};
use crate::{
    fault::code,
    ptx::instruction::{Immediate, Operand, Type},
};
use std::collections::VecDeque;

/// The pending copies of the threads of a warp.
#[derive(Default)]
pub struct Copies {
    /// Of each lane, its groups: the places in shared memory and their lengths. The last one is still open.
    groups: [VecDeque<Vec<(u32, u32)>>; LANES],
}

impl Copies {
    pub fn clear(&mut self) {
        self.groups.iter_mut().for_each(VecDeque::clear);
    }

    fn add(&mut self, lane: usize, offset: u32, bytes: u32) {
        let groups = &mut self.groups[lane];
        if groups.is_empty() {
            groups.push_back(Vec::new());
        }
        if let Some(open) = groups.back_mut() {
            open.push((offset, bytes));
        }
    }

    fn commit(&mut self, lane: usize) {
        let groups = &mut self.groups[lane];
        if groups.is_empty() {
            groups.push_back(Vec::new());
        }
        groups.push_back(Vec::new());
    }

    /// Takes the copies that a thread has waited for when so many of its newest groups may still run.
    fn wait(&mut self, lane: usize, newest: usize) -> Vec<(u32, u32)> {
        let groups = &mut self.groups[lane];
        // The open group is not committed, so it does not count.
        let done = groups.len().saturating_sub(1 + newest);
        groups.drain(..done).flatten().collect()
    }

    fn all(&mut self, lane: usize) -> Vec<(u32, u32)> {
        self.groups[lane].drain(..).flatten().collect()
    }
}

impl Block<'_> {
    /// The copies are there for the thread that waited.
    fn copied(&mut self, warp: &Warp, lane: usize, copies: Vec<(u32, u32)>) {
        if let Some(shadow) = &mut self.shadow {
            let me = Thread { agent: warp.index as u32, lane: lane as u32 };
            copies.into_iter().for_each(|(offset, bytes)| shadow.copied(me, offset, bytes));
        }
    }
}

pub fn decode(decoder: &mut Decoder) -> Decoded<Option<Run>> {
    let at = decoder.at;
    let has = |modifier| at.has(modifier);
    match () {
        () if has("reduce") => Err(decoder.unknown()),
        () if has("bulk") && has("commit_group") => Ok(None),
        () if has("bulk") && has("wait_group") => Ok(Some(Box::new(|warp, block| {
            if let Some(shadow) = &mut block.shadow {
                shadow.join(warp.index as u32, shadow.storer());
            }
            Ok(())
        }))),
        () if has("bulk") && has("prefetch") => Ok(None),
        () if has("bulk") && has("tensor") => tensor_copy::decode(decoder).map(Some),
        () if has("bulk") => bulk(decoder).map(Some),
        () if has("commit_group") => Ok(Some(Box::new(|warp, _| {
            lanes(warp.active).for_each(|lane| warp.copies.commit(lane));
            Ok(())
        }))),
        () if has("wait_group") => {
            let Operand::Immediate(Immediate::Integer(newest)) = decoder.operand(0)? else {
                return Err(decoder.unknown());
            };
            let newest = *newest as usize;
            Ok(Some(Box::new(move |warp, block| {
                for lane in lanes(warp.active) {
                    let copies = warp.copies.wait(lane, newest);
                    block.copied(warp, lane, copies);
                }
                Ok(())
            })))
        }
        () if has("wait_all") => Ok(Some(Box::new(|warp, block| {
            for lane in lanes(warp.active) {
                let copies = warp.copies.all(lane);
                block.copied(warp, lane, copies);
            }
            Ok(())
        }))),
        () if has("mbarrier") => arrive(decoder).map(Some),
        () => copy(decoder).map(Some),
    }
}

/// `cp.async.mbarrier.arrive`: an arrival when the copies of the thread have ended.
fn arrive(decoder: &mut Decoder) -> Decoded<Run> {
    let address = decoder.address(decoder.operand(0)?)?;
    let access =
        Access { space: Space::Shared, address, bytes: 8, kind: Kind::Read, strong: true, pattern: decoder.pattern() };
    // Without `noinc` the arrival was not counted when the barrier was made: it comes on top.
    let counted = decoder.at.has("noinc");
    Ok(Box::new(move |warp, block| {
        let located = block.locate(warp, &access)?;
        for lane in lanes(warp.active) {
            let copies = warp.copies.all(lane);
            block.copied(warp, lane, copies);
            let at = located.addresses[lane];
            if let Some(shadow) = &mut block.shadow {
                shadow.arrive(warp.index as u32, at);
            }
            block.change_barrier(warp, lane, at, u32::from(counted), 0)?;
        }
        Ok(())
    }))
}

/// `cp.async.ca.shared.global [to], [from], bytes, read;`
fn copy(decoder: &mut Decoder) -> Decoded<Run> {
    let (to, from) = (decoder.address(decoder.operand(0)?)?, decoder.address(decoder.operand(1)?)?);
    let Operand::Immediate(Immediate::Integer(bytes)) = decoder.operand(2)? else { return Err(decoder.unknown()) };
    let bytes = *bytes as u32;
    let ignores = match decoder.at.operands.get(3) {
        Some(Operand::Register(register)) if decoder.register_type(*register) == Type::Pred => {
            Some(decoder.predicate(decoder.operand(3)?)?)
        }
        _ => None,
    };
    let read = if decoder.at.operands.len() > 3 && ignores.is_none() && !is_policy(decoder, 3) {
        Some(decoder.source(3, Type::U32)?)
    } else {
        None
    };
    let target = Access {
        space: Space::Shared,
        address: to,
        bytes,
        kind: Kind::Write,
        strong: false,
        pattern: decoder.pattern(),
    };
    let source = Access {
        space: Space::Global,
        address: from,
        bytes,
        kind: Kind::Read,
        strong: false,
        pattern: decoder.pattern(),
    };
    Ok(Box::new(move |warp, block| {
        let ignored = ignores.map_or(0, |(p, negated)| if negated { !warp.predicate(p) } else { warp.predicate(p) });
        copy_lanes(warp, block, [&target, &source], read, ignored)
    }))
}

/// Whether an operand is a cache policy: those have 64 bits, sizes have 32.
fn is_policy(decoder: &Decoder, index: usize) -> bool {
    decoder.at.operands.get(index).is_some_and(|operand| decoder.slot_bytes(operand, 4) == 8)
}

fn copy_lanes(
    warp: &mut Warp,
    block: &mut Block,
    [target, source]: [&Access; 2],
    read: Option<Source>,
    ignored: u32,
) -> Done {
    let bytes = target.bytes;
    let to = block.locate(warp, target)?;
    let lengths = match read {
        Some(read) => warp.row::<u32>(read).map(|length| length.min(bytes)),
        None => [bytes; LANES],
    };
    let active = warp.active;
    let of = |length: u32| {
        let chosen = lanes(active & !ignored).filter(move |lane| lengths[*lane] == length);
        chosen.fold(0, |mask, lane| mask | 1 << lane)
    };
    let whole = of(bytes);
    // The lanes that copy all of it access memory together; shorter ones, which end a tensor, one by one.
    let mut pointers = [std::ptr::null_mut(); LANES];
    if whole != 0 {
        warp.active = whole;
        let from = block.locate(warp, source);
        warp.active = active;
        pointers = from?.pointers;
    }
    for lane in lanes(active) {
        let length = if ignored >> lane & 1 != 0 { 0 } else { lengths[lane] };
        if length > 0 && length < bytes {
            pointers[lane] = part(warp, block, source, lane, length)?;
        }
        let mut copied = [0_u8; 16];
        // SAFETY: `length` bytes of the source were found for this lane, and are at most 16.
        unsafe {
            std::ptr::copy_nonoverlapping(
                pointers[lane].cast_const(),
                copied.as_mut_ptr(),
                if length > 0 { length as usize } else { 0 },
            )
        };
        let offset = to.addresses[lane] as u32;
        if let Some(shadow) = &mut block.shadow {
            let me = Thread { agent: warp.index as u32, lane: lane as u32 };
            if let Err(conflict) = shadow.write(me, offset, bytes, Mode::Pending, false) {
                return Err(block.race(warp, lane, conflict, "write", offset.into(), bytes));
            }
            warp.copies.add(lane, offset, bytes);
        }
        // SAFETY: the target's bytes were found.
        unsafe { std::ptr::copy_nonoverlapping(copied.as_ptr(), to.pointers[lane], bytes as usize) };
    }
    Ok(())
}

/// The memory of a lane that reads less than it writes, checked a byte at a time.
fn part(
    warp: &mut Warp,
    block: &mut Block,
    source: &Access,
    lane: usize,
    length: u32,
) -> Result<*mut u8, Box<crate::fault::Fault>> {
    let active = std::mem::replace(&mut warp.active, 1 << lane);
    let mut start = Ok(std::ptr::null_mut());
    let base = super::access::addresses(warp, &source.address);
    if !base[lane].is_multiple_of(source.bytes.into()) {
        let what = format!("a misaligned cp.async from {:#x}", base[lane]);
        start = Err(block.fault(warp, code::MISALIGNED_ADDRESS, lane, what));
    }
    for index in 0..length {
        if start.is_ok() {
            let byte = Access { bytes: 1, ..*source };
            let found = block.locate_at(warp, &byte, base.map(|address| address + u64::from(index)));
            start = found.map(|_| base[lane] as *mut u8);
        }
    }
    warp.active = active;
    start
}

/// `cp.async.bulk` between shared and global memory, without a tensor map.
fn bulk(decoder: &mut Decoder) -> Decoded<Run> {
    let at = decoder.at;
    let space = |modifier: &String| match modifier.split("::").next() {
        Some("shared") => Some(Space::Shared),
        Some("global") => Some(Space::Global),
        _ => None,
    };
    let spaces: Vec<_> = at.modifiers.iter().filter_map(space).collect();
    let (to, from) = (decoder.address(decoder.operand(0)?)?, decoder.address(decoder.operand(1)?)?);
    let size = decoder.source(2, Type::U32)?;
    let (to_pattern, from_pattern, barrier_pattern) = (decoder.pattern(), decoder.pattern(), decoder.pattern());
    let loads = spaces.first() == Some(&Space::Shared) && spaces.get(1) == Some(&Space::Global);
    let stores = spaces.first() == Some(&Space::Global) && spaces.get(1) == Some(&Space::Shared);
    if !loads && !stores {
        return Err(decoder.unknown());
    }
    let barrier = if loads { Some(decoder.address(decoder.operand(3)?)?) } else { None };
    Ok(Box::new(move |warp, block| {
        let active = warp.active;
        for lane in lanes(active) {
            warp.active = 1 << lane;
            let bytes = warp.lane::<u32>(size, lane);
            let access =
                |address, space, kind, pattern| Access { space, address, bytes: 16, kind, strong: true, pattern };
            let target = access(to, spaces[0], Kind::Write, to_pattern);
            let source = access(from, spaces[1], Kind::Read, from_pattern);
            let (targets, sources) = (super::access::addresses(warp, &to), super::access::addresses(warp, &from));
            if !bytes.is_multiple_of(16) {
                let what = format!("a bulk copy of {bytes} bytes: they must be a multiple of 16");
                return Err(block.fault(warp, code::LAUNCH_FAILED, lane, what));
            }
            for part in (0..u64::from(bytes)).step_by(16) {
                let target = block.locate_at(warp, &target, targets.map(|address| address + part))?;
                let source = block.locate_at(warp, &source, sources.map(|address| address + part))?;
                block.note_agent(
                    warp,
                    lane,
                    loads,
                    if loads { &target } else { &source }.addresses[lane],
                    16,
                    part == 0,
                )?;
                // SAFETY: 16 bytes of each were found.
                unsafe { std::ptr::copy(source.pointers[lane], target.pointers[lane], 16) };
            }
            if let Some(barrier) = &barrier {
                let object = access(*barrier, Space::Shared, Kind::Read, barrier_pattern);
                let located = block.locate(warp, &Access { bytes: 8, ..object })?;
                block.land(warp, lane, located.addresses[lane], bytes)?;
            }
        }
        warp.active = active;
        Ok(())
    }))
}

impl Block<'_> {
    /// Notes that a copy accesses shared memory: by the agent of loads, which writes, or of stores, which reads.
    pub fn note_agent(&mut self, warp: &Warp, lane: usize, loads: bool, at: u64, bytes: u32, first: bool) -> Done {
        let Some(shadow) = &mut self.shadow else { return Ok(()) };
        let agent = if loads { shadow.loader() } else { shadow.storer() };
        if first {
            shadow.fork(warp.index as u32, agent);
        }
        let me = Thread { agent, lane: super::shadow::TOGETHER };
        let noted = if loads {
            shadow.write(me, at as u32, bytes, Mode::Plain, false)
        } else {
            shadow.read(me, at as u32, bytes)
        };
        let what = if loads { "write" } else { "read" };
        noted.map_err(|conflict| self.race(warp, lane, conflict, what, at, bytes))
    }

    /// A copy's bytes have come: its mbarrier counts them.
    pub fn land(&mut self, warp: &Warp, lane: usize, barrier: u64, bytes: u32) -> Done {
        if let Some(shadow) = &mut self.shadow {
            shadow.arrive(shadow.loader(), barrier);
        }
        self.change_barrier(warp, lane, barrier, 0, -(bytes.cast_signed())).map(drop)
    }
}
