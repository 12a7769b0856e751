//! Placement of labels: beside their dots, and covering nothing.

/// A rectangle, px; y grows downwards.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Area {
    /// Smallest x.
    pub left: f64,
    /// Smallest y.
    pub top: f64,
    /// Largest x.
    pub right: f64,
    /// Largest y.
    pub bottom: f64,
}

impl Area {
    fn overlaps(&self, other: &Self) -> bool {
        self.left < other.right && other.left < self.right && self.top < other.bottom && other.top < self.bottom
    }

    fn holds(&self, other: &Self) -> bool {
        other.left >= self.left && other.right <= self.right && other.top >= self.top && other.bottom <= self.bottom
    }

    /// The part of a straight line within the area (Liang and Barsky 1984).
    pub fn cut(&self, (x0, y0): (f64, f64), (x1, y1): (f64, f64)) -> Option<((f64, f64), (f64, f64))> {
        let (dx, dy) = (x1 - x0, y1 - y0);
        let sides = [(-dx, x0 - self.left), (dx, self.right - x0), (-dy, y0 - self.top), (dy, self.bottom - y0)];
        let (mut enter, mut leave) = (0.0f64, 1.0f64);
        for (towards, distance) in sides {
            if towards == 0.0 && distance < 0.0 {
                return None;
            }
            if towards < 0.0 {
                enter = enter.max(distance / towards);
            } else if towards > 0.0 {
                leave = leave.min(distance / towards);
            }
        }
        // Ends that are not clipped stay equal to the last bit, since segments are joined by comparing them.
        let at = |share: f64| match share {
            s if s <= 0.0 => (x0, y0),
            s if s >= 1.0 => (x1, y1),
            s => (x0 + s * dx, y0 + s * dy),
        };
        (enter <= leave).then(|| (at(enter), at(leave)))
    }

    fn crossed_by(&self, from: (f64, f64), to: (f64, f64)) -> bool {
        self.cut(from, to).is_some()
    }
}

/// A label to be placed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Name {
    /// Position of its dot.
    pub at: (f64, f64),
    /// Radius of the dot.
    pub radius: f64,
    /// Width and height of the label.
    pub size: (f64, f64),
}

/// The place of a label.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Found {
    /// Its area.
    pub area: Area,
    /// End of the leader line, where the label is not right beside its dot.
    pub leader: Option<(f64, f64)>,
}

/// The occupied areas of a chart.
#[derive(Clone, Debug)]
pub struct Board {
    inside: Area,
    taken: Vec<Area>,
    lines: Vec<((f64, f64), (f64, f64))>,
}

/// Gap between a dot and its label, px.
const GAP: f64 = 3.0;

/// Gap between two labels side by side, px.
const APART: f64 = 6.0;

/// Distances between dot and label that are tried, px.
const DISTANCES: [f64; 7] = [0.0, 9.0, 18.0, 30.0, 45.0, 62.0, 82.0];

impl Board {
    /// An empty board.
    pub const fn new(inside: Area) -> Self {
        Self { inside, taken: Vec::new(), lines: Vec::new() }
    }

    /// Adds a dot.
    pub fn take_dot(&mut self, x: f64, y: f64, radius: f64) {
        self.taken.push(Area { left: x - radius, top: y - radius, right: x + radius, bottom: y + radius });
    }

    /// Adds a line.
    pub fn take_line(&mut self, from: (f64, f64), to: (f64, f64)) {
        self.lines.push((from, to));
    }

    /// Places labels: first all that fit right beside their dots, then the others further away with a leader line. A label
    /// that fits nowhere near has no place: it would cover data, and the tooltip of the dot has the same text.
    pub fn find_all(&mut self, names: &[Name]) -> Vec<Option<Found>> {
        let mut found = vec![None; names.len()];
        for across_lines in [false, true] {
            for distance in DISTANCES {
                for (name, found) in names.iter().zip(&mut found).filter(|(_, found)| found.is_none()) {
                    *found = self.find(name, distance, across_lines);
                }
            }
        }
        found
    }

    fn find(&mut self, name: &Name, distance: f64, across_lines: bool) -> Option<Found> {
        let &Name { at: (x, y), radius, size: (width, height) } = name;
        let candidates = around(x, y, radius + GAP + distance, width, height + 4.0);
        let own = Area { left: x - radius, top: y - radius, right: x + radius, bottom: y + radius };
        for area in candidates.into_iter().filter(|area| self.free(area, across_lines)) {
            let leader = (distance > 0.0).then(|| nearest(&area, x, y));
            let crosses = |end: (f64, f64)| self.taken.iter().any(|t| *t != own && t.crossed_by((x, y), end));
            if leader.is_some_and(crosses) {
                continue;
            }
            // Two labels side by side must not read as one.
            self.taken.push(Area { left: area.left - APART, right: area.right + APART, ..area });
            self.lines.extend(leader.map(|end| ((x, y), end)));
            return Some(Found { area, leader });
        }
        None
    }

    fn free(&self, area: &Area, across_lines: bool) -> bool {
        self.inside.holds(area)
            && !self.taken.iter().any(|t| t.overlaps(area))
            && (across_lines || !self.lines.iter().any(|(a, b)| area.crossed_by(*a, *b)))
    }
}

