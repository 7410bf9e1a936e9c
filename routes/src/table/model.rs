//! What is known of a model: its prices, its limits, what it can do.

use std::fmt;

use crate::usd::Usd;

/// What units cost. `None` is unknown or not sold; the sum of a request uses what is known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Price {
    /// One prompt token.
    pub input: Option<Usd>,
    /// One completion token.
    pub output: Option<Usd>,
    /// One prompt token read from the provider's cache.
    pub cache_read: Option<Usd>,
    /// One prompt token written to the provider's cache.
    pub cache_write: Option<Usd>,
    /// Prices of requests with long prompts.
    pub long: Option<LongPrice>,
    /// One reasoning token, where it differs from [`output`](Self::output).
    pub reasoning: Option<Usd>,
    /// One token of audio heard.
    pub audio_input: Option<Usd>,
    /// One token of audio spoken.
    pub audio_output: Option<Usd>,
    /// One token of an image seen.
    pub image_input: Option<Usd>,
    /// One token of an image made.
    pub image_output: Option<Usd>,
    /// One image.
    pub image: Option<Usd>,
    /// One second of audio or of machine time.
    pub second: Option<Usd>,
    /// One character.
    pub character: Option<Usd>,
    /// One query or request.
    pub query: Option<Usd>,
}

/// Prices above a prompt length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LongPrice {
    /// They hold for prompts of more tokens than this.
    pub above: u64,
    /// One prompt token.
    pub input: Option<Usd>,
    /// One completion token.
    pub output: Option<Usd>,
}

/// Where a price comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Priced {
    /// Nowhere: unknown, counted as nothing.
    Unknown,
    /// The catalog of model facts.
    Catalog,
    /// The file.
    Config,
    /// The rough figure of the file's `metadata.cost`.
    Metadata,
    /// A mock costs what its price says, or nothing.
    Mock,
}

/// What is known of a model.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// What kind of work it does.
    pub mode: Option<Mode>,
    /// Longest prompt, in tokens.
    pub max_input_tokens: Option<u64>,
    /// Longest answer, in tokens.
    pub max_output_tokens: Option<u64>,
    /// Length of its vectors.
    pub embedding_dimensions: Option<u32>,
    /// What it can do; meaningful only if [`known`](Self::known).
    pub capabilities: Capabilities,
    /// Whether the catalog or the file says anything of it.
    pub known: bool,
}

/// A kind of work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "each is the field's word")]
pub enum Mode {
    Chat,
    Completion,
    Embedding,
    ImageGeneration,
    ImageEdit,
    AudioSpeech,
    AudioTranscription,
    Moderation,
    Rerank,
    Responses,
    Realtime,
    Search,
    Ocr,
    VideoGeneration,
    VectorStore,
    Batch,
}

/// A set of capabilities.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Capabilities(pub u32);

macro_rules! capabilities {
    ($($constant:ident = $bit:literal, $word:literal;)*) => {
        impl Capabilities {
            $(
                #[doc = concat!("The catalog's word `", $word, "`.")]
                pub const $constant: Self = Self(1 << $bit);
            )*
            /// Every capability with the catalog's word for it.
            pub const WORDS: &'static [(&'static str, Self)] = &[$(($word, Self::$constant)),*];
        }
    };
}

capabilities! {
    TOOLS = 0, "tools";
    TOOL_CHOICE = 1, "tool_choice";
    PARALLEL_TOOLS = 2, "parallel_tools";
    VISION = 3, "vision";
    PDF = 4, "pdf";
    REASONING = 5, "reasoning";
    SCHEMA = 6, "schema";
    PROMPT_CACHE = 7, "prompt_cache";
    SYSTEM = 8, "system";
    WEB_SEARCH = 9, "web_search";
    COMPUTER_USE = 10, "computer_use";
    AUDIO_IN = 11, "audio_in";
    AUDIO_OUT = 12, "audio_out";
    VIDEO_IN = 13, "video_in";
    PREFILL = 14, "prefill";
}

impl Capabilities {
    /// The set with nothing in it.
    pub const NONE: Self = Self(0);

    /// Both together.
    #[must_use]
    pub const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Those of this set that the other lacks.
    #[must_use]
    pub const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// Whether all of `other` is in this set.
    #[must_use]
    pub const fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// The words of the set, in the catalog's spelling.
    pub fn words(self) -> impl Iterator<Item = &'static str> {
        Self::WORDS
            .iter()
            .filter(move |(_, one)| self.has(*one))
            .map(|(word, _)| *word)
    }
}

impl fmt::Debug for Capabilities {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.words()).finish()
    }
}
