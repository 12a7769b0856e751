//! A bar chart with horizontal bars.

use super::{
    axis::Axis,
    draw::{colour, dot, finish, layout, plain, scene, tipped, width_of, written},
    legend::{self, Entry},
};
use crate::report::paint::{self, Paint};
use kuva::render::{
    axis::{add_axes_and_grid, add_labels_and_title},
    layout::ComputedLayout,
    render::{Primitive, Scene, TextAnchor},
};

/// Width of a bar chart, px.
const BARS: f64 = 760.0;

/// A bar.
#[derive(Clone, Debug, PartialEq)]
pub struct Bar {
    /// Label on the axis.
    pub name: String,
    /// Length.
    pub value: f64,
    /// The value as printed beside the bar.
    pub label: String,
    /// Colour.
    pub paint: Paint,
    /// Another value of the same quantity, drawn as a ring.
    pub ghost: Option<f64>,
    /// Tooltip.
    pub tip: String,
}

/// A bar chart; the first bar is at the top.
#[derive(Clone, Debug, PartialEq)]
pub struct Bars {
    /// What it shows, for screen readers.
    pub title: String,
    /// The axis along the bars.
    pub x: Axis,
    /// The bars.
    pub bars: Vec<Bar>,
    /// Legend.
    pub legend: Vec<Entry>,
}

impl Bars {
    /// The chart as an SVG file.
    pub fn svg(&self) -> String {
        let rows = self.bars.len().max(1) as f64;
        let left = self.bars.iter().map(|b| width_of(&b.name)).fold(60.0, f64::max) + 24.0;
        let top = legend::height(&self.legend, (left, BARS));
        let size = (BARS, top + 22.0 * rows + 58.0);
        let names: Vec<String> = self.bars.iter().rev().map(|b| plain(&b.name)).collect();
        let layout = layout(self.x.ends(), (0.5, rows + 0.5), size)
            .with_y_categories(names)
            .with_x_label(plain(&self.x.title))
            .with_x_tick_format(self.x.format())
            .with_force_margins(left, 64.0)
            .with_force_margins_y(top, 54.0);
        let computed = ComputedLayout::from_layout(&layout);
        let mut scene = scene(size);
        add_axes_and_grid(&mut scene, &computed, &layout);
        self.grid(&computed, &mut scene);
        add_labels_and_title(&mut scene, &computed, &layout);
        legend::draw(&self.legend, (left, BARS), &mut scene);
        for (i, bar) in self.bars.iter().enumerate() {
            self.bar(bar, computed.map_y(rows - i as f64), &computed, &mut scene);
        }
        finish(&scene, &self.title)
    }

    /// Draws the vertical grid lines, which kuva does not draw for horizontal bars.
    fn grid(&self, computed: &ComputedLayout, scene: &mut Scene) {
        let ticks = kuva::render::render_utils::generate_ticks(self.x.range.0, self.x.range.1, computed.x_ticks);
        for x in ticks.into_iter().filter(|t| *t > self.x.range.0).map(|t| computed.map_x(t)) {
            scene.add(Primitive::Line {
                x1: x,
                y1: computed.margin_top,
                x2: x,
                y2: computed.height - computed.margin_bottom,
                stroke: colour(paint::GRID),
                stroke_width: 1.0,
                stroke_dasharray: None,
            });
        }
    }

    fn bar(&self, bar: &Bar, y: f64, computed: &ComputedLayout, scene: &mut Scene) {
        let start = computed.map_x(self.x.range.0);
        let clamped = |v: f64| computed.map_x(v.clamp(self.x.range.0, self.x.range.1));
        let end = clamped(bar.value);
        tipped(&bar.tip, scene, |scene| {
            scene.add(Primitive::Rect {
                x: start,
                y: y - 7.5,
                width: (end - start).max(0.0),
                height: 15.0,
                fill: colour(bar.paint),
                stroke: None,
                stroke_width: None,
                opacity: None,
            });
        });
        let ghost = bar.ghost.filter(|v| v.is_finite()).map(clamped);
        if let Some(x) = ghost {
            dot((x, y), 4.0, paint::INK, true, scene);
        }
        let clear = ghost.map_or(end, |x| if (x - end).abs() < 48.0 { x.max(end) + 4.0 } else { end });
        written(&bar.label, (clear + 6.0, y + 4.0), TextAnchor::Start, paint::INK, scene);
    }
}
