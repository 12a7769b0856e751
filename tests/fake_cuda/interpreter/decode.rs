//! From the tree of an instruction to a closure over rows: operands here, each family of instructions in a file of its own.

use super::{
    Run, arithmetic, asynchronous, atomic, barrier, bits,
    block::Block,
    compare, convert,
    flow::Allocation,
    half,
    inline::{Flat, Place},
    lane::{Bank, LANES, Row, Source},
    load_store, matrix, moves, shuffle,
    warp::Warp,
};
use crate::fault::code;
use crate::ptx::instruction::{Immediate, Instruction, LaneMask, Operand, Space, Special, Type};
use std::collections::HashMap;

/// An instruction that the interpreter does not know, or not in this form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unknown {
    pub line: u32,
    pub what: String,
}

pub type Decoded<T> = Result<T, Unknown>;

/// Where generic addresses of each space begin. Addresses of this process lie far below.
pub mod window {
    pub const SHARED: u64 = 1 << 60;
    pub const LOCAL: u64 = 2 << 60;
    pub const PARAM: u64 = 3 << 60;
    /// What an address has above its window.
    pub const MASK: u64 = 0xf << 60;
}

/// The rows of each special register that is the same for all warps of a block.
pub const BLOCK_ROWS: [Special; 13] = [
    Special::Ctaid(0),
    Special::Ctaid(1),
    Special::Ctaid(2),
    Special::Ntid(0),
    Special::Ntid(1),
    Special::Ntid(2),
    Special::Nctaid(0),
    Special::Nctaid(1),
    Special::Nctaid(2),
    Special::Warps,
    Special::SharedDynamic,
    Special::SharedTotal,
    Special::Multiprocessors,
];

/// Bytes of a row of words.
pub const WORD_ROW: u32 = 4 * LANES as u32;

/// What decoding one kernel gathers.
pub struct Decoder<'a> {
    flat: &'a Flat,
    allocation: &'a Allocation,
    /// Rows of immediates: by their size and bits.
    constants: HashMap<(u32, u64), u32>,
    pub constant_bytes: Vec<u8>,
    /// Rows of special registers that each warp has of its own.
    pub specials: Vec<(Special, Row)>,
    /// Bytes of a warp's registers.
    pub bytes: u32,
    /// How many instructions access memory so far.
    pub patterns: usize,
    /// The instruction that is decoded.
    pub at: &'a Instruction,
}

impl<'a> Decoder<'a> {
    pub fn new(flat: &'a Flat, allocation: &'a Allocation) -> Self {
        Self {
            flat,
            allocation,
            constants: HashMap::new(),
            constant_bytes: Vec::new(),
            specials: Vec::new(),
            bytes: allocation.bytes,
            patterns: 0,
            at: &flat.code[0],
        }
    }

    /// The closure of the current instruction; none for what a warp does not notice.
    pub fn run(&mut self) -> Decoded<Option<Run>> {
        let run = match self.at.name.as_str() {
            "mov" | "cvta" | "isspacep" | "mapa" | "selp" | "slct" | "getctarank" => return moves::decode(self),
            "ld" | "ldu" | "st" => load_store::decode(self)?,
            "add" | "sub" | "mul" | "mad" | "mul24" | "mad24" | "fma" | "div" | "rem" | "min" | "max" | "abs"
            | "neg" | "sad" | "addc" | "subc" | "madc" | "sqrt" | "rsqrt" | "rcp" | "ex2" | "lg2" | "sin" | "cos"
            | "tanh" | "copysign" | "testp" | "dp4a" | "dp2a" => match self.at.last_type() {
                Some(Type::F16 | Type::F16x2 | Type::Bf16 | Type::Bf16x2) => half::decode(self)?,
                _ => arithmetic::decode(self)?,
            },
            "and" | "or" | "xor" | "not" | "cnot" | "shl" | "shr" | "shf" | "prmt" | "lop3" | "bfe" | "bfi"
            | "bfind" | "popc" | "clz" | "brev" | "bmsk" | "szext" => bits::decode(self)?,
            "setp" | "set" => compare::decode(self)?,
            "cvt" => convert::decode(self)?,
            "shfl" | "vote" | "activemask" | "elect" | "redux" | "match" => shuffle::decode(self)?,
            "atom" | "red" => atomic::decode(self)?,
            "cp" => return asynchronous::decode(self),
            "mbarrier" => barrier::decode(self)?,
            "ldmatrix" | "stmatrix" | "movmatrix" | "mma" | "wmma" => matrix::decode(self)?,
            "membar" | "fence" | "nanosleep" | "prefetch" | "prefetchu" | "griddepcontrol" | "setmaxnreg"
            | "discard" | "applypriority" | "pmevent" => return Ok(None),
            "createpolicy" => return Ok(None),
            "trap" | "brkpt" => Box::new(|warp: &mut Warp, block: &mut Block| {
                Err(block.fault(warp, code::ILLEGAL_INSTRUCTION, warp.first(), "the kernel traps"))
            }),
            _ => return Err(self.unknown()),
        };
        Ok(Some(run))
    }

