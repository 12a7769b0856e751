//! The live screen: four numbers to be read from across the room, and the scope.

use super::{link, top};
use crate::{
    analysis::segment::{self as analysis, level},
    event::{DeviceKind, Nanos, OthersLoad, Phase, Quantity},
    session::{
        Run, RunResult,
        run::{Power, SETTLING},
        state::SensorState,
    },
    ui::{
        format,
        pin::{Compared, relative_error as error, said},
        theme::Role,
        view::View,
        widgets::{
            big::Size,
            gauge::{Gauge, Ghost, Number},
            pane::{Part, frame, pack_with, place},
            scope::{Level, Mark, Plateau, Scope},
        },
    },
};
use ratatui::{buffer::Buffer, layout::Rect};

/// Share of a level that the curve must reach for the level to be on the axis, so that the curve keeps its shape.
const IN_SIGHT: f64 = 0.35;

/// Draws it: the numbers as large as there is room for, the scope below.
pub fn draw(view: &View<'_>, area: Rect, buffer: &mut Buffer) {
    let result = view.state.current_result();
    let result = result.as_ref();
    let gauges = gauges(view, result);
    let mut rest = area;
    match arrange(area) {
        Arrangement::Framed { across, height, size } => {
            let down = 4 / across;
            for (i, gauge) in gauges.iter().enumerate() {
                let (column, row) = (i as u16 % across, i as u16 / across);
                let left = area.width * column / across;
                let width = area.width * (column + 1) / across - left;
                let cell = Rect { x: area.x + left, y: area.y + row * height, width, height };
                gauge.render(view.time(), size, view.theme, cell, buffer);
            }
            rest = Rect { y: area.y + down * height, height: area.height - down * height, ..area };
        }
        Arrangement::Rows => {
            for gauge in gauges.iter().take(usize::from(area.height)) {
                gauge.line(view.theme, top(&mut rest), buffer);
            }
        }
        Arrangement::OneRow => {
            let parts: Vec<_> = gauges.iter().flat_map(|g| g.parts(false)).collect();
            place(&pack_with(&parts, area.width, "  ", view.theme), top(&mut rest), buffer);
        }
    }
    link::explain(view, &mut rest, buffer);
    if rest.height >= 5 {
        scope(view, result, rest, buffer);
    }
}

/// The four numbers.
pub fn gauges<'a>(view: &View<'a>, result: Option<&RunResult>) -> [Gauge<'a>; 4] {
    let mut gauges = [latency(view, result), throughput(view, result), utilisation(view, result), power(view, result)];
    if view.state.gone.is_some() {
        // What was read last is not what is so now.
        gauges.iter_mut().for_each(|gauge| (gauge.number, gauge.details) = (waits_for(view), Vec::new()));
    }
    gauges
}

enum Arrangement {
    Framed { across: u16, height: u16, size: Size },
    Rows,
    OneRow,
}

/// How large the numbers can be, so that the scope keeps at least half of what is left.
fn arrange(area: Rect) -> Arrangement {
    let framed = |across, height, size| Arrangement::Framed { across, height, size };
    match (area.width, area.height) {
        (116.., 24..) => framed(4, 11, Size::Huge),
        (72.., 16..) => framed(4, 8, Size::Tall),
        (72.., 11..) => framed(4, 6, Size::Line),
        (72.., 3..) => framed(4, area.height.min(5), Size::Line),
        (36.., 24..) => framed(2, 8, Size::Tall),
        (36.., 14..) => framed(2, 5, Size::Line),
        (_, 4..) => Arrangement::Rows,
        _ => Arrangement::OneRow,
    }
}

/// What a gauge shows of the pinned configuration.
fn ghost(view: &View<'_>, quantity: Compared, result: Option<&RunResult>, top: Option<f64>) -> Option<Ghost> {
    view.against()?.ghost(quantity, result, top, view.theme)
}

/// Why there is no measurement yet.
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

