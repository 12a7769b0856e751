//! Kernels written by hand, each with what it must give or which rule it breaks.

mod arithmetic;
mod copies;
mod matrices;
mod rules;

use super::{Counts, Launch, execute};
use crate::{
    cards,
    fault::Fault,
    memory::{Allocations, Kind, Range},
    ptx::module::Module,
};

/// Memory of a test's card: it is this process's own.
pub struct Buffer {
    memory: Vec<u128>,
    bytes: u64,
}

impl Buffer {
    pub fn new(bytes: usize) -> Self {
        Self { memory: vec![0; bytes.div_ceil(16)], bytes: bytes as u64 }
    }

    pub fn of(bytes: &[u8]) -> Self {
        let mut buffer = Self::new(bytes.len());
        buffer.slice().copy_from_slice(bytes);
        buffer
    }

    pub fn words(words: &[u32]) -> Self {
        Self::of(&words.iter().flat_map(|word| word.to_le_bytes()).collect::<Vec<_>>())
    }

    pub fn singles(values: &[f32]) -> Self {
        Self::words(&values.iter().map(|value| value.to_bits()).collect::<Vec<_>>())
    }

    pub fn address(&self) -> u64 {
        self.memory.as_ptr() as u64
    }

    pub fn slice(&mut self) -> &mut [u8] {
        // SAFETY: the vector is at least so long, and bytes have no other alignment than 1.
        unsafe { std::slice::from_raw_parts_mut(self.memory.as_mut_ptr().cast(), self.bytes as usize) }
    }

    pub fn read_words(&mut self) -> Vec<u32> {
        self.slice().chunks_exact(4).map(|bytes| u32::from_le_bytes(bytes.try_into().unwrap())).collect()
    }

    pub fn read_singles(&mut self) -> Vec<f32> {
        self.read_words().into_iter().map(f32::from_bits).collect()
    }
}

/// A kernel `kernel` that is launched on buffers.
pub struct Test {
    source: String,
    pub grid: [u32; 3],
    pub block: [u32; 3],
    pub dynamic_shared: u32,
    pub strict: bool,
    pub threads: usize,
}

impl Test {
    /// A kernel with so many pointers as parameters, `%p0` and so on, and this body.
    pub fn new(pointers: usize, declarations: &str, body: &str) -> Self {
        let parameters: Vec<_> = (0..pointers).map(|index| format!(".param .u64 p{index}")).collect();
        let loads: String = (0..pointers).map(|index| format!("ld.param.u64 %p{index}, [p{index}];\n")).collect();
        let source = format!(
            ".version 8.8\n.target sm_90a\n.address_size 64\n{declarations}\n.visible .entry kernel({})\n{{\n\
             .reg .pred %q<16>; .reg .b16 %h<64>; .reg .b32 %r<96>; .reg .b64 %d<64>; .reg .b64 %p<8>; .reg .f32 %f<64>; \
             .reg .f64 %e<16>;\n{loads}{body}\nret;\n}}\n",
            parameters.join(", ")
        );
        Self::source(source)
    }

    pub fn source(source: String) -> Self {
        Self { source, grid: [1; 3], block: [32, 1, 1], dynamic_shared: 0, strict: true, threads: 1 }
    }

    pub fn source_mut(&mut self) -> &mut String {
        &mut self.source
    }

    pub fn block(self, threads: u32) -> Self {
        Self { block: [threads, 1, 1], ..self }
    }

    /// Runs the kernel. Buffers count as written if they are given as such.
    pub fn run(&self, buffers: &[(&Buffer, bool)]) -> Result<Counts, Fault> {
        let parameters = buffers.iter().flat_map(|(buffer, _)| buffer.address().to_le_bytes()).collect();
        self.run_with("kernel", buffers, parameters)
    }

    pub fn run_with(&self, name: &str, buffers: &[(&Buffer, bool)], parameters: Vec<u8>) -> Result<Counts, Fault> {
        let mut memory = Allocations::default();
        for ((buffer, written), id) in buffers.iter().zip(1..) {
            let range = Range::new(buffer.address(), buffer.bytes, id, Kind::Device, 0);
            if *written {
                range.mark_written(buffer.address(), buffer.bytes);
            }
            memory.insert(range);
        }
        let module = Module::parse(&self.source).unwrap_or_else(|error| panic!("{error}\n{}", self.source));
        let kernel = module.kernel(name).unwrap();
        let launch = Launch {
            kernel: &kernel,
            grid: self.grid,
            block: self.block,
            dynamic_shared: self.dynamic_shared,
            parameters,
            card: &cards::TABLE[0],
            strict: self.strict,
        };
        execute(&launch, &memory, self.threads)
    }

    /// Runs the kernel on buffers that are all written, and expects no fault.
    pub fn pass(&self, buffers: &[&Buffer]) -> Counts {
        let all: Vec<_> = buffers.iter().map(|buffer| (*buffer, true)).collect();
        self.run(&all).unwrap_or_else(|fault| panic!("{fault}"))
    }

    /// Runs the kernel and expects a fault whose text holds each of these.
    pub fn fail(&self, buffers: &[(&Buffer, bool)], expected: &[&str]) {
        let fault = self.run(buffers).expect_err("a fault was expected").to_string();
        for expected in expected {
            assert!(fault.contains(expected), "{fault}\ndoes not say: {expected}");
        }
        assert!(fault.contains("in kernel kernel, line "), "{fault}");
    }
}

/// Numbers that look random and are the same each time.
pub fn noise(count: usize, seed: u32) -> Vec<f32> {
    let mut state = seed.wrapping_mul(2_654_435_761).wrapping_add(1);
    let next = || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        (state >> 8) as f32 / (1 << 23) as f32 - 1.0
    };
    std::iter::repeat_with(next).take(count).collect()
}
