//! Budgets: how much money may be spent, and until when.
//!
//! On the way in a closure of yours names the [`Budget`]s that a request falls under (its key, its
//! team, its organisation) and prices its worst case. The layer reserves that amount in every
//! budget, or in none. When the response body has ended, failed or been dropped, the true cost is
//! booked in place of the reservation. It refuses with [`OverBudget`], which names the budget, what
//! is spent and reserved, and when it begins anew.
//!
//! ```
//! use bytes::Bytes;
//! use http::{Request, Response};
//! use http_body_util::Full;
//! use pointsman_layers::budget::{Budget, BudgetLayer, Charge, Id, MemoryLedger, OverBudget, Usd};
//! use pointsman_layers::budget::{Meter, Window};
//! use pointsman_layers::{BoxError, find};
//! use tower::{ServiceBuilder, ServiceExt, service_fn};
//!
//! # tokio_test::block_on(async {
//! // Each request may cost a dollar; the service says what it did cost.
//! let charge = |request: &Request<Meter>| {
//!     let team = Budget::new("team", Id::new("team", "search"))
//!         .limit(Usd::from_dollars(2))
//!         .window(Window::MONTHLY);
//!     Some(Charge::new(Usd::from_dollars(1)).budget(team).measure(request.body().clone()))
//! };
//! let ledger = MemoryLedger::new();
//! let service = ServiceBuilder::new().layer(BudgetLayer::new(ledger, charge)).service(service_fn(
//!     |request: Request<Meter>| async move {
//!         request.body().set("0.6".parse::<Usd>()?);
//!         Ok::<_, BoxError>(Response::new(Full::new(Bytes::from("hi"))))
//!     },
//! ));
//! let request = || Request::new(Meter::new());
//!
//! let one = service.clone().oneshot(request()).await.unwrap();
//! let two = service.clone().oneshot(request()).await.unwrap();
//! // Both are still reserved in full, and when they end 80 cents are left: less than a dollar.
//! assert!(service.clone().oneshot(request()).await.is_err());
//! drop((one, two));
//! let error = service.oneshot(request()).await.unwrap_err();
//! let over: &OverBudget = find(&*error).unwrap();
//! assert_eq!(over.spent.to_string(), "1.2");
//! # });
//! ```
//!
//! Money is [`Usd`], an integer. Windows end by the calendar, exactly: see [`Window`]. A budget may
//! have thresholds, which signal without blocking: [`Budget::alert_at`].
//!
//! **What is promised.** With [`MemoryLedger`], spent and reserved together never exceed a limit,
//! in any interleaving of requests. The spend itself exceeds it only by what requests cost beyond
//! their own estimate: price the worst case. A reservation that fails at its last budget is given
//! back to the others; a request that comes in between may be refused too early. The future and
//! the body may be dropped at any time. On the hit path nothing is locked or allocated.

mod account;
mod memory;
mod money;
mod window;

use std::error::Error;
use std::fmt;
use std::task::{Context, Poll};
use std::time::Duration;

use http::header::{HeaderMap, HeaderValue, RETRY_AFTER};
use http_body::Body;
use tower_layer::Layer;
use tower_service::Service;

use crate::BoxError;
use crate::hold::{self, HeldBody, ResponseFuture};
use crate::inline::Inline;
use crate::ready::Soon;

pub use crate::clock::{Clock, FixedOffset, SystemClock, TokioClock, Unix, Utc, Zone};
pub use crate::hold::{Hold, Measure, Meter, Over};
pub use crate::id::Id;
pub use crate::inline::MOST;
pub use memory::{Crossed, Entry, Full, MemoryLedger, Reserved};
pub use money::{NotUsd, Usd};
pub use window::{NotAWindow, Window};

/// The most thresholds of one budget.
pub const THRESHOLDS: usize = 3;

/// An amount that may be spent within a window. Without a limit it only counts.
#[derive(Debug, Clone, Copy)]
pub struct Budget {
    scope: &'static str,
    id: Id,
    // The largest amount stands for none: a request carries many of these, so they are small.
    limit: Usd,
    window: Window,
    thresholds: [Usd; THRESHOLDS],
}

impl Budget {
    /// A budget whose kind is `scope` (`"key"`, `"team"`), as errors call it, and whose account is
    /// `id`. Two budgets with one id share an account: let [`Id::new`] keep kinds apart.
    #[inline]
    pub const fn new(scope: &'static str, id: Id) -> Self {
        Self {
            scope,
            id,
            limit: Usd::MAX,
            window: Window::Total,
            thresholds: [Usd::MAX; THRESHOLDS],
        }
    }

