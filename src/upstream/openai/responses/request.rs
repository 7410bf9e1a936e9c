//! The request as the provider gets it.

use bytes::Bytes;
use pointsman_routes::table::{Deployment, DeploymentId};
use smallvec::SmallVec;

use super::super::request::named;
use crate::call::peek::Class;
use crate::call::{Call, Field, Route};
use crate::dialect::responses::OWN_CONTENT;
use crate::upstream::protocol::Unfit;
use crate::wire::json;
use crate::wire::splice::Splice;

/// Fields of chat that responses have not. Where a file gives them for all routes, they are left out.
const CHAT_ONLY: &[&str] = &[
    "audio",
    "frequency_penalty",
    "function_call",
    "functions",
    "logit_bias",
    "logprobs",
    "messages",
    "modalities",
    "n",
    "prediction",
    "presence_penalty",
    "response_format",
    "seed",
    "stop",
    "stream_options",
    "verbosity",
    "web_search_options",
];

/// The body that goes to the provider, in one piece or several; `model` is its name of the model, as
/// a JSON string.
///
/// An error if the request goes on from a response that this deployment does not know.
pub(crate) fn body(
    call: &Call,
    id: DeploymentId,
    model: Bytes,
) -> Result<SmallVec<[Bytes; 4]>, Unfit> {
    let (text, peek) = (&call.body, &call.peek);
    let deployment = call.live.deployment(id);
    let mut splice = Splice::default();
    match peek.get(Field::Model) {
        Some(member) => splice.replace(member.value_range(), model),
        None => splice.insert(&named("model", &model)),
    }
    for (field, member) in peek.members() {
        match field {
            // What is no text cannot be OpenAI's: it speaks to the gateway.
            Field::Metadata if is_of_texts(member.value(text)) => {}
            Field::PreviousResponseId if member.value(text) != b"null" => {
                splice.replace(member.value_range(), previous(call, id)?);
            }
            Field::Input => {
                if let Some(input) = without_foreign(member.value(text)) {
                    splice.replace(member.value_range(), input);
                }
            }
            _ if matches!(field.class(), Class::Control | Class::Rehearsal) => {
                splice.remove(member);
            }
            _ => {}
        }
    }
    let own = call.route == Route::Responses;
    let cut = call.tab.most_output().filter(|_| own);
    if let Some(most) = cut {
        let shown = most.to_string();
        match peek.get(Field::MaxOutputTokens) {
            Some(member) if asks_no_more(member.value(text), most) => {}
            Some(member) => splice.replace(member.value_range(), shown),
            None => splice.insert(&named("max_output_tokens", shown.as_bytes())),
        }
    }
    if own && !deployment.defaults.is_empty() {
        add_defaults(text, deployment, cut.is_some(), &mut splice);
    }
    Ok(splice.apply(text, peek.open, peek.empty))
}

fn is_of_texts(metadata: &[u8]) -> bool {
    let mut texts = true;
    let read = json::members(metadata, |member| {
        texts &= member.value(metadata).starts_with(b"\"");
    });
    read.is_ok() && texts
}

/// The provider's own id of the response that a request goes on from, as a JSON string.
fn previous(call: &Call, id: DeploymentId) -> Result<Vec<u8>, Unfit> {
    let unknown = || {
        let what = "does not know that response: another deployment made it";
        Unfit::new(Some("previous_response_id"), what)
    };
    let text = call.peek.text(&call.body, Field::PreviousResponseId);
    let text = text.unwrap_or_default();
    let Some(issued) = call.live.ids().open(&text) else {
        // It was let in as a provider's own.
        let mut literal = Vec::new();
        json::push_string(&mut literal, &text);
        return Ok(literal);
    };
    let maker = call.live.deployment_named(&issued.deployment);
    let here = maker.filter(|maker| {
        let own = call.live.endpoint(id);
        *maker == id || call.live.endpoint(*maker).shares_account(own)
    });
    here.ok_or_else(unknown)?;
    let mut literal = Vec::new();
    json::push_string(&mut literal, &issued.id);
    Ok(literal)
}

