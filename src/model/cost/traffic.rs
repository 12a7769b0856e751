//! The least memory traffic of a forward pass: every tensor that one part of it hands to another is written once and read once
//! by each part that needs it, and every weight is read once.

use super::{
    Layered,
    graph::{elements, view},
};
use crate::model::capture::Captured;
use burn_ir::{OperationIr, TensorId};
use std::collections::{HashMap, HashSet};

/// The least number of values that a part of a forward pass moves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Activations read from other parts and written for others, for the whole batch that was recorded.
    pub activations: u64,
    /// Weights and constants read, whatever the batch.
    pub weights: u64,
}

impl Traffic {
    /// Bytes for `batches` times the batch that was recorded, with values of `width` bytes.
    pub const fn bytes(self, batches: u64, width: u64) -> u64 {
        (self.activations * batches + self.weights) * width
    }
}

/// The traffic of each part of a recorded forward pass, by layer. `part` has for each layer the one that it is computed together
/// with: its own number where it is computed alone. The traffic of a layer that is part of another is zero.
pub fn traffic(captured: &Captured, layered: &Layered, part: &[usize]) -> Vec<Traffic> {
    let Captured { graph, inputs, outputs } = captured;
    let mut all = vec![Traffic::default(); part.len()];
    let mut counter =
        Counter { source: HashMap::new(), size: HashMap::new(), writer: HashMap::new(), moved: HashSet::new() };
    for (op, layer) in graph.operations.iter().zip(&layered.of_operation) {
        let Some(out) = op.outputs().next() else { continue };
        if let Some(of) = view(op) {
            counter.add_view(of.id, out.id);
            continue;
        }
        op.outputs().for_each(|tensor| _ = counter.size.insert(tensor.id, elements(tensor)));
        let Some(own) = layer.and_then(|layer| part.get(layer)).copied() else { continue };
        op.outputs().for_each(|tensor| _ = counter.writer.insert(tensor.id, own));
        counter.read(op, own, inputs, &mut all);
    }
    for output in outputs {
        let written = counter.source.get(output).unwrap_or(output);
        if let (Some(writer), Some(size)) = (counter.writer.get(written), counter.size.get(written)) {
            all[*writer].activations += size;
        }
    }
    all
}

/// Which part wrote which tensor, and what has been counted.
struct Counter {
    /// The tensor that each view is a view of.
    source: HashMap<TensorId, TensorId>,
    size: HashMap<TensorId, u64>,
    writer: HashMap<TensorId, usize>,
    /// Tensors with the parts whose reading or writing of them is counted.
    moved: HashSet<(TensorId, usize)>,
}

impl Counter {
    fn add_view(&mut self, of: TensorId, view: TensorId) {
        let root = self.source.get(&of).copied().unwrap_or(of);
        self.source.insert(view, root);
    }

    /// Counts what one operation of the part `own` reads.
    fn read(&mut self, op: &OperationIr, own: usize, inputs: &[TensorId], all: &mut [Traffic]) {
        for tensor in op.inputs() {
            let root = self.source.get(&tensor.id).copied().unwrap_or(tensor.id);
            let size = self.size.get(&root).copied().unwrap_or_else(|| elements(tensor));
            let writer = self.writer.get(&root).copied();
            if writer == Some(own) || !self.moved.insert((root, own)) {
                continue;
            }
            match writer {
                Some(writer) => {
                    all[own].activations += size;
                    if self.moved.insert((root, writer)) {
                        all[writer].activations += size;
                    }
                }
                None if inputs.contains(&root) => all[own].activations += size,
                None => all[own].weights += size,
            }
        }
    }
}
