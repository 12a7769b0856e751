//! Contexts: the primary one of each card, those that a program makes, and which one is current in a thread.

use super::{
    Board, api, driver, error,
    error::Answer,
    give,
    handle::Handle,
    locked,
    stream::{self, Stream},
};
use std::{
    cell::RefCell,
    ffi::{c_int, c_uint, c_void},
    sync::Arc,
};

/// A context.
pub struct Context {
    /// The index of its card.
    pub board: usize,
    /// The stream that a null handle means.
    pub legacy: Arc<Stream>,
    /// The per-thread default stream, one for all threads.
    pub per_thread: Arc<Stream>,
    /// Its own handle.
    pub handle: usize,
}

impl Context {
    pub fn board(&self) -> &'static Board {
        &driver().boards[self.board]
    }
}

thread_local! {
    /// The handles that are current in this thread; the last is in use.
    static CURRENT: RefCell<Vec<usize>> = const { RefCell::new(Vec::new()) };
}

/// The context in use in this thread, on a card that works.
pub fn current() -> Answer<Arc<Context>> {
    let context = of_thread()?;
    context.board().healthy()?;
    Ok(context)
}

/// The context in use in this thread, whatever state its card is in: memory is given back on a broken card, too.
pub fn of_thread() -> Answer<Arc<Context>> {
    let driver = driver();
    driver.board(0)?;
    let handle = CURRENT.with_borrow(|stack| stack.last().copied()).filter(|handle| *handle != 0);
    driver.contexts.get(pointer(handle.ok_or(error::INVALID_CONTEXT)?)).map_err(|_| error::CONTEXT_IS_DESTROYED)
}

fn pointer(handle: usize) -> Handle {
    std::ptr::without_provenance_mut(handle)
}

fn make(board: usize) -> Handle {
    let (handle, context) = driver().contexts.insert_with(|handle| Context {
        board,
        legacy: Arc::new(Stream::default_of(board, handle, stream::Default::Legacy)),
        per_thread: Arc::new(Stream::default_of(board, handle, stream::Default::PerThread)),
        handle,
    });
    super::state::start();
    drop(context);
    handle
}

/// The primary context of a card: how often it is retained, and its handle while it is.
#[derive(Default)]
pub struct Primary {
    retained: u32,
    handle: Option<usize>,
}

fn set_current(handle: usize) {
    CURRENT.with_borrow_mut(|stack| {
        stack.pop();
        if handle != 0 {
            stack.push(handle);
        }
    });
}

/// Waits for everything that a context was given.
fn drain(context: &Context) -> Answer {
    driver().schedule.wait_all(context.board);
    context.board().healthy()
}

/// Makes a context that is not the primary one, and makes it current.
fn create(context: *mut Handle, device: c_int) -> Answer {
    let driver = driver();
    driver.board(device)?.healthy()?;
    let made = make(device as usize);
    CURRENT.with_borrow_mut(|stack| stack.push(made.addr()));
    give(context, made)
}

