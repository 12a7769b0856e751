//! Depthwise convolutions: each channel has one filter. There is no reduction over channels, so a tap multiplies a vector of 16
//! channels by their 16 weights.

use crate::conv::{Parameters, Shape, bias_vectors};
use crate::element::Element;
use crate::elementwise::{self, Epilogue};
use crate::isa::{Isa, dispatch::for_each_isa};
use crate::layout::{Arena, ChannelVector, View};
use crate::simd::{F32x16, LANES};
use crate::step::{RowBands, Step, Traffic};

/// Pixels of a tile. With a vector of weights and one of inputs its accumulators take 8 of 32 zmm or 16 of 16 ymm registers;
/// six independent chains come close to hiding the latency of the multiply-adds.
const MR: usize = 6;

/// A depthwise convolution between two views.
pub struct Depthwise<E> {
    shape: Shape,
    x: View<E>,
    out: View<E>,
    /// `[block][kh][kw]`, rounded to the storage type, kept as f32.
    weights: Vec<ChannelVector>,
    bias: Vec<ChannelVector>,
    epilogue: Option<Epilogue>,
    isa: Isa,
}

impl<E: Element> Depthwise<E> {
    /// Packs a depthwise convolution's weights. The halo of `x` must be at least as wide as the padding.
    pub fn new(shape: Shape, [x, out]: [View<E>; 2], parameters: &Parameters, isa: Isa) -> Self {
        let taps = shape.kernel[0] * shape.kernel[1];
        let weight = |filter: usize, tap: usize| {
            let exists = filter < shape.outputs;
            if exists { E::of(parameters.weight(filter, tap, shape.outputs)).value() } else { 0.0 }
        };
        let vector =
            |block: usize, tap: usize| ChannelVector(std::array::from_fn(|lane| weight(block * LANES + lane, tap)));
        let weights = (0..out.blocks()).flat_map(|block| (0..taps).map(move |tap| (block, tap)));
        let weights = weights.map(|(block, tap)| vector(block, tap)).collect();
        let bias = bias_vectors(parameters.bias.as_deref(), out.blocks());
        Self { shape, x, out, weights, bias, epilogue: None, isa }
    }

    /// Sets the activation.
    pub fn with_epilogue(mut self, epilogue: Option<Epilogue>) -> Self {
        self.epilogue = epilogue;
        self
    }

    fn bands(&self, images: usize, workers: usize) -> RowBands {
        RowBands::new(images * self.out.blocks(), self.out.plane.height, workers)
    }
}

impl<E: Element> Step for Depthwise<E> {
    fn traffic(&self) -> Traffic {
        Traffic { weights: size_of_val(&*self.weights), per_image: self.x.bytes() + self.out.bytes() }
    }

    fn tasks(&self, images: usize, workers: usize) -> usize {
        images * self.out.blocks() * self.bands(images, workers).per_block()
    }

    unsafe fn run(&self, task: usize, workers: usize, arena: &Arena) {
        let (block, rows) = self.bands(arena.images, workers).rows(task);
        let (image, block) = (block / self.out.blocks(), block % self.out.blocks());
        let Shape { kernel: [height, width], stride, padding, dilation, .. } = self.shape;
        let (x, out) = (arena.map(&self.x), arena.map(&self.out));
        let tap = |r: usize, s: usize| r * dilation[0] * x.row + s * dilation[1] * x.pixel;
        let taps: Vec<usize> = (0..height).flat_map(|r| (0..width).map(move |s| tap(r, s))).collect();
        let weights = &self.weights[block * taps.len()..];
        for y in rows {
            // SAFETY: image, block and row belong to the views, and the halo is as wide as the padding.
            unsafe {
                let to = out.at(image, block, y);
                let from = x.at(image, block, y * stride[0]).sub(padding[0] * x.row + padding[1] * x.pixel);
                let row =
                    Row { x: from, pixel_stride: stride[1] * x.pixel, taps: &taps, weights, bias: &self.bias[block] };
                convolve(self.isa, &row, to, self.out.plane.width);
                if let Some(epilogue) = &self.epilogue {
                    elementwise::apply(self.isa, epilogue, block, to, self.out.plane.width);
                }
            }
        }
    }
}

/// The operands of an output row of a channel block.
struct Row<'a, E> {
    /// The input at the first pixel's first tap.
    x: *const E,
    /// Input stride from an output pixel to the next.
    pixel_stride: usize,
    /// Offset of each tap from a pixel's first one.
    taps: &'a [usize],
    weights: &'a [ChannelVector],
    bias: &'a ChannelVector,
}

for_each_isa!(convolve<E> = convolve_row(row: &Row<E>, out: *mut E, width: usize));

#[inline(always)]
unsafe fn convolve_row<V: F32x16, E: Element>(row: &Row<E>, out: *mut E, width: usize) {
    unsafe {
        let tiled = width - width % MR;
        for i in (0..tiled).step_by(MR) {
            convolve_tile::<V, E, MR>(row, row.x.add(i * row.pixel_stride), out.add(i * LANES));
        }
        for i in tiled..width {
            convolve_tile::<V, E, 1>(row, row.x.add(i * row.pixel_stride), out.add(i * LANES));
        }
    }
}

#[inline(always)]
unsafe fn convolve_tile<V: F32x16, E: Element, const M: usize>(row: &Row<E>, x: *const E, out: *mut E) {
    unsafe {
        let mut sums = [V::load(row.bias.0.as_ptr()); M];
        for (tap, weights) in row.taps.iter().zip(row.weights) {
            let (x, weights) = (x.add(*tap), V::load(weights.0.as_ptr()));
            for (m, sum) in sums.iter_mut().enumerate() {
                *sum = sum.fma(E::load(x.add(m * row.pixel_stride)), weights);
            }
        }
        for (m, sum) in sums.into_iter().enumerate() {
            E::store(sum, out.add(m * LANES));
        }
    }
}
