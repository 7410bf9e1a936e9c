use std::collections::VecDeque;
use std::fmt::Write;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use tokio::time::{Instant, sleep};
use tower::{ServiceExt, service_fn};

use super::*;
use crate::call::example::call as make;
use crate::call::{Answer, AnswerBody, Attempt, Ends, OnEnd, Route};
use crate::error::{Rehearsal, UpstreamKind};
use crate::routing::Routing;
use crate::upstream::fault;

/// What one attempt meets.
#[derive(Clone, Debug)]
enum Fate {
    Answer,
    Status(u16),
    Says(u16, &'static str),
    After(u16, &'static str),
    Kind(UpstreamKind),
    Slow(u64),
}

/// No stream of these tests begins.
#[derive(Debug)]
struct Never;

impl Ends for Never {
    fn on_end(&mut self, _: OnEnd) {}

    fn on_break(&mut self, _: Again<Self>) {}
}

/// A deployment's id, and what is left for it.
type Fates = (&'static str, VecDeque<Fate>);

/// Deployments of a script: by id, what each attempt meets, the last for ever.
#[derive(Clone)]
struct Script {
    fates: Arc<Mutex<Vec<Fates>>>,
    came: Arc<Mutex<Vec<(String, u64)>>>,
    began: Instant,
}

impl Script {
    fn new<const N: usize>(fates: [(&'static str, &[Fate]); N]) -> Self {
        let fates = fates.map(|(id, fates)| (id, fates.iter().cloned().collect()));
        Self {
            fates: Arc::new(Mutex::new(fates.into())),
            came: Arc::default(),
            began: Instant::now(),
        }
    }

    fn fate(&self, id: &str) -> Fate {
        let mut fates = self.fates.lock().unwrap();
        let Some((_, fates)) = fates.iter_mut().find(|(known, _)| *known == id) else {
            return Fate::Answer;
        };
        if fates.len() > 1 {
            fates.pop_front().unwrap()
        } else {
            fates[0].clone()
        }
    }

    async fn meet(self, attempt: Attempt) -> Result<Answer<Never>, Failure> {
        let id = attempt.call.live.deployment(attempt.deployment).id.clone();
        let at = self.began.elapsed().as_millis().try_into().unwrap();
        self.came.lock().unwrap().push((id.to_string(), at));
        let status = |status| UpstreamKind::Status(StatusCode::from_u16(status).unwrap());
        match self.fate(&id) {
            Fate::Answer => {}
            Fate::Slow(seconds) => sleep(Duration::from_secs(seconds)).await,
            Fate::Status(code) => return Err(fault(&attempt, status(code), "no")),
            Fate::Says(code, text) => return Err(fault(&attempt, status(code), text)),
            Fate::Kind(kind) => return Err(fault(&attempt, kind, "")),
            Fate::After(code, after) => {
                let mut failure = fault(&attempt, status(code), "later");
                if let Failure::Upstream(fault) = &mut failure {
                    fault.told.after = Some(Duration::from_secs_f64(after.parse().unwrap()));
                }
                return Err(failure);
            }
        }
        Ok(Answer {
            deployment: attempt.deployment,
            status: StatusCode::OK,
            headers: HeaderMap::new(),
            latency: Duration::ZERO,
            dropped: Vec::new(),
            body: AnswerBody::Whole {
                bytes: Bytes::from_static(b"{}"),
                usage: None,
            },
        })
    }

    /// Who was asked, in order.
    fn asked(&self) -> Vec<String> {
        let came = self.came.lock().unwrap();
        came.iter().map(|(id, _)| id.clone()).collect()
    }

    /// When, in milliseconds.
    fn times(&self) -> Vec<u64> {
        self.came
            .lock()
            .unwrap()
            .iter()
            .map(|(_, at)| *at)
            .collect()
    }
}

/// One deployment: its group and id.
fn file(deployments: &[(&str, &str)], more: &str) -> String {
    let mut file = "model_list:\n".to_owned();
    for (at, (group, id)) in deployments.iter().enumerate() {
        let _ = write!(
            file,
            "- model_name: {group}\n  litellm_params: {{model: openai/m{at}, api_key: \
             os.environ/KEY}}\n  model_info: {{id: {id}}}\n"
        );
    }
    file + more
}

async fn ask(file: &str, members: &str, script: &Script) -> Result<Reached<Never>, Box<Lost>> {
    let body = format!(r#"{{"model":"a","messages":[]{members}}}"#);
    let mut call = make(file, Route::Chat, &body);
    let controls =
        crate::call::Controls::read(&call.live, "a", &call.body, &call.peek, None, false);
    call.controls = controls.unwrap();
    let router = Router::seeded(7);
    let script = script.clone();
    let inner = service_fn(move |attempt| script.clone().meet(attempt));
    let reliable = Reliable::new(router.clone(), Routing::new(router, inner));
    reliable.oneshot(Arc::new(call)).await
}

const DOWN: &[Fate] = &[Fate::Status(500)];

#[tokio::test(start_paused = true)]
async fn a_call_that_is_answered_leaves_no_trail() {
    let script = Script::new([]);
    let reached = ask(&file(&[("a", "a1")], ""), "", &script).await.unwrap();
    assert!(reached.trail.left.is_empty());
    assert_eq!((reached.trail.retries, reached.trail.fallbacks), (0, 0));
    assert_eq!(reached.call.name(), "a");
}

#[tokio::test(start_paused = true)]
async fn every_deployment_of_the_group_is_asked_at_once_before_any_is_asked_again() {
    let group = file(&[("a", "a1"), ("a", "a2"), ("a", "a3"), ("a", "a4")], "");
    let script = Script::new([("a1", DOWN), ("a2", DOWN), ("a3", DOWN)]);
    let reached = ask(&group, "", &script).await.unwrap();
    let mut asked = script.asked();
    assert_eq!(asked.last().unwrap(), "a4");
    asked.sort();
    asked.dedup();
    assert_eq!(asked.len(), script.asked().len());
    assert!(script.times().iter().all(|at| *at == 0));
    let retries = usize::try_from(reached.trail.retries).unwrap();
    assert_eq!(retries, script.asked().len() - 1);
}

#[tokio::test(start_paused = true)]
async fn a_single_deployment_is_asked_as_often_as_the_count_says() {
    for (members, more, attempts) in [
        ("", "", 3),
        ("", "router_settings: {num_retries: 1}\n", 2),
        (r#","num_retries":0"#, "", 1),
        (
            r#","num_retries":4"#,
            "router_settings: {num_retries: 1}\n",
            5,
        ),
        (
            "",
            "router_settings: {retry_policy: {InternalServerErrorRetries: 3}}\n",
            4,
        ),
        (
            "",
            "router_settings: {retry_policy: {InternalServerErrorRetries: 3}, \
             model_group_retry_policy: {a: {InternalServerErrorRetries: 1}}}\n",
            2,
        ),
    ] {
        let script = Script::new([("a1", DOWN)]);
        let lost = ask(&file(&[("a", "a1")], more), members, &script)
            .await
            .unwrap_err();
        assert_eq!(script.asked().len(), attempts, "{members} {more}");
        assert_eq!(lost.failure.status(), 500);
        assert_eq!(lost.trail.left.len(), attempts);
    }
}

#[tokio::test(start_paused = true)]
async fn the_class_of_a_failure_says_whether_it_is_tried_again() {
    for (fate, attempts) in [
        (Fate::Status(400), 1),
        (Fate::Status(404), 1),
        (Fate::Status(401), 1),
        (Fate::Status(422), 1),
        (Fate::Status(408), 3),
        (Fate::Status(409), 3),
        (Fate::Status(503), 3),
        (Fate::Kind(UpstreamKind::Unreachable), 3),
        (Fate::Kind(UpstreamKind::Malformed), 3),
        (Fate::Kind(UpstreamKind::Cut), 3),
        (Fate::Kind(UpstreamKind::Timeout(Duration::from_secs(1))), 3),
        (
            Fate::Says(400, "This model's maximum context length is 10 tokens"),
            1,
        ),
    ] {
        let script = Script::new([("a1", std::slice::from_ref(&fate))]);
        ask(&file(&[("a", "a1")], ""), "", &script)
            .await
            .unwrap_err();
        assert_eq!(script.asked().len(), attempts, "{fate:?}");
    }
    // A policy that names the class has the last word.
    let more = "router_settings: {retry_policy: {BadRequestErrorRetries: 1}}\n";
    let script = Script::new([("a1", &[Fate::Status(400)])]);
    ask(&file(&[("a", "a1")], more), "", &script)
        .await
        .unwrap_err();
    assert_eq!(script.asked().len(), 2);
    // A key that is refused is not shown again, but others of the group have their own.
    let script = Script::new([("a1", &[Fate::Status(401)]), ("a2", &[Fate::Status(401)])]);
    ask(&file(&[("a", "a1"), ("a", "a2")], ""), "", &script)
        .await
        .unwrap_err();
    assert_eq!(script.asked().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn the_provider_says_how_long_to_wait() {
    let fates = [Fate::After(429, "7"), Fate::After(503, "3"), Fate::Answer];
    let script = Script::new([("a1", &fates[..])]);
    ask(&file(&[("a", "a1")], ""), "", &script).await.unwrap();
    assert_eq!(script.times(), [0, 7_000, 10_000]);
    // Not longer than a minute: then it is a pause of the gateway's own.
    let script = Script::new([("a1", &[Fate::After(503, "61"), Fate::Answer])]);
    ask(
        &file(&[("a", "a1")], "router_settings: {retry_after: 5}\n"),
        "",
        &script,
    )
    .await
    .unwrap();
    assert_eq!(script.times(), [0, 5_000]);
    let script = Script::new([("a1", &[Fate::Status(500), Fate::Answer])]);
    ask(&file(&[("a", "a1")], ""), "", &script).await.unwrap();
    assert!(
        (250..=501).contains(&script.times()[1]),
        "{:?}",
        script.times()
    );
}

#[tokio::test(start_paused = true)]
async fn pauses_grow_as_the_file_says() {
    let more = "router_settings: {num_retries: 4, backoff: {base: 1, factor: 2, max: 3, jitter: \
                none}}\n";
    let fates = [
        Fate::Status(500),
        Fate::Status(500),
        // The provider's word is stronger.
        Fate::After(503, "10"),
        Fate::Status(500),
        Fate::Answer,
    ];
    let script = Script::new([("a1", &fates[..])]);
    ask(&file(&[("a", "a1")], more), "", &script).await.unwrap();
    assert_eq!(script.times(), [0, 1_000, 3_000, 13_000, 16_000]);
}

#[tokio::test(start_paused = true)]
async fn a_slow_attempt_is_doubled_elsewhere_and_once() {
    let group = file(
        &[("a", "a1"), ("a", "a2"), ("a", "a3")],
        "router_settings: {hedge_after: 1}\n",
    );
    let slow: &[Fate] = &[Fate::Slow(5)];
    let script = Script::new([("a1", slow), ("a2", slow), ("a3", slow)]);
    let reached = ask(&group, "", &script).await.unwrap();
    assert_eq!(script.times(), [0, 1_000]);
    assert_eq!(script.began.elapsed().as_secs(), 5);
    let asked = script.asked();
    assert_ne!(asked[0], asked[1]);
    assert_eq!((reached.trail.hedges, reached.trail.hedge_won), (1, false));
    assert!(reached.trail.left.is_empty());
    // Nobody is asked twice at once, so one alone is not doubled.
    let script = Script::new([("a1", slow)]);
    let alone = file(&[("a", "a1")], "router_settings: {hedge_after: 1}\n");
    ask(&alone, "", &script).await.unwrap();
    assert_eq!(script.times(), [0]);
}

#[tokio::test(start_paused = true)]
async fn who_waits_for_a_turn_is_not_doubled_past_those_before() {
    let place = |id: &str, more: &str| {
        format!(
            "- model_name: a\n  litellm_params: {{model: openai/{id}, api_key: os.environ/KEY, \
             {more}}}\n  model_info: {{id: {id}}}\n"
        )
    };
    let file = format!(
        "model_list:\n{}{}router_settings: {{hedge_after: 1}}\n",
        place("a1", "region_name: eu, max_parallel_requests: 1"),
        place("a2", "region_name: us")
    );
    let script = Script::new([("a1", &[Fate::Slow(5)][..])]);
    let router = Router::seeded(7);
    let inner = {
        let script = script.clone();
        service_fn(move |attempt| script.clone().meet(attempt))
    };
    let reliable = Reliable::new(router.clone(), Routing::new(router, inner));
    let ask = |members: &str| {
        let body = format!(r#"{{"model":"a","messages":[],{members}}}"#);
        let call = make(&file, Route::Chat, &body);
        reliable.clone().oneshot(Arc::new(call))
    };
    // The first has the only place in the EU, the second waits for it, and the third behind that one.
    let (first, second, third) = tokio::join!(
        ask(r#""allowed_model_region":"eu""#),
        ask(r#""allowed_model_region":"eu","priority":1"#),
        ask(r#""priority":2"#)
    );
    assert_eq!(script.asked(), ["a1", "a1", "a2"]);
    assert_eq!(script.times(), [0, 5_000, 5_000]);
    let hedges = [first, second, third].map(|reached| reached.unwrap().trail.hedges);
    assert_eq!(hedges, [1, 0, 0]);
}

#[tokio::test(start_paused = true)]
async fn a_double_that_fails_leaves_the_first_to_answer_and_counts_no_retry() {
    let group = file(
        &[("a", "a1"), ("a", "a2")],
        "router_settings: {hedge_after: 1}\n",
    );
    // Whoever is asked first is slow; the other one fails.
    for slow in ["a1", "a2"] {
        let other = if slow == "a1" { "a2" } else { "a1" };
        let script = Script::new([(slow, &[Fate::Slow(5)][..]), (other, DOWN)]);
        let reached = ask(&group, "", &script).await.unwrap();
        if script.asked()[0] == slow {
            assert_eq!(script.asked(), [slow, other]);
            assert_eq!(reached.trail.retries, 0);
            assert_eq!((reached.trail.left.len(), reached.trail.hedges), (1, 1));
            assert_eq!(script.began.elapsed().as_secs(), 5);
            return;
        }
    }
    panic!("one of the two is asked first");
}

#[tokio::test(start_paused = true)]
async fn a_call_that_is_given_up_leaves_word_of_its_failed_attempts() {
    let told = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&told);
    let router = Router::seeded(7);
    let script = Script::new([("a1", &[Fate::Status(500), Fate::Slow(60)][..])]);
    let inner = service_fn({
        let script = script.clone();
        move |attempt| script.clone().meet(attempt)
    });
    let reliable = Reliable::new(router.clone(), Routing::new(router, inner))
        .on_abandon(move |_: &Arc<Call>, trail: &Trail| log.lock().unwrap().push(trail.left.len()));
    let call = || {
        let body = r#"{"model":"a","messages":[]}"#;
        Arc::new(make(&file(&[("a", "a1")], ""), Route::Chat, body))
    };
    let asked = reliable.clone().oneshot(call());
    let waited = tokio::time::timeout(Duration::from_secs(20), asked).await;
    assert!(waited.is_err());
    assert_eq!(*told.lock().unwrap(), [1]);
    // One that came to its end has a trail of its own.
    reliable.oneshot(call()).await.unwrap();
    assert_eq!(*told.lock().unwrap(), [1]);
}

#[tokio::test(start_paused = true)]
async fn the_time_of_all_attempts_has_an_end() {
    let more = "litellm_settings: {request_timeout: 10}\n";
    let script = Script::new([("a1", &[Fate::After(503, "6"), Fate::Slow(100)])]);
    let lost = ask(&file(&[("a", "a1")], more), "", &script)
        .await
        .unwrap_err();
    assert_eq!(script.began.elapsed().as_secs(), 10);
    assert_eq!(lost.failure.status(), 408);
    // No wait is begun that would last beyond it.
    let script = Script::new([("a1", &[Fate::After(503, "11")])]);
    let lost = ask(&file(&[("a", "a1")], more), "", &script)
        .await
        .unwrap_err();
    assert_eq!(script.began.elapsed().as_secs(), 0);
    assert_eq!(lost.failure.status(), 503);
}

#[tokio::test(start_paused = true)]
async fn time_that_runs_out_at_a_fallback_is_told_of_who_was_asked_there() {
    let groups = [("a", "a1"), ("b", "b1"), ("b", "b2")];
    let more = "router_settings: {num_retries: 0, fallbacks: [{a: [b]}]}\n\
                litellm_settings: {request_timeout: 10}\n";
    let slow: &[Fate] = &[Fate::Slow(100)];
    let script = Script::new([("a1", DOWN), ("b1", slow), ("b2", slow)]);
    let lost = ask(&file(&groups, more), "", &script).await.unwrap_err();
    assert_eq!(lost.failure.status(), 408);
    let Failure::Upstream(fault) = &lost.failure else {
        panic!("{}", lost.failure);
    };
    assert_eq!(fault.deployment, script.asked()[1]);
    assert_eq!(fault.group, "a");
}

#[tokio::test(start_paused = true)]
async fn fallbacks_are_tried_in_turn_and_none_twice() {
    let groups = [("a", "a1"), ("b", "b1"), ("c", "c1"), ("d", "d1")];
    let more = "router_settings:\n  num_retries: 0\n  fallbacks: [{a: [b, c]}, {b: [a, c]}, \
                {c: [a, b]}]\n  default_fallbacks: [d]\n";
    let script = Script::new([("a1", DOWN), ("b1", DOWN), ("c1", DOWN)]);
    let reached = ask(&file(&groups, more), "", &script).await.unwrap();
    assert_eq!(script.asked(), ["a1", "b1", "c1", "d1"]);
    assert_eq!(reached.trail.fallbacks, 3);
    assert_eq!(reached.call.name(), "d");
    assert_eq!(&*reached.call.asked, "a");
    assert_eq!(reached.call.name_of(reached.call.requested()), "a");
    // The last failure is the one that is told, with the names of all that could have helped.
    let busy: &[Fate] = &[Fate::Status(503)];
    let script = Script::new([("a1", DOWN), ("b1", DOWN), ("c1", DOWN), ("d1", busy)]);
    let lost = ask(&file(&groups, more), "", &script).await.unwrap_err();
    assert_eq!(lost.failure.status(), 503);
    let text = lost.failure.to_string();
    assert!(text.contains("Received Model Group=a"), "{text}");
    assert!(text.contains("Fallbacks=['b', 'c', 'd']"), "{text}");
}

#[tokio::test(start_paused = true)]
async fn the_number_of_fallbacks_is_bounded() {
    let groups = [("a", "a1"), ("b", "b1"), ("c", "c1")];
    let more = "router_settings: {num_retries: 0, max_fallbacks: 1, fallbacks: [{a: [b, c]}]}\n";
    let script = Script::new([("a1", DOWN), ("b1", DOWN)]);
    ask(&file(&groups, more), "", &script).await.unwrap_err();
    assert_eq!(script.asked(), ["a1", "b1"]);
    let script = Script::new([("a1", DOWN), ("b1", DOWN)]);
    ask(&file(&groups, more), r#","max_fallbacks":2"#, &script)
        .await
        .unwrap();
    let script = Script::new([("a1", DOWN)]);
    let lost = ask(
        &file(&groups, more),
        r#","disable_fallbacks":true"#,
        &script,
    )
    .await;
    assert_eq!(lost.unwrap_err().trail.fallbacks, 0);
    assert_eq!(script.asked(), ["a1"]);
}

#[tokio::test(start_paused = true)]
async fn the_two_special_refusals_have_lists_of_their_own() {
    let groups = [
        ("a", "a1"),
        ("b", "b1"),
        ("long", "long1"),
        ("mild", "mild1"),
    ];
    let more = "router_settings:\n  fallbacks: [{a: [b]}]\n  context_window_fallbacks: [{a: \
                [long]}]\n  content_policy_fallbacks: [{a: [mild]}]\n";
    let window: &[Fate] = &[Fate::Says(400, "context_length_exceeded")];
    let policy: &[Fate] = &[Fate::Says(400, "Azure's content management policy")];
    for (fate, then) in [
        (window, "long1"),
        (policy, "mild1"),
        (&[Fate::Status(400)], "b1"),
    ] {
        let script = Script::new([("a1", fate)]);
        ask(&file(&groups, more), "", &script).await.unwrap();
        assert_eq!(script.asked(), ["a1", then]);
    }
    // The last failure of the group counts, not the first.
    let fates = [Fate::Status(500), window[0].clone()];
    let script = Script::new([("a1", &fates[..])]);
    ask(&file(&groups, more), "", &script).await.unwrap();
    assert_eq!(script.asked(), ["a1", "a1", "long1"]);
    // When that one fails, too, the ordinary ones follow.
    let script = Script::new([("a1", window), ("long1", DOWN)]);
    ask(&file(&groups, more), r#","num_retries":0"#, &script)
        .await
        .unwrap();
    assert_eq!(script.asked(), ["a1", "long1", "b1"]);
}

#[tokio::test(start_paused = true)]
async fn a_rate_limit_goes_to_a_fallback_without_a_wait() {
    let groups = [("a", "a1"), ("b", "b1")];
    let more = "router_settings: {fallbacks: [{a: [b]}]}\n";
    let script = Script::new([("a1", &[Fate::After(429, "30")])]);
    ask(&file(&groups, more), "", &script).await.unwrap();
    assert_eq!(script.times(), [0, 0]);
}

#[tokio::test(start_paused = true)]
async fn a_caller_brings_its_own_fallbacks() {
    let groups = [("a", "a1"), ("b", "b1"), ("c", "c1")];
    let more = "router_settings: {num_retries: 0, fallbacks: [{a: [b]}]}\n";
    let script = Script::new([("a1", DOWN)]);
    let members = r#","fallbacks":[{"model":"c","messages":[{"role":"user","content":"x"}]}]"#;
    let reached = ask(&file(&groups, more), members, &script).await.unwrap();
    assert_eq!(script.asked(), ["a1", "c1"]);
    let call = &reached.call;
    let messages = call.peek.value(&call.body, crate::call::Field::Messages);
    assert_eq!(messages, Some(&br#"[{"role":"user","content":"x"}]"#[..]));
}

#[tokio::test(start_paused = true)]
async fn failures_are_acted_out() {
    let groups = [("a", "a1"), ("b", "b1"), ("long", "long1")];
    let more = "router_settings:\n  timeout: 4\n  fallbacks: [{a: [b]}]\n  \
                context_window_fallbacks: [{a: [long]}]\n";
    for (member, asked, seconds) in [
        ("mock_testing_fallbacks", "b1", 0),
        ("mock_testing_context_window_fallbacks", "long1", 0),
        ("mock_testing_content_policy_fallbacks", "b1", 0),
        ("mock_testing_rate_limit_error", "a1", 0),
        ("mock_timeout", "b1", 4),
    ] {
        let script = Script::new([]);
        let members = format!(r#","{member}":true"#);
        let reached = ask(&file(&groups, more), &members, &script).await.unwrap();
        assert_eq!(script.asked(), [asked], "{member}");
        assert_eq!(script.began.elapsed().as_secs(), seconds);
        assert_eq!(reached.trail.left[0].why, "rehearsed");
    }
    let script = Script::new([]);
    let lost = ask(
        &file(&[("a", "a1")], ""),
        r#","mock_testing_fallbacks":true"#,
        &script,
    )
    .await;
    let failure = lost.unwrap_err().failure;
    assert!(matches!(
        failure,
        Failure::Rehearsed {
            act: Rehearsal::Fallbacks,
            ..
        }
    ));
}

#[tokio::test(start_paused = true)]
async fn each_order_of_a_group_is_tried_before_its_fallbacks() {
    let order = |at: u32| format!("{{model: openai/m, api_key: os.environ/KEY, order: {at}}}");
    let mut text = "model_list:\n".to_owned();
    for (id, at) in [("a1", 1), ("a2", 1), ("a3", 2), ("a4", 3)] {
        let params = order(at);
        let _ = writeln!(
            text,
            "- {{model_name: a, litellm_params: {params}, model_info: {{id: {id}}}}}"
        );
    }
    for fate in [Fate::Status(500), Fate::Status(400)] {
        let fates = [fate];
        let more = "router_settings: {num_retries: 0}\n";
        let script = Script::new([("a1", &fates[..]), ("a2", &fates), ("a3", &fates)]);
        ask(&(text.clone() + more), "", &script).await.unwrap();
        assert_eq!(script.asked()[1..], ["a3", "a4"]);
    }
    let script = Script::new([("a1", DOWN), ("a2", DOWN), ("a3", DOWN), ("a4", DOWN)]);
    ask(&text, r#","num_retries":1"#, &script)
        .await
        .unwrap_err();
    assert_eq!(script.asked()[2..4], ["a3", "a4"]);
}

#[tokio::test(start_paused = true)]
async fn an_order_that_was_gone_on_from_is_not_gone_back_to() {
    let one = |id: &str, order: u32| {
        format!(
            "- model_name: a\n  litellm_params: {{model: openai/m, api_key: os.environ/KEY, order: \
             {order}}}\n  model_info: {{id: {id}}}\n"
        )
    };
    let text = format!("model_list:\n{}{}", one("a1", 1), one("a2", 2));
    let script = Script::new([("a1", &[Fate::Status(400)]), ("a2", DOWN)]);
    let members = r#","num_retries":2"#;
    ask(&text, members, &script).await.unwrap_err();
    assert_eq!(script.asked(), ["a1", "a2", "a2", "a2"]);
}

#[tokio::test(start_paused = true)]
async fn an_order_of_which_nobody_can_be_asked_grants_no_retries_of_the_one_before() {
    let one = |id: &str, order: u32, more: &str| {
        format!(
            "- model_name: a\n  litellm_params: {{model: openai/m, api_key: os.environ/KEY, order: \
             {order}{more}}}\n  model_info: {{id: {id}}}\n"
        )
    };
    let text = format!(
        "model_list:\n{}{}{}",
        one("a1", 1, ", region_name: us"),
        one("a2", 2, ", region_name: eu"),
        one("a3", 3, ", region_name: us")
    );
    let script = Script::new([("a1", DOWN), ("a3", DOWN)]);
    let members = r#","allowed_model_region":"us","num_retries":2"#;
    ask(&text, members, &script).await.unwrap_err();
    let asked = script.asked();
    let of = |id: &str| asked.iter().filter(|one| *one == id).count();
    assert!(of("a1") <= 3 && of("a3") <= 3, "{asked:?}");
    let text = format!(
        "model_list:\n{}{}",
        one("a1", 1, ", region_name: us"),
        one("a2", 2, ", region_name: eu")
    );
    let script = Script::new([("a1", DOWN)]);
    ask(&text, members, &script).await.unwrap_err();
    assert_eq!(script.asked(), ["a1", "a1", "a1"]);
}

#[tokio::test(start_paused = true)]
async fn one_that_may_not_answer_does_not_keep_the_other_from_being_asked_again() {
    let one = |id: &str, region: &str| {
        format!(
            "- model_name: a\n  litellm_params: {{model: openai/m, api_key: os.environ/KEY, \
             region_name: {region}}}\n  model_info: {{id: {id}}}\n"
        )
    };
    let text = format!("model_list:\n{}{}", one("a1", "us"), one("a2", "eu"));
    let script = Script::new([("a1", &[Fate::Status(500), Fate::Answer])]);
    let members = r#","allowed_model_region":"us""#;
    let reached = ask(&text, members, &script).await.unwrap();
    assert_eq!(script.asked(), ["a1", "a1"]);
    assert_eq!((reached.trail.retries, reached.trail.left.len()), (1, 1));
}
