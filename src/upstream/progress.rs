//! What a stream has said so far.

use crate::call::Usage;

/// What a stream has said so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is told by itself")]
pub struct Progress {
    /// The last usage there was.
    pub usage: Option<Usage>,
    /// Whether that is of all that was said before it, and not of the prompt alone.
    pub counted: bool,
    /// The provider has marked the end.
    pub done: bool,
    /// A choice had its finish reason.
    pub finished: bool,
    /// Something was said that the caller sees.
    pub started: bool,
}
