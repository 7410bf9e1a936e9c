//! Callers: what they wish for, how they ask for it, and what they make of the answer.

use std::fmt::Write;

use bytes::Bytes;
use fastrand::Rng;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use pointsman::call::Route;
use pointsman::ingress::body::Body;
use serde_json::Value;
use support::sse;
use tokio::time::timeout;

use super::books::Books;
use super::plan::{Plan, millis, one_in, pick};
use super::provider::TEXT;
use super::run::Door;

/// What a caller wants.
#[derive(Clone, Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is a member of its own")]
pub(crate) struct Wish {
    /// A group, or a deployment's id.
    pub(crate) model: String,
    pub(crate) stream: bool,
    pub(crate) usage: bool,
    /// A prompt that small windows do not take.
    pub(crate) long: bool,
    /// What strict providers refuse.
    pub(crate) spicy: bool,
    pub(crate) vision: bool,
    pub(crate) region: Option<&'static str>,
    pub(crate) tag: Option<&'static str>,
    pub(crate) session: Option<u32>,
    pub(crate) max_tokens: u64,
    pub(crate) retries: Option<u32>,
    pub(crate) max_fallbacks: Option<u32>,
    pub(crate) no_fallbacks: bool,
    pub(crate) fallbacks: Option<Vec<String>>,
    pub(crate) priority: Option<i64>,
    /// The caller goes away after so many milliseconds.
    pub(crate) patience: Option<u64>,
}

impl Wish {
    /// One of a run.
    pub(crate) fn drawn(rng: &mut Rng, plan: &Plan) -> Self {
        let names = || plan.groups.iter().map(|group| &group.name);
        let group = plan.groups[rng.usize(..plan.groups.len())].name.clone();
        let model = if one_in(rng, 25) {
            plan.deployments[rng.usize(..plan.deployments.len())]
                .id
                .clone()
        } else {
            group
        };
        let own: Vec<String> = names().filter(|_| rng.bool()).cloned().collect();
        Self {
            model,
            stream: rng.bool(),
            usage: rng.bool(),
            long: one_in(rng, 12),
            spicy: one_in(rng, 15),
            vision: one_in(rng, 8),
            region: one_in(rng, 12).then(|| pick(rng, &["us", "eu"])),
            tag: one_in(rng, 6).then(|| pick(rng, &["fast", "default", "rare"])),
            session: one_in(rng, 3).then(|| rng.u32(..20)),
            max_tokens: rng.u64(1..400),
            retries: one_in(rng, 10).then(|| rng.u32(..4)),
            max_fallbacks: one_in(rng, 15).then(|| rng.u32(..4)),
            no_fallbacks: one_in(rng, 25),
            fallbacks: one_in(rng, 20).then_some(own),
            priority: one_in(rng, 4).then(|| rng.i64(0..6)),
            patience: one_in(rng, 20).then(|| rng.u64(..6_000)),
        }
    }

    /// One that any provider takes.
    pub(crate) fn plain(model: &str) -> Self {
        Self {
            model: model.to_owned(),
            max_tokens: 10,
            ..Self::default()
        }
    }

