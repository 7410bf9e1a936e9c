//! How many tokens a text has.
//!
//! A token is at least a byte, so a prompt of fewer bytes than a window fits, and nothing is
//! counted. That settles all but very long prompts. Those are counted exactly for models whose
//! vocabulary OpenAI has published. The vocabulary is built when it is first needed, within a
//! second, and then kept: 30 MB for the older one, 70 MB for the newer one. For all other models, and
//! for what is longer than [`COUNTED_BYTES`], a token is taken for four bytes. So it is for all
//! without the feature `exact-tokens`, whose vocabularies are 47 MB of the binary.

#[cfg(feature = "exact-tokens")]
use std::sync::LazyLock;

use tokio::runtime::RuntimeFlavor;

/// Bytes of a token, where tokens are not counted.
pub const BYTES_PER_TOKEN: u64 = 4;
/// A prompt of more bytes than this per token of a window is not counted, but estimated: there is
/// no such text but in tests.
pub const MOST_BYTES_PER_TOKEN: u64 = 16;

/// Longest prompt that is counted.
pub const COUNTED_BYTES: u64 = 4 << 20;

/// A published vocabulary.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Vocabulary {
    /// GPT-4, GPT-3.5 and the embeddings of their time.
    Cl100k,
    /// GPT-4o and all since.
    O200k,
}

/// Counts tokens.
pub trait Tokens {
    /// Of a text.
    fn count(&self, text: &str) -> u64;
}

impl Vocabulary {
    /// Every one.
    pub const ALL: [Self; 2] = [Self::Cl100k, Self::O200k];

    /// That of a model, by its name.
    pub fn of(model: &str) -> Option<Self> {
        /// The longer names first.
        const NAMES: [(&str, Vocabulary); 12] = [
            ("gpt-4o", Vocabulary::O200k),
            ("gpt-4.1", Vocabulary::O200k),
            ("gpt-4.5", Vocabulary::O200k),
            ("chatgpt-4o", Vocabulary::O200k),
            ("gpt-5", Vocabulary::O200k),
            ("o1", Vocabulary::O200k),
            ("o3", Vocabulary::O200k),
            ("o4-mini", Vocabulary::O200k),
            ("gpt-4", Vocabulary::Cl100k),
            ("gpt-3.5-turbo", Vocabulary::Cl100k),
            ("gpt-35-turbo", Vocabulary::Cl100k),
            ("text-embedding-", Vocabulary::Cl100k),
        ];
        if !cfg!(feature = "exact-tokens") {
            return None;
        }
        // `ft:gpt-4o-…` and `openai/gpt-4o` are the same model.
        let name = model.rsplit('/').next().unwrap_or(model);
        let name = name.strip_prefix("ft:").unwrap_or(name);
        let found = NAMES.iter().find(|(prefix, _)| name.starts_with(prefix));
        found.map(|(_, vocabulary)| *vocabulary)
    }
}

/// Does work that takes milliseconds, where that can be, without holding up what else its thread
/// serves.
pub fn apart<T>(work: impl FnOnce() -> T) -> T {
    let shared = tokio::runtime::Handle::try_current()
        .is_ok_and(|handle| handle.runtime_flavor() == RuntimeFlavor::MultiThread);
    if shared {
        tokio::task::block_in_place(work)
    } else {
        work()
    }
}

#[cfg(feature = "exact-tokens")]
static CL100K: LazyLock<&'static bpe_openai::Tokenizer> = LazyLock::new(bpe_openai::cl100k_base);
#[cfg(feature = "exact-tokens")]
static O200K: LazyLock<&'static bpe_openai::Tokenizer> = LazyLock::new(bpe_openai::o200k_base);

#[cfg(feature = "exact-tokens")]
impl Tokens for Vocabulary {
    /// Linear in the length of the text, whatever it is.
    fn count(&self, text: &str) -> u64 {
        let tokenizer = match self {
            Self::Cl100k => *CL100K,
            Self::O200k => *O200K,
        };
        tokenizer.count(text) as u64
    }
}

/// Nothing is known to have a vocabulary, so this is not asked.
#[cfg(not(feature = "exact-tokens"))]
impl Tokens for Vocabulary {
    fn count(&self, text: &str) -> u64 {
        text.len() as u64 / BYTES_PER_TOKEN
    }
}

#[cfg(all(test, feature = "exact-tokens"))]
mod tests {
    use super::*;

    #[test]
    fn models_have_their_vocabularies() {
        for (model, vocabulary) in [
            ("gpt-4o-mini", Some(Vocabulary::O200k)),
            ("gpt-4", Some(Vocabulary::Cl100k)),
            ("gpt-4-turbo-2024-04-09", Some(Vocabulary::Cl100k)),
            ("openai/o3", Some(Vocabulary::O200k)),
            ("ft:gpt-3.5-turbo:acme", Some(Vocabulary::Cl100k)),
            ("claude-3-opus", None),
            ("*", None),
        ] {
            assert_eq!(Vocabulary::of(model), vocabulary, "{model}");
        }
    }

    #[test]
    fn tokens_are_counted_as_openai_counts_them() {
        for (text, cl100k, o200k) in [
            ("", 0, 0),
            ("hello world", 2, 2),
            ("antidisestablishmentarianism", 6, 6),
            ("お誕生日おめでとう", 9, 8),
        ] {
            assert_eq!(Vocabulary::Cl100k.count(text), cl100k, "{text}");
            assert_eq!(Vocabulary::O200k.count(text), o200k, "{text}");
        }
    }
}
