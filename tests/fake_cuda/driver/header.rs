//! What the driver itself has to know of a text of PTX: its version and target, and the kernels with their parameters and
//! limits. It reads declarations only, so that launches that do nothing need no more of the PTX than that.

use std::iter::Peekable;

/// `.version`, `.target` and the kernels.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Header {
    /// Major and minor: 8.7.
    pub version: (u32, u32),
    pub target: Target,
    pub kernels: Vec<Kernel>,
}

/// `.target`: `sm_90a` is 90 and `Specific`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Target {
    pub sm: u32,
    pub features: Features,
}

/// Which cards a target runs on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Features {
    /// It and all newer ones.
    #[default]
    Common,
    /// `f`: its family, which is its major version.
    Family,
    /// `a`: it alone.
    Specific,
}

/// An `.entry`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Kernel {
    pub name: String,
    pub parameters: Vec<Parameter>,
    /// `.maxntid` and `.reqntid`.
    pub most_threads: Option<u32>,
    pub exact_threads: Option<[u32; 3]>,
    pub most_registers: Option<u32>,
    /// `.reqnctapercluster`.
    pub cluster: Option<[u32; 3]>,
    /// Shared memory that is declared with a size, of the kernel and of the module.
    pub shared: u32,
}

/// A parameter of a kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parameter {
    pub offset: u32,
    pub bytes: u32,
}

impl Target {
    /// Whether a card runs it.
    pub fn runs_on(self, sm: u32) -> bool {
        match self.features {
            Features::Common => sm >= self.sm,
            Features::Family => sm >= self.sm && sm / 10 == self.sm / 10,
            Features::Specific => sm == self.sm,
        }
    }
}

/// Words and marks of a text, without comments.
fn tokens(text: &str) -> impl Iterator<Item = &str> {
    let code = text.lines().map(|line| line.split_once("//").map_or(line, |(code, _)| code));
    code.flat_map(|line| {
        let mut rest = line;
        std::iter::from_fn(move || {
            rest = rest.trim_start();
            let first = rest.chars().next()?;
            let word = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '%' | '$');
            let end = match first {
                c if word(c) => rest.find(|c| !word(c)).unwrap_or(rest.len()),
                c => c.len_utf8(),
            };
            let (token, left) = rest.split_at(end);
            rest = left;
            Some(token)
        })
    })
}

fn bytes_of(kind: &str) -> Option<u32> {
    let bits: u32 = match kind.strip_prefix('.')? {
        "pred" => 8,
        "f16x2" | "bf16x2" => 32,
        "bf16" => 16,
        kind => kind.strip_prefix(['b', 'u', 's', 'f'])?.parse().ok()?,
    };
    Some(bits / 8)
}

/// A variable as `.align 16 .b8 name[64]` or `.u64 .ptr .align 1 name` declares it: its alignment and size.
fn variable<'a>(words: impl Iterator<Item = &'a str>) -> Option<(u32, u32)> {
    let (mut element, mut align, mut count) = (None, None, 1);
    let mut words = words.peekable();
    while let Some(word) = words.next() {
        match word {
            ".align" => {
                let asked = words.next()?.parse().ok()?;
                // What stands behind the type is about what a pointer points to.
                align = align.or((element.is_none()).then_some(asked));
            }
            "[" => {
                count *= words.next().filter(|size| *size != "]").map_or(Some(0), |size| size.parse::<u32>().ok())?
            }
            "=" => break,
            _ => element = element.or(bytes_of(word)),
        }
    }
    let element = element?;
    Some((align.unwrap_or(element), element * count))
}

impl Header {
    /// The header of a text; none if it is no PTX.
    pub fn read(text: &str) -> Option<Self> {
        let mut header = Self::default();
        let mut tokens = tokens(text).peekable();
        let (mut depth, mut module_shared) = (0_u32, 0_u32);
        let mut open: Option<Kernel> = None;
        while let Some(token) = tokens.next() {
            match token {
                "{" => depth += 1,
                "}" => {
                    depth = depth.checked_sub(1)?;
                    if depth == 0 {
                        header.kernels.extend(open.take());
                    }
                }
                ".version" => {
                    let (major, minor) = tokens.next()?.split_once('.')?;
                    header.version = (major.parse().ok()?, minor.parse().ok()?);
                }
                ".target" => header.target = target(tokens.next()?)?,
                ".entry" => open = Some(entry(&mut tokens)?),
                // A declaration: its end is the next semicolon.
                ".shared" => {
                    let words: Vec<&str> = tokens.by_ref().take_while(|word| *word != ";").collect();
                    let (align, bytes) = variable(words.into_iter())?;
                    let end = open.as_mut().map_or(&mut module_shared, |kernel| &mut kernel.shared);
                    *end = end.next_multiple_of(align.max(1)) + bytes;
                }
                ".maxntid" | ".reqntid" | ".maxnreg" | ".reqnctapercluster" if depth == 0 => {
                    limit(open.as_mut()?, token, sizes(&mut tokens)?);
                }
                _ => {}
            }
        }
        header.kernels.iter_mut().for_each(|kernel| kernel.shared += module_shared);
        (header.version.0 > 0 && header.target.sm > 0).then_some(header)
    }
}

