//! The comparison of A with B: A is a configuration that the user pinned, B the one that runs.

use super::{
    theme::{Role, Theme},
    widgets::{gauge::Reference, pane::Part},
};
use crate::{
    analysis::{
        compare::{Better, Difference, Estimate, Judgement},
        distribution::Z95,
    },
    event::{Config, RunId},
    format,
    session::{RunResult, run::Power},
};

/// Least relative error of a median: the histogram behind it has three significant digits.
pub const HISTOGRAM_ERROR: f64 = 0.001;

/// Relative gain error of a board's power sensor. It cancels out on one card, but not between two (arXiv 2312.02741).
const SENSOR_GAIN: f64 = 0.05;

/// A pinned configuration: A.
#[derive(Clone, Debug, PartialEq)]
pub struct Pin {
    /// Its result when it was pinned.
    pub result: RunResult,
    /// Printed name of its network.
    pub title: String,
    /// The name of its station, as seen from another one.
    pub elsewhere: Option<String>,
}

/// A pinned configuration and its station: as seen from that station, and from the others.
#[derive(Clone, Debug, PartialEq)]
pub struct PinnedStation {
    /// The number of its station.
    pub on: usize,
    here: Pin,
    elsewhere: Pin,
}

impl PinnedStation {
    /// Pins a configuration of station `on`, whose name is `station`.
    pub fn new(pin: Pin, on: usize, station: String) -> Self {
        Self { on, elsewhere: Pin { elsewhere: Some(station), ..pin.clone() }, here: pin }
    }

    /// As seen from a station.
    pub const fn seen_from(&self, on: usize) -> &Pin {
        if on == self.on { &self.here } else { &self.elsewhere }
    }

    /// The configuration.
    pub const fn config(&self) -> &Config {
        &self.here.result.config
    }
}

/// A quantity that is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compared {
    /// Median latency of a batch, ms.
    Latency,
    /// Images/s.
    Throughput,
    /// Utilisation of the device, %.
    Utilisation,
    /// Gross power, W.
    Power,
    /// Energy per image, J.
    Energy,
}

/// Half of the 95 % interval of a result's median, relative to it; none of too few batches.
pub fn relative_error(result: &RunResult) -> Option<f64> {
    result.latency_ms.relative_confidence().map(|error| error.max(HISTOGRAM_ERROR))
}

/// Relative error to which the numbers of a result are rounded: its own, or of too few batches one that leaves three digits.
pub fn rounding(result: &RunResult) -> f64 {
    relative_error(result).unwrap_or(0.01)
}

impl Compared {
    /// The value of a result and its error; none where the result lacks the quantity. `elsewhere`: A and B are of different
    /// devices.
    fn of(self, result: &RunResult, elsewhere: bool) -> Option<Estimate> {
        // No difference is larger than an error that is not known.
        let relative = relative_error(result).unwrap_or(f64::INFINITY);
        let about = |value: f64, share: f64| Estimate { value, error: value * share };
        let power = result.power.as_ref().ok();
        let watts = |p: &Power| {
            let deviation = p.deviation_w.unwrap_or(f64::INFINITY);
            let sampled = Z95 * deviation / (p.readings.max(1) as f64).sqrt() / p.gross_w.max(f64::MIN_POSITIVE);
            if elsewhere { sampled.hypot(SENSOR_GAIN) } else { sampled }
        };
        Some(match self {
            Self::Latency => about(result.latency_ms.p50, relative),
            Self::Throughput => about(result.images_per_s, relative),
            // Drivers report whole per cents.
            Self::Utilisation => Estimate { value: result.utilisation?, error: 0.5 },
            Self::Power => about(power?.gross_w, watts(power?)),
            Self::Energy => about(power?.joules_per_image, watts(power?).hypot(relative)),
        })
    }

    /// Which direction is better. A larger batch takes longer, which is neither better nor worse.
    const fn better(self, same_batch: bool) -> Better {
        match self {
            Self::Latency if !same_batch => Better::Neither,
            Self::Latency | Self::Power | Self::Energy => Better::Less,
            Self::Throughput => Better::More,
            Self::Utilisation => Better::Neither,
        }
    }

    /// A value as printed.
    pub fn print(self, value: f64) -> String {
        match self {
            Self::Utilisation => format::percent(value),
            Self::Power => format::watts(value),
            _ => format::significant(value, 3),
        }
    }

    const fn unit(self) -> &'static str {
        match self {
            Self::Latency => " ms",
            Self::Throughput => "",
            Self::Utilisation => " %",
            Self::Power => " W",
            Self::Energy => " J",
        }
    }
}

impl Pin {
    /// `ResNet-50 · b32 · f16`, with the device where it is not `device`.
    pub fn name(&self, device: Option<&str>) -> String {
        let config = &self.result.config;
        let elsewhere = device.is_some_and(|d| d != config.device).then_some(&config.device);
        let elsewhere = self.elsewhere.as_ref().or(elsewhere);
        let device = elsewhere.map(|name| format!(" · {name}")).unwrap_or_default();
        format!("{} · b{} · {}{device}", self.title, config.batch, config.precision)
    }

