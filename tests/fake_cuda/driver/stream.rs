//! Streams, and how work gets to them.

use super::{
    api,
    capture::{Mode, Of, Waiting},
    clock::Time,
    context, driver, error,
    error::Answer,
    give,
    handle::Handle,
    locked,
    work::{HostCall, Work},
};
use std::{
    cell::Cell,
    ffi::{c_int, c_uint, c_void},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    thread,
};

/// A stream.
pub struct Stream {
    /// The index of its card.
    pub board: usize,
    /// Itself, as captures see it.
    pub of: Of,
    pub priority: c_int,
    flags: c_uint,
    /// The number of its last work.
    pub last: AtomicU64,
    /// When its last work ends, in the device's time.
    pub ready: Mutex<Time>,
}

/// The streams that every context has.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Default {
    Legacy,
    PerThread,
}

/// `CU_STREAM_NON_BLOCKING`.
const NON_BLOCKING: c_uint = 1;
/// `CU_STREAM_LEGACY` and `CU_STREAM_PER_THREAD`, handles that are always there.
const LEGACY: usize = 1;
const PER_THREAD: usize = 2;
/// `CU_EVENT_WAIT_EXTERNAL`.
const EXTERNAL: c_uint = 1;

/// Priorities go from 0, the least, down to this, as on the cards of the table.
pub const HIGHEST_PRIORITY: c_int = -5;

thread_local! {
    /// What this thread minds of captures, as `cuThreadExchangeStreamCaptureMode` sets it.
    static OWN_MODE: Cell<Mode> = const { Cell::new(Mode::Global) };
}

impl Stream {
    /// A stream that a context has from the beginning.
    pub fn default_of(board: usize, context: usize, which: Default) -> Self {
        // Handles are even multiples of 64, so these are nobody else's.
        let stream = context | if which == Default::Legacy { LEGACY } else { PER_THREAD };
        Self::new(board, Of { stream, context, blocking: true, legacy: which == Default::Legacy }, 0, 0)
    }

    fn new(board: usize, of: Of, priority: c_int, flags: c_uint) -> Self {
        Self { board, of, priority, flags, last: AtomicU64::new(0), ready: Mutex::new(0.0) }
    }

    /// Waits for all work that it has now.
    pub fn synchronize(&self) {
        driver().schedule.wait(self.last.load(Ordering::Acquire), || *locked(&self.ready));
    }
}

/// The stream of a handle. One that a program made knows its context; the default ones are those of the current context.
pub fn of(handle: Handle) -> Answer<Arc<Stream>> {
    let stream = match handle.addr() {
        0 | LEGACY => Arc::clone(&context::current()?.legacy),
        PER_THREAD => Arc::clone(&context::current()?.per_thread),
        _ => driver().streams.get(handle)?,
    };
    driver().boards[stream.board].healthy()?;
    Ok(stream)
}

/// Gives work to a stream, or to the capture that it is in.
pub fn submit(stream: &Arc<Stream>, work: Work) -> Answer {
    let driver = driver();
    let mut captures = driver.captures();
    if let Some(work) = captures.collect(stream.of, work)? {
        driver.schedule.issue(stream, work, None);
    }
    Ok(())
}

/// Whether a stream is captured.
pub fn is_captured(stream: &Stream) -> bool {
    driver().captures().status(stream.of.stream).is_some()
}

/// Refuses a call that may wait for the device, if a capture forbids it to this thread.
pub fn potentially_unsafe(name: &str) -> Answer {
    driver().captures().potentially_unsafe(name, thread::current().id(), OWN_MODE.get())
}

/// `CUstreamCaptureStatus` and the number of the capture.
fn status(stream: &Stream) -> (c_int, u64) {
    match driver().captures().status(stream.of.stream) {
        None => (0, 0),
        Some((id, whole)) => (if whole { 1 } else { 2 }, id),
    }
}

fn create(to: *mut Handle, flags: c_uint, priority: c_int) -> Answer {
    let context = context::current()?;
    if flags > NON_BLOCKING {
        return Err(error::INVALID_VALUE);
    }
    let blocking = flags & NON_BLOCKING == 0;
    let make = |stream| {
        let of = Of { stream, context: context.handle, blocking, legacy: false };
        Stream::new(context.board, of, priority.clamp(HIGHEST_PRIORITY, 0), flags)
    };
    give(to, driver().streams.insert_with(make).0)
}

