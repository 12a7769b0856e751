//! A layer's parameters, and their packing: weights in the order in which micro-kernels read them, in their storage type.

use super::shape::Shape;
use crate::element::{DType, Element};
use crate::layout::ChannelVector;
use crate::mac::MacOp;
use crate::simd::LANES;
use rayon::prelude::*;

/// A layer's parameters before they are packed.
#[derive(Debug)]
pub struct Parameters {
    /// `[outputs][inputs / groups][kh][kw]`, or `[inputs / groups][kh][kw][outputs]`.
    pub weights: Vec<f32>,
    /// Whether the outputs come last, as in Burn's linear layers.
    pub outputs_last: bool,
    /// Factor of each filter's weights: that of a folded batch norm.
    pub scale: Option<Vec<f64>>,
    pub bias: Option<Vec<f32>>,
}

impl Parameters {
    /// Folds y = scale · x + shift, a factor and an addend per output channel, into the layer.
    pub fn fold_affine(&mut self, scale: Vec<f64>, shift: &[f64]) {
        let bias = |i: usize| f64::from(self.bias.as_ref().map_or(0.0, |bias| bias[i]));
        self.bias = Some((0..shift.len()).map(|i| (scale[i] * bias(i) + shift[i]) as f32).collect());
        let before = self.scale.take().unwrap_or_else(|| vec![1.0; scale.len()]);
        self.scale = Some(scale.iter().zip(before).map(|(a, b)| a * b).collect());
    }

    /// The weights of 16 consecutive filters at `index`, if they are contiguous and not scaled: the fast path of large linear
    /// layers.
    #[inline]
    fn contiguous(&self, index: usize, filter: usize, outputs: usize) -> Option<ChannelVector> {
        let at = index * outputs + filter;
        let plain = self.outputs_last && self.scale.is_none();
        let values = self.weights.get(at..at + LANES).filter(|_| plain)?;
        values.try_into().map(ChannelVector).ok()
    }

    /// A filter's weight at an index into `[inputs / groups][kh][kw]`, scaled.
    #[inline]
    pub fn weight(&self, filter: usize, index: usize, outputs: usize) -> f32 {
        let filter_len = self.weights.len() / outputs;
        let at = if self.outputs_last { index * outputs + filter } else { filter * filter_len + index };
        match &self.scale {
            Some(scale) => (f64::from(self.weights[at]) * scale[filter]) as f32,
            None => self.weights[at],
        }
    }
}

/// The bias by channel blocks: zeros without one, and in unused lanes.
pub fn bias_vectors(bias: Option<&[f32]>, blocks: usize) -> Vec<ChannelVector> {
    let mut vectors = vec![ChannelVector::ZERO; blocks];
    for (i, value) in bias.unwrap_or_default().iter().enumerate() {
        vectors[i / LANES].0[i % LANES] = *value;
    }
    vectors
}

/// The packed weights of NR channel blocks of filters: what a micro-kernel call multiplies with.
pub(super) struct Panel {
    /// First channel block of the output.
    pub first_block: usize,
    /// NR: channel blocks of the output.
    pub blocks: usize,
    /// The group that the filters belong to.
    pub group: usize,
    /// `[K chunk][k][blocks][16]`, for VDPBF16PS and AMX `[K chunk][k / 2][blocks][16][2]`; in the type that the [`MacOp`]
    /// reads. Weights of filters and channels that do not exist are zero.
    pub weights: Vec<ChannelVector>,
}

/// The blocking that weights are packed for.
#[derive(Clone, Copy)]
pub(super) struct Blocking {
    /// Channels of an input block.
    pub lanes: usize,
    /// Elements of a K chunk before it is padded to the [`MacOp`]'s step.
    pub k_chunk_len: usize,
    /// NR: channel blocks of a panel.
    pub blocks: usize,
    pub mac: MacOp,
}

