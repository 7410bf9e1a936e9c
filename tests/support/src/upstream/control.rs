//! The script and the record over HTTP, for tests that are not in this process.
//!
//! - `POST /__fake/next` with a [`Reply`]: the answer to the next request;
//! - `POST /__fake/model/NAME` with a [`Reply`]: the answer to every request for that model;
//! - `POST /__fake/release`: what is held goes on;
//! - `GET /__fake/requests`: every request so far;
//! - `POST /__fake/violations`: the faults so far, which are forgotten with it.

use super::serve::Payload;
use super::{Reply, State};
use bytes::Bytes;
use http::{Method, Response, StatusCode};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};
use serde_json::{Value, json};
use std::convert::Infallible;

pub(super) const PREFIX: &str = "/__fake/";

pub(super) fn answer(state: &State, method: &Method, path: &str, body: &[u8]) -> Response<Payload> {
    match act(state, method, path, body) {
        Ok(value) => response(StatusCode::OK, &value),
        Err(error) => response(StatusCode::BAD_REQUEST, &json!({"error": error})),
    }
}

fn act(state: &State, method: &Method, path: &str, body: &[u8]) -> Result<Value, String> {
    let reply = || serde_json::from_slice::<Reply>(body).map_err(|error| error.to_string());
    match (method.as_str(), path.split_once('/').unwrap_or((path, ""))) {
        ("POST", ("next", "")) => state.replies().next.push_back(reply()?),
        ("POST", ("model", model)) => {
            let reply = reply()?;
            state.replies().by_model.insert(model.to_owned(), reply);
        }
        ("POST", ("release", "")) => {
            state.released.send_replace(true);
        }
        ("POST", ("violations", "")) => return Ok(json!(state.record.take_violations())),
        ("GET", ("requests", "")) => {
            return Ok(state.record.all().iter().map(super::Seen::shown).collect());
        }
        _ => return Err(format!("no such control: {method} {path}")),
    }
    Ok(Value::Null)
}

fn response(status: StatusCode, value: &Value) -> Response<Payload> {
    let body = Full::new(Bytes::from(value.to_string()));
    let mut response = Response::new(UnsyncBoxBody::new(
        body.map_err(|error: Infallible| match error {}),
    ));
    *response.status_mut() = status;
    response
}
