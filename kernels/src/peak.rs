//! The processor's peaks: multiply-adds in registers and nothing else, and memory moved and nothing else.

#[cfg(target_arch = "x86_64")]
use crate::simd::pairs_of_bf16;
use crate::{
    element::Kind,
    simd::{Isa, LANES, Lanes},
    tile::Way,
};
use rayon::prelude::*;
#[cfg(target_arch = "x86_64")]
use std::arch::x86_64::{__m512, _mm512_dpbf16_ps, _mm512_set1_epi32, _mm512_setzero_ps};
use std::time::{Duration, Instant};

/// Turns of a measured stretch: some milliseconds, long against the clock that times it.
const TURNS: u64 = 1 << 20;

/// Operations a second, two a multiply-add, that all workers reach together while they do nothing else, with the instruction
/// that multiplies values stored as `kind`: the best of the stretches that fit into `time`, since whatever else the machine
/// does can only slow one down.
pub fn flops(isa: Isa, kind: Kind, time: Duration) -> f64 {
    let way = Way::of(isa, kind);
    let began = Instant::now();
    let mut best = 0.0f64;
    while best == 0.0 || began.elapsed() < time {
        best = best.max(rayon::broadcast(|_| stretch(isa, way, TURNS)).into_iter().sum());
    }
    best
}

/// Whether products of pairs are faster than multiply-adds of as many values: some processors have them for the memory that
/// they save, and take twice as long. Asked in a fraction of a millisecond.
#[cfg(target_arch = "x86_64")]
pub fn pairs_pay() -> bool {
    const GLIMPSE: u64 = 1 << 12;
    let best = |way| (0..3).map(|_| stretch(Isa::Avx512Bf16, way, GLIMPSE)).fold(0.0, f64::max);
    best(Way::Pairs) > best(Way::Single(Kind::F32))
}

/// Operations a second of one worker, in so many turns.
fn stretch(isa: Isa, way: Way, turns: u64) -> f64 {
    let start = Instant::now();
    #[cfg(target_arch = "x86_64")]
    if way == Way::Tiles {
        // SAFETY: the way of a processor that has it.
        return unsafe { crate::amx::products(turns / 16) } as f64 / start.elapsed().as_secs_f64();
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = way;
    // SAFETY: the processor has the vector unit: `isa` comes from `Isa::available`. Nothing else is asked of the caller.
    let chains = unsafe {
        match isa {
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512Bf16 if way == Way::Pairs => 2 * pairs(turns),
            Isa::Portable => chains::<[f32; LANES], 2>(turns),
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2 => avx2(turns),
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512 | Isa::Avx512Bf16 | Isa::Amx => avx512(turns),
            #[cfg(not(target_arch = "x86_64"))]
            _ => chains::<[f32; LANES], 2>(turns),
        }
    };
    (2 * LANES as u64 * turns * chains) as f64 / start.elapsed().as_secs_f64()
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
unsafe fn avx2(turns: u64) -> u64 {
    unsafe { chains::<crate::simd::Avx2, 6>(turns) }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f")]
unsafe fn avx512(turns: u64) -> u64 {
    unsafe { chains::<__m512, 12>(turns) }
}

/// The same with products of pairs.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512bf16")]
unsafe fn pairs(turns: u64) -> u64 {
    const N: usize = 12;
    // A half, twice.
    let pairs = pairs_of_bf16(_mm512_set1_epi32(std::hint::black_box(0x3f00_3f00)));
    let mut sums = [_mm512_setzero_ps(); N];
    for _ in 0..turns {
        for sum in &mut sums {
            *sum = _mm512_dpbf16_ps(*sum, pairs, pairs);
        }
    }
    std::hint::black_box(&sums);
    N as u64
}

/// `N` chains of multiply-adds that do not wait for each other: as many as hide the latency, and no more than there are
/// registers for. Gives their number.
#[inline(always)]
unsafe fn chains<L: Lanes, const N: usize>(turns: u64) -> u64 {
    // SAFETY: the caller has the vector unit, and `line` has room for a vector.
    unsafe {
        // Values settle at 1: neither overflowing nor denormal ones, which would be slower.
        let (shrink, rest) = (L::splat(0.5), L::splat(0.5));
        let mut sums = [L::splat(std::hint::black_box(0.75)); N];
        for _ in 0..turns {
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

/// Bytes a second between the processor and its memory.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bandwidth {
    /// Of a copy: bytes read and bytes written.
    pub copy: f64,
    /// Of reading alone.
    pub read: f64,
}

/// Bytes a second that all workers reach together while they copy, and while they read, an array of `bytes` bytes, which
/// should be several times as large as the last cache: the best of the passes that fit into `time` each, of two at the
/// least. None where there is no memory for two such arrays.
pub fn bandwidth(bytes: usize, time: Duration) -> Option<Bandwidth> {
    let words = bytes / size_of::<u64>();
    // Distinct values, and each page touched by the worker that moves it.
    let (from, mut to) = (filled(words, 1)?, filled(words, 2)?);
    let part = words.div_ceil(rayon::current_num_threads()).max(1);
    let moved = (words * size_of::<u64>()) as f64;
    let copy = best(time, || {
        to.par_chunks_mut(part).zip(from.par_chunks(part)).for_each(|(to, from)| to.copy_from_slice(from));
        std::hint::black_box(to.as_mut_ptr());
    });
    let read = best(time, || {
        std::hint::black_box(from.par_chunks(part).map(sum).reduce(|| 0, u64::wrapping_add));
    });
    Some(Bandwidth { copy: 2.0 * moved / copy, read: moved / read })
}

/// Seconds of the fastest turn.
fn best(time: Duration, mut turn: impl FnMut()) -> f64 {
    let (began, mut best, mut turns) = (Instant::now(), f64::INFINITY, 0);
    while turns < 2 || began.elapsed() < time {
        let start = Instant::now();
        turn();
        best = best.min(start.elapsed().as_secs_f64());
        turns += 1;
    }
    best
}

/// An array written by all workers; none where there is no memory for it.
fn filled(words: usize, value: u64) -> Option<Vec<u64>> {
    let mut array: Vec<u64> = Vec::new();
    array.try_reserve_exact(words).ok()?;
    let part = words.div_ceil(rayon::current_num_threads()).max(1);
    array.spare_capacity_mut()[..words]
        .par_chunks_mut(part)
        .for_each(|part| part.iter_mut().for_each(|word| _ = word.write(value)));
    // SAFETY: that many words were reserved and written.
    unsafe { array.set_len(words) };
    Some(array)
}

/// A sum that waits for memory only: several at a time, in vector registers.
fn sum(words: &[u64]) -> u64 {
    let mut sums = [0_u64; 16];
    let (lines, rest) = words.as_chunks::<16>();
    for line in lines {
        for (sum, word) in sums.iter_mut().zip(line) {
            *sum = sum.wrapping_add(*word);
        }
    }
    sums.iter().chain(rest).fold(0, |sum, word| sum.wrapping_add(*word))
}
