//! The router as a whole: booking, settling, resting, and what survives a table.

use std::sync::Arc;
use std::time::Duration;

use pointsman_routes::table::DeploymentId;
use tokio::time::advance;

use super::board::Board;
use super::class::Class;
use super::decide::{Sheet, decide};
use super::example::{GROUP, config};
use super::facts::Facts;
use super::moment::Moment;
use super::state::{Health, Seen, Why};
use super::{Ask, Ended, Router, Ticket};
use crate::call::{Call, Route, Usage, example};
use crate::error::{Failure, NoDeployment};

const BODY: &str = r#"{"model":"g","max_tokens":100,"messages":[{"role":"user","content":"hi"}]}"#;

fn call(deployments: &[&str], router: &str) -> Call {
    call_of(&config(deployments, router))
}

fn call_of(config: &str) -> Call {
    example::call(config, Route::Chat, BODY)
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn pick(router: &Router, call: &Call) -> Result<Ticket, Failure> {
    router.pick(call, &Ask::first(call.target))
}

fn complete(completion: u64) -> Ended {
    Ended::Complete(Some(Usage {
        prompt: 10,
        completion,
        ..Usage::default()
    }))
}

fn failed(class: Class) -> Ended {
    Ended::Failed {
        class,
        retry_after: None,
        usage: None,
    }
}

fn health(router: &Router, call: &Call, at: u16) -> Health {
    let board = router.board(&call.live);
    board.stats(DeploymentId(at)).health(router.clock().now())
}

fn busy(failure: &Failure) -> (Option<Duration>, &[String]) {
    match failure {
        Failure::NoDeployment {
            why: NoDeployment::Busy { wait, cooling, .. },
            ..
        } => (*wait, cooling),
        other => panic!("{other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn a_request_is_in_flight_until_its_ticket_ends() {
    let (router, call) = (Router::seeded(1), call(&["max_parallel_requests: 2"], ""));
    let first = pick(&router, &call).unwrap();
    let second = pick(&router, &call).unwrap();
    assert_eq!(
        busy(&pick(&router, &call).unwrap_err()).0,
        Some(Duration::ZERO)
    );
    first.end(complete(5));
    let third = pick(&router, &call).unwrap();
    drop(second);
    drop(third);
    let board = router.board(&call.live);
    assert_eq!(board.stats(DeploymentId(0)).in_flight(), 0);
}

#[tokio::test(start_paused = true)]
async fn requests_per_minute_are_never_exceeded() {
    let (router, call) = (
        Router::seeded(1),
        call(
            &["rpm: 5", "rpm: 3"],
            "routing_strategy: usage-based-routing-v2",
        ),
    );
    for minute in 0..3 {
        for _ in 0..8 {
            pick(&router, &call).unwrap().end(complete(5));
        }
        let failure = pick(&router, &call).unwrap_err();
        let (wait, cooling) = busy(&failure);
        assert!(
            wait.unwrap() >= seconds(56) && wait.unwrap() <= seconds(64),
            "{minute}: {wait:?}"
        );
        assert!(cooling.is_empty());
        let text = failure.to_string();
        assert!(
            text.contains("No deployments available for selected model, Try again in"),
            "{text}"
        );
        advance(seconds(64)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn tokens_are_reserved_and_then_settled() {
    // About 20 tokens of prompt and 100 of answer are reserved for each.
    let (router, call) = (
        Router::seeded(1),
        call(&["tpm: 500, max_parallel_requests: 9"], ""),
    );
    let tickets: Vec<_> = (0..4).map(|_| pick(&router, &call).unwrap()).collect();
    busy(&pick(&router, &call).unwrap_err());
    for ticket in tickets {
        ticket.end(complete(15));
    }
    let board = router.board(&call.live);
    let used = || {
        board
            .stats(DeploymentId(0))
            .quota()
            .used(router.clock().now())[1]
    };
    assert_eq!(used(), 4 * 25);
    // What failed took nothing; what was dropped may have.
    pick(&router, &call).unwrap().end(failed(Class::Server));
    assert_eq!(used(), 100);
    drop(pick(&router, &call).unwrap());
    assert!((210..230).contains(&used()), "{}", used());
    // More than was reserved is booked, too.
    pick(&router, &call).unwrap().end(complete(300));
    assert!(used() > 500);
    busy(&pick(&router, &call).unwrap_err());
}

#[tokio::test(start_paused = true)]
async fn what_a_broken_answer_took_stays_reserved_and_a_refusal_takes_nothing() {
    let (router, call) = (Router::seeded(1), call(&["tpm: 100000"], ""));
    let board = router.board(&call.live);
    let used = || {
        board
            .stats(DeploymentId(0))
            .quota()
            .used(router.clock().now())[1]
    };
    for class in [Class::Timeout, Class::Malformed, Class::Cut] {
        let before = used();
        pick(&router, &call).unwrap().end(failed(class));
        assert!(used() > before + 100, "{class:?}");
    }
    for class in [Class::RateLimit, Class::Server, Class::Connect] {
        let before = used();
        pick(&router, &call).unwrap().end(failed(class));
        assert_eq!(used(), before, "{class:?}");
    }
    // A stream that has begun, however it fails.
    let before = used();
    let mut ticket = pick(&router, &call).unwrap();
    ticket.answered();
    ticket.end(failed(Class::Server));
    assert!(used() > before + 100);
}

#[tokio::test(start_paused = true)]
async fn a_failure_that_asks_for_less_does_not_shorten_a_rest() {
    let (router, call) = (Router::seeded(1), call(&["", ""], "cooldown_time: 5"));
    let ask = Ask {
        tried: [DeploymentId(1)].into_iter().collect(),
        again: false,
        ..Ask::first(call.target)
    };
    let [first, second] = [(), ()].map(|()| router.pick(&call, &ask).unwrap());
    first.end(Ended::Failed {
        class: Class::RateLimit,
        retry_after: Some(seconds(60)),
        usage: None,
    });
    second.end(failed(Class::RateLimit));
    advance(seconds(59)).await;
    assert!(matches!(health(&router, &call, 0), Health::Cooling(_)));
    // An administrator's word is the last one.
    assert!(router.rest(&call.live, "d0", Some(Duration::from_millis(10))));
    advance(Duration::from_millis(10)).await;
    assert_eq!(health(&router, &call, 0), Health::HalfOpen);
}

#[tokio::test(start_paused = true)]
async fn a_deployment_called_by_its_id_keeps_the_limits_that_its_group_keeps() {
    let strategy = "routing_strategy: usage-based-routing, enable_pre_call_checks: false";
    let (router, call) = (Router::seeded(1), call(&["rpm: 2"], strategy));
    let direct = Ask::first(pointsman_routes::table::Target::Deployment(DeploymentId(0)));
    for _ in 0..2 {
        router.pick(&call, &direct).unwrap().end(complete(5));
    }
    busy(&router.pick(&call, &direct).unwrap_err());
}

#[test]
fn threads_together_never_exceed_the_limits() {
    let call = call(
        &["rpm: 301", "rpm: 200"],
        "routing_strategy: usage-based-routing-v2",
    );
    let router = Router::seeded(1);
    let picked: usize = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..4)
            .map(|_| {
                scope.spawn(|| {
                    let tries = (0..300).filter_map(|_| pick(&router, &call).ok());
                    let ended = tries.map(|ticket| ticket.end(complete(1)));
                    ended.fold(0_usize, |count, _| count + 1)
                })
            })
            .collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .sum()
    });
    assert_eq!(picked, 501);
}

#[tokio::test(start_paused = true)]
async fn keys_of_one_organisation_share_its_quota() {
    let shared = "rpm: 4, quota_group: acme";
    let (router, call) = (Router::seeded(1), call(&[shared, shared, shared], ""));
    for _ in 0..4 {
        pick(&router, &call).unwrap().end(complete(1));
    }
    busy(&pick(&router, &call).unwrap_err());
}

#[tokio::test(start_paused = true)]
async fn one_that_rests_is_passed_over_and_then_tried_by_one_request() {
    let (router, call) = (
        Router::seeded(1),
        call(&["order: 1", "order: 2"], "cooldown_time: 10"),
    );
    let first = pick(&router, &call).unwrap();
    assert_eq!(first.deployment(), DeploymentId(0));
    let cooling = first.end(failed(Class::RateLimit)).unwrap();
    assert_eq!(cooling.until.since(router.clock().now()), seconds(10));
    for _ in 0..20 {
        let ticket = pick(&router, &call).unwrap();
        assert_eq!(ticket.deployment(), DeploymentId(1));
        ticket.end(complete(1));
    }
    advance(seconds(10)).await;
    assert_eq!(health(&router, &call, 0), Health::HalfOpen);
    let probe = pick(&router, &call).unwrap();
    assert!(probe.is_probe());
    assert_eq!(probe.deployment(), DeploymentId(0));
    assert_eq!(pick(&router, &call).unwrap().deployment(), DeploymentId(1));
    // It fails: another rest.
    probe.end(failed(Class::Server)).unwrap();
    assert!(matches!(health(&router, &call, 0), Health::Cooling(_)));
    advance(seconds(10)).await;
    // It is given up by its caller: the next request tries.
    drop(pick(&router, &call).unwrap());
    let mut probe = pick(&router, &call).unwrap();
    assert!(probe.is_probe());
    // The first token is enough.
    probe.answered();
    assert_eq!(health(&router, &call, 0), Health::Up);
    assert_eq!(pick(&router, &call).unwrap().deployment(), DeploymentId(0));
    probe.end(complete(1));
}

#[tokio::test(start_paused = true)]
async fn a_wrong_request_shows_that_a_deployment_is_well() {
    let (router, call) = (Router::seeded(1), call(&["", ""], ""));
    router.rest(&call.live, "d0", Some(seconds(1)));
    router.rest(&call.live, "d1", Some(seconds(100)));
    let failure = pick(&router, &call).unwrap_err();
    assert_eq!(
        busy(&failure),
        (Some(seconds(1)), &["d0".to_owned(), "d1".to_owned()][..])
    );
    advance(seconds(1)).await;
    let probe = pick(&router, &call).unwrap();
    assert_eq!(probe.end(failed(Class::BadRequest)), None);
    assert_eq!(health(&router, &call, 0), Health::Up);
    assert!(router.rest(&call.live, "d1", None));
    assert_eq!(health(&router, &call, 1), Health::Up);
    assert!(!router.rest(&call.live, "nobody", None));
}

#[tokio::test(start_paused = true)]
async fn one_that_was_tried_is_asked_again_only_when_all_were() {
    let (router, call) = (Router::seeded(1), call(&["", "", ""], ""));
    let mut ask = Ask::first(call.target);
    for _ in 0..3 {
        let ticket = router.pick(&call, &ask).unwrap();
        assert!(!ask.tried.contains(&ticket.deployment()));
        ask.tried.push(ticket.deployment());
        ticket.end(failed(Class::Server));
    }
    assert!(router.pick(&call, &ask).is_ok());
    ask.again = false;
    busy(&router.pick(&call, &ask).unwrap_err());
}

#[tokio::test(start_paused = true)]
async fn a_deployment_called_by_its_id_is_asked_while_it_rests() {
    let config = config(&["", ""], "");
    let mut call = call_of(&config);
    let router = Router::seeded(1);
    router.rest(&call.live, "d1", Some(seconds(100)));
    call.target = call.live.table().resolve("d1").unwrap().target;
    assert_eq!(pick(&router, &call).unwrap().deployment(), DeploymentId(1));
}

#[tokio::test(start_paused = true)]
async fn state_survives_another_table_and_is_forgotten_with_the_last() {
    let router = Router::seeded(1);
    let first = call(&["rpm: 2", ""], "");
    router.rest(&first.live, "d1", Some(seconds(100)));
    let ticket = pick(&router, &first).unwrap();
    assert_eq!(ticket.deployment(), DeploymentId(0));
    // The same ids in another order.
    let second = call_of(
        "model_list:
  - {model_name: g, litellm_params: {model: openai/new, api_key: os.environ/KEY, rpm: 2}, model_info: {id: d1}}
  - {model_name: g, litellm_params: {model: openai/new, api_key: os.environ/KEY, rpm: 2}, model_info: {id: d0}}
",
    );
    assert!(matches!(health(&router, &second, 0), Health::Cooling(_)));
    let again = pick(&router, &second).unwrap();
    assert_eq!(again.deployment(), DeploymentId(1));
    let board = router.board(&second.live);
    assert_eq!(board.stats(DeploymentId(1)).in_flight(), 2);
    busy(&pick(&router, &second).unwrap_err());
    drop((ticket, again));
    // Other tables come; nobody holds the first ones any more.
    for n in 0..10 {
        let other = call_of(&config(&[""], "").replace("d0", &format!("other{n}")));
        pick(&router, &other).unwrap().end(complete(1));
    }
    drop(board);
    let last = call(&[""], "");
    pick(&router, &last).unwrap().end(complete(1));
    assert!(router.0.registry.len() <= 5, "{}", router.0.registry.len());
    // A request of a table that nobody keeps is served all the same.
    assert!(pick(&router, &first).is_ok());
}

#[tokio::test(start_paused = true)]
async fn round_robins_go_on_in_another_table() {
    let text = config(
        &["weight: 2", "weight: 1"],
        "routing_strategy: weighted_round_robin",
    );
    let router = Router::seeded(1);
    let mut taken = Vec::new();
    for _ in 0..6 {
        let call = call_of(&text);
        taken.push(pick(&router, &call).unwrap().deployment().0);
    }
    assert_eq!(taken, [0, 1, 0, 0, 1, 0]);
}

#[tokio::test(start_paused = true)]
async fn slow_answers_and_time_outs_are_measured() {
    let (router, call) = (
        Router::seeded(3),
        call(&["", ""], "routing_strategy: latency-based-routing"),
    );
    for _ in 0..40 {
        let ticket = pick(&router, &call).unwrap();
        let slow = ticket.deployment() == DeploymentId(1);
        advance(Duration::from_millis(if slow { 500 } else { 100 })).await;
        ticket.end(complete(10));
    }
    let board = router.board(&call.live);
    let read = |at| {
        let now = router.clock().now();
        board
            .stats(DeploymentId(at))
            .lane(false)
            .read(super::state::Stat::Mean, now)
    };
    assert!((read(0).unwrap() - 0.01).abs() < 1e-4, "{:?}", read(0));
    let mut tickets: Vec<_> = (0..3).map(|_| pick(&router, &call).unwrap()).collect();
    assert!(
        tickets
            .iter()
            .all(|ticket| ticket.deployment() == DeploymentId(0))
    );
    tickets.pop().unwrap().end(failed(Class::Timeout));
    assert!(read(0).unwrap() > 90.0);
}

#[tokio::test(start_paused = true)]
async fn decisions_are_kept_and_can_be_made_again() {
    let (router, call) = (
        Router::seeded(9),
        call(&["weight: 1", "weight: 2", "order: 2"], ""),
    );
    router.rest(&call.live, "d0", Some(seconds(5)));
    let ticket = pick(&router, &call).unwrap();
    assert_eq!(ticket.deployment(), DeploymentId(1));
    ticket.end(failed(Class::Server));
    pick(&router, &call).unwrap().end(complete(1));
    let kept = router.decisions().of_call(b"test");
    assert_eq!(kept.len(), 2);
    assert_eq!(kept[0].ended, Some(failed(Class::Server)));
    let board = router.board(&call.live);
    for entry in &kept {
        let mut sheet = Sheet::default();
        let facts = Facts {
            prompt: entry.facts.prompt,
            max_output: entry.facts.max_output,
            ..Facts::PLAIN
        };
        decide(&board, GROUP, &entry.seen, entry.draw, &facts, &mut sheet);
        assert_eq!(sheet, entry.sheet);
    }
    let told = router.explain_kept(&call.live, b"test");
    let json = serde_json::to_value(&told[0]).unwrap();
    assert_eq!(json["choice"], "d1");
    assert_eq!(json["candidates"][0]["excluded"]["reason"], "cooldown");
    assert_eq!(json["candidates"][2]["excluded"]["reason"], "order");
    assert_eq!(json["ended"]["outcome"], "server");
    assert!(router.decisions().of_call(b"nobody").is_empty());
    for _ in 0..3_000 {
        let _ = pick(&router, &call);
    }
    assert_eq!(
        router.decisions().of_call(b"test").len(),
        super::record::KEPT
    );
}

#[tokio::test(start_paused = true)]
async fn the_same_seed_gives_the_same_choices() {
    let choices = || {
        let (router, call) = (
            Router::seeded(5),
            call(&["", "", "", ""], "routing_strategy: peak-ewma"),
        );
        let each = (0..50).map(|_| pick(&router, &call).unwrap().deployment());
        each.collect::<Vec<_>>()
    };
    assert_eq!(choices(), choices());
}

/// What is told of a request's body against a config.
fn reasons(config: &str, body: &str) -> (Option<String>, Vec<Option<&'static str>>) {
    let call = example::call(config, Route::Chat, body);
    let router = Router::seeded(1);
    let told = router.explain(&call.live, &(&call).into(), &Ask::first(call.target), None);
    let excluded = told.candidates.iter();
    let excluded = excluded.map(|one| one.excluded.as_ref().map(|left| left.reason));
    (told.choice, excluded.collect())
}

#[test]
fn what_a_request_needs_is_seen_in_its_body() {
    let config = "
model_list:
  - {model_name: g, litellm_params: {model: openai/a, api_key: os.environ/KEY}, model_info: {id: plain, mode: chat, supports_vision: false, supports_function_calling: false}}
  - {model_name: g, litellm_params: {model: openai/b, api_key: os.environ/KEY}, model_info: {id: able, mode: chat, supports_vision: true, supports_function_calling: true, supports_response_schema: true}}
";
    let lacks = Some("capabilities");
    for (rest, first) in [
        (
            r#""messages":[{"role":"user","content":"what is \"type\":\"image_url\"?"}]"#,
            None,
        ),
        (
            r#""messages":[{"role":"user","content":[{"type":"image_url","image_url":{"url":"x"}}]}]"#,
            lacks,
        ),
        (
            r#""messages":[],"tools":[{"type":"function","function":{"name":"image_url"}}]"#,
            lacks,
        ),
        (r#""messages":[],"tools":[]"#, None),
        (
            r#""messages":[],"response_format":{"type": "json_schema","json_schema":{}}"#,
            lacks,
        ),
        (r#""messages":[],"response_format":{"type":"text"}"#, None),
    ] {
        let (choice, excluded) = reasons(config, &format!(r#"{{"model":"g",{rest}}}"#));
        assert_eq!(excluded, [first, None], "{rest}");
        assert!(choice.is_some());
    }
}

#[cfg(feature = "exact-tokens")]
#[test]
fn a_long_prompt_is_counted_before_it_is_refused() {
    let config = "
model_list:
  - {model_name: g, litellm_params: {model: openai/gpt-4, api_key: os.environ/KEY}, model_info: {id: counted, max_input_tokens: 1000}}
  - {model_name: g, litellm_params: {model: openai/unknown, api_key: os.environ/KEY}, model_info: {id: estimated, max_input_tokens: 1000}}
";
    let of = |content: &str| {
        let body =
            format!(r#"{{"model":"g","messages":[{{"role":"user","content":"{content}"}}]}}"#);
        reasons(config, &body).1
    };
    let long = Some("context_window");
    assert_eq!(of("word "), [None, None]);
    // 990 tokens of five bytes each, with a few of the message: the estimate is too high.
    assert_eq!(of(&"word ".repeat(985)), [None, long]);
    assert_eq!(of(&"word ".repeat(1_000)), [long, long]);
    // A token a digit: the estimate is too low.
    assert_eq!(of(&"7 ".repeat(1_200)), [long, None]);
}

#[cfg(feature = "exact-tokens")]
#[tokio::test(flavor = "multi_thread")]
async fn a_long_prompt_is_counted_on_a_runtime_of_several_threads() {
    let deployment = "model: openai/gpt-4o, api_key: os.environ/KEY";
    let config = format!(
        "model_list: [{{model_name: g, litellm_params: {{{deployment}}}, model_info: {{max_input_tokens: 500}}}}]"
    );
    let body = format!(
        r#"{{"model":"g","messages":[{{"role":"user","content":"{}"}}]}}"#,
        "word ".repeat(400)
    );
    assert!(reasons(&config, &body).0.is_some());
}

#[test]
fn tags_part_the_deployments() {
    let config = |extra: &str| {
        format!(
            "
model_list:
  - {{model_name: g, litellm_params: {{model: openai/a, api_key: os.environ/KEY, tags: [free]}}, model_info: {{id: free}}}}
  - {{model_name: g, litellm_params: {{model: openai/b, api_key: os.environ/KEY, tags: [paid, eu]}}, model_info: {{id: paid}}}}
{extra}
router_settings: {{enable_tag_filtering: true}}
"
        )
    };
    let body =
        |tags: &str| format!(r#"{{"model":"g","messages":[],"metadata":{{"tags":{tags}}}}}"#);
    let choice = |config: &str, tags: &str| reasons(config, &body(tags)).0;
    let plain = config("");
    assert_eq!(choice(&plain, r#"["free"]"#).as_deref(), Some("free"));
    assert_eq!(choice(&plain, r#"["eu","other"]"#).as_deref(), Some("paid"));
    assert!(choice(&plain, "[]").is_some());
    assert_eq!(choice(&plain, r#"["other"]"#), None);
    let call = example::call(&plain, Route::Chat, &body(r#"["other"]"#));
    let failure = pick(&Router::seeded(1), &call).unwrap_err();
    assert_eq!(failure.status().as_u16(), 401);
    let fallback = config(
        "  - {model_name: g, litellm_params: {model: openai/c, api_key: os.environ/KEY, tags: [default]}, model_info: {id: rest}}",
    );
    assert_eq!(choice(&fallback, r#"["other"]"#).as_deref(), Some("rest"));
    assert_eq!(choice(&fallback, "[]").as_deref(), Some("rest"));
    assert_eq!(choice(&fallback, r#"["free"]"#).as_deref(), Some("free"));
    let all = plain.replace(
        "enable_tag_filtering: true",
        "enable_tag_filtering: true, tag_filtering_match_any: false",
    );
    assert_eq!(choice(&all, r#"["eu","paid"]"#).as_deref(), Some("paid"));
    assert_eq!(choice(&all, r#"["eu","other"]"#), None);
}

#[test]
fn a_request_stays_in_its_region() {
    let config = "
model_list:
  - {model_name: g, litellm_params: {model: openai/a, api_key: os.environ/KEY, region_name: us-east-1}, model_info: {id: us}}
  - {model_name: g, litellm_params: {model: openai/b, api_key: os.environ/KEY, region_name: swedencentral}, model_info: {id: sweden}}
  - {model_name: g, litellm_params: {model: openai/c, api_key: os.environ/KEY, region_name: eu-west-2}, model_info: {id: london}}
  - {model_name: g, litellm_params: {model: openai/d, api_key: os.environ/KEY}, model_info: {id: somewhere}}
";
    let out = Some("region");
    for (region, excluded) in [
        ("eu", [out, None, out, out]),
        ("us", [None, out, out, out]),
        ("US-East-1", [None, out, out, out]),
        ("asia", [out; 4]),
    ] {
        let body = format!(r#"{{"model":"g","messages":[],"allowed_model_region":"{region}"}}"#);
        assert_eq!(reasons(config, &body).1, excluded, "{region}");
    }
}

#[test]
fn another_teams_deployment_is_nobodys_else() {
    let config = "
model_list:
  - {model_name: g, litellm_params: {model: openai/a, api_key: os.environ/KEY}, model_info: {id: own, team_id: red}}
  - {model_name: g, litellm_params: {model: openai/b, api_key: os.environ/KEY}, model_info: {id: shared}}
";
    let (choice, excluded) = reasons(config, BODY);
    assert_eq!(choice.as_deref(), Some("shared"));
    assert_eq!(excluded, [Some("other_team"), None]);
    let board = super::example::board_of(config);
    let red = Facts {
        team: Some("red"),
        ..Facts::PLAIN
    };
    let counts = super::example::shares(&board, &[Seen::default(); 2], 100, &red);
    assert!(counts[0] > 20 && counts[1] > 20, "{counts:?}");
}

#[test]
fn a_key_is_of_its_team_to_rules_and_to_deployments() {
    use crate::account::{Bearer, Key, Team};
    use crate::call::Principal;
    let config = "
model_list:
  - {model_name: g, litellm_params: {model: openai/a, api_key: os.environ/KEY}, model_info: {id: own, team_id: red}}
  - {model_name: g, litellm_params: {model: openai/b, api_key: os.environ/KEY}, model_info: {id: shared}}
  - {model_name: g, litellm_params: {model: openai/c, api_key: os.environ/KEY}, model_info: {id: other}}
rules:
  - when: {team: Crimson}
    prefer: own
  - when: {user: ann}
    prefer: other
";
    let of = |team: Option<&str>, user: Option<&str>| {
        let mut call = call_of(config);
        let bearer = Bearer {
            key: Key {
                team_id: team.map(Into::into),
                user_id: user.map(Into::into),
                ..Key::default()
            },
            team: team.map(|team| Team {
                team_id: team.into(),
                team_alias: Some("Crimson".into()),
                ..Team::default()
            }),
            ..Bearer::default()
        };
        call.principal = Arc::new(Principal::of(Arc::new(bearer), call.live.rules()));
        let router = Router::seeded(1);
        let mut asked: Vec<u16> = (0..40)
            .map(|_| pick(&router, &call).unwrap().deployment().0)
            .collect();
        asked.sort_unstable();
        asked.dedup();
        asked
    };
    assert_eq!(of(Some("red"), None), [0]);
    // A rule opens to nobody what belongs to another team.
    assert_eq!(of(Some("blue"), None), [1, 2]);
    assert_eq!(of(None, Some("ann")), [2]);
    assert_eq!(of(None, Some("bob")), [1, 2]);
}

#[test]
fn boards_can_be_shared_between_threads() {
    fn is_shared<T: Send + Sync>() {}
    is_shared::<Arc<Board>>();
    is_shared::<Router>();
    is_shared::<Ticket>();
}

#[tokio::test(start_paused = true)]
async fn a_spent_account_rests_its_quota_group_unless_nobody_is_left_elsewhere() {
    let shared = "quota_group: acme";
    let (router, call) = (Router::seeded(1), call(&[shared, shared, ""], ""));
    let ended = || Ended::Failed {
        class: Class::RateLimit,
        retry_after: Some(seconds(90)),
        usage: None,
    };
    let mut ticket = pick(&router, &call).unwrap();
    while ticket.deployment() == DeploymentId(2) {
        ticket = pick(&router, &call).unwrap();
    }
    ticket.spent_account();
    let cooling = ticket.end(ended()).unwrap();
    assert_eq!(cooling.until.since(router.clock().now()), seconds(90));
    for at in [0, 1] {
        assert_eq!(health(&router, &call, at), Health::Cooling(cooling.until));
    }
    assert_eq!(health(&router, &call, 2), Health::Up);
    let whys = [0, 1].map(|at| router.board(&call.live).stats(DeploymentId(at)).why());
    assert!(whys.contains(&Some(Why::Quota)) && whys.contains(&Some(Why::RateLimited)));
}

#[test]
fn requests_at_once_follow_from_the_limits_of_a_minute_as_in_litellm() {
    for (limits, wanted) in [
        ("", Some(50)),
        ("max_parallel_requests: 2, rpm: 60, tpm: 9000", Some(2)),
        ("rpm: 60, tpm: 9000", Some(60)),
        ("tpm: 9000", Some(54)),
        ("tpm: 100", Some(1)),
    ] {
        let call = call(&[limits], "default_max_parallel_requests: 50");
        let board = Router::new().board(&call.live);
        assert_eq!(board.row(call.target).seats[0].parallel, wanted, "{limits}");
    }
}

#[tokio::test(start_paused = true)]
async fn those_whom_a_check_found_down_are_asked_when_nobody_else_is_left() {
    let (router, call) = (Router::seeded(1), call(&["", ""], ""));
    router.checked(&call.live, DeploymentId(0), Some(seconds(60)));
    for _ in 0..20 {
        assert_eq!(pick(&router, &call).unwrap().deployment(), DeploymentId(1));
    }
    router.checked(&call.live, DeploymentId(1), Some(seconds(60)));
    let asked: Vec<_> = (0..20)
        .map(|_| pick(&router, &call).unwrap().deployment().0)
        .collect();
    assert!(asked.contains(&0) && asked.contains(&1), "{asked:?}");
    // Its word holds for a time, or until the next one.
    router.checked(&call.live, DeploymentId(1), None);
    assert_eq!(health(&router, &call, 0), Health::Unhealthy);
    advance(seconds(61)).await;
    assert_eq!(health(&router, &call, 0), Health::Up);
}

#[test]
fn a_share_of_failures_counts_for_a_minute() {
    let stats = super::state::Stats::new(None);
    let at = |seconds_in: u64| Moment(0).plus(seconds(200 + seconds_in));
    let failed = |second: u64| {
        stats.failed(Class::Server, seconds(60), false, at(second));
    };
    let is = |second: u64, hundredths: f32| {
        let found = stats.errors(at(second)) * 100.0;
        assert!(
            (found - hundredths).abs() < 0.01,
            "{found} after {second} s"
        );
    };
    is(0, 0.0);
    failed(0);
    stats.succeeded(at(1));
    stats.succeeded(at(2));
    stats.succeeded(at(3));
    is(59, 25.0);
    failed(59);
    is(59, 40.0);
    is(80, 100.0);
    is(130, 0.0);
}
