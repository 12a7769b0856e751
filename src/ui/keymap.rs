//! The keymap: the keys of the whole program and those that screens add. The help, the footer and the README are made from it.

use super::{
    action::{Action, ScreenId, Seek},
    binding::{Binding, char, ctrl, key},
    screens,
};
use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use std::{borrow::Cow, sync::LazyLock};

/// Every binding, in the order of the help.
pub static KEYMAP: LazyLock<Vec<Binding>> = LazyLock::new(|| {
    let own = screens::ALL.iter().flat_map(|screen| screen.bindings);
    let screens = std::iter::once(&digits()).chain(NAVIGATION).chain(own).cloned().collect::<Vec<_>>();
    MEASURING.iter().cloned().chain(screens).chain(PROGRAM.iter().cloned()).collect()
});

/// What is measured, and how it is watched.
const MEASURING: &[Binding] = &[
    Binding::with_hint(
        &[key(KeyCode::Left, Action::BatchDown), key(KeyCode::Right, Action::BatchUp)],
        "← →",
        "batch size: halve, double",
        "batch",
    ),
    Binding::new(&[char('b', Action::BatchPrompt)], "b", "batch size: type any number"),
    Binding::with_hint(
        &[key(KeyCode::Up, Action::NetworkUp), key(KeyCode::Down, Action::NetworkDown)],
        "↑ ↓",
        "network",
        "network",
    ),
    Binding::with_hint(
        &[char('p', Action::PrecisionNext), char('P', Action::PrecisionBack)],
        "p P",
        "precision: next, previous of what the device has",
        "precision",
    ),
    Binding::with_hint(
        &[char('d', Action::DeviceNext), char('D', Action::DeviceBack)],
        DEVICE,
        "device: next, previous of those present",
        "device",
    ),
    Binding::with_hint(
        &[char('c', Action::Pin)],
        "c",
        "compare: pin this configuration as A; again, unpin it",
        "compare",
    ),
    Binding::with_hint(
        &[char(' ', Action::Freeze)],
        "space",
        "freeze the view; measuring goes on. In a replay: pause",
        "freeze",
    ),
    Binding::new(
        &[
            char(',', Action::Seek(Seek::By(-1))),
            char('.', Action::Seek(Seek::By(1))),
            char('<', Action::Seek(Seek::By(-10))),
            char('>', Action::Seek(Seek::By(10))),
        ],
        ", . < >",
        "rewind: a second back, on; ten seconds back, on",
    ),
    Binding::new(
        &[key(KeyCode::Home, Action::Seek(Seek::Begin)), key(KeyCode::End, Action::Seek(Seek::End))],
        "home end",
        "rewind: to the earliest moment that is held, to the latest",
    ),
    Binding::new(&[char('{', Action::Slower), char('}', Action::Faster)], "{ }", "speed of a replay: half, double"),
    Binding::new(&[char('R', Action::Record)], "R", "record to a file: begin, end"),
    Binding::with_hint(
        &[char('w', Action::Sweep)],
        "w",
        "sweep: measure batch sizes, or networks, one after the other",
        "sweep",
    ),
    Binding::new(&[char('r', Action::Reset)], "r", "reset the statistics of this run"),
    Binding::with_hint(
        &[char('+', Action::ZoomIn), char('=', Action::ZoomIn), char('-', Action::ZoomOut)],
        "+ -",
        "time axis of the scope: shorter, longer (10 s to 10 min)",
        "time",
    ),
];

/// The label of the keys that change the device, or the station where there are several.
pub const DEVICE: &str = "d D";

/// From screen to screen.
const NAVIGATION: &[Binding] = &[Binding::new(
    &[key(KeyCode::Tab, Action::ScreenNext), key(KeyCode::BackTab, Action::ScreenBack)],
    "tab ⇧tab",
    "next, previous screen",
)];

