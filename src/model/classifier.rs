//! Models that say what is in a photograph: how a photograph becomes their input, and what their outputs stand for.

use std::collections::HashMap;

/// What makes a model a classifier of photographs: an input `[batch, 3, px, px]`, an output `[batch, classes]`.
#[derive(Clone, Debug)]
pub struct Classifier {
    /// Side of the square input, pixels.
    pub px: usize,
    /// How a photograph becomes the input.
    pub preprocessing: Preprocessing,
    /// What the logits stand for.
    pub classes: &'static Classes,
}

/// A class.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Class {
    /// WordNet id, `n02124075`.
    pub synset: &'static str,
    /// Name, `Egyptian cat`.
    pub name: &'static str,
}

/// The classes of a data set, in the order of the logits.
#[derive(Debug)]
pub struct Classes {
    all: Vec<Class>,
    by_synset: HashMap<&'static str, usize>,
}

impl Classes {
    /// Classes in the order of the logits.
    pub fn new(all: Vec<Class>) -> Self {
        let by_synset = all.iter().enumerate().map(|(index, class)| (class.synset, index)).collect();
        Self { all, by_synset }
    }

    /// All of them, in the order of the logits.
    pub fn all(&self) -> &[Class] {
        &self.all
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.all.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// The index of a class by its WordNet id.
    pub fn index(&self, synset: &str) -> Option<usize> {
        self.by_synset.get(synset).copied()
    }
}

/// Shorter side, crop and normalisation of an evaluation on ImageNet.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Preprocessing {
    /// To which size an image is scaled.
    pub resize: Resize,
    /// How it is scaled.
    pub filter: Filter,
    /// Values of a white pixel before mean and deviation: 1, or 255 where the source never scaled its bytes.
    pub white: f32,
    /// Mean of each channel of the input.
    pub mean: [f32; 3],
    /// Deviation of each channel of the input.
    pub std: [f32; 3],
    /// Order of the channels.
    pub channels: Channels,
    /// Whose rule it is.
    pub source: &'static str,
}

/// The size to which an image is scaled before the network's square is cut out of its centre, pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resize {
    /// The shorter side has this length and the longer follows.
    Shorter(usize),
    /// Both sides have this length, whatever the image's shape.
    Square(usize),
}

/// Interpolation, antialiased: where an image shrinks, the filter widens with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Filter {
    /// A triangle.
    Bilinear,
    /// Keys' cubic with a = −½.
    Bicubic,
}

/// Order of the channels of an input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Channels {
    /// Red first.
    Rgb,
    /// Blue first, as OpenCV loads images.
    Bgr,
}
