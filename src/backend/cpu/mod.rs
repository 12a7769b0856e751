//! Networks on the CPU, at the processor's pace.
//!
//! Burn says what a network computes: its operations are captured, with the parameters' values, and compiled to a plan of
//! our own kernels, which run on feature maps in blocks of 16 channels (a vector register, or two) with weights packed in
//! the order of their use. Batch norms, residuals and activations are done while a sum is still in registers. Values are
//! stored as f32, f16 or bf16, and summed in f32 whatever they are. The plan is for what the zoo is made of; anything else says
//! [`Unsupported`] and runs on Burn's own CPU backend.

mod compile;
mod device;
mod graph;
mod layers;
#[cfg(test)]
mod tests;

pub use device::Cpu;
pub use graph::Unsupported;
pub use layers::Computed;

use crate::{event::Precision, model::zoo::Network};
use burn::module::{Module, ModuleMapper, Param};
use burn::tensor::{Device, Tensor, TensorData};
use compile::Plan;
use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};
use wattscope_kernels::{
    element::{DType, bf16, f16},
    executor,
    isa::Isa,
    layout::Arena,
    step::Step,
};

/// How values are stored in a precision.
pub const fn dtype(precision: Precision) -> DType {
    match precision {
        Precision::F32 | Precision::Tf32 => DType::F32,
        Precision::F16 => DType::F16,
        Precision::Bf16 => DType::Bf16,
    }
}

/// A network compiled for this processor.
pub struct Compiled {
    plan: Plan,
    computed: Computed,
    /// Kept for the next batch of the same size.
    arena: Mutex<Option<Arena>>,
}

impl std::fmt::Debug for Compiled {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Compiled").field("steps", &self.plan.steps.len()).finish_non_exhaustive()
    }
}

impl Compiled {
    /// Compiles a network of f32 parameters for images of `px` × `px`, with parameters and maps stored in a precision. Its
    /// parameters are taken, not copied: the largest networks have half a gigabyte of them.
    ///
    /// # Errors
    /// Where the network does what no kernel does.
    pub fn new(network: Network, px: usize, precision: Precision) -> Result<Self, Unsupported> {
        Self::for_isa(network, px, precision, Isa::detect())
    }

    fn for_isa(network: Network, px: usize, precision: Precision, isa: Isa) -> Result<Self, Unsupported> {
        let device = Device::capture();
        let mut taken = Vec::new();
        let captured = device.capture_scope(|scope| {
            // The first operations of the scope: that is how their ids are known below. `empty` allocates nothing here.
            let image = Tensor::empty([1, 3, px, px], &device);
            let mut take = Take { device: &device, values: Vec::new() };
            let empty = network.map(&mut take);
            taken = take.values;
            let output = empty.forward(image);
            let complete = scope.complete([], []);
            drop(output);
            complete
        });
        let captured = captured.map_err(|error| Unsupported(error.to_string()))?;
        let mut ids = captured.graph.operations.iter().filter_map(|op| op.outputs().next()).map(|out| out.id);
        let image = ids.next().ok_or_else(|| Unsupported("it is empty".into()))?;
        let graph = graph::read(&captured.graph, ids.zip(taken).collect(), image)?;
        let nodes = graph.of_operation.clone();
        let plan = match dtype(precision) {
            DType::F32 => compile::plan::<f32>(graph, isa)?,
            DType::F16 => compile::plan::<f16>(graph, isa)?,
            DType::Bf16 => compile::plan::<bf16>(graph, isa)?,
        };
        let computed = Computed::new(&captured.graph, image, &nodes, &plan.of_step);
        Ok(Self { plan, computed, arena: Mutex::new(None) })
    }

    /// The layers of one image, and how the plan computes them.
    pub const fn computed(&self) -> &Computed {
        &self.computed
    }

    /// Logits of images, `[n][3][px][px]` → `[n][1000]`.
    ///
    /// # Panics
    /// If `images` are not whole images.
    pub fn forward(&self, images: &[f32]) -> Vec<f32> {
        self.pass(images, executor::run).0
    }

    /// The same, and the time that each step took: its layer is in [`Computed::of_step`].
    ///
    /// # Panics
    /// If `images` are not whole images.
    pub fn timed(&self, images: &[f32]) -> (Vec<f32>, Vec<Duration>) {
        self.pass(images, executor::run_timed)
    }

    fn pass<T>(&self, images: &[f32], run: impl FnOnce(&[Box<dyn Step>], &Arena) -> T) -> (Vec<f32>, T) {
        let Plan { steps, layout, image: size, logits, .. } = &self.plan;
        assert!(!images.is_empty() && images.len().is_multiple_of(*size), "{} values are no images", images.len());
        let count = images.len() / size;
        let mut kept = self.arena.lock().unwrap_or_else(PoisonError::into_inner);
        let mut arena = match kept.take() {
            Some(arena) if arena.images == count => arena,
            old => {
                drop(old);
                Arena::new(count, layout)
            }
        };
        arena.set_input(images);
        let watched = run(steps, &arena);
        let logits = logits(&arena);
        *kept = Some(arena);
        (logits, watched)
    }
}

/// Takes the values out of a network's parameters and leaves places for them on a device, in one order.
struct Take<'a> {
    device: &'a Device,
    values: Vec<TensorData>,
}

impl ModuleMapper for Take<'_> {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        param.map(|tensor| {
            let shape = tensor.dims();
            self.values.push(tensor.into_data());
            Tensor::empty(shape, self.device)
        })
    }
}
