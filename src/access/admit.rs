//! Who is let in, once it is known who asks.

use http::Request;

use super::address;
use crate::account::{Key, KeyType, Time};
use crate::call::{Principal, Route};
use crate::error::Denial;
use crate::live::Live;

/// Paths of the groups that `allowed_routes` may name; a group holds what begins so.
const GROUPS: [(&str, &[&str]); 11] = [
    (
        "llm_api_routes",
        &[
            "/chat/completions",
            "/completions",
            "/embeddings",
            "/engines",
            "/openai",
            "/models",
            "/messages",
            "/responses",
            "/rerank",
            "/images",
            "/audio",
            "/moderations",
            "/batches",
            "/files",
            "/models/",
            "/model/info",
            "/model_group/info",
        ],
    ),
    (
        "openai_routes",
        &[
            "/chat/completions",
            "/completions",
            "/embeddings",
            "/engines",
            "/openai",
            "/models",
            "/responses",
            "/images",
            "/audio",
            "/moderations",
            "/batches",
            "/files",
        ],
    ),
    ("anthropic_routes", &["/messages"]),
    ("google_routes", &[]),
    (
        "management_routes",
        &[
            "/key",
            "/user",
            "/team",
            "/organization",
            "/customer",
            "/end_user",
            "/budget",
            "/model",
            "/spend",
            "/global",
            "/tag",
            "/credentials",
        ],
    ),
    (
        "info_routes",
        &[
            "/key/info",
            "/key/list",
            "/key/health",
            "/user/info",
            "/user/list",
            "/team/info",
            "/team/list",
            "/team/available",
            "/organization/info",
            "/organization/list",
            "/customer/info",
            "/customer/list",
            "/budget/info",
            "/budget/list",
            "/model/info",
            "/model_group/info",
            "/models",
            "/spend",
            "/global",
            "/utils",
        ],
    ),
    (
        "spend_tracking_routes",
        &["/spend", "/global/spend", "/global/activity"],
    ),
    (
        "global_spend_tracking_routes",
        &["/global/spend", "/global/activity"],
    ),
    (
        "litellm_native_routes",
        &["/rerank", "/v2/rerank", "/messages/count_tokens"],
    ),
    (
        "google_routes",
        &["/models", "/v1beta", "/gemini", "/vertex_ai"],
    ),
    (
        "public_routes",
        &[
            "/routes",
            "/health/liveliness",
            "/health/liveness",
            "/health/readiness",
            "/metrics",
        ],
    ),
];

/// Refuses a request whose caller may not make it: a key that is blocked, has expired or is for other
/// paths.
pub fn admit(principal: &Principal, path: &str) -> Result<(), Denial> {
    let Some(bearer) = principal.bearer.as_deref() else {
        return Ok(());
    };
    let key = &bearer.key;
    if key.blocked {
        return Err(Denial::Blocked);
    }
    if let Some(team) = bearer.team.as_ref().filter(|team| team.blocked) {
        return Err(Denial::TeamBlocked(team.team_id.clone()));
    }
    let end = match (key.expires, bearer.until) {
        (Some(end), Some(other)) => Some(end.min(other)),
        (end, other) => end.or(other),
    };
    if let Some(end) = end.filter(|end| *end <= Time::now()) {
        return Err(Denial::Expired {
            key: key.key_name.clone(),
            at: end.to_string(),
        });
    }
    paths(&bearer.key, path)
}

/// Refuses an address that is not on the file's list.
pub fn admit_address<B>(request: &Request<B>, live: &Live) -> Result<(), Denial> {
    let rules = live.admission();
    if rules.open() {
        return Ok(());
    }
    match address::of(request.extensions(), request.headers(), live) {
        Some(address) if rules.lists(address) => Ok(()),
        _ => Err(Denial::Address),
    }
}

fn paths(key: &Key, path: &str) -> Result<(), Denial> {
    let allowed = &key.allowed_routes;
    let of_kind: &[&str] = match key.key_type {
        KeyType::Default => &[],
        KeyType::LlmApi => &["llm_api_routes"],
        KeyType::Management => &["management_routes"],
        KeyType::ReadOnly => &["info_routes"],
    };
    // A list of the key's own says more than its kind.
    let named = if allowed.is_empty() {
        of_kind.is_empty() || of_kind.iter().any(|entry| covers(entry, path))
    } else {
        allowed.iter().any(|entry| covers(entry, path))
    };
    if named {
        return Ok(());
    }
    let shown = if allowed.is_empty() {
        of_kind.iter().map(|name| (*name).to_owned()).collect()
    } else {
        allowed.clone()
    };
    Err(Denial::Path {
        path: path.to_owned(),
        allowed: shown,
    })
}

/// Whether an entry of a list of routes covers a path: a group's name, a path with or without places
/// in braces, or one that ends in `*`. With `/v1` and without are the same path.
pub fn covers(entry: &str, path: &str) -> bool {
    let path = versionless(path);
    let is_group = GROUPS.iter().any(|(name, _)| *name == entry);
    // They stand below the lists of models, and are no such thing.
    if is_group && Route::of_gemini(path).is_some() {
        return matches!(entry, "llm_api_routes" | "google_routes");
    }
    if let Some((_, paths)) = GROUPS.iter().find(|(name, _)| *name == entry) {
        return paths.iter().any(|group| below(path, group));
    }
    let entry = versionless(entry);
    match entry.strip_suffix('*') {
        Some(start) => path.starts_with(start),
        None => path == entry || fits(entry, path),
    }
}

