//! Tokens of an identity provider as keys: verified by the provider's public keys, read by what the
//! file says of claims, and held to the limits of the users, teams and organisations they name.
//!
//! Only algorithms with a public key are taken, and only those of the key that the token names;
//! `exp` must be there, and `nbf`, `aud` and `iss` are checked where they are said. A token is kept
//! under its whole digest, for as long as it holds and at most half a minute, and forgotten as soon as
//! somebody in the accounts changes. No token is ever logged.

mod claims;
mod keyset;
mod layer;
mod ring;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http::HeaderValue;
use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{Validation, decode, decode_header};
use pointsman_layers::auth::KeyDigest;
use serde_json::{Map, Value};

use self::claims::Identity;
use self::keyset::KeySet;
pub use self::layer::{Refused, TokenLayer, Tokens};
use super::Inner;
use crate::account::{Bearer, Down, Key, Missing, Role, Team, Time, User};
use crate::call::Principal;
use crate::error::Denial;
use crate::live::{JwtRules, Live};
use crate::upstream::client::Client;

/// Tokens that are kept in memory.
pub(super) const MOST_TOKENS: usize = 100_000;
/// How long what a token names is believed.
const FRESH: Duration = Duration::from_secs(30);
/// How far clocks may differ.
const LEEWAY: u64 = 60;
/// What LiteLLM calls the holder of the master key, and us an admin without an id.
const ADMIN: &str = "default_user_id";

/// A verified token.
#[derive(Debug)]
pub(super) struct Verified {
    principal: Arc<Principal>,
    end_user: Option<HeaderValue>,
    ends: Time,
}

/// The keys of the provider that the table in force names.
#[derive(Debug, Default)]
pub(super) struct Provider(Mutex<Option<(u64, Arc<KeySet>)>>);

impl Provider {
    /// The keys for a table; another table's are forgotten.
    fn keys(&self, live: &Live, rules: &JwtRules) -> Arc<KeySet> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match &*kept {
            Some((generation, keys)) if *generation == live.generation() => Arc::clone(keys),
            _ => {
                ring::install();
                let keys = KeySet::new(rules.urls.clone(), rules.ttl(), Client::new());
                let keys = Arc::new(keys);
                *kept = Some((live.generation(), Arc::clone(&keys)));
                keys
            }
        }
    }
}

impl Inner {
    /// A token that was verified just now.
    fn known_token(&self, digest: &KeyDigest, live: &Live) -> Option<Arc<Verified>> {
        let entry = self.tokens.get(digest)?;
        let fresh = entry.generation == live.generation() && entry.read.elapsed() < FRESH;
        let known = fresh.then(|| Arc::clone(&entry.value))?;
        (Time::now() < known.ends).then_some(known)
    }

    /// Verifies a token and finds whom it names.
    async fn verify(&self, token: &str, digest: KeyDigest) -> Result<Arc<Verified>, Denial> {
        let ticket = self.tokens.ticket();
        let live = self.live.load();
        let rules = live.jwt().ok_or(Denial::Malformed)?;
        let claims = self.read(token, &live, rules).await?;
        let identity = claims::identify(&rules.claims, &claims)?;
        let bearer = self.bearer_of(rules, &identity).await?;
        let mut principal = Principal::of(Arc::new(bearer), live.rules());
        principal.by_token = true;
        let down = |down: Down| {
            tracing::warn!(%down, "a token's bearer is not known");
            Denial::StoreDown
        };
        self.load(principal.means().all_purses(), Some(&live))
            .await
            .map_err(down)?;
        let ends = claims
            .get("exp")
            .and_then(Value::as_f64)
            .unwrap_or_default();
        let verified = Arc::new(Verified {
            principal: Arc::new(principal),
            end_user: identity
                .end_user
                .as_deref()
                .and_then(|id| HeaderValue::from_str(id).ok()),
            ends: end(ends),
        });
        self.tokens
            .keep(ticket, &digest, Arc::clone(&verified), live.generation());
        Ok(verified)
    }

    /// The claims of a token that is the provider's, for us, and holds now.
    async fn read(
        &self,
        token: &str,
        live: &Live,
        rules: &JwtRules,
    ) -> Result<Map<String, Value>, Denial> {
        let header = decode_header(token).map_err(|_| Denial::Token("it is none"))?;
        let keys = self.provider.keys(live, rules);
        let found = keys.find(header.kid.as_deref()).await;
        let key = found
            .map_err(|_| Denial::StoreDown)?
            .ok_or(Denial::Token("nobody has the key that it names"))?;
        // The key says how it signs; what the token says of that counts only if it is the same.
        if !key.algorithms.contains(&header.alg) {
            return Err(Denial::Token("its key does not sign so"));
        }
        let mut validation = Validation::new(header.alg);
        validation.leeway = LEEWAY;
        validation.validate_nbf = true;
        let mut required = vec!["exp"];
        match &rules.audience {
            Some(audience) => {
                validation.set_audience(audience);
                required.push("aud");
            }
            None => validation.validate_aud = false,
        }
        if let Some(issuer) = &rules.issuer {
            validation.set_issuer(issuer);
            required.push("iss");
        }
        validation.set_required_spec_claims(&required);
        let read = decode::<Map<String, Value>>(token, &key.key, &validation);
        read.map(|read| read.claims).map_err(|error| {
            Denial::Token(match error.kind() {
                ErrorKind::ExpiredSignature => "Token Expired",
                ErrorKind::ImmatureSignature => "it does not hold yet",
                ErrorKind::InvalidAudience => "it is for somebody else",
                ErrorKind::InvalidIssuer => "somebody else issued it",
                ErrorKind::MissingRequiredClaim(_) => "a claim is missing: exp, aud or iss",
                _ => "its signature is not the provider's",
            })
        })
    }

