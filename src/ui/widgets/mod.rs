//! Pieces that screens are made of. Each draws into a rectangle that may be of any size, none included.

pub mod batch_rail;
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
