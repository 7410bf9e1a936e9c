//! A table in which every field says something and every kind of value stands somewhere.

use std::borrow::Cow;
use std::time::Duration;

use pointsman_routes::catalog;
use pointsman_routes::table::{
    Auth, Backoff, Budget, Cache, CacheKind, Capabilities, Carried, Credential, Deployment,
    DeploymentId, Facts, General, Group, GroupId, GuardMode, Guardrail, Jitter, KeyRef, Limits,
    LiteralId, LongPrice, Member, Midstream, Mock, Mode, Name, PassThrough, Pattern, Piece, Price,
    Priced, Protocol, Provider, Queue, Redis, RetryPolicy, Router, Routes, Rule, Secret, Setting,
    Settings, StaticKey, Strategy, Target, Text, Value, WeightedAlias, Window,
};
use pointsman_routes::usd::Usd;

pub(crate) fn routes() -> Routes {
    Routes {
        names: vec![
            Name {
                name: text("an \"alias\"\n"),
                target: Target::Group(GroupId(0)),
                hidden: true,
            },
            Name {
                name: text("gpt-4o"),
                target: Target::Group(GroupId(0)),
                hidden: false,
            },
            Name {
                name: text("the-id"),
                target: Target::Deployment(DeploymentId(0)),
                hidden: true,
            },
        ]
        .into(),
        patterns: vec![Pattern {
            pattern: text("openai/*"),
            group: GroupId(1),
        }]
        .into(),
        groups: vec![
            group(),
            Group {
                name: text("openai/*"),
                members: vec![Member {
                    deployment: DeploymentId(1),
                    ..Member::FIRST
                }]
                .into(),
                ..Group::EMPTY
            },
        ]
        .into(),
        deployments: vec![deployment(), mocked(), own_provider()].into(),
        router: router(),
        settings: settings(),
        general: general(),
        keys: vec![StaticKey {
            key: KeyRef::Digest([0xa5; 32]),
            alias: Some(text("team")),
            rpm: Some(60),
            tpm: Some(100_000),
            budget: Some(budget(None)),
            models: texts(&["gpt-4o"]),
        }]
        .into(),
        guardrails: vec![Guardrail {
            name: text("pii"),
            kind: text("presidio"),
            modes: vec![
                GuardMode::PreCall,
                GuardMode::DuringCall,
                GuardMode::PostCall,
                GuardMode::LoggingOnly,
            ]
            .into(),
            default_on: true,
            api_key: Some(Secret::Env(text("GUARD_KEY"))),
            api_base: Some(plain("https://guard.example")),
            options: vec![(text("language"), Setting::Text(plain("en")))].into(),
        }]
        .into(),
        rules: vec![Rule {
            groups: vec![GroupId(0)].into(),
            keys: texts(&["alice"]),
            teams: texts(&["red"]),
            users: texts(&["u1"]),
            tags: texts(&["paid"]),
            metadata: vec![(text("tier"), text("premium"))].into(),
            prefer: vec![DeploymentId(0)].into(),
            otherwise: vec![DeploymentId(2)].into(),
        }]
        .into(),
        environment: vec![
            (text("REGION"), Credential::Plain(plain("eu"))),
            (
                text("KEY"),
                Credential::Secret(Secret::Literal(LiteralId(2))),
            ),
        ]
        .into(),
        carried: vec![Carried {
            path: text("litellm_settings.x"),
            value: setting(),
        }]
        .into(),
    }
}

fn group() -> Group {
    Group {
        name: text("gpt-4o"),
        members: vec![
            Member {
                deployment: DeploymentId(0),
                weight: Some(0.7),
                order: 1,
                via: Some(text("through")),
            },
            Member {
                deployment: DeploymentId(2),
                ..Member::FIRST
            },
        ]
        .into(),
        fallbacks: vec![
            Target::Group(GroupId(1)),
            Target::Deployment(DeploymentId(2)),
        ]
        .into(),
        context_window_fallbacks: vec![Target::Group(GroupId(1))].into(),
        content_policy_fallbacks: vec![Target::Group(GroupId(1))].into(),
        num_retries: Some(3),
        retry_after: Some(Duration::from_millis(2500)),
        retry_policy: Some(policy()),
        strategy: Some(Strategy::Score {
            latency: 0.5,
            cost: 1.0,
            errors: -2.25,
        }),
        ttft_timeout: Some(Duration::from_secs(3)),
    }
}

