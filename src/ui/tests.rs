//! The screens as a user sees them, driven by made-up streams.

use super::{keymap::KEYMAP, screens, terminal::SyncTerminal, *};
use crate::{
    agent::fleet::Addressed,
    event::{Body, Checked, Command, Config, Event, Level, Link, LinkState, Phase, Precision, StationId, Tagged},
    session::{Fleet, State},
    testing::demo::{self, Script},
};
use crossterm::event::{KeyCode, KeyEvent, KeyModifiers, MouseButton, MouseEvent, MouseEventKind};
use proptest::prelude::*;
use ratatui::{Terminal as Screenful, backend::TestBackend, layout::Rect};
use std::{cell::RefCell, io, rc::Rc, time::Duration};

fn options() -> Options {
    let paper = vec!["alexnet".into(), "googlenet".into(), "resnet50".into()];
    Options { networks: demo::networks(), paper, depth: Some(Depth::None), ..Options::default() }
}

/// An app that was started with the first configuration of the script and has folded in all of it.
fn app_with(mut options: Options, script: &Script) -> App {
    let theme = options.theme();
    let first = script.events.iter().find_map(|e| match &e.body {
        Body::Phase(change) => Some(&change.config),
        _ => None,
    });
    if let Some(config) = first {
        options.initial = InitialConfig {
            network: Some(config.network.clone()),
            batch: Some(config.batch),
            ..InitialConfig::default()
        };
    }
    let mut app = App::new(options, theme);
    for event in &script.events {
        app.apply(event);
        app.take_commands();
    }
    app
}

/// The commands for all stations.
fn commands(app: &mut App) -> Vec<Command> {
    app.take_commands().into_iter().map(|addressed| addressed.command).collect()
}

fn app(script: &Script) -> App {
    app_with(options(), script)
}

fn press(app: &mut App, keys: &str) {
    for c in keys.chars() {
        let code = match c {
            '→' => KeyCode::Right,
            '←' => KeyCode::Left,
            '↑' => KeyCode::Up,
            '↓' => KeyCode::Down,
            '⏎' => KeyCode::Enter,
            '⎋' => KeyCode::Esc,
            '⌫' => KeyCode::Backspace,
            '⇥' => KeyCode::Tab,
            c => KeyCode::Char(c),
        };
        app.handle(KeyEvent::from(code));
    }
}

fn show(app: &mut App, width: u16, height: u16) -> String {
    let mut terminal = Screenful::new(TestBackend::new(width, height)).unwrap();
    terminal.draw(|frame| app.draw(frame)).unwrap();
    let buffer = terminal.backend().buffer();
    let row = |y| {
        let cells = (0..width).map(|x| buffer[(x, y)].symbol()).collect::<String>();
        cells.trim_end().to_owned()
    };
    (0..height).map(row).collect::<Vec<_>>().join("\n")
}

fn snapshots(name: &str, script: &Script, keys: &str) {
    let mut app = app(script);
    press(&mut app, keys);
    for (width, height) in [(80, 24), (120, 36)] {
        insta::assert_snapshot!(format!("{name}_{width}x{height}"), show(&mut app, width, height));
    }
}

#[test]
fn live_screen() {
    snapshots("live", &demo::live(), "");
}

#[test]
fn live_screen_without_a_power_sensor() {
    snapshots("live_no_power", &demo::no_power(), "");
}

#[test]
fn live_screen_after_out_of_memory() {
    snapshots("live_oom", &demo::out_of_memory(), "");
}

#[test]
fn live_screen_after_the_engine_died() {
    snapshots("live_died", &demo::died(), "");
}

#[test]
fn live_screen_in_trouble() {
    snapshots("live_troubled", &demo::troubled(), "");
}

#[test]
fn the_status_says_whether_a_graph_is_replayed_and_why_not() {
    let status = |script: &Script, used: bool, why: &str| {
        let mut app = app(script);
        let run = app.shown().run.as_ref().unwrap().id;
        let graph = crate::event::Graph { run, used, why: why.to_owned(), eager_ns: None, replay_ns: None };
        app.apply(&Event { t: app.shown().now, body: Body::Graph(graph) });
        show(&mut app, 150, 36).lines().find(|line| line.starts_with(" STEADY")).unwrap().to_owned()
    };
    let replayed = status(&demo::live(), true, "exact, 1.84 times as fast");
    assert!(replayed.contains("batches · graph ·"), "{replayed}");
    let eager = status(&demo::live(), false, "not exact");
    assert!(eager.contains("· no graph: not exact"), "{eager}");
    assert!(!status(&demo::no_power(), false, "cpu has none").contains("graph"), "there is nothing to say on a CPU");
}

#[test]
fn the_status_says_which_limit_is_in_force() {
    let mut app = app(&demo::no_power());
    let mut devices = app.shown().devices.clone();
    let limited = |info: &&mut crate::event::DeviceInfo| info.name == "cpu";
    devices.iter_mut().find(limited).unwrap().limits = vec!["memory: 381 MiB by memory.max".to_owned()];
    app.apply(&Event { t: app.shown().now, body: Body::Devices { devices } });
    assert!(show(&mut app, 150, 36).contains("limited, memory: 381 MiB by memory.max"));
}

#[test]
fn live_screen_before_anything_happened() {
    snapshots("live_start", &Script::gpu(1.0), "");
}

fn link(state: LinkState) -> Body {
    Body::Link(Link { command: "ssh gpu-box".into(), host: Some("gpu-box".into()), state })
}

#[test]
fn live_screen_of_a_remote_host() {
    let mut script = demo::live();
    let (rtt_ns, down_bytes_per_s, up_bytes_per_s) = (Some(12_345_678), 8_123.0, 412.0);
    script.say(link(LinkState::Up { rtt_ns, down_bytes_per_s, up_bytes_per_s }));
    snapshots("far", &script, "");
    script.say(link(LinkState::Lost { reason: "nothing was heard for 5 s".into(), retry_in_s: Some(3.2) }));
    snapshots("far_lost", &script, "");
    assert!(show(&mut app(&script), 40, 3).contains("LINK LOST"), "there is room for it everywhere");
}

