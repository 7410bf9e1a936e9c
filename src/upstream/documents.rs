//! Documents to be ranked, and their places, as Cohere, Voyage and Jina write them alike.

use serde_json::{Map, Value};

use super::extras;
use super::protocol::{Ask, Unfit, Unreadable};
use crate::call::vectors::{Ranked, RerankRequest};

/// What a request for a ranking has alike at all of them, and the parameters that were left out.
pub fn to_rank(
    ask: &Ask<'_>,
    rerank: &RerankRequest,
) -> Result<(Map<String, Value>, Vec<&'static str>), Unfit> {
    let mut dropped = Vec::new();
    let mut body = Map::new();
    extras::each(
        &rerank.rest,
        &[],
        &ask.params,
        &mut dropped,
        |name, value| {
            body.insert(name.to_owned(), value.clone());
        },
    )?;
    body.insert("model".into(), ask.model.into());
    body.insert("query".into(), rerank.query.as_str().into());
    body.insert("documents".into(), texts(rerank)?.into());
    Ok((body, dropped))
}

/// The documents as texts, for providers that take no objects. Of an object with more than words,
/// or of the members that the caller wants looked at, each member is a line, as Cohere's guide
/// to ranking structured data writes them.
pub fn texts(rerank: &RerankRequest) -> Result<Vec<Value>, Unfit> {
    let fields = rerank.rank_fields.as_deref();
    rerank
        .documents
        .iter()
        .map(|document| match document {
            Value::String(_) => Ok(document.clone()),
            Value::Object(members) => {
                if let (None, 1, Some(text @ Value::String(_))) =
                    (fields, members.len(), members.get("text"))
                {
                    return Ok(text.clone());
                }
                let lines: String = members
                    .iter()
                    .filter(|(name, _)| fields.is_none_or(|fields| fields.contains(name)))
                    .map(|(name, value)| line(name, value))
                    .collect();
                Ok(lines.into())
            }
            _ => Err(Unfit::new(
                Some("documents"),
                "A document is neither a text nor an object.",
            )),
        })
        .collect()
}

fn line(name: &str, value: &Value) -> String {
    match value {
        Value::String(text) => format!("{name}: {text}\n"),
        value => format!("{name}: {value}\n"),
    }
}

/// The places: `[{"index": 2, "relevance_score": 0.9}, …]`.
pub fn ranked(results: &Value) -> Result<Vec<Ranked>, Unreadable> {
    const STRANGE: &str = "A result has no `index` or no `relevance_score`.";
    let results = results
        .as_array()
        .ok_or(Unreadable::new("It has no list of results."))?;
    results
        .iter()
        .map(
            |result| match (&result["index"].as_u64(), &result["relevance_score"]) {
                (Some(index), Value::Number(score)) => Ok(Ranked {
                    index: *index,
                    score: score.clone(),
                    document: Some(&result["document"])
                        .filter(|document| !document.is_null())
                        .cloned(),
                }),
                _ => Err(Unreadable::new(STRANGE)),
            },
        )
        .collect()
}
