//! Going on with a stream that broke: whether that can be asked for, and what is asked.
//!
//! Who takes the beginning of its own turn as said (assistant prefill, by the catalog's word for the
//! model) is shown what was said and goes on with it. Everybody else is shown it as its turn, and
//! asked to go on. No word of the caller's own is changed.

use std::sync::Arc;

use bytes::Bytes;
use pointsman_routes::table::{Capabilities, Deployment, Protocol};

use crate::call::{Call, Dialect, Field, Route, Shown, Spoken, peek};
use crate::wire::json;

/// What those are asked who take no beginning of their turn.
const GO_ON: &str = "Your answer above was cut off on its way. Go on with it exactly where it ends, \
                     without a word of what is there already, and without any remark on that.";

/// How a provider is shown what was said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    /// Nothing was said.
    Anew,
    /// As the beginning of its turn.
    Prefill,
    /// The same, with Mistral's `prefix`.
    /// Source: Mistral API reference, "Chat completion", `prefix` of an assistant's message.
    Prefix,
    /// As its turn, with the wish to go on.
    Wish,
}

impl Form {
    fn of(call: &Call, deployment: &Deployment, shown: &Shown) -> Self {
        if shown.words.trim_end().is_empty() {
            return Self::Anew;
        }
        let able = deployment.facts.capabilities.has(Capabilities::PREFILL);
        let provider = &deployment.provider;
        match provider.protocol {
            // Anthropic refuses a turn that was begun for a model that is to think first.
            Protocol::Anthropic | Protocol::Bedrock | Protocol::VertexAi
                if able && !thinks(&call.body, deployment) =>
            {
                Self::Prefill
            }
            Protocol::OpenAi if able && provider.name == "mistral" => Self::Prefix,
            _ => Self::Wish,
        }
    }
}

/// Whether somebody else can go on with a call's stream of which the caller has `shown`.
///
/// A form that the answer must have speaks against it: whoever goes on would begin the form anew.
pub(super) fn can_go_on(call: &Call, shown: &Shown) -> bool {
    if !matches!(call.route, Route::Chat | Route::Messages) {
        return false;
    }
    // A thought is signed as a whole, and only by whoever thought it.
    if call.route.dialect() == Dialect::Anthropic && shown.thought && shown.words.is_empty() {
        return false;
    }
    let mut formed = false;
    let read = json::members(&call.body, |member| {
        let value = member.value(&call.body);
        formed |= match member.raw_name(&call.body) {
            b"response_format" => {
                value != b"null" && memchr::memmem::find(value, b"\"text\"").is_none()
            }
            b"output_format" | b"output_config" => {
                memchr::memmem::find(value, b"json_schema").is_some()
            }
            _ => false,
        };
    });
    read.is_ok() && (!formed || shown.words.is_empty())
}

