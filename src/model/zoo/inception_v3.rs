//! Inception-v3, as torchvision's `inception_v3` without the auxiliary head and without `transform_input`.

// Fields are the state dict's keys.
#![allow(non_snake_case)]

use super::blocks::{ConvNorm, Rounding, apply_linear, avg_pool_same, concat, global_features, linear, max_pool};
use super::classes::CLASSES;
use super::image::image_network;
use crate::model::fold;
use burn::module::Module;
use burn::nn::Linear;
use burn::tensor::{Device, Tensor};

/// Inception-v3: 299 px.
#[derive(Module, Debug)]
pub struct InceptionV3 {
    Conv2d_1a_3x3: ConvNorm,
    Conv2d_2a_3x3: ConvNorm,
    Conv2d_2b_3x3: ConvNorm,
    Conv2d_3b_1x1: ConvNorm,
    Conv2d_4a_3x3: ConvNorm,
    Mixed_5b: BlockA,
    Mixed_5c: BlockA,
    Mixed_5d: BlockA,
    Mixed_6a: BlockB,
    Mixed_6b: BlockC,
    Mixed_6c: BlockC,
    Mixed_6d: BlockC,
    Mixed_6e: BlockC,
    Mixed_7a: BlockD,
    Mixed_7b: BlockE,
    Mixed_7c: BlockE,
    fc: Linear,
}

image_network!(InceptionV3);

fold::fold_fields!(InceptionV3: Conv2d_1a_3x3, Conv2d_2a_3x3, Conv2d_2b_3x3, Conv2d_3b_1x1, Conv2d_4a_3x3, Mixed_5b, Mixed_5c, Mixed_5d, Mixed_6a, Mixed_6b, Mixed_6c, Mixed_6d, Mixed_6e, Mixed_7a, Mixed_7b, Mixed_7c);

impl InceptionV3 {
    pub(super) fn new(device: &Device) -> Self {
        let unit = |channels, kernel, stride, padding| ConvNorm::square(channels, kernel, stride, padding, device);
        Self {
            Conv2d_1a_3x3: unit([3, 32], 3, 2, 0),
            Conv2d_2a_3x3: unit([32, 32], 3, 1, 0),
            Conv2d_2b_3x3: unit([32, 64], 3, 1, 1),
            Conv2d_3b_1x1: unit([64, 80], 1, 1, 0),
            Conv2d_4a_3x3: unit([80, 192], 3, 1, 0),
            Mixed_5b: BlockA::new(192, 32, device),
            Mixed_5c: BlockA::new(256, 64, device),
            Mixed_5d: BlockA::new(288, 64, device),
            Mixed_6a: BlockB::new(device),
            Mixed_6b: BlockC::new(128, device),
            Mixed_6c: BlockC::new(160, device),
            Mixed_6d: BlockC::new(160, device),
            Mixed_6e: BlockC::new(192, device),
            Mixed_7a: BlockD::new(device),
            Mixed_7b: BlockE::new(1280, device),
            Mixed_7c: BlockE::new(2048, device),
            fc: linear(2048, CLASSES, device),
        }
    }

    /// `[n, 3, 299, 299]` → `[n, 1000]`.
    pub(super) fn forward(&self, x: Tensor<4>) -> Tensor<2> {
        let x = self.Conv2d_2a_3x3.forward(self.Conv2d_1a_3x3.forward(x));
        let x = halve(self.Conv2d_2b_3x3.forward(x));
        let x = halve(self.Conv2d_4a_3x3.forward(self.Conv2d_3b_1x1.forward(x)));
        let x = self.Mixed_5d.forward(self.Mixed_5c.forward(self.Mixed_5b.forward(x)));
        let x = self.Mixed_6c.forward(self.Mixed_6b.forward(self.Mixed_6a.forward(x)));
        let x = self.Mixed_7a.forward(self.Mixed_6e.forward(self.Mixed_6d.forward(x)));
        let x = self.Mixed_7c.forward(self.Mixed_7b.forward(x));
        apply_linear(&self.fc, global_features(x))
    }
}

/// Max 3/2.
fn halve(x: Tensor<4>) -> Tensor<4> {
    max_pool(x, 3, 2, 0, Rounding::Floor)
}

/// The average in front of a block's projection: torchvision counts the padding.
fn pool_branch(x: Tensor<4>) -> Tensor<4> {
    avg_pool_same(x, true)
}

