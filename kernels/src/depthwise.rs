//! Depthwise convolutions: a filter a channel, so a tap is a product of vectors over channels.

use crate::conv::{Packing, Shape, bias_lines};
use crate::element::Element;
use crate::layout::{Arena, Line, View};
use crate::pointwise::{self, After};
use crate::run::{Bands, Step, Traffic};
use crate::simd::{Isa, LANES, Lanes, for_each_isa};

/// Pixels whose sums are kept in registers.
const PIXELS: usize = 6;

/// A depthwise convolution on views.
pub struct Depthwise<E> {
    shape: Shape,
    x: View<E>,
    out: View<E>,
    /// `[blocks][kh][kw]`.
    weights: Vec<Line>,
    bias: Vec<Line>,
    after: Option<After>,
    isa: Isa,
}

impl<E: Element> Depthwise<E> {
    /// A depthwise convolution with packed weights.
    pub fn new(shape: Shape, [x, out]: [View<E>; 2], packing: &Packing, isa: Isa) -> Self {
        let taps = shape.kernel[0] * shape.kernel[1];
        // As they would be stored.
        let line = |block: usize, tap: usize| {
            let filter = |lane| block * LANES + lane;
            let inside = |lane| filter(lane) < shape.outputs;
            let of =
                |lane| if inside(lane) { E::of(packing.weight(filter(lane), tap, shape.outputs)).value() } else { 0.0 };
            Line(std::array::from_fn(of))
        };
        let weights = (0..out.blocks()).flat_map(|block| (0..taps).map(move |tap| (block, tap)));
        let weights = weights.map(|(block, tap)| line(block, tap)).collect();
        Self { shape, x, out, weights, bias: bias_lines(packing.bias.as_deref(), out.blocks()), after: None, isa }
    }

    /// What becomes of the sums.
    pub fn then(mut self, after: Option<After>) -> Self {
        self.after = after;
        self
    }

    fn bands(&self, images: usize, workers: usize) -> Bands {
        Bands::of(images * self.out.blocks(), self.out.plane.height, workers)
    }
}

impl<E: Element> Step for Depthwise<E> {
    fn traffic(&self) -> Traffic {
        Traffic { weights: size_of_val(&*self.weights), an_image: self.x.bytes() + self.out.bytes() }
    }

    fn tasks(&self, images: usize, workers: usize) -> usize {
        images * self.out.blocks() * self.bands(images, workers).count()
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
            // SAFETY: image, block and row are the views' own, and the halo is as wide as the padding (`compile`).
            unsafe {
                let to = out.at(image, block, y);
                let from = x.at(image, block, y * stride[0]).sub(padding[0] * x.row + padding[1] * x.pixel);
                let row = Row { x: from, step: stride[1] * x.pixel, taps: &taps, weights, bias: &self.bias[block] };
                filter(self.isa, &row, to, self.out.plane.width);
                if let Some(after) = &self.after {
                    pointwise::in_place(self.isa, after, block, to, self.out.plane.width);
                }
            }
        }
    }
}

/// What a row of a block is computed from.
struct Row<'a, E> {
    x: *const E,
    step: usize,
    taps: &'a [usize],
    weights: &'a [Line],
    bias: &'a Line,
}

for_each_isa!(filter<E> = filter_row(row: &Row<E>, out: *mut E, width: usize));

#[inline(always)]
unsafe fn filter_row<V: Lanes, E: Element>(row: &Row<E>, out: *mut E, width: usize) {
    unsafe {
        let whole = width - width % PIXELS;
        for i in (0..whole).step_by(PIXELS) {
            filter_pixels::<V, E, PIXELS>(row, row.x.add(i * row.step), out.add(i * LANES));
        }
        for i in whole..width {
            filter_pixels::<V, E, 1>(row, row.x.add(i * row.step), out.add(i * LANES));
        }
    }
}

#[inline(always)]
unsafe fn filter_pixels<V: Lanes, E: Element, const P: usize>(row: &Row<E>, x: *const E, out: *mut E) {
    unsafe {
        let mut sums = [V::load(row.bias.0.as_ptr()); P];
        for (tap, weights) in row.taps.iter().zip(row.weights) {
            let (x, weights) = (x.add(*tap), V::load(weights.0.as_ptr()));
            for (p, sum) in sums.iter_mut().enumerate() {
                *sum = sum.fma(E::load(x.add(p * row.step)), weights);
            }
        }
        for (p, sum) in sums.into_iter().enumerate() {
            E::store(sum, out.add(p * LANES));
        }
    }
}
