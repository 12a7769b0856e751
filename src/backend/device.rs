//! Which device, which precision, what it can do.

use super::cuda;
use crate::event::{DeviceInfo, Precision};
use thiserror::Error;

/// A device or precision that can't be had.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum DeviceError {
    /// No such name.
    #[error("unknown device '{name}': {known}")]
    Unknown {
        /// What was asked for.
        name: String,
        /// What there is.
        known: String,
    },
    /// A device of that kind could exist, but does not here.
    #[error("{name}: {reason}")]
    Absent {
        /// What was asked for.
        name: String,
        /// Why, and what to do.
        reason: String,
    },
    /// The device does not compute in that precision.
    #[error("{device} has no {asked}: it has {has}{hint}")]
    Precision {
        /// The device.
        device: String,
        /// What was asked for.
        asked: Precision,
        /// What it has.
        has: String,
        /// What to ask for instead, where that is not obvious.
        hint: &'static str,
    },
    /// Burn does not find what the driver has.
    #[error("Burn finds no device {0}, though the driver does")]
    Hidden(String),
}

/// Every device of this host, the best one first; an absent kind comes with its reason.
pub fn enumerate() -> Vec<DeviceInfo> {
    let mut devices = cuda::devices().unwrap_or_else(|absent| {
        vec![DeviceInfo {
            name: "cuda".to_owned(),
            title: "NVIDIA CUDA".to_owned(),
            precisions: vec![],
            memory_bytes: None,
            uuid: None,
            absent: Some(absent.to_string()),
        }]
    });
    devices.push(cpu());
    devices
}

fn cpu() -> DeviceInfo {
    DeviceInfo {
        name: "cpu".to_owned(),
        title: crate::host::processor(),
        precisions: vec![Precision::F32, Precision::F16, Precision::Bf16],
        memory_bytes: crate::host::memory().map(|m| m.total),
        uuid: None,
        absent: None,
    }
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

/// Opens a device in Burn.
///
/// # Errors
/// Where Burn does not find it.
pub fn open(name: &str) -> Result<burn::tensor::Device, DeviceError> {
    use burn::tensor::{Device, DeviceType};
    let Some(index) = name.strip_prefix("cuda:") else { return Ok(Device::flex()) };
    let index: usize = index.parse().map_err(|_| DeviceError::Hidden(name.to_owned()))?;
    let found = Device::enumerate(DeviceType::Cuda).into_vec();
    found.into_iter().nth(index).ok_or_else(|| DeviceError::Hidden(name.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn device(name: &str, precisions: &[Precision], absent: Option<&str>) -> DeviceInfo {
        DeviceInfo {
            name: name.to_owned(),
            title: name.to_uppercase(),
            precisions: precisions.to_vec(),
            memory_bytes: None,
            uuid: None,
            absent: absent.map(str::to_owned),
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
}
