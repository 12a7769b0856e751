use crate::support::*;
use proptest::prelude::*;
use wattscope_kernels::{
    conv::{Conv, Parameters, Shape},
    depthwise::Depthwise,
    element::{DType, Element},
    elementwise::Epilogue,
    isa::Isa,
    micro_kernel::Clamp,
    step::Step,
};

/// A convolution and the input that it runs on.
#[derive(Clone, Copy, Debug)]
struct Case {
    shape: Shape,
    size: [usize; 2],
    images: usize,
    /// Whether the input's channels are side by side, as those of an image.
    image: bool,
    residual: bool,
    clamp: Clamp,
    prelu: bool,
}

impl Case {
    fn new(inputs: usize, outputs: usize, kernel: [usize; 2], size: [usize; 2]) -> Self {
        let (ones, padding) = ([1, 1], kernel.map(|side| side / 2));
        let shape = Shape { inputs, outputs, kernel, stride: ones, padding, dilation: ones, groups: 1 };
        Self { shape, size, images: 1, image: false, residual: false, clamp: Clamp::NONE, prelu: false }
    }

    fn output(&self) -> [usize; 2] {
        let Shape { kernel, stride, padding, dilation, .. } = self.shape;
        [0, 1].map(|axis| {
            (self.size[axis] + 2 * padding[axis] - dilation[axis] * (kernel[axis] - 1) - 1) / stride[axis] + 1
        })
    }

    fn parameters(&self) -> Parameters {
        let Shape { inputs, outputs, kernel, groups, .. } = self.shape;
        let weights = whole(outputs * inputs / groups * kernel[0] * kernel[1], 1);
        Parameters { weights, outputs_last: false, scale: None, bias: Some(whole(outputs, 2)) }
    }

    /// The definition of all outputs, NCHW. Padding takes no part.
    fn definition(&self, values: &[f32], residual: &[f32]) -> Vec<f32> {
        let Shape { inputs, outputs, kernel, stride, padding, dilation, groups } = self.shape;
        let ([height, width], [rows, columns]) = (self.size, self.output());
        let (depth, filters) = (inputs / groups, outputs / groups);
        let Parameters { weights, bias, .. } = self.parameters();
        let bias = bias.unwrap();
        let mut all = Vec::with_capacity(self.images * outputs * rows * columns);
        for (image, k) in (0..self.images).flat_map(|image| (0..outputs).map(move |k| (image, k))) {
            for (y, x) in (0..rows).flat_map(|y| (0..columns).map(move |x| (y, x))) {
                let mut sum = bias[k];
                for (c, r) in (0..depth).flat_map(|c| (0..kernel[0]).map(move |r| (c, r))) {
                    for s in 0..kernel[1] {
                        let row = (y * stride[0] + r * dilation[0]).wrapping_sub(padding[0]);
                        let column = (x * stride[1] + s * dilation[1]).wrapping_sub(padding[1]);
                        if row < height && column < width {
                            let plane = image * inputs + k / filters * depth + c;
                            let weight = weights[((k * depth + c) * kernel[0] + r) * kernel[1] + s];
                            sum += weight * values[(plane * height + row) * width + column];
                        }
                    }
                }
                if self.residual {
                    sum += residual[all.len()];
                }
                let sum = if sum.is_nan() { sum } else { sum.max(self.clamp.low).min(self.clamp.high) };
                all.push(if !self.prelu || sum > 0.0 { sum } else { -0.5 * sum });
            }
        }
        all
    }

    /// Instruction sets that can run it. AMX's packing is also read by the kernels of VDPBF16PS, which take narrow outputs: those
    /// can be tested on processors without AMX.
    fn isas(&self, dtype: DType) -> Vec<Isa> {
        let [rows, columns] = self.output();
        let narrow = if rows * columns == 1 { self.images <= 2 } else { columns <= 2 };
        let mut isas = isas();
        if isas.last() == Some(&Isa::Avx512Bf16) && dtype == DType::Bf16 && narrow {
            isas.push(Isa::Amx);
        }
        isas
    }

