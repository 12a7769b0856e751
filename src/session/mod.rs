//! The stream and what it adds up to.

pub mod run;
pub mod series;
pub mod state;

pub use run::{Run, RunResult};
pub use series::Series;
pub use state::State;
