//! What the file says of keys, budgets and addresses, read once.

use std::net::IpAddr;
use std::time::Duration;

use http::HeaderName;
use pointsman_routes::table::{Routes, Setting, Value};
use pointsman_routes::usd::Usd;

use super::BindFault;
use crate::account::Period;

/// How long known keys are served while the accounts cannot be read, unless the file says otherwise.
const GRACE: Duration = Duration::from_hours(1);

/// What the file says of budgets and limits that accounts have not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rules {
    /// `max_internal_user_budget`, per `internal_user_budget_duration`: of users without one.
    pub user: Option<(Usd, Option<Period>)>,
    /// `max_end_user_budget`: of end users without one.
    pub end_user: Option<Usd>,
    /// `apply_user_budget_to_team_keys`: a team's key spends its user's own budget, too.
    pub user_of_team: bool,
    /// `token_rate_limit_type`: which tokens rates count.
    pub tokens: TokenKind,
    /// `database_grace`: how long known keys are served while the accounts cannot be read.
    pub grace: Duration,
    /// How spend is written down.
    pub ledger: LedgerRules,
    /// `user_header_name`: the header that names the end user, beside the usual ones.
    pub end_user_header: Option<HeaderName>,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            user: None,
            end_user: None,
            user_of_team: false,
            tokens: TokenKind::Total,
            grace: GRACE,
            ledger: LedgerRules::default(),
            end_user_header: None,
        }
    }
}

/// How spend is written down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LedgerRules {
    /// `ledger_orphans`: requests that were under way when a process died.
    pub orphans: Orphans,
    /// `ledger_when_full`: requests that come when the journal is full.
    pub when_full: WhenFull,
    /// `ledger_max_mb`: the most bytes of the journal that wait for the database.
    pub most: u64,
}

impl Default for LedgerRules {
    fn default() -> Self {
        Self {
            orphans: Orphans::Zero,
            when_full: WhenFull::Refuse,
            most: 1 << 30,
        }
    }
}

/// What is charged for a request that was under way when its process died.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Orphans {
    /// All that it could have cost: no budget is exceeded, whatever the provider bills.
    WorstCase,
    /// Its prompt, which the provider had been sent.
    Counted,
    /// Nothing: its caller got no answer. It costs no record before the request is sent.
    #[default]
    Zero,
}

/// What becomes of requests when a record cannot be kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WhenFull {
    /// New ones are refused with 503, so that nothing is spent that is not written down.
    #[default]
    Refuse,
    /// They are served, and what they cost is counted as lost.
    Serve,
}

/// Which tokens count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TokenKind {
    /// Those of prompt and answer.
    #[default]
    Total,
    /// Those of the prompt.
    Input,
    /// Those of the answer.
    Output,
}

/// Which addresses may come in, and where an address stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Admission {
    /// `use_x_forwarded_for`.
    pub forwarded: bool,
    listed: Vec<Network>,
    trusted: Vec<Network>,
    /// `cors_allow_origins`, if it is given.
    origins: Option<Vec<String>>,
}

impl Admission {
    /// Whether every address may come in.
    pub fn open(&self) -> bool {
        self.listed.is_empty()
    }

    /// Whether an address is on the list of `allowed_ips`.
    pub fn lists(&self, address: IpAddr) -> bool {
        self.listed.iter().any(|network| network.holds(address))
    }

    /// Whether a page of this origin may call from a browser. Where the file does not say, any may
    /// that has a key to show.
    pub fn admits_origin(&self, origin: &[u8], keyed: bool) -> bool {
        match &self.origins {
            None => keyed,
            Some(listed) => listed
                .iter()
                .any(|listed| listed == "*" || listed.as_bytes() == origin),
        }
    }

    /// Whether the `x-forwarded-for` of this address is believed.
    pub fn trusts(&self, address: IpAddr) -> bool {
        self.trusted.is_empty() || self.trusted.iter().any(|network| network.holds(address))
    }
}

/// An address, or all that begin with the same bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Network {
    bits: u128,
    kept: u32,
}

