//! Looks into a running network, so that a test can compare its layers with another implementation's, or say whether its
//! weights are healthy. Nothing is observed, and nothing copied, unless [`observe`] is on the stack of the same thread.

use burn::module::ParamId;
use burn::tensor::Tensor;
use std::cell::RefCell;

/// Where a tensor was seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// Going into a ReLU, ReLU6 or PReLU.
    Activation,
    /// Coming out of the convolution, linear layer or batch norm whose weight (γ) has this id. A folded batch norm is seen
    /// as if it were there.
    Layer(ParamId),
}

/// Sees a tensor, flattened, with the place and the shape it had.
pub type Observer<'a> = &'a mut dyn FnMut(Place, &[usize], Tensor<1>);

/// Whatever an observer is told is kept here until the forward pass is over.
type Seen = Vec<(Place, Vec<usize>, Tensor<1>)>;

thread_local! {
    static SEEN: RefCell<Option<Seen>> = const { RefCell::new(None) };
}

/// Runs `forward` and then shows `observer` what went on inside, in execution order.
///
/// All of it is kept until `forward` returns: this is for an image or two, not for a benchmark.
pub fn observe<T>(forward: impl FnOnce() -> T, observer: Observer) -> T {
    SEEN.set(Some(Vec::new()));
    let output = forward();
    for (place, shape, values) in SEEN.take().unwrap_or_default() {
        observer(place, &shape, values);
    }
    output
}

/// To be called with what goes into an activation: one thread-local read when nobody looks.
pub(in crate::model) fn activation<const D: usize>(input: &Tensor<D>) {
    see(Place::Activation, input);
}

/// To be called with what comes out of the layer whose weight is `id`; gives it back.
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
