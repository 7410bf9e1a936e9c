//! The request as the provider gets it.

use bytes::Bytes;
use pointsman_routes::table::{Deployment, Protocol, Text};
use smallvec::SmallVec;

use super::quirks::{Vendor, thinks_first};
use crate::call::peek::Class;
use crate::call::{Call, Dialect, Field, Route};
use crate::live::Endpoint;
use crate::wire::json;
use crate::wire::splice::Splice;

/// The body that goes to the provider, in one piece or several.
pub(crate) fn body(
    call: &Call,
    deployment: &Deployment,
    model: Bytes,
    endpoint: &Endpoint,
) -> SmallVec<[Bytes; 4]> {
    let (text, peek) = (&call.body, &call.peek);
    let mut splice = Splice::default();

    // Azure's classic paths name the deployment, and its servers pass over `model`.
    match peek.get(Field::Model) {
        Some(member) => splice.replace(member.value_range(), model),
        None if deployment.provider.protocol == Protocol::Azure => {}
        None => splice.insert(&named("model", &model)),
    }

    let messages = call.route.dialect() == Dialect::Anthropic;
    let stores = peek.value(text, Field::Store) == Some(b"true");
    for (field, member) in peek.members() {
        match field.class() {
            // Stored completions carry metadata of the caller's; otherwise it is the gateway's.
            Class::Control if field == Field::Metadata && stores => {}
            Class::Control if field == Field::Metadata && messages => {
                match user_of(member.value(text)) {
                    Some(user) => splice.replace(member.value_range(), user),
                    None => splice.remove(member),
                }
            }
            Class::Control | Class::Rehearsal => splice.remove(member),
            Class::Read | Class::Refused => {}
        }
    }

    let asks = endpoint.asks_usage && !messages && !call.route.is_media();
    if peek.stream && asks && !call.wants_usage {
        ask_for_usage(call, &mut splice);
    }
    let renames: &[(Text, Text)] = match &*deployment.provider.renames {
        [] if call.route == Route::Chat && is_openais(deployment) && thinks(call, deployment) => {
            &NEWER
        }
        own => own,
    };
    if !renames.is_empty() {
        rename(text, renames, &mut splice);
    }
    let cut = call.tab.most_output().filter(|_| call.route.speaks());
    if let Some(most) = cut {
        cut_output(call, deployment, most, &mut splice);
    }
    if !deployment.defaults.is_empty() && call.route != Route::CountTokens {
        let mut missing = deployment.defaults.iter().collect::<Vec<_>>();
        if cut.is_some() {
            missing.retain(|(name, _)| BOUNDS.iter().all(|bound| **name != *bound.name()));
        }
        if messages && is_without_sampling(call) {
            missing.retain(|(name, _)| !SAMPLING.contains(&&**name));
        }
        add_defaults(text, missing, renames, &mut splice);
    }
    splice.apply(text, peek.open, peek.empty)
}

/// What of a message's `metadata` is Anthropic's: the caller's own user. The rest is the gateway's,
/// and Anthropic would refuse it.
fn user_of(metadata: &[u8]) -> Option<Vec<u8>> {
    let mut found = None;
    let read = json::members(metadata, |member| {
        if member.raw_name(metadata) == b"user_id" && member.value(metadata) != b"null" {
            found = Some(named("user_id", member.value(metadata)));
        }
    });
    let user = found.filter(|_| read.is_ok())?;
    Some([&b"{"[..], &user, b"}"].concat())
}

pub(super) fn named(name: &str, value: &[u8]) -> Vec<u8> {
    let mut member = Vec::with_capacity(name.len() + value.len() + 3);
    json::push_string(&mut member, name);
    member.push(b':');
    member.extend_from_slice(value);
    member
}

