//! The figures of the findings: points, fits, confidence bands and bounds.

use super::drawing::{Drawing, Judged, SIZE, ball, counted, panels, spans};
use crate::{
    analysis::{
        figure::{self, Curve, Kind, Point},
        findings::Finding,
        paper,
    },
    report::{
        chart::{Axis, Chart, Mark, Scale, Sign},
        document::Figure,
        paint::{self, Paint},
        source::Group,
    },
};
use std::collections::BTreeMap;

/// Number of the first figure that is not in the paper.
const BEYOND: u8 = 11;

/// The paper's figure of a number, from the finding that it belongs to.
pub fn of_findings(number: u8, judged: &Judged<'_>) -> Figure {
    let found: Vec<_> = judged.iter().map(|(_, findings)| by_number(number, findings)).collect();
    let drawings = found.iter().zip(judged).map(|(found, (group, findings))| match found {
        Some((_, figure)) => chart(figure, group, true),
        None => Err(reason(number, group, findings)),
    });
    let drawings: Vec<Drawing> = drawings.collect();
    let n = |group: &Group<'_>| {
        let at = judged.iter().position(|(g, _)| std::ptr::eq(g, group));
        at.and_then(|i| found[i]).map_or(0, |(_, figure)| figure.points.len())
    };
    let said: Vec<String> = match number {
        4 => vec![format!(
            "Mean power beyond idle of each run, settling left out; gross where idle power was not read. The paper, \
             on a Jetson TX1: {} W at idle, and {} ± {} W beyond it under full use, whatever the batch size.",
            paper::IDLE_W,
            paper::NET_W,
            paper::NET_DEVIATION_W
        )],
        7 => vec![
            "Operations an image against the time that it takes, with the least-squares line and its 95 % band; the \
             paper found one line for all networks. Areas: parameters."
                .to_owned(),
        ],
        8 => {
            vec!["Power against operations an image: the paper found no direction in it. Areas: parameters.".to_owned()]
        }
        9 => vec![
            "Published top-1 accuracy against images a second; below the line lie nearly all networks, and the paper \
             called it a linear upper bound. Areas: operations."
                .to_owned(),
        ],
        _ => Vec::new(),
    };
    let caption = format!("{} {}.", said.join(" "), counted(judged, n));
    Figure { number, title: paper::caption(number).to_owned(), caption, panels: panels(judged, drawings) }
}

/// Figures of the findings that are not in the paper, where there is data for them.
pub fn beyond_the_paper(judged: &Judged<'_>) -> Vec<Figure> {
    let mut titles: Vec<(u8, String)> = Vec::new();
    for (_, findings) in judged {
        for finding in findings {
            let mut of_paper = Vec::new();
            for figure in &finding.figures {
                let repeated = figure.paper.is_some_and(|n| of_paper.contains(&n));
                of_paper.extend(figure.paper);
                let key = (finding.number, figure.title.clone());
                if (figure.paper.is_none() || repeated) && !figure.points.is_empty() && !titles.contains(&key) {
                    titles.push(key);
                }
            }
        }
    }
    titles.sort_by_key(|(finding, _)| *finding);
    let numbered = titles.into_iter().zip(BEYOND..);
    numbered.map(|((finding, title), number)| beyond(number, finding, title, judged)).collect()
}

fn beyond(number: u8, finding: u8, title: String, judged: &Judged<'_>) -> Figure {
    let of = |findings: &[Finding; 4]| -> Option<figure::Figure> {
        let finding = findings.iter().find(|f| f.number == finding)?;
        finding.figures.iter().find(|f| f.title == title).cloned()
    };
    let found: Vec<_> = judged.iter().map(|(_, findings)| of(findings)).collect();
    let drawings = found.iter().zip(judged).map(|(figure, (group, findings))| match figure {
        Some(figure) => chart(figure, group, false),
        None => Err(findings[usize::from(finding.clamp(1, 4)) - 1].says.clone()),
    });
    let drawings: Vec<Drawing> = drawings.collect();
    let n = |group: &Group<'_>| {
        let at = judged.iter().position(|(g, _)| std::ptr::eq(g, group));
        at.and_then(|i| found[i].as_ref()).map_or(0, |figure| figure.points.len())
    };
    let caption = format!("For finding {finding}; not in the paper. {}.", counted(judged, n));
    Figure { number, title, caption, panels: panels(judged, drawings) }
}

/// The figure of a finding that repeats one of the paper's, with the finding's number.
pub fn by_number(number: u8, findings: &[Finding; 4]) -> Option<(u8, &figure::Figure)> {
    let of = |finding: &'_ Finding| finding.number;
    findings.iter().find_map(|finding| {
        let figure = finding.figures.iter().find(|f| f.paper == Some(number) && !f.points.is_empty())?;
        Some((of(finding), figure))
    })
}

/// Why a figure can't be drawn.
fn reason(number: u8, group: &Group<'_>, findings: &[Finding; 4]) -> String {
    let finding = match number {
        4 | 8 => &findings[0],
        9 => &findings[1],
        _ => &findings[3],
    };
    let no_power = group.no_power().filter(|_| matches!(number, 4 | 8));
    no_power.unwrap_or_else(|| finding.says.clone())
}

