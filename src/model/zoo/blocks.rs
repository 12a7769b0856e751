//! What several networks share: constructors with lazy parameters, activations, pools, and small blocks.
//!
//! Shapes are NCHW. Constructors give parameters their shapes only: values come from a seed or from a checkpoint
//! ([`crate::model::weights`]).
//!
//! Field names are the keys of the network's PyTorch state dict. A field `_3` is number 3 of a PyTorch `Sequential`, whose other
//! numbers have no parameters; [`crate::model::parameter`] has the rules.

use crate::model::fold::{self, Fold, FoldError, Norm};
use crate::model::probe;
use burn::module::Module;
use burn::nn::conv::{Conv2d, Conv2dConfig};
use burn::nn::{BatchNormConfig, Initializer, Linear, LinearConfig, PRelu, PReluConfig, PaddingConfig2d};
use burn::tensor::ops::{AvgPoolOptions, MaxPoolOptions};
use burn::tensor::{Device, Tensor, activation, module};

/// A square convolution `channels[0] → channels[1]` with a bias; refine it with the builder and `init` it.
pub(super) fn conv(channels: [usize; 2], kernel: usize, stride: usize, padding: usize) -> Conv2dConfig {
    Conv2dConfig::new(channels, [kernel, kernel])
        .with_stride([stride, stride])
        .with_padding(PaddingConfig2d::Explicit(padding, padding, padding, padding))
        .with_initializer(Initializer::Zeros)
}

/// A convolution of stride 1 with an odd, possibly oblong kernel `[height, width]`, padded to keep the size.
pub(super) fn conv_same(channels: [usize; 2], kernel: [usize; 2]) -> Conv2dConfig {
    let [h, w] = kernel.map(|k| k / 2);
    Conv2dConfig::new(channels, kernel)
        .with_padding(PaddingConfig2d::Explicit(h, w, h, w))
        .with_initializer(Initializer::Zeros)
}

/// A linear layer with a bias.
pub(super) fn linear(inputs: usize, outputs: usize, device: &Device) -> Linear {
    LinearConfig::new(inputs, outputs).with_initializer(Initializer::Zeros).init(device)
}

/// A batch norm. On a device without autodiff it always uses its running statistics, so there is no inference mode to set.
pub(super) fn norm(channels: usize, epsilon: f64, device: &Device) -> Norm {
    Norm::Batch(BatchNormConfig::new(channels).with_epsilon(epsilon).init(device))
}

/// A PReLU with one slope per channel.
pub(super) fn prelu(channels: usize, device: &Device) -> PRelu {
    PReluConfig::new().with_num_parameters(channels).init(device)
}

/// Runs a convolution; [`probe`] sees its output.
pub(super) fn convolve(conv: &Conv2d, x: Tensor<4>) -> Tensor<4> {
    probe::layer(conv.weight.id, conv.forward(x))
}

/// Runs a linear layer; [`probe`] sees its output.
pub(super) fn apply_linear(linear: &Linear, x: Tensor<2>) -> Tensor<2> {
    probe::layer(linear.weight.id, linear.forward(x))
}

/// max(0, x).
pub(super) fn relu<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    probe::activation(&x);
    activation::relu(x)
}

/// min(6, max(0, x)).
pub(super) fn relu6<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    probe::activation(&x);
    activation::relu6(x)
}

/// Runs a PReLU; [`probe`] sees its input.
pub(super) fn apply_prelu(prelu: &PRelu, x: Tensor<4>) -> Tensor<4> {
    probe::activation(&x);
    prelu.forward(x)
}

/// How the output size of a pool is rounded where its windows don't fit the map: PyTorch's `ceil_mode`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rounding {
    /// Values that no whole window covers are left out.
    Floor,
    /// The last window may reach over the edge if it starts inside the map.
    Ceil,
}

/// Max pooling; padding counts as −∞.
pub(super) fn max_pool(x: Tensor<4>, kernel: usize, stride: usize, padding: usize, edge: Rounding) -> Tensor<4> {
    let options = MaxPoolOptions::new([kernel, kernel])
        .with_stride([stride, stride])
        .with_padding([padding, padding])
        .with_ceil_mode(edge == Rounding::Ceil);
    module::max_pool2d(x, options)
}

/// 3×3 average pooling of stride 1, padded by 1; `count_padding` is PyTorch's `count_include_pad`.
pub(super) fn avg_pool_same(x: Tensor<4>, count_padding: bool) -> Tensor<4> {
    let options =
        AvgPoolOptions::new([3, 3]).with_stride([1, 1]).with_padding([1, 1]).with_count_include_pad(count_padding);
    module::avg_pool2d(x, options)
}

