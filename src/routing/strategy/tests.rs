//! Each strategy by table and by property.

use pointsman_routes::table::Capabilities;
use proptest::prelude::*;

use crate::routing::board::Board;
use crate::routing::example::{GROUP, board, choose_seen, shares};
use crate::routing::facts::{Facts, Prompt};
use crate::routing::filter::Exclusion;
use crate::routing::moment::Moment;
use crate::routing::state::{Health, Seen};

const FACTS: Facts<'static> = Facts::PLAIN;

fn idle(count: usize) -> Vec<Seen> {
    vec![Seen::default(); count]
}

/// Whether a count out of `total` is that share, within five standard deviations.
fn holds(count: u64, total: u64, share: f64) -> bool {
    #[expect(clippy::cast_precision_loss, reason = "small counts")]
    let (count, total) = (count as f64, total as f64);
    let deviation = (total * share * (1.0 - share)).sqrt();
    (count - total * share).abs() <= 5.0 * deviation + 1e-9
}

fn by_latency(latencies: &[Option<f32>]) -> Vec<Seen> {
    latencies
        .iter()
        .map(|latency| Seen {
            latency: *latency,
            ..Seen::default()
        })
        .collect()
}

#[test]
fn simple_shuffle_follows_the_figure_of_the_first() {
    for (deployments, wanted) in [
        (&["", ""][..], &[0.5, 0.5][..]),
        (&["tpm: 300", "tpm: 100"], &[0.75, 0.25]),
        (&["rpm: 100, tpm: 9000", "rpm: 400, tpm: 1000"], &[0.2, 0.8]),
        (
            &["weight: 0.7, rpm: 10", "weight: 0.3, rpm: 90"],
            &[0.7, 0.3],
        ),
        (&["weight: 1", "rpm: 90"], &[1.0, 0.0]),
        (&["weight: 0", "weight: 0"], &[0.5, 0.5]),
        (&["weight: 5", "weight: 3", "weight: 2"], &[0.5, 0.3, 0.2]),
    ] {
        let board = board(deployments, "routing_strategy: simple-shuffle");
        let counts = shares(&board, &idle(deployments.len()), 20_000, &FACTS);
        for (count, share) in counts.iter().zip(wanted) {
            assert!(holds(*count, 20_000, *share), "{deployments:?}: {counts:?}");
        }
    }
}

#[test]
fn least_busy_takes_the_fewest_in_flight_and_parts_ties_evenly() {
    let board = board(&["", "", ""], "routing_strategy: least-busy");
    let mut seen = idle(3);
    seen[0].in_flight = 1;
    let counts = shares(&board, &seen, 20_000, &FACTS);
    assert_eq!(counts[0], 0);
    assert!(holds(counts[1], 20_000, 0.5), "{counts:?}");
}

#[test]
fn the_lowest_latency_wins() {
    let board = board(&["", "", ""], "routing_strategy: latency-based-routing");
    let seen = by_latency(&[Some(0.3), Some(0.1), Some(0.2)]);
    assert_eq!(shares(&board, &seen, 1_000, &FACTS), [0, 1_000, 0]);
}

#[test]
fn those_within_the_buffer_share_the_requests() {
    let router = "routing_strategy: latency-based-routing, routing_strategy_args: {lowest_latency_buffer: 0.5}";
    let board = board(&["", "", ""], router);
    let seen = by_latency(&[Some(0.10), Some(0.15), Some(0.16)]);
    let counts = shares(&board, &seen, 20_000, &FACTS);
    assert_eq!(counts[2], 0);
    assert!(holds(counts[0], 20_000, 0.5), "{counts:?}");
}

#[test]
fn a_cold_deployment_is_tried_but_not_overrun() {
    let board = board(&["", "", ""], "routing_strategy: latency-based-routing");
    let mut seen = by_latency(&[Some(0.1), Some(0.2), None]);
    let counts = shares(&board, &seen, 20_000, &FACTS);
    assert!(holds(counts[2], 20_000, 0.05), "{counts:?}");
    assert_eq!(counts[1], 0);
    seen[2].in_flight = 1;
    assert_eq!(shares(&board, &seen, 1_000, &FACTS), [1_000, 0, 0]);
}

