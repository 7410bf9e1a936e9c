//! What is told of a call when it has ended: figures and a line of the log.
//!
//! The line is written by a thread of its own from a bounded queue. A request never waits for it;
//! what does not fit is counted.

use std::io::{IsTerminal, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::{Duration, SystemTime};

use pointsman_routes::usd::Decimal;

use super::ledger::Ledger;
use super::meter::Meter;
use super::pass::PassRecord;
use super::record::Record;
use crate::wire::json;

/// Lines that wait to be written.
const QUEUE: usize = 8_192;
/// Lines that are put together into one write.
const BATCH: usize = 1_024;
/// How long the writer rests after a batch. While it rests, a request that ends wakes nobody.
const REST: Duration = Duration::from_millis(20);

/// What a line is written of.
#[derive(Debug)]
enum Ended {
    Call(Record),
    Pass(PassRecord),
}

/// How lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lines {
    /// For a person at a terminal.
    Human,
    /// A JSON object a line.
    Json,
}

impl Lines {
    /// As the file says, else by where the output goes.
    pub fn choose(json_logs: Option<bool>) -> Self {
        match json_logs {
            Some(true) => Self::Json,
            None if !std::io::stdout().is_terminal() => Self::Json,
            Some(false) | None => Self::Human,
        }
    }
}

/// Where lines go.
#[derive(Debug)]
pub enum Sink {
    /// The standard output.
    Stdout,
    /// A file, at its end.
    File(std::fs::File),
}

impl Sink {
    /// The file if there is one to be opened, else the standard output.
    pub fn open(file: Option<&str>) -> Self {
        let Some(path) = file else {
            return Self::Stdout;
        };
        match std::fs::File::options()
            .create(true)
            .append(true)
            .open(path)
        {
            Ok(file) => Self::File(file),
            Err(error) => {
                tracing::warn!(%error, path, "the log file cannot be opened; lines go to the standard output");
                Self::Stdout
            }
        }
    }

    fn write(&mut self, lines: &[u8]) -> std::io::Result<()> {
        match self {
            Self::Stdout => std::io::stdout().lock().write_all(lines),
            Self::File(file) => file.write_all(lines),
        }
    }
}

/// Takes the records of ended calls. Clones share one queue.
#[derive(Clone, Debug)]
pub struct Reporter {
    queue: Option<SyncSender<(SystemTime, Ended)>>,
    lost: Arc<AtomicU64>,
    meter: Arc<Meter>,
    ledger: Option<Ledger>,
    also: Option<Also>,
}

/// Who else is told.
#[derive(Clone)]
struct Also(Arc<dyn Fn(&Record) + Send + Sync>);

impl std::fmt::Debug for Also {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Also")
    }
}

impl Reporter {
    /// Tells `told` of each record, too. It must not wait.
    #[must_use]
    pub fn telling(mut self, told: impl Fn(&Record) + Send + Sync + 'static) -> Self {
        let before = self.also.take();
        self.also = Some(Also(Arc::new(move |record| {
            if let Some(Also(before)) = &before {
                before(record);
            }
            told(record);
        })));
        self
    }

    /// Counts figures and writes no lines.
    pub fn silent() -> Self {
        Self {
            queue: None,
            lost: Arc::default(),
            meter: Arc::default(),
            also: None,
            ledger: None,
        }
    }

    /// Counts figures and writes lines from a thread of its own, which ends when the last clone is
    /// dropped and the queue is empty.
    pub fn with_lines(lines: Lines, mut sink: Sink) -> (Self, std::thread::JoinHandle<()>) {
        let (queue, records) = sync_channel(QUEUE);
        let lost = Arc::<AtomicU64>::default();
        let writer = std::thread::spawn({
            let lost = Arc::clone(&lost);
            move || write_lines(&records, lines, &mut sink, &lost)
        });
        (
            Self {
                queue: Some(queue),
                lost,
                meter: Arc::default(),
                also: None,
                ledger: None,
            },
            writer,
        )
    }

    /// The same with a ledger, in which every call is written down.
    #[must_use]
    pub fn with_ledger(mut self, ledger: Ledger) -> Self {
        self.ledger = Some(ledger);
        self
    }

    /// The ledger, if there is one.
    pub fn ledger(&self) -> Option<&Ledger> {
        self.ledger.as_ref()
    }

    /// Writes down a call that has ended, counts it and queues its line: to be called before the end
    /// of its answer goes out. Waits for nothing but the kernel.
    pub fn report(&self, record: Record) {
        let tab = &record.call.tab;
        tab.settle(record.usage.as_ref(), record.cost.total());
        if let Some(ledger) = &self.ledger {
            ledger.end(&record);
        }
        self.meter.count(&record);
        if let Some(Also(told)) = &self.also {
            told(&record);
        }
        self.queue(Ended::Call(record));
    }

