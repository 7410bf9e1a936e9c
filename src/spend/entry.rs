//! A record of the ledger as bytes: written from an ended call without an allocation, read back as a
//! row of the spend log.
//!
//! Numbers are LEB128, texts have their length before them. The first byte is the form; a form that is
//! not known is passed over, so that an older binary can start on a newer one's journal.

use std::net::IpAddr;
use std::time::SystemTime;

use pointsman_routes::usd::Usd;
use serde_json::{Map, Value, json};

use super::record::Record;
use crate::account::{Holder, SpendRow, Time};
use crate::call::{Call, Notes, Usage};
use crate::wire::uuid;

/// An ended request.
const ENDED: u8 = 1;
/// A request that is about to be sent.
const BEGUN: u8 = 2;
/// A row that no call made.
const ROW: u8 = 3;
/// A request that is about to be sent, written down once more.
const AGAIN: u8 = 4;
/// An ended request whose answer has an id.
const ANSWERED: u8 = 5;
/// A request whose answer is made in the background.
const LASTING: u8 = 6;

/// What of a call follows in an entry: what the request says of itself, and the windows it counts in.
const NOTED: u64 = 1;
const WINDOWED: u64 = 2;
/// Whose windows; their numbers in entries are those of the declaration.
const HOLDERS: [Holder; 3] = [Holder::Key, Holder::Team, Holder::User];

/// What a journal holds.
#[derive(Clone, Debug, PartialEq)]
pub enum Entry {
    /// A request has ended.
    Ended(Box<SpendRow>),
    /// A request is about to be sent to a provider.
    Begun(Box<Begun>),
}

/// A request that may be under way. If its row has the id of an answer, the provider makes it in the
/// background, and keeps it.
#[derive(Clone, Debug, PartialEq)]
pub struct Begun {
    /// As much of its row as is known.
    pub row: SpendRow,
    /// What it may cost at most.
    pub worst: Usd,
    /// What its prompt costs alone.
    pub prompt: Usd,
    /// It was written down before.
    pub again: bool,
}

/// Why bytes are no record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unreadable;

/// Writes the record of a call that has ended.
pub fn push_ended(out: &mut Vec<u8>, record: &Record) {
    out.push(match record.answer {
        None => ENDED,
        Some(_) => ANSWERED,
    });
    let call = &record.call;
    push_call(out, call);
    let now = Time::from(SystemTime::now());
    let start = now.0.saturating_sub(micros(call.arrived.elapsed()));
    push_number(out, unsigned(start));
    push_number(out, unsigned(micros(record.total())));
    push_number(
        out,
        record
            .first_token
            .map_or(0, |first| unsigned(micros(first)) + 1),
    );
    push_money(out, record.cost.total());
    let usage = record.usage.unwrap_or_default();
    push_usage(out, &usage);
    let flags = u64::from(record.failure.is_some())
        | u64::from(record.dropped) << 1
        | u64::from(record.usage.is_some()) << 2
        | u64::from(record.estimated) << 3;
    push_number(out, flags);
    push_number(out, record.status.as_u16().into());
    push_text(out, record.failure.unwrap_or(""));
    let deployment = record
        .deployment
        .map(|id| (call.live.deployment(id), call.live.endpoint(id)));
    match deployment {
        Some((deployment, endpoint)) => {
            push_text(out, &deployment.model);
            push_text(out, &deployment.id);
            push_text(out, &deployment.provider.name);
            push_bytes(out, endpoint.names.api_base.as_bytes());
        }
        None => (0..4).for_each(|_| push_text(out, "")),
    }
    push_text(
        out,
        if call.fallback.is_some() {
            call.group_name()
        } else {
            ""
        },
    );
    push_number(out, record.trail.left.len() as u64);
    for left in &record.trail.left {
        push_text(out, call.name_of(left.group));
        let id = left
            .deployment
            .map_or("", |id| &call.live.deployment(id).id);
        push_text(out, id);
        push_text(out, left.why);
        push_number(out, left.status.as_u16().into());
    }
    if let Some(answer) = &record.answer {
        push_text(out, answer);
    }
}

