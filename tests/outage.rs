//! The database is away and comes back, the gateway dies meanwhile, keys change: callers notice
//! nothing, and every answer is counted once.

#![expect(clippy::unwrap_used, reason = "to panic is how a test fails")]

use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use pointsman::account::{Accounts, Scope, SpendRow};
use pointsman::store::{LogFilter, Store};
use pointsman_layers::auth::KeyDigest;
use pointsman_routes::usd::Usd;
use serde_json::{Value, json};
use support::process::Signal;
use support::scene::{CHAT, MASTER_KEY, MODEL, config, keyed, saying};
use support::{Client, Gateway, Postgres, Reply, Upstream, gateway, soon};
use tokio::task::JoinSet;

/// What an answer costs: twenty tokens of prompt and ten of answer.
const PRICES: &str = "input_cost_per_token: 0.0001\ncache_read_input_token_cost: 0.0001\n\
    output_cost_per_token: 0.001\n";
const EACH: Usd = Usd(20 * 100_000_000 + 10 * 1_000_000_000);
const CALLERS: usize = 8;

async fn start(upstream: &Upstream, data: &Path, database: Option<&str>, more: &str) -> Gateway {
    let mut setup = keyed(gateway!()).env("POINTSMAN_DATA_DIR", data.to_str().unwrap());
    if let Some(url) = database {
        setup = setup.env("DATABASE_URL", url);
    }
    let config = config(upstream, PRICES) + more;
    setup.config(&config).start().await
}

async fn made(gateway: &Gateway, path: &str, body: Value) -> Value {
    let admin = gateway.client().key(MASTER_KEY);
    let answer = admin.post(path, &body).await;
    assert_eq!(answer.status, 200, "{path} {body}: {}", answer.text());
    answer.json()
}

async fn new_key(gateway: &Gateway, body: Value) -> String {
    let made = made(gateway, "/key/generate", body).await;
    made["key"].as_str().unwrap().to_owned()
}

/// Callers who ask without a pause, with whatever key is handed out now.
struct Load {
    key: Arc<Mutex<String>>,
    stop: Arc<AtomicBool>,
    answered: Arc<AtomicU64>,
    callers: JoinSet<Vec<String>>,
}

impl Load {
    fn on(gateways: &[&Gateway], key: &str) -> Self {
        let mut load = Self {
            key: Arc::new(Mutex::new(key.to_owned())),
            stop: Arc::default(),
            answered: Arc::default(),
            callers: JoinSet::new(),
        };
        for number in 0..CALLERS {
            let client = gateways[number % gateways.len()].client();
            let (key, stop) = (Arc::clone(&load.key), Arc::clone(&load.stop));
            let answered = Arc::clone(&load.answered);
            load.callers.spawn(async move {
                let mut failed = Vec::new();
                while !stop.load(Ordering::Relaxed) {
                    let key = key.lock().unwrap().clone();
                    let answer = client.clone().key(&key).post(CHAT, &saying("hi")).await;
                    if answer.status == 200 {
                        answered.fetch_add(1, Ordering::Relaxed);
                    } else {
                        failed.push(answer.text());
                    }
                }
                failed
            });
        }
        load
    }

    fn hand_out(&self, key: &str) {
        key.clone_into(&mut self.key.lock().unwrap());
    }

    fn answered(&self) -> u64 {
        self.answered.load(Ordering::Relaxed)
    }

