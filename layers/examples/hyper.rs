//! A hyper service with all six layers: an answering machine that charges a cent for each word.
//!
//! ```text
//! cargo run -p pointsman-layers --example hyper
//! curl -i -H 'x-api-key: sk-ada' -d 'how are you' http://127.0.0.1:3000/
//! ```

use std::convert::Infallible;
use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::Full;
use hyper::server::conn::http1;
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use pointsman_layers::auth::{AuthLayer, KeyDigest, MemoryKeys, Refused};
use pointsman_layers::budget::{
    Budget, BudgetLayer, Charge, MemoryLedger, OverBudget, Usd, Window,
};
use pointsman_layers::cache::{CacheKey, CacheLayer, MemoryCache, Plan};
use pointsman_layers::drain::Drain;
use pointsman_layers::hold::Meter;
use pointsman_layers::id::Id;
use pointsman_layers::metrics::{MetricsLayer, Names};
use pointsman_layers::respond::RespondLayer;
use pointsman_layers::retry::{BufferLayer, RetryBudget, RetryLayer, Standard, TooLarge, Whole};
use pointsman_layers::token_bucket::TokenBucketLayer;
use pointsman_layers::token_bucket::{Demand, Limited, MemoryBuckets, Rate, Scope};
use pointsman_layers::{BoxError, find};
use tower::{Service, ServiceBuilder, service_fn};

struct User {
    id: Id,
    team: Id,
}

/// What a question costs: known when it is answered, and kept where both layers that settle look.
#[derive(Clone)]
struct Cost {
    words: Meter,
    money: Meter,
}

type Ask = Request<Whole>;

const PER_WORD: Usd = Usd::from_picos(10_000_000_000);

/// Fails once in a while, as machines do.
fn answer(calls: &AtomicU32, request: &Ask) -> Result<Response<Full<Bytes>>, BoxError> {
    if calls.fetch_add(1, Ordering::Relaxed).is_multiple_of(3) {
        return Err("the machine has hiccups".into());
    }
    let question = str::from_utf8(request.body().bytes())?;
    let words = question.split_whitespace().count() as u64;
    if let Some(cost) = request.extensions().get::<Cost>() {
        cost.words.set(words);
        cost.money.set(PER_WORD.times(words));
    }
    Ok(Response::new(Full::from(format!(
        "{words} words, and I have no answer\n"
    ))))
}

fn user(request: &Ask) -> Option<&Arc<User>> {
    request.extensions().get()
}

/// The words of a question are not more than its bytes.
fn worst(request: &Ask) -> u64 {
    request.body().bytes().len() as u64
}

fn demand(request: &Ask) -> Option<Demand<Meter>> {
    let cost = request.extensions().get::<Cost>()?;
    let words = Rate::per_minute(10_000);
    let scope = Scope::new("user", user(request)?.id)
        .requests(Rate::per_minute(60))
        .tokens(words);
    Some(
        Demand::new(worst(request))
            .scope(scope.parallel(4))
            .measure(cost.words.clone()),
    )
}

fn charge(request: &Ask) -> Option<Charge<Meter>> {
    let cost = request.extensions().get::<Cost>()?;
    let (user, budget) = (user(request)?, Budget::new);
    let own = budget("user", user.id)
        .limit(Usd::from_dollars(1))
        .window(Window::DAILY);
    let team = budget("team", user.team)
        .limit(Usd::from_dollars(2))
        .window(Window::MONTHLY);
    let charge = Charge::new(PER_WORD.times(worst(request)))
        .budget(own)
        .budget(team);
    Some(charge.measure(cost.money.clone()))
}

fn plan(request: &Ask) -> Option<Plan> {
    let key = || CacheKey::of([request.body().bytes()]);
    (request.method() == "POST").then(|| Plan::new(key()).ttl(Duration::from_mins(5)))
}

fn render(error: &BoxError) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::from(format!("{error}\n")));
    let headers = response.headers_mut();
    *response.status_mut() = if let Some(refused) = find::<Refused>(&**error) {
        refused.status()
    } else if let Some(limited) = find::<Limited>(&**error) {
        limited.write(headers);
        StatusCode::TOO_MANY_REQUESTS
    } else if let Some(over) = find::<OverBudget>(&**error) {
        over.write(headers);
        StatusCode::TOO_MANY_REQUESTS
    } else if find::<TooLarge>(&**error).is_some() {
        StatusCode::PAYLOAD_TOO_LARGE
    } else {
        StatusCode::BAD_GATEWAY
    };
    response
}

fn keys() -> MemoryKeys<User> {
    let keys = MemoryKeys::new();
    for name in ["ada", "bob"] {
        let user = User {
            id: Id::new("user", name),
            team: Id::new("team", "all"),
        };
        keys.insert(
            KeyDigest::of(format!("sk-{name}").as_bytes()),
            Arc::new(user),
        );
    }
    keys
}

/// Gives each request the cells that its cost is put into. Cached answers cost nothing.
fn with_cost(mut request: Ask) -> Ask {
    let cost = Cost {
        words: Meter::new(),
        money: Meter::new(),
    };
    cost.words.set(0_u64);
    cost.money.set(0_u64);
    request.extensions_mut().insert(cost);
    request
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let address = std::env::args()
        .nth(1)
        .unwrap_or_else(|| "127.0.0.1:3000".to_owned());
    let listener = tokio::net::TcpListener::bind(address).await?;
    println!("listening on http://{}", listener.local_addr()?);

    let drain = Drain::new();
    let calls = Arc::new(AtomicU32::new(0));
    let names = Names::new("requests_total")
        .duration("request_seconds")
        .in_flight("requests");
    let service = ServiceBuilder::new()
        .layer(RespondLayer::new(|error: BoxError| render(&error)))
        .layer(drain.layer())
        .layer(BufferLayer::new(64 << 10))
        .layer(MetricsLayer::new(names, ["method"], |request: &Ask| {
            [if request.method() == "POST" {
                "post"
            } else {
                "other"
            }]
        }))
        .layer(AuthLayer::new(keys()))
        .map_request(with_cost)
        .layer(TokenBucketLayer::new(MemoryBuckets::new(), demand))
        .layer(BudgetLayer::new(MemoryLedger::new(), charge))
        .layer(CacheLayer::new(MemoryCache::new(64 << 20), plan))
        .layer(RetryLayer::new(Standard::new(2)).budget(RetryBudget::new(200, 10)))
        .service(service_fn(move |request| {
            std::future::ready(answer(&calls, &request))
        }));
    serve(listener, service).await
}

async fn serve<S, B>(listener: tokio::net::TcpListener, service: S) -> Result<(), Box<dyn Error>>
where
    S: Service<Request<hyper::body::Incoming>, Response = Response<B>, Error = Infallible>,
    S: Clone + Send + 'static,
    S::Future: Send,
    B: http_body::Body<Data = Bytes, Error = BoxError> + Send + 'static,
{
    loop {
        let (stream, _) = listener.accept().await?;
        let service = TowerToHyperService::new(service.clone());
        tokio::spawn(async move {
            let served = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
            if let Err(error) = served.await {
                eprintln!("a connection broke: {error}");
            }
        });
    }
}
