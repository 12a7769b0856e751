//! The report's colours, for light and dark backgrounds. Each family of networks has one colour in all figures.

use crate::event::NetworkFacts;

/// A colour on a light background, and its counterpart on a dark one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Paint {
    light: &'static str,
    dark: &'static str,
}

impl Paint {
    const fn new(light: &'static str, dark: &'static str) -> Self {
        Self { light, dark }
    }

    /// The colour on a light background, as `#rrggbb`.
    pub const fn light(self) -> &'static str {
        self.light
    }
}

/// The font: the reader's system font.
pub const FONT: &str = "system-ui, -apple-system, 'Segoe UI', 'Helvetica Neue', Arial, 'DejaVu Sans', sans-serif";

/// Background.
pub const PAPER: Paint = Paint::new("#ffffff", "#14181d");
/// Text.
pub const INK: Paint = Paint::new("#1b2026", "#e4e9ee");
/// Secondary marks: the paper's values, rival curves.
pub const FAINT: Paint = Paint::new("#737d88", "#97a1ab");
/// Axes and their ticks.
pub const AXIS: Paint = Paint::new("#59626c", "#aab3bc");
/// Grid lines.
pub const GRID: Paint = Paint::new("#e6e9ec", "#2a3037");
/// The curve of the claim.
pub const FIT: Paint = Paint::new("#c2261c", "#ff7b6e");

/// The families in the order of their first papers, with their colours. Hues are distinct, and hues that colour-blind
/// readers confuse differ in lightness.
const FAMILIES: [(&str, Paint); 10] = [
    ("AlexNet", Paint::new("#8a6d00", "#e0be4a")),
    ("NIN", Paint::new("#4f5d73", "#a9b8d0")),
    ("VGG", Paint::new("#b0413e", "#f08a82")),
    ("Inception", Paint::new("#1f77b4", "#6db8f2")),
    ("ResNet", Paint::new("#2a8a3a", "#6fce7f")),
    ("ENet", Paint::new("#b0307f", "#f083c3")),
    ("SqueezeNet", Paint::new("#d9690b", "#ffa45c")),
    ("DenseNet", Paint::new("#6c4ab6", "#b39cf2")),
    ("MobileNet", Paint::new("#0b8a8a", "#4fd0cf")),
    ("EfficientNet", Paint::new("#5a3a22", "#cfa27f")),
];

/// Parts of network ids and their families, for older recordings, which do not hold families. The first match counts, so
/// that GoogLeNet does not match ENet.
const BY_NAME: [(&str, &str); 11] = [
    ("densenet", "DenseNet"),
    ("efficientnet", "EfficientNet"),
    ("squeezenet", "SqueezeNet"),
    ("mobilenet", "MobileNet"),
    ("googlenet", "Inception"),
    ("inception", "Inception"),
    ("resnet", "ResNet"),
    ("alexnet", "AlexNet"),
    ("vgg", "VGG"),
    ("enet", "ENet"),
    ("nin", "NIN"),
];

/// The colour of a family, or of the family of a network's id; a neutral colour where the family is unknown.
pub fn family(name: &str) -> Paint {
    let of = |family: &str| FAMILIES.iter().find(|(known, _)| *known == family).map(|(_, paint)| *paint);
    let id = name.to_lowercase();
    let by_name = || BY_NAME.iter().find(|(part, _)| id.contains(part)).and_then(|(_, family)| of(family));
    of(name).or_else(by_name).unwrap_or(AXIS)
}

/// Colour of a network.
pub fn network(facts: &NetworkFacts) -> Paint {
    family(if facts.family.is_empty() { &facts.id } else { &facts.family })
}

fn all() -> impl Iterator<Item = Paint> {
    [PAPER, INK, FAINT, AXIS, GRID, FIT].into_iter().chain(FAMILIES.map(|(_, paint)| paint))
}

/// The style of figures on a dark background: every colour is replaced by its counterpart. Viewers that don't support it
/// show the light colours.
pub fn dark_figures() -> String {
    let rule = |p: Paint| {
        let (light, dark) = (p.light, p.dark);
        format!("[fill=\"{light}\"]{{fill:{dark}}}[stroke=\"{light}\"]{{stroke:{dark}}}")
    };
    format!("@media(prefers-color-scheme:dark){{{}}}", all().map(rule).collect::<String>())
}

/// The colours as CSS variables: `--ink`, `--paper` and so on.
pub fn variables(dark: bool) -> String {
    let of = |p: Paint| if dark { p.dark } else { p.light };
    let named = [("paper", PAPER), ("ink", INK), ("faint", FAINT), ("grid", GRID), ("fit", FIT), ("axis", AXIS)];
    named.iter().map(|(name, paint)| format!("--{name}:{};", of(*paint))).collect()
}

/// Text with XML's special characters escaped.
pub fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c if c.is_control() && c != '\n' => out.push(' '),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    /// WCAG relative luminance of `#rrggbb`.
    fn luminance(hex: &str) -> f64 {
        let channel = |i: usize| {
            let c = f64::from(u8::from_str_radix(&hex[i..i + 2], 16).unwrap()) / 255.0;
            if c <= 0.040_45 { c / 12.92 } else { ((c + 0.055) / 1.055).powf(2.4) }
        };
        0.2126 * channel(1) + 0.7152 * channel(3) + 0.0722 * channel(5)
    }

    #[test]
    fn every_network_has_its_familys_colour() {
        let of = |name: &str| FAMILIES.iter().find(|(known, _)| *known == name).unwrap().1;
        for (id, name) in
            [("googlenet-bn", "Inception"), ("enet", "ENet"), ("densenet121", "DenseNet"), ("bn-nin", "NIN")]
        {
            assert_eq!(family(id), of(name), "{id}");
        }
        assert_eq!(family("transformer"), AXIS);
    }

    #[test]
    fn every_colour_can_be_told_from_the_paper_in_both_modes() {
        for paint in all().filter(|p| ![PAPER, GRID].contains(p)) {
            for (colour, paper) in [(paint.light, PAPER.light), (paint.dark, PAPER.dark)] {
                let (a, b) = (luminance(colour), luminance(paper));
                let contrast = (a.max(b) + 0.05) / (a.min(b) + 0.05);
                assert!(contrast > 3.4, "{colour} on {paper}: {contrast:.1}");
            }
        }
    }
}
