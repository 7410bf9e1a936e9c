//! Brings rows over in batches: each is compared with what came of it before and with what is here,
//! and a batch that changes something is one transaction.

use std::collections::HashMap;

use futures_util::StreamExt;
use pointsman_routes::usd::Usd;

use super::accounts::{Found, Kind, PROXY, distinct};
use super::fields::Fields;
use super::log;
use super::source::Row;
use super::{Counts, Report, Source, Stopped};
use crate::account::{Down, Key, Scope, SpendRow, Time};
use crate::store::{Fault, Held, Imported, Record, Store, Work, digest};

/// Rows of a batch.
const BATCH: usize = 500;
/// Bytes of the log's rows in a batch: some hold prompts.
const BATCH_BYTES: usize = 8 << 20;
/// How far back a second import looks into the log: longer than any request takes.
const MARGIN: i64 = 86_400;
/// In whose name accounts are changed.
pub(super) const ACTOR: &str = "import";
/// By which path, as the audit log has it.
pub(super) const ACTION: &str = "pointsman import";

/// Tables of which something is made, or which say again what others say.
const USED: &[&str] = &[
    "LiteLLM_BudgetTable",
    "LiteLLM_OrganizationTable",
    "LiteLLM_OrganizationMembership",
    "LiteLLM_UserTable",
    "LiteLLM_TeamTable",
    "LiteLLM_TeamMembership",
    "LiteLLM_ModelTable",
    "LiteLLM_ObjectPermissionTable",
    "LiteLLM_EndUserTable",
    "LiteLLM_VerificationToken",
    "LiteLLM_ProxyModelTable",
    "LiteLLM_DeprecatedVerificationToken",
    "LiteLLM_SpendLogs",
    "LiteLLM_SpendLogToolIndex",
    "LiteLLM_SpendLogGuardrailIndex",
];

pub(super) struct Run<'a> {
    pub(super) source: &'a mut Source,
    pub(super) name: String,
    pub(super) store: &'a Store,
    pub(super) write: bool,
    progress: &'a mut (dyn FnMut(&str, u64) + Send),
    pub(super) report: Report,
}

/// What is to be done about a row.
enum Step {
    Add,
    Change,
    Same,
    /// It stays as it is here, and why; whether what it spent there still counts.
    Leave(&'static str, bool),
}

impl Step {
    fn of<T: Record>(new: &str, held: &Held<T>) -> Self {
        match (&held.record, &held.imported) {
            (None, None) => Self::Add,
            (None, Some(_)) => Self::Leave("removed here since", false),
            (Some(record), None) if digest(record) == new => {
                // As if it had been brought over: an earlier import may have been of a copy.
                Self::Leave("there is the same here, which no import has made", false)
            }
            (Some(_), None) => Self::Leave("there is another of this id here", false),
            (Some(_), Some(before)) if before.digest == new => Self::Same,
            (Some(record), Some(before)) if before.digest == digest(record) => Self::Change,
            (Some(_), Some(_)) => Self::Leave("changed there, but here, too", true),
        }
    }
}

/// What a window's spend grew by since the last time. When the window has ended in between, all of
/// it is new: the one here has ended, too.
fn grown(spend: Usd, ends: Option<Time>, before: Option<&Imported>) -> Usd {
    match before {
        Some(before) if before.at == ends => Usd(spend.0 - before.spend.0),
        Some(_) | None => spend,
    }
}

impl<'a> Run<'a> {
    pub(super) fn new(
        source: &'a mut Source,
        store: &'a Store,
        write: bool,
        progress: &'a mut (dyn FnMut(&str, u64) + Send),
    ) -> Self {
        Self {
            name: source.name().to_owned(),
            source,
            store,
            write,
            progress,
            report: Report::default(),
        }
    }

