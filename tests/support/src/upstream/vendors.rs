//! Vendors that speak OpenAI's dialect with words of their own: each takes what its reference names and
//! refuses the rest, and answers in the shape that it is known for.
//!
//! Sources: the types of Mistral's and Groq's own SDKs; the API references of xAI, OpenRouter,
//! Perplexity and `DeepSeek`.

use super::api::{Api, Asked};
use super::reply::Reply;
use super::shape::{list, members};
use super::types::{GROQ, MISTRAL};
use super::{answer, check, serve};
use bytes::Bytes;
use http::HeaderMap;
use serde_json::{Value, json};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Vendor {
    Mistral,
    Groq,
    Xai,
    OpenRouter,
    Perplexity,
    DeepSeek,
}

/// What each of them takes.
const COMMON: &[(&str, &str)] = &[
    ("model", "!text"),
    ("messages", "!list"),
    ("temperature", "float"),
    ("top_p", "float"),
    ("max_tokens", "int"),
    ("stream", "bool"),
    ("response_format", "object"),
    ("presence_penalty", "float"),
    ("frequency_penalty", "float"),
    ("reasoning_effort", "text"),
];
const TOOLS: &[(&str, &str)] = &[
    ("tools", "list"),
    ("tool_choice", "any"),
    ("parallel_tool_calls", "bool"),
    ("stop", "any"),
    ("n", "int"),
];

/// The vendor below whose name a path stands, where one fake is several.
pub(super) fn below(path: &str) -> Option<&'static dyn Api> {
    match path.split('/').nth(1)? {
        "mistral" => Some(&Vendor::Mistral),
        "groq" => Some(&Vendor::Groq),
        _ => None,
    }
}

