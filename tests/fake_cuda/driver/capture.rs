//! What a stream may do while it is captured, and what nobody may do meanwhile: the rules of the driver API's chapter on
//! streams, and of "Creating a Graph Using Stream Capture" in the CUDA C++ Programming Guide.
//!
//! Pure bookkeeping: streams and events are numbers, and what is captured is [`Work`] that nobody does here.

use super::{
    error::{self, Answer, Error},
    work::Work,
};
use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    thread::ThreadId,
};

/// `CUstreamCaptureMode`: whom a capture forbids calls that are potentially unsafe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Every thread.
    Global,
    /// The thread that began it.
    ThreadLocal,
    /// Nobody.
    Relaxed,
}

impl Mode {
    pub fn from_code(code: i32) -> Answer<Self> {
        match code {
            0 => Ok(Self::Global),
            1 => Ok(Self::ThreadLocal),
            2 => Ok(Self::Relaxed),
            _ => Err(error::INVALID_VALUE),
        }
    }
}

/// A stream as captures see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Of {
    pub stream: usize,
    pub context: usize,
    /// It waits for the legacy stream, and that one for it.
    pub blocking: bool,
    pub legacy: bool,
}

/// A node of a graph: its work, and the nodes that it comes after.
#[derive(Clone)]
pub struct Node {
    pub work: Work,
    pub after: Vec<usize>,
}

struct Capture {
    origin: Of,
    mode: Mode,
    thread: ThreadId,
    /// Why nothing can come of it any more.
    broken: Option<String>,
    nodes: Vec<Node>,
}

/// A stream in a capture, or an event recorded in one: the nodes that what comes next comes after.
#[derive(Clone)]
struct Place {
    capture: u64,
    after: Vec<usize>,
}

/// What waiting for an event means.
#[derive(Debug, PartialEq, Eq)]
pub enum Waiting {
    /// An edge of the graph, which is drawn.
    Captured,
    /// Work for the stream.
    Plain,
}

/// All captures of the process.
#[derive(Default)]
pub struct Captures {
    next: u64,
    active: BTreeMap<u64, Capture>,
    streams: HashMap<usize, (Of, Place)>,
    events: HashMap<usize, Place>,
}

impl Captures {
    pub fn begin(&mut self, of: Of, mode: Mode, thread: ThreadId) -> Answer {
        if of.legacy {
            return Err(error::STREAM_CAPTURE_UNSUPPORTED);
        }
        if self.streams.contains_key(&of.stream) {
            return Err(error::ILLEGAL_STATE);
        }
        self.next += 1;
        let place = Place { capture: self.next, after: Vec::new() };
        self.active.insert(self.next, Capture { origin: of, mode, thread, broken: None, nodes: Vec::new() });
        self.streams.insert(of.stream, (of, place));
        Ok(())
    }

    /// Ends the capture that began in this stream.
    ///
    /// # Errors
    /// The capture is over then, too, unless this is not its stream or thread.
    pub fn end(&mut self, stream: usize, thread: ThreadId) -> Answer<Vec<Node>> {
        let place = self.streams.get(&stream).map(|(_, place)| place.clone()).ok_or(error::ILLEGAL_STATE)?;
        let capture = self.active.get(&place.capture).ok_or(error::ILLEGAL_STATE)?;
        if capture.origin.stream != stream {
            return Err(error::STREAM_CAPTURE_UNMATCHED);
        }
        if capture.thread != thread && capture.mode != Mode::Relaxed {
            return Err(error::STREAM_CAPTURE_WRONG_THREAD);
        }
        let capture = self.active.remove(&place.capture).ok_or(error::ILLEGAL_STATE)?;
        self.streams.retain(|_, (_, other)| other.capture != place.capture);
        if capture.broken.is_some() {
            return Err(error::STREAM_CAPTURE_INVALIDATED);
        }
        if !joined(&capture.nodes, &place.after) {
            return Err(error::STREAM_CAPTURE_UNJOINED);
        }
        Ok(capture.nodes)
    }

    /// Takes work for a stream into its capture; gives it back if there is none.
    pub fn collect(&mut self, of: Of, work: Work) -> Answer<Option<Work>> {
        let Some((_, place)) = self.streams.get_mut(&of.stream) else {
            self.implicit(of)?;
            return Ok(Some(work));
        };
        let capture = self.active.get_mut(&place.capture).ok_or(error::ILLEGAL_STATE)?;
        if capture.broken.is_some() {
            return Err(error::STREAM_CAPTURE_INVALIDATED);
        }
        let after = std::mem::replace(&mut place.after, vec![capture.nodes.len()]);
        capture.nodes.push(Node { work, after });
        Ok(None)
    }

