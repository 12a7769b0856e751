//! SqueezeNet 1.1, as torchvision's `squeezenet1_1`. Its max pools round up.

use super::blocks::{Rounding, concat, conv, convolve, global_features, max_pool, relu};
use super::classes::CLASSES;
use super::image::image_network;
use crate::model::fold::Fold;
use burn::module::Module;
use burn::nn::conv::Conv2d;
use burn::tensor::{Device, Tensor};

/// SqueezeNet: 224 px; the classifier is a convolution.
#[derive(Module, Debug)]
pub struct Squeezenet {
    features: Features,
    classifier: Classifier,
}

// It has no batch norm.
impl Fold for Squeezenet {}

image_network!(Squeezenet);

/// The numbers between these are a ReLU and the pools.
#[derive(Module, Debug)]
pub struct Features {
    _0: Conv2d,
    _3: Fire,
    _4: Fire,
    _6: Fire,
    _7: Fire,
    _9: Fire,
    _10: Fire,
    _11: Fire,
    _12: Fire,
}

/// Number 0 is a dropout.
#[derive(Module, Debug)]
pub struct Classifier {
    _1: Conv2d,
}

impl Squeezenet {
    pub(super) fn new(device: &Device) -> Self {
        let fire = |inputs, squeeze, expand| Fire::new(inputs, squeeze, expand, device);
        Self {
            features: Features {
                _0: conv([3, 64], 3, 2, 0).init(device),
                _3: fire(64, 16, 64),
                _4: fire(128, 16, 64),
                _6: fire(128, 32, 128),
                _7: fire(256, 32, 128),
                _9: fire(256, 48, 192),
                _10: fire(384, 48, 192),
                _11: fire(384, 64, 256),
                _12: fire(512, 64, 256),
            },
            classifier: Classifier { _1: conv([512, CLASSES], 1, 1, 0).init(device) },
        }
    }

    /// `[n, 3, 224, 224]` → `[n, 1000]`.
    pub(super) fn forward(&self, x: Tensor<4>) -> Tensor<2> {
        let f = &self.features;
        let x = pool(relu(convolve(&f._0, x)));
        let x = pool(f._4.forward(f._3.forward(x)));
        let x = pool(f._7.forward(f._6.forward(x)));
        let x = [&f._9, &f._10, &f._11, &f._12].into_iter().fold(x, |x, fire| fire.forward(x));
        global_features(relu(convolve(&self.classifier._1, x)))
    }
}

/// Max 3/2, rounding up.
fn pool(x: Tensor<4>) -> Tensor<4> {
    max_pool(x, 3, 2, 0, Rounding::Ceil)
}

/// A 1×1 squeeze, then 1×1 and 3×3 expansions side by side.
#[derive(Module, Debug)]
pub struct Fire {
    squeeze: Conv2d,
    expand1x1: Conv2d,
    expand3x3: Conv2d,
}

impl Fire {
    fn new(inputs: usize, squeeze: usize, expand: usize, device: &Device) -> Self {
        Self {
            squeeze: conv([inputs, squeeze], 1, 1, 0).init(device),
            expand1x1: conv([squeeze, expand], 1, 1, 0).init(device),
            expand3x3: conv([squeeze, expand], 3, 1, 1).init(device),
        }
    }

    fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let x = relu(convolve(&self.squeeze, x));
        // One ReLU after the concatenation does what torchvision's two before it do, with one launch less.
        relu(concat([convolve(&self.expand1x1, x.clone()), convolve(&self.expand3x3, x)]))
    }
}
