//! The header that a session begins with.

use crate::{
    event::{Header, SCHEMA},
    host,
};

/// Version of Burn, as `Cargo.toml` pins it.
const BURN: &str = "0.22.1";

/// The header of a session on this host. `folded`: whether networks run with their batch norms folded.
pub fn local(folded: bool) -> Header {
    Header {
        schema: SCHEMA,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        burn: BURN.to_owned(),
        started: jiff::Timestamp::now().to_string(),
        host: host::name(),
        os: host::system(),
        cpu: host::processor(),
        cpus: host::processors(),
        memory_bytes: host::physical_memory().map_or(0, |memory| memory.total),
        command: host::command_line(),
        folded,
        device: None,
        stations: None,
    }
}

/// The header of a session on a remote host that has not sent its own yet: it says nothing about the hardware.
pub fn remote(folded: bool) -> Header {
    Header { host: String::new(), os: String::new(), cpu: String::new(), cpus: 0, memory_bytes: 0, ..local(folded) }
}
