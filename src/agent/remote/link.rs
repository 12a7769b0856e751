//! One connection in use: a queue of lines to the remote agent, pings, and the rates of both directions.

use super::clock_offset::ClockOffset;
use crate::{
    agent::wire::{self, Down, Unpacker},
    event::{Event, LinkState, Nanos},
};
use std::{collections::VecDeque, io, time::Instant};
use tokio::{
    io::AsyncWriteExt,
    process::ChildStdin,
    sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel},
};

/// Pings at the beginning that are sent without waiting for the next second, so that the clock offset is known well soon.
const FIRST_PINGS: u64 = 4;

/// Pings without an answer that are remembered.
const MAX_PINGS: usize = 10;

/// Seconds over which the rates are averaged.
const RATE_SECONDS: usize = 5;

/// The state of one connection.
pub struct Link {
    /// Lines to the remote agent; none after [`Self::close`].
    lines: Option<UnboundedSender<Vec<u8>>>,
    sent: u64,
    /// Unpacks this connection's bundles.
    pub unpacker: Unpacker,
    /// Bundles that have arrived.
    pub bundles: u64,
    /// Events that arrived before the clock offset was known.
    pub held: Vec<Event>,
    /// The remote clock.
    pub offset: ClockOffset,
    /// Numbers of pings without an answer, and when they were sent.
    pings: VecDeque<(u64, Nanos)>,
    pinged: u64,
    /// Ticks since anything arrived.
    pub silent_ticks: u32,
    /// Why the remote agent says that it ends.
    pub goodbye: Option<String>,
    /// Bytes received and sent up to a moment, oldest first.
    counts: VecDeque<(Instant, u64, u64)>,
}

impl Link {
    /// A link whose lines are written to `stdin`.
    ///
    /// # Errors
    /// If zstd has no memory.
    pub fn new(stdin: ChildStdin) -> io::Result<Self> {
        let (lines, queue) = unbounded_channel();
        tokio::spawn(write_lines(stdin, queue));
        Ok(Self {
            lines: Some(lines),
            sent: 0,
            unpacker: Unpacker::new()?,
            bundles: 0,
            held: Vec::new(),
            offset: ClockOffset::default(),
            pings: VecDeque::new(),
            pinged: 0,
            silent_ticks: 0,
            goodbye: None,
            counts: VecDeque::from([(Instant::now(), 0, 0)]),
        })
    }

    /// Sends a line as it is.
    pub fn write(&mut self, line: Vec<u8>) {
        self.sent += line.len() as u64;
        if let Some(lines) = &self.lines {
            // If stdin is closed, so is stdout, whose reader ends the link.
            let _ = lines.send(line);
        }
    }

    /// Sends a frame.
    pub fn send(&mut self, frame: &Down) {
        match wire::frame(frame) {
            Ok(line) => self.write(line),
            Err(error) => tracing::error!(%error, "a command could not be serialised"),
        }
    }

    /// Sends a ping at the time `now`.
    pub fn ping(&mut self, now: Nanos) {
        if self.pings.len() > MAX_PINGS {
            self.pings.pop_front();
        }
        self.pings.push_back((self.pinged, now));
        self.send(&Down::Ping(self.pinged));
        self.pinged += 1;
    }

    /// Takes the answer to ping `n`, given at `remote` on the remote clock and received at `now`.
    pub fn pong(&mut self, n: u64, remote: Nanos, now: Nanos) {
        let Some(at) = self.pings.iter().position(|(ping, _)| *ping == n) else { return };
        let sent = self.pings.drain(..=at).next_back();
        self.offset.ping(sent.map_or(now, |(_, sent)| sent), now, remote);
        if n < FIRST_PINGS {
            self.ping(now);
        }
    }

    /// Closes the remote agent's stdin once all lines are written.
    pub fn close(&mut self) {
        self.lines = None;
    }

    /// Takes down the bytes of both directions for the rates; `received` counts since the beginning.
    pub fn count(&mut self, received: u64) {
        if self.counts.len() > RATE_SECONDS {
            self.counts.pop_front();
        }
        self.counts.push_back((Instant::now(), received, self.sent));
    }

    /// Round trip and rates.
    pub fn state(&self) -> LinkState {
        let (down, up) = match (self.counts.front(), self.counts.back()) {
            (Some((from, down_from, up_from)), Some((to, down_to, up_to))) if to > from => {
                // The first bytes of a link arrive within milliseconds: over less than a second there is no rate.
                let seconds = (*to - *from).as_secs_f64().max(1.0);
                ((down_to - down_from) as f64 / seconds, (up_to - up_from) as f64 / seconds)
            }
            _ => (0.0, 0.0),
        };
        LinkState::Up { rtt_ns: self.offset.round_trip(), down_bytes_per_s: down.round(), up_bytes_per_s: up.round() }
    }
}

/// Writes lines in a task of its own, because the pipe may be full.
async fn write_lines(mut stdin: ChildStdin, mut lines: UnboundedReceiver<Vec<u8>>) {
    while let Some(line) = lines.recv().await {
        if stdin.write_all(&line).await.is_err() {
            return;
        }
    }
}
