//! `cp.async.bulk.tensor`: boxes of a tensor between global and shared memory, as a tensor map describes them.

use super::{
    Done, Run,
    access::addresses,
    block::Block,
    decode::{Address, Decoded, Decoder},
    lane::{Source, lanes},
    number::{Rounding, round_to_tf32},
    space::{Access, Kind, Space},
    warp::Warp,
};
use crate::{
    fault::{Fault, code},
    ptx::instruction::{Operand, Type},
    tensor_map::{Mode, TensorMap},
};

/// One copy as it is decoded.
struct Copy {
    loads: bool,
    shared: Address,
    map: Access,
    coordinates: Vec<Source>,
    /// Where in its window each pixel lies, for im2col.
    offsets: Vec<Source>,
    barrier: Option<Access>,
}

pub fn decode(decoder: &mut Decoder) -> Decoded<Run> {
    let at = decoder.at;
    let loads = at.modifiers.iter().find(|modifier| matches!(modifier.split("::").next(), Some("shared" | "global")));
    let loads = loads.is_some_and(|space| space.starts_with("shared"));
    if ["im2col_no_offs", "tile::gather4", "tile::scatter4", "im2col::w", "im2col::w::128"]
        .iter()
        .any(|mode| at.has(mode))
        && loads
    {
        return Err(decoder.unknown());
    }
    let (shared, tensor) = if loads { (0, 1) } else { (1, 0) };
    let tensor = decoder.operand(tensor)?;
    let Operand::Address { coordinates, .. } = tensor else { return Err(decoder.unknown()) };
    let access =
        |address, space, bytes, pattern| Access { space, address, bytes, kind: Kind::Read, strong: true, pattern };
    let map = decoder.address(tensor)?;
    // The map is a parameter, whose generic address is given; its 128 bytes are read in parts.
    let map = access(map, Space::Generic, 64, decoder.pattern());
    let mut values = Vec::new();
    for coordinate in coordinates.iter().flat_map(Decoder::elements) {
        values.push(decoder.value(coordinate, Type::S32)?);
    }
    let mut offsets = Vec::new();
    if let Some(Operand::Vector(given)) = at.operands.get(3) {
        for offset in given {
            offsets.push(decoder.value(offset, Type::U16)?);
        }
    }
    let barrier = if loads {
        let barrier = decoder.address(decoder.operand(2)?)?;
        Some(access(barrier, Space::Shared, 8, decoder.pattern()))
    } else {
        None
    };
    let shared = decoder.address(decoder.operand(shared)?)?;
    let copy = Copy { loads, shared, map, coordinates: values, offsets, barrier };
    Ok(Box::new(move |warp, block| {
        let active = warp.active;
        for lane in lanes(active) {
            warp.active = 1 << lane;
            let done = copy.lane(warp, block, lane);
            warp.active = active;
            done?;
        }
        Ok(())
    }))
}

impl Copy {
    fn lane(&self, warp: &mut Warp, block: &mut Block, lane: usize) -> Done {
        let map = self.read_map(warp, block, lane)?;
        let mut start = [0_i64; 5];
        for (start, source) in start.iter_mut().zip(&self.coordinates) {
            *start = warp.lane::<u32>(*source, lane).cast_signed().into();
        }
        let at = addresses(warp, &self.shared)[lane] & u64::from(u32::MAX);
        let mut transfer = Transfer { block, warp, lane, map: &map, loads: self.loads, at, done: 0 };
        match map.mode {
            Mode::Tiled { box_size } => transfer.tile(start, box_size)?,
            Mode::Im2col { lower, upper, channels, pixels } => {
                let offsets: Vec<_> =
                    self.offsets.iter().map(|o| i64::from(warp.lane::<u32>(*o, lane) & 0xffff)).collect();
                let mut transfer = Transfer { block, warp, lane, map: &map, loads: self.loads, at, done: 0 };
                transfer.pixels(start, &offsets, (lower, upper), (channels, pixels))?;
                return self.finish(
                    warp,
                    block,
                    lane,
                    u64::from(channels) * u64::from(pixels) * u64::from(map.element),
                );
            }
            Mode::Im2colWide { .. } => {
                return Err(block.fault(
                    warp,
                    code::LAUNCH_FAILED,
                    lane,
                    "a tensor map of the mode im2col::w is unknown",
                ));
            }
        }
        let bytes = transfer.done;
        self.finish(warp, block, lane, bytes)
    }

