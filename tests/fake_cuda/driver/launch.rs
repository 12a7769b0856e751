//! Launches: what they must keep to, and how a kernel is run.

use super::{
    Board, api, clock::Load, context, demand::Doom, driver, error, error::Answer, give, handle::Handle,
    module::Function, stream, work::Work,
};
use crate::{
    cards::{REGISTERS, THREADS_PER_BLOCK, WARP},
    interpreter,
    memory::Described,
};
use std::{
    ffi::{c_int, c_uint, c_void},
    sync::{Arc, atomic::Ordering},
};

/// A kernel with all that it was launched with.
pub struct Kernel {
    function: Arc<Function>,
    grid: [u32; 3],
    block: [u32; 3],
    shared: u32,
    parameters: Vec<u8>,
    /// The allocations that its parameters point into, where it is part of a graph: they must live as long as that.
    uses: Vec<Described>,
}

/// What `cuLaunchKernel` is given beside the parameters.
#[derive(Clone, Copy, Debug)]
struct Shape {
    grid: [u32; 3],
    block: [u32; 3],
    shared: u32,
    cluster: Option<[u32; 3]>,
}

/// `CUlaunchConfig`.
#[repr(C)]
pub struct Config {
    grid: [c_uint; 3],
    block: [c_uint; 3],
    shared: c_uint,
    stream: Handle,
    attributes: *const Attribute,
    count: c_uint,
}

/// `CUlaunchAttribute`: a number, and 64 bytes that it says the meaning of.
#[repr(C)]
pub struct Attribute {
    id: c_int,
    padding: c_int,
    value: [u32; 16],
}

/// `CU_LAUNCH_ATTRIBUTE_CLUSTER_DIMENSION`.
const CLUSTER: c_int = 4;

unsafe extern "C" {
    fn process_vm_readv(
        process: c_int,
        to: *const IoVec,
        to_count: usize,
        from: *const IoVec,
        from_count: usize,
        flags: usize,
    ) -> isize;
    fn getpid() -> c_int;
}

#[repr(C)]
struct IoVec {
    start: *mut c_void,
    bytes: usize,
}

/// Reads memory of this process that may not be there. Whether it was.
fn read(from: *const c_void, to: &mut [u8]) -> bool {
    let target = IoVec { start: to.as_mut_ptr().cast(), bytes: to.len() };
    let source = IoVec { start: from.cast_mut(), bytes: to.len() };
    // SAFETY: the kernel writes into `to` alone, and answers with an error where `from` is not mapped.
    let copied = unsafe { process_vm_readv(getpid(), &target, 1, &source, 1, 0) };
    usize::try_from(copied) == Ok(to.len())
}

/// The parameters of a kernel, each at its offset.
///
/// Nobody says how many a caller gives: one that is missing shows where its pointer, or what it points to, is no memory.
fn parameters(function: &Function, pointers: *const *const c_void) -> Result<Vec<u8>, String> {
    let expected = &function.kernel.parameters;
    let end = expected.last().map_or(0, |last| last.offset + last.bytes);
    let mut bytes = vec![0; end as usize];
    for (index, parameter) in expected.iter().enumerate() {
        let missing = |what| format!("parameter {index} of {} is missing: {what}", expected.len());
        let mut pointer = [0; size_of::<usize>()];
        if pointers.is_null() || !read(pointers.wrapping_add(index).cast(), &mut pointer) {
            return Err(missing("there is no pointer to it"));
        }
        let place = &mut bytes[parameter.offset as usize..][..parameter.bytes as usize];
        if !read(std::ptr::with_exposed_provenance(usize::from_ne_bytes(pointer)), place) {
            return Err(missing("its pointer points to nothing"));
        }
    }
    Ok(bytes)
}

