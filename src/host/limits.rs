//! What this process may use of the host, and what says so: control groups, the affinity, `ulimit`.

use super::cgroup::Cgroups;
use crate::format;
use std::fmt;

/// What this process may use less of than the host has.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Limits {
    /// Memory, where that is limited.
    pub memory: Option<Limited<u64>>,
    /// Processors' worth of time, where that is limited.
    pub cpus: Option<Limited<f64>>,
}

/// A limit, and what says so.
#[derive(Clone, Debug, PartialEq)]
pub struct Limited<T> {
    /// How much.
    pub to: T,
    /// `memory.max of the control group`.
    pub by: String,
}

impl Limits {
    /// Those in force now, on a host with so much memory and so many processors.
    pub fn now(groups: &Cgroups, memory: Option<u64>, processors: u32) -> Self {
        let quota = groups.cpu_quota().map(|quota| Limited { to: quota.cpus, by: of_group(quota.file) });
        let affinity = affinity().map(|cpus| Limited { to: f64::from(cpus), by: "the affinity".to_owned() });
        let cpus = [affinity, quota].into_iter().flatten().filter(|limit| limit.to < f64::from(processors));
        let limit = groups.memory_limit().map(|limit| Limited { to: limit.bytes, by: of_group(limit.file) });
        let memories = limit.into_iter().chain(ulimits()).filter(|limit| memory.is_none_or(|all| limit.to < all));
        Self { memory: memories.min_by_key(|limit| limit.to), cpus: cpus.min_by(|a, b| a.to.total_cmp(&b.to)) }
    }
}

impl Limits {
    /// Each limit in words.
    pub fn in_words(&self) -> Vec<String> {
        let memory = self.memory.as_ref().map(|limit| format!("memory: {} by {}", format::bytes(limit.to), limit.by));
        let cpus = self.cpus.as_ref().map(|limit| format!("processors: {limit}"));
        memory.into_iter().chain(cpus).collect()
    }
}

impl<T: fmt::Display> fmt::Display for Limited<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} by {}", self.to, self.by)
    }
}

fn of_group(file: &str) -> String {
    format!("{file} of the control group")
}

/// Limits of the shell: of the address space, and of the data segment.
fn ulimits() -> impl Iterator<Item = Limited<u64>> {
    [(libc::RLIMIT_AS, "ulimit -v"), (libc::RLIMIT_DATA, "ulimit -d")].into_iter().filter_map(|(resource, by)| {
        let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
        // SAFETY: getrlimit fills the struct, which outlives the call.
        let got = unsafe { libc::getrlimit(resource, &mut limit) } == 0;
        let limited = got && limit.rlim_cur != libc::RLIM_INFINITY;
        limited.then(|| Limited { to: limit.rlim_cur, by: by.to_owned() })
    })
}

/// Processors that this process may run on; none where the system does not tell.
#[cfg(target_os = "linux")]
fn affinity() -> Option<u32> {
    // SAFETY: an all-zero set is a valid set, and the call fills at most its size.
    let set = unsafe {
        let mut set: libc::cpu_set_t = std::mem::zeroed();
        (libc::sched_getaffinity(0, size_of::<libc::cpu_set_t>(), &mut set) == 0).then_some(set)
    }?;
    // SAFETY: it only counts the bits of the set.
    u32::try_from(unsafe { libc::CPU_COUNT(&set) }).ok().filter(|count| *count > 0)
}

#[cfg(not(target_os = "linux"))]
const fn affinity() -> Option<u32> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_below_what_the_host_has_is_said_with_its_reason() {
        let none = Limits::now(&Cgroups::default(), None, 0);
        assert_eq!(none.cpus, None, "no limit is below nothing");
        let few = Limits::now(&Cgroups::default(), None, u32::MAX).cpus.unwrap();
        assert_eq!(few.to_string(), format!("{} by the affinity", few.to));
        let memory = Some(Limited { to: 400 << 20, by: of_group("memory.max") });
        let limits = Limits { memory, cpus: Some(Limited { to: 1.5, by: of_group("cpu.max") }) };
        assert_eq!(
            limits.in_words(),
            ["memory: 400 MiB by memory.max of the control group", "processors: 1.5 by cpu.max of the control group"]
        );
    }
}
