//! Fakes that are easy to find stand wherever a secret can, and are looked for wherever they must
//! not be.

use serde_json::{Value, json};
use support::process::{Process, Signal};
use support::scene::{CHAT, Scene, saying, streaming};
use support::{Client, Content, Ending, Postgres, Reply, Upstream, gateway};

const MASTER: &str = "sk-canary-master-6f1b22c9";
const PROVIDER: &str = "sk-canary-provider-93ad77e0";
const IN_CLEAR: &str = "sk-canary-clear-0b5de4f1";
const HEADER: &str = "canary-header-2c7711aa";
const REDIS: &str = "canary-redis-5510fe";
const DATABASE: &str = "canary-database-aa0192";
const CALLBACK: &str = "sk-lf-canary-callback-77";
const STATIC: &str = "sk-canary-static-18cc03";
const PROMPT: &str = "canary-prompt-do-not-keep";

fn config(upstream: &Upstream, database: &str) -> String {
    format!(
        "model_list:
  - model_name: chat
    litellm_params:
      model: openai/gpt-4o-mini
      api_base: {base}
      api_key: os.environ/TEST_PROVIDER_KEY
      extra_headers:
        x-team-secret: {HEADER}
  - model_name: clear
    litellm_params:
      model: openai/gpt-4o-mini
      api_base: {base}
      api_key: {IN_CLEAR}
router_settings:
  num_retries: 0
  redis_host: 127.0.0.1
  redis_password: {REDIS}
general_settings:
  master_key: os.environ/TEST_MASTER
  database_url: {database}
environment_variables:
  LANGFUSE_SECRET_KEY: {CALLBACK}
",
        base = upstream.url("/v1")
    )
}

/// Every part of a fake that tells that it is one.
const CANARIES: &[&str] = &[
    "canary", "6f1b22c9", "93ad77e0", "0b5de4f1", "2c7711aa", "5510fe", "aa0192", "18cc03",
];

fn assert_clean(place: &str, text: &str) {
    for canary in CANARIES {
        assert!(!text.contains(canary), "{canary} in {place}: {text}");
    }
}

async fn provoke(client: &Client, upstream: &Upstream, model: &str) {
    let mut body = saying(PROMPT);
    body["model"] = json!(model);
    let mut streamed = streaming(PROMPT);
    streamed["model"] = json!(model);
    // What this deployment itself was sent, and what anybody can see to be a key.
    let header = if model == "chat" { HEADER } else { "none" };
    let echo = format!("Incorrect API key provided: {PROVIDER} or {IN_CLEAR}, header {header}");
    for reply in [
        Reply::default(),
        Reply::error(401, &echo),
        Reply {
            status: 500,
            content: Content::Text(echo.clone()),
            ..Reply::default()
        },
        Reply {
            content: Content::Json(json!({"error": echo})),
            ..Reply::default()
        },
        Reply {
            content: Content::Html,
            ..Reply::default()
        },
        Reply {
            echo_credential: true,
            ..Reply::default()
        }
        .header("x-request-id", header),
        Reply {
            content: Content::HangUp,
            ..Reply::default()
        },
        Reply {
            ending: Ending::CutAfter(200),
            ..Reply::default()
        },
        Reply::redirect(302, &format!("http://127.0.0.1:9/?key={PROVIDER}")),
        Reply::events([json!({"error": {"message": echo}}).to_string()]),
    ] {
        let shown = format!("{reply:?}");
        for body in [&body, &streamed] {
            upstream.next(reply.clone());
            let answer = client.post(CHAT, body).await;
            // What the upstream says in the text of an answer is the caller's own business.
            if answer.status != 200 {
                assert_clean(&shown, &answer.text());
            }
            for (name, value) in &answer.headers {
                assert_clean(name.as_str(), &String::from_utf8_lossy(value.as_bytes()));
            }
        }
    }
}

