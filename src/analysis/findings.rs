//! The four findings of Canziani, Paszke and Culurciello (2016) as questions to what was measured here.
//!
//! A verdict is never stronger than its data: below three networks there is none, and above it holds `so far`. Every
//! threshold is a constant with its reason, so that a reader can disagree with it.

use super::fit::Line;
use crate::{
    event::{Config, NetworkFacts, Precision},
    session::RunResult,
};
use std::collections::{BTreeMap, BTreeSet};

/// Networks below which nothing is said about networks.
pub const FEWEST_NETWORKS: usize = 3;

/// Points below which nothing is said at all.
pub const FEWEST_POINTS: usize = 3;

/// Spread of power (standard deviation over mean) up to which it counts as constant: the paper's own was 0.7 W of about
/// 11.8 W, 6 %, and a sensor adds some.
const CONSTANT_SPREAD: f64 = 0.10;

/// Spread from which power plainly varies.
const VARYING_SPREAD: f64 = 0.20;

/// Share of variance that a line must explain to be called a law, and below which it is none.
const LAW: (f64, f64) = (0.90, 0.50);

/// Ratio between the most and the fewest operations a second up to which operations foretell time, whatever R² says.
const STEADY_RATE: f64 = 2.0;

/// Rank correlation from which one quantity is said to grow with another.
const GROWS: f64 = 0.7;

/// What the data says about a claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Too little was measured to say anything.
    NotEnough,
    /// What was measured agrees.
    Supported,
    /// What was measured disagrees.
    Contradicted,
    /// Enough was measured, and it is neither.
    Undecided,
}

impl Verdict {
    /// As printed.
    pub const fn words(self) -> &'static str {
        match self {
            Self::NotEnough => "not enough data yet",
            Self::Supported => "supported so far",
            Self::Contradicted => "contradicted so far",
            Self::Undecided => "undecided so far",
        }
    }
}

/// A measured configuration in a finding's figure.
#[derive(Clone, Debug, PartialEq)]
pub struct Point {
    /// Across.
    pub x: f64,
    /// Up.
    pub y: f64,
    /// Name of the network as printed.
    pub network: String,
    /// Its batch size.
    pub batch: u32,
}

/// A claim of the paper and what was measured about it.
#[derive(Clone, Debug, PartialEq)]
pub struct Finding {
    /// 1 to 4, as the paper's abstract counts them.
    pub number: u8,
    /// What the paper found.
    pub claim: &'static str,
    /// Which configurations the data is of.
    pub scope: String,
    /// What x and y of the figure are.
    pub axes: (&'static str, &'static str),
    /// The data.
    pub points: Vec<Point>,
    /// The line through what the claim is about.
    pub line: Option<Line>,
    /// What the data says.
    pub verdict: Verdict,
    /// The numbers behind the verdict, or what is missing for one.
    pub says: String,
}

impl Finding {
    fn not_enough(mut self, says: String) -> Self {
        self.verdict = Verdict::NotEnough;
        self.says = says;
        self
    }
}

/// A steady result with its network's facts.
struct Measured<'a> {
    result: &'a RunResult,
    facts: &'a NetworkFacts,
}

impl Measured<'_> {
    fn point(&self, x: f64, y: f64) -> Point {
        Point { x, y, network: self.facts.title.clone(), batch: self.result.config.batch }
    }

    fn joules(&self) -> Option<f64> {
        self.result.power.as_ref().ok().map(|p| p.joules_per_image)
    }
}

/// The four findings over what was measured on one device in one precision: two cards, or two kinds of arithmetic, in
/// one figure would compare what the paper did not.
pub fn findings(
    results: &[RunResult],
    networks: &BTreeMap<String, NetworkFacts>,
    device: &str,
    precision: Precision,
) -> [Finding; 4] {
    let of = |c: &Config| c.device == device && c.precision == precision;
    let measured: Vec<_> = results
        .iter()
        .filter(|r| of(&r.config))
        .filter_map(|result| networks.get(&result.config.network).map(|facts| Measured { result, facts }))
        .collect();
    let setting = format!("{precision} on {device}");
    let (batch, same) = same_batch(&measured);
    let fixed = match batch {
        Some(batch) => format!("batch {batch}, {setting}"),
        None => setting.clone(),
    };
    [
        constant_power(&measured, setting),
        hyperbola(&same, fixed.clone()),
        energy_bound(&same, fixed.clone()),
        operations(&same, fixed),
    ]
}

