//! The theme: colours for the colour depth of the terminal, and glyphs for its font.
//!
//! Colours have contrast on black and on white, since a program does not know its terminal's background. Colour never carries
//! meaning alone: without it, weight and words are enough.

use ratatui::{
    buffer::Buffer,
    style::{Color, Modifier, Style},
};
use std::{borrow::Cow, fmt, str::FromStr};

/// Colour depth of the terminal.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Depth {
    /// None: weight and inversion only.
    None,
    /// The sixteen that the terminal's own palette defines.
    #[default]
    Ansi16,
    /// The 256 of xterm.
    Ansi256,
    /// 24 bits.
    Rgb,
}

impl Depth {
    /// Detects the depth from the environment: `NO_COLOR`, `COLORTERM`, `TERM`.
    pub fn detect(env: impl Fn(&str) -> Option<String>) -> Self {
        let var = |name| env(name).unwrap_or_default();
        let (term, colorterm) = (var("TERM"), var("COLORTERM"));
        if !var("NO_COLOR").is_empty() || term == "dumb" {
            Self::None
        } else if ["truecolor", "24bit"].contains(&colorterm.as_str()) || term.ends_with("-direct") {
            Self::Rgb
        } else if term.contains("256color") {
            Self::Ansi256
        } else {
            Self::Ansi16
        }
    }
}

impl FromStr for Depth {
    type Err = String;

    fn from_str(s: &str) -> Result<Self, Self::Err> {
        match s {
            "none" => Ok(Self::None),
            "16" => Ok(Self::Ansi16),
            "256" => Ok(Self::Ansi256),
            "rgb" => Ok(Self::Rgb),
            _ => Err(format!("unknown colour depth '{s}': none, 16, 256 or rgb")),
        }
    }
}

impl fmt::Display for Depth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::None => "none",
            Self::Ansi16 => "16",
            Self::Ansi256 => "256",
            Self::Rgb => "rgb",
        })
    }
}

/// What curves are drawn with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Marker {
    /// Braille: 2×4 dots a cell.
    #[default]
    Braille,
    /// Quadrant blocks, 2×2 a cell: for fonts without braille.
    Block,
    /// ASCII only, everywhere on the screen: for serial consoles and logs.
    Ascii,
}

impl FromStr for Marker {
    type Err = String;

    fn from_str(s: &str) -> Result<Self, Self::Err> {
        match s {
            "braille" => Ok(Self::Braille),
            "block" => Ok(Self::Block),
            "ascii" => Ok(Self::Ascii),
            _ => Err(format!("unknown marker '{s}': braille, block or ascii")),
        }
    }
}

impl fmt::Display for Marker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Braille => "braille",
            Self::Block => "block",
            Self::Ascii => "ascii",
        })
    }
}

/// What a piece of the screen means; its style follows from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Text.
    Plain,
    /// A number or word to be read first.
    Strong,
    /// Frames, axes, units: in the background.
    Dim,
    /// The name of a pane.
    Title,
    /// A curve, and numbers that are not steady yet.
    Trace,
    /// Steady numbers.
    Steady,
    /// Building, tuning, warming up; and warnings.
    Warn,
    /// Failures.
    Bad,
    /// The selected batch size, tab, row.
    Current,
    /// A limit: the power cap.
    Limit,
}

/// Colour depth and marker.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Theme {
    /// Colour depth.
    pub depth: Depth,
    /// What curves are drawn with.
    pub marker: Marker,
}

/// A colour at each depth: of 16, of 256, RGB.
type ColourDepths = (Color, u8, (u8, u8, u8));

const BLUE: ColourDepths = (Color::Blue, 32, (0, 120, 205));
const GREEN: ColourDepths = (Color::Green, 28, (0, 138, 50));
const ORANGE: ColourDepths = (Color::Magenta, 130, (186, 100, 0));
const RED: ColourDepths = (Color::Red, 160, (217, 48, 40));
const GREY: ColourDepths = (Color::Reset, 243, (120, 120, 120));

impl Theme {
    /// The style of a role.
    pub fn style(self, role: Role) -> Style {
        let plain = Style::new();
        match role {
            Role::Plain => plain,
            Role::Strong | Role::Title => plain.add_modifier(Modifier::BOLD),
            Role::Dim if self.depth <= Depth::Ansi16 => plain.add_modifier(Modifier::DIM),
            Role::Dim => self.coloured(GREY),
            Role::Trace => self.coloured(BLUE),
            Role::Steady => self.coloured(GREEN).add_modifier(Modifier::BOLD),
            Role::Warn => self.coloured(ORANGE).add_modifier(Modifier::BOLD),
            Role::Bad => self.coloured(RED).add_modifier(Modifier::BOLD),
            Role::Limit => self.coloured(RED),
            Role::Current => self.coloured(BLUE).add_modifier(Modifier::BOLD | Modifier::REVERSED),
        }
    }

    fn coloured(self, (ansi, indexed, (r, g, b)): ColourDepths) -> Style {
        match self.depth {
            Depth::None => Style::new(),
            Depth::Ansi16 => Style::new().fg(ansi),
            Depth::Ansi256 => Style::new().fg(Color::Indexed(indexed)),
            Depth::Rgb => Style::new().fg(Color::Rgb(r, g, b)),
        }
    }

    /// Whether only ASCII may be shown.
    pub fn ascii(self) -> bool {
        self.marker == Marker::Ascii
    }

