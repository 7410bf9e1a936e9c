//! OpenAI's clients at Vertex AI: paths, bodies and tokens.

#![expect(clippy::unwrap_used, reason = "to panic is how a test fails")]
#![expect(
    non_snake_case,
    reason = "the provider stands before the capability in the name"
)]

use std::path::Path;
use std::process::Command;

use http_body_util::{BodyExt, Full};
use serde_json::{Value, json};
use support::scene::{CHAT, MASTER_KEY, Scene};
use support::{Upstream, gateway};
use tokio::net::TcpListener;
use tokio::sync::mpsc;

/// A private key that nobody else has, in PEM.
fn private_key(folder: &Path) -> String {
    let path = folder.join("key.pem");
    let made = Command::new("openssl")
        .args([
            "genpkey",
            "-algorithm",
            "RSA",
            "-pkeyopt",
            "rsa_keygen_bits:2048",
            "-out",
        ])
        .arg(&path)
        .output();
    let made = made.expect("openssl, to make a key: apt-get install -y openssl");
    assert!(made.status.success(), "{made:?}");
    std::fs::read_to_string(path).unwrap()
}

/// Whether a token was signed with the key in this folder.
fn is_signed(folder: &Path, token: &str) -> bool {
    let (said, signature) = token.rsplit_once('.').unwrap();
    let file = |name: &str, bytes: &[u8]| {
        let path = folder.join(name);
        std::fs::write(&path, bytes).unwrap();
        path
    };
    let said = file("said", said.as_bytes());
    let signature = file("signature", &base64url(signature));
    let checked = Command::new("openssl")
        .args(["dgst", "-sha256", "-prverify"])
        .arg(folder.join("key.pem"))
        .arg("-signature")
        .args([signature, said])
        .output();
    checked.unwrap().status.success()
}

fn base64url(text: &str) -> Vec<u8> {
    let value = |byte: u8| match byte {
        b'A'..=b'Z' => byte - b'A',
        b'a'..=b'z' => byte - b'a' + 26,
        b'0'..=b'9' => byte - b'0' + 52,
        b'-' => 62,
        _ => 63,
    };
    let mut out = Vec::new();
    let (mut held, mut bits) = (0_u32, 0);
    for byte in text.bytes() {
        held = held << 6 | u32::from(value(byte));
        bits += 6;
        if bits >= 8 {
            bits -= 8;
            out.push((held >> bits & 0xff) as u8);
        }
    }
    out
}

/// Deployments whose credentials are in this file.
async fn scene(credentials: &Path) -> Scene {
    let upstream = Upstream::start().await;
    let entry = |name: &str, model: &str| {
        format!(
            "  - model_name: {name}
    litellm_params:
      model: vertex_ai/{model}
      api_base: {}
      vertex_project: my-project
      vertex_location: europe-west6
      vertex_credentials: {}
",
            upstream.url(""),
            credentials.display()
        )
    };
    let config = format!(
        "model_list:\n{}{}{}{}{}router_settings:
  num_retries: 0
general_settings:
  master_key: os.environ/TEST_MASTER_KEY
",
        entry("gemini", "gemini-2.5-flash"),
        entry("claude", "claude-sonnet-4-5@20250929"),
        entry("vectors", "text-embedding-005"),
        entry("say", "gemini-2.5-flash-tts"),
        entry("draw", "gemini-2.5-flash-image"),
    );
    let setup = support::scene::keyed(gateway!());
    let gateway = setup.config(&config).start().await;
    let client = gateway.client().key(MASTER_KEY);
    Scene {
        upstream,
        gateway,
        client,
    }
}

fn says(model: &str) -> Value {
    json!({"model": model, "messages": [{"role": "user", "content": "hi"}]})
}

