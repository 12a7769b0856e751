//! The list: what is published about each network, and how it is built.

use super::classes::{CLASSES, IMAGENET};
use super::resnet::{Kind, Resnet};
use super::{
    alexnet, densenet, efficientnet, enet, googlenet, inception_v3, inception_v4, mobilenet, nin, preprocess, resnet,
    squeezenet, vgg,
};
use crate::model::classifier::{Classifier, Preprocessing};
use crate::model::description::{Definition, Model, Provenance, Published};
use crate::model::network::Network;
use crate::model::port::{Contents, Port};
use crate::model::source::{ModelError, ModelSource};
use burn::tensor::Device;
use std::fmt;

/// A network of the zoo.
pub struct Entry {
    /// Name on the command line and in records, `resnet50`.
    pub id: &'static str,
    /// Name as printed, `ResNet-50`.
    pub title: &'static str,
    /// Family, after whose first network it is called: `VGG`, `ResNet`.
    pub family: &'static str,
    /// Year of its first paper.
    pub year: u16,
    /// Title of its first paper and its arXiv number or venue.
    pub paper: &'static str,
    /// Side of the square input image, pixels.
    pub input_px: usize,
    /// Accuracy on ImageNet's validation set.
    pub published: Published,
    /// How a photograph becomes its input.
    pub preprocessing: Preprocessing,
    /// Whether this very network is among those of Canziani, Paszke and Culurciello (2016).
    pub in_paper: bool,
    construct: fn(&Device) -> Box<dyn Network>,
    /// See [`Definition::typical`].
    typical: fn(key: &str, channel: usize) -> Option<f64>,
}

impl Entry {
    /// The model that it describes.
    pub fn model(&'static self) -> Model {
        let classifier = Classifier { px: self.input_px, preprocessing: self.preprocessing, classes: &IMAGENET };
        let provenance = Provenance {
            family: self.family.to_owned(),
            year: Some(self.year),
            paper: self.paper.to_owned(),
            in_paper: self.in_paper,
            published: self.published,
            classifier: Some(classifier),
        };
        let input = Port::float("input", &[3, self.input_px, self.input_px], Contents::Image);
        let output = Port::float("logits", &[CLASSES], Contents::Noise);
        Model::new((self.id, self.title), vec![input], vec![output], provenance, self)
    }
}

impl Definition for &'static Entry {
    fn structure(&self, device: &Device) -> Box<dyn Network> {
        (self.construct)(device)
    }

    fn typical(&self, key: &str, channel: usize) -> Option<f64> {
        (self.typical)(key, channel)
    }
}

impl fmt::Debug for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Entry").field("id", &self.id).finish_non_exhaustive()
    }
}

/// The networks, by family and year.
pub fn registry() -> &'static [Entry] {
    &ENTRIES
}

/// The networks that are built in, as a source of models.
#[derive(Debug)]
pub struct Zoo;

impl ModelSource for Zoo {
    fn find(&self, name: &str) -> Result<Option<Model>, ModelError> {
        Ok(ENTRIES.iter().find(|entry| entry.id == name).map(Entry::model))
    }

    fn list(&self) -> Vec<Model> {
        ENTRIES.iter().map(Entry::model).collect()
    }
}

