//! A sparkline: a series in one row, the peak of each column.

use super::time_columns::TimeColumns;
use crate::{
    event::Nanos,
    session::Series,
    ui::theme::{Role, Theme},
};
use ratatui::{buffer::Buffer, layout::Rect};

const EIGHTHS: [&str; 8] = ["▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"];
const ASCII: [&str; 8] = ["_", ".", "-", "=", "+", "*", "%", "#"];

/// Draws the last `window` of a series between 0 and `top`, by default its maximum; columns without a reading stay blank.
pub fn render(
    series: &Series,
    (now, window): (Nanos, Nanos),
    top: Option<f64>,
    theme: Theme,
    area: Rect,
    buffer: &mut Buffer,
) {
    if area.is_empty() {
        return;
    }
    let time = TimeColumns::new(now, window, u32::from(area.width));
    let mut peaks = vec![f64::NAN; usize::from(area.width)];
    for (t, value) in series.between(time.from(), now) {
        if let Some(peak) = time.column(t).and_then(|c| peaks.get_mut(c as usize)) {
            *peak = peak.max(value);
        }
    }
    let top = top.unwrap_or_else(|| usual_top(&peaks));
    for (column, peak) in peaks.iter().enumerate().filter(|(_, p)| p.is_finite()) {
        let level = if top > 0.0 { (peak / top * 8.0).ceil().clamp(1.0, 8.0) as usize - 1 } else { 0 };
        let symbol = if theme.ascii() { ASCII[level] } else { EIGHTHS[level] };
        if let Some(cell) = buffer.cell_mut((area.x + column as u16, area.y)) {
            cell.set_symbol(symbol).set_style(theme.style(Role::Trace));
        }
    }
}

/// The highest peak, or twice the third highest where it is an outlier, such as a first batch that compiled its kernels.
fn usual_top(peaks: &[f64]) -> f64 {
    let mut sorted: Vec<f64> = peaks.iter().copied().filter(|p| p.is_finite()).collect();
    sorted.sort_by(|a, b| b.total_cmp(a));
    let highest = sorted.first().copied().unwrap_or(0.0);
    match sorted.get(2) {
        Some(usual) if *usual > 0.0 && highest > 4.0 * usual => 2.0 * usual,
        _ => highest,
    }
}
