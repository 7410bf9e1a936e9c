//! Requests and answers that pass through: callers who speak Gemini's dialect to Gemini.
//!
//! The model's name is made the provider's on the way out and what the caller asked for on the way
//! back, what speaks to the gateway is taken out, what the file gives is added, usage is read, and
//! every other byte is left.

use std::borrow::Cow;

use bytes::{Bytes, BytesMut};
use http::StatusCode;
use memchr::memmem;
use serde_json::{Map, Value};
use smallvec::SmallVec;

use super::{Flavour, resource, response, told};
use crate::call::peek::Class;
use crate::call::{Call, Field, Route, Said, Usage};
use crate::upstream::openai::response::asked_literal;
use crate::upstream::progress::Progress;
use crate::upstream::protocol::{Broken, Protocol, Task};
use crate::wire::gemini::{Response, UsageMetadata, camel};
use crate::wire::json::{self, Member};
use crate::wire::splice::Splice;
use crate::wire::sse::{Event, Splitter, TooLong};

/// Longest event that is held: an image comes as one.
const MAX_EVENT_BYTES: usize = 32 << 20;
/// Most candidates that are followed.
const MAX_CHOICES: usize = 64;

/// The path of a request that can go as it is. `None` if it has to be translated: Vertex AI has no
/// batches of contents to embed and no whole request to count.
pub(super) fn path(flavour: Flavour, call: &Call, model: &str) -> Option<String> {
    let task = match call.route {
        Route::Generate => Task::Chat,
        Route::GenerateStream => Task::Stream,
        Route::CountContents => Task::CountTokens,
        Route::EmbedContent if flavour == Flavour::Api => {
            let name = super::in_path(&resource(model));
            return Some(format!("/v1beta/{name}:embedContent"));
        }
        Route::EmbedContents if flavour == Flavour::Api => Task::Embed,
        _ => return None,
    };
    if flavour == Flavour::Vertex && call.peek.get(Field::GenerateRequest).is_some() {
        return None;
    }
    flavour.path(task, model)
}

/// The body that goes to the provider. `defaults` is a request in Gemini's form with what the file
/// gives where the caller gives nothing.
pub(super) fn body(
    flavour: Flavour,
    call: &Call,
    model: &str,
    mut defaults: Map<String, Value>,
) -> SmallVec<[Bytes; 4]> {
    let (text, peek) = (&call.body, &call.peek);
    let mut splice = Splice::default();
    let name = Bytes::from(asked_literal(&resource(model)));
    for (field, member) in peek.members() {
        match (field, field.class()) {
            (Field::Model, _) if flavour == Flavour::Api => {
                splice.replace(member.value_range(), name.clone());
            }
            (Field::Model, _) | (_, Class::Control | Class::Rehearsal) => splice.remove(member),
            (Field::GenerateRequest, _) => put_model(text, member.value(text), &name, &mut splice),
            (Field::Requests, _) => {
                let _ = json::elements(member.value(text), |one| {
                    put_model(text, one, &name, &mut splice);
                });
            }
            (Field::Contents, _) if flavour == Flavour::Vertex => {
                put_roles(text, member.value(text), &mut splice);
            }
            _ => {}
        }
    }
    let config = match defaults.remove("generationConfig") {
        Some(Value::Object(config)) => config,
        _ => Map::new(),
    };
    if call.route.speaks() {
        configure(call, config, &mut splice);
        add(text, defaults, &mut splice);
    }
    splice.apply(text, peek.open, peek.empty)
}

/// Where a part of a text begins in it.
fn offset(text: &[u8], part: &[u8]) -> usize {
    (part.as_ptr() as usize).wrapping_sub(text.as_ptr() as usize)
}

/// A member's name in camel case, as Google's parser takes it in either.
fn name_of(text: &[u8], member: &Member) -> String {
    camel(&json::string(&text[member.start..member.name_end]).unwrap_or_default())
}

fn named(name: &str, value: &[u8]) -> Vec<u8> {
    let mut member = asked_literal(name);
    member.push(b':');
    member.extend_from_slice(value);
    member
}

