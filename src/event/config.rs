//! A configuration: network, batch size, precision and device.

use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};

/// The arithmetic a network runs in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Precision {
    /// IEEE 754 binary32 throughout.
    F32,
    /// Stored as f32; tensor cores round the inputs of products to 10 bits of mantissa.
    Tf32,
    /// IEEE 754 binary16.
    F16,
    /// bfloat16: the range of f32, 7 bits of mantissa.
    Bf16,
}

impl Precision {
    /// Every precision, in the order in which the `p` key cycles through them.
    pub const ALL: [Self; 4] = [Self::F32, Self::Tf32, Self::F16, Self::Bf16];

    /// The name used on the command line, on the screen and in records.
    pub const fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::Tf32 => "tf32",
            Self::F16 => "f16",
            Self::Bf16 => "bf16",
        }
    }

    /// Bytes of one stored value.
    pub const fn bytes(self) -> u64 {
        match self {
            Self::F32 | Self::Tf32 => 4,
            Self::F16 | Self::Bf16 => 2,
        }
    }
}

impl fmt::Display for Precision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Precision {
    type Err = String;

    fn from_str(s: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|p| p.name() == s)
            .ok_or_else(|| format!("unknown precision '{s}': f32, tf32, f16 or bf16"))
    }
}

/// A configuration: everything that a user can choose about a run.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Config {
    /// Name of the model, such as `resnet50`: a network that is built in, or what another source of models knows.
    pub network: String,
    /// Samples in one batch: images, sequences.
    pub batch: u32,
    /// Arithmetic.
    pub precision: Precision,
    /// Device name: `cpu`, `cuda:0`.
    pub device: String,
}

impl fmt::Display for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} · batch {} · {} · {}", self.network, self.batch, self.precision, self.device)
    }
}