fn ask_for_usage(call: &Call, splice: &mut Splice) {
    let Some(member) = call.peek.get(Field::StreamOptions) else {
        splice.insert(br#""stream_options":{"include_usage":true}"#);
        return;
    };
    // Other options of the caller's stay; only its `include_usage` gives way.
    let options = member.value(&call.body);
    let mut asked = br#"{"include_usage":true"#.to_vec();
    let kept = json::members(options, |option| {
        if option.raw_name(options) != b"include_usage" {
            asked.push(b',');
            asked.extend_from_slice(&options[option.start..option.end]);
        }
    });
    if kept.is_err() {
        asked.truncate(br#"{"include_usage":true"#.len());
    }
    asked.push(b'}');
    splice.replace(member.value_range(), asked);
}

/// A parameter that the provider calls otherwise. If the caller gave both, its own name wins.
fn rename(text: &[u8], renames: &[(Text, Text)], splice: &mut Splice) {
    let mut ours = vec![None; renames.len()];
    let mut theirs = vec![false; renames.len()];
    let walked = json::members(text, |member| {
        let Some(name) = json::string(&text[member.start..member.name_end]) else {
            return;
        };
        for (at, rename) in renames.iter().enumerate() {
            if rename.0 == *name {
                ours[at] = Some(member);
            }
            theirs[at] |= rename.1 == *name;
        }
    });
    if walked.is_err() {
        return;
    }
    for (at, (_, name)) in renames.iter().enumerate() {
        match (&ours[at], theirs[at]) {
            (None, _) => {}
            (Some(member), true) => splice.remove(member),
            (Some(member), false) => {
                let mut literal = Vec::with_capacity(name.len() + 2);
                json::push_string(&mut literal, name);
                splice.replace(member.start..member.name_end, literal);
            }
        }
    }
}

/// OpenAI's models that think know the newer name only.
const NEWER: [(Text, Text); 1] = [(
    Text::Borrowed("max_tokens"),
    Text::Borrowed("max_completion_tokens"),
)];

fn thinks(call: &Call, deployment: &Deployment) -> bool {
    thinks_first(deployment, asked_model(call, deployment))
}

/// The model that is asked, by the caller's name where the file has a pattern.
pub(crate) fn asked_model<'a>(call: &'a Call, deployment: &'a Deployment) -> &'a str {
    if deployment.model.contains('*') {
        call.name()
    } else {
        &deployment.model
    }
}

/// Whether a server is OpenAI's own, or Azure's.
fn is_openais(deployment: &Deployment) -> bool {
    Vendor::of(&deployment.provider) == Vendor::OpenAi
}

/// The members that bound the length of an answer.
const BOUNDS: [Field; 2] = [Field::MaxCompletionTokens, Field::MaxTokens];

/// Lets an answer be no longer than the caller's budgets pay for.
fn cut_output(call: &Call, deployment: &Deployment, most: u64, splice: &mut Splice) {
    let shown = most.to_string();
    let mut bounded = false;
    for member in BOUNDS.into_iter().filter_map(|field| call.peek.get(field)) {
        let own = std::str::from_utf8(member.value(&call.body)).ok();
        match own.and_then(|own| own.parse::<u64>().ok()) {
            Some(own) if own <= most => {}
            _ => splice.replace(member.value_range(), shown.clone().into_bytes()),
        }
        bounded = true;
    }
    if bounded {
        return;
    }
    // OpenAI's newer models know the newer name only, and others the older one.
    let thinks = || is_openais(deployment) && thinks(call, deployment);
    let newer = call.route == Route::Chat && (deployment.provider.name == "openai" || thinks());
    let ours = BOUNDS[usize::from(!newer)].name();
    let renamed = deployment
        .provider
        .renames
        .iter()
        .find(|(name, _)| *name == ours);
    let name = renamed.map_or(ours, |(_, theirs)| theirs);
    splice.insert(&named(name, shown.as_bytes()));
}

/// What Anthropic refuses from its version 2026-10-21 on, whatever the model.
const SAMPLING: [&str; 3] = ["temperature", "top_p", "top_k"];

/// Whether the caller speaks a version of Anthropic's dialect that has none of [`SAMPLING`].
fn is_without_sampling(call: &Call) -> bool {
    let mut passed = call.passed.iter();
    let version = passed.find(|(name, _)| name == "anthropic-version");
    version.is_some_and(|(_, version)| version.as_bytes() >= &b"2026-10-21"[..])
}

/// Request fields that the file gives, where the caller gave none, by the names that the provider has.
fn add_defaults(
    text: &[u8],
    mut missing: Vec<&(Text, Text)>,
    renames: &[(Text, Text)],
    splice: &mut Splice,
) {
    let theirs = |name: &str| -> &str {
        let found = renames.iter().find(|(ours, _)| *ours == *name);
        found.map_or("", |(_, theirs)| theirs)
    };
    let walked = json::members(text, |member| {
        let literal = &text[member.start..member.name_end];
        if let Some(name) = json::string(literal) {
            missing.retain(|(default, _)| **default != *name && theirs(default) != name);
        }
    });
    if walked.is_ok() {
        for (ours, value) in missing {
            let name = Some(theirs(ours)).filter(|theirs| !theirs.is_empty());
            splice.insert(&named(name.unwrap_or(ours), value.as_bytes()));
        }
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;

    use crate::call::Route;
    use crate::call::example::attempt;
    use crate::upstream::Providers;
    use crate::upstream::authority;
    use crate::upstream::client::Pieces;
    use crate::upstream::exchange::prepare;
    use crate::upstream::fetch::Fetched;

    fn sent(config: &str, body: &str) -> (http::request::Parts, String) {
        let attempt = attempt(config, Route::Chat, body);
        let endpoint = attempt.call.live.endpoint(attempt.deployment);
        let model = attempt.call.model_of(attempt.deployment);
        let mut request = prepare(&attempt, &model, (&Providers::new(), &Fetched::default()))
            .unwrap()
            .request;
        waited(authority::show(&mut request, &endpoint.authority)).unwrap();
        let (head, body) = request.into_parts();
        let bytes = read(body);
        (head, String::from_utf8(bytes).unwrap())
    }

    fn read(body: Pieces) -> Vec<u8> {
        waited(async { body.collect().await.unwrap().to_bytes().to_vec() })
    }

    fn waited<T>(future: impl Future<Output = T>) -> T {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap();
        runtime.block_on(future)
    }

    fn one(model: &str, more: &str) -> String {
        format!(
            "model_list:\n- model_name: public\n  litellm_params:\n    model: {model}\n    api_key: \
             os.environ/KEY\n{more}"
        )
    }

    #[test]
    fn only_the_model_changes() {
        let body =
            r#"{ "x": [1, 2], "model" : "public","messages":[{"role":"user","content":"model"}] }"#;
        let (head, sent) = sent(&one("openai/gpt-4o", ""), body);
        assert_eq!(sent, body.replace("public", "gpt-4o"));
        assert_eq!(head.uri, "https://api.openai.com/v1/chat/completions");
        assert_eq!(head.headers["authorization"], "Bearer sk-secret");
        assert!(head.headers["authorization"].is_sensitive());
    }

    #[test]
    fn sampling_of_the_file_is_left_out_where_anthropic_has_none() {
        let config = one("anthropic/claude-x", "    temperature: 0.5\n    seed: 1\n");
        let sent = |version| {
            let body = r#"{"model":"public","messages":[]}"#;
            let mut attempt = attempt(&config, Route::Messages, body);
            let name = http::HeaderName::from_static("anthropic-version");
            let call = std::sync::Arc::get_mut(&mut attempt.call).unwrap();
            call.passed = vec![(name, http::HeaderValue::from_static(version))];
            read(
                prepare(
                    &attempt,
                    "claude-x",
                    (&Providers::new(), &Fetched::default()),
                )
                .unwrap()
                .request
                .into_body(),
            )
        };
        let has = |sent: Vec<u8>, name| String::from_utf8(sent).unwrap().contains(name);
        assert!(has(sent("2023-06-01"), "temperature"));
        assert!(!has(sent("2026-10-21"), "temperature"));
        assert!(has(sent("2026-10-21"), "seed"));
    }

    #[test]
    fn what_speaks_to_the_gateway_stays_here() {
        let body = r#"{"model":"public","metadata":{"a":1},"messages":[],"num_retries":3,"tags":["x"],"user_id":"u","n":1}"#;
        let (_, sent) = sent(&one("openai/gpt-4o", ""), body);
        assert_eq!(sent, r#"{"model":"gpt-4o","messages":[],"n":1}"#);
    }

    #[test]
    fn metadata_of_a_stored_completion_goes_on() {
        let body = r#"{"model":"public","store":true,"metadata":{"a":"1"},"messages":[]}"#;
        let (_, sent) = sent(&one("openai/gpt-4o", ""), body);
        assert_eq!(sent, body.replace("public", "gpt-4o"));
    }

    #[test]
    fn usage_is_asked_for_in_streams() {
        let config = one("openai/gpt-4o", "");
        let (_, plain) = sent(&config, r#"{"model":"public","stream":true,"messages":[]}"#);
        assert_eq!(
            plain,
            r#"{"stream_options":{"include_usage":true},"model":"gpt-4o","stream":true,"messages":[]}"#
        );
        let asked = r#"{"model":"public","stream":true,"stream_options":{"include_usage":true},"messages":[]}"#;
        assert_eq!(sent(&config, asked).1, asked.replace("public", "gpt-4o"));
        let other = r#"{"model":"public","stream":true,"stream_options":{"include_usage":false,"x":1},"messages":[]}"#;
        assert!(
            sent(&config, other)
                .1
                .contains(r#""stream_options":{"include_usage":true,"x":1}"#)
        );
    }

    #[test]
    fn azure_has_its_own_path_and_header() {
        let more = "    api_base: https://east.example.com/\n    api_version: \"2024-02-01\"\n";
        let body = r#"{"model":"public","stream":true,"messages":[]}"#;
        let (head, sent) = sent(&one("azure/my-gpt", more), body);
        let expected = "https://east.example.com/openai/deployments/my-gpt/chat/completions?api-version=2024-02-01";
        assert_eq!(head.uri, expected);
        assert_eq!(head.headers["api-key"], "sk-secret");
        assert!(!head.headers.contains_key("authorization"));
        // That version does not know `stream_options`.
        assert_eq!(sent, body.replace("public", "my-gpt"));
    }

    #[test]
    fn a_pattern_is_filled_with_what_matched() {
        let config = "model_list:\n- model_name: groq/*\n  litellm_params:\n    model: groq/*\n    \
                      api_key: os.environ/KEY\n";
        let (head, sent) = sent(config, r#"{"model":"groq/llama-3","messages":[]}"#);
        assert_eq!(sent, r#"{"model":"llama-3","messages":[]}"#);
        assert_eq!(head.uri, "https://api.groq.com/openai/v1/chat/completions");
    }

    #[test]
    fn the_files_defaults_stand_in_for_what_the_caller_left_out() {
        let config = one("openai/gpt-4o", "    temperature: 0.2\n    max_tokens: 7\n");
        let (_, sent) = sent(
            &config,
            r#"{"model":"public","max_tokens":9,"messages":[]}"#,
        );
        assert_eq!(
            sent,
            r#"{"temperature":0.2,"model":"gpt-4o","max_tokens":9,"messages":[]}"#
        );
    }

    #[test]
    fn any_parameter_goes_by_the_vendors_name() {
        let body = r#"{"model":"public","messages":[],"s\u0065ed":7,"inner":{"seed":1}}"#;
        let sent = sent(&one("mistral/m", ""), body).1;
        assert_eq!(
            sent,
            r#"{"model":"m","messages":[],"random_seed":7,"inner":{"seed":1}}"#
        );
    }

    #[test]
    fn models_that_think_are_bound_by_the_newer_name() {
        let body = r#"{"model":"public","max_tokens":9,"messages":[]}"#;
        let newer = |model: &str| {
            format!(r#"{{"model":"{model}","max_completion_tokens":9,"messages":[]}}"#)
        };
        for model in ["gpt-5-mini", "o3", "gpt-5.1"] {
            let config = one(&format!("openai/{model}"), "");
            assert_eq!(sent(&config, body).1, newer(model));
        }
        let azure =
            "    api_base: https://a.example.com\n  model_info: {base_model: azure/o3-mini}\n";
        assert_eq!(sent(&one("azure/mine", azure), body).1, newer("mine"));
        let config = one("openai/o3", "    max_tokens: 7\n");
        let none = r#"{"model":"public","messages":[]}"#;
        assert!(
            sent(&config, none)
                .1
                .contains(r#""max_completion_tokens":7"#)
        );
        assert_eq!(sent(&config, body).1, newer("o3"));
        let config = one("openai/gpt-4o", "");
        assert_eq!(sent(&config, body).1, body.replace("public", "gpt-4o"));
    }

    #[test]
    fn what_models_that_think_refuse_is_left_out_where_the_file_says_so() {
        let body = r#"{"model":"public","temperature":0.2,"top_p":0.5,"messages":[]}"#;
        let plain = |model: &str| format!(r#"{{"model":"{model}","messages":[]}}"#);
        let drop = "    drop_params: true\n";
        assert_eq!(sent(&one("openai/o3", drop), body).1, plain("o3"));
        for (model, more) in [("o3", ""), ("gpt-5.1", drop), ("gpt-4o", drop)] {
            let config = one(&format!("openai/{model}"), more);
            assert_eq!(sent(&config, body).1, body.replace("public", model));
        }
    }

    #[test]
    fn a_parameter_goes_by_the_vendors_name() {
        let config = one("chutes/m", "");
        let body = r#"{"model":"public","max_completion_tokens":9,"messages":[]}"#;
        assert_eq!(
            sent(&config, body).1,
            r#"{"model":"m","max_tokens":9,"messages":[]}"#
        );
        let both = r#"{"model":"public","max_completion_tokens":9,"max_tokens":8,"messages":[]}"#;
        assert_eq!(
            sent(&config, both).1,
            r#"{"model":"m","max_tokens":8,"messages":[]}"#
        );
    }
}
