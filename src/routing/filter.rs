//! Who cannot be asked, and why.

use pointsman_routes::table::{Capabilities, Strategy};

use super::board::{Board, Gate, Labels, Row, Seat};
use super::facts::Facts;
use super::moment::Moment;
use super::state::{Health, Seen};

/// Why a deployment is left out of a decision.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exclusion {
    /// This build does not speak its protocol.
    Unserved,
    /// It does another kind of work.
    Route,
    /// It belongs to another team.
    Team,
    /// It stands where the request may not go.
    Region,
    /// The request's tags are not its own.
    Tags,
    /// It lacks these.
    Capabilities(Capabilities),
    /// It lacks a capability word that was asked for.
    Words,
    /// The prompt is longer than its window, in tokens.
    Window(u64),
    /// It rests until then.
    Cooling(Moment),
    /// It has rested, and another request is trying it.
    Probing,
    /// A health check found it down.
    Unhealthy,
    /// No request of the minute is left, of so many.
    Requests(u64),
    /// Not enough tokens of the minute are left, of so many.
    Tokens(u64),
    /// As many requests as it may have are under way.
    Parallel(u32),
    /// It was tried for this request.
    Tried,
    /// A conditional rule prefers others.
    Rule,
    /// Its money, or its provider's, is spent until then.
    Budget(Moment),
    /// A lower `order` has somebody left.
    Order(u32),
}

impl Exclusion {
    /// The word of logs and records.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Unserved => "unserved_protocol",
            Self::Route => "other_kind_of_work",
            Self::Team => "other_team",
            Self::Region => "region",
            Self::Tags => "tags",
            Self::Capabilities(_) => "capabilities",
            Self::Words => "capability_words",
            Self::Window(_) => "context_window",
            Self::Cooling(_) => "cooldown",
            Self::Probing => "probing",
            Self::Unhealthy => "unhealthy",
            Self::Requests(_) => "rpm",
            Self::Tokens(_) => "tpm",
            Self::Parallel(_) => "max_parallel_requests",
            Self::Tried => "tried",
            Self::Rule => "rule",
            Self::Budget(_) => "budget",
            Self::Order(_) => "order",
        }
    }
}

/// What of the table a decision looks at beside the row: nothing that changes.
#[derive(Clone, Copy, Debug)]
pub struct Checks<'a> {
    board: &'a Board,
    row: &'a Row,
    facts: &'a Facts<'a>,
    /// Whether rpm and tpm are kept.
    limits: bool,
    tags: Wanted,
    /// Whether any of the rare rules can exclude anybody.
    rare: bool,
    first: First,
}

/// The facts of the first look.
#[derive(Clone, Copy, Debug)]
struct First {
    /// Whether the first look is enough for those who pass it.
    enough: bool,
    /// Whether what the table says lets the request go to anybody.
    any: bool,
    route: u32,
    needs: Capabilities,
    most: u64,
    /// Tokens of the prompt, and of the answer where the request says.
    tokens: u64,
    /// Whether the deployment's own guess of the answer counts.
    guess: bool,
}

/// Which tags are wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wanted {
    /// Any.
    Any,
    /// Those of the request.
    Own,
    /// `default`.
    Default,
}

impl<'a> Checks<'a> {
    /// Prepares the checks of one decision.
    pub fn new(board: &'a Board, row: &'a Row, facts: &'a Facts<'a>) -> Self {
        let options = &board.options;
        let by_strategy = matches!(
            row.strategy,
            Strategy::Usage | Strategy::Latency | Strategy::Cost
        );
        let mut checks = Self {
            board,
            row,
            facts,
            limits: by_strategy || options.checks || options.enforce_limits,
            tags: Wanted::Any,
            rare: facts.region.is_some() || !facts.words.is_empty() || row.teams,
            first: First {
                enough: false,
                any: false,
                route: Gate::bit(facts.route),
                needs: if options.checks {
                    facts.needs
                } else {
                    Capabilities::NONE
                },
                most: if options.checks { facts.prompt.most } else { 0 },
                tokens: facts.reserve(0),
                guess: facts.reserve(1) > facts.reserve(0),
            },
        };
        if options.tags && !row.direct {
            checks.tags = checks.wanted();
            checks.rare |= checks.tags != Wanted::Any;
        }
        let first = &mut checks.first;
        first.enough = !checks.rare && !row.direct && facts.is_first_choice();
        first.any = first.suits(&row.narrowest);
        checks
    }

