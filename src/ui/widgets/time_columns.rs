//! Columns of a time axis that move by whole columns, so that little of the screen is redrawn as time goes on.

use crate::event::Nanos;

/// Least time by which curves move on, ns.
const SMALLEST_STEP: Nanos = 500_000_000;

/// Columns of time with fixed borders: a column always covers the same stretch of the session, and moves to the left as a
/// whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimeColumns {
    /// Width of a column, ns.
    pub width: Nanos,
    /// Number of the first column, counted from the beginning of the session.
    pub first: i64,
    /// How many there are.
    pub count: u32,
}

impl TimeColumns {
    /// `count` columns that span `window` together; `now` is in one of the last.
    pub fn new(now: Nanos, window: Nanos, count: u32) -> Self {
        let width = (window / u64::from(count.max(1))).max(1);
        // A noisy curve is redrawn as a whole when it moves: it moves a sixtieth at a time, and twice a second at most.
        let step = ((window / 60).max(SMALLEST_STEP) / width).clamp(1, u64::from(count.max(1)).div_ceil(4));
        let last = (now / width / step + 1) * step;
        Self { width, first: last as i64 - i64::from(count), count }
    }

    /// The same stretch of time in `by` times as many columns; it still moves by whole columns of the original width.
    #[must_use]
    pub fn subdivided(self, by: u32) -> Self {
        let width = (self.width / u64::from(by)).max(1);
        Self { width, first: self.first * i64::from(by), count: self.count * by }
    }

    /// The column of a moment; none where it lies outside.
    pub fn column(&self, t: Nanos) -> Option<u32> {
        u32::try_from((t / self.width) as i64 - self.first).ok().filter(|c| *c < self.count)
    }

    /// Where the columns begin, ns; 0 where that is before the session.
    pub fn from(&self) -> Nanos {
        self.first.max(0) as u64 * self.width
    }

    /// A moment in columns from the left, with fraction.
    pub fn position(&self, t: Nanos) -> f64 {
        t as f64 / self.width as f64 - self.first as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MINUTE: Nanos = 60_000_000_000;

    proptest! {
        #[test]
        fn columns_stand_still(now in 0u64..1 << 40, later in 0u64..1 << 36, count in 1u32..300, t in 0u64..1 << 40) {
            let (a, b) = (TimeColumns::new(now, MINUTE, count), TimeColumns::new(now + later, MINUTE, count));
            if let (Some(x), Some(y)) = (a.column(t), b.column(t)) {
                prop_assert_eq!(i64::from(x) + a.first, i64::from(y) + b.first);
            }
            prop_assert!(a.column(now).is_some_and(|c| c + 1 + count / 4 + 1 >= count));
        }
    }
}
