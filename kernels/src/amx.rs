//! AMX-BF16: matrix products in tile registers. TDPBF16PS multiplies a tile of up to 16 pixels × 32 input channels by one of
//! 32 channels × 16 filters and adds the products to 16 × 16 sums in f32; here a tile has 16 channels, a channel block.
//!
//! The micro-kernel computes 32 pixels × 2 blocks of filters, which takes all eight tile registers:
//!
//! ```text
//!                     tmm6: filters 0–15   tmm7: filters 16–31
//!   tmm4: pixels 0–15        tmm0                 tmm1
//!   tmm5: pixels 16–31       tmm2                 tmm3
//! ```
//!
//! Two loads of inputs and two of weights feed four products, so that loads and products take about the same time. There are
//! smaller ones for a last tile of pixels and for a last block of filters. The sums stay in registers over the whole K loop, and
//! are stored without bias: the epilogue follows on vectors (`conv::low_precision`).
//!
//! NaN and infinities are handled as IEEE 754 says. Subnormal inputs and results count as zero, as in VDPBF16PS.
//!
//! The instructions are inline assembly, since Rust's intrinsics for them are unstable.

use crate::simd::LANES;
use std::{arch::asm, marker::PhantomData, sync::OnceLock};

/// Most pixels of a tile register.
pub const TILE_PIXELS: usize = 16;
/// Most channel blocks of filters that a micro-kernel has accumulators for.
pub const TILE_BLOCKS: usize = 2;

/// Bytes of a row of a tile of sums (16 f32), and of one of weights (pairs of bf16 for 16 filters).
const ROW_BYTES: usize = LANES * size_of::<f32>();

/// Whether the processor has AMX-BF16 and the operating system lets this process use it. Determined once per process.
pub fn available() -> bool {
    static AVAILABLE: OnceLock<bool> = OnceLock::new();
    *AVAILABLE.get_or_init(|| processor_has_amx() && request_permission())
}

fn processor_has_amx() -> bool {
    let last_leaf = std::arch::x86_64::__cpuid(0).eax;
    // EDX bits 22 and 24: AMX-BF16 and AMX-TILE.
    last_leaf >= 7 && (std::arch::x86_64::__cpuid_count(7, 0).edx >> 22) & 0b101 == 0b101
}

/// Requests the tile registers' state, which Linux grants per process (`Documentation/arch/x86/xstate.rst`).
#[cfg(target_os = "linux")]
fn request_permission() -> bool {
    const ARCH_REQ_XCOMP_PERM: libc::c_long = 0x1023;
    const XFEATURE_XTILEDATA: libc::c_long = 18;
    // SAFETY: the call takes two numbers.
    unsafe { libc::syscall(libc::SYS_arch_prctl, ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA) == 0 }
}

#[cfg(not(target_os = "linux"))]
const fn request_permission() -> bool {
    false
}

/// The operand of LDTILECFG: the shape of each tile register.
#[repr(C, align(64))]
struct TileConfig([u8; 64]);

/// The configured tile registers of this thread. Dropping it releases them.
pub struct Tiles {
    /// Registers belong to a thread: neither `Send` nor `Sync`.
    thread: PhantomData<*const ()>,
}

impl Tiles {
    /// Configures registers 0 to 3 for sums of `pixels` × 16 filters, 4 and 5 for inputs of `pixels` × `channels`, 6 and 7 for
    /// weights of `channels` × 16 filters.
    ///
    /// # Safety
    /// AMX must be [`available`], `pixels` from 1 to [`TILE_PIXELS`], `channels` 16 or 32.
    pub unsafe fn configure(pixels: usize, channels: usize) -> Self {
        let mut config = TileConfig([0; 64]);
        config.0[0] = 1; // the palette
        for tile in 0..8 {
            let (rows, row_bytes) = match tile {
                0..4 => (pixels, ROW_BYTES),
                4..6 => (pixels, channels * 2),
                _ => (channels / 2, ROW_BYTES),
            };
            config.0[16 + 2 * tile] = row_bytes as u8;
            config.0[48 + tile] = rows as u8;
        }
        // SAFETY: the caller's obligation.
        unsafe { asm!("ldtilecfg [{}]", in(reg) &config, options(nostack)) };
        Self { thread: PhantomData }
    }
}

