//! What Google refuses beyond names and types.

use super::super::types::{GEMINI, Table};
use serde_json::{Value, json};

/// What a request to count holds at the Gemini API beside its contents, which the SDK does not send.
///
/// Source: Google's API reference, `models.countTokens`.
const WHOLE: &str = "generateContentRequest";

/// The name in a table of what a method takes.
fn request(method: &str) -> &str {
    match method {
        "streamGenerateContent" => "generateContent",
        method => method,
    }
}

/// A request as Google's parser reads it.
pub(in super::super) fn plain(types: &Table, body: &Value, method: &str) -> Value {
    let request = request(method);
    if !types.knows(request) {
        return body.clone();
    }
    let mut body = types.plain(request, body);
    if let Some(whole) = body.get(WHOLE) {
        body[WHOLE] = types.plain("generateContent", whole);
    }
    body
}

/// What is wrong with a request by the types of one of Google's two APIs.
pub(in super::super) fn body(
    types: &Table,
    body: &Value,
    model: &str,
    method: &str,
) -> Vec<String> {
    let request = request(method);
    if !types.knows(request) {
        return vec![format!("no method {method}")];
    }
    let (counted, whole) = apart(body);
    let mut wrong = types.check(request, &counted);
    match request {
        "generateContent" => conversation(body, model, &mut wrong),
        "countTokens" if !whole.is_null() => {
            wrong.extend(whole_request(&whole, model));
        }
        "batchEmbedContents" => {
            for request in list(&body["requests"]) {
                if request["model"] != format!("models/{model}") {
                    wrong.push("requests[].model is another model".into());
                }
            }
        }
        _ => {}
    }
    wrong
}

/// A request without the whole one that is to be counted, and that one.
fn apart(body: &Value) -> (Value, Value) {
    let mut counted = body.clone();
    let members = counted.as_object_mut();
    let whole = members.and_then(|members| members.remove(WHOLE));
    (counted, whole.unwrap_or_default())
}

fn whole_request(whole: &Value, model: &str) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut request = whole.clone();
    let said = request
        .as_object_mut()
        .and_then(|members| members.remove("model"));
    if said != Some(json!(format!("models/{model}"))) {
        wrong.push(format!("{WHOLE}.model is another model"));
    }
    wrong.extend(GEMINI.check("generateContent", &request));
    conversation(&request, model, &mut wrong);
    wrong
}

fn conversation(body: &Value, model: &str, wrong: &mut Vec<String>) {
    let contents = body["contents"].as_array().map_or(&[][..], Vec::as_slice);
    if contents.is_empty() {
        wrong.push("contents is not specified".into());
    }
    for part in list(&body["systemInstruction"]["parts"]) {
        if !part["text"].is_string() {
            wrong.push("systemInstruction holds more than text".into());
        }
    }
    let mut calls: Vec<&Value> = Vec::new();
    for content in contents {
        turn(content, model, &mut calls, wrong);
    }
    if !calls.is_empty() {
        wrong.push("the conversation ends in calls that nobody answered".into());
    }
    tools(body, wrong);
    let config = &body["generationConfig"];
    if config["responseSchema"].is_object() && config["responseJsonSchema"].is_object() {
        wrong.push("responseSchema and responseJsonSchema exclude each other".into());
    }
    let has_schema =
        config["responseSchema"].is_object() || config["responseJsonSchema"].is_object();
    if has_schema && config["responseMimeType"] != "application/json" {
        wrong.push("a response schema needs the MIME type application/json".into());
    }
    if config["logprobs"].is_number() && config["responseLogprobs"] != true {
        wrong.push("logprobs needs responseLogprobs".into());
    }
    if list(&config["stopSequences"]).len() > 5 {
        wrong.push("more than 5 stop sequences".into());
    }
}

/// Functions are answered at once and all together, and nothing else stands in that turn.
fn turn<'a>(content: &'a Value, model: &str, calls: &mut Vec<&'a Value>, wrong: &mut Vec<String>) {
    const DATA: [&str; 7] = [
        "text",
        "inlineData",
        "fileData",
        "functionCall",
        "functionResponse",
        "executableCode",
        "codeExecutionResult",
    ];
    let parts = list(&content["parts"]);
    if parts.is_empty() {
        wrong.push("a content without parts".into());
    }
    if !matches!(content["role"].as_str(), None | Some("user" | "model")) {
        wrong.push("Please use a valid role: user, model.".into());
    }
    for part in parts {
        let data = DATA.iter().filter(|name| !part[**name].is_null()).count();
        if data != 1 {
            wrong.push(format!("a part with {data} kinds of data"));
        }
        if part["text"] == "" && part["thoughtSignature"].is_null() {
            wrong.push("a text part must not be empty".into());
        }
    }
    let of = |name: &'static str| {
        let with = move |part: &&Value| !part[name].is_null();
        parts.iter().filter(with).map(move |part| &part[name])
    };
    let results: Vec<_> = of("functionResponse").collect();
    if results.len() != calls.len() {
        wrong.push(format!(
            "the number of function response parts ({}) is not that of the function call parts ({}) \
             of the turn before",
            results.len(),
            calls.len()
        ));
    }
    for result in results {
        if !calls
            .iter()
            .any(|call| call["name"] == result["name"] && call["id"] == result["id"])
        {
            wrong.push(format!("a function response without its call: {result}"));
        }
    }
    *calls = of("functionCall").collect();
    if content["role"] != "model" && !calls.is_empty() {
        wrong.push("a function call in a turn that is not the model's".into());
    }
    let first = parts.iter().find(|part| !part["functionCall"].is_null());
    if model.starts_with("gemini-3") && first.is_some_and(|part| part["thoughtSignature"].is_null())
    {
        wrong.push("Function call is missing a thought_signature".into());
    }
}

fn tools(body: &Value, wrong: &mut Vec<String>) {
    let declared: Vec<&Value> = list(&body["tools"])
        .iter()
        .flat_map(|tool| list(&tool["functionDeclarations"]))
        .collect();
    for one in &declared {
        let name = one["name"].as_str().unwrap_or_default();
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"_.:-".contains(&byte);
        if name.is_empty() || name.len() > 64 || !name.bytes().all(allowed) {
            wrong.push(format!("Invalid function name {name:?}"));
        }
        if one["parameters"].is_object() && one["parametersJsonSchema"].is_object() {
            wrong.push("parameters and parametersJsonSchema exclude each other".into());
        }
        let parameters = &one["parameters"];
        if parameters["type"] == "OBJECT" && !parameters["properties"].is_object() {
            wrong.push("parameters.properties: should be non-empty for OBJECT type".into());
        }
    }
    let calling = &body["toolConfig"]["functionCallingConfig"];
    if calling.is_object() && declared.is_empty() {
        wrong.push("functionCallingConfig is set without function declarations".into());
    }
    for name in list(&calling["allowedFunctionNames"]) {
        if calling["mode"] != "ANY" {
            wrong.push("allowedFunctionNames needs the mode ANY".into());
        }
        if !declared.iter().any(|one| one["name"] == *name) {
            wrong.push(format!(
                "allowedFunctionNames holds {name}, which is not declared"
            ));
        }
    }
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}