/// Where an item holds what another provider wants back.
const SPECIFIC: &[u8] = b"provider_specific_fields";

/// An `input` without what other providers gave to be proved later; `None` if there is none of it.
/// OpenAI refuses a thought that it did not encrypt, and members that it does not know.
fn without_foreign(input: &[u8]) -> Option<Vec<u8>> {
    let holds = |text: &[u8]| memchr::memmem::find(input, text).is_some();
    if !(holds(OWN_CONTENT) || holds(SPECIFIC)) {
        return None;
    }
    let mut kept = vec![b'['];
    json::elements(input, |item| {
        let (mut thought, mut specific) = (false, None);
        let read = json::members(item, |member| match member.raw_name(item) {
            b"encrypted_content" => thought |= member.value(item).starts_with(OWN_CONTENT),
            SPECIFIC => specific = Some(member),
            _ => {}
        });
        if read.is_ok() && thought {
            return;
        }
        if kept.len() > 1 {
            kept.push(b',');
        }
        let mut splice = Splice::default();
        if let Some(member) = specific {
            splice.remove(&member);
        }
        let open = item
            .iter()
            .position(|byte| *byte == b'{')
            .map_or(0, |at| at + 1);
        let pieces = splice.apply(&Bytes::copy_from_slice(item), open, false);
        pieces
            .iter()
            .for_each(|piece| kept.extend_from_slice(piece));
    })
    .ok()?;
    kept.push(b']');
    Some(kept)
}

fn asks_no_more(value: &[u8], most: u64) -> bool {
    let own = std::str::from_utf8(value).ok();
    own.and_then(|own| own.parse::<u64>().ok())
        .is_some_and(|own| own <= most)
}