impl Vendor {
    fn own(self) -> &'static [(&'static str, &'static str)] {
        match self {
            // Their SDKs' types say it.
            Self::Mistral | Self::Groq => &[],
            Self::Xai => &[
                ("max_completion_tokens", "int"),
                ("search_parameters", "object"),
                ("stream_options", "object"),
                ("logprobs", "bool"),
                ("top_logprobs", "int"),
                ("seed", "int"),
                ("user", "text"),
                ("deferred", "bool"),
            ],
            Self::OpenRouter => &[
                ("usage", "!object"),
                ("reasoning", "object"),
                ("provider", "object"),
                ("models", "texts"),
                ("route", "fallback"),
                ("transforms", "texts"),
                ("stream_options", "object"),
                ("max_completion_tokens", "int"),
                ("seed", "int"),
                ("user", "text"),
            ],
            Self::Perplexity => &[
                ("search_domain_filter", "texts"),
                ("search_recency_filter", "text"),
                ("web_search_options", "object"),
                ("return_images", "bool"),
                ("stream_options", "object"),
            ],
            Self::DeepSeek => &[
                ("thinking", "object"),
                ("stream_options", "object"),
                ("logprobs", "bool"),
                ("top_logprobs", "int"),
            ],
        }
    }

    fn takes_tools(self) -> bool {
        self != Self::Perplexity
    }

    fn message(self, message: &Value) -> Vec<String> {
        let role = message["role"].as_str().unwrap_or_default();
        let mut known = vec![("role", "!text")];
        match role {
            "assistant" => known.extend([
                ("content", "any"),
                ("tool_calls", "list"),
                ("reasoning", "text"),
                ("reasoning_content", "text"),
                ("reasoning_details", "list"),
                ("prefix", "bool"),
                ("refusal", "any"),
            ]),
            "tool" => known.extend([
                ("content", "!any"),
                ("tool_call_id", "!text"),
                ("name", "text"),
            ]),
            _ => {
                known.push(("content", "!any"));
                if self != Self::Xai {
                    known.push(("name", "text"));
                }
            }
        }
        let mut wrong = match self {
            Self::Mistral | Self::Groq => Vec::new(),
            _ => members(&format!("a turn of the {role}"), message, &known),
        };
        if self == Self::Mistral {
            let calls = list(&message["tool_calls"]).iter().map(|call| &call["id"]);
            let ids = calls.chain(message.get("tool_call_id"));
            let strange = ids
                .filter_map(Value::as_str)
                .filter(|id| id.len() != 9 || !id.bytes().all(|byte| byte.is_ascii_alphanumeric()));
            wrong.extend(strange.map(|id| format!("the id {id} is not 9 letters and digits")));
            if role == "assistant"
                && message["content"].as_str().is_none_or(str::is_empty)
                && !message["content"].is_array()
                && list(&message["tool_calls"]).is_empty()
            {
                wrong.push("a turn of the assistant without content and calls".into());
            }
        }
        if self == Self::DeepSeek && message["content"].is_array() {
            wrong.push("content: expected a text".into());
        }
        wrong
    }

    fn of_model(self, body: &Value) -> Vec<String> {
        let model = body["model"].as_str().unwrap_or_default();
        let lacks: &[&str] = match self {
            Self::Xai if model.contains("grok-4") => {
                &["stop", "presence_penalty", "frequency_penalty"]
            }
            Self::Groq if body["n"].as_u64().is_some_and(|n| n > 1) => &["n"],
            _ => &[],
        };
        let mut wrong: Vec<_> = lacks
            .iter()
            .filter(|name| body.get(**name).is_some())
            .map(|name| format!("{model} does not support parameter {name}"))
            .collect();
        let choice = body["tool_choice"].as_str().unwrap_or("auto");
        if self == Self::Mistral && !["auto", "none", "any"].contains(&choice) {
            wrong.push(format!("tool_choice: {choice}"));
        }
        if self == Self::DeepSeek
            && list(&body["tools"])
                .iter()
                .any(|tool| tool["type"] != "function")
        {
            wrong.push("unknown variant, expected `function`".into());
        }
        wrong
    }

    /// What it says, whole or as what is new.
    fn said(self) -> Value {
        match self {
            Self::Mistral => json!({"role": "assistant", "content": [
                {"type": "thinking", "thinking": [{"type": "text", "text": "two and two"}]},
                {"type": "text", "text": "four"}]}),
            Self::Groq => {
                json!({"role": "assistant", "content": "four", "reasoning": "two and two"})
            }
            Self::OpenRouter => json!({"role": "assistant", "content": "four",
                "refusal": null, "reasoning": "two and two",
                "reasoning_details": [{"type": "reasoning.text", "text": "two and two"}]}),
            Self::Perplexity => json!({"role": "assistant", "content": "four[1]"}),
            Self::Xai | Self::DeepSeek => json!({"role": "assistant", "content": "four",
                "reasoning_content": "two and two"}),
        }
    }

    fn usage(self) -> Value {
        match self {
            Self::Xai => json!({"prompt_tokens": 10, "completion_tokens": 2, "total_tokens": 20,
                "completion_tokens_details": {"reasoning_tokens": 8},
                "num_sources_used": 0, "cost_in_usd_ticks": 12_345_000}),
            Self::OpenRouter => json!({"prompt_tokens": 10, "completion_tokens": 10,
                "total_tokens": 20, "cost": 0.00042, "is_byok": false,
                "completion_tokens_details": {"reasoning_tokens": 8}}),
            Self::Perplexity => json!({"prompt_tokens": 10, "completion_tokens": 10,
                "total_tokens": 20, "search_context_size": "low",
                "cost": {"input_tokens_cost": 0.00001, "output_tokens_cost": 0.00001,
                    "request_cost": 0.005, "total_cost": 0.00502}}),
            Self::DeepSeek => json!({"prompt_tokens": 10, "completion_tokens": 10,
                "total_tokens": 20, "prompt_cache_hit_tokens": 4, "prompt_cache_miss_tokens": 6,
                "completion_tokens_details": {"reasoning_tokens": 8}}),
            Self::Groq | Self::Mistral => {
                json!({"prompt_tokens": 10, "completion_tokens": 10, "total_tokens": 20})
            }
        }
    }

    fn extras(self, answer: &mut Value) {
        match self {
            Self::Perplexity => {
                answer["citations"] = json!(["https://a.example"]);
                answer["search_results"] = json!([{"title": "A", "url": "https://a.example"}]);
            }
            Self::OpenRouter => answer["provider"] = "Somebody".into(),
            _ => {}
        }
    }

    /// A call of the first function, as each of them makes it.
    fn calls(self, tools: &Value) -> Value {
        let id = if self == Self::Mistral {
            "D681PevKs"
        } else {
            "call_1"
        };
        let function = json!({"name": tools[0]["function"]["name"], "arguments": "{}"});
        let call = json!({"id": id, "type": "function", "index": 0, "function": function});
        json!({"role": "assistant", "content": "", "tool_calls": [call]})
    }
}

