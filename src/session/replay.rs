//! Replay: a session in memory in which one can seek, as in a recording.
//!
//! The [`Player`] holds the text of the stream and a state every two minutes; it reaches any moment by folding the events from
//! the state before it. A recording is loaded with [`Player::load`]; a live screen keeps the last quarter of an hour in
//! one. A [`Cursor`] is a position.

use super::{
    fleet::Fleet,
    read::{Losses, ReadError, Reader, parse},
    state::State,
};
use crate::event::{Nanos, Tagged};
use std::{collections::VecDeque, path::Path};

/// Time between two kept states: an upper bound on the time that seeking has to fold. ns.
const SPACING: Nanos = 120_000_000_000;

/// Text between two kept states, bytes: fast batches take more text, and longer to fold.
const LONGEST: usize = 4 << 20;

/// States that a recording keeps. When there are more, every second one is dropped and the spacing is doubled.
const STATES: usize = 24;

/// Segments that a live screen keeps: a quarter of an hour.
const HELD: usize = 8;

/// Text of a recording that is held in memory, bytes: about a day.
const MOST_TEXT: usize = 1 << 30;

/// Folds a whole file: the final state of its first station, and what could not be read.
///
/// # Errors
/// If it is no session that this version reads.
pub fn fold(path: &Path) -> Result<(State, Losses), ReadError> {
    fold_all(path).map(|(fleet, losses, _)| (fleet.into_first(), losses))
}

/// Folds a whole file: the final states of its stations, what could not be read, and whether its header says that there are
/// several stations.
///
/// # Errors
/// If it is no session that this version reads.
pub fn fold_all(path: &Path) -> Result<(Fleet, Losses, bool), ReadError> {
    let mut reader = Reader::open(path)?;
    let mut fleet = Fleet::default();
    reader.by_ref().flatten().for_each(|tagged| fleet.apply(&tagged));
    Ok((fleet, reader.losses().clone(), reader.is_several()))
}

/// A stream in memory.
#[derive(Debug)]
pub struct Player {
    segments: VecDeque<Segment>,
    /// Time and text between two kept states.
    spacing: (Nanos, usize),
    /// Number of segments that were dropped from the front.
    dropped: usize,
    /// Text of all segments, bytes.
    length: usize,
    end: Nanos,
}

/// The stream from one kept state to the next.
#[derive(Debug)]
struct Segment {
    /// The states before its first event.
    start: Fleet,
    /// Its events, one JSON object a line.
    text: Vec<u8>,
}

/// A position in a stream.
#[derive(Clone, Debug, Default)]
pub struct Cursor {
    /// The states at this position.
    pub fleet: Fleet,
    /// Its segment, counted from the first that ever was, dropped ones included.
    segment: usize,
    /// Bytes of the segment's text before it.
    offset: usize,
}

impl Default for Player {
    fn default() -> Self {
        Self { segments: VecDeque::new(), spacing: (SPACING, LONGEST), dropped: 0, length: 0, end: 0 }
    }
}

impl Player {
    /// Loads a recording. Returns what could not be read, too.
    ///
    /// # Errors
    /// If it is no session that this version reads.
    pub fn load(path: &Path) -> Result<(Self, Losses), ReadError> {
        let mut reader = Reader::open(path)?;
        let mut player = Self::default();
        let mut fleet = Fleet::default();
        while let Some(next) = reader.next() {
            let Ok(event) = next else { continue };
            if player.length >= MOST_TEXT {
                let reason = format!("a replay holds {} GiB of it", MOST_TEXT >> 30);
                reader.give_up(reason);
                break;
            }
            player.append(reader.text(), &event, &fleet);
            fleet.apply(&event);
            player.thin();
        }
        Ok((player, reader.losses().clone()))
    }

