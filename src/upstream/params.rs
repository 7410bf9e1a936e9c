//! What becomes of parameters that a protocol lacks, or that a file takes out in any case.

use std::borrow::Cow;

use bytes::Bytes;
use pointsman_routes::table::Deployment;
use serde_json::Value;

use super::openai::quirks::{Vendor, lacks_sampling};
use super::openai::request::asked_model;
use super::protocol::Params;
use crate::call::{Call, Field, Route, Spoken, peek};
use crate::wire::json;

/// Longest list of names that a request may bring.
const MOST_NAMES: usize = 64;

/// What OpenAI's models refuse that think before they answer.
const SAMPLING: [&str; 7] = [
    "frequency_penalty",
    "logit_bias",
    "logprobs",
    "presence_penalty",
    "temperature",
    "top_logprobs",
    "top_p",
];

/// What request, entry and file say of parameters.
#[derive(Debug, Default)]
pub(super) struct Rules<'a> {
    drop: bool,
    mend: bool,
    allowed: Vec<Cow<'static, str>>,
    /// Names and paths (`tools[*].strict`) that are taken out.
    pub(super) removed: Vec<Cow<'a, str>>,
}

impl<'a> Rules<'a> {
    /// Reads them. The request's word counts before the entry's, and the entry's before the file's;
    /// lists add up.
    pub(super) fn of(call: &Call, deployment: &'a Deployment) -> Self {
        let settings = &call.live.routes().settings;
        let asked = match call.peek.value(&call.body, Field::DropParams) {
            Some(b"true") => Some(true),
            Some(b"false") => Some(false),
            _ => None,
        };
        let words = |field| {
            let text = call.peek.value(&call.body, field);
            let words = text.and_then(|text| serde_json::from_slice::<Vec<String>>(text).ok());
            words.into_iter().flatten().take(MOST_NAMES)
        };
        let mut allowed = deployment.allowed_openai_params.to_vec();
        allowed.extend(words(Field::AllowedOpenaiParams).map(Cow::Owned));
        let file = deployment.additional_drop_params.iter();
        let mut removed: Vec<_> = file.map(|name| Cow::Borrowed(&**name)).collect();
        removed.extend(words(Field::AdditionalDropParams).map(Cow::Owned));
        let drop = asked
            .or(deployment.drop_params)
            .unwrap_or(settings.drop_params);
        let openais =
            call.route == Route::Chat && Vendor::of(&deployment.provider) == Vendor::OpenAi;
        if drop && openais && lacks_sampling(deployment, asked_model(call, deployment)) {
            let known = |name: &&str| !allowed.iter().any(|allowed| *allowed == **name);
            removed.extend(
                SAMPLING
                    .iter()
                    .filter(|name| known(name))
                    .map(|name| Cow::Borrowed(*name)),
            );
        }
        Self {
            drop,
            mend: settings.modify_params,
            allowed,
            removed,
        }
    }

    /// As a protocol sees them.
    pub(super) fn params(&self) -> Params<'_> {
        Params {
            drop: self.drop,
            mend: self.mend,
            allowed: &self.allowed,
        }
    }

    /// The call without what is taken out, and the names of what was there. `None` if nothing was.
    pub(super) fn strip(&self, call: &Call) -> Option<(Call, Vec<Cow<'static, str>>)> {
        if self.removed.is_empty() {
            return None;
        }
        let (body, found) = without(&call.body, &self.removed)?;
        let peek = peek::peek(&body).ok()?.on(call.route);
        let call = Call {
            body,
            peek,
            spoken: Spoken::default(),
            ..call.clone()
        };
        Some((call, found))
    }
}

