use crate::support::*;
use proptest::prelude::*;
use wattscope_kernels::{
    element::Element,
    pool::{Pool, Reduce},
};

#[derive(Clone, Copy, Debug)]
struct Window {
    kernel: [usize; 2],
    stride: [usize; 2],
    padding: [usize; 2],
    reduce: Reduce,
}

impl Window {
    /// Size of the output; an overhanging last window counts, as in PyTorch's `ceil_mode`, if it begins inside.
    fn output(&self, size: [usize; 2], ceil: bool) -> [usize; 2] {
        [0, 1].map(|axis| {
            let span = size[axis] + 2 * self.padding[axis] - self.kernel[axis];
            let count = if ceil { span.div_ceil(self.stride[axis]) } else { span / self.stride[axis] } + 1;
            let begins_inside = (count - 1) * self.stride[axis] < size[axis] + self.padding[axis];
            if begins_inside { count } else { count - 1 }
        })
    }

    /// PyTorch's definition of an output of one plane.
    fn definition(&self, plane: &[f32], size: [usize; 2], [y, x]: [usize; 2]) -> f32 {
        let mut inside = vec![];
        for (r, s) in (0..self.kernel[0]).flat_map(|r| (0..self.kernel[1]).map(move |s| (r, s))) {
            let at = [y * self.stride[0] + r, x * self.stride[1] + s];
            let [Some(row), Some(column)] = [0, 1].map(|axis| at[axis].checked_sub(self.padding[axis])) else {
                continue;
            };
            if row < size[0] && column < size[1] {
                inside.push(plane[row * size[1] + column]);
            }
        }
        let sum = || inside.iter().sum::<f32>();
        match self.reduce {
            Reduce::Max => {
                inside.iter().fold(f32::NEG_INFINITY, |max, x| if *x > max || x.is_nan() { *x } else { max })
            }
            Reduce::Mean { padding: true } => sum() / (self.kernel[0] * self.kernel[1]) as f32,
            Reduce::Mean { padding: false } => sum() / inside.len() as f32,
        }
    }
}

fn check<E: Element>(window: Window, channels: usize, size: [usize; 2], ceil: bool, values: &[f32]) {
    let [height, width] = window.output(size, ceil);
    let (x, out) = (view::<E>(0, channels, size, 0), view::<E>(1, channels, [height, width], 0));
    let planes = values.chunks(size[0] * size[1]);
    let pixels = || (0..height).flat_map(|y| (0..width).map(move |x| [y, x]));
    let expected: Vec<f32> =
        planes.flat_map(|plane| pixels().map(move |at| window.definition(plane, size, at))).collect();
    let Window { kernel, stride, padding, reduce } = window;
    for isa in isas() {
        let mut arena = arena(1, &[x, out]);
        write(&mut arena, x, values);
        let pool = Pool { x, out, kernel, stride, padding, reduce, isa };
        let got = run_and_read(&arena, Box::new(pool), &out);
        let tolerance = if size_of::<E>() == 4 { 1e-6 } else { 1e-2 };
        assert_same::<E>(&got, &expected, tolerance, &(isa, window, size, values));
    }
}

const REDUCTIONS: [Reduce; 3] = [Reduce::Max, Reduce::Mean { padding: true }, Reduce::Mean { padding: false }];

/// One value that is not finite, in each position of an input.
fn every_position<E: Element>() {
    let (channels, size) = (18, [5, 6]);
    let windows = [([3, 3], [2, 2], [1, 1]), ([2, 2], [2, 2], [0, 0]), ([3, 2], [1, 2], [1, 0])];
    for ((kernel, stride, padding), reduce) in windows.into_iter().flat_map(|w| REDUCTIONS.map(|reduce| (w, reduce))) {
        for position in 0..size[0] * size[1] {
            let mut values = whole(channels * size[0] * size[1], position);
            // In every channel, and another value in each.
            for (channel, plane) in values.chunks_mut(size[0] * size[1]).enumerate() {
                plane[position] = SPECIAL[channel % 3];
            }
            check::<E>(Window { kernel, stride, padding, reduce }, channels, size, true, &values);
        }
    }
}

#[test]
fn one_value_reaches_the_windows_that_it_is_in() {
    for_each_type!(every_position());
}

fn value() -> impl Strategy<Value = f32> {
    prop_oneof![6 => (-6i8..7).prop_map(f32::from), 1 => prop::sample::select(SPECIAL.to_vec())]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn pools_are_their_definition(
        kernel in prop::array::uniform2(1usize..4),
        stride in prop::array::uniform2(1usize..4),
        padded in prop::array::uniform2(any::<bool>()),
        size in prop::array::uniform2(3usize..9),
        reduce in prop::sample::select(REDUCTIONS.to_vec()),
        ceil in any::<bool>(),
        channels in 1usize..34,
        values in prop::collection::vec(value(), 33 * 8 * 8),
    ) {
        let padding = [0, 1].map(|axis| if padded[axis] { kernel[axis] / 2 } else { 0 });
        let window = Window { kernel, stride, padding, reduce };
        for_each_type!(check(window, channels, size, ceil, &values[..channels * size[0] * size[1]]));
    }
}
