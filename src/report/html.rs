//! The report as one HTML file, without scripts and without external resources, in light or dark colours as the reader
//! prefers.

use super::{
    document::{Block, Column, Document, Figure, Judgement, Section, Table, Verdict, letter},
    paint,
};
use maud::{DOCTYPE, Markup, PreEscaped, html};

const STYLE: &str = include_str!("report.css");

/// The whole report.
pub fn render(document: &Document) -> String {
    let (light, dark) = (paint::variables(false), paint::variables(true));
    let style = format!(
        ":root{{color-scheme:light dark;{light}}}@media(prefers-color-scheme:dark){{:root{{{dark}}}}}{STYLE}{}",
        paint::dark_figures()
    );
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="generator" content={ "wattscope " (env!("CARGO_PKG_VERSION")) };
                title { (text(&document.title)) }
                style { (PreEscaped(style)) }
            }
            body {
                header {
                    h1 { (text(&document.title)) }
                    @for line in &document.about { p { (text(line)) } }
                    nav { @for section in &document.sections { a href={ "#" (section.id) } { (section.title) } } }
                }
                main { @for section in &document.sections { (self::section(section)) } }
            }
        }
    };
    page.into_string()
}

/// Text without control characters, which XML does not allow; maud escapes the rest.
fn text(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

fn section(section: &Section) -> Markup {
    html! {
        section id=(section.id) {
            h2 { (section.title) }
            @for block in &section.blocks { (self::block(block)) }
        }
    }
}

fn block(block: &Block) -> Markup {
    match block {
        Block::Heading(title) => html! { h3 { (text(title)) } },
        Block::Text(said) => html! { p { (text(said)) } },
        Block::List(points) => html! { ul { @for point in points { li { (text(point)) } } } },
        Block::Facts(facts) => html! {
            dl { @for (name, value) in facts { dt { (text(name)) } dd { (text(value)) } } }
        },
        Block::Table(of) => table(of),
        Block::Figure(of) => figure(of),
        Block::Verdict(of) => verdict(of),
    }
}

fn table(table: &Table) -> Markup {
    let align = |column: &Column| if column.number { "n" } else { "w" };
    html! {
        @if !table.rows.is_empty() {
            div.wide {
                table {
                    @if !table.caption.is_empty() { caption { (text(&table.caption)) } }
                    thead { tr { @for c in &table.columns { th class=(align(c)) scope="col" { (text(&c.title)) } } } }
                    tbody {
                        @for row in &table.rows {
                            tr {
                                @for (cell, c) in row.iter().zip(&table.columns) {
                                    td class=(align(c)) { (text(cell)) }
                                }
                            }
                        }
                    }
                }
            }
            @if !table.notes.is_empty() {
                ol.notes { @for note in &table.notes { li { (text(note)) } } }
            }
        }
    }
}

fn figure(figure: &Figure) -> Markup {
    let several = figure.panels.len() > 1;
    html! {
        figure id={ "figure-" (figure.number) } {
            div.panels.several[several] {
                @for (i, panel) in figure.panels.iter().enumerate() {
                    div.panel {
                        @if let Some(name) = &panel.name { p.name { "(" (letter(i)) ") " (text(name)) } }
                        @match &panel.drawing {
                            // The SVG was written by this program; the texts in it are escaped already.
                            Ok(svg) => { (PreEscaped(inlined(svg))) }
                            Err(reason) => { p.absent { "Not drawn: " (text(reason)) } }
                        }
                    }
                }
            }
            figcaption { strong { "Figure " (figure.number) ". " (text(&figure.title)) ". " } (text(&figure.caption)) }
        }
    }
}

/// A drawing without its style element, which the page has once for all drawings.
fn inlined(svg: &str) -> String {
    match (svg.find("<style>"), svg.find("</style>")) {
        (Some(from), Some(to)) if from < to => format!("{}{}", &svg[..from], &svg[to + "</style>".len()..]),
        _ => svg.to_owned(),
    }
}

fn verdict(verdict: &Verdict) -> Markup {
    let class = match verdict.judgement {
        Judgement::Supported => "verdict supported",
        Judgement::Contradicted => "verdict contradicted",
        Judgement::Undecided => "verdict undecided",
    };
    html! {
        article class=(class) {
            h3 {
                span.badge { (verdict.judgement.sign()) " " (verdict.judgement.word()) }
                "Finding " (verdict.number) ": " (text(&verdict.title))
            }
            blockquote { (text(&verdict.claim)) }
            p { (text(&verdict.says)) }
            @if let Some(needs) = verdict.needs.as_ref().filter(|n| !n.is_empty()) {
                p.needs { "Needs " (text(needs)) "." }
            }
            @if !verdict.estimates.rows.is_empty() {
                details {
                    summary { "The numbers behind it" }
                    (table(&verdict.estimates))
                }
            }
            p.data {
                (verdict.n) @if verdict.n == 1 { " measurement, " } @else { " measurements, " } (text(&verdict.scope))
                @for number in &verdict.figures { " · " a href={ "#figure-" (number) } { "Figure " (number) } }
            }
        }
    }
}
