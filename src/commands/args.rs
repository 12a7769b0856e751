//! Flags that several commands share, and the parsers of their values.

use crate::{
    agent::remote::RemoteCommand,
    backend::{DeviceError, device},
    event::{Config, DeviceInfo, Precision},
    exporter::Listen,
    model::{self, Model, zoo},
    sweep::plan,
    ui,
};
use clap::{
    Args, ValueEnum, ValueHint,
    builder::{PossibleValue, PossibleValuesParser, TypedValueParser},
};

/// Where metrics are served.
#[derive(Clone, Debug, Args)]
pub struct Metrics {
    /// Serve metrics while it runs: at HOST:PORT, :PORT (all addresses) or PORT (loopback only)
    #[arg(long = "metrics", value_name = "ADDRESS", value_parser = str::parse::<Listen>)]
    pub address: Option<Listen>,
}

/// Whether the engine replays captured CUDA graphs.
#[derive(Clone, Copy, Debug, Args)]
pub struct Graph {
    /// On CUDA: replay the launches of a batch as one captured graph where that is exact and faster (the default)
    #[arg(long, overrides_with = "no_graph")]
    graph: bool,
    /// Launch every kernel by itself, even where replaying a captured graph would be faster
    #[arg(long, overrides_with = "graph")]
    no_graph: bool,
}

impl Graph {
    /// Whether graphs may be replayed; the last of the two flags counts.
    pub const fn wanted(self) -> bool {
        self.graph || !self.no_graph
    }
}

/// Which configurations of a network are measured: each batch size in each precision.
#[derive(Clone, Debug, Args)]
pub struct Grid {
    /// Batch sizes, separated by commas
    #[arg(short, long, value_name = "N,…", value_delimiter = ',', default_value = "1",
          value_parser = clap::value_parser!(u32).range(1..))]
    pub batch: Vec<u32>,
    /// Precisions, separated by commas; the device's first if not given
    #[arg(short, long, value_name = "P,…", value_delimiter = ',', value_parser = precision())]
    pub precision: Vec<Precision>,
}

/// How the engine runs.
#[derive(Clone, Copy, Debug, Args)]
pub struct EngineArgs {
    /// Memory the engine may take on the CPU, such as 4GiB; by default 90 % of what is available
    #[arg(long, value_name = "BYTES", value_parser = bytes)]
    pub memory_limit: Option<u64>,
    /// Run batch norms as they are, instead of folding them into the layer before them
    #[arg(long)]
    pub no_fold: bool,
}

/// The hosts whose engines measure: this one, or those that commands lead to.
#[derive(Clone, Debug, Args)]
pub struct Hosts {
    /// Command that leads to the host to measure on, such as "ssh gpu-box"; the same wattscope has to be there. Several
    /// --on are several hosts, side by side, but for `layers`
    #[arg(long, value_name = "COMMAND", value_parser = command_line, value_hint = ValueHint::CommandString)]
    pub on: Vec<String>,
    /// wattscope at the far end of --on, where it is not in the PATH there
    #[arg(long, value_name = "PROGRAM", default_value = "wattscope", value_parser = command_line, requires = "on")]
    pub far: String,
}

impl Hosts {
    /// The remote hosts; none where the engine runs on this host.
    pub fn targets(&self) -> Vec<RemoteCommand> {
        self.on.iter().map(|on| RemoteCommand { on: on.clone(), program: self.far.clone() }).collect()
    }
}

/// How the screen is drawn: the flags of `live` and `replay`.
#[derive(Clone, Debug, Args)]
pub struct ScreenArgs {
    /// What curves are drawn with
    #[arg(long, value_enum, default_value_t)]
    pub marker: Marker,
    /// Leave the mouse to the terminal
    #[arg(long)]
    pub no_mouse: bool,
    /// Colours
    #[arg(long, value_enum, default_value_t, value_name = "WHEN")]
    pub color: Color,
}

/// What curves are drawn with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Marker {
    /// Eight dots a cell
    #[default]
    Braille,
    /// Two halves a cell
    Block,
    /// Nothing beyond ASCII
    Ascii,
}

/// How many colours the screen may use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Color {
    /// What the terminal says it can
    #[default]
    Auto,
    /// None
    Never,
    /// The terminal's own 16
    #[value(name = "16")]
    Sixteen,
    /// The 256 of xterm
    #[value(name = "256")]
    Palette,
    /// 24 bits
    True,
}

impl ScreenArgs {
    /// The screen's options: its looks, and every network of the registry to choose from.
    pub fn options(&self) -> ui::Options {
        ui::Options {
            networks: expand("all"),
            paper: expand("paper"),
            marker: match self.marker {
                Marker::Braille => ui::Marker::Braille,
                Marker::Block => ui::Marker::Block,
                Marker::Ascii => ui::Marker::Ascii,
            },
            depth: match self.color {
                Color::Auto => None,
                Color::Never => Some(ui::Depth::None),
                Color::Sixteen => Some(ui::Depth::Ansi16),
                Color::Palette => Some(ui::Depth::Ansi256),
                Color::True => Some(ui::Depth::Rgb),
            },
            no_mouse: self.no_mouse,
            ..ui::Options::default()
        }
    }
}

/// Devices that can't be measured side by side.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DevicesError {
    /// Two engines on one device would measure each other.
    #[error("{0} is named twice: two engines on one device would measure each other")]
    Twice(String),
    /// `auto` may turn out to be one of the other devices.
    #[error("auto stands for one device: name each of several, as in --device cuda:0,cuda:1")]
    Auto,
}

