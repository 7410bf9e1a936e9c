//! Limits and budgets around an inner service that costs what a test says.

use std::collections::HashMap;
use std::future::ready;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{HeaderValue, Request, Response};
use http_body_util::{BodyExt, Full};
use pointsman_layers::auth::{KeyDigest, KeyStore};
use pointsman_layers::budget::{BudgetLayer, Charges, OverBudget};
use pointsman_layers::ready::Soon;
use pointsman_layers::token_bucket::{Limited, TokenBucketLayer};
use pointsman_layers::{BoxError, find};
use pointsman_routes::Table;
use pointsman_routes::usd::Usd;
use serde_json::{Value, json};
use tokio::sync::broadcast;
use tower::{ServiceBuilder, ServiceExt, service_fn};

use super::*;
use crate::account::{Bearer, Key, Missing, Scope, Spent, Time};
use crate::call::{About, Call, Field, Route, Spoken, Tab, Usage, peek};
use crate::error::Failure;
use crate::live::Live;

const FILE: &str = "model_list:\n\
    - {model_name: cheap, litellm_params: {model: openai/gpt-4o, api_key: os.environ/KEY, \
       input_cost_per_token: 1e-6, output_cost_per_token: 1e-5}, \
       model_info: {max_output_tokens: 1000, max_input_tokens: 100000}}\n\
    - {model_name: dear, litellm_params: {model: openai/gpt-4o, api_key: os.environ/KEY, \
       input_cost_per_token: 2e-6, output_cost_per_token: 2e-5}, \
       model_info: {max_output_tokens: 1000, max_input_tokens: 100000}}\n\
    - {model_name: safe, litellm_params: {model: openai/gpt-4o, api_key: os.environ/KEY, \
       input_cost_per_token: 1e-6, output_cost_per_token: 1e-5}, \
       model_info: {max_output_tokens: 1000, max_input_tokens: 100000}}\n\
    - {model_name: odd, litellm_params: {model: openai/odd, api_key: os.environ/KEY, \
       input_cost_per_token: 1e-3, output_cost_per_token: 1e-5}}\n\
    router_settings: {fallbacks: [{safe: [dear]}]}\n";

/// Accounts in memory.
#[derive(Debug, Default)]
struct Fake(Mutex<Kept>);

#[derive(Debug, Default)]
struct Kept {
    bearers: HashMap<String, Arc<Bearer>>,
    spent: HashMap<Scope, Usd>,
    reads: usize,
    down: bool,
    changes: Option<broadcast::Sender<Change>>,
}

fn digest(alias: &str) -> KeyDigest {
    KeyDigest::of(format!("sk-{alias}").as_bytes())
}

impl Fake {
    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a key whose secret is `sk-` and its alias.
    fn key(&self, alias: &str, mut fields: Value) {
        let token = digest(alias).to_string();
        fields["token"] = json!(token);
        fields["key_alias"] = json!(alias);
        fields["created_at"] = json!("2026-11-21");
        let key: Key = serde_json::from_value(fields).unwrap();
        let bearer = Bearer {
            key,
            ..Bearer::default()
        };
        self.lock().bearers.insert(token, Arc::new(bearer));
    }
}

impl Accounts for Fake {
    fn bearer<'a>(&'a self, hash: &'a str) -> Asked<'a, Option<Arc<Bearer>>> {
        let mut kept = self.lock();
        kept.reads += 1;
        let found = if kept.down {
            Err(Down("gone".to_owned()))
        } else {
            Ok(kept.bearers.get(hash).cloned())
        };
        Box::pin(ready(found))
    }