    fn finish(&self, warp: &mut Warp, block: &mut Block, lane: usize, bytes: u64) -> Done {
        if let Some(barrier) = &self.barrier {
            let located = block.locate(warp, barrier)?;
            block.land(warp, lane, located.addresses[lane], bytes as u32)?;
        }
        Ok(())
    }

    fn read_map(&self, warp: &mut Warp, block: &mut Block, lane: usize) -> Result<TensorMap, Box<Fault>> {
        let mut bytes = [0; 128];
        let base = addresses(warp, &self.map.address);
        for (part, bytes) in bytes.chunks_exact_mut(64).enumerate() {
            let located = block.locate_at(warp, &self.map, base.map(|address| address + 64 * part as u64))?;
            // SAFETY: 64 bytes were found for the lane.
            bytes.copy_from_slice(unsafe { std::slice::from_raw_parts(located.pointers[lane], 64) });
        }
        match TensorMap::decode(&bytes) {
            Some(map) if usize::from(map.rank) == self.coordinates.len() => Ok(map),
            Some(map) => {
                let what = format!("a tensor map of rank {} with {} coordinates", map.rank, self.coordinates.len());
                Err(block.fault(warp, code::LAUNCH_FAILED, lane, what))
            }
            None => Err(block.fault(warp, code::LAUNCH_FAILED, lane, "there is no tensor map at this address")),
        }
    }
}

/// A copy that runs.
struct Transfer<'b, 'a> {
    block: &'b mut Block<'a>,
    warp: &'b Warp,
    lane: usize,
    map: &'b TensorMap,
    loads: bool,
    /// Where the box lies in shared memory.
    at: u64,
    /// Bytes of the box so far.
    done: u64,
}

/// Copies go in pieces of this size, which a swizzle keeps together.
const CHUNK: u64 = 16;

/// The place in shared memory that a swizzle gives to an address: the row within the pattern exchanges its chunks.
fn swizzled(address: u64, mode: u8) -> u64 {
    let rows = match mode {
        1 => 1,
        2 => 3,
        3 => 7,
        _ => 0,
    };
    address ^ (address >> 7 & rows) << 4
}

impl Transfer<'_, '_> {
    /// A box of a tiled tensor, the innermost dimension in runs.
    fn tile(&mut self, start: [i64; 5], size: [u32; 5]) -> Done {
        let rank = usize::from(self.map.rank);
        let step = self.map.element_stride.map(i64::from).map(|step| step.max(1));
        let mut counts = [1_u64; 5];
        for dimension in 0..rank {
            counts[dimension] = u64::from(size[dimension]).div_ceil(step[dimension].cast_unsigned());
        }
        let rows: u64 = counts[1..].iter().product();
        for row in 0..rows {
            let mut rest = row;
            let mut place = start;
            for dimension in 1..rank {
                place[dimension] += (rest % counts[dimension]) as i64 * step[dimension];
                rest /= counts[dimension];
            }
            if step[0] == 1 {
                self.run(place, counts[0])?;
            } else {
                for _ in 0..counts[0] {
                    self.run(place, 1)?;
                    place[0] += step[0];
                }
            }
        }
        Ok(())
    }

    /// Pixels of a bounding box, W first, then H, D and N, each with some channels.
    fn pixels(
        &mut self,
        start: [i64; 5],
        offsets: &[i64],
        (lower, upper): ([i32; 3], [i32; 3]),
        (channels, pixels): (u32, u32),
    ) -> Done {
        let spatial = usize::from(self.map.rank) - 2;
        let mut pixel = start;
        for _ in 0..pixels {
            let mut place = pixel;
            for (axis, offset) in offsets.iter().enumerate().take(spatial) {
                place[1 + axis] += offset;
            }
            self.run(place, channels.into())?;
            let mut axis = 0;
            while axis < spatial {
                pixel[1 + axis] += i64::from(self.map.element_stride[1 + axis].max(1));
                if pixel[1 + axis] <= i64::from(self.map.size[1 + axis]) - 1 + i64::from(upper[axis]) {
                    break;
                }
                pixel[1 + axis] = lower[axis].into();
                axis += 1;
            }
            if axis == spatial {
                pixel[1 + spatial] += 1;
            }
        }
        Ok(())
    }

