//! DenseNet-121, as torchvision's `densenet121`: batch norm and ReLU come before each convolution.

use super::blocks::{Rounding, apply_linear, concat, conv, convolve, global_features, linear, max_pool, norm, relu};
use super::classes::CLASSES;
use super::image::image_network;
use crate::model::fold::{self, Fold, FoldError, Norm};
use burn::module::Module;
use burn::nn::Linear;
use burn::nn::conv::{Conv2d, Conv2dConfig};
use burn::tensor::ops::AvgPoolOptions;
use burn::tensor::{Device, Tensor, module};

/// ε of every batch norm.
const EPSILON: f64 = 1e-5;
/// Channels that each layer adds.
const GROWTH: usize = 32;
/// Layers of the four blocks.
const DEPTHS: [usize; 4] = [6, 12, 24, 16];

/// A convolution without a bias.
fn bare(config: Conv2dConfig, device: &Device) -> Conv2d {
    config.with_bias(false).init(device)
}

/// DenseNet: 224 px.
#[derive(Module, Debug)]
pub struct Densenet {
    features: Features,
    classifier: Linear,
}

image_network!(Densenet);

/// Everything before the last ReLU.
#[derive(Module, Debug)]
pub struct Features {
    conv0: Conv2d,
    norm0: Norm,
    denseblock1: DenseBlock,
    transition1: Transition,
    denseblock2: DenseBlock,
    transition2: Transition,
    denseblock3: DenseBlock,
    transition3: Transition,
    denseblock4: DenseBlock,
    norm5: Norm,
}

// `norm1`, the transitions' norms and `norm5` read a concatenation or a pool of one and not a convolution: they stay.
fold::fold_fields!(Densenet: features);
fold::fold_fields!(DenseBlock: denselayer_);

impl Fold for Features {
    fn fold(&mut self) -> Result<(), FoldError> {
        fold::into_conv(&mut self.conv0, &mut self.norm0)?;
        let blocks = [&mut self.denseblock1, &mut self.denseblock2, &mut self.denseblock3, &mut self.denseblock4];
        blocks.into_iter().try_for_each(Fold::fold)
    }
}

impl Fold for DenseLayer {
    fn fold(&mut self) -> Result<(), FoldError> {
        fold::into_conv(&mut self.conv1, &mut self.norm2)
    }
}

impl Densenet {
    pub(super) fn new(device: &Device) -> Self {
        let block = |index: usize, inputs| DenseBlock::new(DEPTHS[index], inputs, device);
        let transition = |inputs| Transition::new(inputs, device);
        Self {
            features: Features {
                conv0: bare(conv([3, 64], 7, 2, 3), device),
                norm0: norm(64, EPSILON, device),
                denseblock1: block(0, 64),
                transition1: transition(256),
                denseblock2: block(1, 128),
                transition2: transition(512),
                denseblock3: block(2, 256),
                transition3: transition(1024),
                denseblock4: block(3, 512),
                norm5: norm(1024, EPSILON, device),
            },
            classifier: linear(1024, CLASSES, device),
        }
    }

    /// `[n, 3, 224, 224]` → `[n, 1000]`.
    pub(super) fn forward(&self, x: Tensor<4>) -> Tensor<2> {
        let f = &self.features;
        let x = relu(f.norm0.forward(convolve(&f.conv0, x)));
        let x = max_pool(x, 3, 2, 1, Rounding::Floor);
        let x = f.transition1.forward(f.denseblock1.forward(x));
        let x = f.transition2.forward(f.denseblock2.forward(x));
        let x = f.transition3.forward(f.denseblock3.forward(x));
        let x = relu(f.norm5.forward(f.denseblock4.forward(x)));
        apply_linear(&self.classifier, global_features(x))
    }
}

/// Layers, each of which reads the outputs of all layers before it; `denselayer_` counts from 1 in the state dict's keys.
#[derive(Module, Debug)]
pub struct DenseBlock {
    denselayer_: Vec<DenseLayer>,
}

impl DenseBlock {
    fn new(depth: usize, inputs: usize, device: &Device) -> Self {
        Self { denselayer_: (0..depth).map(|i| DenseLayer::new(inputs + i * GROWTH, device)).collect() }
    }

    fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        self.denselayer_.iter().fold(x, |x, layer| {
            let new = layer.forward(x.clone());
            concat([x, new])
        })
    }
}

/// A 1×1 bottleneck of 4 growths and a 3×3 convolution.
#[derive(Module, Debug)]
pub struct DenseLayer {
    norm1: Norm,
    conv1: Conv2d,
    norm2: Norm,
    conv2: Conv2d,
}

impl DenseLayer {
    fn new(inputs: usize, device: &Device) -> Self {
        let width = 4 * GROWTH;
        Self {
            norm1: norm(inputs, EPSILON, device),
            conv1: bare(conv([inputs, width], 1, 1, 0), device),
            norm2: norm(width, EPSILON, device),
            conv2: bare(conv([width, GROWTH], 3, 1, 1), device),
        }
    }

    fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let x = convolve(&self.conv1, relu(self.norm1.forward(x)));
        convolve(&self.conv2, relu(self.norm2.forward(x)))
    }
}

/// Halves the channels and the size.
#[derive(Module, Debug)]
pub struct Transition {
    norm: Norm,
    conv: Conv2d,
}

impl Transition {
    fn new(inputs: usize, device: &Device) -> Self {
        Self { norm: norm(inputs, EPSILON, device), conv: bare(conv([inputs, inputs / 2], 1, 1, 0), device) }
    }

    fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let x = convolve(&self.conv, relu(self.norm.forward(x)));
        module::avg_pool2d(x, AvgPoolOptions::new([2, 2]))
    }
}

/// Scales for seeded weights: 64 channels of the first block come from a max pool over a ReLU, so their mean is not 0.
pub(super) fn typical(key: &str, channel: usize) -> Option<f64> {
    let pooled =
        channel < 64 && (key.contains("denseblock1.") && key.contains("norm1.") || key.contains("transition1.norm."));
    match key.rsplit('.').next()? {
        "running_mean" if pooled => Some(0.95),
        "running_var" if pooled => Some(0.6),
        _ => None,
    }
}
