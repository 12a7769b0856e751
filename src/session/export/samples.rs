//! A row a reading of a sensor, with what ran meanwhile.

use super::{Cell, Column, Kind, Rows};
use crate::{
    event::{Body, Config, Event, Nanos, Phase, RunId, Sensor, SensorId},
    report,
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

/// What rows need to know of the stream before them.
#[derive(Default)]
struct Context {
    /// Wall clock at t = 0.
    started: String,
    sensors: BTreeMap<SensorId, Sensor>,
    run: Option<(RunId, Config, Phase)>,
}

/// Gives a row to `rows` for every reading.
pub fn fill(events: impl Iterator<Item = Event>, rows: &mut dyn Rows) -> io::Result<()> {
    let mut context = Context::default();
    for Event { t, body } in events {
        match body {
            Body::Samples { values } => {
                values.iter().try_for_each(|(id, value)| rows.row(context.row(t, *id, *value)))?;
            }
            Body::Header(header) => context = Context { started: header.started, ..Context::default() },
            Body::Sensors { sensors } => context.sensors.extend(sensors.into_iter().map(|s| (s.id, s))),
            Body::Phase(change) => context.run = Some((change.run, change.config, change.phase)),
            Body::EngineDied { .. } | Body::OutOfMemory { .. } | Body::Failing { .. } => context.run = None,
            _ => {}
        }
    }
    Ok(())
}

impl Context {
    fn row(&self, t: Nanos, id: SensorId, value: f64) -> Vec<Cell> {
        let sensor = self.sensors.get(&id);
        let text = |of: fn(&Sensor) -> &str| -> Cell { sensor.map(of).into() };
        let run = self.run.as_ref();
        vec![
            (t as f64 / 1e9).into(),
            report::wall_clock(&self.started, t).into(),
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

/// The word that the stream has for something.
fn name(of: &impl serde::Serialize) -> String {
    // Quantities and phases are words: nothing else comes of them.
    serde_json::to_value(of).ok().and_then(|word| word.as_str().map(str::to_owned)).unwrap_or_default()
}
