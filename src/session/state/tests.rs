//! Streams and the states that they fold to.

use super::{layers::KEPT_LAYERS, *};
use crate::{
    event::*,
    testing::{config, sensor},
};

const S: Nanos = 1_000_000_000;

/// A stream with a power sensor (0), an energy counter (1) and a utilisation (2) of the CPU.
struct Stream {
    state: State,
    t: Nanos,
    joules: f64,
}

impl Stream {
    fn new() -> Self {
        let mut stream = Self { state: State::default(), t: 0, joules: 0.0 };
        let quantities = [Quantity::PowerInstant, Quantity::Energy, Quantity::Utilisation];
        let sensors = quantities.iter().zip(0..).map(|(q, id)| sensor(id, "cpu", *q, None)).collect();
        stream.say(Body::Sensors { sensors });
        stream
    }

    fn say(&mut self, body: Body) {
        self.state.apply(&Event { t: self.t, body });
    }

    /// Ten readings a second for some seconds; the counter runs at `counter` watts.
    fn read(&mut self, seconds: u64, watts: f64, counter: f64) {
        for _ in 0..seconds * 10 {
            self.t += S / 10;
            self.joules += counter / 10.0;
            self.say(Body::Samples { values: vec![(0, watts), (1, self.joules), (2, 90.0)] });
        }
    }

    fn phase(&mut self, run: RunId, batch: u32, phase: Phase) {
        let change = PhaseChange { run, config: config("alexnet", batch), phase, warm_up: None };
        self.say(Body::Phase(change));
    }

    fn batches(&mut self, run: RunId, steady: bool, n: u64, each: Nanos) {
        let wall_ns = vec![each; n as usize];
        self.say(Body::Batches(Batches { run, steady, span_ns: n * each, wall_ns, device_ns: vec![] }));
    }
}

#[test]
fn only_steady_batches_count_and_power_only_once_it_has_settled() {
    let mut s = Stream::new();
    s.read(2, 70.0, 70.0);
    s.say(Body::EngineStarted { pid: 1, device: "cpu".into() });
    s.phase(1, 4, Phase::WarmingUp);
    s.read(1, 200.0, 200.0);
    s.batches(1, false, 100, S / 1000);
    s.phase(1, 4, Phase::Steady);
    s.t -= 1; // so that the last reading of the rise lies before settling ends, and not on it
    s.read(1, 999.0, 500.0); // still rising: left out
    s.read(4, 300.0, 320.0);
    s.t += 1;
    s.batches(1, true, 50, S / 10);
    let result = s.state.current_result().unwrap();
    assert_eq!((result.batches, result.images_per_s), (50, 40.0));
    assert!((result.latency_ms.p50 - 100.0).abs() < 0.2, "three digits: {:?}", result.latency_ms);
    let power = result.power.unwrap();
    assert!((power.gross_w - 300.0).abs() < 1e-9 && power.readings == 40, "{power:?}");
    assert_eq!((power.idle_w, power.energy_source.as_str()), (Some(70.0), "energy counter"));
    assert!((power.net_w.unwrap() - (power.gross_w - 70.0)).abs() < 1e-9);
    assert!((power.joules_per_image - 8.0).abs() < 1e-9, "{power:?}");
    assert!((result.utilisation.unwrap() - 90.0).abs() < 1e-9);
}

#[test]
fn a_run_whose_processor_time_ran_out_says_in_how_many_periods() {
    let mut s = Stream::new();
    s.say(Body::Sensors { sensors: vec![sensor(7, "cpu", Quantity::CpuThrottled, None)] });
    s.say(Body::EngineStarted { pid: 1, device: "cpu".into() });
    s.phase(1, 4, Phase::Steady);
    s.read(3, 300.0, 300.0);
    [40.0, 0.0].iter().for_each(|percent| s.say(Body::Samples { values: vec![(7, *percent)] }));
    s.batches(1, true, 30, S / 10);
    assert_eq!(s.state.current_result().unwrap().throttled, Some(0.2));
}

