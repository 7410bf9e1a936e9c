//! Acme's wire protocol, which is made up: turns go in, a reply comes out, whole or a line at a time.
//!
//! ```text
//! POST /talk/talker-1
//! {"turns": [{"from": "user", "say": "hi"}], "most": 9, "as_it_comes": false}
//!
//! {"reply": "hello", "why": "done", "spent": {"heard": 1, "said": 1}}
//! ```
//!
//! As it comes, each line is `{"more": "…"}`, and the last one is the answer without its reply. An
//! error is `{"fault": "busy", "words": "…"}`, with a status or as a line.

use bytes::Bytes;
use http::StatusCode;
use pointsman::call::Usage;
use pointsman::call::chat::{Answer, Choice, Delta, Event, Finish, Message, Part, Request, Role};
use pointsman::upstream::protocol::{
    Ask, Broken, Decoder, Protocol, Refusal, Task, Told, Unfit, Unreadable, Written,
};
use pointsman::wire::lines::{Lines, TooLong};
use serde_json::{Value, json};

/// Longest line that is held.
const MAX_LINE_BYTES: usize = 1 << 20;

/// Acme.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Acme;

impl Protocol for Acme {
    fn path(&self, task: Task, model: &str) -> Option<String> {
        match task {
            Task::Chat | Task::Stream => Some(format!("/talk/{model}")),
            Task::Embed | Task::Rerank | Task::CountTokens => None,
        }
    }

    fn write_chat(&self, ask: &Ask<'_>, chat: &Request) -> Result<Written, Unfit> {
        let mut dropped = Vec::new();
        // What Acme lacks is refused by its name, or left out where `drop_params` says so.
        let lacking = [
            ("tools", !chat.tools.is_empty()),
            ("response_format", chat.format.is_some()),
            ("temperature", chat.temperature.is_some()),
            ("top_p", chat.top_p.is_some()),
            ("stop", !chat.stop.is_empty()),
            ("n", chat.n.is_some_and(|n| n > 1)),
            ("seed", chat.seed.is_some()),
            ("logprobs", chat.logprobs == Some(true)),
            ("reasoning_effort", chat.reasoning.is_some()),
        ];
        for (name, asked) in lacking {
            if asked {
                ask.params.lacks(name, &mut dropped)?;
            }
        }
        let turns = chat.messages.iter().map(turn);
        let mut body = json!({
            "turns": turns.collect::<Result<Vec<_>, _>>()?,
            "as_it_comes": ask.task == Task::Stream,
        });
        if let Some(most) = chat.max_tokens {
            body["most"] = most.into();
        }
        // What nobody knows may be of Acme's own.
        for (name, value) in &chat.rest {
            body[name] = value.clone();
        }
        Ok(Written {
            body: body.to_string().into(),
            dropped,
            ..Written::default()
        })
    }

    fn read_chat(&self, _ask: &Ask<'_>, body: &[u8]) -> Result<Answer, Unreadable> {
        const STRANGE: Unreadable = Unreadable(std::borrow::Cow::Borrowed("It is no reply."));
        let value: Value = serde_json::from_slice(body).map_err(|_| STRANGE)?;
        let reply = value["reply"].as_str().ok_or(STRANGE)?;
        Ok(Answer {
            choices: vec![Choice {
                parts: vec![Part::text(reply)],
                finish: Some(finish(&value)),
                ..Choice::default()
            }],
            usage: usage(&value),
            ..Answer::default()
        })
    }

    fn decoder(&self, _ask: &Ask<'_>) -> Box<dyn Decoder> {
        Box::new(Reply {
            lines: Lines::new(MAX_LINE_BYTES),
            begun: false,
            ended: false,
        })
    }

    fn stream_type(&self) -> &'static str {
        "application/x-ndjson"
    }

    fn told(&self, _status: StatusCode, body: &[u8]) -> Told {
        told(&serde_json::from_slice(body).unwrap_or_default())
    }
}