/// Writes that a call is about to be sent.
pub fn push_begun(out: &mut Vec<u8>, call: &Call, worst: Usd, prompt: Usd) {
    out.push(BEGUN);
    push_call(out, call);
    push_number(out, unsigned(Time::from(SystemTime::now()).0));
    push_money(out, worst);
    push_money(out, prompt);
}

/// Writes that the answer to a call is made in the background, under this id.
pub fn push_lasting(out: &mut Vec<u8>, call: &Call, answer: &str) {
    out.push(LASTING);
    push_call(out, call);
    let now = Time::from(SystemTime::now());
    push_number(
        out,
        unsigned(now.0.saturating_sub(micros(call.arrived.elapsed()))),
    );
    let [worst, prompt] = call.tab.worst();
    push_money(out, worst);
    push_money(out, prompt);
    push_text(out, answer);
}

/// Writes once more that a request is about to be sent.
pub fn push_again(out: &mut Vec<u8>, begun: &Begun) {
    out.push(AGAIN);
    push_money(out, begun.worst);
    push_money(out, begun.prompt);
    push_json(out, &begun.row);
}

/// Writes a row that no call made.
pub fn push_row(out: &mut Vec<u8>, row: &SpendRow) {
    out.push(ROW);
    push_json(out, row);
}

/// A row as JSON, with its money beside it, since JSON's numbers do not hold it exactly.
fn push_json(out: &mut Vec<u8>, row: &SpendRow) {
    push_money(out, row.spend);
    let beside = SpendRow {
        spend: Usd::ZERO,
        ..row.clone()
    };
    push_bytes(out, &serde_json::to_vec(&beside).unwrap_or_default());
}

/// What is known of a call when it begins.
fn push_call(out: &mut Vec<u8>, call: &Call) {
    out.extend_from_slice(&call.tab.id.to_be_bytes());
    push_text(out, call.route.call_type());
    push_text(out, &call.principal.key);
    push_text(out, call.counted_as());
    let bearer = call.principal.bearer.as_deref();
    let key = bearer.map(|bearer| &bearer.key);
    let team = bearer.and_then(|bearer| bearer.team.as_ref());
    push_text(out, or_empty(key.and_then(|key| key.user_id.as_ref())));
    push_text(out, or_empty(key.and_then(|key| key.team_id.as_ref())));
    let organization = bearer.and_then(|bearer| bearer.organization.as_ref());
    push_text(out, or_empty(organization.map(|one| &one.organization_id)));
    push_text(out, call.principal.alias.as_deref().unwrap_or(""));
    push_text(
        out,
        or_empty(team.and_then(|team| team.team_alias.as_ref())),
    );
    push_text(out, call.about.end_user.as_deref().unwrap_or(""));
    // The caller's own word for the call, if it gave one.
    let id = call.id.as_bytes();
    let own = id != uuid::text(call.tab.id);
    push_bytes(out, if own { id } else { b"" });
    match call.about.ip {
        Some(IpAddr::V4(ip)) => {
            out.push(4);
            out.extend_from_slice(&ip.octets());
        }
        Some(IpAddr::V6(ip)) => {
            out.push(6);
            out.extend_from_slice(&ip.octets());
        }
        None => out.push(0),
    }
    push_number(out, call.live.generation());
    let mut tags = call.principal.tags().peekable();
    let mut windows = call.principal.means().windows().peekable();
    let says = tags.peek().is_some() || call.about.in_body || call.about.headers.is_some();
    let windowed = windows.peek().is_some();
    push_number(
        out,
        u64::from(says) * NOTED + u64::from(windowed) * WINDOWED,
    );
    if windowed {
        let windows: Vec<_> = windows.collect();
        push_number(out, windows.len() as u64);
        for (holder, period) in windows {
            out.push(holder as u8);
            push_text(out, period);
        }
    }
    if !says {
        return;
    }
    let mut notes = call.about.notes(&call.body, &call.peek);
    tags.for_each(|tag| notes.add_tag(tag));
    push_notes(out, &notes);
}

