//! Seeded weights, and the names of the tensors they fill.
//!
//! A value is a hash of the seed, its tensor's key and its index, so it is the same on every platform, on any number of
//! threads and whatever else a network contains. Only integer arithmetic, correctly rounded roots and products are used.
//!
//! The scales are analytic. A weight's variance is gain² / fan-in: with a gain of √2 (He et al., arXiv 1502.01852) a ReLU's
//! input keeps its mean square from layer to layer. Where a layer's input is something else – an image, a pooled map, a
//! sum – the network's own file says so through `Typical`. Everything that a parity check should notice (biases, the
//! norms' four vectors, PReLU slopes) is neither 0 nor 1.

pub mod checkpoint;

use super::zoo::Network;
use burn::module::{Module, ModuleMapper, ModuleVisitor, Param};
use burn::tensor::{Device, Tensor, TensorData};
use rayon::prelude::*;

/// The seed of [`super::zoo::Entry::build`].
pub const DEFAULT_SEED: u64 = 2016;

/// What a network's file knows about the tensor called `key` that its shape doesn't say, for one of its channels: the gain
/// of a weight, the centre of a vector. `None` leaves the default, see [`Role::typical`].
pub(in crate::model) type Typical = fn(key: &str, channel: usize) -> Option<f64>;

/// How much of what all input channels have in common a convolution ignores.
///
/// A ReLU's outputs have a mean, and random weights pass it on: after n layers any two inputs differ by no more than some
/// 10 / n of their size, and the logits of a deep network hardly depend on its image. Ignoring a tenth of the mean holds
/// the difference at a third, whatever the depth, and magnifies a rounding error by only 3 % a layer.
const CENTRING: f32 = 0.1;

/// Fewest input channels for which that is done: an image, or a depthwise convolution, has no channels in common.
const CENTRED_FROM: usize = 8;

/// What a tensor is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// A convolution's weight, `[out, in / groups, height, width]`.
    Conv,
    /// A linear layer's weight, `[in, out]` in Burn and `[out, in]` in PyTorch.
    Linear,
    /// The bias of either.
    Bias,
    /// A batch norm's γ.
    NormWeight,
    /// A batch norm's β.
    NormBias,
    /// A batch norm's running mean: not a learned value.
    RunningMean,
    /// A batch norm's running variance: not a learned value.
    RunningVar,
    /// A PReLU's slopes.
    Slope,
}

impl Role {
    /// The role of a field called `field` that holds a tensor of rank `rank`.
    fn of(field: &str, rank: usize) -> Self {
        match (field, rank) {
            ("gamma", _) => Self::NormWeight,
            ("beta", _) => Self::NormBias,
            ("running_mean", _) => Self::RunningMean,
            ("running_var", _) => Self::RunningVar,
            ("alpha", _) => Self::Slope,
            (_, 4) => Self::Conv,
            (_, 2) => Self::Linear,
            _ => Self::Bias,
        }
    }

    /// Whether training would learn it; the statistics of a batch norm are observed instead.
    pub const fn is_learned(self) -> bool {
        !matches!(self, Self::RunningMean | Self::RunningVar)
    }

    /// Gain of a weight, centre of a vector, unless the network says otherwise.
    fn typical(self, shape: &[usize]) -> f64 {
        match self {
            // Three input channels are an image: its mean square is 1, not the ½ that a ReLU leaves.
            Self::Conv if shape[1] == 3 => 1.0,
            // He's √2, and what centring takes: a ReLU's mean square is ½, its squared mean 1 / 2π, of which 0.19 is lost.
            Self::Conv if shape[1] >= CENTRED_FROM => 1.459,
            Self::Conv | Self::Linear => std::f64::consts::SQRT_2,
            // γ² spreads and 1/variance is skewed: 0.98 makes up for both, so that a norm keeps the mean square on average.
            Self::NormWeight => 0.98,
            Self::RunningVar => 1.0,
            Self::Slope => 0.25,
            Self::Bias | Self::NormBias | Self::RunningMean => 0.0,
        }
    }

    /// Half the width of the uniform distribution around `centre`.
    fn spread(self, centre: f64) -> f64 {
        match self {
            Self::Conv | Self::Linear => centre,
            Self::Bias => 0.05,
            Self::NormWeight => centre * 0.2,
            Self::NormBias | Self::RunningMean => 0.1,
            Self::RunningVar => centre * 0.25,
            Self::Slope => centre * 0.4,
        }
    }
}

