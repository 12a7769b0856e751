//! The layers of a captured graph, with what each costs: one pass over the operations.

use super::graph::{elements, view};
use crate::event::LayerFacts;
use burn_ir::{
    ActivationOperationIr as Activation, BaseOperationIr as Base, BatchNormOpIr, BinaryOpIr, ClampOpIr, Conv2dOpIr,
    FloatOperationIr as Float, LinearOpIr, ModuleOperationIr as Module, NumericOperationIr as Numeric, OperationIr,
    ReduceDimOpIr, ScalarIr, TensorId, TensorIr,
};
use std::collections::{HashMap, HashSet};

/// One pass over the operations, in execution order.
pub(super) struct Walk {
    /// The layers so far.
    pub(super) layers: Vec<LayerFacts>,
    /// Values that convolutions and linear layers write.
    pub(super) activations: u64,
    /// Tensors that depend on an input: everything else is a weight or a constant.
    pub(super) derived: HashSet<TensorId>,
    /// The layer that wrote a tensor, views of it included.
    writer: HashMap<TensorId, usize>,
    /// Tensors between the squares of a local response norm and its division: they belong to one layer.
    squares: HashSet<TensorId>,
    /// The weight that each view of a weight is a view of, and its size.
    source: HashMap<TensorId, (TensorId, u64)>,
    /// Weights that have been counted; a shared one counts once.
    counted: HashSet<TensorId>,
}

impl Walk {
    pub(super) fn new(inputs: &[TensorId]) -> Self {
        Self {
            layers: Vec::new(),
            activations: 0,
            derived: inputs.iter().copied().collect(),
            writer: HashMap::new(),
            squares: HashSet::new(),
            source: HashMap::new(),
            counted: HashSet::new(),
        }
    }

    /// Reads the next operation and gives the layer that it is or belongs to, where that is known already.
    pub(super) fn layer_of(&mut self, op: &OperationIr) -> Option<usize> {
        let before = self.layers.len();
        self.step(op);
        if self.layers.len() > before {
            return Some(before);
        }
        // The layer that wrote what a view shows is that of another operation.
        op.outputs().next().filter(|_| view(op).is_none()).and_then(|out| self.writer.get(&out.id)).copied()
    }

    pub(super) fn step(&mut self, op: &OperationIr) {
        let Some(out) = op.outputs().next() else { return };
        if let Some(of) = view(op) {
            self.add_view(of, out);
        }
        if !op.inputs().any(|tensor| self.derived.contains(&tensor.id)) {
            return;
        }
        self.derived.extend(op.outputs().map(|tensor| tensor.id));
        if !self.within_response_norm(op, out) {
            self.layer(op);
        }
    }

    /// A view belongs to the layer that wrote its source; a view of a weight is that weight.
    fn add_view(&mut self, of: &TensorIr, out: &TensorIr) {
        let root = self.source.get(&of.id).copied().unwrap_or((of.id, elements(of)));
        self.source.insert(out.id, root);
        if let Some(layer) = self.writer.get(&of.id) {
            self.writer.insert(out.id, *layer);
        }
    }

    /// Recognises a local response norm, which is no single operation: it begins with x·x and ends where a tensor derived from
    /// the squares is multiplied with, or divides, another. Returns whether the operation belongs to one.
    fn within_response_norm(&mut self, op: &OperationIr, out: &TensorIr) -> bool {
        let inside = |tensor: &TensorIr| self.squares.contains(&tensor.id);
        match op {
            OperationIr::NumericFloat(_, Numeric::Mul(two) | Numeric::Div(two)) => {
                let (lhs, rhs) = (inside(&two.lhs), inside(&two.rhs));
                let square = two.lhs.id == two.rhs.id && matches!(op, OperationIr::NumericFloat(_, Numeric::Mul(_)));
                if lhs != rhs && self.derived.contains(&two.lhs.id) && self.derived.contains(&two.rhs.id) {
                    self.push("lrn", String::new(), out, 0, 0, 0);
                    return true;
                }
                if !(lhs || rhs || square) {
                    return false;
                }
            }
            _ if !op.inputs().any(inside) => return false,
            _ => {}
        }
        self.squares.insert(out.id);
        true
    }

    fn layer(&mut self, op: &OperationIr) {
        match op {
            OperationIr::Module(op) => self.module(op),
            OperationIr::Activation(op) => self.activation(op),
            OperationIr::NumericFloat(_, op) => self.numeric(op),
            OperationIr::Float(_, Float::Matmul(op)) => {
                self.product(&op.lhs, &op.rhs, None, &op.out);
            }
            OperationIr::BaseFloat(Base::Cat(op)) => {
                let parts: Vec<_> = op.tensors.iter().map(|t| t.shape.to_vec()[op.dim].to_string()).collect();
                self.push("concat", parts.join(" + "), &op.out, 0, 0, 0);
            }
            _ => {}
        }
    }

