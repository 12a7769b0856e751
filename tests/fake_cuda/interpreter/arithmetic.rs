//! Arithmetic of integers and of `f32` and `f64`.

use super::{
    Run,
    decode::{Decoded, Decoder},
    lane::{LANES, Lane, Row, Source, binary, ternary, unary},
    number::{Rounding, double_to_single},
};
use crate::ptx::instruction::Type;

pub fn decode(decoder: &mut Decoder) -> Decoded<Run> {
    let at = decoder.at;
    if at.has("cc") || matches!(at.name.as_str(), "addc" | "subc" | "madc") {
        return carrying(decoder);
    }
    let ty = decoder.ty()?;
    match at.name.as_str() {
        "dp4a" | "dp2a" => dot(decoder),
        "testp" => testp(decoder, ty),
        "mul" | "mad" | "mul24" | "mad24" if !matches!(ty, Type::F32 | Type::F64) => product(decoder, ty),
        _ => match ty {
            Type::U16 => integer::<u16>(decoder, ty),
            Type::S16 => integer::<i16>(decoder, ty),
            Type::U32 | Type::B32 => integer::<u32>(decoder, ty),
            Type::S32 => integer::<i32>(decoder, ty),
            Type::U64 | Type::B64 => integer::<u64>(decoder, ty),
            Type::S64 => integer::<i64>(decoder, ty),
            Type::F32 => single(decoder),
            Type::F64 => double(decoder),
            _ => Err(decoder.unknown()),
        },
    }
}

/// What the integers have in common here.
trait Integer: Lane + Ord {
    fn add(self, other: Self) -> Self;
    fn sub(self, other: Self) -> Self;
    fn div(self, other: Self) -> Self;
    fn rem(self, other: Self) -> Self;
    fn neg(self) -> Self;
    fn abs(self) -> Self;
    fn add_saturating(self, other: Self) -> Self;
    fn sub_saturating(self, other: Self) -> Self;
}

macro_rules! integers {
    ($($ty:ty, $zero_division:expr, $abs:expr;)*) => {$(
        impl Integer for $ty {
            #[inline(always)]
            fn add(self, other: Self) -> Self { self.wrapping_add(other) }
            #[inline(always)]
            fn sub(self, other: Self) -> Self { self.wrapping_sub(other) }
            /// By zero comes all ones, as on every card; the quotient that is too large wraps.
            fn div(self, other: Self) -> Self { if other == 0 { $zero_division } else { self.wrapping_div(other) } }
            fn rem(self, other: Self) -> Self { if other == 0 { self } else { self.wrapping_rem(other) } }
            #[inline(always)]
            fn neg(self) -> Self { self.wrapping_neg() }
            #[inline(always)]
            fn abs(self) -> Self { let abs: fn($ty) -> $ty = $abs; abs(self) }
            fn add_saturating(self, other: Self) -> Self { self.saturating_add(other) }
            fn sub_saturating(self, other: Self) -> Self { self.saturating_sub(other) }
        }
    )*};
}

integers! {
    u16, u16::MAX, |x| x;
    u32, u32::MAX, |x| x;
    u64, u64::MAX, |x| x;
    i16, -1, i16::wrapping_abs;
    i32, -1, i32::wrapping_abs;
    i64, -1, i64::wrapping_abs;
}

fn integer<T: Integer>(decoder: &mut Decoder, ty: Type) -> Decoded<Run> {
    let at = decoder.at;
    let d = decoder.destination()?;
    let name = at.name.as_str();
    if matches!(name, "neg" | "abs") {
        let a = decoder.source(1, ty)?;
        return Ok(if name == "neg" { unary(d, a, T::neg) } else { unary(d, a, T::abs) });
    }
    let ab = decoder.sources(1, ty)?;
    let relu = at.has("relu");
    Ok(match name {
        "add" if at.has("sat") => binary(d, ab, T::add_saturating),
        "sub" if at.has("sat") => binary(d, ab, T::sub_saturating),
        "add" => binary(d, ab, T::add),
        "sub" => binary(d, ab, T::sub),
        "div" => binary(d, ab, T::div),
        "rem" => binary(d, ab, T::rem),
        "min" | "max" if relu => return Err(decoder.unknown()),
        "min" => binary(d, ab, |a: T, b: T| a.min(b)),
        "max" => binary(d, ab, |a: T, b: T| a.max(b)),
        "sad" => {
            let abc = decoder.sources(1, ty)?;
            ternary(d, abc, |a: T, b: T, c: T| c.add(if a < b { b.sub(a) } else { a.sub(b) }))
        }
        _ => return Err(decoder.unknown()),
    })
}

