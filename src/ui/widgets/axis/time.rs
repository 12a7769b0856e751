//! The time axis that ends now: round times between its ticks.

/// A time axis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimeAxis {
    /// Time between ticks, ms.
    step_ms: u64,
    /// Columns between ticks.
    spacing: u16,
    /// Number of intervals between ticks.
    intervals: u16,
}

/// Round times between ticks, ms.
const ROUND_TIMES: [u64; 12] =
    [1_000, 2_000, 2_500, 5_000, 10_000, 15_000, 20_000, 30_000, 60_000, 120_000, 150_000, 300_000];

/// Least columns between ticks of a time axis: a label and a gap.
const TIME_LABEL: u16 = 9;

impl TimeAxis {
    /// The axis of a time, ns, in at most so many columns: it takes nearly all of them, so that ticks and columns agree.
    pub fn new(window: u64, columns: u16) -> Self {
        let window_ms = (window / 1_000_000).max(1);
        let fits = ROUND_TIMES.into_iter().filter(|step| window_ms.is_multiple_of(*step)).filter_map(|step_ms| {
            let intervals = u16::try_from(window_ms / step_ms).ok()?;
            let spacing = columns.checked_div(intervals)?;
            (spacing >= TIME_LABEL).then_some(Self { step_ms, spacing, intervals })
        });
        let ideal = f64::from(columns) / 14.0;
        let cost = |axis: &Self| {
            let unused = 0.6 * f64::from(columns - axis.columns());
            unused + (f64::from(axis.intervals) - ideal.clamp(1.0, 6.0)).abs()
        };
        let whole = Self { step_ms: window_ms, spacing: columns.max(1), intervals: 1 };
        fits.min_by(|a, b| cost(a).total_cmp(&cost(b))).unwrap_or(whole)
    }

    /// Columns that it takes.
    pub const fn columns(self) -> u16 {
        self.spacing * self.intervals
    }

    /// The ticks with their labels, each at a column; the last one is at the end of the last column.
    pub fn ticks(self) -> impl Iterator<Item = (u16, String)> {
        (0..=self.intervals).map(move |i| {
            let ago_ms = u64::from(self.intervals - i) * self.step_ms;
            (i * self.spacing, if ago_ms == 0 { "now".to_owned() } else { format!("-{}", self.time(ago_ms)) })
        })
    }

    /// A time in the largest unit of which the step is a multiple.
    fn time(self, ms: u64) -> String {
        match self.step_ms {
            step if step % 60_000 == 0 => format!("{} min", ms / 60_000),
            150_000 => format!("{} min", ms as f64 / 60e3),
            step if step % 1_000 == 0 => format!("{} s", ms / 1_000),
            _ => format!("{:.1} s", ms as f64 / 1e3),
        }
    }
}