impl Api for Vendor {
    fn serves(&self, path: &str) -> bool {
        path.ends_with("/chat/completions")
    }

    fn own_headers(&self) -> &'static [&'static str] {
        &[]
    }

    fn check(&self, asked: &Asked<'_>) -> (Value, Vec<String>) {
        let (body, mut wrong) = match self {
            Self::Mistral => check::body(asked.body, &MISTRAL, "chat"),
            Self::Groq => check::body(asked.body, &GROQ, "chat"),
            _ => {
                let (body, mut wrong) = check::strict(asked.body);
                let mut known = [COMMON, self.own()].concat();
                if self.takes_tools() {
                    known.extend(TOOLS);
                }
                wrong.extend(members("the body", &body, &known));
                (body, wrong)
            }
        };
        wrong.extend(self.of_model(&body));
        for message in list(&body["messages"]) {
            wrong.extend(self.message(message));
        }
        (body, wrong)
    }

    fn model(&self, _path: &str, body: &Value) -> String {
        body["model"].as_str().unwrap_or_default().to_owned()
    }

    fn credential<'h>(&self, headers: &'h HeaderMap) -> Option<&'h str> {
        serve::openai_credential(headers)
    }

    fn usual(&self, _path: &str, body: &Value, reply: &Reply) -> (&'static str, Vec<Bytes>) {
        let base =
            |kind: &str| json!({"id": "c1", "object": kind, "created": 1, "model": body["model"]});
        let tools = &body["tools"];
        let said = if list(tools).is_empty() {
            self.said()
        } else {
            self.calls(tools)
        };
        let why = match (list(tools).is_empty(), self) {
            (true, _) => "stop",
            (false, Self::Xai) => "",
            (false, _) => "tool_calls",
        };
        if body["stream"] != true {
            let mut answer = base("chat.completion");
            answer["choices"] = json!([{"index": 0, "message": said, "finish_reason": why}]);
            answer["usage"] = self.usage();
            self.extras(&mut answer);
            return ("application/json", vec![answer.to_string().into()]);
        }
        let chunk = |choices: Value| {
            let mut chunk = base("chat.completion.chunk");
            chunk["choices"] = choices;
            self.extras(&mut chunk);
            chunk
        };
        let mut first = chunk(json!([{"index": 0, "delta": said, "finish_reason": null}]));
        let mut last = chunk(json!([{"index": 0, "delta": {}, "finish_reason": why}]));
        if *self == Self::Xai && !why.is_empty() || *self != Self::Xai {
            last["choices"][0]["finish_reason"] = why.into();
        } else {
            first["choices"][0]["finish_reason"] = "".into();
            last["choices"] = json!([]);
        }
        match self {
            Self::Groq => last["x_groq"] = json!({"id": "req_1", "usage": self.usage()}),
            _ => last["usage"] = self.usage(),
        }
        let mut pieces: Vec<_> = [first, last]
            .iter()
            .map(|chunk| self.event(&chunk.to_string(), reply))
            .collect();
        if *self == Self::OpenRouter {
            pieces.insert(0, Bytes::from_static(b": OPENROUTER PROCESSING\n\n"));
        }
        pieces.push(Bytes::from_static(b"data: [DONE]\n\n"));
        ("text/event-stream", pieces)
    }

    fn error(&self, status: u16, message: &str) -> Value {
        answer::error(status, message)
    }

    fn stream_type(&self) -> &'static str {
        "text/event-stream"
    }

    fn event(&self, data: &str, _reply: &Reply) -> Bytes {
        format!("data: {data}\n\n").into()
    }
}
