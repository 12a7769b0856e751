//! Command lines, parsed.

use super::*;
use crate::{
    agent::EngineLauncher,
    clock::Clock,
    commands::{args::check_devices, run::Run, sweep::Sweep},
    engine::WeightsFile,
    event::{DeviceInfo, Precision},
    model::zoo,
};

fn host() -> Vec<DeviceInfo> {
    let device = |name: &str, precisions: &[Precision], absent: Option<&str>| DeviceInfo {
        name: name.to_owned(),
        title: name.to_uppercase(),
        precisions: precisions.to_vec(),
        memory_bytes: None,
        absent: absent.map(str::to_owned),
        ..DeviceInfo::default()
    };
    vec![device("cpu", &[Precision::F32, Precision::F16], None), device("cuda", &[], Some("libcuda.so.1 not found"))]
}

fn parse(line: &str) -> Result<Cli, clap::Error> {
    Cli::parse_from(line.split_whitespace())
}

fn run(line: &str) -> Run {
    match parse(line).unwrap().command {
        Some(Command::Run(run)) => run,
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_command_line_is_consistent() {
    command_line().debug_assert();
}

#[test]
fn every_combination_is_measured_once_and_in_order() {
    let run = run("wattscope run --network vgg16,resnet18,vgg16 --batch 1,8 --precision f16,f32 --seconds 0.5");
    let configs = run.configs("cpu", &host()).unwrap();
    let short: Vec<_> = configs.iter().map(|c| format!("{} {} {}", c.network, c.precision, c.batch)).collect();
    let expected = ["vgg16 f16 1", "vgg16 f16 8", "vgg16 f32 1", "vgg16 f32 8"];
    assert_eq!(short[..4], expected);
    assert_eq!(configs.len(), 8);
    assert!(configs.iter().all(|c| c.device == "cpu"));
}

#[test]
fn all_means_the_registry_and_no_precision_the_devices_first() {
    let configs = run("wattscope run --network all").configs("auto", &host()).unwrap();
    assert_eq!(configs.len(), zoo::registry().len());
    assert!(configs.iter().all(|c| c.precision == Precision::F32 && c.batch == 1));
}

fn sweep(line: &str) -> Sweep {
    match parse(line).unwrap().command {
        Some(Command::Sweep(sweep)) => sweep,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_sweep_is_every_combination_in_every_round() {
    let paper = sweep("wattscope sweep -o x.jsonl").plan("auto", &host(), 7).unwrap();
    assert_eq!((paper.configs.len(), paper.steps(), paper.seed), (14 * 7, 3 * 14 * 7, Some(7)));
    assert!(paper.configs.iter().all(|c| !["alexnet-owt", "squeezenet1.1"].contains(&c.network.as_str())));
    let line = "wattscope sweep --networks vgg16,all --batches 1..4,3 --precisions f16 --repeat 1 --seed 5 -o x";
    let all = sweep(line).plan("auto", &host(), 7).unwrap();
    assert_eq!((all.configs.len(), all.seed), (4 * zoo::registry().len(), Some(5)));
    let batches: Vec<u32> = all.configs[..4].iter().map(|c| c.batch).collect();
    assert_eq!((batches, all.configs[0].network.as_str()), (vec![1, 2, 4, 3], "vgg16"));
    let given = sweep("wattscope sweep -n vgg16 -b 1,2 -r 2 --order given --cooldown 500ms -o x");
    let given = given.plan("auto", &host(), 7).unwrap();
    assert_eq!((given.order, given.seed, given.cooldown_s), (vec![0, 1, 0, 1], None, 0.5));
}

#[test]
fn what_the_host_lacks_is_named_with_the_reason() {
    let error = |line| {
        let run = run(line);
        run.configs(&run.device[0], &host()).unwrap_err().message().unwrap()
    };
    let no_cuda = error("wattscope run --network all --device cuda");
    assert_eq!(no_cuda, "error: cuda:0: libcuda.so.1 not found");
    let no_bf16 = error("wattscope run --network all --precision bf16");
    assert_eq!(no_bf16, "error: cpu has no bf16: it has f32, f16");
}

#[test]
fn several_devices_are_named_and_each_once() {
    let devices = |line: &str| parse(line).unwrap().live.device;
    assert_eq!(devices("wattscope --device cuda,cuda:1"), ["cuda:0", "cuda:1"]);
    assert_eq!(check_devices(&devices("wattscope --device cuda:1,cpu")), Ok(()));
    assert_eq!(check_devices(&devices("wattscope")), Ok(()));
    let said = |line: &str| check_devices(&devices(line)).unwrap_err().to_string();
    assert!(said("wattscope --device cpu,cpu").starts_with("cpu is named twice"));
    assert!(said("wattscope --device cuda,cuda:0").starts_with("cuda:0 is named twice"));
    assert!(said("wattscope --device auto,cpu").contains("--device cuda:0,cuda:1"));
}

#[test]
fn bad_input_is_named_with_what_is_valid() {
    for (line, named) in [
        ("wattscope --network resnet5", "a similar value exists"),
        ("wattscope run --network vgg1", "a similar value exists: 'vgg19'"),
        ("wattscope run --network all --precision f64", "f32, tf32, f16, bf16"),
        ("wattscope --batch 0", "0 is not in 1.."),
        ("wattscope --device gpu", "a device is auto, cpu, cuda, or cuda:N"),
        ("wattscope run --network all --seconds 0", "above 0"),
        ("wattscope replay x --from 1:90", "a time such as"),
        ("wattscope replay x --speed 0", "from 1/16 to 256"),
        ("wattscope --memory-limit 3XB", "unknown unit 'XB'"),
        ("wattscope run", "--network"),
        ("wattscope sweep", "--output"),
        ("wattscope --on= ", "such as \"ssh gpu-box\""),
        ("wattscope --far /opt/wattscope", "--on <COMMAND>"),
        ("wattscope sweep --networks papr -o x", "'paper'"),
        ("wattscope sweep --batches 1..x -o x", "1..256"),
        ("wattscope sweep --repeat 0 -o x", "1..=100"),
        ("wattscope sweep --cooldown 2h -o x", "ms, s or min"),
    ] {
        let error = parse(line).unwrap_err();
        let text = error.to_string();
        assert!(text.contains(named), "{line}: {text}");
        assert_eq!(error.exit_code(), 2, "{line}");
    }
}

#[test]
fn an_engine_is_told_what_it_may_not_do() {
    let told = |fold, graph| {
        let launcher = EngineLauncher {
            program: "wattscope".into(),
            clock: Clock::start(),
            memory_limit: Some(1 << 30),
            weights: Some(WeightsFile { network: "vgg16".into(), path: "a.pth".into() }),
            fold,
            graph,
        };
        let line = [launcher.program.clone().into_os_string()].into_iter().chain(launcher.arguments());
        match Cli::parse_from(line).unwrap().command {
            Some(Command::Engine(engine)) if engine.memory_limit.is_some() && engine.weights.is_some() => {
                (engine.no_fold, engine.no_graph)
            }
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(told(true, true), (false, false));
    assert_eq!(told(true, false), (false, true));
    assert_eq!(told(false, true), (true, false));
}

#[test]
fn every_listed_command_has_a_manual_page() {
    let pages = |command: &clap::Command| -> Vec<String> {
        let man = command.find_subcommand(shell::MAN).unwrap();
        let of = man.get_positionals().next().unwrap().get_possible_values();
        of.iter().map(|page| page.get_name().to_owned()).collect()
    };
    let pages = pages(&command_line());
    assert!(pages.contains(&"accuracy".to_owned()) && !pages.contains(&"engine".to_owned()), "{pages:?}");
}
