//! The decision: who is asked.
//!
//! [`decide`] is a pure function of the table, the state of the deployments at a moment, a random draw
//! and the facts of the request. The same arguments give the same [`Decision`], so a decision
//! that was kept can be made again.

use pointsman_routes::table::{DeploymentId, Target};

use super::board::{Board, Gate, Row};
use super::facts::Facts;
use super::filter::{Checks, Exclusion};
use super::moment::Draw;
use super::state::Seen;
use super::strategy::{self, Candidates, Columns};

/// What a decision wrote down: for each position of the row why it was left out, or its score. Used
/// again and again, so that a decision allocates nothing.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Sheet {
    /// Why each was left out; `None` could have been asked.
    pub exclusions: Vec<Option<Exclusion>>,
    /// The strategy's score of each that could be asked, lower is better; what it means is told at
    /// the strategy.
    pub scores: Vec<f32>,
    /// The positions of those that could be asked.
    pub eligible: Vec<u16>,
    /// The position of the one that is.
    pub chosen: Option<u16>,
}

/// A decision and how it came about.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Decision<'a> {
    /// Who is asked; `None` if nobody can be.
    pub choice: Option<DeploymentId>,
    /// Its position in the row.
    pub at: Option<u16>,
    /// What was looked at.
    pub record: &'a Sheet,
}

/// Decides who of `target` is asked. `seen` is the state of the row's deployments, as
/// [`Board::look`] copied it at some moment; the time is in it.
///
/// Deployments that a rule prefers are asked as long as one of them can be. Those whom a health check
/// found down are asked when nobody else is left, and then, if `facts.again` is set, those that were
/// tried for this request. Of those that could be asked only the ones of the lowest `order`
/// are looked at by the strategy.
pub fn decide<'s>(
    board: &Board,
    target: Target,
    seen: &[Seen],
    draw: Draw,
    facts: &Facts<'_>,
    sheet: &'s mut Sheet,
) -> Decision<'s> {
    let row = board.row(target);
    if !sheet.sift(board, row, seen, facts) {
        sheet.widen(board, row, seen, *facts);
    }
    let mut candidates = Candidates {
        eligible: &sheet.eligible,
        row: Columns {
            seats: &row.seats,
            gates: &row.gates,
            marks: &row.marks,
            seen,
        },
        scores: &mut sheet.scores,
    };
    sheet.chosen = strategy::choose(board, row, &mut candidates, facts, draw);
    Decision {
        choice: sheet.chosen.map(|at| row.seats[usize::from(at)].deployment),
        at: sheet.chosen,
        record: sheet,
    }
}

impl Sheet {
    /// Nobody could be asked by the facts as they are: lets go of what they would rather have, one
    /// wish after the other, until there is somebody.
    fn widen(&mut self, board: &Board, row: &Row, seen: &[Seen], mut facts: Facts<'_>) {
        if !facts.preferred.is_empty() {
            facts.preferred = &[];
            if self.sift(board, row, seen, &facts) {
                return;
            }
        }
        if self.exclusions.contains(&Some(Exclusion::Unhealthy)) {
            facts.unhealthy = true;
            if self.sift(board, row, seen, &facts) {
                return;
            }
        }
        if facts.again && !facts.tried.is_empty() {
            facts.unhealthy = true;
            facts.tried = &[];
            self.sift(board, row, seen, &facts);
        }
    }

    /// Notes who can be asked and who cannot; whether there is anybody.
    fn sift(&mut self, board: &Board, row: &Row, seen: &[Seen], facts: &Facts<'_>) -> bool {
        let Self {
            exclusions,
            scores,
            eligible,
            chosen,
        } = self;
        let count = row.seats.len();
        scores.clear();
        scores.resize(count, 0.0);
        exclusions.clear();
        exclusions.resize(count, None);
        // Room for all, so that none is made for each.
        eligible.resize(count, 0);
        *chosen = None;
        let checks = Checks::new(board, row, facts);
        let mut left = 0;
        let each = row.gates.iter().zip(seen).zip(exclusions.iter_mut());
        for (((gate, seen), excluded), at) in each.zip(0_u16..) {
            if !checks.passes(gate, seen)
                && checks.excludes(&row.seats[usize::from(at)], seen, excluded)
            {
                continue;
            }
            eligible[left] = at;
            left += 1;
        }
        eligible.truncate(left);
        if row.levels {
            keep_lowest(&row.gates, eligible, exclusions);
        }
        !eligible.is_empty()
    }
}

/// Leaves only those of the lowest `order`.
fn keep_lowest(gates: &[Gate], eligible: &mut Vec<u16>, exclusions: &mut [Option<Exclusion>]) {
    let order = |at: u16| gates[usize::from(at)].order;
    let Some(lowest) = eligible.iter().map(|at| order(*at)).min() else {
        return;
    };
    eligible.retain(|at| {
        let stays = order(*at) == lowest;
        if !stays {
            exclusions[usize::from(*at)] = Some(Exclusion::Order(lowest));
        }
        stays
    });
}
