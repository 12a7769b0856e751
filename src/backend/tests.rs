use super::{device, interface::Input};
use crate::{
    engine::{layers, measure::Built, peak},
    event::{Body, Config, DeviceKind, LayerClock, Precision},
    model,
};

/// `test:0` is a file and a line in the list, and takes the way that every device takes: listed, named, resolved, opened,
/// measured.
#[test]
fn a_second_backend_takes_the_ordinary_way() {
    let devices = device::enumerate();
    assert_eq!(device::full_name("test").as_deref(), Ok("test:0"));
    let found = device::resolve("test:0", &devices).unwrap();
    assert_eq!((device::traits(found).kind, device::traits(found).own_clock), (DeviceKind::Card, true));
    assert!(device::check_precision(found, Precision::F32).is_ok());
    assert!(device::check_precision(found, Precision::Bf16).unwrap_err().to_string().contains("test:0 has no bf16"));
    assert_eq!(device::memory_limit("test:0", Some(1 << 30)), None);
    assert_eq!(device::memory_limit("cpu", Some(1 << 30)), Some(1 << 30));

    let model = model::find("squeezenet1.1").unwrap();
    let config = |device: &str| {
        let (network, device) = (model.name.clone(), device.to_owned());
        Config { network, batch: 2, precision: Precision::F32, device }
    };
    let own = config("test:0");
    let built = Built::new(&model, &own, true).unwrap();
    let inputs = built.inputs(own.batch).unwrap();
    assert!(
        matches!(inputs[0], Input::Device(_)),
        "on the device, and not in the host's memory as the kernels want it"
    );
    let timing = built.batch(&inputs[0], true).unwrap();
    assert!(timing.device.is_some_and(|device| device <= timing.wall), "{timing:?}");
    assert_eq!(built.batch(&inputs[0], false).unwrap().device, None, "its clock was not asked");
    let layers = layers::measure(&built, (1, &own), &inputs, || false).unwrap().unwrap();
    assert_eq!(layers.clock, LayerClock::Device);
    assert!(layers.sum_ns > 0 && layers.sum_ns < 2 * layers.whole_ns, "{layers:?}");
    let Some(Body::Peak { flops, how, .. }) = peak::flops(&**built.device(), &own) else { panic!("it has a peak") };
    assert_eq!((flops, how.as_str()), (1e9, "made up"));
    assert_eq!(peak::bandwidth(&**built.device(), &own), None);

    // What it computes is what the processor's own kernels compute.
    let kernels = Built::new(&model, &config("cpu"), true).unwrap();
    let theirs = kernels.outputs(&kernels.inputs(2).unwrap()[0]).unwrap();
    let ours = built.outputs(&inputs[0]).unwrap();
    let largest = theirs.iter().fold(0.0_f64, |most, value| most.max(value.abs()));
    assert!(ours.iter().zip(&theirs).all(|(a, b)| (a - b).abs() < 1e-4 * largest));
    assert_eq!(kernels.batch(&kernels.inputs(2).unwrap()[0], true).unwrap().device, None, "the processor has no clock");
}