    /// Elements that follow each other in the innermost dimension; those outside of the tensor are zero or NaN.
    fn run(&mut self, place: [i64; 5], count: u64) -> Done {
        let element = u64::from(self.map.element);
        let rank = usize::from(self.map.rank);
        let inside = (1..rank).all(|dimension| (0..i64::from(self.map.size[dimension])).contains(&place[dimension]));
        let width = i64::from(self.map.size[0]);
        let first = place[0].clamp(0, width);
        let last = (place[0] + count as i64).clamp(0, width);
        let (first, last) = if inside && first < last { (first, last) } else { (place[0], place[0]) };
        let before = (first - place[0]).cast_unsigned() * element;
        let bytes = (last - first).cast_unsigned() * element;
        let mut row = vec![0_u8; (count * element) as usize];
        if bytes > 0 {
            let outer =
                (1..rank).map(|dimension| place[dimension].cast_unsigned().wrapping_mul(self.map.stride[dimension]));
            let address = self.map.base + first.cast_unsigned() * element + outer.sum::<u64>();
            let kind = if self.loads { Kind::Read } else { Kind::Write };
            let memory = self.block.span(self.warp, self.lane, address, bytes, kind)?;
            if self.loads {
                // SAFETY: so many bytes were found.
                let tensor = unsafe { std::slice::from_raw_parts(memory, bytes as usize) };
                let inside = &mut row[before as usize..][..bytes as usize];
                inside.copy_from_slice(tensor);
                self.block.poison_copy(self.warp, self.lane, address, inside);
                self.convert(&mut row);
                self.shared(&mut row)?;
            } else {
                self.shared(&mut row)?;
                // SAFETY: so many bytes were found.
                unsafe { std::ptr::copy_nonoverlapping(row[before as usize..].as_ptr(), memory, bytes as usize) };
            }
        } else {
            self.shared(&mut row)?;
        }
        self.done += count * element;
        Ok(())
    }

    /// `CU_TENSOR_MAP_DATA_TYPE_TFLOAT32` rounds on the way; what is outside may be asked to be NaN.
    fn convert(&self, row: &mut [u8]) {
        const TFLOAT32: u8 = 11;
        const TFLOAT32_FTZ: u8 = 12;
        if matches!(self.map.data_type, TFLOAT32 | TFLOAT32_FTZ) {
            for bytes in row.chunks_exact_mut(4) {
                let value = f32::from_bits(u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]));
                bytes.copy_from_slice(&round_to_tf32(value, Rounding::NearestAway).to_le_bytes());
            }
        }
    }

    /// Writes a row into shared memory, or reads it.
    fn shared(&mut self, row: &mut [u8]) -> Done {
        let mut from = 0;
        while from < row.len() {
            let linear = self.at + self.done + from as u64;
            let length = (CHUNK - linear % CHUNK).min((row.len() - from) as u64);
            let at = swizzled(linear, self.map.swizzle);
            if at + length > self.block.shared_bytes.into() {
                let what = format!("a tensor copy of {length} bytes at {at} is outside of shared memory");
                return Err(self.block.fault(self.warp, code::ILLEGAL_ADDRESS, self.lane, what));
            }
            self.block.note_agent(self.warp, self.lane, self.loads, at, length as u32, self.done == 0 && from == 0)?;
            let pointer = self.block.shared().wrapping_add(at as usize);
            let part = &mut row[from..from + length as usize];
            // SAFETY: the bytes lie in shared memory, which nobody else refers to now.
            let memory = unsafe { std::slice::from_raw_parts_mut(pointer, part.len()) };
            if self.loads {
                memory.copy_from_slice(part);
            } else {
                part.copy_from_slice(memory);
            }
            from += length as usize;
        }
        let bytes = row.len() as u64;
        if self.loads {
            self.block.counts.shared_written_bytes += bytes;
        } else {
            self.block.counts.shared_read_bytes += bytes;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_swizzle_exchanges_the_chunks_of_each_row() {
        for mode in 0..4 {
            let mut places: Vec<_> = (0..64).map(|chunk| swizzled(chunk * CHUNK, mode)).collect();
            places.sort_unstable();
            assert!(places.into_iter().eq((0..64).map(|chunk| chunk * CHUNK)), "nothing is lost in mode {mode}");
        }
        assert_eq!(swizzled(128, 3), 128 + 16);
        assert_eq!(swizzled(128 * 7 + 16, 3), 128 * 7 + 16 * 6);
    }
}