#[test]
fn the_files_latency_counts_until_there_are_samples() {
    let config = "
model_list:
  - {model_name: g, litellm_params: {model: openai/a, api_key: os.environ/K}, metadata: {latency: 800}}
  - {model_name: g, litellm_params: {model: openai/b, api_key: os.environ/K}, metadata: {latency: 300}}
router_settings: {routing_strategy: latency-based-routing}
";
    let board = crate::routing::example::board_of(config);
    assert_eq!(
        board.row(GROUP).seats[1].prior,
        Some(0.3),
        "{:?}",
        board.row(GROUP).seats
    );
    let counts = shares(&board, &by_latency(&[None, None]), 2_000, &FACTS);
    assert!(counts[1] > 1_850, "{counts:?}");
    // 300 ms for 100 tokens are 3 ms each.
    let counts = shares(&board, &by_latency(&[Some(0.002), None]), 2_000, &FACTS);
    assert!(counts[0] > 1_850, "{counts:?}");
}

fn priced(prices: &[Option<(f64, f64)>], router: &str) -> Board {
    let parameters: Vec<String> = prices
        .iter()
        .map(|price| match price {
            Some((input, output)) => {
                format!("input_cost_per_token: {input:e}, output_cost_per_token: {output:e}")
            }
            None => String::new(),
        })
        .collect();
    let parameters: Vec<&str> = parameters.iter().map(String::as_str).collect();
    board(&parameters, router)
}

#[test]
fn the_cheapest_wins_and_an_unknown_price_is_the_highest() {
    let board = priced(
        &[Some((3e-6, 15e-6)), Some((1e-6, 2e-6)), None],
        "routing_strategy: cost-based-routing",
    );
    assert_eq!(shares(&board, &idle(3), 100, &FACTS), [0, 100, 0]);
    let mut seen = idle(3);
    seen[1].health = Health::Cooling(Moment(u64::MAX));
    assert_eq!(shares(&board, &seen, 100, &FACTS), [100, 0, 0]);
}

#[test]
fn a_request_below_the_cost_threshold_goes_to_the_cheapest() {
    let board = priced(
        &[Some((30e-6, 60e-6)), Some((1e-6, 2e-6))],
        "routing_strategy: least-busy, cost_threshold: 0.01",
    );
    let mut seen = idle(2);
    seen[1].in_flight = 9;
    let prompt = Prompt::at_most;
    let small = Facts {
        prompt: prompt(1_000),
        max_output: Some(100),
        ..FACTS
    };
    assert_eq!(shares(&board, &seen, 100, &small), [0, 100]);
    let large = Facts {
        prompt: prompt(20_000),
        ..small
    };
    assert_eq!(shares(&board, &seen, 100, &large), [100, 0]);
}

#[test]
fn a_prompt_above_the_context_threshold_goes_to_the_largest_window() {
    let config = "
model_list:
  - {model_name: g, litellm_params: {model: openai/a, api_key: os.environ/K}, model_info: {max_input_tokens: 200000}}
  - {model_name: g, litellm_params: {model: openai/b, api_key: os.environ/K}, model_info: {max_input_tokens: 1000000}}
router_settings: {routing_strategy: least-busy, context_threshold: 50000}
";
    let board = crate::routing::example::board_of(config);
    let mut seen = idle(2);
    seen[1].in_flight = 9;
    let of = |tokens| Facts {
        prompt: Prompt::at_most(tokens),
        ..FACTS
    };
    assert_eq!(shares(&board, &seen, 100, &of(50_001)), [0, 100]);
    assert_eq!(shares(&board, &seen, 100, &of(50_000)), [100, 0]);
}

