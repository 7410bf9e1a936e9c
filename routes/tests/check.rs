//! What the plan holds, row by row of the contract, where no published config shows it.

use std::time::Duration;

use pointsman_routes::diagnostic::Severity;
use pointsman_routes::table::{
    Backoff, CacheKind, Capabilities, Credential, Deployment, DeploymentId, Group, GroupId, Jitter,
    KeyRef, Midstream, Mock, Piece, Priced, Queue, Router, Routes, Secret, Strategy, Target, Value,
    Window,
};
use pointsman_routes::usd::Usd;
use pointsman_routes::{Loaded, More, load, load_file, load_with};

fn loaded(text: &str) -> Loaded {
    let outcome = load("x.yaml", text);
    let errors: Vec<String> = outcome
        .diagnostics
        .iter()
        .filter(|one| one.severity == Severity::Error)
        .map(ToString::to_string)
        .collect();
    assert!(errors.is_empty(), "{}", errors.join("\n"));
    outcome.loaded.expect("no errors")
}

fn routes(text: &str) -> Routes {
    loaded(text).routes
}

/// One entry with these parameters and what else stands in it.
fn one(params: &str, rest: &str) -> Deployment {
    let text = format!("model_list:\n  - model_name: a\n    litellm_params: {{{params}}}\n{rest}");
    routes(&text).deployments[0].clone()
}

/// Groups of these names, each with one deployment, and what else stands in the file.
fn groups(names: &[&str], rest: &str) -> Routes {
    let mut text = "model_list:\n".to_owned();
    for name in names {
        text.push_str("  - {model_name: \"");
        text.push_str(name);
        text.push_str("\", litellm_params: {model: openai/gpt-4o}}\n");
    }
    text.push_str(rest);
    routes(&text)
}

fn group<'r>(routes: &'r Routes, name: &str) -> &'r Group {
    routes
        .groups
        .iter()
        .find(|group| group.name == name)
        .expect("the group exists")
}

fn names<'r>(routes: &'r Routes, chain: &[Target]) -> Vec<&'r str> {
    let name = |target: &Target| match target {
        Target::Group(id) => &*routes.groups[usize::from(id.0)].name,
        Target::Deployment(id) => &*routes.deployments[usize::from(id.0)].id,
    };
    chain.iter().map(name).collect()
}

fn chain<'r>(routes: &'r Routes, name: &str) -> Vec<&'r str> {
    names(routes, &group(routes, name).fallbacks)
}

/// A15-13, A15-16
#[test]
fn a_target_is_followed_by_its_own_fallbacks_and_the_defaults_come_last() {
    let routes = groups(
        &["a", "b", "c", "d", "e"],
        "router_settings:\n  fallbacks: [{a: [b, c]}, {b: [d]}, {d: [a]}]\n  default_fallbacks: [e, a]\n",
    );
    assert_eq!(chain(&routes, "a"), ["b", "d", "c", "e"]);
    assert_eq!(chain(&routes, "b"), ["d", "a", "c", "e"]);
    assert_eq!(chain(&routes, "e"), ["a", "b", "d", "c"]);
    assert_eq!(names(&routes, &routes.router.default_fallbacks), ["e", "a"]);
}

/// A15-13: by name, else without the provider, else `"*"`.
#[test]
fn a_list_is_found_by_name_then_without_provider_then_by_the_star() {
    let routes = groups(
        &["openai/gpt-4o", "other", "last", "own"],
        "litellm_settings:\n  fallbacks: [{gpt-4o: [other]}, {\"*\": [last]}, {own: []}]\n",
    );
    assert_eq!(chain(&routes, "openai/gpt-4o"), ["other", "last"]);
    assert_eq!(chain(&routes, "other"), ["last"]);
    assert!(chain(&routes, "last").is_empty());
    assert!(chain(&routes, "own").is_empty());
}

#[test]
fn depth_is_bounded_by_max_fallbacks() {
    let lists = "fallbacks: [{a: [b]}, {b: [c]}, {c: [d]}]";
    let routes = groups(
        &["a", "b", "c", "d"],
        &format!("router_settings: {{max_fallbacks: 2, {lists}}}\n"),
    );
    assert_eq!(chain(&routes, "a"), ["b", "c"]);
    assert_eq!(routes.router.max_fallbacks, 2);
}

