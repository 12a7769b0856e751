//! What the CUDA path needs at run time, checked before Burn is asked: a driver, a card, NVRTC and the CUDA headers.
//!
//! Burn opens all of them lazily and panics on another thread where one is missing; here each absence has its own
//! message and remedy.

use crate::{
    event::{DeviceInfo, Precision},
    host,
};
use libloading::os::unix::{Library, RTLD_GLOBAL, RTLD_NOW, Symbol};
use std::{
    ffi::{CStr, c_char, c_int, c_uint},
    path::{Path, PathBuf},
};
use thiserror::Error;

/// Why CUDA can't be used here, and what to do about it.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum CudaAbsent {
    /// No driver library.
    #[error("libcuda.so.1 not found: install the NVIDIA driver (in a container, start it with --gpus)")]
    NoDriver,
    /// The driver refused.
    #[error("the NVIDIA driver does not start: {0}")]
    Driver(String),
    /// The driver works and sees no card.
    #[error("the NVIDIA driver sees no card{0}")]
    NoCard(&'static str),
    /// No run-time compiler.
    #[error(
        "libnvrtc.so not found in the loader's path or {0}: install the CUDA toolkit 12 or 13, or its wheel \
         nvidia-cuda-nvrtc with its lib folder in LD_LIBRARY_PATH"
    )]
    NoNvrtc(String),
    /// No toolkit folder.
    #[error(
        "CUDA headers not found: install the CUDA toolkit, or set CUDA_PATH to the folder whose include/ has \
         cuda_fp16.h (looked in CUDA_PATH, /usr/local/cuda, /opt/cuda)"
    )]
    NoToolkit,
    /// A toolkit folder without what kernels include.
    #[error("{0} is missing: install the CUDA headers (packages cuda-cudart-dev and cuda-cccl, or their wheels)")]
    NoHeader(String),
}

const SUCCESS: c_int = 0;
const COMPUTE_CAPABILITY_MAJOR: c_int = 75;
const COMPUTE_CAPABILITY_MINOR: c_int = 76;

/// The few functions of the driver that tell what is there.
struct Driver {
    library: Library,
}

impl Driver {
    fn open() -> Result<Self, CudaAbsent> {
        // SAFETY: loading the driver runs its initialisers, as any CUDA program does.
        let library = unsafe { Library::new("libcuda.so.1") }.map_err(|_| CudaAbsent::NoDriver)?;
        let driver = Self { library };
        match driver.call("cuInit", |f: Symbol<unsafe extern "C" fn(c_uint) -> c_int>| unsafe { f(0) }) {
            Ok(SUCCESS) => Ok(driver),
            Ok(code) => Err(driver.refusal(code)),
            Err(error) => Err(error),
        }
    }

    /// Looks `name` up and hands it to `call`.
    fn call<F, R>(&self, name: &str, call: impl FnOnce(Symbol<F>) -> R) -> Result<R, CudaAbsent> {
        // SAFETY: each caller names the function's type as the CUDA driver API documents it.
        let symbol = unsafe { self.library.get(name.as_bytes()) };
        symbol.map(call).map_err(|error| CudaAbsent::Driver(error.to_string()))
    }

    fn refusal(&self, code: c_int) -> CudaAbsent {
        type GetErrorString = unsafe extern "C" fn(c_int, *mut *const c_char) -> c_int;
        let text = self.call("cuGetErrorString", |f: Symbol<GetErrorString>| {
            let mut text = std::ptr::null();
            // SAFETY: the driver writes a pointer to a static string, or leaves null.
            unsafe {
                f(code, &mut text);
                (!text.is_null()).then(|| CStr::from_ptr(text).to_string_lossy().into_owned())
            }
        });
        // CUDA_ERROR_NO_DEVICE
        if code == 100 {
            return no_card();
        }
        CudaAbsent::Driver(text.ok().flatten().unwrap_or_else(|| format!("error {code}")))
    }

