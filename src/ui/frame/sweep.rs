//! Sweeps, on every screen: the dialog that asks for one, and the row with its progress.

use super::overlay;
use crate::{
    format::roughly,
    ui::{
        sweep_dialog::{Networks, SweepDialog, expected_seconds},
        theme::Role,
        view::View,
        widgets::pane::{Part, row},
    },
};
use ratatui::{buffer::Buffer, layout::Rect};

/// Cells of the progress bar.
const BAR: usize = 24;

/// Draws the progress of the sweep in one row.
pub fn progress(view: &View<'_>, area: Rect, buffer: &mut Buffer) {
    let shared = view.fleet.shared_sweep();
    let Some(sweep) = shared.as_ref().or(view.state.sweep.as_ref()) else { return };
    let (count, all) = (sweep.count(), sweep.total());
    let filled = BAR * count / all.max(1);
    let bar = view.theme.pick("━", "=").repeat(filled);
    let rest = view.theme.pick("─", "-").repeat(BAR - filled);
    let mut parts = vec![
        Part::new(0, Role::Title, " SWEEP  "),
        Part::new(3, Role::Steady, bar).joined(),
        Part::new(3, Role::Dim, rest + "  ").joined(),
        Part::new(0, Role::Strong, format!("{count}/{all}")).joined(),
    ];
    if sweep.failures() > 0 {
        parts.push(Part::new(2, Role::Bad, format!("{} failed or skipped", sweep.failures())));
    }
    parts.push(match sweep.is_on() {
        true => Part::new(1, Role::Plain, format!("about {} left", roughly(sweep.seconds_left(view.state.now)))),
        false => Part::new(1, Role::Plain, "reading idle power once more"),
    });
    parts.push(Part::new(4, Role::Dim, format!("{} s each, in random order", sweep.plan.seconds)));
    if view.drives_sweep {
        parts.push(Part::new(0, Role::Dim, "esc stops it"));
    }
    row(&parts, view.theme, area, buffer);
}

/// Draws the dialog; one row of it where there is no room for all.
pub fn dialog(view: &View<'_>, dialog: &SweepDialog, area: Rect, buffer: &mut Buffer) {
    if area.height < 9 || area.width < 44 {
        return row(&[Part::new(0, Role::Title, " SWEEP "), cost(view, dialog)], view.theme, area, buffer);
    }
    let title = [Part::new(0, Role::Title, "SWEEP"), Part::new(1, Role::Dim, setting(view))];
    let inner = overlay::open(view, &title, area, 62, 6, buffer);
    let rows = [
        ("networks", networks(view, dialog)),
        ("batch sizes", batches(dialog)),
        ("rounds", value(&dialog.rounds.to_string())),
    ];
    for (i, (label, parts)) in rows.into_iter().enumerate() {
        let current = i == dialog.row;
        let mark = if current { view.theme.pick("▸", ">") } else { " " };
        let role = if current { Role::Strong } else { Role::Plain };
        let label = Part::new(0, role, format!("{mark} {label:<13}"));
        line(i as u16, [vec![label], parts].concat(), view, inner, buffer);
    }
    line(4, vec![cost(view, dialog)], view, inner, buffer);
    let keys = format!("{} choose · enter begins · esc does not", view.theme.pick("← → ↑ ↓", "arrows"));
    line(5, vec![Part::new(0, Role::Dim, keys)], view, inner, buffer);
}

fn line(at: u16, parts: Vec<Part>, view: &View<'_>, inner: Rect, buffer: &mut Buffer) {
    if at < inner.height {
        row(&parts, view.theme, Rect { y: inner.y + at, height: 1, ..inner }, buffer);
    }
}

fn setting(view: &View<'_>) -> String {
    view.wanted.map(|c| format!("{} on {}", c.precision, c.device)).unwrap_or_default()
}

fn networks(view: &View<'_>, dialog: &SweepDialog) -> Vec<Part> {
    let current = view.wanted.map(|c| view.title(&c.network)).unwrap_or_default();
    let name = |n: Networks| match n {
        Networks::Current => current.clone(),
        Networks::Paper => format!("the paper's {}", view.options.paper.len()),
        Networks::All => format!("all {}", view.networks().len()),
    };
    let part = |n: Networks| {
        let role = if n == dialog.networks { Role::Current } else { Role::Dim };
        [Part::new(0, role, format!(" {} ", name(n))).joined(), Part::new(0, Role::Plain, " ").joined()]
    };
    Networks::CHOICES.into_iter().flat_map(part).collect()
}

fn batches(dialog: &SweepDialog) -> Vec<Part> {
    let mut parts = value(&dialog.largest_batch().to_string());
    parts.insert(0, Part::new(0, Role::Plain, "up to ").joined());
    parts.push(Part::new(0, Role::Plain, " in powers of two").joined());
    parts
}

fn value(text: &str) -> Vec<Part> {
    vec![Part::new(0, Role::Current, format!(" {text} ")).joined()]
}

/// How many measurements the sweep takes, and about how long.
fn cost(view: &View<'_>, dialog: &SweepDialog) -> Part {
    let Some(config) = view.wanted else { return Part::new(0, Role::Warn, "waiting for the devices") };
    let plan = dialog.plan(config, &view.networks(), &view.options.paper, 0);
    let seconds = expected_seconds(&plan, view.state);
    let steps = if plan.steps() == 1 { "1 measurement".to_owned() } else { format!("{} measurements", plan.steps()) };
    Part::new(0, Role::Plain, format!("{steps}, about {}", roughly(seconds)))
}
