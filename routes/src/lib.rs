//! Compiles LiteLLM's `config.yaml` into a checked, typed routing table.

pub mod catalog;
mod defaults;
pub mod diagnostic;
#[cfg(feature = "emit")]
pub mod emit;
pub mod lookup;
pub mod plan;
pub mod table;
pub mod usd;

pub use lookup::{Compiled, Resolved, Table};
