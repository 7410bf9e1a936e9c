//! Every cell of the table of rights, called.

use bytes::Bytes;
use http_body_util::Full;
use pointsman_routes::{Literals, Table};
use serde_json::json;

use super::field::{Guard, Kind};
use super::rights::Class;
use super::*;
use crate::account::{Key, Role, Team, User};
use crate::live::Live;
use crate::store::Record;

const ROLES: [Option<Role>; 6] = [
    Some(Role::ProxyAdmin),
    Some(Role::ProxyAdminViewer),
    Some(Role::OrgAdmin),
    Some(Role::InternalUser),
    Some(Role::InternalUserViewer),
    None,
];

struct Scene {
    api: Api,
    store: Store,
    _folder: tempfile::TempDir,
}

async fn add(store: &Store, record: &impl Record) {
    let mut work = store.work("test", "/test").await.unwrap();
    work.add(record).await.unwrap();
    work.commit().await.unwrap();
}

/// A key and a user for each role, in nobody's team but `t`, which the internal user manages.
async fn scene() -> Scene {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::sqlite(folder.path()).await.unwrap();
    for role in ROLES {
        let name = role.map_or("nobody", Role::word);
        let mut key = Key {
            token: name.to_owned(),
            ..Key::default()
        };
        if role.is_some() {
            key.user_id = Some(name.to_owned());
            let teams = match role {
                Some(Role::InternalUser) => vec!["t".to_owned()],
                _ => Vec::new(),
            };
            let user = User {
                user_id: name.to_owned(),
                user_role: role,
                teams,
                ..User::default()
            };
            add(&store, &user).await;
        }
        add(&store, &key).await;
    }
    let mut team = Team {
        team_id: "t".to_owned(),
        ..Team::default()
    };
    team.members_with_roles.push(crate::account::Member {
        role: crate::account::MemberRole::Admin,
        user_id: Some("internal_user".to_owned()),
        user_email: None,
    });
    add(&store, &team).await;
    let other = Key {
        token: "other".to_owned(),
        user_id: Some("somebody".to_owned()),
        ..Key::default()
    };
    add(&store, &other).await;
    let table = Table::compiled(&crate::compiled::COMPILED);
    let env = |name: &str| (!name.contains("BASE")).then(|| "sk-secret".to_owned());
    let live = Live::bind(table, &Literals::default(), &env, "test".to_owned()).unwrap();
    let handle = Handle::new(live);
    let access = Access::new(handle.clone(), None);
    let router = Router::new();
    Scene {
        api: Api::new(handle, Some(store.clone()), None, access, router),
        store,
        _folder: folder,
    }
}

impl Scene {
    async fn call(&self, method: &str, path: &str, key: &str, body: &Value) -> (u16, Value) {
        let principal = Principal {
            key: key.into(),
            ..Principal::master()
        };
        let body = if body.is_null() {
            String::new()
        } else {
            body.to_string()
        };
        let request = http::Request::builder()
            .method(method)
            .uri(path)
            .extension(Arc::new(principal))
            .body(Full::new(Bytes::from(body)))
            .unwrap();
        let answer = self.api.serve(request).await;
        let status = answer.status().as_u16();
        let body = answer.into_body().collect().await.unwrap().to_bytes();
        (status, serde_json::from_slice(&body).unwrap_or_default())
    }
}

#[tokio::test]
async fn each_role_calls_what_the_table_says_and_nothing_else() {
    let scene = scene().await;
    let endpoints = ENDPOINTS.iter().filter(|endpoint| endpoint.plain.is_none());
    for endpoint in endpoints {
        for path in endpoint.paths {
            let path = path.replace("{key}", "sk-none-of-these");
            for role in ROLES {
                let key = role.map_or("nobody", Role::word);
                // Nothing that could change anything: what is refused for its body came further
                // than what is refused for its caller.
                let method = endpoint.method.word();
                let body = if method == "GET" {
                    Value::Null
                } else {
                    json!([])
                };
                let (status, answer) = scene.call(method, &path, key, &body).await;
                let refused = status == 401;
                let expected = endpoint.class.reach(role) == Reach::Nothing;
                assert_eq!(
                    refused, expected,
                    "{method} {path} as {role:?}: {status} {answer}"
                );
                assert!(
                    status < 500,
                    "{method} {path} as {role:?}: {status} {answer}"
                );
            }
        }
    }
}

#[test]
fn the_table_of_rights_is_the_documented_one() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/admin.md");
    let text = std::fs::read_to_string(path).unwrap();
    let table = rights_markdown();
    assert!(text.contains(&table), "docs/admin.md should hold:\n{table}");
}

#[test]
fn the_document_declares_what_stands_in_a_path() {
    let document = document();
    for (path, operations) in document["paths"].as_object().unwrap() {
        let steps = path.split('/');
        let stands: Vec<_> = steps
            .filter_map(|step| step.strip_prefix('{')?.strip_suffix('}'))
            .collect();
        for (method, operation) in operations.as_object().unwrap() {
            let parameters = operation["parameters"].as_array().into_iter().flatten();
            let declared: Vec<_> = parameters
                .filter(|parameter| parameter["in"] == "path")
                .filter_map(|parameter| parameter["name"].as_str())
                .collect();
            assert_eq!(declared, stands, "{method} {path}");
        }
    }
}

