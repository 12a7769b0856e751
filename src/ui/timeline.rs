//! The moment that is shown: now, an earlier moment of a live stream, or the position of a replay.

use super::action::Seek;
use crate::{
    event::{Nanos, Tagged},
    session::{
        Fleet,
        replay::{Cursor, Player},
    },
};
use std::time::Duration;

/// Slowest replay, in multiples of real time.
pub const SLOWEST: f64 = 1.0 / 16.0;

/// Fastest replay, in multiples of real time: a faster one would skip what happens between two frames.
pub const FASTEST: f64 = 256.0;

/// The position of a replay.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Playback {
    /// Whether time passes.
    pub playing: bool,
    /// Speed, in multiples of real time.
    pub speed: f64,
    /// Where it is, ns of the recording's clock.
    pub at: Nanos,
    /// Where it ends, ns of the recording's clock.
    pub end: Nanos,
}

/// What can be shown, and which moment of it is.
#[derive(Debug, Default)]
pub struct Timeline {
    /// The last minutes of a live stream, or a whole recording.
    recorded: Player,
    /// The moment that is shown; none for the newest.
    position: Option<Box<Cursor>>,
    /// The position of a replay; none where the stream is live.
    playback: Option<Playback>,
}

impl Timeline {
    /// A replay of a recording, from `from` on the recording's clock.
    pub fn replay(recorded: Player, from: Nanos, speed: f64) -> Self {
        let mut position = Box::new(recorded.first());
        recorded.seek(&mut position, from);
        let at = position.fleet.now().max(from).min(recorded.end());
        let playback = Playback { playing: true, speed, at, end: recorded.end() };
        Self { recorded, position: Some(position), playback: Some(playback) }
    }

    /// Keeps an event of a live stream; `before` is the state before it.
    pub fn push(&mut self, event: &Tagged, before: &Fleet) {
        self.recorded.push(event, before);
    }

    /// The states at the moment that is shown; `live` are the newest.
    pub fn shown<'a>(&'a self, live: &'a Fleet) -> &'a Fleet {
        self.position.as_ref().map_or(live, |position| &position.fleet)
    }

    /// Whether the newest moment is shown.
    pub const fn is_live(&self) -> bool {
        self.position.is_none()
    }

    /// The position of a replay; none where the stream is live.
    pub const fn playback(&self) -> Option<&Playback> {
        self.playback.as_ref()
    }

    /// Whether a replay is playing: time passes without events.
    pub fn is_playing(&self) -> bool {
        self.playback.is_some_and(|playback| playback.playing)
    }

    /// Whether the view stands still.
    pub fn is_frozen(&self) -> bool {
        !self.is_live() && !self.is_playing()
    }

    /// Plays on by so much real time.
    pub fn advance(&mut self, elapsed: Duration) {
        let (Some(playback), Some(position)) = (&mut self.playback, &mut self.position) else { return };
        if playback.playing {
            let nanos = elapsed.as_secs_f64() * playback.speed * 1e9;
            playback.at = playback.at.saturating_add(nanos as Nanos).min(playback.end);
            playback.playing = playback.at < playback.end;
            self.recorded.seek(position, playback.at);
        }
    }

    /// Freezes or unfreezes the view; pauses or resumes a replay, from its beginning where it is at its end.
    pub fn toggle_freeze(&mut self, live: &Fleet) {
        if let Some(playback) = self.playback {
            if playback.at == playback.end {
                self.seek(Seek::Begin, live);
            }
            self.playback = Some(Playback { at: self.now(live), playing: !playback.playing, ..playback });
            return;
        }
        self.position = match self.position.take() {
            Some(_) => None,
            None => Some(Box::new(self.recorded.last(live.clone()))),
        };
    }

    /// Shows another moment of what is held and freezes there; a replay plays on from there. Gives the time that is held, ns,
    /// where a live stream was sought back to its earliest moment.
    pub fn seek(&mut self, seek: Seek, live: &Fleet) -> Option<Nanos> {
        let (begin, end) = (self.recorded.begin(), self.recorded.end());
        let by = |seconds: i64| self.now(live).saturating_add_signed(seconds.saturating_mul(1_000_000_000));
        let to = match seek {
            Seek::By(seconds) => by(seconds).clamp(begin, end),
            Seek::Begin => begin,
            Seek::End => end,
        };
        let mut position = self.position.take().unwrap_or_else(|| Box::new(self.recorded.last(live.clone())));
        self.recorded.seek(&mut position, to);
        self.position = Some(position);
        match &mut self.playback {
            Some(playback) => playback.at = to,
            None if to == begin && to < end => return Some(end - begin),
            None => {}
        }
        None
    }

    /// Changes the speed of a replay by a factor; gives false where the stream is live.
    pub fn change_speed(&mut self, by: f64) -> bool {
        let Some(playback) = &mut self.playback else { return false };
        playback.speed = (playback.speed * by).clamp(SLOWEST, FASTEST);
        true
    }

    /// The moment that is shown, ns.
    fn now(&self, live: &Fleet) -> Nanos {
        self.playback.map_or_else(|| self.shown(live).now(), |playback| playback.at)
    }
}