    /// Brings over the accounts of a kind, and takes away those that are gone there.
    pub(super) async fn accounts<T: Record>(&mut self, kind: &Kind<T>) -> Result<(), Stopped> {
        if !self.source.has(kind.table) {
            return Ok(());
        }
        let statement = (kind.rows)(self.source);
        let mut counts = Counts::default();
        let mut batch = Vec::with_capacity(BATCH);
        let mut settling = Settling {
            name: &self.name,
            store: self.store,
            write: self.write,
            kind: kind.name,
            report: &mut self.report,
        };
        let mut rows = self.source.rows(&statement);
        while let Some(row) = rows.next().await {
            counts.there += 1;
            match read(kind, row?, settling.report) {
                Some(found) => batch.push(found),
                None => counts.left += 1,
            }
            if batch.len() == BATCH {
                settling.settle(&mut batch, &mut counts).await?;
                (self.progress)(kind.name, counts.there);
            }
        }
        drop(rows);
        settling.settle(&mut batch, &mut counts).await?;
        self.take_away::<T>(kind, &mut counts).await?;
        self.report.kinds.push((kind.name, counts));
        Ok(())
    }

    /// Removes what is gone there and was not changed here.
    async fn take_away<T: Record>(
        &mut self,
        kind: &Kind<T>,
        counts: &mut Counts,
    ) -> Result<(), Stopped> {
        let mut last = (String::new(), String::new());
        loop {
            let known = self.store.imported_after(&self.name, T::KIND, &last).await;
            let known = known.map_err(target)?;
            let Some(end) = known.last().cloned() else {
                return Ok(());
            };
            last = end;
            let gone = self.source.gone(kind.known, &known).await?;
            if gone.is_empty() {
                continue;
            }
            let held = self.store.held::<T>(&self.name, &gone).await;
            let mut work = self.work().await?;
            for ((id, part), held) in gone.iter().zip(held.map_err(target)?) {
                let untouched = match (&held.record, &held.imported) {
                    (Some(record), Some(imported)) => imported.digest == digest(record),
                    _ => true,
                };
                if !untouched {
                    counts.left += 1;
                    let why = "gone there, but changed here since";
                    self.report.left.add(kind.name, why, short(id));
                    continue;
                }
                counts.removed += u64::from(held.record.is_some());
                if let Some(work) = &mut work {
                    if let Some(record) = work.get_part::<T>(id, part).await.map_err(target)? {
                        work.remove(&record).await?;
                    }
                    work.forget_import(&self.name, (T::KIND, id, part)).await?;
                }
            }
            commit(work).await?;
        }
    }

    /// Secrets that a key had before it was rotated, as long as they open it.
    pub(super) async fn former_keys(&mut self) -> Result<(), Stopped> {
        const NAME: &str = "former keys";
        if !self.source.has("LiteLLM_DeprecatedVerificationToken") {
            return Ok(());
        }
        let mut counts = Counts::default();
        let statement = "SELECT token, active_token_id, revoke_at
            FROM \"LiteLLM_DeprecatedVerificationToken\" WHERE revoke_at > now()";
        let mut batch: Vec<(String, String, Time)> = Vec::new();
        let mut rows = self.source.rows(statement);
        loop {
            let row = rows.next().await.transpose()?;
            let ended = row.is_none();
            if let Some(row) = row {
                counts.there += 1;
                let mut fields = Fields::new(NAME, "", row, &mut self.report.losses);
                let parts = (
                    fields.text("token"),
                    fields.text("active_token_id"),
                    fields.time("revoke_at"),
                );
                if let (Some(hash), Some(successor), Some(until)) = parts {
                    batch.push((hash, successor, until));
                }
            }
            if batch.len() == BATCH || ended {
                let hashes: Vec<_> = batch.iter().map(|(hash, ..)| hash.as_str()).collect();
                let known = self.store.former_keys(&hashes).await.map_err(target)?;
                let mut work = None;
                for (hash, successor, until) in &batch {
                    if known.contains(hash) {
                        counts.same += 1;
                        continue;
                    }
                    counts.added += 1;
                    if self.write {
                        let work = begin(self.store, &mut work).await?;
                        work.add_former_key(hash, successor, *until).await?;
                    }
                }
                commit(work).await?;
                batch.clear();
            }
            if ended {
                break;
            }
        }
        drop(rows);
        self.report.kinds.push((NAME, counts));
        Ok(())
    }

