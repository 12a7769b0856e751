//! `cuTensorMapEncode*`: checks what the driver API's reference asks of a tensor map, and writes it.

use super::{api, driver, error, error::Answer};
use crate::tensor_map::{Mode, TensorMap};
use std::ffi::{c_int, c_void};

/// What all kinds of maps are given.
struct Common {
    data_type: c_int,
    rank: u32,
    base: *mut c_void,
    sizes: *const u64,
    strides: *const u64,
    element_strides: *const u32,
    interleave: c_int,
    swizzle: c_int,
    fill: c_int,
}

/// Bytes of an element of a `CUtensorMapDataType`.
fn element(data_type: c_int) -> Option<u8> {
    // u8 u16 u32 i32 u64 i64 f16 f32 f64 bf16 f32 (denormals flushed) tf32 tf32 (flushed), then packed 4 and 6 bits.
    const BYTES: [u8; 16] = [1, 2, 4, 4, 8, 8, 2, 4, 8, 2, 4, 4, 4, 1, 1, 1];
    usize::try_from(data_type).ok().and_then(|index| BYTES.get(index)).copied()
}

/// Bytes that the innermost side of a box may have at most with a `CUtensorMapSwizzle`.
fn span(swizzle: c_int) -> u64 {
    match swizzle {
        0 => u64::MAX,
        1 => 32,
        2 => 64,
        _ => 128,
    }
}

impl Common {
    /// The map, without its mode.
    unsafe fn map(&self, mode: Mode) -> Result<TensorMap, String> {
        let element = element(self.data_type).ok_or("an unknown type of elements")?;
        let rank = self.rank as usize;
        let must = |holds: bool, what: &str| if holds { Ok(()) } else { Err(what.to_owned()) };
        must((1..=5).contains(&rank), "a rank that is not 1 to 5")?;
        must(self.interleave == 0 || rank >= 3, "an interleaved tensor of fewer than 3 dimensions")?;
        must((0..=2).contains(&self.interleave) && (0..=6).contains(&self.swizzle), "an unknown layout")?;
        must(self.interleave != 2 || self.swizzle == 1, "an interleave of 32 bytes without a swizzle of 32")?;
        let align = if self.interleave == 2 { 32 } else { 16 };
        let base = self.base.expose_provenance() as u64;
        must(
            base != 0 && base.is_multiple_of(align),
            "an address that is not aligned to 16 bytes, or 32 if interleaved",
        )?;
        let (mut size, mut stride, mut element_stride) = ([1; 5], [0; 5], [1; 5]);
        stride[0] = u64::from(element);
        for dimension in 0..rank {
            // SAFETY: the caller gave `rank` sizes and element strides, and one stride fewer.
            let (long, step) = unsafe {
                (self.sizes.add(dimension).read_unaligned(), self.element_strides.add(dimension).read_unaligned())
            };
            must(long > 0, "a side of no elements")?;
            size[dimension] = u32::try_from(long).map_err(|_| "a side of 2^32 elements or more")?;
            must((1..=8).contains(&step), "an element stride that is not 1 to 8")?;
            element_stride[dimension] = step as u8;
            if dimension > 0 {
                // SAFETY: as above.
                let bytes = unsafe { self.strides.add(dimension - 1).read_unaligned() };
                must(bytes.is_multiple_of(align), "a stride that is not a multiple of 16 bytes, or 32 if interleaved")?;
                must(bytes < 1 << 40, "a stride of 2^40 bytes or more")?;
                stride[dimension] = bytes;
            }
        }
        must(self.fill == 0 || matches!(self.data_type, 6..=12), "NaN outside of a tensor of integers")?;
        Ok(TensorMap {
            data_type: self.data_type as u8,
            element,
            rank: self.rank as u8,
            interleave: self.interleave as u8,
            swizzle: self.swizzle as u8,
            fill_nan: self.fill != 0,
            base,
            size,
            stride,
            element_stride,
            mode,
        })
    }

    /// Writes the map if `check` finds nothing wrong with it, either.
    unsafe fn encode(
        &self,
        to: *mut [u8; 128],
        mode: Mode,
        check: impl FnOnce(&TensorMap) -> Result<(), &'static str>,
    ) -> Answer {
        let driver = driver();
        driver.board(0)?;
        // SAFETY: the caller of the C function vouches for the arrays.
        let map = unsafe { self.map(mode) }.and_then(|map| check(&map).map(|()| map).map_err(str::to_owned));
        match map {
            Ok(map) => super::give(to, map.encode()),
            Err(why) => {
                driver.report.finding(&format!("a tensor map is refused: {why}"));
                Err(error::INVALID_VALUE)
            }
        }
    }
}

/// Reads corners of a bounding box: one for each dimension but channels and images.
unsafe fn corners(from: *const c_int, rank: u32) -> [i32; 3] {
    let mut corners = [0; 3];
    for (index, corner) in corners.iter_mut().enumerate().take((rank as usize).saturating_sub(2)) {
        // SAFETY: the caller gave `rank - 2` of them.
        *corner = unsafe { from.add(index).read_unaligned() };
    }
    corners
}

