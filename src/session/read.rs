//! The reader of session files. A damaged or truncated file is read as far as possible, and the losses are reported.
//!
//! No file, whatever its content, makes the reader panic, loop for ever or take more memory than a line and zstd's window.

use crate::event::{Body, Event, FLEET_SCHEMA, Nanos, SCHEMA, Tagged};
use flate2::bufread::MultiGzDecoder;
use serde::Deserialize;
use std::{
    fmt,
    fs::File,
    io::{self, BufRead, BufReader, Read},
    path::{Path, PathBuf},
    sync::Arc,
};
use zstd::stream::read::Decoder;

/// The path that stands for standard input.
const STANDARD_INPUT: &str = "-";

/// Longest line that is read, bytes: four times the line of a network of a thousand layers.
const MOST_LINE: usize = 1 << 20;

/// Bytes of a longer line that are skipped to find its end, before the file is given up.
const MOST_SKIPPED: usize = 64 << 20;

/// Lines that are no events, before the file is given up.
const MOST_DAMAGED: u64 = 1_000;

/// Logarithm of the largest window of the decompressor: 32 MiB, as written by `zstd --ultra -20`.
const MOST_WINDOW: u32 = 25;

/// Latest time of an event, 146 years: a later time is damaged, and sums of it would overflow. ns.
const LATEST: Nanos = 1 << 62;

/// Magic number of a zstd frame.
const ZSTD: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];

/// Magic number of a gzip member.
const GZIP: [u8; 2] = [0x1f, 0x8b];

/// Why a file can't be read as a session.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ReadError {
    /// It can't be opened or read.
    #[error("{} can't be read: {source}", .path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: Arc<io::Error>,
    },
    /// Its first line is not a header.
    #[error("{} is no recording of wattscope: {reason}", .path.display())]
    NotASession {
        /// The file.
        path: PathBuf,
        /// What is wrong with its first line.
        reason: String,
    },
    /// It was written by a later version.
    #[error("{} has schema {found}, and this version reads {SCHEMA} and {FLEET_SCHEMA}: a newer wattscope opens it", .path.display())]
    Schema {
        /// The file.
        path: PathBuf,
        /// Its schema.
        found: u32,
    },
}

/// Something in a file that could not be read. The reader goes on after the first two kinds.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Damage {
    /// A line is no event.
    #[error("line {line} is no event: {reason}")]
    Line {
        /// Its number, from 1.
        line: u64,
        /// What is wrong with it.
        reason: String,
    },
    /// A line is an event of a kind that this version does not know.
    #[error("line {line} is of a kind that this version does not know: {reason}")]
    Unknown {
        /// Its number, from 1.
        line: u64,
        /// What is unknown about it.
        reason: String,
    },
    /// The file ends in the middle of a line, as after a kill.
    #[error("the file ends in the middle of line {line}")]
    Truncated {
        /// Its number, from 1.
        line: u64,
    },
    /// The rest of the file can't be decompressed or read.
    #[error("the file can't be read beyond line {line}: {reason}")]
    Unreadable {
        /// Number of the last whole line.
        line: u64,
        /// The error.
        reason: String,
    },
    /// The rest of the file was not read, because too much was wrong.
    #[error("the file was given up at line {line}: {reason}")]
    GivenUp {
        /// Number of the line.
        line: u64,
        /// Why.
        reason: String,
    },
}

/// What could not be read of a file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Losses {
    /// Lines that are no events.
    pub damaged: u64,
    /// Events of kinds that this version does not know.
    pub unknown: u64,
    /// The first thing that could not be read.
    pub first: Option<Damage>,
    /// Why the file was not read to its end.
    pub end: Option<Damage>,
}

impl Losses {
    /// Whether everything was read.
    pub const fn is_empty(&self) -> bool {
        self.first.is_none()
    }

    fn add(&mut self, damage: &Damage) {
        match damage {
            Damage::Line { .. } => self.damaged += 1,
            Damage::Unknown { .. } => self.unknown += 1,
            _ => self.end = Some(damage.clone()),
        }
        self.first.get_or_insert_with(|| damage.clone());
    }
}

impl fmt::Display for Losses {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines = |n: u64, what: &str| (n > 0).then(|| format!("{n} {what}{}", if n == 1 { "" } else { "s" }));
        let counts = [lines(self.damaged, "damaged line"), lines(self.unknown, "unknown event")];
        let mut parts: Vec<String> = counts.into_iter().flatten().collect();
        match &self.first {
            Some(first) if Some(first) != self.end.as_ref() => parts.push(format!("first: {first}")),
            _ => {}
        }
        parts.extend(self.end.as_ref().map(ToString::to_string));
        f.write_str(&parts.join("; "))
    }
}

