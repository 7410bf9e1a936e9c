//! The journal: what was spent, on this machine's disk, before anybody is told.
//!
//! A record is appended when a request has ended and before the end of its answer goes out. It is
//! then in the hands of the kernel, so that it outlives this process however that ends; a thread of
//! its own brings it to the disk within [`SYNC_WITHIN`], so that it outlives the machine's power,
//! too. [`Journal::synced`] waits for that.
//!
//! Those who come while another one writes leave their record with the next, who writes for all of
//! them: no request wakes a thread, and none waits for more than one write that is not its own.
//!
//! The journal is a row of files, each named by the [`Position`] of its first byte. Records are
//! framed with their length and a checksum. What was torn by a crash at the end of the last file is
//! cut off at the next start; what is damaged elsewhere is passed over, and told.
//!
//! Whoever drains it [reads](Journal::read) in order and [releases](Journal::release) what is kept
//! elsewhere; files of which nothing is needed any more are deleted. The journal refuses records
//! when what is not released has reached its bound.

mod frame;
mod read;
mod segment;
mod sync;
#[cfg(test)]
mod tests;

use std::fmt;
use std::fs::File;
use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use self::segment::Folder;
use self::sync::Syncer;

pub use self::frame::LONGEST;
pub use self::read::Batch;

/// The longest time between a record's append and its sync.
pub const SYNC_WITHIN: Duration = Duration::from_millis(50);

/// A place in the journal: bytes since its beginning. It grows with each record, over restarts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position(pub u64);

/// How a journal is kept.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where.
    pub folder: PathBuf,
    /// The most bytes that are not released.
    pub most: u64,
    /// The length from which a new file is begun.
    pub segment: u64,
}

impl Options {
    /// A journal of at most a gigabyte in files of 16 MiB.
    pub fn in_folder(folder: impl Into<PathBuf>) -> Self {
        Self {
            folder: folder.into(),
            most: 1 << 30,
            segment: 16 << 20,
        }
    }
}

/// Why a record was not taken.
#[derive(Debug)]
pub enum Refused {
    /// What is not released has reached the bound.
    Full,
    /// The record is longer than [`LONGEST`].
    TooLong,
    /// It could not be written. It waits in memory and is written before the next one.
    Unwritten(io::Error),
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Full => f.write_str("the journal is full"),
            Self::TooLong => f.write_str("the record is too long for the journal"),
            Self::Unwritten(error) => write!(f, "the journal cannot be written: {error}"),
        }
    }
}

impl std::error::Error for Refused {}

/// The journal of one folder. Clones share it.
///
/// The folder is locked while one of them lives: two processes do not write one journal.
#[derive(Clone, Debug)]
pub struct Journal {
    /// Ends the thread when the last clone is gone; first, so that what it syncs is still there.
    syncer: Arc<Syncer>,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    folder: Folder,
    most: u64,
    segment: u64,
    /// Taken for a copy into memory and for nothing else.
    pending: Mutex<Pending>,
    /// Whoever holds it writes what is pending.
    tail: Mutex<Tail>,
    written: AtomicU64,
    released: AtomicU64,
    /// Files that were written since the last sync.
    unsynced: Mutex<Vec<Arc<File>>>,
    /// What is on the disk.
    synced: tokio::sync::watch::Sender<u64>,
}

/// Records that nobody has written yet.
#[derive(Debug)]
struct Pending {
    bytes: Vec<u8>,
    /// The position behind them.
    end: u64,
}

/// The file that is being written.
#[derive(Debug)]
struct Tail {
    file: Arc<File>,
    /// The position of its first byte.
    base: u64,
    /// Taken in turn with the pending bytes, so that neither is allocated anew.
    spare: Vec<u8>,
    /// The last write failed half way.
    torn: bool,
}

/// Most bytes that wait in memory where the disk takes none.
const MOST_PENDING: usize = 64 << 20;
/// What a buffer may keep when it is empty again.
const KEPT: usize = 1 << 20;

impl Journal {
    /// Opens the journal of a folder, which is made if it is not there.
    ///
    /// Blocks while it reads the last file through.
    pub fn open(options: Options) -> io::Result<Self> {
        let folder = Folder::open(options.folder)?;
        let (released, end) = folder.recover()?;
        let file = Arc::new(folder.create(end)?);
        let shared = Arc::new(Shared {
            folder,
            most: options.most,
            segment: options.segment,
            pending: Mutex::new(Pending {
                bytes: Vec::new(),
                end,
            }),
            tail: Mutex::new(Tail {
                file,
                base: end,
                spare: Vec::new(),
                torn: false,
            }),
            written: AtomicU64::new(end),
            released: AtomicU64::new(released),
            unsynced: Mutex::default(),
            synced: tokio::sync::watch::Sender::new(end),
        });
        Ok(Self {
            syncer: Arc::new(Syncer::start(&shared)?),
            shared,
        })
    }

