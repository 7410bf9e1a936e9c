//! The SDKs that people use, from their registries, through the gateway to the fake upstream.
//!
//! The first run installs them, pinned, in the build's folder for temporary files; later runs find
//! them there.

#![expect(clippy::unwrap_used, reason = "to panic is how a test fails")]

use std::collections::BTreeSet;
use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use support::gateway;
use support::install::{install_once, run};
use support::scene::{MASTER_KEY, Scene, UPSTREAM_KEY};
use support::{Gateway, Upstream};
use tokio::process::Command;
use tokio::sync::OnceCell;

/// Where a language's SDK is installed.
fn installed(language: &str, pins: &str) -> PathBuf {
    let name = format!("sdk-{language}");
    support::install::installed(env!("CARGO_TARGET_TMPDIR"), &name, pins)
}

/// OpenAI's SDK is meant to send a message back as it came, with members that its type of a request lacks.
const AS_IT_CAME: &[&str] = &["messages.annotations"];

/// The gateway with what the scripts talk to: `chat`, `vectors`, `azure`, `demo`; for responses `bridged`,
/// `claude` and `flash`; and what has to do with audio and images: `hear`, `listen`, `say` and `draw`.
async fn scene() -> Scene {
    let upstream = Upstream::start().await;
    upstream.also_takes(AS_IT_CAME);
    // What the tests send past the SDK.
    upstream.also_takes(&["top_k", "vendor"]);
    let media = [
        ("hear", "whisper-1"),
        ("listen", "gpt-4o-transcribe"),
        ("say", "tts-1"),
        ("draw", "gpt-image-1"),
    ];
    let media = media.map(|(name, model)| {
        format!(
            "  - model_name: {name}
    litellm_params:
      model: openai/{model}
      api_base: {}
      api_key: os.environ/TEST_UPSTREAM_KEY
",
            upstream.url("/v1")
        )
    });
    let config = format!(
        "model_list:
{2}  - model_name: chat
    litellm_params:
      model: openai/gpt-4o-mini
      api_base: {0}
      api_key: os.environ/TEST_UPSTREAM_KEY
  - model_name: vectors
    litellm_params:
      model: openai/text-embedding-3-small
      api_base: {0}
      api_key: os.environ/TEST_UPSTREAM_KEY
  - model_name: azure
    litellm_params:
      model: azure/my-deployment
      api_base: {1}
      api_version: \"2024-10-21\"
      api_key: os.environ/TEST_UPSTREAM_KEY
  - model_name: bridged
    litellm_params:
      model: openai/gpt-4o-mini
      api_base: {0}
      api_key: os.environ/TEST_UPSTREAM_KEY
      use_chat_completions_api: true
  - model_name: claude
    litellm_params:
      model: anthropic/claude-sonnet-4-5
      api_base: {1}
      api_key: os.environ/TEST_UPSTREAM_KEY
  - model_name: flash
    litellm_params:
      model: gemini/gemini-2.5-flash
      api_base: {1}
      api_key: os.environ/TEST_UPSTREAM_KEY
  - model_name: demo
    litellm_params:
      model: openai/demo
      mock_response: All signals green.
router_settings:
  num_retries: 0
general_settings:
  master_key: os.environ/TEST_MASTER_KEY
",
        upstream.url("/v1"),
        upstream.url(""),
        media.concat()
    );
    Scene::between(upstream, gateway!(), &config).await
}

fn with_ends<'a>(
    command: &'a mut Command,
    gateway: &Gateway,
    upstream: &Upstream,
) -> &'a mut Command {
    command
        .env("GATEWAY_URL", gateway.url(""))
        .env("GATEWAY_KEY", MASTER_KEY)
        .env("UPSTREAM_URL", upstream.url(""))
        .env("TEST_AWS_ID", AWS_ID)
        .env("TEST_AWS_SECRET", AWS_SECRET)
        .env_remove("OPENAI_API_KEY")
        .env_remove("OPENAI_BASE_URL")
}

fn sources(language: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/sdk")
        .join(language)
}

/// The Python that has the SDKs, installed once for all tests.
async fn python() -> &'static Path {
    static PYTHON: OnceCell<PathBuf> = OnceCell::const_new();
    PYTHON.get_or_init(install_python).await
}

const INSTALL_PYTHON: &str = "apt-get install -y python3 python3-venv";

