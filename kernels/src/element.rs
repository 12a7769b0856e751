//! Storage types of feature maps and weights: f32, f16 and bf16. Arithmetic is f32 for all of them: values are widened when
//! they are loaded and rounded when they are stored.

use crate::simd::F32x16;
pub use half::{bf16, f16};

/// A storage type.
///
/// # Safety
/// The bit pattern 0 must be the value 0.0: memory starts out zeroed.
pub unsafe trait Element: Copy + Default + std::fmt::Debug + Send + Sync + 'static {
    /// This type, as a value.
    const DTYPE: DType;

    /// Rounds to the nearest representable value, ties to even.
    fn of(value: f32) -> Self;
    /// The value as f32, exactly.
    fn value(self) -> f32;
    /// Loads [`crate::simd::LANES`] values and widens them.
    ///
    /// # Safety
    /// `from` must be valid for that many values; see [`F32x16`] for the instructions that `V` needs.
    unsafe fn load<V: F32x16>(from: *const Self) -> V;
    /// Rounds [`crate::simd::LANES`] values and stores them.
    ///
    /// # Safety
    /// `to` must be valid for that many values; see [`F32x16`] for the instructions that `V` needs.
    unsafe fn store<V: F32x16>(values: V, to: *mut Self);
}

/// The storage types, as values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DType {
    F32,
    F16,
    Bf16,
}

// SAFETY: all bits zero is 0.0.
unsafe impl Element for f32 {
    const DTYPE: DType = DType::F32;

    #[inline(always)]
    fn of(value: f32) -> Self {
        value
    }
    #[inline(always)]
    fn value(self) -> f32 {
        self
    }
    #[inline(always)]
    unsafe fn load<V: F32x16>(from: *const Self) -> V {
        unsafe { V::load(from) }
    }
    #[inline(always)]
    unsafe fn store<V: F32x16>(values: V, to: *mut Self) {
        unsafe { values.store(to) }
    }
}

/// Implements [`Element`] for a 16-bit type by the two methods of [`F32x16`] that convert it.
macro_rules! half_precision {
    ($type:ty, $dtype:expr, $load:ident, $store:ident) => {
        // SAFETY: all bits zero is 0.0.
        unsafe impl Element for $type {
            const DTYPE: DType = $dtype;

            #[inline(always)]
            fn of(value: f32) -> Self {
                Self::from_f32(value)
            }
            #[inline(always)]
            fn value(self) -> f32 {
                self.to_f32()
            }
            #[inline(always)]
            unsafe fn load<V: F32x16>(from: *const Self) -> V {
                unsafe { V::$load(from) }
            }
            #[inline(always)]
            unsafe fn store<V: F32x16>(values: V, to: *mut Self) {
                unsafe { values.$store(to) }
            }
        }
    };
}

half_precision!(f16, DType::F16, load_f16, store_f16);
half_precision!(bf16, DType::Bf16, load_bf16, store_bf16);
