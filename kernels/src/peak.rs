//! The processor's peak: multiply-adds in registers and nothing else.

use crate::simd::{Isa, LANES, Lanes};
#[cfg(target_arch = "x86_64")]
use std::arch::x86_64::__m512;
use std::time::{Duration, Instant};

/// Turns of a measured stretch: some milliseconds, long against the clock that times it.
const TURNS: u64 = 1 << 20;

/// Operations a second, two a multiply-add, that all workers reach together while they do nothing else: the best of the
/// stretches that fit into `time`, since whatever else the machine does can only slow one down.
pub fn flops(isa: Isa, time: Duration) -> f64 {
    let began = Instant::now();
    let mut best = 0.0f64;
    while best == 0.0 || began.elapsed() < time {
        best = best.max(rayon::broadcast(|_| stretch(isa)).into_iter().sum());
    }
    best
}

/// Operations a second of one worker.
fn stretch(isa: Isa) -> f64 {
    let start = Instant::now();
    // SAFETY: the processor has the vector unit: `isa` comes from `Isa::available`. Nothing else is asked of the caller.
    let chains = unsafe {
        match isa {
            Isa::Portable => chains::<[f32; LANES], 2>(),
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2 => avx2(),
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512 => avx512(),
            #[cfg(not(target_arch = "x86_64"))]
            _ => chains::<[f32; LANES], 2>(),
        }
    };
    (2 * LANES as u64 * TURNS * chains) as f64 / start.elapsed().as_secs_f64()
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
unsafe fn avx2() -> u64 {
    unsafe { chains::<crate::simd::Avx2, 6>() }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f")]
unsafe fn avx512() -> u64 {
    unsafe { chains::<__m512, 12>() }
}

/// `N` chains of multiply-adds that do not wait for each other: as many as hide the latency, and no more than there are
/// registers for. Gives their number.
#[inline(always)]
unsafe fn chains<L: Lanes, const N: usize>() -> u64 {
    // SAFETY: the caller has the vector unit, and `line` has room for a vector.
    unsafe {
        // Values settle at 1: neither overflowing nor denormal ones, which would be slower.
        let (shrink, rest) = (L::splat(0.5), L::splat(0.5));
        let mut sums = [L::splat(std::hint::black_box(0.75)); N];
        for _ in 0..TURNS {
            for sum in &mut sums {
                *sum = rest.fma(*sum, shrink);
            }
        }
        let mut line = [0.0; LANES];
        for sum in sums {
            sum.store(line.as_mut_ptr());
            std::hint::black_box(&line);
        }
    }
    N as u64
}
