//! What becomes of a stream that breaks when something of it was shown.

/// `on_midstream`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Midstream {
    /// It ends with an error.
    Error,
    /// Another deployment goes on with what was said.
    #[default]
    Continue,
    /// Another deployment answers anew, if no word was shown; else it ends with an error.
    Restart,
}

impl Midstream {
    /// Every word of the file.
    pub const WORDS: [(&'static str, Self); 3] = [
        ("error", Self::Error),
        ("continue", Self::Continue),
        ("restart", Self::Restart),
    ];
}
