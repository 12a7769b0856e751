//! The control groups that this process is in, versions 1 and 2: what they limit, and what they count.
//!
//! A limit of any group from the process's own up to the root holds. Groups above the root of a container can't be seen; of
//! memory version 1 tells their limit all the same.
//!
//! | | version 2 | version 1 |
//! |---|---|---|
//! | limit of memory | `memory.max`, `memory.high` | `memory.limit_in_bytes`, `memory.stat` |
//! | memory in use | `memory.current`, `memory.stat` | `memory.usage_in_bytes`, `memory.stat` |
//! | processes killed for memory | `memory.events` | `memory.oom_control` |
//! | limit of processor time | `cpu.max` | `cpu.cfs_quota_us`, `cpu.cfs_period_us` |
//! | periods in which it ran out | `cpu.stat` | `cpu.stat` |

use std::{
    fs,
    path::{Path, PathBuf},
};

/// From here on version 1 means no limit: the largest multiple of a page that is an i64.
const UNLIMITED: u64 = 1 << 62;

/// The groups of a process, from its own to the root that can be seen.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cgroups {
    memory: Vec<Group>,
    cpu: Vec<Group>,
}

/// A group's directory.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Group {
    version: Version,
    path: PathBuf,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Version {
    One,
    Two,
}

/// A limit of memory, and the file that says so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemoryLimit {
    /// Bytes.
    pub bytes: u64,
    /// `memory.max`.
    pub file: &'static str,
}

/// A limit of processor time, and the file that says so.
#[derive(Clone, Debug, PartialEq)]
pub struct CpuQuota {
    /// Processors' worth of time.
    pub cpus: f64,
    /// `cpu.max`.
    pub file: &'static str,
}

/// Periods of a limit of processor time since some moment in the past.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Periods {
    /// In which something ran.
    pub all: u64,
    /// In which the time ran out before the period did.
    pub throttled: u64,
}

impl Cgroups {
    /// Those of this process.
    pub fn own() -> Self {
        Self::find(Path::new("/proc"))
    }

    /// Those that a procfs says this process is in; none where it says nothing.
    pub fn find(proc: &Path) -> Self {
        let read = |name: &str| fs::read_to_string(proc.join("self").join(name)).unwrap_or_default();
        let (groups, mounts) = (read("cgroup"), read("mountinfo"));
        let of = |controller: &str| {
            let one = hierarchy(&groups, &mounts, Some(controller));
            one.or_else(|| hierarchy(&groups, &mounts, None)).unwrap_or_default()
        };
        Self { memory: of("memory"), cpu: of("cpu") }
    }

    /// The least limit of memory.
    pub fn memory_limit(&self) -> Option<MemoryLimit> {
        self.memory.iter().flat_map(Group::memory_limits).min_by_key(|limit| limit.bytes)
    }

    /// What could still be used under every limit of memory, bytes: what files are cached in is given back where it is needed.
    pub fn memory_left(&self) -> Option<u64> {
        let left = |group: &Group| {
            let limit = group.memory_limits().map(|limit| limit.bytes).min()?;
            Some(limit.saturating_sub(group.memory_in_use().unwrap_or(0)))
        };
        self.memory.iter().filter_map(left).min()
    }

    /// Processes of the process's own group that were killed since it exists because memory was out.
    pub fn killed_for_memory(&self) -> Option<u64> {
        let group = self.memory.first()?;
        group.count(
            "oom_kill",
            match group.version {
                Version::One => "memory.oom_control",
                Version::Two => "memory.events",
            },
        )
    }

    /// The least limit of processor time.
    pub fn cpu_quota(&self) -> Option<CpuQuota> {
        self.cpu.iter().filter_map(Group::cpu_quota).min_by(|a, b| a.cpus.total_cmp(&b.cpus))
    }

