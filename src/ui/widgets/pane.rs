//! Frames with titles, rows of text that leave out their least important parts, and pieces of rectangles.

use crate::ui::theme::{Role, Theme};
use ratatui::{
    buffer::Buffer,
    layout::Rect,
    style::Style,
    symbols::border,
    text::{Line, Span},
    widgets::{Block, Widget},
};

/// Borders of `+`, `-` and `|`.
const ASCII: border::Set<'static> = border::Set {
    top_left: "+",
    top_right: "+",
    bottom_left: "+",
    bottom_right: "+",
    vertical_left: "|",
    vertical_right: "|",
    horizontal_top: "-",
    horizontal_bottom: "-",
};

/// Draws a frame with a title; gives the area inside. An area too small for a frame is given as it is.
pub fn frame(title: &[Part], theme: Theme, area: Rect, buffer: &mut Buffer) -> Rect {
    let area = area.intersection(buffer.area);
    if area.height < 3 || area.width < 3 {
        return area;
    }
    let line = pack(title, area.width.saturating_sub(4), theme);
    let padded = Line::from_iter([vec![Span::raw(" ")], line.spans, vec![Span::raw(" ")]].concat());
    let set = if theme.ascii() { ASCII } else { border::PLAIN };
    let block = Block::bordered().border_set(set).border_style(theme.style(Role::Dim)).title(padded);
    let inner = block.inner(area);
    block.render(area, buffer);
    inner
}

/// A piece of a row: its text, its role, and how soon it is left out where there is no room; the highest number first.
#[derive(Clone, Debug)]
pub struct Part {
    text: String,
    role: Role,
    drop: u8,
    /// Whether it follows the part before it without a separator.
    joined: bool,
}

impl Part {
    /// A part that is left out at `drop`; one of 0 is never left out, but cut off at the end of the row.
    pub fn new(drop: u8, role: Role, text: impl Into<String>) -> Self {
        Self { text: text.into(), role, drop, joined: false }
    }

    /// The same without a separator before it.
    #[must_use]
    pub fn joined(mut self) -> Self {
        self.joined = true;
        self
    }
}

/// The parts that fit into `width`, in their order, separated by ` · `.
pub fn pack(parts: &[Part], width: u16, theme: Theme) -> Line<'static> {
    pack_with(parts, width, " · ", theme)
}

/// [`pack`] with another separator.
pub fn pack_with(parts: &[Part], width: u16, separator: &str, theme: Theme) -> Line<'static> {
    let mut level = parts.iter().map(|p| p.drop).max().unwrap_or(0);
    loop {
        let line = assemble(parts, level, separator, theme);
        if level == 0 || line.width() <= usize::from(width) {
            return cut(line, width, theme);
        }
        level -= 1;
    }
}

fn assemble(parts: &[Part], level: u8, separator: &str, theme: Theme) -> Line<'static> {
    let mut spans: Vec<Span<'static>> = Vec::new();
    for part in parts.iter().filter(|p| p.drop <= level && !p.text.is_empty()) {
        if !spans.is_empty() && !part.joined {
            spans.push(Span::styled(theme.text(separator.to_owned()).into_owned(), theme.style(Role::Dim)));
        }
        spans.push(Span::styled(theme.text(part.text.clone()).into_owned(), theme.style(part.role)));
    }
    Line::from(spans)
}

