//! The oscilloscope: a curve over the last seconds, its limit, its level while steady, and when a knob was turned.

use super::{
    canvas::Canvas,
    pane::{columns, text},
};
use crate::{
    event::Nanos,
    session::Series,
    ui::{
        format,
        theme::{Role, Theme},
    },
};
use ratatui::{buffer::Buffer, layout::Rect};

/// Readings above all others that may be outliers; more of them are a level.
const OUTLIERS: usize = 3;

/// Time by which curves move on at the least.
const SMALLEST_STEP: Nanos = 500_000_000;

/// Height of an axis over the limit that it shows.
const AIR: f64 = 1.06;

/// Columns of time whose borders stand still as time goes on, so that a picture moves by whole columns and what lies
/// between is not redrawn: column `i` of the screen always shows the same stretch of the session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bins {
    width: Nanos,
    first: i64,
    count: u32,
}

impl Bins {
    /// `count` columns that together span `window`; `now` lies in one of the last.
    pub fn new(now: Nanos, window: Nanos, count: u32) -> Self {
        let width = (window / u64::from(count.max(1))).max(1);
        // A noisy curve that moves is redrawn as a whole: it moves a sixtieth at a time, and twice a second at the most.
        let step = ((window / 60).max(SMALLEST_STEP) / width).clamp(1, u64::from(count.max(1)).div_ceil(4));
        let last = (now / width / step + 1) * step;
        Self { width, first: last as i64 - i64::from(count), count }
    }

    /// The column of a moment; none where it lies outside.
    pub fn column(&self, t: Nanos) -> Option<u32> {
        u32::try_from((t / self.width) as i64 - self.first).ok().filter(|c| *c < self.count)
    }

    /// Where the columns begin; 0 where that was before the session.
    pub fn from(&self) -> Nanos {
        self.first.max(0) as u64 * self.width
    }

    /// A moment in columns from the left, fractions included.
    fn position(&self, t: Nanos) -> f64 {
        t as f64 / self.width as f64 - self.first as f64
    }
}

/// A knob was turned.
#[derive(Clone, Debug, PartialEq)]
pub struct Mark {
    /// When.
    pub t: Nanos,
    /// To what: `32`, `VGG-16`.
    pub label: String,
}

/// A level that a curve came to and kept.
#[derive(Clone, Debug, PartialEq)]
pub struct Plateau {
    /// When it began.
    pub from: Nanos,
    /// When it ended; none while it lasts.
    pub to: Option<Nanos>,
    /// Its height and its name, once enough is known.
    pub level: Option<(f64, String)>,
    /// What nearly all of its values lie between: the band that one sees.
    pub band: Option<(f64, f64)>,
}

impl Plateau {
    fn contains(&self, t: Nanos) -> bool {
        t >= self.from && self.to.is_none_or(|to| t <= to)
    }
}

/// A horizontal line with a name.
#[derive(Clone, Debug, PartialEq)]
pub struct Level {
    /// Height.
    pub value: f64,
    /// Name.
    pub label: String,
    /// Its look.
    pub role: Role,
}

/// Everything that the scope shows.
#[derive(Clone, Debug)]
pub struct Scope<'a> {
    /// The curve.
    pub series: &'a Series,
    /// Right end of the time axis.
    pub now: Nanos,
    /// Length of the time axis.
    pub window: Nanos,
    /// Lines across: the power cap, idle power.
    pub levels: Vec<Level>,
    /// When knobs were turned.
    pub marks: Vec<Mark>,
    /// The stretches in which runs were steady, oldest first.
    pub plateaus: Vec<Plateau>,
    /// What the labels on the time axis count.
    pub marks_name: &'static str,
    /// What the axis must reach, whatever is in sight, where several scopes share a scale.
    pub shared: Option<f64>,
}

/// Where things are and what they mean.
struct Layout {
    plot: Rect,
    bins: Bins,
    top: f64,
    step: f64,
    /// Rows from the top's to the one where 0 is: the time axis, or the last of the plot where there is none.
    span: u16,
}

