//! A convolution: its packed weights, its blocking, and how its output is divided into tasks.

use super::packing::{self, Blocking, Panel, Parameters, bias_vectors};
use super::shape::Shape;
use super::tile_size::{self, MicroKernels};
use crate::element::Element;
use crate::elementwise::{self, Epilogue};
use crate::isa::Isa;
use crate::layout::{ChannelVector, FeatureMap, View};
use crate::mac::MacOp;
use crate::micro_kernel::Clamp;
use crate::simd::{LANES, LaneMask};
use std::ops::Range;

/// Bytes of a task's outputs at most, where K blocks pass over them more than once: half of a small L2 cache.
const OUTPUT_BYTES: usize = 128 << 10;
/// Tasks per worker at least, so that none waits long for the last one.
const TASKS_PER_WORKER: usize = 6;

/// A convolution between two views.
pub struct Conv<E> {
    pub(super) shape: Shape,
    pub(super) x: View<E>,
    pub(super) out: View<E>,
    /// Epilogue, in this order: residual, clamp, zeros in unused lanes, other activation.
    pub(super) residual: Option<View<E>>,
    pub(super) clamp: Clamp,
    epilogue: Option<Epilogue>,
    pub(super) panels: Vec<Panel>,
    pub(super) bias: Vec<ChannelVector>,
    /// Elements of a K chunk.
    pub(super) k_chunk_len: usize,
    /// The lanes that the last block of the output uses, if it does not use all.
    last_block_lanes: Option<LaneMask>,
    /// MR: pixels of a tile.
    pub(super) mr: usize,
    pub(super) isa: Isa,
    pub(super) mac: MacOp,
    pub(super) kernels: MicroKernels,
}

/// What a task computes.
pub(super) struct Task<'a> {
    pub panel: &'a Panel,
    /// Output rows, numbered through all images.
    pub rows: Range<usize>,
    /// Pixels of a row; images, where the batch takes the place of a row.
    pub width: usize,
}

impl<E: Element> Conv<E> {
    /// Packs a convolution's weights. The halo of `x` must be at least as wide as the padding, and groups, if there are several,
    /// must be whole channel blocks.
    pub fn new(shape: Shape, [x, out]: [View<E>; 2], parameters: &Parameters, isa: Isa) -> Self {
        let mac = MacOp::select(isa, E::DTYPE);
        let input_stride = if Self::batch_as_row(&out) { 0 } else { shape.stride[1] * x.lanes };
        let kernels = MicroKernels::new(isa, mac, input_stride);
        let group_blocks = (shape.outputs / shape.groups).div_ceil(LANES);
        let [mr, nr] = tile_size::select(isa, mac, &kernels, out.plane, group_blocks);
        // Neighbouring pixels are contiguous: without dilation a chunk is a whole kernel row.
        let k_chunk_len = if shape.dilation[1] == 1 { shape.kernel[1] * x.lanes } else { x.lanes };
        let blocking = Blocking { lanes: x.lanes, k_chunk_len, blocks: nr, mac };
        Self {
            shape,
            x,
            out,
            residual: None,
            clamp: Clamp::NONE,
            epilogue: None,
            panels: packing::pack::<E>(&shape, blocking, parameters),
            bias: bias_vectors(parameters.bias.as_deref(), out.blocks()),
            k_chunk_len,
            last_block_lanes: (!out.channels.is_multiple_of(LANES)).then(|| out.lanes_in_use(out.blocks() - 1)),
            mr,
            isa,
            mac,
            kernels,
        }
    }

    /// Epilogue: adds a map of the output's size before the clamp.
    pub fn with_residual(mut self, residual: Option<View<E>>) -> Self {
        self.residual = residual;
        self
    }

    /// Epilogue: a clamp, and another activation after it.
    pub fn with_epilogue(mut self, clamp: Clamp, epilogue: Option<Epilogue>) -> Self {
        (self.clamp, self.epilogue) = (clamp, epilogue);
        self
    }

    /// Whether the images of a batch take the place of a row's pixels: where the output is one pixel. Weights are then read
    /// once per batch.
    pub(super) const fn batch_as_row(out: &View<E>) -> bool {
        out.plane.height * out.plane.width == 1
    }

