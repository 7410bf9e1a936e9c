//! A conversation as the messages API takes it.
//!
//! Lost on the way, because a model lacks it: `strict` of a function where arguments cannot be held
//! to a schema (the schema itself goes on); a `user` that is an address or a number of a telephone,
//! which Anthropic forbids.

use std::borrow::Cow;

use bytes::Bytes;
use http::HeaderValue;
use pointsman_routes::table::Facts;
use serde_json::{Value, json};

use super::betas::{self, Betas};
use super::blocks::{self, Blocks};
use super::generation::Generation;
use super::sampling::Sampling;
use super::thought::{self, Thinks};
use super::{JSON_TOOL, schema};
use crate::call::Dialect;
use crate::call::chat::{Format, Function, Request, Tool, ToolChoice};
use crate::upstream::extras;
use crate::upstream::protocol::{Ask, Task, Unfit, Written};
use crate::upstream::turns::{Manner, Turns};
use crate::wire::anthropic::{self, Metadata, Schema};
use crate::wire::write;

/// Longest answer where neither caller nor catalog says, as LiteLLM has it.
const MAX_TOKENS: u64 = 4096;
/// Searches of the web by `search_context_size`, as LiteLLM has them.
const SEARCHES: [(&str, u64); 3] = [("low", 1), ("medium", 5), ("high", 10)];
/// Members of OpenAI's dialect that have a place here.
const KNOWN: &[&str] = &["metadata", "safety_identifier", "web_search_options"];

/// Who serves the model; their requests differ in a few members.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Host {
    /// Anthropic.
    Anthropic,
    /// AWS Bedrock, `InvokeModel`.
    Bedrock,
    /// Google Vertex AI, `rawPredict`.
    Vertex,
}

/// Writes a conversation for a model at this host.
pub(crate) fn write(ask: &Ask<'_>, chat: &Request, host: Host) -> Result<Written, Unfit> {
    Writer {
        ask,
        chat,
        host,
        generation: Generation::of(ask.model),
        dropped: Vec::new(),
        betas: Betas::default(),
        body: anthropic::Request::default(),
    }
    .write()
}

struct Writer<'a> {
    ask: &'a Ask<'a>,
    chat: &'a Request,
    host: Host,
    generation: Generation,
    dropped: Vec<&'static str>,
    betas: Betas<'a>,
    body: anthropic::Request<'a>,
}

impl<'a> Writer<'a> {
    fn write(mut self) -> Result<Written, Unfit> {
        let said = Turns::read(
            &self.chat.messages,
            Manner {
                mend: self.ask.params.mend,
                continues: self.generation.continues(),
                has_place: blocks::has_place,
            },
        )?;
        let mut blocks = Blocks::default();
        self.body.system = blocks::system(&said);
        self.body.messages = blocks.turns(&said)?;
        self.betas.add_if(blocks.files, betas::FILES);
        self.rest()?;
        let thinks = self.think(&said)?;
        self.tools(&said, &thinks)?;
        if self.ask.task == Task::CountTokens {
            self.body.rest.clear();
        } else {
            self.limits(&thinks);
            self.sampling(&thinks)?;
            self.others()?;
            self.body.stream = self.ask.task == Task::Stream && self.host != Host::Bedrock;
        }
        self.address();
        // About what it takes, so that it is not moved as it is written.
        let room = 512 + 512 * self.body.tools.len() + said.length();
        let headers = match self.host {
            Host::Bedrock => {
                self.body.anthropic_beta = self.betas.into_list();
                Vec::new()
            }
            Host::Anthropic | Host::Vertex => {
                let value = self.betas.into_header();
                let header = value.and_then(|value| HeaderValue::from_str(&value).ok());
                header
                    .map(|value| (betas::HEADER, value))
                    .into_iter()
                    .collect()
            }
        };
        let body = write::to_vec(&self.body, room)
            .map_err(|_| Unfit::new(None, "cannot be written as JSON"))?;
        Ok(Written {
            body: Bytes::from(body),
            headers,
            dropped: self.dropped,
        })
    }

