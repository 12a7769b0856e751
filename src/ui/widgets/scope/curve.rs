//! The curve of the scope and the bands around its plateaus, in dots.

use super::{
    data::{Plateau, Scope},
    layout::Layout,
};
use crate::{
    event::Nanos,
    ui::{
        theme::{Role, Theme},
        widgets::canvas::Canvas,
    },
};

/// Draws them on a canvas.
pub fn curve(scope: &Scope<'_>, theme: Theme, layout: &Layout) -> Canvas {
    let mut canvas = Canvas::new(layout.plot, theme.marker);
    scope.plateaus.iter().for_each(|plateau| band(plateau, scope.now, theme, layout, &mut canvas));
    let steady = |t: Nanos| scope.plateaus.iter().any(|plateau| plateau.contains(t));
    let mut before: Option<(i64, i64)> = None;
    for (t, value) in scope.series.between(layout.dots.from(), scope.now) {
        let point =
            value.is_finite().then(|| (layout.dots.position(t).floor() as i64, layout.dot_of(value, theme.marker)));
        if let Some(point) = point {
            let role = if steady(t) { Role::Steady } else { Role::Trace };
            canvas.line(before.unwrap_or(point), point, theme.style(role));
        }
        // A gap in the series is a gap in the curve.
        before = point;
    }
    canvas
}

/// Dots both edges of the band of a plateau.
fn band(plateau: &Plateau, now: Nanos, theme: Theme, layout: &Layout, canvas: &mut Canvas) {
    let Some((low, high)) = plateau.band else { return };
    let (low, high) = (layout.dot_of(low, theme.marker), layout.dot_of(high, theme.marker));
    // Dots that touch the curve would only make it thicker.
    if low - high <= 2 {
        return;
    }
    let column = |t: Nanos| layout.dots.position(t).floor() as i64;
    let (from, to) = (column(plateau.from).max(0), column(plateau.to.unwrap_or(now)));
    for x in (from..=to.min(canvas.size().0)).filter(|x| x % 3 == 0) {
        [low + 1, high - 1].into_iter().for_each(|y| canvas.dot(x, y, theme.style(Role::Dim)));
    }
}
