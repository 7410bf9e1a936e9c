//! LiteLLM's log of spend, as ours.

use pointsman_routes::usd::Usd;
use serde_json::{Map, Value};

use super::fields::Fields;
use super::notes::Notes;
use super::source::Row;
use crate::account::{SpendRow, Time};

/// What a kind of row is called in reports.
pub(super) const NAME: &str = "spend log";

/// The rows of the log from a time on; all of it without one.
///
/// LiteLLM writes a row when its request has ended, so rows come in that began before others that
/// are there: whoever asks for what is new goes back by a margin.
pub(super) fn rows(from: Option<Time>) -> String {
    let from = from.map(|from| format!(" WHERE \"startTime\" >= timestamp '{}'", plain(from)));
    format!(
        "SELECT * FROM \"LiteLLM_SpendLogs\"{}",
        from.unwrap_or_default()
    )
}

/// A time in UTC, as PostgreSQL reads one that has no zone.
fn plain(time: Time) -> String {
    time.to_string().replace('T', " ").replace('Z', "")
}

/// The row of the log that comes of a row of LiteLLM's.
pub(super) fn row(row: Row, losses: &mut Notes) -> Option<SpendRow> {
    let id = row.get("request_id")?.as_str()?.to_owned();
    let mut fields = Fields::new(NAME, &id, row, losses);
    let metadata = fields.object("metadata");
    let start_time = fields.time("startTime")?;
    let end_time = fields.time("endTime").unwrap_or(start_time);
    let first = fields.time("completionStartTime");
    let tokens = |names: &[&[&str]]| number_in(&metadata, names);
    let since_start = |time: Time| {
        let micros = time.0.saturating_sub(start_time.0).max(0);
        // Milliseconds of a request are far below where a float counts in steps.
        #[expect(clippy::cast_precision_loss, reason = "of a request's length")]
        let millis = micros as f64 / 1_000.0;
        millis
    };
    let organization = metadata.get("user_api_key_org_id").and_then(Value::as_str);
    let status = fields.text("status").or_else(|| {
        let status = metadata.get("status")?.as_str()?;
        Some(status.to_owned())
    });
    Some(SpendRow {
        request_id: id,
        call_type: fields.text("call_type").unwrap_or_default(),
        api_key: fields.text("api_key").unwrap_or_default(),
        spend: fields.spend(),
        total_tokens: fields.count("total_tokens").unwrap_or_default(),
        prompt_tokens: fields.count("prompt_tokens").unwrap_or_default(),
        completion_tokens: fields.count("completion_tokens").unwrap_or_default(),
        cache_read_input_tokens: tokens(&[
            &["additional_usage_values", "cache_read_input_tokens"],
            &["usage_object", "cache_read_input_tokens"],
            &["usage_object", "prompt_tokens_details", "cached_tokens"],
        ]),
        cache_creation_input_tokens: tokens(&[
            &["additional_usage_values", "cache_creation_input_tokens"],
            &["usage_object", "cache_creation_input_tokens"],
        ]),
        reasoning_tokens: tokens(&[&[
            "usage_object",
            "completion_tokens_details",
            "reasoning_tokens",
        ]]),
        completion_start_time: first,
        model: fields.text("model").unwrap_or_default(),
        model_id: fields.text("model_id"),
        model_group: fields.text("model_group"),
        custom_llm_provider: fields.text("custom_llm_provider"),
        api_base: fields.text("api_base"),
        user: fields.text("user"),
        end_user: fields.text("end_user"),
        team_id: fields.text("team_id"),
        organization_id: organization.map(str::to_owned),
        cache_hit: fields.text("cache_hit").unwrap_or_default(),
        cache_key: fields.text("cache_key"),
        request_tags: fields.words("request_tags"),
        requester_ip_address: fields.text("requester_ip_address"),
        session_id: fields.text("session_id"),
        messages: said(fields.take("messages")),
        response: said(fields.take("response")),
        status: status.unwrap_or_else(|| "success".to_owned()),
        mcp_namespaced_tool_name: fields.text("mcp_namespaced_tool_name"),
        saved_cache_cost: Usd::ZERO,
        latency_ms: Some(since_start(end_time)),
        ttft_ms: first.map(since_start),
        start_time,
        end_time,
        metadata,
        ..SpendRow::default()
    })
}

/// LiteLLM writes an empty object where it keeps no prompt.
fn said(value: Option<Value>) -> Option<Value> {
    value.filter(|value| {
        let empty = value.as_object().is_some_and(Map::is_empty)
            || value.as_array().is_some_and(Vec::is_empty);
        !empty
    })
}

/// The first number that stands at one of these paths.
fn number_in(metadata: &Map<String, Value>, paths: &[&[&str]]) -> u64 {
    let at = |path: &&[&str]| {
        let (first, rest) = path.split_first()?;
        let start = metadata.get(*first)?;
        let found = rest.iter().try_fold(start, |value, name| value.get(*name));
        found?.as_u64()
    };
    paths.iter().find_map(at).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_row_of_litellms_is_one_of_ours() {
        let mut losses = Notes::default();
        let given = json!({
            "request_id": "chatcmpl-1", "call_type": "acompletion", "api_key": "hash",
            "spend": 3.75e-5, "total_tokens": 30, "prompt_tokens": 10, "completion_tokens": 20,
            "startTime": "2026-11-20T10:00:00", "endTime": "2026-11-20T10:00:01.5",
            "completionStartTime": "2026-11-20T10:00:00.25", "model": "gpt-4o-mini",
            "model_group": "chat", "user": "", "team_id": null, "end_user": "customer",
            "metadata": {"user_api_key_org_id": "org", "status": "failure",
                "usage_object": {"prompt_tokens_details": {"cached_tokens": 4}}},
            "request_tags": "[\"a\"]", "messages": {}, "cache_hit": "None",
            "of_a_later_version": 1,
        });
        let row = row(serde_json::from_value(given).unwrap(), &mut losses).unwrap();
        assert_eq!(row.spend, Usd(37_500_000));
        assert_eq!(row.status, "failure");
        assert_eq!(row.cache_read_input_tokens, 4);
        assert_eq!((row.latency_ms, row.ttft_ms), (Some(1_500.0), Some(250.0)));
        assert_eq!((row.user, row.messages), (None, None));
        assert_eq!(row.organization_id.as_deref(), Some("org"));
        assert_eq!(row.request_tags, ["a"]);
        assert!(losses.is_empty());
    }

    #[test]
    fn the_log_is_asked_for_from_a_time_on() {
        let from: Time = "2026-11-20T10:00:00.5Z".parse().unwrap();
        assert!(rows(Some(from)).ends_with("timestamp '2026-11-20 10:00:00.500000'"));
    }
}
