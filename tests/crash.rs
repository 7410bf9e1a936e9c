//! What was answered is in the ledger, whenever the gateway dies.
//!
//! `POINTSMAN_CRASHES` sets how often it is killed in each test (6).

#![expect(clippy::unwrap_used, reason = "to panic is how a test fails")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use pointsman::account::{Accounts, Key, Scope, SpendRow, Team, Time};
use pointsman::store::{LogFilter, Store};
use pointsman_layers::auth::KeyDigest;
use pointsman_routes::usd::Usd;
use serde_json::Value;
use support::postgres::Postgres;
use support::process::Signal;
use support::scene::{CHAT, config, keyed, saying};
use support::{Client, Gateway, Reply, Upstream, gateway};

/// What the fake provider bills.
const PRICES: &str = "input_cost_per_token: 0.0000015\ncache_read_input_token_cost: 0.0000015\n\
    output_cost_per_token: 0.00002\n";
const INPUT: Usd = Usd(1_500_000);
const OUTPUT: Usd = Usd(20_000_000);
/// Callers at once.
const CALLERS: usize = 12;

/// Keys and the teams that they are of.
const KEYS: [(&str, &str); 4] = [
    ("sk-one-0001", "red"),
    ("sk-two-0002", "red"),
    ("sk-three-0003", "blue"),
    ("sk-four-0004", "blue"),
];

fn crashes() -> u32 {
    let set = std::env::var("POINTSMAN_CRASHES").ok();
    set.and_then(|text| text.parse().ok()).unwrap_or(6)
}

fn hash(key: &str) -> String {
    KeyDigest::of(key.as_bytes()).to_string()
}

async fn make_keys(store: &Store) {
    let mut work = store.work("test", "made").await.unwrap();
    for team in ["red", "blue"] {
        let team = Team {
            team_id: team.to_owned(),
            created_at: Time::now(),
            ..Team::default()
        };
        work.add(&team).await.unwrap();
    }
    for (secret, team) in KEYS {
        let key = Key {
            token: hash(secret),
            key_name: "sk-...".to_owned(),
            team_id: Some(team.to_owned()),
            created_at: Time::now(),
            ..Key::default()
        };
        work.add(&key).await.unwrap();
    }
    work.commit().await.unwrap();
}

