//! Inference on the CPU beside PyTorch eager and ONNX Runtime, in one run: for each network and batch size all of them take
//! turns, and what is printed are milliseconds and ratios of the best and of the median. `benches/cpu.sh` runs it.
//!
//! `NETWORKS` and `BATCHES` (comma-separated) choose; `FLEX=1` adds Burn's own CPU backend and the difference of the logits.
//! `PRECISION=bf16` or `f16` stores parameters and maps in it; PyTorch does the same, and ONNX Runtime, which on a CPU has no
//! convolutions of them, runs in f32.

#![allow(clippy::unwrap_used, clippy::expect_used)] // a benchmark fails by panicking

use burn::tensor::Device;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};
use wattscope::{backend::cpu::Compiled, event::Precision, model};

const ROUNDS: usize = 3;
/// A turn is as many batches as fit, at least two.
const TURN: Duration = Duration::from_millis(400);

fn main() {
    let chosen = |name: &str, all: &str| -> Vec<String> {
        std::env::var(name).unwrap_or_else(|_| all.into()).split(',').map(str::to_owned).collect()
    };
    let all: Vec<String> = model::list().into_iter().map(|model| model.name).collect();
    let (networks, batches) = (chosen("NETWORKS", &all.join(",")), chosen("BATCHES", "1,8"));
    let flex = std::env::var_os("FLEX").is_some();
    let precision: Precision = std::env::var("PRECISION").map_or(Precision::F32, |name| name.parse().unwrap());
    let mut python = Python::start();
    println!("{}, {} threads, {precision}", wattscope::host::processor(), rayon::current_num_threads());
    println!(
        "ms a batch, best (median); ratios of the best to PyTorch eager's and ONNX Runtime's: below 1 is faster\n"
    );
    println!(
        "| network | batch | wattscope | PyTorch | ONNX Runtime | ÷ PyTorch | ÷ ONNX Runtime |{}",
        if flex { " Flex | apart |" } else { "" }
    );
    println!("|---|--:|--:|--:|--:|--:|--:|{}", if flex { "--:|--:|" } else { "" });
    let mut logs = [vec![], vec![]];
    for id in &networks {
        let model = model::find(id).unwrap();
        let px = model.classifier().unwrap().px;
        let network = model.build(&Device::flex());
        let compiled = match Compiled::new(model.build(&Device::flex()), &model.placeholders(1), precision) {
            Ok(compiled) => compiled,
            Err(reason) => {
                println!("| {id} | {reason} |");
                continue;
            }
        };
        for batch in batches.iter().map(|batch| batch.parse::<usize>().unwrap()) {
            let inputs = model.made_up_inputs(batch, 7, &Device::flex());
            let values: Vec<f32> = inputs[0].clone().into_data().unwrap().try_to_vec().unwrap();
            let burn = || -> Vec<f32> { network.forward(&inputs).remove(0).into_data().unwrap().try_to_vec().unwrap() };
            let mut times = [vec![], vec![], vec![], vec![]];
            for _ in 0..ROUNDS {
                times[0].extend(turn(|| drop(compiled.forward(&values))));
                times[1].extend(python.turn("torch", id, batch, px));
                times[2].extend(python.turn("ort", id, batch, px));
                if flex {
                    times[3].extend(turn(|| drop(burn())));
                }
            }
            let best = |i: usize| times[i].iter().copied().fold(f64::INFINITY, f64::min);
            let text = |i: usize| match &times[i][..] {
                [] => "–".to_owned(),
                times => format!("{:.1} ({:.1})", best(i), median(times.to_vec())),
            };
            let ratios = [best(0) / best(1), best(0) / best(2)];
            let ratio = |i: usize| if ratios[i] > 0.0 { format!("{:.2}", ratios[i]) } else { "–".to_owned() };
            print!("| {id} | {batch} | {} | {} | {} | {} | {} |", text(0), text(1), text(2), ratio(0), ratio(1));
            if flex {
                print!(" {} | {:.0e} |", text(3), apart(&compiled.forward(&values), &burn()));
            }
            println!();
            for (i, ratio) in ratios.into_iter().enumerate().filter(|(_, ratio)| *ratio > 0.0) {
                logs[i].push(ratio.ln());
            }
        }
    }
    let [torch, ort] = logs.map(|logs| (logs.iter().sum::<f64>() / logs.len() as f64).exp());
    println!("\ngeometric mean of the ratios: {torch:.2} to PyTorch eager, {ort:.2} to ONNX Runtime");
}

/// Milliseconds of each batch of a turn; the first warms up and does not count.
fn turn(mut batch: impl FnMut()) -> Vec<f64> {
    batch();
    let (began, mut times) = (Instant::now(), Vec::new());
    while times.len() < 2 || began.elapsed() < TURN {
        let start = Instant::now();
        batch();
        times.push(start.elapsed().as_secs_f64() * 1e3);
    }
    times
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// Largest difference in standard deviations of Burn's logits.
fn apart(ours: &[f32], burn: &[f32]) -> f64 {
    let mean = burn.iter().map(|x| f64::from(*x)).sum::<f64>() / burn.len() as f64;
    let deviation = (burn.iter().map(|x| (f64::from(*x) - mean).powi(2)).sum::<f64>() / burn.len() as f64).sqrt();
    burn.iter().zip(ours).map(|(a, b)| f64::from((a - b).abs())).fold(0.0, f64::max) / deviation
}

/// `cpu.py`, which answers a line with a line.
struct Python {
    _child: Child,
    to: ChildStdin,
    from: BufReader<ChildStdout>,
}

impl Python {
    fn start() -> Self {
        let python = std::env::var("PYTHON").unwrap_or_else(|_| "python3".into());
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/cpu.py");
        let mut child = Command::new(python).arg(script).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let (to, from) = (child.stdin.take().unwrap(), BufReader::new(child.stdout.take().unwrap()));
        Self { _child: child, to, from }
    }

    fn turn(&mut self, engine: &str, id: &str, batch: usize, px: usize) -> Vec<f64> {
        writeln!(self.to, "{engine} {id} {batch} {px} {}", TURN.as_millis()).unwrap();
        let mut line = String::new();
        self.from.read_line(&mut line).unwrap();
        line.split_whitespace().map(|time| time.parse().unwrap()).collect()
    }
}
