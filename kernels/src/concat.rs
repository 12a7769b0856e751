//! Concatenation of channels by copying, for maps whose channels are not whole blocks. (Maps of whole blocks are views of one
//! buffer: their concatenation takes no step.)

use crate::element::Element;
use crate::layout::{Arena, View};
use crate::simd::LANES;
use crate::step::{RowBands, Step, Traffic};

/// Copies channels of several maps of the same size into one.
pub struct Concat<E> {
    pub out: View<E>,
    /// For each channel of `out` the index of a part and the channel in it; none for a channel of zeros.
    pub sources: Vec<Option<(usize, usize)>>,
    pub parts: Vec<View<E>>,
}

impl<E: Element> Concat<E> {
    fn bands(&self, images: usize, workers: usize) -> RowBands {
        RowBands::new(images * self.out.blocks(), self.out.plane.height, workers)
    }

    /// The part and its block that a block of `out` is a copy of, if it is one.
    fn source_block(&self, block: usize) -> Option<(usize, usize)> {
        let lanes = self.sources.get(block * LANES..(block + 1) * LANES)?;
        let (part, first) = lanes[0].filter(|(_, channel)| channel.is_multiple_of(LANES))?;
        let is_copy = lanes.iter().enumerate().all(|(lane, source)| *source == Some((part, first + lane)));
        is_copy.then_some((part, first / LANES))
    }

    /// Copies a row of a block channel by channel. Channels without a source, and unused lanes, become zero.
    unsafe fn copy_channels(&self, arena: &Arena, image: usize, block: usize, y: usize, to: *mut E) {
        for lane in 0..LANES {
            let source = self.sources.get(block * LANES + lane).copied().flatten();
            // SAFETY: the parts have the size of `out`.
            unsafe {
                let row = source.map(|(part, channel)| {
                    arena.map(&self.parts[part]).at(image, channel / LANES, y).add(channel % LANES).cast_const()
                });
                for x in (0..self.out.plane.width).map(|x| x * LANES) {
                    to.add(x + lane).write(row.map_or(E::default(), |row| row.add(x).read()));
                }
            }
        }
    }
}

impl<E: Element> Step for Concat<E> {
    fn traffic(&self) -> Traffic {
        Traffic { weights: 0, per_image: 2 * self.out.bytes() }
    }

    fn tasks(&self, images: usize, workers: usize) -> usize {
        images * self.out.blocks() * self.bands(images, workers).per_block()
    }

    unsafe fn run(&self, task: usize, workers: usize, arena: &Arena) {
        let (block, rows) = self.bands(arena.images, workers).rows(task);
        let (image, block) = (block / self.out.blocks(), block % self.out.blocks());
        let out = arena.map(&self.out);
        let source = self.source_block(block).map(|(part, block)| (arena.map(&self.parts[part]), block));
        for y in rows {
            // SAFETY: the parts have the size of `out`.
            unsafe {
                let to = out.at(image, block, y);
                match source {
                    Some((part, block)) => {
                        to.copy_from_nonoverlapping(part.at(image, block, y), self.out.plane.width * LANES);
                    }
                    None => self.copy_channels(arena, image, block, y, to),
                }
            }
        }
    }
}
