//! A network: a structure with parameters on a device, ready to run.
//!
//! [`Network`] is what the rest of the program sees, whatever a network is made of. A network written as a Burn module
//! implements [`BurnNetwork`] instead, one method, and gets the rest.

use super::{
    fold::{Fold, FoldError},
    parameter::{Parameter, Path},
    value::Value,
};
use burn::{
    module::{Module, ModuleMapper, ModuleVisitor, Param},
    tensor::{Device, FloatDType, Tensor, TensorData},
};
use std::fmt;

/// A network on a device.
///
/// Parameters may be lazy: a structure that was just built holds none until something reads them.
pub trait Network: fmt::Debug + Send + Sync {
    /// Runs a batch: the model's inputs in its order give its outputs in theirs. Waits for nothing.
    ///
    /// # Panics
    /// If the inputs are not of the number, rank and element type that the model takes.
    fn forward(&self, inputs: &[Value]) -> Vec<Value>;

    /// Folds batch norms into the layers before them wherever that is exact: in double precision, and before parameters are
    /// cast to half. What the network computes stays the same but for rounding.
    ///
    /// # Errors
    /// Where the device does not give a parameter back.
    fn fold(&mut self) -> Result<(), FoldError>;

    /// Shows each parameter, in the order of the network's PyTorch state dict, with a function that reads its value. What
    /// was lazy is initialised where that is called.
    fn visit(&self, visitor: &mut dyn FnMut(&Parameter, &dyn Fn() -> Value));

    /// Gives parameters the values that `values` has for them, in the shapes that the network holds, on the device of each.
    /// A parameter without a value is left as it is. No lazy parameter is initialised.
    fn fill(self: Box<Self>, values: &mut dyn FnMut(&Parameter) -> Option<TensorData>) -> Box<dyn Network>;

    /// Puts another tensor of the same rank in the place of each parameter, in the order of [`Self::visit`].
    fn map(self: Box<Self>, change: &mut dyn FnMut(Value) -> Value) -> Box<dyn Network>;

    /// A second network with the same parameters, of which nothing is copied. Both share the cells of batch norms' statistics
    /// (Burn's `RunningState`): a caller that puts other tensors into one of them has to put the old ones back.
    fn share(&self) -> Box<dyn Network>;
}

impl dyn Network + '_ {
    /// Its parameters, in the order of its PyTorch state dict.
    pub fn parameters(&self) -> Vec<Parameter> {
        let mut all = Vec::new();
        self.visit(&mut |parameter, _| all.push(parameter.clone()));
        all
    }

    /// Number of learned values: a batch norm's statistics are none.
    pub fn learned(&self) -> u64 {
        let learned = self.parameters().into_iter().filter(|parameter| parameter.role.is_learned());
        learned.map(|parameter| parameter.shape.iter().map(|n| *n as u64).product::<u64>()).sum()
    }
}

/// The network with parameters and statistics stored as a float.
pub fn cast(network: Box<dyn Network>, to: FloatDType) -> Box<dyn Network> {
    network.map(&mut |value| value.cast(to))
}

/// The network with its batch norms folded, see [`Network::fold`].
///
/// # Errors
/// Where the device does not give a parameter back.
pub fn folded(mut network: Box<dyn Network>) -> Result<Box<dyn Network>, FoldError> {
    network.fold()?;
    Ok(network)
}

/// A network written as a Burn module.
pub trait BurnNetwork: Module + Fold + Sync + 'static {
    /// Runs a batch, see [`Network::forward`].
    fn run(&self, inputs: &[Value]) -> Vec<Value>;
}

impl<M: BurnNetwork> Network for M {
    fn forward(&self, inputs: &[Value]) -> Vec<Value> {
        self.run(inputs)
    }

    fn fold(&mut self) -> Result<(), FoldError> {
        Fold::fold(self)
    }

    fn visit(&self, visitor: &mut dyn FnMut(&Parameter, &dyn Fn() -> Value)) {
        Module::visit(self, &mut Visitor { path: Path::default(), visitor });
    }

    fn fill(self: Box<Self>, values: &mut dyn FnMut(&Parameter) -> Option<TensorData>) -> Box<dyn Network> {
        Box::new(Module::map(*self, &mut Filler { path: Path::default(), values }))
    }

    fn map(self: Box<Self>, change: &mut dyn FnMut(Value) -> Value) -> Box<dyn Network> {
        Box::new(Module::map(*self, &mut Changer { change }))
    }

    fn share(&self) -> Box<dyn Network> {
        Box::new(self.clone())
    }
}

struct Visitor<'a> {
    path: Path,
    visitor: &'a mut dyn FnMut(&Parameter, &dyn Fn() -> Value),
}

impl ModuleVisitor for Visitor<'_> {
    fn enter_module(&mut self, name: &str, container: &str) {
        self.path.enter(name, container);
    }

    fn exit_module(&mut self, _: &str, _: &str) {
        self.path.exit();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let parameter = self.path.parameter(param.id, param.lazy_shape().to_vec());
        (self.visitor)(&parameter, &|| param.val().into());
    }
}

struct Filler<'a> {
    path: Path,
    values: &'a mut dyn FnMut(&Parameter) -> Option<TensorData>,
}

impl ModuleMapper for Filler<'_> {
    fn enter_module(&mut self, name: &str, container: &str) {
        self.path.enter(name, container);
    }

    fn exit_module(&mut self, _: &str, _: &str) {
        self.path.exit();
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let parameter = self.path.parameter(param.id, param.lazy_shape().to_vec());
        let device: Device = param.lazy_device();
        (self.values)(&parameter).map_or(param, |data| Param::from_data(data, &device))
    }
}

struct Changer<'a> {
    change: &'a mut dyn FnMut(Value) -> Value,
}

impl ModuleMapper for Changer<'_> {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        param.map(|tensor| (self.change)(tensor.into()).tensor())
    }
}
