//! The few functions of NVRTC that tell its version and whether it compiles a kernel.

use crate::backend::cuda::version::Version;
use libloading::os::unix::{Library, RTLD_LOCAL, RTLD_NOW, Symbol};
use std::{
    ffi::{CStr, CString, c_char, c_int, c_void},
    fs,
    path::Path,
};

type GetVersion = unsafe extern "C" fn(*mut c_int, *mut c_int) -> c_int;
type Create = unsafe extern "C" fn(
    *mut *mut c_void,
    *const c_char,
    *const c_char,
    c_int,
    *const *const c_char,
    *const *const c_char,
) -> c_int;
type Compile = unsafe extern "C" fn(*mut c_void, c_int, *const *const c_char) -> c_int;
type LogSize = unsafe extern "C" fn(*mut c_void, *mut usize) -> c_int;
type Log = unsafe extern "C" fn(*mut c_void, *mut c_char) -> c_int;
type Destroy = unsafe extern "C" fn(*mut *mut c_void) -> c_int;

/// Opens a library, and before it the builtins that it asks the loader for by name when it compiles: the wheels of CUDA 13 do not
/// say that they lie beside it. The builtins stay open.
fn open(library: &Path) -> Result<Library, String> {
    let beside = library.parent().and_then(|folder| fs::read_dir(folder).ok()).into_iter().flatten().flatten();
    let builtins = beside.filter(|entry| entry.file_name().to_string_lossy().starts_with("libnvrtc-builtins.so"));
    for entry in builtins {
        // SAFETY: they hold data and have no initialisers of their own. Where they can't be opened NVRTC says so itself.
        if let Ok(opened) = unsafe { Library::open(Some(entry.path()), RTLD_NOW | RTLD_LOCAL) } {
            std::mem::forget(opened);
        }
    }
    // SAFETY: NVRTC's initialisers run as they would when Burn opens it.
    unsafe { Library::open(Some(library), RTLD_NOW | RTLD_LOCAL) }.map_err(|error| error.to_string())
}

/// The version of a library; none if it can't be opened or is no NVRTC.
pub fn version(library: &Path) -> Option<Version> {
    // SAFETY: NVRTC's initialisers run as they would when Burn opens it.
    let library = unsafe { Library::open(Some(library), RTLD_NOW | RTLD_LOCAL) }.ok()?;
    let (mut major, mut minor) = (0, 0);
    // SAFETY: the type is that of nvrtc.h, and both numbers outlive the call.
    let code = unsafe {
        let ask: Symbol<GetVersion> = library.get(b"nvrtcVersion").ok()?;
        ask(&mut major, &mut minor)
    };
    let version = Version { major: u32::try_from(major).ok()?, minor: u32::try_from(minor).ok()? };
    (code == 0).then_some(version)
}

/// Compiles `source` with these options, and throws the result away.
///
/// # Errors
/// The first error of the compiler's log.
pub fn compile(library: &Path, source: &str, options: &[String]) -> Result<(), String> {
    let library = open(library)?;
    let text = |text: &str| CString::new(text).map_err(|_| "a zero byte in an option".to_owned());
    let source = text(source)?;
    let options = options.iter().map(|option| text(option)).collect::<Result<Vec<_>, _>>()?;
    let pointers: Vec<*const c_char> = options.iter().map(|option| option.as_ptr()).collect();
    let count = c_int::try_from(pointers.len()).map_err(|error| error.to_string())?;
    let none = std::ptr::null();
    let mut program = std::ptr::null_mut();
    // SAFETY: the types are those of nvrtc.h; every text outlives the calls, and the program is destroyed once.
    unsafe {
        let create: Symbol<Create> = function(&library, b"nvrtcCreateProgram")?;
        let compile: Symbol<Compile> = function(&library, b"nvrtcCompileProgram")?;
        let destroy: Symbol<Destroy> = function(&library, b"nvrtcDestroyProgram")?;
        match create(&mut program, source.as_ptr(), none, 0, none.cast(), none.cast()) {
            0 => {}
            code => return Err(format!("nvrtcCreateProgram gives {code}")),
        }
        let compiled = match compile(program, count, pointers.as_ptr()) {
            0 => Ok(()),
            code => Err(log(&library, program).unwrap_or_else(|| format!("nvrtcCompileProgram gives {code}"))),
        };
        destroy(&mut program);
        compiled
    }
}

/// # Safety
/// `F` is the function's type.
unsafe fn function<F>(library: &Library, name: &[u8]) -> Result<Symbol<F>, String> {
    // SAFETY: the caller names the type.
    unsafe { library.get(name) }.map_err(|error| error.to_string())
}

/// The first error of the log, or its first line.
///
/// # Safety
/// `program` is one of this library's.
unsafe fn log(library: &Library, program: *mut c_void) -> Option<String> {
    let mut size = 0usize;
    // SAFETY: the buffer has the size that NVRTC says, and NVRTC ends the text with a zero.
    let text = unsafe {
        let ask: Symbol<LogSize> = function(library, b"nvrtcGetProgramLogSize").ok()?;
        let read: Symbol<Log> = function(library, b"nvrtcGetProgramLog").ok()?;
        (ask(program, &mut size) == 0).then_some(())?;
        let mut bytes = vec![0u8; size + 1];
        (read(program, bytes.as_mut_ptr().cast()) == 0).then_some(())?;
        CStr::from_bytes_until_nul(&bytes).ok()?.to_string_lossy().into_owned()
    };
    let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let first = lines.clone().next();
    lines.find(|line| line.contains("error")).or(first).map(str::to_owned)
}
