//! Which failures lists of fallbacks are for.

/// Which failures a list is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Class {
    Any,
    ContextWindow,
    ContentPolicy,
}

impl Class {
    pub(super) const ALL: [Self; 3] = [Self::Any, Self::ContextWindow, Self::ContentPolicy];

    /// The list's key in the file.
    pub(super) const fn key(self) -> &'static str {
        match self {
            Self::Any => "fallbacks",
            Self::ContextWindow => "context_window_fallbacks",
            Self::ContentPolicy => "content_policy_fallbacks",
        }
    }
}
