//! The one table of keys: what they do, and what the help, the footer and the README say about them.

use super::screens::Screen;
use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

/// What a key or a click does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Halve the batch size, or go to the power of two below.
    BatchDown,
    /// Double it, or go to the power of two above.
    BatchUp,
    /// Ask for a batch size.
    BatchPrompt,
    /// A batch size that was clicked.
    Batch(u32),
    /// The network above.
    NetworkUp,
    /// The network below.
    NetworkDown,
    /// The next precision that the device has.
    PrecisionNext,
    /// The one before.
    PrecisionBack,
    /// The next device that is there.
    DeviceNext,
    /// The one before.
    DeviceBack,
    /// Look at this station, which was clicked.
    Station(usize),
    /// Hold this configuration fast to compare others with it, or let it go.
    Pin,
    /// Hold the view, or let it go.
    Freeze,
    /// Forget the statistics of this run.
    Reset,
    /// Begin or end a recording.
    Record,
    /// Go to another moment of the stream.
    Seek(Seek),
    /// Replay at half the speed.
    Slower,
    /// Replay at twice the speed.
    Faster,
    /// Ask for a sweep.
    Sweep,
    /// Show less time.
    ZoomIn,
    /// Show more time.
    ZoomOut,
    /// Go to a screen.
    Show(Screen),
    /// The next screen.
    ScreenNext,
    /// The one before.
    ScreenBack,
    /// The next column to sort by.
    SortNext,
    /// The one before.
    SortBack,
    /// A column that was clicked: sort by it, or the other way round where it is sorted by already.
    SortBy(usize),
    /// Sort the other way round.
    SortReverse,
    /// A lower energy budget.
    BudgetDown,
    /// A higher one.
    BudgetUp,
    /// A page up.
    PageUp,
    /// A page down.
    PageDown,
    /// Show or hide the help.
    Help,
    /// Close what is open on top.
    Close,
    /// Leave.
    Quit,
    /// Leave, as interrupted.
    Interrupt,
    /// Stop, and go on when the shell says so.
    Suspend,
    /// Draw everything again.
    Redraw,
}

/// A moment of the stream, as seen from another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seek {
    /// Seconds later, or earlier.
    By(i64),
    /// Its beginning, or the earliest that is held.
    Begin,
    /// Its end, or now.
    End,
}

/// Keys that do a thing, and what is said about it.
#[derive(Clone, Copy, Debug)]
pub struct Binding {
    /// The keys, each with its action.
    pub keys: &'static [(KeyCode, KeyModifiers, Action)],
    /// The keys as printed.
    pub label: &'static str,
    /// What they do.
    pub help: &'static str,
    /// What the footer says, for those that belong there.
    pub hint: Option<&'static str>,
}

const NONE: KeyModifiers = KeyModifiers::NONE;
const CTRL: KeyModifiers = KeyModifiers::CONTROL;

const fn char(c: char, action: Action) -> (KeyCode, KeyModifiers, Action) {
    (KeyCode::Char(c), NONE, action)
}

const fn key(code: KeyCode, action: Action) -> (KeyCode, KeyModifiers, Action) {
    (code, NONE, action)
}

