//! Max and average pooling.

use crate::element::Element;
use crate::isa::{Isa, dispatch::for_each_isa};
use crate::layout::{Arena, FeatureMap, View};
use crate::simd::{F32x16, LANES};
use crate::step::{RowBands, Step, Traffic};
use std::ops::Range;

/// How a window is reduced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reduce {
    /// The maximum. Padding takes no part.
    Max,
    /// The mean. `padding` says whether padding counts in the divisor.
    Mean { padding: bool },
}

/// A pooling layer between two views.
pub struct Pool<E> {
    pub x: View<E>,
    pub out: View<E>,
    /// Height and width; so are the pairs below.
    pub kernel: [usize; 2],
    pub stride: [usize; 2],
    /// Above and to the left of the input.
    pub padding: [usize; 2],
    pub reduce: Reduce,
    pub isa: Isa,
}

impl<E: Element> Pool<E> {
    fn bands(&self, images: usize, workers: usize) -> RowBands {
        RowBands::new(images * self.out.blocks(), self.out.plane.height, workers)
    }

    /// The rows (axis 0) or columns (axis 1) of the input, of `size`, in the window of an output row or column.
    fn window(&self, axis: usize, at: usize, size: usize) -> Range<usize> {
        let start = at * self.stride[axis];
        let end = (start + self.kernel[axis]).saturating_sub(self.padding[axis]).min(size);
        start.saturating_sub(self.padding[axis])..end
    }
}

impl<E: Element> Step for Pool<E> {
    fn traffic(&self) -> Traffic {
        Traffic { weights: 0, per_image: self.x.bytes() + self.out.bytes() }
    }

    fn tasks(&self, images: usize, workers: usize) -> usize {
        images * self.out.blocks() * self.bands(images, workers).per_block()
    }

    unsafe fn run(&self, task: usize, workers: usize, arena: &Arena) {
        let (block, rows) = self.bands(arena.images, workers).rows(task);
        let (image, block) = (block / self.out.blocks(), block % self.out.blocks());
        let (x, out) = (arena.map(&self.x), arena.map(&self.out));
        // SAFETY: image and block belong to the views, and windows end at the input's edges.
        unsafe { pool(self.isa, self, &x, &out, [image, block], rows) }
    }
}

for_each_isa!(pool<E> = pool_rows(
    pool: &Pool<E>,
    x: &FeatureMap<E>,
    out: &FeatureMap<E>,
    at: [usize; 2],
    rows: Range<usize>,
));

#[inline(always)]
unsafe fn pool_rows<V: F32x16, E: Element>(
    pool: &Pool<E>,
    x: &FeatureMap<E>,
    out: &FeatureMap<E>,
    [image, block]: [usize; 2],
    rows: Range<usize>,
) {
    let input = pool.x.plane;
    for y in rows {
        let rows = pool.window(0, y, input.height);
        for column in 0..pool.out.plane.width {
            let columns = pool.window(1, column, input.width);
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
