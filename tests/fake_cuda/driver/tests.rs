//! The driver as a program calls it. Each test takes a card of its own, since what goes wrong on one stays.

use super::*;
use std::{ffi::c_void, ptr::null_mut};

/// Cards for the tests: launches do nothing.
pub fn settings() -> Settings {
    let pairs = [
        ("FAKE_CUDA_CARDS", "sm_90,sm_90,sm_80,sm_80,sm_75,sm_75,sm_86,sm_86"),
        ("FAKE_CUDA_MEMORY", "64MiB"),
        ("FAKE_CUDA_EXECUTE", "0"),
        ("FAKE_CUDA_LOG", "/dev/null"),
    ];
    Settings::read(|name| pairs.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned())).unwrap()
}