fn or_empty(text: Option<&String>) -> &str {
    text.map_or("", String::as_str)
}

fn push_notes(out: &mut Vec<u8>, notes: &Notes) {
    push_number(out, notes.tags.len() as u64);
    notes.tags.iter().for_each(|tag| push_text(out, tag));
    push_text(out, notes.session.as_deref().unwrap_or(""));
    let metadata = if notes.metadata.is_empty() {
        Vec::new()
    } else {
        serde_json::to_vec(&notes.metadata).unwrap_or_default()
    };
    push_bytes(out, &metadata);
}

fn push_usage(out: &mut Vec<u8>, usage: &Usage) {
    for number in [
        usage.prompt,
        usage.completion,
        usage.cache_read,
        usage.cache_write,
        usage.reasoning,
    ] {
        push_number(out, number);
    }
}

fn micros(time: std::time::Duration) -> i64 {
    i64::try_from(time.as_micros()).unwrap_or(i64::MAX)
}

fn unsigned(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}

fn push_money(out: &mut Vec<u8>, amount: Usd) {
    push_number(out, u64::try_from(amount.0.max(0)).unwrap_or(u64::MAX));
}

fn push_number(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push((number & 0x7f) as u8 | 0x80);
        number >>= 7;
    }
    out.push(number.to_le_bytes()[0]);
}

fn push_text(out: &mut Vec<u8>, text: &str) {
    push_bytes(out, text.as_bytes());
}

