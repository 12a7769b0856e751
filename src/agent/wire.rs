//! What passes between a screen and the far end of a command: lines of text, both ways.
//!
//! The far end begins with a [`Hello`], the screen answers with a [`Welcome`]; whatever a login shell prints before the
//! hello is no part of it. From then on every line is a checksum and a frame. Commands, pings and acknowledgements go down
//! ([`Down`]), answers to pings go up ([`Up`]), and events go up in bundles: JSON lines compressed as one stream from the
//! first bundle to the last, in base64. Text passes through whatever carries text: Slurm hands output on line by line, and
//! a pipe that changes a byte is found out by the checksum.
//!
//! On a network of 21 facts and a run that takes a third of a millisecond a batch the compression is what makes the
//! difference between seconds and a moment at the beginning, and between a tenth of a slow link and none of it later.

use crate::event::{Command, DeviceInfo, Event, Nanos, RunId, SCHEMA};
use data_encoding::BASE64;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use std::io::{self, Write};
use zstd::stream::write::{Decoder, Encoder};

/// Version of the frames: raised when a reader of the old ones would misread the new.
pub const WIRE: u32 = 1;

/// What the first line of either side begins with.
const MAGIC: &str = "wattscope-wire ";

/// Longest line, bytes. A bundle with the facts of the largest network is a hundredth of it.
pub const MOST_LINE: usize = 1 << 20;

/// Events in one bundle, bytes of JSON; one event may be longer.
const BUNDLE: usize = 64 << 10;

/// What a bundle may unpack to at the most, bytes.
const MOST_UNPACKED: usize = 64 << 20;

/// Level of compression: 3 is what zstd takes by itself.
const LEVEL: i32 = 3;

/// What bundles begin with, where other frames begin with a brace.
const BUNDLED: u8 = b'z';

/// What is wrong with what came through the link.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    /// No end of line for a long time.
    #[error("a line of more than {MOST_LINE} bytes")]
    TooLong,
    /// Not what the other side sent.
    #[error("a line that is not what was sent: {0}")]
    Damaged(&'static str),
}

/// The versions that have to be the same on both sides, and that of the program.
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
    /// Those of this program.
    pub fn own() -> Self {
        Self { wire: WIRE, schema: SCHEMA, version: env!("CARGO_PKG_VERSION").to_owned() }
    }

    /// Whether both sides understand each other.
    pub fn fit(&self, other: &Self) -> bool {
        (self.wire, self.schema) == (other.wire, other.schema)
    }
}

/// What the far end says first.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Hello {
    /// Its versions.
    #[serde(flatten)]
    pub versions: Versions,
    /// Name of its host.
    pub host: String,
    /// Its devices: what to measure can be decided before anything runs there.
    pub devices: Vec<DeviceInfo>,
}

/// What the screen answers: how the far agent is to work.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Welcome {
    /// Its versions.
    #[serde(flatten)]
    pub versions: Versions,
    /// Time between sensor readings, ns.
    pub period_ns: u64,
    /// How long idle power is read before the first engine starts, ns.
    pub idle_ns: u64,
    /// Whether to go back to what worked after an out-of-memory.
    pub step_back: bool,
    /// Limit of the engine's data segment on the CPU, bytes.
    pub memory_limit: Option<u64>,
    /// Whether networks run with their batch norms folded.
    pub fold: bool,
    /// The number of the run before the first one.
    pub last_run: RunId,
    /// Seconds without a ping after which nobody listens any more.
    pub silence_s: u32,
    /// The only device that is asked for, where others of the same host have agents of their own.
    #[serde(default)]
    pub only: Option<String>,
    /// Whether no other card of the host has an agent.
    #[serde(default = "alone")]
    pub alone: bool,
}

const fn alone() -> bool {
    true
}

/// The first line of a side, without its end.
pub fn introduce(side: &impl Serialize) -> io::Result<String> {
    Ok(format!("{MAGIC}{}", serde_json::to_string(side)?))
}

/// What the first line of a side says; none if it is not one. The magic word may follow a prompt without an end of line.
///
/// # Errors
/// Where the line has the magic word, and what follows is not what was expected.
pub fn introduced<T: DeserializeOwned>(line: &[u8]) -> Option<serde_json::Result<T>> {
    let at = line.windows(MAGIC.len()).position(|window| window == MAGIC.as_bytes())?;
    Some(serde_json::from_slice(&line[at + MAGIC.len()..]))
}

/// A frame for the far end.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Down {
    /// Answer with this number and your clock.
    Ping(u64),
    /// This many bundles have arrived.
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
        /// The far end's clock when it arrived.
        t: Nanos,
    },
    /// The far end ends by itself: why.
    Bye(String),
}

