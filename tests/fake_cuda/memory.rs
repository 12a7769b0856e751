//! Live memory of the cards: which ranges there are, and which of their bytes anybody ever wrote.
//!
//! Device memory is memory of this process, so an address of the card is an address here. [`Allocations`] is a snapshot:
//! a launch holds one while it runs, and allocating or freeing replaces the snapshot instead of changing it. Addresses are
//! not used again (see [`Registry`]), so an access to freed memory is told apart from a wild one.

use std::{
    fmt,
    ptr::null_mut,
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicBool, AtomicPtr, AtomicU32, AtomicU64, Ordering},
    },
};

/// What a range was allocated as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `cuMemAlloc`: memory of one card.
    Device,
    /// `cuMemAllocAsync`: memory of one card, in the order of a stream.
    Async,
    /// `cuMemAllocHost`: page-locked memory of the host, which every card reaches.
    Pinned,
    /// `cuMemAllocManaged`: moves between host and cards.
    Managed,
}

impl Kind {
    /// Whether it takes memory of the card, and not of the host.
    pub fn on_card(self) -> bool {
        matches!(self, Self::Device | Self::Async)
    }
}

/// One allocation.
#[derive(Debug)]
pub struct Range {
    /// The first address.
    pub start: u64,
    /// How many bytes were asked for.
    pub bytes: u64,
    /// The Nth allocation of this process, from 1.
    pub id: u64,
    /// What it was allocated as.
    pub kind: Kind,
    /// The card that it was allocated on.
    pub card: usize,
    written: WrittenMap,
}

impl Range {
    /// A range in which nothing is written yet.
    pub fn new(start: u64, bytes: u64, id: u64, kind: Kind, card: usize) -> Self {
        Self { start, bytes, id, kind, card, written: WrittenMap::new(bytes) }
    }

    /// The first address behind it.
    pub fn end(&self) -> u64 {
        self.start + self.bytes
    }

    /// Marks bytes as written. The caller has found them in this range.
    pub fn mark_written(&self, address: u64, bytes: u64) {
        self.written.mark(address - self.start, bytes);
    }

    /// Whether each of these bytes was written. The caller has found them in this range.
    pub fn is_written(&self, address: u64, bytes: u64) -> bool {
        self.written.has(address - self.start, bytes)
    }

    /// What a message says about it.
    pub fn describe(&self) -> Described {
        Described { start: self.start, bytes: self.bytes, id: self.id, kind: self.kind }
    }
}

/// What a message says about a range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Described {
    pub start: u64,
    pub bytes: u64,
    pub id: u64,
    pub kind: Kind,
}

impl fmt::Display for Described {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.kind {
            Kind::Device => "device memory",
            Kind::Async => "stream-ordered device memory",
            Kind::Pinned => "pinned host memory",
            Kind::Managed => "managed memory",
        };
        write!(f, "allocation {} ({} bytes of {kind} at {:#x})", self.id, self.bytes, self.start)
    }
}

/// Why an access finds no memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AccessError {
    /// It begins in or beside a live range and doesn't lie in it.
    OutOfBounds { address: u64, bytes: u64, nearest: Described },
    /// The range was freed.
    Freed { address: u64, bytes: u64, freed: Described },
    /// It is memory of another card, and no card here reaches another's.
    Elsewhere { address: u64, bytes: u64, there: Described },
    /// Nothing is or was there.
    Unmapped { address: u64, bytes: u64 },
}

impl fmt::Display for AccessError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OutOfBounds { address, bytes, nearest } => {
                let offset = i128::from(*address) - i128::from(nearest.start);
                write!(f, "{bytes} bytes at {address:#x} are out of bounds: offset {offset} of {nearest}")
            }
            Self::Freed { address, bytes, freed } => {
                write!(f, "{bytes} bytes at {address:#x} are used after free: they lie in {freed}, which was freed")
            }
            Self::Elsewhere { address, bytes, there } => {
                write!(f, "{bytes} bytes at {address:#x} lie in {there}, which is another card's")
            }
            Self::Unmapped { address, bytes } => write!(f, "{bytes} bytes at {address:#x} were never allocated"),
        }
    }
}

/// An address this near to a range, but in none, is called out of bounds of that range.
const NEAR: u64 = 1 << 20;

