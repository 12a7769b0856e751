//! The zoo against its references: names and shapes, published facts, and signals that stay alive.

#![allow(clippy::unwrap_used)] // a helper that panics fails its test

use burn::tensor::{DType, Device, FloatDType, Tensor};
use std::collections::HashMap;
use wattscope::model::{
    self, Model, ModelError, Network, Value, inputs, network,
    probe::{self, Place},
    weights::seed::DEFAULT_SEED,
    zoo::{self, CLASSES},
};

/// A row of the reference table.
fn reference() -> HashMap<String, HashMap<String, String>> {
    let mut table = csv::Reader::from_path("assets/reference/networks.csv").unwrap();
    let rows = table.deserialize().map(|row: Result<HashMap<String, String>, _>| row.unwrap());
    rows.filter(|row| !row["id"].is_empty()).map(|row| (row["id"].clone(), row)).collect()
}

fn build(id: &str) -> (Model, Box<dyn Network>) {
    let model = model::find(id).unwrap();
    let network = model.build(&Device::flex());
    (model, network)
}

/// A made-up image for a network, `[1, 3, px, px]`.
fn image(model: &Model, seed: u64) -> Tensor<4> {
    model.made_up_inputs(1, seed, &Device::flex())[0].tensor()
}

/// The logits of images.
fn logits(network: &dyn Network, images: Tensor<4>) -> Value {
    network.forward(&[images.into()]).remove(0)
}

fn values(value: impl Into<Value>) -> Vec<f32> {
    value.into().cast(FloatDType::F32).into_data().unwrap().try_to_vec().unwrap()
}

fn deviation(values: &[f32]) -> f64 {
    let mean = values.iter().map(|x| f64::from(*x)).sum::<f64>() / values.len() as f64;
    (values.iter().map(|x| (f64::from(*x) - mean).powi(2)).sum::<f64>() / values.len() as f64).sqrt()
}

fn difference(a: &[f32], b: &[f32]) -> Vec<f32> {
    a.iter().zip(b).map(|(a, b)| a - b).collect()
}

#[test]
fn registry_says_what_the_reference_says() {
    let reference = reference();
    assert_eq!(zoo::registry().len(), reference.len());
    for entry in zoo::registry() {
        let row = &reference[entry.id];
        let number = |column: &str| row[column].parse::<f64>().ok();
        assert_eq!(entry.input_px as f64, number("input_px").unwrap(), "{}", entry.id);
        assert_eq!(f64::from(entry.year), number("year").unwrap(), "{}", entry.id);
        assert_eq!(entry.in_paper, row["in_paper"] == "Y", "{}", entry.id);
        assert_eq!(entry.published.top1, number("ref_top1").or(number("paper_top1")), "{}", entry.id);
        assert_eq!(entry.published.top5, number("ref_top5"), "{}", entry.id);
        assert!(!entry.published.source.is_empty() && !entry.paper.is_empty());
        assert_eq!(entry.model().params() as f64, number("params").unwrap(), "{}", entry.id);
    }
}

#[test]
fn tensors_are_those_of_the_state_dicts() {
    let text = std::fs::read_to_string("assets/reference/state_dicts.json").unwrap();
    let dicts: HashMap<String, serde_json::Value> = serde_json::from_str(&text).unwrap();
    for entry in zoo::registry() {
        let dict = &dicts[entry.id];
        let network = entry.model().structure(&Device::flex());
        let parameters = network.parameters();
        let ours: HashMap<String, Vec<usize>> =
            parameters.iter().map(|tensor| (tensor.key.clone(), tensor.published_shape())).collect();
        let theirs: HashMap<String, Vec<usize>> = serde_json::from_value(dict["state_dict"].clone()).unwrap();
        assert_eq!(parameters.len(), ours.len(), "{}: two tensors share a key", entry.id);
        for (key, shape) in &theirs {
            assert_eq!(ours.get(key), Some(shape), "{}: {key}", entry.id);
        }
        assert_eq!(ours.len(), theirs.len(), "{}", entry.id);

        let mut epsilons: Vec<f64> = format!("{network:?}")
            .split("epsilon: ")
            .skip(1)
            .map(|rest| rest.split([',', '}']).next().unwrap().trim().parse().unwrap())
            .collect();
        epsilons.dedup();
        assert_eq!(epsilons, serde_json::from_value::<Vec<f64>>(dict["norm_eps"].clone()).unwrap(), "{}", entry.id);
    }
}