#[test]
fn only_those_who_see_everything_reach_everything() {
    for class in Class::ALL {
        for role in ROLES {
            let all = class.reach(role) == Reach::All;
            let admin = role == Some(Role::ProxyAdmin);
            let viewer = role == Some(Role::ProxyAdminViewer);
            let looks = matches!(class, Class::Overview | Class::Own);
            assert_eq!(
                all,
                admin || viewer && looks || class == Class::Anybody,
                "{class:?} {role:?}"
            );
        }
    }
}

/// A value that a field takes.
fn value(kind: Kind) -> Value {
    match kind {
        Kind::Bool => json!(true),
        Kind::Count => json!(1_000_000),
        Kind::Money => json!(1_000),
        Kind::Period => json!("30d"),
        Kind::Time => json!("2999-01-01"),
        Kind::Words => json!(["a"]),
        Kind::TextMap => json!({"a": "b"}),
        Kind::Counts | Kind::MoneyMap | Kind::ModelBudgets | Kind::Object => json!({"a": 1}),
        Kind::BudgetLimits => json!([{"budget_duration": "1d", "max_budget": 1}]),
        Kind::Role => json!("proxy_admin"),
        Kind::MemberRole => json!("admin"),
        Kind::KeyType => json!("default"),
        Kind::Objects | Kind::Members | Kind::Places => json!([]),
        Kind::Text | Kind::Day | Kind::Any => json!("2026-11-21"),
    }
}

#[tokio::test]
async fn nobody_sets_for_themselves_what_is_set_from_above() {
    let scene = scene().await;
    let me = "internal_user";
    for (action, base) in [
        ("/key/update", json!({"key": me})),
        ("/key/regenerate", json!({"key": me})),
        ("/user/update", json!({"user_id": me})),
        ("/team/update", json!({"team_id": "t"})),
        (
            "/team/member_update",
            json!({"team_id": "t", "user_id": me}),
        ),
        ("/team/model/add", json!({"team_id": "t", "models": ["x"]})),
    ] {
        let key = scene.store.get::<Key>(me).await.unwrap();
        let user = scene.store.get::<User>(me).await.unwrap();
        let team = scene.store.get::<Team>("t").await.unwrap();
        for field in table::fields_of(action).filter(|field| field.guard != Guard::Free) {
            // To clear a limit is to raise it.
            for value in [value(field.kind), Value::Null] {
                let mut body = base.clone();
                body[field.name] = value;
                let (status, answer) = scene.call("POST", action, me, &body).await;
                let expected = [403, 400, 422].contains(&status);
                assert!(expected, "{action} {body}: {status} {answer}");
                assert!(
                    status != 422 || body[field.name].is_null(),
                    "{action} {body}: {answer}"
                );
            }
        }
        assert_eq!(scene.store.get::<Key>(me).await.unwrap(), key, "{action}");
        assert_eq!(scene.store.get::<User>(me).await.unwrap(), user, "{action}");
        assert_eq!(
            scene.store.get::<Team>("t").await.unwrap(),
            team,
            "{action}"
        );
    }
}

#[tokio::test]
async fn other_peoples_things_are_refused_and_stay() {
    let scene = scene().await;
    let key = scene.store.get::<Key>("other").await.unwrap();
    for role in [Role::InternalUser, Role::InternalUserViewer, Role::OrgAdmin] {
        let me = role.word();
        for (method, path, body) in [
            (
                "POST",
                "/key/update",
                json!({"key": "other", "key_alias": "mine"}),
            ),
            ("POST", "/key/delete", json!({"keys": ["other"]})),
            ("POST", "/key/block", json!({"key": "other"})),
            ("POST", "/key/regenerate", json!({"key": "other"})),
            ("POST", "/key/other/regenerate", json!({})),
            ("POST", "/key/other/reset_spend", json!({"reset_to": 0})),
            ("POST", "/key/generate", json!({"user_id": "somebody"})),
            ("POST", "/key/generate", json!({"team_id": "not-mine"})),
            ("POST", "/key/generate", json!({"organization_id": "o"})),
            (
                "POST",
                "/key/service-account/generate",
                json!({"team_id": "not-mine"}),
            ),
            (
                "POST",
                "/key/update",
                json!({"key": me, "user_id": "somebody"}),
            ),
            (
                "POST",
                "/user/update",
                json!({"user_id": "proxy_admin", "user_alias": "me"}),
            ),
            ("POST", "/team/new", json!({"team_alias": "mine"})),
            ("GET", "/key/info?key=other", Value::Null),
            ("GET", "/key/list?user_id=somebody", Value::Null),
            ("GET", "/user/info?user_id=proxy_admin", Value::Null),
            ("GET", "/spend/logs?user_id=somebody", Value::Null),
            ("GET", "/spend/logs/v2?user_id=somebody", Value::Null),
            ("GET", "/user/daily/activity?user_id=somebody", Value::Null),
            ("GET", "/team/daily/activity?team_id=not-mine", Value::Null),
        ] {
            let (status, answer) = scene.call(method, path, me, &body).await;
            assert!(
                [401, 403].contains(&status),
                "{me} {path} {body}: {status} {answer}"
            );
        }
    }
    assert_eq!(scene.store.get::<Key>("other").await.unwrap(), key);
}

