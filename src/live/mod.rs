//! The table in force.
//!
//! A [`Live`] is a checked table together with everything that is made of it once: addresses,
//! credentials, header values. [`Handle`] holds the one in force; a request loads it once and keeps
//! it to its end, and an override is a new `Live` put in its place in one store.

pub mod api;
pub mod aws;
mod azure;
mod ceiling;
mod endpoint;
mod environment;
mod fetching;
pub mod google;
mod issued;
mod jwt;
mod keys;
mod master;
mod rules;
pub mod source;
mod wildcards;

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use http::HeaderName;
use pointsman_layers::auth::KeyDigest;
use pointsman_routes::table::{Deployment, DeploymentId, Routes, Target};
use pointsman_routes::{Literals, Table};

pub use self::api::Api;
pub use self::ceiling::Ceiling;
pub use self::endpoint::{Authority, Endpoint, Names};
use self::environment::Environment;
pub use self::fetching::Fetching;
pub use self::issued::{Ids, Issued, Owner};
pub use self::jwt::{JwtClaims, JwtRules, MappedRole, RoleMapping};
pub use self::master::MasterKey;
pub use self::rules::{Admission, LedgerRules, Orphans, Rules, TokenKind, WhenFull};
pub use self::wildcards::Known;
use crate::account::{Bearer, Period};

/// A table, bound to the environment.
pub struct Live {
    table: Table,
    endpoints: Box<[Endpoint]>,
    apis: Box<[Api]>,
    master: Option<MasterKey>,
    database: Option<String>,
    salt: Option<String>,
    keeps_models: bool,
    ids: Ids,
    keys: HashMap<KeyDigest, Arc<Bearer>>,
    ceilings: Box<[Ceiling]>,
    rules: Rules,
    admission: Admission,
    fetching: Fetching,
    jwt: Option<JwtRules>,
    wildcards: OnceLock<Vec<Known>>,
    registered: Registered,
    origin: String,
    since: Instant,
    generation: u64,
}

/// The names of the providers that a program has registered beside the catalog's.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Registered(Arc<[String]>);

impl Registered {
    /// Whether there is one of this name.
    pub fn has(&self, name: &str) -> bool {
        self.0.iter().any(|known| known == name)
    }
}

impl<S: Into<String>> FromIterator<S> for Registered {
    fn from_iter<I: IntoIterator<Item = S>>(names: I) -> Self {
        Self(names.into_iter().map(Into::into).collect())
    }
}

/// Counts the tables that were bound.
static GENERATION: AtomicU64 = AtomicU64::new(0);

/// Why a table cannot be put in force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BindFault {
    /// Where in the file.
    pub path: String,
    /// What is wrong. Holds no secret.
    pub what: String,
}

impl fmt::Display for BindFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path, self.what)
    }
}

impl Live {
    /// Binds a table to an environment: resolves every reference, makes addresses and headers.
    ///
    /// Returns every fault there is, so that all of them can be mended at once.
    pub fn bind(
        table: Table,
        literals: &Literals,
        env: &dyn Fn(&str) -> Option<String>,
        origin: String,
    ) -> Result<Self, Vec<BindFault>> {
        Self::bind_for(&Registered::default(), table, literals, env, origin)
    }

    /// The same in a program that has registered providers of its own, by these names. A deployment
    /// of a provider with a protocol of its own that is not among them is a fault.
    pub fn bind_for(
        registered: &Registered,
        table: Table,
        literals: &Literals,
        env: &dyn Fn(&str) -> Option<String>,
        origin: String,
    ) -> Result<Self, Vec<BindFault>> {
        let mut faults = Vec::new();
        let routes = table.routes();
        let environment = Environment::new(routes, literals, env, &mut faults);
        let master = environment.master_key(routes, &mut faults);
        let database = environment.database_url(routes, &mut faults);
        let salt = environment.get("LITELLM_SALT_KEY");
        let asked = environment.get("STORE_MODEL_IN_DB");
        let keeps_models = routes.general.store_model_in_db
            || asked.is_some_and(|asked| asked.eq_ignore_ascii_case("true"));
        let ids = Ids::new(secret(salt.as_deref(), master.as_ref()).unwrap_or_default());
        let keys = environment.file_keys(routes, &mut faults);
        let ceilings = ceiling::of_groups(routes);
        let rules = Rules::of(routes, &mut faults);
        let admission = Admission::of(routes, &mut faults);
        let fetching = Fetching::of(routes, &environment, &mut faults);
        let jwt = JwtRules::of(routes, &environment, &mut faults);
        let endpoints = routes
            .deployments
            .iter()
            .map(|deployment| Endpoint::bind(routes, deployment, &environment, &mut faults))
            .collect();
        let deployments = routes.deployments.iter();
        faults.extend(deployments.filter_map(|one| endpoint::unregistered(one, registered)));
        let apis = api::bind(routes, &environment, &mut faults);
        if faults.is_empty() {
            let generation = GENERATION.fetch_add(1, Ordering::Relaxed);
            Ok(Self {
                table,
                endpoints,
                apis: apis.into(),
                master,
                database,
                salt,
                keeps_models,
                ids,
                keys,
                ceilings,
                rules,
                admission,
                fetching,
                jwt,
                wildcards: OnceLock::new(),
                registered: registered.clone(),
                origin,
                since: Instant::now(),
                generation,
            })
        } else {
            Err(faults)
        }
    }

