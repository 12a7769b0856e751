//! The recordings of a report, divided into groups of runs that may be compared: one device, one precision.

use crate::{
    analysis::data::{Observation, observations},
    event::{Config, NetworkFacts, Precision, Quantity},
    session::{
        Fleet, RunResult, State, Sweep,
        read::{ReadError, shown},
        replay,
    },
};
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

/// A station of a session file, with its final state.
#[derive(Clone, Debug, PartialEq)]
pub struct Source {
    /// The file.
    pub path: PathBuf,
    /// Its name, where the file has several stations.
    pub station: Option<String>,
    /// Its final state.
    pub state: State,
    /// Stations that did other parts of the same sweep on an identical device: their runs are pooled with its own.
    pub pooled: Vec<(String, State)>,
    /// The sweep that it took part in.
    pub sweep: Option<Sweep>,
    /// What could not be read of the file.
    pub losses: Option<String>,
}

/// The runs of one device in one precision.
#[derive(Clone, Debug, PartialEq)]
pub struct Group<'a> {
    /// The session.
    pub source: &'a Source,
    /// Device name in that session.
    pub device: String,
    /// Arithmetic.
    pub precision: Precision,
    /// Its unique name: `NVIDIA H100 80GB HBM3, f16`.
    pub name: String,
    /// Its configurations, by the networks' age and batch size.
    pub rows: Vec<Row>,
}

/// A configuration with the result of its run, or, of several runs, of the one with the median throughput.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// The result.
    pub result: RunResult,
    /// Number of runs.
    pub runs: usize,
    /// Lowest and highest throughput of the runs, images/s.
    pub range: (f64, f64),
}

impl Source {
    /// Reads a session file, a damaged one as far as possible. Stations are separate sources, except those that shared a sweep
    /// on identical devices.
    ///
    /// # Errors
    /// If it is no session that this version reads.
    pub fn open(path: &Path) -> Result<Vec<Self>, ReadError> {
        let (fleet, losses, _) = replay::fold_all(path)?;
        let losses = (!losses.is_empty()).then(|| losses.to_string());
        Ok(Self::of(shown(path), fleet, losses))
    }

    /// The sources of a file.
    pub fn of(path: &Path, fleet: Fleet, losses: Option<String>) -> Vec<Self> {
        let (names, shared, several) = (fleet.names(false), fleet.shared_sweep(), fleet.is_several());
        let mut sources: Vec<Self> = Vec::new();
        for (name, state) in names.into_iter().zip(fleet.into_stations()) {
            let sweep = shared.clone().filter(|shared| belongs(&state, shared)).or_else(|| state.sweep.clone());
            let alike = |source: &&mut Self| sweep.as_ref().is_some_and(|s| s.plan.is_shared()) && source.pools(&state);
            match sources.iter_mut().find(alike) {
                Some(source) => source.pooled.push((name, state)),
                None => {
                    let (path, station) = (path.to_owned(), several.then_some(name));
                    sources.push(Self { path, station, state, pooled: Vec::new(), sweep, losses: losses.clone() });
                }
            }
        }
        sources
    }

    /// Whether a station did another part of the same sweep on an identical device.
    fn pools(&self, state: &State) -> bool {
        let title = |state: &State| Some(title(state, state.device()?));
        let shared = self.state.sweep.as_ref().zip(state.sweep.as_ref());
        shared.is_some_and(|(a, b)| a.plan.is_shared() && a.plan.is_like(&b.plan).is_ok())
            && title(&self.state).is_some_and(|own| Some(own) == title(state))
    }

    /// Its own state and those of the stations that are pooled with it.
    pub fn states(&self) -> impl Iterator<Item = &State> {
        std::iter::once(&self.state).chain(self.pooled.iter().map(|(_, state)| state))
    }

    /// The file's name without extensions, with the station's name where there are several.
    pub fn stem(&self) -> String {
        let file = self.file();
        self.station.as_ref().map_or_else(|| file.clone(), |station| format!("{file} · {station}"))
    }

    /// The file's name without extensions.
    pub fn file(&self) -> String {
        let name = self.path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
        name.split(".jsonl").next().unwrap_or_default().to_owned()
    }

    /// The title of a device.
    pub fn device_title(&self, device: &str) -> String {
        title(&self.state, device)
    }

    /// Name of a network as printed.
    pub fn network_title(&self, id: &str) -> String {
        self.facts(id).map_or_else(|| id.to_owned(), |facts| facts.title.clone())
    }

    /// Facts about a network.
    pub fn facts(&self, id: &str) -> Option<&NetworkFacts> {
        self.state.networks.get(id)
    }

    /// Power limits, W, by device.
    pub fn caps(&self) -> BTreeMap<String, f64> {
        let said = self.state.cards.iter().filter_map(|(device, card)| Some((device.clone(), card.power_cap_w?)));
        let read = |device: &String| Some((device.clone(), self.state.reading(device, Quantity::PowerCap)?));
        said.chain(self.state.cards.keys().filter_map(read)).filter(|(_, watts)| *watts > 0.0).collect()
    }