/// Checks that several devices are different devices.
///
/// # Errors
/// If one is named twice, or is `auto` beside others.
pub fn check_devices(devices: &[String]) -> Result<(), DevicesError> {
    if devices.len() > 1 && devices.iter().any(|device| device == "auto") {
        return Err(DevicesError::Auto);
    }
    match devices.iter().enumerate().find(|(i, device)| devices[..*i].contains(device)) {
        Some((_, device)) => Err(DevicesError::Twice(device.clone())),
        None => Ok(()),
    }
}

/// Every combination once: networks, then precisions, then batch sizes. Without a precision, the device's first is taken.
///
/// # Errors
/// If the host lacks the device, or the device a precision.
pub fn configs(
    networks: &[String],
    precisions: &[Precision],
    batches: &[u32],
    device: &str,
    devices: &[DeviceInfo],
) -> Result<Vec<Config>, DeviceError> {
    let device = device::resolve(device, devices)?;
    precisions.iter().try_for_each(|precision| device::check_precision(device, *precision))?;
    let networks = networks.iter().flat_map(|name| expand(name));
    // Every enumerated device has a precision; one without any would have no configurations.
    let by_default: Vec<_> = device.precisions.iter().take(1).copied().collect();
    let precisions = if precisions.is_empty() { &by_default } else { precisions };
    let mut configs: Vec<Config> = Vec::new();
    for (network, precision) in networks.flat_map(|n| precisions.iter().map(move |p| (n.clone(), *p))) {
        for batch in batches {
            let (network, device) = (network.to_owned(), device.name.clone());
            let config = Config { network, batch: *batch, precision, device };
            if !configs.contains(&config) {
                configs.push(config);
            }
        }
    }
    Ok(configs)
}

/// The networks that a name on the command line stands for: a network, or a set of them.
fn expand(name: &str) -> Vec<String> {
    let these = |of: fn(&Model) -> bool| model::list().into_iter().filter(of).map(|model| model.name).collect();
    match name {
        "all" => these(|_| true),
        "paper" => these(|model| model.provenance.in_paper),
        _ => vec![name.to_owned()],
    }
}

/// A command for a shell, which is not empty.
pub fn command_line(s: &str) -> Result<String, String> {
    match s.trim() {
        "" => Err("a command, such as \"ssh gpu-box\"".to_owned()),
        command => Ok(command.to_owned()),
    }
}

/// A device's name in the form that the list of devices has it in.
pub fn device_name(s: &str) -> Result<String, String> {
    device::full_name(s)
}

/// Parser of one network.
pub fn network() -> PossibleValuesParser {
    network_or(&[])
}

/// Parser of a network, or `all`.
pub fn network_or_all() -> PossibleValuesParser {
    network_or(&[("all", "Every network")])
}

/// Parser of a network, `paper` or `all`.
pub fn network_or_set() -> PossibleValuesParser {
    network_or(&[("paper", "The 14 of Canziani et al. (2016)"), ("all", "Every network")])
}

fn network_or(sets: &[(&'static str, &'static str)]) -> PossibleValuesParser {
    let entries = zoo::registry().iter().map(|entry| PossibleValue::new(entry.id).help(entry.title));
    let sets = sets.iter().map(|(name, help)| PossibleValue::new(*name).help(*help));
    PossibleValuesParser::new(entries.chain(sets))
}

/// Batch sizes that one item of a list stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batches(pub Vec<u32>);

/// Parser of a batch size, or of the powers of two of a range.
pub fn batches(s: &str) -> Result<Batches, String> {
    plan::batches(s).map(Batches)
}

/// Parser of a precision.
pub fn precision() -> impl TypedValueParser<Value = Precision> {
    PossibleValuesParser::new(Precision::ALL.map(Precision::name)).try_map(|name| name.parse())
}

/// A number of seconds to measure.
pub fn seconds(s: &str) -> Result<f64, String> {
    match s.parse::<f64>() {
        Ok(seconds) if seconds > 0.0 && seconds <= 86_400.0 => Ok(seconds),
        _ => Err("a number of seconds above 0 and at most a day (86400)".to_owned()),
    }
}

/// Bytes with an optional unit: `4096`, `4GiB`, `500M`.
pub fn bytes(s: &str) -> Result<u64, String> {
    let digits = s.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(s.len());
    let (number, unit) = s.split_at(digits);
    let factor = match unit.trim().to_ascii_lowercase().as_str() {
        "" | "b" => 1.0,
        "k" | "kb" => 1e3,
        "m" | "mb" => 1e6,
        "g" | "gb" => 1e9,
        "kib" => 1024.0,
        "mib" => 1024.0 * 1024.0,
        "gib" => 1024.0 * 1024.0 * 1024.0,
        _ => return Err(format!("unknown unit '{unit}': kB, MB, GB, KiB, MiB, GiB or none")),
    };
    match number.parse::<f64>() {
        Ok(number) if number * factor >= 1.0 => Ok((number * factor) as u64),
        _ => Err("a number of bytes, such as 4096, 500MB or 4GiB".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_come_with_and_without_a_unit() {
        assert_eq!(["4096", "4GiB", "1.5 kB", "2m"].map(bytes), [Ok(4096), Ok(4 << 30), Ok(1500), Ok(2_000_000)]);
    }
}
