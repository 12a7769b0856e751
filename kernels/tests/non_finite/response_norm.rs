use crate::support::*;
use proptest::prelude::*;
use wattscope_kernels::{element::Element, response_norm::ResponseNorm};

const PIXELS: [usize; 2] = [1, 3];

/// PyTorch's definition for one value: x / (1 + scale · Σ x²)^¾, squares being f32, which overflow.
fn definition(pixel: &[f32], channel: usize, size: usize, scale: f32) -> f32 {
    let window = channel.saturating_sub(size / 2)..(channel + size / 2 + 1).min(pixel.len());
    let sum: f32 = pixel[window].iter().map(|x| x * x).sum();
    (f64::from(pixel[channel]) / f64::from(1.0 + scale * sum).powf(0.75)) as f32
}

fn check<E: Element>(values: &[f32], size: usize, scale: f32) {
    let pixels = PIXELS[0] * PIXELS[1];
    let channels = values.len() / pixels;
    let [x, out] = [0, 1].map(|buffer| view::<E>(buffer, channels, PIXELS, 0));
    // As they are stored.
    let values: Vec<f32> = values.iter().map(|x| E::of(*x).value()).collect();
    let pixel = |p: usize| (0..channels).map(|c| values[c * pixels + p]).collect::<Vec<f32>>();
    let by_pixel: Vec<Vec<f32>> = (0..pixels).map(pixel).collect();
    let expected: Vec<f32> =
        (0..channels).flat_map(|c| by_pixel.iter().map(move |pixel| definition(pixel, c, size, scale))).collect();
    for isa in isas() {
        let mut arena = arena(1, &[x, out]);
        write(&mut arena, x, &values);
        let got = run_and_read(&arena, Box::new(ResponseNorm { x, out, size, scale, isa }), &out);
        let tolerance = if size_of::<E>() == 4 { 1e-5 } else { 1e-2 };
        assert_same::<E>(&got, &expected, tolerance, &(isa, size, scale, &values));
    }
}

/// One value that is not finite, or whose square is not, in each channel.
fn every_position<E: Element>() {
    for (special, channel) in SPECIAL.into_iter().chain([1e20, -1e20]).flat_map(|s| (0..21).map(move |c| (s, c))) {
        let mut values = whole(21 * 3, channel);
        values[channel * 3 + channel % 3] = special;
        check::<E>(&values, 5, 0.1);
    }
}

#[test]
fn one_value_reaches_the_channels_around_it() {
    for_each_type!(every_position());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn norms_are_their_definition(
        channels in 1usize..40,
        size in prop::sample::select(vec![1usize, 3, 5]),
        values in prop::collection::vec(
            prop_oneof![6 => -6.0f32..6.0, 1 => prop::sample::select(SPECIAL.to_vec())],
            40 * 3,
        ),
    ) {
        for_each_type!(check(&values[..channels * 3], size, 0.02));
    }
}
