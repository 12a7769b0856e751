//! What `cuModuleLoadData` loads: the kernels of a text of PTX and the memory of its variables.

use super::{
    instruction::{Function, Parameter, Space, Variable},
    parser,
};
use std::{
    any::Any,
    collections::BTreeMap,
    fmt,
    sync::{Arc, OnceLock},
};

/// Why a text is no PTX that this interpreter knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParseError {
    pub line: u32,
    pub what: String,
}

impl ParseError {
    pub fn new(line: u32, what: impl Into<String>) -> Self {
        Self { line, what: what.into() }
    }
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {} of the PTX: {}", self.line, self.what)
    }
}

impl std::error::Error for ParseError {}

/// Memory of a module: its `.global` and `.const` variables, one behind the other.
///
/// Kernels write into it while others read, as they do on a card, so it is only reached through its address.
#[derive(Debug)]
pub struct Globals {
    memory: Box<[u128]>,
    bytes: u64,
    offsets: Vec<(u64, u64)>,
}

impl Globals {
    /// The alignment of the memory as a whole.
    const ALIGN: u64 = 16;

    fn new(variables: &[Variable]) -> Self {
        let mut offsets = Vec::new();
        let mut end = 0_u64;
        for variable in variables {
            if variable.space != Space::Global {
                offsets.push((0, 0));
                continue;
            }
            let offset = end.next_multiple_of(u64::from(variable.align).max(1));
            offsets.push((offset, variable.bytes));
            end = offset + variable.bytes;
        }
        let mut memory = vec![0_u128; end.div_ceil(Self::ALIGN) as usize].into_boxed_slice();
        for (variable, (offset, _)) in variables.iter().zip(&offsets) {
            for (index, byte) in variable.initial.iter().enumerate() {
                let at = *offset as usize + index;
                memory[at / 16] |= u128::from(*byte) << (at % 16 * 8);
            }
        }
        Self { memory, bytes: end, offsets }
    }

    /// The address of a variable of the module.
    pub fn address(&self, variable: usize) -> u64 {
        self.start() + self.offsets[variable].0
    }

    /// The first address.
    pub fn start(&self) -> u64 {
        self.memory.as_ptr() as u64
    }

    /// Whether these bytes lie in it.
    pub fn holds(&self, address: u64, bytes: u64) -> bool {
        address >= self.start() && address - self.start() + bytes <= self.bytes
    }
}

/// A kernel: what `cuModuleGetFunction` gives and a launch executes.
pub struct Kernel {
    pub name: String,
    /// In the order of the launch.
    pub parameters: Vec<Parameter>,
    /// How many bytes the parameters take together.
    pub parameter_bytes: u32,
    /// Local memory of a thread, without that of the functions it calls.
    pub local_bytes: u32,
    pub max_threads: Option<[u32; 3]>,
    pub required_threads: Option<[u32; 3]>,
    /// The tree, and those of the functions that it may call.
    pub function: Arc<Function>,
    pub functions: Arc<BTreeMap<String, Arc<Function>>>,
    /// Variables of the module; those in shared memory belong to each block.
    pub variables: Arc<Vec<Variable>>,
    pub globals: Arc<Globals>,
    source: Arc<str>,
    /// What the interpreter makes of it at its first launch.
    pub decoded: OnceLock<Box<dyn Any + Send + Sync>>,
}

impl fmt::Debug for Kernel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Kernel").field("name", &self.name).field("parameters", &self.parameters).finish_non_exhaustive()
    }
}

impl Kernel {
    /// The text of a line of the module, from 1.
    pub fn line(&self, line: u32) -> &str {
        let index = (line as usize).checked_sub(1);
        index.and_then(|index| self.source.lines().nth(index)).unwrap_or_default().trim()
    }
}

/// A module: what one text of PTX holds.
#[derive(Debug)]
pub struct Module {
    pub globals: Arc<Globals>,
    pub variables: Arc<Vec<Variable>>,
    kernels: BTreeMap<String, Arc<Kernel>>,
}

