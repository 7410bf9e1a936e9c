//! What can be asked for, and in which dialect.

use pointsman_routes::table::Mode;

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
    /// `/rerank`.
    Rerank,
    /// `/moderations`.
    Moderations,
    /// `/images/generations`.
    Images,
    /// Anthropic's `/messages`.
    Messages,
    /// Anthropic's `/messages/count_tokens`.
    CountTokens,
}

impl Route {
    /// Every route.
    pub const ALL: [Self; 8] = [
        Self::Chat,
        Self::Completions,
        Self::Embeddings,
        Self::Rerank,
        Self::Moderations,
        Self::Images,
        Self::Messages,
        Self::CountTokens,
    ];

    /// What those speak who ask for it.
    pub const fn dialect(self) -> Dialect {
        match self {
            Self::Chat
            | Self::Completions
            | Self::Embeddings
            | Self::Rerank
            | Self::Moderations
            | Self::Images => Dialect::OpenAi,
            Self::Messages | Self::CountTokens => Dialect::Anthropic,
        }
    }

    /// Whether it asks for the next turn of a conversation, or how long that is.
    pub const fn is_chat(self) -> bool {
        matches!(self, Self::Chat | Self::Messages | Self::CountTokens)
    }

    /// The path below `/v1`.
    pub const fn path(self) -> &'static str {
        match self {
            Self::Chat => "/chat/completions",
            Self::Completions => "/completions",
            Self::Embeddings => "/embeddings",
            Self::Rerank => "/rerank",
            Self::Moderations => "/moderations",
            Self::Images => "/images/generations",
            Self::Messages => "/messages",
            Self::CountTokens => "/messages/count_tokens",
        }
    }

    /// LiteLLM's `call_type`.
    pub const fn call_type(self) -> &'static str {
        match self {
            Self::Chat => "acompletion",
            Self::Completions => "atext_completion",
            Self::Embeddings => "aembedding",
            Self::Rerank => "arerank",
            Self::Moderations => "amoderation",
            Self::Images => "aimage_generation",
            Self::Messages => "anthropic_messages",
            Self::CountTokens => "acount_tokens",
        }
    }

    /// Whether a model of this kind can be asked for it, as far as is known: a kind that sells
    /// itself for something else may do it as well, unless it is sure that it does not.
    pub const fn suits(self, mode: Mode) -> bool {
        match self {
            Self::Chat | Self::Completions | Self::Messages | Self::CountTokens => {
                !matches!(mode, Mode::Embedding | Mode::Rerank)
            }
            Self::Embeddings => !matches!(mode, Mode::Chat | Mode::Rerank),
            Self::Rerank | Self::Moderations => !matches!(mode, Mode::Chat | Mode::Embedding),
            Self::Images => !matches!(mode, Mode::Embedding | Mode::Rerank),
        }
    }
}
