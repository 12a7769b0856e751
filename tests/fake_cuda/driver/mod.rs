//! The driver API, as C sees it: a file a subject.
//!
//! Each function is written with [`api!`], which makes it a C function that no panic leaves, that fails on demand
//! ([`demand`]) and that logs what it refuses. Handles are numbers in a [`Table`](handle::Table), so that one which was
//! destroyed, or never was, is refused and not followed.
//!
//! Work that a stream gets ([`work`]) is done by a thread for each card in an order that its dependencies allow
//! ([`schedule`]); a stream that is captured collects it instead ([`capture`]).

mod capture;
mod clock;
mod context;
mod copy;
mod demand;
mod device;
mod error;
mod event;
mod graph;
mod handle;
mod header;
mod init;
mod launch;
mod memory;
mod module;
mod pool;
mod report;
mod schedule;
mod state;
mod stream;
mod tensor_map;
mod work;

#[cfg(test)]
mod tests;

use crate::{cards::Card, memory::Registry, settings::Settings};
use capture::Captures;
use demand::Demand;
use error::{Answer, Error};
use handle::Table;
use report::Report;
use schedule::Schedule;
use std::{
    ffi::c_int,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicBool, AtomicI32, AtomicU64, Ordering},
    },
};

/// Writes functions of the API: `fn cuName(…) { body }`, the body an [`Answer`], becomes the C function.
macro_rules! api {
    ($($(#[$meta:meta])* fn $name:ident($($argument:ident: $kind:ty),* $(,)?) $body:block)*) => {$(
        $(#[$meta])*
        #[unsafe(no_mangle)]
        pub unsafe extern "C" fn $name($($argument: $kind),*) -> std::ffi::c_int {
            #[allow(unused_unsafe)]
            $crate::driver::call(stringify!($name), move || -> $crate::driver::error::Answer { unsafe { $body } })
        }
    )*};
}
use api;

/// One card of this process.
pub struct Board {
    /// What it is.
    pub card: Card,
    /// Its number in the machine, which `CUDA_VISIBLE_DEVICES` doesn't change.
    pub slot: usize,
    /// Bytes of its memory that are allocated.
    pub used: AtomicU64,
    /// The code that every call returns after a kernel went wrong or the card was lost; 0 if nothing did.
    pub sticky: AtomicI32,
    pub primary: Mutex<context::Primary>,
    pub clock: Mutex<clock::Clock>,
    pub activity: state::Activity,
}

impl Board {
    fn new(slot: usize, card: Card) -> Self {
        Self {
            card,
            slot,
            used: AtomicU64::new(0),
            sticky: AtomicI32::new(0),
            primary: Mutex::default(),
            clock: Mutex::default(),
            activity: state::Activity::default(),
        }
    }

    /// Refuses if the card can't be used any more.
    pub fn healthy(&self) -> Answer {
        match self.sticky.load(Ordering::Acquire) {
            0 => Ok(()),
            code => Err(Error(code)),
        }
    }

    /// Whether this process has a context on it.
    pub fn in_use(&self) -> bool {
        driver().contexts.all().iter().any(|(_, context)| std::ptr::eq(context.board(), self))
    }

    /// Makes every later call on this card return `error`. The first stays.
    pub fn poison(&self, error: Error) {
        let _ = self.sticky.compare_exchange(0, error.0, Ordering::AcqRel, Ordering::Acquire);
    }
}

/// All that the driver knows, made when it is first called.
pub struct Driver {
    pub settings: Settings,
    /// The cards that `CUDA_VISIBLE_DEVICES` lets through.
    pub boards: Vec<Board>,
    pub initialised: AtomicBool,
    pub demand: Demand,
    pub report: Report,
    pub memory: Registry,
    pub contexts: Table<context::Context>,
    pub streams: Table<stream::Stream>,
    pub events: Table<event::Event>,
    pub modules: Table<module::Module>,
    pub functions: Table<module::Function>,
    pub graphs: Table<graph::Graph>,
    pub nodes: Table<graph::NodeKind>,
    pub executables: Table<graph::Executable>,
    pub pools: Table<pool::Pool>,
    pub captures: Mutex<Captures>,
    pub schedule: Schedule,
}

impl Driver {
    fn new(settings: Settings, visible: Option<&str>) -> Self {
        let boards = init::visible(&settings.cards, visible);
        Self {
            boards: boards.into_iter().map(|(slot, card)| Board::new(slot, card)).collect(),
            initialised: AtomicBool::new(false),
            demand: Demand::new(settings.faults.clone()),
            report: Report::new(&settings),
            memory: Registry::default(),
            contexts: Table::new("context", 1),
            streams: Table::new("stream", 2),
            events: Table::new("event", 3),
            modules: Table::new("module", 4),
            functions: Table::new("function", 5),
            graphs: Table::new("graph", 6),
            nodes: Table::new("node", 7),
            executables: Table::new("executable graph", 8),
            pools: Table::new("memory pool", 9),
            captures: Mutex::new(Captures::default()),
            schedule: Schedule::new(settings.late),
            settings,
        }
    }

    /// The card of a `CUdevice`.
    pub fn board(&self, device: c_int) -> Answer<&Board> {
        if !self.initialised.load(Ordering::Acquire) {
            return Err(error::NOT_INITIALIZED);
        }
        usize::try_from(device).ok().and_then(|index| self.boards.get(index)).ok_or(error::INVALID_DEVICE)
    }

    pub fn captures(&self) -> MutexGuard<'_, Captures> {
        locked(&self.captures)
    }
}

static DRIVER: OnceLock<Driver> = OnceLock::new();

/// The driver of this process.
pub fn driver() -> &'static Driver {
    DRIVER.get_or_init(|| {
        #[cfg(test)]
        return Driver::new(tests::settings(), None);
        #[cfg(not(test))]
        Driver::new(Settings::from_environment(), std::env::var("CUDA_VISIBLE_DEVICES").ok().as_deref())
    })
}

/// Locks a mutex whose data is whole even if a thread panicked with it.
pub fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Writes what a function answers, if the caller gave a place for it.
pub fn give<T>(to: *mut T, value: T) -> Answer {
    if to.is_null() {
        return Err(error::INVALID_VALUE);
    }
    // SAFETY: the caller of the C function gave this place for it. It may be badly aligned only against its contract.
    unsafe { to.write_unaligned(value) };
    Ok(())
}

/// Runs a function of the API: fails on demand, keeps panics in, logs what was refused.
pub fn call(name: &'static str, function: impl FnOnce() -> Answer) -> c_int {
    let answer = catch_unwind(AssertUnwindSafe(|| {
        driver().demand.function(name)?;
        function()
    }));
    let answer = answer.unwrap_or_else(|_| {
        eprintln!("fake CUDA driver: {name} panicked, which is a fault of the fake driver");
        Err(error::UNKNOWN)
    });
    match answer {
        Ok(()) => 0,
        Err(error) => {
            // Programs poll, and ask for the name of a code they do not know: neither is worth a line.
            if error != error::NOT_READY && !name.starts_with("cuGetError") {
                driver().report.refused(name, error);
            }
            error.0
        }
    }
}
