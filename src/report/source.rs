//! The sessions that a report is of, taken apart into what may be compared: a device in a precision.

use crate::{
    analysis::data::{Observation, observations},
    event::{Config, NetworkFacts, Precision, Quantity},
    session::{RunResult, State, read::ReadError, replay},
};
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

/// A session file and what it adds up to.
#[derive(Clone, Debug, PartialEq)]
pub struct Source {
    /// The file.
    pub path: PathBuf,
    /// What its stream came to.
    pub state: State,
    /// What of it could not be read.
    pub losses: Option<String>,
}

/// The runs of a device in a precision.
#[derive(Clone, Debug, PartialEq)]
pub struct Group<'a> {
    /// The session.
    pub source: &'a Source,
    /// Device name in that session.
    pub device: String,
    /// Arithmetic.
    pub precision: Precision,
    /// Its name, unlike that of any other group: `NVIDIA H100 80GB HBM3, f16`.
    pub name: String,
    /// Its configurations: networks by age, then batch sizes.
    pub rows: Vec<Row>,
}

/// A configuration: of several runs of it the one of median throughput.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// What it came to.
    pub result: RunResult,
    /// How often it was run.
    pub runs: usize,
    /// Lowest and highest throughput of them, images/s.
    pub range: (f64, f64),
}

impl Source {
    /// Reads a session file; one that is damaged as far as it goes.
    ///
    /// # Errors
    /// If it is no session that this version reads.
    pub fn open(path: &Path) -> Result<Self, ReadError> {
        let (state, losses) = replay::fold(path)?;
        let losses = (!losses.is_empty()).then(|| losses.to_string());
        Ok(Self { path: path.to_owned(), state, losses })
    }

    /// The file's name without its extensions.
    pub fn stem(&self) -> String {
        let name = self.path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
        name.split(".jsonl").next().unwrap_or_default().to_owned()
    }

    /// What a device calls itself.
    pub fn device_title(&self, device: &str) -> String {
        let known = self.state.devices.iter().find(|d| d.name == device).map(|d| d.title.clone());
        known.filter(|title| !title.is_empty()).unwrap_or_else(|| device.to_owned())
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

    /// Every configuration that was measured, each as a row.
    pub fn rows(&self) -> Vec<Row> {
        let mut by_config: BTreeMap<Config, Vec<RunResult>> = BTreeMap::new();
        let finished = self.state.runs.iter().map(|run| run.result.clone());
        for result in finished.chain(self.state.all_results()) {
            let runs = by_config.entry(result.config.clone()).or_default();
            if runs.iter().all(|known| known.run != result.run) {
                runs.push(result);
            }
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
    /// Its results.
    pub fn results(&self) -> Vec<RunResult> {
        self.rows.iter().map(|row| row.result.clone()).collect()
    }

    /// `batch 1, f16 on cuda:0`, without the batch.
    pub fn setting(&self) -> String {
        format!("{} on {}", self.precision, self.source.device_title(&self.device))
    }

    /// Why there is no power; none where there is some.
    pub fn no_power(&self) -> Option<String> {
        let all_absent = self.rows.iter().all(|row| row.result.power.is_err());
        let reason = self.rows.iter().find_map(|row| row.result.power.as_ref().err());
        reason.filter(|_| all_absent).cloned()
    }
}

/// What findings are drawn from: a source's rows, of every device and precision.
pub fn data<'a>(source: &'a Source, results: &'a [RunResult]) -> Vec<Observation<'a>> {
    observations(results, &source.state.networks, &source.caps())
}

/// The groups of all sources, named apart.
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
    // Two files of one name in two folders.
    let names: Vec<String> = groups.iter().map(|g| g.name.clone()).collect();
    for (i, group) in groups.iter_mut().enumerate() {
        let before = names[..i].iter().filter(|name| **name == names[i]).count();
        if before > 0 {
            group.name = format!("{} ({})", group.name, before + 1);
        }
    }
    groups
}
