//! Where configurations are measured: this host or a far one, known well enough to decide what to measure there.

use super::{
    AgentHandle, Options,
    remote::{self, ConnectError, Connection, Target, UNATTENDED},
};
use crate::{backend::device, clock::Clock, event::DeviceInfo, host};

/// A host on which nothing runs yet.
#[derive(Debug)]
pub struct Site {
    /// Its name.
    pub host: String,
    /// Its devices.
    pub devices: Vec<DeviceInfo>,
    far: Option<(Target, Connection)>,
}

impl Site {
    /// This host.
    pub fn here() -> Self {
        Self { host: host::name(), devices: device::enumerate(), far: None }
    }

    /// This host once more, for another of its devices; of a far end what is known of it, without a way there.
    pub fn again(&self) -> Self {
        Self { host: self.host.clone(), devices: self.devices.clone(), far: None }
    }

    /// The far end of a command, which says things to `said` before it is reached.
    ///
    /// # Errors
    /// Where it is not.
    pub async fn reach(target: Target, said: impl FnMut(String)) -> Result<Self, ConnectError> {
        let connection = Connection::open(&target, said).await?;
        let (host, devices) = (connection.host().to_owned(), connection.devices().to_vec());
        Ok(Self { host, devices, far: Some((target, connection)) })
    }

    /// Starts an agent there, on the current tokio runtime, for work that nobody watches: a far end that is lost is given up
    /// in the end.
    pub fn start(self, options: Options, clock: Clock) -> AgentHandle {
        match self.far {
            None => super::start(options, clock),
            Some((target, connection)) => remote::start(target, Some(connection), options, clock, Some(UNATTENDED)),
        }
    }
}
