//! Versions of CUDA: the driver's, NVRTC's, and that of the headers.

use std::fmt;

/// A version of CUDA, such as 12.9.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version {
    /// 12 of 12.9.
    pub major: u32,
    /// 9 of 12.9.
    pub minor: u32,
}

impl Version {
    /// From CUDA's own number: 1000 times the major version and 10 times the minor one (`CUDA_VERSION` in `cuda.h`).
    pub const fn from_number(number: u32) -> Self {
        Self { major: number / 1000, minor: number % 1000 / 10 }
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}
