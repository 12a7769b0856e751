//! One thread per source, paced by absolute deadlines, so that ticks don't drift. Missed ticks are skipped, not queued.

use super::{
    pause::{PauseDetector, Tick},
    source::{Opened, Source},
    writer::SensorWriter,
};
use crate::{
    clock::Clock,
    event::{Body, Event, Level},
};
use std::{
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, atomic::AtomicU16},
    thread,
    time::{Duration, Instant},
};
use tokio::sync::mpsc::UnboundedSender;

/// How long dropping [`Telemetry`] waits for its threads. A thread that hangs in a driver call is detached.
const STOP_TIMEOUT: Duration = Duration::from_millis(500);

/// Shortest period, so that a source does not spin.
const MIN_PERIOD: Duration = Duration::from_millis(1);

/// The sampler threads of a host. Dropping it stops them.
pub struct Telemetry {
    shared: Arc<Shared>,
}

impl Telemetry {
    /// Samples each of these sources on a thread of its own into `sink`.
    pub fn of(sources: Vec<Box<dyn Source>>, period: Duration, clock: Clock, sink: UnboundedSender<Event>) -> Self {
        let shared = Arc::new(Shared::default());
        let ids = Arc::<AtomicU16>::default();
        for source in sources {
            let (name, period) = (source.name(), source.period(period).max(MIN_PERIOD));
            let out = SensorWriter::new(name, period, clock, sink.clone(), ids.clone());
            let running = Running::new(&shared);
            let spawned = thread::Builder::new().name(name.into()).spawn(move || run(source, out, &running));
            if let Err(error) = spawned {
                let text = format!("the {name} sensors are not read: no thread for them ({error})");
                sink.send(Event { t: clock.now(), body: Body::Notice { level: Level::Error, text } }).ok();
            }
        }
        Self { shared }
    }
}

impl Drop for Telemetry {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        state.stopped = true;
        self.shared.changed.notify_all();
        let ended = self.shared.changed.wait_timeout_while(state, STOP_TIMEOUT, |state| state.running > 0);
        if ended.is_ok_and(|(_, late)| late.timed_out()) {
            tracing::warn!("a sensor did not answer in time and is left behind");
        }
    }
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    stopped: bool,
    running: usize,
}

