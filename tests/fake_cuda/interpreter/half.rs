//! Arithmetic of halves and bfloat16, alone or two in a register.
//!
//! Sums, products and quotients are computed as singles and rounded again, which gives what rounding once would have
//! given: a single has more than twice the bits. A fused multiply-add has not enough of them and goes through doubles.

use super::{
    Run,
    decode::{Decoded, Decoder},
    float::{larger, saturate, smaller, sum},
    lane::{Row, Source, binary, ternary, unary},
    number::{Bf16, F16, Narrow},
};
use crate::ptx::instruction::Type;

pub fn decode(decoder: &mut Decoder) -> Decoded<Run> {
    match decoder.ty()? {
        Type::F16 => operation::<F16>(decoder, Type::B16, false),
        Type::F16x2 => operation::<F16>(decoder, Type::B32, true),
        Type::Bf16 => operation::<Bf16>(decoder, Type::B16, false),
        _ => operation::<Bf16>(decoder, Type::B32, true),
    }
}

/// The same for both halves of a register.
#[inline(always)]
fn both(f: impl Fn(u16) -> u16) -> impl Fn(u32) -> u32 {
    move |a| u32::from(f(a as u16)) | u32::from(f((a >> 16) as u16)) << 16
}

fn one<H: Narrow>(d: Row, a: Source, pair: bool, f: impl Fn(f32) -> f32 + Copy + Send + Sync + 'static) -> Run {
    let half = move |a: u16| H::rounded(f(H::new(a).single())).bits();
    if pair { unary(d, a, both(half)) } else { unary(d, a, half) }
}

fn two<H: Narrow>(
    d: Row,
    ab: [Source; 2],
    pair: bool,
    f: impl Fn(f32, f32) -> f32 + Copy + Send + Sync + 'static,
) -> Run {
    let half = move |a: u16, b: u16| H::rounded(f(H::new(a).single(), H::new(b).single())).bits();
    if pair {
        binary(d, ab, move |a: u32, b: u32| {
            u32::from(half(a as u16, b as u16)) | u32::from(half((a >> 16) as u16, (b >> 16) as u16)) << 16
        })
    } else {
        binary(d, ab, half)
    }
}

/// A single with its last bit set if the double lies between two singles.
#[inline(always)]
fn odd_single(x: f64) -> f32 {
    let nearest = x as f32;
    let back = f64::from(nearest);
    if back == x || x.is_nan() {
        return nearest;
    }
    let beyond = u32::from(back.abs() > x.abs());
    f32::from_bits((nearest.to_bits() - beyond) | 1)
}

/// Bits of a value without its sign, which `abs` and `neg` work on: they touch no other, not even of a NaN.
fn bits(d: Row, a: Source, pair: bool, f: impl Fn(u16) -> u16 + Copy + Send + Sync + 'static) -> Run {
    if pair { unary(d, a, both(f)) } else { unary(d, a, f) }
}

fn operation<H: Narrow>(decoder: &mut Decoder, raw: Type, pair: bool) -> Decoded<Run> {
    let at = decoder.at;
    let d = decoder.target(decoder.operand(0)?, raw.bytes())?;
    let a = decoder.source(1, raw)?;
    let name = at.name.as_str();
    match name {
        "neg" => return Ok(bits(d, a, pair, |x| x ^ 0x8000)),
        "abs" => return Ok(bits(d, a, pair, |x| x & 0x7fff)),
        "ex2" => return Ok(one::<H>(d, a, pair, f32::exp2)),
        "tanh" => return Ok(one::<H>(d, a, pair, f32::tanh)),
        "sqrt" => return Ok(one::<H>(d, a, pair, f32::sqrt)),
        "rcp" => return Ok(one::<H>(d, a, pair, f32::recip)),
        _ => {}
    }
    let ab = decoder.sources(1, raw)?;
    let (clamp, relu) = (at.has("sat"), at.has("relu"));
    let finish = move |x: f32| match () {
        () if clamp => saturate(x),
        () if relu => larger(x, 0.0),
        () => x,
    };
    let nan = at.has("NaN");
    Ok(match name {
        "add" => two::<H>(d, ab, pair, move |a, b| finish(a + b)),
        "sub" => two::<H>(d, ab, pair, move |a, b| finish(a - b)),
        "mul" => two::<H>(d, ab, pair, move |a, b| finish(a * b)),
        "min" if nan => two::<H>(d, ab, pair, |a, b| if a.is_nan() || b.is_nan() { f32::NAN } else { smaller(a, b) }),
        "max" if nan => two::<H>(d, ab, pair, |a, b| if a.is_nan() || b.is_nan() { f32::NAN } else { larger(a, b) }),
        "min" => two::<H>(d, ab, pair, smaller),
        "max" => two::<H>(d, ab, pair, larger),
        "fma" => {
            let abc = decoder.sources(1, raw)?;
            let half = move |a: u16, b: u16, c: u16| {
                let product = f64::from(H::new(a).single()) * f64::from(H::new(b).single());
                H::rounded(finish(odd_single(sum(product, H::new(c).single().into())))).bits()
            };
            if pair {
                ternary(d, abc, move |a: u32, b: u32, c: u32| {
                    let high = half((a >> 16) as u16, (b >> 16) as u16, (c >> 16) as u16);
                    u32::from(half(a as u16, b as u16, c as u16)) | u32::from(high) << 16
                })
            } else {
                ternary(d, abc, half)
            }
        }
        _ => return Err(decoder.unknown()),
    })
}
