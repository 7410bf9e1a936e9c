//! Budgets over sockets: nobody spends more than anybody who answers for the request has.

#![expect(clippy::unwrap_used, reason = "to panic is how a test fails")]

use pointsman::account::{Accounts, Scope};
use pointsman::store::{LogFilter, Store};
use pointsman_layers::auth::KeyDigest;
use pointsman_routes::usd::Usd;
use serde_json::{Value, json};
use support::scene::{CHAT, MASTER_KEY, UPSTREAM_KEY, keyed};
use support::{Answer, Client, Gateway, Postgres, Reply, Upstream, gateway, soon};
use tempfile::TempDir;
use tokio::task::JoinSet;

/// What the fake provider takes for each answer: ten tokens at a tenth of a cent.
const EACH: Usd = Usd(10_000_000_000);
/// Callers at once, and those that the budget covers.
const CALLERS: usize = 200;
const COVERED: usize = 20;

struct Scene {
    upstream: Upstream,
    gateway: Gateway,
    admin: Client,
    data: TempDir,
    database: Option<String>,
    server: Option<Postgres>,
}

impl Scene {
    async fn sqlite() -> Self {
        Self::start(None, "").await
    }

    async fn postgres() -> Self {
        Self::start(Some(Postgres::start().await), "").await
    }

    async fn start(server: Option<Postgres>, sections: &str) -> Self {
        Self::of(server, |upstream| config(upstream) + sections).await
    }

    async fn of(server: Option<Postgres>, config: impl Fn(&Upstream) -> String) -> Self {
        let upstream = Upstream::start().await;
        upstream.expect_key(UPSTREAM_KEY);
        let data = tempfile::tempdir().unwrap();
        let database = server.as_ref().map(Postgres::database);
        let mut setup = keyed(gateway!()).env("POINTSMAN_DATA_DIR", data.path().to_str().unwrap());
        if let Some(url) = &database {
            setup = setup.env("DATABASE_URL", url);
        }
        let config = config(&upstream);
        let gateway = setup.config(&config).start().await;
        let admin = gateway.client().key(MASTER_KEY);
        Self {
            upstream,
            gateway,
            admin,
            data,
            database,
            server,
        }
    }

    /// What an admin call answers, which must be good.
    async fn made(&self, path: &str, body: Value) -> Value {
        let answer = self.admin.post(path, &body).await;
        assert_eq!(answer.status, 200, "{path} {body}: {}", answer.text());
        answer.json()
    }

    /// A caller with a new key.
    async fn holder(&self, members: Value) -> Client {
        let made = self.made("/key/generate", members).await;
        self.gateway.client().key(made["key"].as_str().unwrap())
    }

    /// Ends the gateway and opens what it kept.
    async fn kept(self) -> (Store, TempDir, Option<Postgres>) {
        let exit = self.gateway.stop().await;
        assert_eq!(exit.code(), Some(0), "{}", exit.log);
        let store = match &self.database {
            Some(url) => Store::open(url).await.unwrap(),
            None => Store::sqlite(self.data.path()).await.unwrap(),
        };
        (store, self.data, self.server)
    }
}

/// Two groups at the same prices: nothing for the prompt.
fn config(upstream: &Upstream) -> String {
    let group = |name: &str| {
        format!(
            "- model_name: {name}
  litellm_params:
    model: openai/gpt-4o-mini
    api_base: {}
    api_key: os.environ/TEST_UPSTREAM_KEY
    input_cost_per_token: 0
    cache_read_input_token_cost: 0
    output_cost_per_token: 0.001
",
            upstream.url("/v1")
        )
    };
    format!(
        "model_list:\n{}{}router_settings:\n  num_retries: 0\n\
         general_settings:\n  master_key: os.environ/TEST_MASTER_KEY\n",
        group("chat"),
        group("other")
    )
}

/// A request whose answer costs [`EACH`] and may cost no more.
fn asking(model: &str) -> Value {
    json!({"model": model, "max_tokens": 10, "messages": [{"role": "user", "content": "hi"}]})
}

fn streaming() -> Value {
    let mut body = asking("chat");
    body["stream"] = true.into();
    body["stream_options"] = json!({"include_usage": true});
    body
}

async fn ask(client: &Client) -> Answer {
    client.post(CHAT, &asking("chat")).await
}

