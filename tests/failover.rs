//! Rows A15, A8-08, A13-08 and A7-12: as long as one deployment answers, the caller gets an answer.

#![expect(clippy::unwrap_used, reason = "to panic is how a test fails")]

use serde_json::{Value, json};
use std::net::TcpListener;
use std::time::{Duration, Instant};
use support::scene::{CHAT, MASTER_KEY, keyed};
use support::{Answer, Client, Content, Ending, Gateway, Reply, Upstream, gateway};

const SEED: &str = include_str!("fixtures/config/seeds/a1_azure_first_failover.yaml");
/// The deployments of the seed, in its order.
const IDS: [&str; 4] = [
    "azure-westus-gpt4o",
    "azure-eastus-gpt4o",
    "openai-direct-gpt4o",
    "anthropic-claude-sonnet",
];

/// How a deployment is down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Down {
    Refused,
    Status(u16),
    RateLimited,
    Slow,
    Cut,
    CutInHead,
    Html,
    Malformed,
    Empty,
}

const MODES: [Down; 13] = [
    Down::Refused,
    Down::Status(401),
    Down::Status(403),
    Down::Status(408),
    Down::Status(500),
    Down::Status(503),
    Down::RateLimited,
    Down::Slow,
    Down::Cut,
    Down::CutInHead,
    Down::Html,
    Down::Malformed,
    Down::Empty,
];

impl Down {
    fn reply(self) -> Reply {
        match self {
            Self::Refused => Reply::default(),
            Self::Status(status) => Reply::error(status, "down"),
            Self::RateLimited => Reply::rate_limited("30"),
            Self::Slow => Reply {
                hold_head: true,
                ..Reply::default()
            },
            Self::Cut => Reply {
                ending: Ending::CutAfter(0),
                ..Reply::default()
            },
            Self::CutInHead => Reply {
                content: Content::HangUp,
                ..Reply::default()
            },
            Self::Html => Reply {
                content: Content::Html,
                ..Reply::default()
            },
            Self::Malformed => Reply::text("{\"id\": \"chatcmpl-1\", \"choices\": [{"),
            Self::Empty => Reply::text(""),
        }
    }
}

/// The seed between four upstreams, the Anthropic deployment as one that speaks OpenAI's dialect.
struct Town {
    upstreams: Vec<Upstream>,
    gateway: Gateway,
    client: Client,
}

impl Town {
    async fn start(down: &[(usize, Down)]) -> Self {
        let mut upstreams = Vec::new();
        let mut bases = Vec::new();
        for at in 0..IDS.len() {
            let upstream = Upstream::start().await;
            let found = down.iter().find(|(which, _)| *which == at);
            bases.push(match found {
                Some((_, Down::Refused)) => closed(),
                _ => upstream.url(""),
            });
            if let Some((_, how)) = found {
                for model in ["gpt-4o", "claude-3-5-sonnet-20241022"] {
                    upstream.on_model(model, how.reply());
                }
            }
            upstreams.push(upstream);
        }
        let gateway = keyed(gateway!())
            .env("LITELLM_MASTER_KEY", MASTER_KEY)
            .env("AZURE_API_KEY", "azure-key-one")
            .env("AZURE_API_KEY_SECONDARY", "azure-key-two")
            .env("OPENAI_API_KEY", "sk-openai-three")
            .env("ANTHROPIC_API_KEY", "sk-ant-four")
            .config(&config(&bases))
            .start()
            .await;
        let client = gateway.client().key(MASTER_KEY);
        Self {
            upstreams,
            gateway,
            client,
        }
    }
}

/// The seed with these addresses, a short deadline for each attempt, and no database.
fn config(bases: &[String]) -> String {
    let change = |text: String, from: &str, to: &str| {
        assert!(text.contains(from), "{from} in the seed");
        text.replacen(from, to, 1)
    };
    let text = SEED.to_owned();
    let text = change(text, "https://westus-primary.openai.azure.com/", &bases[0]);
    let text = change(
        text,
        "https://eastus-secondary.openai.azure.com/",
        &bases[1],
    );
    let direct = "      model: gpt-4o\n";
    let text = change(
        text,
        direct,
        &format!("{direct}      api_base: {}/v1\n", bases[2]),
    );
    let claude = "      model: anthropic/claude-3-5-sonnet-20241022\n";
    let like = "      model: openai/claude-3-5-sonnet-20241022\n";
    let text = change(
        text,
        claude,
        &format!("{like}      api_base: {}/v1\n", bases[3]),
    );
    let text = change(text, "  database_url: os.environ/DATABASE_URL\n", "");
    change(
        text,
        "router_settings:\n",
        "router_settings:\n  timeout: 0.5\n",
    )
}

