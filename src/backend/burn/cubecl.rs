//! What all of CubeCL's runtimes share: where compiled kernels are kept, and probes of the peaks.

use super::runner::dtype;
use crate::{
    backend::interface::{LaunchedKernel, Peak},
    event::Precision,
    host,
};
use burn::tensor::{Device, Distribution, Tensor, ThroughputKey, ThroughputMode};
use cubecl_ir::{ElemType, FloatKind};
use cubecl_runtime::{
    config::{CubeClRuntimeConfig, RuntimeConfig, cache::CacheConfig},
    logging::{LaunchObservation, LaunchObserver},
    throughput::{CmmaDims, ComputeCmmaConfig, MemoryAccess},
};
use std::{
    any::Any,
    fs,
    path::PathBuf,
    sync::{Arc, Once},
    time::{Duration, Instant},
};

/// Keeps compiled kernels and autotune's choices in a folder of their own in the user's cache folder, named after `card`: what
/// is chosen on one card is wrong, or can't run, on another one or with another driver. By default CubeCL keeps them by the number
/// of the device, below the current directory where that is a Cargo project, and compiled kernels nowhere. Peaks are measured by
/// every process that needs them: one bad measurement would stay for ever.
///
/// Done once a process, and before CubeCL reads its configuration: whatever opens a device of CubeCL's begins with this. A process
/// opens one device.
pub fn keep_caches(card: &str) {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // CubeCL's own variables hold as everywhere: CUBECL_AUTOTUNE_LEVEL, CUBECL_DEBUG_LOG.
        let mut config = CubeClRuntimeConfig::default().override_from_env();
        config.throughput.disable_cache = true;
        if let Some(folder) = cache_folder(card) {
            config.environment.path = CacheConfig::Directory(folder);
            config.compilation.cache = true;
        } else {
            config.autotune.disable_cache = true;
        }
        CubeClRuntimeConfig::try_set(config);
    });
}

/// The folder of a card, made where it is missing; none where that can't be done.
fn cache_folder(card: &str) -> Option<PathBuf> {
    let letter = |c: char| if c.is_ascii_alphanumeric() || c == '.' { c } else { '-' };
    let folder = host::cache_folder()?.join("kernels").join(card.chars().map(letter).collect::<String>());
    fs::create_dir_all(&folder).ok()?;
    Some(folder)
}

/// Hands the names of kernels on.
struct Watcher(LaunchedKernel);

impl LaunchObserver for Watcher {
    fn launched(&self, kernel: &'static str) {
        (self.0)(kernel);
    }
}

/// Calls `launched` for every kernel that this process launches, until what is given is dropped.
pub fn watch_kernels(launched: LaunchedKernel) -> Box<dyn Any> {
    Box::new(LaunchObservation::new(Arc::new(Watcher(launched))))
}

/// Time that a measurement by matrix products may take.
const PRODUCTS_TIME: Duration = Duration::from_millis(60);

/// The peak by CubeCL's probes, which issue nothing but multiply-adds or tensor-core instructions: the higher of the two. None
/// on a device without probes.
pub fn peak_flops(device: &Device, precision: Precision) -> Option<Peak> {
    let (kind, k) = match precision {
        Precision::F32 => (FloatKind::F32, 0),
        Precision::Tf32 => (FloatKind::TF32, 8),
        Precision::F16 => (FloatKind::F16, 16),
        Precision::Bf16 => (FloatKind::BF16, 16),
    };
    let plain = if precision == Precision::Tf32 { FloatKind::F32 } else { kind };
    let direct = ThroughputKey { mode: ThroughputMode::ComputeDirect { dtype: ElemType::Float(plain) } };
    let mut keys = vec![("multiply-adds", direct)];
    if k > 0 {
        let cmma_dims = CmmaDims { m: 16, n: 16, k };
        let config = ComputeCmmaConfig { accumulator_type: ElemType::Float(FloatKind::F32), cmma_dims };
        let mode = ThroughputMode::ComputeCmma { dtype: ElemType::Float(kind), config };
        keys.push(("tensor-core instructions", ThroughputKey { mode }));
    }
    let asked: Vec<_> = keys.iter().map(|(_, key)| *key).collect();
    let stats = device.performance_stats(&asked);
    let found = keys.iter().zip(&stats).filter_map(|((how, _), stat)| Some((stat.value.ok()?.ops_per_s(), *how)));
    let (per_second, how) = best(found)?;
    Some(Peak { per_second, how: format!("probe of {how}") })
}

/// The best of several products of 1024² matrices, where there is no probe; a product that fails ends it.
pub fn peak_of_products(device: &Device, precision: Precision) -> Option<Peak> {
    const N: usize = 1024;
    let random = || Tensor::<2>::random([N, N], Distribution::Uniform(-1.0, 1.0), device).cast(dtype(precision));
    let (a, b) = (random(), random());
    let began = Instant::now();
    let mut best = f64::INFINITY;
    while began.elapsed() < PRODUCTS_TIME || best.is_infinite() {
        let start = Instant::now();
        a.clone().matmul(b.clone()).slice([0..1, 0..1]).try_into_data().ok()?;
        best = best.min(start.elapsed().as_secs_f64());
    }
    let per_second = 2.0 * (N as f64).powi(3) / best;
    Some(Peak { per_second, how: "largest of repeated matrix products".to_owned() })
}

/// The peak of memory by CubeCL's probes; none on a device without them.
pub fn peak_bandwidth(device: &Device) -> Option<Peak> {
    let accesses = [("copy", MemoryAccess::Copy), ("read", MemoryAccess::Read)];
    let keys = accesses.map(|(_, access)| ThroughputKey { mode: ThroughputMode::memory(access) });
    let stats = device.performance_stats(&keys);
    let found = accesses.iter().zip(&keys).zip(&stats);
    let found = found.filter_map(|(((how, _), key), stat)| Some((stat.value.ok()?.bytes_per_s(key), *how)));
    let (per_second, how) = best(found)?;
    Some(Peak { per_second, how: format!("probe of a memory {how}") })
}

/// The highest finite one.
fn best<'a>(found: impl Iterator<Item = (f64, &'a str)>) -> Option<(f64, &'a str)> {
    found.filter(|(value, _)| value.is_finite()).max_by(|a, b| a.0.total_cmp(&b.0))
}