/// How many freed ranges are remembered.
const REMEMBERED: usize = 4096;

/// The ranges that were live at one moment, and those freed before.
#[derive(Clone, Debug, Default)]
pub struct Allocations {
    /// By address.
    live: Vec<Arc<Range>>,
    /// By address.
    freed: Vec<Described>,
    /// What other cards have.
    elsewhere: Vec<Described>,
}

impl Allocations {
    /// The live range that holds these bytes.
    ///
    /// # Errors
    /// Says why there is none.
    #[inline]
    pub fn find(&self, address: u64, bytes: u64) -> Result<&Range, AccessError> {
        let after = self.live.partition_point(|range| range.start <= address);
        if let Some(range) = after.checked_sub(1).and_then(|index| self.live.get(index))
            && range.bytes >= bytes
            && address - range.start <= range.bytes - bytes
        {
            return Ok(range);
        }
        Err(self.explain(address, bytes))
    }

    #[cold]
    fn explain(&self, address: u64, bytes: u64) -> AccessError {
        let holds = |start: u64, length: u64| address >= start && address - start < length;
        if let Some(freed) = self.freed.iter().find(|freed| holds(freed.start, freed.bytes)) {
            return AccessError::Freed { address, bytes, freed: *freed };
        }
        if let Some(there) = self.elsewhere.iter().find(|there| holds(there.start, there.bytes)) {
            return AccessError::Elsewhere { address, bytes, there: *there };
        }
        let distance = |range: &Range| {
            if address < range.start {
                range.start - address
            } else {
                address.saturating_add(1).saturating_sub(range.end())
            }
        };
        match self.live.iter().min_by_key(|range| distance(range)) {
            Some(range) if distance(range) <= NEAR => {
                AccessError::OutOfBounds { address, bytes, nearest: range.describe() }
            }
            _ => AccessError::Unmapped { address, bytes },
        }
    }

    /// The live ranges, by address.
    pub fn live(&self) -> &[Arc<Range>] {
        &self.live
    }

    /// Adds a range, as tests do and [`Registry`] does.
    pub fn insert(&mut self, range: Range) {
        let at = self.live.partition_point(|other| other.start < range.start);
        self.live.insert(at, Arc::new(range));
    }

    /// Takes the range that begins at `start` out and remembers it as freed.
    pub fn remove(&mut self, start: u64) -> Option<Arc<Range>> {
        let at = self.live.binary_search_by_key(&start, |range| range.start).ok()?;
        let range = self.live.remove(at);
        if self.freed.len() == REMEMBERED {
            // Addresses grow, so the first is the oldest.
            self.freed.remove(0);
        }
        let place = self.freed.partition_point(|other| other.start < start);
        self.freed.insert(place, range.describe());
        Some(range)
    }
}

/// The memory of all cards of this process: unified addressing, as every 64-bit driver has it.
#[derive(Debug, Default)]
pub struct Registry {
    current: RwLock<Arc<Allocations>>,
}

impl Registry {
    /// What is live now.
    pub fn snapshot(&self) -> Arc<Allocations> {
        Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// What a kernel of a card reaches: all but memory of other cards.
    pub fn of_card(&self, card: usize) -> Arc<Allocations> {
        let all = self.snapshot();
        let foreign = |range: &Range| range.kind.on_card() && range.card != card;
        if !all.live.iter().any(|range| foreign(range)) {
            return all;
        }
        let (elsewhere, live): (Vec<_>, Vec<_>) = all.live.iter().cloned().partition(|range| foreign(range));
        let elsewhere = elsewhere.iter().map(|range| range.describe()).collect();
        Arc::new(Allocations { live, freed: all.freed.clone(), elsewhere })
    }

    /// Replaces the snapshot by a changed copy. Launches that run keep the one they have.
    pub fn change<T>(&self, change: impl FnOnce(&mut Allocations) -> T) -> T {
        let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
        change(Arc::make_mut(&mut current))
    }
}

/// How many bytes one page of a [`WrittenMap`] covers.
const PAGE: u64 = 1 << 16;
const WORDS: usize = PAGE as usize / 64;

/// One bit for each byte of a page, and how many are set.
#[derive(Debug)]
struct Page {
    bits: [AtomicU64; WORDS],
    count: AtomicU32,
    full: AtomicBool,
}

impl Page {
    fn new() -> Box<Self> {
        let bits = [const { AtomicU64::new(0) }; WORDS];
        Box::new(Self { bits, count: AtomicU32::new(0), full: AtomicBool::new(false) })
    }
}

/// The bytes of a range that were written, in pages that are made when they are first needed.
///
/// Copies fill whole pages, and a page that is full needs no bits: its entry is [`full`](WrittenMap::full).
#[derive(Debug)]
struct WrittenMap {
    pages: Box<[AtomicPtr<Page>]>,
}

impl WrittenMap {
    fn new(bytes: u64) -> Self {
        let pages = (0..bytes.div_ceil(PAGE)).map(|_| AtomicPtr::new(null_mut())).collect();
        Self { pages }
    }

