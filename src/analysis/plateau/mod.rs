//! Plateau and knee: the shape of a quantity against batch size, and where larger batches stop paying off.
//!
//! Four curves are compared: a constant, a power law of the batch size (still rising, or falling), and two that rise and then
//! level off: a broken line in logarithms, and saturation, `(b + r·h) / (b + h)`, the throughput with a fixed cost per batch.
//! All are fitted to the logarithm of the quantity, so that errors are relative, and compared by Akaike's criterion with the
//! residual variance of the most flexible one (QAIC; Burnham and Anderson 2002, 2.5).

use super::{
    distribution::{Interval, Z95, f95},
    stats::Moments,
};
use crate::format;

/// Share of the plateau at which it counts as reached: the knee.
pub const REACHED: f64 = 0.9;

/// Least number of batch sizes for a statement.
pub const FEWEST: usize = 4;

/// Least relative error of a measurement: the difference between two runs of the same configuration.
const RUN_TO_RUN: f64 = 0.02;

/// Upper end of the change over all batch sizes up to which a quantity counts as constant.
const FLAT: f64 = 0.10;

/// Least difference of the criterion to prefer a plateau over a curve without one.
const BETTER: f64 = 4.0;

/// Least ratio of the largest to the smallest batch size to tell shapes apart.
const RANGE: f64 = 4.0;

/// Share of the plateau's measurements at the power cap above which the cap determines it.
const CAPPED: f64 = 0.5;

/// Positions of the knee that are tried, per doubling of the batch size.
const STEPS: i32 = 16;

/// Values at batch size 0 over the plateau that are tried for saturation.
const FLOORS: [f64; 12] = [0.0, 0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8];

/// Number of points of a curve.
const SAMPLES: usize = 49;

/// A quantity at a batch size.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct At {
    /// Images in the batch.
    pub batch: u32,
    /// The quantity.
    pub value: f64,
    /// Its relative error within the run.
    pub error: f64,
    /// Whether the power cap limited the card.
    pub capped: bool,
}

/// The course of a quantity with batch size.
#[derive(Clone, Debug, PartialEq)]
pub enum Shape {
    /// Constant.
    Constant,
    /// It rises and then levels off.
    Plateau,
    /// It levels off at the card's power cap, not by saturation.
    Capped,
    /// It still rises, or a rise is not excluded: no plateau yet.
    Rising,
    /// It falls.
    Falling,
    /// The data does not decide.
    Undecided {
        /// The data that would decide it.
        needs: String,
    },
}

/// The shape of a quantity against batch size.
#[derive(Clone, Debug, PartialEq)]
pub struct Course {
    /// Its course.
    pub shape: Shape,
    /// Height of the plateau, or of the constant, and its interval.
    pub level: Option<(f64, Interval)>,
    /// Smallest batch size that reaches [`REACHED`] of the plateau, with fractions, and its interval.
    pub knee: Option<(f64, Interval)>,
    /// Relative change per doubling of the batch size, where it rises or falls.
    pub a_doubling: Option<f64>,
    /// The curve that was chosen: batch, value, and the interval of the value.
    pub curve: Vec<(f64, f64, Interval)>,
    /// Batch size of the highest value where the largest one is plainly below it.
    pub peak: Option<u32>,
    /// Batch sizes measured, smallest and largest.
    pub range: (u32, u32),
    /// Number of points.
    pub n: usize,
}

impl Course {
    /// The shape in words, with its numbers in `unit`: `plateau 8,310 img/s (8,200 to 8,420), knee at batch 24 (16 to
    /// 40)`.
    pub fn says(&self, unit: &str) -> String {
        let number = |v: f64| format::significant(v, 3);
        let level = self.level.map(|(v, i)| format!("{} {unit} ({} to {})", number(v), number(i.low), number(i.high)));
        let level = level.unwrap_or_default();
        let knee = self.knee.map(|(k, i)| format!(", knee at batch {k:.0} ({:.0} to {:.0})", i.low, i.high));
        let knee = knee.unwrap_or_default();
        let doubling = || self.a_doubling.map_or(String::new(), |d| format!("{:+.0} % a doubling", 100.0 * d));
        match &self.shape {
            Shape::Constant => format!("constant, {level}"),
            Shape::Plateau => format!("plateau {level}{knee}"),
            Shape::Capped => format!("{level}: the power cap made this plateau, not saturation"),
            Shape::Rising => format!("no plateau up to batch {}: {}", self.range.1, doubling()),
            Shape::Falling => format!("falls, {}", doubling()),
            Shape::Undecided { needs } => format!("undecided: needs {needs}"),
        }
    }
}

