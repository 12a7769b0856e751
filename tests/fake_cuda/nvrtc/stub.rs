//! A compiler that compiles nothing: from a source in C++ it takes the kernels with their parameters, and writes PTX in which
//! they return at once.
//!
//! It knows as much C++ as the sources of CubeCL have around a kernel: `extern "C" __global__ void __launch_bounds__(256)
//! name(float* const __restrict__ a, __grid_constant__ info_st const info)`.

use super::{Error, INVALID_OPTION, Outcome, c_text, ptx_version::ptx_version};
use std::{collections::HashMap, fmt::Write, path::Path};

/// The architectures that a version compiles for.
pub fn architectures(version: (u32, u32)) -> Vec<u32> {
    let all = [50, 52, 53, 60, 61, 62, 70, 72, 75, 80, 86, 87, 89, 90, 100, 101, 103, 120, 121];
    let oldest = if version >= (13, 0) { 75 } else { 50 };
    // Those of Blackwell came with 12.8, two more of them with 12.9.
    let newest = |arch: &u32| match arch {
        103 | 121 => version >= (12, 9),
        100.. => version >= (12, 8),
        _ => true,
    };
    all.into_iter().filter(|arch| *arch >= oldest).filter(newest).collect()
}

/// A kernel as its declaration has it.
#[derive(Debug, Default, PartialEq, Eq)]
struct Kernel {
    name: String,
    /// Alignment and size of each parameter.
    parameters: Vec<(u32, u32)>,
    bounds: Option<String>,
    cluster: Option<String>,
}

/// Compiles a source.
///
/// # Errors
/// An architecture that this version does not know.
pub fn compile(source: &str, options: &[String], version: (u32, u32)) -> Result<Outcome, Error> {
    let value = |name: &str| options.iter().find_map(|option| option.strip_prefix(name));
    let target = value("--gpu-architecture=").or(value("-arch=")).unwrap_or("sm_75");
    let digits: String = target.chars().filter(char::is_ascii_digit).collect();
    if !digits.parse().is_ok_and(|arch| architectures(version).contains(&arch)) {
        return Err(INVALID_OPTION);
    }
    let folders: Vec<&Path> = options
        .iter()
        .filter_map(|option| option.strip_prefix("--include-path=").or(option.strip_prefix("-I")))
        .map(Path::new)
        .collect();
    let outcome = match missing_header(source, &folders) {
        Some(missing) => Err(format!("catastrophic error: could not open source file \"{missing}\"")),
        None => kernels(source).map(|kernels| ptx(&kernels, target, version)),
    };
    Ok(match outcome {
        Ok(ptx) => Outcome { ptx: Some(c_text(&ptx)), log: Default::default() },
        Err(why) => Outcome::refused(&format!("default_program(1): {why}\n")),
    })
}

/// The first header that is not there. Of what headers include themselves only those of `crt/` are looked for: they come in
/// a package of their own, and are what is forgotten.
fn missing_header(source: &str, folders: &[&Path]) -> Option<String> {
    let included = |text: &str| -> Vec<String> {
        let lines =
            text.lines().filter_map(|line| line.trim_start().strip_prefix('#')?.trim_start().strip_prefix("include"));
        lines.map(|name| name.trim().trim_matches(['<', '>', '"']).to_owned()).collect()
    };
    let find = |name: &str| folders.iter().map(|folder| folder.join(name)).find(|path| path.is_file());
    included(source).into_iter().find_map(|name| {
        let Some(path) = find(&name) else { return Some(name) };
        let text = std::fs::read_to_string(path).unwrap_or_default();
        included(&text).into_iter().find(|inner| inner.starts_with("crt/") && find(inner).is_none())
    })
}

/// The names of the kernels of a source.
pub fn kernel_names(source: &str) -> impl Iterator<Item = String> {
    kernels(source).unwrap_or_default().into_iter().map(|kernel| kernel.name)
}

