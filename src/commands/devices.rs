//! `wattscope devices`: on what can be measured, and why not on more.

use super::{
    args::{Hosts, JsonArray},
    execute::{Execute, Global},
    failure::Failure,
    setup,
};
use crate::{agent::targets::ResolvedTarget, event::DeviceInfo, format::bytes, output, table::Table};
use clap::Args;
use serde::Serialize;
use std::process::ExitCode;

/// List the devices of this host, or of another one, the missing ones with the reason
#[derive(Clone, Debug, Args)]
pub struct Devices {
    /// The hosts whose devices are listed.
    #[command(flatten)]
    hosts: Hosts,
    /// Whether the list is JSON.
    #[command(flatten)]
    json: JsonArray,
}

impl Execute for Devices {
    fn execute(self, _: &Global) -> Result<ExitCode, Failure> {
        let targets = setup::targets(&self.hosts, &["auto".to_owned()])?;
        let targets = setup::runtime()?.block_on(setup::connect(targets))?;
        let devices: Vec<&[DeviceInfo]> = targets.iter().map(|target| &target.host.devices[..]).collect();
        let text = match (&devices[..], self.json.json) {
            ([devices], true) => json(devices)?,
            (all, true) => json(&all)?,
            ([devices], false) => table(devices),
            _ => {
                let table = |target: &ResolvedTarget| format!("{}\n{}", target.host.name, table(&target.host.devices));
                targets.iter().map(table).collect::<Vec<_>>().join("\n")
            }
        };
        output::print(&text);
        Ok(ExitCode::SUCCESS)
    }
}

fn json(value: &(impl Serialize + ?Sized)) -> serde_json::Result<String> {
    Ok(serde_json::to_string_pretty(value)? + "\n")
}

/// The devices as a table, the absent ones with their reasons below.
fn table(devices: &[DeviceInfo]) -> String {
    let mut table = Table::new(&["<device", "<title", "<precisions", "memory"]);
    for device in devices.iter().filter(|d| d.absent.is_none()) {
        let precisions: Vec<_> = device.precisions.iter().map(|p| p.name()).collect();
        let memory = device.memory_bytes.map_or_else(|| "not known".to_owned(), bytes);
        table.row([device.name.clone(), device.title.clone(), precisions.join(", "), memory]);
    }
    let compilers = devices.iter().filter_map(|d| Some(format!("{}: kernels by {}\n", d.name, d.compiler.as_ref()?)));
    let limits = devices.iter().filter(|d| !d.limits.is_empty());
    let limits = limits.map(|d| format!("{}: limited, {}\n", d.name, d.limits.join("; ")));
    let absent = devices.iter().filter_map(|d| d.absent.as_ref().map(|reason| format!("{}: {reason}\n", d.name)));
    table.render() + &compilers.chain(limits).chain(absent).collect::<String>()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Precision;

    #[test]
    fn an_absent_device_says_why_and_a_limited_one_by_what() {
        let device = |name: &str, absent: Option<&str>| DeviceInfo {
            name: name.to_owned(),
            title: "a processor".to_owned(),
            precisions: vec![Precision::F32, Precision::F16],
            memory_bytes: Some(8 << 30),
            absent: absent.map(str::to_owned),
            ..DeviceInfo::default()
        };
        let limits = vec!["memory: 8 GiB by memory.max of the control group".to_owned()];
        let limited = DeviceInfo { limits, ..device("cpu", None) };
        let table = table(&[limited, device("cuda", Some("libcuda.so.1 not found"))]);
        insta::assert_snapshot!(table, @r"
        device  title        precisions    memory
        cpu     a processor  f32, f16    8.00 GiB
        cpu: limited, memory: 8 GiB by memory.max of the control group
        cuda: libcuda.so.1 not found
        ");
    }
}
