//! Looks at what goes into the activations of a running network, so that a test can say whether its weights are
//! healthy. Nothing is observed, and nothing copied, unless [`observe`] is on the stack of the same thread.

use burn::tensor::Tensor;
use std::cell::RefCell;

/// Sees the input of every ReLU, ReLU6 and PReLU, flattened, with the shape it had.
pub type Observer<'a> = &'a mut dyn FnMut(&[usize], Tensor<1>);

/// Whatever an observer is told is kept here until the forward pass is over.
type Seen = Vec<(Vec<usize>, Tensor<1>)>;

thread_local! {
    static SEEN: RefCell<Option<Seen>> = const { RefCell::new(None) };
}

/// Runs `forward` and then shows `observer` the activations' inputs, in execution order.
///
/// The inputs are all kept until `forward` returns: this is for one image, not for a benchmark.
pub fn observe<T>(forward: impl FnOnce() -> T, observer: Observer) -> T {
    SEEN.set(Some(Vec::new()));
    let output = forward();
    for (shape, input) in SEEN.take().unwrap_or_default() {
        observer(&shape, input);
    }
    output
}

/// Called by the activations of [`super::blocks`]: one thread-local read when nobody looks.
pub(super) fn activation<const D: usize>(input: &Tensor<D>) {
    SEEN.with_borrow_mut(|seen| {
        if let Some(seen) = seen {
            let shape = input.dims();
            seen.push((shape.to_vec(), input.clone().reshape([shape.iter().product::<usize>()])));
        }
    });
}
