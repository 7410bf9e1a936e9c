//! What looks secret, and how it is kept out of messages.

use std::ops::Range;

/// Stands where a secret stood.
pub(crate) const MASK: &str = "***";

/// Parts of names that sound secret.
const PARTS: &[&str] = &[
    "api_key",
    "apikey",
    "secret",
    "password",
    "passwd",
    "passphrase",
    "credential",
    "private_key",
    "access_key",
    "master_key",
    "connection_string",
    "database_url",
    "redis_url",
    "dsn",
    "webhook_url",
    "authorization",
    "cookie",
    "salt_key",
    "signing_key",
];

/// Whether a key of this name is likely to hold a secret.
pub(crate) fn name_is_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase().replace('-', "_");
    // Names of things that hold no secret themselves.
    if name.ends_with("credential_name")
        || name.ends_with("_header_name")
        || name == "credential_list"
        || name == "api_key_env"
    {
        return false;
    }
    PARTS.iter().any(|part| name.contains(part))
        || (name.ends_with("token") && !name.ends_with("per_token") && !name.starts_with("max_"))
        || ((name.ends_with("_auth") || name == "auth")
            && !name.starts_with("enable_")
            && !name.starts_with("custom_"))
        || (name.ends_with("_key") && !name.ends_with("public_key"))
        || name == "key"
}

/// Whether a text is likely to be a secret by its looks alone.
pub(crate) fn looks_secret(text: &str) -> bool {
    !ranges_by_shape(text).is_empty()
}

/// A word of the file for a message: in backticks, cut, harmless.
pub(crate) fn quoted(text: &str) -> String {
    let mut shown: String = replace(text, &ranges_by_shape(text))
        .chars()
        .map(|c| if c.is_control() { '\u{fffd}' } else { c })
        .collect();
    if shown.chars().count() > 80 {
        shown = shown.chars().take(79).chain(['…']).collect();
    }
    format!("`{shown}`")
}

/// Parts of a line that look secret, as positions in characters: shapes of well-known keys,
/// passwords in addresses, and whatever follows a name that sounds secret.
pub(crate) fn ranges(line: &str) -> Vec<Range<usize>> {
    let mut found = ranges_by_shape(line);
    found.extend(ranges_by_name(line));
    merge(found)
}

/// Overlapping ranges made one, in order.
pub(crate) fn merge(mut ranges: Vec<Range<usize>>) -> Vec<Range<usize>> {
    ranges.sort_by_key(|range| (range.start, range.end));
    let mut merged: Vec<Range<usize>> = Vec::with_capacity(ranges.len());
    for range in ranges {
        match merged.last_mut() {
            Some(last) if range.start <= last.end => last.end = last.end.max(range.end),
            _ => merged.push(range),
        }
    }
    merged
}

/// The text with each range, given in characters and in order, replaced by the mask.
pub(crate) fn replace(text: &str, ranges: &[Range<usize>]) -> String {
    let chars: Vec<char> = text.chars().collect();
    let mut out = String::with_capacity(text.len());
    let mut at = 0;
    for range in ranges {
        let start = range.start.min(chars.len()).max(at);
        out.extend(&chars[at..start]);
        out.push_str(MASK);
        at = range.end.min(chars.len()).max(start);
    }
    out.extend(&chars[at..]);
    out
}

/// First letters of keys that vendors hand out, and the least length of what follows.
const SHAPES: &[(&str, usize)] = &[
    ("sk-", 1),
    ("sk_", 8),
    ("xoxb-", 4),
    ("xoxp-", 4),
    ("ghp_", 8),
    ("gho_", 8),
    ("github_pat_", 8),
    ("glpat-", 8),
    ("AKIA", 12),
    ("ASIA", 12),
    ("AIza", 20),
    ("gsk_", 8),
    ("hf_", 12),
    ("eyJ", 20),
    ("pcsk_", 8),
    ("rk_live_", 4),
    ("xai-", 16),
    ("r8_", 16),
    ("pplx-", 16),
    ("nvapi-", 12),
    ("dapi", 24),
    ("Bearer ", 8),
    ("bearer ", 8),
];

fn ranges_by_shape(text: &str) -> Vec<Range<usize>> {
    let chars: Vec<char> = text.chars().collect();
    let word = |c: char| c.is_ascii_alphanumeric() || "-_.+/=~".contains(c);
    let mut found = Vec::new();
    let mut at = 0;
    while at < chars.len() {
        let fresh =
            at == 0 || !chars[at - 1].is_ascii_alphanumeric() && !"-_".contains(chars[at - 1]);
        let shape = SHAPES.iter().find(|(start, least)| {
            fresh
                && start
                    .chars()
                    .enumerate()
                    .all(|(i, c)| chars.get(at + i) == Some(&c))
                && chars[at + start.len()..]
                    .iter()
                    .take_while(|c| word(**c))
                    .count()
                    >= *least
        });
        if let Some((start, _)) = shape {
            let rest = chars[at + start.len()..]
                .iter()
                .take_while(|c| word(**c))
                .count();
            let end = at + start.len() + rest;
            found.push(at..end);
            at = end;
        } else {
            at += 1;
        }
    }
    found.extend(passwords(&chars));
    found.sort_by_key(|range: &Range<usize>| range.start);
    merge(found)
}

