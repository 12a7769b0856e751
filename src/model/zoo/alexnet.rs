//! AlexNet three times: the original with its two towers and LRN, torchvision's one-tower version, and that one with batch
//! norm.

use super::blocks::{conv, norm};
use super::classes::CLASSES;
use super::sequential::{Dense, Layer, Lrn, Sequential};
use burn::nn::{Identity, Relu};
use burn::tensor::Device;

/// Flattened features: 256 maps of 6×6.
const FEATURES: usize = 256 * 6 * 6;

/// The network of 2012 as in BVLC's reference model: 227 px, the two towers of its two GPUs as groups.
pub(super) fn original(device: &Device) -> Sequential {
    let features = vec![
        Layer::conv(conv([3, 96], 11, 4, 0), device),
        Layer::Relu(Relu),
        Layer::Lrn(Lrn),
        Layer::max_pool(3, 2, 0),
        Layer::conv(conv([96, 256], 5, 1, 2).with_groups(2), device),
        Layer::Relu(Relu),
        Layer::Lrn(Lrn),
        Layer::max_pool(3, 2, 0),
        Layer::conv(conv([256, 384], 3, 1, 1), device),
        Layer::Relu(Relu),
        Layer::conv(conv([384, 384], 3, 1, 1).with_groups(2), device),
        Layer::Relu(Relu),
        Layer::conv(conv([384, 256], 3, 1, 1).with_groups(2), device),
        Layer::Relu(Relu),
        Layer::max_pool(3, 2, 0),
    ];
    Sequential { features, classifier: classifier(FEATURES, device) }
}

/// Three linear layers, dropout after the hidden ones: the classifier of the original and of VGG.
pub(super) fn classifier(features: usize, device: &Device) -> Vec<Dense> {
    vec![
        Dense::linear(features, 4096, device),
        Dense::Relu(Relu),
        Dense::Dropout(Identity),
        Dense::linear(4096, 4096, device),
        Dense::Relu(Relu),
        Dense::Dropout(Identity),
        Dense::linear(4096, CLASSES, device),
    ]
}

/// The five convolutions of "One weird trick" (arXiv 1404.5997): channels, kernel, stride, padding.
const OWT: [([usize; 2], usize, usize, usize); 5] =
    [([3, 64], 11, 4, 2), ([64, 192], 5, 1, 2), ([192, 384], 3, 1, 1), ([384, 256], 3, 1, 1), ([256, 256], 3, 1, 1)];

/// Their layers: a batch norm before each ReLU if there is an ε for it, max 3/2 after the first, second and last.
fn owt_features(epsilon: Option<f64>, device: &Device) -> Vec<Layer> {
    let mut layers = Vec::new();
    for (i, (channels, kernel, stride, padding)) in OWT.into_iter().enumerate() {
        layers.push(Layer::conv(conv(channels, kernel, stride, padding), device));
        layers.extend(epsilon.map(|epsilon| Layer::norm(channels[1], epsilon, device)));
        layers.push(Layer::Relu(Relu));
        if matches!(i, 0 | 1 | 4) {
            layers.push(Layer::max_pool(3, 2, 0));
        }
    }
    layers
}

/// torchvision's `alexnet`: 224 px, dropout before the hidden linear layers.
pub(super) fn owt(device: &Device) -> Sequential {
    let classifier = vec![
        Dense::Dropout(Identity),
        Dense::linear(FEATURES, 4096, device),
        Dense::Relu(Relu),
        Dense::Dropout(Identity),
        Dense::linear(4096, 4096, device),
        Dense::Relu(Relu),
        Dense::linear(4096, CLASSES, device),
    ];
    Sequential { features: owt_features(None, device), classifier }
}

/// soumith's `alexnetowtbn`: the same with a batch norm (ε 1e-3, Torch7's default) after every hidden layer.
pub(super) fn batch_norm(device: &Device) -> Sequential {
    const EPSILON: f64 = 1e-3;
    let classifier = vec![
        Dense::Dropout(Identity),
        Dense::linear(FEATURES, 4096, device),
        Dense::Norm(norm(4096, EPSILON, device)),
        Dense::Relu(Relu),
        Dense::Dropout(Identity),
        Dense::linear(4096, 4096, device),
        Dense::Norm(norm(4096, EPSILON, device)),
        Dense::Relu(Relu),
        Dense::linear(4096, CLASSES, device),
    ];
    Sequential { features: owt_features(Some(EPSILON), device), classifier }
}