/// Whether a path stands for standard input.
pub fn is_standard_input(path: &Path) -> bool {
    path == Path::new(STANDARD_INPUT)
}

/// A path as it is shown to people and in reports.
pub fn shown(path: &Path) -> &Path {
    if is_standard_input(path) { Path::new("standard input") } else { path }
}

/// An iterator over the events of a session file; the first one is a header.
pub struct Reader {
    lines: Box<dyn BufRead + Send>,
    /// The line being read.
    text: Vec<u8>,
    /// Its number, from 1.
    number: u64,
    first: Option<Tagged>,
    several: bool,
    losses: Losses,
    ended: bool,
}

impl fmt::Debug for Reader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reader").field("number", &self.number).field("losses", &self.losses).finish_non_exhaustive()
    }
}

/// The result of reading a line.
enum Line {
    Whole,
    TooLong,
    End,
    Broken(Damage),
}

impl Reader {
    /// Opens a file, or standard input where the path is `-`, compressed or not, and reads its header.
    ///
    /// # Errors
    /// If it can't be read, is no session, or is one of a later schema.
    pub fn open(path: &Path) -> Result<Self, ReadError> {
        if is_standard_input(path) {
            return Self::of(io::stdin(), shown(path));
        }
        let failed = |error: io::Error| ReadError::Io { path: path.to_owned(), source: error.into() };
        let file = File::open(path).map_err(failed)?;
        if file.metadata().map_err(failed)?.is_dir() {
            return Err(failed(io::ErrorKind::IsADirectory.into()));
        }
        Self::of(file, path)
    }

    /// Reads a session from any source of bytes; `path` is only for errors.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn of(bytes: impl Read + Send + 'static, path: &Path) -> Result<Self, ReadError> {
        let failed = |error: io::Error| ReadError::Io { path: path.to_owned(), source: error.into() };
        let mut plain = BufReader::with_capacity(1 << 17, bytes);
        let begin = plain.fill_buf().map_err(failed)?;
        let (zstd, gzip) = (begin.starts_with(&ZSTD), begin.starts_with(&GZIP));
        let lines: Box<dyn BufRead + Send> = if zstd {
            let mut decoder = Decoder::with_buffer(plain).map_err(failed)?;
            decoder.window_log_max(MOST_WINDOW).map_err(failed)?;
            Box::new(BufReader::with_capacity(1 << 17, decoder))
        } else if gzip {
            Box::new(BufReader::with_capacity(1 << 17, MultiGzDecoder::new(plain)))
        } else {
            Box::new(plain)
        };
        let mut reader = Self {
            lines,
            text: Vec::new(),
            number: 0,
            first: None,
            several: false,
            losses: Losses::default(),
            ended: false,
        };
        reader.first = Some(reader.header(path)?);
        Ok(reader)
    }

    /// Whether the header says that there are several stations.
    pub const fn is_several(&self) -> bool {
        self.several
    }

    /// What could not be read so far.
    pub const fn losses(&self) -> &Losses {
        &self.losses
    }

    /// The line of the last event, without its line feed.
    pub fn text(&self) -> &[u8] {
        &self.text
    }

    /// Stops reading, and adds the reason to the losses.
    pub fn give_up(&mut self, reason: String) {
        self.losses.add(&Damage::GivenUp { line: self.number, reason });
        self.ended = true;
    }

    fn header(&mut self, path: &Path) -> Result<Tagged, ReadError> {
        /// The part of a header that every version has.
        #[derive(Deserialize)]
        struct Version {
            r#type: String,
            schema: u32,
        }
        let not = |reason: String| ReadError::NotASession { path: path.to_owned(), reason };
        match self.read_line() {
            Line::Whole => {}
            Line::TooLong => return Err(not("its first line is no header".to_owned())),
            Line::End => return Err(not("it is empty".to_owned())),
            Line::Broken(damage) => return Err(not(damage.to_string())),
        }
        let version = serde_json::from_slice::<Version>(&self.text).ok().filter(|v| v.r#type == "header");
        match version {
            None => Err(not("its first line is no header".to_owned())),
            Some(version) if !known(version.schema) => {
                Err(ReadError::Schema { path: path.to_owned(), found: version.schema })
            }
            Some(version) => {
                self.several = version.schema == FLEET_SCHEMA;
                parse(&self.text)
                    .map_err(|(_, reason)| not(format!("its first line is no header that makes sense: {reason}")))
            }
        }
    }

    /// Reads the next line into `self.text`, without its line feed.
    fn read_line(&mut self) -> Line {
        self.text.clear();
        let mut limited = self.lines.as_mut().take(MOST_LINE as u64 + 1);
        if let Err(error) = limited.read_until(b'\n', &mut self.text) {
            // A compressed file that was cut off: only its end is missing.
            let cut = error.kind() == io::ErrorKind::UnexpectedEof;
            return Line::Broken(match cut {
                true => Damage::Truncated { line: self.number + 1 },
                false => Damage::Unreadable { line: self.number, reason: error.to_string() },
            });
        }
        match self.text.pop() {
            None => return Line::End,
            Some(b'\n') => {}
            Some(_) if self.text.len() == MOST_LINE => return self.skip_line(),
            Some(_) => return Line::Broken(Damage::Truncated { line: self.number + 1 }),
        }
        self.number += 1;
        Line::Whole
    }

    /// Skips the rest of a line that is too long.
    fn skip_line(&mut self) -> Line {
        for _ in 0..MOST_SKIPPED / MOST_LINE {
            self.text.clear();
            let mut limited = self.lines.as_mut().take(MOST_LINE as u64);
            let read = limited.read_until(b'\n', &mut self.text);
            if self.text.last() == Some(&b'\n') {
                self.text.clear();
                self.number += 1;
                return Line::TooLong;
            }
            if read.is_err() || self.text.is_empty() {
                return Line::Broken(Damage::Truncated { line: self.number + 1 });
            }
        }
        let reason = format!("it is longer than {} MiB", MOST_SKIPPED >> 20);
        Line::Broken(Damage::GivenUp { line: self.number + 1, reason })
    }

    fn next_event(&mut self) -> Option<Result<Tagged, Damage>> {
        let line = self.number + 1;
        Some(Err(match self.read_line() {
            Line::Whole => match parse(&self.text) {
                Ok(event) => return Some(Ok(event)),
                Err((true, reason)) => Damage::Unknown { line, reason },
                Err((false, reason)) => Damage::Line { line, reason },
            },
            Line::TooLong => Damage::Line { line, reason: format!("it is longer than {} MiB", MOST_LINE >> 20) },
            Line::End => return None,
            Line::Broken(damage) => damage,
        }))
    }
}

