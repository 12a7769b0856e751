//! `wattscope networks`: what can be measured, with static costs and published accuracies.

use super::{
    args::JsonArray,
    execute::{Execute, Global},
    failure::{Failure, about},
};
use crate::{
    event::NetworkFacts,
    format::significant,
    model::{self, Model, capture::CaptureError, cost},
    output,
    table::Table,
};
use clap::Args;
use serde::Serialize;
use std::process::ExitCode;

/// List the networks with their static costs and published accuracies
#[derive(Clone, Copy, Debug, Args)]
pub struct Networks {
    /// Whether the list is JSON.
    #[command(flatten)]
    json: JsonArray,
}

impl Execute for Networks {
    fn execute(self, _: &Global) -> Result<ExitCode, Failure> {
        let networks = networks().map_err(|(id, error)| about(id)(error))?;
        match self.json.json {
            true => output::print(&(serde_json::to_string_pretty(&networks)? + "\n")),
            false => output::print(&table(&networks)),
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// A network as `wattscope networks --json` prints it.
#[derive(Clone, Debug, PartialEq, Serialize)]
struct Network {
    /// Name on the command line.
    id: String,
    /// Name as printed.
    title: String,
    /// Year of its first paper.
    year: u16,
    /// That paper.
    paper: String,
    /// Side of the square input image, pixels.
    input_px: u32,
    /// Learned values.
    params: u64,
    /// Multiply-accumulates of one image.
    macs: u64,
    /// Operations of one image by the paper's rule: 2 a MAC, 1 a bias and a ReLU output, k² a pooling output.
    ops: u64,
    /// Values that convolutions and linear layers write for one image.
    activations: u64,
    /// Most memory that one image's activations need at once in f32, bytes; weights and workspaces come on top.
    peak_activation_bytes: u64,
    /// Published top-1 accuracy, %.
    top1: Option<f64>,
    /// Published top-5 accuracy, %.
    top5: Option<f64>,
    /// Who published them.
    accuracy_source: String,
}

/// Every model that can be listed, with its cost.
///
/// # Errors
/// If a model can't be captured; names it.
fn networks() -> Result<Vec<Network>, (String, CaptureError)> {
    let network = |model: Model| match cost::facts(&model) {
        Ok(facts) => Ok(describe(facts, &model.provenance.paper)),
        Err(error) => Err((model.name, error)),
    };
    model::list().into_iter().map(network).collect()
}

fn describe(facts: NetworkFacts, paper: &str) -> Network {
    Network {
        id: facts.id,
        title: facts.title,
        year: facts.year,
        paper: paper.to_owned(),
        input_px: facts.input_px,
        params: facts.params,
        macs: facts.macs,
        ops: facts.ops,
        activations: facts.activations,
        peak_activation_bytes: 4 * facts.peak_activations,
        top1: facts.top1,
        top5: facts.top5,
        accuracy_source: facts.accuracy_source,
    }
}

/// The networks as a table.
fn table(networks: &[Network]) -> String {
    let mut table = Table::new(&[
        "<id",
        "<title",
        "year",
        "px",
        "params M",
        "GMAC",
        "G-ops",
        "act M",
        "peak MiB",
        "top-1 %",
        "top-5 %",
        "<accuracy from",
    ]);
    let percent = |value: Option<f64>| value.map_or_else(|| "–".to_owned(), |v| format!("{v:.1}"));
    for n in networks {
        table.row([
            n.id.clone(),
            n.title.clone(),
            n.year.to_string(),
            n.input_px.to_string(),
            significant(n.params as f64 / 1e6, 3),
            significant(n.macs as f64 / 1e9, 3),
            significant(n.ops as f64 / 1e9, 3),
            significant(n.activations as f64 / 1e6, 3),
            significant(n.peak_activation_bytes as f64 / (1 << 20) as f64, 3),
            percent(n.top1),
            percent(n.top5),
            n.accuracy_source.clone(),
        ]);
    }
    table.render()
        + "GMAC: multiply-accumulates. G-ops: the count of the paper of 2016: 2 a MAC, 1 a bias and a ReLU output, k² a pooling\n\
           output. act: values that convolutions and linear layers write. peak: most activation memory at once, f32, batch 1.\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_networks_table() {
        insta::assert_snapshot!(table(&networks().unwrap()));
    }
}
