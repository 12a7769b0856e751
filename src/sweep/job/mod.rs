//! The measuring loop over one station or several. Each station does all steps, or the steps are distributed: an idle worker
//! takes the next one.
//!
//! Every station has the plan, on its own device, in its own stream, so that each stream makes sense by itself. A step is
//! pending until some stream says that it is done. When a station is lost, its step is pending again; when the station is
//! back, it takes another.

use super::stepper::Stepper;
use crate::{
    agent::fleet::{Addressed, FleetHandle},
    event::{Body, Command, Plan, StationId, Tagged},
    session::{
        Fleet, Recorder, Recording, State, Sweep,
        measured::{Measured, done, unfinished},
        record::RecordError,
    },
};
use std::{collections::BTreeSet, future::Future, io, time::Duration};

/// How long to wait for agents to stop.
pub const FAREWELL: Duration = Duration::from_secs(5);

/// An observer of the sweeps of all stations.
pub trait Observer {
    /// An event was folded in.
    fn progress(&mut self, fleet: &Fleet);

    /// The recording has ended because of an error. Called once; measuring goes on. Does nothing by default.
    fn recording_ended(&mut self, _error: &RecordError) {}

    /// A step of a station is done; `fleet` still holds its run.
    ///
    /// # Errors
    /// If its output can't be written; the sweep then ends.
    fn measured(&mut self, fleet: &Fleet, on: StationId, measured: Measured) -> io::Result<()>;
}

/// How a sweep ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// Every configuration was measured, or has failed.
    Complete,
    /// The user interrupted it.
    Interrupted,
    /// All agents are gone.
    StreamEnded,
}

/// What a set of stations measures, and how far it has come.
#[derive(Debug)]
pub struct Job {
    /// The states of all stations.
    pub fleet: Fleet,
    /// The session file, if there is one. If it can't be written any more, nothing else ends with it.
    pub recording: Recording,
    workers: Vec<Worker>,
    /// Whether the steps are distributed over the workers.
    distributed: bool,
    /// Whether there is a single station. It stays station 0 even if it comes up on another host.
    alone: bool,
}

/// One agent and the steps that it does.
#[derive(Debug)]
struct Worker {
    /// The station that its events belong to.
    station: StationId,
    plan: Plan,
    stepper: Stepper,
    /// Whether it is lost; its step is pending again.
    lost: bool,
    /// Whether it has just come up on another host, and so as another station.
    moved: bool,
    idle_after: bool,
}

impl Job {
    /// A job of these agents, each with the number of its station and its plan. A station whose stream holds that plan
    /// already resumes it. `idle_after`: idle power is read at the end.
    pub fn new(fleet: Fleet, recorder: Option<Recorder>, agents: Vec<(StationId, Plan)>, idle_after: bool) -> Self {
        let alone = matches!(agents[..], [(0, _)]) && !fleet.is_several();
        let distributed = !alone && agents.iter().any(|(_, plan)| plan.is_shared());
        let worker = |(station, plan): (StationId, Plan)| {
            let stepper = stepper(&fleet[station.into()], &plan, distributed, idle_after);
            Worker { station, plan, stepper, lost: false, moved: false, idle_after }
        };
        let workers = agents.into_iter().map(worker).collect();
        Self { fleet, recording: recorder.into(), workers, distributed, alone }
    }

    /// Records an event. `tagged` has the index of the agent; the result has the number of its station instead, and the
    /// time on the clock of the file.
    fn record(&mut self, mut tagged: Tagged, observer: &mut impl Observer) -> Tagged {
        let Some(worker) = self.workers.get_mut(usize::from(tagged.station)) else { return tagged };
        worker.moved = !self.alone && moved(&self.fleet[worker.station.into()], &tagged.event.body);
        if worker.moved {
            worker.station = self.fleet.len() as StationId;
            worker.stepper = stepper(&State::default(), &worker.plan, self.distributed, worker.idle_after);
        }
        tagged.station = worker.station;
        if let Some(error) = self.recording.send(&tagged) {
            observer.recording_ended(error);
        }
        Tagged { station: tagged.station, event: self.recording.on_its_clock(tagged.event) }
    }

    /// The first commands to all agents.
    fn begin(&mut self) -> Vec<Addressed> {
        let fleet = &self.fleet;
        let workers = (0..).zip(&mut self.workers);
        let all = workers.flat_map(|(i, worker)| {
            let commands = worker.stepper.begin(&fleet[worker.station.into()]);
            commands.into_iter().map(move |command| Addressed::to(i, command))
        });
        all.collect()
    }

    /// The commands that follow from an event that was folded in.
    fn after(&mut self, tagged: &Tagged) -> Vec<Addressed> {
        let Self { fleet, workers, distributed, .. } = self;
        let state = &fleet[tagged.station.into()];
        let mut commands = Vec::new();
        let Some((i, worker)) = workers.iter_mut().enumerate().find(|(_, w)| w.station == tagged.station) else {
            return Vec::new();
        };
        let lost = state.is_lost();
        if *distributed && lost && !worker.lost {
            // Otherwise it would continue its step when it is back, though another worker has taken it over.
            worker.stepper.lose();
            commands.push(Command::Rest { stop_engine: false });
        }
        worker.lost = lost;
        if worker.moved {
            commands.extend(worker.stepper.begin(state));
        }
        commands.extend(worker.stepper.after(state, &tagged.event));
        let mut orders: Vec<_> = commands.into_iter().map(|command| Addressed::to(i as StationId, command)).collect();
        if self.distributed {
            orders.extend(self.assign());
        }
        orders
    }