impl Layout {
    /// Where a value is, in rows from the middle of the first; 0 is at `span`.
    fn height_of(&self, value: f64) -> f64 {
        ((1.0 - value / self.top) * f64::from(self.span)).clamp(0.0, f64::from(self.span))
    }

    /// The row that a value is in.
    fn row_of(&self, value: f64) -> u16 {
        (self.height_of(value).round() as u16).min(self.plot.height.saturating_sub(1))
    }
}

impl Scope<'_> {
    /// Values in sight.
    fn values(&self) -> impl Iterator<Item = f64> + '_ {
        let from = Bins::new(self.now, self.window, 100).from();
        self.series.between(from, self.now).map(|p| p.1).filter(|v| v.is_finite())
    }

    /// The highest value in sight, and the height that it would be drawn at where that is less: one outlier (a first
    /// batch that compiled its kernels) must not flatten everything else.
    pub fn clipped(&self) -> Option<(f64, f64)> {
        let mut values: Vec<f64> = self.values().collect();
        values.sort_by(|a, b| b.total_cmp(a));
        let (peak, usual) = (*values.first()?, *values.get(OUTLIERS)?);
        (peak > 4.0 * usual && usual > 0.0).then_some((peak, 2.0 * usual))
    }

    /// Draws it.
    pub fn render(&self, theme: Theme, area: Rect, buffer: &mut Buffer) {
        let area = area.intersection(buffer.area);
        let Some(layout) = self.layout(theme, area) else { return };
        let canvas = self.curve(theme, &layout);
        self.mark_lines(theme, &layout, &canvas, buffer);
        for level in &self.levels {
            level_line(level, theme, &layout, &canvas, buffer);
        }
        canvas.render(buffer);
        self.plateau_labels(theme, &layout, &canvas, buffer);
        y_axis(theme, area, &layout, buffer);
        self.time_axis(theme, area, &layout, buffer);
    }

    /// Top of the axis and the distance of its ticks. A limit that stands above the curve is the top, with a little air;
    /// otherwise the top is round, so that it stands still while the curve moves.
    fn axis(&self, rows: u16) -> (f64, f64) {
        if let Some(reach) = self.shared {
            return scale(reach, rows);
        }
        let (seen, limit) = self.heights();
        let (top, step) = scale(seen.max(limit), rows);
        (if limit > seen { (limit * AIR).min(top) } else { top }, step)
    }

    /// The highest thing that is drawn.
    pub fn reach(&self) -> f64 {
        let (seen, limit) = self.heights();
        seen.max(limit)
    }

    /// The highest value that is drawn, and the highest level.
    fn heights(&self) -> (f64, f64) {
        let seen = self.values().fold(0.0, f64::max);
        let seen = self.clipped().map_or(seen, |(_, drawn)| drawn);
        let limit = self.levels.iter().map(|l| l.value).filter(|v| v.is_finite()).fold(0.0, f64::max);
        (seen, limit)
    }

    fn layout(&self, theme: Theme, area: Rect) -> Option<Layout> {
        if area.height < 2 || area.width < 8 {
            return None;
        }
        let axis = match area.height {
            0..=3 => 0,
            4..=6 => 1,
            _ => 2,
        };
        let rows = area.height - axis;
        let (top, step) = self.axis(rows);
        let label = ticks(top, step).map(|v| columns(&tick(v, step))).max().unwrap_or(1) as u16;
        let plot = Rect { x: area.x + label + 2, width: area.width.checked_sub(label + 2)?, height: rows, ..area };
        (!plot.is_empty()).then(|| {
            let (across, _) = Canvas::resolution(theme.marker);
            // A cell is the unit of movement, whatever the dots in it: half the redrawing of a step a dot.
            let cells = Bins::new(self.now, self.window, u32::from(plot.width));
            let width = (cells.width / u64::from(across)).max(1);
            let bins = Bins { width, first: cells.first * i64::from(across), count: cells.count * u32::from(across) };
            let span = if axis > 0 { rows } else { rows.saturating_sub(1).max(1) };
            Layout { plot, bins, top, step, span }
        })
    }

    fn curve(&self, theme: Theme, layout: &Layout) -> Canvas {
        let mut canvas = Canvas::new(layout.plot, theme.marker);
        let (dots, (_, fine)) = (canvas.size().1, Canvas::resolution(theme.marker));
        let y = |v: f64| (((layout.height_of(v) + 0.5) * f64::from(fine)) as i64).clamp(0, dots - 1);
        self.plateaus.iter().for_each(|p| self.band(p, theme, layout, &mut canvas));
        let steady = |t: Nanos| self.plateaus.iter().any(|p| p.contains(t));
        let mut before: Option<(i64, i64)> = None;
        for (t, value) in self.series.between(layout.bins.from(), self.now) {
            let point = value.is_finite().then(|| (layout.bins.position(t).floor() as i64, y(value)));
            if let Some(point) = point {
                let role = if steady(t) { Role::Steady } else { Role::Trace };
                canvas.line(before.unwrap_or(point), point, theme.style(role));
            }
            before = point;
        }
        canvas
    }

    fn cell(&self, layout: &Layout, t: Nanos) -> Option<u16> {
        let across = layout.bins.count / u32::from(layout.plot.width);
        layout.bins.column(t).map(|c| (c / across.max(1)) as u16)
    }

    fn mark_lines(&self, theme: Theme, layout: &Layout, canvas: &Canvas, buffer: &mut Buffer) {
        for column in self.marks.iter().filter_map(|m| self.cell(layout, m.t)) {
            for row in (0..layout.plot.height).filter(|row| canvas.blank(column, *row)) {
                let (x, y) = (layout.plot.x + column, layout.plot.y + row);
                text(x, y, theme.pick("┊", ":"), theme.style(Role::Dim), layout.plot, buffer);
            }
        }
    }

    /// Dots the edges of the band that a plateau's values lie in.
    fn band(&self, plateau: &Plateau, theme: Theme, layout: &Layout, canvas: &mut Canvas) {
        let Some((low, high)) = plateau.band else { return };
        let (dots, (_, fine)) = (canvas.size().1, Canvas::resolution(theme.marker));
        let row = |v: f64| (((layout.height_of(v) + 0.5) * f64::from(fine)) as i64).clamp(0, dots - 1);
        let column = |t: Nanos| layout.bins.position(t).floor() as i64;
        let (from, to) = (column(plateau.from).max(0), column(plateau.to.unwrap_or(self.now)));
        for x in (from..=to.min(canvas.size().0)).filter(|x| x % 3 == 0) {
            // Dots that touch the curve would only make it thicker.
            let edges = if row(low) - row(high) > 2 { [row(low) + 1, row(high) - 1] } else { continue };
            edges.into_iter().for_each(|y| canvas.dot(x, y, theme.style(Role::Dim)));
        }
    }

    /// Puts each plateau's name beside its level: that of the one that lasts at the right end, others over their middle.
    fn plateau_labels(&self, theme: Theme, layout: &Layout, canvas: &Canvas, buffer: &mut Buffer) {
        let named = self.plateaus.iter().filter_map(|p| p.level.as_ref().map(|(level, name)| (p, *level, name)));
        for (plateau, level, name) in named {
            let name = format!(" {} ", theme.text(name.as_str()));
            let width = columns(&name) as u16;
            let Some(room) = layout.plot.width.checked_sub(width) else { continue };
            let (left, furthest) = match plateau.to.map(|to| self.middle(layout, plateau.from, to)) {
                None => (room, layout.plot.height),
                Some(Some((middle, length))) if length >= width => (middle.saturating_sub(width / 2).min(room), 3),
                Some(_) => continue,
            };
            let home = layout.row_of(level);
            // Rows that carry the name of a limit are taken.
            let taken: Vec<u16> = self.levels.iter().map(|l| layout.row_of(l.value)).collect();
            let free = |row: &u16| !taken.contains(row) && (left..left + width).all(|c| canvas.blank(c, *row));
            let mut rows: Vec<u16> = (0..layout.plot.height).filter(free).collect();
            rows.sort_by_key(|row| (row.abs_diff(home), *row));
            if let Some(row) = rows.first().filter(|row| row.abs_diff(home) <= furthest) {
                let (x, y) = (layout.plot.x + left, layout.plot.y + row);
                text(x, y, &name, theme.style(Role::Steady), layout.plot, buffer);
            }
        }
    }

    /// Middle and length of what of a stretch is in sight, in cells.
    fn middle(&self, layout: &Layout, from: Nanos, to: Nanos) -> Option<(u16, u16)> {
        let last = layout.plot.width.checked_sub(1)?;
        let from = self.cell(layout, from.max(layout.bins.from())).unwrap_or(last);
        let to = self.cell(layout, to)?;
        (to > from).then(|| (from + (to - from) / 2, to - from))
    }

    fn time_axis(&self, theme: Theme, area: Rect, layout: &Layout, buffer: &mut Buffer) {
        let rows = area.height - layout.plot.height;
        if rows == 0 {
            return;
        }
        let y = layout.plot.bottom();
        let line = Rect { y, height: 1, x: layout.plot.x, width: layout.plot.width };
        let dim = theme.style(Role::Dim);
        text(line.x - 1, y, theme.pick("┼", "+"), dim, area, buffer);
        text(line.x, y, &theme.pick("─", "-").repeat(usize::from(line.width)), dim, line, buffer);
        if rows > 1 {
            self.time_labels(theme, Rect { y: y + 1, ..line }, buffer);
        }
        self.mark_labels(theme, layout, line, buffer);
    }

    fn mark_labels(&self, theme: Theme, layout: &Layout, line: Rect, buffer: &mut Buffer) {
        let name = format!(" {} ", self.marks_name);
        let name_width = columns(&name) as u16;
        let mut end = line.width;
        if !self.marks.is_empty() && line.width > 3 * name_width {
            end -= name_width;
            text(line.x + end, line.y, &name, theme.style(Role::Dim), line, buffer);
        }
        // From the newest on: where labels are too close, the older one gives way.
        for mark in self.marks.iter().rev() {
            let Some(column) = self.cell(layout, mark.t).filter(|c| *c < end) else { continue };
            let label = format!("{}{}", theme.pick("▲", "^"), theme.text(mark.label.as_str()));
            let label = if column + columns(&label) as u16 <= end { label } else { theme.pick("▲", "^").to_owned() };
            text(line.x + column, line.y, &label, theme.style(Role::Strong), line, buffer);
            end = column;
        }
    }

    fn time_labels(&self, theme: Theme, line: Rect, buffer: &mut Buffer) {
        let dim = theme.style(Role::Dim);
        let seconds = self.window as f64 / 1e9;
        let parts = [6u16, 4, 3, 2, 1].into_iter().find(|n| line.width >= n * 9).unwrap_or(1);
        for i in 0..=parts {
            let ago = seconds * f64::from(parts - i) / f64::from(parts);
            let label = if i == parts { "now".to_owned() } else { format!("-{}", format::duration(ago)) };
            let width = columns(&label) as u16;
            let at = (u32::from(line.width) * u32::from(i) / u32::from(parts)) as u16;
            let x = if i == 0 { 0 } else { at.saturating_sub(if i == parts { width } else { width / 2 }) };
            text(line.x + x, line.y, &label, dim, line, buffer);
        }
    }
}