    /// What the whole proxy has spent: LiteLLM counts it on a user of its own.
    pub(super) async fn proxy(&mut self) -> Result<(), Stopped> {
        const NAME: &str = "whole proxy";
        if !self.source.has("LiteLLM_UserTable") {
            return Ok(());
        }
        let statement = format!(
            "SELECT spend, budget_reset_at FROM \"LiteLLM_UserTable\" WHERE user_id = '{PROXY}'"
        );
        let row = self.source.rows(&statement).next().await.transpose()?;
        let Some(row) = row else { return Ok(()) };
        let mut counts = Counts {
            there: 1,
            ..Counts::default()
        };
        let mut fields = Fields::new(NAME, PROXY, row, &mut self.report.losses);
        let (spend, ends) = (fields.spend(), fields.time("budget_reset_at"));
        let mut work = self.store.work(ACTOR, ACTION).await.map_err(target)?;
        let before = work
            .imported(&self.name, "proxy", "")
            .await
            .map_err(target)?;
        let now = Imported {
            digest: String::new(),
            spend,
            at: ends,
        };
        if before.as_ref() == Some(&now) {
            counts.same = 1;
        } else {
            counts.spent = 1;
            if self.write {
                let more = grown(spend, ends, before.as_ref());
                work.add_spend(&Scope::Proxy, more, ends).await?;
                work.note_import(&self.name, ("proxy", "", ""), &now)
                    .await?;
                work.commit().await?;
            }
        }
        self.report.kinds.push((NAME, counts));
        Ok(())
    }

    /// The log of spend: what came in since the last time, or all of it.
    pub(super) async fn log(&mut self) -> Result<(), Stopped> {
        if !self.source.has("LiteLLM_SpendLogs") {
            return Ok(());
        }
        let mut work = self.store.work(ACTOR, ACTION).await.map_err(target)?;
        let before = work.imported(&self.name, "spend_log", "").await;
        let before = before.map_err(target)?.and_then(|before| before.at);
        drop(work);
        let from = before.map(|read| Time(read.0.saturating_sub(MARGIN * 1_000_000)));
        let statement = log::rows(from);
        let mut counts = Counts::default();
        let mut latest = before;
        let mut batch = Vec::with_capacity(BATCH);
        let mut bytes = 0;
        let mut rows = self.source.rows(&statement);
        loop {
            let row = rows.next().await.transpose()?;
            let ended = row.is_none();
            if let Some(row) = row {
                counts.there += 1;
                bytes += row.values().map(weight).sum::<usize>();
                match log::row(row, &mut self.report.losses) {
                    Some(row) => {
                        latest = latest.max(Some(row.start_time));
                        batch.push(row);
                    }
                    None => counts.left += 1,
                }
            }
            if batch.len() == BATCH || bytes > BATCH_BYTES || ended {
                let new = log_batch(self.store, self.write, &batch).await?;
                counts.added += new;
                counts.same += batch.len() as u64 - new;
                batch.clear();
                bytes = 0;
                (self.progress)(log::NAME, counts.there);
            }
            if ended {
                break;
            }
        }
        drop(rows);
        if self.write && latest != before {
            let mut work = self.store.work(ACTOR, ACTION).await.map_err(target)?;
            let read = Imported {
                at: latest,
                ..Imported::default()
            };
            let log = ("spend_log", "", "");
            work.note_import(&self.name, log, &read).await?;
            work.commit().await?;
        }
        self.report.kinds.push((log::NAME, counts));
        Ok(())
    }

    /// Tables with rows of which nothing is made.
    pub(super) async fn rest(&mut self) -> Result<(), Stopped> {
        let filled = self.source.filled().await?;
        let unused = filled.into_iter().filter(|table| {
            let table = table.as_str();
            // Sums by day are made from the log.
            !USED.contains(&table) && !table.starts_with("LiteLLM_Daily")
        });
        self.report.tables.extend(unused);
        Ok(())
    }

