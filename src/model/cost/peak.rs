//! The most activations that are alive at one moment, with ideal buffers.

use super::graph::{elements, view};
use crate::model::capture::Captured;
use burn_ir::{FloatOperationIr as Float, ModuleOperationIr as Module, OperationIr, TensorId, TensorIr};
use std::collections::{HashMap, HashSet};

/// Whether an operation can write its result over an input of the same shape.
fn element_wise(op: &OperationIr) -> bool {
    match op {
        OperationIr::NumericFloat(..) | OperationIr::Activation(_) | OperationIr::Module(Module::BatchNorm(_)) => true,
        OperationIr::Float(_, op) => !matches!(op, Float::Matmul(_)),
        _ => false,
    }
}

/// A buffer that one or more tensors share.
struct Buffer {
    size: u64,
    /// The last operation that reads one of them.
    until: usize,
}

/// Most values alive at once among the tensors that derive from the input.
pub(super) fn activations(captured: &Captured, derived: &HashSet<TensorId>) -> u64 {
    let Captured { graph, inputs, .. } = captured;
    let mut last_use: HashMap<TensorId, usize> = HashMap::new();
    for (i, op) in graph.operations.iter().enumerate() {
        op.inputs().for_each(|tensor| _ = last_use.insert(tensor.id, i));
    }
    let until = |tensor: &TensorIr, i: usize| last_use.get(&tensor.id).copied().unwrap_or(i);
    let mut buffers: Vec<Buffer> = Vec::new();
    let mut buffer_of: HashMap<TensorId, usize> = HashMap::new();
    let (mut live, mut peak) = (0, 0);
    for (i, op) in graph.operations.iter().enumerate() {
        for out in op.outputs().filter(|out| derived.contains(&out.id)) {
            let shared = shared_buffer(op, out, i, &buffers, &buffer_of);
            let buffer = shared.unwrap_or_else(|| {
                live += elements(out);
                buffers.push(Buffer { size: elements(out), until: i });
                buffers.len() - 1
            });
            buffers[buffer].until = buffers[buffer].until.max(until(out, i));
            buffer_of.insert(out.id, buffer);
        }
        peak = peak.max(live);
        let touched: HashSet<_> = op.nodes().iter().filter_map(|tensor| buffer_of.get(&tensor.id)).copied().collect();
        live -= touched.iter().filter(|b| buffers[**b].until == i).map(|b| buffers[*b].size).sum::<u64>();
    }
    debug_assert!(
        inputs.iter().all(|input| buffer_of.contains_key(input)),
        "an operation of the graph makes each input"
    );
    peak
}

/// The buffer that operation `i` can write `out` to: for a view that of its source, for an element-wise operation that of an
/// input of the same size which is not read again.
fn shared_buffer(
    op: &OperationIr,
    out: &TensorIr,
    i: usize,
    buffers: &[Buffer],
    buffer_of: &HashMap<TensorId, usize>,
) -> Option<usize> {
    if let Some(of) = view(op) {
        return buffer_of.get(&of.id).copied();
    }
    let free = |buffer: &usize| buffers[*buffer].until == i && buffers[*buffer].size == elements(out);
    let mut inputs = op.inputs().filter(|_| element_wise(op)).filter_map(|tensor| buffer_of.get(&tensor.id).copied());
    inputs.find(free)
}