/// Whether a launch keeps to the limits of kernel and card.
fn check(function: &Function, shape: &Shape, board: &Board) -> Result<(), (String, error::Error)> {
    let [x, y, z] = shape.block;
    let threads = u64::from(x) * u64::from(y) * u64::from(z);
    let kernel = &function.kernel;
    let wrong = |why: String| Err((why, error::INVALID_VALUE));
    if threads == 0 || shape.grid.contains(&0) {
        return wrong("a grid or block of nothing".to_owned());
    }
    let most = kernel.most_threads.unwrap_or(THREADS_PER_BLOCK).min(THREADS_PER_BLOCK);
    if threads > u64::from(most) || z > 64 {
        return wrong(format!("a block of {threads} threads ({x}, {y}, {z}), and {most} is the most"));
    }
    if kernel.exact_threads.is_some_and(|exact| exact != shape.block) {
        return wrong(format!("a block of ({x}, {y}, {z}) and not of {:?}, which it requires", kernel.exact_threads));
    }
    if shape.grid[0] > i32::MAX as u32 || shape.grid[1] > 65_535 || shape.grid[2] > 65_535 {
        return wrong(format!("a grid of {:?}", shape.grid));
    }
    let allowed = function.most_shared.load(Ordering::Acquire);
    if shape.shared > allowed || kernel.shared + shape.shared > board.card.shared_per_block {
        return wrong(format!("{} bytes of dynamic shared memory, and {allowed} are allowed", shape.shared));
    }
    if let Some(registers) = kernel.most_registers
        && registers * (threads as u32).next_multiple_of(WARP) > REGISTERS
    {
        let why = format!("{threads} threads of {registers} registers, and a multiprocessor has {REGISTERS}");
        return Err((why, error::LAUNCH_OUT_OF_RESOURCES));
    }
    if let Some(cluster) = shape.cluster.or(kernel.cluster) {
        let whole = shape.grid.iter().zip(cluster).all(|(grid, cluster)| cluster > 0 && grid % cluster == 0);
        if board.card.sm < 90 || !whole || cluster.iter().product::<u32>() > 8 {
            return wrong(format!("a grid of {:?} in clusters of {cluster:?}", shape.grid));
        }
    }
    Ok(())
}

fn launch(
    function: Handle,
    shape: Shape,
    stream: Handle,
    pointers: *mut *mut c_void,
    extra: *mut *mut c_void,
) -> Answer {
    let driver = driver();
    let stream = stream::of(stream)?;
    let function = driver.functions.get(function)?;
    if function.board != stream.board {
        driver.report.finding(&format!("{} is launched on a card that it was not loaded on", function.kernel.name));
        return Err(error::INVALID_HANDLE);
    }
    let refuse = |(why, error): (String, error::Error)| {
        driver.report.finding(&format!("a launch of {} is refused: {why}", function.kernel.name));
        Err(error)
    };
    if !extra.is_null() {
        return refuse(("parameters in a buffer (extra) are not known here".to_owned(), error::NOT_SUPPORTED));
    }
    if let Err(wrong) = check(&function, &shape, &driver.boards[stream.board]) {
        return refuse(wrong);
    }
    let parameters = match parameters(&function, pointers.cast_const().cast()) {
        Ok(parameters) => parameters,
        Err(missing) => return refuse((missing, error::INVALID_VALUE)),
    };
    let uses = if stream::is_captured(&stream) { pointed_to(&function, &parameters) } else { Vec::new() };
    let Shape { grid, block, shared, .. } = shape;
    stream::submit(&stream, Work::Kernel(Arc::new(Kernel { function, grid, block, shared, parameters, uses })))
}

/// The live allocations that parameters of eight bytes point into.
fn pointed_to(function: &Function, parameters: &[u8]) -> Vec<Described> {
    let memory = driver().memory.snapshot();
    let pointers = function.kernel.parameters.iter().filter(|parameter| parameter.bytes == 8);
    pointers
        .filter_map(|parameter| {
            let bytes = parameters[parameter.offset as usize..][..8].try_into().ok()?;
            memory.find(u64::from_ne_bytes(bytes), 1).ok().map(crate::memory::Range::describe)
        })
        .collect()
}

