//! Which lanes of a warp run: lanes that went different ways are groups, and the group that is furthest behind runs first,
//! so that groups meet again where their ways do.

use super::{
    Done,
    block::Block,
    lane::lanes,
    program::{Control, Operation},
    warp::{Group, Wait, Warp},
};
use crate::fault::{Fault, code};

/// Why a warp stopped running.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    Ended,
    /// It stands at a barrier of the block.
    Barrier,
    /// It waits for memory to change, or has run for long: others may run.
    Yield,
}

/// Instructions that a warp runs before others get their turn.
const SLICE: u64 = 5_000;
/// Instructions of one warp after which the kernel counts as one that never ends.
const LONGEST: u64 = 20_000_000_000;

/// Runs a warp until it stops.
pub fn run(warp: &mut Warp, block: &mut Block) -> Result<Stop, Box<Fault>> {
    let program = block.program;
    let mut executed = 0;
    let mut lanes = 0;
    let stop = loop {
        let mut operation = &program.operations[warp.pc as usize];
        if operation.leads && !warp.others.is_empty() {
            regroup(warp);
            operation = &program.operations[warp.pc as usize];
        }
        executed += 1;
        let mut active = warp.mask;
        if let Some((guard, negated)) = operation.guard {
            let guard = warp.predicate(guard);
            active &= if negated { !guard } else { guard };
        }
        lanes += u64::from(active.count_ones());
        warp.active = active;
        match &operation.control {
            Control::None => {
                if active != 0 {
                    if operation.together.is_some() && !together(warp, block, operation)? {
                        continue;
                    }
                    if let Some(run) = &operation.run {
                        run(warp, block)?;
                    }
                }
                warp.pc += 1;
                if warp.sleeps {
                    warp.sleeps = false;
                    park(warp, Wait::Memory);
                    if !wake(warp, block)? {
                        break Stop::Yield;
                    }
                }
            }
            Control::Branch(target) => {
                block.counts.branches += 1;
                branch(warp, block, active, *target);
                if executed > SLICE {
                    break Stop::Yield;
                }
            }
            Control::IndexedBranch { index, targets } => {
                block.counts.branches += 1;
                let values = warp.row::<u32>(*index);
                indexed_branch(warp, block, active, &values, targets);
            }
            Control::Exit => {
                if exit(warp, block, active)? {
                    break Stop::Ended;
                }
            }
            Control::Barrier(barrier) => {
                if active == 0 {
                    warp.pc += 1;
                } else if active != warp.alive() {
                    missing(warp, block, barrier.aligned)?;
                } else {
                    break Stop::Barrier;
                }
            }
            Control::WarpBarrier(_) if active == 0 => warp.pc += 1,
            Control::WarpBarrier(mask) => warp_barrier(warp, block, warp.lane::<u32>(*mask, warp.first()))?,
        }
    };
    block.counts.instructions += executed;
    block.counts.lane_instructions += lanes;
    warp.executed += executed;
    if warp.executed > LONGEST {
        return Err(block.fault(warp, code::LAUNCH_TIMEOUT, warp.first(), "a warp runs for ever"));
    }
    Ok(stop)
}

/// Puts lanes at an instruction, beside those that are there already.
fn add(warp: &mut Warp, pc: u32, mask: u32, wait: Wait) {
    let at = warp.others.partition_point(|group| group.pc < pc);
    match warp.others.get_mut(at) {
        Some(group) if group.pc == pc => {
            group.mask |= mask;
            group.wait = Wait::Nothing;
        }
        _ => warp.others.insert(at, Group { pc, mask, wait }),
    }
}

/// Joins groups that have met, and lets the group run that is furthest behind.
#[cold]
fn regroup(warp: &mut Warp) {
    if let Some(at) = warp.others.iter().position(|group| group.pc == warp.pc) {
        warp.mask |= warp.others.remove(at).mask;
    }
    let behind = warp.others.iter().position(|group| group.pc < warp.pc && group.wait == Wait::Nothing);
    if let Some(at) = behind {
        let group = warp.others.remove(at);
        add(warp, warp.pc, warp.mask, Wait::Nothing);
        (warp.pc, warp.mask) = (group.pc, group.mask);
    }
}