/// A15-14, A15-15, A15-19
#[test]
fn the_list_of_a_class_comes_before_the_ordinary_one() {
    let routes = groups(
        &["a", "b", "c", "d"],
        "router_settings:\n  fallbacks: [{a: [b]}, {c: [d]}]\n  content_policy_fallbacks: [{a: [c]}]\n",
    );
    assert_eq!(
        names(&routes, &group(&routes, "a").content_policy_fallbacks),
        ["c", "d", "b"]
    );
    assert!(group(&routes, "a").context_window_fallbacks.is_empty());
    assert!(group(&routes, "b").content_policy_fallbacks.is_empty());
}

/// A15-18
#[test]
fn a_fallback_may_name_a_deployment_or_a_name_that_a_pattern_matches() {
    let routes = routes(
        "model_list:\n\
         - {model_name: a, litellm_params: {model: openai/gpt-4o}}\n\
         - {model_name: b, litellm_params: {model: openai/gpt-4o}, model_info: {id: spare}}\n\
         - {model_name: anthropic/*, litellm_params: {model: anthropic/*, api_key: os.environ/K}}\n\
         router_settings: {fallbacks: [{a: [spare, anthropic/claude-sonnet-4-6]}]}\n",
    );
    assert_eq!(
        chain(&routes, "a"),
        ["spare", "anthropic/claude-sonnet-4-6"]
    );
    let group = group(&routes, "anthropic/claude-sonnet-4-6");
    let made = &routes.deployments[usize::from(group.members[0].deployment.0)];
    assert_eq!(made.model, "claude-sonnet-4-6");
    assert_eq!(made.api_key, Some(Secret::Env("K".into())));
    assert_eq!(
        (made.priced, made.price.input),
        (Priced::Catalog, Usd::per_million("3"))
    );
    let name = routes
        .names
        .iter()
        .find(|name| name.name == group.name)
        .expect("a name");
    assert!(name.hidden);
    assert_eq!(routes.patterns[0].pattern, "anthropic/*");
}

/// A2-13
#[test]
fn the_most_specific_pattern_stands_first() {
    let routes = groups(&["*", "openai/*", "openai/gpt-*", "plain"], "");
    let patterns: Vec<_> = routes.patterns.iter().map(|one| &*one.pattern).collect();
    assert_eq!(patterns, ["openai/gpt-*", "openai/*", "*"]);
}

/// A4-08
#[test]
fn an_alias_is_a_name_of_its_group() {
    let routes = groups(
        &["a"],
        "router_settings: {model_group_alias: {fast: a, secret: {model: a, hidden: true}}}\n",
    );
    let find = |name: &str| {
        routes
            .names
            .iter()
            .find(|known| known.name == name)
            .expect("a name")
    };
    assert_eq!(find("fast").target, find("a").target);
    assert!(!find("fast").hidden && find("secret").hidden);
}

/// A2-17
#[test]
fn named_credentials_fill_what_the_entry_does_not_say() {
    let deployment = one(
        "model: azure/gpt-4o, api_version: '1', litellm_credential_name: mine",
        "credential_list:\n  - credential_name: mine\n    credential_values:\n      \
         {api_key: os.environ/K, api_base: 'https://x.example', api_version: '2'}\n",
    );
    assert_eq!(deployment.api_key, Some(Secret::Env("K".into())));
    assert_eq!(
        deployment.api_base,
        Some(Value::Plain("https://x.example".into()))
    );
    assert_eq!(deployment.api_version, Some(Value::Plain("1".into())));
}

