//! Cohere's citations as OpenAI's annotations.

use serde_json::{Value, json};

/// One annotation for each source of a citation; one without address, if it names none.
pub(super) fn annotations(citation: &Value) -> Vec<Value> {
    let annotation = |source: &Value| {
        let document = &source["document"];
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let url = text(&document["url"]).or_else(|| text(&source["id"]));
        let title = text(&document["title"]).or_else(|| text(&citation["text"]));
        json!({
            "type": "url_citation",
            "url_citation": {
                "start_index": citation["start"],
                "end_index": citation["end"],
                "url": url.unwrap_or_default(),
                "title": title.unwrap_or_default(),
            },
        })
    };
    match citation["sources"].as_array() {
        Some(sources) if !sources.is_empty() => sources.iter().map(annotation).collect(),
        _ => vec![annotation(&Value::Null)],
    }
}

/// Whether it is of the answer's words, and not of a plan or a thought.
pub(super) fn is_of_words(citation: &Value) -> bool {
    citation["type"]
        .as_str()
        .is_none_or(|kind| kind == "TEXT_CONTENT")
}

/// Likelihoods in OpenAI's form. An item of Cohere's may be several tokens; the likelihood of its
/// text is their product, so the logarithms are summed.
pub(super) fn logprobs<'a>(items: impl Iterator<Item = &'a Value>) -> Value {
    let items = items.map(|item| {
        let logprobs = item["logprobs"].as_array().map_or(&[][..], Vec::as_slice);
        let sum: f64 = logprobs.iter().filter_map(Value::as_f64).sum();
        let token = item["text"].as_str().unwrap_or_default();
        json!({
            "token": token,
            "logprob": sum,
            "bytes": token.as_bytes(),
            "top_logprobs": [],
        })
    });
    json!({"content": items.collect::<Vec<_>>()})
}