    /// The users, teams and organisations that a token names, with what it may call.
    async fn bearer_of(&self, rules: &JwtRules, identity: &Identity) -> Result<Bearer, Denial> {
        let claims = &rules.claims;
        let mut teams = identity.teams.iter();
        let mut team = teams.next();
        let mut bearer = loop {
            let key = key_of(identity, team);
            let found = self.parties(key, missing(rules, identity, team)).await?;
            match (&found.team, team) {
                (None, Some(_)) => team = teams.next(),
                _ => break found,
            }
            if team.is_none() {
                // None of its teams is known.
                break found;
            }
        };
        if identity.admin {
            let user = bearer.user.get_or_insert_with(|| User {
                user_id: identity.user.clone().unwrap_or_else(|| ADMIN.to_owned()),
                ..User::default()
            });
            user.user_role = Some(Role::ProxyAdmin);
            bearer.key.user_id = Some(user.user_id.clone());
            bearer
                .key
                .allowed_routes
                .clone_from(&claims.admin_allowed_routes);
            return Ok(bearer);
        }
        if bearer.team.is_none() && !identity.teams.is_empty() {
            return Err(Denial::Token(
                "its team doesn't exist in db; make it via `/team/new`",
            ));
        }
        if bearer.user.is_none() && identity.user.is_some() {
            return Err(Denial::Token(
                "its user doesn't exist in db; make it via `/user/new`",
            ));
        }
        if bearer.organization.is_none() && identity.organization.is_some() {
            return Err(Denial::Token("its organization doesn't exist in db"));
        }
        if bearer.team.is_some() {
            bearer
                .key
                .allowed_routes
                .clone_from(&claims.team_allowed_routes);
        }
        Ok(bearer)
    }

    async fn parties(&self, key: Key, missing: Missing) -> Result<Bearer, Denial> {
        let Some(accounts) = &self.accounts else {
            return Ok(Bearer {
                key,
                ..Bearer::default()
            });
        };
        accounts.parties(key, missing).await.map_err(|down| {
            tracing::warn!(%down, "a token's bearer is not known");
            Denial::StoreDown
        })
    }
}

/// The last instant at which a token of this `exp` holds.
fn end(exp: f64) -> Time {
    #[expect(
        clippy::cast_possible_truncation,
        reason = "a cast of floats to integers stays within what they hold"
    )]
    let seconds = exp as i64;
    let leeway = i64::try_from(LEEWAY).unwrap_or_default();
    Time(seconds.saturating_add(leeway).saturating_mul(1_000_000))
}

/// What stands for a token as its key: the same for all tokens of the same user, team and
/// organisation, so that spend and figures know them as one.
fn key_of(identity: &Identity, team: Option<&String>) -> Key {
    let named = [identity.user.as_ref(), team, identity.organization.as_ref()];
    let named = named.map(|name| name.map_or("", String::as_str));
    let whole = format!("jwt\0{}\0{}", identity.admin, named.join("\0"));
    Key {
        token: KeyDigest::of(whole.as_bytes()).to_string(),
        key_name: "jwt".to_owned(),
        user_id: identity.user.clone(),
        team_id: team.cloned(),
        organization_id: identity.organization.clone(),
        ..Key::default()
    }
}

/// The records that the file wants made for those who are not known yet.
fn missing(rules: &JwtRules, identity: &Identity, team: Option<&String>) -> Missing {
    let claims = &rules.claims;
    let now = Time::now();
    let welcome = claims
        .user_allowed_email_domain
        .as_ref()
        .is_none_or(|domain| {
            let of_email = identity
                .email
                .as_deref()
                .and_then(|email| email.rsplit_once('@'));
            of_email.is_some_and(|(_, of_email)| of_email.eq_ignore_ascii_case(domain))
        });
    let user = identity
        .user
        .clone()
        .filter(|_| claims.user_id_upsert && welcome);
    Missing {
        user: user.map(|user_id| User {
            user_id,
            user_email: identity.email.clone(),
            user_role: Some(Role::InternalUser),
            organization_id: identity.organization.clone(),
            created_by: Some("jwt".to_owned()),
            created_at: now,
            updated_at: now,
            ..User::default()
        }),
        team: team.filter(|_| claims.team_id_upsert).map(|team_id| Team {
            team_id: team_id.clone(),
            created_at: now,
            updated_at: now,
            ..Team::default()
        }),
    }
}
