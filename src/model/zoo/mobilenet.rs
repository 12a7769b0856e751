//! MobileNet-v1 as timm's `mobilenetv1_100` and MobileNet-v2 as torchvision's `mobilenet_v2`, both of width 1.

use super::blocks::{DropoutLinear, Unit, apply_linear, conv, convolve, global_features, linear, norm, relu6};
use super::classes::CLASSES;
use super::image::image_network;
use crate::model::fold::{self, Fold, FoldError, Norm};
use burn::module::Module;
use burn::nn::Linear;
use burn::nn::conv::{Conv2d, Conv2dConfig};
use burn::tensor::{Device, Tensor};

/// ε of every batch norm.
const EPSILON: f64 = 1e-5;

/// A convolution without a bias.
fn bare(config: Conv2dConfig, device: &Device) -> Conv2d {
    config.with_bias(false).init(device)
}

/// MobileNet-v1: 224 px, ReLU6 throughout.
#[derive(Module, Debug)]
pub struct MobilenetV1 {
    conv_stem: Conv2d,
    bn1: Norm,
    blocks: Vec<Vec<Separable>>,
    classifier: Linear,
}

image_network!(MobilenetV1);

impl Fold for MobilenetV1 {
    fn fold(&mut self) -> Result<(), FoldError> {
        fold::into_conv(&mut self.conv_stem, &mut self.bn1)?;
        self.blocks.fold()
    }
}

impl Fold for Separable {
    fn fold(&mut self) -> Result<(), FoldError> {
        fold::into_conv(&mut self.conv_dw, &mut self.bn1)?;
        fold::into_conv(&mut self.conv_pw, &mut self.bn2)
    }
}

impl MobilenetV1 {
    pub(super) fn new(device: &Device) -> Self {
        // Blocks, outputs and the stride of the first block.
        let stages = [(1, 64, 1), (2, 128, 2), (2, 256, 2), (6, 512, 2), (2, 1024, 2)];
        let mut inputs = 32;
        let stage = |(depth, outputs, stride)| {
            let block = |i| {
                let channels = [std::mem::replace(&mut inputs, outputs), outputs];
                Separable::new(channels, if i == 0 { stride } else { 1 }, device)
            };
            (0..depth).map(block).collect()
        };
        Self {
            conv_stem: bare(conv([3, 32], 3, 2, 1), device),
            bn1: norm(32, EPSILON, device),
            blocks: stages.into_iter().map(stage).collect(),
            classifier: linear(1024, CLASSES, device),
        }
    }

    /// `[n, 3, 224, 224]` → `[n, 1000]`.
    pub(super) fn forward(&self, x: Tensor<4>) -> Tensor<2> {
        let x = relu6(self.bn1.forward(convolve(&self.conv_stem, x)));
        let x = self.blocks.iter().flatten().fold(x, |x, block| block.forward(x));
        apply_linear(&self.classifier, global_features(x))
    }
}

/// A depthwise separable convolution, without a residual.
#[derive(Module, Debug)]
pub struct Separable {
    conv_dw: Conv2d,
    bn1: Norm,
    conv_pw: Conv2d,
    bn2: Norm,
}

impl Separable {
    fn new(channels: [usize; 2], stride: usize, device: &Device) -> Self {
        let [inputs, outputs] = channels;
        Self {
            conv_dw: bare(conv([inputs, inputs], 3, stride, 1).with_groups(inputs), device),
            bn1: norm(inputs, EPSILON, device),
            conv_pw: bare(conv(channels, 1, 1, 0), device),
            bn2: norm(outputs, EPSILON, device),
        }
    }

    fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let x = relu6(self.bn1.forward(convolve(&self.conv_dw, x)));
        relu6(self.bn2.forward(convolve(&self.conv_pw, x)))
    }
}

/// MobileNet-v2: 224 px, ReLU6, linear bottlenecks.
#[derive(Module, Debug)]
pub struct MobilenetV2 {
    features: Vec<Stage>,
    classifier: DropoutLinear,
}

image_network!(MobilenetV2);

/// An element of `features`.
#[derive(Module, Debug)]
pub enum Stage {
    /// Convolution, batch norm, ReLU6: the first and the last.
    Unit(Unit),
    /// Everything between.
    Inverted(Inverted),
}

