//! Teams, users, customers, budgets and spend, as operators script them.

#![expect(clippy::unwrap_used, reason = "to panic is how a test fails")]

use pointsman::account::{Accounts, SpendRow, Time};
use pointsman::store::Store;
use pointsman_routes::usd::Usd;
use serde_json::{Value, json};
use support::{Client, Gateway, Postgres, gateway};

const MASTER: &str = "sk-master-of-the-tests";
const CONFIG: &str = "model_list:\n  - model_name: gpt-4o\n    litellm_params: {model: openai/gpt-4o, api_key: sk-up}\n\
    general_settings:\n  master_key: sk-master-of-the-tests\n\
    litellm_settings:\n  max_internal_user_budget: 7\n  internal_user_budget_duration: 1mo\n";

async fn ok(client: &Client, path: &str, body: Value) -> Value {
    let answer = client.post(path, &body).await;
    assert_eq!(answer.status, 200, "{path} {body}: {}", answer.text());
    answer.json()
}

async fn get(client: &Client, path: &str) -> Value {
    let answer = client.get(path).await;
    assert_eq!(answer.status, 200, "{path}: {}", answer.text());
    answer.json()
}

/// Rows A10-01 to A10-03: a team, a key for a user in it, its spend.
async fn a_team_with_a_budget_and_a_key_in_it(gateway: &Gateway) {
    let admin = gateway.client().key(MASTER);
    let team = ok(
        &admin,
        "/team/new",
        json!({
            "team_alias": "research", "team_id": "research", "models": ["gpt-4o"],
            "members_with_roles": [{"role": "admin", "user_id": "ann"}],
            "max_budget": 50.0, "budget_duration": "30d", "tpm_limit": 10000, "rpm_limit": 100,
            "max_parallel_requests": 10, "metadata": {"cost_center": "x"}, "tags": ["r"],
            "model_aliases": {"best": "gpt-4o"}, "team_member_budget": 5, "blocked": false,
        }),
    )
    .await;
    let members = json!([
        {"role": "admin", "user_id": "ann", "user_email": null},
        {"role": "admin", "user_id": "default_user_id", "user_email": null},
    ]);
    assert_eq!(
        (&team["team_id"], &team["members_with_roles"]),
        (&json!("research"), &members)
    );
    assert_eq!(
        (&team["spend"], &team["max_budget"]),
        (&json!(0.0), &json!(50.0))
    );
    assert!(
        team["budget_reset_at"]
            .as_str()
            .unwrap()
            .contains("-01T00:00:00")
    );
    let made = ok(
        &admin,
        "/key/generate",
        json!({"team_id": "research", "user_id": "ann"}),
    )
    .await;
    assert_eq!(made.get("warning"), None);
    let changed = ok(
        &admin,
        "/team/update",
        json!({"team_id": "research", "max_budget": 80,
        "model_spend_map": {"gpt-4o": 20}}),
    )
    .await;
    assert_eq!(changed["data"]["model_spend_map"], json!({"gpt-4o": 20.0}));
    let info = get(&admin, "/team/info?team_id=research").await;
    assert_eq!(
        (&info["spend"], &info["max_budget"], &info["remaining"]),
        (&json!(0.0), &json!(80.0), &json!(80.0))
    );
    assert_eq!(info["team_info"]["max_budget"], 80.0);
    assert_eq!(info["keys"][0]["token"], made["token"]);
    assert_eq!(info["team_memberships"][0]["user_id"], "ann");
    let again = admin
        .post("/team/new", &json!({"team_id": "research"}))
        .await;
    assert_eq!(again.status, 400);
    assert_eq!(admin.get("/team/info?team_id=none").await.status, 404);

    let bob = json!({"team_id": "research", "member": {"role": "user", "user_email": "bob@example.org"},
        "max_budget_in_team": 2});
    let with_bob = ok(&admin, "/team/member_add", bob).await;
    let bob = with_bob["updated_users"][0]["user_id"]
        .as_str()
        .unwrap()
        .to_owned();
    assert_eq!(
        with_bob["updated_team_memberships"][0]["litellm_budget_table"]["max_budget"],
        2.0
    );
    let limited = ok(
        &admin,
        "/team/member_update",
        json!({"team_id": "research",
        "user_email": "bob@example.org", "max_budget_in_team": 3, "role": "admin"}),
    )
    .await;
    assert_eq!(limited["max_budget_in_team"], 3.0);
    let user = get(&admin, &format!("/user/info?user_id={bob}")).await;
    assert_eq!(user["teams"][0]["team_id"], "research");
    let without = ok(
        &admin,
        "/team/member_delete",
        json!({"team_id": "research", "user_id": bob}),
    )
    .await;
    assert_eq!(without["members_with_roles"].as_array().unwrap().len(), 2);
    let models = ok(
        &admin,
        "/team/model/add",
        json!({"team_id": "research", "models": ["o3"]}),
    )
    .await;
    assert_eq!(models["models"], json!(["gpt-4o", "o3"]));
    assert_eq!(get(&admin, "/team/list").await.as_array().unwrap().len(), 1);
    assert_eq!(get(&admin, "/v2/team/list?page_size=1").await["total"], 1);
}

