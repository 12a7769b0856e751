//! What all figures share: panels side by side on common axes, sizes, and the count of what was measured.

use crate::{
    analysis::findings::Finding,
    report::{
        chart::{Axis, Chart, Mark, Scale},
        document::Panel,
        source::Group,
    },
};

/// Size of a chart, px.
pub const SIZE: (f64, f64) = (760.0, 470.0);

/// Groups with the findings of each.
pub type Judged<'a> = [(Group<'a>, [Finding; 4])];

/// A chart, or why it can't be drawn.
pub type Drawing = Result<Chart, String>;

/// Largest ratio of the longest to the shortest linear axis for which panels share one: beyond it, the data of one panel
/// would fill only a corner.
const ALIKE: f64 = 4.0;

/// The range of an axis that all panels share; none where their ranges are too different.
fn shared(drawings: &[Drawing], axis: fn(&Chart) -> &Axis) -> Option<(f64, f64)> {
    let axes: Vec<&Axis> = drawings.iter().flatten().map(axis).collect();
    let spans = || axes.iter().map(|a| a.range.1 - a.range.0);
    let linear = axes.first()?.scale == Scale::Linear;
    if linear && spans().fold(0.0, f64::max) > ALIKE * spans().fold(f64::INFINITY, f64::min) {
        return None;
    }
    let low = axes.iter().map(|a| a.range.0).fold(f64::INFINITY, f64::min);
    Some((low, axes.iter().map(|a| a.range.1).fold(f64::NEG_INFINITY, f64::max)))
}

/// Panels of charts with shared axes, so that they can be compared by eye. Where axes are not shared, the names of the panels
/// say so.
pub fn panels(judged: &Judged<'_>, drawings: Vec<Drawing>) -> Vec<Panel> {
    let (x, y) = (shared(&drawings, |chart| &chart.x), shared(&drawings, |chart| &chart.y));
    let several = judged.len() > 1;
    let own = if x.is_some() && y.is_some() { "" } else { ", on axes of its own" };
    let panel = |(drawing, (group, _)): (Drawing, &(Group<'_>, _))| {
        let own = if drawing.is_ok() { own } else { "" };
        let svg = drawing.map(|mut chart| {
            chart.x.range = x.unwrap_or(chart.x.range);
            chart.y.range = y.unwrap_or(chart.y.range);
            chart.svg()
        });
        Panel { name: several.then(|| format!("{}{own}", group.name)), drawing: svg }
    };
    let mut panels: Vec<Panel> = drawings.into_iter().zip(judged).map(panel).collect();
    if panels.is_empty() {
        panels.push(Panel { name: None, drawing: Err("nothing was measured".to_owned()) });
    }
    panels
}

/// `n = 7: f16 on NVIDIA H100 80GB HBM3`, for each group.
pub fn counted(judged: &Judged<'_>, n: impl Fn(&Group<'_>) -> usize) -> String {
    let of = |(group, _): &(Group<'_>, _)| format!("n = {}: {}", n(group), group.setting());
    judged.iter().map(of).collect::<Vec<_>>().join("; ")
}

/// Radius of a ball whose area is proportional to `value`, px.
pub fn ball(value: f64, largest: f64) -> f64 {
    (value / largest.max(f64::MIN_POSITIVE)).clamp(0.0, 1.0).sqrt() * 28.0 + 2.5
}

/// x and y of all marks.
pub fn spans(marks: &[Mark]) -> (Vec<f64>, Vec<f64>) {
    let of = |mark: &Mark| match mark {
        Mark::Dot { at, .. } => vec![*at],
        Mark::Line { points, .. } => points.clone(),
        Mark::Band { .. } => Vec::new(),
    };
    marks.iter().flat_map(of).unzip()
}
