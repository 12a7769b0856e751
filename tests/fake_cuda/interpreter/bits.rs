//! Bits: logic, shifts, fields, counts, permutations.

use super::{
    Run,
    decode::{Decoded, Decoder},
    lane::{LANES, Lane, Row, Source, binary, ternary, unary},
};
use crate::ptx::instruction::{Immediate, Operand, Type};

pub fn decode(decoder: &mut Decoder) -> Decoded<Run> {
    let at = decoder.at;
    let ty = decoder.ty()?;
    match at.name.as_str() {
        "and" | "or" | "xor" | "not" | "cnot" if ty == Type::Pred => predicates(decoder),
        "and" | "or" | "xor" => {
            let (d, ab) = (decoder.destination()?, decoder.sources(1, ty)?);
            let wide = ty.bytes() == 8;
            Ok(match (at.name.as_str(), wide) {
                ("and", false) => binary(d, ab, |a: u32, b: u32| a & b),
                ("or", false) => binary(d, ab, |a: u32, b: u32| a | b),
                (_, false) => binary(d, ab, |a: u32, b: u32| a ^ b),
                ("and", true) => binary(d, ab, |a: u64, b: u64| a & b),
                ("or", true) => binary(d, ab, |a: u64, b: u64| a | b),
                (_, true) => binary(d, ab, |a: u64, b: u64| a ^ b),
            })
        }
        "shl" | "shr" => shift(decoder, ty),
        "shf" => funnel(decoder),
        "prmt" => permute(decoder),
        "lop3" => lop3(decoder),
        "bfe" => {
            let (d, a) = (decoder.destination()?, decoder.source(1, ty)?);
            let [b, c] = decoder.sources(2, Type::U32)?;
            Ok(match ty {
                Type::U32 => extract(d, [a, b, c], |a: u32, at, length| field(a.into(), at, length, 32, false) as u32),
                Type::S32 => extract(d, [a, b, c], |a: u32, at, length| field(a.into(), at, length, 32, true) as u32),
                Type::U64 => extract(d, [a, b, c], |a: u64, at, length| field(a, at, length, 64, false)),
                Type::S64 => extract(d, [a, b, c], |a: u64, at, length| field(a, at, length, 64, true)),
                _ => return Err(decoder.unknown()),
            })
        }
        "bfi" => insert(decoder, ty),
        _ => counted(decoder, ty),
    }
}

fn predicates(decoder: &mut Decoder) -> Decoded<Run> {
    let name = decoder.at.name.as_str();
    let d = decoder.target(decoder.operand(0)?, 4)?;
    let (a, not_a) = decoder.predicate(decoder.operand(1)?)?;
    let (b, not_b) = if decoder.at.operands.len() > 2 { decoder.predicate(decoder.operand(2)?)? } else { (a, not_a) };
    let f: fn(u32, u32) -> u32 = match name {
        "and" => |a, b| a & b,
        "or" => |a, b| a | b,
        "xor" => |a, b| a ^ b,
        _ => |a, _| !a,
    };
    Ok(Box::new(move |warp, _| {
        let (mut a, mut b) = (warp.predicate(a), warp.predicate(b));
        a = if not_a { !a } else { a };
        b = if not_b { !b } else { b };
        warp.set_predicate(d, f(a, b));
        Ok(())
    }))
}

/// Shifts by at least the width give zeros, or copies of the sign.
fn shift(decoder: &mut Decoder, ty: Type) -> Decoded<Run> {
    let (d, a) = (decoder.destination()?, decoder.source(1, ty)?);
    let ab = [a, decoder.source(2, Type::U32)?];
    let left = decoder.at.name == "shl";
    Ok(match (left, ty) {
        (true, Type::B16) => binary(d, ab, |a: u16, b: u32| if b < 16 { a << b } else { 0 }),
        (true, Type::B32) => binary(d, ab, |a: u32, b: u32| if b < 32 { a << b } else { 0 }),
        (true, Type::B64) => binary(d, ab, |a: u64, b: u32| if b < 64 { a << b } else { 0 }),
        (false, Type::B16 | Type::U16) => binary(d, ab, |a: u16, b: u32| if b < 16 { a >> b } else { 0 }),
        (false, Type::B32 | Type::U32) => binary(d, ab, |a: u32, b: u32| if b < 32 { a >> b } else { 0 }),
        (false, Type::B64 | Type::U64) => binary(d, ab, |a: u64, b: u32| if b < 64 { a >> b } else { 0 }),
        (false, Type::S16) => binary(d, ab, |a: i16, b: u32| a >> b.min(15)),
        (false, Type::S32) => binary(d, ab, |a: i32, b: u32| a >> b.min(31)),
        (false, Type::S64) => binary(d, ab, |a: i64, b: u32| a >> b.min(63)),
        _ => return Err(decoder.unknown()),
    })
}