fn push_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    push_number(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// Reads a record. `None` if it is of a form that is not known.
pub fn read(bytes: &[u8]) -> Result<Option<Entry>, Unreadable> {
    let (form, rest) = bytes.split_first().ok_or(Unreadable)?;
    let mut from = Reader(rest);
    Ok(match *form {
        ENDED => Some(Entry::Ended(Box::new(from.ended()?))),
        ANSWERED => {
            let row = from.ended()?;
            let answer_id = Some(from.text()?);
            Some(Entry::Ended(Box::new(SpendRow { answer_id, ..row })))
        }
        BEGUN => Some(Entry::Begun(Box::new(from.begun()?))),
        LASTING => {
            let mut begun = from.begun()?;
            begun.row.answer_id = Some(from.text()?);
            Some(Entry::Begun(Box::new(begun)))
        }
        ROW => Some(Entry::Ended(Box::new(from.row()?))),
        AGAIN => Some(Entry::Begun(Box::new(Begun {
            worst: from.money()?,
            prompt: from.money()?,
            row: from.row()?,
            again: true,
        }))),
        _ => None,
    })
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn ended(&mut self) -> Result<SpendRow, Unreadable> {
        let mut row = self.call()?;
        let start = self.signed()?;
        let took = self.signed()?;
        let first = self.number()?.checked_sub(1);
        row.start_time = Time(start);
        row.end_time = Time(start.saturating_add(took));
        let first = first.and_then(|first| i64::try_from(first).ok());
        row.completion_start_time = first.map(|first| Time(start.saturating_add(first)));
        row.latency_ms = Some(millis(took));
        row.ttft_ms = first.map(millis);
        row.spend = self.money()?;
        row.prompt_tokens = self.number()?;
        row.completion_tokens = self.number()?;
        row.total_tokens = row.prompt_tokens.saturating_add(row.completion_tokens);
        row.cache_read_input_tokens = self.number()?;
        row.cache_creation_input_tokens = self.number()?;
        row.reasoning_tokens = self.number()?;
        let flags = self.number()?;
        let (failed, dropped) = (flags & 1 > 0, flags & 2 > 0);
        let word = if failed { "failure" } else { "success" };
        word.clone_into(&mut row.status);
        let status = self.number()?;
        let class = self.text()?;
        if failed {
            let error = json!({"error_code": status.to_string(), "error_class": class});
            row.metadata.insert("error_information".to_owned(), error);
        }
        if flags & 8 > 0 {
            row.metadata
                .insert("usage_estimated".to_owned(), Value::Bool(true));
        }
        if dropped {
            row.metadata
                .insert("client_gone".to_owned(), Value::Bool(true));
        }
        row.model = self.text()?;
        row.model_id = self.optional()?;
        row.custom_llm_provider = self.optional()?;
        row.api_base = self.optional()?;
        if let Some(group) = self.optional()? {
            row.metadata
                .insert("answered_by_model_group".to_owned(), Value::String(group));
        }
        for _ in 0..self.count()? {
            let (group, deployment) = (self.text()?, self.text()?);
            let (why, status) = (self.text()?, self.number()?);
            row.attempts.push(
                json!({"model_group": group, "model_id": deployment, "why": why, "status": status}),
            );
        }
        Ok(row)
    }

    fn begun(&mut self) -> Result<Begun, Unreadable> {
        let mut row = self.call()?;
        row.start_time = Time(self.signed()?);
        Ok(Begun {
            row,
            worst: self.money()?,
            prompt: self.money()?,
            again: false,
        })
    }

    fn row(&mut self) -> Result<SpendRow, Unreadable> {
        let spend = self.money()?;
        let row: SpendRow = serde_json::from_slice(self.bytes()?).map_err(|_| Unreadable)?;
        Ok(SpendRow { spend, ..row })
    }

    fn call(&mut self) -> Result<SpendRow, Unreadable> {
        let id = u128::from_be_bytes(self.array()?);
        let mut row = SpendRow {
            request_id: String::from_utf8_lossy(&uuid::text(id)).into_owned(),
            call_type: self.text()?,
            api_key: self.text()?,
            model_group: self.optional()?,
            user: self.optional()?,
            team_id: self.optional()?,
            organization_id: self.optional()?,
            ..SpendRow::default()
        };
        let mut facts = Map::new();
        for name in ["user_api_key_alias", "user_api_key_team_alias"] {
            if let Some(alias) = self.optional()? {
                facts.insert(name.to_owned(), Value::String(alias));
            }
        }
        row.end_user = self.optional()?;
        if let Some(own) = self.optional()? {
            facts.insert("litellm_call_id".to_owned(), Value::String(own));
        }
        row.requester_ip_address = self.address()?.map(|ip| ip.to_string());
        row.config_version = Some(self.number()?.to_string());
        let follows = self.number()?;
        if follows & WINDOWED != 0 {
            for _ in 0..self.count()? {
                let [holder] = self.array()?;
                let holder = HOLDERS.into_iter().find(|known| *known as u8 == holder);
                row.windows.push((holder.ok_or(Unreadable)?, self.text()?));
            }
        }
        if follows & NOTED != 0 {
            for _ in 0..self.count()? {
                row.request_tags.push(self.text()?);
            }
            row.session_id = self.optional()?;
            let metadata = self.bytes()?;
            if !metadata.is_empty() {
                row.metadata = serde_json::from_slice(metadata).map_err(|_| Unreadable)?;
            }
        }
        row.metadata.append(&mut facts);
        Ok(row)
    }

    fn address(&mut self) -> Result<Option<IpAddr>, Unreadable> {
        let (kind, rest) = self.0.split_first().ok_or(Unreadable)?;
        self.0 = rest;
        Ok(match kind {
            0 => None,
            4 => Some(self.array::<4>()?.into()),
            6 => Some(self.array::<16>()?.into()),
            _ => return Err(Unreadable),
        })
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Unreadable> {
        let (bytes, rest) = self.0.split_first_chunk().ok_or(Unreadable)?;
        self.0 = rest;
        Ok(*bytes)
    }

    fn number(&mut self) -> Result<u64, Unreadable> {
        let mut number = 0;
        for shift in (0..64).step_by(7) {
            let (byte, rest) = self.0.split_first().ok_or(Unreadable)?;
            self.0 = rest;
            number |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(number);
            }
        }
        Err(Unreadable)
    }

    /// A number of things that follow, each at least a byte.
    fn count(&mut self) -> Result<u64, Unreadable> {
        let count = self.number()?;
        if count > self.0.len() as u64 {
            return Err(Unreadable);
        }
        Ok(count)
    }

    fn signed(&mut self) -> Result<i64, Unreadable> {
        i64::try_from(self.number()?).map_err(|_| Unreadable)
    }

    fn money(&mut self) -> Result<Usd, Unreadable> {
        Ok(Usd(self.number()?.into()))
    }

    fn bytes(&mut self) -> Result<&'a [u8], Unreadable> {
        let length = usize::try_from(self.number()?).map_err(|_| Unreadable)?;
        let (bytes, rest) = self.0.split_at_checked(length).ok_or(Unreadable)?;
        self.0 = rest;
        Ok(bytes)
    }

    fn text(&mut self) -> Result<String, Unreadable> {
        String::from_utf8(self.bytes()?.to_vec()).map_err(|_| Unreadable)
    }

    fn optional(&mut self) -> Result<Option<String>, Unreadable> {
        Ok(Some(self.text()?).filter(|text| !text.is_empty()))
    }
}

