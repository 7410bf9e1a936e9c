//! The identity provider's public keys: fetched, kept, and fetched anew (RFC 7517).

use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Uri, header};
use http_body_util::{BodyExt, Limited};
use jsonwebtoken::jwk::{AlgorithmParameters, Jwk, PublicKeyUse};
use jsonwebtoken::{Algorithm, AlgorithmFamily, DecodingKey};
use serde::Deserialize;
use serde_json::Value;
use smallvec::SmallVec;
use tokio::time::{Instant, timeout};

use crate::upstream::client::{Client, Pieces};

/// How long the provider may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// Longest list of keys that is read.
const MAX_BYTES: usize = 1 << 20;
/// Most keys of one list.
const MOST: usize = 200;
/// Keys are not fetched more often than this, whatever tokens name.
const PAUSE: Duration = Duration::from_secs(10);
/// Keys that cannot be fetched anew are believed for this long.
const STALE: Duration = Duration::from_hours(24);

/// A public key and what it is for.
#[derive(Clone, Debug)]
pub(super) struct PublicKey {
    pub(super) id: Option<String>,
    pub(super) algorithms: Vec<Algorithm>,
    pub(super) key: DecodingKey,
}

/// The keys at some addresses. One fetch at a time; between two there is a pause.
#[derive(Debug)]
pub(super) struct KeySet {
    urls: Vec<Uri>,
    ttl: Duration,
    client: Client,
    kept: Mutex<Vec<Source>>,
    fetching: tokio::sync::Mutex<()>,
}

/// What one address gave.
#[derive(Clone, Debug, Default)]
struct Source {
    keys: Vec<PublicKey>,
    /// When it last gave them.
    read: Option<Instant>,
    /// When it was last asked.
    asked: Option<Instant>,
}

impl KeySet {
    pub(super) fn new(urls: Vec<Uri>, ttl: Duration, client: Client) -> Self {
        let kept = vec![Source::default(); urls.len()];
        Self {
            urls,
            ttl,
            client,
            kept: Mutex::new(kept),
            fetching: tokio::sync::Mutex::new(()),
        }
    }

    /// The key that a token names; one that names none is meant for the only one there is.
    ///
    /// An old key holds while the provider is asked behind the request's back, for a day if need be;
    /// for one that is not known the request waits. `None` if there is no such key; `Err` if there
    /// are no keys to look at.
    pub(super) async fn find(
        self: &Arc<Self>,
        id: Option<&str>,
    ) -> Result<Option<PublicKey>, NoKeys> {
        if let Some(found) = self.look(id, self.ttl) {
            return Ok(Some(found));
        }
        if let Some(found) = self.look(id, STALE) {
            if self.may_ask() {
                let keys = Arc::clone(self);
                tokio::spawn(async move { keys.fetch().await });
            }
            return Ok(Some(found));
        }
        self.fetch().await;
        if let Some(found) = self.look(id, STALE) {
            return Ok(Some(found));
        }
        let kept = self.kept();
        if kept.iter().any(|source| source.fresh(STALE)) {
            Ok(None)
        } else {
            Err(NoKeys)
        }
    }

    fn kept(&self) -> std::sync::MutexGuard<'_, Vec<Source>> {
        self.kept
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn look(&self, id: Option<&str>, age: Duration) -> Option<PublicKey> {
        let kept = self.kept();
        let mut keys = kept
            .iter()
            .filter(|source| source.fresh(age))
            .flat_map(|source| &source.keys);
        if id.is_some() {
            return keys.find(|key| key.id.as_deref() == id).cloned();
        }
        let only = keys.next()?;
        keys.next().is_none().then(|| only.clone())
    }

    /// Whether some address was not asked just now.
    fn may_ask(&self) -> bool {
        let now = Instant::now();
        let kept = self.kept();
        kept.iter()
            .any(|source| source.asked.is_none_or(|asked| now - asked >= PAUSE))
    }

    /// Asks every address that was not asked just now; who comes meanwhile waits for the same answers.
    async fn fetch(&self) {
        let _alone = self.fetching.lock().await;
        for (at, url) in self.urls.iter().enumerate() {
            let now = Instant::now();
            {
                let source = &mut self.kept()[at];
                if source.asked.is_some_and(|asked| now - asked < PAUSE) {
                    continue;
                }
                source.asked = Some(now);
            }
            match timeout(PATIENCE, self.ask(url)).await {
                Ok(Ok(keys)) => {
                    let source = &mut self.kept()[at];
                    source.keys = keys;
                    source.read = Some(now);
                }
                Ok(Err(why)) => tracing::warn!(host = url.host(), why, "no keys for tokens came"),
                Err(_) => tracing::warn!(host = url.host(), "no keys for tokens came in time"),
            }
        }
    }

    async fn ask(&self, url: &Uri) -> Result<Vec<PublicKey>, &'static str> {
        let request = Request::get(url.clone())
            .header(header::ACCEPT, "application/json")
            .body(Pieces::new(SmallVec::new()))
            .map_err(|_| "the address is none")?;
        let answer = self
            .client
            .send(request)
            .await
            .map_err(|error| error.cause())?;
        if !answer.status().is_success() {
            return Err("the answer is no success");
        }
        let body = Limited::new(answer.into_body(), MAX_BYTES).collect().await;
        let body = body.map_err(|_| "the answer broke off, or is too long")?;
        read(&body.to_bytes()).ok_or("the answer is no list of keys")
    }
}

impl Source {
    fn fresh(&self, age: Duration) -> bool {
        self.read.is_some_and(|read| read.elapsed() < age)
    }
}

