//! Allocating and freeing memory.
//!
//! Every address is used once: a range is mapped behind the last one and its addresses are left empty when it is freed, so
//! that a later access is known for what it is.

use super::{api, context, driver, error, error::Answer, give, handle::Handle, stream, work::Work};
use crate::memory::{Kind, Range};
use std::{
    ffi::{c_int, c_uint, c_void},
    sync::atomic::{AtomicU64, Ordering},
};

unsafe extern "C" {
    fn mmap(
        address: *mut c_void,
        bytes: usize,
        protection: c_int,
        flags: c_int,
        file: c_int,
        offset: i64,
    ) -> *mut c_void;
    fn munmap(address: *mut c_void, bytes: usize) -> c_int;
}

const READ_WRITE: c_int = 1 | 2;
/// `MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE`: what is not touched takes no memory of the host.
const MAP: c_int = 0x2 | 0x20 | 0x4000 | 0x10_0000;
const FAILED: usize = usize::MAX;

const PAGE: u64 = 4096;
/// Left empty behind each range, so that what runs over an end meets nothing.
const GAP: u64 = 16 * PAGE;
/// Memory of a card is taken in pieces of this size, as cards do.
const GRANULE: u64 = 512;

/// Maps pages at addresses that were never used before.
fn map(bytes: u64) -> Option<u64> {
    // Far below where Linux puts libraries, stacks and other mappings.
    static NEXT: AtomicU64 = AtomicU64::new(0x0100_0000_0000);
    let length = bytes.next_multiple_of(PAGE);
    // Somebody else may have mapped something there: the next place is free, then.
    (0..64).find_map(|_| {
        let address = NEXT.fetch_add(length + GAP, Ordering::Relaxed);
        // SAFETY: MAP_FIXED_NOREPLACE never replaces what is mapped.
        let mapped = unsafe { mmap(pointer(address), length as usize, READ_WRITE, MAP, -1, 0) };
        (mapped.addr() != FAILED && mapped.expose_provenance() as u64 == address).then_some(address)
    })
}

fn pointer(address: u64) -> *mut c_void {
    std::ptr::with_exposed_provenance_mut(address as usize)
}

/// Takes a range out and gives its pages back. Whether there was one.
pub fn release(address: u64) -> bool {
    let driver = driver();
    let Some(range) = driver.memory.change(|memory| memory.remove(address)) else { return false };
    if range.kind.on_card() {
        driver.boards[range.card].used.fetch_sub(range.bytes.next_multiple_of(GRANULE), Ordering::AcqRel);
    }
    // SAFETY: the range was mapped with this length by `map`, and no launch that could use it runs: see the callers.
    unsafe { munmap(pointer(address), range.bytes.next_multiple_of(PAGE) as usize) };
    true
}

/// Takes memory of a card into account, if it has so much.
fn reserve(board: usize, bytes: u64) -> Answer {
    let board = &driver().boards[board];
    let (bytes, capacity) = (bytes.next_multiple_of(GRANULE), board.card.memory_mib << 20);
    let take = |used: u64| used.checked_add(bytes).filter(|after| *after <= capacity);
    board.used.fetch_update(Ordering::AcqRel, Ordering::Acquire, take).map(|_| ()).map_err(|_| error::OUT_OF_MEMORY)
}

/// Allocates memory of a kind.
pub fn allocate(board: usize, bytes: usize, kind: Kind) -> Answer<u64> {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let driver = driver();
    let bytes = bytes as u64;
    if bytes == 0 {
        return Err(error::INVALID_VALUE);
    }
    if kind.on_card() {
        driver.demand.allocation()?;
        reserve(board, bytes).or_else(|_| {
            // Memory that streams are about to free is as good as free.
            driver.schedule.wait_all(board);
            reserve(board, bytes)
        })?;
    }
    let Some(address) = map(bytes) else {
        if kind.on_card() {
            driver.boards[board].used.fetch_sub(bytes.next_multiple_of(GRANULE), Ordering::AcqRel);
        }
        return Err(error::OUT_OF_MEMORY);
    };
    let id = COUNT.fetch_add(1, Ordering::Relaxed) + 1;
    let range = Range::new(address, bytes, id, kind, board);
    if !kind.on_card() {
        // The host writes it whenever it likes, and nobody sees that.
        range.mark_written(address, bytes);
    }
    driver.memory.change(|memory| memory.insert(range));
    Ok(address)
}

/// Whether an address is the beginning of a live range of these kinds.
fn begins(address: u64, kinds: &[Kind]) -> bool {
    let memory = driver().memory.snapshot();
    memory.find(address, 1).is_ok_and(|range| range.start == address && kinds.contains(&range.kind))
}

fn free(name: &str, address: u64, kinds: &[Kind]) -> Answer {
    let context = context::of_thread()?;
    if !begins(address, kinds) {
        let why = match driver().memory.snapshot().find(address, 1) {
            Ok(range) => format!("it lies in allocation {} and is not such memory's beginning", range.id),
            Err(why) => why.to_string(),
        };
        driver().report.finding(&format!("{name} of {address:#x}: {why}"));
        return Err(error::INVALID_VALUE);
    }
    // As a real driver does: nothing that runs can use it then. Every card reaches memory of the host.
    let reached = if kinds.iter().all(|kind| kind.on_card()) {
        context.board..context.board + 1
    } else {
        0..driver().boards.len()
    };
    reached.for_each(|board| driver().schedule.wait_all(board));
    release(address);
    Ok(())
}

