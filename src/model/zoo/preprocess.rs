//! How a photograph becomes an input of each network: the rule that the source of its weights has.

use crate::model::classifier::{Channels, Filter, Preprocessing, Resize};

/// torchvision's `ImageClassification(crop_size=224)`, the transform of its `IMAGENET1K_V1` weights.
pub(super) const TORCHVISION: Preprocessing = Preprocessing {
    resize: Resize::Shorter(256),
    filter: Filter::Bilinear,
    white: 1.0,
    mean: [0.485, 0.456, 0.406],
    std: [0.229, 0.224, 0.225],
    channels: Channels::Rgb,
    source: "torchvision 0.29.2 ImageClassification(crop_size=224)",
};

/// EfficientNet-B0's: as the others', but bicubic.
pub(super) const TORCHVISION_BICUBIC: Preprocessing = Preprocessing {
    filter: Filter::Bicubic,
    source: "torchvision 0.29.2 EfficientNet_B0_Weights.IMAGENET1K_V1: bicubic",
    ..TORCHVISION
};

/// GoogLeNet-BN's. torchvision's model normalises once more (`transform_input`): together with ImageNet's mean and deviation
/// that is a mean and deviation of ½.
pub(super) const TORCHVISION_GOOGLENET: Preprocessing = Preprocessing {
    mean: [0.5; 3],
    std: [0.5; 3],
    source: "torchvision 0.29.2 GoogLeNet_Weights.IMAGENET1K_V1 with its model's transform_input",
    ..TORCHVISION
};

/// Inception-v3's, `transform_input` included as for [`TORCHVISION_GOOGLENET`].
pub(super) const TORCHVISION_INCEPTION: Preprocessing = Preprocessing {
    resize: Resize::Shorter(342),
    source: "torchvision 0.29.2 Inception_V3_Weights.IMAGENET1K_V1 with its model's transform_input",
    ..TORCHVISION_GOOGLENET
};

/// Inception-v4's: ⌊299 / 0.875⌋.
pub(super) const TIMM_INCEPTION: Preprocessing = Preprocessing {
    resize: Resize::Shorter(341),
    filter: Filter::Bicubic,
    source: "timm 1.0.31 inception_v4.tf_in1k: crop_pct 0.875, bicubic, mean and std 0.5",
    ..TORCHVISION_GOOGLENET
};

/// MobileNet-v1's.
pub(super) const TIMM_MOBILENET: Preprocessing = Preprocessing {
    resize: Resize::Shorter(256),
    source: "timm 1.0.31 mobilenetv1_100.ra4_e3600_r224_in1k: crop_pct 0.875, bicubic, mean and std 0.5",
    ..TIMM_INCEPTION
};

/// AlexNet's as BVLC trained it. Caffe subtracts a mean image; its mean over the pixels stands for it here.
pub(super) const CAFFE_ALEXNET: Preprocessing = Preprocessing {
    resize: Resize::Square(256),
    filter: Filter::Bilinear,
    white: 255.0,
    mean: [104.006_99, 116.668_77, 122.678_91],
    std: [1.0; 3],
    channels: Channels::Bgr,
    source: "BVLC/caffe models/bvlc_alexnet train_val.prototxt and examples/imagenet/create_imagenet.sh: 256×256, BGR, mean of \
             ilsvrc_2012_mean",
};

/// GoogLeNet's as BVLC trained it.
pub(super) const CAFFE_GOOGLENET: Preprocessing = Preprocessing {
    mean: [104.0, 117.0, 123.0],
    source: "BVLC/caffe models/bvlc_googlenet train_val.prototxt: 256×256, BGR, mean_value 104, 117, 123",
    ..CAFFE_ALEXNET
};

/// BN-AlexNet's and BN-NIN's: Torch7's loader, with the mean and deviation that torchvision has from it.
pub(super) const TORCH7: Preprocessing = Preprocessing {
    source: "szagoruyko/imagenet-validation.torch donkey.lua: shorter side 256, centre crop, ImageNet's mean and deviation",
    ..TORCHVISION
};

/// ENet's: its authors published none and trained with Torch7, so it is Torch7's usual one.
pub(super) const ENET: Preprocessing = Preprocessing {
    source: "not published; as soumith/imagenet-multiGPU.torch, with which ImageNet was trained on in Torch7",
    ..TORCHVISION
};
