//! Arithmetic of `f32` and `f64`.

use super::{
    Run,
    decode::{Decoded, Decoder},
    lane::{LANES, Row, Source, binary, ternary, unary},
    number::{Rounding, double_to_single},
};
use crate::ptx::instruction::Type;

pub fn testp(decoder: &mut Decoder, ty: Type) -> Decoded<Run> {
    let d = decoder.target(decoder.operand(0)?, 4)?;
    let a = decoder.source(1, ty)?;
    let test: fn(f64, bool) -> bool = match decoder.at.modifiers.first().map(String::as_str) {
        Some("finite") => |x, _| x.is_finite(),
        Some("infinite") => |x, _| x.is_infinite(),
        Some("number") => |x, _| !x.is_nan(),
        Some("notanumber") => |x, _| x.is_nan(),
        Some("normal") => |x, subnormal| x.is_finite() && x != 0.0 && !subnormal,
        Some("subnormal") => |_, subnormal| subnormal,
        _ => return Err(decoder.unknown()),
    };
    let double = ty == Type::F64;
    Ok(Box::new(move |warp, _| {
        let mut mask = 0;
        for lane in 0..LANES {
            let (value, subnormal) = if double {
                let value = f64::from_bits(warp.lane::<u64>(a, lane));
                (value, value.is_subnormal())
            } else {
                let value = f32::from_bits(warp.lane::<u32>(a, lane));
                (value.into(), value.is_subnormal())
            };
            mask |= u32::from(test(value, subnormal)) << lane;
        }
        warp.set_predicate(d, mask);
        Ok(())
    }))
}

/// Subnormals become zero of their sign.
#[inline(always)]
fn flush(x: f32) -> f32 {
    if x.abs() < f32::MIN_POSITIVE { f32::from_bits(x.to_bits() & 1 << 31) } else { x }
}

/// Between 0 and 1; NaN becomes 0.
#[inline(always)]
pub fn saturate(x: f32) -> f32 {
    if x > 0.0 { x.min(1.0) } else { 0.0 }
}

/// The smaller one; the number, if the other is NaN. Zeros are ordered by their sign.
#[inline(always)]
pub fn smaller(a: f32, b: f32) -> f32 {
    if a.is_nan() || b < a || b == a && b.is_sign_negative() { b } else { a }
}

#[inline(always)]
pub fn larger(a: f32, b: f32) -> f32 {
    if a.is_nan() || b > a || b == a && b.is_sign_positive() { b } else { a }
}

/// Rounds what was computed with more bits.
fn rounded(rounding: Rounding) -> impl Fn(f64) -> f32 {
    move |x| double_to_single(x, rounding)
}

pub fn single(decoder: &mut Decoder) -> Decoded<Run> {
    let at = decoder.at;
    let rounding = at.modifiers.iter().find_map(|modifier| Rounding::parse(modifier)).unwrap_or(Rounding::Nearest);
    if rounding != Rounding::Nearest {
        return directed(decoder, rounding);
    }
    let run = match (at.has("ftz"), at.has("sat")) {
        (false, false) => single_with(decoder, |x| x, |x| x)?,
        (true, false) => single_with(decoder, flush, flush)?,
        (false, true) => single_with(decoder, |x| x, saturate)?,
        (true, true) => single_with(decoder, flush, |x| saturate(flush(x)))?,
    };
    Ok(run)
}

/// The instruction, with what is done to its operands and to its result.
fn single_with(
    decoder: &mut Decoder,
    before: impl Fn(f32) -> f32 + Copy + Send + Sync + 'static,
    after: impl Fn(f32) -> f32 + Copy + Send + Sync + 'static,
) -> Decoded<Run> {
    let at = decoder.at;
    let d = decoder.destination()?;
    let a = decoder.source(1, Type::F32)?;
    macro_rules! one {
        ($x:ident, $result:expr) => {
            Ok(unary(d, a, move |x: f32| {
                let $x = before(x);
                after($result)
            }))
        };
    }
    match at.name.as_str() {
        "neg" => return one!(x, -x),
        "abs" => return one!(x, x.abs()),
        "sqrt" => return one!(x, x.sqrt()),
        "rsqrt" => return one!(x, (1.0 / f64::from(x).sqrt()) as f32),
        "rcp" => return one!(x, 1.0 / x),
        "ex2" => return one!(x, x.exp2()),
        "lg2" => return one!(x, x.log2()),
        "sin" => return one!(x, x.sin()),
        "cos" => return one!(x, x.cos()),
        "tanh" => return one!(x, x.tanh()),
        _ => {}
    }
    let ab = decoder.sources(1, Type::F32)?;
    macro_rules! two {
        ($x:ident, $y:ident, $result:expr) => {
            Ok(binary(d, ab, move |x: f32, y: f32| {
                let ($x, $y) = (before(x), before(y));
                after($result)
            }))
        };
    }
    match at.name.as_str() {
        "add" => two!(x, y, x + y),
        "sub" => two!(x, y, x - y),
        "mul" => two!(x, y, x * y),
        "div" => two!(x, y, x / y),
        "copysign" => two!(x, y, y.copysign(x)),
        "min" | "max" => extremum(decoder, d, ab, before),
        "fma" | "mad" => {
            let abc = decoder.sources(1, Type::F32)?;
            Ok(ternary(d, abc, move |a: f32, b: f32, c: f32| after(before(a).mul_add(before(b), before(c)))))
        }
        _ => Err(decoder.unknown()),
    }
}

