//! The figures of Canziani, Paszke and Culurciello (arXiv 1605.07678), drawn from the measurements: 1 to 10 with the paper's
//! numbers, and from 11 on those of the findings that the paper does not have.

mod drawing;
mod findings;

pub use drawing::Judged;

use super::{
    chart::{Axis, Bar, Bars, Chart, Entry, Mark, Scale, Sign},
    document::{Figure, Panel},
    paint,
    source::{Group, Source},
};
use crate::{
    analysis::{
        data::Observation,
        fit::Line,
        paper::{self, figure2, figure10},
    },
    event::NetworkFacts,
    format,
};
use drawing::{Drawing, SIZE, ball, counted, panels, spans};
use std::collections::BTreeMap;

/// The source of the paper's values.
const SOURCE: &str = "rings: Canziani et al. (2016), read off the vector graphics of their";

const MIB: f64 = 1_048_576.0;

/// Every figure, in order.
pub fn figures(judged: &Judged<'_>) -> Vec<Figure> {
    let facts = networks(judged);
    let mut figures = vec![
        accuracy(&facts),
        operations(&facts),
        time(judged),
        findings::of_findings(4, judged),
        memory(judged),
        memory_by_parameters(judged),
        findings::of_findings(7, judged),
        findings::of_findings(8, judged),
        findings::of_findings(9, judged),
        density(&facts),
    ];
    figures.extend(findings::beyond_the_paper(judged));
    figures
}

/// Facts of every network that was measured anywhere, by id.
fn networks<'a>(judged: &'a Judged<'_>) -> BTreeMap<&'a str, &'a NetworkFacts> {
    let of = |group: &'a Group<'_>| {
        let ids = group.rows.iter().map(|row| row.result.config.network.as_str());
        ids.filter_map(|id| Some((id, group.source.facts(id)?)))
    };
    judged.iter().flat_map(|(group, _)| of(group)).collect()
}

fn single(number: u8, drawing: Result<String, String>, caption: String) -> Figure {
    let title = paper::caption(number).to_owned();
    Figure { number, title, caption, panels: vec![Panel { name: None, drawing }] }
}

/// A figure with a panel for each group.
fn per_group(number: u8, judged: &Judged<'_>, caption: String, draw: impl Fn(&Group<'_>) -> Drawing) -> Figure {
    let drawings: Vec<Drawing> = judged.iter().map(|(group, _)| draw(group)).collect();
    Figure { number, title: paper::caption(number).to_owned(), caption, panels: panels(judged, drawings) }
}

fn known_accuracy<'a>(facts: &BTreeMap<&str, &'a NetworkFacts>) -> Vec<(&'a NetworkFacts, f64)> {
    facts.values().filter_map(|f| Some((*f, f.top1.filter(|v| v.is_finite())?))).collect()
}

fn absent(what: &str) -> String {
    format!("no network whose {what} is known was measured")
}

/// 1: accuracy by network.
fn accuracy(facts: &BTreeMap<&str, &NetworkFacts>) -> Figure {
    let mut known = known_accuracy(facts);
    known.sort_by(|a, b| a.1.total_cmp(&b.1));
    let theirs = |f: &NetworkFacts| figure2().get(&f.title).map(|p| p.top1);
    let bar = |(f, top1): &(&NetworkFacts, f64)| Bar {
        name: f.title.clone(),
        value: *top1,
        label: format!("{top1:.1}"),
        paint: paint::network(f),
        ghost: theirs(f),
        tip: format!("{}: {top1:.2} % ({})", f.title, f.accuracy_source),
    };
    let n = known.len();
    let bars: Vec<Bar> = known.iter().map(bar).collect();
    let caption = format!(
        "Published top-1 accuracy on ImageNet's validation set, single centre crop, of the {n} networks measured; \
         {SOURCE} Figure 2. Nothing in it was measured here. The axis does not begin at 0."
    );
    let values = || bars.iter().flat_map(|b| [Some(b.value), b.ghost]).flatten();
    let (lowest, highest) = (values().fold(100.0, f64::min), values().fold(0.0, f64::max));
    let x = Axis {
        title: "top-1 accuracy [%]".to_owned(),
        scale: Scale::Linear,
        range: ((lowest / 5.0 - 0.5).floor() * 5.0, (highest / 5.0 + 1.0).floor() * 5.0),
    };
    let legend = legend_of(&bars);
    let drawing =
        if n == 0 { Err(absent("accuracy")) } else { Ok(Bars { title: caption.clone(), x, bars, legend }.svg()) };
    single(1, drawing, caption)
}

