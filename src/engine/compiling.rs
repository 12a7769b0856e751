//! Tells how far kernels are compiled and tuned: the first batch on a card takes minutes where none of them is in the cache.

use super::process::Outbox;
use crate::{
    backend::interface::{Device, LaunchedKernel},
    event::{Body, Compiling, RunId},
};
use std::{
    any::Any,
    collections::BTreeSet,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

/// It is told this often at most, but the first kernel at once.
const TOLD: Duration = Duration::from_millis(200);

/// The kernels that were launched.
#[derive(Debug, Default)]
struct Launched {
    kernels: BTreeSet<&'static str>,
    told: Option<Instant>,
}

impl Launched {
    /// Takes the launch of a kernel at `now`. Gives how many different ones there were, where that is to be told.
    fn launch(&mut self, kernel: &'static str, now: Instant) -> Option<u32> {
        let new = self.kernels.insert(kernel);
        if !new || self.told.is_some_and(|told| now.duration_since(told) < TOLD) {
            return None;
        }
        self.told = Some(now);
        u32::try_from(self.kernels.len()).ok()
    }
}

/// Tells of the kernels of a run until what is given is dropped; none on a device that compiles none.
pub fn tell(device: &dyn Device, outbox: &Outbox, run: RunId) -> Option<Box<dyn Any>> {
    let (launched, send) = (Mutex::new(Launched::default()), outbox.sender());
    let told: LaunchedKernel = Box::new(move |kernel| {
        let mut launched = launched.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(kernels) = launched.launch(kernel, Instant::now()) {
            send(Body::Compiling(Compiling { run, kernels, newest: short(kernel).to_owned() }));
        }
    });
    device.watch_kernels(told)
}

/// A kernel's name without its path and its parameters: `MatmulEntry` of `cubek::matmul::MatmulEntry<f32, …>`.
fn short(kernel: &str) -> &str {
    let plain = kernel.split('<').next().unwrap_or(kernel);
    plain.rsplit("::").next().unwrap_or(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn new_kernels_are_told_and_not_too_often() {
        let mut launched = Launched::default();
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        assert_eq!(launched.launch("a", at(0)), Some(1));
        assert_eq!(launched.launch("b", at(100)), None, "too soon");
        assert_eq!(launched.launch("b", at(300)), None, "known");
        assert_eq!(launched.launch("c", at(300)), Some(3));
        assert_eq!(short("cubek_matmul::launch::MatmulEntry<f32, half::f16>"), "MatmulEntry");
        assert_eq!(short("copy"), "copy");
    }
}
