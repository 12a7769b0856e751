//! Where a block has written global memory: a table as large as what it wrote.

use super::shadow::{Time, Written};

/// Who wrote which global memory in this block, by address: a hash table with open addressing, whose entries end with
/// their block.
pub struct Table {
    pub shift: u32,
    pub entries: Vec<(u64, Written)>,
    pub used: usize,
    /// Where this block has written.
    pub low: u64,
    pub high: u64,
}

impl Table {
    pub fn new(granule: u32) -> Self {
        Self {
            shift: granule.trailing_zeros(),
            entries: vec![(0, Written::default()); 256],
            used: 0,
            low: u64::MAX,
            high: 0,
        }
    }

    pub fn start(&mut self) {
        (self.used, self.low, self.high) = (0, u64::MAX, 0);
    }

    /// The entry of a place, or the free one where it belongs.
    #[inline]
    pub fn entry(&mut self, place: u64, start: Time) -> &mut (u64, Written) {
        let mask = self.entries.len() - 1;
        let mut at = (place.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40) as usize & mask;
        while self.entries[at].0 != place && self.entries[at].1.time() >= start {
            at = (at + 1) & mask;
        }
        &mut self.entries[at]
    }

    pub fn grow(&mut self, start: Time) {
        let old = std::mem::take(&mut self.entries);
        self.entries = vec![(0, Written::default()); old.len() * 4];
        for (place, written) in old.into_iter().filter(|(_, written)| written.time() >= start) {
            *self.entry(place, start) = (place, written);
        }
    }
}
