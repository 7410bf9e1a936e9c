//! The ledger: every ended request is written down once, here first and then in the accounts.
//!
//! A record goes to the [journal](super::journal) before the end of its answer goes out, and from
//! there in batches to the accounts, which count it once however often it is given to them. While the
//! accounts are down, records stay in the journal up to its bound.
//!
//! With a policy for [orphans](Orphans) other than [`Orphans::Zero`], a request is also written down
//! before it is sent to a provider. A request that is in the journal so and never ended was under way
//! when a process died; at the next start it is charged as the policy says.
//!
//! A request whose answer is made in the background is written down with the answer's id when it has
//! been begun. At the next start it is [left](Ledger::left) to whoever asks the provider for it.

use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use pointsman_routes::usd::Usd;
use tokio::sync::Notify;

use super::entry::{self, Begun, Entry};
use super::journal::{Journal, Options, Position, Refused};
use super::record::Record;
use crate::account::{Down, SpendRow, Time};
use crate::call::Call;
use crate::live::{LedgerRules, Orphans, WhenFull};

/// Where records go from the journal. Written once, however often it is told.
pub trait Sink: Send + Sync + fmt::Debug {
    /// Writes rows down, all or none; gives how many were new.
    fn append<'a>(
        &'a self,
        rows: &'a [SpendRow],
    ) -> Pin<Box<dyn Future<Output = Result<usize, Down>> + Send + 'a>>;
}

/// How often the journal is drained while there is something in it.
const DRAIN_EVERY: Duration = Duration::from_millis(250);
/// Bytes of the journal that are drained in one batch.
const BATCH: usize = 512 << 10;
/// How long the drain waits after a failure, at first and at most.
const PAUSES: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));
/// How far the oldest request that has begun and not ended may lie behind, before it is written down
/// once more so that the files between can go.
const CARRIED_AFTER: u64 = 32 << 20;

/// The ledger. Clones share it.
#[derive(Clone, Debug)]
pub struct Ledger(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    journal: Journal,
    rules: LedgerRules,
    /// A record waits to be drained.
    waiting: Notify,
    /// The drain sleeps until there is one.
    idle: AtomicBool,
    /// Answers that an earlier process had made in the background, and whoever waits for them.
    left: Mutex<Vec<Begun>>,
    leaves: Notify,
    /// Records that could not be kept.
    lost: AtomicU64,
    /// The journal took no record the last time.
    full: AtomicBool,
}