/// The batch size at which most networks were measured, the larger one of two, and what was measured there.
fn same_batch<'a, 'b>(measured: &'a [Measured<'b>]) -> (Option<u32>, Vec<&'a Measured<'b>>) {
    let mut networks: BTreeMap<u32, BTreeSet<&str>> = BTreeMap::new();
    for m in measured {
        networks.entry(m.result.config.batch).or_default().insert(&m.result.config.network);
    }
    let best = networks.iter().max_by_key(|(batch, ids)| (ids.len(), **batch)).map(|(batch, _)| *batch);
    (best, measured.iter().filter(|m| Some(m.result.config.batch) == best).collect())
}

fn blank(number: u8, claim: &'static str, scope: String, axes: (&'static str, &'static str)) -> Finding {
    Finding {
        number,
        claim,
        scope,
        axes,
        points: Vec::new(),
        line: None,
        verdict: Verdict::NotEnough,
        says: String::new(),
    }
}

fn plural(n: usize, what: &str) -> String {
    if n == 1 { format!("1 more {what}") } else { format!("{n} more {what}s") }
}

fn count_networks(points: &[Point]) -> usize {
    points.iter().map(|p| p.network.as_str()).collect::<BTreeSet<_>>().len()
}

/// What is missing for a verdict; none where nothing is.
fn missing(points: &[Point]) -> Option<String> {
    let (n, networks) = (points.len(), count_networks(points));
    if networks < FEWEST_NETWORKS {
        return Some(format!("measure {}", plural(FEWEST_NETWORKS - networks, "network")));
    }
    (n < FEWEST_POINTS).then(|| format!("measure {}", plural(FEWEST_POINTS - n, "configuration")))
}

/// 1: power does not depend on batch size and architecture.
fn constant_power(measured: &[Measured<'_>], setting: String) -> Finding {
    let claim = "Power consumption is independent of batch size and architecture.";
    let mut finding = blank(1, claim, setting, ("batch", "W"));
    let powers: Vec<_> = measured.iter().filter_map(|m| m.result.power.as_ref().ok().map(|p| (m, p))).collect();
    if let (true, Some(Err(reason))) = (powers.is_empty(), measured.first().map(|m| &m.result.power)) {
        return finding.not_enough(reason.clone());
    }
    // The paper subtracts idle power; a mixture of net and gross would compare nothing.
    let net = powers.iter().all(|(_, p)| p.net_w.is_some());
    let watts = |p: &crate::session::run::Power| p.net_w.filter(|_| net).unwrap_or(p.gross_w);
    finding.axes.1 = if net { "net W" } else { "gross W" };
    finding.points = powers.iter().map(|(m, p)| m.point(f64::from(m.result.config.batch), watts(p))).collect();
    if let Some(missing) = missing(&finding.points) {
        return finding.not_enough(missing);
    }
    if finding.points.iter().map(|p| p.batch).collect::<BTreeSet<_>>().len() < 2 {
        return finding.not_enough("measure another batch size".to_owned());
    }
    let (mean, deviation, lowest, highest) = spread(finding.points.iter().map(|p| p.y));
    let relative = deviation / mean;
    finding.verdict = match relative {
        r if !r.is_finite() || mean <= 0.0 => Verdict::Undecided,
        r if r <= CONSTANT_SPREAD => Verdict::Supported,
        r if r >= VARYING_SPREAD => Verdict::Contradicted,
        _ => Verdict::Undecided,
    };
    let (batches, networks) = (group_means(&finding.points, |p| p.batch), group_means(&finding.points, |p| &p.network));
    finding.says = format!(
        "{mean:.0} W ± {:.0} % {} (paper: 6 %), {lowest:.0} to {highest:.0} W; means by batch {}, by network {} W",
        100.0 * relative,
        if net { "net" } else { "gross" },
        range(&batches),
        range(&networks),
    );
    finding
}

/// Means of groups: where they differ, the group matters.
fn group_means<'a, K: Ord>(points: &'a [Point], key: impl Fn(&'a Point) -> K) -> Vec<f64> {
    let mut groups: BTreeMap<K, super::stats::Moments> = BTreeMap::new();
    points.iter().for_each(|p| groups.entry(key(p)).or_default().add(p.y));
    groups.values().filter_map(super::stats::Moments::mean).collect()
}

fn range(values: &[f64]) -> String {
    let (low, high) = values.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), v| (l.min(*v), h.max(*v)));
    format!("{low:.0} to {high:.0}")
}

