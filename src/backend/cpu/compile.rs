//! From a graph to steps: who lies in whose buffer, how wide a halo each plane needs, and which memory is used again.

use super::graph::{Graph, Node, Op, Unsupported, channel_vectors};
use std::marker::PhantomData;
use wattscope_kernels::{
    concat::Concat,
    conv::{Conv, Shape},
    depthwise::Depthwise,
    element::Element,
    elementwise::{Elementwise, Epilogue},
    executor,
    input::Import,
    isa::Isa,
    layout::{Arena, Layout, Plane, Slot, View},
    micro_kernel::Clamp,
    pool::Pool,
    response_norm::ResponseNorm,
    simd::LANES,
    step::Step,
};

/// What a forward pass does, for any number of images.
pub struct Plan {
    pub steps: Vec<Box<dyn Step>>,
    /// The node that each step computes.
    pub of_step: Vec<usize>,
    pub layout: Layout,
    /// Values of an image.
    pub image: usize,
    /// Values of its output.
    pub width: usize,
    /// The outputs of all images, one after the other.
    pub outputs: Box<Outputs>,
}

/// Reads the outputs that a pass has left.
type Outputs = dyn Fn(&Arena) -> Vec<f32> + Send + Sync;

/// Where a node's output lies: in the buffer of `root`, from block `first` on.
#[derive(Clone, Copy)]
struct Place {
    root: usize,
    first: usize,
}

/// Makes a plan of a graph, with values stored as `E`.
pub fn plan<E: Element>(graph: Graph, isa: Isa) -> Result<Plan, Unsupported> {
    let Graph { nodes, output, .. } = graph;
    let live = live(&nodes, output);
    let input = (0..nodes.len()).find(|i| matches!(nodes[*i].op, Op::Input));
    let input = input.ok_or_else(|| Unsupported("it has no input".into()))?;
    let places = places(&nodes, &live);
    let views = views::<E>(&nodes, &live, &places)?;
    let buffers = buffers(&nodes, &live, &places, output);
    let (input, output) = (views[input], views[output]);
    let mut steps: Vec<Box<dyn Step>> = vec![Box::new(Import { view: input })];
    let mut of_step = vec![input.buffer];
    for (i, node) in nodes.into_iter().enumerate().filter(|(i, _)| live[*i]) {
        steps.extend(step(node, i, &places, &views, isa)?);
        of_step.resize(steps.len(), i);
    }
    let workers = rayon::current_num_threads();
    let micro_batch = (workers / 2).max(1);
    let micro_batch_steps = executor::micro_batch_steps(&steps, micro_batch, workers);
    let last_micro_batched = if micro_batch_steps > 0 { Some(of_step[micro_batch_steps - 1]) } else { None };
    let (slots, slot_of_buffer) = slots(&buffers, &views, last_micro_batched);
    let layout = Layout { element_bytes: size_of::<E>(), slots, slot_of_buffer, micro_batch_steps, micro_batch };
    let image = input.channels * input.plane.height * input.plane.width;
    let outputs = Box::new(move |arena: &Arena| vectors(arena, &output));
    Ok(Plan { steps, of_step, layout, image, width: output.channels, outputs })
}

/// The vectors of all images; their blocks lie side by side.
fn vectors<E: Element>(arena: &Arena, output: &View<E>) -> Vec<f32> {
    let map = arena.map(output);
    // SAFETY: the output is a vector an image.
    let row = |image| unsafe { std::slice::from_raw_parts(map.at(image, 0, 0).cast_const(), output.channels) };
    (0..arena.images).flat_map(|image| row(image).iter().map(|value| value.value())).collect()
}

/// Which nodes the output depends on.
fn live(nodes: &[Node], output: usize) -> Vec<bool> {
    let mut live = vec![false; nodes.len()];
    live[output] = true;
    for i in (0..nodes.len()).rev().filter(|i| *i <= output) {
        if live[i] {
            nodes[i].inputs.iter().for_each(|input| live[*input] = true);
        }
    }
    live
}

