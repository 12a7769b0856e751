//! What a path names: a regular file (or none yet), which may be replaced, or something that can only be written into.

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io::{self, ErrorKind},
    os::fd::{BorrowedFd, RawFd},
    path::{Path, PathBuf},
};

/// Links that are followed before a path counts as a loop, as in Linux.
const MOST_LINKS: usize = 40;

/// The path that stands for standard output.
pub const STANDARD_OUTPUT: &str = "/dev/stdout";

/// What a path names.
pub enum Target {
    /// A regular file that is there, or a name that is free; symbolic links are resolved.
    File {
        /// The file itself.
        path: PathBuf,
        /// What is there.
        old: Option<fs::Metadata>,
    },
    /// A device, a pipe or an open descriptor, ready to be written to.
    Stream(File),
}

impl Target {
    /// Finds out what a path names.
    ///
    /// # Errors
    /// If it is a directory, can't be reached, or must not be written.
    pub fn of(path: &Path) -> io::Result<Self> {
        let mut path = path.to_owned();
        for _ in 0..MOST_LINKS {
            if let Some(descriptor) = descriptor(&path) {
                return Ok(Self::Stream(duplicate(descriptor)?));
            }
            match fs::symlink_metadata(&path) {
                Ok(metadata) if metadata.is_symlink() => {
                    let to = fs::read_link(&path)?;
                    path = path.parent().map_or_else(|| to.clone(), |folder| folder.join(&to));
                }
                Ok(metadata) if metadata.is_dir() => return Err(ErrorKind::IsADirectory.into()),
                Ok(metadata) if metadata.is_file() => {
                    // A file that is protected against writing is not replaced either.
                    OpenOptions::new().write(true).open(&path)?;
                    return Ok(Self::File { path, old: Some(metadata) });
                }
                Ok(_) => return Ok(Self::Stream(OpenOptions::new().write(true).open(&path)?)),
                Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Self::File { path, old: None }),
                Err(error) => return Err(error),
            }
        }
        Err(io::Error::from_raw_os_error(libc::ELOOP))
    }
}

/// Whether a path leads to a regular file, symbolic links followed.
pub fn is_regular(path: &Path) -> bool {
    descriptor(path).is_none() && fs::metadata(path).is_ok_and(|metadata| metadata.is_file())
}

/// Whether a path is a name of standard output.
pub fn is_standard_output(path: &Path) -> bool {
    descriptor(path) == Some(libc::STDOUT_FILENO)
}

/// Opens a file that grows, such as a recording, at its beginning, and locks it. A regular file that holds something is
/// refused with [`ErrorKind::AlreadyExists`] unless it may be overwritten; it is emptied then, and keeps its mode and its
/// links.
///
/// # Errors
/// If it can't be opened, or holds something; [`ErrorKind::WouldBlock`] if another process has locked it.
pub fn open_stream(path: &Path, overwrite: bool) -> io::Result<File> {
    let file = match Target::of(path)? {
        Target::Stream(file) => return Ok(file),
        Target::File { path, old: None } => OpenOptions::new().write(true).create_new(true).open(path)?,
        Target::File { old: Some(old), .. } if old.len() > 0 && !overwrite => {
            return Err(ErrorKind::AlreadyExists.into());
        }
        Target::File { path, .. } => OpenOptions::new().write(true).open(path)?,
    };
    // A file system without locks has nothing to say about other processes.
    if let Err(TryLockError::WouldBlock) = file.try_lock() {
        return Err(ErrorKind::WouldBlock.into());
    }
    file.set_len(0)?;
    Ok(file)
}

/// Opens a file that lines are appended to; it and its folder are made where they are missing.
///
/// # Errors
/// If it can't be opened.
pub fn open_log(path: &Path) -> io::Result<File> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    OpenOptions::new().create(true).append(true).open(path)
}

/// The descriptor that a path such as `/dev/stdout` or `/dev/fd/3` stands for. Opened by its name, a file behind it would be
/// written from its beginning, over what others wrote to the same descriptor.
fn descriptor(path: &Path) -> Option<RawFd> {
    let text = path.to_str()?;
    match text {
        STANDARD_OUTPUT => return Some(libc::STDOUT_FILENO),
        "/dev/stderr" => return Some(libc::STDERR_FILENO),
        _ => {}
    }
    let number = text.strip_prefix("/dev/fd/").or_else(|| text.strip_prefix("/proc/self/fd/"))?;
    number.parse().ok().filter(|number| *number >= 0)
}

fn duplicate(descriptor: RawFd) -> io::Result<File> {
    // SAFETY: whether the descriptor is open is checked by the duplication itself, which fails where it is not.
    let borrowed = unsafe { BorrowedFd::borrow_raw(descriptor) };
    borrowed.try_clone_to_owned().map(File::from)
}
