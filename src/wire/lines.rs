//! Lines, cut out of a byte stream: JSON values with a line end after each (NDJSON).
//!
//! Source: Ollama's API reference, "Streaming responses". A line ends at LF; a CR before it is part
//! of the line end.

use bytes::{Bytes, BytesMut};

/// A line grew past the limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooLong;

/// Cuts a byte stream into lines; those without anything in them are passed over.
#[derive(Debug)]
pub struct Lines {
    held: BytesMut,
    /// How much of `held` has no line end in it.
    scanned: usize,
    limit: usize,
}

impl Lines {
    /// Holds at most `limit` bytes of one line.
    pub fn new(limit: usize) -> Self {
        Self {
            held: BytesMut::new(),
            scanned: 0,
            limit,
        }
    }

    /// Takes more of the stream.
    pub fn push(&mut self, chunk: &[u8]) {
        self.held.extend_from_slice(chunk);
    }

    /// The next whole line, without its end, if there is one.
    pub fn next_line(&mut self) -> Result<Option<Bytes>, TooLong> {
        while let Some(found) = memchr::memchr(b'\n', &self.held[self.scanned..]) {
            let line = self.held.split_to(self.scanned + found + 1);
            self.scanned = 0;
            if let Some(line) = trimmed(&line.freeze()) {
                return Ok(Some(line));
            }
        }
        self.scanned = self.held.len();
        if self.held.len() > self.limit {
            Err(TooLong)
        } else {
            Ok(None)
        }
    }

    /// What is left when the stream has ended: a line without its end, or nothing.
    pub fn finish(&mut self) -> Option<Bytes> {
        self.scanned = 0;
        trimmed(&self.held.split().freeze())
    }
}

fn trimmed(line: &Bytes) -> Option<Bytes> {
    let text = line.trim_ascii();
    (!text.is_empty()).then(|| line.slice_ref(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(text: &str, at: usize) -> Vec<String> {
        let mut lines = Lines::new(64);
        let mut found = Vec::new();
        for chunk in [&text[..at], &text[at..]] {
            lines.push(chunk.as_bytes());
            while let Some(line) = lines.next_line().unwrap() {
                found.push(String::from_utf8(line.to_vec()).unwrap());
            }
        }
        found.extend(
            lines
                .finish()
                .map(|line| String::from_utf8(line.to_vec()).unwrap()),
        );
        found
    }

    #[test]
    fn lines_are_the_same_wherever_the_bytes_are_cut() {
        let text = "{\"a\":1}\r\n\n{\"b\":2}\n  {\"c\":3}";
        for at in 0..=text.len() {
            assert_eq!(cut(text, at), ["{\"a\":1}", "{\"b\":2}", "{\"c\":3}"]);
        }
    }

    #[test]
    fn a_line_without_end_is_not_held_for_ever() {
        let mut lines = Lines::new(4);
        lines.push(b"12345");
        assert_eq!(lines.next_line(), Err(TooLong));
    }
}
