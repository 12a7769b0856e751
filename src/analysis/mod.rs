//! Pure mathematics over what was measured: no I/O, no clock, no terminal.

pub mod fit;
pub mod stats;
