use crate::support::*;
use wattscope_kernels::{
    concat::Concat,
    element::{Element, bf16, f16},
    elementwise::Elementwise,
};

/// Every value of a 16-bit type is loaded, widened, rounded and stored as it is.
fn every_value<E: Element>(values: &[f32]) {
    let [x, out] = [0, 1].map(|buffer| view::<E>(buffer, 64, [32, 32], 0));
    for isa in isas() {
        let mut arena = arena(1, &[x, out]);
        write(&mut arena, x, values);
        let step = Elementwise { x, out, affine: None, gate: None, addend: None, epilogue: None, isa };
        assert_same::<E>(&run_and_read(&arena, Box::new(step), &out), values, 0.0, &isa);
    }
}

#[test]
fn every_value_of_16_bits_comes_back() {
    let all = || 0..=u16::MAX;
    every_value::<f16>(&all().map(|bits| f16::from_bits(bits).to_f32()).collect::<Vec<_>>());
    every_value::<bf16>(&all().map(|bits| bf16::from_bits(bits).to_f32()).collect::<Vec<_>>());
}

/// A buffer of full blocks and an import of 3 channels in the same memory: what the first leaves in the lanes that the second
/// does not use must not reach its readers.
fn stale_lanes<E: Element>() {
    let full = view::<E>(0, 16, [3, 3], 1);
    let mut arena = arena(1, &[full]);
    write(&mut arena, full, &[f32::NAN; 16 * 9]);
    let few = view::<E>(0, 3, [3, 3], 1);
    let values = whole(27, 1);
    write(&mut arena, few, &values);
    assert_same::<E>(&run_and_read(&arena, Box::new(Nothing), &few), &values, 0.0, &"an import");
}

/// A step without tasks.
struct Nothing;

impl wattscope_kernels::step::Step for Nothing {
    fn traffic(&self) -> wattscope_kernels::step::Traffic {
        wattscope_kernels::step::Traffic { weights: 0, per_image: 0 }
    }
    fn tasks(&self, _: usize, _: usize) -> usize {
        0
    }
    unsafe fn run(&self, _: usize, _: usize, _: &wattscope_kernels::layout::Arena) {}
}

#[test]
fn imports_clear_the_lanes_that_they_do_not_use() {
    for_each_type!(stale_lanes());
}

fn concatenations<E: Element>() {
    let [a, b] = [(0, 5), (1, 16)].map(|(buffer, channels)| view::<E>(buffer, channels, [2, 3], 0));
    let out = view::<E>(2, 23, [2, 3], 0);
    let mut arena = arena(1, &[a, b, out]);
    let values = |count: usize| (0..count * 6).map(|i| SPECIAL[i % 3]).collect::<Vec<_>>();
    write(&mut arena, a, &values(5));
    write(&mut arena, b, &values(16));
    let sources = (0..5).map(|c| Some((0, c))).chain((0..16).map(|c| Some((1, c)))).chain([None, None]);
    let step = Concat { out, sources: sources.collect(), parts: vec![a, b] };
    let expected = [values(5), values(16), vec![0.0; 12]].concat();
    assert_same::<E>(&run_and_read(&arena, Box::new(step), &out), &expected, 0.0, &"a concatenation");
}

#[test]
fn concatenations_copy_every_value() {
    for_each_type!(concatenations());
}
