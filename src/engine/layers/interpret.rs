//! Runs a captured network operation by operation on the device that it is on, with Burn's own functions, and times each
//! layer.
//!
//! The network's parameters stay where they are: it is captured with empty tensors of their shapes in their place, and the
//! tensors that the capture created first are, in order, the image and the parameters.

use super::{LayersError, Pass, busy::Busy};
use crate::{
    engine::measure::{self, MeasureError},
    event::{LayerClock, LayerFacts},
    model::{
        Network, Value as Rankless,
        capture::{Captured, Placeholder, capture_sharing},
        cost::{self, Layered, Traffic},
    },
};
use burn::tensor::{
    Device, ProfileOptions, Tensor, TimingMethod, activation, module,
    ops::{AvgPoolOptions, ConvOptions, MaxPoolOptions, PadMode},
};
use burn_ir::{
    ActivationOperationIr as Activation, BaseOperationIr as Base, FloatOperationIr as Float,
    ModuleOperationIr as Burns, NumericOperationIr as Numeric, OperationIr, PadModeIr, ScalarIr, TensorId, TensorIr,
};
use std::{
    collections::HashMap,
    ops::Range,
    time::{Duration, Instant},
};

/// A tensor of a rank that networks of the zoo have.
#[derive(Clone, Debug)]
enum Value {
    One(Tensor<1>),
    Two(Tensor<2>),
    Four(Tensor<4>),
}

/// Does the same for a tensor of any rank.
macro_rules! any {
    ($value:expr, $x:ident => $done:expr) => {
        match $value {
            Value::One($x) => Value::One($done),
            Value::Two($x) => Value::Two($done),
            Value::Four($x) => Value::Four($done),
        }
    };
}

/// Does the same for two tensors of one rank.
macro_rules! both {
    ($values:expr, $op:expr, $a:ident, $b:ident => $done:expr) => {
        match $values {
            (Value::One($a), Value::One($b)) => Value::One($done),
            (Value::Two($a), Value::Two($b)) => Value::Two($done),
            (Value::Four($a), Value::Four($b)) => Value::Four($done),
            _ => return Err(unknown($op)),
        }
    };
}

/// A network that runs layer by layer.
pub(super) struct Interpreter {
    device: Device,
    captured: Captured,
    layered: Layered,
    traffic: Vec<Traffic>,
    /// Operations that run and are timed together, one after the other, and their layer.
    stretches: Vec<(Range<usize>, usize)>,
    /// Parameters, and what is made of parameters alone.
    constants: HashMap<TensorId, Value>,
    /// How often each tensor is read.
    reads: HashMap<TensorId, usize>,
    /// What runs before each layer on a device with a clock.
    busy: Option<Busy>,
    /// The least time in which the host handed each stretch over.
    handing: Vec<Duration>,
}

/// Passes before those that count: the first one compiles, the second one tells how fast the host hands layers over.
pub(super) const WARM_UP: usize = 2;

/// What a pass holds: tensors that are still to be read.
struct Live<'a> {
    interpreter: &'a Interpreter,
    values: HashMap<TensorId, Value>,
    left: HashMap<TensorId, usize>,
}

impl Interpreter {
    /// Captures a network for inputs of those shapes.
    pub(super) fn new(network: &dyn Network, device: &Device, inputs: &[Placeholder]) -> Result<Self, LayersError> {
        let (captured, parameters) = capture_sharing(network, inputs)?;
        let constants = parameters.iter().map(|(id, value)| Ok((*id, ranked(value)?)));
        Self::of(captured, constants.collect::<Result<_, LayersError>>()?, device)
    }