/// The kernels of a source.
fn kernels(source: &str) -> Result<Vec<Kernel>, String> {
    let structs = structs(source)?;
    source.split("__global__").skip(1).map(|text| kernel(text, &structs)).collect()
}

/// What stands between the bracket at the beginning and the one that closes it, and what comes behind.
fn bracketed(text: &str) -> Option<(&str, &str)> {
    let mut depth = 0;
    for (at, c) in text.char_indices() {
        match c {
            '(' => depth += 1,
            ')' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return Some((&text[1..at], &text[at + 1..]));
        }
    }
    None
}

/// A kernel, from behind its `__global__`.
fn kernel(text: &str, structs: &HashMap<String, (u32, u32)>) -> Result<Kernel, String> {
    let mut kernel = Kernel::default();
    let mut rest = text;
    loop {
        let open = rest.find('(').ok_or("error: expected a \"(\"")?;
        let name = rest[..open].split_whitespace().last().unwrap_or_default();
        let (inside, behind) = bracketed(&rest[open..]).ok_or("error: expected a \")\"")?;
        match name {
            "__launch_bounds__" => kernel.bounds = inside.split(',').next().map(|bound| bound.trim().to_owned()),
            "__cluster_dims__" => kernel.cluster = Some(inside.to_owned()),
            _ => {
                kernel.name = name.to_owned();
                let parameters = inside.split(',').map(str::trim).filter(|parameter| !parameter.is_empty());
                kernel.parameters = parameters.map(|text| size_of_type(text, structs)).collect::<Result<_, _>>()?;
                return Ok(kernel);
            }
        }
        rest = behind;
    }
}

/// Alignment and size of a type, which may have a name and qualifiers around it.
fn size_of_type(text: &str, structs: &HashMap<String, (u32, u32)>) -> Result<(u32, u32), String> {
    if text.contains('*') {
        return Ok((8, 8));
    }
    let word = |word: &str| {
        let bytes = match word {
            "bool" | "char" | "int8_t" | "uint8_t" | "int8" | "uint8" => 1,
            "short" | "int16_t" | "uint16_t" | "__half" | "half" | "__nv_bfloat16" | "int16" | "uint16" => 2,
            "int" | "unsigned" | "float" | "int32_t" | "uint32_t" | "int32" | "uint32" | "uint" => 4,
            "__half2" | "__nv_bfloat162" => 4,
            "long" | "double" | "int64_t" | "uint64_t" | "int64" | "uint64" | "size_t" => 8,
            "CUtensorMap" => return Some((128, 128)),
            other => return structs.get(other).copied(),
        };
        Some((bytes, bytes))
    };
    // `unsigned long long` is what its last known word is.
    let known = text.split_whitespace().filter_map(word).max_by_key(|(_, bytes)| *bytes);
    known.ok_or_else(|| format!("error: the stub does not know the size of \"{text}\""))
}

/// The structures that are declared in a source and have members of known types only, with alignment and size.
fn structs(source: &str) -> Result<HashMap<String, (u32, u32)>, String> {
    let mut structs = HashMap::new();
    for text in source.split("struct ").skip(1) {
        let Some((name, rest)) = text.split_once('{') else { continue };
        let Some((body, _)) = rest.split_once('}') else { continue };
        let (mut align, mut end) = (1, 0_u32);
        let mut known = true;
        for member in body.split(';').map(str::trim).filter(|member| !member.is_empty()) {
            let (declared, count) = match member.split_once('[') {
                Some((declared, count)) => (declared, count.trim_end_matches(']').trim().parse().ok()),
                None => (member, Some(1)),
            };
            // A template's or an `alignas` structure is no parameter of a kernel.
            let (Ok((its, bytes)), Some(count)) = (size_of_type(declared, &structs), count) else {
                known = false;
                break;
            };
            let count: u32 = count;
            align = align.max(its);
            end = end.next_multiple_of(its) + bytes * count;
        }
        if known {
            structs.insert(name.trim().to_owned(), (align, end.next_multiple_of(align).max(1)));
        }
    }
    Ok(structs)
}

