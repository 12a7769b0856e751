//! The content of a report: verdicts, figures, tables, layers, method and environment.

mod environment;
mod layers;
mod method;
mod tables;

use super::{
    document::{Block, Document, Judgement, Section, Table, Verdict},
    figures::{self, Judged},
    source::{Group, Source, data, groups},
};
use crate::{
    analysis::findings::{self, Estimate, Finding, findings},
    format,
};
use std::collections::BTreeSet;

/// The report of some sessions.
pub fn document(sources: &[Source]) -> Document {
    let judged: Vec<_> = groups(sources).into_iter().map(judge).collect();
    let figures = figures::figures(&judged);
    let mut verdicts = Vec::new();
    for (group, findings) in &judged {
        if judged.len() > 1 {
            verdicts.push(Block::Heading(group.name.clone()));
        }
        verdicts.extend(findings.iter().map(|finding| Block::Verdict(verdict(finding, &figures))));
    }
    if verdicts.is_empty() {
        verdicts.push(Block::Text("Nothing was measured in these sessions: there is nothing to judge.".to_owned()));
    }
    let figures = figures.into_iter().map(Block::Figure).collect();
    let section = |id, title, blocks| Section { id, title, blocks };
    let mut sections = vec![
        section("findings", "The four findings", verdicts),
        section("figures", "Figures", figures),
        section("tables", "Tables", tables::blocks(sources, &judged)),
    ];
    let layers = layers::blocks(sources);
    // Layers are measured only on request.
    if !layers.is_empty() {
        sections.push(section("layers", "Where the time goes", layers));
    }
    sections.push(section("method", "Method", method::blocks(sources, &judged)));
    sections.push(section("environment", "Environment", environment::blocks(sources)));
    Document { title: title(&judged), about: about(sources, &judged), sections }
}

/// A group with the findings on the four claims.
fn judge(group: Group<'_>) -> (Group<'_>, [Finding; 4]) {
    let results: Vec<_> = group.source.rows().into_iter().map(|row| row.result).collect();
    let findings = findings(&data(group.source, &results), &group.device, group.precision);
    (group, findings)
}

fn title(judged: &Judged<'_>) -> String {
    let mut devices: Vec<String> = Vec::new();
    for (group, _) in judged {
        let title = group.source.device_title(&group.device);
        if !devices.contains(&title) {
            devices.push(title);
        }
    }
    match devices.len() {
        0 => "Deep neural networks, measured".to_owned(),
        _ => format!("Deep neural networks on {}", devices.join(" and ")),
    }
}

fn about(sources: &[Source], judged: &Judged<'_>) -> Vec<String> {
    let networks: BTreeSet<&str> =
        judged.iter().flat_map(|(g, _)| g.rows.iter().map(|r| r.result.config.network.as_str())).collect();
    let rows: usize = judged.iter().map(|(g, _)| g.rows.len()).sum();
    let runs: usize = judged.iter().flat_map(|(g, _)| g.rows.iter().map(|r| r.runs)).sum();
    let precisions: BTreeSet<&str> = judged.iter().map(|(g, _)| g.precision.name()).collect();
    let mut lines = vec![format!(
        "{} in {} of {}{}: accuracy, memory, operations, inference time and power, after Canziani, Paszke and \
         Culurciello (arXiv 1605.07678).",
        many(runs, "run"),
        many(rows, "configuration"),
        many(networks.len(), "network"),
        if precisions.is_empty() {
            String::new()
        } else {
            format!(" in {}", precisions.into_iter().collect::<Vec<_>>().join(", "))
        },
    )];
    lines.extend(sources.iter().map(recorded));
    lines.push(format!("Made by wattscope {} from these recordings alone.", env!("CARGO_PKG_VERSION")));
    lines
}

fn recorded(source: &Source) -> String {
    let header = source.state.header.clone().unwrap_or_default();
    let file = source.path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    let day = header.started.split('T').next().filter(|day| !day.is_empty());
    let day = day.map(|day| format!(" on {day}")).unwrap_or_default();
    let mut hosts = vec![header.host.clone()];
    for other in source.pooled.iter().filter_map(|(_, state)| state.header.as_ref()) {
        if !hosts.contains(&other.host) {
            hosts.push(other.host.clone());
        }
    }
    let lost = source.losses.as_ref().map(|l| format!(" Part of it could not be read: {l}.")).unwrap_or_default();
    let end = source.states().map(|state| state.now).max().unwrap_or(0);
    format!("{file}: recorded on {}{day}, {} long.{lost}", hosts.join(", "), format::duration(end as f64 / 1e9))
}

/// `1 run`, `3 runs`.
fn many(n: usize, what: &str) -> String {
    format!("{} {what}{}", format::grouped(n as u64), if n == 1 { "" } else { "s" })
}

fn verdict(finding: &Finding, figures: &[super::document::Figure]) -> Verdict {
    let judgement = match finding.verdict {
        findings::Verdict::Supported => Judgement::Supported,
        findings::Verdict::Contradicted => Judgement::Contradicted,
        findings::Verdict::Undecided { .. } => Judgement::Undecided,
    };
    let drawn = |number: &u8, title: &str| {
        figures.iter().any(|f| {
            f.number == *number && (f.number <= 10 || f.title == title) && f.panels.iter().any(|p| p.drawing.is_ok())
        })
    };
    let of_paper = finding.figures.iter().filter_map(|f| f.paper.filter(|n| drawn(n, "")));
    let beyond = figures.iter().filter(|f| f.number > 10 && finding.figures.iter().any(|own| own.title == f.title));
    let mut numbers: Vec<u8> = of_paper.chain(beyond.map(|f| f.number)).collect();
    numbers.sort_unstable();
    numbers.dedup();
    Verdict {
        number: finding.number,
        title: finding.title.to_owned(),
        claim: finding.claim.to_owned(),
        scope: finding.scope.clone(),
        judgement,
        says: finding.says.clone(),
        // Not repeated if the sentence says it already.
        needs: finding.verdict.needs().filter(|needs| !finding.says.contains(needs)).map(str::to_owned),
        n: finding.n,
        estimates: estimates(&finding.estimates),
        figures: numbers,
    }
}

/// A number with three digits; tiny values as `< 0.0001`.
fn number(value: f64) -> String {
    if value > 0.0 && value < 1e-4 { "< 0.0001".to_owned() } else { format::significant(value, 3) }
}

/// The estimates that a verdict is based on, with their intervals, beside the paper's.
fn estimates(estimates: &[Estimate]) -> Table {
    let paper = estimates.iter().any(|e| e.paper.is_some());
    let columns: &[&str] =
        if paper { &["<", "value", "95 % interval", "paper"] } else { &["<", "value", "95 % interval"] };
    let mut table = Table::new("", columns);
    for estimate in estimates.iter().filter(|e| e.value.is_finite()) {
        let unit = if estimate.unit.is_empty() { String::new() } else { format!(" {}", estimate.unit) };
        let interval = estimate.interval.filter(|i| i.low.is_finite() && i.high.is_finite());
        let interval = interval.map(|i| format!("{} to {}", number(i.low), number(i.high)));
        let mut row = vec![
            estimate.name.clone(),
            format!("{}{unit}", number(estimate.value)),
            interval.unwrap_or_else(|| "–".to_owned()),
        ];
        if paper {
            row.push(estimate.paper.map_or_else(|| "–".to_owned(), |p| format!("{}{unit}", number(p))));
        }
        table.rows.push(row);
    }
    table
}