    fn wanted(&self) -> Wanted {
        let any = |test: &dyn Fn(&Labels) -> bool| {
            let mut seats = self.row.seats.iter();
            seats.any(|seat| test(self.board.labels(seat.deployment)))
        };
        let has_default = || any(&|labels: &Labels| has_tag(labels, "default"));
        if any(&|labels: &Labels| self.matches(labels)) {
            return Wanted::Own;
        }
        if has_default() {
            return Wanted::Default;
        }
        if self.facts.tags.is_empty() {
            Wanted::Any
        } else {
            Wanted::Own
        }
    }

    /// Whether a deployment's tags are those of the request.
    fn matches(&self, labels: &Labels) -> bool {
        let wanted = self.facts.tags;
        let by_tag = !wanted.is_empty()
            && !labels.tags.is_empty()
            && if self.board.options.match_any {
                wanted.iter().any(|tag| has_tag(labels, tag))
            } else {
                wanted.iter().all(|tag| has_tag(labels, tag))
            };
        by_tag
            || self
                .facts
                .user_agent
                .is_some_and(|agent| labels.agents.iter().any(|pattern| pattern.is_match(agent)))
    }

    /// A first look that costs little: whether nothing stands in a deployment's way. If it is not
    /// passed, `exclusion` knows why, or that nothing does.
    #[inline]
    #[expect(
        clippy::needless_bitwise_bool,
        reason = "all of it is looked at, so that there is one jump and not six"
    )]
    pub fn passes(&self, gate: &Gate, seen: &Seen) -> bool {
        let first = &self.first;
        if !first.enough || !(first.any || first.suits(gate)) {
            return false;
        }
        let well = matches!(seen.health, Health::Up | Health::HalfOpen)
            & (seen.broke.0 == 0)
            & (seen.in_flight < gate.parallel);
        if !self.limits {
            return well;
        }
        let guess = if first.guess { seen.answer } else { 0 };
        let tokens = seen
            .tokens
            .saturating_add(first.tokens)
            .saturating_add(guess.into());
        well & (u64::from(seen.requests) < gate.rpm) & (tokens <= gate.tpm)
    }

    /// Notes why this deployment is left out; whether it is.
    #[inline(never)]
    pub fn excludes(&self, seat: &Seat, seen: &Seen, note: &mut Option<Exclusion>) -> bool {
        *note = self.exclusion(seat, seen);
        note.is_some()
    }

    /// Why this deployment is left out, if it is; the first reason of several. Of those that have a
    /// time to wait for, the one that lasts comes last, so that it is told only if nothing else
    /// stands in the way.
    #[inline(always)]
    #[expect(
        clippy::inline_always,
        reason = "so that it is written where it is kept, which halves its cost"
    )]
    fn exclusion(&self, seat: &Seat, seen: &Seen) -> Option<Exclusion> {
        if !seat.served {
            return Some(Exclusion::Unserved);
        }
        if !seat.serves(self.facts.route) {
            return Some(Exclusion::Route);
        }
        if self.rare
            && let Some(rare) = self.rare(self.board.labels(seat.deployment))
        {
            return Some(rare);
        }
        let facts = self.facts;
        if self.board.options.checks {
            if let Some(has) = seat.capabilities {
                let lacking = facts.needs.without(has);
                if lacking != Capabilities::NONE {
                    return Some(Exclusion::Capabilities(lacking));
                }
            }
            if let Some(window) = seat.window
                && facts.prompt.exceeds(window, seat.vocabulary)
            {
                return Some(Exclusion::Window(window));
            }
        }
        if !facts.tried.is_empty() && facts.tried.contains(&seat.deployment) {
            return Some(Exclusion::Tried);
        }
        if !facts.preferred.is_empty() && !facts.preferred.contains(&seat.deployment) {
            return Some(Exclusion::Rule);
        }
        self.now(seat, seen)
    }

    /// What may be otherwise in a moment.
    #[inline]
    fn now(&self, seat: &Seat, seen: &Seen) -> Option<Exclusion> {
        // A deployment that is called by its id is asked even while it rests.
        match seen.health {
            Health::Up | Health::HalfOpen => {}
            _ if self.row.direct => {}
            Health::Cooling(until) => return Some(Exclusion::Cooling(until)),
            Health::Probing => return Some(Exclusion::Probing),
            Health::Unhealthy if self.facts.unhealthy => {}
            Health::Unhealthy => return Some(Exclusion::Unhealthy),
        }
        if seen.broke.0 != 0 {
            return Some(Exclusion::Budget(seen.broke));
        }
        if let Some(most) = seat.parallel
            && seen.in_flight >= most
        {
            return Some(Exclusion::Parallel(most));
        }
        if self.limits {
            if let Some(rpm) = seat.rpm
                && u64::from(seen.requests) >= rpm
            {
                return Some(Exclusion::Requests(rpm));
            }
            if let Some(tpm) = seat.tpm
                && seen.tokens.saturating_add(self.facts.reserve(seen.answer)) > tpm
            {
                return Some(Exclusion::Tokens(tpm));
            }
        }
        None
    }

    /// Whether rpm and tpm are kept.
    pub fn keeps_limits(&self) -> bool {
        self.limits
    }

    fn rare(&self, labels: &Labels) -> Option<Exclusion> {
        let facts = self.facts;
        if labels.team.is_some() && labels.team.as_deref() != facts.team {
            return Some(Exclusion::Team);
        }
        if let Some(wanted) = facts.region
            && !labels
                .region
                .as_deref()
                .is_some_and(|region| in_region(region, wanted))
        {
            return Some(Exclusion::Region);
        }
        let tagged = match self.tags {
            Wanted::Any => true,
            Wanted::Own => self.matches(labels),
            Wanted::Default => has_tag(labels, "default"),
        };
        if !tagged {
            return Some(Exclusion::Tags);
        }
        let has_words = facts
            .words
            .iter()
            .all(|word| labels.words.iter().any(|known| &**known == *word));
        (!has_words).then_some(Exclusion::Words)
    }
}

