//! Finding 1: does power depend on batch size and architecture?

use super::finding::{Estimate, FEWEST_NETWORKS, Finding, Verdict, more, until};
use crate::{
    analysis::{
        data::Observation,
        distribution::{Interval, deviation_interval},
        figure::{Axis, Curve, Figure, Kind, Point},
        paper,
        stats::{Moments, median},
        variance::{Decomposition, decompose},
    },
    format,
};
use std::collections::BTreeMap;

/// Least number of batch sizes for a statement about batch sizes.
const FEWEST_BATCHES: usize = 3;

/// Largest spread (standard deviation over mean) for which power counts as constant: the paper's 6 % and the 5 % of a board's
/// sensor (arXiv 2312.02741), with a margin.
const CONSTANT: f64 = 0.10;

/// Probability below which the spread is attributed to batch size and network, and not to chance.
const BELIEVED: f64 = 0.01;

/// Share of the runs at the power cap above which the cap determines the power.
const CAPPED: f64 = 0.5;

/// Statistics of the power of several runs.
struct Spread {
    mean: f64,
    /// Standard deviation over mean, and its interval.
    relative: f64,
    interval: Interval,
    /// The same from the median absolute deviation, which a few outliers do not move.
    robust: f64,
}

impl Spread {
    /// None without a positive mean. Networks and batch sizes vary independently, single runs do not: `freedom` is the number
    /// of networks and batch sizes less two.
    fn of(values: &[f64], freedom: f64) -> Option<Self> {
        let moments: Moments = values.iter().copied().collect();
        let (mean, deviation) = (moments.mean()?, moments.deviation()?);
        let middle = median(values.iter().copied())?;
        // For a normal distribution, 1.4826 times the median absolute deviation is the standard deviation.
        let robust = 1.4826 * median(values.iter().map(|v| (v - middle).abs()))? / middle;
        let interval = deviation_interval(deviation, freedom).map(|d| d / mean);
        (mean > 0.0 && robust.is_finite()).then_some(Self { mean, relative: deviation / mean, interval, robust })
    }
}