#[test]
fn live_screen_before_a_remote_host_is_reached() {
    let mut app = App::new(options(), options().theme());
    let mut say = |body| {
        app.apply(&Event { t: 5_000_000_000, body });
        show(&mut app, 80, 24)
    };
    say(Body::Header(crate::event::Header::default()));
    let word = Some("srun: job 7 queued and waiting for resources".to_owned());
    let connecting =
        Link { command: "srun --gres=gpu:1".into(), host: None, state: LinkState::Connecting { said: word } };
    let screen = say(Body::Link(connecting.clone()));
    assert!(screen.contains("CONNECTING") && screen.contains("queued and waiting"), "{screen}");
    let reason =
        "wattscope was not found at the far end of \"srun --gres=gpu:1\": build it there, or copy this one there";
    let state = LinkState::Lost { reason: reason.into(), retry_in_s: Some(30.0) };
    let screen = say(Body::Link(Link { state, ..connecting }));
    assert!(screen.contains("LINK LOST  retrying in 30 s") && screen.contains("copy this one there"), "{screen}");
}

#[test]
fn the_status_shows_the_result_of_a_check() {
    let mut script = demo::live();
    let config = script.events.iter().rev().find_map(|event| match &event.body {
        Body::Phase(change) => Some(change.config.clone()),
        _ => None,
    });
    let Config { network, device, precision, .. } = config.unwrap();
    let checked = |error, pass| {
        let (network, device) = (network.clone(), device.clone());
        Body::Checks { checks: vec![Checked { network, device, precision, error: Some(error), bound: 1e-2, pass }] }
    };
    assert!(!show(&mut app(&script), 200, 40).contains("check"), "a stream that does not tell is not made to");
    for (body, text) in [
        (Body::Checks { checks: vec![] }, format!("not checked: wattscope check {network}")),
        (checked(3.1e-3, true), format!("checked {precision}: 3e-3 ≤ 1e-2")),
        (checked(0.2, false), format!("CHECK FAILED {precision}: 2e-1 > 1e-2")),
    ] {
        script.say(body);
        let screen = show(&mut app(&script), 200, 40);
        assert!(screen.contains(&text), "{text}: {screen}");
    }
    assert!(show(&mut app(&script), 80, 24).contains("CHECK FAILED"), "a failure has room everywhere");
}

const TWO: [(&str, &str); 2] = [("bench", "cuda:0"), ("bench", "cuda:1")];
const FOUR: [(&str, &str); 4] =
    [("gpu-box", "cuda:0"), ("gpu-box", "cuda:1"), ("node-17", "cuda:0"), ("node-18", "cuda:0")];

/// An app of several stations that has folded in all of their events.
fn fleet_app(stations: &[(&str, &str)], marker: Marker) -> App {
    let devices: Vec<String> = stations.iter().map(|(_, device)| (*device).to_owned()).collect();
    let initial = InitialConfig { network: Some("resnet50".into()), batch: Some(8), ..InitialConfig::default() };
    let options = Options { stations: devices, initial, marker, ..options() };
    let theme = options.theme();
    let mut app = App::new(options, theme);
    for tagged in demo::fleet(stations) {
        app.apply_tagged(&tagged);
        app.take_commands();
    }
    app
}

/// Applies an event of a station now.
fn say(app: &mut App, on: StationId, body: Body) {
    let t = app.fleet().now();
    app.apply_tagged(&Tagged { station: on, event: Event { t, body } });
}

/// Two of the four stations fail.
fn trouble(app: &mut App) {
    let config = app.fleet()[1].run.as_ref().unwrap().config.clone();
    let reason = "killed by signal 9 (SIGKILL): the kernel was out of memory".to_owned();
    say(app, 1, Body::EngineDied { reason, in_a_row: 1, run: 2, config });
    say(app, 3, Body::Gone { reason: "ssh node-18: connection reset by peer".to_owned() });
}

#[test]
fn live_screen_of_two_and_of_four_stations() {
    let (mut two, mut four) = (fleet_app(&TWO, Marker::Braille), fleet_app(&FOUR, Marker::Braille));
    trouble(&mut four);
    for (width, height) in [(80, 24), (120, 36), (150, 40)] {
        insta::assert_snapshot!(format!("fleet_2_{width}x{height}"), show(&mut two, width, height));
        insta::assert_snapshot!(format!("fleet_4_{width}x{height}"), show(&mut four, width, height));
    }
    insta::assert_snapshot!("fleet_4_60x12", show(&mut four, 60, 12));
}

#[test]
fn knobs_turn_on_every_station_and_a_station_is_selected_by_keys_clicks_and_pages() {
    let mut app = fleet_app(&FOUR, Marker::Braille);
    press(&mut app, "→");
    let run = |on, device| Addressed {
        to: Some(on),
        command: Command::Run { config: demo::config("resnet50", 64, Precision::F16, device) },
    };
    assert_eq!(app.take_commands(), [run(0, "cuda:0"), run(1, "cuda:1"), run(2, "cuda:0"), run(3, "cuda:0")]);
    press(&mut app, "r");
    assert_eq!(app.take_commands().len(), 4);
    let focus = |app: &mut App| {
        let shown = show(app, 80, 24);
        let status = shown.lines().nth(22).unwrap().trim().to_owned();
        status.split("  ").next().unwrap().to_owned()
    };
    assert!(focus(&mut app).starts_with("gpu-box · cuda:0"), "{}", focus(&mut app));
    press(&mut app, "d");
    assert!(focus(&mut app).starts_with("gpu-box · cuda:1"));
    press(&mut app, "]");
    assert!(focus(&mut app).starts_with("node-18 · cuda:0"), "a page further");
    press(&mut app, "d");
    assert!(focus(&mut app).starts_with("gpu-box · cuda:0"), "around the end");
    press(&mut app, "D");
    assert!(focus(&mut app).starts_with("node-18 · cuda:0"));
    show(&mut app, 80, 24);
    let kind = MouseEventKind::Down(MouseButton::Left);
    app.mouse(MouseEvent { kind, column: 3, row: 8, modifiers: KeyModifiers::NONE });
    assert!(focus(&mut app).starts_with("node-17 · cuda:0"), "a click");
    for keys in ["2", "3", "4", "5"] {
        press(&mut app, keys);
        assert!(show(&mut app, 120, 36).contains("station 3 of 4"), "every screen is of a station");
    }
}

