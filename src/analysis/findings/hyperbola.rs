//! Finding 2: are accuracy and inference time in a hyperbolic relation?
//!
//! `top-1 = a − b / t` is linear in 1/t, which is images/s: a hyperbola in time is a straight line against throughput, where
//! the paper's Figure 9 has a straight upper bound.

use super::finding::{Estimate, FEWEST_FOR_CURVES, Finding, Verdict, more};
use crate::{
    analysis::{
        data::Observation,
        distribution::{Interval, correlation_interval},
        figure::{Axis, Curve, Figure, Kind, sampled},
        fit::{Line, aicc},
        frontier::{Bound, frontier},
        paper,
    },
    format,
};

/// Error of a published accuracy, per cent: rounding and differences between image decoders.
const PUBLISHED_ERROR: f64 = 0.1;

/// Least difference of Akaike's criterion to prefer one curve over another: "considerably less support" (Burnham and Anderson
/// 2002, 2.6).
const BELIEVED: f64 = 4.0;

/// Least ratio of the slowest to the fastest network to tell curves apart.
const RANGE: f64 = 3.0;

/// Upper end of a correlation below which there is no relation.
const RELATED: f64 = 0.5;

/// Number of samples of a curve.
const SAMPLES: usize = 60;

/// A curve that is a straight line in some function of time.
struct Candidate {
    name: &'static str,
    straight: fn(f64) -> f64,
    /// Sign of the slope if slower networks are more accurate.
    sign: f64,
    line: Line,
    criterion: f64,
    correlation: Interval,
}

/// Name, the function of time in which the curve is straight, and the sign of its slope if slower networks are more accurate.
type Form = (&'static str, fn(f64) -> f64, f64);

const FORMS: [Form; 3] = [("hyperbola", |t| 1.0 / t, -1.0), ("line", |t| t, 1.0), ("logarithm", f64::ln, 1.0)];

fn candidates(points: &[(f64, f64)]) -> Option<Vec<Candidate>> {
    let fit = |(name, straight, sign): Form| {
        let straightened: Vec<_> = points.iter().map(|(t, y)| (straight(*t), *y)).collect();
        let line = Line::through(&straightened)?;
        let criterion = aicc(line.residual, line.n, 2, PUBLISHED_ERROR)?;
        let r = line.r2.sqrt() * line.slope.signum() * sign;
        let correlation = correlation_interval(r, line.n);
        Some(Candidate { name, straight, sign, line, criterion, correlation })
    };
    FORMS.into_iter().map(fit).collect()
}

/// The finding from one run per network at one batch size.
pub fn finding(data: &[Observation<'_>], scope: String) -> Finding {
    let claim = "Accuracy and inference time are in a hyperbolic relationship.";
    let mut finding = Finding::new(2, "accuracy against time", claim, scope);
    let known: Vec<_> = data.iter().filter_map(|o| Some((o, o.ms_per_image()?, o.top1()?))).collect();
    let points: Vec<_> = known.iter().map(|(_, t, y)| (*t, *y)).collect();
    let time = Axis::linear("inference time", "ms/image");
    let of_time = known.iter().map(|(o, t, y)| o.point(*t, *y)).collect();
    let of_rate: Vec<_> = known.iter().map(|(o, t, y)| o.point(1e3 / t, *y)).collect();
    let rate = Axis::linear("throughput", "images/s");
    finding.n = known.len();
    finding.figures = vec![
        Figure::new("Accuracy against inference time", None, time, Axis::top1(), of_time),
        Figure::new(paper::caption(9), Some(9), rate, Axis::top1(), of_rate),
    ];
    let bound = draw_bound(&mut finding.figures[1]);
    finding.estimates.extend(bound.map(|b| {
        Estimate::new("slope of the upper bound", 1e3 * b.slope, "% a 1,000 images/s")
            .within(b.slope_interval.map(|s| 1e3 * s))
    }));
    let fits = candidates(&points);
    if let Some(fits) = &fits {
        draw_curves(&mut finding.figures[0], fits);
        finding.estimates.extend(estimates(fits));
    }
    if points.len() < FEWEST_FOR_CURVES {
        let needs = more(FEWEST_FOR_CURVES - points.len(), "network");
        return finding.needs(needs.clone(), format!("measure {needs}"));
    }
    let Some(fits) = fits else {
        return finding.needs("networks of other speeds", "every network is equally fast");
    };
    let (fastest, slowest) = finding.figures[0].span().unwrap_or((1.0, 1.0));
    finding.says = says(&fits, bound.as_ref());
    finding.verdict = verdict(&fits, slowest / fastest);
    finding
}

fn verdict(fits: &[Candidate], range: f64) -> Verdict {
    let hyperbola = &fits[0];
    let Some(rival) = fits[1..].iter().min_by(|a, b| a.criterion.total_cmp(&b.criterion)) else {
        return Verdict::undecided("a curve to compare with");
    };
    let ahead = rival.criterion - hyperbola.criterion;
    if range < RANGE {
        return Verdict::undecided(format!(
            "networks whose speeds differ more than {}×",
            format::significant(range, 2)
        ));
    }
    if ahead >= BELIEVED && hyperbola.correlation.low > 0.0 {
        return Verdict::Supported;
    }
    let unrelated = fits.iter().all(|f| f.correlation.high < RELATED);
    let reversed = fits.iter().all(|f| f.correlation.high < 0.0);
    if unrelated || reversed || (ahead <= -BELIEVED && rival.correlation.low > 0.0) {
        return Verdict::Contradicted;
    }
    Verdict::undecided(if fits.iter().any(|f| f.correlation.low > 0.0) {
        "networks much faster or slower than these: they alone tell the curves apart"
    } else {
        "more networks: that accuracy goes with time at all may be chance"
    })
}

fn says(fits: &[Candidate], bound: Option<&Bound>) -> String {
    let hyperbola = &fits[0];
    let rivals = fits[1..].iter().map(|f| {
        let ahead = f.criterion - hyperbola.criterion;
        format!("{} {}", f.name, signed(ahead))
    });
    let mut text = format!(
        "hyperbola R² {:.2}; AICc of the others above it: {}",
        hyperbola.line.r2,
        rivals.collect::<Vec<_>>().join(", "),
    );
    if let Some(bound) = bound {
        let per_thousand = |slope: f64| format::significant(1e3 * slope, 2);
        let (low, high) = (per_thousand(bound.slope_interval.low), per_thousand(bound.slope_interval.high));
        let slope = per_thousand(bound.slope);
        text += &format!("; upper bound {slope} % top-1 a 1,000 images/s ({low} to {high})");
    }
    text
}

fn signed(value: f64) -> String {
    format!("{}{:.1}", if value < 0.0 { "−" } else { "+" }, value.abs())
}

fn estimates(fits: &[Candidate]) -> impl Iterator<Item = Estimate> + '_ {
    let best = fits.iter().map(|f| f.criterion).fold(f64::INFINITY, f64::min);
    let weights: Vec<f64> = fits.iter().map(|f| (-0.5 * (f.criterion - best)).exp()).collect();
    let total: f64 = weights.iter().sum();
    fits.iter().zip(weights).flat_map(move |(f, weight)| {
        let slope = Estimate::new(format!("{}: slope", f.name), f.line.slope, unit(f.name));
        [
            slope.within(f.line.slope_interval()),
            Estimate::new(format!("{}: R²", f.name), f.line.r2, ""),
            Estimate::new(format!("{}: AICc above the best", f.name), f.criterion - best, ""),
            Estimate::new(format!("{}: Akaike weight", f.name), 100.0 * weight / total, "%"),
        ]
    })
}

fn unit(form: &str) -> &'static str {
    match form {
        "hyperbola" => "% · ms",
        "line" => "%/ms",
        _ => "% an e-fold",
    }
}

