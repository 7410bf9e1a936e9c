//! Tokens of an identity provider: real signatures, and a real server that gives out the keys.

#![expect(clippy::unwrap_used, reason = "to panic is how a test fails")]

use std::sync::{Arc, Mutex};
use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::rand::SystemRandom;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _, RSA_PKCS1_SHA256, RsaKeyPair,
    RsaPublicKeyComponents,
};
use serde_json::{Value, json};
use support::{Client, Gateway, soon};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

const MASTER: &str = "sk-master-of-the-tests";

const CONFIG: &str = "
model_list:
  - model_name: gpt-4
    litellm_params: {model: openai/gpt-4o, mock_response: hi, input_cost_per_token: 0.00001, output_cost_per_token: 0.00002}
  - model_name: other
    litellm_params: {model: openai/other, mock_response: hi}
general_settings:
  master_key: sk-master-of-the-tests
  enable_jwt_auth: true
  litellm_jwtauth:
    user_id_jwt_field: sub
    user_email_jwt_field: email
    user_id_upsert: true
    user_allowed_email_domain: id.test
    team_ids_jwt_field: realm.groups
    org_id_jwt_field: org
    end_user_id_jwt_field: customer
    admin_jwt_scope: gateway-admin
";

fn encoded(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

fn now() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap()
        .as_secs()
}

/// An identity provider with an RSA key `one`, an elliptic one `curve`, and an RSA key `two` that it
/// does not publish.
struct Issuer {
    one: RsaKeyPair,
    two: RsaKeyPair,
    curve: EcdsaKeyPair,
    url: String,
    asked: Arc<Mutex<usize>>,
}

impl Issuer {
    async fn start() -> Self {
        let random = SystemRandom::new();
        let document = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random);
        let document = document.unwrap();
        let curve =
            EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, document.as_ref(), &random);
        let one = include_bytes!("fixtures/jwt/one.pk8");
        let two = include_bytes!("fixtures/jwt/two.pk8");
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let issuer = Self {
            one: RsaKeyPair::from_pkcs8(one).unwrap(),
            two: RsaKeyPair::from_pkcs8(two).unwrap(),
            curve: curve.unwrap(),
            url: format!("http://{}/keys", listener.local_addr().unwrap()),
            asked: Arc::default(),
        };
        tokio::spawn(serve(
            listener,
            issuer.keys().to_string(),
            Arc::clone(&issuer.asked),
        ));
        issuer
    }

    fn modulus(&self) -> Vec<u8> {
        RsaPublicKeyComponents::<Vec<u8>>::from(self.one.public()).n
    }

    /// What it publishes (RFC 7517).
    fn keys(&self) -> Value {
        let rsa = RsaPublicKeyComponents::<Vec<u8>>::from(self.one.public());
        let point = self.curve.public_key().as_ref();
        json!({"keys": [
            {"kty": "RSA", "kid": "one", "use": "sig", "alg": "RS256", "n": encoded(rsa.n), "e": encoded(rsa.e)},
            {"kty": "EC", "kid": "curve", "crv": "P-256", "x": encoded(&point[1..33]), "y": encoded(&point[33..])},
        ]})
    }

    /// A token for the gateway, with these claims beside its hour of life.
    fn token(&self, claims: &Value) -> String {
        let mut all =
            json!({"iss": "https://id.test", "aud": ["gateway", "others"], "exp": now() + 3_600});
        for (name, value) in claims.as_object().unwrap() {
            all[name] = value.clone();
        }
        self.signed(
            &json!({"alg": "RS256", "kid": "one", "typ": "JWT"}),
            &all,
            "one",
        )
    }

    fn signed(&self, header: &Value, claims: &Value, key: &str) -> String {
        let message = format!(
            "{}.{}",
            encoded(header.to_string()),
            encoded(claims.to_string())
        );
        let random = SystemRandom::new();
        let rsa = |pair: &RsaKeyPair| {
            let mut signature = vec![0; pair.public().modulus_len()];
            pair.sign(
                &RSA_PKCS1_SHA256,
                &random,
                message.as_bytes(),
                &mut signature,
            )
            .unwrap();
            signature
        };
        let signature = match key {
            "one" => rsa(&self.one),
            "two" => rsa(&self.two),
            "curve" => self
                .curve
                .sign(&random, message.as_bytes())
                .unwrap()
                .as_ref()
                .to_vec(),
            "none" => Vec::new(),
            // The public key as if it were a secret.
            "public" => {
                let secret = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, &self.modulus());
                ring::hmac::sign(&secret, message.as_bytes())
                    .as_ref()
                    .to_vec()
            }
            other => panic!("there is no key {other}"),
        };
        format!("{message}.{}", encoded(signature))
    }

    async fn gateway(&self) -> Gateway {
        support::gateway!()
            .config(CONFIG)
            .env("JWT_PUBLIC_KEY_URL", &self.url)
            .env("JWT_AUDIENCE", "gateway")
            .env("JWT_ISSUER", "https://id.test")
            .start()
            .await
    }
}