/// `scheme://user:password@host?query`: user and password, and the query.
fn passwords(chars: &[char]) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    let mut at = 0;
    while at + 3 <= chars.len() {
        if chars[at..at + 3] != [':', '/', '/'] {
            at += 1;
            continue;
        }
        let start = at + 3;
        let end = chars[start..]
            .iter()
            .position(|c| c.is_whitespace() || "/\"'?#,".contains(*c))
            .map_or(chars.len(), |length| start + length);
        if let Some(sign) = chars[start..end].iter().rposition(|c| *c == '@')
            && chars[start..start + sign].contains(&':')
        {
            found.push(start..start + sign);
        }
        // Signatures and keys stand in queries, too.
        if chars.get(end) == Some(&'?') {
            let query = chars[end + 1..]
                .iter()
                .take_while(|c| !c.is_whitespace() && !"\"'#,".contains(**c))
                .count();
            found.push(end + 1..end + 1 + query);
        }
        at = end.max(start);
    }
    found
}

/// What follows `name:` on a line where the name sounds secret.
fn ranges_by_name(line: &str) -> Vec<Range<usize>> {
    let chars: Vec<char> = line.chars().collect();
    let part_of_name = |c: &char| c.is_alphanumeric() || "_-".contains(*c);
    let mut found = Vec::new();
    for (at, _) in chars.iter().enumerate().filter(|(_, c)| **c == ':') {
        let mut end = at;
        if end > 0 && "\"'".contains(chars[end - 1]) {
            end -= 1;
        }
        let start = chars[..end]
            .iter()
            .rposition(|c| !part_of_name(c))
            .map_or(0, |at| at + 1);
        let name: String = chars[start..end].iter().collect();
        if !name_is_secret(&name) {
            continue;
        }
        let value = at
            + 1
            + chars[at + 1..]
                .iter()
                .take_while(|c| c.is_whitespace())
                .count();
        let text: String = chars[value..].iter().collect();
        let bare = text.trim_start_matches(['"', '\'']);
        if text.is_empty() || bare.starts_with("os.environ/") || bare.starts_with("${") {
            continue;
        }
        let end = match chars[value] {
            quote @ ('"' | '\'') => chars[value + 1..]
                .iter()
                .position(|c| *c == quote)
                .map_or(chars.len(), |length| value + length + 2),
            '{' | '[' | '&' | '*' | '|' | '>' | '#' => continue,
            _ => chars[value..]
                .windows(2)
                .position(|pair| pair == [',', ' '] || pair == [' ', '#'] || pair[0] == '}')
                .map_or(chars.len(), |length| value + length),
        };
        found.push(value..end);
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn masked(line: &str) -> String {
        replace(line, &ranges(line))
    }

    #[test]
    fn secrets_are_masked_by_name_and_by_shape() {
        for (line, expected) in [
            ("  api_key: hunter2 # mine", "  api_key: *** # mine"),
            ("  api_key: \"hunter2\"", "  api_key: ***"),
            ("{api_key: hunter2, model: x}", "{api_key: ***, model: x}"),
            ("  \"password\": 'a b', x", "  \"password\": ***, x"),
            ("  anything: sk-1234", "  anything: ***"),
            ("- Bearer abcdefghij", "- ***"),
            (
                "url: redis://u:p@host:6379/0",
                "url: redis://***@host:6379/0",
            ),
        ] {
            assert_eq!(masked(line), expected);
        }
    }

    #[test]
    fn references_and_harmless_names_stay() {
        for line in [
            "  api_key: os.environ/OPENAI_API_KEY",
            "  api_key: \"${OPENAI_API_KEY}\"",
            "  max_tokens: 100",
            "  input_cost_per_token: 0.1",
            "  langfuse_public_key: pk",
            "  api_base: http://host:8000/v1",
            "  model: task-sk",
            "  api_key:",
        ] {
            assert_eq!(masked(line), line);
        }
    }

    #[test]
    fn a_quoted_word_is_short_and_harmless() {
        assert_eq!(quoted("a\u{1b}b"), "`a\u{fffd}b`");
        assert_eq!(quoted("sk-abc"), "`***`");
        assert_eq!(quoted(&"x".repeat(200)).chars().count(), 82);
    }
}