/// The newest value of a curve as a number that does not count yet.
fn newest(view: &View<'_>, series: &crate::session::Series) -> Number {
    match series.last().filter(|_| view.state.run.is_some()) {
        Some((_, value)) => Number::Value(format::significant(value, 3), Role::Warn),
        None => waits_for(view),
    }
}

fn not_yet() -> Vec<Vec<Part>> {
    vec![
        vec![Part::new(0, Role::Warn, "warming up"), Part::new(1, Role::Dim, "does not count")],
        vec![Part::new(0, Role::Dim, "newest batches")],
    ]
}

fn latency<'a>(view: &View<'a>, result: Option<&RunResult>) -> Gauge<'a> {
    let (number, details) = match result {
        Some(r) => {
            let (l, confidence) = (r.latency_ms, error(r));
            let ms = |v: f64| format::with_error(v, l.p50 * confidence);
            let device = r.device_ms.map(|d| format!("device {} ms", ms(d.p50)));
            let details = vec![
                vec![
                    Part::new(0, Role::Plain, format!("±{} %", format::error_percent(l.relative_confidence()))),
                    Part::new(2, Role::Dim, " at 95 %").joined(),
                    Part::new(0, Role::Plain, format!("  p99 {}", ms(l.p99))).joined(),
                    Part::new(3, Role::Plain, " ms").joined(),
                ],
                vec![
                    Part::new(0, Role::Plain, device.unwrap_or_else(|| "wall clock".to_owned())),
                    Part::new(1, Role::Dim, format!("n {}", format::grouped(r.batches))),
                ],
            ];
            (Number::Value(ms(l.p50), view.counted()), details)
        }
        None => (newest(view, &view.state.latency), not_yet()),
    };
    Gauge {
        title: "LATENCY",
        number,
        unit: ("ms / batch".into(), "ms".into()),
        details,
        trend: Some((&view.state.latency, None)),
        ghost: ghost(view, Compared::Latency, result, None),
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
                Err(_) => vec![vec![per_image], vec![Part::new(0, Role::Dim, "no energy: no power")]],
            };
            (Number::Value(format::with_error(r.images_per_s, r.images_per_s * error(r)), view.counted()), details)
        }
        None => (newest(view, &view.state.throughput), not_yet()),
    };
    Gauge {
        title: "THROUGHPUT",
        number,
        unit: ("images/s".into(), "img/s".into()),
        details,
        trend: Some((&view.state.throughput, None)),
        ghost: ghost(view, Compared::Throughput, result, None),
    }
}

