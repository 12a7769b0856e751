//! The driver as a program calls it, with launches that do nothing. Each test takes a card of its own, since what goes wrong
//! on one stays. Captures are those of their thread, since a global one forbids the other tests their calls.

use super::{
    context::*,
    copy::*,
    error::{self, Error},
    event::*,
    graph::*,
    handle::Handle,
    init::*,
    launch::*,
    memory::*,
    module::*,
    stream::*,
    *,
};
use std::{
    ffi::{CString, c_uint, c_void},
    ptr::{null, null_mut},
};

/// The settings of the tests.
pub fn settings() -> Settings {
    let pairs = [
        ("FAKE_CUDA_CARDS", "sm_90,sm_90,sm_80,sm_80,sm_75,sm_75,sm_86,sm_86"),
        ("FAKE_CUDA_MEMORY", "64MiB"),
        ("FAKE_CUDA_EXECUTE", "0"),
        ("FAKE_CUDA_LOG", "/dev/null"),
    ];
    Settings::read(|name| pairs.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned())).unwrap()
}

const THREAD_LOCAL: c_int = 1;

/// Calls a function that gives something through its first argument.
fn got<T>(empty: T, function: impl FnOnce(*mut T) -> c_int) -> Answer<T> {
    let mut value = empty;
    match function(&mut value) {
        0 => Ok(value),
        code => Err(Error(code)),
    }
}

fn handle(function: impl FnOnce(*mut Handle) -> c_int) -> Answer<Handle> {
    got(null_mut(), function)
}

/// A program that uses one card.
struct Program;

// SAFETY (here and below): places for results outlive the calls, and arrays are as long as they are said to be.
impl Program {
    fn on(card: c_int) -> Self {
        unsafe {
            assert_eq!(cuInit(0), 0);
            let context = handle(|to| cuDevicePrimaryCtxRetain(to, card)).unwrap();
            assert_eq!(cuCtxSetCurrent(context), 0);
        }
        Self
    }

    fn memory(&self, bytes: usize) -> Answer<u64> {
        got(0, |to| unsafe { cuMemAlloc_v2(to, bytes) })
    }

    fn stream(&self) -> Handle {
        handle(|to| unsafe { cuStreamCreate(to, 1) }).unwrap()
    }

    fn event(&self) -> Handle {
        handle(|to| unsafe { cuEventCreate(to, 0) }).unwrap()
    }

    fn kernel(&self, ptx: &str, name: &str) -> Answer<Handle> {
        let (ptx, name) = (CString::new(ptx).unwrap(), CString::new(name).unwrap());
        let module = handle(|to| unsafe { cuModuleLoadData(to, ptx.as_ptr().cast()) })?;
        handle(|to| unsafe { cuModuleGetFunction(to, module, name.as_ptr()) })
    }

    /// Launches with one pointer as parameter.
    fn launch(&self, kernel: Handle, threads: c_uint, shared: c_uint, stream: Handle, mut pointer: u64) -> c_int {
        let mut parameters = [(&raw mut pointer).cast::<c_void>()];
        unsafe { cuLaunchKernel(kernel, 4, 1, 1, threads, 1, 1, shared, stream, parameters.as_mut_ptr(), null_mut()) }
    }
}

const FILL: &str = ".version 8.0\n.target sm_75\n.address_size 64\n\
    .visible .entry fill(.param .u64 out)\n.maxntid 512\n{ .shared .align 4 .b8 tile[1024]; ret; }\n";

#[test]
fn memory_is_allocated_copied_and_given_back() {
    let program = Program::on(0);
    let memory = program.memory(1000).unwrap();
    let (mut out, mut inside) = ([0_u8; 1000], [7_u8; 1000]);
    inside[999] = 9;
    unsafe {
        assert_eq!(cuMemcpyHtoD_v2(memory, inside.as_ptr().cast(), 1000), 0);
        assert_eq!(cuMemsetD32_v2(memory, 0x0102_0304, 2), 0);
        assert_eq!(cuMemcpyDtoH_v2(out.as_mut_ptr().cast(), memory, 1000), 0);
        assert_eq!((out[..5].to_vec(), out[8], out[999]), (vec![4, 3, 2, 1, 4], 7, 9));
        // Beyond the end, though the page has more.
        assert_eq!(cuMemcpyDtoH_v2(out.as_mut_ptr().cast(), memory + 1, 1000), error::INVALID_VALUE.0);
        let (free, total) = (got(0, |to| cuMemGetInfo_v2(to, &mut 0)).unwrap(), 64 << 20);
        assert_eq!(free, total - 1024);
        assert_eq!(program.memory(free + 1), Err(error::OUT_OF_MEMORY));
        assert_eq!(cuMemFree_v2(memory + 8), error::INVALID_VALUE.0, "not its beginning");
        assert_eq!(cuMemFree_v2(memory), 0);
        assert_eq!(cuMemFree_v2(memory), error::INVALID_VALUE.0, "twice");
        assert_eq!(cuMemcpyDtoH_v2(out.as_mut_ptr().cast(), memory, 4), error::INVALID_VALUE.0, "after free");
        assert!(program.memory(total).is_ok());
    }
}