    /// Stands for a page of which every byte is written. It is compared, never followed.
    fn full() -> *mut Page {
        std::ptr::without_provenance_mut(1)
    }

    /// The bits of a page, made if there are none; none if the page is full.
    fn page(&self, index: usize) -> Option<&Page> {
        let entry = &self.pages[index];
        let mut page = entry.load(Ordering::Acquire);
        if page.is_null() {
            let new = Box::into_raw(Page::new());
            match entry.compare_exchange(null_mut(), new, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => page = new,
                Err(other) => {
                    // SAFETY: no other thread has seen `new`.
                    drop(unsafe { Box::from_raw(new) });
                    page = other;
                }
            }
        }
        // SAFETY: an entry that is neither null nor `full` points to a page that lives as long as the map.
        (page != Self::full()).then(|| unsafe { &*page })
    }

    fn mark(&self, offset: u64, bytes: u64) {
        let mut at = offset;
        let end = offset + bytes;
        while at < end {
            let index = (at / PAGE) as usize;
            let stop = end.min((index as u64 + 1) * PAGE);
            let whole = at.is_multiple_of(PAGE) && stop - at == PAGE;
            let made_full = whole && {
                let entry = &self.pages[index];
                entry.compare_exchange(null_mut(), Self::full(), Ordering::AcqRel, Ordering::Acquire).is_ok()
            };
            if !made_full && let Some(page) = self.page(index) {
                page.mark(at % PAGE, stop - at);
            }
            at = stop;
        }
    }

    fn has(&self, offset: u64, bytes: u64) -> bool {
        let mut at = offset;
        let end = offset + bytes;
        while at < end {
            let index = (at / PAGE) as usize;
            let stop = end.min((index as u64 + 1) * PAGE);
            let page = self.pages[index].load(Ordering::Acquire);
            if page.is_null() {
                return false;
            }
            // SAFETY: as in `page`.
            if page != Self::full() && !unsafe { &*page }.has(at % PAGE, stop - at) {
                return false;
            }
            at = stop;
        }
        true
    }
}

impl Drop for WrittenMap {
    fn drop(&mut self) {
        for entry in &mut self.pages {
            let page = *entry.get_mut();
            if !page.is_null() && page != Self::full() {
                // SAFETY: the map owns its pages, and nobody else has it any more.
                drop(unsafe { Box::from_raw(page) });
            }
        }
    }
}

impl Page {
    fn mark(&self, offset: u64, bytes: u64) {
        if self.full.load(Ordering::Relaxed) {
            return;
        }
        let mut new = 0;
        for (word, mask) in words(offset, bytes) {
            let bits = &self.bits[word];
            // Most writes go where somebody wrote before: a load is cheaper than an atomic OR.
            if bits.load(Ordering::Relaxed) & mask != mask {
                let before = bits.fetch_or(mask, Ordering::Relaxed);
                new += (mask & !before).count_ones();
            }
        }
        if new > 0 && self.count.fetch_add(new, Ordering::Relaxed) + new == PAGE as u32 {
            self.full.store(true, Ordering::Relaxed);
        }
    }

