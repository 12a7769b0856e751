//! Each operation of a vector beside its definition in scalar arithmetic, on all instruction sets of this processor.

use super::*;
use crate::element::{Element, bf16, f16};
use crate::isa::{Isa, dispatch::for_each_isa};
use proptest::prelude::*;

/// NaN of both signs, quiet and signalling, with payloads that rounding to 16 bits drops or carries; infinities, zeros, and
/// numbers at the edges of all formats.
const VALUES: [u32; 24] = [
    0x7fc0_0000, // NaN
    0xffc0_0000,
    0x7f80_0001,
    0xff80_0001,
    0x7fff_ffff,
    0xffff_ffff,
    0x7fff_8000,
    0x7f80_0000, // ∞
    0xff80_0000,
    0x0000_0000, // 0
    0x8000_0000,
    0x3f80_0000, // 1
    0xbf80_0000,
    0x4049_0fdb, // π
    0xc2c8_0000, // -100
    0x42c8_0000,
    0x7f7f_ffff, // the largest
    0xff7f_ffff,
    0x7f7f_8000, // rounds to infinity in bf16
    0x477f_f000, // rounds to infinity in f16
    0x0080_0000, // the smallest normal
    0x8080_0000,
    0x0000_0001, // the smallest
    0x7e96_7699, // 1e38
];

#[derive(Clone, Copy, Debug, PartialEq)]
enum Operation {
    Max,
    Clamp,
    Prelu,
    Masked,
    Exp,
    Recip,
    Rsqrt,
}

for_each_isa!(apply<E> = apply_to(operation: Operation, a: &[E; LANES], b: &[E; LANES], out: &mut [E; LANES]));

#[inline(always)]
unsafe fn apply_to<V: F32x16, E: Element>(operation: Operation, a: &[E; LANES], b: &[E; LANES], out: &mut [E; LANES]) {
    unsafe {
        let [a, b] = [a, b].map(|values| E::load::<V>(values.as_ptr()));
        let result = match operation {
            Operation::Max => a.max(b),
            Operation::Clamp => a.clamp(V::splat(-2.0), V::splat(50.0)),
            Operation::Prelu => a.prelu(b),
            Operation::Masked => a.masked(&LaneMask::first(5)),
            Operation::Exp => a.exp(),
            Operation::Recip => a.recip(),
            Operation::Rsqrt => a.rsqrt(),
        };
        E::store(result, out.as_mut_ptr());
    }
}

fn definition(operation: Operation, lane: usize, a: f32, b: f32) -> f32 {
    match operation {
        Operation::Max if a.is_nan() || b.is_nan() => f32::NAN,
        Operation::Max => a.max(b),
        Operation::Clamp if a.is_nan() => a,
        Operation::Clamp => a.clamp(-2.0, 50.0),
        Operation::Prelu if a > 0.0 => a,
        Operation::Prelu => a * b,
        Operation::Masked if lane >= 5 => 0.0,
        Operation::Masked => a,
        Operation::Exp => f64::from(a).exp() as f32,
        Operation::Recip => 1.0 / a,
        Operation::Rsqrt => 1.0 / a.sqrt(),
    }
}

/// Whether a result is right. Approximations are tested within the range that their documentation promises.
fn right(operation: Operation, a: f32, got: f32, expected: f32) -> bool {
    let close = (got - expected).abs() <= 2e-7 * expected.abs();
    let special = got.is_nan() && expected.is_nan() || got == expected;
    match operation {
        Operation::Max | Operation::Clamp | Operation::Prelu | Operation::Masked => special,
        Operation::Exp if a < -87.0 => (0.0..2e-38).contains(&got),
        Operation::Exp if a > 88.3 => got.is_infinite() || close,
        Operation::Recip if a != 0.0 && !(1e-37..1e37).contains(&a.abs()) && a.is_finite() => true,
        Operation::Rsqrt if a != 0.0 && a.abs() < f32::MIN_POSITIVE => true,
        _ => special || close,
    }
}

fn check(operation: Operation, a: [f32; LANES], b: [f32; LANES]) {
    for isa in Isa::available() {
        let mut out = [0.0; LANES];
        // SAFETY: the processor has the instruction set.
        unsafe { apply::<f32>(isa, operation, &a, &b, &mut out) };
        for lane in 0..LANES {
            let expected = definition(operation, lane, a[lane], b[lane]);
            let what = (isa, operation, a[lane], b[lane]);
            assert!(right(operation, a[lane], out[lane], expected), "{} instead of {expected}: {what:?}", out[lane]);
        }
    }
}

const OPERATIONS: [Operation; 7] = [
    Operation::Max,
    Operation::Clamp,
    Operation::Prelu,
    Operation::Masked,
    Operation::Exp,
    Operation::Recip,
    Operation::Rsqrt,
];

#[test]
fn operations_on_special_values_are_their_definition_in_every_lane() {
    let values = VALUES.map(f32::from_bits);
    for operation in OPERATIONS {
        for (turn, other) in (0..VALUES.len()).flat_map(|i| (0..VALUES.len()).map(move |j| (i, j))) {
            let a = std::array::from_fn(|lane| values[(lane + turn) % values.len()]);
            let b = std::array::from_fn(|lane| values[(lane + other) % values.len()]);
            check(operation, a, b);
        }
    }
}

proptest! {
    #[test]
    fn operations_on_any_bits_are_their_definition(
        operation in prop::sample::select(OPERATIONS.to_vec()),
        a in prop::array::uniform16(any::<u32>()),
        b in prop::array::uniform16(any::<u32>()),
    ) {
        check(operation, a.map(f32::from_bits), b.map(f32::from_bits));
    }
}

for_each_isa!(convert<E> = convert_vector(values: &[f32; LANES], stored: &mut [E; LANES], loaded: &mut [f32; LANES]));

#[inline(always)]
unsafe fn convert_vector<V: F32x16, E: Element>(
    values: &[f32; LANES],
    stored: &mut [E; LANES],
    loaded: &mut [f32; LANES],
) {
    unsafe {
        E::store(V::load(values.as_ptr()), stored.as_mut_ptr());
        E::load::<V>(stored.as_ptr()).store(loaded.as_mut_ptr());
    }
}

/// Values with every sign, exponent and upper mantissa, on and around the ties of both 16-bit formats, are rounded as `half`
/// rounds them; NaN becomes NaN, whatever its payload.
fn conversions<E: Element>() {
    for low in [0, 1, 0x0fff, 0x1000, 0x1001, 0x7fff, 0x8000, 0x8001, 0xffff] {
        for first in (0..=u16::MAX).step_by(LANES) {
            let values = std::array::from_fn(|lane| f32::from_bits(u32::from(first + lane as u16) << 16 | low));
            for isa in Isa::available() {
                let (mut stored, mut loaded) = ([E::default(); LANES], [0.0; LANES]);
                // SAFETY: the processor has the instruction set.
                unsafe { convert::<E>(isa, &values, &mut stored, &mut loaded) };
                for lane in 0..LANES {
                    let expected = E::of(values[lane]).value();
                    let same = |got: f32| got.is_nan() && values[lane].is_nan() || got == expected;
                    let what = (isa, E::DTYPE, values[lane].to_bits(), stored[lane], loaded[lane], expected);
                    assert!(same(stored[lane].value()) && same(loaded[lane]), "{what:?}");
                }
            }
        }
    }
}

#[test]
fn conversions_to_16_bits_round_to_the_nearest_and_keep_nan() {
    conversions::<f16>();
    conversions::<bf16>();
}
