//! Axes: title, scale, range and tick labels.

use crate::format;
use kuva::prelude::TickFormat;
use std::sync::Arc;

/// The scale of an axis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scale {
    /// Linear.
    Linear,
    /// Logarithmic, with a tick at every power of two.
    Log2,
    /// Logarithmic, with ticks at powers of ten.
    Log10,
}

/// An axis.
#[derive(Clone, Debug, PartialEq)]
pub struct Axis {
    /// Quantity and unit: `power above idle [W]`.
    pub title: String,
    /// Its scale.
    pub scale: Scale,
    /// Smallest and largest value shown.
    pub range: (f64, f64),
}

impl Axis {
    /// An axis over these values with some margin. With `zero` a linear axis begins at 0.
    pub fn over(title: impl Into<String>, scale: Scale, zero: bool, values: impl IntoIterator<Item = f64>) -> Self {
        let usable = |v: &f64| v.is_finite() && (scale == Scale::Linear || *v > 0.0);
        let values: Vec<f64> = values.into_iter().filter(usable).collect();
        let low = values.iter().copied().reduce(f64::min);
        let (low, high) = low.zip(values.iter().copied().reduce(f64::max)).unwrap_or((1.0, 10.0));
        let range = match scale {
            Scale::Linear => {
                let span = if high > low { high - low } else { high.abs().max(1.0) };
                (if zero { 0.0f64.min(low) } else { low - 0.12 * span }, high + 0.1 * span)
            }
            Scale::Log2 => (low / 1.3, high * 1.3),
            // A range of less than a factor of three would have fewer than two ticks.
            Scale::Log10 => {
                let widen = (3.0 / (high / low)).max(1.0).sqrt();
                (low / widen / 1.25, high * widen * 1.25)
            }
        };
        Self { title: title.into(), scale, range }
    }

    /// A value in the units of kuva's axis.
    pub(super) fn at(&self, value: f64) -> f64 {
        if self.scale == Scale::Log2 { value.log2() } else { value }
    }

    /// The range in the units of kuva's axis.
    pub(super) fn ends(&self) -> (f64, f64) {
        (self.at(self.range.0), self.at(self.range.1))
    }

    /// Whether a value is in the range.
    pub(super) fn shows(&self, value: f64) -> bool {
        let (low, high) = self.range;
        let slack = 1e-9 * (high - low).abs();
        value >= low - slack && value <= high + slack
    }

    /// The format of tick labels.
    pub(super) fn format(&self) -> TickFormat {
        let scale = self.scale;
        TickFormat::Custom(Arc::new(move |v| tick(if scale == Scale::Log2 { v.exp2() } else { v })))
    }
}

/// A tick label: no more digits than needed, thousands grouped.
fn tick(value: f64) -> String {
    let value = if value.abs() < 1e-12 { 0.0 } else { value };
    let text = format!("{value:.4}");
    let text = text.trim_end_matches('0').trim_end_matches('.');
    match value.abs() {
        v if v >= 1e6 => format::si(value),
        v if v >= 1e3 && !text.contains('.') => format::grouped(v as u64),
        _ => text.to_owned(),
    }
}
