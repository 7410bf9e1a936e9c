//! YAML text → a tree in which every node knows its place.
//!
//! This is the only module that touches YAML. It reads what PyYAML's `SafeLoader` reads, because
//! that is what LiteLLM reads with: YAML 1.1 scalars ([`scalar`]), anchors, merge keys. It is
//! stricter in two points: a key that stands twice is a fault, and so is a second document.
//! Nesting, size and what aliases unfold to are bounded.

mod build;
mod node;
pub(crate) mod scalar;

pub(crate) use build::parse;
pub(crate) use node::{Content, Entry, Node};

/// The longest text that is read, in bytes.
pub(crate) const MAX_BYTES: usize = 16 << 20;
/// The deepest nesting, aliases unfolded.
pub(crate) const MAX_DEPTH: usize = 128;
/// The most nodes in one text, aliases unfolded.
pub(crate) const MAX_NODES: usize = 1_000_000;

/// The place of a node or key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Mark {
    /// Position in the order of the whole tree; set by [`Node::number`].
    pub(crate) id: u32,
    /// Which file.
    pub(crate) file: u16,
    /// Line, from 1.
    pub(crate) line: u32,
    /// Column in characters, from 1.
    pub(crate) column: u32,
    /// Characters on that line.
    pub(crate) width: u32,
}

/// What is wrong with a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    /// Where.
    pub(crate) mark: Mark,
    /// What.
    pub(crate) what: String,
    /// What to do.
    pub(crate) help: Option<String>,
}
