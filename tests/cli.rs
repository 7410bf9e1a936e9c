//! The commands, as a shell sees them.

#![expect(clippy::unwrap_used, reason = "to panic is how a test fails")]

use serde_json::Value;
use support::process::Exit;
use support::scene::{CHAT, MASTER_KEY, config, keyed, saying};
use support::{Upstream, gateway};
use tempfile::TempDir;

/// Runs a command on a file with this text; `FILE` among the arguments stands for its path.
async fn run(arguments: &[&str], text: &str) -> Exit {
    let folder = file(text);
    let path = folder.path().join("config.yaml").display().to_string();
    let setup = arguments.iter().fold(gateway!(), |setup, argument| {
        setup.arg(if *argument == "FILE" { &path } else { argument })
    });
    setup.run().await
}

fn file(text: &str) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("config.yaml"), text).unwrap();
    folder
}

const RIGHT: &str = "model_list:
  - model_name: fast
    litellm_params:
      model: openai/gpt-4o-mini
      api_key: os.environ/OPENAI_API_KEY
  - model_name: smart
    litellm_params:
      model: openai/gpt-4o
      api_key: os.environ/OPENAI_API_KEY
      rpm: 60
router_settings:
  fallbacks: [{fast: [smart]}]
general_settings:
  alerting_threshold: 300
";

#[tokio::test]
async fn check_is_content_with_a_right_file() {
    let exit = run(&["check", "FILE"], RIGHT).await;
    assert_eq!(exit.code(), Some(0), "{}", exit.log);
    assert!(
        exit.log.contains("alerting_threshold"),
        "the doctor names it: {}",
        exit.log
    );
}

#[tokio::test]
async fn check_tells_every_mistake_with_its_place() {
    let wrong = RIGHT
        .replace("[smart]", "[smrat]")
        .replace("rpm: 60", "rmp: 60");
    let exit = run(&["check", "FILE"], &wrong).await;
    assert_eq!(exit.code(), Some(1), "{}", exit.log);
    for part in [
        "config.yaml:10:",
        "rmp",
        "config.yaml:12:",
        "smrat",
        "smart",
        "^",
    ] {
        assert!(exit.log.contains(part), "{part} in {}", exit.log);
    }
}

#[tokio::test]
async fn check_speaks_json_to_programs() {
    let wrong = RIGHT.replace("[smart]", "[smrat]");
    let exit = run(&["check", "--json", "FILE"], &wrong).await;
    assert_eq!(exit.code(), Some(1), "{}", exit.log);
    let report: Value = serde_json::from_str(&exit.log).unwrap_or_else(|_| panic!("{}", exit.log));
    assert!(report.to_string().contains("smrat"), "{report}");
    let exit = run(&["check", "--json", "FILE"], RIGHT).await;
    assert_eq!(exit.code(), Some(0), "{}", exit.log);
    serde_json::from_str::<Value>(&exit.log).unwrap_or_else(|_| panic!("{}", exit.log));
}

#[tokio::test]
async fn check_of_a_file_that_is_not_there_fails() {
    let exit = gateway!().arg("check").arg("/nowhere/x.yaml").run().await;
    assert_eq!(exit.code(), Some(1), "{}", exit.log);
    assert!(exit.log.contains("/nowhere/x.yaml"), "{}", exit.log);
}

#[tokio::test]
async fn routes_shows_groups_chains_and_missing_keys() {
    let exit = run(&["routes", "FILE"], RIGHT).await;
    assert_eq!(exit.code(), Some(0), "{}", exit.log);
    for part in ["fast", "smart", "openai/gpt-4o-mini", "OPENAI_API_KEY"] {
        assert!(exit.log.contains(part), "{part} in {}", exit.log);
    }
}

#[tokio::test]
async fn routes_shows_the_compiled_table_without_a_file() {
    let exit = gateway!().arg("routes").run().await;
    assert_eq!(exit.code(), Some(0), "{}", exit.log);
    assert!(exit.log.contains("demo"), "{}", exit.log);
}

#[tokio::test]
async fn expand_shows_the_rust_that_a_file_becomes() {
    let exit = run(&["expand", "FILE"], RIGHT).await;
    assert_eq!(exit.code(), Some(0), "{}", exit.log);
    for part in ["enum", "Fast", "Smart", "static", "gpt-4o-mini"] {
        assert!(exit.log.contains(part), "{part} in {}", exit.log);
    }
}

#[tokio::test]
async fn litellms_own_command_line_works() {
    let upstream = Upstream::start().await;
    // The harness itself gives `--config` and `--port`.
    let setup = keyed(gateway!()).config(&config(&upstream, ""));
    let gateway = setup
        .arg("--host")
        .arg("0.0.0.0")
        .arg("--detailed_debug")
        .start()
        .await;
    let answer = gateway
        .client()
        .key(MASTER_KEY)
        .post(CHAT, &saying("hi"))
        .await;
    assert_eq!(answer.status, 200);
    let serve = keyed(gateway!())
        .arg("serve")
        .config(&config(&upstream, ""))
        .start()
        .await;
    assert_eq!(serve.client().get("/health/liveliness").await.status, 200);
}

#[tokio::test]
async fn an_unknown_switch_is_an_error_that_helps() {
    let exit = gateway!().arg("--prot").arg("4000").run().await;
    assert_eq!(exit.code(), Some(2), "{}", exit.log);
    assert!(exit.log.contains("--port"), "{}", exit.log);
    let version = gateway!().arg("--version").run().await;
    assert_eq!(version.code(), Some(0));
    assert!(
        version.log.contains(env!("CARGO_PKG_VERSION")),
        "{}",
        version.log
    );
}

#[tokio::test]
async fn a_taken_port_is_told() {
    let taken = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let exit = gateway!().arg("--port").arg(&port).run().await;
    assert_eq!(exit.code(), Some(1), "{}", exit.log);
    assert!(exit.log.contains(&port), "{}", exit.log);
}
