//! Network in Network with batch norm: szagoruyko's `ninbn` for Torch7.

use super::blocks::{apply_linear, conv, global_features, linear};
use super::classes::CLASSES;
use super::image::image_network;
use super::sequential::{Layer, fold_layers, run};
use crate::model::fold::{Fold, FoldError};
use burn::module::Module;
use burn::nn::{Linear, Relu};
use burn::tensor::{Device, Tensor};

/// BN-NIN: 224 px.
#[derive(Module, Debug)]
pub struct Nin {
    features: Vec<Layer>,
    fc: Linear,
}

image_network!(Nin);

impl Fold for Nin {
    fn fold(&mut self) -> Result<(), FoldError> {
        fold_layers(&mut self.features)
    }
}

impl Nin {
    pub(super) fn new(device: &Device) -> Self {
        let stages =
            [conv([3, 96], 11, 4, 5), conv([96, 256], 5, 1, 2), conv([256, 384], 3, 1, 1), conv([384, 1024], 3, 1, 1)];
        let mut features = Vec::new();
        for (i, first) in stages.into_iter().enumerate() {
            if i > 0 {
                features.push(Layer::max_pool(3, 2, 1));
            }
            let channels = first.channels[1];
            for config in [first, conv([channels; 2], 1, 1, 0), conv([channels; 2], 1, 1, 0)] {
                features.extend([Layer::conv(config, device), Layer::norm(channels, 1e-3, device), Layer::Relu(Relu)]);
            }
        }
        Self { features, fc: linear(1024, CLASSES, device) }
    }

    /// `[n, 3, 224, 224]` → `[n, 1000]`; the average pool of 7×7 sees the whole map.
    pub(super) fn forward(&self, x: Tensor<4>) -> Tensor<2> {
        apply_linear(&self.fc, global_features(run(&self.features, x)))
    }
}
