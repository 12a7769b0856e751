//! The program on a card made of software that executes what the real NVRTC compiles: whether kernels compute what they should,
//! strictly, on cards of three generations.
//!
//! NVRTC and the CUDA headers come from NVIDIA's wheels in the virtual environment that WATTSCOPE_TEST_NVRTC names; `.ci/run`
//! makes one. Without it these tests are left out, and say so.

#![allow(clippy::unwrap_used, clippy::expect_used)] // a test fails by panicking

#[path = "support/card.rs"]
#[allow(dead_code)] // other tests use what these do not
mod card;

use card::Machine;
use std::io::Write;

/// A machine with cards on which kernels run; none, and a loud word, where there is no NVRTC.
fn machine(cards: &str) -> Option<Machine> {
    match std::env::var("WATTSCOPE_TEST_NVRTC") {
        Ok(wheels) => Some(Machine::executing(cards, &wheels)),
        Err(_) => {
            // The test harness keeps what is printed by macros.
            let _ = writeln!(
                std::io::stderr(),
                "LEFT OUT: no kernel was executed on {cards}, because WATTSCOPE_TEST_NVRTC names no virtual environment with \
                 NVIDIA's wheels (see .ci/run)"
            );
            None
        }
    }
}

/// Checks SqueezeNet on the first card in these precisions: every one has to be within its bound.
fn check(machine: &Machine, precisions: &str) {
    let output = machine.wattscope(&["check", "squeezenet1.1", "--device", "cuda:0", "--precision", precisions]);
    let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    let passed = said.lines().filter(|line| line.starts_with("pass ")).count();
    assert!(output.status.success() && passed == precisions.split(',').count(), "{said}\n{}", machine.log());
}

/// What tuning chose is kept for the next process, which then launches the chosen kernels alone.
#[test]
fn a_card_without_tf32_computes_f32_and_f16_and_finds_its_tuning_again() {
    let Some(machine) = machine("sm_75") else { return };
    let counted = |name: &str| machine.directory.path().join(name).to_string_lossy().into_owned();
    let kernels = |name: &str| std::fs::read_to_string(counted(name)).unwrap().lines().count();
    let machine_with = |name: &str| {
        let mut command = machine.command(&["check", "squeezenet1.1", "--device", "cuda:0", "--precision", "f32,f16"]);
        command.env("FAKE_CUDA_COUNTS", counted(name));
        command
    };
    for name in ["tuning", "tuned"] {
        let output = machine_with(name).output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && said.contains("2 of 2 within bounds"), "{said}\n{}", machine.log());
    }
    assert!(kernels("tuned") < kernels("tuning"), "{} and {}", kernels("tuned"), kernels("tuning"));

    // The same kernels, and no new ones: the batch is that of the check.
    let run = ["run", "--network", "squeezenet1.1", "--batch", "2", "--device", "cuda:0", "--seconds", "0.1", "--json"];
    let output = machine.wattscope(&run);
    let record: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(output.status.success() && record["batches"].as_u64() > Some(0), "{record}\n{}", machine.log());
}

#[test]
fn a_card_with_tf32_computes_in_all_its_precisions() {
    if let Some(machine) = machine("sm_80") {
        check(&machine, "tf32,f16,bf16");
    }
}

/// In f16 cubek 0.3 asks its copy engine for boxes of 512, and 256 is the most: CubeCL's fault, and the check says so.
#[test]
fn a_card_with_a_copy_engine_computes_in_bf16() {
    if let Some(machine) = machine("sm_90") {
        check(&machine, "bf16");
    }
}
