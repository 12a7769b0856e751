//! From registers to rows: registers that are not needed at the same time share one.
//!
//! PTX has as many registers as the compiler liked to name, several thousand in an unrolled kernel; at 128 bytes a row they
//! would not fit into any cache. A thread that waits while others of its warp run keeps its values: rows are per lane, and
//! each instruction writes only the lanes that execute it, so it is enough to follow one thread.

use super::{inline::Flat, lane::Row};
use crate::ptx::instruction::{Instruction, Operand, Register, Type};
use std::{cmp::Reverse, collections::BinaryHeap};

/// The rows of all registers, and how much memory they take.
pub struct Allocation {
    pub rows: Vec<Option<Row>>,
    pub bytes: u32,
}

/// How many leading operands an instruction writes.
pub fn written(instruction: &Instruction) -> usize {
    match instruction.name.as_str() {
        "st" | "red" | "bar" | "barrier" | "bra" | "brx" | "ret" | "exit" | "membar" | "fence" | "prefetch"
        | "prefetchu" | "nanosleep" | "trap" | "brkpt" | "stmatrix" | "griddepcontrol" | "setmaxnreg" | "cp"
        | "discard" | "applypriority" | "pmevent" | "createpolicy" | "multimem" => {
            let reduces = matches!(instruction.name.as_str(), "bar" | "barrier") && instruction.has("red");
            usize::from(instruction.name == "createpolicy" || reduces)
        }
        "wmma" => usize::from(!instruction.has("store")),
        "mbarrier" => {
            let gives = instruction.has("arrive") || instruction.has("test_wait") || instruction.has("try_wait");
            usize::from(
                (gives || instruction.has("pending_count"))
                    && !matches!(instruction.operands.first(), Some(Operand::Address { .. })),
            )
        }
        _ => 1,
    }
}

/// Calls `visit` with every register of an operand.
pub fn registers(operand: &Operand, visit: &mut impl FnMut(Register)) {
    match operand {
        Operand::Register(register) => visit(*register),
        Operand::Not(inner) => registers(inner, visit),
        Operand::Vector(inner) | Operand::Arguments(inner) => {
            inner.iter().for_each(|operand| registers(operand, visit))
        }
        Operand::Pair(first, second) => {
            registers(first, visit);
            registers(second, visit);
        }
        Operand::Address { base, coordinates, .. } => {
            registers(base, visit);
            coordinates.iter().for_each(|operand| registers(operand, visit));
        }
        _ => {}
    }
}

/// Where an instruction may go, besides to the next one.
pub fn targets(instruction: &Instruction) -> Vec<u32> {
    let targets = instruction.operands.iter().flat_map(|operand| match operand {
        Operand::Target(target) => std::slice::from_ref(target),
        Operand::Targets(targets) => targets.as_slice(),
        _ => &[],
    });
    targets.copied().collect()
}

/// Whether the next instruction is never reached from here.
pub fn ends(instruction: &Instruction) -> bool {
    instruction.guard.is_none() && matches!(instruction.name.as_str(), "bra" | "brx" | "ret" | "exit" | "trap")
}

/// A run of instructions without branches in or out.
struct BasicBlock {
    first: usize,
    last: usize,
    next: Vec<usize>,
}

fn basic_blocks(code: &[Instruction]) -> Vec<BasicBlock> {
    let mut leads = vec![false; code.len() + 1];
    leads[0] = true;
    for (index, instruction) in code.iter().enumerate() {
        let targets = targets(instruction);
        if !targets.is_empty() || ends(instruction) {
            leads[index + 1] = true;
        }
        targets.iter().for_each(|target| leads[*target as usize] = true);
    }
    let starts: Vec<_> = (0..code.len()).filter(|index| leads[*index]).collect();
    let block_of = |index: usize| starts.binary_search(&index).ok();
    let blocks = starts.iter().enumerate().map(|(number, first)| {
        let last = starts.get(number + 1).map_or(code.len(), |next| *next) - 1;
        let mut next: Vec<_> = targets(&code[last]).iter().filter_map(|target| block_of(*target as usize)).collect();
        if !ends(&code[last]) {
            next.extend(block_of(last + 1));
        }
        BasicBlock { first: *first, last, next }
    });
    blocks.collect()
}

/// A set of registers.
#[derive(Clone, PartialEq, Eq)]
struct Set(Vec<u64>);

impl Set {
    fn new(registers: usize) -> Self {
        Self(vec![0; registers.div_ceil(64)])
    }

    fn insert(&mut self, register: Register) {
        self.0[register as usize / 64] |= 1 << (register % 64);
    }

    fn has(&self, register: Register) -> bool {
        self.0[register as usize / 64] >> (register % 64) & 1 != 0
    }

    fn members(&self) -> impl Iterator<Item = Register> + '_ {
        self.0.iter().enumerate().flat_map(|(word, bits)| {
            (0..64).filter(move |bit| bits >> bit & 1 != 0).map(move |bit| word as u32 * 64 + bit)
        })
    }
}

