//! Convolutions and linear layers: tiles over rows, weights packed once, the sum over channels cut so that the weights in
//! use stay in the second-level cache.

mod narrow;
mod pack;

use crate::element::{Element, Kind};
use crate::layout::{Arena, Line, Map, View};
use crate::pointwise::{self, After};
use crate::run::{Step, Traffic};
use crate::simd::{Isa, LANES};
use crate::tile::{self, Clamp, Kernel, Tile, Way};
pub use pack::{Packing, bias_lines};
use std::ops::Range;

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

/// A convolution on views.
pub struct Conv<E> {
    shape: Shape,
    x: View<E>,
    out: View<E>,
    residual: Option<View<E>>,
    clamp: Clamp,
    after: Option<After>,
    parts: Vec<Part>,
    bias: Vec<Line>,
    /// Taps of a run, filled up as the kernel's [`Way`] wants it.
    run: usize,
    pixels: usize,
    isa: Isa,
    way: Way,
    /// By blocks and pixels.
    kernels: Vec<Vec<Option<Kernel>>>,
}

/// Output blocks that a tile works on at once.
struct Part {
    first: usize,
    blocks: usize,
    group: usize,
    /// In the order in which the kernel reads them: by run, tap of the run, block; stored as its [`Way`] says.
    weights: Vec<Line>,
}

/// Most pixels and blocks that a tile of any kernel has.
const MOST: [usize; 2] = [14, 4];
impl<E: Element> Conv<E> {
    /// A convolution with packed weights.
    pub fn new(shape: Shape, [x, out]: [View<E>; 2], packing: &Packing, isa: Isa) -> Self {
        let way = Way::of(isa, E::KIND);
        let step = if Self::over_images(&out) { 0 } else { shape.stride[1] * x.lanes };
        let kernels: Vec<Vec<_>> =
            (0..=MOST[1]).map(|q| (0..=MOST[0]).map(|p| tile::kernel(isa, way, p, q, step)).collect()).collect();
        let group_blocks = (shape.outputs / shape.groups).div_ceil(LANES);
        let [pixels, blocks] = match way {
            Way::Tiles => [MOST[0], narrow::TILE_BLOCKS.min(group_blocks)],
            _ => best_tile(isa, &kernels, &out, group_blocks),
        };
        let bias = bias_lines(packing.bias.as_deref(), out.blocks());
        let run = if shape.dilation[1] == 1 { shape.kernel[1] * x.lanes } else { x.lanes };
        let parts = pack::parts::<E>(&shape, x.lanes, blocks, run, way, packing);
        let run = run.next_multiple_of(way.at_once());
        Self {
            shape,
            x,
            out,
            residual: None,
            clamp: Clamp::NONE,
            after: None,
            parts,
            bias,
            run,
            pixels,
            isa,
            way,
            kernels,
        }
    }

    /// Adds `residual` to what comes out, before it is clamped.
    pub fn plus(mut self, residual: Option<View<E>>) -> Self {
        self.residual = residual;
        self
    }

    /// What becomes of the sums.
    pub fn then(mut self, clamp: Clamp, after: Option<After>) -> Self {
        (self.clamp, self.after) = (clamp, after);
        self
    }

    /// Where the output is one pixel, the images are the pixels of a tile: weights are read once for all of them.
    pub const fn over_images(out: &View<E>) -> bool {
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
    fn runs<T>(&self, x: &Map<T>) -> Vec<usize> {
        let Shape { kernel: [height, width], dilation: [down, right], .. } = self.shape;
        let across = if right == 1 { 1 } else { width };
        let blocks = (self.shape.inputs / self.shape.groups).div_ceil(self.x.lanes);
        let tap = |block, r, s| block * x.block + r * down * x.row + s * right * x.pixel;
        (0..blocks).flat_map(|b| (0..height).flat_map(move |r| (0..across).map(move |s| tap(b, r, s)))).collect()
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
                tile.x = tile.x.add(pixels * tile.step * self.way.input_bytes());
                tile.out = tile.out.add(pixels * tile.out_step);
                if !tile.residual.is_null() {
                    tile.residual = tile.residual.add(pixels * tile.out_step);
                }
            }
            at += pixels;
        }
    }
}

impl<E: Element> Step for Conv<E> {
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
        let first = task % chunks * chunk;
        let rows = first..(first + chunk).min(self.rows(images));
        let width = if Self::over_images(&self.out) { images } else { self.out.plane.width };
        let work = Work { part: &self.parts[task / chunks], rows, width };
        // SAFETY: the part's blocks and the rows are the views' own.
        unsafe { if E::KIND == Kind::F32 { self.as_it_lies(&work, arena) } else { self.beside(&work, arena) } }
    }
}

/// What a task computes.
struct Work<'a> {
    part: &'a Part,
    /// Of all images, one after the other.
    rows: Range<usize>,
    /// Pixels of a row, or images.
    width: usize,
}

