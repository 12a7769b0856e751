//! Faults on demand: counts what `FAKE_CUDA_FAULTS` counts, and says when it is time.

use super::error::{Answer, Error, OUT_OF_MEMORY};
use crate::settings::{Fault, What};
use std::sync::atomic::{AtomicU64, Ordering};

/// How a launch is to go wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Doom {
    /// The kernel ends with an error.
    Fail,
    /// The card falls off the bus.
    Lost,
    /// The kernel doesn't end.
    Hang,
}

/// The faults, each with how often its occasion came.
pub struct Demand {
    faults: Vec<(Fault, AtomicU64)>,
}

impl Demand {
    pub fn new(faults: Vec<Fault>) -> Self {
        Self { faults: faults.into_iter().map(|fault| (fault, AtomicU64::new(0))).collect() }
    }

    /// Counts an occasion for the faults that `concerns` picks, and returns the first whose time it is.
    fn occasion(&self, concerns: impl Fn(&What) -> bool) -> Option<&What> {
        let mut due = None;
        for (fault, count) in self.faults.iter().filter(|(fault, _)| concerns(&fault.what)) {
            let nth = count.fetch_add(1, Ordering::Relaxed) + 1;
            if fault.when.contains(&nth) {
                due = due.or(Some(&fault.what));
            }
        }
        due
    }

    /// A function is called.
    pub fn function(&self, called: &str) -> Answer {
        match self.occasion(|what| matches!(what, What::Function { name, .. } if name == called)) {
            Some(What::Function { code, .. }) => Err(Error(*code)),
            _ => Ok(()),
        }
    }

    /// Device memory is allocated.
    pub fn allocation(&self) -> Answer {
        self.occasion(|what| *what == What::OutOfMemory).map_or(Ok(()), |_| Err(OUT_OF_MEMORY))
    }

    /// A kernel is launched.
    pub fn launch(&self) -> Option<Doom> {
        self.occasion(|what| matches!(what, What::Launch | What::Lost | What::Hang)).map(|what| match what {
            What::Lost => Doom::Lost,
            What::Hang => Doom::Hang,
            _ => Doom::Fail,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_comes_when_it_is_asked_for() {
        let fault = |what, when| Fault { what, when };
        let demand = Demand::new(vec![
            fault(What::OutOfMemory, 2..=2),
            fault(What::Launch, 3..=u64::MAX),
            fault(What::Lost, 2..=2),
            fault(What::Function { name: "cuInit".to_owned(), code: 999 }, 1..=1),
        ]);
        let allocations: Vec<bool> = (0..3).map(|_| demand.allocation().is_ok()).collect();
        assert_eq!(allocations, [true, false, true]);
        let launches: Vec<_> = (0..4).map(|_| demand.launch()).collect();
        assert_eq!(launches, [None, Some(Doom::Lost), Some(Doom::Fail), Some(Doom::Fail)]);
        assert_eq!(demand.function("cuInit"), Err(Error(999)));
        assert_eq!(demand.function("cuInit"), Ok(()), "the first time only");
        assert_eq!(demand.function("cuMemAlloc_v2"), Ok(()));
    }
}