/// Cuts off a line that is too wide, with an ellipsis.
fn cut(mut line: Line<'static>, width: u16, theme: Theme) -> Line<'static> {
    let width = usize::from(width);
    if line.width() <= width {
        return line;
    }
    if let Some(first) = line.spans.first_mut().filter(|_| width < 3) {
        // The margin would fill it.
        first.content = first.content.trim_start().to_owned().into();
    }
    let dots = theme.pick("…", "~");
    while line.width() + 1 > width {
        let Some(last) = line.spans.last_mut() else { break };
        if last.content.is_empty() {
            line.spans.pop();
        } else {
            last.content.to_mut().pop();
        }
    }
    if width > 0 {
        line.spans.push(Span::raw(dots));
    }
    line
}

/// Splits the first row off an area; an empty one off an empty area.
pub fn take_top(area: &mut Rect) -> Rect {
    let row = Rect { height: 1.min(area.height), ..*area };
    area.y += row.height;
    area.height -= row.height;
    row
}

/// Splits the last row off an area; an empty one off an empty area.
pub fn take_bottom(area: &mut Rect) -> Rect {
    let height = 1.min(area.height);
    area.height -= height;
    Rect { y: area.bottom(), height, ..*area }
}

/// An area without its first and last column.
pub fn padded(area: Rect) -> Rect {
    Rect { x: area.x + 1.min(area.width), width: area.width.saturating_sub(2), ..area }
}

/// Draws parts into the first row of `area`.
pub fn row(parts: &[Part], theme: Theme, area: Rect, buffer: &mut Buffer) {
    place(&pack(parts, area.width, theme), area, buffer);
}

/// Draws parts at the right end of the first row of `area`; gives the columns that they took.
pub fn row_right(parts: &[Part], theme: Theme, area: Rect, buffer: &mut Buffer) -> u16 {
    let line = pack(parts, area.width, theme);
    let width = (line.width() as u16).min(area.width);
    place(&line, Rect { x: area.x + area.width - width, width, ..area }, buffer);
    width
}

/// Draws a line into the first row of `area`, cut off at its right end.
pub fn place(line: &Line<'_>, area: Rect, buffer: &mut Buffer) {
    let area = area.intersection(buffer.area);
    if !area.is_empty() {
        buffer.set_line(area.x, area.y, line, area.width);
    }
}

/// Draws a text at a position inside `area`, cut off at its right end; gives the columns that it took.
pub fn text(x: u16, y: u16, text: &str, style: Style, area: Rect, buffer: &mut Buffer) -> u16 {
    let area = area.intersection(buffer.area);
    if x < area.left() || x >= area.right() || y < area.top() || y >= area.bottom() {
        return 0;
    }
    buffer.set_stringn(x, y, text, usize::from(area.right() - x), style).0 - x
}

/// Draws text wrapped at spaces; gives the rows that it took. Where it does not fit, it ends in an ellipsis.
pub fn wrapped(text: &str, role: Role, theme: Theme, area: Rect, buffer: &mut Buffer) -> u16 {
    let lines = wrap(&theme.text(text), usize::from(area.width));
    let shown = lines.len().min(usize::from(area.height));
    for (i, content) in lines.iter().take(shown).enumerate() {
        let last = i + 1 == shown && lines.len() > shown;
        let content = if last { format!("{content} {}", theme.pick("…", "~")) } else { content.clone() };
        let line = cut(Line::styled(content, theme.style(role)), area.width, theme);
        place(&line, Rect { y: area.y + i as u16, height: 1, ..area }, buffer);
    }
    shown as u16
}

/// Wraps text into lines of at most `width` columns; a longer word is broken.
pub fn wrap(text: &str, width: usize) -> Vec<String> {
    if width == 0 {
        return Vec::new();
    }
    let mut lines: Vec<String> = Vec::new();
    let mut line = String::new();
    for word in text.split_whitespace() {
        if !line.is_empty() && columns(&line) + 1 + columns(word) > width {
            lines.push(std::mem::take(&mut line));
        }
        if !line.is_empty() {
            line.push(' ');
        }
        for c in word.chars() {
            if columns(&line) + columns(c.encode_utf8(&mut [0; 4])) > width {
                lines.push(std::mem::take(&mut line));
            }
            line.push(c);
        }
    }
    lines.extend((!line.is_empty()).then_some(line));
    lines
}

/// A reason of several clauses that are separated by colons, without those in the middle where it is wider than `width`: the
/// first one says what is missing, the last one why.
pub fn elided(reason: &str, width: usize, theme: Theme) -> String {
    match (reason.split_once(": "), reason.rsplit_once(": ")) {
        (Some((first, rest)), Some((_, last))) if columns(reason) > width && rest != last => {
            format!("{first}: {} {last}", theme.pick("…", ".."))
        }
        _ => reason.to_owned(),
    }
}

/// Width of a text on the screen, in columns.
pub fn columns(text: &str) -> usize {
    Span::raw(text).width()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn packed(parts: &[Part], width: u16) -> String {
        pack(parts, width, Theme::default()).to_string()
    }

    #[test]
    fn the_least_important_part_goes_first() {
        let parts =
            [Part::new(0, Role::Plain, "STEADY"), Part::new(2, Role::Plain, "61 °C"), Part::new(1, Role::Dim, "n 19")];
        assert_eq!(packed(&parts, 40), "STEADY · 61 °C · n 19");
        assert_eq!(packed(&parts, 15), "STEADY · n 19");
        assert_eq!(packed(&parts, 10), "STEADY");
        assert_eq!(packed(&parts, 4), "STE…");
        assert_eq!(packed(&parts, 0), "");
    }

    #[test]
    fn a_long_reason_keeps_its_first_and_its_last_clause() {
        let reason = "no power sensor: /sys/class/powercap/x: permission denied";
        assert_eq!(elided(reason, 80, Theme::default()), reason);
        assert_eq!(elided(reason, 50, Theme::default()), "no power sensor: … permission denied");
        assert_eq!(elided("no power sensor: libnvidia-ml.so.1 not found", 9, Theme::default()).len(), 44);
    }

    proptest! {
        #[test]
        fn wrapped_lines_fit_and_keep_every_word(text in "[a-zé日 ]{0,80}", width in 2usize..30) {
            let lines = wrap(&text, width);
            prop_assert!(lines.iter().all(|l| columns(l) <= width));
            let joined: String = lines.concat().split_whitespace().collect();
            prop_assert_eq!(joined, text.split_whitespace().collect::<String>());
        }

        #[test]
        fn a_row_never_exceeds_its_width(texts in prop::collection::vec("\\PC{0,12}", 0..6), width in 0u16..60) {
            let parts: Vec<_> = texts.iter().enumerate().map(|(i, t)| Part::new(i as u8, Role::Plain, t.clone())).collect();
            prop_assert!(pack(&parts, width, Theme::default()).width() <= usize::from(width));
        }
    }
}
