//! A bounded time series.

use crate::event::Nanos;
use std::collections::VecDeque;

/// Values in order of time. When it is full the oldest value is dropped, so that memory stays bounded however long a session
/// lasts.
#[derive(Clone, Debug)]
pub struct Series {
    points: VecDeque<(Nanos, f64)>,
    capacity: usize,
}

/// Equal points. Gaps, which are stored as NaN, are equal to each other.
impl PartialEq for Series {
    fn eq(&self, other: &Self) -> bool {
        let same = |(a, b): (&(Nanos, f64), &(Nanos, f64))| a.0 == b.0 && (a.1 == b.1 || a.1.is_nan() && b.1.is_nan());
        self.capacity == other.capacity
            && self.points.len() == other.points.len()
            && self.points.iter().zip(&other.points).all(same)
    }
}

impl Default for Series {
    /// Ten minutes at 20 Hz.
    fn default() -> Self {
        Self::with_capacity(12_000)
    }
}

impl Series {
    /// An empty series that holds at most `capacity` points.
    pub fn with_capacity(capacity: usize) -> Self {
        Self { points: VecDeque::new(), capacity }
    }

    /// Appends a value. A time before the last one's is raised to it; a value that is not finite is a gap.
    pub fn push(&mut self, t: Nanos, value: f64) {
        let t = self.points.back().map_or(t, |(last, _)| t.max(*last));
        if self.points.len() == self.capacity {
            self.points.pop_front();
        }
        self.points.push_back((t, value));
    }

    /// Marks a gap: a plot does not connect the points on its two sides.
    pub fn gap(&mut self, t: Nanos) {
        if self.points.back().is_some_and(|(_, v)| v.is_finite()) {
            self.push(t, f64::NAN);
        }
    }

    /// The newest value; none where the series is empty or ends in a gap.
    pub fn last(&self) -> Option<(Nanos, f64)> {
        self.points.back().copied().filter(|(_, v)| v.is_finite())
    }

    /// Points from `from` to `to`, both included, oldest first; NaN marks a gap.
    pub fn between(&self, from: Nanos, to: Nanos) -> impl DoubleEndedIterator<Item = (Nanos, f64)> + '_ {
        let start = self.points.partition_point(|(t, _)| *t < from);
        let end = self.points.partition_point(|(t, _)| *t <= to);
        self.points.range(start..end.max(start)).copied()
    }

    /// All points, oldest first.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = (Nanos, f64)> + '_ {
        self.points.iter().copied()
    }

    /// The number of points, gaps included.
    pub fn len(&self) -> usize {
        self.points.len()
    }

    /// Whether it holds no point.
    pub fn is_empty(&self) -> bool {
        self.points.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn gaps_are_kept_apart_from_values() {
        let mut s = Series::default();
        s.gap(5);
        assert!(s.is_empty(), "a gap before anything says nothing");
        s.push(10, 1.0);
        s.gap(20);
        s.gap(30);
        assert_eq!((s.len(), s.last()), (2, None));
    }

    proptest! {
        #[test]
        fn a_window_holds_what_lies_in_it_and_the_series_stays_bounded(
            times in prop::collection::vec(0u64..1000, 0..100), from in 0u64..1000, to in 0u64..1000,
        ) {
            let mut s = Series::with_capacity(32);
            times.iter().for_each(|t| s.push(*t, 1.0));
            prop_assert!(s.len() <= 32);
            let expected = s.iter().filter(|(t, _)| (from..=to).contains(t)).count();
            prop_assert_eq!(s.between(from, to).count(), expected);
            prop_assert!(s.iter().zip(s.iter().skip(1)).all(|(a, b)| a.0 <= b.0));
        }
    }
}
