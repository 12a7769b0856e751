//! Pools.

use crate::element::Element;
use crate::layout::{Arena, Map, View};
use crate::run::{Bands, Step, Traffic};
use crate::simd::{Isa, LANES, Lanes, for_each_isa};
use std::ops::Range;

/// What a window is reduced to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reduce {
    /// The greatest value; padding never wins.
    Max,
    /// The mean; padding counts in the divisor, or does not.
    Mean { padding: bool },
}

/// A pool on views.
pub struct Pool<E> {
    pub x: View<E>,
    pub out: View<E>,
    pub kernel: [usize; 2],
    pub stride: [usize; 2],
    pub padding: [usize; 2],
    pub reduce: Reduce,
    pub isa: Isa,
}

impl<E: Element> Pool<E> {
    fn bands(&self, images: usize, workers: usize) -> Bands {
        Bands::of(images * self.out.blocks(), self.out.plane.height, workers)
    }

    /// The rows, or columns, of the input that a window sees.
    fn window(&self, axis: usize, at: usize, size: usize) -> Range<usize> {
        let start = at * self.stride[axis];
        let end = (start + self.kernel[axis]).saturating_sub(self.padding[axis]).min(size);
        start.saturating_sub(self.padding[axis])..end
    }
}

impl<E: Element> Step for Pool<E> {
    fn traffic(&self) -> Traffic {
        Traffic { weights: 0, an_image: self.x.bytes() + self.out.bytes() }
    }

    fn tasks(&self, images: usize, workers: usize) -> usize {
        images * self.out.blocks() * self.bands(images, workers).count()
    }

    unsafe fn run(&self, task: usize, workers: usize, arena: &Arena) {
        let (block, rows) = self.bands(arena.images, workers).rows(task);
        let (image, block) = (block / self.out.blocks(), block % self.out.blocks());
        let (x, out) = (arena.map(&self.x), arena.map(&self.out));
        // SAFETY: the views' own image and block, and windows inside the input.
        unsafe { pool(self.isa, self, &x, &out, [image, block], rows) }
    }
}

for_each_isa!(pool<E> = pool_rows(pool: &Pool<E>, x: &Map<E>, out: &Map<E>, at: [usize; 2], rows: Range<usize>));

#[inline(always)]
unsafe fn pool_rows<V: Lanes, E: Element>(
    pool: &Pool<E>,
    x: &Map<E>,
    out: &Map<E>,
    [image, block]: [usize; 2],
    rows: Range<usize>,
) {
    let inner = pool.x.plane;
    for y in rows {
        let rows = pool.window(0, y, inner.height);
        for column in 0..pool.out.plane.width {
            let columns = pool.window(1, column, inner.width);
            let start = if pool.reduce == Reduce::Max { f32::NEG_INFINITY } else { 0.0 };
            unsafe {
                let mut value = V::splat(start);
                for row in rows.clone() {
                    let row = x.at(image, block, row);
                    for column in columns.clone() {
                        let next = E::load::<V>(row.add(column * LANES));
                        value = if pool.reduce == Reduce::Max { value.max(next) } else { value.add(next) };
                    }
                }
                let count = match pool.reduce {
                    Reduce::Max => 1,
                    Reduce::Mean { padding: true } => pool.kernel[0] * pool.kernel[1],
                    Reduce::Mean { padding: false } => rows.len() * columns.len(),
                };
                if count > 1 {
                    value = value.mul(V::splat(1.0 / count as f32));
                }
                E::store(value, out.at(image, block, y).add(column * LANES));
            }
        }
    }
}
