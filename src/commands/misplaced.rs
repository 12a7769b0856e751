//! Flags of the live screen before a command, where they would do nothing: `wattscope --on "ssh box" devices`.

use clap::{Arg, ArgMatches, Command, Error, error::ErrorKind, parser::ValueSource};
use std::ffi::OsStr;

/// Refuses flags of the live screen before a command, and says where they belong. Flags that every command has may stand
/// there.
///
/// # Errors
/// If there are any.
pub fn check(command: &mut Command, matches: &ArgMatches) -> Result<(), Error> {
    let Some((word, own)) = matches.subcommand() else { return Ok(()) };
    let given = |arg: &&Arg| {
        !arg.is_global_set() && matches.value_source(arg.get_id().as_str()) == Some(ValueSource::CommandLine)
    };
    let mut flags: Vec<(usize, String)> =
        command.get_arguments().filter(given).flat_map(|arg| written(arg, matches)).collect();
    let Some((_, first)) = flags.iter().min() else { return Ok(()) };
    let name = first.split(' ').next().unwrap_or_default().to_owned();
    flags.sort();
    let flags: Vec<String> = flags.into_iter().map(|(_, flag)| flag).collect();
    let more =
        if own.ids().any(|id| own.value_source(id.as_str()) == Some(ValueSource::CommandLine)) { " …" } else { "" };
    let text = format!(
        "{name} before '{word}' is a flag of the live screen; the flags of a command follow it: wattscope {word} {}{more}\n",
        flags.join(" ")
    );
    Err(Error::raw(ErrorKind::ArgumentConflict, text).with_cmd(command))
}

/// A flag with its values, once for each time that it was given, and where that was.
fn written(arg: &Arg, matches: &ArgMatches) -> Vec<(usize, String)> {
    let id = arg.get_id().as_str();
    let name = format!("--{}", arg.get_long().unwrap_or(id));
    let mut places = matches.indices_of(id).into_iter().flatten();
    if !arg.get_action().takes_values() {
        return places.take(1).map(|place| (place, name.clone())).collect();
    }
    let mut one = |values: Vec<&OsStr>| {
        let values: Vec<_> = values.into_iter().map(OsStr::to_string_lossy).collect();
        // A value has a place of its own, each of a list.
        let place = (0..values.len()).filter_map(|_| places.next()).min().unwrap_or_default();
        (place, format!("{name} {}", quoted(&values.join(","))))
    };
    matches.get_raw_occurrences(id).into_iter().flatten().map(|values| one(values.collect())).collect()
}

/// A value as a shell takes it for one word.
fn quoted(value: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || "-_./:,=+@%".contains(c);
    match value {
        _ if !value.is_empty() && value.chars().all(plain) => value.to_owned(),
        _ if !value.contains(['"', '$', '`', '\\', '!']) => format!("\"{value}\""),
        _ => format!("'{}'", value.replace('\'', r"'\''")),
    }
}
