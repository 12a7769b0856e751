use super::*;
use crate::{
    event::Precision,
    model::{self, cost},
};

/// On the processor by our own kernels, or, as on a card, by Burn's with a clock of the device's own.
fn config(network: &str, batch: u32, precision: Precision, by_burn: bool) -> Config {
    let device = if by_burn { "test:0" } else { "cpu" };
    Config { network: network.to_owned(), batch, precision, device: device.to_owned() }
}

fn layers(config: &Config) -> Layers {
    let model = model::find(&config.network).unwrap();
    let built = Built::new(&model, config, true).unwrap();
    let layers = measure(&built, (7, config), &built.inputs(config.batch).unwrap(), || false).unwrap().unwrap();
    let facts = cost::facts(&model).unwrap();
    let total = |of: fn(&LayerTime) -> u64| layers.layers.iter().map(of).sum::<u64>();
    assert_eq!(total(|l| l.macs), facts.macs * u64::from(config.batch), "{config}");
    let clock = if config.device == "cpu" { LayerClock::Wall } else { LayerClock::Device };
    assert_eq!((layers.run, &layers.config, layers.clock), (7, config, clock));
    assert_eq!(layers.sum_ns, total(|l| l.time_ns));
    assert!(layers.layers.iter().all(|l| l.output[0] == u64::from(config.batch)));
    assert!((LEAST_PASSES..=MOST_PASSES).contains(&(layers.passes as usize)));
    for (i, layer) in layers.layers.iter().enumerate() {
        match layer.within {
            Some(host) => {
                assert!(
                    host < i && layers.layers[host].within.is_none() && layers.layers[host].time_ns > 0,
                    "{layer:?}"
                );
                assert_eq!((layer.time_ns, layer.bytes), (0, 0));
            }
            None => assert!(layer.kind == "concat" || layer.time_ns > 0 && layer.bytes > 0, "{config}: {layer:?}"),
        }
    }
    layers
}

#[test]
fn layers_of_our_own_kernels_make_up_the_batch() {
    let resnet = layers(&config("resnet18", 2, Precision::F32, false));
    let (sum, whole) = (resnet.sum_ns as f64, resnet.whole_ns as f64);
    assert!((0.5..1.5).contains(&(sum / whole)), "{sum} ns of {whole} ns");
    let kinds = |own: bool| resnet.layers.iter().filter(move |l| l.within.is_none() == own).map(|l| l.kind.as_str());
    assert!(kinds(true).all(|kind| kind != "relu"), "activations are computed with what comes before them");
    assert!(kinds(false).any(|kind| kind == "relu") && kinds(false).any(|kind| kind == "add"));
    // The first convolution reads two images and its weights, and what others read of it is after the activation.
    let first = &resnet.layers[0];
    let values = 2 * (3 * 224 * 224 + 64 * 112 * 112) + 64 * 3 * 7 * 7 + 64;
    assert_eq!((first.kind.as_str(), first.bytes), ("conv", 4 * values));
}

#[test]
fn layers_that_burn_runs_stand_alone_and_half_precision_moves_half_the_bytes() {
    // Local response norm keeps its squares in f16's range.
    let alexnet = layers(&config("alexnet", 1, Precision::F16, true));
    assert!(alexnet.layers.iter().all(|l| l.within.is_none()));
    let ours = layers(&config("alexnet", 1, Precision::F16, false));
    assert!(ours.layers.iter().any(|l| l.within.is_some()));
    let lrn = alexnet.layers.iter().find(|l| l.kind == "lrn").unwrap();
    let values: u64 = lrn.output.iter().product();
    assert_eq!(lrn.bytes, 2 * 2 * values, "read once and written once, two bytes each");
}

#[test]
fn what_is_computed_wrongly_is_refused() {
    let theirs: Vec<f64> = (0..100).map(|i| f64::from(i % 10)).collect();
    let mut ours = theirs.clone();
    assert!(check(&ours, &theirs).is_ok());
    ours[3] += 2.0;
    assert!(matches!(check(&ours, &theirs), Err(LayersError::Differs(_))));
    ours[3] = f64::NAN;
    assert!(check(&ours, &theirs).is_err());
    assert!(check(&theirs[1..], &theirs).is_err());
}

#[test]
fn a_newer_command_ends_it() {
    let config = config("squeezenet1.1", 1, Precision::F32, false);
    let built = Built::new(&model::find("squeezenet1.1").unwrap(), &config, true).unwrap();
    assert_eq!(measure(&built, (1, &config), &built.inputs(1).unwrap(), || true).unwrap(), None);
}

#[test]
fn times_are_of_the_middle_half_of_the_passes_and_add_up() {
    let ms = Duration::from_millis;
    let totals = |n: u64| (0..n).map(|i| ms(i * 7 % n)).collect::<Vec<_>>();
    assert_eq!([1, 2, 3, 4, 7, 30].map(|n| middle_half(&totals(n)).len()), [1, 2, 1, 2, 3, 14]);
    let mut passes = Passes::default();
    // In every pass but the first something interrupts one of the layers.
    for interrupted in [9, 0, 1, 2, 0, 1, 2] {
        let times: Vec<Duration> = (0..3).map(|i| ms(if i == interrupted { 40 } else { 10 })).collect();
        passes.add(ms(60), ms(60), LayerPass { wall: times.iter().sum(), times, outputs: vec![] });
    }
    let mut layers = vec![LayerTime::default(); 3];
    passes.time(&mut layers);
    assert_eq!(layers.iter().map(|l| l.time_ns).sum::<u64>(), 60_000_000);
    assert_eq!((typical(&passes.instrumented), typical(&[])), (60_000_000, 0));
}