    async fn work(&self) -> Result<Option<Work>, Stopped> {
        if !self.write {
            return Ok(None);
        }
        let work = self.store.work(ACTOR, ACTION).await;
        Ok(Some(work.map_err(target)?))
    }
}

fn read<T>(kind: &Kind<T>, row: Row, report: &mut Report) -> Option<Found<T>> {
    let whom = row.get(kind.whom).and_then(|id| id.as_str());
    let whom = short(whom.unwrap_or_default()).to_owned();
    let mut fields = Fields::new(kind.name, &whom, row, &mut report.losses);
    let found = (kind.read)(&mut fields);
    fields.end(kind.meaningless);
    if found.is_none() {
        report.left.add(kind.name, "without an id", "");
    }
    found
}

/// Brings batches of a kind over.
struct Settling<'r> {
    name: &'r str,
    store: &'r Store,
    write: bool,
    kind: &'static str,
    report: &'r mut Report,
}

impl Settling<'_> {
    async fn settle<T: Record>(
        &mut self,
        batch: &mut Vec<Found<T>>,
        counts: &mut Counts,
    ) -> Result<(), Stopped> {
        self.rename_taken(batch).await?;
        let ids: Vec<_> = batch
            .iter()
            .map(|found| {
                let (id, part) = found.record.id();
                (id.to_owned(), part.to_owned())
            })
            .collect();
        let held = self
            .store
            .held::<T>(self.name, &ids)
            .await
            .map_err(target)?;
        let mut work = None;
        for (found, held) in batch.drain(..).zip(held) {
            let new = digest(&found.record);
            let step = Step::of(&new, &held);
            let before = held.imported.as_ref();
            let spent = found.spent.as_ref();
            let moved = spent.is_some_and(|(_, spend, ends)| {
                before.is_none_or(|before| (before.spend, before.at) != (*spend, *ends))
            });
            let (counted, digest) = match step {
                Step::Add => {
                    counts.added += 1;
                    (true, new)
                }
                Step::Change => {
                    counts.changed += 1;
                    (moved, new)
                }
                Step::Same if moved => {
                    counts.spent += 1;
                    (true, new)
                }
                Step::Same => {
                    counts.same += 1;
                    continue;
                }
                Step::Leave(why, still) => {
                    counts.left += 1;
                    let (id, _) = found.record.id();
                    self.report.left.add(self.kind, why, short(id));
                    let before = before.map(|before| before.digest.clone());
                    match before.filter(|_| still && moved) {
                        Some(before) => (true, before),
                        None => continue,
                    }
                }
            };
            if !self.write {
                continue;
            }
            let work = begin(self.store, &mut work).await?;
            match step {
                Step::Add => work.add(&found.record).await?,
                Step::Change => {
                    if let Some(before) = held.record.as_ref() {
                        work.put(before, &found.record).await?;
                    }
                }
                Step::Same | Step::Leave(..) => {}
            }
            if let Some((scope, spend, ends)) = spent.filter(|_| counted) {
                work.add_spend(scope, grown(*spend, *ends, before), *ends)
                    .await?;
            }
            let now = Imported {
                digest,
                spend: spent.map_or(Usd::ZERO, |(_, spend, _)| *spend),
                at: spent.and_then(|(.., ends)| *ends),
            };
            let (id, part) = found.record.id();
            work.note_import(self.name, (T::KIND, id, part), &now)
                .await?;
        }
        commit(work).await
    }

    /// Aliases of keys are unique here; one that a key of ours has gets a part of its hash.
    async fn rename_taken<T: Record>(&mut self, batch: &mut [Found<T>]) -> Result<(), Stopped> {
        let mut keys: HashMap<String, &mut Key> = HashMap::new();
        for found in batch {
            let any: &mut dyn std::any::Any = &mut found.record;
            if let Some(key) = any.downcast_mut::<Key>()
                && let Some(alias) = key.key_alias.clone()
            {
                keys.insert(alias, key);
            }
        }
        let aliases: Vec<_> = keys.keys().map(String::as_str).collect();
        let taken = self.store.key_names(&aliases).await.map_err(target)?;
        for (alias, token) in taken {
            if let Some(key) = keys.remove(&alias)
                && key.token != token
            {
                let what = "key_alias, which a key here has: this one gets a part of its hash";
                self.report.losses.add(self.kind, what, short(&key.token));
                key.key_alias = Some(distinct(&alias, &key.token));
            }
        }
        Ok(())
    }
}

