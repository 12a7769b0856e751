//! Local response normalisation (AlexNet, GoogLeNet).

use crate::element::Element;
use crate::isa::{Isa, dispatch::for_each_isa};
use crate::layout::{Arena, FeatureMap, View};
use crate::simd::{F32x16, LANES};
use crate::step::{Step, Traffic};

/// x / (1 + scale · Σ x²)^¾, the sum being over a window of `size` channels around each.
pub struct ResponseNorm<E> {
    pub x: View<E>,
    pub out: View<E>,
    pub size: usize,
    pub scale: f32,
    pub isa: Isa,
}

impl<E: Element> Step for ResponseNorm<E> {
    fn traffic(&self) -> Traffic {
        Traffic { weights: 0, per_image: self.x.bytes() + self.out.bytes() }
    }

    fn tasks(&self, images: usize, _: usize) -> usize {
        images * self.out.plane.height
    }

    unsafe fn run(&self, task: usize, _: usize, arena: &Arena) {
        let (image, y) = (task / self.out.plane.height, task % self.out.plane.height);
        let (x, out) = (arena.map(&self.x), arena.map(&self.out));
        // SAFETY: image and row belong to the views.
        unsafe { normalize(self.isa, self, &x, &out, image, y) }
    }
}

for_each_isa!(normalize<E> = normalize_row(
    norm: &ResponseNorm<E>,
    x: &FeatureMap<E>,
    out: &FeatureMap<E>,
    image: usize,
    y: usize,
));

#[inline(always)]
unsafe fn normalize_row<V: F32x16, E: Element>(
    norm: &ResponseNorm<E>,
    x: &FeatureMap<E>,
    out: &FeatureMap<E>,
    image: usize,
    y: usize,
) {
    let (blocks, width, reach) = (norm.x.blocks(), norm.out.plane.width, norm.size / 2);
    // The squares of a pixel's channels are contiguous here, between zeros, so that a window is an unaligned load. The whole row
    // is squared first: a load that spans two recent stores would stall until both have left the store buffer.
    let pixel = blocks * LANES + 2 * reach;
    let mut squares = vec![0.0f32; width * pixel];
    unsafe {
        for block in 0..blocks {
            let from = x.at(image, block, y).cast_const();
            for i in 0..width {
                let value = E::load::<V>(from.add(i * LANES));
                value.mul(value).store(squares.as_mut_ptr().add(i * pixel + reach + block * LANES));
            }
        }
        // Unused lanes are no channels: they belong to the zeros around.
        let unused = reach + norm.x.channels..reach + blocks * LANES;
        if !unused.is_empty() {
            squares.chunks_mut(pixel).for_each(|squares| squares[unused.clone()].fill(0.0));
        }
        for block in 0..blocks {
            let (from, to) = (x.at(image, block, y).cast_const(), out.at(image, block, y));
            for i in 0..width {
                let window = squares.as_ptr().add(i * pixel + block * LANES);
                let mut sum = V::load(window);
                for k in 1..norm.size {
                    sum = sum.add(V::load(window.add(k)));
                }
                let root = V::splat(1.0).fma(sum, V::splat(norm.scale)).rsqrt();
                // 0 of an infinite sum is made a tiny number, whose square is 0 and whose root is not.
                let root = V::splat(f32::MIN_POSITIVE).max_of_numbers(root);
                // t^-¾ = t^-½ · √(t^-½)
                let power = root.mul(root).mul(root.rsqrt());
                E::store(E::load::<V>(from.add(i * LANES)).mul(power), to.add(i * LANES));
            }
        }
        if !norm.x.channels.is_multiple_of(LANES) {
            // 0 · NaN, next to a channel that is NaN.
            let (to, lanes) = (out.at(image, blocks - 1, y), norm.x.lanes_in_use(blocks - 1));
            for i in 0..width {
                E::store(E::load::<V>(to.add(i * LANES)).masked(&lanes), to.add(i * LANES));
            }
        }
    }
}