/// Whether a path is as an entry with places in it says, such as `/responses/{response_id}`.
fn fits(entry: &str, path: &str) -> bool {
    let is_place = |step: &str| step.starts_with('{') && step.ends_with('}');
    let same =
        |(wanted, step): (&str, &str)| wanted == step || is_place(wanted) && !step.is_empty();
    let mut steps = entry.split('/').zip(path.split('/'));
    entry.contains('{') && entry.split('/').count() == path.split('/').count() && steps.all(same)
}

fn versionless(path: &str) -> &str {
    let mut below = ["/v1", "/v1beta"]
        .into_iter()
        .filter_map(|version| path.strip_prefix(version));
    below.find(|rest| rest.starts_with('/')).unwrap_or(path)
}

fn below(path: &str, group: &str) -> bool {
    path.strip_prefix(group)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/') || group.ends_with('/'))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::account::{Bearer, Team};
    use crate::live::Rules;

    fn refused(bearer: Bearer, path: &str) -> Option<Denial> {
        let principal = Principal::of(Arc::new(bearer), &Rules::default());
        admit(&principal, path).err()
    }

    fn with(change: impl FnOnce(&mut Key)) -> Bearer {
        let mut bearer = Bearer::default();
        change(&mut bearer.key);
        bearer
    }

    #[test]
    fn keys_that_are_blocked_or_have_expired_open_nothing() {
        let path = "/v1/chat/completions";
        assert_eq!(refused(Bearer::default(), path), None);
        assert_eq!(
            refused(with(|key| key.blocked = true), path),
            Some(Denial::Blocked)
        );
        let expired = with(|key| key.expires = Some(Time(1)));
        assert!(matches!(
            refused(expired, path),
            Some(Denial::Expired { .. })
        ));
        let later = Time::now().plus_seconds(60);
        let former = Bearer {
            until: Some(Time(1)),
            ..with(|key| key.expires = Some(later))
        };
        assert!(matches!(
            refused(former, path),
            Some(Denial::Expired { .. })
        ));
        assert_eq!(refused(with(|key| key.expires = Some(later)), path), None);
        let team = Team {
            blocked: true,
            ..Team::default()
        };
        let bearer = Bearer {
            team: Some(team),
            ..Bearer::default()
        };
        assert!(matches!(
            refused(bearer, path),
            Some(Denial::TeamBlocked(_))
        ));
    }

    #[test]
    fn a_key_is_for_the_paths_of_its_list_or_its_kind() {
        const GENERATE: &str = "/v1beta/models/m:generateContent";
        let listed =
            |entry: &str| Box::new(with(|key| key.allowed_routes = vec![entry.to_owned()]));
        let of_kind = |kind| Box::new(with(|key| key.key_type = kind));
        for (bearer, path, open) in [
            (listed("/chat/completions"), "/v1/chat/completions", true),
            (listed("/v1/chat/completions"), "/chat/completions", true),
            (listed("/chat/completions"), "/v1/embeddings", false),
            (listed("/key/*"), "/key/info", true),
            (
                listed("/v1/responses/{response_id}"),
                "/responses/resp_1",
                true,
            ),
            (
                listed("/v1/responses/{response_id}"),
                "/v1/responses/",
                false,
            ),
            (
                listed("/v1/responses/{response_id}"),
                "/v1/responses",
                false,
            ),
            (
                listed("/v1/responses/{response_id}"),
                "/v1/responses/resp_1/cancel",
                false,
            ),
            (
                listed("/v1/responses/{response_id}/cancel"),
                "/v1/responses/a/cancel",
                true,
            ),
            (listed("llm_api_routes"), "/v1/embeddings", true),
            (listed("llm_api_routes"), "/key/info", false),
            (listed("llm_api_routes"), "/models/a/b", true),
            (
                listed("global_spend_tracking_routes"),
                "/global/spend/report",
                true,
            ),
            (listed("global_spend_tracking_routes"), "/spend/logs", false),
            (listed("llm_api_routes"), "/modelsx", false),
            (listed("llm_api_routes"), GENERATE, true),
            (listed("google_routes"), GENERATE, true),
            (listed("google_routes"), "/v1/chat/completions", false),
            (listed("openai_routes"), GENERATE, false),
            (listed("info_routes"), "/v1/models/m:generateContent", false),
            (listed("/models/m:generateContent"), GENERATE, true),
            (of_kind(KeyType::ReadOnly), GENERATE, false),
            (of_kind(KeyType::LlmApi), "/v1/chat/completions", true),
            (of_kind(KeyType::LlmApi), "/key/generate", false),
            (of_kind(KeyType::Management), "/key/generate", true),
            (of_kind(KeyType::Management), "/v1/chat/completions", false),
            (of_kind(KeyType::ReadOnly), "/key/info", true),
            (of_kind(KeyType::ReadOnly), "/key/generate", false),
        ] {
            assert_eq!(
                refused((*bearer).clone(), path).is_none(),
                open,
                "{:?} {path}",
                bearer.key.allowed_routes
            );
        }
    }
}
