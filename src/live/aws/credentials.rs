//! Where credentials come from, by AWS's own chain.

use std::path::PathBuf;

use aws_config::default_provider::credentials::DefaultCredentialsChain;
use aws_config::provider_config::ProviderConfig;
use aws_config::sts::AssumeRoleProvider;
use aws_config::web_identity_token::{StaticConfiguration, WebIdentityTokenCredentialsProvider};
use aws_config::{BehaviorVersion, Region};
use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_smithy_http_client::tls::Provider;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;

/// What a session of a role is called if nobody says.
const SESSION: &str = "pointsman";

/// What the file says of credentials.
pub(super) struct Source {
    pub(super) region: String,
    pub(super) profile: Option<String>,
    pub(super) role: Option<String>,
    pub(super) session: Option<String>,
    pub(super) external_id: Option<String>,
    pub(super) sts_endpoint: Option<String>,
    pub(super) identity_file: Option<String>,
    /// With which the role is assumed.
    pub(super) base: Option<Credentials>,
}

impl Source {
    /// What gives the credentials. Reads no network; may read files.
    pub(super) async fn provider(&self) -> SharedCredentialsProvider {
        let client = aws_smithy_http_client::Builder::new()
            .tls_provider(Provider::Rustls(CryptoMode::Ring))
            .build_https();
        let region = Region::new(self.region.clone());
        let config = ProviderConfig::default()
            .with_http_client(client.clone())
            .with_region(Some(region.clone()))
            .with_behavior_version(Some(BehaviorVersion::latest()));
        if let (Some(role_arn), Some(file)) = (&self.role, &self.identity_file) {
            let identity = StaticConfiguration {
                web_identity_token_file: PathBuf::from(path(file)),
                role_arn: role_arn.clone(),
                session_name: self.session.clone().unwrap_or_else(|| SESSION.to_owned()),
            };
            return SharedCredentialsProvider::new(
                WebIdentityTokenCredentialsProvider::builder()
                    .configure(&config)
                    .static_configuration(identity)
                    .build(),
            );
        }
        let base = if let Some(base) = &self.base {
            SharedCredentialsProvider::new(base.clone())
        } else {
            let mut chain = DefaultCredentialsChain::builder()
                .region(region.clone())
                .configure(config.clone());
            if let Some(profile) = &self.profile {
                chain = chain.profile_name(profile);
            }
            SharedCredentialsProvider::new(chain.build().await)
        };
        let Some(role) = &self.role else {
            return base;
        };
        let mut sdk = aws_config::defaults(BehaviorVersion::latest())
            .http_client(client)
            .region(region)
            .credentials_provider(base.clone());
        if let Some(endpoint) = &self.sts_endpoint {
            sdk = sdk.endpoint_url(endpoint);
        }
        let mut assumed = AssumeRoleProvider::builder(role)
            .configure(&sdk.load().await)
            .session_name(self.session.as_deref().unwrap_or(SESSION));
        if let Some(id) = &self.external_id {
            assumed = assumed.external_id(id);
        }
        SharedCredentialsProvider::new(assumed.build_from_provider(base).await)
    }
}

/// LiteLLM also writes `oidc/file/PATH`.
fn path(file: &str) -> &str {
    file.strip_prefix("oidc/file/").unwrap_or(file)
}