    /// The periods of the limit of processor time that ran out most often; none where there is no limit.
    pub fn cpu_periods(&self) -> Option<Periods> {
        let limited = self.cpu.iter().filter(|group| group.cpu_quota().is_some());
        let periods = |group: &Group| {
            let count = |name| group.count(name, "cpu.stat");
            Some(Periods { all: count("nr_periods")?, throttled: count("nr_throttled")? })
        };
        limited.filter_map(periods).max_by_key(|periods| periods.throttled)
    }
}

/// The groups of a process in the hierarchy of a controller of version 1, or in that of version 2: from its own up to the
/// mount's root. None where there is no such hierarchy.
fn hierarchy(groups: &str, mounts: &str, controller: Option<&str>) -> Option<Vec<Group>> {
    // `4:memory:/docker/abc`, `0::/user.slice`
    let own = groups.lines().find_map(|line| {
        let mut fields = line.splitn(3, ':').skip(1);
        let controllers = fields.next()?;
        let path = fields.next()?;
        let ours = match controller {
            Some(controller) => controllers.split(',').any(|name| name == controller),
            None => controllers.is_empty(),
        };
        ours.then_some(path)
    })?;
    let (version, mount) = mounts.lines().find_map(|line| mounted(line, controller))?;
    // A group outside of what is mounted can't be seen: what is mounted is the nearest to it.
    let below = Path::new(own).strip_prefix(&mount.root).unwrap_or(Path::new(""));
    let inside = below.components().all(|part| matches!(part, std::path::Component::Normal(_)));
    let own = if inside { mount.point.join(below) } else { mount.point.clone() };
    let upwards = own.ancestors().take_while(|path| path.starts_with(&mount.point));
    Some(upwards.map(|path| Group { version, path: path.to_owned() }).collect())
}

/// Where a part of a hierarchy is mounted.
struct Mount {
    /// The group that the mount shows as its root.
    root: PathBuf,
    point: PathBuf,
}

/// Reads a line of `mountinfo`, if it is the mount of a hierarchy:
/// `35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory`.
fn mounted(line: &str, controller: Option<&str>) -> Option<(Version, Mount)> {
    let (place, kind) = line.split_once(" - ")?;
    let mut place = place.split(' ').skip(3);
    let mount = Mount { root: unescaped(place.next()?), point: unescaped(place.next()?) };
    let mut kind = kind.split(' ');
    let (system, options) = (kind.next()?, kind.nth(1)?);
    match (system, controller) {
        ("cgroup", Some(controller)) if options.split(',').any(|option| option == controller) => {
            Some((Version::One, mount))
        }
        ("cgroup2", None) => Some((Version::Two, mount)),
        _ => None,
    }
}

/// A path as `mountinfo` writes it: a space is `\040`.
fn unescaped(path: &str) -> PathBuf {
    let mut bytes = Vec::with_capacity(path.len());
    let mut rest = path.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let digits =
            after.get(..3).filter(|digits| *first == b'\\' && digits.iter().all(|d| (b'0'..=b'7').contains(d)));
        let octal = digits.map(|digits| digits.iter().fold(0_u32, |value, digit| value * 8 + u32::from(digit - b'0')));
        match octal.and_then(|value| u8::try_from(value).ok()) {
            Some(byte) => (bytes.push(byte), rest = &after[3..]).1,
            None => (bytes.push(*first), rest = after).1,
        }
    }
    use std::os::unix::ffi::OsStringExt;
    std::ffi::OsString::from_vec(bytes).into()
}

impl Group {
    fn read(&self, file: &str) -> Option<String> {
        fs::read_to_string(self.path.join(file)).ok()
    }

    fn number(&self, file: &str) -> Option<u64> {
        self.read(file)?.trim().parse().ok()
    }

    /// The number behind a name in a file of lines of both.
    fn count(&self, name: &str, file: &str) -> Option<u64> {
        let text = self.read(file)?;
        let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        value?.trim().parse().ok()
    }

