//! `wattscope accuracy`: top-1 and top-5 of a network over labelled images.

use super::{
    args::{Batch, Device, Fold, JsonLines, NamedNetwork, OnePrecision, file},
    bar::bar,
    execute::{Execute, Global},
    failure::{Failure, about},
    setup,
};
use crate::{
    backend::device,
    event::{Accuracy as Measured, DeviceMemory},
    images::{
        self, ImageError,
        accuracy::{
            self, Observer, Outcome,
            dataset::Dataset,
            ledger::{self, Ledger, LedgerError, Work},
            tally::Tally,
        },
        infer::Predictor,
    },
    model::{self, Model},
    output,
    table::Table,
};
use clap::{Args, ValueHint};
use indicatif::ProgressBar;
use serde::Serialize;
use std::{
    path::PathBuf,
    process::ExitCode,
    sync::atomic::{AtomicBool, Ordering},
};

const HELP: &str = "\
Images are in ImageNet's validation layout, DIR/n01440764/*.JPEG, or all in DIR with --labels: a line an image, its name and \
its class, as an index from 0 to 999 or as n01440764, or the table LOC_val_solution.csv from Kaggle. Images are taken in an \
order that has nothing to do with their classes, so that --limit and what Ctrl-C leaves are fair samples. What is done is \
kept in the user's state directory: the same command continues from there.

Examples:
  wattscope accuracy resnet50 --weights resnet50-0676ba61.pth --images imagenet/val
  wattscope accuracy vgg16 --weights vgg16.safetensors --images val --labels labels.txt --limit 1000 --json

Exit status:
  0    every image that can be read was measured; those that can't are listed
  1    something failed; what was measured is kept
  2    bad usage, or weights of another network
  130  Ctrl-C; what was measured is printed and kept";

/// Measure a network's accuracy over labelled images
#[derive(Clone, Debug, Args)]
#[command(after_help = HELP, mut_arg("batch", |batch| batch.default_value("16")))]
pub struct Accuracy {
    /// The network.
    #[command(flatten)]
    pub network: NamedNetwork,
    /// Weights of the network, .pth or .safetensors
    #[arg(short, long, value_name = "FILE", value_parser = file::named("weights are read more than once: name a file"),
          value_hint = ValueHint::FilePath)]
    pub weights: PathBuf,
    /// Labelled images: a folder with a folder a class, such as ImageNet's validation set
    #[arg(short, long, alias = "image", value_name = "DIR", value_parser = file::named("images are in a folder: name it"),
          value_hint = ValueHint::DirPath)]
    pub images: PathBuf,
    /// Labels of images that are all in one folder; - for standard input
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub labels: Option<PathBuf>,
    /// How many images go through the network together.
    #[command(flatten)]
    pub batch: Batch,
    /// Images to measure, a fair sample of them; all if not given
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub limit: Option<u32>,
    /// Begin again, even if a part was measured before
    #[arg(long)]
    pub restart: bool,
    /// The precision.
    #[command(flatten)]
    pub precision: OnePrecision,
    /// The device.
    #[command(flatten)]
    pub device: Device,
    /// Whether batch norms are folded.
    #[command(flatten)]
    pub fold: Fold,
    /// Whether the result is JSON.
    #[command(flatten)]
    pub json: JsonLines,
}

