//! Decisions as administrators read them: who could be asked, what excluded each, the scores, the
//! draw, the choice, and where the request would go if that failed. No prompt and no key is in it.

use std::fmt;

use pointsman_routes::table::{Routes, Strategy, Target};
use serde::Serialize;

use super::asked::Asked;
use super::board::{Board, Row};
use super::decide::decide;
use super::filter::Exclusion;
use super::moment::{Draw, Moment};
use super::record::Entry;
use super::shape::Shape;
use super::state::{Health, Seen};
use super::{Ask, Router};
use crate::call::{Field, Route, peek};
use crate::error::{Failure, RequestFault};
use crate::live::Live;

/// A decision, told.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Explanation {
    /// `x-litellm-call-id`, of a decision that was made for a call.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub call_id: Option<String>,
    /// Its number, of a decision that was made for a call.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub number: Option<u64>,
    /// The table's number.
    pub generation: u64,
    /// The group, or the deployment that was called by its id.
    pub group: String,
    /// How it is chosen.
    pub strategy: &'static str,
    /// The random draw.
    pub draw: u64,
    /// What was known of the request.
    pub request: Request,
    /// Every deployment of the group, in the order of the file.
    pub candidates: Vec<Considered>,
    /// The id of the chosen one.
    pub choice: Option<String>,
    /// Where the request would go if every attempt failed, in order.
    pub chain: Chain,
    /// How the attempt ended, once it has.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ended: Option<Ending>,
}

/// What was known of the request.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[expect(missing_docs, reason = "each is the fact of the same name")]
pub struct Request {
    pub stream: bool,
    pub prompt_tokens: u64,
    pub max_tokens: Option<u64>,
    pub needs: Vec<&'static str>,
    pub tags: usize,
    pub regional: bool,
    pub tried: Vec<String>,
}

/// One deployment in a decision.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Considered {
    /// `model_info.id`.
    pub id: String,
    /// The model as its provider knows it.
    pub model: String,
    /// Why it was left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub excluded: Option<Left>,
    /// The strategy's score, lower is better.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub score: Option<f32>,
    /// Whether it was chosen.
    pub chosen: bool,
    /// Its state.
    pub state: State,
}

/// Why a deployment was left out.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Left {
    /// In one word.
    pub reason: &'static str,
    /// The limit, or what is lacking.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

/// What was known of a deployment.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct State {
    /// `up`, `cooling`, `half_open`, `probing` or `unhealthy`.
    pub health: &'static str,
    /// Requests under way.
    pub in_flight: u32,
    /// Requests of the minute.
    pub requests: u64,
    /// Tokens of the minute.
    pub tokens: u64,
    /// Seconds by the strategy's measure.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub latency: Option<f32>,
    /// Share of failures.
    pub errors: f32,
}

/// Where a request goes when a group fails.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Chain {
    /// After any failure.
    pub fallbacks: Vec<String>,
    /// After a prompt that was too long.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub context_window: Vec<String>,
    /// After a refusal by content policy.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub content_policy: Vec<String>,
}

/// How an attempt ended.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Ending {
    /// `complete`, `dropped`, or the class of its failure.
    pub outcome: &'static str,
    /// Why the deployment rests since.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cooldown: Option<&'static str>,
    /// For how many seconds from the decision on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<f64>,
}

impl Router {
    /// Decides for a call as it would be decided now, with this draw or a new one. Books nothing
    /// and is not kept.
    pub fn explain(
        &self,
        live: &Live,
        shape: &Shape<'_>,
        ask: &Ask,
        draw: Option<Draw>,
    ) -> Explanation {
        let board = self.board(live);
        let row = board.row(ask.target);
        let now = self.clock().now();
        let draw = draw.unwrap_or_else(|| self.0.draws.next());
        let mut entry = Entry::default();
        entry.begin(&[], board.generation, ask.target);
        Asked::read(shape, &board, row).with_facts(shape, &ask.tried, ask.again, |facts| {
            entry.note(facts, now, draw);
            board.look(row, facts.stream, now, &mut entry.seen);
            decide(
                &board,
                ask.target,
                &entry.seen,
                draw,
                facts,
                &mut entry.sheet,
            );
        });
        Explanation::new(&board, live.routes(), &entry)
    }

