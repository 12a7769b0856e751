//! The measuring loop, of one station or of several: each does all steps, or they are dealt to whoever is free.
//!
//! Every station has the plan on its own device in its own stream, so that each stream makes sense by itself. Dealt steps
//! are those that no stream says is done. A station that is lost gives its step back, and takes another when it is there
//! again.

use super::{End, Measured, Stepper, done, unfinished};
use crate::{
    agent::fleet::{Addressed, FleetHandle},
    event::{Body, Command, Plan, StationId, Tagged},
    session::{Fleet, Recorder, State, Sweep},
};
use std::{collections::BTreeSet, future::Future, io, time::Duration};

/// How long agents may take to stop.
pub const FAREWELL: Duration = Duration::from_secs(5);

/// Is told how the sweeps of all stations get on.
pub trait Observer {
    /// An event was folded in.
    fn progress(&mut self, fleet: &Fleet);

    /// A step of a station is about to be done; `fleet` still holds its run.
    ///
    /// # Errors
    /// What it prints to may be gone; the sweep then ends.
    fn measured(&mut self, fleet: &Fleet, on: StationId, measured: Measured) -> io::Result<()>;
}

/// What stations are to measure.
#[derive(Debug)]
pub struct Job {
    /// What the streams have come to so far, and at the end.
    pub fleet: Fleet,
    /// Where they are kept, if they are.
    pub recorder: Option<Recorder>,
    workers: Vec<Worker>,
    /// Whether steps are dealt.
    deal: bool,
    /// Whether there is one station only, whichever host that is today.
    alone: bool,
}

/// One agent of the fleet, and what it is about.
#[derive(Debug)]
struct Worker {
    /// The station that its events are those of.
    on: StationId,
    plan: Plan,
    stepper: Stepper,
    /// Whether it is not reached: what it did was given back.
    lost: bool,
    /// Whether it has just come up on another host than before, and so as another station.
    moved: bool,
    idle_after: bool,
}

impl Job {
    /// Agents, each the station of that number, with what each is to measure. Stations that have that plan already go on
    /// with it. `idle_after`: idle power is read at the end.
    pub fn new(fleet: Fleet, recorder: Option<Recorder>, agents: Vec<(StationId, Plan)>, idle_after: bool) -> Self {
        let alone = matches!(agents[..], [(0, _)]) && !fleet.is_several();
        let deal = !alone && agents.iter().any(|(_, plan)| plan.is_shared());
        let worker = |(on, plan): (StationId, Plan)| {
            let stepper = stepper(&fleet[on.into()], &plan, deal, idle_after);
            Worker { on, plan, stepper, lost: false, moved: false, idle_after }
        };
        let workers = agents.into_iter().map(worker).collect();
        Self { fleet, recorder, workers, deal, alone }
    }

    /// Keeps an event of an agent; gives it as one of its station, on the clock of the file.
    fn record(&mut self, mut tagged: Tagged) -> io::Result<Tagged> {
        let Some(worker) = self.workers.get_mut(usize::from(tagged.on)) else { return Ok(tagged) };
        worker.moved = !self.alone && moved(&self.fleet[worker.on.into()], &tagged.event.body);
        if worker.moved {
            worker.on = self.fleet.len() as StationId;
            worker.stepper = stepper(&State::default(), &worker.plan, self.deal, worker.idle_after);
        }
        tagged.on = worker.on;
        let Some(recorder) = &mut self.recorder else { return Ok(tagged) };
        recorder.send(&tagged).map_err(io::Error::other)?;
        Ok(Tagged { on: tagged.on, event: recorder.on_its_clock(tagged.event) })
    }

    /// The first commands to everybody.
    fn begin(&mut self) -> Vec<Addressed> {
        let fleet = &self.fleet;
        let workers = (0..).zip(&mut self.workers);
        let all = workers.flat_map(|(i, worker)| {
            let commands = worker.stepper.begin(&fleet[worker.on.into()]);
            commands.into_iter().map(move |command| Addressed::to(i, command))
        });
        all.collect()
    }

