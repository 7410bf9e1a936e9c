//! Embeddings as OpenAI's callers ask for them, and rankings as Cohere's do.
//!
//! Sources: OpenAI API reference, "Create embeddings"; Cohere API reference, "Rerank"; `LiteLLM`'s
//! `/rerank`, whose answer has Cohere's shape.

use bytes::Bytes;
use pointsman_routes::table::Deployment;
use serde_json::{Map, Value, json};

use super::gemini;
use crate::call::vectors::{
    EmbedAnswer, EmbedInput, EmbedRequest, Encoding, RerankAnswer, RerankRequest, Vector,
};
use crate::call::{Call, Dialect, Field, Route};
use crate::error::{Failure, RequestFault};
use crate::wire::floats::{decoded, encoded, push_floats};
use crate::wire::json as text;

/// Reads a request for embeddings.
pub fn read_embed(call: &Call, deployment: &Deployment) -> Result<EmbedRequest, Failure> {
    if call.route.dialect() == Dialect::Gemini {
        return read_contents(call, deployment);
    }
    let mut rest = members(call, deployment)?;
    let mut take = |name: &str| rest.remove(name).filter(|value| !value.is_null());
    let input = take("input").ok_or_else(|| fault("input", "text"))?;
    let dimensions = match take("dimensions") {
        None => None,
        Some(value) => Some(
            value
                .as_u64()
                .ok_or_else(|| fault("dimensions", "a whole number"))?,
        ),
    };
    let encoding = match take("encoding_format") {
        None => Encoding::Float,
        Some(value) => match value.as_str() {
            Some("float") => Encoding::Float,
            Some("base64") => Encoding::Base64,
            _ => return Err(fault("encoding_format", "float or base64")),
        },
    };
    // Providers have names of their own for it: Cohere's and Voyage's, Jina's, Gemini's.
    let purpose = ["input_type", "task", "task_type"]
        .into_iter()
        .find_map(&mut take);
    Ok(EmbedRequest {
        inputs: inputs(input)?,
        dimensions,
        encoding,
        purpose: purpose.and_then(|word| word.as_str().map(str::to_owned)),
        user: take("user").and_then(|user| user.as_str().map(str::to_owned)),
        rest,
    })
}

/// The same of Gemini's callers.
fn read_contents(call: &Call, deployment: &Deployment) -> Result<EmbedRequest, Failure> {
    let mut read = gemini::vectors::read(&call.body, call.route == Route::EmbedContent)?;
    for (name, value) in deployment.defaults.iter() {
        // The table holds them as JSON that was checked.
        let value: Value = serde_json::from_str(value).unwrap_or_default();
        match &**name {
            "dimensions" => read.dimensions = read.dimensions.or(value.as_u64()),
            "input_type" | "task" | "task_type" if read.purpose.is_none() => {
                read.purpose = value.as_str().map(str::to_owned);
            }
            // Its callers know one form of vectors only.
            "encoding_format" => {}
            _ => {
                read.rest.entry(&**name).or_insert(value);
            }
        }
    }
    Ok(read)
}

/// The members of a call's body that are not for the gateway, and what the file gives where the
/// caller gave nothing.
fn members(call: &Call, deployment: &Deployment) -> Result<Map<String, Value>, Failure> {
    let mut members: Map<String, Value> = serde_json::from_slice(&call.body)
        .map_err(|error| Failure::Request(RequestFault::Json(error.to_string())))?;
    members.remove(Field::Model.name());
    members.remove(Field::Stream.name());
    for (field, _) in call.peek.members() {
        if field.class() != crate::call::peek::Class::Read {
            members.remove(field.name());
        }
    }
    for (name, value) in deployment.defaults.iter() {
        // The table holds them as JSON that was checked.
        if let Ok(value) = serde_json::from_str(value) {
            members.entry(&**name).or_insert(value);
        }
    }
    Ok(members)
}

fn fault(name: &'static str, wanted: &str) -> Failure {
    Failure::Request(RequestFault::Parameter {
        name,
        what: format!("Invalid value for '{name}': expected {wanted}."),
    })
}