/// Directions from dot to label that are tried: right, left, above, below, then between.
const DIRECTIONS: [(f64, f64); 16] = [
    (1.0, 0.0),
    (-1.0, 0.0),
    (0.0, -1.0),
    (0.0, 1.0),
    (0.71, -0.71),
    (0.71, 0.71),
    (-0.71, -0.71),
    (-0.71, 0.71),
    (0.92, -0.38),
    (0.92, 0.38),
    (-0.92, -0.38),
    (-0.92, 0.38),
    (0.38, -0.92),
    (0.38, 0.92),
    (-0.38, -0.92),
    (-0.38, 0.92),
];

/// Areas around a point whose nearest side or corner is at a distance from it.
fn around(x: f64, y: f64, distance: f64, width: f64, height: f64) -> [Area; 16] {
    DIRECTIONS.map(|(dx, dy)| {
        // Straight above or below, the label is centred horizontally; straight left or right, vertically.
        let push = |d: f64, half: f64| if d.abs() < 0.01 { 0.0 } else { d * distance + d.signum() * half };
        let (cx, cy) = (x + push(dx, width / 2.0), y + push(dy, height / 2.0));
        Area { left: cx - width / 2.0, top: cy - height / 2.0, right: cx + width / 2.0, bottom: cy + height / 2.0 }
    })
}

/// The point of an area that is nearest to (x, y).
fn nearest(area: &Area, x: f64, y: f64) -> (f64, f64) {
    (x.clamp(area.left, area.right), y.clamp(area.top, area.bottom))
}

/// Heights as near to the wanted ones as possible, in the same order, with at least `distance` between neighbours, and
/// within the bounds where there is room. `wanted` is ascending.
pub fn spread(wanted: &[f64], distance: f64, (top, bottom): (f64, f64)) -> Vec<f64> {
    // Neighbours that are too close become a block around the mean of their wanted heights (pool adjacent violators).
    let mut blocks: Vec<(f64, usize)> = Vec::new();
    for (i, height) in wanted.iter().enumerate() {
        // After subtracting i × distance, "far enough apart" means "ascending".
        let (mut mean, mut n) = (height - i as f64 * distance, 1);
        while let Some((before, m)) = blocks.last().copied().filter(|(before, _)| *before > mean) {
            mean = (before * m as f64 + mean * n as f64) / (m + n) as f64;
            n += m;
            blocks.pop();
        }
        blocks.push((mean, n));
    }
    let lowest = bottom - distance * wanted.len().saturating_sub(1) as f64;
    let clamped = blocks.into_iter().flat_map(|(mean, n)| vec![mean.min(lowest).max(top); n]);
    clamped.enumerate().map(|(i, height)| height + i as f64 * distance).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const INSIDE: Area = Area { left: 0.0, top: 0.0, right: 400.0, bottom: 300.0 };

    #[test]
    fn a_line_is_cut_where_it_leaves() {
        assert_eq!(INSIDE.cut((-400.0, 150.0), (800.0, 150.0)), Some(((0.0, 150.0), (400.0, 150.0))));
        assert_eq!(INSIDE.cut((10.0, 10.0), (20.0, 30.0)), Some(((10.0, 10.0), (20.0, 30.0))));
        assert_eq!(INSIDE.cut((-10.0, -10.0), (-20.0, 300.0)), None);
    }

    #[test]
    fn a_line_crosses_what_it_passes_through() {
        let area = Area { left: 10.0, top: 10.0, right: 20.0, bottom: 20.0 };
        assert!(area.crossed_by((0.0, 0.0), (30.0, 30.0)) && area.crossed_by((0.0, 15.0), (30.0, 15.0)));
        assert!(!area.crossed_by((0.0, 0.0), (30.0, 5.0)) && !area.crossed_by((0.0, 0.0), (9.0, 9.0)));
    }

    proptest! {
        #[test]
        fn names_cover_neither_dots_nor_each_other(
            dots in prop::collection::vec((0.0..400.0f64, 0.0..300.0f64, 3.0..20.0f64), 1..25),
        ) {
            let mut board = Board::new(INSIDE);
            dots.iter().for_each(|(x, y, r)| board.take_dot(*x, *y, *r));
            let name = |(x, y, r): &(f64, f64, f64)| Name { at: (*x, *y), radius: *r, size: (60.0, 12.0) };
            let names: Vec<Name> = dots.iter().map(name).collect();
            let names: Vec<_> = board.find_all(&names).into_iter().flatten().collect();
            for (i, name) in names.iter().enumerate() {
                prop_assert!(INSIDE.holds(&name.area));
                prop_assert!(names[..i].iter().all(|other| !other.area.overlaps(&name.area)));
                let clear = |(x, y, r): &(f64, f64, f64)| {
                    !name.area.overlaps(&Area { left: x - r, top: y - r, right: x + r, bottom: y + r })
                };
                prop_assert!(dots.iter().all(clear));
            }
        }

        #[test]
        fn spread_heights_keep_their_order_and_distance(mut wanted in prop::collection::vec(0.0..300.0f64, 0..20)) {
            wanted.sort_by(f64::total_cmp);
            let heights = spread(&wanted, 14.0, (0.0, 300.0));
            prop_assert_eq!(heights.len(), wanted.len());
            prop_assert!(heights.windows(2).all(|w| w[1] - w[0] > 14.0 - 1e-6));
            prop_assert!(heights.iter().all(|h| (-1e-6..=300.0 + 1e-6).contains(h)), "{:?}", heights);
        }
    }
}
