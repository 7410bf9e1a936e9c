//! What the file says of tokens of an identity provider: `enable_jwt_auth` and `litellm_jwtauth`.
//!
//! Source of the keys and their defaults: LiteLLM proxy documentation, "OIDC - JWT-based Auth". Where
//! the provider's keys are, for whom its tokens are and who issues them stands in the environment:
//! `JWT_PUBLIC_KEY_URL` (several, with commas between), `JWT_AUDIENCE`, `JWT_ISSUER`.

use std::time::Duration;

use http::Uri;
use pointsman_routes::table::{Routes, Setting};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::BindFault;
use super::environment::Environment;

const ENABLED: &str = "general_settings.enable_jwt_auth";
const OPTIONS: &str = "general_settings.litellm_jwtauth";
const URLS: &str = "JWT_PUBLIC_KEY_URL";

/// How tokens are read.
#[derive(Clone, Debug, PartialEq)]
pub struct JwtRules {
    /// Where the provider's keys are.
    pub urls: Vec<Uri>,
    /// For whom tokens must be, if that is asked.
    pub audience: Option<Vec<String>>,
    /// Who must have issued them, if that is asked.
    pub issuer: Option<Vec<String>>,
    /// What claims mean.
    pub claims: JwtClaims,
}

impl JwtRules {
    /// How long keys are kept before they are fetched anew.
    pub fn ttl(&self) -> Duration {
        Duration::from_secs(self.claims.public_key_ttl)
    }
}

/// What claims mean. A field of a token is named by its claim, or by a way into one: `realm.team`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct JwtClaims {
    /// Who has this among the words of `scope` is a proxy admin.
    pub admin_jwt_scope: String,
    /// What such an admin may call.
    pub admin_allowed_routes: Vec<String>,
    /// The claim that names the team. A token without one is refused, if this is given.
    pub team_id_jwt_field: Option<String>,
    /// The team of tokens that name none.
    pub team_id_default: Option<String>,
    /// The claim that lists teams, of which the first that is known counts.
    pub team_ids_jwt_field: Option<String>,
    /// Makes a team that is not known.
    pub team_id_upsert: bool,
    /// What tokens with a team may call.
    pub team_allowed_routes: Vec<String>,
    /// The claim that names the user.
    pub user_id_jwt_field: Option<String>,
    /// The claim that holds the user's mail address.
    pub user_email_jwt_field: Option<String>,
    /// Makes a user who is not known.
    pub user_id_upsert: bool,
    /// Makes only users whose address is of this domain.
    pub user_allowed_email_domain: Option<String>,
    /// The claim that lists what a user is.
    pub user_roles_jwt_field: Option<String>,
    /// Who is one of these is a user, for `enforce_rbac`.
    #[serde(deserialize_with = "one_or_several")]
    pub user_allowed_roles: Vec<String>,
    /// The claim that names the end user.
    pub end_user_id_jwt_field: Option<String>,
    /// The claim that names the organisation.
    pub org_id_jwt_field: Option<String>,
    /// Seconds for which the provider's keys are kept.
    pub public_key_ttl: u64,
    /// Refuses tokens of nobody: neither an admin's, nor a team's, nor an allowed user's.
    pub enforce_rbac: bool,
    /// The claim that lists roles, for `role_mappings`.
    pub roles_jwt_field: Option<String>,
    /// What roles mean here.
    pub role_mappings: Vec<RoleMapping>,
    /// The claim that names whom a mapped role is about: a team, or a user.
    pub object_id_jwt_field: Option<String>,
}

/// A role of the provider's, and what it means here.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RoleMapping {
    /// The provider's word.
    pub role: String,
    /// Ours.
    pub internal_role: MappedRole,
}

/// What a mapped role can be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MappedRole {
    /// An admin of everything.
    ProxyAdmin,
    /// A team.
    Team,
    /// A user.
    InternalUser,
}

impl Default for JwtClaims {
    fn default() -> Self {
        let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
        Self {
            admin_jwt_scope: "litellm_proxy_admin".to_owned(),
            admin_allowed_routes: words(&[
                "management_routes",
                "spend_tracking_routes",
                "global_spend_tracking_routes",
                "info_routes",
            ]),
            team_id_jwt_field: None,
            team_id_default: None,
            team_ids_jwt_field: None,
            team_id_upsert: false,
            team_allowed_routes: words(&["openai_routes", "info_routes"]),
            user_id_jwt_field: None,
            user_email_jwt_field: None,
            user_id_upsert: false,
            user_allowed_email_domain: None,
            user_roles_jwt_field: None,
            user_allowed_roles: Vec::new(),
            end_user_id_jwt_field: None,
            org_id_jwt_field: None,
            public_key_ttl: 600,
            enforce_rbac: false,
            roles_jwt_field: None,
            role_mappings: Vec::new(),
            object_id_jwt_field: None,
        }
    }
}

