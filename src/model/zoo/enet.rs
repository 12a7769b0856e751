//! The ENet classifier, "ENet V12" of Culurciello's *Training ENet on ImageNet* (2016): not the segmentation network.

use super::blocks::{
    Rounding, apply_linear, apply_prelu, concat, conv, convolve, global_features, linear, max_pool, norm, prelu,
};
use super::classes::CLASSES;
use super::image::image_network;
use crate::model::fold::{self, Fold, FoldError, Norm};
use burn::module::Module;
use burn::nn::conv::{Conv2d, Conv2dConfig};
use burn::nn::{Linear, PRelu};
use burn::tensor::ops::PadMode;
use burn::tensor::{Device, Tensor};

/// ε of every batch norm.
const EPSILON: f64 = 1e-3;

/// ENet: 224 px.
#[derive(Module, Debug)]
pub struct Enet {
    initial_conv: Conv2d,
    initial_bn: Norm,
    initial_prelu: PRelu,
    blocks: Vec<Bottleneck>,
    fc: Linear,
}

image_network!(Enet);

// `initial_bn` reads a concatenation and stays.
fold::fold_fields!(Enet: blocks);

impl Fold for Bottleneck {
    fn fold(&mut self) -> Result<(), FoldError> {
        fold::into_conv(&mut self.conv1, &mut self.bn1)?;
        fold::into_conv(&mut self.conv2, &mut self.bn2)?;
        fold::into_conv(&mut self.conv3, &mut self.bn3)
    }
}

impl Enet {
    pub(super) fn new(device: &Device) -> Self {
        let plain = |channels, dilation| Bottleneck::new(channels, false, channels[1] / 4, dilation, device);
        let down = |channels: [usize; 2], internal| Bottleneck::new(channels, true, internal, 1, device);
        Self {
            initial_conv: conv([3, 13], 3, 2, 1).init(device),
            initial_bn: norm(16, EPSILON, device),
            initial_prelu: prelu(16, device),
            blocks: vec![
                // The post leaves this block's internal width open: 64 gives the published 1.6 G-ops.
                down([16, 64], 64),
                plain([64, 128], 1),
                plain([128, 128], 1),
                down([128, 256], 64),
                plain([256, 256], 1),
                plain([256, 256], 2),
                down([256, 512], 128),
                plain([512, 512], 1),
                plain([512, 512], 4),
                down([512, 1024], 256),
                plain([1024, 1024], 1),
                plain([1024, 1024], 8),
            ],
            fc: linear(1024, CLASSES, device),
        }
    }

    /// `[n, 3, 224, 224]` → `[n, 1000]`; the average pool of 7×7 sees the whole map.
    pub(super) fn forward(&self, x: Tensor<4>) -> Tensor<2> {
        let pooled = max_pool(x.clone(), 2, 2, 0, Rounding::Floor);
        let x = self.initial_bn.forward(concat([convolve(&self.initial_conv, x), pooled]));
        let x = apply_prelu(&self.initial_prelu, x);
        let x = self.blocks.iter().fold(x, |x, block| block.forward(x));
        apply_linear(&self.fc, global_features(x))
    }
}

/// A residual bottleneck; the 3×3 convolution alone has a bias.
#[derive(Module, Debug)]
pub struct Bottleneck {
    conv1: Conv2d,
    bn1: Norm,
    prelu1: PRelu,
    conv2: Conv2d,
    bn2: Norm,
    prelu2: PRelu,
    conv3: Conv2d,
    bn3: Norm,
    prelu_out: PRelu,
    down: bool,
}

impl Bottleneck {
    fn new([inputs, outputs]: [usize; 2], down: bool, internal: usize, dilation: usize, device: &Device) -> Self {
        let reach = if down { 2 } else { 1 };
        let bare = |config: Conv2dConfig| config.with_bias(false).init(device);
        Self {
            conv1: bare(conv([inputs, internal], reach, reach, 0)),
            bn1: norm(internal, EPSILON, device),
            prelu1: prelu(internal, device),
            conv2: conv([internal, internal], 3, 1, dilation).with_dilation([dilation, dilation]).init(device),
            bn2: norm(internal, EPSILON, device),
            prelu2: prelu(internal, device),
            conv3: bare(conv([internal, outputs], 1, 1, 0)),
            bn3: norm(outputs, EPSILON, device),
            prelu_out: prelu(outputs, device),
            down,
        }
    }

    fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let branch = apply_prelu(&self.prelu1, self.bn1.forward(convolve(&self.conv1, x.clone())));
        let branch = apply_prelu(&self.prelu2, self.bn2.forward(convolve(&self.conv2, branch)));
        let branch = self.bn3.forward(convolve(&self.conv3, branch));
        let x = if self.down { max_pool(x, 2, 2, 0, Rounding::Floor) } else { x };
        let missing = branch.dims()[1] - x.dims()[1];
        apply_prelu(&self.prelu_out, branch + widen(x, missing))
    }
}

/// Appends `missing` channels of zeros.
fn widen(x: Tensor<4>, missing: usize) -> Tensor<4> {
    if missing == 0 { x } else { x.pad([(0, missing), (0, 0), (0, 0)], PadMode::Constant(0.0)) }
}

/// Scales for seeded weights: a PReLU of slope ¼ keeps 0.53 of a mean square, and halving at each sum keeps the output of a
/// block near 1.
pub(super) fn typical(key: &str, _: usize) -> Option<f64> {
    let tensor = key.strip_prefix("blocks.").and_then(|rest| rest.split_once('.')).map(|(_, tensor)| tensor)?;
    match tensor {
        "conv1.weight" => Some(1.0),
        "conv2.weight" | "conv3.weight" => Some(1.37),
        _ => None,
    }
}
