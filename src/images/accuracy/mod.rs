//! `wattscope accuracy`: top-1 and top-5 of a network over a folder of labelled images, measured rather than quoted.
//!
//! Images are decoded on other threads than the one that runs the network; what was done is kept image by image, so that a
//! run that ends early goes on where it was.

pub mod dataset;
mod feed;
pub mod ledger;
mod progress;

use crate::{
    analysis::stats::{self, Z95},
    engine::measure::MeasureError,
    event::{Accuracy, Config, Precision, Share},
    format::bytes,
    host,
    images::ImageError,
    images::infer::{Predictor, largest},
    model::{Model, cost},
    table::Table,
};
use dataset::{Dataset, Sample};
use feed::Feed;
use ledger::{Done, Ledger, LedgerError};
use progress::Progress;
use serde::Serialize;
use std::sync::atomic::{AtomicBool, Ordering};
use thiserror::Error;

/// Version of the object of `wattscope accuracy --json`.
pub const SCHEMA: u32 = 1;

/// Classes that a top-5 looks at.
const TOP: usize = 5;

/// A measurement that could not go on; what was done until then is kept.
#[derive(Debug, Error)]
pub enum AccuracyError {
    /// A forward pass failed.
    #[error("{0}")]
    Measure(MeasureError),
    /// The device has not the memory for a batch.
    #[error("{error}\na batch of {batch} does not fit: try --batch {}; what is done is kept", (batch / 2).max(1))]
    Memory {
        /// What the device said.
        error: MeasureError,
        /// Images in the batch.
        batch: usize,
    },
    /// What is done could not be written down.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
}

/// How a measurement ended.
#[derive(Debug)]
pub struct Outcome {
    /// What it came to; none without a single image.
    pub accuracy: Option<Accuracy>,
    /// Images that could not be read, in the order of the data set.
    pub unreadable: Vec<ImageError>,
    /// Whether every image was seen.
    pub complete: bool,
}

/// Measures a network over the images that `ledger` does not know yet, until they are all seen or `stop` is set.
///
/// # Errors
/// Where the device fails, or the ledger can't be written.
pub fn measure(
    predictor: &Predictor,
    dataset: &Dataset,
    mut ledger: Ledger,
    batch: usize,
    stop: &AtomicBool,
) -> Result<Outcome, AccuracyError> {
    let left: Vec<&Sample> = dataset.samples.iter().filter(|sample| !ledger.knows(&sample.name)).collect();
    let mut progress = Progress::new(dataset.samples.len(), ledger.tally());
    let mut unreadable = Vec::new();
    let seen_all: Result<bool, AccuracyError> = std::thread::scope(|scope| {
        let mut feed = Feed::start(scope, &left, predictor.classifier(), 2 * batch);
        let mut waiting: Vec<(&Sample, Vec<f32>)> = Vec::new();
        loop {
            let next = if stop.load(Ordering::Relaxed) { return Ok(false) } else { feed.next() };
            let ended = next.is_none();
            match next {
                Some((sample, Ok(input))) => waiting.push((sample, input)),
                Some((_, Err(error))) => {
                    progress.unreadable(&error);
                    unreadable.push(error);
                }
                None => {}
            }
            if waiting.len() == batch || ended && !waiting.is_empty() {
                for done in judge(predictor, &mut waiting, batch)? {
                    ledger.add(done)?;
                }
                ledger.flush()?;
                progress.show(ledger.tally(), unreadable.len());
            }
            if ended {
                return Ok(true);
            }
        }
    });
    progress.finish();
    let complete = seen_all?;
    unreadable.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(Outcome { accuracy: ledger.tally().accuracy(predictor), unreadable, complete })
}

/// Runs a batch and says of each image whether its class was found.
fn judge(
    predictor: &Predictor,
    waiting: &mut Vec<(&Sample, Vec<f32>)>,
    batch: usize,
) -> Result<Vec<Done>, AccuracyError> {
    let (samples, inputs): (Vec<_>, Vec<_>) = std::mem::take(waiting).into_iter().unzip();
    let logits = predictor.logits(&inputs).map_err(|error| match error {
        MeasureError::OutOfMemory { .. } => AccuracyError::Memory { error, batch },
        error @ MeasureError::Device(_) => AccuracyError::Measure(error),
    })?;
    let done = |(sample, logits): (&Sample, Vec<f32>)| Done {
        image: sample.name.clone(),
        class: sample.class,
        top: largest(&logits, TOP),
    };
    Ok(samples.into_iter().zip(logits).map(done).collect())
}

/// A batch for which this host has not the memory.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error(
    "a batch of {batch} images takes some {} and {} are available: try --batch {fits}", bytes(*.needed),
    bytes(*.available)
)]
pub struct NoRoom {
    /// Images in the batch.
    pub batch: u32,
    /// What weights and activations take at least, bytes.
    pub needed: u64,
    /// What there is, bytes.
    pub available: u64,
    /// Images for which there may be room.
    pub fits: u64,
}

