//! The help texts, so that a change to them is seen.

// Tests may panic: that is how they fail. clippy.toml knows test functions only, not their helpers.
#![allow(clippy::unwrap_used)]

use wattscope::commands;

fn help(command: Option<&str>) -> String {
    let mut root = commands::command_line().term_width(100);
    root.build();
    let command = match command {
        Some(name) => root.find_subcommand_mut(name).unwrap(),
        None => &mut root,
    };
    command.render_long_help().to_string()
}

#[test]
fn help_of_the_live_screen() {
    insta::assert_snapshot!(help(None));
}

#[test]
fn help_of_run() {
    insta::assert_snapshot!(help(Some("run")));
}

#[test]
fn help_of_layers() {
    insta::assert_snapshot!(help(Some("layers")));
}

#[test]
fn help_of_infer() {
    insta::assert_snapshot!(help(Some("infer")));
}

#[test]
fn help_of_accuracy() {
    insta::assert_snapshot!(help(Some("accuracy")));
}

#[test]
fn help_of_sweep() {
    insta::assert_snapshot!(help(Some("sweep")));
}

#[test]
fn help_of_warm() {
    insta::assert_snapshot!(help(Some("warm")));
}

#[test]
fn help_of_merge_and_check() {
    insta::assert_snapshot!(help(Some("merge")) + &help(Some("check")));
}

#[test]
fn help_of_report() {
    insta::assert_snapshot!(help(Some("report")));
}

#[test]
fn help_of_networks_and_devices() {
    insta::assert_snapshot!(help(Some("networks")) + &help(Some("devices")));
}

#[test]
fn help_of_completions_and_man() {
    insta::assert_snapshot!(help(Some("completions")) + &help(Some("man")));
}

#[test]
fn help_of_replay_and_export() {
    insta::assert_snapshot!(help(Some("replay")) + &help(Some("export")));
}