fn level_line(level: &Level, theme: Theme, layout: &Layout, canvas: &Canvas, buffer: &mut Buffer) {
    let row = layout.row_of(level.value);
    let (style, y) = (theme.style(level.role), layout.plot.y + row);
    for column in (0..layout.plot.width).filter(|c| c % 2 == 0 && canvas.blank(*c, row)) {
        text(layout.plot.x + column, y, theme.pick("─", "-"), style, layout.plot, buffer);
    }
    let label = format!(" {} ", theme.text(level.label.as_str()));
    let width = columns(&label) as u16;
    if let Some(left) = layout.plot.width.checked_sub(width)
        && (left..layout.plot.width).all(|c| canvas.blank(c, row))
    {
        text(layout.plot.x + left, y, &label, style, layout.plot, buffer);
    }
}

fn y_axis(theme: Theme, area: Rect, layout: &Layout, buffer: &mut Buffer) {
    let dim = theme.style(Role::Dim);
    let x = layout.plot.x - 1;
    for y in layout.plot.top()..layout.plot.bottom() {
        text(x, y, theme.pick("│", "|"), dim, area, buffer);
    }
    let mut last = None;
    for value in ticks(layout.top, layout.step) {
        // Zero stands on the time axis, where there is one.
        let row = layout.height_of(value).round() as u16;
        if last.is_some_and(|last| row.abs_diff(last) < 2) {
            continue;
        }
        last = Some(row);
        let label = tick(value, layout.step);
        let width = columns(&label) as u16;
        let y = layout.plot.y + row;
        text(x.saturating_sub(width + 1), y, &label, dim, area, buffer);
        if y < layout.plot.bottom() {
            text(x, y, theme.pick("┤", "+"), dim, area, buffer);
        }
    }
}

