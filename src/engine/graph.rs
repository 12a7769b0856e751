//! A forward pass captured once and replayed as one graph of launches, used where it is exact and faster.
//!
//! Small batches are bound by launches: hundreds of kernels of a few microseconds each, every one of them put on the stream
//! by the host. A CUDA graph puts all of them there at once. What a replay reads and writes are the very buffers of its
//! capture, and nothing checks them, so it has to prove itself first: it must give the logits of the eager forward pass bit
//! for bit, for two inputs, in turns, before it was timed and after. How a pass is captured is the backend's business.
//!
//! Inputs rotate (MEASURING.md, rule 8) by one graph an input, two of them. The other way would be one graph and a copy of
//! each input into its buffer. Burn promises no write that surely lands in a given buffer (`slice_assign` does only while
//! nothing else holds the tensor, and a graph's input has to be held), and the copy would be a part of every batch that the
//! eager pass does not have. The price is memory: a graph keeps its activations, so two graphs and the eager pass hold three
//! times what one pass does until the eager pass's share is given back at the end of the trial.

use super::measure::{Built, Timing};
use crate::{
    analysis::stats::median,
    backend::{
        RunError,
        interface::{Device, Input, Replay},
        outputs,
    },
    event::{self, DeviceTraits, RunId},
    format::significant,
    model::Value,
};
use std::{sync::Arc, time::Duration};

/// Graphs that are captured, one an input.
const GRAPHS: usize = 2;
/// A batch longer than this hides its launches: the host is ahead of the device by then, and a graph gains nothing but the
/// memory that it takes.
const LONGEST: Duration = Duration::from_millis(50);
/// What eager and replayed batches of a trial may take together, about.
const TRIAL: Duration = Duration::from_millis(300);
/// Batches of each kind that are timed, at least and at most.
const PAIRS: (u128, u128) = (5, 25);
/// What a replay may take of the eager time at most: a difference within the noise is not worth the memory.
const WORTH: f64 = 0.98;

/// How a trial ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Finding {
    /// Graphs are switched off.
    Off,
    /// The device, of this name, has none.
    NoHardware(String),
    /// A batch takes so long that its launches are hidden behind it.
    Long,
    /// Eager logits of one input differ from run to run, so that nothing can be compared with them.
    Unrepeatable,
    /// It could not be captured or replayed: why.
    Failed(String),
    /// Replayed logits are not the eager ones.
    Inexact,
    /// It is exact, and both ways were timed.
    Exact,
    /// A newer command came in between.
    Interrupted,
}

/// How a trial ended, and what was timed in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trial {
    /// How it ended.
    pub finding: Finding,
    /// Median wall latency of an eager batch.
    pub eager: Option<Duration>,
    /// Median wall latency of a replayed batch.
    pub replay: Option<Duration>,
}

impl From<Finding> for Trial {
    fn from(finding: Finding) -> Self {
        Self { finding, eager: None, replay: None }
    }
}

impl Trial {
    /// Whether a graph is to be used, and why; none where nothing was found out.
    pub fn decide(&self) -> Option<(bool, String)> {
        let why = match &self.finding {
            Finding::Off => "switched off".to_owned(),
            Finding::NoHardware(device) => format!("{device} has none"),
            Finding::Long => {
                let ms = self.eager.map_or_else(String::new, |eager| format!(" of {} ms", milliseconds(eager)));
                format!("launches hide behind a batch{ms}")
            }
            Finding::Unrepeatable => "eager logits differ from run to run".to_owned(),
            Finding::Failed(reason) => format!("failed: {reason}"),
            Finding::Inexact => "not exact".to_owned(),
            Finding::Interrupted => return None,
            Finding::Exact => return self.compare(),
        };
        Some((false, why))
    }

    fn compare(&self) -> Option<(bool, String)> {
        let (eager, replay) = (self.eager?, self.replay?);
        if replay.as_secs_f64() > WORTH * eager.as_secs_f64() {
            return Some((false, format!("not faster: {} ms, eager {} ms", milliseconds(replay), milliseconds(eager))));
        }
        let times = eager.as_secs_f64() / replay.as_secs_f64().max(1e-9);
        Some((true, format!("exact, {} times as fast", significant(times, 3))))
    }

    /// What the stream is told; nothing where nothing was found out.
    pub fn told(&self, run: RunId) -> Option<event::Graph> {
        let (used, why) = self.decide()?;
        let ns = |time: Option<Duration>| time.map(|time| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX));
        Some(event::Graph { run, used, why, eager_ns: ns(self.eager), replay_ns: ns(self.replay) })
    }
}

fn milliseconds(time: Duration) -> String {
    significant(time.as_secs_f64() * 1e3, 3)
}

