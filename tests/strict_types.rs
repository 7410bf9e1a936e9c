//! Whatever a caller may send, each provider gets only what its own SDK could have sent: every parameter
//! of every front door, to every kind of upstream, against fakes that know the types of the SDKs.

#![expect(clippy::unwrap_used, reason = "to panic is how a test fails")]

use serde_json::{Value, json};
use support::scene::Scene;
use support::{Upstream, gateway};

/// Model group, model, path of its base, and what else its entry says.
type Kind = (&'static str, &'static str, &'static str, &'static str);

const CHATS: &[Kind] = &[
    ("openai", "openai/gpt-5.1", "/v1", ""),
    ("azure", "azure/gpt-4o", "", "api_version: \"2024-10-21\""),
    ("anthropic", "anthropic/claude-sonnet-4-5", "", ""),
    ("gemini", "gemini/gemini-2.5-flash", "", ""),
    ("newer-gemini", "gemini/gemini-3-pro-preview", "", ""),
    (
        "vertex",
        "vertex_ai/gemini-2.5-pro",
        "",
        "vertex_project: p\n      vertex_location: europe-west6",
    ),
    (
        "bedrock",
        "bedrock/anthropic.claude-opus-4-6-v1",
        "",
        "aws_region_name: eu-west-1",
    ),
    (
        "nova",
        "bedrock/amazon.nova-pro-v1:0",
        "",
        "aws_region_name: eu-west-1",
    ),
    ("cohere", "cohere/command-a-vision-07-2025", "", ""),
    ("ollama", "ollama/llama3.2-vision", "", ""),
    ("mistral", "mistral/mistral-large-latest", "/mistral/v1", ""),
    (
        "groq",
        "groq/llama-3.3-70b",
        "/groq/openai/v1",
        "use_chat_completions_api: true",
    ),
];

const VECTORS: &[Kind] = &[
    ("openai", "openai/text-embedding-3-small", "/v1", ""),
    (
        "azure",
        "azure/text-embedding-3-small",
        "",
        "api_version: \"2024-10-21\"",
    ),
    ("gemini", "gemini/gemini-embedding-001", "", ""),
    (
        "vertex",
        "vertex_ai/text-embedding-005",
        "",
        "vertex_project: p\n      vertex_location: europe-west6",
    ),
    (
        "titan",
        "bedrock/amazon.titan-embed-text-v2:0",
        "",
        "aws_region_name: eu-west-1",
    ),
    (
        "cohere-on-bedrock",
        "bedrock/cohere.embed-english-v3",
        "",
        "aws_region_name: eu-west-1",
    ),
    ("cohere", "cohere/embed-v4.0", "", ""),
    ("ollama", "ollama/nomic-embed-text", "", ""),
];

const PNG: &str = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";
const PDF: &str = "JVBERi0xLjQKJSVFT0YK";

async fn scene(kinds: &[Kind]) -> Scene {
    let upstream = Upstream::start().await;
    let entries = kinds.iter().map(|(name, model, base, more)| {
        format!(
            "  - model_name: {name}
    litellm_params:
      model: {model}
      api_base: {}
      api_key: os.environ/TEST_UPSTREAM_KEY
      {more}
",
            upstream.url(base)
        )
    });
    let config = format!(
        "model_list:
{}router_settings:
  num_retries: 0
  disable_cooldowns: true
litellm_settings:
  drop_params: true
general_settings:
  master_key: os.environ/TEST_MASTER_KEY
",
        entries.collect::<String>()
    );
    Scene::between(upstream, gateway!(), &config).await
}

fn with(body: &Value, more: &Value) -> Value {
    let mut body = body.clone();
    for (name, value) in more.as_object().unwrap() {
        body[name] = value.clone();
    }
    body
}

/// Sends every variant to every kind, and says what providers objected to. What the gateway itself
/// refuses reaches none; most of what is sent has to.
async fn objections(
    kinds: &[Kind],
    path: impl Fn(&str) -> String,
    base: Value,
    variants: &[Value],
) -> Vec<String> {
    let scene = scene(kinds).await;
    let mut all = Vec::new();
    for (kind, ..) in kinds {
        for variant in variants {
            let mut body = with(&base, variant);
            if body.get("model").is_some() {
                body["model"] = (*kind).into();
            }
            let before = scene.upstream.seen().len();
            let answer = scene.client.post(&path(kind), &body).await;
            for fault in scene.upstream.take_violations() {
                all.push(format!("{kind}: {variant}: {fault}"));
            }
            let reached = scene.upstream.seen().len() > before;
            if reached && answer.status != 200 {
                all.push(format!("{kind}: {variant}: {}", answer.text()));
            }
        }
    }
    let sent = kinds.len() * variants.len();
    let reached = scene.upstream.seen().len();
    assert!(
        reached * 4 > sent * 3,
        "{reached} of {sent} reached a provider"
    );
    all
}