    fn count(&self) -> Result<c_int, CudaAbsent> {
        let mut count = 0;
        type Count = unsafe extern "C" fn(*mut c_int) -> c_int;
        // SAFETY: `count` outlives the call.
        match self.call("cuDeviceGetCount", |f: Symbol<Count>| unsafe { f(&mut count) })? {
            SUCCESS if count > 0 => Ok(count),
            SUCCESS => Err(no_card()),
            code => Err(self.refusal(code)),
        }
    }

    fn name(&self, device: c_int) -> Option<String> {
        let mut name = [0 as c_char; 256];
        type Name = unsafe extern "C" fn(*mut c_char, c_int, c_int) -> c_int;
        // SAFETY: the driver writes at most the 256 bytes it is told of, zero-terminated.
        self.call("cuDeviceGetName", |f: Symbol<Name>| unsafe { f(name.as_mut_ptr(), 256, device) }).ok()?;
        name[255] = 0;
        // SAFETY: zero-terminated by the line above.
        Some(unsafe { CStr::from_ptr(name.as_ptr()) }.to_string_lossy().into_owned())
    }

    fn uuid(&self, device: c_int) -> Option<String> {
        let mut b = [0u8; 16];
        type Uuid = unsafe extern "C" fn(*mut u8, c_int) -> c_int;
        // SAFETY: a CUuuid is 16 bytes.
        let code = self.call("cuDeviceGetUuid", |f: Symbol<Uuid>| unsafe { f(b.as_mut_ptr(), device) }).ok()?;
        let hex: String = b.iter().map(|byte| format!("{byte:02x}")).collect();
        (code == SUCCESS)
            .then(|| format!("GPU-{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]))
    }

    fn memory(&self, device: c_int) -> Option<u64> {
        let mut bytes = 0usize;
        type Total = unsafe extern "C" fn(*mut usize, c_int) -> c_int;
        // SAFETY: `bytes` outlives the call.
        let code = self.call("cuDeviceTotalMem_v2", |f: Symbol<Total>| unsafe { f(&mut bytes, device) }).ok()?;
        (code == SUCCESS).then_some(bytes as u64)
    }

    fn attribute(&self, attribute: c_int, device: c_int) -> Option<c_int> {
        let mut value = 0;
        type Attribute = unsafe extern "C" fn(*mut c_int, c_int, c_int) -> c_int;
        // SAFETY: `value` outlives the call.
        let ask = |f: Symbol<Attribute>| unsafe { f(&mut value, attribute, device) };
        let code = self.call("cuDeviceGetAttribute", ask).ok()?;
        (code == SUCCESS).then_some(value)
    }

    fn info(&self, device: c_int) -> DeviceInfo {
        let major = self.attribute(COMPUTE_CAPABILITY_MAJOR, device).unwrap_or(0);
        let minor = self.attribute(COMPUTE_CAPABILITY_MINOR, device).unwrap_or(0);
        DeviceInfo {
            name: format!("cuda:{device}"),
            title: self.name(device).unwrap_or_else(|| "unnamed CUDA device".to_owned()),
            precisions: precisions(major, minor),
            memory_bytes: self.memory(device),
            uuid: self.uuid(device),
            driver: host::nvidia_driver(),
            ..DeviceInfo::default()
        }
    }
}

fn no_card() -> CudaAbsent {
    let hidden = std::env::var_os("CUDA_VISIBLE_DEVICES").is_some();
    CudaAbsent::NoCard(if hidden { ": CUDA_VISIBLE_DEVICES is set and may hide it" } else { "" })
}

/// What Burn computes in on a card of a compute capability.
///
/// From 8.0 on, cubek 0.3 lets its autotuner choose TF32 tensor-core kernels for f32 products and has no switch against
/// it: such a card offers `tf32` and not `f32`. Before 8.0 there is no TF32 and f32 is what it says.
fn precisions(major: c_int, minor: c_int) -> Vec<Precision> {
    match (major, minor) {
        (8.., _) => vec![Precision::Tf32, Precision::F16, Precision::Bf16],
        (6 | 7, _) | (5, 3) => vec![Precision::F32, Precision::F16],
        _ => vec![Precision::F32],
    }
}

/// Every CUDA device that Burn can use.
///
/// # Errors
/// Says what is missing first, in the order driver, card, NVRTC, headers.
pub fn devices() -> Result<Vec<DeviceInfo>, CudaAbsent> {
    let driver = Driver::open()?;
    let count = driver.count()?;
    prepare()?;
    Ok((0..count).map(|device| driver.info(device)).collect())
}

/// Prepares this process for Burn: opens NVRTC, and looks for the headers that kernels include.
///
/// # Errors
/// Says which of them is missing.
pub fn prepare() -> Result<(), CudaAbsent> {
    let toolkit = toolkit();
    find_nvrtc(toolkit.as_deref())?;
    headers(toolkit.as_deref())
}

/// The folder in which `cubecl-cuda` will look for headers; the same places in the same order.
fn toolkit() -> Option<PathBuf> {
    if let Some(path) = std::env::var_os("CUDA_PATH") {
        return Some(path.into());
    }
    let usual = ["/usr/local/cuda", "/opt/cuda"].into_iter().map(PathBuf::from).find(|path| path.exists());
    usual.or_else(|| Path::new("/usr/bin/nvcc").exists().then(|| "/usr".into()))
}

/// Headers that Burn's kernels include: half precision and tensor cores.
fn headers(toolkit: Option<&Path>) -> Result<(), CudaAbsent> {
    let include = toolkit.ok_or(CudaAbsent::NoToolkit)?.join("include");
    match ["cuda_runtime.h", "cuda_fp16.h", "cuda_bf16.h", "mma.h"].iter().find(|name| !include.join(name).exists()) {
        Some(name) => Err(CudaAbsent::NoHeader(include.join(name).display().to_string())),
        None => Ok(()),
    }
}

/// Opens NVRTC and leaves it open, so that Burn, which asks the loader by bare name, finds it even where only the
/// toolkit's own folder has it.
fn find_nvrtc(toolkit: Option<&Path>) -> Result<(), CudaAbsent> {
    const NAMES: [&str; 4] = ["libnvrtc.so", "libnvrtc.so.13", "libnvrtc.so.12", "libnvrtc.so.11.2"];
    let folders: Vec<PathBuf> =
        toolkit.iter().flat_map(|t| ["lib64", "lib", "targets/x86_64-linux/lib"].map(|l| t.join(l))).collect();
    let bare = NAMES.iter().map(PathBuf::from);
    let full = folders.iter().flat_map(|folder| NAMES.iter().map(|name| folder.join(name)));
    for candidate in bare.chain(full) {
        // SAFETY: NVRTC's initialisers run as they would when Burn opens it.
        if let Ok(library) = unsafe { Library::open(Some(&candidate), RTLD_NOW | RTLD_GLOBAL) } {
            std::mem::forget(library);
            return Ok(());
        }
    }
    let looked = folders.first().map_or_else(|| "a CUDA toolkit".to_owned(), |f| f.display().to_string());
    Err(CudaAbsent::NoNvrtc(looked))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ampere_and_newer_say_tf32_and_older_cards_f32() {
        assert_eq!(precisions(9, 0)[0], Precision::Tf32);
        assert!(!precisions(8, 6).contains(&Precision::F32));
        assert_eq!(precisions(7, 5), [Precision::F32, Precision::F16]);
        assert_eq!(precisions(5, 2), [Precision::F32]);
    }

    #[test]
    fn a_toolkit_without_headers_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let error = headers(Some(folder.path())).unwrap_err();
        assert!(error.to_string().contains("include/cuda_runtime.h is missing"), "{error}");
        assert_eq!(headers(None), Err(CudaAbsent::NoToolkit));
    }
}
