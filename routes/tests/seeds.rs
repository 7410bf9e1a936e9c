//! What the plan of each configuration that people publish holds.

use std::path::PathBuf;
use std::time::Duration;

use pointsman_routes::diagnostic::Severity;
use pointsman_routes::table::{
    Auth, Budget, CacheKind, Credential, Deployment, GroupId, GuardMode, KeyRef, Mode, Priced,
    Protocol, Routes, Secret, Setting, Strategy, Target, Value, Window,
};
use pointsman_routes::usd::Usd;
use pointsman_routes::{Outcome, digest, load_file};

fn path(name: &str) -> PathBuf {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures/config/seeds");
    root.join(format!("{name}.yaml"))
}

fn outcome(name: &str) -> Outcome {
    let outcome = load_file(&path(name));
    let errors: Vec<_> = outcome
        .diagnostics
        .iter()
        .filter(|one| one.severity == Severity::Error)
        .collect();
    assert!(errors.is_empty(), "{errors:#?}");
    outcome
}

fn routes(name: &str) -> Routes {
    outcome(name).loaded.expect("no errors").routes
}

/// The warnings of a file: line and what is said.
fn warnings(outcome: &Outcome) -> Vec<(u32, &str)> {
    outcome
        .diagnostics
        .iter()
        .filter(|one| one.severity == Severity::Warning)
        .map(|one| (one.line, one.what.as_str()))
        .collect()
}

/// Keys that the file uses and that have no effect yet.
fn later(outcome: &Outcome) -> Vec<&str> {
    let mut paths: Vec<&str> = outcome
        .diagnostics
        .iter()
        .filter(|one| one.what.contains("has no effect yet"))
        .map(|one| one.path.as_str())
        .collect();
    paths.sort_unstable();
    paths
}

fn group<'r>(routes: &'r Routes, name: &str) -> &'r pointsman_routes::table::Group {
    routes
        .groups
        .iter()
        .find(|group| group.name == name)
        .expect("the group exists")
}

fn members<'r>(routes: &'r Routes, name: &str) -> Vec<&'r Deployment> {
    group(routes, name)
        .members
        .iter()
        .map(|member| &routes.deployments[usize::from(member.deployment.0)])
        .collect()
}

fn names(routes: &Routes, chain: &[Target]) -> Vec<String> {
    chain
        .iter()
        .map(|target| match target {
            Target::Group(id) => routes.groups[usize::from(id.0)].name.to_string(),
            Target::Deployment(id) => routes.deployments[usize::from(id.0)].id.to_string(),
        })
        .collect()
}

fn public(routes: &Routes) -> Vec<&str> {
    routes
        .names
        .iter()
        .filter(|name| !name.hidden)
        .map(|name| &*name.name)
        .collect()
}

#[expect(clippy::unnecessary_wraps, reason = "the fields are optional")]
fn env(name: &'static str) -> Option<Secret> {
    Some(Secret::Env(name.into()))
}

#[expect(clippy::unnecessary_wraps, reason = "the fields are optional")]
fn plain(text: &'static str) -> Option<Value> {
    Some(Value::Plain(text.into()))
}

fn per_million(input: &str, output: &str) -> (Option<Usd>, Option<Usd>) {
    (Usd::per_million(input), Usd::per_million(output))
}

fn price(one: &Deployment) -> (Option<Usd>, Option<Usd>) {
    (one.price.input, one.price.output)
}

