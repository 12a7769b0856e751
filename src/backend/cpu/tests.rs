use super::*;
use crate::model::{
    self, Model,
    cost::{self, Traffic},
    network,
};
use burn::tensor::Device;
use proptest::prelude::*;
use std::marker::PhantomData;
use wattscope_kernels::{
    conv::{Conv, Parameters, Shape},
    depthwise::Depthwise,
    element::Element,
    executor::run,
    input::Import,
    layout::{Layout, Plane, Slot, View},
    simd::LANES,
    step::Step,
};

/// A map alone in its buffer, and its memory.
fn map<E>(buffer: usize, channels: usize, [height, width]: [usize; 2], halo: usize) -> (View<E>, Slot) {
    let (plane, blocks) = (Plane { height, width, halo }, channels.div_ceil(LANES));
    (
        View { buffer, plane, lanes: LANES, buffer_blocks: blocks, first_block: 0, channels, element: PhantomData },
        Slot { plane, lanes: LANES, blocks, micro_batched: false },
    )
}

/// Small whole numbers: sums of their products are exact in f32, in whatever order.
fn whole(count: usize, seed: usize) -> Vec<f32> {
    (0..count).map(|i| ((i * 31 + seed * 17) % 13) as f32 - 6.0).collect()
}

fn value<E: Element>(arena: &Arena, view: &View<E>, image: usize, [c, y, x]: [usize; 3]) -> f32 {
    unsafe { arena.map(view).at(image, c / LANES, y).add(x * LANES + c % LANES).read() }.value()
}

/// The convolution's definition, for one output.
fn definition(
    shape: &Shape,
    x: &dyn Fn(usize, i64, i64) -> f32,
    parameters: &Parameters,
    [k, y, z]: [usize; 3],
) -> f32 {
    let (depth, filters) = (shape.inputs / shape.groups, shape.outputs / shape.groups);
    let mut sum = parameters.bias.as_ref().map_or(0.0, |bias| bias[k]);
    for c in 0..depth {
        for r in 0..shape.kernel[0] {
            for s in 0..shape.kernel[1] {
                let at = |axis: usize, out: usize, tap: usize| {
                    (out * shape.stride[axis] + tap * shape.dilation[axis]) as i64 - shape.padding[axis] as i64
                };
                let weight = parameters.weights[((k * depth + c) * shape.kernel[0] + r) * shape.kernel[1] + s];
                sum += weight * x(k / filters * depth + c, at(0, y, r), at(1, z, s));
            }
        }
    }
    sum
}

fn check(shape: Shape, size: [usize; 2], images: usize) -> Result<(), TestCaseError> {
    check_stored::<f32>(shape, size, images)?;
    check_stored::<f16>(shape, size, images)?;
    check_stored::<bf16>(shape, size, images)
}

