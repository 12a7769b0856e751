//! What a forward pass must move at the least: every tensor that one part of it hands to another is written once and read
//! once by each part that needs it, and every weight is read once.

use super::{
    Layered,
    graph::{elements, view},
};
use crate::model::capture::Captured;
use burn_ir::{OperationIr, TensorId};
use std::collections::{HashMap, HashSet};

/// Values that a part of a forward pass moves at the least.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Read from other parts, and written for others: values of the whole batch that was recorded.
    pub activations: u64,
    /// Read of weights and constants, whatever the batch.
    pub weights: u64,
}

impl Traffic {
    /// Bytes for so many times the batch that was recorded, in values of so many bytes.
    pub const fn bytes(self, batches: u64, width: u64) -> u64 {
        (self.activations * batches + self.weights) * width
    }
}

/// The traffic of each part of a recorded forward pass. `part` tells of each layer which part computes it: a layer's own
/// number, or that of the layer that it is computed together with. Given by layer, zero for those that are no part.
pub fn traffic(captured: &Captured, layered: &Layered, part: &[usize]) -> Vec<Traffic> {
    let Captured { graph, inputs, outputs } = captured;
    let mut all = vec![Traffic::default(); part.len()];
    let mut ledger =
        Ledger { source: HashMap::new(), size: HashMap::new(), writer: HashMap::new(), moved: HashSet::new() };
    for (op, layer) in graph.operations.iter().zip(&layered.of_operation) {
        let Some(out) = op.outputs().next() else { continue };
        if let Some(of) = view(op) {
            ledger.look_through(of.id, out.id);
            continue;
        }
        op.outputs().for_each(|tensor| _ = ledger.size.insert(tensor.id, elements(tensor)));
        let Some(own) = layer.and_then(|layer| part.get(layer)).copied() else { continue };
        op.outputs().for_each(|tensor| _ = ledger.writer.insert(tensor.id, own));
        ledger.read(op, own, inputs, &mut all);
    }
    for output in outputs {
        let written = ledger.source.get(output).unwrap_or(output);
        if let (Some(writer), Some(size)) = (ledger.writer.get(written), ledger.size.get(written)) {
            all[*writer].activations += size;
        }
    }
    all
}

/// Who wrote what, and what has been moved.
struct Ledger {
    /// What a view looks at.
    source: HashMap<TensorId, TensorId>,
    size: HashMap<TensorId, u64>,
    writer: HashMap<TensorId, usize>,
    /// A tensor that a part has read, or, with itself, written.
    moved: HashSet<(TensorId, usize)>,
}

impl Ledger {
    fn look_through(&mut self, of: TensorId, view: TensorId) {
        let root = self.source.get(&of).copied().unwrap_or(of);
        self.source.insert(view, root);
    }

    /// The part `own` reads the inputs of one of its operations.
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
