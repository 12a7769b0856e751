//! The stream and what it adds up to.

pub mod export;
pub mod facts;
pub mod fleet;
pub mod read;
pub mod record;
pub mod recordings;
pub mod replay;
pub mod run;
pub mod series;
pub mod state;
pub mod sweep;

pub use fleet::Fleet;
pub use read::Reader;
pub use record::Recorder;
pub use recordings::Recordings;
pub use run::{Run, RunResult};
pub use series::Series;
pub use state::State;
pub use sweep::Sweep;

#[cfg(test)]
mod tests;
