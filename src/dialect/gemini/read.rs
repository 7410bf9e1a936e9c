//! Reads a request.

use std::collections::{HashMap, VecDeque};

use serde_json::{Map, Number, Value};

use super::schema::plain;
use crate::call::Dialect;
use crate::call::chat::{
    Effort, Format, Function, Media, Message, Part, Reasoning, Request, Role, Schema, Source, Text,
    Thinking, Tool, ToolCall, ToolChoice, ToolResult,
};
use crate::error::{Failure, RequestFault};
use crate::wire::gemini::{self, Content, FunctionResponse, get, take};

/// Reads the body of `generateContent`, of `streamGenerateContent` or of `countTokens`.
pub fn chat(body: &[u8]) -> Result<Request, Failure> {
    let mut read: gemini::Request = parse(body)?;
    // What is to be counted may be a whole request.
    if let Some(whole) = take(&mut read.rest, "generateContentRequest") {
        read = serde_json::from_value(whole).map_err(|error| unread(&error))?;
    }
    if get(&read.rest, "cachedContent").is_some() {
        return Err(fault(
            "cachedContent",
            "cachedContent is only known to the provider that holds it.",
        ));
    }
    let mut request = Request {
        service_tier: take(&mut read.rest, "serviceTier").and_then(word),
        ..Request::default()
    };
    if let Some(system) = &read.system_instruction {
        let texts = system.parts.iter().filter_map(|part| part.text.clone());
        let parts: Vec<Part> = texts.map(Part::text).collect();
        if !parts.is_empty() {
            request.messages.push(Message {
                role: Role::System,
                parts,
                name: None,
            });
        }
    }
    let mut calls = Calls::default();
    for content in read.contents {
        turn(content, &mut calls, &mut request.messages);
    }
    for tool in read.tools {
        tools(tool, &mut request.tools)?;
    }
    if let Some(config) = read.tool_config {
        choice(&config, &mut request);
    }
    generation(read.generation_config, &mut request)?;
    Ok(request)
}

pub(super) fn parse<'a, T: serde::Deserialize<'a>>(body: &'a [u8]) -> Result<T, Failure> {
    serde_json::from_slice(body).map_err(|error| unread(&error))
}

fn unread(error: &serde_json::Error) -> Failure {
    fault("request_body", &format!("Invalid request: {error}"))
}

pub(super) fn fault(name: &'static str, what: &str) -> Failure {
    Failure::Request(RequestFault::Parameter {
        name,
        what: what.to_owned(),
    })
}

fn word(value: Value) -> Option<String> {
    match value {
        Value::String(word) => Some(word),
        _ => None,
    }
}

/// The calls that no result has answered yet. Older models give them no ids, and results name the
/// function alone.
#[derive(Default)]
struct Calls {
    made: usize,
    open: HashMap<String, VecDeque<String>>,
}

impl Calls {
    fn made(&mut self, name: &str, id: Option<String>) -> String {
        self.made += 1;
        let id = id
            .filter(|id| !id.is_empty())
            .unwrap_or_else(|| format!("call_{}", self.made));
        let open = self.open.entry(name.to_owned()).or_default();
        open.push_back(id.clone());
        id
    }

    fn answered(&mut self, result: &FunctionResponse) -> String {
        let open = self.open.get_mut(&result.name);
        match result.id.as_ref().filter(|id| !id.is_empty()) {
            Some(id) => {
                if let Some(open) = open {
                    open.retain(|known| known != id);
                }
                id.clone()
            }
            None => open
                .and_then(VecDeque::pop_front)
                .unwrap_or_else(|| result.name.clone()),
        }
    }
}

/// A turn is one message, or several if what functions gave stands among other parts.
fn turn(content: Content, calls: &mut Calls, messages: &mut Vec<Message>) {
    let speaker = match content.role.as_deref() {
        None | Some("" | "user" | "function") => Role::User,
        Some("model") => Role::Assistant,
        Some(other) => Role::Other(other.to_owned()),
    };
    let mut last = None;
    for part in content.parts {
        let Some(part) = piece(part, calls) else {
            continue;
        };
        let role = if matches!(part, Part::Result(_)) {
            Role::Tool
        } else {
            speaker.clone()
        };
        if last.as_ref() != Some(&role) {
            messages.push(Message {
                role: role.clone(),
                parts: Vec::new(),
                name: None,
            });
            last = Some(role);
        }
        if let Some(message) = messages.last_mut() {
            message.parts.push(part);
        }
    }
}