/// Which part of a product is wanted.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    Low,
    High,
    Wide,
}

/// `mul` and `mad` of integers.
fn product(decoder: &mut Decoder, ty: Type) -> Decoded<Run> {
    let at = decoder.at;
    let part = match () {
        () if at.has("hi") => Part::High,
        () if at.has("wide") => Part::Wide,
        () => Part::Low,
    };
    if at.name.ends_with("24") || at.has("sat") {
        return Err(decoder.unknown());
    }
    let bytes = if part == Part::Wide { 2 * ty.bytes() } else { ty.bytes() };
    let d = decoder.target(decoder.operand(0)?, bytes)?;
    let ab = decoder.sources::<2>(1, ty)?;
    let c = if at.name == "mad" {
        let wide = if bytes == 8 { Type::B64 } else { Type::B32 };
        Some(decoder.source(3, if part == Part::Wide { wide } else { ty })?)
    } else {
        None
    };
    let product = |f| Ok(f);
    match (ty, part) {
        (Type::U16, Part::Low) => product(mad(d, ab, c, |a: u16, b: u16| a.wrapping_mul(b), u16::wrapping_add)),
        (Type::S16, Part::Low) => product(mad(d, ab, c, |a: i16, b: i16| a.wrapping_mul(b), i16::wrapping_add)),
        (Type::U32 | Type::S32 | Type::B32, Part::Low) => {
            product(mad(d, ab, c, |a: u32, b: u32| a.wrapping_mul(b), u32::wrapping_add))
        }
        (Type::U64 | Type::S64 | Type::B64, Part::Low) => {
            product(mad(d, ab, c, |a: u64, b: u64| a.wrapping_mul(b), u64::wrapping_add))
        }
        (Type::U16, Part::High) => {
            product(mad(d, ab, c, |a: u16, b: u16| ((u32::from(a) * u32::from(b)) >> 16) as u16, u16::wrapping_add))
        }
        (Type::S16, Part::High) => {
            product(mad(d, ab, c, |a: i16, b: i16| ((i32::from(a) * i32::from(b)) >> 16) as i16, i16::wrapping_add))
        }
        (Type::U32, Part::High) => {
            product(mad(d, ab, c, |a: u32, b: u32| ((u64::from(a) * u64::from(b)) >> 32) as u32, u32::wrapping_add))
        }
        (Type::S32, Part::High) => {
            product(mad(d, ab, c, |a: i32, b: i32| ((i64::from(a) * i64::from(b)) >> 32) as i32, i32::wrapping_add))
        }
        (Type::U64, Part::High) => {
            product(mad(d, ab, c, |a: u64, b: u64| ((u128::from(a) * u128::from(b)) >> 64) as u64, u64::wrapping_add))
        }
        (Type::S64, Part::High) => {
            product(mad(d, ab, c, |a: i64, b: i64| ((i128::from(a) * i128::from(b)) >> 64) as i64, i64::wrapping_add))
        }
        (Type::U16, Part::Wide) => {
            product(mad(d, ab, c, |a: u16, b: u16| u32::from(a) * u32::from(b), u32::wrapping_add))
        }
        (Type::S16, Part::Wide) => {
            product(mad(d, ab, c, |a: i16, b: i16| i32::from(a) * i32::from(b), i32::wrapping_add))
        }
        (Type::U32, Part::Wide) => {
            product(mad(d, ab, c, |a: u32, b: u32| u64::from(a) * u64::from(b), u64::wrapping_add))
        }
        (Type::S32, Part::Wide) => {
            product(mad(d, ab, c, |a: i32, b: i32| i64::from(a) * i64::from(b), i64::wrapping_add))
        }
        _ => Err(decoder.unknown()),
    }
}