    fn check<E: Element>(&self, values: &[f32], residual: &[f32]) {
        let Shape { inputs, outputs, padding, .. } = self.shape;
        let halo = padding[0].max(padding[1]);
        let x = if self.image { image_view } else { view }(0, inputs, self.size, halo);
        let [out, other] = [1, 2].map(|buffer| view::<E>(buffer, outputs, self.output(), 0));
        let expected = self.definition(values, residual);
        let slopes = || vec![wattscope_kernels::layout::ChannelVector([-0.5; 16]); out.blocks()];
        let epilogue = self.prelu.then(|| Epilogue::Prelu(slopes()));
        for isa in self.isas(E::DTYPE) {
            let mut arena = arena(self.images, &[x, out, other]);
            write(&mut arena, x, values);
            write(&mut arena, other, residual);
            let step: Box<dyn Step> = if self.shape.is_depthwise() {
                Box::new(Depthwise::new(self.shape, [x, out], &self.parameters(), isa).with_epilogue(epilogue.clone()))
            } else {
                let conv = Conv::new(self.shape, [x, out], &self.parameters(), isa);
                Box::new(conv.with_residual(self.residual.then_some(other)).with_epilogue(self.clamp, epilogue.clone()))
            };
            assert_same::<E>(&run_and_read(&arena, step, &out), &expected, 0.0, &(isa, self));
        }
    }

    fn input_len(&self) -> usize {
        self.images * self.shape.inputs * self.size[0] * self.size[1]
    }

    fn residual_len(&self) -> usize {
        let [rows, columns] = self.output();
        self.images * self.shape.outputs * rows * columns
    }
}

/// Whole numbers with one other value.
fn with_one(count: usize, position: usize, special: f32) -> Vec<f32> {
    let mut values = whole(count, position);
    values[position] = special;
    values
}

/// One value that is not finite, in each position of an input.
fn every_position<E: Element>(case: Case) {
    let residual = whole(case.residual_len(), 5);
    for position in 0..case.input_len() {
        for special in SPECIAL {
            case.check::<E>(&with_one(case.input_len(), position, special), &residual);
        }
    }
}

const RELU: Clamp = Clamp { low: 0.0, high: f32::INFINITY };

#[test]
fn one_value_reaches_the_outputs_that_it_is_a_term_of() {
    // 20 outputs: a block with unused lanes, whose sums of zero times infinity must not reach the next layer.
    for_each_type!(every_position(Case { clamp: RELU, ..Case::new(18, 20, [1, 1], [2, 3]) }));
    for_each_type!(every_position(Case { residual: true, ..Case::new(5, 17, [3, 3], [4, 4]) }));
}

#[test]
fn a_pixel_of_an_image_reaches_only_the_windows_that_it_is_in() {
    // Chunks of 9 and 3 · 2 = 6 inputs: VDPBF16PS takes 10 of the former, the last of them the next pixel's.
    let image = |kernel, size| Case { image: true, ..Case::new(3, 20, kernel, size) };
    for_each_type!(every_position(image([3, 3], [3, 5])));
    for_each_type!(every_position(image([1, 1], [2, 3])));
    for_each_type!(every_position(Case { clamp: RELU, ..image([3, 2], [3, 4]) }));
    // At most two pixels wide.
    for_each_type!(every_position(image([3, 3], [3, 2])));
    let dilated = image([2, 2], [3, 3]);
    for_each_type!(every_position(Case {
        shape: Shape { dilation: [1, 2], padding: [0, 0], ..dilated.shape },
        ..dilated
    }));
}

#[test]
fn an_image_of_a_batch_does_not_reach_another_one() {
    for_each_type!(every_position(Case { images: 5, clamp: RELU, ..Case::new(20, 20, [1, 1], [1, 1]) }));
    for_each_type!(every_position(Case { images: 2, ..Case::new(3, 17, [2, 2], [2, 2]) }));
}

#[test]
fn a_channel_of_a_depthwise_convolution_does_not_reach_another_one() {
    let case = Case::new(20, 20, [3, 3], [3, 8]);
    for_each_type!(every_position(Case { shape: Shape { groups: 20, ..case.shape }, ..case }));
}

