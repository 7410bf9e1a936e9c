//! One upstream call that several requests share.

use std::collections::{HashMap, VecDeque};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll, Wake, Waker, ready};

use bytes::Bytes;
use http::response::Parts;
use http::{HeaderMap, Response};
use http_body::{Body, Frame};

use super::{Broken, CacheKey, Recorded, Shared};
use crate::BoxError;

/// A call of the inner service. It is boxed, since it outlives the request that began it and is
/// driven by others.
pub(super) type Call = Pin<Box<dyn Future<Output = Result<Response<Chunks>, BoxError>> + Send>>;

/// Its response's body.
pub(super) type Chunks = Pin<Box<dyn Body<Data = Bytes, Error = BoxError> + Send>>;

/// The calls that are under way, by key.
#[derive(Debug)]
pub(super) struct Flights {
    shards: [Mutex<HashMap<CacheKey, Weak<Flight>>>; SHARDS],
}

const SHARDS: usize = 16;

impl Flights {
    pub(super) fn new() -> Self {
        Self {
            shards: std::array::from_fn(|_| Mutex::default()),
        }
    }

    /// Joins the call for `key`, or begins one with `begin`, unless `stored` has an answer now.
    pub(super) fn join<T>(
        self: &Arc<Self>,
        key: CacheKey,
        stored: impl FnOnce() -> Option<T>,
        begin: impl FnOnce() -> Order,
    ) -> Joined<T> {
        let mut shard = self.shard(&key);
        if let Some(flight) = shard.get(&key).and_then(Weak::upgrade) {
            return Joined::Other(Seat::new(flight));
        }
        // A call that ended since the first look has stored its response before it left here.
        if let Some(stored) = stored() {
            return Joined::Stored(stored);
        }
        let flight = self.flight(key, begin());
        shard.insert(key, Arc::downgrade(&flight));
        Joined::Own(Seat::new(flight))
    }

    /// Begins a call that nobody can join.
    pub(super) fn alone(self: &Arc<Self>, key: CacheKey, order: Order) -> Seat {
        Seat::new(self.flight(key, order))
    }

    fn flight(self: &Arc<Self>, key: CacheKey, order: Order) -> Arc<Flight> {
        let Order {
            call,
            largest,
            finish,
        } = order;
        let (flights, wakers) = (Arc::clone(self), Arc::default());
        let state = Mutex::new(State::Calling(call));
        Arc::new(Flight {
            key,
            flights,
            wakers,
            state,
            largest,
            finish,
        })
    }

    fn leave(&self, flight: &Flight) {
        let mut shard = self.shard(&flight.key);
        // By now there may be another one under the key.
        let same = |other: &Weak<_>| std::ptr::eq(other.as_ptr(), flight);
        if shard.get(&flight.key).is_some_and(same) {
            shard.remove(&flight.key);
        }
    }

    fn shard(&self, key: &CacheKey) -> MutexGuard<'_, HashMap<CacheKey, Weak<Flight>>> {
        let shard = &self.shards[usize::from(key.0[0]) % SHARDS];
        shard.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What is needed to begin a call.
pub(super) struct Order {
    pub(super) call: Call,
    pub(super) largest: usize,
    pub(super) finish: Finish,
}

/// Told of a response that came to its end.
type Store = Box<dyn FnOnce(Recorded) + Send>;

/// Says whether a response that begins so is to be stored, and stores it.
pub(super) struct Finish {
    pub(super) storable: Arc<dyn Fn(&Parts) -> bool + Send + Sync>,
    pub(super) store: Mutex<Option<Store>>,
}

pub(super) enum Joined<T> {
    Own(Seat),
    Other(Seat),
    Stored(T),
}

pub(super) struct Flight {
    key: CacheKey,
    flights: Arc<Flights>,
    wakers: Arc<Wakers>,
    state: Mutex<State>,
    largest: usize,
    finish: Finish,
}

impl std::fmt::Debug for Flight {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Flight")
            .field("key", &self.key)
            .finish_non_exhaustive()
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        // Its weak pointer is dead already, and another call may begin under the key at any time.
        self.flights.leave(self);
    }
}

