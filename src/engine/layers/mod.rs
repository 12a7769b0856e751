//! Where the time of a batch goes, layer by layer.
//!
//! Passes whose layers are timed take turns with passes of the whole batch as it runs otherwise, so that both see the same
//! clocks and the same neighbours. How a model runs layer by layer is its backend's business.

use super::measure::Built;
use crate::{
    backend::{
        LayersError,
        interface::{Input, LayerPass},
    },
    event::{Config, LayerClock, LayerTime, Layers, RunId},
};
use std::time::{Duration, Instant};

/// Time after which no pass begins.
const TIME: Duration = Duration::from_secs(1);
/// Passes without which one that was interrupted would count.
const LEAST_PASSES: usize = 3;
/// Passes that are enough.
const MOST_PASSES: usize = 30;
/// Largest difference of a logit from the network's own, in standard deviations of the logits: rounding in bf16 leaves a
/// tenth (`wattscope check --help`), and anything that is computed wrongly leaves more than one.
const BOUND: f64 = 0.4;

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
    let mut runner = built.runner().layers(config.batch)?;
    let clock = runner.clock();
    let mut passes = Passes::default();
    for (turn, input) in inputs.iter().cycle().take(runner.warm_up()).enumerate() {
        let pass = runner.pass(input)?;
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
        passes.add(by_clock.unwrap_or(whole.wall), whole.wall, runner.pass(input)?);
        if passes.count() >= LEAST_PASSES && began.elapsed() >= TIME {
            break;
        }
    }
    let mut layers = runner.layers(config.precision.bytes());
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
    fn add(&mut self, whole: Duration, whole_wall: Duration, pass: LayerPass) {
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