#[test]
fn a1_four_deployments_share_one_group() {
    let outcome = outcome("a1_azure_first_failover");
    let routes = &outcome.loaded.as_ref().expect("no errors").routes;
    assert_eq!(public(routes), ["gpt-4o"]);
    let [west, east, openai, claude] = members(routes, "gpt-4o")[..] else {
        panic!("four members")
    };

    assert_eq!(west.id, "azure-westus-gpt4o");
    assert_eq!(west.provider.protocol, Protocol::Azure);
    assert_eq!(west.model, "gpt-4o");
    assert_eq!(
        west.api_base,
        plain("https://westus-primary.openai.azure.com/")
    );
    assert_eq!(west.api_version, plain("2024-08-01-preview"));
    assert_eq!(west.api_key, env("AZURE_API_KEY"));
    assert_eq!(west.line, 4);
    assert_eq!(east.id, "azure-eastus-gpt4o");
    assert_eq!(east.api_key, env("AZURE_API_KEY_SECONDARY"));

    // A2-03: a bare name's provider is looked up.
    assert_eq!(openai.id, "openai-direct-gpt4o");
    assert_eq!(openai.provider.name, "openai");
    assert_eq!(openai.litellm_model, "gpt-4o");
    assert_eq!(price(openai), per_million("2.5", "10"));
    assert_eq!(openai.facts.max_input_tokens, Some(128_000));
    assert_eq!(openai.facts.mode, Some(Mode::Chat));
    assert_eq!(openai.priced, Priced::Catalog);

    assert_eq!(claude.provider.name, "anthropic");
    assert_eq!(claude.provider.auth, Auth::Header("x-api-key".into()));
    assert_eq!(claude.model, "claude-3-5-sonnet-20241022");

    // A2-11: an id can be called.
    let id = routes
        .names
        .iter()
        .find(|name| name.name == "openai-direct-gpt4o")
        .expect("a name");
    assert_eq!(
        id.target,
        Target::Deployment(pointsman_routes::table::DeploymentId(2))
    );
    assert!(id.hidden);

    // A3-04: a fallback to itself does nothing.
    assert!(group(routes, "gpt-4o").fallbacks.is_empty());
    assert!(
        outcome
            .diagnostics
            .iter()
            .any(|one| one.what.contains("falls back to itself") && one.line == 40)
    );

    let routing = &routes.router;
    assert_eq!(routing.strategy, Strategy::LeastBusy);
    assert!(routing.pre_call_checks);
    // A3-01: the router's count is stronger than that of `litellm_settings`.
    assert_eq!(routing.num_retries, 2);
    assert_eq!(routing.retry_after, Duration::from_secs(5));
    assert_eq!(routing.cooldown, Some(Duration::from_mins(1)));
    assert_eq!(routing.allowed_fails, Some(3));
    assert_eq!(routes.settings.request_timeout, Duration::from_mins(2));
    assert_eq!(
        routes.general.master_key,
        Some(KeyRef::Env("LITELLM_MASTER_KEY".into()))
    );
    assert_eq!(routes.general.database_url, env("DATABASE_URL"));

    assert_eq!(
        warnings(&outcome),
        // A3-02
        [(
            38,
            "`retry_after` is not used: `router_settings` says it, too"
        )]
    );
    assert!(
        outcome
            .diagnostics
            .iter()
            .any(|one| one.path == "litellm_settings.stream")
    );
}

#[test]
fn a2_a_split_stands_under_an_alias() {
    let outcome = outcome("a2_latency_weights");
    let routes = &outcome.loaded.as_ref().expect("no errors").routes;
    assert!(routes.groups.is_empty() && routes.names.is_empty());
    assert_eq!(routes.router.strategy, Strategy::Latency);
    let [split] = &routes.router.weighted_aliases[..] else {
        panic!("one split")
    };
    assert_eq!(split.name, "gpt-4o");
    assert_eq!(
        split.shares.as_ref(),
        [("azure/gpt-4o".into(), 0.7), ("openai/gpt-4o".into(), 0.3)]
    );
    assert!(
        outcome
            .diagnostics
            .iter()
            .any(|one| one.what.starts_with("a fragment"))
    );
}

/// A4-08: the same fragment beside a file that has the deployments.
#[test]
fn a2_weights_reach_the_deployments_with_these_models() {
    let mut text = std::fs::read_to_string(path("a2_latency_weights")).expect("it is there");
    text.push_str(
        "model_list:\n\
         - {model_name: gpt-4o, litellm_params: {model: azure/gpt-4o, api_base: https://a.example}}\n\
         - {model_name: gpt-4o, litellm_params: {model: gpt-4o}}\n\
         - {model_name: gpt-4o, litellm_params: {model: azure/gpt-4o, api_base: https://b.example}}\n",
    );
    let routes = pointsman_routes::load("a2.yaml", &text)
        .loaded
        .expect("no errors")
        .routes;
    let group = group(&routes, "gpt-4o");
    let weights: Vec<_> = group.members.iter().map(|member| member.weight).collect();
    assert_eq!(weights, [Some(0.35), Some(0.3), Some(0.35)]);
    assert_eq!(group.strategy, Some(Strategy::WeightedRoundRobin));
}