fn turn(message: &Message) -> Result<Value, Unfit> {
    let from = match &message.role {
        Role::System => "house",
        Role::User => "user",
        Role::Assistant => "acme",
        Role::Tool | Role::Other(_) => {
            return Err(Unfit::new(Some("messages"), "Acme has no such role."));
        }
    };
    let mut say = String::new();
    for part in &message.parts {
        match part {
            Part::Text(text) => say.push_str(&text.text),
            Part::Refusal(text) => say.push_str(text),
            // Another model's thoughts are not for Acme.
            Part::Thinking(_) => {}
            _ => return Err(Unfit::new(Some("messages"), "Acme takes words only.")),
        }
    }
    Ok(json!({"from": from, "say": say}))
}

fn finish(value: &Value) -> Finish {
    match value["why"].as_str() {
        Some("done") | None => Finish::Stop,
        Some("enough") => Finish::Length,
        Some("improper") => Finish::ContentFilter,
        Some(other) => Finish::Other(other.to_owned()),
    }
}

fn usage(value: &Value) -> Option<Usage> {
    let spent = value.get("spent")?;
    Some(Usage {
        prompt: spent["heard"].as_u64()?,
        completion: spent["said"].as_u64()?,
        ..Usage::default()
    })
}

/// What an error says. `kind` and `status` tell the router what to do with it.
fn told(value: &Value) -> Told {
    let fault = value["fault"].as_str();
    Told {
        message: value["words"].as_str().map(str::to_owned),
        code: fault.map(str::to_owned),
        kind: match fault {
            Some("too_much") => Some(Refusal::ContextWindow),
            Some("improper") => Some(Refusal::ContentPolicy),
            _ => None,
        },
        status: match fault {
            Some("busy") => Some(StatusCode::TOO_MANY_REQUESTS),
            Some("improper") => Some(StatusCode::BAD_REQUEST),
            _ => None,
        },
        ..Told::default()
    }
}

/// Reads a reply as it comes.
#[derive(Debug)]
struct Reply {
    lines: Lines,
    begun: bool,
    ended: bool,
}

impl Reply {
    fn read(&mut self, line: &[u8], events: &mut Vec<Event>) -> Result<(), Broken> {
        let value: Value = serde_json::from_slice(line)
            .map_err(|_| Broken::Malformed("A line is no JSON.".into()))?;
        if !value["fault"].is_null() {
            let told = told(&value);
            return Err(Broken::Told(Told {
                status: told.status.or(Some(StatusCode::INTERNAL_SERVER_ERROR)),
                ..told
            }));
        }
        if !self.begun {
            self.begun = true;
            events.push(Event::Start {
                id: None,
                model: None,
                usage: None,
            });
        }
        if let Some(more) = value["more"].as_str() {
            events.push(Event::Delta {
                choice: 0,
                delta: Delta::Text(more.to_owned()),
            });
        }
        if value["why"].is_string() {
            self.ended = true;
            events.extend(usage(&value).map(Event::Usage));
            events.push(Event::Finish {
                choice: 0,
                finish: finish(&value),
                stop_sequence: None,
            });
        }
        Ok(())
    }
}

impl Decoder for Reply {
    fn push(&mut self, chunk: Bytes, events: &mut Vec<Event>) -> Result<(), Broken> {
        self.lines.push(&chunk);
        while let Some(line) = self.lines.next_line().map_err(|TooLong| Broken::TooLong)? {
            self.read(&line, events)?;
        }
        Ok(())
    }

    fn finish(&mut self, events: &mut Vec<Event>) -> Result<(), Broken> {
        if let Some(line) = self.lines.finish() {
            self.read(&line, events).map_err(|broken| match broken {
                // A line that was cut is no JSON, and says no more than that.
                Broken::Malformed(_) => Broken::Cut,
                broken => broken,
            })?;
        }
        if self.ended { Ok(()) } else { Err(Broken::Cut) }
    }
}
