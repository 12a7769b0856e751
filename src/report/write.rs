//! Writes the files of a report: `report.html`, `report.md` and `figures/*.svg`.

use super::{contents, document::Document, html, markdown, source::Source};
use crate::output;
use std::{
    collections::BTreeSet,
    fs, io,
    path::{Path, PathBuf},
};

/// The generator element in a page of this program, by which it is recognised.
const GENERATOR: &str = "<meta name=\"generator\" content=\"wattscope ";

/// Why there is no report.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    /// No session has a run.
    #[error("nothing was measured in {files}: a report needs at least one configuration that was steady")]
    Empty {
        /// The files.
        files: String,
    },
    /// The directory holds other files.
    #[error("{} holds other files: choose a directory that is empty or holds a report, or say --force", .dir.display())]
    Foreign {
        /// The directory.
        dir: PathBuf,
    },
    /// A file or directory can't be written.
    #[error("{} can't be written: {source}", .path.display())]
    Write {
        /// The file or directory.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// The files of a report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Written {
    /// The HTML page.
    pub html: PathBuf,
    /// The Markdown file.
    pub markdown: PathBuf,
    /// Number of figures.
    pub figures: usize,
    /// What could not be read of the sessions, one line per file.
    pub losses: Vec<String>,
}

/// Writes the report of sessions into a directory, which is created if it is missing.
///
/// # Errors
/// If nothing was measured, or the directory holds other files (unless `force`) or can't be written.
pub fn report(sources: &[Source], dir: &Path, force: bool) -> Result<Written, ReportError> {
    if sources.iter().all(|source| source.rows().is_empty()) {
        let files = sources.iter().map(|s| s.path.display().to_string()).collect::<Vec<_>>().join(", ");
        return Err(ReportError::Empty { files });
    }
    if !force && !is_ours(dir)? {
        return Err(ReportError::Foreign { dir: dir.to_owned() });
    }
    let document = contents::document(sources);
    let figures = write(&document, dir)?;
    let lost = |s: &Source| Some(format!("{}: {}", s.path.display(), s.losses.as_ref()?));
    Ok(Written {
        html: dir.join("report.html"),
        markdown: dir.join("report.md"),
        figures,
        losses: sources.iter().filter_map(lost).collect(),
    })
}

/// Whether a directory is empty, missing, or holds an earlier report.
fn is_ours(dir: &Path) -> Result<bool, ReportError> {
    match fs::read_dir(dir) {
        Ok(mut entries) => {
            let page = fs::read_to_string(dir.join("report.html")).unwrap_or_default();
            Ok(entries.next().is_none() || page.contains(GENERATOR))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(true),
        Err(source) => Err(ReportError::Write { path: dir.to_owned(), source }),
    }
}

/// Writes the files and returns the number of figures.
fn write(document: &Document, dir: &Path) -> Result<usize, ReportError> {
    let figures = dir.join("figures");
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |source| ReportError::Write { path, source }
    };
    fs::create_dir_all(&figures).map_err(failed(&figures))?;
    let put = |path: PathBuf, text: &str| output::write(&path, text.as_bytes()).map_err(failed(&path));
    let mut drawn = BTreeSet::new();
    for figure in document.figures() {
        for (i, panel) in figure.panels.iter().enumerate() {
            if let Ok(svg) = &panel.drawing {
                put(figures.join(figure.file(i)), svg)?;
                drawn.insert(figure.file(i));
            }
        }
    }
    put(dir.join("report.md"), &markdown::render(document))?;
    put(dir.join("report.html"), &html::render(document))?;
    clear(&figures, &drawn).map_err(failed(&figures))?;
    Ok(drawn.len())
}

/// Removes the figures of an earlier report that are not figures of this one.
fn clear(figures: &Path, drawn: &BTreeSet<String>) -> io::Result<()> {
    for entry in fs::read_dir(figures)? {
        let path = entry?.path();
        let name = path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
        if name.starts_with("figure-") && name.ends_with(".svg") && !drawn.contains(&name) {
            fs::remove_file(path)?;
        }
    }
    Ok(())
}
