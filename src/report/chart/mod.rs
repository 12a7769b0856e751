//! Charts as SVG. The library kuva draws axes and grids and writes the file; the marks, the legend and the labels, which are
//! placed so that they cover nothing, are drawn here.

mod axis;
mod bars;
mod draw;
mod legend;
mod mark;
mod place;
mod xy;

pub use axis::{Axis, Scale};
pub use bars::{Bar, Bars};
pub use legend::{Entry, Sign};
pub use mark::Mark;
pub use xy::Chart;
