//! Operands: registers, immediates, addresses, vectors, special registers.

use super::{Named, Parser, Result};
use crate::ptx::{
    instruction::{Immediate, LaneMask, Operand, Special, Type},
    lexer::Kind,
    module::ParseError,
};

/// An integer without a sign, in any base.
pub fn unsigned(text: &str) -> Option<u64> {
    let text = text.strip_suffix(['U', 'u']).unwrap_or(text);
    let (digits, radix) = match text.as_bytes() {
        [b'0', b'x' | b'X', ..] => (&text[2..], 16),
        [b'0', b'b' | b'B', ..] => (&text[2..], 2),
        [b'0', _, ..] => (&text[1..], 8),
        _ => (text, 10),
    };
    u64::from_str_radix(digits, radix).ok()
}

/// A number as it is written.
pub fn immediate(text: &str, negative: bool) -> Option<Immediate> {
    match text.as_bytes() {
        [b'0', b'f' | b'F', ..] if text.len() == 10 => {
            let bits = u32::from_str_radix(&text[2..], 16).ok()?;
            Some(Immediate::Single(if negative { bits ^ 1 << 31 } else { bits }))
        }
        [b'0', b'd' | b'D', ..] if text.len() == 18 => {
            let value = f64::from_bits(u64::from_str_radix(&text[2..], 16).ok()?);
            Some(Immediate::Double(if negative { -value } else { value }))
        }
        _ if text.contains('.') => {
            let value: f64 = text.parse().ok()?;
            Some(Immediate::Double(if negative { -value } else { value }))
        }
        _ => {
            let value = unsigned(text)?.cast_signed();
            Some(Immediate::Integer(if negative { value.wrapping_neg() } else { value }))
        }
    }
}

/// The bits of an immediate as a value of a type.
pub fn bits(value: Immediate, ty: Type) -> u64 {
    match (value, ty) {
        (Immediate::Integer(value), _) => value.cast_unsigned(),
        (Immediate::Single(bits), Type::F64) => f64::from(f32::from_bits(bits)).to_bits(),
        (Immediate::Single(bits), _) => u64::from(bits),
        (Immediate::Double(value), Type::F32) => u64::from((value as f32).to_bits()),
        (Immediate::Double(value), _) => value.to_bits(),
    }
}

impl<'a> Parser<'a> {
    pub(super) fn operand(&mut self) -> Result<Operand> {
        let token = self.next()?;
        let operand = match token.kind {
            Kind::Mark(b'{') => Operand::Vector(self.list(b'}')?),
            Kind::Mark(b'(') => Operand::Arguments(self.list(b')')?),
            Kind::Mark(b'[') => self.address()?,
            Kind::Mark(b'!') => Operand::Not(Box::new(self.operand()?)),
            Kind::Mark(b'-') => self.number(true)?,
            Kind::Number => {
                self.at -= 1;
                self.number(false)?
            }
            Kind::Word if token.text == "_" => Operand::Sink,
            Kind::Word => self.named(token.text, token.line)?,
            _ => return Err(ParseError::new(token.line, format!("{} begins no operand", token.text))),
        };
        if self.take(b'|') {
            return Ok(Operand::Pair(Box::new(operand), Box::new(self.operand()?)));
        }
        Ok(operand)
    }

    fn list(&mut self, end: u8) -> Result<Vec<Operand>> {
        let mut operands = Vec::new();
        while !self.take(end) {
            operands.push(self.operand()?);
            self.take(b',');
        }
        Ok(operands)
    }

    fn number(&mut self, negative: bool) -> Result<Operand> {
        let token = self.next()?;
        immediate(token.text, negative)
            .map(Operand::Immediate)
            .ok_or_else(|| ParseError::new(token.line, format!("{} is no number", token.text)))
    }

    /// `base+offset]` or `map, {coordinates}]`.
    fn address(&mut self) -> Result<Operand> {
        let base = self.operand()?;
        let mut offset = 0_i64;
        if self.take(b'+') || self.peek().is_some_and(|token| token.kind == Kind::Mark(b'-')) {
            let negative = self.take(b'-');
            let value = self.integer()?.cast_signed();
            offset = if negative { -value } else { value };
        }
        let mut coordinates = Vec::new();
        while self.take(b',') {
            coordinates.push(self.operand()?);
        }
        self.expect(b']')?;
        // The lexer takes `name+8` apart, and `operand` has read the sum already.
        let (base, offset) = match base {
            Operand::Variable(number, inner) => (Operand::Variable(number, 0), inner + offset),
            base => (base, offset),
        };
        Ok(Operand::Address { base: Box::new(base), offset, coordinates })
    }

    fn named(&mut self, name: &'a str, line: u32) -> Result<Operand> {
        match self.lookup(name) {
            Some(Named::Register(register)) => Ok(Operand::Register(register)),
            Some(Named::Variable(number)) => {
                let offset = if self.take(b'+') {
                    let negative = self.take(b'-');
                    let value = self.integer()?.cast_signed();
                    if negative { -value } else { value }
                } else {
                    0
                };
                Ok(Operand::Variable(number, offset))
            }
            None => special(name)
                .map(Operand::Special)
                .ok_or_else(|| ParseError::new(line, format!("no register or variable is named {name}"))),
        }
    }
}

/// The special register of a name. A block is a cluster of its own.
fn special(name: &str) -> Option<Special> {
    let axis = |name: &str| match name.rsplit_once('.') {
        Some((_, "x")) => Some(0),
        Some((_, "y")) => Some(1),
        Some((_, "z")) => Some(2),
        _ => None,
    };
    Some(match name.split('.').next()? {
        "%tid" => Special::Tid(axis(name)?),
        "%ntid" => Special::Ntid(axis(name)?),
        "%ctaid" | "%clusterid" => Special::Ctaid(axis(name)?),
        "%nctaid" | "%nclusterid" => Special::Nctaid(axis(name)?),
        "%cluster_ctaid" | "%cluster_ctarank" | "%smid" | "%gridid" => Special::Constant(0),
        "%cluster_nctaid" | "%cluster_nctarank" => Special::Constant(1),
        "%nsmid" => Special::Multiprocessors,
        "%laneid" => Special::Lane,
        "%warpid" => Special::Warp,
        "%nwarpid" => Special::Warps,
        "WARP_SZ" => Special::WarpSize,
        "%lanemask_eq" => Special::LaneMask(LaneMask::Equal),
        "%lanemask_lt" => Special::LaneMask(LaneMask::Less),
        "%lanemask_le" => Special::LaneMask(LaneMask::LessEqual),
        "%lanemask_gt" => Special::LaneMask(LaneMask::Greater),
        "%lanemask_ge" => Special::LaneMask(LaneMask::GreaterEqual),
        "%clock" | "%clock_hi" => Special::Clock,
        "%clock64" => Special::Clock64,
        "%globaltimer" => Special::GlobalTimer,
        "%globaltimer_lo" | "%globaltimer_hi" => Special::Clock,
        "%dynamic_smem_size" => Special::SharedDynamic,
        "%total_smem_size" => Special::SharedTotal,
        _ => return None,
    })
}