/// Packs the weights of all panels, in parallel.
pub(super) fn pack<E: Element>(shape: &Shape, blocking: Blocking, parameters: &Parameters) -> Vec<Panel> {
    let Blocking { blocks: nr, .. } = blocking;
    let group_blocks = (shape.outputs / shape.groups).div_ceil(LANES);
    let panel = |(group, first)| {
        let blocks = nr.min(group_blocks - first);
        let weights = pack_panel(shape, blocking, parameters, [group, first, blocks]);
        let weights = to_storage::<E>(weights, blocking, blocks);
        Panel { first_block: group * group_blocks + first, blocks, group, weights }
    };
    let panels = (0..shape.groups).flat_map(|group| (0..group_blocks).step_by(nr).map(move |first| (group, first)));
    panels.collect::<Vec<_>>().into_par_iter().map(panel).collect()
}

/// The weights, in f32, of `count` blocks of a group's filters, from block `first` on: `[K chunk][k][count][16]`.
fn pack_panel(
    shape: &Shape,
    Blocking { lanes, k_chunk_len, .. }: Blocking,
    parameters: &Parameters,
    [group, first, count]: [usize; 3],
) -> Vec<ChannelVector> {
    let Shape { kernel: [height, width], groups, outputs, .. } = *shape;
    let (depth, filters) = (shape.inputs / groups, outputs / groups);
    // A chunk covers a whole kernel row, or one of its columns.
    let (columns, chunks_per_row) = (k_chunk_len / lanes, width * lanes / k_chunk_len);
    let chunks = depth.div_ceil(lanes) * height * chunks_per_row;
    let mut vectors = Vec::with_capacity(chunks * k_chunk_len * count);
    for block in 0..depth.div_ceil(lanes) {
        for (r, s) in (0..height).flat_map(|r| (0..chunks_per_row).map(move |s| (r, s))) {
            for k in 0..k_chunk_len {
                let (c, column) = (block * lanes + k % lanes, s * columns + k / lanes);
                let index = (c * height + r) * width + column;
                for n in first..first + count {
                    let at = group * filters + n * LANES;
                    if let Some(vector) = parameters.contiguous(index, at, outputs)
                        && (n + 1) * LANES <= filters
                        && c < depth
                    {
                        vectors.push(vector);
                        continue;
                    }
                    let weight = |lane: usize| {
                        let filter = n * LANES + lane;
                        let exists = filter < filters && c < depth;
                        if exists { parameters.weight(group * filters + filter, index, outputs) } else { 0.0 }
                    };
                    vectors.push(ChannelVector(std::array::from_fn(weight)));
                }
            }
        }
    }
    vectors
}

/// Rounds a panel's weights to their storage type, and interleaves pairs of K steps where the instruction takes pairs.
fn to_storage<E: Element>(
    weights: Vec<ChannelVector>,
    Blocking { k_chunk_len, mac, .. }: Blocking,
    blocks: usize,
) -> Vec<ChannelVector> {
    if E::DTYPE == DType::F32 {
        return weights;
    }
    let padded_chunk = k_chunk_len.next_multiple_of(mac.k_step()) * blocks * LANES;
    let count = weights.len() / (k_chunk_len * blocks) * padded_chunk;
    let mut stored = vec![ChannelVector::ZERO; (count * size_of::<E>()).div_ceil(size_of::<ChannelVector>())];
    // SAFETY: `stored` has room for `count` elements, and all bit patterns of its floats are elements.
    let elements = unsafe { std::slice::from_raw_parts_mut(stored.as_mut_ptr().cast::<E>(), count) };
    for (weights, elements) in weights.chunks(k_chunk_len * blocks).zip(elements.chunks_mut(padded_chunk)) {
        for (i, vector) in weights.iter().enumerate() {
            let (k, block) = (i / blocks, i % blocks);
            for (lane, weight) in vector.0.iter().enumerate() {
                let at = match mac {
                    MacOp::Fma(_) => i * LANES + lane,
                    MacOp::Dpbf16 | MacOp::AmxBf16 => ((k / 2 * blocks + block) * LANES + lane) * 2 + k % 2,
                };
                elements[at] = E::of(*weight);
            }
        }
    }
    stored
}
