//! What happens to each value by itself: batch norm, sums, gates and activations.

use crate::element::Element;
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
pub struct Pointwise<E> {
    pub x: View<E>,
    pub out: View<E>,
    /// A factor and a summand a channel.
    pub affine: Option<(Vec<Line>, Vec<Line>)>,
    /// A factor a channel of an image.
    pub gate: Option<View<E>>,
    pub other: Option<View<E>>,
    pub after: Option<After>,
    pub isa: Isa,
}

impl<E: Element> Pointwise<E> {
    fn bands(&self, images: usize, workers: usize) -> Bands {
        Bands::of(images * self.out.blocks(), self.out.plane.height, workers)
    }
}

impl<E: Element> Step for Pointwise<E> {
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
                let gate = arena.map(gate).at(image, block, 0);
                scale = Line(std::array::from_fn(|lane| gate.add(lane).read().value()));
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

for_each_isa!(affine<E> = affine_row(x: *const E, other: *const E, out: *mut E, width: usize, scale: &Line, shift: &Line));

#[inline(always)]
unsafe fn affine_row<V: Lanes, E: Element>(
    x: *const E,
    other: *const E,
    out: *mut E,
    width: usize,
    scale: &Line,
    shift: &Line,
) {
    unsafe {
        let (scale, shift) = (V::load(scale.0.as_ptr()), V::load(shift.0.as_ptr()));
        for i in 0..width {
            let mut sum = shift.fma(E::load(x.add(i * LANES)), scale);
            if !other.is_null() {
                sum = sum.add(E::load(other.add(i * LANES)));
            }
            E::store(sum, out.add(i * LANES));
        }
    }
}

/// Applies `after` to a row of a block.
///
/// # Safety
/// `row` must be good for `width` pixels of a block, and `block` be one that `after` has slopes for.
pub unsafe fn in_place<E: Element>(isa: Isa, after: &After, block: usize, row: *mut E, width: usize) {
    unsafe {
        match after {
            After::Clamp(low, high) => clamp(isa, row, width, *low, *high),
            After::Prelu(slopes) => prelu(isa, row, width, &slopes[block]),
            After::Sigmoid => logistic(isa, row, width, false),
            After::Silu => logistic(isa, row, width, true),
        }
    }
}

for_each_isa!(clamp<E> = clamp_row(row: *mut E, width: usize, low: f32, high: f32));
for_each_isa!(prelu<E> = prelu_row(row: *mut E, width: usize, slope: &Line));
for_each_isa!(logistic<E> = logistic_row(row: *mut E, width: usize, times: bool));

#[inline(always)]
unsafe fn clamp_row<V: Lanes, E: Element>(row: *mut E, width: usize, low: f32, high: f32) {
    unsafe {
        let (low, high) = (V::splat(low), V::splat(high));
        for i in 0..width {
            let value = E::load::<V>(row.add(i * LANES)).max(low).min(high);
            E::store(value, row.add(i * LANES));
        }
    }
}

#[inline(always)]
unsafe fn prelu_row<V: Lanes, E: Element>(row: *mut E, width: usize, slope: &Line) {
    unsafe {
        let (zero, slope) = (V::splat(0.0), V::load(slope.0.as_ptr()));
        for i in 0..width {
            let x = E::load::<V>(row.add(i * LANES));
            E::store(x.max(zero).fma(x.min(zero), slope), row.add(i * LANES));
        }
    }
}

#[inline(always)]
unsafe fn logistic_row<V: Lanes, E: Element>(row: *mut E, width: usize, times: bool) {
    unsafe {
        let one = V::splat(1.0);
        for i in 0..width {
            let at = row.add(i * LANES);
            let x = E::load::<V>(at);
            let y = one.add(x.mul(V::splat(-1.0)).exp()).recip();
            E::store(if times { x.mul(y) } else { y }, at);
        }
    }
}
