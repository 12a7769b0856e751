//! The backends of Burn on which captured operations can be executed one by one.

use crate::model::Value;
use burn_backend::TensorMetadata;
use burn_dispatch::{BackendTensor, DispatchKindConversion, DispatchTensor};
use burn_ir::{BackendIr, HandleKind};

/// A backend of Burn that executes captured operations, with its tensors as values and back.
pub trait Executor: BackendIr {
    /// A value's own tensor; none where the value is another backend's.
    fn of_value(value: Value) -> Option<HandleKind<Self>>;

    /// A tensor as a value; none of a quantized one.
    fn into_value(tensor: HandleKind<Self>) -> Option<Value>;

    /// The device that a tensor is on; none of a quantized one.
    fn device(tensor: &HandleKind<Self>) -> Option<Self::Device>;
}

impl<B> Executor for B
where
    B: BackendIr,
    DispatchTensor: DispatchKindConversion<B>,
{
    fn of_value(value: Value) -> Option<HandleKind<B>> {
        let tensor = <DispatchTensor as DispatchKindConversion<B>>::try_into_backend(value.into_dispatch()).ok()?;
        match tensor {
            BackendTensor::Float(tensor) => Some(HandleKind::Float(tensor)),
            BackendTensor::Int(tensor) => Some(HandleKind::Int(tensor)),
            BackendTensor::Bool(tensor) => Some(HandleKind::Bool(tensor)),
            BackendTensor::Quantized(_) => None,
        }
    }

    fn into_value(tensor: HandleKind<B>) -> Option<Value> {
        let tensor = match tensor {
            HandleKind::Float(tensor) => BackendTensor::Float(tensor),
            HandleKind::Int(tensor) => BackendTensor::Int(tensor),
            HandleKind::Bool(tensor) => BackendTensor::Bool(tensor),
            HandleKind::Quantized(_) => return None,
        };
        Some(Value::from_dispatch(<DispatchTensor as DispatchKindConversion<B>>::from_backend(tensor)))
    }

    fn device(tensor: &HandleKind<B>) -> Option<B::Device> {
        match tensor {
            HandleKind::Float(tensor) => Some(tensor.device()),
            HandleKind::Int(tensor) => Some(tensor.device()),
            HandleKind::Bool(tensor) => Some(tensor.device()),
            HandleKind::Quantized(_) => None,
        }
    }
}