    /// Assigns pending steps to idle workers.
    fn assign(&mut self) -> Vec<Addressed> {
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
            let state = &self.fleet[self.workers[i].station.into()];
            let commands = match self.choose(&sweep, &taken, i) {
                Some(step) => {
                    taken.insert(step);
                    self.workers[i].stepper.take(state, step)
                }
                None if !sweep.is_on() => {
                    let finish = self.workers[i].stepper.finish(state);
                    [vec![Command::EndSweep], finish].concat()
                }
                // Other workers are at the last steps; these are pending again if such a worker is lost.
                None => Vec::new(),
            };
            orders.extend(commands.into_iter().map(|command| Addressed::to(i as StationId, command)));
        }
        orders
    }

    /// The step that a worker takes next: the first pending one that fits into its memory, or else one that fits into no
    /// worker's memory, to be skipped.
    fn choose(&self, sweep: &Sweep, taken: &BTreeSet<usize>, worker: usize) -> Option<usize> {
        let hopeless = |worker: &Worker, step: usize| {
            let own = self.fleet[worker.station.into()].sweep.as_ref();
            own.is_some_and(|own| own.plan.config(step).is_some_and(|config| own.hopeless(config).is_some()))
        };
        let pending = || sweep.to_come().filter(|step| !taken.contains(step));
        let reachable = || self.workers.iter().filter(|worker| !worker.lost);
        pending()
            .find(|step| !hopeless(&self.workers[worker], *step))
            .or_else(|| pending().find(|step| reachable().all(|worker| hopeless(worker, *step))))
    }

    /// Whether no worker has anything left to do.
    fn is_over(&self) -> bool {
        let over = |worker: &Worker| worker.stepper.is_over() || self.fleet[worker.station.into()].gone.is_some();
        let complete = || self.fleet.shared_sweep().is_some_and(|sweep| !sweep.is_on());
        self.workers.iter().all(|worker| over(worker) || self.distributed && worker.lost && complete())
    }

    /// Whether every step is done.
    fn is_complete(&self) -> bool {
        match self.distributed {
            true => self.fleet.shared_sweep().is_some_and(|sweep| !sweep.is_on()),
            false => self.workers.iter().all(|worker| worker.stepper.is_over()),
        }
    }
}

/// Whether an event says that the agent runs on another host than before.
fn moved(state: &State, body: &Body) -> bool {
    let (Some(before), Body::Header(now)) = (&state.header, body) else { return false };
    !before.host.is_empty() && !now.host.is_empty() && before.host != now.host
}

/// The stepper of a station.
fn stepper(state: &State, plan: &Plan, distributed: bool, idle_after: bool) -> Stepper {
    let known = state.sweep.as_ref().is_some_and(|sweep| sweep.plan == *plan);
    let stepper = if known { Stepper::resuming() } else { Stepper::new(plan.clone(), idle_after) };
    if distributed { stepper.assigned() } else { stepper }
}

/// Measures the job's plans and stops the agents. Ends early when `interrupt` is ready or all agents are gone. A recording
/// that can't be written any more ends, and nothing else does: [`Job::recording`] says why.
///
/// # Errors
/// Those of the observer.
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
        let tagged = job.record(tagged, observer);
        job.fleet.apply(&tagged);
    };
    agents.stop(FAREWELL, last_words).await;
    if let Some(error) = job.recording.finish() {
        observer.recording_ended(error);
    }
    end
}

async fn steps(agents: &mut FleetHandle, job: &mut Job, observer: &mut impl Observer) -> io::Result<End> {
    let mut orders = job.begin();
    if job.distributed {
        orders.extend(job.assign());
    }
    loop {
        for order in orders {
            // That an agent is gone is known from its events, or from the end of the stream.
            let _ = agents.commands.send(order);
        }
        if job.is_over() {
            return Ok(if job.is_complete() { End::Complete } else { End::StreamEnded });
        }
        let Some(tagged) = agents.events.recv().await else {
            return ended(job, observer);
        };
        let tagged = job.record(tagged, observer);
        tell(job, &tagged, observer)?;
        job.fleet.apply(&tagged);
        observer.progress(&job.fleet);
        orders = job.after(&tagged);
    }
}

/// All agents have ended. Reports the unfinished step of a single agent, for which there is no event.
fn ended(job: &Job, observer: &mut impl Observer) -> io::Result<End> {
    if job.is_complete() {
        return Ok(End::Complete);
    }
    if let Some(measured) = unfinished(job.fleet.first()).filter(|_| job.alone) {
        observer.measured(&job.fleet, 0, measured)?;
    }
    Ok(End::StreamEnded)
}

/// Reports a step that an event ends, with or without a result.
fn tell(job: &Job, tagged: &Tagged, observer: &mut impl Observer) -> io::Result<()> {
    let state = &job.fleet[tagged.station.into()];
    let measured = match &tagged.event.body {
        Body::StepDone { step, outcome } => done(state, *step as usize, outcome),
        Body::Gone { .. } if !job.distributed => unfinished(state),
        _ => None,
    };
    measured.map_or(Ok(()), |measured| observer.measured(&job.fleet, tagged.station, measured))
}

/// Folds an event of a file and reports the step that it ends, as when it was recorded.
///
/// # Errors
/// Those of the observer.
pub fn recall(fleet: &mut Fleet, tagged: &Tagged, observer: &mut impl Observer) -> io::Result<()> {
    if let (Body::StepDone { step, outcome }, Some(state)) = (&tagged.event.body, fleet.get(tagged.station.into()))
        && let Some(measured) = done(state, *step as usize, outcome)
    {
        observer.measured(fleet, tagged.station, measured)?;
    }
    fleet.apply(tagged);
    Ok(())
}

#[cfg(test)]
mod tests;
