//! The prompt for a batch size.

use super::knobs;
use crossterm::event::KeyCode;

/// Digits that the prompt takes: one more than the largest batch size has, so that a number that is too large can be typed
/// and explained.
const DIGITS: usize = 11;

/// The prompt for a batch size.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BatchPrompt {
    /// What was typed.
    pub text: String,
    /// Why it is no batch size.
    pub error: Option<String>,
}

/// What a key does to the prompt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Entry {
    /// It stays open.
    Open,
    /// It closes without a number.
    Cancel,
    /// It closes with a batch size.
    Batch(u32),
}

impl BatchPrompt {
    /// Handles a key.
    pub fn press(&mut self, key: KeyCode) -> Entry {
        match key {
            KeyCode::Char(c) if !c.is_control() && self.text.len() < DIGITS => {
                self.text.push(c);
                self.error = knobs::parse_batch(&self.text).err();
            }
            KeyCode::Backspace => {
                self.text.pop();
                self.error = None;
            }
            KeyCode::Esc => return Entry::Cancel,
            KeyCode::Enter => match knobs::parse_batch(&self.text) {
                Ok(batch) => return Entry::Batch(batch),
                Err(error) => self.error = Some(error),
            },
            _ => {}
        }
        Entry::Open
    }
}
