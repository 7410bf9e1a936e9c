//! Server-sent events, cut out of a byte stream without changing a byte.
//!
//! Source: WHATWG HTML, "Server-sent events", section "Parsing an event stream". Lines end at CR,
//! LF or CRLF and nowhere else: U+2028 and U+0085 are ordinary text.

use std::borrow::Cow;
use std::ops::Range;

use bytes::{Bytes, BytesMut};

/// An event with its raw bytes, line ends and all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// As received.
    pub raw: Bytes,
}

/// An event grew past the limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooLong;

/// Cuts a byte stream into [`Event`]s. The raw bytes of all events, put together, are the input.
#[derive(Debug)]
pub struct Splitter {
    /// What came and is not yet part of a whole event.
    held: Bytes,
    /// How much of `held` was looked at.
    scanned: usize,
    /// Whether the line that `scanned` stands in has no byte yet.
    at_line_start: bool,
    /// Whether the last byte looked at was a CR, so that an LF now belongs to the same line end.
    after_cr: bool,
    limit: usize,
}

impl Splitter {
    /// A splitter that holds at most `limit` bytes of one event.
    pub fn new(limit: usize) -> Self {
        Self {
            held: Bytes::new(),
            scanned: 0,
            at_line_start: true,
            after_cr: false,
            limit,
        }
    }

    /// Takes more of the stream. Copies only if the last chunk ended inside an event.
    pub fn push(&mut self, chunk: Bytes) {
        if self.held.is_empty() {
            self.held = chunk;
            return;
        }
        let mut joined = match std::mem::take(&mut self.held).try_into_mut() {
            Ok(joined) => joined,
            Err(shared) => {
                let mut joined = BytesMut::with_capacity(shared.len() + chunk.len());
                joined.extend_from_slice(&shared);
                joined
            }
        };
        joined.extend_from_slice(&chunk);
        self.held = joined.freeze();
    }

    /// The next whole event, if there is one.
    pub fn next_event(&mut self) -> Result<Option<Event>, TooLong> {
        while let Some(found) = memchr::memchr2(b'\n', b'\r', &self.held[self.scanned..]) {
            let at = self.scanned + found;
            let second_of_pair = found == 0 && self.after_cr && self.held[at] == b'\n';
            let blank = found == 0 && self.at_line_start && !second_of_pair;
            self.after_cr = self.held[at] == b'\r';
            self.at_line_start = true;
            self.scanned = at + 1;
            if blank {
                if self.after_cr && self.held.get(self.scanned) == Some(&b'\n') {
                    self.scanned += 1;
                    self.after_cr = false;
                }
                let raw = self.held.split_to(self.scanned);
                self.scanned = 0;
                return Ok(Some(Event { raw }));
            }
        }
        if self.scanned < self.held.len() {
            self.at_line_start = false;
            self.after_cr = false;
            self.scanned = self.held.len();
        }
        if self.held.len() > self.limit {
            Err(TooLong)
        } else {
            Ok(None)
        }
    }

    /// Whether part of an event is held.
    pub fn is_inside_event(&self) -> bool {
        !self.held.is_empty()
    }

    /// What is left when the stream has ended: an event without its blank line, or nothing.
    pub fn finish(&mut self) -> Option<Event> {
        self.scanned = 0;
        self.at_line_start = true;
        self.after_cr = false;
        let raw = std::mem::take(&mut self.held);
        (!raw.is_empty()).then_some(Event { raw })
    }
}