    /// Refuses what would bring the spend above `limit`. A limit of nothing refuses everything,
    /// [`Usd::MAX`] is none.
    #[must_use]
    #[inline]
    pub const fn limit(mut self, limit: Usd) -> Self {
        self.limit = limit;
        self
    }

    /// Begins anew as `window` says; unless told, never.
    #[must_use]
    #[inline]
    pub const fn window(mut self, window: Window) -> Self {
        self.window = window;
        self
    }

    /// Signals when the spend of a window reaches `threshold`, and blocks nothing: a soft budget.
    ///
    /// # Panics
    ///
    /// If it is the fourth.
    #[must_use]
    pub fn alert_at(mut self, threshold: Usd) -> Self {
        let free = self.thresholds.iter_mut().find(|slot| **slot == Usd::MAX);
        *free.expect("a budget has at most three thresholds") = threshold;
        self
    }

    /// The kind.
    pub const fn scope(&self) -> &'static str {
        self.scope
    }

    /// The account.
    pub const fn id(&self) -> Id {
        self.id
    }

    /// The limit, if there is one.
    pub fn max(&self) -> Option<Usd> {
        Some(self.limit).filter(|limit| *limit < Usd::MAX)
    }

    /// The window.
    pub const fn lasts(&self) -> Window {
        self.window
    }

    /// The thresholds.
    pub fn thresholds(&self) -> impl Iterator<Item = Usd> + '_ {
        self.thresholds
            .iter()
            .copied()
            .filter(|threshold| *threshold < Usd::MAX)
    }
}

/// What a request may cost, and who pays.
#[derive(Debug, Clone)]
pub struct Charge<M = ()> {
    reserve: Reserve,
    measure: M,
}

/// The part of a [`Charge`] that a ledger sees.
#[derive(Debug, Clone, Copy)]
pub struct Reserve {
    budgets: Inline<Budget>,
    amount: Usd,
}

impl Reserve {
    /// The budgets, in the order in which they were named.
    pub fn budgets(&self) -> impl Iterator<Item = &Budget> {
        self.budgets.iter()
    }

    /// The worst case.
    pub fn amount(&self) -> Usd {
        self.amount
    }
}

impl Charge {
    /// A request that costs at most `worst`.
    #[inline]
    pub const fn new(worst: Usd) -> Self {
        Self {
            reserve: Reserve {
                budgets: Inline::new(),
                amount: worst,
            },
            measure: (),
        }
    }
}

impl<M> Charge<M> {
    /// Charges `budget` as well.
    ///
    /// # Panics
    ///
    /// If it is one more than [`MOST`]: a request is charged to at most [`MOST`] budgets.
    #[must_use]
    #[inline]
    pub fn budget(mut self, budget: Budget) -> Self {
        assert!(
            self.reserve.budgets.push(budget).is_ok(),
            "more than {MOST} budgets"
        );
        self
    }

    /// Charges each of `budgets` as well, without a copy of the charge for each.
    ///
    /// # Panics
    ///
    /// If they are more than [`MOST`] with those that it charges already.
    #[must_use]
    #[inline]
    pub fn budgets(mut self, budgets: impl IntoIterator<Item = Budget>) -> Self {
        for budget in budgets {
            assert!(
                self.reserve.budgets.push(budget).is_ok(),
                "more than {MOST} budgets"
            );
        }
        self
    }

    /// What a ledger is asked for.
    pub fn reserve(&self) -> &Reserve {
        &self.reserve
    }

    /// Asks `measure` what the request did cost when it is over.
    #[inline]
    pub fn measure<N: Measure<Usd>>(self, measure: N) -> Charge<N> {
        Charge {
            reserve: self.reserve,
            measure,
        }
    }
}

/// A request was refused: one of its budgets cannot pay for it. 429, or 400 as older clients know
/// it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct OverBudget {
    /// The kind of the budget.
    pub scope: &'static str,
    /// Its account.
    pub id: Id,
    /// What may be spent.
    pub limit: Usd,
    /// What is spent.
    pub spent: Usd,
    /// What running requests have reserved.
    pub reserved: Usd,
    /// What this request would have reserved.
    pub wanted: Usd,
    /// When the budget begins anew, if it does.
    pub resets_at: Option<Unix>,
    /// How long that is from now.
    pub retry_after: Option<Duration>,
}

impl OverBudget {
    /// A refusal, for ledgers.
    pub fn new(budget: &Budget, wanted: Usd, standing: Standing, now: Unix) -> Self {
        let Standing {
            spent,
            reserved,
            resets_at,
        } = standing;
        let wait = |reset: Unix| u64::try_from(reset.0.saturating_sub(now.0)).unwrap_or_default();
        Self {
            scope: budget.scope,
            id: budget.id,
            limit: budget.limit,
            spent,
            reserved,
            wanted,
            resets_at,
            retry_after: resets_at.map(|reset| Duration::from_secs(wait(reset))),
        }
    }

