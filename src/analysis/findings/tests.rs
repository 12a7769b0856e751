use super::*;
use crate::{
    analysis::{data::observations, distribution::Interval, noise::Noise, stats::Percentiles},
    event::{Config, Memory, NetworkFacts},
    session::{RunResult, run::Power},
};
use proptest::prelude::*;

const IDLE: f64 = 70.0;

/// A network: G-ops, top-1, millions of activations and of parameters.
#[derive(Clone, Copy, Debug)]
struct Net {
    gops: f64,
    top1: f64,
    activations: f64,
    params: f64,
}

/// Networks of 0.7 to 39 G-ops, whose accuracy rises with operations and falls a little at random.
fn zoo(n: usize, noise: &mut Noise) -> Vec<Net> {
    let of = |i: usize| {
        let gops = 0.7 * (39.0f64 / 0.7).powf(i as f64 / (n - 1) as f64);
        let top1 = 82.0 - 18.0 / gops - noise.uniform();
        Net {
            gops,
            top1,
            activations: 4.0 * gops.sqrt() * (0.3 * noise.normal()).exp(),
            params: 5.0 + 100.0 * noise.uniform(),
        }
    };
    (0..n).map(of).collect()
}

fn facts(zoo: &[Net]) -> BTreeMap<String, NetworkFacts> {
    let of = |(i, n): (usize, &Net)| NetworkFacts {
        id: format!("n{i:02}"),
        title: format!("N-{i}"),
        family: format!("family {}", i % 3),
        ops: (n.gops * 1e9) as u64,
        macs: (n.gops * 5e8) as u64,
        activations: (n.activations * 1e6) as u64,
        params: (n.params * 1e6) as u64,
        top1: Some(n.top1),
        ..NetworkFacts::default()
    };
    zoo.iter().enumerate().map(of).map(|f| (f.id.clone(), f)).collect()
}

/// A run that took so many ms an image and drew so much power beyond idle.
fn run(network: usize, batch: u32, ms: f64, watts: f64) -> RunResult {
    let (p50, images_per_s, gross_w) = (ms * f64::from(batch), 1e3 / ms, watts + IDLE);
    let power = Power {
        sensor: "NVML instant".into(),
        method: None,
        in_place_of: Vec::new(),
        gross_w,
        counted_s: None,
        deviation_w: Some(3.0),
        readings: 100,
        idle_w: Some(IDLE),
        net_w: Some(watts),
        joules_per_image: gross_w / images_per_s,
        energy_source: "energy counter".into(),
    };
    let config =
        Config { network: format!("n{network:02}"), batch, precision: Precision::F16, device: "cuda:0".into() };
    RunResult {
        run: 1,
        config,
        batches: 100,
        seconds: 5.0,
        weights: None,
        graph: None,
        warm_up: None,
        latency_ms: Percentiles { p50, p90: p50, p99: p50, p50_interval: Some(Interval { low: p50, high: p50 }) },
        device_ms: None,
        images_per_s,
        flop_utilisation: None,
        utilisation: None,
        others: None,
        power: Ok(power),
        memory: Memory::default(),
        device_memory_used: None,
        throttled: None,
    }
}

const BATCHES: [u32; 5] = [1, 4, 16, 64, 256];

/// Everything at every batch size in a world whose time and power follow from the network, the batch and noise.
fn world(
    zoo: &[Net],
    noise: &mut Noise,
    time: impl Fn(&Net, u32, &mut Noise) -> f64,
    watts: impl Fn(&Net, u32, &mut Noise) -> f64,
) -> Vec<RunResult> {
    let mut runs = Vec::new();
    for (i, net) in zoo.iter().enumerate() {
        for batch in BATCHES {
            runs.push(run(i, batch, time(net, batch, noise), watts(net, batch, noise)));
        }
    }
    runs
}

fn judge(zoo: &[Net], runs: &[RunResult], cap: Option<f64>) -> [Finding; 4] {
    let caps = cap.map(|w| ("cuda:0".to_owned(), w)).into_iter().collect();
    let networks = facts(zoo);
    findings(&observations(runs, &networks, &caps), "cuda:0", Precision::F16)
}