    /// Says that the current instruction is not known.
    pub fn unknown(&self) -> Unknown {
        self.error(format!("the instruction {} is unknown", self.at.opcode()))
    }

    pub fn error(&self, what: impl Into<String>) -> Unknown {
        Unknown { line: self.at.line, what: what.into() }
    }

    /// The operand at this place.
    pub fn operand(&self, index: usize) -> Decoded<&'a Operand> {
        self.at.operands.get(index).ok_or_else(|| self.error(format!("{} lacks operand {index}", self.at.opcode())))
    }

    /// The type of the operands.
    pub fn ty(&self) -> Decoded<Type> {
        self.at.last_type().ok_or_else(|| self.unknown())
    }

    /// The declared type of a register.
    pub fn register_type(&self, register: u32) -> Type {
        self.flat.registers[register as usize]
    }

    fn row_of(&self, register: u32) -> Decoded<Row> {
        self.allocation.rows[register as usize].ok_or_else(|| self.error("a register without a row"))
    }

    /// A new row of so many bytes.
    pub fn scratch(&mut self, bytes: u32) -> Row {
        let row = Row(self.bytes);
        self.bytes = (self.bytes + bytes).next_multiple_of(64);
        row
    }

    /// The row that an operand's value is written to; one that nobody reads for `_`.
    pub fn target(&mut self, operand: &Operand, bytes: u32) -> Decoded<Row> {
        match operand {
            Operand::Register(register) => self.row_of(*register),
            Operand::Sink => Ok(self.scratch(bytes.max(4) * LANES as u32)),
            _ => Err(self.unknown()),
        }
    }

    /// The row that the first operand's value is written to.
    pub fn destination(&mut self) -> Decoded<Row> {
        let bytes = self.at.last_type().map_or(4, Type::bytes);
        let operand = self.operand(0)?;
        self.target(operand, bytes)
    }

    /// Where the operand at this place is read from.
    pub fn source(&mut self, index: usize, ty: Type) -> Decoded<Source> {
        let operand = self.operand(index)?;
        self.value(operand, ty)
    }

    /// Two or three operands of one type.
    pub fn sources<const N: usize>(&mut self, first: usize, ty: Type) -> Decoded<[Source; N]> {
        let mut sources = [Source { bank: Bank::Registers, offset: 0 }; N];
        for (index, source) in sources.iter_mut().enumerate() {
            *source = self.source(first + index, ty)?;
        }
        Ok(sources)
    }

    /// Where an operand is read from.
    pub fn value(&mut self, operand: &Operand, ty: Type) -> Decoded<Source> {
        match operand {
            Operand::Register(register) => self.row_of(*register).map(Source::from),
            Operand::Special(special) => Ok(self.special(*special, ty)),
            Operand::Immediate(value) => Ok(self.immediate(*value, ty)),
            Operand::Variable(number, offset) => {
                let place = self.place(*number);
                Ok(self.constant(place.address.wrapping_add_signed(*offset), ty.bytes()))
            }
            _ => Err(self.unknown()),
        }
    }

    fn immediate(&mut self, value: Immediate, ty: Type) -> Source {
        let bits = match (value, ty) {
            (Immediate::Integer(value), Type::B16 | Type::U16 | Type::S16) => value.cast_unsigned() & 0xffff,
            (Immediate::Integer(value), _) => value.cast_unsigned(),
            (Immediate::Single(bits), Type::F64) => f64::from(f32::from_bits(bits)).to_bits(),
            (Immediate::Single(bits), _) => bits.into(),
            (Immediate::Double(value), Type::F32) => (value as f32).to_bits().into(),
            (Immediate::Double(value), _) => value.to_bits(),
        };
        self.constant(bits, ty.bytes())
    }

    /// A row in which every lane has this value.
    pub fn constant(&mut self, bits: u64, bytes: u32) -> Source {
        let wide = bytes == 8;
        let bits = if wide { bits } else { bits & u64::from(u32::MAX) };
        let all = &mut self.constant_bytes;
        let offset = *self.constants.entry((wide.into(), bits)).or_insert_with(|| {
            let offset = all.len() as u32;
            for _ in 0..LANES {
                all.extend_from_slice(&bits.to_le_bytes()[..if wide { 8 } else { 4 }]);
            }
            offset
        });
        Source { bank: Bank::Constants, offset }
    }

    fn special(&mut self, special: Special, ty: Type) -> Source {
        match special {
            Special::Constant(value) => return self.constant(value.into(), ty.bytes()),
            Special::WarpSize => return self.constant(LANES as u64, ty.bytes()),
            _ => {}
        }
        if let Some(index) = BLOCK_ROWS.iter().position(|other| *other == special) {
            return Source { bank: Bank::Block, offset: index as u32 * WORD_ROW };
        }
        if let Some((_, row)) = self.specials.iter().find(|(other, _)| *other == special) {
            return (*row).into();
        }
        let row = self.scratch(if special == Special::Clock64 { 2 * WORD_ROW } else { WORD_ROW });
        self.specials.push((special, row));
        row.into()
    }

    /// A predicate that is read, and whether its opposite is meant.
    pub fn predicate(&mut self, operand: &Operand) -> Decoded<(Source, bool)> {
        match operand {
            Operand::Register(register) if self.register_type(*register) == Type::Pred => {
                Ok((self.row_of(*register)?.into(), false))
            }
            Operand::Not(inner) => self.predicate(inner).map(|(source, negated)| (source, !negated)),
            Operand::Immediate(Immediate::Integer(value)) => {
                let all = if *value != 0 { u32::MAX } else { 0 };
                Ok((self.constant(all.into(), 4), false))
            }
            _ => Err(self.unknown()),
        }
    }

    /// Where a variable lies.
    pub fn place(&self, number: u32) -> Place {
        self.flat.places[number as usize]
    }

    /// The size of the slots of an operand's register: 8 for a double word, else 4; what is no register has `other`.
    pub fn slot_bytes(&self, operand: &Operand, other: u32) -> u32 {
        match operand {
            Operand::Register(register) if self.register_type(*register).bytes() == 8 => 8,
            Operand::Register(_) => 4,
            _ => other,
        }
    }

    /// The operands of a vector, or the one operand that stands in its place.
    pub fn elements(operand: &Operand) -> &[Operand] {
        match operand {
            Operand::Vector(elements) => elements,
            other => std::slice::from_ref(other),
        }
    }

    /// The number of an access: which picture of its addresses is its own.
    pub fn pattern(&mut self) -> usize {
        self.patterns += 1;
        self.patterns - 1
    }

    /// The address of a memory operand.
    pub fn address(&mut self, operand: &Operand) -> Decoded<Address> {
        let Operand::Address { base, offset, .. } = operand else { return Err(self.unknown()) };
        match &**base {
            Operand::Variable(number, inner) => {
                let place = self.place(*number);
                let at = place.address.wrapping_add_signed(offset + inner);
                Ok(Address {
                    base: self.constant(at, 8),
                    wide: true,
                    offset: 0,
                    space: Some(place.space),
                    fixed: Some(at),
                })
            }
            Operand::Immediate(Immediate::Integer(value)) => {
                let at = value.wrapping_add(*offset).cast_unsigned();
                Ok(Address { base: self.constant(at, 8), wide: true, offset: 0, space: None, fixed: Some(at) })
            }
            base => {
                let wide = self.slot_bytes(base, 8) == 8;
                let base = self.value(base, if wide { Type::U64 } else { Type::U32 })?;
                Ok(Address { base, wide, offset: *offset, space: None, fixed: None })
            }
        }
    }
}

/// How an instruction's address is computed.
#[derive(Clone, Copy, Debug)]
pub struct Address {
    pub base: Source,
    /// Whether the base has 64 bits.
    pub wide: bool,
    pub offset: i64,
    /// The space of a variable that is named.
    pub space: Option<Space>,
    /// The address itself, if it is the same for all threads.
    pub fixed: Option<u64>,
}

/// The lanes that a `%lanemask` register names, for one lane.
pub fn lane_mask(kind: LaneMask, lane: u32) -> u32 {
    let own = 1_u32 << lane;
    match kind {
        LaneMask::Equal => own,
        LaneMask::Less => own - 1,
        LaneMask::LessEqual => own | (own - 1),
        LaneMask::Greater => !(own | (own - 1)),
        LaneMask::GreaterEqual => !(own - 1),
    }
}