    /// Decides for a request's body as it would be decided now. What it asks for is seen by its
    /// members.
    pub fn explain_body(&self, live: &Live, body: &[u8]) -> Result<Explanation, Failure> {
        let refused = |what: String| Failure::Request(RequestFault::Json(what));
        let peek = peek::peek(body).map_err(|refusal| refused(refusal.to_string()))?;
        let route = Route::ALL
            .into_iter()
            .find(|route| Field::required_by(*route).is_some_and(|field| peek.get(field).is_some()))
            .ok_or_else(|| missing("messages"))?;
        let asked = peek
            .text(body, Field::Model)
            .ok_or_else(|| missing("model"))?;
        let shape = Shape {
            route,
            body,
            peek: &peek,
            hints: None,
            who: None,
        };
        let Some(found) = live.table().resolve(&asked) else {
            let nearest = live.table().nearest(&asked, 3).into_iter();
            return Err(Failure::Request(RequestFault::UnknownModel {
                asked: asked.chars().take(200).collect(),
                nearest: nearest.map(str::to_owned).collect(),
            }));
        };
        Ok(self.explain(live, &shape, &Ask::first(found.target), None))
    }

    /// The decisions of a call that are still kept, as far as their tables are.
    pub fn explain_kept(&self, live: &Live, call: &[u8]) -> Vec<Explanation> {
        let boards = self.0.boards.load();
        let entries = self.decisions().of_call(call).into_iter();
        let told = entries.filter_map(|entry| {
            let board = boards
                .iter()
                .find(|board| board.generation == entry.generation)?;
            let routes = (board.generation == live.generation()).then(|| live.routes());
            let none = Routes::EMPTY;
            Some(Explanation::new(board, routes.unwrap_or(&none), &entry))
        });
        told.collect()
    }
}

impl Explanation {
    /// Tells a decision. Where `routes` are not those of the decision, its chain stays empty.
    pub fn new(board: &Board, routes: &Routes, entry: &Entry) -> Self {
        let row = board.row(entry.target);
        let id = |at: u16| {
            board
                .labels(row.seats[usize::from(at)].deployment)
                .id
                .to_string()
        };
        let kept = entry.number > 0;
        let facts = &entry.facts;
        let tried = facts.tried.iter();
        Self {
            call_id: kept.then(|| String::from_utf8_lossy(&entry.call).into_owned()),
            number: kept.then_some(entry.number),
            generation: entry.generation,
            group: row.name.to_string(),
            strategy: strategy(&row.strategy),
            draw: entry.draw.0,
            request: Request {
                stream: facts.stream,
                prompt_tokens: facts.prompt.tokens,
                max_tokens: facts.max_output,
                needs: facts.needs.words().collect(),
                tags: facts.tags,
                regional: facts.regional,
                tried: tried.map(|one| board.labels(*one).id.to_string()).collect(),
            },
            candidates: considered(board, row, entry),
            choice: entry.sheet.chosen.map(id),
            chain: chain(routes, entry.target),
            ended: ending(entry),
        }
    }
}

fn considered(board: &Board, row: &Row, entry: &Entry) -> Vec<Considered> {
    let sheet = &entry.sheet;
    let each = row.seats.iter().zip(&sheet.exclusions).zip(&sheet.scores);
    each.zip(&entry.seen)
        .zip(0_u16..)
        .map(|((((seat, exclusion), score), seen), at)| {
            let labels = board.labels(seat.deployment);
            Considered {
                id: labels.id.to_string(),
                model: labels.model.to_string(),
                excluded: exclusion.map(|exclusion| left(exclusion, entry.now)),
                score: exclusion.is_none().then_some(*score),
                chosen: sheet.chosen == Some(at),
                state: state(seen),
            }
        })
        .collect()
}

fn left(exclusion: Exclusion, now: Moment) -> Left {
    let detail = match exclusion {
        Exclusion::Capabilities(lacking) => Some(lacking.words().collect::<Vec<_>>().join(", ")),
        Exclusion::Window(limit) | Exclusion::Requests(limit) | Exclusion::Tokens(limit) => {
            Some(limit.to_string())
        }
        Exclusion::Parallel(limit) | Exclusion::Order(limit) => Some(limit.to_string()),
        Exclusion::Cooling(until) | Exclusion::Budget(until) if until != Moment(u64::MAX) => {
            Some(format!("{:.1} s left", until.since(now).as_secs_f64()))
        }
        Exclusion::Cooling(_)
        | Exclusion::Budget(_)
        | Exclusion::Unserved
        | Exclusion::Route
        | Exclusion::Team
        | Exclusion::Region
        | Exclusion::Tags
        | Exclusion::Words
        | Exclusion::Probing
        | Exclusion::Unhealthy
        | Exclusion::Rule
        | Exclusion::Tried => None,
    };
    Left {
        reason: exclusion.word(),
        detail,
    }
}

