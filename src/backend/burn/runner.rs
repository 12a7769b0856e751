//! A model that Burn runs.

use super::{executor::Executor, graph, layers::Layers};
use crate::{
    backend::{
        error::{LayersError, RunError},
        interface::{Device, Input, LayerRunner, Replay, Runner},
    },
    event::Precision,
    model::{Model, Network, Value, network::cast},
};
use burn::tensor::FloatDType;
use std::{marker::PhantomData, sync::Arc};

/// A network on a device of the backend `B`, parameters and statistics stored in a precision.
pub struct BurnRunner<B> {
    device: Arc<dyn Device>,
    network: Arc<dyn Network>,
    model: Model,
    float: FloatDType,
    backend: PhantomData<fn() -> B>,
}

impl<B: Executor> BurnRunner<B> {
    /// Casts a network that was built on a device.
    pub fn new(device: Arc<dyn Device>, model: &Model, precision: Precision, network: Box<dyn Network>) -> Self {
        let float = dtype(precision);
        let network = cast(network, float).into();
        Self { device, network, model: model.clone(), float, backend: PhantomData }
    }
}

impl<B: Executor> Runner for BurnRunner<B> {
    fn input(&self, values: Vec<Value>) -> Result<Input, RunError> {
        Ok(Input::Device(values.into_iter().map(|value| value.cast(self.float)).collect()))
    }

    fn forward(&self, input: &Input) -> Result<Vec<Value>, RunError> {
        Ok(self.network.forward(input.on_device()?))
    }

    fn capture(&self, input: &Input) -> Result<Box<dyn Replay>, String> {
        let values = input.on_device().map_err(|error| error.to_string())?;
        Ok(Box::new(graph::capture(self.device.tensors(), &self.network, values)?))
    }

    fn layers(&self, batch: u32) -> Result<Box<dyn LayerRunner + '_>, LayersError> {
        let inputs = self.model.placeholders(batch as usize);
        Ok(Box::new(Layers::<B>::new(self.device.clone(), &*self.network, &inputs, self.float)?))
    }
}

/// The float in which a precision is stored.
pub const fn dtype(precision: Precision) -> FloatDType {
    match precision {
        Precision::F32 | Precision::Tf32 => FloatDType::F32,
        Precision::F16 => FloatDType::F16,
        Precision::Bf16 => FloatDType::BF16,
    }
}