    /// A glyph, or its ASCII replacement where only ASCII may be shown.
    pub fn pick(self, glyph: &'static str, ascii: &'static str) -> &'static str {
        if self.ascii() { ascii } else { glyph }
    }

    /// Text as the screen may show it: where only ASCII may be, signs are replaced by characters or words.
    pub fn text<'a>(self, text: impl Into<Cow<'a, str>>) -> Cow<'a, str> {
        let text = text.into();
        if !self.ascii() || text.is_ascii() {
            return text;
        }
        let mut plain = String::with_capacity(text.len());
        for c in text.chars() {
            match c {
                '±' => plain.push_str("+/-"),
                '²' => plain.push_str("^2"),
                '·' => plain.push('|'),
                '≥' => plain.push_str(">="),
                '≤' => plain.push_str("<="),
                '…' => plain.push_str(".."),
                'Δ' => plain.push_str("net "),
                'ρ' => plain.push_str("rho"),
                '°' => {}
                c => plain.push(ascii_of(c)),
            }
        }
        Cow::Owned(plain)
    }

    /// Replaces what is not ASCII in a frame, such as text of a driver, a host name or a file, where only ASCII may be shown.
    pub fn force_ascii(self, buffer: &mut Buffer) {
        if !self.ascii() {
            return;
        }
        for cell in &mut buffer.content {
            if !cell.symbol().is_ascii() {
                let c = cell.symbol().chars().next().map_or(' ', ascii_of);
                cell.set_char(c);
            }
        }
    }
}

/// The nearest ASCII character.
fn ascii_of(c: char) -> char {
    match c {
        c if c.is_ascii() => c,
        '─' | '━' | '╌' | '–' | '—' | '−' => '-',
        '│' | '┃' | '┆' | '┊' | '▏' => '|',
        '┌' | '┐' | '└' | '┘' | '┤' | '├' | '┼' | '┴' | '┬' => '+',
        '█' | '▉' | '▊' | '▋' | '▌' | '▓' => '#',
        '←' => '<',
        '→' => '>',
        '↑' | '▲' => '^',
        '↓' | '▼' => 'v',
        '×' => 'x',
        'µ' => 'u',
        '●' | '•' | '✓' => '*',
        '“' | '”' => '"',
        '‘' | '’' => '\'',
        '·' => '.',
        '\u{a0}' => ' ',
        _ => '?',
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// WCAG relative luminance.
    fn luminance((r, g, b): (u8, u8, u8)) -> f64 {
        let linear = |c: u8| {
            let c = f64::from(c) / 255.0;
            if c <= 0.040_45 { c / 12.92 } else { ((c + 0.055) / 1.055).powf(2.4) }
        };
        0.2126 * linear(r) + 0.7152 * linear(g) + 0.0722 * linear(b)
    }

    /// A colour of xterm's 6×6×6 cube or grey ramp.
    fn xterm(index: u8) -> (u8, u8, u8) {
        let level = |n: u8| if n == 0 { 0 } else { 55 + 40 * n };
        match index {
            16..=231 => (level((index - 16) / 36), level((index - 16) / 6 % 6), level((index - 16) % 6)),
            232.. => {
                let grey = 8 + 10 * (index - 232);
                (grey, grey, grey)
            }
            _ => panic!("{index} belongs to the terminal's palette"),
        }
    }

    #[test]
    fn every_colour_can_be_read_on_black_and_on_white() {
        for (_, indexed, rgb) in [BLUE, GREEN, ORANGE, RED, GREY] {
            for colour in [rgb, xterm(indexed)] {
                let (on_black, on_white) = ((luminance(colour) + 0.05) / 0.05, 1.05 / (luminance(colour) + 0.05));
                assert!(on_black > 3.8 && on_white > 3.8, "{colour:?}: {on_black:.1} on black, {on_white:.1} on white");
            }
        }
    }

    #[test]
    fn the_colour_depth_follows_the_environment() {
        let depth = |vars: &[(&str, &str)]| {
            Depth::detect(|name| vars.iter().find(|(n, _)| *n == name).map(|(_, v)| (*v).to_owned()))
        };
        assert_eq!(depth(&[("TERM", "xterm-256color"), ("COLORTERM", "truecolor"), ("NO_COLOR", "1")]), Depth::None);
        assert_eq!(depth(&[("TERM", "xterm-256color"), ("NO_COLOR", "")]), Depth::Ansi256);
        assert_eq!(depth(&[("TERM", "xterm-256color"), ("COLORTERM", "truecolor")]), Depth::Rgb);
        assert_eq!(depth(&[("TERM", "linux")]), Depth::Ansi16);
        assert_eq!(depth(&[("TERM", "dumb")]), Depth::None);
        assert_eq!(depth(&[]), Depth::Ansi16);
    }

    #[test]
    fn without_colour_no_style_has_one() {
        let theme = Theme { depth: Depth::None, marker: Marker::Braille };
        for role in [Role::Trace, Role::Steady, Role::Warn, Role::Bad, Role::Current, Role::Limit, Role::Dim] {
            assert_eq!((theme.style(role).fg, theme.style(role).bg), (None, None));
        }
    }

    #[test]
    fn ascii_text_is_ascii() {
        let theme = Theme { depth: Depth::None, marker: Marker::Ascii };
        assert_eq!(theme.text("224² · ±0.4 % → 61 °C"), "224^2 | +/-0.4 % > 61 C");
        assert_eq!(theme.text("日本"), "??");
    }
}
