//! Models that Burn runs with its own operations, wherever that is: every card, and on the processor what our own kernels do
//! not know.

mod busy;
pub mod cubecl;
mod device;
mod executor;
mod graph;
mod layers;
mod lifetimes;
mod runner;

pub use device::BurnDevice;
pub use executor::Executor;
pub use runner::BurnRunner;
