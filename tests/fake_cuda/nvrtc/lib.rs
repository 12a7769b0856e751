//! A `libnvrtc.so` that forwards to a real one and keeps what it compiles, or needs none.
//!
//! | variable | what it says |
//! |---|---|
//! | `FAKE_NVRTC_REAL` | the real library: it compiles, and this one keeps the results |
//! | `FAKE_NVRTC_CACHE` | the folder for the results, by a hash of source, options and version; none: nothing is kept |
//! | `FAKE_NVRTC_VERSION` | the version that the stub claims, `12.9` by default |
//! | `FAKE_NVRTC_FAIL` | a source in which this text stands does not compile |
//! | `FAKE_NVRTC_LOG` | a file for a line for each program: kernel, architecture, result, milliseconds, where it came from |
//!
//! Without `FAKE_NVRTC_REAL` it is a stub (`stub.rs`): kernels with the right names and parameters that do nothing, for a
//! card whose launches do nothing.

#![allow(non_snake_case, clippy::missing_safety_doc)] // the names and the contracts are those of nvrtc.h

mod cache;
#[path = "../ptx_version.rs"]
mod ptx_version;
mod real;
mod stub;

use std::{
    ffi::{CStr, CString, c_char, c_int},
    panic::{AssertUnwindSafe, catch_unwind},
    sync::OnceLock,
    time::Instant,
};

/// An `nvrtcResult` that is not success.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Error(pub c_int);

pub const INVALID_INPUT: Error = Error(3);
pub const INVALID_PROGRAM: Error = Error(4);
pub const INVALID_OPTION: Error = Error(5);
pub const COMPILATION: Error = Error(6);
pub const INTERNAL: Error = Error(11);

/// An `nvrtcProgram`.
pub struct Program {
    source: String,
    outcome: Outcome,
}

/// What compiling gave.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    pub ptx: Option<CString>,
    pub log: CString,
}

/// A text that C can read; what stands behind a zero is lost.
pub fn c_text(text: &str) -> CString {
    let until = text.find('\0').unwrap_or(text.len());
    CString::new(&text[..until]).unwrap_or_default()
}

impl Outcome {
    /// A program that does not compile, and why.
    pub fn refused(log: &str) -> Self {
        Self { ptx: None, log: c_text(log) }
    }
}

/// What this library reads from the environment.
struct Settings {
    real: Option<real::Nvrtc>,
    cache: Option<cache::Cache>,
    version: (u32, u32),
    fail: Option<String>,
}

fn settings() -> &'static Settings {
    static SETTINGS: OnceLock<Settings> = OnceLock::new();
    SETTINGS.get_or_init(|| {
        let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        let give_up = |wrong: String| -> ! {
            eprintln!("fake NVRTC: {wrong}");
            std::process::exit(2);
        };
        let real = variable("FAKE_NVRTC_REAL").map(|path| {
            real::Nvrtc::open(&path).unwrap_or_else(|why| give_up(format!("FAKE_NVRTC_REAL={path}: {why}")))
        });
        let text = variable("FAKE_NVRTC_VERSION").unwrap_or_else(|| "12.9".to_owned());
        let number = |text: &str| text.parse::<u32>().ok();
        let claimed = text.split_once('.').and_then(|(major, minor)| Some((number(major)?, number(minor)?)));
        let claimed = claimed.unwrap_or_else(|| give_up(format!("FAKE_NVRTC_VERSION={text}: not like 12.9")));
        let version = real.as_ref().map_or(claimed, real::Nvrtc::version);
        let cache = variable("FAKE_NVRTC_CACHE").map(cache::Cache::new);
        Settings { real, cache, version, fail: variable("FAKE_NVRTC_FAIL") }
    })
}

/// Compiles, or finds what was compiled before; and where that came from.
fn compile(source: &str, options: &[String]) -> Result<(Outcome, &'static str), Error> {
    let settings = settings();
    if settings.fail.as_ref().is_some_and(|text| source.contains(text.as_str())) {
        return Ok((Outcome::refused("default_program(1): error: refused, as FAKE_NVRTC_FAIL asks\n"), "refused"));
    }
    let Some(real) = &settings.real else {
        return stub::compile(source, options, settings.version).map(|outcome| (outcome, "stub"));
    };
    let key = cache::key(source, options, settings.version);
    if let Some(outcome) = settings.cache.as_ref().and_then(|cache| cache.get(&key)) {
        return Ok((outcome, "kept"));
    }
    let outcome = real.compile(source, options)?;
    if let Some(cache) = &settings.cache {
        cache.put(&key, source, &outcome);
    }
    Ok((outcome, "compiled"))
}

/// Adds a line to the log.
fn log(source: &str, options: &[String], outcome: &Outcome, from: &str, begin: Instant) {
    let Some(path) = std::env::var_os("FAKE_NVRTC_LOG").filter(|path| !path.is_empty()) else { return };
    let kernel = stub::kernel_names(source).next().unwrap_or_default();
    let arch = options.iter().find_map(|option| option.strip_prefix("--gpu-architecture=")).unwrap_or_default();
    let first_line = outcome.log.to_string_lossy();
    let result = if outcome.ptx.is_some() { "ok" } else { first_line.lines().next().unwrap_or("failed") };
    let line = format!("{kernel}\t{arch}\t{result}\t{}\t{from}\n", begin.elapsed().as_millis());
    let file = std::fs::File::options().create(true).append(true).open(path);
    // A log that can't be written is no reason to stop.
    let _ = file.and_then(|mut file| std::io::Write::write_all(&mut file, line.as_bytes()));
}