static ENTRIES: [Entry; 21] = [
    Entry {
        id: "alexnet",
        title: "AlexNet",
        family: "AlexNet",
        year: 2012,
        paper: "ImageNet Classification with Deep Convolutional Neural Networks, NIPS 2012",
        input_px: 227,
        published: Published {
            top1: Some(57.1),
            top5: Some(80.2),
            source: "BVLC/caffe models/bvlc_alexnet/readme.md (center crop)",
        },
        preprocessing: preprocess::CAFFE_ALEXNET,
        in_paper: true,
        construct: |d| Box::new(alexnet::original(d)),
        typical: |_, _| None,
    },
    Entry {
        id: "alexnet-owt",
        title: "AlexNet-OWT",
        family: "AlexNet",
        year: 2014,
        paper: "One weird trick for parallelizing convolutional neural networks, arXiv 1404.5997",
        input_px: 224,
        published: Published {
            top1: Some(56.522),
            top5: Some(79.066),
            source: "torchvision 0.29.2 weights meta alexnet.IMAGENET1K_V1",
        },
        preprocessing: preprocess::TORCHVISION,
        in_paper: false,
        construct: |d| Box::new(alexnet::owt(d)),
        typical: |_, _| None,
    },
    Entry {
        id: "bn-alexnet",
        title: "BN-AlexNet",
        family: "AlexNet",
        year: 2015,
        paper: "AlexNet-OWT with Batch Normalization: Accelerating Deep Network Training, arXiv 1404.5997 and 1502.03167",
        input_px: 224,
        published: Published {
            top1: Some(56.6),
            top5: None,
            source: "szagoruyko/imagenet-validation.torch README bn-alexnet",
        },
        preprocessing: preprocess::TORCH7,
        in_paper: true,
        construct: |d| Box::new(alexnet::batch_norm(d)),
        typical: |_, _| None,
    },
    Entry {
        id: "bn-nin",
        title: "BN-NIN",
        family: "NIN",
        year: 2013,
        paper: "Network In Network, arXiv 1312.4400",
        input_px: 224,
        published: Published {
            top1: Some(62.62),
            top5: None,
            source: "szagoruyko/imagenet-validation.torch README bn-NIN",
        },
        preprocessing: preprocess::TORCH7,
        in_paper: true,
        construct: |d| Box::new(nin::Nin::new(d)),
        typical: |_, _| None,
    },
    Entry {
        id: "enet",
        title: "ENet",
        family: "ENet",
        year: 2016,
        paper: "ENet: A Deep Neural Network Architecture for Real-Time Semantic Segmentation, arXiv 1606.02147",
        input_px: 224,
        published: Published {
            top1: Some(68.4),
            top5: None,
            source: "Culurciello, Training ENet on ImageNet (culurciello.github.io, 2016-06-20): V12 68.4% in ~30 epochs (65.1% fast schedule)",
        },
        preprocessing: preprocess::ENET,
        in_paper: true,
        construct: |d| Box::new(enet::Enet::new(d)),
        typical: enet::typical,
    },
    Entry {
        id: "googlenet",
        title: "GoogLeNet",
        family: "Inception",
        year: 2014,
        paper: "Going Deeper with Convolutions, arXiv 1409.4842",
        input_px: 224,
        published: Published {
            top1: Some(68.7),
            top5: Some(88.9),
            source: "BVLC/caffe models/bvlc_googlenet/readme.md (center crop)",
        },
        preprocessing: preprocess::CAFFE_GOOGLENET,
        in_paper: true,
        construct: |d| Box::new(googlenet::Googlenet::new(d)),
        typical: |_, _| None,
    },
    Entry {
        id: "googlenet-bn",
        title: "GoogLeNet-BN",
        family: "Inception",
        year: 2014,
        paper: "Going Deeper with Convolutions, arXiv 1409.4842",
        input_px: 224,
        published: Published {
            top1: Some(69.778),
            top5: Some(89.53),
            source: "torchvision 0.29.2 weights meta googlenet.IMAGENET1K_V1",
        },
        preprocessing: preprocess::TORCHVISION_GOOGLENET,
        in_paper: false,
        construct: |d| Box::new(googlenet::GooglenetBn::new(d)),
        typical: |_, _| None,
    },
    Entry {
        id: "vgg16",
        title: "VGG-16",
        family: "VGG",
        year: 2014,
        paper: "Very Deep Convolutional Networks for Large-Scale Image Recognition, arXiv 1409.1556",
        input_px: 224,
        published: Published {
            top1: Some(71.592),
            top5: Some(90.382),
            source: "torchvision 0.29.2 weights meta vgg16.IMAGENET1K_V1",
        },
        preprocessing: preprocess::TORCHVISION,
        in_paper: true,
        construct: |d| Box::new(vgg::vgg16(d)),
        typical: |_, _| None,
    },
    Entry {
        id: "vgg19",
        title: "VGG-19",
        family: "VGG",
        year: 2014,
        paper: "Very Deep Convolutional Networks for Large-Scale Image Recognition, arXiv 1409.1556",
        input_px: 224,
        published: Published {
            top1: Some(72.376),
            top5: Some(90.876),
            source: "torchvision 0.29.2 weights meta vgg19.IMAGENET1K_V1",
        },
        preprocessing: preprocess::TORCHVISION,
        in_paper: true,
        construct: |d| Box::new(vgg::vgg19(d)),
        typical: |_, _| None,
    },
    Entry {
        id: "resnet18",
        title: "ResNet-18",
        family: "ResNet",
        year: 2015,
        paper: "Deep Residual Learning for Image Recognition, arXiv 1512.03385",
        input_px: 224,
        published: Published {
            top1: Some(69.758),
            top5: Some(89.078),
            source: "torchvision 0.29.2 weights meta resnet18.IMAGENET1K_V1",
        },
        preprocessing: preprocess::TORCHVISION,
        in_paper: true,
        construct: |d| Box::new(Resnet::new(Kind::Basic, [2, 2, 2, 2], d)),
        typical: |key, _| resnet::typical(Kind::Basic, [2, 2, 2, 2], key),
    },
    Entry {
        id: "resnet34",
        title: "ResNet-34",
        family: "ResNet",
        year: 2015,
        paper: "Deep Residual Learning for Image Recognition, arXiv 1512.03385",
        input_px: 224,
        published: Published {
            top1: Some(73.314),
            top5: Some(91.42),
            source: "torchvision 0.29.2 weights meta resnet34.IMAGENET1K_V1",
        },
        preprocessing: preprocess::TORCHVISION,
        in_paper: true,
        construct: |d| Box::new(Resnet::new(Kind::Basic, [3, 4, 6, 3], d)),
        typical: |key, _| resnet::typical(Kind::Basic, [3, 4, 6, 3], key),
    },
    Entry {
        id: "resnet50",
        title: "ResNet-50",
        family: "ResNet",
        year: 2015,
        paper: "Deep Residual Learning for Image Recognition, arXiv 1512.03385",
        input_px: 224,
        published: Published {
            top1: Some(76.13),
            top5: Some(92.862),
            source: "torchvision 0.29.2 weights meta resnet50.IMAGENET1K_V1",
        },
        preprocessing: preprocess::TORCHVISION,
        in_paper: true,
        construct: |d| Box::new(Resnet::new(Kind::Bottleneck, [3, 4, 6, 3], d)),
        typical: |key, _| resnet::typical(Kind::Bottleneck, [3, 4, 6, 3], key),
    },
    Entry {
        id: "resnet101",
        title: "ResNet-101",
        family: "ResNet",
        year: 2015,
        paper: "Deep Residual Learning for Image Recognition, arXiv 1512.03385",
        input_px: 224,
        published: Published {
            top1: Some(77.374),
            top5: Some(93.546),
            source: "torchvision 0.29.2 weights meta resnet101.IMAGENET1K_V1",
        },
        preprocessing: preprocess::TORCHVISION,
        in_paper: true,
        construct: |d| Box::new(Resnet::new(Kind::Bottleneck, [3, 4, 23, 3], d)),
        typical: |key, _| resnet::typical(Kind::Bottleneck, [3, 4, 23, 3], key),
    },
    Entry {
        id: "resnet152",
        title: "ResNet-152",
        family: "ResNet",
        year: 2015,
        paper: "Deep Residual Learning for Image Recognition, arXiv 1512.03385",
        input_px: 224,
        published: Published {
            top1: Some(78.312),
            top5: Some(94.046),
            source: "torchvision 0.29.2 weights meta resnet152.IMAGENET1K_V1",
        },
        preprocessing: preprocess::TORCHVISION,
        in_paper: true,
        construct: |d| Box::new(Resnet::new(Kind::Bottleneck, [3, 8, 36, 3], d)),
        typical: |key, _| resnet::typical(Kind::Bottleneck, [3, 8, 36, 3], key),
    },
    Entry {
        id: "inception-v3",
        title: "Inception-v3",
        family: "Inception",
        year: 2015,
        paper: "Rethinking the Inception Architecture for Computer Vision, arXiv 1512.00567",
        input_px: 299,
        published: Published {
            top1: Some(77.294),
            top5: Some(93.45),
            source: "torchvision 0.29.2 weights meta inception_v3.IMAGENET1K_V1",
        },
        preprocessing: preprocess::TORCHVISION_INCEPTION,
        in_paper: true,
        construct: |d| Box::new(inception_v3::InceptionV3::new(d)),
        typical: |_, _| None,
    },
    Entry {
        id: "inception-v4",
        title: "Inception-v4",
        family: "Inception",
        year: 2016,
        paper: "Inception-v4, Inception-ResNet and the Impact of Residual Connections on Learning, arXiv 1602.07261",
        input_px: 299,
        published: Published {
            top1: Some(80.144),
            top5: Some(94.982),
            source: "huggingface/pytorch-image-models results/results-imagenet.csv inception_v4.tf_in1k 299px",
        },
        preprocessing: preprocess::TIMM_INCEPTION,
        in_paper: true,
        construct: |d| Box::new(inception_v4::InceptionV4::new(d)),
        typical: |_, _| None,
    },
    Entry {
        id: "squeezenet1.1",
        title: "SqueezeNet 1.1",
        family: "SqueezeNet",
        year: 2016,
        paper: "SqueezeNet: AlexNet-level accuracy with 50x fewer parameters, arXiv 1602.07360",
        input_px: 224,
        published: Published {
            top1: Some(58.178),
            top5: Some(80.624),
            source: "torchvision 0.29.2 weights meta squeezenet1_1.IMAGENET1K_V1",
        },
        preprocessing: preprocess::TORCHVISION,
        in_paper: false,
        construct: |d| Box::new(squeezenet::Squeezenet::new(d)),
        typical: |_, _| None,
    },
    Entry {
        id: "mobilenet-v1",
        title: "MobileNet-v1",
        family: "MobileNet",
        year: 2017,
        paper: "MobileNets: Efficient CNNs for Mobile Vision Applications, arXiv 1704.04861",
        input_px: 224,
        published: Published {
            top1: Some(75.388),
            top5: Some(92.31),
            source: "huggingface/pytorch-image-models results/results-imagenet.csv mobilenetv1_100.ra4_e3600_r224_in1k 224px; a modern long recipe, the result of 2017 was 70.6",
        },
        preprocessing: preprocess::TIMM_MOBILENET,
        in_paper: false,
        construct: |d| Box::new(mobilenet::MobilenetV1::new(d)),
        typical: |_, _| None,
    },
    Entry {
        id: "mobilenet-v2",
        title: "MobileNet-v2",
        family: "MobileNet",
        year: 2018,
        paper: "MobileNetV2: Inverted Residuals and Linear Bottlenecks, arXiv 1801.04381",
        input_px: 224,
        published: Published {
            top1: Some(71.878),
            top5: Some(90.286),
            source: "torchvision 0.29.2 weights meta mobilenet_v2.IMAGENET1K_V1",
        },
        preprocessing: preprocess::TORCHVISION,
        in_paper: false,
        construct: |d| Box::new(mobilenet::MobilenetV2::new(d)),
        typical: mobilenet::typical_v2,
    },
    Entry {
        id: "densenet121",
        title: "DenseNet-121",
        family: "DenseNet",
        year: 2016,
        paper: "Densely Connected Convolutional Networks, arXiv 1608.06993",
        input_px: 224,
        published: Published {
            top1: Some(74.434),
            top5: Some(91.972),
            source: "torchvision 0.29.2 weights meta densenet121.IMAGENET1K_V1",
        },
        preprocessing: preprocess::TORCHVISION,
        in_paper: false,
        construct: |d| Box::new(densenet::Densenet::new(d)),
        typical: densenet::typical,
    },
    Entry {
        id: "efficientnet-b0",
        title: "EfficientNet-B0",
        family: "EfficientNet",
        year: 2019,
        paper: "EfficientNet: Rethinking Model Scaling for CNNs, arXiv 1905.11946",
        input_px: 224,
        published: Published {
            top1: Some(77.692),
            top5: Some(93.532),
            source: "torchvision 0.29.2 weights meta efficientnet_b0.IMAGENET1K_V1",
        },
        preprocessing: preprocess::TORCHVISION_BICUBIC,
        in_paper: false,
        construct: |d| Box::new(efficientnet::Efficientnet::new(d)),
        typical: efficientnet::typical,
    },
];