/// A curve from log2 of the batch size to ln of the quantity.
#[derive(Clone, Copy, Debug)]
enum Model {
    /// Intercept and slope; the slope of a constant is 0.
    Line(f64, f64),
    /// Intercept, slope and position of the break.
    Hinge(f64, f64, f64),
    /// ln of the plateau, the half-way batch size, and the share at batch size 0.
    Saturation(f64, f64, f64),
}

impl Model {
    fn at(self, x: f64) -> f64 {
        match self {
            Self::Line(c, s) => c + s * x,
            Self::Hinge(c, s, k) => c + s * x.min(k),
            Self::Saturation(c, h, r) => c + saturation(x.exp2(), h, r),
        }
    }

    /// ln of the plateau.
    fn level(self) -> f64 {
        match self {
            Self::Line(c, _) | Self::Saturation(c, ..) => c,
            Self::Hinge(c, s, k) => c + s * k,
        }
    }

    /// log2 of the batch size that reaches [`REACHED`] of the plateau.
    fn knee(self) -> f64 {
        match self {
            Self::Line(..) => f64::INFINITY,
            Self::Hinge(_, s, k) => k + REACHED.ln() / s,
            Self::Saturation(_, h, r) => (h * (REACHED - r) / (1.0 - REACHED)).log2(),
        }
    }
}

fn saturation(batch: f64, h: f64, r: f64) -> f64 {
    ((batch + r * h) / (batch + h)).ln()
}

/// A measurement for the fits: log2 of the batch size, ln of the value, weight.
type Datum = (f64, f64, f64);

/// Finds the shape of a quantity against batch size. There may be several values at one batch size. Values that are not
/// positive and finite are left out.
pub fn course(points: &[At]) -> Course {
    let mut points: Vec<At> = points.to_vec();
    points.retain(|p| p.value.is_finite() && p.value > 0.0 && p.batch > 0);
    points.sort_by_key(|p| p.batch);
    let mut sizes: Vec<u32> = points.iter().map(|p| p.batch).collect();
    sizes.dedup();
    let range = (sizes.first().copied().unwrap_or(0), sizes.last().copied().unwrap_or(0));
    let blank = Course {
        shape: Shape::Undecided { needs: String::new() },
        level: None,
        knee: None,
        a_doubling: None,
        curve: Vec::new(),
        peak: peak(&points),
        range,
        n: points.len(),
    };
    let needs = |needs: String| Course { shape: Shape::Undecided { needs }, ..blank.clone() };
    if sizes.len() < FEWEST {
        let more = FEWEST - sizes.len();
        return needs(format!("{more} more batch size{}", if more == 1 { "" } else { "s" }));
    }
    if f64::from(range.1) < RANGE * f64::from(range.0) {
        return needs(format!("batch sizes that differ more than from {} to {}", range.0, range.1));
    }
    Fits::new(&points, &sizes).judge(&points, blank)
}

/// Batch size of the best value where the largest batch is below [`REACHED`] of it.
fn peak(points: &[At]) -> Option<u32> {
    let best = points.iter().max_by(|a, b| a.value.total_cmp(&b.value))?;
    let last = points.last()?;
    (last.value < REACHED * best.value && best.batch < last.batch).then_some(best.batch)
}

/// The fits of all candidates to the same data.
struct Fits {
    constant: (f64, Model),
    line: (f64, Model),
    /// Misfit and model of every candidate that levels off, and whether its level lies within the measurements.
    flat: Vec<(f64, Model, bool)>,
    best: (f64, Model, bool),
    /// Residual variance, in units of the measurements' own variance.
    left: f64,
    /// Degrees of freedom of the residual variance, where it is not the measurements' own.
    freedom: Option<f64>,
    /// Sum of weights, weighted mean and sum of squared deviations of x.
    moments: (f64, f64, f64),
    ends: (f64, f64),
}

