//! f32: tiles read the input map, and their sums are the output.

use super::k_loop::Operands;
use super::operator::{Conv, Task};
use crate::element::Element;
use crate::layout::Arena;
use crate::micro_kernel::TileArgs;

impl<E: Element> Conv<E> {
    /// Computes a task of a convolution in f32, which `E` must be.
    pub(super) unsafe fn run_direct(&self, task: &Task, arena: &Arena) {
        let (x, out) = (arena.map(&self.x), arena.map(&self.out));
        let residual = self.residual.as_ref().map(|view| arena.map(view));
        let first_block = task.panel.first_block;
        // SAFETY: the rows and blocks belong to the views, and the halo is as wide as the padding.
        unsafe {
            let operands = Operands {
                k_chunks: self.k_chunks(&x),
                input_stride: self.input_stride(&x),
                input: |row| self.first_tap(&x, task.panel, row).cast(),
                out_pixel_stride: if Self::batch_as_row(&self.out) { out.image } else { out.pixel },
                out_block_stride: out.block,
                sums: |row| {
                    let (image, y) = self.image_and_line(row);
                    out.at(image, first_block, y).cast()
                },
            };
            let epilogue = |row, args: &mut TileArgs| {
                let (image, y) = self.image_and_line(row);
                args.residual =
                    residual.map_or(std::ptr::null(), |map| map.at(image, first_block, y).cast_const().cast());
                args.residual_block_stride = residual.map_or(0, |map| map.block);
                args.clamp = self.clamp;
            };
            self.accumulate(task, &operands, epilogue, |row| self.apply_epilogue(task, &out, row));
        }
    }
}
