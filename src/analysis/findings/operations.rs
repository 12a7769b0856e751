//! Finding 4: do operations predict inference time, and does anything predict it better?

use super::finding::{Estimate, FEWEST_FOR_CURVES, Finding, Verdict, more, per_network, until};
use crate::{
    analysis::{
        data::Observation,
        distribution::{Interval, deviation_interval},
        figure::{Axis, Curve, Figure, Kind, sampled},
        fit::Line,
        paper,
    },
    event::Precision,
    format,
};
use std::collections::{BTreeMap, BTreeSet};

/// Largest typical factor between predicted and measured time for a reliable estimate.
const RELIABLE: f64 = 1.5;

/// Least exponent of operations for time to follow them: with 0.5, four times the work takes twice the time.
const FOLLOWS: f64 = 0.5;

/// Least ratio of the most to the fewest operations for a verdict.
const RANGE: f64 = 4.0;

/// A quantity that may predict time, and its name.
type Predictor = (&'static str, fn(&Observation<'_>) -> Option<f64>);

/// All predictors, in the order of the table.
const PREDICTORS: [Predictor; 4] = [
    ("operations", |o| o.giga_ops()),
    ("activations", |o| o.mega_activations()),
    ("memory traffic", |o| o.megabytes()),
    ("parameters", |o| o.mega_params()),
];

/// A power law of time in a predictor.
struct Law {
    name: &'static str,
    /// The line in logarithms of both.
    line: Line,
    /// Typical factor between predicted and measured time of a network, by leave-one-out, and its interval.
    factor: f64,
    interval: Interval,
}

