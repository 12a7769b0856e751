//! An agent on another host, reached by any command that connects stdin and stdout: `ssh gpu-box`, `srun --gres=gpu:1`,
//! `kubectl exec -i pod --`.
//!
//! The command is started through a shell with `wattscope agent` appended, and the two sides speak the protocol of
//! [`wire`](super::wire). Timestamps of the remote clock are converted to this session's. If the link is lost, the stream
//! says so and the command is started again, with exponential backoff. By then the remote agent and its engine have ended
//! by themselves ([`serve`](super::serve)), so a new agent takes over: its runs are numbered on, and it receives the last
//! requests again.
//!
//! | file | what |
//! |---|---|
//! | `command` | the command line that reaches the host |
//! | `process` | the running command |
//! | `error` | why there is no connection, from its exit status and its output |
//! | `connection` | a command whose remote end has sent its hello |
//! | `link` | one connection in use: what is sent, pings, rates |
//! | `requests` | the last requests, which a new agent receives again |
//! | `task` | the task behind an `AgentHandle`: connect, talk, wait, connect again |

mod clock_offset;
mod command;
mod connection;
mod error;
mod link;
mod process;
mod requests;
mod task;

pub use command::RemoteCommand;
pub use connection::Connection;
pub use error::ConnectError;
pub use task::{RETRY_LIMIT, start};
