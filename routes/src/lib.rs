//! Compiles LiteLLM's `config.yaml` into a checked, typed routing table.

pub mod catalog;
pub mod diagnostic;
pub mod table;
pub mod usd;
