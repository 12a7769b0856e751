//! Where agents are to be started: the devices of this host, or those at the far ends of commands.

use super::{
    Options,
    fleet::{FleetHandle, Member},
    remote::{self, ConnectError, Target},
    site::Site,
};
use crate::{
    backend::device::traits_of,
    clock::Clock,
    event::{DeviceKind, RunId},
};
use std::collections::BTreeMap;
use tokio::task::JoinSet;

/// A device, by the name that it was asked for, of a host that nobody has been to yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Post {
    /// Which far end it is at; none for this host.
    pub target: Option<Target>,
    /// The device: `auto`, `cuda:0`.
    pub device: String,
}

/// Every device of every place, in that order.
pub fn posts(targets: &[Target], devices: &[String]) -> Vec<Post> {
    let places: Vec<_> = if targets.is_empty() { vec![None] } else { targets.iter().cloned().map(Some).collect() };
    let post = |target: &Option<Target>, device: &String| Post { target: target.clone(), device: device.clone() };
    places.iter().flat_map(|target| devices.iter().map(move |device| post(target, device))).collect()
}

/// Starts an agent at each post, on the current tokio runtime: far ends are reached when they are, and those that are lost
/// are tried again for as long as somebody looks.
pub fn start(posts: &[Post], options: &Options, clock: Clock) -> FleetHandle {
    let agent = |post: &Post, options: Options| match &post.target {
        Some(target) => remote::start(target.clone(), None, options, clock, None),
        None => super::start(options, clock),
    };
    if let [post] = posts {
        return agent(post, options.clone()).into();
    }
    let member = |post: &Post| {
        let beside: Vec<_> = posts.iter().filter(|p| p.target == post.target).map(|p| p.device.as_str()).collect();
        let device = Some(post.device.clone()).filter(|device| device != "auto");
        Member { agent: agent(post, options_for(options, &post.device, &beside)), device }
    };
    FleetHandle::join(posts.iter().map(member).collect())
}

/// A post whose host is known well enough to decide what to measure there.
#[derive(Debug)]
pub struct Seat {
    /// The host.
    pub site: Site,
    /// The device, by its own name or still as it was asked for.
    pub device: String,
}

/// Goes to all posts at once: a scheduler may let each of them wait. `said` is told what the commands say meanwhile.
///
/// # Errors
/// Where one is not reached.
pub async fn reach(posts: Vec<Post>, said: fn(String)) -> Result<Vec<Seat>, ConnectError> {
    let mut reached = BTreeMap::new();
    let mut tasks = JoinSet::new();
    let here = posts.iter().any(|post| post.target.is_none()).then(Site::here);
    for (i, Post { target, device }) in posts.into_iter().enumerate() {
        match (target, &here) {
            (Some(target), _) => _ = tasks.spawn(async move { (i, device, Site::reach(target, said).await) }),
            (None, Some(here)) => _ = reached.insert(i, Seat { site: here.again(), device }),
            // Not reached: `here` is there wherever a post has no target.
            (None, None) => {}
        }
    }
    while let Some(done) = tasks.join_next().await {
        // A task that panicked has ended the process already, or is nobody's.
        let Ok((i, device, site)) = done else { continue };
        reached.insert(i, Seat { site: site?, device });
    }
    Ok(reached.into_values().collect())
}

/// Starts an agent at each seat, on the current tokio runtime, for work that nobody watches. Each numbers its runs on from
/// its own of `last_runs`.
pub fn sit(seats: Vec<Seat>, options: &Options, last_runs: &[RunId], clock: Clock) -> FleetHandle {
    let hosts: Vec<(String, String)> = seats.iter().map(|s| (s.site.host.clone(), s.device.clone())).collect();
    let member = |(i, Seat { site, device }): (usize, Seat)| {
        let beside: Vec<_> = hosts.iter().filter(|(host, _)| *host == site.host).map(|(_, d)| d.as_str()).collect();
        let last_run = last_runs.get(i).copied().unwrap_or(options.last_run);
        let options = Options { last_run, ..options_for(options, &device, &beside) };
        Member { agent: site.start(options, clock), device: Some(device) }
    };
    FleetHandle::join(seats.into_iter().enumerate().map(member).collect())
}

/// The options of one of several agents of a host: it reads the sensors that its device needs, and no others. A single one
/// reads them all.
fn options_for(options: &Options, device: &str, beside: &[&str]) -> Options {
    if beside.len() < 2 {
        return options.clone();
    }
    let cards = beside.iter().filter(|device| traits_of(device).kind == DeviceKind::Card).count();
    Options { only: Some(device.to_owned()), alone: cards < 2, ..options.clone() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_device_of_every_place_is_a_post_and_reads_its_own_sensors() {
        let target = |on: &str| Target { on: on.to_owned(), program: "wattscope".to_owned() };
        let devices = ["cuda:0", "cuda:1"].map(str::to_owned);
        let names = |targets: &[Target]| -> Vec<_> {
            let name = |post: &Post| (post.target.as_ref().map(|t| t.on.clone()), post.device.clone());
            posts(targets, &devices).iter().map(name).collect()
        };
        assert_eq!(names(&[]), [(None, "cuda:0".to_owned()), (None, "cuda:1".to_owned())]);
        let two = names(&[target("ssh a"), target("ssh b")]);
        assert_eq!((two.len(), two[1].clone()), (4, (Some("ssh a".to_owned()), "cuda:1".to_owned())));
        let options = Options::new("wattscope".into());
        let only = |beside: &[&str]| {
            let own = options_for(&options, beside[0], beside);
            (own.only, own.alone)
        };
        assert_eq!(only(&["cuda:0"]), (None, true));
        assert_eq!(only(&["cuda:0", "cpu"]), (Some("cuda:0".to_owned()), true));
        assert_eq!(only(&["cuda:0", "cuda:1"]), (Some("cuda:0".to_owned()), false));
    }
}
