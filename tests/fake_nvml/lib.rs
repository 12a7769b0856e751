//! A fake `libnvidia-ml.so.1`: the functions of NVML that wattscope calls, with the C signatures of `nvml.h`.
//!
//! Every call reads its values from the file `<this library>.control`, one `key value` a line, so that a test can change a
//! card while it is sampled. Keys are listed at their uses; `fail.<function> <code>` makes a function
//! return that error. Built with `--cfg old` it lacks functions that old drivers lack.

#![allow(non_snake_case, clippy::missing_safety_doc)]

use std::{
    collections::HashMap,
    ffi::{CStr, c_char, c_int, c_longlong, c_uint, c_ulonglong, c_void},
    sync::OnceLock,
};

const SUCCESS: c_uint = 0;
const INVALID_ARGUMENT: c_uint = 2;
#[cfg(not(old))]
const NOT_SUPPORTED: c_uint = 3;
const INSUFFICIENT_SIZE: c_uint = 7;

#[repr(C)]
struct DlInfo {
    file: *const c_char,
    base: *mut c_void,
    symbol: *const c_char,
    address: *mut c_void,
}

unsafe extern "C" {
    fn dladdr(address: *const c_void, info: *mut DlInfo) -> c_int;
}

fn control_path() -> &'static str {
    static PATH: OnceLock<String> = OnceLock::new();
    PATH.get_or_init(|| {
        let mut info = DlInfo {
            file: std::ptr::null(),
            base: std::ptr::null_mut(),
            symbol: std::ptr::null(),
            address: std::ptr::null_mut(),
        };
        let here = nvmlShutdown as *const c_void;
        let file = unsafe {
            assert!(dladdr(here, &mut info) != 0);
            CStr::from_ptr(info.file)
        };
        format!("{}.control", file.to_str().unwrap())
    })
}

struct Control(HashMap<String, String>);

impl Control {
    fn read() -> Self {
        let text = std::fs::read_to_string(control_path()).unwrap_or_default();
        let pairs = text.lines().filter_map(|line| line.split_once(' '));
        Self(pairs.map(|(key, value)| (key.to_string(), value.to_string())).collect())
    }

    /// The value of `key` for a card (`key.0`) or for all.
    fn text(&self, card: usize, key: &str) -> Option<&str> {
        self.0.get(&format!("{key}.{card}")).or_else(|| self.0.get(key)).map(String::as_str)
    }

    fn number(&self, card: usize, key: &str, default: u64) -> u64 {
        self.text(card, key).map_or(default, |value| value.parse().unwrap())
    }

    fn failure(&self, card: usize, function: &str) -> c_uint {
        self.number(card, &format!("fail.{function}"), self.number(card, "fail.all", 0)) as c_uint
    }
}

/// A card's handle is its index plus one, so that none is null.
fn card(device: *mut c_void) -> usize {
    device as usize - 1
}

/// A function of a card: returns the requested failure, or the result of `answer`.
fn ask(device: *mut c_void, function: &str, answer: impl FnOnce(usize, &Control) -> c_uint) -> c_uint {
    let (card, control) = (card(device), Control::read());
    match control.failure(card, function) {
        SUCCESS => answer(card, &control),
        failure => failure,
    }
}

fn give<T>(to: *mut T, value: T) -> c_uint {
    if to.is_null() {
        return INVALID_ARGUMENT;
    }
    unsafe { to.write(value) };
    SUCCESS
}

fn give_text(to: *mut c_char, length: c_uint, text: &str) -> c_uint {
    if text.len() >= length as usize {
        return INSUFFICIENT_SIZE;
    }
    unsafe {
        std::ptr::copy_nonoverlapping(text.as_ptr().cast(), to, text.len());
        to.add(text.len()).write(0);
    }
    SUCCESS
}

#[unsafe(no_mangle)]
pub extern "C" fn nvmlInit_v2() -> c_uint {
    Control::read().failure(0, "nvmlInit_v2")
}

