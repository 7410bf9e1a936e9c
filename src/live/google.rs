//! Whose a request to Vertex AI is: project, location, credentials and tokens.
//!
//! Options and variables by LiteLLM's names: `vertex_project` (`VERTEXAI_PROJECT`),
//! `vertex_location` (`VERTEXAI_LOCATION`), `vertex_credentials` (`VERTEXAI_CREDENTIALS`), which is
//! the JSON of a key or of a federated identity, or the path of one. Without it Google's own order
//! counts: `GOOGLE_APPLICATION_CREDENTIALS`, `gcloud`'s file, the metadata server.

use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use google_cloud_auth::credentials::{
    self, AccessTokenCredentials, external_account, impersonated, service_account, user_account,
};
use http::HeaderValue;
use serde_json::Value;
use tokio::time::Instant;

/// What a token is for.
const SCOPE: &str = "https://www.googleapis.com/auth/cloud-platform";
/// Where models run if nobody says; LiteLLM's.
const LOCATION: &str = "us-central1";
/// The version of the API, which Google's own clients use.
const VERSION: &str = "v1beta1";
/// How long credentials that were refused are not tried again.
const PAUSE: Duration = Duration::from_secs(10);
/// How long fetching a token may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// What a deployment says of Google.
pub(super) struct Place {
    /// Behind which the models' paths stand.
    pub(super) base: String,
    /// What makes its tokens.
    pub(super) tokens: Tokens,
}

/// Makes the place of a deployment. `option` and `environment` look names up; `base` is the address
/// of the file, if it gives one.
pub(super) fn place(
    option: impl Fn(&str) -> Option<String>,
    environment: impl Fn(&str) -> Option<String>,
    base: Option<String>,
) -> Result<Place, (&'static str, String)> {
    let first = |options: [&str; 2], variables: &[&str]| {
        let of_file = options.iter().find_map(|name| option(name));
        of_file.or_else(|| variables.iter().find_map(|name| environment(name)))
    };
    let written = option("vertex_credentials").or_else(|| environment("VERTEXAI_CREDENTIALS"));
    let key = written.map(|text| read(&text)).transpose();
    let key = key.map_err(|what| ("vertex_credentials", what))?;
    if base
        .as_ref()
        .is_some_and(|base| base.contains("/projects/"))
    {
        return Ok(Place {
            base: base.unwrap_or_default(),
            tokens: Tokens::new(key),
        });
    }
    let project = first(
        ["vertex_project", "vertex_ai_project"],
        &["VERTEXAI_PROJECT", "VERTEX_PROJECT"],
    )
    .or_else(|| Some(key.as_ref()?.get("project_id")?.as_str()?.to_owned()))
    .or_else(|| environment("GOOGLE_CLOUD_PROJECT"))
    .ok_or_else(|| {
        let what = "Vertex AI needs a project, and neither file, environment nor key names one";
        ("vertex_project", what.to_owned())
    })?;
    let location = first(
        ["vertex_location", "vertex_ai_location"],
        &["VERTEXAI_LOCATION", "VERTEX_LOCATION"],
    )
    .unwrap_or_else(|| LOCATION.to_owned());
    let plain = |text: &str| {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-.:_".contains(&byte);
        !text.is_empty() && text.bytes().all(allowed)
    };
    if !plain(&project) {
        return Err(("vertex_project", "not the name of a project".to_owned()));
    }
    if !plain(&location) {
        return Err(("vertex_location", "not the name of a location".to_owned()));
    }
    let host = base.unwrap_or_else(|| host(&location));
    Ok(Place {
        base: format!("{host}/{VERSION}/projects/{project}/locations/{location}"),
        tokens: Tokens::new(key),
    })
}

/// Where a location's models answer. Source: Vertex AI's documentation, "Locations": a region, the
/// multi-regions `us` and `eu`, or `global`.
pub(super) fn host(location: &str) -> String {
    match location {
        "global" => "https://aiplatform.googleapis.com".to_owned(),
        "us" | "eu" => format!("https://aiplatform.{location}.rep.googleapis.com"),
        region => format!("https://{region}-aiplatform.googleapis.com"),
    }
}

/// The JSON of a key, given as it is or by its path.
fn read(written: &str) -> Result<Value, String> {
    let text = if written.trim_start().starts_with('{') {
        written.to_owned()
    } else {
        // A path is no secret, but what stands in its place by mistake may be one.
        std::fs::read_to_string(written).map_err(|error| {
            format!("neither JSON nor a file that can be read: {}", error.kind())
        })?
    };
    serde_json::from_str(&text).map_err(|_| "not the JSON of a credential".to_owned())
}

/// Makes tokens, holds each until shortly before its end, and fetches the next one ahead of that;
/// callers who wait, wait for the same one.
pub struct Tokens {
    /// `None` is Google's own order.
    key: Option<Value>,
    made: Mutex<Made>,
}

#[derive(Default)]
struct Made {
    credentials: Option<AccessTokenCredentials>,
    refused: Option<Instant>,
}

/// Why there is no token; the words hold nothing of the credential.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoToken(pub &'static str);

impl Tokens {
    fn new(key: Option<Value>) -> Self {
        Self {
            key,
            made: Mutex::default(),
        }
    }

