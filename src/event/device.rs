//! Devices, and what a graphics card says about itself.

use super::{config::Precision, traits::DeviceTraits};
use serde::{Deserialize, Serialize};

/// A device on which networks can run, or a kind of device that is absent, with the reason.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct DeviceInfo {
    /// `cpu`, `cuda:0`; `cuda` for an absent kind.
    pub name: String,
    /// What the device calls itself.
    pub title: String,
    /// The precisions that it supports; the first one is the default. Empty where it is absent.
    pub precisions: Vec<Precision>,
    /// Its memory, bytes.
    pub memory_bytes: Option<u64>,
    /// UUID of a card as its driver prints it (`GPU-…`), by which NVML finds the same card.
    pub uuid: Option<String>,
    /// Version of its driver, where it has one of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub driver: Option<String>,
    /// What compiles its kernels at run time, and where that was found: `NVRTC 12.9 (/usr/local/cuda/lib64/libnvrtc.so)`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compiler: Option<String>,
    /// How it differs from other devices. Missing where the device is absent, and in older streams.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub traits: Option<DeviceTraits>,
    /// What this program may use less of than the device has, and what says so: `memory: 400 MiB by memory.max of the control
    /// group`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub limits: Vec<String>,
    /// Why it can't be used, and what to do about it.
    pub absent: Option<String>,
}

/// What a graphics card says about itself (MEASURING.md, rule 15: a record keeps it).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Card {
    /// Device name, `cuda:0`.
    pub device: String,
    /// Product name.
    pub title: String,
    /// UUID.
    pub uuid: Option<String>,
    /// Driver version.
    pub driver: Option<String>,
    /// Newest CUDA version that the driver supports, `13.0`.
    pub cuda: Option<String>,
    /// PCI bus id.
    pub pci: Option<String>,
    /// Power limit in force, W.
    pub power_cap_w: Option<f64>,
    /// Highest clock of the compute units, MHz.
    pub max_compute_clock_mhz: Option<u32>,
    /// `locked at 1410 MHz`, `floating`, or why it is not known.
    pub clock_policy: Option<String>,
}

/// A process of somebody else on the card: its load adds to the power that is measured.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Neighbour {
    /// Process id.
    pub pid: u32,
    /// Its name, as far as the host reports it.
    pub name: String,
    /// Its memory on the card, bytes.
    pub memory_bytes: Option<u64>,
}
