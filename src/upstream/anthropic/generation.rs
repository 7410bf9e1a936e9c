//! What a Claude model takes, by the generation that its name tells.
//!
//! Source: Anthropic's documentation, "Models overview", "Adaptive thinking", "Effort", "Structured
//! outputs" and the migration guides of 4.6 and 4.7. A name without a number, such as an alias or a
//! preview, counts as the newest.

/// Major and minor number, such as 4 and 5.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Generation(u8, u8);

const NEWEST: Generation = Generation(u8::MAX, 0);

impl Generation {
    /// A model of somebody else's, of which no more is known than that it samples.
    pub(crate) const PLAIN: Self = Self(0, 0);

    /// Reads it out of `claude-opus-4-5-20251101`, `anthropic.claude-3-5-sonnet-20241022-v2:0`,
    /// `claude-sonnet-4@20250514` and their like.
    pub(crate) fn of(model: &str) -> Self {
        let name = model
            .rfind("claude")
            .map_or(model, |at| &model[at + "claude".len()..]);
        let mut words = name.split(['-', '.', '@', ':', '_', '/']);
        let mut number = || {
            words.find_map(|word| {
                let old = word.strip_prefix('v').filter(|digits| !digits.is_empty());
                old.unwrap_or(word).parse::<u64>().ok().map(|_| word)
            })
        };
        // A longer number is a date.
        let small = |word: &str| {
            let digits = word.trim_start_matches('v');
            (digits.len() <= 2).then(|| digits.parse().ok()).flatten()
        };
        let Some(major) = number().and_then(small) else {
            return NEWEST;
        };
        let minor = words
            .next()
            .filter(|word| !word.starts_with('v'))
            .and_then(small);
        Self(major, minor.unwrap_or(0))
    }

    /// Whether it thinks at all.
    pub(crate) fn thinks(self) -> bool {
        self >= Self(3, 7)
    }

    /// Whether it chooses itself how long to think, by an effort.
    pub(crate) fn adapts(self) -> bool {
        self >= Self(4, 6)
    }

    /// Whether it takes a budget of tokens to think.
    pub(crate) fn takes_budget(self) -> bool {
        self.thinks() && self < Self(4, 7)
    }

    /// Whether it takes `temperature`, `top_p` and `top_k`.
    pub(crate) fn samples(self) -> bool {
        self < Self(4, 7)
    }

    /// Whether it takes `temperature` and `top_p` together.
    pub(crate) fn samples_by_both(self) -> bool {
        self < Self(4, 1)
    }

    /// Whether its words, and arguments of its calls, can be held to a schema.
    pub(crate) fn keeps_schemas(self) -> bool {
        self >= Self(4, 5)
    }

    /// Whether it goes on with a turn that the caller began for it.
    pub(crate) fn continues(self) -> bool {
        self < Self(4, 6)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_tells_its_generation() {
        for (name, expected) in [
            ("claude-3-opus-20240229", Generation(3, 0)),
            ("claude-3-7-sonnet-latest", Generation(3, 7)),
            (
                "anthropic.claude-3-5-sonnet-20241022-v2:0",
                Generation(3, 5),
            ),
            ("claude-opus-4-20250514", Generation(4, 0)),
            (
                "us.anthropic.claude-sonnet-4-20250514-v1:0",
                Generation(4, 0),
            ),
            ("claude-sonnet-4@20250514", Generation(4, 0)),
            ("claude-opus-4-5-20251101", Generation(4, 5)),
            ("global.anthropic.claude-opus-4-6-v1", Generation(4, 6)),
            ("claude-sonnet-5", Generation(5, 0)),
            ("claude-haiku-5-5", Generation(5, 5)),
            ("anthropic/claude-opus-4.5", Generation(4, 5)),
            ("anthropic.claude-v2:1", Generation(2, 1)),
            ("claude-instant-v1", Generation(1, 0)),
            ("claude-mythos-preview", NEWEST),
            ("my-alias", NEWEST),
        ] {
            assert_eq!(Generation::of(name), expected, "{name}");
        }
    }
}
