//! Convolutions of values that are not f32, while their sums are: those are made beside the map, and rounded once, when all is
//! added. The input is widened before, unless the processor multiplies it as it is.

use super::{Conv, Ends, Shape, Work};
#[cfg(target_arch = "x86_64")]
use crate::amx;
use crate::element::Element;
use crate::layout::{Arena, Line, Map};
use crate::simd::{LANES, Lanes, for_each_isa};
use crate::tile::{Clamp, Way};
use std::cell::RefCell;

/// Blocks of sums that fit into tile registers: a part has no more, where they are used.
pub(super) const TILE_BLOCKS: usize = 2;
/// Pixels of a row, or images, from which on tiles pay.
#[cfg(target_arch = "x86_64")]
const TILE_PIXELS: usize = 3;

impl<E: Element> Conv<E> {
    /// Does a task's work: sums beside the map, then each row into it.
    pub(super) unsafe fn beside(&self, work: &Work, arena: &Arena) {
        let (x, out) = (arena.map(&self.x), arena.map(&self.out));
        let residual = self.residual.as_ref().map(|view| arena.map(view));
        SCRATCH.with_borrow_mut(|Scratch { input, sums }| {
            let a_row = work.part.blocks * work.width * LANES;
            let sums = room(sums, work.rows.len() * a_row);
            // SAFETY: rows, blocks and runs are the views' own, and the room is for so many rows.
            unsafe {
                let sum = |row: usize| sums.add((row - work.rows.start) * a_row);
                let done = |bias| move |row| self.finish(work, bias, sum(row), residual.as_ref(), &out, row);
                let [out_step, out_block] = [LANES, work.width * LANES];
                if let Way::Single(_) = self.way {
                    let wide = self.widen(work, &x, arena.images, input);
                    let input = |row| self.tap_of_widened(&wide, work, row).cast();
                    let (runs, step) = (self.runs(&wide), self.step(&wide));
                    let ends = Ends { runs, step, input, out_step, out_block, sums: sum };
                    return self.sum(work, &ends, |_, _| (), done(false));
                }
                let input = |row| self.first_tap(&x, work.part, row).cast();
                let (runs, step) = (self.runs(&x), self.step(&x));
                let ends = Ends { runs, step, input, out_step, out_block, sums: sum };
                #[cfg(target_arch = "x86_64")]
                if self.way == Way::Tiles && work.width >= TILE_PIXELS {
                    self.sum_tiles(work, &ends);
                    return work.rows.clone().for_each(done(true));
                }
                self.sum(work, &ends, |_, _| (), done(false));
            }
        });
    }

    /// The sums of all rows without their biases, by tile registers.
    #[cfg(target_arch = "x86_64")]
    unsafe fn sum_tiles<X: Fn(usize) -> *const u8, O: Fn(usize) -> *mut f32>(&self, work: &Work, ends: &Ends<X, O>) {
        let (blocks, width) = (work.part.blocks, work.width);
        // As many tiles as it takes, and no larger than that; where they don't come out even the last one begins earlier.
        let tiles = width.div_ceil(amx::PIXELS);
        let pixels = width.div_ceil(tiles);
        let (value, step) = (size_of::<E>(), ends.step * size_of::<E>());
        let taps = ends.runs.iter().flat_map(|run| (0..self.run).step_by(LANES).map(move |tap| (run + tap) * value));
        let taps: Vec<usize> = taps.collect();
        let place = |(row, tile): (usize, usize)| {
            let at = (tile * pixels).min(width - pixels);
            // SAFETY: a pixel of a row of the task, and the first and the last block of its part.
            unsafe {
                let sums = (ends.sums)(row).add(at * LANES);
                let last = sums.add((blocks - 1) * ends.out_block);
                amx::Pixels { x: (ends.input)(row).add(at * step), sums: [sums, last] }
            }
        };
        let all: Vec<(usize, usize)> =
            work.rows.clone().flat_map(|row| (0..tiles).map(move |tile| (row, tile))).collect();
        // SAFETY: this way is that of a processor with tiles; the inputs of the last taps may lie behind those of their run,
        // where weights are zero, but within the arena, which has a line to spare.
        unsafe {
            let registers = amx::Tiles::configure(pixels, LANES);
            let product = amx::Product { taps: &taps, step, weights: work.part.weights.as_ptr().cast(), blocks };
            for pair in all.chunks(2) {
                amx::sums(&registers, &product, place(pair[0]), pair.get(1).map(|tile| place(*tile)));
            }
        }
    }

