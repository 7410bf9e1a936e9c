//! The id in an answer, as its caller sees it: what LiteLLM calls a request by in the spend log.

use crate::wire::json;

/// Longest id that is taken for one: those of responses hold the id of a deployment, sealed.
const LONGEST: usize = 512;

/// The id of an answer, of all its bytes or of those that a stream begins with.
///
/// OpenAI's answers have it at the top, in each chunk; the events that Anthropic's and OpenAI's
/// responses begin with have it one level below.
pub(super) fn id(bytes: &[u8]) -> Option<Box<str>> {
    let text = first_event(bytes).unwrap_or(bytes);
    if let Some(first) = text.strip_prefix(br#"{"id":""#) {
        let end = memchr::memchr(b'"', first)?;
        return plain(&first[..end]);
    }
    let (mut own, mut inner) = (None, None);
    json::members(text, |member| match member.raw_name(text) {
        b"id" => own = Some(member.value(text)),
        b"message" | b"response" => inner = Some(member.value(text)),
        _ => {}
    })
    .ok()?;
    own.and_then(literal).or_else(|| {
        let (inner, mut found) = (inner?, None);
        json::members(inner, |member| {
            if member.raw_name(inner) == b"id" {
                found = Some(member.value(inner));
            }
        })
        .ok()?;
        literal(found?)
    })
}

/// The data of the event that a stream begins with.
fn first_event(bytes: &[u8]) -> Option<&[u8]> {
    if bytes.starts_with(b"{") {
        return None;
    }
    let mut lines = bytes.split(|byte| matches!(byte, b'\n' | b'\r'));
    let data = lines.find_map(|line| line.strip_prefix(b"data:"))?;
    Some(data.trim_ascii())
}

fn literal(value: &[u8]) -> Option<Box<str>> {
    plain(value.strip_prefix(b"\"")?.strip_suffix(b"\"")?)
}

/// An id as every provider writes them; what is otherwise is none.
fn plain(id: &[u8]) -> Option<Box<str>> {
    let is_plain = |byte: &u8| byte.is_ascii_graphic() && *byte != b'\\';
    let fits = (1..=LONGEST).contains(&id.len()) && id.iter().all(is_plain);
    let text = std::str::from_utf8(id).ok().filter(|_| fits)?;
    Some(text.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Option<String> {
        id(text.as_bytes()).map(String::from)
    }

    #[test]
    fn an_answers_id_is_found_wherever_its_dialect_has_it() {
        for text in [
            r#"{"id":"x-1","choices":[{"id":"no"}]}"#,
            r#"{"choices":[{"message":{"id":"no"}}],"id": "x-1"}"#,
            r#"{"message":{"id":"no"},"id":"x-1"}"#,
            "data: {\"id\":\"x-1\",\"choices\":[]}\n\ndata: {\"id\":\"other\"}\n\n",
            ": hello\r\ndata: {\"model\":\"m\",\"id\":\"x-1\"}\r\n\r\n",
            "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"model\":\"m\",\"id\":\"x-1\"}}\n\n",
            "event: response.created\ndata: {\"type\":\"response.created\",\"response\":{\"id\":\"x-1\"}}\n\n",
        ] {
            assert_eq!(read(text).as_deref(), Some("x-1"), "{text}");
        }
    }

    #[test]
    fn what_is_no_plain_id_is_none() {
        let long = format!(r#"{{"id":"{}"}}"#, "x".repeat(LONGEST + 1));
        for text in [
            "",
            "[]",
            "audio",
            r#"{"object":"list"}"#,
            r#"{"id":7}"#,
            r#"{"id":""}"#,
            r#"{"id":"a b"}"#,
            r#"{"id":"a\"b"}"#,
            r#"{"id":"a"#,
            r#"{"message":"no"}"#,
            &long,
        ] {
            assert_eq!(read(text), None, "{text}");
        }
    }
}