#[test]
fn rows_are_copied_with_their_pitch() {
    let program = Program::on(7);
    let memory = program.memory(1024).unwrap();
    let pinned = got(null_mut(), |to| unsafe { cuMemAllocHost_v2(to, 64) }).unwrap().cast::<u8>();
    let stream = program.stream();
    unsafe {
        (0..64).for_each(|at| pinned.add(at).write(at as u8));
        // Two rows of 3 bytes, 32 apart, to two rows 512 apart.
        let copy = Copy2d::to_card(pinned.cast(), 32, memory, 512, 3, 2);
        assert_eq!(cuMemcpy2DAsync_v2(&copy, stream), 0);
        assert_eq!(cuStreamSynchronize(stream), 0);
        let mut row = [0_u8; 4];
        assert_eq!(cuMemcpyDtoH_v2(row.as_mut_ptr().cast(), memory + 512, 4), 0);
        assert_eq!(row, [32, 33, 34, 0]);
        assert_eq!(cuMemFreeHost(pinned.cast()), 0);
        assert_eq!(cuMemFree_v2(memory), 0);
    }
}

#[test]
fn events_measure_the_devices_time_and_order_streams() {
    let program = Program::on(1);
    let (one, two) = (program.stream(), program.stream());
    let (begin, end) = (program.event(), program.event());
    let memory = program.memory(32 << 20).unwrap();
    let elapsed = |to: *mut f32| unsafe { cuEventElapsedTime(to, begin, end) };
    unsafe {
        assert_eq!(got(0.0, elapsed), Err(error::INVALID_HANDLE), "never recorded");
        assert_eq!(cuEventRecord(begin, one), 0);
        assert_eq!(cuMemsetD8Async(memory, 1, 32 << 20, one), 0);
        assert_eq!(cuEventRecord(end, one), 0);
        assert_eq!(cuStreamWaitEvent(two, end, 0), 0);
        assert_eq!(cuStreamSynchronize(two), 0);
        assert_eq!(cuEventQuery(end), 0, "the other stream waited for it");
        let milliseconds = got(0.0, elapsed).unwrap();
        assert!((0.01..0.1).contains(&milliseconds), "32 MiB at terabytes a second: {milliseconds}");
        assert_eq!(cuEventDestroy_v2(end), 0);
        assert_eq!(got(0.0, elapsed), Err(error::INVALID_HANDLE), "destroyed");
        assert_eq!(cuEventRecord(one, begin), error::INVALID_HANDLE.0, "a stream is no event");
    }
}

#[test]
fn memory_that_a_stream_frees_is_gone_in_its_order() {
    let program = Program::on(2);
    let stream = program.stream();
    unsafe {
        let memory = got(0, |to| cuMemAllocAsync(to, 4096, stream)).unwrap();
        assert_eq!(cuMemsetD8Async(memory, 1, 4096, stream), 0);
        assert_eq!(cuMemFreeAsync(memory, stream), 0);
        assert_eq!(cuStreamSynchronize(stream), 0);
        assert_eq!(cuMemsetD8Async(memory, 1, 4096, stream), error::INVALID_VALUE.0);

        // Issued while it was there, done when it was not: an illegal access, which stays.
        let memory = got(0, |to| cuMemAllocAsync(to, 4096, stream)).unwrap();
        let graph = {
            assert_eq!(cuStreamBeginCapture_v2(stream, THREAD_LOCAL), 0);
            assert_eq!(cuMemsetD8Async(memory, 1, 4096, stream), 0);
            handle(|to| cuStreamEndCapture(stream, to)).unwrap()
        };
        let executable = handle(|to| cuGraphInstantiateWithFlags(to, graph, 0)).unwrap();
        assert_eq!(cuMemFreeAsync(memory, stream), 0);
        assert_eq!(cuGraphLaunch(executable, stream), 0, "nobody knows yet");
        assert_eq!(cuStreamSynchronize(stream), error::ILLEGAL_ADDRESS.0);
        assert_eq!(program.memory(16), Err(error::ILLEGAL_ADDRESS));
    }
}