impl Execute for Accuracy {
    fn execute(self, global: &Global) -> Result<ExitCode, Failure> {
        file::check_input(&self.labels).map_err(Failure::usage)?;
        let model = model::find(self.network.name()).map_err(Failure::usage)?;
        let classes = model.classifier().map_err(Failure::usage)?.classes;
        let (device, precision) = setup::device_and_precision(&self.device.device, self.precision.precision)?;
        let checkpoint = setup::checkpoint(&model, &self.weights)?;
        let read = |path: &PathBuf| images::read(path).map_err(|error| Failure::usage(about(path.display())(error)));
        let labels = self.labels.as_ref().map(read).transpose()?;
        let labels = self.labels.as_deref().zip(labels.as_deref());
        let mut dataset = Dataset::open(&self.images, labels, classes).map_err(Failure::usage)?;
        dataset.samples.truncate(self.limit.map_or(usize::MAX, |limit| limit as usize));
        if device::traits_of(&device).memory == DeviceMemory::Host {
            accuracy::check_memory(&model, self.batch.batch, precision).map_err(Failure::usage)?;
        }
        setup::start_log(global.log.as_deref());
        let predictor = Predictor::build(&model, &device, precision, Some(&checkpoint), self.fold.wanted())?;
        let weights = weights_of(&predictor, self.fold);
        let work = Work {
            network: &model.name,
            weights: &weights,
            device: &device,
            precision: precision.name(),
            images: &self.images,
            labels: self.labels.as_deref(),
        };
        let ledger = work.file().map_or_else(Ledger::nowhere, |file| Ledger::open(file, self.restart, &dataset));
        let mut progress = Progress::new(dataset.samples.len(), ledger.tally());
        let batch = self.batch.batch as usize;
        let measure = |stop: &AtomicBool| {
            let outcome = accuracy::measure(&predictor, &dataset, ledger, batch, stop, &mut progress);
            progress.0.finish_and_clear();
            outcome
        };
        let (code, outcome) = until_interrupted(measure)?;
        let outcome = outcome?;
        let figure = outcome.accuracy.as_ref().filter(|_| outcome.complete && outcome.unkept.is_none());
        let kept = figure.map_or(Ok(()), keep);
        match (Report::of(&outcome, &dataset), &outcome.accuracy) {
            (Some(report), _) if self.json.json => output::print(&(serde_json::to_string(&report)? + "\n")),
            (_, Some(accuracy)) => output::print(&text(&predictor, accuracy, &dataset)),
            _ => {}
        }
        complaints(&outcome, &dataset).iter().for_each(|complaint| output::warn(complaint));
        if let Err(error) = kept {
            output::warn(&format!("the figure is not kept for the live screen: {error}"));
        }
        Ok(match outcome.accuracy {
            _ if !outcome.complete => code,
            Some(_) => ExitCode::SUCCESS,
            None => ExitCode::FAILURE,
        })
    }
}

/// The weights and what was done to them, for a measurement to continue only one that computes the same.
fn weights_of(predictor: &Predictor, fold: Fold) -> String {
    let unfolded = if fold.wanted() { "" } else { ", batch norms not folded" };
    format!("{}{unfolded}", predictor.weights)
}

/// Keeps a figure for the live screen.
fn keep(accuracy: &Measured) -> Result<(), LedgerError> {
    let file = ledger::figures_file();
    let file = file.map_err(|error| LedgerError { path: "the user's state directory".into(), error })?;
    ledger::keep(&file, accuracy)
}

/// Works on another thread until the work is done or the user interrupts it: the exit code of the interruption, and the
/// result.
fn until_interrupted<T: Send>(work: impl FnOnce(&AtomicBool) -> T + Send) -> Result<(ExitCode, T), Failure> {
    let stop = AtomicBool::new(false);
    let (done, ended) = tokio::sync::oneshot::channel::<()>();
    let runtime = setup::runtime()?;
    std::thread::scope(|scope| {
        let worker = scope.spawn(|| {
            let result = work(&stop);
            // The receiver is gone where the user has interrupted.
            let _ = done.send(());
            result
        });
        let code = runtime.block_on(async {
            tokio::select! {
                code = setup::interrupted() => ExitCode::from(code),
                _ = ended => ExitCode::SUCCESS,
            }
        });
        stop.store(true, Ordering::Relaxed);
        match worker.join() {
            Ok(result) => Ok((code, result)),
            Err(panic) => std::panic::resume_unwind(panic),
        }
    })
}

/// A line on stderr with the accuracy so far, the rate and the time left, while that is a terminal.
struct Progress(ProgressBar);

impl Progress {
    /// Progress among `images`, of which a tally is done already.
    fn new(images: usize, done: Tally) -> Self {
        let template = "{bar:24} {human_pos}/{human_len}  {msg}  {per_sec}  {eta} left";
        let bar = bar(Some(images as u64), template);
        bar.set_position(done.images);
        bar.reset_eta();
        Self(bar)
    }
}

impl Observer for Progress {
    fn progress(&mut self, tally: Tally, unreadable: usize) {
        let percent = |right: u64| 100.0 * right as f64 / tally.images.max(1) as f64;
        let bad = if unreadable > 0 { format!("  {unreadable} unreadable") } else { String::new() };
        self.0.set_message(format!("top-1 {:.1} %  top-5 {:.1} %{bad}", percent(tally.top1), percent(tally.top5)));
        self.0.set_position(tally.images + unreadable as u64);
    }

    fn unreadable(&mut self, error: &ImageError) {
        tracing::warn!("{error}");
    }
}

/// Version of the object of `wattscope accuracy --json`.
const SCHEMA: u32 = 1;

