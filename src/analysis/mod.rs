//! Pure mathematics over what was measured: no I/O, no clock, no terminal.

pub mod compare;
pub mod findings;
pub mod fit;
pub mod plateau;
pub mod stats;