api! {
    fn cuStreamCreate(stream: *mut Handle, flags: c_uint) {
        create(stream, flags, 0)
    }

    fn cuStreamCreateWithPriority(stream: *mut Handle, flags: c_uint, priority: c_int) {
        create(stream, flags, priority)
    }

    fn cuStreamDestroy_v2(stream: Handle) {
        let removed = driver().streams.remove(stream)?;
        driver().captures().forget_stream(removed.of.stream);
        Ok(())
    }

    fn cuStreamSynchronize(stream: Handle) {
        let stream = of(stream)?;
        driver().captures().synchronize_stream(stream.of)?;
        potentially_unsafe("cuStreamSynchronize")?;
        stream.synchronize();
        driver().boards[stream.board].healthy()
    }

    fn cuStreamQuery(stream: Handle) {
        let stream = of(stream)?;
        driver().captures().synchronize_stream(stream.of)?;
        potentially_unsafe("cuStreamQuery")?;
        let done = driver().schedule.is_done(stream.last.load(Ordering::Acquire));
        driver().boards[stream.board].healthy()?;
        if done { Ok(()) } else { Err(error::NOT_READY) }
    }

    fn cuStreamWaitEvent(stream: Handle, event: Handle, flags: c_uint) {
        let stream = of(stream)?;
        let event_ = driver().events.get(event)?;
        let record = event_.last();
        let mut captures = driver().captures();
        if flags & EXTERNAL != 0 && captures.status(stream.of.stream).is_some() {
            let record = record.ok_or(error::INVALID_VALUE)?;
            return captures.collect(stream.of, Work::Wait(record)).map(|_| ());
        }
        if captures.wait(stream.of, event.addr(), record.is_some())? == Waiting::Plain
            && let Some(record) = record
        {
            let before = record.ticket();
            driver().schedule.issue(&stream, Work::Wait(record), Some(before));
        }
        Ok(())
    }

    fn cuStreamGetFlags(stream: Handle, flags: *mut c_uint) {
        give(flags, of(stream)?.flags)
    }

    fn cuStreamGetPriority(stream: Handle, priority: *mut c_int) {
        give(priority, of(stream)?.priority)
    }

    fn cuStreamGetCtx(stream: Handle, context: *mut Handle) {
        give(context, std::ptr::without_provenance_mut(of(stream)?.of.context))
    }

    fn cuStreamGetId(stream: Handle, id: *mut u64) {
        give(id, of(stream)?.of.stream as u64)
    }

    fn cuStreamAttachMemAsync(stream: Handle, _address: u64, _bytes: usize, _flags: c_uint) {
        submit(&of(stream)?, Work::Nothing)
    }

    fn cuLaunchHostFunc(stream: Handle, function: Option<unsafe extern "C" fn(*mut c_void)>, data: *mut c_void) {
        let function = function.ok_or(error::INVALID_VALUE)?;
        submit(&of(stream)?, Work::Host(HostCall { function, data: data.expose_provenance() }))
    }

    fn cuStreamBeginCapture_v2(stream: Handle, mode: c_int) {
        let stream = of(stream)?;
        driver().captures().begin(stream.of, Mode::from_code(mode)?, thread::current().id())
    }

    fn cuStreamEndCapture(stream: Handle, graph: *mut Handle) {
        let stream = of(stream)?;
        // A capture that failed gives no graph.
        give(graph, std::ptr::null_mut())?;
        let nodes = driver().captures().end(stream.of.stream, thread::current().id())?;
        give(graph, super::graph::captured(stream.board, nodes))
    }

    fn cuStreamIsCapturing(stream: Handle, captured: *mut c_int) {
        let stream = of(stream)?;
        give(captured, status(&stream).0)
    }

    fn cuStreamGetCaptureInfo_v2(
        stream: Handle, captured: *mut c_int, id: *mut u64, graph: *mut Handle, nodes: *mut *const Handle,
        count: *mut usize,
    ) {
        let (state, number) = status(&*of(stream)?);
        give(captured, state)?;
        if !id.is_null() {
            give(id, number)?;
        }
        // A graph that is being captured can't be changed from outside here.
        if graph.is_null() && nodes.is_null() && count.is_null() { Ok(()) } else { Err(error::NOT_SUPPORTED) }
    }

    fn cuThreadExchangeStreamCaptureMode(mode: *mut c_int) {
        if mode.is_null() {
            return Err(error::INVALID_VALUE);
        }
        let new = Mode::from_code(mode.read())?;
        give(mode, OWN_MODE.replace(new) as c_int)
    }
}
