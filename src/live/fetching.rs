//! What the file says of images that callers name by address.

use pointsman_routes::table::{Routes, Setting, Value};

use super::BindFault;
use super::environment::{Environment, fault};
use super::rules::Read;

/// The variable that says how large an image may be, as LiteLLM has it; 0 is none at all.
const MOST: &str = "MAX_IMAGE_URL_DOWNLOAD_SIZE_MB";
/// What it is unless said: OpenAI's own limit.
const MOST_MB: f64 = 50.0;
/// LiteLLM reads these settings from either section.
const HOSTS: [&str; 2] = [
    "litellm_settings.user_url_allowed_hosts",
    "general_settings.user_url_allowed_hosts",
];
const CHECKED: [&str; 2] = [
    "litellm_settings.user_url_validation",
    "general_settings.user_url_validation",
];

/// How images and documents that callers name by address are fetched, for providers that must be
/// given the bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fetching {
    /// Most bytes of one; zero switches it off.
    pub most: usize,
    /// `user_url_validation`: only from the public internet. Without it, from anywhere but the
    /// machine's own link, where clouds keep their secrets.
    pub checked: bool,
    hosts: Vec<String>,
}

impl Fetching {
    pub(super) fn of(
        routes: &Routes,
        environment: &Environment<'_>,
        faults: &mut Vec<BindFault>,
    ) -> Self {
        let most = environment.get(MOST).map_or(MOST_MB, |text| {
            let read = text.trim().parse().ok();
            let read = read.filter(|most| (0.0..=1024.0).contains(most));
            read.unwrap_or_else(|| {
                tracing::warn!("{MOST} is no number of megabytes up to 1024: {MOST_MB} is taken");
                MOST_MB
            })
        });
        let hosts = HOSTS.iter().flat_map(|path| hosts(path, routes, faults));
        let hosts = hosts.collect();
        let mut read = Read { routes, faults };
        let checked = CHECKED.map(|path| read.parsed(path));
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "between 0 and 2^30, as has just been seen"
        )]
        Self {
            most: (most * f64::from(1 << 20)) as usize,
            checked: checked.into_iter().flatten().next().unwrap_or(true),
            hosts,
        }
    }

    /// These rules, for tests.
    #[cfg(test)]
    pub(crate) fn with(most: usize, checked: bool, hosts: &[&str]) -> Self {
        Self {
            most,
            checked,
            hosts: hosts.iter().map(|host| (*host).to_owned()).collect(),
        }
    }

    /// Whether a host, as an address names it, is on the list of `user_url_allowed_hosts`, alone or
    /// with this port.
    pub fn allows(&self, host: &str, port: u16) -> bool {
        self.hosts.iter().any(|listed| {
            let rest = listed
                .get(..host.len())
                .filter(|begin| begin.eq_ignore_ascii_case(host))
                .map(|_| &listed[host.len()..]);
            match rest {
                Some("") => true,
                Some(rest) => rest
                    .strip_prefix(':')
                    .is_some_and(|listed| listed.parse() == Ok(port)),
                None => false,
            }
        })
    }
}

fn hosts(path: &str, routes: &Routes, faults: &mut Vec<BindFault>) -> Vec<String> {
    let items = match routes.setting(path) {
        None | Some(Setting::Null) => return Vec::new(),
        Some(Setting::List(items)) => &items[..],
        Some(one) => std::slice::from_ref(one),
    };
    let mut hosts = Vec::with_capacity(items.len());
    for item in items {
        match item {
            Setting::Text(Value::Plain(text)) if !text.is_empty() && !text.contains('/') => {
                hosts.push(text.to_string());
            }
            _ => faults.push(fault(
                path,
                &"each item is a host as an address names it, such as images.example:8080",
            )),
        }
    }
    hosts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_listed_alone_or_with_its_port() {
        let rules = Fetching::with(1, true, &["a.example", "127.0.0.1:80", "[::1]:80"]);
        for (host, port, allowed) in [
            ("a.example", 443, true),
            ("A.example", 1, true),
            ("b.a.example", 443, false),
            ("a.exampl", 443, false),
            ("a.example.evil", 443, false),
            ("127.0.0.1", 80, true),
            ("127.0.0.1", 81, false),
            ("[::1]", 80, true),
            ("", 80, false),
        ] {
            assert_eq!(rules.allows(host, port), allowed, "{host}:{port}");
        }
    }
}
