//! `setp` and `set`: comparisons.

use super::{
    Run,
    decode::{Decoded, Decoder},
    lane::{LANES, Lane, Row, Source, compare},
    number::{Bf16, F16, Narrow},
    warp::Warp,
};
use crate::ptx::instruction::{Operand, Type};

/// Compares the rows of two operands: a mask of lanes.
type Compare = Box<dyn Fn(&Warp) -> u32 + Send + Sync>;

/// What a predicate operand does to the result.
#[derive(Clone, Copy)]
enum Combine {
    And,
    Or,
    Xor,
}

pub fn decode(decoder: &mut Decoder) -> Decoded<Run> {
    if decoder.at.name == "set" { set(decoder) } else { setp(decoder) }
}

/// The comparison of the operands that begin at `first`.
fn comparison(decoder: &mut Decoder, first: usize, ty: Type) -> Decoded<Compare> {
    let ab = decoder.sources::<2>(first, ty)?;
    let name = decoder.at.modifiers.first().cloned().unwrap_or_default();
    let found = match ty {
        Type::B16 | Type::U16 => integer::<u16>(&name, ab),
        Type::S16 => integer::<i16>(&name, ab),
        Type::B32 | Type::U32 => integer::<u32>(&name, ab),
        Type::S32 => integer::<i32>(&name, ab),
        Type::B64 | Type::U64 => integer::<u64>(&name, ab),
        Type::S64 => integer::<i64>(&name, ab),
        Type::F32 => float::<f32>(&name, ab, |x: f32| x),
        Type::F64 => float::<f64>(&name, ab, |x: f64| x),
        Type::F16 => float::<F16>(&name, ab, |x: F16| x.single()),
        Type::Bf16 => float::<Bf16>(&name, ab, |x: Bf16| x.single()),
        _ => None,
    };
    found.ok_or_else(|| decoder.unknown())
}

fn integer<T: Lane + Ord>(name: &str, ab: [Source; 2]) -> Option<Compare> {
    Some(match name {
        "eq" => Box::new(move |warp| compare(warp, ab, |a: T, b: T| a == b)),
        "ne" => Box::new(move |warp| compare(warp, ab, |a: T, b: T| a != b)),
        "lt" | "lo" => Box::new(move |warp| compare(warp, ab, |a: T, b: T| a < b)),
        "le" | "ls" => Box::new(move |warp| compare(warp, ab, |a: T, b: T| a <= b)),
        "gt" | "hi" => Box::new(move |warp| compare(warp, ab, |a: T, b: T| a > b)),
        "ge" | "hs" => Box::new(move |warp| compare(warp, ab, |a: T, b: T| a >= b)),
        _ => return None,
    })
}

/// Comparisons of floats: those with a `u` hold for NaN, too.
#[allow(clippy::neg_cmp_op_on_partial_ord)] // the negation is what makes them hold for NaN
fn float<T: Lane>(name: &str, ab: [Source; 2], value: impl FloatOf<T>) -> Option<Compare> {
    fn nan<F: PartialOrd>(a: &F, b: &F) -> bool {
        a.partial_cmp(b).is_none()
    }
    macro_rules! comparison {
        ($a:ident, $b:ident, $test:expr) => {
            Box::new(move |warp: &Warp| {
                compare(warp, ab, |a: T, b: T| {
                    let ($a, $b) = (value.of(a), value.of(b));
                    $test
                })
            })
        };
    }
    Some(match name {
        "eq" => comparison!(a, b, a == b),
        "ne" => comparison!(a, b, !nan(&a, &b) && a != b),
        "lt" => comparison!(a, b, a < b),
        "le" => comparison!(a, b, a <= b),
        "gt" => comparison!(a, b, a > b),
        "ge" => comparison!(a, b, a >= b),
        "equ" => comparison!(a, b, nan(&a, &b) || a == b),
        "neu" => comparison!(a, b, a != b),
        "ltu" => comparison!(a, b, !(a >= b)),
        "leu" => comparison!(a, b, !(a > b)),
        "gtu" => comparison!(a, b, !(a <= b)),
        "geu" => comparison!(a, b, !(a < b)),
        "num" => comparison!(a, b, !nan(&a, &b)),
        "nan" => comparison!(a, b, nan(&a, &b)),
        _ => return None,
    })
}

/// How the number of a lane is read.
trait FloatOf<T>: Copy + Send + Sync + 'static {
    type Float: PartialOrd;
    fn of(&self, value: T) -> Self::Float;
}

impl<T, F: PartialOrd, G: Fn(T) -> F + Copy + Send + Sync + 'static> FloatOf<T> for G {
    type Float = F;
    fn of(&self, value: T) -> F {
        self(value)
    }
}

