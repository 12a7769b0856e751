//! Chooses the tile size of a layer.

#[cfg(target_arch = "x86_64")]
use crate::amx;
use crate::isa::Isa;
use crate::layout::Plane;
use crate::mac::MacOp;
use crate::micro_kernel::{self, MAX_TILE, MicroKernel};

/// The micro-kernels of a layer by `[NR][MR]`.
pub(super) struct MicroKernels(Vec<Vec<Option<MicroKernel>>>);

impl MicroKernels {
    /// Those of a processor, for inputs of a stride.
    pub fn new(isa: Isa, mac: MacOp, input_stride: usize) -> Self {
        let select = |nr| (0..=MAX_TILE[0]).map(|mr| micro_kernel::select(isa, mac, mr, nr, input_stride)).collect();
        Self((0..=MAX_TILE[1]).map(select).collect())
    }

    /// That for a tile size, if there is one.
    pub fn get(&self, mr: usize, nr: usize) -> Option<MicroKernel> {
        self.0[nr][mr]
    }

    /// The largest MR, at most `limit`, that has a micro-kernel with this NR, and the micro-kernel.
    pub fn largest(&self, limit: usize, nr: usize) -> Option<(usize, MicroKernel)> {
        (1..=limit).rev().find_map(|mr| Some((mr, self.0[nr][mr]?)))
    }

    fn max_nr(&self) -> usize {
        self.0.iter().rposition(|by_mr| by_mr.iter().any(Option::is_some)).unwrap_or(1)
    }
}

/// The tile size [MR, NR] of a layer whose groups have `group_blocks` channel blocks of filters.
pub(super) fn select(isa: Isa, mac: MacOp, kernels: &MicroKernels, out: Plane, group_blocks: usize) -> [usize; 2] {
    match mac {
        #[cfg(target_arch = "x86_64")]
        MacOp::AmxBf16 => [MAX_TILE[0], amx::TILE_BLOCKS.min(group_blocks)],
        // The pixels are images: their number is not known yet.
        _ if out.height * out.width == 1 => [MAX_TILE[0], kernels.max_nr().min(group_blocks)],
        _ => cheapest(isa, kernels, out.width, group_blocks),
    }
}

/// The tile size that covers rows of `width` pixels of all filters at the least cost.
fn cheapest(isa: Isa, kernels: &MicroKernels, width: usize, group_blocks: usize) -> [usize; 2] {
    let mut best = ([1, 1], f64::INFINITY);
    for nr in 1..=kernels.max_nr().min(group_blocks) {
        for mr in (1..=MAX_TILE[0]).filter(|mr| kernels.get(*mr, nr).is_some()) {
            let row = |nr: usize| {
                let rest = if width.is_multiple_of(mr) { 0.0 } else { cost(isa, width % mr, nr) };
                (width / mr) as f64 * cost(isa, mr, nr) + rest
            };
            let last = group_blocks % nr;
            let total = (group_blocks / nr) as f64 * row(nr) + if last == 0 { 0.0 } else { row(last) };
            if total < best.1 {
                best = ([mr, nr], total);
            }
        }
    }
    best.0
}

/// Cost of a step of the K loop for a tile, in units of a vector's multiply-add. The step is bound by whichever takes longest:
/// - the multiply-adds: MR · NR vectors, of which two registers' issue per cycle;
/// - the loads: MR broadcasts, and NR vectors of weights of `registers` each, two per cycle as well;
/// - the weights' way from the L2 cache: two cycles per cache line;
/// - the latency of the multiply-adds: fewer than eight registers of accumulators wait for each other.
///
/// The terms that are added at the end separate tile sizes that are equal by this count; they are fitted to measurements.
fn cost(isa: Isa, mr: usize, nr: usize) -> f64 {
    let registers = isa.registers_per_vector();
    let loads = (mr + registers * nr).div_ceil(registers);
    let l2 = (4 * nr).div_ceil(registers);
    let latency = 8_usize.div_ceil(registers);
    (mr * nr).max(loads).max(l2).max(latency) as f64 + 0.05 * mr as f64 + 0.25 * nr as f64
}
