//! `mov`, `cvta`, `isspacep`, `selp`: values that go from one register to another.

use super::{
    Run,
    decode::{Decoded, Decoder, window},
    lane::{LANES, Row, Source, binary, unary},
    load_store,
    space::{Space, space_of},
};
use crate::ptx::instruction::{self, Operand, Special, Type};

pub fn decode(decoder: &mut Decoder) -> Decoded<Option<Run>> {
    let at = decoder.at;
    match at.name.as_str() {
        "mov" => mov(decoder),
        "cvta" => cvta(decoder).map(Some),
        "isspacep" => isspacep(decoder).map(Some),
        // A block is a cluster of its own, so an address is that of its own shared memory.
        "mapa" => {
            let ty = decoder.ty()?;
            let (d, a) = (decoder.destination()?, decoder.source(1, ty)?);
            Ok(Some(copy(d, a, ty.bytes() == 8)))
        }
        "getctarank" => {
            let zero = decoder.constant(0, 4);
            let d = decoder.destination()?;
            Ok(Some(copy(d, zero, false)))
        }
        "selp" => selp(decoder).map(Some),
        "slct" => slct(decoder).map(Some),
        _ => Err(decoder.unknown()),
    }
}

fn copy(d: Row, a: Source, wide: bool) -> Run {
    if wide { unary(d, a, |x: u64| x) } else { unary(d, a, |x: u32| x) }
}

fn mov(decoder: &mut Decoder) -> Decoded<Option<Run>> {
    let ty = decoder.ty()?;
    let (to, from) = (decoder.operand(0)?, decoder.operand(1)?);
    match (to, from) {
        (Operand::Vector(parts), from) => unpack(decoder, parts, from, ty).map(Some),
        (_, Operand::Vector(parts)) => pack(decoder, parts, ty).map(Some),
        (_, Operand::Special(Special::Clock | Special::Clock64 | Special::GlobalTimer)) => {
            let d = decoder.destination()?;
            Ok(Some(clock(d, ty.bytes() == 8)))
        }
        _ if ty == Type::Pred => {
            let d = decoder.target(to, 4)?;
            let (a, negated) = decoder.predicate(from)?;
            Ok(Some(Box::new(move |warp, _| {
                let value = warp.predicate(a);
                warp.set_predicate(d, if negated { !value } else { value });
                Ok(())
            })))
        }
        _ => {
            let (d, a) = (decoder.destination()?, decoder.source(1, ty)?);
            Ok(Some(copy(d, a, ty.bytes() == 8)))
        }
    }
}

/// A clock that grows with every instruction that was counted.
fn clock(d: Row, wide: bool) -> Run {
    Box::new(move |warp, block| {
        block.events += 1;
        let time = block.counts.instructions + block.events;
        if wide {
            warp.set(d, &[time; LANES]);
        } else {
            warp.set(d, &[time as u32; LANES]);
        }
        Ok(())
    })
}

/// `mov.b64 d, {a, b}`: the first is the lowest.
fn pack(decoder: &mut Decoder, parts: &[Operand], ty: Type) -> Decoded<Run> {
    let d = decoder.destination()?;
    let bits = 8 * ty.bytes() / parts.len() as u32;
    let part = part_type(bits).ok_or_else(|| decoder.unknown())?;
    let sources: Vec<_> = parts.iter().map(|operand| decoder.value(operand, part)).collect::<Decoded<_>>()?;
    match (ty.bytes(), sources.as_slice()) {
        (8, [low, high]) => Ok(binary(d, [*low, *high], |low: u32, high: u32| u64::from(high) << 32 | u64::from(low))),
        (4, [low, high]) => Ok(binary(d, [*low, *high], |low: u32, high: u32| high << 16 | low & 0xffff)),
        (bytes @ (2 | 4 | 8), _) => Ok(Box::new(move |warp, _| {
            let mut packed = [0_u64; LANES];
            for (index, source) in sources.iter().enumerate() {
                let row = warp.row::<u32>(*source);
                for lane in 0..LANES {
                    packed[lane] |= (u64::from(row[lane]) & ((1 << bits) - 1)) << (index as u32 * bits);
                }
            }
            if bytes == 8 {
                warp.set(d, &packed);
            } else {
                warp.set(d, &packed.map(|value| value as u32));
            }
            Ok(())
        })),
        _ => Err(decoder.unknown()),
    }
}

fn part_type(bits: u32) -> Option<Type> {
    [(8, Type::B8), (16, Type::B16), (32, Type::B32)].into_iter().find(|(own, _)| *own == bits).map(|(_, ty)| ty)
}

