//! How a measurement gets on, on stderr.

use super::Tally;
use crate::images::ImageError;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// A line with the accuracy so far, the rate and the time left, while stderr is a terminal.
pub struct Progress(ProgressBar);

impl Progress {
    /// Progress among `images`, of which a tally is done already.
    pub fn new(images: usize, done: Tally) -> Self {
        let bar = ProgressBar::with_draw_target(Some(images as u64), ProgressDrawTarget::stderr());
        // A constant that is drawn in the tests; were it wrong, the bar would look otherwise and work.
        let template = "{bar:24} {human_pos}/{human_len}  {msg}  {per_sec}  {eta} left";
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style.progress_chars("━╸ "));
        }
        let progress = Self(bar);
        progress.0.set_position(done.images);
        progress.0.reset_eta();
        progress
    }

    /// Shows what is done.
    pub fn show(&mut self, tally: Tally, unreadable: usize) {
        let percent = |right: u64| 100.0 * right as f64 / tally.images.max(1) as f64;
        let bad = if unreadable > 0 { format!("  {unreadable} unreadable") } else { String::new() };
        self.0.set_message(format!("top-1 {:.1} %  top-5 {:.1} %{bad}", percent(tally.top1), percent(tally.top5)));
        self.0.set_position(tally.images + unreadable as u64);
    }

    /// Says at once what can't be read.
    pub fn unreadable(&self, error: &ImageError) {
        tracing::warn!("{error}");
    }

    /// Clears the line.
    pub fn finish(&self) {
        self.0.finish_and_clear();
    }
}
