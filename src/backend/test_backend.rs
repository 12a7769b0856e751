//! A second kind of device, for tests: the processor by Burn's own operations under the name `test:0`, with a clock of its own.
//! It is this file and a line in the list of backends: that is all that a backend takes.

use super::{
    burn::{BurnDevice, BurnRunner},
    error::{BuildError, DeviceError, RunError},
    interface::{AllocatorMemory, Backend, ClockReading, Device, MakeNetwork, Peak, Runner},
};
use crate::{
    event::{DeviceInfo, DeviceKind, DeviceMemory, DeviceTraits, OthersLoad, Precision},
    model::Model,
};
use burn::tensor;
use burn_dispatch::backends::Flex;
use std::{borrow::Cow, sync::Arc, time::Instant};

const NAME: &str = "test:0";

static TRAITS: DeviceTraits = DeviceTraits {
    kind: DeviceKind::Card,
    own_clock: true,
    graphs: true,
    compiles: false,
    memory: DeviceMemory::Own,
    others: OthersLoad::Processes,
    utilisation_of: Cow::Borrowed("test"),
};

/// The backend.
pub struct TestBackend;

impl Backend for TestBackend {
    fn devices(&self) -> Vec<DeviceInfo> {
        vec![DeviceInfo {
            name: NAME.to_owned(),
            title: "A device for tests".to_owned(),
            precisions: vec![Precision::F32, Precision::F16],
            traits: Some(TRAITS.clone()),
            ..DeviceInfo::default()
        }]
    }

    fn full_name(&self, name: &str) -> Option<String> {
        ["test", NAME].contains(&name).then(|| NAME.to_owned())
    }

    fn names(&self) -> &'static str {
        ""
    }

    fn traits(&self) -> &'static DeviceTraits {
        &TRAITS
    }

    fn sensors(&self) -> &'static [&'static str] {
        &[]
    }

    fn memory_limit(&self, _asked: Option<u64>) -> Option<u64> {
        None
    }

    fn open(&self, _name: &str) -> Result<Arc<dyn Device>, DeviceError> {
        Ok(Arc::new(TestDevice(BurnDevice::new(tensor::Device::flex(), &TRAITS))))
    }
}

struct TestDevice(BurnDevice<Flex>);

impl Device for TestDevice {
    fn traits(&self) -> &'static DeviceTraits {
        &TRAITS
    }

    fn tensors(&self) -> &tensor::Device {
        self.0.tensors()
    }

    fn load(
        self: Arc<Self>,
        model: &Model,
        precision: Precision,
        network: &MakeNetwork<'_>,
    ) -> Result<Box<dyn Runner>, BuildError> {
        Ok(Box::new(BurnRunner::<Flex>::new(self, model, precision, network()?)))
    }

    fn sync(&self) -> Result<(), RunError> {
        self.0.sync()
    }

    fn flush(&self) -> Result<(), RunError> {
        self.0.flush()
    }

    fn clocked(&self, work: &mut (dyn FnMut() + Send)) -> Result<ClockReading, RunError> {
        let start = Instant::now();
        work();
        let time = start.elapsed();
        Ok(ClockReading::new(move || Some(time)))
    }

    fn memory(&self) -> Option<AllocatorMemory> {
        Some(AllocatorMemory { in_use: 1, reserved: 2 })
    }

    fn free_unused(&self) {}

    fn peak_flops(&self, precision: Precision) -> Option<Peak> {
        (precision == Precision::F32).then(|| Peak { per_second: 1e9, how: "made up".to_owned() })
    }

    fn peak_bandwidth(&self) -> Option<Peak> {
        None
    }
}
