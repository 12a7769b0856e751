//! Axes: ticks with round values at even distances, in values and in cells alike, the first and the last tick at the ends.
//!
//! A cell is a row of a vertical axis or a column of a horizontal one. Between two ticks there is always the same whole number
//! of cells, so that no label is nearer to its neighbour than the others or has to be left out. Of all axes that show the
//! values, the one is chosen that wastes little room, has round steps and a sensible number of labels.

pub mod draw;
mod label;
pub mod time;

use super::pane::columns;
use crate::format;
use label::{linear_label, log_label};

/// Round steps within a factor of ten, each with the grid of its first tick and a cost: the least round steps have to save
/// room to be chosen.
const ROUND: [(f64, f64, f64); 9] = [
    (1.0, 0.5, 0.0),
    (1.5, 0.5, 0.18),
    (2.0, 1.0, 0.0),
    (2.5, 0.5, 0.04),
    (3.0, 1.0, 0.18),
    (4.0, 1.0, 0.08),
    (5.0, 1.0, 0.0),
    (6.0, 1.0, 0.2),
    (8.0, 1.0, 0.2),
];

/// Cost of a first tick that is no multiple of the step.
const OFF_STEP_COST: f64 = 0.05;

/// Round first ticks within a factor of ten, of a logarithmic axis with steps by powers of ten, each with a cost.
const ROUND_STARTS: [(f64, f64); 3] = [(1.0, 0.0), (2.0, 0.02), (5.0, 0.02)];

/// Cost of each interval less than the ideal number, and of each one more.
const INTERVAL_COST: (f64, f64) = (0.03, 0.05);

/// Cost of an axis without a tick between its ends, where there is room for one.
const ENDS_ONLY_COST: f64 = 0.25;

/// Cost of a logarithmic axis by powers of two: powers of ten are easier to read.
const POWER_OF_TWO_COST: f64 = 0.35;

/// Least cells of an interval of a logarithmic axis with ticks without labels.
const MINOR_SPACING: u16 = 6;

/// Most intervals between ticks.
const MOST_INTERVALS: u16 = 12;

/// Largest value of an axis.
const LARGEST: f64 = 1e100;

/// Relative tolerance of comparisons of values with ticks.
const TOLERANCE: f64 = 1e-9;

/// The direction of an axis, and the cells from its beginning to where it may end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Room {
    /// Rows of a vertical axis: one less than the rows that it has.
    Rows(u16),
    /// Columns of a horizontal axis: one less than the columns that it has.
    Columns(u16),
}

impl Room {
    const fn cells(self) -> u16 {
        match self {
            Self::Rows(cells) | Self::Columns(cells) => cells,
        }
    }

    /// Whether there is room for a tick between the ends.
    const fn has_middle(self) -> bool {
        matches!(self, Self::Rows(4..) | Self::Columns(20..))
    }

    /// The number of intervals that is easiest to read.
    fn ideal_intervals(self) -> f64 {
        match self {
            Self::Rows(rows) => (f64::from(rows) / 2.5).min(5.0 + f64::from(rows) / 12.0).max(1.0),
            Self::Columns(columns) => (f64::from(columns) / 12.0).clamp(1.0, 8.0),
        }
    }
}

/// Which values have the same distance, and how they are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Scale {
    /// Those with the same difference.
    Linear,
    /// Those with the same ratio.
    Log,
    /// Batch sizes with the same ratio: whole numbers.
    Batches,
}

/// An axis.
#[derive(Clone, Debug, PartialEq)]
pub struct Axis {
    scale: Scale,
    /// Value of the first tick, at cell 0.
    first: f64,
    /// Difference or ratio of neighbouring ticks.
    step: f64,
    /// Cells between neighbouring ticks.
    spacing: u16,
    /// Number of intervals between ticks.
    intervals: u16,
}

impl Axis {
    /// A linear axis from 0, or from a negative `low`, to at least `high`.
    pub fn from_zero(low: f64, high: f64, room: Room) -> Self {
        Self::linear(low.min(0.0), high.max(0.0), room)
    }