#[tokio::test]
async fn no_secret_and_no_prompt_is_ever_told() {
    let upstream = Upstream::start().await;
    let server = Postgres::start().await;
    // The server lets everybody in; that it does not need the password does not make it known.
    let database = server.database().replacen('@', &format!(":{DATABASE}@"), 1);
    let config_text = config(&upstream, &database);
    let gateway = gateway!()
        .config(&config_text)
        .env("TEST_MASTER", MASTER)
        .env("TEST_PROVIDER_KEY", PROVIDER)
        .env("RUST_LOG", "trace")
        .arg("--detailed_debug")
        .start()
        .await;
    let client = gateway.client().key(MASTER);
    for model in ["chat", "clear"] {
        provoke(&client, &upstream, model).await;
    }
    for path in [
        "/",
        "/health",
        "/health/readiness",
        "/health/liveliness",
        "/metrics",
        "/v1/models",
        "/nothing",
    ] {
        let known = client.get(path).await;
        assert_clean(path, &known.text());
        assert_clean(path, &gateway.client().get(path).await.text());
        let wrong = gateway
            .client()
            .key(STATIC)
            .get(&format!("{path}?api_key={STATIC}"))
            .await;
        assert_clean(path, &wrong.text().replace("sk-...cc03", ""));
    }
    let mut smuggled = saying(PROMPT);
    smuggled["api_key"] = json!("sk-canary-of-the-client");
    assert_clean("a refusal", &client.post(CHAT, &smuggled).await.text());
    assert_clean(
        "bad JSON",
        &client
            .post_text(CHAT, &format!("{{\"a\":\"{PROMPT}\","))
            .await
            .text(),
    );
    gateway.rewrite(&config_text.replace("num_retries: 0", &format!("num_retries: {IN_CLEAR}")));
    gateway.signal(Signal::HUP);
    gateway.until_log("num_retries").await;
    let section = "general_settings:\n";
    gateway
        .rewrite(&config_text.replace(section, &format!("{section}  no_such_key: {IN_CLEAR}\n")));
    gateway.signal(Signal::HUP);
    gateway.until_log("no_such_key").await;
    let exit = gateway.stop().await;
    assert_clean("the log", &exit.log);
}

#[tokio::test]
async fn no_command_tells_a_secret() {
    let upstream = Upstream::start().await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("config.yaml");
    let right = config(
        &upstream,
        &format!("postgresql://user:{DATABASE}@127.0.0.1:5432/db"),
    );
    let wrong = right
        .replace("redis_password", "redis_pasword")
        .replace("api_key: sk", "api_kye: sk");
    let environment = [
        ("TEST_MASTER".to_owned(), MASTER.to_owned()),
        ("TEST_PROVIDER_KEY".to_owned(), PROVIDER.to_owned()),
    ];
    for text in [&right, &wrong] {
        std::fs::write(&path, text).unwrap();
        let path = path.to_str().unwrap();
        for arguments in [
            vec!["check", path],
            vec!["check", "--json", path],
            vec!["routes", path],
            vec!["expand", path],
        ] {
            let binary = env!("CARGO_BIN_EXE_pointsman").as_ref();
            let exit = Process::start(binary, &arguments, &environment)
                .unwrap()
                .exit()
                .await;
            assert_clean(&format!("{arguments:?}"), &exit.log);
        }
    }
}

#[tokio::test]
async fn a_credential_goes_to_its_own_origin_only() {
    let elsewhere = Upstream::start().await;
    let scene = Scene::start(gateway!()).await;
    for status in [301, 302, 303, 307, 308] {
        for body in [saying("hi"), streaming("hi")] {
            scene
                .upstream
                .next(Reply::redirect(status, &elsewhere.url(CHAT)));
            let answer = scene.client.post(CHAT, &body).await;
            assert_eq!(answer.status, 502, "{status}: {}", answer.text());
            let error: Value = answer.json();
            assert!(
                !error.to_string().contains(&elsewhere.address().to_string()),
                "{error}"
            );
        }
    }
    assert_eq!(elsewhere.seen().len(), 0);
}
