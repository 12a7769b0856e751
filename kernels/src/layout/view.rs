//! Feature maps: as a plan knows them, and resolved to memory.

use crate::simd::{LANES, LaneMask};
use std::marker::PhantomData;

/// The values of a channel block, one per channel; as f32 they fill a cache line. Memory is allocated in units of it.
#[repr(C, align(64))]
#[derive(Clone, Copy, Debug)]
pub struct ChannelVector(pub [f32; LANES]);

impl ChannelVector {
    pub const ZERO: Self = Self([0.0; LANES]);
}

/// Size of a plane and of the zero padding around it, in pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plane {
    pub height: usize,
    pub width: usize,
    pub halo: usize,
}

impl Plane {
    /// Pixels of a row, including the halo.
    pub const fn row(self) -> usize {
        self.width + 2 * self.halo
    }

    /// Pixels of the plane, including the halo.
    pub const fn pixels(self) -> usize {
        self.row() * (self.height + 2 * self.halo)
    }
}

/// A feature map: some channel blocks of a buffer, stored as `E`.
#[derive(Clone, Copy, Debug)]
pub struct View<E> {
    /// Index of the buffer.
    pub buffer: usize,
    pub plane: Plane,
    /// Channels of a block: 16, or all of them where the network's input keeps its channels side by side.
    pub lanes: usize,
    /// Channel blocks of an image in the whole buffer.
    pub buffer_blocks: usize,
    /// First block of the buffer that belongs to this view.
    pub first_block: usize,
    pub channels: usize,
    pub element: PhantomData<E>,
}

impl<E> View<E> {
    /// Bytes of one image in the view, including the halo.
    pub const fn bytes(&self) -> usize {
        self.blocks() * self.plane.pixels() * self.lanes * size_of::<E>()
    }

    /// Channel blocks, including a last one that is not full.
    pub const fn blocks(&self) -> usize {
        self.channels.div_ceil(self.lanes)
    }

    /// The lanes of a channel block that hold channels.
    pub const fn lanes_in_use(&self, block: usize) -> LaneMask {
        LaneMask::first(self.channels.saturating_sub(block * self.lanes))
    }
}

/// A view resolved to memory: a base pointer and strides, in elements.
#[derive(Clone, Copy, Debug)]
pub struct FeatureMap<E> {
    /// First channel of the first pixel of the first block of the first image; the halo lies before it.
    pub base: *mut E,
    /// Stride from an image to the next.
    pub image: usize,
    /// Stride from a channel block to the next.
    pub block: usize,
    /// Stride from a row to the next.
    pub row: usize,
    /// Stride from a pixel to the next.
    pub pixel: usize,
}

impl<E> FeatureMap<E> {
    /// The first pixel of a row.
    ///
    /// # Safety
    /// Image, block and row must lie within the view.
    pub unsafe fn at(&self, image: usize, block: usize, row: usize) -> *mut E {
        unsafe { self.base.add(image * self.image + block * self.block + row * self.row) }
    }
}
