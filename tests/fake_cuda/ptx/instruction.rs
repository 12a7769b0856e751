//! A function of PTX as a tree: registers, variables and labels are numbers, modifiers are still words.

/// A type of PTX, as the end of an opcode or a declaration names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Type {
    Pred,
    B8,
    B16,
    B32,
    B64,
    B128,
    U8,
    U16,
    U32,
    U64,
    S8,
    S16,
    S32,
    S64,
    F16,
    F16x2,
    Bf16,
    Bf16x2,
    Tf32,
    F32,
    F64,
    E4m3,
    E5m2,
    E4m3x2,
    E5m2x2,
    E3m2,
    E2m3,
    E2m1,
    Ue8m0,
    Ue4m3,
}

const TYPES: [(&str, Type, u32); 30] = [
    ("pred", Type::Pred, 0),
    ("b8", Type::B8, 1),
    ("b16", Type::B16, 2),
    ("b32", Type::B32, 4),
    ("b64", Type::B64, 8),
    ("b128", Type::B128, 16),
    ("u8", Type::U8, 1),
    ("u16", Type::U16, 2),
    ("u32", Type::U32, 4),
    ("u64", Type::U64, 8),
    ("s8", Type::S8, 1),
    ("s16", Type::S16, 2),
    ("s32", Type::S32, 4),
    ("s64", Type::S64, 8),
    ("f16", Type::F16, 2),
    ("f16x2", Type::F16x2, 4),
    ("bf16", Type::Bf16, 2),
    ("bf16x2", Type::Bf16x2, 4),
    ("tf32", Type::Tf32, 4),
    ("f32", Type::F32, 4),
    ("f64", Type::F64, 8),
    ("e4m3", Type::E4m3, 1),
    ("e5m2", Type::E5m2, 1),
    ("e4m3x2", Type::E4m3x2, 2),
    ("e5m2x2", Type::E5m2x2, 2),
    ("e3m2", Type::E3m2, 1),
    ("e2m3", Type::E2m3, 1),
    ("e2m1", Type::E2m1, 1),
    ("ue8m0", Type::Ue8m0, 1),
    ("ue4m3", Type::Ue4m3, 1),
];

impl Type {
    /// The type of this name, without its dot.
    pub fn parse(name: &str) -> Option<Self> {
        TYPES.iter().find(|(other, ..)| *other == name).map(|(_, ty, _)| *ty)
    }

    /// How many bytes a value takes in memory; 0 for a predicate.
    pub fn bytes(self) -> u32 {
        TYPES.iter().find(|(_, ty, _)| *ty == self).map_or(0, |(.., bytes)| *bytes)
    }

    /// Whether a narrow value is widened by its sign.
    pub fn is_signed(self) -> bool {
        matches!(self, Self::S8 | Self::S16 | Self::S32 | Self::S64)
    }
}

/// The number of a register within its function.
pub type Register = u32;

/// Values that the card provides.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Special {
    Tid(u8),
    Ntid(u8),
    Ctaid(u8),
    Nctaid(u8),
    Lane,
    Warp,
    Warps,
    WarpSize,
    LaneMask(LaneMask),
    Clock,
    Clock64,
    GlobalTimer,
    SharedDynamic,
    SharedTotal,
    Multiprocessors,
    /// A value that every thread of this card sees the same of.
    Constant(u32),
}

/// Which lanes a `%lanemask` register names, seen from one's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LaneMask {
    Equal,
    Less,
    LessEqual,
    Greater,
    GreaterEqual,
}

/// An immediate value.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Immediate {
    Integer(i64),
    /// `0f…`: the bits of a single.
    Single(u32),
    /// `0d…`, or a decimal: a double.
    Double(f64),
}

/// Marks the number of a variable that belongs to the function; the others are the module's.
pub const OWN: u32 = 1 << 31;

/// One operand.
#[derive(Clone, Debug, PartialEq)]
pub enum Operand {
    Register(Register),
    Special(Special),
    Immediate(Immediate),
    /// The address of a variable, with an offset: see [`OWN`].
    Variable(u32, i64),
    /// `!p`.
    Not(Box<Operand>),
    /// `{a, b}`.
    Vector(Vec<Operand>),
    /// `[a+offset]`, or `[a, {b, c}]` for a tensor map with its coordinates.
    Address {
        base: Box<Operand>,
        offset: i64,
        coordinates: Vec<Operand>,
    },
    /// `p|q`.
    Pair(Box<Operand>, Box<Operand>),
    /// `_`: nobody wants the value.
    Sink,
    /// Where a branch goes: an index into the code.
    Target(u32),
    /// The list of targets of an indexed branch.
    Targets(Vec<u32>),
    /// The function that is called.
    Function(String),
    /// `(a, b)`: the variables of a call.
    Arguments(Vec<Operand>),
}

/// `@p` or `@!p`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Guard {
    pub predicate: Register,
    pub negated: bool,
}

/// One instruction.
#[derive(Clone, Debug, PartialEq)]
pub struct Instruction {
    pub guard: Option<Guard>,
    /// The first word of the opcode.
    pub name: String,
    /// The words behind it.
    pub modifiers: Vec<String>,
    pub operands: Vec<Operand>,
    /// The line on which it begins.
    pub line: u32,
}

impl Instruction {
    /// Whether a modifier is given.
    pub fn has(&self, modifier: &str) -> bool {
        self.modifiers.iter().any(|other| other == modifier)
    }

    /// The types among the modifiers, in order.
    pub fn types(&self) -> impl Iterator<Item = Type> + '_ {
        self.modifiers.iter().filter_map(|modifier| Type::parse(modifier))
    }

    /// The last type, which is that of the operands.
    pub fn last_type(&self) -> Option<Type> {
        self.types().last()
    }

    /// The opcode as it was written.
    pub fn opcode(&self) -> String {
        let mut text = self.name.clone();
        for modifier in &self.modifiers {
            text.push('.');
            text.push_str(modifier);
        }
        text
    }
}

/// Where a variable lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Space {
    Global,
    Shared,
    Local,
    Param,
}

/// A variable of a function or of the module.
#[derive(Clone, Debug, PartialEq)]
pub struct Variable {
    pub name: String,
    pub space: Space,
    pub align: u32,
    pub bytes: u64,
    /// `.extern .shared x[]`: its size is given by the launch.
    pub dynamic: bool,
    /// What stands in it at the beginning, for memory of the module.
    pub initial: Vec<u8>,
}

/// A parameter of an entry or a function.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parameter {
    pub name: String,
    /// Where it begins among the parameters.
    pub offset: u32,
    pub bytes: u32,
    pub align: u32,
}

/// A `.entry` or a `.func` with its body.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Function {
    pub name: String,
    pub parameters: Vec<Parameter>,
    /// The variables of the parameters and of the results, as the body names them.
    pub arguments: Vec<u32>,
    pub results: Vec<u32>,
    pub registers: Vec<Type>,
    pub variables: Vec<Variable>,
    pub code: Vec<Instruction>,
    /// `.maxntid`: the most threads of a block.
    pub max_threads: Option<[u32; 3]>,
    /// `.reqntid`: exactly that many.
    pub required_threads: Option<[u32; 3]>,
    pub line: u32,
}