/// Mean, sample standard deviation, lowest and highest of at least two values.
fn spread(values: impl Iterator<Item = f64> + Clone) -> (f64, f64, f64, f64) {
    let moments: super::stats::Moments = values.clone().collect();
    let (low, high) = (values.clone().fold(f64::INFINITY, f64::min), values.fold(f64::NEG_INFINITY, f64::max));
    (moments.mean().unwrap_or(f64::NAN), moments.deviation().unwrap_or(f64::NAN), low, high)
}

/// 2: accuracy and inference time are in a hyperbolic relation: against images/s, accuracy has a straight upper bound.
fn hyperbola(measured: &[&Measured<'_>], scope: String) -> Finding {
    let claim = "Accuracy and inference time are in a hyperbolic relationship.";
    let mut finding = blank(2, claim, scope, ("images/s", "top-1 %"));
    finding.points = measured.iter().filter_map(|m| Some(m.point(m.result.images_per_s, m.facts.top1?))).collect();
    if let Some(missing) = missing(&finding.points) {
        return finding.not_enough(missing);
    }
    let front = frontier(&finding.points);
    finding.line = Line::through(&front);
    let Some(line) = finding.line.filter(|_| front.len() >= FEWEST_POINTS) else {
        let text = format!("{} of {} networks lie on the upper bound: 3 are needed", front.len(), finding.points.len());
        return finding.not_enough(text);
    };
    finding.verdict = law(line.r2);
    finding.says = format!(
        "R² = {:.2} of a straight upper bound through {} of {} networks{}",
        line.r2,
        front.len(),
        finding.points.len(),
        few(front.len()),
    );
    finding
}

/// Points that no other beats in both x and y, by x.
fn frontier(points: &[Point]) -> Vec<(f64, f64)> {
    let beaten = |p: &Point| points.iter().any(|q| q.x >= p.x && q.y >= p.y && (q.x > p.x || q.y > p.y));
    let mut front: Vec<_> = points.iter().filter(|p| !beaten(p)).map(|p| (p.x, p.y)).collect();
    front.sort_by(|a, b| a.0.total_cmp(&b.0));
    front
}

/// A warning for fits through so few points that chance fits as well.
fn few(points: usize) -> &'static str {
    if points < 5 { "; so few points lie near a line by chance, too" } else { "" }
}

fn law(r2: f64) -> Verdict {
    match r2 {
        r if r >= LAW.0 => Verdict::Supported,
        r if r < LAW.1 => Verdict::Contradicted,
        _ => Verdict::Undecided,
    }
}

