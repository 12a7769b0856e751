//! Files decoded as Pillow's `Image.open(…).convert("RGB")` does, row by row where the format allows it.

use image::{
    DynamicImage, ImageDecoder, ImageFormat, ImageReader,
    error::{DecodingError, ImageFormatHint::Exact},
};
use std::{
    io::{self, Cursor},
    path::PathBuf,
};
use thiserror::Error;

/// Memory that a decoder may take, bytes. PNG takes a row of it; JPEG, WebP and interlaced PNG the whole image.
const MOST_MEMORY: usize = 1 << 29;

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
    /// It can't be decoded within `MOST_MEMORY`.
    #[error(
        "{width}×{height} pixels: {format} of this size would take more than 512 MiB to decode; plain PNG would not"
    )]
    TooLarge {
        /// Pixels in a row.
        width: u32,
        /// Rows.
        height: u32,
        /// Its format.
        format: &'static str,
    },
    /// It can't be decoded.
    #[error("{0}")]
    Broken(image::ImageError),
}

/// An image whose head is read.
pub struct Image<'a> {
    /// Pixels in a row.
    pub width: usize,
    /// Rows.
    pub height: usize,
    decoder: Decoder<'a>,
}

/// How an image is decoded.
enum Decoder<'a> {
    /// A row at a time.
    Rows(Box<png::Reader<Cursor<&'a [u8]>>>),
    /// As a whole.
    Whole(Box<dyn ImageDecoder + 'a>),
}

impl<'a> Image<'a> {
    /// Reads the head of a JPEG, PNG or WebP, whatever its file is called.
    ///
    /// # Errors
    /// Where the bytes are no such image, only a part of one, or too many pixels.
    pub fn open(bytes: &'a [u8]) -> Result<Self, ImageFault> {
        Self::within(bytes, MOST_MEMORY)
    }

    /// As [`Self::open`], with another limit on the memory that the decoder takes.
    pub(super) fn within(bytes: &'a [u8], most: usize) -> Result<Self, ImageFault> {
        let reader = ImageReader::new(Cursor::new(bytes)).with_guessed_format().map_err(ImageFault::Io)?;
        let format = match reader.format() {
            None => return Err(ImageFault::Unknown),
            Some(ImageFormat::Jpeg) if !has_end(bytes) => return Err(ImageFault::Truncated),
            Some(ImageFormat::Png) => match rows(bytes, most)? {
                Some(image) => return Ok(image),
                None => "an interlaced PNG",
            },
            Some(ImageFormat::Jpeg) => "a JPEG",
            Some(_) => "a WebP",
        };
        let decoder = reader.into_decoder().map_err(broken)?;
        let (width, height) = decoder.dimensions();
        if width == 0 || height == 0 {
            return Err(ImageFault::Unknown);
        }
        if decoder.total_bytes() > most as u64 {
            return Err(ImageFault::TooLarge { width, height, format });
        }
        let decoder = Decoder::Whole(Box::new(decoder));
        Ok(Self { width: width as usize, height: height as usize, decoder })
    }

    /// Decodes the rows, from the top: `3 · width` values each.
    ///
    /// As in Pillow: transparency is dropped, grey is grey in all three channels, of 16 bits of colour the upper eight count,
    /// and grey of 16 bits is clipped at 255. An EXIF orientation is left alone.
    ///
    /// # Errors
    /// Where a part of the image is broken.
    pub fn rows(self, mut each: impl FnMut(&[u8])) -> Result<(), ImageFault> {
        let mut reader = match self.decoder {
            Decoder::Whole(decoder) => {
                let image = DynamicImage::from_decoder(decoder).map_err(broken)?;
                pixels(image).chunks_exact((3 * self.width).max(1)).for_each(each);
                return Ok(());
            }
            Decoder::Rows(reader) => reader,
        };
        let (colour, depth) = reader.output_color_type();
        let mut rgb = Vec::with_capacity(3 * self.width);
        while let Some(row) = reader.next_row().map_err(broken_png)? {
            rgb.clear();
            to_rgb(row.data(), colour, depth, &mut rgb);
            each(&rgb);
        }
        Ok(())
    }
}

/// Decodes a whole image.
///
/// # Errors
/// As [`Image::open`] and [`Image::rows`].
pub fn decode(bytes: &[u8]) -> Result<Rgb, ImageFault> {
    let image = Image::open(bytes)?;
    let (width, height) = (image.width, image.height);
    let mut pixels = Vec::new();
    image.rows(|row| pixels.extend_from_slice(row))?;
    Ok(Rgb { width, height, pixels })
}

/// A PNG that is decoded row by row; none where it is interlaced.
fn rows(bytes: &[u8], most: usize) -> Result<Option<Image<'_>>, ImageFault> {
    let mut decoder = png::Decoder::new_with_limits(Cursor::new(bytes), png::Limits { bytes: most });
    // Palettes and fewer than eight bits become eight bits.
    decoder.set_transformations(png::Transformations::EXPAND);
    let reader = decoder.read_info().map_err(broken_png)?;
    let info = reader.info();
    if info.interlaced {
        return Ok(None);
    }
    let (width, height) = (info.width as usize, info.height as usize);
    Ok(Some(Image { width, height, decoder: Decoder::Rows(Box::new(reader)) }))
}