    /// Waits for some more answers.
    async fn more(&self, answers: u64) {
        let wanted = self.answered() + answers;
        let come = async {
            while self.answered() < wanted {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        soon("more answers", come).await;
    }

    /// Ends it: how many were answered, if nobody was refused.
    async fn end(mut self) -> u64 {
        self.stop.store(true, Ordering::Relaxed);
        while let Some(failed) = self.callers.join_next().await {
            assert_eq!(failed.unwrap(), Vec::<String>::new());
        }
        self.answered()
    }
}

async fn stopped(gateway: Gateway) {
    let exit = gateway.stop().await;
    assert_eq!(exit.code(), Some(0), "{}", exit.log);
}

async fn rows(store: &Store) -> Vec<SpendRow> {
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

/// Every answer stands in the log once, and the key's sum is theirs.
async fn assert_counted(store: &Store, key: &str, answers: u64) {
    let rows = rows(store).await;
    assert_eq!(rows.len() as u64, answers);
    assert!(rows.iter().all(|row| row.spend == EACH));
    assert_eq!(store.audit_totals().await.unwrap(), None);
    let key = Scope::Key(KeyDigest::of(key.as_bytes()).to_string());
    let spent = store.spent(&[key]).await.unwrap();
    assert_eq!(spent[0].total, EACH.times(answers));
}

/// A key is rotated five times while it is used, with a grace, and no request fails.
async fn rotate(gateways: &[&Gateway]) -> (String, u64) {
    let mut key = new_key(gateways[0], json!({"max_budget": 1000, "key_alias": "app"})).await;
    let load = Load::on(gateways, &key);
    for round in 0..5 {
        load.more(20).await;
        let path = format!("/key/{key}/regenerate");
        let by = gateways[round % gateways.len()];
        let new = made(by, &path, json!({"grace_period": "1h"})).await;
        new["key"].as_str().unwrap().clone_into(&mut key);
        load.hand_out(&key);
    }
    load.more(20).await;
    let answers = load.end().await;
    (key, answers)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_is_rotated_under_traffic_and_no_request_fails_on_sqlite() {
    let (upstream, data) = (Upstream::start().await, tempfile::tempdir().unwrap());
    let gateway = start(&upstream, data.path(), None, "").await;
    let (key, answers) = rotate(&[&gateway]).await;
    stopped(gateway).await;
    let store = Store::sqlite(data.path()).await.unwrap();
    assert_counted(&store, &key, answers).await;
    store.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_is_rotated_at_two_replicas_and_no_request_fails() {
    let server = Postgres::start().await;
    let url = server.database();
    let upstream = Upstream::start().await;
    let folders = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let one = start(&upstream, folders[0].path(), Some(&url), "").await;
    let two = start(&upstream, folders[1].path(), Some(&url), "").await;
    let (key, answers) = rotate(&[&one, &two]).await;
    stopped(one).await;
    stopped(two).await;
    let store = Store::open(&url).await.unwrap();
    assert_counted(&store, &key, answers).await;
    store.close().await;
}

/// PostgreSQL is away twice while the gateway is asked, and the gateway is killed once while it is
/// away: nobody with a known key is refused, and each answer is counted once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_is_away_costs_no_answer_and_no_record() {
    let mut server = Postgres::start().await;
    let url = server.database();
    let (upstream, data) = (Upstream::start().await, tempfile::tempdir().unwrap());
    let gateway = start(&upstream, data.path(), Some(&url), "").await;
    let key = new_key(&gateway, json!({"max_budget": 1000})).await;
    let load = Load::on(&[&gateway], &key);
    load.more(30).await;
    server.stop().await;
    load.more(60).await;
    // Whom nobody knows cannot be looked up, and is told to come again.
    let stranger = gateway.client().key("sk-a-stranger-to-memory");
    let refused = stranger.post(CHAT, &saying("hi")).await;
    assert_eq!(refused.status, 503, "{}", refused.text());
    assert!(refused.headers.contains_key("retry-after"));
    server.resume().await;
    load.more(60).await;
    server.stop().await;
    load.more(30).await;
    let mut answers = load.end().await;
    gateway.signal(Signal::KILL);
    gateway.exit().await;
    server.resume().await;

    // The next process brings what the first could not.
    let gateway = start(&upstream, data.path(), Some(&url), "").await;
    let load = Load::on(&[&gateway], &key);
    load.more(30).await;
    answers += load.end().await;
    let spent = gateway.client().key(&key).post(CHAT, &saying("hi")).await;
    let spent = spent.header("x-litellm-key-spend").unwrap().parse::<f64>();
    let expected = EACH.times(answers + 1).to_f64();
    assert!((spent.unwrap() - expected).abs() < 1e-9);
    stopped(gateway).await;
    let store = Store::open(&url).await.unwrap();
    assert_counted(&store, &key, answers + 1).await;
    store.close().await;
}

/// A gateway dies while requests are under way at the provider; the next one charges them as the
/// file says, once.
async fn dies_amid_requests(orphans: &str, charged: Option<Usd>) {
    let (upstream, data) = (Upstream::start().await, tempfile::tempdir().unwrap());
    let more = format!("  ledger_orphans: {orphans}\n");
    let gateway = start(&upstream, data.path(), None, &more).await;
    let key = new_key(&gateway, json!({"max_budget": 1})).await;
    let client = gateway.client().key(&key);
    let mut body = saying("hi");
    body["max_tokens"] = 100.into();
    assert_eq!(client.post(CHAT, &body).await.status, 200);
    let held = Reply {
        hold_head: true,
        ..Reply::default()
    };
    upstream.on_model(MODEL, held);
    let mut callers = JoinSet::new();
    for _ in 0..3 {
        let (client, body): (Client, _) = (client.clone(), body.to_string());
        callers.spawn(async move { client.try_post(CHAT, &body).await.is_err() });
    }
    upstream
        .until("the requests under way", |seen| seen.len() == 4)
        .await;
    gateway.signal(Signal::KILL);
    gateway.exit().await;
    while let Some(broke) = callers.join_next().await {
        assert!(broke.unwrap());
    }
    upstream.release();
    for _ in 0..2 {
        stopped(start(&upstream, data.path(), None, &more).await).await;
    }
    let store = Store::sqlite(data.path()).await.unwrap();
    let rows = rows(&store).await;
    let lost: Vec<_> = rows
        .iter()
        .filter(|row| row.metadata.contains_key("orphaned"))
        .collect();
    assert_eq!(lost.len(), if charged.is_some() { 3 } else { 0 });
    assert_eq!(rows.len(), lost.len() + 1);
    let each = charged.unwrap_or_default();
    for row in &lost {
        assert_eq!((row.status.as_str(), row.spend), ("failure", each));
    }
    assert_eq!(store.audit_totals().await.unwrap(), None);
    let key = Scope::Key(KeyDigest::of(key.as_bytes()).to_string());
    let spent = store.spent(&[key]).await.unwrap();
    assert_eq!(spent[0].total, EACH.plus(each.times(lost.len() as u64)));
    store.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_that_a_dead_process_had_under_way_are_charged_once() {
    // The prompt at a token a byte, and a hundred tokens of answer.
    let mut body = saying("hi");
    body["max_tokens"] = 100.into();
    let bytes = body.to_string().len() as u64;
    let input = Usd(100_000_000);
    let worst = input.times(bytes).plus(Usd(1_000_000_000).times(100));
    dies_amid_requests("worst_case", Some(worst)).await;
    dies_amid_requests("zero", None).await;
}
