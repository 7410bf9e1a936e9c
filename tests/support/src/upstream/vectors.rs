//! Voyage's and Jina's APIs: embeddings and rankings. Their paths are OpenAI's, too.

use super::api::{Api, Asked};
use super::check::strict;
use super::reply::Reply;
use super::shape::{list, members};
use bytes::Bytes;
use http::HeaderMap;
use serde_json::{Value, json};

/// Which of the two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Vectors {
    Voyage,
    Jina,
}

impl Api for Vectors {
    fn serves(&self, path: &str) -> bool {
        match path {
            "/v1/embeddings" | "/v1/rerank" => true,
            "/v1/multimodalembeddings" => *self == Self::Voyage,
            _ => false,
        }
    }

    fn own_headers(&self) -> &'static [&'static str] {
        &[]
    }

    fn check(&self, asked: &Asked<'_>) -> (Value, Vec<String>) {
        let (body, mut wrong) = strict(asked.body);
        let known: &[(&str, &str)] = match (self, asked.path) {
            (Self::Voyage, "/v1/embeddings") => &[
                ("model", "!text"),
                ("input", "!texts"),
                ("input_type", "query|document"),
                ("truncation", "bool"),
                ("output_dimension", "int"),
                ("output_dtype", "float|int8|uint8|binary|ubinary"),
                ("encoding_format", "base64"),
            ],
            (Self::Voyage, "/v1/rerank") => &[
                ("model", "!text"),
                ("query", "!text"),
                ("documents", "!texts"),
                ("top_k", "int"),
                ("return_documents", "bool"),
                ("truncation", "bool"),
            ],
            (Self::Voyage, _) => &[
                ("model", "!text"),
                ("inputs", "!list"),
                ("input_type", "query|document"),
                ("truncation", "bool"),
                ("output_dimension", "int"),
                ("output_encoding", "base64"),
            ],
            (Self::Jina, "/v1/rerank") => &[
                ("model", "!text"),
                ("query", "!text"),
                ("documents", "!list"),
                ("top_n", "int"),
                ("return_documents", "bool"),
            ],
            (Self::Jina, _) => &[
                ("model", "!text"),
                ("input", "!list"),
                ("task", "text"),
                ("dimensions", "int"),
                ("normalized", "bool"),
                ("late_chunking", "bool"),
                ("embedding_type", "float|base64|binary|ubinary"),
                ("truncate", "bool"),
            ],
        };
        wrong.extend(members("the body", &body, known));
        (body, wrong)
    }

    fn model(&self, _path: &str, body: &Value) -> String {
        body["model"].as_str().unwrap_or_default().to_owned()
    }

    fn credential<'h>(&self, headers: &'h HeaderMap) -> Option<&'h str> {
        let shown = headers.get("authorization")?.to_str().ok()?;
        shown.strip_prefix("Bearer ")
    }

    fn usual(&self, path: &str, body: &Value, _reply: &Reply) -> (&'static str, Vec<Bytes>) {
        let value = if path == "/v1/rerank" {
            let places = 0..list(&body["documents"]).len();
            let results = places
                .rev()
                .map(|index| json!({"index": index, "relevance_score": 0.25}));
            let name = if *self == Self::Voyage {
                "data"
            } else {
                "results"
            };
            json!({"object": "list", name: results.collect::<Vec<_>>(), "model": body["model"],
                "usage": {"total_tokens": 26}})
        } else {
            let base64 = ["encoding_format", "output_encoding", "embedding_type"]
                .iter()
                .any(|name| body[*name] == "base64");
            // 0.5 and −1.
            let vector = if base64 {
                json!("AAAAPwAAgL8=")
            } else {
                json!([0.5, -1.0])
            };
            let asked = list(&body["input"]).len() + list(&body["inputs"]).len();
            let data = (0..asked)
                .rev()
                .map(|index| json!({"object": "embedding", "index": index, "embedding": vector}));
            json!({"object": "list", "data": data.collect::<Vec<_>>(), "model": body["model"],
                "usage": {"total_tokens": 10}})
        };
        ("application/json", vec![value.to_string().into()])
    }

    fn error(&self, _status: u16, message: &str) -> Value {
        json!({"detail": message})
    }

    fn stream_type(&self) -> &'static str {
        "text/event-stream"
    }

    fn event(&self, data: &str, _reply: &Reply) -> Bytes {
        format!("data: {data}\n\n").into()
    }
}
