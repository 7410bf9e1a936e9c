//! Models that are added at run time: they answer at once, on every replica and after a restart.

#![expect(clippy::unwrap_used, reason = "to panic is how a test fails")]

use std::time::Duration;

use serde_json::{Value, json};
use support::process::Signal;
use support::scene::{CHAT, MASTER_KEY, MODEL, UPSTREAM_KEY, config, keyed};
use support::{Client, Gateway, Postgres, Setup, Upstream, gateway, soon};
use tempfile::TempDir;

/// Where gateways keep what they are told.
struct Place {
    upstream: Upstream,
    folder: TempDir,
    database: Option<String>,
}

impl Place {
    async fn new(database: Option<String>) -> Self {
        let upstream = Upstream::start().await;
        upstream.expect_key(UPSTREAM_KEY);
        Self {
            upstream,
            folder: tempfile::tempdir().unwrap(),
            database,
        }
    }

    fn setup(&self, data: &str) -> Setup {
        let data = self.folder.path().join(data);
        let setup = keyed(gateway!())
            .env("POINTSMAN_DATA_DIR", data.to_str().unwrap())
            .env("LITELLM_SALT_KEY", "sk-salt-of-the-tests");
        match &self.database {
            Some(url) => setup.env("DATABASE_URL", url),
            None => setup,
        }
    }

    async fn start(&self, data: &str) -> Gateway {
        let config = format!("{}  store_model_in_db: true\n", config(&self.upstream, ""));
        self.setup(data).config(&config).start().await
    }

    fn model(&self, name: &str) -> Value {
        json!({
            "model_name": name,
            "litellm_params": {
                "model": format!("openai/{MODEL}"),
                "api_base": self.upstream.url("/v1"),
                "api_key": UPSTREAM_KEY,
            },
        })
    }
}

async fn chat(gateway: &Gateway, model: &str) -> u16 {
    let body = json!({"model": model, "messages": [{"role": "user", "content": "hi"}]});
    let client = gateway.client().key(MASTER_KEY);
    client.post(CHAT, &body).await.status
}

async fn post(admin: &Client, path: &str, body: &Value, status: u16) -> Value {
    let answer = admin.post(path, body).await;
    assert_eq!(answer.status, status, "{path} {body}: {}", answer.text());
    answer.json()
}

async fn info(admin: &Client, id: &str) -> Value {
    let answer = admin
        .get(&format!("/model/info?litellm_model_id={id}"))
        .await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()["data"][0].clone()
}

async fn a_model_lives(place: &Place) {
    let gateway = place.start("a").await;
    let admin = gateway.client().key(MASTER_KEY);
    assert_eq!(chat(&gateway, "added").await, 400);
    let added = post(&admin, "/model/new", &place.model("added"), 200).await;
    let id = added["model_id"].as_str().unwrap().to_owned();
    assert!(!added.to_string().contains(UPSTREAM_KEY), "{added}");
    assert_eq!(chat(&gateway, "added").await, 200);
    let shown = info(&admin, &id).await;
    assert_eq!(shown["model_name"], "added");
    assert_eq!(shown["model_info"]["db_model"], true);
    assert!(!shown.to_string().contains(UPSTREAM_KEY));

    // The file is read again: what was added stays.
    gateway.signal(Signal::HUP);
    gateway.until_log("a new table is in force").await;
    assert_eq!(chat(&gateway, "added").await, 200);
    gateway.stop().await;

    let gateway = place.start("a").await;
    let admin = gateway.client().key(MASTER_KEY);
    assert_eq!(chat(&gateway, "added").await, 200);
    let renamed = json!({"model_name": "renamed", "model_info": {"id": id}});
    post(&admin, "/model/update", &renamed, 200).await;
    assert_eq!(chat(&gateway, "renamed").await, 200);
    assert_eq!(chat(&gateway, "added").await, 400);
    post(&admin, "/model/delete", &json!({"id": id}), 200).await;
    assert_eq!(chat(&gateway, "renamed").await, 400);
    assert_eq!(chat(&gateway, "chat").await, 200);
    let audit = admin.get("/audit?page=1&page_size=50").await.text();
    assert!(
        audit.contains("/model/new") && audit.contains("/model/delete"),
        "{audit}"
    );
    assert!(!audit.contains(UPSTREAM_KEY));
    gateway.stop().await;
    let gateway = place.start("a").await;
    assert_eq!(chat(&gateway, "renamed").await, 400);
}