#[test]
fn notices_name_their_station_and_a_station_that_is_gone_shows_why_until_it_comes_back() {
    let mut app = fleet_app(&FOUR, Marker::Braille);
    trouble(&mut app);
    let shown = show(&mut app, 150, 40);
    assert!(shown.contains(" GONE ") && shown.contains("ssh node-18: connection reset by"), "{shown}");
    assert!(shown.contains("ENGINE DIED") && shown.contains("kernel was out of memory; starting"), "{shown}");
    say(&mut app, 2, Body::Notice { level: Level::Warning, text: "the fan has stopped".to_owned() });
    assert!(show(&mut app, 120, 36).contains(" node-17 · cuda:0: the fan has stopped"));
    say(&mut app, 3, Body::Header(crate::event::Header { host: "node-18".into(), ..Default::default() }));
    assert!(!show(&mut app, 150, 40).contains("GONE"));
}

#[test]
fn a_pin_on_one_station_is_compared_with_all_of_them() {
    let mut app = fleet_app(&TWO, Marker::Braille);
    press(&mut app, "c");
    let shown = show(&mut app, 150, 40);
    assert!(shown.contains("pinned as A"), "{shown}");
    assert!(shown.contains("A 4.21 ms · +1") && shown.contains('✗'), "the other one is slower: {shown}");
    press(&mut app, "d");
    assert!(show(&mut app, 150, 40).contains("vs ResNet-50 · b32 · f16 · cuda:0"));
}

#[test]
fn a_sweep_runs_on_every_station_and_a_replay_of_several_shows_them_again() {
    let mut app = fleet_app(&TWO, Marker::Braille);
    press(&mut app, "w⏎");
    let plans: Vec<_> = app.take_commands().into_iter().filter(|o| matches!(o.command, Command::Plan { .. })).collect();
    let device = |order: &Addressed| match &order.command {
        Command::Plan { plan } => plan.configs[0].device.clone(),
        _ => String::new(),
    };
    assert_eq!(plans.iter().map(device).collect::<Vec<_>>(), ["cuda:0", "cuda:1"]);
    press(&mut app, "⎋");
    assert_eq!(commands(&mut app).iter().filter(|c| **c == Command::EndSweep).count(), 2);

    let mut recording = crate::session::replay::Player::default();
    let mut fleet = Fleet::default();
    for tagged in demo::fleet(&TWO) {
        recording.push(&tagged, &fleet);
        fleet.apply(&tagged);
    }
    let mut app = App::replay(options(), options().theme(), recording, 40_000_000_000, 1.0);
    let shown = show(&mut app, 120, 36);
    assert!(shown.contains("bench · cuda:0") && shown.contains("bench · cuda:1"), "{shown}");
    press(&mut app, "d→");
    assert!(show(&mut app, 120, 36).contains("station 2 of 2"));
    assert_eq!(commands(&mut app), []);
}

#[test]
fn plateau_screen() {
    snapshots("plateau", &demo::sweep(), "2");
    snapshots("plateau_no_power", &demo::no_power(), "2");
}

#[test]
fn zoo_screen() {
    snapshots("zoo", &demo::zoo(), "3");
}

#[test]
fn findings_screen() {
    snapshots("findings", &demo::sweep(), "4");
    snapshots("findings_no_power", &demo::no_power(), "4");
}

#[test]
fn live_screen_beside_a_pinned_configuration() {
    let mut script = demo::live();
    let mut app = app(&script);
    press(&mut app, "c");
    assert!(show(&mut app, 120, 36).contains("pinned as A"));
    let told = script.events.len();
    script.measure(&demo::f16("resnet50", 128), demo::Profile { ms: 15.4, watts: 655.0, percent: 96.0 }, 14.0);
    let warming = script.events.iter().rposition(|e| matches!(e.body, Body::Phase(_))).unwrap();
    script.events[told..warming].iter().for_each(|e| _ = app.apply(e));
    insta::assert_snapshot!("pinned_warming_up_120x36", show(&mut app, 120, 36));
    script.events[warming..].iter().for_each(|e| _ = app.apply(e));
    for (width, height) in [(150, 40), (120, 36), (80, 24), (60, 16), (40, 6), (90, 3)] {
        insta::assert_snapshot!(format!("pinned_{width}x{height}"), show(&mut app, width, height));
    }
    press(&mut app, "2");
    insta::assert_snapshot!("pinned_plateau_120x36", show(&mut app, 120, 36));
}

#[test]
fn only_steady_runs_can_be_pinned_and_the_same_key_unpins_them() {
    let pinned = |app: &mut App| show(app, 120, 36).contains("pinned as A");
    let mut troubled = app(&demo::troubled());
    press(&mut troubled, "c");
    assert!(show(&mut troubled, 120, 36).contains("nothing to pin yet"));
    let mut app = app(&demo::live());
    press(&mut app, "c");
    assert!(pinned(&mut app));
    press(&mut app, "c");
    assert!(!pinned(&mut app));
}

#[test]
fn the_zoo_is_sorted_by_any_column_both_ways_and_by_clicks() {
    let first = |app: &mut App| {
        let shown = show(app, 120, 36);
        let row = shown.lines().position(|l| l.contains("top-1 %")).unwrap() + 1;
        shown.lines().nth(row).unwrap().split_whitespace().nth(1).unwrap().to_owned()
    };
    let mut app = app(&demo::zoo());
    press(&mut app, "3s");
    assert_eq!(first(&mut app), "AlexNet");
    press(&mut app, "o");
    assert_eq!(first(&mut app), "VGG-16");
    press(&mut app, "sssssss");
    assert_eq!(
        (first(&mut app), app.view_state().own().sort.column),
        ("AlexNet".into(), Some(7)),
        "ties keep their order"
    );
    let click = |app: &mut App, title: &str| {
        let shown = show(app, 120, 36);
        let (row, line) = shown.lines().enumerate().find(|(_, l)| l.contains("top-1 %")).unwrap();
        let column = line[..line.find(title).unwrap()].chars().count() as u16;
        let kind = MouseEventKind::Down(MouseButton::Left);
        app.mouse(MouseEvent { kind, column, row: row as u16, modifiers: KeyModifiers::NONE });
    };
    click(&mut app, "params");
    assert_eq!(first(&mut app), "VGG-16");
    click(&mut app, "params");
    assert_eq!(first(&mut app), "GoogLeNet");
    press(&mut app, "SSSS");
    assert_eq!(
        (first(&mut app), app.view_state().own().sort.column),
        ("AlexNet".into(), None),
        "the registry's own order"
    );
}

