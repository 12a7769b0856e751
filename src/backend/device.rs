//! The list of backends, and through it the devices of this host: which there are, by what name, in which precision.

use super::{
    cpu::Cpu,
    cuda::Cuda,
    error::DeviceError,
    interface::{Backend, Device},
};
use crate::event::{DeviceInfo, DeviceKind, DeviceMemory, DeviceTraits, OthersLoad, Precision};
use std::{borrow::Cow, ffi::OsString, sync::Arc};

/// Every backend, the one whose devices are preferred first. A new one is a file in this folder and a line here.
static BACKENDS: &[&dyn Backend] = &[
    &Cuda,
    &Cpu,
    #[cfg(test)]
    &super::test_backend::TestBackend,
];

/// What is assumed of a device that no backend knows: the name in a recording of some other program's.
static UNKNOWN: DeviceTraits = DeviceTraits {
    kind: DeviceKind::Card,
    own_clock: true,
    graphs: true,
    compiles: true,
    memory: DeviceMemory::Own,
    others: OthersLoad::Processes,
    utilisation_of: Cow::Borrowed("device"),
};

/// The backend that a device belongs to by its name, whether this host has it or not.
fn backend(device: &str) -> Option<&'static dyn Backend> {
    BACKENDS.iter().copied().find(|backend| backend.full_name(device).is_some())
}

/// How a device differs from others: as it tells, or as its name tells in older streams.
pub fn traits(device: &DeviceInfo) -> &DeviceTraits {
    device.traits.as_ref().unwrap_or_else(|| traits_of(&device.name))
}

/// How a device differs from others, by its name alone: for a device that nobody has listed.
pub fn traits_of(device: &str) -> &'static DeviceTraits {
    backend(device).map_or(&UNKNOWN, Backend::traits)
}

/// The sources of telemetry whose sensors are a device's own.
pub fn sensors_of(device: &str) -> &'static [&'static str] {
    backend(device).map_or(&[], Backend::sensors)
}

/// Limit for the data segment of a process that is to work on a device, bytes: `asked`, where somebody did; none where such a
/// limit says nothing about what fits.
pub fn memory_limit(device: &str, asked: Option<u64>) -> Option<u64> {
    backend(device).and_then(|backend| backend.memory_limit(asked))
}

/// The environment that a process must be started with to work on a device.
///
/// # Errors
/// If what the device needs can't be prepared.
pub fn environment(device: &str) -> Result<Vec<(&'static str, OsString)>, DeviceError> {
    backend(device).map_or_else(|| Ok(Vec::new()), Backend::environment)
}

/// Every device of this host, the best one first; an absent kind comes with its reason.
pub fn enumerate() -> Vec<DeviceInfo> {
    BACKENDS.iter().flat_map(|backend| backend.devices()).collect()
}

/// The full name of a device as it is called on a command line, whether this host has it or not; `auto` stays as it is.
///
/// # Errors
/// Says which names there are.
pub fn full_name(name: &str) -> Result<String, String> {
    if name == "auto" {
        return Ok(name.to_owned());
    }
    let found = BACKENDS.iter().find_map(|backend| backend.full_name(name));
    found.ok_or_else(|| {
        // Those with the shortest description first, so that it reads as a sentence.
        let names = BACKENDS.iter().rev().map(|backend| backend.names()).filter(|names| !names.is_empty());
        let names: Vec<_> = names.collect();
        format!("a device is auto, {}", names.join(", "))
    })
}

/// The words that the names of devices begin with: `auto`, and one for each kind.
pub fn kinds() -> Vec<&'static str> {
    let kinds = BACKENDS.iter().rev().filter_map(|backend| backend.names().split(',').next());
    std::iter::once("auto").chain(kinds.filter(|kind| !kind.is_empty())).collect()
}

/// The device of a name; `auto` is the first that can be used, cards before the processor.
///
/// # Errors
/// Names what there is, or why the one asked for is absent.
pub fn resolve<'a>(name: &str, devices: &'a [DeviceInfo]) -> Result<&'a DeviceInfo, DeviceError> {
    let present = || devices.iter().filter(|d| d.absent.is_none());
    let found = match name {
        "auto" => present().next(),
        _ => present().find(|d| d.name == name),
    };
    if let Some(device) = found {
        return Ok(device);
    }
    let kind = name.split(':').next().unwrap_or(name);
    match devices.iter().find(|d| d.name == kind).and_then(|d| d.absent.clone()) {
        Some(reason) => Err(DeviceError::Absent { name: name.to_owned(), reason }),
        None => {
            let known = present().map(|d| d.name.as_str()).collect::<Vec<_>>().join(", ");
            Err(DeviceError::Unknown { name: name.to_owned(), known: format!("auto, {known}") })
        }
    }
}

