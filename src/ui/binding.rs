//! A key binding, as the keymap and the screens declare it.

use super::action::Action;
use crossterm::event::{KeyCode, KeyModifiers};
use std::borrow::Cow;

/// A key with its modifiers, and what it does.
pub type Key = (KeyCode, KeyModifiers, Action);

/// Keys that belong together, and what the help, the footer and the README say about them.
#[derive(Clone, Debug)]
pub struct Binding {
    /// The keys, each with its action.
    pub keys: Cow<'static, [Key]>,
    /// The keys as printed.
    pub label: Cow<'static, str>,
    /// What they do.
    pub help: Cow<'static, str>,
    /// The label in the footer, for those that belong there.
    pub hint: Option<&'static str>,
}

impl Binding {
    /// A binding that the footer does not show.
    pub const fn new(keys: &'static [Key], label: &'static str, help: &'static str) -> Self {
        Self { keys: Cow::Borrowed(keys), label: Cow::Borrowed(label), help: Cow::Borrowed(help), hint: None }
    }

    /// A binding that the footer shows as `hint`.
    pub const fn with_hint(keys: &'static [Key], label: &'static str, help: &'static str, hint: &'static str) -> Self {
        Self { keys: Cow::Borrowed(keys), label: Cow::Borrowed(label), help: Cow::Borrowed(help), hint: Some(hint) }
    }
}

/// A character without modifiers; an upper-case letter is a character of its own.
pub const fn char(c: char, action: Action) -> Key {
    (KeyCode::Char(c), KeyModifiers::NONE, action)
}

/// A character with the control key.
pub const fn ctrl(c: char, action: Action) -> Key {
    (KeyCode::Char(c), KeyModifiers::CONTROL, action)
}

/// A key that is no character, without modifiers.
pub const fn key(code: KeyCode, action: Action) -> Key {
    (code, KeyModifiers::NONE, action)
}