/// There are no keys, because nobody could be asked for them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct NoKeys;

/// The keys of a list that tokens can be verified with; the others are left out.
fn read(body: &Bytes) -> Option<Vec<PublicKey>> {
    #[derive(Deserialize)]
    struct List {
        keys: Vec<Value>,
    }
    let list: List = serde_json::from_slice(body).ok()?;
    let keys = list.keys.into_iter().take(MOST);
    Some(keys.filter_map(public_key).collect())
}

fn public_key(value: Value) -> Option<PublicKey> {
    let jwk: Jwk = serde_json::from_value(value).ok()?;
    if jwk
        .common
        .public_key_use
        .as_ref()
        .is_some_and(|purpose| *purpose != PublicKeyUse::Signature)
    {
        return None;
    }
    // A secret that is published is none.
    if matches!(jwk.algorithm, AlgorithmParameters::OctetKey(_)) {
        return None;
    }
    let key = DecodingKey::from_jwk(&jwk).ok()?;
    let of_family = key.family().algorithms().to_vec();
    let algorithms = match jwk.common.key_algorithm {
        None => of_family,
        Some(named) => {
            let named: Algorithm = named.to_string().parse().ok()?;
            of_family.into_iter().filter(|one| *one == named).collect()
        }
    };
    (key.family() != AlgorithmFamily::Hmac && !algorithms.is_empty()).then_some(PublicKey {
        id: jwk.common.key_id,
        algorithms,
        key,
    })
}

#[cfg(test)]
mod tests {
    use std::future::ready;

    use http::Response;
    use http_body_util::Full;
    use serde_json::json;

    use super::*;
    use crate::upstream::client::SendError;

    /// A provider that publishes a key of this name; without one it is away.
    #[derive(Clone, Debug, Default)]
    struct Fake(Arc<Mutex<(Option<&'static str>, usize)>>);

    impl Fake {
        fn publish(&self, id: Option<&'static str>) {
            self.0.lock().unwrap().0 = id;
        }

        fn asked(&self) -> usize {
            self.0.lock().unwrap().1
        }

        fn keys(&self) -> Arc<KeySet> {
            let fake = self.clone();
            let client = Client::within(move |_| {
                let mut kept = fake.0.lock().unwrap();
                kept.1 += 1;
                let answer = kept.0.map(|id| {
                    let key = json!({"kty": "RSA", "kid": id, "n": "AQAB", "e": "AQAB"});
                    Full::new(Bytes::from(json!({"keys": [key]}).to_string()))
                });
                ready(answer.map(Response::new).ok_or(SendError::Address))
            });
            let urls = vec![Uri::from_static("https://id.test/keys")];
            Arc::new(KeySet::new(urls, Duration::from_mins(10), client))
        }
    }

    async fn finds(keys: &Arc<KeySet>, id: &str) -> Option<bool> {
        keys.find(Some(id)).await.ok().map(|key| key.is_some())
    }

    #[tokio::test(start_paused = true)]
    async fn a_key_that_is_new_is_asked_for_though_not_again_and_again() {
        let fake = Fake::default();
        fake.publish(Some("one"));
        let keys = fake.keys();
        assert_eq!(finds(&keys, "one").await, Some(true));
        fake.publish(Some("two"));
        for _ in 0..100 {
            assert_eq!(finds(&keys, "two").await, Some(false));
        }
        assert_eq!(fake.asked(), 1);
        tokio::time::advance(PAUSE).await;
        assert_eq!(finds(&keys, "two").await, Some(true));
        assert_eq!(finds(&keys, "one").await, Some(false));
        assert_eq!(fake.asked(), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn old_keys_hold_for_a_day_while_the_provider_is_away() {
        let fake = Fake::default();
        let keys = fake.keys();
        assert_eq!(finds(&keys, "one").await, None);
        fake.publish(Some("one"));
        tokio::time::advance(PAUSE).await;
        assert_eq!(finds(&keys, "one").await, Some(true));
        fake.publish(None);
        tokio::time::advance(STALE / 2).await;
        assert_eq!(finds(&keys, "one").await, Some(true));
        tokio::task::yield_now().await;
        assert_eq!(fake.asked(), 3, "it was asked behind the request's back");
        tokio::time::advance(STALE).await;
        assert_eq!(finds(&keys, "one").await, None);
    }

    #[test]
    fn only_public_keys_for_signatures_are_taken() {
        let list = Bytes::from_static(
            br#"{"keys": [
                {"kty": "oct", "kid": "secret", "k": "c2VjcmV0"},
                {"kty": "RSA", "kid": "enc", "use": "enc", "n": "AQAB", "e": "AQAB"},
                {"kty": "RSA", "kid": "one", "alg": "RS256", "n": "AQAB", "e": "AQAB"},
                {"kty": "RSA", "kid": "any", "n": "AQAB", "e": "AQAB"},
                {"kty": "EC", "kid": "hmac", "alg": "HS256", "crv": "P-256", "x": "AQAB", "y": "AQAB"},
                {"kty": "of another time"}
            ]}"#,
        );
        let keys = read(&list).unwrap();
        let ids: Vec<_> = keys.iter().filter_map(|key| key.id.as_deref()).collect();
        assert_eq!(ids, ["one", "any"]);
        assert_eq!(keys[0].algorithms, [Algorithm::RS256]);
        assert_eq!(keys[1].algorithms.len(), 6);
        assert!(read(&Bytes::from_static(b"<html>")).is_none());
    }
}