/// Request fields that the file gives, where the caller gave none. With `bounded` the length of the
/// answer has been given already.
fn add_defaults(text: &[u8], deployment: &Deployment, bounded: bool, splice: &mut Splice) {
    let mut given = Vec::new();
    let walked = json::members(text, |member| {
        given.extend(json::string(&text[member.start..member.name_end]));
    });
    if walked.is_err() {
        return;
    }
    let mut given: Vec<&str> = given.iter().map(|name| &**name).collect();
    if bounded {
        given.push("max_output_tokens");
    }
    for (name, value) in deployment.defaults.iter() {
        let (name, value) = (&**name, &**value);
        // What is made in the background without a word of the caller's would be paid by nobody.
        if CHAT_ONLY.contains(&name) || name == "background" {
            continue;
        }
        // A file names them as chat does.
        let (name, value) = match name {
            "reasoning_effort" => ("reasoning", format!("{{\"effort\":{value}}}")),
            "max_tokens" | "max_completion_tokens" => ("max_output_tokens", value.to_owned()),
            name => (name, value.to_owned()),
        };
        if !given.contains(&name) {
            splice.insert(&named(name, value.as_bytes()));
            given.push(name);
        }
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;

    use crate::call::Route;
    use crate::call::example::{attempt, call};
    use crate::live::Owner;
    use crate::upstream::Providers;
    use crate::upstream::exchange::{NotYet, prepare};
    use crate::upstream::fetch::Fetched;

    const CONFIG: &str = "model_list:
- {model_name: public, litellm_params: {model: openai/gpt-4o, api_key: os.environ/KEY}, model_info: {id: east}}
- {model_name: small, litellm_params: {model: openai/gpt-4o-mini, api_key: os.environ/KEY}, model_info: {id: small}}
- {model_name: other, litellm_params: {model: xai/grok-4, api_key: os.environ/KEY}, model_info: {id: west}}
";

    fn sent(config: &str, body: &str) -> (String, String) {
        let attempt = attempt(config, Route::Responses, body);
        let model = attempt.call.model_of(attempt.deployment);
        let (head, body) = prepare(&attempt, &model, (&Providers::new(), &Fetched::default()))
            .unwrap()
            .request
            .into_parts();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap();
        let bytes = runtime.block_on(async { body.collect().await.unwrap().to_bytes() });
        (
            head.uri.to_string(),
            String::from_utf8(bytes.to_vec()).unwrap(),
        )
    }

    #[test]
    fn only_the_model_changes() {
        let body = r#"{ "x": [1, 2], "model" : "public","input":"pm1s.","metadata":{"a":"1"},"store":false }"#;
        let (uri, sent) = sent(CONFIG, body);
        assert_eq!(uri, "https://api.openai.com/v1/responses");
        assert_eq!(sent, body.replace("public", "gpt-4o"));
    }

    #[test]
    fn what_speaks_to_the_gateway_stays_here() {
        let body = r#"{"model":"public","metadata":{"tags":["a"]},"input":[],"num_retries":3,"stream":true}"#;
        let expected = r#"{"model":"gpt-4o","input":[],"stream":true}"#;
        assert_eq!(sent(CONFIG, body).1, expected);
    }

    #[test]
    fn a_response_is_gone_on_from_by_the_providers_own_id() {
        let any = call(
            CONFIG,
            Route::Responses,
            r#"{"model":"public","input":"a"}"#,
        );
        let id = any.live.ids().issue(Owner::default(), "east", "resp_7");
        let id = id.unwrap();
        for model in ["public", "small"] {
            let body =
                format!(r#"{{"model":"{model}","previous_response_id":"{id}","input":"b"}}"#);
            let (_, sent) = sent(CONFIG, &body);
            assert!(
                sent.contains(r#""previous_response_id":"resp_7""#),
                "{sent}"
            );
        }
        let body = format!(r#"{{"model":"other","previous_response_id":"{id}","input":"b"}}"#);
        let attempt = attempt(CONFIG, Route::Responses, &body);
        let given = (&Providers::new(), &Fetched::default());
        let Err(NotYet::Failure(refused)) = prepare(&attempt, "grok-4", given) else {
            panic!("it was not refused");
        };
        assert_eq!(refused.status(), 400);
        assert_eq!(refused.param(), Some("previous_response_id"));
    }

    #[test]
    fn thoughts_of_other_providers_stay_here() {
        let body = r#"{"model":"public","input":[{"type":"reasoning","encrypted_content":"pm1s.x","summary":[]}, {"role":"user","content":"hi"},
            {"provider_specific_fields":{"thought_signature":"s"},"type":"function_call"}]}"#;
        let expected = r#"{"model":"gpt-4o","input":[{"role":"user","content":"hi"},{"type":"function_call"}]}"#;
        assert_eq!(sent(CONFIG, body).1, expected);
    }

    #[test]
    fn the_files_defaults_have_their_own_names_here() {
        let config = CONFIG.replace(
            "openai/gpt-4o,",
            "openai/gpt-4o, max_tokens: 7, temperature: 0.2, reasoning_effort: low, stop: [a],",
        );
        let body = r#"{"model":"public","temperature":1,"input":"a"}"#;
        let (_, sent) = sent(&config, body);
        let sent: serde_json::Value = serde_json::from_str(&sent).unwrap();
        let expected = serde_json::json!({
            "model": "gpt-4o", "temperature": 1, "input": "a", "max_output_tokens": 7,
            "reasoning": {"effort": "low"},
        });
        assert_eq!(sent, expected);
    }

    #[test]
    fn an_answer_is_no_longer_than_budgets_pay_for() {
        for (own, cut) in [
            ("", r#","max_output_tokens":50"#),
            (r#","max_output_tokens":90"#, r#","max_output_tokens":50"#),
            (r#","max_output_tokens":9"#, r#","max_output_tokens":9"#),
        ] {
            let body = format!(r#"{{"model":"public","input":"a"{own}}}"#);
            let attempt = attempt(CONFIG, Route::Responses, &body);
            attempt.call.tab.limit_output(50);
            let pieces = super::body(&attempt.call, attempt.deployment, "\"m\"".into()).unwrap();
            let sent: serde_json::Value = serde_json::from_slice(&pieces.concat()).unwrap();
            let expected = format!(r#"{{"model":"m","input":"a"{cut}}}"#);
            let expected: serde_json::Value = serde_json::from_str(&expected).unwrap();
            assert_eq!(sent, expected);
        }
    }
}
