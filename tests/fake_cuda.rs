//! The program on a card made of software (`tests/fake_cuda`), with launches that do nothing and a stub of NVRTC: what it
//! says about cards, drivers and faults. That kernels compute what they should is seen elsewhere; here none runs.

#![allow(clippy::unwrap_used, clippy::expect_used)] // a test fails by panicking

#[path = "support/card.rs"]
#[allow(dead_code)] // other tests use what these do not
mod card;

use card::{Library, Machine};
use std::{fs, process::Command};

#[test]
fn cards_are_listed_as_the_driver_tells_them() {
    let machine = Machine::with("sm_90,sm_75");
    let expected = ["cuda:0 NVIDIA H100 80GB HBM3 tf32, f16, bf16 79.6 GiB", "cuda:1 Tesla T4 f32, f16 15.0 GiB"];
    assert_eq!(machine.devices(), expected);
    let machine = Machine::with("sm_90,sm_75").set("CUDA_VISIBLE_DEVICES", "1").set("FAKE_CUDA_MEMORY", "2GiB");
    assert_eq!(machine.devices(), ["cuda:0 Tesla T4 f32, f16 2.00 GiB"]);
}

#[test]
fn without_a_card_or_a_driver_the_reason_is_said() {
    let none = "cuda: the NVIDIA driver sees no card";
    assert_eq!(Machine::with("none").devices(), [none]);
    let hidden = format!("{none}: CUDA_VISIBLE_DEVICES is set and may hide it");
    assert_eq!(Machine::with("sm_80").set("CUDA_VISIBLE_DEVICES", "").devices(), [hidden]);
    let mismatch = "system has unsupported display driver / cuda driver combination";
    assert_eq!(
        Machine::with("sm_80").set("FAKE_CUDA_FAULTS", "cuInit=803").devices(),
        [format!("cuda: the NVIDIA driver does not start: {mismatch}")]
    );
    let machine = Machine::with("sm_80");
    fs::remove_file(machine.directory.path().join("lib/libcuda.so.1")).unwrap();
    assert!(machine.devices()[0].starts_with("cuda: libcuda.so.1 not found"), "{:?}", machine.devices());
}

#[test]
fn without_nvrtc_or_headers_the_reason_is_said() {
    let machine = Machine::with("sm_80");
    fs::remove_file(machine.directory.path().join("lib/libnvrtc.so.12")).unwrap();
    let said = machine.devices();
    assert!(said[0].starts_with("cuda: NVRTC not found: pip install \"nvidia-cuda-nvrtc==13.0.*\""), "{said:?}");
    let machine = Machine::with("sm_80");
    fs::remove_file(machine.directory.path().join("toolkit/include/cuda_fp16.h")).unwrap();
    let said = machine.devices();
    assert!(said[0].starts_with("cuda: NVRTC 12.9 found, and cuda_fp16.h missing"), "{said:?}");
}

#[test]
fn a_card_that_is_not_in_the_table_is_no_card_to_test_on() {
    let output = Machine::with("sm_61").wattscope(&["devices"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("FAKE_CUDA_CARDS: sm_61 is none of sm_70"), "{output:?}");
}

#[test]
fn a_network_that_does_not_fit_is_out_of_memory() {
    let machine = Machine::with("sm_75").set("FAKE_CUDA_MEMORY", "128MiB");
    let (said, status) = machine.run();
    assert_eq!(status, Some(1), "{said}");
    assert!(said.contains("out of memory"), "{said}");
    assert!(machine.log().contains("cuMemAlloc_v2 returns 2 (CUDA_ERROR_OUT_OF_MEMORY)"), "{}", machine.log());
}

#[test]
fn an_allocation_that_fails_once_is_tried_again() {
    let machine = Machine::with("sm_75").set("FAKE_CUDA_FAULTS", "out-of-memory@2,launch@30");
    machine.run_until("fault: ");
    let log = machine.log();
    let (first, _) = log.split_once("fault: ").unwrap();
    assert!(first.contains("cuMemAlloc_v2 returns 2"), "it went on to launch kernels: {log}");
}

#[test]
fn a_launch_that_fails_is_the_end_of_the_engine() {
    let machine = Machine::with("sm_75").set("FAKE_CUDA_FAULTS", "launch@3");
    let (said, status) = machine.run();
    assert_eq!(status, Some(1), "{said}");
    assert!(machine.log().contains("returns 719 (CUDA_ERROR_LAUNCH_FAILED)"), "{}", machine.log());
    assert!(said.contains("719") || said.contains("CUDA_ERROR_LAUNCH_FAILED"), "{said}");
}

#[test]
fn a_lost_card_is_the_end_of_the_engine() {
    let machine = Machine::with("sm_75").set("FAKE_CUDA_FAULTS", "lost@3");
    let (said, status) = machine.run();
    assert_eq!(status, Some(1), "{said}");
    assert!(machine.log().contains("falls off the bus"), "{}", machine.log());
}

#[test]
fn an_nvrtc_that_is_newer_than_the_driver_is_not_taken() {
    let machine = Machine::with("sm_75").set("FAKE_CUDA_DRIVER", "12.8").set("FAKE_NVRTC_VERSION", "12.9");
    let said = machine.devices();
    assert!(said[0].starts_with("cuda: NVRTC 12.9 is newer than the driver"), "{said:?}");
    assert!(said[0].contains("\"nvidia-cuda-nvrtc-cu12==12.8.*\""), "{said:?}");
}

#[test]
fn a_card_on_which_no_kernel_runs_gives_no_numbers() {
    let machine = Machine::with("sm_75");
    let (said, status) = machine.run();
    assert_eq!(status, Some(1), "{said}");
    assert!(said.contains("two different inputs give the same outputs"), "{said}");
}

#[test]
fn a_driver_older_than_12_8_has_all_that_is_called() {
    let machine = Machine::of(Library::OldDriver, "sm_75").set("FAKE_NVRTC_VERSION", "12.4");
    assert_eq!(machine.devices(), ["cuda:0 Tesla T4 f32, f16 15.0 GiB"]);
    let (said, status) = machine.run();
    assert_eq!(status, Some(1), "{said}");
    assert!(said.contains("two different inputs give the same outputs"), "no kernel runs here: {said}");
}

#[test]
fn a_program_on_the_old_driver_is_not_told_of_a_new_one() {
    let machine = Machine::of(Library::OldDriver, "sm_75").set("FAKE_CUDA_DRIVER", "13.0");
    assert_eq!(machine.wattscope(&["devices"]).status.code(), Some(2));
}

/// The driver's and the interpreter's own tests: every rule that is broken is named.
#[test]
fn the_cards_own_tests_pass() {
    let directory = tempfile::tempdir().unwrap();
    let program = directory.path().join("tests");
    let options = ["--test", "-C", "opt-level=1", "--check-cfg", "cfg(before_12_8, test)"];
    let mut rustc = card::library::rustc("tests/fake_cuda/lib.rs", &options);
    assert!(rustc.arg("-o").arg(&program).status().unwrap().success());
    let output = Command::new(program).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}
