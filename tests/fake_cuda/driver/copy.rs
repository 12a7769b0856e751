//! Copies and memsets.

use super::{
    api, context, driver, error,
    error::Answer,
    handle::Handle,
    stream,
    stream::Stream,
    work::{Copy, Fill, Side, Work},
};
use std::{
    ffi::{c_int, c_uchar, c_uint, c_ushort, c_void},
    sync::Arc,
};

/// `CUDA_MEMCPY2D`.
#[repr(C)]
pub struct Copy2d {
    source_x: usize,
    source_y: usize,
    source_type: c_int,
    source_host: *const c_void,
    source_device: u64,
    source_array: Handle,
    source_pitch: usize,
    target_x: usize,
    target_y: usize,
    target_type: c_int,
    target_host: *mut c_void,
    target_device: u64,
    target_array: Handle,
    target_pitch: usize,
    width: usize,
    height: usize,
}

fn pointer(address: u64) -> *const u8 {
    std::ptr::with_exposed_provenance(address as usize)
}

fn host(address: *const c_void) -> Side {
    side(address.expose_provenance() as u64)
}

impl Copy2d {
    /// Rows of the host to rows of the card.
    #[cfg(test)]
    pub fn to_card(
        source: *const c_void,
        source_pitch: usize,
        target: u64,
        target_pitch: usize,
        width: usize,
        height: usize,
    ) -> Self {
        let (none, target_device) = (std::ptr::null_mut(), target);
        Self {
            source_x: 0,
            source_y: 0,
            source_type: 1,
            source_host: source,
            source_device: 0,
            source_array: none,
            source_pitch,
            target_x: 0,
            target_y: 0,
            target_type: 2,
            target_host: none,
            target_device,
            target_array: none,
            target_pitch,
            width,
            height,
        }
    }

    /// The copy that it asks for; arrays are for textures, which nobody here uses.
    fn copy(&self) -> Answer<Copy> {
        let start = |kind: c_int, of_host: *const c_void, of_device: u64, x: usize, y: usize, pitch: usize| {
            let start = match kind {
                1 => of_host.expose_provenance() as u64,
                2 | 4 => of_device,
                _ => return Err(error::NOT_SUPPORTED),
            };
            let start = start + (y * pitch + x) as u64;
            Ok(if kind == 2 { Side::Known(start) } else { side(start) })
        };
        let (sx, sy, tx, ty) = (self.source_x, self.source_y, self.target_x, self.target_y);
        Ok(Copy {
            source: start(self.source_type, self.source_host, self.source_device, sx, sy, self.source_pitch)?,
            source_pitch: self.source_pitch as u64,
            target: start(self.target_type, self.target_host, self.target_device, tx, ty, self.target_pitch)?,
            target_pitch: self.target_pitch as u64,
            width: self.width as u64,
            height: self.height as u64,
        })
    }
}

/// A side of a copy, by whose memory it is.
fn side(address: u64) -> Side {
    match driver().memory.snapshot().find(address, 1) {
        Ok(_) => Side::Known(address),
        Err(_) => Side::Host(address),
    }
}

/// Refuses a copy or a memset with memory that is not there.
fn refuse(what: &str, why: Result<(), String>) -> Answer {
    why.map_err(|why| {
        driver().report.finding(&format!("{what}: {why}"));
        error::INVALID_VALUE
    })
}

/// Issues a copy. Pageable memory of the host is read at once, and a copy to it is waited for, as CUDA does.
fn copy(stream: &Arc<Stream>, mut copy: Copy) -> Answer {
    if copy.width == 0 || copy.height == 0 {
        return Ok(());
    }
    if copy.height > 1 && (copy.width > copy.source_pitch || copy.width > copy.target_pitch) {
        return Err(error::INVALID_VALUE);
    }
    refuse("a copy", copy.check(&driver().memory.snapshot()))?;
    let captured = stream::is_captured(stream);
    let pageable = matches!((&copy.source, &copy.target), (Side::Host(_), _) | (_, Side::Host(_)));
    if captured && pageable {
        driver()
            .report
            .finding("a copy from or to pageable memory is captured: each launch of the graph uses it again");
    }
    if let (Side::Host(address), false) = (&copy.source, captured) {
        let rows = (0..copy.height).flat_map(|row| {
            let start = pointer(address + row * copy.source_pitch);
            // SAFETY: the program gave this memory to be read until the copy is done.
            unsafe { std::slice::from_raw_parts(start, copy.width as usize) }.iter().copied()
        });
        copy.source = Side::Staged(rows.collect());
        copy.source_pitch = copy.width;
    }
    let wait = matches!(copy.target, Side::Host(_)) && !captured;
    stream::submit(stream, Work::Copy(copy))?;
    if wait {
        stream.synchronize();
        driver().boards[stream.board].healthy()?;
    }
    Ok(())
}