/// Every binding, in the order of the help.
pub const KEYMAP: &[Binding] = &[
    Binding {
        keys: &[key(KeyCode::Left, Action::BatchDown), key(KeyCode::Right, Action::BatchUp)],
        label: "← →",
        help: "batch size: halve, double",
        hint: Some("batch"),
    },
    Binding { keys: &[char('b', Action::BatchPrompt)], label: "b", help: "batch size: type any number", hint: None },
    Binding {
        keys: &[key(KeyCode::Up, Action::NetworkUp), key(KeyCode::Down, Action::NetworkDown)],
        label: "↑ ↓",
        help: "network",
        hint: Some("network"),
    },
    Binding {
        keys: &[char('p', Action::PrecisionNext), char('P', Action::PrecisionBack)],
        label: "p P",
        help: "precision: next, previous of what the device has",
        hint: Some("precision"),
    },
    Binding {
        keys: &[char('d', Action::DeviceNext), char('D', Action::DeviceBack)],
        label: "d D",
        help: "device: next, previous of those present",
        hint: Some("device"),
    },
    Binding {
        keys: &[char('c', Action::Pin)],
        label: "c",
        help: "compare: pin this configuration as A; again, unpin it",
        hint: Some("compare"),
    },
    Binding {
        keys: &[char(' ', Action::Freeze)],
        label: "space",
        help: "freeze the view; measuring goes on. In a replay: pause",
        hint: Some("freeze"),
    },
    Binding {
        keys: &[
            char(',', Action::Seek(Seek::By(-1))),
            char('.', Action::Seek(Seek::By(1))),
            char('<', Action::Seek(Seek::By(-10))),
            char('>', Action::Seek(Seek::By(10))),
        ],
        label: ", . < >",
        help: "rewind: a second back, on; ten seconds back, on",
        hint: None,
    },
    Binding {
        keys: &[key(KeyCode::Home, Action::Seek(Seek::Begin)), key(KeyCode::End, Action::Seek(Seek::End))],
        label: "home end",
        help: "rewind: to the earliest moment that is held, to the latest",
        hint: None,
    },
    Binding {
        keys: &[char('{', Action::Slower), char('}', Action::Faster)],
        label: "{ }",
        help: "speed of a replay: half, double",
        hint: None,
    },
    Binding { keys: &[char('R', Action::Record)], label: "R", help: "record to a file: begin, end", hint: None },
    Binding {
        keys: &[char('w', Action::Sweep)],
        label: "w",
        help: "sweep: measure batch sizes, or networks, one after the other",
        hint: Some("sweep"),
    },
    Binding { keys: &[char('r', Action::Reset)], label: "r", help: "reset the statistics of this run", hint: None },
    Binding {
        keys: &[char('+', Action::ZoomIn), char('=', Action::ZoomIn), char('-', Action::ZoomOut)],
        label: "+ -",
        help: "time axis of the scope: shorter, longer (10 s to 10 min)",
        hint: Some("time"),
    },
    Binding {
        keys: &[
            char('1', Action::Show(Screen::Live)),
            char('2', Action::Show(Screen::Plateau)),
            char('3', Action::Show(Screen::Zoo)),
            char('4', Action::Show(Screen::Findings)),
            char('5', Action::Show(Screen::Layers)),
        ],
        label: "1 … 5",
        help: "screen: live, plateau, zoo, findings, layers",
        hint: None,
    },
    Binding {
        keys: &[key(KeyCode::Tab, Action::ScreenNext), key(KeyCode::BackTab, Action::ScreenBack)],
        label: "tab ⇧tab",
        help: "next, previous screen",
        hint: None,
    },
    Binding {
        keys: &[char('s', Action::SortNext), char('S', Action::SortBack), char('o', Action::SortReverse)],
        label: "s S o",
        help: "zoo: sort by next, previous column, reverse; layers by time",
        hint: None,
    },
    Binding {
        keys: &[char('e', Action::BudgetDown), char('E', Action::BudgetUp)],
        label: "e E",
        help: "findings: energy budget, lower, higher",
        hint: None,
    },
    Binding {
        keys: &[
            key(KeyCode::PageUp, Action::PageUp),
            char('[', Action::PageUp),
            key(KeyCode::PageDown, Action::PageDown),
            char(']', Action::PageDown),
        ],
        label: "[ ]",
        help: "page up, page down (also PgUp, PgDn)",
        hint: None,
    },
    Binding {
        keys: &[char('?', Action::Help), key(KeyCode::F(1), Action::Help)],
        label: "?",
        help: "this help",
        hint: Some("help"),
    },
    Binding {
        keys: &[key(KeyCode::Esc, Action::Close)],
        label: "esc",
        help: "close help or prompt; stop a sweep",
        hint: None,
    },
    Binding {
        keys: &[(KeyCode::Char('l'), CTRL, Action::Redraw)],
        label: "ctrl-l",
        help: "draw the screen again",
        hint: None,
    },
    Binding {
        keys: &[(KeyCode::Char('z'), CTRL, Action::Suspend)],
        label: "ctrl-z",
        help: "suspend; `fg` brings it back",
        hint: None,
    },
    Binding {
        keys: &[char('q', Action::Quit), (KeyCode::Char('c'), CTRL, Action::Interrupt)],
        label: "q",
        help: "quit (ctrl-c too, with exit code 130)",
        hint: Some("quit"),
    },
];

/// What a key does.
pub fn action(key: KeyEvent) -> Option<Action> {
    // Shift is part of the character already, and some terminals report it beside it, some do not.
    let modifiers = key.modifiers - KeyModifiers::SHIFT;
    let all = KEYMAP.iter().flat_map(|b| b.keys);
    all.copied().find(|(code, with, _)| *code == key.code && *with == modifiers).map(|(_, _, action)| action)
}

/// The table as Markdown, for the README.
pub fn markdown() -> String {
    let mut table = String::from("| key | does |\n|---|---|\n");
    for binding in KEYMAP {
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
        let keys: Vec<_> = KEYMAP.iter().flat_map(|b| b.keys).map(|(code, with, _)| (code, with)).collect();
        for (i, key) in keys.iter().enumerate() {
            assert!(!keys[..i].contains(key), "{key:?} is bound twice");
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