/// A network in which half of each layer is dead, or none of it, draws a different power than a trained one, and one whose
/// logits don't depend on the image can't show a mistake.
#[test]
fn signals_stay_alive() {
    for model in model::list() {
        let id = &model.name;
        let network = model.build(&Device::flex());
        let forward = |seed| logits(&*network, image(&model, seed));
        let mut negative = Vec::new();
        let logits = probe::observe(|| forward(1), &mut |place, shape, input| {
            if place != Place::Activation {
                return;
            }
            let input = values(input);
            let share = |count: usize| count as f64 / input.len() as f64;
            negative.push(share(input.iter().filter(|x| **x <= 0.0).count()));
            // The sum at the end of a residual block adds to what is positive already: few zeros are left late in a stage.
            let (share, size) = (negative[negative.len() - 1], deviation(&input));
            assert!((0.05..0.8).contains(&share), "{id}: {share} of {shape:?} is negative");
            assert!((0.2..6.0).contains(&size), "{id}: {shape:?} deviates by {size}");
        });
        if !negative.is_empty() {
            let mean = negative.iter().sum::<f64>() / negative.len() as f64;
            assert!((0.3..0.6).contains(&mean), "{id}: {mean} of all activations' inputs is negative");
        }
        assert_eq!(logits.shape(), [1, CLASSES], "{id}");
        let (logits, other) = (values(logits), values(forward(2)));
        assert!((0.2..8.0).contains(&deviation(&logits)), "{id}: logits deviate by {}", deviation(&logits));
        let change = deviation(&difference(&logits, &other)) / deviation(&logits);
        assert!((0.02..2.0).contains(&change), "{id}: another image changes the logits by {change}");
    }
}

#[test]
fn images_of_a_batch_know_nothing_of_each_other() {
    for id in ["alexnet", "bn-nin", "enet", "googlenet", "resnet18", "squeezenet1.1", "mobilenet-v2", "efficientnet-b0"]
    {
        let (model, network) = build(id);
        let (image, other) = (image(&model, 3), image(&model, 4));
        let rows = |batch: Vec<Tensor<4>>| {
            let logits = values(logits(&*network, Tensor::cat(batch, 0)));
            logits.chunks(CLASSES).map(<[f32]>::to_vec).collect::<Vec<_>>()
        };
        let alone = rows(vec![image.clone()]).remove(0);
        let same = rows(vec![image.clone(), image.clone()]);
        let mixed = rows(vec![other, image]);
        assert_eq!(same[0], same[1], "{id}");
        // Another batch size may sum in another order.
        for row in [&same[0], &mixed[1]] {
            assert!(deviation(&difference(row, &alone)) < 1e-4 * deviation(&alone), "{id}");
        }
        assert_ne!(mixed[0], mixed[1], "{id}");
    }
}

#[test]
fn half_precision_runs_through() {
    for (id, dtype, tolerance) in [
        // Flex sums the 9216 products of a hidden unit in f16.
        ("alexnet", FloatDType::F16, 0.03),
        ("enet", FloatDType::F16, 0.02),
        ("googlenet", FloatDType::BF16, 0.03),
        ("efficientnet-b0", FloatDType::F16, 0.02),
        ("squeezenet1.1", FloatDType::BF16, 0.03),
    ] {
        let (model, network) = build(id);
        let image = image(&model, 5);
        let full = values(logits(&*network, image.clone()));
        let half = logits(&*network::cast(network, dtype), image.cast(dtype));
        assert_eq!(half.dtype(), DType::from(dtype), "{id}");
        let error = deviation(&difference(&values(half), &full)) / deviation(&full);
        assert!(error < tolerance, "{id} in {dtype:?} is off by {error}");
    }
}