fn millis(micros: i64) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "no request takes centuries")]
    let micros = micros as f64;
    micros / 1_000.0
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::{Duration, Instant};

    use proptest::prelude::*;

    use super::*;
    use crate::account::{Allowance, Bearer, BudgetLimit, Key, Team};
    use crate::call::{About, Left, Principal, Route, Trail, example};
    use crate::live::Rules;
    use crate::spend::price::Cost;

    const FILE: &str = "model_list:\n\
        - {model_name: a, litellm_params: {model: openai/gpt-4o, api_key: os.environ/KEY}}\n";

    fn call() -> Call {
        let body = r#"{"model":"a","messages":[],"user":"eve","metadata":{"tags":["x"],"job":7}}"#;
        let mut call = example::call(FILE, Route::Chat, body);
        let bearer = Bearer {
            key: Key {
                token: "hash".to_owned(),
                key_alias: Some("mine".to_owned()),
                user_id: Some("ada".to_owned()),
                team_id: Some("t".to_owned()),
                tags: vec!["k".to_owned()],
                allowance: Allowance {
                    budget_limits: vec![BudgetLimit {
                        budget_duration: "2h".parse().unwrap(),
                        max_budget: Usd::ONE,
                    }],
                    ..Allowance::default()
                },
                ..Key::default()
            },
            team: Some(Team {
                team_id: "t".to_owned(),
                team_alias: Some("us".to_owned()),
                ..Team::default()
            }),
            ..Bearer::default()
        };
        call.principal = Arc::new(Principal::of(Arc::new(bearer), &Rules::default()));
        let ip = Some([192, 0, 2, 1].into());
        call.about = About::read(&http::HeaderMap::new(), None, ip, &call.body, &call.peek);
        call
    }

    fn record() -> Record {
        let call = Arc::new(call());
        let group = call.group();
        let deployment = Some(pointsman_routes::table::DeploymentId(0));
        let left = Left {
            group,
            deployment,
            why: "timeout",
            class: "Timeout",
            status: http::StatusCode::REQUEST_TIMEOUT,
            error: None,
        };
        Record {
            deployment,
            trail: Trail {
                left: vec![left],
                ..Trail::default()
            },
            status: http::StatusCode::OK,
            failure: None,
            dropped: false,
            usage: Some(Usage {
                prompt: 300,
                completion: 5,
                cache_read: 2,
                ..Usage::default()
            }),
            estimated: false,
            before: Vec::new(),
            cost: Cost {
                input: Usd(1 << 40),
                output: Usd(3),
            },
            upstream: Duration::from_millis(1),
            first_token: Some(Duration::from_millis(7)),
            ended: Instant::now(),
            answer: Some("chatcmpl-1".into()),
            call,
        }
    }

    fn bytes() -> Vec<u8> {
        let mut bytes = Vec::new();
        push_ended(&mut bytes, &record());
        bytes
    }

    #[test]
    fn an_ended_call_is_read_back_as_a_row() {
        let Ok(Some(Entry::Ended(row))) = read(&bytes()) else {
            panic!("it is a record")
        };
        assert_eq!(row.request_id, "00000000-0000-0000-0000-000000000000");
        assert_eq!((row.spend, row.total_tokens), (Usd((1 << 40) + 3), 305));
        assert_eq!(row.cache_read_input_tokens, 2);
        assert_eq!((&*row.api_key, &*row.status), ("hash", "success"));
        let text = |text: &Option<String>| text.clone().unwrap_or_default();
        assert_eq!(
            text(&row.user) + &text(&row.team_id) + &text(&row.end_user),
            "adateve"
        );
        assert_eq!(text(&row.model_group) + &row.model, "agpt-4o");
        assert_eq!(text(&row.custom_llm_provider), "openai");
        assert_eq!(text(&row.requester_ip_address), "192.0.2.1");
        assert_eq!(row.request_tags, ["x", "k"]);
        assert_eq!(row.windows, [(Holder::Key, "2h".to_owned())]);
        let window = ("key_window", "hash", "2h");
        assert!(row.scopes().iter().any(|scope| scope.parts() == window));
        assert_eq!(row.ttft_ms, Some(7.0));
        assert_eq!(row.answer_id.as_deref(), Some("chatcmpl-1"));
        assert_eq!(row.attempts.len(), 1);
        let metadata = json!({"job": 7, "user_api_key_alias": "mine",
            "user_api_key_team_alias": "us", "litellm_call_id": "test"});
        assert_eq!(Value::Object(row.metadata.clone()), metadata);
        assert!(row.start_time <= row.end_time && row.end_time <= Time::now());
    }

    #[test]
    fn a_call_that_begins_is_read_back_with_what_it_may_cost() {
        let mut bytes = Vec::new();
        push_begun(&mut bytes, &call(), Usd(9), Usd(4));
        let Ok(Some(Entry::Begun(begun))) = read(&bytes) else {
            panic!("it is a record")
        };
        assert_eq!((begun.worst, begun.prompt), (Usd(9), Usd(4)));
        assert_eq!(begun.row.team_id.as_deref(), Some("t"));
        let mut bytes = Vec::new();
        push_again(&mut bytes, &begun);
        let again = Begun {
            again: true,
            ..*begun.clone()
        };
        assert_eq!(read(&bytes), Ok(Some(Entry::Begun(Box::new(again)))));
        let mut bytes = Vec::new();
        call().tab.reckon(9, 4);
        push_lasting(&mut bytes, &call(), "resp_1");
        let Ok(Some(Entry::Begun(lasting))) = read(&bytes) else {
            panic!("it is a record")
        };
        assert_eq!(lasting.row.answer_id.as_deref(), Some("resp_1"));
        let row = SpendRow {
            spend: Usd(12_345_678_901_234_567_891),
            ..begun.row
        };
        let mut bytes = Vec::new();
        push_row(&mut bytes, &row);
        assert_eq!(read(&bytes), Ok(Some(Entry::Ended(Box::new(row)))));
    }

    #[test]
    fn a_part_of_a_record_is_none() {
        let bytes = bytes();
        for end in 0..bytes.len() {
            assert_eq!(read(&bytes[..end]), Err(Unreadable), "{end}");
        }
        assert_eq!(read(&[200, 1, 2]), Ok(None));
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes: Vec<u8>, form in 1_u8..=6) {
            let _ = read(&bytes);
            let _ = read(&[&[form], &*bytes].concat());
        }

        #[test]
        fn numbers_are_read_back(number: u64) {
            let mut bytes = Vec::new();
            push_number(&mut bytes, number);
            prop_assert_eq!(Reader(&bytes).number(), Ok(number));
        }
    }
}
