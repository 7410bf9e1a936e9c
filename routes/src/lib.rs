//! Compiles LiteLLM's `config.yaml` into a checked, typed routing table.

pub mod catalog;
mod check;
mod defaults;
pub mod diagnostic;
pub mod doctor;
#[cfg(feature = "emit")]
pub mod emit;
mod include;
mod literal;
mod load;
mod locate;
pub mod lookup;
mod mask;
pub mod plan;
mod resolve;
pub mod schema;
pub mod table;
pub mod usd;
mod yaml;

#[cfg(feature = "emit")]
pub use emit::compile;
pub use include::More;
pub use literal::Literals;
pub use load::{Loaded, Outcome, load, load_file, load_file_with, load_with};
pub use locate::Used;
pub use lookup::{Compiled, Resolved, Table};
pub use resolve::{MissingVariable, digest};