impl Inner {
    fn left(&self) -> std::sync::MutexGuard<'_, Vec<Begun>> {
        self.left.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Ledger {
    /// Opens the journal. Blocks while it reads the end of it.
    pub fn open(options: Options, rules: LedgerRules) -> io::Result<Self> {
        Ok(Self(Arc::new(Inner {
            journal: Journal::open(options)?,
            rules,
            waiting: Notify::new(),
            idle: AtomicBool::new(true),
            left: Mutex::default(),
            leaves: Notify::new(),
            lost: AtomicU64::new(0),
            full: AtomicBool::new(false),
        })))
    }

    /// Whether a request may begin: whether what it costs can be written down.
    pub fn takes(&self) -> bool {
        let inner = &self.0;
        if !inner.full.load(Ordering::Relaxed) || inner.rules.when_full == WhenFull::Serve {
            return true;
        }
        // Nobody else tries while nobody is served.
        let again = inner.journal.fill() < 1_000 && inner.journal.flush().is_ok();
        if again {
            inner.full.store(false, Ordering::Relaxed);
        }
        again
    }

    /// Whether requests are written down before they are sent.
    pub fn notes_beginnings(&self) -> bool {
        self.0.rules.orphans != Orphans::Zero
    }

    /// Writes down that a call is about to be sent, and may cost this much: in all, and for its prompt.
    pub fn begin(&self, call: &Call, worst: Usd, prompt: Usd) {
        self.put(|out| entry::push_begun(out, call, worst, prompt));
    }

    /// Writes down that the answer to a call is made in the background, under this id.
    pub fn last(&self, call: &Call, answer: &str) {
        self.put(|out| entry::push_lasting(out, call, answer));
    }

    /// Waits for requests of an earlier process whose answers are made in the background. Whoever gets
    /// them [ends](Self::end_of) each; those that nobody has ended are left to the next process.
    ///
    /// Dropping the future loses nothing.
    pub async fn left(&self) -> Vec<Begun> {
        loop {
            let left = std::mem::take(&mut *self.0.left());
            if !left.is_empty() {
                return left;
            }
            self.0.leaves.notified().await;
        }
    }

    /// Writes down a call that has ended, before the end of its answer goes out.
    pub fn end(&self, record: &Record) {
        self.put(|out| entry::push_ended(out, record));
    }

    /// Writes down the row of a request that was passed on and has ended.
    pub fn end_of(&self, row: &SpendRow) {
        self.put(|out| entry::push_row(out, row));
    }

    fn put(&self, write: impl FnOnce(&mut Vec<u8>)) {
        let inner = &self.0;
        match inner.journal.append(write) {
            Ok(_) => {
                if inner.full.load(Ordering::Relaxed) {
                    inner.full.store(false, Ordering::Relaxed);
                }
                if inner.idle.load(Ordering::Acquire) && inner.idle.swap(false, Ordering::AcqRel) {
                    inner.waiting.notify_one();
                }
            }
            Err(refused) => {
                if !matches!(refused, Refused::Unwritten(_)) {
                    metrics::counter!("pointsman_ledger_lost_total").increment(1);
                    inner.lost.fetch_add(1, Ordering::Relaxed);
                }
                if !inner.full.swap(true, Ordering::Relaxed) {
                    tracing::error!(%refused, "a record of spend could not be written");
                }
            }
        }
    }

    /// Gives the accounts everything that an earlier process left in the journal, and settles what was
    /// under way when it died. To be awaited before the first request.
    ///
    /// Tries for `patience` while the accounts are down; what is left then goes with the rest, and what
    /// was under way is settled when that has been read.
    pub async fn recover(&self, sink: &dyn Sink, patience: Duration) -> io::Result<Drain> {
        let began = Instant::now();
        let end = self.0.journal.written();
        let mut drain = Drain {
            next: self.0.journal.released(),
            begun: BTreeMap::new(),
            earlier: Some(end),
        };
        let mut pause = PAUSES.0;
        while drain.next < end {
            match drain.step(self, sink).await {
                Ok(()) => pause = PAUSES.0,
                Err(Stopped::Down(down)) => {
                    if began.elapsed() >= patience {
                        tracing::error!(%down, "what an earlier process spent is not counted yet");
                        break;
                    }
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(PAUSES.1);
                }
                Err(Stopped::Disk(error)) => return Err(error),
            }
        }
        drain.settle_orphans(self);
        Ok(drain)
    }

    /// The row of a request that never ended.
    fn orphan(&self, begun: Begun) -> SpendRow {
        let mut row = begun.row;
        row.spend = match self.0.rules.orphans {
            Orphans::WorstCase => begun.worst,
            Orphans::Counted => begun.prompt,
            Orphans::Zero => Usd::ZERO,
        };
        row.end_time = Time::now();
        "failure".clone_into(&mut row.status);
        row.metadata.insert("orphaned".to_owned(), true.into());
        row
    }

    /// Drains the journal until it is told to stop and there is nothing left, or the accounts are down
    /// then.
    pub async fn drain(
        self,
        mut drain: Drain,
        sink: Arc<dyn Sink>,
        stop: impl Future<Output = ()> + Send,
    ) {
        tokio::pin!(stop);
        let mut stopping = false;
        let mut pause = PAUSES.0;
        loop {
            let inner = &self.0;
            if drain.next >= inner.journal.written() {
                if stopping {
                    return;
                }
                // Whoever appends from here on sees that the drain sleeps, or is seen below.
                inner.idle.store(true, Ordering::Release);
                if drain.next >= inner.journal.written() {
                    tokio::select! {
                        () = inner.waiting.notified() => {}
                        () = &mut stop => stopping = true,
                    }
                }
                inner.idle.store(false, Ordering::Release);
                // Records come together for a moment.
                if !stopping {
                    tokio::select! {
                        () = tokio::time::sleep(DRAIN_EVERY) => {}
                        () = &mut stop => stopping = true,
                    }
                }
            }
            match drain.step(&self, &*sink).await {
                Ok(()) => {
                    pause = PAUSES.0;
                    metrics::gauge!("pointsman_ledger_behind_bytes").set(self.behind(drain.next));
                }
                Err(stopped) => {
                    tracing::warn!(%stopped, "the journal is not drained");
                    metrics::gauge!("pointsman_ledger_behind_bytes").set(self.behind(drain.next));
                    if stopping {
                        return;
                    }
                    tokio::select! {
                        () = tokio::time::sleep(pause) => {}
                        () = &mut stop => stopping = true,
                    }
                    pause = (pause * 2).min(PAUSES.1);
                }
            }
        }
    }

    #[expect(clippy::cast_precision_loss, reason = "a figure for a chart")]
    fn behind(&self, next: Position) -> f64 {
        self.0.journal.written().0.saturating_sub(next.0) as f64
    }
}

/// How far the journal was drained.
#[derive(Debug)]
pub struct Drain {
    next: Position,
    /// What has begun and not ended, by its id.
    begun: BTreeMap<String, Open>,
    /// What stands before this was written by an earlier process, and not all of it has been read.
    earlier: Option<Position>,
}

/// A request that has begun and not ended.
#[derive(Debug)]
struct Open {
    /// Where it stands.
    at: Position,
    begun: Box<Begun>,
    /// It began in an earlier process.
    earlier: bool,
}

enum Stopped {
    Down(Down),
    Disk(io::Error),
}

impl fmt::Display for Stopped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Down(down) => down.fmt(f),
            Self::Disk(error) => error.fmt(f),
        }
    }
}