#[test]
fn findings_one_by_one() {
    let mut app = app(&demo::sweep());
    press(&mut app, "4");
    assert!(show(&mut app, 80, 24).contains("┌ 1 "));
    press(&mut app, "]]");
    assert!(show(&mut app, 80, 24).contains("┌ 3 "));
    press(&mut app, "]]]]");
    insta::assert_snapshot!("findings_last_80x24", show(&mut app, 80, 24));
    // The overview is a page of its own where there is room for it.
    press(&mut app, "4");
    show(&mut app, 150, 40);
    press(&mut app, "]");
    insta::assert_snapshot!("findings_first_150x40", show(&mut app, 150, 40));
    press(&mut app, "[");
    let overview = show(&mut app, 150, 40);
    assert!((1..=4).all(|n| overview.contains(&format!("┌ {n} "))), "{overview}");
}

#[test]
fn the_energy_budget_can_be_changed_and_decides_which_networks_fit() {
    let mut app = app(&demo::sweep());
    press(&mut app, "e");
    assert!(show(&mut app, 120, 30).contains("the energy budget is on the findings screen"));
    press(&mut app, "4");
    show(&mut app, 220, 24);
    press(&mut app, "]]");
    let fits = |app: &mut App| {
        let shown = show(app, 220, 24);
        let (before, _) = shown.split_once(" of 6 fit").unwrap();
        before.rsplit(' ').next().unwrap().parse::<u32>().unwrap()
    };
    assert_eq!(fits(&mut app), 3, "half of them");
    press(&mut app, &"E".repeat(60));
    assert_eq!(fits(&mut app), 6);
    press(&mut app, &"e".repeat(200));
    assert!(show(&mut app, 220, 24).contains("none of 6 fits"));
    let mut blind = self::app(&demo::no_power());
    press(&mut blind, "4e");
    assert!(show(&mut blind, 120, 30).contains("no energy was measured yet"));
}

#[test]
fn layers_screen() {
    snapshots("layers", &demo::zoo(), "5");
    snapshots("layers_unknown", &demo::troubled(), "5");
}

#[test]
fn layers_screen_once_they_are_measured() {
    let mut app = app(&demo::layered());
    press(&mut app, "5");
    for (width, height) in [(80, 24), (120, 36), (150, 40)] {
        insta::assert_snapshot!(format!("layers_measured_{width}x{height}"), show(&mut app, width, height));
    }
    press(&mut app, "s");
    insta::assert_snapshot!("layers_by_time_80x24", show(&mut app, 80, 24));
    press(&mut app, "s");
    assert!(show(&mut app, 120, 36).contains("s: by time"), "as executed again");
}

#[test]
fn layer_times_are_requested_once_and_only_while_the_layers_screen_is_shown() {
    let mut script = demo::live();
    let mut app = app(&script);
    let config = demo::f16("resnet50", 32);
    assert_eq!(commands(&mut app), []);
    press(&mut app, "5");
    assert_eq!(commands(&mut app), [Command::Layers]);
    assert_eq!(commands(&mut app), [], "once");
    let told = script.events.len();
    script.say(Body::LayersBegun { run: 2 });
    script.events[told..].iter().for_each(|e| _ = app.apply(e));
    assert!(show(&mut app, 80, 24).contains("measuring the layers"));
    let (told, reason) = (script.events.len(), "an operation that can't be run by itself: Foo".to_owned());
    script.say(Body::NoLayers { run: 2, config: config.clone(), reason });
    script.events[told..].iter().for_each(|e| _ = app.apply(e));
    assert!(show(&mut app, 80, 24).contains("no times: an operation that can't be run by itself: Foo"));
    press(&mut app, "→");
    assert_eq!(
        commands(&mut app),
        [Command::Run { config: demo::f16("resnet50", 64) }],
        "no layer times of a run that is over"
    );
    let told = script.events.len();
    script.measure(&demo::f16("resnet50", 64), demo::Profile { ms: 8.0, watts: 600.0, percent: 97.0 }, 1.0);
    let mut asked = Vec::new();
    for event in &script.events[told..] {
        app.apply(event);
        asked.extend(commands(&mut app));
    }
    assert_eq!(asked, [Command::Layers], "as soon as the next run is steady");
    let mut recording = app_with(Options { watch_only: true, ..options() }, &demo::live());
    press(&mut recording, "5");
    assert_eq!(commands(&mut recording), []);
}

#[test]
fn a_replay_shows_the_layers_that_were_recorded() {
    let script = demo::layered();
    let mut app = replayed(&script, 1.0);
    press(&mut app, "5");
    app.advance(Duration::from_secs(49));
    assert!(show(&mut app, 120, 36).contains("times were not measured"));
    app.advance(Duration::from_secs(60));
    assert!(show(&mut app, 120, 36).contains("ROOFLINE"), "{}", show(&mut app, 120, 36));
}

#[test]
fn help_screen() {
    snapshots("help", &demo::live(), "?");
}

#[test]
fn first_frame_before_any_event() {
    let mut app = App::new(options(), Theme::default());
    assert!(show(&mut app, 80, 24).contains("looking for devices"));
}

#[test]
fn the_first_run_follows_the_devices() {
    let mut app = App::new(options(), Theme::default());
    assert_eq!(commands(&mut app), []);
    for event in &Script::gpu(0.1).events {
        app.apply(event);
    }
    let config = demo::f16("alexnet", 1);
    assert_eq!(commands(&mut app), [Command::Run { config }]);
    assert_eq!(commands(&mut app), [], "sent once");
}

