//! Utilisation of processors and memory by the host and by the engine, from procfs.
//!
//! | file | what |
//! |---|---|
//! | `/proc/stat` | time of all processors by kind, ticks of 1/100 s |
//! | `/proc/meminfo` | memory, KiB |
//! | `/proc/<engine>/stat` | processor time of the engine, ticks; resident set, pages |
//! | `cpu.stat` of the control group | periods of a limit of processor time, and how many of them it ran out in |

use super::{
    builder::SensorBuilder,
    files::{FileError, PolledFile},
    options::{EnginePid, Options},
    source::{Opened, Source},
    writer::SensorWriter,
};
use crate::{
    event::{Quantity, SensorId},
    host::cgroup::{Cgroups, Periods},
};
use std::{path::PathBuf, time::Duration};

/// The kernel counts processor time in steps of 10 ms: over a shorter period a share would be mostly rounding.
const MIN_PERIOD: Duration = Duration::from_millis(250);

/// The host source.
pub struct Host {
    proc: PathBuf,
    engine: EnginePid,
    stat: PolledFile,
    meminfo: PolledFile,
    page_bytes: f64,
    before: Option<Processors>,
    groups: Cgroups,
    periods: Option<Periods>,
    /// Whether processor time was said to run out.
    throttled: Option<bool>,
    engine_process: Option<EngineProcess>,
    ids: Option<Ids>,
}

struct Ids {
    busy: SensorId,
    engine_busy: SensorId,
    engine_memory: SensorId,
    memory: Option<(SensorId, SensorId)>,
    throttled: Option<SensorId>,
}

/// An engine process, with its processor time and that of all processors at the last reading.
struct EngineProcess {
    pid: u32,
    stat: PolledFile,
    before: Option<(u64, u64)>,
}

/// Time of all processors together, in ticks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Processors {
    busy: u64,
    all: u64,
}

/// Usage of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Process {
    ticks: u64,
    resident_pages: u64,
}

impl Host {
    /// Looks under the procfs of `options`.
    pub fn new(options: &Options) -> Self {
        Self {
            stat: PolledFile::new(options.proc.join("stat")),
            meminfo: PolledFile::new(options.proc.join("meminfo")),
            proc: options.proc.clone(),
            engine: options.engine.clone(),
            page_bytes: page_bytes(),
            before: None,
            groups: Cgroups::find(&options.proc),
            periods: None,
            throttled: None,
            engine_process: None,
            ids: None,
        }
    }

    fn processors(&mut self) -> Result<Processors, FileError> {
        let parsed = processors(&self.stat.text()?);
        parsed.ok_or_else(|| self.stat.unexpected("the times of processors"))
    }

    fn memory(&mut self) -> Result<(u64, u64), FileError> {
        let parsed = memory(&self.meminfo.text()?);
        parsed.ok_or_else(|| self.meminfo.unexpected("MemTotal and MemAvailable"))
    }

    /// Reads the processors, and the engine's share of them over the same interval.
    fn read_processors(&mut self, ids: &Ids, out: &mut SensorWriter) {
        let engine = self.read_engine();
        if let Some(engine) = engine {
            out.write(ids.engine_memory, engine.resident_pages as f64 * self.page_bytes);
        }
        let now = match self.processors() {
            Ok(now) => now,
            Err(error) => {
                out.fail(ids.busy, error.to_string());
                return out.fail(ids.engine_busy, error.to_string());
            }
        };
        if let Some(share) = self.before.replace(now).and_then(|before| now.share_since(before)) {
            out.write(ids.busy, share);
        }
        let Some((process, engine)) = self.engine_process.as_mut().zip(engine) else { return };
        if let Some((ticks, all)) = process.before.replace((engine.ticks, now.all))
            && let Some(share) = share(engine.ticks.saturating_sub(ticks), now.all.saturating_sub(all))
        {
            out.write(ids.engine_busy, share);
        }
    }

    /// Reads how often the limit of processor time ran out since the last reading. The engine is in the same control groups.
    fn read_throttling(&mut self, id: SensorId, out: &mut SensorWriter) {
        let Some(now) = self.groups.cpu_periods() else { return };
        let Some(before) = self.periods.replace(now) else { return };
        let throttled = now.throttled.saturating_sub(before.throttled);
        let Some(percent) = share(throttled, now.all.saturating_sub(before.all)) else { return };
        out.write(id, percent);
        if self.throttled.replace(throttled > 0) != Some(throttled > 0) {
            let reason = || "the control group's processor time ran out".to_owned();
            out.throttle("cpu", (throttled > 0).then(reason).into_iter().collect());
        }
    }

