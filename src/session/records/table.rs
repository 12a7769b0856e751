//! Records as a table for people.

use super::{
    figures::{Figures, Graph, MemoryFigures},
    outcome::Outcome,
    record::Record,
};
use crate::{
    format::{bytes, percent, significant},
    session::run::CROWD,
    table::Table,
};

/// Columns of the table. Host and round are shown where there are several, the graph where a card could have replayed one.
const COLUMNS: [&str; 19] = [
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
];

/// Records as a table, with the reasons of what is absent or failed below it.
pub fn table(records: &[Record]) -> String {
    let repeated = records.iter().any(|record| record.round > 1);
    let hosts = records.iter().any(|record| record.origin.host != records[0].origin.host);
    let graphs = records.iter().any(|record| record.origin.graphs);
    let shown = |title: &&str| match *title {
        "<host" => hosts,
        "round" => repeated,
        "graph" => graphs,
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
            Outcome::Measured(figures) => cells(&mut table, figures, graphs),
            Outcome::Failed { error, .. } => vec![table.absent(error)],
        };
        table.row(host.into_iter().chain(head).chain(round).chain(rest));
    }
    table.render() + &footer(records)
}

fn cells(table: &mut Table, figures: &Figures, graphs: bool) -> Vec<String> {
    let p = &figures.latency_ms;
    let spread = if p.p50 > 0.0 { 50.0 * (p.p50_high - p.p50_low) / p.p50 } else { 0.0 };
    let mut cells = vec![
        significant(p.p50, 4),
        format!("{spread:.1} %"),
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
        let Outcome::Measured(figures) = &record.outcome else { continue };
        if let Some(weights) = &origin.weights {
            say(format!("weights: {weights}"));
        }
        if let (Some(sensor), Some(source)) = (&figures.power_sensor, &figures.energy_source) {
            say(format!("W: {sensor}, gain off by up to ±5 %; net W: less the idle power; J/image: {source}, gross"));
        }
        if figures.throttled_share.is_some_and(|share| share > 0.0) {
            say(format!("{} batch {}: the card was throttled for part of it", origin.network, origin.batch));
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