/// Brings rows of the log over; how many of them are new.
async fn log_batch(store: &Store, write: bool, batch: &[SpendRow]) -> Result<u64, Stopped> {
    let new = if write {
        store.append_history(batch).await.map_err(target)?
    } else {
        let ids: Vec<_> = batch.iter().map(|row| row.request_id.as_str()).collect();
        batch.len() - store.logged(&ids).await.map_err(target)?.len()
    };
    Ok(new as u64)
}

/// The batch's transaction, begun when there is something to write.
async fn begin<'w>(store: &Store, work: &'w mut Option<Work>) -> Result<&'w mut Work, Stopped> {
    let begun = match work.take() {
        Some(begun) => begun,
        None => store.work(ACTOR, ACTION).await.map_err(target)?,
    };
    Ok(work.insert(begun))
}

async fn commit(work: Option<Work>) -> Result<(), Stopped> {
    match work {
        Some(work) => Ok(work.commit().await?),
        None => Ok(()),
    }
}

pub(super) fn target(down: Down) -> Stopped {
    Stopped::Target(Fault::Down(down))
}

/// An id as reports show it: enough of it to find it by.
fn short(id: &str) -> &str {
    id.char_indices().nth(24).map_or(id, |(end, _)| &id[..end])
}

/// About how many bytes a value is long.
fn weight(value: &serde_json::Value) -> usize {
    use serde_json::Value;
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => 8,
        Value::String(text) => text.len(),
        Value::Array(items) => items.iter().map(weight).sum(),
        Value::Object(fields) => fields
            .iter()
            .map(|(name, value)| name.len() + weight(value))
            .sum(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn imported(spend: i128, at: Option<i64>) -> Imported {
        Imported {
            digest: String::new(),
            spend: Usd(spend),
            at: at.map(Time),
        }
    }

    #[test]
    fn only_what_was_spent_since_the_last_import_is_new() {
        let before = imported(5, Some(10));
        let end = |end| Some(Time(end));
        assert_eq!(grown(Usd(7), end(10), None), Usd(7));
        assert_eq!(grown(Usd(7), end(10), Some(&before)), Usd(2));
        // It was given back there.
        assert_eq!(grown(Usd(1), end(10), Some(&before)), Usd(-4));
        // A new window began.
        assert_eq!(grown(Usd(3), end(20), Some(&before)), Usd(3));
    }

    #[test]
    fn what_was_changed_here_stays() {
        let key = |alias: &str| Key {
            token: "t".to_owned(),
            key_alias: Some(alias.to_owned()),
            ..Key::default()
        };
        let (old, new) = (digest(&key("old")), digest(&key("new")));
        let step = |here: Option<&str>, imported: Option<&String>| {
            let held = Held {
                record: here.map(key),
                imported: imported.map(|digest| Imported {
                    digest: digest.clone(),
                    ..Imported::default()
                }),
            };
            Step::of(&new, &held)
        };
        assert!(matches!(step(None, None), Step::Add));
        assert!(matches!(step(Some("old"), Some(&old)), Step::Change));
        assert!(matches!(step(Some("new"), Some(&new)), Step::Same));
        assert!(matches!(step(Some("mine"), Some(&new)), Step::Same));
        assert!(matches!(
            step(Some("mine"), Some(&old)),
            Step::Leave(_, true)
        ));
        assert!(matches!(step(Some("mine"), None), Step::Leave(_, false)));
        assert!(matches!(step(Some("new"), None), Step::Leave(_, false)));
        assert!(matches!(step(None, Some(&old)), Step::Leave(_, false)));
    }
}
