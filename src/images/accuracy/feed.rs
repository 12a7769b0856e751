//! Decoding threads: images in, inputs out, never more of them waiting than the network can use soon.

use super::dataset::Sample;
use crate::{
    images::{self, ImageError},
    model::classifier::Classifier,
};
use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
        mpsc::{Receiver, sync_channel},
    },
    thread::Scope,
};

/// An image as its decoder leaves it.
pub type Fed<'a> = (&'a Sample, Result<Vec<f32>, ImageError>);

/// Images being decoded, in whatever order they are done. Dropping it ends the threads.
pub struct Feed<'a>(Receiver<Fed<'a>>);

impl<'a> Feed<'a> {
    /// Starts to decode `samples` for `classifier`, at most `ahead` of them in advance.
    pub fn start<'scope>(
        scope: &'scope Scope<'scope, 'a>,
        samples: &'a [&'a Sample],
        classifier: &'a Classifier,
        ahead: usize,
    ) -> Self {
        // One processor is the network's, or its driver's.
        let threads = std::thread::available_parallelism().map_or(1, |n| n.get().saturating_sub(1).max(1));
        let (sender, receiver) = sync_channel(ahead);
        let next = Arc::new(AtomicUsize::new(0));
        for _ in 0..threads {
            let (sender, next) = (sender.clone(), Arc::clone(&next));
            scope.spawn(move || {
                while let Some(sample) = samples.get(next.fetch_add(1, Ordering::Relaxed)) {
                    if sender.send((*sample, images::input(&sample.path, classifier))).is_err() {
                        return;
                    }
                }
            });
        }
        Self(receiver)
    }

    /// The next image that is decoded; none when all are.
    pub fn next(&mut self) -> Option<Fed<'a>> {
        self.0.recv().ok()
    }
}