    /// The commands that follow from an event that was folded in.
    fn after(&mut self, tagged: &Tagged) -> Vec<Addressed> {
        let Self { fleet, workers, deal, .. } = self;
        let state = &fleet[tagged.on.into()];
        let mut commands = Vec::new();
        let Some((i, worker)) = workers.iter_mut().enumerate().find(|(_, w)| w.on == tagged.on) else {
            return Vec::new();
        };
        let lost = state.is_lost();
        if *deal && lost && !worker.lost {
            // What it was asked for it would go on with, once it is there again.
            worker.stepper.lose();
            commands.push(Command::Rest { stop_engine: false });
        }
        worker.lost = lost;
        if worker.moved {
            commands.extend(worker.stepper.begin(state));
        }
        commands.extend(worker.stepper.after(state, &tagged.event));
        let mut orders: Vec<_> = commands.into_iter().map(|command| Addressed::to(i as StationId, command)).collect();
        if self.deal {
            orders.extend(self.deal());
        }
        orders
    }

    /// Hands a step to everybody who is free.
    fn deal(&mut self) -> Vec<Addressed> {
        let mut orders = Vec::new();
        if !self.workers.iter().any(|worker| worker.stepper.is_ready() && !worker.lost) {
            return orders;
        }
        let Some(sweep) = self.fleet.shared_sweep() else { return orders };
        let mut taken: BTreeSet<usize> = self.workers.iter().filter_map(|worker| worker.stepper.in_hand()).collect();
        for i in 0..self.workers.len() {
            if !self.workers[i].stepper.is_ready() || self.workers[i].lost {
                continue;
            }
            let state = &self.fleet[self.workers[i].on.into()];
            let commands = match self.choose(&sweep, &taken, i) {
                Some(step) => {
                    taken.insert(step);
                    self.workers[i].stepper.take(state, step)
                }
                None if !sweep.is_on() => {
                    let finish = self.workers[i].stepper.finish(state);
                    [vec![Command::EndSweep], finish].concat()
                }
                // Somebody else has the last ones in hand, and may give them back.
                None => Vec::new(),
            };
            orders.extend(commands.into_iter().map(|command| Addressed::to(i as StationId, command)));
        }
        orders
    }

    /// The step that a worker takes next: the first that nobody has, and that is not hopeless there; one that is hopeless
    /// everywhere is for whoever comes first.
    fn choose(&self, sweep: &Sweep, taken: &BTreeSet<usize>, worker: usize) -> Option<usize> {
        let hopeless = |worker: &Worker, step: usize| {
            let own = self.fleet[worker.on.into()].sweep.as_ref();
            own.is_some_and(|own| own.plan.config(step).is_some_and(|config| own.hopeless(config).is_some()))
        };
        let free = || sweep.to_come().filter(|step| !taken.contains(step));
        let others = || self.workers.iter().filter(|worker| !worker.lost);
        free()
            .find(|step| !hopeless(&self.workers[worker], *step))
            .or_else(|| free().find(|step| others().all(|worker| hopeless(worker, *step))))
    }

    /// Whether there is nothing to wait for any more.
    fn is_over(&self) -> bool {
        let over = |worker: &Worker| worker.stepper.is_over() || self.fleet[worker.on.into()].gone.is_some();
        let complete = || self.fleet.shared_sweep().is_some_and(|sweep| !sweep.is_on());
        self.workers.iter().all(|worker| over(worker) || self.deal && worker.lost && complete())
    }

    /// Whether everything was done.
    fn is_complete(&self) -> bool {
        match self.deal {
            true => self.fleet.shared_sweep().is_some_and(|sweep| !sweep.is_on()),
            false => self.workers.iter().all(|worker| worker.stepper.is_over()),
        }
    }
}