    /// Writes down a request that was passed on and has ended, counts it and queues its line: to be
    /// called before the end of its answer goes out. Waits for nothing but the kernel.
    pub fn report_pass(&self, record: PassRecord) {
        if let Some(ledger) = &self.ledger {
            ledger.end_of(&record.row());
        }
        record.count();
        self.queue(Ended::Pass(record));
    }

    fn queue(&self, ended: Ended) {
        if let Some(queue) = &self.queue
            && queue.try_send((SystemTime::now(), ended)).is_err()
        {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// The figures.
    pub fn meter(&self) -> &Meter {
        &self.meter
    }
}

fn write_lines(
    records: &Receiver<(SystemTime, Ended)>,
    lines: Lines,
    sink: &mut Sink,
    lost: &AtomicU64,
) {
    let mut out = Vec::with_capacity(64 << 10);
    let mut stamp = Stamp::default();
    while let Ok(first) = records.recv() {
        for (at, ended) in std::iter::once(first).chain(records.try_iter().take(BATCH)) {
            let at = stamp.of(at);
            match (lines, ended) {
                (Lines::Json, Ended::Call(record)) => push_json(&mut out, at, &record),
                (Lines::Human, Ended::Call(record)) => push_human(&mut out, at, &record),
                (Lines::Json, Ended::Pass(record)) => push_json_pass(&mut out, at, &record),
                (Lines::Human, Ended::Pass(record)) => push_human_pass(&mut out, at, &record),
            }
        }
        let lost = lost.swap(0, Ordering::Relaxed);
        if lost > 0 {
            tracing::warn!(lost, "the request log's queue was full");
        }
        // Nobody is there to be told if the sink is gone.
        let _ = sink.write(&out);
        out.clear();
        std::thread::sleep(REST);
    }
}

fn push_json(out: &mut Vec<u8>, at: &str, record: &Record) {
    let call = &record.call;
    let deployment = record.deployment.map(|id| call.live.deployment(id));
    let mut decimal = Decimal::default();
    let level = if record.failure.is_some() {
        "WARN"
    } else {
        "INFO"
    };
    let mut line = Line { out, first: true };
    line.raw("timestamp", &[b"\"", at.as_bytes(), b"\""]);
    line.raw("level", &[b"\"", level.as_bytes(), b"\""]);
    line.raw("message", &[b"\"request\""]);
    line.text("call_id", call.id.to_str().unwrap_or(""));
    line.text("call_type", call.route.call_type());
    line.text(
        "key",
        call.principal
            .alias
            .as_deref()
            .unwrap_or(&call.principal.key),
    );
    line.text("model", &call.asked);
    line.text("model_group", call.group_name());
    line.optional_text("model_id", deployment.map(|deployment| &*deployment.id));
    line.optional_text(
        "provider",
        deployment.map(|deployment| &*deployment.provider.name),
    );
    line.number("status", Some(record.status.as_u16().into()));
    line.optional_text("error", record.failure);
    line.flag("stream", call.peek.stream);
    line.flag("client_gone", record.dropped);
    line.number("prompt_tokens", record.usage.map(|usage| usage.prompt));
    line.number(
        "completion_tokens",
        record.usage.map(|usage| usage.completion),
    );
    line.raw("cost", &[decimal.dollars(record.cost.total())]);
    match record.first_token {
        Some(first) => line.raw("ttft_ms", &[decimal.millis(first)]),
        None => line.raw("ttft_ms", &[b"null"]),
    }
    line.raw("upstream_ms", &[decimal.millis(record.upstream)]);
    line.raw("latency_ms", &[decimal.millis(record.total())]);
    out.extend_from_slice(b"}\n");
}

fn push_json_pass(out: &mut Vec<u8>, at: &str, record: &PassRecord) {
    let mut decimal = Decimal::default();
    let level = if record.failure.is_some() {
        "WARN"
    } else {
        "INFO"
    };
    let key = &record.principal.key;
    let mut line = Line { out, first: true };
    line.raw("timestamp", &[b"\"", at.as_bytes(), b"\""]);
    line.raw("level", &[b"\"", level.as_bytes(), b"\""]);
    line.raw("message", &[b"\"request\""]);
    line.text("call_id", record.id.to_str().unwrap_or(""));
    line.text("call_type", "pass_through_endpoint");
    line.text("key", record.principal.alias.as_deref().unwrap_or(key));
    line.optional_text("model", record.model.as_deref());
    line.text("route", &record.prefix);
    line.text("provider", &record.provider);
    line.number("status", Some(record.status.as_u16().into()));
    line.optional_text("error", record.failure);
    line.flag("client_gone", record.dropped);
    line.number("prompt_tokens", record.usage.map(|usage| usage.prompt));
    line.number(
        "completion_tokens",
        record.usage.map(|usage| usage.completion),
    );
    line.raw("cost", &[decimal.dollars(record.cost.total())]);
    line.raw("upstream_ms", &[decimal.millis(record.upstream)]);
    line.raw("latency_ms", &[decimal.millis(record.total())]);
    out.extend_from_slice(b"}\n");
}

fn push_human_pass(out: &mut Vec<u8>, at: &str, record: &PassRecord) {
    let key = &record.principal.key;
    // Writing to a vector does not fail.
    let _ = write!(
        out,
        "{at} {} {} {} -> {} {}",
        record.id.to_str().unwrap_or(""),
        record.principal.alias.as_deref().unwrap_or(key),
        record.prefix,
        plain(record.model.as_deref().unwrap_or("-")),
        record.status.as_u16(),
    );
    if let Some(failure) = record.failure {
        let _ = write!(out, " {failure}");
    }
    if let Some(usage) = record.usage {
        let (prompt, completion) = (usage.prompt, usage.completion);
        let cost = record.cost.total();
        let _ = write!(out, " {prompt}+{completion} tokens ${cost}");
    }
    let _ = writeln!(
        out,
        " {} ms{}",
        record.total().as_millis(),
        if record.dropped { ", client gone" } else { "" }
    );
}

fn push_human(out: &mut Vec<u8>, at: &str, record: &Record) {
    let call = &record.call;
    let deployment = record
        .deployment
        .map_or("-", |id| &call.live.deployment(id).id);
    // Writing to a vector does not fail.
    let _ = write!(
        out,
        "{} {} {} {} -> {} {}",
        at,
        call.id.to_str().unwrap_or(""),
        call.principal
            .alias
            .as_deref()
            .unwrap_or(&call.principal.key),
        plain(call.group_name()),
        plain(deployment),
        record.status.as_u16(),
    );
    if let Some(failure) = record.failure {
        let _ = write!(out, " {failure}");
    }
    if let Some(usage) = record.usage {
        let _ = write!(
            out,
            " {}+{} tokens ${}",
            usage.prompt,
            usage.completion,
            record.cost.total()
        );
    }
    if let Some(first) = record.first_token {
        let _ = write!(out, " first token {} ms", first.as_millis());
    }
    let _ = writeln!(
        out,
        " {} ms{}",
        record.total().as_millis(),
        if record.dropped { ", client gone" } else { "" }
    );
}

/// Text without characters that would act on a terminal.
fn plain(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { '?' } else { c })
        .collect()
}

/// A JSON object, member by member.
struct Line<'a> {
    out: &'a mut Vec<u8>,
    first: bool,
}

