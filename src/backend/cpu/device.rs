//! The processor as a device.

use super::{Compiled, peak, runner::KernelRunner};
use crate::{
    backend::{
        burn::BurnDevice,
        error::{BuildError, DeviceError, RunError},
        interface::{AllocatorMemory, Backend, ClockReading, Device, MakeNetwork, Peak, Runner},
    },
    event::{DeviceInfo, DeviceKind, DeviceMemory, DeviceTraits, OthersLoad, Precision},
    host,
    model::Model,
};
use burn::tensor;
use burn_dispatch::backends::Flex;
use std::{borrow::Cow, sync::Arc};

/// The only name.
const NAME: &str = "cpu";

static TRAITS: DeviceTraits = DeviceTraits {
    kind: DeviceKind::Processor,
    own_clock: false,
    graphs: false,
    compiles: false,
    memory: DeviceMemory::Host,
    others: OthersLoad::ProcessorTime,
    utilisation_of: Cow::Borrowed("CPU"),
};

/// The processor of this host, by our own kernels, or by Burn's where those do not know what a model does.
#[derive(Debug)]
pub struct Cpu;

impl Backend for Cpu {
    fn devices(&self) -> Vec<DeviceInfo> {
        vec![DeviceInfo {
            name: NAME.to_owned(),
            title: host::processor(),
            precisions: vec![Precision::F32, Precision::F16, Precision::Bf16],
            memory_bytes: host::memory().map(|m| m.total),
            traits: Some(TRAITS.clone()),
            limits: host::limits().in_words(),
            ..DeviceInfo::default()
        }]
    }

    fn full_name(&self, name: &str) -> Option<String> {
        (name == NAME).then(|| name.to_owned())
    }

    fn names(&self) -> &'static str {
        NAME
    }

    fn traits(&self) -> &'static DeviceTraits {
        &TRAITS
    }

    fn sensors(&self) -> &'static [&'static str] {
        &["rapl", "hwmon"]
    }

    fn memory_limit(&self, asked: Option<u64>) -> Option<u64> {
        asked.or_else(|| host::memory().map(|memory| memory.available / 10 * 9))
    }

    fn open(&self, _name: &str) -> Result<Arc<dyn Device>, DeviceError> {
        Ok(Arc::new(Processor { burn: Arc::new(BurnDevice::new(tensor::Device::flex(), &TRAITS)) }))
    }
}

/// The processor with its two ways to run a model.
struct Processor {
    burn: Arc<BurnDevice<Flex>>,
}

impl Device for Processor {
    fn traits(&self) -> &'static DeviceTraits {
        &TRAITS
    }

    fn tensors(&self) -> &tensor::Device {
        self.burn.tensors()
    }

    fn load(
        self: Arc<Self>,
        model: &Model,
        precision: Precision,
        network: &MakeNetwork<'_>,
    ) -> Result<Box<dyn Runner>, BuildError> {
        // The kernels take the parameters: for Burn the network is made once more.
        match Compiled::new(network()?, &model.placeholders(1), precision) {
            Ok(compiled) => Ok(Box::new(KernelRunner::new(compiled, self.tensors().clone()))),
            Err(reason) => {
                tracing::warn!(%reason, "the network runs on Burn's CPU backend");
                self.burn.clone().load(model, precision, network)
            }
        }
    }

    fn sync(&self) -> Result<(), RunError> {
        self.burn.sync()
    }

    fn flush(&self) -> Result<(), RunError> {
        self.burn.flush()
    }

    fn clocked(&self, work: &mut (dyn FnMut() + Send)) -> Result<ClockReading, RunError> {
        self.burn.clocked(work)
    }

    fn memory(&self) -> Option<AllocatorMemory> {
        self.burn.memory()
    }

    fn free_unused(&self) {
        self.burn.free_unused();
    }

    fn peak_flops(&self, precision: Precision) -> Option<Peak> {
        Some(peak::flops(precision))
    }

    fn peak_bandwidth(&self) -> Option<Peak> {
        peak::bandwidth()
    }
}
