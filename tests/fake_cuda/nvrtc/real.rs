//! The real NVRTC, opened by its path.

use super::{Error, INTERNAL, Outcome, c_text};
use std::ffi::{CStr, CString, c_char, c_int, c_void};

unsafe extern "C" {
    fn dlopen(file: *const c_char, mode: c_int) -> *mut c_void;
    fn dlsym(library: *mut c_void, name: *const c_char) -> *mut c_void;
    fn dlerror() -> *const c_char;
}

/// `RTLD_NOW`; its symbols have the names of ours, and must not be found in their place.
const NOW_AND_LOCAL: c_int = 2;

type Handle = *mut c_void;

/// The functions of it that are called here.
pub struct Nvrtc {
    version: unsafe extern "C" fn(*mut c_int, *mut c_int) -> c_int,
    create: unsafe extern "C" fn(
        *mut Handle,
        *const c_char,
        *const c_char,
        c_int,
        *const *const c_char,
        *const *const c_char,
    ) -> c_int,
    destroy: unsafe extern "C" fn(*mut Handle) -> c_int,
    compile: unsafe extern "C" fn(Handle, c_int, *const *const c_char) -> c_int,
    ptx_size: unsafe extern "C" fn(Handle, *mut usize) -> c_int,
    ptx: unsafe extern "C" fn(Handle, *mut c_char) -> c_int,
    log_size: unsafe extern "C" fn(Handle, *mut usize) -> c_int,
    log: unsafe extern "C" fn(Handle, *mut c_char) -> c_int,
}

fn why() -> String {
    // SAFETY: the loader's text stays until its next call in this thread.
    unsafe {
        let text = dlerror();
        if text.is_null() { "unknown".to_owned() } else { CStr::from_ptr(text).to_string_lossy().into_owned() }
    }
}

/// # Safety
/// The function has the type `F`, which is a pointer to a function.
unsafe fn symbol<F: Copy>(library: Handle, name: &CStr) -> Result<F, String> {
    const { assert!(size_of::<F>() == size_of::<Handle>()) };
    // SAFETY: `library` is open and the name ends with zero.
    let address = unsafe { dlsym(library, name.as_ptr()) };
    if address.is_null() {
        return Err(why());
    }
    // SAFETY: the caller says so.
    Ok(unsafe { std::mem::transmute_copy(&address) })
}

fn checked(code: c_int) -> Result<(), Error> {
    if code == 0 { Ok(()) } else { Err(Error(code)) }
}

impl Nvrtc {
    /// Opens it.
    ///
    /// # Errors
    /// Says what the loader says.
    pub fn open(path: &str) -> Result<Self, String> {
        let file = CString::new(path).map_err(|error| error.to_string())?;
        // SAFETY: the types are those of nvrtc.h. The library stays open.
        unsafe {
            let library = dlopen(file.as_ptr(), NOW_AND_LOCAL);
            if library.is_null() {
                return Err(why());
            }
            Ok(Self {
                version: symbol(library, c"nvrtcVersion")?,
                create: symbol(library, c"nvrtcCreateProgram")?,
                destroy: symbol(library, c"nvrtcDestroyProgram")?,
                compile: symbol(library, c"nvrtcCompileProgram")?,
                ptx_size: symbol(library, c"nvrtcGetPTXSize")?,
                ptx: symbol(library, c"nvrtcGetPTX")?,
                log_size: symbol(library, c"nvrtcGetProgramLogSize")?,
                log: symbol(library, c"nvrtcGetProgramLog")?,
            })
        }
    }

    pub fn version(&self) -> (u32, u32) {
        let (mut major, mut minor) = (0, 0);
        // SAFETY: both outlive the call.
        unsafe { (self.version)(&mut major, &mut minor) };
        (major as u32, minor as u32)
    }

    /// Compiles. A program with an error in it is an outcome; what NVRTC refuses otherwise is an error.
    ///
    /// # Errors
    /// What NVRTC returned.
    pub fn compile(&self, source: &str, options: &[String]) -> Result<Outcome, Error> {
        let source = c_text(source);
        let options: Vec<CString> = options.iter().map(|option| c_text(option)).collect();
        let pointers: Vec<*const c_char> = options.iter().map(|option| option.as_ptr()).collect();
        let (mut program, none) = (std::ptr::null_mut(), std::ptr::null());
        // SAFETY: all texts end with zero and outlive the calls; sizes are asked for before texts.
        unsafe {
            checked((self.create)(&mut program, source.as_ptr(), none, 0, none.cast(), none.cast()))?;
            let code = (self.compile)(program, pointers.len() as c_int, pointers.as_ptr());
            let log = self.text(program, self.log_size, self.log)?;
            let ptx = if code == 0 { Some(self.text(program, self.ptx_size, self.ptx)?) } else { None };
            checked((self.destroy)(&mut program))?;
            match code {
                0 | 6 => Ok(Outcome { ptx, log }),
                code => Err(Error(code)),
            }
        }
    }

    unsafe fn text(
        &self,
        program: Handle,
        size: unsafe extern "C" fn(Handle, *mut usize) -> c_int,
        text: unsafe extern "C" fn(Handle, *mut c_char) -> c_int,
    ) -> Result<CString, Error> {
        let mut bytes = 0;
        // SAFETY: the caller gives a live program and two functions that belong together.
        let buffer = unsafe {
            checked(size(program, &mut bytes))?;
            let mut buffer = vec![0_u8; bytes.max(1)];
            checked(text(program, buffer.as_mut_ptr().cast()))?;
            buffer
        };
        CStr::from_bytes_until_nul(&buffer).map(CStr::to_owned).map_err(|_| INTERNAL)
    }
}