#[test]
fn request_fields_become_defaults_and_credentials_become_options() {
    let deployment = one(
        "model: bedrock/anthropic.claude-3-haiku-20240307-v1:0, temperature: 0.5, max_tokens: 100, \
         stop: [a], my_vendor_field: {x: 1}, aws_region_name: eu-west-1, \
         aws_secret_access_key: os.environ/S, extra_headers: {X-Team: blue, Authorization: os.environ/A}",
        "",
    );
    let defaults: Vec<_> = deployment
        .defaults
        .iter()
        .map(|(name, json)| (&**name, &**json))
        .collect();
    assert_eq!(
        defaults,
        [
            ("max_tokens", "100"),
            ("my_vendor_field", "{\"x\":1}"),
            ("stop", "[\"a\"]"),
            ("temperature", "0.5")
        ]
    );
    let plain = |text: &'static str| Credential::Plain(Value::Plain(text.into()));
    let secret = |name: &'static str| Credential::Secret(Secret::Env(name.into()));
    assert_eq!(
        deployment.options.as_ref(),
        [
            ("aws_region_name".into(), plain("eu-west-1")),
            ("aws_secret_access_key".into(), secret("S"))
        ]
    );
    assert_eq!(
        deployment.headers.as_ref(),
        [
            ("X-Team".into(), plain("blue")),
            ("Authorization".into(), secret("A"))
        ]
    );
}

/// A2-10, A2-12
#[test]
fn model_info_overrides_the_catalog() {
    let deployment = one(
        "model: openai/gpt-4o",
        "    model_info: {max_input_tokens: 5, input_cost_per_token: 0.00000001, supports_vision: false, supports_audio_input: true}\n",
    );
    assert_eq!(deployment.facts.max_input_tokens, Some(5));
    assert_eq!(deployment.facts.max_output_tokens, Some(16_384));
    assert_eq!(deployment.price.input, Some(Usd(10_000)));
    assert_eq!(deployment.price.output, Usd::per_million("10"));
    assert_eq!(deployment.priced, Priced::Config);
    assert!(!deployment.facts.capabilities.has(Capabilities::VISION));
    assert!(deployment.facts.capabilities.has(Capabilities::AUDIO_IN));

    let azure = one(
        "model: azure/ours, api_base: 'https://x.example'",
        "    model_info: {base_model: azure/gpt-4o}\n",
    );
    assert_eq!(
        (azure.priced, azure.price.input),
        (Priced::Catalog, Usd::per_million("2.5"))
    );
}

/// A7-12
#[test]
fn a_mock_needs_no_provider_and_costs_what_it_says() {
    let mock = one("model: anything, mock_response: Hello", "");
    assert_eq!(mock.mock, Some(Mock::Text("Hello".into())));
    assert_eq!((mock.priced, mock.price.input), (Priced::Mock, None));
    let error = one(
        "model: openai/x, mock_response: litellm.RateLimitError, input_cost_per_token: 1",
        "",
    );
    assert_eq!(
        error.mock,
        Some(Mock::Error("litellm.RateLimitError".into()))
    );
    assert_eq!(error.price.input, Some(Usd::ONE));
}

/// A2-06, A2-07
#[test]
fn text_around_a_reference_is_kept() {
    let deployment = one(
        "model: openai/gpt-4o, api_base: 'https://${HOST}/v1', organization: '$${x}'",
        "",
    );
    let pieces = [
        Piece::Plain("https://".into()),
        Piece::Env("HOST".into()),
        Piece::Plain("/v1".into()),
    ];
    assert_eq!(
        deployment.api_base,
        Some(Value::Template(pieces.to_vec().into()))
    );
    assert_eq!(deployment.organization, Some(Value::Plain("${x}".into())));
}

/// What stands in a table may be compiled in, so no secret may.
#[test]
fn no_secret_in_clear_gets_into_the_table() {
    let loaded = loaded(
        "model_list:\n- model_name: a\n  litellm_params: {model: openai/gpt-4o, vendor_secret: hunter2, \
         extra_body: {auth: {password: hunter2}}, extra_headers: {X-Auth: hunter2}}\n",
    );
    let deployment = &loaded.routes.deployments[0];
    assert!(deployment.defaults.is_empty());
    assert!(
        deployment
            .options
            .iter()
            .all(|(_, value)| matches!(value, Credential::Secret(Secret::Literal(_))))
    );
    assert_eq!(deployment.options.len(), 2);
    assert!(!format!("{loaded:?}").contains("hunter2"));
    for params in [
        "api_base: 'https://user:hunter2@x.example'",
        "metadata: {password: hunter2}",
        "user: os.environ/USER",
        "stop: [os.environ/STOP]",
    ] {
        let text = format!(
            "model_list:\n- {{model_name: a, litellm_params: {{model: openai/gpt-4o, {params}}}}}\n"
        );
        let outcome = load("x.yaml", &text);
        assert!(outcome.loaded.is_none(), "{params}");
        assert!(!format!("{outcome:?}").contains("hunter2"), "{params}");
    }
}

