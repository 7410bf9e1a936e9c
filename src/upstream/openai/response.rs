//! Whole answers and errors.

use bytes::Bytes;
use http::StatusCode;
use serde::Deserialize;
use serde_json::Value;

use super::audio;
use crate::call::{Call, Route, Usage};
use crate::upstream::protocol::{Broken, Refusal, Told};
use crate::wire::json::{self, Member};
use crate::wire::openai;

/// A whole answer: the model's name is put back to what the caller asked for, usage is read, every
/// other byte is left.
///
/// Dialects that name both at the top level differ in what `read_usage` reads.
pub fn whole(
    asked: &str,
    bytes: Bytes,
    read_usage: fn(&[u8]) -> Option<Usage>,
) -> Result<(Bytes, Option<Usage>), Broken> {
    let mut found = Found::default();
    json::members(&bytes, |member| found.note(&bytes, member))
        .map_err(|_| Broken::Malformed("It is no JSON object.".into()))?;
    if let Some(told) = found.error.and_then(|_| told_as_success(&bytes)) {
        return Err(Broken::Told(told));
    }
    let usage = found
        .usage
        .and_then(|usage| read_usage(usage.value(&bytes)));
    let Some(model) = found.model else {
        return Ok((bytes, usage));
    };
    let asked = asked_literal(asked);
    if model.value(&bytes) == asked {
        return Ok((bytes, usage));
    }
    let mut changed = Vec::with_capacity(bytes.len() + asked.len());
    changed.extend_from_slice(&bytes[..model.value_start]);
    changed.extend_from_slice(&asked);
    changed.extend_from_slice(&bytes[model.end..]);
    Ok((changed.into(), usage))
}

/// What an answer took in all, of which it says `told`.
pub fn taken(call: &Call, told: Option<Usage>, bytes: &[u8]) -> Option<Usage> {
    let told = told.filter(|told| *told != Usage::default());
    match told {
        Some(told) if call.route.draws() => Some(drawn(told)),
        Some(told) => Some(told),
        None => {
            let units = units(call.route, bytes)?;
            let hears = matches!(call.route, Route::Transcriptions | Route::Translations);
            if hears && units.audio_millis == 0 {
                return audio::recorded(call);
            }
            Some(units)
        }
    }
}

/// What images took: all that was made is images, if the answer does not part it.
pub(super) fn drawn(told: Usage) -> Usage {
    Usage {
        image_output: match told.image_output {
            0 => told.completion,
            own => own,
        },
        ..told
    }
}

/// What an answer without tokens took, in the units that such answers are sold by.
fn units(route: Route, bytes: &[u8]) -> Option<Usage> {
    let mut usage = Usage::default();
    match route {
        Route::Rerank => usage.queries = 1,
        Route::Images | Route::ImageEdits | Route::ImageVariations => {
            // It was read as an object before.
            let _ = json::members(bytes, |member| {
                if member.raw_name(bytes) == b"data" {
                    let _ = json::elements(member.value(bytes), |_| usage.images += 1);
                }
            });
        }
        Route::Transcriptions | Route::Translations => {
            // `duration` of `verbose_json`.
            let _ = json::members(bytes, |member| {
                if member.raw_name(bytes) == b"duration" {
                    usage.audio_millis = openai::millis(member.value(bytes));
                }
            });
        }
        _ => return None,
    }
    Some(usage)
}

/// The name that the caller asked for, as a JSON string.
pub(crate) fn asked_literal(asked: &str) -> Vec<u8> {
    let mut literal = Vec::with_capacity(asked.len() + 2);
    json::push_string(&mut literal, asked);
    literal
}

/// Reads `usage`, unless it is null.
pub(crate) fn read_usage(text: &[u8]) -> Option<Usage> {
    openai::Usage::read(text).map(Usage::from)
}

/// The members of an answer, or of a chunk, that the gateway looks at.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Found {
    pub(super) model: Option<Member>,
    pub(super) usage: Option<Member>,
    pub(super) choices: Option<Member>,
    pub(super) error: Option<Member>,
    /// What Groq tells beside.
    pub(super) x_groq: Option<Member>,
    /// Of events that have a name: their name.
    pub(super) kind: Option<Member>,
}

impl Found {
    pub(super) fn note(&mut self, text: &[u8], member: Member) {
        match member.raw_name(text) {
            b"model" => self.model = Some(member),
            b"usage" => self.usage = Some(member),
            b"choices" => self.choices = Some(member),
            b"x_groq" => self.x_groq = Some(member),
            b"type" => self.kind = Some(member),
            b"error" if member.value(text) != b"null" => self.error = Some(member),
            _ => {}
        }
    }
}

/// An error told with status 200, as some providers do; `None` if it is none.
pub fn told_as_success(bytes: &[u8]) -> Option<Told> {
    let body: Value = serde_json::from_slice(bytes).ok()?;
    let error = body.get("error").filter(|error| !error.is_null())?;
    let status = ["code", "status", "status_code"]
        .iter()
        .filter_map(|key| error.get(key))
        .find_map(|code| code.as_u64().or_else(|| code.as_str()?.parse().ok()))
        .and_then(|code| StatusCode::from_u16(u16::try_from(code).ok()?).ok())
        .filter(|status| status.is_client_error() || status.is_server_error())
        .unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    Some(Told {
        status: Some(status),
        ..told(bytes)
    })
}

/// What an error body says: `{"error":{"message"}}`, `{"error":"…"}`, `{"message"}`, `{"detail"}`,
/// or plain text.
pub fn told(bytes: &[u8]) -> Told {
    let Ok(body) = serde_json::from_slice::<Body>(bytes) else {
        return Told {
            message: Some(String::from_utf8_lossy(bytes).trim().to_owned()),
            ..Told::default()
        };
    };
    let said = [
        &body.error["message"],
        &body.error,
        &body.message,
        &body.detail,
    ];
    let said = said.into_iter().find(|value| !value.is_null());
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let code = text(&body.error["code"]).or_else(|| text(&body.error["type"]));
    // OpenRouter's word on what moderation refused, and Azure's on what its filters did.
    let flagged = body.error["metadata"].get("flagged_input").is_some()
        || body.error["innererror"]["code"] == "ResponsibleAIPolicyViolation";
    Told {
        message: said.map(|value| text(value).unwrap_or_else(|| value.to_string())),
        param: text(&body.error["param"]),
        kind: match code.as_deref() {
            Some("context_length_exceeded") => Some(Refusal::ContextWindow),
            Some("content_filter" | "contentFilter" | "content_policy_violation") => {
                Some(Refusal::ContentPolicy)
            }
            _ => flagged.then_some(Refusal::ContentPolicy),
        },
        code,
        ..Told::default()
    }
}

#[derive(Deserialize)]
struct Body {
    #[serde(default)]
    error: Value,
    #[serde(default)]
    message: Value,
    #[serde(default)]
    detail: Value,
}