fn constant(_: &Net, _: u32, noise: &mut Noise) -> f64 {
    300.0 * (0.03 * noise.normal()).exp()
}

fn by_operations(net: &Net, _: u32, noise: &mut Noise) -> f64 {
    0.1 * net.gops * (0.1 * noise.normal()).exp()
}

/// How often each finding is judged so over many worlds of `n` networks.
fn share(
    worlds: u64,
    n: usize,
    make: impl Fn(&mut Noise, &mut Vec<Net>) -> Vec<RunResult>,
    finding: usize,
    words: &str,
) -> f64 {
    let of = |seed| {
        let mut noise = Noise::new(seed);
        let mut nets = zoo(n, &mut noise);
        let runs = make(&mut noise, &mut nets);
        judge(&nets, &runs, None)[finding].verdict.words() == words
    };
    (0..worlds).filter(|seed| of(*seed)).count() as f64 / worlds as f64
}

#[test]
fn a_world_like_the_papers_supports_all_four() {
    let mut noise = Noise::new(3);
    let nets = zoo(12, &mut noise);
    let runs = world(&nets, &mut noise, by_operations, constant);
    let all = judge(&nets, &runs, Some(700.0));
    for f in &all {
        assert_eq!(f.verdict, Verdict::Supported, "{}: {}", f.number, f.says);
    }
    assert_eq!((all[0].n, all[1].n, all[3].scope.as_str()), (60, 12, "batch 256, f16 on cuda:0"));
    let net = all[0].estimates.iter().find(|e| e.name == "net power, spread").unwrap();
    assert!(net.interval.unwrap().contains(3.0) && (net.paper.unwrap() - 5.93).abs() < 0.01, "{net:?}");
    assert_eq!(all[0].figures[0].paper, Some(4));
    assert!(all[3].figures[0].curves[0].band.len() > 10);
}

#[test]
fn power_that_follows_the_batch_or_the_network_contradicts_the_first() {
    let by_batch = |_: &Net, b: u32, n: &mut Noise| (100.0 + 60.0 * f64::from(b).log2()) * (0.03 * n.normal()).exp();
    let by_network = |net: &Net, _: u32, n: &mut Noise| (150.0 + 90.0 * net.gops.ln()) * (0.03 * n.normal()).exp();
    for seed in 0..5 {
        let mut noise = Noise::new(seed);
        let nets = zoo(8, &mut noise);
        let batch = &judge(&nets, &world(&nets, &mut noise, by_operations, by_batch), None)[0];
        assert_eq!(batch.verdict, Verdict::Contradicted, "{}", batch.says);
        assert!(batch.estimates.iter().any(|e| e.name == "η² of batch size (type II)" && e.value > 90.0));
        let network = &judge(&nets, &world(&nets, &mut noise, by_operations, by_network), None)[0];
        assert_eq!(network.verdict, Verdict::Contradicted, "{}", network.says);
    }
}

#[test]
fn the_caps_work_is_not_the_networks() {
    let mut noise = Noise::new(1);
    let nets = zoo(8, &mut noise);
    let runs = world(&nets, &mut noise, by_operations, |_, _, n| 625.0 + n.uniform());
    let finding = &judge(&nets, &runs, Some(700.0))[0];
    assert!(
        finding.verdict.needs().is_some_and(|n| n.starts_with("runs below the power cap: 40 of 40")),
        "{finding:?}"
    );
    assert_eq!(judge(&nets, &runs, Some(1_000.0))[0].verdict, Verdict::Supported);
}

#[test]
fn a_few_odd_runs_decide_nothing() {
    let mut noise = Noise::new(1);
    let nets = zoo(10, &mut noise);
    let mut runs = world(&nets, &mut noise, by_operations, constant);
    for odd in 0..4 {
        runs[odd] = run(0, BATCHES[odd], 1.0, 20.0);
    }
    let finding = &judge(&nets, &runs, None)[0];
    assert!(finding.verdict.needs().is_some_and(|n| n.contains("again")), "{:?} {}", finding.verdict, finding.says);
}

