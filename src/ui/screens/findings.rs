//! The paper's four claims, each with its data, its figure and its verdict on this device.

use super::Drawn;
use crate::{
    analysis::{
        figure::{Curve as Drawing, Figure, Kind, Point, Scale},
        findings::{Estimate, Finding, Verdict, affordable},
        stats::median,
    },
    event::{Accuracy, Share},
    ui::{
        format,
        memo::Insight,
        theme::{Role, Theme},
        view::View,
        widgets::{
            fitted::Fitted,
            pane::{Part, frame, row, wrap, wrapped},
            plot::{Curve, Mark, Plot},
            table::{Column, Table},
        },
    },
};
use ratatui::{buffer::Buffer, layout::Rect};

/// Room from which all four are shown with their figures.
const OVERVIEW: (u16, u16) = (100, 28);

/// Columns that the table of estimates takes beside a figure, and below which it is left out.
const ESTIMATES: u16 = 66;

/// Value below which a number of the table is only said to be small: a probability of 10⁻²⁰ is no better than one of 10⁻³.
const SMALLEST: f64 = 0.001;

/// Draws it: all four where there is room, and a page each.
pub fn draw(view: &View<'_>, area: Rect, buffer: &mut Buffer, drawn: &mut Drawn) {
    let Some(insight) = view.insight() else {
        let text = "the findings are questions to what was measured: nothing was yet";
        wrapped(text, Role::Dim, view.theme, area, buffer);
        return;
    };
    let overview = area.width >= OVERVIEW.0 && area.height >= OVERVIEW.1;
    let pages = if overview { 5 } else { 4 };
    drawn.page = 1;
    drawn.last_page = pages - 1;
    let page = view.looks.scroll.min(pages - 1);
    let mut area = area;
    if area.height >= 12 {
        strip(view, &insight, page.checked_sub(pages - 4), super::top(&mut area), buffer);
    }
    if let Some(text) = own_accuracies(view).filter(|_| area.height >= 14) {
        row(&[Part::new(0, Role::Dim, text)], view.theme, super::bottom(&mut area), buffer);
    }
    let Some(single) = page.checked_sub(pages - 4) else {
        for (i, finding) in insight.findings.iter().enumerate() {
            let (column, line) = (i as u16 % 2, i as u16 / 2);
            let (x, y) = (area.width * column / 2, area.height * line / 2);
            let (width, height) = (area.width * (column + 1) / 2 - x, area.height * (line + 1) / 2 - y);
            panel(view, finding, Rect { x: area.x + x, y: area.y + y, width, height }, buffer);
        }
        return;
    };
    let finding = &insight.findings[single];
    let table = if area.width >= 2 * ESTIMATES && !finding.estimates.is_empty() { ESTIMATES } else { 0 };
    panel(view, finding, Rect { width: area.width - table, ..area }, buffer);
    if table > 0 {
        let right = Rect { x: area.right() - table, width: table, ..area };
        let inner = frame(&[Part::new(0, Role::Title, "behind the verdict")], view.theme, right, buffer);
        estimates(&finding.estimates).render(0, view.theme, padded(inner), buffer);
    }
}

/// The energy budget in force, J an image: the user's, or what half of the networks fit into. None without energies.
pub fn budget(view: &View<'_>) -> Option<f64> {
    let insight = view.insight()?;
    let energies = insight.findings[2].figures.first()?;
    let half = median(energies.points.iter().map(|p| p.x))?;
    Some(view.looks.budget.unwrap_or(half))
}

/// The accuracies that were measured on this host, beside the published ones that the findings are about; none without any.
fn own_accuracies(view: &View<'_>) -> Option<String> {
    let own = |(id, own): (&String, &Accuracy)| {
        let published =
            view.facts(id).and_then(|facts| facts.top1).map_or_else(String::new, |p| format!(" for {p:.1}"));
        let Share { percent, low, high } = own.top1;
        format!("{} {percent:.1} [{low:.1}, {high:.1}]{published}", view.title(id))
    };
    let all: Vec<_> = view.state.accuracies.iter().map(own).collect();
    (!all.is_empty()).then(|| format!(" accuracy is as published; top-1 % measured here: {}", all.join(", ")))
}