    fn has(&self, offset: u64, bytes: u64) -> bool {
        self.full.load(Ordering::Relaxed)
            || words(offset, bytes).all(|(word, mask)| self.bits[word].load(Ordering::Relaxed) & mask == mask)
    }
}

/// The words that hold these bits, each with its mask.
fn words(offset: u64, bytes: u64) -> impl Iterator<Item = (usize, u64)> {
    let end = offset + bytes;
    (offset / 64..end.div_ceil(64)).map(move |word| {
        let from = offset.max(word * 64) - word * 64;
        let to = end.min((word + 1) * 64) - word * 64;
        let mask = if to - from == 64 { u64::MAX } else { ((1 << (to - from)) - 1) << from };
        (word as usize, mask)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn two() -> Allocations {
        let mut allocations = Allocations::default();
        allocations.insert(Range::new(0x20_0000, 300_000, 2, Kind::Device, 0));
        allocations.insert(Range::new(0x10_0000, 100, 1, Kind::Pinned, 0));
        allocations
    }

    #[test]
    fn an_access_is_found_or_explained() {
        let mut memory = two();
        assert_eq!(memory.find(0x10_0000, 100).unwrap().id, 1);
        assert_eq!(memory.find(0x20_0004, 4).unwrap().id, 2);
        let beyond = memory.find(0x10_0000 + 98, 4).unwrap_err();
        assert!(
            beyond.to_string().contains("out of bounds: offset 98 of allocation 1 (100 bytes of pinned"),
            "{beyond}"
        );
        let before = memory.find(0x20_0000 - 4, 4).unwrap_err();
        assert!(before.to_string().contains("offset -4 of allocation 2"), "{before}");
        assert!(matches!(memory.find(1 << 40, 4), Err(AccessError::Unmapped { .. })));
        assert!(memory.find(u64::MAX, 16).is_err(), "no overflow");
        memory.remove(0x20_0000).unwrap();
        assert!(matches!(memory.find(0x20_0004, 4), Err(AccessError::Freed { freed: Described { id: 2, .. }, .. })));
        assert!(memory.remove(0x20_0000).is_none(), "a second free finds nothing");
    }

    #[test]
    fn a_launch_keeps_its_snapshot() {
        let registry = Registry::default();
        registry.change(|memory| memory.insert(Range::new(0x1000, 16, 1, Kind::Device, 0)));
        let launch = registry.snapshot();
        registry.change(|memory| memory.remove(0x1000));
        assert!(launch.find(0x1000, 16).is_ok());
        assert!(registry.snapshot().find(0x1000, 16).is_err());
    }

    #[test]
    fn a_card_reaches_its_own_memory_and_that_of_the_host() {
        let registry = Registry::default();
        registry.change(|memory| {
            memory.insert(Range::new(0x1000, 16, 1, Kind::Device, 0));
            memory.insert(Range::new(0x2000, 16, 2, Kind::Pinned, 0));
        });
        assert!(registry.of_card(0).find(0x1000, 16).is_ok());
        let other = registry.of_card(1);
        assert!(other.find(0x2000, 16).is_ok());
        assert!(other.find(0x1000, 4).unwrap_err().to_string().ends_with("which is another card's"));
    }

    #[test]
    fn written_bytes_are_known_one_by_one() {
        let range = Range::new(0x1000, 3 * PAGE + 100, 1, Kind::Device, 0);
        assert!(!range.is_written(0x1000, 1));
        range.mark_written(0x1003, 2);
        assert!(range.is_written(0x1003, 2) && !range.is_written(0x1003, 3) && !range.is_written(0x1002, 2));
        // Over words and pages.
        range.mark_written(0x1000 + PAGE - 70, 140);
        assert!(range.is_written(0x1000 + PAGE - 70, 140));
        assert!(!range.is_written(0x1000 + PAGE - 71, 2) && !range.is_written(0x1000 + PAGE + 69, 2));
        // All at once, over pages with and without bits.
        range.mark_written(0x1000, range.bytes);
        assert!(range.is_written(0x1000, range.bytes));
    }

    #[test]
    fn threads_that_write_one_page_together_fill_it() {
        let range = Range::new(0, PAGE, 1, Kind::Device, 0);
        std::thread::scope(|scope| {
            for thread in 0..2 {
                let range = &range;
                scope.spawn(move || (thread..PAGE).step_by(2).for_each(|at| range.mark_written(at, 1)));
            }
        });
        assert!(range.written.page(0).unwrap().full.load(Ordering::Relaxed));
        assert!(range.is_written(0, PAGE));
    }
}
