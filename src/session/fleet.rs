//! The states of all stations of a session: a pure fold over tagged events.
//!
//! A station is one device of one host, with an agent and a stream of its own; all streams share one clock. Each station is
//! folded independently of the others, so that any interleaving of the streams gives the same states.

use super::{state::State, sweep::Sweep};
use crate::event::{Body, Event, Header, MOST_STATIONS, Nanos, StationId, Tagged};
use std::{collections::BTreeSet, ops::Index, sync::LazyLock};

/// The states of all stations, in the order of their numbers. There is always at least one.
#[derive(Clone, Debug, PartialEq)]
pub struct Fleet {
    stations: Vec<State>,
}

impl Default for Fleet {
    fn default() -> Self {
        Self::of(1)
    }
}

impl From<State> for Fleet {
    fn from(state: State) -> Self {
        Self { stations: vec![state] }
    }
}

impl Index<usize> for Fleet {
    type Output = State;

    /// The state of a station; an empty state where there is no such station.
    fn index(&self, station: usize) -> &State {
        static EMPTY: LazyLock<State> = LazyLock::new(State::default);
        self.stations.get(station).unwrap_or(&EMPTY)
    }
}

impl Fleet {
    /// A fleet of empty states, at least one.
    pub fn of(stations: usize) -> Self {
        Self { stations: vec![State::default(); stations.clamp(1, MOST_STATIONS)] }
    }

    /// Folds an event in. A station exists from its own header on, or from a header that gives the number of stations. Events
    /// of any other station are dropped: their number is damaged.
    pub fn apply(&mut self, tagged: &Tagged) {
        self.apply_to(tagged.station, &tagged.event);
    }

    /// Folds an event of a station in.
    pub fn apply_to(&mut self, station: StationId, event: &Event) {
        let station = usize::from(station);
        if let Body::Header(header) = &event.body {
            let all = header.stations.map_or(0, usize::from).max(station + 1).min(MOST_STATIONS);
            self.stations.resize_with(all.max(self.stations.len()), State::default);
        }
        if let Some(state) = self.stations.get_mut(station) {
            state.apply(event);
        }
    }

    /// The number of stations.
    // Never empty, so there is no `is_empty`.
    #[expect(clippy::len_without_is_empty)]
    pub fn len(&self) -> usize {
        self.stations.len()
    }

    /// Whether there are several stations.
    pub fn is_several(&self) -> bool {
        self.stations.len() > 1
    }

    /// The state of a station, if there is such a station.
    pub fn get(&self, station: usize) -> Option<&State> {
        self.stations.get(station)
    }

    /// The state of the first station, which is mostly the only one.
    pub fn first(&self) -> &State {
        &self[0]
    }

    /// The state of the first station.
    pub fn into_first(self) -> State {
        // Not empty: `of` makes at least one, and none is ever removed.
        self.stations.into_iter().next().unwrap_or_default()
    }

    /// The states of all stations.
    pub fn into_stations(self) -> Vec<State> {
        self.stations
    }

    /// The states of all stations.
    pub fn stations(&self) -> &[State] {
        &self.stations
    }

    /// The states of all stations with their numbers.
    pub fn iter(&self) -> impl Iterator<Item = (StationId, &State)> {
        // At most MOST_STATIONS, which is a StationId.
        self.stations.iter().enumerate().map(|(station, state)| (station as StationId, state))
    }

    /// Time of the newest event of all stations.
    pub fn now(&self) -> Nanos {
        self.stations.iter().map(|state| state.now).max().unwrap_or(0)
    }

    /// Whether any station has sent its header.
    pub fn has_begun(&self) -> bool {
        self.stations.iter().any(|state| state.header.is_some())
    }

    /// Whether a sweep of any station, or the one that they share, has steps to come.
    pub fn sweeping(&self) -> bool {
        match self.shared_sweep() {
            Some(sweep) => sweep.is_on(),
            None => self.stations.iter().any(State::sweeping),
        }
    }

    /// The sweep that several stations share, with the outcome of each step on any station; a step that was measured on one
    /// and failed on another counts as measured. None where every station has a sweep of its own.
    pub fn shared_sweep(&self) -> Option<Sweep> {
        let all = || self.stations.iter().filter_map(|state| state.sweep.as_ref());
        let first = all().next().filter(|sweep| sweep.plan.is_shared())?;
        let mut shared = first.clone();
        for sweep in all().filter(|sweep| sweep.plan.is_like(&first.plan).is_ok()) {
            if sweep.plan.shard != first.plan.shard {
                // Shards of one sweep in one file: together they are the whole sweep.
                (shared.plan.shard, shared.plan.distributed) = (None, true);
            }
            shared.since = shared.since.max(sweep.since);
            shared.add(sweep);
        }
        // A station that has nothing left to do ends its own part; the others may go on.
        shared.ended = false;
        Some(shared)
    }

    /// The sweeps of all stations: the one that they share, or one each.
    pub fn sweeps(&self) -> Vec<Sweep> {
        match self.shared_sweep() {
            Some(sweep) => vec![sweep],
            None => self.stations.iter().filter_map(|state| state.sweep.clone()).collect(),
        }
    }