fn target(word: &str) -> Option<Target> {
    let number = word.strip_prefix("sm_")?;
    let (number, features) = match (number.strip_suffix('a'), number.strip_suffix('f')) {
        (Some(number), _) => (number, Features::Specific),
        (_, Some(number)) => (number, Features::Family),
        _ => (number, Features::Common),
    };
    Some(Target { sm: number.parse().ok()?, features })
}

/// One to three numbers with commas between them; those that are left out are 1.
fn sizes<'a>(tokens: &mut Peekable<impl Iterator<Item = &'a str>>) -> Option<[u32; 3]> {
    let mut sizes = [1; 3];
    for size in &mut sizes {
        *size = tokens.next()?.parse().ok()?;
        if tokens.next_if_eq(&",").is_none() {
            break;
        }
    }
    Some(sizes)
}

fn limit(kernel: &mut Kernel, directive: &str, sizes: [u32; 3]) {
    match directive {
        ".maxntid" => kernel.most_threads = Some(sizes.iter().product()),
        ".reqntid" => kernel.exact_threads = Some(sizes),
        ".maxnreg" => kernel.most_registers = Some(sizes[0]),
        _ => kernel.cluster = Some(sizes),
    }
}

/// The name and the parameters behind `.entry`.
fn entry<'a>(tokens: &mut impl Iterator<Item = &'a str>) -> Option<Kernel> {
    let mut kernel = Kernel { name: tokens.next()?.to_owned(), ..Kernel::default() };
    if tokens.next()? != "(" {
        return None;
    }
    let mut end = 0_u32;
    loop {
        let mut last = "";
        let words: Vec<&str> = tokens
            .by_ref()
            .take_while(|word| {
                last = word;
                !matches!(*word, "," | ")")
            })
            .collect();
        if !words.is_empty() {
            let (align, bytes) = variable(words.into_iter())?;
            let offset = end.next_multiple_of(align.max(1));
            kernel.parameters.push(Parameter { offset, bytes });
            end = offset + bytes;
        }
        match last {
            ")" => return Some(kernel),
            "," => {}
            _ => return None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PTX: &str = "
//
// Generated by NVIDIA NVVM Compiler
.version 8.8
.target sm_90a
.address_size 64
.extern .shared .align 128 .b8 dynamic_shared_mem[];
.shared .align 16 .b8 of_the_module[40];
.entry copy(
    .param .u64 .ptr .align 1 copy_param_0, // a pointer
    .param .align 64 .b8 copy_param_1[128],
    .param .u32 copy_param_2
)
.maxntid 16, 16
.reqnctapercluster 2, 1, 1
{
    .reg .b32 %r<3>;
    .shared .align 4 .f32 tile[64];
    { ld.shared.f32 %f1, [tile]; }
    ret;
}
.visible .entry nothing()
.reqntid 32
.maxnreg 128
{ ret; }
";

    #[test]
    fn kernels_and_their_limits_are_read() {
        let header = Header::read(PTX).unwrap();
        assert_eq!((header.version, header.target), ((8, 8), Target { sm: 90, features: Features::Specific }));
        let [copy, nothing] = &header.kernels[..] else { panic!("{header:?}") };
        let parameter = |offset, bytes| Parameter { offset, bytes };
        assert_eq!(copy.parameters, [parameter(0, 8), parameter(64, 128), parameter(192, 4)]);
        assert_eq!((copy.most_threads, copy.cluster, copy.shared), (Some(256), Some([2, 1, 1]), 256 + 40));
        assert_eq!((nothing.name.as_str(), nothing.exact_threads), ("nothing", Some([32, 1, 1])));
        assert_eq!((nothing.most_registers, nothing.shared), (Some(128), 40));
        assert_eq!(Header::read("int main() {}"), None);
    }

    #[test]
    fn a_target_runs_on_newer_cards_unless_it_is_a_special_one() {
        let runs = |word: &str, sm| target(word).unwrap().runs_on(sm);
        assert!(runs("sm_75", 90) && !runs("sm_90", 89));
        assert!(runs("sm_90a", 90) && !runs("sm_90a", 100));
        assert!(runs("sm_100f", 103) && !runs("sm_100f", 120));
    }
}
