//! The paper's four claims, each with its data, its figure and its verdict on this device.

use super::Drawn;
use crate::{
    analysis::findings::{Finding, Verdict, findings},
    ui::{
        theme::{Role, Theme},
        view::View,
        widgets::{
            pane::{Part, frame, row, wrap, wrapped},
            plot::{Curve, Plot},
        },
    },
};
use ratatui::{buffer::Buffer, layout::Rect};

/// Draws it: two by two with figures where there is room, otherwise as many as fit below each other.
pub fn draw(view: &View<'_>, area: Rect, buffer: &mut Buffer, drawn: &mut Drawn) {
    let Some(config) = view.config() else {
        wrapped(
            "the findings are questions to what was measured: nothing was yet",
            Role::Dim,
            view.theme,
            area,
            buffer,
        );
        return;
    };
    let findings = findings(&view.state.all_results(), &view.state.networks, &config.device, config.precision);
    let (columns, rows): (u16, u16) = match (area.width, area.height) {
        (100.., 14..) => (2, 2),
        (_, 16..) => (1, 4),
        (_, height) => (1, (height / 4).max(1)),
    };
    let shown = usize::from(columns * rows);
    let first = view.looks.scroll.min(4usize.saturating_sub(shown));
    drawn.page = shown;
    drawn.last_page = 4usize.saturating_sub(shown);
    let plot_height = area.height / rows;
    for (i, finding) in findings.iter().skip(first).take(shown).enumerate() {
        let (column, line) = (i as u16 % columns, i as u16 / columns);
        let (x, y) = (area.width * column / columns, area.height * line / rows);
        let width = area.width * (column + 1) / columns - x;
        let height = area.height * (line + 1) / rows - y;
        let cell = Rect { x: area.x + x, y: area.y + y, width, height };
        panel(view, finding, plot_height >= 10, cell, buffer);
    }
}

fn look(verdict: Verdict) -> Role {
    match verdict {
        Verdict::Supported => Role::Steady,
        Verdict::Contradicted => Role::Bad,
        Verdict::Undecided => Role::Warn,
        Verdict::NotEnough => Role::Dim,
    }
}

fn panel(view: &View<'_>, finding: &Finding, figure: bool, area: Rect, buffer: &mut Buffer) {
    let theme = view.theme;
    let title = [
        Part::new(0, Role::Title, finding.number.to_string()),
        Part::new(0, look(finding.verdict), format!(" {}", finding.verdict.words())).joined(),
        Part::new(1, Role::Plain, format!("n = {}", finding.points.len())),
        Part::new(2, Role::Dim, finding.scope.clone()),
    ];
    let inner = frame(&title, theme, area, buffer);
    let mut inner = Rect { x: inner.x + 1.min(inner.width), width: inner.width.saturating_sub(2), ..inner };
    let claim = wrapped(&format!("“{}”", finding.claim), Role::Plain, theme, inner, buffer);
    inner.y += claim;
    inner.height -= claim;
    let says = theme.text(finding.says.as_str()).into_owned();
    let needs = (wrap(&says, usize::from(inner.width)).len() as u16).min(inner.height);
    let plot = Rect { height: inner.height - needs, ..inner };
    let says_at = if figure && !finding.points.is_empty() { plot.bottom() } else { inner.y };
    let says_area = Rect { y: says_at, height: inner.bottom() - says_at, ..inner };
    wrapped(&says, look(finding.verdict), theme, says_area, buffer);
    if figure && !finding.points.is_empty() {
        draw_figure(finding, theme, plot, buffer);
    }
}

fn draw_figure(finding: &Finding, theme: Theme, mut area: Rect, buffer: &mut Buffer) {
    if area.height >= 7 {
        row(&[Part::new(0, Role::Dim, finding.axes.1)], theme, super::top(&mut area), buffer);
    }
    let lowest = finding.points.iter().map(|p| p.y).fold(f64::INFINITY, f64::min);
    let accuracy = finding.axes.1.starts_with("top-1");
    let points = finding.points.iter().map(|p| (p.x, p.y, Some(p.network.clone()))).collect();
    let plot = Plot {
        curves: vec![Curve { points, role: Role::Trace, joined: false }],
        line: finding.line.map(|l| (l.intercept, l.slope)),
        batches: finding.number == 1,
        // Accuracies lie close together: an axis from 0 would show none of it.
        floor: if accuracy { (lowest / 10.0 - 0.2).floor().max(0.0) * 10.0 } else { 0.0 },
        x_name: finding.axes.0,
        ..Plot::default()
    };
    plot.render(theme, area, buffer);
}
