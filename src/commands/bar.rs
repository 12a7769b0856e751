//! The line of progress on standard error: drawn while that is a terminal, unless the user wants quiet.
//!
//! indicatif draws with escape sequences, and draws nothing where `TERM` is not set or says `dumb`, as in many containers and
//! editors. Such a terminal gets the same line by carriage returns alone. Nothing here has colours, whatever `NO_COLOR` says.

use crate::output;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle, TermLike};
use std::io::{self, IsTerminal, Write};

/// How often a line without escape sequences is drawn at most, a second.
const PLAIN_RATE: u8 = 4;

/// Columns of a terminal that does not tell.
const COLUMNS: u16 = 80;

/// A line of progress by a template of indicatif's, which is a constant: were it wrong, the line would look otherwise and work.
pub fn bar(length: Option<u64>, template: &str) -> ProgressBar {
    let bar = ProgressBar::with_draw_target(length, target());
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style.progress_chars("━╸ "));
    }
    bar
}

fn target() -> ProgressDrawTarget {
    let plain = std::env::var_os("TERM").is_none_or(|term| term.is_empty() || term == "dumb");
    match (output::is_quiet() || !io::stderr().is_terminal(), plain) {
        (true, _) => ProgressDrawTarget::hidden(),
        (false, true) => ProgressDrawTarget::term_like_with_hz(Box::new(PlainLine), PLAIN_RATE),
        (false, false) => ProgressDrawTarget::stderr(),
    }
}

/// A line at the bottom of a terminal that knows carriage returns and nothing else.
#[derive(Debug)]
struct PlainLine;

impl TermLike for PlainLine {
    fn width(&self) -> u16 {
        let columns = crossterm::terminal::size().map_or(COLUMNS, |(columns, _)| columns);
        // In the last column some terminals begin a new line.
        columns.saturating_sub(1).max(1)
    }

    fn move_cursor_up(&self, _: usize) -> io::Result<()> {
        Ok(())
    }

    fn move_cursor_down(&self, _: usize) -> io::Result<()> {
        Ok(())
    }

    fn move_cursor_right(&self, _: usize) -> io::Result<()> {
        Ok(())
    }

    fn move_cursor_left(&self, _: usize) -> io::Result<()> {
        Ok(())
    }

    fn write_line(&self, text: &str) -> io::Result<()> {
        self.write_str(&format!("{text}\n"))
    }

    fn write_str(&self, text: &str) -> io::Result<()> {
        output::StandardError.write_all(text.as_bytes())
    }

    fn clear_line(&self) -> io::Result<()> {
        self.write_str(&format!("\r{}\r", " ".repeat(self.width().into())))
    }

    fn flush(&self) -> io::Result<()> {
        Ok(())
    }
}
