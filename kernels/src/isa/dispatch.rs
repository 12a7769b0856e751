//! Compiles one generic function for every vector width and selects among the copies at run time.

/// Defines `$name::<E>(isa, …)`, which calls the copy of `$generic::<V, E>(…)` that was compiled for `isa`, `V` being the
/// [`crate::simd::F32x16`] of that instruction set.
///
/// `$generic` must be `#[inline(always)]`: its code has to end up inside the function that enables the target features.
macro_rules! for_each_isa {
    ($(#[$doc:meta])* $name:ident<$element:ident> = $generic:ident($($argument:ident: $type:ty),* $(,)?)) => {
        $(#[$doc])*
        #[allow(private_interfaces)]
        pub(crate) unsafe fn $name<$element: $crate::element::Element>(isa: $crate::isa::Isa, $($argument: $type),*) {
            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx2,fma,f16c")]
            unsafe fn avx2<$element: $crate::element::Element>($($argument: $type),*) {
                unsafe { $generic::<$crate::simd::Avx2, $element>($($argument),*) }
            }
            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx512f,avx512bw")]
            unsafe fn avx512<$element: $crate::element::Element>($($argument: $type),*) {
                unsafe { $generic::<std::arch::x86_64::__m512, $element>($($argument),*) }
            }
            // SAFETY: every `Isa` beyond the portable one comes from `Isa::available`, which has asked the processor; the rest
            // is the caller's obligation.
            unsafe {
                match isa {
                    #[cfg(target_arch = "x86_64")]
                    $crate::isa::Isa::Avx2 => avx2::<$element>($($argument),*),
                    #[cfg(target_arch = "x86_64")]
                    $crate::isa::Isa::Avx512 | $crate::isa::Isa::Avx512Bf16 | $crate::isa::Isa::Amx => {
                        avx512::<$element>($($argument),*)
                    }
                    _ => $generic::<[f32; $crate::simd::LANES], $element>($($argument),*),
                }
            }
        }
    };
}
pub(crate) use for_each_isa;