/// Row A10-06: a user comes with a key, and sees what is the user's own.
async fn a_user_and_the_key_along_with_it(gateway: &Gateway) {
    let admin = gateway.client().key(MASTER);
    let made = ok(&admin, "/user/new", json!({"user_id": "carl", "user_email": "carl@example.org",
        "user_alias": "Carl", "user_role": "internal_user", "teams": ["research"], "models": ["gpt-4o"],
        "budget_duration": "1d", "tpm_limit": 10, "rpm_limit": 1})).await;
    assert_eq!(
        (&made["max_budget"], &made["budget_duration"]),
        (&json!(7.0), &json!("1d"))
    );
    let carl = gateway.client().key(made["key"].as_str().unwrap());
    let info = get(&carl, "/user/info").await;
    assert_eq!(
        (&info["user_id"], &info["keys"][0]["user_id"]),
        (&json!("carl"), &json!("carl"))
    );
    assert_eq!(
        get(&carl, "/team/info?team_id=research").await["keys"],
        json!([])
    );
    let own = ok(&carl, "/key/generate", json!({"key_alias": "carls"})).await;
    assert_eq!(own["user_id"], "carl");
    assert_eq!(get(&carl, "/key/list").await["total_count"], 2);
    assert_eq!(
        carl.post(
            "/user/update",
            &json!({"user_id": "carl", "user_role": "proxy_admin"})
        )
        .await
        .status,
        403
    );
    assert_eq!(
        carl.post(
            "/user/update",
            &json!({"user_id": "carl", "max_budget": null})
        )
        .await
        .status,
        403
    );
    ok(
        &carl,
        "/user/update",
        json!({"user_id": "carl", "user_alias": "C."}),
    )
    .await;
    let none = ok(&admin, "/user/new", json!({"auto_create_key": false})).await;
    assert_eq!(none["key"], Value::Null);
    assert_eq!(get(&admin, "/user/list").await["total"], 4);
    ok(&admin, "/user/delete", json!({"user_ids": ["carl"]})).await;
    assert_eq!(carl.get("/user/info").await.status, 401);
    let admin_of = ok(
        &admin,
        "/user/new",
        json!({"user_id": "root", "user_role": "proxy_admin"}),
    )
    .await;
    let root = gateway.client().key(admin_of["key"].as_str().unwrap());
    ok(&root, "/key/generate", json!({})).await;
    let log = get(&root, "/audit?page_size=1").await;
    assert_eq!(
        (
            &log["audit_logs"][0]["changed_by"],
            &log["audit_logs"][0]["action"]
        ),
        (&json!("root"), &json!("/key/generate"))
    );
}