    /// Usage of the current engine; none if there is none or it has just exited.
    fn read_engine(&mut self) -> Option<Process> {
        let pid = self.engine.get()?;
        if self.engine_process.as_ref().is_none_or(|known| known.pid != pid) {
            let stat = PolledFile::new(self.proc.join(pid.to_string()).join("stat"));
            self.engine_process = Some(EngineProcess { pid, stat, before: None });
        }
        process(&self.engine_process.as_mut()?.stat.text().ok()?)
    }
}

impl Source for Host {
    fn name(&self) -> &'static str {
        "host"
    }

    fn period(&self, asked: Duration) -> Duration {
        asked.max(MIN_PERIOD)
    }

    fn open(&mut self, out: &mut SensorWriter) -> Opened {
        let period = out.period().as_millis();
        let share = format!("share of processor time over {period} ms");
        let busy = SensorBuilder::new("cpu", Quantity::Utilisation, "all processors").method(&share);
        let engine_busy =
            SensorBuilder::new("cpu", Quantity::EngineUtilisation, "engine").method(share + ", of all processors");
        let engine_memory = SensorBuilder::new("host", Quantity::EngineMemory, "engine, resident set");
        let used = SensorBuilder::new("host", Quantity::MemoryUsed, "host memory").method("total less available");
        let total = SensorBuilder::new("host", Quantity::MemoryTotal, "host memory");

        if let Err(error) = self.processors() {
            for sensor in [busy, engine_busy, engine_memory, used, total] {
                out.register_absent(sensor, reason(&error));
            }
            return Opened::Nothing;
        }
        let memory = match self.memory() {
            Ok(_) => Some((out.register(used), out.register(total))),
            Err(error) => {
                out.register_absent(used, reason(&error));
                out.register_absent(total, reason(&error));
                None
            }
        };
        let throttled = self.groups.cpu_quota().map(|quota| {
            let method =
                format!("share of the periods in which {} of {:.2} processors ran out", quota.file, quota.cpus);
            out.register(SensorBuilder::new("cpu", Quantity::CpuThrottled, "control group").method(method))
        });
        let (busy, engine_busy) = (out.register(busy), out.register(engine_busy));
        self.ids = Some(Ids { busy, engine_busy, engine_memory: out.register(engine_memory), memory, throttled });
        Opened::Sampling
    }

    fn restart(&mut self) {
        (self.before, self.engine_process) = (None, None);
    }

    fn sample(&mut self, out: &mut SensorWriter) {
        let Some(ids) = self.ids.take() else { return };
        out.sample(|out| {
            self.read_processors(&ids, out);
            if let Some(id) = ids.throttled {
                self.read_throttling(id, out);
            }
            if let Some((used, total)) = ids.memory {
                match self.memory() {
                    Ok((all, available)) => {
                        out.write(used, all.saturating_sub(available) as f64);
                        out.write(total, all as f64);
                    }
                    Err(error) => {
                        out.fail(used, error.to_string());
                        out.fail(total, error.to_string());
                    }
                }
            }
        });
        self.ids = Some(ids);
    }
}

/// Bytes of a memory page, the unit of resident sets.
fn page_bytes() -> f64 {
    // SAFETY: sysconf takes no pointers; an unknown name gives -1.
    let page = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    if page > 0 { page as f64 } else { 4096.0 }
}

impl Processors {
    /// Busy share of the time since `before`, per cent.
    fn share_since(self, before: Self) -> Option<f64> {
        share(self.busy.saturating_sub(before.busy), self.all.saturating_sub(before.all))
    }
}

/// Share in per cent, at most 100: the kernel rounds the two counts separately.
fn share(part: u64, all: u64) -> Option<f64> {
    (all > 0).then(|| (100.0 * part as f64 / all as f64).min(100.0))
}