#[test]
fn power_derived_from_an_energy_counter_is_the_difference_of_the_counter_over_the_run() {
    let mut s = Stream::new();
    let method =
        |id, quantity, method: &str| Sensor { method: Some(method.into()), ..sensor(id, "cpu", quantity, None) };
    let power = method(0, Quantity::PowerInstant, "derivative of the energy counter over 50 ms, each of 2 packages");
    s.say(Body::Sensors { sensors: vec![power, method(1, Quantity::Energy, "sum of 2 packages")] });
    s.say(Body::EngineStarted { pid: 1, device: "cpu".into() });
    s.phase(1, 4, Phase::Steady);
    s.t += 2 * S;
    // Ten readings on time at 100 W, and one of 300 W that came late: it stands for as long as the nine before it.
    s.read(1, 100.0, 100.0);
    s.t += 9 * S / 10;
    s.joules += 270.0;
    s.say(Body::Samples { values: vec![(0, 300.0), (1, s.joules)] });
    s.t += S / 10;
    s.batches(1, true, 40, S / 10);
    let power = s.state.current_result().unwrap().power.unwrap();
    assert!((power.gross_w - 200.0).abs() < 1e-9, "not the mean of 11 derivatives, 118 W: {power:?}");
    assert!((power.counted_s.unwrap() - 1.8).abs() < 1e-9 && power.readings == 11, "{power:?}");
    assert_eq!(power.energy_source, "energy counter");
    assert!((power.joules_per_image - 5.0).abs() < 1e-9, "200 W over 40 images/s: {power:?}");
}

#[test]
fn an_integral_of_power_is_no_energy_counter_and_a_counter_that_was_reset_goes_on() {
    let mut s = Stream::new();
    let method = Some("integral of the sampled NVML power; no counter: not supported".to_owned());
    let energy = Sensor { method, ..sensor(1, "cpu", Quantity::Energy, None) };
    s.say(Body::Sensors { sensors: vec![energy.clone()] });
    s.say(Body::EngineStarted { pid: 1, device: "cpu".into() });
    s.phase(1, 4, Phase::Steady);
    s.t += S;
    s.read(2, 100.0, 150.0);
    s.batches(1, true, 30, S / 10);
    let power = s.state.current_result().unwrap().power.unwrap();
    assert_eq!((power.energy_source.as_str(), power.counted_s), ("mean power × time", None));
    s.say(Body::Sensors { sensors: vec![Sensor { method: None, ..energy }] });
    s.joules = 0.0;
    s.read(2, 100.0, 150.0);
    let power = s.state.current_result().unwrap().power.unwrap();
    assert_eq!((power.energy_source.as_str(), power.gross_w.round()), ("energy counter", 100.0));
    assert!((power.joules_per_image * 40.0 - 150.0).abs() < 1e-6, "{power:?}");
}

#[test]
fn a_mark_says_from_when_to_when_its_run_was_steady() {
    let mut s = Stream::new();
    let stretch = |s: &Stream| s.state.marks.back().map(|m| (m.steady, m.until)).unwrap();
    s.phase(1, 4, Phase::WarmingUp);
    assert_eq!(stretch(&s), (None, None));
    s.t = 5 * S;
    s.phase(1, 4, Phase::Steady);
    s.t = 7 * S;
    s.say(Body::Paused { paused: true });
    assert_eq!(stretch(&s), (None, None), "power falls in a pause");
    s.t = 9 * S;
    s.say(Body::Paused { paused: false });
    s.say(Body::Reset);
    assert_eq!(stretch(&s), (Some(9 * S), None));
    s.t = 20 * S;
    s.phase(2, 8, Phase::Building);
    assert_eq!(s.state.marks[0].until, Some(20 * S));
}

#[test]
fn a_reset_forgets_and_batches_from_before_it_do_not_come_back() {
    let mut s = Stream::new();
    s.say(Body::EngineStarted { pid: 1, device: "cpu".into() });
    s.phase(1, 1, Phase::Steady);
    s.t += S;
    s.batches(1, true, 10, S / 10);
    s.say(Body::Reset);
    assert!(s.state.current_result().is_none());
    s.t += S / 2;
    s.batches(1, true, 10, S / 10); // began before the reset
    assert!(s.state.current_result().is_none());
    s.t += S;
    s.batches(1, true, 5, S / 10);
    assert_eq!(s.state.current_result().unwrap().batches, 5);
}

#[test]
fn a_graph_belongs_to_its_run_and_goes_into_its_result() {
    let mut s = Stream::new();
    let graph =
        |run| Graph { run, used: true, why: "exact".into(), eager_ns: Some(2_000_000), replay_ns: Some(1_000_000) };
    s.say(Body::EngineStarted { pid: 1, device: "cpu".into() });
    s.phase(1, 1, Phase::Tuning);
    s.say(Body::Graph(graph(9)));
    assert_eq!(s.state.run.as_ref().unwrap().graph, None, "of another run");
    s.say(Body::Graph(graph(1)));
    s.phase(1, 1, Phase::Steady);
    s.t += S;
    s.batches(1, true, 10, S / 10);
    s.phase(2, 2, Phase::Building);
    assert_eq!(s.state.results[0].graph, Some(graph(1)));
    assert_eq!(s.state.run.as_ref().unwrap().graph, None, "the next run has none yet");
}

