//! The protocol between a screen and a remote agent: lines of text in both directions.
//!
//! ```text
//!   screen                                    remote agent
//!     │   ◄── wattscope-wire {Hello}  ───────────  │   a login shell may print lines before it
//!     │   ─── wattscope-wire {Welcome} ─────────►  │
//!     │   ─── crc32 {Down: ping, ack, command} ─►  │
//!     │   ◄── crc32 {Up: pong, bye} ─────────────  │
//!     │   ◄── crc32 z<bundle> ───────────────────  │   events as JSON lines, zstd, base64
//! ```
//!
//! All bundles of a connection are one compressed stream, so each is small. The protocol is text because not everything that
//! carries it is transparent for bytes: Slurm forwards output line by line. The checksum detects bytes that were changed.

use crate::event::{Command, DeviceInfo, Event, Nanos, RunId, SCHEMA};
use data_encoding::BASE64;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use std::io::{self, Write};
use zstd::stream::write::{Decoder, Encoder};

/// Version of the protocol, incremented when older readers would misread newer frames.
pub const WIRE: u32 = 1;

/// Prefix of the first line of either side.
const MAGIC: &str = "wattscope-wire ";

/// Longest line, bytes. A bundle with the facts of the largest network is a hundredth of it.
pub const MAX_LINE_BYTES: usize = 1 << 20;

/// Bytes of JSON in one bundle; a single event may be longer.
const BUNDLE_BYTES: usize = 64 << 10;

/// Largest size of an unpacked bundle, bytes: a limit against decompression bombs.
const MAX_UNPACKED_BYTES: usize = 64 << 20;

/// Compression level; 3 is zstd's default.
const LEVEL: i32 = 3;

/// First byte of a bundle; other frames are JSON objects.
const BUNDLE_MARK: u8 = b'z';

/// Why a received line is invalid.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    /// The line is too long.
    #[error("a line of more than {MAX_LINE_BYTES} bytes")]
    TooLong,
    /// It is not what the other side sent.
    #[error("a line that is not what was sent: {0}")]
    Damaged(&'static str),
}

/// Versions of one side. Those of the protocol and of the events have to be the same on both sides.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Versions {
    /// [`WIRE`].
    pub wire: u32,
    /// [`SCHEMA`] of the events.
    pub schema: u32,
    /// Version of wattscope.
    pub version: String,
}

impl Versions {
    /// The versions of this program.
    pub fn own() -> Self {
        Self { wire: WIRE, schema: SCHEMA, version: env!("CARGO_PKG_VERSION").to_owned() }
    }

    /// Whether two sides can talk to each other.
    pub fn fit(&self, other: &Self) -> bool {
        (self.wire, self.schema) == (other.wire, other.schema)
    }
}

/// The first line of the remote agent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Hello {
    /// Its versions.
    #[serde(flatten)]
    pub versions: Versions,
    /// Name of its host.
    pub host: String,
    /// Its devices, so that the screen can decide what to measure before anything runs there.
    pub devices: Vec<DeviceInfo>,
}

/// The screen's answer: how the remote agent works.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Welcome {
    /// Its versions.
    #[serde(flatten)]
    pub versions: Versions,
    /// Time between sensor readings, ns.
    pub period_ns: u64,
    /// How long idle power is measured before the first engine starts, ns.
    pub idle_ns: u64,
    /// Whether to go back to the last configuration that worked after an out-of-memory.
    pub step_back: bool,
    /// Limit of the engine's data segment on the CPU, bytes.
    pub memory_limit: Option<u64>,
    /// Whether networks run with their batch norms folded.
    pub fold: bool,
    /// Whether captured graphs are replayed where that is exact and faster.
    pub graph: bool,
    /// Number of the run before the first one.
    pub last_run: RunId,
    /// Seconds without a ping after which the remote agent ends.
    pub silence_s: u32,
    /// The only device that this agent measures, if others of the same host have agents of their own.
    #[serde(default)]
    pub only: Option<String>,
    /// Whether no other card of the host has an agent.
    #[serde(default = "alone")]
    pub alone: bool,
}

const fn alone() -> bool {
    true
}

/// The first line of a side, without its line end.
pub fn handshake(side: &impl Serialize) -> io::Result<String> {
    Ok(format!("{MAGIC}{}", serde_json::to_string(side)?))
}

/// Parses the first line of a side; none if the line is another one. A prompt without a line end may precede the prefix.
///
/// # Errors
/// If the line has the prefix but the rest is no `T`.
pub fn parse_handshake<T: DeserializeOwned>(line: &[u8]) -> Option<serde_json::Result<T>> {
    let at = line.windows(MAGIC.len()).position(|window| window == MAGIC.as_bytes())?;
    Some(serde_json::from_slice(&line[at + MAGIC.len()..]))
}

