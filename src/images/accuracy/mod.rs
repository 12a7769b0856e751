//! Top-1 and top-5 of a network over a folder of labelled images, measured rather than quoted.
//!
//! Images are decoded on other threads than the one that runs the network. Every answer is kept, image by image, so that a
//! measurement that ends early goes on where it was.

pub mod dataset;
mod feed;
mod labels;
pub mod ledger;
pub mod tally;

use crate::{
    backend::RunError,
    event::{Accuracy, Config, Precision},
    format::bytes,
    host,
    images::{
        ImageError,
        infer::{Predictor, largest},
    },
    model::{Model, cost},
};
use dataset::{Dataset, Sample};
use feed::Feed;
use ledger::{Ledger, LedgerError};
use std::sync::atomic::{AtomicBool, Ordering};
use tally::{Done, Tally};
use thiserror::Error;

/// Classes that a top-5 looks at.
const TOP: usize = 5;

/// A measurement that could not go on; what was done until then is kept.
#[derive(Debug, Error)]
pub enum AccuracyError {
    /// A forward pass failed.
    #[error("{0}")]
    Measure(RunError),
    /// The device has not the memory for a batch.
    #[error("{error}\na batch of {batch} does not fit: try --batch {}; what is done is kept", (batch / 2).max(1))]
    Memory {
        /// What the device said.
        error: RunError,
        /// Images in the batch.
        batch: usize,
    },
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
    /// Why what is done is not kept, if it is not.
    pub unkept: Option<LedgerError>,
}

/// Is told how a measurement gets on.
pub trait Observer {
    /// Another batch is done: what all of them add up to, and how many images could not be read.
    fn progress(&mut self, tally: Tally, unreadable: usize);

    /// An image could not be read.
    fn unreadable(&mut self, error: &ImageError);
}

/// Measures a network over the images that `ledger` does not know yet, until they are all seen or `stop` is set.
///
/// # Errors
/// Where the device fails.
pub fn measure(
    predictor: &Predictor,
    dataset: &Dataset,
    mut ledger: Ledger,
    batch: usize,
    stop: &AtomicBool,
    observer: &mut impl Observer,
) -> Result<Outcome, AccuracyError> {
    let left: Vec<&Sample> = dataset.samples.iter().filter(|sample| !ledger.knows(&sample.name)).collect();
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
                    observer.unreadable(&error);
                    unreadable.push(error);
                }
                None => {}
            }
            if waiting.len() == batch || ended && !waiting.is_empty() {
                ledger.add(judge(predictor, &mut waiting, batch)?);
                observer.progress(ledger.tally(), unreadable.len());
            }
            if ended {
                return Ok(true);
            }
        }
    });
    let complete = seen_all?;
    unreadable.sort_by(|a, b| a.path.cmp(&b.path));
    let accuracy = accuracy(predictor, ledger.tally());
    Ok(Outcome { accuracy, unreadable, complete, unkept: ledger.failure() })
}

/// The figure that a tally comes to; none of no images.
fn accuracy(predictor: &Predictor, tally: Tally) -> Option<Accuracy> {
    let (top1, top5) = tally.shares()?;
    let Config { network, device, precision, .. } = predictor.config.clone();
    Some(Accuracy { network, weights: predictor.weights.clone(), device, precision, images: tally.images, top1, top5 })
}

/// Runs a batch and says of each image whether its class was found.
fn judge(
    predictor: &Predictor,
    waiting: &mut Vec<(&Sample, Vec<f32>)>,
    batch: usize,
) -> Result<Vec<Done>, AccuracyError> {
    let (samples, inputs): (Vec<_>, Vec<_>) = std::mem::take(waiting).into_iter().unzip();
    let logits = predictor.logits(&inputs).map_err(|error| match error {
        RunError::OutOfMemory { .. } => AccuracyError::Memory { error, batch },
        error => AccuracyError::Measure(error),
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

#[cfg(test)]
mod tests;
