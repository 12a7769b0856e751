//! The recorder writes a stream to a file, one JSON object a line, on a thread of its own.
//!
//! Every event is handed to the system within [`FLUSH`], so a process that is killed loses no more than that. A file that
//! ends in the middle of a line, or of a compressed block, opens up to its last whole line ([`Reader`]). A disk that is full
//! or too slow ends the recording and nothing else.

use super::{
    facts,
    fleet::Fleet,
    read::{Losses, ReadError, Reader},
};
use crate::{
    agent::AgentHandle,
    event::{Body, Event, FLEET_SCHEMA, Header, Level, Tagged},
    output::{self, Compressed, Compression, NewFile},
};
use jiff::{SignedDuration, Timestamp};
use std::{
    fs::{File, OpenOptions, TryLockError},
    io::{self, ErrorKind, Write},
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
        mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

/// How long an event may wait in the buffer.
pub const FLUSH: Duration = Duration::from_millis(500);

/// Events that may wait for a slow disk: some minutes.
const QUEUE: usize = 16_384;

/// How long [`Recorder::finish`] waits for a disk that hangs.
const FAREWELL: Duration = Duration::from_secs(5);

/// Time between the last event of an interrupted recording and the first event after it. ns.
const PAUSE: i64 = 1_000_000_000;

/// Why a recording did not begin, or ended.
#[derive(Clone, Debug, thiserror::Error)]
pub enum RecordError {
    /// The file exists.
    #[error("{} exists: choose another name, or remove it first", .0.display())]
    Exists(PathBuf),
    /// The file can't be created.
    #[error("{} can't be recorded to: {source}", .path.display())]
    Create {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: Arc<io::Error>,
    },
    /// Another process records to it.
    #[error("{} is being recorded to by another wattscope", .0.display())]
    InUse(PathBuf),
    /// The file can't be written any more, mostly because the disk is full.
    #[error("recording stopped: {}: {source}; what was recorded until then is in it", .path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: Arc<io::Error>,
    },
    /// The file to be continued is not a session.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The disk does not keep up with the stream.
    #[error("recording stopped: the disk is too slow for {}; what was recorded until then is in it", .0.display())]
    TooSlow(PathBuf),
}

impl RecordError {
    /// Whether the reader of a pipe has left, who has seen enough.
    pub fn is_broken_pipe(&self) -> bool {
        matches!(self, Self::Write { source, .. } if source.kind() == ErrorKind::BrokenPipe)
    }
}

/// A recording in progress. Dropping it ends it, as [`Self::finish`] does.
#[derive(Debug)]
pub struct Recorder {
    path: PathBuf,
    /// Offset of the file's clock: added to the times of events. ns.
    shift: i64,
    events: Option<SyncSender<Tagged>>,
    writer: Option<JoinHandle<()>>,
    shared: Arc<Shared>,
    failed: Option<RecordError>,
}

#[derive(Debug, Default)]
struct Shared {
    bytes: AtomicU64,
    failure: Mutex<Option<io::Error>>,
}

impl Recorder {
    /// Begins a recording in a new file, compressed if its name ends in `.zst` or `.gz`. `fleet` is the state of the stream so far: if
    /// the stream has begun already, the recording starts with the facts of that state, at time 0.
    ///
    /// # Errors
    /// If the file holds something or can't be created.
    pub fn create(path: &Path, fleet: &Fleet) -> Result<Self, RecordError> {
        Self::begin(path, false, fleet)
    }

    /// Begins a recording as [`Self::create`] does, whatever the file holds.
    ///
    /// # Errors
    /// If the file can't be written, or another process records to it.
    pub fn overwrite(path: &Path, fleet: &Fleet) -> Result<Self, RecordError> {
        Self::begin(path, true, fleet)
    }

    fn begin(path: &Path, overwrite: bool, fleet: &Fleet) -> Result<Self, RecordError> {
        let file = output::open_stream(path, overwrite).map_err(|error| match error.kind() {
            ErrorKind::AlreadyExists => RecordError::Exists(path.to_owned()),
            ErrorKind::WouldBlock => RecordError::InUse(path.to_owned()),
            _ => RecordError::Create { path: path.to_owned(), source: error.into() },
        })?;
        let began = if fleet.has_begun() { fleet.now() } else { 0 };
        let mut recorder = Self::write_to(file, path, -i64::try_from(began).unwrap_or(i64::MAX))?;
        let all = fleet.iter().flat_map(|(on, state)| facts::of(state).into_iter().map(move |body| (on, body)));
        all.map(|(on, body)| Tagged { station: on, event: Event { t: began, body } })
            .try_for_each(|told| recorder.send(told))?;
        Ok(recorder)
    }