    fn memory_limits(&self) -> impl Iterator<Item = MemoryLimit> {
        let file = |file| Some(MemoryLimit { bytes: self.number(file)?, file });
        let limits = match self.version {
            Version::Two => [file("memory.max"), file("memory.high")],
            Version::One => {
                // The least of this group and of those above, also of those that can't be seen.
                let above = self.count("hierarchical_memory_limit", "memory.stat");
                let above = above.map(|bytes| MemoryLimit { bytes, file: "memory.limit_in_bytes" });
                [file("memory.limit_in_bytes"), above]
            }
        };
        limits.into_iter().flatten().filter(|limit| limit.bytes < UNLIMITED)
    }

    fn memory_in_use(&self) -> Option<u64> {
        let (used, cached) = match self.version {
            Version::Two => (self.number("memory.current")?, self.count("inactive_file", "memory.stat")),
            Version::One => (self.number("memory.usage_in_bytes")?, self.count("total_inactive_file", "memory.stat")),
        };
        Some(used.saturating_sub(cached.unwrap_or(0)))
    }

    fn cpu_quota(&self) -> Option<CpuQuota> {
        let (quota, period, file) = match self.version {
            Version::Two => {
                let text = self.read("cpu.max")?;
                let (quota, period) = text.trim().split_once(' ')?;
                // `max` is no number: no limit.
                (quota.parse::<u64>().ok()?, period.parse::<u64>().ok()?, "cpu.max")
            }
            // −1 is no u64: no limit.
            Version::One => (self.number("cpu.cfs_quota_us")?, self.number("cpu.cfs_period_us")?, "cpu.cfs_quota_us"),
        };
        (period > 0).then(|| CpuQuota { cpus: quota as f64 / period as f64, file })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tempfile::TempDir;

    /// A procfs and a file system of control groups of a process in the group `/outer/inner`.
    struct Tree(TempDir);

    impl Tree {
        fn new(groups: &str, mounts: &[(&str, &str, &str)]) -> Self {
            let tree = Self(tempfile::tempdir().unwrap());
            tree.write("proc/self/cgroup", groups);
            let root = tree.0.path().display().to_string().replace(' ', "\\040");
            let mount = |(root_of_mount, point, kind): &(&str, &str, &str)| {
                format!("30 23 0:28 {root_of_mount} {root}/{point} rw,relatime shared:9 - {kind}\n")
            };
            let other = "31 23 0:29 / /sys/fs/cgroup rw - tmpfs tmpfs rw,mode=755\n".to_owned();
            tree.write("proc/self/mountinfo", &(other + &mounts.iter().map(mount).collect::<String>()));
            tree
        }

        fn write(&self, path: &str, text: &str) {
            let path = self.0.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }

        fn groups(&self) -> Cgroups {
            Cgroups::find(&self.0.path().join("proc"))
        }
    }

    #[test]
    fn of_version_2_the_least_limit_on_the_way_up_holds() {
        let tree = Tree::new("0::/outer/inner\n", &[("/", "cg", "cgroup2 cgroup2 rw,nsdelegate")]);
        assert_eq!(tree.groups().memory_limit(), None, "no files, no limits");
        tree.write("cg/outer/inner/memory.max", "max\n");
        tree.write("cg/outer/inner/memory.high", "900000000\n");
        tree.write("cg/outer/inner/memory.current", "100000000\n");
        tree.write("cg/outer/memory.max", "400000000\n");
        tree.write("cg/outer/memory.current", "350000000\n");
        tree.write("cg/outer/memory.stat", "anon 5\ninactive_file 50000000\nactive_file 7\n");
        tree.write("cg/outer/inner/memory.events", "low 0\nhigh 2\nmax 9\noom 1\noom_kill 3\n");
        tree.write("cg/outer/inner/cpu.max", "150000 100000\n");
        tree.write("cg/outer/inner/cpu.stat", "usage_usec 9\nnr_periods 100\nnr_throttled 40\nthrottled_usec 1\n");
        tree.write("cg/outer/cpu.max", "max 100000\n");
        tree.write("cg/outer/cpu.stat", "nr_periods 100\nnr_throttled 90\n");
        let groups = tree.groups();
        assert_eq!(groups.memory_limit(), Some(MemoryLimit { bytes: 400_000_000, file: "memory.max" }));
        assert_eq!(groups.memory_left(), Some(100_000_000), "cached files are given back");
        assert_eq!(groups.killed_for_memory(), Some(3));
        assert_eq!(groups.cpu_quota(), Some(CpuQuota { cpus: 1.5, file: "cpu.max" }));
        assert_eq!(groups.cpu_periods(), Some(Periods { all: 100, throttled: 40 }), "of groups with a limit");
        tree.write("cg/outer/inner/memory.high", "300000000\n");
        assert_eq!(groups.memory_limit(), Some(MemoryLimit { bytes: 300_000_000, file: "memory.high" }));
    }

    #[test]
    fn of_version_1_each_controller_has_a_hierarchy_and_unseen_groups_count() {
        let groups = "5:memory:/docker/abc\n4:cpu,cpuacct:/docker/abc\n1:name=systemd:/\n0::/\n";
        let mounts = [
            ("/docker/abc", "mem ory", "cgroup cgroup rw,memory"),
            ("/", "cpu", "cgroup cgroup rw,cpu,cpuacct"),
            ("/", "unified", "cgroup2 cgroup2 rw"),
        ];
        let tree = Tree::new(groups, &mounts);
        // A space in the name of a folder is written in octal.
        let mountinfo = fs::read_to_string(tree.0.path().join("proc/self/mountinfo")).unwrap();
        tree.write("proc/self/mountinfo", &mountinfo.replace("mem ory", "mem\\040ory"));
        tree.write("mem ory/memory.limit_in_bytes", "9223372036854771712\n");
        tree.write("mem ory/memory.usage_in_bytes", "300\n");
        tree.write("mem ory/memory.stat", "cache 1\nhierarchical_memory_limit 1000\ntotal_inactive_file 100\n");
        tree.write("mem ory/memory.oom_control", "oom_kill_disable 0\nunder_oom 0\noom_kill 7\n");
        tree.write("cpu/docker/abc/cpu.cfs_quota_us", "-1\n");
        tree.write("cpu/docker/abc/cpu.cfs_period_us", "100000\n");
        tree.write("cpu/docker/cpu.cfs_quota_us", "50000\n");
        tree.write("cpu/docker/cpu.cfs_period_us", "100000\n");
        tree.write("cpu/docker/cpu.stat", "nr_periods 10\nnr_throttled 5\nthrottled_time 123\n");
        let groups = tree.groups();
        assert_eq!(groups.memory_limit(), Some(MemoryLimit { bytes: 1000, file: "memory.limit_in_bytes" }));
        assert_eq!(groups.memory_left(), Some(800));
        assert_eq!(groups.killed_for_memory(), Some(7));
        assert_eq!(groups.cpu_quota(), Some(CpuQuota { cpus: 0.5, file: "cpu.cfs_quota_us" }));
        assert_eq!(groups.cpu_periods(), Some(Periods { all: 10, throttled: 5 }));
    }

    #[test]
    fn a_group_outside_of_what_is_mounted_is_that_of_the_mount() {
        let tree = Tree::new("0::/../sibling\n", &[("/", "cg", "cgroup2 cgroup2 rw")]);
        tree.write("cg/memory.max", "12345678\n");
        tree.write("sibling/memory.max", "1\n");
        assert_eq!(tree.groups().memory_limit(), Some(MemoryLimit { bytes: 12_345_678, file: "memory.max" }));
        assert_eq!(Cgroups::find(Path::new("/nowhere")), Cgroups::default());
    }

    #[test]
    fn damaged_files_are_no_limits() {
        let tree = Tree::new("0::/\n", &[("/", "cg", "cgroup2 cgroup2 rw")]);
        for (file, text) in [("memory.max", "-5"), ("cpu.max", "100000"), ("cpu.max", "1 0"), ("memory.high", "")] {
            tree.write(&format!("cg/{file}"), text);
            let groups = tree.groups();
            assert_eq!((groups.memory_limit(), groups.cpu_quota()), (None, None), "{file}: {text}");
        }
    }
}