    fn body(&self) -> String {
        let words = if self.long { "many words " } else { "hello " };
        let text = words.repeat(if self.long { 900 } else { 4 });
        let spice = if self.spicy { "spicy " } else { "" };
        let content = if self.vision {
            format!(
                r#"[{{"type":"text","text":"{spice}{text}"}},{{"type":"image_url","image_url":{{"url":"data:,x"}}}}]"#
            )
        } else {
            format!(r#""{spice}{text}""#)
        };
        let mut body = format!(
            r#"{{"model":"{}","messages":[{{"role":"user","content":{content}}}],"max_tokens":{}"#,
            self.model, self.max_tokens
        );
        if self.stream {
            body += r#","stream":true"#;
            if self.usage {
                body += r#","stream_options":{"include_usage":true}"#;
            }
        }
        let mut add = |name: &str, value: Option<String>| {
            if let Some(value) = value {
                let _ = write!(body, r#","{name}":{value}"#);
            }
        };
        let quoted = |text: &dyn std::fmt::Display| format!("\"{text}\"");
        add("allowed_model_region", self.region.map(|one| quoted(&one)));
        add("tags", self.tag.map(|tag| format!("[\"{tag}\"]")));
        add("user", self.session.map(|one| quoted(&one)));
        add("priority", self.priority.map(|one| one.to_string()));
        add("num_retries", self.retries.map(|one| one.to_string()));
        add(
            "max_fallbacks",
            self.max_fallbacks.map(|one| one.to_string()),
        );
        add(
            "disable_fallbacks",
            self.no_fallbacks.then(|| "true".into()),
        );
        let list = self.fallbacks.as_ref().map(|names| format!("{names:?}"));
        add("fallbacks", list);
        body + "}"
    }
}

/// Asks, reads the answer to its end or goes away, and checks it.
pub(crate) async fn ask(door: Door, books: Books, call: usize, wish: Wish) {
    let request = Request::post("/v1/chat/completions")
        .header("content-type", "application/json")
        .header("x-litellm-call-id", call.to_string())
        .body(Full::new(Bytes::from(wish.body())))
        .expect("a good request");
    let whole = async {
        let response = door.serve(request, Route::Chat, None).await;
        read(response).await
    };
    let got = match wish.patience {
        Some(patience) => timeout(millis(patience), whole).await.ok(),
        None => Some(whole.await),
    };
    let mut kept = books.lock();
    let now = kept.now();
    let Some(got) = got else {
        kept.note(call, format!("{now} goes away"));
        kept.gone(call);
        return;
    };
    let said = String::from_utf8_lossy(&got.bytes);
    kept.note(call, format!("{now} gets {} {said}", got.status));
    match got.check(&wish) {
        Ok(true) => {}
        Ok(false) => kept.breaks_off(call),
        Err(what) => kept.breaks(Some(call), &format!("{what}:\n{said}")),
    }
}

/// What a caller got.
struct Got {
    status: u16,
    events: bool,
    bytes: Bytes,
}

async fn read(response: Response<Body>) -> Got {
    let (head, body) = response.into_parts();
    let kind = head.headers.get("content-type");
    let events = kind.is_some_and(|kind| kind.as_bytes().starts_with(b"text/event-stream"));
    let bytes = body.collect().await.expect("a body never fails").to_bytes();
    Got {
        status: head.status.as_u16(),
        events,
        bytes,
    }
}

impl Got {
    /// Whether it is well-formed, and if so whether it came to its end.
    fn check(&self, wish: &Wish) -> Result<bool, String> {
        if self.status != 200 {
            let body: Value = serde_json::from_slice(&self.bytes).map_err(|e| e.to_string())?;
            return match &body["error"]["message"] {
                Value::String(_) if self.status >= 400 => Ok(true),
                _ => Err("an error without a message".into()),
            };
        }
        if self.events != wish.stream {
            return Err("another kind of answer than was asked for".into());
        }
        if self.events {
            return self.check_stream(wish);
        }
        let body: Value = serde_json::from_slice(&self.bytes).map_err(|e| e.to_string())?;
        match (&body["choices"][0]["finish_reason"], &body["model"]) {
            (Value::String(_), Value::String(model)) if !model.starts_with("real-") => Ok(true),
            _ => Err("an answer that is none".into()),
        }
    }

    /// One id, one role, one model, one finish reason, one usage if it was asked for, either `[DONE]`
    /// or an error as the last event, and with the former the whole text, whoever said what of it.
    fn check_stream(&self, wish: &Wish) -> Result<bool, String> {
        let text = String::from_utf8_lossy(&self.bytes);
        if !text.ends_with("\n\n") {
            return Err("the last event has no end".into());
        }
        let mut events = sse::read(&self.bytes);
        let last = events.pop().ok_or("an empty stream")?;
        let mut chunks = Vec::new();
        for event in &events {
            let chunk: Value = serde_json::from_str(event).map_err(|e| e.to_string())?;
            chunks.push(chunk);
        }
        let first = chunks.first().ok_or("a stream that says nothing")?;
        let (id, model) = (&first["id"], &first["model"]);
        let same = |chunk: &Value| chunk["id"] == *id && chunk["model"] == *model;
        if !chunks.iter().all(same) || model.as_str().is_none_or(|it| it.starts_with("real-")) {
            return Err("ids or models that differ".into());
        }
        let count = |test: &dyn Fn(&Value) -> bool| chunks.iter().filter(|one| test(one)).count();
        let roles = count(&|one| one["choices"][0]["delta"]["role"].is_string());
        let ends = count(&|one| one["choices"][0]["finish_reason"].is_string());
        let usages = count(&|one| one["usage"].is_object());
        let said = chunks
            .iter()
            .filter_map(|one| one["choices"][0]["delta"]["content"].as_str());
        let said: String = said.collect();
        if !TEXT.starts_with(&said) {
            return Err(format!("{said:?}, which nobody said"));
        }
        if last == "[DONE]" {
            if said != TEXT {
                return Err(format!("only {said:?}"));
            }
            let wanted = (1, 1, usize::from(wish.usage));
            return match (roles, ends, usages) {
                found if found == wanted => Ok(true),
                found => Err(format!("{found:?} roles, finish reasons and usages")),
            };
        }
        let error: Value = serde_json::from_str(&last).map_err(|e| e.to_string())?;
        if roles > 1 || ends > 1 || usages > 1 || !error["error"]["message"].is_string() {
            return Err("an end that is neither [DONE] nor an error".into());
        }
        Ok(false)
    }
}
