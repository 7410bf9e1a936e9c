//! What the layers ask: who holds a key.

pub mod config;