    /// Writes `Retry-After`, the seconds until the budget begins anew.
    pub fn write(&self, headers: &mut HeaderMap) {
        if let Some(time) = self.retry_after {
            headers.insert(RETRY_AFTER, HeaderValue::from(time.as_secs().max(1)));
        }
    }
}

impl fmt::Display for OverBudget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            scope,
            limit,
            spent,
            reserved,
            wanted,
            ..
        } = self;
        write!(
            f,
            "the budget of this {scope} is exceeded: ${spent} spent and ${reserved} reserved "
        )?;
        write!(f, "of ${limit}, and the request may cost ${wanted}")
    }
}

impl Error for OverBudget {}

/// How a budget stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// What is spent in this window.
    pub spent: Usd,
    /// What running requests have reserved.
    pub reserved: Usd,
    /// When the window ends; `None` if it never does or has not begun.
    pub resets_at: Option<Unix>,
}

/// Why a ledger reserved nothing.
#[derive(Debug)]
pub enum Denied<E> {
    /// A budget cannot pay.
    OverBudget(OverBudget),
    /// The ledger cannot tell.
    Unavailable(E),
}

impl<E: Into<BoxError>> From<Denied<E>> for BoxError {
    fn from(denied: Denied<E>) -> Self {
        match denied {
            Denied::OverBudget(over) => over.into(),
            Denied::Unavailable(error) => error.into(),
        }
    }
}

/// What a ledger gives, at once or later.
pub type Granted<L> =
    Soon<Result<<L as Ledger>::Hold, Denied<<L as Ledger>::Error>>, <L as Ledger>::Future>;

/// Keeps the accounts of budgets.
pub trait Ledger {
    /// A reservation; it books the true cost, or nothing if it is dropped.
    type Hold: Hold<Unit = Usd>;
    /// Why the ledger cannot answer.
    type Error: Into<BoxError>;
    /// A reservation that takes time.
    type Future: Future<Output = Result<Self::Hold, Denied<Self::Error>>>;

    /// Reserves in every budget, or in none.
    fn reserve(&self, reserve: &Reserve) -> Granted<Self>;
}

/// Says what a request may cost; closures `Fn(&Req) -> Option<Charge<M>>` do. `None` is free.
pub trait Charges<Req> {
    /// Who will say what the request did cost.
    type Measure: Measure<Usd>;

    /// The charge of `request`.
    fn charge(&self, request: &Req) -> Option<Charge<Self::Measure>>;
}

impl<Req, M: Measure<Usd>, F: Fn(&Req) -> Option<Charge<M>>> Charges<Req> for F {
    type Measure = M;

    fn charge(&self, request: &Req) -> Option<Charge<M>> {
        self(request)
    }
}

/// Charges requests to budgets.
#[derive(Debug, Clone)]
pub struct BudgetLayer<L, C> {
    ledger: L,
    charges: C,
}

impl<L: Ledger, C> BudgetLayer<L, C> {
    /// Reserves in `ledger` what `charges` prices each request at.
    pub fn new<Req>(ledger: L, charges: C) -> Self
    where
        C: Charges<Req>,
    {
        Self { ledger, charges }
    }
}

impl<S, L: Clone, C: Clone> Layer<S> for BudgetLayer<L, C> {
    type Service = Budgeted<S, L, C>;

    fn layer(&self, inner: S) -> Self::Service {
        Budgeted {
            inner,
            ledger: self.ledger.clone(),
            charges: self.charges.clone(),
        }
    }
}

/// The service of [`BudgetLayer`].
#[derive(Debug, Clone)]
pub struct Budgeted<S, L, C> {
    inner: S,
    ledger: L,
    charges: C,
}

impl<S, L, C, Req, B> Service<Req> for Budgeted<S, L, C>
where
    S: Service<Req, Response = http::Response<B>> + Clone,
    S::Error: Into<BoxError>,
    B: Body,
    L: Ledger,
    C: Charges<Req>,
{
    type Response = http::Response<HeldBody<B, L::Hold, C::Measure>>;
    type Error = BoxError;
    type Future = ResponseFuture<S, Req, L::Future, L::Hold, C::Measure>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, request: Req) -> Self::Future {
        let charge = self.charges.charge(&request);
        let taken = charge.map(|charge| (self.ledger.reserve(&charge.reserve), charge.measure));
        hold::call(&mut self.inner, request, taken)
    }
}

#[cfg(test)]
mod tests;
