//! What PyTorch computes, in double precision, with the same weights from the same input: the committed results of
//! `tests/parity/`, and how a network is compared with them.

use crate::{
    event::Precision,
    model::{
        network::Network,
        random::{Stream, mix},
    },
};
use burn::module::ParamId;
use serde::Deserialize;
use std::collections::{BTreeMap, HashMap};

/// Images that are compared; two, so that a kernel that mixes up images is noticed.
pub const BATCH: usize = 2;
/// Seed of the compared images; the weights are those of [`DEFAULT_SEED`](crate::model::weights::seed::DEFAULT_SEED).
pub const INPUT_SEED: u64 = 160_507_678;
/// The results hold every 53rd logit: 38 of both images' 2000.
pub const LOGIT_STEP: usize = 53;

/// PyTorch's results for a network.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct Reference {
    /// Checksum of the weights, see [`checksum`].
    pub weights: String,
    /// Checksum of the images.
    pub input: String,
    /// Standard deviation of all logits.
    pub deviation: f64,
    /// Every [`LOGIT_STEP`]th logit.
    pub logits: Vec<f64>,
    /// [`digest`]s by key: of the output of every batch norm, and of every convolution and linear layer that no batch norm
    /// follows; the logits themselves are left out.
    pub layers: BTreeMap<String, [f64; 2]>,
}

/// PyTorch's results for the network called `id`; none where there is no such network.
#[expect(clippy::expect_used)]
pub fn reference(id: &str) -> Option<Reference> {
    // Compiled in; a test reads all of it.
    let all: HashMap<String, Reference> =
        serde_json::from_str(include_str!("../../../assets/reference/parity.json")).expect("the committed results");
    all.get(id).cloned()
}

impl Reference {
    /// Largest difference between a batch's logits, row by row, and PyTorch's, in standard deviations of the logits;
    /// infinite where there is another number of them, or a value is not finite.
    pub fn error(&self, logits: &[f64]) -> f64 {
        if logits.len().div_ceil(LOGIT_STEP) != self.logits.len() {
            return f64::INFINITY;
        }
        self.error_of_first(logits)
    }

    /// The same, where the batch has fewer or more rows: of those that both have.
    pub fn error_of_first(&self, logits: &[f64]) -> f64 {
        let difference =
            |(a, b): (&f64, &f64)| if b.is_finite() { (a - b).abs() / self.deviation } else { f64::INFINITY };
        self.logits.iter().zip(logits.iter().step_by(LOGIT_STEP)).map(difference).fold(0.0, f64::max)
    }
}

/// The largest error that rounding in a precision explains, in standard deviations of the logits, with batch norms folded or not.
///
/// All 21 networks on a CPU show at most 8.6e-6 in f32, 5.3e-3 in f16 and 4.2e-2 in bf16, and 9.0e-3 and 4.5e-2 where Burn's
/// own kernels round the sums of a batch norm or a residual once more (VGG-19 each time). f32 leaves room for another order
/// of summation. TF32 keeps 10 bits of the fraction, and a kernel that does not round its operands leaves the others to the tensor
/// core, which ignores them: cut towards zero in every product, all 21 networks show at most 9.4e-2 (Inception-v4), rounded to
/// nearest 5.2e-3 (`tests/parity/tf32.py`). A batch norm in bf16 that is not folded rounds once more: Inception-v3 is then off
/// by 1.1e-1, folded by 2.0e-2.
pub const fn bound(precision: Precision, fold: bool) -> f64 {
    match precision {
        Precision::F32 => 1e-4,
        Precision::Tf32 => 1e-1,
        Precision::F16 => 1e-2,
        Precision::Bf16 if fold => 5e-2,
        Precision::Bf16 => 2e-1,
    }
}

/// Two numbers for an output of a layer: its standard deviation, and its projection on a fixed random direction of the same
/// length, which any wrong, missing or misplaced value changes.
pub fn digest(key: &str, values: &[f32]) -> [f64; 2] {
    let mut direction = vec![0.0; values.len()];
    Stream::new(0, &format!("direction of {key}")).fill(&mut direction, 1.0);
    let count = values.len().max(1) as f64;
    let (mut sum, mut squares, mut projection) = (0.0, 0.0, 0.0);
    for (value, direction) in values.iter().zip(&direction) {
        let value = f64::from(*value);
        sum += value;
        squares += value * value;
        projection += value * f64::from(*direction);
    }
    let mean = sum / count;
    // A uniform value's variance is ⅓: the direction's length is 1.
    [(squares / count - mean * mean).max(0.0).sqrt(), projection * (3.0 / count).sqrt()]
}

/// The key of each layer by the id of its weight, as [`crate::model::probe`] gives it.
pub fn layers(network: &dyn Network) -> HashMap<ParamId, String> {
    let parameters = network.parameters().into_iter();
    parameters.filter_map(|p| Some((p.id, p.key.strip_suffix(".weight")?.to_owned()))).collect()
}

/// 64 bits over the bits of all values, each hashed with its place, in hexadecimal: those of a network's tensors in the
/// order of its state dict, linear weights as `[in, out]`.
pub fn checksum(network: &dyn Network) -> String {
    let mut checksum = Checksum::default();
    network.visit(&mut |_, value| {
        // Where a tensor can't be read, the sum differs from every committed one.
        let data = value().into_data().ok();
        checksum.add(data.as_ref().and_then(|data| data.as_slice::<f32>().ok()).unwrap_or_default());
    });
    checksum.text()
}

/// The same over one tensor's values.
pub fn checksum_of(values: &[f32]) -> String {
    let mut checksum = Checksum::default();
    checksum.add(values);
    checksum.text()
}

#[derive(Default)]
struct Checksum {
    sum: u64,
    place: u64,
}

impl Checksum {
    fn add(&mut self, values: &[f32]) {
        for (place, value) in (self.place..).zip(values) {
            let place = place.wrapping_mul(0x9e37_79b9_7f4a_7c15);
            self.sum = self.sum.wrapping_add(mix(u64::from(value.to_bits()) ^ place));
        }
        self.place += values.len() as u64;
    }

    fn text(&self) -> String {
        format!("{:016x}", self.sum)
    }
}