fn piece(part: gemini::Part, calls: &mut Calls) -> Option<Part> {
    let signature = part.thought_signature.map(base64);
    if let Some(call) = part.function_call {
        return Some(Part::Call(ToolCall {
            id: calls.made(&call.name, call.id),
            name: call.name,
            arguments: Value::Object(call.args).to_string(),
            signature,
            cache: None,
        }));
    }
    if let Some(result) = part.function_response {
        return Some(Part::Result(gave(result, calls)));
    }
    let detail = get(&part.rest, "mediaResolution")
        .and_then(|resolution| resolution["level"].as_str())
        .and_then(detail);
    if let Some(blob) = part.inline_data {
        let media = Media {
            source: Source::Base64(base64(blob.data)),
            mime: Some(blob.mime_type).filter(|mime| !mime.is_empty()),
            name: get(&blob.rest, "displayName").cloned().and_then(word),
            detail,
            cache: None,
        };
        return Some(of_kind(media));
    }
    if let Some(file) = part.file_data {
        let media = Media {
            source: Source::Url(file.file_uri),
            mime: file.mime_type,
            name: get(&file.rest, "displayName").cloned().and_then(word),
            detail,
            cache: None,
        };
        return Some(of_kind(media));
    }
    if let Some(text) = part.text {
        return Some(if part.thought == Some(true) {
            Part::Thinking(Thinking {
                text,
                signature,
                redacted: None,
            })
        } else {
            Part::Text(Text {
                text,
                signature,
                ..Text::default()
            })
        });
    }
    (!part.rest.is_empty()).then_some(Part::Other {
        dialect: Dialect::Gemini,
        value: Value::Object(part.rest),
    })
}

/// Bytes in the usual alphabet of base64, padded. Google's parser takes either alphabet, and its
/// Python client writes that for URLs; other providers know the usual one alone.
pub(super) fn base64(mut text: String) -> String {
    if text.contains(['-', '_']) {
        text = text.replace('-', "+").replace('_', "/");
    }
    while !text.len().is_multiple_of(4) {
        text.push('=');
    }
    text
}

fn detail(level: &str) -> Option<String> {
    match level {
        "MEDIA_RESOLUTION_LOW" => Some("low".to_owned()),
        "MEDIA_RESOLUTION_HIGH" => Some("high".to_owned()),
        _ => None,
    }
}

fn of_kind(media: Media) -> Part {
    let kind = media
        .mime
        .as_deref()
        .and_then(|mime| mime.split('/').next());
    match kind {
        Some("image") => Part::Image(media),
        Some("audio") => Part::Audio(media),
        Some("video") => Part::Video(media),
        _ => Part::Document(media),
    }
}

/// Google's reference gives `output` and `error` a meaning; `result` is what its clients write for
/// functions that give no object.
fn gave(result: FunctionResponse, calls: &mut Calls) -> ToolResult {
    let id = calls.answered(&result);
    let lone = (result.response.len() == 1)
        .then(|| result.response.iter().next())
        .flatten();
    let (text, error) = match lone {
        Some((name, value)) if matches!(name.as_str(), "output" | "result" | "error") => {
            let text = value
                .as_str()
                .map_or_else(|| value.to_string(), str::to_owned);
            (text, name == "error")
        }
        _ => (Value::Object(result.response).to_string(), false),
    };
    let mut parts = vec![Part::text(text)];
    let mut none = Calls::default();
    parts.extend(
        result
            .parts
            .into_iter()
            .filter_map(|part| piece(part, &mut none)),
    );
    ToolResult {
        id,
        name: Some(result.name),
        parts,
        error,
        cache: None,
    }
}

fn tools(mut tool: Map<String, Value>, tools: &mut Vec<Tool>) -> Result<(), Failure> {
    let declared = take(&mut tool, "functionDeclarations");
    for declaration in declared
        .as_ref()
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
    {
        let declaration = declaration
            .as_object()
            .filter(|declaration| declaration.get("name").is_some_and(Value::is_string))
            .ok_or_else(|| fault("tools", "A function declaration needs a name."))?;
        let text = |name| {
            declaration
                .get(name)
                .and_then(Value::as_str)
                .map(str::to_owned)
        };
        tools.push(Tool::Function(Function {
            name: text("name").unwrap_or_default(),
            description: text("description"),
            parameters: get(declaration, "parametersJsonSchema")
                .cloned()
                .or_else(|| get(declaration, "parameters").map(plain))
                .map(Schema::from),
            strict: None,
            cache: None,
        }));
    }
    for (name, value) in tool {
        let name = gemini::camel(&name);
        tools.push(Tool::Builtin {
            dialect: Dialect::Gemini,
            value: Value::Object(Map::from_iter([(name, value)])),
        });
    }
    Ok(())
}

