//! What runs: networks, their weights and what they cost.

// There are some hundred layers a process: the room that an enum wastes on the small ones is nobody's trouble, and Burn's
// modules don't come in boxes.
#![allow(clippy::large_enum_variant)]

pub mod cost;
pub mod fold;
pub mod probe;
pub mod weights;
pub mod zoo;