    fn of(captured: Captured, constants: HashMap<TensorId, Value>, device: &Device) -> Result<Self, LayersError> {
        let layered = cost::layered(&captured);
        let part: Vec<usize> = (0..layered.layers.len()).collect();
        let traffic = cost::traffic(&captured, &layered, &part);
        let mut stretches: Vec<(Range<usize>, usize)> = Vec::new();
        for (i, layer) in layered.of_operation.iter().enumerate() {
            match (layer, stretches.last_mut()) {
                (Some(layer), Some((range, last))) if *last == *layer => range.end = i + 1,
                (Some(layer), _) => stretches.push((i..i + 1, *layer)),
                (None, _) => {}
            }
        }
        let mut reads = HashMap::new();
        let computing = || captured.graph.operations.iter().filter(|op| op.outputs().next().is_some());
        computing().flat_map(OperationIr::inputs).for_each(|tensor| *reads.entry(tensor.id).or_insert(0) += 1);
        let handing = vec![Duration::MAX; stretches.len()];
        let (device, busy) = (device.clone(), None);
        let mut made = Self { device, captured, layered, traffic, stretches, constants, reads, busy, handing };
        made.prepare()?;
        Ok(made)
    }

    /// Computes what is made of parameters alone, once and for all.
    fn prepare(&mut self) -> Result<(), LayersError> {
        let mut made = HashMap::new();
        for (op, layer) in self.captured.graph.operations.iter().zip(&self.layered.of_operation) {
            let Some(out) = op.outputs().next() else { continue };
            let ready = |tensor: &TensorIr| self.constants.contains_key(&tensor.id) || made.contains_key(&tensor.id);
            if layer.is_some()
                || self.captured.inputs.contains(&out.id)
                || self.constants.contains_key(&out.id)
                || !op.inputs().all(ready)
            {
                continue;
            }
            let mut live = Live { interpreter: self, values: made, left: HashMap::new() };
            live.step(op)?;
            made = live.values;
        }
        self.constants.extend(made);
        Ok(())
    }

    /// The layers of the batch, each with what it moves.
    pub(super) fn layers(&self) -> impl Iterator<Item = (&LayerFacts, Traffic)> {
        self.layered.layers.iter().zip(self.traffic.iter().copied())
    }

    /// Runs a batch and times its layers.
    pub(super) fn pass(&mut self, inputs: &[Rankless], clock: LayerClock) -> Result<Pass, LayersError> {
        if clock == LayerClock::Device && self.busy.is_none() {
            self.busy = Some(Busy::new(&self.device)?);
        }
        let mut times = vec![Duration::ZERO; self.layered.layers.len()];
        let mut handing = std::mem::take(&mut self.handing);
        let passed = self.run(inputs, clock, &mut times, &mut handing);
        self.handing = handing;
        let (wall, outputs) = passed?;
        Ok(Pass { wall, times, outputs })
    }

    fn run(
        &self,
        inputs: &[Rankless],
        clock: LayerClock,
        times: &mut [Duration],
        handing: &mut [Duration],
    ) -> Result<(Duration, Vec<f64>), LayersError> {
        let outputs = &self.captured.outputs;
        let given = self.captured.inputs.iter().zip(inputs).map(|(id, value)| Ok((*id, ranked(value)?)));
        // The outputs are read once more: here.
        let mut left = self.reads.clone();
        outputs.iter().for_each(|output| *left.entry(*output).or_insert(0) += 1);
        let mut live = Live { interpreter: self, values: given.collect::<Result<_, LayersError>>()?, left };
        let mut profiles = Vec::new();
        self.device.sync().map_err(failed)?;
        let start = Instant::now();
        for ((range, layer), handing) in self.stretches.iter().zip(handing) {
            let operations = &self.captured.graph.operations[range.clone()];
            if clock == LayerClock::Wall {
                let from = Instant::now();
                operations.iter().try_for_each(|op| live.step(op))?;
                self.device.sync().map_err(failed)?;
                times[*layer] += from.elapsed();
                continue;
            }
            if let Some(busy) = self.busy.as_ref().filter(|_| *handing < Duration::MAX) {
                // Twice the best time so far, since this time may be a worse one.
                busy.keep(&self.device, 2 * *handing)?;
            }
            let from = Instant::now();
            let run = || operations.iter().try_for_each(|op| live.step(op));
            let (done, profile) = self.device.profile_with(ProfileOptions::default().flush(), run).map_err(failed)?;
            *handing = from.elapsed().min(*handing);
            done?;
            profiles.push((*layer, profile));
        }
        let computed = outputs.iter().map(|output| live.values.remove(output).map(Rankless::from));
        let missing = || LayersError::Operation("one that gives an output, which was not run".to_owned());
        let computed = computed.collect::<Option<Vec<_>>>().ok_or_else(missing)?;
        let read = measure::first(&computed);
        self.device.sync().map_err(failed)?;
        let wall = start.elapsed();
        read?;
        for (layer, profile) in profiles {
            if profile.timing_method() != TimingMethod::Device {
                return Err(LayersError::Operation("what the device's clock does not time".to_owned()));
            }
            times[layer] += pollster::block_on(profile.resolve()).map_or(Duration::ZERO, |ticks| ticks.duration());
        }
        Ok((wall, measure::values(computed)?))
    }
}

