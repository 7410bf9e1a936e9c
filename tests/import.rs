//! Moving in from LiteLLM: the tables that LiteLLM's own migrations make, with rows as LiteLLM writes
//! them, into both databases; then callers come with the keys that they had.
//!
//! The migrations come from `PyPI`, pinned; the first run fetches them.

#![expect(clippy::unwrap_used, reason = "to panic is how a test fails")]

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use support::install::{install_once, installed, run};
use support::process::Exit;
use support::scene::{CHAT, MASTER_KEY, UPSTREAM_KEY, config, keyed, saying};
use support::{Client, Gateway, Postgres, Setup, Upstream, gateway};
use tempfile::TempDir;
use tokio::process::Command;
use tokio::sync::OnceCell;

/// LiteLLM's migrations as one file, in their order.
async fn migrations() -> &'static Path {
    static FILE: OnceCell<PathBuf> = OnceCell::const_new();
    FILE.get_or_init(fetch_migrations).await
}

async fn fetch_migrations() -> PathBuf {
    const INSTALL: &str = "apt-get install -y python3 python3-venv";
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/import");
    let pins = sources.join("requirements.txt");
    let text = fs::read_to_string(&pins).unwrap();
    let folder = installed(env!("CARGO_TARGET_TMPDIR"), "litellm-migrations", &text);
    install_once(&folder, async |folder: &Path| {
        let python = folder.join("bin/python");
        let venv = ["-m", "venv"];
        run(Command::new("python3").args(venv).arg(folder), INSTALL).await;
        let install = ["-m", "pip", "install", "--quiet", "--no-deps", "-r"];
        run(Command::new(&python).args(install).arg(&pins), INSTALL).await;
        let find = "import litellm_proxy_extras, pathlib, sys
root = pathlib.Path(litellm_proxy_extras.__file__).parent / 'migrations'
files = sorted(root.glob('*/migration.sql'))
pathlib.Path(sys.argv[1]).write_text('\\n;\\n'.join(f.read_text() for f in files))";
        let all = folder.join("all.sql");
        run(Command::new(&python).args(["-c", find]).arg(all), INSTALL).await;
    })
    .await;
    folder.join("all.sql")
}

/// A server with a LiteLLM database, and what moves in and out of it.
struct Move {
    server: Postgres,
    litellm: String,
    upstream: Upstream,
    folder: TempDir,
    /// Our database's URL; without one, it is SQLite's.
    ours: Option<String>,
}

impl Move {
    async fn begin(shared: bool) -> Self {
        let server = Postgres::start().await;
        let litellm = server.database();
        server.run_file(&litellm, migrations().await);
        let accounts = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/import/accounts.sql");
        server.run_file(&litellm, &accounts);
        let upstream = Upstream::start().await;
        upstream.expect_key(UPSTREAM_KEY);
        Self {
            ours: shared.then(|| server.database()),
            server,
            litellm,
            upstream,
            folder: tempfile::tempdir().unwrap(),
        }
    }

    fn setup(&self) -> Setup {
        let data = self.folder.path().join("data");
        let setup = keyed(gateway!())
            .env("POINTSMAN_DATA_DIR", data.to_str().unwrap())
            .env("LITELLM_SALT_KEY", "sk-salt-1234")
            .env("STORE_MODEL_IN_DB", "True");
        match &self.ours {
            Some(url) => setup.env("DATABASE_URL", url),
            None => setup,
        }
    }

    async fn import(&self, more: &[&str]) -> Exit {
        let setup = self.setup().arg("import").arg("--from").arg(&self.litellm);
        let setup = more.iter().fold(setup, |setup, more| setup.arg(more));
        let exit = setup.run().await;
        assert_eq!(exit.code(), Some(0), "{}", exit.log);
        exit
    }

    async fn serve(&self) -> Gateway {
        let prices = "input_cost_per_token: 0.001\noutput_cost_per_token: 0.001\n";
        let config = config(&self.upstream, prices);
        self.setup().config(&config).start().await
    }

    fn litellm(&self, sql: &str) -> String {
        self.server.run(&self.litellm, sql)
    }
}

/// The columns of a line of the report: there, new, changed, spent, same, removed, left.
fn line(exit: &Exit, kind: &str) -> [u64; 7] {
    let line = exit.log.lines().find(|line| line.starts_with(kind));
    let line = line.unwrap_or_else(|| panic!("{kind}: {}", exit.log));
    let numbers: Vec<u64> = line[kind.len()..]
        .split_whitespace()
        .map(|number| number.parse().unwrap())
        .collect();
    numbers.try_into().unwrap()
}

async fn get(client: &Client, path: &str) -> Value {
    let answer = client.get(path).await;
    assert_eq!(answer.status, 200, "{path}: {}", answer.text());
    answer.json()
}

async fn chat(gateway: &Gateway, key: &str) -> u16 {
    ask(gateway, key, "chat").await
}

async fn ask(gateway: &Gateway, key: &str, model: &str) -> u16 {
    let mut body = saying("hi");
    body["model"] = json!(model);
    gateway.client().key(key).post(CHAT, &body).await.status
}

