//! Records of runs: what `wattscope run` and `wattscope sweep` print, one JSON object a run for programs ([`Record`]), and
//! a table for people ([`table()`]).
//!
//! A value that is not known is null, never 0, and [`Figures::absent`] gives the reason. `assets/run.schema.json` describes
//! the objects; [`SCHEMA`] is raised whenever a reader of the old ones would misread the new.

mod absent;
mod figures;
mod origin;
mod outcome;
mod record;
mod table;

pub use figures::{Figures, Graph, Latency, MemoryFigures, WarmUp};
pub use origin::Origin;
pub use outcome::Outcome;
pub use record::{Checked, Record, SCHEMA};
pub use table::table;

#[cfg(test)]
mod tests;