    /// Appends the record that `write` makes, and gives the position behind it.
    ///
    /// When it returns without an error the kernel has the record. Does not wait for the disk.
    pub fn append(&self, write: impl FnOnce(&mut Vec<u8>)) -> Result<Position, Refused> {
        let end = self.shared.put(write)?;
        self.shared.commit(end)?;
        self.syncer.wake();
        Ok(Position(end))
    }

    /// Writes what could not be written before.
    pub fn flush(&self) -> Result<(), Refused> {
        let end = self.shared.pending().end;
        self.shared.commit(end)
    }

    /// Waits until everything before `position` is on the disk. `false` if that can no longer be.
    ///
    /// Cancel-safe.
    pub async fn synced(&self, position: Position) -> bool {
        self.syncer.hurry();
        let mut synced = self.shared.synced.subscribe();
        synced
            .wait_for(|synced| *synced >= position.0)
            .await
            .is_ok()
    }

    /// The records behind `from`, in their order, up to about `most` bytes of them.
    ///
    /// Blocks while it reads the disk.
    pub fn read(&self, from: Position, most: usize) -> io::Result<Batch> {
        read::read(&self.shared.folder, from.0, self.written().0, most)
    }

    /// Says that nothing before `position` is needed any more. Deletes files of which nothing is.
    ///
    /// Blocks while it does.
    pub fn release(&self, position: Position) -> io::Result<()> {
        let shared = &self.shared;
        let released = shared.released.fetch_max(position.0, Ordering::AcqRel);
        let released = released.max(position.0);
        shared.folder.note_released(released)?;
        let base = shared.tail().base;
        shared.folder.delete_before(released.min(base))
    }

    /// The position behind the last record.
    pub fn written(&self) -> Position {
        Position(self.shared.written.load(Ordering::Acquire))
    }

    /// What was released.
    pub fn released(&self) -> Position {
        Position(self.shared.released.load(Ordering::Acquire))
    }

    /// How much of its bound is used, in parts of a thousand.
    pub fn fill(&self) -> u64 {
        let held = self.written().0.saturating_sub(self.released().0);
        held.saturating_mul(1_000) / self.shared.most.max(1)
    }
}

impl Shared {
    fn pending(&self) -> MutexGuard<'_, Pending> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tail(&self) -> MutexGuard<'_, Tail> {
        self.tail.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts a record to what is pending; gives the position behind it.
    fn put(&self, write: impl FnOnce(&mut Vec<u8>)) -> Result<u64, Refused> {
        let mut pending = self.pending();
        let held = pending
            .end
            .saturating_sub(self.released.load(Ordering::Relaxed));
        if held >= self.most || pending.bytes.len() >= MOST_PENDING {
            return Err(Refused::Full);
        }
        let start = pending.bytes.len();
        if !frame::push(&mut pending.bytes, write) {
            return Err(Refused::TooLong);
        }
        pending.end += (pending.bytes.len() - start) as u64;
        Ok(pending.end)
    }

    /// Sees to it that everything before `end` is written, by oneself or by another.
    fn commit(&self, end: u64) -> Result<(), Refused> {
        if self.written.load(Ordering::Acquire) >= end {
            return Ok(());
        }
        let mut tail = self.tail();
        // Whoever held it may have written this record, too.
        if self.written.load(Ordering::Acquire) >= end {
            return Ok(());
        }
        self.write(&mut tail).map_err(Refused::Unwritten)
    }

    /// Writes all that is pending.
    fn write(&self, tail: &mut Tail) -> io::Result<()> {
        let written = self.written.load(Ordering::Acquire);
        if tail.torn {
            // What is behind the last whole record would hide everything behind it.
            tail.file.set_len(segment::HEADER + written - tail.base)?;
            tail.torn = false;
        }
        if written - tail.base >= self.segment {
            tail.file = Arc::new(self.folder.create(written)?);
            tail.base = written;
        }
        let mut bytes = std::mem::take(&mut tail.spare);
        let end = {
            let mut pending = self.pending();
            std::mem::swap(&mut pending.bytes, &mut bytes);
            pending.end
        };
        let result = (&*tail.file).write_all(&bytes);
        if let Err(error) = result {
            tail.torn = true;
            let mut pending = self.pending();
            bytes.append(&mut pending.bytes);
            std::mem::swap(&mut pending.bytes, &mut bytes);
            return Err(error);
        }
        bytes.clear();
        bytes.shrink_to(KEPT);
        tail.spare = bytes;
        self.written.store(end, Ordering::Release);
        let mut unsynced = self.unsynced();
        if !unsynced.iter().any(|file| Arc::ptr_eq(file, &tail.file)) {
            unsynced.push(Arc::clone(&tail.file));
        }
        Ok(())
    }

    fn unsynced(&self) -> MutexGuard<'_, Vec<Arc<File>>> {
        self.unsynced.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