#[expect(
    clippy::large_enum_variant,
    reason = "there is one per call, behind an Arc"
)]
enum State {
    Calling(Call),
    Streaming(Stream),
    Failed(Shared),
}

struct Stream {
    head: Parts,
    /// The length of the body, if it was known from the beginning.
    length: Option<u64>,
    /// Gone when it has ended.
    body: Option<Chunks>,
    chunks: VecDeque<Bytes>,
    /// The number of chunks that are no longer there.
    gone: usize,
    bytes: usize,
    storing: bool,
    trailers: Option<HeaderMap>,
    failed: Option<Shared>,
}

impl Flight {
    fn poll_head(&self, waker: &Waker, alone: bool) -> Poll<Result<Head, BoxError>> {
        let mut state = self.state.lock().map_err(|_| Broken::Panicked)?;
        if let State::Calling(future) = &mut *state {
            match ready!(future.as_mut().poll(&mut Context::from_waker(waker))) {
                Ok(response) => *state = State::Streaming(self.begin(response)),
                Err(error) => {
                    self.flights.leave(self);
                    // Nobody can join any more; one alone gets the error as it is.
                    if alone {
                        return Poll::Ready(Err(error));
                    }
                    *state = State::Failed(Shared(Arc::new(error)));
                }
            }
            self.wakers.wake_all();
        }
        match &*state {
            State::Streaming(stream) => Poll::Ready(Ok((stream.head.clone(), stream.length))),
            State::Failed(error) => Poll::Ready(Err(error.clone().into())),
            State::Calling(_) => Poll::Pending,
        }
    }

    fn begin(&self, response: Response<Chunks>) -> Stream {
        let (head, body) = response.into_parts();
        let storing = (self.finish.storable)(&head);
        let length = body.size_hint().exact();
        let (body, chunks) = (Some(body), VecDeque::new());
        let (gone, bytes, trailers, failed) = (0, 0, None, None);
        Stream {
            head,
            length,
            body,
            chunks,
            gone,
            bytes,
            storing,
            trailers,
            failed,
        }
    }

    fn poll_frame(&self, place: &mut Place, waker: &Waker) -> Polled {
        let mut state = self.state.lock().map_err(|_| Broken::Panicked)?;
        let State::Streaming(stream) = &mut *state else {
            return Poll::Ready(None);
        };
        loop {
            if let Poll::Ready(frame) = stream.next(place) {
                return Poll::Ready(frame);
            }
            let body = stream
                .body
                .as_mut()
                .expect("a body that has ended has a last frame");
            let frame = ready!(body.as_mut().poll_frame(&mut Context::from_waker(waker)));
            self.take(stream, frame);
            self.wakers.wake_all();
        }
    }

    /// Takes in what the body gave.
    fn take(&self, stream: &mut Stream, frame: Option<Result<Frame<Bytes>, BoxError>>) {
        match frame {
            Some(Ok(frame)) => match frame.into_data() {
                Ok(data) => {
                    stream.bytes += data.len();
                    stream.chunks.push_back(data);
                    self.trim(stream);
                }
                Err(frame) => stream.trailers = frame.into_trailers().ok(),
            },
            Some(Err(error)) => {
                stream.failed = Some(Shared(Arc::new(error)));
                self.end(stream, false);
            }
            None => self.end(stream, true),
        }
        if stream.body.as_ref().is_some_and(Body::is_end_stream) {
            self.end(stream, true);
        }
    }

    /// Lets go of the first chunks of a body that is too large to be stored.
    fn trim(&self, stream: &mut Stream) {
        while stream.bytes > self.largest && stream.chunks.len() > 1 {
            if std::mem::take(&mut stream.storing) || stream.gone == 0 {
                stream.storing = false;
                self.flights.leave(self);
            }
            let first = stream.chunks.pop_front();
            stream.bytes -= first.map_or(0, |chunk| chunk.len());
            stream.gone += 1;
        }
        if stream.bytes > self.largest {
            stream.storing = false;
        }
    }

