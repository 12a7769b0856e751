//! Modules: PTX that is loaded, and the functions in it.

use super::{
    api, context, driver, error,
    error::Answer,
    give,
    handle::Handle,
    header::{Header, Kernel},
    stream,
};
use crate::{
    cards::{REGISTERS, SHARED_DEFAULT, THREADS_PER_BLOCK},
    ptx,
    ptx_version::ptx_version,
};
use std::{
    ffi::{CStr, c_char, c_int, c_uint, c_void},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering},
    },
};

/// A loaded module.
pub struct Module {
    pub board: usize,
    header: Header,
    /// As the interpreter has it, unless launches do nothing.
    parsed: Option<ptx::module::Module>,
    /// Handles that were given for its functions.
    functions: Mutex<Vec<usize>>,
}

/// A function of a module.
pub struct Function {
    pub board: usize,
    /// `.version` and `.target` of its module.
    version: (u32, u32),
    pub kernel: Kernel,
    pub executable: Option<Arc<ptx::module::Kernel>>,
    /// How much dynamic shared memory a launch may ask for.
    pub most_shared: AtomicU32,
}

/// Loads a text. What is wrong with it goes to the log: the code that is returned says little.
fn load(to: *mut Handle, text: &str) -> Answer {
    let context = context::current()?;
    stream::potentially_unsafe("cuModuleLoadData")?;
    let driver = driver();
    let refuse = |why: String, error| {
        driver.report.finding(&why);
        Err(error)
    };
    let Some(header) = Header::read(text) else {
        return refuse("a module is no PTX".to_owned(), error::INVALID_IMAGE);
    };
    let (newest, is) = (ptx_version(driver.settings.driver), header.version);
    if is > newest {
        return refuse(
            format!("PTX {}.{} is newer than the driver, which knows up to {}.{}", is.0, is.1, newest.0, newest.1),
            error::UNSUPPORTED_PTX_VERSION,
        );
    }
    let card = &context.board().card;
    if !header.target.runs_on(card.sm) {
        return refuse(
            format!("PTX for {:?} does not run on compute capability {}", header.target, card.sm),
            error::NO_BINARY_FOR_GPU,
        );
    }
    let most = |kernel: &&Kernel| kernel.shared > SHARED_DEFAULT;
    if let Some(kernel) = header.kernels.iter().find(most) {
        return refuse(
            format!("{} declares {} bytes of shared memory of 48 KiB", kernel.name, kernel.shared),
            error::INVALID_PTX,
        );
    }
    let parsed = match driver.settings.execute.then(|| ptx::module::Module::parse(text)).transpose() {
        Ok(parsed) => parsed,
        Err(why) => {
            driver.report.fault(&format!("PTX that the interpreter can't read: {why}"));
            return Err(error::INVALID_PTX);
        }
    };
    let module = Module { board: context.board, header, parsed, functions: Mutex::default() };
    give(to, driver.modules.insert(module))
}

/// What a function has of an attribute, `CUfunction_attribute`.
fn attribute(function: &Function, attribute: c_int) -> Answer<u32> {
    let threads = function.kernel.exact_threads.map(|threads| threads.iter().product());
    let sm = driver().boards[function.board].card.sm;
    Ok(match attribute {
        0 => threads.or(function.kernel.most_threads).unwrap_or(THREADS_PER_BLOCK),
        1 => function.kernel.shared,
        3 => function.executable.as_ref().map_or(0, |kernel| kernel.local_bytes),
        // Nobody knows what ptxas would take; as many as it may.
        4 => function.kernel.most_registers.unwrap_or(REGISTERS / THREADS_PER_BLOCK),
        5 => function.version.0 * 10 + function.version.1,
        6 => sm,
        8 => function.most_shared.load(Ordering::Acquire),
        2 | 7 | 9..=17 => 0,
        _ => return Err(error::INVALID_VALUE),
    })
}

