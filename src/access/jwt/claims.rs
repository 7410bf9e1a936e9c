//! What the claims of a verified token say of its bearer.

use serde_json::{Map, Value};

use crate::error::Denial;
use crate::live::{JwtClaims, MappedRole};

/// Teams of one token that are looked up.
const MOST_TEAMS: usize = 20;
/// Longest id that is taken from a claim.
const LONGEST: usize = 256;

/// Who a token is about.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Identity {
    /// A proxy admin.
    pub(super) admin: bool,
    pub(super) user: Option<String>,
    pub(super) email: Option<String>,
    /// The teams, of which the first that is known counts.
    pub(super) teams: Vec<String>,
    pub(super) organization: Option<String>,
    pub(super) end_user: Option<String>,
}

/// Reads a token's claims.
pub(super) fn identify(rules: &JwtClaims, claims: &Map<String, Value>) -> Result<Identity, Denial> {
    let one = |field: &Option<String>| field.as_deref().and_then(|field| text(claims, field));
    let several = |field: &Option<String>| match field {
        Some(field) => words(get(claims, field)),
        None => Vec::new(),
    };
    let mut identity = Identity {
        admin: words(claims.get("scope")).contains(&rules.admin_jwt_scope),
        user: one(&rules.user_id_jwt_field),
        email: one(&rules.user_email_jwt_field),
        teams: one(&rules.team_id_jwt_field).into_iter().collect(),
        organization: one(&rules.org_id_jwt_field),
        end_user: one(&rules.end_user_id_jwt_field),
    };
    identity.teams.extend(several(&rules.team_ids_jwt_field));
    let mapped = role(rules, &several(&rules.roles_jwt_field));
    let object = one(&rules.object_id_jwt_field);
    match mapped {
        Some(MappedRole::ProxyAdmin) => identity.admin = true,
        Some(MappedRole::Team) => identity.teams.extend(object),
        Some(MappedRole::InternalUser) => identity.user = object.or(identity.user),
        None => {}
    }
    if rules.enforce_rbac && !identity.admin && mapped.is_none() {
        let is = several(&rules.user_roles_jwt_field);
        let user = is.iter().any(|one| rules.user_allowed_roles.contains(one));
        if identity.teams.is_empty() && !user {
            return Err(Denial::Nobody);
        }
    }
    if identity.teams.is_empty() {
        identity.teams.extend(rules.team_id_default.clone());
    }
    identity.teams.truncate(MOST_TEAMS);
    if identity.teams.is_empty() && rules.team_id_jwt_field.is_some() && !identity.admin {
        return Err(Denial::Token("it names no team"));
    }
    Ok(identity)
}

/// What the first of a token's roles that means something means.
fn role(rules: &JwtClaims, given: &[String]) -> Option<MappedRole> {
    let mut mappings = rules.role_mappings.iter();
    let found = mappings.find(|mapping| given.contains(&mapping.role));
    found.map(|mapping| mapping.internal_role)
}

/// A claim, by its name, or by the way into it: names of claims may themselves hold dots.
fn get<'a>(claims: &'a Map<String, Value>, field: &str) -> Option<&'a Value> {
    if let Some(value) = claims.get(field) {
        return Some(value);
    }
    let mut steps = field.split('.');
    let first = claims.get(steps.next()?)?;
    steps.try_fold(first, |value, step| value.get(step))
}

/// An id: a text or a number, short and without control characters.
fn text(claims: &Map<String, Value>, field: &str) -> Option<String> {
    let text = match get(claims, field)? {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        _ => return None,
    };
    fits(&text).then_some(text)
}

/// The words of a list, or those of a text with blanks between.
fn words(value: Option<&Value>) -> Vec<String> {
    match value {
        Some(Value::String(text)) => text.split_whitespace().map(str::to_owned).collect(),
        Some(Value::Array(items)) => items
            .iter()
            .filter_map(Value::as_str)
            .filter(|word| fits(word))
            .map(str::to_owned)
            .collect(),
        _ => Vec::new(),
    }
}

fn fits(id: &str) -> bool {
    !id.is_empty() && id.len() <= LONGEST && !id.chars().any(char::is_control)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::live::RoleMapping;

    fn claims(value: &Value) -> Map<String, Value> {
        value.as_object().unwrap().clone()
    }

    #[test]
    fn claims_are_found_by_name_and_by_their_way() {
        let rules = JwtClaims {
            user_id_jwt_field: Some("sub".to_owned()),
            user_email_jwt_field: Some("https://id.test/email".to_owned()),
            team_ids_jwt_field: Some("realm.groups".to_owned()),
            org_id_jwt_field: Some("tenant".to_owned()),
            end_user_id_jwt_field: Some("realm.person".to_owned()),
            ..JwtClaims::default()
        };
        let found = identify(
            &rules,
            &claims(&json!({
                "sub": "u", "https://id.test/email": "u@id.test", "tenant": 7,
                "realm": {"groups": ["a", 1, "b"], "person": "p"}, "scope": "read litellm_proxy_admin",
            })),
        );
        let expected = Identity {
            admin: true,
            user: Some("u".to_owned()),
            email: Some("u@id.test".to_owned()),
            teams: vec!["a".to_owned(), "b".to_owned()],
            organization: Some("7".to_owned()),
            end_user: Some("p".to_owned()),
        };
        assert_eq!(found, Ok(expected));
    }

    #[test]
    fn a_token_of_nobody_is_refused_where_roles_are_enforced() {
        let rules = JwtClaims {
            user_id_jwt_field: Some("sub".to_owned()),
            user_roles_jwt_field: Some("roles".to_owned()),
            user_allowed_roles: vec!["basic".to_owned()],
            team_ids_jwt_field: Some("groups".to_owned()),
            roles_jwt_field: Some("roles".to_owned()),
            object_id_jwt_field: Some("client".to_owned()),
            role_mappings: vec![RoleMapping {
                role: "consumer".to_owned(),
                internal_role: MappedRole::Team,
            }],
            enforce_rbac: true,
            ..JwtClaims::default()
        };
        for (token, passes) in [
            (json!({"sub": "u"}), false),
            (json!({"sub": "u", "roles": ["other"]}), false),
            (json!({"sub": "u", "roles": "basic"}), true),
            (json!({"groups": ["a"]}), true),
            (json!({"roles": ["consumer"], "client": "team"}), true),
            (json!({"scope": "litellm_proxy_admin"}), true),
            (json!({"scope": "litellm_proxy_administrator"}), false),
        ] {
            let found = identify(&rules, &claims(&token));
            assert_eq!(found.is_ok(), passes, "{token}: {found:?}");
        }
        let of_team = json!({"roles": ["consumer"], "client": "team"});
        assert_eq!(identify(&rules, &claims(&of_team)).unwrap().teams, ["team"]);
    }

    #[test]
    fn a_token_without_a_team_takes_the_default_or_is_refused() {
        let mut rules = JwtClaims {
            team_id_jwt_field: Some("team".to_owned()),
            ..JwtClaims::default()
        };
        let none = claims(&json!({"team": "\u{0}"}));
        assert!(matches!(identify(&rules, &none), Err(Denial::Token(_))));
        rules.team_id_default = Some("all".to_owned());
        assert_eq!(identify(&rules, &none).unwrap().teams, ["all"]);
    }
}