/// A3-09, A3-10
#[test]
fn a3_a_monthly_budget_is_monthly() {
    let outcome = outcome("a3_user_budget");
    let routes = &outcome.loaded.as_ref().expect("no errors").routes;
    let budget = Budget {
        max: Usd(100 * Usd::ONE.0),
        window: Some(Window::Months(1)),
    };
    assert_eq!(routes.settings.budget, Some(budget));
    assert_eq!(
        routes.general.master_key,
        Some(KeyRef::Digest(digest("sk-your-master-key")))
    );
    assert!(routes.general.weak_master_key);
    assert_eq!(
        warnings(&outcome),
        [
            (3, "this master key stands in many tutorials"),
            (3, "`master_key` is a secret in clear")
        ]
    );
    assert!(!format!("{outcome:?}").contains("sk-your-master-key"));
}

#[test]
fn a4_a_redis_cache() {
    let outcome = outcome("a4_redis_cache");
    let cache = outcome
        .loaded
        .as_ref()
        .expect("no errors")
        .routes
        .settings
        .cache
        .clone()
        .expect("a cache");
    assert_eq!(cache.kind, CacheKind::Redis);
    assert_eq!(cache.ttl, Some(Duration::from_hours(1)));
    let redis = cache.redis.expect("a Redis");
    assert_eq!(redis.host, plain("localhost"));
    assert_eq!(redis.port, plain("6379"));
    assert_eq!(redis.password, None);
    assert_eq!(
        later(&outcome),
        ["litellm_settings.cache", "litellm_settings.cache_params"]
    );
}

/// A3-12, A3-13
#[test]
fn a5_callbacks_and_their_credentials() {
    let outcome = outcome("a5_callbacks");
    let settings = &outcome.loaded.as_ref().expect("no errors").routes.settings;
    assert_eq!(
        settings.success_callbacks.as_ref(),
        ["langfuse", "prometheus"]
    );
    assert_eq!(settings.failure_callbacks.as_ref(), ["langfuse", "slack"]);
    assert_eq!(
        settings.callback_credentials.as_ref(),
        [
            (
                "langfuse_public_key".into(),
                Credential::Plain(Value::Env("LANGFUSE_PUBLIC_KEY".into()))
            ),
            (
                "langfuse_secret_key".into(),
                Credential::Secret(Secret::Env("LANGFUSE_SECRET_KEY".into()))
            ),
        ]
    );
    assert_eq!(
        warnings(&outcome)
            .iter()
            .map(|(line, _)| *line)
            .collect::<Vec<_>>(),
        [5, 6]
    );
}

/// A3-14
#[test]
fn a6_a_guardrail_under_litellm_settings() {
    let routes = routes("a6_guardrail");
    let [guardrail] = &routes.guardrails[..] else {
        panic!("one guardrail")
    };
    assert_eq!(guardrail.name, "content-filter");
    assert_eq!(guardrail.kind, "openai_moderation");
    assert_eq!(guardrail.modes.as_ref(), [GuardMode::PreCall]);
    assert!(!guardrail.default_on);
}

#[test]
fn b1_bare_names_and_three_keys() {
    let outcome = outcome("b1_proxy_walkthrough");
    let routes = &outcome.loaded.as_ref().expect("no errors").routes;
    assert_eq!(
        public(routes),
        [
            "claude-haiku",
            "claude-sonnet",
            "claude-sonnet-lb",
            "gpt-4o"
        ]
    );
    let [sonnet] = members(routes, "claude-sonnet")[..] else {
        panic!("one member")
    };
    assert_eq!(sonnet.provider.name, "anthropic");
    assert_eq!(
        (sonnet.limits.rpm, sonnet.limits.tpm),
        (Some(500), Some(200_000))
    );
    assert_eq!(price(sonnet), per_million("3", "15"));
    let keys: Vec<_> = members(routes, "claude-sonnet-lb")
        .iter()
        .map(|one| one.api_key.clone())
        .collect();
    assert_eq!(
        keys,
        [
            env("ANTHROPIC_API_KEY_1"),
            env("ANTHROPIC_API_KEY_2"),
            env("ANTHROPIC_API_KEY_3")
        ]
    );

    // Ids that nobody gave differ, and are the same next time.
    let ids: std::collections::HashSet<_> = routes.deployments.iter().map(|one| &one.id).collect();
    assert_eq!(ids.len(), 6);
    assert!(
        ids.iter()
            .all(|id| id.len() == 20 && id.bytes().all(|b| b.is_ascii_hexdigit()))
    );
    let again = self::routes("b1_proxy_walkthrough");
    assert_eq!(routes, &again);

    assert_eq!(
        names(routes, &group(routes, "claude-sonnet").fallbacks),
        ["gpt-4o", "claude-haiku"]
    );
    assert!(group(routes, "claude-sonnet-lb").fallbacks.is_empty());
    assert_eq!(routes.router.strategy, Strategy::Latency);
    assert_eq!(routes.router.num_retries, 3);

    // A3-11: `redis` with a threshold matches exactly.
    let cache = routes.settings.cache.as_ref().expect("a cache");
    assert_eq!(
        (cache.kind, cache.similarity_threshold),
        (CacheKind::Redis, Some(0.93))
    );
    assert_eq!(
        warnings(&outcome),
        [(
            47,
            "this cache matches exactly: `similarity_threshold` has no effect"
        )]
    );
    assert!(routes.general.store_model_in_db);
}

