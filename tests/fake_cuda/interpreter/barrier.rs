//! `mbarrier`: barriers in shared memory that count arrivals and the bytes of asynchronous copies.
//!
//! An object takes 8 bytes. Their layout is nowhere given; this one is our own: the phase, the arrivals that are still
//! missing, those that a phase expects, and the bytes that are still to come.

use super::{
    Done, Run,
    block::Block,
    decode::{Decoded, Decoder},
    lane::{LANES, lanes},
    load_store,
    space::{Access, Kind, Space},
    warp::Warp,
};
use crate::{
    fault::{Fault, code},
    ptx::instruction::{Operand, Type},
};

/// Bits of the counts of arrivals.
const COUNT_BITS: u32 = 20;
/// Bits of the count of bytes, which may be below zero for a while.
const BYTES_BITS: u32 = 23;

/// A barrier as it stands in its object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct State {
    phase: bool,
    pending: u32,
    expected: u32,
    bytes: i32,
}

impl State {
    fn unpack(raw: u64) -> Self {
        let count = (1 << COUNT_BITS) - 1;
        let bytes = (raw as u32) << (32 - BYTES_BITS);
        Self {
            phase: raw >> 63 != 0,
            pending: (raw >> (BYTES_BITS + COUNT_BITS)) as u32 & count,
            expected: (raw >> BYTES_BITS) as u32 & count,
            bytes: bytes.cast_signed() >> (32 - BYTES_BITS),
        }
    }

    fn pack(self) -> u64 {
        let bytes = self.bytes.cast_unsigned() & ((1 << BYTES_BITS) - 1);
        u64::from(self.phase) << 63
            | u64::from(self.pending) << (BYTES_BITS + COUNT_BITS)
            | u64::from(self.expected) << BYTES_BITS
            | u64::from(bytes)
    }
}

impl Block<'_> {
    /// The barrier at an offset of shared memory.
    fn barrier(&mut self, warp: &Warp, lane: usize, at: u64) -> Result<*mut u64, Box<Fault>> {
        if !at.is_multiple_of(8) || at.saturating_add(8) > self.shared_bytes.into() {
            let what = format!("an mbarrier at {at} is misaligned or outside of shared memory");
            return Err(self.fault(warp, code::ILLEGAL_ADDRESS, lane, what));
        }
        Ok(self.shared().wrapping_add(at as usize).cast())
    }

    /// Changes a barrier, ends its phase if it is complete, and gives the state before.
    pub fn change_barrier(
        &mut self,
        warp: &Warp,
        lane: usize,
        at: u64,
        arrivals: u32,
        bytes: i32,
    ) -> Result<u64, Box<Fault>> {
        let pointer = self.barrier(warp, lane, at)?;
        // SAFETY: it lies in shared memory and is aligned.
        let before = unsafe { pointer.read() };
        let mut state = State::unpack(before);
        if state.expected == 0 {
            return Err(self.fault(
                warp,
                code::LAUNCH_FAILED,
                lane,
                format!("there is no mbarrier at {at}: nobody made one"),
            ));
        }
        if arrivals > state.pending {
            let what = format!("an mbarrier expects {} more arrivals, and {arrivals} come", state.pending);
            return Err(self.fault(warp, code::LAUNCH_FAILED, lane, what));
        }
        state.pending -= arrivals;
        state.bytes += bytes;
        let complete = state.pending == 0 && state.bytes == 0;
        if complete {
            state.phase = !state.phase;
            state.pending = state.expected;
        }
        // SAFETY: as above.
        unsafe { pointer.write(state.pack()) };
        self.events += 1;
        if complete && let Some(shadow) = &mut self.shadow {
            shadow.complete(at);
        }
        Ok(before)
    }
}

/// What a lane's operation is given: its barrier's place, and two operands.
type Step = fn(&mut Block, &mut Warp, usize, u64, [u64; 2]) -> Result<u64, Box<Fault>>;

fn init(block: &mut Block, warp: &mut Warp, lane: usize, at: u64, [count, _]: [u64; 2]) -> Result<u64, Box<Fault>> {
    let pointer = block.barrier(warp, lane, at)?;
    let count = count as u32;
    if count == 0 || count >= 1 << COUNT_BITS {
        return Err(block.fault(warp, code::LAUNCH_FAILED, lane, format!("an mbarrier can't expect {count} arrivals")));
    }
    let state = State { phase: false, pending: count, expected: count, bytes: 0 };
    // SAFETY: it lies in shared memory and is aligned.
    unsafe { pointer.write(state.pack()) };
    if let Some(shadow) = &mut block.shadow {
        shadow.settle(at as u32, 8);
    }
    Ok(0)
}

fn invalidate(block: &mut Block, warp: &mut Warp, lane: usize, at: u64, _: [u64; 2]) -> Result<u64, Box<Fault>> {
    let pointer = block.barrier(warp, lane, at)?;
    // SAFETY: as above.
    unsafe { pointer.write(0) };
    Ok(0)
}

fn expect(block: &mut Block, warp: &mut Warp, lane: usize, at: u64, [bytes, _]: [u64; 2]) -> Result<u64, Box<Fault>> {
    block.change_barrier(warp, lane, at, 0, bytes as i32)
}