/// Parses the first line of `/proc/stat`: `cpu user nice system idle iowait irq softirq steal guest guest_nice`.
///
/// `user` and `nice` include guests. Time stolen by a hypervisor is neither busy nor idle, but part of the total, because the
/// host could not use it.
fn processors(text: &str) -> Option<Processors> {
    let line = text.lines().next()?.strip_prefix("cpu ")?;
    let ticks: Vec<u64> = line.split_ascii_whitespace().take(8).map_while(|field| field.parse().ok()).collect();
    let [user, nice, system, idle, rest @ ..] = &ticks[..] else { return None };
    let of = |field: usize| rest.get(field).copied().unwrap_or(0);
    let busy = [*user, *nice, *system, of(1), of(2)].iter().fold(0, |sum: u64, ticks| sum.saturating_add(*ticks));
    let all = [busy, *idle, of(0), of(3)].iter().fold(0, |sum: u64, ticks| sum.saturating_add(*ticks));
    Some(Processors { busy, all })
}

/// Parses `/proc/<pid>/stat`. The name in parentheses may contain spaces and parentheses: the fields follow the last one.
fn process(text: &str) -> Option<Process> {
    let (_, fields) = text.rsplit_once(')')?;
    let fields: Vec<&str> = fields.split_ascii_whitespace().collect();
    // Numbers of proc(5), where the first field after the name is 3: utime is 14, stime 15, rss 24.
    let field = |number: usize| fields.get(number - 3)?.parse::<u64>().ok();
    Some(Process { ticks: field(14)?.saturating_add(field(15)?), resident_pages: field(24)? })
}

/// Parses `/proc/meminfo`: total and available memory, bytes.
fn memory(text: &str) -> Option<(u64, u64)> {
    let of = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
        line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
    };
    Some((of("MemTotal")?, of("MemAvailable")?))
}