/// Has a request within a request name the model. What is no object is left to the provider.
fn put_model(text: &[u8], inner: &[u8], name: &Bytes, splice: &mut Splice) {
    let at = offset(text, inner);
    let mut there = false;
    let mut empty = true;
    let read = json::members(inner, |member| {
        empty = false;
        if member.raw_name(inner) == b"model" {
            there = true;
            splice.replace(at + member.value_start..at + member.end, name.clone());
        }
    });
    if read.is_ok() && !there {
        insert(at + 1, empty, &[named("model", name)], splice);
    }
}

/// The Gemini API takes a turn without a role for the user's, Vertex AI refuses it.
fn put_roles(text: &[u8], contents: &[u8], splice: &mut Splice) {
    let mut one = |content: &[u8]| {
        let (mut there, mut empty) = (false, true);
        let read = json::members(content, |member| {
            empty = false;
            there |= member.raw_name(content) == b"role";
        });
        if read.is_ok() && !there {
            let at = offset(text, content);
            insert(at + 1, empty, &[named("role", b"\"user\"")], splice);
        }
    };
    if contents.starts_with(b"[") {
        let _ = json::elements(contents, one);
    } else {
        one(contents);
    }
}

/// Adds members at the front of an object whose first byte behind the brace is at `open`.
fn insert(open: usize, empty: bool, members: &[Vec<u8>], splice: &mut Splice) {
    let mut added = members.join(&b","[..]);
    if !empty {
        added.push(b',');
    }
    splice.replace(open..open, added);
}

/// Puts into `generationConfig` what the file gives, and lets an answer be no longer than the
/// caller's budgets pay for.
fn configure(call: &Call, mut missing: Map<String, Value>, splice: &mut Splice) {
    const BOUND: &str = "maxOutputTokens";
    let text = &call.body;
    let most = call.tab.most_output();
    let configs = [Field::GenerationConfig, Field::SnakeGenerationConfig];
    let given: SmallVec<[&Member; 2]> = configs
        .into_iter()
        .filter_map(|field| call.peek.get(field))
        .filter(|member| member.value(text) != b"null")
        .collect();
    let (mut bounded, mut empty) = (false, true);
    for (nth, member) in given.iter().enumerate() {
        let (config, at) = (member.value(text), member.value_start);
        let _ = json::members(config, |inner| {
            empty &= nth > 0;
            let name = name_of(config, &inner);
            missing.remove(&name);
            if name == BOUND {
                bounded = true;
                let own = std::str::from_utf8(inner.value(config)).ok();
                let own = own.and_then(|own| own.parse::<u64>().ok());
                if let Some(most) = most.filter(|most| own.is_none_or(|own| own > *most)) {
                    let range = at + inner.value_start..at + inner.end;
                    splice.replace(range, most.to_string().into_bytes());
                }
            }
        });
    }
    if let Some(most) = most.filter(|_| !bounded) {
        let own = missing.get(BOUND).and_then(Value::as_u64);
        let most = own.map_or(most, |own| own.min(most));
        missing.insert(BOUND.to_owned(), most.into());
    }
    if missing.is_empty() {
        return;
    }
    match given.first() {
        Some(first) if first.value(text).starts_with(b"{") => {
            let added: Vec<_> = missing
                .iter()
                .map(|(name, value)| named(name, value.to_string().as_bytes()))
                .collect();
            insert(first.value_start + 1, empty, &added, splice);
        }
        // The provider says what is wrong with it.
        Some(_) => {}
        None => {
            // What is null stands in the way of the same name.
            for member in configs.into_iter().filter_map(|field| call.peek.get(field)) {
                splice.remove(member);
            }
            let config = Value::Object(missing).to_string();
            splice.insert(&named("generationConfig", config.as_bytes()));
        }
    }
}

/// Adds members that the caller does not give.
fn add(text: &[u8], mut missing: Map<String, Value>, splice: &mut Splice) {
    missing.remove("contents");
    if missing.is_empty() {
        return;
    }
    let walked = json::members(text, |member| {
        missing.remove(&name_of(text, &member));
    });
    if walked.is_ok() {
        for (name, value) in &missing {
            splice.insert(&named(name, value.to_string().as_bytes()));
        }
    }
}

