//! Batch-norm folding for inference.
//!
//! At inference a batch norm is y = s·x + t per channel, with s = γ / √(σ² + ε) and t = β − s·μ. Where its input comes from a
//! convolution or a linear layer and nothing else reads that layer's output, it is exact to multiply the layer's filters by s
//! and to make s·bias + t its bias. That saves a pass over the activations and one rounding of each value.
//!
//! A norm that comes first (DenseNet's pre-activation) or after a concatenation (ENet's first) stays. Each network says what
//! folds into what by implementing [`Fold`].

use super::probe;
use burn::module::{Module, Param, ParamId};
use burn::nn::conv::Conv2d;
use burn::nn::{BatchNorm, Linear};
use burn::tensor::{Tensor, TensorData};

/// A parameter could not be read back from its device, or is not of a floating-point type.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("batch norms were not folded: {0}")]
pub struct FoldError(String);

/// A batch norm, or a placeholder for one that has been folded into the layer before it.
#[derive(Module, Debug)]
pub enum Norm {
    /// It runs as an operation of its own.
    Batch(BatchNorm),
    /// The layer before it computes it.
    Folded(Folded),
}

/// A folded batch norm: the identity, with the id by which [`probe`] knows its output.
#[derive(Module, Debug)]
pub struct Folded {
    #[module(skip)]
    id: ParamId,
}

impl Norm {
    /// The batch norm's output. Where it has been folded that is its input.
    pub(in crate::model) fn forward<const D: usize>(&self, x: Tensor<D>) -> Tensor<D> {
        match self {
            Self::Batch(norm) => probe::layer(norm.gamma.id, norm.forward(x)),
            Self::Folded(folded) => probe::layer(folded.id, x),
        }
    }

    /// Turns a norm that runs into a folded one and gives its factors and summands; none where it is folded already.
    fn take(&mut self) -> Result<Option<Affine>, FoldError> {
        let Self::Batch(norm) = self else { return Ok(None) };
        let affine = Affine::of(norm)?;
        *self = Self::Folded(Folded { id: norm.gamma.id });
        Ok(Some(affine))
    }
}

/// y = scale·x + shift, one of each per channel.
struct Affine {
    scale: Vec<f64>,
    shift: Vec<f64>,
}

impl Affine {
    fn of(norm: &BatchNorm) -> Result<Self, FoldError> {
        let (gamma, beta) = (read(norm.gamma.val())?, read(norm.beta.val())?);
        let (mean, var) = (read(norm.running_mean.value())?, read(norm.running_var.value())?);
        let scale: Vec<f64> = gamma
            .iter()
            .zip(var)
            .map(|(gamma, var)| f64::from(*gamma) / (f64::from(var) + norm.epsilon).sqrt())
            .collect();
        let shift = beta.iter().zip(mean).zip(&scale).map(|((beta, mean), s)| f64::from(*beta) - s * f64::from(mean));
        Ok(Self { shift: shift.collect(), scale })
    }

    /// The bias of a layer with the norm folded in; `bias` is the one that it had.
    fn bias(&self, bias: Option<&Param<Tensor<1>>>) -> Result<Vec<f32>, FoldError> {
        let before = bias.map(|bias| read(bias.val())).transpose()?.unwrap_or_else(|| vec![0.0; self.shift.len()]);
        let channels = before.iter().zip(self.scale.iter().zip(&self.shift));
        Ok(channels.map(|(bias, (scale, shift))| (scale * f64::from(*bias) + shift) as f32).collect())
    }
}

/// Something that may hold batch norms to fold.
pub trait Fold {
    /// Folds every norm that can be. By default there is none.
    ///
    /// # Errors
    /// Where the device does not give a parameter back.
    fn fold(&mut self) -> Result<(), FoldError> {
        Ok(())
    }
}

impl<T: Fold> Fold for Vec<T> {
    fn fold(&mut self) -> Result<(), FoldError> {
        self.iter_mut().try_for_each(Fold::fold)
    }
}

impl<T: Fold> Fold for Option<T> {
    fn fold(&mut self) -> Result<(), FoldError> {
        self.iter_mut().try_for_each(Fold::fold)
    }
}

/// Implements [`Fold`] for a struct by folding each of the fields named.
macro_rules! fold_fields {
    ($module:ty: $($field:ident),+ $(,)?) => {
        impl $crate::model::fold::Fold for $module {
            fn fold(&mut self) -> Result<(), $crate::model::fold::FoldError> {
                $($crate::model::fold::Fold::fold(&mut self.$field)?;)+
                Ok(())
            }
        }
    };
}
pub(in crate::model) use fold_fields;

/// Folds `norm` into the convolution before it, whose output nothing else reads.
pub(in crate::model) fn into_conv(conv: &mut Conv2d, norm: &mut Norm) -> Result<(), FoldError> {
    let Some(affine) = norm.take()? else { return Ok(()) };
    let mut weight = read(conv.weight.val())?;
    let filter = weight.len() / affine.scale.len().max(1);
    for (values, scale) in weight.chunks_mut(filter.max(1)).zip(&affine.scale) {
        values.iter_mut().for_each(|value| *value = (f64::from(*value) * scale) as f32);
    }
    conv.bias = Some(like(&conv.weight, affine.bias(conv.bias.as_ref())?, [affine.scale.len()]));
    conv.weight = like(&conv.weight, weight, conv.weight.dims());
    Ok(())
}

/// Folds `norm` into the linear layer before it, whose output nothing else reads.
pub(in crate::model) fn into_linear(linear: &mut Linear, norm: &mut Norm) -> Result<(), FoldError> {
    let Some(affine) = norm.take()? else { return Ok(()) };
    let mut weight = read(linear.weight.val())?;
    // `[in, out]`: a row holds one weight of every output.
    for row in weight.chunks_mut(affine.scale.len().max(1)) {
        row.iter_mut().zip(&affine.scale).for_each(|(value, scale)| *value = (f64::from(*value) * scale) as f32);
    }
    linear.bias = Some(like(&linear.weight, affine.bias(linear.bias.as_ref())?, [affine.scale.len()]));
    linear.weight = like(&linear.weight, weight, linear.weight.dims());
    Ok(())
}

/// Calls `fold` with each two adjacent elements of a list.
pub(in crate::model) fn adjacent<T>(
    list: &mut [T],
    mut fold: impl FnMut(&mut T, &mut T) -> Result<(), FoldError>,
) -> Result<(), FoldError> {
    (1..list.len()).try_for_each(|i| match list.split_at_mut(i) {
        ([.., before], [after, ..]) => fold(before, after),
        _ => Ok(()),
    })
}

fn read<const D: usize>(tensor: Tensor<D>) -> Result<Vec<f32>, FoldError> {
    tensor.try_into_vec_as::<f32>().map_err(|error| FoldError(error.to_string()))
}

/// A parameter on the device of `weight`, in the device's default precision.
fn like<const D: usize, const E: usize>(
    weight: &Param<Tensor<D>>,
    values: Vec<f32>,
    shape: [usize; E],
) -> Param<Tensor<E>> {
    Param::from_data(TensorData::new(values, shape), &weight.val().device())
}
