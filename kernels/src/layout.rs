//! Where values lie: feature maps in blocks of 16 channels, `[n][c / 16][h][w][16]`, each plane inside a halo of zeros as
//! wide as the widest padding that any reader asks for, so that a convolution knows no edges.

use crate::{element::Element, simd::LANES};
use std::{marker::PhantomData, ops::Range, sync::Arc};

/// A cache line, of 16 values in f32.
#[repr(C, align(64))]
#[derive(Clone, Copy, Debug)]
pub struct Line(pub [f32; LANES]);

impl Line {
    pub const ZERO: Self = Self([0.0; LANES]);
}

/// A plane's size and the zeros around it, pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plane {
    pub height: usize,
    pub width: usize,
    pub halo: usize,
}

impl Plane {
    /// Pixels of a row, halo included.
    pub const fn row(self) -> usize {
        self.width + 2 * self.halo
    }

    /// Pixels of the plane, halo included.
    pub const fn pixels(self) -> usize {
        self.row() * (self.height + 2 * self.halo)
    }
}

/// Some channels of a buffer of values stored as `E`.
#[derive(Clone, Copy, Debug)]
pub struct View<E> {
    /// Which buffer.
    pub buffer: usize,
    pub plane: Plane,
    /// Channels that lie side by side: 16, or 3 in an image.
    pub lanes: usize,
    /// Blocks of channels of one image in the buffer.
    pub stride: usize,
    /// The first block that is this view's.
    pub first: usize,
    pub channels: usize,
    pub element: PhantomData<E>,
}

impl<E> View<E> {
    /// Bytes of an image in the view, halo included.
    pub const fn bytes(&self) -> usize {
        self.blocks() * self.plane.pixels() * self.lanes * size_of::<E>()
    }

    /// Blocks of channels, the last one perhaps not full.
    pub const fn blocks(&self) -> usize {
        self.channels.div_ceil(self.lanes)
    }
}

/// A view in memory; strides are in values.
#[derive(Clone, Copy, Debug)]
pub struct Map<E> {
    /// The first channel of the first pixel of the first block of the first image; the halo lies before it.
    pub base: *mut E,
    pub image: usize,
    pub block: usize,
    pub row: usize,
    pub pixel: usize,
}

impl<E> Map<E> {
    /// The first pixel of a row.
    ///
    /// # Safety
    /// The row must be in the view.
    pub unsafe fn at(&self, image: usize, block: usize, row: usize) -> *mut E {
        unsafe { self.base.add(image * self.image + block * self.block + row * self.row) }
    }
}

/// Memory for a buffer, for one image.
#[derive(Clone, Copy, Debug)]
pub struct Slot {
    pub plane: Plane,
    pub lanes: usize,
    pub blocks: usize,
    /// Whether only the first steps use it, which take a few images at a time.
    pub few: bool,
}

/// How a plan's memory is laid out, and which of its steps take how many images at a time.
#[derive(Clone, Debug)]
pub struct Layout {
    /// Bytes of a value.
    pub width: usize,
    pub slots: Vec<Slot>,
    /// The slot of each buffer.
    pub of_buffer: Vec<usize>,
    /// Steps that take `few` images after the other; those after them take all images at once.
    pub first: usize,
    pub few: usize,
}

/// The memory of a forward pass of some images. Halos are zero from the beginning, and nothing ever writes to them.
#[derive(Clone)]
pub struct Arena {
    /// Images that a step works on.
    pub images: usize,
    /// The first of them, among all images.
    start: usize,
    images_at: *const f32,
    memory: Arc<Memory>,
}

struct Memory {
    layout: Layout,
    lines: Vec<Vec<Line>>,
}

impl Arena {
    /// Memory for so many images.
    pub fn new(images: usize, layout: &Layout) -> Self {
        let lines = |slot: &Slot| {
            let images = if slot.few { images.min(layout.few) } else { images };
            let bytes = images * slot.blocks * slot.plane.pixels() * slot.lanes * layout.width;
            // One more: where products are of several taps, some behind a run's end are read, to be multiplied by zero.
            vec![Line::ZERO; bytes.div_ceil(size_of::<Line>()) + 1]
        };
        let memory = Memory { lines: layout.slots.iter().map(lines).collect(), layout: layout.clone() };
        Self { images, start: 0, images_at: std::ptr::null(), memory: Arc::new(memory) }
    }

    /// How it is laid out.
    pub fn layout(&self) -> &Layout {
        &self.memory.layout
    }

    /// The same memory for whoever works on some of the images only.
    pub fn of_images(&self, images: Range<usize>) -> Self {
        Self { images: images.len(), start: self.start + images.start, ..self.clone() }
    }

    /// Says where the images are that [`crate::rearrange::Import`] brings in: they have to stay there while it runs.
    pub fn read_from(&mut self, images: &[f32]) {
        self.images_at = images.as_ptr();
    }

    /// Where the images are, of `size` values each.
    pub const fn images_at(&self, size: usize) -> *const f32 {
        self.images_at.wrapping_add(self.start * size)
    }

    /// Where a view lies.
    pub fn map<E: Element>(&self, view: &View<E>) -> Map<E> {
        debug_assert_eq!(self.memory.layout.width, size_of::<E>());
        let slot = self.memory.layout.of_buffer[view.buffer];
        let Slot { blocks, few, .. } = self.memory.layout.slots[slot];
        let (pixel, block) = (view.lanes, view.plane.pixels() * view.lanes);
        // An image has the same place in all buffers of a slot, whatever their channels: images never meet.
        let (row, image) = (view.plane.row() * pixel, blocks * block);
        let start = if few { 0 } else { self.start * image };
        let inside = start + view.first * block + view.plane.halo * (row + pixel);
        let base = self.memory.lines[slot].as_ptr().cast::<E>().cast_mut().wrapping_add(inside);
        Map { base, image, block, row, pixel }
    }
}

// SAFETY: the images are read while a plan runs and at no other time.
unsafe impl Send for Arena {}
// SAFETY: steps write through `map` to rows that no other task of the step touches, see `run::Step`.
unsafe impl Sync for Arena {}
