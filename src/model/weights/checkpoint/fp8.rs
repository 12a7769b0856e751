//! Eight-bit floating-point numbers, in which some checkpoints are stored, as f32.

/// How the bits of a byte are used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fp8 {
    /// 4 bits of exponent, 3 of mantissa, no infinity: PyTorch's `float8_e4m3fn`.
    E4M3,
    /// 5 bits of exponent, 2 of mantissa: PyTorch's `float8_e5m2`.
    E5M2,
}

impl Fp8 {
    /// The values of bytes.
    pub(super) fn decode(self, bytes: &[u8]) -> Vec<f32> {
        let table: Vec<f32> = (0..=u8::MAX).map(|byte| self.value(byte)).collect();
        bytes.iter().map(|byte| table[usize::from(*byte)]).collect()
    }

    fn value(self, byte: u8) -> f32 {
        let (mantissa_bits, bias) = match self {
            Self::E4M3 => (3, 7),
            Self::E5M2 => (2, 15),
        };
        let sign = if byte & 0x80 == 0 { 1.0 } else { -1.0 };
        let (exponent, mantissa) = (i32::from((byte & 0x7f) >> mantissa_bits), byte & ((1 << mantissa_bits) - 1));
        match (self, byte & 0x7f) {
            (Self::E4M3, 0x7f) | (Self::E5M2, 0x7d..) => return f32::NAN,
            (Self::E5M2, 0x7c) => return sign * f32::INFINITY,
            _ => {}
        }
        let fraction = f32::from(mantissa) / f32::from(1u8 << mantissa_bits);
        // Powers of two of this size are exact in f32.
        let scaled = |fraction: f32, exponent: i32| fraction * 2f32.powi(exponent);
        sign * if exponent == 0 { scaled(fraction, 1 - bias) } else { scaled(1.0 + fraction, exponent - bias) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Against what PyTorch 2.15 gives for the same bytes.
    #[test]
    fn bytes_have_the_values_that_pytorch_gives_them() {
        let e4m3 = Fp8::E4M3.decode(&[0x00, 0x01, 0x07, 0x08, 0x38, 0x39, 0xb8, 0x7e, 0x80]);
        assert_eq!(e4m3, [0.0, 0.001953125, 0.013671875, 0.015625, 1.0, 1.125, -1.0, 448.0, -0.0]);
        assert!(Fp8::E4M3.value(0x7f).is_nan() && Fp8::E4M3.value(0xff).is_nan());
        let e5m2 = Fp8::E5M2.decode(&[0x01, 0x03, 0x04, 0x3c, 0x3d, 0xbc, 0x7b, 0x7c, 0xfc]);
        let expected = [
            1.525_878_9e-5,
            4.577_636_7e-5,
            6.103_515_6e-5,
            1.0,
            1.25,
            -1.0,
            57344.0,
            f32::INFINITY,
            f32::NEG_INFINITY,
        ];
        assert_eq!(e5m2, expected);
        assert!(Fp8::E5M2.value(0x7d).is_nan());
    }
}