/// A reduction so long that it is cut: partial sums that are NaN or infinite stay so.
fn long<E: Element>() {
    let case = Case { clamp: RELU, ..Case::new(512, 64, [3, 3], [3, 3]) };
    let residual = whole(case.residual_len(), 5);
    for (i, special) in SPECIAL.into_iter().enumerate() {
        case.check::<E>(&with_one(case.input_len(), 100 + i, special), &residual);
        case.check::<E>(&with_one(case.input_len(), 511 * 9 + i, special), &residual);
    }
}

#[test]
fn partial_sums_stay_nan() {
    for_each_type!(long());
}

/// Two layers: what the first leaves in unused lanes is multiplied by the second one's weights of zero.
fn two_layers<E: Element>() {
    let size = [3, 4];
    let (first, second) = (Case::new(3, 20, [3, 3], size), Case::new(20, 5, [3, 3], size));
    for (isa, position) in isas().into_iter().flat_map(|isa| (0..first.input_len()).map(move |p| (isa, p))) {
        let [x, between, out] =
            [(0, 3), (1, 20), (2, 5)].map(|(buffer, channels)| view::<E>(buffer, channels, size, 1));
        let mut arena = arena(1, &[x, between, out]);
        let values = with_one(first.input_len(), position, SPECIAL[position % 3]);
        write(&mut arena, x, &values);
        let layer = |case: &Case, x, out| Box::new(Conv::new(case.shape, [x, out], &case.parameters(), isa));
        let got = run_and_read(&arena, layer(&first, x, between), &between);
        let expected = first.definition(&values, &[]);
        assert_same::<E>(&got, &expected, 0.0, &(isa, position));
        let got = run_and_read(&arena, layer(&second, between, out), &out);
        let rounded: Vec<f32> = expected.iter().map(|x| E::of(*x).value()).collect();
        assert_same::<E>(&got, &second.definition(&rounded, &[]), 0.0, &(isa, position));
    }
}

#[test]
fn unused_lanes_do_not_reach_the_next_layer() {
    for_each_type!(two_layers());
}

fn value() -> impl Strategy<Value = f32> {
    prop_oneof![60 => (-6i8..7).prop_map(f32::from), 1 => prop::sample::select(SPECIAL.to_vec())]
}

fn clamp() -> impl Strategy<Value = Clamp> {
    prop::sample::select(vec![Clamp::NONE, RELU, Clamp { low: 0.0, high: 6.0 }])
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn convolutions_are_their_definition(
        [inputs, outputs] in prop::array::uniform2(1usize..40),
        kernel in prop::array::uniform2(1usize..4),
        stride in prop::array::uniform2(1usize..3),
        dilation in prop::array::uniform2(1usize..3),
        padding in prop::array::uniform2(0usize..2),
        size in prop::array::uniform2(5usize..10),
        images in 1usize..3,
        groups in 0usize..3,
        image in any::<bool>(),
        residual in any::<bool>(),
        prelu in any::<bool>(),
        clamp in clamp(),
        values in prop::collection::vec(value(), 2 * 64 * 81),
        other in prop::collection::vec(value(), 2 * 64 * 121),
    ) {
        let shape = Shape { inputs, outputs, kernel, stride, padding, dilation, groups: 1 };
        let (shape, image, residual, clamp) = match groups {
            0 => (Shape { inputs: if image { inputs % 5 + 1 } else { inputs }, ..shape }, image, residual, clamp),
            1 if inputs > 1 => (Shape { outputs: inputs, groups: inputs, ..shape }, false, false, Clamp::NONE),
            _ => (Shape { inputs: 32, outputs: 32 * (1 + outputs % 2), groups: 2, ..shape }, false, residual, clamp),
        };
        let case = Case { shape, size, images, image, residual, clamp, prelu };
        let (values, other) = (&values[..case.input_len()], &other[..case.residual_len()]);
        case.check::<f32>(values, other);
        case.check::<wattscope_kernels::element::f16>(values, other);
        case.check::<wattscope_kernels::element::bf16>(values, other);
    }
}
