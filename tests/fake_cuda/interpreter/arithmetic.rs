//! Arithmetic of integers; of floats it knows where to look (`float.rs`).

use super::{
    Run,
    decode::{Decoded, Decoder},
    float,
    lane::{LANES, Lane, Row, Source, binary, ternary, unary},
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
        "testp" => float::testp(decoder, ty),
        "mul" | "mad" | "mul24" | "mad24" if !matches!(ty, Type::F32 | Type::F64) => product(decoder, ty),
        _ => match ty {
            Type::U16 => integer::<u16>(decoder, ty),
            Type::S16 => integer::<i16>(decoder, ty),
            Type::U32 | Type::B32 => integer::<u32>(decoder, ty),
            Type::S32 => integer::<i32>(decoder, ty),
            Type::U64 | Type::B64 => integer::<u64>(decoder, ty),
            Type::S64 => integer::<i64>(decoder, ty),
            Type::F32 => float::single(decoder),
            Type::F64 => float::double(decoder),
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
