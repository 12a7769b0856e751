//! The report of recordings, after Canziani, Paszke and Culurciello (arXiv 1605.07678): one HTML page, the same as Markdown,
//! and the figures as SVG files.
//!
//! `source` takes recordings apart into groups that may be compared, `contents` and `figures` make a `document` of them,
//! `html` and `markdown` render it, and `write` puts the files into a directory.

mod chart;
mod contents;
mod document;
mod figures;
mod html;
mod markdown;
mod paint;
mod source;
mod write;

pub use source::Source;
pub use write::{ReportError, Written, report};

#[cfg(test)]
mod tests;
