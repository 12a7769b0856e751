//! Everything that leaves the process: text on standard output and standard error.

mod stream;

pub use stream::{StandardError, failure, note, print};