#[test]
fn scatter_that_follows_nothing_is_no_verdict_on_the_first() {
    let make = |noise: &mut Noise, nets: &mut Vec<Net>| {
        world(nets, noise, by_operations, |_, _, n| 300.0 * (0.3 * n.normal()).exp())
    };
    let wrong = share(200, 8, make, 0, "contradicted");
    assert!(wrong <= 0.03, "{wrong}");
    assert_eq!(share(200, 8, make, 0, "supported"), 0.0);
}

#[test]
fn accuracy_that_has_nothing_to_do_with_time_supports_neither_the_second_nor_the_third() {
    let make = |noise: &mut Noise, nets: &mut Vec<Net>| {
        nets.iter_mut().for_each(|n| n.top1 = 70.0 + 5.0 * noise.normal());
        world(nets, noise, by_operations, constant)
    };
    for n in [6, 9, 20] {
        let (second, third) = (share(150, n, make, 1, "supported"), share(150, n, make, 2, "supported"));
        assert!(second <= 0.05 && third <= 0.05, "{n} networks: {second} {third}");
    }
}

#[test]
fn a_straight_line_or_a_logarithm_in_time_is_no_hyperbola() {
    for (curve, name) in
        [((|t: f64| 60.0 + 5.0 * t) as fn(f64) -> f64, "line"), (|t: f64| 70.0 + 4.0 * t.ln(), "logarithm")]
    {
        let make = |noise: &mut Noise, nets: &mut Vec<Net>| {
            let runs = world(nets, noise, by_operations, constant);
            for (i, net) in nets.iter_mut().enumerate() {
                let last = runs.iter().rfind(|r| r.config.network == format!("n{i:02}")).unwrap();
                net.top1 = curve(1e3 / last.images_per_s) + 0.5 * noise.normal();
            }
            runs
        };
        let (wrong, right) = (share(50, 12, make, 1, "supported"), share(50, 12, make, 1, "contradicted"));
        assert!(wrong <= 0.04 && right > 0.8, "{name}: {wrong} {right}");
    }
}

#[test]
fn dear_networks_that_are_no_better_contradict_the_third() {
    let make = |noise: &mut Noise, nets: &mut Vec<Net>| {
        nets.iter_mut().for_each(|n| n.top1 = 80.0 - n.gops.ln() + 0.3 * noise.normal());
        world(nets, noise, by_operations, constant)
    };
    assert!(share(50, 12, make, 2, "contradicted") > 0.95);
}

#[test]
fn the_budget_buys_the_best_that_fits() {
    let mut noise = Noise::new(3);
    let nets = zoo(12, &mut noise);
    let finding = &judge(&nets, &world(&nets, &mut noise, by_operations, constant), None)[2];
    let energies: Vec<f64> = finding.figures[0].points.iter().map(|p| p.x).collect();
    let budget = super::super::stats::median(energies.iter().copied()).unwrap();
    let bought = affordable(finding, budget);
    let best = bought.best.unwrap();
    assert!(best.x <= budget && bought.fit == 6 && bought.of == 12);
    assert!(finding.figures[0].points.iter().all(|p| p.x > budget || p.y <= best.y));
    assert!(affordable(finding, 0.0).best.is_none() && affordable(finding, f64::NAN).fit == 0);
}

#[test]
fn time_that_ignores_operations_contradicts_the_fourth() {
    // Launches only: small scatter, so any constant predicts it well, but operations have no part in it.
    let launch = |_: &Net, _: u32, n: &mut Noise| 2.0 * (0.05 * n.normal()).exp();
    // Scatter tenfold: nothing predicts it.
    let wild = |_: &Net, _: u32, n: &mut Noise| 2.0 * (1.2 * n.normal()).exp();
    for n in [6, 10, 20] {
        let launch = |noise: &mut Noise, nets: &mut Vec<Net>| world(nets, noise, launch, constant);
        let wild = |noise: &mut Noise, nets: &mut Vec<Net>| world(nets, noise, wild, constant);
        assert!(share(60, n, launch, 3, "contradicted") > 0.95, "{n}");
        assert_eq!(share(100, n, wild, 3, "supported"), 0.0, "{n}");
        assert!(share(60, n, wild, 3, "contradicted") > 0.6, "{n}");
    }
}

