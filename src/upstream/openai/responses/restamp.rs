//! Passes the events of a response on.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use pointsman_routes::table::DeploymentId;
use serde_json::{Map, Value, json};

use super::stamp::{Edits, Found, Stamp};
use super::told;
use crate::call::{Call, Field, Said};
use crate::dialect::responses::failed_event;
use crate::error::Failure;
use crate::upstream::progress::Progress;
use crate::upstream::protocol::Broken;
use crate::wire::json::{self, Member};
use crate::wire::sse::{Event, Splitter, TooLong};

/// Longest event that is held. The last one repeats the whole response, images among it.
const MAX_EVENT_BYTES: usize = 64 << 20;

/// Passes the events of one response on: where they show the response, it has the gateway's names,
/// and every other byte is left.
#[derive(Debug)]
pub struct Restamp {
    splitter: Splitter,
    call: Arc<Call>,
    deployment: DeploymentId,
    progress: Progress,
    /// The caller gets events as soon as there are some, be they words or not: nobody else would be asked
    /// for the same.
    whenever: bool,
    /// It is looked up, and what became of it is no affair of the gateway's.
    kept: bool,
    /// Nobody else can go on with it; what was said is only counted.
    said: Said,
    /// The number of the last event.
    sequence: u64,
    /// What a last event of the gateway's own says of the response.
    head: Map<String, Value>,
}

impl Restamp {
    /// The events that answer `call`, from a deployment.
    pub fn new(call: Arc<Call>, deployment: DeploymentId) -> Self {
        let kept = call.kept.is_some();
        let whenever = kept || call.in_background();
        let head = json!({
            "id": "", "object": "response", "created_at": 0, "incomplete_details": null,
            "instructions": null, "metadata": {}, "model": call.name(), "output": [],
            "parallel_tool_calls": true, "temperature": null, "tool_choice": "auto",
            "tools": [], "top_p": null, "usage": null,
        });
        Self {
            splitter: Splitter::new(MAX_EVENT_BYTES),
            call,
            deployment,
            progress: Progress::default(),
            whenever,
            kept,
            said: Said::unheard(),
            sequence: 0,
            head: match head {
                Value::Object(head) => head,
                _ => Map::new(),
            },
        }
    }

    /// What there was so far.
    pub fn progress(&self) -> Progress {
        self.progress
    }

    /// What was said.
    pub fn said(&self) -> &Said {
        &self.said
    }

    /// Takes a chunk of bytes; returns what may go to the caller now, possibly nothing. On an
    /// error, what came before it in the chunk is in `out`.
    pub fn push(&mut self, chunk: Bytes, out: &mut BytesMut) -> Result<Option<Bytes>, Broken> {
        self.splitter.push(chunk);
        while let Some(event) = self
            .splitter
            .next_event()
            .map_err(|TooLong| Broken::TooLong)?
        {
            self.take(&event, out)?;
        }
        Ok((!out.is_empty()).then(|| out.split().freeze()))
    }

    /// The stream has ended. An error if the response is not complete.
    pub fn finish(&mut self, out: &mut BytesMut) -> Result<(), Broken> {
        if let Some(event) = self.splitter.finish() {
            self.take(&event, out)?;
            if event.data().is_some() {
                out.extend_from_slice(b"\n\n");
            }
        }
        if self.progress.done || !self.progress.started {
            Ok(())
        } else {
            Err(Broken::Cut)
        }
    }

    /// Writes the last event of a stream that broke.
    pub fn fail(&mut self, failure: &Failure, out: &mut BytesMut) {
        self.progress.done = true;
        failed_event(&self.head, self.sequence + 1, failure, out);
    }

