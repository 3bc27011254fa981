// SPDX-License-Identifier: CC0-1.0
//! Reads and validates `.lqa` files, version 1.0. Written from the specification alone; numbers in comments are its
//! clauses. The whole file is in memory; what is decoded is one vector at a time.
//!
//! ```no_run
//! let data = std::fs::read("adapter.lqa")?;
//! let file = lqa_read::File::open(&data, lqa_read::BUDGET)?;
//! file.verify(lqa_read::Level::Values)?;
//! for module in &file.records.modules {
//!     let payload = file.module_payload(module)?;
//!     file.vectors(module, &payload, |factor, weights| {
//!         println!("factor {factor}: {} weights, as bits of f32", weights.len());
//!     })?;
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod apply;
mod bytes;
mod check;
mod chunk;
mod error;
mod file;
mod index;
pub mod messagepack;
mod name;
mod parent;
mod payload;
mod records;
mod start;
mod tables;

pub use apply::{apply, BaseTensor};
pub use bytes::narrow;
pub use error::{Code, Error, Result, Spot};
pub use file::{File, Ids, Level, BUDGET};
pub use name::natural_order;
pub use records::{codec, element_size, Band, Chunk, Encoding, Module, ModuleType, Records, Section, Tensor};

/// Lower-case hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}
