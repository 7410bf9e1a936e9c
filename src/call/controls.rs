//! What a caller says of retries and fallbacks in its request.

use std::sync::Arc;

use bytes::Bytes;
use http::HeaderValue;
use pointsman_routes::table::{Mock, Target};
use serde_json::Value;

use super::peek::{Class, Field, Peek, peek};
use crate::error::{Failure, Rehearsal, RequestFault};
use crate::live::Live;
use crate::wire::json;

/// Longest list of fallbacks that a request may bring.
const MOST_FALLBACKS: usize = 16;
/// Most retries that a request may ask for, unless the file itself has more.
const MOST_RETRIES: u32 = 10;
/// Longest name of a model that is looked up.
const MAX_MODEL_BYTES: usize = 512;

/// What a caller says of retries and fallbacks, and a health check of the model.
#[derive(Clone, Debug, Default)]
pub struct Controls {
    /// `fallbacks`: in place of the file's.
    pub fallbacks: Option<Vec<Hop>>,
    /// `context_window_fallbacks`: in place of the file's.
    pub context_window: Option<Vec<Hop>>,
    /// `content_policy_fallbacks`: in place of the file's.
    pub content_policy: Option<Vec<Hop>>,
    /// `num_retries`, in the header or the body.
    pub num_retries: Option<u32>,
    /// `max_fallbacks`.
    pub max_fallbacks: Option<u32>,
    /// `disable_fallbacks`.
    pub no_fallbacks: bool,
    /// `include_fallback_errors`, where the file lets callers see them.
    pub tell_errors: bool,
    /// A failure that is acted out.
    pub rehearsal: Option<Rehearsal>,
    /// `mock_response`: what is answered without asking anybody.
    pub mock: Option<Mock>,
    /// The model that is asked in place of a deployment's own. No request says so.
    pub model: Option<Box<str>>,
}

/// Where a call may go on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hop {
    /// Who is to answer.
    pub target: Target,
    /// The name that stands for it.
    pub name: Arc<str>,
    /// Members of the request that are otherwise there, as a JSON object.
    pub changes: Option<Bytes>,
}

impl Controls {
    /// Reads them. `None` if the request says nothing of the kind, which costs a look at its known
    /// members and allocates nothing.
    ///
    /// Refuses what is not of the form that it should be, a model that there is not, and more
    /// fallbacks than sixteen; a count that is too high is lowered. A mocked answer counts only if
    /// the caller `may_mock`.
    pub fn read(
        live: &Live,
        asked: &str,
        body: &[u8],
        peek: &Peek,
        header: Option<&HeaderValue>,
        may_mock: bool,
    ) -> Result<Option<Box<Self>>, Failure> {
        let mocks = |field| may_mock && field == Field::MockResponse;
        let mut members = peek.members();
        if header.is_none() && !members.any(|(field, _)| is_ours(field) || mocks(field)) {
            return Ok(None);
        }
        let reader = Reader {
            live,
            asked,
            body,
            peek,
        };
        let retries = match header {
            Some(text) => Some(count_of(text)?),
            None => reader.count(Field::NumRetries)?,
        };
        let most = live.routes().router.num_retries.max(MOST_RETRIES);
        let controls = Self {
            fallbacks: reader.hops(Field::Fallbacks)?,
            context_window: reader.hops(Field::ContextWindowFallbacks)?,
            content_policy: reader.hops(Field::ContentPolicyFallbacks)?,
            num_retries: retries.map(|count| count.min(most)),
            max_fallbacks: reader.count(Field::MaxFallbacks)?,
            no_fallbacks: reader.switch(Field::DisableFallbacks)?,
            tell_errors: reader.switch(Field::IncludeFallbackErrors)?
                && live.routes().general.expose_fallback_errors,
            rehearsal: reader.rehearsal()?,
            mock: if may_mock { reader.mock()? } else { None },
            model: None,
        };
        Ok(Some(Box::new(controls)))
    }
}

fn is_ours(field: Field) -> bool {
    field.class() == Class::Rehearsal
        || matches!(
            field,
            Field::Fallbacks
                | Field::ContextWindowFallbacks
                | Field::ContentPolicyFallbacks
                | Field::NumRetries
                | Field::MaxFallbacks
                | Field::DisableFallbacks
                | Field::IncludeFallbackErrors
        )
}

struct Reader<'a> {
    live: &'a Live,
    asked: &'a str,
    body: &'a [u8],
    peek: &'a Peek,
}

