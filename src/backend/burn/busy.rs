//! Keeps a device busy while the host hands it what is timed next.
//!
//! A device clock is read where the device stands: if it were idle when a layer's kernels are on their way, the layer's time
//! would be that of the host that sends them. So something else runs before each layer for as long as the host needs.

use crate::backend::{error::RunError, interface::Device};
use burn::tensor::{Distribution, Tensor};
use std::time::Duration;

/// Side of the matrices: their product takes tens of microseconds on a large card and leaves most of its cache alone.
const SIDE: usize = 1024;
/// Products that are timed together.
const TIMED: u32 = 8;
/// Products before one layer at the most.
const MOST: u32 = 40;

/// Work whose result is not needed.
pub struct Busy {
    matrix: Tensor<2>,
    /// What one product takes.
    one: Duration,
}

impl Busy {
    /// Matrices on a device with a clock, and the time of their product.
    ///
    /// # Errors
    /// What the device says.
    pub fn new(device: &dyn Device) -> Result<Self, RunError> {
        let matrix = Tensor::random([SIDE, SIDE], Distribution::Uniform(-1.0, 1.0), device.tensors());
        let mut busy = Self { matrix, one: Duration::ZERO };
        // The first time it is compiled, and tuned.
        for _ in 0..2 {
            busy.one = busy.timed(device)? / TIMED;
        }
        Ok(busy)
    }

    fn timed(&self, device: &dyn Device) -> Result<Duration, RunError> {
        let reading = device.clocked(&mut || self.run(TIMED))?;
        device.sync()?;
        Ok(reading.read().unwrap_or_default())
    }

    fn run(&self, times: u32) {
        for _ in 0..times {
            drop(self.matrix.clone().matmul(self.matrix.clone()));
        }
    }

    /// Keeps the device busy for at least a while from now.
    ///
    /// # Errors
    /// What the device says.
    pub fn keep(&self, device: &dyn Device, time: Duration) -> Result<(), RunError> {
        self.run(self.turns(time));
        device.flush()
    }

    fn turns(&self, time: Duration) -> u32 {
        let turns = time.as_secs_f64() / self.one.as_secs_f64().max(1e-6);
        (turns.ceil() as u32).clamp(1, MOST)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::device;

    #[test]
    fn it_takes_as_long_as_was_asked_for() {
        let device = device::open("test:0").unwrap();
        let busy = Busy::new(&*device).unwrap();
        assert!(busy.one > Duration::ZERO);
        let busy = Busy { one: Duration::from_micros(50), ..busy };
        let turns = [0, 120, 1_000_000].map(|us| busy.turns(Duration::from_micros(us)));
        assert_eq!(turns, [1, 3, MOST]);
        busy.keep(&*device, Duration::from_micros(10)).unwrap();
    }
}
