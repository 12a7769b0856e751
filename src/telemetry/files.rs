//! Files of sysfs and procfs: read often and cheaply, with errors that say what to do about them.

use std::{
    borrow::Cow,
    fs::{self, File},
    io::{self, Read, Seek},
    path::{Path, PathBuf},
    str::FromStr,
};

/// Why a file of sysfs or procfs gives no value.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// It does not exist.
    #[error("{} not found", .0.display())]
    Missing(PathBuf),
    /// Access is denied.
    #[error("permission denied: {path} is readable by root only; sudo chmod a+r {path}", path = .0.display())]
    Denied(PathBuf),
    /// It can't be read.
    #[error("{}: {error}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// It has unexpected content.
    #[error("{} holds {text:?}, not {expected}", path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// Its beginning.
        text: String,
        /// What was expected.
        expected: &'static str,
    },
}

impl FileError {
    /// Classifies an I/O error of the file at `path`.
    pub fn of(path: &Path, error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::NotFound => Self::Missing(path.into()),
            io::ErrorKind::PermissionDenied => Self::Denied(path.into()),
            _ => Self::Unreadable { path: path.into(), error },
        }
    }
}

/// A file that is read repeatedly: it is kept open, and opened again after an error.
#[derive(Debug)]
pub struct PolledFile {
    path: PathBuf,
    file: Option<File>,
    bytes: Vec<u8>,
}

impl PolledFile {
    /// The file at `path`, which need not exist yet.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), file: None, bytes: Vec::new() }
    }

    /// The same file with a descriptor of its own.
    pub fn reopened(&self) -> Self {
        Self::new(&self.path)
    }

    /// Its current content.
    pub fn text(&mut self) -> Result<Cow<'_, str>, FileError> {
        if let Err(error) = self.fill() {
            self.file = None;
            return Err(FileError::of(&self.path, error));
        }
        Ok(String::from_utf8_lossy(&self.bytes))
    }

    /// The whole number that is its current content.
    pub fn number<N: FromStr>(&mut self) -> Result<N, FileError> {
        let number = self.text()?.trim().parse();
        number.map_err(|_| self.unexpected("a whole number"))
    }

    /// The error for content, as it was read last, that is not what was `expected`.
    pub fn unexpected(&self, expected: &'static str) -> FileError {
        let text = String::from_utf8_lossy(&self.bytes).chars().take(40).collect();
        FileError::Content { path: self.path.clone(), text, expected }
    }

    fn fill(&mut self) -> io::Result<()> {
        let file = match &mut self.file {
            Some(file) => file,
            none => none.insert(File::open(&self.path)?),
        };
        file.rewind()?;
        self.bytes.clear();
        file.read_to_end(&mut self.bytes)?;
        Ok(())
    }
}

/// The trimmed content of a file; none if it is missing, unreadable or empty.
pub fn read_trimmed(path: &Path) -> Option<String> {
    let text = fs::read_to_string(path).ok()?;
    Some(text.trim().to_string()).filter(|text| !text.is_empty())
}

/// The entries of a directory in the order of the numbers in their names (`hwmon2` before `hwmon10`); empty if it can't be
/// read.
pub fn sorted_entries(directory: &Path) -> Vec<PathBuf> {
    let mut paths: Vec<PathBuf> = fs::read_dir(directory).into_iter().flatten().flatten().map(|e| e.path()).collect();
    paths.sort_by_cached_key(|path| {
        let name = file_name(path);
        let numbers = name.split(|c: char| !c.is_ascii_digit()).filter_map(|digits| digits.parse().ok());
        (numbers.collect::<Vec<u64>>(), name.to_string())
    });
    paths
}

/// Last component of a path; empty if there is none or it is not UTF-8.
pub fn file_name(path: &Path) -> &str {
    path.file_name().and_then(|name| name.to_str()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn reads_the_current_content() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("energy_uj");
        let mut file = PolledFile::new(&path);
        assert_eq!(file.number::<u64>().unwrap_err().to_string(), format!("{} not found", path.display()));
        fs::write(&path, "12345\n").unwrap();
        assert_eq!(file.number::<u64>().unwrap(), 12345);
        fs::write(&path, "6\n").unwrap();
        assert_eq!(file.number::<u64>().unwrap(), 6);
    }

    #[test]
    fn a_denied_file_says_what_to_do() {
        let error = FileError::of(Path::new("/sys/x"), io::ErrorKind::PermissionDenied.into());
        assert_eq!(error.to_string(), "permission denied: /sys/x is readable by root only; sudo chmod a+r /sys/x");
    }

    #[test]
    fn a_directory_is_unreadable() {
        let dir = tempfile::tempdir().unwrap();
        let error = PolledFile::new(dir.path()).number::<u64>().unwrap_err();
        assert!(matches!(error, FileError::Unreadable { .. }), "{error:?}");
    }

    #[test]
    fn entries_are_in_the_order_of_their_numbers() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["hwmon10", "hwmon2", "hwmon0"] {
            fs::create_dir(dir.path().join(name)).unwrap();
        }
        let names: Vec<_> = sorted_entries(dir.path()).iter().map(|path| file_name(path).to_string()).collect();
        assert_eq!(names, ["hwmon0", "hwmon2", "hwmon10"]);
        assert!(sorted_entries(Path::new("/nowhere/at/all")).is_empty());
    }

    proptest! {
        #[test]
        fn any_content_is_a_number_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join("x");
            fs::write(&path, &bytes).unwrap();
            let read = PolledFile::new(&path).number::<u64>();
            let expected = str::from_utf8(&bytes).ok().and_then(|text| text.trim().parse::<u64>().ok());
            prop_assert_eq!(read.ok(), expected);
        }
    }
}
