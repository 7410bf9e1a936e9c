//! The routing table: what the compiler makes and what the gateway reads.
//!
//! [`Routes`] is both the compiler's intermediate form and the table in force. Every type here can
//! be written as a constant, so that the same value comes out of a build script as Rust source and
//! out of [`load`](crate::load()) at run time. No secret is ever part of it: a secret is a [`Secret`],
//! which names where the value stands.

#![expect(
    clippy::struct_excessive_bools,
    reason = "each is a switch of the file, by its name"
)]

mod deployment;
mod midstream;
mod model;
mod rules;
mod settings;
mod value;
mod waits;

use std::borrow::Cow;
use std::time::Duration;

pub use self::deployment::{Auth, Budget, Deployment, Limits, Mock, Protocol, Provider, Window};
pub use self::midstream::Midstream;
pub use self::model::{Capabilities, Facts, LongPrice, Mode, Price, Priced};
pub use self::rules::Rule;
pub use self::settings::{
    Cache, CacheKind, Carried, General, GuardMode, Guardrail, PassThrough, Redis, RetryPolicy,
    Router, Setting, Settings, StaticKey, WeightedAlias,
};
pub use self::value::{Credential, KeyRef, Piece, Secret, Value};
pub use self::waits::{Backoff, Jitter, Queue};

/// Text that is a constant in compiled tables and owned in loaded ones.
pub type Text = Cow<'static, str>;
/// A list that is a constant in compiled tables and owned in loaded ones.
pub type List<T> = Cow<'static, [T]>;

/// Position of a [`Group`] in [`Routes::groups`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GroupId(pub u16);

/// Position of a [`Deployment`] in [`Routes::deployments`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DeploymentId(pub u16);

/// Position of a clear-text secret in the [`Literals`](crate::Literals) that `load` gives beside
/// the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LiteralId(pub u16);

/// The whole plan of one file.
#[derive(Clone, Debug, PartialEq)]
pub struct Routes {
    /// Every exact name that a caller may ask for, sorted by name.
    pub names: List<Name>,
    /// Names with `*`, the most specific first.
    pub patterns: List<Pattern>,
    /// The model groups, in the order of their first entry in the file.
    pub groups: List<Group>,
    /// The deployments, in the order of the file.
    pub deployments: List<Deployment>,
    /// `router_settings`.
    pub router: Router,
    /// `litellm_settings`, as far as the table decides by it.
    pub settings: Settings,
    /// `general_settings`.
    pub general: General,
    /// Keys that the file itself declares.
    pub keys: List<StaticKey>,
    /// `guardrails`, from either place.
    pub guardrails: List<Guardrail>,
    /// `rules`, in the order of the file.
    pub rules: List<Rule>,
    /// `environment_variables`: names that the gateway knows beside the process's own.
    pub environment: List<(Text, Credential)>,
    /// Settings with no field of their own, by path (`litellm_settings.json_logs`), sorted.
    pub carried: List<Carried>,
}

impl Routes {
    /// A setting that has no field of its own, by its path.
    #[must_use]
    pub fn setting(&self, path: &str) -> Option<&Setting> {
        let found = self.carried.binary_search_by(|one| (*one.path).cmp(path));
        found.ok().map(|place| &self.carried[place].value)
    }
}

/// An exact name and what it stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Name {
    /// What the caller writes in `model`.
    pub name: Text,
    /// What answers.
    pub target: Target,
    /// Whether `/v1/models` leaves it out.
    pub hidden: bool,
}

/// What a name stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Target {
    /// A model group.
    Group(GroupId),
    /// One deployment, called by its `model_info.id`.
    Deployment(DeploymentId),
}

/// A name with one or more `*`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern {
    /// As written, such as `openai/*`.
    pub pattern: Text,
    /// The group that answers; `*` in its deployments' model is filled with what matched.
    pub group: GroupId,
}

/// The deployments that share a `model_name`.
#[derive(Clone, Debug, PartialEq)]
pub struct Group {
    /// The public name.
    pub name: Text,
    /// Who may answer, in the order of the file.
    pub members: List<Member>,
    /// Where to go when every permitted member failed; flattened, without repeats.
    pub fallbacks: List<Target>,
    /// The same for a prompt larger than the window.
    pub context_window_fallbacks: List<Target>,
    /// The same for an answer refused by content policy.
    pub content_policy_fallbacks: List<Target>,
    /// The group's own number of retries, before the router's.
    pub num_retries: Option<u32>,
    /// The group's own minimum wait between retries.
    pub retry_after: Option<Duration>,
    /// The group's own counts by class of error.
    pub retry_policy: Option<RetryPolicy>,
    /// How this group chooses, if not as the router does.
    pub strategy: Option<Strategy>,
    /// The group's own deadline of a stream's first event, before the router's.
    pub ttft_timeout: Option<Duration>,
}

/// A deployment as a member of a group.
#[derive(Clone, Debug, PartialEq)]
pub struct Member {
    /// Which deployment.
    pub deployment: DeploymentId,
    /// Share of the traffic, relative to the other members; none written is `None`.
    pub weight: Option<f64>,
    /// Priority level: all of a lower number are tried first.
    pub order: u32,
    /// `model_info.id` of the entry that brought it in, when that entry names another group.
    pub via: Option<Text>,
}

/// How a router or a group chooses.
#[derive(Clone, Debug, PartialEq)]
pub enum Strategy {
    /// Weighted by `weight`, else by `rpm`, else by `tpm`, else uniform.
    SimpleShuffle,
    /// Fewest requests in flight.
    LeastBusy,
    /// Lowest latency.
    Latency,
    /// Lowest price.
    Cost,
    /// Most head-room (v1 and v2 alike).
    Usage,
    /// Exact proportions.
    WeightedRoundRobin,
    /// By what the request needs.
    Capability,
    /// Power of two choices on latency times in-flight.
    PeakEwma,
    /// By stated weights of latency, cost and errors.
    Score {
        /// Weight of latency.
        latency: f64,
        /// Weight of cost.
        cost: f64,
        /// Weight of errors.
        errors: f64,
    },
}
