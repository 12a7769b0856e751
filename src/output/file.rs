//! Files that are written as a whole.

use super::target::Target;
use std::{
    fs::{self, File, Metadata, OpenOptions},
    io::{self, ErrorKind, Seek, Write},
    os::unix::fs::{MetadataExt, fchown},
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering},
};

/// A file that takes its place when it is complete: until then, what is there under its name stays.
#[derive(Debug)]
pub struct NewFile {
    file: File,
    /// The temporary file, and the name that it takes; none where the target is written into directly.
    rename: Option<(PathBuf, PathBuf)>,
}

impl NewFile {
    /// Begins a file. A regular file is written beside its target, under a name of its own, with the mode and the owner of
    /// what it replaces. Where the folder takes no new file, the target is written into.
    ///
    /// # Errors
    /// If nothing can be written there.
    pub fn create(path: &Path) -> io::Result<Self> {
        let (path, old) = match Target::of(path)? {
            Target::Stream(file) => return Ok(Self { file, rename: None }),
            Target::File { path, old } => (path, old),
        };
        match (temporary(&path), &old) {
            (Ok((file, temporary)), old) => {
                let new = Self { file, rename: Some((temporary, path)) };
                old.as_ref().map_or(Ok(()), |old| adopt(&new.file, old))?;
                Ok(new)
            }
            (Err(error), Some(_)) if error.kind() == ErrorKind::PermissionDenied => {
                let file = OpenOptions::new().write(true).truncate(true).open(path)?;
                Ok(Self { file, rename: None })
            }
            (Err(error), _) => Err(error),
        }
    }

    /// Completes the file and puts it in its place.
    ///
    /// # Errors
    /// If it can't be written; the target is then as it was.
    pub fn finish(mut self) -> io::Result<()> {
        self.file.flush()?;
        sync(&self.file)?;
        let Some((temporary, path)) = &self.rename else { return Ok(()) };
        match fs::rename(temporary, path) {
            // A file that is mounted by itself, as containers do, can't be replaced, but written into.
            Err(error) if error.kind() == ErrorKind::ResourceBusy => copy(temporary, path)?,
            renamed => {
                renamed?;
                self.rename = None;
            }
        }
        Ok(())
    }
}

impl Write for NewFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl Drop for NewFile {
    fn drop(&mut self) {
        if let Some((temporary, _)) = &self.rename {
            // An incomplete file is of no use to anyone.
            let _ = fs::remove_file(temporary);
        }
    }
}

/// Writes a file as a whole.
///
/// # Errors
/// If it can't be written; the target is then as it was.
pub fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = NewFile::create(path)?;
    file.write_all(bytes)?;
    file.finish()
}

/// Waits until a file is on its disk. Devices and pipes have none.
///
/// # Errors
/// If the disk refuses.
pub fn sync(file: &File) -> io::Result<()> {
    match file.sync_data() {
        Err(error) if matches!(error.raw_os_error(), Some(libc::EINVAL | libc::EROFS | libc::ENOTSUP)) => Ok(()),
        synced => synced,
    }
}

/// A new file beside another, under a name that no other process uses.
fn temporary(path: &Path) -> io::Result<(File, PathBuf)> {
    static NUMBER: AtomicU64 = AtomicU64::new(0);
    loop {
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!(".wattscope-{}-{number}.part", std::process::id());
        let temporary = path.with_file_name(name);
        match OpenOptions::new().write(true).create_new(true).open(&temporary) {
            Ok(file) => return Ok((file, temporary)),
            // Left by a process that was killed and had the same number, perhaps in another container.
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
    }
}

/// Gives a new file the owner and the mode of the one that it replaces.
fn adopt(file: &File, old: &Metadata) -> io::Result<()> {
    let new = file.metadata()?;
    if (new.uid(), new.gid()) != (old.uid(), old.gid()) {
        // Only root may give files away; for others the new file is their own.
        let _ = fchown(file, Some(old.uid()), Some(old.gid()));
    }
    file.set_permissions(old.permissions())
}

/// Copies a file over another one.
fn copy(from: &Path, to: &Path) -> io::Result<()> {
    let mut out = OpenOptions::new().write(true).open(to)?;
    let length = io::copy(&mut File::open(from)?, &mut out)?;
    out.set_len(length)?;
    out.rewind()?;
    sync(&out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn names(folder: &Path) -> Vec<String> {
        let mut names: Vec<_> =
            fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn a_file_is_replaced_as_a_whole_and_keeps_its_mode() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("table.csv");
        // Somebody else's file of a name that was used for this once.
        fs::write(folder.path().join("table.csv.part"), "mine").unwrap();
        fs::write(&path, "old").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        let mut half = NewFile::create(&path).unwrap();
        half.write_all(b"ne").unwrap();
        drop(half);
        assert_eq!(fs::read_to_string(&path).unwrap(), "old", "what is not complete replaces nothing");
        write(&path, b"new").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "new");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o640);
        assert_eq!(fs::read_to_string(folder.path().join("table.csv.part")).unwrap(), "mine");
        assert_eq!(names(folder.path()), ["table.csv", "table.csv.part"]);
    }

    #[test]
    fn a_link_is_followed_and_stays_even_where_it_leads_nowhere() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("elsewhere")).unwrap();
        let (link, there) = (folder.path().join("link"), folder.path().join("elsewhere/there"));
        std::os::unix::fs::symlink("elsewhere/there", &link).unwrap();
        for text in ["first", "second"] {
            write(&link, text.as_bytes()).unwrap();
            assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
            assert_eq!(fs::read_to_string(&there).unwrap(), text);
        }
        let around = folder.path().join("around");
        std::os::unix::fs::symlink("around", &around).unwrap();
        assert_eq!(write(&around, b"").unwrap_err().raw_os_error(), Some(libc::ELOOP));
    }

    #[test]
    fn what_is_no_file_is_written_into() {
        let folder = tempfile::tempdir().unwrap();
        write(Path::new("/dev/null"), b"nothing").unwrap();
        assert_eq!(write(Path::new("/dev/full"), b"x").unwrap_err().kind(), ErrorKind::StorageFull);
        assert_eq!(write(folder.path(), b"x").unwrap_err().kind(), ErrorKind::IsADirectory);
        let fifo = folder.path().join("fifo");
        let name = std::ffi::CString::new(fifo.to_str().unwrap()).unwrap();
        // SAFETY: the name is a C string.
        assert_eq!(unsafe { libc::mkfifo(name.as_ptr(), 0o600) }, 0);
        let path = fifo.clone();
        let reader = std::thread::spawn(move || fs::read_to_string(path).unwrap());
        write(&fifo, b"through the pipe").unwrap();
        assert_eq!(reader.join().unwrap(), "through the pipe");
        assert_eq!(names(folder.path()), ["fifo"]);
    }
}