fn deployment() -> Deployment {
    Deployment {
        id: text("the-id"),
        group: GroupId(0),
        litellm_model: text("azure/gpt-4o"),
        model: text("gpt-4o"),
        provider: Cow::Borrowed(catalog::known("azure")),
        api_base: Some(Value::Template(
            vec![Piece::Plain(text("https://")), Piece::Env(text("HOST"))].into(),
        )),
        api_key: Some(Secret::Env(text("AZURE_API_KEY"))),
        api_version: Some(plain("2024-08-01-preview")),
        organization: Some(Value::Env(text("ORG"))),
        headers: vec![(text("x-team"), Credential::Plain(plain("a")))].into(),
        defaults: vec![(text("temperature"), text("0.2"))].into(),
        options: vec![(
            text("aws_secret"),
            Credential::Secret(Secret::Env(text("AWS"))),
        )]
        .into(),
        limits: Limits {
            rpm: Some(500),
            tpm: Some(200_000),
            max_parallel_requests: Some(10),
        },
        weight: Some(0.7),
        order: 1,
        tags: texts(&["paid"]),
        tag_regex: texts(&["^a\\d$"]),
        region: Some(text("eu")),
        timeout: Some(Duration::from_secs(30)),
        stream_timeout: Some(Duration::new(1, 5)),
        ttft_timeout: Some(Duration::from_millis(400)),
        idle_timeout: Some(Duration::from_secs(20)),
        on_midstream: Some(Midstream::Error),
        num_retries: Some(1),
        cooldown: Some(Duration::ZERO),
        budget: Some(budget(Some(Window::Seconds(86_400)))),
        price: Price {
            input: Some(Usd(2_500_000)),
            output: Some(Usd(10_000_000)),
            cache_read: Some(Usd(1)),
            cache_write: Some(Usd(2)),
            long: Some(LongPrice {
                above: 200_000,
                input: Some(Usd(3)),
                output: None,
            }),
            reasoning: Some(Usd(4)),
            audio_input: Some(Usd(5)),
            audio_output: Some(Usd(6)),
            image_input: Some(Usd(11)),
            image_output: Some(Usd(12)),
            image: Some(Usd(7)),
            second: Some(Usd(8)),
            character: Some(Usd(9)),
            query: Some(Usd(-10)),
        },
        priced: Priced::Catalog,
        facts: Facts {
            mode: Some(Mode::Chat),
            max_input_tokens: Some(128_000),
            max_output_tokens: Some(16_384),
            embedding_dimensions: Some(1536),
            capabilities: Capabilities::TOOLS
                .with(Capabilities::VISION)
                .with(Capabilities(1 << 31)),
            known: true,
        },
        catalog_name: Some(text("azure/gpt-4o")),
        mock: None,
        drop_params: Some(false),
        additional_drop_params: texts(&["logprobs"]),
        allowed_openai_params: texts(&["tools"]),
        mirror: Some(GroupId(1)),
        quota_group: Some(text("quota")),
        latency_prior: Some(Duration::from_mins(2)),
        capabilities: texts(&["long"]),
        access_groups: texts(&["beta"]),
        team: Some(text("red")),
        health_check_model: Some(text("gpt-4o-mini")),
        health_check_timeout: Some(Duration::from_hours(1)),
        health_check_max_tokens: Some(1),
        health_check_off: true,
        line: 3,
    }
}

fn mocked() -> Deployment {
    Deployment {
        group: GroupId(1),
        model: text("*"),
        litellm_model: text("openai/*"),
        mock: Some(Mock::Error(text("litellm.RateLimitError"))),
        priced: Priced::Mock,
        facts: Facts {
            capabilities: Capabilities::PDF,
            ..Facts::UNKNOWN
        },
        line: 12,
        ..Deployment::EMPTY
    }
}

fn own_provider() -> Deployment {
    Deployment {
        litellm_model: text("in-house/large"),
        model: text("large"),
        line: 20,
        provider: Cow::Owned(Provider {
            name: text("in-house"),
            protocol: Protocol::Other,
            base_url: Some(text("http://models.example")),
            path: text("/v1"),
            auth: Auth::Header(text("x-key")),
            key_env: texts(&["HOUSE_KEY"]),
            base_env: texts(&["HOUSE_BASE"]),
            renames: vec![(text("max_tokens"), text("limit"))].into(),
            keyless: true,
            stream_options: false,
            responses: true,
        }),
        mock: Some(Mock::Text(text("hello"))),
        priced: Priced::Config,
        ..Deployment::EMPTY
    }
}

fn router() -> Router {
    Router {
        strategy: Strategy::Latency,
        sample_ttl: Some(Duration::from_mins(1)),
        latency_buffer: Some(0.1),
        latency_samples: Some(10),
        num_retries: 4,
        retry_after: Duration::from_secs(5),
        backoff: Backoff {
            base: Duration::from_secs(1),
            factor: 3.0,
            max: Duration::from_secs(9),
            jitter: Jitter::Full,
        },
        allowed_fails: Some(3),
        allowed_fails_policy: Some(RetryPolicy {
            timeout: Some(1),
            ..RetryPolicy::NONE
        }),
        cooldown: Some(Duration::from_mins(1)),
        disable_cooldowns: true,
        timeout: Some(Duration::from_secs(90)),
        stream_timeout: Some(Duration::from_secs(7)),
        ttft_timeout: Some(Duration::from_millis(500)),
        hedge_after: Some(Duration::from_millis(800)),
        idle_timeout: Some(Duration::from_secs(40)),
        on_midstream: Midstream::Restart,
        max_fallbacks: 3,
        retry_policy: Some(policy()),
        default_fallbacks: vec![Target::Group(GroupId(0))].into(),
        pre_call_checks: false,
        optional_pre_call_checks: texts(&["prompt_caching"]),
        enforce_limits: true,
        queue: Queue {
            size: 10,
            timeout: Duration::from_secs(4),
        },
        default_priority: Some(5),
        default_parallel: Some(50),
        health_check_routing: true,
        health_check_ignore_transient: true,
        health_check_staleness: Some(Duration::from_secs(70)),
        provider_budgets: vec![(text("openai"), budget(None))].into(),
        tag_filtering: true,
        tag_match_any: false,
        weighted_aliases: vec![WeightedAlias {
            name: text("gpt-4o"),
            shares: vec![(text("azure/gpt-4o"), 0.7)].into(),
        }]
        .into(),
        weights: vec![(text("gpt-4o"), 1e30)].into(),
        cost_threshold: Some(Usd::ONE),
        context_threshold: Some(u64::MAX),
        redis: Some(redis()),
    }
}

