//! What a caller is told when nobody can be asked.

use std::time::Duration;

use pointsman_routes::table::Target;

use super::board::Board;
use super::facts::Facts;
use super::filter::Exclusion;
use super::moment::Moment;
use super::record::Entry;
use super::state::{Health, REQUESTS, TOKENS};
use crate::error::{Failure, NoDeployment};

/// The failure of a decision without a choice: by the reason that most deployments share of those
/// nearest to being asked.
pub fn unavailable(
    board: &Board,
    target: Target,
    entry: &Entry,
    facts: &Facts<'_>,
    now: Moment,
) -> Failure {
    let row = board.row(target);
    let excluded = || row.seats.iter().zip(&entry.sheet.exclusions);
    let all = |test: fn(&Exclusion) -> bool| {
        excluded().all(|(_, exclusion)| exclusion.as_ref().is_some_and(test))
    };
    let why = if row.seats.is_empty() {
        NoDeployment::Empty
    } else if all(|one| matches!(one, Exclusion::Unserved)) {
        let mut providers: Vec<_> = row
            .seats
            .iter()
            .map(|seat| &*board.labels(seat.deployment).provider)
            .collect();
        providers.sort_unstable();
        providers.dedup();
        NoDeployment::Unserved {
            providers: providers.join(", "),
        }
    } else if all(|one| matches!(one, Exclusion::Unserved | Exclusion::Route)) {
        NoDeployment::Route
    } else if excluded().any(|(_, one)| one.is_some_and(passes)) {
        NoDeployment::Busy {
            wait: wait(board, target, entry, facts, now),
            cooling: cooling(board, target, entry),
            checks: board.options.checks,
            full: excluded().any(|(_, one)| matches!(one, Some(Exclusion::Parallel(_)))),
        }
    } else if excluded().any(|(_, one)| matches!(one, Some(Exclusion::Window(_)))) {
        let largest = excluded().filter_map(|(seat, _)| seat.window).max();
        NoDeployment::Window {
            tokens: facts.prompt.tokens,
            largest: largest.unwrap_or(0),
        }
    } else if excluded().any(|(_, one)| matches!(one, Some(Exclusion::Tags))) {
        NoDeployment::Tags
    } else {
        let mut words: Vec<_> = excluded()
            .filter_map(|(_, one)| one.map(Exclusion::word))
            .collect();
        words.sort_unstable();
        words.dedup();
        NoDeployment::Unfit { why: words }
    };
    Failure::NoDeployment {
        group: row.name.to_string(),
        why,
    }
}

/// Whether it is otherwise after a time.
fn passes(exclusion: Exclusion) -> bool {
    matches!(
        exclusion,
        Exclusion::Cooling(_)
            | Exclusion::Probing
            | Exclusion::Unhealthy
            | Exclusion::Budget(_)
            | Exclusion::Requests(_)
            | Exclusion::Tokens(_)
            | Exclusion::Parallel(_)
            | Exclusion::Tried
    )
}

/// Who rests.
fn cooling(board: &Board, target: Target, entry: &Entry) -> Vec<String> {
    let row = board.row(target);
    row.seats
        .iter()
        .zip(&entry.seen)
        .filter(|(_, seen)| matches!(seen.health, Health::Cooling(_)))
        .map(|(seat, _)| board.labels(seat.deployment).id.to_string())
        .collect()
}

/// When the first of them can be asked.
fn wait(
    board: &Board,
    target: Target,
    entry: &Entry,
    facts: &Facts<'_>,
    now: Moment,
) -> Option<Duration> {
    let row = board.row(target);
    let each = row
        .seats
        .iter()
        .zip(&entry.sheet.exclusions)
        .zip(&entry.seen);
    let times = each.filter_map(|((seat, exclusion), seen)| {
        let quota = board.stats(seat.deployment).quota();
        match exclusion.as_ref()? {
            Exclusion::Cooling(until) | Exclusion::Budget(until) => Some(*until),
            Exclusion::Requests(limit) => quota.room_at(REQUESTS, 1, *limit, now),
            Exclusion::Tokens(limit) => {
                quota.room_at(TOKENS, facts.reserve(seen.answer), *limit, now)
            }
            Exclusion::Parallel(_) | Exclusion::Probing => Some(now),
            _ => None,
        }
    });
    times.min().map(|at| at.since(now))
}
