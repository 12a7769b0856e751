//! The two ends of an agent.

use crate::event::{Command, Event};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

/// Commands go into an agent and events come out of it. Dropping the handle stops the agent and its engine; the end of
/// `events` says that both are gone.
#[derive(Debug)]
pub struct AgentHandle {
    /// What to measure.
    pub commands: UnboundedSender<Command>,
    /// What happens.
    pub events: UnboundedReceiver<Event>,
}

impl AgentHandle {
    /// A handle without an agent: commands go nowhere, and the stream has ended.
    pub fn disconnected() -> Self {
        Self { commands: unbounded_channel().0, events: unbounded_channel().1 }
    }
}