fn guard(function: impl FnOnce() -> Result<(), Error>) -> c_int {
    match catch_unwind(AssertUnwindSafe(function)) {
        Ok(Ok(())) => 0,
        Ok(Err(Error(code))) => code,
        Err(_) => INTERNAL.0,
    }
}

fn give<T>(to: *mut T, value: T) -> Result<(), Error> {
    if to.is_null() {
        return Err(INVALID_INPUT);
    }
    // SAFETY: the caller of the C function gave this place for it.
    unsafe { to.write(value) };
    Ok(())
}

/// The program of a handle, which is a pointer to it.
unsafe fn program<'a>(handle: *mut Program) -> Result<&'a mut Program, Error> {
    // SAFETY: the caller gives a program that `nvrtcCreateProgram` made and that was not destroyed.
    unsafe { handle.as_mut() }.ok_or(INVALID_PROGRAM)
}

/// Copies a text with its zero to where C wants it.
unsafe fn copy(text: &CStr, to: *mut c_char) {
    let bytes = text.to_bytes_with_nul();
    // SAFETY: the caller has asked for the size and gives that much room.
    unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr().cast(), to, bytes.len()) };
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvrtcVersion(major: *mut c_int, minor: *mut c_int) -> c_int {
    guard(|| {
        let version = settings().version;
        give(major, version.0 as c_int)?;
        give(minor, version.1 as c_int)
    })
}

#[unsafe(no_mangle)]
pub extern "C" fn nvrtcGetErrorString(code: c_int) -> *const c_char {
    let text = match code {
        0 => c"NVRTC_SUCCESS",
        1 => c"NVRTC_ERROR_OUT_OF_MEMORY",
        2 => c"NVRTC_ERROR_PROGRAM_CREATION_FAILURE",
        3 => c"NVRTC_ERROR_INVALID_INPUT",
        4 => c"NVRTC_ERROR_INVALID_PROGRAM",
        5 => c"NVRTC_ERROR_INVALID_OPTION",
        6 => c"NVRTC_ERROR_COMPILATION",
        7 => c"NVRTC_ERROR_BUILTIN_OPERATION_FAILURE",
        11 => c"NVRTC_ERROR_INTERNAL_ERROR",
        _ => c"NVRTC_ERROR unknown",
    };
    text.as_ptr()
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvrtcCreateProgram(
    to: *mut *mut Program,
    source: *const c_char,
    _name: *const c_char,
    headers: c_int,
    _contents: *const *const c_char,
    _names: *const *const c_char,
) -> c_int {
    guard(|| {
        if source.is_null() || headers != 0 {
            return Err(INVALID_INPUT);
        }
        // SAFETY: the caller gives a text that ends with zero.
        let source = unsafe { CStr::from_ptr(source) }.to_string_lossy().into_owned();
        give(to, Box::into_raw(Box::new(Program { source, outcome: Outcome::default() })))
    })
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvrtcDestroyProgram(handle: *mut *mut Program) -> c_int {
    guard(|| {
        // SAFETY: as in `program`; the handle is cleared, so that it isn't destroyed twice.
        unsafe {
            let program = handle.as_mut().filter(|program| !program.is_null()).ok_or(INVALID_PROGRAM)?;
            drop(Box::from_raw(std::mem::replace(program, std::ptr::null_mut())));
        }
        Ok(())
    })
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvrtcCompileProgram(
    handle: *mut Program,
    count: c_int,
    options: *const *const c_char,
) -> c_int {
    guard(|| {
        // SAFETY: the caller gives a program and `count` texts.
        let (program, options): (_, Vec<String>) = unsafe {
            let option = |index| CStr::from_ptr(*options.add(index)).to_string_lossy().into_owned();
            (program(handle)?, (0..count.max(0) as usize).map(option).collect())
        };
        let begin = Instant::now();
        let (outcome, from) = compile(&program.source, &options)?;
        log(&program.source, &options, &outcome, from, begin);
        program.outcome = outcome;
        if program.outcome.ptx.is_some() { Ok(()) } else { Err(COMPILATION) }
    })
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvrtcGetPTXSize(handle: *mut Program, size: *mut usize) -> c_int {
    // SAFETY: as in `program`.
    guard(|| give(size, unsafe { program(handle)? }.outcome.ptx.as_ref().ok_or(INVALID_PROGRAM)?.count_bytes() + 1))
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvrtcGetPTX(handle: *mut Program, to: *mut c_char) -> c_int {
    guard(|| {
        // SAFETY: as in `program` and `copy`.
        unsafe { copy(program(handle)?.outcome.ptx.as_ref().ok_or(INVALID_PROGRAM)?, to) };
        Ok(())
    })
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvrtcGetProgramLogSize(handle: *mut Program, size: *mut usize) -> c_int {
    // SAFETY: as in `program`.
    guard(|| give(size, unsafe { program(handle)? }.outcome.log.count_bytes() + 1))
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvrtcGetProgramLog(handle: *mut Program, to: *mut c_char) -> c_int {
    guard(|| {
        // SAFETY: as in `program` and `copy`.
        unsafe { copy(&program(handle)?.outcome.log, to) };
        Ok(())
    })
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvrtcGetNumSupportedArchs(count: *mut c_int) -> c_int {
    guard(|| give(count, stub::architectures(settings().version).len() as c_int))
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvrtcGetSupportedArchs(to: *mut c_int) -> c_int {
    guard(|| {
        for (index, arch) in stub::architectures(settings().version).into_iter().enumerate() {
            // SAFETY: the caller has asked for their number.
            unsafe { to.add(index).write(arch as c_int) };
        }
        Ok(())
    })
}
