//! The request as Gemini gets it.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::Flavour;
use super::contents::{builtin, contents};
use super::model::Model;
use super::schema;
use crate::call::chat::{self, Effort, Format, Function, Reasoning, Schema, Tool, ToolChoice};
use crate::upstream::extras;
use crate::upstream::protocol::{Ask, Params, Task, Unfit, Written};
use crate::wire::gemini::{self, Declaration, Sent, SentTool};
use crate::wire::write;

/// Budgets that LiteLLM takes for the words of `reasoning_effort`.
const LOW: u64 = 1024;
const MEDIUM: u64 = 2048;
const HIGH: u64 = 4096;

/// Bytes that a body is given to begin with.
const ROOM: usize = 2048;

/// Names of Gemini's own that callers of other dialects may give, which stand in
/// `generationConfig`.
const OF_GENERATION: [&str; 12] = [
    "audioTimestamp",
    "enableEnhancedCivicAnswers",
    "imageConfig",
    "mediaResolution",
    "modelSelectionConfig",
    "responseJsonSchema",
    "responseMimeType",
    "responseModalities",
    "responseSchema",
    "routingConfig",
    "speechConfig",
    "thinkingConfig",
];
/// The same, beside it.
const OF_REQUEST: [&str; 4] = [
    "cachedContent",
    "labels",
    "safetySettings",
    "modelArmorConfig",
];
/// What OpenAI's dialect has and Gemini has by another name.
const KNOWN: [&str; 3] = ["audio", "modalities", "web_search_options"];

/// Writes a conversation.
pub(super) fn chat(
    ask: &Ask<'_>,
    flavour: Flavour,
    chat: &chat::Request,
) -> Result<Written, Unfit> {
    let model = Model::named(ask.model);
    let params = ask.params;
    let mut dropped = Vec::new();
    let said = contents(&chat.messages, flavour, model, params)?;
    let mut request = Sent {
        contents: said.contents,
        system_instruction: said.system,
        tools: tools(chat, model)?,
        tool_config: chat.tool_choice.as_ref().map(tool_config),
        ..Sent::default()
    };
    let calls = chat
        .tools
        .iter()
        .filter(|tool| matches!(tool, Tool::Function(_)))
        .count();
    if calls == 0 {
        // Refused where there is nothing to choose from.
        request.tool_config = None;
    }
    if chat.parallel_tool_calls == Some(false) && calls > 1 {
        params.lacks("parallel_tool_calls", &mut dropped)?;
    }
    if chat.user.is_some() {
        dropped.push("user");
    }
    generation(chat, model, &mut request.generation_config)?;
    tier(chat, flavour, params, &mut request.rest, &mut dropped)?;
    more(chat, &params, &mut request, &mut dropped)?;

    let body = if ask.task == Task::CountTokens {
        counted(request, ask.model, flavour)
    } else {
        write::to_vec(&request, ROOM)
    };
    let body = body.map_err(|_| Unfit::new(None, "cannot be said in JSON"))?;
    Ok(Written {
        body: body.into(),
        dropped,
        ..Written::default()
    })
}

/// The Gemini API counts a whole request; Vertex AI takes what it counts beside the contents.
fn counted(
    mut request: Sent<'_>,
    model: &str,
    flavour: Flavour,
) -> Result<Vec<u8>, serde_json::Error> {
    if flavour == Flavour::Vertex {
        request.tool_config = None;
        request.rest.clear();
        return write::to_vec(&request, ROOM);
    }
    let name = super::resource(model);
    request.rest.insert("model".to_owned(), name.into());
    let counted = BTreeMap::from([("generateContentRequest", request)]);
    write::to_vec(&counted, ROOM)
}

fn tools(chat: &chat::Request, model: Model) -> Result<Vec<SentTool<'_>>, Unfit> {
    let mut declarations = Vec::new();
    let mut tools = Vec::new();
    for tool in &chat.tools {
        match tool {
            Tool::Function(function) => declarations.push(declaration(function, model)?),
            Tool::Builtin { dialect, value } => {
                tools.push(SentTool::Own(builtin(*dialect, value)?));
            }
        }
    }
    if chat.rest.contains_key("web_search_options") {
        let search = Map::from_iter([("googleSearch".to_owned(), json!({}))]);
        tools.push(SentTool::Own(search));
    }
    if !declarations.is_empty() {
        tools.insert(0, SentTool::Functions { declarations });
    }
    Ok(tools)
}

