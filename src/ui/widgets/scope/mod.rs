//! The oscilloscope: a curve over the last seconds, its limit, its level while steady, and the changes of the configuration.

mod annotations;
mod axes;
mod curve;
mod data;
mod layout;

pub use data::{Level, Mark, Plateau, Scope};

use super::axis;
use crate::ui::theme::Theme;
use layout::Layout;
use ratatui::{buffer::Buffer, layout::Rect};

impl Scope<'_> {
    /// Draws it, where there is room for it.
    pub fn render(&self, theme: Theme, area: Rect, buffer: &mut Buffer) {
        let area = area.intersection(buffer.area);
        let Some(layout) = Layout::new(self, theme, area) else { return };
        let canvas = curve::curve(self, theme, &layout);
        annotations::mark_lines(self, theme, &layout, &canvas, buffer);
        for level in &self.levels {
            annotations::level_line(level, theme, &layout, &canvas, buffer);
        }
        canvas.render(buffer);
        annotations::plateau_labels(self, theme, &layout, &canvas, buffer);
        let plot = layout.plot;
        let rows = (layout.zero_row(), plot.bottom() - 1);
        axis::draw::vertical(&layout.values, plot.x - 1, rows, theme, area, buffer);
        axes::time_axis(self, theme, area, &layout, buffer);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        event::Nanos,
        session::Series,
        ui::theme::{Depth, Marker, Role},
    };

    const S: Nanos = 1_000_000_000;

    fn show(scope: &Scope<'_>, width: u16, height: u16) -> Vec<String> {
        let area = Rect::new(0, 0, width, height);
        let mut buffer = Buffer::empty(area);
        scope.render(Theme { depth: Depth::None, marker: Marker::Ascii }, area, &mut buffer);
        (0..height).map(|y| (0..width).map(|x| buffer[(x, y)].symbol().to_owned()).collect::<String>()).collect()
    }

    fn scope(series: &Series) -> Scope<'_> {
        Scope {
            series,
            now: 60 * S,
            window: 60 * S,
            levels: vec![],
            marks: vec![],
            plateaus: vec![],
            marks_name: "batch",
            shared: None,
        }
    }

    #[test]
    fn a_peak_of_one_reading_is_drawn() {
        let mut series = Series::default();
        (0..1200).for_each(|i| series.push(i * S / 20, if i == 601 { 90.0 } else { 40.0 }));
        let shown = show(&scope(&series), 50, 12);
        assert!(shown[..2].iter().any(|row| row[7..].contains(['.', '\'', ':'])), "{shown:#?}");
    }

    #[test]
    fn each_plateau_has_its_label_and_its_band() {
        let mut series = Series::default();
        let level = |i: u64| if i < 600 { 200.0 } else { 400.0 };
        (0..1200).for_each(|i| series.push(i * S / 20, level(i) + if i % 2 == 0 { 40.0 } else { -40.0 }));
        let plateau = |from: u64, to: Option<u64>, height: f64, name: &str| Plateau {
            from: from * S,
            to: to.map(|t| t * S),
            level: Some((height, name.to_owned())),
            band: Some((height - 20.0, height + 20.0)),
        };
        let mut scope = scope(&series);
        scope.levels.push(Level { value: 600.0, label: "cap".into(), role: Role::Limit });
        scope.plateaus = vec![plateau(1, Some(30), 200.0, "200 W"), plateau(31, None, 400.0, "plateau 400 W")];
        let shown = show(&scope, 80, 24);
        let at =
            |name: &str| shown.iter().find_map(|row| row.find(name)).unwrap_or_else(|| panic!("{name} {shown:#?}"));
        assert!((15..30).contains(&at(" 200 W ")), "over its middle");
        assert!(shown.iter().any(|row| row.trim_end().ends_with("plateau 400 W")), "at the right end");
        scope.plateaus[0].to = Some(3 * S);
        assert!(!show(&scope, 80, 24).concat().contains(" 200 W "), "a label is no longer than its plateau");
    }

    #[test]
    fn a_gap_is_not_bridged() {
        let mut series = Series::default();
        (0..20).for_each(|i| series.push(i * S, 40.0));
        series.gap(20 * S);
        (40..60).for_each(|i| series.push(i * S, 40.0));
        let shown = show(&scope(&series), 66, 8);
        let row = shown.iter().find(|row| row.contains(".....") || row.contains("'''''")).unwrap();
        assert!(row.contains("                  "), "{row}");
    }

    #[test]
    fn an_outlier_does_not_flatten_the_rest() {
        let mut series = Series::default();
        (0..600).for_each(|i| series.push(i * S / 10, if i == 30 { 4_000.0 } else { 4.0 }));
        let scope = scope(&series);
        assert_eq!(scope.clipped(), Some((4_000.0, 8.0)));
        assert!(show(&scope, 60, 10)[0].trim_start().starts_with("8"), "{:#?}", show(&scope, 60, 10));
    }
}
