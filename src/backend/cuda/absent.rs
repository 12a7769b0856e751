//! Why CUDA can't be used on this host, and what to do about it.

use super::version::Version;
use thiserror::Error;

/// Why CUDA can't be used here, and what to do about it.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum CudaAbsent {
    /// No driver library.
    #[error("libcuda.so.1 not found: install the NVIDIA driver (in a container, start it with --gpus)")]
    NoDriver,
    /// The driver refused.
    #[error("the NVIDIA driver does not start: {0}")]
    Driver(String),
    /// The driver is older than what kernels are compiled for.
    #[error("the NVIDIA driver is of CUDA {0}: one of CUDA 12.0 or newer is needed (driver 525 or newer)")]
    OldDriver(Version),
    /// The driver works and sees no card.
    #[error("the NVIDIA driver sees no card{0}")]
    NoCard(&'static str),
    /// No run-time compiler.
    #[error("NVRTC not found: {}", install(*.driver))]
    NoNvrtc {
        /// Version of the driver.
        driver: Version,
    },
    /// The driver refuses what the compiler emits.
    #[error(
        "NVRTC {found} is newer than the driver, which takes what CUDA {driver} and older compile: {}",
        install(*.driver)
    )]
    NewerThanDriver {
        /// The oldest NVRTC that was found.
        found: Version,
        /// Version of the driver.
        driver: Version,
    },
    /// NVRTC without what kernels include.
    #[error("NVRTC {version} found, and {missing} missing of the CUDA headers: {}", install(*.version))]
    NoHeaders {
        /// Version of NVRTC.
        version: Version,
        /// The header.
        missing: String,
    },
    /// NVRTC does not compile what CubeCL asks for.
    #[error("NVRTC {version} does not compile a kernel with half precision and tensor cores: {error}")]
    Probe {
        /// Version of NVRTC.
        version: Version,
        /// The first error that it gives.
        error: String,
    },
    /// The chosen NVRTC can't be opened in this process.
    #[error("{nvrtc} can't be opened: {error}")]
    Unopened {
        /// The library.
        nvrtc: String,
        /// What the loader says.
        error: String,
    },
    /// The folder for links to headers can't be written.
    #[error("the CUDA headers lie in several folders, and {folder} can't be written to join them: {error}")]
    Links {
        /// Where they were to be joined.
        folder: String,
        /// Why not.
        error: String,
    },
}

/// The command that installs NVRTC and headers which a driver of a version takes. The wheels of CUDA 12 have other names than
/// those of CUDA 13, which bring `crt/` in a wheel of their own (PyPI: nvidia-cuda-nvrtc, nvidia-cuda-nvrtc-cu12).
fn install(driver: Version) -> String {
    let wheels = match driver.major {
        13.. => ["nvrtc", "runtime", "cccl", "crt"].map(|part| format!("\"nvidia-cuda-{part}=={driver}.*\"")),
        _ => ["nvrtc", "runtime", "cccl", "nvcc"].map(|part| format!("\"nvidia-cuda-{part}-cu12=={driver}.*\"")),
    };
    format!("pip install {}, or the CUDA toolkit {driver}", wheels.join(" "))
}
