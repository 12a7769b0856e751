//! Time per layer, for the configurations whose layers were measured.

use crate::{
    analysis::roofline::{self, Achieved},
    event::{LayerClock, Layers},
    format,
    report::{
        document::{Block, Table},
        source::Source,
    },
};

/// Upper bound on the rows of a table: the layers that take the most time.
const MOST: usize = 12;

/// A table per configuration whose layers were measured.
pub fn blocks(sources: &[Source]) -> Vec<Block> {
    let measured = |source: &'_ Source| {
        let layers = source.state.layers.iter().filter_map(|(_, found)| found.as_ref().ok());
        layers.map(|layers| Block::Table(table(source, layers))).collect::<Vec<_>>()
    };
    sources.iter().flat_map(measured).collect()
}

fn table(source: &Source, layers: &Layers) -> Table {
    let config = &layers.config;
    let name = source.state.networks.get(&config.network).map_or(config.network.as_str(), |facts| facts.title.as_str());
    let achieved = roofline::achieved(&layers.layers, source.state.roofs(config));
    let mut timed: Vec<(usize, Achieved)> = achieved.iter().enumerate().filter_map(|(i, a)| Some((i, (*a)?))).collect();
    timed.sort_by(|a, b| b.1.share.total_cmp(&a.1.share));
    let caption = format!(
        "Where a batch of {} goes: {name}, {} on {}; {} of {} layers with a time of their own, the slowest first",
        config.batch,
        config.precision,
        source.device_title(&config.device),
        timed.len().min(MOST),
        timed.len()
    );
    let titles = ["#", "<layer", "<output", "MACs", "ms", "share", "FLOP/s", "B/s", "<roof"];
    let mut table = Table::new(caption, &titles);
    table.rows = timed.iter().take(MOST).map(|(i, achieved)| row(layers, *i, achieved)).collect();
    table.note(&summary(layers));
    table.note(&roofs(source, layers));
    table
}

fn row(layers: &Layers, index: usize, achieved: &Achieved) -> Vec<String> {
    let layer = &layers.layers[index];
    let rate = |value: f64| if value > 0.0 { format::si(value) } else { "–".to_owned() };
    // The layers that are fused into it are named with it.
    let within = layers.layers.iter().filter(|other| other.within == Some(index)).map(|other| other.kind.as_str());
    let kinds: Vec<&str> = std::iter::once(layer.kind.as_str()).chain(within).collect();
    let under = achieved.under.map(|under| {
        let name = if under.cached() { "cache" } else { under.roof.name() };
        format!("{name} {} %", format::percent(100.0 * under.attained))
    });
    vec![
        (index + 1).to_string(),
        format!("{} {}", kinds.join(" + "), layer.detail).trim_end().to_owned(),
        layer.output.iter().skip(1).map(u64::to_string).collect::<Vec<_>>().join("×"),
        rate(layer.macs as f64),
        format::significant(layer.time_ns as f64 / 1e6, 3),
        format!("{} %", format::percent(100.0 * achieved.share)),
        rate(achieved.flops),
        rate(achieved.bytes_per_s),
        under.unwrap_or_else(|| "–".to_owned()),
    ]
}

fn summary(layers: &Layers) -> String {
    let ms = |nanos: u64| format::significant(nanos as f64 / 1e6, 3);
    let clock = match layers.clock {
        LayerClock::Device => "the device's own clock",
        LayerClock::Wall => "wall time, synchronised at both ends of each layer",
    };
    format!(
        "Means over the middle half of {} passes, by {clock}. All layers together: {} ms; a whole batch: {} ms. A batch whose layers are timed takes \
         {} ms by wall time, another one {} ms.",
        layers.passes,
        ms(layers.sum_ns),
        ms(layers.whole_ns),
        ms(layers.instrumented_wall_ns),
        ms(layers.whole_wall_ns),
    )
}

fn roofs(source: &Source, layers: &Layers) -> String {
    let (state, config) = (&source.state, &layers.config);
    let peak = state.peaks.get(&(config.device.clone(), config.precision));
    match (peak, state.bandwidths.get(&config.device)) {
        (Some((flops, how)), Some((bytes, by))) => format!(
            "Roofs, measured on the device: {}FLOP/s ({how}) and {}B/s ({by}). B/s are the least bytes that must cross the \
             memory, over the time; more than the memory delivers comes from a cache.",
            format::si(*flops),
            format::si(*bytes),
        ),
        _ => "The roofs could not be measured on this device.".to_owned(),
    }
}