    /// Appends an event of a live stream and drops the oldest segment if there are too many. `before` are the states before
    /// the event.
    pub fn push(&mut self, event: &Tagged, before: &Fleet) {
        // Events are plain data and can always be serialised.
        let Ok(text) = serde_json::to_vec(event) else { return };
        self.append(&text, event, before);
        if self.segments.len() > HELD {
            self.length -= self.segments.pop_front().map_or(0, |segment| segment.text.len());
            self.dropped += 1;
        }
    }

    fn append(&mut self, text: &[u8], event: &Tagged, before: &Fleet) {
        let (time, most) = self.spacing;
        let long = |segment: &Segment| {
            segment.text.len() + text.len() > most || before.now().saturating_sub(segment.start.now()) > time
        };
        if self.segments.back().is_none_or(long) {
            self.segments.push_back(Segment { start: before.clone(), text: Vec::new() });
        }
        if let Some(last) = self.segments.back_mut() {
            last.text.extend_from_slice(text);
            last.text.push(b'\n');
            self.length += text.len() + 1;
        }
        self.end = self.end.max(event.event.t);
    }

    /// Drops every second state if there are too many.
    fn thin(&mut self) {
        if self.segments.len() <= STATES {
            return;
        }
        self.spacing = (self.spacing.0.saturating_mul(2), self.spacing.1.saturating_mul(2));
        let mut all = std::mem::take(&mut self.segments).into_iter();
        while let Some(mut first) = all.next() {
            first.text.extend(all.next().map(|second| second.text).unwrap_or_default());
            self.segments.push_back(first);
        }
    }

    /// The earliest time that can be reached.
    pub fn begin(&self) -> Nanos {
        self.segments.front().map_or(0, |segment| segment.start.now())
    }

    /// The latest event's time.
    pub const fn end(&self) -> Nanos {
        self.end
    }

    /// The position at the beginning.
    pub fn first(&self) -> Cursor {
        let fleet = self.segments.front().map(|segment| segment.start.clone()).unwrap_or_default();
        Cursor { fleet, segment: self.dropped, offset: 0 }
    }

    /// The position at the end; `fleet` are the states there.
    pub fn last(&self, fleet: Fleet) -> Cursor {
        let offset = self.segments.back().map_or(0, |segment| segment.text.len());
        Cursor { fleet, segment: self.dropped + self.segments.len().saturating_sub(1), offset }
    }

    /// Moves a cursor forwards or backwards, to after the last event that is not later than `t`.
    pub fn seek(&self, cursor: &mut Cursor, t: Nanos) {
        let after = self.segments.partition_point(|segment| segment.start.now() <= t);
        let nearest = self.dropped + after.saturating_sub(1);
        // If the cursor is between the nearest state and `t`, the events after the cursor are enough.
        if t < cursor.fleet.now() || cursor.segment < nearest {
            let Some(segment) = self.segments.get(nearest - self.dropped) else { return };
            *cursor = Cursor { fleet: segment.start.clone(), segment: nearest, offset: 0 };
        }
        while let Some(event) = self.next(cursor).filter(|(tagged, _)| tagged.event.t <= t) {
            self.take(cursor, event);
        }
    }

    /// The event after a cursor, and the position after that event.
    fn next(&self, cursor: &Cursor) -> Option<(Tagged, (usize, usize))> {
        let (mut number, mut offset) = (cursor.segment.max(self.dropped), cursor.offset);
        loop {
            let segment = self.segments.get(number - self.dropped)?;
            let rest = segment.text.get(offset..).unwrap_or_default();
            let Some(length) = rest.iter().position(|byte| *byte == b'\n') else {
                // The next segment, if there is one. The newest segment may still grow.
                self.segments.get(number + 1 - self.dropped)?;
                (number, offset) = (number + 1, 0);
                continue;
            };
            offset += length + 1;
            // Every line was an event when it was appended.
            if let Ok(event) = parse(&rest[..length]) {
                return Some((event, (number, offset)));
            }
        }
    }

    fn take(&self, cursor: &mut Cursor, (event, place): (Tagged, (usize, usize))) {
        cursor.fleet.apply(&event);
        (cursor.segment, cursor.offset) = place;
    }
}