    /// Puts a row's sums where they belong, with their biases where `bias` says that they have none yet.
    unsafe fn finish(
        &self,
        work: &Work,
        bias: bool,
        sums: *const f32,
        residual: Option<&Map<E>>,
        out: &Map<E>,
        row: usize,
    ) {
        let (image, y) = self.place(row);
        let (images, width) = if Self::over_images(&self.out) { (work.width, 1) } else { (1, work.width) };
        unsafe {
            for (q, i) in (0..work.part.blocks).flat_map(|q| (0..images).map(move |i| (q, i))) {
                let block = work.part.first + q;
                let other = residual.map_or(std::ptr::null(), |map| map.at(image + i, block, y).cast_const());
                let from = sums.add((q * work.width + i) * LANES);
                let bias = if bias { &self.bias[block] } else { &Line::ZERO };
                store(self.isa, from, bias, other, out.at(image + i, block, y), width, self.clamp);
            }
            self.apply(work, out, row);
        }
    }

    /// Lines of the input that so many rows of an image read.
    const fn lines(&self, rows: usize) -> usize {
        let [between, _] = self.between();
        (rows - 1) * between + (self.shape.kernel[0] - 1) * self.shape.dilation[0] + 1
    }

    /// From a row's first line to the next row's, in lines that are read, and from one of these to the next in the map.
    const fn between(&self) -> [usize; 2] {
        let down = self.shape.stride[0];
        if self.shape.kernel[0] == 1 { [1, down] } else { [down, 1] }
    }

    /// The input of a task's rows in f32, image by image; a map of nothing else, in which images are counted from the first
    /// one that the task reads.
    unsafe fn widen(&self, work: &Work, x: &Map<E>, images: usize, room_for: &mut Vec<Line>) -> Map<f32> {
        let Shape { kernel, stride, dilation, inputs, groups, .. } = self.shape;
        let (height, [_, apart]) = (self.out.plane.height, self.between());
        let rows = if Self::over_images(&self.out) { 0..images } else { work.rows.clone() };
        let pixels = (self.out.plane.width - 1) * stride[1] + (kernel[1] - 1) * dilation[1] + 1;
        let blocks = (inputs / groups).div_ceil(x.pixel);
        let row = (pixels * x.pixel).next_multiple_of(LANES);
        let block = self.lines(rows.len().min(height)) * row;
        let image = blocks * block;
        let (from, until) = (rows.start / height, rows.end.div_ceil(height));
        let base = room(room_for, (until - from) * image);
        for i in from..until {
            let first = rows.start.max(i * height);
            let lines = self.lines(rows.end.min((i + 1) * height) - first);
            for (b, y) in (0..blocks).flat_map(|b| (0..lines).map(move |y| (b, y))) {
                // SAFETY: a line of the map, its halo included. The last values may be behind its end, where the arena has
                // a line to spare.
                unsafe {
                    let line = self.first_tap(x, work.part, first).add(b * x.block + y * apart * x.row);
                    widened(self.isa, line, base.add((i - from) * image + b * block + y * row), row / LANES);
                }
            }
        }
        Map { base, image, block, row, pixel: x.pixel }
    }

    /// A row's first tap among what [`Self::widen`] gave.
    const unsafe fn tap_of_widened(&self, wide: &Map<f32>, work: &Work, row: usize) -> *const f32 {
        let height = self.out.plane.height;
        let (image, first) = (row / height, work.rows.start / height);
        let begins = if image == first { work.rows.start % height } else { 0 };
        let line = (row % height - begins) * self.between()[0];
        unsafe { wide.base.add((image - first) * wide.image + line * wide.row) }
    }
}

/// Memory of a worker for what a task needs and no one else.
#[derive(Default)]
struct Scratch {
    input: Vec<Line>,
    sums: Vec<Line>,
}

thread_local! {
    static SCRATCH: RefCell<Scratch> = RefCell::default();
}

/// Room for so many values, whatever they are.
fn room(lines: &mut Vec<Line>, values: usize) -> *mut f32 {
    let count = values.div_ceil(LANES);
    if lines.len() < count {
        lines.resize(count, Line::ZERO);
    }
    lines.as_mut_ptr().cast()
}

for_each_isa!(widened<E> = widened_lines(from: *const E, to: *mut f32, lines: usize));

#[inline(always)]
unsafe fn widened_lines<V: Lanes, E: Element>(from: *const E, to: *mut f32, lines: usize) {
    for i in 0..lines {
        unsafe { E::load::<V>(from.add(i * LANES)).store(to.add(i * LANES)) };
    }
}

for_each_isa!(store<E> = store_row(from: *const f32, bias: &Line, other: *const E, to: *mut E, width: usize, clamp: Clamp));

#[inline(always)]
unsafe fn store_row<V: Lanes, E: Element>(
    from: *const f32,
    bias: &Line,
    other: *const E,
    to: *mut E,
    width: usize,
    clamp: Clamp,
) {
    unsafe {
        let (low, high, bias) = (V::splat(clamp.low), V::splat(clamp.high), V::load(bias.0.as_ptr()));
        for i in 0..width {
            let mut sum = V::load(from.add(i * LANES)).add(bias);
            if !other.is_null() {
                sum = sum.add(E::load(other.add(i * LANES)));
            }
            E::store(sum.max(low).min(high), to.add(i * LANES));
        }
    }
}