/// `d = f(a, b)`, or `d = f(a, b) + c`.
fn mad<A: Lane, D: Lane>(
    d: Row,
    ab: [Source; 2],
    c: Option<Source>,
    f: impl Fn(A, A) -> D + Send + Sync + 'static,
    add: fn(D, D) -> D,
) -> Run {
    match c {
        None => binary(d, ab, f),
        Some(c) => ternary(d, [ab[0], ab[1], c], move |a, b, c| add(f(a, b), c)),
    }
}

/// Additions and products that read or write the carry.
fn carrying(decoder: &mut Decoder) -> Decoded<Run> {
    let at = decoder.at;
    let ty = decoder.ty()?;
    let wide = ty.bytes() == 8;
    let d = decoder.destination()?;
    let ab = decoder.sources::<2>(1, ty)?;
    let product = at.name.starts_with("mad");
    let c = if product { Some(decoder.source(3, ty)?) } else { None };
    let (reads, writes) = (at.name.ends_with('c'), at.has("cc"));
    let (high, signed, subtracts) = (at.has("hi"), ty.is_signed(), at.name.starts_with("sub"));
    let width = 8 * ty.bytes();
    let mask = if wide { u64::MAX } else { u32::MAX.into() };
    let multiply = move |a: u64, b: u64| -> u64 {
        let extend = |x: u64| {
            if signed && !wide {
                i128::from(x as u32 as i32)
            } else if signed {
                i128::from(x as i64)
            } else {
                x.into()
            }
        };
        let product = extend(a).wrapping_mul(extend(b));
        (if high { product >> width } else { product }) as u64 & mask
    };
    Ok(Box::new(move |warp, _| {
        let read = |source| if wide { warp.row::<u64>(source) } else { warp.row::<u32>(source).map(u64::from) };
        let (mut a, mut b) = (read(ab[0]), read(ab[1]));
        if let Some(c) = c {
            for lane in 0..LANES {
                a[lane] = multiply(a[lane], b[lane]);
            }
            b = read(c);
        }
        let (mut result, mut carry) = ([0_u64; LANES], 0_u32);
        for lane in 0..LANES {
            let carried = u128::from(reads && warp.carry >> lane & 1 != 0);
            let (x, y) = (u128::from(a[lane]), u128::from(b[lane]));
            // A subtraction borrows: its carry is set where the result would be below zero.
            let sum = if subtracts { x.wrapping_sub(y).wrapping_sub(carried) } else { x + y + carried };
            result[lane] = sum as u64 & mask;
            carry |= u32::from(sum >> width != 0) << lane;
        }
        if writes {
            warp.carry = warp.carry & !warp.active | carry & warp.active;
        }
        if wide {
            warp.set(d, &result);
        } else {
            warp.set(d, &result.map(|value| value as u32));
        }
        Ok(())
    }))
}

/// `dp4a` and `dp2a`: products of bytes, added up.
fn dot(decoder: &mut Decoder) -> Decoded<Run> {
    let at = decoder.at;
    let types: Vec<_> = at.types().collect();
    let [a_type, b_type] = types[..] else { return Err(decoder.unknown()) };
    let (d, abc) = (decoder.target(decoder.operand(0)?, 4)?, decoder.sources::<3>(1, Type::B32)?);
    let byte = |value: u32, index: u32, signed: bool| {
        let byte = (value >> (8 * index)) as u8;
        if signed { i32::from(byte as i8) } else { i32::from(byte) }
    };
    let (signed_a, signed_b) = (a_type.is_signed(), b_type.is_signed());
    if at.name == "dp4a" {
        return Ok(ternary(d, abc, move |a: u32, b: u32, c: i32| {
            (0..4).fold(c, |sum, index| sum.wrapping_add(byte(a, index, signed_a) * byte(b, index, signed_b)))
        }));
    }
    let first = if at.has("hi") { 2 } else { 0 };
    Ok(ternary(d, abc, move |a: u32, b: u32, c: i32| {
        (0..2).fold(c, |sum, index| {
            let half = (a >> (16 * index)) as u16;
            let half = if signed_a { i32::from(half as i16) } else { i32::from(half) };
            sum.wrapping_add(half * byte(b, first + index, signed_b))
        })
    }))
}

fn testp(decoder: &mut Decoder, ty: Type) -> Decoded<Run> {
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

fn single(decoder: &mut Decoder) -> Decoded<Run> {
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

fn double(decoder: &mut Decoder) -> Decoded<Run> {
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