#[test]
fn clear_secrets_stay_beside_the_table_and_are_not_printed() {
    let loaded = loaded(
        "model_list:\n- {model_name: a, litellm_params: {model: openai/gpt-4o, api_key: 'hunter2-${X}'}}\n",
    );
    let key = loaded.routes.deployments[0].api_key.clone().expect("a key");
    let lookup = |name: &str| (name == "X").then(|| "end".to_owned());
    assert_eq!(
        key.resolve(&loaded.literals, &lookup).as_deref(),
        Ok("hunter2-end")
    );
    assert!(!format!("{loaded:?}").contains("hunter2"));
}

/// A2-11: an id that nobody gave depends on what is said, not on where or on a secret.
#[test]
fn an_id_that_nobody_gave_is_stable() {
    let entry = "- {model_name: a, litellm_params: {model: openai/gpt-4o, rpm: 5, api_key: KEY}}\n";
    let id = |text: &str, at: usize| {
        routes(&format!("model_list:\n{text}")).deployments[at]
            .id
            .clone()
    };
    let first = id(&entry.replace("KEY", "one"), 0);
    assert_eq!(first, id(&entry.replace("KEY", "two"), 0));
    assert_eq!(
        first,
        id(
            &entry.replace("rpm: 5, api_key: KEY", "api_key: KEY, rpm: 5"),
            0
        )
    );
    assert_ne!(first, id(&entry.replace("KEY", "os.environ/K"), 0));
    assert_ne!(first, id(&entry.replace("rpm: 5", "rpm: 6"), 0));
    // Entries that differ in a clear secret only get numbers.
    let both = format!(
        "{}{}",
        entry.replace("KEY", "one"),
        entry.replace("KEY", "two")
    );
    assert_eq!(id(&both, 1), format!("{first}-2"));
}

/// A2-04
#[test]
fn a_reference_brings_in_the_group_with_its_share_and_level() {
    let routes = routes(
        "model_list:\n\
         - {model_name: base, litellm_params: {model: openai/gpt-4o, weight: 1}}\n\
         - {model_name: base, litellm_params: {model: openai/gpt-4o, weight: 3, seed: 1}}\n\
         - {model_name: both, litellm_params: {model: base, weight: 8, order: 2}}\n\
         - {model_name: both, litellm_params: {model: openai/gpt-4o-mini, weight: 2, order: 1}}\n",
    );
    let members: Vec<_> = group(&routes, "both")
        .members
        .iter()
        .map(|member| {
            (
                member.deployment.0,
                member.weight,
                member.order,
                member.via.as_deref(),
            )
        })
        .collect();
    assert_eq!(
        members,
        [
            (0, Some(2.0), 2, Some("base")),
            (1, Some(6.0), 2, Some("base")),
            (2, Some(2.0), 1, None)
        ]
    );
}

/// A4-09
#[test]
fn counts_by_class_of_error() {
    let routes = groups(
        &["a"],
        "router_settings:\n  retry_policy: {RateLimitErrorRetries: 3, TimeoutErrorRetries: 0}\n  \
         allowed_fails_policy: {InternalServerErrorAllowedFails: 20}\n  \
         model_group_retry_policy: {a: {BadRequestErrorRetries: 1}}\n",
    );
    let policy = routes.router.retry_policy.expect("a policy");
    assert_eq!(
        (policy.rate_limit, policy.timeout, policy.bad_request),
        (Some(3), Some(0), None)
    );
    assert_eq!(
        routes
            .router
            .allowed_fails_policy
            .expect("a policy")
            .internal_server,
        Some(20)
    );
    assert_eq!(
        group(&routes, "a")
            .retry_policy
            .expect("a policy")
            .bad_request,
        Some(1)
    );
}

