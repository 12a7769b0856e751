//! What a network does, as a graph of operations: recorded on Burn's capture device, where nothing is computed.
//!
//! Cost, layers, traffic and the CPU's compiler read these graphs and nothing else, so they work for every model.

use super::{
    network::Network,
    value::{ElementType, Value},
};
use burn::tensor::Device;
use burn_ir::{GraphIr, OperationIr, TensorId};

/// A forward pass that was recorded.
#[derive(Clone, Debug)]
pub struct Captured {
    /// Every operation, in execution order.
    pub graph: GraphIr,
    /// The ids of the inputs.
    pub inputs: Vec<TensorId>,
    /// The ids of the outputs.
    pub outputs: Vec<TensorId>,
}

/// Why a forward pass could not be recorded.
#[derive(Debug, thiserror::Error)]
pub enum CaptureError {
    /// Burn refused the capture.
    #[error("the forward pass could not be captured: {0}")]
    Refused(burn::tensor::CaptureError),
    /// The forward pass did nothing with its input.
    #[error("the captured forward pass holds no operation on its input")]
    Empty,
}

/// The shape and the elements of an input.
pub type Placeholder = (Vec<usize>, ElementType);

/// Records what `forward` does with inputs of those shapes, without doing it.
///
/// # Errors
/// If Burn refuses the capture, or `forward` leaves the inputs alone.
pub fn capture(
    inputs: &[Placeholder],
    forward: impl FnOnce(&Device, &[Value]) -> Vec<Value>,
) -> Result<Captured, CaptureError> {
    let device = Device::capture();
    record(&device, inputs, |inputs| (forward(&device, inputs), ())).map(|(captured, ())| captured)
}

/// Records a network for inputs of those shapes. Each of its parameters is handed to `keep`, in the order of
/// [`Network::visit`], and an empty tensor on the capture device takes its place: they are taken and not copied, since the
/// largest networks have half a gigabyte of them. Gives what `keep` made of them, by their ids in the graph.
///
/// # Errors
/// As [`capture`].
pub fn capture_taking<P>(
    network: Box<dyn Network>,
    inputs: &[Placeholder],
    mut keep: impl FnMut(Value) -> P,
) -> Result<(Captured, Vec<(TensorId, P)>), CaptureError> {
    let device = Device::capture();
    let mut parameters = Vec::new();
    let captured = record(&device, inputs, |inputs| {
        let empty = network.map(&mut |value| {
            let empty = Value::empty(&value.shape(), value.element(), &device);
            // On the capture device: it has an id.
            parameters.extend(empty.captured_id().map(|id| (id, keep(value))));
            empty
        });
        (empty.forward(inputs), empty)
    });
    captured.map(|(captured, _)| (captured, parameters))
}

/// Records a network that goes on to be used. Gives its parameters, of which nothing is copied, by their ids in the graph.
///
/// # Errors
/// As [`capture`].
pub fn capture_sharing(
    network: &dyn Network,
    inputs: &[Placeholder],
) -> Result<(Captured, Vec<(TensorId, Value)>), CaptureError> {
    let device = Device::capture();
    let mut parameters = Vec::new();
    let mut emptied = None;
    let captured = record(&device, inputs, |inputs| {
        let empty = network.share().map(&mut |value| {
            let empty = Value::empty(&value.shape(), value.element(), &device);
            parameters.push((empty.captured_id(), value));
            empty
        });
        let outputs = empty.forward(inputs);
        emptied = Some(empty);
        (outputs, ())
    });
    if let Some(emptied) = emptied {
        // What a network shares with its second self, the statistics of batch norms, is put back.
        let mut own = parameters.iter();
        drop(emptied.map(&mut |empty| own.next().map_or(empty, |(_, value)| value.clone())));
    }
    let parameters = parameters.into_iter().filter_map(|(id, value)| Some((id?, value))).collect();
    captured.map(|(captured, ())| (captured, parameters))
}

/// Records `forward`, and keeps what it gives beside its outputs until the recording is over: a tensor that is dropped is an
/// operation, too.
fn record<T>(
    device: &Device,
    inputs: &[Placeholder],
    forward: impl FnOnce(&[Value]) -> (Vec<Value>, T),
) -> Result<(Captured, T), CaptureError> {
    let mut kept = None;
    let captured = device.capture_scope(|scope| {
        let inputs: Vec<_> = inputs.iter().map(|(shape, element)| Value::empty(shape, *element, device)).collect();
        let (outputs, other) = forward(&inputs);
        let complete = scope.complete([], []);
        let ids = |values: &[Value]| values.iter().filter_map(Value::captured_id).collect::<Vec<_>>();
        kept = Some((ids(&inputs), ids(&outputs), other));
        complete
    });
    let graph = captured.map_err(CaptureError::Refused)?.graph;
    let (inputs, outputs, other) = kept.ok_or(CaptureError::Empty)?;
    let is_input = |id: TensorId| inputs.contains(&id);
    let read = graph.operations.iter().flat_map(OperationIr::inputs).any(|tensor| is_input(tensor.id));
    if !read || outputs.is_empty() {
        return Err(CaptureError::Empty);
    }
    Ok((Captured { graph, inputs, outputs }, other))
}
