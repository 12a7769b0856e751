//! The environment of the measurements: hosts, devices, versions, and messages to the user. This is what a record must keep
//! to be believed later (MLPerf Power rules, arXiv 2410.12032).

use crate::{
    event::{Card, Header, Level},
    format,
    report::{document::Block, source::Source},
    session::State,
};

/// Upper bound on the messages that are repeated for each session.
const NOTICES: usize = 20;

/// Hosts, cards and versions of every session.
pub fn blocks(sources: &[Source]) -> Vec<Block> {
    sources.iter().flat_map(of).collect()
}

fn of(source: &Source) -> Vec<Block> {
    let own = station(source, source.stem(), &source.state);
    let pooled = source.pooled.iter().map(|(name, state)| {
        station(source, format!("{} · {name}, whose runs are among those of {}", source.file(), source.stem()), state)
    });
    std::iter::once(own).chain(pooled).flatten().collect()
}

/// A host, its devices and its messages.
fn station(source: &Source, title: String, state: &State) -> Vec<Block> {
    let file = source.path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    let mut facts = vec![("file".to_owned(), file)];
    facts.extend(state.header.as_ref().map(host).unwrap_or_default());
    for device in state.devices.iter().filter(|d| d.absent.is_none()) {
        let precisions: Vec<&str> = device.precisions.iter().map(|p| p.name()).collect();
        facts.push((format!("device {}", device.name), format!("{}; {}", device.title, precisions.join(", "))));
        facts.extend(device.limits.iter().map(|limit| (format!("limit of {}", device.name), limit.clone())));
    }
    facts.extend(state.cards.values().flat_map(card));
    for (device, (bytes, how)) in &state.bandwidths {
        facts.push((format!("memory, {device}"), format!("{}B/s ({how})", format::si(*bytes))));
    }
    for ((device, precision), (flops, how)) in &state.peaks {
        let peak = format!("{}FLOP/s ({how})", format::si(*flops));
        facts.push((format!("peak, {device}, {precision}"), peak));
    }
    for (device, others) in state.neighbours.iter().filter(|(_, others)| !others.is_empty()) {
        let names: Vec<String> = others.iter().map(|n| format!("{} ({})", n.name, n.pid)).collect();
        facts.push((format!("others on {device}"), names.join(", ")));
    }
    facts.extend(source.losses.iter().map(|losses| ("not read".to_owned(), losses.clone())));
    let mut blocks = vec![Block::Heading(title), Block::Facts(facts)];
    blocks.extend(notices(state));
    blocks
}

fn host(header: &Header) -> Vec<(String, String)> {
    let memory = if header.memory_bytes > 0 { format::bytes(header.memory_bytes) } else { String::new() };
    let all = [
        ("recorded", header.started.clone()),
        ("host", header.host.clone()),
        ("system", header.os.clone()),
        ("processor", header.cpu.clone()),
        ("logical processors", header.cpus.to_string()),
        ("memory", memory),
        ("wattscope", header.version.clone()),
        ("Burn", header.burn.clone()),
        ("command", header.command.join(" ")),
    ];
    all.into_iter().filter(|(_, value)| !value.is_empty()).map(|(name, value)| (name.to_owned(), value)).collect()
}

fn card(card: &Card) -> Vec<(String, String)> {
    let watts = card.power_cap_w.map(|w| format!("{} W", format::watts(w)));
    let clock = card.max_compute_clock_mhz.map(|mhz| format!("at most {} MHz", format::grouped(u64::from(mhz))));
    let all = [
        ("card", Some(card.title.clone())),
        ("UUID", card.uuid.clone()),
        ("PCI", card.pci.clone()),
        ("driver", card.driver.clone()),
        ("CUDA of the driver", card.cuda.clone()),
        ("power cap", watts),
        ("clocks", card.clock_policy.clone().or(clock)),
    ];
    let of = |(name, value): (&str, Option<String>)| Some((format!("{}: {name}", card.device), value?));
    all.into_iter().filter_map(of).collect()
}

/// Warnings and errors that the user saw.
fn notices(state: &State) -> Option<Block> {
    let mut said: Vec<String> = Vec::new();
    for (t, level, text) in state.notices.iter().filter(|(_, level, _)| *level != Level::Info) {
        let word = if *level == Level::Error { "error" } else { "warning" };
        said.push(format!("{} {word}: {text}", format::clock(*t)));
    }
    let more = said.len().saturating_sub(NOTICES);
    said.truncate(NOTICES);
    if more > 0 {
        said.push(format!("… and {more} more"));
    }
    (!said.is_empty()).then_some(Block::List(said))
}
