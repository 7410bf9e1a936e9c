//! What Google's parser knows: names and types of every message. Any other name is refused.
//!
//! Source: Google's API reference for `v1beta`, checked against the converters of its Python SDK.

use serde_json::Value;

/// A type of the API.
pub(super) enum Kind {
    Any,
    Text,
    Bytes,
    Bool,
    Number,
    Integer,
    Object(&'static [(&'static str, Kind)]),
    List(&'static Kind),
    Map(&'static Kind),
    Enum(&'static [&'static str]),
    /// One that holds itself.
    Later(fn() -> &'static Kind),
}

use Kind::{Any, Bool, Bytes, Enum, Integer, Later, List, Map, Number, Object, Text};

static BLOB: Kind = Object(&[("mimeType", Text), ("data", Bytes), ("displayName", Text)]);
static FILE: Kind = Object(&[("mimeType", Text), ("fileUri", Text), ("displayName", Text)]);
static RESOLUTION: Kind = Object(&[(
    "level",
    Enum(&[
        "MEDIA_RESOLUTION_LOW",
        "MEDIA_RESOLUTION_MEDIUM",
        "MEDIA_RESOLUTION_HIGH",
    ]),
)]);
static CALL: Kind = Object(&[("id", Text), ("name", Text), ("args", Map(&Any))]);
static RESULT_PART: Kind = Object(&[
    ("inlineData", Later(|| &BLOB)),
    ("fileData", Later(|| &FILE)),
    ("mediaResolution", Later(|| &RESOLUTION)),
]);
static RESULT: Kind = Object(&[
    ("id", Text),
    ("name", Text),
    ("response", Map(&Any)),
    ("parts", List(&RESULT_PART)),
]);
static PART: Kind = Object(&[
    ("text", Text),
    ("thought", Bool),
    ("thoughtSignature", Bytes),
    ("inlineData", Later(|| &BLOB)),
    ("fileData", Later(|| &FILE)),
    ("functionCall", Later(|| &CALL)),
    ("functionResponse", Later(|| &RESULT)),
    (
        "executableCode",
        Object(&[("id", Text), ("language", Text), ("code", Text)]),
    ),
    (
        "codeExecutionResult",
        Object(&[("id", Text), ("outcome", Text), ("output", Text)]),
    ),
    ("videoMetadata", Map(&Any)),
    ("mediaResolution", Later(|| &RESOLUTION)),
]);
static CONTENT: Kind = Object(&[("role", Enum(&["user", "model"])), ("parts", List(&PART))]);
static SCHEMA: Kind = Object(&[
    (
        "type",
        Enum(&[
            "STRING", "NUMBER", "INTEGER", "BOOLEAN", "ARRAY", "OBJECT", "NULL",
        ]),
    ),
    ("format", Text),
    ("title", Text),
    ("description", Text),
    ("nullable", Bool),
    ("enum", List(&Text)),
    ("maxItems", Integer),
    ("minItems", Integer),
    ("properties", Map(&Later(|| &SCHEMA))),
    ("required", List(&Text)),
    ("minProperties", Integer),
    ("maxProperties", Integer),
    ("minLength", Integer),
    ("maxLength", Integer),
    ("pattern", Text),
    ("example", Any),
    ("anyOf", List(&Later(|| &SCHEMA))),
    ("propertyOrdering", List(&Text)),
    ("default", Any),
    ("items", Later(|| &SCHEMA)),
    ("minimum", Number),
    ("maximum", Number),
]);
static DECLARATION: Kind = Object(&[
    ("name", Text),
    ("description", Text),
    ("behavior", Text),
    ("parameters", Later(|| &SCHEMA)),
    ("parametersJsonSchema", Any),
    ("response", Later(|| &SCHEMA)),
    ("responseJsonSchema", Any),
]);
static TOOL: Kind = Object(&[
    ("functionDeclarations", List(&DECLARATION)),
    ("googleSearch", Map(&Any)),
    ("googleSearchRetrieval", Map(&Any)),
    ("googleMaps", Map(&Any)),
    ("codeExecution", Object(&[])),
    ("urlContext", Object(&[])),
    ("fileSearch", Map(&Any)),
    ("computerUse", Map(&Any)),
]);
static TOOL_CONFIG: Kind = Object(&[
    (
        "functionCallingConfig",
        Object(&[
            ("mode", Enum(&["AUTO", "ANY", "NONE", "VALIDATED"])),
            ("allowedFunctionNames", List(&Text)),
        ]),
    ),
    ("retrievalConfig", Map(&Any)),
    ("includeServerSideToolInvocations", Bool),
]);
static SAFETY: Kind = Object(&[("category", Text), ("threshold", Text)]);
static GENERATION: Kind = Object(&[
    ("stopSequences", List(&Text)),
    (
        "responseMimeType",
        Enum(&["text/plain", "application/json", "text/x.enum"]),
    ),
    ("responseSchema", Later(|| &SCHEMA)),
    ("responseJsonSchema", Any),
    (
        "responseModalities",
        List(&Enum(&["TEXT", "IMAGE", "AUDIO"])),
    ),
    ("candidateCount", Integer),
    ("maxOutputTokens", Integer),
    ("temperature", Number),
    ("topP", Number),
    ("topK", Number),
    ("seed", Integer),
    ("presencePenalty", Number),
    ("frequencyPenalty", Number),
    ("responseLogprobs", Bool),
    ("logprobs", Integer),
    ("enableEnhancedCivicAnswers", Bool),
    ("speechConfig", Map(&Any)),
    (
        "thinkingConfig",
        Object(&[
            ("includeThoughts", Bool),
            ("thinkingBudget", Integer),
            (
                "thinkingLevel",
                Enum(&[
                    "minimal", "low", "medium", "high", "MINIMAL", "LOW", "MEDIUM", "HIGH",
                ]),
            ),
        ]),
    ),
    ("imageConfig", Map(&Any)),
    ("mediaResolution", Text),
]);
/// What `generateContent` takes.
pub(super) static GENERATE: Kind = Object(&[
    ("model", Text),
    ("contents", List(&CONTENT)),
    ("systemInstruction", Later(|| &CONTENT)),
    ("tools", List(&TOOL)),
    ("toolConfig", Later(|| &TOOL_CONFIG)),
    ("safetySettings", List(&SAFETY)),
    ("generationConfig", Later(|| &GENERATION)),
    ("cachedContent", Text),
    ("labels", Map(&Text)),
    ("serviceTier", Enum(&["standard", "flex", "priority"])),
    ("store", Bool),
]);
/// What a method takes.
pub(super) fn of(method: &str) -> Option<&'static Kind> {
    match method {
        "generateContent" | "streamGenerateContent" => Some(&GENERATE),
        "countTokens" => Some(&COUNT),
        "embedContent" => Some(&EMBED),
        "batchEmbedContents" => Some(&BATCH),
        _ => None,
    }
}

