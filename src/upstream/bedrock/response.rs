//! Whole answers of Converse, and errors.

use http::StatusCode;
use serde_json::Map;

use crate::call::Usage;
use crate::call::chat::{Answer, Choice, Finish, Part, Text, Thinking, ToolCall};
use crate::upstream::anthropic::{JSON_TOOL, refusal};
use crate::upstream::protocol::{Task, Told, Unreadable};
use crate::wire::anthropic::Count;
use crate::wire::converse::{self, Content, Fault, Thought};

/// Reads a whole answer; of a count of tokens, the count.
pub(super) fn read(task: Task, body: &[u8]) -> Result<Answer, Unreadable> {
    if task == Task::CountTokens {
        return count(body);
    }
    let answer: converse::Answer<'_> = serde_json::from_slice(body)
        .map_err(|_| Unreadable::new("It is no answer of Converse's."))?;
    let (mut parts, mut calls, mut formed) = (Vec::new(), 0, false);
    for content in answer.output.message.content {
        let part = part(content);
        calls += usize::from(matches!(part, Some(Part::Call(_))));
        match part {
            Some(Part::Call(call)) if call.name == JSON_TOOL => {
                calls -= 1;
                formed = true;
                parts.push(Part::text(call.arguments));
            }
            part => parts.extend(part),
        }
    }
    let stop = answer.stop_reason.as_deref();
    let mut rest = Map::new();
    for (name, value) in [
        ("trace", answer.trace),
        (
            "additionalModelResponseFields",
            answer.additional_model_response_fields,
        ),
    ] {
        if let Some(value) = value {
            rest.insert(name.to_owned(), value);
        }
    }
    Ok(Answer {
        usage: answer.usage.as_ref().map(usage),
        choices: vec![Choice {
            parts,
            finish: stop.map(|why| finish(why, formed && calls == 0)),
            ..Choice::default()
        }],
        rest,
        ..Answer::default()
    })
}

fn count(body: &[u8]) -> Result<Answer, Unreadable> {
    #[derive(serde::Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Counted {
        input_tokens: Count,
    }
    let counted: Counted =
        serde_json::from_slice(body).map_err(|_| Unreadable::new("It is no count of tokens."))?;
    Ok(Answer {
        usage: Some(Usage {
            prompt: counted.input_tokens.0,
            ..Usage::default()
        }),
        ..Answer::default()
    })
}

/// A piece of the turn; one of a kind that is not known says nothing.
fn part(content: Content<'_>) -> Option<Part> {
    if let Some(text) = content.text {
        return Some(Part::text(text));
    }
    if let Some(call) = content.tool_use {
        return Some(Part::Call(ToolCall {
            id: call.tool_use_id,
            name: call.name,
            arguments: call.input.map_or("{}", |input| input.get()).to_owned(),
            ..ToolCall::default()
        }));
    }
    if let Some(thought) = content.reasoning_content {
        return Some(Part::Thinking(thinking(thought)));
    }
    content.citations_content.map(|cited| {
        let text: String = cited.content.into_iter().map(|piece| piece.text).collect();
        let length = text.chars().count();
        let annotations = cited.citations.iter();
        Part::Text(Text {
            annotations: annotations
                .filter_map(|source| annotation(source, length))
                .collect(),
            text,
            ..Text::default()
        })
    })
}

fn thinking(thought: Thought) -> Thinking {
    let (text, signature) = match thought.reasoning_text {
        Some(whole) => (whole.text, whole.signature),
        None => (String::new(), None),
    };
    Thinking {
        text,
        signature,
        redacted: thought.redacted_content,
    }
}

/// A source on the web as one of OpenAI's annotations; places in documents have no such form.
pub(super) fn annotation(source: &serde_json::Value, length: usize) -> Option<serde_json::Value> {
    let url = source.pointer("/location/web/url")?.as_str()?;
    let title = source["title"].as_str().unwrap_or_default();
    Some(serde_json::json!({"type": "url_citation", "url_citation":
        {"url": url, "title": title, "start_index": 0, "end_index": length}}))
}

/// Why a turn ends. `formed`: it called nothing but the tool that gives it its form.
pub(super) fn finish(why: &str, formed: bool) -> Finish {
    match why {
        "guardrail_intervened" | "content_filtered" => Finish::ContentFilter,
        // The others are Anthropic's words.
        why => crate::upstream::anthropic::finish(why, formed),
    }
}

/// What a turn took. Bedrock counts what the cache gave and took apart from the prompt.
pub(super) fn usage(figures: &converse::Usage) -> Usage {
    let (read, write) = (
        figures.cache_read_input_tokens.0,
        figures.cache_write_input_tokens.0,
    );
    let kept = figures.cache_details.iter().flatten();
    let hour = kept.filter(|kept| kept.ttl == "1h");
    Usage {
        prompt: figures.input_tokens.0 + read + write,
        completion: figures.output_tokens.0,
        cache_read: read,
        cache_write: write,
        cache_write_hour: hour
            .fold(0, |sum: u64, kept| sum.saturating_add(kept.input_tokens.0))
            .min(write),
        ..Usage::default()
    }
}

/// What an answer without success says.
pub(super) fn told(body: &[u8]) -> Told {
    let fault: Fault = serde_json::from_slice(body).unwrap_or_default();
    Told {
        status: None,
        ..told_of(fault, None)
    }
}

/// What an exception within a stream says; `class` names it.
///
/// Source: Amazon Bedrock API reference, errors of `ConverseStream`.
pub(super) fn exception(class: &str, payload: &[u8]) -> Told {
    let fault: Fault = serde_json::from_slice(payload).unwrap_or_default();
    let status = match class {
        "validationException" => 400,
        "accessDeniedException" => 403,
        "resourceNotFoundException" => 404,
        "modelTimeoutException" => 408,
        "throttlingException" | "modelNotReadyException" => 429,
        "serviceUnavailableException" => 503,
        "modelStreamErrorException" => fault.original_status_code.unwrap_or(424),
        _ => 500,
    };
    let status = StatusCode::from_u16(status).ok();
    let told = told_of(fault, status.filter(|status| !status.is_success()));
    Told {
        code: Some(class.to_owned()),
        ..told
    }
}

fn told_of(fault: Fault, status: Option<StatusCode>) -> Told {
    Told {
        kind: fault.message.as_deref().and_then(refusal),
        code: fault.class.map(|class| {
            let (_, name) = class.rsplit_once('#').unwrap_or(("", &class));
            name.to_owned()
        }),
        message: fault.message,
        status,
        ..Told::default()
    }
}