#[unsafe(no_mangle)]
pub extern "C" fn nvmlShutdown() -> c_uint {
    SUCCESS
}

#[unsafe(no_mangle)]
pub extern "C" fn nvmlSystemGetDriverVersion(version: *mut c_char, length: c_uint) -> c_uint {
    give_text(version, length, "580.95.05")
}

#[unsafe(no_mangle)]
pub extern "C" fn nvmlSystemGetCudaDriverVersion_v2(version: *mut c_int) -> c_uint {
    give(version, 13000)
}

/// `cards`: their number, 1 by default.
#[unsafe(no_mangle)]
pub extern "C" fn nvmlDeviceGetCount_v2(count: *mut c_uint) -> c_uint {
    give(count, Control::read().number(0, "cards", 1) as c_uint)
}

#[unsafe(no_mangle)]
pub extern "C" fn nvmlDeviceGetHandleByIndex_v2(index: c_uint, device: *mut *mut c_void) -> c_uint {
    let handle = (index as usize + 1) as *mut c_void;
    ask(handle, "nvmlDeviceGetHandleByIndex_v2", |card, control| {
        let known = (card as u64) < control.number(0, "cards", 1);
        if known { give(device, handle) } else { INVALID_ARGUMENT }
    })
}

#[unsafe(no_mangle)]
pub extern "C" fn nvmlDeviceGetName(device: *mut c_void, name: *mut c_char, length: c_uint) -> c_uint {
    ask(device, "nvmlDeviceGetName", |_, _| give_text(name, length, "NVIDIA Fake 100"))
}

/// `uuid.<card>`: `GPU-<card>` by default.
#[unsafe(no_mangle)]
pub extern "C" fn nvmlDeviceGetUUID(device: *mut c_void, uuid: *mut c_char, length: c_uint) -> c_uint {
    ask(device, "nvmlDeviceGetUUID", |card, control| {
        let default = format!("GPU-{card}");
        give_text(uuid, length, control.text(card, "uuid").unwrap_or(&default))
    })
}

#[repr(C)]
pub struct PciInfo {
    bus_id_legacy: [c_char; 16],
    domain: c_uint,
    bus: c_uint,
    device: c_uint,
    pci_device_id: c_uint,
    pci_subsystem_id: c_uint,
    bus_id: [c_char; 32],
}

/// `pci_device_id`: 0x233010de (H100) by default, decimal.
#[unsafe(no_mangle)]
pub extern "C" fn nvmlDeviceGetPciInfo_v3(device: *mut c_void, info: *mut PciInfo) -> c_uint {
    ask(device, "nvmlDeviceGetPciInfo_v3", |card, control| {
        let mut bus_id = [0; 32];
        for (to, from) in bus_id.iter_mut().zip(b"00000000:4E:00.0") {
            *to = *from as c_char;
        }
        let pci_device_id = control.number(card, "pci_device_id", 0x2330_10de) as c_uint;
        let (bus_id_legacy, pci_subsystem_id) = ([0; 16], 0);
        give(info, PciInfo { bus_id_legacy, domain: 0, bus: 0x4e, device: 0, pci_device_id, pci_subsystem_id, bus_id })
    })
}

/// `architecture`: 9 (Hopper) by default.
#[unsafe(no_mangle)]
pub extern "C" fn nvmlDeviceGetArchitecture(device: *mut c_void, architecture: *mut c_uint) -> c_uint {
    ask(device, "nvmlDeviceGetArchitecture", |card, control| {
        give(architecture, control.number(card, "architecture", 9) as c_uint)
    })
}

#[repr(C)]
pub struct FieldValue {
    field: c_uint,
    scope: c_uint,
    timestamp: c_longlong,
    latency: c_longlong,
    value_type: c_uint,
    result: c_uint,
    value: c_ulonglong,
}