    /// An event is recorded in a stream; whether that is part of a capture.
    pub fn record(&mut self, of: Of, event: usize) -> Answer<bool> {
        match self.streams.get(&of.stream) {
            Some((_, place)) => {
                self.events.insert(event, place.clone());
                Ok(true)
            }
            None => {
                self.implicit(of)?;
                self.events.remove(&event);
                Ok(false)
            }
        }
    }

    /// A stream waits for an event, which was recorded before or not.
    pub fn wait(&mut self, of: Of, event: usize, recorded: bool) -> Answer<Waiting> {
        let mark = self.events.get(&event).cloned();
        let here = self.streams.get(&of.stream).map(|(_, place)| place.capture);
        let Some(mark) = mark else {
            return match here {
                Some(capture) if recorded => {
                    Err(self.broke(capture, error::STREAM_CAPTURE_ISOLATION, "waits for an event outside of it"))
                }
                Some(_) => Ok(Waiting::Captured),
                None => self.implicit(of).map(|()| Waiting::Plain),
            };
        };
        if !self.active.contains_key(&mark.capture) {
            return Err(error::CAPTURED_EVENT);
        }
        match here {
            Some(capture) if capture != mark.capture => {
                self.broke(mark.capture, error::STREAM_CAPTURE_MERGE, "another capture waits for its event");
                Err(self.broke(capture, error::STREAM_CAPTURE_MERGE, "waits for an event of another capture"))
            }
            None if of.legacy => {
                Err(self.broke(mark.capture, error::STREAM_CAPTURE_IMPLICIT, "the legacy stream waits for its event"))
            }
            _ => {
                let (_, place) =
                    self.streams.entry(of.stream).or_insert((of, Place { capture: mark.capture, after: Vec::new() }));
                let all: BTreeSet<usize> = place.after.iter().chain(&mark.after).copied().collect();
                place.after = all.into_iter().collect();
                Ok(Waiting::Captured)
            }
        }
    }

    /// The host waits for a stream, or asks whether it is done.
    pub fn synchronize_stream(&mut self, of: Of) -> Answer {
        match self.streams.get(&of.stream).map(|(_, place)| place.capture) {
            Some(capture) => {
                Err(self.broke(capture, error::STREAM_CAPTURE_UNSUPPORTED, "the host waits for a captured stream"))
            }
            None => self.implicit(of),
        }
    }

    /// The host waits for an event, or asks whether it is done.
    pub fn synchronize_event(&mut self, event: usize) -> Answer {
        match self.events.get(&event).map(|mark| mark.capture) {
            Some(capture) => {
                Err(self.broke(capture, error::CAPTURED_EVENT, "the host waits for an event that was recorded in it"))
            }
            None => Ok(()),
        }
    }

    /// The host waits for a context.
    pub fn synchronize_context(&mut self, context: usize) -> Answer {
        let captures: Vec<u64> =
            self.active.iter().filter(|(_, capture)| capture.origin.context == context).map(|(id, _)| *id).collect();
        for capture in &captures {
            self.broke(*capture, error::STREAM_CAPTURE_UNSUPPORTED, "the host waits for the context");
        }
        if captures.is_empty() { Ok(()) } else { Err(error::STREAM_CAPTURE_UNSUPPORTED) }
    }

    /// A call that may wait for the device behind its back, made by a thread with this mode of its own.
    pub fn potentially_unsafe(&mut self, name: &str, thread: ThreadId, own: Mode) -> Answer {
        let forbids = |capture: &Capture| match (own, capture.mode) {
            (Mode::Relaxed, _) | (_, Mode::Relaxed) => false,
            (Mode::Global, Mode::Global) => true,
            _ => capture.thread == thread,
        };
        let captures: Vec<u64> =
            self.active.iter().filter(|(_, capture)| forbids(capture)).map(|(id, _)| *id).collect();
        for capture in &captures {
            self.broke(*capture, error::STREAM_CAPTURE_UNSUPPORTED, &format!("{name} is called meanwhile"));
        }
        if captures.is_empty() { Ok(()) } else { Err(error::STREAM_CAPTURE_UNSUPPORTED) }
    }

    /// Whether a stream is captured: none, active (with the capture's number) or invalidated.
    pub fn status(&self, stream: usize) -> Option<(u64, bool)> {
        let (_, place) = self.streams.get(&stream)?;
        self.active.get(&place.capture).map(|capture| (place.capture, capture.broken.is_none()))
    }

