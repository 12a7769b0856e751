//! The peaks that FLOP utilisation and the layers are measured against: measured on the device, never copied from a data
//! sheet.

use crate::{
    backend::interface::{Device, Peak},
    event::{Body, Config},
};

/// Measures the peak of a device in the precision of a configuration; none where nothing could be measured.
pub fn flops(device: &dyn Device, config: &Config) -> Option<Body> {
    let Peak { per_second: flops, how } = device.peak_flops(config.precision).filter(means_something)?;
    Some(Body::Peak { device: config.device.clone(), precision: config.precision, flops, how })
}

/// Measures how fast a device moves memory; none where that could not be measured.
pub fn bandwidth(device: &dyn Device, config: &Config) -> Option<Body> {
    let Peak { per_second: bytes_per_s, how } = device.peak_bandwidth().filter(means_something)?;
    Some(Body::Bandwidth { device: config.device.clone(), bytes_per_s, how })
}

fn means_something(peak: &Peak) -> bool {
    peak.per_second.is_finite() && peak.per_second > 0.0
}
