//! A card made of software: a `libcuda.so.1` that executes PTX on the processor.
//!
//! It has the driver API as cudarc and CubeCL call it ([`driver`]), memory that knows who wrote it ([`memory`]), a table of
//! the cards that it can be ([`cards`]) and an interpreter of PTX (`ptx`, `interpreter`). It is strict: what a real card
//! lets pass or answers with garbage is a fault here that names the kernel and the line.
//!
//! `settings.rs` lists the variables of the environment that it reads. It has no dependencies, so that a test builds it with
//! `rustc` alone:
//!
//! ```sh
//! rustc --edition 2024 --crate-type cdylib -O --crate-name fake_cuda tests/fake_cuda/lib.rs -o libcuda.so.1
//! rustc --edition 2024 --test -O tests/fake_cuda/lib.rs
//! ```

#![allow(non_snake_case, clippy::missing_safety_doc)] // the names and the contracts are those of cuda.h

mod cards;
mod driver;
mod fault;
mod interpreter;
mod memory;
mod ptx;
mod ptx_version;
mod settings;
mod tensor_map;
