//! What only moves values, and the one operation that looks across channels.

use crate::element::Element;
use crate::layout::{Arena, Map, View};
use crate::run::{Bands, Step, Traffic};
use crate::simd::{Isa, LANES, Lanes, for_each_isa};

/// Brings the images of [`Arena::images_at`], `[n][3][h][w]`, into the arena.
pub struct Import<E> {
    pub view: View<E>,
}

impl<E: Element> Import<E> {
    fn bands(&self, images: usize, workers: usize) -> Bands {
        Bands::of(images, self.view.plane.height, workers)
    }
}

impl<E: Element> Step for Import<E> {
    fn traffic(&self) -> Traffic {
        Traffic { weights: 0, an_image: self.view.bytes() }
    }

    fn tasks(&self, images: usize, workers: usize) -> usize {
        images * self.bands(images, workers).count()
    }

    unsafe fn run(&self, task: usize, workers: usize, arena: &Arena) {
        let (image, rows) = self.bands(arena.images, workers).rows(task);
        let (map, View { plane, lanes, channels, .. }) = (arena.map(&self.view), self.view);
        let images = arena.images_at(channels * plane.height * plane.width);
        for (y, c) in rows.flat_map(|y| (0..channels).map(move |c| (y, c))) {
            // SAFETY: the view is as large as an image, and the images are as many as the arena's.
            unsafe {
                let from = images.add(((image * channels + c) * plane.height + y) * plane.width);
                let to = map.at(image, c / lanes, y).add(c % lanes);
                for x in 0..plane.width {
                    to.add(x * lanes).write(E::of(from.add(x).read()));
                }
            }
        }
    }
}

/// Puts channels of several maps side by side where that takes copying: where a part's channels are no whole blocks.
pub struct Gather<E> {
    pub out: View<E>,
    /// For each channel of `out` a part and its channel; none for zero.
    pub from: Vec<Option<(usize, usize)>>,
    pub parts: Vec<View<E>>,
}

impl<E: Element> Gather<E> {
    fn bands(&self, images: usize, workers: usize) -> Bands {
        Bands::of(images * self.out.blocks(), self.out.plane.height, workers)
    }

    /// The part and its block that a whole block of `out` is a copy of.
    fn copied(&self, block: usize) -> Option<(usize, usize)> {
        let lanes = self.from.get(block * LANES..(block + 1) * LANES)?;
        let (part, first) = lanes[0].filter(|(_, channel)| channel.is_multiple_of(LANES))?;
        let whole = lanes.iter().enumerate().all(|(lane, from)| *from == Some((part, first + lane)));
        whole.then_some((part, first / LANES))
    }

    /// Copies the channels of a row of a block one by one.
    unsafe fn lanes(&self, arena: &Arena, image: usize, block: usize, y: usize, to: *mut E) {
        for lane in 0..LANES {
            let from = self.from.get(block * LANES + lane).copied().flatten();
            unsafe {
                let row = from.map(|(part, channel)| {
                    arena.map(&self.parts[part]).at(image, channel / LANES, y).add(channel % LANES).cast_const()
                });
                for x in (0..self.out.plane.width).map(|x| x * LANES) {
                    to.add(x + lane).write(row.map_or(E::default(), |row| row.add(x).read()));
                }
            }
        }
    }
}

impl<E: Element> Step for Gather<E> {
    fn traffic(&self) -> Traffic {
        Traffic { weights: 0, an_image: 2 * self.out.bytes() }
    }

    fn tasks(&self, images: usize, workers: usize) -> usize {
        images * self.out.blocks() * self.bands(images, workers).count()
    }

    unsafe fn run(&self, task: usize, workers: usize, arena: &Arena) {
        let (block, rows) = self.bands(arena.images, workers).rows(task);
        let (image, block) = (block / self.out.blocks(), block % self.out.blocks());
        let out = arena.map(&self.out);
        let copied = self.copied(block).map(|(part, block)| (arena.map(&self.parts[part]), block));
        for y in rows {
            // SAFETY: the parts have the size of `out`.
            unsafe {
                let to = out.at(image, block, y);
                match copied {
                    Some((part, block)) => {
                        to.copy_from_nonoverlapping(part.at(image, block, y), self.out.plane.width * LANES);
                    }
                    None => self.lanes(arena, image, block, y, to),
                }
            }
        }
    }
}

/// Local response norm across channels: x / (1 + scale · Σ x²)^¾ over a window of `size` channels.
pub struct ResponseNorm<E> {
    pub x: View<E>,
    pub out: View<E>,
    pub size: usize,
    pub scale: f32,
    pub isa: Isa,
}

impl<E: Element> Step for ResponseNorm<E> {
    fn traffic(&self) -> Traffic {
        Traffic { weights: 0, an_image: self.x.bytes() + self.out.bytes() }
    }

    fn tasks(&self, images: usize, _: usize) -> usize {
        images * self.out.plane.height
    }

    unsafe fn run(&self, task: usize, _: usize, arena: &Arena) {
        let (image, y) = (task / self.out.plane.height, task % self.out.plane.height);
        let (x, out) = (arena.map(&self.x), arena.map(&self.out));
        // SAFETY: image and row are the views' own.
        unsafe { norm(self.isa, self, &x, &out, image, y) }
    }
}

for_each_isa!(norm<E> = norm_row(norm: &ResponseNorm<E>, x: &Map<E>, out: &Map<E>, image: usize, y: usize));

#[inline(always)]
unsafe fn norm_row<V: Lanes, E: Element>(norm: &ResponseNorm<E>, x: &Map<E>, out: &Map<E>, image: usize, y: usize) {
    let (blocks, width, reach) = (norm.x.blocks(), norm.out.plane.width, norm.size / 2);
    // The squares of a pixel's channels side by side, zeros around them; of a whole row, since a vector that lies across two
    // that were stored just before would wait for both.
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
        for block in 0..blocks {
            let (from, to) = (x.at(image, block, y).cast_const(), out.at(image, block, y));
            for i in 0..width {
                let window = squares.as_ptr().add(i * pixel + block * LANES);
                let mut sum = V::load(window);
                for k in 1..norm.size {
                    sum = sum.add(V::load(window.add(k)));
                }
                let root = V::splat(1.0).fma(sum, V::splat(norm.scale)).rsqrt();
                // t^-¾ = t^-½ · √(t^-½)
                let power = root.mul(root).mul(root.rsqrt());
                E::store(E::load::<V>(from.add(i * LANES)).mul(power), to.add(i * LANES));
            }
        }
    }
}
