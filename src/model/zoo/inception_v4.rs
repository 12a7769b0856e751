//! Inception-v4, as timm's `inception_v4`.

use super::blocks::{
    ConvNorm, PoolBranch, Rounding, apply_linear, avg_pool_same, chain, concat, global_features, linear, max_pool,
};
use super::classes::CLASSES;
use super::image::image_network;
use crate::model::fold::{self, Fold, FoldError};
use burn::module::Module;
use burn::nn::Linear;
use burn::tensor::{Device, Tensor};

/// Inception-v4: 299 px.
#[derive(Module, Debug)]
pub struct InceptionV4 {
    features: Vec<Stage>,
    last_linear: Linear,
}

image_network!(InceptionV4);

fold::fold_fields!(InceptionV4: features);

/// An element of `features`.
#[derive(Module, Debug)]
pub enum Stage {
    /// Convolution, batch norm, ReLU.
    Unit(ConvNorm),
    /// The stem's first and third fork.
    StemFork(StemFork),
    /// The stem's second fork.
    StemPair(StemPair),
    /// 35×35.
    BlockA(BlockA),
    /// 35×35 to 17×17.
    ReductionA(ReductionA),
    /// 17×17.
    BlockB(BlockB),
    /// 17×17 to 8×8.
    ReductionB(ReductionB),
    /// 8×8.
    BlockC(BlockC),
}

impl Fold for Stage {
    fn fold(&mut self) -> Result<(), FoldError> {
        match self {
            Self::Unit(unit) => unit.fold(),
            Self::StemFork(fork) => fork.fold(),
            Self::StemPair(pair) => pair.fold(),
            Self::BlockA(block) => block.fold(),
            Self::ReductionA(block) => block.fold(),
            Self::BlockB(block) => block.fold(),
            Self::ReductionB(block) => block.fold(),
            Self::BlockC(block) => block.fold(),
        }
    }
}

impl Stage {
    fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        match self {
            Self::Unit(unit) => unit.forward(x),
            Self::StemFork(fork) => fork.forward(x),
            Self::StemPair(pair) => pair.forward(x),
            Self::BlockA(block) => block.forward(x),
            Self::ReductionA(block) => block.forward(x),
            Self::BlockB(block) => block.forward(x),
            Self::ReductionB(block) => block.forward(x),
            Self::BlockC(block) => block.forward(x),
        }
    }
}

impl InceptionV4 {
    pub(super) fn new(device: &Device) -> Self {
        let unit = |channels, stride, padding| Stage::Unit(ConvNorm::square(channels, 3, stride, padding, device));
        let mut features = vec![
            unit([3, 32], 2, 0),
            unit([32, 32], 1, 0),
            unit([32, 64], 1, 1),
            Stage::StemFork(StemFork::new([64, 96], true, device)),
            Stage::StemPair(StemPair::new(device)),
            Stage::StemFork(StemFork::new([192, 192], false, device)),
        ];
        features.extend((0..4).map(|_| Stage::BlockA(BlockA::new(device))));
        features.push(Stage::ReductionA(ReductionA::new(device)));
        features.extend((0..7).map(|_| Stage::BlockB(BlockB::new(device))));
        features.push(Stage::ReductionB(ReductionB::new(device)));
        features.extend((0..3).map(|_| Stage::BlockC(BlockC::new(device))));
        Self { features, last_linear: linear(1536, CLASSES, device) }
    }

    /// `[n, 3, 299, 299]` → `[n, 1000]`.
    pub(super) fn forward(&self, x: Tensor<4>) -> Tensor<2> {
        let x = self.features.iter().fold(x, |x, stage| stage.forward(x));
        apply_linear(&self.last_linear, global_features(x))
    }
}

/// Max 3/2.
fn halve(x: Tensor<4>) -> Tensor<4> {
    max_pool(x, 3, 2, 0, Rounding::Floor)
}

/// The average in front of a block's projection: timm leaves the padding out of the divisor.
fn pool_branch(x: Tensor<4>) -> Tensor<4> {
    avg_pool_same(x, false)
}

/// A 1×1 unit.
fn one(inputs: usize, outputs: usize, device: &Device) -> ConvNorm {
    ConvNorm::square([inputs, outputs], 1, 1, 0, device)
}

/// A 3×3 unit of stride 2 without padding.
fn half(inputs: usize, outputs: usize, device: &Device) -> ConvNorm {
    ConvNorm::square([inputs, outputs], 3, 2, 0, device)
}

/// A unit that keeps the size.
fn same(channels: [usize; 2], kernel: [usize; 2], device: &Device) -> ConvNorm {
    ConvNorm::same(channels, kernel, device)
}

/// Max pool and convolution of stride 2 side by side.
#[derive(Module, Debug)]
pub struct StemFork {
    conv: ConvNorm,
    pool_first: bool,
}

fold::fold_fields!(StemFork: conv);

impl StemFork {
    fn new([inputs, outputs]: [usize; 2], pool_first: bool, device: &Device) -> Self {
        Self { conv: half(inputs, outputs, device), pool_first }
    }

    fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let conv = self.conv.forward(x.clone());
        let pooled = halve(x);
        concat(if self.pool_first { [pooled, conv] } else { [conv, pooled] })
    }
}

/// 160 → 192 channels, 73×73 to 71×71.
#[derive(Module, Debug)]
pub struct StemPair {
    branch0: Vec<ConvNorm>,
    branch1: Vec<ConvNorm>,
}

fold::fold_fields!(StemPair: branch0, branch1);

