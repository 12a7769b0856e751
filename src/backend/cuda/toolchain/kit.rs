//! The toolchain that was chosen.

use crate::backend::cuda::version::Version;
use std::path::PathBuf;

/// NVRTC, and one folder with all headers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Toolchain {
    /// The library.
    pub nvrtc: PathBuf,
    /// Its version.
    pub version: Version,
    /// The folder whose `include` has the headers: what `CUDA_PATH` is for CubeCL.
    pub root: PathBuf,
}

impl Toolchain {
    /// What it is and where it was found, in one line.
    pub fn describe(&self) -> String {
        format!("NVRTC {} ({})", self.version, self.nvrtc.display())
    }
}
