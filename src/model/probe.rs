//! Intermediate values of a running network, so that a test can compare its layers with another implementation's, or look at
//! the size of its activations. Outside [`observe`], on the same thread, nothing is kept or copied.

use burn::module::ParamId;
use burn::tensor::Tensor;
use std::cell::RefCell;

/// Where a tensor was seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// Input of a ReLU, ReLU6 or PReLU.
    Activation,
    /// Output of the convolution, linear layer or batch norm whose weight (γ) has this id. A folded batch norm still counts as
    /// one.
    Layer(ParamId),
}

/// Called with a tensor, flattened, the place where it was seen, and its shape.
pub type Observer<'a> = &'a mut dyn FnMut(Place, &[usize], Tensor<1>);

/// What was seen so far; the observer is called after the forward pass.
type Seen = Vec<(Place, Vec<usize>, Tensor<1>)>;

thread_local! {
    static SEEN: RefCell<Option<Seen>> = const { RefCell::new(None) };
}

/// Runs `forward`, then calls `observer` with each intermediate value in execution order.
///
/// All of them are kept until `forward` returns: this is for an image or two, not for a benchmark.
pub fn observe<T>(forward: impl FnOnce() -> T, observer: Observer) -> T {
    SEEN.set(Some(Vec::new()));
    let output = forward();
    for (place, shape, values) in SEEN.take().unwrap_or_default() {
        observer(place, &shape, values);
    }
    output
}

/// Observes the input of an activation. Costs one read of a thread-local outside [`observe`].
pub(in crate::model) fn activation<const D: usize>(input: &Tensor<D>) {
    see(Place::Activation, input);
}

/// Observes the output of the layer whose weight has this id, and returns it.
pub(in crate::model) fn layer<const D: usize>(id: ParamId, output: Tensor<D>) -> Tensor<D> {
    see(Place::Layer(id), &output);
    output
}

fn see<const D: usize>(place: Place, tensor: &Tensor<D>) {
    SEEN.with_borrow_mut(|seen| {
        if let Some(seen) = seen {
            let shape = tensor.dims();
            seen.push((place, shape.to_vec(), tensor.clone().reshape([shape.iter().product::<usize>()])));
        }
    });
}