/// Where the input of a task's rows is read, and where their sums go.
struct Ends<X, O> {
    /// From a run to its beginning, from a row's first tap.
    runs: Vec<usize>,
    /// From a pixel to the next.
    step: usize,
    /// A row's first tap.
    input: X,
    out_step: usize,
    out_block: usize,
    /// A row's first sum.
    sums: O,
}

impl<E: Element> Conv<E> {
    /// The image and the line that a row is.
    const fn place(&self, row: usize) -> (usize, usize) {
        (row / self.out.plane.height, row % self.out.plane.height)
    }

    /// A row's first tap in the map.
    unsafe fn first_tap(&self, x: &Map<E>, part: &Part, row: usize) -> *const E {
        let Shape { stride: [down, _], padding: [top, left], .. } = self.shape;
        let (image, y) = self.place(row);
        unsafe { x.at(image, self.first_block(part), y * down).sub(top * x.row + left * x.pixel) }
    }

    /// The first block of the input that a part reads.
    const fn first_block(&self, part: &Part) -> usize {
        part.group * (self.shape.inputs / self.shape.groups) / self.x.lanes
    }

    /// From a pixel's input to the next one's.
    fn step<T>(&self, x: &Map<T>) -> usize {
        if Self::over_images(&self.out) { x.image } else { self.shape.stride[1] * x.pixel }
    }

    /// Sums where they belong, as f32 are.
    unsafe fn as_it_lies(&self, work: &Work, arena: &Arena) {
        let (x, out) = (arena.map(&self.x), arena.map(&self.out));
        let residual = self.residual.as_ref().map(|view| arena.map(view));
        let first = work.part.first;
        // SAFETY: rows, blocks and runs are the views' own, and the halo is as wide as the padding (`compile`).
        unsafe {
            let ends = Ends {
                runs: self.runs(&x),
                step: self.step(&x),
                input: |row| self.first_tap(&x, work.part, row).cast(),
                out_step: if Self::over_images(&self.out) { out.image } else { out.pixel },
                out_block: out.block,
                sums: |row| {
                    let (image, y) = self.place(row);
                    out.at(image, first, y).cast()
                },
            };
            let last = |row, tile: &mut Tile| {
                let (image, y) = self.place(row);
                tile.residual = residual.map_or(std::ptr::null(), |map| map.at(image, first, y).cast_const().cast());
                tile.residual_block = residual.map_or(0, |map| map.block);
                tile.clamp = self.clamp;
            };
            self.sum(work, &ends, last, |row| self.apply(work, &out, row));
        }
    }

    /// Goes over a task's rows, more than once where the weights of all runs are more than a cache holds. `last` is told of
    /// each tile row of the last turn before, and `done` of the row after it.
    unsafe fn sum<X: Fn(usize) -> *const u8, O: Fn(usize) -> *mut f32>(
        &self,
        work: &Work,
        ends: &Ends<X, O>,
        last: impl Fn(usize, &mut Tile),
        done: impl Fn(usize),
    ) {
        let part = work.part;
        let a_run = self.run * part.blocks * LANES * self.way.weight_bytes();
        let at_once = (WEIGHTS_IN_CACHE / a_run).max(1);
        let mut before = 0;
        for runs in ends.runs.chunks(at_once) {
            let is_last = before + runs.len() == ends.runs.len();
            for row in work.rows.clone() {
                // SAFETY: the caller's promise.
                unsafe {
                    let bias = self.bias.as_ptr().cast::<f32>().add(part.first * LANES);
                    let mut tile = Tile {
                        x: (ends.input)(row),
                        step: ends.step,
                        runs,
                        run: self.run,
                        weights: part.weights.as_ptr().cast::<u8>().add(before * a_run),
                        bias: if before == 0 { bias } else { std::ptr::null() },
                        residual: std::ptr::null(),
                        residual_block: 0,
                        out: (ends.sums)(row),
                        out_step: ends.out_step,
                        out_block: ends.out_block,
                        clamp: Clamp::NONE,
                    };
                    if is_last {
                        last(row, &mut tile);
                    }
                    self.row(part, tile, work.width);
                    if is_last {
                        done(row);
                    }
                }
            }
            before += runs.len();
        }
    }

    /// What becomes of a row's values, where they lie.
    unsafe fn apply(&self, work: &Work, out: &Map<E>, row: usize) {
        let Some(after) = &self.after else { return };
        let (image, y) = self.place(row);
        let images = if Self::over_images(&self.out) { work.width } else { 1 };
        for q in work.part.first..work.part.first + work.part.blocks {
            for i in image..image + images {
                unsafe { pointwise::in_place(self.isa, after, q, out.at(i, q, y), self.out.plane.width) };
            }
        }
    }
}

/// Pixels and blocks of the tiles that cover an output in the least time, by a simple count of what a tap costs.
fn best_tile<E: Element>(isa: Isa, kernels: &[Vec<Option<Kernel>>], out: &View<E>, group_blocks: usize) -> [usize; 2] {
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