/// A variant for each value of each parameter.
fn singly(parameters: &[(&str, Value)]) -> Vec<Value> {
    let each = parameters.iter().flat_map(|(name, values)| {
        let values = values.as_array().unwrap().iter();
        values.map(move |value| json!({*name: value}))
    });
    each.collect()
}

fn city() -> Value {
    json!({"type": "object", "properties": {"city": {"type": "string", "description": "Where.",
        "minLength": 1}, "days": {"type": ["integer", "null"], "minimum": 1}},
        "required": ["city", "days"], "additionalProperties": false})
}

fn chat_parameters() -> Vec<Value> {
    let mut variants = singly(&[
        ("temperature", json!([0, 0.5])),
        ("top_p", json!([0.5])),
        ("n", json!([1])),
        ("stop", json!(["END", ["END", "STOP"]])),
        ("max_tokens", json!([9])),
        ("max_completion_tokens", json!([9])),
        ("presence_penalty", json!([0.5])),
        ("frequency_penalty", json!([0.5])),
        ("logit_bias", json!([{"1": 1}])),
        ("logprobs", json!([true, false])),
        ("user", json!(["u-1"])),
        ("seed", json!([7])),
        (
            "reasoning_effort",
            json!(["none", "minimal", "low", "medium", "high"]),
        ),
        ("verbosity", json!(["low"])),
        (
            "service_tier",
            json!(["auto", "default", "flex", "priority"]),
        ),
        ("store", json!([true, false])),
        ("metadata", json!([{"a": "b"}])),
        ("modalities", json!([["text"]])),
        (
            "prediction",
            json!([{"type": "content", "content": "it is"}]),
        ),
        ("prompt_cache_key", json!(["k"])),
        ("prompt_cache_retention", json!(["24h"])),
        ("safety_identifier", json!(["s"])),
        (
            "web_search_options",
            json!([{}, {"search_context_size": "low"}]),
        ),
        ("parallel_tool_calls", json!([true, false])),
        (
            "response_format",
            json!([{"type": "text"}, {"type": "json_object"}, {"type": "json_schema",
                "json_schema": {"name": "place", "strict": true, "description": "A place.",
                "schema": city()}}]),
        ),
    ]);
    variants.push(json!({}));
    variants.push(json!({"stream": true}));
    variants.push(json!({"stream": true, "stream_options": {"include_usage": true}}));
    variants.push(json!({"logprobs": true, "top_logprobs": 2}));
    variants
}

fn function() -> Value {
    json!({"type": "function", "function": {"name": "weather", "description": "Tells it.",
        "parameters": city()}})
}

fn chat_tools() -> Vec<Value> {
    let tool = function();
    let strict = json!({"type": "function", "function": {"name": "weather", "strict": true,
        "parameters": city()}});
    let bare = json!({"type": "function", "function": {"name": "now"}});
    let mut variants = Vec::new();
    for choice in [
        json!("auto"),
        json!("none"),
        json!("required"),
        json!({"type": "function", "function": {"name": "weather"}}),
    ] {
        variants.push(json!({"tools": [tool, bare], "tool_choice": choice}));
        variants
            .push(json!({"tools": [strict], "tool_choice": choice, "parallel_tool_calls": false}));
    }
    variants
}

fn chat_turns() -> Vec<Value> {
    let call = json!({"id": "call_1", "type": "function",
        "function": {"name": "weather", "arguments": "{\"city\": \"Paris\", \"days\": 1}"}});
    let asked = json!({"role": "user", "content": "hi"});
    let tool = function();
    let mut variants = Vec::new();
    let image = format!("data:image/png;base64,{PNG}");
    let pdf = format!("data:application/pdf;base64,{PDF}");
    for messages in [
        json!([{"role": "system", "content": "Be short."}, asked]),
        json!([{"role": "developer", "content": "Be short."}, asked]),
        json!([{"role": "system", "content": [{"type": "text", "text": "Be short."}]}, asked]),
        json!([{"role": "user", "content": "hi", "name": "ann"}]),
        json!([asked, {"role": "assistant", "content": "hello"}, asked]),
        json!([asked, {"role": "assistant", "content": "hello", "name": "bot"}, asked]),
        json!([{"role": "user", "content": [{"type": "text", "text": "see"},
            {"type": "image_url", "image_url": {"url": image, "detail": "low"}}]}]),
        json!([{"role": "user", "content": [{"type": "text", "text": "read"},
            {"type": "file", "file": {"filename": "a.pdf", "file_data": pdf}}]}]),
        json!([{"role": "user", "content": [{"type": "text", "text": "hear"},
            {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}}]}]),
    ] {
        variants.push(json!({"messages": messages}));
    }
    for result in [json!("sunny"), json!([{"type": "text", "text": "sunny"}])] {
        let told = json!({"role": "tool", "tool_call_id": "call_1", "content": result});
        for said in [
            json!({"role": "assistant", "content": null, "tool_calls": [call]}),
            json!({"role": "assistant", "content": "Let me see.", "tool_calls": [call],
                "refusal": null}),
        ] {
            variants.push(json!({"tools": [tool], "messages": [asked, said, told]}));
            variants.push(json!({"messages": [asked, said, told, asked]}));
        }
    }
    variants
}

