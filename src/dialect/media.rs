//! OpenAI's speech and images at models that give them as the turn of a conversation.
//!
//! Sources: OpenAI API reference, "Audio" and "Images"; what `LiteLLM` makes of them for Gemini, whose
//! sound is bare samples and comes to the caller as a WAV file.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde_json::{Map, Value, json};

use crate::call::chat::{self, Answer, Media, Message, Part, Role, Source};
use crate::call::{Call, Route, Usage};
use crate::error::{Failure, RequestFault};

/// Samples of a second, where the model does not say how many.
const RATE: u32 = 24_000;
/// Sizes of OpenAI's with the forms of images that they have.
const SIZES: [(&str, &str); 9] = [
    ("256x256", "1:1"),
    ("512x512", "1:1"),
    ("1024x1024", "1:1"),
    ("1536x1024", "3:2"),
    ("1024x1536", "2:3"),
    ("1792x1024", "16:9"),
    ("1024x1792", "9:16"),
    ("1280x896", "4:3"),
    ("896x1280", "3:4"),
];

/// A request as the conversation that it stands for, and the names of what it asks for that no such model
/// has.
///
/// Refuses what is not of OpenAI's form.
pub fn read(call: &Call) -> Result<(chat::Request, Vec<&'static str>), Failure> {
    let body: Map<String, Value> = serde_json::from_slice(&call.body)
        .map_err(|error| Failure::Request(RequestFault::Json(error.to_string())))?;
    if call.route == Route::Speech {
        speech(&body)
    } else {
        image(&body)
    }
}

fn text<'b>(body: &'b Map<String, Value>, name: &'static str) -> Result<Option<&'b str>, Failure> {
    match body.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(Failure::Request(RequestFault::Parameter {
            name,
            what: format!("Invalid value for '{name}': expected a text."),
        })),
    }
}

fn says(text: &str, rest: Value) -> chat::Request {
    let said = Message {
        role: Role::User,
        parts: vec![Part::text(text)],
        name: None,
    };
    chat::Request {
        messages: vec![said],
        rest: match rest {
            Value::Object(rest) => rest,
            _ => Map::new(),
        },
        ..chat::Request::default()
    }
}

fn speech(body: &Map<String, Value>) -> Result<(chat::Request, Vec<&'static str>), Failure> {
    let input = text(body, "input")?.unwrap_or_default();
    // How it is to be said stands before what is to be said.
    let said = match text(body, "instructions")? {
        Some(how) => format!("{how}: {input}"),
        None => input.to_owned(),
    };
    let mut rest = json!({"modalities": ["audio"]});
    if let Some(voice) = text(body, "voice")? {
        rest["audio"] = json!({"voice": voice, "format": "pcm16"});
    }
    let mut lacks = Vec::new();
    if !matches!(text(body, "response_format")?, None | Some("wav" | "pcm")) {
        lacks.push("response_format");
    }
    if text(body, "stream_format")? == Some("sse") {
        lacks.push("stream_format");
    }
    let speed = body.get("speed").and_then(Value::as_f64);
    if speed.is_some_and(|speed| (speed - 1.0).abs() > f64::EPSILON) {
        lacks.push("speed");
    }
    Ok((says(&said, rest), lacks))
}

fn image(body: &Map<String, Value>) -> Result<(chat::Request, Vec<&'static str>), Failure> {
    let prompt = text(body, "prompt")?.unwrap_or_default();
    let mut rest = json!({"modalities": ["text", "image"]});
    let mut lacks = Vec::new();
    match text(body, "size")? {
        None | Some("auto") => {}
        Some(size) => match SIZES.iter().find(|(known, _)| *known == size) {
            Some((_, form)) => rest["imageConfig"] = json!({ "aspectRatio": form }),
            None => lacks.push("size"),
        },
    }
    // What there is anyway may be asked for.
    let usual: [(&'static str, &[Value]); 9] = [
        ("background", &["auto".into(), "opaque".into()]),
        ("moderation", &["auto".into()]),
        ("n", &[1.into()]),
        ("output_compression", &[]),
        ("output_format", &["png".into()]),
        ("partial_images", &[0.into()]),
        ("quality", &["auto".into(), "standard".into()]),
        ("response_format", &["b64_json".into()]),
        ("stream", &[false.into()]),
    ];
    for (name, usual) in usual {
        let asked = body.get(name).filter(|value| !value.is_null());
        if asked.is_some_and(|value| !usual.contains(value)) {
            lacks.push(name);
        }
    }
    if body.get("style").is_some_and(|style| !style.is_null()) {
        lacks.push("style");
    }
    Ok((says(prompt, rest), lacks))
}

/// The answer as OpenAI would give it; `None` if there is no sound, or no image, in it. `created` is the
/// time of it, in seconds since 1970.
pub fn write(call: &Call, answer: &Answer, created: u64) -> Option<Bytes> {
    let mut parts = answer.choices.iter().flat_map(|choice| &choice.parts);
    if call.route == Route::Speech {
        return parts.find_map(|part| match part {
            Part::Audio(sound) => samples(call, sound),
            _ => None,
        });
    }
    let data: Vec<_> = parts
        .filter_map(|part| match part {
            Part::Image(Media {
                source: Source::Base64(data),
                ..
            }) => Some(json!({ "b64_json": data })),
            _ => None,
        })
        .collect();
    if data.is_empty() {
        return None;
    }
    let mut written = json!({"created": created, "data": data});
    if let Some(usage) = &answer.usage {
        written["usage"] = usage_of(usage);
    }
    Some(written.to_string().into())
}

fn usage_of(usage: &Usage) -> Value {
    json!({
        "input_tokens": usage.prompt,
        "input_tokens_details": {
            "image_tokens": usage.image_input,
            "text_tokens": usage.prompt.saturating_sub(usage.image_input),
        },
        "output_tokens": usage.completion,
        "output_tokens_details": {
            "image_tokens": usage.image_output,
            "text_tokens": usage.completion.saturating_sub(usage.image_output),
        },
        "total_tokens": usage.total(),
    })
}

/// What the speech of a translated answer is, by its content type.
pub fn kind(call: &Call) -> &'static str {
    if wants_samples(call) {
        "audio/pcm"
    } else {
        "audio/wav"
    }
}

