//! Finding 3: does an energy budget bound accuracy and complexity?

use super::finding::{Estimate, Finding, Verdict, more, until};
use crate::{
    analysis::{
        data::Observation,
        distribution::{Interval, rank_interval},
        figure::{Axis, Curve, Figure, Kind},
        frontier::{Bite, bite, frontier},
        stats::rank_correlation,
    },
    format,
};

/// Least number of networks for a rank correlation: four are in order by chance once in 24 times.
const FEWEST: usize = 5;

/// Upper end of the rank correlation below which a quantity does not grow with energy.
const GROWS: f64 = 0.3;

/// Probability below which a bound is not taken for a coincidence.
const BELIEVED: f64 = 0.05;

/// How a gain depends on energy.
struct Growth {
    rank: f64,
    interval: Interval,
    bite: Option<Bite>,
}

impl Growth {
    fn of(points: &[(f64, f64)]) -> Self {
        let rank = rank_correlation(points);
        Self { rank, interval: rank_interval(rank, points.len()), bite: bite(points) }
    }

    fn bounds(&self) -> bool {
        self.interval.low > 0.0 && self.bite.is_some_and(|b| b.p < BELIEVED)
    }

    fn does_not(&self) -> bool {
        self.interval.high < GROWS
    }
}

/// The finding from one run per network at one batch size.
pub fn finding(data: &[Observation<'_>], scope: String) -> Finding {
    let claim = "An energy budget is an upper bound on the achievable accuracy and model complexity.";
    let mut finding = Finding::new(3, "energy budget", claim, scope);
    let joules = |o: &Observation<'_>| o.power().map(|p| p.joules_per_image).filter(|j| *j > 0.0 && j.is_finite());
    if let (true, Some(Err(reason))) = (data.iter().all(|o| joules(o).is_none()), data.first().map(|o| &o.result.power))
    {
        return finding.needs("a power sensor that can be read", reason.clone());
    }
    let known: Vec<_> = data.iter().filter_map(|o| Some((o, joules(o)?, o.top1()?, o.giga_ops()?))).collect();
    finding.n = known.len();
    let energy = Axis::linear("energy", "J/image");
    let accuracy = known.iter().map(|(o, j, top1, _)| o.point(*j, *top1)).collect();
    let complexity = known.iter().map(|(o, j, _, g)| o.point(*j, *g)).collect();
    finding.figures = vec![
        Figure::new("Accuracy against energy an image", None, energy, Axis::top1(), accuracy),
        Figure::new(
            "Operations against energy an image",
            None,
            energy,
            Axis::linear("operations", "G-ops/image"),
            complexity,
        ),
    ];
    finding.figures.iter_mut().for_each(draw_frontier);
    if known.len() < FEWEST {
        let needs = more(FEWEST - known.len(), "network");
        return finding.needs(needs.clone(), format!("measure {needs}"));
    }
    let (accuracy, complexity) = (Growth::of(&finding.figures[0].pairs()), Growth::of(&finding.figures[1].pairs()));
    finding.estimates = estimates("top-1", "%", &accuracy);
    finding.estimates.extend(estimates("operations", "G-ops", &complexity));
    finding.says = says(&accuracy, &complexity);
    finding.verdict = if accuracy.bounds() && complexity.bounds() {
        Verdict::Supported
    } else if accuracy.does_not() || complexity.does_not() {
        Verdict::Contradicted
    } else {
        Verdict::undecided(needs(&accuracy, &complexity, known.len()))
    };
    finding
}

fn needs(accuracy: &Growth, complexity: &Growth, n: usize) -> String {
    let weaker = accuracy.rank.min(complexity.rank);
    let clear = |n: usize| {
        let interval = rank_interval(weaker, n);
        interval.low > 0.0 || interval.high < GROWS
    };
    match until(n, clear) {
        Some(n) => format!("about {}, cheap and accurate ones or dear and poor ones", more(n, "network")),
        None if accuracy.interval.low > 0.0 && complexity.interval.low > 0.0 => {
            "cheap networks: those measured reach nearly as far as the dear ones".to_owned()
        }
        None => "many more networks: energy and gain hardly go together".to_owned(),
    }
}

fn says(accuracy: &Growth, complexity: &Growth) -> String {
    let rank = |g: &Growth| format!("ρ {:.2} ({:.2} to {:.2})", g.rank, g.interval.low, g.interval.high);
    let cost = accuracy.bite.map_or(String::new(), |b| {
        let short = format::significant(b.shortfall, 2);
        format!("; a random budget costs {short} % of top-1 (p {:.2})", b.p)
    });
    format!("J/image ranks with top-1 at {}, with operations at {}{cost}", rank(accuracy), rank(complexity))
}

fn estimates(what: &str, unit: &'static str, growth: &Growth) -> Vec<Estimate> {
    let mut all = vec![Estimate::new(format!("ρ of J/image and {what}"), growth.rank, "").within(growth.interval)];
    if let Some(b) = growth.bite {
        all.push(Estimate::new(format!("{what} a random budget costs"), b.shortfall, unit));
        all.push(Estimate::new(format!("p of a bound on {what}"), b.p, ""));
    }
    all
}

/// The frontier as a step function: below the energy of the next network, the gain does not increase.
fn draw_frontier(figure: &mut Figure) {
    let pairs = figure.pairs();
    let front = frontier(&pairs, true);
    let Some((_, right)) = figure.span() else { return };
    let mut line: Vec<(f64, f64)> = Vec::new();
    for i in &front {
        line.extend(line.last().map(|last| (pairs[*i].0, last.1)));
        line.push(pairs[*i]);
    }
    line.extend(line.last().map(|last| (right, last.1)));
    let name = format!("frontier: {} of {} networks", front.len(), pairs.len());
    figure.curves.push(Curve { name, kind: Kind::Frontier, line, band: Vec::new() });
}
