//! The environment that a process must have so that CubeCL takes the chosen toolchain: it opens `libnvrtc.so` by that name alone,
//! and takes its headers from `CUDA_PATH`. The loader reads its path when a process starts, so the process that works on a card is
//! started in that environment.

use super::{cached, kit::Toolchain, nvrtc};
use crate::backend::cuda::{absent::CudaAbsent, version::Version};
use libloading::os::unix::{Library, RTLD_GLOBAL, RTLD_NOW};
use std::{
    env,
    ffi::OsString,
    fs, io,
    path::{Path, PathBuf},
};

/// Says in the environment which library was chosen.
const CHOSEN: &str = "WATTSCOPE_NVRTC";
/// The name by which CubeCL opens NVRTC first.
const NAME: &str = "libnvrtc.so";

/// The variables and their values, for a process that is to be started. `cache` is a folder of the user's for a link called
/// `libnvrtc.so`, and for what NVRTC opens beside itself.
///
/// # Errors
/// If the links can't be made.
pub fn environment(toolchain: &Toolchain, cache: Option<&Path>) -> Result<Vec<(&'static str, OsString)>, CudaAbsent> {
    let folder = folder(&toolchain.nvrtc, cache)?;
    let before = env::var_os("LD_LIBRARY_PATH").unwrap_or_default();
    let others = env::split_paths(&before).filter(|path| !path.as_os_str().is_empty() && *path != folder);
    // A folder with a colon in its name can't be in such a list, so it stands alone.
    let path = env::join_paths(std::iter::once(folder.clone()).chain(others)).unwrap_or_else(|_| folder.into());
    Ok(vec![
        (CHOSEN, toolchain.nvrtc.clone().into()),
        ("LD_LIBRARY_PATH", path),
        ("CUDA_PATH", toolchain.root.clone().into()),
    ])
}

/// The toolchain that this process was started with; none where it was started without.
pub fn given() -> Option<Toolchain> {
    let nvrtc = PathBuf::from(env::var_os(CHOSEN)?);
    let version = nvrtc::version(&nvrtc)?;
    Some(Toolchain { nvrtc, version, root: env::var_os("CUDA_PATH")?.into() })
}

/// Opens the toolchain's NVRTC as CubeCL will, and keeps it open.
///
/// # Errors
/// If it can't be opened, or another version is opened by that name: this process was started without the environment.
pub fn open(toolchain: &Toolchain) -> Result<(), CudaAbsent> {
    let unopened = |error: String| CudaAbsent::Unopened { nvrtc: toolchain.nvrtc.display().to_string(), error };
    // SAFETY: NVRTC's initialisers run as they would when CubeCL opens it.
    let library = unsafe { Library::open(Some(NAME), RTLD_NOW | RTLD_GLOBAL) };
    std::mem::forget(library.map_err(|error| unopened(error.to_string()))?);
    match nvrtc::version(Path::new(NAME)) {
        Some(version) if version == toolchain.version => Ok(()),
        other => {
            let other = other.as_ref().map_or_else(|| "something else".to_owned(), Version::to_string);
            Err(unopened(format!("{NAME} of the loader's path is {other}")))
        }
    }
}

/// A folder in which NVRTC has the name by which it is opened: its own, or one of links.
fn folder(nvrtc: &Path, cache: Option<&Path>) -> Result<PathBuf, CudaAbsent> {
    let own = nvrtc.parent().unwrap_or(Path::new("/"));
    if fs::canonicalize(own.join(NAME)).is_ok_and(|named| fs::canonicalize(nvrtc).is_ok_and(|nvrtc| nvrtc == named)) {
        return Ok(own.to_owned());
    }
    let unlinked = |why: String| CudaAbsent::Unopened { nvrtc: nvrtc.display().to_string(), error: why };
    let cache = cache.ok_or_else(|| unlinked(format!("no folder of the user's for a link called {NAME}")))?;
    let folder = cache.join("cuda-nvrtc").join(cached::name([nvrtc.as_os_str().as_encoded_bytes()]));
    links(nvrtc, &folder).map_err(|error| unlinked(format!("{}: {error}", folder.display())))?;
    Ok(folder)
}

/// Links NVRTC as `libnvrtc.so`, and its builtins, into a folder: the library looks for them where it lies itself.
fn links(nvrtc: &Path, folder: &Path) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    let beside = nvrtc.parent().map(fs::read_dir).transpose()?;
    let beside = beside.into_iter().flatten().flatten().map(|entry| entry.path());
    let builtins = beside.filter_map(|path| {
        let name = path.file_name()?.to_owned();
        name.to_string_lossy().starts_with("libnvrtc-builtins").then(|| (path, folder.join(name)))
    });
    builtins.chain([(nvrtc.to_owned(), folder.join(NAME))]).try_for_each(|(path, here)| cached::link(&path, &here))
}
