//! Values of the table as Rust expressions.
//!
//! A struct is written as what it says beyond its default, so that the source reads like the file
//! that it came from. Each struct is taken apart field by field: a new field does not compile until
//! it is written, too.

use std::borrow::Cow;
use std::time::Duration;

use proc_macro2::{Literal, TokenStream};
use quote::{format_ident, quote};

use crate::catalog;
use crate::table::{
    Auth, Backoff, Budget, Cache, CacheKind, Capabilities, Carried, Credential, Deployment,
    DeploymentId, Facts, General, Group, GroupId, GuardMode, Guardrail, Jitter, KeyRef, Limits,
    LiteralId, LongPrice, Member, Midstream, Mock, Mode, Name, PassThrough, Pattern, Piece, Price,
    Priced, Protocol, Provider, Queue, Redis, RetryPolicy, Router, Rule, Secret, Setting, Settings,
    StaticKey, Strategy, Target, Value, WeightedAlias, Window,
};
use crate::usd::Usd;

/// A value that can be written as an expression.
pub(super) trait Code {
    fn code(&self) -> TokenStream;
}

/// One field of a struct that has a default: nothing if it is what the default says.
fn field<T: Code + PartialEq>(name: &str, value: &T, default: &T) -> Option<TokenStream> {
    let name = format_ident!("{name}");
    let code = (value != default).then(|| value.code())?;
    Some(quote!(#name: #code))
}

/// A struct as its fields beyond the default.
pub(super) fn beyond(kind: &str, default: &str, all: usize, fields: &[TokenStream]) -> TokenStream {
    let (kind, default) = (format_ident!("{kind}"), format_ident!("{default}"));
    match fields.len() {
        0 => quote!(#kind::#default),
        some if some == all => quote!(#kind { #(#fields),* }),
        _ => quote!(#kind { #(#fields,)* ..#kind::#default }),
    }
}

macro_rules! structs_with_a_default {
    ($($kind:ident :: $default:ident { $($field:ident),* $(,)? })*) => {$(
        impl Code for $kind {
            fn code(&self) -> TokenStream {
                let Self { $($field),* } = self;
                let fields: Vec<Option<TokenStream>> =
                    vec![$(field(stringify!($field), $field, &$kind::$default.$field)),*];
                let all = fields.len();
                let fields: Vec<TokenStream> = fields.into_iter().flatten().collect();
                beyond(stringify!($kind), stringify!($default), all, &fields)
            }
        }
    )*};
}

macro_rules! structs {
    ($($kind:ident { $($field:ident),* $(,)? })*) => {$(
        impl Code for $kind {
            fn code(&self) -> TokenStream {
                let Self { $($field),* } = self;
                $(let $field = $field.code();)*
                quote!($kind { $($field: #$field),* })
            }
        }
    )*};
}

macro_rules! wrappers {
    ($($kind:ident)*) => {$(
        impl Code for $kind {
            fn code(&self) -> TokenStream {
                let inner = self.0.code();
                quote!($kind(#inner))
            }
        }
    )*};
}

macro_rules! enums {
    ($($kind:ident { $($bare:ident),* ; $($full:ident),* })*) => {$(
        impl Code for $kind {
            fn code(&self) -> TokenStream {
                match self {
                    $(Self::$bare => quote!($kind::$bare),)*
                    $(Self::$full(inner) => {
                        let inner = inner.code();
                        quote!($kind::$full(#inner))
                    })*
                }
            }
        }
    )*};
}

macro_rules! integers {
    ($($kind:ty)*) => {$(
        impl Code for $kind {
            fn code(&self) -> TokenStream {
                let text = self.to_string();
                number(text.starts_with('-'), &text)
            }
        }
    )*};
}

structs_with_a_default! {
    Group::EMPTY {
        name, members, fallbacks, context_window_fallbacks, content_policy_fallbacks, num_retries,
        retry_after, retry_policy, strategy, ttft_timeout,
    }
    Member::FIRST { deployment, weight, order, via }
    Deployment::EMPTY {
        id, group, litellm_model, model, provider, api_base, api_key, api_version, organization,
        headers, defaults, options, limits, weight, order, tags, tag_regex, region, timeout,
        stream_timeout, ttft_timeout, idle_timeout, on_midstream, num_retries, cooldown, budget, price, priced, facts, catalog_name, mock,
        drop_params, additional_drop_params, allowed_openai_params, mirror, quota_group,
        latency_prior, capabilities, access_groups, team, health_check_model, health_check_timeout,
        health_check_max_tokens, health_check_off, line,
    }
    Limits::NONE { rpm, tpm, max_parallel_requests }
    Price::UNKNOWN {
        input, output, cache_read, cache_write, long, reasoning, audio_input, audio_output,
        image_input, image_output, image, second, character, query,
    }
    Facts::UNKNOWN {
        mode, max_input_tokens, max_output_tokens, embedding_dimensions, capabilities, known,
    }
    RetryPolicy::NONE {
        bad_request, authentication, timeout, rate_limit, content_policy, internal_server,
    }
    Router::DEFAULT {
        strategy, sample_ttl, latency_buffer, latency_samples, num_retries, retry_after,
        backoff, allowed_fails, allowed_fails_policy, cooldown, disable_cooldowns, timeout, stream_timeout,
        ttft_timeout, hedge_after, idle_timeout, on_midstream, max_fallbacks, retry_policy, default_fallbacks, pre_call_checks, optional_pre_call_checks,
        enforce_limits, queue, default_priority, default_parallel, health_check_routing,
        health_check_ignore_transient, health_check_staleness, provider_budgets, tag_filtering, tag_match_any, weighted_aliases, weights, cost_threshold,
        context_threshold, redis,
    }
    Backoff::DEFAULT { base, factor, max, jitter }
    Queue::DEFAULT { size, timeout }
    Settings::DEFAULT {
        request_timeout, drop_params, modify_params, budget, cache, success_callbacks,
        failure_callbacks, service_callbacks, callback_credentials, json_logs, log_level, log_file,
        redact_messages, metrics_need_key,
    }
    Cache::LOCAL {
        kind, redis, ttl, namespace, similarity_threshold, embedding_model, call_types,
        default_off,
    }
    General::DEFAULT {
        master_key, weak_master_key, permit_weak_master_key, database_url, store_model_in_db,
        alerting, alerting_threshold, background_health_checks, health_check_interval,
        health_check_concurrency,
        max_parallel_requests, global_max_parallel_requests, max_request_bytes, max_response_bytes,
        key_header, always_include_stream_usage, open_response_ids, unmanaged_response_ids, allow_client_credentials, expose_fallback_errors, allow_mock_testing,
        forward_client_headers, budget_error_status, completion_model, pass_through,
    }
}

structs! {
    Name { name, target, hidden }
    Pattern { pattern, group }
    Budget { max, window }
    LongPrice { above, input, output }
    WeightedAlias { name, shares }
    Redis { url, host, port, password }
    StaticKey { key, alias, rpm, tpm, budget, models }
    Guardrail { name, kind, modes, default_on, api_key, api_base, options }
    Carried { path, value }
    Rule { groups, keys, teams, users, tags, metadata, prefer, otherwise }
    PassThrough { path, target, headers, subpaths, client_headers, open, methods, cost }
}

wrappers! { GroupId DeploymentId LiteralId Usd }

enums! {
    Target { ; Group, Deployment }
    Value { ; Plain, Env, Template }
    Piece { ; Plain, Env }
    Secret { ; Env, Template, Literal }
    Credential { ; Plain, Secret }
    Auth { Bearer, Protocol; Header }
    Window { ; Seconds, Months }
    Mock { ; Text, Error }
    Setting { Null; Bool, Int, Float, Text, Secret, List, Map }
    Protocol {
        OpenAi, Azure, Anthropic, Gemini, VertexAi, Bedrock, Cohere, Ollama, Voyage, Jina, Custom, Other;
    }
    Priced { Unknown, Catalog, Config, Metadata, Mock; }
    Mode {
        Chat, Completion, Embedding, ImageGeneration, ImageEdit, AudioSpeech, AudioTranscription,
        Moderation, Rerank, Responses, Realtime, Search, Ocr, VideoGeneration, VectorStore, Batch;
    }
    CacheKind {
        Local, Disk, Redis, RedisSemantic, ValkeySemantic, QdrantSemantic, S3, Gcs, AzureBlob;
    }
    Jitter { None, Half, Full; }
    Midstream { Error, Continue, Restart; }
    GuardMode { PreCall, DuringCall, PostCall, LoggingOnly; }
}

integers! { u16 u32 u64 i64 i128 }

impl Code for KeyRef {
    fn code(&self) -> TokenStream {
        match self {
            Self::Env(name) => {
                let name = name.code();
                quote!(KeyRef::Env(#name))
            }
            Self::Digest(digest) => {
                let bytes = digest.map(|byte| literal(&format!("0x{byte:02x}")));
                quote!(KeyRef::Digest([#(#bytes),*]))
            }
        }
    }
}

impl Code for Strategy {
    fn code(&self) -> TokenStream {
        match self {
            Self::SimpleShuffle => quote!(Strategy::SimpleShuffle),
            Self::LeastBusy => quote!(Strategy::LeastBusy),
            Self::Latency => quote!(Strategy::Latency),
            Self::Cost => quote!(Strategy::Cost),
            Self::Usage => quote!(Strategy::Usage),
            Self::WeightedRoundRobin => quote!(Strategy::WeightedRoundRobin),
            Self::Capability => quote!(Strategy::Capability),
            Self::PeakEwma => quote!(Strategy::PeakEwma),
            Self::Score {
                latency,
                cost,
                errors,
            } => {
                let [latency, cost, errors] = [latency, cost, errors].map(Code::code);
                quote!(Strategy::Score { latency: #latency, cost: #cost, errors: #errors })
            }
        }
    }
}

impl Code for Capabilities {
    fn code(&self) -> TokenStream {
        let known = Self::WORDS
            .iter()
            .fold(Self::NONE, |set, (_, one)| set.with(*one));
        let rest = self.without(known);
        let start = if rest == Self::NONE {
            None
        } else {
            Some(rest.0.code())
        };
        let mut code = start.map(|bits| quote!(Capabilities(#bits)));
        for word in self.words() {
            let constant = format_ident!("{}", word.to_uppercase());
            code = Some(match code {
                None => quote!(Capabilities::#constant),
                Some(before) => quote!(#before.with(Capabilities::#constant)),
            });
        }
        code.unwrap_or_else(|| quote!(Capabilities::NONE))
    }
}

impl Code for Cow<'static, Provider> {
    /// A row of the catalog by its name, any other in full.
    fn code(&self) -> TokenStream {
        let Provider {
            name,
            protocol,
            base_url,
            path,
            auth,
            key_env,
            base_env,
            renames,
            keyless,
            stream_options,
            responses,
        } = self.as_ref();
        let written = name.code();
        if catalog::provider(name) == Some(self) {
            let name = Literal::string(name);
            return quote!(Borrowed(catalog::known(#name)));
        }
        let [base_url, path, auth, protocol] =
            [base_url.code(), path.code(), auth.code(), protocol.code()];
        let [key_env, base_env, renames] = [key_env.code(), base_env.code(), renames.code()];
        let [keyless, stream_options, responses] =
            [keyless.code(), stream_options.code(), responses.code()];
        quote! {
            Borrowed(&Provider {
                name: #written,
                protocol: #protocol,
                base_url: #base_url,
                path: #path,
                auth: #auth,
                key_env: #key_env,
                base_env: #base_env,
                renames: #renames,
                keyless: #keyless,
                stream_options: #stream_options,
                responses: #responses,
            })
        }
    }
}

impl Code for Cow<'static, str> {
    fn code(&self) -> TokenStream {
        let text = Literal::string(self);
        quote!(Borrowed(#text))
    }
}

impl<T: Code + Clone> Code for Cow<'static, [T]> {
    fn code(&self) -> TokenStream {
        let items = self.iter().map(Code::code);
        quote!(Borrowed(&[#(#items),*]))
    }
}

impl<T: Code> Code for Option<T> {
    fn code(&self) -> TokenStream {
        match self {
            None => quote!(None),
            Some(inner) => {
                let inner = inner.code();
                quote!(Some(#inner))
            }
        }
    }
}

impl<A: Code, B: Code> Code for (A, B) {
    fn code(&self) -> TokenStream {
        let (a, b) = (self.0.code(), self.1.code());
        quote!((#a, #b))
    }
}

impl Code for bool {
    fn code(&self) -> TokenStream {
        if *self { quote!(true) } else { quote!(false) }
    }
}

impl Code for f64 {
    fn code(&self) -> TokenStream {
        if self.is_nan() {
            quote!(f64::NAN)
        } else if self.is_infinite() {
            if *self > 0.0 {
                quote!(f64::INFINITY)
            } else {
                quote!(f64::NEG_INFINITY)
            }
        } else {
            let amount = literal(&format!("{:?}", self.abs()));
            if self.is_sign_negative() {
                quote!(-#amount)
            } else {
                quote!(#amount)
            }
        }
    }
}

impl Code for Duration {
    /// In the largest unit that holds it.
    fn code(&self) -> TokenStream {
        let seconds = self.as_secs();
        let (function, amount) = match (seconds, self.subsec_nanos()) {
            (0, 0) => return quote!(Duration::ZERO),
            (_, 0) if seconds.is_multiple_of(3600) => ("from_hours", seconds / 3600),
            (_, 0) if seconds.is_multiple_of(60) => ("from_mins", seconds / 60),
            (_, 0) => ("from_secs", seconds),
            (_, nanos) => {
                let Some(millis) = millis(*self) else {
                    let (seconds, nanos) = (seconds.code(), nanos.code());
                    return quote!(Duration::new(#seconds, #nanos));
                };
                ("from_millis", millis)
            }
        };
        let (function, amount) = (format_ident!("{function}"), amount.code());
        quote!(Duration::#function(#amount))
    }
}

/// Whole milliseconds, if it is that.
fn millis(duration: Duration) -> Option<u64> {
    let whole = duration.subsec_nanos().is_multiple_of(1_000_000);
    u64::try_from(duration.as_millis()).ok().filter(|_| whole)
}

/// A whole number with a stroke every three digits.
fn number(negative: bool, text: &str) -> TokenStream {
    let digits = text.trim_start_matches('-');
    let mut grouped = String::with_capacity(digits.len() * 2);
    for (at, digit) in digits.char_indices() {
        if at > 0 && digits.len() > 4 && (digits.len() - at).is_multiple_of(3) {
            grouped.push('_');
        }
        grouped.push(digit);
    }
    let grouped = literal(&grouped);
    if negative {
        quote!(-#grouped)
    } else {
        quote!(#grouped)
    }
}

fn literal(text: &str) -> Literal {
    text.parse().expect("the callers write digits only")
}
