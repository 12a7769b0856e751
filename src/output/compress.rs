//! Compression by the ending of a file's name.

use flate2::write::GzEncoder;
use std::{
    io::{self, BufWriter, Write},
    path::{Path, PathBuf},
};
use zstd::stream::write::Encoder;

/// Level of zstd: its default. Higher levels save no more than a tenth.
const ZSTD_LEVEL: i32 = 3;

/// How a file is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compression {
    /// Not at all.
    None,
    /// gzip: `.gz`.
    Gzip,
    /// Zstandard: `.zst`.
    Zstd,
}

impl Compression {
    /// The compression that a name's ending asks for, and the name without that ending.
    pub fn of(path: &Path) -> (Self, PathBuf) {
        let ending = path.extension().and_then(|ending| ending.to_str()).map(str::to_ascii_lowercase);
        match ending.as_deref() {
            Some("gz") => (Self::Gzip, path.with_extension("")),
            Some("zst") => (Self::Zstd, path.with_extension("")),
            _ => (Self::None, path.to_owned()),
        }
    }
}

/// A buffered writer that compresses.
pub enum Compressed<W: Write> {
    /// As it is.
    Plain(BufWriter<W>),
    /// gzip.
    Gzip(Box<GzEncoder<BufWriter<W>>>),
    /// Zstandard.
    Zstd(Box<Encoder<'static, W>>),
}

impl<W: Write> Compressed<W> {
    /// Compresses into `out`.
    ///
    /// # Errors
    /// If zstd has no memory.
    pub fn new(out: W, compression: Compression) -> io::Result<Self> {
        Ok(match compression {
            Compression::None => Self::Plain(BufWriter::new(out)),
            Compression::Gzip => {
                Self::Gzip(Box::new(GzEncoder::new(BufWriter::new(out), flate2::Compression::default())))
            }
            Compression::Zstd => Self::Zstd(Box::new(Encoder::new(out, ZSTD_LEVEL)?)),
        })
    }

    /// Ends the compressed stream and gives back what it was written to.
    ///
    /// # Errors
    /// If the end can't be written.
    pub fn finish(self) -> io::Result<W> {
        match self {
            Self::Plain(out) => out.into_inner().map_err(io::IntoInnerError::into_error),
            Self::Gzip(encoder) => encoder.finish()?.into_inner().map_err(io::IntoInnerError::into_error),
            Self::Zstd(encoder) => encoder.finish(),
        }
    }
}

impl<W: Write> Write for Compressed<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(out) => out.write(bytes),
            Self::Gzip(encoder) => encoder.write(bytes),
            Self::Zstd(encoder) => encoder.write(bytes),
        }
    }

    /// Ends the compressed block, too: what was written so far can be read, even if nothing follows.
    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(out) => out.flush(),
            Self::Gzip(encoder) => encoder.flush(),
            Self::Zstd(encoder) => encoder.flush(),
        }
    }
}