#[test]
fn usage_is_ranked_by_tokens_or_by_share() {
    let deployments = ["tpm: 1000", "tpm: 100000"];
    let mut seen = idle(2);
    (seen[0].tokens, seen[1].tokens) = (500, 900);
    let absolute = board(&deployments, "routing_strategy: usage-based-routing-v2");
    assert_eq!(shares(&absolute, &seen, 100, &FACTS), [100, 0]);
    let ratio = board(
        &deployments,
        "routing_strategy: usage-based-routing, usage_rank: ratio",
    );
    assert_eq!(shares(&ratio, &seen, 100, &FACTS), [0, 100]);
}

/// Takes turns as the router does.
fn turns(board: &Board, count: usize, seen: &mut [Seen]) -> Vec<u16> {
    let row = board.row(GROUP);
    let mut taken = Vec::new();
    for _ in 0..count {
        let mut now = Vec::new();
        board.look(row, false, Moment(1), &mut now);
        for (now, seen) in now.iter().zip(seen.iter_mut()) {
            seen.turn = now.turn;
        }
        let chosen = choose_seen(board, seen, 0, &FACTS).chosen.unwrap();
        row.took_turn(chosen.into());
        taken.push(chosen);
    }
    taken
}

const ROUND: &str = "routing_strategy: weighted_round_robin";

#[test]
fn a_round_robin_is_smooth() {
    let of = |deployments: &[&str], count| {
        turns(
            &board(deployments, ROUND),
            count,
            &mut idle(deployments.len()),
        )
    };
    assert_eq!(of(&["", "", ""], 6), [0, 1, 2, 0, 1, 2]);
    assert_eq!(of(&["weight: 0.6", "weight: 0.4"], 5), [0, 1, 0, 1, 0]);
    assert_eq!(
        of(&["weight: 50", "weight: 30", "weight: 20"], 10),
        [0, 1, 2, 0, 0, 1, 0, 2, 1, 0]
    );
    assert_eq!(of(&["weight: 1", "weight: 0"], 4), [0, 0, 0, 0]);
}

#[test]
fn one_that_was_away_does_not_make_up_for_it() {
    let board = board(&["", ""], ROUND);
    let mut seen = idle(2);
    seen[0].health = Health::Cooling(Moment(u64::MAX));
    assert_eq!(turns(&board, 50, &mut seen), [1; 50]);
    seen[0].health = Health::Up;
    let after = turns(&board, 10, &mut seen);
    let own = after.iter().filter(|chosen| **chosen == 0).count();
    assert!((5..=6).contains(&own), "{after:?}");
}

#[test]
fn the_able_are_left_for_those_who_need_them() {
    let config = "
model_list:
  - {model_name: g, litellm_params: {model: openai/a, api_key: os.environ/K}, model_info: {supports_vision: true, supports_function_calling: true, mode: chat}}
  - {model_name: g, litellm_params: {model: openai/b, api_key: os.environ/K}, model_info: {supports_function_calling: true, mode: chat}}
router_settings: {routing_strategy: capability-based}
";
    let board = crate::routing::example::board_of(config);
    let needs = |needs| Facts { needs, ..FACTS };
    assert_eq!(
        shares(&board, &idle(2), 100, &needs(Capabilities::TOOLS)),
        [0, 100]
    );
    assert_eq!(
        shares(&board, &idle(2), 100, &needs(Capabilities::VISION)),
        [100, 0]
    );
}

#[test]
fn of_two_drawn_the_less_loaded_is_taken() {
    let board = board(&["", "", ""], "routing_strategy: peak-ewma");
    let mut seen = by_latency(&[Some(0.1), Some(0.1), Some(0.4)]);
    let counts = shares(&board, &seen, 30_000, &FACTS);
    // The slowest is never the better one of two.
    assert_eq!(counts[2], 0);
    assert!(holds(counts[0], 30_000, 0.5), "{counts:?}");
    (seen[0].in_flight, seen[1].in_flight) = (9, 9);
    let counts = shares(&board, &seen, 30_000, &FACTS);
    // It is, once the others have ten times the work.
    assert!(holds(counts[2], 30_000, 2.0 / 3.0), "{counts:?}");
}