/// A whole answer: the model's name is put back, and usage is read.
pub(crate) fn whole(asked: &str, bytes: Bytes) -> Result<(Bytes, Option<Usage>), Broken> {
    let mut found = Found::default();
    json::members(&bytes, |member| found.note(&bytes, member))
        .map_err(|_| Broken::Malformed("It is no JSON object.".into()))?;
    if found.error.is_some() {
        return Err(broken(&bytes));
    }
    let usage = found.usage(&bytes);
    let Some(model) = found.model else {
        return Ok((bytes, usage));
    };
    let literal = asked_literal(asked);
    let mut changed = Vec::with_capacity(bytes.len() + literal.len());
    changed.extend_from_slice(&bytes[..model.value_start]);
    changed.extend_from_slice(&literal);
    changed.extend_from_slice(&bytes[model.end..]);
    Ok((changed.into(), usage))
}

/// An error that came as a success.
fn broken(said: &[u8]) -> Broken {
    let mut told = told::told(None, said);
    told.status.get_or_insert(StatusCode::INTERNAL_SERVER_ERROR);
    Broken::Told(told)
}

/// The members of an answer that the gateway looks at.
#[derive(Default)]
struct Found {
    model: Option<Member>,
    usage: Option<Member>,
    candidates: Option<Member>,
    feedback: Option<Member>,
    error: Option<Member>,
}

impl Found {
    fn note(&mut self, text: &[u8], member: Member) {
        if member.value(text) == b"null" {
            return;
        }
        match member.raw_name(text) {
            b"modelVersion" => self.model = Some(member),
            b"usageMetadata" => self.usage = Some(member),
            b"candidates" => self.candidates = Some(member),
            b"promptFeedback" => self.feedback = Some(member),
            b"error" => self.error = Some(member),
            _ => {}
        }
    }

    fn usage(&self, text: &[u8]) -> Option<Usage> {
        let metadata = self.usage.as_ref()?.value(text);
        let mut read = Response {
            usage_metadata: Some(serde_json::from_slice::<UsageMetadata>(metadata).ok()?),
            ..Response::default()
        };
        // Searches are counted where their words stand, which is seldom.
        let candidates = self
            .candidates
            .as_ref()
            .map(|candidates| candidates.value(text))
            .filter(|candidates| memmem::find(candidates, b"webSearchQueries").is_some());
        if let Some(candidates) = candidates {
            read.candidates = serde_json::from_slice(candidates).unwrap_or_default();
        }
        response::usage(&read)
    }
}

/// Passes the events of one stream on, as events or as the elements of one JSON list.
#[derive(Debug)]
pub struct Restamp {
    splitter: Splitter,
    asked: Vec<u8>,
    is_list: bool,
    begun: bool,
    /// Candidates by their index, and whether each has its finish reason.
    candidates: SmallVec<[(u64, bool); 1]>,
    progress: Progress,
    /// Nobody else can go on with it; what was said is only counted.
    said: Said,
}

impl Restamp {
    /// Puts `asked` where Gemini names its model; `is_list` is for callers without `alt=sse`.
    pub fn new(asked: &str, is_list: bool) -> Self {
        Self {
            splitter: Splitter::new(MAX_EVENT_BYTES),
            asked: asked_literal(asked),
            is_list,
            begun: false,
            candidates: SmallVec::new(),
            progress: Progress::default(),
            said: Said::unheard(),
        }
    }

    /// What was said.
    pub fn said(&self) -> &Said {
        &self.said
    }