fn account(folder: &Path) -> std::path::PathBuf {
    let path = folder.join("account.json");
    let key = json!({"type": "service_account", "project_id": "of-key", "private_key_id": "kid",
        "private_key": private_key(folder), "client_email": "a@of-key.iam.gserviceaccount.com",
        "client_id": "1", "token_uri": "https://oauth2.googleapis.com/token"});
    std::fs::write(&path, key.to_string()).unwrap();
    path
}

#[tokio::test]
async fn vertex_ai__answers() {
    let folder = tempfile::tempdir().unwrap();
    let scene = scene(&account(folder.path())).await;
    let answer = scene.client.post(CHAT, &says("gemini")).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let said = &answer.json()["choices"][0]["message"]["content"];
    assert_eq!(said, "You said: hi");
    let seen = scene.upstream.only();
    assert_eq!(
        seen.path,
        "/v1beta1/projects/my-project/locations/europe-west6/publishers/google/models/gemini-2.5-flash:generateContent"
    );

    // The account signs its token itself.
    let shown = seen.headers["authorization"].to_str().unwrap();
    let token = shown.strip_prefix("Bearer ").unwrap();
    let claims: Value =
        serde_json::from_slice(&base64url(token.split('.').nth(1).unwrap())).unwrap();
    assert_eq!(claims["iss"], "a@of-key.iam.gserviceaccount.com");
    assert_eq!(
        claims["scope"],
        "https://www.googleapis.com/auth/cloud-platform"
    );
    assert!(is_signed(folder.path(), token));

    // The token is good for the next call, too.
    scene.client.post(CHAT, &says("gemini")).await;
    let all = scene.upstream.seen();
    assert_eq!(
        all[0].headers["authorization"],
        all[1].headers["authorization"]
    );
    assert!(!scene.gateway.log().contains(token));
}

#[tokio::test]
async fn vertex_ai__streams() {
    let folder = tempfile::tempdir().unwrap();
    let scene = scene(&account(folder.path())).await;
    for model in ["gemini", "claude"] {
        let mut body = says(model);
        body["stream"] = json!(true);
        let mut stream = scene.client.stream(CHAT, &body).await;
        assert_eq!(stream.status, 200);
        let events = stream.all().await;
        let text: String = events
            .iter()
            .filter_map(|event| serde_json::from_str::<Value>(event).ok())
            .filter_map(|chunk| {
                let text = chunk["choices"][0]["delta"]["content"].as_str()?;
                Some(text.to_owned())
            })
            .collect();
        assert_eq!(text, "You said: hi", "{model}");
    }
}

#[tokio::test]
async fn vertex_ai__completes_prompts() {
    let folder = tempfile::tempdir().unwrap();
    let scene = scene(&account(folder.path())).await;
    for model in ["gemini", "claude"] {
        let mut body = json!({"model": model, "prompt": "hi there", "max_tokens": 9});
        let answer = scene.client.post("/v1/completions", &body).await;
        assert_eq!(answer.status, 200, "{model}: {}", answer.text());
        let answer = answer.json();
        assert_eq!(answer["object"], "text_completion", "{answer}");
        assert_eq!(answer["choices"][0]["text"], "You said: hi there");
        assert!(answer["usage"]["total_tokens"].as_u64() > Some(0));
        body["stream"] = true.into();
        let mut stream = scene.client.stream("/v1/completions", &body).await;
        let mut events = stream.all().await;
        assert_eq!(events.pop().as_deref(), Some("[DONE]"), "{model}");
        let text: String = events
            .iter()
            .filter_map(|event| serde_json::from_str::<Value>(event).ok())
            .filter_map(|chunk| Some(chunk["choices"][0]["text"].as_str()?.to_owned()))
            .collect();
        assert_eq!(text, "You said: hi there", "{model}");
    }
}

