//! Axes of every size and range: even, round, labelled at both ends, without overlaps.

use super::{time::TimeAxis, *};
use crate::testing::label_value;
use proptest::prelude::*;

fn labels(axis: &Axis) -> Vec<String> {
    axis.ticks().map(|(_, label)| label).collect()
}

/// Whether a step is one of 1, 1.5, 2, 2.5, 3, 4, 5, 6 or 8 times a power of ten.
fn is_round(step: f64) -> bool {
    let mantissa = step / 10f64.powf((step.log10() + 1e-9).floor());
    [1.0, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 6.0, 8.0].iter().any(|round| (mantissa - round).abs() < 1e-6)
}

/// Whether a first tick is a multiple of half of the step's power of ten.
fn is_on_grid(first: f64, step: f64) -> bool {
    let grid = 0.5 * 10f64.powf((step.log10() + 1e-9).floor());
    ((first / grid).round() * grid - first).abs() < 1e-6 * step
}

/// What holds for every axis that has room for its labels.
fn check(axis: &Axis, room: Room) -> Result<(), TestCaseError> {
    let ticks: Vec<_> = axis.ticks().collect();
    prop_assert!(ticks.len() >= 2, "both ends have a label: {ticks:?}");
    prop_assert_eq!((ticks[0].0, ticks[ticks.len() - 1].0), (0, axis.length()), "the ends are ticks");
    prop_assert!(axis.length() <= room.cells(), "{} of {room:?}", axis.length());
    prop_assert!(axis.unused(room) < axis.spacing, "there is room for one more tick: {ticks:?} {room:?}");
    prop_assert!(ticks.windows(2).all(|w| w[1].0 - w[0].0 == axis.spacing), "even in cells: {ticks:?}");
    prop_assert!(ticks.windows(2).all(|w| w[0].1 != w[1].1), "labels differ: {ticks:?}");
    for (cell, label) in &ticks {
        let value = axis.value(f64::from(*cell));
        let tolerance = 0.01 * axis.step.abs().min(value.abs().max(f64::MIN_POSITIVE)) + 1e-12 * value.abs();
        prop_assert!((label_value(label) - value).abs() <= tolerance.max(1e-15), "{label} is not {value}: {ticks:?}");
        prop_assert!((axis.position(value) - f64::from(*cell)).abs() < 1e-6, "a value is at its cell");
    }
    Ok(())
}

/// Labels of a horizontal axis, centred on their ticks but for the first one, do not touch and end within its columns.
fn apart(axis: &Axis, cells: u16) -> bool {
    let places: Vec<_> = axis
        .ticks()
        .map(|(cell, label)| {
            let width = columns(&label) as u16;
            let start = cell.saturating_sub(width / 2);
            (start, start + width)
        })
        .collect();
    places.windows(2).all(|w| w[0].1 < w[1].0) && places.iter().all(|(_, end)| *end <= cells + 1)
}

#[test]
fn usual_axes_are_what_one_would_draw() {
    let rows = |high, rows| labels(&Axis::from_zero(0.0, high, Room::Rows(rows)));
    assert_eq!(rows(80.0, 8), ["0", "20", "40", "60", "80"]);
    assert_eq!(rows(100.0, 10), ["0", "20", "40", "60", "80", "100"]);
    assert_eq!(rows(100.0, 2), ["0", "100"]);
    assert_eq!(rows(700.0, 14), ["0", "100", "200", "300", "400", "500", "600", "700"]);
    assert_eq!(rows(0.0, 8), ["0", "0.5", "1.0"]);
    assert_eq!(labels(&Axis::batches(128.0, Room::Columns(40))), ["1", "2", "4", "8", "16", "32", "64", "128"]);
    assert_eq!(labels(&Axis::batches(1024.0, Room::Columns(30))), ["1", "4", "16", "64", "256", "1,024"]);
    assert_eq!(labels(&Axis::log(1.0, 900.0, Room::Columns(40))), ["1", "10", "100", "1 k"]);
    assert_eq!(labels(&Axis::log(0.06, 40.0, Room::Columns(40))), ["0.05", "0.5", "5", "50"]);
    assert_eq!(labels(&Axis::log(2.1e9, 1.9e11, Room::Rows(8))), ["2 G", "20 G", "200 G"]);
    let accuracies = Axis::linear(57.1, 77.3, Room::Rows(10));
    assert_eq!(labels(&accuracies), ["55", "60", "65", "70", "75", "80"]);
}

#[test]
fn an_axis_shows_what_there_is_even_where_that_is_nothing() {
    for (low, high) in [(0.0, 0.0), (5.0, 5.0), (-3.0, -3.0), (f64::NAN, 1.0), (1.0, f64::INFINITY), (0.0, 1e300)] {
        for cells in 0..40 {
            let axis = Axis::linear(low, high, Room::Rows(cells));
            assert!(axis.first().is_finite() && axis.last() > axis.first(), "{low} {high} {cells}: {axis:?}");
            let axis = Axis::log(low, high, Room::Columns(cells));
            assert!(axis.first() > 0.0 && axis.last() > axis.first(), "{low} {high} {cells}: {axis:?}");
        }
    }
}

