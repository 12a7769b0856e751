//! The status of a station in words: the phase of its run, the sensors of its device, what is wrong, the newest notice.

pub mod link;

use crate::{
    event::{Compiling, Level, Phase, Quantity},
    format,
    session::{Run, State, state::Engine},
    ui::{
        theme::Role,
        view::{HINT_FOR, View},
        widgets::pane::{Part, row},
    },
};
use ratatui::{buffer::Buffer, layout::Rect};

/// Draws the status row.
pub fn draw(view: &View<'_>, area: Rect, buffer: &mut Buffer) {
    let mut parts = parts(view);
    if view.fleet.is_several() {
        let name = view.fleet.names(true).swap_remove(view.focus);
        parts.insert(0, Part::new(2, Role::Strong, format!(" {name} ")));
    }
    row(&parts, view.theme, area, buffer);
}

/// The parts of the status of a station.
pub fn parts(view: &View<'_>) -> Vec<Part> {
    let mut parts = phase(view);
    // The last readings of a station that is lost are out of date.
    if !view.state.is_lost() {
        parts.extend(device(view));
    }
    parts
}

/// Why a station measures nothing although it should: its role, its name and the reason.
pub fn trouble(view: &View<'_>) -> Option<(Role, &'static str, String)> {
    if let Some(reason) = &view.state.gone {
        return Some((Role::Bad, "GONE", reason.clone()));
    }
    if let Some(trouble) = link::trouble(view) {
        return Some((trouble.role, trouble.word, trouble.text));
    }
    if let Engine::Died { reason, .. } = &view.state.engine {
        return Some((Role::Bad, "ENGINE DIED", format!("{reason}; starting another")));
    }
    let failure = view.wanted.filter(|_| view.state.run.is_none()).and_then(|c| view.state.failures.get(c))?;
    let word = if failure.out_of_memory { "OUT OF MEMORY" } else { "GIVEN UP" };
    Some((Role::Bad, word, failure.reason.clone()))
}

/// The phase of the run, or what is wrong.
fn phase(view: &View<'_>) -> Vec<Part> {
    let badge = |role, word: &str| Part::new(0, role, format!(" {word}  "));
    let more = |text: String| Part::new(1, Role::Plain, text).joined();
    if let Some(trouble) = link::trouble(view).filter(|_| !view.ended) {
        return vec![badge(trouble.role, trouble.word), Part::new(0, trouble.role, trouble.text).joined()];
    }
    match (&view.state.engine, &view.state.run) {
        _ if view.state.gone.is_some() => {
            vec![badge(Role::Bad, "GONE"), more(view.state.gone.clone().unwrap_or_default())]
        }
        _ if view.ended && !view.options.watch_only => {
            vec![badge(Role::Bad, "ENDED"), more("the agent is gone".into())]
        }
        (Engine::Died { reason, in_a_row }, _) => {
            let times = if *in_a_row > 1 { format!(" ({in_a_row} in a row)") } else { String::new() };
            vec![badge(Role::Bad, "ENGINE DIED"), more(format!("{reason}{times}; starting another"))]
        }
        (_, Some(run)) => running(view, run),
        (engine, None) => vec![waiting(view, engine).0, waiting(view, engine).1],
    }
}

fn waiting(view: &View<'_>, engine: &Engine) -> (Part, Part) {
    let failure = view.wanted.and_then(|c| view.state.failures.get(c));
    let (role, word, text) = match (failure, engine) {
        (Some(f), _) if f.out_of_memory => {
            let asked = f.requested_bytes.map(|b| format!(", asked for {}", format::bytes(b))).unwrap_or_default();
            (Role::Bad, "OUT OF MEMORY", format!("{}{asked}", f.reason))
        }
        (Some(f), _) => (Role::Bad, "GIVEN UP", f.reason.clone()),
        (None, Engine::Stopped { .. }) if view.state.resting => {
            (Role::Warn, "IDLE", "reading idle power after the engine was stopped".to_owned())
        }
        (None, Engine::Running { .. }) if view.state.resting => {
            (Role::Warn, "RESTING", "the device cools down".to_owned())
        }
        (None, Engine::Running { .. }) => (Role::Warn, "STARTING", "the engine is up".to_owned()),
        (None, _) if view.state.devices.is_empty() => (Role::Warn, "STARTING", "looking for devices".to_owned()),
        (None, _) if view.wanted.is_none() && !view.options.watch_only => {
            let reasons = view.state.devices.iter().filter_map(|d| Some(format!("{}: {}", d.name, d.absent.as_ref()?)));
            (Role::Bad, "NO DEVICE", reasons.collect::<Vec<_>>().join("; "))
        }
        (None, _) => (Role::Warn, "IDLE", "reading idle power before the engine starts".to_owned()),
    };
    (Part::new(0, role, format!(" {word}  ")), Part::new(1, Role::Plain, text).joined())
}

/// What the first batch waits for where kernels are compiled.
fn tuning(run: &Run) -> String {
    match &run.compiling {
        Some(Compiling { kernels, newest, .. }) => format!("compiling and tuning kernels · {kernels} so far, {newest}"),
        None => "compiling and tuning kernels".to_owned(),
    }
}

