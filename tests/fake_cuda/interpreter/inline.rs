//! Makes one list of instructions of a kernel and the functions that it calls: every call becomes the body of the function.

use super::decode::Unknown;
use crate::ptx::{
    instruction::{Function, Instruction, OWN, Operand, Space, Type, Variable},
    module::{Kernel, layout},
};

/// Where a variable lies: its space, and its offset in it or, for global memory, its address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    pub space: Space,
    pub address: u64,
}

/// A kernel without calls. Numbers of variables are indices into `places`.
#[derive(Default)]
pub struct Flat {
    pub code: Vec<Instruction>,
    pub registers: Vec<Type>,
    pub places: Vec<Place>,
    /// Shared memory that is declared with its size.
    pub shared_bytes: u32,
    /// Where dynamic shared memory begins.
    pub dynamic_offset: u32,
    /// Local memory of a thread.
    pub local_bytes: u32,
}

/// The alignment of local memory of a function.
const LOCAL_ALIGN: u32 = 16;

/// Calls within calls that are followed; more is recursion.
const DEPTH: usize = 16;

/// Expands a kernel.
pub fn flatten(kernel: &Kernel) -> Result<Flat, Unknown> {
    let mut flat = Flat::default();
    let all = || kernel.variables.iter().chain(&kernel.function.variables);
    let (shared, end) = layout(all(), Space::Shared);
    let align = all().filter(|variable| variable.dynamic).map(|variable| variable.align).max();
    flat.shared_bytes = end;
    flat.dynamic_offset = end.next_multiple_of(align.unwrap_or(1).max(1));
    for (index, (variable, offset)) in kernel.variables.iter().zip(&shared).enumerate() {
        let address = match variable.space {
            Space::Shared if variable.dynamic => flat.dynamic_offset.into(),
            Space::Shared => u64::from(*offset),
            _ => kernel.globals.address(index),
        };
        flat.places.push(Place { space: variable.space, address });
    }
    let own = shared[kernel.variables.len()..].to_vec();
    let expansion = Expansion { kernel, shared: own, depth: 0, called: false };
    expansion.body(&mut flat, &kernel.function, &[])?;
    Ok(flat)
}

/// One function that is being copied.
struct Expansion<'a> {
    kernel: &'a Kernel,
    /// Offsets of the entry's variables in shared memory; a function declares none.
    shared: Vec<u32>,
    depth: usize,
    /// Whether it was called, so that `ret` goes on behind the call.
    called: bool,
}

