//! The send queue of a link: reports of batches are merged, and on a slow link old sensor readings are dropped. All other
//! events are kept.

use crate::event::{Batches, Body, Event, SensorId};
use std::collections::{BTreeSet, VecDeque};

/// Ticks of sensors in the queue beyond which readings are dropped: a few seconds of every source.
const MAX_TICKS: usize = 200;

/// Batches in one merged report.
const MAX_BATCHES: usize = 100_000;

/// The queued events, oldest first.
#[derive(Debug, Default)]
pub struct Backlog {
    queue: VecDeque<Event>,
    ticks: usize,
    dropped: u64,
    /// Reports of batches since the last reset or pause.
    reports: u64,
}

impl Backlog {
    /// Queues an event.
    pub fn push(&mut self, event: Event) {
        let Event { t, body } = event;
        let body = match body {
            Body::Batches(batches) => Body::Batches(self.merge(batches)),
            body => body,
        };
        match &body {
            Body::Batches(_) => self.reports += 1,
            Body::Reset | Body::Paused { .. } => self.reports = 0,
            _ => {}
        }
        self.ticks += usize::from(is_tick(&body));
        self.queue.push_back(Event { t, body });
        if self.ticks > MAX_TICKS {
            self.drop_old_readings();
        }
    }

    /// Removes the oldest event.
    pub fn pop(&mut self) -> Option<Event> {
        let event = self.queue.pop_front()?;
        self.ticks -= usize::from(is_tick(&event.body));
        Some(event)
    }

    /// Whether the queue is empty.
    pub fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// Readings that were dropped since the last call.
    pub fn dropped(&mut self) -> u64 {
        std::mem::take(&mut self.dropped)
    }

    /// Merges a report with the one before it if only readings lie between them. The counts stay the same.
    fn merge(&mut self, new: Batches) -> Batches {
        // The first report after a reset may have begun before the reset: it counts for neither side and is not merged.
        if self.reports < 2 {
            return new;
        }
        let between = |event: &Event| matches!(event.body, Body::Samples { .. } | Body::Memory(_));
        let Some(at) = self.queue.iter().rposition(|event| !between(event)) else { return new };
        let fits = |old: &Batches| {
            (old.run, old.steady, old.device_ns.is_empty()) == (new.run, new.steady, new.device_ns.is_empty())
                && old.wall_ns.len() + new.wall_ns.len() <= MAX_BATCHES
        };
        match &self.queue[at].body {
            Body::Batches(old) if fits(old) => {}
            _ => return new,
        }
        let Some(Event { body: Body::Batches(old), .. }) = self.queue.remove(at) else { return new };
        let sorted = |old: Vec<u64>, new: Vec<u64>| {
            let mut all = [old, new].concat();
            all.sort_unstable();
            all
        };
        Batches {
            run: new.run,
            steady: new.steady,
            span_ns: old.span_ns.saturating_add(new.span_ns),
            wall_ns: sorted(old.wall_ns, new.wall_ns),
            device_ns: sorted(old.device_ns, new.device_ns),
        }
    }

    /// Drops all readings but the newest of each sensor.
    fn drop_old_readings(&mut self) {
        let mut seen = BTreeSet::<SensorId>::new();
        let (mut kept, mut ticks) = (VecDeque::with_capacity(self.queue.len()), 0);
        while let Some(Event { t, body }) = self.queue.pop_back() {
            let body = match body {
                Body::Samples { values } => {
                    let all = values.len();
                    let new: Vec<_> = values.into_iter().filter(|(id, _)| seen.insert(*id)).collect();
                    self.dropped += (all - new.len()) as u64;
                    if new.is_empty() {
                        continue;
                    }
                    ticks += 1;
                    Body::Samples { values: new }
                }
                body => body,
            };
            kept.push_front(Event { t, body });
        }
        (self.queue, self.ticks) = (kept, ticks);
    }
}

fn is_tick(body: &Body) -> bool {
    matches!(body, Body::Samples { .. })
}