/// A3-11: a threshold with an embedding model is meant semantically.
#[test]
fn a_redis_cache_with_an_embedding_model_is_semantic() {
    let routes = routes(
        "litellm_settings:\n  cache: on\n  cache_params: {type: redis, similarity_threshold: 0.8, \
         redis_semantic_cache_embedding_model: embed, ttl: 5m}\n",
    );
    let cache = routes.settings.cache.expect("a cache");
    assert_eq!(cache.kind, CacheKind::RedisSemantic);
    assert_eq!(cache.embedding_model.as_deref(), Some("embed"));
    assert_eq!(cache.ttl, Some(Duration::from_mins(5)));
}

/// A6-06
#[test]
fn a_key_may_be_given_by_its_digest() {
    let digits = "ab".repeat(32);
    let text = format!(
        "key_settings:\n- {{api_key: 'sha256:{digits}', models: [a], budget: {{max_budget: 5, budget_duration: 1w}}}}\n\
         - {{api_key: os.environ/KEY, key_alias: team}}\n"
    );
    let outcome = load("x.yaml", &text);
    assert!(
        outcome
            .diagnostics
            .iter()
            .all(|one| one.severity == Severity::Note)
    );
    let keys = outcome.loaded.expect("no errors").routes.keys;
    assert_eq!(keys[0].key, KeyRef::Digest([0xab; 32]));
    assert_eq!(
        keys[0].budget.as_ref().and_then(|budget| budget.window),
        Some(Window::Seconds(604_800))
    );
    assert_eq!(keys[0].models.as_ref(), ["a"]);
    assert_eq!(
        (&keys[1].key, keys[1].alias.as_deref()),
        (&KeyRef::Env("KEY".into()), Some("team"))
    );
}

/// A6-18
#[test]
fn a_score_has_stated_weights() {
    let routes = groups(
        &["a"],
        "router_settings: {routing_strategy: score, score: {latency: 2, errors: 0.5}}\n",
    );
    assert_eq!(
        routes.router.strategy,
        Strategy::Score {
            latency: 2.0,
            cost: 1.0,
            errors: 0.5
        }
    );
}

/// A2-15: anchors and merge keys, the usual way to share parameters.
#[test]
fn shared_parameters_by_merge_key() {
    let routes = routes(
        "model_list:\n\
         - model_name: a\n  litellm_params: &shared {model: openai/gpt-4o, rpm: 1_000, drop_params: yes}\n\
         - model_name: b\n  litellm_params:\n    <<: *shared\n    rpm: 5\n",
    );
    let limits: Vec<_> = routes
        .deployments
        .iter()
        .map(|one| (one.limits.rpm, one.drop_params))
        .collect();
    assert_eq!(limits, [(Some(1000), Some(true)), (Some(5), Some(true))]);
}

/// A2-16
#[test]
fn included_files_add_to_lists_and_maps() {
    let folder = std::env::temp_dir().join(format!("pointsman-include-{}", std::process::id()));
    std::fs::create_dir_all(folder.join("parts")).expect("a folder");
    let write = |name: &str, text: &str| std::fs::write(folder.join(name), text).expect("a file");
    write(
        "main.yaml",
        "include: [parts/models.yaml]\nmodel_list:\n- {model_name: a, litellm_params: {model: openai/gpt-4o}}\n\
         router_settings: {num_retries: 1, fallbacks: [{a: [b]}]}\n",
    );
    write(
        "parts/models.yaml",
        "include: [more.yaml]\nmodel_list:\n- {model_name: b, litellm_params: {model: openai/gpt-4o}}\n",
    );
    write("parts/more.yaml", "router_settings: {num_retries: 7}\n");
    let outcome = load_file(&folder.join("main.yaml"));
    std::fs::remove_dir_all(&folder).expect("it can go");
    let routes = outcome.loaded.expect("no errors").routes;
    assert_eq!(chain(&routes, "a"), ["b"]);
    assert_eq!(routes.router.num_retries, 7);
    let files: Vec<_> = outcome
        .files
        .iter()
        .map(|file| file.strip_prefix(&folder).expect("inside"))
        .collect();
    assert_eq!(
        files,
        ["main.yaml", "parts/models.yaml", "parts/more.yaml"].map(std::path::Path::new)
    );
    let warning = outcome
        .diagnostics
        .iter()
        .find(|one| one.severity == Severity::Warning)
        .expect("a warning");
    assert!(warning.what.contains("stands in two files") && warning.file.ends_with("more.yaml"));
}

