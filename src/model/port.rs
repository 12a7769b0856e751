//! What a model takes and gives: named tensors of fixed shapes but for the batch.

use super::value::ElementType;

/// The size of an axis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Axis {
    /// The number of samples that run together.
    Batch,
    /// A size that never changes.
    Fixed(usize),
}

/// What the values of an input stand for, so that made-up ones are like real ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Contents {
    /// Normalised images, `[batch, channels, height, width]`: mean 0, variance 1, smooth with some grain.
    Image,
    /// Samples of mean 0 and variance 1 that have nothing to do with each other.
    Noise,
    /// Indices below a number: tokens of a vocabulary.
    Below(usize),
    /// Ones: a mask that lets everything through.
    Ones,
}

/// An input or an output of a model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Port {
    /// Its name, `input`.
    pub name: String,
    /// Its axes.
    pub shape: Vec<Axis>,
    /// What it holds.
    pub element: ElementType,
    /// What its values stand for; without a meaning for an output.
    pub contents: Contents,
}

impl Port {
    /// A float tensor whose first axis is the batch, with the sizes of the other axes.
    pub fn float(name: &str, sizes: &[usize], contents: Contents) -> Self {
        Self { name: name.to_owned(), shape: batch_first(sizes), element: ElementType::Float, contents }
    }

    /// Indices below `bound`, 64 bits each, whose first axis is the batch.
    pub fn indices(name: &str, sizes: &[usize], bound: usize) -> Self {
        let (element, contents) = (ElementType::Int64, Contents::Below(bound));
        Self { name: name.to_owned(), shape: batch_first(sizes), element, contents }
    }

    /// Its shape for a batch of a size.
    pub fn sized(&self, batch: usize) -> Vec<usize> {
        let size = |axis: &Axis| match axis {
            Axis::Batch => batch,
            Axis::Fixed(size) => *size,
        };
        self.shape.iter().map(size).collect()
    }

    /// Which axis is the batch; none where the model runs one fixed number of samples at a time.
    pub fn batch_axis(&self) -> Option<usize> {
        self.shape.iter().position(|axis| *axis == Axis::Batch)
    }

    /// Elements for a batch of a size.
    pub fn elements(&self, batch: usize) -> usize {
        self.sized(batch).iter().product()
    }
}

fn batch_first(sizes: &[usize]) -> Vec<Axis> {
    std::iter::once(Axis::Batch).chain(sizes.iter().map(|size| Axis::Fixed(*size))).collect()
}
