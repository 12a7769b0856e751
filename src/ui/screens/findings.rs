//! The four claims of the paper, each with its data, its figure and its verdict on this device.

use crate::{
    analysis::{
        figure::{Curve as Drawing, Figure, Kind, Point, Scale},
        findings::{Estimate, Finding, Verdict, affordable},
        stats::median,
    },
    event::{Accuracy, Share},
    format,
    ui::{
        action::Action,
        analysis_cache::Analysis,
        binding::{Binding, char},
        screen::{Drawn, Response, Screen},
        theme::{Role, Theme},
        view::View,
        widgets::{
            fitted::Fitted,
            pane::{Part, frame, padded, row, take_bottom, take_top, wrap, wrapped},
            plot::{Curve, Mark, Plot},
            table::{Column, Table},
        },
    },
};
use ratatui::{buffer::Buffer, layout::Rect};

/// The findings screen.
pub static SCREEN: Screen = Screen {
    name: "findings",
    bindings: &[Binding::new(
        &[char('e', Action::BudgetDown), char('E', Action::BudgetUp)],
        "e E",
        "findings: energy budget, lower, higher",
    )],
    draw,
    respond,
    elsewhere,
    ..Screen::BASE
};

/// Steps of the energy budget per factor of ten.
const BUDGET_STEPS: f64 = 20.0;

/// Columns and rows from which all four are shown with their figures.
const OVERVIEW: (u16, u16) = (100, 28);

/// Columns of the table of estimates; it is left out where the figure beside it would have fewer.
const ESTIMATES: u16 = 66;

/// Values below are shown as `<0.001`: a probability of 10⁻²⁰ means no more than one of 10⁻³.
const SMALLEST: f64 = 0.001;

/// Draws all four where there is room, and a page for each.
fn draw(view: &View<'_>, area: Rect, buffer: &mut Buffer) -> Drawn {
    let Some(analysis) = view.analysis() else {
        let text = "the findings are questions to what was measured: nothing was yet";
        wrapped(text, Role::Dim, view.theme, area, buffer);
        return Drawn::default();
    };
    let overview = area.width >= OVERVIEW.0 && area.height >= OVERVIEW.1;
    let pages = if overview { 5 } else { 4 };
    let drawn = Drawn { last_page: pages - 1, ..Drawn::default() };
    let page = view.ui.scroll.min(pages - 1);
    let mut area = area;
    if area.height >= 12 {
        verdicts(view, &analysis, page.checked_sub(pages - 4), take_top(&mut area), buffer);
    }
    if let Some(text) = own_accuracies(view).filter(|_| area.height >= 14) {
        row(&[Part::new(0, Role::Dim, text)], view.theme, take_bottom(&mut area), buffer);
    }
    let Some(single) = page.checked_sub(pages - 4) else {
        for (i, finding) in analysis.findings.iter().enumerate() {
            let (column, line) = (i as u16 % 2, i as u16 / 2);
            let (x, y) = (area.width * column / 2, area.height * line / 2);
            let (width, height) = (area.width * (column + 1) / 2 - x, area.height * (line + 1) / 2 - y);
            panel(view, finding, Rect { x: area.x + x, y: area.y + y, width, height }, buffer);
        }
        return drawn;
    };
    let finding = &analysis.findings[single];
    let table = if area.width >= 2 * ESTIMATES && !finding.estimates.is_empty() { ESTIMATES } else { 0 };
    panel(view, finding, Rect { width: area.width - table, ..area }, buffer);
    if table > 0 {
        let right = Rect { x: area.right() - table, width: table, ..area };
        let inner = frame(&[Part::new(0, Role::Title, "behind the verdict")], view.theme, right, buffer);
        estimates(&finding.estimates).render(0, view.theme, padded(inner), buffer);
    }
    drawn
}

/// Turns the energy budget, from the one that is shown.
fn respond(view: &View<'_>, action: Action) -> Option<Response> {
    let steps = match action {
        Action::BudgetDown => -1.0,
        Action::BudgetUp => 1.0,
        _ => return None,
    };
    Some(match budget(view) {
        Some(budget) => Response::Limit(budget * 10f64.powf(steps / BUDGET_STEPS)),
        None => Response::Hint(NO_ENERGY.to_owned()),
    })
}