fn law(data: &[Observation<'_>], (name, x): Predictor) -> Option<Law> {
    let points: Vec<_> = data.iter().filter_map(|o| Some((x(o)?.ln(), o.ms_per_image()?.ln()))).collect();
    let line = Line::through(&points)?;
    let error = line.left_out(&points)?;
    let interval = deviation_interval(error, line.n as f64 - 2.0).map(f64::exp);
    Some(Law { name, line, factor: error.exp(), interval })
}

/// The finding from one run per network at one batch size; `all` are the runs of all batch sizes and precisions on the
/// device.
pub fn finding(same: &[Observation<'_>], all: &[Observation<'_>], scope: String) -> Finding {
    let claim = "The number of operations is a reliable estimate of the inference time.";
    let mut finding = Finding::new(4, "operations against time", claim, scope);
    let known: Vec<_> = same.iter().filter(|o| o.giga_ops().is_some() && o.ms_per_image().is_some()).copied().collect();
    finding.n = known.len();
    finding.figures = vec![main_figure(&known), settings_figure(all)];
    let laws: Vec<Law> = PREDICTORS.into_iter().filter_map(|p| law(&known, p)).collect();
    let operations = laws.iter().find(|l| l.name == PREDICTORS[0].0);
    finding.estimates = estimates(&known, &laws);
    finding.estimates.extend(slopes(all));
    if known.len() < FEWEST_FOR_CURVES {
        let needs = more(FEWEST_FOR_CURVES - known.len(), "network");
        return finding.needs(needs.clone(), format!("measure {needs}"));
    }
    let Some(operations) = operations else {
        return finding.needs("networks of other sizes", "every network has as many operations");
    };
    finding.says = says(&known, operations, &laws);
    let range = finding.figures[0].span().map_or(1.0, |(low, high)| high / low);
    finding.verdict = verdict(operations, range);
    finding
}

fn verdict(law: &Law, range: f64) -> Verdict {
    if range < RANGE {
        return Verdict::undecided(format!(
            "networks whose operations differ more than {}×",
            format::significant(range, 2)
        ));
    }
    let exponent = law.line.slope_interval();
    if law.interval.low > RELIABLE || exponent.high < FOLLOWS {
        return Verdict::Contradicted;
    }
    if law.interval.high <= RELIABLE && exponent.low > FOLLOWS {
        return Verdict::Supported;
    }
    let clear = |n: usize| {
        let interval = deviation_interval(law.factor.ln(), n as f64 - 2.0).map(f64::exp);
        interval.low > RELIABLE || interval.high <= RELIABLE
    };
    Verdict::undecided(match until(law.line.n, clear) {
        Some(n) => format!("about {}", more(n, "network")),
        None => "many more networks: the typical error is next to the factor of 1.5 that decides".to_owned(),
    })
}

fn says(known: &[Observation<'_>], operations: &Law, laws: &[Law]) -> String {
    let factor = |l: &Law| format!("×{}", format::significant(l.factor, 3));
    let mut text = format!(
        "from operations a new network's time is typically off by {} ({} to {}); time grows as operations^{:.2}",
        factor(operations),
        format::significant(operations.interval.low, 3),
        format::significant(operations.interval.high, 3),
        operations.line.slope,
    );
    if let Some(line) = straight(known) {
        text += &format!(", R² {:.2}", line.r2);
    }
    match laws.iter().min_by(|a, b| a.factor.total_cmp(&b.factor)) {
        Some(best) if best.name != operations.name => text += &format!("; better from {}: {}", best.name, factor(best)),
        _ => text += "; nothing else predicts it better",
    }
    text
}

/// The paper's line: time against operations, without logarithms.
fn straight(known: &[Observation<'_>]) -> Option<Line> {
    Line::through(&pairs(known))
}

fn pairs(known: &[Observation<'_>]) -> Vec<(f64, f64)> {
    known.iter().filter_map(|o| Some((o.giga_ops()?, o.ms_per_image()?))).collect()
}

fn main_figure(known: &[Observation<'_>]) -> Figure {
    let points = known.iter().filter_map(|o| Some(o.point(o.giga_ops()?, o.ms_per_image()?))).collect();
    let (x, y) = (Axis::linear("operations", "G-ops/image"), Axis::linear("inference time", "ms/image"));
    let mut figure = Figure::new(paper::caption(7), Some(7), x, y, points);
    let (Some(line), Some((_, to))) = (straight(known), figure.span()) else { return figure };
    let samples = sampled(0.0, to, 25, false, |x| line.at(x));
    figure.curves.push(Curve {
        name: format!("{} ms a G-op, R² {:.2}", format::significant(line.slope, 3), line.r2),
        kind: Kind::Fit,
        band: if line.n > 2 { samples.iter().map(|(x, _)| (*x, line.band(*x))).collect() } else { Vec::new() },
        line: samples,
    });
    if let Some((slope, intercept)) = Line::robust(&pairs(known)).filter(|_| line.n > 2) {
        let line = sampled(0.0, to, 2, false, |x| intercept + slope * x);
        let name = format!("Theil–Sen, {} ms a G-op", format::significant(slope, 3));
        figure.curves.push(Curve { name, kind: Kind::Rival, line, band: Vec::new() });
    }
    figure
}

/// The runs of each batch size and precision, one per network.
fn settings<'a>(all: &[Observation<'a>]) -> BTreeMap<(Precision, u32), Vec<Observation<'a>>> {
    let keys: BTreeSet<_> = all.iter().map(|o| (o.config().precision, o.config().batch)).collect();
    let of = |(precision, batch): (Precision, u32)| {
        let runs: Vec<_> = all.iter().filter(|o| o.config().precision == precision).copied().collect();
        per_network(&runs, Some(batch))
    };
    keys.into_iter().map(|key| (key, of(key))).collect()
}

fn settings_figure(all: &[Observation<'_>]) -> Figure {
    let settings = settings(all);
    let point = |o: &Observation<'_>| Some(o.point(o.giga_ops()?, o.ms_per_image()?));
    let points = settings.values().flatten().filter_map(point).collect();
    let (x, y) = (Axis::linear("operations", "G-ops/image"), Axis::linear("inference time", "ms/image"));
    let title = "Operations against inference time, by batch size and precision";
    let mut figure = Figure::new(title, Some(7), x, y, points);
    let Some((_, to)) = figure.span() else { return figure };
    for ((precision, batch), runs) in &settings {
        if let Some(line) = straight(runs).filter(|line| line.n >= 3) {
            let name = format!("batch {batch}, {precision}: {} ms a G-op", format::significant(line.slope, 3));
            let line = sampled(0.0, to, 2, false, |x| line.at(x));
            figure.curves.push(Curve { name, kind: Kind::Rival, line, band: Vec::new() });
        }
    }
    figure
}

/// Slope and fit at each batch size and precision of at least three networks.
fn slopes(all: &[Observation<'_>]) -> Vec<Estimate> {
    let of = |((precision, batch), runs): ((Precision, u32), Vec<Observation<'_>>)| {
        let line = straight(&runs).filter(|line| line.n >= 3)?;
        let name = format!("batch {batch}, {precision} (n {}, R² {:.2}): slope", line.n, line.r2);
        Some(Estimate::new(name, line.slope, "ms/G-op").within(line.slope_interval()))
    };
    settings(all).into_iter().filter_map(of).collect()
}

fn estimates(known: &[Observation<'_>], laws: &[Law]) -> Vec<Estimate> {
    let mut all = Vec::new();
    if let Some(line) = straight(known) {
        all.push(Estimate::new("time a G-op", line.slope, "ms/G-op").within(line.slope_interval()));
        all.push(Estimate::new("R² of time against operations", line.r2, ""));
    }
    for l in laws {
        let off = Estimate::new(format!("typically off, from {}", l.name), l.factor, "×");
        all.push(off.within(l.interval));
        let exponent = Estimate::new(format!("exponent of {}", l.name), l.line.slope, "");
        all.push(exponent.within(l.line.slope_interval()));
    }
    all.extend(laws.iter().find(|l| l.name == PREDICTORS[0].0).map_or_else(Vec::new, |l| residuals(known, l)));
    all
}

/// Measured over predicted time of each family: geometric means.
fn residuals(known: &[Observation<'_>], operations: &Law) -> Vec<Estimate> {
    let mut families: BTreeMap<&str, Vec<f64>> = BTreeMap::new();
    for o in known {
        if let (Some(g), Some(ms)) = (o.giga_ops(), o.ms_per_image()) {
            families.entry(o.family()).or_default().push(ms.ln() - operations.line.at(g.ln()));
        }
    }
    let of = |(family, off): (&str, Vec<f64>)| {
        let mean = off.iter().sum::<f64>() / off.len() as f64;
        Estimate::new(format!("{family}: time over predicted"), mean.exp(), "×")
    };
    families.into_iter().map(of).collect()
}