/// A figure of the analysis as a chart. With `areas`, the areas of the dots show the quantity that they show in the paper.
pub fn chart(figure: &figure::Figure, group: &Group<'_>, areas: bool) -> Drawing {
    if figure.points.is_empty() {
        return Err("nothing was measured that belongs in it".to_owned());
    }
    let mut marks: Vec<Mark> = figure.curves.iter().flat_map(curve).collect();
    let against_batch = figure.x.scale == figure::Scale::Log2;
    let points = if against_batch { lines(&figure.points) } else { dots(figure, group, areas) };
    // The axes follow the points, not the curves, which may go far beyond.
    let (xs, ys) = spans(&points);
    let air = if figure.y.from_zero { vec![0.0] } else { Vec::new() };
    let (x, y) = (axis(&figure.x, xs), axis(&figure.y, ys.into_iter().chain(air).collect()));
    marks.extend(points);
    for mark in figure.marks.iter().filter(|m| m.x.is_finite()) {
        let points = vec![(mark.x, y.range.0), (mark.x, y.range.1)];
        marks.push(Mark::Line { points, paint: paint::AXIS, width: 1.0, dashed: true, name: None });
    }
    let legend = figure.curves.iter().filter(|c| c.line.len() > 1).map(|c| {
        let (paint, dashed) = look(c.kind);
        (paint, if dashed { Sign::Dashed } else { Sign::Line }, c.name.clone())
    });
    Ok(Chart { title: figure.title.clone(), x, y, legend: legend.collect(), marks, size: SIZE })
}

fn axis(axis: &figure::Axis, values: Vec<f64>) -> Axis {
    let scale = match axis.scale {
        figure::Scale::Linear => Scale::Linear,
        figure::Scale::Log2 => Scale::Log2,
        figure::Scale::Log10 => Scale::Log10,
    };
    Axis::over(axis.title(), scale, axis.from_zero, values)
}

/// Colour of a curve, and whether it is dashed.
const fn look(kind: Kind) -> (Paint, bool) {
    match kind {
        Kind::Fit => (paint::FIT, false),
        Kind::Bound => (paint::FIT, true),
        Kind::Frontier => (paint::INK, false),
        Kind::Rival => (paint::FAINT, true),
        Kind::Paper => (paint::FAINT, false),
    }
}

fn curve(curve: &Curve) -> Vec<Mark> {
    let (paint, dashed) = look(curve.kind);
    let band = curve.band.iter().map(|(x, interval)| (*x, interval.low, interval.high)).collect();
    let width = if matches!(curve.kind, Kind::Fit | Kind::Bound) { 1.8 } else { 1.2 };
    let line = Mark::Line { points: curve.line.clone(), paint, width, dashed, name: None };
    vec![Mark::Band { points: band, paint }, line]
}

fn tip(point: &Point, figure: Option<&figure::Figure>) -> String {
    let said = |axis: &figure::Axis, value: f64| {
        format!("{} {}", crate::format::significant(value, 3), axis.unit).trim_end().to_owned()
    };
    let values = figure.map(|f| format!(": {}, {}", said(&f.x, point.x), said(&f.y, point.y))).unwrap_or_default();
    format!("{}, batch {}, {}{values}", point.title, point.batch, point.precision)
}

/// A line per network, with its name at the end.
fn lines(points: &[Point]) -> Vec<Mark> {
    let mut networks: BTreeMap<&str, Vec<&Point>> = BTreeMap::new();
    points.iter().for_each(|p| networks.entry(&p.network).or_default().push(p));
    let mut marks = Vec::new();
    for mut points in networks.into_values() {
        points.sort_by_key(|p| p.batch);
        let Some(first) = points.first() else { continue };
        let (paint, name) = (paint::family(&first.family), Some(first.title.clone()));
        let places = points.iter().map(|p| (p.x, p.y)).collect();
        marks.push(Mark::Line { points: places, paint, width: 1.8, dashed: false, name });
        marks.extend(points.iter().map(|p| {
            let tip = format!("{}: {}", tip(p, None), crate::format::significant(p.y, 3));
            Mark::Dot { at: (p.x, p.y), radius: 3.2, paint, hollow: false, name: None, tip }
        }));
    }
    marks
}

/// A dot per point; the first dot of each network is labelled.
fn dots(figure: &figure::Figure, group: &Group<'_>, areas: bool) -> Vec<Mark> {
    let weight = |point: &Point| {
        let facts = group.source.facts(&point.network)?;
        match figure.paper.filter(|_| areas) {
            Some(7 | 8) => Some(facts.params as f64),
            Some(9) => Some(facts.ops as f64),
            _ => None,
        }
    };
    let largest = figure.points.iter().filter_map(weight).fold(0.0, f64::max);
    let mut points: Vec<&Point> = figure.points.iter().collect();
    points.sort_by(|a, b| weight(b).unwrap_or(0.0).total_cmp(&weight(a).unwrap_or(0.0)));
    // Many balls are drawn smaller, so that they do not cover each other.
    let scale = if points.len() > 40 { 0.4 } else { 0.7 };
    let mut named: Vec<&str> = Vec::new();
    let mut marks = Vec::new();
    for point in points {
        let name = (!named.contains(&point.network.as_str())).then(|| point.title.clone());
        named.push(&point.network);
        let radius = weight(point).map_or(5.0, |w| scale * ball(w, largest) + 1.0);
        let (at, paint) = ((point.x, point.y), paint::family(&point.family));
        marks.push(Mark::Dot { at, radius, paint, hollow: false, name, tip: tip(point, Some(figure)) });
    }
    marks
}
