//! What can be asked for, and in which dialect.

/// What a client speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Dialect {
    /// OpenAI's chat completions, and what stands beside them.
    OpenAi,
    /// OpenAI's responses.
    Responses,
    /// Anthropic's messages.
    Anthropic,
    /// Gemini's `generateContent`.
    Gemini,
    /// Cohere's v2 API.
    Cohere,
}

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
    /// Every route.
    pub const ALL: [Self; 3] = [Self::Chat, Self::Completions, Self::Embeddings];

    /// What those speak who ask for it.
    pub const fn dialect(self) -> Dialect {
        match self {
            Self::Chat | Self::Completions | Self::Embeddings => Dialect::OpenAi,
        }
    }

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