impl Line<'_> {
    fn name(&mut self, name: &str) {
        self.out
            .extend_from_slice(if self.first { b"{\"" } else { b",\"" });
        self.first = false;
        self.out.extend_from_slice(name.as_bytes());
        self.out.extend_from_slice(b"\":");
    }

    fn raw(&mut self, name: &str, parts: &[&[u8]]) {
        self.name(name);
        for part in parts {
            self.out.extend_from_slice(part);
        }
    }

    fn text(&mut self, name: &str, value: &str) {
        self.name(name);
        json::push_string(self.out, value);
    }

    fn optional_text(&mut self, name: &str, value: Option<&str>) {
        match value {
            Some(value) => self.text(name, value),
            None => self.raw(name, &[b"null"]),
        }
    }

    fn flag(&mut self, name: &str, value: bool) {
        self.raw(name, &[if value { b"true" } else { b"false" }]);
    }

    fn number(&mut self, name: &str, value: Option<u64>) {
        match value {
            Some(value) => self.raw(name, &[itoa::Buffer::new().format(value).as_bytes()]),
            None => self.raw(name, &[b"null"]),
        }
    }
}

/// The time of day as text, made anew only when it has changed.
#[derive(Default)]
struct Stamp {
    millis: u128,
    text: String,
}

impl Stamp {
    fn of(&mut self, at: SystemTime) -> &str {
        let millis = at
            .duration_since(SystemTime::UNIX_EPOCH)
            .map_or(0, |since| since.as_millis());
        if self.millis != millis || self.text.is_empty() {
            self.millis = millis;
            self.text = humantime::format_rfc3339_millis(at).to_string();
        }
        &self.text
    }
}