impl Network {
    fn parse(text: &str) -> Option<Self> {
        let (address, length) = match text.split_once('/') {
            Some((address, length)) => (address, Some(length.parse::<u32>().ok()?)),
            None => (text, None),
        };
        let address: IpAddr = address.trim().parse().ok()?;
        let (most, before) = if address.is_ipv4() {
            (32, 96)
        } else {
            (128, 0)
        };
        let length = length.unwrap_or(most);
        (length <= most).then(|| Self {
            bits: bits(address),
            kept: length + before,
        })
    }

    fn holds(&self, address: IpAddr) -> bool {
        let differ = self.bits ^ bits(address);
        differ.leading_zeros() >= self.kept
    }
}

/// IPv4 addresses stand within IPv6's.
fn bits(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(v4) => v4.to_ipv6_mapped().to_bits(),
        IpAddr::V6(v6) => v6.to_bits(),
    }
}

impl Rules {
    /// As a table says.
    pub(super) fn of(routes: &Routes, faults: &mut Vec<BindFault>) -> Self {
        let mut read = Read { routes, faults };
        let user = read.dollars("litellm_settings.max_internal_user_budget");
        let period = read.parsed("litellm_settings.internal_user_budget_duration");
        Self {
            user: user.map(|max| (max, period)),
            end_user: read.dollars("litellm_settings.max_end_user_budget"),
            user_of_team: read.flag("general_settings.apply_user_budget_to_team_keys"),
            tokens: read.word(
                "general_settings.token_rate_limit_type",
                &[
                    ("total", TokenKind::Total),
                    ("input", TokenKind::Input),
                    ("output", TokenKind::Output),
                ],
            ),
            grace: read
                .number("general_settings.database_grace")
                .map_or(GRACE, Duration::from_secs),
            ledger: LedgerRules::of(&mut read),
            end_user_header: read.parsed("general_settings.user_header_name"),
        }
    }
}

impl LedgerRules {
    fn of(read: &mut Read<'_>) -> Self {
        let orphans = [
            ("zero", Orphans::Zero),
            ("counted", Orphans::Counted),
            ("worst_case", Orphans::WorstCase),
        ];
        let when_full = [("refuse", WhenFull::Refuse), ("serve", WhenFull::Serve)];
        let most = read.number("general_settings.ledger_max_mb");
        Self {
            orphans: read.word("general_settings.ledger_orphans", &orphans),
            when_full: read.word("general_settings.ledger_when_full", &when_full),
            most: most.map_or(1 << 30, |megabytes| megabytes.saturating_mul(1 << 20)),
        }
    }
}

impl Admission {
    /// As a table says.
    pub(super) fn of(routes: &Routes, faults: &mut Vec<BindFault>) -> Self {
        let mut read = Read { routes, faults };
        Self {
            forwarded: read.flag("general_settings.use_x_forwarded_for"),
            listed: read.networks("general_settings.allowed_ips"),
            trusted: read.networks("general_settings.trusted_proxy_ranges"),
            origins: read.origins("general_settings.cors_allow_origins"),
        }
    }
}

/// Reads settings that have no field of their own.
pub(super) struct Read<'a> {
    pub(super) routes: &'a Routes,
    pub(super) faults: &'a mut Vec<BindFault>,
}

