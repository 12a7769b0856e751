//! What the host says about itself: processor, memory, kernel, and what of them this process may use. Read from `/proc`; absent
//! where there is none. And where the user keeps such things as logs.

pub mod cgroup;
pub mod limits;

use cgroup::Cgroups;
use etcetera::base_strategy::{BaseStrategy, choose_base_strategy};
use limits::Limits;
use std::{fs, io, path::PathBuf, sync::LazyLock};

/// Memory that this process may use, bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HostMemory {
    /// Physical memory, or a limit below it.
    pub total: u64,
    /// What a new program could have without swapping and without reaching a limit.
    pub available: u64,
}

/// The user's state folder for wattscope: `$XDG_STATE_HOME/wattscope`, or else `~/.local/state/wattscope`.
///
/// # Errors
/// Where the user has no home.
pub fn state_folder() -> io::Result<PathBuf> {
    let strategy = choose_base_strategy().map_err(io::Error::other)?;
    Ok(strategy.state_dir().unwrap_or_else(|| strategy.data_dir()).join("wattscope"))
}

/// The user's cache folder for wattscope, made where it is missing: `$XDG_CACHE_HOME/wattscope`, or else `~/.cache/wattscope`.
/// What is in it can be made again. None where the user has no home, or the folder can't be made.
pub fn cache_folder() -> Option<PathBuf> {
    let folder = choose_base_strategy().ok()?.cache_dir().join("wattscope");
    fs::create_dir_all(&folder).ok()?;
    Some(folder)
}

/// The control groups of this process.
pub fn groups() -> &'static Cgroups {
    static OWN: LazyLock<Cgroups> = LazyLock::new(Cgroups::own);
    &OWN
}

/// Memory now; none where `/proc/meminfo` can't be read.
pub fn memory() -> Option<HostMemory> {
    let physical = physical_memory()?;
    let limit = limits().memory.map_or(u64::MAX, |limit| limit.to);
    let left = groups().memory_left().unwrap_or(u64::MAX);
    Some(HostMemory { total: physical.total.min(limit), available: physical.available.min(limit).min(left) })
}

/// Memory of the host, whatever of it this process may use.
pub fn physical_memory() -> Option<HostMemory> {
    parse_meminfo(&fs::read_to_string("/proc/meminfo").ok()?)
}

/// Processes that the kernel has killed because memory was out: of this process's control group, or else of the host.
pub fn killed_for_memory() -> Option<u64> {
    let of_host = || {
        let vmstat = fs::read_to_string("/proc/vmstat").ok()?;
        vmstat.lines().find_map(|line| line.strip_prefix("oom_kill ")?.trim().parse().ok())
    };
    match (groups().killed_for_memory(), of_host()) {
        (Some(group), Some(host)) => Some(group + host),
        (group, host) => group.or(host),
    }
}

/// What this process may use less of than the host has.
pub fn limits() -> Limits {
    // SAFETY: sysconf only reads its argument.
    let online = unsafe { libc::sysconf(libc::_SC_NPROCESSORS_ONLN) };
    Limits::now(groups(), physical_memory().map(|memory| memory.total), u32::try_from(online).unwrap_or(0))
}

fn parse_meminfo(text: &str) -> Option<HostMemory> {
    let field = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
        line.split_whitespace().next()?.parse::<u64>().ok()?.checked_mul(1024)
    };
    Some(HostMemory { total: field("MemTotal")?, available: field("MemAvailable")? })
}

/// The command line of this process; what is no UTF-8 of it is replaced.
pub fn command_line() -> Vec<String> {
    std::env::args_os().map(|argument| argument.to_string_lossy().into_owned()).collect()
}

/// Name of the processor, as it prints itself.
pub fn processor() -> String {
    let text = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = text.lines().find_map(|line| line.strip_prefix("model name")?.split_once(':'));
    let name = model.map_or(std::env::consts::ARCH, |(_, name)| name.trim());
    format!("{name} × {}", processors())
}

/// Largest cache of the first processor, bytes; none where `/sys` does not tell.
pub fn largest_cache() -> Option<u64> {
    let caches = fs::read_dir("/sys/devices/system/cpu/cpu0/cache").ok()?.flatten();
    let sizes = caches.filter_map(|cache| parse_size(&fs::read_to_string(cache.path().join("size")).ok()?));
    sizes.max()
}

/// `32768K` in bytes.
fn parse_size(text: &str) -> Option<u64> {
    let text = text.trim();
    let (number, scale) = match text.strip_suffix('K') {
        Some(number) => (number, 1 << 10),
        None => text.strip_suffix('M').map_or((text, 1), |number| (number, 1 << 20)),
    };
    number.parse::<u64>().ok()?.checked_mul(scale)
}

/// Version of NVIDIA's kernel driver; none where it is not loaded.
pub fn nvidia_driver() -> Option<String> {
    Some(fs::read_to_string("/sys/module/nvidia/version").ok()?.trim().to_owned())
}

/// Logical processors that this process may use.
pub fn processors() -> u32 {
    std::thread::available_parallelism().map_or(1, |n| u32::try_from(n.get()).unwrap_or(u32::MAX))
}

/// Name of the host.
pub fn name() -> String {
    let read = |path| fs::read_to_string(path).ok().map(|s| s.trim().to_owned());
    read("/proc/sys/kernel/hostname").unwrap_or_else(|| "unknown".to_owned())
}

/// Operating system and kernel.
pub fn system() -> String {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    format!("{} {}", std::env::consts::OS, release.trim()).trim_end().to_owned()
}

/// Resident set of a process, bytes; none where it is gone.
pub fn resident(pid: u32) -> Option<u64> {
    let statm = fs::read_to_string(format!("/proc/{pid}/statm")).ok()?;
    let pages: u64 = statm.split_whitespace().nth(1)?.parse().ok()?;
    // SAFETY: sysconf only reads its argument.
    let page = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    pages.checked_mul(u64::try_from(page).ok()?)
}

/// Gives memory that this process has freed back to the system. glibc keeps even large blocks once it has seen some of
/// them freed: the resident set would be that of the largest network so far.
pub fn give_back_freed() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: it touches free memory only, under the allocator's own locks.
    unsafe {
        libc::malloc_trim(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn meminfo_is_in_kibibytes() {
        let text = "MemTotal:       16 kB\nMemFree: 1 kB\nMemAvailable:   8 kB\n";
        assert_eq!(parse_meminfo(text), Some(HostMemory { total: 16384, available: 8192 }));
        assert_eq!(parse_meminfo("MemTotal: x kB"), None);
    }

    #[test]
    fn cache_sizes_have_units() {
        assert_eq!(["32768K\n", "96M", "512"].map(parse_size), [Some(32 << 20), Some(96 << 20), Some(512)]);
        assert_eq!(parse_size("large"), None);
    }

    #[test]
    fn this_process_has_a_resident_set() {
        assert!(resident(std::process::id()).is_some_and(|bytes| bytes > 100_000));
        assert_eq!(resident(u32::MAX), None);
    }
}
