//! Memory pools: a name for where stream-ordered memory comes from, which here is always the card.

use super::{api, context, driver, error, give, handle::Handle, memory};
use std::ffi::{c_int, c_void};

/// A pool.
#[derive(Default)]
pub struct Pool;

/// `CU_MEMPOOL_ATTR_*`: from here on, bytes that are reserved and used; before, switches and the release threshold.
const RESERVED_CURRENT: c_int = 5;
const LAST_ATTRIBUTE: c_int = 8;

/// The pool of a card from the beginning, one for all of them.
fn default_pool() -> Handle {
    static POOL: std::sync::OnceLock<usize> = std::sync::OnceLock::new();
    std::ptr::without_provenance_mut(*POOL.get_or_init(|| driver().pools.insert(Pool).addr()))
}

api! {
    fn cuDeviceGetDefaultMemPool(pool: *mut Handle, device: c_int) {
        driver().board(device)?;
        give(pool, default_pool())
    }

    fn cuDeviceGetMemPool(pool: *mut Handle, device: c_int) {
        driver().board(device)?;
        give(pool, default_pool())
    }

    fn cuDeviceSetMemPool(device: c_int, pool: Handle) {
        driver().board(device)?;
        driver().pools.get(pool).map(|_| ())
    }

    fn cuMemPoolCreate(pool: *mut Handle, _properties: *const c_void) {
        driver().board(0)?;
        give(pool, driver().pools.insert(Pool))
    }

    fn cuMemPoolDestroy(pool: Handle) {
        if pool == default_pool() {
            return Err(error::INVALID_VALUE);
        }
        driver().pools.remove(pool).map(|_| ())
    }

    fn cuMemPoolTrimTo(pool: Handle, _keep: usize) {
        driver().pools.get(pool).map(|_| ())
    }

    fn cuMemPoolGetAttribute(pool: Handle, attribute: c_int, value: *mut u64) {
        driver().pools.get(pool)?;
        let context = context::current()?;
        match attribute {
            1..RESERVED_CURRENT => give(value, 0),
            RESERVED_CURRENT..=LAST_ATTRIBUTE => {
                give(value, context.board().used.load(std::sync::atomic::Ordering::Acquire))
            }
            _ => Err(error::INVALID_VALUE),
        }
    }

    fn cuMemPoolSetAttribute(pool: Handle, attribute: c_int, _value: *mut u64) {
        driver().pools.get(pool)?;
        if (1..=LAST_ATTRIBUTE).contains(&attribute) { Ok(()) } else { Err(error::INVALID_VALUE) }
    }

    fn cuMemAllocFromPoolAsync(address: *mut u64, bytes: usize, pool: Handle, stream: Handle) {
        driver().pools.get(pool)?;
        memory::allocate_in(stream, address, bytes)
    }
}