impl Iterator for Reader {
    type Item = Result<Tagged, Damage>;

    fn next(&mut self) -> Option<Self::Item> {
        if let Some(first) = self.first.take() {
            return Some(Ok(first));
        }
        if self.ended {
            return None;
        }
        let mut next = self.next_event();
        if self.losses.damaged + self.losses.unknown >= MOST_DAMAGED && matches!(next, Some(Err(_))) {
            let reason = format!("{MOST_DAMAGED} lines before it are no events");
            next = Some(Err(Damage::GivenUp { line: self.number, reason }));
        }
        if let Some(Err(damage)) = &next {
            self.losses.add(damage);
        }
        self.ended = next.is_none() || self.losses.end.is_some();
        next
    }
}

/// Whether this version reads a schema.
const fn known(schema: u32) -> bool {
    matches!(schema, SCHEMA | FLEET_SCHEMA)
}

/// Parses a line. The error says whether it is an event of a later version, and what is wrong with it.
pub(super) fn parse(text: &[u8]) -> Result<Tagged, (bool, String)> {
    /// The part that every event of every version has.
    #[derive(Deserialize)]
    struct Stub {
        #[serde(rename = "t")]
        _t: Nanos,
        r#type: String,
    }
    match Tagged::parse(text) {
        Ok(tagged) if tagged.event.t > LATEST => Err((false, format!("its time, {} ns, is not one", tagged.event.t))),
        Ok(Tagged { event: Event { body: Body::Header(header), .. }, .. }) if !known(header.schema) => {
            Err((true, format!("a header of schema {}", header.schema)))
        }
        Ok(tagged) => Ok(tagged),
        Err(error) => match serde_json::from_slice::<Stub>(text) {
            Ok(stub) => Err((true, format!("{}: {error}", stub.r#type.chars().take(40).collect::<String>()))),
            Err(_) => Err((false, error.to_string())),
        },
    }
}