#[tokio::test]
async fn of_chat_completions_every_provider_gets_what_it_knows() {
    let variants = [chat_parameters(), chat_tools(), chat_turns()].concat();
    let base = json!({"model": "", "messages": [{"role": "user", "content": "hi"}]});
    let path = |_: &str| "/v1/chat/completions".to_owned();
    let all = objections(CHATS, path, base, &variants).await;
    assert!(all.is_empty(), "{all:#?}");
}

#[tokio::test]
async fn of_anthropics_messages_every_provider_gets_what_it_knows() {
    let tool = json!({"name": "weather", "description": "Tells it.", "input_schema": city()});
    let cached = json!({"type": "ephemeral"});
    let asked = json!({"role": "user", "content": "hi"});
    let mut variants = vec![json!({})];
    variants.extend(singly(&[
        ("temperature", json!([0.5])),
        ("top_p", json!([0.5])),
        ("top_k", json!([5])),
        ("stop_sequences", json!([["END"]])),
        ("metadata", json!([{"user_id": "u-1"}])),
        ("service_tier", json!(["auto", "standard_only"])),
        ("stream", json!([true])),
        (
            "system",
            json!(["Be short.", [{"type": "text", "text": "Be short.",
            "cache_control": cached}]]),
        ),
        (
            "thinking",
            json!([{"type": "disabled"}, {"type": "enabled", "budget_tokens": 1024},
            {"type": "adaptive"}]),
        ),
        (
            "output_config",
            json!([{"effort": "low"}, {"format": {"type": "json_schema",
            "schema": {"type": "object", "properties": {"city": {"type": "string"}},
            "required": ["city"], "additionalProperties": false}}}]),
        ),
    ]));
    for choice in [
        json!({"type": "auto"}),
        json!({"type": "none"}),
        json!({"type": "any", "disable_parallel_tool_use": true}),
        json!({"type": "tool", "name": "weather"}),
    ] {
        variants.push(json!({"tools": [tool], "tool_choice": choice}));
    }
    variants.push(json!({"tools": [with(&tool, &json!({"cache_control": cached}))]}));
    let image = json!({"type": "image", "source": {"type": "base64", "media_type": "image/png",
        "data": PNG}});
    let pdf = json!({"type": "document", "title": "A", "context": "c", "source":
        {"type": "base64", "media_type": "application/pdf", "data": PDF}});
    let words = json!({"type": "document", "citations": {"enabled": true}, "source":
        {"type": "text", "media_type": "text/plain", "data": "words"}});
    let text = json!({"type": "text", "text": "see", "cache_control": cached});
    for block in [&image, &pdf, &words] {
        variants.push(json!({"messages": [{"role": "user", "content": [text, block]}]}));
    }
    let call = json!({"type": "tool_use", "id": "toolu_1", "name": "weather",
        "input": {"city": "Paris", "days": 1}, "cache_control": cached});
    for content in [
        json!("sunny"),
        json!([{"type": "text", "text": "sunny"}, image]),
    ] {
        for is_error in [true, false] {
            let told = json!({"role": "user", "content": [{"type": "tool_result",
                "tool_use_id": "toolu_1", "content": content, "is_error": is_error}]});
            let said = json!({"role": "assistant", "content": [
                {"type": "text", "text": "Let me see."}, call]});
            variants.push(json!({"tools": [tool], "messages": [asked, said, told]}));
        }
    }
    let base = json!({"model": "", "max_tokens": 2048, "messages": [asked]});
    let all = objections(CHATS, |_| "/v1/messages".to_owned(), base, &variants).await;
    assert!(all.is_empty(), "{all:#?}");
}

