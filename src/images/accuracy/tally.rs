//! Right and wrong answers, counted.

use crate::{
    analysis::{distribution::Z95, stats},
    event::Share,
};
use serde::{Deserialize, Serialize};

/// An image that went through the network: its class, and the five likeliest, the likeliest first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Done {
    /// Its path below the data set's folder.
    pub image: String,
    /// Its class.
    pub class: usize,
    /// What the network took it for.
    pub top: Vec<usize>,
}

/// Right and wrong answers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Images.
    pub images: u64,
    /// Images whose class was the likeliest.
    pub top1: u64,
    /// Images whose class was among the five likeliest.
    pub top5: u64,
}

impl Tally {
    /// Counts an answer.
    pub fn add(&mut self, done: &Done) {
        self.images += 1;
        self.top1 += u64::from(done.top.first() == Some(&done.class));
        self.top5 += u64::from(done.top.contains(&done.class));
    }

    /// Top-1 and top-5; none of no images.
    pub fn shares(self) -> Option<(Share, Share)> {
        Some((share(self.top1, self.images)?, share(self.top5, self.images)?))
    }
}

/// A share with its 95 % interval, per cent.
fn share(right: u64, of: u64) -> Option<Share> {
    let (low, high) = stats::wilson(right, of, Z95)?;
    Some(Share { percent: 100.0 * right as f64 / of as f64, low: 100.0 * low, high: 100.0 * high })
}