#[test]
fn a_key_held_down_requests_the_newest_configuration_only() {
    let mut app = app(&demo::live());
    press(&mut app, "→→→→");
    assert_eq!(commands(&mut app), [Command::Run { config: demo::f16("resnet50", 512) }]);
    assert_eq!(commands(&mut app), []);
    press(&mut app, "→←r");
    assert_eq!(commands(&mut app).len(), 2, "one run and one reset");
}

#[test]
fn knobs_follow_the_agent_when_it_goes_back_after_out_of_memory() {
    let mut script = demo::live();
    let mut app = app(&script);
    press(&mut app, "→");
    commands(&mut app);
    let told = script.events.len();
    let (small, large) = (demo::f16("resnet50", 32), demo::f16("resnet50", 64));
    script.out_of_memory(&large);
    script.begin(&small);
    let mut seen = Vec::new();
    for event in &script.events[told..] {
        app.apply(event);
        seen.push(app.wanted().unwrap().batch);
    }
    assert_eq!((seen.first(), seen.last()), (Some(&64), Some(&32)));
    assert_eq!(commands(&mut app), [], "the knobs follow without a request");
}

#[test]
fn a_stale_phase_does_not_move_the_knobs() {
    let mut script = demo::live();
    let mut app = app(&script);
    press(&mut app, "→");
    commands(&mut app);
    script.phase(&demo::f16("resnet50", 32), Phase::Steady);
    app.apply(script.events.last().unwrap());
    assert_eq!(app.wanted().unwrap().batch, 64);
}

#[test]
fn knobs_stop_at_the_ends_of_what_is_available() {
    let mut app = app(&demo::no_power());
    press(&mut app, "↑pd");
    assert_eq!(commands(&mut app), []);
    assert!(show(&mut app, 100, 30).contains("no other device: cuda: libcuda.so.1 not found"));
    press(&mut app, "↓");
    let config = Config { network: "googlenet".into(), ..app.state().run.as_ref().unwrap().config.clone() };
    assert_eq!(commands(&mut app), [Command::Run { config }]);
}

#[test]
fn precisions_and_devices_cycle_through_those_available() {
    let mut app = app(&demo::live());
    let mut seen = Vec::new();
    for _ in 0..4 {
        press(&mut app, "p");
        seen.push(app.wanted().unwrap().precision);
    }
    assert_eq!(seen, [Precision::F32, Precision::Tf32, Precision::F16, Precision::F32]);
    press(&mut app, "d");
    assert_eq!(app.wanted().unwrap(), &demo::config("resnet50", 32, Precision::F32, "cpu"));
}

#[test]
fn the_prompt_takes_any_number_and_explains_errors() {
    let mut app = app(&demo::live());
    press(&mut app, "b0⏎");
    assert!(show(&mut app, 80, 24).contains("at least 1"));
    press(&mut app, "⌫x");
    assert!(show(&mut app, 80, 24).contains("whole number"));
    press(&mut app, "⌫24q⌫⏎");
    assert_eq!(commands(&mut app), [Command::Run { config: demo::f16("resnet50", 24) }]);
    assert!(show(&mut app, 80, 24).contains("[24]"));
    press(&mut app, "b99⎋");
    assert_eq!((commands(&mut app), app.view_state().prompt.clone()), (vec![], None));
}

/// Carries out an app's commands as an agent would, until there are none or `most` runs were started.
fn carry_out(app: &mut App, script: &mut Script, most: usize) -> Vec<Command> {
    let mut done = Vec::new();
    loop {
        let runs = done.iter().filter(|c| matches!(c, Command::Run { .. })).count();
        let commands = if runs < most { commands(app) } else { Vec::new() };
        if commands.is_empty() {
            return done;
        }
        let told = script.events.len();
        for command in &commands {
            match command {
                Command::Run { config } => {
                    script.measure(config, demo::Profile { ms: 2.0, watts: 400.0, percent: 90.0 }, 6.5);
                }
                Command::Rest { stop_engine } => {
                    script.say(Body::Resting { engine_stopped: *stop_engine });
                    script.pass(9.0, None);
                }
                Command::Plan { plan } => script.say(Body::Plan(plan.clone())),
                Command::StepDone { step, outcome } => {
                    script.say(Body::StepDone { step: *step, outcome: outcome.clone() });
                }
                Command::EndSweep => script.say(Body::SweepEnded),
                _ => {}
            }
        }
        script.events[told..].iter().for_each(|event| _ = app.apply(event));
        done.extend(commands);
    }
}

#[test]
fn sweep_panel() {
    snapshots("sweep_panel", &demo::live(), "w");
}

#[test]
fn a_sweep_measures_its_batch_sizes_and_comes_back() {
    let mut script = demo::live();
    let mut app = app(&script);
    press(&mut app, "w↓←←←←⏎");
    carry_out(&mut app, &mut script, 2);
    for (width, height) in [(80, 24), (120, 36)] {
        insta::assert_snapshot!(format!("sweep_{width}x{height}"), show(&mut app, width, height));
    }
    assert!(show(&mut app, 60, 12).contains("SWEEP"));
    let commands = carry_out(&mut app, &mut script, 9);
    let before = demo::f16("resnet50", 32);
    assert_eq!(commands.last(), Some(&Command::Run { config: before.clone() }), "{commands:?}");
    assert!(commands.contains(&Command::Rest { stop_engine: true }), "idle power is read once more");
    let mut batches: Vec<u32> = app.state().runs.iter().map(|run| run.result.config.batch).collect();
    batches.sort_unstable();
    assert_eq!(batches, [1, 2, 4, 8, 32], "the sweep's three, and what was looked at before");
    assert_eq!(app.wanted(), Some(&before));
    let said = super::sweep_driver::summary(app.state(), false);
    assert!(said.starts_with("sweep done: 3 measured; idle power"), "{said}");
}

