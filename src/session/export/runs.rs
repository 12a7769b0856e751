//! A row per run: what was measured, under which conditions, and the result or the failure.

use super::cell::{Cell, Column, Kind, Named};
use crate::{
    clock,
    event::{Body, Config, Nanos, Outcome, StationId, Tagged},
    session::{Fleet, RunResult, State},
};
use Kind::{Flag, Integer, Number, Text};
use std::io;

/// The columns.
pub const COLUMNS: &[Column] = &[
    ("run", Integer),
    ("network", Text),
    ("batch_images", Integer),
    ("precision", Text),
    ("device", Text),
    ("device_title", Text),
    ("began", Text),
    ("began_s", Number),
    ("ended_s", Number),
    ("outcome", Text),
    ("error", Text),
    ("latency_p50_ms", Number),
    ("latency_p90_ms", Number),
    ("latency_p99_ms", Number),
    ("latency_p50_low_ms", Number),
    ("latency_p50_high_ms", Number),
    ("device_latency_p50_ms", Number),
    ("device_latency_p99_ms", Number),
    ("throughput_images_per_s", Number),
    ("batches", Integer),
    ("steady_s", Number),
    ("warm_up_s", Number),
    ("warm_up_batches", Integer),
    ("warm_up_converged", Flag),
    ("utilisation_percent", Number),
    ("others_percent", Number),
    ("flop_utilisation_percent", Number),
    ("power_gross_w", Number),
    ("power_net_w", Number),
    ("power_idle_w", Number),
    ("power_deviation_w", Number),
    ("power_readings", Integer),
    ("power_sensor", Text),
    ("power_absent", Text),
    ("energy_per_image_j", Number),
    ("energy_source", Text),
    ("throttled_percent", Number),
    ("memory_in_use_bytes", Integer),
    ("memory_reserved_bytes", Integer),
    ("memory_resident_bytes", Integer),
    ("device_memory_used_bytes", Integer),
    ("graph_used", Flag),
    ("graph_why", Text),
    ("graph_eager_ms", Number),
    ("graph_replay_ms", Number),
    ("driver", Text),
    ("clock_policy", Text),
    ("power_cap_w", Number),
    ("host", Text),
];

/// Writes a row to `rows` whenever a run is over or a configuration has failed.
pub fn fill(events: impl Iterator<Item = Tagged>, rows: &mut Named<'_>) -> io::Result<()> {
    let mut fleet = Fleet::default();
    for tagged in events {
        let (on, body) = (tagged.station, &tagged.event.body);
        if fleet.get(on.into()).is_some_and(|state| ends_run(body, state)) {
            measured(&fleet, on, rows)?;
        }
        fleet.apply(&tagged);
        match body {
            Body::OutOfMemory { run, config, message, .. } => {
                failed(&fleet, on, (*run, config), ("out of memory", message.as_str()), rows)?;
            }
            Body::Failing { run, config, reason } => {
                failed(&fleet, on, (*run, config), ("failed", reason.as_str()), rows)?;
            }
            _ => {}
        }
    }
    fleet.iter().filter(|(_, state)| !state.sweeping()).try_for_each(|(on, _)| measured(&fleet, on, rows))
}

/// Whether an event ends the run in progress. In a sweep only a finished step counts: an interrupted one is measured again.
fn ends_run(body: &Body, state: &State) -> bool {
    match body {
        Body::StepDone { outcome, .. } => *outcome == Outcome::Measured,
        Body::OutOfMemory { .. } | Body::Failing { .. } => true,
        _ if state.sweeping() => false,
        Body::Plan(_) | Body::Resting { .. } => true,
        Body::Phase(change) => state.run.as_ref().is_some_and(|run| run.id != change.run),
        Body::EngineDied { .. } | Body::Header(_) | Body::Gone { .. } => true,
        _ => false,
    }
}

