//! Libraries that stand in for a vendor's, built from one source file by `rustc` alone.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// A `rustc` of this edition for a source file of the tests, with these options.
pub fn rustc(source: &str, options: &[&str]) -> Command {
    let mut rustc = Command::new(std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()));
    rustc.args(["--edition", "2024"]).args(options).arg(Path::new(env!("CARGO_MANIFEST_DIR")).join(source));
    rustc
}

/// Builds a library called `name`; gives its file, which every run of these tests shares.
pub fn build(name: &str, source: &str, options: &[&str]) -> PathBuf {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let library = directory.join(format!("{name}.so"));
    // Another run of the same tests may be copying the previous one: it is replaced atomically.
    let built = tempfile::Builder::new().tempdir_in(directory).unwrap();
    let new = built.path().join("new.so");
    let mut rustc = rustc(source, options);
    let status = rustc.args(["--crate-type", "cdylib", "--crate-name", name, "-o"]).arg(&new).status().unwrap();
    assert!(status.success(), "{name} does not build");
    fs::rename(new, &library).unwrap();
    library
}
