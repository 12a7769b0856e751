//! What happens to each value by itself: batch norm, sums, gates and activations.

use crate::layout::{Arena, Line, View};
use crate::run::{Bands, Step, Traffic};
use crate::simd::{Isa, LANES, Lanes, for_each_isa};

/// A function of one value.
#[derive(Clone, Debug)]
pub enum After {
    /// At least, at most.
    Clamp(f32, f32),
    /// max(0, x) + slope · min(0, x), a slope a channel.
    Prelu(Vec<Line>),
    /// 1 / (1 + e⁻ˣ).
    Sigmoid,
    /// x / (1 + e⁻ˣ).
    Silu,
}

/// out = after(scale · x + shift + other).
pub struct Pointwise {
    pub x: View,
    pub out: View,
    /// A factor and a summand a channel.
    pub affine: Option<(Vec<Line>, Vec<Line>)>,
    /// A factor a channel of an image.
    pub gate: Option<View>,
    pub other: Option<View>,
    pub after: Option<After>,
    pub isa: Isa,
}

impl Pointwise {
    fn bands(&self, images: usize, workers: usize) -> Bands {
        Bands::of(images * self.out.blocks(), self.out.plane.height, workers)
    }
}

impl Step for Pointwise {
    fn traffic(&self) -> Traffic {
        let other = self.other.map_or(0, |view| view.bytes());
        Traffic { weights: 0, an_image: self.x.bytes() + other + self.out.bytes() }
    }

    fn tasks(&self, images: usize, workers: usize) -> usize {
        images * self.out.blocks() * self.bands(images, workers).count()
    }

    unsafe fn run(&self, task: usize, workers: usize, arena: &Arena) {
        let (block, rows) = self.bands(arena.images, workers).rows(task);
        let (image, block) = (block / self.out.blocks(), block % self.out.blocks());
        let (x, out) = (arena.map(&self.x), arena.map(&self.out));
        let other = self.other.as_ref().map(|view| arena.map(view));
        let one = Line([1.0; LANES]);
        let (mut scale, shift) = self.affine.as_ref().map_or((one, Line::ZERO), |(a, b)| (a[block], b[block]));
        // SAFETY: image, block and row are in the views, which have one size.
        unsafe {
            if let Some(gate) = &self.gate {
                scale = *arena.map(gate).at(image, block, 0).cast::<Line>();
            }
            for y in rows {
                let plus = other.map_or(std::ptr::null(), |map| map.at(image, block, y).cast_const());
                let (from, to) = (x.at(image, block, y), out.at(image, block, y));
                affine(self.isa, from, plus, to, self.out.plane.width, &scale, &shift);
                if let Some(after) = &self.after {
                    in_place(self.isa, after, block, to, self.out.plane.width);
                }
            }
        }
    }
}

for_each_isa!(affine = affine_row(x: *const f32, other: *const f32, out: *mut f32, width: usize, scale: &Line, shift: &Line));

#[inline(always)]
unsafe fn affine_row<V: Lanes>(
    x: *const f32,
    other: *const f32,
    out: *mut f32,
    width: usize,
    scale: &Line,
    shift: &Line,
) {
    unsafe {
        let (scale, shift) = (V::load(scale.0.as_ptr()), V::load(shift.0.as_ptr()));
        for i in 0..width {
            let mut sum = shift.fma(V::load(x.add(i * LANES)), scale);
            if !other.is_null() {
                sum = sum.add(V::load(other.add(i * LANES)));
            }
            sum.store(out.add(i * LANES));
        }
    }
}

/// Applies `after` to a row of a block.
///
/// # Safety
/// `row` must be good for `width` pixels of a block, and `block` be one that `after` has slopes for.
pub unsafe fn in_place(isa: Isa, after: &After, block: usize, row: *mut f32, width: usize) {
    unsafe {
        match after {
            After::Clamp(low, high) => clamp(isa, row, width, *low, *high),
            After::Prelu(slopes) => prelu(isa, row, width, &slopes[block]),
            After::Sigmoid => logistic(isa, row, width, false),
            After::Silu => logistic(isa, row, width, true),
        }
    }
}

for_each_isa!(clamp = clamp_row(row: *mut f32, width: usize, low: f32, high: f32));
for_each_isa!(prelu = prelu_row(row: *mut f32, width: usize, slope: &Line));
for_each_isa!(logistic = logistic_row(row: *mut f32, width: usize, times: bool));

#[inline(always)]
unsafe fn clamp_row<V: Lanes>(row: *mut f32, width: usize, low: f32, high: f32) {
    unsafe {
        let (low, high) = (V::splat(low), V::splat(high));
        for i in 0..width {
            V::load(row.add(i * LANES)).max(low).min(high).store(row.add(i * LANES));
        }
    }
}

#[inline(always)]
unsafe fn prelu_row<V: Lanes>(row: *mut f32, width: usize, slope: &Line) {
    unsafe {
        let (zero, slope) = (V::splat(0.0), V::load(slope.0.as_ptr()));
        for i in 0..width {
            let x = V::load(row.add(i * LANES));
            x.max(zero).fma(x.min(zero), slope).store(row.add(i * LANES));
        }
    }
}

#[inline(always)]
unsafe fn logistic_row<V: Lanes>(row: *mut f32, width: usize, times: bool) {
    unsafe {
        let one = V::splat(1.0);
        for i in 0..width {
            let at = row.add(i * LANES);
            let x = V::load(at);
            let y = one.add(x.mul(V::splat(-1.0)).exp()).recip();
            if times { x.mul(y) } else { y }.store(at);
        }
    }
}
