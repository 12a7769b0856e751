//! What is sampled, and where it is found.

use std::{
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

/// Environment variable with the NVML library to load, for installations that keep it in an unusual place.
pub const NVML_LIBRARY_ENV: &str = "WATTSCOPE_NVML_LIBRARY";

/// A CUDA device as the engine knows it, to be found among the cards that NVML lists.
///
/// CUDA and NVML number cards differently (`CUDA_VISIBLE_DEVICES`, fastest first or PCI order), so they are matched by UUID.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CudaDevice {
    /// `cuda:0`.
    pub name: String,
    /// `GPU-…`, if the driver knows it.
    pub uuid: Option<String>,
}

/// The process id of the current engine, shared with the agent that starts engines.
#[derive(Clone, Debug, Default)]
pub struct EnginePid(Arc<AtomicU32>);

impl EnginePid {
    /// Sets the current engine; `None` if there is none.
    pub fn set(&self, pid: Option<u32>) {
        self.0.store(pid.unwrap_or(0), Ordering::Relaxed);
    }

    /// The current engine's process id, if there is one.
    pub fn get(&self) -> Option<u32> {
        Some(self.0.load(Ordering::Relaxed)).filter(|pid| *pid != 0)
    }
}

/// What is sampled, and where it is found.
#[derive(Clone, Debug)]
pub struct Options {
    /// Time between readings of fast sensors.
    pub period: Duration,
    /// Time between attempts to find a lost card again.
    pub retry: Duration,
    /// NVML library to load instead of `libnvidia-ml.so.1`.
    pub nvml_library: Option<PathBuf>,
    /// Mount point of sysfs.
    pub sys: PathBuf,
    /// Mount point of procfs.
    pub proc: PathBuf,
    /// The CUDA devices whose cards are sampled. If there are none, all cards that NVML lists are, as `gpu:0` ….
    pub cuda: Vec<CudaDevice>,
    /// The engine: its processor time is sampled, and its processes are not reported as other processes on a card.
    pub engine: EnginePid,
    /// Names of sources that are not sampled.
    pub without: Vec<&'static str>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            period: Duration::from_millis(50),
            retry: Duration::from_secs(3),
            nvml_library: std::env::var_os(NVML_LIBRARY_ENV).filter(|path| !path.is_empty()).map(PathBuf::from),
            sys: "/sys".into(),
            proc: "/proc".into(),
            cuda: Vec::new(),
            engine: EnginePid::default(),
            without: Vec::new(),
        }
    }
}