impl Module {
    /// Parses a text of PTX.
    ///
    /// # Errors
    /// Says which line can't be read and why.
    pub fn parse(source: &str) -> Result<Self, ParseError> {
        let parsed = parser::parse(source)?;
        let globals = Arc::new(Globals::new(&parsed.variables));
        let variables = Arc::new(parsed.variables);
        let functions = Arc::new(parsed.functions);
        let source: Arc<str> = source.into();
        let kernels = parsed.entries.into_iter().map(|entry| {
            let last = entry.parameters.last();
            let kernel = Kernel {
                name: entry.name.clone(),
                parameters: entry.parameters.clone(),
                parameter_bytes: last.map_or(0, |parameter| parameter.offset + parameter.bytes),
                local_bytes: layout(entry.variables.iter(), Space::Local).1,
                max_threads: entry.max_threads,
                required_threads: entry.required_threads,
                function: entry,
                functions: Arc::clone(&functions),
                variables: Arc::clone(&variables),
                globals: Arc::clone(&globals),
                source: Arc::clone(&source),
                decoded: OnceLock::new(),
            };
            (kernel.name.clone(), Arc::new(kernel))
        });
        let kernels = kernels.collect();
        Ok(Self { globals, variables, kernels })
    }

    /// The kernel of this name.
    pub fn kernel(&self, name: &str) -> Option<Arc<Kernel>> {
        self.kernels.get(name).cloned()
    }

    /// The address and the size of a variable, as `cuModuleGetGlobal` gives them.
    pub fn global(&self, name: &str) -> Option<(u64, u64)> {
        let found = self.variables.iter().position(|other| other.name == name && other.space == Space::Global)?;
        Some((self.globals.address(found), self.variables[found].bytes))
    }
}

/// Offsets of variables of one space that lie one behind the other, and the end of the last.
pub fn layout<'a>(variables: impl Iterator<Item = &'a Variable>, space: Space) -> (Vec<u32>, u32) {
    let mut end = 0;
    let offsets = variables.map(|variable| {
        if variable.space != space || variable.dynamic {
            return 0;
        }
        let offset = end_aligned(end, variable.align);
        end = offset + variable.bytes as u32;
        offset
    });
    let offsets = offsets.collect();
    (offsets, end)
}

fn end_aligned(end: u32, align: u32) -> u32 {
    end.next_multiple_of(align.max(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOURCE: &str = r#"
.version 8.8
.target sm_90a
.address_size 64
.global .align 4 .b8 table[8] = {1, 2, 3, 255};
.const .f32 ratio = 0f3F800000;
.shared .align 16 .b8 tile[64];
.extern .shared .align 16 .b8 more[];
.visible .entry kernel(.param .u64 .ptr .align 1 kernel_param_0, .param .align 4 .b8 kernel_param_1[12], .param .u64 x)
.maxntid 256, 1, 1
{
	.reg .b32 %r<3>;
	.shared .align 8 .b8 own[20];
	ld.param.u32 %r1, [kernel_param_1+4];
	ret;
}
"#;

    #[test]
    fn a_module_knows_its_kernels_and_its_variables() {
        let module = Module::parse(SOURCE).unwrap();
        let kernel = module.kernel("kernel").unwrap();
        let offsets: Vec<_> = kernel.parameters.iter().map(|parameter| (parameter.offset, parameter.bytes)).collect();
        assert_eq!((offsets, kernel.parameter_bytes), (vec![(0, 8), (8, 12), (24, 8)], 32));
        assert_eq!(kernel.max_threads, Some([256, 1, 1]));
        let (offsets, end) = layout(module.variables.iter().chain(&kernel.function.variables), Space::Shared);
        assert_eq!((offsets.last(), end), (Some(&64), 64 + 20));
        assert_eq!(kernel.line(14), "ld.param.u32 %r1, [kernel_param_1+4];");
        let (address, bytes) = module.global("table").unwrap();
        assert_eq!((bytes, module.globals.holds(address, 8), module.globals.holds(address + 12, 8)), (8, true, false));
        assert!(module.kernel("other").is_none());
    }

    #[test]
    fn what_is_no_ptx_is_refused_with_its_line() {
        let broken = SOURCE.replace("ld.param.u32 %r1,", "ld.param.u32 %nosuch,");
        let error = Module::parse(&broken).unwrap_err();
        assert_eq!(error.to_string(), "line 14 of the PTX: no register or variable is named %nosuch");
        assert!(Module::parse("{").is_err() && Module::parse("").is_err());
    }
}
