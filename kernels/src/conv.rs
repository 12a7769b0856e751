//! Convolutions and linear layers: tiles over rows, weights packed once, the sum over channels cut so that the weights in
//! use stay in the second-level cache.

use crate::layout::{Arena, Line, Map, View};
use crate::pointwise::{self, After};
use crate::run::{Step, Traffic};
use crate::simd::{Isa, LANES};
use crate::tile::{self, Clamp, Kernel, Tile};
use rayon::prelude::*;

/// Bytes of weights that a pass over a task's pixels uses at most.
const WEIGHTS_IN_CACHE: usize = 192 << 10;
/// Bytes of output that a task works on at most, where it goes over them more than once.
const OUT_IN_CACHE: usize = 128 << 10;
/// Tasks a worker, so that none waits long for the last.
const TASKS: usize = 6;

/// What a convolution is, whatever its layout.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    pub inputs: usize,
    pub outputs: usize,
    pub kernel: [usize; 2],
    pub stride: [usize; 2],
    /// Above and to the left.
    pub padding: [usize; 2],
    pub dilation: [usize; 2],
    pub groups: usize,
}

impl Shape {
    /// A filter a channel.
    pub const fn is_depthwise(&self) -> bool {
        self.groups > 1 && self.groups == self.inputs && self.groups == self.outputs
    }
}

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

/// A convolution on views.
pub struct Conv {
    shape: Shape,
    x: View,
    out: View,
    residual: Option<View>,
    clamp: Clamp,
    after: Option<After>,
    parts: Vec<Part>,
    bias: Vec<Line>,
    /// Taps of a run.
    run: usize,
    pixels: usize,
    isa: Isa,
    /// By blocks and pixels.
    kernels: Vec<Vec<Option<Kernel>>>,
}

/// Output blocks that a tile works on at once.
struct Part {
    first: usize,
    blocks: usize,
    group: usize,
    /// In the order in which the kernel reads them: by run, tap of the run, block.
    weights: Vec<Line>,
}

/// Most pixels and blocks that a tile of any kernel has.
const MOST: [usize; 2] = [14, 4];

impl Conv {
    /// A convolution with packed weights.
    pub fn new(shape: Shape, [x, out]: [View; 2], packing: &Packing, isa: Isa) -> Self {
        let step = if Self::over_images(&out) { 0 } else { shape.stride[1] * x.lanes };
        let kernels: Vec<Vec<_>> =
            (0..=MOST[1]).map(|q| (0..=MOST[0]).map(|p| tile::kernel(isa, p, q, step)).collect()).collect();
        let group_blocks = (shape.outputs / shape.groups).div_ceil(LANES);
        let [pixels, blocks] = best_tile(isa, &kernels, &out, group_blocks);
        let bias = bias_lines(packing.bias.as_deref(), out.blocks());
        let run = if shape.dilation[1] == 1 { shape.kernel[1] * x.lanes } else { x.lanes };
        let parts = pack(&shape, x.lanes, blocks, run, packing);
        Self { shape, x, out, residual: None, clamp: Clamp::NONE, after: None, parts, bias, run, pixels, isa, kernels }
    }

    /// Adds `residual` to what comes out, before it is clamped.
    pub fn plus(mut self, residual: Option<View>) -> Self {
        self.residual = residual;
        self
    }

    /// What becomes of the sums.
    pub fn then(mut self, clamp: Clamp, after: Option<After>) -> Self {
        (self.clamp, self.after) = (clamp, after);
        self
    }

    /// Where the output is one pixel, the images are the pixels of a tile: weights are read once for all of them.
    pub const fn over_images(out: &View) -> bool {
        out.plane.height * out.plane.width == 1
    }

    fn rows(&self, images: usize) -> usize {
        if Self::over_images(&self.out) { 1 } else { images * self.out.plane.height }
    }

    /// Rows of a task.
    fn rows_a_task(&self, images: usize, workers: usize) -> usize {
        let rows = self.rows(images);
        let row = self.out.plane.width * self.parts[0].blocks * LANES * 4;
        let mut chunk = (OUT_IN_CACHE / row).clamp(1, rows);
        while chunk > 1 && self.parts.len() * rows.div_ceil(chunk) < TASKS * workers {
            chunk = chunk.div_ceil(2);
        }
        chunk
    }

    /// Where each run begins, from a pixel's first tap, in the order of the packed weights.
    fn runs(&self, x: &Map) -> Vec<usize> {
        let Shape { kernel: [height, width], dilation: [down, right], .. } = self.shape;
        let across = if right == 1 { 1 } else { width };
        let blocks = (self.shape.inputs / self.shape.groups).div_ceil(self.x.lanes);
        let tap = |block, r, s| block * x.block + r * down * x.row + s * right * x.pixel;
        (0..blocks).flat_map(|b| (0..height).flat_map(move |r| (0..across).map(move |s| tap(b, r, s)))).collect()
    }

    /// The input under a row's first tap.
    unsafe fn input(&self, x: &Map, part: &Part, image: usize, row: usize) -> *const f32 {
        let Shape { stride: [down, _], padding: [top, left], .. } = self.shape;
        let block = part.group * (self.shape.inputs / self.shape.groups) / self.x.lanes;
        unsafe { x.at(image, block, row * down).sub(top * x.row + left * x.pixel) }
    }

