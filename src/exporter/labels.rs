//! The labels of metrics.

use super::totals::Counts;
use crate::{
    event::{Config, Quantity},
    session::{State, state::SensorState},
};

/// Names and values of labels.
pub type Labels = Vec<(&'static str, String)>;

/// A station in a scrape.
pub struct Station<'a> {
    /// Its state.
    pub state: &'a State,
    /// Its counters.
    pub counts: &'a Counts,
    /// Whether there are other stations.
    pub several: bool,
}

impl Station<'_> {
    /// These labels, with the host before them.
    pub fn labels(&self, labels: Labels) -> Labels {
        let host = self.state.header.as_ref().map(|header| header.host.clone()).unwrap_or_default();
        [vec![("host", host)], labels].concat()
    }

    /// Labels of a metric of the whole station; its device tells it from other stations of the same host.
    pub fn own(&self, labels: Labels) -> Labels {
        let device = self.several.then(|| ("device", self.device()));
        self.labels(device.into_iter().chain(labels).collect())
    }

    fn device(&self) -> String {
        self.state.device().unwrap_or_default().to_owned()
    }

    /// Labels of a metric of a configuration.
    pub fn configured(&self, config: &Config, more: Labels) -> Labels {
        let labels = vec![
            ("device", config.device.clone()),
            ("network", config.network.clone()),
            ("batch", config.batch.to_string()),
            ("precision", config.precision.to_string()),
        ];
        self.labels([labels, more].concat())
    }

    /// Labels of a sensor.
    pub fn sensor(&self, sensor: &SensorState) -> Labels {
        let info = &sensor.info;
        let method = info.method.iter().map(|method| ("method", method.clone()));
        let engine = matches!(info.quantity, Quantity::EngineUtilisation | Quantity::EngineMemory);
        let device = if engine && self.several { self.device() } else { info.device.clone() };
        let labels = [("device", device), ("source", info.source.clone()), ("sensor", info.label.clone())];
        self.labels(labels.into_iter().chain(method).collect())
    }
}