/// What `wattscope accuracy --json` prints.
#[derive(Debug, Serialize)]
struct Report<'a> {
    schema: u32,
    #[serde(flatten)]
    accuracy: &'a Measured,
    complete: bool,
    /// Images that could not be read, with the reason.
    unreadable: Vec<String>,
    /// Images of the folder that have no label, and were left out.
    unlabelled: usize,
    /// Images that have several labels, and what was done with them.
    doubled: Vec<String>,
}

impl<'a> Report<'a> {
    /// The report of an outcome; none without a figure.
    fn of(outcome: &'a Outcome, dataset: &Dataset) -> Option<Self> {
        let unreadable = outcome.unreadable.iter().map(ToString::to_string).collect();
        let doubled = dataset.doubled.iter().map(ToString::to_string).collect();
        let accuracy = outcome.accuracy.as_ref()?;
        let (complete, unlabelled) = (outcome.complete, dataset.unlabelled);
        Some(Self { schema: SCHEMA, accuracy, complete, unreadable, unlabelled, doubled })
    }
}

/// A result for people: what was measured on how many images, and the figures.
fn text(predictor: &Predictor, accuracy: &Measured, dataset: &Dataset) -> String {
    let (done, all) = (accuracy.images, dataset.samples.len());
    let of = if done as usize == all { String::new() } else { format!(" of {all}") };
    format!("{} · {done}{of} images\n{}", predictor.title(), table(predictor.model(), accuracy))
}

/// The figure beside the published one.
fn table(model: &Model, accuracy: &Measured) -> String {
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

/// What was left out, and why, line by line.
fn complaints(outcome: &Outcome, dataset: &Dataset) -> Vec<String> {
    let images = |n: usize| if n == 1 { "1 image".to_owned() } else { format!("{n} images") };
    let mut lines = Vec::new();
    if dataset.unlabelled > 0 {
        lines.push(format!("{} without a label: left out", images(dataset.unlabelled)));
    }
    if !outcome.unreadable.is_empty() {
        lines.push(format!("{} could not be read:", images(outcome.unreadable.len())));
        lines.extend(outcome.unreadable.iter().map(|error| format!("  {error}")));
    }
    lines.extend(dataset.doubled.iter().map(ToString::to_string));
    match (&outcome.unkept, outcome.complete) {
        (Some(error), true) => lines.push(format!("what was measured is not kept: {error}")),
        (Some(error), false) => lines.push(format!("interrupted; what was measured is not kept: {error}")),
        (None, false) => lines.push("interrupted: the same command continues from here".to_owned()),
        (None, true) => {}
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        event::{Precision, Share, Weights},
        images::{ImageFault, accuracy::dataset::Doubled},
    };

    #[test]
    fn the_report_for_programs_has_what_was_left_out() {
        let share = Share { percent: 50.0, low: 20.0, high: 80.0 };
        let accuracy = Measured {
            network: "resnet18".to_owned(),
            weights: Weights::Seed { seed: 1 },
            device: "cpu".to_owned(),
            precision: Precision::F32,
            images: 4,
            top1: share,
            top5: share,
        };
        let outcome = Outcome { accuracy: Some(accuracy), unreadable: Vec::new(), complete: true, unkept: None };
        let doubled = vec![Doubled { name: "a.jpg".to_owned(), lines: (1, 7), agree: false }];
        let dataset = Dataset { unlabelled: 2, doubled, ..Dataset::default() };
        let report = serde_json::to_value(Report::of(&outcome, &dataset)).unwrap();
        assert_eq!((report["images"].as_u64(), report["unlabelled"].as_u64()), (Some(4), Some(2)));
        assert!(report["doubled"][0].as_str().unwrap().ends_with("of different classes: left out"), "{report}");
    }

    #[test]
    fn what_was_left_out_is_said_with_the_reason() {
        let broken = ImageError { path: "val/broken.jpg".into(), fault: ImageFault::Truncated };
        let outcome = Outcome { accuracy: None, unreadable: vec![broken], complete: false, unkept: None };
        let doubled = |agree| Doubled { name: "a.jpg".to_owned(), lines: (1, 7), agree };
        let dataset = Dataset { unlabelled: 2, doubled: vec![doubled(true), doubled(false)], ..Dataset::default() };
        assert_eq!(
            complaints(&outcome, &dataset),
            [
                "2 images without a label: left out",
                "1 image could not be read:",
                "  val/broken.jpg: truncated: a JPEG without its end",
                "a.jpg is labelled in line 1 and in line 7, counted once",
                "a.jpg is labelled in line 1 and in line 7, of different classes: left out",
                "interrupted: the same command continues from here",
            ]
        );
    }
}
