//! The binary as people and scripts call it.

// Tests may panic: that is how they fail. clippy.toml knows test functions only, not their helpers.
#![allow(clippy::unwrap_used)]

use assert_cmd::Command;
use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    process::{Child, ChildStdout, Stdio},
    time::Duration,
};

fn wattscope(line: &str) -> Command {
    let state = std::env::temp_dir().join("wattscope-cli-tests");
    let mut command = Command::new(env!("CARGO_BIN_EXE_wattscope"));
    command.args(line.split_whitespace()).env("XDG_STATE_HOME", state).timeout(Duration::from_secs(120));
    command
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[test]
fn bad_usage_is_named_and_ends_with_2() {
    for (line, named) in [
        ("--network resnet5", "resnet50"),
        ("run --network vgg1 --batch 1", "vgg19"),
        ("run --network all --device cuda:63", "cuda:63"),
        ("run --network vgg16 --device cpu --precision tf32", "cpu has no tf32: it has f32"),
        ("run --batch 8", "--network"),
        ("frobnicate", "frobnicate"),
    ] {
        let output = wattscope(line).output().unwrap();
        let stderr = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{line}: {stderr}");
        assert!(stderr.contains(named), "{line}: {stderr}");
        assert!(output.stdout.is_empty(), "{line}");
    }
}

#[test]
fn a_live_screen_without_a_terminal_points_to_run() {
    let output = wattscope("--network vgg16").output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("wattscope run --network vgg16"));
}

#[test]
fn networks_are_listed_for_programs_too() {
    let output = wattscope("networks --json").output().unwrap();
    assert!(output.status.success());
    let networks: Vec<serde_json::Value> = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(networks.len(), 21);
    let vgg = networks.iter().find(|n| n["id"] == "vgg16").unwrap();
    assert_eq!((vgg["params"].as_u64(), vgg["macs"].as_u64()), (Some(138_357_544), Some(15_470_264_320)));
    let names = [
        "id",
        "title",
        "year",
        "paper",
        "params",
        "macs",
        "ops",
        "activations",
        "peak_activation_bytes",
        "input_px",
        "top1",
        "top5",
        "accuracy_source",
    ];
    assert!(names.iter().all(|name| vgg.get(name).is_some()), "{vgg}");
}

#[test]
fn devices_always_hold_the_processor() {
    let output = wattscope("devices --json").output().unwrap();
    assert!(output.status.success());
    let devices: Vec<serde_json::Value> = serde_json::from_slice(&output.stdout).unwrap();
    assert!(devices.iter().any(|d| d["name"] == "cpu" && d["absent"].is_null()));
    let table = wattscope("devices").output().unwrap();
    assert!(text(&table.stdout).contains("cpu"));
}

#[test]
fn completions_and_manual_pages_are_printed() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let output = wattscope(&format!("completions {shell}")).output().unwrap();
        assert!(output.status.success() && text(&output.stdout).contains("networks"), "{shell}");
    }
    for shell in ["bash", "zsh", "fish"] {
        let output = wattscope(&format!("completions {shell}")).output().unwrap();
        assert!(text(&output.stdout).contains("resnet50"), "{shell} completes the networks");
    }
    let page = text(&wattscope("man").output().unwrap().stdout);
    assert!(page.contains(".TH wattscope 1") && !page.contains("epoch"), "{page}");
    assert!(text(&wattscope("man run").output().unwrap().stdout).contains("seconds"));
}