#[tokio::test]
async fn who_manages_a_team_gets_no_key_of_somebody_above() {
    let scene = scene().await;
    let me = "internal_user";
    let mut of_admin = Key {
        token: "admins-in-the-team".to_owned(),
        user_id: Some("proxy_admin".to_owned()),
        ..Key::default()
    };
    of_admin.team_id = Some("t".to_owned());
    add(&scene.store, &of_admin).await;
    for (path, body) in [
        (
            "/key/generate",
            json!({"team_id": "t", "user_id": "proxy_admin"}),
        ),
        (
            "/key/generate",
            json!({"team_id": "t", "user_id": "org_admin"}),
        ),
        ("/key/regenerate", json!({"key": "admins-in-the-team"})),
    ] {
        let (status, answer) = scene.call("POST", path, me, &body).await;
        assert_eq!(status, 403, "{path} {body}: {answer}");
    }
    let (status, made) = scene
        .call("POST", "/key/generate", me, &json!({"user_id": null}))
        .await;
    assert_eq!((status, &made["user_id"]), (200, &json!(me)));

    let mut org_admin = scene.store.get::<User>("org_admin").await.unwrap().unwrap();
    org_admin.organization_id = Some("o".to_owned());
    let mut work = scene.store.work("test", "/test").await.unwrap();
    work.put(&org_admin.clone(), &org_admin).await.unwrap();
    work.commit().await.unwrap();
    let below = User {
        user_id: "below".to_owned(),
        organization_id: Some("o".to_owned()),
        ..User::default()
    };
    add(&scene.store, &below).await;
    for (field, status) in [
        ("user_role", 403),
        ("organization_id", 403),
        ("max_budget", 200),
    ] {
        let value = if field == "max_budget" {
            json!(1)
        } else {
            json!("proxy_admin")
        };
        let body = json!({"user_id": "below", field: value});
        let answer = scene.call("POST", "/user/update", "org_admin", &body).await;
        assert_eq!(answer.0, status, "{field}: {}", answer.1);
    }
}

#[tokio::test]
async fn a_key_for_models_or_for_reading_changes_nothing() {
    let scene = scene().await;
    for (kind, reads) in [("llm_api", false), ("read_only", true)] {
        let body = json!({"key": "proxy_admin", "key_type": kind});
        scene
            .call("POST", "/key/update", "litellm_proxy_master_key", &body)
            .await;
        let (status, _) = scene
            .call("GET", "/key/info", "proxy_admin", &Value::Null)
            .await;
        assert_eq!(status == 200, reads, "{kind}");
        let (status, _) = scene
            .call("POST", "/key/generate", "proxy_admin", &json!({}))
            .await;
        assert_eq!(status, 401, "{kind}");
    }
}

/// Values that fit no field, or only by luck.
fn nonsense() -> Vec<Value> {
    vec![
        json!(null),
        json!(true),
        json!(-1),
        json!(1e300),
        json!(u64::MAX),
        json!(""),
        json!("\u{0}"),
        json!("'; DROP TABLE account; --"),
        json!("x".repeat(100_000)),
        json!([]),
        json!([[]]),
        json!([null]),
        json!({}),
        json!({"": {}}),
        json!({"user_id": "\u{0}"}),
    ]
}

#[tokio::test]
async fn nonsense_in_any_field_is_never_our_fault() {
    let scene = scene().await;
    let master = "litellm_proxy_master_key";
    for endpoint in ENDPOINTS.iter().filter(|endpoint| endpoint.plain.is_none()) {
        let path = endpoint.paths[0].replace("{key}", "%00");
        let method = endpoint.method.word();
        for field in endpoint.input.iter().copied().flatten() {
            for value in nonsense() {
                let (path, body) = if method == "GET" {
                    let text = value
                        .as_str()
                        .map_or_else(|| value.to_string(), str::to_owned);
                    let text: String = text.chars().take(4_000).collect();
                    let text = percent_encoding::utf8_percent_encode(
                        &text,
                        percent_encoding::NON_ALPHANUMERIC,
                    );
                    (format!("{path}?{}={text}", field.name), Value::Null)
                } else {
                    (path.clone(), json!({field.name: value}))
                };
                let (status, answer) = scene.call(method, &path, master, &body).await;
                assert!(
                    status < 500,
                    "{method} {path:.200} {body:.200}: {status} {answer}"
                );
            }
        }
    }
}
