//! One big number with its unit, details and trend.

use super::{
    big::{self, Size},
    pane::{Part, columns, frame, pack, place, row, text, wrapped},
    sparkline,
};
use crate::{
    event::Nanos,
    session::Series,
    ui::theme::{Role, Theme},
};
use ratatui::{buffer::Buffer, layout::Rect};
use std::borrow::Cow;

/// A number, or why there is none.
#[derive(Clone, Debug, PartialEq)]
pub enum Number {
    /// The number as printed, and its role.
    Value(String, Role),
    /// Not measured yet: what it waits for.
    Waiting(String),
    /// Can't be measured: the reason.
    Absent(String),
}

/// The value of the pinned configuration, A, that the number is compared with.
#[derive(Clone, Debug)]
pub struct Reference {
    /// A's value.
    pub a: f64,
    /// The value of the current run, once it is steady.
    pub now: Option<f64>,
    /// End of the scale, where the quantity has one: 100 %, the power cap.
    pub top: Option<f64>,
    /// A's value and the difference as text.
    pub parts: Vec<Part>,
}

impl Reference {
    /// Draws both on the lower border of a frame: a bar for the current value, and an A at A's.
    fn render(&self, theme: Theme, area: Rect, buffer: &mut Buffer) {
        let width = area.width.saturating_sub(2);
        if area.height < 3 || width < 8 {
            return;
        }
        let longest = self.a.max(self.now.unwrap_or(0.0));
        // A scale without an end of its own is a little longer than the larger value.
        let top = self.top.filter(|top| *top >= longest).unwrap_or(longest * 1.1);
        let cell = |value: f64| ((value / top * f64::from(width)) as u16).min(width - 1);
        let (x, y) = (area.x + 1, area.bottom() - 1);
        if let Some(now) = self.now.filter(|_| top > 0.0) {
            let bar = theme.pick("━", "=").repeat(usize::from(cell(now)) + 1);
            text(x, y, &bar, theme.style(Role::Trace), area, buffer);
        }
        if top > 0.0 {
            text(x + cell(self.a), y, "A", theme.style(Role::Current), area, buffer);
        }
    }
}

/// Everything that a gauge shows.
#[derive(Clone, Debug)]
pub struct Gauge<'a> {
    /// `LATENCY`.
    pub title: &'static str,
    /// The number.
    pub number: Number,
    /// Its unit, and the same in short.
    pub unit: (Cow<'static, str>, Cow<'static, str>),
    /// Details in order of importance, a row each.
    pub details: Vec<Vec<Part>>,
    /// Its trend, and the upper end of the trend's axis where that is known.
    pub trend: Option<(&'a Series, Option<f64>)>,
    /// The value that it is compared with.
    pub reference: Option<Reference>,
}