/// The group that runs waits where it stands.
fn park(warp: &mut Warp, wait: Wait) {
    let at = warp.others.partition_point(|group| group.pc < warp.pc);
    match warp.others.get_mut(at) {
        // Whoever stands there waits for the same.
        Some(group) if group.pc == warp.pc => group.mask |= warp.mask,
        _ => warp.others.insert(at, Group { pc: warp.pc, mask: warp.mask, wait }),
    }
    warp.mask = 0;
}

/// Lets another group run that does not wait. False if those that are left wait for memory.
fn wake(warp: &mut Warp, block: &mut Block) -> Result<bool, Box<Fault>> {
    let next = warp.others.iter().position(|group| group.wait == Wait::Nothing);
    if let Some(at) = next {
        let group = warp.others.remove(at);
        (warp.pc, warp.mask) = (group.pc, group.mask);
        return Ok(true);
    }
    let sleeping = warp.others.iter().any(|group| group.wait == Wait::Memory);
    warp.others.iter_mut().filter(|group| group.wait == Wait::Memory).for_each(|group| group.wait = Wait::Nothing);
    if sleeping {
        let at = warp.others.iter().position(|group| group.wait == Wait::Nothing).unwrap_or_default();
        let group = warp.others.remove(at);
        (warp.pc, warp.mask) = (group.pc, group.mask);
        return Ok(false);
    }
    Err(never(warp, block))
}

/// All groups wait for each other.
#[cold]
fn never(warp: &mut Warp, block: &Block) -> Box<Fault> {
    let Some(group) = warp.others.first().copied() else {
        return block.fault(warp, code::LAUNCH_FAILED, 0, "no thread of the warp is left");
    };
    warp.pc = group.pc;
    let missing = warp.alive() & !group.mask;
    let lane = lanes(group.mask).next().unwrap_or_default();
    let what = match block.program.operations[group.pc as usize].control {
        Control::Barrier(_) => "a barrier in divergent code",
        _ => "an instruction that lanes execute together",
    };
    let elsewhere = lanes(missing).next().and_then(|lane| warp.others.iter().find(|other| other.mask >> lane & 1 != 0));
    let place = match elsewhere {
        Some(other) => format!("they wait at line {}", block.program.operations[other.pc as usize].line),
        None => "they have ended".into(),
    };
    block.fault(warp, code::LAUNCH_FAILED, lane, format!("{what} is not reached by the lanes {missing:#010x}: {place}"))
}

/// Whether all lanes that the instruction names are there. If not, those that are wait for the others.
fn together(warp: &mut Warp, block: &mut Block, operation: &Operation) -> Result<bool, Box<Fault>> {
    let Some(mask) = operation.together else { return Ok(true) };
    let mask = warp.lane::<u32>(mask, warp.first());
    let outside = warp.active & !mask;
    if outside != 0 {
        let what = format!("the mask {mask:#010x} of the lanes that execute together leaves out lanes that execute it");
        return Err(block.fault(warp, code::LAUNCH_FAILED, lanes(outside).next().unwrap_or_default(), what));
    }
    let needed = mask & warp.alive();
    if needed & !warp.active == 0 || block.measures {
        return Ok(true);
    }
    if warp.others.is_empty() {
        let what = format!("lanes {:#010x} of the mask {mask:#010x} do not execute it", needed & !warp.active);
        return Err(block.fault(warp, code::LAUNCH_FAILED, warp.first(), what));
    }
    park(warp, Wait::Lanes);
    wake(warp, block)?;
    Ok(false)
}

