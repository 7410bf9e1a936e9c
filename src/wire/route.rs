//! The endpoints of OpenAI's protocol that are served.

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Route {
    /// `/chat/completions`.
    Chat,
    /// `/completions`.
    Completions,
    /// `/embeddings`.
    Embeddings,
}

impl Route {
    /// The path below `/v1`.
    pub const fn path(self) -> &'static str {
        match self {
            Self::Chat => "/chat/completions",
            Self::Completions => "/completions",
            Self::Embeddings => "/embeddings",
        }
    }

    /// LiteLLM's `call_type`.
    pub const fn call_type(self) -> &'static str {
        match self {
            Self::Chat => "acompletion",
            Self::Completions => "atext_completion",
            Self::Embeddings => "aembedding",
        }
    }
}