/// The finding from all runs on one device in one precision.
pub fn finding(data: &[Observation<'_>], scope: String) -> Finding {
    let claim = "Power consumption is independent of batch size and architecture.";
    let mut finding = Finding::new(1, "constant power", claim, scope);
    let powers: Vec<_> = data.iter().filter(|o| o.power().is_some_and(|p| p.gross_w.is_finite())).copied().collect();
    if let (true, Some(Err(reason))) = (powers.is_empty(), data.first().map(|o| &o.result.power)) {
        return finding.needs("a power sensor that can be read", reason.clone());
    }
    let gross: Vec<f64> = powers.iter().filter_map(|o| Some(o.power()?.gross_w)).collect();
    // The paper subtracts idle power. Net and gross powers are not mixed.
    let net: Option<Vec<f64>> = powers.iter().map(|o| o.power()?.net_w.filter(|w| w.is_finite())).collect();
    let watts = net.as_ref().unwrap_or(&gross);
    finding.n = powers.len();
    finding.figures = figures(&powers, watts, net.is_some());
    let values: Vec<_> = levels(&powers).into_iter().zip(watts).map(|((b, n), w)| (*w, b, n)).collect();
    let count = |level: fn(&(f64, usize, usize)) -> usize| values.iter().map(level).max().map_or(0, |l| l + 1);
    let (batches, networks) = (count(|v| v.1), count(|v| v.2));
    let freedom = (batches + networks).saturating_sub(2) as f64;
    let spreads = (Spread::of(watts, freedom), Spread::of(&gross, freedom), decompose(&values));
    finding.estimates = estimates(&powers, &spreads, net.is_some());
    if networks < FEWEST_NETWORKS {
        let needs = more(FEWEST_NETWORKS - networks, "network");
        return finding.needs(needs.clone(), format!("measure {needs}"));
    }
    if batches < FEWEST_BATCHES {
        let needs = more(FEWEST_BATCHES - batches, "batch size");
        return finding.needs(needs.clone(), format!("measure {needs}"));
    }
    let (Some(spread), parts) = (&spreads.0, spreads.2) else {
        return finding.needs("power above idle", "power under load was not above idle");
    };
    finding.says = says(spread, parts.as_ref(), net.is_some());
    finding.verdict = verdict(spread, parts.as_ref(), &powers, watts, freedom);
    finding
}

/// Numbers of the batch size and the network of each run.
fn levels(powers: &[Observation<'_>]) -> Vec<(usize, usize)> {
    let (mut batches, mut networks) = (BTreeMap::new(), BTreeMap::new());
    let mut level = |o: &Observation<'_>| {
        let (b, n) = (batches.len(), networks.len());
        let config = o.config().clone();
        (*batches.entry(config.batch).or_insert(b), *networks.entry(config.network).or_insert(n))
    };
    powers.iter().map(&mut level).collect()
}

fn verdict(
    spread: &Spread,
    parts: Option<&Decomposition>,
    powers: &[Observation<'_>],
    watts: &[f64],
    freedom: f64,
) -> Verdict {
    let capped = powers.iter().filter(|o| o.capped()).count();
    let factors = |n: usize| deviation_interval(spread.relative, n as f64);
    if spread.interval.high <= CONSTANT {
        if capped as f64 >= CAPPED * powers.len() as f64 {
            let needs =
                format!("runs below the power cap: {capped} of {} are at it, which alone holds power", powers.len());
            return Verdict::undecided(needs);
        }
        return Verdict::Supported;
    }
    let chance = parts.map_or(1.0, |d| d.both.p);
    if spread.interval.low > CONSTANT && chance < BELIEVED {
        if spread.robust < CONSTANT
            && let Some(odd) = odd_one(powers, watts)
        {
            return Verdict::undecided(format!("{odd} again: without a few runs like it, power would be constant"));
        }
        return Verdict::Contradicted;
    }
    if spread.interval.low > CONSTANT {
        return Verdict::undecided("the same configurations again: what varies follows neither batch size nor network");
    }
    let clear = until(freedom as usize, |n| factors(n).high <= CONSTANT || factors(n).low > CONSTANT);
    Verdict::undecided(match clear {
        Some(n) => format!("about {}", more(n, "network or batch size")),
        None => "many more networks and batch sizes: the spread is next to the 10 % that decide".to_owned(),
    })
}

/// The run whose power is furthest from the median.
fn odd_one(powers: &[Observation<'_>], watts: &[f64]) -> Option<String> {
    let middle = median(watts.iter().copied())?;
    let distance = |w: &f64| (w - middle).abs();
    let (odd, _) = powers.iter().zip(watts).max_by(|a, b| distance(a.1).total_cmp(&distance(b.1)))?;
    Some(format!("{} at batch {}", odd.title(), odd.config().batch))
}

fn says(spread: &Spread, parts: Option<&Decomposition>, net: bool) -> String {
    let percent = |share: f64| format::percent(100.0 * share);
    let mut text = format!(
        "{} {} W, spread {} % ({} to {} %; the paper's TX1: {} %)",
        if net { "net" } else { "gross" },
        format::watts(spread.mean),
        percent(spread.relative),
        percent(spread.interval.low),
        percent(spread.interval.high),
        percent(paper::NET_DEVIATION_W / paper::NET_W),
    );
    if let Some(d) = parts.filter(|d| d.rest_freedom > 0) {
        let (batch, network, rest) = (percent(d.first.share), percent(d.second.share), percent(d.rest));
        text += &format!("; of its variance batch size explains {batch} %, network {network} %, neither {rest} %");
    }
    text
}

type Parts = (Option<Spread>, Option<Spread>, Option<Decomposition>);

fn estimates(powers: &[Observation<'_>], (watts, gross, parts): &Parts, net: bool) -> Vec<Estimate> {
    let mut all = Vec::new();
    if let Some(idle) = median(powers.iter().filter_map(|o| o.power()?.idle_w)) {
        all.push(Estimate::new("idle power", idle, "W").beside(paper::IDLE_W));
    }
    let mut add = |what: &str, spread: &Spread, paper: Option<(f64, f64)>| {
        let mean = Estimate::new(format!("{what} power, mean"), spread.mean, "W");
        let percent = spread.interval.map(|v| 100.0 * v);
        let relative = Estimate::new(format!("{what} power, spread"), 100.0 * spread.relative, "%").within(percent);
        let robust = Estimate::new(format!("{what} power, spread by medians"), 100.0 * spread.robust, "%");
        all.push(paper.map_or(mean.clone(), |p| mean.beside(p.0)));
        all.push(paper.map_or(relative.clone(), |p| relative.beside(100.0 * p.1 / p.0)));
        all.push(robust);
    };
    if let Some(spread) = watts.as_ref().filter(|_| net) {
        add("net", spread, Some((paper::NET_W, paper::NET_DEVIATION_W)));
    }
    if let Some(spread) = gross {
        add("gross", spread, None);
    }
    if let Some(d) = parts {
        for (name, effect) in [("batch size", d.first), ("network", d.second), ("both", d.both)] {
            all.push(Estimate::new(format!("η² of {name} (type II)"), 100.0 * effect.share, "%"));
            all.push(Estimate::new(format!("ω² of {name}"), 100.0 * effect.unbiased, "%"));
            all.push(Estimate::new(format!("p of {name}"), effect.p, ""));
        }
        all.push(Estimate::new("neither: interaction and noise", 100.0 * d.rest, "%"));
    }
    all
}

fn figures(powers: &[Observation<'_>], watts: &[f64], net: bool) -> Vec<Figure> {
    let name = if net { "power above idle" } else { "power" };
    let axis = Axis::linear(name, "W");
    let points: Vec<Point> = powers.iter().zip(watts).map(|(o, w)| o.point(f64::from(o.config().batch), *w)).collect();
    let mut by_batch = Figure::new(paper::caption(4), Some(4), Axis::batches(), axis, points);
    let moments: Moments = watts.iter().copied().collect();
    if let (Some(mean), Some(deviation), Some((from, to))) = (moments.mean(), moments.deviation(), by_batch.span()) {
        let band = Interval::around(mean, deviation);
        by_batch.curves.push(Curve {
            name: format!("mean {} ± {} W (1 sd)", format::watts(mean), format::watts_beside(deviation, mean)),
            kind: Kind::Fit,
            line: vec![(from, mean), (to, mean)],
            band: vec![(from, band), (to, band)],
        });
    }
    let by_operations = powers.iter().zip(watts).filter_map(|(o, w)| Some(o.point(o.giga_ops()?, *w))).collect();
    let operations = Axis::linear("operations", "G-ops/image");
    vec![by_batch, Figure::new(paper::caption(8), Some(8), operations, axis, by_operations)]
}