/// An address where nobody listens.
fn closed() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    format!("http://{}", listener.local_addr().unwrap())
}

fn body(stream: bool) -> Value {
    let messages = json!([{"role": "user", "content": "hi"}]);
    json!({"model": "gpt-4o", "messages": messages, "stream": stream})
}

/// What callers waited in one way of being down; `--nocapture` shows it.
fn report(how: &str, mut took: Vec<Duration>) {
    took.sort_unstable();
    let (first, middle, last) = (took[0], took[took.len() / 2], took[took.len() - 1]);
    println!("| {how:<12} | {first:>9.1?} | {middle:>9.1?} | {last:>9.1?} |");
}

#[tokio::test]
async fn nobody_is_down() {
    let town = Town::start(&[]).await;
    let mut took = Vec::new();
    for round in 0..16 {
        let began = Instant::now();
        let answer = town.client.post(CHAT, &body(round % 2 == 0)).await;
        took.push(began.elapsed());
        assert_eq!(answer.status, 200, "{}", answer.text());
        let attempts = answer.header("x-pointsman-attempts").unwrap();
        assert!(!attempts.contains(','), "{attempts}");
    }
    report("nothing", took);
}

/// Any three of the four down in this way: every request is answered by the fourth.
async fn three_are_down(how: Down) {
    let mut took = Vec::new();
    for (survivor, left) in IDS.iter().enumerate() {
        let down: Vec<_> = (0..IDS.len())
            .filter(|at| *at != survivor)
            .map(|at| (at, how))
            .collect();
        let town = Town::start(&down).await;
        for round in 0..4 {
            let stream = round % 2 == 0;
            let began = Instant::now();
            let answer = town.client.post(CHAT, &body(stream)).await;
            took.push(began.elapsed());
            let told = || format!("{how:?}, {left} left: {}", answer.text());
            assert_eq!(answer.status, 200, "{}", told());
            let attempts = answer.header("x-pointsman-attempts").unwrap();
            let last = format!("{left};why=answered");
            assert!(attempts.ends_with(&last), "{attempts}");
            if stream {
                assert!(answer.text().ends_with("data: [DONE]\n\n"), "{}", told());
                assert!(!answer.text().contains("\"error\""), "{}", told());
            } else {
                assert_eq!(answer.json()["model"], "gpt-4o");
            }
            let retries: usize = answer
                .header("x-litellm-attempted-retries")
                .unwrap()
                .parse()
                .unwrap();
            assert_eq!(attempts.split(", ").count(), retries + 1, "{attempts}");
        }
        for upstream in &town.upstreams {
            upstream.take_violations();
        }
        assert!(!town.gateway.log().contains("panic"));
    }
    report(&format!("{how:?}"), took);
}

macro_rules! each_mode {
    ($($name:ident = $at:literal;)*) => {
        $(
            #[tokio::test]
            async fn $name() {
                three_are_down(MODES[$at]).await;
            }
        )*

        #[test]
        fn every_mode_is_tried() {
            assert_eq!([$($at),*].len(), MODES.len());
        }
    };
}

each_mode! {
    three_that_refuse_connections_fail_no_request = 0;
    three_with_wrong_keys_fail_no_request = 1;
    three_that_forbid_fail_no_request = 2;
    three_that_time_out_themselves_fail_no_request = 3;
    three_with_internal_errors_fail_no_request = 4;
    three_that_are_unavailable_fail_no_request = 5;
    three_at_their_rate_limit_fail_no_request = 6;
    three_that_say_nothing_fail_no_request = 7;
    three_whose_answers_are_cut_fail_no_request = 8;
    three_that_hang_up_fail_no_request = 9;
    three_with_html_pages_fail_no_request = 10;
    three_with_malformed_json_fail_no_request = 11;
    three_with_empty_answers_fail_no_request = 12;
}

#[tokio::test]
async fn requests_at_once_are_all_answered_by_the_one_that_is_left() {
    let down = [
        (0, Down::Status(500)),
        (1, Down::RateLimited),
        (2, Down::Refused),
    ];
    let town = Town::start(&down).await;
    let asked = (0..32).map(|at| {
        let client = town.client.clone();
        tokio::spawn(async move { client.post(CHAT, &body(at % 2 == 0)).await.status })
    });
    for status in asked.collect::<Vec<_>>() {
        assert_eq!(status.await.unwrap(), 200);
    }
}