#[tokio::test]
async fn vertex_ai__speaks_and_draws() {
    let folder = tempfile::tempdir().unwrap();
    let scene = scene(&account(folder.path())).await;
    let body = json!({"model": "say", "input": "Hello.", "voice": "Kore"});
    let answer = scene.client.post("/v1/audio/speech", &body).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(answer.body.len(), 48_044);
    let body = json!({"model": "draw", "prompt": "a hare"});
    let answer = scene.client.post("/v1/images/generations", &body).await;
    assert_eq!(answer.json()["data"][0]["b64_json"], "iVBORw0KGgo=");
    let body = json!({"model": "claude", "prompt": "a hare"});
    let answer = scene.client.post("/v1/images/generations", &body).await;
    assert_eq!(answer.status, 501, "{}", answer.text());
}

#[tokio::test]
async fn vertex_ai__anthropic_models() {
    let folder = tempfile::tempdir().unwrap();
    let scene = scene(&account(folder.path())).await;
    let answer = scene.client.post(CHAT, &says("claude")).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let said = &answer.json()["choices"][0]["message"]["content"];
    assert_eq!(said, "You said: hi");
    assert!(
        scene
            .upstream
            .only()
            .path
            .ends_with("/publishers/anthropic/models/claude-sonnet-4-5@20250929:rawPredict")
    );
}

#[tokio::test]
async fn vertex_ai__embeds() {
    let folder = tempfile::tempdir().unwrap();
    let scene = scene(&account(folder.path())).await;
    let body = json!({"model": "vectors", "input": ["a", "b"]});
    let answer = scene.client.post("/v1/embeddings", &body).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let answer = answer.json();
    assert_eq!(answer["data"][1]["embedding"], json!([0.5, -0.125, 0.25]));
    assert_eq!(answer["usage"]["prompt_tokens"], 8);
    let path = scene.upstream.only().path;
    assert!(path.ends_with("/publishers/google/models/text-embedding-005:predict"));
}

/// A token endpoint that counts and gives out `token-1`, `token-2`, …, or refuses.
async fn token_endpoint(status: u16) -> (String, mpsc::UnboundedReceiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/token", listener.local_addr().unwrap());
    let (asked, seen) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        let mut count = 0;
        while let Ok((stream, _)) = listener.accept().await {
            count += 1;
            let asked = asked.clone();
            let service = hyper::service::service_fn(
                move |request: http::Request<hyper::body::Incoming>| {
                    let asked = asked.clone();
                    async move {
                        let body = request.into_body().collect().await?.to_bytes();
                        let _ = asked.send(String::from_utf8_lossy(&body).into_owned());
                        let token = json!({"access_token": format!("token-{count}"), "expires_in": 3600,
                        "token_type": "Bearer"});
                        let body = if status == 200 {
                            token
                        } else {
                            json!({"error": "invalid_grant"})
                        };
                        let response = http::Response::builder()
                            .status(status)
                            .header("content-type", "application/json")
                            .body(Full::<bytes::Bytes>::from(body.to_string()));
                        Ok::<_, hyper::Error>(response.unwrap())
                    }
                },
            );
            let io = hyper_util::rt::TokioIo::new(stream);
            tokio::spawn(hyper::server::conn::http1::Builder::new().serve_connection(io, service));
        }
    });
    (url, seen)
}

/// A person's credentials, whose tokens come from this endpoint.
fn person(folder: &Path, token_uri: &str) -> std::path::PathBuf {
    let path = folder.join("person.json");
    let credentials = json!({"type": "authorized_user", "client_id": "c", "client_secret": "s3cr3t-of-a-client",
        "refresh_token": "r3fr3sh-of-a-person", "token_uri": token_uri});
    std::fs::write(&path, credentials.to_string()).unwrap();
    path
}