impl Shared {
    // Both fields are updated in one step each, so a panic of another thread can't leave them inconsistent.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until `deadline`. Returns false as soon as the sampler is to stop.
    fn wait_until(&self, deadline: Instant) -> bool {
        let mut state = self.lock();
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            if state.stopped || left.is_zero() {
                return !state.stopped;
            }
            state = self.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

/// Counts a thread as running until it is dropped, also by a panic.
struct Running(Arc<Shared>);

impl Running {
    fn new(shared: &Arc<Shared>) -> Self {
        shared.lock().running += 1;
        Self(shared.clone())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.lock().running -= 1;
        self.0.changed.notify_all();
    }
}

fn run(mut source: Box<dyn Source>, mut out: SensorWriter, running: &Running) {
    let opened = source.open(&mut out);
    out.flush_sensors();
    if opened == Opened::Nothing {
        return;
    }
    let mut pauses = PauseDetector::new();
    let mut deadline = Instant::now();
    let mut waiting_since = deadline;
    while running.0.wait_until(deadline) && !out.closed() {
        let tick = Tick { waited: waiting_since, due: deadline, now: Instant::now() };
        if let Some(pause) = pauses.tick(tick, out.period()) {
            source.restart();
            let seconds = pause.as_secs_f64();
            out.gap(format!("not read for {seconds:.1} s: the process was stopped, or the host suspended"));
        }
        source.sample(&mut out);
        waiting_since = Instant::now();
        deadline = next(deadline, waiting_since, out.period());
    }
}

/// The first tick after `now` on the grid of `deadline` and `period`.
fn next(deadline: Instant, now: Instant, period: Duration) -> Instant {
    let late = now.saturating_duration_since(deadline).as_nanos();
    let missed = (late / period.as_nanos().max(1)).min(u128::from(u32::MAX - 1)) as u32;
    deadline + period * (missed + 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        event::{Quantity, SensorId},
        telemetry::builder::SensorBuilder,
    };
    use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

    const MS: Duration = Duration::from_millis(1);

    /// Counts its ticks; the first one hangs for the given time.
    struct Ticker {
        id: SensorId,
        ticks: u32,
        hang: Duration,
    }

    impl Source for Ticker {
        fn name(&self) -> &'static str {
            "ticker"
        }

        fn open(&mut self, out: &mut SensorWriter) -> Opened {
            self.id = out.register(SensorBuilder::new("cpu", Quantity::Energy, "ticks"));
            Opened::Sampling
        }

        fn sample(&mut self, out: &mut SensorWriter) {
            thread::sleep(std::mem::take(&mut self.hang));
            self.ticks += 1;
            out.sample(|out| out.write(self.id, f64::from(self.ticks)));
        }
    }

    fn ticker(hang: Duration) -> Box<dyn Source> {
        Box::new(Ticker { id: 0, ticks: 0, hang })
    }

    fn take(events: &mut UnboundedReceiver<Event>, count: usize) -> Vec<Event> {
        (0..count).map(|_| events.blocking_recv().expect("the sampler runs")).collect()
    }

    #[test]
    fn ticks_stay_on_their_grid() {
        let start = Instant::now();
        assert_eq!(next(start, start, 50 * MS), start + 50 * MS);
        assert_eq!(next(start, start + 20 * MS, 50 * MS), start + 50 * MS);
        assert_eq!(next(start, start + 50 * MS, 50 * MS), start + 100 * MS);
        assert_eq!(next(start, start + 170 * MS, 50 * MS), start + 200 * MS);
    }

    #[test]
    fn samples_at_about_its_period_with_rising_timestamps() {
        let (sink, mut events) = unbounded_channel();
        let telemetry = Telemetry::of(vec![ticker(Duration::ZERO)], 5 * MS, Clock::start(), sink);
        let seen = take(&mut events, 41);
        drop(telemetry);
        assert!(seen.is_sorted_by_key(|event| event.t));
        // 39 periods between 40 samples; a busy machine skips ticks, but none comes early for long.
        let span = Duration::from_nanos(seen[40].t - seen[1].t);
        assert!(span > 39 * 5 * MS - 10 * MS, "{span:?}");
    }

    #[test]
    fn numbers_are_unique_across_sources() {
        let (sink, mut events) = unbounded_channel();
        let telemetry = Telemetry::of((0..8).map(|_| ticker(Duration::ZERO)).collect(), 5 * MS, Clock::start(), sink);
        let mut ids = Vec::new();
        while ids.len() < 8 {
            if let Body::Sensors { sensors } = take(&mut events, 1).remove(0).body {
                ids.extend(sensors.into_iter().map(|sensor| sensor.id));
            }
        }
        drop(telemetry);
        ids.sort_unstable();
        assert_eq!(ids, (0..8).collect::<Vec<_>>());
    }

    #[test]
    fn stops_promptly_in_the_middle_of_a_wait() {
        let (sink, mut events) = unbounded_channel();
        let telemetry = Telemetry::of(vec![ticker(Duration::ZERO)], Duration::from_secs(3600), Clock::start(), sink);
        take(&mut events, 2);
        let before = Instant::now();
        drop(telemetry);
        assert!(before.elapsed() < STOP_TIMEOUT, "{:?}", before.elapsed());
        assert!(events.blocking_recv().is_none(), "the thread still holds its sink");
    }

    #[test]
    fn does_not_wait_for_a_hanging_driver() {
        let (sink, mut events) = unbounded_channel();
        let telemetry = Telemetry::of(vec![ticker(Duration::from_secs(20))], 5 * MS, Clock::start(), sink);
        take(&mut events, 1);
        let before = Instant::now();
        drop(telemetry);
        assert!(before.elapsed() < Duration::from_secs(10), "{:?}", before.elapsed());
    }

    #[test]
    fn ends_when_the_receiver_is_gone() {
        let (sink, mut events) = unbounded_channel();
        let telemetry = Telemetry::of(vec![ticker(Duration::ZERO)], MS, Clock::start(), sink);
        take(&mut events, 2);
        drop(events);
        let before = Instant::now();
        while telemetry.shared.lock().running > 0 {
            assert!(before.elapsed() < Duration::from_secs(10));
            thread::sleep(MS);
        }
    }
}
