//! The program on a card made of software (`tests/fake_cuda`), with launches that do nothing and a stub of NVRTC: what it
//! says about cards, drivers and faults. That kernels compute what they should is seen elsewhere; here none runs.

#![allow(clippy::unwrap_used, clippy::expect_used)] // a test fails by panicking

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    sync::OnceLock,
    thread,
    time::{Duration, Instant},
};

/// Longer than any test takes on a busy machine.
const LONG: Duration = Duration::from_secs(240);

/// The headers that kernels include. The stub looks whether they are there, and not into them.
const HEADERS: [&str; 10] = [
    "cuda_runtime.h",
    "cuda_fp16.h",
    "cuda_bf16.h",
    "cuda_fp8.h",
    "mma.h",
    "crt/mma.h",
    "cuComplex.h",
    "cooperative_groups.h",
    "cooperative_groups/memcpy_async.h",
    "cuda/barrier",
];

/// The libraries: a driver, one that is older than CUDA 12.8, and NVRTC.
#[derive(Clone, Copy)]
enum Library {
    Driver,
    OldDriver,
    Nvrtc,
}

/// Builds a library once for all tests of this binary.
fn library(which: Library) -> &'static Path {
    static BUILT: [OnceLock<PathBuf>; 3] = [const { OnceLock::new() }; 3];
    let (name, source, options): (_, _, &[&str]) = match which {
        Library::Driver => ("fake_cuda", "tests/fake_cuda/lib.rs", &[]),
        Library::OldDriver => ("fake_cuda_old", "tests/fake_cuda/lib.rs", &["--cfg", "before_12_8"]),
        Library::Nvrtc => ("fake_nvrtc", "tests/fake_cuda/nvrtc/lib.rs", &[]),
    };
    BUILT[which as usize].get_or_init(|| {
        let directory = Path::new(env!("CARGO_TARGET_TMPDIR"));
        let library = directory.join(format!("{name}.so"));
        // Another run of the same tests may be copying the previous one: it is replaced atomically.
        let built = tempfile::Builder::new().tempdir_in(directory).unwrap();
        let mut rustc = Command::new(std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()));
        // No kernel is executed here: what is not optimised is built sooner.
        rustc.args(["--edition", "2024", "--crate-type", "cdylib", "--check-cfg", "cfg(before_12_8, test)"]);
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join(source);
        let new = built.path().join("new.so");
        let status = rustc.args(["--crate-name", name]).args(options).arg(source).arg("-o").arg(&new).status().unwrap();
        assert!(status.success(), "{name} does not build");
        fs::rename(new, &library).unwrap();
        library
    })
}

/// A machine with such cards, a toolkit and an own home.
struct Machine {
    directory: tempfile::TempDir,
    settings: Vec<(&'static str, String)>,
}

impl Machine {
    /// A machine with the cards of these names.
    fn with(cards: &str) -> Self {
        Self::of(Library::Driver, cards)
    }

    fn of(driver: Library, cards: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path();
        for folder in
            ["lib", "home", "toolkit/include/crt", "toolkit/include/cooperative_groups", "toolkit/include/cuda"]
        {
            fs::create_dir_all(root.join(folder)).unwrap();
        }
        for header in HEADERS {
            fs::write(root.join("toolkit/include").join(header), "").unwrap();
        }
        fs::write(root.join("toolkit/include/cuda_runtime_api.h"), "#define CUDART_VERSION  12090\n").unwrap();
        fs::copy(library(driver), root.join("lib/libcuda.so.1")).unwrap();
        fs::copy(library(Library::Nvrtc), root.join("lib/libnvrtc.so.12")).unwrap();
        let machine = Self { directory, settings: Vec::new() };
        machine.set("FAKE_CUDA_CARDS", cards).set("FAKE_CUDA_EXECUTE", "0")
    }

    fn set(mut self, name: &'static str, value: &str) -> Self {
        self.settings.push((name, value.to_owned()));
        self
    }

    fn log_path(&self) -> PathBuf {
        self.directory.path().join("log")
    }

    /// What the fake driver wrote.
    fn log(&self) -> String {
        fs::read_to_string(self.log_path()).unwrap_or_default()
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let root = self.directory.path();
        let mut command = Command::new(env!("CARGO_BIN_EXE_wattscope"));
        for name in ["HOME", "XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME"] {
            command.env(name, root.join("home"));
        }
        command.env_remove("CUDA_VISIBLE_DEVICES").env("LD_LIBRARY_PATH", root.join("lib"));
        command.env("CUDA_PATH", root.join("toolkit")).env("FAKE_CUDA_LOG", self.log_path());
        // Fewer kernels are compiled to choose from.
        command.env("CUBECL_AUTOTUNE_LEVEL", "minimal");
        command.envs(self.settings.iter().map(|(name, value)| (*name, value)));
        command.args(arguments).stdin(Stdio::null());
        command
    }

    fn wattscope(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    /// What `devices` prints of cards: their lines without the header and the processor.
    fn devices(&self) -> Vec<String> {
        let output = self.wattscope(&["devices"]);
        assert!(output.status.success(), "{output:?}");
        let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        let words = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
        let lines = text.lines().filter(|line| line.starts_with("cuda") && !line.contains(": kernels by "));
        lines.map(words).collect()
    }

    /// Measures a network on the first card, and returns what is said and the exit status.
    fn run(&self) -> (String, Option<i32>) {
        let output = self.wattscope(&["run", "--network", "alexnet", "--device", "cuda:0", "--seconds", "1"]);
        (String::from_utf8_lossy(&output.stderr).into_owned(), output.status.code())
    }

    /// Measures until the driver's log has a line, and ends the program then.
    fn run_until(&self, line: &str) {
        let mut command = self.command(&["run", "--network", "alexnet", "--device", "cuda:0", "--seconds", "1"]);
        let mut program = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let begin = Instant::now();
        while !self.log().contains(line) {
            assert!(begin.elapsed() < LONG, "no {line:?} in {}", self.log());
            if let Some(status) = program.try_wait().unwrap() {
                assert!(self.log().contains(line), "ended with {status} before {line:?}: {}", self.log());
            }
            thread::sleep(Duration::from_millis(20));
        }
        // Its engine ends with it, since it reads what the program says.
        program.kill().unwrap();
        program.wait().unwrap();
    }
}

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
