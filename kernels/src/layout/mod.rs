//! The memory layout of feature maps, NCHW16c: `[n][c / 16][h][w][16]`.
//!
//! A channel block of 16 is a vector register (or two, or four), so a kernel broadcasts inputs and vectorises over output
//! channels. The network's input may keep its few channels side by side instead, `[n][h][w][3]`.
//!
//! ```text
//!               row = (width + 2 · halo) · lanes
//!        ├──────────────────────────────────────────┤
//!        0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0     halo: zeros on all four sides, as wide as the widest padding
//!        0 0 ┌────────────────────────────────┐ 0 0     that any reader of the map needs, so that a convolution has
//!        0 0 │ base: pixel (0, 0), 16 channels │ 0 0     no edge cases. It is zeroed once and never written.
//!        0 0 │ …                               │ 0 0
//!        0 0 └────────────────────────────────┘ 0 0     one plane of a channel block; planes follow each other
//!        0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0     (`block`), then images (`image`)
//! ```
//!
//! Where the channels are no multiple of 16, the last block has unused lanes. They hold finite values, whatever the channels
//! hold: a reader multiplies them by weights of zero, and 0 · ∞ and 0 · NaN are NaN. A step whose arithmetic could leave
//! anything else there masks its output with [`View::lanes_in_use`].

mod arena;
mod view;

pub use arena::{Arena, Layout, Slot};
pub use view::{ChannelVector, FeatureMap, Plane, View};
