//! Shows a provider whose request it is.

use http::Request;

use super::client::Pieces;
use crate::live::{Authority, Endpoint};

/// Puts into a request what shows whose it is, unless the file's own headers do. The last thing
/// that is done to a request before it is sent.
pub(super) fn show(request: &mut Request<Pieces>, endpoint: &Endpoint) {
    match &endpoint.authority {
        Authority::None => {}
        Authority::Header(name, value) => {
            let entry = request.headers_mut().entry(name.clone());
            entry.or_insert_with(|| value.clone());
        }
    }
}
