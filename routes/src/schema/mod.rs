//! Every key that a file may hold, as data.
//!
//! One table says what a key is called, where it stands, what kind of value it takes, what becomes
//! of it and why. The check for unknown keys, the check of types, the notes on what comes later,
//! `docs/config.md` and the doctor's report are all made from it, so that they cannot differ.
//! Nothing here judges a value beyond its type.

mod docs;
mod general;
mod models;
mod others;
mod router;
mod settings;
mod walk;

pub(crate) use models::SUPPORTED;

use std::fmt;
use std::sync::LazyLock;

pub use docs::markdown;
pub(crate) use walk::walk;

/// A key that a file may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Key {
    /// The map that it stands in.
    pub section: Section,
    /// Its name.
    pub name: &'static str,
    /// What it takes.
    pub kind: Kind,
    /// What becomes of it.
    pub verdict: Verdict,
    /// Where its value goes.
    pub hold: Hold,
    /// What it means, in a sentence.
    pub meaning: &'static str,
    /// The row of the compatibility contract, or `-`.
    pub row: &'static str,
}

/// What becomes of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Does what it does in LiteLLM.
    Honoured,
    /// Read, checked and carried in the plan; its feature is not there yet.
    Later,
    /// Accepted, and means something else than many think or than LiteLLM makes of it.
    Differs(&'static str),
    /// Does more than in LiteLLM.
    Better(&'static str),
    /// Accepted without effect, for this reason.
    Ignored(&'static str),
    /// Refused; this is what to do instead.
    Rejected(&'static str),
}

impl Verdict {
    /// One word for tables.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Honoured => "honoured",
            Self::Later => "later",
            Self::Differs(_) => "differs",
            Self::Better(_) => "better",
            Self::Ignored(_) => "ignored",
            Self::Rejected(_) => "rejected",
        }
    }

    /// Why, if there is more to say than the word.
    #[must_use]
    pub const fn reason(self) -> Option<&'static str> {
        match self {
            Self::Honoured | Self::Later => None,
            Self::Differs(why) | Self::Better(why) | Self::Ignored(why) | Self::Rejected(why) => {
                Some(why)
            }
        }
    }
}

/// Where the value of a key goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hold {
    /// A field of the plan.
    Field,
    /// [`Routes::carried`](crate::table::Routes::carried).
    Carried,
    /// [`Deployment::options`](crate::table::Deployment::options).
    Option,
    /// [`Deployment::defaults`](crate::table::Deployment::defaults).
    Default,
    /// Nowhere.
    Nowhere,
}

/// What a key takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `true` or `false`.
    Bool,
    /// A whole number, not negative.
    Count,
    /// A number.
    Number,
    /// A length of time: seconds, or text such as `30s` or `5m`.
    Seconds,
    /// An amount of US dollars.
    Dollars,
    /// The window of a budget: `30d`, `1mo`, `monthly`.
    Window,
    /// Text.
    Text,
    /// Text that is never shown.
    Secret,
    /// A list of texts, or one text.
    Words,
    /// Anything.
    Any,
    /// A map of free form.
    Map,
    /// A list of anything.
    List,
    /// A map with the keys of a section.
    Section(Section),
    /// A list of such maps.
    Sections(Section),
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Bool => "true or false",
            Self::Count => "a whole number, not negative",
            Self::Number => "a number",
            Self::Seconds => "a number of seconds",
            Self::Dollars => "an amount of US dollars",
            Self::Window => "a length of time such as `30d` or `1mo`",
            Self::Text => "text",
            Self::Secret => "a reference such as `os.environ/NAME`",
            Self::Words => "a list of texts",
            Self::Any => "anything",
            Self::Map | Self::Section(_) => "a map",
            Self::List => "a list",
            Self::Sections(_) => "a list of maps",
        })
    }
}

macro_rules! sections {
    ($($variant:ident $path:literal $meaning:literal;)*) => {
        /// A map of the file with keys of its own.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Section {
            $(#[doc = concat!("`", $path, "`: ", $meaning)] $variant,)*
        }

        impl Section {
            /// Every section, in the order of the documentation.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// Where it stands.
            #[must_use]
            pub const fn path(self) -> &'static str {
                match self { $(Self::$variant => $path),* }
            }

            /// What it is for.
            #[must_use]
            pub const fn meaning(self) -> &'static str {
                match self { $(Self::$variant => $meaning),* }
            }
        }
    };
}

