//! Messages as Gemini's contents.

use std::collections::HashMap;

use serde_json::{Map, Value, json};

use super::Flavour;
use super::media::media;
use super::model::Model;
use crate::call::Dialect;
use crate::call::chat::{Message, Part, Role, Text, ToolCall, ToolResult};
use crate::upstream::protocol::{Params, Unfit};
use crate::wire::gemini::{self, Content, FunctionCall, FunctionResponse};

/// Stands for a signature where another provider's model made the call, or nobody kept it; Gemini 3
/// refuses calls without one. Google's guide "Thought signatures" gives this text for that.
const NO_SIGNATURE: &str = "skip_thought_signature_validator";
/// Where LiteLLM puts a signature into a call's id, for clients that keep nothing else.
const IN_ID: &str = "__thought__";

/// Tools of Gemini's own; LiteLLM's callers write them into OpenAI's list.
const GOOGLES: [&str; 9] = [
    "googleSearch",
    "googleSearchRetrieval",
    "googleMaps",
    "enterpriseWebSearch",
    "codeExecution",
    "urlContext",
    "fileSearch",
    "computerUse",
    "retrieval",
];

/// Instructions and turns.
pub(super) struct Said {
    pub(super) system: Option<Content>,
    pub(super) contents: Vec<Content>,
}

/// Who speaks in a content. What functions gave stands in a turn of its own.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Speaker {
    User,
    Model,
    Functions,
}

struct Writer<'a> {
    flavour: Flavour,
    model: Model,
    said: Said,
    last: Option<Speaker>,
    /// The functions' names by the ids of their calls.
    called: HashMap<&'a str, &'a str>,
}

/// Writes the messages. Turns of the same speaker become one, since Gemini wants them by turns.
pub(super) fn contents(
    messages: &[Message],
    flavour: Flavour,
    model: Model,
    params: Params<'_>,
) -> Result<Said, Unfit> {
    let mut writer = Writer {
        flavour,
        model,
        said: Said {
            system: None,
            contents: Vec::with_capacity(messages.len()),
        },
        last: None,
        called: HashMap::new(),
    };
    for message in messages {
        writer.message(message)?;
    }
    let mut said = writer.said;
    let begins = said
        .contents
        .first()
        .and_then(|first| first.role.as_deref());
    if begins != Some("user") && params.mend {
        let blank = Content {
            role: Some("user".to_owned()),
            parts: vec![words(" ".to_owned())],
        };
        said.contents.insert(0, blank);
    }
    if said.contents.is_empty() {
        return Err(Unfit::new(
            Some("messages"),
            "needs a message that holds more than instructions",
        ));
    }
    if model.wants_signatures() {
        said.contents.iter_mut().for_each(sign);
    }
    Ok(said)
}

impl<'a> Writer<'a> {
    fn message(&mut self, message: &'a Message) -> Result<(), Unfit> {
        match &message.role {
            Role::System => self.system(&message.parts),
            Role::User => self.parts(&message.parts, Speaker::User),
            Role::Tool => self.parts(&message.parts, Speaker::Functions),
            Role::Assistant => self.parts(&message.parts, Speaker::Model),
            Role::Other(_) => Err(Unfit::new(
                Some("messages"),
                "has a message of a role that it does not know",
            )),
        }
    }

    fn system(&mut self, parts: &[Part]) -> Result<(), Unfit> {
        for part in parts {
            let text = match part {
                Part::Text(text) => text.text.clone(),
                _ => {
                    return Err(Unfit::new(
                        Some("messages"),
                        "takes only words as instructions",
                    ));
                }
            };
            if !text.is_empty() {
                let system = self.said.system.get_or_insert_with(Content::default);
                system.parts.push(words(text));
            }
        }
        Ok(())
    }

    fn parts(&mut self, parts: &'a [Part], speaker: Speaker) -> Result<(), Unfit> {
        for part in parts {
            let written = match part {
                Part::Text(text) => match said(text) {
                    Some(written) => written,
                    None => continue,
                },
                Part::Refusal(text) => words(text.clone()),
                // Its signature is another provider's: Gemini signs calls and words.
                Part::Thinking(thinking) if !thinking.text.is_empty() => gemini::Part {
                    thought: Some(true),
                    ..words(thinking.text.clone())
                },
                Part::Image(media) => self.media(media, "image")?,
                Part::Document(media) => self.media(media, "document")?,
                Part::Audio(media) => self.media(media, "audio")?,
                Part::Video(media) => self.media(media, "video")?,
                Part::Call(call) => self.call(call)?,
                Part::Result(result) => {
                    for written in self.result(result)? {
                        self.push(written, Speaker::Functions);
                    }
                    continue;
                }
                Part::Other {
                    dialect: Dialect::Gemini,
                    value,
                } => serde_json::from_value(value.clone()).map_err(|_| {
                    Unfit::new(Some("messages"), "has a part that is none of Gemini's")
                })?,
                // Hidden thought, and what another provider's own tools said, stay with that provider.
                Part::Thinking(_) | Part::Other { .. } => continue,
            };
            self.push(written, speaker);
        }
        Ok(())
    }

    fn push(&mut self, part: gemini::Part, speaker: Speaker) {
        if self.last == Some(speaker)
            && let Some(content) = self.said.contents.last_mut()
        {
            content.parts.push(part);
            return;
        }
        self.last = Some(speaker);
        let role = if speaker == Speaker::Model {
            "model"
        } else {
            "user"
        };
        self.said.contents.push(Content {
            role: Some(role.to_owned()),
            parts: vec![part],
        });
    }