/// A round top for an axis that must show `highest`, and the distance of its ticks.
pub fn scale(highest: f64, rows: u16) -> (f64, f64) {
    if !highest.is_finite() || highest <= 0.0 {
        return (1.0, 1.0);
    }
    let wanted = highest / f64::from((rows / 2).clamp(1, 5));
    let decade = 10f64.powf(wanted.log10().floor());
    let step =
        [1.0, 2.0, 2.5, 5.0, 10.0].into_iter().map(|m| m * decade).find(|s| *s >= wanted * 0.999).unwrap_or(wanted);
    let top = (highest / step - 1e-9).ceil().max(1.0) * step;
    (top, step)
}

/// Values of the ticks, from 0 up.
fn ticks(top: f64, step: f64) -> impl Iterator<Item = f64> {
    let n = (top / step + 1e-6).floor().clamp(1.0, 50.0) as u32;
    (0..=n).map(move |i| f64::from(i) * step)
}

/// A tick's label, with as many decimals as its step has.
pub fn tick(value: f64, step: f64) -> String {
    let decimals = (0..6).find(|d| (step * 10f64.powi(*d) - (step * 10f64.powi(*d)).round()).abs() < 1e-6).unwrap_or(6);
    match value {
        v if v >= 1e6 => format::si(v),
        v if decimals == 0 => format::grouped(v.round() as u64),
        v => format!("{v:.*}", decimals as usize),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ui::theme::{Depth, Marker};
    use proptest::prelude::*;

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
    fn each_level_has_its_name_and_its_band() {
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
        assert!(!show(&scope, 80, 24).concat().contains(" 200 W "), "no name is longer than its level");
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
        assert!(show(&scope, 60, 10)[0].starts_with("8"), "{:#?}", show(&scope, 60, 10));
    }

    proptest! {
        #[test]
        fn columns_stand_still(now in 0u64..1 << 40, later in 0u64..1 << 36, count in 1u32..300, t in 0u64..1 << 40) {
            let (a, b) = (Bins::new(now, 60 * S, count), Bins::new(now + later, 60 * S, count));
            if let (Some(x), Some(y)) = (a.column(t), b.column(t)) {
                prop_assert_eq!(i64::from(x) + a.first, i64::from(y) + b.first);
            }
            prop_assert!(a.column(now).is_some_and(|c| c + 1 + count / 4 + 1 >= count));
        }

        #[test]
        fn axes_are_round_and_high_enough(highest in 1e-6..1e9f64, rows in 1u16..60) {
            let (top, step) = scale(highest, rows);
            prop_assert!(top >= highest * 0.999_999 && top <= highest * 12.0, "{top}");
            prop_assert!((top / step).round() <= 11.0);
        }
    }
}
