//! What the stream is told about a model: where it comes from, what it takes and gives, and what its forward pass costs.

use super::of;
use crate::{
    event::{NetworkFacts, PortFacts},
    model::{capture::CaptureError, description::Model, port::Port},
};

/// The facts of a model: what is published about it, and what its forward pass costs at batch 1.
///
/// # Errors
/// If the forward pass can't be captured.
pub fn facts(model: &Model) -> Result<NetworkFacts, CaptureError> {
    let cost = of(&model.capture(1)?);
    let from = &model.provenance;
    let ports = |ports: &[Port]| ports.iter().map(port).collect();
    Ok(NetworkFacts {
        id: model.name.clone(),
        title: model.title.clone(),
        family: from.family.clone(),
        year: from.year.unwrap_or_default(),
        input_px: from.classifier.as_ref().map_or(0, |classifier| classifier.px as u32),
        params: cost.params,
        macs: cost.macs,
        ops: cost.ops,
        activations: cost.activations,
        peak_activations: cost.peak_activations,
        top1: from.published.top1,
        top5: from.published.top5,
        accuracy_source: from.published.source.to_owned(),
        layers: cost.layers,
        inputs: ports(&model.inputs),
        outputs: ports(&model.outputs),
    })
}

fn port(port: &Port) -> PortFacts {
    PortFacts {
        name: port.name.clone(),
        shape: port.sized(1).into_iter().map(|size| size as u64).collect(),
        batch_axis: port.batch_axis().map(|axis| axis as u32),
        element: port.element.name().to_owned(),
    }
}
