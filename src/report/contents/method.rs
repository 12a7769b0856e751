//! The method: the rules by which the numbers were measured (MEASURING.md), with their figures in these sessions.

use crate::{
    analysis::stats::median,
    event::{Quantity, Sensor, WarmUp},
    format,
    report::{
        document::{Block, Table},
        figures::Judged,
        source::Source,
    },
    session::{
        RunResult,
        run::{Power, SETTLING},
    },
};
use std::collections::BTreeSet;

/// The method, and the sensors.
pub fn blocks(sources: &[Source], judged: &Judged<'_>) -> Vec<Block> {
    let results: Vec<RunResult> = judged.iter().flat_map(|(group, _)| group.results()).collect();
    let mut rules = vec![latency(), inputs(), warm_up(&results)];
    rules.extend(power(&results));
    rules.push(counted());
    rules.extend(plans(sources));
    rules.extend(throttling(sources, &results));
    vec![Block::List(rules), Block::Table(sensors(sources))]
}

fn latency() -> String {
    "Latency is one batch on the wall clock, the device synchronised at both ends; a median with the 95 % interval of \
     order statistics, and tails. Batches before the run was steady do not count. Throughput includes the gaps \
     between batches."
        .to_owned()
}

fn inputs() -> String {
    "Inputs are made-up images with the statistics of photographs, several in turn; weights keep activations \
     realistic. Values alone can move a card's power by two thirds (arXiv 2212.08805)."
        .to_owned()
}

/// The end of warm-ups (rule 6).
fn warm_up(results: &[RunResult]) -> String {
    let all: Vec<WarmUp> = results.iter().filter_map(|r| r.warm_up).collect();
    let converged = all.iter().filter(|w| w.converged).count();
    let seconds = median(all.iter().map(|w| w.seconds)).map(format::duration);
    let said = seconds.map_or_else(String::new, |s| {
        format!(" Here {converged} of {} converged; the median warm-up took {s}.", all.len())
    });
    format!(
        "A warm-up ends when the standard error of the median latency is at most 2 % and the latency drifts by no \
         more than 1 %, or after 8 s, which the last column of the table then says.{said}"
    )
}

/// Power and energy (rules 1 to 5 and 11).
fn power(results: &[RunResult]) -> Option<String> {
    let powers: Vec<_> = results.iter().filter_map(|r| r.power.as_ref().ok()).collect();
    if powers.is_empty() {
        return None;
    }
    let set =
        |values: Vec<&str>| values.into_iter().collect::<BTreeSet<_>>().into_iter().collect::<Vec<_>>().join(", ");
    let of = |counted: bool| powers.iter().filter(|p| p.counted_s.is_some() == counted).collect::<Vec<_>>();
    let names = |powers: &[&&Power]| set(powers.iter().map(|p| p.sensor.as_str()).collect());
    let (counted, read) = (of(true), of(false));
    let settling = format::duration(SETTLING as f64 / 1e9);
    let mut means = Vec::new();
    if !read.is_empty() {
        means.push(format!("the mean of {} from {settling} after the run was steady", names(&read)));
    }
    if !counted.is_empty() {
        means.push(format!(
            "the difference of the energy counter of {} from {settling} after the run was steady, over its time",
            names(&counted)
        ));
    }
    let energies = set(powers.iter().map(|p| p.energy_source.as_str()).collect());
    let readings = powers.iter().map(|p| p.readings).min().unwrap_or(0);
    let fewest = |n: u64| {
        if n < 32 { "; fewer than 32 readings leave a part-time sensor's error large (arXiv 2312.02741)" } else { "" }
    };
    Some(format!(
        "Power is {}, at least {} readings a run{}; energy an image comes from {energies}, gross. Net power is gross \
         less the mean read before the engine started. A board's sensor may be off by ±5 %, the same way for every \
         run on it: compare on one card.",
        means.join(", or "),
        format::grouped(readings),
        fewest(readings),
    ))
}

fn counted() -> String {
    "Operations are counted on the executed graph as the paper counted them: 2 a multiply-accumulate, 1 a bias and a \
     ReLU output, k² a pooling output, 0 for batch norm. FLOP utilisation is 2 operations a multiply-accumulate over \
     the peak measured on the device in that precision. Accuracies are published ones."
        .to_owned()
}

