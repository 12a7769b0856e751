//! The four numbers of the live screen: latency, throughput, utilisation and power, each with its details.

use crate::{
    event::{DeviceKind, OthersLoad, Phase, Quantity},
    format,
    session::{RunResult, Series, run::Power, state::SensorState},
    ui::{
        pin::{Compared, difference_parts, rounding},
        theme::Role,
        view::View,
        widgets::{
            gauge::{Gauge, Number, Reference},
            pane::Part,
        },
    },
};

/// The four numbers.
pub fn gauges<'a>(view: &View<'a>, result: Option<&RunResult>) -> [Gauge<'a>; 4] {
    let mut gauges = [latency(view, result), throughput(view, result), utilisation(view, result), power(view, result)];
    if view.state.gone.is_some() {
        // The last readings are out of date.
        gauges.iter_mut().for_each(|gauge| (gauge.number, gauge.details) = (waits_for(view), Vec::new()));
    }
    gauges
}

/// What a gauge shows of the pinned configuration.
fn reference(view: &View<'_>, quantity: Compared, result: Option<&RunResult>, top: Option<f64>) -> Option<Reference> {
    view.against()?.reference(quantity, result, top, view.theme)
}

/// Why there is no number yet.
fn waits_for(view: &View<'_>) -> Number {
    if let Some(reason) = &view.state.gone {
        return Number::Waiting(reason.clone());
    }
    Number::Waiting(
        match view.state.run.as_ref().map(|r| r.phase) {
            Some(Phase::Building) => "building the network",
            Some(Phase::Tuning) if view.traits().is_some_and(|traits| traits.compiles) => {
                "first batch: compiling and tuning kernels"
            }
            Some(Phase::Tuning) => "first batch",
            Some(_) => "waiting for the first batches",
            None if view.state.link_is_lost() => "the link is lost",
            None => "nothing runs yet",
        }
        .to_owned(),
    )
}

/// The newest value of a series, for a run that is not steady yet.
fn newest(view: &View<'_>, series: &Series) -> Number {
    match series.last().filter(|_| view.state.run.is_some()) {
        Some((_, value)) => Number::Value(format::significant(value, 3), Role::Warn),
        None => waits_for(view),
    }
}

/// Details of a number of the warm-up.
fn warming_up() -> Vec<Vec<Part>> {
    vec![
        vec![Part::new(0, Role::Warn, "warming up"), Part::new(1, Role::Dim, "does not count")],
        vec![Part::new(0, Role::Dim, "newest batches")],
    ]
}

fn latency<'a>(view: &View<'a>, result: Option<&RunResult>) -> Gauge<'a> {
    let (number, details) = match result {
        Some(r) => {
            let (l, error) = (r.latency_ms, rounding(r));
            let ms = |v: f64| format::with_error(v, l.p50 * error);
            let interval = match l.relative_confidence() {
                Some(confidence) => vec![
                    Part::new(0, Role::Plain, format!("±{} %", format::error_percent(confidence))),
                    Part::new(2, Role::Dim, " at 95 %").joined(),
                ],
                None => vec![Part::new(0, Role::Dim, "± not known yet")],
            };
            let tail = [
                Part::new(1, Role::Plain, format!("  p99 {}", ms(l.p99))).joined(),
                Part::new(3, Role::Plain, " ms").joined(),
            ];
            let device = r.device_ms.map(|d| format!("device {} ms", ms(d.p50)));
            let details = vec![
                interval.into_iter().chain(tail).collect(),
                vec![
                    Part::new(0, Role::Plain, device.unwrap_or_else(|| "wall clock".to_owned())),
                    Part::new(1, Role::Dim, format!("n {}", format::grouped(r.batches))),
                ],
            ];
            (Number::Value(ms(l.p50), view.steady_role()), details)
        }
        None => (newest(view, &view.state.latency), warming_up()),
    };
    Gauge {
        title: "LATENCY",
        number,
        unit: ("ms / batch".into(), "ms".into()),
        details,
        trend: Some((&view.state.latency, None)),
        reference: reference(view, Compared::Latency, result, None),
    }
}

