//! A row per reading of a sensor, with the run in progress.

use super::cell::{Cell, Column, Kind, Named};
use crate::{
    clock,
    event::{Body, Config, Event, Header, Nanos, Phase, RunId, Sensor, SensorId, StationId, Tagged},
};
use Kind::{Integer, Number, Text};
use std::{collections::BTreeMap, io};

/// The columns. A row's `value` is in its `unit`.
pub const COLUMNS: &[Column] = &[
    ("t_s", Number),
    ("time", Text),
    ("sensor", Integer),
    ("source", Text),
    ("device", Text),
    ("quantity", Text),
    ("label", Text),
    ("unit", Text),
    ("value", Number),
    ("run", Integer),
    ("network", Text),
    ("batch_images", Integer),
    ("precision", Text),
    ("phase", Text),
];

/// The part of a station's state that its rows need.
#[derive(Default)]
struct Context {
    /// The newest header.
    header: Header,
    sensors: BTreeMap<SensorId, Sensor>,
    run: Option<(RunId, Config, Phase)>,
}

/// Writes a row to `rows` for every reading.
pub fn fill(events: impl Iterator<Item = Tagged>, rows: &mut Named<'_>) -> io::Result<()> {
    let mut contexts = BTreeMap::<StationId, Context>::new();
    for Tagged { station: on, event: Event { t, body } } in events {
        let context = contexts.entry(on).or_default();
        match body {
            Body::Samples { values } => {
                let row = |(id, value): &(SensorId, f64)| rows.row(|| context.station(), context.row(t, *id, *value));
                values.iter().try_for_each(row)?;
            }
            Body::Header(header) => *context = Context { header, ..Context::default() },
            Body::Sensors { sensors } => context.sensors.extend(sensors.into_iter().map(|s| (s.id, s))),
            Body::Phase(change) => context.run = Some((change.run, change.config, change.phase)),
            Body::EngineDied { .. } | Body::OutOfMemory { .. } | Body::Failing { .. } => context.run = None,
            _ => {}
        }
    }
    Ok(())
}

impl Context {
    /// `gpu-box · cuda:0`.
    fn station(&self) -> String {
        let runs = || self.run.as_ref().map(|(_, config, _)| &config.device);
        let device = self.header.device.as_ref().or_else(runs);
        let parts = [Some(&self.header.host), device].into_iter().flatten().map(String::as_str);
        parts.filter(|part| !part.is_empty()).collect::<Vec<_>>().join(" · ")
    }

    fn row(&self, t: Nanos, id: SensorId, value: f64) -> Vec<Cell> {
        let sensor = self.sensors.get(&id);
        let text = |of: fn(&Sensor) -> &str| -> Cell { sensor.map(of).into() };
        let run = self.run.as_ref();
        vec![
            (t as f64 / 1e9).into(),
            clock::wall(&self.header.started, t).into(),
            u64::from(id).into(),
            text(|s| &s.source),
            text(|s| &s.device),
            sensor.map(|s| name(&s.quantity)).into(),
            text(|s| &s.label),
            text(|s| s.quantity.unit()),
            value.into(),
            run.map(|(id, ..)| *id).into(),
            run.map(|(_, config, _)| config.network.as_str()).into(),
            run.map(|(_, config, _)| u64::from(config.batch)).into(),
            run.map(|(_, config, _)| config.precision.name()).into(),
            run.map(|(.., phase)| name(phase)).into(),
        ]
    }
}

/// The name of something in the stream.
fn name(of: &impl serde::Serialize) -> String {
    // Quantities and phases are serialised as strings.
    serde_json::to_value(of).ok().and_then(|word| word.as_str().map(str::to_owned)).unwrap_or_default()
}