    /// A linear axis that shows the values from `low` to `high`.
    pub fn linear(low: f64, high: f64, room: Room) -> Self {
        let (low, high) = finite_range(low, high);
        let candidates = intervals(room).flat_map(|intervals| {
            let least = (high - low) / f64::from(intervals);
            round_steps(least).flat_map(move |(step, grid, cost)| {
                let first = |grid: f64| linear_axis(low, grid, step, intervals);
                [(first(step), cost), (first(grid), cost + OFF_STEP_COST)]
            })
        });
        let shows = |axis: &Self| axis.last() >= high - (high - low) * TOLERANCE;
        Self::best(candidates.filter(|(axis, _)| shows(axis)), (low, high), room)
            .unwrap_or_else(|| ends_only(low, high, room))
    }

    /// A logarithmic axis that shows the positive values from `low` to `high`, in powers of ten, or of two where those are
    /// too far apart.
    pub fn log(low: f64, high: f64, room: Room) -> Self {
        let low = if low.is_finite() && low > 0.0 { low.clamp(1.0 / LARGEST, LARGEST) } else { 1.0 };
        let high = if high.is_finite() && high > low * 1.001 { high.min(LARGEST * 10.0) } else { low * 2.0 };
        let candidates = intervals(room).flat_map(|intervals| {
            let by_ten = (1..=9).flat_map(move |power| {
                let axis = move |start| log_axis(start_below(low, start), 10f64.powi(power), intervals);
                ROUND_STARTS.map(|(start, cost)| (axis(start), cost))
            });
            let by_two = (log_axis(power_of_two_below(low, high), 2.0, intervals), POWER_OF_TWO_COST);
            by_ten.chain([by_two])
        });
        let shows = |axis: &Self| axis.last() >= high * (1.0 - TOLERANCE);
        Self::best(candidates.filter(|(axis, _)| shows(axis)), (low, high), room).unwrap_or_else(|| {
            let step = 10f64.powf((high / low).log10().floor() + 2.0);
            log_axis(10f64.powf(low.log10().floor()), step, 1).filling(room)
        })
    }

    /// A logarithmic axis of batch sizes: powers of two, or of four or more where those are too close, from 1 to at least
    /// `largest`.
    pub fn batches(largest: f64, room: Room) -> Self {
        let largest = if largest.is_finite() { largest.clamp(2.0, 2f64.powi(40)) } else { 2.0 };
        let doublings = (largest.log2() - TOLERANCE).ceil().max(1.0) as u16;
        let axis = |power: u16| {
            let intervals = doublings.div_ceil(power);
            let axis = log_axis(1.0, 2f64.powi(power.into()), intervals);
            Self { scale: Scale::Batches, ..axis }.filling(room)
        };
        (1..=doublings).map(axis).find(|axis| axis.has_room(room, 1)).unwrap_or_else(|| axis(doublings))
    }

    /// The candidate with the least cost whose labels fit.
    fn best(candidates: impl Iterator<Item = (Self, f64)>, (low, high): (f64, f64), room: Room) -> Option<Self> {
        let fits = |axis: &Self| axis.has_room(room, 2) && axis.unused(room) < axis.spacing;
        let cost = |axis: &Self, cost: f64| {
            let used = (axis.position(high) - axis.position(low)) / f64::from(room.cells().max(1));
            let more = f64::from(axis.intervals) - room.ideal_intervals();
            let ends_only = if axis.intervals == 1 && room.has_middle() { ENDS_ONLY_COST } else { 0.0 };
            1.0 - used + (-more * INTERVAL_COST.0).max(more * INTERVAL_COST.1) + ends_only + cost
        };
        let placed = candidates.map(|(axis, extra)| (axis.filling(room), extra));
        let costs = placed.filter(|(axis, _)| fits(axis)).map(|(axis, extra)| (cost(&axis, extra), axis));
        costs.min_by(|a, b| a.0.total_cmp(&b.0)).map(|(_, axis)| axis)
    }