/// Whether an event says that what was one host is another.
fn moved(state: &State, body: &Body) -> bool {
    let (Some(before), Body::Header(now)) = (&state.header, body) else { return false };
    !before.host.is_empty() && !now.host.is_empty() && before.host != now.host
}

/// What goes through the steps of a station.
fn stepper(state: &State, plan: &Plan, deal: bool, idle_after: bool) -> Stepper {
    let known = state.sweep.as_ref().is_some_and(|sweep| sweep.plan == *plan);
    let stepper = if known { Stepper::resuming() } else { Stepper::new(plan.clone(), idle_after) };
    if deal { stepper.dealt() } else { stepper }
}

/// Measures what is to be measured and stops the agents. Ends early when `interrupt` is ready or all agents are gone.
///
/// # Errors
/// Those of the observer and of the recorder.
pub async fn measure(
    mut agents: FleetHandle,
    job: &mut Job,
    interrupt: impl Future<Output = ()>,
    observer: &mut impl Observer,
) -> io::Result<End> {
    let end = tokio::select! {
        biased;
        () = interrupt => Ok(End::Interrupted),
        end = steps(&mut agents, job, observer) => end,
    };
    let last_words = |tagged| {
        // A recorder that has failed has said so.
        if let Ok(tagged) = job.record(tagged) {
            job.fleet.apply(&tagged);
        }
    };
    agents.farewell(FAREWELL, last_words).await;
    let closed = job.recorder.take().map_or(Ok(0), Recorder::finish);
    end.and_then(|end| closed.map(|_| end).map_err(io::Error::other))
}

async fn steps(agents: &mut FleetHandle, job: &mut Job, observer: &mut impl Observer) -> io::Result<End> {
    let mut orders = job.begin();
    if job.deal {
        orders.extend(job.deal());
    }
    loop {
        for order in orders {
            // An agent that is gone says so by an event, or by the end of all.
            let _ = agents.commands.send(order);
        }
        if job.is_over() {
            return Ok(if job.is_complete() { End::Complete } else { End::StreamEnded });
        }
        let Some(tagged) = agents.events.recv().await else {
            return ended(job, observer);
        };
        let tagged = job.record(tagged)?;
        tell(job, &tagged, observer)?;
        job.fleet.apply(&tagged);
        observer.progress(&job.fleet);
        orders = job.after(&tagged);
    }
}

/// The agents have ended: tells the observer of the step of a single one, whose end no event says.
fn ended(job: &Job, observer: &mut impl Observer) -> io::Result<End> {
    if job.is_complete() {
        return Ok(End::Complete);
    }
    if let Some(measured) = unfinished(job.fleet.first()).filter(|_| job.alone) {
        observer.measured(&job.fleet, 0, measured)?;
    }
    Ok(End::StreamEnded)
}

/// Tells the observer of a step that an event ends, one way or the other.
fn tell(job: &Job, tagged: &Tagged, observer: &mut impl Observer) -> io::Result<()> {
    let state = &job.fleet[tagged.on.into()];
    let measured = match &tagged.event.body {
        Body::StepDone { step, outcome } => done(state, *step as usize, outcome),
        Body::Gone { .. } if !job.deal => unfinished(state),
        _ => None,
    };
    measured.map_or(Ok(()), |measured| observer.measured(&job.fleet, tagged.on, measured))
}

/// Tells an observer of what is done in the streams of a file, event by event.
///
/// # Errors
/// Those of the observer.
pub fn recall(fleet: &mut Fleet, tagged: &Tagged, observer: &mut impl Observer) -> io::Result<()> {
    if let (Body::StepDone { step, outcome }, Some(state)) = (&tagged.event.body, fleet.get(tagged.on.into()))
        && let Some(measured) = done(state, *step as usize, outcome)
    {
        observer.measured(fleet, tagged.on, measured)?;
    }
    fleet.apply(tagged);
    Ok(())
}

#[cfg(test)]
mod tests;
