//! The knobs (network, batch size, precision, device): the configuration to begin with, and how each key changes it.

use crate::{
    backend::device::traits,
    event::{Config, DeviceInfo, DeviceKind, Precision},
};

/// Largest batch size that doubling reaches: more than any device has memory for. A typed one may be larger.
const LARGEST: u32 = 1 << 16;

/// The configuration to begin with, as given on the command line.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct InitialConfig {
    /// Registry id of the network; the first one by default.
    pub network: Option<String>,
    /// Batch size; 1 by default.
    pub batch: Option<u32>,
    /// Precision; the first of the device's by default.
    pub precision: Option<Precision>,
    /// Device; by default the first usable card, or else the processor.
    pub device: Option<String>,
}

/// Devices on which networks can run.
pub fn usable(devices: &[DeviceInfo]) -> impl Iterator<Item = &DeviceInfo> {
    devices.iter().filter(|d| d.absent.is_none() && !d.precisions.is_empty())
}

/// The initial configuration of the only station, and a warning where it is not the one that was asked for; none where no
/// device can run a network.
pub fn initial(asked: &InitialConfig, networks: &[String], devices: &[DeviceInfo]) -> (Option<Config>, Option<String>) {
    let by_default = || usable(devices).find(|d| traits(d).kind == DeviceKind::Card).or_else(|| usable(devices).next());
    let named = asked.device.as_deref().filter(|name| *name != "auto");
    let found = named.and_then(|name| usable(devices).find(|d| d.name == name || d.name == format!("{name}:0")));
    let mut notes = Vec::new();
    let Some(device) = found.or_else(by_default) else { return (None, Some("no device can run a network".to_owned())) };
    if let (Some(name), None) = (named, found) {
        let reason = devices.iter().find(|d| d.name == name || name.starts_with(&format!("{}:", d.name)));
        let reason = reason.and_then(|d| d.absent.as_deref()).unwrap_or("no such device");
        notes.push(format!("{name}: {reason}; running on {}", device.name));
    }
    let precision = asked.precision.filter(|p| device.precisions.contains(p)).or(device.precisions.first().copied());
    if let (Some(asked), Some(taken)) = (asked.precision, precision)
        && asked != taken
    {
        notes.push(format!("{} does not compute in {asked}: running in {taken}", device.name));
    }
    let network = asked.network.clone().or_else(|| networks.first().cloned());
    let config = network.zip(precision).map(|(network, precision)| Config {
        network,
        batch: asked.batch.unwrap_or(1).max(1),
        precision,
        device: device.name.clone(),
    });
    (config, (!notes.is_empty()).then(|| notes.join("; ")))
}

/// The initial configuration of one of several stations: on its own device and no other. Where that device is missing, or
/// lacks the precision, the agent reports the reason. None where no device was named and none can run a network.
pub fn initial_of_station(asked: &InitialConfig, networks: &[String], devices: &[DeviceInfo]) -> Option<Config> {
    let named = asked.device.as_deref().filter(|name| *name != "auto");
    let device = match named {
        Some(name) => name.to_owned(),
        None => initial(asked, networks, devices).0?.device,
    };
    let default = || devices.iter().find(|d| d.name == device).and_then(|d| d.precisions.first().copied());
    let precision = asked.precision.or_else(default).unwrap_or(Precision::F32);
    let network = asked.network.clone().or_else(|| networks.first().cloned())?;
    Some(Config { network, batch: asked.batch.unwrap_or(1).max(1), precision, device })
}

/// The next power of two above or below a batch size.
pub fn step_batch(batch: u32, up: bool) -> u32 {
    let below = 1 << (31 - batch.max(1).leading_zeros());
    match (up, batch == below) {
        (true, _) => below.saturating_mul(2).min(LARGEST).max(batch),
        (false, true) => (batch / 2).max(1),
        (false, false) => below,
    }
}

/// The item `by` places after the current one, stopping at the ends of the list; the first one where the list lacks it.
pub fn step<'a>(list: &'a [String], current: &str, by: isize) -> Option<&'a String> {
    let Some(at) = list.iter().position(|id| id == current) else { return list.first() };
    list.get(at.saturating_add_signed(by).min(list.len() - 1))
}

/// The next or previous precision of a device, wrapping around.
pub fn cycle_precision(current: Precision, device: &DeviceInfo, forward: bool) -> Precision {
    let has: Vec<_> = Precision::ALL.into_iter().filter(|p| device.precisions.contains(p)).collect();
    around(&has, |p| *p == current, forward).copied().unwrap_or(current)
}

/// The next or previous device that can run networks, wrapping around.
pub fn cycle_device<'a>(current: &str, devices: &'a [DeviceInfo], forward: bool) -> Option<&'a DeviceInfo> {
    let present: Vec<_> = usable(devices).collect();
    around(&present, |d| d.name == current, forward).copied()
}

fn around<T>(list: &[T], is_current: impl Fn(&T) -> bool, forward: bool) -> Option<&T> {
    let n = list.len();
    let next = match list.iter().position(is_current) {
        Some(at) if forward => (at + 1) % n,
        Some(at) => (at + n - 1) % n,
        None => 0,
    };
    list.get(next)
}