    /// A stream is destroyed: a capture that it is in comes to nothing.
    pub fn forget_stream(&mut self, stream: usize) {
        if let Some((_, place)) = self.streams.remove(&stream) {
            self.broke(place.capture, error::STREAM_CAPTURE_UNJOINED, "a stream of it is destroyed");
            if self.active.get(&place.capture).is_some_and(|capture| capture.origin.stream == stream) {
                self.active.remove(&place.capture);
                self.streams.retain(|_, (_, other)| other.capture != place.capture);
            }
        }
    }

    pub fn forget_event(&mut self, event: usize) {
        self.events.remove(&event);
    }

    /// Work for the legacy stream waits for all blocking streams, and none of them may be captured then.
    fn implicit(&mut self, of: Of) -> Answer {
        if !of.legacy {
            return Ok(());
        }
        let captured =
            |(other, place): &(Of, Place)| (other.blocking && other.context == of.context).then_some(place.capture);
        match self.streams.values().find_map(captured) {
            Some(capture) => {
                Err(self.broke(capture, error::STREAM_CAPTURE_IMPLICIT, "the legacy stream is used meanwhile"))
            }
            None => Ok(()),
        }
    }

    /// Invalidates a capture, and says so where somebody can read it.
    fn broke(&mut self, capture: u64, error: Error, why: &str) -> Error {
        if let Some(capture) = self.active.get_mut(&capture)
            && capture.broken.is_none()
        {
            super::driver().report.finding(&format!("a capture is invalidated: {why} ({})", error.name()));
            capture.broken = Some(why.to_owned());
        }
        error
    }
}