fn settings() -> Settings {
    Settings {
        request_timeout: Duration::from_secs(61),
        drop_params: true,
        modify_params: true,
        budget: Some(budget(Some(Window::Months(1)))),
        cache: Some(Cache {
            kind: CacheKind::RedisSemantic,
            redis: Some(redis()),
            ttl: Some(Duration::from_mins(10)),
            namespace: Some(text("ns")),
            similarity_threshold: Some(0.95),
            embedding_model: Some(text("text-embedding-3-small")),
            call_types: texts(&["acompletion"]),
            default_off: true,
        }),
        success_callbacks: texts(&["langfuse"]),
        failure_callbacks: texts(&["sentry"]),
        service_callbacks: texts(&["datadog"]),
        callback_credentials: vec![(
            text("langfuse_secret_key"),
            Credential::Secret(Secret::Env(text("LANGFUSE_SECRET_KEY"))),
        )]
        .into(),
        json_logs: Some(true),
        log_level: Some(text("debug")),
        log_file: Some(text("/var/log/pointsman.log")),
        redact_messages: false,
        metrics_need_key: false,
    }
}

fn general() -> General {
    General {
        master_key: Some(KeyRef::Env(text("LITELLM_MASTER_KEY"))),
        weak_master_key: true,
        permit_weak_master_key: true,
        database_url: Some(Secret::Env(text("DATABASE_URL"))),
        store_model_in_db: true,
        alerting: texts(&["slack"]),
        alerting_threshold: Some(Duration::from_mins(5)),
        background_health_checks: true,
        health_check_interval: Duration::from_secs(30),
        health_check_concurrency: Some(4),
        max_parallel_requests: Some(100),
        global_max_parallel_requests: Some(1000),
        max_request_bytes: Some(1 << 20),
        max_response_bytes: Some(1 << 30),
        key_header: Some(text("x-key")),
        always_include_stream_usage: true,
        open_response_ids: true,
        unmanaged_response_ids: true,
        allow_client_credentials: true,
        expose_fallback_errors: true,
        allow_mock_testing: true,
        forward_client_headers: true,
        budget_error_status: 402,
        completion_model: Some(text("gpt-4o")),
        pass_through: vec![PassThrough {
            path: text("/parse"),
            target: Value::Env(text("PARSE_URL")),
            headers: vec![(text("authorization"), Credential::Plain(plain("Bearer")))].into(),
            subpaths: true,
            client_headers: true,
            open: true,
            methods: texts(&["POST"]),
            cost: Some(Usd(1)),
        }]
        .into(),
    }
}

fn setting() -> Setting {
    Setting::Map(
        vec![
            (text("bool"), Setting::Bool(true)),
            (text("float"), Setting::Float(1.5)),
            (text("int"), Setting::Int(i64::MIN)),
            (text("list"), Setting::List(vec![Setting::Null].into())),
            (
                text("secret"),
                Setting::Secret(Secret::Literal(LiteralId(0))),
            ),
            (text("text"), Setting::Text(plain("`code` */ \\ é"))),
        ]
        .into(),
    )
}

fn redis() -> Redis {
    Redis {
        url: Some(Secret::Env(text("REDIS_URL"))),
        host: Some(Value::Env(text("REDIS_HOST"))),
        port: Some(plain("6379")),
        password: Some(Secret::Literal(LiteralId(1))),
    }
}

fn policy() -> RetryPolicy {
    RetryPolicy {
        bad_request: Some(0),
        authentication: Some(1),
        timeout: Some(2),
        rate_limit: Some(3),
        content_policy: Some(4),
        internal_server: Some(5),
    }
}

fn budget(window: Option<Window>) -> Budget {
    Budget {
        max: Usd(100_000_000_000_000),
        window,
    }
}

fn plain(value: &str) -> Value {
    Value::Plain(text(value))
}

fn text(text: &str) -> Text {
    Cow::Owned(text.to_owned())
}

fn texts(all: &[&str]) -> Cow<'static, [Text]> {
    all.iter().map(|one| text(one)).collect()
}
