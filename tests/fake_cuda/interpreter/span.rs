//! Bytes that are accessed at once: by a whole warp that moves a matrix, or by a copy that runs beside the threads.

use super::{
    block::Block,
    decode::window,
    shadow::{Mode, TOGETHER, Thread},
    space::{Found, Kind, Space, space_of},
    warp::Warp,
};
use crate::fault::code;

impl Block<'_> {
    /// Bytes of global memory that a copy or a whole warp accesses at once.
    pub fn span(&mut self, warp: &Warp, lane: usize, at: u64, bytes: u64, kind: Kind) -> Found<*mut u8> {
        if !self.launch.kernel.globals.holds(at, bytes) {
            let range = match self.allocations.find(at, bytes) {
                Ok(range) => range,
                Err(error) => {
                    let what = format!("a {} outside of memory: {error}", kind.name());
                    return Err(self.fault(warp, code::ILLEGAL_ADDRESS, lane, what));
                }
            };
            if kind == Kind::Write {
                range.mark_written(at, bytes);
            }
        }
        let sectors = (at + bytes).div_ceil(32) - at / 32;
        if kind == Kind::Read {
            self.counts.global_read_bytes += bytes;
            self.counts.global_read_sectors += sectors;
        } else {
            self.counts.global_written_bytes += bytes;
            self.counts.global_written_sectors += sectors;
        }
        Ok(at as *mut u8)
    }

    /// Bytes that a whole warp accesses together, in any space.
    pub fn span_in(
        &mut self,
        warp: &Warp,
        lane: usize,
        space: Space,
        at: u64,
        bytes: u64,
        kind: Kind,
    ) -> Found<*mut u8> {
        let (space, at) = match space {
            Space::Generic => (space_of(at), at & !window::MASK),
            space => (space, at),
        };
        let me = Thread { agent: warp.index as u32, lane: TOGETHER };
        match space {
            Space::Global => {
                let pointer = self.span(warp, lane, at, bytes, kind)?;
                let Some(shadow) = &mut self.shadow else { return Ok(pointer) };
                let noted = match kind {
                    Kind::Read if !shadow.touches_global(at, at + bytes) => Ok(()),
                    Kind::Read => shadow.read_global(me, at, bytes as u32),
                    _ => shadow.write_global(me, at, bytes as u32, Mode::Plain, false),
                };
                noted.map_err(|conflict| self.race(warp, lane, conflict, kind.name(), at, bytes as u32))?;
                Ok(pointer)
            }
            Space::Shared => {
                if at.saturating_add(bytes) > self.shared_bytes.into() {
                    let what = format!("a {} of {bytes} bytes at {at} is outside of shared memory", kind.name());
                    return Err(self.fault(warp, code::ILLEGAL_ADDRESS, lane, what));
                }
                if kind == Kind::Read {
                    self.counts.shared_read_bytes += bytes;
                } else {
                    self.counts.shared_written_bytes += bytes;
                }
                if let Some(shadow) = &mut self.shadow {
                    let noted = match kind {
                        Kind::Read => shadow.read(me, at as u32, bytes as u32),
                        _ => shadow.write(me, at as u32, bytes as u32, Mode::Plain, false),
                    };
                    noted.map_err(|conflict| self.race(warp, lane, conflict, kind.name(), at, bytes as u32))?;
                }
                Ok(self.shared().wrapping_add(at as usize))
            }
            _ => Err(self.fault(warp, code::ILLEGAL_ADDRESS, lane, "a matrix in local memory")),
        }
    }
}
