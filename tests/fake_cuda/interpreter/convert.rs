//! `cvt`: from each type to each other.

use super::{
    Run,
    decode::{Decoded, Decoder},
    float::larger,
    lane::{Row, Source, binary, unary},
    number::{self, E2M1, E2M3, E3M2, E4M3, E5M2, Format, Rounding, double_to_single, round_to_tf32},
};
use crate::ptx::instruction::{Operand, Type};

/// What the modifiers ask for.
#[derive(Clone, Copy)]
struct How {
    rounding: Rounding,
    /// `.rni` and its like: to an integral value.
    integral: bool,
    saturate: bool,
    relu: bool,
    flush: bool,
    from_double: bool,
}

pub fn decode(decoder: &mut Decoder) -> Decoded<Run> {
    let at = decoder.at;
    let types: Vec<_> = at.types().collect();
    let [to, from] = types[..] else { return Err(decoder.unknown()) };
    let rounding = at.modifiers.iter().find_map(|modifier| Rounding::parse(modifier));
    let integral = at.modifiers.iter().any(|modifier| matches!(modifier.as_str(), "rni" | "rzi" | "rmi" | "rpi"));
    let how = How {
        rounding: rounding.unwrap_or(Rounding::Nearest),
        integral,
        saturate: at.has("sat"),
        relu: at.has("relu"),
        flush: at.has("ftz"),
        from_double: from == Type::F64,
    };
    if at.has("pack") || at.has("rs") || at.has("scaled") {
        return Err(decoder.unknown());
    }
    match (to, from) {
        (Type::F16x2 | Type::Bf16x2, Type::F32) => pair(decoder, to, how),
        (Type::E4m3x2 | Type::E5m2x2, _) => to_bytes(decoder, to, from, how),
        (_, Type::E4m3x2 | Type::E5m2x2) => from_bytes(decoder, from, how),
        (Type::Tf32, Type::F32) => {
            let (d, a) = (decoder.target(decoder.operand(0)?, 4)?, decoder.source(1, from)?);
            Ok(unary(d, a, move |x: f32| {
                let rounded = round_to_tf32(x, how.rounding);
                if how.relu { larger(rounded, 0.0) } else { rounded }
            }))
        }
        _ => scalar(decoder, to, from, how),
    }
}

/// `cvt.rn.f16x2.f32 d, a, b`: `a` becomes the upper half.
fn pair(decoder: &mut Decoder, to: Type, how: How) -> Decoded<Run> {
    let d = decoder.target(decoder.operand(0)?, 4)?;
    let ab = decoder.sources(1, Type::F32)?;
    let format = if to == Type::F16x2 { number::HALF } else { number::BFLOAT };
    let half = to == Type::F16x2;
    let saturate = decoder.at.has("satfinite");
    let relu = how.relu;
    if how.rounding == Rounding::Nearest && !saturate {
        let narrow = move |x: f32| {
            let x = if relu { larger(x, 0.0) } else { x };
            u32::from(if half { number::single_to_half(x) } else { number::single_to_bfloat(x) })
        };
        return Ok(binary(d, ab, move |a: f32, b: f32| narrow(a) << 16 | narrow(b)));
    }
    let narrow = move |x: f32| {
        let x = if relu { larger(x, 0.0) } else { x };
        format.round(x.into(), how.rounding, saturate)
    };
    Ok(binary(d, ab, move |a: f32, b: f32| narrow(a) << 16 | narrow(b)))
}

fn format_of(ty: Type) -> Format {
    match ty {
        Type::E4m3 | Type::E4m3x2 => E4M3,
        Type::E5m2 | Type::E5m2x2 => E5M2,
        Type::E3m2 => E3M2,
        Type::E2m3 => E2M3,
        Type::E2m1 => E2M1,
        Type::Bf16 | Type::Bf16x2 => number::BFLOAT,
        _ => number::HALF,
    }
}

/// Two values to two 8-bit floats.
fn to_bytes(decoder: &mut Decoder, to: Type, from: Type, how: How) -> Decoded<Run> {
    let format = format_of(to);
    let d = decoder.target(decoder.operand(0)?, 2)?;
    let relu = how.relu;
    let narrow = move |x: f64| format.round(if relu && x < 0.0 { 0.0 } else { x }, Rounding::Nearest, true) as u16;
    match from {
        Type::F32 => {
            let ab = decoder.sources(1, from)?;
            Ok(binary(d, ab, move |a: f32, b: f32| narrow(a.into()) << 8 | narrow(b.into())))
        }
        Type::F16x2 | Type::Bf16x2 => {
            let source = format_of(from);
            let a = decoder.source(1, Type::B32)?;
            Ok(unary(d, a, move |a: u32| narrow(source.value(a >> 16)) << 8 | narrow(source.value(a & 0xffff))))
        }
        _ => Err(decoder.unknown()),
    }
}

