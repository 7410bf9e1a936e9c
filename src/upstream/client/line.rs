//! A connection, and one exchange after the other on it.
//!
//! It keeps no buffers: what is read is put away when it is used, and an open stream that waits for
//! its next event takes a few hundred bytes. hyper's own client keeps 25 KiB with each connection.

use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use http::{Method, Request};
use http_body::Body;
use hyper::rt::{Read, ReadBuf, Write};
use hyper_rustls::MaybeHttpsStream;
use hyper_util::rt::TokioIo;
use smallvec::SmallVec;
use tokio::net::TcpStream;

use super::broken::Broken;
use super::framing::Framing;
use super::head::{self, Head, MAX_HEAD_BYTES, Sent};
use super::pieces::Pieces;

/// What is read at once. A record of TLS is as long.
const READ_BYTES: usize = 16 << 10;
/// Pieces that are written at once.
const AT_ONCE: usize = 8;

pub(super) type Io = MaybeHttpsStream<TokioIo<TcpStream>>;

/// An open connection.
pub(super) struct Line {
    io: Io,
    /// What was read and is not used.
    left: Bytes,
    /// What is still to be sent of the request.
    sending: Option<Sending>,
}

/// A request on its way.
struct Sending {
    /// What goes next. None of it is empty.
    next: SmallVec<[Bytes; AT_ONCE]>,
    /// What follows that; `None` after its end.
    body: Option<Pieces>,
    sent: Sent,
}

impl Sending {
    /// Takes what there is of the body.
    fn gather(&mut self, cx: &mut Context<'_>) -> Result<(), Broken> {
        // Room for a chunk with its size before and its line's end after.
        while self.next.len() + 3 <= AT_ONCE
            && let Some(body) = &mut self.body
            && let Poll::Ready(frame) = Pin::new(body).poll_frame(cx)
        {
            match frame.transpose().map_err(Broken::Body)? {
                // Trailers are the caller's.
                Some(frame) => self.push(frame.into_data().unwrap_or_default())?,
                None => self.end()?,
            }
        }
        Ok(())
    }

    fn push(&mut self, data: Bytes) -> Result<(), Broken> {
        match &mut self.sent {
            // In chunks it would be the end.
            _ if data.is_empty() => {}
            Sent::Length(left) => {
                let short = || Broken::Body("it is longer than it was told to be".into());
                *left = left.checked_sub(data.len() as u64).ok_or_else(short)?;
                self.next.push(data);
            }
            Sent::Chunks => {
                let size = format!("{:x}\r\n", data.len());
                let line = Bytes::from_static(b"\r\n");
                self.next.extend([Bytes::from(size), data, line]);
            }
        }
        Ok(())
    }

    fn end(&mut self) -> Result<(), Broken> {
        self.body = None;
        match self.sent {
            Sent::Length(0) => Ok(()),
            Sent::Length(_) => Err(Broken::Body("it is shorter than it was told to be".into())),
            Sent::Chunks => {
                self.next.push(Bytes::from_static(b"0\r\n\r\n"));
                Ok(())
            }
        }
    }
}

impl Line {
    pub(super) const fn new(io: Io) -> Self {
        Self {
            io,
            left: Bytes::new(),
            sending: None,
        }
    }

    /// Whether another request may be sent. A server that has closed its side, or speaks without
    /// being asked, is found out here.
    pub(super) fn is_open(&mut self, cx: &mut Context<'_>) -> bool {
        let idle = self.sending.is_none() && self.left.is_empty();
        idle && self.fill(cx).is_pending()
    }

    /// Sends a request and resolves when the head of its answer is there; what is left of the
    /// request's body then goes out while the answer's is read.
    ///
    /// Dropping the future leaves the connection in the midst of the exchange: it is to be dropped,
    /// too.
    pub(super) async fn exchange(&mut self, request: Request<Pieces>) -> Result<Head, Broken> {
        let (mut parts, body) = request.into_parts();
        let (head, sent) = head::write(&mut parts, &body.size_hint());
        self.sending = Some(Sending {
            next: SmallVec::from_iter([head]),
            body: Some(body),
            sent,
        });
        poll_fn(|cx| self.poll_head(cx, &parts.method)).await
    }