fn close(value: &Value, expected: f64) {
    let value = value.as_f64().unwrap();
    assert!((value - expected).abs() < 1e-9, "{value} for {expected}");
}

async fn everybody_is_as_they_were(gateway: &Gateway) {
    let admin = gateway.client().key(MASTER_KEY);
    let key = get(&admin, "/key/info?key=sk-old-ann").await;
    let info = &key["info"];
    close(&info["spend"], 0.5);
    close(&info["max_budget"], 10.0);
    assert_eq!(info["key_alias"], "ann-laptop");
    assert_eq!(info["budget_duration"], "30d");
    assert!(
        info["budget_reset_at"]
            .as_str()
            .unwrap()
            .starts_with("2999-01-01")
    );
    assert_eq!(info["rpm_limit"], 600);
    assert_eq!(info["tags"], json!(["laptop"]));
    assert_eq!(info["metadata"]["owner"], "ops");
    close(&info["model_max_budget"]["chat"]["budget_limit"], 5.0);

    let team = get(&admin, "/team/info?team_id=search").await;
    close(&team["team_info"]["spend"], 4.5);
    close(&team["team_info"]["max_budget"], 100.0);
    close(&team["team_info"]["team_member_budget"], 2.5);
    assert_eq!(team["team_info"]["model_aliases"], json!({"cheap": "chat"}));
    assert_eq!(team["team_info"]["model_rpm_limit"], json!({"chat": 900}));
    let places = team["team_memberships"].as_array().unwrap();
    assert_eq!(places.len(), 2, "{team}");
    let ann = places
        .iter()
        .find(|place| place["user_id"] == "ann")
        .unwrap();
    close(&ann["spend"], 1.25);

    let user = get(&admin, "/user/info?user_id=ann").await;
    close(&user["user_info"]["spend"], 1.5);
    assert_eq!(user["user_info"]["user_role"], "internal_user");
    let organization = get(&admin, "/organization/info?organization_id=org-1").await;
    close(&organization["spend"], 12.5);
    let customer = get(&admin, "/customer/info?end_user_id=customer-1").await;
    close(&customer["spend"], 0.75);
    close(&get(&admin, "/global/spend").await["spend"], 17.25);

    let found = "/spend/logs/v2?start_date=2026-10-01&end_date=2026-10-31&page_size=10";
    assert_eq!(get(&admin, found).await["total"], 1200);
    let row = &get(&admin, "/spend/logs?request_id=req-7").await[0];
    close(&row["spend"], 0.00125);
    assert_eq!(
        (&row["user"], &row["team_id"], &row["organization_id"]),
        (&json!("ann"), &json!("search"), &json!("org-1"))
    );
}

async fn callers_come_with_their_old_keys(gateway: &Gateway) {
    for (key, status) in [
        ("sk-old-ann", 200),
        // Rotated there, and still in its grace.
        ("sk-older-ann", 200),
        ("sk-oldest-ann", 401),
        ("sk-old-spent", 429),
        ("sk-old-blocked", 401),
        ("sk-old-expired", 401),
        ("sk-old-elsewhere", 403),
        ("sk-old-leaver", 200),
        ("sk-old-closed", 401),
        // A session of LiteLLM's user interface.
        ("sk-old-session", 401),
        ("sk-never-there", 401),
    ] {
        assert_eq!(chat(gateway, key).await, status, "{key}");
    }
}

