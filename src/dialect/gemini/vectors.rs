//! Embeddings: `embedContent` and `batchEmbedContents`.

use serde::Deserialize;
use serde_json::{Map, Value};

use super::read::{base64, fault, parse};
use crate::call::vectors::{EmbedAnswer, EmbedInput, EmbedRequest, Vector};
use crate::error::Failure;
use crate::wire::floats::{decoded, push_floats};
use crate::wire::gemini::{Content, take};

#[derive(Deserialize)]
struct Batch {
    requests: Vec<One>,
}

#[derive(Deserialize)]
struct One {
    content: Content,
    #[serde(flatten)]
    rest: Map<String, Value>,
}

/// Reads the body of `batchEmbedContents`, or of `embedContent` if there `is_one`. All must be asked
/// for alike, since no other dialect asks for each in its own way.
pub fn read(body: &[u8], is_one: bool) -> Result<EmbedRequest, Failure> {
    let requests = if is_one {
        vec![parse::<One>(body)?]
    } else {
        parse::<Batch>(body)?.requests
    };
    let mut read = EmbedRequest::default();
    let mut alike: Option<Map<String, Value>> = None;
    for mut request in requests {
        read.inputs.push(input(request.content)?);
        request.rest.remove("model");
        match &alike {
            Some(first) if *first != request.rest => {
                return Err(fault(
                    "requests",
                    "All requests of a batch must be alike but for their contents.",
                ));
            }
            Some(_) => {}
            None => alike = Some(request.rest),
        }
    }
    let mut rest = alike.unwrap_or_default();
    // Google's newer clients put these into an object of their own.
    if let Some(Value::Object(config)) = take(&mut rest, "embedContentConfig") {
        rest.extend(config);
    }
    read.dimensions = take(&mut rest, "outputDimensionality").and_then(|value| value.as_u64());
    read.purpose = take(&mut rest, "taskType").and_then(|value| match value {
        Value::String(word) => Some(word),
        _ => None,
    });
    Ok(read)
}

fn input(content: Content) -> Result<EmbedInput, Failure> {
    let mut words = String::new();
    let only = content.parts.len() == 1;
    for part in content.parts {
        match (part.text, part.inline_data) {
            (Some(text), None) => words.push_str(&text),
            (None, Some(blob)) if only => {
                return Ok(EmbedInput::Image(format!(
                    "data:{};base64,{}",
                    blob.mime_type,
                    base64(blob.data)
                )));
            }
            _ => {
                return Err(fault(
                    "content",
                    "A content to embed is words or one image.",
                ));
            }
        }
    }
    Ok(EmbedInput::Text(words))
}

/// Writes embeddings, or the only one if there `is_one`. `None` if one of them is not what it says it
/// is.
pub fn write(answer: &EmbedAnswer, is_one: bool) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    out.extend_from_slice(if is_one {
        b"{\"embedding\":"
    } else {
        b"{\"embeddings\":["
    });
    for (at, vector) in answer.vectors.iter().enumerate() {
        if at > 0 {
            out.push(b',');
        }
        out.extend_from_slice(b"{\"values\":");
        match vector {
            Vector::Json(text) => out.extend_from_slice(text.as_bytes()),
            Vector::Floats(numbers) => push_floats(&mut out, numbers)?,
            Vector::Base64(data) => push_floats(&mut out, &decoded(data)?)?,
        }
        out.push(b'}');
    }
    out.extend_from_slice(if is_one { b"}" } else { b"]}" });
    Some(out)
}
