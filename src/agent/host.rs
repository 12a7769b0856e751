//! A host to measure on: this one, or one that a command has connected to.

use super::{
    handle::AgentHandle,
    local,
    options::Options,
    remote::{self, ConnectError, Connection, RETRY_LIMIT, RemoteCommand},
};
use crate::{backend::device, clock::Clock, event::DeviceInfo, host};

/// A host whose devices are known and on which no agent runs yet.
#[derive(Debug)]
pub struct Host {
    /// Its name.
    pub name: String,
    /// Its devices.
    pub devices: Vec<DeviceInfo>,
    connection: Option<(RemoteCommand, Connection)>,
}

impl Host {
    /// This host.
    pub fn local() -> Self {
        Self { name: host::name(), devices: device::enumerate(), connection: None }
    }

    /// Connects to the host that a command leads to. `status` receives lines that the command prints while it connects.
    ///
    /// # Errors
    /// If there is no connection.
    pub async fn connect(remote: RemoteCommand, status: impl FnMut(String)) -> Result<Self, ConnectError> {
        let connection = Connection::open(&remote, status).await?;
        let (name, devices) = (connection.host().to_owned(), connection.devices().to_vec());
        Ok(Self { name, devices, connection: Some((remote, connection)) })
    }

    /// Another handle of the same host, for another of its devices. That of a remote host has no connection.
    pub fn without_connection(&self) -> Self {
        Self { name: self.name.clone(), devices: self.devices.clone(), connection: None }
    }

    /// Starts an agent on the host, on the current tokio runtime, for work without a user in front of it: a link that is lost
    /// is given up after [`RETRY_LIMIT`].
    pub fn start(self, options: Options, clock: Clock) -> AgentHandle {
        match self.connection {
            None => local::start(options, clock),
            Some((remote, connection)) => remote::start(remote, Some(connection), options, clock, Some(RETRY_LIMIT)),
        }
    }
}
