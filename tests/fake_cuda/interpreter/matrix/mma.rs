//! `mma.sync`: products of fragments whose layout PTX gives.
//!
//! In all shapes with 16 rows and 8 columns, lane `4 g + t` has of A the rows `g` and `g + 8`, of B the column `g`, and of
//! C and D the columns `2 t` and `2 t + 1` of the rows `g` and `g + 8`. A word holds neighbours along K.

use super::{LANES, Matrices, Operands, Shape, element, operands, per_word, rows, shape, types, whole_warp, word};
use crate::{
    interpreter::{
        Run,
        decode::{Decoded, Decoder},
        warp::Warp,
    },
    ptx::instruction::Type,
};

pub fn decode(decoder: &mut Decoder) -> Decoded<Run> {
    let at = decoder.at;
    let unknown = || decoder.unknown();
    let shape = shape(at).ok_or_else(unknown)?;
    let types = types(at).ok_or_else(unknown)?;
    let fits = shape.k <= 32
        && shape.m == 16
        && shape.n == 8
        && !at.has("block_scale")
        && !at.has("sp")
        && !types.contains(&Type::F64);
    if !fits || at.has("b1") || types.contains(&Type::B8) {
        return Err(decoder.unknown());
    }
    let saturate = at.has("satfinite");
    let given = operands(decoder)?;
    let [d, a, b, c] = types;
    let words = |elements: usize, ty| elements / LANES / per_word(ty);
    let expected = [
        (given.d.len(), words(shape.m * shape.n, d)),
        (given.a.len(), words(shape.m * shape.k, a)),
        (given.b.len(), words(shape.k * shape.n, b)),
        (given.c.len(), words(shape.m * shape.n, c)),
    ];
    if expected.iter().any(|(given, expected)| given != expected) {
        return Err(decoder.unknown());
    }
    Ok(Box::new(move |warp, block| {
        whole_warp(warp, block)?;
        let mut matrices = Matrices::new();
        gather(warp, &mut matrices, &given, shape, types);
        if c == Type::S32 {
            matrices.multiply_integers(shape, saturate);
        } else {
            matrices.multiply(shape);
        }
        scatter(warp, &matrices, &given, shape, d);
        block.counts.tensor_products += (shape.m * shape.n * shape.k) as u64;
        Ok(())
    }))
}

fn gather(warp: &Warp, matrices: &mut Matrices, given: &Operands, shape: Shape, [_, a, b, c]: [Type; 4]) {
    for (register, row) in rows(warp, &given.a).iter().enumerate() {
        let per = per_word(a);
        for (lane, value) in row.iter().enumerate() {
            let (group, thread) = (lane / 4, lane % 4);
            let at = (group + (register & 1) * 8) * shape.k + (register / 2) * 4 * per + thread * per;
            for index in 0..per {
                matrices.a[at + index] = element(*value, index, a);
            }
        }
    }
    for (register, row) in rows(warp, &given.b).iter().enumerate() {
        let per = per_word(b);
        for (lane, value) in row.iter().enumerate() {
            let (group, thread) = (lane / 4, lane % 4);
            let k = register * 4 * per + thread * per;
            for index in 0..per {
                matrices.b[(k + index) * shape.n + group] = element(*value, index, b);
            }
        }
    }
    for (register, row) in rows(warp, &given.c).iter().enumerate() {
        let per = per_word(c);
        for (lane, value) in row.iter().enumerate() {
            for index in 0..per {
                matrices.c[place(lane, register * per + index, shape.n)] = element(*value, index, c);
            }
        }
    }
}

/// Where element `number` of a lane's accumulator lies.
fn place(lane: usize, number: usize, columns: usize) -> usize {
    (lane / 4 + number / 2 * 8) * columns + lane % 4 * 2 + number % 2
}

fn scatter(warp: &mut Warp, matrices: &Matrices, given: &Operands, shape: Shape, d: Type) {
    let per = per_word(d);
    for (register, row) in given.d.iter().enumerate() {
        let mut result = [0; LANES];
        for (lane, result) in result.iter_mut().enumerate() {
            *result = word(|index| matrices.c[place(lane, register * per + index, shape.n)], d);
        }
        warp.set(*row, &result);
    }
}
