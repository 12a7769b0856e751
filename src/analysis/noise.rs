//! Reproducible pseudo-random numbers, so that resampling gives the same verdict every time.

/// SplitMix64 (Steele, Lea and Flood 2014).
#[derive(Clone, Debug)]
pub struct Noise(u64);

impl Noise {
    /// The stream of a seed.
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next 64 bits.
    pub const fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A number below `n`; 0 if `n` is 0.
    pub fn below(&mut self, n: usize) -> usize {
        ((u128::from(self.bits()) * n as u128) >> 64) as usize
    }

    /// Shuffles values (Fisher and Yates).
    pub fn shuffle<T>(&mut self, values: &mut [T]) {
        for i in (1..values.len()).rev() {
            let j = self.below(i + 1);
            values.swap(i, j);
        }
    }

    /// A number from 0 to 1.
    pub fn uniform(&mut self) -> f64 {
        (self.bits() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// A normally distributed number with mean 0 and deviation 1 (Box and Muller 1958).
    pub fn normal(&mut self) -> f64 {
        let (u, v) = (1.0 - self.uniform(), self.uniform());
        (-2.0 * u.ln()).sqrt() * (std::f64::consts::TAU * v).cos()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::stats::Moments;

    #[test]
    fn noise_is_what_it_claims_to_be() {
        let mut noise = Noise::new(3);
        let normal: Moments = (0..20_000).map(|_| noise.normal()).collect();
        assert!(normal.mean().unwrap().abs() < 0.03 && (normal.deviation().unwrap() - 1.0).abs() < 0.03);
        assert!((0..1000).all(|_| noise.below(7) < 7));
        assert_eq!(noise.below(0), 0);
        let mut values = [1, 2, 3, 4, 5, 6, 7, 8];
        noise.shuffle(&mut values);
        assert_ne!(values, [1, 2, 3, 4, 5, 6, 7, 8]);
        values.sort_unstable();
        assert_eq!(values, [1, 2, 3, 4, 5, 6, 7, 8]);
    }
}