/// A step of an inverted residual.
#[derive(Module, Debug)]
pub enum Step {
    /// Convolution, batch norm, ReLU6.
    Unit(Unit),
    /// The projection …
    Conv(Conv2d),
    /// … and its batch norm, after which there is no activation.
    Norm(Norm),
}

/// An inverted residual.
#[derive(Module, Debug)]
pub struct Inverted {
    conv: Vec<Step>,
    residual: bool,
}

fold::fold_fields!(MobilenetV2: features);

impl Fold for Stage {
    fn fold(&mut self) -> Result<(), FoldError> {
        match self {
            Self::Unit(unit) => unit.fold(),
            Self::Inverted(block) => block.fold(),
        }
    }
}

impl Fold for Inverted {
    fn fold(&mut self) -> Result<(), FoldError> {
        fold::adjacent(&mut self.conv, |before, after| match (before, after) {
            (Step::Unit(unit), _) => unit.fold(),
            (Step::Conv(conv), Step::Norm(norm)) => fold::into_conv(conv, norm),
            _ => Ok(()),
        })
    }
}

impl MobilenetV2 {
    pub(super) fn new(device: &Device) -> Self {
        // Expansion, outputs, blocks and the stride of the first block: the paper's Table 2.
        let table =
            [(1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1)];
        let mut features = vec![Stage::Unit(Unit::new(conv([3, 32], 3, 2, 1), device))];
        let mut inputs = 32;
        for (expansion, outputs, depth, stride) in table {
            for i in 0..depth {
                let stride = if i == 0 { stride } else { 1 };
                features.push(Stage::Inverted(Inverted::new([inputs, outputs], expansion, stride, device)));
                inputs = outputs;
            }
        }
        features.push(Stage::Unit(Unit::pointwise([320, 1280], device)));
        Self { features, classifier: DropoutLinear::new(1280, device) }
    }

    /// `[n, 3, 224, 224]` → `[n, 1000]`.
    pub(super) fn forward(&self, x: Tensor<4>) -> Tensor<2> {
        let x = self.features.iter().fold(x, |x, stage| match stage {
            Stage::Unit(unit) => relu6(unit.forward(x)),
            Stage::Inverted(block) => block.forward(x),
        });
        self.classifier.forward(global_features(x))
    }
}

impl Inverted {
    fn new([inputs, outputs]: [usize; 2], expansion: usize, stride: usize, device: &Device) -> Self {
        let hidden = inputs * expansion;
        let mut steps = Vec::new();
        if expansion != 1 {
            steps.push(Step::Unit(Unit::pointwise([inputs, hidden], device)));
        }
        steps.push(Step::Unit(Unit::depthwise(hidden, 3, stride, device)));
        steps.push(Step::Conv(bare(conv([hidden, outputs], 1, 1, 0), device)));
        steps.push(Step::Norm(norm(outputs, EPSILON, device)));
        Self { conv: steps, residual: stride == 1 && inputs == outputs }
    }

    fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let branch = self.conv.iter().fold(x.clone(), |x, step| match step {
            Step::Unit(unit) => relu6(unit.forward(x)),
            Step::Conv(conv) => convolve(conv, x),
            Step::Norm(norm) => norm.forward(x),
        });
        if self.residual { x + branch } else { branch }
    }
}

/// Scales for MobileNet-v2's seeded weights: its blocks have linear outputs of mean square 1, to which a residual adds a
/// quarter at most.
pub(super) fn typical_v2(key: &str, _: usize) -> Option<f64> {
    let path: Vec<&str> = key.split('.').collect();
    let ["features", index, tensor @ ..] = path.as_slice() else { return None };
    // The blocks that keep size and channels, and so have a residual.
    let residual = matches!(*index, "3" | "5" | "6" | "8" | "9" | "10" | "12" | "13" | "15" | "16");
    match tensor {
        ["conv", "0", "0", "weight"] if *index != "1" => Some(0.9),
        ["conv", "3", "weight"] if residual => Some(0.5),
        ["0", "weight"] if *index == "18" => Some(1.0),
        _ => None,
    }
}