fn broken_png(error: png::DecodingError) -> ImageFault {
    ImageFault::Broken(match error {
        png::DecodingError::IoError(error) => image::ImageError::IoError(error),
        error => image::ImageError::Decoding(DecodingError::new(Exact(ImageFormat::Png), error)),
    })
}

fn broken(error: image::ImageError) -> ImageFault {
    match error {
        // Of the formats that are known, something that the decoder has not: it says what.
        image::ImageError::Unsupported(error)
            if !matches!(error.format_hint(), Exact(ImageFormat::Jpeg | ImageFormat::Png | ImageFormat::WebP)) =>
        {
            ImageFault::Unknown
        }
        error => ImageFault::Broken(error),
    }
}

/// Whether the last scan of a JPEG is followed by the mark of its end; neither mark can be among a scan's data.
fn has_end(bytes: &[u8]) -> bool {
    let marks = || bytes.windows(2).rev();
    marks().take_while(|mark| *mark != [0xff, 0xda]).any(|mark| mark == [0xff, 0xd9])
}

/// Appends the pixels of a row of a PNG, whose values of 16 bits have the upper eight first.
fn to_rgb(row: &[u8], colour: png::ColorType, depth: png::BitDepth, rgb: &mut Vec<u8>) {
    use png::{BitDepth::Sixteen, ColorType};
    let clipped = |high: u8, low: u8| if high > 0 { u8::MAX } else { low };
    match (colour, depth == Sixteen) {
        (ColorType::Rgb, false) => rgb.extend_from_slice(row),
        (ColorType::Rgba, false) => row.chunks_exact(4).for_each(|p| rgb.extend_from_slice(&p[..3])),
        (ColorType::GrayscaleAlpha, false) => row.chunks_exact(2).for_each(|p| rgb.extend_from_slice(&[p[0]; 3])),
        (ColorType::Rgb, true) => row.chunks_exact(6).for_each(|p| rgb.extend_from_slice(&[p[0], p[2], p[4]])),
        (ColorType::Rgba, true) => row.chunks_exact(8).for_each(|p| rgb.extend_from_slice(&[p[0], p[2], p[4]])),
        (ColorType::Grayscale, true) => {
            row.chunks_exact(2).for_each(|p| rgb.extend_from_slice(&[clipped(p[0], p[1]); 3]));
        }
        (ColorType::GrayscaleAlpha, true) => row.chunks_exact(4).for_each(|p| rgb.extend_from_slice(&[p[0]; 3])),
        // Palettes are expanded.
        (ColorType::Grayscale | ColorType::Indexed, _) => row.iter().for_each(|v| rgb.extend_from_slice(&[*v; 3])),
    }
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