#[test]
fn results_outlive_their_runs_and_a_death_is_not_a_result() {
    let mut s = Stream::new();
    s.say(Body::EngineStarted { pid: 1, device: "cpu".into() });
    s.phase(1, 1, Phase::Steady);
    s.t += S;
    s.batches(1, true, 10, S / 10);
    s.phase(2, 2, Phase::Building);
    s.batches(1, true, 99, S / 10); // a late report of a run that is over
    assert_eq!(s.state.results.len(), 1);
    assert_eq!(s.state.results[0].batches, 10);
    let died = Body::EngineDied { reason: "x".into(), in_a_row: 1, run: 2, config: config("alexnet", 2) };
    s.say(died);
    assert_eq!(s.state.all_results().len(), 1);
    let oom = Body::OutOfMemory { run: 3, config: config("alexnet", 9), requested_bytes: None, message: "m".into() };
    s.say(oom);
    assert!(s.state.failures[&config("alexnet", 9)].out_of_memory);
    s.phase(4, 9, Phase::Steady);
    assert!(s.state.failures.is_empty(), "what runs after all does not fail");
}

fn plan(batches: &[u32], repeat: u32) -> Body {
    let configs: Vec<Config> = batches.iter().map(|batch| config("alexnet", *batch)).collect();
    let order = (0..repeat).flat_map(|_| 0..configs.len() as u32).collect();
    Body::Plan(Plan { configs, repeat, seed: None, order, seconds: 1.0, ..Plan::default() })
}

#[test]
fn in_a_sweep_only_what_is_done_counts_and_every_repetition_is_kept() {
    let mut s = Stream::new();
    s.say(Body::Header(Header::default()));
    s.say(plan(&[1, 2], 2));
    s.say(Body::EngineStarted { pid: 1, device: "cpu".into() });
    let step = |s: &mut Stream, step: u32, batches: u64| {
        s.phase(RunId::from(step) + 1, step % 2 + 1, Phase::Steady);
        s.t += 20 * S;
        s.batches(RunId::from(step) + 1, true, batches, S / 10);
        s.say(Body::StepDone { step, outcome: Outcome::Measured });
    };
    step(&mut s, 0, 10);
    step(&mut s, 1, 20);
    step(&mut s, 2, 30);
    // The last step is interrupted, and another process takes over.
    s.phase(4, 2, Phase::Steady);
    s.t += 20 * S;
    s.batches(4, true, 5, S / 10);
    assert_eq!(s.state.all_results()[1].batches, 20, "half a run does not stand for a whole one");
    s.say(Body::Header(Header::default()));
    assert!(s.state.sensors.is_empty() && s.state.run.is_none() && s.state.sweeping());
    s.say(Body::StepDone { step: 2, outcome: Outcome::Measured });
    assert_eq!(s.state.runs.len(), 3, "a step is done once");
    step(&mut s, 3, 40);
    let runs: Vec<_> = s.state.runs.iter().map(|r| (r.result.config.batch, r.repeat, r.result.batches)).collect();
    assert_eq!(runs, [(1, 0, 10), (2, 0, 20), (1, 1, 30), (2, 1, 40)]);
    assert_eq!(s.state.results.iter().map(|r| r.batches).collect::<Vec<_>>(), [30, 40], "the newest of each");
    assert!(!s.state.sweeping());
    s.phase(5, 1, Phase::Steady);
    s.t += 20 * S;
    s.batches(5, true, 50, S / 10);
    s.say(Body::Resting { engine_stopped: false });
    assert_eq!((s.state.runs.len(), s.state.run.is_none()), (5, true), "after it every run counts again");
}