fn declaration(function: &Function, model: Model) -> Result<Declaration<'_>, Unfit> {
    let mut declared = Declaration {
        name: &function.name,
        description: function.description.as_deref(),
        parameters_json_schema: None,
        parameters: None,
    };
    if let Some(schema) = function
        .parameters
        .as_ref()
        .filter(|schema| has_properties(schema))
    {
        if model.takes_json_schema() {
            declared.parameters_json_schema = Some(schema.raw());
        } else {
            declared.parameters = Some(subset(&schema.read(), "tools")?);
        }
    }
    Ok(declared)
}

/// A function without parameters is one without a schema: an object of no properties is refused.
fn has_properties(schema: &Schema) -> bool {
    let is_empty = |object: &str| {
        let rest = object.strip_prefix('{').map(str::trim_start);
        rest.is_some_and(|rest| rest.starts_with('}'))
    };
    let bare = schema.len() < 2 && schema.member("type") == Some("\"object\"");
    schema.is_object() && !bare && !schema.member("properties").is_some_and(is_empty)
}

fn subset(schema: &Value, param: &'static str) -> Result<Value, Unfit> {
    schema::subset(schema)
        .map_err(|schema::TooLarge| Unfit::new(Some(param), "takes no schema as large as this"))
}

fn tool_config(choice: &ToolChoice) -> Map<String, Value> {
    let calling = match choice {
        ToolChoice::Auto => json!({"mode": "AUTO"}),
        ToolChoice::None => json!({"mode": "NONE"}),
        ToolChoice::Required => json!({"mode": "ANY"}),
        ToolChoice::Function(name) => json!({"mode": "ANY", "allowedFunctionNames": [name]}),
    };
    Map::from_iter([("functionCallingConfig".to_owned(), calling)])
}

fn generation(
    chat: &chat::Request,
    model: Model,
    config: &mut Map<String, Value>,
) -> Result<(), Unfit> {
    let mut put = |name: &str, value: Option<Value>| {
        if let Some(value) = value {
            config.insert(name.to_owned(), value);
        }
    };
    let number = |number: &Option<serde_json::Number>| number.clone().map(Value::Number);
    put("maxOutputTokens", chat.max_tokens.map(Value::from));
    put("temperature", number(&chat.temperature));
    put("topP", number(&chat.top_p));
    put("topK", chat.top_k.map(Value::from));
    put(
        "candidateCount",
        chat.n.filter(|n| *n != 1).map(Value::from),
    );
    put("presencePenalty", number(&chat.presence_penalty));
    put("frequencyPenalty", number(&chat.frequency_penalty));
    put("responseLogprobs", chat.logprobs.map(Value::from));
    if chat.logprobs == Some(true) {
        put("logprobs", chat.top_logprobs.map(Value::from));
    }
    if !chat.stop.is_empty() {
        put("stopSequences", Some(chat.stop.clone().into()));
    }
    if let Some(seed) = chat.seed {
        let seed = i32::try_from(seed)
            .map_err(|_| Unfit::new(Some("seed"), "takes a seed of 32 bits at most"))?;
        put("seed", Some(seed.into()));
    }
    match &chat.format {
        None | Some(Format::Text) => {}
        Some(Format::Object) => put("responseMimeType", Some("application/json".into())),
        Some(Format::Schema { schema, .. }) => {
            put("responseMimeType", Some("application/json".into()));
            if model.takes_json_schema() {
                put("responseJsonSchema", Some(schema::known(schema)));
            } else {
                put("responseSchema", Some(subset(schema, "response_format")?));
            }
        }
    }
    let thinking = chat
        .reasoning
        .as_ref()
        .and_then(|reasoning| thinking(reasoning, model));
    put("thinkingConfig", thinking);
    Ok(())
}

/// Levels for models that have them, LiteLLM's budgets for those before; a budget that the caller
/// gives goes on as it is.
fn thinking(reasoning: &Reasoning, model: Model) -> Option<Value> {
    let mut config = Map::new();
    let mut off = false;
    if let Some(budget) = reasoning.budget {
        off = budget == 0;
        config.insert("thinkingBudget".to_owned(), budget.into());
    } else if reasoning.adaptive && reasoning.effort.is_none() {
        if !model.thinks_at_levels() {
            config.insert("thinkingBudget".to_owned(), (-1).into());
        }
    } else if let Some(effort) = &reasoning.effort {
        off = *effort == Effort::None;
        if model.thinks_at_levels() {
            config.insert("thinkingLevel".to_owned(), level(effort, model).into());
        } else {
            config.insert("thinkingBudget".to_owned(), budget(effort, model)?);
        }
    } else {
        reasoning.shown?;
    }
    let shown = reasoning.shown.unwrap_or(true) && !off;
    config.insert("includeThoughts".to_owned(), shown.into());
    Some(Value::Object(config))
}

