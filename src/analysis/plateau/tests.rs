use super::*;
use crate::analysis::noise::Noise;
use proptest::prelude::*;

const BATCHES: [u32; 8] = [1, 2, 4, 8, 16, 32, 64, 128];

fn measured(batches: &[u32], truth: impl Fn(f64) -> f64, error: f64, noise: &mut Noise) -> Vec<At> {
    let at = |b: &u32| At {
        batch: *b,
        value: truth(f64::from(*b)) * (error * noise.normal()).exp(),
        error: 0.003,
        capped: false,
    };
    batches.iter().map(at).collect()
}

fn shapes(seeds: u64, batches: &[u32], truth: impl Fn(f64) -> f64, error: f64) -> Vec<Course> {
    (0..seeds).map(|seed| course(&measured(batches, &truth, error, &mut Noise::new(seed)))).collect()
}

fn share(courses: &[Course], shape: impl Fn(&Shape) -> bool) -> f64 {
    courses.iter().filter(|c| shape(&c.shape)).count() as f64 / courses.len() as f64
}

#[test]
fn saturating_throughput_has_its_plateau_and_its_knee() {
    // 1 ms a batch and 0.5 ms an image: at most 2,000 images/s, 90 % of it at batch 18.
    let courses = shapes(200, &BATCHES, |b| 1e3 * b / (1.0 + 0.5 * b), 0.02);
    assert!(share(&courses, |s| *s == Shape::Plateau) > 0.95);
    let held = |f: &dyn Fn(&Course) -> bool| courses.iter().filter(|c| f(c)).count() as f64 / 200.0;
    let knee = held(&|c| c.knee.is_some_and(|k| k.1.contains(18.0)));
    let level = held(&|c| c.level.is_some_and(|l| l.1.contains(2_000.0)));
    assert!(knee > 0.9 && level > 0.9, "{knee} {level}");
    let width = courses.iter().filter_map(|c| c.knee).map(|k| k.1.high / k.1.low).fold(0.0, f64::max);
    assert!(width < 8.0, "an interval that says something: {width}");
}

#[test]
fn power_that_rises_and_breaks_off_has_a_plateau() {
    let courses = shapes(200, &BATCHES, |b| if b < 16.0 { 200.0 + 100.0 * b.log2() } else { 600.0 }, 0.02);
    assert!(share(&courses, |s| *s == Shape::Plateau) > 0.9, "{}", share(&courses, |s| *s == Shape::Plateau));
}

#[test]
fn what_still_rises_has_no_plateau_yet() {
    for truth in [|b: f64| 100.0 * b.powf(0.8), |b: f64| 100.0 * b, |b: f64| 300.0 * b.powf(0.15)] {
        let courses = shapes(300, &BATCHES, truth, 0.02);
        assert!(share(&courses, |s| *s == Shape::Rising) > 0.9, "{}", share(&courses, |s| *s == Shape::Rising));
        let wrong = share(&courses, |s| matches!(s, Shape::Plateau | Shape::Constant));
        assert!(wrong <= 0.05, "{wrong}");
    }
    // A knee at batch 180 lies beyond what was measured.
    let courses = shapes(100, &BATCHES, |b| 1e3 * b / (10.0 + 0.5 * b), 0.02);
    assert!(share(&courses, |s| *s == Shape::Rising) > 0.95);
}

#[test]
fn nothing_is_found_where_there_is_nothing() {
    let courses = shapes(500, &BATCHES, |_| 300.0, 0.02);
    assert!(share(&courses, |s| *s == Shape::Constant) > 0.9, "{}", share(&courses, |s| *s == Shape::Constant));
    for error in [0.05, 0.2] {
        let courses = shapes(500, &BATCHES, |_| 300.0, error);
        let found = share(&courses, |s| matches!(s, Shape::Plateau | Shape::Rising | Shape::Falling));
        assert!(found <= 0.08, "{found} at an error of {error}");
    }
}

#[test]
fn the_cap_is_told_from_saturation() {
    let mut points = measured(&BATCHES, |b| (150.0 + 110.0 * b.log2()).min(700.0), 0.005, &mut Noise::new(1));
    points.iter_mut().for_each(|p| p.capped = p.value > 680.0);
    let course = course(&points);
    assert_eq!(course.shape, Shape::Capped);
    assert!((course.level.unwrap().0 - 700.0).abs() < 10.0, "{:?}", course.level);
}

#[test]
fn too_few_or_too_close_says_what_it_needs() {
    let points = measured(&[1, 2, 4], |b| b, 0.0, &mut Noise::new(1));
    assert_eq!(course(&points).shape, Shape::Undecided { needs: "1 more batch size".into() });
    assert_eq!(course(&[]).shape, Shape::Undecided { needs: "4 more batch sizes".into() });
    let close = measured(&[20, 22, 24, 26], |b| b, 0.0, &mut Noise::new(1));
    let needs = "batch sizes that differ more than from 20 to 26".to_owned();
    assert_eq!(course(&close).shape, Shape::Undecided { needs });
}

#[test]
fn what_rises_and_falls_again_says_where_its_peak_is() {
    let up_and_down = |b: f64| if b <= 16.0 { 100.0 * b } else { 1_600.0 * 16.0 / b };
    let course = course(&measured(&BATCHES, up_and_down, 0.01, &mut Noise::new(1)));
    assert_eq!(course.peak, Some(16));
    assert!(!matches!(course.shape, Shape::Plateau | Shape::Constant), "{:?}", course.shape);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]
    #[test]
    fn anything_gives_numbers_or_nothing(
        points in prop::collection::vec((any::<u32>(), prop::num::f64::ANY, prop::num::f64::ANY, any::<bool>()), 0..12),
    ) {
        let at = |(batch, value, error, capped)| At { batch, value, error, capped };
        let course = course(&points.into_iter().map(at).collect::<Vec<_>>());
        prop_assert!(course.knee.is_none_or(|(k, i)| k.is_finite() && i.low <= i.high));
        prop_assert!(course.curve.iter().all(|c| !c.0.is_nan() && !c.1.is_nan()));
    }
}
