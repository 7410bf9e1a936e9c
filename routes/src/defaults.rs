//! What holds where the file is silent.
//!
//! Constants, so that a table can be written as what it says beyond them:
//! `Router { num_retries: 3, ..Router::DEFAULT }`.

use std::borrow::Cow;
use std::time::Duration;

use crate::catalog;
use crate::table::{
    Backoff, Cache, CacheKind, Capabilities, Deployment, DeploymentId, Facts, General, Group,
    GroupId, Limits, Member, Midstream, Price, Priced, Provider, Queue, RetryPolicy, Router,
    Routes, Settings, Strategy,
};

impl Routes {
    /// A table with nothing in it.
    pub const EMPTY: Self = Self {
        names: Cow::Borrowed(&[]),
        patterns: Cow::Borrowed(&[]),
        groups: Cow::Borrowed(&[]),
        deployments: Cow::Borrowed(&[]),
        router: Router::DEFAULT,
        settings: Settings::DEFAULT,
        general: General::DEFAULT,
        keys: Cow::Borrowed(&[]),
        guardrails: Cow::Borrowed(&[]),
        rules: Cow::Borrowed(&[]),
        environment: Cow::Borrowed(&[]),
        carried: Cow::Borrowed(&[]),
    };
}

impl Group {
    /// A group of nobody.
    pub const EMPTY: Self = Self {
        name: Cow::Borrowed(""),
        members: Cow::Borrowed(&[]),
        fallbacks: Cow::Borrowed(&[]),
        context_window_fallbacks: Cow::Borrowed(&[]),
        content_policy_fallbacks: Cow::Borrowed(&[]),
        num_retries: None,
        retry_after: None,
        retry_policy: None,
        strategy: None,
        ttft_timeout: None,
    };
}

impl Member {
    /// The first deployment, like any other.
    pub const FIRST: Self = Self {
        deployment: DeploymentId(0),
        weight: None,
        order: 0,
        via: None,
    };
}

impl Deployment {
    /// A deployment of which the file says nothing but that it is there.
    pub const EMPTY: Self = Self {
        id: Cow::Borrowed(""),
        group: GroupId(0),
        litellm_model: Cow::Borrowed(""),
        model: Cow::Borrowed(""),
        provider: Cow::Borrowed(OPENAI),
        api_base: None,
        api_key: None,
        api_version: None,
        organization: None,
        headers: Cow::Borrowed(&[]),
        defaults: Cow::Borrowed(&[]),
        options: Cow::Borrowed(&[]),
        limits: Limits::NONE,
        weight: None,
        order: 0,
        tags: Cow::Borrowed(&[]),
        tag_regex: Cow::Borrowed(&[]),
        region: None,
        timeout: None,
        stream_timeout: None,
        ttft_timeout: None,
        idle_timeout: None,
        on_midstream: None,
        num_retries: None,
        cooldown: None,
        budget: None,
        price: Price::UNKNOWN,
        priced: Priced::Unknown,
        facts: Facts::UNKNOWN,
        catalog_name: None,
        mock: None,
        drop_params: None,
        additional_drop_params: Cow::Borrowed(&[]),
        allowed_openai_params: Cow::Borrowed(&[]),
        mirror: None,
        quota_group: None,
        latency_prior: None,
        capabilities: Cow::Borrowed(&[]),
        access_groups: Cow::Borrowed(&[]),
        team: None,
        health_check_model: None,
        health_check_timeout: None,
        health_check_max_tokens: None,
        health_check_off: false,
        line: 0,
    };
}

impl Limits {
    /// No limit.
    pub const NONE: Self = Self {
        rpm: None,
        tpm: None,
        max_parallel_requests: None,
    };
}

impl Price {
    /// No price is known.
    pub const UNKNOWN: Self = Self {
        input: None,
        output: None,
        cache_read: None,
        cache_write: None,
        long: None,
        reasoning: None,
        audio_input: None,
        audio_output: None,
        image_input: None,
        image_output: None,
        image: None,
        second: None,
        character: None,
        query: None,
    };
}

