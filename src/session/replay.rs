//! A session that can be gone back to: its text in memory, with states along the way from which any moment is folded anew.
//!
//! A recording is loaded into one ([`Tape::load`]); a live screen keeps the last quarter of an hour on one. A [`Cursor`]
//! is a moment on it.

use super::{
    fleet::Fleet,
    read::{Losses, ReadError, Reader, parse},
    state::State,
};
use crate::event::{Nanos, Tagged};
use std::{collections::VecDeque, path::Path};

/// Time after which a state is kept, so that seeking folds no more than this at first.
const SPACING: Nanos = 120_000_000_000;

/// Text after which a state is kept, bytes: what is measured fast takes longer to fold.
const LONGEST: usize = 4 << 20;

/// States that a recording keeps: with more, every second one is let go.
const STATES: usize = 24;

/// Stretches between states that a live screen holds: a quarter of an hour.
const HELD: usize = 8;

/// Text of a recording that is held, bytes: a day.
const MOST_TEXT: usize = 1 << 30;

/// What a whole file of one station, or of several the first, adds up to, and what of the file could not be read.
///
/// # Errors
/// If it is no session that this version reads.
pub fn fold(path: &Path) -> Result<(State, Losses), ReadError> {
    fold_all(path).map(|(fleet, losses, _)| (fleet.into_first(), losses))
}

/// What the stations of a file add up to, what of it could not be read, and whether it says that they are several.
///
/// # Errors
/// If it is no session that this version reads.
pub fn fold_all(path: &Path) -> Result<(Fleet, Losses, bool), ReadError> {
    let mut reader = Reader::open(path)?;
    let mut fleet = Fleet::default();
    reader.by_ref().flatten().for_each(|tagged| fleet.apply(&tagged));
    Ok((fleet, reader.losses().clone(), reader.is_several()))
}

/// A stream held in memory.
#[derive(Debug)]
pub struct Tape {
    stretches: VecDeque<Stretch>,
    /// Time and text after which a state is kept.
    spacing: (Nanos, usize),
    /// Stretches that were let go of, all of them from the front.
    dropped: usize,
    /// Text in all of them, bytes.
    length: usize,
    end: Nanos,
}

/// The stream from one state that was kept to the next.
#[derive(Debug)]
struct Stretch {
    /// The states before its first event.
    start: Fleet,
    /// Its events, one JSON object a line.
    text: Vec<u8>,
}

/// A moment on a tape.
#[derive(Clone, Debug, Default)]
pub struct Cursor {
    /// What the stream had come to.
    pub fleet: Fleet,
    /// Its stretch, counted from the first that ever was.
    stretch: usize,
    /// Bytes of the stretch's text before it.
    offset: usize,
}

impl Default for Tape {
    fn default() -> Self {
        Self { stretches: VecDeque::new(), spacing: (SPACING, LONGEST), dropped: 0, length: 0, end: 0 }
    }
}

impl Tape {
    /// Loads a recording; gives what of it could not be read, too.
    ///
    /// # Errors
    /// If it is no session that this version reads.
    pub fn load(path: &Path) -> Result<(Self, Losses), ReadError> {
        let mut reader = Reader::open(path)?;
        let mut tape = Self::default();
        let mut fleet = Fleet::default();
        while let Some(next) = reader.next() {
            let Ok(event) = next else { continue };
            if tape.length >= MOST_TEXT {
                let reason = format!("a replay holds {} GiB of it", MOST_TEXT >> 30);
                reader.give_up(reason);
                break;
            }
            tape.append(reader.text(), &event, &fleet);
            fleet.apply(&event);
            tape.thin();
        }
        Ok((tape, reader.losses().clone()))
    }

    /// Takes an event of a live stream in, and lets go of the oldest. `before` is what the stream had come to.
    pub fn push(&mut self, event: &Tagged, before: &Fleet) {
        // Events are plain data: they can always be written, and what could not be would only be missing here.
        let Ok(text) = serde_json::to_vec(event) else { return };
        self.append(&text, event, before);
        if self.stretches.len() > HELD {
            self.length -= self.stretches.pop_front().map_or(0, |stretch| stretch.text.len());
            self.dropped += 1;
        }
    }

