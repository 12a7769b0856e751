//! Handles: numbers that look like pointers and are never used twice.

use super::{Answer, error};
use std::{
    collections::HashMap,
    ffi::c_void,
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicUsize, Ordering},
    },
};

/// What C holds.
pub type Handle = *mut c_void;

/// The live things of one kind.
pub struct Table<T> {
    /// The kind's name, for messages.
    pub what: &'static str,
    base: usize,
    next: AtomicUsize,
    live: RwLock<HashMap<usize, Arc<T>>>,
}

impl<T> Table<T> {
    /// An empty table. Kinds differ in the high bits, so that a stream is not taken for an event.
    pub fn new(what: &'static str, kind: usize) -> Self {
        Self { what, base: kind << 40, next: AtomicUsize::new(1), live: RwLock::default() }
    }

    /// Puts a new thing in and gives its handle to `make`, which makes it.
    pub fn insert_with(&self, make: impl FnOnce(usize) -> T) -> (Handle, Arc<T>) {
        let handle = self.base | self.next.fetch_add(1, Ordering::Relaxed) << 6;
        let thing = Arc::new(make(handle));
        self.live.write().unwrap_or_else(PoisonError::into_inner).insert(handle, Arc::clone(&thing));
        (std::ptr::without_provenance_mut(handle), thing)
    }

    /// Puts a new thing in.
    pub fn insert(&self, thing: T) -> Handle {
        self.insert_with(|_| thing).0
    }

    /// The thing of a handle.
    pub fn get(&self, handle: Handle) -> Answer<Arc<T>> {
        let live = self.live.read().unwrap_or_else(PoisonError::into_inner);
        live.get(&handle.addr()).cloned().ok_or_else(|| self.stranger(handle))
    }

    /// Takes a thing out, as its destruction does.
    pub fn remove(&self, handle: Handle) -> Answer<Arc<T>> {
        let removed = self.live.write().unwrap_or_else(PoisonError::into_inner).remove(&handle.addr());
        removed.ok_or_else(|| self.stranger(handle))
    }

    /// How many are live.
    pub fn len(&self) -> usize {
        self.live.read().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// Everything that is live, by age.
    pub fn all(&self) -> Vec<(usize, Arc<T>)> {
        let live = self.live.read().unwrap_or_else(PoisonError::into_inner);
        let mut all: Vec<_> = live.iter().map(|(handle, thing)| (*handle, Arc::clone(thing))).collect();
        all.sort_by_key(|(handle, _)| *handle);
        all
    }

    fn stranger(&self, handle: Handle) -> error::Error {
        let number = handle.addr();
        let ours = number > self.base && number < self.base | self.next.load(Ordering::Relaxed) << 6;
        let why = if ours { "was destroyed before" } else { "never was one" };
        super::driver().report.finding(&format!("{number:#x} is used as a {} and {why}", self.what));
        error::INVALID_HANDLE
    }
}
