//! How long each tensor of a captured graph lives when the graph runs again and again.
//!
//! A capture says of each read whether it was the last one at that time, which is not what counts here: parameters and outputs
//! must stay, and everything else should go with its last read, so that an operation may write over its input.

use burn::tensor::DType;
use burn_ir::{IrVisitorMut, OperationIr, TensorId, TensorIr, TensorStatus};
use std::collections::{HashMap, HashSet};

/// Marks in each operation which of its tensors are read for the last time. Where that can't be said by a mark, since the
/// operation reads it twice, or nobody reads what it writes, a drop follows it, with the same tag. Tensors of `kept` are never
/// dropped.
pub fn mark<T: Copy>(operations: Vec<(T, OperationIr)>, kept: &HashSet<TensorId>) -> Vec<(T, OperationIr)> {
    let mut left: HashMap<TensorId, usize> = HashMap::new();
    let reads = operations.iter().flat_map(|(_, operation)| operation.inputs());
    reads.for_each(|tensor| *left.entry(tensor.id).or_insert(0) += 1);
    let mut all = Vec::with_capacity(operations.len());
    for (tag, mut operation) in operations {
        let reads: Vec<TensorId> = operation.inputs().map(|tensor| tensor.id).collect();
        reads.iter().for_each(|id| _ = left.entry(*id).and_modify(|left| *left -= 1));
        let once = |id: TensorId| reads.iter().filter(|read| **read == id).count() == 1;
        let dead = |id: TensorId| !kept.contains(&id) && left.get(&id).is_none_or(|left| *left == 0);
        let mut drops: Vec<TensorIr> = Vec::new();
        each_tensor(&mut operation, |tensor| {
            let moved = reads.contains(&tensor.id) && dead(tensor.id) && once(tensor.id);
            if reads.contains(&tensor.id) {
                tensor.status = if moved { TensorStatus::ReadWrite } else { TensorStatus::ReadOnly };
            }
            if dead(tensor.id) && !moved && drops.iter().all(|dropped| dropped.id != tensor.id) {
                drops.push(TensorIr { status: TensorStatus::ReadWrite, ..tensor.clone() });
            }
        });
        all.push((tag, operation));
        all.extend(drops.into_iter().map(|tensor| (tag, OperationIr::Drop(tensor))));
    }
    all
}

/// Makes f32 tensors of a captured operation those of another float: what was captured in f32 runs in the precision of its
/// parameters.
pub fn store(mut operation: OperationIr, float: DType) -> OperationIr {
    each_tensor(&mut operation, |tensor| {
        if tensor.dtype == DType::F32 {
            tensor.dtype = float;
        }
    });
    operation
}

fn each_tensor(operation: &mut OperationIr, change: impl FnMut(&mut TensorIr)) {
    struct Each<F>(F);
    impl<F: FnMut(&mut TensorIr)> IrVisitorMut for Each<F> {
        fn visit_tensor_mut(&mut self, tensor: &mut TensorIr) {
            (self.0)(tensor);
        }
    }
    operation.visit_mut(&mut Each(change));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{ElementType, capture::capture};
    use TensorStatus::{ReadOnly, ReadWrite};
    use burn::tensor::Tensor;

    #[test]
    fn what_is_read_for_the_last_time_is_moved_and_what_nobody_reads_is_dropped() {
        let captured = capture(&[(vec![1, 4], ElementType::Float)], |_, inputs| {
            let x: Tensor<2> = inputs[0].tensor();
            let y = x.clone().exp();
            let squared = y.clone() * y;
            // Read by nobody.
            let _ = x.clone().sqrt();
            vec![(squared + x).into()]
        });
        let captured = captured.unwrap();
        let computing = captured.graph.operations.into_iter().filter(|op| op.inputs().next().is_some());
        let operations: Vec<_> = computing.map(|op| ((), store(op, DType::F16))).collect();
        let marked = mark(operations, &HashSet::from([captured.outputs[0]]));
        let statuses: Vec<Vec<_>> = marked.iter().map(|(_, op)| op.inputs().map(|t| t.status).collect()).collect();
        assert_eq!(
            statuses,
            [
                vec![ReadOnly],             // exp of x, which is read again
                vec![ReadOnly, ReadOnly],   // y twice at once …
                vec![ReadWrite],            // … and dropped
                vec![ReadOnly],             // the root of x …
                vec![ReadWrite],            // … dropped
                vec![ReadWrite, ReadWrite], // the sum, which is kept
            ],
            "{marked:?}"
        );
        assert!(marked.iter().all(|(_, op)| op.inputs().chain(op.outputs()).all(|tensor| tensor.dtype == DType::F16)));
    }
}
