//! Several agents as one: their streams are merged, each event is tagged with its station, and commands go to all or to
//! one of them.

use super::handle::AgentHandle;
use crate::event::{Body, Command, Event, FLEET_SCHEMA, Nanos, StationId, Tagged};
use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::{
    sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel},
    time::timeout,
};

/// A command and its addressee.
#[derive(Clone, Debug, PartialEq)]
pub struct Addressed {
    /// The station; none for all of them.
    pub to: Option<StationId>,
    /// The command.
    pub command: Command,
}

impl Addressed {
    /// For all stations.
    pub const fn to_all(command: Command) -> Self {
        Self { to: None, command }
    }

    /// For one station.
    pub const fn to(station: StationId, command: Command) -> Self {
        Self { to: Some(station), command }
    }
}

/// An agent that joins a fleet.
#[derive(Debug)]
pub struct Member {
    /// Its handle.
    pub agent: AgentHandle,
    /// The device that it measures; by default its host's first one.
    pub device: Option<String>,
}

/// The handle of all agents together. Dropping it stops them; the end of `events` says that all have ended. The stream of a
/// single agent is forwarded unchanged.
#[derive(Debug)]
pub struct FleetHandle {
    /// What to measure.
    pub commands: UnboundedSender<Addressed>,
    /// What happens where.
    pub events: UnboundedReceiver<Tagged>,
    stations: usize,
}

impl From<AgentHandle> for FleetHandle {
    fn from(agent: AgentHandle) -> Self {
        Self::join(vec![Member { agent, device: None }])
    }
}

impl FleetHandle {
    /// A handle without agents: commands go nowhere, and the stream has ended.
    pub fn disconnected() -> Self {
        Self::of(unbounded_channel().0, unbounded_channel().1, 1)
    }

    /// A handle of these two ends.
    pub const fn of(commands: UnboundedSender<Addressed>, events: UnboundedReceiver<Tagged>, stations: usize) -> Self {
        Self { commands, events, stations }
    }

    /// Joins agents on the current tokio runtime. They are the stations 0, 1, … in this order.
    pub fn join(members: Vec<Member>) -> Self {
        let (commands, mut from_user) = unbounded_channel::<Addressed>();
        let (to_user, events) = unbounded_channel();
        let stations = members.len();
        let latest = Arc::<AtomicU64>::default();
        let mut ends = Vec::new();
        for (on, Member { agent, device }) in (0..).zip(members) {
            ends.push(agent.commands);
            let several = (stations > 1).then_some(Several { stations: stations as StationId, device });
            let forward = Forward { on, several, latest: latest.clone(), to_user: to_user.clone() };
            tokio::spawn(forward.run(agent.events));
        }
        tokio::spawn(async move {
            while let Some(Addressed { to, command }) = from_user.recv().await {
                // An agent that has ended has closed its events, which is what its user sees.
                match to {
                    None => ends.iter().for_each(|end| _ = end.send(command.clone())),
                    Some(on) => _ = ends.get(usize::from(on)).map(|end| end.send(command)),
                }
            }
        });
        Self { commands, events, stations }
    }

    /// How many stations there are.
    pub const fn stations(&self) -> usize {
        self.stations
    }

    /// Sends a command to all stations.
    pub fn send(&self, command: Command) {
        // Agents that have ended have closed their events, which is what their user sees.
        let _ = self.commands.send(Addressed::to_all(command));
    }

    /// Stops the agents and their engines and waits for that for `limit`. `on_event` receives their last events.
    pub async fn stop(self, limit: Duration, mut on_event: impl FnMut(Tagged)) {
        self.send(Command::Stop);
        let Self { commands, mut events, .. } = self;
        drop(commands);
        let drained = async {
            while let Some(tagged) = events.recv().await {
                on_event(tagged);
            }
        };
        if timeout(limit, drained).await.is_err() {
            tracing::warn!("the agents did not stop within {limit:?}");
        }
    }