#[tokio::test]
async fn vertex_ai__fetches_one_token_for_all_who_wait() {
    let folder = tempfile::tempdir().unwrap();
    let (url, mut asked) = token_endpoint(200).await;
    let scene = scene(&person(folder.path(), &url)).await;
    let calls = (0..8).map(|_| {
        let client = scene.client.clone();
        tokio::spawn(async move { client.post(CHAT, &says("gemini")).await.status })
    });
    for call in calls.collect::<Vec<_>>() {
        assert_eq!(call.await.unwrap(), 200);
    }
    assert!(asked.recv().await.unwrap().contains("r3fr3sh-of-a-person"));
    assert!(asked.try_recv().is_err(), "one token for all");
    for seen in scene.upstream.seen() {
        assert_eq!(seen.headers["authorization"], "Bearer token-1");
    }
}

#[tokio::test]
async fn vertex_ai__tells_credentials_that_google_refuses() {
    let folder = tempfile::tempdir().unwrap();
    let (url, _asked) = token_endpoint(401).await;
    let scene = scene(&person(folder.path(), &url)).await;
    let answer = scene.client.post(CHAT, &says("gemini")).await;
    assert_eq!(answer.status, 401, "{}", answer.text());
    for secret in ["r3fr3sh-of-a-person", "s3cr3t-of-a-client"] {
        assert!(!answer.text().contains(secret));
        assert!(!scene.gateway.log().contains(secret));
    }
    assert!(scene.upstream.seen().is_empty());
}

#[tokio::test]
async fn googles_whole_api_goes_on_with_the_files_credentials() {
    let folder = tempfile::tempdir().unwrap();
    let scene = scene(&account(folder.path())).await;
    let said = json!({"contents": [{"role": "user", "parts": [{"text": "hi"}]}]});
    let path = "projects/anybodys/locations/us-central1/publishers/google/models";
    let whole = format!("/vertex_ai/v1beta1/{path}/gemini-2.5-flash:generateContent");
    let answer = scene.client.post(&whole, &said).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert!(answer.json()["candidates"].is_array(), "{}", answer.text());
    let streamed =
        format!("/vertex_ai/v1beta1/{path}/gemini-2.5-flash:streamGenerateContent?alt=sse");
    let mut stream = scene.client.stream(&streamed, &said).await;
    assert!(!stream.all().await.is_empty());
    let seen = scene.upstream.seen();
    assert_eq!(
        seen[0].path,
        "/v1beta1/projects/my-project/locations/us-central1/publishers/google/models/gemini-2.5-flash:generateContent"
    );
    assert_eq!(seen[1].query.as_deref(), Some("alt=sse"));
    for seen in &seen {
        let shown = seen.header("authorization").unwrap();
        assert!(is_signed(
            folder.path(),
            shown.strip_prefix("Bearer ").unwrap()
        ));
    }
    // Both are charged for.
    let lines = |log: &str| {
        let lines = log
            .lines()
            .filter(|line| line.contains("pass_through_endpoint"));
        lines
            .filter_map(|line| serde_json::from_str::<Value>(line).ok())
            .collect::<Vec<_>>()
    };
    let process = scene.gateway.process();
    process
        .until_log("two lines", |log| lines(log).len() == 2)
        .await;
    for line in lines(&scene.gateway.log()) {
        assert_eq!(line["provider"], "vertex_ai");
        assert!(line["prompt_tokens"].as_u64().unwrap() > 0, "{line}");
        assert!(line["cost"].as_f64().unwrap() > 0.0, "{line}");
    }
}

#[tokio::test]
async fn googles_sdk_for_vertex_finds_the_front_door() {
    let folder = tempfile::tempdir().unwrap();
    let scene = scene(&account(folder.path())).await;
    let said = json!({"contents": [{"role": "user", "parts": [{"text": "hi"}]}]});
    for version in ["v1", "v1beta1"] {
        let path = format!(
            "/{version}/projects/p/locations/l/publishers/google/models/claude:generateContent"
        );
        let answer = scene.client.post(&path, &said).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        let text = &answer.json()["candidates"][0]["content"]["parts"][0]["text"];
        assert!(text.is_string(), "{}", answer.text());
    }
}
