//! Parity with PyTorch: every network, with the same weights and images, against PyTorch's results in double precision
//! (`tests/parity/`), layer by layer, with batch norms and with them folded.

#![allow(clippy::unwrap_used)] // a helper that panics fails its test

use burn::tensor::Device;
use burn_ir::{BatchNormOpIr, ModuleOperationIr as Module, OperationIr};
use std::collections::{BTreeMap, HashMap};
use wattscope::model::{
    self, Model, Network, Value,
    capture::Captured,
    network,
    probe::{self, Place},
    zoo::parity::{self, Reference},
};

/// Largest difference of a logit, in standard deviations of the logits.
const LOGITS: f64 = 1e-4;
/// Largest difference of a layer's deviation and projection, in its own standard deviations. Rounding to f32 makes 1.6e-5 at
/// the most; an ε of 1e-5 in place of 1e-3 makes 5e-4, an LRN over four channels in place of five 1e-4.
const LAYERS: f64 = 5e-5;

macro_rules! networks {
    ($($test:ident: $id:literal),+ $(,)?) => {
        $(#[test] fn $test() { agrees_with_pytorch($id); })+

        #[test]
        fn every_network_is_compared() {
            let ids: Vec<_> = model::list().into_iter().map(|model| model.name).collect();
            assert_eq!(ids, [$($id),+]);
        }
    };
}

networks! {
    alexnet: "alexnet", alexnet_owt: "alexnet-owt", bn_alexnet: "bn-alexnet", bn_nin: "bn-nin", enet: "enet",
    googlenet: "googlenet", googlenet_bn: "googlenet-bn", vgg16: "vgg16", vgg19: "vgg19", resnet18: "resnet18",
    resnet34: "resnet34", resnet50: "resnet50", resnet101: "resnet101", resnet152: "resnet152",
    inception_v3: "inception-v3", inception_v4: "inception-v4", squeezenet: "squeezenet1.1",
    mobilenet_v1: "mobilenet-v1", mobilenet_v2: "mobilenet-v2", densenet: "densenet121",
    efficientnet: "efficientnet-b0",
}

fn agrees_with_pytorch(id: &str) {
    let (model, reference) = (model::find(id).unwrap(), parity::reference(id).unwrap());
    let device = Device::flex();
    let inputs = model.made_up_inputs(parity::BATCH, parity::INPUT_SEED, &device);
    assert_eq!(parity::checksum_of(&values(inputs[0].clone())), reference.input, "{id}: other images");
    let network = model.build(&device);
    assert_eq!(parity::checksum(&*network), reference.weights, "{id}: other weights");
    let keys = parity::layers(&*network);
    compare(&format!("{id} as published"), &*network, &inputs, &keys, &reference);

    let norms = |network: &dyn Network| network.parameters().iter().filter(|t| t.key.ends_with("mean")).count();
    let before = norms(&*network);
    let network = network::folded(network).unwrap();
    assert_eq!(before - norms(&*network), foldable(&model), "{id}: every norm is folded that can be, and no other");
    compare(&format!("{id} folded"), &*network, &inputs, &keys, &reference);
}

fn values(value: impl Into<Value>) -> Vec<f32> {
    value.into().into_data().unwrap().try_to_vec().unwrap()
}

/// Compares logits and layers; names the first layer in execution order that is off, which is where to look.
fn compare(
    what: &str,
    network: &dyn Network,
    inputs: &[Value],
    keys: &HashMap<burn::module::ParamId, String>,
    to: &Reference,
) {
    let mut missing = to.layers.clone();
    let mut worst = (0.0, String::new());
    let logits = probe::observe(|| network.forward(inputs).remove(0), &mut |place, shape, output| {
        let Place::Layer(id) = place else { return };
        // A convolution that took a norm in has no key of its own any more; the norm's place has.
        let Some(key) = keys.get(&id) else { return };
        let Some([deviation, projection]) = missing.remove(key) else { return };
        let found = parity::digest(key, &values(output));
        let error = (found[0] - deviation).abs().max((found[1] - projection).abs()) / deviation;
        assert!(error < LAYERS, "{what}: {key} {shape:?} is off by {error:.1e} of its deviation");
        if error > worst.0 {
            worst = (error, key.clone());
        }
    });
    assert_eq!(missing, BTreeMap::new(), "{what}: layers that did not run");
    let logits: Vec<f64> = values(logits).into_iter().map(f64::from).collect();
    let error = to.error(&logits);
    assert!(error < LOGITS, "{what}: a logit is off by {error:.1e} of the logits' deviation");
    println!("{what}: logits {error:.1e}, layers {:.1e} ({})", worst.0, worst.1);
}

/// Batch norms that alone read what a convolution or a linear layer writes, by the captured graph.
fn foldable(model: &Model) -> usize {
    let Captured { graph, .. } = model.capture(1).unwrap();
    let operations = graph.operations;
    let mut readers = HashMap::new();
    operations.iter().flat_map(OperationIr::inputs).for_each(|tensor| *readers.entry(tensor.id).or_insert(0) += 1);
    let written: Vec<_> = operations
        .iter()
        .filter(|op| matches!(op, OperationIr::Module(Module::Conv2d(_))))
        .flat_map(OperationIr::outputs)
        .map(|tensor| tensor.id)
        .collect();
    let folds = |op: &&OperationIr| match op {
        // A matrix comes from a linear layer, which is recorded as a product and a sum.
        OperationIr::Module(Module::BatchNorm(BatchNormOpIr { x, .. })) => {
            (written.contains(&x.id) || x.shape.to_vec().len() == 2) && readers[&x.id] == 1
        }
        _ => false,
    };
    operations.iter().filter(folds).count()
}
