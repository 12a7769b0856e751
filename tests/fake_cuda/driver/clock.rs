//! The device's clock: virtual time, so that events give the same times on any machine and however busy it is.
//!
//! A card has three engines (kernels, copies in, copies out) that each do one thing at a time. Work begins when the host
//! has issued it, its stream has come to it and its engine is free, and takes what [`kernel`] or [`copy`] say.

use crate::cards::{Card, WARP};

/// Seconds since the driver was made.
pub type Time = f64;

/// What does a piece of work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Engine {
    Kernels,
    In,
    Out,
}

/// When each engine of a card is free.
#[derive(Debug, Default)]
pub struct Clock {
    free: [Time; 3],
    /// Seconds in which kernels ran.
    pub busy: f64,
}

impl Clock {
    /// Work that can begin at `ready` and takes `length`: when it ends.
    pub fn run(&mut self, engine: Engine, ready: Time, length: f64) -> Time {
        let free = &mut self.free[engine as usize];
        let end = free.max(ready) + length;
        *free = end;
        if engine == Engine::Kernels {
            self.busy += length;
        }
        end
    }

    /// When the last engine is free.
    pub fn end(&self) -> Time {
        self.free.into_iter().fold(0.0, f64::max)
    }
}

/// What a kernel does, as far as it takes time.
#[derive(Clone, Copy, Debug, Default)]
pub struct Load {
    pub blocks: u64,
    pub threads: u64,
    /// Shared memory of a block.
    pub shared: u64,
    /// Instructions of threads, and tensor-core products; none if nothing was executed.
    pub instructions: u64,
    pub products: u64,
    /// Bytes that memory moves.
    pub bytes: u64,
}

/// What starting a kernel takes on the device, seconds; the order of what an empty kernel measures.
const START: f64 = 2e-6;

/// Instructions of each thread of a kernel that is not executed: a guess, so that its time follows its size.
const GUESS: u64 = 500;

/// Four schedulers of a multiprocessor issue an instruction of a warp each in a clock.
const SCHEDULERS: f64 = 4.0;

/// Clocks between dependent instructions, which resident warps hide.
const LATENCY: f64 = 6.0;

/// How long a kernel runs: the longest of what it issues, multiplies and moves, on the multiprocessors that it fills.
pub fn kernel(card: &Card, load: &Load) -> f64 {
    let multiprocessors = u64::from(card.multiprocessors);
    // Full waves of blocks; in the last one, multiprocessors idle.
    let warps_of_block = load.threads.div_ceil(u64::from(WARP)).max(1);
    let by_threads = u64::from(card.threads_per_multiprocessor) / (warps_of_block * u64::from(WARP));
    let shared = load.shared + u64::from(card.shared_reserved);
    let by_shared = u64::from(card.shared_per_multiprocessor).checked_div(shared).unwrap_or(u64::MAX);
    let resident = by_threads.min(by_shared).min(u64::from(card.blocks_per_multiprocessor)).max(1);
    let waves = load.blocks.div_ceil(multiprocessors * resident).max(1);
    let filled = load.blocks.max(1) as f64 / (waves * multiprocessors * resident) as f64;
    let threads = load.blocks * load.threads;
    let instructions = if load.instructions == 0 { threads * GUESS } else { load.instructions };
    let issued = instructions as f64 / f64::from(WARP);
    // Too few warps to hide latency issue less.
    let warps = (resident * warps_of_block) as f64;
    let rate = SCHEDULERS.min(warps / LATENCY) * f64::from(card.multiprocessors) * card.clock();
    let multiplied = load.products as f64 / (f64::from(card.multiprocessors * card.tensor_lanes) * card.clock());
    let moved = load.bytes as f64 / (card.bandwidth() * 0.9);
    START + ((issued / rate).max(multiplied) / filled).max(moved)
}

/// How long a copy takes: over PCIe to or from the host, or in the card's memory, read and written.
pub fn copy(card: &Card, bytes: u64, host: bool) -> f64 {
    // PCIe 3, 4 or 5 with 16 lanes, less its overhead.
    let link = match card.sm {
        ..80 => 12e9,
        80..90 => 25e9,
        _ => 50e9,
    };
    let rate = if host { link } else { card.bandwidth() * 0.45 };
    START + bytes as f64 / rate
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn engines_work_beside_each_other_and_one_thing_at_a_time() {
        let mut clock = Clock::default();
        assert_eq!(clock.run(Engine::Kernels, 1.0, 2.0), 3.0);
        assert_eq!(clock.run(Engine::Kernels, 1.0, 2.0), 5.0);
        assert_eq!(clock.run(Engine::In, 1.0, 2.0), 3.0);
        assert_eq!((clock.end(), clock.busy), (5.0, 4.0));
    }

    #[test]
    fn a_kernel_takes_what_its_narrowest_part_takes() {
        let card = Card::named("sm_80").unwrap();
        let big = Load { blocks: 108 * 8, threads: 256, ..Load::default() };
        let bytes = kernel(&card, &Load { instructions: 1, bytes: 1 << 30, ..big });
        assert!((bytes / (f64::from(1 << 30) / 2.039e12) - 1.0).abs() < 0.3, "a gibibyte at 2 TB/s: {bytes}");
        let products = kernel(&card, &Load { instructions: 1, products: 156_000_000_000_000 / 1000, ..big });
        assert!((products / 1e-3 - 1.0).abs() < 0.1, "a thousandth of 312 TFLOPS: {products}");
        let one = kernel(&card, &Load { blocks: 1, bytes: 1 << 20, instructions: 1 << 20, ..big });
        let all = kernel(&card, &Load { bytes: 1 << 20, instructions: 1 << 20, ..big });
        assert!(one > 5.0 * all, "one block leaves 107 multiprocessors idle: {one} {all}");
        assert!(kernel(&card, &Load::default()) < 10e-6);
    }
}
