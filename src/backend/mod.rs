//! What runs a model on a device: a file a backend.

pub mod cpu;
pub mod cuda;
pub mod device;
