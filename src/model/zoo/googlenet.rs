//! GoogLeNet twice: Inception v1 as the paper and BVLC have it (5×5 convolutions, LRN, biases), and torchvision's version
//! with batch norm, whose 5×5 branch is a 3×3. Every max pool rounds up.

use super::blocks::{
    ConvNorm, PoolBranch, Rounding, apply_linear, chain, concat, conv, convolve, global_features, linear,
    local_response_norm, max_pool, relu,
};
use super::classes::CLASSES;
use super::image::image_network;
use crate::model::fold::{self, Fold};
use burn::module::Module;
use burn::nn::Linear;
use burn::nn::conv::Conv2d;
use burn::tensor::{Device, Tensor};

/// Channels of one Inception block.
struct Widths {
    inputs: usize,
    one: usize,
    three: [usize; 2],
    five: [usize; 2],
    pool: usize,
}

const fn widths(inputs: usize, one: usize, three: [usize; 2], five: [usize; 2], pool: usize) -> Widths {
    Widths { inputs, one, three, five, pool }
}

/// The paper's Table 1: 3a, 3b, 4a … 4e, 5a, 5b.
const TABLE: [Widths; 9] = [
    widths(192, 64, [96, 128], [16, 32], 32),
    widths(256, 128, [128, 192], [32, 96], 64),
    widths(480, 192, [96, 208], [16, 48], 64),
    widths(512, 160, [112, 224], [24, 64], 64),
    widths(512, 128, [128, 256], [24, 64], 64),
    widths(512, 112, [144, 288], [32, 64], 64),
    widths(528, 256, [160, 320], [32, 128], 128),
    widths(832, 256, [160, 320], [32, 128], 128),
    widths(832, 384, [192, 384], [48, 128], 128),
];

/// The max pool in front of a block's projection: 3/1, padded by 1.
fn pool_branch(x: Tensor<4>) -> Tensor<4> {
    max_pool(x, 3, 1, 1, Rounding::Ceil)
}

/// The max pool between stages: 3/2, rounding up.
fn pool_stage(x: Tensor<4>) -> Tensor<4> {
    max_pool(x, 3, 2, 0, Rounding::Ceil)
}

/// GoogLeNet of 2014: 224 px.
#[derive(Module, Debug)]
pub struct Googlenet {
    conv1: Conv2d,
    conv2: Conv2d,
    conv3: Conv2d,
    inception3a: Inception,
    inception3b: Inception,
    inception4a: Inception,
    inception4b: Inception,
    inception4c: Inception,
    inception4d: Inception,
    inception4e: Inception,
    inception5a: Inception,
    inception5b: Inception,
    fc: Linear,
}

// It has no batch norm.
impl Fold for Googlenet {}

image_network!(Googlenet);

impl Googlenet {
    pub(super) fn new(device: &Device) -> Self {
        let [a3, b3, a4, b4, c4, d4, e4, a5, b5] = TABLE.map(|w| Inception::new(&w, device));
        Self {
            conv1: conv([3, 64], 7, 2, 3).init(device),
            conv2: conv([64, 64], 1, 1, 0).init(device),
            conv3: conv([64, 192], 3, 1, 1).init(device),
            inception3a: a3,
            inception3b: b3,
            inception4a: a4,
            inception4b: b4,
            inception4c: c4,
            inception4d: d4,
            inception4e: e4,
            inception5a: a5,
            inception5b: b5,
            fc: linear(1024, CLASSES, device),
        }
    }

    /// `[n, 3, 224, 224]` → `[n, 1000]`.
    pub(super) fn forward(&self, x: Tensor<4>) -> Tensor<2> {
        let x = local_response_norm(pool_stage(relu(convolve(&self.conv1, x))));
        let x = relu(convolve(&self.conv3, relu(convolve(&self.conv2, x))));
        let x = pool_stage(local_response_norm(x));
        let x = pool_stage(self.inception3b.forward(self.inception3a.forward(x)));
        let stage = [&self.inception4a, &self.inception4b, &self.inception4c, &self.inception4d, &self.inception4e];
        let x = pool_stage(stage.into_iter().fold(x, |x, block| block.forward(x)));
        let x = self.inception5b.forward(self.inception5a.forward(x));
        apply_linear(&self.fc, global_features(x))
    }
}

/// An Inception block without batch norm.
#[derive(Module, Debug)]
pub struct Inception {
    branch1: Single,
    branch2: Pair,
    branch3: Pair,
    branch4: Projection,
}

/// One convolution, then a ReLU.
#[derive(Module, Debug)]
pub struct Single {
    _0: Conv2d,
}

/// A convolution, a ReLU, a second convolution, a ReLU.
#[derive(Module, Debug)]
pub struct Pair {
    _0: Conv2d,
    _2: Conv2d,
}

