//! Which layers of the network each step of a plan computes.

use crate::{
    event::LayerFacts,
    model::{
        capture::Captured,
        cost::{self, Layered, Traffic},
    },
};

/// The layers of one image as a plan computes them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Computed {
    /// The layers in execution order.
    pub layers: Vec<LayerFacts>,
    /// Of each layer the one that it is computed together with, where that is another: the first of those that one node
    /// computes.
    pub within: Vec<Option<usize>>,
    /// Of each step the layer whose time it is.
    pub of_step: Vec<usize>,
    /// What each layer moves at the least, together with those within it.
    pub traffic: Vec<Traffic>,
}

impl Computed {
    /// Joins a captured graph with the plan made of it. `nodes` gives the node that computes each operation, `of_step` the
    /// node of each step.
    pub fn new(captured: &Captured, nodes: &[Option<usize>], of_step: &[usize]) -> Self {
        let layered = cost::layered(captured);
        let node = nodes_of_layers(&layered, nodes);
        let first = |layer: usize| node.iter().position(|n| n.is_some() && *n == node[layer]).unwrap_or(layer);
        let part: Vec<usize> = (0..layered.layers.len()).map(first).collect();
        let of_step: Vec<usize> = of_step.iter().map(|step| layer_of(*step, &layered, nodes, &node, &part)).collect();
        let mut traffic = cost::traffic(captured, &layered, &part);
        // What takes no step moves nothing: the parts of a concatenation lie where they belong.
        (0..traffic.len()).filter(|i| !of_step.contains(i)).for_each(|i| traffic[i] = Traffic::default());
        let within = part.iter().enumerate().map(|(layer, part)| (layer != *part).then_some(*part)).collect();
        Self { layers: layered.layers, within, of_step, traffic }
    }
}

/// Of each layer the node that gives its output: that of the last of its operations.
fn nodes_of_layers(layered: &Layered, nodes: &[Option<usize>]) -> Vec<Option<usize>> {
    let mut of = vec![None; layered.layers.len()];
    for (layer, node) in layered.of_operation.iter().zip(nodes) {
        if let Some(layer) = layer {
            of[*layer] = *node;
        }
    }
    of
}

/// The layer whose time a node's step is: the one whose output it gives, or else the one that one of its operations is
/// counted with.
fn layer_of(step: usize, layered: &Layered, nodes: &[Option<usize>], node: &[Option<usize>], part: &[usize]) -> usize {
    let own = node.iter().position(|node| *node == Some(step));
    let counted =
        || nodes.iter().zip(&layered.of_operation).find(|(node, _)| **node == Some(step)).and_then(|(_, l)| *l);
    own.or_else(counted).map_or(0, |layer| part[layer])
}
