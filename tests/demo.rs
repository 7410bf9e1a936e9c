//! The first minutes of a new user: the table that is compiled in, with no key and no file.

use serde_json::{Value, json};
use std::time::Instant;
use support::gateway;
use support::scene::CHAT;

fn hello(stream: bool) -> Value {
    json!({"model": "demo", "stream": stream, "messages": [{"role": "user", "content": "hello"}]})
}

#[tokio::test]
async fn the_demo_answers_with_no_key_at_all() {
    let gateway = gateway!().start().await;
    let answer = gateway.client().post(CHAT, &hello(false)).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let body = answer.json();
    assert_eq!(
        (&body["model"], &body["object"]),
        (&json!("demo"), &json!("chat.completion"))
    );
    assert!(
        !body["choices"][0]["message"]["content"]
            .as_str()
            .unwrap()
            .is_empty()
    );
}

#[tokio::test]
async fn the_demo_streams_in_chunks_that_come_one_after_the_other() {
    let gateway = gateway!().start().await;
    let mut stream = gateway.client().stream(CHAT, &hello(true)).await;
    let mut arrivals = Vec::new();
    let mut text = String::new();
    while let Some(event) = stream.next().await.unwrap() {
        if event == "[DONE]" {
            break;
        }
        arrivals.push(Instant::now());
        let chunk: Value = serde_json::from_str(&event).unwrap();
        text.push_str(
            chunk["choices"][0]["delta"]["content"]
                .as_str()
                .unwrap_or_default(),
        );
    }
    assert!(arrivals.len() > 3, "{} chunks", arrivals.len());
    assert!(!text.is_empty());
    let whole = gateway.client().post(CHAT, &hello(false)).await.json();
    assert_eq!(
        text,
        whole["choices"][0]["message"]["content"].as_str().unwrap()
    );
}

#[tokio::test]
async fn a_gateway_without_a_key_says_so_and_where_it_listens() {
    let gateway = gateway!().start().await;
    let address = gateway.address().to_string();
    gateway.until_log(&address).await;
    assert!(gateway.log().contains("127.0.0.1"));
}
