//! Where the parts of CUDA are installed: toolkits, Python wheels, conda environments, packages of distributions.

use super::python;
use std::{
    env, fs,
    path::{Path, PathBuf},
};

/// A place in which NVRTC, headers or both may lie.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// Whether the user named it.
    pub named: bool,
    /// Folders in which libraries are.
    pub libraries: Vec<PathBuf>,
    /// Folders in which headers are.
    pub headers: Vec<PathBuf>,
}

/// Every place of this host, in the order in which they are preferred among equals.
pub fn places() -> Vec<Place> {
    let variable = |name| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let named = ["CUDA_PATH", "CUDA_HOME"].into_iter().filter_map(variable);
    let named: Vec<Place> = named.map(|root| Place { named: true, ..toolkit(&root) }).collect();
    let prefixes = [beside_the_program(), variable("VIRTUAL_ENV")];
    let wheels = prefixes.iter().flatten().flat_map(|prefix| python::packages_of(prefix));
    let mut places: Vec<Place> = named.into_iter().chain(wheels.filter_map(|folder| wheels_in(&folder))).collect();
    places.extend(variable("CONDA_PREFIX").map(|root| toolkit(&root)));
    places.extend(loader_path());
    places.extend(toolkits());
    places.push(toolkit(Path::new("/usr")));
    places.extend(python::packages_of_the_interpreter().iter().filter_map(|folder| wheels_in(folder)));
    places
}

/// The prefix in which this program is installed, as `bin/wattscope` is in a virtual environment.
fn beside_the_program() -> Option<PathBuf> {
    Some(env::current_exe().ok()?.parent()?.parent()?.to_owned())
}

/// A toolkit's folder, a conda environment, or a prefix such as /usr.
fn toolkit(root: &Path) -> Place {
    let libraries = [
        "lib64",
        "lib",
        "targets/x86_64-linux/lib",
        "targets/sbsa-linux/lib",
        "lib/x86_64-linux-gnu",
        "lib/aarch64-linux-gnu",
    ];
    let headers = ["include", "targets/x86_64-linux/include", "targets/sbsa-linux/include"];
    Place {
        named: false,
        libraries: libraries.map(|folder| root.join(folder)).to_vec(),
        headers: headers.map(|folder| root.join(folder)).to_vec(),
    }
}

/// Toolkits where NVIDIA's installers put them, the newest version first.
fn toolkits() -> Vec<Place> {
    let mut found: Vec<PathBuf> = ["/usr/local/cuda", "/opt/cuda"].into_iter().map(PathBuf::from).collect();
    let versions = fs::read_dir("/usr/local").into_iter().flatten().flatten().map(|entry| entry.path());
    let is_toolkit = |path: &PathBuf| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("cuda-"));
    let mut versions: Vec<PathBuf> = versions.filter(is_toolkit).collect();
    versions.sort();
    found.extend(versions.into_iter().rev());
    found.iter().map(|root| toolkit(root)).collect()
}

/// The folders in which the loader looks first, libraries alone.
fn loader_path() -> Option<Place> {
    let path = env::var_os("LD_LIBRARY_PATH")?;
    let libraries = env::split_paths(&path).filter(|folder| !folder.as_os_str().is_empty()).collect();
    Some(Place { named: false, libraries, headers: Vec::new() })
}

/// NVIDIA's wheels in a folder of Python packages: those of CUDA 13 share a folder, those of CUDA 12 have one each.
pub fn wheels_in(packages: &Path) -> Option<Place> {
    let entries = fs::read_dir(packages.join("nvidia")).ok()?;
    let mut wheels: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    wheels.sort();
    let part = |path: &&PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        name.starts_with("cuda_") || name.strip_prefix("cu").is_some_and(|version| version.parse::<u32>().is_ok())
    };
    let wheels: Vec<&PathBuf> = wheels.iter().filter(part).collect();
    (!wheels.is_empty()).then(|| Place {
        named: false,
        libraries: wheels.iter().map(|wheel| wheel.join("lib")).collect(),
        headers: wheels.iter().map(|wheel| wheel.join("include")).collect(),
    })
}