/// Two 8-bit floats to two halves.
fn from_bytes(decoder: &mut Decoder, from: Type, how: How) -> Decoded<Run> {
    let format = format_of(from);
    let (d, a) = (decoder.target(decoder.operand(0)?, 4)?, decoder.source(1, Type::B16)?);
    let relu = how.relu;
    let widen = move |byte: u16| {
        let value = format.value(byte.into());
        number::HALF.round(if relu && value < 0.0 { 0.0 } else { value }, Rounding::Nearest, false)
    };
    Ok(unary(d, a, move |a: u16| widen(a >> 8) << 16 | widen(a & 255)))
}

/// A value on its way, wide enough for every type.
#[derive(Clone, Copy)]
enum Wide {
    Integer(i128),
    Float(f64),
}

/// Reads a lane of the source.
fn reader(from: Type) -> Option<fn(u64) -> Wide> {
    Some(match from {
        Type::U8 | Type::B8 => |raw| Wide::Integer((raw as u8).into()),
        Type::S8 => |raw| Wide::Integer((raw as i8).into()),
        Type::U16 | Type::B16 => |raw| Wide::Integer((raw as u16).into()),
        Type::S16 => |raw| Wide::Integer((raw as i16).into()),
        Type::U32 | Type::B32 => |raw| Wide::Integer((raw as u32).into()),
        Type::S32 => |raw| Wide::Integer((raw as i32).into()),
        Type::U64 | Type::B64 => |raw| Wide::Integer(raw.into()),
        Type::S64 => |raw| Wide::Integer((raw as i64).into()),
        Type::F16 => |raw| Wide::Float(number::half_to_single(raw as u16).into()),
        Type::Bf16 => |raw| Wide::Float(number::bfloat_to_single(raw as u16).into()),
        Type::F32 => |raw| Wide::Float(f32::from_bits(raw as u32).into()),
        Type::F64 => |raw| Wide::Float(f64::from_bits(raw)),
        _ => return None,
    })
}

/// The bounds of an integer type.
fn bounds(to: Type) -> Option<(i128, i128)> {
    Some(match to {
        Type::U8 | Type::B8 => (0, u8::MAX.into()),
        Type::S8 => (i8::MIN.into(), i8::MAX.into()),
        Type::U16 | Type::B16 => (0, u16::MAX.into()),
        Type::S16 => (i16::MIN.into(), i16::MAX.into()),
        Type::U32 | Type::B32 => (0, u32::MAX.into()),
        Type::S32 => (i32::MIN.into(), i32::MAX.into()),
        Type::U64 | Type::B64 => (0, u64::MAX.into()),
        Type::S64 => (i64::MIN.into(), i64::MAX.into()),
        _ => return None,
    })
}

/// The integer of a type that a value becomes; what is too large becomes the nearest that is not.
fn to_integer(value: Wide, to: Type, (low, high): (i128, i128), how: How) -> i128 {
    match value {
        Wide::Integer(value) if how.saturate => value.clamp(low, high),
        Wide::Integer(value) => value,
        Wide::Float(value) if value.is_nan() => {
            if how.from_double || to.bytes() == 8 {
                1 << (8 * to.bytes() - 1)
            } else {
                0
            }
        }
        // Rust's casts keep within the bounds.
        Wide::Float(value) => (how.rounding.integral(value) as i128).clamp(low, high),
    }
}

fn to_float(value: Wide, to: Type, how: How) -> u64 {
    let exact = match value {
        Wide::Integer(value) => {
            // A double holds 53 bits; what a single or half would be rounded to must not be rounded twice.
            return integer_to_float(value, to, how);
        }
        Wide::Float(value) => value,
    };
    let mut x = if how.integral { how.rounding.integral(exact) } else { exact };
    if how.saturate {
        x = if x > 0.0 { x.min(1.0) } else { 0.0 };
    }
    if how.relu && x <= 0.0 {
        x = 0.0;
    }
    narrow(x, to, if how.integral { Rounding::Nearest } else { how.rounding })
}

fn narrow(x: f64, to: Type, rounding: Rounding) -> u64 {
    match to {
        Type::F64 => x.to_bits(),
        Type::F32 => double_to_single(x, rounding).to_bits().into(),
        Type::F16 => number::HALF.round(x, rounding, false).into(),
        _ => number::BFLOAT.round(x, rounding, false).into(),
    }
}

fn integer_to_float(value: i128, to: Type, how: How) -> u64 {
    let magnitude = value.unsigned_abs();
    let extra = (128 - magnitude.leading_zeros()).saturating_sub(53);
    if extra == 0 {
        return narrow(value as f64, to, how.rounding);
    }
    // The lost bits leave a mark in the last one, so that rounding again is right; for a double they decide themselves.
    if to == Type::F64 {
        let down = ((magnitude >> extra) << extra) as f64;
        let exact = magnitude & ((1 << extra) - 1) == 0;
        let nearest = magnitude as f64;
        let up = if exact { down } else { down.next_up() };
        let negative = value < 0;
        let chosen = match (how.rounding, negative) {
            (Rounding::Zero, _) | (Rounding::Down, false) | (Rounding::Up, true) => down,
            (Rounding::Up, false) | (Rounding::Down, true) => up,
            _ => nearest,
        };
        return (if negative { -chosen } else { chosen }).to_bits();
    }
    let sticky = u128::from(magnitude & ((1 << extra) - 1) != 0);
    let marked = ((magnitude >> extra | sticky) << extra) as f64;
    narrow(if value < 0 { -marked } else { marked }, to, how.rounding)
}