fn padded(area: Rect) -> Rect {
    Rect { x: area.x + 1.min(area.width), width: area.width.saturating_sub(2), ..area }
}

fn look(verdict: &Verdict) -> Role {
    match verdict {
        Verdict::Supported => Role::Steady,
        Verdict::Contradicted => Role::Bad,
        Verdict::Undecided { .. } => Role::Warn,
    }
}

/// The four verdicts in a row, and how to go from one to the next.
fn strip(view: &View<'_>, insight: &Insight, single: Option<usize>, area: Rect, buffer: &mut Buffer) {
    let mut parts = Vec::new();
    for (i, f) in insight.findings.iter().enumerate() {
        let role = if single == Some(i) { Role::Current } else { Role::Title };
        parts.push(Part::new(0, role, format!(" {} ", f.number)));
        parts.push(Part::new(if single == Some(i) { 1 } else { 2 }, Role::Plain, format!(" {}", f.title)).joined());
        parts.push(Part::new(0, look(&f.verdict), format!(" {}", f.verdict.words())).joined());
    }
    parts.push(Part::new(3, Role::Dim, "[ ] one by one"));
    row(&parts, view.theme, area, buffer);
}

fn panel(view: &View<'_>, finding: &Finding, area: Rect, buffer: &mut Buffer) {
    let theme = view.theme;
    let title = [
        Part::new(0, Role::Title, finding.number.to_string()),
        Part::new(0, look(&finding.verdict), format!(" {}", finding.verdict.words())).joined(),
        Part::new(1, Role::Plain, format!("n = {}", finding.n)),
        Part::new(2, Role::Dim, finding.scope.clone()),
    ];
    let mut inner = padded(frame(&title, theme, area, buffer));
    let claim = wrapped(&format!("“{}”", finding.claim), Role::Plain, theme, inner, buffer);
    inner.y += claim;
    inner.height -= claim;
    let said = said(view, finding);
    let width = usize::from(inner.width);
    let rows = |role_text: &(Role, String)| wrap(&theme.text(role_text.1.as_str()), width).len() as u16;
    let mut below: u16 = said.iter().map(rows).sum();
    let figure = main_figure(finding).filter(|f| !f.points.is_empty() && inner.height >= below + 5);
    if let Some(figure) = figure {
        let plot = Rect { height: inner.height - below, ..inner };
        let budget = if finding.number == 3 { budget(view) } else { None };
        draw_figure(figure, budget, theme, plot, buffer);
        inner.y += plot.height;
        inner.height -= plot.height;
    }
    for (role, text) in &said {
        let taken = wrapped(text, *role, theme, Rect { height: inner.height.min(below), ..inner }, buffer);
        below = below.saturating_sub(taken);
        inner.y += taken;
        inner.height -= taken;
    }
}

/// The verdict's sentence, what it needs, and what the budget buys.
fn said(view: &View<'_>, finding: &Finding) -> Vec<(Role, String)> {
    let role = look(&finding.verdict);
    let mut said = Vec::new();
    match finding.verdict.needs() {
        // What there is no data for says so once.
        Some(needs) if finding.says.ends_with(needs) => said.push((role, finding.says.clone())),
        Some(needs) => {
            said.push((Role::Plain, finding.says.clone()));
            said.push((role, format!("needs {needs}")));
        }
        None => said.push((role, finding.says.clone())),
    }
    if let Some(budget) = budget(view).filter(|_| finding.number == 3) {
        said.push((Role::Strong, bought(finding, budget)));
    }
    said
}

fn bought(finding: &Finding, budget: f64) -> String {
    let bought = affordable(finding, budget);
    let joules = format::significant(budget, 3);
    let (Some(best), Some(largest)) = (bought.best, bought.largest) else {
        return format!("e E budget {joules} J/image: none of {} fits", bought.of);
    };
    format!(
        "e E budget {joules} J/image: best {} {} %, largest {} {} G-ops; {} of {} fit",
        best.title,
        format::significant(best.y, 3),
        largest.title,
        format::significant(largest.y, 3),
        bought.fit,
        bought.of,
    )
}

