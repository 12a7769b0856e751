//! The networks: 21 reference CNNs, each defined as the package that published weights for it has it.
//!
//! [`registry`] lists them, [`find`] looks one up, [`Entry::build`] makes it run.

mod alexnet;
mod blocks;
pub mod classes;
mod densenet;
mod efficientnet;
mod enet;
mod googlenet;
mod inception_v3;
mod inception_v4;
mod mobilenet;
mod nin;
pub mod parity;
pub mod preprocess;
mod registry;
mod resnet;
mod sequential;
mod squeezenet;
mod vgg;

pub use super::weights::checkpoint::{self, Checkpoint, CheckpointError};
pub use super::{cost, fold, probe, weights};
pub use registry::{Entry, Published, UnknownNetwork, find, registry};
pub use weights::input;

use burn::module::Module;
use burn::tensor::Tensor;

/// ImageNet's classes: the logits of every network.
pub const CLASSES: usize = 1000;

/// A network of the zoo: its structure, its parameters and its batch norms' statistics.
///
/// Beware of clones: they share the statistics, and a mapper that changes those of a clone changes both (Burn's
/// `RunningState` is a shared cell).
#[derive(Module, Debug)]
pub enum Network {
    /// AlexNet in its three forms and VGG.
    Sequential(sequential::Sequential),
    /// BN-NIN.
    Nin(nin::Nin),
    /// ENet.
    Enet(enet::Enet),
    /// GoogLeNet without batch norm.
    Googlenet(googlenet::Googlenet),
    /// GoogLeNet with batch norm.
    GooglenetBn(googlenet::GooglenetBn),
    /// ResNet of any depth.
    Resnet(resnet::Resnet),
    /// Inception-v3.
    InceptionV3(inception_v3::InceptionV3),
    /// Inception-v4.
    InceptionV4(inception_v4::InceptionV4),
    /// SqueezeNet 1.1.
    Squeezenet(squeezenet::Squeezenet),
    /// MobileNet-v1.
    MobilenetV1(mobilenet::MobilenetV1),
    /// MobileNet-v2.
    MobilenetV2(mobilenet::MobilenetV2),
    /// DenseNet-121.
    Densenet(densenet::Densenet),
    /// EfficientNet-B0.
    Efficientnet(efficientnet::Efficientnet),
}

impl Network {
    /// Logits of a batch: `[n, 3, px, px]` → `[n, 1000]`, in whatever precision parameters and input share.
    pub fn forward(&self, input: Tensor<4>) -> Tensor<2> {
        match self {
            Self::Sequential(network) => network.forward(input),
            Self::Nin(network) => network.forward(input),
            Self::Enet(network) => network.forward(input),
            Self::Googlenet(network) => network.forward(input),
            Self::GooglenetBn(network) => network.forward(input),
            Self::Resnet(network) => network.forward(input),
            Self::InceptionV3(network) => network.forward(input),
            Self::InceptionV4(network) => network.forward(input),
            Self::Squeezenet(network) => network.forward(input),
            Self::MobilenetV1(network) => network.forward(input),
            Self::MobilenetV2(network) => network.forward(input),
            Self::Densenet(network) => network.forward(input),
            Self::Efficientnet(network) => network.forward(input),
        }
    }

    /// Learned values. Burn's `num_params` counts a batch norm's running statistics too.
    pub fn learned(&self) -> usize {
        let learned = |tensor: &weights::TensorInfo| tensor.role.is_learned();
        weights::tensors(self)
            .iter()
            .filter(|tensor| learned(tensor))
            .map(|tensor| tensor.shape.iter().product::<usize>())
            .sum()
    }
}