impl Fits {
    fn new(points: &[At], sizes: &[u32]) -> Self {
        let weight = |p: &At| 1.0 / if p.error.is_finite() { p.error.max(RUN_TO_RUN) } else { 1.0 }.powi(2);
        let data: Vec<Datum> = points.iter().map(|p| (f64::from(p.batch).log2(), p.value.ln(), weight(p))).collect();
        let (first, last) = (data[0].0, data[data.len() - 1].0);
        let before_last = f64::from(sizes[sizes.len() - 2]).log2();
        let total: f64 = data.iter().map(|d| d.2).sum();
        let middle = data.iter().map(|d| d.0 * d.2).sum::<f64>() / total;
        let spread = data.iter().map(|d| (d.0 - middle).powi(2) * d.2).sum::<f64>();
        let constant = weighted(&data, |_| 0.0);
        let line = weighted(&data, |x| x);
        let constant = (constant.0, Model::Line(constant.1, 0.0));
        let line = (line.0, Model::Line(line.1, line.2));
        let mut flat = Vec::new();
        for i in 1..=((last - first) * f64::from(STEPS)) as i32 {
            let k = first + f64::from(i) / f64::from(STEPS);
            let (misfit, c, s) = weighted(&data, |x| x.min(k));
            if s > 0.0 {
                // A break between the last two batch sizes can't be distinguished from a further rise.
                flat.push((misfit, Model::Hinge(c, s, k), k <= before_last + 1e-9));
            }
        }
        for i in (-5 * STEPS)..=((last - first + 5.0) * f64::from(STEPS)) as i32 {
            let h = (first + f64::from(i) / f64::from(STEPS)).exp2();
            for r in FLOORS {
                let (misfit, c) = shifted(&data, |x| saturation(x.exp2(), h, r));
                let model = Model::Saturation(c, h, r);
                flat.push((misfit, model, model.knee() <= last + 1e-9));
            }
        }
        let worst = (f64::INFINITY, line.1, false);
        let best = flat.iter().copied().min_by(|a, b| a.0.total_cmp(&b.0)).unwrap_or(worst);
        let freedom = data.len() as f64 - 3.0;
        let left = if freedom > 0.0 { best.0.min(line.0) / freedom } else { 0.0 };
        let freedom = (left > 1.0).then_some(freedom);
        let (moments, ends) = ((total, middle, spread), (first, last));
        Self { constant, line, flat, best, left: left.max(1.0), freedom, moments, ends }
    }

    fn judge(&self, points: &[At], blank: Course) -> Course {
        let criterion = |misfit: f64, parameters: f64| misfit / self.left + 2.0 * parameters;
        let (constant, line) = (criterion(self.constant.0, 1.0), criterion(self.line.0, 2.0));
        let flat = criterion(self.best.0, 3.0);
        let Model::Line(_, slope) = self.line.1 else { return blank };
        let error = (self.left / self.moments.2).sqrt();
        let change = (slope.abs() + Z95 * error) * (self.ends.1 - self.ends.0);
        let level = self.constant.1.level();
        let near = points.iter().all(|p| (p.value.ln() - level).abs() <= FLAT);
        if change <= FLAT.ln_1p() && near {
            let half = Z95 * (self.left / self.moments.0).sqrt();
            let level = Some((level.exp(), Interval::around(level, half).map(f64::exp)));
            return Course { shape: Shape::Constant, level, curve: self.line_curve(self.constant.1), ..blank };
        }
        let knee = self.knee();
        if flat + BETTER <= line.min(constant) && knee.is_some() {
            return self.plateau(points, knee, blank);
        }
        let curve = self.line_curve(self.line.1);
        let a_doubling = Some(slope.exp() - 1.0);
        if slope > 0.0 && (line.min(flat) + BETTER <= constant) {
            // It levels off, but not certainly within the batch sizes that were measured.
            let curve = if flat + BETTER <= line { self.band(self.best.1) } else { curve };
            return Course { shape: Shape::Rising, a_doubling, curve, ..blank };
        }
        if slope < 0.0 && line + BETTER <= constant && line <= flat + BETTER {
            return Course { shape: Shape::Falling, a_doubling, curve, ..blank };
        }
        let needs = match blank.peak {
            Some(peak) => format!("batch sizes around {peak}: it rises and falls again"),
            None => "more batch sizes, or the same ones again: the runs scatter too much".to_owned(),
        };
        Course { shape: Shape::Undecided { needs }, ..blank }
    }

    fn plateau(&self, points: &[At], knee: Option<(f64, Interval)>, blank: Course) -> Course {
        let levels: Vec<f64> = self.accepted().map(|m| m.1.level().exp()).collect();
        let level = self.best.1.level().exp();
        let half = Z95 * (self.left / self.moments.0).sqrt();
        let interval = hull(&levels).map_or(Interval::around(level, 0.0), |i| Interval {
            low: i.low * (-half).exp(),
            high: i.high * half.exp(),
        });
        let at = knee.map_or(f64::INFINITY, |k| k.0);
        let up: Vec<_> = points.iter().filter(|p| f64::from(p.batch) >= at * 0.999).collect();
        let capped = up.iter().filter(|p| p.capped).count() as f64 >= CAPPED * up.len().max(1) as f64;
        // Saturation beyond the cap would be an extrapolation; the measurements at the cap are not.
        let held = |p: &&At| p.capped;
        let at_cap: Moments = up.iter().copied().filter(held).map(|p| p.value).collect();
        let level = match at_cap.mean().filter(|_| capped) {
            Some(mean) => (mean, Interval::around(mean, mean * Z95 * RUN_TO_RUN / (at_cap.count() as f64).sqrt())),
            None => (level, interval),
        };
        Course {
            shape: if capped { Shape::Capped } else { Shape::Plateau },
            level: Some(level),
            knee,
            curve: self.band(self.best.1),
            ..blank
        }
    }

