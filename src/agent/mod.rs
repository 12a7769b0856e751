//! The agent: one per host. It samples the sensors, supervises the engine, and joins both into one stream of events.
//!
//! [`start`] starts the agent of this host. [`remote`] starts one on another host, through a command such as `ssh HOST`;
//! [`serve`] is what runs over there. An [`AgentHandle`] is the same for both.
//!
//! | file | what |
//! |---|---|
//! | `local` | supervises the engine (`engine_process`), with the sensors beside it |
//! | `memory_watch` | whether an engine was killed because memory was out |
//! | `targets`, `host` | devices that were asked for, and the hosts that they are on |
//! | `fleet` | several agents as one stream |
//! | `remote/` | this side of a link to another host |
//! | `serve` | the other side, with its send queue (`backlog`) and its congestion window (`window`) |
//! | `wire` | the protocol between the two |

mod backlog;
mod engine_process;
pub mod fleet;
mod handle;
mod header;
pub mod host;
mod idle;
mod local;
mod memory_watch;
mod options;
pub mod remote;
pub mod serve;
pub mod targets;
mod window;
pub mod wire;

// The command line's tests parse the arguments of an engine.
#[cfg(test)]
pub(crate) use engine_process::EngineLauncher;
pub use handle::AgentHandle;
pub use local::start;
pub use options::Options;