    fn append(&mut self, text: &[u8], event: &Tagged, before: &Fleet) {
        let (time, most) = self.spacing;
        let long = |stretch: &Stretch| {
            stretch.text.len() + text.len() > most || before.now().saturating_sub(stretch.start.now()) > time
        };
        if self.stretches.back().is_none_or(long) {
            self.stretches.push_back(Stretch { start: before.clone(), text: Vec::new() });
        }
        if let Some(last) = self.stretches.back_mut() {
            last.text.extend_from_slice(text);
            last.text.push(b'\n');
            self.length += text.len() + 1;
        }
        self.end = self.end.max(event.event.t);
    }

    /// Lets go of every second state where there are too many.
    fn thin(&mut self) {
        if self.stretches.len() <= STATES {
            return;
        }
        self.spacing = (self.spacing.0.saturating_mul(2), self.spacing.1.saturating_mul(2));
        let mut all = std::mem::take(&mut self.stretches).into_iter();
        while let Some(mut first) = all.next() {
            first.text.extend(all.next().map(|second| second.text).unwrap_or_default());
            self.stretches.push_back(first);
        }
    }

    /// The earliest moment that can be gone back to.
    pub fn begin(&self) -> Nanos {
        self.stretches.front().map_or(0, |stretch| stretch.start.now())
    }

    /// The latest event's time.
    pub const fn end(&self) -> Nanos {
        self.end
    }

    /// The beginning.
    pub fn first(&self) -> Cursor {
        let fleet = self.stretches.front().map(|stretch| stretch.start.clone()).unwrap_or_default();
        Cursor { fleet, stretch: self.dropped, offset: 0 }
    }

    /// The end, where the stream has come to `fleet`.
    pub fn last(&self, fleet: Fleet) -> Cursor {
        let offset = self.stretches.back().map_or(0, |stretch| stretch.text.len());
        Cursor { fleet, stretch: self.dropped + self.stretches.len().saturating_sub(1), offset }
    }

    /// Moves a cursor on or back, to after the last event that is not later than `t`.
    pub fn seek(&self, cursor: &mut Cursor, t: Nanos) {
        let after = self.stretches.partition_point(|stretch| stretch.start.now() <= t);
        let nearest = self.dropped + after.saturating_sub(1);
        // From where it is, if that is on the way.
        if t < cursor.fleet.now() || cursor.stretch < nearest {
            let Some(stretch) = self.stretches.get(nearest - self.dropped) else { return };
            *cursor = Cursor { fleet: stretch.start.clone(), stretch: nearest, offset: 0 };
        }
        while let Some(event) = self.next(cursor).filter(|(tagged, _)| tagged.event.t <= t) {
            self.take(cursor, event);
        }
    }

    /// The event after a cursor, and the cursor's place after that.
    fn next(&self, cursor: &Cursor) -> Option<(Tagged, (usize, usize))> {
        let (mut number, mut offset) = (cursor.stretch.max(self.dropped), cursor.offset);
        loop {
            let stretch = self.stretches.get(number - self.dropped)?;
            let rest = stretch.text.get(offset..).unwrap_or_default();
            let Some(length) = rest.iter().position(|byte| *byte == b'\n') else {
                // The next stretch, if there is one; the newest may still grow.
                self.stretches.get(number + 1 - self.dropped)?;
                (number, offset) = (number + 1, 0);
                continue;
            };
            offset += length + 1;
            // Every line was an event when it was taken in.
            if let Ok(event) = parse(&rest[..length]) {
                return Some((event, (number, offset)));
            }
        }
    }

    fn take(&self, cursor: &mut Cursor, (event, place): (Tagged, (usize, usize))) {
        cursor.fleet.apply(&event);
        (cursor.stretch, cursor.offset) = place;
    }
}