    fn take(&mut self, event: &Event, out: &mut BytesMut) -> Result<(), Broken> {
        let Some(data) = event.data() else {
            out.extend_from_slice(&event.raw);
            return Ok(());
        };
        // Some servers end as chat does.
        if &*data == b"[DONE]" {
            return Ok(());
        }
        let malformed = || Broken::Malformed("An event is no JSON object.".into());
        let mut found = Parts::default();
        json::members(&data, |member| found.note(&data, member)).map_err(|_| malformed())?;
        let kind = found.kind.map_or(b"" as &[u8], |kind| kind.value(&data));
        let number = found.sequence.and_then(|member| {
            let text = std::str::from_utf8(member.value(&data)).ok()?;
            text.parse().ok()
        });
        self.sequence = number.unwrap_or(self.sequence + 1);
        if kind == b"\"error\"" {
            let error: Value = serde_json::from_slice(&data).unwrap_or_default();
            // OpenAI's reference has the members beside the type, and its servers in an object.
            let inner = error.get("error").filter(|error| error.is_object());
            return Err(Broken::Told(told(inner.unwrap_or(&error))));
        }
        let Some(response) = found.response else {
            self.progress.started = true;
            if let Some(delta) = found.delta {
                note(kind, delta.value(&data), &mut self.said);
            }
            out.extend_from_slice(&event.raw);
            return Ok(());
        };
        let inner = response.value(&data);
        let shown = Found::read(inner).map_err(|_| malformed())?;
        self.progress.started |= self.whenever;
        if kind == b"\"response.failed\"" && !self.kept {
            let failure = shown.failure(inner);
            return Err(failure.unwrap_or(Broken::Told(told(&Value::Null))));
        }
        if matches!(
            kind,
            b"\"response.completed\""
                | b"\"response.incomplete\""
                | b"\"response.failed\""
                | b"\"response.cancelled\""
        ) {
            let usage = shown.usage(inner);
            self.progress = Progress {
                usage,
                counted: usage.is_some() || !self.whenever,
                done: true,
                finished: true,
                started: true,
            };
        }
        let mut edits = Edits::new();
        let stamp = stamp_of(&self.call, self.deployment);
        stamp.edits(inner, &shown, response.value_start, &mut edits);
        if let Some(created) = shown.created {
            let created = serde_json::from_slice(created.value(inner));
            self.head
                .insert("created_at".to_owned(), created.unwrap_or_default());
        }
        let id = shown.id.and_then(|id| stamp.issued(id.value(inner)));
        if let Some(id) = id {
            self.head.insert("id".to_owned(), id.into());
        }
        event.write_changed(&data, &edits, out);
        Ok(())
    }
}

/// Notes what an event says that tells what is new.
fn note(kind: &[u8], delta: &[u8], said: &mut Said) {
    match json::string(delta) {
        Some(words) if kind == b"\"response.output_text.delta\"" => said.say(&words),
        Some(other) => said.think(other.len()),
        None => {}
    }
}

/// The names that an answer to a call bears.
pub(crate) fn stamp_of(call: &Call, deployment: DeploymentId) -> Stamp<'_> {
    if let Some(kept) = &call.kept {
        return Stamp {
            ids: call.live.ids(),
            owner: kept.issued.owner,
            deployment: &kept.issued.deployment,
            model: call.name(),
            previous: None,
        };
    }
    Stamp {
        ids: call.live.ids(),
        owner: call.principal.owner(),
        deployment: &call.live.deployment(deployment).id,
        model: call.name(),
        previous: call.peek.text(&call.body, Field::PreviousResponseId),
    }
}

/// The members of an event that the gateway looks at.
#[derive(Default)]
struct Parts {
    kind: Option<Member>,
    sequence: Option<Member>,
    delta: Option<Member>,
    response: Option<Member>,
}

