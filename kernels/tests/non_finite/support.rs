//! Maps, and comparisons.

use std::marker::PhantomData;
use wattscope_kernels::{
    element::Element,
    executor::run,
    input::Import,
    isa::Isa,
    layout::{Arena, Layout, Plane, Slot, View},
    simd::LANES,
    step::Step,
};

pub const SPECIAL: [f32; 3] = [f32::NAN, f32::INFINITY, f32::NEG_INFINITY];

/// Calls a generic function for each storage type.
macro_rules! for_each_type {
    ($function:ident($($argument:expr),*)) => {{
        $function::<f32>($($argument),*);
        $function::<wattscope_kernels::element::f16>($($argument),*);
        $function::<wattscope_kernels::element::bf16>($($argument),*);
    }};
}
pub(crate) use for_each_type;

/// A map alone in its buffer, in channel blocks of 16.
pub fn view<E>(buffer: usize, channels: usize, [height, width]: [usize; 2], halo: usize) -> View<E> {
    let plane = Plane { height, width, halo };
    let blocks = channels.div_ceil(LANES);
    View { buffer, plane, lanes: LANES, buffer_blocks: blocks, first_block: 0, channels, element: PhantomData }
}

/// A map whose channels are side by side, as those of an image.
pub fn image_view<E>(buffer: usize, channels: usize, size: [usize; 2], halo: usize) -> View<E> {
    View { lanes: channels, buffer_blocks: 1, ..view(buffer, channels, size, halo) }
}

/// Memory for maps that are numbered from 0.
pub fn arena<E>(images: usize, views: &[View<E>]) -> Arena {
    let slot = |view: &View<E>| {
        let View { plane, lanes, buffer_blocks: blocks, .. } = *view;
        Slot { plane, lanes, blocks, micro_batched: false }
    };
    let layout = Layout {
        element_bytes: size_of::<E>(),
        slots: views.iter().map(slot).collect(),
        slot_of_buffer: (0..views.len()).collect(),
        micro_batch_steps: 0,
        micro_batch: 1,
    };
    Arena::new(images, &layout)
}

/// Writes NCHW values to a map.
pub fn write<E: Element>(arena: &mut Arena, view: View<E>, values: &[f32]) {
    assert_eq!(values.len(), arena.images * len(&view));
    arena.set_input(values);
    run(&[Box::new(Import { view })], arena);
}

/// Runs a step and reads a map as NCHW values. What its unused lanes hold must be finite.
pub fn run_and_read<E: Element>(arena: &Arena, step: Box<dyn Step>, out: &View<E>) -> Vec<f32> {
    run(&[step], arena);
    read(arena, out)
}

/// Values of an image.
pub fn len<E>(view: &View<E>) -> usize {
    view.channels * view.plane.height * view.plane.width
}

fn read<E: Element>(arena: &Arena, view: &View<E>) -> Vec<f32> {
    let map = arena.map(view);
    let at = |image: usize, c: usize, y: usize, x: usize| {
        // SAFETY: within the view.
        unsafe { map.at(image, c / view.lanes, y).add(x * view.lanes + c % view.lanes).read() }.value()
    };
    let Plane { height, width, .. } = view.plane;
    let pixels = || (0..height).flat_map(|y| (0..width).map(move |x| (y, x)));
    for image in 0..arena.images {
        for (c, (y, x)) in (view.channels..view.blocks() * view.lanes).flat_map(|c| pixels().map(move |p| (c, p))) {
            assert!(at(image, c, y, x).is_finite(), "unused lane {c} of pixel {:?} is {}", (y, x), at(image, c, y, x));
        }
    }
    let values = (0..arena.images).flat_map(|image| (0..view.channels).map(move |c| (image, c)));
    values.flat_map(|(image, c)| pixels().map(move |(y, x)| at(image, c, y, x))).collect()
}

/// Small whole numbers, whose products and sums are exact in f32 in any order.
pub fn whole(count: usize, seed: usize) -> Vec<f32> {
    (0..count).map(|i| ((i * 31 + seed * 17) % 13) as f32 - 6.0).collect()
}

/// Asserts that values are those of the definition, rounded to the storage type: the same, or apart by `tolerance` of the
/// larger one where they are finite.
pub fn assert_same<E: Element>(got: &[f32], expected: &[f32], tolerance: f32, what: &dyn std::fmt::Debug) {
    assert_eq!(got.len(), expected.len());
    for (i, (got, expected)) in got.iter().zip(expected).enumerate() {
        let expected = E::of(*expected).value();
        let bound = tolerance * expected.abs().max(1.0);
        let same = got.is_nan() && expected.is_nan()
            || *got == expected
            || got.is_finite() && expected.is_finite() && (got - expected).abs() <= bound;
        assert!(same, "{:?}: {got} instead of {expected} at {i} of {what:?}", E::DTYPE);
    }
}

/// Instruction sets to test.
pub fn isas() -> Vec<Isa> {
    Isa::available()
}