    /// One row of tiles.
    unsafe fn row(&self, part: &Part, mut tile: Tile, width: usize) {
        let kernels = &self.kernels[part.blocks];
        let mut at = 0;
        while at < width {
            let pixels = self.pixels.min(width - at);
            let pixels = (1..=pixels).rev().find(|p| kernels[*p].is_some()).unwrap_or(1);
            let Some(kernel) = kernels[pixels] else { return };
            unsafe {
                kernel(&tile);
                tile.x = tile.x.add(pixels * tile.step);
                tile.out = tile.out.add(pixels * tile.out_step);
                if !tile.residual.is_null() {
                    tile.residual = tile.residual.add(pixels * tile.out_step);
                }
            }
            at += pixels;
        }
    }
}

impl Step for Conv {
    fn traffic(&self) -> Traffic {
        let weights = self.parts.iter().map(|part| size_of_val(&*part.weights)).sum();
        let residual = self.residual.map_or(0, |view| view.bytes());
        Traffic { weights, an_image: self.x.bytes() + residual + self.out.bytes() }
    }

    fn tasks(&self, images: usize, workers: usize) -> usize {
        self.parts.len() * self.rows(images).div_ceil(self.rows_a_task(images, workers))
    }

    unsafe fn run(&self, task: usize, workers: usize, arena: &Arena) {
        let images = arena.images;
        let chunk = self.rows_a_task(images, workers);
        let chunks = self.rows(images).div_ceil(chunk);
        let part = &self.parts[task / chunks];
        let first = task % chunks * chunk;
        let rows = first..(first + chunk).min(self.rows(images));
        let (x, out) = (arena.map(&self.x), arena.map(&self.out));
        let residual = self.residual.as_ref().map(|view| arena.map(view));
        let runs = self.runs(&x);
        let over_images = Self::over_images(&self.out);
        let (width, step, out_step) = if over_images {
            (images, x.image, out.image)
        } else {
            (self.out.plane.width, self.shape.stride[1] * x.pixel, out.pixel)
        };
        let bytes = self.run * part.blocks * LANES * 4;
        let at_once = (WEIGHTS_IN_CACHE / bytes).max(1);
        let mut done = 0;
        for some in runs.chunks(at_once) {
            let (begins, ends) = (done == 0, done + some.len() == runs.len());
            for row in rows.clone() {
                let (image, y) = (row / self.out.plane.height, row % self.out.plane.height);
                let null = std::ptr::null();
                // SAFETY: rows, blocks and runs are the views' own, and the halo is as wide as the padding (`compile`).
                unsafe {
                    let residual = residual.filter(|_| ends);
                    let tile = Tile {
                        x: self.input(&x, part, image, y),
                        step,
                        runs: some,
                        run: self.run,
                        weights: part.weights.as_ptr().add(done * self.run * part.blocks).cast(),
                        bias: if begins { self.bias.as_ptr().cast::<f32>().add(part.first * LANES) } else { null },
                        residual: residual.map_or(null, |map| map.at(image, part.first, y).cast_const()),
                        residual_block: residual.map_or(0, |map| map.block),
                        out: out.at(image, part.first, y),
                        out_step,
                        out_block: out.block,
                        clamp: if ends { self.clamp } else { Clamp::NONE },
                    };
                    self.row(part, tile, width);
                    if let (true, Some(after)) = (ends, &self.after) {
                        for q in part.first..part.first + part.blocks {
                            let count = if over_images { images } else { 1 };
                            for i in 0..count {
                                pointwise::in_place(self.isa, after, q, out.at(image + i, q, y), self.out.plane.width);
                            }
                        }
                    }
                }
            }
            done += some.len();
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

/// Pixels and blocks of the tiles that cover an output in the least time, by a simple count of what a tap costs.
fn best_tile(isa: Isa, kernels: &[Vec<Option<Kernel>>], out: &View, group_blocks: usize) -> [usize; 2] {
    // In multiplications of a vector, of which two registers' begin at once: a load a value and a register of weights, as
    // many at once; weights come from the second-level cache, two cycles a line; fewer than eight registers of sums wait for
    // each other. What is added is what tiles of one size by that count were measured to differ by.
    let registers = isa.registers();
    let tap = |p: usize, q: usize| {
        let least = (p * q).max((p + registers * q).div_ceil(registers)).max((4 * q).div_ceil(registers));
        least.max(8_usize.div_ceil(registers)) as f64 + 0.05 * p as f64 + 0.25 * q as f64
    };
    let most = kernels.iter().rposition(|by_pixels| by_pixels.iter().any(Option::is_some)).unwrap_or(1);
    if Conv::over_images(out) {
        return [MOST[0], most.min(group_blocks)];
    }
    let width = out.plane.width;
    let mut best = ([1, 1], f64::INFINITY);
    for q in 1..=most.min(group_blocks) {
        for p in (1..=MOST[0]).filter(|p| kernels[q][*p].is_some()) {
            let row = |q: usize| {
                let rest = if width.is_multiple_of(p) { 0.0 } else { tap(width % p, q) };
                (width / p) as f64 * tap(p, q) + rest
            };
            let last = group_blocks % q;
            let cost = (group_blocks / q) as f64 * row(q) + if last == 0 { 0.0 } else { row(last) };
            if cost < best.1 {
                best = ([p, q], cost);
            }
        }
    }
    best.0
}

/// Cuts the outputs into parts of `blocks` blocks and packs their weights.
fn pack(shape: &Shape, lanes: usize, blocks: usize, run: usize, packing: &Packing) -> Vec<Part> {
    let group_blocks = (shape.outputs / shape.groups).div_ceil(LANES);
    let part = |(group, first)| {
        let count = blocks.min(group_blocks - first);
        let weights = pack_part(shape, lanes, run, packing, [group, first, count]);
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
