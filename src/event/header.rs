//! The header of a session: where, when and by which program it was recorded.

use super::ids::StationId;
use serde::{Deserialize, Serialize};

/// Version of the stream's schema: raised when a reader of the old one would misread the new.
pub const SCHEMA: u32 = 1;

/// Version in the first header of a stream of several stations, so that a reader of [`SCHEMA`], which knows only one
/// station, refuses it instead of mixing them.
pub const FLEET_SCHEMA: u32 = 2;

/// Where, when and by what a session was recorded: what a record must keep to be believed later (MLPerf Power rules,
/// arXiv 2410.12032).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Header {
    /// [`SCHEMA`], or [`FLEET_SCHEMA`] where there are several stations.
    pub schema: u32,
    /// Version of wattscope that wrote the session.
    pub version: String,
    /// Version of Burn that ran the networks.
    pub burn: String,
    /// Wall clock at t = 0, RFC 3339. A later header gives the wall clock at t = 0 as well, not at its own time.
    pub started: String,
    /// Host name.
    pub host: String,
    /// Operating system and kernel.
    pub os: String,
    /// Processor name.
    pub cpu: String,
    /// Logical processors that the process may use.
    pub cpus: u32,
    /// Physical memory, bytes.
    pub memory_bytes: u64,
    /// The command line as given.
    pub command: Vec<String>,
    /// Whether networks run with their batch norms folded into the layers before them.
    #[serde(default)]
    pub folded: bool,
    /// The device of this station, where there are several stations and the device was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device: Option<String>,
    /// Number of stations, where there are several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stations: Option<StationId>,
}
