//! Where the time of a batch goes, layer by layer.
//!
//! Passes whose layers are timed take turns with passes of the whole batch as it runs otherwise, so that both see the same
//! clocks and the same neighbours. On the CPU a pass runs our own compiled plan and notes when each of its steps is
//! done; everywhere else the captured operations are run layer by layer with Burn's own functions.

mod busy;
mod interpret;

use super::measure::{self, Built, Input, MeasureError};
use crate::{
    backend::{DeviceError, cpu::Compiled},
    event::{Config, LayerClock, LayerFacts, LayerTime, Layers, RunId},
    model::{capture::CaptureError, cost::Traffic},
};
use interpret::Interpreter;
use std::time::{Duration, Instant};
use thiserror::Error;

/// Time after which no pass begins.
const TIME: Duration = Duration::from_secs(1);
/// Passes without which one that was interrupted would count.
const LEAST_PASSES: usize = 3;
/// Passes that are enough.
const MOST_PASSES: usize = 30;
/// Largest difference of a logit from the network's own, in standard deviations of the logits: rounding in bf16 leaves a
/// tenth (`wattscope check --help`), and anything that is computed wrongly leaves more than one.
const BOUND: f64 = 0.4;

/// Why there are no times of layers.
#[derive(Debug, Error)]
pub enum LayersError {
    /// The network does something that is not known here.
    #[error("an operation that can't be run by itself: {0}")]
    Operation(String),
    /// What the layers compute is not what the network computes.
    #[error("run one by one, the layers end {0:.1} standard deviations from the network's logits")]
    Differs(f64),
    /// The network could not be captured.
    #[error(transparent)]
    Capture(#[from] CaptureError),
    /// The device could not be opened.
    #[error(transparent)]
    Open(#[from] DeviceError),
    /// A pass failed.
    #[error(transparent)]
    Measure(#[from] MeasureError),
}

/// A pass whose layers were timed.
struct Pass {
    wall: Duration,
    /// Of each layer.
    times: Vec<Duration>,
    outputs: Vec<f64>,
}

/// Runs a batch and times its layers.
enum Instrument<'a> {
    Kernels(&'a Compiled),
    Interpreter(Box<Interpreter>),
}

impl<'a> Instrument<'a> {
    fn new(built: &'a Built, batch: u32) -> Result<Self, LayersError> {
        if let Some(compiled) = built.compiled() {
            return Ok(Self::Kernels(compiled));
        }
        let network = built.network().ok_or_else(|| LayersError::Operation("its own runner".to_owned()))?;
        let inputs = built.model().placeholders(batch as usize);
        let interpreter = Interpreter::new(network, built.device(), &inputs)?;
        Ok(Self::Interpreter(Box::new(interpreter)))
    }

    fn clock(&self, built: &Built) -> LayerClock {
        match self {
            Self::Interpreter(_) if built.has_clock() => LayerClock::Device,
            _ => LayerClock::Wall,
        }
    }

    /// Passes that do not count.
    const fn warm_up(&self) -> usize {
        match self {
            Self::Kernels(_) => 1,
            Self::Interpreter(_) => interpret::WARM_UP,
        }
    }

    /// The layers of so many images, in values of so many bytes; no times yet.
    fn layers(&self, batch: u32, width: u64) -> Vec<LayerTime> {
        match self {
            Self::Kernels(compiled) => {
                let computed = compiled.computed();
                let all = computed.layers.iter().zip(&computed.traffic).zip(&computed.within);
                all.map(|((facts, traffic), within)| LayerTime {
                    within: *within,
                    ..layer(facts, *traffic, u64::from(batch), width)
                })
                .collect()
            }
            Self::Interpreter(interpreter) => interpreter.layers().map(|(l, t)| layer(l, t, 1, width)).collect(),
        }
    }

    fn pass(&mut self, built: &Built, input: &Input, clock: LayerClock) -> Result<Pass, LayersError> {
        match (self, input) {
            (Self::Kernels(compiled), Input::Host(images)) => steps(built, compiled, images),
            (Self::Interpreter(interpreter), Input::Device(inputs)) => interpreter.pass(inputs, clock),
            _ => Err(MeasureError::Device("an input of another network".into()).into()),
        }
    }
}

/// A layer of so many times the batch that its facts are of.
fn layer(facts: &LayerFacts, traffic: Traffic, batches: u64, width: u64) -> LayerTime {
    let mut output = facts.output.clone();
    if let Some(images) = output.first_mut() {
        *images *= batches;
    }
    LayerTime {
        kind: facts.kind.clone(),
        detail: facts.detail.clone(),
        output,
        params: facts.params,
        macs: facts.macs * batches,
        bytes: traffic.bytes(batches, width),
        ..LayerTime::default()
    }
}

/// A pass of the compiled plan, as [`Built::batch`] runs it.
fn steps(built: &Built, compiled: &Compiled, images: &[f32]) -> Result<Pass, LayersError> {
    let failed = |error: String| MeasureError::from_text(&error);
    built.device().sync().map_err(|e| failed(e.to_string()))?;
    let start = Instant::now();
    let (values, steps) = compiled.timed(images);
    let outputs = measure::output(compiled, values, built.device());
    let read = measure::first(&outputs);
    built.device().sync().map_err(|e| failed(e.to_string()))?;
    let wall = start.elapsed();
    read?;
    let computed = compiled.computed();
    let mut times = vec![Duration::ZERO; computed.layers.len()];
    for (layer, step) in computed.of_step.iter().zip(steps) {
        if let Some(time) = times.get_mut(*layer) {
            *time += step;
        }
    }
    Ok(Pass { wall, times, outputs: measure::values(outputs)? })
}

/// Measures the layers of a batch in about a second; none if `stop` said so first.
///
/// # Errors
/// Where an operation can't be run by itself, or not to the same end, and where a pass fails.
pub fn measure(
    built: &Built,
    (run, config): (RunId, &Config),
    inputs: &[Input],
    stop: impl Fn() -> bool,
) -> Result<Option<Layers>, LayersError> {
    let mut instrument = Instrument::new(built, config.batch)?;
    let clock = instrument.clock(built);
    let mut passes = Passes::default();
    for (turn, input) in inputs.iter().cycle().take(instrument.warm_up()).enumerate() {
        let pass = instrument.pass(built, input, clock)?;
        if turn == 0 {
            check(&pass.outputs, &built.outputs(input)?)?;
        }
        if stop() {
            return Ok(None);
        }
    }
    let began = Instant::now();
    for input in inputs.iter().cycle().take(MOST_PASSES) {
        if stop() {
            return Ok(None);
        }
        let whole = built.batch(input, true)?;
        let by_clock = if clock == LayerClock::Device { whole.device } else { Some(whole.wall) };
        passes.add(by_clock.unwrap_or(whole.wall), whole.wall, instrument.pass(built, input, clock)?);
        if passes.count() >= LEAST_PASSES && began.elapsed() >= TIME {
            break;
        }
    }
    let mut layers = instrument.layers(config.batch, config.precision.bytes());
    passes.time(&mut layers);
    Ok(Some(Layers {
        run,
        config: config.clone(),
        passes: u32::try_from(passes.count()).unwrap_or(u32::MAX),
        clock,
        whole_ns: typical(&passes.whole),
        sum_ns: layers.iter().map(|layer| layer.time_ns).sum(),
        whole_wall_ns: typical(&passes.whole_wall),
        instrumented_wall_ns: typical(&passes.instrumented),
        layers,
    }))
}

/// Times of all passes.
#[derive(Default)]
struct Passes {
    whole: Vec<Duration>,
    whole_wall: Vec<Duration>,
    instrumented: Vec<Duration>,
    /// By pass, then by layer.
    layers: Vec<Vec<Duration>>,
}

impl Passes {
    fn add(&mut self, whole: Duration, whole_wall: Duration, pass: Pass) {
        self.whole.push(whole);
        self.whole_wall.push(whole_wall);
        self.instrumented.push(pass.wall);
        self.layers.push(pass.times);
    }

    fn count(&self) -> usize {
        self.layers.len()
    }

    /// Gives each layer its time: the mean over the passes whose sum is among the middle half, so that they add up.
    fn time(&self, layers: &mut [LayerTime]) {
        let sums: Vec<Duration> = self.layers.iter().map(|times| times.iter().sum()).collect();
        let typical = middle_half(&sums);
        for (i, layer) in layers.iter_mut().enumerate() {
            layer.time_ns = mean(typical.iter().filter_map(|pass| self.layers[*pass].get(i)));
        }
    }
}

/// The passes that took neither least nor most: half of them, or one of three.
fn middle_half(totals: &[Duration]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..totals.len()).collect();
    order.sort_by_key(|pass| totals[*pass]);
    let ends = totals.len().div_ceil(4).min(totals.len().saturating_sub(1) / 2);
    order[ends..totals.len() - ends].to_vec()
}

/// Mean of the middle half.
fn typical(totals: &[Duration]) -> u64 {
    mean(middle_half(totals).into_iter().map(|pass| &totals[pass]))
}

fn mean<'a>(times: impl Iterator<Item = &'a Duration>) -> u64 {
    let (n, sum) = times.fold((0, 0), |(n, sum), time| (n + 1, sum + time.as_nanos()));
    u64::try_from(sum / n.max(1)).unwrap_or(u64::MAX)
}

/// Whether the layers compute what the network computes, but for rounding.
fn check(layers: &[f64], network: &[f64]) -> Result<(), LayersError> {
    let apart = apart(layers, network);
    if apart <= BOUND { Ok(()) } else { Err(LayersError::Differs(apart)) }
}

/// Largest difference, in standard deviations of the second.
fn apart(ours: &[f64], theirs: &[f64]) -> f64 {
    if ours.len() != theirs.len() || theirs.is_empty() {
        return f64::INFINITY;
    }
    let mean = theirs.iter().sum::<f64>() / theirs.len() as f64;
    let deviation = (theirs.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / theirs.len() as f64).sqrt();
    let differences = || ours.iter().zip(theirs).map(|(a, b)| (a - b).abs());
    if differences().any(f64::is_nan) {
        return f64::INFINITY;
    }
    differences().fold(0.0, f64::max) / deviation
}

#[cfg(test)]
mod tests;
