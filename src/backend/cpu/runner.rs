//! A model that our own kernels run.

use super::Compiled;
use crate::{
    backend::{
        error::{LayersError, RunError},
        interface::{Input, LayerPass, LayerRunner, Replay, Runner},
        outputs,
    },
    event::{LayerClock, LayerTime},
    model::Value,
};
use burn::tensor::{Device, TensorData};
use std::{
    sync::Arc,
    time::{Duration, Instant},
};

/// A compiled model. Outputs are tensors of Burn's, as those of every other runner.
pub struct KernelRunner {
    compiled: Compiled,
    device: Device,
}

impl KernelRunner {
    /// Outputs are put on `device`.
    pub const fn new(compiled: Compiled, device: Device) -> Self {
        Self { compiled, device }
    }

    /// One vector a sample, as the tensor that they are.
    fn output(&self, values: Vec<f32>) -> Vec<Value> {
        let width = self.compiled.outputs().max(1);
        let samples = values.len() / width;
        vec![Value::from_data(TensorData::new(values, [samples, width]), &self.device)]
    }
}

impl Runner for KernelRunner {
    fn input(&self, mut values: Vec<Value>) -> Result<Input, RunError> {
        let value = values.pop().filter(|_| values.is_empty()).ok_or_else(RunError::other_input)?;
        Ok(Input::Host(Arc::new(value.into_data()?.try_into_vec().map_err(|_| RunError::other_input())?)))
    }

    fn forward(&self, input: &Input) -> Result<Vec<Value>, RunError> {
        Ok(self.output(self.compiled.forward(input.on_host()?)))
    }

    fn capture(&self, _input: &Input) -> Result<Box<dyn Replay>, String> {
        Err("graphs are not supported by kernels of the CPU".to_owned())
    }

    fn layers(&self, batch: u32) -> Result<Box<dyn LayerRunner + '_>, LayersError> {
        Ok(Box::new(KernelLayers { runner: self, batch: batch.into() }))
    }
}

/// The compiled plan, which notes when each of its steps is done.
struct KernelLayers<'a> {
    runner: &'a KernelRunner,
    batch: u64,
}

impl LayerRunner for KernelLayers<'_> {
    fn clock(&self) -> LayerClock {
        LayerClock::Wall
    }

    fn warm_up(&self) -> usize {
        1
    }

    fn layers(&self, width: u64) -> Vec<LayerTime> {
        let computed = self.runner.compiled.computed();
        let all = computed.layers.iter().zip(&computed.traffic).zip(&computed.within);
        // The plan is of one image, whatever the batch.
        let layer = |((facts, traffic), within): ((&_, &_), &Option<usize>)| LayerTime {
            within: *within,
            ..outputs::layer(facts, *traffic, self.batch, width)
        };
        all.map(layer).collect()
    }

    fn pass(&mut self, input: &Input) -> Result<LayerPass, LayersError> {
        let KernelRunner { compiled, device } = self.runner;
        let images = input.on_host()?;
        let sync = || device.sync().map_err(RunError::from);
        sync()?;
        let start = Instant::now();
        let (values, steps) = compiled.timed(images);
        let output = self.runner.output(values);
        let read = outputs::first(&output);
        sync()?;
        let wall = start.elapsed();
        read?;
        let computed = compiled.computed();
        let mut times = vec![Duration::ZERO; computed.layers.len()];
        for (layer, step) in computed.of_step.iter().zip(steps) {
            if let Some(time) = times.get_mut(*layer) {
                *time += step;
            }
        }
        Ok(LayerPass { wall, times, outputs: outputs::values(output)? })
    }
}
