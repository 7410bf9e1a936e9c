//! `general_settings`, and `database` of the sister dialect.

use std::borrow::Cow;
use std::time::Duration;

use super::keys::key_ref;
use super::pass_through;
use super::read::{Reader, flag, text, texts};
use crate::mask;
use crate::table::{General, KeyRef, Secret};
use crate::yaml::Node;

/// Master keys that stand in every tutorial.
const WEAK: &[&str] = &[
    "sk-1234",
    "sk-12345",
    "sk-123456",
    "sk-0000",
    "sk-1111",
    "sk-test",
    "sk-admin",
    "sk-master",
    "sk-master-key",
    "sk-litellm",
    "sk-litellm-master-key",
    "sk-your-master-key",
    "sk-your-key",
    "sk-your-secret-key",
    "sk-change-me",
    "sk-changeme",
    "sk-secret",
    "sk-password",
    "sk-key",
    "changeme",
    "admin",
    "password",
    "secret",
    "1234",
];

/// Reads `general_settings`.
pub(super) fn read(root: &Node, reader: &mut Reader<'_>) -> General {
    let empty = Node::empty(root.mark);
    let map = root.get("general_settings").unwrap_or(&empty);
    let default = General::DEFAULT;
    let (master_key, weak_master_key) = master_key(map, reader);
    General {
        master_key,
        weak_master_key,
        permit_weak_master_key: flag(map, "dangerously_permit_weak_or_unset_master_key")
            .unwrap_or(default.permit_weak_master_key),
        database_url: database(root, map, reader),
        store_model_in_db: flag(map, "store_model_in_db").unwrap_or(default.store_model_in_db),
        alerting: texts(reader.words(map, "alerting")),
        alerting_threshold: threshold(map, reader),
        background_health_checks: flag(map, "background_health_checks")
            .unwrap_or(default.background_health_checks),
        health_check_interval: reader
            .seconds(map, "health_check_interval")
            .unwrap_or(default.health_check_interval),
        health_check_concurrency: reader.small(map, "health_check_concurrency"),
        max_parallel_requests: reader.small(map, "max_parallel_requests"),
        global_max_parallel_requests: reader.small(map, "global_max_parallel_requests"),
        max_request_bytes: megabytes(map, "max_request_size_mb", reader),
        max_response_bytes: megabytes(map, "max_response_size_mb", reader),
        key_header: reader.plain(map, "litellm_key_header_name").map(text),
        always_include_stream_usage: flag(map, "always_include_stream_usage").unwrap_or(false),
        open_response_ids: flag(map, "disable_responses_id_security").unwrap_or(false),
        unmanaged_response_ids: flag(map, "allow_unmanaged_response_ids").unwrap_or(false),
        allow_client_credentials: flag(map, "allow_client_side_credentials").unwrap_or(false),
        expose_fallback_errors: flag(map, "expose_fallback_errors_to_caller").unwrap_or(false),
        allow_mock_testing: flag(map, "dangerously_allow_mock_testing_request_params")
            .unwrap_or(false),
        forward_client_headers: flag(map, "forward_client_headers_to_llm_api").unwrap_or(false),
        budget_error_status: status(map, reader).unwrap_or(default.budget_error_status),
        completion_model: reader.plain(map, "completion_model").map(text),
        pass_through: Cow::Owned(pass_through::read(map, reader)),
    }
}

fn master_key(map: &Node, reader: &mut Reader<'_>) -> (Option<KeyRef>, bool) {
    let Some(node) = map.get("master_key").filter(|node| node.is_scalar()) else {
        return (None, false);
    };
    let weak = WEAK.contains(&&*node.text.to_ascii_lowercase());
    if weak {
        reader.findings.warning(
            node.mark,
            "this master key stands in many tutorials",
            Some("the server refuses it on a public address: take a random one, such as from `openssl rand -hex 24` after `sk-`".into()),
        );
    }
    let key = key_ref(node, "master_key", reader);
    if matches!(key, Some(KeyRef::Digest(_))) && !node.text.starts_with("sk-") && !weak {
        let what = "a master key begins with `sk-` in LiteLLM";
        reader.findings.warning(
            node.mark,
            what,
            Some("clients that check it refuse this one".into()),
        );
    }
    (key, weak)
}

/// `database_url`, or `database.connection_string`.
fn database(root: &Node, map: &Node, reader: &mut Reader<'_>) -> Option<Secret> {
    let sister = root.get("database");
    if let Some(sister) = sister
        && let Some(node) = sister.get("type")
        && let Some(kind) = reader.plain_of(node, "type")
        && !["postgres", "postgresql", "sqlite"].contains(&&*kind.to_ascii_lowercase())
    {
        reader.findings.error(
            node.mark,
            format!("no database {} is known", mask::quoted(&kind)),
            Some("write postgres or sqlite".into()),
        );
    }
    let main = map.entry("database_url");
    let other = sister.and_then(|sister| {
        sister
            .entry("connection_string")
            .or_else(|| sister.entry("url"))
    });
    if let (Some(main), Some(other)) = (main, other)
        && main.value.text != other.value.text
    {
        let place = reader.findings.place(main.mark);
        reader.findings.error(
            other.mark,
            "the file names two databases",
            Some(format!("`database_url` stands in {place}: keep one")),
        );
    }
    let entry = main.or(other)?;
    reader.secret_of(&entry.value, &entry.name)
}

/// A5-04: seconds, which many take for dollars.
fn threshold(map: &Node, reader: &mut Reader<'_>) -> Option<Duration> {
    let threshold = reader.seconds(map, "alerting_threshold")?;
    if threshold > Duration::from_mins(10)
        && let Some(node) = map.get("alerting_threshold")
    {
        reader.findings.warning(
            node.mark,
            format!(
                "an alert comes only after {} minutes: the unit is seconds",
                threshold.as_secs() / 60
            ),
            Some(
                "write the seconds that are too slow; for money use `soft_budget` or a spend alert"
                    .into(),
            ),
        );
    }
    Some(threshold)
}

fn megabytes(map: &Node, name: &str, reader: &mut Reader<'_>) -> Option<u64> {
    reader
        .count(map, name)
        .map(|megabytes| megabytes.saturating_mul(1 << 20))
}

fn status(map: &Node, reader: &mut Reader<'_>) -> Option<u16> {
    let status = reader.count(map, "budget_error_status")?;
    let fits = u16::try_from(status)
        .ok()
        .filter(|status| (400..500).contains(status));
    if fits.is_none()
        && let Some(node) = map.get("budget_error_status")
    {
        let help = Some("write 429, 422 or 400".into());
        reader.findings.error(
            node.mark,
            "`budget_error_status` is the status of a client's error",
            help,
        );
    }
    fits
}
