//! `ld` and `st`, of any width and vector.

use super::{
    Run,
    access::Shape,
    decode::{Decoded, Decoder},
    lane::{LANES, Row, Source, lanes},
    space::{Access, Kind, Located, Space},
    warp::Warp,
};
use crate::{
    fault::code,
    ptx::instruction::{self, Instruction, Operand, Type},
};

/// The most bytes that a lane accesses at once.
pub const WIDEST: usize = 64;

/// The space that an instruction names, or that of the variable.
pub fn space(at: &Instruction, place: Option<instruction::Space>) -> Space {
    let named = at.modifiers.iter().find_map(|modifier| match modifier.split("::").next()? {
        "global" | "const" => Some(Space::Global),
        "shared" => Some(Space::Shared),
        "local" => Some(Space::Local),
        "param" => Some(Space::Param),
        _ => None,
    });
    match (named, place) {
        // Arguments of a function are variables in local memory.
        (Some(Space::Param), Some(instruction::Space::Local)) => Space::Local,
        (Some(space), _) => space,
        (None, _) => Space::Generic,
    }
}

/// Whether an access may meet others without a barrier.
pub fn is_strong(at: &Instruction) -> bool {
    ["volatile", "relaxed", "acquire", "release", "acq_rel", "mmio"].iter().any(|modifier| at.has(modifier))
}

/// Where one element of a vector goes to or comes from.
#[derive(Clone, Copy)]
struct Element {
    row: Row,
    source: Source,
    wide: bool,
    /// Bits of the register that are kept: 16 of a narrow one.
    keep: u32,
}

pub fn decode(decoder: &mut Decoder) -> Decoded<Run> {
    let at = decoder.at;
    let load = at.name != "st";
    let ty = decoder.ty()?;
    let (values, address) = if load { (0, 1) } else { (1, 0) };
    let mut elements = Vec::new();
    for operand in Decoder::elements(decoder.operand(values)?) {
        let wide = decoder.slot_bytes(operand, ty.bytes()) == 8;
        let keep = match operand {
            Operand::Register(register) if decoder.register_type(*register).bytes() == 2 => 0xffff,
            _ => u32::MAX,
        };
        let element = if load {
            let row = decoder.target(operand, ty.bytes())?;
            Element { row, source: row.into(), wide, keep }
        } else {
            Element { row: Row(0), source: decoder.value(operand, ty)?, wide, keep }
        };
        elements.push(element);
    }
    let address = decoder.address(decoder.operand(address)?)?;
    let space = space(at, address.space);
    let bytes = ty.bytes() * elements.len() as u32;
    if bytes == 0 || bytes as usize > WIDEST || !bytes.is_power_of_two() {
        return Err(decoder.unknown());
    }
    let kind = if load { Kind::Read } else { Kind::Write };
    let access = Access { space, address, bytes, kind, strong: is_strong(at), pattern: decoder.pattern() };
    if let (Space::Param, Some(offset), true) = (space, address.fixed, load) {
        return Ok(parameter(offset as usize, ty, elements));
    }
    let signed = ty.is_signed();
    Ok(match (load, ty.bytes()) {
        (true, 1) => load_of::<1>(access, signed, elements),
        (true, 2) => load_of::<2>(access, signed, elements),
        (true, 4) => load_of::<4>(access, signed, elements),
        (true, 8) => load_of::<8>(access, signed, elements),
        (false, 1) => store_of::<1>(access, elements),
        (false, 2) => store_of::<2>(access, elements),
        (false, 4) => store_of::<4>(access, elements),
        (false, 8) => store_of::<8>(access, elements),
        _ => return Err(decoder.unknown()),
    })
}

/// A value of so many bytes, widened as its type says.
#[inline(always)]
fn widen<const B: usize>(raw: u64, signed: bool) -> u64 {
    let shift = 64 - 8 * B as u32;
    if signed { ((raw << shift).cast_signed() >> shift).cast_unsigned() } else { raw }
}

/// Reads `B` bytes.
///
/// # Safety
/// They are readable.
#[inline(always)]
unsafe fn read<const B: usize>(pointer: *const u8) -> u64 {
    // SAFETY: the caller's.
    unsafe {
        match B {
            1 => pointer.read().into(),
            2 => pointer.cast::<u16>().read_unaligned().into(),
            4 => pointer.cast::<u32>().read_unaligned().into(),
            _ => pointer.cast::<u64>().read_unaligned(),
        }
    }
}