    /// Output rows of a batch.
    pub(super) fn rows(&self, images: usize) -> usize {
        if Self::batch_as_row(&self.out) { 1 } else { images * self.out.plane.height }
    }

    pub(super) fn rows_per_task(&self, images: usize, workers: usize) -> usize {
        let rows = self.rows(images);
        let row_bytes = self.out.plane.width * self.panels[0].blocks * LANES * size_of::<f32>();
        let mut per_task = (OUTPUT_BYTES / row_bytes).clamp(1, rows);
        while per_task > 1 && self.panels.len() * rows.div_ceil(per_task) < TASKS_PER_WORKER * workers {
            per_task = per_task.div_ceil(2);
        }
        per_task
    }

    /// The panel and rows of a task: the tasks of a panel follow each other.
    pub(super) fn task(&self, task: usize, workers: usize, images: usize) -> Task<'_> {
        let per_task = self.rows_per_task(images, workers);
        let tasks_per_panel = self.rows(images).div_ceil(per_task);
        let first = task % tasks_per_panel * per_task;
        let rows = first..(first + per_task).min(self.rows(images));
        let width = if Self::batch_as_row(&self.out) { images } else { self.out.plane.width };
        Task { panel: &self.panels[task / tasks_per_panel], rows, width }
    }

    /// Image and line of a row.
    pub(super) const fn image_and_line(&self, row: usize) -> (usize, usize) {
        (row / self.out.plane.height, row % self.out.plane.height)
    }

    /// The input at a row's first pixel and first tap.
    pub(super) unsafe fn first_tap(&self, x: &FeatureMap<E>, panel: &Panel, row: usize) -> *const E {
        let Shape { stride: [down, _], padding: [top, left], .. } = self.shape;
        let (image, y) = self.image_and_line(row);
        unsafe { x.at(image, self.first_input_block(panel), y * down).sub(top * x.row + left * x.pixel) }
    }

    /// First channel block of the input that a panel's group reads.
    const fn first_input_block(&self, panel: &Panel) -> usize {
        panel.group * (self.shape.inputs / self.shape.groups) / self.x.lanes
    }

    /// Input stride from a pixel of a row to the next.
    pub(super) fn input_stride<T>(&self, x: &FeatureMap<T>) -> usize {
        if Self::batch_as_row(&self.out) { x.image } else { self.shape.stride[1] * x.pixel }
    }

    /// The lanes that an output block uses, if it does not use all.
    pub(super) fn partial_lanes(&self, block: usize) -> Option<&LaneMask> {
        self.last_block_lanes.as_ref().filter(|_| block + 1 == self.out.blocks())
    }

    /// Offset of each K chunk from a pixel's first tap, in the order of the packed weights.
    pub(super) fn k_chunks<T>(&self, x: &FeatureMap<T>) -> Vec<usize> {
        let Shape { kernel: [height, width], dilation: [down, right], .. } = self.shape;
        let chunks_per_row = if right == 1 { 1 } else { width };
        let blocks = (self.shape.inputs / self.shape.groups).div_ceil(self.x.lanes);
        let offset = |block, r, s| block * x.block + r * down * x.row + s * right * x.pixel;
        (0..blocks)
            .flat_map(|b| (0..height).flat_map(move |r| (0..chunks_per_row).map(move |s| offset(b, r, s))))
            .collect()
    }

    /// Epilogue: the other activation over a finished row, in place.
    pub(super) unsafe fn apply_epilogue(&self, task: &Task, out: &FeatureMap<E>, row: usize) {
        let Some(epilogue) = &self.epilogue else { return };
        let (image, y) = self.image_and_line(row);
        let images = if Self::batch_as_row(&self.out) { task.width } else { 1 };
        for block in task.panel.first_block..task.panel.first_block + task.panel.blocks {
            for image in image..image + images {
                // SAFETY: the row is the task's.
                unsafe {
                    let row = out.at(image, block, y);
                    elementwise::apply(self.isa, epilogue, block, row, self.out.plane.width);
                }
            }
        }
    }
}