    /// The plan.
    pub fn routes(&self) -> &Routes {
        self.table.routes()
    }

    /// The plan with its index of names.
    pub fn table(&self) -> &Table {
        &self.table
    }

    /// A deployment of the plan.
    pub fn deployment(&self, id: DeploymentId) -> &Deployment {
        &self.routes().deployments[usize::from(id.0)]
    }

    /// The models that the file's patterns are known to stand for. Looked up once, when first asked.
    pub fn wildcards(&self) -> &[Known] {
        self.wildcards.get_or_init(|| wildcards::known(self))
    }

    /// What a deployment is bound to.
    pub fn endpoint(&self, id: DeploymentId) -> &Endpoint {
        &self.endpoints[usize::from(id.0)]
    }

    /// The way on of a request that is passed through, if its path has one.
    pub fn api(&self, path: &str) -> Option<&Api> {
        self.apis.iter().find(|api| api.takes(path))
    }

    /// The administrator's key, if there is one.
    pub fn master_key(&self) -> Option<&MasterKey> {
        self.master.as_ref()
    }

    /// The database's URL, which may hold a password: of the file, else of `DATABASE_URL`.
    pub fn database_url(&self) -> Option<&str> {
        self.database.as_deref()
    }

    /// What secrets at rest are sealed with: `LITELLM_SALT_KEY`, or the master key without one.
    pub fn salt(&self) -> Option<&[u8]> {
        secret(self.salt.as_deref(), self.master.as_ref())
    }

    /// The ids of responses that it gives out.
    pub fn ids(&self) -> &Ids {
        &self.ids
    }

    /// The deployment of this id.
    pub fn deployment_named(&self, id: &str) -> Option<DeploymentId> {
        let found = self
            .routes()
            .deployments
            .iter()
            .position(|it| it.id == id)?;
        u16::try_from(found).ok().map(DeploymentId)
    }

    /// Whether models that are added at run time are kept: `store_model_in_db`, of the file or of
    /// the environment.
    pub const fn keeps_models(&self) -> bool {
        self.keeps_models
    }

    /// The key of the file that has this digest.
    pub fn file_key(&self, digest: &KeyDigest) -> Option<&Arc<Bearer>> {
        self.keys.get(digest)
    }

    /// What an answer to this may cost at most, whoever gives it in the end.
    pub fn ceiling(&self, target: Target) -> Ceiling {
        match target {
            Target::Group(group) => self.ceilings[usize::from(group.0)],
            Target::Deployment(id) => ceiling::of_deployment(self.routes(), id),
        }
    }

    /// What the file says of budgets and limits that accounts have not.
    pub fn rules(&self) -> &Rules {
        &self.rules
    }

    /// How spend is written down.
    pub fn ledger(&self) -> &LedgerRules {
        &self.rules.ledger
    }

    /// The window of the whole proxy's budget.
    pub fn proxy_period(&self) -> Option<Period> {
        keys::period(self.routes().settings.budget.as_ref()?.window?)
    }

    /// Which addresses may come in.
    pub fn admission(&self) -> &Admission {
        &self.admission
    }

    /// How images are fetched that callers name by address.
    pub fn fetching(&self) -> &Fetching {
        &self.fetching
    }

    /// How tokens of an identity provider are read, if they are taken.
    pub fn jwt(&self) -> Option<&JwtRules> {
        self.jwt.as_ref()
    }

    /// The file's own header for the end user.
    pub fn end_user_header(&self) -> Option<&HeaderName> {
        self.rules.end_user_header.as_ref()
    }

    /// The providers that the program has registered.
    pub fn registered(&self) -> &Registered {
        &self.registered
    }

    /// The file that it comes from.
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// A number that no other table of this process has.
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// How long it is in force.
    pub fn age(&self) -> Duration {
        self.since.elapsed()
    }
}

/// What secrets are sealed with.
fn secret<'a>(salt: Option<&'a str>, master: Option<&'a MasterKey>) -> Option<&'a [u8]> {
    let master = master.map(|master| &master.digest.0[..]);
    salt.map(str::as_bytes).or(master)
}

impl fmt::Debug for Live {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Live")
            .field("origin", &self.origin)
            .finish_non_exhaustive()
    }
}

/// The table in force, shared.
#[derive(Clone, Debug)]
pub struct Handle(Arc<ArcSwap<Live>>);

impl Handle {
    /// Starts with this table.
    pub fn new(live: Live) -> Self {
        Self(Arc::new(ArcSwap::from_pointee(live)))
    }

    /// The table in force now. Lock-free.
    pub fn load(&self) -> Arc<Live> {
        self.0.load_full()
    }

    /// The table in force now, for a look that does not outlast the call: cheaper than
    /// [`load`](Self::load).
    pub fn peek(&self) -> impl std::ops::Deref<Target = Arc<Live>> {
        self.0.load()
    }

    /// Puts another table in force. Requests under way keep theirs.
    pub fn store(&self, live: Live) {
        self.0.store(Arc::new(live));
    }
}
