//! A conversation as Converse takes it.

use std::borrow::Cow;
use std::collections::BTreeMap;

use bytes::Bytes;
use serde_json::{Value, json};

use super::blocks::{self, Blocks, cache_point};
use crate::call::chat::{Effort, Format, Function, Request, Tool, ToolChoice};
use crate::upstream::anthropic::{
    Generation, JSON_TOOL, Sampling, Thinks, any_object, object, subset,
};
use crate::upstream::extras;
use crate::upstream::protocol::{Ask, Task, Unfit, Written};
use crate::upstream::turns::{Manner, Turns};
use crate::wire::bedrock::{Maker, Model};
use crate::wire::converse::{self, Inference, InputSchema, ServiceTier, ToolConfig};
use crate::wire::write;

/// Longest answer beyond the thought, where the caller does not say.
const MAX_TOKENS: u64 = 4096;
/// Bytes that a body is given to begin with.
const ROOM: usize = 2048;

/// Members of Converse's own; all other unknown ones are the model's.
const CONVERSE: &[&str] = &[
    "additionalModelResponseFieldPaths",
    "guardrailConfig",
    "performanceConfig",
    "promptVariables",
    "requestMetadata",
];

/// Writes a conversation.
pub(super) fn write(ask: &Ask<'_>, chat: &Request) -> Result<Written, Unfit> {
    let model = Model::of(ask.model);
    let generation = match model.maker() {
        Maker::Anthropic => Generation::of(model.id),
        _ => Generation::PLAIN,
    };
    Writer {
        ask,
        chat,
        maker: model.maker(),
        generation,
        dropped: Vec::new(),
        body: converse::Request::default(),
    }
    .write()
}