    /// The candidates that level off and that the data does not exclude, at 95 % by the profile likelihood.
    fn accepted(&self) -> impl Iterator<Item = &(f64, Model, bool)> {
        let allowed = self.best.0 + self.left * self.freedom.map_or(Z95 * Z95, |df| f95(1.0, df));
        self.flat.iter().filter(move |m| m.0 <= allowed)
    }

    /// The knee and its interval; none where a candidate without a knee within the measurements is not excluded.
    fn knee(&self) -> Option<(f64, Interval)> {
        if self.accepted().any(|m| !m.2) {
            return None;
        }
        // A knee below the smallest batch size is only known to be below it; others are known to the steps that were tried.
        let within = |log2: f64| log2.clamp(self.ends.0, self.ends.1).exp2();
        let knees: Vec<f64> = self.accepted().map(|m| m.1.knee()).collect();
        let half = 0.5 / f64::from(STEPS);
        let interval = hull(&knees)?;
        let interval = Interval { low: within(interval.low - half), high: within(interval.high + half) };
        Some((within(self.best.1.knee()), interval))
    }

    fn samples(&self) -> impl Iterator<Item = f64> {
        let (first, last) = self.ends;
        (0..SAMPLES).map(move |i| first + (last - first) * i as f64 / (SAMPLES - 1) as f64)
    }

    /// A line with its confidence interval.
    fn line_curve(&self, model: Model) -> Vec<(f64, f64, Interval)> {
        let (total, middle, spread) = self.moments;
        let sloped = matches!(model, Model::Line(_, s) if s != 0.0);
        let half = |x: f64| {
            let lever = if sloped { (x - middle).powi(2) / spread } else { 0.0 };
            Z95 * (self.left * (1.0 / total + lever)).sqrt()
        };
        self.samples()
            .map(|x| (x.exp2(), model.at(x).exp(), Interval::around(model.at(x), half(x)).map(f64::exp)))
            .collect()
    }

    /// A curve that levels off, with the range of all candidates that are not excluded.
    fn band(&self, model: Model) -> Vec<(f64, f64, Interval)> {
        let around = |x: f64| {
            let heights: Vec<f64> = self.accepted().map(|m| m.1.at(x).exp()).collect();
            hull(&heights).unwrap_or(Interval::around(model.at(x).exp(), 0.0))
        };
        self.samples().map(|x| (x.exp2(), model.at(x).exp(), around(x))).collect()
    }
}

fn hull(values: &[f64]) -> Option<Interval> {
    let low = values.iter().copied().reduce(f64::min)?;
    Some(Interval { low, high: values.iter().copied().fold(low, f64::max) })
}

/// Weighted least squares of z on g(x): misfit, intercept and slope; a constant where g does not vary.
fn weighted(data: &[Datum], g: impl Fn(f64) -> f64) -> (f64, f64, f64) {
    let total: f64 = data.iter().map(|d| d.2).sum();
    let mean = |f: &dyn Fn(&Datum) -> f64| data.iter().map(|d| f(d) * d.2).sum::<f64>() / total;
    let (mg, mz) = (mean(&|d| g(d.0)), mean(&|d| d.1));
    let (gg, gz) = (mean(&|d| (g(d.0) - mg).powi(2)), mean(&|d| (g(d.0) - mg) * (d.1 - mz)));
    let slope = if gg > 1e-12 { gz / gg } else { 0.0 };
    let misfit = data.iter().map(|d| (d.1 - mz - slope * (g(d.0) - mg)).powi(2) * d.2).sum();
    (misfit, mz - slope * mg, slope)
}

/// Weighted least squares with a given slope of g: misfit and intercept.
fn shifted(data: &[Datum], g: impl Fn(f64) -> f64) -> (f64, f64) {
    let (mut total, mut sum, mut squares) = (0.0, 0.0, 0.0);
    for (x, z, weight) in data {
        let d = z - g(*x);
        total += weight;
        sum += d * weight;
        squares += d * d * weight;
    }
    ((squares - sum * sum / total).max(0.0), sum / total)
}

#[cfg(test)]
mod tests;