fn check_stored<E: Element>(shape: Shape, [height, width]: [usize; 2], images: usize) -> Result<(), TestCaseError> {
    let size = |axis: usize, input: usize| {
        (input + 2 * shape.padding[axis] - shape.dilation[axis] * (shape.kernel[axis] - 1) - 1) / shape.stride[axis] + 1
    };
    let (x, x_slot) = map::<E>(0, shape.inputs, [height, width], *shape.padding.iter().max().unwrap());
    let (out, out_slot) = map::<E>(1, shape.outputs, [size(0, height), size(1, width)], 1);
    let weights = whole(shape.outputs * shape.inputs / shape.groups * shape.kernel[0] * shape.kernel[1], 1);
    let parameters = Parameters { weights, outputs_last: false, scale: None, bias: Some(whole(shape.outputs, 2)) };
    let image = |i| whole(shape.inputs * height * width, i);
    for isa in Isa::available() {
        let mut arena = Arena::new(
            images,
            &Layout {
                element_bytes: size_of::<E>(),
                slots: vec![x_slot, out_slot],
                slot_of_buffer: vec![0, 1],
                micro_batch_steps: 0,
                micro_batch: 1,
            },
        );
        let values: Vec<f32> = (0..images).flat_map(image).collect();
        arena.set_input(&values);
        let step: Box<dyn Step> = if shape.is_depthwise() {
            Box::new(Depthwise::new(shape, [x, out], &parameters, isa))
        } else {
            Box::new(Conv::new(shape, [x, out], &parameters, isa))
        };
        run(&[Box::new(Import { view: x }), step], &arena);
        for i in 0..images {
            let values = image(i);
            let input = |c: usize, y: i64, x: i64| {
                let inside = (0..height as i64).contains(&y) && (0..width as i64).contains(&x);
                if inside { values[(c * height + y as usize) * width + x as usize] } else { 0.0 }
            };
            for k in 0..shape.outputs {
                for (y, z) in (0..out.plane.height).flat_map(|y| (0..out.plane.width).map(move |z| (y, z))) {
                    let expected = E::of(definition(&shape, &input, &parameters, [k, y, z])).value();
                    prop_assert_eq!(
                        value(&arena, &out, i, [k, y, z]),
                        expected,
                        "{:?} {:?} {:?} {:?}",
                        isa,
                        E::DTYPE,
                        shape,
                        (i, k, y, z)
                    );
                }
            }
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn convolutions_are_their_definition(
        [inputs, outputs] in prop::array::uniform2(1usize..70),
        kernel in prop::array::uniform2(1usize..5),
        stride in prop::array::uniform2(1usize..4),
        dilation in prop::array::uniform2(1usize..3),
        padding in prop::array::uniform2(0usize..3),
        size in prop::array::uniform2(9usize..24),
        images in 1usize..4,
        groups in 0usize..3,
    ) {
        let shape = Shape { inputs, outputs, kernel, stride, padding, dilation, groups: 1 };
        let shape = match groups {
            0 => shape,
            1 => Shape { outputs: inputs, groups: inputs, ..shape },
            _ => Shape { inputs: 96, outputs: 32 * (1 + outputs % 4), groups: 2, ..shape },
        };
        check(shape, size, images)?;
    }

    #[test]
    fn linear_layers_read_their_weights_for_all_images_at_once(
        [inputs, outputs] in prop::array::uniform2(1usize..700),
        images in 1usize..20,
    ) {
        let ones = [1, 1];
        let shape = Shape { inputs, outputs, kernel: ones, stride: ones, padding: [0, 0], dilation: ones, groups: 1 };
        check(shape, ones, images)?;
    }
}

/// A sum over so many channels that their weights are used in several passes.
#[test]
fn long_sums_go_on_where_they_stopped() {
    let ones = [1, 1];
    let shape =
        Shape { inputs: 512, outputs: 64, kernel: [3, 3], stride: ones, padding: ones, dilation: ones, groups: 1 };
    check(shape, [9, 9], 1).unwrap();
}

/// How far logits may be from f32's, in standard deviations: what rounding comes to, see `wattscope check --help`.
const fn bound(precision: Precision) -> f64 {
    match precision {
        Precision::F32 | Precision::Tf32 => 1e-4,
        Precision::F16 => 1e-2,
        Precision::Bf16 => 5e-2,
    }
}

/// Compares a network's logits, as each instruction set computes them in each precision, with those of Burn's own kernels in
/// f32.
fn compare(model: &Model, images: usize, sets: &[Isa], precisions: &[Precision]) {
    let device = Device::flex();
    let mut inputs = model.made_up_inputs(images, 7, &device);
    let output = model.build(&device).forward(&inputs).remove(0);
    let expected: Vec<f32> = output.into_data().unwrap().try_to_vec().unwrap();
    let mean = expected.iter().map(|x| f64::from(*x)).sum::<f64>() / expected.len() as f64;
    let variance = expected.iter().map(|x| (f64::from(*x) - mean).powi(2)).sum::<f64>() / expected.len() as f64;
    let values: Vec<f32> = inputs.remove(0).into_data().unwrap().try_to_vec().unwrap();
    for (isa, precision) in sets.iter().flat_map(|isa| precisions.iter().map(move |precision| (*isa, *precision))) {
        let compiled = Compiled::for_isa(model.build(&device), &model.placeholders(1), precision, isa)
            .unwrap_or_else(|error| panic!("{}: {error}", model.name));
        let logits = compiled.forward(&values);
        assert_eq!(logits, compiled.forward(&values), "{}: a second pass differs", model.name);
        let apart = expected.iter().zip(&logits).map(|(a, b)| f64::from((a - b).abs())).fold(0.0, f64::max);
        let apart = apart / variance.sqrt();
        assert!(
            apart < bound(precision),
            "{} in {precision} on {isa:?}: {apart:e} standard deviations apart",
            model.name
        );
        let rounds = precision != Precision::F32;
        assert!(!rounds || apart > 1e-5, "{} in {precision} on {isa:?}: it does not round", model.name);
    }
}

#[test]
fn every_network_computes_what_burn_computes() {
    // In f32, and in turns in one of the narrow precisions: making weights is what takes the time.
    for (model, narrow) in model::list().iter().zip([Precision::Bf16, Precision::F16].into_iter().cycle()) {
        compare(model, 1, &[Isa::detect()], &[Precision::F32, narrow]);
    }
}

#[test]
fn batches_and_older_processors_compute_the_same() {
    for id in ["squeezenet1.1", "mobilenet-v2", "efficientnet-b0", "googlenet"] {
        let all = [Precision::F32, Precision::F16, Precision::Bf16];
        compare(&model::find(id).unwrap(), 3, &Isa::available(), &all);
    }
}

/// The first steps take a few images after the other, in memory that later ones share.
#[test]
fn images_of_a_batch_do_not_meet() {
    let device = Device::flex();
    for (id, precision) in
        [("squeezenet1.1", Precision::F32), ("mobilenet-v2", Precision::F16), ("densenet121", Precision::F32)]
    {
        let model = model::find(id).unwrap();
        let compiled = Compiled::new(model.build(&device), &model.placeholders(1), precision).unwrap();
        let input = model.made_up_inputs(5, 7, &device).remove(0);
        let images: Vec<f32> = input.into_data().unwrap().try_to_vec().unwrap();
        let alone: Vec<f32> = images.chunks(images.len() / 5).flat_map(|image| compiled.forward(image)).collect();
        assert_eq!(compiled.forward(&images), alone, "{}", model.name);
    }
}

#[test]
fn the_plans_of_all_networks_have_every_layer() {
    for model in model::list() {
        let network = network::folded(model.build(&Device::flex())).unwrap();
        let compiled = Compiled::new(network, &model.placeholders(1), Precision::F32)
            .unwrap_or_else(|e| panic!("{}: {e}", model.name));
        let computed = compiled.computed();
        let facts = cost::facts(&model).unwrap();
        assert_eq!(computed.layers.iter().map(|l| l.macs).sum::<u64>(), facts.macs, "{}", model.name);
        for (i, layer) in computed.layers.iter().enumerate() {
            let host = computed.within[i].unwrap_or(i);
            let stepped = computed.of_step.contains(&host);
            // The parts of a concatenation lie where they belong, and are activated there.
            let in_parts = computed.layers[host].kind == "concat";
            assert!(stepped || in_parts, "{}: nothing computes {layer:?}", model.name);
            assert_eq!(stepped && computed.within[i].is_none(), computed.traffic[i] != Traffic::default(), "{layer:?}");
        }
    }
}
