//! Whose a request to AWS is: its region, its credentials, its signature.
//!
//! Options by LiteLLM's names: `aws_region_name`; `aws_access_key_id`, `aws_secret_access_key` and
//! `aws_session_token`; `aws_profile_name`; `aws_role_name` with `aws_session_name`,
//! `aws_external_id` and `aws_sts_endpoint`; `aws_web_identity_token`, the path of a file. What the
//! file leaves out, AWS's own chain finds: environment, profile, web identity, container, instance.

mod credentials;
mod sign;

use std::fmt;
use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials;
use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider};
use http::Request;
use tokio::sync::{Mutex, OnceCell};

pub use self::sign::sign;
use crate::wire::bedrock::Model;

/// Where Bedrock is asked if nobody says; LiteLLM's.
const REGION: &str = "us-west-2";
/// Variables that may hold the region; the first that is set wins.
const REGION_VARIABLES: [&str; 3] = ["AWS_REGION_NAME", "AWS_REGION", "AWS_DEFAULT_REGION"];
/// How long before their end credentials are fetched anew.
const MARGIN: Duration = Duration::from_mins(5);
/// How long fetching them may take.
const PATIENCE: Duration = Duration::from_secs(15);

/// The region of a deployment: the file's, else the model's, else the environment's.
pub(super) fn region(
    option: Option<&str>,
    model: &str,
    environment: impl Fn(&str) -> Option<String>,
) -> String {
    let of_model = || Model::of(model).region;
    let named = option.or_else(of_model).map(str::to_owned);
    named
        .or_else(|| REGION_VARIABLES.iter().find_map(|name| environment(name)))
        .unwrap_or_else(|| REGION.to_owned())
}

/// Where Bedrock's runtime stands in a region.
pub(super) fn base(region: &str) -> String {
    let suffix = if region.starts_with("cn-") { ".cn" } else { "" };
    format!("https://bedrock-runtime.{region}.amazonaws.com{suffix}")
}

/// Signs requests of one deployment. Credentials that end are held until shortly before that.
pub struct Signer {
    region: String,
    provider: Provider,
    held: Mutex<Option<Credentials>>,
}

/// Where credentials come from.
enum Provider {
    Fixed(Credentials),
    /// Made at the first request, since it may read files.
    Made(Box<Made>),
}

struct Made {
    source: credentials::Source,
    provider: OnceCell<SharedCredentialsProvider>,
}

/// Why a request cannot be signed. The words hold no credential.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unsigned(pub &'static str);

impl Signer {
    /// Reads the options; nothing is fetched yet.
    pub(super) fn new(region: String, option: impl Fn(&str) -> Option<String>) -> Self {
        let key = option("aws_access_key_id").zip(option("aws_secret_access_key"));
        let fixed = key.map(|(id, secret)| {
            let token = option("aws_session_token");
            Credentials::new(id, secret, token, None, "routes")
        });
        let source = credentials::Source {
            region: region.clone(),
            profile: option("aws_profile_name"),
            role: option("aws_role_name"),
            session: option("aws_session_name"),
            external_id: option("aws_external_id"),
            sts_endpoint: option("aws_sts_endpoint"),
            identity_file: option("aws_web_identity_token"),
            base: fixed.clone(),
        };
        let provider = match fixed {
            Some(fixed) if source.role.is_none() => Provider::Fixed(fixed),
            _ => Provider::Made(Box::new(Made {
                source,
                provider: OnceCell::new(),
            })),
        };
        Self {
            region,
            provider,
            held: Mutex::new(None),
        }
    }

    /// Signs a request with this body. Fetches credentials first if none are held that last;
    /// requests that come meanwhile wait for the same ones. Dropping the future fetches nothing
    /// twice and leaves the request as it was.
    pub async fn sign<B>(&self, request: &mut Request<B>, body: &[u8]) -> Result<(), Unsigned> {
        let now = SystemTime::now();
        let credentials = self.credentials(now).await?;
        sign(&credentials, &self.region, now, request, body)
    }

    async fn credentials(&self, now: SystemTime) -> Result<Credentials, Unsigned> {
        let made = match &self.provider {
            Provider::Fixed(fixed) => return Ok(fixed.clone()),
            Provider::Made(made) => made,
        };
        let mut held = self.held.lock().await;
        let lasts = |held: &Credentials, margin| {
            held.expiry()
                .is_none_or(|end| end > now.checked_add(margin).unwrap_or(now))
        };
        if let Some(held) = held.as_ref().filter(|held| lasts(held, MARGIN)) {
            return Ok(held.clone());
        }
        let fetch = async {
            let provider = made.provider.get_or_init(|| made.source.provider()).await;
            provider.provide_credentials().await
        };
        match tokio::time::timeout(PATIENCE, fetch).await {
            Ok(Ok(fetched)) => {
                *held = Some(fetched.clone());
                Ok(fetched)
            }
            // Better those that end soon than none.
            _ => held
                .clone()
                .filter(|held| lasts(held, Duration::ZERO))
                .ok_or(Unsigned("No AWS credentials were found.")),
        }
    }
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Signer")
            .field("region", &self.region)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_region_is_the_files_then_the_models_then_the_environments() {
        let none = |_: &str| None;
        let set = |name: &str| (name == "AWS_REGION").then(|| "eu-west-3".to_owned());
        let arn = "arn:aws:bedrock:us-east-2:1:inference-profile/x";
        assert_eq!(region(Some("a"), arn, set), "a");
        assert_eq!(region(None, arn, set), "us-east-2");
        assert_eq!(
            region(None, "eu-north-1/anthropic.claude-3-haiku", set),
            "eu-north-1"
        );
        assert_eq!(
            region(None, "us.anthropic.claude-3-haiku", set),
            "eu-west-3"
        );
        assert_eq!(region(None, "x", none), REGION);
        assert_eq!(
            base("us-east-1"),
            "https://bedrock-runtime.us-east-1.amazonaws.com"
        );
        assert_eq!(
            base("cn-north-1"),
            "https://bedrock-runtime.cn-north-1.amazonaws.com.cn"
        );
    }

    #[tokio::test]
    async fn keys_of_the_file_are_used_as_they_are() {
        let option = |name: &str| match name {
            "aws_access_key_id" => Some("AKIDEXAMPLE".to_owned()),
            "aws_secret_access_key" => Some("secret".to_owned()),
            "aws_session_token" => Some("token".to_owned()),
            _ => None,
        };
        let signer = Signer::new("eu-west-1".to_owned(), option);
        let mut request = Request::new(());
        *request.uri_mut() = "https://a.example/model/x/converse".parse().unwrap();
        *request.method_mut() = http::Method::POST;
        signer.sign(&mut request, b"{}").await.unwrap();
        let shown = request.headers()["authorization"].to_str().unwrap();
        assert!(shown.contains("AKIDEXAMPLE/"), "{shown}");
        assert!(shown.contains("/eu-west-1/bedrock/aws4_request"), "{shown}");
        assert_eq!(request.headers()["x-amz-security-token"], "token");
        assert!(request.headers()["authorization"].is_sensitive());
        assert!(!format!("{signer:?}").contains("secret"));
    }
}
