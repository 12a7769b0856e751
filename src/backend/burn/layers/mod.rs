//! Runs a captured network operation by operation on its own device, and times each layer.
//!
//! Burn's [`TensorInterpreter`] executes the operations. The network's parameters stay where they are: it is captured with empty
//! tensors of their shapes in their place, and the interpreter is given the parameters under the ids of those.

use super::{busy::Busy, executor::Executor, lifetimes};
use crate::{
    backend::{
        error::{LayersError, RunError},
        interface::{Device, Input, LayerPass, LayerRunner},
        outputs,
    },
    event::{LayerClock, LayerTime},
    model::{
        ElementType, Network, Value,
        capture::{Captured, Placeholder, capture_sharing},
        cost::{self, Layered, Traffic},
    },
};
use burn::tensor::{DType, FloatDType};
use burn_ir::{HandleKind, OperationIr, TensorId, TensorIr, TensorStatus};
use burn_router::TensorInterpreter;
use std::{
    collections::HashSet,
    sync::Arc,
    time::{Duration, Instant},
};

/// Passes before those that count: the first one compiles, the second one tells how fast the host hands layers over.
const WARM_UP: usize = 2;

/// A network that runs layer by layer.
pub struct Layers<B: Executor> {
    device: Arc<dyn Device>,
    interpreter: TensorInterpreter<B>,
    inputs: Vec<TensorId>,
    outputs: Vec<TensorIr>,
    layered: Layered,
    traffic: Vec<Traffic>,
    stretches: Vec<Stretch>,
    /// What runs before each layer on a device with a clock.
    busy: Option<Busy>,
}

/// Operations of one layer that run and are timed together, one after the other.
struct Stretch {
    layer: usize,
    operations: Vec<OperationIr>,
    /// The least time in which the host handed it over.
    handing: Duration,
}

impl<B: Executor> Layers<B> {
    /// Captures a network, whose parameters are stored as `float`, for inputs of those shapes.
    ///
    /// # Errors
    /// Where it can't be captured, or does something that can't be run by itself.
    pub fn new(
        device: Arc<dyn Device>,
        network: &dyn Network,
        inputs: &[Placeholder],
        float: FloatDType,
    ) -> Result<Self, LayersError> {
        let (captured, parameters) = capture_sharing(network, inputs)?;
        Self::of(device, captured, parameters, float.into())
    }

    fn of(
        device: Arc<dyn Device>,
        mut captured: Captured,
        parameters: Vec<(TensorId, Value)>,
        float: DType,
    ) -> Result<Self, LayersError> {
        known(&captured.graph.operations)?;
        let layered = cost::layered(&captured);
        let each: Vec<usize> = (0..layered.layers.len()).collect();
        let traffic = cost::traffic(&captured, &layered, &each);
        let operations = std::mem::take(&mut captured.graph.operations);
        let operations: Vec<_> = operations.into_iter().map(|op| lifetimes::store(op, float)).collect();
        let written = |id: &TensorId| operations.iter().flat_map(OperationIr::outputs).find(|out| out.id == *id);
        let taken = |out: &TensorIr| TensorIr { status: TensorStatus::ReadWrite, ..out.clone() };
        let outputs: Vec<_> = captured.outputs.iter().filter_map(written).map(taken).collect();

        let mut interpreter = TensorInterpreter::<B>::new(executing::<B>(&*device)?);
        let mut constants: HashSet<TensorId> = parameters.iter().map(|(id, _)| *id).collect();
        for (id, value) in parameters {
            interpreter.register_tensor_to_device(id, own(value)?);
        }
        let (once, each_pass) = parted(operations, &layered, &captured.inputs, &mut constants);
        lifetimes::mark(once, &constants).into_iter().for_each(|(_, operation)| interpreter.register_op(operation));
        let kept = constants.into_iter().chain(outputs.iter().map(|out| out.id)).collect();
        let stretches = stretches(lifetimes::mark(each_pass, &kept));
        let inputs = captured.inputs;
        Ok(Self { device, interpreter, inputs, outputs, layered, traffic, stretches, busy: None })
    }

