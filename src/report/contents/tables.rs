//! Tables: a row per configuration that was measured, the configurations that failed, and a comparison of two groups.

use crate::{
    analysis::{
        compare::{Better, Difference, Estimate, Judgement},
        stats::{TOO_FEW, median},
    },
    format,
    report::{
        document::{Block, Table},
        figures::Judged,
        source::{Group, Row, Source, data},
    },
    session::RunResult,
};

/// Smallest relative error of a median: the histogram that it is read from holds three digits.
const HISTOGRAM_ERROR: f64 = 0.001;

/// Every table.
pub fn blocks(sources: &[Source], judged: &Judged<'_>) -> Vec<Block> {
    let mut blocks: Vec<Block> = judged.iter().map(|(group, _)| Block::Table(runs(group))).collect();
    if let Some(((first, _), others)) = judged.split_first() {
        blocks.extend(others.iter().filter_map(|(other, _)| beside(first, other)).flatten());
    }
    blocks.extend(failures(sources).map(Block::Table));
    if blocks.is_empty() {
        blocks.push(Block::Text("Nothing was measured.".to_owned()));
    }
    blocks
}

/// The runs of a group.
fn runs(group: &Group<'_>) -> Table {
    let repeated = group.rows.iter().any(|row| row.runs > 1);
    let mut titles = vec!["<network", "batch", "median [ms]", "±", "p99 [ms]", "images/s"];
    if repeated {
        titles.extend(["runs", "range"]);
    }
    titles.extend(["J/image", "gross [W]", "net [W]", "memory", "FLOP util.", "throttled", "batches"]);
    // Where the device has none, a column that says so in every row says nothing.
    let could = |row: &Row| group.source.state.traits(&row.result.config.device).graphs;
    let graphs = group.rows.iter().any(|row| row.result.graph.is_some() && could(row));
    titles.extend(graphs.then_some("<graph"));
    titles.push("<state");
    let caption = format!("Every configuration on {}", group.name);
    let mut table = Table::new(caption, &titles);
    let results = group.results();
    let observed = data(group.source, &results);
    for (row, observation) in group.rows.iter().zip(&observed) {
        let mut cells = head(observation.title(), row, &mut table);
        if repeated {
            cells.extend([row.runs.to_string(), range(row)]);
        }
        let memory = observation.memory_bytes().map(format::bytes);
        cells.extend(energy(&row.result, &mut table));
        cells.push(memory.unwrap_or_else(|| table.absent("the engine did not report its memory")));
        cells.extend(tail(&row.result, &mut table));
        if graphs {
            cells.push(graph(&row.result, &mut table));
        }
        cells.push(state(&row.result, &mut table));
        table.rows.push(cells);
    }
    if repeated {
        table.note(
            "Of a configuration that was run several times, the run of median throughput stands here; range is the \
             lowest and highest images/s of all its runs.",
        );
    }
    table
}

/// Relative error of the median; none of too few batches.
fn error(result: &RunResult) -> Option<f64> {
    result.latency_ms.relative_confidence().map(|error| error.max(HISTOGRAM_ERROR))
}

fn head(title: &str, row: &Row, table: &mut Table) -> Vec<String> {
    let (result, latency) = (&row.result, row.result.latency_ms);
    // Of a few batches, three digits.
    let share = error(result).unwrap_or(0.01);
    let ms = |v: f64| format::with_error(v, latency.p50 * share);
    let interval = match latency.relative_confidence() {
        None => table.absent(TOO_FEW),
        Some(confidence) => format!("{} %", format::error_percent(confidence)),
    };
    vec![
        title.to_owned(),
        result.config.batch.to_string(),
        ms(latency.p50),
        interval,
        ms(latency.p99),
        format::with_error(result.images_per_s, result.images_per_s * share),
    ]
}

fn range(row: &Row) -> String {
    match row.runs {
        0 | 1 => String::new(),
        _ => format!("{} to {}", format::significant(row.range.0, 3), format::significant(row.range.1, 3)),
    }
}

/// Energy per image, gross and net power.
fn energy(result: &RunResult, table: &mut Table) -> [String; 3] {
    match &result.power {
        Ok(power) => [
            format::significant(power.joules_per_image, 3),
            format::watts(power.gross_w),
            match power.net_w {
                Some(net) => format::watts(net),
                None => table.absent("no idle power was read before the engine started"),
            },
        ],
        Err(reason) => [(); 3].map(|()| table.absent(reason)),
    }
}

fn tail(result: &RunResult, table: &mut Table) -> [String; 3] {
    let share = |v: f64| format!("{} %", format::percent(v));
    let flops = result.flop_utilisation.map(share);
    let throttled = result.throttled.map(|t| share(100.0 * t));
    [
        flops.unwrap_or_else(|| table.absent("no peak was measured on this device in this precision")),
        throttled.unwrap_or_else(|| table.absent("no instant power was read to count by")),
        format::grouped(result.batches),
    ]
}