    fn end(&self, stream: &mut Stream, whole: bool) {
        stream.body = None;
        if whole && stream.storing && stream.is_as_long_as_stated() {
            let store = self
                .finish
                .store
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .take();
            if let Some(store) = store {
                store(Recorded {
                    status: stream.head.status,
                    version: stream.head.version,
                    headers: stream.head.headers.clone(),
                    chunks: stream.chunks.iter().cloned().collect(),
                    trailers: stream.trailers.clone(),
                });
            }
        }
        self.flights.leave(self);
    }
}

/// The head of a response, and the length of its body if it is known.
type Head = (Parts, Option<u64>);

type Polled = Poll<Option<Result<Frame<Bytes>, BoxError>>>;

impl Stream {
    /// The frame at `place`, or the end, if it is there.
    fn next(&self, place: &mut Place) -> Polled {
        if place.over {
            return Poll::Ready(None);
        }
        let Some(index) = place.chunk.checked_sub(self.gone) else {
            place.over = true;
            return Poll::Ready(Some(Err(Broken::Lagged.into())));
        };
        if let Some(chunk) = self.chunks.get(index) {
            place.chunk += 1;
            return Poll::Ready(Some(Ok(Frame::data(chunk.clone()))));
        }
        if self.body.is_some() {
            return Poll::Pending;
        }
        place.over = true;
        if let Some(error) = &self.failed {
            return Poll::Ready(Some(Err(error.clone().into())));
        }
        Poll::Ready(
            self.trailers
                .clone()
                .map(|trailers| Ok(Frame::trailers(trailers))),
        )
    }

    /// A body shorter than its `Content-Length` was cut, whatever its end looked like.
    fn is_as_long_as_stated(&self) -> bool {
        let stated = self.head.headers.get(http::header::CONTENT_LENGTH);
        let stated = stated.and_then(|value| value.to_str().ok()?.parse::<usize>().ok());
        stated.is_none_or(|stated| stated == self.bytes)
    }
}

/// How far a request has read.
#[derive(Debug, Default)]
struct Place {
    chunk: usize,
    over: bool,
}

/// One request's share in a call.
#[derive(Debug)]
pub(super) struct Seat {
    flight: Arc<Flight>,
    number: usize,
    place: Place,
}

impl Seat {
    fn new(flight: Arc<Flight>) -> Self {
        let number = flight.wakers.sit();
        Self {
            flight,
            number,
            place: Place::default(),
        }
    }

    /// The waker of everyone: who drives the call may be dropped before it goes on.
    fn waker(&self, cx: &Context<'_>) -> Waker {
        self.flight.wakers.note(self.number, cx.waker());
        Waker::from(Arc::clone(&self.flight.wakers))
    }
}

impl Seat {
    pub(super) fn poll_head(&self, cx: &Context<'_>) -> Poll<Result<Head, BoxError>> {
        self.flight
            .poll_head(&self.waker(cx), Arc::strong_count(&self.flight) == 1)
    }

    pub(super) fn poll_frame(&mut self, cx: &Context<'_>) -> Polled {
        let waker = self.waker(cx);
        self.flight.poll_frame(&mut self.place, &waker)
    }

    pub(super) fn is_over(&self) -> bool {
        self.place.over
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.flight.wakers.rise(self.number);
    }
}

/// The tasks that wait for a call.
#[derive(Debug, Default)]
struct Wakers {
    seats: Mutex<Vec<Option<Waker>>>,
}

impl Wakers {
    fn seats(&self) -> MutexGuard<'_, Vec<Option<Waker>>> {
        self.seats.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn sit(&self) -> usize {
        let mut seats = self.seats();
        seats.push(None);
        seats.len() - 1
    }

    fn note(&self, number: usize, waker: &Waker) {
        let mut seats = self.seats();
        match &mut seats[number] {
            Some(known) => known.clone_from(waker),
            empty => *empty = Some(waker.clone()),
        }
    }

    fn rise(&self, number: usize) {
        self.seats()[number] = None;
    }

    fn wake_all(&self) {
        // Woken outside the lock: a waker may run its task, which takes its seat here.
        let wakers: Vec<_> = self.seats().iter_mut().filter_map(Option::take).collect();
        wakers.into_iter().for_each(Waker::wake);
    }
}

impl Wake for Wakers {
    fn wake(self: Arc<Self>) {
        self.wake_all();
    }
}
