//! A machine whose cards are made of software (`tests/fake_cuda`), and the program on it.

#[path = "library.rs"]
pub mod library;

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

/// The libraries: a driver, the same made to execute kernels quickly, one that is older than CUDA 12.8, and NVRTC.
#[derive(Clone, Copy)]
pub enum Library {
    Driver,
    FastDriver,
    OldDriver,
    Nvrtc,
}

/// Builds a library once for all tests of this binary.
fn library(which: Library) -> &'static Path {
    static BUILT: [OnceLock<PathBuf>; 4] = [const { OnceLock::new() }; 4];
    let (name, source, options): (_, _, &[&str]) = match which {
        Library::Driver => ("fake_cuda", "tests/fake_cuda/lib.rs", &[]),
        Library::FastDriver => {
            ("fake_cuda_fast", "tests/fake_cuda/lib.rs", &["-C", "opt-level=3", "-C", "target-cpu=native"])
        }
        Library::OldDriver => ("fake_cuda_old", "tests/fake_cuda/lib.rs", &["--cfg", "before_12_8"]),
        Library::Nvrtc => ("fake_nvrtc", "tests/fake_cuda/nvrtc/lib.rs", &[]),
    };
    BUILT[which as usize].get_or_init(|| {
        // Where no kernel is executed, what is not optimised is built sooner.
        library::build(name, source, &[&["--check-cfg", "cfg(before_12_8, test)"], options].concat())
    })
}

/// A machine with such cards, a toolkit and an own home.
pub struct Machine {
    /// Its folders: libraries, a toolkit, the user's home.
    pub directory: tempfile::TempDir,
    settings: Vec<(&'static str, String)>,
}

impl Machine {
    /// A machine with the cards of these names.
    pub fn with(cards: &str) -> Self {
        Self::of(Library::Driver, cards)
    }

    pub fn of(driver: Library, cards: &str) -> Self {
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

    pub fn set(mut self, name: &'static str, value: &str) -> Self {
        self.settings.push((name, value.to_owned()));
        self
    }

    pub fn log_path(&self) -> PathBuf {
        self.directory.path().join("log")
    }

    /// What the fake driver wrote.
    pub fn log(&self) -> String {
        fs::read_to_string(self.log_path()).unwrap_or_default()
    }

    pub fn command(&self, arguments: &[&str]) -> Command {
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

    pub fn wattscope(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    /// What `devices` prints of cards: their lines without the header and the processor.
    pub fn devices(&self) -> Vec<String> {
        let output = self.wattscope(&["devices"]);
        assert!(output.status.success(), "{output:?}");
        let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        let words = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
        let lines = text.lines().filter(|line| line.starts_with("cuda") && !line.contains(": kernels by "));
        lines.map(words).collect()
    }

    /// A machine whose cards execute what the real NVRTC compiles: that of a virtual environment with NVIDIA's wheels.
    pub fn executing(cards: &str, wheels: &str) -> Self {
        let machine = Self::of(Library::FastDriver, cards);
        for part in ["lib/libnvrtc.so.12", "toolkit/include/cuda_runtime_api.h"] {
            fs::remove_file(machine.directory.path().join(part)).unwrap();
        }
        machine.set("FAKE_CUDA_EXECUTE", "1").set("VIRTUAL_ENV", wheels).set("CUDA_PATH", "")
    }

    /// Measures a network on the first card, and returns what is said and the exit status.
    pub fn run(&self) -> (String, Option<i32>) {
        let output = self.wattscope(&["run", "--network", "alexnet", "--device", "cuda:0", "--seconds", "1"]);
        (String::from_utf8_lossy(&output.stderr).into_owned(), output.status.code())
    }

    /// Measures until the driver's log has a line, and ends the program then.
    pub fn run_until(&self, line: &str) {
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