fn reason(error: &FileError) -> String {
    match error {
        FileError::Missing(_) if !cfg!(target_os = "linux") => {
            format!("{} has no /proc, from which they are read", std::env::consts::OS)
        }
        _ => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::testing::Harness;
    use proptest::prelude::*;
    use std::{fs, path::Path};

    const STAT: &str = "cpu  100 10 40 800 50 5 5 20 0 0\ncpu0 100 10 40 800 50 5 5 20 0 0\nintr 1 2 3\n";
    const MEMINFO: &str = "MemTotal:       16384 kB\nMemFree:         1024 kB\nMemAvailable:    4096 kB\n";

    fn stat_of(utime: u64, stime: u64, rss: u64) -> String {
        format!(
            "7 (a (b) c) R 1 7 7 0 -1 4194304 1 0 0 0 {utime} {stime} 0 0 20 0 9 0 5 999 {rss} 18446744073709551615 1\n"
        )
    }

    #[test]
    fn parses_what_the_kernel_writes() {
        assert_eq!(processors(STAT), Some(Processors { busy: 160, all: 1030 }));
        assert_eq!(process(&stat_of(30, 12, 77)), Some(Process { ticks: 42, resident_pages: 77 }));
        assert_eq!(memory(MEMINFO), Some((16384 * 1024, 4096 * 1024)));
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn parses_what_this_kernel_writes() {
        let read = |path: &str| fs::read_to_string(Path::new("/proc").join(path)).unwrap();
        assert!(processors(&read("stat")).unwrap().all > 0);
        assert!(process(&read("self/stat")).unwrap().resident_pages > 0);
        let (total, available) = memory(&read("meminfo")).unwrap();
        assert!(available <= total && total > 0);
    }

    /// Writes a file below a folder.
    fn put(folder: &Path, name: &str, text: &str) {
        let path = folder.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    #[test]
    fn shares_of_host_and_engine() {
        let dir = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| put(dir.path(), name, text);
        write("stat", STAT);
        write("meminfo", MEMINFO);
        write("7/stat", &stat_of(10, 0, 100));
        let engine = EnginePid::default();
        let options = Options { proc: dir.path().into(), engine: engine.clone(), ..Options::default() };
        let mut harness = Harness::new(Host::new(&options));
        assert_eq!(harness.open(), Opened::Sampling);
        harness.sample();
        assert_eq!(harness.value("cpu", Quantity::Utilisation), None, "one reading has no share");
        assert_eq!(harness.value("host", Quantity::EngineMemory), None, "no engine yet");
        assert_eq!(harness.value("host", Quantity::MemoryUsed), Some(12.0 * 1024.0 * 1024.0));

        engine.set(Some(7));
        harness.sample();
        write("stat", "cpu  160 10 60 820 50 5 5 20 0 0\n");
        write("7/stat", &stat_of(30, 5, 100));
        harness.sample();
        assert_eq!(harness.value("cpu", Quantity::Utilisation), Some(80.0));
        assert_eq!(harness.value("cpu", Quantity::EngineUtilisation), Some(25.0));
        let resident = harness.value("host", Quantity::EngineMemory).unwrap();
        assert_eq!(resident, 100.0 * page_bytes());

        // A new engine has a count of its own: there is no share from the difference of two processes.
        let samples = harness.seen.len();
        write("8/stat", &stat_of(500, 5, 100));
        engine.set(Some(8));
        harness.sample();
        let shares = harness.present(Quantity::EngineUtilisation).next().unwrap().id;
        for event in &harness.seen[samples..] {
            if let crate::event::Body::Samples { values } = &event.body {
                assert!(values.iter().all(|(id, _)| *id != shares));
            }
        }
    }

    #[test]
    fn a_limit_of_processor_time_says_how_often_it_ran_out() {
        let dir = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| put(dir.path(), name, text);
        write("stat", STAT);
        write("meminfo", MEMINFO);
        let groups = dir.path().join("groups");
        write("self/cgroup", "0::/\n");
        write("self/mountinfo", &format!("30 23 0:28 / {} rw - cgroup2 cgroup2 rw\n", groups.display()));
        write("groups/cpu.max", "150000 100000\n");
        write("groups/cpu.stat", "nr_periods 10\nnr_throttled 1\n");
        let mut harness = Harness::new(Host::new(&Options { proc: dir.path().into(), ..Options::default() }));
        harness.open();
        harness.sample();
        assert_eq!(harness.value("cpu", Quantity::CpuThrottled), None, "one reading has no share");
        let throttled = |harness: &Harness<Host>| {
            let reasons = |event: &crate::event::Event| match &event.body {
                crate::event::Body::Throttle { device, reasons } if device == "cpu" => Some(reasons.len()),
                _ => None,
            };
            harness.seen.iter().filter_map(reasons).collect::<Vec<_>>()
        };
        write("groups/cpu.stat", "nr_periods 20\nnr_throttled 5\n");
        harness.sample();
        assert_eq!(harness.value("cpu", Quantity::CpuThrottled), Some(40.0));
        write("groups/cpu.stat", "nr_periods 30\nnr_throttled 6\n");
        harness.sample();
        write("groups/cpu.stat", "nr_periods 40\nnr_throttled 6\n");
        harness.sample();
        assert_eq!(harness.value("cpu", Quantity::CpuThrottled), Some(0.0));
        assert_eq!(throttled(&harness), [1, 0], "said when it changes");
    }

    #[test]
    fn without_procfs_everything_is_absent() {
        let dir = tempfile::tempdir().unwrap();
        let mut harness = Harness::new(Host::new(&Options { proc: dir.path().into(), ..Options::default() }));
        assert_eq!(harness.open(), Opened::Nothing);
        assert_eq!(harness.absent(Quantity::Utilisation).len(), 1);
        assert_eq!(harness.absent(Quantity::EngineMemory).len(), 1);
    }

    /// A measurement: `cargo test --release cost_of_a_tick -- --ignored --nocapture` prints the duration of a tick.
    #[test]
    #[ignore = "a measurement"]
    fn cost_of_a_tick() {
        let engine = EnginePid::default();
        engine.set(Some(std::process::id()));
        let mut harness = Harness::new(Host::new(&Options { engine, ..Options::default() }));
        harness.open();
        let begin = std::time::Instant::now();
        for _ in 0..1000 {
            harness.sample();
        }
        println!("{:?} a tick", begin.elapsed() / 1000);
    }

    proptest! {
        #[test]
        fn parsers_never_panic(text in any::<String>()) {
            let _ = (processors(&text), process(&text), memory(&text));
        }

        #[test]
        fn parsers_never_panic_on_nearly_right_text(
            fields in prop::collection::vec(prop_oneof!["[0-9]{1,25}", "-?[a-z]{0,3}"], 0..60),
        ) {
            let fields = fields.join(" ");
            let _ = processors(&format!("cpu {fields}"));
            let _ = process(&format!("1 (x) {fields}"));
            let _ = memory(&format!("MemTotal: {fields} kB\nMemAvailable: {fields} kB"));
        }
    }
}