#[tokio::test]
async fn of_geminis_contents_every_provider_gets_what_it_knows() {
    let mut variants = vec![json!({})];
    for config in [
        json!({"temperature": 0.5, "topP": 0.5, "topK": 5, "candidateCount": 1}),
        json!({"maxOutputTokens": 9, "stopSequences": ["END"], "seed": 7}),
        json!({"presencePenalty": 0.5, "frequencyPenalty": 0.5}),
        json!({"responseLogprobs": true, "logprobs": 2}),
        json!({"responseMimeType": "application/json"}),
        json!({"responseMimeType": "application/json", "responseSchema": {"type": "OBJECT",
            "properties": {"city": {"type": "STRING"}}, "required": ["city"]}}),
        json!({"responseMimeType": "application/json", "responseJsonSchema": city()}),
        json!({"thinkingConfig": {"thinkingBudget": 0}}),
        json!({"thinkingConfig": {"thinkingBudget": 1024, "includeThoughts": true}}),
        json!({"responseModalities": ["TEXT"], "mediaResolution": "MEDIA_RESOLUTION_LOW"}),
    ] {
        variants.push(json!({"generationConfig": config}));
    }
    let said = |text: &str| json!({"role": "user", "parts": [{"text": text}]});
    variants.push(json!({"systemInstruction": {"parts": [{"text": "Be short."}]}}));
    variants.push(
        json!({"safetySettings": [{"category": "HARM_CATEGORY_HARASSMENT",
        "threshold": "BLOCK_NONE"}]}),
    );
    let tools = json!([{"functionDeclarations": [{"name": "weather", "description": "Tells it.",
        "parameters": {"type": "OBJECT", "properties": {"city": {"type": "STRING"}}}}]}]);
    for mode in ["AUTO", "ANY", "NONE"] {
        variants.push(json!({"tools": tools,
            "toolConfig": {"functionCallingConfig": {"mode": mode}}}));
    }
    variants.push(json!({"tools": tools, "contents": [said("hi"),
        {"role": "model", "parts": [{"functionCall": {"name": "weather", "args": {"city": "Paris"}},
            "thoughtSignature": "c2ln"}]},
        {"role": "user", "parts": [{"functionResponse": {"name": "weather",
            "response": {"result": "sunny"}}}]}]}));
    variants.push(
        json!({"contents": [said("hi"), {"role": "model", "parts": [{"text": "hello"}]},
        said("and?")]}),
    );
    for (kind, data) in [("image/png", PNG), ("application/pdf", PDF)] {
        variants.push(
            json!({"contents": [{"role": "user", "parts": [{"text": "see"},
            {"inlineData": {"mimeType": kind, "data": data}}]}]}),
        );
    }
    let base = json!({"contents": [said("hi")]});
    for method in ["generateContent", "streamGenerateContent"] {
        let path = |kind: &str| format!("/v1beta/models/{kind}:{method}");
        let all = objections(CHATS, path, base.clone(), &variants).await;
        assert!(all.is_empty(), "{all:#?}");
    }
}

#[tokio::test]
async fn of_responses_every_provider_gets_what_it_knows() {
    let tool = json!({"type": "function", "name": "weather", "description": "Tells it.",
        "parameters": city(), "strict": true});
    let asked = json!({"role": "user", "content": "hi"});
    let mut variants = vec![
        json!({}),
        json!({"stream": true}),
        json!({"input": [asked]}),
    ];
    variants.extend(singly(&[
        ("instructions", json!(["Be short."])),
        ("temperature", json!([0.5])),
        ("top_p", json!([0.5])),
        ("max_output_tokens", json!([99])),
        ("metadata", json!([{"a": "b"}])),
        ("user", json!(["u-1"])),
        ("store", json!([false])),
        ("truncation", json!(["auto", "disabled"])),
        ("service_tier", json!(["auto", "default"])),
        ("parallel_tool_calls", json!([false])),
        ("prompt_cache_key", json!(["k"])),
        ("safety_identifier", json!(["s"])),
        ("top_logprobs", json!([2])),
        (
            "reasoning",
            json!([{"effort": "low"}, {"effort": "high", "summary": "auto"}]),
        ),
        (
            "text",
            json!([{"verbosity": "low"}, {"format": {"type": "text"}},
            {"format": {"type": "json_object"}}, {"format": {"type": "json_schema",
            "name": "place", "strict": true, "schema": city()}}]),
        ),
        ("include", json!([["reasoning.encrypted_content"]])),
    ]));
    for choice in [
        json!("auto"),
        json!("none"),
        json!("required"),
        json!({"type": "function", "name": "weather"}),
    ] {
        variants.push(json!({"tools": [tool], "tool_choice": choice}));
    }
    let image = format!("data:image/png;base64,{PNG}");
    let pdf = format!("data:application/pdf;base64,{PDF}");
    variants.push(json!({"input": [{"role": "user", "content": [
        {"type": "input_text", "text": "see"},
        {"type": "input_image", "image_url": image, "detail": "low"}]}]}));
    variants.push(json!({"input": [{"role": "user", "content": [
        {"type": "input_text", "text": "read"},
        {"type": "input_file", "filename": "a.pdf", "file_data": pdf}]}]}));
    variants.push(json!({"tools": [tool], "input": [asked,
        {"type": "function_call", "call_id": "call_1", "name": "weather", "id": "fc_1",
            "arguments": "{\"city\": \"Paris\", \"days\": 1}", "status": "completed"},
        {"type": "function_call_output", "call_id": "call_1", "output": "sunny"}]}));
    variants.push(
        json!({"input": [{"role": "developer", "content": "Be short."}, asked,
        {"type": "message", "role": "assistant", "id": "msg_1", "status": "completed",
            "content": [{"type": "output_text", "text": "hello", "annotations": []}]}, asked]}),
    );
    let base = json!({"model": "", "input": "hi"});
    let all = objections(CHATS, |_| "/v1/responses".to_owned(), base, &variants).await;
    assert!(all.is_empty(), "{all:#?}");
}

