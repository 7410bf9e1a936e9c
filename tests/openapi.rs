//! The admin API under requests that schemathesis makes from its OpenAPI document: right ones, wrong
//! ones and those on the edge. None of them ends in a 5xx, and every answer is one that the document
//! names.
//!
//! The first run installs the pinned tool in the build's folder for temporary files; later runs find
//! it there.

#![expect(clippy::unwrap_used, reason = "to panic is how a test fails")]

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::json;
use support::install::{install_once, installed, run};
use support::{Gateway, Postgres};
use tokio::process::Command;
use tokio::sync::OnceCell;

const MASTER: &str = "sk-master-of-the-tests";
const CONFIG: &str = "
model_list:
  - model_name: m
    litellm_params: {model: openai/m, mock_response: hi}
general_settings:
  master_key: sk-master-of-the-tests
";
const INSTALL: &str = "apt-get install -y python3 python3-venv";

fn sources() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/openapi")
}

/// The tool, installed once for all tests.
async fn tool() -> &'static Path {
    static TOOL: OnceCell<PathBuf> = OnceCell::const_new();
    TOOL.get_or_init(async || {
        let pins = sources().join("requirements.txt");
        let text = fs::read_to_string(&pins).unwrap();
        let folder = installed(env!("CARGO_TARGET_TMPDIR"), "schemathesis", &text);
        install_once(&folder, async |folder: &Path| {
            let mut venv = Command::new("python3");
            run(venv.args(["-m", "venv"]).arg(folder), INSTALL).await;
            let mut pip = Command::new(folder.join("bin/python"));
            pip.args(["-m", "pip", "install", "--quiet"])
                .args(["--disable-pip-version-check", "-r"])
                .arg(&pins);
            run(&mut pip, INSTALL).await;
        })
        .await;
        folder.join("bin/st")
    })
    .await
}

/// What `hooks.py` puts in the place of ids that the tool made up.
async fn make_what_is_known(gateway: &Gateway) {
    let admin = gateway.client().key(MASTER);
    for (path, body) in [
        (
            "/budget/new",
            json!({"budget_id": "known-budget", "max_budget": 5}),
        ),
        (
            "/organization/new",
            json!({"organization_id": "known-organization", "organization_alias": "o",
                "budget_id": "known-budget"}),
        ),
        ("/user/new", json!({"user_id": "known-user"})),
        ("/team/new", json!({"team_id": "known-team"})),
        ("/customer/new", json!({"user_id": "known-customer"})),
        ("/key/generate", json!({"key": "sk-known-key"})),
    ] {
        let answer = admin.post(path, &body).await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
    }
}

/// Calls every endpoint with what the tool thinks of, by a fixed seed.
async fn call_everything(gateway: &Gateway, phases: &str, examples: &str) {
    make_what_is_known(gateway).await;
    // The tool remembers in its folder what it found there, and its next run would begin with that.
    let folder = tempfile::tempdir().unwrap();
    let mut command = Command::new(tool().await);
    command
        .arg("run")
        .arg(gateway.url("/openapi.json"))
        .args(["--header", &format!("Authorization: Bearer {MASTER}")])
        .args(["--checks", CHECKS])
        .args(["--phases", phases])
        .args(["--max-examples", examples, "--seed", "20261121"])
        .args(["--generation-database", "none"])
        .args(["--no-shrink", "--continue-on-failure"])
        .args(["--no-color", "--warnings", "off"])
        .current_dir(folder.path())
        .env("SCHEMATHESIS_HOOKS", "hooks")
        .env("PYTHONPATH", sources())
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .env("NO_PROXY", "127.0.0.1");
    let told = run(&mut command, INSTALL).await;
    let alive = gateway.client().get("/health/readiness").await;
    assert_eq!(alive.status, 200, "{told}");
    let log = gateway.log();
    assert!(!log.contains("panicked"), "{log}");
    // Had the cases come no further than the checks of their fields, nothing would have been changed.
    let audit = gateway.client().key(MASTER).get("/audit").await.json();
    let changes = audit["total"].as_u64().unwrap();
    assert!(changes > 30, "{changes} changes\n{told}");
}

const CHECKS: &str = "not_a_server_error,status_code_conformance,content_type_conformance,\
    response_schema_conformance";

#[tokio::test]
async fn no_request_that_the_document_suggests_is_the_gateways_fault() {
    let gateway = support::gateway!().config(CONFIG).start().await;
    call_everything(&gateway, "coverage,fuzzing", "4").await;
}

#[tokio::test]
async fn nor_is_it_with_postgresql() {
    let server = Postgres::start().await;
    let database = server.database();
    let setup = support::gateway!().config(CONFIG);
    let gateway = setup.env("DATABASE_URL", &database).start().await;
    // What fields may hold is read before any database is asked: the edges are SQLite's to try.
    call_everything(&gateway, "fuzzing", "10").await;
}
