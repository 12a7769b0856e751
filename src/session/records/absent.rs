//! The reasons why figures are absent.

use super::figures::{Figures, Latency};
use crate::{
    analysis::stats::TOO_FEW,
    event::{DeviceKind, OthersLoad, Quantity},
    session::{RunResult, State},
};
use std::collections::BTreeMap;

/// The reason of each null, by the name of its figure.
pub fn reasons(figures: &Figures, state: &State, result: &RunResult) -> BTreeMap<&'static str, String> {
    let device = result.config.device.as_str();
    let sensor = |q: Quantity, what: &str| match state.sensor(device, q) {
        None => format!("no {what} sensor for {device}"),
        Some((_, s)) => {
            s.info.absent.clone().unwrap_or_else(|| format!("{}: no reading since power settled", s.info.label))
        }
    };
    let peak = || match state.networks.contains_key(&result.config.network) {
        true => format!("no peak was measured on {device} in {}", result.config.precision),
        false => "the network's cost is not known".to_owned(),
    };
    let idle = || "no idle power was read before the engine started".to_owned();
    let mut absent = BTreeMap::new();
    let mut note = |name, missing: bool, reason: &dyn Fn() -> String| {
        if missing {
            absent.insert(name, reason());
        }
    };
    note("checked", state.checked(&result.config).is_none(), &|| match &state.checks {
        Some(_) => format!("not checked: wattscope check {}", result.config.network),
        None => "the stream does not tell what was checked".to_owned(),
    });
    let without = |latency: Option<&Latency>| latency.is_some_and(|latency| latency.p50_low.is_none());
    note("latency_ms.p50_low", without(Some(&figures.latency_ms)), &|| TOO_FEW.to_owned());
    note("latency_ms.p50_high", without(Some(&figures.latency_ms)), &|| TOO_FEW.to_owned());
    note("device_ms.p50_low", without(figures.device_ms.as_ref()), &|| TOO_FEW.to_owned());
    note("device_ms.p50_high", without(figures.device_ms.as_ref()), &|| TOO_FEW.to_owned());
    let traits = state.traits(device);
    note("device_ms", figures.device_ms.is_none(), &|| match (traits.own_clock, traits.kind) {
        (true, _) => format!("no time by {device}'s own clock was reported"),
        (false, DeviceKind::Processor) => "the processor has no clock but the wall's".to_owned(),
        (false, DeviceKind::Card) => format!("{device} has no clock but the wall's"),
    });
    note("graph", figures.graph.is_none(), &|| "the recording does not tell".to_owned());
    note("utilisation_percent", figures.utilisation_percent.is_none(), &|| {
        sensor(Quantity::Utilisation, "utilisation")
    });
    note("others_percent", figures.others_percent.is_none(), &|| match traits.others {
        OthersLoad::ProcessorTime => sensor(Quantity::EngineUtilisation, "processor time"),
        OthersLoad::Processes => "a card's driver names its processes instead: neighbours".to_owned(),
    });
    note("flop_utilisation_percent", figures.flop_utilisation_percent.is_none(), &peak);
    note("power_w", figures.power_w.is_none(), &|| figures.power_note.clone());
    note("power_deviation_w", figures.power_deviation_w.is_none(), &|| match figures.power_w {
        Some(_) => "a single reading has no deviation".to_owned(),
        None => figures.power_note.clone(),
    });
    note("power_net_w", figures.power_net_w.is_none(), &|| {
        if figures.power_w.is_none() { figures.power_note.clone() } else { idle() }
    });
    note("joules_per_image", figures.joules_per_image.is_none(), &|| figures.power_note.clone());
    note("throttled_share", figures.throttled_share.is_none(), &|| "no instant power was read to count by".to_owned());
    note("compute_clock_mhz", figures.compute_clock_mhz.is_none(), &|| sensor(Quantity::ComputeClock, "clock"));
    note("memory_clock_mhz", figures.memory_clock_mhz.is_none(), &|| sensor(Quantity::MemoryClock, "memory clock"));
    note("temperature_c", figures.temperature_c.is_none(), &|| sensor(Quantity::Temperature, "temperature"));
    absent
}
