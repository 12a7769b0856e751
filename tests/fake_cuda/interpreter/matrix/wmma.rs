//! `wmma`: fragments whose layout is the card's own business.
//!
//! Ours: lane `l` has the elements `l * E` to `l * E + E - 1` of the matrix in row-major order, E being a thirty-second of
//! it. Fragments of halves have twice the room; the second half repeats the first.

use super::{LANES, Matrices, Shape, element, operands, per_word, rows, shape, types, whole_warp, word};
use crate::{
    fault::{Fault, code},
    interpreter::{
        Run,
        block::Block,
        decode::{Address, Decoded, Decoder},
        lane::{Row, Source},
        load_store,
        space::{Kind, Space},
        warp::Warp,
    },
    ptx::instruction::Type,
};

pub fn decode(decoder: &mut Decoder) -> Decoded<Run> {
    match decoder.at.modifiers.first().map(String::as_str) {
        Some("load") => transfer(decoder, true),
        Some("store") => transfer(decoder, false),
        Some("mma") => product(decoder),
        _ => Err(decoder.unknown()),
    }
}

/// A fragment that goes to or comes from memory.
struct Transfer {
    address: Address,
    space: Space,
    /// Elements between rows, or columns if it is column-major.
    stride: Source,
    rows: usize,
    columns: usize,
    column_major: bool,
    ty: Type,
}

fn transfer(decoder: &mut Decoder, load: bool) -> Decoded<Run> {
    let at = decoder.at;
    let ty = decoder.ty()?;
    let shape = shape(at).ok_or_else(|| decoder.unknown())?;
    let (rows, columns) = match at.modifiers.get(1).map(String::as_str) {
        Some("a") => (shape.m, shape.k),
        Some("b") => (shape.k, shape.n),
        _ => (shape.m, shape.n),
    };
    let column_major = at.has("col");
    let (registers, address) = if load { (0, 1) } else { (1, 0) };
    let registers = Decoder::elements(decoder.operand(registers)?);
    let address = decoder.address(decoder.operand(address)?)?;
    let space = load_store::space(at, address.space);
    let stride = match at.operands.get(2) {
        Some(_) => decoder.source(2, Type::U32)?,
        None => decoder.constant(if column_major { rows } else { columns } as u64, 4),
    };
    let transfer = Transfer { address, space, stride, rows, columns, column_major, ty };
    if load {
        let targets: Vec<_> = registers.iter().map(|register| decoder.target(register, 4)).collect::<Decoded<_>>()?;
        return Ok(Box::new(move |warp, block| {
            whole_warp(warp, block)?;
            transfer.load(warp, block, &targets)
        }));
    }
    let sources: Vec<_> =
        registers.iter().map(|register| decoder.value(register, Type::B32)).collect::<Decoded<_>>()?;
    Ok(Box::new(move |warp, block| {
        whole_warp(warp, block)?;
        transfer.store(warp, block, &sources)
    }))
}

/// The most bytes that a matrix takes in memory.
const MOST: usize = super::LARGEST * 4;

impl Transfer {
    fn bytes(&self) -> usize {
        self.ty.bytes() as usize
    }

    /// Copies the matrix between memory and `matrix`, in which rows (or columns) lie one behind the other.
    fn memory(&self, warp: &Warp, block: &mut Block, matrix: &mut [u8], kind: Kind) -> Result<(), Box<Fault>> {
        let base = crate::interpreter::access::addresses(warp, &self.address)[0];
        let stride = u64::from(warp.lane::<u32>(self.stride, 0)) * self.bytes() as u64;
        let (lines, length) = if self.column_major { (self.columns, self.rows) } else { (self.rows, self.columns) };
        let length = length * self.bytes();
        if !base.is_multiple_of(16) || !stride.is_multiple_of(16) && lines > 1 && length >= 16 {
            let what = format!("a matrix at {base:#x} with {stride} bytes between its rows is misaligned");
            return Err(block.fault(warp, code::MISALIGNED_ADDRESS, 0, what));
        }
        for (line, part) in matrix.chunks_exact_mut(length).take(lines).enumerate() {
            let at = base + line as u64 * stride;
            let memory = block.span_in(warp, 0, self.space, at, length as u64, kind)?;
            // SAFETY: so many bytes were found.
            let memory = unsafe { std::slice::from_raw_parts_mut(memory, length) };
            if kind == Kind::Read {
                part.copy_from_slice(memory);
                block.poison_copy(warp, 0, at, part);
            } else {
                memory.copy_from_slice(part);
            }
        }
        Ok(())
    }

