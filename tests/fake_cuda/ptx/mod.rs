//! PTX as text and as a tree: what NVRTC hands to the driver, up to what the interpreter decodes.
//!
//! [`lexer`] cuts the text into tokens, [`parser`] makes functions of them, in which names are already numbers
//! ([`instruction`]), and [`module`] is what `cuModuleLoadData` loads.

pub mod instruction;
mod lexer;
pub mod module;
mod parser;
