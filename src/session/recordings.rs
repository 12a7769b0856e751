//! The recordings of a live screen: the one that the user asked for, and an unnamed one that is always made.

use super::{
    fleet::Fleet,
    record::{RecordError, Recorder},
};
use crate::event::{Nanos, Tagged};
use jiff::Timestamp;
use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

/// Unnamed recordings that are kept.
const KEPT: usize = 10;

/// Bytes after which an unnamed recording continues in a new file: ten files take at most 200 MB.
const LIMIT: u64 = 20_000_000;

/// Suffix of the names of unnamed recordings.
const SUFFIX: &str = ".jsonl.zst";

/// Both recordings of a stream.
#[derive(Debug, Default)]
pub struct Recordings {
    rolling: Option<Rolling>,
    named: Option<Named>,
    failures: Vec<RecordError>,
}

#[derive(Debug)]
struct Named {
    recorder: Recorder,
    began: Nanos,
}

/// A finished recording that the user asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finished {
    /// The file.
    pub path: PathBuf,
    /// Its length, bytes.
    pub bytes: u64,
}

impl Recordings {
    /// Begins to record a new stream: to `named`, if there is one, and to an unnamed file in `directory`, if there is one. If
    /// the unnamed recording can't begin, the error is returned and the other one begins all the same.
    pub fn begin(named: Option<Recorder>, directory: Option<&Path>) -> (Self, Option<RecordError>) {
        let rolling = directory.map(|directory| Rolling::begin(directory, LIMIT));
        let (rolling, error) = match rolling.transpose() {
            Ok(rolling) => (rolling, None),
            Err(error) => (None, Some(error)),
        };
        let named = named.map(|recorder| Named { recorder, began: 0 });
        (Self { rolling, named, failures: Vec::new() }, error)
    }

    /// Records an event. `before` are the states before it.
    ///
    /// # Errors
    /// Once, when a recording ends because of an error; the other one goes on.
    pub fn write(&mut self, event: &Tagged, before: &Fleet) -> Result<(), RecordError> {
        if let Some(Err(error)) = self.rolling.as_mut().map(|rolling| rolling.write(event, before)) {
            self.rolling = None;
            return self.write(event, before).and(Err(error));
        }
        if let Some(Err(error)) = self.named.as_mut().map(|named| named.recorder.send(event)) {
            self.named = None;
            self.failures.push(error.clone());
            return Err(error);
        }
        Ok(())
    }

    /// Why recordings that the user asked for are not complete, oldest first: to be said at the end, too, when the screen
    /// that said it at once is gone.
    pub fn failures(&self) -> &[RecordError] {
        &self.failures
    }

    /// When the recording that the user asked for began, on the session's clock; none if there is no such recording.
    pub fn began(&self) -> Option<Nanos> {
        self.named.as_ref().map(|named| named.began)
    }

    /// Begins a recording in a new file in `directory`, named by the time. `fleet` are the states so far.
    ///
    /// # Errors
    /// If the file can't be created.
    pub fn start(&mut self, directory: &Path, fleet: &Fleet) -> Result<PathBuf, RecordError> {
        let path = directory.join(format!("wattscope-{}{SUFFIX}", moment()));
        let recorder = Recorder::create(&path, fleet)?;
        self.named = Some(Named { recorder, began: fleet.now() });
        Ok(path)
    }

    /// Ends the recording that the user asked for; returns none if there is no such recording.
    ///
    /// # Errors
    /// If not everything could be written.
    pub fn stop(&mut self) -> Result<Option<Finished>, RecordError> {
        let Some(Named { recorder, .. }) = self.named.take() else { return Ok(None) };
        let path = recorder.path().to_owned();
        let finished = recorder.finish().map(|bytes| Some(Finished { path, bytes }));
        self.failures.extend(finished.as_ref().err().cloned());
        finished
    }
}

/// The current time, as a part of a file's name.
fn moment() -> String {
    Timestamp::now().strftime("%Y-%m-%dT%H-%M-%SZ").to_string()
}

/// The unnamed recording: one file after the other, each of bounded size and complete by itself; the oldest is removed.
#[derive(Debug)]
struct Rolling {
    directory: PathBuf,
    limit: u64,
    files: u32,
    recorder: Recorder,
}

impl Rolling {
    fn begin(directory: &Path, limit: u64) -> Result<Self, RecordError> {
        fs::create_dir_all(directory).map_err(|error| failed(directory, error))?;
        let recorder = Self::file(directory, 0, &Fleet::default())?;
        Ok(Self { directory: directory.to_owned(), limit, files: 0, recorder })
    }

    /// A new file. Its name contains the process id, so that it is unique, and begins with the time, so that names sort by
    /// time.
    fn file(directory: &Path, number: u32, fleet: &Fleet) -> Result<Recorder, RecordError> {
        let path = directory.join(format!("{}-{}-{number:04}{SUFFIX}", moment(), std::process::id()));
        let recorder = Recorder::create(&path, fleet)?;
        prune(directory);
        Ok(recorder)
    }

    fn write(&mut self, event: &Tagged, before: &Fleet) -> Result<(), RecordError> {
        if self.recorder.bytes() >= self.limit {
            self.files += 1;
            self.recorder = Self::file(&self.directory, self.files, before)?;
        }
        self.recorder.send(event)
    }
}

