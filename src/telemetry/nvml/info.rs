//! Information about a card that is not numeric: its name and versions, throttle reasons, processes on it.

use super::errors::reason;
use crate::event::{Card, Neighbour};
use nvml_wrapper::{
    Device, Nvml as Library,
    enum_wrappers::device::Clock,
    enums::device::UsedGpuMemory,
    error::{Bits, NvmlError},
    struct_wrappers::device::ProcessInfo,
};
use std::{collections::BTreeMap, fs, path::Path, process};

/// What identifies wattscope's own processes on a card.
pub struct OwnProcesses<'a> {
    /// The current engine.
    pub engine: Option<u32>,
    /// Mount point of procfs.
    pub proc: &'a Path,
}

/// Static information of a card.
pub fn card(library: &Library, handle: &Device<'_>, device: &str) -> Card {
    let cuda = library.sys_cuda_driver_version().ok();
    let max = handle.max_clock_info(Clock::SM).ok();
    Card {
        device: device.into(),
        title: handle.name().unwrap_or_else(|error| format!("NVIDIA card ({error})")),
        uuid: handle.uuid().ok(),
        driver: library.sys_driver_version().ok(),
        cuda: cuda.map(|version| format!("{}.{}", version / 1000, version % 1000 / 10)),
        pci: handle.pci_info().ok().map(|pci| pci.bus_id),
        power_cap_w: handle.enforced_power_limit().ok().map(|mw| f64::from(mw) * 1e-3),
        max_compute_clock_mhz: max,
        clock_policy: Some(clock_policy(handle, max)),
    }
}

/// Whether the clocks float. NVML has no function for the limits that `nvidia-smi -lgc` sets.
fn clock_policy(handle: &Device<'_>, max: Option<u32>) -> String {
    let up_to = max.map_or_else(String::new, |max| format!(" up to {max} MHz"));
    match (handle.applications_clock(Clock::Graphics), handle.default_applications_clock(Clock::Graphics)) {
        (Ok(set), Ok(default)) if set != default => {
            format!("application clocks set to {set} MHz, {default} MHz by default")
        }
        (Ok(_), Ok(_)) => format!("floating{up_to}: application clocks at their default; NVML tells no locked clocks"),
        (Err(error), _) | (_, Err(error)) => {
            format!("unknown: NVML tells no locked clocks, and no application clocks ({})", reason(&error))
        }
    }
}

/// The reasons why the clocks are not higher, as NVML's bit mask.
pub fn throttle_bits(handle: &Device<'_>) -> Result<u64, NvmlError> {
    match handle.current_throttle_reasons_strict() {
        Ok(reasons) => Ok(reasons.bits()),
        // Bits that are newer than the wrapper.
        Err(NvmlError::IncorrectBits(Bits::U64(bits))) => Ok(bits),
        Err(error) => Err(error),
    }
}

/// The reasons in words. An idle card lowers its clocks too, but that is not throttling.
pub fn throttle_reasons(bits: u64) -> Vec<String> {
    const GPU_IDLE: u64 = 0x1;
    const WORDS: [&str; 9] = [
        "", // GPU idle
        "application clocks setting",
        "software power cap",
        "hardware slowdown",
        "sync boost",
        "software thermal slowdown",
        "hardware thermal slowdown",
        "hardware power brake",
        "display clocks setting",
    ];
    let set = (0..64).filter(|bit| bits & !GPU_IDLE & (1 << bit) != 0);
    let word =
        |bit: usize| WORDS.get(bit).map_or_else(|| format!("unknown reason {:#x}", 1u64 << bit), ToString::to_string);
    set.map(word).collect()
}

/// All processes on a card.
pub fn processes(handle: &Device<'_>) -> Result<Vec<ProcessInfo>, NvmlError> {
    let mut all = handle.running_compute_processes()?;
    // Cards without graphics have no list of graphics processes.
    all.extend(handle.running_graphics_processes().unwrap_or_default());
    Ok(all)
}

/// The processes that are not wattscope's own, by process id. A process with compute and graphics contexts is listed once.
///
/// In a container NVML may return process ids of the host, so the own engine looks like another process. A process that
/// procfs does not know is therefore reported as not visible, and as perhaps the own engine while that was not found.
pub fn neighbours(processes: Vec<ProcessInfo>, own: &OwnProcesses<'_>) -> Vec<Neighbour> {
    let pids = [Some(process::id()), own.engine];
    let engine_seen = own.engine.is_none_or(|engine| processes.iter().any(|process| process.pid == engine));
    let hidden = if engine_seen { "not visible from here" } else { "not visible from here, perhaps our engine" };
    let mut others = BTreeMap::new();
    for process in processes.into_iter().filter(|process| !pids.contains(&Some(process.pid))) {
        let memory = match process.used_gpu_memory {
            UsedGpuMemory::Used(bytes) => Some(bytes),
            UsedGpuMemory::Unavailable => None,
        };
        let known: &mut Option<u64> = others.entry(process.pid).or_default();
        *known = (*known).max(memory);
    }
    let name = |pid: u32| {
        let comm = fs::read(own.proc.join(pid.to_string()).join("comm"));
        comm.map_or_else(|_| hidden.to_string(), |name| String::from_utf8_lossy(&name).trim().to_string())
    };
    others.into_iter().map(|(pid, memory_bytes)| Neighbour { pid, name: name(pid), memory_bytes }).collect()
}

/// Whether both lists have the same processes. Their memory is ignored, because it changes all the time.
pub fn same_processes(one: &[Neighbour], other: &[Neighbour]) -> bool {
    one.iter().map(|n| (n.pid, &n.name)).eq(other.iter().map(|n| (n.pid, &n.name)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn process(pid: u32, memory: u64) -> ProcessInfo {
        let used_gpu_memory = UsedGpuMemory::Used(memory);
        ProcessInfo { pid, used_gpu_memory, gpu_instance_id: None, compute_instance_id: None }
    }

    #[test]
    fn throttle_reasons_in_words() {
        assert!(throttle_reasons(0).is_empty());
        assert!(throttle_reasons(1).is_empty(), "idle is no throttling");
        assert_eq!(throttle_reasons(0x4 | 0x1), ["software power cap"]);
        assert_eq!(throttle_reasons(0x8 | 0x40), ["hardware slowdown", "hardware thermal slowdown"]);
        assert_eq!(throttle_reasons(1 << 20), ["unknown reason 0x100000"]);
        assert_eq!(throttle_reasons(u64::MAX).len(), 63);
    }

    #[test]
    fn own_processes_are_no_neighbours() {
        let proc = tempfile::tempdir().unwrap();
        fs::create_dir(proc.path().join("7")).unwrap();
        fs::write(proc.path().join("7/comm"), "blender\n").unwrap();
        let own = OwnProcesses { engine: Some(9), proc: proc.path() };
        let all = vec![process(7, 10), process(9, 1), process(process::id(), 1), process(7, 20)];
        let found = neighbours(all, &own);
        assert_eq!(found, [Neighbour { pid: 7, name: "blender".into(), memory_bytes: Some(20) }]);
    }

    #[test]
    fn a_hidden_process_may_be_the_engine_until_that_is_found() {
        let proc = tempfile::tempdir().unwrap();
        let name =
            |engine, processes| neighbours(processes, &OwnProcesses { engine, proc: proc.path() })[0].name.clone();
        assert_eq!(name(Some(9), vec![process(4242, 1)]), "not visible from here, perhaps our engine");
        assert_eq!(name(Some(9), vec![process(4242, 1), process(9, 1)]), "not visible from here");
        assert_eq!(name(None, vec![process(4242, 1)]), "not visible from here");
    }
}