#[test]
fn b2_underscores_flow_maps_and_environment() {
    let outcome = outcome("b2_production");
    let routes = &outcome.loaded.as_ref().expect("no errors").routes;
    // A2-08, A2-15
    let limits: Vec<_> = members(routes, "claude-primary")
        .iter()
        .map(|one| (one.limits.rpm, one.limits.tpm))
        .collect();
    assert_eq!(
        limits,
        [
            (Some(500), Some(200_000)),
            (Some(500), Some(200_000)),
            (Some(1000), Some(400_000))
        ]
    );
    assert_eq!(
        names(routes, &group(routes, "claude-primary").fallbacks),
        ["openai-fallback"]
    );
    assert_eq!(routes.router.strategy, Strategy::Usage);
    assert_eq!(
        routes
            .router
            .redis
            .as_ref()
            .and_then(|redis| redis.url.clone()),
        env("REDIS_URL")
    );
    // A2-14
    assert_eq!(
        routes.environment.as_ref(),
        [
            (
                "LANGFUSE_PUBLIC_KEY".into(),
                Credential::Secret(Secret::Env("LANGFUSE_PUBLIC_KEY".into()))
            ),
            (
                "LANGFUSE_SECRET_KEY".into(),
                Credential::Secret(Secret::Env("LANGFUSE_SECRET_KEY".into()))
            ),
        ]
    );
    let cache = routes.settings.cache.as_ref().expect("a cache");
    assert_eq!(
        cache.redis.as_ref().and_then(|redis| redis.host.clone()),
        Some(Value::Env("REDIS_HOST".into()))
    );
    assert_eq!(cache.call_types.as_ref(), ["acompletion", "completion"]);
    assert_eq!(routes.settings.log_level, None);
}

#[test]
fn c1_references_and_circles() {
    let outcome = outcome("c1_gateway_in_production");
    let routes = &outcome.loaded.as_ref().expect("no errors").routes;
    assert_eq!(routes.deployments.len(), 4);
    // A4-06: circles are cut where they would repeat.
    assert_eq!(
        names(routes, &group(routes, "claude-sonnet").fallbacks),
        ["gpt-4o", "azure-gpt4"]
    );
    assert_eq!(
        names(routes, &group(routes, "gpt-4o").fallbacks),
        ["azure-gpt4", "claude-sonnet"]
    );
    assert!(group(routes, "azure-gpt4").fallbacks.is_empty());
    // A15-19: the list of the class, then the ordinary one.
    assert_eq!(
        names(
            routes,
            &group(routes, "claude-sonnet").content_policy_fallbacks
        ),
        ["gpt-4o", "azure-gpt4"]
    );
    assert!(group(routes, "gpt-4o").content_policy_fallbacks.is_empty());

    // A2-04: `production-llm` is `claude-sonnet` by another name, with its fallbacks.
    let production = group(routes, "production-llm");
    let [member] = &production.members[..] else {
        panic!("one member")
    };
    assert_eq!(member.via.as_deref(), Some("production-primary"));
    assert_eq!(members(routes, "production-llm")[0].group, GroupId(0));
    assert_eq!(
        names(routes, &production.fallbacks),
        ["gpt-4o", "azure-gpt4"]
    );

    // A2-11: its id can be called, too.
    let id = routes
        .names
        .iter()
        .find(|name| name.name == "production-primary")
        .expect("a name");
    assert_eq!((id.target, id.hidden), (Target::Group(GroupId(0)), true));

    let [azure] = members(routes, "azure-gpt4")[..] else {
        panic!("one member")
    };
    assert_eq!(
        azure.api_base,
        Some(Value::Env("AZURE_OPENAI_ENDPOINT".into()))
    );
    assert_eq!(azure.api_version, plain("2024-02-01"));
    assert!(routes.settings.drop_params);
    assert_eq!(routes.general.alerting.as_ref(), ["slack"]);
    assert_eq!(
        routes.general.alerting_threshold,
        Some(Duration::from_secs(1000))
    );
    assert_eq!(
        warnings(&outcome),
        [
            // The catalog's facts of Azure's gpt-4o differ from OpenAI's.
            (36, "`azure-gpt4` lacks what `claude-sonnet` can do: pdf"),
            (37, "`azure-gpt4` lacks what `gpt-4o` can do: pdf"),
            // A5-04
            (
                60,
                "an alert comes only after 16 minutes: the unit is seconds"
            ),
        ]
    );
    assert_eq!(
        routes.settings.failure_callbacks.as_ref(),
        ["langfuse", "slack"]
    );
}

