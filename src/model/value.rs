//! A tensor whose rank and element type are known at run time: what a model takes, gives, and holds as parameters.
//!
//! Burn's `Tensor<D>` has its rank in its type, and a trait object can't be generic over it. A [`Value`] is the same handle
//! without the rank: turning one into the other copies nothing.

use burn::tensor::{BoolDType, DType, Device, FloatDType, IntDType, Shape, Tensor, TensorData, kind::Basic};
use burn_backend::{
    ExecutionError, TensorMetadata,
    ops::{BoolTensorOps, FloatTensorOps, IntTensorOps},
};
use burn_dispatch::{
    BackendTensor, Dispatch, DispatchKindConversion, DispatchTensor, backends::Capture, backends::capture::TensorId,
};

/// What a tensor's elements are. Which float it is, is the precision that a model is built in, not the model's own choice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ElementType {
    /// Floating-point numbers, in the precision that the model runs in.
    Float,
    /// 64-bit integers, such as token ids.
    Int64,
    /// 32-bit integers.
    Int32,
    /// Truth values, such as masks.
    Bool,
}

impl ElementType {
    /// The name as ONNX and NumPy have it; of a float without its width.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Float => "float",
            Self::Int64 => "int64",
            Self::Int32 => "int32",
            Self::Bool => "bool",
        }
    }

    /// Bytes of one element, where floats take `float` bytes.
    pub const fn bytes(self, float: u64) -> u64 {
        match self {
            Self::Float => float,
            Self::Int64 => 8,
            Self::Int32 => 4,
            Self::Bool => 1,
        }
    }
}

/// A tensor of any rank and element type on any device. A clone shares the memory.
#[derive(Clone, Debug)]
pub struct Value(DispatchTensor);

impl<const D: usize, K: Basic> From<Tensor<D, K>> for Value {
    fn from(tensor: Tensor<D, K>) -> Self {
        Self(tensor.into_dispatch())
    }
}

impl Value {
    /// Host data on a device: floats as f32, integers and truth values as they are.
    pub fn from_data(data: TensorData, device: &Device) -> Self {
        let (dtype, device) = (data.dtype(), device.as_dispatch());
        Self(if dtype.is_bool() {
            Dispatch::bool_from_data(data, device)
        } else if dtype.is_int() || dtype.is_uint() {
            Dispatch::int_from_data(data, device)
        } else {
            Dispatch::float_from_data(data.convert_dtype(DType::F32), device)
        })
    }

    /// Memory of a shape with whatever is in it; on a capture device no memory at all.
    pub fn empty(shape: &[usize], element: ElementType, device: &Device) -> Self {
        let (shape, device) = (Shape::from(shape.to_vec()), device.as_dispatch());
        Self(match element {
            ElementType::Float => Dispatch::float_empty(shape, device, FloatDType::F32),
            ElementType::Int64 => Dispatch::int_empty(shape, device, IntDType::I64),
            ElementType::Int32 => Dispatch::int_empty(shape, device, IntDType::I32),
            ElementType::Bool => Dispatch::bool_empty(shape, device, BoolDType::Native),
        })
    }

    /// The same tensor with its rank in its type.
    ///
    /// # Panics
    /// If it has another rank, or elements of another kind: its shape and type are the model's, so either is a mistake of
    /// the program and not of its input.
    pub fn tensor<const D: usize, K: Basic>(&self) -> Tensor<D, K> {
        assert_eq!(self.0.rank(), D, "a tensor of shape {:?} is not of rank {D}", self.shape());
        Tensor::from_dispatch(self.0.clone())
    }

    /// A tensor of Burn's bridge between its backends.
    pub const fn from_dispatch(tensor: DispatchTensor) -> Self {
        Self(tensor)
    }

    /// The same tensor for a backend of Burn's to take.
    pub fn into_dispatch(self) -> DispatchTensor {
        self.0
    }

    /// Its shape.
    pub fn shape(&self) -> Vec<usize> {
        self.0.shape().to_vec()
    }

    /// How its elements are stored.
    pub fn dtype(&self) -> DType {
        self.0.dtype()
    }

    /// Floats stored as another float; anything else as it is.
    #[must_use]
    pub fn cast(self, to: FloatDType) -> Self {
        let dtype = self.dtype();
        if dtype.is_float() && dtype != DType::from(to) { Self(Dispatch::float_cast(self.0, to)) } else { self }
    }

    /// Its elements in the host's memory. Waits for the device.
    ///
    /// # Errors
    /// What the device says.
    pub fn into_data(self) -> Result<TensorData, ExecutionError> {
        // The rank of the types is not looked at: the data has the shape of the tensor.
        let dtype = self.dtype();
        if dtype.is_bool() {
            Tensor::<1, burn::tensor::Bool>::from_dispatch(self.0).try_into_data()
        } else if dtype.is_int() || dtype.is_uint() {
            Tensor::<1, burn::tensor::Int>::from_dispatch(self.0).try_into_data()
        } else {
            Tensor::<1>::from_dispatch(self.0).try_into_data()
        }
    }

    /// Its first element, as a tensor of the same rank.
    #[must_use]
    pub fn first(&self) -> Self {
        let (tensor, one) = (self.0.clone(), vec![(0..1).into(); self.0.rank()]);
        let dtype = self.dtype();
        Self(if dtype.is_bool() {
            Dispatch::bool_slice(tensor, &one)
        } else if dtype.is_int() || dtype.is_uint() {
            Dispatch::int_slice(tensor, &one)
        } else {
            Dispatch::float_slice(tensor, &one)
        })
    }

    /// Its id in the graph that is being captured; none where it is on no capture device.
    pub(super) fn captured_id(&self) -> Option<TensorId> {
        let tensor = <DispatchTensor as DispatchKindConversion<Capture>>::try_into_backend(self.0.clone()).ok()?;
        match tensor {
            BackendTensor::Float(tensor) => Some(tensor.id()),
            BackendTensor::Int(tensor) => Some(tensor.id()),
            BackendTensor::Bool(tensor) => Some(tensor.id()),
            BackendTensor::Quantized(_) => None,
        }
    }

    /// The element type.
    pub fn element(&self) -> ElementType {
        match self.dtype() {
            DType::I64 | DType::U64 => ElementType::Int64,
            dtype if dtype.is_bool() => ElementType::Bool,
            dtype if dtype.is_int() || dtype.is_uint() => ElementType::Int32,
            _ => ElementType::Float,
        }
    }
}
