//! What the lanes of a warp tell each other: shuffles, votes, matches, reductions.

use super::{
    Run,
    decode::{Decoded, Decoder},
    lane::{ALL, LANES, Row, lanes},
};
use crate::{
    fault::code,
    ptx::instruction::{Operand, Type},
};

pub fn decode(decoder: &mut Decoder) -> Decoded<Run> {
    match decoder.at.name.as_str() {
        "shfl" => shfl(decoder),
        "vote" => vote(decoder),
        "activemask" => {
            let d = decoder.target(decoder.operand(0)?, 4)?;
            Ok(Box::new(move |warp, _| {
                let active = warp.active;
                warp.set(d, &[active; LANES]);
                Ok(())
            }))
        }
        "elect" => elect(decoder),
        "redux" => redux(decoder),
        _ => matching(decoder),
    }
}

/// The two results of an operand `d|p`.
fn results(decoder: &mut Decoder) -> Decoded<(Row, Option<Row>)> {
    match decoder.operand(0)? {
        Operand::Pair(d, p) => Ok((decoder.target(d, 4)?, Some(decoder.target(p, 4)?))),
        d => Ok((decoder.target(d, 4)?, None)),
    }
}

#[derive(Clone, Copy)]
enum Way {
    Up,
    Down,
    Butterfly,
    Index,
}

fn shfl(decoder: &mut Decoder) -> Decoded<Run> {
    let at = decoder.at;
    let (d, p) = results(decoder)?;
    let [a, b, c] = decoder.sources(1, Type::B32)?;
    let way = match () {
        () if at.has("up") => Way::Up,
        () if at.has("down") => Way::Down,
        () if at.has("bfly") => Way::Butterfly,
        () => Way::Index,
    };
    Ok(Box::new(move |warp, block| {
        let (values, b, c) = (warp.row::<u32>(a), warp.row::<u32>(b), warp.row::<u32>(c));
        let (mut result, mut inside) = (values, 0_u32);
        for lane in 0..LANES {
            let own = lane as u32;
            let (shift, clamp, segment) = (b[lane] & 31, c[lane] & 31, c[lane] >> 8 & 31);
            let last = own & segment | clamp & !segment;
            let (from, valid) = match way {
                Way::Up => (own.wrapping_sub(shift), own.cast_signed() - shift.cast_signed() >= last.cast_signed()),
                Way::Down => (own + shift, own + shift <= last),
                Way::Butterfly => (own ^ shift, own ^ shift <= last),
                Way::Index => {
                    let from = own & segment | shift & !segment;
                    (from, from <= last)
                }
            };
            let from = if valid { from } else { own };
            inside |= u32::from(valid) << lane;
            result[lane] = values[from as usize & 31];
            if warp.active >> lane & 1 != 0 && warp.active >> (from & 31) & 1 == 0 {
                let what = format!("a shuffle reads lane {from}, which does not take part");
                return Err(block.fault(warp, code::LAUNCH_FAILED, lane, what));
            }
        }
        warp.set(d, &result);
        if let Some(p) = p {
            warp.set_predicate(p, inside);
        }
        Ok(())
    }))
}

fn vote(decoder: &mut Decoder) -> Decoded<Run> {
    let at = decoder.at;
    let d = decoder.target(decoder.operand(0)?, 4)?;
    let (p, negated) = decoder.predicate(decoder.operand(1)?)?;
    let kind: fn(u32, u32) -> bool = match () {
        () if at.has("all") => |votes, active| votes == active,
        () if at.has("any") => |votes, _| votes != 0,
        () => |votes, active| votes == 0 || votes == active,
    };
    let ballot = at.has("ballot");
    Ok(Box::new(move |warp, _| {
        let votes = if negated { !warp.predicate(p) } else { warp.predicate(p) } & warp.active;
        if ballot {
            warp.set(d, &[votes; LANES]);
        } else {
            let result = if kind(votes, warp.active) { ALL } else { 0 };
            warp.set_predicate(d, result);
        }
        Ok(())
    }))
}

fn elect(decoder: &mut Decoder) -> Decoded<Run> {
    let (d, p) = results(decoder)?;
    Ok(Box::new(move |warp, _| {
        let leader = warp.first();
        warp.set(d, &[leader as u32; LANES]);
        if let Some(p) = p {
            warp.set_predicate(p, 1 << leader);
        }
        Ok(())
    }))
}

fn redux(decoder: &mut Decoder) -> Decoded<Run> {
    let at = decoder.at;
    let ty = decoder.ty()?;
    let (d, a) = (decoder.destination()?, decoder.source(1, ty)?);
    let signed = ty == Type::S32;
    let smallest =
        move |a: u32, b: u32| if signed { a.cast_signed().min(b.cast_signed()).cast_unsigned() } else { a.min(b) };
    let f: Box<dyn Fn(u32, u32) -> u32 + Send + Sync> = match (at.modifiers.get(1).map(String::as_str), ty) {
        (Some("min"), Type::U32 | Type::S32) => Box::new(smallest),
        (Some("max"), Type::U32 | Type::S32) => {
            Box::new(move |a, b| if signed { a.cast_signed().max(b.cast_signed()).cast_unsigned() } else { a.max(b) })
        }
        (Some("add"), Type::U32 | Type::S32) => Box::new(u32::wrapping_add),
        (Some("and"), _) => Box::new(|a, b| a & b),
        (Some("or"), _) => Box::new(|a, b| a | b),
        (Some("xor"), _) => Box::new(|a, b| a ^ b),
        _ => return Err(decoder.unknown()),
    };
    Ok(Box::new(move |warp, _| {
        let values = warp.row::<u32>(a);
        let result = lanes(warp.active).map(|lane| values[lane]).reduce(&f).unwrap_or_default();
        warp.set(d, &[result; LANES]);
        Ok(())
    }))
}

/// `match.any`: which lanes have the same value; `match.all`: whether all have.
fn matching(decoder: &mut Decoder) -> Decoded<Run> {
    let at = decoder.at;
    let ty = decoder.ty()?;
    let (d, p) = results(decoder)?;
    let a = decoder.source(1, ty)?;
    let (all, wide) = (at.has("all"), ty.bytes() == 8);
    Ok(Box::new(move |warp, _| {
        let values = if wide { warp.row::<u64>(a) } else { warp.row::<u32>(a).map(u64::from) };
        let active = warp.active;
        let mut result = [0_u32; LANES];
        for lane in 0..LANES {
            result[lane] =
                lanes(active).filter(|other| values[*other] == values[lane]).fold(0, |mask, l| mask | 1 << l);
        }
        if all {
            let same = result[warp.first()] == active;
            warp.set(d, &[if same { active } else { 0 }; LANES]);
            if let Some(p) = p {
                warp.set_predicate(p, if same { ALL } else { 0 });
            }
        } else {
            warp.set(d, &result);
        }
        Ok(())
    }))
}