impl<'a> Read<'a> {
    fn get(&self, path: &str) -> Option<&'a Setting> {
        self.routes.setting(path)
    }

    fn fault(&mut self, path: &str, what: &str) {
        self.faults.push(BindFault {
            path: path.to_owned(),
            what: what.to_owned(),
        });
    }

    fn text(&mut self, path: &str) -> Option<String> {
        match self.get(path)? {
            Setting::Text(Value::Plain(text)) => Some(text.clone().into_owned()),
            Setting::Int(number) => Some(number.to_string()),
            Setting::Float(number) => Some(number.to_string()),
            Setting::Bool(flag) => Some(flag.to_string()),
            Setting::Null => None,
            _ => {
                self.fault(path, "it is written in the file itself, as one value");
                None
            }
        }
    }

    /// One of some words, or the default.
    fn word<T: Copy + Default>(&mut self, path: &str, words: &[(&str, T)]) -> T {
        let Some(text) = self.text(path) else {
            return T::default();
        };
        if let Some((_, value)) = words.iter().find(|(word, _)| *word == text) {
            return *value;
        }
        let known: Vec<_> = words.iter().map(|(word, _)| *word).collect();
        self.fault(path, &format!("it is one of {}", known.join(", ")));
        T::default()
    }

    pub(super) fn parsed<T: std::str::FromStr>(&mut self, path: &str) -> Option<T> {
        let text = self.text(path)?;
        let parsed = text.parse().ok();
        if parsed.is_none() {
            self.fault(path, "the value cannot be read");
        }
        parsed
    }

    fn flag(&mut self, path: &str) -> bool {
        self.parsed(path).unwrap_or(false)
    }

    fn number(&mut self, path: &str) -> Option<u64> {
        self.parsed(path)
    }

    fn dollars(&mut self, path: &str) -> Option<Usd> {
        let text = self.text(path)?;
        let amount = Usd::from_decimal(&text).filter(|amount| *amount >= Usd::ZERO);
        if amount.is_none() {
            self.fault(path, "it is an amount of dollars");
        }
        amount
    }

    fn origins(&mut self, path: &str) -> Option<Vec<String>> {
        let items = match self.get(path)? {
            Setting::Null => return None,
            Setting::List(items) => &items[..],
            one => std::slice::from_ref(one),
        };
        let mut origins = Vec::new();
        for item in items {
            match item {
                Setting::Text(Value::Plain(text)) if text == "*" || text.contains("://") => {
                    origins.push(text.trim_end_matches('/').to_owned());
                }
                _ => self.fault(
                    path,
                    "each item is an origin such as https://app.example, or *",
                ),
            }
        }
        Some(origins)
    }

    fn networks(&mut self, path: &str) -> Vec<Network> {
        let items = match self.get(path) {
            None | Some(Setting::Null) => return Vec::new(),
            Some(Setting::List(items)) => &items[..],
            Some(one) => std::slice::from_ref(one),
        };
        let mut networks = Vec::new();
        for item in items {
            let found = match item {
                Setting::Text(Value::Plain(text)) => Network::parse(text),
                _ => None,
            };
            match found {
                Some(network) => networks.push(network),
                // A list that is not understood lets nobody in by mistake.
                None => self.fault(
                    path,
                    "each item is an address, or one with a length after `/`",
                ),
            }
        }
        networks
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_may_call_where_a_key_is_asked_for_or_the_file_says_so() {
        let mut admission = Admission::default();
        assert!(admission.admits_origin(b"https://a.test", true));
        assert!(!admission.admits_origin(b"https://a.test", false));
        admission.origins = Some(vec!["https://a.test".to_owned()]);
        assert!(admission.admits_origin(b"https://a.test", false));
        assert!(!admission.admits_origin(b"https://a.test.evil", true));
        admission.origins = Some(vec!["*".to_owned()]);
        assert!(admission.admits_origin(b"null", false));
    }

    #[test]
    fn a_network_holds_the_addresses_that_begin_as_it_does() {
        for (network, address, holds) in [
            ("10.0.0.0/8", "10.1.2.3", true),
            ("10.0.0.0/8", "11.1.2.3", false),
            ("10.1.2.3", "10.1.2.3", true),
            ("10.1.2.3", "::ffff:10.1.2.3", true),
            ("10.1.2.3", "10.1.2.4", false),
            ("0.0.0.0/0", "192.0.2.1", true),
            ("2001:db8::/32", "2001:db8::1", true),
            ("2001:db8::/32", "2001:db9::1", false),
        ] {
            let network = Network::parse(network).unwrap();
            assert_eq!(
                network.holds(address.parse().unwrap()),
                holds,
                "{network:?} {address}"
            );
        }
        for wrong in ["", "localhost", "10.0.0.0/33", "10.0.0/8", "::/129"] {
            assert_eq!(Network::parse(wrong), None, "{wrong}");
        }
    }
}