fn extremum(
    decoder: &mut Decoder,
    d: Row,
    ab: [Source; 2],
    before: impl Fn(f32) -> f32 + Copy + Send + Sync + 'static,
) -> Decoded<Run> {
    let at = decoder.at;
    if at.has("xorsign") || at.has("abs") || at.operands.len() > 3 {
        return Err(decoder.unknown());
    }
    let nan = f32::from_bits(0x7fff_ffff);
    Ok(match (at.name.as_str(), at.has("NaN")) {
        ("min", false) => binary(d, ab, move |a: f32, b: f32| smaller(before(a), before(b))),
        ("max", false) => binary(d, ab, move |a: f32, b: f32| larger(before(a), before(b))),
        ("min", true) => binary(
            d,
            ab,
            move |a: f32, b: f32| {
                if a.is_nan() || b.is_nan() { nan } else { smaller(before(a), before(b)) }
            },
        ),
        _ => binary(
            d,
            ab,
            move |a: f32, b: f32| {
                if a.is_nan() || b.is_nan() { nan } else { larger(before(a), before(b)) }
            },
        ),
    })
}

/// Rounding that the processor does not do: in double, with what the double loses taken into account.
fn directed(decoder: &mut Decoder, rounding: Rounding) -> Decoded<Run> {
    let at = decoder.at;
    let saturates = at.has("sat");
    let finish = move |x: f32| if saturates { saturate(x) } else { x };
    let d = decoder.destination()?;
    let to_single = rounded(rounding);
    match at.name.as_str() {
        "rcp" => {
            let a = decoder.source(1, Type::F32)?;
            Ok(unary(d, a, move |x: f32| to_single(quotient(1.0, x))))
        }
        "sqrt" => {
            let a = decoder.source(1, Type::F32)?;
            Ok(unary(d, a, move |x: f32| to_single(root(x))))
        }
        "add" | "sub" | "mul" | "div" => {
            let ab = decoder.sources(1, Type::F32)?;
            let f: fn(f64, f64) -> f64 = match at.name.as_str() {
                "add" => sum,
                "sub" => |a, b| sum(a, -b),
                "mul" => |a, b| a * b,
                _ => |a, b| quotient(a as f32, b as f32),
            };
            Ok(binary(d, ab, move |a: f32, b: f32| finish(to_single(f(a.into(), b.into())))))
        }
        "fma" => {
            let abc = decoder.sources(1, Type::F32)?;
            Ok(ternary(d, abc, move |a: f32, b: f32, c: f32| {
                finish(to_single(sum(f64::from(a) * f64::from(b), c.into())))
            }))
        }
        _ => Err(decoder.unknown()),
    }
}

/// The sum, with its last bit set if it is not exact: rounding it again gives what rounding once would have given.
pub fn sum(a: f64, b: f64) -> f64 {
    let sum = a + b;
    let part = sum - a;
    let error = (a - (sum - part)) + (b - part);
    odd(sum, error)
}

/// A result whose error has this sign, as the neighbour with an odd last bit.
fn odd(result: f64, error: f64) -> f64 {
    if error == 0.0 || !result.is_finite() || error.is_nan() || result.to_bits() & 1 != 0 {
        return result;
    }
    // The exact value lies between `result` and its neighbour in the direction of the error.
    if error > 0.0 { result.next_up() } else { result.next_down() }
}

fn quotient(a: f32, b: f32) -> f64 {
    let (a, b) = (f64::from(a), f64::from(b));
    let quotient = a / b;
    let error = (-quotient).mul_add(b, a);
    odd(quotient, if b < 0.0 { -error } else { error })
}

fn root(x: f32) -> f64 {
    let x = f64::from(x);
    let root = x.sqrt();
    odd(root, (-root).mul_add(root, x))
}

pub fn double(decoder: &mut Decoder) -> Decoded<Run> {
    let at = decoder.at;
    let d = decoder.destination()?;
    let a = decoder.source(1, Type::F64)?;
    let directed = ["rz", "rm", "rp"].iter().any(|rounding| at.has(rounding));
    if directed {
        return Err(decoder.unknown());
    }
    let one: Option<fn(f64) -> f64> = match at.name.as_str() {
        "neg" => Some(|x| -x),
        "abs" => Some(f64::abs),
        "sqrt" => Some(f64::sqrt),
        // Approximations look at the upper 32 bits and give no more.
        "rsqrt" => Some(|x| upper(1.0 / x.sqrt())),
        "rcp" if at.has("approx") => Some(|x| upper(1.0 / upper(x))),
        "rcp" => Some(|x| 1.0 / x),
        _ => None,
    };
    if let Some(one) = one {
        return Ok(unary(d, a, one));
    }
    let ab = decoder.sources(1, Type::F64)?;
    Ok(match at.name.as_str() {
        "add" => binary(d, ab, |a: f64, b: f64| a + b),
        "sub" => binary(d, ab, |a: f64, b: f64| a - b),
        "mul" => binary(d, ab, |a: f64, b: f64| a * b),
        "div" => binary(d, ab, |a: f64, b: f64| a / b),
        "min" => {
            binary(d, ab, |a: f64, b: f64| if a.is_nan() || b < a || b == a && b.is_sign_negative() { b } else { a })
        }
        "max" => {
            binary(d, ab, |a: f64, b: f64| if a.is_nan() || b > a || b == a && b.is_sign_positive() { b } else { a })
        }
        "copysign" => binary(d, ab, |a: f64, b: f64| b.copysign(a)),
        "fma" | "mad" => {
            let abc = decoder.sources(1, Type::F64)?;
            ternary(d, abc, |a: f64, b: f64, c: f64| a.mul_add(b, c))
        }
        _ => return Err(decoder.unknown()),
    })
}

fn upper(x: f64) -> f64 {
    f64::from_bits(x.to_bits() & 0xffff_ffff_0000_0000)
}