/// Parses a batch size.
///
/// # Errors
/// What is wrong with the text, in words for the user.
pub fn parse_batch(text: &str) -> Result<u32, String> {
    match text.trim().parse::<u64>() {
        Ok(0) => Err("a batch holds at least 1 image".to_owned()),
        Ok(n) => u32::try_from(n).map_err(|_| format!("at most {}", u32::MAX)),
        Err(_) if text.trim().is_empty() => Err("type a number".to_owned()),
        Err(_) => Err("a whole number, such as 24".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn device(name: &str, precisions: &[Precision], absent: Option<&str>) -> DeviceInfo {
        DeviceInfo {
            name: name.into(),
            title: name.to_uppercase(),
            precisions: precisions.to_vec(),
            memory_bytes: None,
            absent: absent.map(Into::into),
            ..DeviceInfo::default()
        }
    }

    fn devices() -> Vec<DeviceInfo> {
        vec![
            device("cpu", &[Precision::F32], None),
            device("cuda", &[], Some("libcuda.so.1 not found")),
            device("cuda:0", &[Precision::Tf32, Precision::F16, Precision::F32], None),
        ]
    }

    #[test]
    fn odd_batches_go_to_their_neighbours() {
        assert_eq!([step_batch(24, true), step_batch(24, false)], [32, 16]);
        assert_eq!([step_batch(1, false), step_batch(1, true)], [1, 2]);
        assert_eq!([step_batch(LARGEST, true), step_batch(LARGEST + 5, true)], [LARGEST, LARGEST + 5]);
    }

    #[test]
    fn precisions_that_a_device_lacks_are_skipped() {
        let cuda = &devices()[2];
        assert_eq!(cycle_precision(Precision::F16, cuda, true), Precision::F32);
        assert_eq!(cycle_precision(Precision::F32, cuda, false), Precision::F16);
        assert_eq!(cycle_precision(Precision::F32, &devices()[0], true), Precision::F32);
    }

    #[test]
    fn devices_that_are_absent_are_skipped() {
        assert_eq!(cycle_device("cpu", &devices(), true).unwrap().name, "cuda:0");
        assert_eq!(cycle_device("cuda:0", &devices(), true).unwrap().name, "cpu");
        assert!(cycle_device("cpu", &[], true).is_none());
    }

    #[test]
    fn the_first_configuration_follows_the_devices() {
        let networks = ["alexnet".to_owned()];
        let (config, note) = initial(&InitialConfig::default(), &networks, &devices());
        assert_eq!((config.unwrap().to_string(), note), ("alexnet · batch 1 · tf32 · cuda:0".to_owned(), None));

        let asked = InitialConfig {
            device: Some("cuda:1".into()),
            precision: Some(Precision::Bf16),
            ..InitialConfig::default()
        };
        let (config, note) = initial(&asked, &networks, &devices()[..2]);
        assert_eq!(config.unwrap().device, "cpu");
        let note = note.unwrap();
        assert!(note.ends_with("running on cpu; cpu does not compute in bf16: running in f32"), "{note}");

        let asked = InitialConfig { device: Some("cuda:0".into()), ..InitialConfig::default() };
        let (_, note) = initial(&asked, &networks, &devices()[..2]);
        assert_eq!(note.unwrap(), "cuda:0: libcuda.so.1 not found; running on cpu");
        assert_eq!(initial(&InitialConfig::default(), &networks, &[]).0, None);
    }

    #[test]
    fn one_of_several_stations_stays_on_its_own_device() {
        let networks = ["alexnet".to_owned()];
        let on = |device: &str, precision| {
            let asked = InitialConfig { device: Some(device.into()), precision, ..InitialConfig::default() };
            initial_of_station(&asked, &networks, &devices())
                .map(|config| format!("{} {}", config.precision, config.device))
        };
        assert_eq!(on("cuda:0", None).unwrap(), "tf32 cuda:0");
        assert_eq!(on("auto", None).unwrap(), "tf32 cuda:0");
        assert_eq!(on("cuda:7", None).unwrap(), "f32 cuda:7", "the agent reports that it is missing");
        assert_eq!(on("cpu", Some(Precision::F16)).unwrap(), "f16 cpu");
    }

    #[test]
    fn the_prompt_explains_itself() {
        assert_eq!(parse_batch("24"), Ok(24));
        assert!(parse_batch("0").unwrap_err().contains("at least 1"));
        assert!(parse_batch("").unwrap_err().contains("type"));
        assert!(parse_batch("1e3").unwrap_err().contains("whole"));
        assert!(parse_batch("4294967296").unwrap_err().contains("at most"));
    }

    proptest! {
        #[test]
        fn a_step_up_and_down_ends_on_powers_of_two(batch in 1u32..=LARGEST) {
            let (up, down) = (step_batch(batch, true), step_batch(batch, false));
            prop_assert!(up.is_power_of_two() && down.is_power_of_two() && down <= batch && up >= batch);
        }
    }
}
