//! What several readers of a captured graph ask of an operation.

use burn_ir::{BaseOperationIr as Base, OperationIr, TensorIr};

/// What an operation is a view of, if it moves no value.
pub(super) fn view(op: &OperationIr) -> Option<&TensorIr> {
    match op {
        OperationIr::BaseFloat(
            Base::Reshape(_) | Base::SwapDims(_) | Base::Permute(_) | Base::Expand(_) | Base::Slice(_),
        ) => op.inputs().next(),
        _ => None,
    }
}

/// Elements of a tensor.
pub(super) fn elements(tensor: &TensorIr) -> u64 {
    tensor.shape.num_elements() as u64
}
