//! Targets: the devices that a command line asks for, on this host or on others.

use super::{
    fleet::{FleetHandle, Member},
    host::Host,
    local,
    options::Options,
    remote::{self, ConnectError, RemoteCommand},
};
use crate::{
    backend::device::traits_of,
    clock::Clock,
    event::{DeviceKind, RunId},
};
use std::collections::BTreeMap;
use tokio::task::JoinSet;

/// A device as it was asked for. Its host may not have been connected to yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// How its host is reached; none for this host.
    pub remote: Option<RemoteCommand>,
    /// The device: `auto`, `cuda:0`.
    pub device: String,
}

/// All devices of all hosts, host by host. Without a remote host they are devices of this one.
pub fn targets(remotes: &[RemoteCommand], devices: &[String]) -> Vec<Target> {
    let hosts: Vec<_> = if remotes.is_empty() { vec![None] } else { remotes.iter().cloned().map(Some).collect() };
    let target =
        |remote: &Option<RemoteCommand>, device: &String| Target { remote: remote.clone(), device: device.clone() };
    hosts.iter().flat_map(|remote| devices.iter().map(move |device| target(remote, device))).collect()
}

/// Starts an agent for each target at once, on the current tokio runtime. Remote hosts are connected to in the background,
/// and a link that is lost is tried again for as long as the handle is held.
pub fn start(targets: &[Target], options: &Options, clock: Clock) -> FleetHandle {
    let agent = |target: &Target, options: Options| match &target.remote {
        Some(remote) => remote::start(remote.clone(), None, options, clock, None),
        None => local::start(options, clock),
    };
    if let [target] = targets {
        return agent(target, options.clone()).into();
    }
    let member = |target: &Target| {
        let same_host: Vec<_> =
            targets.iter().filter(|t| t.remote == target.remote).map(|t| t.device.as_str()).collect();
        let device = Some(target.device.clone()).filter(|device| device != "auto");
        Member { agent: agent(target, options_for(options, &target.device, &same_host)), device }
    };
    FleetHandle::join(targets.iter().map(member).collect())
}

/// A target whose host is connected: what to measure there can be decided.
#[derive(Debug)]
pub struct ResolvedTarget {
    /// The host.
    pub host: Host,
    /// The device, by its own name or still as it was asked for.
    pub device: String,
}

/// Connects to the hosts of all targets at the same time, because a scheduler may make each of them wait. `status` receives
/// lines that the commands print meanwhile.
///
/// # Errors
/// If one host can't be connected to.
pub async fn resolve(targets: Vec<Target>, status: fn(String)) -> Result<Vec<ResolvedTarget>, ConnectError> {
    let mut resolved = BTreeMap::new();
    let mut tasks = JoinSet::new();
    let local = targets.iter().any(|target| target.remote.is_none()).then(Host::local);
    for (i, Target { remote, device }) in targets.into_iter().enumerate() {
        match (remote, &local) {
            (Some(remote), _) => _ = tasks.spawn(async move { (i, device, Host::connect(remote, status).await) }),
            (None, Some(local)) => _ = resolved.insert(i, ResolvedTarget { host: local.without_connection(), device }),
            // Unreachable: `local` exists if any target has no remote host.
            (None, None) => {}
        }
    }
    while let Some(done) = tasks.join_next().await {
        // A panic in a task has ended the process already, and no task is aborted.
        let Ok((i, device, host)) = done else { continue };
        resolved.insert(i, ResolvedTarget { host: host?, device });
    }
    Ok(resolved.into_values().collect())
}

/// Starts an agent for each resolved target and connects to all of them, on the current tokio runtime, for work without a
/// user in front of it. Agent `i` numbers its runs from `last_runs[i]` on.
pub fn connect(targets: Vec<ResolvedTarget>, options: &Options, last_runs: &[RunId], clock: Clock) -> FleetHandle {
    let devices: Vec<(String, String)> = targets.iter().map(|t| (t.host.name.clone(), t.device.clone())).collect();
    let member = |(i, ResolvedTarget { host, device }): (usize, ResolvedTarget)| {
        let same_host: Vec<_> =
            devices.iter().filter(|(name, _)| *name == host.name).map(|(_, d)| d.as_str()).collect();
        let last_run = last_runs.get(i).copied().unwrap_or(options.last_run);
        let options = Options { last_run, ..options_for(options, &device, &same_host) };
        Member { agent: host.start(options, clock), device: Some(device) }
    };
    FleetHandle::join(targets.into_iter().enumerate().map(member).collect())
}

/// The options of one of several agents of a host: it reads the sensors of its own device only. A single agent reads all of
/// them. `same_host`: the devices of all agents of that host.
fn options_for(options: &Options, device: &str, same_host: &[&str]) -> Options {
    if same_host.len() < 2 {
        return options.clone();
    }
    let cards = same_host.iter().filter(|device| traits_of(device).kind == DeviceKind::Card).count();
    Options { only: Some(device.to_owned()), alone: cards < 2, ..options.clone() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_device_of_every_host_is_a_target_and_reads_its_own_sensors() {
        let remote = |on: &str| RemoteCommand { on: on.to_owned(), program: "wattscope".to_owned() };
        let devices = ["cuda:0", "cuda:1"].map(str::to_owned);
        let names = |remotes: &[RemoteCommand]| -> Vec<_> {
            let name = |target: &Target| (target.remote.as_ref().map(|r| r.on.clone()), target.device.clone());
            targets(remotes, &devices).iter().map(name).collect()
        };
        assert_eq!(names(&[]), [(None, "cuda:0".to_owned()), (None, "cuda:1".to_owned())]);
        let two = names(&[remote("ssh a"), remote("ssh b")]);
        assert_eq!((two.len(), two[1].clone()), (4, (Some("ssh a".to_owned()), "cuda:1".to_owned())));
        let options = Options::new("wattscope".into());
        let only = |same_host: &[&str]| {
            let own = options_for(&options, same_host[0], same_host);
            (own.only, own.alone)
        };
        assert_eq!(only(&["cuda:0"]), (None, true));
        assert_eq!(only(&["cuda:0", "cpu"]), (Some("cuda:0".to_owned()), true));
        assert_eq!(only(&["cuda:0", "cuda:1"]), (Some("cuda:0".to_owned()), false));
    }
}
