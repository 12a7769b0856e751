//! The step that brings a batch into the arena.

use crate::element::Element;
use crate::layout::{Arena, View};
use crate::step::{RowBands, Step, Traffic};

/// Converts the batch of [`Arena::set_input`], f32 in NCHW, to the arena's layout and storage type.
pub struct Import<E> {
    pub view: View<E>,
}

impl<E: Element> Import<E> {
    fn bands(&self, images: usize, workers: usize) -> RowBands {
        RowBands::new(images, self.view.plane.height, workers)
    }
}

impl<E: Element> Step for Import<E> {
    fn traffic(&self) -> Traffic {
        Traffic { weights: 0, per_image: self.view.bytes() }
    }

    fn tasks(&self, images: usize, workers: usize) -> usize {
        images * self.bands(images, workers).per_block()
    }

    unsafe fn run(&self, task: usize, workers: usize, arena: &Arena) {
        let (image, rows) = self.bands(arena.images, workers).rows(task);
        let (map, View { plane, lanes, channels, .. }) = (arena.map(&self.view), self.view);
        let batch = arena.input(channels * plane.height * plane.width);
        for (y, c) in rows.flat_map(|y| (0..self.view.blocks() * lanes).map(move |c| (y, c))) {
            // SAFETY: the view has the size of an image, and the batch as many images as the arena.
            unsafe {
                let to = map.at(image, c / lanes, y).add(c % lanes);
                if c >= channels {
                    // An unused lane: another buffer in the same memory may have left anything there.
                    (0..plane.width).for_each(|x| to.add(x * lanes).write(E::default()));
                    continue;
                }
                let from = batch.add(((image * channels + c) * plane.height + y) * plane.width);
                for x in 0..plane.width {
                    to.add(x * lanes).write(E::of(from.add(x).read()));
                }
            }
        }
    }
}