fn wants_samples(call: &Call) -> bool {
    let mut bare = false;
    // It was read as an object before.
    let _ = crate::wire::json::members(&call.body, |member| {
        if member.raw_name(&call.body) == b"response_format" {
            bare = member.value(&call.body) == b"\"pcm\"";
        }
    });
    bare
}

/// Bare samples of 16 bits, or a file of them.
fn samples(call: &Call, sound: &Media) -> Option<Bytes> {
    let Source::Base64(data) = &sound.source else {
        return None;
    };
    let samples = STANDARD.decode(&**data).ok()?;
    let mime = sound.mime.as_deref().unwrap_or_default();
    let is_file = mime.ends_with("/wav") || mime.ends_with("/x-wav");
    if wants_samples(call) || is_file {
        return Some(samples.into());
    }
    let told = mime
        .split(';')
        .find_map(|part| part.trim().strip_prefix("rate="));
    let rate = told.and_then(|rate| rate.parse().ok()).unwrap_or(RATE);
    let mut file = head(rate, samples.len());
    file.extend_from_slice(&samples);
    Some(file.into())
}

/// The head of a WAV file of one channel with 16 bits a sample.
fn head(rate: u32, length: usize) -> Vec<u8> {
    let length = u32::try_from(length).unwrap_or(u32::MAX);
    let mut head = b"RIFF".to_vec();
    head.extend(length.saturating_add(36).to_le_bytes());
    head.extend(b"WAVEfmt \x10\0\0\0\x01\0\x01\0");
    head.extend(rate.to_le_bytes());
    head.extend(rate.saturating_mul(2).to_le_bytes());
    head.extend(b"\x02\0\x10\0data");
    head.extend(length.to_le_bytes());
    head
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::call::chat::Choice;
    use crate::call::example::call;
    use crate::wire::recording;

    const CONFIG: &str = "model_list: [{model_name: m, litellm_params: {model: \
                          gemini/gemini-2.5-flash-preview-tts, api_key: os.environ/KEY}}]";

    fn lacks(route: Route, body: &str) -> Vec<&'static str> {
        read(&call(CONFIG, route, body)).unwrap().1
    }

    #[test]
    fn what_no_such_model_has_is_named() {
        let body = r#"{"model":"m","input":"a","voice":"Kore","response_format":"mp3","speed":2,
            "stream_format":"sse"}"#;
        let named = ["response_format", "stream_format", "speed"];
        assert_eq!(lacks(Route::Speech, body), named);
        let body = r#"{"model":"m","input":"a","response_format":"pcm","speed":1.0}"#;
        assert!(lacks(Route::Speech, body).is_empty());
        let body = r#"{"model":"m","prompt":"a","n":2,"size":"1x1","quality":"auto","style":"vivid",
            "response_format":"b64_json","stream":false}"#;
        assert_eq!(lacks(Route::Images, body), ["size", "n", "style"]);
        let wrong = call(
            CONFIG,
            Route::Speech,
            r#"{"model":"m","input":"a","voice":{}}"#,
        );
        assert!(read(&wrong).is_err());
    }

    #[test]
    fn samples_come_as_a_file_unless_they_are_asked_for() {
        let sound = |format: &str, mime: &str| {
            let body = format!(r#"{{"model":"m","input":"a","response_format":"{format}"}}"#);
            let sound = Part::Audio(Media {
                source: Source::Base64(STANDARD.encode(vec![1; 48_000])),
                mime: Some(mime.to_owned()),
                ..Media::default()
            });
            let answer = Answer {
                choices: vec![Choice {
                    parts: vec![sound],
                    ..Choice::default()
                }],
                ..Answer::default()
            };
            write(&call(CONFIG, Route::Speech, &body), &answer, 0).unwrap()
        };
        assert_eq!(sound("pcm", "audio/L16;rate=24000"), vec![1; 48_000]);
        let file = sound("wav", "audio/L16;codec=pcm;rate=16000");
        assert_eq!(file.len(), 48_044);
        assert_eq!(recording::length(&file).unwrap().as_millis(), 1_500);
    }
}
