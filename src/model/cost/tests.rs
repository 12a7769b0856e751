//! Small modules against numbers worked out by hand.

use super::walk::adaptive_reads;
use super::*;
use crate::model::{
    ElementType, Model,
    capture::{CaptureError, capture},
};
use burn::{
    nn::{
        BatchNormConfig, LinearConfig, LocalResponseNormConfig, PReluConfig, PaddingConfig2d,
        conv::Conv2dConfig,
        pool::{AdaptiveAvgPool2dConfig, AvgPool2dConfig, MaxPool2dConfig},
    },
    tensor::{Device, Tensor, activation, ops::PadMode},
};

fn cost<const D: usize>(shape: [usize; 4], forward: impl FnOnce(&Device, Tensor<4>) -> Tensor<D>) -> Cost {
    of(&record(shape, forward).unwrap())
}

fn record<const D: usize>(
    shape: [usize; 4],
    forward: impl FnOnce(&Device, Tensor<4>) -> Tensor<D>,
) -> Result<Captured, CaptureError> {
    capture(&[(shape.to_vec(), ElementType::Float)], |device, inputs| vec![forward(device, inputs[0].tensor()).into()])
}

/// Kind, detail, params, MACs and operations of each layer.
fn rows(cost: &Cost) -> Vec<(&str, &str, u64, u64, u64)> {
    cost.layers.iter().map(|l| (l.kind.as_str(), l.detail.as_str(), l.params, l.macs, l.ops)).collect()
}

#[test]
fn a_grouped_convolution_with_a_bias() {
    let cost = cost([1, 4, 10, 12], |device, x| {
        let padding = PaddingConfig2d::Explicit(1, 1, 1, 1);
        let config = Conv2dConfig::new([4, 6], [3, 3]).with_stride([2, 2]).with_padding(padding).with_groups(2);
        config.init(device).forward(x)
    });
    // 6 × 5 × 6 outputs, each from 2 channels of 3 × 3.
    let (outputs, macs) = (180, 180 * 18);
    assert_eq!(rows(&cost), [("conv", "6 × 3×3 /2 pad 1 groups 2", 6 * 18 + 6, macs, 2 * macs + outputs)]);
    assert_eq!(cost.layers[0].output, [1, 6, 5, 6]);
    assert_eq!((cost.activations, cost.peak_activations), (outputs, outputs + 480));
}

#[test]
fn a_dilated_convolution_without_a_bias() {
    let cost = cost([1, 3, 9, 9], |device, x| {
        let config = Conv2dConfig::new([3, 2], [1, 3]).with_dilation([1, 2]).with_bias(false);
        config.init(device).forward(x)
    });
    let macs = 2 * 9 * 5 * 9;
    assert_eq!(rows(&cost), [("conv", "2 × 1×3 dilation 1×2", 18, macs, 2 * macs)]);
}

#[test]
fn linear_layers_however_they_are_written() {
    let cost = cost([1, 2, 3, 3], |device, x| {
        let x = LinearConfig::new(18, 7).init(device).forward(x.flatten::<2>(1, 3));
        let (weight, bias) = (Tensor::<2>::zeros([7, 5], device), Tensor::<1>::zeros([5], device));
        x.matmul(weight) + bias.unsqueeze()
    });
    let expected = [("linear", "18 → 7", 18 * 7 + 7, 126, 2 * 126 + 7), ("linear", "7 → 5", 40, 35, 75)];
    assert_eq!(rows(&cost), expected);
    assert_eq!(cost.activations, 12);
}

#[test]
fn pools_count_their_window_at_every_output() {
    let cost = cost([1, 2, 7, 7], |_, x| {
        let x = MaxPool2dConfig::new([3, 3]).with_strides([2, 2]).with_ceil_mode(true).init().forward(x);
        let padding = PaddingConfig2d::Explicit(1, 1, 1, 1);
        AvgPool2dConfig::new([3, 3]).with_strides([1, 1]).with_padding(padding).init().forward(x)
    });
    let expected = [("max pool", "3×3 /2 ceil", 0, 0, 18 * 9), ("avg pool", "3×3 pad 1", 0, 0, 18 * 9)];
    assert_eq!(rows(&cost), expected);
}

#[test]
fn a_global_average_reads_the_map_once_however_it_is_written() {
    let mean = cost([1, 2, 4, 5], |_, x| x.mean_dim(3).mean_dim(2).flatten::<2>(1, 3));
    assert_eq!(rows(&mean), [("global avg pool", "", 0, 0, 40)]);
    assert_eq!(mean.layers[0].output, [1, 2, 1, 1]);
    let adaptive = cost([1, 2, 4, 5], |_, x| AdaptiveAvgPool2dConfig::new([1, 1]).init().forward(x));
    assert_eq!(rows(&adaptive), [("avg pool", "to 1×1", 0, 0, 40)]);
    // Windows of 7 → 3: rows 0–2, 2–4, 4–6.
    assert_eq!(adaptive_reads(7, 3), 9);
    assert_eq!(adaptive_reads(6, 3), 6);
}

#[test]
fn activations_and_norms() {
    let cost = cost([1, 4, 2, 2], |device, x| {
        let x = BatchNormConfig::new(4).init(device).forward(x);
        let x = activation::relu6(activation::relu(x));
        let x = PReluConfig::new().with_num_parameters(4).init(device).forward(x);
        let x = activation::silu(x);
        let x = LocalResponseNormConfig::new(3).init().forward(x);
        activation::sigmoid(x)
    });
    let expected = [
        ("batch norm", "", 8, 0, 0),
        ("relu", "", 0, 0, 16),
        ("relu6", "", 0, 0, 16),
        ("prelu", "", 4, 0, 16),
        ("silu", "", 0, 0, 0),
        ("lrn", "", 0, 0, 0),
        ("sigmoid", "", 0, 0, 0),
    ];
    assert_eq!(rows(&cost), expected);
}

