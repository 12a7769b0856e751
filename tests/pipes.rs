//! Commands in a terminal some of whose streams are pipes or files, and terminals that know little.

// Tests may panic: that is how they fail. clippy.toml knows test functions only, not their helpers.
#![allow(clippy::unwrap_used)]

#[path = "support/terminal.rs"]
#[allow(dead_code)] // other tests use what this one does not
mod support;

use portable_pty::CommandBuilder;
use std::path::Path;
use support::Terminal;

/// A shell in a terminal that runs a script, with `$wattscope` in it.
fn shell(home: &Path, script: &str, variables: &[(&str, Option<&str>)]) -> Terminal {
    let mut command = CommandBuilder::new("/bin/sh");
    command.args(["-c", script]);
    command.env("wattscope", env!("CARGO_BIN_EXE_wattscope"));
    command.env("repository", env!("CARGO_MANIFEST_DIR"));
    command.env("TERM", "xterm-256color");
    for (name, value) in variables {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        }
    }
    Terminal::spawn(home, command, 24, 100)
}

#[test]
fn progress_is_shown_without_colours_and_without_escape_sequences_too() {
    let home = tempfile::tempdir().unwrap();
    let no_color = ("NO_COLOR", Some("1"));
    for variables in [&[no_color][..], &[no_color, ("TERM", None)], &[("TERM", Some("dumb"))]] {
        let line = "$wattscope run -n squeezenet1.1 -d cpu -s 1 >table; tail -n +1 table";
        let mut terminal = shell(home.path(), line, variables);
        let screen = terminal.wait_for("the progress", 30.0, |s| s.contains("0/1  squeezenet1.1"));
        assert_eq!(screen.trim_end().lines().count(), 1, "{variables:?}: on one line:\n{screen}");
        assert!(!terminal.has_colours(), "{variables:?}");
        terminal.wait_for("the table", 30.0, |s| s.contains("p50 ms"));
        assert!(terminal.wait_exit(5.0).success());
        assert!(!terminal.screen().contains("0/1"), "the progress is cleared:\n{}", terminal.screen());
    }
}

#[test]
fn quiet_is_quiet_on_a_terminal() {
    let home = tempfile::tempdir().unwrap();
    let line = "$wattscope -q run -n squeezenet1.1 -d cpu -s 0.2 --metrics 0 >table";
    let mut terminal = shell(home.path(), line, &[]);
    assert!(terminal.wait_exit(60.0).success());
    assert_eq!((terminal.bytes(), terminal.screen().trim()), (0, ""));
    assert!(std::fs::read_to_string(home.path().join("table")).unwrap().contains("p50 ms"));
}

#[test]
fn a_recording_from_a_pipe_is_replayed_with_keys_from_the_terminal() {
    let home = tempfile::tempdir().unwrap();
    let line = "cat $repository/tests/recordings/first-edition-live.jsonl.zst | $wattscope replay - --speed 1/16";
    let mut terminal = shell(home.path(), line, &[]);
    terminal.wait_for("the replay", 20.0, |s| s.contains("/ 0"));
    terminal.press("?");
    terminal.wait_for("a key that is answered", 5.0, |s| s.contains("HELP"));
    terminal.press("?q");
    assert_eq!(terminal.wait_exit(5.0).exit_code(), 0);
    let mut none = shell(home.path(), "$wattscope replay -", &[]);
    none.wait_for("the reason", 5.0, |s| s.contains("standard input, which is a terminal here"));
    assert_eq!(none.wait_exit(5.0).exit_code(), 2);
}
