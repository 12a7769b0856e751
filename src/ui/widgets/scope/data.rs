//! What the scope shows: a series, lines across it, stretches of steady state, and moments of changes.

use crate::{
    event::Nanos,
    session::Series,
    ui::{theme::Role, widgets::time_columns::TimeColumns},
};

/// How many of the highest readings may be outliers; more of them are a level.
const OUTLIERS: usize = 3;

/// A change of the configuration.
#[derive(Clone, Debug, PartialEq)]
pub struct Mark {
    /// When, ns.
    pub t: Nanos,
    /// What changed: `32`, `VGG-16`.
    pub label: String,
}

/// A stretch of time in which a curve stays on a level.
#[derive(Clone, Debug, PartialEq)]
pub struct Plateau {
    /// When it began, ns.
    pub from: Nanos,
    /// When it ended, ns; none while it lasts.
    pub to: Option<Nanos>,
    /// Its level and the label of that, once enough was measured.
    pub level: Option<(f64, String)>,
    /// The band in which nearly all of its values lie, lower and upper end.
    pub band: Option<(f64, f64)>,
}

impl Plateau {
    /// Whether a moment is part of it.
    pub fn contains(&self, t: Nanos) -> bool {
        t >= self.from && self.to.is_none_or(|to| t <= to)
    }
}

/// A horizontal line with a label, such as the power cap.
#[derive(Clone, Debug, PartialEq)]
pub struct Level {
    /// Its value.
    pub value: f64,
    /// Its label.
    pub label: String,
    /// Its look.
    pub role: Role,
}

/// Everything that the scope shows.
#[derive(Clone, Debug)]
pub struct Scope<'a> {
    /// The curve.
    pub series: &'a Series,
    /// Right end of the time axis, ns.
    pub now: Nanos,
    /// Length of the time axis, ns.
    pub window: Nanos,
    /// Lines across: the power cap, idle power.
    pub levels: Vec<Level>,
    /// Changes of the configuration, oldest first.
    pub marks: Vec<Mark>,
    /// The steady stretches, oldest first.
    pub plateaus: Vec<Plateau>,
    /// What the labels of the marks count.
    pub marks_name: &'static str,
    /// Value that the axis must show whatever is in sight, where several scopes share a scale.
    pub shared: Option<f64>,
}

impl Scope<'_> {
    /// The values in sight, and a little older ones: the plot may begin before the first tick of the time axis.
    fn values(&self) -> impl Iterator<Item = f64> + '_ {
        let from = TimeColumns::new(self.now, self.window + self.window / 8, 100).from();
        self.series.between(from, self.now).map(|p| p.1).filter(|v| v.is_finite())
    }

    /// The highest value in sight, and the lower height that the axis ends at instead: an outlier, such as a first batch that
    /// compiled its kernels, must not flatten the rest. None where there is no outlier.
    pub fn clipped(&self) -> Option<(f64, f64)> {
        let mut values: Vec<f64> = self.values().collect();
        values.sort_by(|a, b| b.total_cmp(a));
        let (peak, usual) = (*values.first()?, *values.get(OUTLIERS)?);
        (peak > 4.0 * usual && usual > 0.0).then_some((peak, 2.0 * usual))
    }

    /// The highest value that the axis must show: of the curve, or of a level.
    pub fn reach(&self) -> f64 {
        let seen = self.values().fold(0.0, f64::max);
        let seen = self.clipped().map_or(seen, |(_, drawn)| drawn);
        self.levels.iter().map(|l| l.value).filter(|v| v.is_finite()).fold(seen, f64::max)
    }
}
