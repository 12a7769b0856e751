//! Numbers that Rust has no type for: half, bfloat16, tf32, the 8-bit floats, and rounding as PTX names it.

/// A half as it stands in a register.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct F16(pub u16);

/// A bfloat16 as it stands in a register.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bf16(pub u16);

/// How a result that can't be represented is rounded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rounding {
    /// To the nearest, ties to even.
    Nearest,
    /// To the nearest, ties away from zero.
    NearestAway,
    Zero,
    Down,
    Up,
}

impl Rounding {
    /// The rounding that a modifier names, `rn` or `rni`.
    pub fn parse(modifier: &str) -> Option<Self> {
        Some(match modifier {
            "rn" | "rni" => Self::Nearest,
            "rna" => Self::NearestAway,
            "rz" | "rzi" => Self::Zero,
            "rm" | "rmi" => Self::Down,
            "rp" | "rpi" => Self::Up,
            _ => return None,
        })
    }

    /// The integer that a number is rounded to.
    pub fn integral(self, x: f64) -> f64 {
        match self {
            Self::Nearest => x.round_ties_even(),
            Self::NearestAway => x.round(),
            Self::Zero => x.trunc(),
            Self::Down => x.floor(),
            Self::Up => x.ceil(),
        }
    }
}

/// A narrow float: how many bits its exponent and its fraction take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Format {
    pub exponent: u32,
    pub fraction: u32,
    /// Whether the highest exponent stands for infinities and NaN, as in IEEE 754.
    pub infinite: bool,
}

pub const HALF: Format = Format { exponent: 5, fraction: 10, infinite: true };
pub const BFLOAT: Format = Format { exponent: 8, fraction: 7, infinite: true };
pub const TFLOAT: Format = Format { exponent: 8, fraction: 10, infinite: true };
pub const SINGLE: Format = Format { exponent: 8, fraction: 23, infinite: true };
pub const E4M3: Format = Format { exponent: 4, fraction: 3, infinite: false };
pub const E5M2: Format = Format { exponent: 5, fraction: 2, infinite: true };
pub const E3M2: Format = Format { exponent: 3, fraction: 2, infinite: false };
pub const E2M3: Format = Format { exponent: 2, fraction: 3, infinite: false };
pub const E2M1: Format = Format { exponent: 2, fraction: 1, infinite: false };

impl Format {
    fn bias(self) -> i32 {
        (1 << (self.exponent - 1)) - 1
    }

    fn sign_bit(self) -> u32 {
        1 << (self.exponent + self.fraction)
    }

    /// The largest finite value's bits.
    fn largest(self) -> u32 {
        let all = self.sign_bit() - 1;
        match self {
            E4M3 => all - 1,
            _ if self.infinite => all - (1 << self.fraction),
            _ => all,
        }
    }

    /// What a NaN becomes.
    fn nan(self) -> u32 {
        match self {
            HALF | BFLOAT | E4M3 => self.sign_bit() - 1,
            E5M2 => 0x7f,
            SINGLE | TFLOAT => 0x7fff_ffff & !((1 << (23 - self.fraction)) - 1) >> (23 - self.fraction),
            _ => self.largest(),
        }
    }

    /// The value of these bits.
    pub fn value(self, bits: u32) -> f64 {
        let sign = if bits & self.sign_bit() != 0 { -1.0 } else { 1.0 };
        let fraction = f64::from(bits & ((1 << self.fraction) - 1));
        let exponent = (bits >> self.fraction & ((1 << self.exponent) - 1)).cast_signed();
        let scale = 2_f64.powi(-self.fraction.cast_signed());
        if self == E4M3 && bits & 0x7f == 0x7f {
            return f64::NAN;
        }
        if self.infinite && exponent == (1 << self.exponent) - 1 {
            return if fraction == 0.0 { sign * f64::INFINITY } else { f64::NAN };
        }
        match exponent {
            0 => sign * fraction * scale * 2_f64.powi(1 - self.bias()),
            _ => sign * (1.0 + fraction * scale) * 2_f64.powi(exponent - self.bias()),
        }
    }

