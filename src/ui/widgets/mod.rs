//! Widgets that screens are made of. Each draws into a rectangle of any size, an empty one included.

pub mod axis;
pub mod batch_selector;
pub mod big;
pub mod canvas;
pub mod fitted;
pub mod gauge;
pub mod pane;
pub mod plot;
pub mod roofline;
pub mod scope;
pub mod sparkline;
pub mod table;
pub mod time_columns;

#[cfg(test)]
mod tests;