/// The legend of rings beside bars, where there are any.
fn legend_of(bars: &[Bar]) -> Vec<Entry> {
    let ghosts = bars.iter().any(|b| b.ghost.is_some());
    let ring = (paint::INK, Sign::Ring, "as in the paper".to_owned());
    ghosts.then_some(ring).into_iter().collect()
}

/// 2: accuracy against operations; the areas of the balls are proportional to the parameters.
fn operations(facts: &BTreeMap<&str, &NetworkFacts>) -> Figure {
    let known: Vec<_> = known_accuracy(facts).into_iter().filter(|(f, _)| f.ops > 0).collect();
    let largest = known.iter().map(|(f, _)| f.params).max().unwrap_or(1) as f64;
    let mut marks = Vec::new();
    let at = |f: &NetworkFacts, top1: f64| (f.ops as f64 / 1e9, top1);
    let mut balls = known.clone();
    balls.sort_by_key(|(f, _)| std::cmp::Reverse(f.params));
    marks.extend(balls.iter().map(|(f, top1)| Mark::Dot {
        at: at(f, *top1),
        radius: ball(f.params as f64, largest),
        paint: paint::network(f),
        hollow: false,
        name: Some(f.title.clone()),
        tip: format!("{}: {} operations, {top1:.1} %, {} parameters", f.title, si(f.ops), si(f.params)),
    }));
    marks.extend(known.iter().filter_map(|(f, top1)| theirs(f, at(f, *top1))).flatten());
    let caption = format!(
        "Top-1 accuracy against operations an image (2 a multiply-accumulate, 1 a bias and a ReLU output, k² a pooling \
         output) of the {} networks measured; the balls' areas are as the parameters, the largest {} of them; {SOURCE} \
         Figure 2. Operations and parameters were counted here on the executed graph.",
        known.len(),
        si(largest as u64),
    );
    let (xs, ys) = spans(&marks);
    let chart = Chart {
        title: caption.clone(),
        x: Axis::over("operations [G-ops]", Scale::Log10, false, xs),
        y: Axis::over("top-1 accuracy [%]", Scale::Linear, false, ys),
        marks,
        size: (SIZE.0, 540.0),
        legend: vec![
            (paint::AXIS, Sign::Dot, "area: parameters".to_owned()),
            (paint::INK, Sign::Ring, "as in the paper".to_owned()),
        ],
    };
    single(2, if known.is_empty() { Err(absent("accuracy")) } else { Ok(chart.svg()) }, caption)
}

/// The paper's point of a network, connected with ours.
fn theirs(facts: &NetworkFacts, ours: (f64, f64)) -> Option<[Mark; 2]> {
    let theirs = figure2().get(&facts.title)?;
    let (at, paint) = ((theirs.gops, theirs.top1), paint::INK);
    let tip = format!("{} in the paper: {} G-ops, {} %", facts.title, theirs.gops, theirs.top1);
    Some([
        Mark::Line { points: vec![ours, at], paint, width: 0.8, dashed: false, name: None },
        Mark::Dot { at, radius: 3.5, paint, hollow: true, name: None, tip },
    ])
}

fn si(value: u64) -> String {
    format::si(value as f64)
}