    /// The bits of a value, rounded once. `saturate` keeps what is too large finite.
    pub fn round(self, value: f64, rounding: Rounding, saturate: bool) -> u32 {
        if value.is_nan() {
            return self.nan();
        }
        let sign = if value.is_sign_negative() { self.sign_bit() } else { 0 };
        let magnitude = value.abs();
        let overflow = self.overflow(sign != 0, rounding, saturate);
        if magnitude.is_infinite() {
            let infinity = if self.infinite { self.largest() + 1 } else { self.nan() };
            return sign | if saturate { self.largest() } else { infinity };
        }
        if magnitude == 0.0 {
            return sign;
        }
        // The exponent of the last bit that the format keeps of this value.
        let exponent = (magnitude.to_bits() >> 52).cast_signed() as i32 - 1023;
        let exponent = exponent.max(1 - self.bias());
        let unit = 2_f64.powi(exponent - self.fraction.cast_signed());
        let signed = if sign != 0 { -magnitude / unit } else { magnitude / unit };
        let steps = rounding.integral(signed).abs();
        // `steps` counts units; the implicit bit carries into the exponent by itself.
        let base = ((exponent + self.bias() - 1).max(0).cast_unsigned()) << self.fraction;
        let bits = base + steps as u32;
        sign | if bits > self.largest() { overflow } else { bits }
    }

    /// What stands for a value beyond the largest.
    fn overflow(self, negative: bool, rounding: Rounding, saturate: bool) -> u32 {
        let towards_zero = match rounding {
            Rounding::Nearest | Rounding::NearestAway => false,
            Rounding::Zero => true,
            Rounding::Down => !negative,
            Rounding::Up => negative,
        };
        if saturate || towards_zero {
            self.largest()
        } else if self.infinite {
            self.largest() + 1
        } else {
            self.nan()
        }
    }
}

/// A half as a single, exactly.
#[inline(always)]
pub fn half_to_single(half: u16) -> f32 {
    let bits = u32::from(half);
    // The exponent and the fraction move into place, and the multiplication mends the bias and makes subnormals.
    let magnitude = f32::from_bits((bits & 0x7fff) << 13) * f32::from_bits(0x7780_0000);
    let special = if bits & 0x7c00 == 0x7c00 { 0x7f80_0000 } else { 0 };
    f32::from_bits(magnitude.to_bits() | special | (bits & 0x8000) << 16)
}

/// A single rounded to a half, ties to even.
#[inline(always)]
pub fn single_to_half(single: f32) -> u16 {
    let bits = single.to_bits();
    let magnitude = bits & 0x7fff_ffff;
    let normal = magnitude.wrapping_add(0xc800_0fff).wrapping_add(magnitude >> 13 & 1) >> 13;
    // Adding 0.5 rounds a subnormal in the place where the half's last bit lies.
    let subnormal = (f32::from_bits(magnitude) + 0.5).to_bits().wrapping_sub(0x3f00_0000);
    let finite = if magnitude < 0x3880_0000 { subnormal } else { normal };
    let half = if magnitude > 0x7f80_0000 {
        0x7fff
    } else if magnitude >= 0x477f_f000 {
        0x7c00
    } else {
        finite
    };
    let sign = if magnitude > 0x7f80_0000 { 0 } else { bits >> 16 & 0x8000 };
    (half | sign) as u16
}

/// A bfloat16 as a single, exactly.
#[inline(always)]
pub fn bfloat_to_single(bfloat: u16) -> f32 {
    f32::from_bits(u32::from(bfloat) << 16)
}

/// A single rounded to a bfloat16, ties to even.
#[inline(always)]
pub fn single_to_bfloat(single: f32) -> u16 {
    let bits = single.to_bits();
    let rounded = bits.wrapping_add(0x7fff).wrapping_add(bits >> 16 & 1) >> 16;
    if bits & 0x7fff_ffff > 0x7f80_0000 { 0x7fff } else { rounded as u16 }
}

/// A single as tensor cores read a tf32 operand: 10 bits of the fraction, the others are not looked at.
#[inline(always)]
pub fn truncate_to_tf32(single: f32) -> f32 {
    f32::from_bits(single.to_bits() & 0xffff_e000)
}

/// `cvt.rna.tf32`: rounded to 10 bits of the fraction, ties away from zero; or `cvt.rn.tf32`, ties to even.
#[inline(always)]
pub fn round_to_tf32(single: f32, rounding: Rounding) -> f32 {
    let bits = single.to_bits();
    if bits & 0x7f80_0000 == 0x7f80_0000 {
        return if single.is_nan() { f32::from_bits(0x7fff_e000) } else { single };
    }
    let rounded = match rounding {
        Rounding::NearestAway => bits.wrapping_add(0x1000),
        Rounding::Nearest => bits.wrapping_add(0xfff + (bits >> 13 & 1)),
        _ => bits,
    };
    f32::from_bits(rounded & 0xffff_e000)
}