/// Why no graph is even tried on a device of that name, if that is so.
pub fn excluded(wanted: bool, traits: &DeviceTraits, device: &str) -> Option<Finding> {
    match (traits.graphs, wanted) {
        (false, _) => Some(Finding::NoHardware(device.to_owned())),
        (true, false) => Some(Finding::Off),
        (true, true) => None,
    }
}

/// Captured forward passes. Dropping them gives their memory back.
pub struct Graphs {
    captured: Vec<Box<dyn Replay>>,
    device: Arc<dyn Device>,
}

impl Drop for Graphs {
    fn drop(&mut self) {
        self.captured.clear();
        self.device.free_unused();
    }
}

impl Graphs {
    /// Replays the graph whose turn it is; gives its outputs, not waited for.
    fn replay(&self, turn: usize) -> Result<Vec<Value>, RunError> {
        self.captured[turn % self.captured.len()].replay()
    }

    /// Replays one batch and times it as [`Built::batch`] does.
    ///
    /// # Errors
    /// What the device says.
    pub fn batch(&self, built: &Built, turn: usize, clock: bool) -> Result<Timing, RunError> {
        built.timed(clock, || self.replay(turn))
    }
}

/// Captures the forward passes of two inputs, compares and times them; gives the graphs where they are to be used.
/// `interrupted` is asked between batches.
///
/// # Errors
/// Those of eager batches. Whatever goes wrong with a graph only means that it is not used.
pub fn attempt(
    built: &Built,
    inputs: &[Input],
    interrupted: &dyn Fn() -> bool,
) -> Result<(Option<Graphs>, Trial), RunError> {
    let inputs = &inputs[..inputs.len().min(GRAPHS)];
    let first = built.batch(&inputs[0], false)?.wall;
    if first > LONGEST {
        return Ok((None, Trial { eager: Some(first), ..Finding::Long.into() }));
    }
    let mut references = Vec::new();
    for input in inputs {
        let [once, again] = [bits(built.runner().forward(input)?)?, bits(built.runner().forward(input)?)?];
        if once != again {
            return Ok((None, Finding::Unrepeatable.into()));
        }
        references.push(once);
    }
    let graphs = match capture_all(built, inputs, interrupted) {
        Ok(Some(graphs)) => graphs,
        Ok(None) => return Ok((None, Finding::Interrupted.into())),
        Err(reason) => {
            tracing::warn!(%reason, "no graph was captured");
            return Ok((None, Finding::Failed(reason).into()));
        }
    };
    let trial = match try_out(built, inputs, &graphs, &references, interrupted) {
        Ok(trial) => trial,
        Err(Tried::Replay(error)) => Finding::Failed(error.to_string()).into(),
        Err(Tried::Eager(error)) => return Err(error),
    };
    let graphs = trial.decide().is_some_and(|(used, _)| used).then_some(graphs);
    // What the eager passes left in the pools: nobody asks for it while graphs run, or for that of dropped graphs.
    built.device().free_unused();
    Ok((graphs, trial))
}

/// Which of the two ways failed.
enum Tried {
    Eager(RunError),
    Replay(RunError),
}

/// Compares with the eager logits, times both ways in turns, compares again.
fn try_out(
    built: &Built,
    inputs: &[Input],
    graphs: &Graphs,
    references: &[Vec<u64>],
    interrupted: &dyn Fn() -> bool,
) -> Result<Trial, Tried> {
    if !exact(graphs, references).map_err(Tried::Replay)? {
        return Ok(Finding::Inexact.into());
    }
    let (mut eager, mut replay) = (Vec::new(), Vec::new());
    let mut pairs = PAIRS.0;
    while (eager.len() as u128) < pairs {
        let turn = eager.len();
        eager.push(built.batch(&inputs[turn % inputs.len()], false).map_err(Tried::Eager)?.wall);
        replay.push(graphs.batch(built, turn, false).map_err(Tried::Replay)?.wall);
        if interrupted() {
            return Ok(Finding::Interrupted.into());
        }
        if let Some(middle) = middle(&eager) {
            pairs = (TRIAL.as_nanos() / (2 * middle.as_nanos()).max(1)).clamp(PAIRS.0, PAIRS.1);
        }
    }
    if !exact(graphs, references).map_err(Tried::Replay)? {
        return Ok(Finding::Inexact.into());
    }
    Ok(Trial { finding: Finding::Exact, eager: middle(&eager), replay: middle(&replay) })
}

fn middle(times: &[Duration]) -> Option<Duration> {
    median(times.iter().map(Duration::as_secs_f64)).map(Duration::from_secs_f64)
}