impl Gauge<'_> {
    /// Draws it in a frame, its number in `size` or the next smaller one that fits.
    pub fn render(&self, time: (Nanos, Nanos), size: Size, theme: Theme, area: Rect, buffer: &mut Buffer) {
        let beside = self.fitting(size, area.width.saturating_sub(3)).1;
        let mut title = vec![Part::new(0, Role::Title, self.title)];
        if !beside && matches!(self.number, Number::Value(..)) {
            title.push(Part::new(1, Role::Plain, format!(" {}", self.unit.1)).joined());
        }
        let inner = frame(&title, theme, area, buffer);
        if let Some(reference) = &self.reference {
            reference.render(theme, area, buffer);
        }
        let inner = Rect { x: inner.x + 1, width: inner.width.saturating_sub(1), ..inner };
        match &self.number {
            Number::Absent(reason) => {
                let text = Rect { width: inner.width.saturating_sub(1), ..inner };
                wrapped(reason, Role::Warn, theme, text, buffer);
                return;
            }
            Number::Waiting(reason) => {
                let top = size.rows().min(inner.height);
                // A small dash: it must not look as important as a number.
                let dash = self.fitting(size, inner.width).0.min(Size::Tall);
                let down = (top - dash.rows().min(top)) / 2;
                let at = Rect { y: inner.y + down, height: top - down, ..inner };
                big::render("--", dash, Role::Dim, theme, at, buffer);
                let below = Rect { y: inner.y + top, height: inner.height - top, ..inner };
                let below = Rect { width: below.width.saturating_sub(1), ..below };
                if wrapped(reason, Role::Dim, theme, below, buffer) == below.height {
                    // The reason has taken the row of the trend.
                    return;
                }
            }
            Number::Value(value, role) => self.value((value, *role), size, theme, inner, buffer),
        }
        self.trend(time, size, theme, inner, buffer);
    }

    /// The largest size at which the number fits, and whether the unit fits beside it.
    fn fitting(&self, size: Size, width: u16) -> (Size, bool) {
        let Number::Value(value, _) = &self.number else {
            return (if width >= 8 { size } else { Size::Line }, true);
        };
        let size = [size, Size::Tall, Size::Line].into_iter().find(|s| *s <= size && s.columns(value) <= width);
        let size = size.unwrap_or(Size::Line);
        (size, size.columns(value) + 1 + columns(&self.unit.1) as u16 <= width)
    }

    fn value(&self, (value, role): (&str, Role), size: Size, theme: Theme, inner: Rect, buffer: &mut Buffer) {
        let (fits, beside) = self.fitting(size, inner.width);
        let rows = size.rows().min(inner.height);
        let below = (rows - fits.rows().min(rows)) / 2;
        let at = Rect { y: inner.y + below, height: rows - below, ..inner };
        big::render(value, fits, role, theme, at, buffer);
        if beside {
            let width = fits.columns(value) + 1;
            let long = columns(&self.unit.0) as u16 + width <= inner.width;
            let unit = theme.text(if long { &*self.unit.0 } else { &*self.unit.1 });
            let y = inner.y + below + fits.rows().min(rows).saturating_sub(1);
            text(inner.x + width, y, &unit, theme.style(Role::Plain), inner, buffer);
        }
        let left = inner.height - rows;
        // The trend has the last row, the details those before it.
        let details = usize::from(if left > 1 && self.trend.is_some() { left - 1 } else { left });
        // The comparison comes first where there is one.
        let all = self.reference.iter().map(|reference| &reference.parts).chain(&self.details);
        for (i, parts) in all.take(details).enumerate() {
            row(parts, theme, Rect { y: inner.y + rows + i as u16, height: 1, ..inner }, buffer);
        }
    }

    fn trend(&self, time: (Nanos, Nanos), size: Size, theme: Theme, inner: Rect, buffer: &mut Buffer) {
        let Some((series, top)) = self.trend else { return };
        if inner.height >= size.rows() + 2 && inner.width > 1 {
            let last = Rect { y: inner.bottom() - 1, height: 1, width: inner.width - 1, ..inner };
            sparkline::render(series, time, top, theme, last, buffer);
        }
    }

    /// Draws it in one row, where there is no room for a frame.
    pub fn line(&self, theme: Theme, area: Rect, buffer: &mut Buffer) {
        place(&pack(&self.parts(true), area.width, theme), area, buffer);
    }

    /// The parts of a row, with or without its title.
    pub fn parts(&self, title: bool) -> Vec<Part> {
        let mut parts = Vec::new();
        if title {
            parts.push(Part::new(1, Role::Dim, format!("{:<12}", self.title)));
        }
        match &self.number {
            Number::Value(value, role) => {
                let value = Part::new(0, *role, value.clone());
                parts.push(if title { value.joined() } else { value });
                parts.push(Part::new(0, Role::Plain, format!(" {}", self.unit.1)).joined());
                parts.extend(self.reference.iter().flat_map(|reference| reference.parts.iter().cloned()));
                if title {
                    parts.extend(self.details.iter().flatten().cloned());
                }
            }
            Number::Waiting(reason) => parts.push(Part::new(0, Role::Dim, reason.clone()).joined()),
            Number::Absent(reason) => parts.push(Part::new(0, Role::Warn, reason.clone()).joined()),
        }
        parts
    }
}
