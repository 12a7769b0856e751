//! Limits that are real: in a control group of 400 MB the program has 400 MB, says so, and a network that needs more is out of
//! memory. Needs a control group that this process may make: without one (as an ordinary user) the test says so and passes.

#![allow(clippy::unwrap_used, clippy::expect_used)] // a test fails by panicking

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

const LIMIT: u64 = 400_000_000;

/// A control group for memory, removed at the end.
struct Group(PathBuf);

impl Group {
    /// Below that of this process, of whichever version there is.
    fn new() -> Result<Self, String> {
        let groups = fs::read_to_string("/proc/self/cgroup").map_err(|e| e.to_string())?;
        let of = |controller: &str| {
            let line = groups.lines().find(|line| line.split(':').nth(1) == Some(controller))?;
            line.splitn(3, ':').nth(2).map(|path| path.trim_start_matches('/').to_owned())
        };
        let name = format!("wattscope-test-{}", std::process::id());
        let memory = Path::new("/sys/fs/cgroup/memory");
        let (folder, file) = match of("memory").filter(|_| memory.exists()) {
            Some(own) => (memory.join(own), "memory.limit_in_bytes"),
            None => (Path::new("/sys/fs/cgroup").join(of("").unwrap_or_default()), "memory.max"),
        };
        let group = Self(folder.join(name));
        fs::create_dir(&group.0).map_err(|e| format!("{}: {e}", group.0.display()))?;
        fs::write(group.0.join(file), LIMIT.to_string()).map_err(|e| format!("{file}: {e}"))?;
        Ok(group)
    }

    fn run(&self, arguments: &str) -> Output {
        let line = format!("echo $$ > {}/cgroup.procs && exec \"$0\" {arguments}", self.0.display());
        let mut command = Command::new("sh");
        command.args(["-c", &line, env!("CARGO_BIN_EXE_wattscope")]);
        command.env("XDG_STATE_HOME", std::env::temp_dir().join("wattscope-limits-tests"));
        command.output().unwrap()
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        let _ = fs::remove_dir(&self.0);
    }
}

#[test]
fn a_control_group_limits_what_there_is_and_what_fits() {
    let group = match Group::new() {
        Ok(group) => group,
        Err(reason) => {
            println!("NOT TESTED: limits of a control group, since none can be made: {reason}");
            return;
        }
    };
    let devices = group.run("devices --json");
    let devices: serde_json::Value = serde_json::from_slice(&devices.stdout).unwrap();
    let cpu = devices.as_array().unwrap().iter().find(|device| device["name"] == "cpu").unwrap();
    let memory = cpu["memory_bytes"].as_u64().unwrap();
    assert!((LIMIT - 4096..=LIMIT).contains(&memory), "{cpu}");
    let limit = cpu["limits"][0].as_str().unwrap();
    assert!(limit.starts_with("memory: 381 MiB by memory.") && limit.ends_with("of the control group"), "{limit}");

    let run = group.run("run --network vgg16 --device cpu --batch 1 --seconds 0.1 --json");
    let record: serde_json::Value = serde_json::from_slice(&run.stdout).unwrap();
    assert_eq!((run.status.code(), &record["out_of_memory"]), (Some(1), &true.into()), "{record}");
    assert!(record["limits"][0].as_str().unwrap().starts_with("memory: 381 MiB"), "{record}");
}