#[test]
fn knobs_are_locked_during_a_sweep_and_esc_stops_it() {
    let mut script = demo::live();
    let mut app = app(&script);
    press(&mut app, "w→→⏎");
    carry_out(&mut app, &mut script, 1);
    commands(&mut app);
    press(&mut app, "→pbrw");
    assert_eq!((commands(&mut app), &app.view_state().prompt, &app.view_state().sweep), (vec![], &None, &None));
    assert!(show(&mut app, 120, 36).contains("a sweep is running: esc stops it"));
    press(&mut app, "?⎋");
    assert!(!app.view_state().help, "esc closes the help first");
    press(&mut app, "⎋");
    let stop = [Command::EndSweep, Command::Run { config: demo::f16("resnet50", 32) }];
    assert_eq!(commands(&mut app), stop);
    assert!(show(&mut app, 120, 36).contains("sweep stopped: "));
    press(&mut app, "→");
    assert_eq!(commands(&mut app).len(), 1, "the knobs turn again");
    press(&mut app, "w⎋");
    assert_eq!((commands(&mut app), &app.view_state().sweep), (vec![], &None));
}

#[test]
fn freezing_stops_the_view_but_not_the_measurement() {
    let mut script = demo::live();
    let mut app = app(&script);
    press(&mut app, " ");
    let held = show(&mut app, 120, 36);
    assert!(held.contains("FROZEN"));
    let (told, before) = (script.events.len(), app.state().run.as_ref().unwrap().steady.batches);
    script.pass(5.0, Some((&demo::Profile { ms: 9.0, watts: 300.0, percent: 50.0 }, 32, true)));
    for event in &script.events[told..] {
        assert!(!app.apply(event), "nothing to draw");
    }
    let shown = show(&mut app, 120, 36);
    assert!(shown.starts_with(" wattscope") && shown.contains("FROZEN 00:51 (−00:05)"), "{shown}");
    assert!(shown.lines().skip(1).eq(held.lines().skip(1)));
    assert!(app.state().run.as_ref().unwrap().steady.batches > before);
    press(&mut app, " ");
    assert_ne!(show(&mut app, 120, 36), held);
}

#[test]
fn a_recording_takes_no_commands_and_its_knobs_follow_it() {
    let mut app = app_with(Options { watch_only: true, ..options() }, &demo::live());
    press(&mut app, "→r");
    assert_eq!(commands(&mut app), []);
    assert_eq!(app.wanted().unwrap().batch, 32);
    assert!(show(&mut app, 80, 24).contains("knobs do nothing"));
}

/// A recording of a script, played from its beginning.
fn replayed(script: &Script, speed: f64) -> App {
    let mut recording = crate::session::replay::Player::default();
    let mut fleet = Fleet::default();
    for event in &script.events {
        recording.push(&event.into(), &fleet);
        fleet.apply(&event.into());
    }
    App::replay(options(), options().theme(), recording, 0, speed)
}

#[test]
fn a_replay_plays_pauses_seeks_and_ends_where_the_live_screen_ended() {
    let script = demo::live();
    let live = app(&script);
    let mut app = replayed(&script, 4.0);
    assert!(app.playing());
    app.advance(Duration::from_secs(5));
    let screen = show(&mut app, 120, 36);
    assert!(screen.contains("▶ 00:20 / 00:51 ×4") && screen.contains("batch 8 "), "{screen}");
    press(&mut app, " ");
    app.advance(Duration::from_secs(60));
    press(&mut app, ">>>,");
    assert!(!app.playing() && app.frozen());
    let screen = show(&mut app, 120, 36);
    assert!(screen.contains("‖ 00:49 / 00:51") && screen.contains("batch 32 "), "{screen}");
    press(&mut app, "<<{{{ ");
    app.advance(Duration::from_secs(2));
    let screen = show(&mut app, 120, 36);
    assert!(screen.contains("▶ 00:30 / 00:51 ×0.5"), "{screen}");
    press(&mut app, "}}}}}}}}}");
    app.advance(Duration::from_secs(10));
    assert!(!app.playing());
    assert!(show(&mut app, 120, 36).contains("■ 00:51 / 00:51"), "the end");
    assert_eq!(app.shown(), live.state());
    press(&mut app, " ");
    app.advance(Duration::from_millis(10));
    assert!(app.playing() && app.shown().results.is_empty(), "from the beginning again");
    press(&mut app, "R→r");
    assert_eq!(commands(&mut app), []);
}

#[test]
fn replay_screen() {
    let mut app = replayed(&demo::live(), 1.0);
    app.advance(Duration::from_secs(30));
    press(&mut app, " ");
    for (width, height) in [(80, 24), (120, 36)] {
        insta::assert_snapshot!(format!("replay_{width}x{height}"), show(&mut app, width, height));
    }
}

#[test]
fn the_live_screen_rewinds_while_measuring_goes_on() {
    let script = demo::live();
    let (before, after) = script.events.split_at(script.events.len() - 100);
    let mut cut = demo::live();
    cut.events.truncate(before.len());
    let mut app = app_with(options(), &cut);
    press(&mut app, "<<<");
    let then = app.shown().now;
    assert!(app.frozen() && app.state().now - then > 29_000_000_000);
    assert_eq!(app.shown().run.as_ref().unwrap().config.batch, 8);
    let mut folded = State::default();
    script.events.iter().take_while(|e| e.t <= then).for_each(|e| folded.apply(e));
    assert_eq!(app.shown(), &folded);
    after.iter().for_each(|event| _ = app.apply(event));
    assert_eq!(app.shown().now, then);
    assert!(show(&mut app, 120, 36).contains("FROZEN 00:1"), "{}", show(&mut app, 120, 36));
    press(&mut app, ">>>>>>>>");
    assert_eq!(app.shown(), app.state(), "now, and still held");
    assert!(app.frozen());
    press(&mut app, " ");
    assert!(!app.frozen());
}

#[test]
fn the_header_shows_the_length_of_the_recording() {
    let mut app = app(&demo::live());
    app.recorded_since(Some(10_000_000_000));
    assert!(show(&mut app, 120, 36).lines().next().unwrap().ends_with("● REC 00:41"));
    press(&mut app, ",");
    let header = show(&mut app, 120, 36).lines().next().unwrap().to_owned();
    assert!(header.contains("FROZEN 00:50 (−00:01)") && header.ends_with("● REC 00:41"), "{header}");
}

