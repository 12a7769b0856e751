//! The processor's peaks: multiply-accumulates on registers alone, and bytes moved without arithmetic.

#[cfg(target_arch = "x86_64")]
use crate::amx;
use crate::{element::DType, isa::Isa, mac::MacOp, throughput};
use rayon::prelude::*;
use std::time::{Duration, Instant};

/// Iterations of a probe: some milliseconds, long against the resolution of the clock.
const ITERATIONS: u64 = 1 << 20;

/// FLOPs a second, two per multiply-accumulate, that all workers reach together with the instruction that multiplies values
/// stored as `dtype`. The best of the probes that fit into `time`: other load on the machine can only slow one down.
pub fn flops(isa: Isa, dtype: DType, time: Duration) -> f64 {
    let mac = MacOp::select(isa, dtype);
    let began = Instant::now();
    let mut best = 0.0f64;
    while best == 0.0 || began.elapsed() < time {
        best = best.max(rayon::broadcast(|_| flops_of_worker(isa, mac)).into_iter().sum());
    }
    best
}

/// FLOPs a second of one worker, of the time for which it has a processor.
fn flops_of_worker(isa: Isa, mac: MacOp) -> f64 {
    let start = processor_time();
    #[cfg(target_arch = "x86_64")]
    // SAFETY: `isa` comes from `Isa::available`: the processor has the instructions.
    let flops = unsafe {
        match (mac, isa) {
            // A tile instruction does 16 times the work of a vector instruction, or more.
            (MacOp::AmxBf16, _) => amx::peak_loop(ITERATIONS / 16),
            (MacOp::Dpbf16, _) => throughput::dpbf16(ITERATIONS),
            (MacOp::Fma(_), Isa::Portable) => throughput::portable_fma(ITERATIONS),
            (MacOp::Fma(_), Isa::Avx2) => throughput::avx2_fma(ITERATIONS),
            (MacOp::Fma(_), Isa::Avx512 | Isa::Avx512Bf16 | Isa::Amx) => throughput::avx512_fma(ITERATIONS),
        }
    };
    #[cfg(not(target_arch = "x86_64"))]
    let flops = {
        let _ = (isa, mac); // the portable set is the only one
        throughput::portable_fma(ITERATIONS)
    };
    flops as f64 / (processor_time() - start).as_secs_f64()
}

/// Time for which this thread has had a processor: other load on the machine, or a stop, does not lower a peak by it.
fn processor_time() -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` outlives the call; the clock of the calling thread is always there.
    unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &mut time) };
    Duration::new(u64::try_from(time.tv_sec).unwrap_or(0), u32::try_from(time.tv_nsec).unwrap_or(0))
}

/// Memory bandwidth, bytes a second.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bandwidth {
    /// Of a copy: bytes read plus bytes written.
    pub copy: f64,
    /// Of reads alone.
    pub read: f64,
}

/// Measures the memory bandwidth of all workers together, copying and reading an array of `bytes` bytes, which should be several
/// times as large as the last-level cache. The best of the passes that fit into `time` for each of the two, at least two
/// passes. None if two such arrays cannot be allocated.
pub fn bandwidth(bytes: usize, time: Duration) -> Option<Bandwidth> {
    let words = bytes / size_of::<u64>();
    // Distinct contents, and each page first touched by the worker that moves it.
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

/// Seconds of the fastest pass.
fn best(time: Duration, mut pass: impl FnMut()) -> f64 {
    let (began, mut best, mut passes) = (Instant::now(), f64::INFINITY, 0);
    while passes < 2 || began.elapsed() < time {
        let start = Instant::now();
        pass();
        best = best.min(start.elapsed().as_secs_f64());
        passes += 1;
    }
    best
}

/// An array that all workers have written to; none if it cannot be allocated.
fn filled(words: usize, value: u64) -> Option<Vec<u64>> {
    let mut array: Vec<u64> = Vec::new();
    array.try_reserve_exact(words).ok()?;
    let part = words.div_ceil(rayon::current_num_threads()).max(1);
    array.spare_capacity_mut()[..words]
        .par_chunks_mut(part)
        .for_each(|part| part.iter_mut().for_each(|word| _ = word.write(value)));
    // SAFETY: `words` elements were reserved and written.
    unsafe { array.set_len(words) };
    Some(array)
}

/// Sums in several vector registers at once, so that only memory limits the rate.
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