fn failed(error: impl std::fmt::Display) -> LayersError {
    MeasureError::from_text(&error.to_string()).into()
}

impl Live<'_> {
    /// A tensor: the thing itself where nobody reads it later, so that an operation may write over it.
    fn take(&mut self, tensor: &TensorIr) -> Result<Value, LayersError> {
        let missing =
            || LayersError::Operation(format!("one that reads what nothing wrote, of shape {:?}", tensor.shape));
        if let Some(constant) = self.interpreter.constants.get(&tensor.id) {
            return Ok(constant.clone());
        }
        let last = self.left.get_mut(&tensor.id).is_some_and(|left| {
            *left = left.saturating_sub(1);
            *left == 0
        });
        if last { self.values.remove(&tensor.id) } else { self.values.get(&tensor.id).cloned() }.ok_or_else(missing)
    }

    fn map(&mut self, tensor: &TensorIr, op: &OperationIr) -> Result<Tensor<4>, LayersError> {
        match self.take(tensor)? {
            Value::Four(map) => Ok(map),
            _ => Err(unknown(op)),
        }
    }

    fn matrix(&mut self, tensor: &TensorIr, op: &OperationIr) -> Result<Tensor<2>, LayersError> {
        match self.take(tensor)? {
            Value::Two(matrix) => Ok(matrix),
            _ => Err(unknown(op)),
        }
    }

    fn vector(&mut self, tensor: &TensorIr, op: &OperationIr) -> Result<Tensor<1>, LayersError> {
        match self.take(tensor)? {
            Value::One(vector) => Ok(vector),
            _ => Err(unknown(op)),
        }
    }

    fn optional(&mut self, tensor: Option<&TensorIr>, op: &OperationIr) -> Result<Option<Tensor<1>>, LayersError> {
        tensor.map(|tensor| self.vector(tensor, op)).transpose()
    }

    /// Does one operation.
    fn step(&mut self, op: &OperationIr) -> Result<(), LayersError> {
        let Some(out) = op.outputs().next() else { return Ok(()) };
        let value = match op {
            OperationIr::Module(inner) => self.module(inner, op)?,
            OperationIr::Activation(inner) => self.activation(inner, op)?,
            OperationIr::NumericFloat(_, inner) => self.numeric(inner, op)?,
            OperationIr::Float(_, Float::Matmul(m)) => {
                Value::Two(self.matrix(&m.lhs, op)?.matmul(self.matrix(&m.rhs, op)?))
            }
            OperationIr::Float(_, Float::Sqrt(u)) => any!(self.take(&u.input)?, x => x.sqrt()),
            OperationIr::BaseFloat(inner) => self.base(inner, op)?,
            _ => return Err(unknown(op)),
        };
        self.values.insert(out.id, value);
        Ok(())
    }

    fn module(&mut self, inner: &Burns, op: &OperationIr) -> Result<Value, LayersError> {
        Ok(match inner {
            Burns::Conv2d(c) => {
                let (x, weight) = (self.map(&c.x, op)?, self.map(&c.weight, op)?);
                let bias = self.optional(c.bias.as_ref(), op)?;
                let o = &c.options;
                let options = ConvOptions::new_with_padding(o.stride, o.padding, o.dilation, o.groups);
                Value::Four(module::conv2d(x, weight, bias, options))
            }
            Burns::Linear(l) => {
                let (x, weight) = (self.matrix(&l.x, op)?, self.matrix(&l.weight, op)?);
                Value::Two(module::linear(x, weight, self.optional(l.bias.as_ref(), op)?))
            }
            Burns::BatchNorm(n) => {
                let (gamma, beta) = (self.vector(&n.gamma, op)?, self.vector(&n.beta, op)?);
                let (mean, variance) = (self.vector(&n.mean, op)?, self.vector(&n.variance, op)?);
                let epsilon = number(n.epsilon);
                any!(self.take(&n.x)?, x => module::batch_norm(x, gamma, beta, mean, variance, epsilon))
            }
            Burns::MaxPool2d(p) => {
                let options = MaxPoolOptions::new(p.kernel_size).with_stride(p.stride).with_padding(p.padding);
                let options = options.with_dilation(p.dilation).with_ceil_mode(p.ceil_mode);
                Value::Four(module::max_pool2d(self.map(&p.x, op)?, options))
            }
            // Its indices are for training: nobody reads them here.
            Burns::MaxPool2dWithIndices(p) => {
                let options = MaxPoolOptions::new(p.kernel_size).with_stride(p.stride).with_padding(p.padding);
                let options = options.with_dilation(p.dilation).with_ceil_mode(p.ceil_mode);
                Value::Four(module::max_pool2d(self.map(&p.x, op)?, options))
            }
            Burns::AvgPool2d(p) => {
                let options = AvgPoolOptions::new(p.kernel_size).with_stride(p.stride).with_padding(p.padding);
                let options = options.with_count_include_pad(p.count_include_pad).with_ceil_mode(p.ceil_mode);
                Value::Four(module::avg_pool2d(self.map(&p.x, op)?, options))
            }
            Burns::AdaptiveAvgPool2d(p) => Value::Four(module::adaptive_avg_pool2d(self.map(&p.x, op)?, p.output_size)),
            _ => return Err(unknown(op)),
        })
    }

    fn activation(&mut self, inner: &Activation, op: &OperationIr) -> Result<Value, LayersError> {
        Ok(match inner {
            Activation::Relu(u) => any!(self.take(&u.input)?, x => activation::relu(x)),
            Activation::Sigmoid(u) => any!(self.take(&u.input)?, x => activation::sigmoid(x)),
            Activation::HardSigmoid(h) => {
                any!(self.take(&h.tensor)?, x => activation::hard_sigmoid(x, number(h.alpha), number(h.beta)))
            }
            Activation::Gelu(u) => any!(self.take(&u.input)?, x => activation::gelu(x)),
            Activation::Softmax(s) => any!(self.take(&s.input)?, x => activation::softmax(x, s.axis)),
            Activation::LeakyRelu(s) => any!(self.take(&s.lhs)?, x => activation::leaky_relu(x, number(s.rhs))),
            Activation::PRelu(b) => {
                // The slopes were given the map's rank on the way to the operation; the function takes a vector.
                let slopes = match self.take(&b.rhs)? {
                    Value::One(slopes) => slopes,
                    Value::Two(slopes) => slopes.flatten(0, 1),
                    Value::Four(slopes) => slopes.flatten(0, 3),
                };
                any!(self.take(&b.lhs)?, x => activation::prelu(x, slopes))
            }
            _ => return Err(unknown(op)),
        })
    }

    fn numeric(&mut self, inner: &Numeric, op: &OperationIr) -> Result<Value, LayersError> {
        Ok(match inner {
            Numeric::Clamp(c) => any!(self.take(&c.tensor)?, x => x.clamp(number(c.min), number(c.max))),
            Numeric::ClampMin(s) => any!(self.take(&s.lhs)?, x => x.clamp_min(number(s.rhs))),
            Numeric::Add(b) => both!((self.take(&b.lhs)?, self.take(&b.rhs)?), op, x, y => x + y),
            Numeric::Mul(b) => both!((self.take(&b.lhs)?, self.take(&b.rhs)?), op, x, y => x * y),
            Numeric::Div(b) => both!((self.take(&b.lhs)?, self.take(&b.rhs)?), op, x, y => x / y),
            Numeric::AddScalar(s) => any!(self.take(&s.lhs)?, x => x.add_scalar(number(s.rhs))),
            Numeric::MulScalar(s) => any!(self.take(&s.lhs)?, x => x.mul_scalar(number(s.rhs))),
            Numeric::MeanDim(r) => any!(self.take(&r.input)?, x => x.mean_dim(r.axis)),
            Numeric::Pad(p) => {
                let (Ok(padding), PadModeIr::Constant(value)) = (<[_; 4]>::try_from(p.padding.as_slice()), &p.mode)
                else {
                    return Err(unknown(op));
                };
                Value::Four(self.map(&p.input, op)?.pad(padding, PadMode::Constant(number(*value) as f32)))
            }
            _ => return Err(unknown(op)),
        })
    }

    fn base(&mut self, inner: &Base, op: &OperationIr) -> Result<Value, LayersError> {
        Ok(match inner {
            Base::Reshape(r) => {
                let value = self.take(&r.input)?;
                match r.out.shape.to_vec()[..] {
                    [a] => Value::One(reshaped(value, [a])),
                    [a, b] => Value::Two(reshaped(value, [a, b])),
                    [a, b, c, d] => Value::Four(reshaped(value, [a, b, c, d])),
                    _ => return Err(unknown(op)),
                }
            }
            Base::SwapDims(s) => any!(self.take(&s.input)?, x => x.swap_dims(s.dim1, s.dim2)),
            Base::Cat(c) => {
                let parts = c.tensors.iter().map(|part| self.map(part, op)).collect::<Result<Vec<_>, _>>()?;
                Value::Four(Tensor::cat(parts, c.dim))
            }
            _ => return Err(unknown(op)),
        })
    }
}

