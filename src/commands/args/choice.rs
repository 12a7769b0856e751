//! One of a list of words: networks, precisions, formats.

use clap::{
    Arg, Command, Error, ValueEnum,
    builder::{PossibleValue, PossibleValuesParser, TypedValueParser},
    error::{ContextKind, ContextValue},
};
use std::ffi::OsStr;

/// Parser of one of several words. Case and the characters between letters and digits do not matter where only one word fits:
/// `ResNet-50` is `resnet50`. A word that is not among them is refused with the most similar one.
#[derive(Clone, Debug)]
pub struct Choice<T> {
    words: Vec<(PossibleValue, T)>,
}

/// Parser of the values of an enum.
pub fn choice<T: ValueEnum>() -> Choice<T> {
    Choice::new(T::value_variants().iter().filter_map(|value| Some((value.to_possible_value()?, value.clone()))))
}

impl<T: Clone> Choice<T> {
    /// A choice between words, each with its value.
    pub fn new(words: impl IntoIterator<Item = (PossibleValue, T)>) -> Self {
        Self { words: words.into_iter().collect() }
    }

    /// The value that a text stands for; none where no word fits, or several do.
    pub fn find(&self, text: &str) -> Option<T> {
        let text = text.trim();
        let only = |fits: &dyn Fn(&PossibleValue) -> bool| {
            let mut fitting = self.words.iter().filter(|(word, _)| fits(word));
            fitting.next().filter(|_| fitting.next().is_none()).map(|(_, value)| value.clone())
        };
        let folded = fold(text);
        let alike = |word: &PossibleValue| word.get_name_and_aliases().any(|name| fold(name) == folded);
        only(&|word| word.matches(text, false))
            .or_else(|| only(&|word| word.matches(text, true)))
            .or_else(|| only(&alike))
    }
}

/// A word without case and without the characters that people put between its parts.
fn fold(word: &str) -> String {
    word.chars().filter(|c| !matches!(c, '-' | '_' | '.') && !c.is_whitespace()).flat_map(char::to_lowercase).collect()
}

impl<T: Clone + Send + Sync + 'static> TypedValueParser for Choice<T> {
    type Value = T;

    fn parse_ref(&self, command: &Command, arg: Option<&Arg>, value: &OsStr) -> Result<T, Error> {
        let found = value.to_str().and_then(|text| self.find(text));
        found.ok_or_else(|| unknown(command, arg, value, self.words.iter().map(|(word, _)| word.clone())))
    }

    fn possible_values(&self) -> Option<Box<dyn Iterator<Item = PossibleValue> + '_>> {
        Some(Box::new(self.words.iter().map(|(word, _)| word.clone())))
    }
}

/// clap's error for a value that is none of several words, with its tip; the tip does not depend on the case.
fn unknown(
    command: &Command,
    arg: Option<&Arg>,
    value: &OsStr,
    words: impl IntoIterator<Item = PossibleValue>,
) -> Error {
    let written = value.to_string_lossy();
    let parser = PossibleValuesParser::new(words.into_iter());
    // A word itself comes here only where it is spelled like several others.
    let error = parser.parse_ref(command, arg, OsStr::new(&written.to_lowercase())).err();
    let mut error = error.unwrap_or_else(|| Error::new(clap::error::ErrorKind::InvalidValue).with_cmd(command));
    error.insert(ContextKind::InvalidValue, ContextValue::String(written.into_owned()));
    error
}

/// The most similar of several words, as clap finds it; none where none is similar.
pub fn similar(command: &Command, text: &str, words: Vec<&'static str>) -> Option<String> {
    let error = unknown(command, None, OsStr::new(text), words.into_iter().map(PossibleValue::new));
    match error.get(ContextKind::SuggestedValue) {
        Some(ContextValue::String(word)) => Some(word.clone()),
        _ => None,
    }
}