#[test]
fn a_graph_replays_what_was_captured_and_minds_its_memory() {
    let program = Program::on(3);
    let (stream, kernel) = (program.stream(), program.kernel(FILL, "fill").unwrap());
    let memory = program.memory(4096).unwrap();
    unsafe {
        assert_eq!(cuStreamBeginCapture_v2(stream, THREAD_LOCAL), 0);
        assert_eq!(program.launch(kernel, 128, 0, stream, memory), 0);
        assert_eq!(cuMemsetD8Async(memory, 5, 16, stream), 0);
        let graph = handle(|to| cuStreamEndCapture(stream, to)).unwrap();
        let mut nodes = [null_mut(); 4];
        let mut count = 4;
        assert_eq!(cuGraphGetNodes(graph, nodes.as_mut_ptr(), &mut count), 0);
        let kinds = nodes[..count].iter().map(|node| got(-1, |to| cuGraphNodeGetType(*node, to)).unwrap());
        assert_eq!(kinds.collect::<Vec<_>>(), [0, 2]);
        let executable = handle(|to| cuGraphInstantiateWithFlags(to, graph, 0)).unwrap();
        assert_eq!(cuGraphDestroy(graph), 0);
        let mut first = 0_u8;
        assert_eq!(cuMemsetD8Async(memory, 0, 16, stream), 0);
        assert_eq!(cuGraphLaunch(executable, stream), 0);
        assert_eq!(cuMemcpyDtoHAsync_v2((&raw mut first).cast(), memory, 1, stream), 0);
        assert_eq!(first, 5, "a copy to pageable memory is done when it returns");
        assert_eq!(cuMemFree_v2(memory), 0);
        assert_eq!(cuGraphLaunch(executable, stream), 0);
        assert_eq!(
            cuStreamSynchronize(stream),
            error::ILLEGAL_ADDRESS.0,
            "the kernel's parameter points to freed memory"
        );
    }
}

#[test]
fn a_capture_is_invalidated_by_calls_that_it_forbids() {
    let program = Program::on(4);
    let (stream, event) = (program.stream(), program.event());
    let memory = program.memory(64).unwrap();
    let forbidden: [(&str, &dyn Fn() -> c_int); 5] = [
        ("cuMemAlloc", &|| program.memory(64).map_or_else(|error| error.0, |_| 0)),
        ("cuStreamSynchronize", &|| unsafe { cuStreamSynchronize(stream) }),
        ("cuCtxSynchronize", &|| unsafe { cuCtxSynchronize() }),
        ("cuMemcpyHtoD", &|| unsafe { cuMemcpyHtoD_v2(memory, [0_u8; 4].as_ptr().cast(), 4) }),
        ("cuModuleLoadData", &|| program.kernel(FILL, "fill").map_or_else(|error| error.0, |_| 0)),
    ];
    for (name, call) in forbidden {
        unsafe {
            assert_eq!(cuStreamBeginCapture_v2(stream, THREAD_LOCAL), 0);
            assert_eq!(call(), error::STREAM_CAPTURE_UNSUPPORTED.0, "{name}");
            assert_eq!(cuEventRecord(event, stream), 0);
            assert_eq!(got(0, |to| cuStreamIsCapturing(stream, to)), Ok(2));
            assert_eq!(handle(|to| cuStreamEndCapture(stream, to)), Err(error::STREAM_CAPTURE_INVALIDATED), "{name}");
        }
    }
    unsafe {
        assert_eq!(cuEventSynchronize(event), error::CAPTURED_EVENT.0);
        assert_eq!(cuEventRecord(event, stream), 0);
        assert_eq!(cuEventSynchronize(event), 0);
    }
}

#[test]
fn a_graph_that_keeps_memory_is_launched_once() {
    let program = Program::on(4);
    let stream = program.stream();
    unsafe {
        assert_eq!(cuStreamBeginCapture_v2(stream, THREAD_LOCAL), 0);
        let memory = got(0, |to| cuMemAllocAsync(to, 4096, stream)).unwrap();
        assert_eq!(cuMemsetD8Async(memory, 1, 4096, stream), 0);
        let graph = handle(|to| cuStreamEndCapture(stream, to)).unwrap();
        let executable = handle(|to| cuGraphInstantiateWithFlags(to, graph, 0)).unwrap();
        assert_eq!(cuGraphLaunch(executable, stream), 0);
        assert_eq!(cuGraphLaunch(executable, stream), error::INVALID_VALUE.0);
        assert_eq!(cuStreamSynchronize(stream), 0);
    }
}