fn draw_curves(figure: &mut Figure, fits: &[Candidate]) {
    let Some((from, to)) = figure.span() else { return };
    for (i, f) in fits.iter().enumerate() {
        let line = sampled(from, to, SAMPLES, true, |t| f.line.at((f.straight)(t)));
        let band = match i {
            0 => line.iter().map(|(t, _)| (*t, f.line.band((f.straight)(*t)))).collect(),
            _ => Vec::new(),
        };
        let kind = if i == 0 { Kind::Fit } else { Kind::Rival };
        let sign = if f.line.slope * f.sign > 0.0 { "" } else { ", falling" };
        figure.curves.push(Curve { name: format!("{}, R² {:.2}{sign}", f.name, f.line.r2), kind, line, band });
    }
}

/// The frontier and the straight upper bound of accuracy against images/s.
fn draw_bound(figure: &mut Figure) -> Option<Bound> {
    let pairs = figure.pairs();
    let mut front: Vec<_> = frontier(&pairs, false).into_iter().map(|i| pairs[i]).collect();
    front.sort_by(|a, b| a.0.total_cmp(&b.0));
    let bound = Bound::above(&pairs);
    let (from, to) = figure.span()?;
    if let Some(bound) = &bound {
        let line = sampled(from, to, 2, false, |x| bound.at(x));
        figure.curves.push(Curve { name: "linear upper bound".to_owned(), kind: Kind::Bound, line, band: Vec::new() });
    }
    let name = format!("frontier: {} of {} networks", front.len(), pairs.len());
    figure.curves.push(Curve { name, kind: Kind::Frontier, line: front, band: Vec::new() });
    bound
}