/// Whether everything that was captured comes before one of the last nodes of the first stream, or is one.
fn joined(nodes: &[Node], last: &[usize]) -> bool {
    let mut reached = vec![false; nodes.len()];
    let mut open = last.to_vec();
    while let Some(node) = open.pop() {
        if !std::mem::replace(&mut reached[node], true) {
            open.extend(&nodes[node].after);
        }
    }
    reached.into_iter().all(|reached| reached)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::thread;

    const A: Of = Of { stream: 1, context: 9, blocking: false, legacy: false };
    const B: Of = Of { stream: 2, ..A };
    const BLOCKING: Of = Of { stream: 3, blocking: true, ..A };
    const LEGACY: Of = Of { stream: 4, legacy: true, ..A };

    fn me() -> ThreadId {
        thread::current().id()
    }

    fn other() -> ThreadId {
        thread::spawn(me).join().unwrap()
    }

    fn begun(mode: Mode) -> Captures {
        let mut captures = Captures::default();
        captures.begin(A, mode, me()).unwrap();
        captures
    }

    fn work(captures: &mut Captures, of: Of) -> Answer<bool> {
        captures.collect(of, Work::Nothing).map(|work| work.is_none())
    }

    fn invalidated(mut captures: Captures) -> bool {
        captures.end(A.stream, me()).err() == Some(error::STREAM_CAPTURE_INVALIDATED)
    }

    #[test]
    fn work_of_a_captured_stream_becomes_nodes_in_order() {
        let mut captures = begun(Mode::Global);
        assert_eq!(work(&mut captures, A), Ok(true));
        assert_eq!(work(&mut captures, A), Ok(true));
        assert_eq!(work(&mut captures, B), Ok(false), "another stream goes on as ever");
        let nodes = captures.end(A.stream, me()).unwrap();
        assert_eq!(nodes.iter().map(|node| node.after.clone()).collect::<Vec<_>>(), [vec![], vec![0]]);
        assert_eq!(work(&mut captures, A), Ok(false));
    }

    #[test]
    fn a_second_stream_joins_by_an_event_and_must_come_back() {
        let fork = || {
            let mut captures = begun(Mode::Global);
            work(&mut captures, A).unwrap();
            assert_eq!(captures.record(A, 50), Ok(true));
            assert_eq!(captures.wait(B, 50, false), Ok(Waiting::Captured));
            assert_eq!(work(&mut captures, B), Ok(true));
            captures
        };
        let mut captures = fork();
        assert_eq!(captures.end(B.stream, me()).err(), Some(error::STREAM_CAPTURE_UNMATCHED));
        captures.record(B, 51).unwrap();
        assert_eq!(captures.wait(A, 51, false), Ok(Waiting::Captured));
        work(&mut captures, A).unwrap();
        assert_eq!(captures.end(A.stream, me()).unwrap()[2].after, [0, 1]);
        assert_eq!(fork().end(A.stream, me()).err(), Some(error::STREAM_CAPTURE_UNJOINED));
        // The event stays a captured one until it is recorded again.
        assert_eq!(captures.synchronize_event(51), Err(error::CAPTURED_EVENT));
        assert_eq!(captures.record(A, 51), Ok(false));
        assert_eq!(captures.synchronize_event(51), Ok(()));
    }

    #[test]
    fn waiting_for_what_is_captured_invalidates() {
        let mut captures = begun(Mode::Relaxed);
        assert_eq!(captures.synchronize_stream(B), Ok(()));
        assert_eq!(captures.synchronize_stream(A), Err(error::STREAM_CAPTURE_UNSUPPORTED));
        assert_eq!(work(&mut captures, A), Err(error::STREAM_CAPTURE_INVALIDATED));
        assert!(invalidated(captures));

        let mut captures = begun(Mode::Relaxed);
        captures.record(A, 50).unwrap();
        assert_eq!(captures.synchronize_event(50), Err(error::CAPTURED_EVENT));
        assert!(invalidated(captures));

        let mut captures = begun(Mode::Relaxed);
        assert_eq!(captures.synchronize_context(8), Ok(()));
        assert_eq!(captures.synchronize_context(9), Err(error::STREAM_CAPTURE_UNSUPPORTED));
        assert!(invalidated(captures));
    }

    #[test]
    fn a_mode_says_who_may_make_unsafe_calls() {
        for (mode, own, thread, forbidden) in [
            (Mode::Global, Mode::Global, other(), true),
            (Mode::Global, Mode::ThreadLocal, other(), false),
            (Mode::Global, Mode::ThreadLocal, me(), true),
            (Mode::Global, Mode::Relaxed, me(), false),
            (Mode::ThreadLocal, Mode::Global, other(), false),
            (Mode::ThreadLocal, Mode::Global, me(), true),
            (Mode::Relaxed, Mode::Global, me(), false),
        ] {
            let mut captures = begun(mode);
            let answer = captures.potentially_unsafe("cuMemAlloc_v2", thread, own);
            assert_eq!(answer.is_err(), forbidden, "{mode:?} {own:?}");
            assert_eq!(invalidated(captures), forbidden);
        }
    }

    #[test]
    fn captures_do_not_mix_with_the_rest() {
        let mut captures = begun(Mode::Global);
        assert_eq!(captures.wait(A, 50, false), Ok(Waiting::Captured), "an event that was never recorded is no wait");
        assert_eq!(captures.wait(A, 50, true), Err(error::STREAM_CAPTURE_ISOLATION));
        assert!(invalidated(captures));

        let mut captures = begun(Mode::Global);
        captures.begin(B, Mode::Global, me()).unwrap();
        captures.record(B, 50).unwrap();
        assert_eq!(captures.wait(A, 50, false), Err(error::STREAM_CAPTURE_MERGE));
        assert!(invalidated(captures));
    }

    #[test]
    fn the_legacy_stream_is_neither_captured_nor_used_beside_a_blocking_one() {
        let mut captures = begun(Mode::Global);
        assert_eq!(captures.begin(LEGACY, Mode::Global, me()), Err(error::STREAM_CAPTURE_UNSUPPORTED));
        assert_eq!(captures.begin(A, Mode::Global, me()), Err(error::ILLEGAL_STATE));
        assert_eq!(work(&mut captures, LEGACY), Ok(false), "a stream that does not block has nothing to do with it");
        captures.begin(BLOCKING, Mode::Global, me()).unwrap();
        assert_eq!(work(&mut captures, LEGACY), Err(error::STREAM_CAPTURE_IMPLICIT));
        assert_eq!(captures.end(BLOCKING.stream, me()).err(), Some(error::STREAM_CAPTURE_INVALIDATED));
        assert!(captures.end(A.stream, me()).is_ok());
    }

    #[test]
    fn a_capture_ends_where_it_began() {
        let mut captures = begun(Mode::Global);
        assert_eq!(captures.end(A.stream, other()).err(), Some(error::STREAM_CAPTURE_WRONG_THREAD));
        assert!(captures.end(A.stream, me()).is_ok());
        assert_eq!(captures.end(A.stream, me()).err(), Some(error::ILLEGAL_STATE));
        assert!(begun(Mode::Relaxed).end(A.stream, other()).is_ok());
        let mut captures = begun(Mode::Global);
        captures.forget_stream(A.stream);
        assert_eq!(captures.status(A.stream), None);
    }
}