impl Event {
    /// The event's data: its `data` lines, joined by LF; `None` if it has none (a comment).
    pub fn data(&self) -> Option<Cow<'_, [u8]>> {
        let mut found: Option<Cow<'_, [u8]>> = None;
        for line in self.raw.split(|byte| matches!(byte, b'\n' | b'\r')) {
            let Some(value) = line.strip_prefix(b"data") else {
                continue;
            };
            let value = match value {
                [b':', b' ', value @ ..] | [b':', value @ ..] => value,
                [] => value,
                _ => continue,
            };
            found = Some(match found {
                None => Cow::Borrowed(value),
                Some(joined) => {
                    let mut joined = joined.into_owned();
                    joined.push(b'\n');
                    joined.extend_from_slice(value);
                    Cow::Owned(joined)
                }
            });
        }
        found
    }

    /// Where `data`, as [`data`](Self::data) gave it, stands in the event; `None` if it came in several
    /// `data` lines and stands nowhere as a whole.
    pub fn place(&self, data: &[u8]) -> Option<usize> {
        let start = (data.as_ptr() as usize).wrapping_sub(self.raw.as_ptr() as usize);
        let there = self.raw.get(start..start.wrapping_add(data.len()));
        there.is_some_and(|there| there == data).then_some(start)
    }

    /// Writes the event with stretches of its `data` replaced, in their order, by texts of one line.
    /// Every other byte is left; data that came in several lines is written as one.
    pub fn write_changed(
        &self,
        data: &[u8],
        edits: &[(Range<usize>, Vec<u8>)],
        out: &mut BytesMut,
    ) {
        let Some(place) = self.place(data).or(edits.is_empty().then_some(0)) else {
            out.extend_from_slice(b"data: ");
            let mut from = 0;
            let line = |text: &[u8], out: &mut BytesMut| {
                out.extend(text.iter().map(|byte| match byte {
                    b'\n' => b' ',
                    other => *other,
                }));
            };
            for (range, new) in edits {
                line(&data[from..range.start], out);
                out.extend_from_slice(new);
                from = range.end;
            }
            line(&data[from..], out);
            out.extend_from_slice(b"\n\n");
            return;
        };
        let mut from = 0;
        for (range, new) in edits {
            out.extend_from_slice(&self.raw[from..place + range.start]);
            out.extend_from_slice(new);
            from = place + range.end;
        }
        out.extend_from_slice(&self.raw[from..]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn events(chunks: &[&[u8]]) -> (Vec<String>, Vec<u8>) {
        let mut splitter = Splitter::new(1 << 20);
        let (mut data, mut raw) = (Vec::new(), Vec::new());
        let mut take = |event: Event| {
            raw.extend_from_slice(&event.raw);
            if let Some(text) = event.data() {
                data.push(String::from_utf8_lossy(&text).into_owned());
            }
        };
        for chunk in chunks {
            splitter.push(Bytes::copy_from_slice(chunk));
            while let Some(event) = splitter.next_event().unwrap() {
                take(event);
            }
        }
        if let Some(event) = splitter.finish() {
            take(event);
        }
        (data, raw)
    }

    const STREAMS: [&str; 4] = [
        "data: {\"a\":\"x\u{2028}y\u{85}\"}\n\n: note\n\ndata:b\ndata: c\n\ndata: [DONE]\n\n",
        "data: {\"a\":\"x\u{2028}y\u{85}\"}\r\n\r\n: note\r\n\r\ndata:b\r\ndata: c\r\n\r\ndata: [DONE]\r\n\r\n",
        "data: {\"a\":\"x\u{2028}y\u{85}\"}\r\r: note\r\rdata:b\rdata: c\r\rdata: [DONE]\r\r",
        "\n\nevent: m\nid: 1\ndata: {\"a\":\"x\u{2028}y\u{85}\"}\n\n\n\n: note\n\ndata:b\ndata: c\n\ndata: [DONE]",
    ];

    #[test]
    fn every_cut_in_two_gives_the_same_events_and_the_same_bytes() {
        for stream in STREAMS {
            for cut in 0..=stream.len() {
                let (left, right) = stream.as_bytes().split_at(cut);
                let (data, raw) = events(&[left, right]);
                assert_eq!(
                    data,
                    ["{\"a\":\"x\u{2028}y\u{85}\"}", "b\nc", "[DONE]"],
                    "cut at {cut}"
                );
                assert_eq!(raw, stream.as_bytes());
            }
        }
    }

    #[test]
    fn an_event_is_given_as_soon_as_its_blank_line_is_there() {
        for end in ["\n\n", "\r\r", "\r\n\r"] {
            let mut splitter = Splitter::new(100);
            splitter.push(Bytes::from(format!("data: x{end}")));
            assert!(splitter.next_event().unwrap().is_some(), "{end:?}");
        }
    }

    #[test]
    fn a_whole_event_is_not_copied() {
        let chunk = Bytes::from_static(b"data: x\n\n");
        let mut splitter = Splitter::new(100);
        splitter.push(chunk.clone());
        assert_eq!(
            splitter.next_event().unwrap().unwrap().raw.as_ptr(),
            chunk.as_ptr()
        );
    }

    #[test]
    fn an_endless_event_is_refused() {
        let mut splitter = Splitter::new(10);
        splitter.push(Bytes::from_static(b"data: 0123456789"));
        assert_eq!(splitter.next_event(), Err(TooLong));
    }

    proptest! {
        #[test]
        fn any_split_of_any_bytes_gives_the_same(
            text in "(data: ?|:|x|\r|\n|\r\n|é){0,40}",
            cuts in proptest::collection::vec(any::<prop::sample::Index>(), 0..6),
        ) {
            let bytes = text.as_bytes();
            let mut places: Vec<_> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
            places.sort_unstable();
            let mut chunks = Vec::new();
            let mut from = 0;
            for place in places {
                chunks.push(&bytes[from..place]);
                from = place;
            }
            chunks.push(&bytes[from..]);
            let (whole, raw) = events(&[bytes]);
            prop_assert_eq!(&raw, bytes);
            prop_assert_eq!((whole, raw), events(&chunks));
        }
    }

    #[test]
    fn stretches_of_the_data_change_and_nothing_else() {
        for (raw, expected) in [
            (
                "event: e\r\nid: abc\r\ndata: {abc,1}\r\n\r\n",
                "event: e\r\nid: abc\r\ndata: {X,YZ}\r\n\r\n",
            ),
            ("data: {abc,\ndata: 1}\n\n", "data: {X, YZ}\n\n"),
        ] {
            let event = Event {
                raw: Bytes::from_static(raw.as_bytes()),
            };
            let data = event.data().unwrap();
            let last = data.len() - 2;
            let edits = [(1..4, b"X".to_vec()), (last..last + 1, b"YZ".to_vec())];
            let mut out = BytesMut::new();
            event.write_changed(&data, &edits, &mut out);
            assert_eq!(out, expected.as_bytes());
            let mut out = BytesMut::new();
            event.write_changed(&data, &[], &mut out);
            assert_eq!(out, raw.as_bytes());
        }
    }
}
