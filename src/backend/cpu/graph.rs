//! A network as the few operations that the kernels know, read off the operations that Burn captured.
//!
//! What belongs together becomes one here: a batch norm goes into the convolution or linear layer before it, and so do the
//! residual that is added to its output and the activation that follows, wherever nobody else reads what is between.

use crate::model::capture::Captured;
use burn::tensor::TensorData;
use burn_ir::{
    ActivationOperationIr as Activation, AvgPool2dOpIr, BaseOperationIr as Base, BatchNormOpIr, BinaryOpIr, Conv2dOpIr,
    FloatOperationIr as Float, LinearOpIr, ModuleOperationIr as Module, NumericOperationIr as Numeric, OperationIr,
    PadModeIr, ScalarIr, TensorId, TensorIr,
};
use std::collections::{BTreeMap, HashMap, HashSet};
use wattscope_kernels::{
    conv::{Parameters, Shape},
    elementwise::Epilogue,
    layout::ChannelVector,
    pool::Reduce,
    simd::LANES,
};

/// The kernels can't run this network.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no kernel for this network: {0}")]
pub struct Unsupported(pub String);

/// What a node computes of its inputs.
#[derive(Debug)]
pub enum Op {
    /// The images.
    Input,
    /// A convolution, or a linear layer as the convolution that it is over the map before it. A second input is added.
    Conv {
        shape: Shape,
        parameters: Parameters,
    },
    Pool {
        kernel: [usize; 2],
        stride: [usize; 2],
        padding: [usize; 2],
        reduce: Reduce,
    },
    /// A factor and a summand a channel.
    Affine {
        scale: Vec<f32>,
        shift: Vec<f32>,
    },
    Add,
    /// The first input times the second, which has one value a channel.
    Gate,
    /// The input as it is: only the epilogue is computed.
    Same,
    /// Channels side by side, the missing ones zero.
    Concat,
    ResponseNorm {
        size: usize,
        scale: f32,
    },
    /// Mean over rows' ends: half of a global average.
    RowMean,
    /// A step on the way to a local response norm.
    Norming(Norming),
}

/// The steps of `zoo::blocks::local_response_norm`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Norming {
    Scaled(f32),
    Square(f32),
    Mean(f32, usize),
    PlusOne(f32, usize),
    Root(f32, usize),
    RootOfRoot(f32, usize),
    Divisor(f32, usize),
}

/// An operation, the nodes it reads, and its output's channels, height and width.
#[derive(Debug)]
pub struct Node {
    pub op: Op,
    pub inputs: Vec<usize>,
    pub shape: [usize; 3],
    pub epilogue: Option<Epilogue>,
}

/// Nodes in execution order, and which of them is the output.
#[derive(Debug)]
pub struct Graph {
    pub nodes: Vec<Node>,
    pub output: usize,
    /// Of each captured operation the node that computes it; none for what is done before the first image comes.
    pub of_operation: Vec<Option<usize>>,
}

/// Reads a captured graph.
pub fn read(captured: &Captured, values: BTreeMap<TensorId, TensorData>) -> Result<Graph, Unsupported> {
    let Captured { graph, inputs, outputs } = captured;
    let (&[input], &[output]) = (&inputs[..], &outputs[..]) else {
        return Err(Unsupported(format!("{} inputs and {} outputs", inputs.len(), outputs.len())));
    };
    let outs = || graph.operations.iter().flat_map(OperationIr::outputs);
    if let Some(map) = outs().find(|out| out.id == output && out.shape.num_dims() != 2) {
        return Err(Unsupported(format!("an output of shape {:?}", map.shape.to_vec())));
    }
    let mut uses = HashMap::new();
    graph.operations.iter().flat_map(OperationIr::inputs).for_each(|t| *uses.entry(t.id).or_insert(0) += 1);
    let only_concatenated = HashSet::new();
    let mut reader = Reader { nodes: Vec::new(), of: HashMap::new(), uses, only_concatenated, values };
    for op in &graph.operations {
        let Some(out) = op.outputs().next() else { continue };
        if matches!(op, OperationIr::Init(_)) || reader.values.contains_key(&out.id) {
            continue;
        }
        if out.id == input {
            reader.push(out, Op::Input, vec![])?;
        } else {
            reader.step(op)?;
        }
    }
    let output = reader.of.get(&output).copied().ok_or_else(|| Unsupported("its output is no map".into()))?;
    let node = |op: &OperationIr| op.outputs().next().and_then(|out| reader.of.get(&out.id)).copied();
    let of_operation = graph.operations.iter().map(node).collect();
    Ok(Graph { nodes: reader.nodes, output, of_operation })
}

