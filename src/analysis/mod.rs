//! Pure mathematics over what was measured: no I/O, no clock, no terminal.

pub mod compare;
pub mod data;
pub mod distribution;
pub mod figure;
pub mod findings;
pub mod fit;
pub mod frontier;
pub mod noise;
pub mod paper;
pub mod plateau;
pub mod roofline;
pub mod segment;
pub mod stats;
pub mod variance;
