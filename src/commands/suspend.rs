//! Ctrl-Z: the engines are paused before this process stops, and go on when it is continued. A stopped command leaves no device
//! busy, and the pause is no part of a measurement.

use crate::{
    agent::fleet::{Addressed, FleetHandle},
    event::Command,
};
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};

/// Time for the agents to pause their engines, those on other hosts too.
const PAUSE: Duration = Duration::from_millis(300);

/// Answers Ctrl-Z from now on, on the current tokio runtime.
pub fn answer(agents: &FleetHandle) {
    let commands = agents.commands.clone();
    tokio::spawn(async move {
        // A signal that can't be caught stops this process alone, as if nobody answered.
        let Ok(mut stop) = signal(SignalKind::from_raw(libc::SIGTSTP)) else { return };
        while stop.recv().await.is_some() {
            // If the agents are gone there is nothing to pause.
            let _ = commands.send(Addressed::to_all(Command::Pause { paused: true }));
            tokio::time::sleep(PAUSE).await;
            // SAFETY: the process stops here, and the call returns when it is continued.
            unsafe { libc::raise(libc::SIGSTOP) };
            let _ = commands.send(Addressed::to_all(Command::Pause { paused: false }));
        }
    });
}
