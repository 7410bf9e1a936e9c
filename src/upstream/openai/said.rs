//! What a chunk says, noted as it passes by.

use crate::call::{Said, Shown};
use crate::wire::json;

/// Notes the id and the time of an answer, by its first chunk.
pub(super) fn begin(chunk: &[u8], shown: &mut Shown) {
    // It was read as an object before.
    let _ = json::members(chunk, |member| {
        let value = member.value(chunk);
        match member.raw_name(chunk) {
            b"id" => shown.id = json::string(value).map(String::from),
            b"created" => {
                let text = std::str::from_utf8(value).ok();
                shown.created = text.and_then(|text| text.parse().ok());
            }
            _ => {}
        }
    });
    // One without an id is not looked through again and again.
    shown.id.get_or_insert_default();
}

/// Notes what the choices of a chunk say; whether one of them ends.
pub(super) fn note(choices: &[u8], said: &mut Said, shown: &mut Shown) -> bool {
    let mut ends = false;
    // What is no list says nothing.
    let _ = json::elements(choices, |choice| {
        let mut first = true;
        let (mut delta, mut text) = (None, None);
        let _ = json::members(choice, |member| {
            let value = member.value(choice);
            match member.raw_name(choice) {
                b"index" => first = value == b"0",
                b"delta" => delta = Some(value),
                b"text" => text = Some(value),
                b"finish_reason" => ends |= value.starts_with(b"\""),
                _ => {}
            }
        });
        if !first {
            said.close(0);
        }
        if let Some(text) = text {
            words(text, said);
        }
        if let Some(delta) = delta {
            of_delta(delta, said, shown);
        }
    });
    ends
}

fn of_delta(delta: &[u8], said: &mut Said, shown: &mut Shown) {
    let _ = json::members(delta, |member| {
        let value = member.value(delta);
        if matches!(value, b"null" | b"[]" | b"\"\"") {
            return;
        }
        match member.raw_name(delta) {
            b"content" => words(value, said),
            b"role" => shown.begun = true,
            b"reasoning_content" | b"reasoning" => said.think(value.len().saturating_sub(2)),
            b"tool_calls" | b"function_call" | b"refusal" | b"audio" | b"images" => {
                said.close(value.len());
            }
            _ => {}
        }
    });
}

fn words(literal: &[u8], said: &mut Said) {
    match json::string(literal) {
        Some(text) => said.say(&text),
        // Parts, which chunks do not have by OpenAI's reference.
        None => said.close(literal.len()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_noted_and_what_nobody_else_can_end() {
        let (mut said, mut shown) = (Said::default(), Shown::default());
        let mut take = |choices: &str| note(choices.as_bytes(), &mut said, &mut shown);
        assert!(!take(
            r#"[{"index":0,"delta":{"role":"assistant","content":""}}]"#
        ));
        assert!(!take(
            r#"[{"index":0,"delta":{"content":"a \"\u00e9"},"finish_reason":null}]"#
        ));
        assert!(!take(
            r#"[{"index":0,"delta":{"content":" \"finish_reason\":\"x\""}}]"#
        ));
        assert!(take(r#"[{"index":0,"delta":{},"finish_reason": "stop"}]"#));
        assert_eq!(said.open_words(), Some("a \"é \"finish_reason\":\"x\""));
        assert!(shown.begun);
        for closing in [
            r#"[{"index":1,"delta":{"content":"b"}}]"#,
            r#"[{"index":0,"delta":{"tool_calls":[{"index":0}]}}]"#,
            r#"[{"index":0,"delta":{"refusal":"no"}}]"#,
        ] {
            let mut said = said.clone();
            note(closing.as_bytes(), &mut said, &mut Shown::default());
            assert_eq!(said.open_words(), None, "{closing}");
        }
        let mut text = Said::default();
        note(
            br#"[{"text":"plain","index":0}]"#,
            &mut text,
            &mut Shown::default(),
        );
        assert_eq!(text.open_words(), Some("plain"));
    }

    #[test]
    fn the_first_chunk_says_whose_answer_it_is() {
        let mut shown = Shown::default();
        begin(br#"{"id":"x\u0031","created":12}"#, &mut shown);
        assert_eq!((shown.id.as_deref(), shown.created), (Some("x1"), Some(12)));
    }
}
