//! Every command: its flags, its help, what it does and what it prints.

pub mod cli;
pub mod layers;
pub mod listing;
pub mod progress;