impl Drain {
    /// One batch.
    async fn step(&mut self, ledger: &Ledger, sink: &dyn Sink) -> Result<(), Stopped> {
        let journal = ledger.0.journal.clone();
        let from = self.next;
        let read = move || journal.read(from, BATCH);
        let batch = tokio::task::spawn_blocking(read)
            .await
            .map_err(|error| Stopped::Disk(io::Error::other(error)))?
            .map_err(Stopped::Disk)?;
        if batch.damaged() > 0 {
            tracing::error!(
                bytes = batch.damaged(),
                "a part of the journal is damaged and is passed over"
            );
        }
        let (mut rows, mut begun) = (Vec::new(), Vec::new());
        let mut before = from;
        for (record, end) in batch.records() {
            match entry::read(record) {
                Ok(Some(Entry::Ended(row))) => rows.push(*row),
                Ok(Some(Entry::Begun(one))) => begun.push((before, one)),
                Ok(None) => tracing::warn!("a record of a form that is not known is passed over"),
                Err(entry::Unreadable) => tracing::error!("a record of the journal cannot be read"),
            }
            before = end;
        }
        if !rows.is_empty() {
            sink.append(&rows).await.map_err(Stopped::Down)?;
        }
        for (at, begun) in begun {
            let id = begun.row.request_id.clone();
            let earlier = self.earlier.is_some_and(|end| at < end);
            match self.begun.get_mut(&id) {
                // Written down once more, it is still what it was.
                Some(known) => {
                    known.at = at;
                    if begun.row.answer_id.is_some() {
                        known.begun = begun;
                    }
                }
                // One that was written down once more may have ended before that.
                None if begun.again && !earlier => {}
                None => {
                    let open = Open { at, begun, earlier };
                    self.begun.insert(id, open);
                }
            }
        }
        for row in &rows {
            self.begun.remove(&row.request_id);
        }
        self.next = batch.next();
        self.settle_orphans(ledger);
        self.release(ledger).map_err(Stopped::Disk)
    }