/// A pool, a convolution, a ReLU.
#[derive(Module, Debug)]
pub struct Projection {
    _1: Conv2d,
}

impl Inception {
    fn new(w: &Widths, device: &Device) -> Self {
        let reduce = |outputs| conv([w.inputs, outputs], 1, 1, 0).init(device);
        Self {
            branch1: Single { _0: reduce(w.one) },
            branch2: Pair { _0: reduce(w.three[0]), _2: conv(w.three, 3, 1, 1).init(device) },
            branch3: Pair { _0: reduce(w.five[0]), _2: conv(w.five, 5, 1, 2).init(device) },
            branch4: Projection { _1: reduce(w.pool) },
        }
    }

    fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        concat([
            relu(convolve(&self.branch1._0, x.clone())),
            self.branch2.forward(x.clone()),
            self.branch3.forward(x.clone()),
            relu(convolve(&self.branch4._1, pool_branch(x))),
        ])
    }
}

impl Pair {
    fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        relu(convolve(&self._2, relu(convolve(&self._0, x))))
    }
}

/// torchvision's `googlenet`: 224 px, batch norm (ε 1e-3), no `transform_input`.
#[derive(Module, Debug)]
pub struct GooglenetBn {
    conv1: ConvNorm,
    conv2: ConvNorm,
    conv3: ConvNorm,
    inception3a: InceptionBn,
    inception3b: InceptionBn,
    inception4a: InceptionBn,
    inception4b: InceptionBn,
    inception4c: InceptionBn,
    inception4d: InceptionBn,
    inception4e: InceptionBn,
    inception5a: InceptionBn,
    inception5b: InceptionBn,
    fc: Linear,
}

image_network!(GooglenetBn);

fold::fold_fields!(
    GooglenetBn: conv1, conv2, conv3, inception3a, inception3b, inception4a, inception4b, inception4c, inception4d,
    inception4e, inception5a, inception5b,
);
fold::fold_fields!(InceptionBn: branch1, branch2, branch3, branch4);

impl GooglenetBn {
    pub(super) fn new(device: &Device) -> Self {
        let [a3, b3, a4, b4, c4, d4, e4, a5, b5] = TABLE.map(|w| InceptionBn::new(&w, device));
        Self {
            conv1: ConvNorm::square([3, 64], 7, 2, 3, device),
            conv2: ConvNorm::square([64, 64], 1, 1, 0, device),
            conv3: ConvNorm::square([64, 192], 3, 1, 1, device),
            inception3a: a3,
            inception3b: b3,
            inception4a: a4,
            inception4b: b4,
            inception4c: c4,
            inception4d: d4,
            inception4e: e4,
            inception5a: a5,
            inception5b: b5,
            fc: linear(1024, CLASSES, device),
        }
    }

    /// `[n, 3, 224, 224]` → `[n, 1000]`; the pool before the last stage is 2/2.
    pub(super) fn forward(&self, x: Tensor<4>) -> Tensor<2> {
        let x = pool_stage(self.conv1.forward(x));
        let x = pool_stage(self.conv3.forward(self.conv2.forward(x)));
        let x = pool_stage(self.inception3b.forward(self.inception3a.forward(x)));
        let stage = [&self.inception4a, &self.inception4b, &self.inception4c, &self.inception4d, &self.inception4e];
        let x = stage.into_iter().fold(x, |x, block| block.forward(x));
        let x = max_pool(x, 2, 2, 0, Rounding::Ceil);
        let x = self.inception5b.forward(self.inception5a.forward(x));
        apply_linear(&self.fc, global_features(x))
    }
}

/// An Inception block with batch norm; `branch3` is a 3×3 although the paper's is a 5×5.
#[derive(Module, Debug)]
pub struct InceptionBn {
    branch1: ConvNorm,
    branch2: Vec<ConvNorm>,
    branch3: Vec<ConvNorm>,
    branch4: PoolBranch,
}

impl InceptionBn {
    fn new(w: &Widths, device: &Device) -> Self {
        let reduce = |outputs| ConvNorm::square([w.inputs, outputs], 1, 1, 0, device);
        let three = |channels: [usize; 2]| vec![reduce(channels[0]), ConvNorm::square(channels, 3, 1, 1, device)];
        Self {
            branch1: reduce(w.one),
            branch2: three(w.three),
            branch3: three(w.five),
            branch4: PoolBranch::new([w.inputs, w.pool], device),
        }
    }

    fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        concat([
            self.branch1.forward(x.clone()),
            chain(&self.branch2, x.clone()),
            chain(&self.branch3, x.clone()),
            self.branch4.forward(pool_branch(x)),
        ])
    }
}