/// Whether a concatenation's parts are whole blocks, so that they can be written where they belong at once.
fn whole_blocks(node: &Node, nodes: &[Node]) -> bool {
    let channels = |i: &usize| nodes[*i].shape[0];
    let aligned =
        node.inputs.split_last().is_none_or(|(_, rest)| rest.iter().all(|i| channels(i).is_multiple_of(LANES)));
    aligned && node.inputs.iter().map(channels).sum::<usize>() == node.shape[0]
}

/// Puts the parts of concatenations where they belong, the last one first: its parts may be concatenations.
fn places(nodes: &[Node], live: &[bool]) -> Vec<Place> {
    let mut places: Vec<Place> = (0..nodes.len()).map(|root| Place { root, first: 0 }).collect();
    for (i, node) in nodes.iter().enumerate().rev().filter(|(i, node)| live[*i] && matches!(node.op, Op::Concat)) {
        let free = |j: &usize| places[*j].root == *j && !matches!(nodes[*j].op, Op::Input);
        let distinct = (1..node.inputs.len()).all(|k| !node.inputs[..k].contains(&node.inputs[k]));
        if !(distinct && whole_blocks(node, nodes) && node.inputs.iter().all(free)) {
            continue;
        }
        let Place { root, mut first } = places[i];
        for part in &node.inputs {
            places[*part] = Place { root, first };
            first += nodes[*part].shape[0].div_ceil(LANES);
        }
    }
    places
}

/// Padding that a node needs around what it reads.
fn reach(node: &Node) -> usize {
    match &node.op {
        Op::Conv { shape, .. } => shape.padding.into_iter().max().unwrap_or(0),
        _ => 0,
    }
}

/// Where everything lies.
fn views<E: Element>(nodes: &[Node], live: &[bool], places: &[Place]) -> Result<Vec<View<E>>, Unsupported> {
    let mut halos = vec![0; nodes.len()];
    let mut image_only = true;
    for (_, node) in nodes.iter().enumerate().filter(|(i, _)| live[*i]) {
        if let Some(x) = node.inputs.first() {
            let root = places[*x].root;
            halos[root] = reach(node).max(halos[root]);
            let dense = matches!(&node.op, Op::Conv { shape, .. } if shape.groups == 1);
            image_only &= dense || !matches!(nodes[*x].op, Op::Input);
        }
    }
    let view = |(i, node): (usize, &Node)| {
        let Place { root, first } = places[i];
        let [channels, height, width] = node.shape;
        let lanes = if matches!(node.op, Op::Input) && image_only { channels } else { LANES };
        let plane = Plane { height, width, halo: halos[root] };
        let buffer_blocks = nodes[root].shape[0].div_ceil(lanes);
        View { buffer: root, plane, lanes, buffer_blocks, first_block: first, channels, element: PhantomData }
    };
    Ok(nodes.iter().enumerate().map(view).collect())
}

/// A buffer, and the nodes from the first that writes to it to the last that reads it.
struct Buffer {
    root: usize,
    from: usize,
    until: usize,
}

/// All buffers, in the order in which they are needed.
fn buffers(nodes: &[Node], live: &[bool], places: &[Place], output: usize) -> Vec<Buffer> {
    let mut span = vec![(usize::MAX, 0); nodes.len()];
    for (i, node) in nodes.iter().enumerate().filter(|(i, _)| live[*i]) {
        let own = &mut span[places[i].root];
        *own = (own.0.min(i), own.1.max(i));
        for input in &node.inputs {
            let read = &mut span[places[*input].root];
            read.1 = read.1.max(i);
        }
    }
    span[places[output].root].1 = usize::MAX;
    let roots = (0..nodes.len()).filter(|i| live[*i] && places[*i].root == *i);
    let mut buffers: Vec<_> = roots.map(|root| Buffer { root, from: span[root].0, until: span[root].1 }).collect();
    buffers.sort_by_key(|buffer| buffer.from);
    buffers
}