#[test]
fn models_from_elsewhere_stand_beside_those_of_the_file() {
    let file = "model_list:\n- {model_name: a, litellm_params: {model: openai/gpt-4o}}\n";
    let entry = |model: &str| {
        let params = format!(r#"{{"model": "{model}", "api_key": "sk-secret"}}"#);
        format!(r#"{{"model_list": [{{"model_name": "b", "litellm_params": {params}}}]}}"#)
    };
    let with = |text: &str| {
        let more = More {
            name: "elsewhere",
            text,
        };
        load_with("x.yaml", file, Some(more))
    };
    let loaded = with(&entry("openai/gpt-4o")).loaded;
    let routes = loaded.expect("no errors").routes;
    let names: Vec<_> = routes.groups.iter().map(|group| &*group.name).collect();
    assert_eq!(names, ["a", "b"]);

    let outcome = with(&entry("nobody/x"));
    assert!(outcome.loaded.is_none());
    let error = |one: &&pointsman_routes::diagnostic::Diagnostic| one.severity == Severity::Error;
    let error = outcome.diagnostics.iter().find(error);
    let error = error.expect("an error");
    assert_eq!(error.file, "elsewhere");
    assert!(error.path.starts_with("model_list[1]"), "{error}");
    assert!(!error.to_string().contains("sk-secret"), "{error}");
}

#[test]
fn a_text_includes_nothing_and_a_missing_file_is_an_error() {
    assert!(load("x.yaml", "include: [/etc/passwd]\n").loaded.is_none());
    let outcome = load_file(std::path::Path::new("/nonexistent/config.yaml"));
    assert!(outcome.loaded.is_none());
    assert!(outcome.diagnostics[0].what.starts_with("cannot read"));
}

#[test]
fn a_file_says_where_each_key_stands() {
    let outcome = load("x.yaml", "router_settings:\n  num_retries: 3\n");
    let used: Vec<_> = outcome
        .used
        .iter()
        .map(|one| (one.path.as_str(), one.key.row, one.line, one.column))
        .collect();
    assert_eq!(
        used,
        [
            ("router_settings", "A4-01", 1, 1),
            ("router_settings.num_retries", "A4-03", 2, 3)
        ]
    );
}

/// Names are cut at dates, which must not be looked for inside a letter.
#[test]
fn a_name_of_other_letters_is_looked_up_like_any() {
    for model in [
        "open\u{85}4",
        "gpt-é2024",
        "é1",
        "日本-20240806",
        "gpt-4é-08-2024",
        "é-01-02-03",
    ] {
        let text =
            format!("model_list:\n- {{model_name: a, litellm_params: {{model: \"{model}\"}}}}\n");
        let _ = load("x.yaml", &text);
    }
}

#[test]
fn pauses_deadlines_and_queues_are_read() {
    let read = groups(
        &["a", "b"],
        "router_settings:\n  backoff: {base: 1s, factor: 3, max: 20, jitter: none}\n  \
         ttft_timeout: 0.5\n  model_group_ttft_timeout: {b: 2s}\n  hedge_after: 800ms\n  \
         stream_idle_timeout: 20\n  on_midstream: restart\n  \
         queue: {size: 5, timeout: 2}\n  default_priority: 3\n  default_max_parallel_requests: 7\n",
    );
    let router = &read.router;
    let backoff = Backoff {
        base: Duration::from_secs(1),
        factor: 3.0,
        max: Duration::from_secs(20),
        jitter: Jitter::None,
    };
    assert_eq!(router.backoff, backoff);
    let half = Some(Duration::from_millis(500));
    assert_eq!(router.ttft_timeout, half);
    let own = |name| group(&read, name).ttft_timeout;
    assert_eq!((own("a"), own("b")), (None, Some(Duration::from_secs(2))));
    assert_eq!(router.hedge_after, Some(Duration::from_millis(800)));
    assert_eq!(router.idle_timeout, Some(Duration::from_secs(20)));
    assert_eq!(router.on_midstream, Midstream::Restart);
    let queue = Queue {
        size: 5,
        timeout: Duration::from_secs(2),
    };
    assert_eq!(router.queue, queue);
    assert_eq!(
        (router.default_priority, router.default_parallel),
        (Some(3), Some(7))
    );
    let own = one(
        "model: openai/gpt-4o, ttft_timeout: 500ms, stream_idle_timeout: 500ms, on_midstream: error",
        "",
    );
    assert_eq!((own.ttft_timeout, own.idle_timeout), (half, half));
    assert_eq!(own.on_midstream, Some(Midstream::Error));
    assert_eq!(Router::DEFAULT.on_midstream, Midstream::Continue);
    assert_eq!(groups(&["a"], "").router.backoff, Backoff::DEFAULT);
}

#[test]
fn health_checks_stand_in_either_section() {
    for section in ["router_settings", "general_settings"] {
        let rest = format!(
            "{section}: {{enable_health_check_routing: true, \
             health_check_ignore_transient_errors: true, health_check_staleness_threshold: 90}}\n"
        );
        let router = groups(&["a"], &rest).router;
        assert!(router.health_check_routing && router.health_check_ignore_transient);
        assert_eq!(router.health_check_staleness, Some(Duration::from_secs(90)));
    }
    let deployment = one(
        "model: openai/gpt-4o",
        "    model_info: {health_check_max_tokens: 1, disable_background_health_check: true}\n",
    );
    assert_eq!(deployment.health_check_max_tokens, Some(1));
    assert!(deployment.health_check_off);
}

#[test]
fn budgets_of_providers_have_litellms_names_or_those_of_other_budgets() {
    let routes = groups(
        &["a"],
        "router_settings:\n  provider_budget_config:\n    openai: {budget_limit: 0.3, time_period: \
         1d}\n    groq: {max_budget: 5, budget_duration: 1mo}\n",
    );
    let found: Vec<_> = routes
        .router
        .provider_budgets
        .iter()
        .map(|(name, budget)| (&**name, budget.max, budget.window))
        .collect();
    let (cheap, dear) = (
        Usd::from_decimal("0.3").unwrap(),
        Usd::from_decimal("5").unwrap(),
    );
    assert_eq!(
        found,
        [
            ("groq", dear, Some(Window::Months(1))),
            ("openai", cheap, Some(Window::Seconds(86_400))),
        ]
    );
}

#[test]
fn a_rule_names_deployments_by_id_model_or_provider() {
    let text = "model_list:\n\
        - {model_name: a, litellm_params: {model: openai/gpt-4o}, model_info: {id: one}}\n\
        - {model_name: a, litellm_params: {model: openai/gpt-4o-mini}, model_info: {id: two}}\n\
        - {model_name: a, litellm_params: {model: groq/llama-3.3-70b-versatile}, model_info: {id: three}}\n\
        rules:\n\
        - when: {model: a, key: alice, team: [red, blue], user: u1, tags: [paid], metadata: {tier: premium, level: 3, trial: true}}\n  prefer: [two, openai]\n  else: groq/llama-3.3-70b-versatile\n\
        - prefer: groq\n";
    let rules = routes(text).rules;
    let [first, last] = &*rules else {
        panic!("{rules:#?}")
    };
    let ids = |list: &[DeploymentId]| list.iter().map(|id| id.0).collect::<Vec<_>>();
    assert_eq!(
        (ids(&first.prefer), ids(&first.otherwise)),
        (vec![1, 0], vec![2])
    );
    assert_eq!(*first.groups, [GroupId(0)]);
    let words = |list: &[std::borrow::Cow<'static, str>]| list.join(",");
    let asked = [&first.keys, &first.teams, &first.users, &first.tags].map(|list| words(list));
    assert_eq!(asked, ["alice", "red,blue", "u1", "paid"]);
    let metadata: Vec<_> = first.metadata.iter().map(|(k, v)| (&**k, &**v)).collect();
    assert_eq!(
        metadata,
        [("level", "3"), ("tier", "premium"), ("trial", "true")]
    );
    assert!(last.groups.is_empty());
    assert_eq!(ids(&last.prefer), [2]);
}
