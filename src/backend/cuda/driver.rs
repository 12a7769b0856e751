//! The NVIDIA driver: its version, and the cards that it sees.
//!
//! Burn opens it lazily and panics on another thread where it is missing; here each absence has its own message and remedy.

use super::{absent::CudaAbsent, version::Version};
use crate::{
    event::{DeviceInfo, Precision},
    host,
};
use libloading::os::unix::{Library, Symbol};
use std::ffi::{CStr, c_char, c_int, c_uint};

const SUCCESS: c_int = 0;
const COMPUTE_CAPABILITY_MAJOR: c_int = 75;
const COMPUTE_CAPABILITY_MINOR: c_int = 76;

/// The few functions of the driver that tell what is there.
pub struct Driver {
    library: Library,
}

impl Driver {
    /// Opens it.
    ///
    /// # Errors
    /// If there is none, or it does not start.
    pub fn open() -> Result<Self, CudaAbsent> {
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

    /// The newest version of CUDA that it supports.
    ///
    /// # Errors
    /// If it does not tell, or is older than what CubeCL calls: tensor maps came with CUDA 12.0.
    pub fn version(&self) -> Result<Version, CudaAbsent> {
        let mut number = 0;
        type GetVersion = unsafe extern "C" fn(*mut c_int) -> c_int;
        // SAFETY: `number` outlives the call.
        match self.call("cuDriverGetVersion", |f: Symbol<GetVersion>| unsafe { f(&mut number) })? {
            SUCCESS => {}
            code => return Err(self.refusal(code)),
        }
        let version = Version::from_number(u32::try_from(number).unwrap_or(0));
        if version.major < 12 { Err(CudaAbsent::OldDriver(version)) } else { Ok(version) }
    }

    /// Its cards.
    ///
    /// # Errors
    /// If it sees none.
    pub fn cards(&self) -> Result<Vec<Card>, CudaAbsent> {
        Ok((0..self.count()?).map(|device| self.card(device)).collect())
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

    fn card(&self, device: c_int) -> Card {
        let capability = [COMPUTE_CAPABILITY_MAJOR, COMPUTE_CAPABILITY_MINOR].map(|attribute| {
            self.attribute(attribute, device).and_then(|value| u32::try_from(value).ok()).unwrap_or(0)
        });
        let info = DeviceInfo {
            name: format!("cuda:{device}"),
            title: self.name(device).unwrap_or_else(|| "unnamed CUDA device".to_owned()),
            precisions: precisions(capability),
            memory_bytes: self.memory(device),
            uuid: self.uuid(device),
            driver: host::nvidia_driver(),
            ..DeviceInfo::default()
        };
        Card { info, architecture: capability[0] * 10 + capability[1] }
    }
}

/// A card that the driver sees.
#[derive(Clone, Debug, PartialEq)]
pub struct Card {
    /// What it says about itself.
    pub info: DeviceInfo,
    /// Its compute capability as compilers name it: 75 for 7.5.
    pub architecture: u32,
}

fn no_card() -> CudaAbsent {
    let hidden = std::env::var_os("CUDA_VISIBLE_DEVICES").is_some();
    CudaAbsent::NoCard(if hidden { ": CUDA_VISIBLE_DEVICES is set and may hide it" } else { "" })
}

/// What Burn computes in on a card of a compute capability.
///
/// From 8.0 on, cubek 0.3 lets its autotuner choose TF32 tensor-core kernels for f32 products and has no switch against
/// it: such a card offers `tf32` and not `f32`. Before 8.0 there is no TF32 and f32 is what it says.
fn precisions(capability: [u32; 2]) -> Vec<Precision> {
    match capability {
        [8..=u32::MAX, _] => vec![Precision::Tf32, Precision::F16, Precision::Bf16],
        [6 | 7, _] | [5, 3] => vec![Precision::F32, Precision::F16],
        _ => vec![Precision::F32],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ampere_and_newer_say_tf32_and_older_cards_f32() {
        assert_eq!(precisions([9, 0])[0], Precision::Tf32);
        assert!(!precisions([8, 6]).contains(&Precision::F32));
        assert_eq!(precisions([7, 5]), [Precision::F32, Precision::F16]);
        assert_eq!(precisions([5, 2]), [Precision::F32]);
    }
}
