//! Drawing primitives on a kuva scene, in the report's colours and fonts.

use super::place::Area;
use crate::report::paint::{self, Paint};
use kuva::{
    backend::svg::SvgBackend,
    render::{
        color::Color,
        layout::{ComputedLayout, Layout},
        render::{PathData, Primitive, Scene, TextAnchor},
        theme::Theme,
    },
};

/// Font size of labels, px.
pub const LABEL: u32 = 12;

/// Estimated width of a letter of a label, px. The reader's font is not known, so this is that of a wide one.
const LETTER: f64 = 0.56 * LABEL as f64;

/// Text that is safe in kuva's SVG: kuva escapes mark-up, but takes `$` for formulas, and passes control characters on.
pub fn plain(text: &str) -> String {
    let visible = text.chars().map(|c| if c.is_control() { ' ' } else { c });
    visible.collect::<String>().replace('\\', "＼").replace('$', "\\$")
}

/// The area within the axes, px.
pub fn frame(computed: &ComputedLayout) -> Area {
    Area {
        left: computed.margin_left,
        top: computed.margin_top,
        right: computed.width - computed.margin_right,
        bottom: computed.height - computed.margin_bottom,
    }
}

/// Estimated width of a label, px.
pub fn width_of(text: &str) -> f64 {
    text.chars().count() as f64 * LETTER
}

fn theme() -> Theme {
    let owned = |paint: Paint| paint.light().to_owned();
    Theme {
        background: owned(paint::PAPER),
        axis_color: owned(paint::AXIS),
        grid_color: owned(paint::GRID),
        tick_color: owned(paint::AXIS),
        text_color: owned(paint::INK),
        font_family: Some(paint::FONT.to_owned()),
        ..Theme::light()
    }
}

/// A colour for kuva.
pub fn colour(paint: Paint) -> Color {
    Color::from(paint.light())
}

/// A layout over two ranges in the units of kuva's axes.
pub fn layout(x: (f64, f64), y: (f64, f64), (width, height): (f64, f64)) -> Layout {
    Layout::new(x, y)
        .with_width(width)
        .with_height(height)
        .with_theme(theme())
        .with_x_axis_min(x.0)
        .with_x_axis_max(x.1)
        .with_y_axis_min(y.0)
        .with_y_axis_max(y.1)
        .with_label_size(13)
        .with_tick_size(12)
        .with_axis_line_width(1.0)
        .with_grid_line_width(1.0)
}

/// An empty scene.
pub fn scene(size: (f64, f64)) -> Scene {
    let mut scene = Scene::new(size.0, size.1).with_background(Some(paint::PAPER.light()));
    scene.text_color = Some(paint::INK.light().to_owned());
    scene.font_family = Some(paint::FONT.to_owned());
    scene
}

/// Draws a mark with a tooltip.
pub fn tipped(tip: &str, scene: &mut Scene, draw: impl FnOnce(&mut Scene)) {
    let title = (!tip.is_empty()).then(|| plain(tip));
    scene.add(Primitive::GroupStart { transform: None, title, extra_attrs: None });
    draw(scene);
    scene.add(Primitive::GroupEnd);
}

/// Draws a dot or a ring.
pub fn dot((cx, cy): (f64, f64), r: f64, paint: Paint, hollow: bool, scene: &mut Scene) {
    scene.add(Primitive::Circle {
        cx,
        cy,
        r,
        fill: if hollow { colour(paint::PAPER) } else { colour(paint) },
        fill_opacity: Some(if hollow { 0.0 } else { 0.82 }),
        stroke: Some(if hollow { colour(paint) } else { colour(paint::PAPER) }),
        stroke_width: Some(if hollow { 1.3 } else { 1.0 }),
    });
}

/// Draws a band between two curves.
pub fn band(points: &[(f64, f64, f64)], paint: Paint, scene: &mut Scene) {
    if points.len() < 2 {
        return;
    }
    let there = points.iter().map(|(x, low, _)| (*x, *low));
    let back = points.iter().rev().map(|(x, _, high)| (*x, *high));
    let corners = there.chain(back).map(|(x, y)| format!("{x:.1} {y:.1}")).collect::<Vec<_>>();
    scene.add(Primitive::Path(Box::new(PathData {
        d: format!("M {} Z", corners.join(" L ")),
        fill: Some(colour(paint)),
        stroke: Color::None,
        stroke_width: 0.0,
        opacity: Some(0.14),
        stroke_dasharray: None,
    })));
}

/// Draws text.
pub fn written(text: &str, (x, y): (f64, f64), anchor: TextAnchor, paint: Paint, scene: &mut Scene) {
    let (content, color) = (plain(text), Some(colour(paint)));
    scene.add(Primitive::Text { x, y, content, size: LABEL, anchor, rotate: None, bold: false, color });
}

/// The SVG file: scalable, titled for screen readers, and with dark colours on a dark screen.
pub fn finish(scene: &Scene, title: &str) -> String {
    let svg = SvgBackend::new().render_scene(scene);
    let (open, rest) = svg.split_once('>').unwrap_or(("<svg xmlns=\"http://www.w3.org/2000/svg\"", "</svg>"));
    let title = paint::escaped(title);
    let view = format!(" viewBox=\"0 0 {} {}\" role=\"img\"", scene.width, scene.height);
    format!("{open}{view}><title>{title}</title><style>{}</style>{rest}\n", paint::dark_figures())
}