/// Whether each graph, replayed twice, in turns with the other one, gives its input's eager logits bit for bit.
fn exact(graphs: &Graphs, references: &[Vec<u64>]) -> Result<bool, RunError> {
    for turn in 0..2 * references.len() {
        if bits(graphs.replay(turn)?)? != references[turn % references.len()] {
            return Ok(false);
        }
    }
    Ok(true)
}

fn bits(outputs: Vec<Value>) -> Result<Vec<u64>, RunError> {
    Ok(outputs::values(outputs)?.into_iter().map(f64::to_bits).collect())
}

/// A graph an input; none where a newer command came in between.
fn capture_all(built: &Built, inputs: &[Input], interrupted: &dyn Fn() -> bool) -> Result<Option<Graphs>, String> {
    let mut graphs = Graphs { captured: Vec::new(), device: built.device().clone() };
    for input in inputs {
        if interrupted() {
            return Ok(None);
        }
        graphs.captured.push(built.runner().capture(input)?);
    }
    Ok(Some(graphs))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        backend::device::traits_of,
        event::{Config, Precision},
        model,
    };

    fn timed(eager_us: u64, replay_us: u64) -> Trial {
        let us = |us| Some(Duration::from_micros(us));
        Trial { finding: Finding::Exact, eager: us(eager_us), replay: us(replay_us) }
    }

    #[test]
    fn an_exact_graph_is_used_where_it_is_clearly_faster() {
        assert_eq!(timed(920, 500).decide(), Some((true, "exact, 1.84 times as fast".to_owned())));
        assert!(!timed(500, 495).decide().unwrap().0, "1 % is not worth the memory");
        assert_eq!(timed(500, 700).decide(), Some((false, "not faster: 0.700 ms, eager 0.500 ms".to_owned())));
        assert_eq!(Trial { replay: None, ..timed(9, 1) }.decide(), None, "what was not timed is not used");
    }

    #[test]
    fn nothing_but_an_exact_graph_is_used_and_each_refusal_says_why() {
        let long = Trial { eager: Some(Duration::from_millis(120)), ..Finding::Long.into() };
        let findings = [
            (Finding::Off.into(), "switched off"),
            (Finding::NoHardware("cpu".to_owned()).into(), "cpu has none"),
            (long, "launches hide behind a batch of 120 ms"),
            (Finding::Unrepeatable.into(), "eager logits differ from run to run"),
            (Finding::Failed("no memory".to_owned()).into(), "failed: no memory"),
            // Faster, but wrong.
            (Trial { finding: Finding::Inexact, ..timed(900, 100) }, "not exact"),
        ];
        for (trial, why) in findings {
            let told = trial.told(7).unwrap();
            assert_eq!((told.run, told.used, told.why.as_str()), (7, false, why));
        }
        assert_eq!(Trial::from(Finding::Interrupted).told(7), None);
        let told = timed(920, 500).told(7).unwrap();
        assert_eq!((told.eager_ns, told.replay_ns), (Some(920_000), Some(500_000)));
    }

    #[test]
    fn only_a_card_has_graphs_and_only_where_they_are_wanted() {
        let excluded = |wanted, device| excluded(wanted, traits_of(device), device);
        assert_eq!(excluded(true, "cpu"), Some(Finding::NoHardware("cpu".to_owned())));
        assert_eq!(excluded(false, "cpu"), Some(Finding::NoHardware("cpu".to_owned())));
        assert_eq!(excluded(false, "cuda:0"), Some(Finding::Off));
        assert_eq!(excluded(true, "cuda:1"), None);
    }

    /// Neither our kernels nor Burn's CPU backend have graphs, and they say so: the way from there to a trial that failed, with
    /// an eager pass that is none the worse for it, is the way that every failure on a card takes.
    #[test]
    fn a_device_that_captures_nothing_goes_on_without() {
        let model = model::find("squeezenet1.1").unwrap();
        for device in ["cpu", "test:0"] {
            let (network, device) = (model.name.clone(), device.to_owned());
            let config = Config { network, batch: 1, precision: Precision::F16, device };
            let built = Built::new(&model, &config, true).unwrap();
            let inputs = built.inputs(1).unwrap();
            let reason = built.runner().capture(&inputs[0]).err().unwrap();
            assert!(reason.to_lowercase().contains("support"), "{reason}");
            let before = built.outputs(&inputs[0]).unwrap();
            let (graphs, trial) = attempt(&built, &inputs, &|| false).unwrap();
            assert!(graphs.is_none());
            // A slow machine takes longer than any batch that a graph is tried for.
            let expected = matches!(trial.finding, Finding::Failed(_) | Finding::Long);
            assert!(expected && !trial.decide().unwrap().0, "{trial:?}");
            assert_eq!(built.outputs(&inputs[0]).unwrap(), before);
        }
    }
}