/// Whether an event is sent at once: neither a periodic one nor a long one.
pub fn is_urgent(body: &Body) -> bool {
    !matches!(
        body,
        Body::Samples { .. }
            | Body::Batches(_)
            | Body::Memory(_)
            | Body::Compiling(_)
            | Body::Network(_)
            | Body::Accuracy(_)
            | Body::Idle { .. }
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        agent::wire::Packer,
        event::{Memory, Phase, PhaseChange, Quantity},
        session::State,
        testing::{config, sensor},
    };
    use proptest::prelude::*;

    fn samples(t: u64, id: SensorId) -> Event {
        Event { t, body: Body::Samples { values: vec![(id, t as f64)] } }
    }

    fn batches(t: u64, run: u64, steady: bool, wall_ns: &[u64]) -> Event {
        let span_ns = wall_ns.iter().sum();
        let body = Batches { run, steady, span_ns, wall_ns: wall_ns.to_vec(), device_ns: vec![] };
        Event { t, body: Body::Batches(body) }
    }

    fn all(events: impl IntoIterator<Item = Event>) -> Vec<Event> {
        let mut backlog = Backlog { reports: 2, ..Backlog::default() };
        events.into_iter().for_each(|event| backlog.push(event));
        std::iter::from_fn(|| backlog.pop()).collect()
    }

    #[test]
    fn reports_of_a_run_are_merged_and_nothing_else_is() {
        let memory = Event { t: 2, body: Body::Memory(Memory { run: 1, ..Memory::default() }) };
        let said = all([batches(1, 1, true, &[30, 40]), samples(2, 0), memory.clone(), batches(3, 1, true, &[10, 35])]);
        assert_eq!(said, [samples(2, 0), memory, batches(3, 1, true, &[10, 30, 35, 40])]);
        let apart = [batches(1, 1, false, &[1]), batches(2, 1, true, &[1]), batches(3, 2, true, &[1])];
        assert_eq!(all(apart.clone()), apart);
        let reset = [batches(1, 1, true, &[1]), Event { t: 2, body: Body::Reset }, batches(3, 1, true, &[1])];
        assert_eq!(all(reset.clone()), reset, "what was counted before a reset stays before it");
        let after = all([reset.to_vec(), vec![batches(4, 1, true, &[1]), batches(5, 1, true, &[1])]].concat());
        assert_eq!(after.len(), 4, "and so does what may have begun before it: {after:?}");
    }

    #[test]
    fn on_a_slow_link_only_old_readings_are_dropped() {
        let mut backlog = Backlog::default();
        for t in 0..1000 {
            backlog.push(samples(t, (t % 3) as SensorId));
            if t % 100 == 0 {
                backlog.push(Event { t, body: Body::Reset });
            }
        }
        assert!(backlog.queue.len() <= MAX_TICKS + 10, "{}", backlog.queue.len());
        assert_eq!(backlog.queue.iter().filter(|event| event.body == Body::Reset).count(), 10);
        assert_eq!(backlog.queue.back(), Some(&samples(999, 0)));
        let dropped = backlog.dropped();
        let left = std::iter::from_fn(|| backlog.pop()).filter(|event| is_tick(&event.body)).count() as u64;
        assert_eq!((dropped + left, backlog.dropped(), backlog.ticks), (1000, 0, 0));
    }

    /// Pseudo-random numbers from 0 to 1.
    fn noise() -> impl FnMut() -> f64 {
        let mut state = 7u64;
        move || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 40) as f64 / f64::from(1 << 24)
        }
    }

    /// An engine's report on 50 ms of batches of a third of a millisecond, in its resolution of 0.1 µs.
    fn fast(t: u64, noise: &mut impl FnMut() -> f64) -> Event {
        let mut times = |typical: f64| {
            let mut all: Vec<u64> = (0..150).map(|_| (typical * (1.0 + 0.02 * noise()) / 100.0) as u64 * 100).collect();
            all.sort_unstable();
            all
        };
        let (wall_ns, device_ns) = (times(333_000.0), times(301_000.0));
        Event { t, body: Body::Batches(Batches { run: 1, steady: true, span_ns: 50_000_000, wall_ns, device_ns }) }
    }

    #[test]
    fn a_fast_card_takes_a_small_part_of_a_slow_link() {
        let (mut backlog, mut packer, mut noise) = (Backlog::default(), Packer::new().unwrap(), noise());
        let (mut packed, mut plain) = (0, 0);
        for tick in 0..200_u64 {
            let t = tick * 50_000_000;
            // Fourteen sensors of a card, some of which change with every reading.
            let values =
                (0..14).map(|id| (id, if id < 5 { (600e3 + 20e3 * noise()).round() / 1e3 } else { f64::from(id) }));
            let said = [Event { t, body: Body::Samples { values: values.collect() } }, fast(t, &mut noise)];
            plain += said.iter().map(|event| serde_json::to_vec(event).unwrap().len() + 1).sum::<usize>();
            said.into_iter().for_each(|event| backlog.push(event));
            if tick % 2 == 1 {
                packed += packer.pack(|| backlog.pop()).unwrap().len();
            }
        }
        let rate = |bytes: usize| bytes as f64 / 10.0 / 1e3;
        println!("{:.1} kB/s, {:.1} kB/s as lines", rate(packed), rate(plain));
        assert!(rate(packed) < 20.0, "{} kB/s, {} kB/s as lines", rate(packed), rate(plain));
        assert!(packed * 2 < plain, "{packed} {plain}");
    }

    proptest! {
        #[test]
        fn counts_are_the_same_merged_or_not(reports in prop::collection::vec((1u64..4, 1u64..50, any::<bool>()), 1..60)) {
            let mut stream = vec![Event { t: 0, body: Body::Sensors { sensors: vec![sensor(0, "cpu", Quantity::PowerInstant, None)] } }];
            let mut t = 0;
            for phase in [Phase::WarmingUp, Phase::Steady] {
                stream.push(Event { t, body: Body::Phase(PhaseChange { run: 1, config: config("vgg16", 1), phase, warm_up: None }) });
            }
            for (n, each, read) in reports {
                t += n * each;
                stream.push(batches(t, 1, true, &vec![each; n as usize]));
                if read {
                    stream.push(samples(t, 0));
                }
            }
            let fold = |events: &[Event]| {
                let mut state = State::default();
                events.iter().for_each(|event| state.apply(event));
                state
            };
            let (one, other) = (fold(&stream), fold(&all(stream.clone())));
            prop_assert_eq!(one.current_result(), other.current_result());
        }
    }
}
