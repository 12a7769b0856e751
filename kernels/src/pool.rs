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
    /// The maximum; NaN where the window has one. Padding takes no part.
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
    for y in rows {
        // SAFETY: the row and its windows belong to the views.
        unsafe {
            let row = Row { pool, lines: pool.window(0, y, pool.x.plane.height), x, image, block };
            let to = out.at(image, block, y);
            match pool.reduce {
                Reduce::Max => max_row::<V, E>(&row, to),
                Reduce::Mean { padding } => mean_row::<V, E>(&row, padding, to),
            }
        }
    }
}

/// The input of an output row of a channel block.
struct Row<'a, E> {
    pool: &'a Pool<E>,
    /// Lines of the windows.
    lines: Range<usize>,
    x: &'a FeatureMap<E>,
    image: usize,
    block: usize,
}

impl<E: Element> Row<'_, E> {
    fn width(&self) -> usize {
        self.pool.out.plane.width
    }

    /// Columns of the window of an output column.
    fn columns(&self, column: usize) -> Range<usize> {
        self.pool.window(1, column, self.pool.x.plane.width)
    }

    /// The maximum of a window, any value where it has a NaN, and the sum of its values.
    #[inline(always)]
    unsafe fn max_and_sum<V: F32x16>(&self, columns: &Range<usize>) -> (V, V) {
        unsafe {
            let (mut max, mut sum) = (V::splat(f32::NEG_INFINITY), V::splat(0.0));
            for line in self.lines.clone() {
                let line = self.x.at(self.image, self.block, line);
                for column in columns.clone() {
                    let x = E::load::<V>(line.add(column * LANES));
                    max = x.max_of_numbers(max);
                    sum = sum.add(x);
                }
            }
            (max, sum)
        }
    }

    /// The maximum of a window, NaN where it has one.
    #[inline(always)]
    unsafe fn max<V: F32x16>(&self, columns: &Range<usize>) -> V {
        unsafe {
            let mut max = V::splat(f32::NEG_INFINITY);
            for line in self.lines.clone() {
                let line = self.x.at(self.image, self.block, line);
                for column in columns.clone() {
                    max = max.max(E::load::<V>(line.add(column * LANES)));
                }
            }
            max
        }
    }

    #[inline(always)]
    unsafe fn sum<V: F32x16>(&self, columns: &Range<usize>) -> V {
        unsafe {
            let mut sum = V::splat(0.0);
            for line in self.lines.clone() {
                let line = self.x.at(self.image, self.block, line);
                for column in columns.clone() {
                    sum = sum.add(E::load::<V>(line.add(column * LANES)));
                }
            }
            sum
        }
    }
}

/// The maximum of each window. Sums are made beside it, which costs less than comparing each value with itself: a NaN in a
/// window makes them NaN, as infinities of both signs do, and then the row is computed again by a maximum that keeps NaN.
#[inline(always)]
unsafe fn max_row<V: F32x16, E: Element>(row: &Row<E>, to: *mut E) {
    unsafe {
        let mut total = V::splat(0.0);
        for column in 0..row.width() {
            let (max, sum) = row.max_and_sum::<V>(&row.columns(column));
            E::store(max, to.add(column * LANES));
            total = total.add(sum);
        }
        let mut lanes = [0.0; LANES];
        total.store(lanes.as_mut_ptr());
        // The black box keeps the compiler from ordering an array's lanes by this loop, which shuffles them in the one above.
        if std::hint::black_box(lanes).iter().any(|lane| lane.is_nan()) {
            for column in 0..row.width() {
                E::store(row.max::<V>(&row.columns(column)), to.add(column * LANES));
            }
        }
    }
}

/// The mean of each window.
#[inline(always)]
unsafe fn mean_row<V: F32x16, E: Element>(row: &Row<E>, padding: bool, to: *mut E) {
    let [height, width] = row.pool.kernel;
    for column in 0..row.width() {
        let columns = row.columns(column);
        let count = if padding { height * width } else { row.lines.len() * columns.len() };
        unsafe {
            let mut value = row.sum::<V>(&columns);
            if count > 1 {
                value = value.mul(V::splat(1.0 / count as f32));
            }
            E::store(value, to.add(column * LANES));
        }
    }
}