    /// The same with the largest distance of ticks for which it has room.
    fn filling(self, room: Room) -> Self {
        let cells = room.cells().saturating_sub(self.overhang(room));
        Self { spacing: (cells / self.intervals).max(1), ..self }
    }

    /// Cells that the label of the last tick of a horizontal axis extends beyond its tick.
    fn overhang(&self, room: Room) -> u16 {
        match room {
            Room::Rows(_) => 0,
            Room::Columns(_) => self.label_width(self.intervals).div_ceil(2).saturating_sub(1),
        }
    }

    /// Cells beyond the label of the last tick.
    fn unused(&self, room: Room) -> u16 {
        room.cells().saturating_sub(self.length() + self.overhang(room))
    }

    /// Whether its labels are at least `gap` columns, or a blank row, apart.
    fn has_room(&self, room: Room, gap: u16) -> bool {
        match room {
            Room::Rows(rows) => self.spacing >= rows.min(2),
            Room::Columns(cells) => {
                // The first label starts at its tick, the others are centred on theirs.
                let place = |tick: u16| {
                    let width = self.label_width(tick);
                    let start = (tick * self.spacing).saturating_sub(width / 2);
                    (start, start + width)
                };
                let apart = (0..self.intervals).all(|tick| place(tick).1 + gap <= place(tick + 1).0);
                apart && self.length() + self.overhang(room) <= cells
            }
        }
    }

    /// Value of the first tick.
    pub const fn first(&self) -> f64 {
        self.first
    }

    /// Value of the last tick.
    pub fn last(&self) -> f64 {
        self.value(f64::from(self.length()))
    }

    /// Cells from the first tick to the last one.
    pub const fn length(&self) -> u16 {
        self.spacing * self.intervals
    }

    /// The position of a value, in cells from the first tick, with fraction; negative below the first tick.
    pub fn position(&self, value: f64) -> f64 {
        let steps = match self.scale {
            Scale::Linear => (value - self.first) / self.step,
            Scale::Log | Scale::Batches => (value / self.first).ln() / self.step.ln(),
        };
        steps * f64::from(self.spacing)
    }

    /// The value at a position.
    pub fn value(&self, position: f64) -> f64 {
        let steps = position / f64::from(self.spacing.max(1));
        match self.scale {
            Scale::Linear => self.first + steps * self.step,
            Scale::Log | Scale::Batches => self.first * self.step.powf(steps),
        }
    }

    /// The ticks with their labels, each at a cell.
    pub fn ticks(&self) -> impl Iterator<Item = (u16, String)> {
        (0..=self.intervals).map(|i| (i * self.spacing, self.label(i)))
    }

    /// Cells of ticks without labels: of a logarithmic axis by powers of ten, two in each interval where it is wide enough.
    pub fn minor_ticks(&self) -> impl Iterator<Item = u16> {
        let mantissa = self.first / 10f64.powf((self.first.log10() + TOLERANCE).floor());
        let by_ten = self.scale == Scale::Log && (self.step - 10.0).abs() < TOLERANCE && self.spacing >= MINOR_SPACING;
        // 1, 2 and 5 times a power of ten.
        let ratios = [2.0, 5.0, 10.0, 20.0].map(|value| value / mantissa);
        let ratios = ratios.into_iter().filter(move |ratio| by_ten && (1.5..9.5).contains(ratio));
        let all = (0..self.intervals).flat_map(move |i| ratios.clone().map(move |ratio| f64::from(i) + ratio.log10()));
        all.map(|steps| (steps * f64::from(self.spacing)).round() as u16)
    }

    /// Columns of the widest label.
    pub fn widest_label(&self) -> u16 {
        (0..=self.intervals).map(|tick| self.label_width(tick)).max().unwrap_or(0)
    }

    fn label_width(&self, tick: u16) -> u16 {
        columns(&self.label(tick)) as u16
    }

