//! Keeps a device busy while the host hands it what is timed next.
//!
//! A device clock is read where the device stands: if it were idle when a layer's kernels are on their way, the layer's time
//! would be that of the host that sends them. So something else runs before each layer for as long as the host needs.

use crate::engine::measure::MeasureError;
use burn::tensor::{Device, Distribution, ProfileOptions, Tensor};
use std::time::Duration;

/// Side of the matrices: their product takes tens of microseconds on a large card and leaves most of its cache alone.
const SIDE: usize = 1024;
/// Products that are timed together.
const TIMED: u32 = 8;
/// Products before one layer at the most.
const MOST: u32 = 40;

/// Work that nobody needs.
pub(super) struct Busy {
    matrix: Tensor<2>,
    /// What one product takes.
    one: Duration,
}

impl Busy {
    /// Matrices on a device, and the time of their product.
    pub(super) fn new(device: &Device) -> Result<Self, MeasureError> {
        let matrix = Tensor::random([SIDE, SIDE], Distribution::Uniform(-1.0, 1.0), device);
        let mut busy = Self { matrix, one: Duration::ZERO };
        // The first time it is compiled, and tuned.
        for _ in 0..2 {
            busy.one = busy.timed(device)? / TIMED;
        }
        Ok(busy)
    }

    fn timed(&self, device: &Device) -> Result<Duration, MeasureError> {
        let run = device.profile_with(ProfileOptions::default().flush(), || self.run(TIMED));
        let (_, profile) = run.map_err(|e| MeasureError::from_text(&e.to_string()))?;
        device.sync().map_err(|e| MeasureError::from_text(&e.to_string()))?;
        Ok(pollster::block_on(profile.resolve()).map_or(Duration::ZERO, |ticks| ticks.duration()))
    }

    fn run(&self, times: u32) {
        for _ in 0..times {
            drop(self.matrix.clone().matmul(self.matrix.clone()));
        }
    }

    /// Keeps the device busy for at least a while from now.
    pub(super) fn keep(&self, device: &Device, time: Duration) -> Result<(), MeasureError> {
        self.run(self.turns(time));
        device.flush().map_err(|e| MeasureError::from_text(&e.to_string()))
    }

    fn turns(&self, time: Duration) -> u32 {
        let turns = time.as_secs_f64() / self.one.as_secs_f64().max(1e-6);
        (turns.ceil() as u32).clamp(1, MOST)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_takes_as_long_as_was_asked_for() {
        let device = Device::flex();
        let busy = Busy::new(&device).unwrap();
        assert!(busy.one > Duration::ZERO);
        let busy = Busy { one: Duration::from_micros(50), ..busy };
        let turns = [0, 120, 1_000_000].map(|us| busy.turns(Duration::from_micros(us)));
        assert_eq!(turns, [1, 3, MOST]);
        busy.keep(&device, Duration::from_micros(10)).unwrap();
    }
}