api! {
    fn cuDevicePrimaryCtxRetain(context: *mut Handle, device: c_int) {
        let board = driver().board(device)?;
        board.healthy()?;
        let mut primary = locked(&board.primary);
        let handle = *primary.handle.get_or_insert_with(|| make(device as usize).addr());
        primary.retained += 1;
        give(context, pointer(handle))
    }

    fn cuDevicePrimaryCtxRelease_v2(device: c_int) {
        let driver = driver();
        let mut primary = locked(&driver.board(device)?.primary);
        primary.retained = primary.retained.checked_sub(1).ok_or(error::INVALID_CONTEXT)?;
        if primary.retained == 0 && let Some(handle) = primary.handle.take() {
            driver.schedule.wait_all(device as usize);
            driver.contexts.remove(pointer(handle))?;
        }
        Ok(())
    }

    fn cuDevicePrimaryCtxGetState(device: c_int, flags: *mut c_uint, active: *mut c_int) {
        let primary = locked(&driver().board(device)?.primary).handle;
        give(flags, 0)?;
        give(active, primary.is_some().into())
    }

    fn cuDevicePrimaryCtxSetFlags_v2(device: c_int, _flags: c_uint) {
        driver().board(device).map(|_| ())
    }

    fn cuCtxCreate_v2(context: *mut Handle, _flags: c_uint, device: c_int) {
        create(context, device)
    }

    fn cuCtxCreate_v3(context: *mut Handle, _affinity: *mut c_void, _count: c_int, _flags: c_uint, device: c_int) {
        create(context, device)
    }

    fn cuCtxCreate_v4(context: *mut Handle, _parameters: *mut c_void, _flags: c_uint, device: c_int) {
        create(context, device)
    }

    fn cuCtxDestroy_v2(context: Handle) {
        let driver = driver();
        let removed = driver.contexts.get(context).map_err(|_| error::INVALID_CONTEXT)?;
        if locked(&removed.board().primary).handle == Some(context.addr()) {
            return Err(error::INVALID_CONTEXT);
        }
        driver.schedule.wait_all(removed.board);
        driver.contexts.remove(context)?;
        CURRENT.with_borrow_mut(|stack| stack.pop_if(|top| *top == context.addr()));
        Ok(())
    }

    fn cuCtxSetCurrent(context: Handle) {
        if !context.is_null() {
            driver().contexts.get(context).map_err(|_| error::INVALID_CONTEXT)?;
        }
        set_current(context.addr());
        Ok(())
    }

    fn cuCtxGetCurrent(context: *mut Handle) {
        give(context, pointer(CURRENT.with_borrow(|stack| stack.last().copied().unwrap_or(0))))
    }

    fn cuCtxPushCurrent_v2(context: Handle) {
        driver().contexts.get(context).map_err(|_| error::INVALID_CONTEXT)?;
        CURRENT.with_borrow_mut(|stack| stack.push(context.addr()));
        Ok(())
    }

    fn cuCtxPopCurrent_v2(context: *mut Handle) {
        let popped = CURRENT.with_borrow_mut(Vec::pop).ok_or(error::INVALID_CONTEXT)?;
        if context.is_null() { Ok(()) } else { give(context, pointer(popped)) }
    }

    fn cuCtxGetDevice(device: *mut c_int) {
        give(device, of_thread()?.board as c_int)
    }

    fn cuCtxGetApiVersion(_context: Handle, version: *mut c_uint) {
        give(version, driver().settings.driver)
    }

    fn cuCtxGetFlags(flags: *mut c_uint) {
        of_thread()?;
        give(flags, 0)
    }

    fn cuCtxSetFlags(_flags: c_uint) {
        of_thread().map(|_| ())
    }

    fn cuCtxSynchronize() {
        let context = current()?;
        driver().captures().synchronize_context(context.handle)?;
        let answer = drain(&context);
        driver().report.write_counts();
        answer
    }

    fn cuCtxGetLimit(value: *mut usize, limit: c_int) {
        current()?;
        // Stack, printf buffer, heap, as a driver has them at first.
        let first = match limit {
            0 => 1 << 10,
            1 => 1 << 20,
            2 => 8 << 20,
            5 => 64,
            6 => 0,
            _ => return Err(error::UNSUPPORTED_LIMIT),
        };
        give(value, first)
    }

    fn cuCtxSetLimit(limit: c_int, _value: usize) {
        current()?;
        if matches!(limit, 0..=6) { Ok(()) } else { Err(error::UNSUPPORTED_LIMIT) }
    }

    fn cuCtxGetCacheConfig(config: *mut c_int) {
        current()?;
        give(config, 0)
    }

    fn cuCtxSetCacheConfig(_config: c_int) {
        current().map(|_| ())
    }

    fn cuCtxGetStreamPriorityRange(least: *mut c_int, greatest: *mut c_int) {
        current()?;
        for (place, value) in [(least, 0), (greatest, stream::HIGHEST_PRIORITY)] {
            if !place.is_null() {
                give(place, value)?;
            }
        }
        Ok(())
    }
}
