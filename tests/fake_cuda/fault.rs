//! What a kernel did wrong, and where: the one way in which the interpreter ends a launch early.

use std::fmt;

/// `CUresult` values that a kernel can leave a context with.
pub mod code {
    pub const INVALID_VALUE: i32 = 1;
    pub const INVALID_PTX: i32 = 218;
    pub const ILLEGAL_ADDRESS: i32 = 700;
    pub const LAUNCH_TIMEOUT: i32 = 702;
    pub const ILLEGAL_INSTRUCTION: i32 = 715;
    pub const MISALIGNED_ADDRESS: i32 = 716;
    pub const LAUNCH_FAILED: i32 = 719;
}

/// Why a launch ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The `CUresult` that a card answers with, or would if it noticed.
    pub code: i32,
    /// What happened, as a sentence without its place.
    pub what: String,
    /// The kernel's name.
    pub kernel: String,
    /// The line of PTX, from 1; 0 if it has none.
    pub line: u32,
    /// The text of that line.
    pub ptx: String,
    /// The block, if one was running.
    pub block: Option<[u32; 3]>,
    /// The thread, if it was one.
    pub thread: Option<[u32; 3]>,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} in kernel {}", self.what, self.kernel)?;
        if self.line > 0 {
            write!(f, ", line {} of its PTX `{}`", self.line, self.ptx)?;
        }
        if let Some([x, y, z]) = self.block {
            write!(f, ", block ({x}, {y}, {z})")?;
        }
        if let Some([x, y, z]) = self.thread {
            write!(f, ", thread ({x}, {y}, {z})")?;
        }
        write!(f, " (error {})", self.code)
    }
}

impl std::error::Error for Fault {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_is_one_line_that_says_where() {
        let fault = Fault {
            code: code::MISALIGNED_ADDRESS,
            what: "misaligned read".into(),
            kernel: "copy".into(),
            line: 12,
            ptx: "ld.global.u32 %r1, [%rd1];".into(),
            block: Some([1, 0, 0]),
            thread: Some([33, 0, 0]),
        };
        assert_eq!(
            fault.to_string(),
            "misaligned read in kernel copy, line 12 of its PTX `ld.global.u32 %r1, [%rd1];`, block (1, 0, 0), \
             thread (33, 0, 0) (error 716)"
        );
    }
}
