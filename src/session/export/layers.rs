//! A row per layer: what it is, its time, and the roof that limits it.

use super::cell::{Cell, Column, Kind, Named};
use crate::{
    analysis::roofline::{self, Achieved},
    clock,
    event::{Body, LayerClock, LayerTime, Layers, Nanos, Tagged},
    session::{Fleet, State},
};
use Kind::{Integer, Number, Text};
use std::io;

/// The columns. `within` is the number of the layer that this one is fused into.
pub const COLUMNS: &[Column] = &[
    ("run", Integer),
    ("network", Text),
    ("batch_images", Integer),
    ("precision", Text),
    ("device", Text),
    ("measured", Text),
    ("passes", Integer),
    ("clock", Text),
    ("whole_batch_ms", Number),
    ("layers_sum_ms", Number),
    ("whole_batch_wall_ms", Number),
    ("instrumented_batch_wall_ms", Number),
    ("peak_flop_per_s", Number),
    ("peak_bytes_per_s", Number),
    ("layer", Integer),
    ("kind", Text),
    ("detail", Text),
    ("output", Text),
    ("params", Integer),
    ("macs", Integer),
    ("within", Integer),
    ("least_bytes", Integer),
    ("time_ms", Number),
    ("share_percent", Number),
    ("flop_per_s", Number),
    ("bytes_per_s", Number),
    ("flop_per_byte", Number),
    ("roof", Text),
    ("roof_percent", Number),
];

/// Writes a row to `rows` for every layer.
pub fn fill(events: impl Iterator<Item = Tagged>, rows: &mut Named<'_>) -> io::Result<()> {
    let mut fleet = Fleet::default();
    for tagged in events {
        fleet.apply(&tagged);
        let Tagged { station: on, event } = tagged;
        if let (Body::Layers(layers), Some(state)) = (&event.body, fleet.get(on.into())) {
            let achieved = roofline::achieved(&layers.layers, state.roofs(&layers.config));
            for (i, (layer, achieved)) in layers.layers.iter().zip(achieved).enumerate() {
                let mut row = measured(state, event.t, layers);
                row.extend(cells(i, layer, achieved));
                rows.row(|| fleet.names(false).swap_remove(on.into()), row)?;
            }
        }
    }
    Ok(())
}

fn measured(state: &State, t: Nanos, layers: &Layers) -> Vec<Cell> {
    let config = &layers.config;
    let ms = |nanos: u64| Cell::from(nanos as f64 / 1e6);
    let clock = match layers.clock {
        LayerClock::Device => "device",
        LayerClock::Wall => "wall",
    };
    vec![
        layers.run.into(),
        config.network.as_str().into(),
        u64::from(config.batch).into(),
        config.precision.name().into(),
        config.device.as_str().into(),
        state.header.as_ref().and_then(|header| clock::wall(&header.started, t)).into(),
        u64::from(layers.passes).into(),
        clock.into(),
        ms(layers.whole_ns),
        ms(layers.sum_ns),
        ms(layers.whole_wall_ns),
        ms(layers.instrumented_wall_ns),
        state.peaks.get(&(config.device.clone(), config.precision)).map(|(flops, _)| *flops).into(),
        state.bandwidths.get(&config.device).map(|(bytes, _)| *bytes).into(),
    ]
}

fn cells(index: usize, layer: &LayerTime, achieved: Option<Achieved>) -> Vec<Cell> {
    let own = layer.within.is_none();
    let under = achieved.and_then(|a| a.under);
    let number = |index: usize| index as u64 + 1;
    vec![
        number(index).into(),
        layer.kind.as_str().into(),
        layer.detail.as_str().into(),
        layer.output.iter().map(u64::to_string).collect::<Vec<_>>().join("x").into(),
        layer.params.into(),
        layer.macs.into(),
        layer.within.map(number).into(),
        own.then_some(layer.bytes).into(),
        own.then_some(layer.time_ns as f64 / 1e6).into(),
        achieved.map(|a| 100.0 * a.share).into(),
        achieved.map(|a| a.flops).into(),
        achieved.map(|a| a.bytes_per_s).into(),
        achieved.map(|a| a.intensity).into(),
        under.map(|u| u.roof.name()).into(),
        under.map(|u| 100.0 * u.attained).into(),
    ]
}
