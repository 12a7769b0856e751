//! What is known of a network apart from its speed: cost, weights, accuracy, and whether its logits are right.

use super::config::Precision;
use serde::{Deserialize, Serialize};
use std::fmt;

/// Static facts about a network: its registry entry, and its cost read off the captured graph at batch 1.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct NetworkFacts {
    /// Name of the model, as [`Config::network`](super::Config::network) has it.
    pub id: String,
    /// Name as printed, `ResNet-50`.
    pub title: String,
    /// Its family: `VGG`, `ResNet`. Empty in the oldest recordings.
    #[serde(default)]
    pub family: String,
    /// Year of its first paper; 0 where there is none.
    pub year: u16,
    /// Side of the square input image, pixels; 0 where the input is no such image.
    pub input_px: u32,
    /// Learned parameters, without batch-norm statistics.
    pub params: u64,
    /// Multiply-accumulates of convolutions and linear layers.
    pub macs: u64,
    /// Operations by the paper's rule: 2 per MAC, 1 per bias, 1 per ReLU output, k² per pooling output, 0 for batch norm.
    pub ops: u64,
    /// Values that convolutions and linear layers write.
    pub activations: u64,
    /// Largest number of activation values that are live at the same time, with ideal buffers; values, not bytes.
    pub peak_activations: u64,
    /// Published top-1 accuracy, per cent, single centre crop.
    pub top1: Option<f64>,
    /// Published top-5 accuracy, per cent.
    pub top5: Option<f64>,
    /// Where the accuracy was published.
    pub accuracy_source: String,
    /// Its layers in execution order.
    pub layers: Vec<LayerFacts>,
    /// What it takes. Empty in older recordings.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub inputs: Vec<PortFacts>,
    /// What it gives. Empty in older recordings.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub outputs: Vec<PortFacts>,
}

/// An input or an output of a network at batch 1.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct PortFacts {
    /// Its name.
    pub name: String,
    /// Its shape.
    pub shape: Vec<u64>,
    /// Which axis is the batch; none where the network runs one fixed number of samples at a time.
    pub batch_axis: Option<u32>,
    /// Type of its elements: `float` (in the precision of the run), `int64`, `int32` or `bool`.
    pub element: String,
}

/// One layer of a network at batch 1.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct LayerFacts {
    /// `conv`, `linear`, `batch norm`, `relu`, `max pool` …
    pub kind: String,
    /// Its parameters in short: `64 × 11×11 /4`, `4096 → 1000`.
    pub detail: String,
    /// Output shape, batch first.
    pub output: Vec<u64>,
    /// Learned parameters.
    pub params: u64,
    /// Multiply-accumulates.
    pub macs: u64,
    /// Operations by the paper's rule.
    pub ops: u64,
}

/// Where the weights of a network come from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "from", rename_all = "snake_case")]
pub enum Weights {
    /// Generated: the same weights for the same seed on every host.
    Seed { seed: u64 },
    /// Read from a file: its name, the first eight digits of its SHA-256, and, where the file has them below a key such as
    /// `model_ema`, that key. Older recordings have no key.
    File {
        name: String,
        checksum: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        part: Option<String>,
    },
}

impl fmt::Display for Weights {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Seed { seed } => write!(f, "seeded {seed}"),
            Self::File { name, checksum, part } => {
                // The names of torchvision's files contain the checksum already.
                let checksum = (!name.contains(checksum.as_str())).then_some(checksum);
                let details: Vec<&str> = checksum.into_iter().chain(part).map(String::as_str).collect();
                if details.is_empty() { f.write_str(name) } else { write!(f, "{name} ({})", details.join(", ")) }
            }
        }
    }
}

/// The logits of a network on a device, compared with those of the reference.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Checked {
    /// Name of the model.
    pub network: String,
    /// Device name: `cpu`, `cuda:0`.
    pub device: String,
    /// Arithmetic.
    pub precision: Precision,
    /// Largest difference of a logit, in standard deviations of the reference's logits; absent where it is not finite.
    pub error: Option<f64>,
    /// Upper bound of the error.
    pub bound: f64,
    /// Whether the error is within the bound.
    pub pass: bool,
}

/// The accuracy of a network over labelled images.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Accuracy {
    /// Name of the model.
    pub network: String,
    /// Its weights.
    pub weights: Weights,
    /// Device on which it was measured.
    pub device: String,
    /// Arithmetic in which it was measured.
    pub precision: Precision,
    /// Number of images.
    pub images: u64,
    /// Images whose class has the highest logit.
    pub top1: Share,
    /// Images whose class has one of the five highest logits.
    pub top5: Share,
}

/// A share of a sample, with its confidence interval.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Share {
    /// The share, per cent.
    pub percent: f64,
    /// Lower end of its 95 % interval (Wilson), per cent.
    pub low: f64,
    /// Upper end of its 95 % interval, per cent.
    pub high: f64,
}
