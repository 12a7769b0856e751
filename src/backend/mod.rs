//! What runs a model on a device: a file a backend, behind the one trait of [`interface`].
//!
//! Nobody outside asks a device's name what kind of device it is: [`device`] has the list of backends and answers.
//!
//! **To add a backend**, implement [`interface::Backend`] in a file or a folder here and add it to the list in [`device`]. Where
//! Burn runs the models, as on every card, the rest is there: [`mod@burn`] has the device and the runner.

pub mod burn;
pub mod cpu;
pub mod cuda;
pub mod device;
mod error;
pub mod interface;
pub mod outputs;
#[cfg(test)]
mod test_backend;
#[cfg(test)]
mod tests;

pub use error::{BuildError, DeviceError, LayersError, RunError};
