//! NVIDIA's cards, by kernels that CubeCL compiles through NVRTC.

mod driver;

use super::{
    burn::{BurnDevice, cubecl},
    error::DeviceError,
    interface::{Backend, Device},
};
use crate::event::{DeviceInfo, DeviceKind, DeviceMemory, DeviceTraits, OthersLoad};
use burn::tensor::{self, DeviceType};
use burn_dispatch::backends::Cube;
use std::{borrow::Cow, sync::Arc};

static TRAITS: DeviceTraits = DeviceTraits {
    kind: DeviceKind::Card,
    own_clock: true,
    graphs: true,
    compiles: true,
    memory: DeviceMemory::Own,
    others: OthersLoad::Processes,
    utilisation_of: Cow::Borrowed("SM"),
};

/// The backend.
#[derive(Debug)]
pub struct Cuda;

/// The number of a card in its name: 3 of `cuda:3`.
fn index(name: &str) -> Option<u16> {
    name.strip_prefix("cuda:")?.parse().ok()
}

impl Backend for Cuda {
    fn devices(&self) -> Vec<DeviceInfo> {
        match driver::devices() {
            Ok(cards) => cards.into_iter().map(|card| DeviceInfo { traits: Some(TRAITS.clone()), ..card }).collect(),
            Err(absent) => vec![DeviceInfo {
                name: "cuda".to_owned(),
                title: "NVIDIA CUDA".to_owned(),
                absent: Some(absent.to_string()),
                ..DeviceInfo::default()
            }],
        }
    }

    fn full_name(&self, name: &str) -> Option<String> {
        let index = if name == "cuda" { 0 } else { index(name)? };
        Some(format!("cuda:{index}"))
    }

    fn names(&self) -> &'static str {
        "cuda, or cuda:N with N the number of a card"
    }

    fn traits(&self) -> &'static DeviceTraits {
        &TRAITS
    }

    fn sensors(&self) -> &'static [&'static str] {
        &["nvml"]
    }

    /// The driver reserves address space by the terabyte: a limit of the data segment would end it at once.
    fn memory_limit(&self, _asked: Option<u64>) -> Option<u64> {
        None
    }

    fn open(&self, name: &str) -> Result<Arc<dyn Device>, DeviceError> {
        let hidden = || DeviceError::Hidden(name.to_owned());
        let index = index(name).ok_or_else(hidden)?;
        cubecl::keep_caches();
        driver::prepare()
            .map_err(|absent| DeviceError::Absent { name: name.to_owned(), reason: absent.to_string() })?;
        let found = tensor::Device::enumerate(DeviceType::Cuda).into_vec().into_iter().nth(index.into());
        Ok(Arc::new(BurnDevice::<Cube>::new(found.ok_or_else(hidden)?, &TRAITS)))
    }
}
