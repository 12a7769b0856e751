//! A recording beside something that goes on without it: a sweep, or a measurement of layers.

use super::record::{RecordError, Recorder};
use crate::event::{Event, Tagged};

/// A recorder, if there is one, and the error that has ended it, if one has.
#[derive(Debug, Default)]
pub struct Recording {
    recorder: Option<Recorder>,
    error: Option<RecordError>,
}

impl From<Option<Recorder>> for Recording {
    fn from(recorder: Option<Recorder>) -> Self {
        Self { recorder, error: None }
    }
}

impl Recording {
    /// Records an event. Returns the error that ends the recording, once; nothing is recorded after that.
    pub fn send(&mut self, event: impl Into<Tagged>) -> Option<&RecordError> {
        let sent = self.recorder.as_mut()?.send(event);
        sent.err().and_then(|error| self.ended(error))
    }

    /// An event on the clock of the file, which goes on even if nothing more is written to the file.
    pub fn on_its_clock(&self, event: Event) -> Event {
        match &self.recorder {
            Some(recorder) => recorder.on_its_clock(event),
            None => event,
        }
    }

    /// Completes the file. Returns the error if not everything could be written and that is not known yet.
    pub fn finish(&mut self) -> Option<&RecordError> {
        let error = self.recorder.take()?.finish().err()?;
        self.ended(error)
    }

    /// Why the recording is not complete; none where it is, or where there is no recording.
    pub const fn error(&self) -> Option<&RecordError> {
        self.error.as_ref()
    }

    /// Keeps the first error; a recorder returns it again and again.
    fn ended(&mut self, error: RecordError) -> Option<&RecordError> {
        let first = self.error.is_none();
        let error = self.error.get_or_insert(error);
        first.then_some(error)
    }
}