/// The row of the run in progress, if it has steady batches.
fn measured(fleet: &Fleet, on: StationId, rows: &mut Named<'_>) -> io::Result<()> {
    let state = &fleet[on.into()];
    let Some(result) = state.current_result() else { return Ok(()) };
    let began = state.marks.back().map_or(state.now, |mark| mark.t);
    let mut row = configuration(state, (result.run, &result.config), began, ("measured", Cell::Null));
    row.extend(figures(&result));
    row.extend(conditions(state, &result.config));
    rows.row(|| name(fleet, on), row)
}

fn failed(
    fleet: &Fleet,
    on: StationId,
    of: (u64, &Config),
    (outcome, reason): (&str, &str),
    rows: &mut Named<'_>,
) -> io::Result<()> {
    let state = &fleet[on.into()];
    let mut row = configuration(state, of, state.now, (outcome, reason.into()));
    let conditions = conditions(state, of.1);
    row.resize(COLUMNS.len() - conditions.len(), Cell::Null);
    row.extend(conditions);
    rows.row(|| name(fleet, on), row)
}

fn name(fleet: &Fleet, on: StationId) -> String {
    fleet.names(false).swap_remove(on.into())
}

fn configuration(
    state: &State,
    (run, config): (u64, &Config),
    began: Nanos,
    (outcome, error): (&str, Cell),
) -> Vec<Cell> {
    let title = state.devices.iter().find(|d| d.name == config.device).map(|d| d.title.as_str());
    let wall = state.header.as_ref().and_then(|header| clock::wall(&header.started, began));
    vec![
        run.into(),
        config.network.as_str().into(),
        u64::from(config.batch).into(),
        config.precision.name().into(),
        config.device.as_str().into(),
        title.into(),
        wall.into(),
        (began as f64 / 1e9).into(),
        (state.now as f64 / 1e9).into(),
        outcome.into(),
        error,
    ]
}

fn figures(result: &RunResult) -> Vec<Cell> {
    let latency = result.latency_ms;
    let power = result.power.as_ref();
    let watts = power.ok();
    let memory = result.memory;
    let graph = result.graph.as_ref();
    let ms = |ns: Option<u64>| ns.map(|ns| ns as f64 / 1e6);
    vec![
        latency.p50.into(),
        latency.p90.into(),
        latency.p99.into(),
        latency.p50_interval.map(|interval| interval.low).into(),
        latency.p50_interval.map(|interval| interval.high).into(),
        result.device_ms.map(|d| d.p50).into(),
        result.device_ms.map(|d| d.p99).into(),
        result.images_per_s.into(),
        result.batches.into(),
        result.seconds.into(),
        result.warm_up.map(|w| w.seconds).into(),
        result.warm_up.map(|w| w.batches).into(),
        result.warm_up.map(|w| w.converged).into(),
        result.utilisation.into(),
        result.others.into(),
        result.flop_utilisation.into(),
        watts.map(|p| p.gross_w).into(),
        watts.and_then(|p| p.net_w).into(),
        watts.and_then(|p| p.idle_w).into(),
        watts.and_then(|p| p.deviation_w).into(),
        watts.map(|p| p.readings).into(),
        watts.map(|p| p.sensor.as_str()).into(),
        power.err().map(String::as_str).into(),
        watts.map(|p| p.joules_per_image).into(),
        watts.map(|p| p.energy_source.as_str()).into(),
        result.throttled.map(|share| 100.0 * share).into(),
        memory.in_use.into(),
        memory.reserved.into(),
        memory.resident.into(),
        result.device_memory_used.into(),
        graph.map(|g| g.used).into(),
        graph.map(|g| g.why.as_str()).into(),
        graph.and_then(|g| ms(g.eager_ns)).into(),
        graph.and_then(|g| ms(g.replay_ns)).into(),
    ]
}

fn conditions(state: &State, config: &Config) -> Vec<Cell> {
    let card = state.cards.get(&config.device);
    vec![
        card.and_then(|c| c.driver.as_deref()).into(),
        card.and_then(|c| c.clock_policy.as_deref()).into(),
        card.and_then(|c| c.power_cap_w).into(),
        state.header.as_ref().map(|h| h.host.as_str()).into(),
    ]
}
