//! No input makes the compiler panic, hang or grow without bound.

use std::fmt::Write;
use std::time::{Duration, Instant};

use pointsman_routes::{Outcome, load};
use proptest::prelude::*;

const SEEDS: &[&str] = &[
    include_str!("../../tests/fixtures/config/seeds/a1_azure_first_failover.yaml"),
    include_str!("../../tests/fixtures/config/seeds/a2_latency_weights.yaml"),
    include_str!("../../tests/fixtures/config/seeds/a6_guardrail.yaml"),
    include_str!("../../tests/fixtures/config/seeds/b2_production.yaml"),
    include_str!("../../tests/fixtures/config/seeds/c1_gateway_in_production.yaml"),
    include_str!("../../tests/fixtures/config/seeds/e2_cost_and_context.yaml"),
    include_str!("../../tests/fixtures/config/seeds/e3_fallback_config.yaml"),
    include_str!("../../tests/fixtures/config/seeds/e5_static_keys.yaml"),
    include_str!("../../tests/fixtures/config/seeds/e6_weighted_regions.yaml"),
];

/// What must hold whatever the text.
fn sound(outcome: &Outcome) {
    for one in &outcome.diagnostics {
        assert!(one.line >= 1 && one.column >= 1 && one.width >= 1);
        let _ = one.to_string();
    }
    let refused = outcome
        .diagnostics
        .iter()
        .any(|one| one.severity == pointsman_routes::diagnostic::Severity::Error);
    assert_eq!(outcome.loaded.is_none(), refused);
    let Some(loaded) = &outcome.loaded else {
        return;
    };
    let routes = &loaded.routes;
    assert!(routes.names.is_sorted_by(|a, b| a.name < b.name));
    for group in routes.groups.iter() {
        for member in group.members.iter() {
            assert!(usize::from(member.deployment.0) < routes.deployments.len());
            assert!(
                member
                    .weight
                    .is_none_or(|weight| weight.is_finite() && weight >= 0.0)
            );
        }
        let mut seen = std::collections::HashSet::new();
        assert!(group.fallbacks.iter().all(|target| seen.insert(*target)));
    }
}

/// Pieces that mean something to the compiler.
fn piece() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("model_list:\n".to_owned()),
        Just("  - model_name: ".to_owned()),
        Just("    litellm_params: ".to_owned()),
        Just("{model: gpt-4o, rpm: -1}\n".to_owned()),
        Just("router_settings: {fallbacks: [{a: [b]}, {b: [a]}]}\n".to_owned()),
        Just("os.environ/X".to_owned()),
        Just("${".to_owned()),
        Just("\"*\": ".to_owned()),
        Just("&a ".to_owned()),
        Just("*a ".to_owned()),
        Just("<<: ".to_owned()),
        Just("- ".to_owned()),
        Just("!!int ".to_owned()),
        Just("\n".to_owned()),
        Just("  ".to_owned()),
        "[a-z*/]{0,6}",
        "[\\[\\]{}:,#|>%'\"@`~?!\\t\\r\u{85}\u{2028}\u{feff}-]{0,3}",
        "\\PC{0,8}",
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_text(text in "(?s).{0,200}") {
        sound(&load("x.yaml", &text));
    }

    #[test]
    fn any_text_of_telling_pieces(pieces in prop::collection::vec(piece(), 0..40)) {
        sound(&load("x.yaml", &pieces.concat()));
    }

    #[test]
    fn a_seed_with_a_part_replaced(
        seed in prop::sample::select(SEEDS),
        at in any::<prop::sample::Index>(),
        length in 0..40_usize,
        with in piece(),
    ) {
        let chars: Vec<char> = seed.chars().collect();
        let start = at.index(chars.len());
        let end = (start + length).min(chars.len());
        let mut text: String = chars[..start].iter().collect();
        text.push_str(&with);
        text.extend(&chars[end..]);
        sound(&load("x.yaml", &text));
    }

    #[test]
    fn a_seed_with_its_lines_moved(seed in prop::sample::select(SEEDS), from in any::<prop::sample::Index>(), to in any::<prop::sample::Index>()) {
        let mut lines: Vec<&str> = seed.lines().collect();
        let line = lines.remove(from.index(lines.len()));
        lines.insert(to.index(lines.len() + 1), line);
        sound(&load("x.yaml", &lines.join("\n")));
    }
}

#[test]
fn a_bomb_of_aliases_is_refused() {
    let mut text = "a: &a [x, x, x, x, x, x, x, x, x]\n".to_owned();
    for letter in 'b'..='k' {
        let before = char::from(letter as u8 - 1);
        let _ = writeln!(
            text,
            "{letter}: &{letter} [{}]",
            vec![format!("*{before}"); 9].join(", ")
        );
    }
    let started = Instant::now();
    let outcome = load("x.yaml", &text);
    assert!(outcome.loaded.is_none());
    assert!(
        outcome
            .diagnostics
            .iter()
            .any(|one| one.what.contains("aliases unfolded"))
    );
    assert!(started.elapsed() < Duration::from_secs(20));
}

#[test]
fn depth_is_bounded_with_and_without_aliases() {
    for text in [
        "[".repeat(100_000),
        "{a: ".repeat(10_000),
        "- ".repeat(10_000),
        "? ".repeat(10_000),
    ] {
        assert!(load("x.yaml", &text).loaded.is_none());
    }
    let mut text = "a0: &a0 [x]\n".to_owned();
    for number in 1..2000 {
        let _ = writeln!(text, "a{number}: &a{number} [*a{}]", number - 1);
    }
    let outcome = load("x.yaml", &text);
    assert!(
        outcome
            .diagnostics
            .iter()
            .any(|one| one.what.contains("nest deeper"))
    );
    assert!(load("x.yaml", "a: &a [*a]\n").loaded.is_none());
}

#[test]
fn many_faults_are_cut_off() {
    let mut text = String::new();
    for number in 0..20_000 {
        let _ = writeln!(text, "unknown_{number}: 1");
    }
    let outcome = load("x.yaml", &text);
    assert!(outcome.diagnostics.len() < 2100);
    assert!(
        outcome
            .diagnostics
            .last()
            .is_some_and(|one| one.what.contains("further findings"))
    );
}

/// A file of a thousand deployments, as a large company has it.
fn large(count: usize) -> String {
    let mut text = "model_list:\n".to_owned();
    for number in 0..count {
        let _ = writeln!(
            text,
            "  - model_name: group-{}\n    litellm_params:\n      model: azure/gpt-4o\n      \
             api_base: https://region-{number}.openai.azure.com\n      \
             api_key: os.environ/AZURE_KEY_{number}\n      rpm: 100\n      tpm: 100000",
            number / 4
        );
    }
    text.push_str("router_settings:\n  fallbacks:\n");
    for group in 0..count / 4 - 1 {
        let _ = writeln!(text, "    - group-{group}: [group-{}]", group + 1);
    }
    text
}

#[test]
fn a_thousand_deployments_are_quick() {
    let text = large(1000);
    let started = Instant::now();
    let outcome = load("x.yaml", &text);
    let elapsed = started.elapsed();
    println!("1,000 deployments in {elapsed:?}");
    assert_eq!(
        outcome.loaded.expect("no errors").routes.deployments.len(),
        1000
    );
    // Generous: this runs without optimisation and beside other tests.
    assert!(elapsed < Duration::from_secs(5), "{elapsed:?}");
}
