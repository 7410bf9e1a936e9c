//! What a stream has said so far: enough to go on with it elsewhere where it breaks, and to know
//! what it cost where nobody says.

use super::{Left, Usage};

/// Longest answer that is remembered word by word. What is longer is measured, and not gone on with.
const REMEMBERED: usize = 256 << 10;

/// What a stream has said.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Said {
    /// Its words, from the first one on.
    text: String,
    /// Bytes of what was said in other ways: thoughts, and arguments of functions.
    beside: u64,
    /// Words that are not remembered.
    over: u64,
    /// Whether something was said that nobody else can go on with.
    closed: bool,
}

impl Said {
    /// What is said where nobody listens to the words, so that nobody can go on.
    pub const fn unheard() -> Self {
        Self {
            text: String::new(),
            beside: 0,
            over: 0,
            closed: true,
        }
    }

    /// More words of the answer.
    pub fn say(&mut self, words: &str) {
        if self.over == 0 && self.text.len() + words.len() <= REMEMBERED {
            self.text.push_str(words);
        } else {
            self.over += words.len() as u64;
        }
    }

    /// More of a thought.
    pub fn think(&mut self, bytes: usize) {
        self.beside += bytes as u64;
    }

    /// Something that only whoever began it can end, such as a call of a function; so many bytes of
    /// it.
    pub fn close(&mut self, bytes: usize) {
        self.beside += bytes as u64;
        self.closed = true;
    }

    /// Whether anything was said beside the words.
    pub fn has_more(&self) -> bool {
        self.beside > 0
    }

    /// The words, if somebody else can go on with them.
    pub fn open_words(&self) -> Option<&str> {
        (!self.closed && self.over == 0).then_some(&*self.text)
    }

    /// About how many tokens it is, where `count` counts those of words; what is not remembered is
    /// taken to be like the rest.
    pub fn tokens(&self, count: impl FnOnce(&str) -> u64) -> u64 {
        let words = if self.text.is_empty() {
            0
        } else {
            count(&self.text)
        };
        let rest = self.over.saturating_add(self.beside);
        let like = (self.text.len() as u64).max(1);
        let rest = if self.text.is_empty() {
            rest.div_ceil(super::tokens::BYTES_PER_TOKEN)
        } else {
            let wide = u128::from(rest) * u128::from(words) / u128::from(like);
            u64::try_from(wide).unwrap_or(u64::MAX)
        };
        words.saturating_add(rest)
    }
}

/// What the caller has of a stream that broke, so that whoever goes on writes the same stream on.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Shown {
    /// The answer's id.
    pub id: Option<String>,
    /// The model, as the answer names it.
    pub model: String,
    /// When it was made, in seconds since 1970, if the dialect tells.
    pub created: Option<u64>,
    /// Whether it has begun: the caller was told the role.
    pub begun: bool,
    /// Blocks that were ended, in a dialect that has blocks.
    pub blocks: u32,
    /// Whether a block of words is open.
    pub open: bool,
    /// The words.
    pub words: String,
    /// Whether it thought.
    pub thought: bool,
    /// What all of it took.
    pub usage: Usage,
    /// Whose streams broke.
    pub left: Vec<Left>,
}

impl Shown {
    /// Whether nothing was said.
    pub fn is_empty(&self) -> bool {
        self.words.is_empty() && !self.thought
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_those_of_the_words_and_as_many_for_the_rest() {
        let mut said = Said::default();
        let count = |text: &str| text.len() as u64 / 2;
        assert_eq!(said.tokens(count), 0);
        said.think(10);
        assert_eq!(said.tokens(count), 3);
        said.say("12345678");
        assert_eq!(said.tokens(count), 4 + 5);
        said.say(&"x".repeat(REMEMBERED));
        assert_eq!(said.tokens(count), 4 + 5 + REMEMBERED as u64 / 2);
    }

    #[test]
    fn what_is_too_long_or_calls_a_function_is_not_gone_on_with() {
        let mut said = Said::default();
        said.say("a");
        assert_eq!(said.open_words(), Some("a"));
        let mut long = said.clone();
        long.say(&"x".repeat(REMEMBERED));
        long.say("b");
        assert_eq!(long.open_words(), None);
        said.close(1);
        assert_eq!(said.open_words(), None);
    }
}
