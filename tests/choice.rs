//! Rows A6-07, A14-12 and A4-11: conditional rules, copies of traffic, budgets of deployments and
//! providers.

#![expect(clippy::unwrap_used, reason = "to panic is how a test fails")]

use std::time::Duration;

use serde_json::{Value, json};
use support::scene::{CHAT, Scene, saying, streaming};
use support::{Answer, Reply, Upstream, gateway, soon};

/// Entries of `model_list`: group, model (which is the id, too) and more parameters; and what else
/// stands in the file.
async fn scene(entries: &[(&str, &str, &str)], rest: &str) -> Scene {
    let upstream = Upstream::start().await;
    let base = upstream.url("/v1");
    let entries = entries.iter().map(|(group, model, params)| {
        let id = model.split_once('/').unwrap().1;
        format!(
            "  - model_name: {group}\n    litellm_params: {{model: {model}, api_base: \"{base}\", \
             api_key: os.environ/TEST_UPSTREAM_KEY{params}}}\n    model_info: {{id: {id}}}\n"
        )
    });
    let entries: String = entries.collect();
    let config = format!(
        "model_list:\n{entries}{rest}general_settings:\n  master_key: os.environ/TEST_MASTER_KEY\n"
    );
    Scene::between(upstream, gateway!(), &config).await
}

async fn ask(scene: &Scene, members: Value) -> Answer {
    let mut body = saying("hi");
    for (name, value) in members.as_object().unwrap() {
        body[name] = value.clone();
    }
    let answer = scene.client.post(CHAT, &body).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer
}

fn at(answer: &Answer) -> &str {
    answer.header("x-litellm-model-id").unwrap()
}

const RULES: &str = "rules:
  - when: {model: chat, metadata: {tier: premium}}
    prefer: first
  - when: {model: chat, user: [ada, bob]}
    prefer: [third]
  - when: {model: chat, tags: [batch]}
    prefer: second
    else: third
";

#[tokio::test]
async fn the_first_rule_that_decides_says_who_is_asked_first() {
    let chat = [
        ("chat", "openai/first", ""),
        ("chat", "openai/second", ""),
        ("chat", "openai/third", ""),
        ("other", "openai/fourth", ""),
    ];
    let scene = scene(&chat, RULES).await;
    for (members, wanted) in [
        (
            json!({"metadata": {"tier": "premium"}, "user": "ada"}),
            "first",
        ),
        (json!({"litellm_metadata": {"tier": "premium"}}), "first"),
        (
            json!({"metadata": {"tier": "free"}, "user": "bob"}),
            "third",
        ),
        (json!({"metadata": {"tags": ["batch"]}}), "second"),
        (json!({"tags": ["night", "batch"]}), "second"),
        (json!({}), "third"),
    ] {
        for _ in 0..4 {
            assert_eq!(at(&ask(&scene, members.clone()).await), wanted, "{members}");
        }
    }
    let by_header = scene.client.clone().header("x-litellm-tags", "batch");
    let answer = by_header.post(CHAT, &saying("hi")).await;
    assert_eq!(at(&answer), "second");
    // Others are asked when none of the preferred can be.
    scene.upstream.on_model("third", Reply::error(401, "no"));
    let answer = ask(&scene, json!({"user": "ada"})).await;
    assert_ne!(at(&answer), "third");
    let told = scene.client.post("/router/explain", &saying("hi")).await;
    assert_eq!(told.json()["strategy"], "simple-shuffle");
    // Rules of one model are not those of another.
    assert_eq!(at(&ask(&scene, json!({"model": "other"})).await), "fourth");
}

#[tokio::test]
async fn a_key_has_rules_of_its_own() {
    let chat = [("chat", "openai/first", ""), ("chat", "openai/second", "")];
    let rules = "rules:\n  - when: {key: litellm_proxy_master_key}\n    prefer: second\n";
    let scene = scene(&chat, rules).await;
    for _ in 0..8 {
        assert_eq!(at(&ask(&scene, json!({})).await), "second");
    }
}