/// The first and the last instruction at which each register holds a value that matters.
fn intervals(flat: &Flat) -> Vec<Option<(usize, usize)>> {
    let count = flat.registers.len();
    let blocks = basic_blocks(&flat.code);
    let mut found: Vec<Option<(usize, usize)>> = vec![None; count];
    let mut extend = |register: Register, at: usize| {
        let entry = found[register as usize].get_or_insert((at, at));
        *entry = (entry.0.min(at), entry.1.max(at));
    };
    // What a block reads before it writes it, and what it writes for certain.
    let (mut reads, mut writes) = (Vec::new(), Vec::new());
    for block in &blocks {
        let (mut read, mut write) = (Set::new(count), Set::new(count));
        for (at, instruction) in flat.code.iter().enumerate().take(block.last + 1).skip(block.first) {
            let results = written(instruction);
            // With a guard the old value may stay, so it is needed, too.
            let kept = if instruction.guard.is_some() { 0 } else { results };
            let mut use_ = |register| {
                extend(register, at);
                if !write.has(register) {
                    read.insert(register);
                }
            };
            instruction.guard.iter().for_each(|guard| use_(guard.predicate));
            instruction.operands[kept.min(instruction.operands.len())..].iter().for_each(|o| registers(o, &mut use_));
            instruction.operands.iter().take(results).for_each(|operand| {
                registers(operand, &mut |register| {
                    extend(register, at);
                    write.insert(register);
                });
            });
        }
        reads.push(read);
        writes.push(write);
    }
    let mut live_in = reads;
    let mut changed = true;
    let mut live_out = vec![Set::new(count); blocks.len()];
    while changed {
        changed = false;
        for (index, block) in blocks.iter().enumerate().rev() {
            for next in &block.next {
                for word in 0..live_out[index].0.len() {
                    live_out[index].0[word] |= live_in[*next].0[word];
                }
            }
            for word in 0..live_out[index].0.len() {
                let needed = live_in[index].0[word] | live_out[index].0[word] & !writes[index].0[word];
                changed |= needed != live_in[index].0[word];
                live_in[index].0[word] = needed;
            }
        }
    }
    for (index, block) in blocks.iter().enumerate() {
        live_in[index].members().for_each(|register| extend(register, block.first));
        live_out[index].members().for_each(|register| extend(register, block.last));
    }
    found
}

/// The length of a register's row: a mask for predicates, else a word or two for each lane.
fn row_bytes(ty: Type) -> u32 {
    match ty.bytes() {
        0 => 4,
        8 => 256,
        _ => 128,
    }
}

/// Rows of one length, numbered; the free ones are used again, the last one first.
#[derive(Default)]
struct Pool {
    count: u32,
    free: Vec<u32>,
}

/// Whether an instruction copies a register to another and does nothing else.
pub fn copies(instruction: &Instruction) -> Option<(Register, Register)> {
    match (instruction.name.as_str(), instruction.operands.as_slice()) {
        ("mov", [Operand::Register(to), Operand::Register(from)]) if instruction.guard.is_none() => Some((*to, *from)),
        _ => None,
    }
}

/// Gives every register a row.
pub fn allocate(flat: &Flat) -> Allocation {
    let intervals = intervals(flat);
    let mut order: Vec<_> = (0..intervals.len()).filter(|register| intervals[*register].is_some()).collect();
    order.sort_by_key(|register| intervals[*register]);
    const SIZES: [u32; 3] = [4, 128, 256];
    let pool_of =
        |register: usize| SIZES.iter().position(|size| *size == row_bytes(flat.registers[register])).unwrap_or(1);
    let mut pools: [Pool; 3] = Default::default();
    let mut numbers: Vec<Option<u32>> = vec![None; intervals.len()];
    // Registers that hold a value, as a heap by their last instruction.
    let mut live: BinaryHeap<Reverse<(usize, usize)>> = BinaryHeap::new();
    let mut taken_over = vec![false; intervals.len()];
    for register in order {
        let Some((first, last)) = intervals[register] else { continue };
        while let Some(Reverse((end, old))) = live.peek().copied()
            && end < first
        {
            live.pop();
            if !taken_over[old]
                && let Some(number) = numbers[old]
            {
                pools[pool_of(old)].free.push(number);
            }
        }
        let pool = pool_of(register);
        // A copy of a value that nobody needs behind it keeps the value's row.
        let from = copies(&flat.code[first]).filter(|(to, _)| *to as usize == register).map(|(_, from)| from as usize);
        let from = from.filter(|from| {
            intervals[*from].is_some_and(|(_, end)| end == first) && pool_of(*from) == pool && !taken_over[*from]
        });
        let number = match from.and_then(|from| numbers[from].inspect(|_| taken_over[from] = true)) {
            Some(number) => number,
            None => pools[pool].free.pop().unwrap_or_else(|| {
                pools[pool].count += 1;
                pools[pool].count - 1
            }),
        };
        numbers[register] = Some(number);
        live.push(Reverse((last, register)));
    }
    let mut starts = [0; 3];
    let mut end = 0_u32;
    for pool in 0..3 {
        starts[pool] = end;
        end = (end + pools[pool].count * SIZES[pool]).next_multiple_of(64);
    }
    let rows = numbers.iter().enumerate().map(|(register, number)| {
        let pool = pool_of(register);
        number.map(|number| Row(starts[pool] + number * SIZES[pool]))
    });
    Allocation { rows: rows.collect(), bytes: end }
}
