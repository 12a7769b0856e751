//! NVIDIA's cards, by kernels that CubeCL compiles through NVRTC.

mod absent;
mod driver;
mod toolchain;
mod version;

use super::{
    burn::{BurnDevice, cubecl},
    error::DeviceError,
    interface::{Backend, Device},
};
use crate::{
    event::{DeviceInfo, DeviceKind, DeviceMemory, DeviceTraits, OthersLoad},
    host,
};
use absent::CudaAbsent;
use burn::tensor::{self, DeviceType};
use burn_dispatch::backends::Cube;
use driver::{Card, Driver};
use std::{
    borrow::Cow,
    ffi::OsString,
    sync::{Arc, OnceLock},
};
use toolchain::Toolchain;

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

/// The cards of this host, and what compiles kernels for them.
///
/// # Errors
/// Says what is missing first, in the order driver, card, NVRTC, headers.
fn found() -> Result<&'static (Vec<Card>, Toolchain), CudaAbsent> {
    static FOUND: OnceLock<Result<(Vec<Card>, Toolchain), CudaAbsent>> = OnceLock::new();
    let find = || {
        let driver = Driver::open()?;
        let (version, cards) = (driver.version()?, driver.cards()?);
        let oldest = cards.iter().map(|card| card.architecture).min().unwrap_or(0);
        let toolchain = toolchain::find(version, oldest, host::cache_folder().as_deref())?;
        Ok((cards, toolchain))
    };
    FOUND.get_or_init(find).as_ref().map_err(CudaAbsent::clone)
}

/// An absence of CUDA where a device of it was asked for.
fn absent(name: &str) -> impl FnOnce(CudaAbsent) -> DeviceError {
    move |absent| DeviceError::Absent { name: name.to_owned(), reason: absent.to_string() }
}

impl Backend for Cuda {
    fn devices(&self) -> Vec<DeviceInfo> {
        match found() {
            Ok((cards, toolchain)) => {
                let of = |card: &Card| DeviceInfo {
                    traits: Some(TRAITS.clone()),
                    compiler: Some(toolchain.describe()),
                    ..card.info.clone()
                };
                cards.iter().map(of).collect()
            }
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

    fn environment(&self) -> Result<Vec<(&'static str, OsString)>, DeviceError> {
        let (_, toolchain) = found().map_err(absent("cuda"))?;
        toolchain::environment(toolchain, host::cache_folder().as_deref()).map_err(absent("cuda"))
    }

    fn open(&self, name: &str) -> Result<Arc<dyn Device>, DeviceError> {
        let hidden = || DeviceError::Hidden(name.to_owned());
        let index = index(name).ok_or_else(hidden)?;
        let (cards, toolchain) = found().map_err(absent(name))?;
        toolchain::open(toolchain).map_err(absent(name))?;
        let Card { info, architecture } = cards.get(usize::from(index)).ok_or_else(hidden)?;
        let driver = info.driver.as_deref().unwrap_or("unknown");
        cubecl::keep_caches(&format!("{}-sm{architecture}-driver{driver}-nvrtc{}", info.title, toolchain.version));
        let found = tensor::Device::enumerate(DeviceType::Cuda).into_vec().into_iter().nth(index.into());
        Ok(Arc::new(BurnDevice::<Cube>::new(found.ok_or_else(hidden)?, &TRAITS)))
    }
}