    fn label(&self, tick: u16) -> String {
        let tick = i32::from(tick);
        match self.scale {
            Scale::Linear => {
                let largest = self.first.abs().max(self.last().abs());
                linear_label(self.first + f64::from(tick) * self.step, (self.first, self.step), largest)
            }
            Scale::Log => log_label(self.first * self.step.powi(tick)),
            Scale::Batches => format::grouped((self.first * self.step.powi(tick)) as u64),
        }
    }
}

/// Numbers of intervals to choose from.
fn intervals(room: Room) -> impl Iterator<Item = u16> {
    // A label between those of the ends, where there is room for it.
    let fewest = if matches!(room, Room::Rows(6..)) { 2 } else { 1 };
    fewest..=room.cells().clamp(1, MOST_INTERVALS)
}

/// Round steps from `least` up to a few times as much, with the grids of their first ticks and their costs.
fn round_steps(least: f64) -> impl Iterator<Item = (f64, f64, f64)> {
    let decade = least.log10().floor() as i32;
    let at = |power| ROUND.map(move |(step, grid, cost)| (times_ten(step, power), times_ten(grid, power), cost));
    let all = (decade..=decade + 1).flat_map(at);
    all.filter(move |(step, ..)| *step >= least * (1.0 - TOLERANCE))
}

/// A linear axis whose first tick is the highest multiple of `grid` that is not above `low`.
fn linear_axis(low: f64, grid: f64, step: f64, intervals: u16) -> Axis {
    let first = (low / grid + TOLERANCE).floor() * grid;
    // No negative zero.
    Axis { scale: Scale::Linear, first: first + 0.0, step, spacing: 1, intervals }
}

fn log_axis(first: f64, step: f64, intervals: u16) -> Axis {
    Axis { scale: Scale::Log, first, step, spacing: 1, intervals }
}

/// An axis of two ticks, for values that no multiple of a round step shows within the room: those on both sides of 0 where
/// there is no room for a third tick.
fn ends_only(low: f64, high: f64, room: Room) -> Axis {
    let axis = |grid: f64| {
        let first = (low / grid + TOLERANCE).floor() * grid;
        let steps = ((high - first) / grid - TOLERANCE).ceil().max(1.0);
        Axis { scale: Scale::Linear, first, step: steps * grid, spacing: 1, intervals: 1 }.filling(room)
    };
    let axes = round_steps((high - low) / 2.0).map(|(grid, ..)| axis(grid));
    axes.min_by(|a, b| a.step.total_cmp(&b.step)).unwrap_or_else(|| axis(high - low))
}

/// A finite range that is not empty.
fn finite_range(low: f64, high: f64) -> (f64, f64) {
    let low = if low.is_finite() { low.clamp(-LARGEST, LARGEST) } else { 0.0 };
    let high = if high.is_finite() { high.clamp(-LARGEST, LARGEST) } else { low };
    let least = low.abs().max(high.abs()) * 1e-6;
    match high - low > least.max(1.0 / LARGEST) {
        true => (low, high),
        false if low == 0.0 => (0.0, 1.0),
        false => (low.min(high) - 0.05 * low.abs(), low.max(high) + 0.05 * low.abs()),
    }
}

/// `mantissa` times a power of ten, rounded as a decimal literal is.
fn times_ten(mantissa: f64, power: i32) -> f64 {
    if power < 0 { mantissa / 10f64.powi(-power) } else { mantissa * 10f64.powi(power) }
}

/// The largest `start` times a power of ten that is not above `value`.
fn start_below(value: f64, start: f64) -> f64 {
    let power = ((value / start).log10() + TOLERANCE).floor() as i32;
    times_ten(start, power)
}

/// The largest power of two times a power of a thousand, near `high`, that is not above `low`.
fn power_of_two_below(low: f64, high: f64) -> f64 {
    let thousand = times_ten(1.0, 3 * (high.log10() / 3.0).floor() as i32);
    2f64.powf(((low / thousand).log2() + TOLERANCE).floor()) * thousand
}

#[cfg(test)]
mod tests;