#[test]
fn batch_sizes_and_tabs_can_be_clicked_unless_the_mouse_is_off() {
    let click = |app: &mut App, shown: &str, what: &str| {
        let (row, line) = shown.lines().enumerate().find(|(_, l)| l.contains(what)).unwrap();
        let column = line[..line.find(what).unwrap()].chars().count() as u16 + 1;
        let kind = MouseEventKind::Down(MouseButton::Left);
        app.mouse(MouseEvent { kind, column, row: row as u16, modifiers: KeyModifiers::NONE })
    };
    let mut app = app(&demo::live());
    let shown = show(&mut app, 120, 36);
    click(&mut app, &shown, " 128 ");
    assert_eq!(commands(&mut app), [Command::Run { config: demo::f16("resnet50", 128) }]);
    click(&mut app, &shown, "3 zoo");
    assert_eq!(screens::get(app.view_state().screen).name, "zoo");

    let mut app = app_with(Options { no_mouse: true, ..options() }, &demo::live());
    let shown = show(&mut app, 120, 36);
    click(&mut app, &shown, "3 zoo");
    assert_eq!(screens::get(app.view_state().screen).name, "live");
}

#[test]
fn every_key_of_the_keymap_is_handled() {
    for (code, modifiers, _) in KEYMAP.iter().flat_map(|b| b.keys.iter()) {
        let mut app = app(&demo::zoo());
        app.handle(KeyEvent::new(*code, *modifiers));
        show(&mut app, 90, 30);
    }
}

#[test]
fn ascii_means_ascii() {
    for keys in ["1", "2", "3", "4", "5", "?", "b", "w"] {
        let scripts =
            [demo::live(), demo::zoo(), demo::sweep(), demo::no_power(), demo::out_of_memory(), demo::layered()];
        for script in scripts {
            let mut app = app_with(Options { marker: Marker::Ascii, ..options() }, &script);
            app.recorded_since(Some(0));
            press(&mut app, keys);
            let shown = show(&mut app, 130, 40);
            assert!(shown.is_ascii(), "{shown}");
            assert!(!shown.contains('?') || keys == "?" || shown.matches('?').count() == 1, "{shown}");
        }
    }
}

#[test]
fn a_frame_is_one_synchronised_update_and_shows_what_it_should() {
    let area = Rect::new(0, 0, 100, 30);
    let mut app = app(&demo::live());
    let expected = show(&mut app, 100, 30);
    let out = Output::default();
    let mut canvas = SyncTerminal::fixed(out.clone(), area).unwrap();
    canvas.draw(|frame| app.draw(frame)).unwrap();
    let bytes = out.0.borrow().clone();
    assert!(bytes.starts_with(b"\x1b[?2026h") && bytes.ends_with(b"\x1b[?2026l"));
    let mut terminal = vt100::Parser::new(30, 100, 0);
    terminal.process(&bytes);
    let shown: Vec<_> = terminal.screen().rows(0, 100).map(|r| r.trim_end().to_owned()).collect();
    assert_eq!(shown.join("\n"), expected);
}

/// Bytes a second that ten frames a second take for the events of a script after the first `begun`.
fn bytes_a_second(script: &Script, begun: usize) -> usize {
    let options = Options { depth: Some(Depth::Rgb), ..options() };
    let theme = options.theme();
    let mut app = App::new(options, theme);
    app.recorded_since(Some(0));
    let out = Output::default();
    let mut canvas = SyncTerminal::fixed(out.clone(), Rect::new(0, 0, 150, 34)).unwrap();
    script.events[..begun].iter().for_each(|e| _ = app.apply(e));
    canvas.draw(|frame| app.draw(frame)).unwrap();
    let first = out.0.borrow().len();
    let start = script.events[begun].t;
    let mut frames = 0;
    for event in &script.events[begun..] {
        app.apply(event);
        if (event.t - start) / 100_000_000 > frames {
            frames += 1;
            canvas.draw(|frame| app.draw(frame)).unwrap();
        }
    }
    assert!(frames > 190, "{frames}");
    (out.0.borrow().len() - first) * 10 / frames as usize
}

#[test]
fn ten_frames_a_second_cost_less_than_ten_kilobytes() {
    let mut script = demo::live();
    let begun = script.events.len();
    script.pass(20.0, Some((&demo::Profile { ms: 4.21, watts: 612.0, percent: 96.0 }, 32, true)));
    let rate = bytes_a_second(&script, begun);
    assert!(rate < 5_000, "a steady plateau: {rate} bytes a second");

    let mut script = demo::no_power();
    script.jitter = 0.5;
    let noisy = demo::Profile { ms: 40.0, watts: 0.0, percent: 97.0 };
    script.pass(60.0, Some((&noisy, 4, true)));
    let begun = script.events.len();
    script.pass(20.0, Some((&noisy, 4, true)));
    let rate = bytes_a_second(&script, begun);
    assert!(rate < 10_000, "nothing but noise: {rate} bytes a second");
}

/// Bytes written to a terminal.
#[derive(Clone, Default)]
struct Output(Rc<RefCell<Vec<u8>>>);

impl io::Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.borrow_mut().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Layers of the configuration that scripts run last, of any size and time.
fn layers() -> impl Strategy<Value = Body> {
    let size = prop_oneof![Just(0), 0..u64::MAX, 0..1_000_000_000_u64];
    let layer = ("\\PC{0,12}", prop::collection::vec(size.clone(), 3), size.clone(), prop::option::of(0usize..9));
    let layer = layer.prop_map(|(kind, numbers, time_ns, within)| crate::event::LayerTime {
        kind,
        output: numbers.clone(),
        macs: numbers[0],
        bytes: numbers[1],
        time_ns,
        within,
        ..crate::event::LayerTime::default()
    });
    (prop::collection::vec(layer, 0..9), size, 0u64..4).prop_map(|(layers, ns, run)| {
        Body::Layers(crate::event::Layers {
            run,
            config: demo::f16("resnet50", 32),
            passes: 3,
            clock: crate::event::LayerClock::Device,
            whole_ns: ns,
            sum_ns: ns,
            whole_wall_ns: ns,
            instrumented_wall_ns: ns / 2,
            layers,
        })
    })
}

