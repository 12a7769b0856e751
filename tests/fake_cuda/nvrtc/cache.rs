//! What was compiled, in a folder: `hash.ptx` or `hash.failed` with the compiler's log, and the source beside it.

use super::{Outcome, c_text};
use std::{
    fs,
    path::{Path, PathBuf},
};

/// The folder.
pub struct Cache(PathBuf);

/// A name for a source, compiled with these options by this version.
///
/// Folders of headers are no part of it: they are the same headers wherever they lie.
pub fn key(source: &str, options: &[String], version: (u32, u32)) -> String {
    let options = options.iter().filter(|option| !option.starts_with("--include-path") && !option.starts_with("-I"));
    let version = format!("{}.{}", version.0, version.1);
    let parts = options.map(String::as_str).chain([version.as_str(), source]);
    // FNV-1a, 128 bits.
    let mut hash = 0x6c62_272e_07bb_0142_62b8_2175_6295_c58d_u128;
    for byte in parts.flat_map(|part| part.bytes().chain([0])) {
        hash = (hash ^ u128::from(byte)).wrapping_mul(0x0000_0000_0100_0000_0000_0000_0000_013b);
    }
    format!("{hash:032x}")
}

/// Replaces a file at once: another process may be reading it.
fn write(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let new = path.with_extension(format!("new.{}", std::process::id()));
    fs::write(&new, bytes)?;
    fs::rename(new, path)
}

impl Cache {
    pub fn new(folder: String) -> Self {
        Self(folder.into())
    }

    fn path(&self, key: &str, ending: &str) -> PathBuf {
        self.0.join(format!("{key}.{ending}"))
    }

    pub fn get(&self, key: &str) -> Option<Outcome> {
        if let Ok(ptx) = fs::read_to_string(self.path(key, "ptx")) {
            return Some(Outcome { ptx: Some(c_text(&ptx)), log: Default::default() });
        }
        fs::read_to_string(self.path(key, "failed")).ok().map(|log| Outcome::refused(&log))
    }

    /// Keeps an outcome. A cache that can't be written keeps nothing, and says so once for each.
    pub fn put(&self, key: &str, source: &str, outcome: &Outcome) {
        let (ending, text) = match &outcome.ptx {
            Some(ptx) => ("ptx", ptx),
            None => ("failed", &outcome.log),
        };
        let written = fs::create_dir_all(&self.0)
            .and_then(|()| write(&self.path(key, "cu"), source.as_bytes()))
            .and_then(|()| write(&self.path(key, ending), text.to_bytes()));
        if let Err(why) = written {
            eprintln!("fake NVRTC: {} is not written: {why}", self.0.display());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_result_is_kept_and_told_from_others() {
        let folder = std::env::temp_dir().join(format!("fake-nvrtc-{}", std::process::id()));
        let cache = Cache::new(folder.display().to_string());
        let options = ["--gpu-architecture=sm_80".to_owned(), "--include-path=/a".to_owned()];
        let one = key("source", &options, (12, 9));
        assert_eq!(one, key("source", &options[..1], (12, 9)), "whatever the folder of the headers");
        assert_ne!(one, key("source", &options, (13, 0)));
        assert_ne!(one, key("source", &[], (12, 9)));
        assert_ne!(one, key("sourc", &options, (12, 9)));
        assert_eq!(cache.get(&one), None);
        let compiled = Outcome { ptx: Some(c_text(".version 8.8")), log: Default::default() };
        cache.put(&one, "source", &compiled);
        assert_eq!(cache.get(&one), Some(compiled));
        cache.put("other", "source", &Outcome::refused("error: no"));
        assert_eq!(cache.get("other"), Some(Outcome::refused("error: no")));
        fs::remove_dir_all(folder).unwrap();
    }
}