fn setp(decoder: &mut Decoder) -> Decoded<Run> {
    let ty = decoder.ty()?;
    let (p, q) = match decoder.operand(0)? {
        Operand::Pair(p, q) => (decoder.target(p, 4)?, Some(decoder.target(q, 4)?)),
        p => (decoder.target(p, 4)?, None),
    };
    if matches!(ty, Type::F16x2 | Type::Bf16x2) {
        return pairs(decoder, ty, p, q);
    }
    let test = comparison(decoder, 1, ty)?;
    if decoder.at.operands.len() == 3 && q.is_none() {
        return Ok(Box::new(move |warp, _| {
            let mask = test(warp);
            warp.set_predicate(p, mask);
            Ok(())
        }));
    }
    let combine = match decoder.at.modifiers.get(1).map(String::as_str) {
        Some("or") => Combine::Or,
        Some("xor") => Combine::Xor,
        _ => Combine::And,
    };
    let (other, negated) = match decoder.at.operands.get(3) {
        Some(operand) => decoder.predicate(operand)?,
        None => (decoder.constant(u32::MAX.into(), 4), false),
    };
    Ok(Box::new(move |warp, _| {
        let mask = test(warp);
        let other = if negated { !warp.predicate(other) } else { warp.predicate(other) };
        let with = |mask: u32| match combine {
            Combine::And => mask & other,
            Combine::Or => mask | other,
            Combine::Xor => mask ^ other,
        };
        warp.set_predicate(p, with(mask));
        if let Some(q) = q {
            warp.set_predicate(q, with(!mask));
        }
        Ok(())
    }))
}

/// `setp` of two halves: a predicate for each.
fn pairs(decoder: &mut Decoder, ty: Type, p: Row, q: Option<Row>) -> Decoded<Run> {
    let test = halves(decoder, 1, ty)?;
    Ok(Box::new(move |warp, _| {
        let (low, high) = test(warp);
        warp.set_predicate(p, low);
        if let Some(q) = q {
            warp.set_predicate(q, high);
        }
        Ok(())
    }))
}

/// The comparison of the lower and of the upper halves.
type ComparePair = Box<dyn Fn(&Warp) -> (u32, u32) + Send + Sync>;

fn halves(decoder: &mut Decoder, first: usize, ty: Type) -> Decoded<ComparePair> {
    let ab = decoder.sources::<2>(first, ty)?;
    let name = decoder.at.modifiers.first().map(String::as_str).unwrap_or_default();
    let single: fn(u16) -> f32 = if ty == Type::F16x2 { |x| F16(x).single() } else { |x| Bf16(x).single() };
    let test = test_of(name).ok_or_else(|| decoder.unknown())?;
    Ok(Box::new(move |warp| {
        let low = compare(warp, ab, |a: u32, b: u32| test(single(a as u16), single(b as u16)));
        let high = compare(warp, ab, |a: u32, b: u32| test(single((a >> 16) as u16), single((b >> 16) as u16)));
        (low, high)
    }))
}

#[allow(clippy::neg_cmp_op_on_partial_ord)] // as in `float`
fn test_of(name: &str) -> Option<fn(f32, f32) -> bool> {
    Some(match name {
        "eq" => |a, b| a == b,
        "ne" => |a, b| !a.is_nan() && !b.is_nan() && a != b,
        "lt" => |a, b| a < b,
        "le" => |a, b| a <= b,
        "gt" => |a, b| a > b,
        "ge" => |a, b| a >= b,
        "equ" => |a, b| a.is_nan() || b.is_nan() || a == b,
        "neu" => |a, b| a != b,
        "ltu" => |a, b| !(a >= b),
        "leu" => |a, b| !(a > b),
        "gtu" => |a, b| !(a <= b),
        "geu" => |a, b| !(a < b),
        "num" => |a, b| !a.is_nan() && !b.is_nan(),
        "nan" => |a, b| a.is_nan() || b.is_nan(),
        _ => return None,
    })
}

/// `set`: all ones, or the number one, where the comparison holds.
fn set(decoder: &mut Decoder) -> Decoded<Run> {
    let types: Vec<_> = decoder.at.types().collect();
    let [to, ty] = types[..] else { return Err(decoder.unknown()) };
    let d = decoder.target(decoder.operand(0)?, 4)?;
    if decoder.at.operands.len() > 3 {
        return Err(decoder.unknown());
    }
    let one: u32 = match to {
        Type::F32 => 1_f32.to_bits(),
        Type::F16 | Type::F16x2 => 0x3c00,
        Type::Bf16 | Type::Bf16x2 => 0x3f80,
        Type::U16 | Type::S16 => 0xffff,
        // Of two halves, each has its own.
        _ if matches!(ty, Type::F16x2 | Type::Bf16x2) => 0xffff,
        _ => u32::MAX,
    };
    if matches!(ty, Type::F16x2 | Type::Bf16x2) {
        let test = halves(decoder, 1, ty)?;
        return Ok(Box::new(move |warp, _| {
            let (low, high) = test(warp);
            let mut result = [0; LANES];
            for (lane, result) in result.iter_mut().enumerate() {
                *result = (one * (low >> lane & 1)) | ((one * (high >> lane & 1)) << 16);
            }
            warp.set(d, &result);
            Ok(())
        }));
    }
    let test = comparison(decoder, 1, ty)?;
    Ok(Box::new(move |warp, _| {
        let mask = test(warp);
        let mut result = [0; LANES];
        for (lane, result) in result.iter_mut().enumerate() {
            *result = if mask >> lane & 1 != 0 { one } else { 0 };
        }
        warp.set(d, &result);
        Ok(())
    }))
}
