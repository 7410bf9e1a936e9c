//! Keys that callers present.

use std::borrow::Cow;
use std::collections::HashSet;

use super::read::{Reader, text, texts};
use crate::resolve::digest;
use crate::table::{Budget, KeyRef, List, StaticKey, Value, Window};
use crate::yaml::Node;

/// A6-06: `key_settings`.
pub(super) fn read(root: &Node, reader: &mut Reader<'_>) -> Vec<StaticKey> {
    let empty = Node::empty(root.mark);
    let mut keys: Vec<StaticKey> = Vec::new();
    let mut seen: HashSet<Vec<u8>> = HashSet::new();
    for item in root
        .get("key_settings")
        .map(Node::items)
        .unwrap_or_default()
    {
        if !item.is_map() {
            continue;
        }
        let Some(node) = item.get("api_key").or_else(|| item.get("key")) else {
            reader.findings.error(
                item.mark,
                "a key without `api_key`",
                Some("write `api_key: os.environ/NAME`".into()),
            );
            continue;
        };
        let Some(key) = key_ref(node, "api_key", reader) else {
            continue;
        };
        let known = match &key {
            KeyRef::Env(name) => name.as_bytes().to_vec(),
            KeyRef::Digest(digest) => digest.to_vec(),
        };
        if !seen.insert(known) {
            reader.findings.error(
                node.mark,
                "this key is declared twice",
                Some("keep one of them".into()),
            );
            continue;
        }
        let rate = item.get("rate_limit").unwrap_or(&empty);
        keys.push(StaticKey {
            key,
            alias: reader.plain(item, "key_alias").map(text),
            rpm: reader
                .count(rate, "requests_per_minute")
                .or_else(|| reader.count(rate, "rpm")),
            tpm: reader
                .count(rate, "tokens_per_minute")
                .or_else(|| reader.count(rate, "tpm")),
            budget: budget(item.get("budget").unwrap_or(&empty), reader),
            models: models(item, reader),
        });
    }
    keys
}

fn models(item: &Node, reader: &mut Reader<'_>) -> List<Cow<'static, str>> {
    texts(reader.words(item, "models"))
}

/// The strictest spelling wins, the shortest window first.
fn budget(map: &Node, reader: &mut Reader<'_>) -> Option<Budget> {
    let limits = [
        ("daily_limit", Window::Seconds(86_400)),
        ("weekly_limit", Window::Seconds(7 * 86_400)),
        ("monthly_limit", Window::Months(1)),
    ];
    let mut found: Vec<Budget> = Vec::new();
    for (name, window) in limits {
        let Some(max) = reader.dollars(map, name) else {
            continue;
        };
        if let (false, Some(entry)) = (found.is_empty(), map.entry(name)) {
            reader.findings.error(
                entry.mark,
                "a key has one budget",
                Some("keep one of the limits".into()),
            );
        }
        found.push(Budget {
            max,
            window: Some(window),
        });
    }
    found
        .into_iter()
        .next()
        .or_else(|| super::deployments::budget(map, reader))
}

/// A reference, or the digest of a key in clear, which is all that is kept of it.
pub(super) fn key_ref(node: &Node, name: &str, reader: &mut Reader<'_>) -> Option<KeyRef> {
    reader.findings.hide(node);
    if !node.is_scalar() {
        return None;
    }
    if let Some(digest) = given_digest(&node.text) {
        return Some(KeyRef::Digest(digest));
    }
    match Value::parse(&node.text) {
        Ok(Value::Env(name)) => Some(KeyRef::Env(name)),
        Ok(Value::Plain(key)) if key.is_empty() => None,
        Ok(Value::Plain(key)) => {
            reader.in_clear(node.mark, name);
            Some(KeyRef::Digest(digest(&key)))
        }
        Ok(Value::Template(_)) => {
            reader.findings.error(
                node.mark,
                "a key cannot be put together from parts",
                Some("put the whole key into one variable".into()),
            );
            None
        }
        Err(bad) => {
            reader
                .findings
                .error(node.mark, bad.what, Some(bad.help.into()));
            None
        }
    }
}

/// `sha256:` and 64 digits, or the digits alone, as LiteLLM shows a token.
fn given_digest(text: &str) -> Option<[u8; 32]> {
    let digits = text.strip_prefix("sha256:").unwrap_or(text).as_bytes();
    if digits.len() != 64 {
        return None;
    }
    let mut digest = [0; 32];
    for (byte, pair) in digest.iter_mut().zip(digits.chunks(2)) {
        let high = char::from(pair[0]).to_digit(16)?;
        let low = char::from(pair[1]).to_digit(16)?;
        *byte = u8::try_from(high * 16 + low).ok()?;
    }
    Some(digest)
}