/// A frame for the remote agent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Down {
    /// Asks for a [`Up::Pong`] with this number.
    Ping(u64),
    /// This many bundles have been received since the beginning.
    Ack(u64),
    /// A command for the agent.
    Command(Command),
}

/// A frame for the screen.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Up {
    /// The answer to a ping.
    Pong {
        /// Its number.
        n: u64,
        /// The remote clock when the ping arrived.
        t: Nanos,
    },
    /// The remote agent ends by itself, for this reason.
    Bye(String),
}

/// The content of a line.
#[derive(Clone, Debug, PartialEq)]
pub enum Frame<T> {
    /// A single frame.
    One(T),
    /// A bundle of events, still packed.
    Bundle(Vec<u8>),
    /// A frame of a kind that only newer versions know.
    Unknown,
}

/// A line with a frame, with its line end.
///
/// # Errors
/// If the frame can't be serialised as JSON; every frame can.
pub fn frame(frame: &impl Serialize) -> io::Result<Vec<u8>> {
    Ok(with_checksum(&serde_json::to_string(frame)?))
}

fn with_checksum(content: &str) -> Vec<u8> {
    format!("{:08x} {content}\n", checksum(content.as_bytes())).into_bytes()
}

/// Parses a line without its line end.
///
/// # Errors
/// If the checksum does not fit.
pub fn parse_frame<T: DeserializeOwned>(line: &[u8]) -> Result<Frame<T>, WireError> {
    let (sum, content) = line.split_at_checked(9).ok_or(WireError::Damaged("too short"))?;
    // Compared as text, so that only the one spelling that is sent is accepted.
    if sum != format!("{:08x} ", checksum(content)).as_bytes() {
        return Err(WireError::Damaged("its checksum is another"));
    }
    match content.first() {
        Some(&BUNDLE_MARK) => Ok(Frame::Bundle(content[1..].to_vec())),
        Some(b'{') => Ok(serde_json::from_slice(content).map_or(Frame::Unknown, Frame::One)),
        _ => Ok(Frame::Unknown),
    }
}

/// CRC-32 (IEEE 802.3).
fn checksum(bytes: &[u8]) -> u32 {
    const TABLE: [u32; 16] = {
        let mut table = [0; 16];
        let mut i = 0;
        while i < 16 {
            let (mut value, mut bit) = (i as u32, 0);
            while bit < 4 {
                value = if value & 1 == 1 { (value >> 1) ^ 0xedb8_8320 } else { value >> 1 };
                bit += 1;
            }
            table[i] = value;
            i += 1;
        }
        table
    };
    let step = |sum: u32, nibble: u32| (sum >> 4) ^ TABLE[((sum ^ nibble) & 15) as usize];
    !bytes.iter().fold(!0, |sum, byte| step(step(sum, u32::from(*byte)), u32::from(*byte >> 4)))
}

/// Packs events into bundles. All bundles of a connection are one compressed stream.
pub struct Packer {
    encoder: Encoder<'static, Vec<u8>>,
}

impl Packer {
    /// A packer for a new connection.
    ///
    /// # Errors
    /// If zstd has no memory.
    pub fn new() -> io::Result<Self> {
        Ok(Self { encoder: Encoder::new(Vec::new(), LEVEL)? })
    }

    /// A line, with its line end, of the events from `next`, which is called until it returns none or the bundle is full.
    ///
    /// # Errors
    /// If compression or serialisation fails.
    pub fn pack(&mut self, mut next: impl FnMut() -> Option<Event>) -> io::Result<Vec<u8>> {
        let mut length = 0;
        while length < BUNDLE_BYTES
            && let Some(event) = next()
        {
            let mut line = serde_json::to_vec(&event)?;
            line.push(b'\n');
            length += line.len();
            self.encoder.write_all(&line)?;
        }
        self.encoder.flush()?;
        let packed = std::mem::take(self.encoder.get_mut());
        let mut content = String::with_capacity(1 + packed.len() * 4 / 3 + 4);
        content.push(char::from(BUNDLE_MARK));
        BASE64.encode_append(&packed, &mut content);
        Ok(with_checksum(&content))
    }
}

/// Unpacks the bundles of a [`Packer`] in their order.
pub struct Unpacker {
    decoder: Decoder<'static, UnpackBuffer>,
}

/// Buffer of limited size for the content of a bundle.
#[derive(Default)]
struct UnpackBuffer(Vec<u8>);