/// What the two modes for convolutions ask.
fn pixels_fit(map: &TensorMap, channels: u32, pixels: u32) -> Result<(), &'static str> {
    if !(3..=5).contains(&map.rank) {
        return Err("im2col with fewer than 3 dimensions");
    }
    if channels > 256 || pixels > 1024 {
        return Err("more than 256 channels or 1,024 pixels");
    }
    if map.interleave == 0 && u64::from(channels) * u64::from(map.element) > span(map.swizzle.into()) {
        return Err("channels that are wider than the swizzle");
    }
    Ok(())
}

api! {
    fn cuTensorMapEncodeTiled(
        map: *mut [u8; 128], data_type: c_int, rank: u32, base: *mut c_void, sizes: *const u64, strides: *const u64,
        sides: *const u32, element_strides: *const u32, interleave: c_int, swizzle: c_int, _promotion: c_int,
        fill: c_int,
    ) {
        let common = Common { data_type, rank, base, sizes, strides, element_strides, interleave, swizzle, fill };
        let mut box_size = [1; 5];
        for (index, side) in box_size.iter_mut().enumerate().take(rank as usize) {
            *side = sides.add(index).read_unaligned();
        }
        common.encode(map, Mode::Tiled { box_size }, |map| {
            let inner = u64::from(box_size[0]) * u64::from(map.element);
            if box_size.iter().any(|side| !(1..=256).contains(side)) {
                return Err("a box side that is not 1 to 256");
            }
            if map.interleave == 0 && (inner % 16 != 0 || inner > span(map.swizzle.into())) {
                return Err("an inner box side that is no multiple of 16 bytes or wider than the swizzle");
            }
            Ok(())
        })
    }

    fn cuTensorMapEncodeIm2col(
        map: *mut [u8; 128], data_type: c_int, rank: u32, base: *mut c_void, sizes: *const u64, strides: *const u64,
        lower: *const c_int, upper: *const c_int, channels: u32, pixels: u32, element_strides: *const u32,
        interleave: c_int, swizzle: c_int, _promotion: c_int, fill: c_int,
    ) {
        let common = Common { data_type, rank, base, sizes, strides, element_strides, interleave, swizzle, fill };
        let (lower, upper) = (corners(lower, rank), corners(upper, rank));
        common.encode(map, Mode::Im2col { lower, upper, channels, pixels }, |map| {
            let reach = match map.rank {
                3 => -32_768..=32_767,
                4 => -128..=127,
                _ => -16..=15,
            };
            if !lower.iter().chain(&upper).all(|corner| reach.contains(corner)) {
                return Err("a corner out of its range");
            }
            pixels_fit(map, channels, pixels)
        })
    }
}

#[cfg(not(before_12_8))]
api! {
    fn cuTensorMapEncodeIm2colWide(
        map: *mut [u8; 128], data_type: c_int, rank: u32, base: *mut c_void, sizes: *const u64, strides: *const u64,
        lower: c_int, upper: c_int, channels: u32, pixels: u32, element_strides: *const u32, interleave: c_int,
        _mode: c_int, swizzle: c_int, _promotion: c_int, fill: c_int,
    ) {
        let common = Common { data_type, rank, base, sizes, strides, element_strides, interleave, swizzle, fill };
        common.encode(map, Mode::Im2colWide { lower, upper, channels, pixels }, |map| {
            if driver().boards.iter().all(|board| board.card.sm < 100) {
                return Err("im2col of width alone before compute capability 10.0");
            }
            pixels_fit(map, channels, pixels)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A map of a 64 × 32 tensor of f16 in boxes of `inner` × 8.
    fn tiled(base: usize, stride: u64, inner: u32) -> (c_int, [u8; 128]) {
        let (mut map, sizes, sides, steps) = ([0; 128], [64, 32], [inner, 8], [1, 1]);
        super::super::driver().initialised.store(true, std::sync::atomic::Ordering::Release);
        // SAFETY: the arrays have as many entries as the rank says.
        let code = unsafe {
            cuTensorMapEncodeTiled(
                &mut map,
                6,
                2,
                std::ptr::with_exposed_provenance_mut(base),
                sizes.as_ptr(),
                &stride,
                sides.as_ptr(),
                steps.as_ptr(),
                0,
                3,
                0,
                0,
            )
        };
        (code, map)
    }

    #[test]
    fn a_map_is_checked_as_the_reference_says() {
        let (code, map) = tiled(0x1000, 128, 64);
        let map = TensorMap::decode(&map).unwrap();
        assert_eq!((code, map.rank, map.stride[..2].to_vec(), map.size[1]), (0, 2, vec![2, 128], 32));
        assert_eq!(map.mode, Mode::Tiled { box_size: [64, 8, 1, 1, 1] });
        for (base, stride, inner) in [(0x1008, 128, 64), (0x1000, 120, 64), (0x1000, 128, 128), (0x1000, 128, 4)] {
            assert_eq!(tiled(base, stride, inner).0, 1, "{base:#x} {stride} {inner}");
        }
    }
}
