//! The origin of a record: what was measured, where, and by which versions.

use crate::{
    event::{Config, Header, Precision, Weights},
    session::State,
};
use serde::Serialize;

/// What was measured, where, and by which versions.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Origin {
    /// Registry id of the network.
    pub network: String,
    /// Images in one batch.
    pub batch: u32,
    /// Arithmetic.
    pub precision: Precision,
    /// Device name: `cpu`, `cuda:0`.
    pub device: String,
    /// What the device calls itself.
    pub device_title: Option<String>,
    /// Weights of the network: `seeded 2016`, or a file and the first eight digits of its SHA-256; null before they are
    /// loaded.
    pub weights: Option<String>,
    /// Whether batch norms were folded into the layers before them.
    pub folded: bool,
    /// Host name.
    pub host: Option<String>,
    /// Operating system and kernel.
    pub os: Option<String>,
    /// Processor name.
    pub cpu: Option<String>,
    /// Version of wattscope.
    pub wattscope: String,
    /// Version of Burn.
    pub burn: Option<String>,
    /// Driver version of the card.
    pub driver: Option<String>,
    /// What this program could use less of than the device has, and what said so.
    pub limits: Vec<String>,
    /// Whether the device could have replayed a captured graph; otherwise there is nothing to say about graphs.
    #[serde(skip)]
    pub graphs: bool,
}

impl Origin {
    /// The origin of a configuration of a stream.
    pub fn of(state: &State, config: &Config, weights: Option<&Weights>) -> Self {
        let header = state.header.as_ref();
        let info = state.devices.iter().find(|d| d.name == config.device);
        let said = |of: fn(&Header) -> &String| header.map(of).filter(|text| !text.is_empty()).cloned();
        Self {
            network: config.network.clone(),
            batch: config.batch,
            precision: config.precision,
            device: config.device.clone(),
            device_title: info.map(|d| d.title.clone()),
            weights: weights.map(ToString::to_string),
            folded: header.is_some_and(|h| h.folded),
            host: said(|h| &h.host),
            os: said(|h| &h.os),
            cpu: said(|h| &h.cpu),
            wattscope: env!("CARGO_PKG_VERSION").to_owned(),
            burn: said(|h| &h.burn),
            driver: state.cards.get(&config.device).and_then(|card| card.driver.clone()),
            limits: info.map(|d| d.limits.clone()).unwrap_or_default(),
            graphs: state.traits(&config.device).graphs,
        }
    }
}