fn anything() -> impl Strategy<Value = Body> {
    let text = "\\PC{0,30}";
    let number = prop_oneof![Just(f64::NAN), Just(f64::INFINITY), Just(0.0), -1e300..1e300f64, 0.0..1e4f64];
    let config = (0usize..7, 0u32..5000, 0usize..4, prop_oneof![Just("cuda:0"), Just("cpu"), Just("x:y")]).prop_map(
        |(network, batch, precision, device)| {
            let network = demo::networks().get(network).cloned().unwrap_or_else(|| "日本語".into());
            demo::config(&network, batch, Precision::ALL[precision], device)
        },
    );
    let phase = prop_oneof![Just(Phase::Building), Just(Phase::Tuning), Just(Phase::WarmingUp), Just(Phase::Steady)];
    prop_oneof![
        4 => (0u64..4, config.clone(), phase).prop_map(|(run, config, phase)| {
            Body::Phase(crate::event::PhaseChange { run, config, phase, warm_up: None })
        }),
        8 => prop::collection::vec((0u16..8, number), 0..4).prop_map(|values| Body::Samples { values }),
        8 => (0u64..4, any::<bool>(), prop::collection::vec(any::<u64>(), 0..5)).prop_map(|(run, steady, wall_ns)| {
            Body::Batches(crate::event::Batches { run, steady, span_ns: 1_000_000, wall_ns, device_ns: vec![] })
        }),
        1 => (0u64..4, config.clone(), text).prop_map(|(run, config, message)| {
            Body::OutOfMemory { run, config, requested_bytes: None, message }
        }),
        1 => (text, config).prop_map(|(reason, config)| Body::EngineDied { reason, in_a_row: 2, run: 1, config }),
        1 => (text, prop::option::of(any::<f64>())).prop_map(|(reason, retry_in_s)| link(LinkState::Lost { reason, retry_in_s })),
        1 => any::<(Option<u64>, f64)>().prop_map(|(rtt_ns, rate)| {
            link(LinkState::Up { rtt_ns, down_bytes_per_s: rate, up_bytes_per_s: rate })
        }),
        1 => text.prop_map(|text| Body::Notice { level: Level::Error, text }),
        1 => text.prop_map(|reason| Body::SensorsLost { sensors: vec![0, 3], reason }),
        1 => Just(Body::Reset),
        1 => (0u64..4, any::<bool>(), text).prop_map(|(run, used, why)| {
            Body::Graph(crate::event::Graph { run, used, why, eager_ns: None, replay_ns: None })
        }),
        1 => (0.0..1e16f64).prop_map(|bytes_per_s| {
            Body::Bandwidth { device: demo::GPU.into(), bytes_per_s, how: "a copy".into() }
        }),
        4 => layers(),
        1 => text.prop_map(|reason| Body::Gone { reason }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 192, ..ProptestConfig::default() })]

    #[test]
    fn any_size_shows_something_and_never_panics(
        width in 1u16..200,
        height in 1u16..80,
        bodies in prop::collection::vec((0u64..5_000_000_000, anything()), 0..40),
        keys in "[1-5?b0-9+sSoceE \\[\\]dpw]{0,6}",
        base in 0usize..9,
        marker in prop_oneof![Just(Marker::Braille), Just(Marker::Block), Just(Marker::Ascii)],
    ) {
        let stations = [("a", "cuda:0"), ("a", "cuda:1"), ("日本", "cuda:0"), ("b", "cuda:0"), ("c", "cuda:7")];
        let script = match base {
            0 => Script::gpu(0.2),
            1 => demo::no_power(),
            2 => demo::troubled(),
            3 => demo::died(),
            4 => demo::layered(),
            _ => demo::live(),
        };
        let mut app = match base {
            6.. => fleet_app(&stations[..2 * base - 11], marker),
            _ => app_with(Options { marker, ..options() }, &script),
        };
        let mut t = app.fleet().now();
        for (step, body) in bodies {
            t += step;
            let on = (step % app.fleet().len() as u64) as StationId;
            app.apply_tagged(&Tagged { station: on, event: Event { t, body } });
        }
        press(&mut app, &keys);
        let shown = show(&mut app, width, height);
        prop_assert!(!shown.trim().is_empty());
        prop_assert!(marker != Marker::Ascii || shown.is_ascii());
    }
}

#[test]
#[ignore = "prints screens to look at: SHOW=200x50 KEYS=1 cargo test --lib look_at -- --ignored --nocapture"]
fn look_at_a_screen() {
    let var = |name: &str, default: &str| std::env::var(name).unwrap_or_else(|_| default.to_owned());
    let size = var("SHOW", "120x36");
    let (width, height) = size.split_once('x').unwrap();
    let scripts = [
        demo::live(),
        demo::zoo(),
        demo::no_power(),
        demo::out_of_memory(),
        demo::died(),
        demo::troubled(),
        demo::sweep(),
        demo::layered(),
    ];
    let marker = var("MARKER", "braille").parse().unwrap();
    let number = var("SCRIPT", "0").parse::<usize>().unwrap();
    let mut app = match scripts.get(number) {
        Some(script) => app_with(Options { marker, ..options() }, script),
        None => fleet_app(&FOUR[..number - 8], marker),
    };
    app.recorded_since(Some(0));
    press(&mut app, &var("KEYS", "1"));
    println!("{}", show(&mut app, width.parse().unwrap(), height.parse().unwrap()));
}

#[test]
fn where_metrics_are_served_is_said_at_first_and_in_the_help() {
    let url = "http://127.0.0.1:41234/metrics";
    for (width, height) in [(150, 40), (80, 24)] {
        let mut app = App::new(Options { metrics: Some(url.to_owned()), ..options() }, options().theme());
        assert!(show(&mut app, width, height).contains(&format!("metrics: {url}")), "{width}×{height}");
        press(&mut app, "?");
        let mut help = String::new();
        for _ in 0..6 {
            help += &show(&mut app, width, height);
            press(&mut app, "]");
        }
        // The hint is below the help.
        assert!(help.lines().any(|line| line.contains(url) && line.contains('│')), "{width}×{height}:\n{help}");
    }
}
