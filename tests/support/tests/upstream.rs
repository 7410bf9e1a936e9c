//! The fake upstream is as strict and as bad as it says.

use serde_json::{Value, json};
use support::{Client, Content, Ending, LineEnd, Outcome, Pieces, Reply, Upstream, Usage, sse};

const CHAT: &str = "/v1/chat/completions";

fn asking(stream: bool) -> Value {
    json!({"model": "m", "stream": stream, "messages": [{"role": "user", "content": "hi there"}]})
}

async fn pair() -> (Upstream, Client) {
    let upstream = Upstream::start().await;
    let client = Client::new(&upstream.url("")).key("sk-up");
    (upstream, client)
}

#[tokio::test]
async fn a_request_is_recorded_and_answered() {
    let (upstream, client) = pair().await;
    let answer = client.post(CHAT, &asking(false)).await;
    assert_eq!(answer.status, 200);
    assert_eq!(
        answer.json()["choices"][0]["message"]["content"],
        "You said: hi there"
    );
    let seen = upstream.only();
    assert_eq!((seen.connection, seen.path.as_str()), (1, CHAT));
    assert_eq!(seen.header("authorization"), Some("Bearer sk-up"));
    assert_eq!(seen.json(), asking(false));
    upstream
        .until("the end of the response", |seen| {
            seen[0].outcome == Outcome::Sent
        })
        .await;
}

#[tokio::test]
async fn azure_paths_are_served_too() {
    let (upstream, _) = pair().await;
    let client = Client::new(&upstream.url("")).header("api-key", "k");
    let path = "/openai/deployments/d/chat/completions?api-version=2024-10-21";
    assert_eq!(client.post(path, &asking(false)).await.status, 200);
    assert_eq!(
        upstream.only().query.as_deref(),
        Some("api-version=2024-10-21")
    );
}

#[tokio::test]
async fn a_fault_is_refused_and_kept() {
    let (upstream, client) = pair().await;
    let mut body = asking(false);
    body["num_retries"] = json!(2);
    assert_eq!(
        client
            .header("cookie", "a=b")
            .post(CHAT, &body)
            .await
            .status,
        400
    );
    assert_eq!(upstream.take_violations().len(), 2);
}

#[tokio::test]
async fn a_wrong_key_is_refused() {
    let (upstream, client) = pair().await;
    upstream.expect_key("sk-other");
    assert_eq!(client.post(CHAT, &asking(false)).await.status, 401);
}

#[tokio::test]
async fn usage_comes_in_a_chunk_of_its_own_when_asked_for() {
    let (_upstream, client) = pair().await;
    let mut body = asking(true);
    let without = client.stream(CHAT, &body).await.all().await;
    assert!(without.iter().all(|event| !event.contains("usage")));
    body["stream_options"] = json!({"include_usage": true});
    let with = client.stream(CHAT, &body).await.all().await;
    assert_eq!(with.len(), without.len() + 1);
    assert!(with[0].contains("\"usage\":null"));
    assert!(with[with.len() - 2].contains("\"choices\":[]"));
    assert_eq!(with.last().map(String::as_str), Some("[DONE]"));
}

#[tokio::test]
async fn usage_can_come_where_other_servers_put_it() {
    let (upstream, client) = pair().await;
    upstream.next(Reply {
        usage: Usage::InLastChoice,
        ..Reply::default()
    });
    let events = client.stream(CHAT, &asking(true)).await.all().await;
    let last: Value = serde_json::from_str(&events[events.len() - 2]).unwrap();
    assert_eq!(
        (
            &last["choices"][0]["finish_reason"],
            &last["usage"]["total_tokens"]
        ),
        (&json!("stop"), &json!(30))
    );
}

#[tokio::test]
async fn every_cut_of_a_stream_carries_the_same_events() {
    let (upstream, client) = pair().await;
    let events = ["{\"a\":\"\u{2028}\"}", "{\"b\":1}"];
    for line_end in [LineEnd::Lf, LineEnd::CrLf, LineEnd::Cr] {
        for step in 1..40 {
            let pieces = Pieces::Every(step);
            upstream.next(Reply {
                pieces,
                line_end,
                comments: true,
                ..Reply::events(events)
            });
            let got = client.stream(CHAT, &asking(true)).await.all().await;
            assert_eq!(got, [events[0], events[1], "[DONE]"]);
        }
    }
}

