//! Results of checks, kept between sessions in a file of JSON lines in the user's state directory, so that the live screen and
//! the records can say whether a network computes correctly on this device.

use crate::{
    event::{Checked, DeviceInfo},
    host, output,
};
use serde::{Deserialize, Serialize};
use std::{
    fs, io,
    path::{Path, PathBuf},
};

/// A result, and what it is valid for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Kept {
    /// The result; its device is called by the name that it had then.
    #[serde(flatten)]
    pub checked: Checked,
    /// What the device calls itself.
    pub title: String,
    /// Driver of the card; none for the processor.
    pub driver: Option<String>,
    /// Version of wattscope.
    pub version: String,
    /// Whether batch norms were folded.
    pub folded: bool,
}

impl Kept {
    /// A result of this version on a device of this host.
    pub fn new(checked: Checked, device: &DeviceInfo, folded: bool) -> Self {
        let version = env!("CARGO_PKG_VERSION").to_owned();
        Self { checked, title: device.title.clone(), driver: device.driver.clone(), version, folded }
    }

    /// Whether it is valid for a device, with batch norms folded or not.
    fn holds(&self, device: &DeviceInfo, folded: bool) -> bool {
        let now = (env!("CARGO_PKG_VERSION"), device.title.as_str(), &device.driver, folded);
        (self.version.as_str(), self.title.as_str(), &self.driver, self.folded) == now
    }

    /// Whether it replaces an older result of the same kind.
    fn replaces(&self, old: &Self) -> bool {
        let of = |k: &Self| (k.checked.network.clone(), k.checked.precision, k.title.clone(), k.folded);
        of(self) == of(old)
    }
}

/// The file in the user's state directory.
///
/// # Errors
/// If the user has no home.
pub fn default_file() -> io::Result<PathBuf> {
    Ok(host::state_folder()?.join("checks.jsonl"))
}

/// Adds results to a file and removes older ones that they replace.
///
/// # Errors
/// If the file can't be written; it is then as it was.
pub fn keep(file: &Path, checks: &[Kept]) -> io::Result<()> {
    let mut all = read(file);
    all.retain(|old| !checks.iter().any(|new| new.replaces(old)));
    all.extend_from_slice(checks);
    let lines = all.iter().map(|kept| Ok(serde_json::to_string(kept)? + "\n")).collect::<io::Result<String>>()?;
    if let Some(directory) = file.parent() {
        fs::create_dir_all(directory)?;
    }
    output::write(file, lines.as_bytes())
}

/// The results in a file that are valid for these devices, under the names that they have now.
pub fn kept(file: &Path, devices: &[DeviceInfo], folded: bool) -> Vec<Checked> {
    let all = read(file);
    let present = devices.iter().filter(|device| device.absent.is_none());
    let of = |device: &DeviceInfo| {
        let name = device.name.clone();
        let holding = all.iter().filter(|kept| kept.holds(device, folded));
        holding.map(|kept| Checked { device: name.clone(), ..kept.checked.clone() }).collect::<Vec<_>>()
    };
    present.flat_map(of).collect()
}

/// Lines that can't be parsed, perhaps of another version, are left out. A missing file is empty.
fn read(file: &Path) -> Vec<Kept> {
    let text = fs::read_to_string(file).unwrap_or_default();
    text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Precision;

    fn device(name: &str, title: &str) -> DeviceInfo {
        let (name, title) = (name.to_owned(), title.to_owned());
        DeviceInfo { name, title, ..DeviceInfo::default() }
    }

    fn result(network: &str, error: f64) -> Checked {
        let (network, device) = (network.to_owned(), "cpu".to_owned());
        Checked { network, device, precision: Precision::F32, error: Some(error), bound: 1e-4, pass: error <= 1e-4 }
    }

    #[test]
    fn a_result_holds_for_the_same_device_version_and_folding_only() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("new/checks.jsonl");
        let here = device("cpu", "A processor");
        assert_eq!(kept(&file, std::slice::from_ref(&here), true), []);
        keep(&file, &[Kept::new(result("vgg16", 1.0), &here, true), Kept::new(result("enet", 1e-6), &here, false)])
            .unwrap();
        keep(&file, &[Kept::new(result("vgg16", 1e-6), &here, true)]).unwrap();
        assert_eq!(kept(&file, std::slice::from_ref(&here), true), [result("vgg16", 1e-6)], "the newer one");
        assert_eq!(kept(&file, std::slice::from_ref(&here), false), [result("enet", 1e-6)]);
        assert_eq!(kept(&file, &[device("cpu", "Another")], true), []);
        let renamed = kept(&file, &[device("cpu:1", "A processor")], true);
        assert_eq!(renamed[0].device, "cpu:1", "known by its title, called by its name");

        let text = std::fs::read_to_string(&file).unwrap().replace(env!("CARGO_PKG_VERSION"), "0.0.0");
        std::fs::write(&file, format!("no result\n{text}")).unwrap();
        assert_eq!(kept(&file, &[here], true), [], "of another version");
    }
}