    /// A token as the header `authorization` shows it. Waits 30 seconds at most. Dropping the
    /// future leaves the fetching to those who still wait.
    pub async fn shown(&self) -> Result<HeaderValue, NoToken> {
        let credentials = self.credentials()?;
        let token = tokio::time::timeout(PATIENCE, credentials.access_token())
            .await
            .map_err(|_| NoToken("Google gave no access token in time."))?
            .map_err(|error| {
                if !error.is_transient() {
                    let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
                    made.refused.get_or_insert_with(Instant::now);
                }
                NoToken("Google gave no access token for the credentials of the deployment.")
            })?;
        let mut value = HeaderValue::try_from(format!("Bearer {}", token.token))
            .map_err(|_| NoToken("Google's access token is none that a header may hold."))?;
        value.set_sensitive(true);
        Ok(value)
    }

    /// The credentials, made at their first use, since they fetch tokens in a task of their own.
    fn credentials(&self) -> Result<AccessTokenCredentials, NoToken> {
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        if made.refused.is_some_and(|since| since.elapsed() >= PAUSE) {
            *made = Made::default();
        }
        if let Some(credentials) = &made.credentials {
            return Ok(credentials.clone());
        }
        // Google's crate signs and connects with the process's provider; another one may stand.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let built = build(self.key.as_ref()).ok_or(NoToken(
            "The Google credentials of the deployment cannot be used.",
        ))?;
        Ok(made.credentials.insert(built).clone())
    }
}

fn build(key: Option<&Value>) -> Option<AccessTokenCredentials> {
    let Some(key) = key else {
        let adc = credentials::Builder::default().with_scopes([SCOPE]);
        return adc.build_access_token_credentials().ok();
    };
    let kind = key.get("type").and_then(Value::as_str)?;
    let key = key.clone();
    match kind {
        "service_account" => service_account::Builder::new(key)
            .with_access_specifier(service_account::AccessSpecifier::from_scopes([SCOPE]))
            .build_access_token_credentials(),
        "authorized_user" => user_account::Builder::new(key)
            .with_scopes([SCOPE])
            .build_access_token_credentials(),
        "external_account" => external_account::Builder::new(key)
            .with_scopes([SCOPE])
            .build_access_token_credentials(),
        "impersonated_service_account" => impersonated::Builder::new(key)
            .with_scopes([SCOPE])
            .build_access_token_credentials(),
        _ => return None,
    }
    .ok()
}

impl fmt::Debug for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tokens").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn placed(
        options: &[(&str, &str)],
        variables: &[(&str, &str)],
    ) -> Result<String, &'static str> {
        let find = |list: &[(&str, &str)], name: &str| {
            let found = list.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| (*value).to_owned())
        };
        let base = find(options, "api_base");
        place(
            |name| find(options, name),
            |name| find(variables, name),
            base,
        )
        .map(|place| place.base)
        .map_err(|(option, _)| option)
    }

    #[test]
    fn each_location_has_its_host() {
        for (location, host) in [
            (
                "europe-west6",
                "https://europe-west6-aiplatform.googleapis.com",
            ),
            ("global", "https://aiplatform.googleapis.com"),
            ("eu", "https://aiplatform.eu.rep.googleapis.com"),
        ] {
            let options = [("vertex_project", "p"), ("vertex_location", location)];
            let base = format!("{host}/v1beta1/projects/p/locations/{location}");
            assert_eq!(placed(&options, &[]), Ok(base));
        }
    }

    #[test]
    fn the_project_is_the_files_the_environments_or_the_keys() {
        let key = r#"{"type":"service_account","project_id":"of-key"}"#;
        let project = |options: &[(&str, &str)], variables: &[(&str, &str)]| {
            let base = placed(options, variables)?;
            Ok::<_, &str>(base.split('/').nth(5).unwrap().to_owned())
        };
        let all = [("vertex_project", "of-file"), ("vertex_credentials", key)];
        let of_environment = [("VERTEXAI_PROJECT", "of-environment")];
        assert_eq!(project(&all, &of_environment).as_deref(), Ok("of-file"));
        assert_eq!(
            project(&all[1..], &of_environment).as_deref(),
            Ok("of-environment")
        );
        assert_eq!(project(&all[1..], &[]).as_deref(), Ok("of-key"));
        assert_eq!(project(&[], &[]), Err("vertex_project"));
    }

    #[test]
    fn what_is_no_name_or_no_credential_is_refused() {
        let bad = [("vertex_project", "a/b")];
        assert_eq!(placed(&bad, &[]), Err("vertex_project"));
        let bad = [("vertex_project", "p"), ("vertex_location", "x.test/")];
        assert_eq!(placed(&bad, &[]), Err("vertex_location"));
        for credentials in ["{", "/nowhere/at/all.json"] {
            let bad = [("vertex_project", "p"), ("vertex_credentials", credentials)];
            assert_eq!(placed(&bad, &[]), Err("vertex_credentials"));
        }
    }

    #[test]
    fn an_address_of_the_file_stands_before_project_and_location() {
        let options = [("vertex_project", "p"), ("api_base", "http://127.0.0.1:1")];
        let base = "http://127.0.0.1:1/v1beta1/projects/p/locations/us-central1";
        assert_eq!(placed(&options, &[]).as_deref(), Ok(base));
        let whole = [("api_base", "http://127.0.0.1:1/v1/projects/q/locations/eu")];
        assert_eq!(placed(&whole, &[]).as_deref(), Ok(whole[0].1));
    }

    #[tokio::test]
    async fn a_credential_of_an_unknown_kind_gives_no_token() {
        let tokens = Tokens::new(Some(serde_json::json!({"type": "password"})));
        assert!(tokens.shown().await.is_err());
    }
}