impl Drop for Tiles {
    fn drop(&mut self) {
        // SAFETY: a value exists only where AMX is available.
        unsafe { asm!("tilerelease", options(nostack)) };
    }
}

/// The K loop and the weights of a micro-kernel call.
pub struct KLoop<'a> {
    /// Where each 16 consecutive channels of the reduction begin, in bytes from a pixel's first tap.
    pub offsets: &'a [usize],
    /// Input stride from a pixel to the next, bytes.
    pub input_stride: usize,
    /// Packed weights, `[offset][8][blocks][16][2]`.
    pub weights: *const u8,
    /// Channel blocks of filters: 1 or 2.
    pub blocks: usize,
}

/// A tile of pixels: where its input begins, and where the sums of each block of filters go, `[pixel][16]`.
#[derive(Clone, Copy)]
pub struct PixelTile {
    pub input: *const u8,
    pub sums: [*mut f32; 2],
}

/// Defines a micro-kernel by the instructions of a step of its K loop, 16 channels, and those that store its sums.
macro_rules! micro_kernel {
    ($name:ident: $($step:literal)+; $($store:literal)+) => {
        #[inline(never)] // the K loop is long compared with a call
        unsafe fn $name(k_loop: &KLoop, [first, second]: [PixelTile; 2]) {
            let offsets = k_loop.offsets.as_ptr_range();
            let sums = [first.sums[0], first.sums[1], second.sums[0], second.sums[1]];
            // SAFETY: the caller vouches for all that is read and written; there is at least one offset.
            unsafe {
                asm!(
                    "tilezero tmm0", "tilezero tmm1", "tilezero tmm2", "tilezero tmm3",
                    "2:",
                    $($step,)+
                    "add {weights}, {step_bytes}",
                    "add {offset}, 8",
                    "cmp {offset}, {end}",
                    "jne 2b",
                    "mov {stride}, 64", // from a pixel's sums to the next one's
                    $($store,)+
                    "/* {second} */", // kernels of one tile of pixels do not use it
                    at = out(reg) _,
                    offset = inout(reg) offsets.start => _,
                    end = in(reg) offsets.end,
                    weights = inout(reg) k_loop.weights => _,
                    row = in(reg) k_loop.blocks * ROW_BYTES,
                    step_bytes = in(reg) LANES / 2 * k_loop.blocks * ROW_BYTES,
                    first = in(reg) first.input,
                    second = in(reg) second.input,
                    stride = inout(reg) k_loop.input_stride => _,
                    sums = in(reg) sums.as_ptr(),
                    out("tmm0") _, out("tmm1") _, out("tmm2") _, out("tmm3") _,
                    out("tmm4") _, out("tmm5") _, out("tmm6") _, out("tmm7") _,
                    options(nostack),
                );
            }
        }
    };
}

micro_kernel!(one_by_one:
    "mov {at}, [{offset}]" "add {at}, {first}" "tileloadd tmm4, [{at} + {stride}]"
    "tileloadd tmm6, [{weights} + {row}]" "tdpbf16ps tmm0, tmm4, tmm6";
    "mov {at}, [{sums}]" "tilestored [{at} + {stride}], tmm0");

micro_kernel!(one_by_two:
    "mov {at}, [{offset}]" "add {at}, {first}" "tileloadd tmm4, [{at} + {stride}]"
    "tileloadd tmm6, [{weights} + {row}]" "tdpbf16ps tmm0, tmm4, tmm6"
    "tileloadd tmm7, [{weights} + {row} + 64]" "tdpbf16ps tmm1, tmm4, tmm7";
    "mov {at}, [{sums}]" "tilestored [{at} + {stride}], tmm0"
    "mov {at}, [{sums} + 8]" "tilestored [{at} + {stride}], tmm1");

