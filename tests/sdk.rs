//! OpenAI's own SDKs, from their registries, through the gateway to the fake upstream.
//!
//! The first run installs them, pinned, in the build's folder for temporary files; later runs find
//! them there.

#![expect(clippy::unwrap_used, reason = "to panic is how a test fails")]

use std::fs;
use std::path::{Path, PathBuf};
use support::gateway;
use support::install::{install_once, run};
use support::scene::{MASTER_KEY, Scene, UPSTREAM_KEY};
use support::{Gateway, Upstream};
use tokio::process::Command;

/// Where a language's SDK is installed.
fn installed(language: &str, pins: &str) -> PathBuf {
    let name = format!("sdk-{language}");
    support::install::installed(env!("CARGO_TARGET_TMPDIR"), &name, pins)
}

/// The gateway with what both scripts talk to: `chat`, `vectors`, `azure` and `demo`.
async fn scene() -> Scene {
    let upstream = Upstream::start().await;
    let config = format!(
        "model_list:
  - model_name: chat
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
        upstream.url("")
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
        .env_remove("OPENAI_API_KEY")
        .env_remove("OPENAI_BASE_URL")
}

fn sources(language: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/sdk")
        .join(language)
}

#[tokio::test]
async fn the_python_sdk_works_through_the_gateway() {
    const INSTALL: &str = "apt-get install -y python3 python3-venv";
    let sources = sources("python");
    let pins = fs::read_to_string(sources.join("requirements.txt")).unwrap();
    let folder = installed("python", &pins);
    let python = folder.join("bin/python");
    install_once(&folder, async |folder: &Path| {
        run(
            Command::new("python3").args(["-m", "venv"]).arg(folder),
            INSTALL,
        )
        .await;
        let pip = [
            "-m",
            "pip",
            "install",
            "--quiet",
            "--disable-pip-version-check",
            "-r",
        ];
        run(
            Command::new(&python)
                .args(pip)
                .arg(sources.join("requirements.txt")),
            INSTALL,
        )
        .await;
    })
    .await;
    let scene = scene().await;
    let mut tests = Command::new(&python);
    tests
        .args(["-m", "unittest", "-v", "test_openai"])
        .current_dir(&sources);
    tests.env("PYTHONDONTWRITEBYTECODE", "1");
    run(
        with_ends(&mut tests, &scene.gateway, &scene.upstream),
        INSTALL,
    )
    .await;
    assert!(scene.upstream.seen().len() > 50);
    assert!(!scene.gateway.log().contains(UPSTREAM_KEY));
}

#[tokio::test]
async fn the_node_sdk_works_through_the_gateway() {
    const INSTALL: &str = "apt-get install -y nodejs npm";
    let sources = sources("node");
    let pins = fs::read_to_string(sources.join("package-lock.json")).unwrap();
    let folder = installed("node", &pins);
    install_once(&folder, async |folder: &Path| {
        for name in ["package.json", "package-lock.json"] {
            fs::copy(sources.join(name), folder.join(name)).unwrap();
        }
        let npm = ["ci", "--no-audit", "--no-fund", "--ignore-scripts"];
        run(Command::new("npm").args(npm).current_dir(folder), INSTALL).await;
    })
    .await;
    // A module finds its packages beside itself.
    fs::copy(
        sources.join("openai.test.mjs"),
        folder.join("openai.test.mjs"),
    )
    .unwrap();
    let scene = scene().await;
    let mut tests = Command::new("node");
    tests
        .args(["--test", "openai.test.mjs"])
        .current_dir(&folder);
    run(
        with_ends(&mut tests, &scene.gateway, &scene.upstream),
        INSTALL,
    )
    .await;
    assert!(scene.upstream.seen().len() > 15);
}