/// Energy an image; beside a pinned configuration the difference, otherwise the time an image.
fn joules(view: &View<'_>, result: &RunResult, power: &Power, per_image: Part) -> Vec<Part> {
    let joules = format!("{} J/image", format::significant(power.joules_per_image, 3));
    let difference = view.against().and_then(|pin| pin.difference(Compared::Energy, result));
    let beside = difference.map_or_else(|| vec![per_image], |d| said(d, 1, view.theme));
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
    let ghost = ghost(view, Compared::Utilisation, result, Some(100.0));
    let mut gauge = Gauge { title: "UTILISATION", number: waits_for(view), unit, details: vec![], trend: None, ghost };
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
        (Some(mean), _) => Number::Value(format::percent(mean), view.counted()),
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

/// Achieved operations over the measured peak, or why it is not known.
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
        Gauge { title: "POWER", number, unit: ("W".into(), "W".into()), details: vec![], trend: None, ghost: None };
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
    gauge.ghost = ghost(view, Compared::Power, result, cap);
    let steady = result.and_then(|r| r.power.as_ref().ok());
    let now = sensor.series.last().map(|(_, v)| v);
    let (watts, role) = match (steady, now) {
        (Some(power), _) => (power.gross_w, view.counted()),
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

/// Power beside its limit and beside idle power.
fn power_details(sensor: &SensorState, watts: f64, cap: Option<f64>, steady: Option<&Power>) -> Vec<Vec<Part>> {
    let share = |cap: f64| format!("{} % of cap", format::percent(100.0 * watts / cap));
    let mut limit = vec![Part::new(0, Role::Plain, cap.map_or_else(|| "cap unknown".to_owned(), share))];
    if let Some(p) = steady {
        let deviation = format::watts_beside(p.deviation_w, p.gross_w);
        limit.push(Part::new(1, Role::Plain, format!("sd {deviation} W")));
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

/// Power over time; where no sensor reads it, latency, and the title says why.
fn scope(view: &View<'_>, result: Option<&RunResult>, area: Rect, buffer: &mut Buffer) {
    let device = view.device().unwrap_or_default();
    let power = view.state.power_sensor(device).map(|(_, sensor)| sensor);
    let power = power.map_err(|reason| if device.is_empty() { String::new() } else { format!(" ({reason})") });
    let (title, scope) = trace(view, result, power);
    let inner = frame(&title, view.theme, area, buffer);
    scope.render(view.theme, inner, buffer);
}

/// A curve over time and its title: what `power` reads, or latency, and why it is that.
pub fn trace<'a>(
    view: &View<'a>,
    result: Option<&RunResult>,
    power: Result<&'a SensorState, String>,
) -> (Vec<Part>, Scope<'a>) {
    let (now, window) = view.time();
    let last = format!(", last {}", format::duration(window as f64 / 1e9));
    let mut scope = Scope {
        series: &view.state.latency,
        now,
        window,
        levels: Vec::new(),
        marks: marks(view, now.saturating_sub(window)),
        plateaus: Vec::new(),
        marks_name: "batch",
        shared: None,
    };
    let mut title = match &power {
        Ok(sensor) => {
            scope.series = &sensor.series;
            scope.plateaus = power_plateaus(view, sensor, now.saturating_sub(window));
            power_title(sensor, &last)
        }
        Err(why) => {
            let steady =
                |run: &Run| Plateau { from: run.steady.since, to: None, level: result.map(median), band: None };
            scope.plateaus = view.steady().map(steady).into_iter().collect();
            let title = Part::new(0, Role::Title, "LATENCY");
            vec![
                title,
                Part::new(0, Role::Title, format!("{last} [ms]")).joined(),
                Part::new(0, Role::Warn, why.clone()).joined(),
            ]
        }
    };
    let compared = if power.is_ok() { Compared::Power } else { Compared::Latency };
    if let Ok(sensor) = power {
        title.extend(power_levels(view, sensor, &mut scope));
    }
    title.extend(pinned_level(view, compared, &mut scope));
    if let Some((peak, _)) = scope.clipped() {
        let up = view.theme.pick("↑", "^");
        title.push(Part::new(0, Role::Warn, format!("{up} peak {} off scale", format::significant(peak, 3))));
    }
    (title, scope)
}

fn power_title(sensor: &SensorState, last: &str) -> Vec<Part> {
    vec![
        Part::new(0, Role::Title, "POWER"),
        Part::new(0, Role::Title, format!("{last} [W]")).joined(),
        Part::new(1, Role::Plain, sensor.info.label.clone()),
        Part::new(2, Role::Plain, sensor.info.method.clone().unwrap_or_default()),
        Part::new(3, Role::Plain, format!("every {} ms", sensor.info.period_ms)),
        Part::new(5, Role::Dim, "± 95 % of the mean"),
    ]
}

/// Adds the lines of cap and idle power; gives back what the title says of a cap that is out of sight.
fn power_levels(view: &View<'_>, sensor: &SensorState, scope: &mut Scope<'_>) -> Option<Part> {
    if let Some(idle) = sensor.idle.mean() {
        scope.levels.push(Level { value: idle, label: format!("idle {} W", format::watts(idle)), role: Role::Dim });
    }
    let cap = view.state.power_cap(&sensor.info.device)?;
    let label = format!("power cap {} W", format::watts(cap));
    if highest(scope) < IN_SIGHT * cap {
        return Some(Part::new(4, Role::Dim, format!("{label}, above")));
    }
    scope.levels.push(Level { value: cap, label, role: Role::Limit });
    None
}

/// The highest value in sight.
fn highest(scope: &Scope<'_>) -> f64 {
    let from = scope.now.saturating_sub(scope.window);
    scope.series.between(from, scope.now).map(|p| p.1).filter(|v| v.is_finite()).fold(0.0, f64::max)
}

/// Adds the line of the pinned configuration; gives back what the title says where it is out of sight.
fn pinned_level(view: &View<'_>, quantity: Compared, scope: &mut Scope<'_>) -> Option<Part> {
    let value = view.pin?.value(quantity)?;
    let unit = if quantity == Compared::Power { "W" } else { "ms" };
    let label = format!("A {} {unit}", quantity.print(value));
    if highest(scope) < IN_SIGHT * value {
        return Some(Part::new(1, Role::Dim, format!("{label}, above")));
    }
    scope.levels.push(Level { value, label, role: Role::Dim });
    None
}

/// The levels that power kept between changes of the knobs, those in sight since `from`: each with its mean and the
/// interval of the mean, what the settling after a change read left out.
fn power_plateaus(view: &View<'_>, sensor: &SensorState, from: Nanos) -> Vec<Plateau> {
    let all = &view.state.marks;
    let until = |i: usize| all[i].until.or_else(|| all.get(i + 1).map(|next| next.t));
    let seen = (0..all.len()).filter(|i| until(*i).is_none_or(|to| to >= from));
    seen.filter_map(|i| {
        let (since, to) = (all[i].steady?, until(i));
        let end = to.unwrap_or(view.state.now);
        let level = level(sensor.series.between(since, end), since, end, SETTLING);
        Some(Plateau {
            from: since + SETTLING,
            to,
            level: level.map(|l| (l.mean, level_name(&l, to.is_none()))),
            band: level.map(|l| (l.band.low, l.band.high)),
        })
    })
    .collect()
}

/// `plateau 612 ± 4 W`; what still rises or falls is called so, and is no plateau.
fn level_name(level: &analysis::Level, lasts: bool) -> String {
    let interval = format::watts_beside(level.interval.half(), level.mean);
    let value = format!("{} ± {interval} W", format::watts(level.mean));
    match (level.trend, lasts) {
        (1, _) => format!("{value}, rising"),
        (-1, _) => format!("{value}, falling"),
        (_, true) => format!("plateau {value}"),
        _ => value,
    }
}

fn median(result: &RunResult) -> (f64, String) {
    let (p50, error) = (result.latency_ms.p50, error(result));
    (p50, format!("median {} ms ±{} %", format::with_error(p50, p50 * error), format::error_percent(error)))
}

/// When knobs were turned since `from`, each labelled with what changed.
fn marks(view: &View<'_>, from: Nanos) -> Vec<Mark> {
    let all = &view.state.marks;
    let mut marks = Vec::new();
    for (i, mark) in all.iter().enumerate().filter(|(_, m)| m.t >= from) {
        let (config, before) = (&mark.config, i.checked_sub(1).and_then(|i| all.get(i)).map(|m| &m.config));
        let mut changed = Vec::new();
        if before.is_none_or(|b| b.network != config.network) {
            changed.push(view.title(&config.network));
        }
        if before.is_some_and(|b| b.device != config.device) {
            changed.push(config.device.clone());
        }
        if before.is_some_and(|b| b.precision != config.precision) {
            changed.push(config.precision.to_string());
        }
        if changed.is_empty() || before.is_none_or(|b| b.batch != config.batch) {
            changed.push(config.batch.to_string());
        }
        marks.push(Mark { t: mark.t, label: changed.join("·") });
    }
    marks
}
