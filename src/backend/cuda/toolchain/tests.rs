//! Toolchains in made-up places.

use super::{candidate::ranked, *};
use places::{Place, wheels_in};
use std::fs;

/// A folder of headers: all that is included, but for some.
fn headers(folder: &Path, version: u32, without: &[&str]) {
    let all = headers::INCLUDED.into_iter().chain([headers::OF_CCCL, "cuda_runtime_api.h"]);
    for name in all.filter(|name| !without.contains(name)) {
        let path = folder.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, format!("#pragma once\n#define CUDART_VERSION  {version}\n")).unwrap();
    }
}

fn place(headers: &[&Path]) -> Place {
    Place { named: false, libraries: Vec::new(), headers: headers.iter().map(|folder| folder.to_path_buf()).collect() }
}

fn nvrtc(version: Version, place: usize, named: bool) -> Candidate {
    Candidate { nvrtc: format!("/{version}/libnvrtc.so").into(), version, place, named }
}

const V12_4: Version = Version { major: 12, minor: 4 };
const V12_9: Version = Version { major: 12, minor: 9 };
const V13_0: Version = Version { major: 13, minor: 0 };

#[test]
fn the_newest_nvrtc_that_the_driver_takes_is_chosen_and_the_users_own_before_it() {
    let all = [nvrtc(V12_4, 0, false), nvrtc(V13_0, 1, false), nvrtc(V12_9, 2, false), nvrtc(V12_9, 3, false)];
    let order = |driver| ranked(&all, driver).iter().map(|candidate| candidate.place).collect::<Vec<_>>();
    assert_eq!(order(V13_0), [1, 2, 3, 0]);
    assert_eq!(order(Version { major: 12, minor: 8 }), [0]);
    assert!(order(Version { major: 12, minor: 2 }).is_empty());
    let mut named = all;
    named[0].named = true;
    assert_eq!(ranked(&named, V13_0)[0].place, 0);
}

#[test]
fn headers_in_several_folders_are_joined_by_links() {
    let home = tempfile::tempdir().unwrap();
    let [runtime, cccl, nvcc] = ["runtime", "cccl", "nvcc"].map(|name| home.path().join(name).join("include"));
    headers(&runtime, 12_090, &["crt/mma.h", "cuda/barrier", "cooperative_groups/memcpy_async.h"]);
    headers(&cccl, 12_090, &["crt/mma.h", "mma.h", "cuda_fp16.h", "cuda_bf16.h", "cuda_runtime.h"]);
    fs::create_dir_all(nvcc.join("crt")).unwrap();
    fs::write(nvcc.join("crt/mma.h"), "").unwrap();
    // A folder that two of them have.
    fs::create_dir_all(runtime.join("crt")).unwrap();
    fs::write(runtime.join("crt/host_defines.h"), "").unwrap();

    let cache = home.path().join("cache");
    let candidate = nvrtc(V12_9, 0, false);
    let whole = [place(&[&runtime, &cccl, &nvcc])];
    for _ in 0..2 {
        let include = headers::root(&candidate, &whole, Some(&cache)).unwrap().join("include");
        let there = ["mma.h", "crt/mma.h", "crt/host_defines.h", "cuda/barrier", "cooperative_groups/memcpy_async.h"];
        assert_eq!(there.map(|name| include.join(name).exists()), [true; 5]);
    }

    let partial = headers::root(&candidate, &[place(&[&runtime, &cccl])], Some(&cache)).unwrap_err();
    assert!(matches!(&partial, CudaAbsent::NoHeaders { missing, .. } if missing == "crt/mma.h"), "{partial}");
    assert!(partial.to_string().contains("\"nvidia-cuda-nvcc-cu12==12.9.*\""), "{partial}");
}

#[test]
fn headers_of_another_place_serve_if_they_are_of_the_same_major_version() {
    let home = tempfile::tempdir().unwrap();
    let [old, new] = ["12", "13"].map(|name| home.path().join(name).join("include"));
    headers(&old, 12_040, &[]);
    headers(&new, 13_000, &[]);
    let places = [place(&[]), place(&[&new]), place(&[&old])];
    let root = |version| headers::root(&nvrtc(version, 0, false), &places, None).unwrap();
    assert_eq!((root(V12_9), root(V13_0)), (home.path().join("12"), home.path().join("13")), "without links");
}

#[test]
fn wheels_are_found_in_packages_and_nothing_else_of_nvidias() {
    let packages = tempfile::tempdir().unwrap();
    for wheel in ["cuda_nvrtc/lib", "cuda_runtime/include", "cudnn/include", "nccl/lib"] {
        fs::create_dir_all(packages.path().join("nvidia").join(wheel)).unwrap();
    }
    let found = wheels_in(packages.path()).unwrap();
    assert!(found.headers.iter().all(|folder| folder.to_string_lossy().contains("/cuda_")), "{found:?}");
    assert_eq!(found.libraries.len(), 2);
    fs::create_dir_all(packages.path().join("nvidia/cu13/lib")).unwrap();
    assert_eq!(wheels_in(packages.path()).unwrap().libraries.len(), 3);
    assert_eq!(wheels_in(home_of_nothing().path()), None);
}

fn home_of_nothing() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}

#[test]
fn what_is_missing_is_said_with_the_command_that_installs_it() {
    let none = choose(&[], V12_4, 75, None).unwrap_err().to_string();
    let command = "pip install \"nvidia-cuda-nvrtc-cu12==12.4.*\" \"nvidia-cuda-runtime-cu12==12.4.*\"";
    assert!(none.starts_with("NVRTC not found: ") && none.contains(command), "{none}");
    let newer = CudaAbsent::NewerThanDriver { found: V13_0, driver: V12_4 }.to_string();
    assert!(newer.starts_with("NVRTC 13.0 is newer than the driver") && newer.contains(command), "{newer}");
}