#[test]
fn times_are_round() {
    const S: u64 = 1_000_000_000;
    let labels =
        |seconds, columns| -> Vec<_> { TimeAxis::new(seconds * S, columns).ticks().map(|(_, label)| label).collect() };
    assert_eq!(labels(60, 66), ["-60 s", "-50 s", "-40 s", "-30 s", "-20 s", "-10 s", "now"]);
    assert_eq!(labels(300, 100), ["-5 min", "-4 min", "-3 min", "-2 min", "-1 min", "now"]);
    assert_eq!(labels(10, 24), ["-10 s", "-5 s", "now"]);
    assert_eq!(labels(60, 8), ["-1 min", "now"]);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1024, ..ProptestConfig::default() })]

    #[test]
    fn rows_from_zero(rows in 2u16..90, magnitude in -8.0..14.0f64) {
        let (high, room) = (10f64.powf(magnitude), Room::Rows(rows));
        let axis = Axis::from_zero(0.0, high, room);
        check(&axis, room)?;
        prop_assert!(is_round(axis.step), "{}", axis.step);
        prop_assert_eq!(axis.first(), 0.0);
        prop_assert!(axis.last() >= high * 0.999_999 && axis.last() <= 2.0 * high, "{} for {high}", axis.last());
        prop_assert!(rows < 6 || (axis.intervals >= 2 && axis.spacing >= 2), "{:?}", labels(&axis));
        prop_assert!(axis.intervals <= 12, "{:?}", labels(&axis));
    }

    #[test]
    fn rows_of_any_range(rows in 2u16..90, low in -1e6..1e6f64, span in -3.0..7.0f64) {
        let (high, room) = (low + 10f64.powf(span), Room::Rows(rows));
        let axis = Axis::linear(low, high, room);
        check(&axis, room)?;
        // Two ticks around 0 are not multiples of their distance.
        let step = if axis.intervals == 1 && low < 0.0 && high > 0.0 { axis.step / 2.0 } else { axis.step };
        prop_assert!(is_round(axis.step) || is_round(step) || is_round(axis.step / 3.0), "{}", axis.step);
        let slack = 1e-6 * axis.step;
        prop_assert!(axis.first() <= low + slack && axis.last() >= high - slack, "{:?} for {low} to {high}", labels(&axis));
        prop_assert!(is_on_grid(axis.first(), axis.step), "{:?}", labels(&axis));
    }

    #[test]
    fn columns_from_zero(width in 12u16..300, magnitude in -5.0..12.0f64) {
        let (high, room) = (10f64.powf(magnitude), Room::Columns(width));
        let axis = Axis::from_zero(0.0, high, room);
        check(&axis, room)?;
        prop_assert!(is_round(axis.step), "{}", axis.step);
        prop_assert!(axis.last() >= high * 0.999_999, "{} for {high}", axis.last());
        prop_assert!(apart(&axis, width), "{:?} in {width}", labels(&axis));
    }

    #[test]
    fn batch_sizes(width in 12u16..300, doublings in 0.0..17.0f64) {
        let largest = doublings.exp2();
        let axis = Axis::batches(largest, Room::Columns(width));
        let ticks: Vec<_> = axis.ticks().collect();
        prop_assert!(axis.first() == 1.0 && axis.last() >= largest * 0.999_999);
        prop_assert!(axis.length() <= width && ticks.windows(2).all(|w| w[1].0 - w[0].0 == axis.spacing));
        prop_assert!(ticks.iter().all(|(_, label)| (label_value(label).log2()).fract() == 0.0), "{ticks:?}");
        prop_assert!(apart(&axis, width), "{ticks:?} in {width}");
    }

    #[test]
    fn logarithms(cells in 3u16..200, vertical in any::<bool>(), low in -5.0..12.0f64, decades in 0.05..8.0f64) {
        let (low, high) = (10f64.powf(low), 10f64.powf(low + decades));
        let room = if vertical { Room::Rows(cells) } else { Room::Columns(cells.max(20)) };
        let axis = Axis::log(low, high, room);
        let ticks: Vec<_> = axis.ticks().collect();
        prop_assert!(axis.first() <= low * 1.000_001 && axis.last() >= high * 0.999_999, "{ticks:?} for {low} to {high}");
        prop_assert!(axis.length() <= room.cells() && ticks.windows(2).all(|w| w[1].0 - w[0].0 == axis.spacing));
        prop_assert!(ticks.len() >= 2 && ticks.windows(2).all(|w| w[0].1 != w[1].1), "{ticks:?}");
        prop_assert!(vertical || apart(&axis, cells.max(20)), "{ticks:?} in {cells}");
    }

    #[test]
    fn times(window in prop::sample::select(vec![10u64, 30, 60, 120, 300, 600]), columns in 9u16..300) {
        let axis = TimeAxis::new(window * 1_000_000_000, columns);
        let ticks: Vec<_> = axis.ticks().collect();
        prop_assert!(axis.columns() <= columns && axis.columns() + ticks.len() as u16 > columns);
        prop_assert_eq!(&ticks[ticks.len() - 1].1, "now");
        let spacing = ticks[1].0 - ticks[0].0;
        prop_assert!(ticks.windows(2).all(|w| w[1].0 - w[0].0 == spacing && w[0].1 != w[1].1), "{ticks:?}");
        prop_assert!(ticks.len() == 2 || spacing >= 9, "{ticks:?}");
    }
}