#[test]
fn a_score_weighs_latency_price_and_errors() {
    let prices = [Some((4e-6, 4e-6)), Some((1e-6, 1e-6))];
    let of = |weights: &str| {
        priced(
            &prices,
            &format!("routing_strategy: score, score: {{{weights}}}"),
        )
    };
    let mut seen = by_latency(&[Some(0.1), Some(0.2)]);
    let latency = of("latency: 1, cost: 0, errors: 1");
    assert_eq!(shares(&latency, &seen, 100, &FACTS), [100, 0]);
    let cost = of("latency: 0, cost: 1, errors: 1");
    assert_eq!(shares(&cost, &seen, 100, &FACTS), [0, 100]);
    seen[0].errors = 0.2;
    assert_eq!(shares(&latency, &seen, 100, &FACTS), [0, 100]);
}

#[test]
fn a_lower_order_goes_first() {
    let board = board(
        &["order: 2", "order: 1", "order: 1"],
        "routing_strategy: least-busy",
    );
    let mut seen = idle(3);
    (seen[1].in_flight, seen[2].in_flight) = (50, 60);
    let sheet = choose_seen(&board, &seen, 3, &FACTS);
    assert_eq!(sheet.chosen, Some(1));
    assert_eq!(sheet.exclusions, [Some(Exclusion::Order(1)), None, None]);
    (seen[1].health, seen[2].health) = (Health::Probing, Health::Cooling(Moment(u64::MAX)));
    assert_eq!(choose_seen(&board, &seen, 3, &FACTS).chosen, Some(0));
}

#[test]
fn a_session_stays_where_it_is() {
    let board = board(
        &["", "", "", ""],
        "optional_pre_call_checks: [session_affinity]",
    );
    let session = |session| Facts {
        session: Some(session),
        ..FACTS
    };
    let mut moved = 0;
    for id in 0..500 {
        let before = choose_seen(&board, &idle(4), 1, &session(id)).chosen;
        assert_eq!(
            before,
            choose_seen(&board, &idle(4), 2, &session(id)).chosen
        );
        let mut fewer = idle(4);
        fewer[3].health = Health::Probing;
        let after = choose_seen(&board, &fewer, 1, &session(id)).chosen;
        assert!(before == after || before == Some(3));
        moved += u32::from(before != after);
    }
    assert!((90..160).contains(&moved), "{moved}");
}

const EVERY: [&str; 9] = [
    "simple-shuffle",
    "least-busy",
    "latency-based-routing",
    "cost-based-routing",
    "usage-based-routing-v2",
    "weighted_round_robin",
    "capability-based",
    "peak-ewma",
    "score",
];