    fn parties(&self, key: Key, _: Missing) -> Asked<'_, Bearer> {
        let bearer = Bearer {
            key,
            ..Bearer::default()
        };
        Box::pin(ready(Ok(bearer)))
    }

    fn end_user<'a>(&'a self, _: &'a str) -> Asked<'a, Option<Arc<EndUser>>> {
        Box::pin(ready(Ok(None)))
    }

    fn spent<'a>(&'a self, scopes: &'a [Scope]) -> Asked<'a, Vec<Spent>> {
        let kept = self.lock();
        let spent = |scope| Spent {
            spend: kept.spent.get(scope).copied().unwrap_or_default(),
            ..Spent::default()
        };
        Box::pin(ready(Ok(scopes.iter().map(spent).collect())))
    }

    fn append<'a>(&'a self, rows: &'a [SpendRow]) -> Asked<'a, usize> {
        let mut kept = self.lock();
        for row in rows {
            for scope in row.scopes() {
                let sum = kept.spent.entry(scope).or_default();
                *sum = sum.plus(row.spend);
            }
        }
        Box::pin(ready(Ok(rows.len())))
    }

    fn changes(&self) -> broadcast::Receiver<Change> {
        let mut kept = self.lock();
        let sender = kept.changes.get_or_insert_with(|| broadcast::channel(8).0);
        sender.subscribe()
    }
}

fn live_of(file: &str) -> Live {
    let loaded = pointsman_routes::load("test.yaml", file).loaded.unwrap();
    let env = |name: &str| (name == "KEY").then(|| "sk-secret".to_owned());
    let table = Table::loaded(loaded.routes);
    Live::bind(table, &loaded.literals, &env, "test.yaml".to_owned()).unwrap()
}

fn handle() -> Handle {
    Handle::new(live_of(FILE))
}

struct Scene {
    accounts: Arc<Fake>,
    access: Access,
    live: Handle,
}

impl Scene {
    /// With one key, `a`.
    fn new(fields: Value) -> Self {
        let accounts = Arc::new(Fake::default());
        accounts.key("a", fields);
        let live = handle();
        Self {
            access: Access::new(live.clone(), Some(accounts.clone())),
            accounts,
            live,
        }
    }

    async fn principal(&self) -> Arc<Principal> {
        match self.access.keys().find(&digest("a")) {
            Soon::Now(found) => found.unwrap().unwrap(),
            Soon::Later(found) => found.await.unwrap().unwrap(),
        }
    }