/// The call that has `deployment` go on where the caller has `shown`; `None` if the conversation is
/// not where it should be.
pub(super) fn going_on(call: &Call, deployment: &Deployment, shown: &Shown) -> Option<Call> {
    let form = Form::of(call, deployment, shown);
    if form == Form::Anew {
        return Some(call.clone());
    }
    let messages = call.peek.get(Field::Messages)?;
    let list = messages.value(&call.body);
    let inner = list.strip_prefix(b"[")?.strip_suffix(b"]")?;
    let end = messages.end - 1;
    let mut body = Vec::with_capacity(call.body.len() + shown.words.len() + 256);
    body.extend_from_slice(&call.body[..end]);
    if !inner.trim_ascii().is_empty() {
        body.push(b',');
    }
    body.extend_from_slice(br#"{"role":"assistant","content":"#);
    // A turn that is to be gone on with may not end in a blank.
    json::push_string(&mut body, shown.words.trim_end());
    match form {
        Form::Prefix => body.extend_from_slice(br#","prefix":true}"#),
        Form::Anew | Form::Prefill => body.push(b'}'),
        Form::Wish => {
            body.extend_from_slice(br#"},{"role":"user","content":"#);
            json::push_string(&mut body, GO_ON);
            body.push(b'}');
        }
    }
    body.extend_from_slice(&call.body[end..]);
    let body = Bytes::from(body);
    let peek = peek::peek(&body).ok()?;
    Some(Call {
        body,
        peek,
        spoken: Spoken::default(),
        ..call.clone()
    })
}

/// As [`going_on`], for a call that may or may not go on with a stream.
pub(super) fn prepared(call: &Arc<Call>, deployment: &Deployment) -> Option<Arc<Call>> {
    match call.resumed.as_deref() {
        None => Some(Arc::clone(call)),
        Some(shown) => going_on(call, deployment, shown).map(Arc::new),
    }
}

/// Whether the model is to think before it answers.
fn thinks(body: &[u8], deployment: &Deployment) -> bool {
    const NAMES: [&str; 3] = ["thinking", "reasoning_effort", "reasoning"];
    let mut asked = None;
    let read = json::members(body, |member| {
        let name = member.raw_name(body);
        if NAMES.iter().any(|one| one.as_bytes() == name) {
            let off = [&b"disabled"[..], b"none", b"null"];
            let value = member.value(body);
            let off = off
                .iter()
                .any(|word| memchr::memmem::find(value, word).is_some());
            asked = Some(asked == Some(true) || !off);
        }
    });
    let of_file = || {
        let mut defaults = deployment.defaults.iter();
        defaults.any(|(name, _)| NAMES.contains(&&**name))
    };
    read.is_err() || asked.unwrap_or_else(of_file)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::call::example;

    fn file(model: &str) -> String {
        format!(
            "model_list:\n- {{model_name: m, litellm_params: {{model: {model}, api_key: \
             os.environ/KEY}}}}\n"
        )
    }

    fn said(words: &str) -> Shown {
        Shown {
            words: words.to_owned(),
            ..Shown::default()
        }
    }

    fn messages(model: &str, members: &str, words: &str) -> serde_json::Value {
        let body = format!(
            r#"{{"model":"m","messages":[{{"role":"user","content":"q"}} ]{members},"stream":true}}"#
        );
        let attempt = example::attempt(&file(model), Route::Chat, &body);
        let deployment = attempt.call.live.deployment(attempt.deployment);
        let call = going_on(&attempt.call, deployment, &said(words)).unwrap();
        let body: serde_json::Value = serde_json::from_slice(&call.body).unwrap();
        assert_eq!(body["stream"], true);
        body["messages"].clone()
    }

    #[test]
    fn whoever_takes_the_beginning_of_a_turn_is_shown_it() {
        let begun = messages("anthropic/claude-sonnet-4-5", "", "one \"two\" ");
        assert_eq!(
            begun[1],
            serde_json::json!({"role": "assistant", "content": "one \"two\""})
        );
        assert_eq!(begun.as_array().unwrap().len(), 2);
        let begun = messages("mistral/mistral-large-latest", "", "one");
        assert_eq!(begun[1]["prefix"], true);
    }

    #[test]
    fn everybody_else_is_asked_to_go_on() {
        for (model, members) in [
            ("openai/gpt-4o", ""),
            (
                "anthropic/claude-sonnet-4-5",
                r#","reasoning_effort":"low""#,
            ),
        ] {
            let asked = messages(model, members, "one");
            assert_eq!(asked[1]["role"], "assistant");
            assert_eq!(
                (&asked[2]["role"], &asked[2]["content"]),
                (&"user".into(), &GO_ON.into())
            );
        }
        assert_eq!(
            messages("openai/gpt-4o", "", " \n")
                .as_array()
                .unwrap()
                .len(),
            1
        );
    }

    #[test]
    fn an_answer_of_a_given_form_is_not_gone_on_with() {
        let call = |route, members: &str| {
            let body = format!(r#"{{"model":"m","messages":[]{members}}}"#);
            example::call(&file("openai/gpt-4o"), route, &body)
        };
        let json = r#","response_format":{"type":"json_object"}"#;
        assert!(!can_go_on(&call(Route::Chat, json), &said("{")));
        assert!(can_go_on(&call(Route::Chat, json), &said("")));
        assert!(can_go_on(
            &call(Route::Chat, r#","response_format":{"type":"text"}"#),
            &said("a")
        ));
        assert!(can_go_on(&call(Route::Chat, ""), &said("a")));
        let thought = Shown {
            thought: true,
            ..Shown::default()
        };
        assert!(can_go_on(&call(Route::Chat, ""), &thought));
        assert!(!can_go_on(
            &call(Route::Messages, r#","max_tokens":9"#),
            &thought
        ));
    }
}