/// 3: an energy budget bounds accuracy and complexity: who wants more of either pays more for an image.
fn energy_bound(measured: &[&Measured<'_>], scope: String) -> Finding {
    let claim = "An energy budget is an upper bound on the achievable accuracy and model complexity.";
    let mut finding = blank(3, claim, scope, ("J/image", "top-1 %"));
    if let (true, Some(Err(reason))) =
        (measured.iter().all(|m| m.joules().is_none()), measured.first().map(|m| &m.result.power))
    {
        return finding.not_enough(reason.clone());
    }
    let known: Vec<_> = measured.iter().filter_map(|m| Some((m, m.joules()?, m.facts.top1?))).collect();
    finding.points = known.iter().map(|(m, joules, top1)| m.point(*joules, *top1)).collect();
    if let Some(missing) = missing(&finding.points) {
        return finding.not_enough(missing);
    }
    let accuracy = rank_correlation(&known.iter().map(|(_, j, top1)| (*j, *top1)).collect::<Vec<_>>());
    let complexity = rank_correlation(&known.iter().map(|(m, j, _)| (*j, m.facts.macs as f64)).collect::<Vec<_>>());
    finding.verdict = match accuracy.min(complexity) {
        r if r >= GROWS => Verdict::Supported,
        r if r <= 0.0 => Verdict::Contradicted,
        _ => Verdict::Undecided,
    };
    finding.says = format!(
        "rank correlation of J/image with top-1 ρ = {accuracy:.2}, with MACs ρ = {complexity:.2}{}",
        if known.len() < 6 { "; so few networks rank like that by chance, too" } else { "" },
    );
    finding
}

/// Spearman's ρ, ties sharing their mean rank; 0 where one side does not vary.
fn rank_correlation(pairs: &[(f64, f64)]) -> f64 {
    let ranks = |values: Vec<f64>| -> Vec<f64> {
        let below = |v: f64| values.iter().filter(|o| **o < v).count() as f64;
        let equal = |v: f64| values.iter().filter(|o| **o == v).count() as f64;
        values.iter().map(|v| below(*v) + (equal(*v) + 1.0) / 2.0).collect()
    };
    let x = ranks(pairs.iter().map(|p| p.0).collect());
    let y = ranks(pairs.iter().map(|p| p.1).collect());
    let middle = (pairs.len() as f64 + 1.0) / 2.0;
    let sum = |f: &dyn Fn(f64, f64) -> f64| x.iter().zip(&y).map(|(x, y)| f(x - middle, y - middle)).sum::<f64>();
    let (xy, xx, yy) = (sum(&|x, y| x * y), sum(&|x, _| x * x), sum(&|_, y| y * y));
    if xx * yy > 0.0 { xy / (xx * yy).sqrt() } else { 0.0 }
}

/// 4: operations foretell inference time.
fn operations(measured: &[&Measured<'_>], scope: String) -> Finding {
    let claim = "The number of operations is a reliable estimate of the inference time.";
    let mut finding = blank(4, claim, scope, ("G-ops/image", "ms/image"));
    finding.points = measured
        .iter()
        .filter(|m| m.facts.ops > 0 && m.result.images_per_s > 0.0)
        .map(|m| m.point(m.facts.ops as f64 / 1e9, 1e3 / m.result.images_per_s))
        .collect();
    if let Some(missing) = missing(&finding.points) {
        return finding.not_enough(missing);
    }
    finding.line = Line::through(&finding.points.iter().map(|p| (p.x, p.y)).collect::<Vec<_>>());
    let Some(line) = finding.line else {
        return finding.not_enough("measure networks of other sizes".to_owned());
    };
    let rates = finding.points.iter().map(|p| p.x / p.y);
    let (_, _, slowest, fastest) = spread(rates);
    let ratio = fastest / slowest;
    finding.verdict = match law(line.r2) {
        Verdict::Supported if ratio > STEADY_RATE => Verdict::Undecided,
        verdict => verdict,
    };
    finding.says = format!(
        "R² = {:.2} of time against operations; operations a second differ by {ratio:.1}× between networks{}",
        line.r2,
        few(line.n),
    );
    finding
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        analysis::stats::Percentiles,
        event::{Config, Memory},
        session::run::Power,
    };

    /// A steady result: a network of so many G-ops and so much top-1, which takes so long an image and so much power.
    struct Case(&'static str, u32, f64, f64);

    const NETWORKS: [(&str, f64, f64); 4] = [("a", 2.0, 57.0), ("b", 4.0, 69.0), ("c", 8.0, 74.0), ("d", 16.0, 78.0)];

    fn facts() -> BTreeMap<String, NetworkFacts> {
        let of = |(id, gops, top1): (&str, f64, f64)| NetworkFacts {
            id: id.into(),
            title: id.to_uppercase(),
            macs: (gops * 5e8) as u64,
            ops: (gops * 1e9) as u64,
            top1: Some(top1),
            ..NetworkFacts::default()
        };
        NETWORKS.map(of).into_iter().map(|f| (f.id.clone(), f)).collect()
    }

    fn result(Case(network, batch, ms_per_image, watts): Case) -> RunResult {
        let p50 = ms_per_image * f64::from(batch);
        let images_per_s = 1e3 / ms_per_image;
        let power = Power {
            sensor: "NVML instant".into(),
            method: None,
            gross_w: watts + 70.0,
            deviation_w: 3.0,
            readings: 100,
            idle_w: Some(70.0),
            net_w: Some(watts),
            joules_per_image: (watts + 70.0) / images_per_s,
            energy_source: "energy counter".into(),
        };
        RunResult {
            run: 1,
            config: Config { network: network.into(), batch, precision: Precision::F16, device: "cuda:0".into() },
            batches: 100,
            seconds: 5.0,
            warm_up: None,
            latency_ms: Percentiles { p50, p90: p50, p99: p50, p50_low: p50, p50_high: p50 },
            device_ms: None,
            images_per_s,
            flop_utilisation: None,
            utilisation: None,
            power: Ok(power),
            memory: Memory::default(),
            device_memory_used: None,
            throttled: None,
        }
    }

    fn of(cases: Vec<Case>) -> [Finding; 4] {
        let results: Vec<_> = cases.into_iter().map(result).collect();
        findings(&results, &facts(), "cuda:0", Precision::F16)
    }

    fn verdicts(cases: Vec<Case>) -> [Verdict; 4] {
        of(cases).map(|f| f.verdict)
    }

    #[test]
    fn nothing_is_said_of_nothing() {
        for finding in of(vec![]) {
            assert_eq!((finding.verdict, finding.says.as_str()), (Verdict::NotEnough, "measure 3 more networks"));
        }
        let two = of(vec![Case("a", 1, 1.0, 300.0), Case("b", 1, 2.0, 300.0), Case("b", 2, 2.0, 300.0)]);
        assert!(two.iter().all(|f| f.verdict == Verdict::NotEnough && f.says == "measure 1 more network"));
    }

    #[test]
    fn a_world_like_the_papers_supports_all_four() {
        // Time follows operations, power is constant, and accuracy falls along a line with images/s.
        let all = |batch| {
            let speed = |top1: f64| 1e3 / (1_000.0 - 10.0 * top1);
            NETWORKS.map(|(id, _, top1)| Case(id, batch, speed(top1), 300.0 + f64::from(batch)))
        };
        let cases: Vec<_> = all(1).into_iter().chain(all(8)).collect();
        let [power, hyperbola, energy, _] = verdicts(cases);
        assert_eq!([power, hyperbola, energy], [Verdict::Supported; 3]);
        let cases = NETWORKS.map(|(id, gops, _)| Case(id, 1, gops / 3.0, 300.0)).into();
        assert_eq!(verdicts(cases)[3], Verdict::Supported);
    }

    #[test]
    fn power_that_follows_the_batch_contradicts_the_first() {
        let cases = vec![Case("a", 1, 1.0, 80.0), Case("b", 8, 1.0, 300.0), Case("c", 64, 1.0, 600.0)];
        let finding = &of(cases)[0];
        assert_eq!(finding.verdict, Verdict::Contradicted);
        assert!(finding.says.starts_with("327 W ± 80 % net (paper: 6 %), 80 to 600 W"), "{}", finding.says);
    }

    #[test]
    fn one_batch_size_cannot_tell_about_batch_sizes() {
        let cases = vec![Case("a", 1, 1.0, 300.0), Case("b", 1, 2.0, 300.0), Case("c", 1, 4.0, 300.0)];
        assert_eq!(of(cases)[0].says, "measure another batch size");
    }

    #[test]
    fn operations_that_do_not_foretell_time_contradict_the_fourth() {
        let cases = vec![
            Case("a", 1, 9.0, 300.0),
            Case("b", 1, 1.0, 300.0),
            Case("c", 1, 8.0, 300.0),
            Case("d", 1, 2.0, 300.0),
        ];
        assert_eq!(verdicts(cases)[3], Verdict::Contradicted);
        // A line of high R², but one network does three times the operations a second: no reliable estimate.
        let cases = vec![
            Case("a", 1, 2.0, 300.0),
            Case("b", 1, 2.0, 300.0),
            Case("c", 1, 3.0, 300.0),
            Case("d", 1, 5.0, 300.0),
        ];
        assert_eq!(verdicts(cases)[3], Verdict::Undecided);
    }

    #[test]
    fn without_power_the_energy_findings_say_why() {
        let mut results: Vec<_> = NETWORKS.map(|(id, gops, _)| result(Case(id, 1, gops, 1.0))).into();
        results.iter_mut().for_each(|r| r.power = Err("no power sensor: no driver".into()));
        let findings = findings(&results, &facts(), "cuda:0", Precision::F16);
        for i in [0, 2] {
            assert_eq!(
                (findings[i].verdict, findings[i].says.as_str()),
                (Verdict::NotEnough, "no power sensor: no driver")
            );
        }
    }

    #[test]
    fn other_devices_and_other_batch_sizes_are_left_out() {
        let mut results: Vec<_> = NETWORKS.map(|(id, gops, _)| result(Case(id, 1, gops, 300.0))).into();
        results.push(result(Case("a", 64, 0.1, 300.0)));
        results[3].config.device = "cpu".into();
        let [power, _, _, operations] = findings(&results, &facts(), "cuda:0", Precision::F16);
        assert_eq!((power.points.len(), operations.points.len()), (4, 3));
        assert_eq!(operations.scope, "batch 1, f16 on cuda:0");
    }

    #[test]
    fn ties_share_their_rank() {
        assert_eq!(rank_correlation(&[(1.0, 1.0), (2.0, 2.0), (3.0, 3.0)]), 1.0);
        assert_eq!(rank_correlation(&[(1.0, 3.0), (2.0, 2.0), (3.0, 1.0)]), -1.0);
        assert_eq!(rank_correlation(&[(1.0, 1.0), (2.0, 1.0), (3.0, 1.0)]), 0.0);
    }
}
