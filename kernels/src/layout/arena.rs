//! The memory of a forward pass.

use super::view::{ChannelVector, FeatureMap, Plane, View};
use crate::element::Element;
use std::{ops::Range, sync::Arc};

/// A piece of memory that buffers with disjoint lifetimes share; sizes are for one image.
#[derive(Clone, Copy, Debug)]
pub struct Slot {
    pub plane: Plane,
    pub lanes: usize,
    pub blocks: usize,
    /// Whether only the steps that run in micro-batches use it: then it holds one micro-batch.
    pub micro_batched: bool,
}

/// The memory plan of a network.
#[derive(Clone, Debug)]
pub struct Layout {
    /// Bytes of an element.
    pub element_bytes: usize,
    pub slots: Vec<Slot>,
    /// The slot of each buffer.
    pub slot_of_buffer: Vec<usize>,
    /// Number of steps, from the first on, that run on one micro-batch after the other; the rest run on the whole batch.
    pub micro_batch_steps: usize,
    /// Images of a micro-batch.
    pub micro_batch: usize,
}

/// The memory of a forward pass of a batch, or of some of its images. Clones share the memory. Halos are zeroed when it is
/// allocated, and nothing writes to them.
#[derive(Clone)]
pub struct Arena {
    /// Number of images that a step works on.
    pub images: usize,
    /// Index of the first of them in the batch.
    first_image: usize,
    input: *const f32,
    memory: Arc<Memory>,
}

struct Memory {
    layout: Layout,
    slots: Vec<Vec<ChannelVector>>,
}

impl Arena {
    /// Allocates memory for a batch.
    pub fn new(images: usize, layout: &Layout) -> Self {
        let allocate = |slot: &Slot| {
            let images = if slot.micro_batched { images.min(layout.micro_batch) } else { images };
            let bytes = images * slot.blocks * slot.plane.pixels() * slot.lanes * layout.element_bytes;
            // One vector more: an instruction that takes several steps of the K loop reads past the end of a chunk, and
            // multiplies what it finds by zero.
            vec![ChannelVector::ZERO; bytes.div_ceil(size_of::<ChannelVector>()) + 1]
        };
        let memory = Memory { slots: layout.slots.iter().map(allocate).collect(), layout: layout.clone() };
        Self { images, first_image: 0, input: std::ptr::null(), memory: Arc::new(memory) }
    }

    /// The memory plan that it was allocated for.
    pub fn layout(&self) -> &Layout {
        &self.memory.layout
    }

    /// The same memory, for steps that work on some of the images only.
    pub fn of_images(&self, images: Range<usize>) -> Self {
        Self { images: images.len(), first_image: self.first_image + images.start, ..self.clone() }
    }

    /// Sets the batch that [`crate::input::Import`] reads. It must stay allocated, unchanged, while a plan runs.
    pub fn set_input(&mut self, batch: &[f32]) {
        self.input = batch.as_ptr();
    }

    /// The first of this arena's images in the batch, `image_len` elements each.
    pub const fn input(&self, image_len: usize) -> *const f32 {
        self.input.wrapping_add(self.first_image * image_len)
    }

    /// Resolves a view to memory.
    pub fn map<E: Element>(&self, view: &View<E>) -> FeatureMap<E> {
        debug_assert_eq!(self.memory.layout.element_bytes, size_of::<E>());
        let slot = self.memory.layout.slot_of_buffer[view.buffer];
        let Slot { blocks, micro_batched, .. } = self.memory.layout.slots[slot];
        let (pixel, block) = (view.lanes, view.plane.pixels() * view.lanes);
        // The image stride is the slot's, not the buffer's: an image has one place, whichever buffer uses the slot, so that
        // images never overlap.
        let (row, image) = (view.plane.row() * pixel, blocks * block);
        let first = if micro_batched { 0 } else { self.first_image * image };
        let offset = first + view.first_block * block + view.plane.halo * (row + pixel);
        let base = self.memory.slots[slot].as_ptr().cast::<E>().cast_mut().wrapping_add(offset);
        FeatureMap { base, image, block, row, pixel }
    }
}

// SAFETY: `input` is only read, and only while a plan runs.
unsafe impl Send for Arena {}
// SAFETY: steps write through `map`, each task to rows that no other task of the step touches: see `step::Step`.
unsafe impl Sync for Arena {}
