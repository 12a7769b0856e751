//! The layers of configurations, and the roofs of the roofline above them.

use super::State;
use crate::{
    analysis::roofline::Roofs,
    event::{Body, Config, Layers, Nanos},
};
use std::sync::Arc;

/// Configurations whose layers are kept.
pub(super) const KEPT_LAYERS: usize = 100;

impl State {
    /// Folds an event of a measurement of layers.
    pub(super) fn layers_event(&mut self, t: Nanos, body: &Body) {
        let (run, found) = match body {
            Body::LayersBegun { run } => (*run, None),
            Body::Layers(layers) => (layers.run, Some((layers.config.clone(), Ok(Arc::new(layers.clone()))))),
            Body::NoLayers { run, config, reason } => (*run, Some((config.clone(), Err(reason.clone())))),
            _ => return,
        };
        if let Some(run) = self.run.as_mut().filter(|own| own.id == run) {
            run.step_aside(t, found.is_none());
        }
        if let Some(found) = found {
            self.layers.retain(|(config, _)| *config != found.0);
            self.layers.push_back(found);
            self.layers.drain(..self.layers.len().saturating_sub(KEPT_LAYERS));
        }
    }

    /// The layers of a configuration, or why they could not be measured; none if they were not asked for.
    pub fn layers(&self, config: &Config) -> Option<Result<&Arc<Layers>, &str>> {
        let found = self.layers.iter().find(|(of, _)| of == config)?;
        Some(found.1.as_ref().map_err(String::as_str))
    }

    /// The roofs of the roofline of a configuration, where both were measured.
    pub fn roofs(&self, config: &Config) -> Option<Roofs> {
        let (flops, _) = self.peaks.get(&(config.device.clone(), config.precision))?;
        let (bytes_per_s, _) = self.bandwidths.get(&config.device)?;
        Roofs::new(*flops, *bytes_per_s)
    }
}