    async fn call(&self, model: &str, members: &str) -> Arc<Call> {
        let body = Bytes::from(format!(r#"{{"model":"{model}","messages":[]{members}}}"#));
        let peek = peek::peek(&body).unwrap();
        let live = self.live.load();
        Arc::new(Call {
            id: HeaderValue::from_static("test"),
            principal: self.principal().await,
            route: Route::Chat,
            asked: model.into(),
            target: live.table().resolve(model).unwrap().target,
            fallback: None,
            spoken: Spoken::default(),
            resumed: None,
            kept: None,
            passed: Vec::new(),
            wants_usage: false,
            as_list: false,
            body,
            files: None,
            peek,
            timeout: None,
            stream_timeout: None,
            controls: None,
            hints: None,
            about: About::default(),
            tab: Arc::new(Tab::new(0)),
            arrived: Instant::now(),
            live,
        })
    }

    /// Asks a provider that takes the prompt as it is counted and says as much as it may; the
    /// answer's end has not come.
    async fn ask(
        &self,
        call: &Arc<Call>,
    ) -> Result<Response<impl http_body::Body<Error: std::fmt::Debug> + use<>>, BoxError> {
        let provider = service_fn(|request: Request<Arc<Call>>| async move {
            let call = request.into_body();
            let asked = call.peek.value(&call.body, Field::MaxTokens);
            let asked = asked
                .and_then(|text| serde_json::from_slice(text).ok())
                .unwrap_or(1_000);
            let completion = call.tab.most_output().map_or(asked, |most| asked.min(most));
            let usage = Usage {
                prompt: 8,
                completion,
                ..Usage::default()
            };
            let ceiling = call.live.ceiling(call.target);
            let input = ceiling.input.times(usage.prompt);
            let cost = input.plus(ceiling.output.times(completion));
            call.tab.settle(Some(&usage), cost);
            Ok::<_, BoxError>(Response::new(Full::new(Bytes::from("hi"))))
        });
        let (access, buckets, ledger) = (&self.access, self.access.buckets(), self.access.ledger());
        ServiceBuilder::new()
            .layer(TokenBucketLayer::new(buckets, access.clone()))
            .layer(BudgetLayer::new(ledger, access.clone()))
            .service(provider)
            .oneshot(Request::new(Arc::clone(call)))
            .await
    }

    /// The same to the answer's end; whether there was one.
    async fn answers(&self, model: &str, members: &str) -> bool {
        let call = self.call(model, members).await;
        match self.ask(&call).await {
            Ok(response) => {
                response.into_body().collect().await.unwrap();
                true
            }
            Err(_) => false,
        }
    }

    async fn refused(&self, call: &Arc<Call>) -> Failure {
        let error = self.ask(call).await.err().unwrap();
        match (find::<OverBudget>(&*error), find::<Limited>(&*error)) {
            (Some(over), _) => Access::over_budget(call, None, over),
            (_, Some(limited)) => Access::limited(call, None, limited),
            _ => panic!("{error}"),
        }
    }

    async fn spent(&self) -> Usd {
        let principal = self.principal().await;
        let spent = self.access.spent(principal.means().key_purse().unwrap());
        Usd(spent.picos().into())
    }
}

fn usd(text: &str) -> Usd {
    Usd::from_decimal(text).unwrap()
}

#[tokio::test]
async fn a_key_is_read_once_and_again_after_it_changed() {
    let scene = Scene::new(json!({}));
    for _ in 0..3 {
        scene.principal().await;
    }
    assert_eq!(scene.accounts.lock().reads, 1);
    let key = scene.principal().await.key.to_string();
    scene.accounts.key("a", json!({"blocked": true}));
    scene.access.forget(&Change::Key(key));
    let principal = scene.principal().await;
    assert!(principal.bearer.as_ref().unwrap().key.blocked);
    assert_eq!(scene.accounts.lock().reads, 2);
    let Soon::Later(unknown) = scene.access.keys().find(&digest("b")) else {
        panic!("nobody knows it")
    };
    assert!(unknown.await.unwrap().is_none());
}

#[tokio::test]
async fn an_address_with_many_unknown_keys_waits_and_known_keys_work_on() {
    let scene = Scene::new(json!({}));
    scene.principal().await;
    let mut from = http::Extensions::new();
    from.insert(crate::call::Peer([192, 0, 2, 1].into()));
    let find = |alias: &str| {
        let (keys, headers) = (scene.access.keys(), http::HeaderMap::new());
        keys.find_for(&digest(alias), &headers, &from)
    };
    for n in 0..MOST_UNKNOWN {
        let Soon::Later(unknown) = find(&format!("guess-{n}")) else {
            panic!("it is looked up")
        };
        assert!(unknown.await.unwrap().is_none());
    }
    let reads = scene.accounts.lock().reads;
    assert!(matches!(
        find("guess"),
        Soon::Now(Err(NotFound::TooMany(_)))
    ));
    assert!(matches!(find("a"), Soon::Now(Ok(Some(_)))));
    assert_eq!(scene.accounts.lock().reads, reads);
}

#[tokio::test]
async fn what_changes_elsewhere_is_forgotten_when_it_is_told() {
    let scene = Scene::new(json!({"team_id": "t"}));
    tokio::spawn(scene.access.clone().watch());
    scene.principal().await;
    while scene.accounts.lock().changes.is_none() {
        tokio::task::yield_now().await;
    }
    let sender = scene.accounts.lock().changes.clone().unwrap();
    sender.send(Change::Team("t".to_owned())).unwrap();
    while matches!(scene.access.keys().find(&digest("a")), Soon::Now(_)) {
        tokio::task::yield_now().await;
    }
}

#[tokio::test(start_paused = true)]
async fn known_keys_are_served_while_the_accounts_are_down_but_not_for_ever() {
    let scene = Scene::new(json!({}));
    scene.principal().await;
    scene.accounts.lock().down = true;
    for _ in 0..10 {
        tokio::time::advance(Duration::from_mins(6)).await;
        tokio::task::yield_now().await;
        let found = scene.access.keys().find(&digest("a"));
        assert!(matches!(found, Soon::Now(Ok(Some(_)))));
    }
    tokio::time::advance(Duration::from_mins(2)).await;
    let Soon::Later(found) = scene.access.keys().find(&digest("a")) else {
        panic!("an hour is over")
    };
    assert!(found.await.is_err());
}

#[tokio::test(start_paused = true)]
async fn known_keys_are_served_by_a_new_table_while_the_accounts_are_down() {
    let scene = Scene::new(json!({"max_budget": 1}));
    scene.principal().await;
    scene.accounts.lock().down = true;
    scene.live.store(live_of(FILE));
    let Soon::Later(found) = scene.access.keys().find(&digest("a")) else {
        panic!("the table is another")
    };
    assert!(found.await.unwrap().is_some());
    assert!(matches!(
        scene.access.keys().find(&digest("a")),
        Soon::Now(Ok(Some(_)))
    ));
    // It has not become younger by that.
    tokio::time::advance(Duration::from_mins(62)).await;
    let Soon::Later(found) = scene.access.keys().find(&digest("a")) else {
        panic!("an hour is over")
    };
    assert!(found.await.is_err());
}

#[tokio::test]
async fn images_are_reserved_by_their_number() {
    let scene = Scene::new(json!({"max_budget": 1}));
    scene.live.store(live_of(
        "model_list:\n- {model_name: cheap, litellm_params: {model: openai/painter, \
         api_key: os.environ/KEY, input_cost_per_token: 0, output_cost_per_image: 0.04}}\n",
    ));
    for (members, dollars) in [(r#","n":3"#, "0.12"), ("", "0.04"), (r#","n":30"#, "1.2")] {
        let mut call = Arc::unwrap_or_clone(scene.call("cheap", members).await);
        call.route = Route::Images;
        let charge = scene.access.charge(&Request::new(Arc::new(call)));
        // What the budget cannot pay is asked for as a whole, and refused.
        let reserved = charge.unwrap().reserve().amount();
        assert_eq!(reserved.to_string(), dollars);
    }
}

/// 200 streams at once on a budget that covers 20.
#[tokio::test]
async fn no_number_of_requests_at_once_overspends_a_budget() {
    // A prompt of 66 bytes and an answer of 100 tokens: at most $0.001066.
    let scene = Scene::new(json!({"max_budget": 0.02132}));
    let mut answers = Vec::new();
    let mut refused = 0;
    for _ in 0..200 {
        let call = scene
            .call("cheap", r#","max_tokens":100,"stream":true"#)
            .await;
        match scene.ask(&call).await {
            Ok(response) => answers.push(response),
            Err(error) => {
                let over: &OverBudget = find(&*error).unwrap();
                assert_eq!(over.scope, "key");
                refused += 1;
            }
        }
    }
    assert!((20..=22).contains(&answers.len()), "{}", answers.len());
    assert_eq!(answers.len() + refused, 200);
    for response in answers {
        response.into_body().collect().await.unwrap();
    }
    let spent = scene.spent().await;
    assert!((usd("0.02")..=usd("0.02132")).contains(&spent), "{spent}");
}

#[tokio::test]
async fn an_answer_is_cut_to_what_the_budget_pays() {
    let scene = Scene::new(json!({"max_budget": 0.002}));
    let call = scene.call("cheap", "").await;
    let response = scene.ask(&call).await.unwrap();
    let cut = call.tab.most_output().unwrap();
    assert!((150..200).contains(&cut), "{cut}");
    response.into_body().collect().await.unwrap();
    assert!(scene.spent().await <= usd("0.002"));
    // What is left pays a few more words, and then none.
    while scene.answers("cheap", "").await {}
    assert!(scene.spent().await <= usd("0.002"));
}

#[tokio::test]
async fn what_is_left_lets_one_answer_of_unknown_length_in() {
    let scene = Scene::new(json!({"max_budget": 0.000_001}));
    let bounded = scene.call("odd", r#","max_tokens":5"#).await;
    assert!(scene.ask(&bounded).await.is_err());
    let call = scene.call("odd", "").await;
    let first = scene.ask(&call).await.unwrap();
    assert_eq!(call.tab.most_output(), Some(LAST_OUTPUT));
    // Nothing is left until the first one is settled, and nothing is left then.
    let second = scene.call("odd", "").await;
    let text = scene.refused(&second).await.to_string();
    assert!(
        text.ends_with("Current cost: 1e-06, Max budget: 1e-06"),
        "{text}"
    );
    first.into_body().collect().await.unwrap();
    assert!(!scene.answers("odd", "").await);
    assert_eq!(scene.spent().await, usd("0.01056"));
}

#[tokio::test]
async fn a_budget_of_nothing_refuses_the_first_request() {
    let scene = Scene::new(json!({"max_budget": 0}));
    let call = scene.call("cheap", "").await;
    let failure = scene.refused(&call).await;
    let text = failure.to_string();
    assert!(
        text.starts_with("Budget has been exceeded! Key=key ("),
        "{text}"
    );
    assert!(
        text.ends_with("Current cost: 0.0, Max budget: 0.0"),
        "{text}"
    );
    assert_eq!(
        (failure.status().as_u16(), failure.kind()),
        (429, "budget_exceeded")
    );
}

#[tokio::test]
async fn the_dearest_of_a_chain_is_reserved() {
    let scene = Scene::new(json!({}));
    let live = scene.live.load();
    let output = |model| {
        live.ceiling(live.table().resolve(model).unwrap().target)
            .output
    };
    assert_eq!(output("cheap"), usd("1e-5"));
    assert_eq!(output("safe"), usd("2e-5"));
}

#[tokio::test]
async fn a_model_has_a_budget_of_its_own() {
    let scene = Scene::new(json!({"model_max_budget": {"cheap": {"budget_limit": 0}}}));
    assert!(!scene.answers("cheap", "").await);
    assert!(scene.answers("dear", "").await);
}

#[tokio::test]
async fn rates_are_limited_and_told() {
    let scene = Scene::new(json!({"rpm_limit": 1}));
    assert!(scene.answers("cheap", "").await);
    let call = scene.call("cheap", "").await;
    let failure = scene.refused(&call).await;
    let text = failure.to_string();
    let start = format!(
        "Rate limit exceeded for api_key: {}. Limit type: requests. Current limit: 1, Remaining: 0. \
         Limit resets at: 20",
        call.principal.key
    );
    assert!(text.starts_with(&start), "{text}");
    assert_eq!(
        (failure.status().as_u16(), failure.kind()),
        (429, "throttling_error")
    );
}

#[tokio::test]
async fn a_place_among_parallel_requests_is_free_again_when_an_answer_has_ended() {
    let scene = Scene::new(json!({"max_parallel_requests": 1}));
    let call = scene.call("cheap", "").await;
    let first = scene.ask(&call).await.unwrap();
    let failure = scene.refused(&call).await;
    assert!(
        failure
            .to_string()
            .contains("Limit type: max_parallel_requests."),
        "{failure}"
    );
    drop(first);
    assert!(scene.answers("cheap", "").await);
}

#[tokio::test]
async fn tokens_are_settled_when_they_are_known() {
    let scene = Scene::new(json!({"tpm_limit": 500}));
    for _ in 0..5 {
        assert!(scene.answers("cheap", r#","max_tokens":10"#).await);
    }
    // The estimate is the prompt by its length and all that was asked for.
    assert!(scene.answers("cheap", r#","max_tokens":390"#).await);
    assert!(!scene.answers("cheap", r#","max_tokens":10"#).await);
}

#[tokio::test]
async fn what_others_spend_is_added_and_what_was_drained_is_not_counted_twice() {
    let scene = Scene::new(json!({"max_budget": 1}));
    assert!(scene.answers("cheap", r#","max_tokens":100"#).await);
    let cost = scene.spent().await;
    assert!(cost > Usd::ZERO);
    let token = digest("a").to_string();
    let again = async || {
        scene.access.forget(&Change::Key(token.clone()));
        scene.spent().await
    };
    // Not drained yet: it is nobody else's, and not lost.
    assert_eq!(again().await, cost);
    let row = SpendRow {
        api_key: token.clone(),
        spend: cost,
        end_time: Time::now(),
        ..SpendRow::default()
    };
    scene.access.append(&[row]).await.unwrap();
    assert_eq!(again().await, cost);
    // Another replica.
    let key = Scope::Key(token.clone());
    let both = cost.plus(usd("0.25"));
    scene.accounts.lock().spent.insert(key.clone(), both);
    assert_eq!(again().await, both);
    // An administrator.
    scene.accounts.lock().spent.insert(key, Usd::ZERO);
    assert_eq!(again().await, Usd::ZERO);
}