    /// Where an element lies in `matrix`, by its number in row-major order.
    fn place(&self, number: usize) -> usize {
        let (row, column) = (number / self.columns, number % self.columns);
        (if self.column_major { column * self.rows + row } else { number }) * self.bytes()
    }

    fn load(&self, warp: &mut Warp, block: &mut Block, targets: &[Row]) -> Result<(), Box<Fault>> {
        let mut matrix = [0; MOST];
        self.memory(warp, block, &mut matrix, Kind::Read)?;
        let own = self.rows * self.columns / LANES;
        let per = 4 / self.bytes().min(4);
        for (register, target) in targets.iter().enumerate() {
            let mut row = [0_u32; LANES];
            for (lane, value) in row.iter_mut().enumerate() {
                for index in 0..per {
                    let at = self.place(lane * own + (register * per + index) % own);
                    let mut bytes = [0; 4];
                    bytes[..self.bytes()].copy_from_slice(&matrix[at..at + self.bytes()]);
                    *value |= u32::from_le_bytes(bytes) << (index * self.bytes() * 8);
                }
            }
            warp.set(*target, &row);
        }
        Ok(())
    }

    fn store(&self, warp: &mut Warp, block: &mut Block, sources: &[Source]) -> Result<(), Box<Fault>> {
        let mut matrix = [0; MOST];
        let own = self.rows * self.columns / LANES;
        let per = 4 / self.bytes().min(4);
        for (register, row) in rows(warp, sources).iter().enumerate() {
            for (lane, value) in row.iter().enumerate() {
                for index in 0..per {
                    let at = self.place(lane * own + (register * per + index) % own);
                    let bytes = (value >> (index * self.bytes() * 8)).to_le_bytes();
                    matrix[at..at + self.bytes()].copy_from_slice(&bytes[..self.bytes()]);
                }
            }
        }
        self.memory(warp, block, &mut matrix, Kind::Write)
    }
}

fn product(decoder: &mut Decoder) -> Decoded<Run> {
    let at = decoder.at;
    let unknown = || decoder.unknown();
    let shape = shape(at).ok_or_else(unknown)?;
    let types = types(at).ok_or_else(unknown)?;
    let largest = (shape.m * shape.k).max(shape.k * shape.n).max(shape.m * shape.n);
    if largest > super::LARGEST || types.contains(&Type::F64) || at.has("b1") {
        return Err(decoder.unknown());
    }
    let saturate = at.has("satfinite");
    let given = operands(decoder)?;
    let [d, a, b, c] = types;
    Ok(Box::new(move |warp, block| {
        whole_warp(warp, block)?;
        let Shape { m, n, k } = shape;
        let mut matrices = Matrices::new();
        gather(warp, &mut matrices.a, &given.a, m * k, a);
        gather(warp, &mut matrices.b, &given.b, k * n, b);
        gather(warp, &mut matrices.c, &given.c, m * n, c);
        if c == Type::S32 {
            matrices.multiply_integers(shape, saturate);
        } else {
            matrices.multiply(shape);
        }
        let own = m * n / LANES;
        let per = per_word(d);
        for (register, row) in given.d.iter().enumerate() {
            let mut result = [0; LANES];
            for (lane, result) in result.iter_mut().enumerate() {
                *result = word(|index| matrices.c[lane * own + (register * per + index) % own], d);
            }
            warp.set(*row, &result);
        }
        block.counts.tensor_products += (m * n * k) as u64;
        Ok(())
    }))
}

fn gather(warp: &Warp, matrix: &mut [f32], sources: &[Source], elements: usize, ty: Type) {
    let own = elements / LANES;
    let per = per_word(ty);
    for (register, row) in rows(warp, sources).iter().enumerate().take(own.div_ceil(per)) {
        for (lane, value) in row.iter().enumerate() {
            for index in 0..per {
                let number = register * per + index;
                if number < own {
                    matrix[lane * own + number] = element(*value, index, ty);
                }
            }
        }
    }
}
