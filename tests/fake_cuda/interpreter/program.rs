//! A kernel as it is executed: one operation for each instruction.

use super::{
    Run,
    decode::{Decoded, Decoder, Unknown},
    flow,
    inline::{self, Flat},
    lane::{Row, Source},
};
use crate::ptx::{
    instruction::{Instruction, Operand, Special, Type},
    module::Kernel,
};
use std::collections::HashMap;

/// What an operation does to the order of execution.
pub enum Control {
    /// It goes on with the next one.
    None,
    Branch(u32),
    /// Each lane goes where its value says.
    IndexedBranch {
        index: Source,
        targets: Box<[u32]>,
    },
    Exit,
    /// A barrier of the block.
    Barrier(BlockBarrier),
    /// A barrier of the warp: the lanes that must come.
    WarpBarrier(Source),
}

/// `bar` and `barrier`.
pub struct BlockBarrier {
    pub number: Source,
    /// How many threads take part; all if it is not given.
    pub threads: Option<Source>,
    /// Whether the threads wait, or only say that they have come.
    pub waits: bool,
    /// Whether all threads of a warp must come together.
    pub aligned: bool,
    pub reduction: Option<Reduction>,
}

/// `bar.red`.
pub struct Reduction {
    pub kind: ReductionKind,
    pub target: Row,
    pub input: Source,
    pub negated: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum ReductionKind {
    And,
    Or,
    Count,
}

/// One operation.
pub struct Operation {
    /// Nothing for what a warp does not notice.
    pub run: Option<Run>,
    pub control: Control,
    /// A predicate, and whether its opposite is meant.
    pub guard: Option<(Source, bool)>,
    /// Whether lanes that diverged may meet here.
    pub leads: bool,
    /// The lanes that must execute it together: the mask operand of `.sync` instructions.
    pub together: Option<Source>,
    pub line: u32,
}

/// For how many bytes at once it is kept who wrote and read them: a power of two.
#[derive(Clone, Copy, Debug)]
pub struct Granules {
    pub shared: u32,
    pub global: u32,
}

/// A decoded kernel.
pub struct Program {
    pub operations: Vec<Operation>,
    /// Rows of immediates.
    pub constants: Vec<u8>,
    pub specials: Vec<(Special, Row)>,
    /// Bytes of a warp's registers.
    pub register_bytes: usize,
    pub shared_bytes: u32,
    pub dynamic_offset: u32,
    pub local_bytes: u32,
    /// For each barrier of the block, the instructions behind it in the text that can be reached from it.
    beyond: HashMap<u32, Vec<bool>>,
    pub granules: Granules,
    /// Whether it has fences, with which atomic and volatile accesses order others.
    pub fences: bool,
    /// How many instructions access memory.
    pub patterns: usize,
}

impl Program {
    /// The program of a kernel, decoded when it is first asked for.
    pub fn of(kernel: &Kernel) -> Result<&Self, &Unknown> {
        let decoded = kernel.decoded.get_or_init(|| Box::new(Self::decode(kernel)));
        match decoded.downcast_ref::<Decoded<Self>>() {
            Some(program) => program.as_ref(),
            // Nobody else writes into the cell.
            None => unreachable!("the cell of a kernel holds its program"),
        }
    }

    /// Whether a thread that goes on from a barrier of the block comes to `pc` without going back.
    pub fn reaches(&self, barrier: u32, pc: u32) -> bool {
        self.beyond.get(&barrier).is_some_and(|reached| reached[pc as usize])
    }