/// What Ann's key has spent by the accounts, once the last request is written down.
async fn spent_by_ann(gateway: &Gateway, rows: usize) -> f64 {
    let admin = gateway.client().key(MASTER_KEY);
    let path = "/spend/logs?user_id=ann&start_date=2026-11-01&end_date=2999-01-01&summarize=false";
    let written = async {
        while get(&admin, path).await.as_array().unwrap().len() < rows {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    };
    support::soon("the spend to be written down", written).await;
    let key = get(&admin, "/key/info?key=sk-old-ann").await;
    key["info"]["spend"].as_f64().unwrap()
}

async fn a_database_moves_in(shared: bool) {
    let scene = Move::begin(shared).await;

    // The provider's address is the test's own.
    scene.litellm(&format!(
        "UPDATE \"LiteLLM_ProxyModelTable\" SET litellm_params =
            litellm_params || '{{\"api_base\": \"{}\"}}' WHERE model_id = 'model-1'",
        scene.upstream.url("/v1")
    ));
    let plan = scene.import(&["--dry-run"]).await;
    assert!(plan.log.contains("Nothing was changed yet"), "{}", plan.log);
    assert_eq!(line(&plan, "keys"), [7, 7, 0, 0, 0, 0, 0], "{}", plan.log);
    assert_eq!(line(&plan, "spend log"), [1200, 1200, 0, 0, 0, 0, 0]);
    for told in [
        "users: user_role, which cannot be read: 1 (odd)",
        "keys: key_alias, which another key has",
        "keys: of_tomorrow: 7",
        "LiteLLM_TagTable",
        "last migrated by 20240711000000_baseline",
    ] {
        assert!(plan.log.contains(told), "{told}: {}", plan.log);
    }
    assert!(!plan.log.contains("sk-old"));

    let done = scene.import(&["--yes"]).await;
    assert_eq!(line(&done, "keys"), line(&plan, "keys"));
    assert_eq!(line(&done, "team members"), [2, 2, 0, 0, 0, 0, 0]);
    assert_eq!(line(&done, "former keys"), [1, 1, 0, 0, 0, 0, 0]);
    assert_eq!(line(&done, "models"), [2, 1, 0, 0, 0, 0, 1], "{}", done.log);
    let again = scene.import(&["--yes"]).await;
    assert!(
        again.log.contains("There is nothing to do."),
        "{}",
        again.log
    );

    let gateway = scene.serve().await;
    everybody_is_as_they_were(&gateway).await;
    callers_come_with_their_old_keys(&gateway).await;
    let admin = gateway.client().key(MASTER_KEY);
    let key = get(&admin, "/key/info?key=sk-old-elsewhere").await;
    let windows = json!([{"max_budget": 1.0, "budget_duration": "1h"}]);
    assert_eq!(key["info"]["budget_limits"], windows);
    assert_eq!(ask(&gateway, MASTER_KEY, "moved").await, 200);
    let before = spent_by_ann(&gateway, 2).await;
    assert!(before > 0.5, "{before}");
    gateway.stop().await;

    // LiteLLM served on for a while.
    let ann = "token = encode(sha256('sk-old-ann'), 'hex')";
    scene.litellm(&format!(
        "UPDATE \"LiteLLM_VerificationToken\" SET spend = 0.75, rpm_limit = 700 WHERE {ann};
        UPDATE \"LiteLLM_TeamTable\" SET spend = 5.5 WHERE team_id = 'search';
        DELETE FROM \"LiteLLM_VerificationToken\" WHERE key_alias = 'leaver';
        INSERT INTO \"LiteLLM_SpendLogs\" (request_id, call_type, api_key, spend, \"startTime\",
            \"endTime\") VALUES ('req-late', 'acompletion', 'x', 0.25, now(), now());"
    ));
    let later = scene.import(&["--yes"]).await;
    assert_eq!(line(&later, "keys"), [6, 0, 1, 0, 5, 1, 0], "{}", later.log);
    assert_eq!(
        line(&later, "teams"),
        [2, 0, 0, 1, 1, 0, 0],
        "{}",
        later.log
    );
    let [seen, new, ..] = line(&later, "spend log");
    assert!(
        new == 1 && seen < 1200,
        "only the end of the log is read: {seen}"
    );
    assert!(
        scene
            .import(&["--yes"])
            .await
            .log
            .contains("There is nothing to do.")
    );

    let gateway = scene.serve().await;
    assert_eq!(chat(&gateway, "sk-old-leaver").await, 401);
    let after = spent_by_ann(&gateway, 2).await;
    assert!((after - before - 0.25).abs() < 1e-9, "{before} {after}");
    let admin = gateway.client().key(MASTER_KEY);
    let key = get(&admin, "/key/info?key=sk-old-ann").await;
    assert_eq!(key["info"]["rpm_limit"], 700);

    // What is changed here stays, though it changes there, too.
    let update = json!({"key": "sk-old-ann", "rpm_limit": 5000});
    assert_eq!(admin.post("/key/update", &update).await.status, 200);
    gateway.stop().await;
    scene.litellm(&format!(
        "UPDATE \"LiteLLM_VerificationToken\" SET spend = 1, rpm_limit = 800 WHERE {ann}"
    ));
    let left = scene.import(&["--yes"]).await;
    assert!(
        left.log.contains("changed there, but here, too: 1"),
        "{}",
        left.log
    );
    let gateway = scene.serve().await;
    assert!((spent_by_ann(&gateway, 2).await - before - 0.5).abs() < 1e-9);
    let admin = gateway.client().key(MASTER_KEY);
    let key = get(&admin, "/key/info?key=sk-old-ann").await;
    assert_eq!(key["info"]["rpm_limit"], 5000);
    gateway.stop().await;
}

#[tokio::test]
async fn a_litellm_database_moves_into_sqlite() {
    a_database_moves_in(false).await;
}

#[tokio::test]
async fn a_litellm_database_moves_into_postgresql() {
    a_database_moves_in(true).await;
}

#[tokio::test]
async fn what_is_no_litellm_database_is_refused() {
    let server = Postgres::start().await;
    let folder = tempfile::tempdir().unwrap();
    let setup = keyed(gateway!()).env("POINTSMAN_DATA_DIR", folder.path().to_str().unwrap());
    let from = server.database();
    let exit = setup.arg("import").arg("--from").arg(&from).run().await;
    assert_eq!(exit.code(), Some(1));
    let told = "there are no tables of LiteLLM's in that database";
    assert!(exit.log.contains(told), "{}", exit.log);
}
