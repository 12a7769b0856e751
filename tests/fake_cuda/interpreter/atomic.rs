//! `atom` and `red`: one lane after the other, atomically for the other threads of this process, too.

use super::{
    Run,
    decode::{Decoded, Decoder},
    float::{larger, smaller},
    lane::{Row, Source, lanes},
    load_store,
    number::{Bf16, F16, Narrow},
    space::{Access, Kind, Space},
};
use crate::ptx::instruction::{Operand, Type};
use std::sync::atomic::{AtomicU8, AtomicU16, AtomicU32, AtomicU64, Ordering::Relaxed};

/// The new value, from the old one and the operands.
type Update = fn(old: u64, b: u64, c: u64) -> u64;

/// One element of an operation, or of a vector of them.
struct Element {
    target: Option<Row>,
    b: Source,
    c: Source,
    wide: bool,
}

pub fn decode(decoder: &mut Decoder) -> Decoded<Run> {
    let at = decoder.at;
    let ty = decoder.ty()?;
    let first = usize::from(at.name == "atom");
    let address = decoder.address(decoder.operand(first)?)?;
    let space = load_store::space(at, address.space);
    let update = update(decoder, ty)?;
    let raw = raw_type(ty);
    let values = Decoder::elements(decoder.operand(first + 1)?);
    let targets = if first == 1 { Decoder::elements(decoder.operand(0)?) } else { &[] };
    let mut elements = Vec::new();
    for (index, value) in values.iter().enumerate() {
        let target = match targets.get(index) {
            Some(Operand::Sink) | None => None,
            Some(target) => Some(decoder.target(target, ty.bytes())?),
        };
        let b = decoder.value(value, raw)?;
        // A third operand is the new value of `cas`, or a cache policy, which nothing depends on.
        let c = if at.has("cas") { decoder.source(first + 2, raw)? } else { b };
        elements.push(Element { target, b, c, wide: ty.bytes() == 8 });
    }
    let (width, count) = (ty.bytes(), elements.len());
    let bytes = width * count as u32;
    let access = Access { space, address, bytes, kind: Kind::Atomic, strong: true, pattern: decoder.pattern() };
    Ok(Box::new(move |warp, block| {
        let located = block.locate(warp, &access)?;
        block.counts.atomics += u64::from(warp.active.count_ones());
        block.events += 1;
        for lane in lanes(warp.active) {
            if located.space == Space::Shared {
                block.note_atomic_read(warp, &access, &located, lane)?;
            }
            block.note_write(warp, &access, &located, lane, || false)?;
            for (index, element) in elements.iter().enumerate() {
                let read = |source| {
                    if element.wide { warp.lane::<u64>(source, lane) } else { warp.lane::<u32>(source, lane).into() }
                };
                let (b, c) = (read(element.b), read(element.c));
                let pointer = located.pointers[lane].wrapping_add(index * width as usize);
                // SAFETY: the lane runs, so the bytes were found, and they are aligned.
                let old = unsafe { exchange(pointer, width, |old| update(old, b, c)) };
                match element.target {
                    Some(row) if element.wide => warp.set_lane(row, lane, old),
                    Some(row) => warp.set_lane(row, lane, old as u32),
                    None => {}
                }
            }
        }
        Ok(())
    }))
}

/// The type by which the operands' bits are read.
fn raw_type(ty: Type) -> Type {
    match ty.bytes() {
        2 => Type::B16,
        8 if ty == Type::F64 => Type::F64,
        8 => Type::B64,
        _ if ty == Type::F32 => Type::F32,
        _ => Type::B32,
    }
}

/// Replaces a value in memory by one computed from it, and gives the old one.
///
/// # Safety
/// The bytes are readable and writable, and the pointer is aligned to them.
unsafe fn exchange(pointer: *mut u8, bytes: u32, f: impl Fn(u64) -> u64) -> u64 {
    macro_rules! with {
        ($atomic:ty, $int:ty) => {{
            // SAFETY: the caller's.
            let cell = unsafe { <$atomic>::from_ptr(pointer.cast()) };
            let mut old = cell.load(Relaxed);
            while let Err(now) = cell.compare_exchange_weak(old, f(old.into()) as $int, Relaxed, Relaxed) {
                old = now;
            }
            u64::from(old)
        }};
    }
    match bytes {
        1 => with!(AtomicU8, u8),
        2 => with!(AtomicU16, u16),
        4 => with!(AtomicU32, u32),
        _ => with!(AtomicU64, u64),
    }
}

