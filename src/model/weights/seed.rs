//! Seeded weights.
//!
//! A value is a hash of the seed, its tensor's key and its index, so it is the same on every platform, on any number of
//! threads and whatever else a network contains. Only integer arithmetic, correctly rounded roots and products are used.
//!
//! The scales are analytic. A weight's variance is gain² / fan-in: with a gain of √2 (He et al., arXiv 1502.01852) a ReLU's
//! input keeps its mean square from layer to layer. Where a layer's input is something else – an image, a pooled map, a
//! sum – the model says so through [`Definition::typical`](crate::model::Definition::typical). Everything that a parity check
//! should notice (biases, the norms' four vectors, PReLU slopes) is neither 0 nor 1.

use crate::model::{
    network::Network,
    parameter::{Parameter, Role},
    random::Stream,
};
use burn::tensor::TensorData;
use rayon::prelude::*;

/// The seed of [`Model::build`](crate::model::Model::build).
pub const DEFAULT_SEED: u64 = 2016;

/// The share of the mean over the input channels that is subtracted from a convolution's filters.
///
/// The outputs of a ReLU have a positive mean, and random weights pass it on: after n layers any two inputs differ by some
/// 10 / n of their size at the most, and the logits of a deep network hardly depend on its image. Subtracting a tenth of the
/// mean keeps that difference at a third, whatever the depth, and magnifies a rounding error by only 3 % per layer.
const CENTRING: f32 = 0.1;

/// Fewest input channels for which that is done: it is pointless for an image and for depthwise convolutions.
const CENTRED_FROM: usize = 8;

/// Gain of a weight or centre of a vector where the model does not say otherwise.
fn typical(role: Role, shape: &[usize]) -> f64 {
    match role {
        // Three input channels are an image: its mean square is 1, not the ½ that a ReLU leaves.
        Role::Conv if shape[1] == 3 => 1.0,
        // He's √2, and what centring takes: a ReLU's mean square is ½, its squared mean 1 / 2π, of which 0.19 is lost.
        Role::Conv if shape[1] >= CENTRED_FROM => 1.459,
        Role::Conv | Role::Linear => std::f64::consts::SQRT_2,
        // γ² spreads and 1/variance is skewed: 0.98 makes up for both, so that a norm keeps the mean square on average.
        Role::NormWeight => 0.98,
        Role::RunningVar | Role::Embedding => 1.0,
        Role::Slope => 0.25,
        Role::Bias | Role::NormBias | Role::RunningMean => 0.0,
    }
}

/// Half the width of the uniform distribution around `centre`.
fn spread(role: Role, centre: f64) -> f64 {
    match role {
        Role::Conv | Role::Linear | Role::Embedding => centre,
        Role::Bias => 0.05,
        Role::NormWeight => centre * 0.2,
        Role::NormBias | Role::RunningMean => 0.1,
        Role::RunningVar => centre * 0.25,
        Role::Slope => centre * 0.4,
    }
}

/// The network with values in every tensor. Burn's own initialisation of a lazy parameter never runs.
pub(in crate::model) fn seeded(
    network: Box<dyn Network>,
    seed: u64,
    typical: &dyn Fn(&str, usize) -> Option<f64>,
) -> Box<dyn Network> {
    network.fill(&mut |parameter| Some(TensorData::new(values(parameter, seed, typical), parameter.shape.clone())))
}

/// The values of a tensor.
fn values(parameter: &Parameter, seed: u64, special: &dyn Fn(&str, usize) -> Option<f64>) -> Vec<f32> {
    let Parameter { key, role, shape, .. } = parameter;
    let centre = |channel| special(key, channel).unwrap_or_else(|| typical(*role, shape));
    let stream = Stream::new(seed, key);
    let mut values = vec![0.0; shape.iter().product()];
    match role {
        Role::Conv | Role::Linear | Role::Embedding => {
            let fan_in: usize = match role {
                Role::Conv => shape[1..].iter().product(),
                Role::Linear => shape[0],
                // A vector of it is read as it is.
                _ => 1,
            };
            // A uniform distribution's standard deviation is its half width over √3.
            stream.fill(&mut values, (centre(0) * (3.0 / fan_in as f64).sqrt()) as f32);
            if *role == Role::Conv && shape[1] >= CENTRED_FROM {
                centre_filters(&mut values, shape);
            }
        }
        _ => {
            stream.fill(&mut values, 1.0);
            for (channel, value) in values.iter_mut().enumerate() {
                let centre = centre(channel);
                *value = centre as f32 + spread(*role, centre) as f32 * *value;
            }
        }
    }
    values
}

/// Subtracts [`CENTRING`] of the mean over the input channels from each filter, tap by tap.
fn centre_filters(values: &mut [f32], shape: &[usize]) {
    let taps = shape[2] * shape[3];
    values.par_chunks_mut(shape[1] * taps).for_each(|filter| {
        let mut means = vec![0.0; taps];
        for channel in filter.chunks(taps) {
            means.iter_mut().zip(channel).for_each(|(mean, value)| *mean += value);
        }
        means.iter_mut().for_each(|mean| *mean *= CENTRING / shape[1] as f32);
        for channel in filter.chunks_mut(taps) {
            channel.iter_mut().zip(&means).for_each(|(value, mean)| *value -= mean);
        }
    });
}