impl Parts {
    fn note(&mut self, text: &[u8], member: Member) {
        match member.raw_name(text) {
            b"type" => self.kind = Some(member),
            b"sequence_number" => self.sequence = Some(member),
            b"delta" => self.delta = Some(member),
            b"response" if member.value(text).starts_with(b"{") => self.response = Some(member),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::call::Route;
    use crate::call::example::attempt;

    const CONFIG: &str = "model_list:\n- {model_name: mine, litellm_params: {model: openai/gpt-4o, \
                          api_key: k}, model_info: {id: east}}\n";

    const STREAM: &str = concat!(
        "event: response.created\ndata: {\"type\":\"response.created\",\"sequence_number\":0,\"response\":{\"id\":\"resp_1\",\"created_at\":7,\"model\":\"gpt-4o-2024\",\"error\":null,\"usage\":null}}\n\n",
        "event: response.output_item.added\ndata: {\"type\":\"response.output_item.added\",\"sequence_number\":1,\"output_index\":0,\"item\":{\"id\":\"msg_1\"}}\n\n",
        "event: response.output_text.delta\ndata: {\"type\":\"response.output_text.delta\",\"sequence_number\":2,\"delta\":\"resp_1 gpt-4o-2024 \u{2028}\"}\n\n",
        "event: response.completed\ndata: {\"type\":\"response.completed\",\"sequence_number\":3,\"response\":{\"id\":\"resp_1\",\"model\":\"gpt-4o-2024\",\"usage\":{\"input_tokens\":3,\"output_tokens\":4}}}\n\n",
    );

    fn restamp() -> Restamp {
        let body = r#"{"model":"mine","input":"x","stream":true}"#;
        let attempt = attempt(CONFIG, Route::Responses, body);
        Restamp::new(attempt.call, attempt.deployment)
    }

    #[test]
    fn only_ids_and_model_change_wherever_the_stream_is_cut() {
        let probe = restamp();
        let id = stamp_of(&probe.call, probe.deployment);
        let id = id.ids.issue(id.owner, "east", "resp_1").unwrap();
        let expected = STREAM
            .replace("\"id\":\"resp_1\"", &format!("\"id\":\"{id}\""))
            .replace("\"model\":\"gpt-4o-2024\"", "\"model\":\"mine\"");
        for cut in 0..=STREAM.len() {
            let mut restamp = restamp();
            let (mut out, mut all) = (BytesMut::new(), Vec::new());
            let (first, second) = STREAM.as_bytes().split_at(cut);
            for chunk in [first, second] {
                let chunk = Bytes::copy_from_slice(chunk);
                let bytes = restamp.push(chunk, &mut out).unwrap();
                all.extend_from_slice(&bytes.unwrap_or_default());
            }
            restamp.finish(&mut out).unwrap();
            all.extend_from_slice(&out);
            assert_eq!(String::from_utf8(all).unwrap(), expected, "cut at {cut}");
            assert!(restamp.progress().done);
            assert_eq!(restamp.progress().usage.unwrap().total(), 7);
        }
    }

    #[test]
    fn the_beginning_alone_is_no_answer_yet() {
        let mut restamp = restamp();
        let end = STREAM.find("event: response.output_item").unwrap();
        let begun = Bytes::from_static(&STREAM.as_bytes()[..end]);
        restamp.push(begun, &mut BytesMut::new()).unwrap();
        assert!(!restamp.progress().started);
    }

    #[test]
    fn a_cut_an_error_and_a_failed_response_are_told() {
        let mut out = BytesMut::new();
        let mut cut = restamp();
        let half = STREAM.find("event: response.completed").unwrap();
        let half = Bytes::from_static(&STREAM.as_bytes()[..half]);
        cut.push(half, &mut out).unwrap();
        assert_eq!(cut.finish(&mut out), Err(Broken::Cut));
        let mut last = BytesMut::new();
        cut.fail(&Failure::Internal, &mut last);
        let text = String::from_utf8(last.to_vec()).unwrap();
        let data = text
            .strip_prefix("event: response.failed\ndata: ")
            .and_then(|rest| rest.strip_suffix("\n\n"));
        let event: Value = serde_json::from_str(data.unwrap()).unwrap();
        assert_eq!(event["sequence_number"], 3);
        let response = &event["response"];
        assert_eq!(
            (&response["status"], &response["created_at"]),
            (&json!("failed"), &json!(7))
        );
        assert_eq!(response["error"]["code"], "server_error");
        let id = response["id"].as_str().unwrap();
        assert_eq!(cut.call.live.ids().open(id).unwrap().id, "resp_1");

        for (text, status) in [
            (
                "data: {\"type\":\"error\",\"error\":{\"type\":\"x\",\"code\":\"rate_limit_exceeded\",\"message\":\"m\"}}\n\n",
                429,
            ),
            (
                "data: {\"type\":\"error\",\"code\":\"invalid_prompt\",\"message\":\"m\"}\n\n",
                400,
            ),
            (
                "data: {\"type\":\"response.failed\",\"response\":{\"status\":\"failed\",\"error\":{\"code\":\"server_error\",\"message\":\"m\"}}}\n\n",
                500,
            ),
        ] {
            let Err(Broken::Told(told)) =
                restamp().push(Bytes::from_static(text.as_bytes()), &mut out)
            else {
                panic!("{text}")
            };
            assert_eq!(told.status.unwrap(), status, "{text}");
            assert_eq!(told.message.as_deref(), Some("m"));
        }
    }
}