struct Reader {
    nodes: Vec<Node>,
    of: HashMap<TensorId, usize>,
    uses: HashMap<TensorId, usize>,
    /// Concatenations whose parts nobody else reads.
    only_concatenated: HashSet<usize>,
    values: BTreeMap<TensorId, TensorData>,
}

type Done = Result<(), Unsupported>;

impl Reader {
    fn step(&mut self, op: &OperationIr) -> Done {
        match op {
            OperationIr::Module(Module::Conv2d(op)) => self.convolution(op),
            OperationIr::Module(Module::Linear(LinearOpIr { x, weight, bias, out })) => {
                self.linear(x, weight, bias.as_ref(), out)
            }
            OperationIr::Float(_, Float::Matmul(op)) => self.linear(&op.lhs, &op.rhs, None, &op.out),
            OperationIr::Module(Module::BatchNorm(op)) => self.batch_norm(op),
            OperationIr::Module(Module::MaxPool2d(p)) if p.dilation == [1, 1] => {
                self.pool(&p.x, &p.out, p.kernel_size, p.stride, p.padding, Reduce::Max)
            }
            OperationIr::Module(Module::AvgPool2d(op)) => self.average(op),
            OperationIr::Activation(Activation::Relu(op)) => {
                self.activation(&op.input, &op.out, Epilogue::Clamp(0.0, f32::INFINITY))
            }
            OperationIr::Activation(Activation::Sigmoid(op)) => self.activation(&op.input, &op.out, Epilogue::Sigmoid),
            OperationIr::Activation(Activation::PRelu(op)) => {
                let slopes = self.values(&op.rhs)?;
                self.activation(&op.lhs, &op.out, Epilogue::Prelu(channel_vectors(&slopes, self.channels(&op.lhs)?)))
            }
            OperationIr::NumericFloat(_, op) => self.numeric(op),
            OperationIr::Float(_, Float::Sqrt(op)) => self.norming(&op.input, &op.out, |step| match step {
                Norming::PlusOne(a, n) => Some(Norming::Root(a, n)),
                Norming::Root(a, n) => Some(Norming::RootOfRoot(a, n)),
                _ => None,
            }),
            OperationIr::BaseFloat(Base::Reshape(op)) => self.same(&op.input, &op.out),
            OperationIr::BaseFloat(Base::Cat(op)) if op.dim == 1 => {
                let parts = op.tensors.iter().map(|part| self.node(part)).collect::<Result<_, _>>()?;
                if op.tensors.iter().all(|part| self.uses.get(&part.id) == Some(&1)) {
                    self.only_concatenated.insert(self.nodes.len());
                }
                self.push(&op.out, Op::Concat, parts)
            }
            other => Err(Unsupported(format!("{other:?}").chars().take(200).collect())),
        }
    }

    fn numeric(&mut self, op: &Numeric) -> Done {
        match op {
            Numeric::Clamp(op) => self.activation(&op.tensor, &op.out, Epilogue::Clamp(float(op.min), float(op.max))),
            Numeric::ClampMin(op) => self.activation(&op.lhs, &op.out, Epilogue::Clamp(float(op.rhs), f32::INFINITY)),
            Numeric::Add(op) => self.add(op),
            Numeric::Mul(op) => self.product(op),
            Numeric::MulScalar(op) => {
                let x = self.node(&op.lhs)?;
                self.push(&op.out, Op::Norming(Norming::Scaled(float(op.rhs))), vec![x])
            }
            Numeric::AddScalar(op) if float(op.rhs) == 1.0 => self.norming(&op.lhs, &op.out, |step| match step {
                Norming::Mean(a, n) => Some(Norming::PlusOne(a, n)),
                _ => None,
            }),
            Numeric::Div(op) => self.quotient(op),
            Numeric::MeanDim(op) if op.axis == 3 => {
                let x = self.node(&op.input)?;
                self.push(&op.out, Op::RowMean, vec![x])
            }
            Numeric::MeanDim(op) if op.axis == 2 => self.global_average(&op.input, &op.out),
            Numeric::Pad(op) if zero_channels(&op.padding, &op.mode) => {
                let x = self.node(&op.input)?;
                self.push(&op.out, Op::Concat, vec![x])
            }
            other => Err(Unsupported(format!("{other:?}").chars().take(200).collect())),
        }
    }