/// Mean over each channel's map: `[n, c, h, w]` → `[n, c, 1, 1]`.
///
/// Two reductions instead of one over a flattened map: convolutions write NHWC, and flattening that would be a copy.
pub(super) fn global_average(x: Tensor<4>) -> Tensor<4> {
    x.mean_dim(3).mean_dim(2)
}

/// Global average as a matrix for the classifier: `[n, c, h, w]` → `[n, c]`.
pub(super) fn global_features(x: Tensor<4>) -> Tensor<2> {
    global_average(x).flatten(1, 3)
}

/// Concatenates along the channels.
pub(super) fn concat<const N: usize>(branches: [Tensor<4>; N]) -> Tensor<4> {
    Tensor::cat(branches.into(), 1)
}

/// Local response normalisation across 5 channels: y = x / (1 + α/5 · Σ x²)^¾, α = 1e-4, over the zero-padded window
/// (Krizhevsky et al., 2012, with the k = 1 of BVLC's reference models).
pub(super) fn local_response_norm(x: Tensor<4>) -> Tensor<4> {
    const WINDOW: usize = 5;
    const ALPHA: f64 = 1e-4;
    let shape = x.dims();
    let [n, c, h, w] = shape;
    // Scaled before it is squared: in f16 the square of 256 is already infinite.
    let squares = x.clone().mul_scalar(ALPHA.sqrt()).square();
    // With the map laid out as one row per channel, a window over channels is a pooling window over rows. Padding counts in
    // the divisor, so the mean is the sum divided by the window's size, as the definition has it.
    let options = AvgPoolOptions::new([WINDOW, 1]).with_stride([1, 1]).with_padding([WINDOW / 2, 0]);
    let scale = module::avg_pool2d(squares.reshape([n, 1, c, h * w]), options).reshape(shape).add_scalar(1.0);
    // s^¾ = √s · √√s: square roots are fast and correctly rounded, powers are neither.
    let root = scale.sqrt();
    x / (root.clone() * root.sqrt())
}

/// Convolution without bias, batch norm (ε 1e-3) and ReLU: the unit of the Inception family.
#[derive(Module, Debug)]
pub struct ConvNorm {
    conv: Conv2d,
    bn: Norm,
}

impl Fold for ConvNorm {
    fn fold(&mut self) -> Result<(), FoldError> {
        fold::into_conv(&mut self.conv, &mut self.bn)
    }
}

impl ConvNorm {
    /// A unit around `conv`, whose bias is dropped.
    pub(super) fn new(conv: Conv2dConfig, device: &Device) -> Self {
        let channels = conv.channels[1];
        Self { conv: conv.with_bias(false).init(device), bn: norm(channels, 1e-3, device) }
    }

    /// Square kernel, as [`conv`].
    pub(super) fn square(channels: [usize; 2], kernel: usize, stride: usize, padding: usize, device: &Device) -> Self {
        Self::new(conv(channels, kernel, stride, padding), device)
    }

    /// Size-keeping kernel, as [`conv_same`].
    pub(super) fn same(channels: [usize; 2], kernel: [usize; 2], device: &Device) -> Self {
        Self::new(conv_same(channels, kernel), device)
    }

    /// Convolution, batch norm, ReLU.
    pub(super) fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        relu(self.bn.forward(convolve(&self.conv, x)))
    }
}

/// Runs units one after the other.
pub(super) fn chain(units: &[ConvNorm], x: Tensor<4>) -> Tensor<4> {
    units.iter().fold(x, |x, unit| unit.forward(x))
}

/// A branch of a pool and a convolution: numbers 0 and 1 of its `Sequential`.
#[derive(Module, Debug)]
pub struct PoolBranch {
    _1: ConvNorm,
}

fold::fold_fields!(PoolBranch: _1);

impl PoolBranch {
    /// A branch with a 1×1 convolution to `channels[1]` after its pool.
    pub(super) fn new(channels: [usize; 2], device: &Device) -> Self {
        Self { _1: ConvNorm::square(channels, 1, 1, 0, device) }
    }

    /// The convolution of the map that the caller has pooled.
    pub(super) fn forward(&self, pooled: Tensor<4>) -> Tensor<4> {
        self._1.forward(pooled)
    }
}

/// Convolution without bias and batch norm (ε 1e-5), numbers 0 and 1 of a `Sequential`; the caller applies the activation.
#[derive(Module, Debug)]
pub struct Unit {
    _0: Conv2d,
    _1: Norm,
}

