//! What each path leads to.

use crate::admin::api;
use crate::call::{Dialect, Route};
use crate::ingress::kept::Kept;

/// What a path leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Door<'a> {
    Front,
    Alive,
    Ready,
    Details,
    Health,
    Latest,
    History,
    Metrics,
    Models,
    Model(&'a str),
    /// Gemini's list of models, or one of them.
    Gemini(Option<&'a str>),
    Explain,
    Decisions(&'a str),
    Admin,
    Call(Route, Option<&'a str>),
    /// A response that a provider keeps.
    Kept(Kept<'a>),
    /// A path that none of the gateway's own is; the file may pass it on.
    Unknown,
}

impl<'a> Door<'a> {
    /// Every path is there with and without `/v1`.
    pub(super) fn of(path: &'a str) -> Self {
        let below = path
            .strip_prefix("/v1")
            .filter(|rest| rest.starts_with('/'))
            .unwrap_or(path);
        // LiteLLM has them below `/openai`, too, where everything else is OpenAI's whole API.
        // Azure's clients ask for `/openai/responses`.
        let own = ["/openai/v1", "/openai"]
            .into_iter()
            .find_map(|base| {
                path.strip_prefix(base)
                    .filter(|rest| rest.starts_with("/responses"))
            })
            .unwrap_or(below);
        if own == "/responses" {
            return Self::Call(Route::Responses, None);
        }
        let route = [Route::InputTokens, Route::Compact].into_iter();
        if let Some(route) = route.into_iter().find(|route| own == route.path()) {
            return Self::Call(route, None);
        }
        if let Some(kept) = own.strip_prefix("/responses/").and_then(Kept::of) {
            return Self::Kept(kept);
        }
        match below {
            "/chat/completions" => Self::Call(Route::Chat, None),
            "/embeddings" => Self::Call(Route::Embeddings, None),
            "/completions" => Self::Call(Route::Completions, None),
            "/rerank" | "/v2/rerank" => Self::Call(Route::Rerank, None),
            "/moderations" => Self::Call(Route::Moderations, None),
            "/images/generations" => Self::Call(Route::Images, None),
            "/images/edits" => Self::Call(Route::ImageEdits, None),
            "/images/variations" => Self::Call(Route::ImageVariations, None),
            "/audio/speech" => Self::Call(Route::Speech, None),
            "/audio/transcriptions" => Self::Call(Route::Transcriptions, None),
            "/audio/translations" => Self::Call(Route::Translations, None),
            "/messages" => Self::Call(Route::Messages, None),
            "/messages/count_tokens" => Self::Call(Route::CountTokens, None),
            "/models" => Self::Models,
            "/v1beta/models" => Self::Gemini(None),
            "/" => Self::Front,
            "/health" => Self::Health,
            "/health/latest" => Self::Latest,
            "/health/history" => Self::History,
            "/health/liveliness" | "/health/liveness" => Self::Alive,
            "/health/readiness" => Self::Ready,
            "/health/readiness/details" => Self::Details,
            "/metrics" | "/metrics/" => Self::Metrics,
            "/router/explain" => Self::Explain,
            _ => match Self::of_model(below) {
                Self::Unknown if api::owns(path) => Self::Admin,
                door => door,
            },
        }
    }

    /// Paths with a model in them; the model's name may hold slashes.
    fn of_model(path: &'a str) -> Self {
        let mut versions = ["/v1beta1", "/v1beta"].into_iter();
        let below = versions.find_map(|version| {
            let rest = path.strip_prefix(version)?;
            rest.starts_with('/').then_some(rest)
        });
        let below = below.unwrap_or(path);
        if let Some((model, route)) = Route::of_gemini(below).or_else(|| Route::of_vertex(below)) {
            return Self::Call(route, Some(model));
        }
        if let Some(model) = path.strip_prefix("/models/") {
            return Self::Model(model);
        }
        if let Some(model) = path.strip_prefix("/v1beta/models/") {
            return Self::Gemini(Some(model));
        }
        if let Some(call) = path.strip_prefix("/router/decisions/") {
            return Self::Decisions(call);
        }
        let named = path
            .strip_prefix("/openai/deployments/")
            .or(path.strip_prefix("/engines/"));
        Route::ALL
            .into_iter()
            .filter(|route| route.dialect() != Dialect::Gemini)
            .find_map(|route| {
                let model = named?.strip_suffix(route.path())?;
                let named = !model.is_empty() && !model.starts_with('/');
                named.then_some(Self::Call(route, Some(model)))
            })
            .unwrap_or(Self::Unknown)
    }

    /// What those speak who come this way.
    pub(super) const fn dialect(self) -> Dialect {
        match self {
            Self::Call(route, _) => route.dialect(),
            Self::Gemini(_) => Dialect::Gemini,
            _ => Dialect::OpenAi,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_path_leads_where_it_should() {
        for path in ["/v1/chat/completions", "/chat/completions"] {
            assert_eq!(Door::of(path), Door::Call(Route::Chat, None));
        }
        assert_eq!(
            Door::of("/openai/deployments/a/b/chat/completions"),
            Door::Call(Route::Chat, Some("a/b"))
        );
        assert_eq!(
            Door::of("/v1/engines/x/completions"),
            Door::Call(Route::Completions, Some("x"))
        );
        assert_eq!(
            Door::of("/engines/x/embeddings"),
            Door::Call(Route::Embeddings, Some("x"))
        );
        assert_eq!(
            Door::of("/v1/models/openai/gpt-4o"),
            Door::Model("openai/gpt-4o")
        );
        assert_eq!(
            Door::of("/router/decisions/4f5c-1"),
            Door::Decisions("4f5c-1")
        );
        assert_eq!(Door::of("/router/explain"), Door::Explain);
        assert_eq!(
            Door::of("/openai/deployments//chat/completions"),
            Door::Unknown
        );
        assert_eq!(
            Door::of("/v1beta/models/a/b:streamGenerateContent"),
            Door::Call(Route::GenerateStream, Some("a/b"))
        );
        for path in ["/v1/models/m:countTokens", "/models/m:countTokens"] {
            let door = Door::Call(Route::CountContents, Some("m"));
            assert_eq!(Door::of(path), door);
        }
        // Google's SDK for Vertex AI.
        let on_vertex = "projects/p/locations/l/publishers/google/models/m:generateContent";
        for path in [format!("/v1/{on_vertex}"), format!("/v1beta1/{on_vertex}")] {
            let door = Door::Call(Route::Generate, Some("m"));
            assert_eq!(Door::of(&path), door, "{path}");
        }
        for path in [
            "/v1/projects/p/locations/l/publishers/acme/models/m:generateContent",
            "/v1/projects//locations/l/publishers/google/models/m:generateContent",
        ] {
            assert_eq!(Door::of(path), Door::Unknown, "{path}");
        }
        assert_eq!(Door::of("/v1beta/models"), Door::Gemini(None));
        assert_eq!(Door::of("/v1beta/models/m"), Door::Gemini(Some("m")));
        assert_eq!(
            Door::of("/v1/models/llama3:latest"),
            Door::Model("llama3:latest")
        );
        assert_eq!(Door::of("/v1beta/chat/completions"), Door::Unknown);
        for path in [
            "/v1/responses",
            "/responses",
            "/openai/v1/responses",
            "/openai/responses",
        ] {
            assert_eq!(Door::of(path), Door::Call(Route::Responses, None), "{path}");
        }
        for path in ["/v1/responses/a/cancel", "/openai/v1/responses/a/cancel"] {
            assert_eq!(Door::of(path), Door::Kept(Kept::Cancel("a")), "{path}");
        }
        assert_eq!(Door::of("/openai/v1/files"), Door::Unknown);
        assert_eq!(Door::of("/v1x/models"), Door::Unknown);
        for path in [
            "/key/generate",
            "/v2/key/info",
            "/v1/model/info",
            "/openapi.json",
            "/docs",
        ] {
            assert_eq!(Door::of(path), Door::Admin, "{path}");
        }
    }
}