    fn convolution(&mut self, op: &Conv2dOpIr) -> Done {
        let x = self.node(&op.x)?;
        let [outputs, depth, height, width] = op.weight.shape.dims();
        let options = &op.options;
        let shape = Shape {
            inputs: depth * options.groups,
            outputs,
            kernel: [height, width],
            stride: options.stride,
            padding: options.padding.map(|(before, _)| before),
            dilation: options.dilation,
            groups: options.groups,
        };
        let parameters = Parameters {
            weights: self.values(&op.weight)?,
            outputs_last: false,
            scale: None,
            bias: op.bias.as_ref().map(|bias| self.values(bias)).transpose()?,
        };
        self.push(&op.out, Op::Conv { shape, parameters }, vec![x])
    }

    fn linear(&mut self, x: &TensorIr, weight: &TensorIr, bias: Option<&TensorIr>, out: &TensorIr) -> Done {
        let x = self.node(x)?;
        let &[inputs, outputs] = &weight.shape.to_vec()[..] else {
            return Err(Unsupported("a product with more than a matrix".into()));
        };
        let [channels, height, width] = self.nodes[x].shape;
        if channels * height * width != inputs {
            return Err(Unsupported("a linear layer over part of a map".into()));
        }
        let ones = [1, 1];
        let kernel = [height, width];
        let shape =
            Shape { inputs: channels, outputs, kernel, stride: ones, padding: [0, 0], dilation: ones, groups: 1 };
        let weights = self.values(weight)?;
        let bias = bias.map(|bias| self.values(bias)).transpose()?;
        let parameters = Parameters { weights, outputs_last: true, scale: None, bias };
        self.push(out, Op::Conv { shape, parameters }, vec![x])
    }

    fn batch_norm(&mut self, op: &BatchNormOpIr) -> Done {
        let (gamma, beta) = (self.values(&op.gamma)?, self.values(&op.beta)?);
        let (mean, variance) = (self.values(&op.mean)?, self.values(&op.variance)?);
        let epsilon = f64::from(float(op.epsilon));
        let scale = gamma.iter().zip(&variance).map(|(g, v)| f64::from(*g) / (f64::from(*v) + epsilon).sqrt());
        let scale: Vec<f64> = scale.collect();
        let shift = |i: usize| f64::from(beta[i]) - scale[i] * f64::from(mean[i]);
        let shift: Vec<f64> = (0..scale.len()).map(shift).collect();
        self.affine(&op.x, &op.out, scale, shift)
    }

    /// out = scale · x + shift, by x's own layer where nobody else reads it.
    fn affine(&mut self, x: &TensorIr, out: &TensorIr, scale: Vec<f64>, shift: Vec<f64>) -> Done {
        let node = self.node(x)?;
        if let (true, Op::Conv { parameters, .. }) = (self.extends(node, x), &mut self.nodes[node].op) {
            parameters.fold_affine(scale, &shift);
            return self.same(x, out);
        }
        let [scale, shift] = [scale, shift].map(|values| values.into_iter().map(|v| v as f32).collect());
        self.push(out, Op::Affine { scale, shift }, vec![node])
    }

    /// Whether what is done to `tensor` next can be done by the node that computes it.
    fn extends(&self, node: usize, tensor: &TensorIr) -> bool {
        let Node { op, inputs, epilogue, .. } = &self.nodes[node];
        let alone = self.uses.get(&tensor.id) == Some(&1) && epilogue.is_none();
        alone && (matches!(op, Op::Affine { .. } | Op::Add) || matches!(op, Op::Conv { .. } if inputs.len() == 1))
    }

    fn activation(&mut self, x: &TensorIr, out: &TensorIr, epilogue: Epilogue) -> Done {
        let node = self.node(x)?;
        let alone = self.uses.get(&x.id) == Some(&1) && self.nodes[node].epilogue.is_none();
        if alone && matches!(self.nodes[node].op, Op::Affine { .. } | Op::Add | Op::Conv { .. }) {
            self.nodes[node].epilogue = Some(epilogue);
            return self.same(x, out);
        }
        if alone && self.each_part(node, &epilogue) {
            return self.same(x, out);
        }
        self.push(out, Op::Same, vec![node])?;
        self.nodes.last_mut().ok_or_else(nothing)?.epilogue = Some(epilogue);
        Ok(())
    }