/// The program itself.
const PROGRAM: &[Binding] = &[
    Binding::new(
        &[
            key(KeyCode::PageUp, Action::PageUp),
            char('[', Action::PageUp),
            key(KeyCode::PageDown, Action::PageDown),
            char(']', Action::PageDown),
        ],
        "[ ]",
        "page up, page down (also PgUp, PgDn)",
    ),
    Binding::with_hint(&[char('?', Action::Help), key(KeyCode::F(1), Action::Help)], "?", "this help", "help"),
    Binding::new(&[key(KeyCode::Esc, Action::Close)], "esc", "close help or prompt; stop a sweep"),
    Binding::new(&[ctrl('l', Action::Redraw)], "ctrl-l", "draw the screen again"),
    Binding::new(&[ctrl('z', Action::Suspend)], "ctrl-z", "suspend; `fg` brings it back"),
    Binding::with_hint(
        &[char('q', Action::Quit), ctrl('c', Action::Interrupt)],
        "q",
        "quit (ctrl-c too, with exit code 130)",
        "quit",
    ),
];

/// A digit for each screen, in the order of the tabs.
fn digits() -> Binding {
    let digit = |n: usize| char::from_digit(n as u32 + 1, 10);
    let keys = (0..screens::ALL.len()).filter_map(|n| Some(char(digit(n)?, Action::Show(ScreenId(n)))));
    let names: Vec<_> = screens::ALL.iter().map(|screen| screen.name).collect();
    Binding {
        keys: keys.collect(),
        label: format!("1 … {}", names.len()).into(),
        help: Cow::Owned(format!("screen: {}", names.join(", "))),
        hint: None,
    }
}

/// What a key does.
pub fn action(key: KeyEvent) -> Option<Action> {
    // Shift is part of the character, and only some terminals report it as a modifier, too.
    let modifiers = key.modifiers - KeyModifiers::SHIFT;
    let mut all = KEYMAP.iter().flat_map(|binding| binding.keys.iter());
    all.find(|(code, with, _)| *code == key.code && *with == modifiers).map(|(_, _, action)| *action)
}

/// The keymap as a Markdown table, for the README.
pub fn markdown() -> String {
    let mut table = String::from("| key | does |\n|---|---|\n");
    for binding in KEYMAP.iter() {
        // A bar would end the cell.
        table.push_str(&format!(
            "| `{}` | {} |\n",
            binding.label.replace('|', "\\|"),
            binding.help.replace('|', "\\|")
        ));
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_readme_has_this_table() {
        assert!(include_str!("../../README.md").contains(&markdown()), "put this into README.md:\n{}", markdown());
    }

    #[test]
    fn no_key_does_two_things() {
        let all = KEYMAP.iter().flat_map(|binding| binding.keys.iter());
        let keys: Vec<_> = all.map(|(code, with, _)| (code, with)).collect();
        for (i, key) in keys.iter().enumerate() {
            assert!(!keys[..i].contains(key), "{key:?} is bound twice");
        }
    }

    #[test]
    fn every_screen_has_a_digit() {
        assert!(screens::ALL.len() < 10, "digits are single keys");
        for n in 0..screens::ALL.len() {
            let digit = KeyCode::Char(char::from_digit(n as u32 + 1, 10).unwrap());
            assert_eq!(action(KeyEvent::from(digit)), Some(Action::Show(ScreenId(n))));
        }
    }

    #[test]
    fn shift_is_part_of_the_character() {
        let shifted = KeyEvent::new(KeyCode::Char('P'), KeyModifiers::SHIFT);
        assert_eq!(action(shifted), Some(Action::PrecisionBack));
        assert_eq!(action(KeyEvent::from(KeyCode::Char('P'))), Some(Action::PrecisionBack));
        assert_eq!(action(KeyEvent::new(KeyCode::BackTab, KeyModifiers::SHIFT)), Some(Action::ScreenBack));
        assert_eq!(action(KeyEvent::new(KeyCode::Char('p'), KeyModifiers::CONTROL)), None);
        assert_eq!(action(KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL)), Some(Action::Interrupt));
    }

    #[test]
    fn the_markdown_has_a_row_for_every_binding() {
        assert_eq!(markdown().lines().count(), KEYMAP.len() + 2);
        assert!(markdown().contains("| `← →` | batch size: halve, double |"));
    }
}