fn single(f: impl Fn(f32, f32) -> f32, old: u64, b: u64) -> u64 {
    f(f32::from_bits(old as u32), f32::from_bits(b as u32)).to_bits().into()
}

fn narrow<H: Narrow>(f: impl Fn(f32, f32) -> f32, old: u64, b: u64) -> u64 {
    H::rounded(f(H::new(old as u16).single(), H::new(b as u16).single())).bits().into()
}

fn pair<H: Narrow>(f: impl Fn(f32, f32) -> f32, old: u64, b: u64) -> u64 {
    narrow::<H>(&f, old, b) | narrow::<H>(&f, old >> 16, b >> 16) << 16
}

fn plus(a: f32, b: f32) -> f32 {
    a + b
}

fn update(decoder: &Decoder, ty: Type) -> Decoded<Update> {
    let at = decoder.at;
    let names = ["add", "min", "max", "and", "or", "xor", "exch", "cas", "inc", "dec"];
    let name = names.into_iter().find(|name| at.has(name)).unwrap_or_default();
    let found: Update = match (name, ty) {
        ("exch", _) => |_, b, _| b,
        ("cas", _) => |old, b, c| if old == b { c } else { old },
        ("and", _) => |old, b, _| old & b,
        ("or", _) => |old, b, _| old | b,
        ("xor", _) => |old, b, _| old ^ b,
        ("add", Type::F32) => |old, b, _| single(plus, old, b),
        ("min", Type::F32) => |old, b, _| single(smaller, old, b),
        ("max", Type::F32) => |old, b, _| single(larger, old, b),
        ("add", Type::F64) => |old, b, _| (f64::from_bits(old) + f64::from_bits(b)).to_bits(),
        ("min", Type::F64) => |old, b, _| f64::from_bits(old).min(f64::from_bits(b)).to_bits(),
        ("max", Type::F64) => |old, b, _| f64::from_bits(old).max(f64::from_bits(b)).to_bits(),
        ("add", Type::F16) => |old, b, _| narrow::<F16>(plus, old, b),
        ("min", Type::F16) => |old, b, _| narrow::<F16>(smaller, old, b),
        ("max", Type::F16) => |old, b, _| narrow::<F16>(larger, old, b),
        ("add", Type::Bf16) => |old, b, _| narrow::<Bf16>(plus, old, b),
        ("min", Type::Bf16) => |old, b, _| narrow::<Bf16>(smaller, old, b),
        ("max", Type::Bf16) => |old, b, _| narrow::<Bf16>(larger, old, b),
        ("add", Type::F16x2) => |old, b, _| pair::<F16>(plus, old, b),
        ("min", Type::F16x2) => |old, b, _| pair::<F16>(smaller, old, b),
        ("max", Type::F16x2) => |old, b, _| pair::<F16>(larger, old, b),
        ("add", Type::Bf16x2) => |old, b, _| pair::<Bf16>(plus, old, b),
        ("min", Type::Bf16x2) => |old, b, _| pair::<Bf16>(smaller, old, b),
        ("max", Type::Bf16x2) => |old, b, _| pair::<Bf16>(larger, old, b),
        ("add", Type::U32 | Type::S32) => |old, b, _| u64::from((old as u32).wrapping_add(b as u32)),
        ("add", Type::U64 | Type::S64) => |old, b, _| old.wrapping_add(b),
        ("min", Type::U32 | Type::U64) => |old, b, _| old.min(b),
        ("max", Type::U32 | Type::U64) => |old, b, _| old.max(b),
        ("min", Type::S32) => |old, b, _| u64::from((old as i32).min(b as i32).cast_unsigned()),
        ("max", Type::S32) => |old, b, _| u64::from((old as i32).max(b as i32).cast_unsigned()),
        ("min", Type::S64) => |old, b, _| (old as i64).min(b as i64).cast_unsigned(),
        ("max", Type::S64) => |old, b, _| (old as i64).max(b as i64).cast_unsigned(),
        ("inc", Type::U32) => |old, b, _| if old >= b { 0 } else { old + 1 },
        ("dec", Type::U32) => |old, b, _| if old == 0 || old > b { b } else { old - 1 },
        _ => return Err(decoder.unknown()),
    };
    Ok(found)
}
