//! `wattscope networks` and `wattscope devices`: what can be measured, and on what.

use crate::{
    event::{DeviceInfo, NetworkFacts},
    format::{bytes, significant},
    model::{self, Model, capture::CaptureError, cost},
    table::Table,
};
use serde::Serialize;

/// A network as `wattscope networks --json` prints it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Network {
    /// Name on the command line.
    pub id: String,
    /// Name as printed.
    pub title: String,
    /// Year of its first paper.
    pub year: u16,
    /// That paper.
    pub paper: String,
    /// Side of the square input image, pixels.
    pub input_px: u32,
    /// Learned values.
    pub params: u64,
    /// Multiply-accumulates of one image.
    pub macs: u64,
    /// Operations of one image by the paper's rule: 2 a MAC, 1 a bias and a ReLU output, k² a pooling output.
    pub ops: u64,
    /// Values that convolutions and linear layers write for one image.
    pub activations: u64,
    /// Most memory that one image's activations need at once in f32, bytes; weights and workspaces come on top.
    pub peak_activation_bytes: u64,
    /// Published top-1 accuracy, %.
    pub top1: Option<f64>,
    /// Published top-5 accuracy, %.
    pub top5: Option<f64>,
    /// Who published them.
    pub accuracy_source: String,
}

/// Every model that can be listed, with its cost.
///
/// # Errors
/// If a model can't be captured; names it.
pub fn networks() -> Result<Vec<Network>, (String, CaptureError)> {
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
pub fn network_table(networks: &[Network]) -> String {
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

/// The devices as a table, the absent ones with their reasons below.
pub fn device_table(devices: &[DeviceInfo]) -> String {
    let mut table = Table::new(&["<device", "<title", "<precisions", "memory"]);
    for device in devices.iter().filter(|d| d.absent.is_none()) {
        let precisions: Vec<_> = device.precisions.iter().map(|p| p.name()).collect();
        let memory = device.memory_bytes.map_or_else(|| "not known".to_owned(), bytes);
        table.row([device.name.clone(), device.title.clone(), precisions.join(", "), memory]);
    }
    let absent = devices.iter().filter_map(|d| d.absent.as_ref().map(|reason| format!("{}: {reason}\n", d.name)));
    table.render() + &absent.collect::<String>()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Precision;

    #[test]
    fn the_networks_table() {
        insta::assert_snapshot!(network_table(&networks().unwrap()));
    }

    #[test]
    fn an_absent_device_says_why() {
        let device = |name: &str, absent: Option<&str>| DeviceInfo {
            name: name.to_owned(),
            title: "a processor".to_owned(),
            precisions: vec![Precision::F32, Precision::F16],
            memory_bytes: Some(8 << 30),
            absent: absent.map(str::to_owned),
            ..DeviceInfo::default()
        };
        let table = device_table(&[device("cpu", None), device("cuda", Some("libcuda.so.1 not found"))]);
        insta::assert_snapshot!(table, @r"
        device  title        precisions    memory
        cpu     a processor  f32, f16    8.00 GiB
        cuda: libcuda.so.1 not found
        ");
    }
}