fn throughput<'a>(view: &View<'a>, result: Option<&RunResult>) -> Gauge<'a> {
    let (number, details) = match result {
        Some(r) => {
            let per_image =
                Part::new(1, Role::Plain, format!("{} ms/image", format::significant(1e3 / r.images_per_s, 3)));
            let details = match &r.power {
                Ok(p) => vec![
                    joules(view, r, p, per_image),
                    vec![Part::new(0, Role::Dim, format!("J: {}", p.energy_source))],
                ],
                Err(_) => vec![
                    vec![per_image],
                    vec![Part::new(0, Role::Dim, "no energy"), Part::new(1, Role::Dim, ": no power").joined()],
                ],
            };
            (
                Number::Value(format::with_error(r.images_per_s, r.images_per_s * rounding(r)), view.steady_role()),
                details,
            )
        }
        None => (newest(view, &view.state.throughput), warming_up()),
    };
    Gauge {
        title: "THROUGHPUT",
        number,
        unit: ("images/s".into(), "img/s".into()),
        details,
        trend: Some((&view.state.throughput, None)),
        reference: reference(view, Compared::Throughput, result, None),
    }
}

/// Energy per image, then its difference from the pinned configuration, or the time per image where there is none.
fn joules(view: &View<'_>, result: &RunResult, power: &Power, per_image: Part) -> Vec<Part> {
    let joules = format!("{} J/image", format::significant(power.joules_per_image, 3));
    let difference = view.against().and_then(|pin| pin.difference(Compared::Energy, result));
    let beside = difference.map_or_else(|| vec![per_image], |d| difference_parts(d, 1, view.theme));
    [vec![Part::new(0, Role::Plain, joules)], beside].concat()
}

fn utilisation<'a>(view: &View<'a>, result: Option<&RunResult>) -> Gauge<'a> {
    let device = view.device().unwrap_or_default();
    let traits = view.state.traits(device);
    let short = format!("% {}", traits.utilisation_of);
    let unit = match traits.kind {
        DeviceKind::Processor => ("% of all CPUs".into(), short.into()),
        DeviceKind::Card => (short.clone().into(), short.into()),
    };
    let reference = reference(view, Compared::Utilisation, result, Some(100.0));
    let mut gauge =
        Gauge { title: "UTILISATION", number: waits_for(view), unit, details: vec![], trend: None, reference };
    let Some((_, sensor)) = view.state.sensor(device, Quantity::Utilisation) else {
        if view.state.run.is_some() {
            gauge.number = Number::Absent(format!("no utilisation sensor for {device}"));
        }
        return gauge;
    };
    if let Some(reason) = &sensor.info.absent {
        gauge.number = Number::Absent(format!("no utilisation: {reason}"));
        return gauge;
    }
    let mean = result.and_then(|r| r.utilisation);
    let now = sensor.series.last().map(|(_, v)| v);
    gauge.trend = Some((&sensor.series, Some(100.0)));
    gauge.number = match (mean, now) {
        (Some(mean), _) => Number::Value(format::percent(mean), view.steady_role()),
        (None, Some(now)) => {
            Number::Value(format::percent(now), if view.state.run.is_some() { Role::Warn } else { Role::Plain })
        }
        (None, None) => Number::Waiting(format!("{}: no reading yet", sensor.info.label)),
    };
    let engine = view.state.reading(device, Quantity::EngineUtilisation);
    let engine = engine.filter(|_| traits.others == OthersLoad::ProcessorTime);
    let engine = engine.map(|v| Part::new(0, Role::Plain, format!("engine {} %", format::percent(v))));
    let others = result.and_then(RunResult::crowd);
    let others = others.map(|v| Part::new(0, Role::Warn, format!("others {} %", format::percent(v))));
    let averaging = if mean.is_some() { "mean of steady" } else { "now" };
    let averaging = Part::new(2, Role::Dim, averaging);
    gauge.details = vec![
        flops(view, result),
        engine
            .into_iter()
            .chain(others)
            .chain([Part::new(1, Role::Dim, sensor.info.label.clone()), averaging])
            .collect(),
    ];
    gauge
}

