//! Strategies, as pure functions of the candidates.

use pointsman_routes::table::DeploymentId;

/// A deployment that could be asked.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Candidate {
    /// Which.
    pub deployment: DeploymentId,
    /// `weight`.
    pub weight: Option<f64>,
    /// `rpm`.
    pub rpm: Option<u64>,
    /// `tpm`.
    pub tpm: Option<u64>,
}

/// LiteLLM's `simple-shuffle`: at random, weighted by `weight` if the first candidate has one, else
/// by its `rpm`, else by its `tpm`, else evenly. A candidate without the chosen figure counts as
/// zero. If all count as zero, the choice is even.
///
/// `draw` is from 0 up to but not including 1. `None` only if there is no candidate.
pub fn simple_shuffle(
    candidates: impl Iterator<Item = Candidate> + Clone,
    draw: f64,
) -> Option<DeploymentId> {
    let first = candidates.clone().next()?;
    let weight = |candidate: &Candidate| {
        if first.weight.is_some() {
            candidate.weight.unwrap_or(0.0)
        } else if first.rpm.is_some() {
            as_weight(candidate.rpm)
        } else {
            as_weight(candidate.tpm)
        }
    };
    let total: f64 = candidates.clone().map(|candidate| weight(&candidate)).sum();
    let even = total <= 0.0 || !total.is_finite();
    let weight = |candidate: &Candidate| if even { 1.0 } else { weight(candidate) };
    let total: f64 = candidates.clone().map(|candidate| weight(&candidate)).sum();
    let mut rest = draw * total;
    let mut last = None;
    for candidate in candidates {
        let weight = weight(&candidate);
        if weight > 0.0 {
            last = Some(candidate.deployment);
            if rest < weight {
                break;
            }
            rest -= weight;
        }
    }
    last
}

#[expect(
    clippy::cast_precision_loss,
    reason = "a share of traffic needs no 53 bits"
)]
fn as_weight(limit: Option<u64>) -> f64 {
    limit.unwrap_or(0) as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn candidate(id: u16) -> Candidate {
        Candidate {
            deployment: DeploymentId(id),
            weight: None,
            rpm: None,
            tpm: None,
        }
    }

    fn shares(candidates: &[Candidate]) -> Vec<u32> {
        let mut counts = vec![0; candidates.len()];
        for draw in 0..1000 {
            let chosen = simple_shuffle(candidates.iter().copied(), f64::from(draw) / 1000.0);
            counts[usize::from(chosen.unwrap().0)] += 1;
        }
        counts
    }

    #[test]
    fn traffic_follows_the_weights() {
        let mut two = [candidate(0), candidate(1)];
        assert_eq!(shares(&two), [500, 500]);
        two[0].tpm = Some(300);
        two[1].tpm = Some(100);
        assert_eq!(shares(&two), [750, 250]);
        two[0].rpm = Some(1);
        two[1].rpm = Some(4);
        assert_eq!(shares(&two), [200, 800]);
        two[0].weight = Some(0.7);
        two[1].weight = Some(0.3);
        assert_eq!(shares(&two), [700, 300]);
        two[1].weight = None;
        assert_eq!(shares(&two), [1000, 0]);
        two[0].weight = Some(0.0);
        assert_eq!(shares(&two), [500, 500]);
    }

    #[test]
    fn nobody_is_chosen_from_nobody() {
        assert_eq!(simple_shuffle(std::iter::empty(), 0.5), None);
    }

    proptest! {
        #[test]
        fn somebody_is_chosen_and_never_one_without_weight(
            weights in proptest::collection::vec(proptest::option::of(0.0..10.0f64), 1..8),
            draw in 0.0..1.0f64,
        ) {
            let candidates: Vec<_> = weights
                .iter()
                .zip(0..)
                .map(|(weight, id)| Candidate { weight: *weight, ..candidate(id) })
                .collect();
            let chosen = simple_shuffle(candidates.iter().copied(), draw).unwrap();
            let total: f64 = weights.iter().flatten().sum();
            if weights[0].is_some() && total > 0.0 {
                prop_assert!(weights[usize::from(chosen.0)].is_some_and(|weight| weight > 0.0));
            }
        }
    }
}