async fn install_python() -> PathBuf {
    let pins = sources("python").join("requirements.txt");
    let older = sources("python").join("older.txt");
    let both = [&pins, &older].map(|file| fs::read_to_string(file).unwrap());
    let folder = installed("python", &both.concat());
    let python = folder.join("bin/python");
    install_once(&folder, async |folder: &Path| {
        let mut venv = Command::new("python3");
        run(venv.args(["-m", "venv"]).arg(folder), INSTALL_PYTHON).await;
        let pip = [
            "-m",
            "pip",
            "install",
            "--quiet",
            "--disable-pip-version-check",
            "-r",
        ];
        run(Command::new(&python).args(pip).arg(&pins), INSTALL_PYTHON).await;
        // They stand beside the newer ones of the same name, and use what those use.
        let mut command = Command::new(&python);
        let beside = command
            .args(pip)
            .arg(&older)
            .args(["--no-deps", "--target"]);
        run(beside.arg(folder.join("older")), INSTALL_PYTHON).await;
    })
    .await;
    python
}

/// Runs a script of Python's.
async fn run_python(script: &str, gateway: &Gateway, upstream: &Upstream) {
    let mut tests = Command::new(python().await);
    tests
        .args(["-m", "unittest", "-v", script])
        .current_dir(sources("python"))
        .env("PYTHONDONTWRITEBYTECODE", "1");
    run(with_ends(&mut tests, gateway, upstream), INSTALL_PYTHON).await;
}

const INSTALL_NODE: &str = "apt-get install -y nodejs npm";

/// The folder that has the SDKs for Node, installed once for all tests.
async fn node() -> &'static Path {
    static NODE: OnceCell<PathBuf> = OnceCell::const_new();
    NODE.get_or_init(install_node).await
}

async fn install_node() -> PathBuf {
    let sources = sources("node");
    let pins = fs::read_to_string(sources.join("package-lock.json")).unwrap();
    let folder = installed("node", &pins);
    install_once(&folder, async |folder: &Path| {
        for name in ["package.json", "package-lock.json"] {
            fs::copy(sources.join(name), folder.join(name)).unwrap();
        }
        let npm = ["ci", "--no-audit", "--no-fund", "--ignore-scripts"];
        let mut install = Command::new("npm");
        run(install.args(npm).current_dir(folder), INSTALL_NODE).await;
    })
    .await;
    fs::copy(sources.join("ends.mjs"), folder.join("ends.mjs")).unwrap();
    folder
}

/// Runs a script of Node's.
async fn run_node(script: &str, gateway: &Gateway, upstream: &Upstream) {
    let folder = node().await;
    // A module finds its packages beside itself.
    fs::copy(sources("node").join(script), folder.join(script)).unwrap();
    let mut tests = Command::new("node");
    tests.args(["--test", script]).current_dir(folder);
    run(with_ends(&mut tests, gateway, upstream), INSTALL_NODE).await;
}

/// The fakes of providers know what their SDKs know, and nothing else: `UPDATE=1` writes the tables anew.
#[tokio::test]
async fn the_types_of_requests_are_those_of_the_sdks() {
    let kept = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/support/types");
    let made = tempfile::tempdir().unwrap();
    let mut derive = Command::new(python().await);
    derive
        .args(["-m", "request_types"])
        .arg(made.path())
        .current_dir(sources("python"))
        .env("PYTHONDONTWRITEBYTECODE", "1");
    run(&mut derive, INSTALL_PYTHON).await;
    let mut names = BTreeSet::new();
    for folder in [made.path(), &kept] {
        let files = fs::read_dir(folder).unwrap();
        names.extend(files.map(|file| file.unwrap().file_name()));
    }
    assert!(!names.is_empty());
    for name in names {
        let fresh = fs::read(made.path().join(&name)).unwrap_or_default();
        if env::var_os("UPDATE").is_some() {
            fs::write(kept.join(&name), &fresh).unwrap();
        }
        assert!(
            fs::read(kept.join(&name)).unwrap_or_default() == fresh,
            "{} is out of date: UPDATE=1 cargo test --test sdk the_types_of_requests",
            name.display()
        );
    }
}

#[tokio::test]
async fn the_python_sdk_works_through_the_gateway() {
    let scene = scene().await;
    for script in ["test_openai", "test_openai_media", "test_responses"] {
        run_python(script, &scene.gateway, &scene.upstream).await;
    }
    assert!(scene.upstream.seen().len() > 50);
    assert!(!scene.gateway.log().contains(UPSTREAM_KEY));
}

#[tokio::test]
async fn the_node_sdk_works_through_the_gateway() {
    let scene = scene().await;
    for script in [
        "openai.test.mjs",
        "openai_media.test.mjs",
        "responses.test.mjs",
    ] {
        run_node(script, &scene.gateway, &scene.upstream).await;
    }
    assert!(scene.upstream.seen().len() > 15);
}