/// A level as Google's SDK names it.
fn level(effort: &Effort, model: Model) -> String {
    let level = match effort {
        // None of them can be kept from thinking.
        Effort::None | Effort::Minimal if model.is_flash => "MINIMAL",
        Effort::None | Effort::Minimal | Effort::Low => "LOW",
        Effort::Medium if model.has_middle_level() => "MEDIUM",
        Effort::Medium | Effort::High | Effort::Max => "HIGH",
        Effort::Other(word) => return word.to_ascii_uppercase(),
    };
    level.to_owned()
}

fn budget(effort: &Effort, model: Model) -> Option<Value> {
    Some(match effort {
        Effort::None => 0.into(),
        // The least that the models take.
        Effort::Minimal if model.is_flash => 512.into(),
        Effort::Minimal => 128.into(),
        Effort::Low => LOW.into(),
        Effort::Medium => MEDIUM.into(),
        Effort::High | Effort::Max => HIGH.into(),
        Effort::Other(_) => return None,
    })
}

fn tier(
    chat: &chat::Request,
    flavour: Flavour,
    params: Params<'_>,
    rest: &mut Map<String, Value>,
    dropped: &mut Vec<&'static str>,
) -> Result<(), Unfit> {
    let tier = match (chat.service_tier.as_deref(), flavour) {
        (None | Some("auto" | "unspecified"), _)
        | (Some("default" | "standard"), Flavour::Vertex) => return Ok(()),
        (Some("default" | "standard"), Flavour::Api) => "standard",
        (Some("flex"), Flavour::Api) => "flex",
        (Some("priority"), Flavour::Api) => "priority",
        _ => return params.lacks("service_tier", dropped),
    };
    rest.insert("serviceTier".to_owned(), tier.into());
    Ok(())
}

/// What no field of the one form holds. Names of Gemini's own are taken in both cases.
fn more(
    chat: &chat::Request,
    params: &Params<'_>,
    request: &mut Sent<'_>,
    dropped: &mut Vec<&'static str>,
) -> Result<(), Unfit> {
    let mut unfit = None;
    extras::each(&chat.rest, &KNOWN, params, dropped, |name, value| {
        if let Err(why) = extra(name, value, request) {
            unfit = Some(why);
        }
    })?;
    unfit.map_or(Ok(()), Err)
}

fn extra(name: &str, value: &Value, request: &mut Sent<'_>) -> Result<(), Unfit> {
    let config = &mut request.generation_config;
    let theirs = gemini::camel(name);
    match theirs.as_str() {
        "webSearchOptions" => {}
        "modalities" => {
            let upper = |kind: &Value| kind.as_str().map(str::to_ascii_uppercase);
            let kinds = value.as_array().into_iter().flatten().filter_map(upper);
            config.insert("responseModalities".to_owned(), kinds.collect());
        }
        "audio" => {
            let speech = speech(value).ok_or_else(|| {
                Unfit::new(Some("audio"), "takes a voice by its name and nothing else")
            })?;
            config.insert("speechConfig".to_owned(), speech);
        }
        "generationConfig" => {
            for (name, value) in value.as_object().into_iter().flatten() {
                config.insert(gemini::camel(name), value.clone());
            }
        }
        "toolConfig" => {
            let ours = request.tool_config.get_or_insert_with(Map::new);
            for (name, value) in value.as_object().into_iter().flatten() {
                ours.entry(gemini::camel(name))
                    .or_insert_with(|| value.clone());
            }
        }
        known if OF_GENERATION.contains(&known) => {
            config.insert(theirs, value.clone());
        }
        known if OF_REQUEST.contains(&known) => {
            request.rest.insert(theirs, value.clone());
        }
        _ => {
            request.rest.insert(name.to_owned(), value.clone());
        }
    }
    Ok(())
}

/// OpenAI's `audio`: a voice; the form of the sound is always PCM.
fn speech(audio: &Value) -> Option<Value> {
    let voice = audio.get("voice")?.as_str()?;
    Some(json!({"voiceConfig": {"prebuiltVoiceConfig": {"voiceName": voice}}}))
}