    fn module(&mut self, op: &Module) {
        match op {
            Module::Conv2d(op) => self.convolution(op),
            Module::Linear(LinearOpIr { x, weight, bias, out }) => self.product(x, weight, bias.as_ref(), out),
            Module::Embedding(op) => {
                let params = self.learn(&op.weights);
                let [tokens, dimensions] = op.weights.shape.dims();
                self.push("embedding", format!("{tokens} → {dimensions}"), &op.out, params, 0, 0);
            }
            Module::BatchNorm(BatchNormOpIr { gamma, beta, out, .. }) => {
                let params = self.learn(gamma) + self.learn(beta);
                self.push("batch norm", String::new(), out, params, 0, 0);
            }
            Module::MaxPool2d(op) => {
                let detail = window(op.kernel_size, op.stride, op.padding.map(|p| (p, p)), op.dilation, op.ceil_mode);
                self.pool("max pool", detail, op.kernel_size, &op.out);
            }
            Module::MaxPool2dWithIndices(op) => {
                let detail = window(op.kernel_size, op.stride, op.padding.map(|p| (p, p)), op.dilation, op.ceil_mode);
                self.pool("max pool", detail, op.kernel_size, &op.out);
            }
            Module::AvgPool2d(op) => {
                let detail = window(op.kernel_size, op.stride, op.padding.map(|p| (p, p)), [1, 1], op.ceil_mode);
                self.pool("avg pool", detail, op.kernel_size, &op.out);
            }
            Module::AdaptiveAvgPool2d(op) => {
                let read = |axis: usize| adaptive_reads(op.x.shape[axis + 2], op.output_size[axis]);
                let ops = (op.x.shape[0] * op.x.shape[1]) as u64 * read(0) * read(1);
                self.push("avg pool", format!("to {}", by(op.output_size)), &op.out, 0, 0, ops);
            }
            _ => {}
        }
    }

    fn convolution(&mut self, op: &Conv2dOpIr) {
        let Conv2dOpIr { weight, bias, options, out, .. } = op;
        let [filters, depth, height, width] = weight.shape.dims();
        let macs = elements(out) * (depth * height * width) as u64;
        let biased = if bias.is_some() { elements(out) } else { 0 };
        let params = self.learn(weight) + bias.as_ref().map_or(0, |bias| self.learn(bias));
        let mut detail = format!(
            "{filters} × {}",
            window([height, width], options.stride, options.padding, options.dilation, false)
        );
        if options.groups > 1 {
            detail += &format!(" groups {}", options.groups);
        }
        self.activations += elements(out);
        self.push("conv", detail, out, params, macs, 2 * macs + biased);
    }

    /// A linear layer, or a matrix product of two activations.
    fn product(&mut self, x: &TensorIr, weight: &TensorIr, bias: Option<&TensorIr>, out: &TensorIr) {
        let last = |tensor: &TensorIr| tensor.shape.last().copied().unwrap_or(1);
        let macs = elements(out) * last(x) as u64;
        let biased = if bias.is_some() { elements(out) } else { 0 };
        let kind = if self.derived.contains(&weight.id) { "matmul" } else { "linear" };
        let params = self.learn(weight) + bias.map_or(0, |bias| self.learn(bias));
        self.activations += elements(out);
        self.push(kind, format!("{} → {}", last(x), last(out)), out, params, macs, 2 * macs + biased);
    }

    fn activation(&mut self, op: &Activation) {
        match op {
            Activation::Relu(op) => self.push("relu", String::new(), &op.out, 0, 0, elements(&op.out)),
            Activation::LeakyRelu(op) => self.push("leaky relu", String::new(), &op.out, 0, 0, elements(&op.out)),
            Activation::PRelu(op) => {
                let params = self.learn(&op.rhs);
                self.push("prelu", String::new(), &op.out, params, 0, elements(&op.out));
            }
            Activation::Sigmoid(op) => self.push("sigmoid", String::new(), &op.out, 0, 0, 0),
            Activation::HardSigmoid(op) => self.push("hard sigmoid", String::new(), &op.out, 0, 0, 0),
            Activation::Gelu(op) => self.push("gelu", String::new(), &op.out, 0, 0, 0),
            Activation::Softmax(op) => self.push("softmax", String::new(), &op.out, 0, 0, 0),
            _ => {}
        }
    }

    fn numeric(&mut self, op: &Numeric) {
        match op {
            Numeric::Clamp(ClampOpIr { min, max, out, .. }) => {
                let relu6 = (number(*min), number(*max)) == (0.0, 6.0);
                let detail = if relu6 { String::new() } else { format!("{} … {}", number(*min), number(*max)) };
                self.push(if relu6 { "relu6" } else { "clamp" }, detail, out, 0, 0, elements(out));
            }
            Numeric::ClampMin(op) => self.push("relu", String::new(), &op.out, 0, 0, elements(&op.out)),
            Numeric::MeanDim(op) => self.mean(op),
            Numeric::Add(op) => self.sum(op),
            Numeric::Mul(op) => self.times(op),
            _ => {}
        }
    }

