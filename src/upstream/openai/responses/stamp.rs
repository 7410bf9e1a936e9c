//! Puts the gateway's names where a provider's stand in a response.

use std::borrow::Cow;
use std::ops::Range;

use bytes::Bytes;
use serde_json::Value;

use super::told;
use crate::call::Usage;
use crate::live::{Ids, Owner};
use crate::upstream::openai::response::{asked_literal, read_usage, told_as_success};
use crate::upstream::protocol::Broken;
use crate::wire::json::{self, Fault, Member};

/// What stands in a response in place of the provider's own names.
#[derive(Clone, Debug)]
pub struct Stamp<'a> {
    /// Makes ids.
    pub ids: &'a Ids,
    /// Whom the response belongs to.
    pub owner: Owner,
    /// The id of the deployment that keeps it.
    pub deployment: &'a str,
    /// The model, as its caller knows it.
    pub model: &'a str,
    /// The response that it goes on from, as its caller knows it. Without it, it is what this
    /// deployment keeps.
    pub previous: Option<Cow<'a, str>>,
}

/// New bytes for stretches of a text, in order.
pub(super) type Edits = Vec<(Range<usize>, Vec<u8>)>;

/// The members of a response that the gateway looks at.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Found {
    pub(super) id: Option<Member>,
    model: Option<Member>,
    previous: Option<Member>,
    pub(super) created: Option<Member>,
    status: Option<Member>,
    error: Option<Member>,
    usage: Option<Member>,
    output: Option<Member>,
}

impl Found {
    pub(super) fn read(text: &[u8]) -> Result<Self, Fault> {
        let mut found = Self::default();
        json::members(text, |member| {
            let place = match member.raw_name(text) {
                b"id" => &mut found.id,
                b"model" => &mut found.model,
                b"previous_response_id" => &mut found.previous,
                b"created_at" => &mut found.created,
                b"status" => &mut found.status,
                b"error" => &mut found.error,
                b"usage" => &mut found.usage,
                b"output" => &mut found.output,
                _ => return,
            };
            *place = Some(member);
        })?;
        Ok(found)
    }

    /// Whether it is a response, and not what is said of one that was deleted, or an error.
    pub(super) fn is_response(&self) -> bool {
        self.id.is_some() && self.status.is_some()
    }

    /// Whether it says that it failed.
    pub(super) fn failed(&self, text: &[u8]) -> bool {
        self.status.map(|status| status.value(text)) == Some(b"\"failed\"")
    }

    /// Whether it goes on.
    pub(super) fn goes_on(&self, text: &[u8]) -> bool {
        let status = self.status.map(|status| status.value(text));
        matches!(status, Some(b"\"queued\"" | b"\"in_progress\""))
    }

    /// The response's own word that it failed, or an error in place of a response.
    pub(super) fn failure(&self, text: &[u8]) -> Option<Broken> {
        let error = self.error?.value(text);
        if error == b"null" {
            return None;
        }
        let told = match self.status.map(|status| status.value(text)) {
            // An error beside a response that goes on is its own affair.
            Some(status) if status != b"\"failed\"" => return None,
            Some(_) => told(&serde_json::from_slice::<Value>(error).unwrap_or_default()),
            None => told_as_success(text).unwrap_or_default(),
        };
        Some(Broken::Told(told))
    }

    /// What it took, the provider's own searches of the web with it.
    pub(super) fn usage(&self, text: &[u8]) -> Option<Usage> {
        let mut usage = read_usage(self.usage?.value(text))?;
        if let Some(output) = self.output {
            // What is no list has no searches.
            let _ = json::elements(output.value(text), |item| {
                let mut search = false;
                let read = json::members(item, |member| {
                    search |= member.raw_name(item) == b"type"
                        && member.value(item) == b"\"web_search_call\"";
                });
                usage.searches += u64::from(read.is_ok() && search);
            });
        }
        Some(usage)
    }
}