    fn media(
        &self,
        what: &crate::call::chat::Media,
        kind: &'static str,
    ) -> Result<gemini::Part, Unfit> {
        media(what, kind, self.flavour, self.model)
    }

    fn call(&mut self, call: &'a ToolCall) -> Result<gemini::Part, Unfit> {
        self.called.insert(&call.id, &call.name);
        let arguments = if call.arguments.trim().is_empty() {
            "{}"
        } else {
            &call.arguments
        };
        let args: Map<String, Value> = serde_json::from_str(arguments).map_err(|_| {
            Unfit::new(
                Some("messages"),
                "has a call whose arguments are no JSON object",
            )
        })?;
        let (id, signature) = match call.id.split_once(IN_ID) {
            Some((id, signature)) => (id, Some(signature.to_owned())),
            None => (call.id.as_str(), None),
        };
        Ok(gemini::Part {
            thought_signature: call.signature.clone().or(signature),
            function_call: Some(FunctionCall {
                id: (!id.is_empty()).then(|| id.to_owned()),
                name: call.name.clone(),
                args,
                ..FunctionCall::default()
            }),
            ..gemini::Part::default()
        })
    }

    /// What a function gave, and the images that cannot stand within it.
    fn result(&self, result: &ToolResult) -> Result<Vec<gemini::Part>, Unfit> {
        let name = result
            .name
            .as_deref()
            .or_else(|| self.called.get(result.id.as_str()).copied())
            .ok_or_else(|| {
                Unfit::new(
                    Some("messages"),
                    "needs the function's name, and the call that a result answers is not there",
                )
            })?;
        let mut text = String::new();
        let mut beside = Vec::new();
        for part in &result.parts {
            match part {
                Part::Text(more) => {
                    if !text.is_empty() {
                        text.push('\n');
                    }
                    text.push_str(&more.text);
                }
                Part::Image(media) => beside.push(self.media(media, "image")?),
                Part::Document(media) => beside.push(self.media(media, "document")?),
                Part::Audio(media) => beside.push(self.media(media, "audio")?),
                Part::Video(media) => beside.push(self.media(media, "video")?),
                _ => {
                    return Err(Unfit::new(
                        Some("messages"),
                        "has a function's result with a part that is neither words nor media",
                    ));
                }
            }
        }
        let nested = self.model.takes_nested_media();
        let mut response = FunctionResponse {
            id: result
                .id
                .split(IN_ID)
                .next()
                .filter(|id| !id.is_empty())
                .map(str::to_owned),
            name: name.to_owned(),
            response: gave(&text, result.error),
            ..FunctionResponse::default()
        };
        if nested {
            response.parts = std::mem::take(&mut beside);
        }
        let mut written = vec![gemini::Part {
            function_response: Some(response),
            ..gemini::Part::default()
        }];
        written.extend(beside);
        Ok(written)
    }
}

/// Google's reference names `output` and `error`; any other object is taken as the output.
fn gave(text: &str, error: bool) -> Map<String, Value> {
    if error {
        return Map::from_iter([("error".to_owned(), text.into())]);
    }
    match serde_json::from_str(text) {
        Ok(Value::Object(object)) => object,
        _ => Map::from_iter([("output".to_owned(), text.into())]),
    }
}

fn words(text: String) -> gemini::Part {
    gemini::Part {
        text: Some(text),
        ..gemini::Part::default()
    }
}

/// Gemini refuses empty words, unless they bear a signature.
fn said(text: &Text) -> Option<gemini::Part> {
    if text.text.is_empty() && text.signature.is_none() {
        return None;
    }
    Some(gemini::Part {
        thought_signature: text.signature.clone(),
        ..words(text.text.clone())
    })
}

/// The first call of a turn must be signed.
fn sign(content: &mut Content) {
    let mut calls = content
        .parts
        .iter_mut()
        .filter(|part| part.function_call.is_some());
    if let Some(first) = calls.next()
        && first.thought_signature.is_none()
    {
        first.thought_signature = Some(NO_SIGNATURE.to_owned());
    }
}

/// A tool of Google's own, by the names that it has in the dialects.
pub(super) fn builtin(dialect: Dialect, value: &Value) -> Result<Map<String, Value>, Unfit> {
    let unknown = || Unfit::new(Some("tools"), "does not offer one of the tools asked for");
    let object = value.as_object().ok_or_else(unknown)?;
    if dialect == Dialect::Gemini {
        return Ok(object.clone());
    }
    let kind = object.get("type").and_then(Value::as_str).unwrap_or("");
    let named = |name: &str| json!({name: {}}).as_object().cloned().ok_or_else(unknown);
    if kind.starts_with("web_search") {
        return named("googleSearch");
    }
    if kind.starts_with("web_fetch") {
        return named("urlContext");
    }
    if kind.starts_with("code_interpreter") || kind.starts_with("code_execution") {
        return named("codeExecution");
    }
    let mut tool = Map::new();
    for (name, value) in object {
        let name = gemini::camel(name);
        if GOOGLES.contains(&name.as_str()) {
            tool.insert(name, value.clone());
        }
    }
    if tool.is_empty() {
        Err(unknown())
    } else {
        Ok(tool)
    }
}