async fn budgets_customers_and_organizations(gateway: &Gateway) {
    let admin = gateway.client().key(MASTER);
    ok(
        &admin,
        "/budget/new",
        json!({"budget_id": "small", "max_budget": 1, "budget_duration": "1d"}),
    )
    .await;
    let customer = ok(
        &admin,
        "/end_user/new",
        json!({"user_id": "customer", "budget_id": "small"}),
    )
    .await;
    assert!(customer["budget_reset_at"].is_string());
    assert_eq!(
        admin
            .post(
                "/customer/new",
                &json!({"user_id": "x", "budget_id": "none"})
            )
            .await
            .status,
        400
    );
    ok(&admin, "/customer/block", json!({"user_ids": ["customer"]})).await;
    assert_eq!(
        get(&admin, "/customer/info?end_user_id=customer").await["blocked"],
        true
    );
    ok(
        &admin,
        "/budget/update",
        json!({"budget_id": "small", "max_budget": 2}),
    )
    .await;
    assert_eq!(
        ok(&admin, "/budget/info", json!({"budgets": ["small"]})).await[0]["max_budget"],
        2.0
    );
    assert_eq!(
        get(&admin, "/budget/list").await.as_array().unwrap().len(),
        1
    );
    ok(&admin, "/budget/delete", json!({"id": "small"})).await;
    assert_eq!(
        admin
            .post("/budget/delete", &json!({"id": "small"}))
            .await
            .status,
        404
    );
    let made = ok(
        &admin,
        "/organization/new",
        json!({"organization_alias": "o", "max_budget": 9}),
    )
    .await;
    let id = made["organization_id"].as_str().unwrap();
    ok(
        &admin,
        "/team/new",
        json!({"team_id": "of-o", "organization_id": id}),
    )
    .await;
    let info = get(&admin, &format!("/organization/info?organization_id={id}")).await;
    assert_eq!(info["teams"][0]["team_id"], "of-o");
    ok(
        &admin,
        "/organization/member_add",
        json!({"organization_id": id, "user_id": "ann", "role": "org_admin"}),
    )
    .await;
    assert_eq!(
        get(&admin, "/organization/list").await[0]["members"][0]["user_id"],
        "ann"
    );
}

fn row(id: &str, spend: i128, model: &str) -> SpendRow {
    SpendRow {
        request_id: id.to_owned(),
        call_type: "acompletion".to_owned(),
        api_key: "hash".to_owned(),
        spend: Usd(spend),
        prompt_tokens: 10,
        completion_tokens: 5,
        total_tokens: 15,
        start_time: Time::now(),
        end_time: Time::now(),
        model: model.to_owned(),
        model_group: Some(model.to_owned()),
        custom_llm_provider: Some("openai".to_owned()),
        user: Some("ann".to_owned()),
        team_id: Some("research".to_owned()),
        request_tags: vec!["r".to_owned()],
        status: "success".to_owned(),
        ..SpendRow::default()
    }
}

/// Row A11-01 and its relatives, over rows that another part of the gateway wrote.
async fn spend_is_read_by_day_by_row_and_by_whom(gateway: &Gateway, store: &Store) {
    let admin = gateway.client().key(MASTER);
    let rows = [
        row("r1", 1_500_000_000_000, "gpt-4o"),
        row("r2", 500_000_000_000, "o3"),
    ];
    assert_eq!(store.append(&rows).await.unwrap(), 2);
    let today = Time::now().day();
    let tomorrow = Time::now().plus_seconds(86_400).day();
    let all = get(&admin, "/spend/logs").await;
    assert_eq!(all.as_array().unwrap().len(), 2);
    assert_eq!(
        get(&admin, "/spend/logs?limit=1")
            .await
            .as_array()
            .unwrap()
            .len(),
        1
    );
    let one = get(&admin, "/spend/logs?request_id=r1").await;
    assert_eq!(
        (&one[0]["spend"], &one[0]["user_id"], &one[0]["user"]),
        (&json!(1.5), &json!("ann"), &json!("ann"))
    );
    let days = get(
        &admin,
        &format!("/spend/logs?start_date={today}&end_date={tomorrow}"),
    )
    .await;
    assert_eq!(
        (&days[0]["spend"], &days[0]["users"]),
        (&json!(2.0), &json!({"ann": 2.0}))
    );
    assert_eq!(days[0]["models"], json!({"gpt-4o": 1.5, "o3": 0.5}));
    let rows = get(
        &admin,
        &format!("/spend/logs?start_date={today}&end_date={tomorrow}&summarize=false"),
    )
    .await;
    assert_eq!(rows.as_array().unwrap().len(), 2);
    let page = get(&admin, "/spend/logs/v2?page_size=1&page=2&team_id=research").await;
    assert_eq!(
        (&page["total"], page["data"].as_array().unwrap().len()),
        (&json!(2), 1)
    );
    assert_eq!(
        get(&admin, "/team/info?team_id=research").await["spend"],
        2.0
    );
    assert_eq!(get(&admin, "/global/spend").await["spend"], 2.0);
    assert_eq!(get(&admin, "/spend/tags").await[0]["total_spend"], 2.0);
    assert_eq!(get(&admin, "/spend/users").await[0]["user_id"], "ann");
    assert_eq!(
        get(&admin, "/global/spend/models").await[0]["model"],
        "gpt-4o"
    );
    assert_eq!(get(&admin, "/global/spend/provider").await[0]["spend"], 2.0);
    let report = get(
        &admin,
        &format!("/global/spend/report?start_date={today}&end_date={today}&group_by=team"),
    )
    .await;
    assert_eq!(report[0]["teams"][0]["total_spend"], 2.0);
    assert_eq!(
        get(&admin, "/global/activity").await["sum_total_tokens"],
        30
    );
    let activity = get(&admin, "/user/daily/activity?user_id=ann").await;
    assert_eq!(activity["results"][0]["metrics"]["api_requests"], 2);
    assert_eq!(
        activity["results"][0]["breakdown"]["models"]["o3"]["metrics"]["spend"],
        0.5
    );
    assert_eq!(activity["metadata"]["total_spend"], 2.0);
    assert_eq!(
        get(&admin, "/tag/daily/activity?tags=r").await["metadata"]["total_spend"],
        2.0
    );
    assert_eq!(
        get(&admin, "/team/daily/activity?team_id=none").await["results"],
        json!([])
    );
    ok(&admin, "/global/spend/reset", json!({})).await;
    assert_eq!(get(&admin, "/global/spend").await["spend"], 0.0);
    assert_eq!(get(&admin, "/global/spend/models").await[0]["spend"], 1.5);
    assert_eq!(admin.get("/spend/logs?start_date=soon").await.status, 422);
}