/// Gives buffers memory: a buffer takes the slot of one that is not read any more, if its plane is the same. Buffers that are not
/// read after node `last_micro_batched` hold one micro-batch.
fn slots<E: Element>(
    buffers: &[Buffer],
    views: &[View<E>],
    last_micro_batched: Option<usize>,
) -> (Vec<Slot>, Vec<usize>) {
    let mut slots: Vec<(Slot, usize)> = Vec::new();
    let mut of_buffer = vec![0; views.len()];
    for Buffer { root, from, until } in buffers {
        let View { plane, lanes, buffer_blocks: blocks, .. } = views[*root];
        let micro_batched = last_micro_batched.is_some_and(|last| *until <= last);
        let alike = |slot: &Slot| (slot.plane, slot.lanes, slot.micro_batched) == (plane, lanes, micro_batched);
        let found = slots.iter().position(|(slot, last)| last < from && alike(slot));
        let slot = found.unwrap_or(slots.len());
        match found {
            Some(i) => slots[i] = (Slot { blocks: slots[i].0.blocks.max(blocks), ..slots[i].0 }, *until),
            None => slots.push((Slot { plane, lanes, blocks, micro_batched }, *until)),
        }
        of_buffer[*root] = slot;
    }
    (slots.into_iter().map(|(slot, _)| slot).collect(), of_buffer)
}

/// The step of a node; none where there is nothing to do.
fn step<E: Element>(
    node: Node,
    i: usize,
    places: &[Place],
    views: &[View<E>],
    isa: Isa,
) -> Result<Option<Box<dyn Step>>, Unsupported> {
    let out = views[i];
    let Node { op, inputs, epilogue, shape: [channels, ..] } = node;
    let view = |k: usize| inputs.get(k).map(|input| views[*input]);
    let Some(x) = view(0) else { return Ok(None) };
    let elementwise =
        |affine, gate, addend| Elementwise { x, out, affine, gate, addend, epilogue: epilogue.clone(), isa };
    Ok(Some(match op {
        Op::Conv { shape, parameters } if shape.is_depthwise() => {
            Box::new(Depthwise::new(shape, [x, out], &parameters, isa).with_epilogue(epilogue))
        }
        Op::Conv { shape, parameters } => {
            in_blocks(&shape)?;
            let (clamp, epilogue) = match epilogue {
                Some(Epilogue::Clamp(low, high)) => (Clamp { low, high }, None),
                epilogue => (Clamp::NONE, epilogue),
            };
            let conv = Conv::new(shape, [x, out], &parameters, isa);
            Box::new(conv.with_residual(view(1)).with_epilogue(clamp, epilogue))
        }
        Op::Pool { kernel, stride, padding, reduce } => Box::new(Pool { x, out, kernel, stride, padding, reduce, isa }),
        Op::Affine { scale, shift } => Box::new(elementwise(
            Some((channel_vectors(&scale, channels), channel_vectors(&shift, channels))),
            None,
            None,
        )),
        Op::Add => Box::new(elementwise(None, None, view(1))),
        Op::Gate => Box::new(elementwise(None, view(1), None)),
        Op::Same => Box::new(elementwise(None, None, None)),
        Op::Concat if inputs.iter().all(|input| places[*input].root == places[i].root) => return Ok(None),
        Op::Concat => Box::new(concat(out, inputs.iter().map(|input| views[*input]).collect())),
        Op::ResponseNorm { size, scale } => Box::new(ResponseNorm { x, out, size, scale, isa }),
        Op::Input => return Ok(None),
        Op::RowMean | Op::Norming(_) => return Err(Unsupported("half a mean, or half a local response norm".into())),
    }))
}

/// Groups begin where blocks do.
fn in_blocks(shape: &Shape) -> Result<(), Unsupported> {
    let whole = |channels: usize| (channels / shape.groups).is_multiple_of(LANES);
    if shape.groups == 1 || whole(shape.inputs) && whole(shape.outputs) {
        return Ok(());
    }
    Err(Unsupported(format!("a convolution in {} groups of {} channels", shape.groups, shape.inputs / shape.groups)))
}

fn concat<E>(out: View<E>, parts: Vec<View<E>>) -> Concat<E> {
    let channels = parts.iter().enumerate().flat_map(|(part, view)| (0..view.channels).map(move |c| Some((part, c))));
    Concat { out, sources: channels.collect(), parts }
}
