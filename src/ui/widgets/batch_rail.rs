//! The batch sizes side by side: which one runs, which were measured, and which did not fit.

use super::pane::text;
use crate::ui::theme::{Role, Theme};
use ratatui::{buffer::Buffer, layout::Rect};
use std::collections::{BTreeMap, BTreeSet};

/// What is known about a batch size of the current network, precision and device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Known {
    /// It was steady.
    Measured,
    /// It did not fit into memory.
    OutOfMemory,
    /// It did not run for another reason.
    Failed,
}

/// Everything that the rail shows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rail {
    /// The batch size asked for.
    pub current: u32,
    /// What is known about others, and about it.
    pub known: BTreeMap<u32, Known>,
}

/// Powers of two that are always on the rail.
const USUAL: u32 = 512;

impl Rail {
    fn entries(&self) -> BTreeSet<u32> {
        let highest = self.known.keys().copied().chain([self.current, USUAL]).max().unwrap_or(USUAL);
        let powers = (0..31).map(|i| 1u32 << i).take_while(|b| *b <= highest);
        powers.chain(self.known.keys().copied()).chain([self.current]).filter(|b| *b > 0).collect()
    }

    fn label(&self, batch: u32, theme: Theme) -> (String, Role) {
        let (mark, role) = match self.known.get(&batch) {
            Some(Known::Measured) => (theme.pick("•", "*"), Role::Strong),
            Some(Known::OutOfMemory) => (" OOM", Role::Bad),
            Some(Known::Failed) => ("!", Role::Bad),
            None => ("", Role::Dim),
        };
        match batch == self.current {
            true => (format!("[{batch}{mark}]"), if role == Role::Bad { role } else { Role::Current }),
            false => (format!(" {batch}{mark} "), role),
        }
    }

    /// Draws it into the first row of `area`; gives back where each batch size can be clicked. Where it is too long, the
    /// current one stays in the middle.
    pub fn render(&self, theme: Theme, area: Rect, buffer: &mut Buffer) -> Vec<(Rect, u32)> {
        let area = area.intersection(buffer.area);
        if area.is_empty() {
            return Vec::new();
        }
        let title = if area.width >= 40 { " BATCH " } else { " " };
        let start = area.x + text(area.x, area.y, title, theme.style(Role::Title), area, buffer);
        let room = area.right().saturating_sub(start);
        let labels: Vec<_> = self.entries().into_iter().map(|b| (b, self.label(b, theme))).collect();
        let width =
            |range: &[(u32, (String, Role))]| range.iter().map(|(_, (l, _))| l.chars().count() + 1).sum::<usize>();
        let mut shown = &labels[..];
        while width(shown) > usize::from(room) && shown.len() > 1 {
            let at = shown.iter().position(|(b, _)| *b == self.current).unwrap_or(0);
            shown = if at > shown.len() / 2 { &shown[1..] } else { &shown[..shown.len() - 1] };
        }
        let mut hits = Vec::new();
        let mut x = start;
        for (batch, (label, role)) in shown {
            let width = text(x, area.y, label, theme.style(*role), area, buffer);
            hits.push((Rect { x, width, height: 1, ..area }, *batch));
            x += width + 1;
        }
        hits
    }

    /// Columns that the whole rail takes.
    pub fn columns(&self, theme: Theme) -> u16 {
        7 + self.entries().into_iter().map(|b| self.label(b, theme).0.chars().count() as u16 + 1).sum::<u16>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn show(rail: &Rail, width: u16) -> String {
        let area = Rect::new(0, 0, width, 1);
        let mut buffer = Buffer::empty(area);
        let hits = rail.render(Theme::default(), area, &mut buffer);
        assert!(hits.iter().all(|(r, _)| r.right() <= width));
        (0..width).map(|x| buffer[(x, 0)].symbol().to_owned()).collect::<String>().trim_end().to_owned()
    }

    #[test]
    fn an_odd_batch_stands_in_its_place_and_failures_say_so() {
        let known = BTreeMap::from([(8, Known::Measured), (512, Known::OutOfMemory)]);
        let rail = Rail { current: 24, known };
        assert_eq!(show(&rail, 90), " BATCH  1   2   4   8•   16  [24]  32   64   128   256   512 OOM");
        assert_eq!(show(&rail, 30), "  4   8•   16  [24]  32   64");
    }
}
