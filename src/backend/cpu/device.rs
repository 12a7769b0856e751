//! The processor as a device.

use crate::{
    backend::{error::DeviceError, interface::Backend},
    event::{DeviceInfo, DeviceKind, DeviceMemory, DeviceTraits, OthersLoad, Precision},
    host,
};
use burn::tensor::Device;
use std::borrow::Cow;

/// The only name.
const NAME: &str = "cpu";

static TRAITS: DeviceTraits = DeviceTraits {
    kind: DeviceKind::Processor,
    own_clock: false,
    graphs: false,
    compiles: false,
    memory: DeviceMemory::Host,
    others: OthersLoad::ProcessorTime,
    utilisation_of: Cow::Borrowed("CPU"),
};

/// The processor of this host, by our own kernels, or by Burn's where those do not know what a model does.
#[derive(Debug)]
pub struct Cpu;

impl Backend for Cpu {
    fn devices(&self) -> Vec<DeviceInfo> {
        vec![DeviceInfo {
            name: NAME.to_owned(),
            title: host::processor(),
            precisions: vec![Precision::F32, Precision::F16, Precision::Bf16],
            memory_bytes: host::memory().map(|m| m.total),
            traits: Some(TRAITS.clone()),
            ..DeviceInfo::default()
        }]
    }

    fn full_name(&self, name: &str) -> Option<String> {
        (name == NAME).then(|| name.to_owned())
    }

    fn names(&self) -> &'static str {
        NAME
    }

    fn traits(&self) -> &'static DeviceTraits {
        &TRAITS
    }

    fn sensors(&self) -> &'static [&'static str] {
        &["rapl", "hwmon"]
    }

    fn open(&self, _name: &str) -> Result<Device, DeviceError> {
        Ok(Device::flex())
    }
}
