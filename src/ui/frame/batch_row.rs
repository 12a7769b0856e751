//! The row of batch sizes. An open prompt takes its place, and so does a message where there is no footer for it.

use super::sweep;
use crate::{
    event::Config,
    ui::{
        action::Action,
        batch_prompt::BatchPrompt,
        status,
        theme::Role,
        view::View,
        widgets::{
            batch_selector::{BatchSelector, Outcome},
            pane::{Part, row, row_right},
        },
    },
};
use ratatui::{buffer::Buffer, layout::Rect};

/// Least columns for the legend.
const LEGEND: u16 = 12;

/// Draws it into one row; gives what can be clicked. `footer`: whether the screen has a footer, where messages and the progress
/// of a sweep are shown.
pub fn draw(view: &View<'_>, area: Rect, footer: bool, buffer: &mut Buffer) -> Vec<(Rect, Action)> {
    let theme = view.theme;
    if let Some(prompt) = &view.ui.prompt {
        row(&prompt_parts(prompt), theme, area, buffer);
        return Vec::new();
    }
    if let Some(part) = status::message(view).filter(|_| !footer) {
        row(&[part], theme, area, buffer);
        return Vec::new();
    }
    if !footer && view.sweeping() {
        sweep::progress(view, area, buffer);
        return Vec::new();
    }
    let Some(config) = view.wanted.or(view.config()) else { return Vec::new() };
    let selector = selector(view, config);
    let areas = selector.render(theme, area, buffer);
    let left = area.width.saturating_sub(selector.columns(theme) + 2);
    if left >= LEGEND {
        let legend = Part::new(0, Role::Dim, format!("{} measured ", theme.pick("•", "*")));
        row_right(&[legend], theme, Rect { x: area.right() - left, width: left, ..area }, buffer);
    }
    areas.into_iter().map(|(area, batch)| (area, Action::Batch(batch))).collect()
}

fn prompt_parts(prompt: &BatchPrompt) -> [Part; 3] {
    let said = match &prompt.error {
        Some(error) => Part::new(0, Role::Bad, error.clone()),
        None => Part::new(1, Role::Dim, "enter runs it, esc does not"),
    };
    [Part::new(0, Role::Title, " BATCH "), Part::new(0, Role::Strong, format!("{}_ ", prompt.text)).joined(), said]
}

/// The batch sizes with their outcomes for a configuration's network, precision and device.
fn selector(view: &View<'_>, config: &Config) -> BatchSelector {
    let same = |c: &Config| c.network == config.network && c.precision == config.precision && c.device == config.device;
    let mut selector = BatchSelector { current: config.batch, ..BatchSelector::default() };
    for result in view.results().iter().filter(|r| same(&r.config)) {
        selector.outcomes.insert(result.config.batch, Outcome::Measured);
    }
    for (failed, failure) in view.state.failures.iter().filter(|(c, _)| same(c)) {
        let outcome = if failure.out_of_memory { Outcome::OutOfMemory } else { Outcome::Failed };
        selector.outcomes.insert(failed.batch, outcome);
    }
    selector
}