#[tokio::test]
async fn when_all_are_down_the_last_failure_is_told_without_a_wait_for_ever() {
    let down = [0, 1, 2, 3].map(|at| (at, Down::RateLimited));
    let town = Town::start(&down).await;
    let body = body(false);
    let answer = tokio::time::timeout(Duration::from_secs(5), town.client.post(CHAT, &body));
    let answer = answer.await.unwrap();
    assert_eq!(answer.status, 429, "{}", answer.text());
    assert!(answer.header("retry-after").is_some());
    let attempts = answer.header("x-pointsman-attempts").unwrap();
    assert_eq!(
        attempts.matches("why=rate_limit;status=429").count(),
        4,
        "{attempts}"
    );
    for id in IDS {
        assert!(attempts.contains(id), "{attempts}");
    }
    assert_eq!(answer.header("x-litellm-max-fallbacks"), Some("5"));
    let error = &answer.json()["error"]["message"];
    let error = error.as_str().unwrap();
    assert!(
        error.contains("Available Model Group Fallbacks=None"),
        "{error}"
    );
}

/// Two groups, `chat` with a fallback and `spare`, each at an upstream of its own.
struct Pair {
    chat: Upstream,
    spare: Upstream,
    gateway: Gateway,
    client: Client,
}

impl Pair {
    async fn start(router: &str, general: &str) -> Self {
        let (chat, spare) = (Upstream::start().await, Upstream::start().await);
        let group = |name: &str, upstream: &Upstream| {
            format!(
                "  - model_name: {name}\n    litellm_params: {{model: openai/{name}-model, \
                 api_base: \"{}\", api_key: os.environ/TEST_UPSTREAM_KEY}}\n    model_info: \
                 {{id: {name}-1}}\n",
                upstream.url("/v1")
            )
        };
        let config = format!(
            "model_list:\n{}{}router_settings:\n  num_retries: 0\n{router}general_settings:\n  \
             master_key: os.environ/TEST_MASTER_KEY\n{general}",
            group("chat", &chat),
            group("spare", &spare)
        );
        let gateway = keyed(gateway!()).config(&config).start().await;
        let client = gateway.client().key(MASTER_KEY);
        Self {
            chat,
            spare,
            gateway,
            client,
        }
    }

    async fn ask(&self, members: Value) -> Answer {
        let mut body = json!({"model": "chat", "messages": [{"role": "user", "content": "hi"}]});
        for (name, value) in members.as_object().unwrap() {
            body[name] = value.clone();
        }
        self.client.post(CHAT, &body).await
    }
}

const WITH_FALLBACK: &str = "  fallbacks: [{chat: [spare]}]\n";
const REHEARSING: &str = "  dangerously_allow_mock_testing_request_params: true\n";