/// `CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES`.
const MAX_DYNAMIC_SHARED: c_int = 8;

api! {
    fn cuModuleLoadData(module: *mut Handle, image: *const c_void) {
        if image.is_null() {
            return Err(error::INVALID_VALUE);
        }
        load(module, &CStr::from_ptr(image.cast()).to_string_lossy())
    }

    fn cuModuleLoadDataEx(
        module: *mut Handle, image: *const c_void, _count: c_uint, _options: *mut c_int, _values: *mut *mut c_void,
    ) {
        if image.is_null() {
            return Err(error::INVALID_VALUE);
        }
        load(module, &CStr::from_ptr(image.cast()).to_string_lossy())
    }

    fn cuModuleLoad(module: *mut Handle, file: *const c_char) {
        let path = CStr::from_ptr(file).to_string_lossy();
        load(module, &std::fs::read_to_string(&*path).map_err(|_| error::FILE_NOT_FOUND)?)
    }

    fn cuModuleUnload(module: Handle) {
        let removed = driver().modules.remove(module)?;
        driver().schedule.wait_all(removed.board);
        for function in super::locked(&removed.functions).drain(..) {
            driver().functions.remove(std::ptr::without_provenance_mut(function))?;
        }
        Ok(())
    }

    fn cuModuleGetFunction(function: *mut Handle, module: Handle, name: *const c_char) {
        let module = driver().modules.get(module)?;
        let name = CStr::from_ptr(name).to_string_lossy();
        let kernel = module.header.kernels.iter().find(|kernel| kernel.name == name).ok_or(error::NOT_FOUND)?;
        let executable = match &module.parsed {
            Some(parsed) => Some(parsed.kernel(&name).ok_or(error::NOT_FOUND)?),
            None => None,
        };
        let handle = driver().functions.insert(Function {
            board: module.board,
            version: module.header.version,
            kernel: kernel.clone(),
            executable,
            most_shared: AtomicU32::new(SHARED_DEFAULT - kernel.shared),
        });
        super::locked(&module.functions).push(handle.addr());
        give(function, handle)
    }

    fn cuModuleGetGlobal_v2(address: *mut u64, bytes: *mut usize, module: Handle, name: *const c_char) {
        let module = driver().modules.get(module)?;
        let name = CStr::from_ptr(name).to_string_lossy();
        let found = module.parsed.as_ref().and_then(|parsed| parsed.global(&name));
        let (start, length) = found.ok_or(error::NOT_FOUND)?;
        if !address.is_null() {
            give(address, start)?;
        }
        if bytes.is_null() { Ok(()) } else { give(bytes, length as usize) }
    }

    fn cuFuncGetAttribute(value: *mut c_int, attribute_: c_int, function: Handle) {
        give(value, attribute(&*driver().functions.get(function)?, attribute_)? as c_int)
    }

    fn cuFuncSetAttribute(function: Handle, attribute_: c_int, value: c_int) {
        context::current()?;
        let function = driver().functions.get(function)?;
        if attribute_ != MAX_DYNAMIC_SHARED {
            return attribute(&function, attribute_).map(|_| ());
        }
        let most = driver().boards[function.board].card.shared_per_block - function.kernel.shared;
        let asked = u32::try_from(value).map_err(|_| error::INVALID_VALUE)?;
        if asked > most {
            driver().report.finding(&format!(
                "{} asks for {asked} bytes of dynamic shared memory, and the card has {most} for it",
                function.kernel.name
            ));
            return Err(error::INVALID_VALUE);
        }
        function.most_shared.store(asked, Ordering::Release);
        Ok(())
    }

    fn cuFuncSetCacheConfig(function: Handle, _config: c_int) {
        driver().functions.get(function).map(|_| ())
    }


    fn cuModuleGetLoadingMode(mode: *mut c_int) {
        // CU_MODULE_EAGER_LOADING
        give(mode, 1)
    }
}