/// Whether batches replayed a captured graph, and why not.
fn graph(result: &RunResult, table: &mut Table) -> String {
    match &result.graph {
        Some(graph) if graph.used => "replayed".to_owned(),
        Some(graph) => format!("no [{}]", table.note(&graph.why)),
        None => table.absent("nothing was said of a graph"),
    }
}

fn state(result: &RunResult, table: &mut Table) -> String {
    let state = match result.warm_up {
        Some(w) if w.converged => "steady".to_owned(),
        Some(w) => {
            let said = "the latency had not converged within 8 s of warm-up; measured all the same";
            format!("±{} % [{}]", format::percent(w.error_percent), table.note(said))
        }
        None => "not known".to_owned(),
    };
    let said = "others took more than a tenth of the processors meanwhile: it is in the figures";
    if result.crowd().is_some() { format!("{state}, disturbed [{}]", table.note(said)) } else { state }
}

/// Configurations that failed.
fn failures(sources: &[Source]) -> Option<Table> {
    let mut table = Table::new("What did not run", &["<network", "batch", "<precision", "<device", "<reason"]);
    for source in sources {
        for (config, failure) in source.states().flat_map(|state| &state.failures) {
            let asked =
                failure.requested_bytes.map(|b| format!(" ({} asked for)", format::bytes(b))).unwrap_or_default();
            let what = if failure.out_of_memory { "out of memory: " } else { "" };
            table.rows.push(vec![
                source.network_title(&config.network),
                config.batch.to_string(),
                config.precision.to_string(),
                source.device_title(&config.device),
                format!("{what}{}{asked}", failure.reason),
            ]);
        }
    }
    (!table.rows.is_empty()).then_some(table)
}

/// A comparison of two groups over the configurations that they share.
fn beside(a: &Group<'_>, b: &Group<'_>) -> Option<Vec<Block>> {
    let caption = format!("A: {}; B: {}", a.name, b.name);
    let columns =
        ["<network", "batch", "A images/s", "B images/s", "difference", "A J/image", "B J/image", "difference"];
    let mut table = Table::new(caption, &columns);
    let mut ratios = Vec::new();
    for row in &a.rows {
        let same = |other: &&Row| {
            let (a, b) = (&row.result.config, &other.result.config);
            a.network == b.network && a.batch == b.batch
        };
        let Some(other) = b.rows.iter().find(same) else { continue };
        let (a_s, b_s) = (&row.result, &other.result);
        // Nothing is said of a difference whose error is not known.
        let rate = |r: &RunResult| Some(Estimate { value: r.images_per_s, error: r.images_per_s * error(r)? });
        ratios.push((b_s.images_per_s / a_s.images_per_s).ln());
        let mut cells = vec![a.source.network_title(&row.result.config.network), row.result.config.batch.to_string()];
        cells.extend([a_s, b_s].map(|r| format::significant(r.images_per_s, 3)));
        let difference = rate(a_s).zip(rate(b_s)).and_then(|(a, b)| Difference::between(a, b, Better::More));
        cells.push(said(difference));
        cells.extend(joules(a_s, b_s));
        table.rows.push(cells);
    }
    let typical = median(ratios.iter().copied())?.exp();
    let lowest = ratios.iter().copied().fold(f64::INFINITY, f64::min).exp();
    let highest = ratios.iter().copied().fold(f64::NEG_INFINITY, f64::max).exp();
    let times = |v: f64| format::significant(v, 3);
    let text = format!(
        "B makes {} times as many images a second as A (median of {} shared configurations; {} to {}). ≈: within the \
         95 % intervals of the two.",
        times(typical),
        ratios.len(),
        times(lowest),
        times(highest)
    );
    Some(vec![Block::Heading("Side by side".to_owned()), Block::Text(text), Block::Table(table)])
}

/// J/image of both and their difference. The error includes the 5 % by which the sensors of two boards may differ.
fn joules(a: &RunResult, b: &RunResult) -> [String; 3] {
    let of = |r: &RunResult| r.power.as_ref().ok().map(|p| p.joules_per_image);
    let print = |v: Option<f64>| v.map_or_else(|| "–".to_owned(), |v| format::significant(v, 3));
    let estimate =
        |r: &RunResult| of(r).zip(error(r)).map(|(value, error)| Estimate { value, error: value * error.hypot(0.05) });
    let difference = estimate(a).zip(estimate(b)).and_then(|(a, b)| Difference::between(a, b, Better::Less));
    [print(of(a)), print(of(b)), said(difference)]
}

fn said(difference: Option<Difference>) -> String {
    match difference {
        None => "–".to_owned(),
        Some(d) if d.judgement == Judgement::Same => "≈".to_owned(),
        Some(d) => format!("{} %", format::signed_percent(d.share, d.error)),
    }
}
