//! The last decisions, kept to be asked for.
//!
//! Each is what went into it: the state, the draw and the facts, without a word of the prompt; and
//! what came out of it. They stand in a ring of fixed length, whose slots are used again with their
//! memory, so that keeping one allocates nothing once a slot has been used.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, TryLockError};

use pointsman_routes::table::{Capabilities, DeploymentId, GroupId, Target};

use super::cooldown::Cooling;
use super::decide::Sheet;
use super::facts::{Facts, Prompt};
use super::moment::{Draw, Moment};
use super::state::Seen;
use super::ticket::Ended;

/// How many decisions are kept.
pub const KEPT: usize = 1_024;
/// Longest call id that is kept.
const MAX_ID: usize = 128;
/// Rows longer than this give their memory back after the decision.
const MAX_ROW: usize = 256;

/// A decision that was made.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// Its number, from 1; later ones have higher numbers.
    pub number: u64,
    /// `x-litellm-call-id` of the request.
    pub call: Vec<u8>,
    /// The table's number.
    pub generation: u64,
    /// Who was to be asked.
    pub target: Target,
    /// When.
    pub now: Moment,
    /// The random draw.
    pub draw: Draw,
    /// What was known of the request.
    pub facts: Brief,
    /// The state of each deployment of the row.
    pub seen: Vec<Seen>,
    /// What was written down.
    pub sheet: Sheet,
    /// How the attempt ended, once it has.
    pub ended: Option<Ended>,
    /// The cooldown that began with that.
    pub cooling: Option<Cooling>,
}

/// What was known of a request, without its texts.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Brief {
    /// It wanted a stream.
    pub stream: bool,
    /// Tokens of its prompt.
    pub prompt: Prompt,
    /// Longest answer that it took.
    pub max_output: Option<u64>,
    /// What it could not do without.
    pub needs: Capabilities,
    /// How many tags it had.
    pub tags: usize,
    /// Whether it was bound to a region.
    pub regional: bool,
    /// Who was tried before.
    pub tried: Vec<DeploymentId>,
}

impl Default for Entry {
    fn default() -> Self {
        Self {
            number: 0,
            call: Vec::new(),
            generation: 0,
            target: Target::Group(GroupId(0)),
            now: Moment::default(),
            draw: Draw(0),
            facts: Brief::default(),
            seen: Vec::new(),
            sheet: Sheet::default(),
            ended: None,
            cooling: None,
        }
    }
}

impl Entry {
    /// Begins a decision of a call.
    pub(super) fn begin(&mut self, call: &[u8], generation: u64, target: Target) {
        self.call.clear();
        self.call.extend_from_slice(&call[..call.len().min(MAX_ID)]);
        self.generation = generation;
        self.target = target;
        self.ended = None;
        self.cooling = None;
        if self.seen.capacity() > MAX_ROW {
            self.seen = Vec::new();
            self.sheet = Sheet::default();
        }
    }

    /// Notes what was known.
    pub(super) fn note(&mut self, facts: &Facts<'_>, now: Moment, draw: Draw) {
        self.now = now;
        self.draw = draw;
        let brief = &mut self.facts;
        brief.stream = facts.stream;
        brief.prompt = facts.prompt;
        brief.max_output = facts.max_output;
        brief.needs = facts.needs;
        brief.tags = facts.tags.len();
        brief.regional = facts.region.is_some();
        brief.tried.clear();
        brief.tried.extend_from_slice(facts.tried);
    }
}

/// The ring.
#[derive(Debug)]
pub struct Decisions {
    next: AtomicU64,
    slots: Box<[Mutex<Entry>]>,
}

impl Default for Decisions {
    fn default() -> Self {
        Self::keeping(KEPT)
    }
}

impl Decisions {
    /// A ring of so many, at least one.
    pub fn keeping(count: usize) -> Self {
        Self {
            next: AtomicU64::new(1),
            slots: (0..count.max(1)).map(|_| Mutex::default()).collect(),
        }
    }

    /// The next slot, to be written. Waits for nobody: a slot that is being read is passed over.
    pub(super) fn begin(&self) -> Option<MutexGuard<'_, Entry>> {
        for _ in 0..4 {
            let number = self.next.fetch_add(1, Relaxed);
            if let Some(mut entry) = self.slot(number) {
                entry.number = number;
                return Some(entry);
            }
        }
        None
    }

    /// Notes how the attempt of a decision ended, if that is still kept.
    pub(super) fn ended(&self, number: u64, ended: Ended, cooling: Option<Cooling>) {
        if let Some(mut entry) = self.slot(number).filter(|entry| entry.number == number) {
            entry.ended = Some(ended);
            entry.cooling = cooling;
        }
    }

    /// The decisions of a call that are still kept, in their order.
    pub fn of_call(&self, call: &[u8]) -> Vec<Entry> {
        let call = &call[..call.len().min(MAX_ID)];
        let mut found: Vec<Entry> = self
            .slots
            .iter()
            .filter_map(|slot| {
                let entry = slot
                    .lock()
                    .unwrap_or_else(std::sync::PoisonError::into_inner);
                (entry.number > 0 && entry.call == call).then(|| entry.clone())
            })
            .collect();
        found.sort_unstable_by_key(|entry| entry.number);
        found
    }

    fn slot(&self, number: u64) -> Option<MutexGuard<'_, Entry>> {
        let at = usize::try_from(number).ok()? % self.slots.len();
        match self.slots[at].try_lock() {
            Ok(entry) => Some(entry),
            Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        }
    }
}