/// Checks that a device computes in a precision.
///
/// # Errors
/// Says which it has.
pub fn check_precision(device: &DeviceInfo, precision: Precision) -> Result<(), DeviceError> {
    if device.precisions.contains(&precision) {
        return Ok(());
    }
    let tf32_instead = precision == Precision::F32 && device.precisions.contains(&Precision::Tf32);
    let has = device.precisions.iter().map(|p| p.name()).collect::<Vec<_>>().join(", ");
    let hint =
        if tf32_instead { "; its f32 products may use TF32 tensor cores, so the mode is called tf32" } else { "" };
    Err(DeviceError::Precision { device: device.name.clone(), asked: precision, has, hint })
}

/// Opens a device of this host, and prepares this process for it.
///
/// # Errors
/// Where no backend has it, or Burn does not find it, or this process can't be prepared.
pub fn open(name: &str) -> Result<Arc<dyn Device>, DeviceError> {
    backend(name).ok_or_else(|| DeviceError::Hidden(name.to_owned()))?.open(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn device(name: &str, precisions: &[Precision], absent: Option<&str>) -> DeviceInfo {
        DeviceInfo {
            name: name.to_owned(),
            title: name.to_uppercase(),
            precisions: precisions.to_vec(),
            absent: absent.map(str::to_owned),
            ..DeviceInfo::default()
        }
    }

    #[test]
    fn auto_prefers_a_card_and_falls_back_to_the_processor() {
        let cpu = device("cpu", &[Precision::F32], None);
        let both = [device("cuda:0", &[Precision::Tf32], None), cpu.clone()];
        assert_eq!(resolve("auto", &both).unwrap().name, "cuda:0");
        let one = [device("cuda", &[], Some("libcuda.so.1 not found")), cpu];
        assert_eq!(resolve("auto", &one).unwrap().name, "cpu");
        assert_eq!(resolve("cuda:0", &one).unwrap_err().to_string(), "cuda:0: libcuda.so.1 not found");
        assert_eq!(resolve("tpu", &both).unwrap_err().to_string(), "unknown device 'tpu': auto, cuda:0, cpu");
        assert!(matches!(resolve("cuda:7", &both), Err(DeviceError::Unknown { .. })));
    }

    #[test]
    fn a_precision_that_is_missing_names_those_that_are_there() {
        let card = device("cuda:0", &[Precision::Tf32, Precision::F16], None);
        assert!(check_precision(&card, Precision::F16).is_ok());
        let text = check_precision(&card, Precision::F32).unwrap_err().to_string();
        assert!(text.starts_with("cuda:0 has no f32: it has tf32, f16"), "{text}");
    }

    #[test]
    fn a_name_tells_what_kind_of_device_it_is_of_even_where_that_is_missing() {
        assert_eq!(full_name("cuda").as_deref(), Ok("cuda:0"));
        assert_eq!(full_name("cuda:03").as_deref(), Ok("cuda:3"));
        assert_eq!(full_name("auto").as_deref(), Ok("auto"));
        assert_eq!(kinds(), ["auto", "cpu", "cuda"]);
        assert!(kinds().into_iter().all(|kind| full_name(kind).is_ok()));
        for wrong in ["gpu", "cpu:0", "cuda:", "cuda:-1", "cuda:65536"] {
            assert_eq!(
                full_name(wrong).unwrap_err(),
                "a device is auto, cpu, cuda, or cuda:N with N the number of a card",
                "{wrong}"
            );
        }
        let told = |name| (traits_of(name).kind, traits_of(name).own_clock, traits_of(name).memory);
        assert_eq!(told("cpu"), (DeviceKind::Processor, false, DeviceMemory::Host));
        assert_eq!(told("cuda:7"), (DeviceKind::Card, true, DeviceMemory::Own));
        assert_eq!(told("cuda"), told("cuda:7"), "a kind that is absent");
        assert_eq!((sensors_of("cuda:0"), sensors_of("tpu")), (&["nvml"][..], &[][..]));
    }

    #[test]
    fn what_a_device_tells_of_itself_counts_and_its_name_only_in_older_streams() {
        let old = r#"{"name":"cuda:0","title":"H100","precisions":["f16"],"memory_bytes":1,"uuid":null,"absent":null}"#;
        let old: DeviceInfo = serde_json::from_str(old).unwrap();
        assert_eq!(traits(&old), traits_of("cuda:0"));
        let told = DeviceInfo { traits: Some(traits_of("cpu").clone()), ..old };
        let read: DeviceInfo = serde_json::from_str(&serde_json::to_string(&told).unwrap()).unwrap();
        assert_eq!(read, told);
        assert_eq!(traits(&read), traits_of("cpu"));
    }
}