#[tokio::test]
async fn the_fallback_answers_under_its_own_name() {
    let pair = Pair::start(WITH_FALLBACK, "").await;
    pair.chat.on_model("chat-model", Reply::error(500, "down"));
    let answer = pair.ask(json!({})).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(answer.json()["model"], "spare");
    let header = |name: &str| answer.header(name).unwrap().to_owned();
    assert_eq!(header("x-litellm-attempted-retries"), "0");
    assert_eq!(header("x-litellm-attempted-fallbacks"), "1");
    assert_eq!(header("x-litellm-max-retries"), "0");
    assert_eq!(header("x-litellm-max-fallbacks"), "5");
    assert_eq!(header("x-litellm-model-group"), "spare");
    assert_eq!(header("x-litellm-model-id"), "spare-1");
    assert_eq!(
        header("x-pointsman-attempts"),
        "chat-1;why=server;status=500, spare-1;why=answered"
    );
    let stream = pair.ask(json!({"stream": true})).await;
    assert!(
        stream.text().contains(r#""model":"spare""#),
        "{}",
        stream.text()
    );
    let metrics = pair.client.get("/metrics").await.text();
    let counted = |name: &str, parts: &[&str], count: u32| {
        let found = metrics.lines().any(|line| {
            line.starts_with(name)
                && parts.iter().all(|part| line.contains(part))
                && line.ends_with(&format!(" {count}"))
        });
        assert!(found, "{name} {parts:?} {count} in {metrics}");
    };
    let labels = [
        r#"requested_model="chat""#,
        r#"fallback_model="spare""#,
        r#"exception_status="500""#,
        r#"exception_class="Openai.InternalServerError""#,
    ];
    counted("litellm_deployment_successful_fallbacks_total", &labels, 2);
    counted(
        "litellm_deployment_failure_responses_total",
        &[r#"model_id="chat-1""#],
        2,
    );
    let good = [r#"model_id="spare-1""#, r#"requested_model="chat""#];
    counted("litellm_deployment_success_responses_total", &good, 2);
    assert!(!pair.gateway.log().contains("panic"));
}

#[tokio::test]
async fn when_the_fallback_fails_too_its_failure_is_told() {
    let pair = Pair::start(WITH_FALLBACK, "").await;
    pair.chat.on_model("chat-model", Reply::error(500, "down"));
    pair.spare
        .on_model("spare-model", Reply::error(503, "also down"));
    let answer = pair.ask(json!({})).await;
    assert_eq!(answer.status, 503, "{}", answer.text());
    let message = answer.json()["error"]["message"]
        .as_str()
        .unwrap()
        .to_owned();
    assert!(message.contains("also down"), "{message}");
    assert!(message.contains("Received Model Group=chat"), "{message}");
    assert!(
        message.contains("Available Model Group Fallbacks=['spare']"),
        "{message}"
    );
    let metrics = pair.client.get("/metrics").await.text();
    assert!(
        metrics.contains("litellm_deployment_failed_fallbacks_total{"),
        "{metrics}"
    );
}

#[tokio::test]
async fn a_request_brings_its_own_fallbacks_and_counts() {
    let pair = Pair::start("", "").await;
    pair.chat.on_model("chat-model", Reply::error(500, "down"));
    let messages = json!([{"role": "user", "content": "shorter"}]);
    for fallbacks in [
        json!(["spare"]),
        json!([{"model": "spare", "messages": messages}]),
        json!([{"chat": ["spare"]}]),
    ] {
        let answer = pair.ask(json!({"fallbacks": fallbacks})).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
    }
    let sent = pair.spare.seen()[1].json();
    assert_eq!(
        (&sent["messages"], &sent["model"]),
        (&messages, &json!("spare-model"))
    );
    assert_eq!(sent.get("fallbacks"), None);
    let refused = pair.ask(json!({"fallbacks": ["nobody"]})).await;
    assert_eq!(refused.status, 400, "{}", refused.text());
    let before = pair.chat.seen().len();
    let answer = pair.ask(json!({"num_retries": 1})).await;
    assert_eq!((answer.status, pair.chat.seen().len()), (500, before + 2));
    let client = pair.client.clone().header("x-litellm-num-retries", "1");
    let before = pair.chat.seen().len();
    let body = json!({"model": "chat", "messages": messages, "num_retries": 0});
    let answer = client.post(CHAT, &body).await;
    assert_eq!((answer.status, pair.chat.seen().len()), (500, before + 2));
    let off = json!({"fallbacks": ["spare"], "disable_fallbacks": true});
    assert_eq!(pair.ask(off).await.status, 500);
}

#[tokio::test]
async fn prompts_that_are_too_long_and_refused_content_have_lists_of_their_own() {
    for (list, said) in [
        (
            "context_window_fallbacks",
            "This model's maximum context length is 8 tokens.",
        ),
        (
            "content_policy_fallbacks",
            "Your request was rejected as a result of our safety system.",
        ),
    ] {
        let pair = Pair::start(&format!("  {list}: [{{chat: [spare]}}]\n"), "").await;
        pair.chat.next(Reply::error(400, said));
        let answer = pair.ask(json!({})).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        pair.chat
            .next(Reply::error(400, "temperature must be a number"));
        assert_eq!(pair.ask(json!({})).await.status, 400);
    }
}

#[tokio::test]
async fn operators_rehearse_failures() {
    let pair = Pair::start(WITH_FALLBACK, REHEARSING).await;
    for switch in [
        "mock_testing_fallbacks",
        "mock_testing_context_window_fallbacks",
        "mock_testing_context_fallbacks",
        "mock_testing_content_policy_fallbacks",
    ] {
        let answer = pair.ask(json!({switch: true})).await;
        assert_eq!(answer.status, 200, "{switch}: {}", answer.text());
        assert_eq!(answer.json()["model"], "spare");
    }
    let timeout = pair
        .ask(json!({"mock_timeout": true, "timeout": 0.05}))
        .await;
    assert_eq!(timeout.json()["model"], "spare", "{}", timeout.text());
    let alone = json!({"mock_testing_fallbacks": true, "disable_fallbacks": true});
    let answer = pair.ask(alone).await;
    assert_eq!(answer.status, 500);
    assert!(
        answer
            .text()
            .contains("This is a mock exception for model=chat")
    );
    let limited = pair.ask(json!({"mock_testing_rate_limit_error": true, "num_retries": 1}));
    assert_eq!(limited.await.json()["model"], "chat");
    assert_eq!(pair.chat.seen().len(), 1);
}
