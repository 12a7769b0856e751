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
        run.configs(&run.devices.device[0], &host()).unwrap_err().message().unwrap()
    };
    let no_cuda = error("wattscope run --network all --device cuda");
    assert_eq!(no_cuda, "error: cuda:0: libcuda.so.1 not found");
    let no_bf16 = error("wattscope run --network all --precision bf16");
    assert_eq!(no_bf16, "error: cpu has no bf16: it has f32, f16");
}

#[test]
fn several_devices_are_named_and_each_once() {
    let devices = |line: &str| parse(line).unwrap().live.devices.device;
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
        ("wattscope --batch 0", "at least 1"),
        ("wattscope --batch 1..8", "one batch size"),
        ("wattscope run --network all --batch 1..x", "1..256"),
        ("wattscope --device gpu", "a device is auto, cpu, cuda, or cuda:N"),
        ("wattscope --device gpu", "a similar value exists: 'cuda'"),
        ("wattscope --network RESNET5", "'resnet50'"),
        ("wattscope sweep --network VGG1 -o x", "invalid value 'VGG1'"),
        ("wattscope run --network all --seconds 0", "above 0"),
        ("wattscope replay x --from 1:90", "a time, such as 90"),
        ("wattscope replay x --speed 0", "from 1/16 to 256"),
        ("wattscope --memory-limit 10MB", "an engine takes 64MiB"),
        ("wattscope --memory-limit 3XB", "unknown unit 'XB'"),
        ("wattscope run", "--network <ID,…>"),
        ("wattscope check resnet5", "a similar value exists"),
        ("wattscope sweep", "--output"),
        ("wattscope --on= ", "such as \"ssh gpu-box\""),
        ("wattscope --far /opt/wattscope", "--on <COMMAND>"),
        ("wattscope sweep --network PAPR -o x", "'paper'"),
        ("wattscope sweep --batch 1..x -o x", "1..256"),
        ("wattscope sweep --repeat 0 -o x", "1..=100"),
        ("wattscope sweep --cooldown 2d -o x", "ms, s, min or h"),
        ("wattscope run --network all --seconds 2m", "ms, s, min or h"),
        ("wattscope sweep -o -", "a sweep continues from its file"),
        ("wattscope --record -", "the screen is on standard output"),
        ("wattscope report x -o -", "a report is a folder"),
        ("wattscope run -n vgg16 -o runs.csv.gz", "a recording is no table"),
        ("wattscope infer vgg16 -n vgg16 -i x", "cannot be used with"),
        ("wattscope infer -i x", "--network <ID>"),
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

/// Every command with its options, and the live screen's as those of `wattscope`.
fn commands() -> Vec<clap::Command> {
    let mut root = command_line();
    root.build();
    let listed: Vec<_> = root.get_subcommands().filter(|command| !command.is_hide_set()).cloned().collect();
    std::iter::once(root).chain(listed).filter(|command| command.get_name() != "help").collect()
}

/// What an option is called and takes, and what its help says of it before what is particular to a command.
fn described(arg: &clap::Arg) -> (Option<char>, String, String) {
    let value = arg.get_value_names().map(|names| names.join(" ")).filter(|_| arg.get_action().takes_values());
    let help = arg.get_help().map(ToString::to_string).unwrap_or_default();
    let meaning = help.split([';', ':']).next().unwrap_or_default();
    // `-` may stand for standard output in some commands.
    let meaning = meaning.split(", or to standard output").next().unwrap_or_default().to_owned();
    (arg.get_short(), value.unwrap_or_default(), meaning)
}

#[test]
fn options_of_the_same_meaning_are_the_same_in_every_command() {
    // What is written, and what of it is written over, differs.
    let particular = ["output", "force", "help"];
    let mut known = std::collections::BTreeMap::new();
    for command in commands() {
        for arg in command.get_opts().filter(|arg| !particular.contains(&arg.get_long().unwrap())) {
            let described = described(arg);
            // One of something and a list of it.
            let list = described.1.ends_with(",…") || arg.get_num_args().is_some_and(|range| range.max_values() > 1);
            let key = (arg.get_long().unwrap().to_owned(), list, arg.get_value_names().is_some());
            let (first, where_) = known.entry(key).or_insert((described.clone(), command.get_name().to_owned()));
            assert_eq!(*first, described, "--{} of {} and of {where_}", arg.get_long().unwrap(), command.get_name());
        }
    }
    // One letter has one meaning; that of what is recorded is `--record` on the live screen, where `R` is the key.
    let mut letters = std::collections::BTreeMap::new();
    let meaning = |long: &str| match long {
        "record" => "output".to_owned(),
        "images" => "image".to_owned(),
        long => long.to_owned(),
    };
    for command in commands() {
        for arg in command.get_opts() {
            let (Some(short), long) = (arg.get_short(), meaning(arg.get_long().unwrap())) else { continue };
            let first = letters.entry(short).or_insert(long.clone());
            assert!(
                *first == long || command.get_name() == "export",
                "-{short} of {}: {first}, {long}",
                command.get_name()
            );
        }
    }
}

#[test]
fn every_command_that_takes_a_network_takes_every_name_of_the_option() {
    let mut seen = Vec::new();
    for command in commands() {
        let find = |long: &str| command.get_opts().find(|arg| arg.get_long() == Some(long));
        for (name, old, short) in [
            ("network", "networks", 'n'),
            ("batch", "batches", 'b'),
            ("precision", "precisions", 'p'),
            ("device", "devices", 'd'),
        ] {
            let Some(arg) = find(name) else { continue };
            assert_eq!(arg.get_short(), Some(short));
            assert_eq!(arg.get_all_aliases().unwrap_or_default(), [old], "{} of {}", name, command.get_name());
            assert!(arg.get_visible_aliases().unwrap_or_default().is_empty(), "old names are hidden");
            seen.push(format!("{} {name}", command.get_name()));
        }
        let takes_network =
            command.get_arguments().any(|arg| arg.get_long().is_none() && arg.get_id().as_str().starts_with("id"));
        assert!(!takes_network || find("network").is_some(), "{}", command.get_name());
        let engine = find("on").is_some() && find("batch").is_some();
        assert!(!engine || find("memory-limit").is_some(), "{}", command.get_name());
    }
    assert_eq!(seen.len(), 8 + 6 + 8 + 8, "{seen:?}");
}

#[test]
fn values_of_a_list_are_taken_whatever_their_case() {
    for command in commands() {
        for arg in command.get_arguments().filter(|arg| arg.get_action().takes_values()) {
            for value in arg.get_possible_values() {
                let text = value.get_name().to_uppercase();
                let flag = arg.get_long().map(|long| format!("--{long}"));
                let line = ["test".to_owned()].into_iter().chain(flag).chain([text]);
                let parsed = clap::Command::new("test").arg(arg.clone()).try_get_matches_from(line);
                assert!(parsed.is_ok(), "{} of {}: {parsed:?}", arg.get_id(), command.get_name());
            }
        }
    }
}

#[test]
fn one_grammar_holds_in_every_command() {
    for (line, same) in [
        ("run --networks all --batches 1..4 --precisions F32 --seconds 500ms", "run -n all -b 1,2,4 -p f32 -s 0.5"),
        ("run -n paper -s 1min", "run --network PAPER --seconds 60"),
        ("run -n vgg16 --record x", "run -n VGG-16 -o x"),
        ("sweep --networks vgg16 --batches 8 --precisions f16 -o x", "sweep -n vgg_16 -b 8 -p F16 -o x"),
        ("sweep -o x --cooldown 1:30 --order GIVEN", "sweep -o x --cooldown 90 --order given"),
        ("layers vgg16 -b 1..2 --record x", "layers -n VGG16 -b 1..2 -o x"),
        ("check vgg16,alexnet", "check -n vgg16,ALEXNET"),
        ("accuracy vgg16 -w x -i y -b 16", "accuracy --network vgg16 -w x --image y"),
        ("infer vgg16 --images a -d CPU", "infer -i a -n vgg.16 -d cpu"),
        ("replay x --from 90", "replay x --from 1.5min"),
        ("export x -f CSV -t Layers", "export x --format csv --table layers"),
        ("completions BASH", "completions bash"),
        ("man RUN", "man run"),
    ] {
        // What a command does not say, such as which of two forms of an option was used, does not count.
        let meaning = |line: &str| match parse(&format!("wattscope {line}")).unwrap().command.unwrap() {
            Command::Run(run) => format!("{:?} {:?}", run.configs("cpu", &host()).unwrap(), (run.seconds, run.record)),
            Command::Sweep(sweep) => format!("{:?}", sweep.plan("cpu", &host(), 7).unwrap()),
            Command::Layers(layers) => format!("{:?} {:?}", layers.configs(&host()).unwrap(), layers.record),
            Command::Check(check) => format!("{:?}", check.networks.names()),
            Command::Accuracy(accuracy) => {
                format!("{} {:?}", accuracy.network.name(), (accuracy.images, accuracy.batch))
            }
            Command::Infer(infer) => format!("{} {:?}", infer.network.name(), (infer.image, infer.device)),
            other => format!("{other:?}"),
        };
        assert_eq!(meaning(line), meaning(same), "{line}");
    }
}

#[test]
fn flags_of_the_live_screen_before_a_command_are_told_where_they_go() {
    let said = |line: &[&str]| Cli::parse_from(line).unwrap_err().to_string();
    let text = said(&["wattscope", "--on", "ssh box", "devices"]);
    let expected = "error: --on before 'devices' is a flag of the live screen; the flags of a command follow it: wattscope devices --on \"ssh box\"\n";
    assert!(text.starts_with(expected), "{text}");
    let text =
        said(&["wattscope", "--no-graph", "-d", "cpu,cuda", "-o", "x", "--on", "a", "--on", "b", "run", "-n", "vgg16"]);
    assert!(text.contains("wattscope run --no-graph --device cpu,cuda --record x --on a --on b …"), "{text}");
    let text = said(&["wattscope", "-d", "cpu", "--no-mouse", "run", "-n", "vgg16"]);
    assert!(
        text.contains("--no-mouse before 'run' is a flag of the live screen, and 'run' has none of that name"),
        "{text}"
    );
    // Flags that every command has may stand before it.
    for line in ["wattscope -q --log x devices", "wattscope devices -q --log x"] {
        let cli = parse(line).unwrap();
        assert!(cli.quiet && cli.log.as_deref() == Some("x".as_ref()), "{line}");
    }
}