/// A double rounded to a single. Rust has the nearest only.
pub fn double_to_single(value: f64, rounding: Rounding) -> f32 {
    let nearest = value as f32;
    if rounding == Rounding::Nearest || f64::from(nearest) == value || value.is_nan() {
        return nearest;
    }
    f32::from_bits(SINGLE.round(value, rounding, false))
}

/// A bfloat16 or half, as arithmetic sees it.
pub trait Narrow: Copy + Send + Sync + 'static {
    fn new(bits: u16) -> Self;
    fn bits(self) -> u16;
    fn single(self) -> f32;
    fn rounded(single: f32) -> Self;
}

impl Narrow for F16 {
    fn new(bits: u16) -> Self {
        Self(bits)
    }
    fn bits(self) -> u16 {
        self.0
    }
    #[inline(always)]
    fn single(self) -> f32 {
        half_to_single(self.0)
    }
    #[inline(always)]
    fn rounded(single: f32) -> Self {
        Self(single_to_half(single))
    }
}

impl Narrow for Bf16 {
    fn new(bits: u16) -> Self {
        Self(bits)
    }
    fn bits(self) -> u16 {
        self.0
    }
    #[inline(always)]
    fn single(self) -> f32 {
        bfloat_to_single(self.0)
    }
    #[inline(always)]
    fn rounded(single: f32) -> Self {
        Self(single_to_bfloat(single))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_half_and_bfloat_survives_the_way_through_a_single() {
        for bits in 0..=u16::MAX {
            let single = half_to_single(bits);
            let exact = HALF.value(bits.into());
            assert!(f64::from(single) == exact || exact.is_nan() && single.is_nan(), "half {bits:#x}");
            if !exact.is_nan() {
                assert_eq!(single_to_half(single), bits);
                assert_eq!(HALF.round(exact, Rounding::Nearest, false), bits.into());
            }
            let single = bfloat_to_single(bits);
            if !single.is_nan() {
                assert_eq!(single_to_bfloat(single), bits);
                assert_eq!(BFLOAT.round(single.into(), Rounding::Zero, false), bits.into());
            }
        }
        assert_eq!((single_to_half(f32::NAN), single_to_bfloat(-f32::NAN)), (0x7fff, 0x7fff));
    }

    #[test]
    fn singles_round_to_halves_as_the_format_says() {
        // Around every boundary: below, at and above the middle between two halves.
        for bits in 0..0x7c00_u16 {
            let (low, high) = (half_to_single(bits), if bits == 0x7bff { 65536.0 } else { half_to_single(bits + 1) });
            let middle = (low + high) / 2.0;
            for value in [middle, middle.next_down(), middle.next_up(), -middle] {
                let expected = HALF.round(value.into(), Rounding::Nearest, false) as u16;
                assert_eq!(single_to_half(value), expected, "{value:e}");
            }
        }
    }

    #[test]
    fn directed_rounding_keeps_to_its_side() {
        let third = 1.0 / 3.0;
        let [down, up, zero] =
            [Rounding::Down, Rounding::Up, Rounding::Zero].map(|r| HALF.value(HALF.round(third, r, false)));
        assert!(down < third && third < up && zero == down);
        let negative = HALF.value(HALF.round(-third, Rounding::Up, false));
        assert_eq!(negative, -down);
        assert_eq!(HALF.value(HALF.round(1e6, Rounding::Zero, false)), 65504.0);
        assert_eq!(HALF.value(HALF.round(1e6, Rounding::Nearest, false)), f64::INFINITY);
        assert_eq!(E4M3.value(E4M3.round(1e6, Rounding::Nearest, true)), 448.0);
        assert_eq!(E5M2.value(E5M2.round(0.3, Rounding::Nearest, true)), 0.3125);
        assert_eq!(double_to_single(0.1, Rounding::Zero), 0.1_f32.next_down());
        assert_eq!(round_to_tf32(1.0 + 2_f32.powi(-11), Rounding::NearestAway), 1.0 + 2_f32.powi(-10));
        assert_eq!(round_to_tf32(1.0 + 2_f32.powi(-11), Rounding::Nearest), 1.0);
        assert_eq!(truncate_to_tf32(1.0 + 2_f32.powi(-11)), 1.0);
    }
}
