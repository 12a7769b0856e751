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
    flags.sort();
    let flags: Vec<String> = flags.into_iter().map(|(_, flag)| flag).collect();
    let names: Vec<&str> = flags.iter().filter_map(|flag| flag.split(' ').next()).collect();
    let Some(first) = names.first() else { return Ok(()) };
    if let Some(missing) = names.iter().find(|name| !has(command, word, name)) {
        let text =
            format!("{missing} before '{word}' is a flag of the live screen, and '{word}' has none of that name\n");
        return Err(Error::raw(ErrorKind::ArgumentConflict, text).with_cmd(command));
    }
    let more =
        if own.ids().any(|id| own.value_source(id.as_str()) == Some(ValueSource::CommandLine)) { " …" } else { "" };
    let text = format!(
        "{first} before '{word}' is a flag of the live screen; the flags of a command follow it: wattscope {word} {}{more}\n",
        flags.join(" ")
    );
    Err(Error::raw(ErrorKind::ArgumentConflict, text).with_cmd(command))
}

/// Whether a command has a flag.
fn has(root: &Command, word: &str, flag: &str) -> bool {
    let long = flag.trim_start_matches('-');
    let is = |arg: &Arg| arg.get_long() == Some(long) || arg.get_all_aliases().unwrap_or_default().contains(&long);
    root.find_subcommand(word).is_some_and(|command| command.get_arguments().any(is))
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
