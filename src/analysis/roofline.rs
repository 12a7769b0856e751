//! The roofline model (Williams, Waterman and Patterson, CACM 52 (4), 2009): the throughput of a layer is bounded by the peak
//! arithmetic throughput and by the memory bandwidth. Which of the two is lower depends on its arithmetic intensity.
//!
//! Operations are those of convolutions, linear layers and matrix products, two per multiply-accumulate; bytes are the least
//! memory traffic. A layer whose data is still in a cache can therefore run above the memory's roof.

use crate::event::LayerTime;

/// The peaks of a device: operations/s and bytes/s.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Roofs {
    /// Operations/s, two per multiply-add.
    pub flops: f64,
    /// Bytes/s to and from memory.
    pub bytes_per_s: f64,
}

/// What limits a layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Roof {
    /// Peak arithmetic throughput.
    Compute,
    /// Memory bandwidth.
    Memory,
}

impl Roof {
    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Compute => "compute",
            Self::Memory => "memory",
        }
    }
}

/// The roof over a layer, and how close the layer gets to it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Under {
    /// The lower of the two roofs at its intensity.
    pub roof: Roof,
    /// Its throughput over that roof.
    pub attained: f64,
}

impl Under {
    /// Whether it exceeds the memory bandwidth, which is possible only from a cache.
    pub fn cached(&self) -> bool {
        self.roof == Roof::Memory && self.attained > 1.0
    }
}

/// What a layer achieves, together with the layers that are fused into it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Achieved {
    /// Its share of the time of all layers, 0 to 1.
    pub share: f64,
    /// Operations/s; 0 for a layer without multiply-accumulates.
    pub flops: f64,
    /// Least memory traffic over its time, bytes/s.
    pub bytes_per_s: f64,
    /// Arithmetic intensity, operations/byte.
    pub intensity: f64,
    /// The roof over it; none where the peaks are not known.
    pub under: Option<Under>,
}

impl Roofs {
    /// Both roofs; none where one of them is not a positive number.
    pub fn new(flops: f64, bytes_per_s: f64) -> Option<Self> {
        let valid = |v: f64| v.is_finite() && v > 0.0;
        (valid(flops) && valid(bytes_per_s)).then_some(Self { flops, bytes_per_s })
    }

    /// The intensity at which both roofs meet, operations/byte.
    pub fn ridge(&self) -> f64 {
        self.flops / self.bytes_per_s
    }

    /// The lower roof at an intensity, operations/s.
    pub fn attainable(&self, intensity: f64) -> f64 {
        self.flops.min(intensity * self.bytes_per_s)
    }

    fn over(&self, intensity: f64, flops: f64, bytes_per_s: f64) -> Under {
        if intensity >= self.ridge() {
            Under { roof: Roof::Compute, attained: flops / self.flops }
        } else {
            Under { roof: Roof::Memory, attained: bytes_per_s / self.bytes_per_s }
        }
    }
}

/// What each layer achieves; none for layers that are fused into others, or take no time.
pub fn achieved(layers: &[LayerTime], roofs: Option<Roofs>) -> Vec<Option<Achieved>> {
    let sum: u64 = layers.iter().fold(0, |sum, layer| sum.saturating_add(layer.time_ns));
    let mut macs: Vec<f64> = layers.iter().map(|layer| layer.macs as f64).collect();
    for (i, layer) in layers.iter().enumerate() {
        if let Some(host) = layer.within.filter(|host| *host < layers.len() && *host != i) {
            macs[host] += macs[i];
        }
    }
    let one = |(layer, macs): (&LayerTime, f64)| {
        if layer.within.is_some() || layer.time_ns == 0 {
            return None;
        }
        let (seconds, bytes) = (layer.time_ns as f64 / 1e9, layer.bytes as f64);
        let (flops, bytes_per_s) = (2.0 * macs / seconds, bytes / seconds);
        let intensity = if bytes > 0.0 { 2.0 * macs / bytes } else { 0.0 };
        let under = roofs.filter(|_| bytes > 0.0).map(|roofs| roofs.over(intensity, flops, bytes_per_s));
        Some(Achieved { share: layer.time_ns as f64 / sum as f64, flops, bytes_per_s, intensity, under })
    };
    layers.iter().zip(macs).map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layer(macs: u64, bytes: u64, time_ns: u64, within: Option<usize>) -> LayerTime {
        LayerTime { macs, bytes, time_ns, within, ..LayerTime::default() }
    }

    #[test]
    fn the_roofs_meet_at_the_ridge() {
        let roofs = Roofs::new(100e9, 20e9).unwrap();
        assert_eq!(roofs.ridge(), 5.0);
        assert_eq!([1.0, 5.0, 50.0].map(|i| roofs.attainable(i)), [20e9, 100e9, 100e9]);
        assert_eq!([Roofs::new(0.0, 1.0), Roofs::new(1.0, f64::NAN), Roofs::new(f64::INFINITY, 1.0)], [None; 3]);
    }

    #[test]
    fn a_layer_is_under_the_lower_roof_and_counts_what_is_within_it() {
        let roofs = Roofs::new(100e9, 20e9);
        let layers = [
            layer(1_000_000, 1_000, 40_000, None),      // 2000 operations a byte
            layer(500_000, 0, 0, Some(0)),              // computed with the first
            layer(1_000_000, 2_000_000, 200_000, None), // one operation a byte
            layer(0, 1_000, 10_000, None),              // none at all
            layer(0, 0, 0, None),                       // takes no time
            layer(0, 1_000_000, 25_000, None),          // faster than memory
        ];
        let all = achieved(&layers, roofs);
        let first = all[0].unwrap();
        assert!((first.flops - 75e9).abs() < 1.0 && first.intensity == 3000.0, "{first:?}");
        assert_eq!(first.under, Some(Under { roof: Roof::Compute, attained: 0.75 }));
        assert_eq!((all[1], all[4]), (None, None));
        assert_eq!(all[2].unwrap().under, Some(Under { roof: Roof::Memory, attained: 0.5 }));
        let (idle, fast) = (all[3].unwrap(), all[5].unwrap().under.unwrap());
        assert_eq!((idle.flops, idle.intensity, idle.under.unwrap().roof), (0.0, 0.0, Roof::Memory));
        assert!(fast.cached() && (fast.attained - 2.0).abs() < 1e-9, "{fast:?}");
        let shares: f64 = all.iter().flatten().map(|a| a.share).sum();
        assert!((shares - 1.0).abs() < 1e-12);
        assert!(achieved(&layers, None).iter().flatten().all(|a| a.under.is_none()));
    }

    #[test]
    fn what_a_stream_makes_up_is_survived() {
        let odd = [layer(u64::MAX, u64::MAX, u64::MAX, Some(7)), layer(1, 0, u64::MAX, None), layer(1, 1, 1, Some(1))];
        assert_eq!(achieved(&odd, Roofs::new(1.0, 1.0)).len(), 3);
    }
}