fn funnel(decoder: &mut Decoder) -> Decoded<Run> {
    let (d, abc) = (decoder.destination()?, decoder.sources::<3>(1, Type::B32)?);
    let (left, clamp) = (decoder.at.has("l"), decoder.at.has("clamp"));
    Ok(ternary(d, abc, move |low: u32, high: u32, count: u32| {
        let count = if clamp { count.min(32) } else { count & 31 };
        let both = u64::from(high) << 32 | u64::from(low);
        if left { ((both << count) >> 32) as u32 } else { (both >> count) as u32 }
    }))
}

fn permute(decoder: &mut Decoder) -> Decoded<Run> {
    let (d, abc) = (decoder.destination()?, decoder.sources::<3>(1, Type::B32)?);
    let mode = decoder.at.modifiers.iter().find_map(|modifier| match modifier.as_str() {
        "f4e" => Some(selector_forward as fn(u32) -> u32),
        "b4e" => Some(selector_backward),
        "rc8" => Some(|c| (c & 3) * 0x1111),
        "ecl" => Some(|c| [0x3210, 0x3211, 0x3222, 0x3333][c as usize & 3]),
        "ecr" => Some(|c| [0x0000, 0x1110, 0x2210, 0x3210][c as usize & 3]),
        "rc16" => Some(|c| if c & 1 != 0 { 0x3232 } else { 0x1010 }),
        _ => None,
    });
    Ok(ternary(d, abc, move |a: u32, b: u32, c: u32| {
        let both = u64::from(b) << 32 | u64::from(a);
        let selector = mode.map_or(c, |mode| mode(c));
        (0..4).fold(0, |result, index| {
            let select = selector >> (4 * index) & 15;
            let byte = (both >> (8 * (select & 7))) as u32 & 255;
            let byte = if select & 8 == 0 { byte } else { (byte >> 7) * 255 };
            result | byte << (8 * index)
        })
    }))
}

fn selector_forward(c: u32) -> u32 {
    (0..4).fold(0, |selector, index| selector | (((c & 3) + index) & 7) << (4 * index))
}

fn selector_backward(c: u32) -> u32 {
    (0..4).fold(0, |selector, index| selector | ((c & 3).wrapping_sub(index) & 7) << (4 * index))
}

fn lop3(decoder: &mut Decoder) -> Decoded<Run> {
    let (d, abc) = (decoder.destination()?, decoder.sources::<3>(1, Type::B32)?);
    let Operand::Immediate(Immediate::Integer(table)) = decoder.operand(4)? else { return Err(decoder.unknown()) };
    let table = *table as u32;
    Ok(ternary(d, abc, move |a: u32, b: u32, c: u32| {
        (0..8).fold(0, |result, row| {
            let term = |value: u32, bit: u32| if row & bit != 0 { value } else { !value };
            let chosen = 0_u32.wrapping_sub(table >> row & 1);
            result | term(a, 4) & term(b, 2) & term(c, 1) & chosen
        })
    }))
}

fn extract<A: Lane>(d: Row, [a, b, c]: [Source; 3], f: impl Fn(A, u32, u32) -> A + Send + Sync + 'static) -> Run {
    Box::new(move |warp, _| {
        let (a, b, c) = (warp.row::<A::Slot>(a), warp.row::<u32>(b), warp.row::<u32>(c));
        let mut result = a;
        for lane in 0..LANES {
            result[lane] = f(A::read(a[lane]), b[lane] & 255, c[lane] & 255).slot();
        }
        warp.set(d, &result);
        Ok(())
    })
}

