//! Products of bf16 on AMX: a tile of up to 16 pixels by 16 channels of the input times one of 16 channels by 16 filters is
//! one instruction, and the sums of two by two such products stay in tile registers over all taps.
//!
//! The instructions are written out: Rust's own names for them are not stable yet.

use crate::simd::LANES;
use std::{arch::asm, marker::PhantomData, sync::OnceLock};

/// Pixels of a tile at the most.
pub const PIXELS: usize = 16;

/// Bytes of a row of a tile of sums, and of one of weights: two of bf16 for each of 16 filters.
const ROW: usize = LANES * size_of::<f32>();

/// Whether the processor has AMX for bf16 and the system lets this process use it. It is asked once.
pub fn available() -> bool {
    static AVAILABLE: OnceLock<bool> = OnceLock::new();
    *AVAILABLE.get_or_init(|| has_tiles() && may_use_tiles())
}

fn has_tiles() -> bool {
    let leaf = std::arch::x86_64::__cpuid(0).eax;
    // Bits 22 and 24: AMX-BF16 and AMX-TILE.
    leaf >= 7 && (std::arch::x86_64::__cpuid_count(7, 0).edx >> 22) & 0b101 == 0b101
}

/// Asks for the tile registers, which Linux gives to those who ask (`Documentation/arch/x86/xstate.rst`).
#[cfg(target_os = "linux")]
fn may_use_tiles() -> bool {
    const ARCH_REQ_XCOMP_PERM: libc::c_long = 0x1023;
    const XFEATURE_XTILEDATA: libc::c_long = 18;
    // SAFETY: the call takes two numbers.
    unsafe { libc::syscall(libc::SYS_arch_prctl, ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA) == 0 }
}

#[cfg(not(target_os = "linux"))]
const fn may_use_tiles() -> bool {
    false
}

#[repr(C, align(64))]
struct Palette([u8; 64]);

/// This thread's tile registers, configured; they are given back when this is dropped.
pub struct Tiles {
    /// Not for another thread.
    thread: PhantomData<*const ()>,
}

impl Tiles {
    /// Configures them for so many pixels: registers 0 to 3 for sums, 4 and 5 for `channels` channels of the input, 6 and 7
    /// for their weights.
    ///
    /// # Safety
    /// AMX must be [`available`], pixels be at most [`PIXELS`] and channels 16 or 32.
    pub unsafe fn configure(pixels: usize, channels: usize) -> Self {
        let mut palette = Palette([0; 64]);
        palette.0[0] = 1;
        for tile in 0..8 {
            let (rows, bytes) = match tile {
                0..4 => (pixels, ROW),
                4..6 => (pixels, channels * 2),
                _ => (channels / 2, ROW),
            };
            palette.0[16 + 2 * tile] = bytes as u8;
            palette.0[48 + tile] = rows as u8;
        }
        // SAFETY: the caller's promise.
        unsafe { asm!("ldtilecfg [{}]", in(reg) &palette, options(nostack)) };
        Self { thread: PhantomData }
    }
}

impl Drop for Tiles {
    fn drop(&mut self) {
        // SAFETY: AMX is there, since this is.
        unsafe { asm!("tilerelease", options(nostack)) };
    }
}

/// What one or two tiles of pixels are multiplied with.
pub struct Product<'a> {
    /// Where 16 values side by side of each pixel's input begin, bytes from the first pixel's.
    pub taps: &'a [usize],
    /// From a pixel's input to the next pixel's, bytes.
    pub step: usize,
    /// `[taps][8][blocks][16][2]`.
    pub weights: *const u8,
    /// Blocks of filters that the weights are of: one or two.
    pub blocks: usize,
}

/// Where a tile of pixels has its input, and where its sums go: `[pixel][16]` for each of two blocks.
#[derive(Clone, Copy)]
pub struct Pixels {
    pub x: *const u8,
    pub sums: [*mut f32; 2],
}

/// Makes a kernel of what it does for every 16 channels of a tap, and of what it stores.
macro_rules! kernel {
    ($name:ident: $($line:literal)+; $($store:literal)+) => {
        #[inline(never)] // its loop is long against a call
        unsafe fn $name(product: &Product, [first, second]: [Pixels; 2]) {
            let taps = product.taps.as_ptr_range();
            let sums = [first.sums[0], first.sums[1], second.sums[0], second.sums[1]];
            // SAFETY: what the lines read and write is the caller's promise; there is a tap at the least.
            unsafe {
                asm!(
                    "tilezero tmm0", "tilezero tmm1", "tilezero tmm2", "tilezero tmm3",
                    "2:",
                    $($line,)+
                    "add {weights}, {tap}",
                    "add {taps}, 8",
                    "cmp {taps}, {end}",
                    "jne 2b",
                    "mov {step}, 64", // from a pixel's sums to the next one's
                    $($store,)+
                    "/* {second} */", // not all of them have a second tile
                    at = out(reg) _,
                    taps = inout(reg) taps.start => _,
                    end = in(reg) taps.end,
                    weights = inout(reg) product.weights => _,
                    row = in(reg) product.blocks * ROW,
                    tap = in(reg) LANES / 2 * product.blocks * ROW,
                    first = in(reg) first.x,
                    second = in(reg) second.x,
                    step = inout(reg) product.step => _,
                    sums = in(reg) sums.as_ptr(),
                    out("tmm0") _, out("tmm1") _, out("tmm2") _, out("tmm3") _,
                    out("tmm4") _, out("tmm5") _, out("tmm6") _, out("tmm7") _,
                    options(nostack),
                );
            }
        }
    };
}