    /// The rows of all configurations that were measured.
    pub fn rows(&self) -> Vec<Row> {
        let mut by_config: BTreeMap<Config, Vec<RunResult>> = BTreeMap::new();
        for state in self.states() {
            let mut own: BTreeMap<Config, Vec<RunResult>> = BTreeMap::new();
            let finished = state.runs.iter().map(|run| run.result.clone());
            for result in finished.chain(state.all_results()) {
                let runs = own.entry(self.here(&result.config, state)).or_default();
                // Run numbers are unique within a station.
                if runs.iter().all(|known| known.run != result.run) {
                    runs.push(RunResult { config: self.here(&result.config, state), ..result });
                }
            }
            own.into_iter().for_each(|(config, runs)| by_config.entry(config).or_default().extend(runs));
        }
        let mut rows: Vec<_> = by_config.into_values().filter_map(Row::of).collect();
        let age = |row: &Row| {
            self.facts(&row.result.config.network)
                .map_or((u16::MAX, String::new()), |f| (f.year, f.title.to_lowercase()))
        };
        rows.sort_by_cached_key(|row| (age(row), row.result.config.network.clone(), row.result.config.batch));
        rows
    }
}

impl Source {
    /// A configuration of a pooled station, with the name that the device has in this one.
    fn here(&self, config: &Config, state: &State) -> Config {
        let same = state.device() == Some(config.device.as_str());
        match self.state.device().filter(|_| same) {
            Some(device) => Config { device: device.to_owned(), ..config.clone() },
            None => config.clone(),
        }
    }
}

/// The title of a device of a station.
fn title(state: &State, device: &str) -> String {
    let known = state.devices.iter().find(|d| d.name == device).map(|d| d.title.clone());
    known.filter(|title| !title.is_empty()).unwrap_or_else(|| device.to_owned())
}

/// Whether a station took part in a sweep.
fn belongs(state: &State, shared: &Sweep) -> bool {
    state.sweep.as_ref().is_some_and(|sweep| sweep.plan.is_like(&shared.plan).is_ok())
}

impl Row {
    fn of(mut runs: Vec<RunResult>) -> Option<Self> {
        runs.retain(|r| r.images_per_s.is_finite() && r.images_per_s > 0.0);
        runs.sort_by(|a, b| a.images_per_s.total_cmp(&b.images_per_s));
        let range = (runs.first()?.images_per_s, runs.last()?.images_per_s);
        let n = runs.len();
        Some(Self { result: runs.swap_remove((n - 1) / 2), runs: n, range })
    }
}

impl Group<'_> {
    /// The results of its rows.
    pub fn results(&self) -> Vec<RunResult> {
        self.rows.iter().map(|row| row.result.clone()).collect()
    }

    /// Its precision and device: `f16 on NVIDIA H100`.
    pub fn setting(&self) -> String {
        format!("{} on {}", self.precision, self.source.device_title(&self.device))
    }

    /// Why no row has power; none where at least one has.
    pub fn no_power(&self) -> Option<String> {
        let all_absent = self.rows.iter().all(|row| row.result.power.is_err());
        let reason = self.rows.iter().find_map(|row| row.result.power.as_ref().err());
        reason.filter(|_| all_absent).cloned()
    }
}

/// The observations that findings are based on.
pub fn data<'a>(source: &'a Source, results: &'a [RunResult]) -> Vec<Observation<'a>> {
    observations(results, &source.state.networks, &source.caps())
}

/// The groups of all sources, with unique names.
pub fn groups(sources: &[Source]) -> Vec<Group<'_>> {
    let mut groups: Vec<Group<'_>> = Vec::new();
    for source in sources {
        let mut of: BTreeMap<(String, Precision), Vec<Row>> = BTreeMap::new();
        for row in source.rows() {
            let config = &row.result.config;
            of.entry((config.device.clone(), config.precision)).or_default().push(row);
        }
        groups.extend(of.into_iter().map(|((device, precision), rows)| {
            let name = format!("{}, {precision}", source.device_title(&device));
            Group { source, device, precision, name, rows }
        }));
    }
    let names: Vec<String> = groups.iter().map(|g| g.name.clone()).collect();
    for (i, group) in groups.iter_mut().enumerate() {
        if names.iter().filter(|name| **name == names[i]).count() > 1 {
            group.name = format!("{}: {}", group.source.stem(), group.name);
        }
    }
    // Two files may have the same name in different folders.
    let names: Vec<String> = groups.iter().map(|g| g.name.clone()).collect();
    for (i, group) in groups.iter_mut().enumerate() {
        let before = names[..i].iter().filter(|name| **name == names[i]).count();
        if before > 0 {
            group.name = format!("{} ({})", group.name, before + 1);
        }
    }
    groups
}
