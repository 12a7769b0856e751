//! Networks that are a list of layers: AlexNet, VGG and NIN. The position in the list is the number in the state dict's keys,
//! so layers without parameters are in the list, too.

use super::blocks::{self, Rounding, conv, linear, norm};
use super::image::image_network;
use crate::model::fold::{self, Fold, FoldError};
use burn::module::Module;
use burn::nn::conv::{Conv2d, Conv2dConfig};
use burn::nn::{Identity, Linear, Relu};
use burn::tensor::{Device, Tensor};

/// A layer between feature maps.
#[derive(Module, Debug)]
pub enum Layer {
    /// Convolution with a bias.
    Conv(Conv2d),
    /// Batch norm.
    Norm(fold::Norm),
    /// ReLU.
    Relu(Relu),
    /// Local response normalisation.
    Lrn(Lrn),
    /// Max pool that rounds down.
    MaxPool(MaxPool),
}

/// Marks the place of a [`blocks::local_response_norm`].
#[derive(Module, Debug)]
pub struct Lrn;

/// A max pool's window, step and padding, pixels.
#[derive(Module, Debug)]
pub struct MaxPool {
    kernel: usize,
    stride: usize,
    padding: usize,
}

impl Layer {
    pub(super) fn conv(config: Conv2dConfig, device: &Device) -> Self {
        Self::Conv(config.init(device))
    }

    pub(super) fn norm(channels: usize, epsilon: f64, device: &Device) -> Self {
        Self::Norm(norm(channels, epsilon, device))
    }

    pub(super) const fn max_pool(kernel: usize, stride: usize, padding: usize) -> Self {
        Self::MaxPool(MaxPool { kernel, stride, padding })
    }

    /// A 3×3 convolution padded by 1 and its ReLU.
    pub(super) fn conv3_relu(channels: [usize; 2], device: &Device) -> [Self; 2] {
        [Self::conv(conv(channels, 3, 1, 1), device), Self::Relu(Relu)]
    }

    fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        match self {
            Self::Conv(conv) => blocks::convolve(conv, x),
            Self::Norm(norm) => norm.forward(x),
            Self::Relu(_) => blocks::relu(x),
            Self::Lrn(_) => blocks::local_response_norm(x),
            Self::MaxPool(pool) => blocks::max_pool(x, pool.kernel, pool.stride, pool.padding, Rounding::Floor),
        }
    }
}

/// A layer between vectors.
#[derive(Module, Debug)]
pub enum Dense {
    /// Linear with a bias.
    Linear(Linear),
    /// Batch norm.
    Norm(fold::Norm),
    /// ReLU.
    Relu(Relu),
    /// Dropout, which does nothing at inference.
    Dropout(Identity),
}

impl Dense {
    pub(super) fn linear(inputs: usize, outputs: usize, device: &Device) -> Self {
        Self::Linear(linear(inputs, outputs, device))
    }

    fn forward(&self, x: Tensor<2>) -> Tensor<2> {
        match self {
            Self::Linear(linear) => blocks::apply_linear(linear, x),
            Self::Norm(norm) => norm.forward(x),
            Self::Relu(_) => blocks::relu(x),
            Self::Dropout(_) => x,
        }
    }
}

/// Runs the layers one after the other.
pub(super) fn run(layers: &[Layer], x: Tensor<4>) -> Tensor<4> {
    layers.iter().fold(x, |x, layer| layer.forward(x))
}

/// Folds each batch norm of a list into the convolution before it.
pub(super) fn fold_layers(layers: &mut [Layer]) -> Result<(), FoldError> {
    fold::adjacent(layers, |before, after| match (before, after) {
        (Layer::Conv(conv), Layer::Norm(norm)) => fold::into_conv(conv, norm),
        _ => Ok(()),
    })
}

/// Convolutional features, flattened, and a classifier of linear layers.
///
/// torchvision pools adaptively between the two (to 6×6 in AlexNet, 7×7 in VGG): at the input size of the registry that is
/// the size the features have, and the pool is left out.
#[derive(Module, Debug)]
pub struct Sequential {
    pub(super) features: Vec<Layer>,
    pub(super) classifier: Vec<Dense>,
}

image_network!(Sequential);

impl Fold for Sequential {
    fn fold(&mut self) -> Result<(), FoldError> {
        fold_layers(&mut self.features)?;
        fold::adjacent(&mut self.classifier, |before, after| match (before, after) {
            (Dense::Linear(linear), Dense::Norm(norm)) => fold::into_linear(linear, norm),
            _ => Ok(()),
        })
    }
}

impl Sequential {
    /// `[n, 3, px, px]` → `[n, 1000]`.
    pub(super) fn forward(&self, x: Tensor<4>) -> Tensor<2> {
        let features = run(&self.features, x).flatten(1, 3);
        self.classifier.iter().fold(features, |x, layer| layer.forward(x))
    }
}