/// A tensor of a network, learned or running statistic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TensorInfo {
    /// Its key in the PyTorch state dict of the same network.
    pub key: String,
    /// Its shape there: Burn's, except that a linear weight is `[out, in]`.
    pub shape: Vec<usize>,
    /// What it is for.
    pub role: Role,
}

/// The tensors of a network in the order of its PyTorch state dict, without `num_batches_tracked`.
pub fn tensors(network: &Network) -> Vec<TensorInfo> {
    let mut list = List::default();
    network.visit(&mut list);
    list.tensors
}

#[derive(Default)]
struct List {
    path: Path,
    tensors: Vec<TensorInfo>,
}

impl ModuleVisitor for List {
    fn enter_module(&mut self, name: &str, container: &str) {
        self.path.enter(name, container);
    }

    fn exit_module(&mut self, _: &str, _: &str) {
        self.path.exit();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let mut shape = param.lazy_shape().to_vec();
        let role = self.path.role(D);
        if role == Role::Linear {
            shape.reverse();
        }
        self.tensors.push(TensorInfo { key: self.path.key(), shape, role });
    }
}

/// Where a visitor or a mapper is in a module: names as Burn has them, each with the kind of what contains it.
#[derive(Default)]
pub struct Path(Vec<(String, Container)>);

#[derive(Clone, Copy, PartialEq, Eq)]
enum Container {
    Enum,
    List,
    Struct,
}

impl Path {
    /// To be called from `enter_module`.
    pub fn enter(&mut self, name: &str, container: &str) {
        let container = match container {
            "Vec" => Container::List,
            _ if container.starts_with("Enum:") => Container::Enum,
            _ => Container::Struct,
        };
        self.0.push((name.to_owned(), container));
    }

    /// To be called from `exit_module`.
    pub fn exit(&mut self) {
        self.0.pop();
    }

    /// The role of the tensor of rank `rank` at this place.
    pub fn role(&self, rank: usize) -> Role {
        Role::of(self.0.last().map_or("", |(name, _)| name), rank)
    }

    /// The key that PyTorch has for the tensor at this place.
    ///
    /// The zoo's fields are called as there; what Rust or Burn calls differently is put right here: an enum's variant is no
    /// component, `_3` is `3`, a list `layer_` counts from one (`layer1`), and Burn's norms say gamma, beta and alpha.
    pub fn key(&self) -> String {
        let mut key = String::new();
        for (name, container) in self.0.iter().filter(|(_, container)| *container != Container::Enum) {
            if key.ends_with('_') && *container == Container::List {
                key.pop();
                // An index is a number: Burn numbers the elements of a list.
                key.push_str(&(name.parse::<usize>().unwrap_or_default() + 1).to_string());
                continue;
            }
            if !key.is_empty() {
                key.push('.');
            }
            key.push_str(match name.as_str() {
                "gamma" | "alpha" => "weight",
                "beta" => "bias",
                name => name.strip_prefix('_').unwrap_or(name),
            });
        }
        key
    }
}

/// Gives every tensor of `network` its values, without ever running Burn's own initialisation of a lazy parameter.
pub(in crate::model) fn seeded(network: Network, seed: u64, typical: Typical) -> Network {
    network.map(&mut Seeder { path: Path::default(), seed, typical })
}

struct Seeder {
    path: Path,
    seed: u64,
    typical: Typical,
}

impl ModuleMapper for Seeder {
    fn enter_module(&mut self, name: &str, container: &str) {
        self.path.enter(name, container);
    }

    fn exit_module(&mut self, _: &str, _: &str) {
        self.path.exit();
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let shape = param.lazy_shape();
        let values = values(&self.path.key(), self.path.role(D), &shape.to_vec(), self.seed, self.typical);
        Param::from_data(TensorData::new(values, shape), &param.lazy_device())
    }
}

