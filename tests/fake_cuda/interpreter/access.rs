//! The addresses of one access of a warp, and what they look like together: how they are laid out, how many sectors and
//! banks they touch. The same instruction mostly has the same picture again, so the last one is kept.

use super::{
    decode::Address,
    lane::{ALL, LANES, lanes},
    shadow::TOGETHER,
    warp::Warp,
};
use crate::memory::Range;

/// How the addresses of the active lanes lie to each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// All lanes have the same address.
    Uniform,
    /// All 32 lanes run, and each address follows on the one before.
    Contiguous,
    Scattered,
}

/// Bytes of a sector: the least that global memory moves.
const SECTOR: u64 = 32;
/// Banks of shared memory, each of a word.
const BANKS: usize = 32;

/// The picture of one access.
#[derive(Clone, Debug)]
pub struct Pattern<'a> {
    mask: u32,
    bytes: u32,
    /// Where the first address lies in its sector.
    low: u64,
    /// Addresses of the active lanes, less that of the first.
    relative: [i64; LANES],
    /// The least and the greatest of them.
    pub span: (i64, i64),
    /// All their bits: which alignment they share.
    pub bits: u64,
    pub shape: Shape,
    pub sectors: u64,
    pub conflicts: u64,
    /// In shared memory, each address once: relative to the first lane's, with its lane, or [`TOGETHER`] if several lanes
    /// have it.
    pub readers: Vec<(i64, u32)>,
    /// The range in which the last access lay.
    pub range: Option<&'a Range>,
}

impl Default for Pattern<'_> {
    fn default() -> Self {
        let relative = [0; LANES];
        let shape = Shape::Scattered;
        Self {
            mask: 0,
            bytes: 0,
            low: 0,
            relative,
            span: (0, 0),
            bits: 0,
            shape,
            sectors: 0,
            conflicts: 0,
            readers: Vec::new(),
            range: None,
        }
    }
}

/// The addresses of all lanes; those that don't run get that of the first one that does.
#[inline(always)]
pub fn addresses(warp: &Warp, address: &Address) -> [u64; LANES] {
    let mut all = [0; LANES];
    if address.wide {
        all = warp.row::<u64>(address.base);
    } else {
        let row = warp.row::<u32>(address.base);
        for lane in 0..LANES {
            all[lane] = row[lane].into();
        }
    }
    let first = all[warp.first()];
    let active = warp.active;
    for (lane, value) in all.iter_mut().enumerate() {
        let own = if active == ALL || active >> lane & 1 != 0 { *value } else { first };
        *value = own.wrapping_add_signed(address.offset);
    }
    all
}