/// What callers saw.
#[derive(Default)]
struct Seen {
    next: AtomicU64,
    /// Answers that came to their end: id of the call, key, cost.
    whole: Mutex<BTreeMap<String, (&'static str, Usd)>>,
    /// Calls of which nobody knows how far they came.
    open: Mutex<BTreeSet<String>>,
}

impl Seen {
    /// Asks again and again until the gateway is gone.
    async fn ask(&self, gateway: Client) {
        loop {
            let number = self.next.fetch_add(1, Ordering::Relaxed);
            let (key, _) = KEYS[usize::try_from(number).unwrap() % KEYS.len()];
            let id = format!("call-{number}");
            let client = gateway.clone().key(key).header("x-litellm-call-id", &id);
            self.open.lock().unwrap().insert(id.clone());
            let Some(usage) = ask(&client, number.is_multiple_of(2)).await else {
                return;
            };
            let tokens = |name: &str| usage[name].as_u64().unwrap();
            let input = INPUT.times(tokens("prompt_tokens"));
            let cost = input.plus(OUTPUT.times(tokens("completion_tokens")));
            self.open.lock().unwrap().remove(&id);
            self.whole.lock().unwrap().insert(id, (key, cost));
        }
    }
}

/// One request; its usage, if the answer came to its end.
async fn ask(client: &Client, streamed: bool) -> Option<Value> {
    use http_body_util::BodyExt;
    let mut body = saying("hi");
    if streamed {
        body["stream"] = true.into();
        body["stream_options"] = serde_json::json!({"include_usage": true});
    }
    let response = client.try_post(CHAT, &body.to_string()).await.ok()?;
    assert_eq!(response.status(), 200);
    let bytes = response.into_body().collect().await.ok()?.to_bytes();
    let text = String::from_utf8(bytes.to_vec()).unwrap();
    if !streamed {
        let answer: Value = serde_json::from_str(&text).unwrap();
        return Some(answer["usage"].clone());
    }
    assert!(text.ends_with("data: [DONE]\n\n"), "{text}");
    let events = text.lines().filter_map(|line| line.strip_prefix("data: {"));
    let events = events.map(|rest| serde_json::from_str::<Value>(&format!("{{{rest}")).unwrap());
    events
        .map(|event| event["usage"].clone())
        .find(Value::is_object)
}

async fn start(upstream: &Upstream, data: &Path, database: Option<&str>) -> Gateway {
    let setup = keyed(gateway!()).env("POINTSMAN_DATA_DIR", data.to_str().unwrap());
    let setup = match database {
        Some(url) => setup.env("DATABASE_URL", url),
        None => setup,
    };
    setup.config(&config(upstream, PRICES)).start().await
}

async fn crash_and_count(store: Store, data: &Path, database: Option<&str>) {
    make_keys(&store).await;
    store.close().await;
    let upstream = Upstream::start().await;
    let reply = Reply {
        wait_head: 3,
        wait_between: 1,
        ..Reply::default()
    };
    upstream.on_model(support::scene::MODEL, reply);
    let seen = Arc::new(Seen::default());
    let mut random = fastrand::Rng::with_seed(7);
    for _ in 0..crashes() {
        let gateway = start(&upstream, data, database).await;
        let mut callers = tokio::task::JoinSet::new();
        for _ in 0..CALLERS {
            let (seen, client) = (Arc::clone(&seen), gateway.client());
            callers.spawn(async move { seen.ask(client).await });
        }
        tokio::time::sleep(Duration::from_millis(random.u64(40..600))).await;
        gateway.signal(Signal::KILL);
        gateway.exit().await;
        while let Some(ended) = callers.join_next().await {
            ended.unwrap();
        }
    }
    // The next start takes what the last one left behind.
    let exit = start(&upstream, data, database).await.stop().await;
    assert_eq!(exit.code(), Some(0), "{}", exit.log);
    upstream.take_violations();
    let store = match database {
        Some(url) => Store::open(url).await.unwrap(),
        None => Store::sqlite(data).await.unwrap(),
    };
    compare(&store, &seen).await;
    store.close().await;
}

async fn all_rows(store: &Store) -> Vec<SpendRow> {
    let mut rows = Vec::new();
    loop {
        let wanted = LogFilter {
            offset: rows.len() as u64,
            limit: 500,
            ..LogFilter::default()
        };
        let page = store.logs(&wanted).await.unwrap().records;
        if page.is_empty() {
            return rows;
        }
        rows.extend(page);
    }
}

async fn compare(store: &Store, seen: &Seen) {
    let rows = all_rows(store).await;
    let whole = seen.whole.lock().unwrap().clone();
    let open = seen.open.lock().unwrap().clone();
    assert!(whole.len() > 100, "only {} answers", whole.len());
    let mut found: BTreeMap<&str, &SpendRow> = BTreeMap::new();
    for row in &rows {
        let id = row.metadata["litellm_call_id"].as_str().unwrap();
        assert!(found.insert(id, row).is_none(), "{id} is there twice");
        assert!(
            whole.contains_key(id) || open.contains(id),
            "{id} was never asked"
        );
    }
    let (mut by_key, mut by_team) = (BTreeMap::new(), BTreeMap::new());
    for (id, (key, cost)) in &whole {
        let row = found.get(id.as_str());
        let row = row.unwrap_or_else(|| panic!("{id} was answered and is not in the ledger"));
        assert_eq!(row.spend, *cost, "{id}");
        assert_eq!(row.api_key, hash(key), "{id}");
        assert_eq!(row.status, "success", "{id}");
        add(&mut by_key, row.api_key.clone(), *cost);
        add(&mut by_team, row.team_id.clone().unwrap(), *cost);
    }
    // Those that the gateway had written down and could not bring to their caller any more.
    for row in &rows {
        if open.contains(row.metadata["litellm_call_id"].as_str().unwrap()) {
            add(&mut by_key, row.api_key.clone(), row.spend);
            add(&mut by_team, row.team_id.clone().unwrap(), row.spend);
        }
    }
    assert_eq!(store.audit_totals().await.unwrap(), None);
    let of = |scopes: Vec<Scope>| async move { store.spent(&scopes).await.unwrap() };
    let keys: Vec<_> = by_key.keys().cloned().map(Scope::Key).collect();
    let teams: Vec<_> = by_team.keys().cloned().map(Scope::Team).collect();
    let sums: Vec<_> = of(keys).await.iter().map(|spent| spent.total).collect();
    assert_eq!(sums, by_key.into_values().collect::<Vec<_>>());
    let sums: Vec<_> = of(teams).await.iter().map(|spent| spent.total).collect();
    assert_eq!(sums, by_team.into_values().collect::<Vec<_>>());
    println!(
        "{} answers, {} rows, {} open",
        whole.len(),
        rows.len(),
        open.len()
    );
}

fn add(sums: &mut BTreeMap<String, Usd>, name: String, amount: Usd) {
    let sum = sums.entry(name).or_default();
    *sum = sum.plus(amount);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kill_9_loses_no_answered_request_with_sqlite() {
    let data = tempfile::tempdir().unwrap();
    let store = Store::sqlite(data.path()).await.unwrap();
    crash_and_count(store, data.path(), None).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kill_9_loses_no_answered_request_with_postgresql() {
    let data = tempfile::tempdir().unwrap();
    let server = Postgres::start().await;
    let url = server.database();
    let store = Store::open(&url).await.unwrap();
    crash_and_count(store, data.path(), Some(&url)).await;
}