micro_kernel!(two_by_one:
    "mov {at}, [{offset}]" "add {at}, {first}" "tileloadd tmm4, [{at} + {stride}]"
    "tileloadd tmm6, [{weights} + {row}]" "tdpbf16ps tmm0, tmm4, tmm6"
    "mov {at}, [{offset}]" "add {at}, {second}" "tileloadd tmm5, [{at} + {stride}]"
    "tdpbf16ps tmm2, tmm5, tmm6";
    "mov {at}, [{sums}]" "tilestored [{at} + {stride}], tmm0"
    "mov {at}, [{sums} + 16]" "tilestored [{at} + {stride}], tmm2");

micro_kernel!(two_by_two:
    "mov {at}, [{offset}]" "add {at}, {first}" "tileloadd tmm4, [{at} + {stride}]"
    "tileloadd tmm6, [{weights} + {row}]" "tdpbf16ps tmm0, tmm4, tmm6"
    "mov {at}, [{offset}]" "add {at}, {second}" "tileloadd tmm5, [{at} + {stride}]"
    "tdpbf16ps tmm2, tmm5, tmm6"
    "tileloadd tmm7, [{weights} + {row} + 64]" "tdpbf16ps tmm1, tmm4, tmm7" "tdpbf16ps tmm3, tmm5, tmm7";
    "mov {at}, [{sums}]" "tilestored [{at} + {stride}], tmm0"
    "mov {at}, [{sums} + 8]" "tilestored [{at} + {stride}], tmm1"
    "mov {at}, [{sums} + 16]" "tilestored [{at} + {stride}], tmm2"
    "mov {at}, [{sums} + 24]" "tilestored [{at} + {stride}], tmm3");

/// Computes one tile of pixels, or two, × all filters, and overwrites their sums.
///
/// # Safety
/// `_tiles` must be configured for 16 channels and as many pixels as there are inputs and room for sums, in each of
/// `k_loop.blocks` blocks. Inputs must be valid at all offsets, of which there must be at least one.
pub unsafe fn multiply(_tiles: &Tiles, k_loop: &KLoop, first: PixelTile, second: Option<PixelTile>) {
    unsafe {
        match (second, k_loop.blocks) {
            (None, 1) => one_by_one(k_loop, [first; 2]),
            (None, _) => one_by_two(k_loop, [first; 2]),
            (Some(second), 1) => two_by_one(k_loop, [first, second]),
            (Some(second), _) => two_by_two(k_loop, [first, second]),
        }
    }
}

/// Executes four independent TDPBF16PS of full tiles, 16 pixels × 32 channels × 16 filters, per iteration, without loads.
/// Returns the FLOPs, two per multiply-accumulate.
///
/// # Safety
/// AMX must be [`available`].
pub unsafe fn peak_loop(iterations: u64) -> u64 {
    unsafe {
        let tiles = Tiles::configure(TILE_PIXELS, 2 * LANES);
        asm!(
            "tilezero tmm0", "tilezero tmm1", "tilezero tmm2", "tilezero tmm3",
            "tilezero tmm4", "tilezero tmm5", "tilezero tmm6", "tilezero tmm7",
            "2:",
            "tdpbf16ps tmm0, tmm4, tmm6", "tdpbf16ps tmm1, tmm4, tmm7",
            "tdpbf16ps tmm2, tmm5, tmm6", "tdpbf16ps tmm3, tmm5, tmm7",
            "dec {iterations}",
            "jnz 2b",
            iterations = inout(reg) iterations => _,
            out("tmm0") _, out("tmm1") _, out("tmm2") _, out("tmm3") _,
            out("tmm4") _, out("tmm5") _, out("tmm6") _, out("tmm7") _,
            options(nostack),
        );
        drop(tiles);
    }
    iterations * 4 * 2 * (TILE_PIXELS * LANES * 2 * LANES) as u64
}