#[test]
fn a_lost_link_ends_the_run_and_what_it_came_to_is_kept() {
    let mut s = Stream::new();
    let link = |state| Body::Link(Link { command: "ssh gpu-box".into(), host: Some("gpu-box".into()), state });
    let lost = || LinkState::Lost { reason: "gone".into(), retry_in_s: Some(1.0) };
    s.say(Body::Header(Header::default()));
    s.say(link(LinkState::Up { rtt_ns: Some(1), down_bytes_per_s: 1.0, up_bytes_per_s: 1.0 }));
    s.say(Body::EngineStarted { pid: 1, device: "cpu".into() });
    s.phase(1, 1, Phase::Steady);
    s.read(3, 300.0, 300.0);
    s.batches(1, true, 10, S / 10);
    s.say(link(lost()));
    assert!(s.state.link_is_lost() && s.state.run.is_none() && s.state.engine == Engine::Absent);
    assert_eq!((s.state.results.len(), s.state.results[0].batches), (1, 10));
    assert_eq!(s.state.reading("cpu", Quantity::PowerInstant), None, "an old reading is not shown as a new one");
    let before = s.state.clone();
    s.say(link(lost()));
    assert_eq!(s.state, before, "said again, it is lost once");
    // Another agent, which numbers its sensors in another way.
    s.say(Body::Header(Header::default()));
    s.say(Body::Sensors { sensors: vec![sensor(7, "cpu", Quantity::PowerInstant, None)] });
    s.say(Body::Samples { values: vec![(7, 70.0)] });
    let power = &s.state.sensors[&7];
    assert_eq!((power.series.iter().filter(|(_, watts)| *watts == 300.0).count(), power.idle.mean()), (30, Some(70.0)));
}

#[test]
fn idle_power_is_known_before_and_after() {
    let mut s = Stream::new();
    s.read(2, 70.0, 70.0);
    s.say(Body::EngineStarted { pid: 1, device: "cpu".into() });
    s.phase(1, 1, Phase::Steady);
    s.read(3, 300.0, 300.0);
    assert_eq!(s.state.idle_drift("cpu"), None);
    s.say(Body::Resting { engine_stopped: true });
    s.read(2, 150.0, 150.0); // still falling
    s.t += S;
    s.read(2, 72.0, 72.0);
    assert_eq!(s.state.idle_drift("cpu"), Some((70.0, 72.0)));
}

#[test]
fn while_layers_are_measured_no_reading_counts() {
    let mut s = Stream::new();
    s.say(Body::EngineStarted { pid: 1, device: "cpu".into() });
    s.phase(1, 1, Phase::Steady);
    s.read(3, 300.0, 300.0);
    s.say(Body::LayersBegun { run: 1 });
    assert_eq!(s.state.run.as_ref().unwrap().aside, Some((3 * S, true)));
    s.read(2, 100.0, 100.0);
    let layers = |run, config| Layers {
        run,
        config,
        passes: 3,
        clock: LayerClock::Wall,
        whole_ns: 9,
        sum_ns: 9,
        whole_wall_ns: 9,
        instrumented_wall_ns: 9,
        layers: vec![LayerTime::default()],
    };
    s.say(Body::Layers(layers(1, config("alexnet", 1))));
    s.t -= 1; // so that the last reading of the rise lies before settling ends, and not on it
    s.read(1, 200.0, 200.0); // power rises again
    s.read(3, 300.0, 310.0);
    s.t += 1;
    s.batches(1, true, 40, S / 10);
    let power = s.state.current_result().unwrap().power.unwrap();
    assert!((power.gross_w - 300.0).abs() < 1e-9 && power.readings == 51, "{power:?}");
    assert!((power.joules_per_image - 31.0).abs() < 0.5, "the counter of the time after it: {power:?}");
    assert!(s.state.layers(&config("alexnet", 1)).is_some_and(|l| l.is_ok_and(|l| l.passes == 3)));
    let none = |batch| Body::NoLayers { run: 9, config: config("alexnet", batch), reason: "x".into() };
    (1..=200).for_each(|batch| s.say(none(batch)));
    assert_eq!((s.state.layers.len(), s.state.layers(&config("alexnet", 1))), (KEPT_LAYERS, None));
    assert_eq!(s.state.layers(&config("alexnet", 200)), Some(Err("x")));
}

#[test]
fn power_says_why_it_is_missing_and_prefers_the_devices_own_sensor() {
    let mut state = State::default();
    assert_eq!(state.power_sensor("cpu").unwrap_err(), "no power sensor for cpu");
    let say = |state: &mut State, s: Sensor| state.apply(&Event { t: 0, body: Body::Sensors { sensors: vec![s] } });
    say(&mut state, sensor(0, "cpu", Quantity::PowerInstant, Some("root only")));
    assert_eq!(state.power_sensor("cpu").unwrap_err(), "no power sensor: root only");
    say(&mut state, sensor(1, "board", Quantity::PowerInstant, None));
    assert_eq!(state.power_sensor("cpu").unwrap().0, 1);
    say(&mut state, sensor(2, "cpu", Quantity::PowerAverage, None));
    assert_eq!(state.power_sensor("cpu").unwrap().0, 2);
}