#[test]
fn a_better_predictor_of_time_is_named() {
    let by_traffic = |net: &Net, b: u32, n: &mut Noise| {
        (2.0 * net.activations + net.params / f64::from(b)) * 0.01 * (0.02 * n.normal()).exp()
    };
    let mut noise = Noise::new(5);
    let nets = zoo(15, &mut noise);
    let finding = &judge(&nets, &world(&nets, &mut noise, by_traffic, constant), None)[3];
    assert!(finding.says.contains("; better from memory traffic: ×"), "{}", finding.says);
    assert!(finding.estimates.iter().any(|e| e.name == "family 0: time over predicted"));
    assert!(finding.estimates.iter().any(|e| e.name.starts_with("batch 64, f16 (n 15, R² ")));
}

#[test]
fn too_little_says_what_it_needs() {
    let mut noise = Noise::new(1);
    let nets = zoo(6, &mut noise);
    let words =
        |runs: &[RunResult]| judge(&nets, runs, None).map(|f| f.verdict.needs().unwrap_or("nothing").to_owned());
    assert_eq!(words(&[]), ["3 more networks", "6 more networks", "5 more networks", "6 more networks"]);
    let one_batch: Vec<_> = (0..6).map(|i| run(i, 8, nets[i].gops, 300.0)).collect();
    assert_eq!(words(&one_batch)[0], "2 more batch sizes");
    let mut blind = one_batch;
    blind.iter_mut().for_each(|r| r.power = Err("no power sensor: no driver".into()));
    let findings = judge(&nets, &blind, None);
    for i in [0, 2] {
        assert_eq!(findings[i].says, "no power sensor: no driver");
        assert_eq!(findings[i].verdict.needs(), Some("a power sensor that can be read"));
    }
}

#[test]
fn other_devices_precisions_and_batch_sizes_are_left_out_and_repeats_count_once() {
    let mut noise = Noise::new(1);
    let nets = zoo(6, &mut noise);
    let mut runs: Vec<_> = (0..6).map(|i| run(i, 8, nets[i].gops, 300.0)).collect();
    runs.push(run(0, 64, 0.1, 300.0));
    runs.extend([90.0, 91.0].map(|ms| run(1, 8, ms, 300.0)));
    runs[3].config.device = "cpu".into();
    runs[4].config.precision = Precision::F32;
    let [power, _, _, operations] = judge(&nets, &runs, None);
    assert_eq!((power.n, operations.n), (7, 4));
    assert_eq!(operations.scope, "batch 8, f16 on cuda:0");
    // Of three runs of a network the one in the middle.
    assert!(operations.figures[0].points.iter().any(|p| p.network == "n01" && (p.y - 90.0).abs() < 1e-9));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]
    #[test]
    fn anything_gives_a_verdict_and_numbers(
        cases in prop::collection::vec((0usize..9, 0u32..5, prop::num::f64::ANY, prop::num::f64::ANY), 0..30),
        same in any::<bool>(),
    ) {
        let nets = zoo(9, &mut Noise::new(1));
        let of = |(n, b, ms, watts): (usize, u32, f64, f64)| if same { run(n, 1 << b, 1.0, 1.0) } else { run(n, 1 << b, ms, watts) };
        let runs: Vec<_> = cases.into_iter().map(of).collect();
        for finding in judge(&nets, &runs, Some(700.0)) {
            prop_assert!(finding.verdict.needs() != Some(""));
            for figure in &finding.figures {
                prop_assert!(figure.curves.iter().flat_map(|c| &c.line).all(|p| !p.0.is_nan() && !p.1.is_nan()));
            }
            let _ = affordable(&finding, 0.5);
        }
    }
}