impl Write for UnpackBuffer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.0.len() + bytes.len() > MAX_UNPACKED_BYTES {
            return Err(io::Error::other("a bundle that unpacks to too much"));
        }
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Unpacker {
    /// An unpacker for a new connection.
    ///
    /// # Errors
    /// If zstd has no memory.
    pub fn new() -> io::Result<Self> {
        Ok(Self { decoder: Decoder::new(UnpackBuffer::default())? })
    }

    /// The events of a bundle, without those of a kind that only newer versions know.
    ///
    /// # Errors
    /// If it is not what was packed, or a bundle before it is missing.
    pub fn unpack(&mut self, bundle: &[u8]) -> Result<Vec<Event>, WireError> {
        let packed = BASE64.decode(bundle).map_err(|_| WireError::Damaged("no base64"))?;
        let unpacked = self.decoder.write_all(&packed).and_then(|()| self.decoder.flush());
        unpacked.map_err(|_| WireError::Damaged("no bundle of events"))?;
        let text = std::mem::take(&mut self.decoder.get_mut().0);
        let lines = text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
        Ok(lines
            .filter_map(|line| {
                let event = Event::parse(line);
                event.inspect_err(|error| tracing::debug!(%error, "an event of an unknown kind")).ok()
            })
            .collect())
    }
}

/// Splits a stream of bytes into lines.
#[derive(Debug, Default)]
pub struct LineBuffer {
    bytes: Vec<u8>,
    /// Start of the first line that was not returned yet.
    from: usize,
    /// Everything between `from` and here is known to have no line end.
    searched: usize,
}

impl LineBuffer {
    /// Appends received bytes.
    pub fn push(&mut self, bytes: &[u8]) {
        self.bytes.drain(..self.from);
        self.searched -= self.from;
        self.from = 0;
        self.bytes.extend_from_slice(bytes);
    }

    /// The next complete line without its line end.
    ///
    /// # Errors
    /// If it is too long; lines after it are lost.
    pub fn next_line(&mut self) -> Option<Result<&[u8], WireError>> {
        match self.bytes[self.searched..].iter().position(|byte| *byte == b'\n') {
            Some(at) => {
                let (start, end) = (self.from, self.searched + at);
                (self.from, self.searched) = (end + 1, end + 1);
                let line = &self.bytes[start..end];
                if line.len() > MAX_LINE_BYTES {
                    return Some(Err(WireError::TooLong));
                }
                Some(Ok(line.strip_suffix(b"\r").unwrap_or(line)))
            }
            None => {
                self.searched = self.bytes.len();
                (self.bytes.len() - self.from > MAX_LINE_BYTES).then_some(Err(WireError::TooLong))
            }
        }
    }

    /// The bytes after the last complete line.
    pub fn rest(&self) -> &[u8] {
        &self.bytes[self.from..]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        event::{Batches, Body},
        testing::config,
    };
    use proptest::prelude::*;
    use std::collections::VecDeque;

    fn events(n: u64) -> VecDeque<Event> {
        let batches = |i| Batches { run: 1, steady: true, span_ns: i, wall_ns: vec![i; 20], device_ns: vec![] };
        (0..n).map(|t| Event { t, body: Body::Batches(batches(t)) }).collect()
    }

