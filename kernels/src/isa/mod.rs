//! Instruction sets that kernels are compiled for, and which of them this processor should use.

#[cfg(target_arch = "x86_64")]
use crate::{amx, throughput};
use std::sync::OnceLock;

pub(crate) mod dispatch;

/// An instruction set that kernels are compiled for. Each includes the ones before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Isa {
    /// The baseline of the target: SSE2 or NEON.
    Portable,
    /// AVX2, FMA and F16C.
    Avx2,
    /// AVX-512F and BW.
    Avx512,
    /// The same and AVX512-BF16 (VDPBF16PS).
    Avx512Bf16,
    /// The same and AMX-BF16 (TDPBF16PS).
    Amx,
}

impl Isa {
    /// The fastest instruction set of this processor. Determined once per process.
    pub fn detect() -> Self {
        static FASTEST: OnceLock<Isa> = OnceLock::new();
        *FASTEST.get_or_init(|| match Self::available().pop() {
            // SAFETY: the processor has AVX512-BF16.
            #[cfg(target_arch = "x86_64")]
            Some(Self::Avx512Bf16) if !unsafe { throughput::dpbf16_beats_fma() } => Self::Avx512,
            best => best.unwrap_or(Self::Portable),
        })
    }

    /// Registers that a vector of [`crate::simd::LANES`] f32 occupies.
    pub const fn registers_per_vector(self) -> usize {
        match self {
            Self::Portable => 4,
            Self::Avx2 => 2,
            Self::Avx512 | Self::Avx512Bf16 | Self::Amx => 1,
        }
    }

    /// All instruction sets that this processor and operating system support, from the oldest to the newest.
    pub fn available() -> Vec<Self> {
        #[allow(unused_mut)]
        let mut found = vec![Self::Portable];
        #[cfg(target_arch = "x86_64")]
        {
            let avx2 =
                is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") && is_x86_feature_detected!("f16c");
            let avx512 = avx2 && is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512bw");
            let bf16 = avx512 && is_x86_feature_detected!("avx512bf16");
            let amx = bf16 && amx::available();
            let newer = [(Self::Avx2, avx2), (Self::Avx512, avx512), (Self::Avx512Bf16, bf16), (Self::Amx, amx)];
            found.extend(newer.into_iter().filter(|(_, has)| *has).map(|(isa, _)| isa));
        }
        found
    }
}