kernel!(one_by_one:
    "mov {at}, [{taps}]" "add {at}, {first}" "tileloadd tmm4, [{at} + {step}]"
    "tileloadd tmm6, [{weights} + {row}]" "tdpbf16ps tmm0, tmm4, tmm6";
    "mov {at}, [{sums}]" "tilestored [{at} + {step}], tmm0");

kernel!(one_by_two:
    "mov {at}, [{taps}]" "add {at}, {first}" "tileloadd tmm4, [{at} + {step}]"
    "tileloadd tmm6, [{weights} + {row}]" "tdpbf16ps tmm0, tmm4, tmm6"
    "tileloadd tmm7, [{weights} + {row} + 64]" "tdpbf16ps tmm1, tmm4, tmm7";
    "mov {at}, [{sums}]" "tilestored [{at} + {step}], tmm0"
    "mov {at}, [{sums} + 8]" "tilestored [{at} + {step}], tmm1");

kernel!(two_by_one:
    "mov {at}, [{taps}]" "add {at}, {first}" "tileloadd tmm4, [{at} + {step}]"
    "tileloadd tmm6, [{weights} + {row}]" "tdpbf16ps tmm0, tmm4, tmm6"
    "mov {at}, [{taps}]" "add {at}, {second}" "tileloadd tmm5, [{at} + {step}]"
    "tdpbf16ps tmm2, tmm5, tmm6";
    "mov {at}, [{sums}]" "tilestored [{at} + {step}], tmm0"
    "mov {at}, [{sums} + 16]" "tilestored [{at} + {step}], tmm2");

kernel!(two_by_two:
    "mov {at}, [{taps}]" "add {at}, {first}" "tileloadd tmm4, [{at} + {step}]"
    "tileloadd tmm6, [{weights} + {row}]" "tdpbf16ps tmm0, tmm4, tmm6"
    "mov {at}, [{taps}]" "add {at}, {second}" "tileloadd tmm5, [{at} + {step}]"
    "tdpbf16ps tmm2, tmm5, tmm6"
    "tileloadd tmm7, [{weights} + {row} + 64]" "tdpbf16ps tmm1, tmm4, tmm7" "tdpbf16ps tmm3, tmm5, tmm7";
    "mov {at}, [{sums}]" "tilestored [{at} + {step}], tmm0"
    "mov {at}, [{sums} + 8]" "tilestored [{at} + {step}], tmm1"
    "mov {at}, [{sums} + 16]" "tilestored [{at} + {step}], tmm2"
    "mov {at}, [{sums} + 24]" "tilestored [{at} + {step}], tmm3");

/// Sums of one tile of pixels, or of two, with one block of filters, or two. What they were before is forgotten.
///
/// # Safety
/// The tiles must be configured for 16 channels and for as many pixels as there are inputs and room for sums, for each of
/// `product.blocks` blocks. Taps must not be empty.
pub unsafe fn sums(_: &Tiles, product: &Product, first: Pixels, second: Option<Pixels>) {
    unsafe {
        match (second, product.blocks) {
            (None, 1) => one_by_one(product, [first; 2]),
            (None, _) => one_by_two(product, [first; 2]),
            (Some(second), 1) => two_by_one(product, [first, second]),
            (Some(second), _) => two_by_two(product, [first, second]),
        }
    }
}

/// Operations of so many products with nothing else between them, of 16 pixels and 32 channels: as fast as they come.
///
/// # Safety
/// AMX must be [`available`].
pub unsafe fn products(turns: u64) -> u64 {
    unsafe {
        let tiles = Tiles::configure(PIXELS, 2 * LANES);
        asm!(
            "tilezero tmm0", "tilezero tmm1", "tilezero tmm2", "tilezero tmm3",
            "tilezero tmm4", "tilezero tmm5", "tilezero tmm6", "tilezero tmm7",
            "2:",
            "tdpbf16ps tmm0, tmm4, tmm6", "tdpbf16ps tmm1, tmm4, tmm7",
            "tdpbf16ps tmm2, tmm5, tmm6", "tdpbf16ps tmm3, tmm5, tmm7",
            "dec {turns}",
            "jnz 2b",
            turns = inout(reg) turns => _,
            out("tmm0") _, out("tmm1") _, out("tmm2") _, out("tmm3") _,
            out("tmm4") _, out("tmm5") _, out("tmm6") _, out("tmm7") _,
            options(nostack),
        );
        drop(tiles);
    }
    turns * 4 * 2 * (PIXELS * LANES * 2 * LANES) as u64
}
