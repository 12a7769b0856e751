use crate::support::*;
use wattscope_kernels::{
    element::Element,
    elementwise::{Elementwise, Epilogue},
    layout::ChannelVector,
    simd::LANES,
};

const CHANNELS: usize = 21;
const SIZE: [usize; 2] = [2, 5];
/// A period that is prime to the number of lanes: turned by one value at a time, each position sees each of them.
const VALUES: [f32; 11] =
    [f32::NAN, 1.0, f32::INFINITY, -2.5, f32::NEG_INFINITY, 0.0, -f32::NAN, 40.0, -40.0, 0.5, -0.0];

fn turned(turn: usize) -> Vec<f32> {
    (0..CHANNELS * SIZE[0] * SIZE[1]).map(|i| VALUES[(i + turn) % VALUES.len()]).collect()
}

/// Compares `out = epilogue(scale · x + shift + addend)` with a definition of a value, its channel, and the addend.
fn check<E: Element>(
    epilogue: Option<&Epilogue>,
    affine: Option<[f32; 2]>,
    adds: bool,
    gates: bool,
    definition: &dyn Fn(f32, usize, f32) -> f32,
) {
    let [x, addend, out] = [0, 1, 2].map(|buffer| view::<E>(buffer, CHANNELS, SIZE, 0));
    let gate = view::<E>(3, CHANNELS, [1, 1], 0);
    for (isa, turn) in isas().into_iter().flat_map(|isa| (0..VALUES.len()).map(move |turn| (isa, turn))) {
        let mut arena = arena(1, &[x, addend, out, gate]);
        let (values, others) = (turned(turn), turned(3 * turn + 1));
        write(&mut arena, x, &values);
        write(&mut arena, addend, &others);
        write(&mut arena, gate, &others[..CHANNELS]);
        let blocks = |value: f32| vec![ChannelVector([value; LANES]); x.blocks()];
        let step = Elementwise {
            x,
            out,
            affine: affine.map(|[scale, shift]| (blocks(scale), blocks(shift))),
            gate: gates.then_some(gate),
            addend: adds.then_some(addend),
            epilogue: epilogue.cloned(),
            isa,
        };
        let got = run_and_read(&arena, Box::new(step), &out);
        let other = |i: usize| if gates { others[i / (SIZE[0] * SIZE[1])] } else { others[i] };
        let expected = values.iter().enumerate();
        let expected: Vec<f32> = expected.map(|(i, x)| definition(*x, i / (SIZE[0] * SIZE[1]), other(i))).collect();
        // f32's transcendental functions are approximations; those of 16 bits may round to a neighbour.
        let tolerance = if size_of::<E>() == 4 { 1e-6 } else { 1e-2 };
        assert_same::<E>(&got, &expected, tolerance, &(isa, epilogue, affine, adds, gates, turn));
    }
}

fn clamp(low: f32, high: f32) -> impl Fn(f32) -> f32 {
    move |x| if x.is_nan() { x } else { x.max(low).min(high) }
}

fn sigmoid(x: f32) -> f32 {
    (1.0 / (1.0 + (-f64::from(x)).exp())) as f32
}

fn activations<E: Element>() {
    for (low, high) in [(0.0, f32::INFINITY), (0.0, 6.0), (-1.0, 1.0), (f32::NEG_INFINITY, 3.0)] {
        check::<E>(Some(&Epilogue::Clamp(low, high)), None, false, false, &|x, _, _| clamp(low, high)(x));
    }
    // A slope per channel; some of them are not finite.
    let slope = |channel: usize| [0.25, 0.0, -1.0, f32::INFINITY, f32::NAN][channel % 5];
    let slopes: Vec<f32> = (0..CHANNELS).map(slope).collect();
    let block = |i: usize| std::array::from_fn(|lane| slopes.get(i * LANES + lane).copied().unwrap_or(0.0));
    let prelu = Epilogue::Prelu((0..CHANNELS.div_ceil(LANES)).map(|i| ChannelVector(block(i))).collect());
    check::<E>(Some(&prelu), None, false, false, &|x, c, _| if x > 0.0 { x } else { slopes[c] * x });
    check::<E>(Some(&Epilogue::Sigmoid), None, false, false, &|x, _, _| sigmoid(x));
    check::<E>(Some(&Epilogue::Silu), None, false, false, &|x, _, _| x * sigmoid(x));
}

#[test]
fn activations_are_their_definitions() {
    for_each_type!(activations());
}

fn sums<E: Element>() {
    check::<E>(None, None, false, false, &|x, _, _| x);
    check::<E>(None, Some([2.0, -1.0]), false, false, &|x, _, _| 2.0 * x - 1.0);
    check::<E>(None, Some([0.0, 1.0]), false, false, &|x, _, _| 0.0 * x + 1.0);
    check::<E>(None, None, true, false, &|x, _, addend| x + addend);
    check::<E>(None, None, false, true, &|x, _, gate| x * gate);
    let relu = Epilogue::Clamp(0.0, f32::INFINITY);
    check::<E>(Some(&relu), None, true, false, &|x, _, addend| clamp(0.0, f32::INFINITY)(x + addend));
}

#[test]
fn scales_sums_and_gates_are_their_definitions() {
    for_each_type!(sums());
}
