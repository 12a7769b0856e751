//! `wattscope infer`: photographs, classified.

use super::{
    args::{Device, Fold, JsonLines, NamedNetwork, OnePrecision, Weights, file},
    execute::{Execute, Global},
    failure::Failure,
    setup,
};
use crate::{
    format::significant,
    images::infer::{self, Answer, Predictor},
    model, output,
    table::Table,
};
use clap::{ArgGroup, Args, ValueHint};
use std::{path::PathBuf, process::ExitCode};

const HELP: &str = "\
A photograph is resized, cropped and normalised as the source of the network's weights does, to the last bit of Pillow's \
resampling. JPEGs decode to within 4 steps of 255 of what Pillow has, PNG and lossless WebP exactly. An EXIF orientation is \
ignored, as PyTorch's transforms ignore it.

Examples:
  wattscope infer resnet50 --weights resnet50-0676ba61.pth --image cat.jpg dog.png
  wattscope infer inception-v3 --weights inception_v3.safetensors --input input.safetensors --logits logits.safetensors

Exit status:
  0  everything was answered
  1  something could not be read or run
  2  bad usage, or weights of another network";

/// Classify photographs with a network
#[derive(Clone, Debug, Args)]
#[command(after_help = HELP, group = ArgGroup::new("what").required(true))]
pub struct Infer {
    /// The network.
    #[command(flatten)]
    pub network: NamedNetwork,
    /// Its weights.
    #[command(flatten)]
    pub weights: Weights,
    /// Photographs: JPEG, PNG or WebP; - for standard input
    #[arg(short, long, alias = "images", value_name = "FILE", num_args = 1.., group = "what",
          value_hint = ValueHint::FilePath)]
    pub image: Vec<PathBuf>,
    /// A prepared input instead: safetensors with one tensor `input` of [n, 3, px, px]
    #[arg(long, value_name = "FILE", group = "what", value_parser = file::named("a prepared input is read more than once: name a file"),
          value_hint = ValueHint::FilePath)]
    pub input: Option<PathBuf>,
    /// Likeliest classes to print
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..))]
    pub top: u16,
    /// Write the logits to a safetensors file, as a tensor `logits` of [n, 1000]
    #[arg(long, value_name = "FILE", value_parser = file::named("standard output has the answers: name a file"),
          value_hint = ValueHint::FilePath)]
    pub logits: Option<PathBuf>,
    /// The precision.
    #[command(flatten)]
    pub precision: OnePrecision,
    /// The device.
    #[command(flatten)]
    pub device: Device,
    /// Whether batch norms are folded.
    #[command(flatten)]
    pub fold: Fold,
    /// Whether answers are JSON.
    #[command(flatten)]
    pub json: JsonLines,
}

impl Execute for Infer {
    fn execute(self, _: &Global) -> Result<ExitCode, Failure> {
        file::check_input(&self.image).map_err(Failure::usage)?;
        let model = model::find(self.network.name()).map_err(Failure::usage)?;
        let (device, precision) = setup::device_and_precision(&self.device.device, self.precision.precision)?;
        let checkpoint = self.weights.weights.as_deref().map(|path| setup::checkpoint(&model, path)).transpose()?;
        let predictor = Predictor::build(&model, &device, precision, checkpoint.as_ref(), self.fold.wanted())?;
        let (inputs, unreadable) = match &self.input {
            Some(path) => (predictor.tensor(path)?, Vec::new()),
            None => predictor.photographs(&self.image),
        };
        // The others are answered all the same.
        unreadable.iter().for_each(|error| output::warn(&format!("error: {error}")));
        let code = if unreadable.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE };
        if inputs.is_empty() {
            return Ok(code);
        }
        let answers = predictor.answers(inputs, usize::from(self.top))?;
        self.print(&predictor, &answers, checkpoint.is_none())?;
        // The answers are there, whatever becomes of the file.
        if let Some(path) = &self.logits {
            infer::write_logits(path, &answers)?;
        }
        Ok(code)
    }
}

impl Infer {
    /// Prints the answers; those of made-up weights are called so.
    fn print(&self, predictor: &Predictor, answers: &[Answer], made_up: bool) -> Result<(), Failure> {
        if self.json.json {
            for answer in answers {
                output::print(&(serde_json::to_string(answer)? + "\n"));
            }
            return Ok(());
        }
        let tables: Vec<_> = answers.iter().map(table).collect();
        let note = if made_up {
            "The weights are made up, and so are the answers: --weights FILE loads real ones.\n"
        } else {
            ""
        };
        output::print(&format!("{}\n{note}\n{}", predictor.title(), tables.join("\n")));
        Ok(())
    }
}

/// An answer for people.
fn table(answer: &Answer) -> String {
    let mut table = Table::new(&["%", "logit", "class", "<name"]);
    for guess in &answer.top {
        let percent = format!("{:.1}", 100.0 * guess.probability);
        let logit = significant(f64::from(guess.logit), 5);
        table.row([percent, logit, guess.class.to_string(), guess.name.to_owned()]);
    }
    format!("{}\n{}", answer.input, table.render())
}
