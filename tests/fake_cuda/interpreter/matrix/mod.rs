//! Tensor cores: fragments in the registers of a warp, and their products.

mod mma;
mod move_matrix;
mod wmma;

use super::{
    Run,
    block::Block,
    decode::{Decoded, Decoder},
    lane::{ALL, LANES, Row, Source},
    number::{self, E2M1, E2M3, E3M2, E4M3, E5M2},
    warp::Warp,
};
use crate::{
    fault::{Fault, code},
    ptx::instruction::{Instruction, Operand, Type},
};

pub fn decode(decoder: &mut Decoder) -> Decoded<Run> {
    match decoder.at.name.as_str() {
        "mma" => mma::decode(decoder),
        "wmma" => wmma::decode(decoder),
        _ => move_matrix::decode(decoder),
    }
}

/// M, N and K of a product.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Shape {
    m: usize,
    n: usize,
    k: usize,
}

/// The shape that an opcode names: `m16n8k16`.
fn shape(at: &Instruction) -> Option<Shape> {
    at.modifiers.iter().find_map(|modifier| {
        let (m, rest) = modifier.strip_prefix('m')?.split_once('n')?;
        let (n, k) = rest.split_once('k')?;
        Some(Shape { m: m.parse().ok()?, n: n.parse().ok()?, k: k.parse().ok()? })
    })
}

/// The largest matrices have 32 × 16 elements, or 16 × 32.
const LARGEST: usize = 32 * 16;

/// Elements of matrices as singles, or as integers in their bits.
struct Matrices {
    a: [f32; LARGEST],
    b: [f32; LARGEST],
    c: [f32; LARGEST],
}

impl Matrices {
    fn new() -> Self {
        Self { a: [0.0; LARGEST], b: [0.0; LARGEST], c: [0.0; LARGEST] }
    }

    /// `c += a × b`, rows of `a` and `c` and of `b` one behind the other.
    fn multiply(&mut self, shape: Shape) {
        match (shape.m, shape.n, shape.k) {
            (16, 8, 8) => self.product::<16, 8, 8>(),
            (16, 8, 16) => self.product::<16, 8, 16>(),
            (16, 16, 8) => self.product::<16, 16, 8>(),
            (16, 16, 16) => self.product::<16, 16, 16>(),
            (32, 8, 16) => self.product::<32, 8, 16>(),
            (8, 32, 16) => self.product::<8, 32, 16>(),
            (16, 8, 32) => self.product::<16, 8, 32>(),
            (16, 8, 4) => self.product::<16, 8, 4>(),
            _ => {
                for row in 0..shape.m {
                    for k in 0..shape.k {
                        for column in 0..shape.n {
                            self.c[row * shape.n + column] += self.a[row * shape.k + k] * self.b[k * shape.n + column];
                        }
                    }
                }
            }
        }
    }

    fn product<const M: usize, const N: usize, const K: usize>(&mut self) {
        for row in 0..M {
            let mut sums = [0.0_f32; N];
            sums.copy_from_slice(&self.c[row * N..][..N]);
            for k in 0..K {
                let a = self.a[row * K + k];
                let b = &self.b[k * N..][..N];
                for column in 0..N {
                    sums[column] += a * b[column];
                }
            }
            self.c[row * N..][..N].copy_from_slice(&sums);
        }
    }

    /// The same for integers, which a single could not hold exactly: `c` holds their bits.
    fn multiply_integers(&mut self, shape: Shape, saturate: bool) {
        for row in 0..shape.m {
            for column in 0..shape.n {
                let mut sum = i64::from(self.c[row * shape.n + column].to_bits().cast_signed());
                for k in 0..shape.k {
                    sum += i64::from(self.a[row * shape.k + k] as i32 * self.b[k * shape.n + column] as i32);
                }
                let bits = if saturate { sum.clamp(i32::MIN.into(), i32::MAX.into()) as i32 } else { sum as i32 };
                self.c[row * shape.n + column] = f32::from_bits(bits.cast_unsigned());
            }
        }
    }
}

/// How many elements of a type a word holds.
fn per_word(ty: Type) -> usize {
    match ty {
        Type::F16 | Type::Bf16 => 2,
        Type::S8 | Type::U8 | Type::E4m3 | Type::E5m2 | Type::E3m2 | Type::E2m3 | Type::E2m1 => 4,
        _ => 1,
    }
}

/// One element of a word.
#[inline(always)]
fn element(word: u32, index: usize, ty: Type) -> f32 {
    let byte = word >> (8 * index) & 255;
    match ty {
        Type::F16 => number::half_to_single((word >> (16 * index)) as u16),
        Type::Bf16 => number::bfloat_to_single((word >> (16 * index)) as u16),
        // What lies below the 10 bits of the fraction is not looked at.
        Type::Tf32 => number::truncate_to_tf32(f32::from_bits(word)),
        Type::S8 => f32::from(byte as i8),
        Type::U8 => byte as f32,
        Type::E4m3 => E4M3.value(byte) as f32,
        Type::E5m2 => E5M2.value(byte) as f32,
        // Narrower floats stand in a byte each; four bits lie in its middle.
        Type::E3m2 => E3M2.value(byte & 0x3f) as f32,
        Type::E2m3 => E2M3.value(byte & 0x3f) as f32,
        Type::E2m1 => E2M1.value(byte >> 2 & 0xf) as f32,
        _ => f32::from_bits(word),
    }
}

/// A word of the result, from its elements.
#[inline(always)]
fn word(values: impl Fn(usize) -> f32, ty: Type) -> u32 {
    match ty {
        Type::F16 => {
            (0..2).fold(0, |word, index| word | u32::from(number::single_to_half(values(index))) << (16 * index))
        }
        _ => values(0).to_bits(),
    }
}

/// The operands of a product.
struct Operands {
    d: Vec<Row>,
    a: Vec<Source>,
    b: Vec<Source>,
    c: Vec<Source>,
}

fn operands(decoder: &mut Decoder) -> Decoded<Operands> {
    let d = Decoder::elements(decoder.operand(0)?)
        .iter()
        .map(|operand| decoder.target(operand, 4))
        .collect::<Decoded<_>>()?;
    let mut sources = |index: usize| -> Decoded<Vec<Source>> {
        let operand: &Operand = decoder.operand(index)?;
        Decoder::elements(operand).iter().map(|operand| decoder.value(operand, Type::B32)).collect()
    };
    Ok(Operands { d, a: sources(1)?, b: sources(2)?, c: sources(3)? })
}

/// The types of D, A, B and C. Where A and B are not named they are halves.
fn types(at: &Instruction) -> Option<[Type; 4]> {
    match at.types().collect::<Vec<_>>()[..] {
        [d, a, b, c] => Some([d, a, b, c]),
        [d, c] => Some([d, Type::F16, Type::F16, c]),
        _ => None,
    }
}

/// All lanes must take part.
fn whole_warp(warp: &Warp, block: &Block) -> Result<(), Box<Fault>> {
    // A probe of CubeCL stores its fragment from one lane only, and nobody looks at it.
    if warp.active == ALL || block.measures {
        return Ok(());
    }
    let what = format!("only the lanes {:#010x} of the warp execute it", warp.active);
    Err(block.fault(warp, code::LAUNCH_FAILED, warp.first(), what))
}

/// The rows of some operands, all at once.
fn rows(warp: &Warp, sources: &[Source]) -> Vec<[u32; LANES]> {
    sources.iter().map(|source| warp.row::<u32>(*source)).collect()
}