#[test]
fn a_reader_that_leaves_is_no_error() {
    let mut child = std::process::Command::new(env!("CARGO_BIN_EXE_wattscope"))
        .args(["completions", "zsh"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let mut stderr = String::new();
    child.stderr.take().unwrap().read_to_string(&mut stderr).unwrap();
    assert!(child.wait().unwrap().success());
    assert_eq!(stderr, "");
}

#[test]
fn a_log_that_cannot_be_written_is_said_and_forgiven() {
    let output =
        wattscope("run --network squeezenet1.1 --device cpu --seconds 0.2 --log /proc/no/log").output().unwrap();
    let stderr = text(&output.stderr);
    assert!(output.status.success(), "{stderr}");
    assert!(stderr.contains("no log is written"), "{stderr}");
    assert!(text(&output.stdout).contains("squeezenet1.1"));
}

#[test]
fn a_real_run_prints_objects_as_the_schema_says() {
    let line = "run --network squeezenet1.1 --device cpu --batch 1,2 --seconds 0.3 --json";
    let output = wattscope(line).output().unwrap();
    let (stdout, stderr) = (text(&output.stdout), text(&output.stderr));
    assert!(output.status.success(), "{stderr}");
    let schema = serde_json::from_str(include_str!("../assets/run.schema.json")).unwrap();
    let schema = jsonschema::draft202012::new(&schema).unwrap();
    assert_eq!(stdout.lines().count(), 2, "{stdout}");
    for (line, batch) in stdout.lines().zip([1, 2]) {
        let object: serde_json::Value = serde_json::from_str(line).unwrap();
        let errors: Vec<_> = schema.iter_errors(&object).map(|e| e.to_string()).collect();
        assert!(errors.is_empty(), "{errors:#?}\n{line}");
        assert_eq!(object["batch"], batch);
        assert!(object["latency_ms"]["p50"].as_f64().unwrap() > 0.0);
        assert!(object["seconds"].as_f64().unwrap() >= 0.3);
    }
}

#[test]
#[cfg(all(target_os = "linux", target_env = "gnu"))] // where the allocator is asked to give back what is free
fn the_memory_of_a_small_network_is_its_own_after_a_large_one() {
    let output =
        wattscope("run --network alexnet-owt,squeezenet1.1 --device cpu --seconds 0.2 --json").output().unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    let resident = |line: &str| {
        let object: serde_json::Value = serde_json::from_str(line).unwrap();
        object["memory"]["resident"].as_u64().unwrap() >> 20
    };
    let mib: Vec<u64> = text(&output.stdout).lines().map(resident).collect();
    assert!(mib[0] > 233 && mib[1] < 100, "233 MiB of parameters, then 5: {mib:?} MiB resident");
}

#[test]
fn layers_are_printed_as_the_schema_says_and_what_does_not_fit_too() {
    let schema = serde_json::from_str(include_str!("../assets/layers.schema.json")).unwrap();
    let schema = jsonschema::draft202012::new(&schema).unwrap();
    let object = |line: &str, success| {
        let output = wattscope(line).output().unwrap();
        let (stdout, stderr) = (text(&output.stdout), text(&output.stderr));
        assert_eq!(output.status.success(), success, "{stderr}");
        assert_eq!(stdout.lines().count(), 1, "{stdout}");
        let object: serde_json::Value = serde_json::from_str(&stdout).unwrap();
        let errors: Vec<_> = schema.iter_errors(&object).map(|e| e.to_string()).collect();
        assert!(errors.is_empty(), "{errors:#?}\n{stdout}");
        object
    };
    let squeezed = object("layers squeezenet1.1 --batch 2 --device cpu --json", true);
    let layers = squeezed["layers"].as_array().unwrap();
    assert_eq!(
        (layers[0]["kind"].as_str(), &layers[0]["output"]),
        (Some("conv"), &serde_json::json!([2, 64, 111, 111]))
    );
    assert_eq!((&layers[1]["within"], &layers[1]["time_ms"]), (&1.into(), &serde_json::Value::Null), "its ReLU");
    let total: f64 = layers.iter().filter_map(|layer| layer["time_ms"].as_f64()).sum();
    assert!((total - squeezed["sum_ms"].as_f64().unwrap()).abs() < 1e-6);
    assert!(layers[0]["roof_share"].as_f64().is_some_and(|share| share > 0.0), "{}", layers[0]);
    let failed = object("layers squeezenet1.1 --batch 4000 --device cpu --memory-limit 1GiB --json", false);
    assert_eq!(failed["out_of_memory"], true, "{failed}");
    let table = wattscope("layers squeezenet1.1 --device cpu").output().unwrap();
    let table = text(&table.stdout);
    for part in
        ["SqueezeNet 1.1 · batch 1 · f32 · cpu", "in #1", "memory roof", "instrumentation", "% of a whole batch"]
    {
        assert!(table.contains(part), "{part}: {table}");
    }
}

/// Weights of SqueezeNet that say nothing, but under the right keys and in the right shapes.
fn weights(folder: &std::path::Path) -> std::path::PathBuf {
    use safetensors::{Dtype, tensor::TensorView};
    let model = wattscope::model::find("squeezenet1.1").unwrap();
    let network = model.structure(&burn::tensor::Device::flex());
    let values = |n: usize| (0..n).flat_map(|i| ((i % 7) as f32 / 50.0).to_le_bytes()).collect::<Vec<u8>>();
    let tensor = |p: wattscope::model::parameter::Parameter| {
        (p.key.clone(), values(p.shape.iter().product()), p.published_shape())
    };
    let tensors: Vec<_> = network.parameters().into_iter().map(tensor).collect();
    let views =
        tensors.iter().map(|(key, bytes, shape)| (key, TensorView::new(Dtype::F32, shape.clone(), bytes).unwrap()));
    let path = folder.join("squeezed.safetensors");
    std::fs::write(&path, safetensors::serialize(views, None).unwrap()).unwrap();
    path
}

#[test]
fn weights_of_another_network_are_refused_before_anything_runs() {
    let folder = tempfile::tempdir().unwrap();
    let path = weights(folder.path()).display().to_string();
    for (line, named) in [
        (format!("--network vgg16 --weights {path}"), "needs a terminal"),
        (format!("run --network vgg16 --weights {path}"), "not the weights of vgg16 but those of squeezenet1.1"),
        (format!("run --network all --weights {path}"), "the file of one network"),
        (format!("infer vgg16 --weights {path} --image assets/chelsea.jpg"), "30 missing: features.2.weight"),
        (
            "infer vgg16 --weights tests/checkpoints/hostile_root.pth --image assets/chelsea.jpg".to_owned(),
            "hostile_root.pth",
        ),
        ("run --network vgg16 --weights /no/such.pth".to_owned(), "/no/such.pth: No such file"),
        ("infer vgg16".to_owned(), "--image"),
    ] {
        let output = wattscope(&line).output().unwrap();
        let stderr = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{line}: {stderr}");
        assert!(stderr.contains(named) && output.stdout.is_empty(), "{line}: {stderr}");
    }
}

#[test]
fn weights_that_are_not_finite_are_named_and_nothing_is_measured() {
    let folder = tempfile::tempdir().unwrap();
    let path = weights(folder.path());
    let mut bytes = std::fs::read(&path).unwrap();
    let end = bytes.len();
    bytes[end - 4..].copy_from_slice(&f32::NAN.to_le_bytes());
    std::fs::write(&path, bytes).unwrap();
    for line in [
        "infer squeezenet1.1 --image assets/chelsea.jpg --device cpu --weights",
        "run --network squeezenet1.1 --device cpu --seconds 0.1 --weights",
        "layers squeezenet1.1 --device cpu --weights",
    ] {
        let output = wattscope(line).arg(&path).output().unwrap();
        let said = text(&output.stdout) + &text(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{line}: {said}");
        assert!(said.contains("weights that are not finite: 1 of ") && said.contains("(NaN at ["), "{line}: {said}");
    }
}

#[test]
fn a_run_says_which_weights_it_used() {
    let folder = tempfile::tempdir().unwrap();
    let path = weights(folder.path());
    let line = "run --network squeezenet1.1 --device cpu --seconds 0.2 --json --weights";
    let output = wattscope(line).arg(&path).output().unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    let object: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let named = object["weights"].as_str().unwrap();
    assert!(
        named.starts_with("squeezed.safetensors (") && named.len() == "squeezed.safetensors (01234567)".len(),
        "{named}"
    );
}

#[test]
fn a_photograph_is_answered_and_its_logits_are_written() {
    let folder = tempfile::tempdir().unwrap();
    let (weights, logits) = (weights(folder.path()), folder.path().join("logits.safetensors"));
    let line =
        "infer squeezenet1.1 --device cpu --top 3 --json --image assets/chelsea.jpg tests/images/grey.jpg --weights";
    let output = wattscope(line).arg(weights).arg("--logits").arg(&logits).output().unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    let answers: Vec<serde_json::Value> =
        text(&output.stdout).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let file = std::fs::read(logits).unwrap();
    let file = safetensors::SafeTensors::deserialize(&file).unwrap();
    let tensor = file.tensor("logits").unwrap();
    assert_eq!((answers.len(), tensor.shape()), (2, &[2, 1000][..]));
    assert_eq!(answers[1]["input"], "tests/images/grey.jpg");
    let values: Vec<f32> = tensor.data().chunks(4).map(|b| f32::from_le_bytes(b.try_into().unwrap())).collect();
    for (answer, row) in answers.iter().zip(values.chunks(1000)) {
        let top = answer["top"].as_array().unwrap();
        let (class, logit) = (top[0]["class"].as_u64().unwrap() as usize, top[0]["logit"].as_f64().unwrap() as f32);
        assert_eq!((top.len(), row[class], row.iter().copied().fold(f32::MIN, f32::max)), (3, logit, logit));
    }
    let seeded = wattscope("infer squeezenet1.1 --image assets/chelsea.jpg").output().unwrap();
    assert!(text(&seeded.stdout).contains("The weights are made up"), "{}", text(&seeded.stdout));
    let none = wattscope("infer squeezenet1.1 --image Cargo.toml").output().unwrap();
    assert!(none.status.code() == Some(1) && text(&none.stderr).contains("neither JPEG nor PNG nor WebP"));
}

#[test]
fn a_photograph_that_cannot_be_read_keeps_no_other_from_being_answered() {
    let line = "infer squeezenet1.1 --device cpu --json --image assets/chelsea.jpg Cargo.toml tests/images/grey.jpg";
    let output = wattscope(line).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let answered: Vec<serde_json::Value> =
        text(&output.stdout).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let answered: Vec<_> = answered.iter().map(|answer| answer["input"].as_str().unwrap()).collect();
    assert_eq!(answered, ["assets/chelsea.jpg", "tests/images/grey.jpg"]);
    let stderr = text(&output.stderr);
    assert!(stderr.starts_with("error: Cargo.toml: neither JPEG") && stderr.lines().count() == 1, "{stderr}");
}

#[test]
fn accuracy_is_measured_where_it_cannot_be_kept() {
    let folder = tempfile::tempdir().unwrap();
    let images = folder.path().join("n02124075");
    std::fs::create_dir(&images).unwrap();
    std::fs::copy("assets/chelsea.jpg", images.join("chelsea.jpg")).unwrap();
    // A folder that can't be made, even by root.
    std::fs::write(folder.path().join("state"), "").unwrap();
    let mut command = wattscope("accuracy squeezenet1.1 --device cpu --json --images");
    command.arg(folder.path()).arg("--weights").arg(weights(folder.path()));
    let output = command.env("XDG_STATE_HOME", folder.path().join("state")).output().unwrap();
    let stderr = text(&output.stderr);
    assert!(output.status.success(), "{stderr}");
    let object: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(object["images"], 1);
    assert!(stderr.contains("what was measured is not kept"), "{stderr}");
}

/// A command under way, after the first line that it printed.
fn under_way(line: &str) -> (Child, BufReader<ChildStdout>, String) {
    let mut child = std::process::Command::new(env!("CARGO_BIN_EXE_wattscope"))
        .args(line.split(' '))
        .env("XDG_STATE_HOME", std::env::temp_dir().join("wattscope-cli-tests"))
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut out = BufReader::new(child.stdout.take().unwrap());
    let mut first = String::new();
    out.read_line(&mut first).unwrap();
    (child, out, first)
}

#[test]
fn a_run_serves_metrics_until_it_ends() {
    let free = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let address = free.local_addr().unwrap();
    let taken = wattscope(&format!("run --network enet --metrics {address}")).output().unwrap();
    assert_eq!(taken.status.code(), Some(2));
    assert!(text(&taken.stderr).contains(&address.to_string()), "{}", text(&taken.stderr));
    drop(free);
    let line = format!("run --network squeezenet1.1 --device cpu --batch 1,2 --seconds 0.2 --json --metrics {address}");
    let (mut child, mut out, _) = under_way(&line);
    let mut stream = TcpStream::connect(address).unwrap();
    stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let first = |line: &str| line.starts_with("wattscope_images_total{") && line.contains("batch=\"1\"");
    assert!(answer.lines().any(first), "the first is done: {answer}");
    out.read_line(&mut String::new()).unwrap();
    assert!(child.wait().unwrap().success());
    assert!(TcpStream::connect(address).is_err());
}

#[test]
fn ctrl_c_prints_what_was_measured_and_ends_with_130() {
    let line = "run --network squeezenet1.1 --device cpu --batch 1,2 --seconds 0.2 --json";
    let (mut child, out, first) = under_way(line);
    // SAFETY: a signal to a child that has not been waited for, so its id is still its own.
    unsafe { libc::kill(child.id() as i32, libc::SIGINT) };
    let code = child.wait().unwrap().code();
    assert!(first.starts_with('{'));
    // The second configuration may have been done before the signal came.
    assert!(code == Some(130) || code == Some(0) && out.lines().count() == 1, "{code:?}");
}

/// The state of a process: `T` while it is stopped.
fn state(pid: u32) -> Option<char> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit(')').next()?.trim_start().chars().next()
}

fn wait_until(what: &str, is: impl Fn() -> bool) {
    let begun = std::time::Instant::now();
    while !is() {
        assert!(begun.elapsed() < Duration::from_secs(30), "not within 30 s: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn ctrl_z_stops_the_engine_too_and_the_pause_does_not_count() {
    let line = "run --network squeezenet1.1 --device cpu --batch 1 --seconds 2 --json";
    let child = std::process::Command::new(env!("CARGO_BIN_EXE_wattscope"))
        .args(line.split(' '))
        .env("XDG_STATE_HOME", std::env::temp_dir().join("wattscope-cli-tests"))
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let pid = child.id();
    wait_until("an engine", || !children(pid).is_empty());
    let engine = children(pid)[0];
    // SAFETY: a child that has not been waited for.
    unsafe { libc::kill(pid as i32, libc::SIGTSTP) };
    wait_until("both have stopped", || state(pid) == Some('T') && state(engine) == Some('T'));
    std::thread::sleep(Duration::from_millis(1500));
    // SAFETY: as above.
    unsafe { libc::kill(pid as i32, libc::SIGCONT) };
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    let record: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(record["latency_ms"]["p99"].as_f64().unwrap() < 1000.0, "{record}");
    assert!(record["seconds"].as_f64().unwrap() >= 2.0, "{record}");
}

#[test]
fn the_engine_is_gone_when_the_run_is() {
    let mut child = std::process::Command::new(env!("CARGO_BIN_EXE_wattscope"))
        .args("run --network vgg16 --device cpu --batch 1 --seconds 600 --json".split(' '))
        .env("XDG_STATE_HOME", std::env::temp_dir().join("wattscope-cli-tests"))
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let engines = || children(child.id());
    let waited = std::time::Instant::now();
    while engines().is_empty() && waited.elapsed() < Duration::from_secs(30) {
        std::thread::sleep(Duration::from_millis(20));
    }
    let engines = engines();
    assert!(!engines.is_empty(), "an engine was started");
    // SAFETY: as above.
    unsafe { libc::kill(child.id() as i32, libc::SIGTERM) };
    assert_eq!(child.wait().unwrap().code(), Some(143));
    for engine in engines {
        assert!(!std::path::Path::new(&format!("/proc/{engine}/exe")).exists(), "engine {engine} is still there");
    }
}

/// Processes whose parent is `pid`.
fn children(pid: u32) -> Vec<u32> {
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    let ids = processes.filter_map(|p| p.file_name().to_str()?.parse::<u32>().ok());
    let parent = |id: &u32| {
        let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
        // The name, in parentheses, may hold anything; state and parent follow it.
        stat.rsplit_once(") ").and_then(|(_, rest)| rest.split(' ').nth(1)?.parse().ok()) == Some(pid)
    };
    ids.filter(parent).collect()
}

#[test]
fn what_was_checked_stands_in_the_records() {
    let state = tempfile::tempdir().unwrap();
    let lines = |line: &str| {
        let output = wattscope(line).env("XDG_STATE_HOME", state.path()).output().unwrap();
        assert!(output.status.success(), "{line}: {}", text(&output.stderr));
        let lines = text(&output.stdout);
        lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect::<Vec<serde_json::Value>>()
    };
    const RUN: &str = "run --network enet --device cpu --seconds 0.1 --json";
    let record = &lines(RUN)[0];
    assert_eq!(
        (&record["checked"], &record["folded"]),
        (&serde_json::Value::Null, &true.into()),
        "nothing is kept yet"
    );
    let check = &lines("check enet --device cpu --precision f32 --json")[0];
    let error = check["error"].as_f64().unwrap();
    assert!(0.0 < error && error < 1e-4, "{check}");
    let record = &lines(RUN)[0];
    assert_eq!((&record["checked"]["error"], &record["checked"]["pass"]), (&check["error"], &true.into()));
    let unfolded = &lines(&format!("{RUN} --no-fold"))[0];
    assert_eq!((&unfolded["checked"], &unfolded["folded"]), (&serde_json::Value::Null, &false.into()));
}

const RECORDING: &str = "tests/recordings/first-edition-run.jsonl.zst";

/// What a command prints, given bytes on standard input; it has to succeed.
fn fed(line: &str, input: impl Into<Vec<u8>>) -> Vec<u8> {
    let output = wattscope(line).write_stdin(input).output().unwrap();
    assert!(output.status.success(), "{line}: {}", text(&output.stderr));
    output.stdout
}

#[test]
fn a_recording_is_read_from_standard_input() {
    let folder = tempfile::tempdir().unwrap();
    let recording = std::fs::read(RECORDING).unwrap();
    let by_name = fed(&format!("export {RECORDING}"), "");
    assert_eq!(fed("export -", recording.clone()), by_name);
    assert_eq!(fed("export - -o -", recording.clone()), by_name, "and written to standard output");
    let plain = zstd::decode_all(&recording[..]).unwrap();
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(&plain).unwrap();
    assert_eq!(fed("export -", gzip.finish().unwrap()), by_name);
    let report = folder.path().join("report");
    fed(&format!("report - -o {}", report.display()), recording);
    let report = std::fs::read_to_string(report.join("report.md")).unwrap();
    assert!(report.contains("standard input"), "{report}");
    let twice = wattscope("report - - -o x").write_stdin("").output().unwrap();
    assert_eq!(twice.status.code(), Some(2));
    assert!(text(&twice.stderr).contains("only once"), "{}", text(&twice.stderr));
}

#[test]
fn a_photograph_and_labels_are_read_from_standard_input() {
    let folder = tempfile::tempdir().unwrap();
    let photograph = std::fs::read("assets/chelsea.jpg").unwrap();
    let answer = |output: Vec<u8>| serde_json::from_slice::<serde_json::Value>(&output).unwrap()["top"].clone();
    let piped = answer(fed("infer -n SqueezeNet-1.1 -d CPU --json -i -", photograph));
    assert_eq!(piped, answer(fed("infer squeezenet1.1 --device cpu --json --image assets/chelsea.jpg", "")));
    std::fs::copy("assets/chelsea.jpg", folder.path().join("a.jpg")).unwrap();
    let elsewhere = tempfile::tempdir().unwrap();
    let weights = weights(elsewhere.path()).display().to_string();
    let line =
        format!("accuracy -n squeezenet1.1 -d cpu --json -w {weights} -i {} --labels -", folder.path().display());
    let measured: serde_json::Value = serde_json::from_slice(&fed(&line, "a.jpg 281\n")).unwrap();
    assert_eq!(measured["images"], 1);
}

#[test]
fn a_recording_goes_to_standard_output_and_nothing_else_does() {
    let line = "run -n squeezenet1.1 -d cpu -s 0.2 -o -";
    let output = wattscope(line).output().unwrap();
    let stderr = text(&output.stderr);
    assert!(output.status.success() && stderr.contains("p50 ms"), "{stderr}");
    let lines = text(&output.stdout);
    assert!(lines.lines().all(|line| serde_json::from_str::<serde_json::Value>(line).is_ok()), "{lines}");
    let table = text(&fed("export -", output.stdout));
    assert!(table.lines().count() == 2 && table.contains("squeezenet1.1"), "{table}");
    let quiet = wattscope(&format!("{line} -q")).output().unwrap();
    assert!(quiet.status.success() && quiet.stderr.is_empty() && !quiet.stdout.is_empty(), "{}", text(&quiet.stderr));
    let both = wattscope(&format!("{line} --json")).output().unwrap();
    assert_eq!((both.status.code(), both.stdout.len()), (Some(2), 0));
    assert!(text(&both.stderr).contains("name a file"), "{}", text(&both.stderr));
    let layers = wattscope("layers -n squeezenet1.1 -d cpu -o -").output().unwrap();
    assert!(layers.status.success() && text(&layers.stderr).contains("sum of layers"), "{}", text(&layers.stderr));
    assert!(text(&fed("export - -t layers", layers.stdout)).lines().count() > 10);
}

#[test]
fn parts_of_a_sweep_are_merged_through_pipes_and_quietly() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str| folder.path().join(name);
    let line = |shard: &str| {
        let file = file("x.jsonl").display().to_string();
        format!("sweep -n squeezenet1.1 -b 1..2 -r 1 -s 200ms --cooldown 0 -d cpu --shard {shard} -o {file}")
    };
    let said = wattscope(&line("1/2")).output().unwrap();
    assert!(said.status.success() && text(&said.stderr).contains("shard 1 of 2"), "{}", text(&said.stderr));
    let quiet = wattscope(&line("2/2")).arg("--quiet").output().unwrap();
    assert!(quiet.status.success() && quiet.stderr.is_empty(), "{}", text(&quiet.stderr));
    assert!(text(&quiet.stdout).contains("p50 ms"), "results are printed all the same");
    let second = std::fs::read(file("x.2of2.jsonl")).unwrap();
    let merged = fed(&format!("merge {} - -o -", file("x.1of2.jsonl").display()), second);
    let table = text(&fed("export -", merged));
    assert_eq!(table.lines().count(), 3, "{table}");
}

#[test]
fn a_free_port_for_metrics_is_told() {
    let line = "run -n squeezenet1.1 -d cpu -s 0.5 --metrics 0";
    let mut child = std::process::Command::new(env!("CARGO_BIN_EXE_wattscope"))
        .args(line.split(' '))
        .env("XDG_STATE_HOME", std::env::temp_dir().join("wattscope-cli-tests"))
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut first = String::new();
    let mut stderr = BufReader::new(child.stderr.take().unwrap());
    stderr.read_line(&mut first).unwrap();
    let address = first.trim().strip_prefix("metrics: http://").and_then(|url| url.strip_suffix("/metrics"));
    let address: std::net::SocketAddr = address.unwrap_or_else(|| panic!("{first}")).parse().unwrap();
    assert_ne!(address.port(), 0);
    assert!(TcpStream::connect(address).is_ok());
    stderr.read_to_string(&mut String::new()).unwrap();
    assert!(child.wait().unwrap().success());
}