/// What a line holds.
#[derive(Clone, Debug, PartialEq)]
pub enum Frame<T> {
    /// A frame of its own.
    One(T),
    /// A bundle of events, still packed.
    Bundle(Vec<u8>),
    /// A frame of a kind that this version does not know.
    Unknown,
}

/// A line with a frame, its end included.
///
/// # Errors
/// Those of the serialiser: a frame that is no JSON, of which there is none.
pub fn frame(frame: &impl Serialize) -> io::Result<Vec<u8>> {
    Ok(seal(&serde_json::to_string(frame)?))
}

fn seal(content: &str) -> Vec<u8> {
    format!("{:08x} {content}\n", checksum(content.as_bytes())).into_bytes()
}

/// What a line without its end holds.
///
/// # Errors
/// Where it is not what was sent.
pub fn open<T: DeserializeOwned>(line: &[u8]) -> Result<Frame<T>, WireError> {
    let (sum, content) = line.split_at_checked(9).ok_or(WireError::Damaged("too short"))?;
    let sum = std::str::from_utf8(&sum[..8]).ok().and_then(|sum| u32::from_str_radix(sum, 16).ok());
    if sum != Some(checksum(content)) {
        return Err(WireError::Damaged("its checksum is another"));
    }
    match content.first() {
        Some(&BUNDLED) => Ok(Frame::Bundle(content[1..].to_vec())),
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

/// Packs events: each bundle is compressed with all that went before it in mind.
pub struct Packer {
    encoder: Encoder<'static, Vec<u8>>,
}

impl Packer {
    /// A packer of a new link.
    ///
    /// # Errors
    /// Where zstd has no memory.
    pub fn new() -> io::Result<Self> {
        Ok(Self { encoder: Encoder::new(Vec::new(), LEVEL)? })
    }

    /// A line with the events that `next` gives, its end included; it is asked for as many as a bundle holds.
    ///
    /// # Errors
    /// Those of zstd and of the serialiser.
    pub fn pack(&mut self, mut next: impl FnMut() -> Option<Event>) -> io::Result<Vec<u8>> {
        let mut length = 0;
        while length < BUNDLE
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
        content.push(char::from(BUNDLED));
        BASE64.encode_append(&packed, &mut content);
        Ok(seal(&content))
    }
}

/// Unpacks what a [`Packer`] packed, bundle by bundle.
pub struct Unpacker {
    decoder: Decoder<'static, Unpacked>,
}

/// What came out of a bundle, which may be made to come out without end.
#[derive(Default)]
struct Unpacked(Vec<u8>);

impl Write for Unpacked {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.0.len() + bytes.len() > MOST_UNPACKED {
            return Err(io::Error::other("a bundle that unpacks to too much"));
        }
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Unpacker {
    /// An unpacker of a new link.
    ///
    /// # Errors
    /// Where zstd has no memory.
    pub fn new() -> io::Result<Self> {
        Ok(Self { decoder: Decoder::new(Unpacked::default())? })
    }

    /// The events of a bundle; those of a kind that this version does not know are left out.
    ///
    /// # Errors
    /// Where it is not what was packed, or bundles before it are missing.
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

/// Cuts bytes into lines, as they come.
#[derive(Debug, Default)]
pub struct Lines {
    bytes: Vec<u8>,
    /// Where the first line that was not given yet begins.
    from: usize,
    /// Up to where there is no end of line.
    searched: usize,
}

impl Lines {
    /// Takes what came.
    pub fn push(&mut self, bytes: &[u8]) {
        self.bytes.drain(..self.from);
        self.searched -= self.from;
        self.from = 0;
        self.bytes.extend_from_slice(bytes);
    }

    /// The next whole line without its end.
    ///
    /// # Errors
    /// If it is too long; nothing that comes after it is found.
    pub fn line(&mut self) -> Option<Result<&[u8], WireError>> {
        match self.bytes[self.searched..].iter().position(|byte| *byte == b'\n') {
            Some(at) => {
                let (start, end) = (self.from, self.searched + at);
                (self.from, self.searched) = (end + 1, end + 1);
                let line = &self.bytes[start..end];
                if line.len() > MOST_LINE {
                    return Some(Err(WireError::TooLong));
                }
                Some(Ok(line.strip_suffix(b"\r").unwrap_or(line)))
            }
            None => {
                self.searched = self.bytes.len();
                (self.bytes.len() - self.from > MOST_LINE).then_some(Err(WireError::TooLong))
            }
        }
    }

    /// What came after the last whole line.
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
        match open::<Up>(line.strip_suffix(b"\n").unwrap_or(line))? {
            Frame::Bundle(bundle) => Ok(bundle),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_checksum_is_the_one_that_everybody_has() {
        assert_eq!(checksum(b"123456789"), 0xcbf4_3926);
    }

    #[test]
    fn the_hello_is_found_behind_whatever_a_shell_prints() {
        let hello = Hello { versions: Versions::own(), host: "gpu-box".into(), devices: vec![] };
        let text =
            format!("Welcome to gpu-box\r\n\r\nlast login: never\n\nuser$ {}\r\nrest", introduce(&hello).unwrap());
        let mut lines = Lines::default();
        text.as_bytes().chunks(3).for_each(|chunk| lines.push(chunk));
        let mut found = None;
        while let Some(line) = lines.line() {
            found = found.or(introduced::<Hello>(line.unwrap()));
        }
        assert_eq!(found.unwrap().unwrap(), hello);
        assert_eq!(lines.rest(), b"rest");
        assert!(introduced::<Hello>(b"wattscope-wire {\"wire\":9}").unwrap().is_err());
    }

    #[test]
    fn versions_are_read_of_a_hello_whose_rest_is_unknown() {
        let line = br#"wattscope-wire {"wire":2,"schema":7,"version":"9.9.9","novel":[1]}"#;
        let versions: Versions = introduced(line).unwrap().unwrap();
        assert_eq!(versions, Versions { wire: 2, schema: 7, version: "9.9.9".into() });
        assert!(!versions.fit(&Versions::own()) && Versions::own().fit(&Versions::own()));
    }

    #[test]
    fn frames_arrive_as_they_were_sent_and_unknown_ones_are_passed_over() {
        let down = [Down::Ping(7), Down::Ack(9), Down::Command(Command::Run { config: config("vgg16", 4) })];
        for sent in down {
            let line = frame(&sent).unwrap();
            assert_eq!(open(line.strip_suffix(b"\n").unwrap()), Ok(Frame::One(sent)));
        }
        for unknown in [r#"{"novel":1}"#, "[1]", "q"] {
            assert_eq!(open::<Down>(seal(unknown).strip_suffix(b"\n").unwrap()), Ok(Frame::Unknown));
        }
        for bad in [&b""[..], b"12345678", b"zzzzzzzz {}", b"00000000 {\"ping\":7}"] {
            assert!(open::<Down>(bad).is_err(), "{}", String::from_utf8_lossy(bad));
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
    fn a_bundle_does_not_unpack_without_end() {
        let mut encoder = Encoder::new(Vec::new(), LEVEL).unwrap();
        (0..MOST_UNPACKED / 65536 + 1).for_each(|_| encoder.write_all(&[b' '; 65536]).unwrap());
        encoder.flush().unwrap();
        let bomb = BASE64.encode(encoder.get_ref());
        assert!(bomb.len() < MOST_LINE);
        assert!(Unpacker::new().unwrap().unpack(bomb.as_bytes()).is_err());
    }

    #[test]
    fn a_line_without_an_end_is_given_up() {
        let mut lines = Lines::default();
        lines.push(&vec![b'x'; MOST_LINE]);
        assert!(lines.line().is_none());
        lines.push(b"xx");
        assert_eq!(lines.line(), Some(Err(WireError::TooLong)));
    }

    proptest! {
        #[test]
        fn lines_are_the_same_however_they_come(text in "[a-z\n]{0,200}", cuts in prop::collection::vec(1usize..9, 1..40)) {
            let mut lines = Lines::default();
            let (mut found, mut rest) = (Vec::new(), text.as_bytes());
            for cut in cuts.iter().cycle() {
                if rest.is_empty() { break }
                let (now, later) = rest.split_at((*cut).min(rest.len()));
                lines.push(now);
                rest = later;
                while let Some(line) = lines.line() {
                    found.push(String::from_utf8(line.unwrap().to_vec()).unwrap());
                }
            }
            let mut whole: Vec<_> = text.split('\n').collect();
            let last = whole.pop().unwrap();
            prop_assert_eq!(found, whole);
            prop_assert_eq!(lines.rest(), last.as_bytes());
        }

        #[test]
        fn a_changed_byte_is_found_out(n in 1u64..40, at: prop::sample::Index, to: u8) {
            let mut waiting = events(n);
            let mut line = Packer::new().unwrap().pack(|| waiting.pop_front()).unwrap();
            line.pop();
            let at = at.index(line.len());
            prop_assume!(!line[at].eq_ignore_ascii_case(&to) && at != 8);
            line[at] = to;
            prop_assert!(open::<Up>(&line).is_err());
        }

        #[test]
        fn nothing_that_comes_makes_it_panic(bytes: Vec<u8>) {
            let _ = open::<Down>(&bytes);
            let _ = introduced::<Hello>(&bytes);
            let _ = Unpacker::new().unwrap().unpack(&bytes);
            let sealed = seal(&String::from_utf8_lossy(&bytes));
            let _ = open::<Up>(&sealed);
        }
    }
}