    fn address(&mut self) {
        match self.host {
            Host::Anthropic => self.body.model = Some(self.ask.model),
            Host::Bedrock => self.body.anthropic_version = Some("bedrock-2023-05-31"),
            Host::Vertex => self.body.anthropic_version = Some("vertex-2023-10-16"),
        }
    }

    /// Members that have no field in the one form: Anthropic's own go on, as do those that nobody
    /// here knows, so that what is new works at once.
    fn rest(&mut self) -> Result<(), Unfit> {
        let (chat, params) = (self.chat, self.ask.params);
        let mut dropped = std::mem::take(&mut self.dropped);
        let read = extras::each(&chat.rest, KNOWN, &params, &mut dropped, |name, value| {
            self.member(name, value);
        });
        self.dropped = dropped;
        read
    }

    fn member(&mut self, name: &'a str, value: &'a Value) {
        match name {
            "betas" | "anthropic_beta" => self.betas.extend(value),
            "web_search_options" => {
                let search = Cow::Owned(web_search(Some(value)));
                self.body.tools.push(anthropic::Tool::Builtin(search));
            }
            "output_config" => self.body.output_config = Some(value.clone()),
            "metadata" => self.body.metadata = metadata(value["user_id"].as_str()),
            "safety_identifier" => self.body.metadata = metadata(value.as_str()),
            // For a step of its own.
            "thinking" => {}
            _ => {
                self.betas.of_member(name, value);
                self.body.rest.insert(name, value);
            }
        }
    }

