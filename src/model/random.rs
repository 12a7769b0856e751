//! Random values that are the same on every platform, on any number of threads, and whatever else is made.
//!
//! A value is a hash of a seed, a name and an index. Only integer arithmetic and products by powers of two are used.

use rayon::prelude::*;

/// A sequence of uniform values any of which can be had without the ones before.
#[derive(Clone, Copy)]
pub(super) struct Stream(u64);

impl Stream {
    /// The stream that belongs to `seed` and `name`.
    pub(super) fn new(seed: u64, name: &str) -> Self {
        // FNV-1a over the name, then the mixer, so that neighbouring seeds share nothing.
        let hash = name.bytes().fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
        });
        Self(mix(hash ^ mix(seed)))
    }

    /// Fills `values` with uniform ones between `-half` and `half`.
    pub(super) fn fill(self, values: &mut [f32], half: f32) {
        const CHUNK: usize = 1 << 15;
        // 2⁻²⁴ is a power of two: scaling by it is exact.
        let unit = half / (1 << 24) as f32;
        values.par_chunks_mut(CHUNK).enumerate().for_each(|(chunk, values)| {
            let first = (chunk * CHUNK / 2) as u64;
            for (pair, values) in values.chunks_mut(2).enumerate() {
                let bits = self.bits(first + pair as u64);
                for (value, bits) in values.iter_mut().zip([bits >> 40, bits >> 8 & 0xff_ffff]) {
                    // An odd number of at most 24 bits: exact as f32, symmetric, never 0.
                    *value = (2 * bits as i32 + 1 - (1 << 24)) as f32 * unit;
                }
            }
        });
    }

    /// Whole numbers below `bound`, uniform but for 1 in 2³².
    pub(super) fn below(self, bound: usize, count: usize) -> Vec<i64> {
        (0..count as u64).map(|i| ((u128::from(self.bits(i)) * bound as u128) >> 64) as i64).collect()
    }

    /// 64 random bits: SplitMix64's generator, addressed by its counter.
    fn bits(self, index: u64) -> u64 {
        mix(self.0.wrapping_add(index.wrapping_mul(0x9e37_79b9_7f4a_7c15)))
    }
}

/// SplitMix64's finaliser (Steele, Lea and Flood, 2014).
pub const fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
