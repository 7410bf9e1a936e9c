//! Where a request comes from.

use std::net::IpAddr;

use http::{Extensions, HeaderMap, HeaderName};

use crate::call::Peer;
use crate::live::Live;

const FORWARDED: HeaderName = HeaderName::from_static("x-forwarded-for");

/// The caller's address: the other end of the connection, or with `use_x_forwarded_for` the first
/// address of that header, if the other end is one of `trusted_proxy_ranges` (all, if there are
/// none).
pub fn of(extensions: &Extensions, headers: &HeaderMap, live: &Live) -> Option<IpAddr> {
    let peer = extensions.get::<Peer>().map(|peer| peer.0);
    let rules = live.admission();
    if !rules.forwarded || !peer.is_none_or(|peer| rules.trusts(peer)) {
        return peer;
    }
    let header = headers.get(&FORWARDED);
    let first = header.and_then(|list| list.to_str().ok()?.split(',').next()?.trim().parse().ok());
    first.or(peer)
}