fn row(source: Side, target: Side, bytes: usize) -> Copy {
    let width = bytes as u64;
    Copy { source, source_pitch: width, target, target_pitch: width, width, height: 1 }
}

/// A copy in the legacy stream that the host waits for.
fn copy_now(name: &str, copied: Copy) -> Answer {
    let context = context::current()?;
    stream::potentially_unsafe(name)?;
    copy(&context.legacy, copied)?;
    context.legacy.synchronize();
    context.board().healthy()
}

fn fill(stream: &Arc<Stream>, fill: Fill) -> Answer {
    if fill.width == 0 || fill.height == 0 {
        return Ok(());
    }
    if !fill.address.is_multiple_of(fill.unit) || fill.height > 1 && fill.width > fill.pitch {
        return Err(error::INVALID_VALUE);
    }
    refuse("a memset", fill.check(&driver().memory.snapshot()))?;
    stream::submit(stream, Work::Fill(fill))
}

fn cells(address: u64, value: u32, unit: u64, count: usize) -> Fill {
    let width = count as u64 * unit;
    Fill { address, pitch: width, value, unit, width, height: 1 }
}

fn fill_now(name: &str, filled: Fill) -> Answer {
    let context = context::current()?;
    stream::potentially_unsafe(name)?;
    fill(&context.legacy, filled)?;
    context.legacy.synchronize();
    context.board().healthy()
}

api! {
    fn cuMemcpyHtoDAsync_v2(target: u64, source: *const c_void, bytes: usize, stream: Handle) {
        copy(&stream::of(stream)?, row(host(source), Side::Known(target), bytes))
    }

    fn cuMemcpyDtoHAsync_v2(target: *mut c_void, source: u64, bytes: usize, stream: Handle) {
        copy(&stream::of(stream)?, row(Side::Known(source), host(target), bytes))
    }

    fn cuMemcpyDtoDAsync_v2(target: u64, source: u64, bytes: usize, stream: Handle) {
        copy(&stream::of(stream)?, row(Side::Known(source), Side::Known(target), bytes))
    }

    fn cuMemcpyAsync(target: u64, source: u64, bytes: usize, stream: Handle) {
        copy(&stream::of(stream)?, row(side(source), side(target), bytes))
    }

    fn cuMemcpyPeerAsync(
        target: u64, _to: Handle, source: u64, _from: Handle, bytes: usize, stream: Handle,
    ) {
        copy(&stream::of(stream)?, row(Side::Known(source), Side::Known(target), bytes))
    }

    fn cuMemcpyHtoD_v2(target: u64, source: *const c_void, bytes: usize) {
        copy_now("cuMemcpyHtoD_v2", row(host(source), Side::Known(target), bytes))
    }

    fn cuMemcpyDtoH_v2(target: *mut c_void, source: u64, bytes: usize) {
        copy_now("cuMemcpyDtoH_v2", row(Side::Known(source), host(target), bytes))
    }

    fn cuMemcpyDtoD_v2(target: u64, source: u64, bytes: usize) {
        copy_now("cuMemcpyDtoD_v2", row(Side::Known(source), Side::Known(target), bytes))
    }

    fn cuMemcpy(target: u64, source: u64, bytes: usize) {
        copy_now("cuMemcpy", row(side(source), side(target), bytes))
    }

    fn cuMemcpy2DAsync_v2(what: *const Copy2d, stream: Handle) {
        let what = what.as_ref().ok_or(error::INVALID_VALUE)?;
        copy(&stream::of(stream)?, what.copy()?)
    }

    fn cuMemcpy2D_v2(what: *const Copy2d) {
        copy_now("cuMemcpy2D_v2", what.as_ref().ok_or(error::INVALID_VALUE)?.copy()?)
    }

    fn cuMemsetD8Async(address: u64, value: c_uchar, count: usize, stream: Handle) {
        fill(&stream::of(stream)?, cells(address, value.into(), 1, count))
    }

    fn cuMemsetD16Async(address: u64, value: c_ushort, count: usize, stream: Handle) {
        fill(&stream::of(stream)?, cells(address, value.into(), 2, count))
    }

    fn cuMemsetD32Async(address: u64, value: c_uint, count: usize, stream: Handle) {
        fill(&stream::of(stream)?, cells(address, value, 4, count))
    }

    fn cuMemsetD8_v2(address: u64, value: c_uchar, count: usize) {
        fill_now("cuMemsetD8_v2", cells(address, value.into(), 1, count))
    }

    fn cuMemsetD32_v2(address: u64, value: c_uint, count: usize) {
        fill_now("cuMemsetD32_v2", cells(address, value, 4, count))
    }
}