impl Pattern<'_> {
    /// Makes this the picture of these addresses, unless it is already.
    #[inline(always)]
    pub fn update(&mut self, addresses: &[u64; LANES], mask: u32, bytes: u32, shared: bool) {
        let base = addresses[mask.trailing_zeros() as usize % LANES];
        let mut relative = [0; LANES];
        let mut different = 0;
        for lane in 0..LANES {
            relative[lane] = addresses[lane].wrapping_sub(base).cast_signed();
            different |= relative[lane] ^ self.relative[lane];
        }
        if different == 0 && self.mask == mask && self.low == base % SECTOR && self.bytes == bytes {
            return;
        }
        (self.mask, self.low, self.relative, self.bytes) = (mask, base % SECTOR, relative, bytes);
        self.draw(shared);
    }

    fn draw(&mut self, shared: bool) {
        let relative = self.relative;
        self.span = relative.iter().fold((0, 0), |(low, high), value| (low.min(*value), high.max(*value)));
        self.bits = relative.iter().fold(0, |bits, value| bits | value.cast_unsigned());
        let step = i64::from(self.bytes);
        let follows = || relative.iter().zip(0..).all(|(value, lane)| *value == lane * step);
        self.shape = match () {
            () if self.span == (0, 0) => Shape::Uniform,
            () if self.mask == ALL && follows() => Shape::Contiguous,
            () => Shape::Scattered,
        };
        if shared {
            self.conflicts = self.bank_conflicts();
            self.draw_readers();
        } else {
            self.sectors = self.count_sectors();
        }
    }

    fn draw_readers(&mut self) {
        self.readers.clear();
        self.readers.extend(lanes(self.mask).map(|lane| (self.relative[lane], lane as u32)));
        self.readers.sort_unstable();
        self.readers.dedup_by(|(next, _), (kept, lane)| {
            let same = next == kept;
            *lane = if same { TOGETHER } else { *lane };
            same
        });
    }

    fn count_sectors(&self) -> u64 {
        let sector = |offset: i64| self.low.cast_signed().wrapping_add(offset).div_euclid(SECTOR as i64);
        let (lowest, last) = (sector(self.span.0), self.bytes as i64 - 1);
        if sector(self.span.1.saturating_add(last)) - lowest < 64 {
            let touched = lanes(self.mask).fold(0_u64, |touched, lane| {
                let (first, end) = (sector(self.relative[lane]), sector(self.relative[lane] + last));
                (first..=end).fold(touched, |touched, sector| touched | 1 << (sector - lowest))
            });
            return touched.count_ones().into();
        }
        // Far from each other: in order, those that begin where the one before ended count once.
        let mut places = [i64::MAX; LANES];
        lanes(self.mask).zip(&mut places).for_each(|(lane, place)| *place = self.relative[lane]);
        let places = &mut places[..self.mask.count_ones() as usize];
        places.sort_unstable();
        let mut covered = i64::MIN;
        let mut sectors = 0;
        for place in places {
            let (first, end) = (sector(*place).max(covered.saturating_add(1)), sector(place.wrapping_add(last)));
            sectors += u64::try_from(end - first + 1).unwrap_or_default();
            covered = covered.max(end);
        }
        sectors
    }

    /// The rounds beyond the first that each part of the warp needs: wide accesses go a half or a quarter at a time.
    fn bank_conflicts(&self) -> u64 {
        let words = (self.bytes / 4).max(1) as usize;
        let together = (LANES / words.min(LANES)).max(1);
        let mut rounds = 0;
        for first in (0..LANES).step_by(together) {
            let mut touched = [0_i64; LANES];
            let mut count = 0;
            for lane in (first..first + together).filter(|lane| self.mask >> lane & 1 != 0) {
                let word = self.low.cast_signed().wrapping_add(self.relative[lane]).div_euclid(4);
                for index in 0..words.min(LANES / together) {
                    touched[count] = word.wrapping_add(index as i64);
                    count += 1;
                }
            }
            let touched = &mut touched[..count];
            touched.sort_unstable();
            let mut banks = [0_u64; BANKS];
            for (index, word) in touched.iter().enumerate() {
                let again = index > 0 && touched[index - 1] == *word;
                banks[word.rem_euclid(BANKS as i64) as usize] += u64::from(!again);
            }
            rounds += banks.into_iter().max().unwrap_or_default().saturating_sub(1);
        }
        rounds
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pattern(address: impl Fn(u64) -> u64, mask: u32, bytes: u32, shared: bool) -> Pattern<'static> {
        let mut all = [0; LANES];
        all.iter_mut().zip(0..).for_each(|(all, lane)| *all = address(lane));
        let mut pattern = Pattern::default();
        pattern.update(&all, mask, bytes, shared);
        pattern
    }

    #[test]
    fn sectors_are_counted_as_a_card_moves_them() {
        let contiguous = pattern(|lane| 4096 + 4 * lane, ALL, 4, false);
        assert_eq!((contiguous.shape, contiguous.sectors), (Shape::Contiguous, 4));
        assert_eq!(pattern(|lane| 4100 + 4 * lane, ALL, 4, false).sectors, 5);
        assert_eq!(pattern(|_| 4096, ALL, 4, false).sectors, 1);
        assert_eq!(pattern(|lane| 4096 + 128 * lane, ALL, 4, false).sectors, 32);
        assert_eq!(pattern(|lane| 4096 - 16 * lane, ALL, 16, false).sectors, 17);
    }

    #[test]
    fn banks_conflict_where_lanes_want_different_words_of_one() {
        assert_eq!(pattern(|lane| 4 * lane, ALL, 4, true).conflicts, 0);
        assert_eq!(pattern(|_| 64, ALL, 4, true).conflicts, 0);
        assert_eq!(pattern(|lane| 8 * lane, ALL, 4, true).conflicts, 1);
        assert_eq!(pattern(|lane| 128 * lane, ALL, 4, true).conflicts, 31);
        assert_eq!(pattern(|lane| 132 * lane, ALL, 4, true).conflicts, 0);
        // A quarter of a warp at a time: 8 lanes of 16 bytes touch each bank once.
        assert_eq!(pattern(|lane| 16 * lane, ALL, 16, true).conflicts, 0);
        assert_eq!(pattern(|lane| 128 * lane, ALL, 16, true).conflicts, 4 * 7);
        assert_eq!(pattern(|lane| 128 * lane, 0b11, 4, true).conflicts, 1);
    }
}
