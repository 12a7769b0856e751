//! The link to a remote agent, reached by a command such as `ssh gpu-box`.

use serde::{Deserialize, Serialize};

/// The link to a remote agent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Link {
    /// The command that reaches it.
    pub command: String,
    /// Name of the remote host, as soon as it is known.
    pub host: Option<String>,
    /// Whether it is connected.
    #[serde(flatten)]
    pub state: LinkState,
}

/// State of a link.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum LinkState {
    /// The command was started and the remote agent has not answered yet.
    Connecting {
        /// The last line that the command printed: `srun: job 7 queued and waiting for resources`.
        said: Option<String>,
    },
    /// Connected.
    Up {
        /// Round-trip time of a ping, median of the last ones, ns; absent before the first.
        rtt_ns: Option<u64>,
        /// Received over the last seconds, after compression, bytes/s.
        down_bytes_per_s: f64,
        /// Sent over the last seconds, bytes/s.
        up_bytes_per_s: f64,
    },
    /// Disconnected: the remote engine and sensors are gone, too.
    Lost {
        /// Why, in words.
        reason: String,
        /// Time until the next attempt, s; absent where there will be none.
        retry_in_s: Option<f64>,
    },
}
