//! The headers that kernels include, in one folder: where they lie in several, links to them are put into a folder of the
//! user's cache, because CubeCL takes one folder.

use super::{cached, candidate::Candidate, places::Place};
use crate::backend::cuda::{absent::CudaAbsent, version::Version};
use std::{
    fs, io,
    path::{Path, PathBuf},
};

/// What CubeCL's kernels include (cubecl-cpp 0.11, `src/cuda`), and what those headers include of other packages.
pub const INCLUDED: [&str; 7] = [
    "cuda_runtime.h",
    "cuda_fp16.h",
    "cuda_bf16.h",
    "mma.h",
    "crt/mma.h",
    "cooperative_groups.h",
    "cooperative_groups/memcpy_async.h",
];
/// … and of CCCL, which lies beside them or in a folder of its own.
pub const OF_CCCL: &str = "cuda/barrier";

/// The folder whose `include` has every header, for one NVRTC: that of its own place, or of another one with headers of the same
/// major version, or links to the headers of several folders.
///
/// # Errors
/// Names what is missing, or the folder that can't be written.
pub fn root(candidate: &Candidate, places: &[Place], cache: Option<&Path>) -> Result<PathBuf, CudaAbsent> {
    let own = std::iter::once(candidate.place);
    let others = (0..places.len()).filter(|place| *place != candidate.place);
    let mut first_missing = None;
    for place in own.chain(others) {
        let folders: Vec<&Path> = places[place].headers.iter().map(PathBuf::as_path).filter(|f| f.is_dir()).collect();
        if version(&folders).is_none_or(|version| version.major != candidate.version.major) {
            continue;
        }
        match missing(&folders) {
            Some(missing) => first_missing = first_missing.or(Some(missing)),
            None => return joined(&folders, cache),
        }
    }
    let missing = first_missing.unwrap_or(INCLUDED[0]).to_owned();
    Err(CudaAbsent::NoHeaders { version: candidate.version, missing })
}

/// The first header that none of these folders has.
fn missing(folders: &[&Path]) -> Option<&'static str> {
    let has = |name: &str| folders.iter().any(|folder| folder.join(name).exists());
    let lacks = INCLUDED.into_iter().find(|name| !has(name));
    lacks.or_else(|| (!has(OF_CCCL) && !has(&format!("cccl/{OF_CCCL}"))).then_some(OF_CCCL))
}

/// The version of the headers, from `cuda_runtime_api.h`.
fn version(folders: &[&Path]) -> Option<Version> {
    let text = folders.iter().find_map(|folder| fs::read_to_string(folder.join("cuda_runtime_api.h")).ok())?;
    let number = text.lines().find_map(|line| line.trim().strip_prefix("#define CUDART_VERSION"))?;
    Some(Version::from_number(number.trim().parse().ok()?))
}

/// A folder whose `include` is all of these folders.
fn joined(folders: &[&Path], cache: Option<&Path>) -> Result<PathBuf, CudaAbsent> {
    let whole = folders.iter().find(|folder| missing(std::slice::from_ref(folder)).is_none());
    if let Some(root) = whole.filter(|folder| folder.ends_with("include")).and_then(|folder| folder.parent()) {
        return Ok(root.to_owned());
    }
    let name = cached::name(folders.iter().map(|folder| folder.as_os_str().as_encoded_bytes()));
    let nowhere =
        || CudaAbsent::Links { folder: "the user's cache folder".to_owned(), error: "there is none".to_owned() };
    let folder = cache.ok_or_else(nowhere)?.join("cuda-headers").join(name);
    let include = folder.join("include");
    let links = |error: io::Error| CudaAbsent::Links { folder: folder.display().to_string(), error: error.to_string() };
    fs::create_dir_all(&include).map_err(links)?;
    folders.iter().try_for_each(|from| link(from, &include)).map_err(links)?;
    Ok(folder)
}

/// Links what is in a folder into another one. Where both have a folder of a name, their contents are joined.
fn link(from: &Path, to: &Path) -> io::Result<()> {
    for entry in fs::read_dir(from)? {
        let (path, here) = {
            let entry = entry?;
            (entry.path(), to.join(entry.file_name()))
        };
        match fs::read_link(&here) {
            Ok(linked) if linked == path => continue,
            Ok(linked) if path.is_dir() && linked.is_dir() => {
                fs::remove_file(&here)?;
                fs::create_dir(&here)?;
                link(&linked, &here)?;
                link(&path, &here)?;
            }
            // The header of a folder that came before, or of a wheel that is gone.
            Ok(linked) if linked.exists() => continue,
            Ok(_) => cached::link(&path, &here)?,
            Err(_) if here.is_dir() && path.is_dir() => link(&path, &here)?,
            Err(_) if here.exists() => continue,
            Err(_) => cached::link(&path, &here)?,
        }
    }
    Ok(())
}
