//! Embeddings for callers who speak another dialect.
//!
//! Source: OpenAI's API reference, "Create embeddings".

use bytes::Bytes;
use serde_json::{Map, Value};

use super::response::read_usage;
use crate::call::vectors::{EmbedAnswer, EmbedInput, EmbedRequest, Encoding};
use crate::upstream::embeddings::listed;
use crate::upstream::extras;
use crate::upstream::protocol::{Ask, Unfit, Unreadable, Written};
use crate::wire::json;

/// Writes a request.
pub(super) fn write(ask: &Ask<'_>, embed: &EmbedRequest) -> Result<Written, Unfit> {
    let mut dropped = Vec::new();
    let mut body = Map::new();
    extras::each(
        &embed.rest,
        &[],
        &ask.params,
        &mut dropped,
        |name, value| {
            body.insert(name.to_owned(), value.clone());
        },
    )?;
    if embed.purpose.is_some() {
        ask.params.lacks("task_type", &mut dropped)?;
    }
    body.insert("model".into(), ask.model.into());
    let inputs = embed.inputs.iter().map(|input| match input {
        EmbedInput::Text(text) | EmbedInput::Image(text) => Value::from(&**text),
        EmbedInput::Tokens(tokens) => Value::from(&**tokens),
    });
    body.insert("input".into(), inputs.collect());
    if embed.encoding == Encoding::Base64 {
        body.insert("encoding_format".into(), "base64".into());
    }
    if let Some(dimensions) = embed.dimensions {
        body.insert("dimensions".into(), dimensions.into());
    }
    if let Some(user) = &embed.user {
        body.insert("user".into(), user.as_str().into());
    }
    Ok(Written {
        body: Bytes::from(Value::Object(body).to_string()),
        dropped,
        ..Written::default()
    })
}

/// Reads the vectors; there must be as many as were asked for.
pub(super) fn read(body: &[u8], asked: usize) -> Result<EmbedAnswer, Unreadable> {
    const STRANGE: Unreadable = Unreadable(std::borrow::Cow::Borrowed("It holds no embeddings."));
    let (mut data, mut usage) = (None, None);
    json::members(body, |member| match member.raw_name(body) {
        b"data" => data = Some(member.value(body)),
        b"usage" => usage = read_usage(member.value(body)),
        _ => {}
    })
    .map_err(|_| STRANGE)?;
    Ok(EmbedAnswer {
        model: None,
        vectors: listed(data.ok_or(STRANGE)?, asked)?,
        usage,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::call::vectors::Vector;
    use crate::upstream::example::written;
    use crate::upstream::protocol::{Params, Task};

    #[test]
    fn what_openai_takes_is_written_and_the_rest_is_refused() {
        let sent = |embed: &EmbedRequest| {
            let model = "openai/text-embedding-3-small";
            written(model, Task::Embed, Params::default(), |ask| {
                write(ask, embed)
            })
        };
        let embed = EmbedRequest {
            inputs: vec![EmbedInput::Text("a".into()), EmbedInput::Tokens(vec![1, 2])],
            dimensions: Some(8),
            ..EmbedRequest::default()
        };
        assert_eq!(
            sent(&embed).unwrap(),
            json!({"model": "text-embedding-3-small", "input": ["a", [1, 2]], "dimensions": 8})
        );
        let purpose = EmbedRequest {
            purpose: Some("RETRIEVAL_QUERY".into()),
            ..embed
        };
        let unfit = sent(&purpose).unwrap_err();
        assert_eq!(unfit.param.as_deref(), Some("task_type"));
    }

    #[test]
    fn vectors_and_usage_are_read() {
        let body = br#"{"data":[{"index":0,"embedding":[0.5]}],"usage":{"prompt_tokens":3,"total_tokens":3}}"#;
        let answer = read(body, 1).unwrap();
        assert_eq!(answer.vectors, [Vector::Json("[0.5]".into())]);
        assert_eq!(answer.usage.unwrap().prompt, 3);
        assert!(read(body, 2).is_err());
        assert!(read(b"[]", 1).is_err());
    }
}
