//! The stream at rest: the states that it folds to, recordings that are written and read back, and what is made of them.
//!
//! [`State`] is the fold of one station's events and [`Fleet`] that of several; [`Run`], [`RunResult`], [`Series`] and
//! [`Sweep`] are parts of it. [`Recorder`] writes a stream to a file, [`Reader`] reads it back, [`replay`] seeks in it,
//! [`records`] are the rows that `wattscope run` prints, and [`export`] makes tables of recordings.

pub mod export;
pub mod facts;
pub mod fleet;
pub mod input;
pub mod measured;
pub mod read;
pub mod record;
pub mod recording;
pub mod recordings;
pub mod records;
pub mod replay;
pub mod run;
pub mod series;
pub mod state;
pub mod sweep;

pub use fleet::Fleet;
pub use input::Input;
pub use read::Reader;
pub use record::Recorder;
pub use recording::Recording;
pub use recordings::Recordings;
pub use run::{Run, RunResult};
pub use series::Series;
pub use state::State;
pub use sweep::Sweep;

#[cfg(test)]
mod tests;