/// One text or several, tokens of one or several; an image is written as its `data:` URL.
fn inputs(input: Value) -> Result<Vec<EmbedInput>, Failure> {
    let wanted = || fault("input", "a text, a list of texts, or tokens");
    let token = |value: &Value| {
        let token = value.as_u64().and_then(|token| u32::try_from(token).ok());
        token.ok_or_else(wanted)
    };
    let one = |value: Value| match value {
        Value::String(text) if text.starts_with("data:image/") => Ok(EmbedInput::Image(text)),
        Value::String(text) => Ok(EmbedInput::Text(text)),
        Value::Array(tokens) if !tokens.is_empty() => {
            let tokens = tokens.iter().map(token).collect::<Result<_, _>>()?;
            Ok(EmbedInput::Tokens(tokens))
        }
        _ => Err(wanted()),
    };
    match input {
        Value::Array(list) if list.is_empty() => Err(wanted()),
        Value::Array(list) if list[0].is_number() => Ok(vec![one(Value::Array(list))?]),
        Value::Array(list) => list.into_iter().map(one).collect(),
        value => Ok(vec![one(value)?]),
    }
}

/// The answer to a request for embeddings. `None` if a vector is not what it says it is.
pub fn write_embed(call: &Call, encoding: Encoding, answer: &EmbedAnswer) -> Option<Bytes> {
    if call.route.dialect() == Dialect::Gemini {
        let is_one = call.route == Route::EmbedContent;
        return gemini::vectors::write(answer, is_one).map(Bytes::from);
    }
    let mut out = br#"{"object":"list","data":["#.to_vec();
    for (index, vector) in answer.vectors.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        out.extend_from_slice(br#"{"object":"embedding","index":"#);
        out.extend_from_slice(itoa::Buffer::new().format(index).as_bytes());
        out.extend_from_slice(br#","embedding":"#);
        push_vector(&mut out, encoding, vector)?;
        out.push(b'}');
    }
    out.extend_from_slice(br#"],"model":"#);
    text::push_string(&mut out, call.name());
    let usage = answer.usage.unwrap_or_default();
    let usage = json!({"prompt_tokens": usage.prompt, "total_tokens": usage.total()});
    out.extend_from_slice(format!(r#","usage":{usage}}}"#).as_bytes());
    Some(out.into())
}

fn push_vector(out: &mut Vec<u8>, encoding: Encoding, vector: &Vector) -> Option<()> {
    match (encoding, vector) {
        (Encoding::Float, Vector::Json(json)) => out.extend_from_slice(json.as_bytes()),
        (Encoding::Float, Vector::Floats(floats)) => push_floats(out, floats)?,
        (Encoding::Float, Vector::Base64(data)) => push_floats(out, &decoded(data)?)?,
        (Encoding::Base64, Vector::Base64(data)) => text::push_string(out, data),
        (Encoding::Base64, Vector::Floats(floats)) => text::push_string(out, &encoded(floats)),
        (Encoding::Base64, Vector::Json(json)) => {
            let floats: Vec<f32> = serde_json::from_str(json).ok()?;
            text::push_string(out, &encoded(&floats));
        }
    }
    Some(())
}

/// Reads a request for a ranking.
pub fn read_rerank(call: &Call, deployment: &Deployment) -> Result<RerankRequest, Failure> {
    let mut rest = members(call, deployment)?;
    let mut take = |name: &str| rest.remove(name).filter(|value| !value.is_null());
    let Some(Value::String(query)) = take("query") else {
        return Err(fault("query", "a text"));
    };
    let documents = match take("documents") {
        Some(Value::Array(documents)) if !documents.is_empty() => documents,
        _ => return Err(fault("documents", "a list of texts or objects")),
    };
    if documents
        .iter()
        .any(|one| !one.is_string() && !one.is_object())
    {
        return Err(fault("documents", "a list of texts or objects"));
    }
    let mut count = |name: &'static str| match take(name) {
        None => Ok(None),
        Some(value) => match value.as_u64() {
            Some(count) => Ok(Some(count)),
            None => Err(fault(name, "a whole number")),
        },
    };
    let (top_n, max_tokens_per_doc) = (count("top_n")?, count("max_tokens_per_doc")?);
    let rank_fields = match take("rank_fields") {
        None => None,
        Some(fields) => match serde_json::from_value(fields) {
            Ok(fields) => Some(fields),
            Err(_) => return Err(fault("rank_fields", "a list of texts")),
        },
    };
    Ok(RerankRequest {
        query,
        documents,
        top_n,
        return_documents: take("return_documents").and_then(|wanted| wanted.as_bool()),
        rank_fields,
        max_tokens_per_doc,
        rest,
    })
}

/// The answer to a request for a ranking. `None` if a place is that of no document.
pub fn write_rerank(call: &Call, asked: &RerankRequest, answer: &RerankAnswer) -> Option<Bytes> {
    let mut results = Vec::with_capacity(answer.results.len());
    for ranked in &answer.results {
        let document = asked.documents.get(usize::try_from(ranked.index).ok()?)?;
        let mut result = json!({"index": ranked.index, "relevance_score": ranked.score});
        if asked.return_documents == Some(true) {
            // The caller's own words, whatever the provider made of them.
            result["document"] = match document {
                Value::String(text) => json!({"text": text}),
                document => document.clone(),
            };
        }
        results.push(result);
    }
    let mut meta = Map::new();
    let usage = answer.usage.unwrap_or_default();
    let tokens = json!({"input_tokens": usage.prompt, "output_tokens": usage.completion});
    let mut billed = Map::new();
    if let Some(searches) = answer.searches {
        billed.insert("search_units".into(), searches.into());
    }
    if answer.usage.is_some() {
        billed.insert("total_tokens".into(), usage.total().into());
        meta.insert("tokens".into(), tokens);
    }
    meta.insert("billed_units".into(), billed.into());
    let own = || format!("rerank-{}", call.id.to_str().unwrap_or_default());
    let id = answer.id.clone().unwrap_or_else(own);
    let body = json!({"id": id, "results": results, "meta": meta});
    Some(body.to_string().into())
}

#[cfg(test)]
mod tests {
    use serde_json::Number;

    use super::*;
    use crate::call::Route;
    use crate::call::example::{attempt, call};
    use crate::call::vectors::Ranked;

    const CONFIG: &str = "model_list:\n- model_name: m\n  litellm_params:\n    model: voyage/voyage-3.5\n    api_key: os.environ/KEY\n";

    fn embed(body: &str) -> Result<EmbedRequest, Failure> {
        let attempt = attempt(CONFIG, Route::Embeddings, body);
        read_embed(
            &attempt.call,
            attempt.call.live.deployment(attempt.deployment),
        )
    }

    #[test]
    fn every_form_of_input_is_read() {
        for (input, expected) in [
            (r#""a""#, vec![EmbedInput::Text("a".into())]),
            (
                r#"["a","data:image/png;base64,AA"]"#,
                vec![
                    EmbedInput::Text("a".into()),
                    EmbedInput::Image("data:image/png;base64,AA".into()),
                ],
            ),
            ("[1,2]", vec![EmbedInput::Tokens(vec![1, 2])]),
            (
                "[[1],[2,3]]",
                vec![EmbedInput::Tokens(vec![1]), EmbedInput::Tokens(vec![2, 3])],
            ),
        ] {
            let body = format!(r#"{{"model":"m","input":{input}}}"#);
            assert_eq!(embed(&body).unwrap().inputs, expected, "{input}");
        }
        for input in ["[]", "1", "[1,\"a\"]", "[[]]", "{}", "[-1]"] {
            let body = format!(r#"{{"model":"m","input":{input}}}"#);
            assert_eq!(embed(&body).unwrap_err().param(), Some("input"), "{input}");
        }
    }

    #[test]
    fn what_is_for_the_gateway_is_not_of_the_request() {
        let body = r#"{"model":"m","input":"a","encoding_format":"base64","dimensions":8,
            "input_type":"query","user":"u","metadata":{"a":1},"num_retries":2,"truncate":"END"}"#;
        let read = embed(body).unwrap();
        assert_eq!(
            (read.encoding, read.dimensions),
            (Encoding::Base64, Some(8))
        );
        assert_eq!(read.purpose.as_deref(), Some("query"));
        assert_eq!(read.rest, *json!({"truncate": "END"}).as_object().unwrap());
        let odd = embed(r#"{"model":"m","input":"a","encoding_format":"int8"}"#);
        assert_eq!(odd.unwrap_err().param(), Some("encoding_format"));
    }

    #[test]
    fn vectors_are_written_as_the_caller_wants_them() {
        let call = call(CONFIG, Route::Embeddings, r#"{"model":"m","input":"a"}"#);
        let answer = EmbedAnswer {
            vectors: vec![
                Vector::Json("[0.10,-2]".into()),
                Vector::Floats(vec![0.5, 1.0]),
                Vector::Base64("AACAPwAAAEA=".into()),
            ],
            ..EmbedAnswer::default()
        };
        let written = |encoding| {
            let bytes = write_embed(&call, encoding, &answer).unwrap();
            String::from_utf8(bytes.to_vec()).unwrap()
        };
        let floats = written(Encoding::Float);
        for part in ["[0.10,-2]", "[0.5,1.0]", "[1.0,2.0]", r#""model":"m""#] {
            assert!(floats.contains(part), "{floats}");
        }
        let value: Value = serde_json::from_str(&written(Encoding::Base64)).unwrap();
        let data = |at: usize| decoded(value["data"][at]["embedding"].as_str().unwrap()).unwrap();
        assert_eq!(
            (data(0), data(1), data(2)),
            (vec![0.1, -2.0], vec![0.5, 1.0], vec![1.0, 2.0])
        );
        let bad = EmbedAnswer {
            vectors: vec![Vector::Base64("AAA=".into())],
            ..EmbedAnswer::default()
        };
        assert_eq!(write_embed(&call, Encoding::Float, &bad), None);
    }

    #[test]
    fn a_ranking_gives_documents_back_where_they_are_wanted() {
        let body = r#"{"model":"m","query":"q","documents":["a",{"text":"b","title":"T"}],
            "top_n":1,"return_documents":true}"#;
        let attempt = attempt(CONFIG, Route::Rerank, body);
        let call = &attempt.call;
        let asked = read_rerank(call, call.live.deployment(attempt.deployment)).unwrap();
        let ranked = |index| Ranked {
            index,
            score: Number::from_f64(0.5).unwrap(),
            document: None,
        };
        let mut answer = RerankAnswer {
            id: Some("r".into()),
            results: vec![ranked(1), ranked(0)],
            usage: None,
            searches: Some(1),
        };
        let bytes = write_rerank(call, &asked, &answer).unwrap();
        assert_eq!(
            serde_json::from_slice::<Value>(&bytes).unwrap(),
            json!({"id": "r", "results": [
                {"index": 1, "relevance_score": 0.5, "document": {"text": "b", "title": "T"}},
                {"index": 0, "relevance_score": 0.5, "document": {"text": "a"}},
            ], "meta": {"billed_units": {"search_units": 1}}})
        );
        answer.results.push(ranked(7));
        assert_eq!(write_rerank(call, &asked, &answer), None);
    }

    #[test]
    fn a_ranking_without_documents_is_refused() {
        for (body, name) in [
            (r#"{"model":"m","query":"q"}"#, "documents"),
            (r#"{"model":"m","query":"q","documents":[]}"#, "documents"),
            (r#"{"model":"m","query":"q","documents":[1]}"#, "documents"),
            (r#"{"model":"m","query":7,"documents":["a"]}"#, "query"),
            (
                r#"{"model":"m","query":"q","documents":["a"],"top_n":"x"}"#,
                "top_n",
            ),
        ] {
            let attempt = attempt(CONFIG, Route::Rerank, body);
            let deployment = attempt.call.live.deployment(attempt.deployment);
            let failure = read_rerank(&attempt.call, deployment).unwrap_err();
            assert_eq!(failure.param(), Some(name), "{body}");
        }
    }
}
