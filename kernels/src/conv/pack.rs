//! A layer's parameters, in the order in which kernels read them and as they are stored.

use super::{Part, Shape};
use crate::element::{Element, Kind};
use crate::layout::Line;
use crate::simd::LANES;
use crate::tile::Way;
use rayon::prelude::*;

/// A layer's parameters before they are packed.
#[derive(Debug)]
pub struct Packing {
    /// `[outputs][inputs / groups][kh][kw]`, or with the outputs last.
    pub weights: Vec<f32>,
    /// Whether the outputs come last, as in Burn's linear layers.
    pub transposed: bool,
    /// A batch norm's factors, a filter.
    pub scale: Option<Vec<f64>>,
    pub bias: Option<Vec<f32>>,
}

impl Packing {
    /// Makes y = scale · x + shift part of the layer.
    pub fn affine(&mut self, scale: Vec<f64>, shift: &[f64]) {
        let bias = |i: usize| f64::from(self.bias.as_ref().map_or(0.0, |bias| bias[i]));
        self.bias = Some((0..shift.len()).map(|i| (scale[i] * bias(i) + shift[i]) as f32).collect());
        let before = self.scale.take().unwrap_or_else(|| vec![1.0; scale.len()]);
        self.scale = Some(scale.iter().zip(before).map(|(a, b)| a * b).collect());
    }

    /// The weights of sixteen filters at `index`, where they lie side by side and are as they are.
    #[inline]
    fn line(&self, index: usize, filter: usize, outputs: usize) -> Option<Line> {
        let at = index * outputs + filter;
        let side_by_side = self.transposed && self.scale.is_none();
        let values = self.weights.get(at..at + LANES).filter(|_| side_by_side)?;
        values.try_into().map(Line).ok()
    }

    /// The weight of a filter at `index` of `[inputs / groups][kh][kw]`.
    #[inline]
    pub fn weight(&self, filter: usize, index: usize, outputs: usize) -> f32 {
        let taps = self.weights.len() / outputs;
        let at = if self.transposed { index * outputs + filter } else { filter * taps + index };
        match &self.scale {
            Some(scale) => (f64::from(self.weights[at]) * scale[filter]) as f32,
            None => self.weights[at],
        }
    }
}

/// Biases as blocks; zeros where there is none.
pub fn bias_lines(bias: Option<&[f32]>, blocks: usize) -> Vec<Line> {
    let mut lines = vec![Line::ZERO; blocks];
    for (i, value) in bias.unwrap_or_default().iter().enumerate() {
        lines[i / LANES].0[i % LANES] = *value;
    }
    lines
}

/// Cuts the outputs into parts of `blocks` blocks and packs their weights.
pub(super) fn parts<E: Element>(
    shape: &Shape,
    lanes: usize,
    blocks: usize,
    run: usize,
    way: Way,
    packing: &Packing,
) -> Vec<Part> {
    let group_blocks = (shape.outputs / shape.groups).div_ceil(LANES);
    let part = |(group, first)| {
        let count = blocks.min(group_blocks - first);
        let weights = pack_part(shape, lanes, run, packing, [group, first, count]);
        let weights = stored::<E>(weights, run, count, way);
        Part { first: group * group_blocks + first, blocks: count, group, weights }
    };
    let parts = (0..shape.groups).flat_map(|group| (0..group_blocks).step_by(blocks).map(move |first| (group, first)));
    parts.collect::<Vec<_>>().into_par_iter().map(part).collect()
}

/// The weights of `count` blocks of a group's filters, from block `first` on.
fn pack_part(
    shape: &Shape,
    lanes: usize,
    run: usize,
    packing: &Packing,
    [group, first, count]: [usize; 3],
) -> Vec<Line> {
    let Shape { kernel: [height, width], groups, outputs, .. } = *shape;
    let (depth, filters) = (shape.inputs / groups, outputs / groups);
    let (taps, across) = (run / lanes, width * lanes / run);
    let mut lines = Vec::with_capacity(depth.div_ceil(lanes) * height * across * run * count);
    for block in 0..depth.div_ceil(lanes) {
        for (r, s) in (0..height).flat_map(|r| (0..across).map(move |s| (r, s))) {
            for j in 0..run {
                let (c, column) = (block * lanes + j % lanes, s * taps + j / lanes);
                for q in first..first + count {
                    let at = group * filters + q * LANES;
                    if let Some(line) = packing.line((c * height + r) * width + column, at, outputs)
                        && (q + 1) * LANES <= filters
                        && c < depth
                    {
                        lines.push(line);
                        continue;
                    }
                    let of = |lane: usize| {
                        let filter = q * LANES + lane;
                        let index = (c * height + r) * width + column;
                        let inside = filter < filters && c < depth;
                        if inside { packing.weight(group * filters + filter, index, outputs) } else { 0.0 }
                    };
                    lines.push(Line(std::array::from_fn(of)));
                }
            }
        }
    }
    lines
}

/// A part's weights as they are stored.
fn stored<E: Element>(weights: Vec<Line>, run: usize, blocks: usize, way: Way) -> Vec<Line> {
    if E::KIND == Kind::F32 {
        return weights;
    }
    let of_run = run.next_multiple_of(way.at_once()) * blocks * LANES;
    let count = weights.len() / (run * blocks) * of_run;
    let mut stored = vec![Line::ZERO; (count * size_of::<E>()).div_ceil(size_of::<Line>())];
    // SAFETY: there is room for so many values, and any bits are one.
    let values = unsafe { std::slice::from_raw_parts_mut(stored.as_mut_ptr().cast::<E>(), count) };
    for (weights, values) in weights.chunks(run * blocks).zip(values.chunks_mut(of_run)) {
        for (i, line) in weights.iter().enumerate() {
            let (tap, block) = (i / blocks, i % blocks);
            for (lane, weight) in line.0.iter().enumerate() {
                let at = match way {
                    Way::Single(_) => i * LANES + lane,
                    Way::Pairs | Way::Tiles => ((tap / 2 * blocks + block) * LANES + lane) * 2 + tap % 2,
                };
                values[at] = E::of(*weight);
            }
        }
    }
    stored
}
