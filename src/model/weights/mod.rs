//! The values of a network's parameters: made of a seed, or read from a file.

pub mod checkpoint;
pub mod seed;
