//! The doctor's report on the configs of the articles: what they get wrong, each with its line.

use pointsman_routes::doctor::{Report, Standing, examine, routes_table};
use pointsman_routes::plan::worst_cases;
use pointsman_routes::{Outcome, load, load_file};

fn seed(name: &str) -> Outcome {
    let folder = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../tests/fixtures/config/seeds"
    );
    let outcome = load_file(format!("{folder}/{name}.yaml").as_ref());
    assert!(
        outcome.loaded.is_some(),
        "{name}: {:#?}",
        outcome.diagnostics
    );
    outcome
}

#[track_caller]
fn assert_key(report: &Report, path: &str, line: u32, standing: Standing, part: &str) {
    let key = report.keys.iter().find(|key| key.path == path);
    let key = key.unwrap_or_else(|| panic!("{path} is not in {report:#?}"));
    assert_eq!((key.line, key.standing), (line, standing), "{key:#?}");
    let said = format!(
        "{} {}",
        key.what.as_deref().unwrap_or(""),
        key.fix.as_deref().unwrap_or("")
    );
    assert!(said.contains(part), "{part:?} is not in {said:?}");
}

#[test]
fn retry_after_stream_and_a_fallback_to_itself() {
    // A3-02, A3-04, A3-07, A4-03, A4-04
    let report = examine(&seed("a1_azure_first_failover"));
    let line = |path: &str| {
        report
            .keys
            .iter()
            .find(|key| key.path == path)
            .map_or(0, |key| key.line)
    };
    let there = Standing::WithoutEffectInLitellm;
    let at = line("litellm_settings.retry_after");
    assert_key(
        &report,
        "litellm_settings.retry_after",
        at,
        there,
        "router_settings.retry_after",
    );
    let at = line("litellm_settings.stream");
    assert_key(
        &report,
        "litellm_settings.stream",
        at,
        Standing::WithoutEffect,
        "each request",
    );
    let at = line("litellm_settings.fallbacks");
    assert_key(
        &report,
        "litellm_settings.fallbacks",
        at,
        Standing::WithoutEffectInLitellm,
        "gpt-4o",
    );
    let at = line("router_settings.num_retries");
    assert_key(
        &report,
        "router_settings.num_retries",
        at,
        Standing::Misread,
        "not for each deployment",
    );
    let at = line("router_settings.enable_pre_call_checks");
    let hard = "enforce_model_rate_limits";
    assert_key(
        &report,
        "router_settings.enable_pre_call_checks",
        at,
        Standing::Misread,
        hard,
    );
}

#[test]
fn weights_under_an_alias() {
    // A4-08
    let report = examine(&seed("a2_latency_weights"));
    let there = Standing::WithoutEffectInLitellm;
    assert_key(
        &report,
        "router_settings.model_group_alias",
        4,
        there,
        "splits",
    );
    // A14-03
    let percentile = "95th percentile";
    assert_key(
        &report,
        "router_settings.routing_strategy",
        3,
        Standing::Misread,
        percentile,
    );
}

#[test]
fn a_budget_of_the_proxy_and_a_month() {
    // A3-09, A3-10
    let report = examine(&seed("a3_user_budget"));
    let user = "max_internal_user_budget";
    assert_key(
        &report,
        "litellm_settings.max_budget",
        5,
        Standing::Misread,
        user,
    );
    assert_key(
        &report,
        "litellm_settings.budget_duration",
        6,
        Standing::Better,
        "every midnight",
    );
}

#[test]
fn an_exact_cache_with_a_threshold() {
    // A3-11
    let report = examine(&seed("b1_proxy_walkthrough"));
    let path = "litellm_settings.cache_params.similarity_threshold";
    let line = report
        .keys
        .iter()
        .find(|key| key.path == path)
        .map_or(0, |key| key.line);
    assert_key(&report, path, line, Standing::Misread, "redis-semantic");
}

#[test]
fn credentials_of_a_callback() {
    // A3-13
    let report = examine(&seed("a5_callbacks"));
    let path = "litellm_settings.langfuse_secret_key";
    assert_key(
        &report,
        path,
        6,
        Standing::WithoutEffectInLitellm,
        "environment",
    );
}

#[test]
fn guardrails_in_the_wrong_place() {
    // A3-14
    let report = examine(&seed("a6_guardrail"));
    let path = "litellm_settings.guardrails";
    assert_key(
        &report,
        path,
        4,
        Standing::WithoutEffectInLitellm,
        "top level",
    );
}

#[test]
fn seconds_that_are_taken_for_dollars() {
    // A5-04
    let report = examine(&seed("c1_gateway_in_production"));
    let path = "general_settings.alerting_threshold";
    let line = report
        .keys
        .iter()
        .find(|key| key.path == path)
        .map_or(0, |key| key.line);
    assert_key(&report, path, line, Standing::Misread, "not dollars");
    let fine = load("f", "general_settings:\n  alerting_threshold: 300\n");
    assert!(
        examine(&fine)
            .keys
            .iter()
            .all(|key| key.standing != Standing::Misread)
    );
    // A14-04
    let path = "router_settings.routing_strategy";
    let line = report
        .keys
        .iter()
        .find(|key| key.path == path)
        .map_or(0, |key| key.line);
    assert_key(&report, path, line, Standing::Misread, "fewest tokens");
}

