//! The peaks that FLOP utilisation and the layers are measured against: measured on the device, never copied from a data
//! sheet.

use super::measure::dtype;
use crate::{
    backend::cpu,
    event::{Body, Config, Precision},
    format, host,
};
use burn::tensor::{Device, Distribution, Tensor, ThroughputKey, ThroughputMode};
use cubecl_ir::{ElemType, FloatKind};
use cubecl_runtime::throughput::{CmmaDims, ComputeCmmaConfig, MemoryAccess};
use std::time::{Duration, Instant};
use wattscope_kernels::{isa::Isa, mac::MacOp, peak};

/// Time that a measurement may take on a device without a probe of its own.
const PROBE_TIME: Duration = Duration::from_millis(60);

/// Measures the peak of a device in the precision of a configuration; none where nothing could be measured.
///
/// CubeCL devices have probes that issue nothing but multiply-adds or tensor-core instructions; the higher of the two is
/// the peak. So has the CPU. Without one the peak is the best of several large matrix products.
pub fn measure(device: &Device, config: &Config) -> Option<Body> {
    let probed = probe(device, config.precision);
    let (flops, how) = match probed {
        Some(found) => found,
        None if config.device == "cpu" => multiply_adds(config.precision),
        None => (product(device, config.precision)?, "largest of repeated matrix products".to_owned()),
    };
    let (device, precision) = (config.device.clone(), config.precision);
    (flops.is_finite() && flops > 0.0).then_some(Body::Peak { device, precision, flops, how })
}

/// By every core of the processor together.
fn multiply_adds(precision: Precision) -> (f64, String) {
    let (isa, dtype) = (Isa::detect(), cpu::dtype(precision));
    let what = match MacOp::select(isa, dtype) {
        MacOp::Fma(_) => "multiply-adds",
        MacOp::Dpbf16 => "products of pairs",
        MacOp::AmxBf16 => "products of tiles",
    };
    (peak::flops(isa, dtype, PROBE_TIME), format!("{what} in registers, on every core"))
}

fn probe(device: &Device, precision: Precision) -> Option<(f64, String)> {
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
    let best = found.filter(|(flops, _)| flops.is_finite()).max_by(|a, b| a.0.total_cmp(&b.0))?;
    Some((best.0, format!("probe of {}", best.1)))
}

/// Caches that an array has to be larger than, so that copying it is copying memory.
const CACHES: u64 = 4;
/// Largest and smallest such array, bytes.
const ARRAY: (u64, u64) = (64 << 20, 1 << 30);
/// Time that each of two ways to move memory may take.
const MOVING_TIME: Duration = Duration::from_millis(30);

/// Measures how fast a device moves memory; none where that could not be measured.
///
/// A copy reads and writes as much, and both count; what only reads, as a linear layer mostly does, may be faster, since a
/// write takes turns with reads. The roof over all layers is the higher of the two.
pub fn bandwidth(device: &Device, config: &Config) -> Option<Body> {
    let (bytes_per_s, how) = if config.device == "cpu" { moved()? } else { probe_memory(device)? };
    let device = config.device.clone();
    (bytes_per_s.is_finite() && bytes_per_s > 0.0).then_some(Body::Bandwidth { device, bytes_per_s, how })
}

/// By every core of the processor together.
fn moved() -> Option<(f64, String)> {
    let cache = host::largest_cache().unwrap_or(ARRAY.0 / CACHES);
    let spare = host::memory().map_or(u64::MAX, |memory| memory.available / 8);
    let bytes = (CACHES * cache).clamp(ARRAY.0, ARRAY.1).min(spare);
    let peak::Bandwidth { copy, read } = peak::bandwidth(usize::try_from(bytes).ok()?, MOVING_TIME)?;
    let what = if copy >= read { "copying" } else { "reading" };
    Some((copy.max(read), format!("{what} {} on every core", format::bytes(bytes))))
}

fn probe_memory(device: &Device) -> Option<(f64, String)> {
    let accesses = [("copy", MemoryAccess::Copy), ("read", MemoryAccess::Read)];
    let keys = accesses.map(|(_, access)| ThroughputKey { mode: ThroughputMode::memory(access) });
    let stats = device.performance_stats(&keys);
    let found = accesses.iter().zip(&keys).zip(&stats);
    let found = found.filter_map(|(((how, _), key), stat)| Some((stat.value.ok()?.bytes_per_s(key), *how)));
    let best = found.filter(|(bytes, _)| bytes.is_finite()).max_by(|a, b| a.0.total_cmp(&b.0))?;
    Some((best.0, format!("probe of a memory {}", best.1)))
}

/// Operations a second of the fastest of several products of 1024² matrices; a product that fails ends it.
fn product(device: &Device, precision: Precision) -> Option<f64> {
    const N: usize = 1024;
    let random = || Tensor::<2>::random([N, N], Distribution::Uniform(-1.0, 1.0), device).cast(dtype(precision));
    let (a, b) = (random(), random());
    let began = Instant::now();
    let mut best = f64::INFINITY;
    while began.elapsed() < PROBE_TIME || best.is_infinite() {
        let start = Instant::now();
        a.clone().matmul(b.clone()).slice([0..1, 0..1]).try_into_data().ok()?;
        best = best.min(start.elapsed().as_secs_f64());
    }
    Some(2.0 * (N as f64).powi(3) / best)
}
