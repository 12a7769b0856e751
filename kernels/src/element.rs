//! What values are stored as: f32, or f16 and bf16, which take half the memory. Sums are f32 whatever their terms are stored
//! as.

use crate::simd::Lanes;
pub use half::{bf16, f16};

/// A way to store a value. Storing rounds to the nearest value there is.
///
/// # Safety
/// Zeros must be 0.0: that is what memory begins as.
pub unsafe trait Element: Copy + Default + std::fmt::Debug + Send + Sync + 'static {
    /// Which one it is.
    const KIND: Kind;

    /// The nearest one.
    fn of(value: f32) -> Self;
    /// Its value.
    fn value(self) -> f32;
    /// [`crate::simd::LANES`] of them.
    unsafe fn load<V: Lanes>(from: *const Self) -> V;
    /// Stores as many.
    unsafe fn store<V: Lanes>(values: V, to: *mut Self);
}

/// The ways to store a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    F32,
    F16,
    Bf16,
}

// SAFETY: 0 is 0.0.
unsafe impl Element for f32 {
    const KIND: Kind = Kind::F32;

    #[inline(always)]
    fn of(value: f32) -> Self {
        value
    }
    #[inline(always)]
    fn value(self) -> f32 {
        self
    }
    #[inline(always)]
    unsafe fn load<V: Lanes>(from: *const Self) -> V {
        unsafe { V::load(from) }
    }
    #[inline(always)]
    unsafe fn store<V: Lanes>(values: V, to: *mut Self) {
        unsafe { values.store(to) }
    }
}

/// Makes a type of half the width an element, which vectors load and store by the two named ways.
macro_rules! narrow {
    ($type:ty, $kind:expr, $load:ident, $store:ident) => {
        // SAFETY: 0 is 0.0.
        unsafe impl Element for $type {
            const KIND: Kind = $kind;

            #[inline(always)]
            fn of(value: f32) -> Self {
                Self::from_f32(value)
            }
            #[inline(always)]
            fn value(self) -> f32 {
                self.to_f32()
            }
            #[inline(always)]
            unsafe fn load<V: Lanes>(from: *const Self) -> V {
                unsafe { V::$load(from) }
            }
            #[inline(always)]
            unsafe fn store<V: Lanes>(values: V, to: *mut Self) {
                unsafe { values.$store(to) }
            }
        }
    };
}

narrow!(f16, Kind::F16, load_f16, store_f16);
narrow!(bf16, Kind::Bf16, load_bf16, store_bf16);