/// The field of so many bits from `at` on; beyond the value come zeros or copies of the field's sign.
fn field(value: u64, at: u32, length: u32, width: u32, signed: bool) -> u64 {
    if length == 0 {
        return 0;
    }
    let top = (at + length - 1).min(width - 1);
    let sign = signed && value >> top & 1 != 0;
    let known = length.min(width.saturating_sub(at));
    let bits = if at < width { value >> at } else { 0 };
    let mask = if known >= 64 { u64::MAX } else { (1 << known) - 1 };
    if sign { bits & mask | !mask } else { bits & mask }
}

fn insert(decoder: &mut Decoder, ty: Type) -> Decoded<Run> {
    let (d, [a, b]) = (decoder.destination()?, decoder.sources(1, ty)?);
    let [c, length] = decoder.sources(3, Type::U32)?;
    let f = |a: u64, b: u64, at: u32, length: u32, width: u32| {
        let (at, length) = (at & 255, length & 255);
        if at >= width || length == 0 {
            return b;
        }
        let length = length.min(width - at);
        let mask = if length >= 64 { u64::MAX } else { (1 << length) - 1 } << at;
        b & !mask | a << at & mask
    };
    let wide = ty.bytes() == 8;
    Ok(Box::new(move |warp, _| {
        let (at, length) = (warp.row::<u32>(c), warp.row::<u32>(length));
        if wide {
            let (a, mut b) = (warp.row::<u64>(a), warp.row::<u64>(b));
            (0..LANES).for_each(|lane| b[lane] = f(a[lane], b[lane], at[lane], length[lane], 64));
            warp.set(d, &b);
        } else {
            let (a, mut b) = (warp.row::<u32>(a), warp.row::<u32>(b));
            (0..LANES).for_each(|lane| b[lane] = f(a[lane].into(), b[lane].into(), at[lane], length[lane], 32) as u32);
            warp.set(d, &b);
        }
        Ok(())
    }))
}

/// Instructions of one operand.
fn counted(decoder: &mut Decoder, ty: Type) -> Decoded<Run> {
    let at = decoder.at;
    let (d, a) = (decoder.destination()?, decoder.source(1, ty)?);
    let distance = at.has("shiftamt");
    Ok(match (at.name.as_str(), ty) {
        ("not", Type::B16) => unary(d, a, |a: u16| !a),
        ("not", Type::B32) => unary(d, a, |a: u32| !a),
        ("not", Type::B64) => unary(d, a, |a: u64| !a),
        ("cnot", Type::B16) => unary(d, a, |a: u16| u16::from(a == 0)),
        ("cnot", Type::B32) => unary(d, a, |a: u32| u32::from(a == 0)),
        ("cnot", Type::B64) => unary(d, a, |a: u64| u64::from(a == 0)),
        ("popc", Type::B32) => unary(d, a, u32::count_ones),
        ("popc", Type::B64) => unary(d, a, u64::count_ones),
        ("clz", Type::B32) => unary(d, a, u32::leading_zeros),
        ("clz", Type::B64) => unary(d, a, u64::leading_zeros),
        ("brev", Type::B32) => unary(d, a, u32::reverse_bits),
        ("brev", Type::B64) => unary(d, a, u64::reverse_bits),
        ("bfind", Type::U32) => unary(d, a, move |a: u32| highest(a.into(), 32, distance)),
        ("bfind", Type::S32) => unary(d, a, move |a: i32| highest((a ^ a >> 31).cast_unsigned().into(), 32, distance)),
        ("bfind", Type::U64) => unary(d, a, move |a: u64| highest(a, 64, distance)),
        ("bfind", Type::S64) => unary(d, a, move |a: i64| highest((a ^ a >> 63).cast_unsigned(), 64, distance)),
        _ => return Err(decoder.unknown()),
    })
}

/// The place of the highest bit that is set, or how far it is from the top; all ones if none is.
fn highest(value: u64, width: u32, distance: bool) -> u32 {
    match value.checked_ilog2() {
        Some(place) if distance => width - 1 - place,
        Some(place) => place,
        None => u32::MAX,
    }
}