    /// A mean over a spatial axis is a pool as large as the axis. Two in a row are one global pool, whose window was counted with
    /// the first.
    fn mean(&mut self, op: &ReduceDimOpIr) {
        if op.axis < 2 {
            return;
        }
        match self.writer.get(&op.input.id).copied() {
            Some(layer) if self.layers[layer].kind == "global avg pool" => {
                self.layers[layer].output = shape(&op.out);
                self.writer.insert(op.out.id, layer);
            }
            _ => self.push("global avg pool", String::new(), &op.out, 0, 0, elements(&op.input)),
        }
    }

    /// A residual sum, or the bias of a linear layer that is recorded as a product and a sum.
    fn sum(&mut self, op: &BinaryOpIr) {
        let (lhs, rhs) = (self.derived.contains(&op.lhs.id), self.derived.contains(&op.rhs.id));
        if lhs && rhs {
            return self.push("add", String::new(), &op.out, 0, 0, 0);
        }
        let (x, bias) = if lhs { (&op.lhs, &op.rhs) } else { (&op.rhs, &op.lhs) };
        let Some(layer) = self.writer.get(&x.id).copied() else { return };
        if self.layers[layer].kind == "linear" {
            let params = self.learn(bias);
            let layer_facts = &mut self.layers[layer];
            layer_facts.params += params;
            layer_facts.ops += elements(&op.out);
            self.writer.insert(op.out.id, layer);
        }
    }

    /// The product of two activations: x · sigmoid(x) is one layer, SiLU; any other is a gate.
    fn times(&mut self, op: &BinaryOpIr) {
        if !self.derived.contains(&op.lhs.id) || !self.derived.contains(&op.rhs.id) {
            return;
        }
        let kind_of = |tensor: &TensorIr| self.writer.get(&tensor.id).map(|layer| &self.layers[*layer].kind);
        let gate = [&op.lhs, &op.rhs].into_iter().find(|t| kind_of(t).is_some_and(|kind| kind == "sigmoid"));
        match gate.and_then(|t| self.writer.get(&t.id).copied()) {
            // A gate of the input's own shape is a SiLU; a squeeze-and-excitation gate is one value a channel.
            Some(layer) if elements(&op.lhs) == elements(&op.rhs) => {
                self.layers[layer].kind = "silu".to_owned();
                self.writer.insert(op.out.id, layer);
            }
            _ => self.push("multiply", String::new(), &op.out, 0, 0, 0),
        }
    }

    fn pool(&mut self, kind: &str, detail: String, kernel: [usize; 2], out: &TensorIr) {
        let ops = elements(out) * (kernel[0] * kernel[1]) as u64;
        self.push(kind, detail, out, 0, 0, ops);
    }

    fn push(&mut self, kind: &str, detail: String, out: &TensorIr, params: u64, macs: u64, ops: u64) {
        self.writer.insert(out.id, self.layers.len());
        self.layers.push(LayerFacts { kind: kind.to_owned(), detail, output: shape(out), params, macs, ops });
    }

    /// Number of learned values of a weight: 0 if it is an activation, or if an earlier layer has counted it.
    fn learn(&mut self, weight: &TensorIr) -> u64 {
        if self.derived.contains(&weight.id) {
            return 0;
        }
        let (id, size) = self.source.get(&weight.id).copied().unwrap_or((weight.id, elements(weight)));
        if self.counted.insert(id) { size } else { 0 }
    }
}

fn shape(tensor: &TensorIr) -> Vec<u64> {
    tensor.shape.iter().map(|n| *n as u64).collect()
}

const fn number(scalar: ScalarIr) -> f64 {
    match scalar {
        ScalarIr::Float(v) => v,
        ScalarIr::Int(v) => v as f64,
        ScalarIr::UInt(v) => v as f64,
        ScalarIr::Bool(v) => v as u8 as f64,
    }
}

/// Values that all windows of an adaptive pool read along an axis.
pub(super) fn adaptive_reads(input: usize, output: usize) -> u64 {
    (0..output).map(|i| (((i + 1) * input).div_ceil(output) - i * input / output) as u64).sum()
}

/// `3×3`.
fn by([height, width]: [usize; 2]) -> String {
    format!("{height}×{width}")
}

/// `11×11 /4 pad 2 dilation 2 ceil`, without what has its default.
fn window(
    kernel: [usize; 2],
    stride: [usize; 2],
    padding: [(usize, usize); 2],
    dilation: [usize; 2],
    ceil: bool,
) -> String {
    let pair = |[a, b]: [usize; 2]| if a == b { a.to_string() } else { by([a, b]) };
    let [(top, bottom), (left, right)] = padding;
    let mut text = by(kernel);
    if stride != [1, 1] {
        text += &format!(" /{}", pair(stride));
    }
    if (top, left) != (bottom, right) {
        text += &format!(" pad {top},{bottom},{left},{right}");
    } else if (top, left) != (0, 0) {
        text += &format!(" pad {}", pair([top, left]));
    }
    if dilation != [1, 1] {
        text += &format!(" dilation {}", pair(dilation));
    }
    if ceil { text + " ceil" } else { text }
}
