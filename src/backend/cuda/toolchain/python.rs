//! Folders of Python packages: of an environment, and of the interpreter in the PATH.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

/// The folders of packages below an environment's or installation's prefix.
pub fn packages_of(prefix: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for library in ["lib", "lib64"] {
        let versions = fs::read_dir(prefix.join(library)).into_iter().flatten().flatten().map(|entry| entry.path());
        let of_python =
            versions.filter(|path| path.file_name().is_some_and(|n| n.to_string_lossy().starts_with("python3")));
        found.extend(of_python.flat_map(|path| ["site-packages", "dist-packages"].map(|name| path.join(name))));
    }
    found.retain(|folder| folder.is_dir());
    found.sort();
    // lib64 may be a link to lib.
    found.dedup_by_key(|folder| fs::canonicalize(folder).ok());
    found
}

/// The folders of packages of the `python3` in the PATH, the user's own among them. The interpreter is asked only where its
/// place does not tell: a script that starts one stands in for it.
pub fn packages_of_the_interpreter() -> Vec<PathBuf> {
    let Some(program) = in_path("python3") else { return Vec::new() };
    let beside = program.parent().and_then(Path::parent).map(packages_of).unwrap_or_default();
    let mut found = if beside.is_empty() { asked(&program) } else { beside };
    if let Some(home) = env::var_os("HOME") {
        found.extend(packages_of(&Path::new(&home).join(".local")));
    }
    found
}

/// Where a program of the PATH is.
fn in_path(program: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    env::split_paths(&path).map(|folder| folder.join(program)).find(|candidate| candidate.is_file())
}

/// What an interpreter says about its folders; nothing if it does not answer.
fn asked(program: &Path) -> Vec<PathBuf> {
    let mut command = Command::new(program);
    command.args(["-I", "-S", "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"]);
    let output = command.stdin(Stdio::null()).stderr(Stdio::null()).output();
    let text = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
    text.lines().map(PathBuf::from).filter(|folder| folder.is_dir()).collect()
}