/// 35×35: 1×1, 5×5, two 3×3, pool.
#[derive(Module, Debug)]
pub struct BlockA {
    branch1x1: ConvNorm,
    branch5x5_1: ConvNorm,
    branch5x5_2: ConvNorm,
    branch3x3dbl_1: ConvNorm,
    branch3x3dbl_2: ConvNorm,
    branch3x3dbl_3: ConvNorm,
    branch_pool: ConvNorm,
}

fold::fold_fields!(BlockA: branch1x1, branch5x5_1, branch5x5_2, branch3x3dbl_1, branch3x3dbl_2, branch3x3dbl_3, branch_pool);

impl BlockA {
    fn new(inputs: usize, pool: usize, device: &Device) -> Self {
        let one = |inputs, outputs| ConvNorm::square([inputs, outputs], 1, 1, 0, device);
        let same = |channels, kernel| ConvNorm::same(channels, kernel, device);
        Self {
            branch1x1: one(inputs, 64),
            branch5x5_1: one(inputs, 48),
            branch5x5_2: same([48, 64], [5, 5]),
            branch3x3dbl_1: one(inputs, 64),
            branch3x3dbl_2: same([64, 96], [3, 3]),
            branch3x3dbl_3: same([96, 96], [3, 3]),
            branch_pool: one(inputs, pool),
        }
    }

    fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let five = self.branch5x5_2.forward(self.branch5x5_1.forward(x.clone()));
        let three = self.branch3x3dbl_2.forward(self.branch3x3dbl_1.forward(x.clone()));
        let three = self.branch3x3dbl_3.forward(three);
        concat([self.branch1x1.forward(x.clone()), five, three, self.branch_pool.forward(pool_branch(x))])
    }
}

/// 35×35 to 17×17.
#[derive(Module, Debug)]
pub struct BlockB {
    branch3x3: ConvNorm,
    branch3x3dbl_1: ConvNorm,
    branch3x3dbl_2: ConvNorm,
    branch3x3dbl_3: ConvNorm,
}

fold::fold_fields!(BlockB: branch3x3, branch3x3dbl_1, branch3x3dbl_2, branch3x3dbl_3);

impl BlockB {
    fn new(device: &Device) -> Self {
        let half = |channels| ConvNorm::square(channels, 3, 2, 0, device);
        Self {
            branch3x3: half([288, 384]),
            branch3x3dbl_1: ConvNorm::square([288, 64], 1, 1, 0, device),
            branch3x3dbl_2: ConvNorm::same([64, 96], [3, 3], device),
            branch3x3dbl_3: half([96, 96]),
        }
    }

    fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let double = self.branch3x3dbl_2.forward(self.branch3x3dbl_1.forward(x.clone()));
        concat([self.branch3x3.forward(x.clone()), self.branch3x3dbl_3.forward(double), halve(x)])
    }
}

/// 17×17, 7×7 convolutions as 1×7 and 7×1; `width` is the number of channels between them.
#[derive(Module, Debug)]
pub struct BlockC {
    branch1x1: ConvNorm,
    branch7x7_1: ConvNorm,
    branch7x7_2: ConvNorm,
    branch7x7_3: ConvNorm,
    branch7x7dbl_1: ConvNorm,
    branch7x7dbl_2: ConvNorm,
    branch7x7dbl_3: ConvNorm,
    branch7x7dbl_4: ConvNorm,
    branch7x7dbl_5: ConvNorm,
    branch_pool: ConvNorm,
}

fold::fold_fields!(BlockC: branch1x1, branch7x7_1, branch7x7_2, branch7x7_3, branch7x7dbl_1, branch7x7dbl_2, branch7x7dbl_3, branch7x7dbl_4, branch7x7dbl_5, branch_pool);

impl BlockC {
    fn new(width: usize, device: &Device) -> Self {
        let one = |inputs, outputs| ConvNorm::square([inputs, outputs], 1, 1, 0, device);
        let same = |channels, kernel| ConvNorm::same(channels, kernel, device);
        Self {
            branch1x1: one(768, 192),
            branch7x7_1: one(768, width),
            branch7x7_2: same([width, width], [1, 7]),
            branch7x7_3: same([width, 192], [7, 1]),
            branch7x7dbl_1: one(768, width),
            branch7x7dbl_2: same([width, width], [7, 1]),
            branch7x7dbl_3: same([width, width], [1, 7]),
            branch7x7dbl_4: same([width, width], [7, 1]),
            branch7x7dbl_5: same([width, 192], [1, 7]),
            branch_pool: one(768, 192),
        }
    }

    fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let seven = self.branch7x7_2.forward(self.branch7x7_1.forward(x.clone()));
        let seven = self.branch7x7_3.forward(seven);
        let double = self.branch7x7dbl_2.forward(self.branch7x7dbl_1.forward(x.clone()));
        let double = self.branch7x7dbl_4.forward(self.branch7x7dbl_3.forward(double));
        let double = self.branch7x7dbl_5.forward(double);
        concat([self.branch1x1.forward(x.clone()), seven, double, self.branch_pool.forward(pool_branch(x))])
    }
}

/// 17×17 to 8×8.
#[derive(Module, Debug)]
pub struct BlockD {
    branch3x3_1: ConvNorm,
    branch3x3_2: ConvNorm,
    branch7x7x3_1: ConvNorm,
    branch7x7x3_2: ConvNorm,
    branch7x7x3_3: ConvNorm,
    branch7x7x3_4: ConvNorm,
}

fold::fold_fields!(BlockD: branch3x3_1, branch3x3_2, branch7x7x3_1, branch7x7x3_2, branch7x7x3_3, branch7x7x3_4);

impl BlockD {
    fn new(device: &Device) -> Self {
        let one = |inputs, outputs| ConvNorm::square([inputs, outputs], 1, 1, 0, device);
        let same = |channels, kernel| ConvNorm::same(channels, kernel, device);
        let half = |channels| ConvNorm::square(channels, 3, 2, 0, device);
        Self {
            branch3x3_1: one(768, 192),
            branch3x3_2: half([192, 320]),
            branch7x7x3_1: one(768, 192),
            branch7x7x3_2: same([192, 192], [1, 7]),
            branch7x7x3_3: same([192, 192], [7, 1]),
            branch7x7x3_4: half([192, 192]),
        }
    }

    fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let three = self.branch3x3_2.forward(self.branch3x3_1.forward(x.clone()));
        let seven = self.branch7x7x3_2.forward(self.branch7x7x3_1.forward(x.clone()));
        let seven = self.branch7x7x3_4.forward(self.branch7x7x3_3.forward(seven));
        concat([three, seven, halve(x)])
    }
}

/// 8×8: 3×3 convolutions split into 1×3 and 3×1 side by side.
#[derive(Module, Debug)]
pub struct BlockE {
    branch1x1: ConvNorm,
    branch3x3_1: ConvNorm,
    branch3x3_2a: ConvNorm,
    branch3x3_2b: ConvNorm,
    branch3x3dbl_1: ConvNorm,
    branch3x3dbl_2: ConvNorm,
    branch3x3dbl_3a: ConvNorm,
    branch3x3dbl_3b: ConvNorm,
    branch_pool: ConvNorm,
}

fold::fold_fields!(BlockE: branch1x1, branch3x3_1, branch3x3_2a, branch3x3_2b, branch3x3dbl_1, branch3x3dbl_2, branch3x3dbl_3a, branch3x3dbl_3b, branch_pool);

impl BlockE {
    fn new(inputs: usize, device: &Device) -> Self {
        let one = |inputs, outputs| ConvNorm::square([inputs, outputs], 1, 1, 0, device);
        let same = |channels, kernel| ConvNorm::same(channels, kernel, device);
        Self {
            branch1x1: one(inputs, 320),
            branch3x3_1: one(inputs, 384),
            branch3x3_2a: same([384, 384], [1, 3]),
            branch3x3_2b: same([384, 384], [3, 1]),
            branch3x3dbl_1: one(inputs, 448),
            branch3x3dbl_2: same([448, 384], [3, 3]),
            branch3x3dbl_3a: same([384, 384], [1, 3]),
            branch3x3dbl_3b: same([384, 384], [3, 1]),
            branch_pool: one(inputs, 192),
        }
    }

    fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let three = self.branch3x3_1.forward(x.clone());
        let double = self.branch3x3dbl_2.forward(self.branch3x3dbl_1.forward(x.clone()));
        concat([
            self.branch1x1.forward(x.clone()),
            self.branch3x3_2a.forward(three.clone()),
            self.branch3x3_2b.forward(three),
            self.branch3x3dbl_3a.forward(double.clone()),
            self.branch3x3dbl_3b.forward(double),
            self.branch_pool.forward(pool_branch(x)),
        ])
    }
}