    /// Has the parts of a concatenation activated by the nodes that compute them, where nobody else reads any of them.
    fn each_part(&mut self, node: usize, epilogue: &Epilogue) -> bool {
        let free = |part: &usize| {
            let Node { op, epilogue, .. } = &self.nodes[*part];
            epilogue.is_none() && matches!(op, Op::Affine { .. } | Op::Add | Op::Conv { .. })
        };
        let parts = self.nodes[node].inputs.clone();
        let by_parts = !matches!(epilogue, Epilogue::Prelu(_))
            && self.only_concatenated.contains(&node)
            && self.nodes[node].shape[0] == parts.iter().map(|part| self.nodes[*part].shape[0]).sum::<usize>()
            && parts.iter().all(free);
        if by_parts {
            parts.iter().for_each(|part| self.nodes[*part].epilogue = Some(epilogue.clone()));
        }
        by_parts
    }

    fn add(&mut self, op: &BinaryOpIr) -> Done {
        if self.values.contains_key(&op.rhs.id) {
            let bias: Vec<f64> = self.values(&op.rhs)?.into_iter().map(f64::from).collect();
            if bias.len() != self.channels(&op.lhs)? {
                return Err(Unsupported("a constant that is no bias".into()));
            }
            return self.affine(&op.lhs, &op.out, vec![1.0; bias.len()], bias);
        }
        let (a, b) = (self.node(&op.lhs)?, self.node(&op.rhs)?);
        let ((early, _), (late, of_late)) =
            if a < b { ((a, &op.lhs), (b, &op.rhs)) } else { ((b, &op.rhs), (a, &op.lhs)) };
        if self.nodes[a].shape != self.nodes[b].shape {
            return Err(Unsupported("a sum of maps of two sizes".into()));
        }
        let [_, height, width] = self.nodes[late].shape;
        let dense = matches!(&self.nodes[late].op, Op::Conv { shape, .. } if !shape.is_depthwise());
        if early != late && dense && height * width > 1 && self.extends(late, of_late) {
            self.nodes[late].inputs.push(early);
            return self.same(of_late, &op.out);
        }
        self.push(&op.out, Op::Add, vec![a, b])
    }

    fn product(&mut self, op: &BinaryOpIr) -> Done {
        let (a, b) = (self.node(&op.lhs)?, self.node(&op.rhs)?);
        if let (Op::Norming(first), Op::Norming(second)) = (&self.nodes[a].op, &self.nodes[b].op) {
            let step = match (*first, *second) {
                (Norming::Scaled(s), Norming::Scaled(_)) if a == b => Norming::Square(s),
                (Norming::Root(s, n), Norming::RootOfRoot(..)) => Norming::Divisor(s, n),
                _ => return Err(Unsupported("a product".into())),
            };
            let x = self.nodes[a].inputs.clone();
            return self.push(&op.out, Op::Norming(step), x);
        }
        let second = &self.nodes[b];
        if matches!((&second.op, &second.epilogue), (Op::Same, Some(Epilogue::Sigmoid))) && second.inputs == [a] {
            return self.silu(op, a, b);
        }
        if self.nodes[b].shape == [self.nodes[a].shape[0], 1, 1] {
            return self.push(&op.out, Op::Gate, vec![a, b]);
        }
        Err(Unsupported("a product of two maps".into()))
    }

    /// x · sigmoid(x): by x's own node, where nobody else reads it.
    fn silu(&mut self, op: &BinaryOpIr, x: usize, sigmoid: usize) -> Done {
        let alone = self.uses.get(&op.lhs.id) == Some(&2) && self.nodes[x].epilogue.is_none();
        let by_x = alone && matches!(self.nodes[x].op, Op::Conv { .. });
        let node = if by_x { x } else { sigmoid };
        self.nodes[node].epilogue = Some(Epilogue::Silu);
        self.of.insert(op.out.id, node);
        Ok(())
    }

    fn quotient(&mut self, op: &BinaryOpIr) -> Done {
        let (x, divisor) = (self.node(&op.lhs)?, self.node(&op.rhs)?);
        match self.nodes[divisor].op {
            Op::Norming(Norming::Divisor(scale, size)) if self.nodes[divisor].inputs == [x] => {
                let scale = scale * scale / size as f32;
                self.push(&op.out, Op::ResponseNorm { size, scale }, vec![x])
            }
            _ => Err(Unsupported("a quotient".into())),
        }
    }

    /// A step of a local response norm. All of them stand on the map that is normed.
    fn norming(&mut self, x: &TensorIr, out: &TensorIr, next: impl Fn(Norming) -> Option<Norming>) -> Done {
        let node = self.node(x)?;
        let step = match self.nodes[node].op {
            Op::Norming(step) => next(step),
            _ => None,
        };
        let step = step.ok_or_else(|| Unsupported("arithmetic outside a local response norm".into()))?;
        let input = self.nodes[node].inputs.clone();
        self.push(out, Op::Norming(step), input)
    }

