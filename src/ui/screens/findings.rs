//! The paper's four claims, each with its data, its figure and its verdict on this device.

use super::Drawn;
use crate::{
    analysis::{
        data::{observations, power_caps},
        figure::{Figure, Kind},
        findings::{Finding, Verdict, findings},
    },
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
    let results = view.state.all_results();
    let caps = power_caps(&results, view.state);
    let data = observations(&results, &view.state.networks, &caps);
    let findings = findings(&data, &config.device, config.precision);
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

fn look(verdict: &Verdict) -> Role {
    match verdict {
        Verdict::Supported => Role::Steady,
        Verdict::Contradicted => Role::Bad,
        Verdict::Undecided { .. } => Role::Warn,
    }
}

fn panel(view: &View<'_>, finding: &Finding, figure: bool, area: Rect, buffer: &mut Buffer) {
    let theme = view.theme;
    let title = [
        Part::new(0, Role::Title, finding.number.to_string()),
        Part::new(0, look(&finding.verdict), format!(" {}", finding.verdict.words())).joined(),
        Part::new(1, Role::Plain, format!("n = {}", finding.n)),
        Part::new(2, Role::Dim, finding.scope.clone()),
    ];
    let inner = frame(&title, theme, area, buffer);
    let mut inner = Rect { x: inner.x + 1.min(inner.width), width: inner.width.saturating_sub(2), ..inner };
    let claim = wrapped(&format!("“{}”", finding.claim), Role::Plain, theme, inner, buffer);
    inner.y += claim;
    inner.height -= claim;
    let needs = finding.verdict.needs().map(|n| format!("; needs {n}")).unwrap_or_default();
    let says = theme.text(format!("{}{needs}", finding.says)).into_owned();
    let rows = (wrap(&says, usize::from(inner.width)).len() as u16).min(inner.height);
    let plot = Rect { height: inner.height - rows, ..inner };
    let shown = finding.figures.first().filter(|f| figure && !f.points.is_empty());
    let says_at = if shown.is_some() { plot.bottom() } else { inner.y };
    let says_area = Rect { y: says_at, height: inner.bottom() - says_at, ..inner };
    wrapped(&says, look(&finding.verdict), theme, says_area, buffer);
    if let Some(shown) = shown {
        draw_figure(shown, theme, plot, buffer);
    }
}

fn draw_figure(figure: &Figure, theme: Theme, mut area: Rect, buffer: &mut Buffer) {
    if area.height >= 7 {
        row(&[Part::new(0, Role::Dim, figure.y.title())], theme, super::top(&mut area), buffer);
    }
    let lowest = figure.points.iter().map(|p| p.y).fold(f64::INFINITY, f64::min);
    let points = figure.points.iter().map(|p| (p.x, p.y, Some(p.title.clone()))).collect();
    let fit = figure.curves.iter().find(|c| c.kind == Kind::Fit).map(|c| &c.line);
    let ends = fit.and_then(|l| l.first().zip(l.last())).filter(|(a, b)| a.0 < b.0);
    let plot = Plot {
        curves: vec![Curve { points, role: Role::Trace, joined: false }],
        line: ends.map(|(a, b)| {
            let slope = (b.1 - a.1) / (b.0 - a.0);
            (a.1 - slope * a.0, slope)
        }),
        batches: figure.x.scale == crate::analysis::figure::Scale::Log2,
        floor: if figure.y.from_zero { 0.0 } else { (lowest / 10.0 - 0.2).floor().max(0.0) * 10.0 },
        x_name: figure.x.name,
        ..Plot::default()
    };
    plot.render(theme, area, buffer);
}
