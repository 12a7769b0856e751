//! Files decoded as Pillow's `Image.open(…).convert("RGB")` does.

use image::{DynamicImage, ImageFormat, ImageReader};
use std::{
    io::{self, Cursor},
    path::PathBuf,
};
use thiserror::Error;

/// An image of eight bits a channel, red first, row by row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rgb {
    /// Pixels in a row.
    pub width: usize,
    /// Rows.
    pub height: usize,
    /// `3 · width · height` values.
    pub pixels: Vec<u8>,
}

/// A file that is no image.
#[derive(Debug, Error)]
#[error("{}: {fault}", path.display())]
pub struct ImageError {
    /// The file.
    pub path: PathBuf,
    /// What is wrong with it.
    pub fault: ImageFault,
}

/// What is wrong with an image.
#[derive(Debug, Error)]
pub enum ImageFault {
    /// The operating system does not let us read it.
    #[error("{0}")]
    Io(io::Error),
    /// It is neither JPEG nor PNG nor WebP.
    #[error("neither JPEG nor PNG nor WebP")]
    Unknown,
    /// A JPEG without its end, which decoders otherwise fill with grey.
    #[error("truncated: a JPEG without its end")]
    Truncated,
    /// It can't be decoded.
    #[error("{0}")]
    Broken(image::ImageError),
}

/// Decodes a JPEG, PNG or WebP, whatever its file is called.
///
/// As in Pillow: transparency is dropped, grey is grey in all three channels, of 16 bits of colour the upper eight count,
/// and grey of 16 bits is clipped at 255. An EXIF orientation is left alone.
///
/// # Errors
/// Where the bytes are no such image, or only a part of one.
pub fn decode(bytes: &[u8]) -> Result<Rgb, ImageFault> {
    let reader = ImageReader::new(Cursor::new(bytes)).with_guessed_format().map_err(ImageFault::Io)?;
    match reader.format() {
        None => return Err(ImageFault::Unknown),
        Some(ImageFormat::Jpeg) if !has_end(bytes) => return Err(ImageFault::Truncated),
        Some(_) => {}
    }
    let image = reader.decode().map_err(|error| match error {
        image::ImageError::Unsupported(_) => ImageFault::Unknown,
        error => ImageFault::Broken(error),
    })?;
    let (width, height) = (image.width() as usize, image.height() as usize);
    Ok(Rgb { width, height, pixels: pixels(image) })
}

/// Whether the last scan of a JPEG is followed by the mark of its end; neither mark can be among a scan's data.
fn has_end(bytes: &[u8]) -> bool {
    let marks = || bytes.windows(2).rev();
    marks().take_while(|mark| *mark != [0xff, 0xda]).any(|mark| mark == [0xff, 0xd9])
}

fn pixels(image: DynamicImage) -> Vec<u8> {
    let high = |value: u16| (value >> 8) as u8;
    let clipped = |value: u16| value.min(255) as u8;
    match image {
        DynamicImage::ImageRgb8(image) => image.into_raw(),
        DynamicImage::ImageLuma8(image) => image.into_raw().into_iter().flat_map(|v| [v; 3]).collect(),
        DynamicImage::ImageLumaA8(image) => image.pixels().flat_map(|p| [p.0[0]; 3]).collect(),
        DynamicImage::ImageRgba8(image) => image.pixels().flat_map(|p| [p.0[0], p.0[1], p.0[2]]).collect(),
        DynamicImage::ImageLuma16(image) => image.into_raw().into_iter().flat_map(|v| [clipped(v); 3]).collect(),
        DynamicImage::ImageLumaA16(image) => image.pixels().flat_map(|p| [high(p.0[0]); 3]).collect(),
        DynamicImage::ImageRgb16(image) => image.into_raw().into_iter().map(high).collect(),
        DynamicImage::ImageRgba16(image) => image.pixels().flat_map(|p| [p.0[0], p.0[1], p.0[2]].map(high)).collect(),
        other => other.into_rgb8().into_raw(),
    }
}
