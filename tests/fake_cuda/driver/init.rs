//! `cuInit`, versions, and what a loader asks for.

use super::{api, driver, error, give, handle::Handle};
use crate::cards::Card;
use std::{
    ffi::{CStr, c_char, c_int, c_uint, c_void},
    sync::atomic::Ordering,
};

#[repr(C)]
struct DlInfo {
    file: *const c_char,
    base: *mut c_void,
    symbol: *const c_char,
    address: *mut c_void,
}

unsafe extern "C" {
    fn dladdr(address: *const c_void, info: *mut DlInfo) -> c_int;
    fn dlopen(file: *const c_char, mode: c_int) -> *mut c_void;
    fn dlsym(library: *mut c_void, name: *const c_char) -> *mut c_void;
}

/// Open lazily, and only what is loaded already.
const RTLD_LAZY_NOLOAD: c_int = 1 | 4;

/// The bytes of a card's UUID: a text that says that it is none of NVIDIA's, and its slot at the end.
pub fn uuid(slot: usize) -> [u8; 16] {
    let mut bytes = *b"software-card-\0\0";
    bytes[15] = slot as u8;
    bytes
}

/// A card's UUID as the tools write it.
pub fn uuid_text(slot: usize) -> String {
    let hex: String = uuid(slot).iter().map(|byte| format!("{byte:02x}")).collect();
    format!("GPU-{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
}

/// The cards that `CUDA_VISIBLE_DEVICES` lets through, in its order, each with its slot: numbers or beginnings of UUIDs, up
/// to the first that is neither.
pub fn visible(cards: &[Card], list: Option<&str>) -> Vec<(usize, Card)> {
    let all = || cards.iter().copied().enumerate();
    let Some(list) = list else { return all().collect() };
    let named = |name: &str| match name.parse::<usize>() {
        Ok(slot) => all().nth(slot),
        Err(_) => all().find(|(slot, _)| name.starts_with("GPU-") && uuid_text(*slot).starts_with(name)),
    };
    list.split(',').map_while(|name| named(name.trim())).collect()
}

api! {
    fn cuInit(flags: c_uint) {
        if flags != 0 {
            return Err(error::INVALID_VALUE);
        }
        let driver = driver();
        if driver.boards.is_empty() {
            return Err(error::NO_DEVICE);
        }
        driver.initialised.store(true, Ordering::Release);
        super::state::announce();
        Ok(())
    }

    fn cuDriverGetVersion(version: *mut c_int) {
        give(version, driver().settings.driver as c_int)
    }

    fn cuGetProcAddress_v2(
        symbol: *const c_char, found: *mut Handle, version: c_int, _flags: u64, status: *mut c_int
    ) {
        // CU_GET_PROC_ADDRESS_SUCCESS, _SYMBOL_NOT_FOUND and _VERSION_NOT_SUFFICIENT.
        let (address, answer) = if version as u32 > driver().settings.driver {
            (std::ptr::null_mut(), 2)
        } else {
            let address = newest(CStr::from_ptr(symbol));
            (address, c_int::from(address.is_null()))
        };
        give(found, address)?;
        if !status.is_null() {
            give(status, answer)?;
        }
        if answer == 0 { Ok(()) } else { Err(error::NOT_FOUND) }
    }

    fn cuGetProcAddress(symbol: *const c_char, found: *mut Handle, version: c_int, flags: u64) {
        match cuGetProcAddress_v2(symbol, found, version, flags, std::ptr::null_mut()) {
            0 => Ok(()),
            code => Err(error::Error(code)),
        }
    }

    /// Tables that NVIDIA's own libraries ask for and do without.
    fn cuGetExportTable(table: *mut *const c_void, _id: *const c_void) {
        give(table, std::ptr::null())?;
        Err(error::NOT_FOUND)
    }

    fn cuProfilerStart() { Ok(()) }

    fn cuProfilerStop() { Ok(()) }
}

/// The newest variant of a function that this library has.
fn newest(name: &CStr) -> Handle {
    let name = name.to_string_lossy();
    let none = std::ptr::null_mut();
    let mut info = DlInfo { file: std::ptr::null(), base: none, symbol: std::ptr::null(), address: none };
    // SAFETY: `info` outlives the calls, and the file's name is the loader's own.
    let library = unsafe {
        dladdr(cuInit as *const c_void, &mut info);
        dlopen(info.file, RTLD_LAZY_NOLOAD)
    };
    let variants = ["_v3", "_v2", ""].into_iter().map(|suffix| format!("{name}{suffix}\0"));
    variants
        // SAFETY: the name ends with zero. A null handle would mean everything that is loaded, this library among it.
        .map(|variant| unsafe { dlsym(library, variant.as_ptr().cast()) })
        .find(|address| !address.is_null())
        .unwrap_or(std::ptr::null_mut())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn visible_devices_choose_and_order() {
        let cards = [Card::named("sm_90").unwrap(), Card::named("sm_75").unwrap()];
        let slots = |list: &str| visible(&cards, Some(list)).into_iter().map(|(slot, _)| slot).collect::<Vec<_>>();
        assert_eq!(slots("1,0"), [1, 0]);
        assert_eq!(slots("1,-1,0"), [1], "what stands behind an unknown one is hidden");
        assert_eq!(slots(""), [0; 0]);
        assert_eq!(slots(&uuid_text(1)), [1]);
        assert_eq!(visible(&cards, None).len(), 2);
    }
}
