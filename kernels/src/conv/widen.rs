//! Copies the input of a task to scratch memory as f32. Widening in the micro-kernel instead would convert each value again for
//! every kernel position and panel.

use super::operator::{Conv, Task};
use super::scratch;
use super::shape::Shape;
use crate::element::Element;
use crate::isa::dispatch::for_each_isa;
use crate::layout::{ChannelVector, FeatureMap};
use crate::simd::{F32x16, LANES};

impl<E: Element> Conv<E> {
    /// Input lines that `rows` output rows of one image need.
    const fn input_lines(&self, rows: usize) -> usize {
        let [per_row, _] = self.line_strides();
        (rows - 1) * per_row + (self.shape.kernel[0] - 1) * self.shape.dilation[0] + 1
    }

    /// Copied lines from an output row's first to the next row's, and lines of the map from one that is copied to the next:
    /// lines that a kernel of height 1 skips are not copied.
    const fn line_strides(&self) -> [usize; 2] {
        let down = self.shape.stride[0];
        if self.shape.kernel[0] == 1 { [1, down] } else { [down, 1] }
    }

    /// The input of a task's rows in f32. In the map that is returned, image 0 is the first one that the task reads.
    pub(super) unsafe fn widen_input(
        &self,
        task: &Task,
        x: &FeatureMap<E>,
        images: usize,
        buffer: &mut Vec<ChannelVector>,
    ) -> FeatureMap<f32> {
        let Shape { kernel, stride, dilation, inputs, groups, .. } = self.shape;
        let (height, [_, line_stride]) = (self.out.plane.height, self.line_strides());
        let rows = if Self::batch_as_row(&self.out) { 0..images } else { task.rows.clone() };
        let pixels = (self.out.plane.width - 1) * stride[1] + (kernel[1] - 1) * dilation[1] + 1;
        let blocks = (inputs / groups).div_ceil(x.pixel);
        let row = (pixels * x.pixel).next_multiple_of(LANES);
        let block = self.input_lines(rows.len().min(height)) * row;
        let image = blocks * block;
        let (first_image, end_image) = (rows.start / height, rows.end.div_ceil(height));
        let base = scratch::reserve(buffer, (end_image - first_image) * image);
        for i in first_image..end_image {
            let first_row = rows.start.max(i * height);
            let lines = self.input_lines(rows.end.min((i + 1) * height) - first_row);
            for (b, y) in (0..blocks).flat_map(|b| (0..lines).map(move |y| (b, y))) {
                // SAFETY: a line of the map, including its halo. The last vector may reach past its end, where the arena has
                // one to spare.
                unsafe {
                    let from = self.first_tap(x, task.panel, first_row).add(b * x.block + y * line_stride * x.row);
                    let to = base.add((i - first_image) * image + b * block + y * row);
                    widen(self.isa, from, to, row / LANES);
                }
            }
        }
        FeatureMap { base, image, block, row, pixel: x.pixel }
    }

    /// A row's first tap in the map of [`Self::widen_input`].
    pub(super) const unsafe fn first_tap_widened(&self, wide: &FeatureMap<f32>, task: &Task, row: usize) -> *const f32 {
        let height = self.out.plane.height;
        let (image, first_image) = (row / height, task.rows.start / height);
        let first_line = if image == first_image { task.rows.start % height } else { 0 };
        let line = (row % height - first_line) * self.line_strides()[0];
        unsafe { wide.base.add((image - first_image) * wide.image + line * wide.row) }
    }
}

for_each_isa!(widen<E> = widen_vectors(from: *const E, to: *mut f32, vectors: usize));

#[inline(always)]
unsafe fn widen_vectors<V: F32x16, E: Element>(from: *const E, to: *mut f32, vectors: usize) {
    for i in 0..vectors {
        unsafe { E::load::<V>(from.add(i * LANES)).store(to.add(i * LANES)) };
    }
}
