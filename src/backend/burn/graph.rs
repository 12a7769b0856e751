//! A forward pass captured as one graph of launches.
//!
//! What a replay reads and writes are the very buffers of its capture, and nothing checks them: that it computes the same has
//! to be shown by whoever uses it.

use crate::{
    backend::{error::RunError, interface::Replay},
    model::{Network, Value},
};
use burn::tensor::Device;
use burn_backend::Backend;
use burn_dispatch::{Dispatch, DispatchGraph};
use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};

/// Forward passes before a capture, for the pools to hold every buffer that it will ask for: as many as Burn's own
/// `capture` makes.
const WARM_UPS: usize = 3;

/// A captured forward pass of one input. Fields are dropped in this order: the graph before what it points to.
pub struct Captured {
    graph: DispatchGraph,
    /// Read by every replay.
    _inputs: Vec<Value>,
    /// Its weights are read by every replay.
    _network: Arc<dyn Network>,
    /// Written by every replay.
    outputs: Vec<Value>,
    device: Device,
}

impl Replay for Captured {
    fn replay(&self) -> Result<Vec<Value>, RunError> {
        // SAFETY: inputs, weights and outputs are held here; everything else that the graph touches lies on pages that CubeCL
        // guards as long as the graph lives. Only the engine's thread uses the device, and it captured the graph, so both are
        // on one stream.
        unsafe { Dispatch::graph_replay(self.device.as_dispatch(), &self.graph) }?;
        Ok(self.outputs.clone())
    }
}

/// Captures the forward pass of an input.
///
/// # Errors
/// Says what failed, panics included. The stream is then out of capture mode again, and what the capture took is free.
pub fn capture(device: &Device, network: &Arc<dyn Network>, inputs: &[Value]) -> Result<Captured, String> {
    let result = guarded(|| record(device, network, inputs));
    if result.is_err() {
        // Where the window is closed already, or was never open, this says so and does nothing.
        let _ = guarded(|| Dispatch::graph_stop_capture(device.as_dispatch()).map_err(|e| e.to_string()));
        device.memory_cleanup();
    }
    result
}

fn record(device: &Device, network: &Arc<dyn Network>, inputs: &[Value]) -> Result<Captured, String> {
    let dispatch = device.as_dispatch();
    Dispatch::graph_prepare(dispatch).map_err(|e| one_line(&e.to_string()))?;
    for _ in 0..WARM_UPS {
        let outputs = network.forward(inputs);
        // Dropped after it was computed: what nobody holds, fusion leaves out.
        device.sync().map_err(|e| one_line(&e.to_string()))?;
        drop(outputs);
    }
    Dispatch::graph_start_capture(dispatch).map_err(|e| one_line(&e.to_string()))?;
    let outputs = network.forward(inputs);
    let graph = Dispatch::graph_stop_capture(dispatch).map_err(|e| one_line(&e.to_string()))?;
    let (network, device) = (network.clone(), device.clone());
    Ok(Captured { graph, _inputs: inputs.to_vec(), _network: network, outputs, device })
}

/// Runs what may panic on a thread of Burn's, which hands the panic on.
fn guarded<T>(work: impl FnOnce() -> Result<T, String>) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref().copied());
        Err(format!("panic: {}", one_line(text.unwrap_or("no message"))))
    })
}

/// What an error says, without Burn's frame around it, of what may be a page with a backtrace.
fn one_line(text: &str) -> String {
    const LONGEST: usize = 240;
    let cause = text.split_once("Caused by:").map_or(text, |(_, cause)| cause);
    let words: Vec<_> = cause.split_whitespace().collect();
    if words.is_empty() { "no message".to_owned() } else { words.join(" ").chars().take(LONGEST).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_in_a_capture_is_a_reason_and_no_end() {
        assert_eq!(guarded(|| -> Result<(), String> { panic!("a\n  b") }), Err("panic: a b".to_owned()));
        assert_eq!(one_line("An error happened\nCaused by:\n  no memory\n"), "no memory");
        assert_eq!(one_line(" \n"), "no message");
    }
}
