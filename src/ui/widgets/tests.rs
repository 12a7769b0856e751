//! Axes as they are drawn, in plots and scopes of every size: what a reader of the screen sees.

use super::{
    plot::{Curve, Plot},
    scope::Scope,
};
use crate::{
    event::Nanos,
    session::Series,
    testing::label_value,
    ui::theme::{Depth, Marker, Role, Theme},
};
use proptest::prelude::*;
use ratatui::{buffer::Buffer, layout::Rect};

const THEME: Theme = Theme { depth: Depth::None, marker: Marker::Braille };

const SECOND: Nanos = 1_000_000_000;

/// Draws into an area of that size; gives its rows.
fn drawn(width: u16, height: u16, draw: impl FnOnce(Rect, &mut Buffer)) -> Vec<Vec<char>> {
    let area = Rect::new(0, 0, width, height);
    let mut buffer = Buffer::empty(area);
    draw(area, &mut buffer);
    let symbol = |x, y| buffer[(x, y)].symbol().chars().next().unwrap();
    (0..height).map(|y| (0..width).map(|x| symbol(x, y)).collect()).collect()
}

/// The labels left of an axis, each with its row; the axis is the column of the first of its characters.
fn labels(rows: &[Vec<char>]) -> Vec<(usize, f64)> {
    let axis = rows.iter().find_map(|row| row.iter().position(|c| ['│', '┤', '┼', '└'].contains(c))).expect("an axis");
    let label = |row: &Vec<char>| row[..axis].iter().collect::<String>().trim().to_owned();
    let all = rows.iter().map(label).enumerate().filter(|(_, label)| !label.is_empty());
    all.map(|(row, label)| (row, label_value(&label))).collect()
}

/// Labels are at even distances in rows and in values, the highest one in the first rows and the lowest one in `bottom`.
fn check(labels: &[(usize, f64)], bottom: usize) -> Result<(), TestCaseError> {
    prop_assert!(labels.len() >= 2, "{labels:?}");
    let (step, spacing) = (labels[0].1 - labels[1].1, labels[1].0 - labels[0].0);
    prop_assert!(step > 0.0, "{labels:?}");
    for pair in labels.windows(2) {
        prop_assert_eq!(pair[1].0 - pair[0].0, spacing, "{:?}", labels);
        prop_assert!((pair[0].1 - pair[1].1 - step).abs() < 0.02 * step, "{labels:?}");
    }
    prop_assert_eq!(labels[labels.len() - 1].0, bottom, "{:?}", labels);
    prop_assert!(labels[0].0 < spacing, "there is room for a label above: {labels:?}");
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]

    #[test]
    fn the_axis_of_a_plot_is_even(
        height in 3u16..70,
        width in 24u16..200,
        magnitude in -6.0..10.0f64,
        shares in prop::collection::vec(0.0..1.0f64, 1..20),
        from_zero in any::<bool>(),
        batches in any::<bool>(),
    ) {
        let highest = 10f64.powf(magnitude);
        let points = shares.iter().enumerate().map(|(i, share)| ((1 << i) as f64, share * highest, None));
        let points = points.chain([(1.0, highest, None)]).collect();
        let curves = vec![Curve { points, role: Role::Plain, joined: false }];
        let plot = Plot { curves, from_zero, batches, ..Plot::default() };
        let rows = drawn(width, height, |area, buffer| plot.render(THEME, area, buffer));
        let labels = labels(&rows);
        check(&labels, usize::from(height) - 2)?;
        prop_assert!(labels[0].1 >= 0.999 * highest, "{labels:?} for {highest}");
        prop_assert!(!from_zero || labels[labels.len() - 1].1 == 0.0);
        let points: usize = rows.iter().map(|row| row.iter().filter(|c| **c == '●').count()).sum();
        prop_assert!(points >= 1, "{rows:?}");
    }

    #[test]
    fn the_axis_of_a_scope_is_even(
        height in 3u16..70,
        width in 24u16..200,
        magnitude in -3.0..6.0f64,
        // Not so low that the highest one is an outlier, which is clipped.
        shares in prop::collection::vec(0.3..1.0f64, 2..60),
        window in prop::sample::select(vec![10u64, 30, 60, 120, 300, 600]),
    ) {
        let highest = 10f64.powf(magnitude);
        let mut series = Series::default();
        let mut t = 1000 * SECOND;
        for share in shares.iter().chain([&1.0]) {
            t += SECOND / 10;
            series.push(t, share * highest);
        }
        let scope = Scope {
            series: &series,
            now: t,
            window: window * SECOND,
            levels: vec![],
            marks: vec![],
            plateaus: vec![],
            marks_name: "batch",
            shared: None,
        };
        let rows = drawn(width, height, |area, buffer| scope.render(THEME, area, buffer));
        // Below the axis of values are the line of the time axis, which carries the 0, and the times.
        let bottom = usize::from(height) - if height > 6 { 2 } else { 1 };
        let labels = labels(&rows[..=bottom]);
        check(&labels, bottom)?;
        prop_assert!(labels[0].1 >= 0.999 * highest, "{labels:?} for {highest}");
        prop_assert_eq!(labels[labels.len() - 1].1, 0.0);
        if height > 6 {
            let times: String = rows[usize::from(height) - 1].iter().collect();
            prop_assert!(times.trim_end().ends_with("now") && times.trim_start().starts_with('-'), "{times:?}");
        }
    }
}