    /// Continues the recording of an interrupted session with the stream of a new agent, from its header on; the times of the
    /// new events follow the old ones. Returns the states in the file, too, and what could not be read. A file with losses is
    /// rewritten without them, and replaced only when the new file is complete. A file of one station that is to have
    /// `several` is rewritten with a header that says so.
    ///
    /// # Errors
    /// If the file is not a session, or can't be written.
    pub fn resume(path: &Path, several: bool) -> Result<(Self, Fleet, Losses), RecordError> {
        let (fleet, losses, was_several) = super::replay::fold_all(path)?;
        let several = several || was_several;
        if !losses.is_empty() || several != was_several {
            rewrite(path, several)?;
        }
        let file = OpenOptions::new().append(true).open(path);
        let failed = |error: io::Error| RecordError::Create { path: path.to_owned(), source: error.into() };
        let file = file.map_err(failed)?;
        if let Err(TryLockError::WouldBlock) = file.try_lock() {
            return Err(RecordError::InUse(path.to_owned()));
        }
        let shift = i64::try_from(fleet.now()).unwrap_or(i64::MAX).saturating_add(PAUSE);
        Ok((Self::write_to(file, path, shift)?, fleet, losses))
    }

    /// Records to a file that is open already.
    pub(crate) fn write_to(file: File, path: &Path, shift: i64) -> Result<Self, RecordError> {
        let failed = |error: io::Error| RecordError::Create { path: path.to_owned(), source: error.into() };
        let shared = Arc::<Shared>::default();
        let (events, receiver) = sync_channel(QUEUE);
        let out = Compressed::new(Counted { file, shared: shared.clone() }, Compression::of(path).0).map_err(failed)?;
        let to = shared.clone();
        let writer = thread::Builder::new().name("recorder".into()).spawn(move || {
            if let Err(error) = write(&receiver, out) {
                *to.failure.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
            }
        });
        let writer = Some(writer.map_err(failed)?);
        Ok(Self { path: path.to_owned(), shift, events: Some(events), writer, shared, failed: None })
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Length of the file so far, bytes.
    pub fn bytes(&self) -> u64 {
        self.shared.bytes.load(Ordering::Relaxed)
    }

    /// An event on the clock of the file, which continues that of the interrupted recording.
    pub fn on_its_clock(&self, event: Event) -> Event {
        shifted(event, self.shift)
    }

    /// Hands an event to the writer; never waits for the disk. An untagged event belongs to the first station.
    ///
    /// # Errors
    /// If the recording has ended because of an error. Every later call returns the same error.
    pub fn send(&mut self, event: impl Into<Tagged>) -> Result<(), RecordError> {
        if let Some(error) = &self.failed {
            return Err(error.clone());
        }
        let Some(events) = &self.events else { return Ok(()) };
        let Tagged { station: on, event } = event.into();
        let error = match events.try_send(Tagged { station: on, event: shifted(event, self.shift) }) {
            Ok(()) => return Ok(()),
            Err(TrySendError::Full(_)) => RecordError::TooSlow(self.path.clone()),
            Err(TrySendError::Disconnected(_)) => self.failure(),
        };
        self.events = None;
        self.failed = Some(error.clone());
        Err(error)
    }

    /// The error that ended the writer.
    fn failure(&mut self) -> RecordError {
        // The writer has dropped its end of the channel, so it is about to end.
        let _ = self.writer.take().map(JoinHandle::join);
        let said = self.shared.failure.lock().unwrap_or_else(PoisonError::into_inner).take();
        let source = said.unwrap_or_else(|| io::Error::other("the recorder's thread ended")).into();
        RecordError::Write { path: self.path.clone(), source }
    }

    /// Writes everything that was sent, closes the file and returns its length in bytes.
    ///
    /// # Errors
    /// If not everything could be written.
    pub fn finish(mut self) -> Result<u64, RecordError> {
        match self.close() {
            Some(error) => Err(error),
            None => Ok(self.bytes()),
        }
    }

    fn close(&mut self) -> Option<RecordError> {
        self.events = None;
        if let Some(error) = self.failed.take() {
            return Some(error);
        }
        let writer = self.writer.take()?;
        let (ended, end) = sync_channel::<()>(1);
        // A disk that hangs must not hang the program: the waiting thread is abandoned.
        let waiter = thread::spawn(move || {
            let _ = writer.join();
            drop(ended);
        });
        if end.recv_timeout(FAREWELL) == Err(RecvTimeoutError::Timeout) {
            return Some(RecordError::TooSlow(self.path.clone()));
        }
        let _ = waiter.join();
        let said = self.shared.failure.lock().unwrap_or_else(PoisonError::into_inner).take();
        said.map(|error| RecordError::Write { path: self.path.clone(), source: error.into() })
    }

    /// Records the events of an agent on their way to the handle that is returned. If the recording fails, a notice in the
    /// stream says so. The recording ends with the stream.
    pub fn tap(mut self, agent: AgentHandle) -> AgentHandle {
        let AgentHandle { commands, mut events } = agent;
        let (sender, receiver) = tokio::sync::mpsc::unbounded_channel();
        tokio::spawn(async move {
            while let Some(event) = events.recv().await {
                let before = self.failed.is_some();
                let sent = self.send(&event);
                let t = event.t;
                if sender.send(event).is_err() {
                    break;
                }
                if let (Err(error), false) = (sent, before) {
                    let text = error.to_string();
                    let _ = sender.send(Event { t, body: Body::Notice { level: Level::Error, text } });
                }
            }
            // The file is closed before the stream ends, so that it is complete for a reader of the stream.
            let _ = tokio::task::spawn_blocking(move || self.finish()).await;
            drop(sender);
        });
        AgentHandle { commands, events: receiver }
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        if let Some(error) = self.close() {
            tracing::error!("{error}");
        }
    }
}

/// An event on the clock of a file. The wall clock of a header becomes that of the file's zero.
pub(crate) fn shifted(Event { t, mut body }: Event, shift: i64) -> Event {
    if let Body::Header(Header { started, .. }) = &mut body
        && let Ok(wall) = started.parse::<Timestamp>()
        && let Ok(zero) = wall.checked_sub(SignedDuration::from_nanos(shift))
    {
        *started = zero.to_string();
    }
    Event { t: t.saturating_add_signed(shift), body }
}

/// Rewrites a file with only its whole lines and, with `several`, with headers that say that there are several stations.
fn rewrite(path: &Path, several: bool) -> Result<(), RecordError> {
    let mut out = Whole::create(path)?;
    for mut tagged in Reader::open(path)?.flatten() {
        if let (Body::Header(header), true) = (&mut tagged.event.body, several) {
            header.schema = FLEET_SCHEMA;
        }
        out.write(&tagged)?;
    }
    out.finish()
}

/// A session file that replaces an existing one only when it is complete.
pub struct Whole {
    path: PathBuf,
    out: Compressed<NewFile>,
}

impl Whole {
    /// Begins the file.
    ///
    /// # Errors
    /// If it can't be created.
    pub fn create(path: &Path) -> Result<Self, RecordError> {
        let out = NewFile::create(path).and_then(|file| Compressed::new(file, Compression::of(path).0));
        Ok(Self { path: path.to_owned(), out: out.map_err(|error| unwritable(path, error))? })
    }

