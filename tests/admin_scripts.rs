//! The calls that scripts written for LiteLLM make one after the other: users, teams and their
//! members, what members may do, models, the whole proxy's spend.

#![expect(clippy::unwrap_used, reason = "to panic is how a test fails")]

use serde_json::{Value, json};
use support::{Client, Gateway, soon};

const MASTER: &str = "sk-master-of-the-tests";

const CONFIG: &str = "
model_list:
  - model_name: gpt-4
    litellm_params: {model: openai/gpt-4o, mock_response: hi, input_cost_per_token: 0.00001, output_cost_per_token: 0.00002}
    model_info: {access_groups: [beta]}
  - model_name: fake-openai-endpoint
    litellm_params: {model: openai/fake, mock_response: hi, input_cost_per_token: 0.00001, output_cost_per_token: 0.00002}
  - model_name: anthropic/*
    litellm_params: {model: anthropic/*, api_key: sk-ant}
litellm_settings:
  default_internal_user_params:
    available_teams: [open-to-all]
general_settings:
  master_key: sk-master-of-the-tests
";

async fn start() -> Gateway {
    support::gateway!().config(CONFIG).start().await
}

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

fn chat(model: &str) -> Value {
    json!({"model": model, "messages": [{"role": "user", "content": "Hello!"}]})
}

fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}

async fn key_of(gateway: &Gateway, body: Value) -> Client {
    let made = ok(&gateway.client().key(MASTER), "/key/generate", body).await;
    gateway.client().key(made["key"].as_str().unwrap())
}

fn names(list: &Value, field: &str) -> Vec<String> {
    let items = list["data"].as_array().unwrap();
    items.iter().map(|item| text(&item[field])).collect()
}

#[tokio::test]
async fn a_user_made_in_a_team_is_a_member_whose_key_is_the_teams() {
    let gateway = start().await;
    let admin = gateway.client().key(MASTER);
    let team = ok(&admin, "/team/new", json!({"team_alias": "mine"})).await;
    let team_id = text(&team["team_id"]);
    let user = ok(
        &admin,
        "/user/new",
        json!({"user_id": "krrish", "team_id": team_id, "models": ["fake-openai-endpoint"],
            "aliases": {"cheap": "fake-openai-endpoint"}, "max_budget": 10,
            "budget_duration": "5s", "duration": null}),
    )
    .await;
    assert_eq!(
        (&user["teams"], &user["team_id"]),
        (&json!([team_id]), &json!(team_id))
    );
    let key = gateway.client().key(user["key"].as_str().unwrap());
    let info = get(&key, "/key/info").await;
    assert_eq!(info["info"]["models"], json!(["fake-openai-endpoint"]));
    assert_eq!(info["info"]["max_budget"], Value::Null);

    // One call fits into next to no money, the next does not.
    ok(
        &admin,
        "/team/member_update",
        json!({"team_id": team_id, "user_id": "krrish", "max_budget_in_team": 0.0005}),
    )
    .await;
    assert_eq!(
        key.post("/chat/completions", &chat("cheap")).await.status,
        200
    );
    let place = async {
        loop {
            let info = get(&admin, "/user/info?user_id=krrish").await;
            let place = info["teams"][0]["team_memberships"][0].clone();
            if place["spend"].as_f64().unwrap() > 0.0 {
                break place;
            }
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    };
    let place = soon("the member's spend", place).await;
    assert_eq!(place["litellm_budget_table"]["max_budget"], 0.0005);
    let refused = key.post("/chat/completions", &chat("cheap")).await;
    assert_eq!(refused.status, 429, "{}", refused.text());
    assert!(refused.text().contains("Budget has been exceeded"));
}

#[tokio::test]
async fn who_makes_a_team_is_in_it_and_an_update_leaves_the_rest_alone() {
    let gateway = start().await;
    let admin = gateway.client().key(MASTER);
    ok(&admin, "/user/new", json!({"user_id": "boss"})).await;
    let made = ok(
        &admin,
        "/team/new",
        json!({"team_alias": "my-new-team", "members_with_roles": [{"role": "admin", "user_id": "boss"}]}),
    )
    .await;
    let id = text(&made["team_id"]);
    let members: Vec<_> = (0..10)
        .map(|at| json!({"role": "user", "user_id": format!("u{at}@berri.ai")}))
        .collect();
    ok(
        &admin,
        "/team/member_add",
        json!({"team_id": id, "member": members}),
    )
    .await;
    let info = get(&admin, &format!("/team/info?team_id={id}")).await;
    let members = info["team_info"]["members_with_roles"].as_array().unwrap();
    assert_eq!(members.len(), 12);
    let updated = ok(
        &admin,
        "/team/update",
        json!({"team_id": id, "team_alias": "my-new-team"}),
    )
    .await;
    for (name, value) in updated["data"].as_object().unwrap() {
        let changes = ["members_with_roles", "updated_at"].contains(&name.as_str());
        assert!(
            changes || *value == made[name],
            "{name}: {value} was {}",
            made[name]
        );
    }
    ok(&admin, "/team/delete", json!({"team_ids": [id]})).await;
    assert_eq!(
        admin.get(&format!("/team/info?team_id={id}")).await.status,
        404
    );
    assert_eq!(
        get(&admin, "/user/info?user_id=boss").await["teams"],
        json!([])
    );
}

#[tokio::test]
async fn members_do_with_a_teams_keys_what_the_team_lets_them() {
    let gateway = start().await;
    let admin = gateway.client().key(MASTER);
    for (permissions, works) in [
        (Value::Null, &["info"][..]),
        (
            json!(["/key/update", "/key/delete", "/key/info"]),
            &["info", "update", "delete"],
        ),
        (json!(["/key/generate"]), &["generate"]),
    ] {
        let team = ok(
            &admin,
            "/team/new",
            json!({"team_member_permissions": permissions}),
        )
        .await;
        let team = text(&team["team_id"]);
        let of_team = ok(&admin, "/key/generate", json!({"team_id": team})).await;
        let of_team = text(&of_team["key"]);
        let user = ok(&admin, "/user/new", json!({"team_id": team})).await;
        let member = key_of(&gateway, json!({"user_id": user["user_id"]})).await;
        let info = member.get(&format!("/key/info?key={of_team}")).await;
        assert_eq!(
            info.status == 200,
            works.contains(&"info"),
            "{}",
            info.text()
        );
        for (action, body) in [
            ("generate", json!({"team_id": team})),
            (
                "update",
                json!({"key": of_team, "metadata": {"updated": true}}),
            ),
            ("regenerate", json!({"key": of_team})),
            ("delete", json!({"keys": [of_team]})),
        ] {
            let answer = member.post(&format!("/key/{action}"), &body).await;
            if works.contains(&action) {
                assert_eq!(answer.status, 200, "{action}: {}", answer.text());
            } else {
                assert_eq!(answer.status, 401, "{action}: {}", answer.text());
                assert_eq!(
                    answer.json()["error"]["type"],
                    "team_member_permission_error"
                );
            }
        }
    }
}

#[tokio::test]
async fn permissions_are_listed_and_changed_by_who_manages_the_team() {
    let gateway = start().await;
    let admin = gateway.client().key(MASTER);
    ok(&admin, "/team/new", json!({"team_id": "t"})).await;
    let path = "/team/permissions_list?team_id=t";
    let listed = get(&admin, path).await;
    assert_eq!(
        listed["team_member_permissions"],
        json!(["/key/info", "/key/health"])
    );
    assert!(
        listed["all_available_permissions"]
            .as_array()
            .unwrap()
            .contains(&json!("/key/generate"))
    );
    let user = ok(&admin, "/user/new", json!({"team_id": "t"})).await;
    let member = gateway.client().key(user["key"].as_str().unwrap());
    let wanted = json!({"team_id": "t", "team_member_permissions": ["/key/generate"]});
    assert_eq!(
        member
            .post("/team/permissions_update", &wanted)
            .await
            .status,
        403
    );
    let changed = ok(&admin, "/team/permissions_update", wanted).await;
    assert_eq!(changed["team_member_permissions"], json!(["/key/generate"]));
    let unknown = json!({"team_id": "t", "team_member_permissions": ["/everything"]});
    assert_eq!(
        admin
            .post("/team/permissions_update", &unknown)
            .await
            .status,
        400
    );
}

#[tokio::test]
async fn anybody_joins_a_team_that_is_open_to_all_and_no_other() {
    let gateway = start().await;
    let admin = gateway.client().key(MASTER);
    for id in ["open-to-all", "closed"] {
        ok(&admin, "/team/new", json!({"team_id": id})).await;
    }
    let user = ok(&admin, "/user/new", json!({"user_id": "u"})).await;
    let user = gateway.client().key(user["key"].as_str().unwrap());
    let open = get(&user, "/team/available").await;
    assert_eq!(
        (open[0]["team_id"].as_str(), open[1].is_null()),
        (Some("open-to-all"), true)
    );
    let join = |team: &str, who: &str, role: &str| json!({"team_id": team, "member": {"role": role, "user_id": who}});
    for body in [
        join("closed", "u", "user"),
        join("open-to-all", "u", "admin"),
        join("open-to-all", "somebody", "user"),
        json!({"team_id": "open-to-all", "member": {"role": "user", "user_id": "u"}, "max_budget_in_team": 1}),
    ] {
        let answer = user.post("/team/member_add", &body).await;
        assert_eq!(answer.status, 403, "{body}: {}", answer.text());
    }
    ok(&user, "/team/member_add", join("open-to-all", "u", "user")).await;
    assert_eq!(get(&user, "/team/available").await, json!([]));
}

#[tokio::test]
async fn who_manages_an_organisation_makes_teams_and_users_in_it_and_nowhere_else() {
    let gateway = start().await;
    let admin = gateway.client().key(MASTER);
    for id in ["ours", "theirs"] {
        ok(
            &admin,
            "/organization/new",
            json!({"organization_id": id, "organization_alias": id}),
        )
        .await;
    }
    // The user is made by being let in.
    let added = ok(
        &admin,
        "/organization/member_add",
        json!({"organization_id": "ours", "member": {"role": "org_admin", "user_id": "chief"}}),
    )
    .await;
    assert_eq!(
        added["updated_organization_memberships"][0]["user_role"],
        "org_admin"
    );
    let chief = key_of(&gateway, json!({"user_id": "chief"})).await;
    let team = ok(
        &chief,
        "/team/new",
        json!({"organization_id": "ours", "team_id": "t"}),
    )
    .await;
    assert_eq!(team["members_with_roles"][0]["user_id"], "chief");
    let user = ok(
        &chief,
        "/user/new",
        json!({"organization_id": "ours", "team_id": "t"}),
    )
    .await;
    assert_eq!(user["user_role"], "internal_user");
    for (path, body) in [
        ("/team/new", json!({"organization_id": "theirs"})),
        ("/user/new", json!({"organization_id": "theirs"})),
        ("/user/new", json!({})),
        (
            "/user/new",
            json!({"organization_id": "ours", "user_role": "proxy_admin"}),
        ),
        ("/user/new", json!({"organizations": ["ours", "theirs"]})),
        ("/organization/update", json!({"organization_id": "theirs"})),
    ] {
        let answer = chief.post(path, &body).await;
        assert!(
            [401, 403, 405].contains(&answer.status),
            "{path} {body}: {}",
            answer.text()
        );
    }
    // A key of somebody who manages an organisation is not for those below to hold.
    ok(
        &admin,
        "/team/member_add",
        json!({"team_id": "t", "member": {"role": "admin", "user_id": "lead"}}),
    )
    .await;
    let lead = key_of(&gateway, json!({"user_id": "lead"})).await;
    let grab = json!({"team_id": "t", "user_id": "chief"});
    assert_eq!(lead.post("/key/generate", &grab).await.status, 403);
}

#[tokio::test]
async fn models_are_shown_as_far_as_the_key_may_ask_for_them() {
    let gateway = start().await;
    let admin = gateway.client().key(MASTER);
    let all = names(&get(&admin, "/v1/models").await, "id");
    assert!(all.contains(&"gpt-4".to_owned()));
    assert!(
        all.iter().any(|name| name.starts_with("anthropic/claude")),
        "{all:?}"
    );
    assert!(!all.contains(&"anthropic/*".to_owned()));
    let with = names(
        &get(&admin, "/v1/models?return_wildcard_routes=true").await,
        "id",
    );
    assert!(with.contains(&"anthropic/*".to_owned()));
    let groups = names(
        &get(&admin, "/models?only_model_access_groups=True").await,
        "id",
    );
    assert_eq!(groups, ["beta"]);
    let groups = names(&get(&admin, "/model_group/info").await, "model_group");
    assert!(
        groups
            .iter()
            .any(|name| name.starts_with("anthropic/claude")),
        "{groups:?}"
    );
    assert!(!groups.contains(&"anthropic/*".to_owned()));

    let key = key_of(&gateway, json!({"models": ["fake-openai-endpoint"]})).await;
    let only = ["fake-openai-endpoint"];
    assert_eq!(names(&get(&key, "/models").await, "id"), only);
    assert!(
        names(
            &get(&key, "/models?only_model_access_groups=True").await,
            "id"
        )
        .is_empty()
    );
    assert_eq!(
        names(&get(&key, "/model_group/info").await, "model_group"),
        only
    );
    let info = get(&key, "/model/info").await;
    assert_eq!(names(&info, "model_name"), only);
    let id = text(&info["data"][0]["model_info"]["id"]);
    let one = get(&key, &format!("/model/info?litellm_model_id={id}")).await;
    assert_eq!(one["data"][0], info["data"][0]);
    let beta = key_of(&gateway, json!({"models": ["beta"]})).await;
    assert_eq!(names(&get(&beta, "/v1/models").await, "id"), ["gpt-4"]);

    let refused = key.post("/v1/chat/completions", &chat("gpt-4")).await;
    let error = refused.json()["error"].clone();
    assert_eq!(
        (refused.status, &error["type"], &error["code"]),
        (403, &json!("key_model_access_denied"), &json!("403"))
    );
    let message = text(&error["message"]);
    assert!(
        message.starts_with("The requested model 'gpt-4' is not available"),
        "{message}"
    );
    assert!(
        message.contains("key not allowed to access model"),
        "{message}"
    );
}

#[tokio::test]
async fn the_whole_proxys_spend_is_read_and_set_as_a_users() {
    let gateway = start().await;
    let admin = gateway.client().key(MASTER);
    let path = "/user/info?user_id=litellm-proxy-budget";
    let spend = async || {
        get(&admin, path).await["user_info"]["spend"]
            .as_f64()
            .unwrap()
    };
    assert!(spend().await.abs() < f64::EPSILON);
    let answer = admin.post("/chat/completions", &chat("gpt-4")).await.json();
    let counted = async {
        while spend().await <= 0.0 {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    };
    soon("the proxy's spend", counted).await;
    // The log is found by the id of the answer, where the gateway made that.
    let rows = get(
        &admin,
        &format!("/spend/logs?request_id={}", text(&answer["id"])),
    )
    .await;
    assert_eq!(
        rows[0]["completion_tokens"],
        answer["usage"]["completion_tokens"]
    );
    assert_eq!(rows[0]["metadata"]["user_api_key"], rows[0]["api_key"]);
    ok(
        &admin,
        "/user/update",
        json!({"user_id": "litellm-proxy-budget", "spend": 0}),
    )
    .await;
    assert!(spend().await.abs() < f64::EPSILON);
    let log = get(&admin, "/audit").await;
    assert_eq!(log["audit_logs"][0]["object_id"], "proxy");
    let user = ok(&admin, "/user/new", json!({"user_id": "u"})).await;
    let user = gateway.client().key(user["key"].as_str().unwrap());
    assert_eq!(user.get(path).await.status, 403);
    let set = json!({"user_id": "litellm-proxy-budget", "spend": 0});
    assert_eq!(user.post("/user/update", &set).await.status, 403);
}

#[tokio::test]
async fn what_tells_nothing_of_anybody_is_open_and_readiness_names_the_database() {
    let gateway = start().await;
    let open = gateway.client();
    assert!(
        get(&open, "/routes").await["routes"]
            .as_array()
            .unwrap()
            .len()
            > 50
    );
    assert_eq!(
        get(&open, "/health/readiness").await,
        json!({"status": "healthy", "db": "connected"})
    );
    let details = get(&open.key(MASTER), "/health/readiness/details").await;
    assert_eq!(details["db"], "connected");
}

#[tokio::test]
async fn somebody_who_looks_at_everything_gets_all_keys_and_teams_at_once() {
    let gateway = start().await;
    let admin = gateway.client().key(MASTER);
    ok(&admin, "/team/new", json!({"team_id": "t"})).await;
    ok(
        &admin,
        "/user/new",
        json!({"user_id": "u", "user_email": "u@berri.ai"}),
    )
    .await;
    let all = get(&admin, "/user/info").await;
    assert_eq!(
        (
            all["keys"].as_array().unwrap().len(),
            all["teams"].as_array().unwrap().len()
        ),
        (1, 1)
    );
    assert_eq!(
        get(&admin, "/v2/user/info?user_id=u").await["user_email"],
        "u@berri.ai"
    );
    assert_eq!(admin.get("/user/info?user_id=nobody").await.status, 404);
}
