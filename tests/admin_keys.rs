//! Keys as operators script them, with LiteLLM's paths and fields.

#![expect(clippy::unwrap_used, reason = "to panic is how a test fails")]

use serde_json::{Value, json};
use std::time::Duration;
use support::{Client, Gateway, Postgres, Setup, Upstream, soon};

const MASTER: &str = "sk-master-of-the-tests";

fn config(upstream: &Upstream) -> String {
    format!(
        "model_list:\n  - model_name: gpt-4o\n    litellm_params:\n      model: openai/gpt-4o\n      \
         api_key: sk-up\n      api_base: {}\n\
         general_settings:\n  master_key: {MASTER}\n\
         litellm_settings:\n  upperbound_key_generate_params:\n    max_budget: 100\n    duration: 60d\n",
        upstream.url("/v1")
    )
}

async fn start(upstream: &Upstream) -> Gateway {
    setup(upstream).start().await
}

fn setup(upstream: &Upstream) -> Setup {
    support::gateway!().config(&config(upstream))
}

async fn ok(client: &Client, path: &str, body: Value) -> Value {
    let answer = client.post(path, &body).await;
    assert_eq!(answer.status, 200, "{path} {body}: {}", answer.text());
    answer.json()
}

async fn chat(gateway: &Gateway, key: &str) -> u16 {
    let body = json!({"model": "gpt-4o", "messages": [{"role": "user", "content": "hi"}]});
    let answer = gateway
        .client()
        .key(key)
        .post("/v1/chat/completions", &body)
        .await;
    answer.status
}