impl Expansion<'_> {
    /// Copies a body. `given` are the places of the arguments and results at the call.
    fn body(&self, flat: &mut Flat, function: &Function, given: &[(u32, Place)]) -> Result<(), Unknown> {
        let registers = flat.registers.len() as u32;
        let places = flat.places.len() as u32;
        flat.registers.extend(&function.registers);
        self.variables(flat, function, given);
        let start = flat.code.len();
        // Where each instruction of the function has gone, for branches.
        let mut moved = Vec::with_capacity(function.code.len() + 1);
        let mut branches = Vec::new();
        for instruction in &function.code {
            moved.push(flat.code.len() as u32);
            let mut copy = instruction.clone();
            if let Some(guard) = &mut copy.guard {
                guard.predicate += registers;
            }
            copy.operands.iter_mut().for_each(|operand| rebase(operand, registers, places));
            match copy.name.as_str() {
                "call" => self.call(flat, &copy)?,
                "ret" if self.called => {
                    copy.name = "bra".into();
                    copy.operands = vec![Operand::Target(function.code.len() as u32)];
                    branches.push(flat.code.len());
                    flat.code.push(copy);
                }
                "bra" | "brx" => {
                    branches.push(flat.code.len());
                    flat.code.push(copy);
                }
                _ => flat.code.push(copy),
            }
        }
        moved.push(flat.code.len() as u32);
        for branch in branches {
            debug_assert!(branch >= start);
            flat.code[branch].operands.iter_mut().for_each(|operand| match operand {
                Operand::Target(target) => *target = moved[*target as usize],
                Operand::Targets(targets) => targets.iter_mut().for_each(|target| *target = moved[*target as usize]),
                _ => {}
            });
        }
        Ok(())
    }

    /// Gives the variables of a function their places.
    fn variables(&self, flat: &mut Flat, function: &Function, given: &[(u32, Place)]) {
        for (index, variable) in function.variables.iter().enumerate() {
            let number = OWN | index as u32;
            let place = match given.iter().find(|(other, _)| *other == number) {
                Some((_, place)) => *place,
                None => self.place(flat, function, index, variable),
            };
            flat.places.push(place);
        }
    }

    fn place(&self, flat: &mut Flat, function: &Function, index: usize, variable: &Variable) -> Place {
        let address = match variable.space {
            Space::Shared if variable.dynamic => flat.dynamic_offset,
            Space::Shared => self.shared.get(index).copied().unwrap_or_default(),
            Space::Param => function.parameters.get(index).map_or(0, |parameter| parameter.offset),
            Space::Local | Space::Global => {
                let offset = flat.local_bytes.next_multiple_of(variable.align.max(LOCAL_ALIGN));
                flat.local_bytes = offset + variable.bytes as u32;
                offset
            }
        };
        Place { space: variable.space, address: address.into() }
    }

    /// `call (results), function, (arguments)`: the callee's variables for them are those of the caller.
    fn call(&self, flat: &mut Flat, call: &Instruction) -> Result<(), Unknown> {
        let unknown = |what: String| Unknown { line: call.line, what };
        if call.guard.is_some() {
            return Err(unknown("a call with a guard is unknown".into()));
        }
        let name = call.operands.iter().find_map(|operand| match operand {
            Operand::Function(name) => Some(name),
            _ => None,
        });
        let name = name.ok_or_else(|| unknown("a call through a register is unknown".into()))?;
        let function = self.kernel.functions.get(name);
        let function = function.ok_or_else(|| unknown(format!("the function {name} has no body here")))?;
        if self.depth == DEPTH {
            return Err(unknown(format!("the calls of {name} are nested too deep")));
        }
        let position = call.operands.iter().position(|operand| matches!(operand, Operand::Function(_)));
        let (before, after) = call.operands.split_at(position.unwrap_or_default());
        let mut given = Vec::new();
        for (operands, names) in [(before, &function.results), (after, &function.arguments)] {
            let passed = operands.iter().find_map(|operand| match operand {
                Operand::Arguments(passed) => Some(passed.as_slice()),
                _ => None,
            });
            for (operand, name) in passed.unwrap_or_default().iter().zip(names) {
                match operand {
                    Operand::Variable(number, 0) => given.push((*name, flat.places[*number as usize])),
                    _ => return Err(unknown("an argument that is no variable is unknown".into())),
                }
            }
        }
        let inner = Expansion { kernel: self.kernel, shared: Vec::new(), depth: self.depth + 1, called: true };
        inner.body(flat, function, &given)
    }
}

/// Moves the numbers of registers and variables behind those of the functions before.
fn rebase(operand: &mut Operand, registers: u32, places: u32) {
    match operand {
        Operand::Register(register) => *register += registers,
        Operand::Variable(number, _) if *number & OWN != 0 => *number = (*number & !OWN) + places,
        Operand::Not(inner) => rebase(inner, registers, places),
        Operand::Vector(inner) | Operand::Arguments(inner) => {
            inner.iter_mut().for_each(|operand| rebase(operand, registers, places));
        }
        Operand::Address { base, coordinates, .. } => {
            rebase(base, registers, places);
            coordinates.iter_mut().for_each(|operand| rebase(operand, registers, places));
        }
        Operand::Pair(first, second) => {
            rebase(first, registers, places);
            rebase(second, registers, places);
        }
        _ => {}
    }
}