/// `instant` and `average`: mW, 612,000 and 598,000 by default; `fail.instant` and `fail.average` fail one alone.
#[cfg(not(old))]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceGetFieldValues(
    device: *mut c_void,
    count: c_int,
    values: *mut FieldValue,
) -> c_uint {
    ask(device, "nvmlDeviceGetFieldValues", |card, control| {
        for value in unsafe { std::slice::from_raw_parts_mut(values, count as usize) } {
            let (key, default) = match value.field {
                185 => ("average", 598_000),
                186 => ("instant", 612_000),
                _ => {
                    value.result = NOT_SUPPORTED;
                    continue;
                }
            };
            value.result = control.number(card, &format!("fail.{key}"), 0) as c_uint;
            value.value_type = 1;
            value.value = control.number(card, key, default);
        }
        SUCCESS
    })
}

/// `usage`: mW, 600,000 by default.
#[unsafe(no_mangle)]
pub extern "C" fn nvmlDeviceGetPowerUsage(device: *mut c_void, power: *mut c_uint) -> c_uint {
    ask(device, "nvmlDeviceGetPowerUsage", |card, control| {
        give(power, control.number(card, "usage", 600_000) as c_uint)
    })
}

/// `energy`: mJ, 5,000,250 by default.
#[unsafe(no_mangle)]
pub extern "C" fn nvmlDeviceGetTotalEnergyConsumption(device: *mut c_void, energy: *mut c_ulonglong) -> c_uint {
    ask(device, "nvmlDeviceGetTotalEnergyConsumption", |card, control| {
        give(energy, control.number(card, "energy", 5_000_250))
    })
}

/// `limit`: mW, 700,000 by default.
#[unsafe(no_mangle)]
pub extern "C" fn nvmlDeviceGetEnforcedPowerLimit(device: *mut c_void, limit: *mut c_uint) -> c_uint {
    ask(device, "nvmlDeviceGetEnforcedPowerLimit", |card, control| {
        give(limit, control.number(card, "limit", 700_000) as c_uint)
    })
}

#[repr(C)]
pub struct Utilization {
    gpu: c_uint,
    memory: c_uint,
}

/// `busy`: per cent, 96 by default.
#[unsafe(no_mangle)]
pub extern "C" fn nvmlDeviceGetUtilizationRates(device: *mut c_void, busy: *mut Utilization) -> c_uint {
    ask(device, "nvmlDeviceGetUtilizationRates", |card, control| {
        give(busy, Utilization { gpu: control.number(card, "busy", 96) as c_uint, memory: 41 })
    })
}

#[unsafe(no_mangle)]
pub extern "C" fn nvmlDeviceGetClockInfo(device: *mut c_void, domain: c_uint, clock: *mut c_uint) -> c_uint {
    ask(device, "nvmlDeviceGetClockInfo", |_, _| give(clock, if domain == 2 { 2619 } else { 1755 }))
}

#[unsafe(no_mangle)]
pub extern "C" fn nvmlDeviceGetMaxClockInfo(device: *mut c_void, _domain: c_uint, clock: *mut c_uint) -> c_uint {
    ask(device, "nvmlDeviceGetMaxClockInfo", |_, _| give(clock, 1980))
}

/// `application_clock`: MHz, 1980 by default.
#[unsafe(no_mangle)]
pub extern "C" fn nvmlDeviceGetApplicationsClock(device: *mut c_void, _domain: c_uint, clock: *mut c_uint) -> c_uint {
    ask(device, "nvmlDeviceGetApplicationsClock", |card, control| {
        give(clock, control.number(card, "application_clock", 1980) as c_uint)
    })
}

#[unsafe(no_mangle)]
pub extern "C" fn nvmlDeviceGetDefaultApplicationsClock(
    device: *mut c_void,
    _domain: c_uint,
    clock: *mut c_uint,
) -> c_uint {
    ask(device, "nvmlDeviceGetDefaultApplicationsClock", |_, _| give(clock, 1980))
}

