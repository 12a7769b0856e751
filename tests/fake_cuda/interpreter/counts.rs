//! What a launch cost, counted as it ran.

use crate::fault::Fault;

/// Sums over the warps of a launch, or of several.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    pub launches: u64,
    pub blocks: u64,
    pub threads: u64,
    /// Instructions that warps executed, and the same times the lanes that took part.
    pub instructions: u64,
    pub lane_instructions: u64,
    /// Bytes that lanes read and wrote in global memory, and the sectors of 32 bytes that each access of a warp touched.
    pub global_read_bytes: u64,
    pub global_written_bytes: u64,
    pub global_read_sectors: u64,
    pub global_written_sectors: u64,
    pub shared_read_bytes: u64,
    pub shared_written_bytes: u64,
    /// Rounds that accesses to shared memory needed beyond those without a conflict.
    pub bank_conflicts: u64,
    pub atomics: u64,
    /// Multiply-adds of tensor cores.
    pub tensor_products: u64,
    /// Branches, and those at which the lanes of a warp went two ways.
    pub branches: u64,
    pub divergent_branches: u64,
    /// Barriers, by warps that came to them.
    pub barriers: u64,
    /// Reads of global memory that nobody wrote, and the first of them: see `unwritten.rs`.
    pub unwritten_reads: u64,
    pub unwritten: Option<Box<Fault>>,
}

impl Counts {
    /// Adds the counts of other work.
    pub fn add(&mut self, other: &Self) {
        let values = other.fields();
        for ((_, mine), (_, value)) in self.fields_mut().into_iter().zip(values) {
            *mine += value;
        }
        if self.unwritten.is_none() {
            self.unwritten.clone_from(&other.unwritten);
        }
    }

    /// Takes the counts of `part` for those of `whole`.
    pub fn scale(&mut self, whole: u64, part: u64) {
        if whole != part {
            self.fields_mut().into_iter().for_each(|(_, value)| *value = value.saturating_mul(whole) / part);
        }
    }

    /// Every count with its name.
    pub fn fields(&self) -> [(&'static str, u64); 18] {
        self.clone().fields_mut().map(|(name, value)| (name, *value))
    }

    fn fields_mut(&mut self) -> [(&'static str, &mut u64); 18] {
        [
            ("launches", &mut self.launches),
            ("blocks", &mut self.blocks),
            ("threads", &mut self.threads),
            ("instructions", &mut self.instructions),
            ("lane_instructions", &mut self.lane_instructions),
            ("global_read_bytes", &mut self.global_read_bytes),
            ("global_written_bytes", &mut self.global_written_bytes),
            ("global_read_sectors", &mut self.global_read_sectors),
            ("global_written_sectors", &mut self.global_written_sectors),
            ("shared_read_bytes", &mut self.shared_read_bytes),
            ("shared_written_bytes", &mut self.shared_written_bytes),
            ("bank_conflicts", &mut self.bank_conflicts),
            ("atomics", &mut self.atomics),
            ("tensor_products", &mut self.tensor_products),
            ("branches", &mut self.branches),
            ("divergent_branches", &mut self.divergent_branches),
            ("barriers", &mut self.barriers),
            ("unwritten_reads", &mut self.unwritten_reads),
        ]
    }
}