impl Reader<'_> {
    fn count(&self, field: Field) -> Result<Option<u32>, Failure> {
        let Some(value) = self.peek.value(self.body, field) else {
            return Ok(None);
        };
        let count = std::str::from_utf8(value)
            .ok()
            .and_then(|text| text.parse().ok());
        count
            .map(Some)
            .ok_or_else(|| wrong(field.name(), "a whole number"))
    }

    fn switch(&self, field: Field) -> Result<bool, Failure> {
        match self.peek.value(self.body, field) {
            None | Some(b"false") => Ok(false),
            Some(b"true") => Ok(true),
            Some(_) => Err(wrong(field.name(), "a boolean")),
        }
    }

    fn rehearsal(&self) -> Result<Option<Rehearsal>, Failure> {
        let acts = [
            (Field::MockTestingFallbacks, Rehearsal::Fallbacks),
            (
                Field::MockTestingContextWindowFallbacks,
                Rehearsal::ContextWindow,
            ),
            (Field::MockTestingContextFallbacks, Rehearsal::ContextWindow),
            (
                Field::MockTestingContentPolicyFallbacks,
                Rehearsal::ContentPolicy,
            ),
            (Field::MockTestingRateLimitError, Rehearsal::RateLimit),
            (Field::MockTimeout, Rehearsal::Timeout),
        ];
        let mut found = None;
        for (field, act) in acts {
            if self.switch(field)? {
                found = found.or(Some(act));
            }
        }
        Ok(found)
    }

    fn mock(&self) -> Result<Option<Mock>, Failure> {
        let field = Field::MockResponse;
        match self.peek.value(self.body, field) {
            None | Some(b"null") => Ok(None),
            Some(_) => match self.peek.text(self.body, field) {
                Some(text) => Ok(Some(Mock::read(text.into_owned().into()))),
                None => Err(wrong(field.name(), "a string")),
            },
        }
    }

    /// A list of names and objects, or LiteLLM's other forms: lists by the name of the group that
    /// they are for, of which the asked one's counts.
    fn hops(&self, field: Field) -> Result<Option<Vec<Hop>>, Failure> {
        let Some(text) = self.peek.value(self.body, field) else {
            return Ok(None);
        };
        let form = || wrong(field.name(), "a list of model names");
        let value: Value = serde_json::from_slice(text).map_err(|_| form())?;
        let mut named = Vec::new();
        match &value {
            Value::Array(items) => {
                for item in items {
                    self.entry(item, &mut named).ok_or_else(form)?;
                }
            }
            Value::Object(_) => self.entry(&value, &mut named).ok_or_else(form)?,
            _ => return Err(form()),
        }
        if named.len() > MOST_FALLBACKS {
            let most = format!("a list of at most {MOST_FALLBACKS} models");
            return Err(wrong(field.name(), &most));
        }
        let hops = named.into_iter().map(|item| self.hop(field, item));
        hops.collect::<Result<_, _>>().map(Some)
    }

    fn entry<'v>(&self, item: &'v Value, named: &mut Vec<&'v Value>) -> Option<()> {
        match item {
            Value::String(_) => named.push(item),
            Value::Object(members) if members.get("model").is_some_and(Value::is_string) => {
                named.push(item);
            }
            Value::Object(members) => {
                for (group, list) in members {
                    let wanted = group == self.asked || group == "*";
                    match list {
                        Value::Array(list) => {
                            let plain = |one: &Value| one.is_string() || one.is_object();
                            if !list.iter().all(plain) {
                                return None;
                            }
                            named.extend(list.iter().filter(|_| wanted));
                        }
                        Value::String(_) => named.extend(Some(list).filter(|_| wanted)),
                        _ => return None,
                    }
                }
            }
            _ => return None,
        }
        Some(())
    }

    fn hop(&self, field: Field, item: &Value) -> Result<Hop, Failure> {
        let (name, changes) = match item {
            Value::String(name) => (name, None),
            Value::Object(members) => {
                let Some(Value::String(name)) = members.get("model") else {
                    return Err(wrong(field.name(), "objects with a model"));
                };
                (name, Some(members).filter(|members| members.len() > 1))
            }
            _ => return Err(wrong(field.name(), "model names")),
        };
        let found = (name.len() <= MAX_MODEL_BYTES)
            .then(|| self.live.table().resolve(name))
            .flatten();
        let Some(found) = found else {
            let shown: String = name.chars().take(200).collect();
            return Err(Failure::Request(RequestFault::Parameter {
                name: field.name(),
                what: format!("There is no model '{shown}' to fall back to."),
            }));
        };
        let changes = changes.map(|members| changed(field, members)).transpose()?;
        Ok(Hop {
            target: found.target,
            name: name.as_str().into(),
            changes,
        })
    }
}

fn count_of(header: &HeaderValue) -> Result<u32, Failure> {
    let text = header.to_str().ok();
    text.and_then(|text| text.trim().parse().ok())
        .ok_or_else(|| wrong("x-litellm-num-retries", "a whole number"))
}