    fn think(&mut self, said: &Turns<'_>) -> Result<Thinks<'a>, Unfit> {
        let thinks = if let Some(given) = self.chat.rest.get("thinking") {
            Thinks::given(given)
        } else if let Some(reasoning) = &self.chat.reasoning {
            if !self.generation.thinks() && reasoning != &thought::nothing() {
                self.lacks("reasoning_effort")?;
                Thinks::default()
            } else {
                Thinks::asked(reasoning, self.generation, self.chat.max_tokens)
            }
        } else {
            Thinks::default()
        };
        if self.ask.params.mend && thinks.on() && said.calls_without_thought() {
            self.dropped.push("thinking");
            return Ok(Thinks::default());
        }
        if let Some(effort) = thinks.effort {
            self.configure("effort", Value::from(effort));
        }
        self.body.thinking = thinks.wire();
        Ok(thinks)
    }

    fn tools(&mut self, said: &Turns<'_>, thinks: &Thinks<'_>) -> Result<(), Unfit> {
        let chat = self.chat;
        for tool in &chat.tools {
            match tool {
                Tool::Function(function) => self.function(function)?,
                Tool::Builtin { dialect, value } => self.builtin(*dialect, value)?,
            }
        }
        let forms = self.format()?;
        if self.body.tools.is_empty() {
            if !said.calls {
                return Ok(());
            }
            // Calls in the conversation want tools beside them.
            if !self.ask.params.mend {
                let what = "wants `tools` where the conversation has calls; `modify_params: true` \
                            in `litellm_settings` adds one that does nothing";
                return Err(Unfit::new(Some("tools"), what));
            }
            self.body.tools.push(dummy());
        }
        self.choose(forms, thinks);
        Ok(())
    }

    fn function(&mut self, function: &'a Function) -> Result<(), Unfit> {
        if function.name == JSON_TOOL {
            let what = format!("`{JSON_TOOL}` is the gateway's own name of a function");
            return Err(Unfit::new(Some("tools"), what));
        }
        let strict = function.strict == Some(true) && self.keeps_schemas();
        let changed = |schema| Schema::Read(object(Cow::Owned(schema)));
        let input_schema = match &function.parameters {
            Some(schema) if strict => changed(schema::subset(&schema.read())),
            Some(schema) if schema.has_type() => Schema::AsItCame(schema.raw()),
            Some(schema) => changed(schema.read()),
            None => changed(json!({})),
        };
        self.body.tools.push(anthropic::Tool::Function {
            name: &function.name,
            description: function.description.as_deref(),
            input_schema,
            strict,
            cache_control: function.cache.as_ref(),
        });
        Ok(())
    }

    fn builtin(&mut self, dialect: Dialect, value: &'a Value) -> Result<(), Unfit> {
        let kind = value["type"].as_str().unwrap_or_default();
        let tool = match dialect {
            Dialect::Anthropic => {
                self.betas.of_tool(kind);
                Cow::Borrowed(value)
            }
            Dialect::OpenAi | Dialect::Responses if kind.starts_with("web_search") => {
                Cow::Owned(web_search(Some(value)))
            }
            Dialect::Gemini
                if value
                    .get("google_search")
                    .or(value.get("googleSearch"))
                    .is_some() =>
            {
                Cow::Owned(web_search(None))
            }
            _ => return self.lacks("tools"),
        };
        self.body.tools.push(anthropic::Tool::Builtin(tool));
        Ok(())
    }

    /// Holds the answer to a form; says whether that takes a tool that must be called.
    fn format(&mut self) -> Result<bool, Unfit> {
        let chat = self.chat;
        let (schema, description) = match &chat.format {
            None | Some(Format::Text) => return Ok(false),
            Some(Format::Object) => (Cow::Owned(any_object()), None),
            Some(Format::Schema { schema, .. }) if self.keeps_schemas() => {
                let format = json!({"type": "json_schema", "schema": schema::subset(schema)});
                self.configure("format", format);
                return Ok(false);
            }
            Some(Format::Schema {
                schema,
                description,
                ..
            }) => {
                if schema["type"].as_str().is_some_and(|kind| kind != "object") {
                    let what = "takes only the schema of an object";
                    return Err(Unfit::new(Some("response_format"), what));
                }
                (Cow::Borrowed(schema), description.as_deref())
            }
        };
        self.body.tools.push(anthropic::Tool::Function {
            name: JSON_TOOL,
            description,
            input_schema: Schema::Read(object(schema)),
            strict: false,
            cache_control: None,
        });
        Ok(true)
    }

    /// Whether a tool must be called; `forms` says that the last of the tools gives the answer its
    /// form, and that one of them must be called therefore. Who thinks cannot be made to call.
    fn choose(&mut self, forms: bool, thinks: &Thinks<'_>) {
        let alone = self.body.tools.len() == 1;
        let (kind, name) = match &self.chat.tool_choice {
            Some(ToolChoice::Function(name)) => ("tool", Some(name.as_str())),
            Some(ToolChoice::Required) => ("any", None),
            Some(ToolChoice::None) if !forms => ("none", None),
            _ if forms && thinks.on() => ("auto", None),
            Some(ToolChoice::None) => ("tool", Some(JSON_TOOL)),
            _ if forms && alone => ("tool", Some(JSON_TOOL)),
            _ if forms => ("any", None),
            Some(ToolChoice::Auto) => ("auto", None),
            None if self.chat.parallel_tool_calls.is_some() => ("auto", None),
            None => return,
        };
        let parallel = self.chat.parallel_tool_calls.filter(|_| kind != "none");
        self.body.tool_choice = Some(anthropic::ToolChoice {
            r#type: kind,
            name,
            disable_parallel_tool_use: parallel.map(|parallel| !parallel),
        });
    }

    fn limits(&mut self, thinks: &Thinks<'_>) {
        let Facts {
            max_output_tokens, ..
        } = self.ask.deployment.facts;
        self.body.max_tokens = Some(self.chat.max_tokens.unwrap_or_else(|| {
            let usual = max_output_tokens.unwrap_or(MAX_TOKENS);
            match thinks.budget() {
                Some(budget) if usual <= budget => budget.saturating_add(MAX_TOKENS),
                _ => usual,
            }
        }));
    }

    fn sampling(&mut self, thinks: &Thinks<'_>) -> Result<(), Unfit> {
        let asked = Sampling::of(self.chat, &self.ask.params, &mut self.dropped)?;
        let Sampling {
            temperature,
            top_p,
            top_k,
            stop_sequences,
        } = asked.narrowed(
            self.generation,
            thinks.on(),
            &self.ask.params,
            &mut self.dropped,
        )?;
        self.body.temperature = temperature;
        self.body.top_p = top_p;
        self.body.top_k = top_k;
        self.body.stop_sequences = stop_sequences;
        Ok(())
    }

    fn others(&mut self) -> Result<(), Unfit> {
        let chat = self.chat;
        if self.body.metadata.is_none() {
            self.body.metadata = metadata(chat.user.as_deref());
        }
        let direct = self.host == Host::Anthropic;
        match chat.service_tier.as_deref() {
            Some("auto") if direct => self.body.service_tier = Some("auto"),
            Some("default" | "standard_only") if direct => {
                self.body.service_tier = Some("standard_only");
            }
            None | Some("auto" | "default") => {}
            Some(_) => self.lacks("service_tier")?,
        }
        Ok(())
    }

    fn configure(&mut self, name: &str, value: Value) {
        let config = self.body.output_config.get_or_insert_with(|| json!({}));
        if let Some(members) = config.as_object_mut() {
            members.entry(name).or_insert(value);
        }
    }

    fn keeps_schemas(&self) -> bool {
        self.generation.keeps_schemas() && self.host != Host::Vertex
    }

    fn lacks(&mut self, name: &'static str) -> Result<(), Unfit> {
        self.ask.params.lacks(name, &mut self.dropped)
    }
}

/// The caller's own user, unless it is an address or a telephone's number: Anthropic refuses those.
fn metadata(user: Option<&str>) -> Option<Metadata<'_>> {
    let is_number = |user: &str| {
        let digits = user.chars().filter(char::is_ascii_digit).count();
        let others =
            |c: char| !c.is_ascii_digit() && !matches!(c, '+' | '-' | ' ' | '(' | ')' | '.');
        (7..=15).contains(&digits) && user.starts_with('+') && !user.contains(others)
    };
    user.filter(|user| !user.is_empty() && !user.contains('@') && !is_number(user))
        .map(|user_id| Metadata { user_id })
}