/// A body without the members that `paths` name; `None` if it has none of them.
fn without(body: &[u8], paths: &[Cow<'_, str>]) -> Option<(Bytes, Vec<Cow<'static, str>>)> {
    let mut out = Vec::with_capacity(body.len());
    let mut found = Vec::new();
    out.push(b'{');
    json::members(body, |member| {
        let Some(name) = json::string(&body[member.start..member.name_end]) else {
            return;
        };
        let value = member.value(body);
        let mut changed = None::<Value>;
        for path in paths {
            let Some(rest) = path.strip_prefix(&*name) else {
                continue;
            };
            // What the gateway itself reads is not a parameter of the provider's.
            if rest.is_empty() && !matches!(&*name, "model" | "messages" | "contents" | "stream") {
                found.push(Cow::Owned(path.to_string()));
                return;
            }
            if rest.starts_with(['.', '[']) {
                let value = changed
                    .take()
                    .or_else(|| serde_json::from_slice(value).ok());
                if let Some(mut value) = value {
                    if remove(&mut value, rest) {
                        found.push(Cow::Owned(path.to_string()));
                    }
                    changed = Some(value);
                }
            }
        }
        if out.len() > 1 {
            out.push(b',');
        }
        out.extend_from_slice(&body[member.start..member.value_start]);
        match changed {
            Some(value) => out.extend_from_slice(value.to_string().as_bytes()),
            None => out.extend_from_slice(value),
        }
    })
    .ok()?;
    out.push(b'}');
    (!found.is_empty()).then(|| (out.into(), found))
}

/// Takes out what stands at a path such as `.a`, `[0].a` or `[*].a.b`; says whether anything did.
fn remove(value: &mut Value, path: &str) -> bool {
    if let Some(rest) = path.strip_prefix('.') {
        let end = rest.find(['.', '[']).unwrap_or(rest.len());
        let (name, rest) = rest.split_at(end);
        let Value::Object(members) = value else {
            return false;
        };
        return if rest.is_empty() {
            members.shift_remove(name).is_some()
        } else {
            members
                .get_mut(name)
                .is_some_and(|value| remove(value, rest))
        };
    }
    let Some((index, rest)) = path.strip_prefix('[').and_then(|path| path.split_once(']')) else {
        return false;
    };
    let Value::Array(items) = value else {
        return false;
    };
    match (index, index.parse::<usize>()) {
        ("*", _) if rest.is_empty() => !std::mem::take(items).is_empty(),
        ("*", _) => {
            let removed = items.iter_mut().map(|item| remove(item, rest));
            removed.fold(false, |any, one| any | one)
        }
        (_, Ok(index)) if rest.is_empty() => {
            let there = index < items.len();
            if there {
                items.remove(index);
            }
            there
        }
        (_, Ok(index)) => items.get_mut(index).is_some_and(|item| remove(item, rest)),
        (_, Err(_)) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn left(body: &str, paths: &[&str]) -> Option<(String, Vec<String>)> {
        let paths: Vec<_> = paths.iter().map(|path| Cow::Borrowed(*path)).collect();
        let (body, found) = without(body.as_bytes(), &paths)?;
        let found = found.into_iter().map(Cow::into_owned).collect();
        Some((String::from_utf8(body.to_vec()).unwrap(), found))
    }

    #[test]
    fn members_are_taken_out_by_name_and_by_path() {
        let body = r#"{"model":"a", "user":"u","tools":[{"strict":true,"n":1},{"n":2}],"x":{"y":{"z":1}}}"#;
        let (text, found) = left(
            body,
            &["user", "tools[*].strict", "x.y.z", "tools[1].n", "absent"],
        )
        .unwrap();
        assert_eq!(text, r#"{"model":"a","tools":[{"n":1},{}],"x":{"y":{}}}"#);
        assert_eq!(found, ["user", "tools[*].strict", "tools[1].n", "x.y.z"]);
    }

    #[test]
    fn a_body_that_has_none_of_them_stays() {
        assert_eq!(left(r#"{"a":1}"#, &["b", "a.b", "a[0]", "a[", "a."]), None);
        assert_eq!(left(r#"{"model":"m"}"#, &["model"]), None);
    }
}
