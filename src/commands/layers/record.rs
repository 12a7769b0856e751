//! The layers of a configuration, for programs (one JSON object a configuration, which `assets/layers.schema.json` describes)
//! and for people (a table).

use crate::{
    analysis::roofline::{self, Achieved},
    event::{Config, LayerClock, LayerTime, Layers},
    format::{percent, si, significant},
    model,
    session::{
        State,
        records::{Origin, Outcome},
    },
    sweep::Failed,
    table::Table,
};
use serde::Serialize;

/// Version of the objects of `wattscope layers --json`.
pub const SCHEMA: u32 = 1;

/// The layers of one configuration, with what it takes to believe them later; or why there are none.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Record {
    /// [`SCHEMA`].
    pub schema: u32,
    /// What was measured, where, and by what.
    #[serde(flatten)]
    pub origin: Origin,
    /// Layers, or an error.
    #[serde(flatten)]
    pub outcome: Outcome<Figures>,
}

/// Where the time of a batch goes.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Figures {
    /// `device` or `wall`: what the times were read from.
    pub clock: LayerClock,
    /// Passes of each kind.
    pub passes: u32,
    /// A whole batch by the same clock, nothing in it timed, ms.
    pub whole_ms: f64,
    /// The layers' times together, ms.
    pub sum_ms: f64,
    /// Wall time of a whole batch, nothing in it timed, ms.
    pub whole_wall_ms: f64,
    /// Wall time of a batch whose layers are timed, ms.
    pub instrumented_wall_ms: f64,
    /// Peak measured in this precision, operations/s.
    pub peak_flops: Option<f64>,
    /// How it was measured.
    pub peak_source: Option<String>,
    /// Peak of the memory, bytes/s.
    pub peak_bytes_per_s: Option<f64>,
    /// How it was measured.
    pub peak_bytes_source: Option<String>,
    /// Operations a byte at which both roofs meet.
    pub ridge_flops_per_byte: Option<f64>,
    /// The layers in execution order.
    pub layers: Vec<Row>,
}

/// A layer.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Row {
    /// Its number, from 1.
    pub number: usize,
    /// `conv`, `linear`, `relu` …
    pub kind: String,
    /// What distinguishes it.
    pub detail: String,
    /// Output shape, batch first.
    pub output: Vec<u64>,
    /// Learned values.
    pub params: u64,
    /// Multiply-accumulates of the whole batch.
    pub macs: u64,
    /// Number of the layer whose time holds it; null where that is its own.
    pub within: Option<usize>,
    /// Bytes that must move at the least, for it and the layers within it; null where another layer holds it.
    pub bytes: Option<u64>,
    /// Its time, ms; null where another layer's holds it.
    pub time_ms: Option<f64>,
    /// Its share of all layers' time.
    pub share: Option<f64>,
    /// Operations a second, two a multiply-accumulate.
    pub flops: Option<f64>,
    /// Bytes a second.
    pub bytes_per_s: Option<f64>,
    /// Operations a byte.
    pub flops_per_byte: Option<f64>,
    /// `compute` or `memory`: the lower roof at its intensity.
    pub roof: Option<&'static str>,
    /// What it reaches of that roof; above 1 under the memory's where a cache delivers.
    pub roof_share: Option<f64>,
    /// Whether it moves more than the memory delivers: a cache does.
    pub from_cache: Option<bool>,
}

fn ms(nanos: u64) -> f64 {
    nanos as f64 / 1e6
}

impl Record {
    /// What was found for a configuration, as the stream has it.
    pub fn of(state: &State, config: &Config, found: Result<&Layers, &Failed>) -> Self {
        let run = state.run.as_ref().filter(|run| run.config == *config);
        Self {
            schema: SCHEMA,
            origin: Origin::of(state, config, run.and_then(|run| run.weights.as_ref())),
            outcome: Outcome::of(found.map(|layers| Figures::of(state, layers))),
        }
    }

    /// Whether the layers were measured.
    pub const fn is_measured(&self) -> bool {
        self.outcome.is_measured()
    }

    /// The configuration in words.
    pub fn title(&self) -> String {
        let Origin { network, batch, precision, device, .. } = &self.origin;
        let name = model::find(network).map_or_else(|_| network.clone(), |model| model.title);
        let device = match &self.origin.device_title {
            Some(title) if title != device => format!("{device} ({title})"),
            _ => device.clone(),
        };
        let folded = if self.origin.folded { "" } else { " · batch norms not folded" };
        format!("{name} · batch {batch} · {precision} · {device}{folded}")
    }

    /// The table, and below it what the times are and what they were measured against; the reason where there are none.
    pub fn text(&self) -> String {
        match &self.outcome {
            Outcome::Measured(figures) => {
                format!("{}\n\n{}\n{}", self.title(), figures.table(), figures.notes())
            }
            Outcome::Failed { error, .. } => format!("{}: {error}\n", self.title()),
        }
    }
}