impl First {
    /// Whether what the table says of a deployment lets the request go there.
    #[inline]
    #[expect(clippy::needless_bitwise_bool, reason = "one jump is enough")]
    fn suits(&self, gate: &Gate) -> bool {
        (gate.routes & self.route != 0)
            & (gate.lacks.0 & self.needs.0 == 0)
            & (self.most <= gate.window)
    }
}

fn has_tag(labels: &Labels, wanted: &str) -> bool {
    labels.tags.iter().any(|tag| &**tag == wanted)
}

/// Whether a region is the wanted one, or within it: `eu` is any of the EU.
fn in_region(region: &str, wanted: &str) -> bool {
    /// Azure's and Google's names of places in the EU that do not say so.
    const EU: [&str; 14] = [
        "europe",
        "westeurope",
        "northeurope",
        "swedencentral",
        "francecentral",
        "francesouth",
        "germanywestcentral",
        "germanynorth",
        "polandcentral",
        "italynorth",
        "spaincentral",
        "austriaeast",
        "belgiumcentral",
        "denmarkeast",
    ];
    /// In Europe, but not in the EU.
    const OUTSIDE: [&str; 4] = ["eu-west-2", "eu-central-2", "europe-west2", "europe-west6"];
    if region.eq_ignore_ascii_case(wanted) {
        return true;
    }
    let region = region.to_ascii_lowercase();
    let below = |prefix: &str| {
        let rest = region.strip_prefix(prefix);
        rest.is_some_and(|rest| rest.starts_with('-'))
    };
    if wanted.eq_ignore_ascii_case("eu") {
        return !OUTSIDE.contains(&&*region)
            && (below("eu") || below("europe") || EU.contains(&&*region));
    }
    below(&wanted.to_ascii_lowercase())
}
