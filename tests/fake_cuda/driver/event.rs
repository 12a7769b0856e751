//! Events: marks in streams, that other streams and the host wait for and that say when they were reached.

use super::{api, clock::Time, context, driver, error, give, handle::Handle, locked, stream, work::Work};
use std::{
    ffi::c_uint,
    sync::{
        Arc, Mutex, OnceLock,
        atomic::{AtomicU64, Ordering},
    },
};

/// An event: its latest record counts.
pub struct Event {
    /// The index of its card.
    board: usize,
    flags: c_uint,
    last: Mutex<Option<Arc<Record>>>,
}

/// One mark in a stream.
#[derive(Debug, Default)]
pub struct Record {
    ticket: AtomicU64,
    time: OnceLock<Time>,
}

/// `CU_EVENT_DISABLE_TIMING`.
const DISABLE_TIMING: c_uint = 2;

impl Event {
    /// Refuses if its card can't be used any more.
    fn healthy(&self) -> error::Answer {
        driver().boards[self.board].healthy()
    }

    /// Its latest record outside of captures.
    pub fn last(&self) -> Option<Arc<Record>> {
        locked(&self.last).clone()
    }
}

impl Record {
    /// The number of the work that reaches it.
    pub fn ticket(&self) -> u64 {
        self.ticket.load(Ordering::Acquire)
    }

    pub fn time(&self) -> Option<Time> {
        self.time.get().copied()
    }

    /// The stream has come to it.
    pub fn reached(&self, time: Time) {
        self.time.get_or_init(|| time);
    }
}

fn record(event: Handle, stream: Handle) -> error::Answer {
    let stream = stream::of(stream)?;
    let driver = driver();
    let of = driver.events.get(event)?;
    let mut captures = driver.captures();
    if captures.record(stream.of, event.addr())? {
        return Ok(());
    }
    let record = Arc::new(Record::default());
    let ticket = driver.schedule.issue(&stream, Work::Record(Arc::clone(&record)), None);
    record.ticket.store(ticket, Ordering::Release);
    *locked(&of.last) = Some(record);
    Ok(())
}

/// Milliseconds between two events.
fn elapsed(milliseconds: *mut f32, start: Handle, end: Handle) -> error::Answer {
    let driver = driver();
    let mut times = [0.0; 2];
    for (time, handle) in times.iter_mut().zip([start, end]) {
        let event = driver.events.get(handle)?;
        event.healthy()?;
        driver.captures().synchronize_event(handle.addr())?;
        let record = event.last().filter(|_| event.flags & DISABLE_TIMING == 0).ok_or(error::INVALID_HANDLE)?;
        *time = record.time().ok_or(error::NOT_READY)?;
    }
    give(milliseconds, ((times[1] - times[0]) * 1e3) as f32)
}

api! {
    fn cuEventCreate(event: *mut Handle, flags: c_uint) {
        let board = context::current()?.board;
        if flags > 7 {
            return Err(error::INVALID_VALUE);
        }
        give(event, driver().events.insert(Event { board, flags, last: Mutex::default() }))
    }

    fn cuEventDestroy_v2(event: Handle) {
        driver().events.remove(event)?;
        driver().captures().forget_event(event.addr());
        Ok(())
    }

    fn cuEventRecord(event: Handle, stream: Handle) {
        record(event, stream)
    }

    fn cuEventRecordWithFlags(event: Handle, stream: Handle, _flags: c_uint) {
        record(event, stream)
    }

    fn cuEventSynchronize(event: Handle) {
        let of = driver().events.get(event)?;
        of.healthy()?;
        driver().captures().synchronize_event(event.addr())?;
        stream::potentially_unsafe("cuEventSynchronize")?;
        if let Some(record) = of.last() {
            driver().schedule.wait(record.ticket(), || record.time().unwrap_or(0.0));
        }
        of.healthy()
    }

    fn cuEventQuery(event: Handle) {
        let of = driver().events.get(event)?;
        of.healthy()?;
        driver().captures().synchronize_event(event.addr())?;
        stream::potentially_unsafe("cuEventQuery")?;
        let done = of.last().is_none_or(|record| driver().schedule.is_done(record.ticket()));
        of.healthy()?;
        if done { Ok(()) } else { Err(error::NOT_READY) }
    }

    fn cuEventElapsedTime(milliseconds: *mut f32, start: Handle, end: Handle) {
        elapsed(milliseconds, start, end)
    }
}

#[cfg(not(before_12_8))]
api! {
    fn cuEventElapsedTime_v2(milliseconds: *mut f32, start: Handle, end: Handle) {
        elapsed(milliseconds, start, end)
    }
}
