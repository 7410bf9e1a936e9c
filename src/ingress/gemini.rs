//! What is Gemini's front door's own: methods behind a model's name, keys in the query, lists of models.
//!
//! Sources: Google's API reference for the Gemini API (v1beta), "Models"; Google's guide to API keys.

use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, Uri};
use pointsman_routes::table::{Mode, Target};
use serde_json::{Value, json};

use super::answer;
use super::body::Body;
use super::names::{may_see, names};
use crate::call::{Dialect, Principal, Route};
use crate::live::Live;

const KEY: HeaderName = HeaderName::from_static("x-goog-api-key");

/// Puts the key of a query where those stand that are looked at, so that it stays nowhere else.
///
/// A query whose key is not the header's is told as two keys are.
pub fn show_key<B>(mut request: Request<B>) -> Request<B> {
    let query = request.uri().query().unwrap_or_default();
    let mut keys = Vec::new();
    let mut kept = Vec::new();
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        match pair.strip_prefix("key=") {
            Some(key) => keys.push(key),
            None => kept.push(pair),
        }
    }
    if keys.is_empty() {
        return request;
    }
    let shown = keys.into_iter().map(|key| {
        let key = percent_encoding::percent_decode_str(key).collect::<Vec<_>>();
        HeaderValue::from_bytes(&key)
    });
    let shown: Vec<_> = shown.filter_map(Result::ok).collect();
    let uri = without_query(request.uri(), &kept.join("&"));
    if let Some(uri) = uri {
        *request.uri_mut() = uri;
    }
    let headers = request.headers_mut();
    for mut key in shown {
        key.set_sensitive(true);
        if headers.get(KEY) != Some(&key) {
            headers.append(KEY, key);
        }
    }
    request
}

/// The address with this query in place of its own.
fn without_query(uri: &Uri, query: &str) -> Option<Uri> {
    let path = uri.path();
    let text = if query.is_empty() {
        path.to_owned()
    } else {
        format!("{path}?{query}")
    };
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = Some(PathAndQuery::try_from(text).ok()?);
    Uri::from_parts(parts).ok()
}

/// Whether a stream is wanted as one JSON list, which it is unless the query says `alt=sse`.
pub fn wants_list(query: Option<&str>) -> bool {
    let mut pairs = query.unwrap_or_default().split('&');
    !pairs.any(|pair| matches!(pair, "alt=sse" | "$alt=sse" | "%24alt=sse"))
}

/// Whether a request is one of Google's clients, by the name that they give.
pub fn is_google(headers: &HeaderMap) -> bool {
    headers.contains_key("x-goog-api-client")
}

/// `GET /v1beta/models`: groups and aliases, as far as the caller may ask for them, and the caller's
/// own names for models. Without a caller, all of them.
pub fn models(live: &Live, principal: Option<&Principal>) -> Response<Body> {
    let names = names(live, principal);
    let models: Vec<_> = names.map(|name| model(live, name)).collect();
    answer::json(&json!({ "models": models }))
}

/// `GET /v1beta/models/{model}`.
pub fn one_model(live: &Live, principal: Option<&Principal>, asked: &str) -> Response<Body> {
    match may_see(live, principal, asked) {
        Ok(()) => answer::json(&model(live, asked)),
        Err(failure) => answer::error_in(Dialect::Gemini, &failure),
    }
}

fn model(live: &Live, name: &str) -> Value {
    const METHODS: [Route; 3] = [Route::Generate, Route::CountContents, Route::EmbedContent];
    let mode = |id| live.deployment(id).facts.mode;
    let modes: Vec<_> = match live.table().resolve(name).map(|found| found.target) {
        Some(Target::Group(group)) => {
            let members = &live.routes().groups[usize::from(group.0)].members;
            members
                .iter()
                .map(|member| mode(member.deployment))
                .collect()
        }
        Some(Target::Deployment(id)) => vec![mode(id)],
        None => Vec::new(),
    };
    // A model of which nothing is known is taken for one that talks.
    let does = |route: &&Route| {
        let suits = |mode: &Option<Mode>| mode.map_or(!route.embeds(), |mode| route.suits(mode));
        modes.iter().all(suits)
    };
    let methods: Vec<_> = METHODS
        .iter()
        .filter(does)
        .map(|route| route.path().trim_start_matches(':'))
        .collect();
    json!({
        "name": format!("models/{name}"),
        "displayName": name,
        "supportedGenerationMethods": methods,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(uri: &str, header: Option<&'static str>) -> (String, Vec<String>) {
        let mut request = Request::builder().uri(uri);
        if let Some(key) = header {
            request = request.header(KEY, key);
        }
        let request = show_key(request.body(()).unwrap());
        let keys = request.headers().get_all(KEY).iter();
        let keys = keys.map(|key| key.to_str().unwrap().to_owned()).collect();
        (request.uri().to_string(), keys)
    }

    #[test]
    fn a_key_of_the_query_is_a_header_and_nothing_else() {
        for (uri, header, expected, keys) in [
            ("/m:x?key=sk-a&alt=sse", None, "/m:x?alt=sse", &["sk-a"][..]),
            ("http://h/m:x?key=sk%2Da", None, "http://h/m:x", &["sk-a"]),
            ("/m:x?key=sk-a", Some("sk-a"), "/m:x", &["sk-a"]),
            ("/m:x?key=sk-a", Some("sk-b"), "/m:x", &["sk-b", "sk-a"]),
            ("/m:x?keys=1", None, "/m:x?keys=1", &[]),
        ] {
            let keys = keys.iter().map(ToString::to_string).collect();
            assert_eq!(shown(uri, header), (expected.to_owned(), keys), "{uri}");
        }
    }

    #[test]
    fn a_stream_is_a_list_unless_events_are_asked_for() {
        assert!(wants_list(None) && wants_list(Some("alt=json")));
        assert!(!wants_list(Some("a=b&alt=sse")));
    }
}
