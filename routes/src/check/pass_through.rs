//! `general_settings.pass_through_endpoints`.

use std::borrow::Cow;

use super::read::{Reader, flag, text, texts, textual};
use crate::mask;
use crate::table::{Credential, PassThrough, Text, Value};
use crate::yaml::Node;

/// Paths that the gateway answers itself.
const OWN: &[&str] = &[
    "/chat",
    "/completions",
    "/embeddings",
    "/engines",
    "/health",
    "/key",
    "/metrics",
    "/models",
    "/responses",
    "/router",
    "/spend",
    "/team",
    "/ui",
    "/user",
];
const METHODS: &[&str] = &["DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"];

/// Reads the list; the first of two entries with one path counts.
pub(super) fn read(general: &Node, reader: &mut Reader<'_>) -> Vec<PassThrough> {
    let list = general.get("pass_through_endpoints");
    let mut found: Vec<PassThrough> = Vec::new();
    for item in list.map(Node::items).unwrap_or_default() {
        let Some(one) = one(item, reader) else {
            continue;
        };
        if found.iter().any(|known| known.path == one.path) {
            let what = format!("the path {} stands twice", mask::quoted(&one.path));
            reader.findings.error(item.mark, what, None);
        } else {
            found.push(one);
        }
    }
    found
}

fn one(item: &Node, reader: &mut Reader<'_>) -> Option<PassThrough> {
    if !item.is_map() {
        return None;
    }
    let missing = |name: &str, reader: &mut Reader<'_>| {
        let what = format!("an endpoint that is passed through without `{name}`");
        reader.findings.error(item.mark, what, None);
    };
    let (path, target) = (reader.plain(item, "path"), reader.value(item, "target"));
    let Some(path) = path else {
        missing("path", reader);
        return None;
    };
    let Some(target) = target else {
        missing("target", reader);
        return None;
    };
    let path = format!("/{}", path.trim_matches('/'));
    let below = path.strip_prefix("/v1").unwrap_or(&path);
    let own = OWN.iter().any(|own| {
        let rest = below.strip_prefix(own);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    });
    if own || path == "/" {
        let what = format!("the gateway answers {} itself", mask::quoted(&path));
        let help = "take another path, such as one with your provider's name before it";
        reader.findings.error(item.mark, what, Some(help.into()));
        return None;
    }
    Some(PassThrough {
        path: text(path),
        target,
        headers: Cow::Owned(headers(item, reader)),
        subpaths: flag(item, "include_subpath").unwrap_or(false),
        client_headers: flag(item, "forward_headers").unwrap_or(false),
        open: flag(item, "auth") == Some(false),
        methods: texts(methods(item, reader)),
        cost: reader.dollars(item, "cost_per_request"),
    })
}

fn methods(item: &Node, reader: &mut Reader<'_>) -> Vec<String> {
    let words = reader.words(item, "methods");
    let upper: Vec<_> = words.iter().map(|word| word.to_ascii_uppercase()).collect();
    for word in upper.iter().filter(|word| !METHODS.contains(&&***word)) {
        let what = format!("no method {} is known", mask::quoted(word));
        let mark = item.get("methods").map_or(item.mark, |node| node.mark);
        reader.findings.error(mark, what, None);
    }
    upper
}

/// LiteLLM fills in `os.environ/NAME` wherever it stands in a value, so that a scheme may stand
/// before it.
fn headers(item: &Node, reader: &mut Reader<'_>) -> Vec<(Text, Credential)> {
    let mut found = Vec::new();
    let entries = item.get("headers").map(Node::entries).unwrap_or_default();
    for entry in entries.iter().filter(|entry| textual(&entry.value)) {
        let templated = templated(&entry.value.text);
        let value = match Value::parse(&templated) {
            // What names a variable is no secret in clear.
            Ok(value @ (Value::Env(_) | Value::Template(_))) => Some(Credential::Plain(value)),
            Ok(Value::Plain(_)) | Err(_) => reader.credential(&entry.value, &entry.name),
        };
        found.extend(value.map(|value| (text(&*entry.name), value)));
    }
    found
}

fn templated(value: &str) -> String {
    let mut pieces = value.split("os.environ/");
    let before = pieces.next().unwrap_or_default().to_owned();
    pieces.fold(before, |out, piece| {
        let end = piece
            .find(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_')
            .unwrap_or(piece.len());
        let (name, rest) = piece.split_at(end);
        out + "${" + name + "}" + rest
    })
}

#[cfg(test)]
mod tests {
    use super::templated;

    #[test]
    fn a_reference_within_a_value_is_a_template() {
        assert_eq!(templated("Bearer os.environ/A_KEY"), "Bearer ${A_KEY}");
        assert_eq!(templated("os.environ/A"), "${A}");
        assert_eq!(templated("plain"), "plain");
        assert_eq!(templated("os.environ/A:os.environ/B"), "${A}:${B}");
    }
}