impl Kernel {
    /// Runs it.
    ///
    /// # Errors
    /// What every later call on the card will return.
    pub fn run(&self, board: &Board) -> Answer<Load> {
        let driver = driver();
        let name = &self.function.kernel.name;
        match driver.demand.launch() {
            Some(Doom::Fail) => {
                driver.report.fault(&format!("{name} fails, as it was asked to"));
                return Err(error::LAUNCH_FAILED);
            }
            Some(Doom::Lost) => {
                driver.report.fault(&format!("the card falls off the bus at {name}, as it was asked to"));
                return Err(error::UNKNOWN);
            }
            Some(Doom::Hang) => {
                driver.report.fault(&format!("{name} does not end, as it was asked to"));
                loop {
                    std::thread::park();
                }
            }
            None => {}
        }
        let memory = driver.memory.of_card(self.function.board);
        for used in &self.uses {
            if memory.find(used.start, 1).is_err() {
                driver
                    .report
                    .fault(&format!("a graph is launched, and its kernel {name} uses {used}, which was freed"));
                return Err(error::ILLEGAL_ADDRESS);
            }
        }
        let blocks = self.grid.iter().map(|size| u64::from(*size)).product();
        let threads = self.block.iter().map(|size| u64::from(*size)).product();
        let load =
            Load { blocks, threads, shared: (self.shared + self.function.kernel.shared).into(), ..Load::default() };
        let Some(kernel) = &self.function.executable else {
            let nothing = interpreter::Counts { launches: 1, blocks, threads: blocks * threads, ..Default::default() };
            driver.report.count(name, &nothing);
            return Ok(load);
        };
        let launch = interpreter::Launch {
            kernel,
            grid: self.grid,
            block: self.block,
            dynamic_shared: self.shared,
            parameters: self.parameters.clone(),
            card: &board.card,
            strict: driver.settings.strict && !driver.settings.lenient.iter().any(|part| name.contains(part)),
        };
        match interpreter::execute(&launch, &memory, driver.settings.threads) {
            Ok(counts) => {
                driver.report.count(name, &counts);
                let bytes = (counts.global_read_sectors + counts.global_written_sectors) * 32;
                let (instructions, products) = (counts.lane_instructions, counts.tensor_products);
                Ok(Load { instructions: instructions.max(1), products, bytes, ..load })
            }
            Err(fault) => {
                driver.report.fault(&fault.to_string());
                Err(error::Error(fault.code))
            }
        }
    }
}

/// How many blocks of so many threads a multiprocessor holds.
fn resident(function: &Function, threads: u32, dynamic: usize) -> u32 {
    let card = &driver().boards[function.board].card;
    let threads = threads.max(1).next_multiple_of(WARP);
    let by_shared = u64::from(card.shared_per_multiprocessor)
        .checked_div(dynamic as u64 + u64::from(function.kernel.shared))
        .unwrap_or(u64::MAX);
    (card.threads_per_multiprocessor / threads).min(card.blocks_per_multiprocessor).min(by_shared.min(1 << 16) as u32)
}

api! {
    fn cuLaunchKernel(
        function: Handle, grid_x: c_uint, grid_y: c_uint, grid_z: c_uint, block_x: c_uint, block_y: c_uint,
        block_z: c_uint, shared: c_uint, stream: Handle, parameters: *mut *mut c_void, extra: *mut *mut c_void,
    ) {
        let (grid, block) = ([grid_x, grid_y, grid_z], [block_x, block_y, block_z]);
        launch(function, Shape { grid, block, shared, cluster: None }, stream, parameters, extra)
    }

    fn cuLaunchKernelEx(
        config: *const Config, function: Handle, parameters: *mut *mut c_void, extra: *mut *mut c_void,
    ) {
        let config = config.as_ref().ok_or(error::INVALID_VALUE)?;
        let mut attributes = (0..config.count as usize).map(|index| &*config.attributes.add(index));
        let cluster = attributes.rfind(|attribute| attribute.id == CLUSTER);
        let cluster = cluster.map(|attribute| [attribute.value[0], attribute.value[1], attribute.value[2]]);
        let shape = Shape { grid: config.grid, block: config.block, shared: config.shared, cluster };
        launch(function, shape, config.stream, parameters, extra)
    }

    fn cuLaunchCooperativeKernel(
        function: Handle, grid_x: c_uint, grid_y: c_uint, grid_z: c_uint, block_x: c_uint, block_y: c_uint,
        block_z: c_uint, shared: c_uint, stream: Handle, parameters: *mut *mut c_void,
    ) {
        let (grid, block) = ([grid_x, grid_y, grid_z], [block_x, block_y, block_z]);
        let of = driver().functions.get(function)?;
        let together = resident(&of, block.iter().product(), shared as usize)
            * driver().boards[of.board].card.multiprocessors;
        if grid.iter().product::<u32>() > together {
            return Err(error::COOPERATIVE_LAUNCH_TOO_LARGE);
        }
        launch(function, Shape { grid, block, shared, cluster: None }, stream, parameters, std::ptr::null_mut())
    }

    fn cuOccupancyMaxActiveBlocksPerMultiprocessor(
        blocks: *mut c_int, function: Handle, threads: c_int, dynamic: usize,
    ) {
        context::current()?;
        give(blocks, resident(&*driver().functions.get(function)?, threads.max(0) as u32, dynamic) as c_int)
    }

    fn cuOccupancyMaxActiveBlocksPerMultiprocessorWithFlags(
        blocks: *mut c_int, function: Handle, threads: c_int, dynamic: usize, _flags: c_uint,
    ) {
        context::current()?;
        give(blocks, resident(&*driver().functions.get(function)?, threads.max(0) as u32, dynamic) as c_int)
    }
}
