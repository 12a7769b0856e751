//! Pools.

use crate::layout::{Arena, Map, View};
use crate::run::Step;
use crate::simd::{Isa, LANES, Lanes, for_each_isa};

/// What a window is reduced to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reduce {
    /// The greatest value; padding never wins.
    Max,
    /// The mean; padding counts in the divisor, or does not.
    Mean { padding: bool },
}

/// A pool on views.
pub struct Pool {
    pub x: View,
    pub out: View,
    pub kernel: [usize; 2],
    pub stride: [usize; 2],
    pub padding: [usize; 2],
    pub reduce: Reduce,
    pub isa: Isa,
}

impl Pool {
    /// The rows, or columns, of the input that a window sees.
    fn window(&self, axis: usize, at: usize, size: usize) -> std::ops::Range<usize> {
        let start = at * self.stride[axis];
        let end = (start + self.kernel[axis]).saturating_sub(self.padding[axis]).min(size);
        start.saturating_sub(self.padding[axis])..end
    }
}

impl Step for Pool {
    fn tasks(&self, images: usize, _: usize) -> usize {
        images * self.out.blocks()
    }

    unsafe fn run(&self, task: usize, _: usize, arena: &Arena) {
        let (image, block) = (task / self.out.blocks(), task % self.out.blocks());
        let (x, out) = (arena.map(&self.x), arena.map(&self.out));
        // SAFETY: the views' own image and block, and windows inside the input.
        unsafe { pool(self.isa, self, &x, &out, image, block) }
    }
}

for_each_isa!(pool = pool_block(pool: &Pool, x: &Map, out: &Map, image: usize, block: usize));

#[inline(always)]
unsafe fn pool_block<V: Lanes>(pool: &Pool, x: &Map, out: &Map, image: usize, block: usize) {
    let inner = pool.x.plane;
    for y in 0..pool.out.plane.height {
        let rows = pool.window(0, y, inner.height);
        for column in 0..pool.out.plane.width {
            let columns = pool.window(1, column, inner.width);
            let start = if pool.reduce == Reduce::Max { f32::NEG_INFINITY } else { 0.0 };
            unsafe {
                let mut value = V::splat(start);
                for row in rows.clone() {
                    let row = x.at(image, block, row);
                    for column in columns.clone() {
                        let next = V::load(row.add(column * LANES));
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
                value.store(out.at(image, block, y).add(column * LANES));
            }
        }
    }
}
