//! What compiles kernels at run time: NVRTC and the CUDA headers that kernels include, found wherever they are installed, and
//! chosen so that the driver takes what NVRTC emits.

mod cached;
mod candidate;
mod environment;
mod headers;
mod kit;
mod nvrtc;
mod places;
mod probe;
mod python;

pub use environment::{environment, open};
pub use kit::Toolchain;

use super::{absent::CudaAbsent, version::Version};
use candidate::Candidate;
use places::Place;
use std::path::Path;

/// The toolchain that this process was started with, or else the newest of this host that a driver of version `driver` takes, one that CUDA_PATH names before all others, and
/// tried by compiling a kernel for `architecture` (75, 90 …). `cache` is a folder of the user's for headers that lie in several
/// places and for what was tried before.
///
/// # Errors
/// Says what is missing, or why what is there can't be used, and what to install.
pub fn find(driver: Version, architecture: u32, cache: Option<&Path>) -> Result<Toolchain, CudaAbsent> {
    match environment::given() {
        Some(given) => Ok(given),
        None => choose(&places::places(), driver, architecture, cache),
    }
}

fn choose(places: &[Place], driver: Version, architecture: u32, cache: Option<&Path>) -> Result<Toolchain, CudaAbsent> {
    let candidates = candidate::list(places);
    let usable: Vec<&Candidate> = candidate::ranked(&candidates, driver);
    let Some(first) = usable.first() else {
        return Err(match candidates.iter().map(|candidate| candidate.version).min() {
            Some(found) => CudaAbsent::NewerThanDriver { found, driver },
            None => CudaAbsent::NoNvrtc { driver },
        });
    };
    let mut why = None;
    for candidate in &usable {
        let made = headers::root(candidate, places, cache).and_then(|root| {
            let toolchain = Toolchain { nvrtc: candidate.nvrtc.clone(), version: candidate.version, root };
            probe::try_it(&toolchain, architecture, cache).map(|()| toolchain)
        });
        match made {
            Ok(toolchain) => return Ok(toolchain),
            Err(absent) => why = why.or(Some(absent)),
        }
    }
    Err(why.unwrap_or(CudaAbsent::NoHeaders { version: first.version, missing: "cuda_fp16.h".to_owned() }))
}

#[cfg(test)]
mod tests;