fn state(seen: &Seen) -> State {
    State {
        health: match seen.health {
            Health::Up => "up",
            Health::Cooling(_) => "cooling",
            Health::HalfOpen => "half_open",
            Health::Probing => "probing",
            Health::Unhealthy => "unhealthy",
        },
        in_flight: seen.in_flight,
        requests: seen.requests.into(),
        tokens: seen.tokens,
        latency: seen.latency(),
        errors: seen.errors,
    }
}

fn ending(entry: &Entry) -> Option<Ending> {
    let outcome = match entry.ended? {
        super::Ended::Complete(_) => "complete",
        super::Ended::Dropped => "dropped",
        super::Ended::Failed { class, .. } => class.word(),
    };
    Some(Ending {
        outcome,
        cooldown: entry.cooling.map(|cooling| cooling.why.word()),
        until: entry
            .cooling
            .map(|cooling| cooling.until.since(entry.now).as_secs_f64()),
    })
}

/// LiteLLM's word for a strategy, or our own.
fn strategy(strategy: &Strategy) -> &'static str {
    match strategy {
        Strategy::SimpleShuffle => "simple-shuffle",
        Strategy::LeastBusy => "least-busy",
        Strategy::Latency => "latency-based-routing",
        Strategy::Cost => "cost-based-routing",
        Strategy::Usage => "usage-based-routing-v2",
        Strategy::WeightedRoundRobin => "weighted_round_robin",
        Strategy::Capability => "capability-based",
        Strategy::PeakEwma => "peak-ewma",
        Strategy::Score { .. } => "score",
    }
}

/// The lists of a group, the last resorts behind the first, no name twice.
fn chain(routes: &Routes, target: Target) -> Chain {
    let group = match target {
        Target::Group(group) => routes.groups.get(usize::from(group.0)),
        Target::Deployment(_) => None,
    };
    let names = |targets: &[Target]| -> Vec<String> {
        let mut names: Vec<String> = Vec::new();
        for found in targets.iter().filter(|found| **found != target) {
            let name = match found {
                Target::Group(id) => routes.groups.get(usize::from(id.0)).map(|one| &one.name),
                Target::Deployment(id) => {
                    routes.deployments.get(usize::from(id.0)).map(|one| &one.id)
                }
            };
            let name = name.map(ToString::to_string);
            names.extend(name.filter(|name| !names.contains(name)));
        }
        names
    };
    let most = usize::try_from(routes.router.max_fallbacks).unwrap_or(usize::MAX);
    let own = group.map_or(&[][..], |group| &group.fallbacks);
    let mut fallbacks = names(&[own, &routes.router.default_fallbacks].concat());
    fallbacks.truncate(most);
    Chain {
        fallbacks,
        context_window: group.map_or_else(Vec::new, |group| names(&group.context_window_fallbacks)),
        content_policy: group.map_or_else(Vec::new, |group| names(&group.content_policy_fallbacks)),
    }
}

fn missing(name: &'static str) -> Failure {
    Failure::Request(RequestFault::Missing {
        route: "/router/explain",
        name,
    })
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Request {
            stream,
            prompt_tokens,
            max_tokens,
            needs,
            ..
        } = &self.request;
        writeln!(f, "group      {} ({})", self.group, self.strategy)?;
        write!(f, "request    about {prompt_tokens} tokens")?;
        if let Some(most) = max_tokens {
            write!(f, ", at most {most} back")?;
        }
        if *stream {
            f.write_str(", as a stream")?;
        }
        if !needs.is_empty() {
            write!(f, ", needs {}", needs.join(", "))?;
        }
        writeln!(f, "\ndraw       {}", self.draw)?;
        let width = self
            .candidates
            .iter()
            .map(|one| one.id.len())
            .max()
            .unwrap_or(0);
        for one in &self.candidates {
            let mark = if one.chosen { '>' } else { ' ' };
            write!(f, "{mark} {:width$}  {}", one.id, one.model)?;
            match (&one.excluded, one.score) {
                (Some(left), _) => {
                    write!(f, "  left out: {}", left.reason)?;
                    if let Some(detail) = &left.detail {
                        write!(f, " ({detail})")?;
                    }
                }
                (None, Some(score)) => write!(f, "  score {score}")?,
                (None, None) => {}
            }
            writeln!(f)?;
        }
        writeln!(
            f,
            "choice     {}",
            self.choice.as_deref().unwrap_or("nobody")
        )?;
        for (what, names) in [
            ("then", &self.chain.fallbacks),
            ("too long", &self.chain.context_window),
            ("policy", &self.chain.content_policy),
        ] {
            if !names.is_empty() {
                writeln!(f, "{what:9}  {}", names.join(" -> "))?;
            }
        }
        Ok(())
    }
}
