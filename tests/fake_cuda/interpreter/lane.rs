//! Rows of 32 lanes: how values stand in the registers of a warp, and the loops over them.

use super::{
    Done, Run,
    block::Block,
    number::{Bf16, F16},
    warp::Warp,
};

/// How many threads a warp has.
pub const LANES: usize = 32;

/// All lanes of a warp.
pub const ALL: u32 = u32::MAX;

/// Where a register's row begins among the registers of its warp, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Row(pub u32);

/// Which memory an operand's row lies in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bank {
    /// Registers of the warp.
    Registers = 0,
    /// Immediates, the same for all warps of all blocks.
    Constants = 1,
    /// What all warps of a block see the same of: `%ctaid`.
    Block = 2,
}

/// Where the values of an operand come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Source {
    pub bank: Bank,
    pub offset: u32,
}

impl From<Row> for Source {
    fn from(row: Row) -> Self {
        Self { bank: Bank::Registers, offset: row.0 }
    }
}

/// What one lane of a row is stored as: narrower values take a word, too.
pub trait Slot: Copy + Default + Send + Sync + 'static {}
impl Slot for u32 {}
impl Slot for u64 {}

/// A value that one lane of an operand has.
pub trait Lane: Copy + Send + Sync + 'static {
    type Slot: Slot;
    fn read(slot: Self::Slot) -> Self;
    fn slot(self) -> Self::Slot;
}

macro_rules! lanes {
    ($($ty:ty, $slot:ty, $read:expr, $write:expr;)*) => {$(
        impl Lane for $ty {
            type Slot = $slot;
            #[inline(always)]
            fn read(slot: $slot) -> Self {
                let read: fn($slot) -> $ty = $read;
                read(slot)
            }
            #[inline(always)]
            fn slot(self) -> $slot {
                let write: fn($ty) -> $slot = $write;
                write(self)
            }
        }
    )*};
}

lanes! {
    u8, u32, |slot| slot as u8, u32::from;
    i8, u32, |slot| slot as i8, |value| u32::from(value as u8);
    u16, u32, |slot| slot as u16, u32::from;
    i16, u32, |slot| slot as i16, |value| u32::from(value as u16);
    u32, u32, |slot| slot, |value| value;
    i32, u32, u32::cast_signed, i32::cast_unsigned;
    u64, u64, |slot| slot, |value| value;
    i64, u64, u64::cast_signed, i64::cast_unsigned;
    f32, u32, f32::from_bits, f32::to_bits;
    f64, u64, f64::from_bits, f64::to_bits;
    F16, u32, |slot| F16(slot as u16), |value| u32::from(value.0);
    Bf16, u32, |slot| Bf16(slot as u16), |value| u32::from(value.0);
}

/// `d = f(a)` for every lane.
pub fn unary<A: Lane, D: Lane>(d: Row, a: Source, f: impl Fn(A) -> D + Send + Sync + 'static) -> Run {
    Box::new(move |warp: &mut Warp, _: &mut Block| -> Done {
        let a = warp.row::<A::Slot>(a);
        let mut result = [D::Slot::default(); LANES];
        for lane in 0..LANES {
            result[lane] = f(A::read(a[lane])).slot();
        }
        warp.set(d, &result);
        Ok(())
    })
}

/// `d = f(a, b)` for every lane.
pub fn binary<A: Lane, B: Lane, D: Lane>(
    d: Row,
    [a, b]: [Source; 2],
    f: impl Fn(A, B) -> D + Send + Sync + 'static,
) -> Run {
    Box::new(move |warp: &mut Warp, _: &mut Block| -> Done {
        let (a, b) = (warp.row::<A::Slot>(a), warp.row::<B::Slot>(b));
        let mut result = [D::Slot::default(); LANES];
        for lane in 0..LANES {
            result[lane] = f(A::read(a[lane]), B::read(b[lane])).slot();
        }
        warp.set(d, &result);
        Ok(())
    })
}

/// `d = f(a, b, c)` for every lane.
pub fn ternary<A: Lane, C: Lane, D: Lane>(
    d: Row,
    [a, b, c]: [Source; 3],
    f: impl Fn(A, A, C) -> D + Send + Sync + 'static,
) -> Run {
    Box::new(move |warp: &mut Warp, _: &mut Block| -> Done {
        let (a, b, c) = (warp.row::<A::Slot>(a), warp.row::<A::Slot>(b), warp.row::<C::Slot>(c));
        let mut result = [D::Slot::default(); LANES];
        for lane in 0..LANES {
            result[lane] = f(A::read(a[lane]), A::read(b[lane]), C::read(c[lane])).slot();
        }
        warp.set(d, &result);
        Ok(())
    })
}

/// A mask of the lanes for which `f(a, b)` holds.
pub fn compare<A: Lane>(warp: &Warp, [a, b]: [Source; 2], f: impl Fn(A, A) -> bool) -> u32 {
    let (a, b) = (warp.row::<A::Slot>(a), warp.row::<A::Slot>(b));
    let mut mask = 0;
    for lane in 0..LANES {
        mask |= u32::from(f(A::read(a[lane]), A::read(b[lane]))) << lane;
    }
    mask
}

/// The lanes of a mask, ascending.
pub fn lanes(mut mask: u32) -> impl Iterator<Item = usize> {
    std::iter::from_fn(move || {
        let lane = mask.trailing_zeros() as usize;
        mask &= mask.wrapping_sub(1);
        (lane < LANES).then_some(lane)
    })
}