    fn decode(kernel: &Kernel) -> Decoded<Self> {
        let mut flat = inline::flatten(kernel)?;
        // Running past the last instruction ends a thread, and branches may go there.
        let last = flat.code.last().map_or(0, |instruction| instruction.line);
        let end = Instruction { guard: None, name: "ret".into(), modifiers: vec![], operands: vec![], line: last };
        flat.code.push(end);
        let allocation = flow::allocate(&flat);
        let mut decoder = Decoder::new(&flat, &allocation);
        let mut operations = Vec::with_capacity(flat.code.len());
        for instruction in &flat.code {
            decoder.at = instruction;
            operations.push(operation(&mut decoder, &allocation)?);
        }
        for (index, instruction) in flat.code.iter().enumerate() {
            let targets = flow::targets(instruction);
            targets.iter().for_each(|target| operations[*target as usize].leads = true);
            if !targets.is_empty() {
                operations[index + 1].leads = true;
            }
        }
        Ok(Self {
            operations,
            specials: std::mem::take(&mut decoder.specials),
            register_bytes: decoder.bytes as usize,
            constants: std::mem::take(&mut decoder.constant_bytes),
            shared_bytes: flat.shared_bytes,
            dynamic_offset: flat.dynamic_offset,
            local_bytes: flat.local_bytes,
            beyond: beyond(&flat),
            granules: granules(&flat),
            fences: flat.code.iter().any(is_fence),
            patterns: decoder.patterns,
        })
    }
}

fn operation(decoder: &mut Decoder, allocation: &flow::Allocation) -> Decoded<Operation> {
    let at = decoder.at;
    let guard =
        at.guard.map(|guard| decoder.predicate(&Operand::Register(guard.predicate)).map(|(p, _)| (p, guard.negated)));
    let mut operation = Operation {
        run: None,
        control: Control::None,
        guard: guard.transpose()?,
        leads: false,
        together: None,
        line: at.line,
    };
    match at.name.as_str() {
        "bra" => match decoder.operand(0)? {
            Operand::Target(target) => operation.control = Control::Branch(*target),
            _ => return Err(decoder.unknown()),
        },
        "brx" => {
            let targets = flow::targets(at).into();
            operation.control = Control::IndexedBranch { index: decoder.source(0, Type::U32)?, targets };
        }
        "ret" | "exit" => operation.control = Control::Exit,
        "bar" | "barrier" => operation.control = barrier(decoder)?,
        _ => {
            let moved =
                flow::copies(at).map(|(to, from)| (allocation.rows[to as usize], allocation.rows[from as usize]));
            if !moved.is_some_and(|(to, from)| to == from) {
                operation.run = decoder.run()?;
            }
        }
    }
    operation.together = together(decoder)?;
    operation.leads = operation.together.is_some() || !matches!(operation.control, Control::None | Control::Branch(_));
    Ok(operation)
}

fn barrier(decoder: &mut Decoder) -> Decoded<Control> {
    let at = decoder.at;
    if at.has("warp") {
        return Ok(Control::WarpBarrier(decoder.source(0, Type::U32)?));
    }
    if at.has("cluster") {
        // A block is a cluster of its own: arriving is enough to go on, and waiting is a barrier of the block.
        let number = decoder.constant(0, 4);
        let waits = at.has("wait");
        if !waits {
            return Ok(Control::None);
        }
        return Ok(Control::Barrier(BlockBarrier {
            number,
            threads: None,
            waits,
            aligned: at.has("aligned"),
            reduction: None,
        }));
    }
    let aligned = at.name == "bar" || at.has("aligned");
    let reduces = at.has("red");
    let first = usize::from(reduces);
    let number = match at.operands.get(first) {
        Some(_) => decoder.source(first, Type::U32)?,
        None => decoder.constant(0, 4),
    };
    let last = at.operands.len() - usize::from(reduces);
    let threads = if first + 1 < last { Some(decoder.source(first + 1, Type::U32)?) } else { None };
    let reduction = if reduces {
        let kind = match () {
            () if at.has("popc") => ReductionKind::Count,
            () if at.has("and") => ReductionKind::And,
            () => ReductionKind::Or,
        };
        let target = decoder.target(decoder.operand(0)?, 4)?;
        let (input, negated) = decoder.predicate(decoder.operand(last)?)?;
        Some(Reduction { kind, target, input, negated })
    } else {
        None
    };
    Ok(Control::Barrier(BlockBarrier { number, threads, waits: !at.has("arrive"), aligned, reduction }))
}

/// The mask of lanes that execute the instruction together.
fn together(decoder: &mut Decoder) -> Decoded<Option<Source>> {
    let at = decoder.at;
    if !at.has("sync") {
        return Ok(None);
    }
    match at.name.as_str() {
        "shfl" | "vote" | "elect" | "redux" | "match" => {
            let last = at.operands.len() - 1;
            decoder.source(last, Type::U32).map(Some)
        }
        "mma" | "wmma" | "ldmatrix" | "stmatrix" | "movmatrix" => Ok(Some(decoder.constant(u32::MAX.into(), 4))),
        _ => Ok(None),
    }
}

fn beyond(flat: &Flat) -> HashMap<u32, Vec<bool>> {
    let is_barrier =
        |instruction: &Instruction| matches!(instruction.name.as_str(), "bar" | "barrier") && !instruction.has("warp");
    let barriers = flat.code.iter().enumerate().filter(|(_, instruction)| is_barrier(instruction));
    let reached = barriers.map(|(barrier, _)| {
        let mut reached = vec![false; flat.code.len()];
        for at in barrier..flat.code.len() {
            if at != barrier && !reached[at] {
                continue;
            }
            let instruction = &flat.code[at];
            let next = (!flow::ends(instruction) && at + 1 < flat.code.len()).then_some(at as u32 + 1);
            for target in flow::targets(instruction).into_iter().chain(next) {
                // The end of the kernel is where everybody goes.
                let ends = matches!(flat.code[target as usize].name.as_str(), "ret" | "exit");
                reached[target as usize] |= target as usize > at && !ends;
            }
        }
        (barrier as u32, reached)
    });
    reached.collect()
}

fn is_fence(instruction: &Instruction) -> bool {
    matches!(instruction.name.as_str(), "membar" | "fence")
        || ["acquire", "release", "acq_rel"].iter().any(|order| instruction.has(order))
}

/// The smallest accesses that may be to shared memory, and the smallest writes that may be to global memory.
fn granules(flat: &Flat) -> Granules {
    let has_space = |instruction: &Instruction, space: &str| {
        instruction.modifiers.iter().any(|modifier| modifier.split("::").next() == Some(space))
    };
    let elsewhere = |instruction: &Instruction, here: &str| {
        ["global", "shared", "param", "local", "const"]
            .iter()
            .any(|space| *space != here && has_space(instruction, space))
    };
    let bytes = |instruction: &Instruction| -> u32 {
        let width = instruction.last_type().map_or(4, Type::bytes).max(1);
        let vector = ["v2", "v4", "v8"].iter().zip([2, 4, 8]).find(|(name, _)| instruction.has(name));
        width * vector.map_or(1, |(_, count)| count)
    };
    let shared = |instruction: &Instruction| match instruction.name.as_str() {
        "ld" | "st" | "atom" | "red" if !elsewhere(instruction, "shared") => bytes(instruction),
        "wmma" if !elsewhere(instruction, "shared") && (instruction.has("load") || instruction.has("store")) => 8,
        "cp" if !instruction.has("bulk") => 4,
        "mbarrier" => 8,
        _ => 16,
    };
    let global = |instruction: &Instruction| match instruction.name.as_str() {
        "st" | "atom" | "red" if !elsewhere(instruction, "global") => bytes(instruction),
        "wmma" if instruction.has("store") => 2,
        _ => 16,
    };
    let least = |bytes: &dyn Fn(&Instruction) -> u32| flat.code.iter().map(bytes).min().unwrap_or(16).clamp(1, 16);
    Granules { shared: least(&shared), global: least(&global) }
}
