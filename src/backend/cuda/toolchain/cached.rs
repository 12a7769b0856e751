//! What the toolchain keeps in the user's cache folder: names of its files and folders, and links.

use sha2::{Digest, Sha256};
use std::{fs, io, os::unix::fs::symlink, path::Path};

/// A name that stands for these bytes.
pub fn name<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> String {
    let mut hash = Sha256::new();
    parts.into_iter().for_each(|part| hash.update(part));
    hash.finalize().iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

/// Makes `here` a link to a path, in place of a file or another link.
///
/// # Errors
/// If what is there can't be replaced.
pub fn link(path: &Path, here: &Path) -> io::Result<()> {
    if fs::read_link(here).is_ok_and(|linked| linked == path) {
        return Ok(());
    }
    match fs::remove_file(here) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    match symlink(path, here) {
        // Another process makes the same links.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        made => made,
    }
}
