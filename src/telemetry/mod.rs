//! The sensors of this host: one [`Source`] trait, one file a source, one thread each.
//!
//! Every source says once what it can read and why it can't read the rest ([`Body::Sensors`]), then sends its values with
//! the moment they were read at ([`Body::Samples`]). What can't be read is absent with its reason, never 0; what was
//! computed instead of read (the integral of a power, the derivative of an energy) says so in its sensor's `method`.
//!
//! [`Body::Sensors`]: crate::event::Body::Sensors
//! [`Body::Samples`]: crate::event::Body::Samples

pub mod derive;
mod files;
pub mod host;
pub mod hwmon;
pub mod nvml;
pub mod outlet;
pub mod rapl;
mod sampler;

use crate::{clock::Clock, event::Event};
use std::{
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};
use tokio::sync::mpsc::UnboundedSender;

pub use outlet::{Draft, Outlet};
pub use sampler::Telemetry;

/// Environment variable that names the NVML library to load, for installs that keep it in an odd place.
pub const NVML_LIBRARY_ENV: &str = "WATTSCOPE_NVML_LIBRARY";

/// Something that sensors are read from, on a thread of its own.
pub trait Source: Send {
    /// Its name in [`Sensor::source`](crate::event::Sensor::source).
    fn name(&self) -> &'static str;

    /// Time between two ticks, given the one asked for; longer where reading faster would tell nothing new.
    fn period(&self, asked: Duration) -> Duration {
        asked
    }

    /// Finds what there is to read and announces it through `out`, with the reason for what there is not. May take long.
    fn open(&mut self, out: &mut Outlet) -> Opened;

    /// Reads one tick's values into `out`.
    fn sample(&mut self, out: &mut Outlet);
}

/// Whether a source has anything to read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Opened {
    /// At least one sensor: keep sampling.
    Sampling,
    /// Nothing now nor later: its thread may end.
    Nothing,
}

/// A CUDA device as the engine knows it, to be found again among the cards that NVML lists.
///
/// The two number cards differently (`CUDA_VISIBLE_DEVICES`, fastest first against PCI order), so only the UUID tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CudaDevice {
    /// `cuda:0`.
    pub name: String,
    /// `GPU-…`, where the driver tells it.
    pub uuid: Option<String>,
}

/// The process id of the engine of the moment, shared with whoever starts engines.
#[derive(Clone, Debug, Default)]
pub struct EnginePid(Arc<AtomicU32>);

impl EnginePid {
    /// Says which process is the engine from now on; `None` while there is none.
    pub fn set(&self, pid: Option<u32>) {
        self.0.store(pid.unwrap_or(0), Ordering::Relaxed);
    }

    /// The engine's process id, while there is one.
    pub fn get(&self) -> Option<u32> {
        Some(self.0.load(Ordering::Relaxed)).filter(|pid| *pid != 0)
    }
}

/// What to sample, and where it is found.
#[derive(Clone, Debug)]
pub struct Options {
    /// Time between readings of what changes fast.
    pub period: Duration,
    /// Time between attempts to find a lost card again.
    pub retry: Duration,
    /// NVML library to load in place of `libnvidia-ml.so.1`.
    pub nvml_library: Option<PathBuf>,
    /// Where sysfs is mounted.
    pub sys: PathBuf,
    /// Where procfs is mounted.
    pub proc: PathBuf,
    /// The CUDA devices to watch; empty where there are none: then every card that NVML lists is watched, as `gpu:0` ….
    pub cuda: Vec<CudaDevice>,
    /// The engine, whose processor time is read and whose processes are no neighbours.
    pub engine: EnginePid,
    /// Sources that are not read: somebody else reads them, or nobody asks.
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

/// Starts sampling every source of this host into `sink` and returns at once; sampling ends when the handle is dropped.
pub fn start(options: Options, clock: Clock, sink: UnboundedSender<Event>) -> Telemetry {
    let mut sources: Vec<Box<dyn Source>> = vec![
        Box::new(nvml::Nvml::new(&options)),
        Box::new(hwmon::Hwmon::new(&options)),
        Box::new(rapl::Rapl::new(&options)),
        Box::new(host::Host::new(&options)),
    ];
    sources.retain(|source| !options.without.contains(&source.name()));
    Telemetry::of(sources, options.period, clock, sink)
}
