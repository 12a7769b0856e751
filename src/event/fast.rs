//! The fast reader of the two kinds of events that nearly all lines hold: samples and batches.
//!
//! [`Event`](super::Event) flattens an internally tagged enum, and to read such a thing serde buffers the whole line as
//! values first. Here the time and the type are read off the bytes, in the order in which this program writes them, and
//! serde reads the one variant directly. Every other line is left to `serde_json` (the functions give none).

use super::{
    body::Body,
    compact,
    ids::{Nanos, SensorId, StationId},
};
use serde::Deserialize;

/// The event of a line; `rest` is the line from its time on.
pub fn event(line: &[u8], rest: &[u8]) -> Option<(Nanos, Body)> {
    #[derive(Deserialize)]
    struct Samples {
        #[serde(deserialize_with = "compact::readings")]
        values: Vec<(SensorId, f64)>,
    }
    let (t, name) = head(rest)?;
    let body = match name {
        b"samples" => serde_json::from_slice(line).ok().map(|Samples { values }| Body::Samples { values }),
        b"batches" => serde_json::from_slice(line).ok().map(Body::Batches),
        _ => None,
    };
    Some((t, body?))
}

/// The station of a line, and the rest of the line from its time on.
pub fn station(line: &[u8]) -> Option<(StationId, &[u8])> {
    let Some(number) = line.strip_prefix(br#"{"on":"#) else { return Some((0, line.strip_prefix(b"{")?)) };
    let digits = number.iter().position(|byte| !byte.is_ascii_digit())?;
    let station = std::str::from_utf8(&number[..digits]).ok()?.parse().ok()?;
    Some((station, number[digits..].strip_prefix(b",")?))
}

/// The time and the type at the beginning of `rest`.
fn head(rest: &[u8]) -> Option<(Nanos, &[u8])> {
    let rest = rest.strip_prefix(br#""t":"#)?;
    let digits = rest.iter().position(|byte| !byte.is_ascii_digit())?;
    let t = std::str::from_utf8(&rest[..digits]).ok()?.parse().ok()?;
    let name = rest[digits..].strip_prefix(br#","type":""#)?;
    let end = name.iter().position(|byte| *byte == b'"')?;
    Some((t, &name[..end]))
}