async fn serve(listener: TcpListener, keys: String, asked: Arc<Mutex<usize>>) {
    while let Ok((mut socket, _)) = listener.accept().await {
        *asked.lock().unwrap() += 1;
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(socket.read_u8().await.unwrap());
        }
        let answer = format!(
            "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{keys}",
            keys.len()
        );
        socket.write_all(answer.as_bytes()).await.unwrap();
    }
}

async fn ok(client: &Client, path: &str, body: Value) -> Value {
    let answer = client.post(path, &body).await;
    assert_eq!(answer.status, 200, "{path} {body}: {}", answer.text());
    answer.json()
}

async fn chat(gateway: &Gateway, token: &str, model: &str) -> (u16, String) {
    let body = json!({"model": model, "messages": [{"role": "user", "content": "hi"}]});
    let answer = gateway
        .client()
        .key(token)
        .post("/v1/chat/completions", &body)
        .await;
    (answer.status, answer.text())
}

#[tokio::test]
async fn a_token_is_held_to_the_limits_of_the_team_and_user_that_it_names() {
    let issuer = Issuer::start().await;
    let gateway = issuer.gateway().await;
    let admin = gateway.client().key(MASTER);
    ok(
        &admin,
        "/team/new",
        json!({"team_id": "t", "models": ["gpt-4"], "max_budget": 0.0005}),
    )
    .await;
    let claims = json!({"sub": "ann", "email": "ann@id.test", "realm": {"groups": ["unknown", "t"]},
        "customer": "acme"});
    let token = issuer.token(&claims);
    assert_eq!(chat(&gateway, &token, "gpt-4").await.0, 200);
    let (status, text) = chat(&gateway, &token, "other").await;
    assert!(
        status == 403 && text.contains("team_model_access_denied"),
        "{status} {text}"
    );
    // The team's money counts whatever token is shown.
    let another =
        issuer.token(&json!({"sub": "bob", "email": "bob@id.test", "realm": {"groups": ["t"]}}));
    let (status, text) = chat(&gateway, &another, "gpt-4").await;
    assert!(
        status == 429 && text.contains("Budget has been exceeded"),
        "{status} {text}"
    );
    // Who was not known has been made, and what was spent is theirs.
    let rows = async {
        loop {
            let rows = admin
                .get("/spend/logs?user_id=ann&status_filter=success")
                .await
                .json();
            if !rows.as_array().unwrap().is_empty() {
                break rows;
            }
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    };
    let rows = soon("the rows of spend", rows).await;
    assert_eq!(
        (&rows[0]["team_id"], &rows[0]["end_user"]),
        (&json!("t"), &json!("acme"))
    );
    assert_eq!(rows[0]["api_key"].as_str().unwrap().len(), 64);
    let user = admin.get("/v2/user/info?user_id=ann").await.json();
    assert_eq!(
        (&user["user_email"], &user["user_role"]),
        (&json!("ann@id.test"), &json!("internal_user"))
    );
    // A team's token is for models.
    let refused = gateway
        .client()
        .key(&token)
        .post("/key/generate", &json!({}))
        .await;
    assert_eq!(refused.status, 403, "{}", refused.text());
    assert_eq!(*issuer.asked.lock().unwrap(), 1, "the keys are kept");
    assert!(
        !gateway.log().contains(&token[..40]),
        "a token is in the log"
    );
}

#[tokio::test]
async fn who_was_blocked_is_refused_within_a_second() {
    let issuer = Issuer::start().await;
    let gateway = issuer.gateway().await;
    let admin = gateway.client().key(MASTER);
    ok(&admin, "/team/new", json!({"team_id": "t"})).await;
    let token = issuer.token(&json!({"realm": {"groups": ["t"]}}));
    assert_eq!(chat(&gateway, &token, "gpt-4").await.0, 200);
    ok(&admin, "/team/block", json!({"team_id": "t"})).await;
    let refused = async {
        while chat(&gateway, &token, "gpt-4").await.0 != 401 {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    };
    soon("the team is blocked", refused).await;
}

#[tokio::test]
async fn every_token_that_is_not_whole_and_ours_is_refused() {
    let issuer = Issuer::start().await;
    let gateway = issuer.gateway().await;
    let good = json!({"iss": "https://id.test", "aud": "gateway", "exp": now() + 600});
    let with = |name: &str, value: Value| {
        let mut claims = good.clone();
        claims[name] = value;
        if claims[name].is_null() {
            claims.as_object_mut().unwrap().remove(name);
        }
        claims
    };
    let header = |algorithm: &str, kid: &str| json!({"alg": algorithm, "kid": kid});
    let rsa = header("RS256", "one");
    for token in [
        issuer.signed(&rsa, &good, "one"),
        issuer.signed(&header("ES256", "curve"), &good, "curve"),
        // Clocks differ a little.
        issuer.signed(&rsa, &with("exp", json!(now() - 30)), "one"),
    ] {
        let (status, text) = chat(&gateway, &token, "gpt-4").await;
        assert_eq!(status, 200, "{text}");
    }
    let mut changed = issuer.signed(&rsa, &good, "one");
    let at = changed.find('.').unwrap() + 5;
    changed.replace_range(
        at..=at,
        if changed.as_bytes()[at] == b'A' {
            "B"
        } else {
            "A"
        },
    );
    for (what, token) in [
        (
            "expired",
            issuer.signed(&rsa, &with("exp", json!(now() - 600)), "one"),
        ),
        (
            "for ever",
            issuer.signed(&rsa, &with("exp", Value::Null), "one"),
        ),
        (
            "not yet",
            issuer.signed(&rsa, &with("nbf", json!(now() + 600)), "one"),
        ),
        (
            "for another",
            issuer.signed(&rsa, &with("aud", json!("other")), "one"),
        ),
        (
            "for nobody",
            issuer.signed(&rsa, &with("aud", Value::Null), "one"),
        ),
        (
            "of another",
            issuer.signed(&rsa, &with("iss", json!("https://else.test")), "one"),
        ),
        ("another's signature", issuer.signed(&rsa, &good, "two")),
        (
            "another's key",
            issuer.signed(&header("RS256", "two"), &good, "two"),
        ),
        (
            "no key named",
            issuer.signed(&json!({"alg": "RS256"}), &good, "one"),
        ),
        (
            "no signature",
            issuer.signed(&header("none", "one"), &good, "none"),
        ),
        (
            "no signature, None",
            issuer.signed(&header("None", "one"), &good, "none"),
        ),
        ("an empty signature", issuer.signed(&rsa, &good, "none")),
        (
            "the public key as a secret",
            issuer.signed(&header("HS256", "one"), &good, "public"),
        ),
        (
            "the secret said to be RSA",
            issuer.signed(&rsa, &good, "public"),
        ),
        (
            "another algorithm of the key",
            issuer.signed(&header("RS512", "one"), &good, "one"),
        ),
        (
            "the curve's key for RSA",
            issuer.signed(&header("ES256", "one"), &good, "curve"),
        ),
        ("changed claims", changed),
    ] {
        let (status, text) = chat(&gateway, &token, "gpt-4").await;
        assert_eq!(status, 401, "{what}: {text}");
        assert!(text.contains("auth_error"), "{what}: {text}");
    }
}

#[tokio::test]
async fn a_token_that_names_nobody_known_is_refused_and_so_is_one_beside_a_key() {
    let issuer = Issuer::start().await;
    let gateway = issuer.gateway().await;
    // Users outside the domain are not made, organisations and teams must be known.
    for claims in [
        json!({"sub": "eve", "email": "eve@else.test"}),
        json!({"sub": "eve"}),
        json!({"realm": {"groups": ["unknown"]}}),
        json!({"org": "unknown"}),
    ] {
        let (status, text) = chat(&gateway, &issuer.token(&claims), "gpt-4").await;
        assert_eq!(status, 401, "{claims}: {text}");
        assert!(text.contains("doesn't exist in db"), "{claims}: {text}");
    }
    // A token beside a key is a contradiction.
    let both = gateway
        .client()
        .key(MASTER)
        .header("x-api-key", &issuer.token(&json!({})));
    assert_eq!(both.get("/v1/models").await.status, 401);
}

#[tokio::test]
async fn an_admins_scope_opens_the_admin_api_and_nothing_else_does() {
    let issuer = Issuer::start().await;
    let gateway = issuer.gateway().await;
    let token = issuer.token(&json!({"scope": "openid gateway-admin"}));
    let admin = gateway.client().key(&token);
    let made = ok(&admin, "/key/generate", json!({})).await;
    assert_eq!(made["created_by"], "default_user_id");
    assert_eq!(admin.get("/user/list").await.status, 200);
    assert_eq!(chat(&gateway, &token, "gpt-4").await.0, 403);
    let user =
        issuer.token(&json!({"sub": "u", "email": "u@id.test", "scope": "gateway-administrator"}));
    let user = gateway.client().key(&user);
    assert_eq!(user.get("/user/list").await.status, 401);
    let own = ok(&user, "/key/generate", json!({})).await;
    assert_eq!(own["user_id"], "u");
    // A role that was given here counts with the next call.
    let raised = json!({"user_id": "u", "user_role": "proxy_admin_viewer"});
    ok(&gateway.client().key(MASTER), "/user/update", raised).await;
    assert_eq!(user.get("/user/list").await.status, 200);
}

#[tokio::test]
async fn without_the_switch_a_token_is_no_key_and_without_keys_it_waits_for_them() {
    let issuer = Issuer::start().await;
    let token = issuer.token(&json!({}));
    let off = CONFIG.replace("enable_jwt_auth: true", "enable_jwt_auth: false");
    let gateway = support::gateway!().config(&off).start().await;
    assert_eq!(chat(&gateway, &token, "gpt-4").await.0, 401);

    let nowhere = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/keys", nowhere.local_addr().unwrap());
    drop(nowhere);
    let gateway = support::gateway!()
        .config(CONFIG)
        .env("JWT_PUBLIC_KEY_URL", &url)
        .start()
        .await;
    let (status, text) = chat(&gateway, &token, "gpt-4").await;
    assert_eq!(status, 503, "{text}");
    let gateway = support::gateway!().config(CONFIG).run().await;
    assert!(
        gateway.log.contains("JWT_PUBLIC_KEY_URL"),
        "{}",
        gateway.log
    );
}