#[tokio::test]
async fn a_cut_stream_breaks_after_what_was_sent() {
    let (upstream, client) = pair().await;
    upstream.next(Reply {
        ending: Ending::CutAfter(20),
        ..Reply::events(["0123456789abcdef"])
    });
    let mut stream = client.stream(CHAT, &asking(true)).await;
    assert!(stream.next().await.is_err());
    assert_eq!(stream.bytes(), b"data: 0123456789abcd");
}

#[tokio::test]
async fn a_caller_that_leaves_is_noticed() {
    let (upstream, client) = pair().await;
    upstream.next(Reply {
        ending: Ending::StallAfter(20),
        ..Reply::default()
    });
    let stream = client.stream(CHAT, &asking(true)).await;
    assert_eq!(upstream.only().outcome, Outcome::Open);
    drop((stream, client));
    upstream
        .until("the caller's going", |seen| {
            seen[0].outcome == Outcome::Abandoned
        })
        .await;
}

#[tokio::test]
async fn a_held_response_waits_for_its_release() {
    let (upstream, client) = pair().await;
    upstream.next(Reply {
        hold_at: Some(12),
        ..Reply::events(["one", "two"])
    });
    let mut stream = client.stream(CHAT, &asking(true)).await;
    assert_eq!(stream.next().await.unwrap().as_deref(), Some("one"));
    assert_eq!(upstream.only().outcome, Outcome::Open);
    upstream.release();
    assert_eq!(stream.all().await, ["two", "[DONE]"]);
}

#[tokio::test]
async fn a_hang_up_is_no_response() {
    let (upstream, client) = pair().await;
    upstream.next(Reply {
        content: Content::HangUp,
        ..Reply::default()
    });
    assert!(
        client
            .try_post(CHAT, &asking(false).to_string())
            .await
            .is_err()
    );
    assert_eq!(upstream.only().outcome, Outcome::Sent);
}

#[tokio::test]
async fn a_compressed_answer_says_so() {
    let (upstream, client) = pair().await;
    upstream.next(Reply {
        gzip: true,
        ..Reply::default()
    });
    let answer = client.post(CHAT, &asking(false)).await;
    assert_eq!(answer.header("content-encoding"), Some("gzip"));
    assert_eq!(answer.body[..2], [0x1f, 0x8b]);
}

#[tokio::test]
async fn the_script_and_the_record_are_open_to_other_processes() {
    let (upstream, client) = pair().await;
    let plain = Client::new(&upstream.url(""));
    let reply = json!({"status": 429, "headers": [["retry-after", "7"]]});
    assert_eq!(plain.post("/__fake/model/m", &reply).await.status, 200);
    let answer = client.post(CHAT, &asking(false)).await;
    assert_eq!(
        (answer.status, answer.header("retry-after")),
        (429, Some("7"))
    );
    let seen = plain.get("/__fake/requests").await.json();
    assert_eq!(seen[0]["path"], CHAT);
    assert_eq!(
        plain.post("/__fake/violations", &json!({})).await.json(),
        json!([])
    );
}

#[tokio::test]
async fn tools_are_called_whole_and_in_pieces() {
    let (_upstream, client) = pair().await;
    let mut body = asking(false);
    let parameters = json!({"type": "object", "properties": {"city": {"type": "string"}}});
    body["tools"] =
        json!([{"type": "function", "function": {"name": "weather", "parameters": parameters}}]);
    let whole = client.post(CHAT, &body).await.json();
    let call = &whole["choices"][0]["message"]["tool_calls"][0]["function"];
    assert_eq!(
        (&call["name"], &call["arguments"]),
        (&json!("weather"), &json!("{\"city\":\"Paris\"}"))
    );
    body["stream"] = json!(true);
    let events = client.stream(CHAT, &body).await.all().await;
    let pieces = events
        .iter()
        .filter_map(|event| serde_json::from_str::<Value>(event).ok());
    let arguments: String = pieces
        .filter_map(|chunk| {
            let call = &chunk["choices"][0]["delta"]["tool_calls"][0];
            call["function"]["arguments"].as_str().map(str::to_owned)
        })
        .collect();
    assert_eq!(arguments, "{\"city\":\"Paris\"}");
    assert_eq!(sse::read(b"data: x\n\n"), ["x"]);
}
