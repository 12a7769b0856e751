//! Photographs as a network's input: decoded, resized, cropped and normalised as the source of its weights does, so that
//! the logits are those that PyTorch gives for the same file.

pub mod accuracy;
mod decode;
pub mod infer;
mod resize;

pub use decode::{Image, ImageError, ImageFault, Rgb, decode};
pub use resize::resize;

use crate::model::classifier::{Channels, Classifier, Preprocessing, Resize};
use resize::Resampler;
use std::{
    io::{self, Read},
    path::Path,
};

/// The bytes of a file, or of standard input where its name is `-`.
///
/// # Errors
/// If it can't be read.
pub fn read(path: &Path) -> io::Result<Vec<u8>> {
    if path != Path::new("-") {
        return std::fs::read(path);
    }
    let mut bytes = Vec::new();
    io::stdin().lock().read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// The input that a classifier makes of a photograph: `[3, px, px]`, row-major.
///
/// The EXIF orientation is ignored, as torchvision ignores it.
///
/// # Errors
/// Where the file can't be read or is no image.
pub fn input(path: &Path, classifier: &Classifier) -> Result<Vec<f32>, ImageError> {
    let failed = |fault| ImageError { path: path.to_owned(), fault };
    let bytes = read(path).map_err(|error| failed(ImageFault::Io(error)))?;
    Image::open(&bytes).and_then(|image| prepare(image, classifier)).map_err(failed)
}

/// Resizes, crops and normalises an image: `[3, px, px]`, row-major. The crop comes first: only what it holds is resized.
fn prepare(image: Image<'_>, classifier: &Classifier) -> Result<Vec<f32>, ImageFault> {
    let (rule, px) = (&classifier.preprocessing, classifier.px);
    let (width, height) = size(image.width, image.height, rule.resize);
    let (left, top) = (centred(width, px), centred(height, px));
    let part = (left..left + px, top..top + px);
    let mut resampler = Resampler::new((image.width, image.height), (width, height), part, rule.filter);
    image.rows(|row| resampler.row(row))?;
    Ok(normalise(&resampler.finish(), rule))
}

/// The planes of an image, normalised.
fn normalise(image: &Rgb, rule: &Preprocessing) -> Vec<f32> {
    let mut input = Vec::with_capacity(image.pixels.len());
    for channel in 0..3 {
        let colour = if rule.channels == Channels::Bgr { 2 - channel } else { channel };
        let (mean, std, scale) = (rule.mean[channel], rule.std[channel], 255.0 / rule.white);
        input.extend(image.pixels.iter().skip(colour).step_by(3).map(|v| (f32::from(*v) / scale - mean) / std));
    }
    input
}

/// The size to which an image is scaled: torchvision rounds the longer side down.
fn size(width: usize, height: usize, resize: Resize) -> (usize, usize) {
    let longer = |shorter: usize| shorter * width.max(height) / width.min(height);
    match resize {
        Resize::Square(side) => (side, side),
        Resize::Shorter(side) if width <= height => (side, longer(side)),
        Resize::Shorter(side) => (longer(side), side),
    }
}

/// Where a crop of `px` begins: torchvision rounds halves to even.
fn centred(side: usize, px: usize) -> usize {
    let rest = side - px;
    if rest % 4 == 3 { rest / 2 + 1 } else { rest / 2 }
}

#[cfg(test)]
mod tests;