#[test]
fn e1_references_in_braces() {
    let outcome = outcome("e1_providers_env");
    let routes = &outcome.loaded.as_ref().expect("no errors").routes;
    // A2-07
    assert_eq!(members(routes, "gpt-4")[0].api_key, env("OPENAI_API_KEY"));
    let [command] = members(routes, "cohere-command")[..] else {
        panic!("one member")
    };
    assert_eq!(command.provider.name, "cohere");
    assert_eq!(command.api_key, env("COHERE_API_KEY"));
    let [llama] = members(routes, "local-llama")[..] else {
        panic!("one member")
    };
    assert_eq!(llama.provider.name, "vllm");
    assert_eq!(llama.model, "meta-llama/Llama-2-70b-hf");
    assert_eq!(llama.api_base, plain("http://vllm-server:8000/v1"));
    assert_eq!((&llama.api_key, llama.provider.keyless), (&None, true));
    assert_eq!(
        routes.general.master_key,
        Some(KeyRef::Digest(digest("sk-1234")))
    );
    assert!(routes.general.weak_master_key);
    assert!(!format!("{outcome:?}").contains("sk-1234"));
}

/// A6-01, A6-03
#[test]
fn e2_figures_beside_a_model() {
    let outcome = outcome("e2_cost_and_context");
    let routes = &outcome.loaded.as_ref().expect("no errors").routes;
    let [gpt4] = members(routes, "gpt-4")[..] else {
        panic!("one member")
    };
    // A known price is stronger than `cost`.
    assert_eq!(
        (gpt4.priced, price(gpt4)),
        (Priced::Catalog, per_million("30", "60"))
    );
    assert_eq!(gpt4.latency_prior, Some(Duration::from_millis(500)));
    assert_eq!(gpt4.facts.max_input_tokens, Some(8000));
    assert_eq!(gpt4.capabilities.as_ref(), ["long-context", "reasoning"]);
    let [opus] = members(routes, "claude-opus")[..] else {
        panic!("one member")
    };
    // 0.015 dollars per 1,000 tokens.
    assert_eq!(
        (opus.priced, price(opus)),
        (Priced::Metadata, per_million("15", "15"))
    );
    assert_eq!(opus.facts.max_input_tokens, Some(100_000));
    assert_eq!(routes.router.strategy, Strategy::Cost);
    assert_eq!(routes.router.cost_threshold, Usd::from_decimal("0.01"));
    assert_eq!(routes.router.context_threshold, Some(50_000));
    assert_eq!(
        warnings(&outcome)
            .iter()
            .map(|(line, _)| *line)
            .collect::<Vec<_>>(),
        [8, 17, 26, 32]
    );
}

/// A6-04
#[test]
fn e3_fallbacks_with_retries_of_their_own() {
    let routes = routes("e3_fallback_config");
    let gpt4 = group(&routes, "gpt-4");
    assert_eq!(
        names(&routes, &gpt4.fallbacks),
        ["claude-opus", "gpt-3.5-turbo"]
    );
    assert_eq!(gpt4.num_retries, Some(3));
    assert_eq!(gpt4.retry_after, Some(Duration::from_secs(2)));
    assert_eq!(routes.router.num_retries, 2);
    assert!(group(&routes, "claude-opus").fallbacks.is_empty());
}