fn running(view: &View<'_>, run: &Run) -> Vec<Part> {
    let elapsed = format::duration(view.state.now.saturating_sub(run.phase_since) as f64 / 1e9);
    let (role, word, text) = match run.phase {
        Phase::Building => (Role::Warn, "BUILDING", format!("network and weights · {elapsed}")),
        Phase::Tuning if view.state.traits(&run.config.device).compiles => {
            (Role::Warn, "TUNING", format!("{} · {elapsed}", tuning(run)))
        }
        Phase::Tuning => (Role::Warn, "TUNING", format!("first batch · {elapsed}")),
        Phase::WarmingUp => {
            (Role::Warn, "WARMING UP", format!("{} batches · {elapsed}", format::grouped(run.warm_up_batches)))
        }
        Phase::Steady if view.converged() => (Role::Steady, "STEADY", steady(run)),
        Phase::Steady => (Role::Warn, "NOT STEADY", steady(run)),
    };
    let mut parts = vec![Part::new(0, role, format!(" {word}  ")), Part::new(1, Role::Plain, text).joined()];
    if run.phase == Phase::Steady {
        parts.push(Part::new(3, Role::Plain, format!("{} batches", format::grouped(run.steady.batches))));
        parts.extend(graph(view, run));
    }
    if let Some(wanted) = view.wanted.filter(|w| **w != run.config && view.in_flight) {
        let next = if wanted.network == run.config.network { String::new() } else { view.title(&wanted.network) };
        let arrow = view.theme.pick("→", "->");
        parts.push(Part::new(0, Role::Warn, format!("{arrow} {next} batch {} {}", wanted.batch, wanted.precision)));
    }
    parts
}

/// Whether a captured graph is replayed, and why not; nothing on a device that can't.
fn graph(view: &View<'_>, run: &Run) -> Option<Part> {
    let graph = run.graph.as_ref().filter(|_| view.state.traits(&run.config.device).graphs)?;
    Some(match graph.used {
        true => Part::new(4, Role::Plain, "graph"),
        false => Part::new(5, Role::Dim, format!("no graph: {}", graph.why)),
    })
}

fn steady(run: &Run) -> String {
    match run.warm_up {
        Some(w) if w.converged => format!("after {} warm-up", format::duration(w.seconds)),
        Some(w) => {
            let (error, after) = (format::percent(w.error_percent), format::duration(w.seconds));
            format!("after {after}: still ±{error} %; measured all the same")
        }
        None => "warm-up unknown".to_owned(),
    }
}

/// The newest readings of the device.
fn device(view: &View<'_>) -> Vec<Part> {
    let Some(device) = view.device() else { return Vec::new() };
    let reading = |q| view.state.reading(device, q);
    let mut parts = Vec::new();
    let throttle = view.state.throttle.get(device);
    if let Some(reasons) = throttle.filter(|r| !r.is_empty()) {
        parts.push(Part::new(0, Role::Bad, format!("THROTTLED: {}", reasons.join(", "))));
    }
    if let Some(others) = view.state.neighbours.get(device).filter(|n| !n.is_empty()) {
        let names: Vec<_> = others.iter().map(|n| format!("{} ({})", n.name, n.pid)).collect();
        parts.push(Part::new(2, Role::Warn, format!("shared with {}", names.join(", "))));
    }
    if let Some(mhz) = reading(Quantity::ComputeClock) {
        parts.push(Part::new(4, Role::Plain, format!("clocks {} MHz", format::grouped(mhz as u64))));
    }
    if let Some(t) = reading(Quantity::Temperature) {
        parts.push(Part::new(3, Role::Plain, format!("{t:.0} °C")));
    }
    if throttle.is_some_and(Vec::is_empty) {
        parts.push(Part::new(5, Role::Plain, "no throttling"));
    }
    let limits = view.device_info().map(|info| info.limits.join("; ")).unwrap_or_default();
    if !limits.is_empty() {
        parts.push(Part::new(5, Role::Warn, format!("limited, {limits}")));
    }
    parts.extend(checked(view));
    let memory = view.state.run.as_ref().map(|r| r.memory);
    match memory.map(|m| (m.in_use, m.resident)) {
        Some((Some(bytes), _)) => parts.push(Part::new(6, Role::Plain, format!("{} in use", format::bytes(bytes)))),
        Some((_, Some(bytes))) => parts.push(Part::new(6, Role::Plain, format!("{} resident", format::bytes(bytes)))),
        _ => {}
    }
    parts
}

/// The result of `wattscope check` for the current network on its device; nothing where the stream has none.
fn checked(view: &View<'_>) -> Option<Part> {
    let config = view.config()?;
    view.state.checks.as_ref()?;
    let Some(checked) = view.state.checked(config) else {
        return Some(Part::new(6, Role::Dim, format!("not checked: wattscope check {}", config.network)));
    };
    let error = checked.error.map_or_else(|| "not finite".to_owned(), |error| format!("{error:.0e}"));
    let (role, word, sign) = match checked.pass {
        true => (Role::Plain, "checked", view.theme.pick("≤", "<=")),
        false => (Role::Bad, "CHECK FAILED", ">"),
    };
    let text = format!("{word} {}: {error} {sign} {:.0e}", checked.precision, checked.bound);
    Some(Part::new(if checked.pass { 5 } else { 0 }, role, text))
}

/// The newest message to the user while it is new; a hint of the screen comes before a notice of the stream.
pub fn message(view: &View<'_>) -> Option<Part> {
    let role = |level: Level| match level {
        Level::Info => Role::Plain,
        Level::Warning => Role::Warn,
        Level::Error => Role::Bad,
    };
    if let Some(hint) = view.hint {
        return Some(Part::new(0, role(hint.level), format!(" {}", hint.text)));
    }
    let newest = |(on, state): (u16, &'_ State)| state.notices.back().map(|notice| (notice.0, on));
    let (_, on) = view.fleet.iter().filter_map(newest).max()?;
    let (t, level, text) = view.fleet[on.into()].notices.back()?;
    let new = view.fleet.now().saturating_sub(*t) < HINT_FOR;
    let name = view.fleet.is_several().then(|| format!("{}: ", view.fleet.names(true)[usize::from(on)]));
    new.then(|| Part::new(0, role(*level), format!(" {}{text}", name.unwrap_or_default())))
}