    fn bundle(line: &[u8]) -> Result<Vec<u8>, WireError> {
        match parse_frame::<Up>(line.strip_suffix(b"\n").unwrap_or(line))? {
            Frame::Bundle(bundle) => Ok(bundle),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_checksum_is_the_common_crc_32() {
        assert_eq!(checksum(b"123456789"), 0xcbf4_3926);
    }

    #[test]
    fn the_hello_is_found_after_the_output_of_a_shell() {
        let hello = Hello { versions: Versions::own(), host: "gpu-box".into(), devices: vec![] };
        let text =
            format!("Welcome to gpu-box\r\n\r\nlast login: never\n\nuser$ {}\r\nrest", handshake(&hello).unwrap());
        let mut lines = LineBuffer::default();
        text.as_bytes().chunks(3).for_each(|chunk| lines.push(chunk));
        let mut found = None;
        while let Some(line) = lines.next_line() {
            found = found.or(parse_handshake::<Hello>(line.unwrap()));
        }
        assert_eq!(found.unwrap().unwrap(), hello);
        assert_eq!(lines.rest(), b"rest");
        assert!(parse_handshake::<Hello>(b"wattscope-wire {\"wire\":9}").unwrap().is_err());
    }

    #[test]
    fn versions_are_read_even_if_the_rest_of_the_hello_is_unknown() {
        let line = br#"wattscope-wire {"wire":2,"schema":7,"version":"9.9.9","novel":[1]}"#;
        let versions: Versions = parse_handshake(line).unwrap().unwrap();
        assert_eq!(versions, Versions { wire: 2, schema: 7, version: "9.9.9".into() });
        assert!(!versions.fit(&Versions::own()) && Versions::own().fit(&Versions::own()));
    }

    #[test]
    fn frames_round_trip_and_unknown_ones_are_skipped() {
        let down = [Down::Ping(7), Down::Ack(9), Down::Command(Command::Run { config: config("vgg16", 4) })];
        for sent in down {
            let line = frame(&sent).unwrap();
            assert_eq!(parse_frame(line.strip_suffix(b"\n").unwrap()), Ok(Frame::One(sent)));
        }
        for unknown in [r#"{"novel":1}"#, "[1]", "q"] {
            assert_eq!(parse_frame::<Down>(with_checksum(unknown).strip_suffix(b"\n").unwrap()), Ok(Frame::Unknown));
        }
        for bad in [&b""[..], b"12345678", b"zzzzzzzz {}", b"00000000 {\"ping\":7}"] {
            assert!(parse_frame::<Down>(bad).is_err(), "{}", String::from_utf8_lossy(bad));
        }
    }

    #[test]
    fn bundles_are_bounded_and_unpack_in_their_order_only() {
        let mut waiting = events(3000);
        let sent: Vec<Event> = waiting.iter().cloned().collect();
        let (mut packer, mut unpacker) = (Packer::new().unwrap(), Unpacker::new().unwrap());
        let mut lines = Vec::new();
        while !waiting.is_empty() {
            lines.push(packer.pack(|| waiting.pop_front()).unwrap());
        }
        assert!((2..20).contains(&lines.len()), "{}", lines.len());
        let got = lines.iter().flat_map(|line| unpacker.unpack(&bundle(line).unwrap()).unwrap());
        assert_eq!(got.collect::<Vec<_>>(), sent);
        let mut late = Unpacker::new().unwrap();
        assert!(late.unpack(&bundle(&lines[1]).unwrap()).is_err(), "one is missing");
    }

    #[test]
    fn a_decompression_bomb_is_refused() {
        let mut encoder = Encoder::new(Vec::new(), LEVEL).unwrap();
        (0..MAX_UNPACKED_BYTES / 65536 + 1).for_each(|_| encoder.write_all(&[b' '; 65536]).unwrap());
        encoder.flush().unwrap();
        let bomb = BASE64.encode(encoder.get_ref());
        assert!(bomb.len() < MAX_LINE_BYTES);
        assert!(Unpacker::new().unwrap().unpack(bomb.as_bytes()).is_err());
    }

    #[test]
    fn a_line_without_an_end_is_refused() {
        let mut lines = LineBuffer::default();
        lines.push(&vec![b'x'; MAX_LINE_BYTES]);
        assert!(lines.next_line().is_none());
        lines.push(b"xx");
        assert_eq!(lines.next_line(), Some(Err(WireError::TooLong)));
    }

    proptest! {
        #[test]
        fn lines_do_not_depend_on_how_the_bytes_arrive(text in "[a-z\n]{0,200}", cuts in prop::collection::vec(1usize..9, 1..40)) {
            let mut lines = LineBuffer::default();
            let (mut found, mut rest) = (Vec::new(), text.as_bytes());
            for cut in cuts.iter().cycle() {
                if rest.is_empty() { break }
                let (now, later) = rest.split_at((*cut).min(rest.len()));
                lines.push(now);
                rest = later;
                while let Some(line) = lines.next_line() {
                    found.push(String::from_utf8(line.unwrap().to_vec()).unwrap());
                }
            }
            let mut whole: Vec<_> = text.split('\n').collect();
            let last = whole.pop().unwrap();
            prop_assert_eq!(found, whole);
            prop_assert_eq!(lines.rest(), last.as_bytes());
        }

        #[test]
        fn a_changed_byte_is_detected(n in 1u64..40, at: prop::sample::Index, to: u8) {
            let mut waiting = events(n);
            let mut line = Packer::new().unwrap().pack(|| waiting.pop_front()).unwrap();
            line.pop();
            let at = at.index(line.len());
            prop_assume!(!line[at].eq_ignore_ascii_case(&to) && at != 8);
            line[at] = to;
            prop_assert!(parse_frame::<Up>(&line).is_err());
        }

        #[test]
        fn no_input_makes_it_panic(bytes: Vec<u8>) {
            let _ = parse_frame::<Down>(&bytes);
            let _ = parse_handshake::<Hello>(&bytes);
            let _ = Unpacker::new().unwrap().unpack(&bytes);
            let line = with_checksum(&String::from_utf8_lossy(&bytes));
            let _ = parse_frame::<Up>(&line);
        }
    }
}