/// Asks until the answer has this status: what an administrator changes, and a window that ends,
/// shows within a second or two and not at once.
async fn until(client: &Client, status: u16) -> Answer {
    soon(&format!("status {status}"), async {
        loop {
            let answer = ask(client).await;
            if answer.status == status {
                return answer;
            }
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    })
    .await
}

fn assert_spent(answer: &Answer, begins: &str) {
    assert_eq!(answer.status, 429, "{}", answer.text());
    let error = answer.json()["error"].clone();
    assert_eq!(
        (&error["type"], &error["code"]),
        (&json!("budget_exceeded"), &json!("429")),
        "{error}"
    );
    let message = error["message"].as_str().unwrap();
    let whole = format!("Budget has been exceeded! {begins}");
    assert!(message.starts_with(&whole), "{message} for {begins}");
    assert!(message.contains("Current cost: "), "{message}");
    // An SDK that tries again would be refused again.
    assert_eq!(answer.header("x-should-retry"), Some("false"));
    assert!(answer.headers.contains_key("x-litellm-call-id"));
}

/// Two hundred streams at once on a key whose budget covers twenty: twenty are answered, and the
/// key has spent its budget and no more.
async fn streams_at_once(scene: Scene) {
    let held = Reply {
        hold_head: true,
        ..Reply::default()
    };
    scene.upstream.on_model("gpt-4o-mini", held);
    let made = scene
        .made("/key/generate", json!({"max_budget": 0.2}))
        .await;
    let secret = made["key"].as_str().unwrap().to_owned();
    let mut callers = JoinSet::new();
    for _ in 0..CALLERS {
        let client = scene.gateway.client().key(&secret);
        callers.spawn(async move {
            let mut stream = client.stream(CHAT, &streaming()).await;
            while stream.next().await.unwrap().is_some() {}
            (
                stream.status,
                String::from_utf8_lossy(stream.bytes()).into_owned(),
            )
        });
    }
    // The provider has answered nobody yet, so whoever has an answer was refused.
    for _ in COVERED..CALLERS {
        let (status, body) = callers.join_next().await.unwrap().unwrap();
        assert_eq!(status, 429, "{body}");
        let error: Value = serde_json::from_str(&body).unwrap();
        let error = &error["error"];
        assert_eq!(error["type"], "budget_exceeded");
        let tail = &secret[secret.len() - 4..];
        let message = format!(
            "Budget has been exceeded! Key=key (sk-...{tail}) Current cost: 0.2, Max budget: 0.2"
        );
        assert_eq!(error["message"], json!(message));
    }
    scene
        .upstream
        .until("the requests that the budget covers", |seen| {
            seen.len() == COVERED
        })
        .await;
    scene.upstream.release();
    while let Some(ended) = callers.join_next().await {
        let (status, body) = ended.unwrap();
        assert_eq!(status, 200);
        assert!(body.ends_with("data: [DONE]\n\n"), "{body}");
    }
    let client = scene.gateway.client().key(&secret);
    assert_spent(&ask(&client).await, "Key=key (sk-...");
    assert_eq!(scene.upstream.seen().len(), COVERED);
    let (store, _data, _server) = scene.kept().await;
    let key = KeyDigest::of(secret.as_bytes()).to_string();
    let spent = store.spent(&[Scope::Key(key)]).await.unwrap();
    let budget = EACH.times(COVERED as u64);
    assert_eq!((spent[0].spend, spent[0].total), (budget, budget));
    assert_eq!(store.audit_totals().await.unwrap(), None);
    let all = LogFilter {
        limit: 500,
        ..LogFilter::default()
    };
    let rows = store.logs(&all).await.unwrap().records;
    let paid = rows.iter().filter(|row| row.status == "success").count();
    assert_eq!((rows.len(), paid), (CALLERS + 1, COVERED));
    store.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn streams_at_once_do_not_overspend_a_key_on_sqlite() {
    streams_at_once(Scene::sqlite().await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn streams_at_once_do_not_overspend_a_key_on_postgresql() {
    streams_at_once(Scene::postgres().await).await;
}

/// The same where answers end while others begin, and some callers leave in the middle.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_that_come_and_go_do_not_overspend_a_team() {
    let scene = Scene::sqlite().await;
    let reply = Reply {
        wait_between: 1,
        ..Reply::default()
    };
    scene.upstream.on_model("gpt-4o-mini", reply);
    scene
        .made("/team/new", json!({"team_id": "red", "max_budget": 0.55}))
        .await;
    let mut secrets = Vec::new();
    for _ in 0..4 {
        let made = scene.made("/key/generate", json!({"team_id": "red"})).await;
        secrets.push(made["key"].as_str().unwrap().to_owned());
    }
    let mut callers = JoinSet::new();
    for number in 0..16 {
        let client = scene.gateway.client().key(&secrets[number % 4]);
        callers.spawn(async move {
            for round in 0..8 {
                let mut stream = client.stream(CHAT, &streaming()).await;
                let leaves = (number + round) % 5 == 0;
                while !leaves && stream.next().await.unwrap().is_some() {}
            }
        });
    }
    while let Some(ended) = callers.join_next().await {
        ended.unwrap();
    }
    // The last calls that are paid may say less than they asked for. A provider keeps to that; the
    // fake says its ten tokens.
    let asked = scene.upstream.seen().into_iter().map(|seen| seen.json());
    let more = asked.map(|asked| 10 - asked["max_tokens"].as_u64().unwrap());
    let more = Usd(1_000_000_000).times(more.sum());
    let (store, _data, _server) = scene.kept().await;
    let spent = store.spent(&[Scope::Team("red".to_owned())]).await.unwrap();
    let budget = Usd(550_000_000_000).plus(more);
    assert!(spent[0].total <= budget, "{:?}", spent[0].total);
    assert!(spent[0].total > Usd::ZERO);
    assert_eq!(store.audit_totals().await.unwrap(), None);
    store.close().await;
}

/// A budget that pays for one answer, wherever it is set: the second is refused in LiteLLM's words,
/// and whoever does not answer to that budget goes on.
async fn every_budget_is_held(scene: &Scene) {
    let one = EACH.to_f64();
    let small = json!({"budget_limit": one, "time_period": "1d"});
    scene
        .made("/team/new", json!({"team_id": "poor", "max_budget": one}))
        .await;
    scene
        .made(
            "/team/new",
            json!({"team_id": "rich", "members_with_roles": [{"role": "user", "user_id": "eve"}]}),
        )
        .await;
    scene
        .made(
            "/team/member_update",
            json!({"team_id": "rich", "user_id": "eve", "max_budget_in_team": one}),
        )
        .await;
    scene
        .made(
            "/team/new",
            json!({"team_id": "mapped", "model_spend_map": {"chat": one}}),
        )
        .await;
    scene
        .made("/user/new", json!({"user_id": "ann", "max_budget": one}))
        .await;
    let made = scene
        .made(
            "/organization/new",
            json!({"organization_alias": "acme", "max_budget": one}),
        )
        .await;
    let acme = made["organization_id"].as_str().unwrap().to_owned();
    scene
        .made(
            "/team/new",
            json!({"team_id": "of-acme", "organization_id": acme}),
        )
        .await;
    for (members, begins) in [
        (json!({"max_budget": one}), "Key=key (sk-...".to_owned()),
        (
            json!({"model_max_budget": {"chat": small}}),
            "Key=key (sk-...".to_owned(),
        ),
        (json!({"team_id": "poor"}), "Team=poor".to_owned()),
        (
            json!({"team_id": "rich", "user_id": "eve"}),
            "TeamMember=rich:eve".to_owned(),
        ),
        (
            json!({"team_id": "mapped"}),
            "Team=mapped Model=chat".to_owned(),
        ),
        (json!({"user_id": "ann"}), "User=ann".to_owned()),
        (
            json!({"team_id": "of-acme"}),
            format!("Organization={acme}"),
        ),
    ] {
        let of_model = begins.contains("Model=") || members.get("model_max_budget").is_some();
        let holder = scene.holder(members.clone()).await;
        assert_eq!(ask(&holder).await.status, 200, "{members}");
        assert_spent(&ask(&holder).await, &begins);
        if of_model {
            let other = holder.post(CHAT, &asking("other")).await;
            assert_eq!(other.status, 200, "{members}: another model has money");
        }
    }
    // A budget of one's own beside them is nobody else's.
    let free = scene
        .holder(json!({"team_id": "rich", "user_id": "bob"}))
        .await;
    assert_eq!(ask(&free).await.status, 200);
}

#[tokio::test]
async fn every_budget_is_held_on_sqlite() {
    every_budget_is_held(&Scene::sqlite().await).await;
}

#[tokio::test]
async fn every_budget_is_held_on_postgresql() {
    every_budget_is_held(&Scene::postgres().await).await;
}

#[tokio::test]
async fn an_end_user_has_its_own_budget_whoever_asks_for_it() {
    let scene = Scene::sqlite().await;
    scene
        .made(
            "/customer/new",
            json!({"user_id": "shop", "max_budget": 0.01}),
        )
        .await;
    let (one, two) = (scene.holder(json!({})).await, scene.holder(json!({})).await);
    let mut body = asking("chat");
    body["user"] = "shop".into();
    assert_eq!(one.post(CHAT, &body).await.status, 200);
    assert_spent(&two.post(CHAT, &body).await, "End User=shop");
    body["user"] = "else".into();
    assert_eq!(two.post(CHAT, &body).await.status, 200);
    scene
        .made("/customer/block", json!({"user_ids": ["else"]}))
        .await;
    let blocked = async {
        while two.post(CHAT, &body).await.status != 403 {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    };
    soon("the end user to be blocked", blocked).await;
}

#[tokio::test]
async fn the_whole_proxy_and_users_without_a_budget_have_the_files() {
    let settings = "litellm_settings:\n  max_budget: 0.03\n  budget_duration: 30d\n  \
         max_internal_user_budget: 0.01\n";
    let scene = Scene::start(None, settings).await;
    scene.made("/user/new", json!({"user_id": "ann"})).await;
    let ann = scene.holder(json!({"user_id": "ann"})).await;
    assert_eq!(ask(&ann).await.status, 200);
    assert_spent(&ask(&ann).await, "User=ann");
    // Two more, whoever asks.
    let other = scene.holder(json!({})).await;
    assert_eq!(ask(&other).await.status, 200);
    assert_eq!(ask(&scene.admin).await.status, 200);
    assert_spent(&ask(&other).await, "Current cost: 0.03, Max budget: 0.03");
}

#[tokio::test]
async fn a_spent_budget_pays_again_when_it_is_raised_or_begins_anew() {
    let scene = Scene::sqlite().await;
    let made = scene
        .made("/key/generate", json!({"max_budget": 0.01}))
        .await;
    let key = made["key"].as_str().unwrap();
    let holder = scene.gateway.client().key(key);
    assert_eq!(ask(&holder).await.status, 200);
    assert_spent(&ask(&holder).await, "Key=key");
    // What was raised for a time, for good, and what was forgiven.
    let raised =
        json!({"key": key, "temp_budget_increase": 0.01, "temp_budget_expiry": "2999-01-01"});
    scene.made("/key/update", raised).await;
    until(&holder, 200).await;
    until(&holder, 429).await;
    scene
        .made("/key/update", json!({"key": key, "max_budget": 0.02}))
        .await;
    until(&holder, 200).await;
    assert_spent(&ask(&holder).await, "Key=key");
    let path = format!("/key/{key}/reset_spend");
    scene.made(&path, json!({"reset_to": 0})).await;
    until(&holder, 200).await;
    // A window of two seconds ends by itself.
    let short = json!({"max_budget": 0.01, "budget_duration": "2s"});
    let holder = scene.holder(short).await;
    assert_eq!(ask(&holder).await.status, 200);
    let spent = until(&holder, 429).await;
    assert_spent(&spent, "Key=key");
    let wait: u64 = spent.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=2).contains(&wait), "{wait}");
    until(&holder, 200).await;
}

#[tokio::test]
async fn money_in_several_windows_is_held_in_each() {
    let scene = Scene::sqlite().await;
    let windows = json!([
        {"budget_duration": "2s", "max_budget": 0.01},
        {"budget_duration": "1d", "max_budget": 0.02},
    ]);
    let made = scene
        .made("/key/generate", json!({"budget_limits": windows}))
        .await;
    assert_eq!(made["budget_limits"], windows);
    let key = made["key"].as_str().unwrap();
    let holder = scene.gateway.client().key(key);
    // The short window ends by itself, the long one does not; the short one may end at any time, and
    // it is told as long as neither has anything left.
    let (mut answered, mut short) = (0, false);
    soon("the long window is spent", async {
        loop {
            let answer = ask(&holder).await;
            if answer.status == 200 {
                answered += 1;
                continue;
            }
            assert_spent(&answer, "Key=key");
            if answer.text().contains("Max budget: 0.02") {
                return;
            }
            assert!(
                answer.text().contains("Max budget: 0.01"),
                "{}",
                answer.text()
            );
            short = true;
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    })
    .await;
    assert!(answered == 2 && short, "{answered} {short}");
    // Another secret does not change what the key has spent.
    let path = format!("/key/{key}/regenerate");
    let other = scene.made(&path, json!({})).await;
    let holder = scene.gateway.client().key(other["key"].as_str().unwrap());
    assert_spent(&ask(&holder).await, "Key=key");

    let windows = json!([{"budget_duration": "1h", "max_budget": 0.01}]);
    let team = json!({"team_id": "windows", "budget_limits": windows});
    let team = scene.made("/team/new", team).await;
    assert_eq!(team["budget_limits"], windows);
    let holder = scene.holder(json!({"team_id": "windows"})).await;
    assert_eq!(ask(&holder).await.status, 200);
    assert_spent(&until(&holder, 429).await, "Team=windows");
    for wrong in [
        json!([{"budget_duration": "1h"}]),
        json!([{"budget_duration": "soon", "max_budget": 1}]),
        json!([{"budget_duration": "1h", "max_budget": 1}, {"budget_duration": "1h", "max_budget": 2}]),
    ] {
        let body = json!({"budget_limits": wrong});
        let refused = scene.admin.post("/key/generate", &body).await;
        assert_eq!(refused.status, 422, "{wrong}: {}", refused.text());
    }
}

#[tokio::test]
async fn a_soft_budget_warns_and_refuses_nobody() {
    let scene = Scene::start(
        None,
        "litellm_settings:\n  require_auth_for_metrics_endpoint: false\n",
    )
    .await;
    let holder = scene.holder(json!({"soft_budget": 0.015})).await;
    for _ in 0..3 {
        assert_eq!(ask(&holder).await.status, 200);
    }
    scene.gateway.until_log("a soft budget is spent").await;
    let metrics = scene.admin.get("/metrics").await.text();
    let crossed = "pointsman_soft_budgets_crossed_total{scope=\"key\"} 1";
    assert!(metrics.contains(crossed), "{metrics}");
}

#[tokio::test]
async fn metrics_name_the_team_and_the_user_of_a_key() {
    let open = "litellm_settings:\n  require_auth_for_metrics_endpoint: false\n";
    let scene = Scene::start(None, open).await;
    let eve = json!({"user_id": "eve", "user_email": "eve@example.org", "auto_create_key": false});
    scene.made("/user/new", eve).await;
    let team = json!({"team_id": "red", "team_alias": "Reds",
        "members_with_roles": [{"role": "user", "user_id": "eve"}]});
    scene.made("/team/new", team).await;
    let holder = scene
        .holder(json!({"team_id": "red", "user_id": "eve"}))
        .await;
    assert_eq!(ask(&holder).await.status, 200);
    let metrics = scene.admin.get("/metrics").await.text();
    let of_spend = |line: &&str| line.starts_with("litellm_spend_metric_total{");
    let line = metrics.lines().find(of_spend).unwrap();
    for label in [
        "team=\"red\"",
        "team_alias=\"Reds\"",
        "user=\"eve\"",
        "user_email=\"eve@example.org\"",
        "end_user=\"None\"",
    ] {
        assert!(line.contains(label), "{line}");
    }
    assert!(line.ends_with(" 0.01"), "{line}");
}

#[tokio::test]
async fn what_is_left_of_budgets_can_be_looked_up() {
    let scene = Scene::of(None, |upstream| {
        let of_provider = "provider_budget_config: {openai: {budget_limit: 1, time_period: 1d}}";
        let routed = format!("router_settings:\n  {of_provider}\n");
        config(upstream).replace("router_settings:\n", &routed)
            + "litellm_settings:\n  require_auth_for_metrics_endpoint: false\n"
    })
    .await;
    let team = json!({"team_id": "red", "team_alias": "Reds", "max_budget": 1,
        "budget_duration": "1d"});
    scene.made("/team/new", team).await;
    let key = json!({"team_id": "red", "key_alias": "mine", "max_budget": 0.05,
        "model_rpm_limit": {"chat": 5}});
    let made = scene.made("/key/generate", key).await;
    let holder = scene.gateway.client().key(made["key"].as_str().unwrap());
    assert_eq!(ask(&holder).await.status, 200);
    let metrics = scene.admin.get("/metrics").await.text();
    let hash = made["token"].as_str().unwrap();
    let of_key = format!("{{hashed_api_key=\"{hash}\",api_key_alias=\"mine\"");
    for line in [
        format!("litellm_remaining_api_key_budget_metric{of_key}}} 0.04"),
        format!("litellm_api_key_max_budget_metric{of_key}}} 0.05"),
        "litellm_remaining_team_budget_metric{team=\"red\",team_alias=\"Reds\"} 0.99".to_owned(),
        "litellm_provider_remaining_budget_metric{api_provider=\"openai\"} 0.99".to_owned(),
        format!("litellm_remaining_api_key_requests_for_model{of_key},model=\"chat\"}} 4"),
        format!("pointsman_budget_reserved{{scope=\"key\",id=\"{hash}\"}} 0"),
    ] {
        assert!(metrics.lines().any(|one| one == line), "{line}\n{metrics}");
    }
    let until_reset = "litellm_team_budget_remaining_hours_metric{team=\"red\"";
    assert!(metrics.contains(until_reset), "{metrics}");

    let providers = scene.admin.get("/provider/budgets").await.json();
    let openai = &providers["providers"]["openai"];
    assert_eq!(
        (
            &openai["budget_limit"],
            &openai["time_period"],
            &openai["spend"]
        ),
        (&json!(1.0), &json!("1d"), &json!(0.01)),
        "{providers}"
    );
    assert!(openai["budget_reset_at"].is_string(), "{providers}");

    let spent_on_model = async {
        loop {
            let path = format!("/key/info?key={hash}");
            let info = scene.admin.get(&path).await.json()["info"].clone();
            assert_eq!(info["reserved"], json!(0.0), "{info}");
            if info["model_spend"] == json!({"chat": 0.01}) {
                return;
            }
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    };
    soon("the key's spend on the model", spent_on_model).await;
}

#[tokio::test]
async fn the_log_finds_a_request_by_the_id_in_its_answer() {
    let scene = Scene::sqlite().await;
    let holder = scene.holder(json!({})).await;
    let whole = ask(&holder).await;
    let id = whole.json()["id"].as_str().unwrap().to_owned();
    let call = whole.header("x-litellm-call-id").unwrap().to_owned();
    let stream = holder.post(CHAT, &streaming()).await;
    assert!(stream.text().contains(&id), "the fake provider has one id");
    let rows = async |id: &str| {
        let path = format!("/spend/logs?request_id={id}");
        let rows = scene.admin.get(&path).await.json();
        rows.as_array().unwrap().clone()
    };
    let both = async {
        while rows(&id).await.len() < 2 {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    };
    soon("both rows", both).await;
    let found = rows(&call).await;
    assert_eq!(found.len(), 1);
    assert_eq!(
        (&found[0]["request_id"], &found[0]["call_id"]),
        (&json!(id), &json!(call))
    );
}

#[tokio::test]
async fn keys_and_teams_that_are_over_are_refused_by_name() {
    let scene = Scene::sqlite().await;
    let brief = scene.holder(json!({"duration": "1s"})).await;
    assert_eq!(ask(&brief).await.status, 200);
    let expired = until(&brief, 401).await.json();
    assert_eq!(expired["error"]["type"], "expired_key");
    let message = expired["error"]["message"].as_str().unwrap();
    assert!(
        message.starts_with("Authentication Error - Expired Key. Key Expiry time "),
        "{message}"
    );
    scene.made("/team/new", json!({"team_id": "red"})).await;
    let red = scene.holder(json!({"team_id": "red"})).await;
    assert_eq!(ask(&red).await.status, 200);
    scene.made("/team/block", json!({"team_id": "red"})).await;
    let blocked = until(&red, 401).await.json();
    assert_eq!(blocked["error"]["type"], "auth_error");
    scene.made("/team/unblock", json!({"team_id": "red"})).await;
    until(&red, 200).await;
}

#[tokio::test]
async fn the_status_of_a_spent_budget_is_as_the_file_says() {
    let sections = "  budget_error_status: 422\n";
    let scene = Scene::start(None, sections).await;
    let holder = scene.holder(json!({"max_budget": 0.0})).await;
    let refused = ask(&holder).await;
    assert_eq!(refused.status, 422);
    assert_eq!(refused.json()["error"]["type"], "budget_exceeded");
}