#[test]
fn a_response_norm_of_roots_over_a_scaled_square_is_one_layer() {
    let cost = cost([1, 8, 3, 3], |_, x| {
        let squares = x.clone().mul_scalar(0.01).square().reshape([1, 1, 8, 9]);
        let pool =
            AvgPool2dConfig::new([5, 1]).with_strides([1, 1]).with_padding(PaddingConfig2d::Explicit(2, 0, 2, 0));
        let scale = pool.init().forward(squares).reshape([1, 8, 3, 3]).add_scalar(1.0);
        let root = scale.sqrt();
        x / (root.clone() * root.sqrt())
    });
    assert_eq!(rows(&cost), [("lrn", "", 0, 0, 0)]);
}

#[test]
fn residuals_gates_and_concatenations_cost_nothing_but_are_layers() {
    let cost = cost([1, 4, 6, 6], |_, x| {
        let gate = activation::sigmoid(x.clone().mean_dim(3).mean_dim(2));
        let gated = x.clone() * gate;
        let sum = gated + x.clone();
        let padded = sum.pad([(0, 2), (0, 0), (0, 0)], PadMode::Constant(0.0));
        Tensor::cat(vec![padded, x], 1)
    });
    let kinds: Vec<_> = cost.layers.iter().map(|l| (l.kind.as_str(), l.detail.as_str())).collect();
    let expected = [("global avg pool", ""), ("sigmoid", ""), ("multiply", ""), ("add", ""), ("concat", "6 + 4")];
    assert_eq!(kinds, expected);
    assert_eq!((cost.params, cost.macs), (0, 0));
}

#[test]
fn a_shared_weight_counts_once() {
    let cost = cost([1, 3, 5, 5], |device, x| {
        let conv = Conv2dConfig::new([3, 3], [1, 1]).init(device);
        conv.forward(conv.forward(x))
    });
    assert_eq!(cost.params, 12);
    assert_eq!(cost.macs, 2 * 25 * 9);
}

#[test]
fn peak_counts_in_place_operations_and_views_once() {
    // 100 values in, 100 after the convolution, overwritten by everything that follows.
    let chain = cost([1, 1, 10, 10], |device, x| {
        let x = Conv2dConfig::new([1, 1], [1, 1]).init(device).forward(x);
        activation::relu(BatchNormConfig::new(1).init(device).forward(x)).reshape([1, 100]).clamp(0.0, 1.0)
    });
    assert_eq!(chain.peak_activations, 200);
    // A residual keeps its source alive: source, what the first convolution wrote, what the second writes.
    let residual = cost([1, 1, 10, 10], |device, x| {
        let conv = || Conv2dConfig::new([1, 1], [1, 1]).init(device);
        conv().forward(activation::relu(conv().forward(x.clone()))) + x
    });
    assert_eq!(residual.peak_activations, 300);
    // Out of place: what is read again must not be overwritten.
    let reread = cost([1, 1, 10, 10], |_, x| activation::relu(x.clone()) + x);
    assert_eq!(reread.peak_activations, 200);
}

#[test]
fn a_forward_pass_that_ignores_its_input_has_no_cost() {
    let empty = record([1, 1, 2, 2], |device, _| Tensor::<2>::zeros([1, 10], device));
    assert!(matches!(empty, Err(CaptureError::Empty)), "{empty:?}");
}

/// Parameters and MACs of every network, against numbers that other people's tools counted.
#[test]
fn the_registry_agrees_with_the_reference() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/assets/reference/networks.csv");
    let mut reference = csv::Reader::from_path(path).unwrap();
    let columns = reference.headers().unwrap().clone();
    let column = |name: &str| columns.iter().position(|c| c == name).unwrap();
    let (id, params, macs) = (column("id"), column("params"), column("macs"));
    let rows: Vec<_> = reference.records().map(Result::unwrap).filter(|row| !row[id].is_empty()).collect();
    assert_eq!(rows.len(), crate::model::zoo::registry().len());
    let began = std::time::Instant::now();
    for row in &rows {
        let model = crate::model::find(&row[id]).unwrap();
        let facts = facts(&model).unwrap();
        let number = |i: usize| row[i].parse::<u64>().unwrap();
        assert_eq!((facts.params, facts.macs), (number(params), number(macs)), "{}", model.name);
        assert_eq!(facts.params, learned(&model), "{}: a layer's parameters were missed", model.name);
    }
    println!("{} networks in {:?}", rows.len(), began.elapsed());
}

/// Parameters that the module itself says it has.
fn learned(model: &Model) -> u64 {
    let device = Device::capture();
    let mut params = 0;
    device
        .capture_scope(|scope| {
            params = model.structure(&device).learned();
            scope.complete([], [])
        })
        .unwrap();
    params
}

/// Every network's facts are wanted at once, before the first frame: a deep one must not be felt.
#[test]
fn a_network_of_hundreds_of_layers_is_read_at_once() {
    let began = std::time::Instant::now();
    let cost = cost([1, 64, 56, 56], |device, x| {
        (0..200).fold(x, |x, _| {
            let same = PaddingConfig2d::Explicit(1, 1, 1, 1);
            let conv = Conv2dConfig::new([64, 64], [3, 3]).with_padding(same).with_bias(false);
            activation::relu(BatchNormConfig::new(64).init(device).forward(conv.init(device).forward(x.clone())) + x)
        })
    });
    assert_eq!(cost.params, 200 * (64 * 64 * 9 + 128));
    let seconds = began.elapsed().as_secs_f64();
    println!("{seconds:.4} s");
    assert!(seconds < 1.0, "{seconds} s");
}