struct Writer<'a> {
    ask: &'a Ask<'a>,
    chat: &'a Request,
    maker: Maker,
    generation: Generation,
    dropped: Vec<&'static str>,
    body: converse::Request<'a>,
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
        self.body.system = Blocks::system(&said);
        self.body.messages = Blocks::default().turns(&said)?;
        self.rest()?;
        let thinks = self.think(&said)?;
        self.tools(&said, &thinks)?;
        self.limits(&thinks)?;
        if let Some(tier) = self
            .chat
            .service_tier
            .as_deref()
            .filter(|tier| *tier != "auto")
        {
            self.body.service_tier = Some(ServiceTier { r#type: tier });
        }
        let written = if self.ask.task == Task::CountTokens {
            let converse::Request {
                system, messages, ..
            } = self.body;
            let counted = converse::Request {
                system,
                messages,
                ..converse::Request::default()
            };
            let counted = BTreeMap::from([("converse", counted)]);
            write::to_vec(&BTreeMap::from([("input", counted)]), ROOM)
        } else {
            write::to_vec(&self.body, ROOM)
        };
        Ok(Written {
            body: Bytes::from(written.map_err(|_| Unfit::new(None, "cannot be written as JSON"))?),
            headers: Vec::new(),
            dropped: self.dropped,
        })
    }

    fn rest(&mut self) -> Result<(), Unfit> {
        let (chat, params) = (self.chat, self.ask.params);
        let mut dropped = std::mem::take(&mut self.dropped);
        let read = extras::each(&chat.rest, &[], &params, &mut dropped, |name, value| {
            match name {
                "additionalModelRequestFields" => {
                    let fields = value.as_object().into_iter().flatten();
                    for (name, value) in fields {
                        self.own(name, value.clone());
                    }
                }
                "betas" => self.own("anthropic_beta", value.clone()),
                // For a step of its own.
                "thinking" => {}
                name if CONVERSE.contains(&name) => {
                    self.body.rest.insert(name, value);
                }
                name => self.own(name, value.clone()),
            }
        });
        self.dropped = dropped;
        read
    }

    /// A member of the model's own.
    fn own(&mut self, name: &str, value: Value) {
        let fields = &mut self.body.additional_model_request_fields;
        fields.insert(name.to_owned(), value);
    }

    fn think(&mut self, said: &Turns<'_>) -> Result<Thinks<'a>, Unfit> {
        let chat = self.chat;
        let given = chat.rest.get("thinking");
        let Some(reasoning) = chat.reasoning.as_ref() else {
            let thinks = given.map_or_else(Thinks::default, Thinks::given);
            return Ok(self.thought(thinks, said));
        };
        let effort = reasoning.effort.as_ref().and_then(word);
        match (self.maker, effort) {
            (Maker::Anthropic, _) if self.generation.thinks() => {
                let asked = Thinks::asked(reasoning, self.generation, chat.max_tokens);
                return Ok(self.thought(given.map_or(asked, Thinks::given), said));
            }
            (_, Some("none")) => {}
            (Maker::OpenAi, Some(effort)) => self.own("reasoning_effort", effort.into()),
            (Maker::Nova, Some(effort)) => {
                let effort = if effort == "minimal" { "low" } else { effort };
                let config = json!({"type": "enabled", "maxReasoningEffort": effort});
                self.own("reasoningConfig", config);
            }
            _ => self
                .ask
                .params
                .lacks("reasoning_effort", &mut self.dropped)?,
        }
        Ok(Thinks::default())
    }

    fn thought(&mut self, thinks: Thinks<'a>, said: &Turns<'_>) -> Thinks<'a> {
        if self.ask.params.mend && thinks.on() && said.calls_without_thought() {
            self.dropped.push("thinking");
            return Thinks::default();
        }
        if let Some(effort) = thinks.effort {
            let config = &mut self.body.output_config;
            config.insert("effort".to_owned(), effort.into());
        }
        let thinking = thinks
            .wire()
            .and_then(|wire| serde_json::to_value(wire).ok());
        if let Some(thinking) = thinking {
            self.own("thinking", thinking);
        }
        thinks
    }

    fn tools(&mut self, said: &Turns<'_>, thinks: &Thinks<'_>) -> Result<(), Unfit> {
        let chat = self.chat;
        let mut tools = Vec::with_capacity(chat.tools.len() + 1);
        let absent = chat.tool_choice == Some(ToolChoice::None);
        if absent && said.calls && !chat.tools.is_empty() {
            // Converse wants the tools where there are calls, and cannot forbid them.
            self.ask.params.lacks("tool_choice", &mut self.dropped)?;
        }
        if !absent || said.calls {
            for tool in &chat.tools {
                match tool {
                    Tool::Function(function) => {
                        tools.push(self.function(function)?);
                        let point = cache_point(function.cache.as_ref());
                        tools.extend(point.map(converse::Tool::CachePoint));
                    }
                    Tool::Builtin { .. } => {
                        self.ask.params.lacks("tools", &mut self.dropped)?;
                    }
                }
            }
        }
        let alone = tools.is_empty();
        let forms = self.format(&mut tools)?;
        if tools.is_empty() {
            if !said.calls {
                return Ok(());
            }
            if !self.ask.params.mend {
                let what = "wants `tools` where the conversation has calls; `modify_params: true` \
                            in `litellm_settings` adds one that does nothing";
                return Err(Unfit::new(Some("tools"), what));
            }
            tools.push(converse::Tool::ToolSpec {
                name: "dummy_tool",
                description: Some("This is a dummy tool call"),
                input_schema: InputSchema {
                    json: Cow::Owned(json!({"type": "object", "properties": {}})),
                },
                strict: None,
            });
        }
        let tool_choice = match &chat.tool_choice {
            Some(ToolChoice::Function(name)) => Some(converse::ToolChoice::Tool { name }),
            Some(ToolChoice::Required) => Some(converse::ToolChoice::Any {}),
            _ if forms && thinks.on() => None,
            _ if forms && alone => Some(converse::ToolChoice::Tool { name: JSON_TOOL }),
            _ if forms => Some(converse::ToolChoice::Any {}),
            Some(ToolChoice::Auto) => Some(converse::ToolChoice::Auto {}),
            Some(ToolChoice::None) | None => None,
        };
        if chat.parallel_tool_calls == Some(false) {
            self.one_call_at_a_time(tool_choice.as_ref())?;
        }
        self.body.tool_config = Some(ToolConfig { tools, tool_choice });
        Ok(())
    }

    /// Converse has no word for it, but Anthropic's models take their own.
    fn one_call_at_a_time(
        &mut self,
        choice: Option<&converse::ToolChoice<'_>>,
    ) -> Result<(), Unfit> {
        if self.maker != Maker::Anthropic {
            let params = &self.ask.params;
            return params.lacks("parallel_tool_calls", &mut self.dropped);
        }
        let mut own = match choice {
            Some(converse::ToolChoice::Tool { name }) => json!({"type": "tool", "name": name}),
            Some(converse::ToolChoice::Any {}) => json!({"type": "any"}),
            Some(converse::ToolChoice::Auto {}) | None => json!({"type": "auto"}),
        };
        own["disable_parallel_tool_use"] = Value::Bool(true);
        self.own("tool_choice", own);
        Ok(())
    }

    fn function(&self, function: &'a Function) -> Result<converse::Tool<'a>, Unfit> {
        if function.name == JSON_TOOL {
            let what = format!("`{JSON_TOOL}` is the gateway's own name of a function");
            return Err(Unfit::new(Some("tools"), what));
        }
        let strict = function.strict == Some(true) && self.keeps_schemas();
        let schema = match &function.parameters {
            Some(schema) if strict => subset(&schema.read()),
            Some(schema) => schema.read(),
            None => json!({}),
        };
        Ok(converse::Tool::ToolSpec {
            name: &function.name,
            description: function
                .description
                .as_deref()
                .filter(|text| !text.is_empty()),
            input_schema: InputSchema {
                json: object(Cow::Owned(schema)),
            },
            strict: strict.then_some(true),
        })
    }

    fn keeps_schemas(&self) -> bool {
        self.maker == Maker::Anthropic && self.generation.keeps_schemas()
    }

    /// Holds the answer to a form; says whether that takes a tool that must be called.
    fn format(&mut self, tools: &mut Vec<converse::Tool<'a>>) -> Result<bool, Unfit> {
        let chat = self.chat;
        let (schema, description) = match &chat.format {
            None | Some(Format::Text) => return Ok(false),
            Some(Format::Object) => (Cow::Owned(any_object()), None),
            Some(Format::Schema { name, schema, .. }) if self.keeps_schemas() => {
                let schema = subset(schema).to_string();
                let format = json!({"type": "json_schema", "structure":
                    {"jsonSchema": {"schema": schema, "name": name}}});
                let config = &mut self.body.output_config;
                config.insert("textFormat".to_owned(), format);
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
        tools.push(converse::Tool::ToolSpec {
            name: JSON_TOOL,
            description,
            input_schema: InputSchema {
                json: object(schema),
            },
            strict: None,
        });
        Ok(true)
    }

    fn limits(&mut self, thinks: &Thinks<'_>) -> Result<(), Unfit> {
        let params = &self.ask.params;
        let asked = Sampling::of(self.chat, params, &mut self.dropped)?;
        let Sampling {
            temperature,
            top_p,
            top_k,
            stop_sequences,
        } = asked.narrowed(self.generation, thinks.on(), params, &mut self.dropped)?;
        let room = thinks
            .budget()
            .map(|budget| budget.saturating_add(MAX_TOKENS));
        let inference = Inference {
            max_tokens: self.chat.max_tokens.or(room),
            temperature,
            top_p,
            stop_sequences,
        };
        self.body.inference_config = (!inference.is_empty()).then_some(inference);
        match (top_k, self.maker) {
            (None, _) => {}
            (Some(top_k), Maker::Nova) => self.own("inferenceConfig", json!({"topK": top_k})),
            (Some(top_k), Maker::Anthropic) => self.own("top_k", top_k.into()),
            (Some(top_k), Maker::Cohere) => self.own("k", top_k.into()),
            (Some(_), _) => params.lacks("top_k", &mut self.dropped)?,
        }
        Ok(())
    }
}

/// OpenAI's word for an effort.
fn word(effort: &Effort) -> Option<&'static str> {
    Some(match effort {
        Effort::None => "none",
        Effort::Minimal => "minimal",
        Effort::Low => "low",
        Effort::Medium => "medium",
        Effort::High | Effort::Max => "high",
        Effort::Other(_) => return None,
    })
}

/// By `invoke/`, only Anthropic's form is known.
pub(super) fn is_anthropics(model: &Model<'_>) -> Result<(), Unfit> {
    if model.maker() == Maker::Anthropic {
        return Ok(());
    }
    let what = "is asked by `invoke/` only for Anthropic's models; leave the word out";
    Err(Unfit::new(Some("model"), what))
}