    /// Writes an event.
    ///
    /// # Errors
    /// If it can't be written.
    pub fn write(&mut self, tagged: &Tagged) -> Result<(), RecordError> {
        write_line(&mut self.out, tagged).map_err(|error| unwritable(&self.path, error))
    }

    /// Completes the file and puts it in its place.
    ///
    /// # Errors
    /// If it can't be written.
    pub fn finish(self) -> Result<(), RecordError> {
        let Self { path, out } = self;
        out.finish().and_then(NewFile::finish).map_err(|error| unwritable(&path, error))
    }
}

fn unwritable(path: &Path, error: io::Error) -> RecordError {
    RecordError::Create { path: path.to_owned(), source: error.into() }
}

fn write_line(out: &mut impl Write, tagged: &Tagged) -> io::Result<()> {
    let mut line = serde_json::to_vec(tagged)?;
    line.push(b'\n');
    out.write_all(&line)
}

/// Writes lines until the channel is closed.
fn write(events: &Receiver<Tagged>, mut out: Compressed<Counted>) -> io::Result<()> {
    let mut due: Option<Instant> = None;
    loop {
        let received = match due {
            Some(due) => events.recv_timeout(due.saturating_duration_since(Instant::now())),
            None => events.recv().map_err(|_| RecvTimeoutError::Disconnected),
        };
        match received {
            Ok(event) => {
                write_line(&mut out, &event)?;
                due.get_or_insert_with(|| Instant::now() + FLUSH);
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return output::sync(&out.finish()?.file),
        }
        if due.is_some_and(|due| due <= Instant::now()) {
            out.flush()?;
            due = None;
        }
    }
}

/// A file that publishes its length.
struct Counted {
    file: File,
    shared: Arc<Shared>,
}

impl Write for Counted {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file.write(bytes)?;
        self.shared.bytes.fetch_add(written as u64, Ordering::Relaxed);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}
