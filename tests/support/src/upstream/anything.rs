//! An API of which nothing is known: it takes every request.

use super::api::{Api, Asked};
use super::reply::Reply;
use bytes::Bytes;
use http::HeaderMap;
use serde_json::{Value, json};

/// Takes every request that shows its key in this header, and in no other.
#[derive(Debug)]
pub(super) struct Anything(pub(super) &'static [&'static str]);

impl Api for Anything {
    fn serves(&self, _path: &str) -> bool {
        true
    }

    fn own_headers(&self) -> &'static [&'static str] {
        self.0
    }

    fn check(&self, asked: &Asked<'_>) -> (Value, Vec<String>) {
        let body = serde_json::from_slice(asked.body).unwrap_or_default();
        let bearer = asked.headers.contains_key("authorization");
        let strange = bearer && !self.0.contains(&"authorization");
        let wrong = strange.then(|| "the header authorization is not for this API".to_owned());
        (body, wrong.into_iter().collect())
    }

    fn model(&self, _path: &str, body: &Value) -> String {
        body["model"].as_str().unwrap_or_default().to_owned()
    }

    fn credential<'h>(&self, headers: &'h HeaderMap) -> Option<&'h str> {
        let shown = headers.get(self.0[0])?.to_str().ok()?;
        Some(shown.strip_prefix("Bearer ").unwrap_or(shown))
    }

    fn usual(&self, path: &str, _body: &Value, _reply: &Reply) -> (&'static str, Vec<Bytes>) {
        let body = json!({"path": path}).to_string();
        ("application/json", vec![body.into()])
    }

    fn error(&self, status: u16, message: &str) -> Value {
        json!({"error": {"message": message, "code": status}})
    }

    fn stream_type(&self) -> &'static str {
        "text/event-stream"
    }

    fn event(&self, data: &str, _reply: &Reply) -> Bytes {
        format!("data: {data}\n\n").into()
    }
}