sections! {
    Top "" "The top level of the file.";
    Entry "model_list[]" "A deployment and the model group that it belongs to.";
    Params "model_list[].litellm_params" "How to reach the deployment and what it may take.";
    Info "model_list[].model_info" "What is known of the model; overrides the catalog.";
    Metadata "model_list[].metadata" "Figures beside a model, as some articles write them.";
    Credential "credential_list[]" "A named set of credentials that deployments share.";
    Router "router_settings" "How a deployment is chosen, retried and replaced.";
    StrategyArgs "router_settings.routing_strategy_args" "Options of the strategy.";
    Backoff "router_settings.backoff" "Waits between tries that grow.";
    Queue "router_settings.queue" "Requests that wait for room at a deployment.";
    Settings "litellm_settings" "Settings of calls, caches, callbacks and budgets.";
    CustomProvider "litellm_settings.custom_provider_map[]" "A provider of one's own, by whose name models begin.";
    CacheParams "litellm_settings.cache_params" "Where answers are kept.";
    General "general_settings" "Settings of the server.";
    PassThrough "general_settings.pass_through_endpoints[]" "A path whose requests are passed on as they are.";
    Guardrail "guardrails[]" "A check before, beside or after a call.";
    GuardrailParams "guardrails[].litellm_params" "Which check, and when.";
    Rule "rules[]" "Whom requests prefer, by who asks and what for.";
    When "rules[].when" "The conditions of a rule.";
    SisterRouter "router" "The router as some articles write it.";
    Fallback "fallback_config[]" "A group's fallbacks as some articles write them.";
    StaticKey "key_settings[]" "A virtual key declared in the file.";
    RateLimit "key_settings[].rate_limit" "The key's limits.";
    KeyBudget "key_settings[].budget" "The key's budget.";
    Database "database" "The database as some articles write it.";
}

/// Names that share a line of the table.
struct Line {
    section: Section,
    names: &'static [&'static str],
    kind: Kind,
    verdict: Verdict,
    hold: Hold,
    meaning: &'static str,
    row: &'static str,
}

/// A key with a field in the plan.
const fn field(
    section: Section,
    names: &'static [&'static str],
    kind: Kind,
    verdict: Verdict,
    meaning: &'static str,
    row: &'static str,
) -> Line {
    Line {
        section,
        names,
        kind,
        verdict,
        hold: Hold::Field,
        meaning,
        row,
    }
}

/// A key whose value is carried as it is.
const fn carried(
    section: Section,
    names: &'static [&'static str],
    kind: Kind,
    meaning: &'static str,
    row: &'static str,
) -> Line {
    Line {
        section,
        names,
        kind,
        verdict: Verdict::Later,
        hold: Hold::Carried,
        meaning,
        row,
    }
}

/// A key without effect.
/// [`carried`], and heeded.
const fn kept(
    section: Section,
    names: &'static [&'static str],
    kind: Kind,
    verdict: Verdict,
    meaning: &'static str,
    row: &'static str,
) -> Line {
    Line {
        verdict,
        ..carried(section, names, kind, meaning, row)
    }
}

const fn ignored(
    section: Section,
    names: &'static [&'static str],
    why: &'static str,
    meaning: &'static str,
    row: &'static str,
) -> Line {
    let verdict = Verdict::Ignored(why);
    Line {
        section,
        names,
        kind: Kind::Any,
        verdict,
        hold: Hold::Nowhere,
        meaning,
        row,
    }
}

/// A key that is refused.
const fn rejected(
    section: Section,
    names: &'static [&'static str],
    instead: &'static str,
    meaning: &'static str,
    row: &'static str,
) -> Line {
    let verdict = Verdict::Rejected(instead);
    Line {
        section,
        names,
        kind: Kind::Any,
        verdict,
        hold: Hold::Nowhere,
        meaning,
        row,
    }
}

/// The table, grouped by section, each section sorted by name.
static KEYS: LazyLock<Vec<Key>> = LazyLock::new(|| {
    let mut keys: Vec<Key> = [
        others::ROWS,
        models::ROWS,
        models::REQUEST_ROWS,
        router::ROWS,
        settings::ROWS,
        general::ROWS,
    ]
    .into_iter()
    .flatten()
    .flat_map(|row| {
        row.names.iter().map(|name| Key {
            section: row.section,
            name,
            kind: row.kind,
            verdict: row.verdict,
            hold: row.hold,
            meaning: row.meaning,
            row: row.row,
        })
    })
    .collect();
    keys.sort_by_key(|key| (key.section as usize, key.name));
    keys
});

/// Every key, grouped by section in the order of [`Section::ALL`], sorted by name within.
pub fn keys() -> &'static [Key] {
    &KEYS
}

/// The keys of one section, sorted by name.
pub fn keys_of(section: Section) -> &'static [Key] {
    let start = KEYS.partition_point(|key| (key.section as usize) < section as usize);
    let end = KEYS.partition_point(|key| key.section as usize <= section as usize);
    &KEYS[start..end]
}

/// The key of this name in a section.
pub fn find(section: Section, name: &str) -> Option<&'static Key> {
    let keys = keys_of(section);
    keys.binary_search_by(|key| key.name.cmp(name))
        .ok()
        .map(|at| &keys[at])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_key_stands_twice_and_each_is_found() {
        for pair in keys().windows(2) {
            assert!(
                (pair[0].section as usize, pair[0].name) < (pair[1].section as usize, pair[1].name),
                "{:?} twice",
                pair[0]
            );
        }
        for key in keys() {
            assert_eq!(find(key.section, key.name), Some(key));
        }
        assert_eq!(find(Section::Top, "model_lists"), None);
    }

    #[test]
    fn every_section_has_keys_and_every_key_a_meaning() {
        for section in Section::ALL {
            assert!(!keys_of(*section).is_empty(), "{section:?}");
        }
        for key in keys() {
            assert!(key.meaning.ends_with('.'), "{}: {}", key.name, key.meaning);
            assert!(!key.row.is_empty(), "{}", key.name);
        }
    }
}