async fn what_needs_nobodys_data(gateway: &Gateway) {
    let admin = gateway.client().key(MASTER);
    let tokens = ok(
        &admin,
        "/utils/token_counter",
        json!({"model": "gpt-4o",
        "messages": [{"role": "user", "content": "Hello, how are you?"}]}),
    )
    .await;
    assert_eq!(tokens["model_used"], "gpt-4o");
    assert!(
        (5..12).contains(&tokens["total_tokens"].as_u64().unwrap()),
        "{tokens}"
    );
    let cost = ok(
        &admin,
        "/spend/calculate",
        json!({"completion_response": {"model": "gpt-4o",
        "usage": {"prompt_tokens": 1_000_000, "completion_tokens": 0}}}),
    )
    .await;
    assert_eq!(cost["cost"], 2.5);
    let params = get(&admin, "/utils/supported_openai_params?model=gpt-4o").await;
    assert!(
        params["supported_openai_params"]
            .as_array()
            .unwrap()
            .contains(&json!("tools"))
    );
    let models = get(&admin, "/v1/model/info").await;
    assert_eq!(models["data"][0]["model_name"], "gpt-4o");
    assert!(!models.to_string().contains("sk-up"));
    assert_eq!(get(&admin, "/v2/model/info").await["total_count"], 1);
    assert_eq!(
        get(&admin, "/model_group/info").await["data"][0]["providers"],
        json!(["openai"])
    );
    assert!(
        get(&admin, "/routes").await["routes"]
            .as_array()
            .unwrap()
            .len()
            > 80
    );
}

async fn all(gateway: &Gateway, store: &Store) {
    a_team_with_a_budget_and_a_key_in_it(gateway).await;
    a_user_and_the_key_along_with_it(gateway).await;
    budgets_customers_and_organizations(gateway).await;
    spend_is_read_by_day_by_row_and_by_whom(gateway, store).await;
    what_needs_nobodys_data(gateway).await;
}

#[tokio::test]
async fn teams_users_and_spend_are_as_scripts_expect_on_sqlite() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().display().to_string();
    let gateway = gateway!()
        .config(CONFIG)
        .env("POINTSMAN_DATA_DIR", &path)
        .start()
        .await;
    let store = Store::sqlite(folder.path()).await.unwrap();
    all(&gateway, &store).await;
}

#[tokio::test]
async fn teams_users_and_spend_are_as_scripts_expect_on_postgres() {
    let server = Postgres::start().await;
    let url = server.database();
    let gateway = gateway!()
        .config(CONFIG)
        .env("DATABASE_URL", &url)
        .start()
        .await;
    let store = Store::open(&url).await.unwrap();
    all(&gateway, &store).await;
}