/// Allocates for a stream: at once, or as a node of the graph that it captures.
pub fn allocate_in(stream: Handle, address: *mut u64, bytes: usize) -> Answer {
    let stream = stream::of(stream)?;
    let allocated = allocate(stream.board, bytes, Kind::Async)?;
    if stream::is_captured(&stream) {
        stream::submit(&stream, Work::Allocate { address: allocated })?;
    }
    give(address, allocated)
}

/// Addresses of memory that a card and the host share are pointers of the host.
fn allocate_shared(name: &str, to: *mut *mut c_void, bytes: usize) -> Answer {
    let context = context::current()?;
    stream::potentially_unsafe(name)?;
    give(to, pointer(allocate(context.board, bytes, Kind::Pinned)?))
}

/// `CU_POINTER_ATTRIBUTE_*` that are answered here.
const MEMORY_TYPE: c_int = 2;
const DEVICE_ORDINAL: c_int = 9;
const RANGE_START: c_int = 11;
const RANGE_SIZE: c_int = 12;

api! {
    fn cuMemAlloc_v2(address: *mut u64, bytes: usize) {
        let context = context::current()?;
        stream::potentially_unsafe("cuMemAlloc_v2")?;
        give(address, allocate(context.board, bytes, Kind::Device)?)
    }

    /// Rows begin at multiples of 512 bytes, as CubeCL relies on.
    fn cuMemAllocPitch_v2(address: *mut u64, pitch: *mut usize, width: usize, height: usize, _element: c_uint) {
        let context = context::current()?;
        stream::potentially_unsafe("cuMemAllocPitch_v2")?;
        let row = width.next_multiple_of(GRANULE as usize);
        give(address, allocate(context.board, row.checked_mul(height).ok_or(error::OUT_OF_MEMORY)?, Kind::Device)?)?;
        give(pitch, row)
    }

    fn cuMemFree_v2(address: u64) {
        if address == 0 {
            return Ok(());
        }
        stream::potentially_unsafe("cuMemFree_v2")?;
        free("cuMemFree", address, &[Kind::Device, Kind::Async, Kind::Managed])
    }

    fn cuMemAllocAsync(address: *mut u64, bytes: usize, stream: Handle) {
        allocate_in(stream, address, bytes)
    }

    fn cuMemFreeAsync(address: u64, stream: Handle) {
        let stream = stream::of(stream)?;
        if !begins(address, &[Kind::Device, Kind::Async]) {
            driver().report.finding(&format!("cuMemFreeAsync of {address:#x}, where no live allocation begins"));
            return Err(error::INVALID_VALUE);
        }
        stream::submit(&stream, Work::Free { address })
    }

    fn cuMemAllocManaged(address: *mut u64, bytes: usize, _flags: c_uint) {
        let context = context::current()?;
        stream::potentially_unsafe("cuMemAllocManaged")?;
        give(address, allocate(context.board, bytes, Kind::Managed)?)
    }

    fn cuMemAllocHost_v2(to: *mut *mut c_void, bytes: usize) {
        allocate_shared("cuMemAllocHost_v2", to, bytes)
    }

    fn cuMemHostAlloc(to: *mut *mut c_void, bytes: usize, _flags: c_uint) {
        allocate_shared("cuMemHostAlloc", to, bytes)
    }

    fn cuMemHostGetDevicePointer_v2(address: *mut u64, host: *mut c_void, _flags: c_uint) {
        let address_ = host.expose_provenance() as u64;
        driver().memory.snapshot().find(address_, 1).map_err(|_| error::INVALID_VALUE)?;
        give(address, address_)
    }

    fn cuMemHostGetFlags(flags: *mut c_uint, _host: *mut c_void) {
        give(flags, 0)
    }

    fn cuMemFreeHost(host: *mut c_void) {
        stream::potentially_unsafe("cuMemFreeHost")?;
        free("cuMemFreeHost", host.expose_provenance() as u64, &[Kind::Pinned])
    }

    fn cuMemGetInfo_v2(free: *mut usize, total: *mut usize) {
        let context = context::current()?;
        let capacity = context.board().card.memory_mib << 20;
        give(free, (capacity - context.board().used.load(Ordering::Acquire)) as usize)?;
        give(total, capacity as usize)
    }

    fn cuMemGetAddressRange_v2(start: *mut u64, bytes: *mut usize, address: u64) {
        let memory = driver().memory.snapshot();
        let range = memory.find(address, 1).map_err(|_| error::NOT_FOUND)?;
        if !start.is_null() {
            give(start, range.start)?;
        }
        if bytes.is_null() { Ok(()) } else { give(bytes, range.bytes as usize) }
    }

    fn cuPointerGetAttribute(value: *mut c_void, attribute: c_int, address: u64) {
        let memory = driver().memory.snapshot();
        let range = memory.find(address, 1).map_err(|_| error::INVALID_VALUE)?;
        match attribute {
            MEMORY_TYPE => give(value.cast::<c_uint>(), if range.kind == Kind::Pinned { 1 } else { 2 }),
            DEVICE_ORDINAL => give(value.cast::<c_int>(), range.card as c_int),
            RANGE_START => give(value.cast::<u64>(), range.start),
            RANGE_SIZE => give(value.cast::<usize>(), range.bytes as usize),
            _ => Err(error::NOT_SUPPORTED),
        }
    }

    fn cuMemAdvise_v2(_address: u64, _bytes: usize, _advice: c_int, _location: u64) { Ok(()) }

    fn cuMemPrefetchAsync_v2(_address: u64, _bytes: usize, _location: u64, _flags: c_uint, stream: Handle) {
        stream::submit(&stream::of(stream)?, Work::Nothing)
    }
}