/// A line per network: points by batch size, with the network's name at its end.
fn by_batch<'a>(
    observations: &[Observation<'a>],
    value: impl Fn(&Observation<'a>) -> Option<f64>,
    say: impl Fn(f64) -> String,
) -> Vec<Mark> {
    let mut lines: BTreeMap<&str, Vec<(&Observation<'a>, f64)>> = BTreeMap::new();
    for observation in observations {
        if let Some(value) = value(observation).filter(|v| v.is_finite() && *v > 0.0) {
            lines.entry(&observation.config().network).or_default().push((observation, value));
        }
    }
    let mut marks = Vec::new();
    for points in lines.values() {
        let Some((first, _)) = points.first() else { continue };
        let (paint, title) = (paint::family(first.family()), first.title());
        let at = |(o, value): &(&Observation<'_>, f64)| (f64::from(o.config().batch), *value);
        let places: Vec<_> = points.iter().map(at).collect();
        marks.push(Mark::Line { points: places, paint, width: 1.8, dashed: false, name: Some(title.to_owned()) });
        marks.extend(points.iter().map(|point| {
            let tip = format!("{title}, batch {}: {}", point.0.config().batch, say(point.1));
            Mark::Dot { at: at(point), radius: 3.2, paint, hollow: false, name: None, tip }
        }));
    }
    marks
}

/// A chart of a quantity against batch size.
fn against_batch(title: &str, y: &str, marks: Vec<Mark>) -> Drawing {
    if marks.is_empty() {
        return Err("nothing was measured".to_owned());
    }
    let (xs, ys) = spans(&marks);
    Ok(Chart {
        title: title.to_owned(),
        x: Axis::over("batch size [images]", Scale::Log2, false, xs),
        y: Axis::over(y, Scale::Log10, false, ys),
        marks,
        size: SIZE,
        legend: Vec::new(),
    })
}

/// 3: time per image against batch size.
fn time(judged: &Judged<'_>) -> Figure {
    let caption = format!(
        "Time an image (one over images a second, gaps between batches included) against batch size, both axes \
         logarithmic. A batch size that is missing was not measured or did not fit into memory. {}.",
        counted(judged, |group| group.rows.len())
    );
    per_group(3, judged, caption.clone(), |group| {
        let results = group.results();
        let data = super::source::data(group.source, &results);
        let say = |ms: f64| format!("{} ms an image", format::significant(ms, 3));
        against_batch(&caption, "time an image [ms]", by_batch(&data, Observation::ms_per_image, say))
    })
}

/// Memory of a configuration, MiB.
fn mebibytes(observation: &Observation<'_>) -> Option<f64> {
    observation.memory_bytes().map(|bytes| bytes as f64 / MIB)
}

/// The kind of memory that a group's figures show.
fn which_memory(source: &Source, group: &Group<'_>) -> &'static str {
    let results = group.results();
    let data = super::source::data(source, &results);
    match data.iter().map(|o| o.result.memory).find(|m| m.reserved.or(m.in_use).or(m.resident).is_some()) {
        Some(memory) if memory.reserved.is_some() => "reserved by the device's allocator",
        Some(memory) if memory.in_use.is_some() => "in use in the device's allocator",
        Some(_) => "resident in the engine's process, program and libraries included",
        None => "in use on the device by everybody",
    }
}

fn memory_said(judged: &Judged<'_>) -> String {
    let mut said: Vec<&str> = judged.iter().map(|(group, _)| which_memory(group.source, group)).collect();
    said.dedup();
    said.join(", or ")
}

/// 5: memory against batch size.
fn memory(judged: &Judged<'_>) -> Figure {
    let caption = format!(
        "Memory {} against batch size, both axes logarithmic: the parameters, which every batch shares, then the \
         activations, which grow with it. {}.",
        memory_said(judged),
        counted(judged, |group| group.rows.len())
    );
    per_group(5, judged, caption.clone(), |group| {
        let results = group.results();
        let data = super::source::data(group.source, &results);
        let say = |mib: f64| format::bytes((mib * MIB) as u64);
        let marks = by_batch(&data, mebibytes, say);
        if marks.is_empty() {
            return Err("the engine did not report its memory".to_owned());
        }
        against_batch(&caption, "memory [MiB]", marks)
    })
}

/// 6: memory against parameters, at the smallest batch size.
fn memory_by_parameters(judged: &Judged<'_>) -> Figure {
    let smallest = |group: &Group<'_>| group.rows.iter().map(|row| row.result.config.batch).min().unwrap_or(1);
    let batches: Vec<String> = judged.iter().map(|(group, _)| smallest(group).to_string()).collect();
    let caption = format!(
        "Memory {} at batch {} against the size of the parameters in the precision measured, with the least-squares \
         line: its slope is what a byte of parameters costs, its intercept what is held without any. {}.",
        memory_said(judged),
        batches.join(", "),
        counted(judged, |group| { group.rows.iter().filter(|row| row.result.config.batch == smallest(group)).count() })
    );
    per_group(6, judged, caption.clone(), |group| {
        let results: Vec<_> = group.results().into_iter().filter(|r| r.config.batch == smallest(group)).collect();
        let data = super::source::data(group.source, &results);
        by_parameters(&caption, &data)
    })
}

fn by_parameters(title: &str, data: &[Observation<'_>]) -> Drawing {
    let of = |o: &Observation<'_>| {
        let params = o.mega_params()? * 1e6 * o.config().precision.bytes() as f64 / MIB;
        Some((o.title().to_owned(), o.family().to_owned(), params, mebibytes(o)?))
    };
    let points: Vec<_> = data.iter().filter_map(of).collect();
    if points.is_empty() {
        return Err("the engine did not report its memory".to_owned());
    }
    let mut marks: Vec<Mark> = points
        .iter()
        .map(|(name, family, params, memory)| Mark::Dot {
            at: (*params, *memory),
            radius: 5.0,
            paint: paint::family(family),
            hollow: false,
            name: Some(name.clone()),
            tip: format!("{name}: parameters {params:.1} MiB, memory {memory:.1} MiB"),
        })
        .collect();
    let (xs, ys) = spans(&marks);
    let x = Axis::over("parameters [MiB]", Scale::Linear, true, xs);
    let y = Axis::over("memory [MiB]", Scale::Linear, true, ys);
    let line = Line::through(&points.iter().map(|p| (p.2, p.3)).collect::<Vec<_>>()).filter(|line| line.n > 2);
    let (drawn, legend) = line.map(|line| fitted(&line, &x)).unzip();
    marks.splice(0..0, drawn);
    Ok(Chart { title: title.to_owned(), x, y, marks, size: SIZE, legend: legend.into_iter().collect() })
}

/// A line from 0 to the end of the axis, and its entry in the legend.
fn fitted(line: &Line, x: &Axis) -> (Mark, Entry) {
    let points = [x.range.0.max(0.0), x.range.1].map(|x| (x, line.at(x))).to_vec();
    let (intercept, slope) = (format::significant(line.intercept, 3), format::significant(line.slope, 3));
    let words = format!("{intercept} + {slope} × parameters, R² {:.2}", line.r2);
    (Mark::Line { points, paint: paint::FIT, width: 1.6, dashed: false, name: None }, (paint::FIT, Sign::Line, words))
}

/// 10: accuracy over parameters by network.
fn density(facts: &BTreeMap<&str, &NetworkFacts>) -> Figure {
    let of = |f: &NetworkFacts, top1: f64| top1 / (f.params as f64 / 1e6);
    let mut known: Vec<_> = known_accuracy(facts).into_iter().filter(|(f, _)| f.params > 0).collect();
    known.sort_by(|a, b| of(a.0, a.1).total_cmp(&of(b.0, b.1)));
    let bars: Vec<Bar> = known
        .iter()
        .map(|(f, top1)| Bar {
            name: f.title.clone(),
            value: of(f, *top1),
            label: format::significant(of(f, *top1), 3),
            paint: paint::network(f),
            ghost: figure10().get(&f.title).copied(),
            tip: format!("{}: {top1:.2} % over {} parameters", f.title, si(f.params)),
        })
        .collect();
    let highest = bars.iter().flat_map(|b| [Some(b.value), b.ghost]).flatten().fold(1.0, f64::max);
    let caption = format!(
        "Published top-1 accuracy over parameters of the {} networks measured: how much a parameter contributes; \
         {SOURCE} Figure 10. Parameters were counted here.",
        known.len()
    );
    let title = "accuracy a parameter [% a million]".to_owned();
    let x = Axis { title, scale: Scale::Linear, range: (0.0, highest * 1.05) };
    let legend = legend_of(&bars);
    let drawing = if bars.is_empty() {
        Err(absent("accuracy"))
    } else {
        Ok(Bars { title: caption.clone(), x, bars, legend }.svg())
    };
    single(10, drawing, caption)
}