/// Achieved share of the measured peak, or why it is not known.
fn flops(view: &View<'_>, result: Option<&RunResult>) -> Vec<Part> {
    if let Some(share) = result.and_then(|r| r.flop_utilisation) {
        let share = format!("{} % of peak", format::percent(share));
        return vec![Part::new(0, Role::Plain, share), Part::new(1, Role::Plain, " FLOPs").joined()];
    }
    let known = view.config().is_some_and(|c| view.state.peaks.contains_key(&(c.device.clone(), c.precision)));
    let text = match known {
        false => "peak not measured",
        true if result.is_none() => "FLOPs once steady",
        true => "FLOPs not known",
    };
    vec![Part::new(0, Role::Dim, text)]
}

fn power<'a>(view: &View<'a>, result: Option<&RunResult>) -> Gauge<'a> {
    let device = view.device().unwrap_or_default();
    let number = waits_for(view);
    let mut gauge =
        Gauge { title: "POWER", number, unit: ("W".into(), "W".into()), details: vec![], trend: None, reference: None };
    let sensor = match view.state.power_sensor(device) {
        Ok((_, sensor)) => sensor,
        Err(reason) => {
            if !device.is_empty() && !view.state.sensors.is_empty() {
                gauge.number = Number::Absent(reason);
            }
            return gauge;
        }
    };
    let cap = view.state.power_cap(&sensor.info.device);
    gauge.trend = Some((&sensor.series, cap));
    gauge.reference = reference(view, Compared::Power, result, cap);
    let steady = result.and_then(|r| r.power.as_ref().ok());
    let now = sensor.series.last().map(|(_, v)| v);
    let (watts, role) = match (steady, now) {
        (Some(power), _) => (power.gross_w, view.steady_role()),
        (None, Some(now)) => (now, if view.state.run.is_some() { Role::Warn } else { Role::Plain }),
        (None, None) => {
            gauge.number = Number::Waiting(format!("{}: no reading yet", sensor.info.label));
            return gauge;
        }
    };
    gauge.number = Number::Value(format::watts(watts), role);
    gauge.unit = if steady.is_some() { ("W".into(), "W".into()) } else { ("W now".into(), "W now".into()) };
    gauge.details = power_details(sensor, watts, cap, steady);
    if view.state.run.is_none() {
        gauge.details.truncate(1);
    }
    gauge
}

/// Power compared with the cap and with idle power.
fn power_details(sensor: &SensorState, watts: f64, cap: Option<f64>, steady: Option<&Power>) -> Vec<Vec<Part>> {
    let share = |cap: f64| format!("{} % of cap", format::percent(100.0 * watts / cap));
    let mut limit = vec![Part::new(0, Role::Plain, cap.map_or_else(|| "cap unknown".to_owned(), share))];
    if let Some(p) = steady {
        let deviation = p.deviation_w.map(|deviation| format::watts_beside(deviation, p.gross_w));
        limit.extend(deviation.map(|deviation| Part::new(1, Role::Plain, format!("sd {deviation} W"))));
    }
    let mut idle = match sensor.idle.mean() {
        Some(idle) => vec![
            Part::new(0, Role::Plain, format!("idle {}", format::watts(idle))),
            Part::new(0, Role::Plain, format!("Δ{} W", format::watts(watts - idle))),
        ],
        None => vec![Part::new(0, Role::Dim, "idle not measured")],
    };
    idle.push(Part::new(2, Role::Dim, sensor.info.label.clone()));
    vec![limit, idle]
}