fn failed(path: &Path, error: io::Error) -> RecordError {
    RecordError::Create { path: path.to_owned(), source: Arc::new(error) }
}

/// Unnamed recordings of a directory, oldest first.
fn unnamed(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten().map(|entry| entry.path());
    let mut files: Vec<_> = entries.filter(|path| path.to_string_lossy().ends_with(SUFFIX)).collect();
    files.sort();
    files
}

/// The newest unnamed recording.
pub fn newest(directory: &Path) -> Option<PathBuf> {
    unnamed(directory).pop()
}

/// Removes all but the newest unnamed recordings, except those that are being written.
fn prune(directory: &Path) {
    let files = unnamed(directory);
    for path in files.iter().take(files.len().saturating_sub(KEPT)) {
        let unused = File::open(path).is_ok_and(|file| file.try_lock().is_ok());
        if unused && let Err(error) = fs::remove_file(path) {
            tracing::warn!("{} could not be removed: {error}", path.display());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        event::{Body, Event, Header, SCHEMA},
        session::replay,
    };

    fn event(t: Nanos, body: Body) -> Tagged {
        Event { t, body }.into()
    }

    fn header() -> Tagged {
        event(0, Body::Header(Header { schema: SCHEMA, host: "bench".into(), ..Header::default() }))
    }

    #[test]
    fn the_last_ten_unnamed_ones_are_kept_and_none_that_is_in_use() {
        let directory = tempfile::tempdir().unwrap();
        let old = |i: u32| directory.path().join(format!("2020-01-01T00-00-{i:02}Z-1-0000{SUFFIX}"));
        (0..15).for_each(|i| fs::write(old(i), "").unwrap());
        fs::write(directory.path().join("mine.txt"), "").unwrap();
        let used = File::open(old(2)).unwrap();
        used.lock().unwrap();
        let (recordings, error) = Recordings::begin(None, Some(directory.path()));
        assert!(error.is_none(), "{error:?}");
        let kept = unnamed(directory.path());
        assert_eq!(kept.len(), 11);
        assert!(kept.contains(&old(2)) && kept.contains(&old(14)) && !kept.contains(&old(5)), "{kept:?}");
        assert!(directory.path().join("mine.txt").exists());
        drop(recordings);
    }

    #[test]
    fn a_full_file_is_continued_in_one_that_makes_sense_by_itself() {
        let directory = tempfile::tempdir().unwrap();
        let mut rolling = Rolling::begin(directory.path(), 1).unwrap();
        let mut fleet = Fleet::default();
        for (i, next) in [header(), event(1, Body::Reset)].iter().enumerate() {
            rolling.write(next, &fleet).unwrap();
            fleet.apply(next);
            while i == 0 && rolling.recorder.bytes() == 0 {
                std::thread::yield_now();
            }
        }
        assert_eq!(rolling.files, 1);
        drop(rolling);
        let files = unnamed(directory.path());
        assert_eq!(files.len(), 2, "{files:?}");
        for file in files {
            let (state, losses) = replay::fold(&file).unwrap();
            assert!(losses.is_empty(), "{losses}");
            assert_eq!(state.header.unwrap().host, "bench");
        }
    }

    #[test]
    fn what_the_user_asked_for_begins_and_ends_when_they_say() {
        let directory = tempfile::tempdir().unwrap();
        let (mut recordings, _) = Recordings::begin(None, None);
        let mut fleet = Fleet::default();
        for next in [header(), event(5_000, Body::Reset)] {
            recordings.write(&next, &fleet).unwrap();
            fleet.apply(&next);
        }
        assert_eq!((recordings.began(), recordings.stop().unwrap()), (None, None));
        let path = recordings.start(directory.path(), &fleet).unwrap();
        assert_eq!(recordings.began(), Some(5_000));
        recordings.write(&event(7_000, Body::Reset), &fleet).unwrap();
        let finished = recordings.stop().unwrap().unwrap();
        assert_eq!((finished.bytes, &finished.path), (fs::metadata(&path).unwrap().len(), &path));
        assert_eq!(replay::fold(&path).unwrap().0.now, 2_000);
        let error = recordings.start(&directory.path().join("no"), &fleet).unwrap_err();
        assert!(error.to_string().contains("can't be recorded to"), "{error}");
    }
    #[test]
    fn a_recording_that_could_not_be_written_is_remembered_until_the_end() {
        let full = File::options().write(true).open("/dev/full").unwrap();
        let recorder = Recorder::write_to(full, Path::new("/dev/full"), 0).unwrap();
        let (mut recordings, _) = Recordings::begin(Some(recorder), None);
        let fleet = Fleet::default();
        let ended = (0..2_000).find_map(|_| {
            std::thread::sleep(std::time::Duration::from_millis(1));
            recordings.write(&header(), &fleet).err()
        });
        assert!(ended.unwrap().to_string().contains("/dev/full"));
        assert!(recordings.write(&header(), &fleet).is_ok() && recordings.began().is_none(), "it is said once");
        assert_eq!((recordings.stop().unwrap(), recordings.failures().len()), (None, 1));
    }
}
