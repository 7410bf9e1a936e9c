//! The thread that brings the journal to the disk.

use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use super::{SYNC_WITHIN, Shared};

/// How long the thread lets records come together, if nobody is in a hurry. The sync itself has the
/// rest of [`SYNC_WITHIN`].
const GATHER: Duration = Duration::from_millis(25);
const _: () = assert!(GATHER.as_millis() * 2 <= SYNC_WITHIN.as_millis());

/// The thread; ends when it is dropped.
#[derive(Debug)]
pub(super) struct Syncer {
    state: Arc<State>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct State {
    /// Something was written since the thread last looked.
    wanted: AtomicBool,
    /// Somebody waits for the sync.
    hurry: AtomicBool,
    ended: AtomicBool,
    failed: AtomicU64,
}

impl Syncer {
    pub(super) fn start(shared: &Arc<Shared>) -> io::Result<Self> {
        let state = Arc::<State>::default();
        let thread = thread::Builder::new().name("journal".to_owned()).spawn({
            let (state, shared) = (Arc::clone(&state), Arc::downgrade(shared));
            move || run(&state, &shared)
        })?;
        Ok(Self {
            state,
            thread: Some(thread),
        })
    }

    /// Something was written. Wakes the thread at most once in each of its rounds.
    pub(super) fn wake(&self) {
        if !self.state.wanted.load(Ordering::Relaxed)
            && !self.state.wanted.swap(true, Ordering::AcqRel)
        {
            self.unpark();
        }
    }

    /// Somebody waits.
    pub(super) fn hurry(&self) {
        if !self.state.hurry.swap(true, Ordering::AcqRel) {
            self.unpark();
        }
    }

    fn unpark(&self) {
        if let Some(thread) = &self.thread {
            thread.thread().unpark();
        }
    }
}

impl Drop for Syncer {
    fn drop(&mut self) {
        self.state.ended.store(true, Ordering::Release);
        self.unpark();
        if let Some(thread) = self.thread.take() {
            // It panics nowhere; if it did, there is nothing left to be told to.
            drop(thread.join());
        }
    }
}

fn run(state: &State, shared: &Weak<Shared>) {
    loop {
        let ended = state.ended.load(Ordering::Acquire);
        let hurry = state.hurry.swap(false, Ordering::AcqRel);
        let wanted = state.wanted.load(Ordering::Acquire);
        if !ended && !hurry {
            if wanted {
                thread::park_timeout(GATHER);
            } else {
                thread::park();
                continue;
            }
        }
        // Before the sync, so that what is written from here on wakes anew.
        state.wanted.store(false, Ordering::Release);
        let Some(shared) = shared.upgrade() else {
            return;
        };
        if shared.sync().is_err() {
            // It is tried again; told once in a thousand times.
            if state
                .failed
                .fetch_add(1, Ordering::Relaxed)
                .is_multiple_of(1_000)
            {
                tracing::error!("the journal cannot be brought to the disk");
            }
            state.wanted.store(true, Ordering::Release);
        }
        if ended {
            return;
        }
    }
}

impl Shared {
    fn sync(&self) -> io::Result<()> {
        let written = self.written.load(Ordering::Acquire);
        let files = std::mem::take(&mut *self.unsynced());
        for (place, file) in files.iter().enumerate() {
            if let Err(error) = file.sync_data() {
                self.unsynced().extend_from_slice(&files[place..]);
                return Err(error);
            }
        }
        self.synced.send_if_modified(|synced| {
            let more = *synced < written;
            *synced = (*synced).max(written);
            more
        });
        Ok(())
    }
}