/// The key of AWS's examples, with which the fake checks what is signed.
const AWS_ID: &str = "AKIDEXAMPLE";
const AWS_SECRET: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";

/// One model group for each kind of upstream, and some for embeddings.
async fn every_upstream() -> Scene {
    let upstream = Upstream::start().await;
    upstream.also_takes(AS_IT_CAME);
    let (root, v1) = (upstream.url(""), upstream.url("/v1"));
    let groups = [
        ("openai", "openai/gpt-4o-mini", &v1, ""),
        ("anthropic", "anthropic/claude-sonnet-4-5", &root, ""),
        ("gemini", "gemini/gemini-2.5-flash", &root, ""),
        (
            "vertex",
            "vertex_ai/gemini-2.5-pro",
            &root,
            "vertex_project: p\n      vertex_location: europe-west6",
        ),
        (
            "bedrock",
            "bedrock/anthropic.claude-opus-4-6-v1",
            &root,
            "aws_region_name: eu-west-1",
        ),
        (
            "signed",
            "bedrock/us.anthropic.claude-opus-4-1-20250805-v1:0",
            &root,
            "aws_region_name: eu-west-1
      aws_access_key_id: os.environ/TEST_AWS_ID
      aws_secret_access_key: os.environ/TEST_AWS_SECRET
      use_in_pass_through: true",
        ),
        ("cohere", "cohere/command-a-vision-07-2025", &root, ""),
        ("ollama", "ollama/llama3.2-vision", &root, ""),
        ("vectors", "openai/text-embedding-3-small", &v1, ""),
        ("own-vectors", "gemini/gemini-embedding-001", &root, ""),
        ("cohere-vectors", "cohere/embed-v4.0", &root, ""),
        ("ranking", "cohere/rerank-v3.5", &root, ""),
    ];
    let entries = groups.map(|(name, model, base, more)| {
        // What is signed shows no key.
        let key = match name {
            "signed" => "",
            _ => "api_key: os.environ/TEST_UPSTREAM_KEY",
        };
        format!(
            "  - model_name: {name}
    litellm_params:
      model: {model}
      api_base: {base}
      {key}
      {more}
"
        )
    });
    let config = format!(
        "model_list:
{}router_settings:
  num_retries: 0
  disable_cooldowns: true
general_settings:
  master_key: os.environ/TEST_MASTER_KEY
  pass_through_endpoints:
  - path: /ollama
    target: {root}
    include_subpath: true
    headers: {{authorization: 'Bearer ${{TEST_UPSTREAM_KEY}}'}}
",
        entries.concat()
    );
    let signing = gateway!()
        .env("TEST_AWS_ID", AWS_ID)
        .env("TEST_AWS_SECRET", AWS_SECRET);
    let scene = Scene::between(upstream, signing, &config).await;
    scene.upstream.also_expect_key(AWS_ID);
    scene
}

#[tokio::test]
async fn sdks_reach_the_apis_that_are_passed_on() {
    let scene = every_upstream().await;
    run_python("test_passed", &scene.gateway, &scene.upstream).await;
    assert!(scene.upstream.seen().len() > 10);
    assert!(!scene.gateway.log().contains(UPSTREAM_KEY));
}

#[tokio::test]
async fn every_python_sdk_reaches_every_upstream() {
    let scene = every_upstream().await;
    run_python("test_matrix", &scene.gateway, &scene.upstream).await;
    assert!(scene.upstream.seen().len() > 300);
    assert!(!scene.gateway.log().contains(UPSTREAM_KEY));
}

#[tokio::test]
async fn every_answer_is_of_the_sdks_types() {
    let scene = every_upstream().await;
    run_python("test_answers", &scene.gateway, &scene.upstream).await;
    assert!(scene.upstream.seen().len() > 200);
}

#[tokio::test]
async fn what_anthropics_sdk_can_beside_that_works() {
    let scene = every_upstream().await;
    run_python("test_anthropic", &scene.gateway, &scene.upstream).await;
}

#[tokio::test]
async fn what_googles_sdk_can_beside_that_works() {
    let scene = every_upstream().await;
    run_python("test_google", &scene.gateway, &scene.upstream).await;
}

#[tokio::test]
async fn every_node_sdk_reaches_every_upstream() {
    let scene = every_upstream().await;
    run_node("matrix.test.mjs", &scene.gateway, &scene.upstream).await;
    assert!(scene.upstream.seen().len() > 200);
}