#[tokio::test]
async fn a_model_is_added_changed_and_deleted_with_sqlite() {
    let place = Place::new(None).await;
    a_model_lives(&place).await;
    let file = std::fs::read(place.folder.path().join("a/pointsman.db")).unwrap();
    let key = UPSTREAM_KEY.as_bytes();
    assert!(
        !file.windows(key.len()).any(|part| part == key),
        "it is sealed"
    );
}

#[tokio::test]
async fn a_model_is_added_changed_and_deleted_with_postgresql() {
    let server = Postgres::start().await;
    let place = Place::new(Some(server.database())).await;
    a_model_lives(&place).await;
}

#[tokio::test]
async fn a_model_that_one_replica_adds_is_served_by_the_others() {
    let server = Postgres::start().await;
    let place = Place::new(Some(server.database())).await;
    let (one, other) = (place.start("a").await, place.start("b").await);
    let admin = one.client().key(MASTER_KEY);
    let added = post(&admin, "/model/new", &place.model("added"), 200).await;
    let answers = async |status: u16| {
        while chat(&other, "added").await != status {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    soon("the other replica to serve it", answers(200)).await;
    let id = json!({"id": added["model_id"]});
    let elsewhere = other.client().key(MASTER_KEY);
    post(&elsewhere, "/model/delete", &id, 200).await;
    assert_eq!(chat(&other, "added").await, 400);
    let gone = async {
        while chat(&one, "added").await != 400 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    soon("the first replica to forget it", gone).await;
}

#[tokio::test]
async fn what_the_compiler_refuses_changes_nothing() {
    let place = Place::new(None).await;
    let gateway = place.start("a").await;
    let admin = gateway.client().key(MASTER_KEY);
    let mut wrong = place.model("wrong");
    wrong["litellm_params"]["model"] = json!("no-such-provider/x");
    let told = post(&admin, "/model/new", &wrong, 400).await.to_string();
    assert!(
        told.contains("litellm_params") && !told.contains(UPSTREAM_KEY),
        "{told}"
    );
    let mut unset = place.model("unset");
    unset["litellm_params"]["api_key"] = json!("os.environ/NOBODY_SET_THIS");
    let told = post(&admin, "/model/new", &unset, 400).await.to_string();
    assert!(told.contains("NOBODY_SET_THIS"), "{told}");
    let mut of_team = place.model("of_team");
    of_team["model_info"] = json!({"team_id": "t"});
    post(&admin, "/model/new", &of_team, 400).await;

    let mut named = place.model("named");
    named["model_info"] = json!({"id": "mine", "input_cost_per_token": 0.5});
    post(&admin, "/model/new", &named, 200).await;
    post(&admin, "/model/new", &named, 400).await;
    let broken = json!({"model_info": {"id": "mine"}, "litellm_params": {"model": null}});
    post(&admin, "/model/update", &broken, 400).await;
    assert_eq!(
        info(&admin, "mine").await["model_info"]["input_cost_per_token"],
        0.5
    );
    assert_eq!(chat(&gateway, "named").await, 200);

    let listed = admin.get("/model/info").await.json();
    let models = listed["data"].as_array().unwrap();
    let of_file = models
        .iter()
        .find(|model| model["model_name"] == "chat")
        .unwrap();
    assert_eq!(of_file["model_info"]["db_model"], false);
    let id = &of_file["model_info"]["id"];
    post(&admin, "/model/delete", &json!({"id": id}), 400).await;
    post(
        &admin,
        "/model/update",
        &json!({"model_info": {"id": id}}),
        400,
    )
    .await;
    post(&admin, "/model/delete", &json!({"id": "unknown"}), 400).await;
    assert_eq!(chat(&gateway, "chat").await, 200);
}

#[tokio::test]
async fn models_are_added_only_where_the_config_allows_it() {
    let place = Place::new(None).await;
    let setup = place.setup("a").config(&config(&place.upstream, ""));
    let gateway = setup.start().await;
    let admin = gateway.client().key(MASTER_KEY);
    let told = post(&admin, "/model/new", &place.model("added"), 400).await;
    assert!(told.to_string().contains("STORE_MODEL_IN_DB"), "{told}");
}
