//! From a graph to steps: who lies in whose buffer, how wide a halo each plane needs, and which memory is used again.

use super::graph::{Graph, Node, Op, Unsupported, lines};
use wattscope_kernels::{
    conv::{Conv, Shape},
    depthwise::Depthwise,
    layout::{Plane, Slot, View},
    pointwise::{After, Pointwise},
    pool::Pool,
    rearrange::{Gather, ResponseNorm},
    run::Step,
    simd::{Isa, LANES},
    tile::Clamp,
};

/// What a forward pass does, for any number of images.
pub struct Plan {
    pub steps: Vec<Box<dyn Step>>,
    /// The node that each step computes.
    pub of_step: Vec<usize>,
    pub slots: Vec<Slot>,
    /// The slot of each buffer.
    pub of_buffer: Vec<usize>,
    pub input: View,
    pub output: View,
}

/// Where a node's output lies: in the buffer of `root`, from block `first` on.
#[derive(Clone, Copy)]
struct Place {
    root: usize,
    first: usize,
}

/// Makes a plan of a graph.
pub fn plan(graph: Graph, isa: Isa) -> Result<Plan, Unsupported> {
    let Graph { nodes, output, .. } = graph;
    let live = live(&nodes, output);
    let input = (0..nodes.len()).find(|i| matches!(nodes[*i].op, Op::Input));
    let input = input.ok_or_else(|| Unsupported("it has no input".into()))?;
    let places = places(&nodes, &live);
    let views = views(&nodes, &live, &places)?;
    let (slots, of_buffer) = slots(&nodes, &live, &places, &views, output);
    let (input, output) = (views[input], views[output]);
    let (mut steps, mut of_step) = (Vec::new(), Vec::new());
    for (i, node) in nodes.into_iter().enumerate().filter(|(i, _)| live[*i]) {
        steps.extend(step(node, i, &places, &views, isa)?);
        of_step.resize(steps.len(), i);
    }
    Ok(Plan { steps, of_step, slots, of_buffer, input, output })
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
fn views(nodes: &[Node], live: &[bool], places: &[Place]) -> Result<Vec<View>, Unsupported> {
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
        View { buffer: root, plane, lanes, stride: nodes[root].shape[0].div_ceil(lanes), first, channels }
    };
    Ok(nodes.iter().enumerate().map(view).collect())
}

/// Gives buffers memory: a buffer may lie where another one was that nobody reads any more, if its halo is the same.
fn slots(nodes: &[Node], live: &[bool], places: &[Place], views: &[View], output: usize) -> (Vec<Slot>, Vec<usize>) {
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
    let mut slots: Vec<(Slot, usize)> = Vec::new();
    let mut of_buffer = vec![0; nodes.len()];
    let mut roots: Vec<usize> = (0..nodes.len()).filter(|i| live[*i] && places[*i].root == *i).collect();
    roots.sort_by_key(|root| span[*root].0);
    for root in roots {
        let View { plane, lanes, stride: blocks, .. } = views[root];
        let fits = |(slot, last): &(Slot, usize)| *last < span[root].0 && slot.plane == plane && slot.lanes == lanes;
        let found = slots.iter().position(fits);
        let slot = found.unwrap_or(slots.len());
        match found {
            Some(i) => slots[i] = (Slot { blocks: slots[i].0.blocks.max(blocks), ..slots[i].0 }, span[root].1),
            None => slots.push((Slot { plane, lanes, blocks }, span[root].1)),
        }
        of_buffer[root] = slot;
    }
    (slots.into_iter().map(|(slot, _)| slot).collect(), of_buffer)
}

/// The step of a node; none where there is nothing to do.
fn step(
    node: Node,
    i: usize,
    places: &[Place],
    views: &[View],
    isa: Isa,
) -> Result<Option<Box<dyn Step>>, Unsupported> {
    let out = views[i];
    let Node { op, inputs, after, shape: [channels, ..] } = node;
    let view = |k: usize| inputs.get(k).map(|input| views[*input]);
    let Some(x) = view(0) else { return Ok(None) };
    let pointwise = |affine, gate, other| Pointwise { x, out, affine, gate, other, after: after.clone(), isa };
    Ok(Some(match op {
        Op::Conv { shape, packing } if shape.is_depthwise() => {
            Box::new(Depthwise::new(shape, [x, out], &packing, isa).then(after))
        }
        Op::Conv { shape, packing } => {
            in_blocks(&shape)?;
            let (clamp, after) = match after {
                Some(After::Clamp(low, high)) => (Clamp { low, high }, None),
                after => (Clamp::NONE, after),
            };
            Box::new(Conv::new(shape, [x, out], &packing, isa).plus(view(1)).then(clamp, after))
        }
        Op::Pool { kernel, stride, padding, reduce } => Box::new(Pool { x, out, kernel, stride, padding, reduce, isa }),
        Op::Affine { scale, shift } => {
            Box::new(pointwise(Some((lines(&scale, channels), lines(&shift, channels))), None, None))
        }
        Op::Add => Box::new(pointwise(None, None, view(1))),
        Op::Gate => Box::new(pointwise(None, view(1), None)),
        Op::Same => Box::new(pointwise(None, None, None)),
        Op::Concat if inputs.iter().all(|input| places[*input].root == places[i].root) => return Ok(None),
        Op::Concat => Box::new(gather(out, inputs.iter().map(|input| views[*input]).collect())),
        Op::ResponseNorm { size, scale } => Box::new(ResponseNorm { x, out, size, scale }),
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

fn gather(out: View, parts: Vec<View>) -> Gather {
    let channels = parts.iter().enumerate().flat_map(|(part, view)| (0..view.channels).map(move |c| Some((part, c))));
    Gather { out, from: channels.collect(), parts }
}
