//! The tensors that a network holds: what they are called in PyTorch, what each is for, and its shape.

use burn::module::ParamId;

/// What a tensor is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// A convolution's weight, `[out, in / groups, height, width]`.
    Conv,
    /// A linear layer's weight, `[in, out]` in Burn and `[out, in]` in PyTorch.
    Linear,
    /// The vectors of an embedding, `[tokens, dimensions]`.
    Embedding,
    /// The bias of a convolution or linear layer.
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
    /// The role of a tensor of rank `rank` in the field called `field` of a module.
    const fn of(module: Container, field: &str, rank: usize) -> Self {
        match (field.as_bytes(), rank) {
            (b"gamma", _) => Self::NormWeight,
            (b"beta", _) => Self::NormBias,
            (b"running_mean", _) => Self::RunningMean,
            (b"running_var", _) => Self::RunningVar,
            (b"alpha", _) => Self::Slope,
            (_, 4) => Self::Conv,
            (_, 2) if matches!(module, Container::Embedding) => Self::Embedding,
            (_, 2) => Self::Linear,
            _ => Self::Bias,
        }
    }

    /// Whether training would learn it; the statistics of a batch norm are observed instead.
    pub const fn is_learned(self) -> bool {
        !matches!(self, Self::RunningMean | Self::RunningVar)
    }
}

/// A tensor that a network holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parameter {
    /// Its key in the PyTorch state dict of the same network.
    pub key: String,
    /// What it is for.
    pub role: Role,
    /// Its shape as the network holds it.
    pub shape: Vec<usize>,
    /// What identifies it in this process.
    pub id: ParamId,
}

impl Parameter {
    /// Its shape in PyTorch: a linear layer's weight is `[out, in]` there.
    pub fn published_shape(&self) -> Vec<usize> {
        let mut shape = self.shape.clone();
        if self.role == Role::Linear {
            shape.reverse();
        }
        shape
    }
}

/// Where a visitor or a mapper is in a Burn module: names as Burn has them, each with the kind of what contains it.
#[derive(Default)]
pub(super) struct Path(Vec<(String, Container)>);

#[derive(Clone, Copy, PartialEq, Eq)]
enum Container {
    Enum,
    List,
    Embedding,
    Struct,
}

impl Path {
    /// To be called from `enter_module`.
    pub(super) fn enter(&mut self, name: &str, container: &str) {
        let container = match container {
            "Vec" => Container::List,
            "Struct:Embedding" => Container::Embedding,
            _ if container.starts_with("Enum:") => Container::Enum,
            _ => Container::Struct,
        };
        self.0.push((name.to_owned(), container));
    }

    /// To be called from `exit_module`.
    pub(super) fn exit(&mut self) {
        self.0.pop();
    }

    /// The tensor at this place.
    pub(super) fn parameter(&self, id: ParamId, shape: Vec<usize>) -> Parameter {
        let (field, module) = self.0.last().map_or(("", Container::Struct), |(name, module)| (name, *module));
        Parameter { key: self.key(), role: Role::of(module, field, shape.len()), shape, id }
    }

    /// The key that PyTorch has for the tensor at this place.
    ///
    /// Fields of networks are called as there; what Rust or Burn calls differently is translated here: an enum's variant is
    /// no component, `_3` is `3`, a list `layer_` counts from one (`layer1`), and Burn's norms say gamma, beta and alpha.
    fn key(&self) -> String {
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