impl Figures {
    fn of(state: &State, layers: &Layers) -> Self {
        let config = &layers.config;
        let roofs = state.roofs(config);
        let peak = state.peaks.get(&(config.device.clone(), config.precision));
        let bandwidth = state.bandwidths.get(&config.device);
        let achieved = roofline::achieved(&layers.layers, roofs);
        let rows = layers.layers.iter().zip(achieved).enumerate();
        Self {
            clock: layers.clock,
            passes: layers.passes,
            whole_ms: ms(layers.whole_ns),
            sum_ms: ms(layers.sum_ns),
            whole_wall_ms: ms(layers.whole_wall_ns),
            instrumented_wall_ms: ms(layers.instrumented_wall_ns),
            peak_flops: peak.map(|(flops, _)| *flops),
            peak_source: peak.map(|(_, how)| how.clone()),
            peak_bytes_per_s: bandwidth.map(|(bytes, _)| *bytes),
            peak_bytes_source: bandwidth.map(|(_, how)| how.clone()),
            ridge_flops_per_byte: roofs.map(|roofs| roofs.ridge()),
            layers: rows.map(|(i, (layer, achieved))| Row::of(i, layer, achieved)).collect(),
        }
    }

    fn table(&self) -> String {
        let titles = ["#", "<kind", "<detail", "<output", "MACs", "bytes", "ms", "share", "FLOP/s", "B/s", "<roof"];
        let mut table = Table::new(&titles);
        self.layers.iter().for_each(|row| table.row(row.cells()));
        table.render()
    }

    /// What the sum is beside the whole, what the instrumentation adds, and the roofs.
    fn notes(&self) -> String {
        let share = |part: f64, whole: f64| significant(100.0 * part / whole, 3);
        let clock = match self.clock {
            LayerClock::Device => "the device's own clock",
            LayerClock::Wall => "wall time, synchronised at both ends",
        };
        let (added, passes) = (self.instrumented_wall_ms - self.whole_wall_ms, self.passes);
        let mut notes = format!(
            "sum of layers    {} ms, {} % of a whole batch, {} ms; by {clock}\n\
             instrumentation  {}{} ms a batch ({} %); {passes} passes with it and {passes} without, in turns\n",
            significant(self.sum_ms, 4),
            share(self.sum_ms, self.whole_ms),
            significant(self.whole_ms, 4),
            if added < 0.0 { "−" } else { "+" },
            significant(added.abs(), 2),
            share(added, self.whole_wall_ms),
        );
        notes += &roof("compute roof", self.peak_flops, self.peak_source.as_deref(), "FLOP/s");
        notes += &roof("memory roof", self.peak_bytes_per_s, self.peak_bytes_source.as_deref(), "B/s");
        if let Some(ridge) = self.ridge_flops_per_byte {
            notes += &format!("both meet at     {} FLOP/byte\n", significant(ridge, 3));
        }
        notes
    }
}

fn roof(name: &str, peak: Option<f64>, how: Option<&str>, unit: &str) -> String {
    match (peak, how) {
        (Some(peak), Some(how)) => format!("{name:<17}{}{unit}: {how}\n", spaced(peak)),
        _ => format!("{name:<17}could not be measured here\n"),
    }
}

/// A number before its unit: `1.2 G`, `512 `.
fn spaced(value: f64) -> String {
    let text = si(value);
    if text.contains(' ') { text } else { text + " " }
}

impl Row {
    fn of(index: usize, layer: &LayerTime, achieved: Option<Achieved>) -> Self {
        let own = layer.within.is_none();
        let under = achieved.and_then(|a| a.under);
        Self {
            number: index + 1,
            kind: layer.kind.clone(),
            detail: layer.detail.clone(),
            output: layer.output.clone(),
            params: layer.params,
            macs: layer.macs,
            within: layer.within.map(|host| host + 1),
            bytes: own.then_some(layer.bytes),
            time_ms: own.then(|| ms(layer.time_ns)),
            share: achieved.map(|a| a.share),
            flops: achieved.map(|a| a.flops),
            bytes_per_s: achieved.map(|a| a.bytes_per_s),
            flops_per_byte: achieved.map(|a| a.intensity),
            roof: under.map(|u| u.roof.name()),
            roof_share: under.map(|u| u.attained),
            from_cache: under.map(|u| u.cached()),
        }
    }

    fn cells(&self) -> [String; 11] {
        let count = |n: u64| if n > 0 { si(n as f64) } else { String::new() };
        let rate = |value: Option<f64>| value.filter(|v| *v > 0.0).map(si).unwrap_or_default();
        let (ms, share) = match (self.within, self.share) {
            (Some(host), _) => (format!("in #{host}"), String::new()),
            (None, Some(share)) => {
                (significant(self.time_ms.unwrap_or(0.0), 3), format!("{} %", percent(100.0 * share)))
            }
            (None, None) => ("none".to_owned(), String::new()),
        };
        [
            self.number.to_string(),
            self.kind.clone(),
            self.detail.clone(),
            self.output.iter().skip(1).map(u64::to_string).collect::<Vec<_>>().join("×"),
            count(self.macs),
            count(self.bytes.unwrap_or(0)),
            ms,
            share,
            rate(self.flops),
            rate(self.bytes_per_s),
            self.roof_cell(),
        ]
    }

    fn roof_cell(&self) -> String {
        let (Some(roof), Some(share)) = (self.roof, self.roof_share) else { return String::new() };
        let cache = if self.from_cache == Some(true) { ", from cache" } else { "" };
        format!("{roof} {} %{cache}", percent(100.0 * share))
    }
}