fn reshaped<const D: usize>(value: Value, shape: [usize; D]) -> Tensor<D> {
    match value {
        Value::One(x) => x.reshape(shape),
        Value::Two(x) => x.reshape(shape),
        Value::Four(x) => x.reshape(shape),
    }
}

fn unknown(op: &OperationIr) -> LayersError {
    LayersError::Operation(format!("{op:?}").chars().take(160).collect())
}

fn number(scalar: ScalarIr) -> f64 {
    scalar.elem::<f64>()
}

/// A tensor with its rank in its type.
fn ranked(value: &Rankless) -> Result<Value, LayersError> {
    match (value.shape().len(), value.dtype().is_float()) {
        (1, true) => Ok(Value::One(value.tensor())),
        (2, true) => Ok(Value::Two(value.tensor())),
        (4, true) => Ok(Value::Four(value.tensor())),
        _ => Err(LayersError::Operation(format!("one on a {:?} of shape {:?}", value.dtype(), value.shape()))),
    }
}

impl From<Value> for Rankless {
    fn from(value: Value) -> Self {
        match value {
            Value::One(x) => x.into(),
            Value::Two(x) => x.into(),
            Value::Four(x) => x.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{ElementType, capture::capture};
    use burn::tensor::Float;

    #[test]
    fn an_operation_that_is_not_known_is_named() {
        let captured = capture(&[(vec![1, 3, 4, 4], ElementType::Float)], |_, inputs| {
            vec![activation::relu(inputs[0].tensor::<4, Float>()).exp().into()]
        });
        let device = Device::flex();
        let mut interpreter = Interpreter::of(captured.unwrap(), HashMap::new(), &device).unwrap();
        let ones = Tensor::<4>::ones([1, 3, 4, 4], &device).into();
        let error = interpreter.pass(&[ones], LayerClock::Wall).err().unwrap().to_string();
        assert!(error.starts_with("an operation that can't be run by itself: ") && error.contains("Exp"), "{error}");
    }
}