/// A schema that says that it is an object's.
pub(crate) fn object(schema: Cow<'_, Value>) -> Cow<'_, Value> {
    if schema.get("type").is_some() {
        return schema;
    }
    let mut schema = schema.into_owned();
    if !schema.is_object() {
        schema = json!({});
    }
    schema["type"] = json!("object");
    if schema.as_object().is_some_and(|members| members.len() == 1) {
        schema["properties"] = json!({});
    }
    Cow::Owned(schema)
}

/// The schema of any object.
pub(crate) fn any_object() -> Value {
    json!({"type": "object", "additionalProperties": true, "properties": {}})
}

/// The tool that LiteLLM gives to who has none.
fn dummy() -> anthropic::Tool<'static> {
    anthropic::Tool::Function {
        name: "dummy_tool",
        description: Some("This is a dummy tool call"),
        input_schema: Schema::Read(Cow::Owned(json!({"type": "object", "properties": {}}))),
        strict: false,
        cache_control: None,
    }
}

/// Anthropic's search of the web, from OpenAI's `web_search_options` or tool.
fn web_search(options: Option<&Value>) -> Value {
    let mut tool = json!({"type": "web_search_20250305", "name": "web_search"});
    let Some(options) = options else {
        return tool;
    };
    let size = options["search_context_size"].as_str();
    if let Some((_, uses)) = SEARCHES.iter().find(|(name, _)| Some(*name) == size) {
        tool["max_uses"] = json!(uses);
    }
    // Chat completions nest the place; responses do not.
    let place = match &options["user_location"] {
        place if place["approximate"].is_object() => &place["approximate"],
        place => place,
    };
    if place.is_object() {
        let mut location = json!({"type": "approximate"});
        for name in ["city", "region", "country", "timezone"] {
            if place[name].is_string() {
                location[name] = place[name].clone();
            }
        }
        tool["user_location"] = location;
    }
    if let Some(domains) = options.pointer("/filters/allowed_domains") {
        tool["allowed_domains"] = domains.clone();
    }
    tool
}