    /// The same agents; `on_event` sees each of their events before it is forwarded.
    pub fn tap(self, mut on_event: impl FnMut(&Tagged) + Send + 'static) -> Self {
        let Self { commands, events: mut from_agents, stations } = self;
        let (to_user, events) = unbounded_channel();
        tokio::spawn(async move {
            while let Some(tagged) = from_agents.recv().await {
                on_event(&tagged);
                if to_user.send(tagged).is_err() {
                    break;
                }
            }
        });
        Self { commands, events, stations }
    }
}

/// What is added to the header of one of several stations.
struct Several {
    stations: StationId,
    device: Option<String>,
}

/// Forwards the events of one agent.
struct Forward {
    on: StationId,
    several: Option<Several>,
    /// Timestamp of the newest event of any station.
    latest: Arc<AtomicU64>,
    to_user: UnboundedSender<Tagged>,
}

impl Forward {
    async fn run(mut self, mut events: UnboundedReceiver<Event>) {
        while let Some(mut event) = events.recv().await {
            if let (Body::Header(header), Some(several)) = (&mut event.body, &self.several) {
                header.schema = FLEET_SCHEMA;
                header.stations = Some(several.stations);
                header.device.clone_from(&several.device);
            }
            self.latest.fetch_max(event.t, Ordering::Relaxed);
            if !self.send(event) {
                return;
            }
        }
        // The end of a single agent is the end of the stream.
        if self.several.take().is_some() {
            let t: Nanos = self.latest.load(Ordering::Relaxed);
            self.send(Event { t, body: Body::Gone { reason: "the agent has ended".to_owned() } });
        }
    }

    fn send(&self, event: Event) -> bool {
        self.to_user.send(Tagged { station: self.on, event }).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        event::{Header, SCHEMA},
        session::{Fleet, State},
        testing::{Events, Script, config},
    };

    fn header(host: &str) -> Body {
        Body::Header(Header { schema: SCHEMA, host: host.to_owned(), ..Header::default() })
    }

    fn answer(events: &mut Events, run: u64, config: &crate::event::Config) {
        events.warm_up(run, config);
        events.batches(run, 30, 1_000_000);
    }

    fn member(host: &str) -> (Member, tokio::task::JoinHandle<Vec<Command>>) {
        let (agent, script) = Script::start(vec![header(host)], answer);
        (Member { agent, device: Some("cpu".to_owned()) }, script)
    }

    fn run(batch: u32) -> Command {
        Command::Run { config: config("alexnet", batch) }
    }

    #[tokio::test]
    async fn commands_reach_all_or_one_and_the_end_of_one_is_reported() {
        let ((a, asked_a), (b, asked_b)) = (member("a"), member("b"));
        let mut handle = FleetHandle::join(vec![a, b]);
        let send = |handle: &FleetHandle, to, command| handle.commands.send(Addressed { to, command }).unwrap();
        send(&handle, None, run(1));
        send(&handle, Some(1), run(2));
        send(&handle, Some(7), run(3));
        send(&handle, Some(0), Command::Stop);
        let mut fleet = Fleet::of(handle.stations());
        while fleet[0].gone.is_none() || fleet[1].last_run < 2 {
            fleet.apply(&handle.events.recv().await.unwrap());
        }
        assert_eq!(fleet[0].gone.as_deref(), Some("the agent has ended"));
        assert_eq!(fleet.names(true), ["a", "b"]);
        let header = |state: &State| state.header.clone().unwrap();
        assert_eq!((header(&fleet[1]).schema, header(&fleet[1]).stations), (FLEET_SCHEMA, Some(2)));
        handle.send(Command::Stop);
        while handle.events.recv().await.is_some() {}
        assert_eq!(asked_a.await.unwrap(), [run(1), Command::Stop]);
        assert_eq!(asked_b.await.unwrap(), [run(1), run(2), Command::Stop]);
    }

    #[tokio::test]
    async fn a_single_stream_is_forwarded_unchanged_and_dropping_the_handle_stops_the_agent() {
        let (agent, asked) = Script::start(vec![header("a")], answer);
        let mut handle = FleetHandle::from(agent);
        handle.send(run(1));
        let first = handle.events.recv().await.unwrap();
        assert_eq!(first, Tagged { station: 0, event: Event { t: 0, body: header("a") } });
        drop(handle);
        assert_eq!(asked.await.unwrap(), [run(1)]);
    }
}