/// The figure that the claim is about: of the second one, the paper's own with the bound.
fn main_figure(finding: &Finding) -> Option<&Figure> {
    finding.figures.iter().find(|f| f.paper.is_some()).or_else(|| finding.figures.first())
}

fn draw_figure(figure: &Figure, budget: Option<f64>, theme: Theme, mut area: Rect, buffer: &mut Buffer) {
    if area.height >= 7 {
        caption(figure, theme, super::top(&mut area), buffer);
    }
    let lowest = figure.points.iter().map(|p| p.y).fold(f64::INFINITY, f64::min);
    let plot = Plot {
        curves: vec![Curve { points: labelled(&figure.points), role: Role::Trace, joined: false }],
        fits: figure.curves.iter().filter_map(fitted).collect(),
        batches: figure.x.scale == Scale::Log2,
        // Accuracies lie close together: an axis from 0 would show none of it.
        floor: if figure.y.from_zero { 0.0 } else { (lowest / 10.0 - 0.2).floor().max(0.0) * 10.0 },
        x_name: if figure.x.unit.is_empty() { figure.x.name } else { figure.x.unit },
        marks: budget.map(|x| Mark { x, interval: None, label: "budget".to_owned() }).into_iter().collect(),
        ..Plot::default()
    };
    plot.render(theme, area, buffer);
}

/// What y is, which figure of the paper this repeats, and what the curves are.
fn caption(figure: &Figure, theme: Theme, area: Rect, buffer: &mut Buffer) {
    let paper = figure.paper.map(|n| format!("the paper's Figure {n}")).unwrap_or_default();
    let mut parts = vec![Part::new(0, Role::Plain, figure.y.title()), Part::new(1, Role::Dim, paper)];
    for curve in figure.curves.iter().filter(|c| fitted(c).is_some()) {
        parts.push(Part::new(1 + parts.len() as u8, role(curve.kind), curve.name.clone()));
    }
    row(&parts, theme, area, buffer);
}

const fn role(kind: Kind) -> Role {
    match kind {
        Kind::Fit => Role::Steady,
        Kind::Bound => Role::Limit,
        _ => Role::Dim,
    }
}

/// A curve of the figure as the screen draws it; rivals are left to the report.
fn fitted(curve: &Drawing) -> Option<Fitted> {
    if matches!(curve.kind, Kind::Rival | Kind::Paper) || curve.line.len() < 2 {
        return None;
    }
    let band = curve.band.iter().map(|(x, i)| (*x, i.low, i.high)).collect();
    Some(Fitted { line: curve.line.clone(), band, role: role(curve.kind), solid: curve.kind == Kind::Frontier })
}

/// Points, each network named once: at its largest batch.
fn labelled(points: &[Point]) -> Vec<(f64, f64, Option<String>)> {
    let last = |p: &Point| points.iter().filter(|o| o.network == p.network).map(|o| o.batch).max() == Some(p.batch);
    points.iter().map(|p| (p.x, p.y, last(p).then(|| p.title.clone()))).collect()
}

fn estimates(estimates: &[Estimate]) -> Table {
    let number = |v: f64| match v {
        v if !v.is_finite() => "-".to_owned(),
        v if v > 0.0 && v < SMALLEST => format!("<{SMALLEST}"),
        v => format::significant(v, 3),
    };
    let of = |e: &Estimate| {
        let interval = e.interval.map(|i| format!("{} … {}", number(i.low), number(i.high)));
        let value = format!("{} {}", number(e.value), e.unit);
        let cells = vec![
            e.name.clone(),
            value.trim_end().to_owned(),
            interval.unwrap_or_default(),
            e.paper.map(number).unwrap_or_default(),
        ];
        (cells, Role::Plain)
    };
    Table {
        columns: vec![
            Column::words(0, ""),
            Column::number(0, "value"),
            Column::number(1, "95 %"),
            Column::number(2, "paper"),
        ],
        rows: estimates.iter().map(of).collect(),
        ..Table::default()
    }
}