/// The values of the tensor called `key`; `shape` is Burn's.
fn values(key: &str, role: Role, shape: &[usize], seed: u64, typical: Typical) -> Vec<f32> {
    let centre = |channel| typical(key, channel).unwrap_or_else(|| role.typical(shape));
    let stream = Stream::new(seed, key);
    let mut values = vec![0.0; shape.iter().product()];
    match role {
        Role::Conv | Role::Linear => {
            let fan_in: usize = if role == Role::Conv { shape[1..].iter().product() } else { shape[0] };
            // A uniform distribution's standard deviation is its half width over √3.
            stream.fill(&mut values, (centre(0) * (3.0 / fan_in as f64).sqrt()) as f32);
            if role == Role::Conv && shape[1] >= CENTRED_FROM {
                centre_filters(&mut values, shape);
            }
        }
        _ => {
            stream.fill(&mut values, 1.0);
            for (channel, value) in values.iter_mut().enumerate() {
                let centre = centre(channel);
                *value = centre as f32 + role.spread(centre) as f32 * *value;
            }
        }
    }
    values
}

/// Takes [`CENTRING`] of the mean over the input channels out of each filter, tap by tap.
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

/// A sequence of uniform values any of which can be had without the ones before.
#[derive(Clone, Copy)]
pub(in crate::model) struct Stream(u64);

impl Stream {
    /// The stream that belongs to `seed` and `name`.
    pub(in crate::model) fn new(seed: u64, name: &str) -> Self {
        // FNV-1a over the name, then the mixer, so that neighbouring seeds share nothing.
        let hash = name.bytes().fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
        });
        Self(mix(hash ^ mix(seed)))
    }

    /// Fills `values` with uniform ones between `-half` and `half`.
    pub(in crate::model) fn fill(self, values: &mut [f32], half: f32) {
        const CHUNK: usize = 1 << 15;
        // 2⁻²⁴ is a power of two: scaling by it is exact.
        let unit = half / (1 << 24) as f32;
        values.par_chunks_mut(CHUNK).enumerate().for_each(|(chunk, values)| {
            let first = (chunk * CHUNK / 2) as u64;
            for (pair, values) in values.chunks_mut(2).enumerate() {
                let bits = self.bits(first + pair as u64);
                for (value, bits) in values.iter_mut().zip([bits >> 40, bits >> 8 & 0xff_ffff]) {
                    // An odd number of at most 24 bits: exact as f32, symmetric, never 0.
                    *value = (2 * bits as i32 + 1 - (1 << 24)) as f32 * unit;
                }
            }
        });
    }

    /// 64 random bits: SplitMix64's generator, addressed by its counter.
    fn bits(self, index: u64) -> u64 {
        mix(self.0.wrapping_add(index.wrapping_mul(0x9e37_79b9_7f4a_7c15)))
    }
}

/// SplitMix64's finaliser (Steele, Lea and Flood, 2014).
pub const fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// A batch of made-up images, `[batch, 3, px, px]`, normalised as ImageNet's are: mean 0 and variance 1 or so a channel,
/// smooth as photographs are, with some grain. Different for each seed and each image, the same everywhere.
pub fn input(batch: usize, px: usize, seed: u64, device: &Device) -> Tensor<4> {
    let plane = px * px;
    let mut values = vec![0.0; batch * 3 * plane];
    values.par_chunks_mut(plane.max(1)).enumerate().for_each(|(index, values)| {
        let stream = |what: &str| Stream::new(seed, &format!("{what} of image {} channel {}", index / 3, index % 3));
        // Uniform values of half width √3 have variance 1; interpolation leaves 4/9 of it. In all: 0.4 + 0.4 + 0.2.
        stream("grain").fill(values, (3.0f32 * 0.2).sqrt());
        for (cells, name) in [(6, "shapes"), (28, "texture")] {
            let mut grid = vec![0.0; (cells + 1) * (cells + 1)];
            stream(name).fill(&mut grid, (3.0f32 * 0.4 * 9.0 / 4.0).sqrt());
            add_smooth(values, px, &grid, cells);
        }
    });
    Tensor::from_data(TensorData::new(values, [batch, 3, px, px]), device)
}

/// Adds the bilinear interpolation of a `(cells + 1)²` grid to a `px`² plane.
fn add_smooth(plane: &mut [f32], px: usize, grid: &[f32], cells: usize) {
    let place = |i: usize| {
        let at = i * cells;
        (at / px, (at % px) as f32 / px as f32)
    };
    for (y, row) in plane.chunks_mut(px).enumerate() {
        let (top, v) = place(y);
        let rows = [&grid[top * (cells + 1)..], &grid[(top + 1) * (cells + 1)..]];
        for (x, value) in row.iter_mut().enumerate() {
            let (left, u) = place(x);
            let across = rows.map(|row| row[left] + u * (row[left + 1] - row[left]));
            *value += across[0] + v * (across[1] - across[0]);
        }
    }
}
