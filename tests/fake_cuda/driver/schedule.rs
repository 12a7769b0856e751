//! Who does what when: all work that is issued and not done, and a thread for each card that does it.
//!
//! Work waits for what came before it in its stream, for the events that its stream waits for, and for the legacy stream
//! where its stream does. Of what is ready, a card takes what was issued first; or last (`FAKE_CUDA_ORDER=late`), and then
//! as late as it can: a dependency that a program forgot shows as memory that nobody wrote.

use super::{
    clock::Time,
    driver, locked,
    stream::Stream,
    work::{Doing, Work},
};
use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

struct Item {
    stream: Arc<Stream>,
    work: Work,
    after: Vec<u64>,
    issued: Time,
    running: bool,
}

/// What the streams of a context that wait for its legacy stream have to wait for.
#[derive(Default)]
struct Barrier {
    legacy: u64,
    /// The last of each such stream since.
    blocking: HashMap<usize, u64>,
}

#[derive(Default)]
struct State {
    last: u64,
    items: BTreeMap<u64, Item>,
    barriers: HashMap<usize, Barrier>,
    workers: HashSet<usize>,
    waiting: usize,
}

/// All work of the process.
pub struct Schedule {
    state: Mutex<State>,
    changed: Condvar,
    late: bool,
    /// Virtual time of the host, in nanoseconds: what its calls take, and what it waits for.
    host: AtomicU64,
}

/// What a call that issues work takes of the host's time.
const ISSUE: u64 = 2_000;

/// So much work at most is left lying about when work is taken late.
const LATE: usize = 4096;

/// Virtual time may run ahead of real time by so much before a card pauses.
const AHEAD: Duration = Duration::from_millis(2);

impl Schedule {
    pub fn new(late: bool) -> Self {
        Self { state: Mutex::default(), changed: Condvar::new(), late, host: AtomicU64::new(0) }
    }

    /// Gives work to a stream, behind everything that it has, and returns its number.
    pub fn issue(&'static self, stream: &Arc<Stream>, work: Work, extra: Option<u64>) -> u64 {
        let issued = self.host.fetch_add(ISSUE, Ordering::Relaxed) as f64 * 1e-9;
        let mut state = locked(&self.state);
        state.last += 1;
        let ticket = state.last;
        let before = stream.last.swap(ticket, Ordering::AcqRel);
        let mut after: Vec<u64> = extra.into_iter().chain([before]).collect();
        let barrier = state.barriers.entry(stream.of.context).or_default();
        if stream.of.legacy {
            barrier.legacy = ticket;
            after.extend(barrier.blocking.drain().map(|(_, last)| last));
        } else if stream.of.blocking {
            after.push(barrier.legacy);
            barrier.blocking.insert(stream.of.stream, ticket);
        }
        state.items.insert(ticket, Item { stream: Arc::clone(stream), work, after, issued, running: false });
        if state.workers.insert(stream.board) {
            let board = stream.board;
            std::thread::spawn(move || self.work(board));
        }
        self.changed.notify_all();
        ticket
    }

    fn pause<'a>(&self, state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
        self.changed.wait(state).unwrap_or_else(PoisonError::into_inner)
    }

    fn wait_until(&self, mut done: impl FnMut(&State) -> bool) {
        let mut state = locked(&self.state);
        state.waiting += 1;
        self.changed.notify_all();
        while !done(&state) {
            state = self.pause(state);
        }
        state.waiting -= 1;
    }

    /// Waits until a piece of work is done. The host's clock then stands where the work ended.
    pub fn wait(&self, ticket: u64, ended: impl FnOnce() -> Time) {
        self.wait_until(|state| !state.items.contains_key(&ticket));
        self.host_at(ended());
    }

    /// Waits for all work of a card.
    pub fn wait_all(&self, board: usize) {
        self.wait_until(|state| state.items.values().all(|item| item.stream.board != board));
        let end = locked(&driver().boards[board].clock).end();
        self.host_at(end);
    }

    /// Whether a piece of work is done.
    pub fn is_done(&self, ticket: u64) -> bool {
        // A program that polls waits, too: work that is taken late must come.
        self.changed.notify_all();
        let mut state = locked(&self.state);
        let done = !state.items.contains_key(&ticket);
        if !done && self.late {
            state.waiting += 1;
            state = self.pause(state);
            state.waiting -= 1;
        }
        done
    }

    fn host_at(&self, time: Time) {
        self.host.fetch_max((time * 1e9) as u64, Ordering::Relaxed);
    }

    /// The next work of a card: marks it as running.
    fn next(&self, state: &mut State, board: usize) -> Option<u64> {
        if self.late && state.waiting == 0 && state.items.len() < LATE {
            return None;
        }
        let ready = |(ticket, item): (&u64, &Item)| {
            let ready = item.stream.board == board
                && !item.running
                && item.after.iter().all(|before| !state.items.contains_key(before));
            ready.then_some(*ticket)
        };
        let found =
            if self.late { state.items.iter().rev().find_map(ready) } else { state.items.iter().find_map(ready) };
        if let Some(item) = found.and_then(|ticket| state.items.get_mut(&ticket)) {
            item.running = true;
        }
        found
    }

    /// The thread of a card.
    fn work(&self, board: usize) {
        let card = &driver().boards[board];
        let mut pace = Pace::default();
        loop {
            let mut state = locked(&self.state);
            let ticket = loop {
                match self.next(&mut state, board) {
                    Some(ticket) => break ticket,
                    None => {
                        card.activity.idle();
                        state = self.pause(state);
                    }
                }
            };
            let Some(item) = state.items.get(&ticket) else { continue };
            let (stream, work, issued) = (Arc::clone(&item.stream), item.work.clone(), item.issued);
            drop(state);
            card.activity.busy();
            let doing = Doing { board: card, stream: &stream, issued };
            if card.healthy().is_err() {
                work.skip(&doing);
            } else if let Err(error) = work.run(&doing) {
                card.poison(error);
            }
            if !driver().settings.execute {
                pace.keep(locked(&card.clock).end());
            }
            drop(work);
            locked(&self.state).items.remove(&ticket);
            self.changed.notify_all();
        }
    }
}

/// Keeps a card from being faster than it would be: where launches do nothing, they still take their time.
#[derive(Default)]
struct Pace {
    last: Option<(Instant, Time)>,
    ahead: f64,
}

impl Pace {
    fn keep(&mut self, now: Time) {
        let real = Instant::now();
        if let Some((before, at)) = self.last {
            self.ahead = (self.ahead + (now - at) - (real - before).as_secs_f64()).max(0.0);
        }
        self.last = Some((real, now));
        if self.ahead > AHEAD.as_secs_f64() {
            std::thread::sleep(Duration::from_secs_f64(self.ahead));
        }
    }
}
