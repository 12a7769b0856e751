//! `ldmatrix`, `stmatrix` and `movmatrix`: matrices of 8 × 8 elements of 16 bits, a row of which each lane gives the address
//! of, and two neighbours of which each lane has.

use super::{LANES, whole_warp};
use crate::{
    interpreter::{
        Run,
        decode::{Decoded, Decoder},
        load_store,
        space::{Access, Kind},
    },
    ptx::instruction::Type,
};

/// Rows of 8 elements.
type Matrix = [[u16; 8]; 8];

/// What each lane has of a matrix.
fn fragment(matrix: &Matrix, transposed: bool) -> [u32; LANES] {
    let mut row = [0; LANES];
    for (lane, value) in row.iter_mut().enumerate() {
        let (i, j) = (lane / 4, lane % 4 * 2);
        let (low, high) = if transposed { (matrix[j][i], matrix[j + 1][i]) } else { (matrix[i][j], matrix[i][j + 1]) };
        *value = u32::from(low) | u32::from(high) << 16;
    }
    row
}

/// The matrix of which each lane has this.
fn matrix(row: &[u32; LANES], transposed: bool) -> Matrix {
    let mut matrix = [[0; 8]; 8];
    for (lane, value) in row.iter().enumerate() {
        let (i, j) = (lane / 4, lane % 4 * 2);
        let (low, high) = (*value as u16, (*value >> 16) as u16);
        if transposed {
            (matrix[j][i], matrix[j + 1][i]) = (low, high);
        } else {
            (matrix[i][j], matrix[i][j + 1]) = (low, high);
        }
    }
    matrix
}

pub fn decode(decoder: &mut Decoder) -> Decoded<Run> {
    let at = decoder.at;
    if decoder.ty()? != Type::B16 || !at.has("m8n8") {
        return Err(decoder.unknown());
    }
    let transposed = at.has("trans");
    if at.name == "movmatrix" {
        let (d, a) = (decoder.target(decoder.operand(0)?, 4)?, decoder.source(1, Type::B32)?);
        return Ok(Box::new(move |warp, block| {
            whole_warp(warp, block)?;
            let moved = fragment(&matrix(&warp.row::<u32>(a), false), true);
            warp.set(d, &moved);
            Ok(())
        }));
    }
    let load = at.name == "ldmatrix";
    let (registers, address) = if load { (0, 1) } else { (1, 0) };
    let registers = Decoder::elements(decoder.operand(registers)?);
    let address = decoder.address(decoder.operand(address)?)?;
    let space = load_store::space(at, address.space);
    let kind = if load { Kind::Read } else { Kind::Write };
    let access = Access { space, address, bytes: 16, kind, strong: false, pattern: decoder.pattern() };
    // Eight lanes give the rows of each matrix; the addresses of the others are not looked at.
    let givers = if registers.len() == 4 { u32::MAX } else { (1 << (8 * registers.len())) - 1 };
    if load {
        let targets: Vec<_> = registers.iter().map(|register| decoder.target(register, 4)).collect::<Decoded<_>>()?;
        return Ok(Box::new(move |warp, block| {
            whole_warp(warp, block)?;
            let active = std::mem::replace(&mut warp.active, givers);
            let located = block.locate(warp, &access);
            warp.active = active;
            let located = located?;
            for (index, target) in targets.iter().enumerate() {
                let mut matrix = [[0; 8]; 8];
                for (row, pointer) in matrix.iter_mut().zip(&located.pointers[8 * index..]) {
                    // SAFETY: 16 bytes were found for the lane that gave the address.
                    *row = unsafe { pointer.cast::<[u16; 8]>().read_unaligned() };
                }
                warp.set(*target, &fragment(&matrix, transposed));
            }
            Ok(())
        }));
    }
    let sources: Vec<_> =
        registers.iter().map(|register| decoder.value(register, Type::B32)).collect::<Decoded<_>>()?;
    Ok(Box::new(move |warp, block| {
        whole_warp(warp, block)?;
        let active = std::mem::replace(&mut warp.active, givers);
        let located = block.locate(warp, &access);
        warp.active = active;
        let located = located?;
        for (index, source) in sources.iter().enumerate() {
            let matrix = matrix(&warp.row::<u32>(*source), transposed);
            for (row, lane) in matrix.iter().zip(8 * index..) {
                block.note_write(warp, &access, &located, lane, || false)?;
                // SAFETY: as above.
                unsafe { located.pointers[lane].cast::<[u16; 8]>().write_unaligned(*row) };
            }
        }
        Ok(())
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fragment_is_a_matrix_and_back() {
        let mut rows = [[0; 8]; 8];
        rows.iter_mut().flatten().zip(0..).for_each(|(element, number)| *element = number);
        assert_eq!(fragment(&rows, false)[5], 10 | 11 << 16);
        assert_eq!(fragment(&rows, true)[5], 17 | 25 << 16);
        for transposed in [false, true] {
            assert_eq!(matrix(&fragment(&rows, transposed), transposed), rows);
        }
    }
}
