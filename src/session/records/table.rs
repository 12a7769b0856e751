//! Records as a table for people.

use super::{
    figures::{Figures, Graph, MemoryFigures},
    outcome::Outcome,
    record::Record,
};
use crate::{
    analysis::stats::TOO_FEW,
    event::WarmUp,
    format::{bytes, duration, percent, significant},
    session::run::CROWD,
    table::Table,
};

/// Columns of the table. Host and round are shown where there are several, the graph where a card could have replayed one,
/// the state where a run was not steady.
const COLUMNS: [&str; 20] = [
    "<host",
    "<network",
    "batch",
    "<prec",
    "<device",
    "round",
    "p50 ms",
    "±",
    "p90 ms",
    "p99 ms",
    "images/s",
    "device ms",
    "graph",
    "util %",
    "FLOP %",
    "W",
    "net W",
    "J/image",
    "memory",
    "<state",
];

/// Records as a table, with the reasons of what is absent or failed below it.
pub fn table(records: &[Record]) -> String {
    let repeated = records.iter().any(|record| record.round > 1);
    let hosts = records.iter().any(|record| record.origin.host != records[0].origin.host);
    let graphs = records.iter().any(|record| record.origin.graphs);
    let unsteady = records.iter().any(|record| record.figures().is_some_and(|figures| !figures.is_steady()));
    let shown = |title: &&str| match *title {
        "<host" => hosts,
        "round" => repeated,
        "graph" => graphs,
        "<state" => unsteady,
        _ => true,
    };
    let titles: Vec<_> = COLUMNS.into_iter().filter(shown).collect();
    let mut table = Table::new(&titles);
    for record in records {
        let origin = &record.origin;
        let head =
            [origin.network.clone(), origin.batch.to_string(), origin.precision.to_string(), origin.device.clone()];
        let host = hosts.then(|| origin.host.clone().unwrap_or_default());
        let round = repeated.then(|| record.round.to_string());
        let rest = match &record.outcome {
            Outcome::Measured(figures) => {
                let state = unsteady.then(|| state(&mut table, figures));
                cells(&mut table, figures, graphs).into_iter().chain(state).collect()
            }
            Outcome::Failed { error, .. } => vec![table.absent(error)],
        };
        table.row(host.into_iter().chain(head).chain(round).chain(rest));
    }
    table.render() + &footer(records)
}

fn cells(table: &mut Table, figures: &Figures, graphs: bool) -> Vec<String> {
    let p = &figures.latency_ms;
    let spread = p.p50_low.zip(p.p50_high).map(|(low, high)| 50.0 * (high - low) / p.p50);
    let mut cells = vec![
        significant(p.p50, 4),
        spread.map_or_else(|| table.absent(TOO_FEW), |spread| format!("{spread:.1} %")),
        significant(p.p90, 4),
        significant(p.p99, 4),
        significant(figures.images_per_s, 4),
    ];
    let value = |table: &mut Table, name: &str, value: Option<f64>, digits| {
        let reason = figures.absent.get(name).map_or("not known", String::as_str);
        value.map_or_else(|| table.absent(reason), |value| significant(value, digits))
    };
    cells.push(value(table, "device_ms", figures.device_ms.map(|device| device.p50), 4));
    if graphs {
        cells.push(replayed(table, figures.graph.as_ref()));
    }
    let values = [
        ("utilisation_percent", figures.utilisation_percent, 2),
        ("flop_utilisation_percent", figures.flop_utilisation_percent, 3),
        ("power_w", figures.power_w, 3),
        ("power_net_w", figures.power_net_w, 3),
        ("joules_per_image", figures.joules_per_image, 3),
    ];
    cells.extend(values.into_iter().map(|(name, figure, digits)| value(table, name, figure, digits)));
    let MemoryFigures { allocator_in_use, resident, .. } = figures.memory;
    let memory = allocator_in_use.or(resident).map(bytes);
    cells.push(memory.unwrap_or_else(|| table.absent("the engine did not report its memory")));
    cells
}

/// Whether the latency had converged when the run was measured.
fn state(table: &mut Table, figures: &Figures) -> String {
    match &figures.warm_up {
        Some(warm_up) if warm_up.converged => "steady".to_owned(),
        Some(_) => "not steady".to_owned(),
        None => table.absent("the recording does not tell whether the latency had converged"),
    }
}

/// The speed-up of a replayed graph over single launches, or why none was replayed.
fn replayed(table: &mut Table, graph: Option<&Graph>) -> String {
    match graph {
        Some(Graph { used: true, eager_ms: Some(eager), replay_ms: Some(replay), .. }) => {
            format!("{}×", significant(eager / replay, 3))
        }
        Some(Graph { used: true, .. }) => "yes".to_owned(),
        Some(graph) => table.absent(&format!("no graph: {}", graph.why)),
        None => table.absent("the recording does not tell whether a graph was replayed"),
    }
}

/// What rows share: devices, weights, the source of the watts, and what else ran on the device.
fn footer(records: &[Record]) -> String {
    let mut lines: Vec<String> = Vec::new();
    let mut say = |line: String| {
        if !lines.contains(&line) {
            lines.push(line);
        }
    };
    for record in records {
        let origin = &record.origin;
        let versions = [("driver", &origin.driver), ("CUDA", &record.cuda), ("clocks", &record.clock_policy)];
        let versions = versions.iter().filter_map(|(name, value)| value.as_ref().map(|v| format!(", {name} {v}")));
        let title = origin.device_title.as_deref().unwrap_or("unknown");
        say(format!("{}: {title}{}", origin.device, versions.collect::<String>()));
        if !origin.limits.is_empty() {
            say(format!("{}: limited, {}", origin.device, origin.limits.join("; ")));
        }
        let Outcome::Measured(figures) = &record.outcome else { continue };
        if let Some(weights) = &origin.weights {
            say(format!("weights: {weights}"));
        }
        if let (Some(sensor), Some(source)) = (&figures.power_sensor, &figures.energy_source) {
            say(format!("W: {sensor}, gain off by up to ±5 %; net W: less the idle power; J/image: {source}, gross"));
        }
        if let Some(warm_up) = figures.warm_up.filter(|_| !figures.is_steady()) {
            let error = match warm_up.error_percent {
                error if error.is_finite() && error <= WarmUp::CONVERGED_PERCENT => " (it still drifted)".to_owned(),
                error if error.is_finite() => format!(" (its error was still {} %)", percent(error)),
                _ => String::new(),
            };
            let seconds = duration(warm_up.seconds);
            say(format!(
                "{} batch {}: not steady: the latency had not converged after {seconds} of warm-up{error}",
                origin.network, origin.batch
            ));
        }
        if let Some(share) = figures.throttled_share.filter(|share| *share > 0.0) {
            let share = percent(100.0 * share);
            say(format!("{} batch {}: throttled for {share} % of it", origin.network, origin.batch));
        }
        if let Some(others) = figures.others_percent.filter(|share| *share >= CROWD) {
            let share = percent(others);
            say(format!("{} batch {}: others took {share} % of the processors", origin.network, origin.batch));
        }
        if !figures.neighbours.is_empty() {
            say(format!("others on {}: {}", origin.device, figures.neighbours.join(", ")));
        }
    }
    lines.into_iter().map(|line| line + "\n").collect()
}
