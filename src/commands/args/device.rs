//! Devices by name.

use super::choice::similar;
use crate::{backend::device, event::DeviceKind};
use clap::{
    Arg, Args, Command, Error,
    builder::{StringValueParser, TypedValueParser},
    error::{ContextKind, ContextValue},
};
use std::ffi::OsStr;

/// One device.
#[derive(Clone, Debug, Args)]
pub struct Device {
    /// Device to run on: auto (the first GPU, or else the CPU), cpu, cuda:0 …
    #[arg(short, long, alias = "devices", value_name = "NAME", default_value = "auto", value_parser = device_name())]
    pub device: String,
}

/// Several devices, side by side.
#[derive(Clone, Debug, Args)]
pub struct Devices {
    /// Device to run on: auto (the first GPU, or else the CPU), cpu, cuda:0 …; several, separated by commas, side by side
    #[arg(short, long, alias = "devices", value_name = "NAME,…", value_delimiter = ',', default_value = "auto",
          value_parser = device_name())]
    pub device: Vec<String>,
}

/// Devices that can't be measured side by side.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DevicesError {
    /// Two engines on one device would measure each other.
    #[error("{0} is named twice: two engines on one device would measure each other")]
    Twice(String),
    /// `auto` may turn out to be one of the other devices.
    #[error("auto stands for one device: name each of several, as in --device cuda:0,cuda:1")]
    Auto,
}

/// Checks that several devices are different devices.
///
/// # Errors
/// If one is named twice, or is `auto` beside others.
pub fn check_devices(devices: &[String]) -> Result<(), DevicesError> {
    if devices.len() > 1 && devices.iter().any(|device| device == "auto") {
        return Err(DevicesError::Auto);
    }
    match devices.iter().enumerate().find(|(i, device)| devices[..*i].contains(device)) {
        Some((_, device)) => Err(DevicesError::Twice(device.clone())),
        None => Ok(()),
    }
}

/// Parser of a device's name, into the form that the list of devices has it in.
pub fn device_name() -> DeviceName {
    DeviceName
}

/// Parser of a device's name. Its case does not matter, and a name that is none is refused with the most similar one.
#[derive(Clone, Copy, Debug)]
pub struct DeviceName;

impl TypedValueParser for DeviceName {
    type Value = String;

    fn parse_ref(&self, command: &Command, arg: Option<&Arg>, value: &OsStr) -> Result<String, Error> {
        let name = |text: String| device::full_name(&text.trim().to_lowercase());
        StringValueParser::new().try_map(name).parse_ref(command, arg, value).map_err(|mut error| {
            if let Some(meant) = meant(command, &value.to_string_lossy().to_lowercase()) {
                error.insert(ContextKind::SuggestedValue, ContextValue::String(meant));
            }
            error
        })
    }
}

/// The name of a device that a text may mean.
fn meant(command: &Command, text: &str) -> Option<String> {
    let kinds = device::kinds();
    let (kind, number) = text.split_once(':').map_or((text, None), |(kind, number)| (kind, Some(number)));
    let kind = match kind {
        // Similar to `cpu`, of all words.
        "gpu" => {
            let is_card = |kind: &&str| *kind != "auto" && device::traits_of(kind).kind == DeviceKind::Card;
            kinds.into_iter().find(is_card)?.to_owned()
        }
        _ => similar(command, kind, kinds)?,
    };
    let numbered = number.and_then(|number| device::full_name(&format!("{kind}:{number}")).ok());
    Some(numbered.unwrap_or(kind))
}