#[tokio::test]
async fn a_silent_model_gets_a_copy_that_nobody_waits_for_or_pays() {
    let entries = [
        ("chat", "openai/first", ", silent_model: trial"),
        (
            "trial",
            "openai/second",
            ", input_cost_per_token: 1, output_cost_per_token: 1",
        ),
    ];
    let scene = scene(&entries, "").await;
    let held = Reply {
        hold_head: true,
        ..Reply::default()
    };
    scene.upstream.on_model("second", held);
    let mut body = streaming("hi");
    body["stream_options"] = json!({"include_usage": true});
    for body in [saying("hi"), body] {
        let before = scene.upstream.seen().len();
        // The copy is held for as long as this takes, and longer.
        let answer = scene.client.post(CHAT, &body).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        scene
            .upstream
            .until("the copy", |seen| seen.len() == before + 2)
            .await;
        let seen = scene.upstream.seen();
        let copy = seen[before..]
            .iter()
            .find(|seen| seen.json()["model"] == "second");
        let copy = copy.unwrap().json();
        assert_eq!(copy["messages"], body["messages"]);
        assert_ne!(copy["stream"], true);
    }
    // One that fails is nobody's failure.
    scene.upstream.release();
    scene.upstream.on_model("second", Reply::error(500, "down"));
    assert_eq!(ask(&scene, json!({})).await.json()["model"], "chat");
    let copied = async {
        loop {
            let metrics = scene.client.get("/metrics").await.text();
            let has = |outcome: &str, count: u32| {
                metrics.lines().any(|line| {
                    line.starts_with("pointsman_mirrored_requests_total")
                        && line.contains(&format!(r#"outcome="{outcome}""#))
                        && line.ends_with(&format!(" {count}"))
                })
            };
            if has("answered", 2) && has("failed", 1) {
                return metrics;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let metrics = soon("three copies in the metrics", copied).await;
    assert!(!metrics.contains(r#"model_id="second""#), "{metrics}");
}

const PRICED: &str = ", input_cost_per_token: 0.01, output_cost_per_token: 0.01";

#[tokio::test]
async fn a_deployment_whose_money_is_spent_is_left_out() {
    let own = format!("{PRICED}, order: 1, max_budget: 0.2, budget_duration: 30d");
    let entries = [
        ("chat", "openai/first", &*own),
        ("chat", "openai/second", ", order: 2"),
    ];
    let scene = scene(&entries, "").await;
    let mut answered = Vec::new();
    for _ in 0..6 {
        answered.push(at(&ask(&scene, json!({})).await).to_owned());
    }
    let first = answered.iter().take_while(|id| *id == "first").count();
    assert!((1..5).contains(&first), "{answered:?}");
    assert!(
        answered[first..].iter().all(|id| id == "second"),
        "{answered:?}"
    );
    let told = scene
        .client
        .post("/router/explain", &saying("hi"))
        .await
        .json();
    assert_eq!(
        told["candidates"][0]["excluded"]["reason"], "budget",
        "{told}"
    );
    // It stays spent when the table is read again.
    let text = std::fs::read_to_string(scene.gateway.config_path()).unwrap();
    scene
        .gateway
        .rewrite(&text.replace("model_list:", "# again\nmodel_list:"));
    scene.gateway.signal(support::process::Signal::HUP);
    scene.gateway.until_log("in force").await;
    assert_eq!(at(&ask(&scene, json!({})).await), "second");
}

#[tokio::test]
async fn all_deployments_of_a_provider_share_its_budget() {
    let entries = [
        ("chat", "openai/first", PRICED),
        ("chat", "openai/second", PRICED),
        ("chat", "hosted_vllm/third", ", weight: 0"),
        ("dear", "openai/fourth", PRICED),
    ];
    let budget = "router_settings:\n  provider_budget_config:\n    openai: {budget_limit: 0.2, \
                  time_period: 1d}\n";
    let scene = scene(&entries, budget).await;
    let mut answered = Vec::new();
    for _ in 0..8 {
        answered.push(at(&ask(&scene, json!({})).await).to_owned());
    }
    assert_eq!(answered.last().unwrap(), "third", "{answered:?}");
    let mut body = saying("hi");
    body["model"] = json!("dear");
    let answer = scene.client.post(CHAT, &body).await;
    assert_eq!(answer.status, 429, "{}", answer.text());
    let wait: u64 = answer.header("retry-after").unwrap().parse().unwrap();
    assert!(wait <= 86_400, "{wait}");
}

#[tokio::test]
async fn tags_of_keys_and_teams_choose_deployments() {
    let rest = "router_settings: {enable_tag_filtering: true}\n";
    let entries = [
        ("chat", "openai/red", ", tags: [red]"),
        ("chat", "openai/blue", ", tags: [blue]"),
    ];
    let scene = scene(&entries, rest).await;
    let team = json!({"team_id": "blues", "tags": ["blue"]});
    assert_eq!(scene.client.post("/team/new", &team).await.status, 200);
    for (members, expected) in [
        (json!({"team_id": "blues"}), "blue"),
        (json!({"tags": ["red"]}), "red"),
    ] {
        let made = scene.client.post("/key/generate", &members).await.json();
        let key = scene.gateway.client().key(made["key"].as_str().unwrap());
        for _ in 0..5 {
            let mut body = saying("hi");
            body["model"] = json!("chat");
            let answer = key.post(CHAT, &body).await;
            assert_eq!(answer.status, 200, "{}", answer.text());
            assert_eq!(at(&answer), expected);
        }
    }
}

#[tokio::test]
async fn a_request_says_its_answer_only_where_the_keys_metadata_let_it() {
    let scene = scene(&[("chat", "openai/real", "")], "").await;
    let lets = json!({"allow_client_mock_response": true});
    let team = json!({"team_id": "testers", "metadata": lets});
    assert_eq!(scene.client.post("/team/new", &team).await.status, 200);
    let mut body = saying("hi");
    body["model"] = json!("chat");
    body["mock_response"] = json!("so it is");
    for (members, mocked) in [
        (json!({"metadata": lets}), true),
        (json!({"team_id": "testers"}), true),
        (
            json!({"metadata": {"allow_client_mock_response": "yes"}}),
            false,
        ),
        (json!({}), false),
    ] {
        let made = scene.client.post("/key/generate", &members).await.json();
        let key = scene.gateway.client().key(made["key"].as_str().unwrap());
        let before = scene.upstream.seen().len();
        let answer = key.post(CHAT, &body).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        let said = &answer.json()["choices"][0]["message"]["content"];
        assert_eq!(said == "so it is", mocked, "{members}: {said}");
        let seen = scene.upstream.seen();
        assert_eq!(seen.len() == before, mocked, "{members}");
        if let Some(asked) = seen.get(before) {
            assert!(asked.json().get("mock_response").is_none());
        }
    }
    let made = scene
        .client
        .post("/key/generate", &json!({"metadata": lets}))
        .await;
    let key = scene
        .gateway
        .client()
        .key(made.json()["key"].as_str().unwrap());
    body["mock_response"] = json!("litellm.RateLimitError");
    assert_eq!(key.post(CHAT, &body).await.status, 429);
    body["mock_response"] = json!(7);
    assert_eq!(key.post(CHAT, &body).await.status, 400);
}
