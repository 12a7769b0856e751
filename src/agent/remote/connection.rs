//! A connection to a remote agent that waits for its configuration.

use super::{command::RemoteCommand, error::ConnectError, process::RemoteProcess};
use crate::{agent::wire::Hello, event::DeviceInfo};
use std::{pin::pin, time::Duration};
use tokio::time::{Interval, MissedTickBehavior, interval};

/// A remote agent that has sent its hello and does nothing yet.
#[derive(Debug)]
pub struct Connection {
    /// The command.
    pub(super) process: RemoteProcess,
    /// What the remote agent has sent.
    pub(super) hello: Hello,
}

impl Connection {
    /// Starts the command and waits for the remote agent's hello without a timeout: a scheduler may have a queue. `status`
    /// receives the last line that the command has printed, at most once a second.
    ///
    /// # Errors
    /// If there is no connection.
    pub async fn open(remote: &RemoteCommand, mut status: impl FnMut(String)) -> Result<Self, ConnectError> {
        let mut process = RemoteProcess::start(remote)?;
        let (stderr, mut shown) = (process.stderr.clone(), None);
        let mut second = every(Duration::from_secs(1));
        let hello = {
            let mut hello = pin!(process.hello());
            loop {
                tokio::select! {
                    biased;
                    hello = &mut hello => break hello?,
                    _ = second.tick() => {
                        let line = stderr.last();
                        if let Some(line) = line.clone().filter(|_| line != shown) {
                            status(line);
                        }
                        shown = line;
                    }
                }
            }
        };
        Ok(Self { process, hello })
    }

    /// The devices of the remote host.
    pub fn devices(&self) -> &[DeviceInfo] {
        &self.hello.devices
    }

    /// The remote host's name.
    pub fn host(&self) -> &str {
        &self.hello.host
    }
}

/// Ticks from now on. A process that was stopped for a while gets no burst of the ticks that it missed.
pub fn every(period: Duration) -> Interval {
    let mut ticks = interval(period);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks
}
