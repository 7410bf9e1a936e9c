//! Images and documents that a caller names by address, for providers that must be given the bytes.
//!
//! A caller chooses the address, so it may be one that only the gateway can reach. What stands there
//! is fetched with nothing of the gateway's in hand, only from machines of the public internet
//! (`address`) and of the file's `user_url_allowed_hosts`, each checked at the very address that is
//! connected to, redirects among them (`get`); and only an image or a PDF (`kind`) goes on to the
//! provider, so that no other thing can be read this way. Nothing is kept.

mod address;
mod get;
mod kind;

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use tokio::sync::OwnedSemaphorePermit;
use tokio::task::JoinSet;

use self::get::{Getter, Got, Refused};
use super::protocol::{Ask, Protocol, Unfit};
use crate::call::chat::{Media, Part, Request, Source};
use crate::live::Live;

/// Things that one request may name.
const MAX_PER_REQUEST: usize = 20;

/// Fetches. Clones share what is bounded.
#[derive(Clone)]
pub(super) struct Fetcher(Arc<Getter>);

/// What was fetched for one request, by its address.
#[derive(Debug, Default)]
pub(super) struct Fetched(HashMap<String, Thing>);

#[derive(Debug)]
struct Thing {
    kind: &'static str,
    base64: String,
    /// Given back when the request is written.
    _room: Option<OwnedSemaphorePermit>,
}

impl Fetcher {
    pub(super) fn new() -> Self {
        Self(Arc::new(Getter::new(Box::new(|host, port| {
            Box::pin(async move {
                let found = tokio::net::lookup_host((host, port)).await?;
                Ok(found.collect())
            })
        }))))
    }

    /// Fetches what stands at these addresses, all of it or nothing. Dropping the future ends it.
    pub(super) async fn fetch(
        &self,
        live: &Arc<Live>,
        wanted: Vec<String>,
    ) -> Result<Fetched, Unfit> {
        if wanted.len() > MAX_PER_REQUEST {
            let what = format!("fetches no more than {MAX_PER_REQUEST} images for one request");
            return Err(Unfit::new(Some("messages"), what));
        }
        let mut tasks = JoinSet::new();
        for address in wanted {
            let (getter, live) = (Arc::clone(&self.0), Arc::clone(live));
            tasks.spawn(async move {
                let got = getter.get(&address, live.fetching()).await;
                let thing = got.and_then(|got| thing(&address, got));
                thing.map(|thing| (address, thing))
            });
        }
        let mut fetched = Fetched::default();
        while let Some(done) = tasks.join_next().await {
            let (address, thing) = done
                .map_err(|_| Unfit::new(Some("messages"), "could not fetch an image"))?
                .map_err(told)?;
            fetched.0.insert(address, thing);
        }
        Ok(fetched)
    }
}

impl fmt::Debug for Fetcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Fetcher")
    }
}

fn thing(address: &str, got: Got) -> Result<Thing, Refused> {
    let kind = kind::of(&got.bytes).ok_or_else(|| Refused {
        host: host_of(address),
        why: "It is neither an image nor a PDF.".into(),
    })?;
    Ok(Thing {
        kind,
        base64: STANDARD.encode(&got.bytes),
        _room: got.room,
    })
}

fn host_of(address: &str) -> Option<String> {
    let url = url::Url::parse(address).ok()?;
    url.host_str().map(str::to_owned)
}

/// The path may be secret: only whose it is, is told.
fn told(refused: Refused) -> Unfit {
    let Refused { host, why } = refused;
    let what = match host {
        Some(host) => {
            format!("takes images as bytes, and what stands at {host} was not fetched: {why}")
        }
        None => format!("takes images as bytes, and one was not fetched: {why}"),
    };
    Unfit::new(Some("messages"), what)
}

/// The addresses of what a provider must be given the bytes of, each once.
pub(super) fn wanted(protocol: &dyn Protocol, ask: &Ask<'_>, chat: &Request) -> Vec<String> {
    let mut found = Vec::new();
    let parts = chat.messages.iter().flat_map(|message| &message.parts);
    for part in parts {
        match part {
            Part::Result(result) => {
                for part in &result.parts {
                    want(protocol, ask, part, &mut found);
                }
            }
            part => want(protocol, ask, part, &mut found),
        }
    }
    found
}

fn want(protocol: &dyn Protocol, ask: &Ask<'_>, part: &Part, found: &mut Vec<String>) {
    let (Part::Image(media) | Part::Document(media)) = part else {
        return;
    };
    if let Source::Url(url) = &media.source
        && is_of_the_web(url)
        && !found.contains(url)
        && protocol.wants_bytes(ask, part, url)
    {
        found.push(url.clone());
    }
}

/// Whether it could be fetched: everything else is an address that only some providers know.
fn is_of_the_web(url: &str) -> bool {
    let begins = |with: &str| {
        let begin = url.as_bytes().get(..with.len());
        begin.is_some_and(|begin| begin.eq_ignore_ascii_case(with.as_bytes()))
    };
    begins("https://") || begins("http://")
}

impl Fetched {
    /// Whether all of this is here.
    pub(super) fn has(&self, wanted: &[String]) -> bool {
        wanted.iter().all(|address| self.0.contains_key(address))
    }

    /// Puts the bytes in the place of their addresses.
    pub(super) fn put_into(&self, chat: &mut Request) {
        let parts = chat
            .messages
            .iter_mut()
            .flat_map(|message| &mut message.parts);
        for part in parts {
            match part {
                Part::Result(result) => result.parts.iter_mut().for_each(|part| self.put(part)),
                part => self.put(part),
            }
        }
    }

    fn put(&self, part: &mut Part) {
        let (Part::Image(media) | Part::Document(media)) = part else {
            return;
        };
        let Source::Url(url) = &media.source else {
            return;
        };
        let Some(thing) = self.0.get(url) else {
            return;
        };
        let media = Media {
            source: Source::Base64(thing.base64.clone()),
            mime: Some(thing.kind.to_owned()),
            ..std::mem::take(media)
        };
        // The bytes tell what it is, whatever the caller called it.
        *part = if thing.kind.starts_with("image/") {
            Part::Image(media)
        } else {
            Part::Document(media)
        };
    }
}