impl Fold for Unit {
    fn fold(&mut self) -> Result<(), FoldError> {
        fold::into_conv(&mut self._0, &mut self._1)
    }
}

impl Unit {
    /// A unit around `conv`, whose bias is dropped.
    pub(super) fn new(conv: Conv2dConfig, device: &Device) -> Self {
        let channels = conv.channels[1];
        Self { _0: conv.with_bias(false).init(device), _1: norm(channels, 1e-5, device) }
    }

    /// A depthwise unit: one `kernel`² filter per channel.
    pub(super) fn depthwise(channels: usize, kernel: usize, stride: usize, device: &Device) -> Self {
        Self::new(conv([channels, channels], kernel, stride, kernel / 2).with_groups(channels), device)
    }

    /// A 1×1 unit.
    pub(super) fn pointwise(channels: [usize; 2], device: &Device) -> Self {
        Self::new(conv(channels, 1, 1, 0), device)
    }

    /// Convolution, batch norm.
    pub(super) fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        self._1.forward(convolve(&self._0, x))
    }
}

/// A classifier of a dropout (number 0, which does nothing at inference) and a linear layer.
#[derive(Module, Debug)]
pub struct DropoutLinear {
    _1: Linear,
}

impl DropoutLinear {
    /// `inputs` → 1000 logits.
    pub(super) fn new(inputs: usize, device: &Device) -> Self {
        Self { _1: linear(inputs, super::CLASSES, device) }
    }

    /// `[n, inputs]` → `[n, 1000]`.
    pub(super) fn forward(&self, x: Tensor<2>) -> Tensor<2> {
        apply_linear(&self._1, x)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `[1, channels, side, side]` with a different value, some of them negative, at each place.
    fn ramp(channels: usize, side: usize) -> (Vec<f32>, Tensor<4>) {
        let values: Vec<f32> = (0..channels * side * side).map(|i| ((i * 37) % 101) as f32 - 70.0).collect();
        let data = burn::tensor::TensorData::new(values.clone(), [1, channels, side, side]);
        (values, Tensor::from_data(data, &Device::flex()))
    }

    fn values(tensor: Tensor<4>) -> Vec<f32> {
        tensor.into_data().try_to_vec().unwrap()
    }

    #[test]
    fn response_norm_is_its_definition() {
        let (x, tensor) = ramp(9, 3);
        let normed = values(local_response_norm(tensor));
        for (i, y) in normed.iter().enumerate() {
            let (channel, place) = (i / 9, i % 9);
            let window = channel.saturating_sub(2)..(channel + 3).min(9);
            let sum: f64 = window.map(|c| f64::from(x[c * 9 + place]).powi(2)).sum();
            let expected = f64::from(x[i]) / (1.0 + 1e-4 / 5.0 * sum).powf(0.75);
            assert!((f64::from(*y) - expected).abs() < 1e-5 * expected.abs().max(1.0), "{y} is not {expected}");
        }
    }

    #[test]
    fn max_pools_round_as_asked_and_padding_never_wins() {
        let (x, tensor) = ramp(1, 6);
        let max = |rows: std::ops::Range<usize>, columns: std::ops::Range<usize>| {
            rows.flat_map(|y| columns.clone().map(move |x| (y, x))).map(|(y, c)| x[y * 6 + c]).fold(f32::MIN, f32::max)
        };
        let floor = [max(0..3, 0..3), max(0..3, 2..5), max(2..5, 0..3), max(2..5, 2..5)];
        assert_eq!(values(max_pool(tensor.clone(), 3, 2, 0, Rounding::Floor)), floor);
        let ceil = values(max_pool(tensor.clone(), 3, 2, 0, Rounding::Ceil));
        assert_eq!((ceil.len(), ceil[2], ceil[8]), (9, max(0..3, 4..6), max(4..6, 4..6)));
        let all_negative = tensor.sub_scalar(100.0);
        let padded = values(max_pool(all_negative, 3, 2, 1, Rounding::Floor));
        assert_eq!((padded.len(), padded[0]), (9, max(0..2, 0..2) - 100.0));
    }

    #[test]
    fn average_pools_count_padding_as_asked() {
        let (x, tensor) = ramp(1, 4);
        let corner = x[0] + x[1] + x[4] + x[5];
        assert_eq!(values(avg_pool_same(tensor.clone(), true))[0], corner / 9.0);
        assert_eq!(values(avg_pool_same(tensor.clone(), false))[0], corner / 4.0);
        assert!((values(global_average(tensor))[0] - x.iter().sum::<f32>() / 16.0).abs() < 1e-5);
    }
}
