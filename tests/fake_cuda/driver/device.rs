//! What a card says about itself.

use super::{api, driver, error, give, handle::Handle, init};
use crate::cards::{Card, REGISTERS, SHARED_DEFAULT, THREADS_PER_BLOCK, WARP};
use std::ffi::{CStr, c_char, c_int, c_uint};

/// Copies a text with its zero into a place of `room` bytes.
fn give_text(to: *mut c_char, room: c_int, text: &str) -> error::Answer {
    let room = usize::try_from(room).unwrap_or(0);
    if to.is_null() || room == 0 {
        return Err(error::INVALID_VALUE);
    }
    // What does not fit is cut off, as the driver does.
    let length = text.len().min(room - 1);
    // SAFETY: the caller gave `room` bytes.
    unsafe {
        std::ptr::copy_nonoverlapping(text.as_ptr().cast(), to, length);
        to.add(length).write(0);
    }
    Ok(())
}

/// `domain:bus:device.function`.
pub fn pci(slot: usize) -> String {
    format!("0000:{:02X}:00.0", BUS + slot)
}

/// The bus of the first card.
const BUS: usize = 0x4e;

/// A `CUdevice_attribute`. Those that nobody here asks for are 0, as they are for what a card lacks.
fn attribute(card: &Card, slot: usize, attribute: c_int) -> u32 {
    let yes = 1;
    match attribute {
        1..=3 => THREADS_PER_BLOCK,            // threads of a block, and its x and y
        4 => 64,                               // its z
        5 => i32::MAX as u32,                  // x of a grid
        6 | 7 => 65_535,                       // its y and z
        8 => SHARED_DEFAULT,                   // shared memory of a block
        9 => 64 << 10,                         // constant memory
        10 => WARP,                            // threads of a warp
        11 => i32::MAX as u32,                 // longest pitch
        12 | 82 => REGISTERS,                  // of a block, of a multiprocessor
        13 => card.clock_mhz * 1000,           // clock, kHz
        14 => 512,                             // texture alignment
        15 | 19 | 31 => yes,                   // overlap, mapped host memory, concurrent kernels
        16 => card.multiprocessors,            //
        32 => u32::from(card.power_w == 0),    // error correction: reported off
        33 => (BUS + slot) as u32,             // PCI bus
        34 | 50 => 0,                          // PCI device, domain
        36 => card.memory_clock_mhz * 1000,    // memory clock, kHz
        37 => card.bus_bits,                   // memory bus
        38 => card.l2_bytes,                   // L2
        39 => card.threads_per_multiprocessor, //
        40 => 2,                               // copy engines
        41 => yes,                             // unified addressing
        51 => 32,                              // texture pitch alignment
        75 => card.sm / 10,                    // compute capability
        76 => card.sm % 10,                    //
        78..=80 => yes,                        // stream priorities, L1 for global and local memory
        81 => card.shared_per_multiprocessor,  //
        83 | 89 | 90 | 91 => yes,              // managed memory, at the same time as the host, preemption
        87 => {
            if matches!(card.sm, 70 | 80 | 90 | 100) {
                2
            } else {
                64
            }
        } // f32 to f64 products
        95 => yes,                             // cooperative launch
        97 => card.shared_per_block,           // shared memory of a block that opts in
        99 | 102 | 103 | 115 => yes,           // host registration, virtual memory, handles, memory pools
        106 => card.blocks_per_multiprocessor, //
        108 => card.l2_bytes / 4 * 3,          // L2 that can be set aside
        111 => card.shared_reserved,           // shared memory that the system keeps
        120 => u32::from(card.sm >= 90),       // cluster launch
        127 => u32::from(card.sm >= 90),       // tensor maps
        _ => 0,
    }
}

api! {
    fn cuDeviceGetCount(count: *mut c_int) {
        let driver = driver();
        driver.board(0)?;
        give(count, driver.boards.len() as c_int)
    }

    fn cuDeviceGet(device: *mut c_int, ordinal: c_int) {
        driver().board(ordinal)?;
        give(device, ordinal)
    }

    fn cuDeviceGetName(name: *mut c_char, room: c_int, device: c_int) {
        give_text(name, room, driver().board(device)?.card.name)
    }

    fn cuDeviceGetUuid(uuid: *mut [u8; 16], device: c_int) {
        give(uuid, init::uuid(driver().board(device)?.slot))
    }

    fn cuDeviceGetUuid_v2(uuid: *mut [u8; 16], device: c_int) {
        give(uuid, init::uuid(driver().board(device)?.slot))
    }

    /// An identity of Windows, which Linux has not.
    fn cuDeviceGetLuid(_luid: *mut c_char, _nodes: *mut c_uint, device: c_int) {
        driver().board(device)?;
        Err(error::NOT_SUPPORTED)
    }

    fn cuDeviceTotalMem_v2(bytes: *mut usize, device: c_int) {
        give(bytes, (driver().board(device)?.card.memory_mib << 20) as usize)
    }

    fn cuDeviceGetAttribute(value: *mut c_int, attribute_: c_int, device: c_int) {
        let board = driver().board(device)?;
        if attribute_ <= 0 {
            return Err(error::INVALID_VALUE);
        }
        give(value, attribute(&board.card, board.slot, attribute_) as c_int)
    }

    fn cuDeviceComputeCapability(major: *mut c_int, minor: *mut c_int, device: c_int) {
        let sm = driver().board(device)?.card.sm as c_int;
        give(major, sm / 10)?;
        give(minor, sm % 10)
    }

    fn cuDeviceGetPCIBusId(id: *mut c_char, room: c_int, device: c_int) {
        give_text(id, room, &pci(driver().board(device)?.slot))
    }

    fn cuDeviceGetByPCIBusId(device: *mut c_int, id: *const c_char) {
        let asked = CStr::from_ptr(id).to_string_lossy().to_ascii_uppercase();
        let boards = &driver().boards;
        let found = boards.iter().position(|board| asked.ends_with(&pci(board.slot)[5..]));
        give(device, found.ok_or(error::INVALID_DEVICE)? as c_int)
    }

    fn cuDeviceCanAccessPeer(can: *mut c_int, device: c_int, peer: c_int) {
        let driver = driver();
        driver.board(device)?;
        driver.board(peer)?;
        give(can, 0)
    }

    fn cuCtxEnablePeerAccess(_peer: Handle, _flags: c_uint) {
        Err(error::PEER_ACCESS_UNSUPPORTED)
    }

    fn cuCtxDisablePeerAccess(_peer: Handle) {
        Err(error::PEER_ACCESS_NOT_ENABLED)
    }

}