fn seen() -> impl Strategy<Value = Seen> {
    let health = prop_oneof![
        4 => Just(Health::Up),
        1 => Just(Health::HalfOpen),
        1 => Just(Health::Probing),
        1 => Just(Health::Unhealthy),
        1 => any::<u64>().prop_map(|at| Health::Cooling(Moment(at))),
    ];
    (
        health,
        0..20_u32,
        (0..30_u32, 0..3_000_u64),
        (proptest::option::of(0.0..10.0_f32), 0..20_000_u32),
        0.0..1.0_f32,
        (any::<u32>(), 0..4_u64),
    )
        .prop_map(
            |(health, in_flight, (requests, tokens), (latency, fading), errors, (turn, broke))| {
                Seen {
                    fading,
                    broke: Moment(broke / 3),
                    in_flight,
                    health,
                    requests,
                    tokens,
                    latency,
                    errors,
                    answer: 10,
                    turn: turn.into(),
                }
            },
        )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn every_strategy_is_pure_and_never_takes_one_that_is_out(
        strategy in proptest::sample::select(&EVERY[..]),
        seen in proptest::collection::vec(seen(), 1..8),
        orders in proptest::collection::vec(1..4_u32, 8),
        draw in any::<u64>(),
        tokens in 0..2_000_u64,
    ) {
        let deployments: Vec<String> = (0..seen.len())
            .map(|n| format!("order: {}, rpm: 20, tpm: 2500, max_parallel_requests: 15", orders[n]))
            .collect();
        let deployments: Vec<&str> = deployments.iter().map(String::as_str).collect();
        let board = board(&deployments, &format!("routing_strategy: {strategy}"));
        let facts = Facts { prompt: Prompt::at_most(tokens), ..FACTS };
        let sheet = choose_seen(&board, &seen, draw, &facts);
        prop_assert_eq!(&sheet, &choose_seen(&board, &seen, draw, &facts));
        // Those that a health check found down are asked when nobody else is left.
        let may_as = |one: &Seen, down: bool| {
            (down || one.health != Health::Unhealthy)
                && matches!(one.health, Health::Up | Health::HalfOpen | Health::Unhealthy)
                && one.broke == Moment(0)
                && one.in_flight < 15
                && one.requests < 20
                && one.tokens + tokens + 10 <= 2_500
        };
        let down = !seen.iter().any(|one| may_as(one, false));
        let may = |one: &Seen| may_as(one, down);
        let lowest = seen.iter().zip(&orders).filter(|(one, _)| may(one)).map(|(_, order)| order).min();
        match sheet.chosen {
            None => prop_assert_eq!(lowest, None),
            Some(chosen) => {
                let chosen = usize::from(chosen);
                prop_assert!(may(&seen[chosen]));
                prop_assert_eq!(Some(&orders[chosen]), lowest);
                prop_assert_eq!(sheet.exclusions[chosen], None);
            }
        }
        for (at, exclusion) in sheet.exclusions.iter().enumerate() {
            let eligible = sheet.eligible.iter().any(|one| usize::from(*one) == at);
            prop_assert_eq!(eligible, exclusion.is_none());
            prop_assert!(exclusion.is_some() || may(&seen[at]));
            let order = matches!(exclusion, Some(Exclusion::Order(_)));
            prop_assert!(exclusion.is_none() || order || !may(&seen[at]));
        }
    }

    #[test]
    fn a_round_robin_keeps_every_proportion_exactly(
        weights in proptest::collection::vec(1..12_u16, 1..6),
        rounds in 1..5_usize,
    ) {
        let deployments: Vec<String> = weights.iter().map(|weight| format!("weight: {weight}")).collect();
        let deployments: Vec<&str> = deployments.iter().map(String::as_str).collect();
        let board = board(&deployments, ROUND);
        let round: usize = weights.iter().map(|weight| usize::from(*weight)).sum();
        let taken = turns(&board, round * rounds, &mut idle(weights.len()));
        for round in taken.chunks(round) {
            for (at, weight) in (0_u16..).zip(&weights) {
                let count = round.iter().filter(|chosen| **chosen == at).count();
                prop_assert_eq!(count, usize::from(*weight), "{:?}", taken);
            }
        }
    }

    #[test]
    fn weights_hold_within_chance(weights in proptest::collection::vec(1..100_u16, 2..6)) {
        let deployments: Vec<String> = weights.iter().map(|weight| format!("weight: {weight}")).collect();
        let deployments: Vec<&str> = deployments.iter().map(String::as_str).collect();
        let board = board(&deployments, "routing_strategy: simple-shuffle");
        let total: f64 = weights.iter().map(|weight| f64::from(*weight)).sum();
        let counts = shares(&board, &idle(weights.len()), 5_000, &FACTS);
        for (count, weight) in counts.iter().zip(&weights) {
            prop_assert!(holds(*count, 5_000, f64::from(*weight) / total), "{:?}", counts);
        }
    }
}
