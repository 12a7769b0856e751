//! What only moves values, and the one operation that looks across channels.

use crate::layout::{Arena, View};
use crate::run::Step;
use crate::simd::LANES;

/// Brings an image, `[n][3][h][w]`, into the arena.
///
/// # Safety
/// `image` must be one image's values, and nobody else be in the arena.
pub unsafe fn import(values: &[f32], image: usize, view: &View, arena: &Arena) {
    let (map, plane) = (arena.map(view), view.plane);
    for (c, channel) in values.chunks_exact(plane.height * plane.width).enumerate() {
        for (y, row) in channel.chunks_exact(plane.width).enumerate() {
            // SAFETY: the view is as large as the image.
            let to = unsafe { map.at(image, c / view.lanes, y).add(c % view.lanes) };
            for (x, value) in row.iter().enumerate() {
                unsafe { to.add(x * view.lanes).write(*value) };
            }
        }
    }
}

/// Puts channels of several maps side by side where that takes copying: where a part's channels are no whole blocks.
pub struct Gather {
    pub out: View,
    /// For each channel of `out` a part and its channel; none for zero.
    pub from: Vec<Option<(usize, usize)>>,
    pub parts: Vec<View>,
}

impl Step for Gather {
    fn tasks(&self, images: usize, _: usize) -> usize {
        images * self.out.blocks()
    }

    unsafe fn run(&self, task: usize, _: usize, arena: &Arena) {
        let (image, block) = (task / self.out.blocks(), task % self.out.blocks());
        let out = arena.map(&self.out);
        let plane = self.out.plane;
        for lane in 0..LANES {
            let from = self.from.get(block * LANES + lane).copied().flatten();
            for y in 0..plane.height {
                // SAFETY: the parts have the size of `out`.
                unsafe {
                    let to = out.at(image, block, y).add(lane);
                    let row = from.map(|(part, channel)| {
                        arena.map(&self.parts[part]).at(image, channel / LANES, y).add(channel % LANES).cast_const()
                    });
                    for x in 0..plane.width {
                        to.add(x * LANES).write(row.map_or(0.0, |row| row.add(x * LANES).read()));
                    }
                }
            }
        }
    }
}

/// Local response norm across channels: x / (1 + scale · Σ x²)^¾ over a window of `size` channels.
pub struct ResponseNorm {
    pub x: View,
    pub out: View,
    pub size: usize,
    pub scale: f32,
}

impl Step for ResponseNorm {
    fn tasks(&self, images: usize, _: usize) -> usize {
        images * self.out.plane.height
    }

    unsafe fn run(&self, task: usize, _: usize, arena: &Arena) {
        let (image, y) = (task / self.out.plane.height, task % self.out.plane.height);
        let (x, out) = (arena.map(&self.x), arena.map(&self.out));
        let (channels, reach) = (self.x.blocks() * LANES, self.size / 2);
        let mut squares = vec![0.0f32; channels + 2 * reach];
        for column in 0..self.out.plane.width {
            // SAFETY: image, block and row are the views' own.
            unsafe {
                let pixel = |block: usize| &*x.at(image, block, y).add(column * LANES).cast::<[f32; LANES]>();
                for block in 0..self.x.blocks() {
                    let to = &mut squares[reach + block * LANES..][..LANES];
                    to.iter_mut().zip(pixel(block)).for_each(|(square, value)| *square = value * value);
                }
                for block in 0..self.x.blocks() {
                    let to = &mut *out.at(image, block, y).add(column * LANES).cast::<[f32; LANES]>();
                    let window = &squares[block * LANES..][..LANES + 2 * reach];
                    for (lane, (y, x)) in to.iter_mut().zip(pixel(block)).enumerate() {
                        let sum: f32 = window[lane..lane + self.size].iter().sum();
                        let root = (1.0 + self.scale * sum).sqrt();
                        *y = x / (root * root.sqrt());
                    }
                }
            }
        }
    }
}