/// PTX of kernels that return at once.
fn ptx(kernels: &[Kernel], target: &str, version: (u32, u32)) -> String {
    let (major, minor) = ptx_version(version.0 * 1000 + version.1 * 10);
    let mut ptx = format!(".version {major}.{minor}\n.target {target}\n.address_size 64\n");
    for kernel in kernels {
        let name = &kernel.name;
        let parameters: Vec<String> = kernel
            .parameters
            .iter()
            .enumerate()
            .map(|(index, (align, bytes))| format!("\n\t.param .align {align} .b8 {name}_param_{index}[{bytes}]"))
            .collect();
        // Writing to a String does not fail.
        let _ = writeln!(ptx, "\n.visible .entry {name}({}\n)", parameters.join(","));
        if let Some(bounds) = &kernel.bounds {
            let _ = writeln!(ptx, ".maxntid {bounds}");
        }
        if let Some(cluster) = &kernel.cluster {
            let _ = writeln!(ptx, ".explicitcluster\n.reqnctapercluster {cluster}");
        }
        ptx.push_str("{\n\tret;\n}\n");
    }
    ptx
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOURCE: &str = r#"
typedef unsigned long long int uint64_t;
struct info_st {
    float scalars_f32[2];
uint32_t scalars_u32[4];uint64_t static_meta[6];
};
extern "C" __global__ void __launch_bounds__(256) __cluster_dims__(2, 1, 1) matmul_f16(
  float4* const __restrict__ buffer_0, __grid_constant__ CUtensorMap const buffer_1,
  __grid_constant__ info_st const info) {
    if (threadIdx.x == 0) { return; }
}
"#;

    fn options(arch: &str) -> Vec<String> {
        vec![format!("--gpu-architecture={arch}")]
    }

    #[test]
    fn a_kernel_keeps_its_name_and_parameters() {
        let outcome = compile(SOURCE, &options("sm_90a"), (12, 9)).unwrap();
        let ptx = outcome.ptx.unwrap().into_string().unwrap();
        assert_eq!(
            ptx,
            ".version 8.8\n.target sm_90a\n.address_size 64\n\n.visible .entry matmul_f16(\n\
             \t.param .align 8 .b8 matmul_f16_param_0[8],\n\t.param .align 128 .b8 matmul_f16_param_1[128],\n\
             \t.param .align 8 .b8 matmul_f16_param_2[72]\n)\n.maxntid 256\n.explicitcluster\n\
             .reqnctapercluster 2, 1, 1\n{\n\tret;\n}\n"
        );
        assert_eq!(kernel_names(SOURCE).collect::<Vec<_>>(), ["matmul_f16"]);
    }

    #[test]
    fn a_version_knows_its_architectures() {
        assert!(compile(SOURCE, &options("sm_70"), (12, 9)).is_ok());
        assert_eq!(compile(SOURCE, &options("sm_70"), (13, 0)), Err(INVALID_OPTION));
        assert_eq!(compile(SOURCE, &options("sm_120"), (12, 6)), Err(INVALID_OPTION));
    }

    #[test]
    fn what_is_missing_is_named() {
        let folder = std::env::temp_dir().join(format!("fake-nvrtc-headers-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("mma.h"), "#include \"crt/mma.h\"").unwrap();
        let mut options = options("sm_80");
        options.push(format!("--include-path={}", folder.display()));
        let log = |source: &str| compile(source, &options, (12, 9)).unwrap().log.into_string().unwrap();
        assert!(log("#include <cuda_fp16.h>\n").contains("could not open source file \"cuda_fp16.h\""));
        assert!(log("#include <mma.h>\n").contains("could not open source file \"crt/mma.h\""));
        assert!(log("__global__ void k(Strange s) {}").contains("does not know the size of \"Strange s\""));
        std::fs::remove_dir_all(folder).unwrap();
    }
}