#[test]
fn the_sister_dialect_is_unknown_to_litellm() {
    for (name, path) in [
        ("e2_cost_and_context", "router.cost_threshold"),
        ("e2_cost_and_context", "model_list[0].metadata.cost"),
        ("e3_fallback_config", "fallback_config"),
        ("e3_fallback_config", "fallback_config[0].retry_attempts"),
        ("e4_logging", "database.connection_string"),
        ("e4_logging", "litellm_settings.log_to_file"),
        (
            "e5_static_keys",
            "key_settings[0].rate_limit.requests_per_minute",
        ),
        ("e6_weighted_regions", "router.weights"),
    ] {
        let report = examine(&seed(name));
        let key = report.keys.iter().find(|key| key.path == path);
        let key = key.unwrap_or_else(|| panic!("{path} is not in {report:#?}"));
        assert_eq!(
            key.standing,
            Standing::WithoutEffectInLitellm,
            "{name}: {path}"
        );
    }
}

#[test]
fn only_some_deployments_carry_a_weight() {
    // A14-01
    let text = "\
model_list:
  - model_name: a
    litellm_params: {model: openai/gpt-4o, weight: 2}
  - model_name: a
    litellm_params: {model: openai/gpt-4o-mini}
  - model_name: b
    litellm_params: {model: openai/gpt-4o, weight: 2}
";
    let report = examine(&load("f", text));
    let some = "only 1 of the 2 deployments";
    assert_key(
        &report,
        "model_list[0].litellm_params.weight",
        3,
        Standing::Misread,
        some,
    );
    assert_key(
        &report,
        "model_list[2].litellm_params.weight",
        7,
        Standing::Honoured,
        "",
    );
}

#[test]
fn the_report_prints_and_serialises_every_key() {
    for name in [
        "a1_azure_first_failover",
        "b2_production",
        "c1_gateway_in_production",
    ] {
        let outcome = seed(name);
        let report = examine(&outcome);
        assert_eq!(report.keys.len(), outcome.used.len());
        let shown = report.to_string();
        let json = serde_json::to_value(&report).expect("a report is plain data");
        assert_eq!(
            json["keys"].as_array().map(Vec::len),
            Some(outcome.used.len())
        );
        for key in &report.keys {
            assert!(shown.contains(&key.line.to_string()), "{shown}");
        }
        assert!(
            shown.contains(&format!("{} keys: ", report.keys.len())),
            "{shown}"
        );
    }
}

#[test]
fn a_file_with_errors_is_looked_at_as_far_as_it_goes() {
    let outcome = load("f", "litellm_settings:\n  stream: true\n  nonsense: 1\n");
    assert!(outcome.loaded.is_none());
    let report = examine(&outcome);
    assert_key(
        &report,
        "litellm_settings.stream",
        2,
        Standing::WithoutEffect,
        "request",
    );
}

#[test]
fn every_seed_has_a_finite_plan_and_a_table() {
    for name in [
        "a1_azure_first_failover",
        "b1_proxy_walkthrough",
        "b2_production",
        "c1_gateway_in_production",
    ] {
        let outcome = seed(name);
        let routes = &outcome.loaded.as_ref().expect("it loads").routes;
        let plans = worst_cases(routes);
        assert_eq!(plans.len(), routes.groups.len());
        for plan in &plans {
            assert!(
                plan.attempts > 0 && plan.time <= routes.settings.request_timeout,
                "{plan}"
            );
            serde_json::to_value(plan).expect("a plan is plain data");
        }
        let table = routes_table(routes, &|name| name == "ANTHROPIC_API_KEY");
        for group in routes.groups.iter() {
            assert!(table.contains(group.name.as_ref()), "{table}");
        }
        assert!(table.contains("LACKS its key"), "{table}");
    }
}

#[test]
fn cyclic_fallbacks_of_an_article_end() {
    // A4-06
    let outcome = seed("c1_gateway_in_production");
    let plans = worst_cases(&outcome.loaded.as_ref().expect("it loads").routes);
    let shown: Vec<String> = plans.iter().map(ToString::to_string).collect();
    assert!(
        shown[0].contains("on failure: claude-sonnet ×4 → gpt-4o ×4 → azure-gpt4 ×4"),
        "{shown:#?}"
    );
    assert!(
        shown[1].contains("on failure: gpt-4o ×4 → azure-gpt4 ×4 → claude-sonnet ×4"),
        "{shown:#?}"
    );
}

#[test]
fn the_report_has_diagnostics_keys_and_plans() {
    let outcome = seed("c1_gateway_in_production");
    let report = examine(&outcome);
    let shown = report.to_string();
    assert!(
        shown.contains("lacks what `claude-sonnet` can do"),
        "{shown}"
    );
    assert!(
        !shown.contains("is read and kept"),
        "the key's own line says so: {shown}"
    );
    assert!(
        shown.contains("claude-sonnet: at most 12 attempts in 1 min"),
        "{shown}"
    );
    let json = serde_json::to_value(&report).expect("a report is plain data");
    assert_eq!(json["groups"][0]["group"], "claude-sonnet");
    assert_eq!(json["groups"][0]["attempts"], 12);
    assert_eq!(json["groups"][0]["time"], 60.0);
    assert_eq!(json["diagnostics"][0]["line"], 30);
}

#[test]
fn errors_are_part_of_the_report() {
    let report = examine(&load("f", "litellm_settings:\n  nonsense: 1\n"));
    assert!(report.groups.is_empty());
    assert!(
        report
            .diagnostics
            .iter()
            .any(|found| found.severity == "error")
    );
    assert!(report.to_string().contains("f:2:3: error: "), "{report}");
}

#[test]
fn an_entry_that_refers_to_a_group() {
    // A2-04
    let report = examine(&seed("c1_gateway_in_production"));
    let path = "model_list[4].litellm_params.model";
    assert_key(&report, path, 30, Standing::Better, "drops the entry");
}
