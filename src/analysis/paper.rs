//! The values that Canziani, Paszke and Culurciello published (arXiv 1605.07678), for comparison.

use serde::Deserialize;
use std::{collections::BTreeMap, sync::LazyLock};

/// Power of a Jetson TX1 without load, W (as its text on power says).
pub const IDLE_W: f64 = 1.30;

/// Power under full use beyond that, mean over networks and batch sizes, W.
pub const NET_W: f64 = 11.8;

/// Its standard deviation, W.
pub const NET_DEVIATION_W: f64 = 0.7;

/// A network of the paper's Figure 2, read off the authors' own vector graphics.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
pub struct Published {
    /// Operations per image, 10⁹.
    pub gops: f64,
    /// Top-1 accuracy, %.
    pub top1: f64,
    /// Parameters, 10⁶.
    pub mparams: f64,
}

#[derive(Debug, Deserialize)]
struct Figures {
    fig2: BTreeMap<String, Published>,
    #[serde(rename = "fig10_density_pct_per_Mparam")]
    fig10: BTreeMap<String, f64>,
}

#[expect(clippy::expect_used)]
static FIGURES: LazyLock<Figures> = LazyLock::new(|| {
    // Cannot fail: the file is part of the program, and a test reads it.
    serde_json::from_str(include_str!("../../assets/reference/paper_figures.json")).expect("a file of this program")
});

/// Figure 2: operations, accuracy and parameters by the network's name as printed.
pub fn figure2() -> &'static BTreeMap<String, Published> {
    &FIGURES.fig2
}

/// Figure 10: top-1 over parameters, % a million, by the network's name as printed.
pub fn figure10() -> &'static BTreeMap<String, f64> {
    &FIGURES.fig10
}

/// What the paper's figures show, as its captions say it.
pub const fn caption(figure: u8) -> &'static str {
    match figure {
        1 => "Top-1 accuracy by network",
        2 => "Top-1 accuracy against operations",
        3 => "Inference time an image against batch size",
        4 => "Power above idle against batch size",
        5 => "Memory against batch size",
        6 => "Memory against parameters",
        7 => "Operations against inference time",
        8 => "Operations against power",
        9 => "Accuracy against inferences a second",
        10 => "Accuracy a parameter by network",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_figures_are_there() {
        assert_eq!(figure2()["VGG-16"], Published { gops: 30.97, top1: 70.62, mparams: 138.36 });
        assert_eq!(figure10()["ENet"], 11.6724);
        assert!((1..=10).all(|n| !caption(n).is_empty()) && caption(11).is_empty());
    }
}