    /// What there was so far.
    pub fn progress(&self) -> Progress {
        self.progress
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

    /// The stream has ended. An error if a candidate has no finish reason.
    pub fn finish(&mut self, out: &mut BytesMut) -> Result<(), Broken> {
        if let Some(event) = self.splitter.finish() {
            let is_whole = event
                .data()
                .is_none_or(|data| serde_json::from_slice::<serde::de::IgnoredAny>(&data).is_ok());
            if !is_whole {
                return Err(Broken::Cut);
            }
            self.take(&event, out)?;
        }
        if !self.progress.started {
            return Ok(());
        }
        if !self.progress.finished {
            return Err(Broken::Cut);
        }
        self.progress.done = true;
        if self.is_list {
            out.extend_from_slice(b"]");
        }
        Ok(())
    }

    /// Writes an error as the last of a stream that broke.
    pub fn fail(&mut self, error: &[u8], out: &mut BytesMut) {
        self.separate(out);
        out.extend_from_slice(error);
        out.extend_from_slice(if self.is_list { b"]" } else { b"\r\n\r\n" });
    }

    fn take(&mut self, event: &Event, out: &mut BytesMut) -> Result<(), Broken> {
        let Some(data) = event.data() else {
            // A comment has no place in a list. What is left of the line end before is none.
            let comment = event.raw.trim_ascii();
            if !self.is_list && !comment.is_empty() {
                out.extend_from_slice(comment);
                out.extend_from_slice(b"\r\n\r\n");
            }
            return Ok(());
        };
        let mut found = Found::default();
        json::members(&data, |member| found.note(&data, member))
            .map_err(|_| Broken::Malformed("An event is no JSON object.".into()))?;
        if found.error.is_some() {
            return Err(broken(&data));
        }
        self.follow(&data, &found)?;
        let (before, behind): (Cow<'_, [u8]>, &[u8]) = match &found.model {
            Some(model) => (
                [&data[..model.value_start], &self.asked].concat().into(),
                &data[model.end..],
            ),
            None => (Cow::Borrowed(&*data), b""),
        };
        self.separate(out);
        out.extend_from_slice(&before);
        out.extend_from_slice(behind);
        if !self.is_list {
            out.extend_from_slice(b"\r\n\r\n");
        }
        Ok(())
    }

    fn separate(&mut self, out: &mut BytesMut) {
        let begun = std::mem::replace(&mut self.begun, true);
        out.extend_from_slice(match (self.is_list, begun) {
            (false, _) => b"data: ",
            (true, false) => b"[",
            (true, true) => b",\r\n",
        });
    }

    /// Notes what an event says of the stream's end and of its usage.
    fn follow(&mut self, data: &[u8], found: &Found) -> Result<(), Broken> {
        if let Some(candidates) = &found.candidates {
            let candidates = candidates.value(data);
            let read = json::elements(candidates, |one| self.candidate(one));
            if read.is_err() || self.candidates.len() > MAX_CHOICES {
                return Err(Broken::Malformed("Its candidates cannot be read.".into()));
            }
        }
        let blocked = found.feedback.as_ref().is_some_and(|feedback| {
            memmem::find(feedback.value(data), b"\"blockReason\"").is_some()
        });
        self.progress.started |= blocked || !self.candidates.is_empty();
        self.progress.finished = if self.candidates.is_empty() {
            self.progress.finished || blocked
        } else {
            self.candidates.iter().all(|(_, finished)| *finished)
        };
        if let Some(mut used) = found.usage(data) {
            // Sources come with one event of many.
            let before = self.progress.usage.map_or(0, |usage| usage.searches);
            used.searches = used.searches.max(before);
            // Each event tells what was taken up to it, and some models only the last one.
            self.progress.counted |= used.completion > 0 || self.progress.finished;
            self.progress.usage = Some(used);
        }
        Ok(())
    }

    fn candidate(&mut self, text: &[u8]) {
        let (mut index, mut finished) = (0, false);
        let _ = json::members(text, |member| match member.raw_name(text) {
            b"index" => {
                let number = std::str::from_utf8(member.value(text)).ok();
                index = number.and_then(|number| number.parse().ok()).unwrap_or(0);
            }
            b"finishReason" => finished = member.value(text) != b"null",
            b"content" => note(member.value(text), &mut self.said),
            _ => {}
        });
        let known = self
            .candidates
            .iter()
            .position(|(known, _)| *known == index);
        match known {
            Some(at) => self.candidates[at].1 |= finished,
            // One more than are followed says that there are too many.
            None if self.candidates.len() <= MAX_CHOICES => {
                self.candidates.push((index, finished));
            }
            None => {}
        }
    }
}

/// Notes what a content says. What is no content says nothing.
fn note(content: &[u8], said: &mut Said) {
    let _ = json::members(content, |member| {
        if member.raw_name(content) == b"parts" {
            let _ = json::elements(member.value(content), |part| note_part(part, said));
        }
    });
}

fn note_part(part: &[u8], said: &mut Said) {
    let (mut words, mut thought, mut beside) = (None, false, 0);
    let _ = json::members(part, |member| {
        let value = member.value(part);
        match member.raw_name(part) {
            b"text" => words = json::string(value),
            b"thought" => thought = value == b"true",
            b"functionCall" | b"executableCode" => beside = value.len(),
            _ => {}
        }
    });
    match words {
        Some(words) if thought => said.think(words.len()),
        Some(words) => said.say(&words),
        None => said.think(beside),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::call::example::call;

    const CONFIG: &str = "model_list:\n- model_name: m\n  litellm_params:\n    model: gemini/gemini-2.5-flash\n    api_key: os.environ/KEY\n";

    fn sent(flavour: Flavour, route: Route, body_text: &str, most: Option<u64>) -> String {
        let mut call = call(CONFIG, Route::Chat, r#"{"model":"m"}"#);
        call.body = Bytes::copy_from_slice(body_text.as_bytes());
        call.peek = crate::call::peek::peek(&call.body).unwrap().on(route);
        call.route = route;
        if let Some(most) = most {
            call.tab.limit_output(most);
        }
        let defaults = serde_json::json!({"contents": [], "safetySettings": [],
            "generationConfig": {"temperature": 0.5, "topK": 3}});
        let Value::Object(defaults) = defaults else {
            unreachable!()
        };
        let pieces = body(flavour, &call, "gemini-x", defaults).concat();
        serde_json::from_slice::<Value>(&pieces).unwrap();
        String::from_utf8(pieces).unwrap()
    }

    #[test]
    fn only_what_the_gateway_knows_changes_in_a_request() {
        let sent = |text: &str, most| sent(Flavour::Api, Route::Generate, text, most);
        assert_eq!(
            sent(
                r#"{"metadata":{"a":1},"contents":[{"parts":[]}], "new":[1.0],"generation_config":{"top_k":1,"max_output_tokens":9},"safety_settings":[1]}"#,
                Some(4)
            ),
            r#"{"contents":[{"parts":[]}], "new":[1.0],"generation_config":{"temperature":0.5,"top_k":1,"max_output_tokens":4},"safety_settings":[1]}"#
        );
        assert_eq!(
            sent(r#"{"contents":[],"generationConfig":{}}"#, Some(4)),
            r#"{"safetySettings":[],"contents":[],"generationConfig":{"temperature":0.5,"topK":3,"maxOutputTokens":4}}"#
        );
        assert_eq!(
            sent(r#"{"contents":[],"generationConfig":null}"#, None),
            r#"{"generationConfig":{"temperature":0.5,"topK":3},"safetySettings":[],"contents":[]}"#
        );
    }

    #[test]
    fn every_place_that_names_the_model_names_the_providers() {
        let sent = |route, text: &str| sent(Flavour::Api, route, text, None);
        assert_eq!(
            sent(
                Route::CountContents,
                r#"{"generateContentRequest":{"contents":[],"model":"models/m"}}"#
            ),
            r#"{"generateContentRequest":{"contents":[],"model":"models/gemini-x"}}"#
        );
        assert_eq!(
            sent(
                Route::EmbedContents,
                r#"{"requests":[{"model":"m","content":1},{},{"content":2}]}"#
            ),
            r#"{"requests":[{"model":"models/gemini-x","content":1},{"model":"models/gemini-x"},{"model":"models/gemini-x","content":2}]}"#
        );
        assert_eq!(
            sent(Route::EmbedContent, r#"{"model":"models/m","content":{}}"#),
            r#"{"model":"models/gemini-x","content":{}}"#
        );
    }

    #[test]
    fn on_vertex_every_turn_has_a_role() {
        let sent = |text: &str| sent(Flavour::Vertex, Route::CountContents, text, None);
        assert_eq!(
            sent(r#"{"model":"m","contents":[{"parts":[]},{"role":"model"},{}]}"#),
            r#"{"contents":[{"role":"user","parts":[]},{"role":"model"},{"role":"user"}]}"#
        );
        assert_eq!(
            sent(r#"{"contents":{"parts":[]}}"#),
            r#"{"contents":{"role":"user","parts":[]}}"#
        );
    }

    const STREAM: &str = concat!(
        "data: {\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"gemini-x\"}]},\"index\":0}],\"modelVersion\":\"gemini-x\",\"usageMetadata\":{\"promptTokenCount\":9,\"totalTokenCount\":9}}\r\n\r\n",
        ": pause\r\n\r\n",
        "data: {\"candidates\": [ {\"index\":1,\"finishReason\":\"STOP\"} ],\"new\":1.0}\r\n\r\n",
        "data: {\"candidates\":[{\"finishReason\":\"STOP\"}],\"modelVersion\":\"gemini-x\",\"usageMetadata\":{\"promptTokenCount\":9,\"candidatesTokenCount\":4,\"totalTokenCount\":13}}\r\n\r\n",
    );

    fn passed(stream: &str, cut: usize, is_list: bool) -> Result<(String, Progress), Broken> {
        let mut restamp = Restamp::new("mine", is_list);
        let (mut out, mut all) = (BytesMut::new(), Vec::new());
        let (first, second) = stream.as_bytes().split_at(cut);
        for chunk in [first, second] {
            let bytes = restamp.push(Bytes::copy_from_slice(chunk), &mut out)?;
            all.extend_from_slice(&bytes.unwrap_or_default());
        }
        restamp.finish(&mut out)?;
        all.extend_from_slice(&out);
        Ok((String::from_utf8(all).unwrap(), restamp.progress()))
    }

    #[test]
    fn only_the_model_changes_wherever_the_stream_is_cut() {
        let version = "\"modelVersion\":\"gemini-x\"";
        let expected = STREAM.replace(version, "\"modelVersion\":\"mine\"");
        for cut in 0..=STREAM.len() {
            let (text, progress) = passed(STREAM, cut, false).unwrap();
            assert_eq!(text, expected, "cut at {cut}");
            assert!(progress.done && progress.finished);
            let usage = progress.usage.unwrap();
            assert_eq!((usage.prompt, usage.completion), (9, 4));
            let (list, _) = passed(STREAM, cut, true).unwrap();
            let list: Vec<Value> = serde_json::from_str(&list).unwrap();
            assert_eq!((list.len(), &list[0]["modelVersion"]), (3, &"mine".into()));
            assert_eq!(list[1]["new"].to_string(), "1.0");
        }
    }

    #[test]
    fn an_error_and_a_cut_are_told() {
        let half = &STREAM[..STREAM.rfind("data:").unwrap()];
        assert_eq!(passed(half, 0, false).unwrap_err(), Broken::Cut);
        let error =
            "data: {\"error\":{\"code\":503,\"message\":\"busy\",\"status\":\"UNAVAILABLE\"}}\n\n";
        let Err(Broken::Told(told)) = passed(error, 0, true) else {
            panic!()
        };
        assert_eq!(told.status.unwrap(), 503);
        let blocked = "data: {\"promptFeedback\":{\"blockReason\":\"SAFETY\"}}\n\n";
        assert!(passed(blocked, 0, true).unwrap().1.finished);
    }

    #[test]
    fn a_broken_list_is_a_list_still() {
        let mut restamp = Restamp::new("mine", true);
        let mut out = BytesMut::new();
        let first = &STREAM[..STREAM.find(": pause").unwrap()];
        let mut all = restamp
            .push(Bytes::from_static(first.as_bytes()), &mut out)
            .unwrap()
            .unwrap()
            .to_vec();
        restamp.fail(br#"{"error":{}}"#, &mut out);
        all.extend_from_slice(&out);
        let list: Vec<Value> = serde_json::from_slice(&all).unwrap();
        assert_eq!(list[1], serde_json::json!({"error": {}}));
    }

    #[test]
    fn a_whole_answer_keeps_every_other_byte() {
        let text = r#"{"candidates":[],"usageMetadata":{"promptTokenCount":2,"totalTokenCount":2}, "modelVersion" : "gemini-x","new":1.0}"#;
        let (bytes, usage) = whole("mine", Bytes::from_static(text.as_bytes())).unwrap();
        assert_eq!(bytes, text.replace("gemini-x", "mine").as_bytes());
        assert_eq!(usage.unwrap().prompt, 2);
        assert!(whole("mine", Bytes::from_static(b"[]")).is_err());
    }
}
