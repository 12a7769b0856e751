//! ResNet-18, -34, -50, -101 and -152 as torchvision has them: "v1.5", whose bottlenecks stride in the 3×3.

use super::blocks::{Rounding, Unit, apply_linear, conv, convolve, global_features, linear, max_pool, norm, relu};
use super::classes::CLASSES;
use super::image::image_network;
use crate::model::fold::{self, Fold, FoldError, Norm};
use burn::module::Module;
use burn::nn::Linear;
use burn::nn::conv::{Conv2d, Conv2dConfig};
use burn::tensor::{Device, Tensor};

/// ε of every batch norm.
const EPSILON: f64 = 1e-5;

/// Which block a ResNet is made of.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Two 3×3 convolutions.
    Basic,
    /// 1×1, 3×3, 1×1 onto four times the channels.
    Bottleneck,
}

/// A ResNet: 224 px.
#[derive(Module, Debug)]
pub struct Resnet {
    conv1: Conv2d,
    bn1: Norm,
    layer1: Vec<Block>,
    layer2: Vec<Block>,
    layer3: Vec<Block>,
    layer4: Vec<Block>,
    fc: Linear,
}

image_network!(Resnet);

impl Fold for Resnet {
    fn fold(&mut self) -> Result<(), FoldError> {
        fold::into_conv(&mut self.conv1, &mut self.bn1)?;
        [&mut self.layer1, &mut self.layer2, &mut self.layer3, &mut self.layer4].into_iter().try_for_each(Fold::fold)
    }
}

impl Fold for Block {
    fn fold(&mut self) -> Result<(), FoldError> {
        fold::into_conv(&mut self.conv1, &mut self.bn1)?;
        fold::into_conv(&mut self.conv2, &mut self.bn2)?;
        if let (Some(conv3), Some(bn3)) = (&mut self.conv3, &mut self.bn3) {
            fold::into_conv(conv3, bn3)?;
        }
        self.downsample.fold()
    }
}

impl Resnet {
    /// A ResNet with `depths` blocks in its four stages.
    pub(super) fn new(kind: Kind, depths: [usize; 4], device: &Device) -> Self {
        let expansion = if kind == Kind::Basic { 1 } else { 4 };
        let stage = |index: usize| {
            let width = 64 << index;
            let outputs = width * expansion;
            let before = if index == 0 { 64 } else { outputs / 2 };
            let stride = if index == 0 { 1 } else { 2 };
            let block = |i| match i {
                0 => Block::new(kind, before, width, outputs, stride, device),
                _ => Block::new(kind, outputs, width, outputs, 1, device),
            };
            (0..depths[index]).map(block).collect::<Vec<_>>()
        };
        Self {
            conv1: bare(conv([3, 64], 7, 2, 3), device),
            bn1: norm(64, EPSILON, device),
            layer1: stage(0),
            layer2: stage(1),
            layer3: stage(2),
            layer4: stage(3),
            fc: linear(512 * expansion, CLASSES, device),
        }
    }

    /// `[n, 3, 224, 224]` → `[n, 1000]`.
    pub(super) fn forward(&self, x: Tensor<4>) -> Tensor<2> {
        let x = relu(self.bn1.forward(convolve(&self.conv1, x)));
        let x = max_pool(x, 3, 2, 1, Rounding::Floor);
        let stages = [&self.layer1, &self.layer2, &self.layer3, &self.layer4];
        let x = stages.into_iter().flatten().fold(x, |x, block| block.forward(x));
        apply_linear(&self.fc, global_features(x))
    }
}

/// A convolution without a bias.
fn bare(config: Conv2dConfig, device: &Device) -> Conv2d {
    config.with_bias(false).init(device)
}

/// A residual block: `conv3` is there in a bottleneck, `downsample` where the shape changes.
#[derive(Module, Debug)]
pub struct Block {
    conv1: Conv2d,
    bn1: Norm,
    conv2: Conv2d,
    bn2: Norm,
    conv3: Option<Conv2d>,
    bn3: Option<Norm>,
    downsample: Option<Unit>,
}

impl Block {
    fn new(kind: Kind, inputs: usize, width: usize, outputs: usize, stride: usize, device: &Device) -> Self {
        let bottleneck = kind == Kind::Bottleneck;
        let (kernel, first, second) = if bottleneck { (1, 1, stride) } else { (3, stride, 1) };
        let reshapes = stride != 1 || inputs != outputs;
        Self {
            conv1: bare(conv([inputs, width], kernel, first, kernel / 2), device),
            bn1: norm(width, EPSILON, device),
            conv2: bare(conv([width, width], 3, second, 1), device),
            bn2: norm(width, EPSILON, device),
            conv3: bottleneck.then(|| bare(conv([width, outputs], 1, 1, 0), device)),
            bn3: bottleneck.then(|| norm(outputs, EPSILON, device)),
            downsample: reshapes.then(|| Unit::new(conv([inputs, outputs], 1, stride, 0), device)),
        }
    }

    fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let branch = relu(self.bn1.forward(convolve(&self.conv1, x.clone())));
        let mut branch = self.bn2.forward(convolve(&self.conv2, branch));
        if let (Some(conv3), Some(bn3)) = (&self.conv3, &self.bn3) {
            branch = bn3.forward(convolve(conv3, relu(branch)));
        }
        let identity = match &self.downsample {
            Some(unit) => unit.forward(x),
            None => x,
        };
        relu(branch + identity)
    }
}

/// Size of a residual branch relative to the sum that it is added to.
const BRANCH: f64 = 0.7;

/// Scales for seeded weights. In a trained block the running variance holds the branch at its size however much the sum has
/// grown; here the gain of the first convolution does: it divides by the expected size of the sum.
pub(super) fn typical(kind: Kind, depths: [usize; 4], key: &str) -> Option<f64> {
    // The mean square after block k of a stage: that of the first block, and four fifths of each branch after it.
    let sum = |k: usize| (1.0 + BRANCH * BRANCH) / 2.0 + 0.8 * BRANCH * BRANCH * k as f64;
    if key == "fc.weight" {
        return Some(1.5 / sum(depths[3] - 1).sqrt());
    }
    let (stage, rest) = key.strip_prefix("layer")?.split_once('.')?;
    let (block, tensor) = rest.split_once('.')?;
    let (stage, block): (usize, usize) = (stage.parse().ok()?, block.parse().ok()?);
    let input = match (stage, block) {
        // A max pool over a ReLU.
        (1, 0) => 1.45,
        (_, 0) => sum(depths[stage - 2] - 1),
        _ => sum(block - 1),
    };
    let last = if kind == Kind::Basic { "bn2.weight" } else { "bn3.weight" };
    match tensor {
        "conv1.weight" | "downsample.0.weight" => Some(1.03 / input.sqrt()),
        _ if tensor == last => Some(BRANCH),
        _ => None,
    }
}
