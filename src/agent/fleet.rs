//! Several agents as one: their streams joined, each event tagged with its station, and commands handed to all or to one.

use super::AgentHandle;
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

/// A command, and who is to obey it.
#[derive(Clone, Debug, PartialEq)]
pub struct Addressed {
    /// The station; all of them where there is none.
    pub to: Option<StationId>,
    /// What it is to do.
    pub command: Command,
}

impl Addressed {
    /// For everybody.
    pub const fn to_all(command: Command) -> Self {
        Self { to: None, command }
    }

    /// For one station.
    pub const fn to(station: StationId, command: Command) -> Self {
        Self { to: Some(station), command }
    }
}

/// An agent that is to be one of several.
#[derive(Debug)]
pub struct Member {
    /// Its two ends.
    pub agent: AgentHandle,
    /// The device that it is there for; its host's first by default.
    pub device: Option<String>,
}

/// The two ends of all agents together. Dropping it stops them; the end of `events` says that all are gone. The stream of
/// a single agent is passed on as it is.
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
    /// The handle of nobody: commands go nowhere, and the stream has ended.
    pub fn silent() -> Self {
        Self::of(unbounded_channel().0, unbounded_channel().1, 1)
    }

    /// A handle made of its ends.
    pub const fn of(commands: UnboundedSender<Addressed>, events: UnboundedReceiver<Tagged>, stations: usize) -> Self {
        Self { commands, events, stations }
    }

    /// Joins agents, which are stations in this order, on the current tokio runtime.
    pub fn join(members: Vec<Member>) -> Self {
        let (commands, mut orders) = unbounded_channel::<Addressed>();
        let (to_user, events) = unbounded_channel();
        let stations = members.len();
        let latest = Arc::<AtomicU64>::default();
        let mut ends = Vec::new();
        for (on, Member { agent, device }) in (0..).zip(members) {
            ends.push(agent.commands);
            let several = (stations > 1).then_some(Several { stations: stations as StationId, device });
            let pass = Pass { on, several, latest: latest.clone(), to_user: to_user.clone() };
            tokio::spawn(pass.all(agent.events));
        }
        tokio::spawn(async move {
            while let Some(Addressed { to, command }) = orders.recv().await {
                // An agent that is gone says so by the end of its events.
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

    /// Asks everybody.
    pub fn ask(&self, command: Command) {
        // Agents that are gone say so by the end of their events.
        let _ = self.commands.send(Addressed::to_all(command));
    }

    /// Lets the agents stop their engines and waits until all are gone, though not for ever; `see` is shown what they still
    /// say.
    pub async fn farewell(self, within: Duration, mut see: impl FnMut(Tagged)) {
        self.ask(Command::Stop);
        let Self { commands, mut events, .. } = self;
        drop(commands);
        let drained = async {
            while let Some(tagged) = events.recv().await {
                see(tagged);
            }
        };
        if timeout(within, drained).await.is_err() {
            tracing::warn!("the agents did not stop within {within:?}");
        }
    }

    /// The same agents, with everything that they say shown to `see` on its way.
    pub fn tap(self, mut see: impl FnMut(&Tagged) + Send + 'static) -> Self {
        let Self { commands, events: mut from_agents, stations } = self;
        let (to_user, events) = unbounded_channel();
        tokio::spawn(async move {
            while let Some(tagged) = from_agents.recv().await {
                see(&tagged);
                if to_user.send(tagged).is_err() {
                    break;
                }
            }
        });
        Self { commands, events, stations }
    }
}

/// What a header says of a station that has others beside it.
struct Several {
    stations: StationId,
    device: Option<String>,
}

/// Passes on what one agent says.
struct Pass {
    on: StationId,
    several: Option<Several>,
    /// Time of the newest event of all.
    latest: Arc<AtomicU64>,
    to_user: UnboundedSender<Tagged>,
}

impl Pass {
    async fn all(mut self, mut events: UnboundedReceiver<Event>) {
        while let Some(mut event) = events.recv().await {
            if let (Body::Header(header), Some(several)) = (&mut event.body, &self.several) {
                header.schema = FLEET_SCHEMA;
                header.stations = Some(several.stations);
                header.device.clone_from(&several.device);
            }
            self.latest.fetch_max(event.t, Ordering::Relaxed);
            if !self.say(event) {
                return;
            }
        }
        // Of a single one the end of the stream says it.
        if self.several.take().is_some() {
            let t: Nanos = self.latest.load(Ordering::Relaxed);
            self.say(Event { t, body: Body::Gone { reason: "the agent has ended".to_owned() } });
        }
    }

    fn say(&self, event: Event) -> bool {
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
    async fn commands_reach_all_or_one_and_an_end_is_told_while_others_go_on() {
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
        handle.ask(Command::Stop);
        while handle.events.recv().await.is_some() {}
        assert_eq!(asked_a.await.unwrap(), [run(1), Command::Stop]);
        assert_eq!(asked_b.await.unwrap(), [run(1), run(2), Command::Stop]);
    }

    #[tokio::test]
    async fn a_single_stream_is_passed_on_as_it_is_and_letting_go_stops_the_agent() {
        let (agent, asked) = Script::start(vec![header("a")], answer);
        let mut handle = FleetHandle::from(agent);
        handle.ask(run(1));
        let first = handle.events.recv().await.unwrap();
        assert_eq!(first, Tagged { station: 0, event: Event { t: 0, body: header("a") } });
        drop(handle);
        assert_eq!(asked.await.unwrap(), [run(1)]);
    }
}
