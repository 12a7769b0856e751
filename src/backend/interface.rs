//! What a backend is: the one trait behind which each kind of device stands.

use super::error::DeviceError;
use crate::event::{DeviceInfo, DeviceTraits};
use burn::tensor::Device;

/// What runs models on the devices of one kind.
pub trait Backend: Sync {
    /// The devices of this kind that this host has, the best one first; or the kind itself as absent, with the reason.
    fn devices(&self) -> Vec<DeviceInfo>;

    /// The full name of the device that is called `name` on a command line, whether this host has it or not; none where
    /// that is no name of this backend's: `cuda` is `cuda:0`.
    fn full_name(&self, name: &str) -> Option<String>;

    /// The names that it knows, as a part of a sentence.
    fn names(&self) -> &'static str;

    /// How its devices differ from others.
    fn traits(&self) -> &'static DeviceTraits;

    /// The sources of telemetry whose sensors are its devices' own.
    fn sensors(&self) -> &'static [&'static str];

    /// Opens the device of a full name.
    ///
    /// # Errors
    /// Where Burn does not find it.
    fn open(&self, name: &str) -> Result<Device, DeviceError>;
}
