//! An axum service with keys, limits and a cache.
//!
//! ```text
//! cargo run -p pointsman-layers --example axum
//! curl -i -H 'authorization: Bearer sk-ada' http://127.0.0.1:3000/hello
//! ```

use std::error::Error;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Extension, Request};
use axum::response::{IntoResponse, Response};
use axum::{Router, routing::get};
use http::StatusCode;
use pointsman_layers::auth::{AuthLayer, KeyDigest, MemoryKeys, Refused};
use pointsman_layers::cache::{CacheKey, CacheLayer, MemoryCache, Plan};
use pointsman_layers::respond::RespondLayer;
use pointsman_layers::token_bucket::TokenBucketLayer;
use pointsman_layers::token_bucket::{Demand, Id, Limited, MemoryBuckets, Rate, Scope};
use pointsman_layers::{BoxError, find};
use tower::ServiceBuilder;

struct User {
    name: &'static str,
    bucket: Id,
}

async fn hello(Extension(user): Extension<Arc<User>>) -> String {
    format!("hello, {}\n", user.name)
}

/// Every user may ask five times a minute.
fn demand(request: &Request) -> Option<Demand> {
    let user = request.extensions().get::<Arc<User>>()?;
    Some(Demand::new(0).scope(Scope::new("user", user.bucket).requests(Rate::per_minute(5))))
}

/// Users do not see each other's answers.
fn plan(request: &Request) -> Option<Plan> {
    let user = request.extensions().get::<Arc<User>>()?;
    Some(Plan::new(CacheKey::of([user.name, request.uri().path()])))
}

fn render(error: &BoxError) -> Response<Body> {
    if let Some(refused) = find::<Refused>(&**error) {
        return (refused.status(), format!("{refused}\n")).into_response();
    }
    if let Some(limited) = find::<Limited>(&**error) {
        let mut response = (StatusCode::TOO_MANY_REQUESTS, format!("{limited}\n")).into_response();
        limited.write(response.headers_mut());
        return response;
    }
    StatusCode::INTERNAL_SERVER_ERROR.into_response()
}

fn router() -> Router {
    let keys = MemoryKeys::new();
    for name in ["ada", "bob"] {
        let user = User {
            name,
            bucket: Id::new("user", name),
        };
        keys.insert(
            KeyDigest::of(format!("sk-{name}").as_bytes()),
            Arc::new(user),
        );
    }
    let layers = ServiceBuilder::new()
        .layer(RespondLayer::new(|error: BoxError| render(&error)))
        .layer(AuthLayer::new(keys))
        .layer(TokenBucketLayer::new(MemoryBuckets::new(), demand))
        .layer(CacheLayer::new(MemoryCache::new(64 << 20), plan));
    Router::new().route("/hello", get(hello)).layer(layers)
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let address = std::env::args()
        .nth(1)
        .unwrap_or_else(|| "127.0.0.1:3000".to_owned());
    let listener = tokio::net::TcpListener::bind(address).await?;
    println!("listening on http://{}", listener.local_addr()?);
    axum::serve(listener, router()).await?;
    Ok(())
}