/// `temperature`: °C, 61 by default.
#[unsafe(no_mangle)]
pub extern "C" fn nvmlDeviceGetTemperature(device: *mut c_void, _sensor: c_uint, temperature: *mut c_uint) -> c_uint {
    ask(device, "nvmlDeviceGetTemperature", |card, control| {
        give(temperature, control.number(card, "temperature", 61) as c_uint)
    })
}

/// Not supported, as on a passively cooled card, unless `fan` is set, per cent.
#[cfg(not(old))]
#[unsafe(no_mangle)]
pub extern "C" fn nvmlDeviceGetFanSpeed_v2(device: *mut c_void, _fan: c_uint, speed: *mut c_uint) -> c_uint {
    ask(device, "nvmlDeviceGetFanSpeed_v2", |card, control| match control.number(card, "fan", 999) {
        999 => NOT_SUPPORTED,
        fan => give(speed, fan as c_uint),
    })
}

#[repr(C)]
pub struct Memory {
    version: c_uint,
    total: c_ulonglong,
    reserved: c_ulonglong,
    free: c_ulonglong,
    used: c_ulonglong,
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceGetMemoryInfo_v2(device: *mut c_void, memory: *mut Memory) -> c_uint {
    ask(device, "nvmlDeviceGetMemoryInfo_v2", |_, _| {
        let version = unsafe { (*memory).version };
        give(memory, Memory { version, total: 80 << 30, reserved: 1 << 30, free: 48 << 30, used: 31 << 30 })
    })
}

#[unsafe(no_mangle)]
pub extern "C" fn nvmlDeviceGetPcieThroughput(device: *mut c_void, counter: c_uint, throughput: *mut c_uint) -> c_uint {
    // Counter 0 is what the card sends, 1 what it receives; KB/s.
    ask(device, "nvmlDeviceGetPcieThroughput", |_, _| give(throughput, if counter == 0 { 1000 } else { 3000 }))
}

/// `throttle`: NVML's bits, 0 by default.
#[cfg(not(old))]
#[unsafe(no_mangle)]
pub extern "C" fn nvmlDeviceGetCurrentClocksThrottleReasons(device: *mut c_void, reasons: *mut c_ulonglong) -> c_uint {
    ask(device, "nvmlDeviceGetCurrentClocksThrottleReasons", |card, control| {
        give(reasons, control.number(card, "throttle", 0))
    })
}

#[repr(C)]
pub struct ProcessInfo {
    pid: c_uint,
    used: c_ulonglong,
    gpu_instance: c_uint,
    compute_instance: c_uint,
}

unsafe fn processes(key: &str, device: *mut c_void, count: *mut c_uint, infos: *mut ProcessInfo) -> c_uint {
    ask(device, key, |card, control| {
        let text = control.text(card, key).unwrap_or_default();
        let pids: Vec<c_uint> = text.split_whitespace().map(|pid| pid.parse().unwrap()).collect();
        let room = unsafe { *count } as usize;
        give(count, pids.len() as c_uint);
        if pids.len() > room {
            return INSUFFICIENT_SIZE;
        }
        for (index, pid) in pids.into_iter().enumerate() {
            let none = c_uint::MAX;
            let info = ProcessInfo { pid, used: 512 << 20, gpu_instance: none, compute_instance: none };
            unsafe { infos.add(index).write(info) };
        }
        SUCCESS
    })
}

/// `compute`: processes with a compute context.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceGetComputeRunningProcesses_v3(
    device: *mut c_void,
    count: *mut c_uint,
    infos: *mut ProcessInfo,
) -> c_uint {
    unsafe { processes("compute", device, count, infos) }
}

/// `graphics`: processes with a graphics context.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceGetGraphicsRunningProcesses_v3(
    device: *mut c_void,
    count: *mut c_uint,
    infos: *mut ProcessInfo,
) -> c_uint {
    unsafe { processes("graphics", device, count, infos) }
}
