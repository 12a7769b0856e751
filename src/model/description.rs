//! A model: what it is called, what it takes and gives, where it comes from, and how it is built.

use super::{
    capture::{self, CaptureError, Captured, Placeholder},
    classifier::Classifier,
    inputs,
    network::Network,
    port::Port,
    value::Value,
    weights::seed::{self, DEFAULT_SEED},
};
use burn::tensor::Device;
use std::{fmt, sync::Arc};

/// A model that can be built on a device. A clone is cheap.
#[derive(Clone)]
pub struct Model {
    /// Name on the command line and in records, `resnet50`.
    pub name: String,
    /// Name as printed, `ResNet-50`.
    pub title: String,
    /// What it takes, in the order of [`Network::forward`].
    pub inputs: Vec<Port>,
    /// What it gives, in the order of [`Network::forward`].
    pub outputs: Vec<Port>,
    /// Where it comes from and what is known about it.
    pub provenance: Provenance,
    definition: Arc<dyn Definition>,
}

/// How the network of a model is made.
pub trait Definition: Send + Sync {
    /// The network without values: parameters are lazy, made as zeros only where something reads them.
    fn structure(&self, device: &Device) -> Box<dyn Network>;

    /// What the shape of the tensor called `key` does not say, for one of its channels: the gain of a weight, the centre of a
    /// vector. `None` leaves what seeded weights have otherwise.
    fn typical(&self, _key: &str, _channel: usize) -> Option<f64> {
        None
    }
}

/// Where a model comes from, and what is known about it.
#[derive(Clone, Debug, Default)]
pub struct Provenance {
    /// Family, after whose first network it is called: `VGG`, `ResNet`. Empty where it has none.
    pub family: String,
    /// Year of its first paper.
    pub year: Option<u16>,
    /// Title of its first paper and its arXiv number or venue. Empty where there is none.
    pub paper: String,
    /// Whether this very network is among those of Canziani, Paszke and Culurciello (2016).
    pub in_paper: bool,
    /// Published accuracy.
    pub published: Published,
    /// What makes it a classifier of photographs, where it is one.
    pub classifier: Option<Classifier>,
}

/// A published accuracy on ImageNet's validation set: single model, single centre crop.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Published {
    /// Top-1, per cent.
    pub top1: Option<f64>,
    /// Top-5, per cent.
    pub top5: Option<f64>,
    /// Who published it where; empty where it is not published.
    pub source: &'static str,
}

impl Model {
    /// A model of those names and ports.
    pub fn new(
        (name, title): (&str, &str),
        inputs: Vec<Port>,
        outputs: Vec<Port>,
        provenance: Provenance,
        definition: impl Definition + 'static,
    ) -> Self {
        let (name, title) = (name.to_owned(), title.to_owned());
        Self { name, title, inputs, outputs, provenance, definition: Arc::new(definition) }
    }

    /// Its network with the weights of the default seed, in the device's default precision.
    pub fn build(&self, device: &Device) -> Box<dyn Network> {
        self.build_seeded(device, DEFAULT_SEED)
    }

    /// Its network with the weights of `seed`.
    pub fn build_seeded(&self, device: &Device, seed: u64) -> Box<dyn Network> {
        seed::seeded(self.structure(device), seed, &|key, channel| self.definition.typical(key, channel))
    }

    /// Its network without values: what a capture device and a loader of weights want.
    pub fn structure(&self, device: &Device) -> Box<dyn Network> {
        self.definition.structure(device)
    }

    /// Number of learned values.
    pub fn params(&self) -> u64 {
        // Nothing is made on the device: the parameters are lazy.
        self.structure(&Device::flex()).learned()
    }

    /// The shapes of its inputs for a batch of a size.
    pub fn placeholders(&self, batch: usize) -> Vec<Placeholder> {
        self.inputs.iter().map(|port| (port.sized(batch), port.element)).collect()
    }

    /// Its forward pass for a batch of a size, recorded. No weight is made.
    ///
    /// # Errors
    /// If Burn refuses the capture.
    pub fn capture(&self, batch: usize) -> Result<Captured, CaptureError> {
        capture::capture(&self.placeholders(batch), |device, inputs| self.structure(device).forward(inputs))
    }

    /// A batch of made-up inputs: different for each seed, the same everywhere.
    pub fn made_up_inputs(&self, batch: usize, seed: u64, device: &Device) -> Vec<Value> {
        self.inputs.iter().map(|port| inputs::made_up(port, batch, seed, device)).collect()
    }

    /// Bytes of a batch of inputs, where a float takes `float` of them.
    pub fn input_bytes(&self, batch: usize, float: u64) -> u64 {
        self.inputs.iter().map(|port| port.elements(batch) as u64 * port.element.bytes(float)).sum()
    }

    /// What makes it a classifier of photographs.
    ///
    /// # Errors
    /// Where it is none.
    pub fn classifier(&self) -> Result<&Classifier, NoClassifier> {
        self.provenance.classifier.as_ref().ok_or_else(|| NoClassifier(self.name.clone()))
    }
}

/// A model that photographs are no input for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0} does not classify photographs: it has no preprocessing and no names of classes")]
pub struct NoClassifier(pub String);

impl fmt::Debug for Model {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Model").field("name", &self.name).finish_non_exhaustive()
    }
}