/// Lanes have come to a barrier of the block without the rest of their warp.
fn missing(warp: &mut Warp, block: &mut Block, aligned: bool) -> Done {
    let guarded = warp.mask & !warp.active;
    if guarded != 0 && aligned {
        let lane = lanes(warp.active).next().unwrap_or_default();
        let what = format!("a barrier in divergent code: its guard leaves out the lanes {guarded:#010x}");
        return Err(block.fault(warp, code::LAUNCH_FAILED, lane, what));
    }
    // Lanes that stand behind the barrier have gone past it.
    let past = warp.others.iter().find(|group| block.program.reaches(warp.pc, group.pc));
    if let Some(group) = past
        && aligned
    {
        let line = block.program.operations[group.pc as usize].line;
        let lane = lanes(warp.active).next().unwrap_or_default();
        let what = format!(
            "a barrier in divergent code is not reached by the lanes {:#010x}: they are at line {line} already",
            group.mask
        );
        return Err(block.fault(warp, code::LAUNCH_FAILED, lane, what));
    }
    park(warp, Wait::Lanes);
    wake(warp, block).map(drop)
}

/// `bar.warp.sync`: lanes may come to it at different places.
fn warp_barrier(warp: &mut Warp, block: &mut Block, mask: u32) -> Done {
    let needed = mask & warp.alive();
    let here = warp.active;
    let waits = |group: &Group| {
        matches!(block.program.operations[group.pc as usize].control, Control::WarpBarrier(_))
            && group.wait == Wait::Lanes
    };
    let there = warp.others.iter().filter(|group| waits(group)).fold(0, |lanes, group| lanes | group.mask);
    if needed & !(here | there) != 0 {
        park(warp, Wait::Lanes);
        return wake(warp, block).map(drop);
    }
    let released: Vec<_> = warp.others.iter().filter(|group| waits(group) && group.mask & mask != 0).copied().collect();
    warp.others.retain(|group| !released.contains(group));
    released.iter().for_each(|group| add(warp, group.pc + 1, group.mask, Wait::Nothing));
    warp.pc += 1;
    if let Some(shadow) = &mut block.shadow {
        shadow.warp_barrier(warp.index as u32);
    }
    Ok(())
}

fn branch(warp: &mut Warp, block: &mut Block, taken: u32, target: u32) {
    let rest = warp.mask & !taken;
    if taken == 0 {
        warp.pc += 1;
    } else if rest == 0 {
        warp.pc = target;
    } else {
        block.counts.divergent_branches += 1;
        // The lanes that are behind go first; the others meet them, or wait for their turn.
        let (first, second) = if target < warp.pc + 1 {
            ((target, taken), (warp.pc + 1, rest))
        } else {
            ((warp.pc + 1, rest), (target, taken))
        };
        add(warp, second.0, second.1, Wait::Nothing);
        (warp.pc, warp.mask) = first;
    }
}

fn indexed_branch(warp: &mut Warp, block: &mut Block, active: u32, values: &[u32; 32], targets: &[u32]) {
    let rest = warp.mask & !active;
    let next = warp.pc + 1;
    let mut ways = 0;
    if rest != 0 {
        add(warp, next, rest, Wait::Nothing);
        ways += 1;
    }
    for (index, target) in targets.iter().enumerate() {
        let lanes = lanes(active).filter(|lane| values[*lane] as usize == index).fold(0, |mask, lane| mask | 1 << lane);
        if lanes != 0 {
            add(warp, *target, lanes, Wait::Nothing);
            ways += 1;
        }
    }
    block.counts.divergent_branches += u64::from(ways > 1);
    let at = warp.others.iter().position(|group| group.wait == Wait::Nothing).unwrap_or_default();
    if !warp.others.is_empty() {
        let group = warp.others.remove(at);
        (warp.pc, warp.mask) = (group.pc, group.mask);
    }
}

/// Ends threads. True if none of the warp is left.
fn exit(warp: &mut Warp, block: &mut Block, active: u32) -> Result<bool, Box<Fault>> {
    warp.exited |= active;
    warp.mask &= !active;
    if warp.mask != 0 {
        warp.pc += 1;
        return Ok(false);
    }
    if warp.others.is_empty() {
        return Ok(true);
    }
    // Whoever waited for the lanes that have ended may go on.
    warp.others.iter_mut().filter(|group| group.wait == Wait::Lanes).for_each(|group| group.wait = Wait::Nothing);
    wake(warp, block)?;
    Ok(false)
}
