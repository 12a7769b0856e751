//! Numbers that identify what events are about, and the clock that they share.

/// Monotonic nanoseconds since the session began.
pub type Nanos = u64;

/// Number of a station within its session: one device of one host, with an agent and a stream of its own.
pub type StationId = u16;

/// Upper bound on the stations of a session, so that a damaged number in a recording cannot exhaust memory.
pub const MOST_STATIONS: usize = 1024;

/// Number of a run within its session: one configuration, from the command that asked for it to the next.
pub type RunId = u64;

/// Number of a sensor within its session, as announced by [`Body::Sensors`](super::Body::Sensors).
pub type SensorId = u16;