    fn average(&mut self, op: &AvgPool2dOpIr) -> Done {
        let x = self.node(&op.x)?;
        if let (Op::Norming(Norming::Square(scale)), [size, 1]) = (&self.nodes[x].op, op.kernel_size) {
            let (step, input) = (Norming::Mean(*scale, size), self.nodes[x].inputs.clone());
            return self.push(&op.out, Op::Norming(step), input);
        }
        if op.ceil_mode && op.count_include_pad && op.padding != [0, 0] {
            return Err(Unsupported("an average pool that counts what hangs over".into()));
        }
        let reduce = Reduce::Mean { padding: op.count_include_pad && !op.ceil_mode };
        self.pool(&op.x, &op.out, op.kernel_size, op.stride, op.padding, reduce)
    }

    fn pool(
        &mut self,
        x: &TensorIr,
        out: &TensorIr,
        kernel: [usize; 2],
        stride: [usize; 2],
        padding: [usize; 2],
        reduce: Reduce,
    ) -> Done {
        let x = self.node(x)?;
        self.push(out, Op::Pool { kernel, stride, padding, reduce }, vec![x])
    }

    fn global_average(&mut self, x: &TensorIr, out: &TensorIr) -> Done {
        let rows = self.node(x)?;
        if !matches!(self.nodes[rows].op, Op::RowMean) {
            return Err(Unsupported("a mean over columns alone".into()));
        }
        let map = self.nodes[rows].inputs[0];
        let [_, height, width] = self.nodes[map].shape;
        let reduce = Reduce::Mean { padding: false };
        let pool = Op::Pool { kernel: [height, width], stride: [1, 1], padding: [0, 0], reduce };
        self.push(out, pool, vec![map])
    }

    /// `out` is what `x` is, perhaps in another shape.
    fn same(&mut self, x: &TensorIr, out: &TensorIr) -> Done {
        if let Some(values) = self.values.remove(&x.id) {
            self.values.insert(out.id, values);
            return Ok(());
        }
        let node = self.node(x)?;
        self.of.insert(out.id, node);
        Ok(())
    }

    fn push(&mut self, out: &TensorIr, op: Op, inputs: Vec<usize>) -> Done {
        let shape = match out.shape.to_vec()[..] {
            [_, c, h, w] => [c, h, w],
            [_, c] => [c, 1, 1],
            _ => return Err(Unsupported("a tensor that is neither a map nor a vector".into())),
        };
        self.of.insert(out.id, self.nodes.len());
        self.nodes.push(Node { op, inputs, shape, epilogue: None });
        Ok(())
    }

    fn node(&self, tensor: &TensorIr) -> Result<usize, Unsupported> {
        self.of.get(&tensor.id).copied().ok_or_else(|| Unsupported("a weight used as a map".into()))
    }

    fn channels(&self, tensor: &TensorIr) -> Result<usize, Unsupported> {
        Ok(self.nodes[self.node(tensor)?].shape[0])
    }

    /// A parameter's values. A parameter is read once: the graph gives them away.
    fn values(&mut self, tensor: &TensorIr) -> Result<Vec<f32>, Unsupported> {
        let missing = || Unsupported("a weight that is computed or used twice".into());
        let data = self.values.remove(&tensor.id).ok_or_else(missing)?;
        data.try_into_vec::<f32>().map_err(|error| Unsupported(error.to_string()))
    }
}

fn nothing() -> Unsupported {
    Unsupported("it is empty".into())
}

fn float(scalar: ScalarIr) -> f32 {
    scalar.elem::<f32>()
}

/// Whether padding is that of ENet: zeros for channels after the last.
fn zero_channels(padding: &[(usize, usize)], mode: &PadModeIr) -> bool {
    let zeros = matches!(mode, PadModeIr::Constant(value) if float(*value) == 0.0);
    let channels =
        padding.len() == 4 && padding.iter().enumerate().all(|(i, p)| if i == 1 { p.0 == 0 } else { *p == (0, 0) });
    zeros && channels
}

/// A value per channel, by channel blocks. A single value is for all channels.
pub fn channel_vectors(values: &[f32], channels: usize) -> Vec<ChannelVector> {
    let at = |i: usize| if values.len() == 1 { values[0] } else { values.get(i).copied().unwrap_or(0.0) };
    (0..channels.div_ceil(LANES))
        .map(|block| ChannelVector(std::array::from_fn(|lane| at(block * LANES + lane))))
        .collect()
}