#[tokio::test]
async fn what_is_to_be_counted_reaches_every_provider_as_it_knows_it() {
    let asked = json!({"role": "user", "content": "hi"});
    let tool = json!({"name": "weather", "input_schema": city()});
    let variants = [
        json!({}),
        json!({"system": "Be short."}),
        json!({"tools": [tool], "tool_choice": {"type": "any"}}),
        json!({"thinking": {"type": "enabled", "budget_tokens": 1024}}),
    ];
    let base = json!({"model": "", "messages": [asked]});
    let counters: Vec<Kind> = counters().collect();
    let path = |_: &str| "/v1/messages/count_tokens".to_owned();
    let all = objections(&counters, path, base, &variants).await;
    assert!(all.is_empty(), "{all:#?}");

    let said = json!({"role": "user", "parts": [{"text": "hi"}]});
    let variants = [
        json!({}),
        json!({"generateContentRequest": {"model": "models/m", "contents": [said],
            "systemInstruction": {"parts": [{"text": "Be short."}]}}, "contents": []}),
    ];
    let path = |kind: &str| format!("/v1beta/models/{kind}:countTokens");
    let all = objections(&counters, path, json!({"contents": [said]}), &variants).await;
    assert!(all.is_empty(), "{all:#?}");
}

/// Those who count; for others the gateway counts itself.
fn counters() -> impl Iterator<Item = Kind> {
    let counts = ["anthropic", "gemini", "newer-gemini", "vertex", "bedrock"];
    CHATS
        .iter()
        .copied()
        .filter(move |(name, ..)| counts.contains(name))
}

#[tokio::test]
async fn of_embeddings_every_provider_gets_what_it_knows() {
    let variants = [
        json!({}),
        json!({"input": ["a", "b"]}),
        json!({"dimensions": 256}),
        json!({"encoding_format": "float"}),
        json!({"encoding_format": "base64"}),
        json!({"user": "u-1"}),
    ];
    let base = json!({"model": "", "input": "hi"});
    let path = |_: &str| "/v1/embeddings".to_owned();
    let all = objections(VECTORS, path, base, &variants).await;
    assert!(all.is_empty(), "{all:#?}");

    let content = json!({"parts": [{"text": "hi"}]});
    let variants = [
        json!({}),
        json!({"taskType": "RETRIEVAL_QUERY"}),
        json!({"taskType": "RETRIEVAL_DOCUMENT", "title": "t"}),
        json!({"outputDimensionality": 256}),
    ];
    let path = |kind: &str| format!("/v1beta/models/{kind}:embedContent");
    let all = objections(VECTORS, path, json!({"content": content}), &variants).await;
    assert!(all.is_empty(), "{all:#?}");
    let path = |kind: &str| format!("/v1beta/models/{kind}:batchEmbedContents");
    let base = json!({"requests": []});
    let each = variants.iter().map(|variant| {
        json!({"requests": [with(&json!({"model": "models/m", "content": content}), variant)]})
    });
    let each: Vec<_> = each.collect();
    let all = objections(VECTORS, path, base, &each).await;
    assert!(all.is_empty(), "{all:#?}");
}