    fn poll_head(&mut self, cx: &mut Context<'_>, method: &Method) -> Poll<Result<Head, Broken>> {
        // A server may refuse a request before it has read it, and close: its answer says more than
        // that nothing could be sent.
        let unsent = match self.poll_send(cx) {
            Poll::Ready(Err(body @ Broken::Body(_))) => return Poll::Ready(Err(body)),
            Poll::Ready(Err(error)) => Some(error),
            Poll::Ready(Ok(())) | Poll::Pending => None,
        };
        loop {
            let came = match self.fill(cx) {
                Poll::Ready(Ok(0)) => return Poll::Ready(Err(unsent.unwrap_or(Broken::Closed))),
                Poll::Ready(Ok(came)) => came,
                Poll::Ready(Err(error)) => {
                    return Poll::Ready(Err(unsent.unwrap_or(error.into())));
                }
                Poll::Pending => match unsent {
                    Some(error) => return Poll::Ready(Err(error)),
                    None => return Poll::Pending,
                },
            };
            // It is not read anew with each small piece of it.
            if may_end_head(&self.left, came)
                && let Some(head) = self.take_head(method)?
            {
                return Poll::Ready(Ok(head));
            }
            if self.left.len() > MAX_HEAD_BYTES {
                return Poll::Ready(Err(Broken::Malformed("a head that does not end")));
            }
        }
    }

    fn take_head(&mut self, method: &Method) -> Result<Option<Head>, Broken> {
        while let Some((used, head)) = head::read(&self.left, method)? {
            self.left.advance(used);
            if head.is_some() {
                return Ok(head);
            }
        }
        Ok(None)
    }

    /// Sends what is to be sent. Once it failed, the connection is to be dropped.
    fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Broken>> {
        let Some(sending) = &mut self.sending else {
            return Poll::Ready(Ok(()));
        };
        loop {
            sending.gather(cx)?;
            match (sending.next.is_empty(), &sending.body) {
                (false, _) => ready!(write_all(&mut self.io, &mut sending.next, cx))?,
                (true, Some(_)) => return Poll::Pending,
                (true, None) => break,
            }
        }
        ready!(Pin::new(&mut self.io).poll_flush(cx))?;
        self.sending = None;
        Poll::Ready(Ok(()))
    }

    /// The next bytes of an answer's body; none at its end.
    pub(super) fn poll_body(
        &mut self,
        cx: &mut Context<'_>,
        framing: &mut Framing,
    ) -> Poll<Result<Bytes, Broken>> {
        // An answer that comes nevertheless is as good.
        let _ = self.poll_send(cx);
        loop {
            if let Some(piece) = framing.next(&mut self.left)? {
                return Poll::Ready(Ok(piece));
            }
            if framing.is_ended() {
                return Poll::Ready(Ok(Bytes::new()));
            }
            if ready!(self.fill(cx))? == 0 {
                framing.close()?;
            }
        }
    }

    /// Reads behind what is left; returns how many bytes came.
    fn fill(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let mut room = [const { MaybeUninit::uninit() }; READ_BYTES];
        let mut buffer = ReadBuf::uninit(&mut room);
        let read = Pin::new(&mut self.io).poll_read(cx, buffer.unfilled());
        if let Poll::Ready(Ok(())) = read {
            let filled = buffer.filled();
            self.left = Bytes::from([&self.left, filled].concat());
            return Poll::Ready(Ok(filled.len()));
        }
        // While it waits it does not hold all that came before.
        self.left = Bytes::copy_from_slice(&self.left);
        read.map_ok(|()| 0)
    }

    /// Whether nothing is left of an exchange whose answer has ended.
    pub(super) fn is_done(&self) -> bool {
        self.sending.is_none() && self.left.is_empty()
    }
}

/// Whether the head of an answer may end in the last `came` bytes of these.
fn may_end_head(bytes: &[u8], came: usize) -> bool {
    let from = bytes.len().saturating_sub(came + 2);
    let lines = memchr::memchr_iter(b'\n', &bytes[from..]);
    let mut lines = lines.map(|end| &bytes[from + end + 1..]);
    lines.any(|next| matches!(next, [b'\n', ..] | [b'\r', b'\n', ..]))
}

/// Writes all of it.
fn write_all(
    io: &mut Io,
    pieces: &mut SmallVec<[Bytes; AT_ONCE]>,
    cx: &mut Context<'_>,
) -> Poll<io::Result<()>> {
    while !pieces.is_empty() {
        let mut written = {
            let slices = pieces.iter().map(|piece| IoSlice::new(piece));
            let slices: SmallVec<[_; AT_ONCE]> = slices.collect();
            ready!(Pin::new(&mut *io).poll_write_vectored(cx, &slices))?
        };
        if written == 0 {
            return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
        }
        while let Some(first) = pieces.first_mut()
            && written > 0
        {
            let gone = written.min(first.len());
            first.advance(gone);
            written -= gone;
            if first.is_empty() {
                pieces.remove(0);
            }
        }
    }
    Poll::Ready(Ok(()))
}