fn elsewhere(view: &View<'_>, action: Action) -> Option<&'static str> {
    let is_mine = matches!(action, Action::BudgetDown | Action::BudgetUp);
    is_mine.then(|| if budget(view).is_some() { "the energy budget is on the findings screen" } else { NO_ENERGY })
}

/// Why there is no energy budget.
const NO_ENERGY: &str = "no energy was measured yet";

/// The energy budget, J/image: the user's, by default the one that half of the networks fit into. None without energies.
fn budget(view: &View<'_>) -> Option<f64> {
    let analysis = view.analysis()?;
    let energies = analysis.findings[2].figures.first()?;
    let half = median(energies.points.iter().map(|p| p.x))?;
    Some(view.ui.own().limit.unwrap_or(half))
}

/// The accuracies that were measured on this host beside the published ones, which the findings are about; none without any.
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

fn verdict_role(verdict: &Verdict) -> Role {
    match verdict {
        Verdict::Supported => Role::Steady,
        Verdict::Contradicted => Role::Bad,
        Verdict::Undecided { .. } => Role::Warn,
    }
}

/// Draws the four verdicts in a row, and the keys to go from one to the next.
fn verdicts(view: &View<'_>, analysis: &Analysis, single: Option<usize>, area: Rect, buffer: &mut Buffer) {
    let mut parts = Vec::new();
    for (i, f) in analysis.findings.iter().enumerate() {
        let role = if single == Some(i) { Role::Current } else { Role::Title };
        parts.push(Part::new(0, role, format!(" {} ", f.number)));
        parts.push(Part::new(if single == Some(i) { 1 } else { 2 }, Role::Plain, format!(" {}", f.title)).joined());
        parts.push(Part::new(0, verdict_role(&f.verdict), format!(" {}", f.verdict.words())).joined());
    }
    parts.push(Part::new(3, Role::Dim, "[ ] one by one"));
    row(&parts, view.theme, area, buffer);
}

/// Draws a finding: its claim, its figure where there is room, and its verdict.
fn panel(view: &View<'_>, finding: &Finding, area: Rect, buffer: &mut Buffer) {
    let theme = view.theme;
    let title = [
        Part::new(0, Role::Title, finding.number.to_string()),
        Part::new(0, verdict_role(&finding.verdict), format!(" {}", finding.verdict.words())).joined(),
        Part::new(1, Role::Plain, format!("n = {}", finding.n)),
        Part::new(2, Role::Dim, finding.scope.clone()),
    ];
    let mut inner = padded(frame(&title, theme, area, buffer));
    let claim = wrapped(&format!("“{}”", finding.claim), Role::Plain, theme, inner, buffer);
    inner.y += claim;
    inner.height -= claim;
    let sentences = sentences(view, finding);
    let width = usize::from(inner.width);
    let rows = |role_text: &(Role, String)| wrap(&theme.text(role_text.1.as_str()), width).len() as u16;
    let mut below: u16 = sentences.iter().map(rows).sum();
    let figure = main_figure(finding).filter(|f| !f.points.is_empty() && inner.height >= below + 5);
    if let Some(figure) = figure {
        let plot = Rect { height: inner.height - below, ..inner };
        let budget = if finding.number == 3 { budget(view) } else { None };
        draw_figure(figure, budget, theme, plot, buffer);
        inner.y += plot.height;
        inner.height -= plot.height;
    }
    for (role, text) in &sentences {
        let taken = wrapped(text, *role, theme, Rect { height: inner.height.min(below), ..inner }, buffer);
        below = below.saturating_sub(taken);
        inner.y += taken;
        inner.height -= taken;
    }
}

/// What the finding says, what it lacks, and which networks fit into the energy budget.
fn sentences(view: &View<'_>, finding: &Finding) -> Vec<(Role, String)> {
    let role = verdict_role(&finding.verdict);
    let mut sentences = Vec::new();
    match finding.verdict.needs() {
        // Without any data both sentences are the same.
        Some(needs) if finding.says.ends_with(needs) => sentences.push((role, finding.says.clone())),
        Some(needs) => {
            sentences.push((Role::Plain, finding.says.clone()));
            sentences.push((role, format!("needs {needs}")));
        }
        None => sentences.push((role, finding.says.clone())),
    }
    if let Some(budget) = budget(view).filter(|_| finding.number == 3) {
        sentences.push((Role::Strong, budget_sentence(finding, budget)));
    }
    sentences
}

/// `e E budget 0.05 J/image: best ResNet-50 76.1 %, …`
fn budget_sentence(finding: &Finding, budget: f64) -> String {
    let affordable = affordable(finding, budget);
    let joules = format::significant(budget, 3);
    let (Some(best), Some(largest)) = (affordable.best, affordable.largest) else {
        return format!("e E budget {joules} J/image: none of {} fits", affordable.of);
    };
    format!(
        "e E budget {joules} J/image: best {} {} %, largest {} {} G-ops; {} of {} fit",
        best.title,
        format::significant(best.y, 3),
        largest.title,
        format::significant(largest.y, 3),
        affordable.fit,
        affordable.of,
    )
}

/// The figure of the claim: the one that is in the paper where there are several.
fn main_figure(finding: &Finding) -> Option<&Figure> {
    finding.figures.iter().find(|f| f.paper.is_some()).or_else(|| finding.figures.first())
}

fn draw_figure(figure: &Figure, budget: Option<f64>, theme: Theme, mut area: Rect, buffer: &mut Buffer) {
    if area.height >= 7 {
        caption(figure, theme, take_top(&mut area), buffer);
    }
    let plot = Plot {
        curves: vec![Curve { points: labelled(&figure.points), role: Role::Trace, joined: false }],
        fits: figure.curves.iter().filter_map(fitted).collect(),
        batches: figure.x.scale == Scale::Log2,
        // Accuracies are close together: an axis from 0 would hide their differences.
        from_zero: figure.y.from_zero,
        x_name: if figure.x.unit.is_empty() { figure.x.name } else { figure.x.unit },
        marks: budget.map(|x| Mark { x, interval: None, label: "budget".to_owned() }).into_iter().collect(),
        ..Plot::default()
    };
    plot.render(theme, area, buffer);
}

/// Draws the name of the y axis, the number of the figure in the paper, and the legend.
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

/// A curve of the figure; none for those that only the report shows.
fn fitted(curve: &Drawing) -> Option<Fitted> {
    if matches!(curve.kind, Kind::Rival | Kind::Paper) || curve.line.len() < 2 {
        return None;
    }
    let band = curve.band.iter().map(|(x, i)| (*x, i.low, i.high)).collect();
    Some(Fitted { line: curve.line.clone(), band, role: role(curve.kind), solid: curve.kind == Kind::Frontier })
}

/// The points; each network is labelled once, at its largest batch size.
fn labelled(points: &[Point]) -> Vec<(f64, f64, Option<String>)> {
    let last = |p: &Point| points.iter().filter(|o| o.network == p.network).map(|o| o.batch).max() == Some(p.batch);
    points.iter().map(|p| (p.x, p.y, last(p).then(|| p.title.clone()))).collect()
}

/// The table of estimates with their intervals.
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
