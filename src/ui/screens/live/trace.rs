//! The curve of the scope: power over time, or latency where no sensor reads power, with its levels, plateaus and changes.

use crate::{
    analysis::segment::{self as analysis, level},
    event::Nanos,
    format,
    session::{Run, RunResult, run::SETTLING, state::SensorState},
    ui::{
        pin::{Compared, relative_error, rounding},
        theme::Role,
        view::View,
        widgets::{
            pane::Part,
            scope::{Level, Mark, Plateau, Scope},
        },
    },
};

/// Share of a level that the curve must reach for the level to be on the axis; a higher level would flatten the curve.
const IN_SIGHT: f64 = 0.35;

/// The scope and its title: of the power sensor, or of latency where `power` is the reason why there is none.
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
                Part::new(0, Role::Warn, why.clone()),
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

/// Adds the lines of cap and idle power; gives the part of the title for a cap that is out of sight.
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

/// Adds the line of the pinned configuration; gives the part of the title where it is out of sight.
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

/// The levels of power between changes of the configuration, those in sight since `from`: each with its mean and the
/// interval of the mean. Readings while power settles after a change are left out.
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
            level: level.map(|l| (l.mean, level_label(&l, to.is_none()))),
            band: level.map(|l| (l.band.low, l.band.high)),
        })
    })
    .collect()
}

/// `plateau 612 ± 4 W`; a level that still rises or falls is no plateau and says so.
fn level_label(level: &analysis::Level, lasts: bool) -> String {
    let interval = format::watts_beside(level.interval.half(), level.mean);
    let value = format!("{} ± {interval} W", format::watts(level.mean));
    match (level.trend, lasts) {
        (1, _) => format!("{value}, rising"),
        (-1, _) => format!("{value}, falling"),
        (_, true) => format!("plateau {value}"),
        _ => value,
    }
}

/// The median latency and its label.
fn median(result: &RunResult) -> (f64, String) {
    let p50 = result.latency_ms.p50;
    let median = format::with_error(p50, p50 * rounding(result));
    let error = relative_error(result).map(|error| format!(" ±{} %", format::error_percent(error)));
    (p50, format!("median {median} ms{}", error.unwrap_or_default()))
}

/// The changes of the configuration since `from`, each labelled with what changed.
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
