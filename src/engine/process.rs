//! The engine's two pipes. A reader thread keeps only the newest command; a writer thread takes the events, so that a
//! slow pipe never stretches a batch.

use crate::{
    clock::Clock,
    event::{Body, EngineCommand, Event, RunId},
    output,
};
use std::{
    fs::File,
    io::{BufRead, BufWriter, Write},
    os::fd::FromRawFd,
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
        mpsc::{Receiver, Sender, channel},
    },
    thread::JoinHandle,
};

/// The newest command that has not been taken yet.
#[derive(Clone, Debug, Default)]
pub struct Inbox {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    newest: Mutex<Option<EngineCommand>>,
    /// The run whose layers are asked for. Apart from the others: it neither ends a run nor takes the place of one.
    layers: Mutex<Option<RunId>>,
    arrived: Condvar,
    waiting: AtomicBool,
}

impl Inbox {
    /// Takes the newest command, waiting for one.
    pub fn wait(&self) -> EngineCommand {
        let mut slot = lock(&self.shared.newest);
        loop {
            if let Some(command) = slot.take() {
                self.shared.waiting.store(false, Ordering::Release);
                return command;
            }
            slot = self.shared.arrived.wait(slot).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Whether a command is waiting; cheap enough to ask after every batch.
    pub fn has_newer(&self) -> bool {
        self.shared.waiting.load(Ordering::Acquire)
    }

    /// Takes the request for the layers of a run; one for another run is left.
    pub fn take_layers(&self, run: RunId) -> bool {
        lock(&self.shared.layers).take_if(|asked| *asked == run).is_some()
    }

    /// Puts a command in, in place of an older one that nobody took.
    pub fn put(&self, command: EngineCommand) {
        if let EngineCommand::Layers { run } = command {
            *lock(&self.shared.layers) = Some(run);
            return;
        }
        *lock(&self.shared.newest) = Some(command);
        self.shared.waiting.store(true, Ordering::Release);
        self.shared.arrived.notify_one();
    }
}

/// A poisoned lock guards a plain value here: it is as good as before.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Where the engine's events go.
#[derive(Debug)]
pub struct Outbox {
    clock: Clock,
    events: Option<Sender<Event>>,
    writer: Option<JoinHandle<()>>,
}

impl Outbox {
    /// Sends an event stamped now.
    pub fn send(&self, body: Body) {
        if let Some(events) = &self.events {
            // The receiver lives as long as the writer, which ends the process when its pipe is gone.
            let _ = events.send(Event { t: self.clock.now(), body });
        }
    }

    /// What sends events from other threads; it has to be dropped before this is closed.
    pub fn sender(&self) -> impl Fn(Body) + Send + Sync + use<> {
        let (clock, events) = (self.clock, self.events.clone());
        move |body| {
            if let Some(events) = &events {
                let _ = events.send(Event { t: clock.now(), body });
            }
        }
    }

    /// Writes what was sent and sends no more.
    pub fn close(&mut self) {
        self.events = None;
        if let Some(writer) = self.writer.take() {
            let _ = writer.join();
        }
    }
}

/// Opens both pipes. Whatever else in the process prints to stdout goes to stderr from now on.
pub fn open(clock: Clock) -> (Inbox, Outbox) {
    let inbox = Inbox::default();
    let reader = inbox.clone();
    std::thread::spawn(move || read(std::io::stdin().lock(), &reader));
    let (sender, receiver) = channel();
    let pipe = take_stdout();
    let writer = std::thread::spawn(move || write(pipe, &receiver));
    (inbox, Outbox { clock, events: Some(sender), writer: Some(writer) })
}

/// Reads commands until the pipe ends: nobody listens any more, and the process ends, in the middle of a batch or not.
fn read(input: impl BufRead, inbox: &Inbox) {
    for line in input.lines().map_while(Result::ok) {
        match serde_json::from_str(&line) {
            Ok(command) => inbox.put(command),
            Err(error) => output::warn(&format!("not a command: {error}: {line}")),
        }
    }
    std::process::exit(0);
}

/// Writes events as they come, flushed whenever none is waiting.
fn write(pipe: File, events: &Receiver<Event>) {
    let mut pipe = BufWriter::new(pipe);
    while let Ok(first) = events.recv() {
        let mut waiting = std::iter::once(first).chain(events.try_iter());
        let written = waiting.try_for_each(|event| put(&mut pipe, &event));
        if written.and_then(|()| pipe.flush()).is_err() {
            std::process::exit(0);
        }
    }
}

fn put(pipe: &mut impl Write, event: &Event) -> std::io::Result<()> {
    serde_json::to_writer(&mut *pipe, event)?;
    pipe.write_all(b"\n")
}

/// Takes the pipe behind stdout for the events alone and points stdout at stderr: a library that prints must not break
/// the stream.
pub(crate) fn take_stdout() -> File {
    // SAFETY: both descriptors are open for the whole process; the new one is owned by the File alone.
    unsafe {
        let pipe = libc::fcntl(libc::STDOUT_FILENO, libc::F_DUPFD_CLOEXEC, 3);
        libc::dup2(libc::STDERR_FILENO, libc::STDOUT_FILENO);
        File::from_raw_fd(pipe)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Config, Precision};

    #[test]
    fn only_the_newest_command_is_kept() {
        let inbox = Inbox::default();
        assert!(!inbox.has_newer());
        let command = |run| EngineCommand::Run {
            run,
            config: Config { network: "n".into(), batch: 1, precision: Precision::F32, device: "cpu".into() },
        };
        (1..=3).for_each(|run| inbox.put(command(run)));
        assert!(inbox.has_newer());
        assert_eq!(inbox.wait(), command(3));
        assert!(!inbox.has_newer());
        inbox.put(EngineCommand::Layers { run: 4 });
        assert!(!inbox.has_newer(), "layers are no reason to end a run");
        let late = inbox.clone();
        let other = std::thread::spawn(move || late.put(command(4)));
        assert_eq!(inbox.wait(), command(4));
        other.join().unwrap();
        assert_eq!([3, 4, 4].map(|run| inbox.take_layers(run)), [false, true, false], "asked for once, and of one run");
    }
}
