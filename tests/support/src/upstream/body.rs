//! A response body that plays a script.

use super::record::Entry;
use super::reply::{Ending, Pieces, Reply};
use bytes::Bytes;
use http_body::{Body, Frame};
use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::sync::watch;

type Pause = Pin<Box<dyn Future<Output = ()> + Send>>;

enum Step {
    Send(Bytes),
    Wait(Duration),
    Hold,
    /// Lets what was sent reach the wire before the next step.
    Flush,
    Break,
    Stall,
}

/// Plays its steps, and tells the record how it ended.
pub(super) struct Script {
    steps: VecDeque<Step>,
    pause: Option<Pause>,
    released: watch::Receiver<bool>,
    entry: Entry,
}

impl Script {
    /// `events` are the natural pieces of the body.
    pub(super) fn new(
        events: &[Bytes],
        reply: &Reply,
        released: watch::Receiver<bool>,
        entry: Entry,
    ) -> Self {
        let mut steps = VecDeque::new();
        if reply.wait_first_byte > 0 {
            steps.extend([
                Step::Flush,
                Step::Wait(Duration::from_millis(reply.wait_first_byte)),
            ]);
        }
        let (end, last) = match reply.ending {
            Ending::Clean => (usize::MAX, None),
            Ending::CutAfter(byte) => (byte, Some(Step::Break)),
            Ending::StallAfter(byte) => (byte, Some(Step::Stall)),
        };
        let mut sent = 0;
        for (index, piece) in pieces(events, reply, end).into_iter().enumerate() {
            if index > 0 && reply.wait_between > 0 {
                steps.push_back(Step::Wait(Duration::from_millis(reply.wait_between)));
            }
            if reply.hold_at == Some(sent) {
                steps.extend([Step::Flush, Step::Hold]);
            }
            sent += piece.len();
            steps.extend([Step::Send(piece), Step::Flush]);
        }
        if reply.hold_at.is_some_and(|byte| byte >= sent) {
            steps.push_back(Step::Hold);
        }
        steps.extend(last);
        Self {
            steps,
            pause: None,
            released,
            entry,
        }
    }
}

/// Cuts the body where the script wants it, where it holds and where it ends.
fn pieces(events: &[Bytes], reply: &Reply, end: usize) -> Vec<Bytes> {
    let natural = matches!(reply.pieces, Pieces::AsMade);
    let lengths: Vec<_> = events.iter().map(Bytes::len).collect();
    let whole = Bytes::from(events.concat());
    let mut cuts: Vec<usize> = match &reply.pieces {
        Pieces::AsMade | Pieces::Whole => Vec::new(),
        Pieces::At(places) => places.clone(),
        Pieces::Every(step) => (0..whole.len()).step_by((*step).max(1)).collect(),
    };
    if natural {
        cuts.extend(lengths.iter().scan(0, |sum, length| {
            *sum += length;
            Some(*sum)
        }));
    }
    cuts.extend(reply.hold_at);
    let end = end.min(whole.len());
    cuts.push(end);
    cuts.retain(|cut| (1..=end).contains(cut));
    cuts.sort_unstable();
    cuts.dedup();
    let starts = std::iter::once(0).chain(cuts.iter().copied());
    starts
        .zip(&cuts)
        .map(|(start, cut)| whole.slice(start..*cut))
        .collect()
}

impl Body for Script {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        let this = self.get_mut();
        loop {
            if let Some(pause) = &mut this.pause {
                ready!(pause.as_mut().poll(cx));
                this.pause = None;
            }
            this.pause = Some(match this.steps.pop_front() {
                Some(Step::Send(piece)) => {
                    // With a stated length nobody asks for more after the last byte.
                    if this.steps.iter().all(|step| matches!(step, Step::Flush)) {
                        this.entry.close();
                    }
                    return Poll::Ready(Some(Ok(Frame::data(piece))));
                }
                Some(Step::Wait(time)) => Box::pin(tokio::time::sleep(time)),
                Some(Step::Flush) => Box::pin(tokio::task::yield_now()),
                Some(Step::Hold) => Box::pin(release(this.released.clone())),
                Some(Step::Stall) => Box::pin(std::future::pending()),
                Some(Step::Break) => {
                    this.entry.close();
                    return Poll::Ready(Some(Err(io::Error::other("broken by the script"))));
                }
                None => {
                    this.entry.close();
                    return Poll::Ready(None);
                }
            });
        }
    }
}

/// Waits until the test lets go.
pub(super) async fn release(mut released: watch::Receiver<bool>) {
    // An error says that the upstream itself is gone, and with it the reason to wait.
    drop(released.wait_for(|released| *released).await);
}