impl Stamp<'_> {
    /// A whole response with the gateway's names, and what it took. An error if it says that it
    /// failed.
    pub fn whole(&self, bytes: Bytes) -> Result<(Bytes, Option<Usage>), Broken> {
        let found =
            Found::read(&bytes).map_err(|_| Broken::Malformed("It is no JSON object.".into()))?;
        if let Some(failure) = found.failure(&bytes) {
            return Err(failure);
        }
        let usage = found.usage(&bytes);
        Ok((self.put(bytes, &found), usage))
    }

    /// A response with the gateway's names, whatever became of it. What is no object is left.
    pub fn kept(&self, bytes: Bytes) -> Bytes {
        match Found::read(&bytes) {
            Ok(found) => self.put(bytes, &found),
            Err(_) => bytes,
        }
    }

    fn put(&self, bytes: Bytes, found: &Found) -> Bytes {
        let mut edits = Vec::new();
        self.edits(&bytes, found, 0, &mut edits);
        apply(&bytes, edits).map_or(bytes, Bytes::from)
    }

    /// The gateway's own id for a provider's, which is given as JSON.
    pub(super) fn issued(&self, id: &[u8]) -> Option<String> {
        self.ids
            .issue(self.owner, self.deployment, &json::string(id)?)
    }

    /// Notes what changes in a response that stands `at` so many bytes into a text.
    pub(super) fn edits(&self, text: &[u8], found: &Found, at: usize, edits: &mut Edits) {
        let mut put = |member: &Member, new: Vec<u8>| {
            if new != member.value(text) {
                edits.push((at + member.value_start..at + member.end, new));
            }
        };
        let named = |member: &Member| member.value(text) != b"null";
        if let Some(id) = &found.id
            && let Some(issued) = self.issued(id.value(text))
        {
            put(id, asked_literal(&issued));
        }
        if let Some(previous) = found.previous.filter(named) {
            let issued = self.previous.as_deref().map(str::to_owned);
            if let Some(issued) = issued.or_else(|| self.issued(previous.value(text))) {
                put(&previous, asked_literal(&issued));
            }
        }
        if let Some(model) = &found.model {
            put(model, asked_literal(self.model));
        }
        edits.sort_by_key(|(range, _)| range.start);
    }
}

/// A text with the edits made; `None` if there are none.
fn apply(text: &[u8], edits: Edits) -> Option<Vec<u8>> {
    if edits.is_empty() {
        return None;
    }
    let added: usize = edits.iter().map(|(_, new)| new.len()).sum();
    let mut changed = Vec::with_capacity(text.len() + added);
    let mut from = 0;
    for (range, new) in edits {
        changed.extend_from_slice(&text[from..range.start]);
        changed.extend_from_slice(&new);
        from = range.end;
    }
    changed.extend_from_slice(&text[from..]);
    Some(changed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::call::Route;
    use crate::call::example::call;

    const CONFIG: &str =
        "model_list:\n- {model_name: a, litellm_params: {model: openai/gpt-4o, api_key: k}}\n";

    fn stamped(body: &'static str) -> Result<(String, Option<Usage>), Broken> {
        let call = call(CONFIG, Route::Responses, r#"{"model":"a","input":"x"}"#);
        let stamp = Stamp {
            ids: call.live.ids(),
            owner: Owner::default(),
            deployment: "east",
            model: "mine",
            previous: None,
        };
        let (bytes, usage) = stamp.whole(Bytes::from_static(body.as_bytes()))?;
        Ok((String::from_utf8(bytes.to_vec()).unwrap(), usage))
    }

    #[test]
    fn ids_and_model_change_and_nothing_else() {
        let body = r#"{ "id":"resp_1", "previous_response_id" : "resp_0","model":"gpt-4o-2024","x":{"id":"resp_1"},"error":null,"status":"completed",
            "output":[{"type":"web_search_call"},{"type":"message"}],
            "usage":{"input_tokens":9,"input_tokens_details":{"cached_tokens":4},"output_tokens":5,"output_tokens_details":{"reasoning_tokens":2}} }"#;
        let (text, usage) = stamped(body).unwrap();
        let call = call(CONFIG, Route::Responses, r#"{"model":"a","input":"x"}"#);
        let id = |id| {
            let issued = call.live.ids().issue(Owner::default(), "east", id);
            format!("\"{}\"", issued.unwrap())
        };
        let expected = body
            .replacen("\"resp_1\"", &id("resp_1"), 1)
            .replacen("\"resp_0\"", &id("resp_0"), 1)
            .replacen("gpt-4o-2024", "mine", 1);
        assert_eq!(text, expected);
        let usage = usage.unwrap();
        assert_eq!(
            (usage.prompt, usage.cache_read, usage.completion),
            (9, 4, 5)
        );
        assert_eq!((usage.reasoning, usage.searches), (2, 1));
    }

    #[test]
    fn a_response_that_failed_is_a_failure() {
        let failed = r#"{"id":"r","status":"failed","error":{"code":"rate_limit_exceeded","message":"slow"}}"#;
        let Err(Broken::Told(told)) = stamped(failed) else {
            panic!()
        };
        assert_eq!(told.status.unwrap(), 429);
        assert_eq!(told.message.as_deref(), Some("slow"));
        let error = r#"{"error":{"message":"x","code":503}}"#;
        let Err(Broken::Told(told)) = stamped(error) else {
            panic!()
        };
        assert_eq!(told.status.unwrap(), 503);
        assert!(matches!(stamped("[]"), Err(Broken::Malformed(_))));
    }
}
