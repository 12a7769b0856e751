//! What runs a model on a device: a file a backend, behind the one trait of [`interface`].
//!
//! Nobody outside asks a device's name what kind of device it is: [`device`] has the list of backends and answers.

pub mod cpu;
pub mod cuda;
pub mod device;
mod error;
pub mod interface;

pub use error::DeviceError;