    /// Charges what was under way when an earlier process died, once all that it wrote has been read.
    fn settle_orphans(&mut self, ledger: &Ledger) {
        if self.earlier.is_none_or(|end| self.next < end) {
            return;
        }
        self.earlier = None;
        let mut lasting = Vec::new();
        for open in self.begun.values_mut() {
            if open.earlier && open.begun.row.answer_id.is_some() {
                // It has not ended, and whoever takes it over ends it.
                open.earlier = false;
                lasting.push((*open.begun).clone());
            }
        }
        if !lasting.is_empty() {
            ledger.0.left().extend(lasting);
            ledger.0.leaves.notify_one();
        }
        let orphans: Vec<_> = self.begun.extract_if(.., |_, open| open.earlier).collect();
        if !orphans.is_empty() {
            tracing::warn!(
                requests = orphans.len(),
                "requests were under way when the gateway died"
            );
        }
        for (_, open) in orphans {
            let row = ledger.orphan(*open.begun);
            ledger.put(|out| entry::push_row(out, &row));
        }
    }

    /// Lets go of what is in the accounts, but for the requests that have not ended.
    fn release(&mut self, ledger: &Ledger) -> io::Result<()> {
        let journal = &ledger.0.journal;
        let oldest = |begun: &BTreeMap<_, Open>| begun.values().map(|open| open.at).min();
        let kept = oldest(&self.begun).unwrap_or(self.next);
        if self.next.0.saturating_sub(kept.0) > CARRIED_AFTER {
            // They are read again where they are written now; until then they are kept here.
            let far = Position(self.next.0 - CARRIED_AFTER / 2);
            for open in self.begun.values_mut().filter(|open| open.at < far) {
                let before = journal.written();
                let again = journal.append(|out| entry::push_again(out, &open.begun));
                again.map_err(io::Error::other)?;
                open.at = before;
            }
        }
        journal.release(oldest(&self.begun).unwrap_or(self.next).min(self.next))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::call::Route;
    use crate::call::example::call;

    /// Accounts that may be down.
    #[derive(Debug, Default)]
    struct Rows {
        down: AtomicBool,
        kept: Mutex<BTreeMap<String, SpendRow>>,
    }

    impl Sink for Rows {
        fn append<'a>(
            &'a self,
            rows: &'a [SpendRow],
        ) -> Pin<Box<dyn Future<Output = Result<usize, Down>> + Send + 'a>> {
            let told = if self.down.load(Ordering::Relaxed) {
                Err(Down("gone".to_owned()))
            } else {
                let mut kept = self.kept.lock().unwrap();
                for row in rows {
                    kept.entry(row.request_id.clone())
                        .or_insert_with(|| row.clone());
                }
                Ok(rows.len())
            };
            Box::pin(std::future::ready(told))
        }
    }

    impl Rows {
        fn orphans(&self) -> Vec<Usd> {
            let kept = self.kept.lock().unwrap();
            let orphaned = |row: &&SpendRow| row.metadata.contains_key("orphaned");
            kept.values()
                .filter(orphaned)
                .map(|row| row.spend)
                .collect()
        }
    }

    fn open(folder: &tempfile::TempDir, orphans: Orphans) -> Ledger {
        let rules = LedgerRules {
            orphans,
            ..LedgerRules::default()
        };
        Ledger::open(Options::in_folder(folder.path()), rules).unwrap()
    }

    /// Begins so many requests, and dies.
    fn dies(folder: &tempfile::TempDir, first: u128, requests: u128) {
        let config = "model_list:\n\
            - {model_name: a, litellm_params: {model: openai/gpt-4o, api_key: os.environ/KEY}}\n";
        let ledger = open(folder, Orphans::WorstCase);
        for id in first..first + requests {
            let mut call = call(config, Route::Chat, r#"{"model":"a","messages":[]}"#);
            call.tab = Arc::new(crate::call::Tab::new(id));
            ledger.begin(&call, Usd(9), Usd(2));
        }
    }

    async fn drained(ledger: Ledger, drain: Drain, rows: &Arc<Rows>) {
        ledger
            .drain(drain, rows.clone(), std::future::ready(()))
            .await;
    }

    #[tokio::test]
    async fn what_was_under_way_is_charged_once_as_the_file_says() {
        for (orphans, charged) in [
            (Orphans::WorstCase, Usd(9)),
            (Orphans::Counted, Usd(2)),
            (Orphans::Zero, Usd(0)),
        ] {
            let (folder, rows) = (tempfile::tempdir().unwrap(), Arc::new(Rows::default()));
            dies(&folder, 0, 3);
            for _ in 0..3 {
                let ledger = open(&folder, orphans);
                let drain = ledger.recover(&*rows, Duration::ZERO).await.unwrap();
                drained(ledger, drain, &rows).await;
                assert_eq!(rows.orphans(), [charged; 3]);
            }
        }
    }

    #[tokio::test]
    async fn what_lasts_is_left_to_each_next_process_until_it_has_ended() {
        let (folder, rows) = (tempfile::tempdir().unwrap(), Arc::new(Rows::default()));
        let config = "model_list:\n\
            - {model_name: a, litellm_params: {model: openai/gpt-4o, api_key: os.environ/KEY}}\n";
        let call = call(config, Route::Chat, r#"{"model":"a","messages":[]}"#);
        {
            let ledger = open(&folder, Orphans::WorstCase);
            ledger.begin(&call, Usd(9), Usd(2));
            ledger.last(&call, "resp_1");
        }
        for _ in 0..2 {
            let ledger = open(&folder, Orphans::WorstCase);
            let drain = ledger.recover(&*rows, Duration::ZERO).await.unwrap();
            let left = ledger.left().await;
            assert_eq!(left.len(), 1);
            assert_eq!(left[0].row.answer_id.as_deref(), Some("resp_1"));
            drained(ledger, drain, &rows).await;
            assert!(rows.kept.lock().unwrap().is_empty());
        }
        let ledger = open(&folder, Orphans::WorstCase);
        let drain = ledger.recover(&*rows, Duration::ZERO).await.unwrap();
        let row = ledger.left().await.remove(0).row;
        ledger.end_of(&SpendRow {
            spend: Usd(5),
            ..row
        });
        drained(ledger, drain, &rows).await;
        let ledger = open(&folder, Orphans::WorstCase);
        let drain = ledger.recover(&*rows, Duration::ZERO).await.unwrap();
        assert!(ledger.0.left().is_empty());
        drained(ledger, drain, &rows).await;
        let kept = rows.kept.lock().unwrap();
        assert_eq!(
            kept.values().map(|row| row.spend).collect::<Vec<_>>(),
            [Usd(5)]
        );
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_under_way_is_charged_though_the_accounts_are_down_at_the_start() {
        let (folder, rows) = (tempfile::tempdir().unwrap(), Arc::new(Rows::default()));
        // The dead left a row, so that there is something that the accounts must take.
        dies(&folder, 0, 2);
        let ledger = open(&folder, Orphans::WorstCase);
        let drain = ledger.recover(&*rows, Duration::ZERO).await.unwrap();
        rows.down.store(true, Ordering::Relaxed);
        drained(ledger, drain, &rows).await;
        dies(&folder, 2, 2);

        let ledger = open(&folder, Orphans::WorstCase);
        let drain = ledger.recover(&*rows, Duration::ZERO).await.unwrap();
        assert!(rows.orphans().is_empty());
        rows.down.store(false, Ordering::Relaxed);
        drained(ledger, drain, &rows).await;
        assert_eq!(rows.orphans(), [Usd(9); 4]);
    }
}
