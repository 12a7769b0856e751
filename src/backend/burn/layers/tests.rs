use super::*;
use crate::{
    backend::{burn::BurnDevice, device::traits_of},
    model::{self, Model, network},
};
use burn::tensor::{self, Tensor};
use burn_dispatch::backends::Flex;
use burn_ir::CustomOpIr;

fn processor() -> Arc<dyn Device> {
    Arc::new(BurnDevice::<Flex>::new(tensor::Device::flex(), traits_of("cpu")))
}

/// Largest difference between a network run layer by layer and the network, in standard deviations of its logits.
fn difference(model: &Model, fold: bool) -> f64 {
    let device = processor();
    let built = model.build(device.tensors());
    let network = if fold { network::folded(built).unwrap() } else { built };
    let inputs = model.made_up_inputs(1, 7, device.tensors());
    let forward = || outputs::values(network.forward(&inputs)).unwrap();
    let expected = forward();
    let mut layers = Layers::<Flex>::new(device, &*network, &model.placeholders(1), FloatDType::F32)
        .unwrap_or_else(|e| panic!("{}: {e}", model.name));
    let input = Input::Device(inputs.clone());
    let pass = layers.pass(&input).unwrap_or_else(|e| panic!("{}: {e}", model.name));
    assert!(pass.times.iter().all(|time| !time.is_zero()), "{}: every layer takes time", model.name);
    assert_eq!((pass.times.len(), layers.clock()), (layers.layers(4).len(), LayerClock::Wall));
    assert_eq!(layers.pass(&input).unwrap().outputs, pass.outputs, "{}: a second pass differs", model.name);
    if !fold {
        assert_eq!(forward(), expected, "{}: its statistics were given back", model.name);
    }
    apart(&pass.outputs, &expected)
}

fn apart(ours: &[f64], theirs: &[f64]) -> f64 {
    assert_eq!(ours.len(), theirs.len());
    let mean = theirs.iter().sum::<f64>() / theirs.len() as f64;
    let deviation = (theirs.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / theirs.len() as f64).sqrt();
    let differences = ours.iter().zip(theirs).map(|(a, b)| (a - b).abs());
    // A maximum that a NaN is not lost in.
    differences.fold(0.0, |most, one| if one <= most { most } else { one }) / deviation
}

#[test]
fn every_network_run_layer_by_layer_computes_the_same() {
    for model in model::list() {
        let apart = difference(&model, true);
        assert!(apart < 1e-5, "{}: {apart:e} standard deviations apart", model.name);
    }
}

#[test]
fn so_do_networks_whose_batch_norms_are_not_folded() {
    for id in
        ["enet", "bn-nin", "bn-alexnet", "resnet18", "mobilenet-v2", "densenet121", "efficientnet-b0", "googlenet-bn"]
    {
        let Ok(model) = model::find(id) else { continue };
        let apart = difference(&model, false);
        assert!(apart < 1e-5, "{id}: {apart:e} standard deviations apart");
    }
}

#[test]
fn an_operation_that_is_not_known_is_named() {
    let inputs = [(vec![1, 3, 4, 4], ElementType::Float)];
    let mut captured = model::capture::capture(&inputs, |_, inputs| {
        let image: Tensor<4> = inputs[0].tensor();
        vec![image.exp().into()]
    })
    .unwrap();
    let layers = |captured: Captured| Layers::<Flex>::of(processor(), captured, vec![], DType::F32);
    assert!(layers(captured.clone()).is_ok(), "whatever Burn has");
    captured.graph.operations.push(OperationIr::Custom(CustomOpIr::new("ours", &[], &[])));
    let error = layers(captured).err().unwrap().to_string();
    assert!(error.starts_with("an operation that can't be run by itself: ") && error.contains("ours"), "{error}");
}
