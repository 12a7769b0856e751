//! The batch sizes in a row: which one is selected, which were measured, and which did not fit into memory.

use super::pane::text;
use crate::ui::theme::{Role, Theme};
use ratatui::{buffer::Buffer, layout::Rect};
use std::collections::{BTreeMap, BTreeSet};

/// The outcome of a batch size with the current network, precision and device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It was measured.
    Measured,
    /// It did not fit into memory.
    OutOfMemory,
    /// It failed for another reason.
    Failed,
}

/// Everything that the row shows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BatchSelector {
    /// The selected batch size.
    pub current: u32,
    /// Outcomes by batch size.
    pub outcomes: BTreeMap<u32, Outcome>,
}

/// Powers of two up to this one are always shown.
const USUAL: u32 = 512;

impl BatchSelector {
    fn entries(&self) -> BTreeSet<u32> {
        let highest = self.outcomes.keys().copied().chain([self.current, USUAL]).max().unwrap_or(USUAL);
        let powers = (0..31).map(|i| 1u32 << i).take_while(|b| *b <= highest);
        powers.chain(self.outcomes.keys().copied()).chain([self.current]).filter(|b| *b > 0).collect()
    }

    fn label(&self, batch: u32, theme: Theme) -> (String, Role) {
        let (mark, role) = match self.outcomes.get(&batch) {
            Some(Outcome::Measured) => (theme.pick("•", "*"), Role::Strong),
            Some(Outcome::OutOfMemory) => (" OOM", Role::Bad),
            Some(Outcome::Failed) => ("!", Role::Bad),
            None => ("", Role::Dim),
        };
        match batch == self.current {
            true => (format!("[{batch}{mark}]"), if role == Role::Bad { role } else { Role::Current }),
            false => (format!(" {batch}{mark} "), role),
        }
    }

    /// Draws it into the first row of `area`; gives the area of each batch size. Where there is too little room, those around
    /// the selected one are shown.
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
        let mut areas = Vec::new();
        let mut x = start;
        for (batch, (label, role)) in shown {
            let width = text(x, area.y, label, theme.style(*role), area, buffer);
            areas.push((Rect { x, width, height: 1, ..area }, *batch));
            x += width + 1;
        }
        areas
    }

    /// Columns that the whole row takes.
    pub fn columns(&self, theme: Theme) -> u16 {
        7 + self.entries().into_iter().map(|b| self.label(b, theme).0.chars().count() as u16 + 1).sum::<u16>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn show(selector: &BatchSelector, width: u16) -> String {
        let area = Rect::new(0, 0, width, 1);
        let mut buffer = Buffer::empty(area);
        let areas = selector.render(Theme::default(), area, &mut buffer);
        assert!(areas.iter().all(|(r, _)| r.right() <= width));
        (0..width).map(|x| buffer[(x, 0)].symbol().to_owned()).collect::<String>().trim_end().to_owned()
    }

    #[test]
    fn an_odd_batch_stands_in_its_place_and_failures_say_so() {
        let outcomes = BTreeMap::from([(8, Outcome::Measured), (512, Outcome::OutOfMemory)]);
        let selector = BatchSelector { current: 24, outcomes };
        assert_eq!(show(&selector, 90), " BATCH  1   2   4   8•   16  [24]  32   64   128   256   512 OOM");
        assert_eq!(show(&selector, 30), "  4   8•   16  [24]  32   64");
    }
}