    /// Whether a result is of A's own run, which is not compared with itself.
    pub fn is_of(&self, result: &RunResult) -> bool {
        self.elsewhere.is_none() && self.is_of_run(result.run, &result.config)
    }

    /// Whether a run of its own station is the one that was pinned.
    pub fn is_of_run(&self, run: RunId, config: &Config) -> bool {
        self.result.run == run && self.result.config == *config
    }

    /// A's value of a quantity; none where it has none.
    pub fn value(&self, quantity: Compared) -> Option<f64> {
        quantity.of(&self.result, false).map(|e| e.value).filter(|v| v.is_finite())
    }

    /// The difference of B from A; none where one of them lacks the quantity.
    pub fn difference(&self, quantity: Compared, b: &RunResult) -> Option<Difference> {
        let (mine, theirs) = (&self.result.config, &b.config);
        let elsewhere = self.elsewhere.is_some() || mine.device != theirs.device;
        let (a, b) = (quantity.of(&self.result, elsewhere)?, quantity.of(b, elsewhere)?);
        Difference::between(a, b, quantity.better(mine.batch == theirs.batch))
    }

    /// What a gauge shows of A beside B; `b` is none until B is steady. `top`: the end of the quantity's scale, where it has
    /// one.
    pub fn reference(
        &self,
        quantity: Compared,
        b: Option<&RunResult>,
        top: Option<f64>,
        theme: Theme,
    ) -> Option<Reference> {
        let a = self.value(quantity)?;
        let mut parts = vec![Part::new(2, Role::Dim, format!("A {}{}", quantity.print(a), quantity.unit()))];
        let difference = b.and_then(|b| self.difference(quantity, b));
        parts.extend(difference.map(|d| difference_parts(d, 0, theme)).into_iter().flatten());
        let now = b.and_then(|b| quantity.of(b, false)).map(|e| e.value);
        Some(Reference { a, now, top, parts })
    }
}

/// A difference as text: its size, and whether B is better or worse; `≈` where it lies within the errors. `drop`: how soon it
/// is left out where there is no room.
pub fn difference_parts(difference: Difference, drop: u8, theme: Theme) -> Vec<Part> {
    let number = format::signed_percent(difference.share, difference.error);
    let (role, glyph, word) = match difference.judgement {
        Judgement::Same => return vec![Part::new(drop, Role::Strong, format!("{} A", theme.pick("≈", "same as")))],
        Judgement::Better => (Role::Steady, theme.pick("✓", "(good)"), "better"),
        Judgement::Worse => (Role::Bad, theme.pick("✗", "(bad)"), "worse"),
        Judgement::Other => return vec![Part::new(drop, Role::Strong, format!("{number} %"))],
    };
    let word = if theme.ascii() { "" } else { word };
    vec![
        Part::new(drop, role, format!("{number} % {glyph}")),
        Part::new(3, role, if word.is_empty() { String::new() } else { format!(" {word}") }).joined(),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::demo;

    fn result(ms: f64, watts: f64, device: &str) -> RunResult {
        let mut script = demo::live();
        let config = demo::config("resnet50", 32, crate::event::Precision::F16, device);
        let profile = demo::Profile { ms, watts, percent: 96.0 };
        script.measure(&config, profile, 8.0);
        let mut state = crate::session::State::default();
        script.events.iter().for_each(|e| state.apply(e));
        state.current_result().unwrap()
    }

    #[test]
    fn what_lies_within_the_errors_is_no_difference_and_a_card_is_not_another() {
        let a = result(4.21, 600.0, demo::GPU);
        let pin = Pin { result: a.clone(), title: "ResNet-50".into(), elsewhere: None };
        let judged = |q, b: &RunResult| pin.difference(q, b).unwrap().judgement;
        assert_eq!(judged(Compared::Latency, &result(4.212, 620.0, demo::GPU)), Judgement::Same);
        let slower = result(5.0, 620.0, demo::GPU);
        assert_eq!(judged(Compared::Latency, &slower), Judgement::Worse);
        assert_eq!(judged(Compared::Throughput, &slower), Judgement::Worse);
        assert_eq!(judged(Compared::Power, &slower), Judgement::Worse, "3 % on one card");
        let mut larger = slower.clone();
        larger.config.batch = 64;
        assert_eq!(judged(Compared::Latency, &larger), Judgement::Other, "a larger batch takes longer");
        let mut elsewhere = slower;
        elsewhere.config.device = "cuda:1".into();
        assert_eq!(judged(Compared::Power, &elsewhere), Judgement::Same, "3 % between two sensors");
        assert!(pin.is_of(&a) && !pin.is_of(&elsewhere));
        assert_eq!(pin.name(Some("cuda:1")), "ResNet-50 · b32 · f16 · cuda:0");
    }
}