/// Checks that a batch has room on the processor, where a lack of memory would end the process without a word.
///
/// # Errors
/// Says what it would take.
pub fn check_memory(model: &Model, batch: u32, precision: Precision) -> Result<(), NoRoom> {
    let (Some(memory), Ok(facts)) = (host::memory(), cost::facts(model)) else { return Ok(()) };
    let (available, size) = (memory.available, precision.bytes());
    // The input is held twice: as it is handed over, and as the first activation.
    let image = facts.peak_activations + model.inputs.iter().map(|port| port.elements(1) as u64).sum::<u64>();
    let needed = (facts.params + u64::from(batch) * image) * size;
    let fits = ((available / size).saturating_sub(facts.params) / image.max(1)).max(1);
    if needed > available { Err(NoRoom { batch, needed, available, fits }) } else { Ok(()) }
}

/// Right and wrong answers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Images.
    pub images: u64,
    /// Images whose class was the likeliest.
    pub top1: u64,
    /// Images whose class was among the five likeliest.
    pub top5: u64,
}

impl Tally {
    /// Counts an answer.
    pub fn add(&mut self, done: &Done) {
        self.images += 1;
        self.top1 += u64::from(done.top.first() == Some(&done.class));
        self.top5 += u64::from(done.top.contains(&done.class));
    }

    /// The figure that it comes to; none of no images.
    fn accuracy(self, predictor: &Predictor) -> Option<Accuracy> {
        let Config { network, device, precision, .. } = predictor.config.clone();
        Some(Accuracy {
            network,
            weights: predictor.weights.clone(),
            device,
            precision,
            images: self.images,
            top1: share(self.top1, self.images)?,
            top5: share(self.top5, self.images)?,
        })
    }
}

/// A share with its 95 % interval, per cent.
fn share(right: u64, of: u64) -> Option<Share> {
    let (low, high) = stats::wilson(right, of, Z95)?;
    Some(Share { percent: 100.0 * right as f64 / of as f64, low: 100.0 * low, high: 100.0 * high })
}

/// What `wattscope accuracy --json` prints.
#[derive(Debug, Serialize)]
pub struct Report<'a> {
    schema: u32,
    #[serde(flatten)]
    accuracy: &'a Accuracy,
    complete: bool,
    unreadable: Vec<String>,
}

impl<'a> Report<'a> {
    /// The report of an outcome; none without a figure.
    pub fn of(outcome: &'a Outcome) -> Option<Self> {
        let unreadable = outcome.unreadable.iter().map(ToString::to_string).collect();
        let accuracy = outcome.accuracy.as_ref()?;
        Some(Self { schema: SCHEMA, accuracy, complete: outcome.complete, unreadable })
    }
}

/// The figure beside the published one, for people.
pub fn table(model: &Model, accuracy: &Accuracy) -> String {
    let source = &model.provenance.published;
    let mut table = Table::new(&["<", "measured %", "95 % interval", "published %"]);
    let published = [source.top1, source.top5];
    for (name, share, published) in [("top-1", accuracy.top1, published[0]), ("top-5", accuracy.top5, published[1])] {
        let published = published.map_or_else(|| "–".to_owned(), |percent| format!("{percent:.2}"));
        let interval = format!("{:.2} – {:.2}", share.low, share.high);
        table.row([name.to_owned(), format!("{:.2}", share.percent), interval, published]);
    }
    format!("{}published: {}\n", table.render(), source.source)
}

/// A result for people: what was measured on how many images, and the figures.
pub fn text(predictor: &Predictor, accuracy: &Accuracy, dataset: &Dataset) -> String {
    let (done, all) = (accuracy.images, dataset.samples.len());
    let of = if done as usize == all { String::new() } else { format!(" of {all}") };
    format!("{} · {done}{of} images\n{}", predictor.title(), table(predictor.model(), accuracy))
}

fn images(n: usize) -> String {
    if n == 1 { "1 image".to_owned() } else { format!("{n} images") }
}

/// What was left out, and why.
pub fn complaints(outcome: &Outcome, dataset: &Dataset) -> String {
    let mut text = String::new();
    if dataset.unlabelled > 0 {
        text += &format!("{} without a label: left out\n", images(dataset.unlabelled));
    }
    if !outcome.unreadable.is_empty() {
        text += &format!("{} could not be read:\n", images(outcome.unreadable.len()));
        text.extend(outcome.unreadable.iter().map(|error| format!("  {error}\n")));
    }
    if !outcome.complete {
        text += "interrupted: the same command goes on from here\n";
    }
    text
}

#[cfg(test)]
mod tests;