impl StemPair {
    fn new(device: &Device) -> Self {
        let last = || ConvNorm::square([64, 96], 3, 1, 0, device);
        Self {
            branch0: vec![one(160, 64, device), last()],
            branch1: vec![one(160, 64, device), same([64, 64], [1, 7], device), same([64, 64], [7, 1], device), last()],
        }
    }

    fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        concat([chain(&self.branch0, x.clone()), chain(&self.branch1, x)])
    }
}

/// 35×35, 384 channels.
#[derive(Module, Debug)]
pub struct BlockA {
    branch0: ConvNorm,
    branch1: Vec<ConvNorm>,
    branch2: Vec<ConvNorm>,
    branch3: PoolBranch,
}

fold::fold_fields!(BlockA: branch0, branch1, branch2, branch3);

impl BlockA {
    fn new(device: &Device) -> Self {
        let three = |inputs| same([inputs, 96], [3, 3], device);
        Self {
            branch0: one(384, 96, device),
            branch1: vec![one(384, 64, device), three(64)],
            branch2: vec![one(384, 64, device), three(64), three(96)],
            branch3: PoolBranch::new([384, 96], device),
        }
    }

    fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        concat([
            self.branch0.forward(x.clone()),
            chain(&self.branch1, x.clone()),
            chain(&self.branch2, x.clone()),
            self.branch3.forward(pool_branch(x)),
        ])
    }
}

/// 384 channels at 35×35 to 1024 at 17×17.
#[derive(Module, Debug)]
pub struct ReductionA {
    branch0: ConvNorm,
    branch1: Vec<ConvNorm>,
}

fold::fold_fields!(ReductionA: branch0, branch1);

impl ReductionA {
    fn new(device: &Device) -> Self {
        Self {
            branch0: half(384, 384, device),
            branch1: vec![one(384, 192, device), same([192, 224], [3, 3], device), half(224, 256, device)],
        }
    }

    fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        concat([self.branch0.forward(x.clone()), chain(&self.branch1, x.clone()), halve(x)])
    }
}

/// 17×17, 1024 channels.
#[derive(Module, Debug)]
pub struct BlockB {
    branch0: ConvNorm,
    branch1: Vec<ConvNorm>,
    branch2: Vec<ConvNorm>,
    branch3: PoolBranch,
}

fold::fold_fields!(BlockB: branch0, branch1, branch2, branch3);

impl BlockB {
    fn new(device: &Device) -> Self {
        let wide = |channels| same(channels, [1, 7], device);
        let tall = |channels| same(channels, [7, 1], device);
        Self {
            branch0: one(1024, 384, device),
            branch1: vec![one(1024, 192, device), wide([192, 224]), tall([224, 256])],
            branch2: vec![
                one(1024, 192, device),
                tall([192, 192]),
                wide([192, 224]),
                tall([224, 224]),
                wide([224, 256]),
            ],
            branch3: PoolBranch::new([1024, 128], device),
        }
    }

    fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        concat([
            self.branch0.forward(x.clone()),
            chain(&self.branch1, x.clone()),
            chain(&self.branch2, x.clone()),
            self.branch3.forward(pool_branch(x)),
        ])
    }
}

/// 1024 channels at 17×17 to 1536 at 8×8.
#[derive(Module, Debug)]
pub struct ReductionB {
    branch0: Vec<ConvNorm>,
    branch1: Vec<ConvNorm>,
}

fold::fold_fields!(ReductionB: branch0, branch1);

impl ReductionB {
    fn new(device: &Device) -> Self {
        Self {
            branch0: vec![one(1024, 192, device), half(192, 192, device)],
            branch1: vec![
                one(1024, 256, device),
                same([256, 256], [1, 7], device),
                same([256, 320], [7, 1], device),
                half(320, 320, device),
            ],
        }
    }

    fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        concat([chain(&self.branch0, x.clone()), chain(&self.branch1, x.clone()), halve(x)])
    }
}

/// 8×8, 1536 channels.
#[derive(Module, Debug)]
pub struct BlockC {
    branch0: ConvNorm,
    branch1_0: ConvNorm,
    branch1_1a: ConvNorm,
    branch1_1b: ConvNorm,
    branch2_0: ConvNorm,
    branch2_1: ConvNorm,
    branch2_2: ConvNorm,
    branch2_3a: ConvNorm,
    branch2_3b: ConvNorm,
    branch3: PoolBranch,
}

fold::fold_fields!(BlockC: branch0, branch1_0, branch1_1a, branch1_1b, branch2_0, branch2_1, branch2_2, branch2_3a, branch2_3b, branch3);

impl BlockC {
    fn new(device: &Device) -> Self {
        let wide = |channels| same(channels, [1, 3], device);
        let tall = |channels| same(channels, [3, 1], device);
        Self {
            branch0: one(1536, 256, device),
            branch1_0: one(1536, 384, device),
            branch1_1a: wide([384, 256]),
            branch1_1b: tall([384, 256]),
            branch2_0: one(1536, 384, device),
            branch2_1: tall([384, 448]),
            branch2_2: wide([448, 512]),
            branch2_3a: wide([512, 256]),
            branch2_3b: tall([512, 256]),
            branch3: PoolBranch::new([1536, 256], device),
        }
    }

    fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let one = self.branch1_0.forward(x.clone());
        let two = self.branch2_1.forward(self.branch2_0.forward(x.clone()));
        let two = self.branch2_2.forward(two);
        concat([
            self.branch0.forward(x.clone()),
            self.branch1_1a.forward(one.clone()),
            self.branch1_1b.forward(one),
            self.branch2_3a.forward(two.clone()),
            self.branch2_3b.forward(two),
            self.branch3.forward(pool_branch(x)),
        ])
    }
}
