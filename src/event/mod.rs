//! The vocabulary that all parts share: commands flow down to an engine, events flow up from it, and nothing else passes
//! between the parts.
//!
//! A session is a stream of [`Event`]s, one JSON object a line: a live screen folds it into its state, a recorder writes
//! it to a file, and a remote agent sends it over a pipe, all of them the same bytes. This module imports nothing of ours.
//!
//! Names in the stream are part of the schema ([`SCHEMA`]): a field that is renamed here keeps its name there by
//! `#[serde(rename)]`, and a new field has a default, so that every recording opens.

mod body;
mod command;
mod compact;
mod config;
mod device;
mod fast;
mod header;
mod ids;
mod layers;
mod line;
mod link;
mod network;
mod plan;
mod run;
mod sensor;
mod traits;

pub use body::{Body, Level};
pub use command::{Command, EngineCommand};
pub use config::{Config, Precision};
pub use device::{Card, DeviceInfo, Neighbour};
pub use header::{FLEET_SCHEMA, Header, SCHEMA};
pub use ids::{MOST_STATIONS, Nanos, RunId, SensorId, StationId};
pub use layers::{LayerClock, LayerTime, Layers};
pub use line::{Event, Tagged};
pub use link::{Link, LinkState};
pub use network::{Accuracy, Checked, LayerFacts, NetworkFacts, PortFacts, Share, Weights};
pub use plan::{Outcome, Plan};
pub use run::{Batches, Compiling, Graph, Memory, Phase, PhaseChange, WarmUp};
pub use sensor::{IdleReading, Quantity, Sensor};
pub use traits::{DeviceKind, DeviceMemory, DeviceTraits, OthersLoad};
