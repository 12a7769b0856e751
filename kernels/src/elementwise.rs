//! Elementwise operators, batch norm, sums, gates and activations, and the activations that other operators apply in their
//! epilogue.

use crate::element::Element;
use crate::isa::{Isa, dispatch::for_each_isa};
use crate::layout::{Arena, ChannelVector, View};
use crate::simd::{F32x16, LANES};
use crate::step::{RowBands, Step, Traffic};

/// An activation that an operator applies to its output before the next one reads it.
#[derive(Clone, Debug)]
pub enum Epilogue {
    /// min(max(x, low), high): ReLU is [0, ∞), ReLU6 [0, 6].
    Clamp(f32, f32),
    /// x where it is greater than zero, else slope · x; a slope per channel.
    Prelu(Vec<ChannelVector>),
    /// 1 / (1 + e⁻ˣ).
    Sigmoid,
    /// x · sigmoid(x), which is NaN at -∞: -∞ · 0.
    Silu,
}

/// out = epilogue(scale · x + shift + addend).
pub struct Elementwise<E> {
    pub x: View<E>,
    pub out: View<E>,
    /// Scale and shift, a value per channel. None: 1 and 0.
    pub affine: Option<(Vec<ChannelVector>, Vec<ChannelVector>)>,
    /// Scale that is computed by another step, a value per channel and image: squeeze-and-excitation. Replaces that of `affine`.
    pub gate: Option<View<E>>,
    pub addend: Option<View<E>>,
    pub epilogue: Option<Epilogue>,
    pub isa: Isa,
}

impl<E: Element> Elementwise<E> {
    fn bands(&self, images: usize, workers: usize) -> RowBands {
        RowBands::new(images * self.out.blocks(), self.out.plane.height, workers)
    }
}

impl<E: Element> Step for Elementwise<E> {
    fn traffic(&self) -> Traffic {
        let addend = self.addend.map_or(0, |view| view.bytes());
        Traffic { weights: 0, per_image: self.x.bytes() + addend + self.out.bytes() }
    }

    fn tasks(&self, images: usize, workers: usize) -> usize {
        images * self.out.blocks() * self.bands(images, workers).per_block()
    }

    unsafe fn run(&self, task: usize, workers: usize, arena: &Arena) {
        let (block, rows) = self.bands(arena.images, workers).rows(task);
        let (image, block) = (block / self.out.blocks(), block % self.out.blocks());
        let (x, out) = (arena.map(&self.x), arena.map(&self.out));
        let addend = self.addend.as_ref().map(|view| arena.map(view));
        let ones = ChannelVector([1.0; LANES]);
        let affine = self.affine.as_ref();
        let (mut scale, shift) = affine.map_or((ones, ChannelVector::ZERO), |(a, b)| (a[block], b[block]));
        // SAFETY: image, block and rows belong to the views, which have the same size.
        unsafe {
            if let Some(gate) = &self.gate {
                let gate = arena.map(gate).at(image, block, 0);
                scale = ChannelVector(std::array::from_fn(|lane| gate.add(lane).read().value()));
            }
            for y in rows {
                let addend = addend.map_or(std::ptr::null(), |map| map.at(image, block, y).cast_const());
                let (from, to) = (x.at(image, block, y), out.at(image, block, y));
                scale_shift_add(self.isa, from, addend, to, self.out.plane.width, &scale, &shift);
                if let Some(epilogue) = &self.epilogue {
                    apply(self.isa, epilogue, block, to, self.out.plane.width);
                }
            }
        }
    }
}

for_each_isa!(scale_shift_add<E> = scale_shift_add_row(
    x: *const E,
    addend: *const E,
    out: *mut E,
    width: usize,
    scale: &ChannelVector,
    shift: &ChannelVector,
));

#[inline(always)]
unsafe fn scale_shift_add_row<V: F32x16, E: Element>(
    x: *const E,
    addend: *const E,
    out: *mut E,
    width: usize,
    scale: &ChannelVector,
    shift: &ChannelVector,
) {
    unsafe {
        let (scale, shift) = (V::load(scale.0.as_ptr()), V::load(shift.0.as_ptr()));
        for i in 0..width {
            let mut sum = shift.fma(E::load(x.add(i * LANES)), scale);
            if !addend.is_null() {
                sum = sum.add(E::load(addend.add(i * LANES)));
            }
            E::store(sum, out.add(i * LANES));
        }
    }
}

/// Applies an activation to `width` pixels of a channel block, in place.
///
/// # Safety
/// The processor must have `isa`, `row` must be valid for `width` pixels and not be accessed by another thread meanwhile, and
/// `block` must be one that a PReLU has slopes for.
pub(crate) unsafe fn apply<E: Element>(isa: Isa, epilogue: &Epilogue, block: usize, row: *mut E, width: usize) {
    unsafe {
        match epilogue {
            Epilogue::Clamp(low, high) => clamp(isa, row, width, *low, *high),
            Epilogue::Prelu(slopes) => prelu(isa, row, width, &slopes[block]),
            Epilogue::Sigmoid => sigmoid(isa, row, width, false),
            Epilogue::Silu => sigmoid(isa, row, width, true),
        }
    }
}

for_each_isa!(clamp<E> = clamp_row(row: *mut E, width: usize, low: f32, high: f32));
for_each_isa!(prelu<E> = prelu_row(row: *mut E, width: usize, slope: &ChannelVector));
for_each_isa!(sigmoid<E> = sigmoid_row(row: *mut E, width: usize, times_x: bool));

#[inline(always)]
unsafe fn clamp_row<V: F32x16, E: Element>(row: *mut E, width: usize, low: f32, high: f32) {
    unsafe {
        let (low, high) = (V::splat(low), V::splat(high));
        for i in 0..width {
            let value = E::load::<V>(row.add(i * LANES)).clamp(low, high);
            E::store(value, row.add(i * LANES));
        }
    }
}

#[inline(always)]
unsafe fn prelu_row<V: F32x16, E: Element>(row: *mut E, width: usize, slope: &ChannelVector) {
    unsafe {
        let slope = V::load(slope.0.as_ptr());
        for i in 0..width {
            let x = E::load::<V>(row.add(i * LANES));
            E::store(x.prelu(slope), row.add(i * LANES));
        }
    }
}

#[inline(always)]
unsafe fn sigmoid_row<V: F32x16, E: Element>(row: *mut E, width: usize, times_x: bool) {
    unsafe {
        let one = V::splat(1.0);
        for i in 0..width {
            let at = row.add(i * LANES);
            let x = E::load::<V>(at);
            let y = one.add(x.mul(V::splat(-1.0)).exp()).recip();
            E::store(if times_x { x.mul(y) } else { y }, at);
        }
    }
}
