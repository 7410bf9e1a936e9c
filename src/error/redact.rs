//! Takes credentials out of what providers say.

use std::borrow::Cow;

/// Takes out of a provider's text whatever looks like a credential, and bounds its length.
///
/// Providers echo keys ("Incorrect API key provided: sk-…"), whole or shortened. `known` are the
/// secrets that the request carried. At most 2,000 characters are kept.
pub fn redact<'a>(text: &'a str, known: &[&str]) -> Cow<'a, str> {
    const KEPT: usize = 2_000;
    let cut = text
        .char_indices()
        .nth(KEPT)
        .map_or(text.len(), |(at, _)| at);
    let mut out = Cow::Borrowed(&text[..cut]);
    for secret in known.iter().filter(|secret| secret.len() >= 4) {
        if out.contains(secret) {
            out = Cow::Owned(out.replace(secret, "***"));
        }
    }
    if out.split(is_boundary).any(looks_secret) {
        let mut clean = String::with_capacity(out.len());
        for piece in out.split_inclusive(is_boundary) {
            let word = piece.trim_end_matches(is_boundary);
            clean.push_str(if looks_secret(word) { "***" } else { word });
            clean.push_str(&piece[word.len()..]);
        }
        out = Cow::Owned(clean);
    }
    out
}

fn is_boundary(c: char) -> bool {
    c.is_whitespace()
        || matches!(
            c,
            '"' | '\''
                | '`'
                | ','
                | ';'
                | ':'
                | '='
                | '('
                | ')'
                | '<'
                | '>'
                | '['
                | ']'
                | '{'
                | '}'
                | '&'
                | '?'
                | '/'
        )
}

/// Key prefixes of the large providers, and long runs that mix letters and digits as random keys do.
fn looks_secret(word: &str) -> bool {
    const PREFIXES: [&str; 10] = [
        "sk-", "sk_", "pk-", "rk-", "AIza", "AKIA", "ASIA", "gsk_", "xai-", "hf_",
    ];
    let word = word.trim_end_matches(['.', '!']);
    if word.len() >= 8 && PREFIXES.iter().any(|prefix| word.starts_with(prefix)) {
        return true;
    }
    let random = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '*' | '+');
    word.len() >= 32
        && word.chars().all(random)
        && word.contains(|c: char| c.is_ascii_digit())
        && word.contains(|c: char| c.is_ascii_alphabetic())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_taken_out_of_a_providers_text() {
        let text = "Incorrect API key provided: sk-abc***xyz1. See https://example.com/keys.";
        let clean = redact(text, &[]);
        assert!(!clean.contains("abc"), "{clean}");
        assert!(clean.ends_with("See https://example.com/keys."), "{clean}");
        assert_eq!(
            redact("my hunter22 was echoed", &["hunter22"]),
            "my *** was echoed"
        );
        let azure = "key 0123456789abcdef0123456789abcdef is wrong";
        assert_eq!(redact(azure, &[]), "key *** is wrong");
        assert_eq!(
            redact("nothing to hide in gpt-4o-2024-08-06", &[]),
            "nothing to hide in gpt-4o-2024-08-06"
        );
    }

    #[test]
    fn a_long_text_is_cut() {
        assert_eq!(redact(&"é ".repeat(5_000), &[]).chars().count(), 2_000);
    }
}
