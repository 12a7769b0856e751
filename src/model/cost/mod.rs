//! What a network costs: parameters, multiply-accumulates, operations and activations, read off the operations that its
//! forward pass issues at batch 1, not off a formula. Nothing is computed and no weight is materialised.
//!
//! **Operations** follow the counter that the paper of 2016 used (apaszke/torch-opCounter): 2 per multiply-accumulate, 1 per
//! value to which a bias is added, 1 per ReLU output (ReLU, ReLU6, leaky and parametric ReLU alike), k² per pooling output
//! (a global average counts as a pool as large as the map), 0 for batch norm. What that counter did not know counts 0,
//! too: sigmoid, SiLU, local response norm, element-wise sums and products, concatenation, padding.
//!
//! **Activations** are the values that convolutions and linear layers write, as in the literature (fvcore, timm).
//!
//! **Peak activations** are the most values alive at one moment that derive from the input, the input included, if every
//! operation had ideal buffers: views share their source's memory, an element-wise operation overwrites an input that is not
//! read again, everything else is freed after its last read. Weights and workspaces are not counted.

mod facts;
mod graph;
mod peak;
#[cfg(test)]
mod tests;
mod traffic;
mod walk;

pub use facts::facts;
pub use traffic::{Traffic, traffic};

use crate::{event::LayerFacts, model::capture::Captured};
use walk::Walk;

/// Static cost of one forward pass.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Cost {
    /// Learned values that the pass uses; running statistics are not learned.
    pub params: u64,
    /// Multiply-accumulates of convolutions, linear layers and matrix products.
    pub macs: u64,
    /// Operations by the paper's rule.
    pub ops: u64,
    /// Values that convolutions and linear layers write.
    pub activations: u64,
    /// Most values alive at once.
    pub peak_activations: u64,
    /// The layers in execution order. Reshapes, padding and constants are no layers.
    pub layers: Vec<LayerFacts>,
}

/// The layers of a recorded forward pass, and which operations each consists of.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Layered {
    /// The layers in execution order, with the shapes that were recorded.
    pub layers: Vec<LayerFacts>,
    /// The layer of each operation; none where it does not depend on the input. An operation that is no layer and part of none,
    /// such as a reshape, is counted with the layer after it.
    pub of_operation: Vec<Option<usize>>,
}

/// The layers of a recorded forward pass.
pub fn layered(captured: &Captured) -> Layered {
    let Captured { graph, inputs, .. } = captured;
    let mut walk = Walk::new(inputs);
    let mut of_operation: Vec<_> = graph.operations.iter().map(|op| walk.layer_of(op)).collect();
    let layers = std::mem::take(&mut walk.layers);
    let mut next = layers.len().checked_sub(1);
    for (op, layer) in graph.operations.iter().zip(&mut of_operation).rev() {
        if op.outputs().any(|tensor| walk.derived.contains(&tensor.id) && !inputs.contains(&tensor.id)) {
            *layer = layer.or(next);
            next = *layer;
        }
    }
    Layered { layers, of_operation }
}

/// The cost of a recorded forward pass.
pub fn of(captured: &Captured) -> Cost {
    let mut walk = Walk::new(&captured.inputs);
    captured.graph.operations.iter().for_each(|op| walk.step(op));
    let total = |of: fn(&LayerFacts) -> u64| walk.layers.iter().map(of).sum();
    Cost {
        params: total(|layer| layer.params),
        macs: total(|layer| layer.macs),
        ops: total(|layer| layer.ops),
        activations: walk.activations,
        peak_activations: peak::activations(captured, &walk.derived),
        layers: walk.layers,
    }
}