fn complete(block: &mut Block, warp: &mut Warp, lane: usize, at: u64, [bytes, _]: [u64; 2]) -> Result<u64, Box<Fault>> {
    block.change_barrier(warp, lane, at, 0, -(bytes as i32))
}

fn arrive(
    block: &mut Block,
    warp: &mut Warp,
    lane: usize,
    at: u64,
    [count, bytes]: [u64; 2],
) -> Result<u64, Box<Fault>> {
    if let Some(shadow) = &mut block.shadow {
        shadow.arrive(warp.index as u32, at);
    }
    block.change_barrier(warp, lane, at, count as u32, bytes as i32)
}

/// The instructions that change a barrier.
fn steps(decoder: &mut Decoder, step: Step, first: usize, gives: bool) -> Decoded<Run> {
    let at = decoder.at;
    let access = object(decoder, first)?;
    let d = match decoder.operand(0)? {
        target @ Operand::Register(_) if gives => Some(decoder.target(target, 8)?),
        _ => None,
    };
    let arrives = at.has("arrive") || at.has("arrive_drop");
    if at.has("arrive_drop") || at.has("noComplete") {
        return Err(decoder.unknown());
    }
    let one = decoder.constant(u64::from(arrives), 4);
    let zero = decoder.constant(0, 4);
    let given = match at.operands.get(first + 1) {
        Some(_) => Some(decoder.source(first + 1, Type::U32)?),
        None => None,
    };
    let operands = match (arrives, at.has("expect_tx")) {
        (true, true) => [one, given.unwrap_or(zero)],
        (true, false) => [given.unwrap_or(one), zero],
        (false, _) => [given.unwrap_or(zero), zero],
    };
    Ok(Box::new(move |warp, block| {
        let located = block.locate(warp, &access)?;
        for lane in lanes(warp.active) {
            let values = operands.map(|source| u64::from(warp.lane::<u32>(source, lane)));
            let before = step(block, warp, lane, located.addresses[lane], values)?;
            if let Some(d) = d {
                warp.set_lane(d, lane, before);
            }
        }
        Ok(())
    }))
}

/// The access to a barrier's object: no data, so it takes no part in races.
fn object(decoder: &mut Decoder, operand: usize) -> Decoded<Access> {
    let address = decoder.address(decoder.operand(operand)?)?;
    let space = match load_store::space(decoder.at, address.space) {
        Space::Generic => Space::Generic,
        _ => Space::Shared,
    };
    Ok(Access { space, address, bytes: 8, kind: Kind::Read, strong: true, pattern: decoder.pattern() })
}

/// `test_wait` and `try_wait`: whether the phase has ended; a warp whose lanes must wait lets others run.
fn wait(decoder: &mut Decoder) -> Decoded<Run> {
    let at = decoder.at;
    let d = decoder.target(decoder.operand(0)?, 4)?;
    let access = object(decoder, 1)?;
    let parity = at.has("parity");
    let state = decoder.source(2, if parity { Type::U32 } else { Type::B64 })?;
    Ok(Box::new(move |warp, block| -> Done {
        let located = block.locate(warp, &access)?;
        let mut ended = 0;
        for lane in lanes(warp.active) {
            let at = located.addresses[lane];
            let pointer = block.barrier(warp, lane, at)?;
            // SAFETY: it lies in shared memory and is aligned.
            let now = State::unpack(unsafe { pointer.read() });
            if now.expected == 0 {
                let what = format!("there is no mbarrier at {at}: nobody made one");
                return Err(block.fault(warp, code::LAUNCH_FAILED, lane, what));
            }
            let asked =
                if parity { warp.lane::<u32>(state, lane) & 1 != 0 } else { warp.lane::<u64>(state, lane) >> 63 != 0 };
            if now.phase != asked {
                ended |= 1 << lane;
                if let Some(shadow) = &mut block.shadow {
                    shadow.wait(warp.index as u32, at);
                }
            }
        }
        warp.set_predicate(d, ended);
        warp.sleeps = ended & warp.active != warp.active;
        Ok(())
    }))
}

pub fn decode(decoder: &mut Decoder) -> Decoded<Run> {
    let at = decoder.at;
    let first = usize::from(!matches!(at.operands.first(), Some(Operand::Address { .. })));
    match at.modifiers.first().map(String::as_str) {
        Some("init") => steps(decoder, init, 0, false),
        Some("inval") => steps(decoder, invalidate, 0, false),
        Some("expect_tx") => steps(decoder, expect, 0, false),
        Some("complete_tx") => steps(decoder, complete, 0, false),
        Some("arrive") => steps(decoder, arrive, first, first == 1),
        Some("test_wait" | "try_wait") => wait(decoder),
        Some("pending_count") => {
            let (d, a) = (decoder.target(decoder.operand(0)?, 4)?, decoder.source(1, Type::B64)?);
            Ok(Box::new(move |warp, _| {
                let states = warp.row::<u64>(a);
                let mut pending = [0; LANES];
                for lane in 0..LANES {
                    pending[lane] = State::unpack(states[lane]).pending;
                }
                warp.set(d, &pending);
                Ok(())
            }))
        }
        _ => Err(decoder.unknown()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_survives_packing() {
        for bytes in [0, 1, -1, 100_000, -100_000] {
            let state = State { phase: true, pending: 7, expected: (1 << 20) - 1, bytes };
            assert_eq!(State::unpack(state.pack()), state);
        }
    }
}
