//! The report as Markdown, for repositories and issues. Its figures are separate files.

use super::document::{Block, Document, Figure, Table, Verdict, letter};

/// The whole report.
pub fn render(document: &Document) -> String {
    let mut out = format!("# {}\n\n", plain(&document.title));
    document.about.iter().for_each(|line| out += &format!("{}  \n", plain(line)));
    for section in &document.sections {
        out += &format!("\n## {}\n", section.title);
        section.blocks.iter().for_each(|b| out += &format!("\n{}", block(b)));
    }
    out
}

fn block(block: &Block) -> String {
    match block {
        Block::Heading(title) => format!("### {}\n", plain(title)),
        Block::Text(text) => format!("{}\n", plain(text)),
        Block::List(points) => points.iter().map(|p| format!("- {}\n", plain(p))).collect(),
        Block::Facts(facts) => {
            let row = |(name, value): &(String, String)| format!("| {} | {} |\n", cell(name), cell(value));
            format!("| | |\n|---|---|\n{}", facts.iter().map(row).collect::<String>())
        }
        Block::Table(of) => table(of),
        Block::Figure(of) => figure(of),
        Block::Verdict(of) => verdict(of),
    }
}

fn table(table: &Table) -> String {
    if table.rows.is_empty() {
        return String::new();
    }
    let line = |cells: Vec<String>| format!("| {} |\n", cells.join(" | "));
    let caption = if table.caption.is_empty() { String::new() } else { format!("{}\n\n", plain(&table.caption)) };
    let head = line(table.columns.iter().map(|c| cell(&c.title)).collect());
    let rule: String = table.columns.iter().map(|c| if c.number { "---:|" } else { "---|" }).collect();
    let rows: String = table.rows.iter().map(|row| line(row.iter().map(|c| cell(c)).collect())).collect();
    let note = |(i, note): (usize, &String)| format!("\n\\[{}\\] {}  ", i + 1, plain(note));
    let notes: String = table.notes.iter().enumerate().map(note).collect();
    let notes = if notes.is_empty() { notes } else { format!("{notes}\n") };
    format!("{caption}{head}|{rule}\n{rows}{notes}")
}

fn figure(figure: &Figure) -> String {
    let mut out = format!("### Figure {}: {}\n", figure.number, plain(&figure.title));
    for (i, panel) in figure.panels.iter().enumerate() {
        let name = panel.name.as_ref().map(|name| format!("({}) {}", letter(i), plain(name)));
        out += &match (&panel.drawing, name) {
            (Ok(_), name) => {
                let line = name.as_ref().map(|name| format!("\n{name}\n")).unwrap_or_default();
                format!("{line}\n![{}](figures/{})\n", plain(&figure.title), figure.file(i))
            }
            (Err(reason), Some(name)) => format!("\n{name}: *not drawn: {}*\n", plain(reason)),
            (Err(reason), None) => format!("\n*Not drawn: {}*\n", plain(reason)),
        };
    }
    out + &format!("\n{}\n", plain(&figure.caption))
}

fn verdict(verdict: &Verdict) -> String {
    let Verdict { number, claim, judgement, says, scope, n, .. } = verdict;
    let (sign, word) = (judgement.sign(), judgement.word());
    let needs = verdict.needs.as_ref().filter(|n| !n.is_empty()).map(|n| format!(": needs {}", plain(n)));
    let mut out = format!("### {sign} Finding {number}: {word}{}\n\n", needs.unwrap_or_default());
    out += &format!("> {}\n\n{}\n", plain(claim), plain(says));
    let numbers: Vec<String> = verdict.figures.iter().map(u8::to_string).collect();
    let figures = if numbers.is_empty() { String::new() } else { format!("; figures {}", numbers.join(", ")) };
    let measurements = if *n == 1 { "measurement" } else { "measurements" };
    out += &format!("\nData: {n} {measurements}, {}{figures}.\n", plain(scope));
    let estimates = table(&verdict.estimates);
    if estimates.is_empty() { out } else { format!("{out}\n{estimates}") }
}

/// Text with the mark-up of Markdown and HTML escaped.
fn plain(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            '\\' | '`' | '*' | '_' | '[' | ']' | '#' | '|' | '~' | '!' => out.extend(['\\', c]),
            c if c.is_control() => out.push(' '),
            c => out.push(c),
        }
    }
    out
}

/// Escaped text for a cell; an empty cell becomes a space, or Markdown would drop it.
fn cell(text: &str) -> String {
    if text.trim().is_empty() { " ".to_owned() } else { plain(text) }
}
