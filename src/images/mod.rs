//! Photographs as a network's input: decoded, resized, cropped and normalised as the source of its weights does, so that
//! the logits are those that PyTorch gives for the same file.

pub mod accuracy;
mod decode;
pub mod infer;
mod resize;

pub use decode::{ImageError, ImageFault, Rgb, decode};
pub use resize::resize;

use crate::model::classifier::{Channels, Classifier, Preprocessing, Resize};
use std::path::Path;

/// The input that a classifier makes of a photograph: `[3, px, px]`, row-major.
///
/// The EXIF orientation is ignored, as torchvision ignores it.
///
/// # Errors
/// Where the file can't be read or is no image.
pub fn input(path: &Path, classifier: &Classifier) -> Result<Vec<f32>, ImageError> {
    let failed = |fault| ImageError { path: path.to_owned(), fault };
    let bytes = std::fs::read(path).map_err(|error| failed(ImageFault::Io(error)))?;
    let image = decode(&bytes).map_err(failed)?;
    Ok(prepare(&image, &classifier.preprocessing, classifier.px))
}

/// Resizes, crops and normalises an image: `[3, px, px]`, row-major.
pub fn prepare(image: &Rgb, rule: &Preprocessing, px: usize) -> Vec<f32> {
    let (width, height) = size(image, rule.resize);
    let image = resize(image, width, height, rule.filter);
    let (left, top) = (centred(width, px), centred(height, px));
    let mut input = vec![0.0; 3 * px * px];
    for (channel, plane) in input.chunks_exact_mut(px * px).enumerate() {
        let colour = if rule.channels == Channels::Bgr { 2 - channel } else { channel };
        let (mean, std, scale) = (rule.mean[channel], rule.std[channel], 255.0 / rule.white);
        for (y, row) in plane.chunks_exact_mut(px).enumerate() {
            let pixels = &image.pixels[3 * ((top + y) * width + left)..];
            for (value, pixel) in row.iter_mut().zip(pixels.chunks_exact(3)) {
                *value = (f32::from(pixel[colour]) / scale - mean) / std;
            }
        }
    }
    input
}

/// The size to which an image is scaled: torchvision rounds the longer side down.
fn size(image: &Rgb, resize: Resize) -> (usize, usize) {
    let (width, height) = (image.width, image.height);
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