fn choice(config: &Map<String, Value>, request: &mut Request) {
    let Some(calling) = get(config, "functionCallingConfig").and_then(Value::as_object) else {
        return;
    };
    let allowed: Vec<&str> = get(calling, "allowedFunctionNames")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    request.tool_choice = match get(calling, "mode").and_then(Value::as_str) {
        Some("ANY") => match allowed[..] {
            [] => Some(ToolChoice::Required),
            [one] => Some(ToolChoice::Function(one.to_owned())),
            // No other dialect says "one of these": the others are not offered.
            _ => {
                request.tools.retain(|tool| match tool {
                    Tool::Function(function) => allowed.contains(&function.name.as_str()),
                    Tool::Builtin { .. } => true,
                });
                Some(ToolChoice::Required)
            }
        },
        Some("NONE") => Some(ToolChoice::None),
        Some("AUTO" | "VALIDATED") => Some(ToolChoice::Auto),
        _ => None,
    };
}

fn generation(mut config: Map<String, Value>, request: &mut Request) -> Result<(), Failure> {
    request.max_tokens = whole(&mut config, "maxOutputTokens")?;
    request.temperature = number(&mut config, "temperature")?;
    request.top_p = number(&mut config, "topP")?;
    // Google's clients write whole numbers as floats here.
    request.top_k = number(&mut config, "topK")?.and_then(|number| round(&number));
    request.n = whole(&mut config, "candidateCount")?;
    request.presence_penalty = number(&mut config, "presencePenalty")?;
    request.frequency_penalty = number(&mut config, "frequencyPenalty")?;
    request.logprobs = take(&mut config, "responseLogprobs").and_then(|value| value.as_bool());
    request.top_logprobs = whole(&mut config, "logprobs")?;
    request.seed = number(&mut config, "seed")?.and_then(|seed| seed.as_i64());
    request.stop = match take(&mut config, "stopSequences") {
        Some(Value::Array(texts)) => texts.into_iter().filter_map(word).collect(),
        Some(Value::String(text)) => vec![text],
        _ => Vec::new(),
    };
    let mime = take(&mut config, "responseMimeType").and_then(word);
    let schema = take(&mut config, "responseJsonSchema")
        .or_else(|| take(&mut config, "responseSchema").map(|schema| plain(&schema)));
    request.format = match (mime.as_deref(), schema) {
        (_, Some(schema)) => Some(Format::Schema {
            name: "response".to_owned(),
            description: None,
            schema,
            strict: None,
        }),
        (Some("application/json"), None) => Some(Format::Object),
        _ => None,
    };
    if let Some(Value::Object(thinking)) = take(&mut config, "thinkingConfig") {
        request.reasoning = reasoning(&thinking);
    }
    if let Some(Value::Array(kinds)) = take(&mut config, "responseModalities") {
        let kinds: Vec<String> = kinds
            .iter()
            .filter_map(Value::as_str)
            .map(str::to_ascii_lowercase)
            .collect();
        if kinds.iter().any(|kind| kind != "text") {
            request.rest.insert("modalities".to_owned(), kinds.into());
        }
    }
    Ok(())
}

fn reasoning(config: &Map<String, Value>) -> Option<Reasoning> {
    let budget = get(config, "thinkingBudget").and_then(Value::as_i64);
    let effort = get(config, "thinkingLevel")
        .and_then(Value::as_str)
        .filter(|level| *level != "THINKING_LEVEL_UNSPECIFIED")
        .map(|level| match level.to_ascii_lowercase().as_str() {
            "minimal" => Effort::Minimal,
            "low" => Effort::Low,
            "medium" => Effort::Medium,
            "high" => Effort::High,
            "xhigh" => Effort::Max,
            other => Effort::Other(other.to_owned()),
        });
    let shown = get(config, "includeThoughts").and_then(Value::as_bool);
    let adaptive = budget.is_some_and(|budget| budget < 0);
    let reasoning = Reasoning {
        effort,
        budget: budget.and_then(|budget| u64::try_from(budget).ok()),
        adaptive,
        shown,
    };
    (reasoning != Reasoning::default()).then_some(reasoning)
}

fn number(config: &mut Map<String, Value>, name: &'static str) -> Result<Option<Number>, Failure> {
    match take(config, name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Number(number)) => Ok(Some(number)),
        Some(_) => Err(fault(name, &format!("{name} must be a number."))),
    }
}

fn whole(config: &mut Map<String, Value>, name: &'static str) -> Result<Option<u64>, Failure> {
    match number(config, name)? {
        None => Ok(None),
        Some(number) => match round(&number) {
            Some(count) => Ok(Some(count)),
            None => Err(fault(name, &format!("{name} must be a whole number."))),
        },
    }
}

fn round(number: &Number) -> Option<u64> {
    if let Some(whole) = number.as_u64() {
        return Some(whole);
    }
    let float = number.as_f64()?;
    let is_whole = float >= 0.0 && float.fract() == 0.0 && float < 1e15;
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "the line above proves that it is a whole number within range"
    )]
    is_whole.then_some(float as u64)
}