/// The plans of sweeps.
fn plans(sources: &[Source]) -> impl Iterator<Item = String> {
    let of = |source: &Source| {
        let sweep = source.sweep.as_ref()?;
        let plan = &sweep.plan;
        let order =
            plan.seed.map_or_else(|| "in the order given".to_owned(), |seed| format!("in random order (seed {seed})"));
        let done = match sweep.total() - sweep.count() {
            0 => String::new(),
            left => format!(" {left} of {} steps were not done.", sweep.total()),
        };
        let shared = if plan.is_shared() { ", shared by several stations" } else { "" };
        Some(format!(
            "{}: a sweep of {} configurations, {} each, {order}{shared}, {} of steady batches a run, {} of rest between \
             runs.{done}",
            if plan.is_shared() { source.file() } else { source.stem() },
            plan.configs.len(),
            match plan.repeat {
                1 => "once".to_owned(),
                n => format!("{n} times"),
            },
            format::duration(plan.seconds),
            format::duration(plan.cooldown_s),
        ))
    };
    let mut said: Vec<String> = sources.iter().filter_map(of).collect();
    said.dedup();
    said.into_iter()
}

/// Clocks and throttling (rules 9, 10 and 14).
fn throttling(sources: &[Source], results: &[RunResult]) -> Option<String> {
    let known: Vec<f64> = results.iter().filter_map(|r| r.throttled).collect();
    let throttled = known.iter().filter(|share| **share > 0.0).count();
    let policies = sources
        .iter()
        .flat_map(Source::states)
        .flat_map(|state| state.cards.values())
        .filter_map(|c| c.clock_policy.clone());
    let policies: BTreeSet<String> = policies.collect();
    if known.is_empty() && policies.is_empty() {
        return None;
    }
    let clocks = match policies.is_empty() {
        true => "unknown".to_owned(),
        false => policies.into_iter().collect::<Vec<_>>().join("; "),
    };
    Some(format!(
        "Clocks: {clocks}; neither they nor the power cap were changed. {throttled} of {} runs had readings taken \
         while the card was throttled.",
        known.len()
    ))
}

fn sensors(sources: &[Source]) -> Table {
    let mut table = Table::new("Sensors", &["<session", "<quantity", "<sensor", "<of", "period [ms]", "<how", "<unit"]);
    let shown = |s: &Sensor| !matches!(s.quantity, Quantity::Fan | Quantity::PcieReceive | Quantity::PcieSend);
    for source in sources {
        for sensor in source.state.sensors.values().map(|s| &s.info).filter(|s| shown(s)) {
            let how = match (&sensor.absent, &sensor.method) {
                (Some(reason), _) => format!("not read: {reason}"),
                (None, Some(method)) => method.clone(),
                (None, None) => "read as it is".to_owned(),
            };
            table.rows.push(vec![
                source.stem(),
                quantity(sensor.quantity).to_owned(),
                sensor.label.clone(),
                sensor.device.clone(),
                sensor.period_ms.to_string(),
                how,
                sensor.quantity.unit().to_owned(),
            ]);
        }
    }
    if sources.len() == 1 {
        table.columns.remove(0);
        table.rows.iter_mut().for_each(|row| _ = row.remove(0));
    }
    table
}

const fn quantity(quantity: Quantity) -> &'static str {
    match quantity {
        Quantity::PowerInstant => "power, instant",
        Quantity::PowerAverage => "power, averaged by the sensor",
        Quantity::Energy => "energy",
        Quantity::PowerCap => "power cap",
        Quantity::Utilisation => "utilisation",
        Quantity::MemoryUtilisation => "memory utilisation",
        Quantity::ComputeClock => "clock",
        Quantity::MemoryClock => "memory clock",
        Quantity::Temperature => "temperature",
        Quantity::Fan => "fan",
        Quantity::MemoryUsed => "memory in use",
        Quantity::MemoryTotal => "memory",
        Quantity::PcieReceive => "received over PCIe",
        Quantity::PcieSend => "sent over PCIe",
        Quantity::EngineUtilisation => "processor time of the engine",
        Quantity::EngineMemory => "memory of the engine",
        Quantity::CpuThrottled => "periods without processor time",
    }
}