/// FNV-1a over the bits of each tensor's values.
fn checksums(network: &dyn Network) -> HashMap<String, u64> {
    let mut sums = HashMap::new();
    network.visit(&mut |parameter, value| {
        let bytes = values(value()).into_iter().flat_map(|value| value.to_bits().to_le_bytes());
        let sum =
            bytes.fold(0xcbf2_9ce4_8422_2325, |sum: u64, byte| (sum ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
        sums.insert(parameter.key.clone(), sum);
    });
    sums
}

#[test]
fn weights_are_the_same_everywhere() {
    let (model, network) = build("resnet18");
    let sums = checksums(&*network);
    for (key, sum) in [
        ("conv1.weight", 0xf7ca_6916_bf96_bfa5),
        ("layer2.0.downsample.1.running_var", 0x04b9_edbf_a87c_db05),
        ("layer4.1.bn2.weight", 0xb79c_fe01_6ab9_be02),
        ("fc.weight", 0x81aa_761c_cb93_9273),
        ("fc.bias", 0x72b9_c2ea_3b82_c30e),
    ] {
        assert_eq!(sums[key], sum, "{key}: {:#x}", sums[key]);
    }
    let one_thread = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
    assert_eq!(checksums(&*one_thread.install(|| model.build(&Device::flex()))), sums);
    let other = checksums(&*model.build_seeded(&Device::flex(), DEFAULT_SEED + 1));
    assert!(sums.iter().all(|(key, sum)| other[key] != *sum), "another seed changes every tensor");
}

#[test]
fn inputs_are_images_of_mean_0_and_variance_1() {
    let images = inputs::images(8, [3, 64, 64], 7);
    assert!((deviation(&images) - 1.0).abs() < 0.1, "{}", deviation(&images));
    assert!(images.iter().sum::<f32>().abs() / (images.len() as f32) < 0.1);
    let planes: Vec<&[f32]> = images.chunks(64 * 64).collect();
    assert!((1..planes.len()).all(|i| planes[i] != planes[i - 1]));
    let neighbours =
        images.windows(2).map(|pair| f64::from(pair[0] - pair[1]).powi(2)).sum::<f64>() / images.len() as f64;
    assert!(neighbours < 1.0, "neighbours of white noise would differ by 2, not {neighbours}");
    assert_eq!(inputs::images(1, [3, 64, 64], 7), images[..3 * 64 * 64]);
    assert_ne!(inputs::images(1, [3, 64, 64], 8), images[..3 * 64 * 64]);
}

#[test]
fn capture_needs_no_values() {
    let start = std::time::Instant::now();
    for entry in zoo::registry() {
        let device = Device::capture();
        let captured = device.capture_scope(|scope| {
            let network = entry.model().structure(&device);
            let px = entry.input_px;
            let logits = logits(&*network, Tensor::zeros([1, 3, px, px], &device));
            assert_eq!(logits.shape(), [1, CLASSES]);
            scope.complete([], [])
        });
        assert!(!captured.unwrap().graph.operations.is_empty(), "{}", entry.id);
    }
    // Generous: all of it takes 20 ms as long as nothing is filled.
    assert!(start.elapsed().as_secs() < 10, "{:?}", start.elapsed());
}

#[test]
fn unknown_names_are_answered_with_near_ones() {
    let nearest = |name: &str| match model::find(name).unwrap_err() {
        ModelError::Unknown { nearest, .. } => nearest,
        other => panic!("{other}"),
    };
    assert_eq!(model::find("resnet50").unwrap().title, "ResNet-50");
    assert_eq!(nearest("resnet5")[0], "resnet50");
    assert_eq!(nearest("ResNet-50")[0], "resnet50");
    assert_eq!(nearest("inception")[..2], ["inception-v3", "inception-v4"]);
    assert_eq!(
        model::find("vgg-16").unwrap_err().to_string(),
        "unknown network 'vgg-16': did you mean vgg16, vgg19, bn-nin?"
    );
}