/// One value to one value. The frequent ones have a loop of their own.
fn scalar(decoder: &mut Decoder, to: Type, from: Type, how: How) -> Decoded<Run> {
    let (target, source) = (decoder.operand(0)?, decoder.operand(1)?);
    let wide_target = decoder.slot_bytes(target, to.bytes()) == 8;
    let wide_source = decoder.slot_bytes(source, from.bytes()) == 8;
    let d = decoder.target(target, to.bytes())?;
    let a = decoder.source(1, from)?;
    if let Some(run) = frequent(d, a, to, from, how, (wide_target, wide_source)) {
        return Ok(run);
    }
    let read = reader(from).ok_or_else(|| decoder.unknown())?;
    let bounds = bounds(to);
    if bounds.is_none() && !matches!(to, Type::F16 | Type::Bf16 | Type::F32 | Type::F64) {
        return Err(decoder.unknown());
    }
    let keep = match target {
        Operand::Register(register) if decoder.register_type(*register).bytes() == 2 => 0xffff,
        _ => u32::MAX,
    };
    let flush = how.flush;
    let convert = move |raw: u64| -> u64 {
        let raw = if flush && from == Type::F32 && raw & 0x7f80_0000 == 0 { raw & 1 << 31 } else { raw };
        let value = read(raw);
        match bounds {
            // A narrow integer is widened to its register as its type says.
            Some(bounds) => wrap(to_integer(value, to, bounds, how), to),
            None => to_float(value, to, how),
        }
    };
    Ok(Box::new(move |warp, _| {
        let values = if wide_source { warp.row::<u64>(a) } else { warp.row::<u32>(a).map(u64::from) };
        let values = values.map(convert);
        if wide_target {
            warp.set(d, &values);
        } else {
            warp.set(d, &values.map(|value| value as u32 & keep));
        }
        Ok(())
    }))
}

/// An integer cut to its type and widened to a register.
fn wrap(value: i128, to: Type) -> u64 {
    let shift = 128 - 8 * to.bytes();
    let cut = (value << shift) >> shift;
    let unsigned = ((value.cast_unsigned() << shift) >> shift) as u64;
    if to.is_signed() { cut as u64 } else { unsigned }
}

fn frequent(d: Row, a: Source, to: Type, from: Type, how: How, wide: (bool, bool)) -> Option<Run> {
    let plain = !how.saturate && !how.relu && !how.flush;
    let nearest = how.rounding == Rounding::Nearest && !how.integral;
    Some(match (to, from, wide) {
        (Type::U64 | Type::S64, Type::U32, (true, false)) if plain => unary(d, a, |x: u32| u64::from(x)),
        (Type::U64 | Type::S64, Type::S32, (true, false)) if plain => unary(d, a, |x: i32| i64::from(x)),
        (Type::U32 | Type::S32, Type::U64 | Type::S64, (false, true)) if plain => unary(d, a, |x: u64| x as u32),
        (Type::U32 | Type::S32, Type::U16, (false, false)) if plain => unary(d, a, |x: u16| u32::from(x)),
        (Type::F32, Type::F16, (false, false)) if plain && !how.integral => {
            unary(d, a, |x: u16| number::half_to_single(x))
        }
        (Type::F32, Type::Bf16, (false, false)) if plain && !how.integral => {
            unary(d, a, |x: u16| number::bfloat_to_single(x))
        }
        (Type::F16, Type::F32, (false, false)) if plain && nearest => unary(d, a, number::single_to_half),
        (Type::Bf16, Type::F32, (false, false)) if plain && nearest => unary(d, a, number::single_to_bfloat),
        (Type::F32, Type::S32, (false, false)) if plain && nearest => unary(d, a, |x: i32| x as f32),
        (Type::F32, Type::U32, (false, false)) if plain && nearest => unary(d, a, |x: u32| x as f32),
        (Type::S32, Type::F32, (false, false)) if plain && how.rounding == Rounding::Zero => {
            unary(d, a, |x: f32| x as i32)
        }
        (Type::U32, Type::F32, (false, false)) if plain && how.rounding == Rounding::Zero => {
            unary(d, a, |x: f32| x as u32)
        }
        (Type::F32, Type::F32, (false, false)) if plain && how.integral => {
            let rounding = how.rounding;
            unary(d, a, move |x: f32| match rounding {
                Rounding::Zero => x.trunc(),
                Rounding::Down => x.floor(),
                Rounding::Up => x.ceil(),
                _ => x.round_ties_even(),
            })
        }
        _ => return None,
    })
}
