//! What a network says about photographs, or about a prepared input.

use crate::{
    backend::{BuildError, RunError},
    engine::measure::Built,
    event::{Config, Precision, Weights},
    images::{self, ImageError},
    model::{
        Model, NoClassifier, Value,
        classifier::{Class, Classes, Classifier},
        weights::checkpoint::{Checkpoint, CheckpointError},
    },
    output,
};
use burn::tensor::TensorData;
use safetensors::{Dtype, SafeTensorError, tensor::TensorView};
use serde::Serialize;
use std::path::{Path, PathBuf};
use thiserror::Error;

/// Version of the objects of `wattscope infer --json`.
pub const SCHEMA: u32 = 1;

/// Inputs that go through a network together.
const BATCH: usize = 8;

/// An inference that could not be made.
#[derive(Debug, Error)]
pub enum InferError {
    /// The model does not classify photographs.
    #[error(transparent)]
    Model(#[from] NoClassifier),
    /// The network could not be built.
    #[error(transparent)]
    Build(#[from] BuildError),
    /// A forward pass failed.
    #[error(transparent)]
    Measure(#[from] RunError),
    /// The file of the input can't be read.
    #[error(transparent)]
    Input(#[from] CheckpointError),
    /// The file of the input holds something else.
    #[error("{}: {reason}; {network} wants one tensor `input` of [n, 3, {px}, {px}]", path.display())]
    Shape {
        /// The file.
        path: PathBuf,
        /// What it holds.
        reason: String,
        /// Name of the model.
        network: String,
        /// Side of its input.
        px: usize,
    },
    /// The logits could not be written.
    #[error("{}: {error}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        error: SafeTensorError,
    },
}

/// A classifier of photographs that is ready to run.
pub struct Predictor {
    model: Model,
    classifier: Classifier,
    built: Built,
    /// What it runs on and in.
    pub config: Config,
    /// Its weights.
    pub weights: Weights,
}

impl Predictor {
    /// Builds a model with the weights of a checkpoint, or else with seeded ones, its batch norms folded where `fold` says so.
    ///
    /// # Errors
    /// Where the model is no classifier of photographs, the device can't be opened, or the checkpoint does not fit.
    pub fn build(
        model: &Model,
        device: &str,
        precision: Precision,
        checkpoint: Option<&Checkpoint>,
        fold: bool,
    ) -> Result<Self, InferError> {
        let classifier = model.classifier()?.clone();
        let config = Config { network: model.name.clone(), batch: BATCH as u32, precision, device: device.to_owned() };
        let built = match checkpoint {
            Some(checkpoint) => Built::load(model, &config, checkpoint, fold)?,
            None => Built::new(model, &config, fold)?,
        };
        let weights = built.weights().clone();
        Ok(Self { model: model.clone(), classifier, built, config, weights })
    }

    /// The logits of inputs, `[3, px, px]` each, that go through the network together.
    ///
    /// # Errors
    /// What the device says, or why a logit is not finite.
    pub fn logits(&self, inputs: &[Vec<f32>]) -> Result<Vec<Vec<f32>>, RunError> {
        let px = self.classifier.px;
        let data = TensorData::new(inputs.concat(), [inputs.len(), 3, px, px]);
        let input = self.built.input(vec![Value::from_data(data, self.built.device().tensors())])?;
        let logits = self.built.finite_outputs(&input)?;
        Ok(logits
            .chunks(self.classifier.classes.len().max(1))
            .map(|row| row.iter().map(|value| *value as f32).collect())
            .collect())
    }

    /// The model.
    pub const fn model(&self) -> &Model {
        &self.model
    }

    /// How it takes photographs, and what it calls them.
    pub const fn classifier(&self) -> &Classifier {
        &self.classifier
    }

    /// What it is, in a line.
    pub fn title(&self) -> String {
        let Self { model, config, weights, .. } = self;
        format!("{} · {weights} · {} on {}", model.title, config.precision, config.device)
    }

    /// The inputs of photographs, each called as its file is; and of those that can't be read, why.
    pub fn photographs(&self, paths: &[PathBuf]) -> (Vec<(String, Vec<f32>)>, Vec<ImageError>) {
        let (mut inputs, mut unreadable) = (Vec::new(), Vec::new());
        for path in paths {
            match images::input(path, &self.classifier) {
                Ok(input) => inputs.push((path.display().to_string(), input)),
                Err(error) => unreadable.push(error),
            }
        }
        (inputs, unreadable)
    }

    /// The inputs in a safetensors file, numbered.
    ///
    /// # Errors
    /// Where it can't be read or has another shape.
    pub fn tensor(&self, path: &Path) -> Result<Vec<(String, Vec<f32>)>, InferError> {
        let px = self.classifier.px;
        let wrong = |reason| InferError::Shape { path: path.to_owned(), reason, network: self.model.name.clone(), px };
        let file = Checkpoint::open(path)?;
        let shapes: Vec<(&str, &[usize])> = file.shapes().collect();
        let [("input", &[_, 3, height, width])] = shapes[..] else {
            let held: Vec<_> = shapes.iter().take(3).map(|(key, shape)| format!("{key} {shape:?}")).collect();
            return Err(wrong(format!("{} tensors: {}", shapes.len(), held.join(", "))));
        };
        if (height, width) != (px, px) {
            return Err(wrong(format!("its images are {height}×{width}")));
        }
        let data = file.read("input")?;
        let values = data.as_slice::<f32>().map_err(|error| wrong(error.to_string()))?;
        if let Some(at) = values.iter().position(|value| !value.is_finite()) {
            return Err(wrong(format!("value {at} of it is {}", values[at])));
        }
        let rows = values.chunks(3 * px * px).enumerate();
        Ok(rows.map(|(i, row)| (format!("{} [{i}]", path.display()), row.to_vec())).collect())
    }

    /// Runs every input, some together.
    ///
    /// # Errors
    /// What the device says.
    pub fn answers(&self, inputs: Vec<(String, Vec<f32>)>, top: usize) -> Result<Vec<Answer>, RunError> {
        let (names, inputs): (Vec<_>, Vec<_>) = inputs.into_iter().unzip();
        let mut names = names.into_iter();
        let mut answers = Vec::new();
        for batch in inputs.chunks(BATCH) {
            let logits = self.logits(batch)?;
            answers.extend(names.by_ref().zip(logits).map(|(name, logits)| self.answer(name, logits, top)));
        }
        Ok(answers)
    }

    fn answer(&self, input: String, logits: Vec<f32>, top: usize) -> Answer {
        Answer {
            schema: SCHEMA,
            network: self.model.name.clone(),
            weights: self.weights.to_string(),
            device: self.config.device.clone(),
            precision: self.config.precision,
            input,
            top: guesses(&logits, self.classifier.classes, top),
            logits,
        }
    }
}

/// What a network said about one input.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Answer {
    /// [`SCHEMA`].
    pub schema: u32,
    /// Name of the model.
    pub network: String,
    /// Which weights it has.
    pub weights: String,
    /// Device.
    pub device: String,
    /// Arithmetic.
    pub precision: Precision,
    /// The file, with a number where it holds several inputs.
    pub input: String,
    /// The likeliest classes, the likeliest first.
    pub top: Vec<Guess>,
    /// One a class.
    #[serde(skip)]
    pub logits: Vec<f32>,
}

/// A class that an input may be of.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Guess {
    /// Its index, from 0.
    pub class: usize,
    /// Its WordNet id.
    pub synset: &'static str,
    /// Its name.
    pub name: &'static str,
    /// Softmax of the logits.
    pub probability: f64,
    /// Its logit.
    pub logit: f32,
}

/// The indices of the largest logits, the largest first; of equal ones the lower index.
pub fn largest(logits: &[f32], n: usize) -> Vec<usize> {
    let mut order: Vec<usize> = (0..logits.len()).collect();
    order.sort_by(|a, b| logits[*b].total_cmp(&logits[*a]).then(a.cmp(b)));
    order.truncate(n);
    order
}

fn guesses(logits: &[f32], classes: &Classes, n: usize) -> Vec<Guess> {
    let most = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let power = |logit: f32| f64::from(logit - most).exp();
    let sum: f64 = logits.iter().map(|logit| power(*logit)).sum();
    let guess = |class: usize| {
        let Class { synset, name } = *classes.all().get(class)?;
        Some(Guess { class, synset, name, probability: power(logits[class]) / sum, logit: logits[class] })
    };
    largest(logits, n).into_iter().filter_map(guess).collect()
}

/// Writes the logits of all answers, in their order, as a safetensors file with one tensor `logits` of `[n, classes]`.
///
/// # Errors
/// Where the file can't be written.
pub fn write_logits(path: &Path, answers: &[Answer]) -> Result<(), InferError> {
    let failed = |error| InferError::Write { path: path.to_owned(), error };
    let bytes: Vec<u8> = answers.iter().flat_map(|a| &a.logits).flat_map(|logit| logit.to_le_bytes()).collect();
    let classes = answers.first().map_or(0, |answer| answer.logits.len());
    let view = TensorView::new(Dtype::F32, vec![answers.len(), classes], &bytes).map_err(failed)?;
    let bytes = safetensors::serialize([("logits", view)], None).map_err(failed)?;
    output::write(path, &bytes).map_err(|error| failed(error.into()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::zoo::classes::{CLASSES, IMAGENET};

    #[test]
    fn the_likeliest_come_first_with_their_share() {
        let mut logits = vec![0.0; CLASSES];
        logits[285] = 1000f32.ln() + 3.0;
        logits[281] = 1000f32.ln() + 3.0;
        logits[7] = 2.0;
        let top = guesses(&logits, &IMAGENET, 3);
        let names: Vec<_> = top.iter().map(|guess| (guess.class, guess.name)).collect();
        assert_eq!(names, [(281, "tabby"), (285, "Egyptian cat"), (7, "cock")]);
        let share = 1000.0 * 3f64.exp();
        assert!((top[0].probability - share / (2.0 * share + 997.0 + 2f64.exp())).abs() < 1e-6);
    }

    #[test]
    fn logits_that_are_huge_or_no_numbers_are_no_panic() {
        let mut logits = vec![f32::MAX; CLASSES];
        assert_eq!(guesses(&logits, &IMAGENET, 2000).len(), CLASSES);
        logits[3] = f32::NAN;
        assert_eq!(guesses(&logits, &IMAGENET, 5).len(), 5);
    }
}