    /// Unique names of all stations: `gpu-box · cuda:0`. With `short`, only the host or only the device, where that is enough
    /// to tell them apart.
    pub fn names(&self, short: bool) -> Vec<String> {
        let hosts: Vec<&str> = self.stations.iter().map(host).collect();
        let devices: Vec<&str> = self.stations.iter().map(|state| state.device().unwrap_or_default()).collect();
        let differ = |all: &[&str]| all.iter().collect::<BTreeSet<_>>().len() == all.len();
        let one = |all: &[&str]| all.iter().all(|name| *name == all[0]);
        let name = |i: usize| match (hosts[i], devices[i]) {
            ("", "") => format!("station {}", i + 1),
            ("", name) | (name, "") => name.to_owned(),
            (_, device) if short && one(&hosts) => device.to_owned(),
            (host, _) if short && differ(&hosts) => host.to_owned(),
            (host, device) => format!("{host} · {device}"),
        };
        let mut names: Vec<String> = (0..self.stations.len()).map(name).collect();
        for i in 0..names.len() {
            let before = names[..i].iter().filter(|name| **name == names[i]).count();
            if before > 0 {
                names[i] = format!("{} #{}", names[i], before + 1);
            }
        }
        names
    }
}

fn host(state: &State) -> &str {
    state.header.as_ref().map(|Header { host, .. }| host.as_str()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        event::SCHEMA,
        testing::{Events, config},
    };
    use proptest::prelude::*;

    fn stream(host: &str, batch: u32, batches: u64) -> Vec<Event> {
        let mut events = Events::default();
        let header = Header { schema: SCHEMA, host: host.to_owned(), ..Header::default() };
        events.push(Body::Header(header));
        events.push(Body::EngineStarted { pid: 1, device: "cpu".to_owned() });
        events.warm_up(1, &config("alexnet", batch));
        (0..batches).for_each(|_| events.batches(1, 10, 1_000_000));
        events.push(Body::Gone { reason: "unplugged".to_owned() });
        events.take()
    }

    proptest! {
        #[test]
        fn interleaved_stations_fold_as_each_alone(
            turns in prop::collection::vec(0usize..3, 0..80),
            batches in prop::collection::vec(0u64..6, 3),
        ) {
            let streams: Vec<_> = batches.iter().zip(1..).map(|(n, batch)| stream("a", batch, *n)).collect();
            let mut rest: Vec<_> = streams.iter().map(|events| events.iter()).collect();
            let mut fleet = Fleet::of(3);
            let everything = turns.into_iter().chain((0..3).flat_map(|on| vec![on; 100]));
            for on in everything {
                if let Some(event) = rest[on].next() {
                    fleet.apply(&Tagged { station: on as StationId, event: event.clone() });
                }
            }
            for (on, events) in streams.iter().enumerate() {
                let mut alone = State::default();
                events.iter().for_each(|event| alone.apply(event));
                prop_assert_eq!(&fleet[on], &alone);
            }
        }
    }

    #[test]
    fn names_say_what_tells_stations_apart() {
        let names = |of: &[(&str, &str)], short| {
            let mut fleet = Fleet::of(of.len());
            for (on, (host, device)) in (0..).zip(of) {
                let header = Header { host: (*host).into(), device: Some((*device).into()), ..Header::default() };
                fleet.apply_to(on, &Event { t: 0, body: Body::Header(header) });
            }
            fleet.names(short)
        };
        let one_host = [("a", "cuda:0"), ("a", "cuda:1")];
        assert_eq!(names(&one_host, true), ["cuda:0", "cuda:1"]);
        assert_eq!(names(&one_host, false), ["a · cuda:0", "a · cuda:1"]);
        assert_eq!(names(&[("a", "cuda:0"), ("b", "cuda:0")], true), ["a", "b"]);
        let mixed = [("a", "cuda:0"), ("a", "cuda:1"), ("b", "cuda:0")];
        assert_eq!(names(&mixed, true), ["a · cuda:0", "a · cuda:1", "b · cuda:0"]);
        assert_eq!(names(&[("a", "cpu"), ("a", "cpu")], true), ["cpu", "cpu #2"]);
        assert_eq!(Fleet::of(2).names(true), ["station 1", "station 2"]);
    }

    #[test]
    fn a_wild_number_makes_no_stations_without_end() {
        let mut fleet = Fleet::default();
        let header = |stations| Body::Header(Header { stations, ..Header::default() });
        fleet.apply_to(0, &Event { t: 1, body: header(Some(3)) });
        fleet.apply_to(7, &Event { t: 9, body: Body::Reset });
        assert_eq!((fleet.len(), fleet.now(), fleet[99].now), (3, 1, 0), "no header announced an eighth");
        fleet.apply_to(7, &Event { t: 2, body: header(None) });
        assert_eq!((fleet.len(), fleet.now()), (8, 2));
        fleet.apply_to(StationId::MAX, &Event { t: 9, body: header(Some(StationId::MAX)) });
        assert_eq!((fleet.len(), fleet.now()), (MOST_STATIONS, 2));
    }
}
