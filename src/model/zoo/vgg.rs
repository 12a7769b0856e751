//! VGG-16 and VGG-19 without batch norm, as torchvision's `vgg16` and `vgg19`.

use super::alexnet::classifier;
use super::sequential::{Layer, Sequential};
use burn::tensor::Device;

/// Five stages of 3×3 convolutions, max 2/2 after each; `depths` counts the convolutions of a stage.
fn vgg(depths: [usize; 5], device: &Device) -> Sequential {
    let mut features = Vec::new();
    let mut inputs = 3;
    for (depth, outputs) in depths.into_iter().zip([64, 128, 256, 512, 512]) {
        for _ in 0..depth {
            features.extend(Layer::conv3_relu([inputs, outputs], device));
            inputs = outputs;
        }
        features.push(Layer::max_pool(2, 2, 0));
    }
    Sequential { features, classifier: classifier(512 * 7 * 7, device) }
}

/// VGG-16.
pub(super) fn vgg16(device: &Device) -> Sequential {
    vgg([2, 2, 3, 3, 3], device)
}

/// VGG-19.
pub(super) fn vgg19(device: &Device) -> Sequential {
    vgg([2, 2, 4, 4, 4], device)
}