#[test]
fn a_launch_keeps_to_the_limits() {
    let program = Program::on(5);
    let (stream, kernel) = (program.stream(), program.kernel(FILL, "fill").unwrap());
    let memory = program.memory(64).unwrap();
    let refused = error::INVALID_VALUE.0;
    assert_eq!(program.launch(kernel, 512, 0, stream, memory), 0);
    assert_eq!(program.launch(kernel, 513, 0, stream, memory), refused, ".maxntid");
    assert_eq!(program.launch(kernel, 0, 0, stream, memory), refused);
    assert_eq!(program.launch(kernel, 32, 48 << 10, stream, memory), refused, "with its static 1 KiB");
    unsafe {
        // A T4 has 64 KiB, and the kernel declares one of them.
        assert_eq!(cuFuncSetAttribute(kernel, 8, 64 << 10), refused);
        assert_eq!(cuFuncSetAttribute(kernel, 8, 63 << 10), 0);
        assert_eq!(program.launch(kernel, 32, 63 << 10, stream, memory), 0);
        assert_eq!(
            cuLaunchKernel(kernel, 1, 1, 1, 32, 1, 1, 0, stream, null_mut(), null_mut()),
            refused,
            "no parameters"
        );
        let mut nowhere = [std::ptr::without_provenance_mut::<c_void>(8)];
        let code = cuLaunchKernel(kernel, 1, 1, 1, 32, 1, 1, 0, stream, nowhere.as_mut_ptr(), null_mut());
        assert_eq!(code, refused, "a parameter that points nowhere");
        assert_eq!(
            cuLaunchKernel(kernel, 1, 65_536, 1, 32, 1, 1, 0, stream, nowhere.as_mut_ptr(), null_mut()),
            refused
        );
        assert_eq!(cuStreamSynchronize(stream), 0);
    }
}

#[test]
fn ptx_that_the_driver_or_the_card_does_not_take_is_refused() {
    let program = Program::on(6);
    let of = |version: &str, target: &str| {
        program.kernel(&FILL.replace("8.0", version).replace("sm_75", target), "fill").err()
    };
    assert_eq!(of("8.0", "sm_75"), None);
    assert_eq!(of("9.9", "sm_75"), Some(error::UNSUPPORTED_PTX_VERSION));
    assert_eq!(of("8.0", "sm_90"), Some(error::NO_BINARY_FOR_GPU));
    assert_eq!(of("8.0", "sm_80a"), Some(error::NO_BINARY_FOR_GPU));
    assert_eq!(program.kernel("int main() {}", "main").err(), Some(error::INVALID_IMAGE));
    assert_eq!(program.kernel(FILL, "spill").err(), Some(error::NOT_FOUND));
}

#[test]
fn a_thread_without_a_context_waits_for_events_all_the_same() {
    let program = Program::on(7);
    let (stream, event) = (program.stream(), program.event());
    assert_eq!(unsafe { cuEventRecord(event, stream) }, 0);
    let event = event.addr();
    let other = std::thread::spawn(move || unsafe {
        let event = std::ptr::without_provenance_mut(event);
        (cuEventSynchronize(event), cuCtxSynchronize(), cuMemAlloc_v2(&mut 0, 16))
    });
    let none = error::INVALID_CONTEXT.0;
    assert_eq!(other.join().unwrap(), (0, none, none));
}

#[test]
fn functions_are_found_by_their_newest_name() {
    let find = |name: &std::ffi::CStr, version| handle(|to| unsafe { cuGetProcAddress(name.as_ptr(), to, version, 0) });
    assert_eq!(find(c"cuNothing", 12_000), Err(error::NOT_FOUND));
    assert_eq!(find(c"cuMemAlloc", 99_000), Err(error::NOT_FOUND), "a newer driver's");
    let mut text = null();
    assert_eq!(unsafe { error::cuGetErrorName(222, &mut text) }, 0);
    let name = unsafe { std::ffi::CStr::from_ptr(text) };
    assert_eq!(name, c"CUDA_ERROR_UNSUPPORTED_PTX_VERSION");
    assert_eq!(unsafe { error::cuGetErrorName(12_345, &mut text) }, error::INVALID_VALUE.0);
}
