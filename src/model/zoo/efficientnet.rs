//! EfficientNet-B0, as torchvision's `efficientnet_b0`: SiLU, squeeze-and-excitation, depthwise convolutions.

use super::blocks::{DropoutLinear, Unit, conv, convolve, global_average, global_features};
use super::image::image_network;
use crate::model::fold::{self, Fold, FoldError};
use burn::module::Module;
use burn::nn::conv::Conv2d;
use burn::tensor::activation::{sigmoid, silu};
use burn::tensor::{Device, Tensor};

/// EfficientNet-B0: 224 px.
#[derive(Module, Debug)]
pub struct Efficientnet {
    features: Vec<Stage>,
    classifier: DropoutLinear,
}

image_network!(Efficientnet);

/// An element of `features`.
#[derive(Module, Debug)]
pub enum Stage {
    /// Convolution, batch norm, SiLU: the first and the last.
    Unit(Unit),
    /// Everything between.
    Blocks(Vec<MbConv>),
}

/// An inverted residual with squeeze-and-excitation.
#[derive(Module, Debug)]
pub struct MbConv {
    block: Vec<Step>,
    residual: bool,
}

/// A step of an inverted residual.
#[derive(Module, Debug)]
pub enum Step {
    /// Convolution, batch norm, SiLU.
    Unit(Unit),
    /// Squeeze-and-excitation.
    Excite(SqueezeExcite),
    /// Convolution and batch norm: the projection.
    Project(Unit),
}

/// Scales each channel by a gate that two convolutions make of all channels' means.
#[derive(Module, Debug)]
pub struct SqueezeExcite {
    fc1: Conv2d,
    fc2: Conv2d,
}

fold::fold_fields!(Efficientnet: features);
fold::fold_fields!(MbConv: block);

impl Fold for Stage {
    fn fold(&mut self) -> Result<(), FoldError> {
        match self {
            Self::Unit(unit) => unit.fold(),
            Self::Blocks(blocks) => blocks.fold(),
        }
    }
}

impl Fold for Step {
    fn fold(&mut self) -> Result<(), FoldError> {
        match self {
            Self::Unit(unit) | Self::Project(unit) => unit.fold(),
            Self::Excite(_) => Ok(()),
        }
    }
}

impl Efficientnet {
    pub(super) fn new(device: &Device) -> Self {
        // Expansion, kernel, stride of the first block, inputs, outputs, blocks: the paper's Table 1.
        let table = [
            (1, 3, 1, 32, 16, 1),
            (6, 3, 2, 16, 24, 2),
            (6, 5, 2, 24, 40, 2),
            (6, 3, 2, 40, 80, 3),
            (6, 5, 1, 80, 112, 3),
            (6, 5, 2, 112, 192, 4),
            (6, 3, 1, 192, 320, 1),
        ];
        let mut features = vec![Stage::Unit(Unit::new(conv([3, 32], 3, 2, 1), device))];
        for (expansion, kernel, stride, inputs, outputs, depth) in table {
            let block = |i| match i {
                0 => MbConv::new([inputs, outputs], expansion, kernel, stride, device),
                _ => MbConv::new([outputs; 2], expansion, kernel, 1, device),
            };
            features.push(Stage::Blocks((0..depth).map(block).collect()));
        }
        features.push(Stage::Unit(Unit::pointwise([320, 1280], device)));
        Self { features, classifier: DropoutLinear::new(1280, device) }
    }

    /// `[n, 3, 224, 224]` → `[n, 1000]`.
    pub(super) fn forward(&self, x: Tensor<4>) -> Tensor<2> {
        let x = self.features.iter().fold(x, |x, stage| match stage {
            Stage::Unit(unit) => silu(unit.forward(x)),
            Stage::Blocks(blocks) => blocks.iter().fold(x, |x, block| block.forward(x)),
        });
        self.classifier.forward(global_features(x))
    }
}

impl MbConv {
    fn new([inputs, outputs]: [usize; 2], expansion: usize, kernel: usize, stride: usize, device: &Device) -> Self {
        let hidden = inputs * expansion;
        let mut block = Vec::new();
        if expansion != 1 {
            block.push(Step::Unit(Unit::pointwise([inputs, hidden], device)));
        }
        block.push(Step::Unit(Unit::depthwise(hidden, kernel, stride, device)));
        block.push(Step::Excite(SqueezeExcite::new(hidden, inputs / 4, device)));
        block.push(Step::Project(Unit::pointwise([hidden, outputs], device)));
        Self { block, residual: stride == 1 && inputs == outputs }
    }

    fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let branch = self.block.iter().fold(x.clone(), |x, step| match step {
            Step::Unit(unit) => silu(unit.forward(x)),
            Step::Excite(excite) => excite.forward(x),
            Step::Project(unit) => unit.forward(x),
        });
        if self.residual { x + branch } else { branch }
    }
}

impl SqueezeExcite {
    fn new(channels: usize, squeezed: usize, device: &Device) -> Self {
        Self {
            fc1: conv([channels, squeezed], 1, 1, 0).init(device),
            fc2: conv([squeezed, channels], 1, 1, 0).init(device),
        }
    }

    fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let scale = silu(convolve(&self.fc1, global_average(x.clone())));
        x * sigmoid(convolve(&self.fc2, scale))
    }
}

/// Scales for seeded weights: SiLU keeps 0.36 of a mean square, excitation 0.27 of that, and blocks have linear outputs.
///
/// A ReLU is homogeneous: it doubles its output where its input doubles. SiLU more than doubles it, and thirty in a row would
/// make any deviation from the expected size explode. A quarter of the mean square in front of each SiLU is therefore the
/// norm's β, which does not depend on the signal.
pub(super) fn typical(key: &str, channel: usize) -> Option<f64> {
    // features.<stage>.<block>.block.<step>.…: the first stage alone has no expansion, so its steps start one later.
    let path: Vec<&str> = key.split('.').collect();
    let beta = if channel.is_multiple_of(2) { 0.5 } else { -0.5 };
    match path.as_slice() {
        ["features", stage, block, "block", step, tensor @ ..] => {
            let (block, step): (f64, usize) = (block.parse().ok()?, step.parse().ok()?);
            match (step + usize::from(*stage == "1"), tensor) {
                // Each block before this one of the stage added a quarter.
                (0, ["0", "weight"]) => Some((1.0 + 0.25 * (block - 1.0).max(0.0)).sqrt().recip()),
                (1, ["0", "weight"]) => Some(1.68),
                (0 | 1, ["1", "weight"]) => Some(0.85),
                (0 | 1, ["1", "bias"]) => Some(beta),
                (2, ["fc1", "weight"]) => Some(2.0),
                (2, ["fc2", "weight"]) => Some(1.0),
                (3, ["0", "weight"]) => Some(3.2),
                (3, ["1", "weight"]) if block > 0.0 => Some(0.5),
                _ => None,
            }
        }
        ["features", "8", "0", "weight"] => Some(1.0),
        ["features", _, "1", "weight"] => Some(0.85),
        ["features", _, "1", "bias"] => Some(beta),
        ["classifier", "1", "weight"] => Some(3.0),
        _ => None,
    }
}