/// A3-21, A6-05
#[test]
fn e4_a_database_and_a_log_file() {
    let outcome = outcome("e4_logging");
    let loaded = outcome.loaded.as_ref().expect("no errors");
    let Some(Secret::Literal(id)) = &loaded.routes.general.database_url else {
        panic!("in clear")
    };
    assert_eq!(
        loaded.literals.get(*id),
        Some("postgresql://user:pass@localhost:5432/litellm")
    );
    assert_eq!(loaded.routes.settings.log_level.as_deref(), Some("debug"));
    assert_eq!(
        loaded.routes.settings.log_file.as_deref(),
        Some("/var/log/litellm.log")
    );
    assert_eq!(
        warnings(&outcome),
        [(4, "`connection_string` is a secret in clear")]
    );
    assert!(!format!("{outcome:?}").contains("user:pass"));
}

/// A6-06
#[test]
fn e5_keys_in_the_file() {
    let outcome = outcome("e5_static_keys");
    let routes = &outcome.loaded.as_ref().expect("no errors").routes;
    let [first, second] = &routes.keys[..] else {
        panic!("two keys")
    };
    assert_eq!(first.key, KeyRef::Digest(digest("user-key-123")));
    assert_eq!((first.rpm, first.tpm), (Some(60), Some(100_000)));
    let monthly = |dollars: i128| {
        Some(Budget {
            max: Usd(dollars * Usd::ONE.0),
            window: Some(Window::Months(1)),
        })
    };
    assert_eq!(first.budget, monthly(100));
    assert_eq!(second.budget, monthly(1000));
    assert_eq!((second.rpm, second.tpm), (Some(120), Some(500_000)));
    assert!(!format!("{outcome:?}").contains("user-key"));
}

/// A6-02
#[test]
fn e6_a_split_over_groups_has_the_name_of_their_model() {
    let routes = routes("e6_weighted_regions");
    assert_eq!(public(&routes), ["gpt-4", "gpt-4-eu", "gpt-4-us"]);
    assert_eq!(routes.router.strategy, Strategy::WeightedRoundRobin);
    assert_eq!(
        routes.router.weights.as_ref(),
        [("gpt-4-us".into(), 0.6), ("gpt-4-eu".into(), 0.4)]
    );
    let split = group(&routes, "gpt-4");
    let weights: Vec<_> = split.members.iter().map(|member| member.weight).collect();
    assert_eq!(weights, [Some(0.6), Some(0.4)]);
    assert_eq!(split.strategy, Some(Strategy::WeightedRoundRobin));
    let bases: Vec<_> = members(&routes, "gpt-4")
        .iter()
        .map(|one| one.api_base.clone())
        .collect();
    assert_eq!(
        bases,
        [
            plain("https://api.openai.com/v1"),
            plain("https://api.openai-eu.com/v1")
        ]
    );
    assert_eq!(members(&routes, "gpt-4-eu").len(), 1);
}

#[test]
fn every_seed_compiles_and_every_key_is_known() {
    let folder = path("x").parent().expect("a folder").to_owned();
    let mut count = 0;
    for entry in std::fs::read_dir(folder).expect("the seeds are there") {
        let path = entry.expect("a file").path();
        let outcome = load_file(&path);
        assert!(outcome.loaded.is_some(), "{}", path.display());
        assert!(!outcome.used.is_empty());
        for used in &outcome.used {
            assert!(used.path.ends_with(used.key.name), "{used:?}");
        }
        count += 1;
    }
    assert_eq!(count, 15);
}

/// Settings without a field of their own are carried with their types.
#[test]
fn what_has_no_field_is_carried() {
    let text = "litellm_settings: {redact_user_api_key_info: yes, cost_margin_config: {b: 0.1, a: os.environ/X}}\n";
    let outcome = pointsman_routes::load("x.yaml", text);
    let carried = outcome.loaded.expect("no errors").routes.carried;
    assert_eq!(carried[0].path, "litellm_settings.cost_margin_config");
    let Setting::Map(map) = &carried[0].value else {
        panic!("a map")
    };
    assert_eq!(map[0], ("a".into(), Setting::Text(Value::Env("X".into()))));
    assert_eq!(map[1], ("b".into(), Setting::Float(0.1)));
    assert_eq!(carried[1].value, Setting::Bool(true));
}