    /// Runs every stretch; gives the outputs and each layer's time.
    fn run(&mut self, clock: LayerClock) -> Result<(Duration, Vec<Value>, Vec<Duration>), LayersError> {
        // Copied before the clock starts: the interpreter takes operations and does not borrow them.
        let operations: Vec<_> = self.stretches.iter().map(|stretch| stretch.operations.clone()).collect();
        let mut times = vec![Duration::ZERO; self.layered.layers.len()];
        let mut readings = Vec::new();
        self.device.sync()?;
        let start = Instant::now();
        for (stretch, operations) in self.stretches.iter_mut().zip(operations) {
            let interpreter = &mut self.interpreter;
            let mut operations = operations.into_iter();
            let mut work = || operations.by_ref().for_each(|operation| interpreter.register_op(operation));
            if clock == LayerClock::Wall {
                let from = Instant::now();
                work();
                self.device.sync()?;
                times[stretch.layer] += from.elapsed();
                continue;
            }
            if let Some(busy) = self.busy.as_ref().filter(|_| stretch.handing < Duration::MAX) {
                // Twice the best time so far, since this time may be a worse one.
                busy.keep(&*self.device, 2 * stretch.handing)?;
            }
            let from = Instant::now();
            let reading = self.device.clocked(&mut work)?;
            stretch.handing = from.elapsed().min(stretch.handing);
            readings.push((stretch.layer, reading));
        }
        let computed: Option<Vec<_>> =
            self.outputs.iter().map(|out| B::into_value(self.interpreter.get_tensor(out))).collect();
        let computed =
            computed.ok_or_else(|| LayersError::Operation("one that gives a quantized output".to_owned()))?;
        let read = outputs::first(&computed);
        self.device.sync()?;
        let wall = start.elapsed();
        read?;
        for (layer, reading) in readings {
            let untimed = || LayersError::Operation("what the device's clock does not time".to_owned());
            times[layer] += reading.read().ok_or_else(untimed)?;
        }
        Ok((wall, computed, times))
    }
}

impl<B: Executor> LayerRunner for Layers<B> {
    fn clock(&self) -> LayerClock {
        if self.device.traits().own_clock { LayerClock::Device } else { LayerClock::Wall }
    }

    fn warm_up(&self) -> usize {
        WARM_UP
    }

    fn layers(&self, width: u64) -> Vec<LayerTime> {
        let all = self.layered.layers.iter().zip(&self.traffic);
        // Captured with the whole batch: once is all.
        all.map(|(facts, traffic)| outputs::layer(facts, *traffic, 1, width)).collect()
    }

    fn pass(&mut self, input: &Input) -> Result<LayerPass, LayersError> {
        let clock = self.clock();
        if clock == LayerClock::Device && self.busy.is_none() {
            self.busy = Some(Busy::new(&*self.device)?);
        }
        for (id, value) in self.inputs.iter().zip(input.on_device()?) {
            self.interpreter.register_tensor_to_device(*id, own(value.clone())?);
        }
        let (wall, computed, times) = self.run(clock)?;
        Ok(LayerPass { wall, times, outputs: outputs::values(computed)? })
    }
}

/// A value as the backend's own tensor.
fn own<B: Executor>(value: Value) -> Result<HandleKind<B>, RunError> {
    B::of_value(value).ok_or_else(|| RunError::Device("a tensor of another backend".to_owned()))
}

/// The device as the backend knows it.
fn executing<B: Executor>(device: &dyn Device) -> Result<B::Device, RunError> {
    let tensor = own::<B>(Value::empty(&[1], ElementType::Float, device.tensors()))?;
    B::device(&tensor).ok_or_else(|| RunError::Device("a device without tensors".to_owned()))
}

/// Checks that the interpreter executes every operation: it does all but those of extensions and of several devices.
fn known(operations: &[OperationIr]) -> Result<(), LayersError> {
    let other = |op: &&OperationIr| matches!(op, OperationIr::Custom(_) | OperationIr::Distributed(_));
    match operations.iter().find(other) {
        Some(op) => Err(LayersError::Operation(format!("{op:?}").chars().take(160).collect())),
        None => Ok(()),
    }
}

/// An operation with the layer that it belongs to; none before the first pass.
type OfLayer = (Option<usize>, OperationIr);

/// Parts what is made of parameters alone, once and for all, from what runs in each pass, and adds the former's outputs to the
/// constants. What creates inputs and parameters is neither.
fn parted(
    operations: Vec<OperationIr>,
    layered: &Layered,
    inputs: &[TensorId],
    constants: &mut HashSet<TensorId>,
) -> (Vec<OfLayer>, Vec<OfLayer>) {
    let (mut once, mut each_pass) = (Vec::new(), Vec::new());
    for (operation, layer) in operations.into_iter().zip(&layered.of_operation) {
        let Some(out) = operation.outputs().next() else { continue };
        let given =
            inputs.contains(&out.id) || constants.contains(&out.id) || matches!(operation, OperationIr::Init(_));
        if layer.is_some() {
            each_pass.push((*layer, operation));
        } else if !given && operation.inputs().all(|tensor| constants.contains(&tensor.id)) {
            constants.extend(operation.outputs().map(|out| out.id));
            once.push((None, operation));
        }
    }
    (once, each_pass)
}

/// Joins neighbours of the same layer.
fn stretches(operations: Vec<OfLayer>) -> Vec<Stretch> {
    let mut stretches: Vec<Stretch> = Vec::new();
    for (layer, operation) in operations.into_iter().filter_map(|(layer, operation)| Some((layer?, operation))) {
        match stretches.last_mut() {
            Some(last) if last.layer == layer => last.operations.push(operation),
            _ => stretches.push(Stretch { layer, operations: vec![operation], handing: Duration::MAX }),
        }
    }
    stretches
}

#[cfg(test)]
mod tests;
