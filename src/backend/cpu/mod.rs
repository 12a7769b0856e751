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
mod peak;
mod runner;
#[cfg(test)]
mod tests;

pub use device::Cpu;
pub use graph::Unsupported;
pub use layers::Computed;

use crate::{
    event::Precision,
    model::{
        ElementType, Network,
        capture::{Placeholder, capture_taking},
    },
};
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
    /// Compiles a network of f32 parameters for inputs of those shapes at batch 1, with parameters and maps stored in a
    /// precision. Its parameters are taken, not copied: the largest networks have half a gigabyte of them.
    ///
    /// # Errors
    /// Where the network does what no kernel does, or takes anything but one map of floats.
    pub fn new(network: Box<dyn Network>, inputs: &[Placeholder], precision: Precision) -> Result<Self, Unsupported> {
        Self::for_isa(network, inputs, precision, Isa::detect())
    }

    fn for_isa(
        network: Box<dyn Network>,
        inputs: &[Placeholder],
        precision: Precision,
        isa: Isa,
    ) -> Result<Self, Unsupported> {
        let [(shape, ElementType::Float)] = inputs else {
            return Err(Unsupported(format!("{} inputs, or one that is not of floats", inputs.len())));
        };
        let &[1, _, _, _] = &shape[..] else { return Err(Unsupported(format!("an input of shape {shape:?}"))) };
        let mut unread = None;
        let captured = capture_taking(network, inputs, |value| {
            value.into_data().map_err(|error| unread = Some(error.to_string())).ok()
        });
        let (captured, parameters) = captured.map_err(|error| Unsupported(error.to_string()))?;
        if let Some(error) = unread {
            return Err(Unsupported(format!("a parameter could not be read: {error}")));
        }
        let parameters = parameters.into_iter().filter_map(|(id, data)| Some((id, data?))).collect();
        let graph = graph::read(&captured, parameters)?;
        let nodes = graph.of_operation.clone();
        let plan = match dtype(precision) {
            DType::F32 => compile::plan::<f32>(graph, isa)?,
            DType::F16 => compile::plan::<f16>(graph, isa)?,
            DType::Bf16 => compile::plan::<bf16>(graph, isa)?,
        };
        let computed = Computed::new(&captured, &nodes, &plan.of_step);
        Ok(Self { plan, computed, arena: Mutex::new(None) })
    }

    /// Values of the output of one image.
    pub const fn outputs(&self) -> usize {
        self.plan.width
    }

    /// The layers of one image, and how the plan computes them.
    pub const fn computed(&self) -> &Computed {
        &self.computed
    }

    /// The outputs of images, one after the other: `[n][channels][height][width]` → `[n][outputs]`.
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
        let Plan { steps, layout, image: size, outputs, .. } = &self.plan;
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
        let outputs = outputs(&arena);
        *kept = Some(arena);
        (outputs, watched)
    }
}