/// Waits until a key is answered so: what changes takes effect within a second, not at once.
async fn until(gateway: &Gateway, key: &str, status: u16) {
    let changed = async {
        while chat(gateway, key).await != status {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    soon(&format!("status {status}"), changed).await;
}

/// Row A9-01: every field of the request comes back, and the key works.
async fn a_key_with_every_field(gateway: &Gateway) {
    let admin = gateway.client().key(MASTER);
    let asked = json!({
        "key_alias": "ci", "duration": "30d", "user_id": "u1", "team_id": "search",
        "models": ["gpt-4o"], "aliases": {"fast": "gpt-4o"}, "config": {}, "spend": 0.5,
        "max_budget": 10.5, "soft_budget": 8, "budget_duration": "30d",
        "model_max_budget": {"gpt-4o": {"budget_limit": 0.25, "time_period": "1d"}},
        "max_parallel_requests": 7, "tpm_limit": 1000, "rpm_limit": 60,
        "model_tpm_limit": {"gpt-4o": 500}, "model_rpm_limit": {"gpt-4o": 30},
        "metadata": {"owner": "ops"}, "tags": ["a"], "guardrails": [], "policies": [],
        "permissions": {}, "allowed_cache_controls": ["no-cache"], "allowed_routes": [],
        "key_type": "default", "enforced_params": [], "blocked": false, "auto_rotate": true,
        "rotation_interval": "30d", "router_settings": {}, "send_invite_email": false,
        "an_unknown_field": 1,
    });
    let made = ok(&admin, "/key/generate", asked.clone()).await;
    let key = made["key"].as_str().unwrap().to_owned();
    assert!(key.starts_with("sk-"));
    assert_eq!(made["key_name"], format!("sk-...{}", &key[key.len() - 4..]));
    assert_eq!(made["token"], made["token_id"]);
    for field in [
        "key_alias",
        "user_id",
        "team_id",
        "models",
        "aliases",
        "spend",
        "max_budget",
        "budget_duration",
        "model_max_budget",
        "tpm_limit",
        "rpm_limit",
        "max_parallel_requests",
        "model_tpm_limit",
        "tags",
        "allowed_cache_controls",
        "auto_rotate",
    ] {
        let equal = made[field] == asked[field] || made[field].as_f64() == asked[field].as_f64();
        assert!(equal, "{field}: {} for {}", made[field], asked[field]);
    }
    assert_eq!(made["created_by"], "default_user_id");
    assert!(made["expires"].as_str().unwrap() > made["created_at"].as_str().unwrap());
    assert!(
        made["budget_reset_at"]
            .as_str()
            .unwrap()
            .contains("-01T00:00:00")
    );
    assert_eq!(chat(gateway, &key).await, 200);

    let info = admin.get(&format!("/key/info?key={key}")).await.json();
    assert_eq!(info["info"]["remaining"], 10.0);
    assert_eq!(info["info"]["percentage_used"], 4.76);
    assert_eq!(info["info"]["metadata"]["tags"], json!(["a"]));
    assert_eq!(info["info"].get("token"), None);
    let own = gateway.client().key(&key).get("/key/info").await.json();
    assert_eq!(own["info"]["key_alias"], "ci");
    let hash = made["token"].as_str().unwrap();
    let by_hash = admin.get(&format!("/key/info?key={hash}")).await.json();
    assert_eq!(by_hash["info"]["key_alias"], "ci");
    let listed = admin.get("/key/list?team_id=search&size=5").await.json();
    assert_eq!(listed["keys"], json!([hash]));
    assert_eq!(
        (&listed["total_count"], &listed["total_pages"]),
        (&json!(1), &json!(1))
    );
    let several = ok(&admin, "/v2/key/info", json!({"keys": [key]})).await;
    assert_eq!(several["info"][0]["token"], hash);
}

async fn a_key_is_changed_blocked_and_deleted(gateway: &Gateway) {
    let admin = gateway.client().key(MASTER);
    let own = "sk-a-key-of-my-own-choice";
    let made = ok(
        &admin,
        "/key/generate",
        json!({"key": own, "key_alias": "own"}),
    )
    .await;
    assert_eq!(made["key"], own);
    assert_eq!(
        made["max_budget"],
        json!(100.0),
        "what is left open is the upper bound"
    );
    let twice = admin.post("/key/generate", &json!({"key": own})).await;
    assert_eq!(twice.status, 400);
    let alias = admin
        .post("/key/generate", &json!({"key_alias": "own"}))
        .await;
    assert_eq!(
        (alias.status, alias.json()["error"]["param"].clone()),
        (400, json!("key_alias"))
    );
    let changed = ok(
        &admin,
        "/key/update",
        json!({"key": own, "max_budget": 3, "key_alias": "new",
        "temp_budget_increase": 2, "temp_budget_expiry": "2999-01-01"}),
    )
    .await;
    assert_eq!(
        (&changed["max_budget"], &changed["remaining"]),
        (&json!(3.0), &json!(5.0))
    );
    for over in [
        json!({"key": own, "max_budget": 101}),
        json!({"key": own, "max_budget": null}),
    ] {
        assert_eq!(admin.post("/key/update", &over).await.status, 400, "{over}");
    }
    ok(&admin, "/key/block", json!({"key": own})).await;
    until(gateway, own, 401).await;
    ok(&admin, "/key/unblock", json!({"key": own})).await;
    until(gateway, own, 200).await;
    ok(&admin, "/key/update", json!({"key": own, "spend": 2})).await;
    let reset = ok(
        &admin,
        &format!("/key/{own}/reset_spend"),
        json!({"reset_to": 0.5}),
    )
    .await;
    // What the calls before it cost may be counted in between.
    for (field, amount) in [("previous_spend", 2.0), ("spend", 0.5)] {
        let shown = reset[field].as_f64().unwrap();
        assert!((amount..amount + 0.01).contains(&shown), "{field}: {shown}");
    }
    let gone = ok(&admin, "/key/delete", json!({"key_aliases": ["new"]})).await;
    assert_eq!(gone["deleted_keys"].as_array().unwrap().len(), 1);
    until(gateway, own, 401).await;
    let again = admin.post("/key/delete", &json!({"keys": [own]})).await;
    assert_eq!(again.status, 404);
}

async fn a_key_is_rotated_while_it_is_used(gateway: &Gateway) {
    let admin = gateway.client().key(MASTER);
    let made = ok(
        &admin,
        "/key/generate",
        json!({"key_alias": "rotated", "rpm_limit": 1000}),
    )
    .await;
    let old = made["key"].as_str().unwrap().to_owned();
    let path = format!("/key/{old}/regenerate");
    let new = ok(&admin, &path, json!({"grace_period": "1h"})).await;
    assert_eq!(
        (&new["key_alias"], &new["rpm_limit"]),
        (&json!("rotated"), &json!(1000))
    );
    let new = new["key"].as_str().unwrap().to_owned();
    assert_ne!(old, new);
    for key in [&old, &new] {
        assert_eq!(chat(gateway, key).await, 200);
    }
    let last = ok(
        &admin,
        "/key/regenerate",
        json!({"key": new, "new_key": "sk-the-last-of-them"}),
    )
    .await;
    assert_eq!(last["key"], "sk-the-last-of-them");
    until(gateway, &new, 401).await;
    assert_eq!(chat(gateway, "sk-the-last-of-them").await, 200);
}

async fn all(gateway: &Gateway) {
    a_key_with_every_field(gateway).await;
    a_key_is_changed_blocked_and_deleted(gateway).await;
    a_key_is_rotated_while_it_is_used(gateway).await;
}

#[tokio::test]
async fn keys_live_as_scripts_expect_on_sqlite() {
    let upstream = Upstream::start().await;
    all(&start(&upstream).await).await;
}

#[tokio::test]
async fn keys_live_as_scripts_expect_on_postgres() {
    let server = Postgres::start().await;
    let upstream = Upstream::start().await;
    let url = server.database();
    let gateway = setup(&upstream).env("DATABASE_URL", &url).start().await;
    all(&gateway).await;
    let keys = server.run(
        &url,
        "SELECT count(*) FROM account WHERE record LIKE '%sk-the-last%'",
    );
    assert_eq!(keys, "0", "a secret is in the database");
}

#[tokio::test]
async fn wrong_requests_are_told_what_is_wrong_and_change_nothing() {
    let upstream = Upstream::start().await;
    let gateway = start(&upstream).await;
    let admin = gateway.client().key(MASTER);
    let wrong = admin
        .post("/key/generate", &json!({"models": null, "rpm_limit": "x"}))
        .await;
    assert_eq!(wrong.status, 422);
    let detail = wrong.json()["detail"].clone();
    assert_eq!(detail[0]["loc"], json!(["body", "models"]));
    assert_eq!(
        (&detail[1]["type"], &detail[1]["loc"]),
        (&json!("int_parsing"), &json!(["body", "rpm_limit"]))
    );
    let missing = admin.post("/key/update", &json!({})).await.json();
    assert_eq!(missing["detail"][0]["type"], "missing");
    assert_eq!(admin.post_text("/key/generate", "{").await.status, 422);
    let unknown = admin.get("/key/info?key=sk-nobody-has-this").await;
    assert_eq!(unknown.status, 404);
    let error = unknown.json()["error"].clone();
    assert_eq!(
        (&error["type"], &error["message"]),
        (
            &json!("not_found_error"),
            &json!("Key not found in database")
        )
    );
    assert_eq!(error["code"], "404");
    for (path, body) in [
        ("/key/generate", json!({"key": "no-prefix"})),
        ("/key/generate", json!({"key": MASTER})),
        (
            "/key/regenerate",
            json!({"key": "sk-x", "new_master_key": "sk-y"}),
        ),
    ] {
        assert_eq!(admin.post(path, &body).await.status, 400, "{path} {body}");
    }
    assert_eq!(admin.get("/key/list").await.json()["total_count"], 0);
    let made = ok(&admin, "/key/generate", json!({})).await;
    let plain = gateway.client().key(made["key"].as_str().unwrap());
    let refused = plain.post("/key/generate", &json!({})).await;
    assert_eq!(refused.status, 401);
    let message = refused.json()["error"]["message"]
        .as_str()
        .unwrap()
        .to_owned();
    assert!(
        message.starts_with("Authentication Error, Only proxy admin can be used"),
        "{message}"
    );
    assert_eq!(gateway.client().get("/key/info").await.status, 401);
    assert_eq!(
        gateway.client().get("/openapi.json").await.json()["openapi"],
        "3.1.0"
    );
    assert!(
        gateway
            .client()
            .get("/docs")
            .await
            .text()
            .contains("/key/generate")
    );
    let log = gateway.log();
    assert!(
        !log.contains(made["key"].as_str().unwrap()),
        "a key is in the log"
    );
}
