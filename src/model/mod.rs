//! What runs: models, their weights, and what they cost.
//!
//! A [`Model`] says what it takes and gives, where it comes from, and builds a [`Network`]: a structure with parameters on a
//! device. Nothing here or outside assumes what the inputs are; that a model classifies photographs is something that its
//! [`Provenance`] may say.
//!
//! **To add a network that is built in**, write it as a Burn module in a file of [`zoo`] and add a row to its registry. **To
//! add another kind of model**, implement [`Network`] and [`Definition`] for it, [`ModelSource`] for where it is found, and add
//! the source to the list in [`catalog`]. Cost, layers, traffic, seeded weights, checkpoints and the CPU's compiler need nothing
//! more: they read the graph that [`capture`] records and the parameters that [`Network::visit`] shows.
//!
//! ```text
//!   catalog ──► zoo ──► blocks
//!      │         │        │
//!      ▼         ▼        ▼
//!    source ──► description (Model) ──► weights ──► network ──► fold, parameter, value
//!                       │                              ▲
//!                       └──► capture ──────────────────┘        cost reads what capture records
//! ```

// There are some hundred layers a process: the room that an enum wastes on the small ones does not matter, and Burn's modules
// can't be boxed.
#![allow(clippy::large_enum_variant)]

pub mod capture;
pub mod catalog;
pub mod classifier;
pub mod cost;
pub mod description;
pub mod fold;
pub mod inputs;
pub mod network;
pub mod parameter;
pub mod port;
pub mod probe;
mod random;
pub mod source;
#[cfg(test)]
mod tests;
pub mod value;
pub mod weights;
pub mod zoo;

pub use catalog::{find, list};
pub use description::{Definition, Model, NoClassifier, Provenance, Published};
pub use network::Network;
pub use port::Port;
pub use random::mix;
pub use source::{ModelError, ModelSource};
pub use value::{ElementType, Value};