/// What `countTokens` takes.
pub(super) static COUNT: Kind = Object(&[
    ("contents", List(&CONTENT)),
    ("generateContentRequest", Later(|| &GENERATE)),
]);
/// What `countTokens` takes on Vertex AI.
pub(super) static COUNT_ON_VERTEX: Kind = Object(&[
    ("model", Text),
    ("contents", List(&CONTENT)),
    ("systemInstruction", Later(|| &CONTENT)),
    ("tools", List(&TOOL)),
    ("generationConfig", Later(|| &GENERATION)),
]);
/// What `embedContent` takes.
pub(super) static EMBED: Kind = Object(&[
    ("model", Text),
    ("content", Later(|| &CONTENT)),
    ("taskType", Text),
    ("title", Text),
    ("outputDimensionality", Integer),
]);
/// What `batchEmbedContents` takes.
pub(super) static BATCH: Kind = Object(&[("requests", List(&EMBED))]);

/// A value as Google's parser reads it: names in snake case as those in camel case, a lone value as a
/// list of one, and bytes in either alphabet of base64.
pub(super) fn plain(value: &Value, kind: &Kind) -> Value {
    match (kind, value) {
        (Later(kind), value) => plain(value, kind()),
        (Object(fields), Value::Object(members)) => {
            let read = members.iter().map(|(name, value)| {
                match fields.iter().find(|(known, _)| *known == camel(name)) {
                    Some((known, kind)) => ((*known).to_owned(), plain(value, kind)),
                    None => (name.clone(), value.clone()),
                }
            });
            Value::Object(read.collect())
        }
        (List(kind), Value::Array(items)) => items.iter().map(|item| plain(item, kind)).collect(),
        (List(kind), Value::Object(_)) => Value::Array(vec![plain(value, kind)]),
        (Map(kind), Value::Object(members)) => {
            let read = members.iter();
            Value::Object(
                read.map(|(name, value)| (name.clone(), plain(value, kind)))
                    .collect(),
            )
        }
        (Bytes, Value::String(text)) => text.replace('-', "+").replace('_', "/").into(),
        (_, value) => value.clone(),
    }
}

fn camel(name: &str) -> String {
    let mut words = name.split('_');
    let first = words.next().unwrap_or_default().to_owned();
    words.fold(first, |name, word| {
        let (letter, rest) = word.split_at(word.len().min(1));
        name + &letter.to_uppercase() + rest
    })
}

/// What in a value is not of a type, with where it stands.
pub(super) fn check(value: &Value, kind: &Kind, at: &str, wrong: &mut Vec<String>) {
    let fits = match kind {
        Any => true,
        Text => value.is_string(),
        Bytes => value.as_str().is_some_and(|text| !text.is_empty()),
        Bool => value.is_boolean(),
        Number => value.is_number(),
        Integer => value.is_i64(),
        Enum(names) => value.as_str().is_some_and(|name| names.contains(&name)),
        Later(kind) => return check(value, kind(), at, wrong),
        Object(fields) => {
            for (name, value) in value.as_object().into_iter().flatten() {
                let at = format!("{at}.{name}");
                match fields.iter().find(|(known, _)| known == name) {
                    Some((_, kind)) => check(value, kind, &at, wrong),
                    None => wrong.push(format!("Unknown name \"{name}\" at '{at}'")),
                }
            }
            value.is_object()
        }
        List(kind) => {
            for (index, value) in value.as_array().into_iter().flatten().enumerate() {
                check(value, kind, &format!("{at}[{index}]"), wrong);
            }
            value.is_array()
        }
        Map(kind) => {
            for (name, value) in value.as_object().into_iter().flatten() {
                check(value, kind, &format!("{at}.{name}"), wrong);
            }
            value.is_object()
        }
    };
    if !fits {
        wrong.push(format!("Invalid value at '{at}': {value}"));
    }
}