impl JwtRules {
    /// As a table and the environment say; `None` if tokens are not taken.
    pub(super) fn of(
        routes: &Routes,
        environment: &Environment<'_>,
        faults: &mut Vec<BindFault>,
    ) -> Option<Self> {
        if !matches!(routes.setting(ENABLED), Some(Setting::Bool(true))) {
            return None;
        }
        let mut fault = |path: &str, what: String| {
            faults.push(BindFault {
                path: path.to_owned(),
                what,
            });
        };
        let claims = match routes.setting(OPTIONS) {
            None | Some(Setting::Null) => JwtClaims::default(),
            Some(options) => match serde_json::from_value(json(options, environment)) {
                Ok(claims) => claims,
                // What is not heeded might have kept somebody out.
                Err(error) => {
                    fault(OPTIONS, format!("{error}"));
                    JwtClaims::default()
                }
            },
        };
        let mut urls = Vec::new();
        for text in list(environment.get(URLS)).unwrap_or_default() {
            match text.parse::<Uri>() {
                Ok(url) if url.host().is_some() && url.scheme().is_some() => urls.push(url),
                _ => fault(ENABLED, format!("{URLS} holds an address that is none")),
            }
        }
        if urls.is_empty() {
            fault(
                ENABLED,
                format!("set {URLS} to where the identity provider's keys are (its jwks_uri)"),
            );
        }
        Some(Self {
            urls,
            audience: list(environment.get("JWT_AUDIENCE")),
            issuer: list(environment.get("JWT_ISSUER")),
            claims,
        })
    }
}

/// What stands between commas.
fn list(text: Option<String>) -> Option<Vec<String>> {
    let text = text?;
    let words = text
        .split(',')
        .map(str::trim)
        .filter(|word| !word.is_empty());
    let words: Vec<_> = words.map(str::to_owned).collect();
    (!words.is_empty()).then_some(words)
}

fn json(setting: &Setting, environment: &Environment<'_>) -> Value {
    match setting {
        Setting::Bool(value) => Value::from(*value),
        Setting::Int(value) => Value::from(*value),
        Setting::Float(value) => Value::from(*value),
        Setting::Text(text) => {
            let mut unset = Vec::new();
            environment.value(text, OPTIONS, &mut unset).into()
        }
        Setting::List(items) => items.iter().map(|item| json(item, environment)).collect(),
        Setting::Map(entries) => {
            let entries = entries.iter();
            let read = entries.map(|(name, value)| (name.to_string(), json(value, environment)));
            Value::Object(read.collect::<Map<_, _>>())
        }
        Setting::Secret(_) | Setting::Null => Value::Null,
    }
}

fn one_or_several<'de, D: serde::Deserializer<'de>>(read: D) -> Result<Vec<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Written {
        One(String),
        Several(Vec<String>),
    }
    Ok(match Written::deserialize(read)? {
        Written::One(word) => vec![word],
        Written::Several(words) => words,
    })
}

#[cfg(test)]
mod tests {
    use pointsman_routes::Table;

    use super::*;
    use crate::live::Live;

    fn bind(options: &str, url: &str) -> Result<Live, Vec<BindFault>> {
        let file = format!(
            "model_list: []\ngeneral_settings:\n  master_key: sk-master-of-tests\n  \
             enable_jwt_auth: true\n  litellm_jwtauth:\n    public_key_ttl: 60\n{options}"
        );
        let loaded = pointsman_routes::load("test.yaml", &file).loaded.unwrap();
        let env = |name: &str| (name == URLS).then(|| url.to_owned());
        let table = Table::loaded(loaded.routes);
        Live::bind(table, &loaded.literals, &env, "test.yaml".to_owned())
    }

    #[test]
    fn options_are_read_and_the_rest_is_as_litellm_has_it() {
        let options = "    user_id_jwt_field: sub\n    user_allowed_roles: basic\n";
        let live = bind(options, "https://id.test/keys, https://other.test/keys").unwrap();
        let rules = live.jwt().unwrap();
        assert_eq!((rules.urls.len(), rules.ttl()), (2, Duration::from_mins(1)));
        assert_eq!(rules.claims.user_id_jwt_field.as_deref(), Some("sub"));
        assert_eq!(rules.claims.user_allowed_roles, ["basic"]);
        assert_eq!(
            rules.claims.team_allowed_routes,
            ["openai_routes", "info_routes"]
        );
        assert_eq!(rules.claims.admin_jwt_scope, "litellm_proxy_admin");
    }

    #[test]
    fn what_would_not_be_heeded_stops_the_start() {
        for (options, url, word) in [
            (
                "    custom_validate: my.own\n",
                "https://id.test/keys",
                "custom_validate",
            ),
            (
                "    enforce_rbac: perhaps\n",
                "https://id.test/keys",
                "perhaps",
            ),
            ("", "", "JWT_PUBLIC_KEY_URL"),
            ("", "keys", "JWT_PUBLIC_KEY_URL"),
        ] {
            let faults = bind(options, url).unwrap_err();
            assert!(
                faults.iter().any(|fault| fault.what.contains(word)),
                "{options} {url}: {faults:?}"
            );
        }
    }
}