fn load_of<const B: usize>(access: Access, signed: bool, elements: Vec<Element>) -> Run {
    Box::new(move |warp, block| {
        let located = block.locate(warp, &access)?;
        for (index, element) in elements.iter().enumerate() {
            let offset = index * B;
            if element.wide {
                let mut values = gather::<B>(&located, offset);
                values.iter_mut().for_each(|raw| *raw = widen::<B>(*raw, signed));
                warp.set(element.row, &values);
            } else if B == 4 && located.shape == Shape::Contiguous && elements.len() == 1 {
                // SAFETY: 32 lanes of 4 bytes lie one behind the other from the first pointer on, and were found.
                let values = unsafe { located.pointers[0].cast::<[u32; LANES]>().read_unaligned() };
                warp.set(element.row, &values);
            } else {
                let keep = element.keep;
                let raw = gather::<B>(&located, offset);
                let mut values = [0; LANES];
                for lane in 0..LANES {
                    values[lane] = widen::<B>(raw[lane], signed) as u32 & keep;
                }
                warp.set(element.row, &values);
            }
        }
        Ok(())
    })
}

/// One element of all lanes.
#[inline(always)]
fn gather<const B: usize>(located: &Located, offset: usize) -> [u64; LANES] {
    let mut values = [0; LANES];
    if located.shape == Shape::Uniform {
        // SAFETY: the first lane's address is that of all, and was found.
        values.fill(unsafe { read::<B>(located.pointers[0].add(offset)) });
        return values;
    }
    for (value, pointer) in values.iter_mut().zip(&located.pointers) {
        // SAFETY: every pointer is that of a lane that runs, or repeats one; they were found for all elements.
        *value = unsafe { read::<B>(pointer.add(offset)) };
    }
    values
}

/// A parameter: the same for all threads.
fn parameter(offset: usize, ty: Type, elements: Vec<Element>) -> Run {
    let size = ty.bytes() as usize;
    let signed = ty.is_signed();
    Box::new(move |warp, block| {
        for (index, element) in elements.iter().enumerate() {
            let at = offset + index * size;
            let Some(bytes) = block.launch.parameters.get(at..at + size) else {
                let what = format!("a read of {size} bytes at {at} is outside of the parameters");
                return Err(block.fault(warp, code::ILLEGAL_ADDRESS, warp.first(), what));
            };
            let mut raw = [0; 8];
            raw[..size].copy_from_slice(bytes);
            let raw = u64::from_le_bytes(raw);
            let value = match size {
                1 => widen::<1>(raw, signed),
                2 => widen::<2>(raw, signed),
                4 => widen::<4>(raw, signed),
                _ => raw,
            };
            if element.wide {
                warp.set(element.row, &[value; LANES]);
            } else {
                warp.set(element.row, &[value as u32 & element.keep; LANES]);
            }
        }
        Ok(())
    })
}

/// What one lane stores.
#[inline(always)]
fn stored<const B: usize>(warp: &Warp, elements: &[Element], lane: usize) -> [u8; WIDEST] {
    let mut bytes = [0; WIDEST];
    for (index, element) in elements.iter().enumerate() {
        let value = if element.wide {
            warp.lane::<u64>(element.source, lane)
        } else {
            warp.lane::<u32>(element.source, lane).into()
        };
        bytes[index * B..][..B].copy_from_slice(&value.to_le_bytes()[..B]);
    }
    bytes
}

fn store_of<const B: usize>(access: Access, elements: Vec<Element>) -> Run {
    let size = access.bytes as usize;
    Box::new(move |warp, block| {
        let located = block.locate(warp, &access)?;
        block.events += u64::from(access.strong);
        if block.shadow.is_none()
            && B == 4
            && located.shape == Shape::Contiguous
            && elements.len() == 1
            && !elements[0].wide
        {
            let values = warp.row::<u32>(elements[0].source);
            // SAFETY: as for a load.
            unsafe { located.pointers[0].cast::<[u32; LANES]>().write_unaligned(values) };
            return Ok(());
        }
        for lane in lanes(warp.active) {
            let bytes = stored::<B>(warp, &elements, lane);
            let pointer = located.pointers[lane];
            // SAFETY: the lane runs, so its bytes were found. Another block may write them at the same time, as on a card;
            // whoever does that reads what comes of it.
            let there = || unsafe { std::slice::from_raw_parts(pointer, size) } == &bytes[..size];
            block.note_write(warp, &access, &located, lane, there)?;
            // SAFETY: as above.
            unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), pointer, size) };
        }
        Ok(())
    })
}
