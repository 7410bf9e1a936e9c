//! What targets share that read streams.

use bytes::{Bytes, BytesMut};
use pointsman::call::chat::Event;
use pointsman::upstream::protocol::{Broken, Decoder};
use pointsman::wire::sse::Splitter;

/// A stream, and how it comes.
pub struct Input<'a> {
    /// Which of the target's readers, in decimal; from a byte, so that a seed is a text.
    #[allow(dead_code, reason = "not every target has several")]
    pub which: u8,
    /// The bytes of the stream.
    pub stream: &'a [u8],
    /// The lengths of the pieces that it comes in, over and over.
    pub lengths: &'a [u8],
}

impl<'a> Input<'a> {
    /// The first byte says which, the last four are lengths, and the stream stands between.
    pub fn of(data: &'a [u8]) -> Option<Self> {
        let (which, rest) = data.split_first()?;
        let (stream, lengths) = rest.split_at_checked(rest.len().checked_sub(4)?)?;
        Some(Self {
            which: which.wrapping_sub(b'0'),
            stream,
            lengths,
        })
    }
}

/// The stream in pieces; whole, if there are no lengths.
pub fn pieces<'a>(stream: &'a [u8], lengths: &'a [u8]) -> impl Iterator<Item = Bytes> + 'a {
    let mut rest = stream;
    let mut lengths = lengths.iter().cycle();
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let length = lengths
            .next()
            .map_or(rest.len(), |length| usize::from(*length).max(1));
        let (piece, left) = rest.split_at(length.min(rest.len()));
        rest = left;
        Some(Bytes::copy_from_slice(piece))
    })
}

/// What a decoder makes of a stream.
#[allow(dead_code, reason = "not every target decodes")]
pub fn decoded(
    mut decoder: Box<dyn Decoder>,
    pieces: impl Iterator<Item = Bytes>,
) -> (Vec<Event>, Result<(), Broken>) {
    let mut events = Vec::new();
    for piece in pieces {
        if let Err(broken) = decoder.push(piece, &mut events) {
            return (events, Err(broken));
        }
    }
    let end = decoder.finish(&mut events);
    (events, end)
}

/// What a reader that writes as it reads has written.
#[allow(dead_code, reason = "not every target writes")]
pub fn written<T>(
    pieces: impl Iterator<Item = Bytes>,
    reader: &mut T,
    push: fn(&mut T, Bytes, &mut BytesMut) -> Result<Option<Bytes>, Broken>,
    finish: fn(&mut T, &mut BytesMut) -> Result<(), Broken>,
) -> (Vec<u8>, Result<(), Broken>) {
    let (mut sent, mut out) = (Vec::new(), BytesMut::new());
    for piece in pieces {
        match push(reader, piece, &mut out) {
            Ok(bytes) => sent.extend(bytes.into_iter().flatten()),
            Err(broken) => {
                sent.extend_from_slice(&out);
                return (sent, Err(broken));
            }
        }
    }
    let end = finish(reader, &mut out);
    sent.extend_from_slice(&out);
    (sent, end)
}

/// The data of the events that a caller reads. Not the bytes: where a line end of two bytes was cut
/// behind an event that is left out, its line feed may stand alone, which says nothing.
#[allow(dead_code, reason = "not every target writes")]
pub fn heard(sent: &[u8]) -> Vec<Vec<u8>> {
    let mut splitter = Splitter::new(sent.len() + 1);
    splitter.push(Bytes::copy_from_slice(sent));
    let events = std::iter::from_fn(|| splitter.next_event().expect("below the limit"));
    let mut events: Vec<_> = events.collect();
    events.extend(splitter.finish());
    let data = events.iter().filter_map(|event| event.data());
    data.map(|data| data.into_owned()).collect()
}
