//! What stands otherwise at Azure's addresses: versions in the query, newer paths, two ways to show a key.
//!
//! Sources: Azure OpenAI REST API reference and "API version lifecycle" (`v1`, `preview`); Azure AI
//! Foundry, "Model inference REST API" (`/models`, `api-key`) and serverless deployments (bearer keys).

use http::Uri;
use pointsman_routes::table::{Deployment, Protocol, Provider};

/// The first version that has responses on its older paths.
const RESPONSES_SINCE: &str = "2025-03-01";
/// The version of Foundry's models, where the file gives none.
const MODELS_VERSION: &str = "2024-05-01-preview";
/// Words for the newer paths, which have no dates.
const UNDATED: [&str; 3] = ["latest", "preview", "v1"];

/// Whether a provider is Azure's Foundry.
fn is_foundry(provider: &Provider) -> bool {
    provider.name == "azure_ai"
}

/// Leads a base URL to where its version has the models: the newer paths have no deployment in them.
pub(super) fn place(provider: &Provider, version: &str, mut base: String) -> String {
    let azure = provider.protocol == Protocol::Azure;
    if azure && UNDATED.contains(&version) && !base.contains("/openai/v1") {
        let root = base.split("/openai").next().unwrap_or(&base);
        base = format!("{root}/openai/v1");
    }
    let whole = base.contains("/models") || base.contains("/openai");
    if is_foundry(provider) && !whole && host(&base).ends_with(".services.ai.azure.com") {
        base.push_str("/models");
    }
    base
}

/// What stands behind each path.
pub(super) fn query(
    provider: &Provider,
    deployment: &Deployment,
    version: &str,
    base: &str,
) -> String {
    let version = match provider.protocol {
        Protocol::Azure if !base.contains("/openai/v1") => version,
        Protocol::Azure if version == "preview" => version,
        Protocol::OpenAi if is_foundry(provider) => match &deployment.api_version {
            Some(_) => version,
            None if base.ends_with("/models") => MODELS_VERSION,
            None => return String::new(),
        },
        _ => return String::new(),
    };
    format!("?api-version={version}")
}

/// Where a provider has its responses, if it has. On Azure no path of theirs names the deployment, and
/// versions that are too old for them are passed over for the newer paths, which need none.
pub(super) fn responses(provider: &Provider, base: &str, version: &str) -> Option<Uri> {
    if !provider.responses {
        return None;
    }
    let azure = provider.protocol == Protocol::Azure;
    let path = if !azure {
        format!("{base}/responses")
    } else if base.contains("/openai/v1") {
        let preview = version == "preview";
        let query = if preview { "?api-version=preview" } else { "" };
        format!("{base}/responses{query}")
    } else {
        let root = base.split("/openai").next().unwrap_or(base);
        if version >= RESPONSES_SINCE && version.starts_with("20") {
            format!("{root}/openai/responses?api-version={version}")
        } else {
            format!("{root}/openai/v1/responses")
        }
    };
    path.parse().ok()
}

/// Whether a key is shown as a bearer's: models that were deployed alone take none in the header that
/// Foundry's resources have for it.
pub(super) fn takes_bearer(provider: &Provider, base: Option<&str>) -> bool {
    is_foundry(provider) && host(base.unwrap_or_default()).ends_with(".models.ai.azure.com")
}

fn host(base: &str) -> &str {
    let rest = base.split_once("://").map_or(base, |(_, rest)| rest);
    rest.split(['/', ':', '?']).next().unwrap_or(rest)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::call::Route;
    use crate::call::example::attempt;
    use crate::live::endpoint::Authority;

    fn asked(params: &str, route: Route) -> (String, Option<String>) {
        let config = format!(
            "model_list: [{{model_name: m, litellm_params: {{api_key: os.environ/KEY, {params}}}}}]"
        );
        let attempt = attempt(&config, route, r#"{"model":"m","input":"a","messages":[]}"#);
        let endpoint = attempt.call.live.endpoint(attempt.deployment);
        let name = match &endpoint.authority {
            Authority::Header(name, _) => Some(name.to_string()),
            _ => None,
        };
        (endpoint.uri(route, "dep").unwrap().to_string(), name)
    }

    #[test]
    fn responses_stand_where_each_server_has_them() {
        let at = |name: &str, base: &str, version: &str| {
            let provider = pointsman_routes::catalog::provider(name).unwrap();
            responses(provider, base, version).map(|uri| uri.to_string())
        };
        assert_eq!(at("mistral", "https://a.example/v1", ""), None);
        let openai = at("openai", "https://a.example/v1", "").unwrap();
        assert_eq!(openai, "https://a.example/v1/responses");
        for base in [
            "https://a.example",
            "https://a.example/openai/deployments/x",
        ] {
            let old = at("azure", base, "2025-02-01-preview").unwrap();
            assert_eq!(old, "https://a.example/openai/v1/responses");
            let new = at("azure", base, "2025-04-01-preview").unwrap();
            assert_eq!(
                new,
                "https://a.example/openai/responses?api-version=2025-04-01-preview"
            );
        }
        let newest = at("azure", "https://a.example/openai/v1", "preview").unwrap();
        let expected = "https://a.example/openai/v1/responses?api-version=preview";
        assert_eq!(newest, expected);
    }

    #[test]
    fn versions_without_dates_stand_on_the_newer_paths() {
        let of = |version: &str, base: &str, route| {
            let params = format!("model: azure/dep, api_base: \"{base}\", api_version: {version}");
            asked(&params, route).0
        };
        let root = "https://a.openai.azure.com";
        let chat = Route::Chat;
        let newer = format!("{root}/openai/v1/chat/completions");
        assert_eq!(of("v1", root, chat), newer);
        assert_eq!(
            of("preview", root, chat),
            format!("{newer}?api-version=preview")
        );
        let named = format!("{root}/openai/deployments/dep");
        assert_eq!(of("latest", &named, chat), newer);
        let responses = of("preview", root, Route::Responses);
        assert_eq!(
            responses,
            format!("{root}/openai/v1/responses?api-version=preview")
        );
        let dated = of("2025-04-01-preview", root, chat);
        assert!(
            dated.ends_with("/deployments/dep/chat/completions?api-version=2025-04-01-preview")
        );
    }

    #[test]
    fn foundrys_models_have_a_version_and_a_header() {
        let of = |base: &str, more: &str| {
            let params = format!("model: azure_ai/Phi-4, api_base: \"{base}\"{more}");
            asked(&params, Route::Chat)
        };
        let header = Some("api-key".to_owned());
        let root = "https://a.services.ai.azure.com";
        let newer = format!("{root}/openai/v1");
        let version = ", api_version: 2025-05-15-preview";
        for (base, more, expected) in [
            (
                root,
                "",
                "/models/chat/completions?api-version=2024-05-01-preview",
            ),
            (
                root,
                version,
                "/models/chat/completions?api-version=2025-05-15-preview",
            ),
            (&*newer, "", "/openai/v1/chat/completions"),
        ] {
            assert_eq!(
                of(base, more),
                (format!("{root}{expected}"), header.clone())
            );
        }
        let alone = "https://x.eastus2.models.ai.azure.com";
        let bearer = Some("authorization".to_owned());
        assert_eq!(of(alone, ""), (format!("{alone}/chat/completions"), bearer));
    }
}