/// `mov.b64 {a, b}, d`.
fn unpack(decoder: &mut Decoder, parts: &[Operand], from: &Operand, ty: Type) -> Decoded<Run> {
    let source = decoder.value(from, ty)?;
    let bits = 8 * ty.bytes() / parts.len() as u32;
    let mask = ((1_u64 << bits) - 1) as u32;
    let mut rows = Vec::new();
    for part in parts {
        rows.push(if *part == Operand::Sink { None } else { Some(decoder.target(part, 4)?) });
    }
    let wide = ty.bytes() == 8;
    Ok(Box::new(move |warp, _| {
        let values = if wide { warp.row::<u64>(source) } else { warp.row::<u32>(source).map(u64::from) };
        for (index, row) in rows.iter().enumerate() {
            if let Some(row) = row {
                let shift = index as u32 * bits;
                warp.set(*row, &values.map(|value| (value >> shift) as u32 & mask));
            }
        }
        Ok(())
    }))
}

fn window_of(space: Space) -> u64 {
    match space {
        Space::Shared => window::SHARED,
        Space::Local => window::LOCAL,
        Space::Param => window::PARAM,
        Space::Global | Space::Generic => 0,
    }
}

/// From an address of a space to a generic one, or back.
fn cvta(decoder: &mut Decoder) -> Decoded<Run> {
    let at = decoder.at;
    let ty = decoder.ty()?;
    let (d, a) = (decoder.destination()?, decoder.source(1, ty)?);
    let mut space = load_store::space(at, None);
    if let Operand::Variable(number, _) = decoder.operand(1)?
        && decoder.place(*number).space == instruction::Space::Local
    {
        space = Space::Local;
    }
    let window = window_of(space);
    if ty.bytes() != 8 {
        return Err(decoder.unknown());
    }
    Ok(if at.has("to") {
        unary(d, a, move |address: u64| if window == 0 { address } else { address & !window::MASK })
    } else {
        unary(d, a, move |address: u64| address | window)
    })
}

fn isspacep(decoder: &mut Decoder) -> Decoded<Run> {
    let space = load_store::space(decoder.at, None);
    let d = decoder.target(decoder.operand(0)?, 4)?;
    let a = decoder.source(1, Type::U64)?;
    Ok(Box::new(move |warp, _| {
        let row = warp.row::<u64>(a);
        let mask = (0..LANES).filter(|lane| space_of(row[*lane]) == space).fold(0, |mask, lane| mask | 1 << lane);
        warp.set_predicate(d, mask);
        Ok(())
    }))
}

fn selp(decoder: &mut Decoder) -> Decoded<Run> {
    let ty = decoder.ty()?;
    let (d, [a, b]) = (decoder.destination()?, decoder.sources(1, ty)?);
    let (p, negated) = decoder.predicate(decoder.operand(3)?)?;
    let wide = ty.bytes() == 8;
    Ok(Box::new(move |warp, _| {
        let predicate = warp.predicate(p);
        let predicate = if negated { !predicate } else { predicate };
        if wide {
            let (mut result, b) = (warp.row::<u64>(a), warp.row::<u64>(b));
            for lane in 0..LANES {
                result[lane] = if predicate >> lane & 1 != 0 { result[lane] } else { b[lane] };
            }
            warp.set(d, &result);
        } else {
            let (mut result, b) = (warp.row::<u32>(a), warp.row::<u32>(b));
            for lane in 0..LANES {
                result[lane] = if predicate >> lane & 1 != 0 { result[lane] } else { b[lane] };
            }
            warp.set(d, &result);
        }
        Ok(())
    }))
}

/// `slct d, a, b, c`: `a` where `c` is not negative.
fn slct(decoder: &mut Decoder) -> Decoded<Run> {
    let types: Vec<_> = decoder.at.types().collect();
    let [ty, chooser] = types[..] else { return Err(decoder.unknown()) };
    let d = decoder.target(decoder.operand(0)?, ty.bytes())?;
    let ([a, b], c) = (decoder.sources(1, ty)?, decoder.source(3, chooser)?);
    let float = chooser == Type::F32;
    let wide = ty.bytes() == 8;
    Ok(Box::new(move |warp, _| {
        let chosen = warp.row::<u32>(c).map(|c| if float { f32::from_bits(c) >= 0.0 } else { c.cast_signed() >= 0 });
        if wide {
            let (mut result, b) = (warp.row::<u64>(a), warp.row::<u64>(b));
            (0..LANES).filter(|lane| !chosen[*lane]).for_each(|lane| result[lane] = b[lane]);
            warp.set(d, &result);
        } else {
            let (mut result, b) = (warp.row::<u32>(a), warp.row::<u32>(b));
            (0..LANES).filter(|lane| !chosen[*lane]).for_each(|lane| result[lane] = b[lane]);
            warp.set(d, &result);
        }
        Ok(())
    }))
}