impl Facts {
    /// Nothing is known.
    pub const UNKNOWN: Self = Self {
        mode: None,
        max_input_tokens: None,
        max_output_tokens: None,
        embedding_dimensions: None,
        capabilities: Capabilities::NONE,
        known: false,
    };
}

impl RetryPolicy {
    /// No class has a count of its own.
    pub const NONE: Self = Self {
        bad_request: None,
        authentication: None,
        timeout: None,
        rate_limit: None,
        content_policy: None,
        internal_server: None,
    };
}

impl Router {
    /// A shuffle with two retries and at most five fallbacks.
    pub const DEFAULT: Self = Self {
        strategy: Strategy::SimpleShuffle,
        sample_ttl: None,
        latency_buffer: None,
        latency_samples: None,
        num_retries: 2,
        retry_after: Duration::ZERO,
        backoff: Backoff::DEFAULT,
        allowed_fails: None,
        allowed_fails_policy: None,
        cooldown: None,
        disable_cooldowns: false,
        timeout: None,
        stream_timeout: None,
        ttft_timeout: None,
        hedge_after: None,
        idle_timeout: None,
        on_midstream: Midstream::Continue,
        max_fallbacks: 5,
        retry_policy: None,
        default_fallbacks: Cow::Borrowed(&[]),
        pre_call_checks: true,
        optional_pre_call_checks: Cow::Borrowed(&[]),
        enforce_limits: false,
        queue: Queue::DEFAULT,
        default_priority: None,
        default_parallel: None,
        health_check_routing: false,
        health_check_ignore_transient: false,
        health_check_staleness: None,
        provider_budgets: Cow::Borrowed(&[]),
        tag_filtering: false,
        tag_match_any: true,
        weighted_aliases: Cow::Borrowed(&[]),
        weights: Cow::Borrowed(&[]),
        cost_threshold: None,
        context_threshold: None,
        redis: None,
    };
}

impl Settings {
    /// A hundred minutes for a request, no cache, prompts kept out of what is logged.
    pub const DEFAULT: Self = Self {
        request_timeout: Duration::from_mins(100),
        drop_params: false,
        modify_params: false,
        budget: None,
        cache: None,
        success_callbacks: Cow::Borrowed(&[]),
        failure_callbacks: Cow::Borrowed(&[]),
        service_callbacks: Cow::Borrowed(&[]),
        callback_credentials: Cow::Borrowed(&[]),
        json_logs: None,
        log_level: None,
        log_file: None,
        redact_messages: true,
        metrics_need_key: true,
    };
}

impl Cache {
    /// In memory, for every kind of call.
    pub const LOCAL: Self = Self {
        kind: CacheKind::Local,
        redis: None,
        ttl: None,
        namespace: None,
        similarity_threshold: None,
        embedding_model: None,
        call_types: Cow::Borrowed(&[]),
        default_off: false,
    };
}

impl General {
    /// No master key, no database, no alerts.
    pub const DEFAULT: Self = Self {
        master_key: None,
        weak_master_key: false,
        permit_weak_master_key: false,
        database_url: None,
        store_model_in_db: false,
        alerting: Cow::Borrowed(&[]),
        alerting_threshold: None,
        background_health_checks: false,
        health_check_interval: Duration::from_mins(5),
        health_check_concurrency: None,
        max_parallel_requests: None,
        global_max_parallel_requests: None,
        max_request_bytes: None,
        max_response_bytes: None,
        key_header: None,
        always_include_stream_usage: false,
        open_response_ids: false,
        unmanaged_response_ids: false,
        allow_client_credentials: false,
        expose_fallback_errors: false,
        allow_mock_testing: false,
        forward_client_headers: false,
        budget_error_status: 429,
        completion_model: None,
        pass_through: Cow::Borrowed(&[]),
    };
}

const OPENAI: &Provider = catalog::known("openai");