/// What is otherwise in the request at a fallback. The rules for bodies hold, and what was settled
/// before the first attempt stays: whether it is a stream, and what speaks to the gateway.
fn changed(field: Field, members: &serde_json::Map<String, Value>) -> Result<Bytes, Failure> {
    let mut members = members.clone();
    members.remove("model");
    let text = serde_json::to_vec(&members).map_err(|_| Failure::Internal)?;
    let refused = |what: String| {
        Failure::Request(RequestFault::Parameter {
            name: field.name(),
            what,
        })
    };
    let found = peek(&text).map_err(|refusal| refused(refusal.to_string()))?;
    for (member, _) in found.members() {
        let settled = matches!(member, Field::Stream | Field::StreamOptions);
        if settled || member.class() != Class::Read {
            let what = format!("A fallback cannot change '{}'.", member.name());
            return Err(refused(what));
        }
    }
    Ok(text.into())
}

fn wrong(name: &'static str, wanted: &str) -> Failure {
    Failure::Request(RequestFault::Parameter {
        name,
        what: format!("Invalid value for '{name}': expected {wanted}."),
    })
}

/// A body with other members: those of `changes` in place of its own of the same name.
pub(crate) fn merge(body: &[u8], changes: &[u8]) -> Option<Bytes> {
    let mut names = Vec::new();
    let mut out = Vec::with_capacity(body.len() + changes.len() + 1);
    out.push(b'{');
    let separate = |out: &mut Vec<u8>| {
        if out.len() > 1 {
            out.push(b',');
        }
    };
    json::members(changes, |member| {
        names.extend(json::string(&changes[member.start..member.name_end]));
        separate(&mut out);
        out.extend_from_slice(&changes[member.start..member.end]);
    })
    .ok()?;
    json::members(body, |member| {
        let name = json::string(&body[member.start..member.name_end]);
        if !name.is_some_and(|name| names.contains(&name)) {
            separate(&mut out);
            out.extend_from_slice(&body[member.start..member.end]);
        }
    })
    .ok()?;
    out.push(b'}');
    Some(out.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::call::Route;
    use crate::call::example::call;

    const FILE: &str = "model_list:\n\
        - {model_name: a, litellm_params: {model: openai/a, api_key: os.environ/KEY}}\n\
        - {model_name: b, litellm_params: {model: openai/b, api_key: os.environ/KEY}}\n";

    fn read(members: &str) -> Result<Option<Box<Controls>>, Failure> {
        let body = format!(r#"{{"model":"a","messages":[]{members}}}"#);
        let call = call(FILE, Route::Chat, &body);
        Controls::read(&call.live, "a", &call.body, &call.peek, None, false)
    }

    fn names(members: &str) -> Vec<String> {
        let controls = read(members).unwrap().unwrap();
        let hops = controls.fallbacks.unwrap();
        hops.iter().map(|hop| hop.name.to_string()).collect()
    }

    #[test]
    fn a_request_that_says_nothing_has_no_controls() {
        assert!(read("").unwrap().is_none());
    }

    #[test]
    fn fallbacks_have_several_forms() {
        assert_eq!(names(r#","fallbacks":["b"]"#), ["b"]);
        assert_eq!(
            names(r#","fallbacks":[{"model":"b","messages":[1]}]"#),
            ["b"]
        );
        assert_eq!(names(r#","fallbacks":[{"a":["b"]},{"b":["a"]}]"#), ["b"]);
        assert_eq!(names(r#","fallbacks":{"a":"b"}"#), ["b"]);
        assert!(names(r#","fallbacks":[]"#).is_empty());
    }

    #[test]
    fn what_is_malformed_is_refused() {
        for members in [
            r#","fallbacks":"b""#,
            r#","fallbacks":[1]"#,
            r#","fallbacks":["nobody"]"#,
            r#","fallbacks":[{"model":"b","api_base":"http://evil"}]"#,
            r#","fallbacks":[{"model":"b","stream":true}]"#,
            r#","num_retries":-1"#,
            r#","num_retries":"2""#,
            r#","max_fallbacks":1.5"#,
            r#","disable_fallbacks":"yes""#,
        ] {
            let refused = read(members).unwrap_err();
            assert_eq!(refused.status(), 400, "{members}");
        }
        let many = vec![r#""b""#; 17].join(",");
        assert!(read(&format!(r#","fallbacks":[{many}]"#)).is_err());
    }

    #[test]
    fn counts_are_lowered_to_what_is_sensible() {
        let controls = read(r#","num_retries":1000,"max_fallbacks":2"#)
            .unwrap()
            .unwrap();
        assert_eq!(
            (controls.num_retries, controls.max_fallbacks),
            (Some(10), Some(2))
        );
    }

    #[test]
    fn a_fallback_changes_members_of_the_request() {
        let merged = merge(
            br#"{"model":"a", "m\u0065ssages":[1],"n":1}"#,
            br#"{"messages":[2],"top_p":1}"#,
        );
        assert_eq!(
            merged.unwrap(),
            r#"{"messages":[2],"top_p":1,"model":"a","n":1}"#
        );
        assert_eq!(merge(b"{}", b"{}").unwrap(), "{}");
    }
}
