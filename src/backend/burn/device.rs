//! A device of Burn's.

use super::{cubecl, executor::Executor, runner::BurnRunner};
use crate::{
    backend::{
        error::{BuildError, RunError},
        interface::{AllocatorMemory, ClockReading, Device, LaunchedKernel, MakeNetwork, Peak, Runner},
    },
    event::{DeviceTraits, Precision},
    model::Model,
};
use burn::tensor::{self, ProfileOptions, TimingMethod};
use std::{any::Any, marker::PhantomData, sync::Arc};

/// A device on which models run as Burn runs them, by its backend `B`.
#[derive(Debug)]
pub struct BurnDevice<B> {
    device: tensor::Device,
    traits: &'static DeviceTraits,
    backend: PhantomData<fn() -> B>,
}

impl<B: Executor> BurnDevice<B> {
    /// A device of the backend `B`.
    pub const fn new(device: tensor::Device, traits: &'static DeviceTraits) -> Self {
        Self { device, traits, backend: PhantomData }
    }
}

impl<B: Executor> Device for BurnDevice<B> {
    fn traits(&self) -> &'static DeviceTraits {
        self.traits
    }

    fn tensors(&self) -> &tensor::Device {
        &self.device
    }

    fn load(
        self: Arc<Self>,
        model: &Model,
        precision: Precision,
        network: &MakeNetwork<'_>,
    ) -> Result<Box<dyn Runner>, BuildError> {
        Ok(Box::new(BurnRunner::<B>::new(self, model, precision, network()?)))
    }

    fn watch_kernels(&self, launched: LaunchedKernel) -> Option<Box<dyn Any>> {
        self.traits.compiles.then(|| cubecl::watch_kernels(launched))
    }

    fn sync(&self) -> Result<(), RunError> {
        Ok(self.device.sync()?)
    }

    fn flush(&self) -> Result<(), RunError> {
        Ok(self.device.flush()?)
    }

    fn clocked(&self, work: &mut (dyn FnMut() + Send)) -> Result<ClockReading, RunError> {
        if !self.traits.own_clock {
            work();
            return Ok(ClockReading::NONE);
        }
        // Fusion holds the last operations back: without the flush they would run after the window.
        let ((), profile) = self.device.profile_with(ProfileOptions::default().flush(), work)?;
        if profile.timing_method() != TimingMethod::Device {
            return Ok(ClockReading::NONE);
        }
        Ok(ClockReading::new(|| pollster::block_on(profile.resolve()).map(|ticks| ticks.duration())))
    }

    fn memory(&self) -> Option<AllocatorMemory> {
        let pool = self.device.memory_pool_usage()?;
        Some(AllocatorMemory { in_use: pool.bytes_in_use, reserved: pool.bytes_reserved })
    }

    fn free_unused(&self) {
        self.device.memory_cleanup();
    }

    fn peak_flops(&self, precision: Precision) -> Option<Peak> {
        cubecl::peak_flops(&self.device, precision).or_else(|| cubecl::peak_of_products(&self.device, precision))
    }

    fn peak_bandwidth(&self) -> Option<Peak> {
        cubecl::peak_bandwidth(&self.device)
    }
}
