//! How long the body of an answer is, and its bytes without the chunks' framing.
//!
//! Source: RFC 9112, sections 6 and 7.

use bytes::{Buf, Bytes};
use http::header::{CONTENT_LENGTH, TRANSFER_ENCODING};
use http::{HeaderMap, Method, StatusCode, Version};
use http_body::SizeHint;

use super::broken::Broken;

/// Longest line of a chunk's size with its extensions, and of all trailers.
const MAX_LINE: usize = 8 << 10;

/// Where a body is.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Framing {
    /// So many bytes are to come.
    Length(u64),
    Chunks(Chunks),
    /// It goes on until the connection ends.
    UntilClose,
    Ended,
}

/// Where a body in chunks is.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Chunks {
    /// Before the line that tells a size.
    Size,
    /// So many bytes of a chunk are to come.
    Data(u64),
    /// After a chunk's bytes.
    Line,
    /// After the last chunk; so many bytes of trailers were there.
    Trailers(usize),
}

impl Framing {
    /// That of an answer with this head to a request of this method.
    pub(super) fn of(
        method: &Method,
        version: Version,
        status: StatusCode,
        headers: &HeaderMap,
    ) -> Result<Self, Broken> {
        let bodiless = status.is_informational()
            || matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
        if bodiless || method == Method::HEAD {
            return Ok(Self::Ended);
        }
        // It goes before a length, which is then none.
        if let Some(coding) = headers.get_all(TRANSFER_ENCODING).iter().next_back() {
            if version == Version::HTTP_10 {
                return Err(Broken::Malformed("a transfer coding in HTTP/1.0"));
            }
            let last = coding.as_bytes().rsplit(|&byte| byte == b',').next();
            let chunked =
                last.is_some_and(|last| last.trim_ascii().eq_ignore_ascii_case(b"chunked"));
            return Ok(if chunked {
                Self::Chunks(Chunks::Size)
            } else {
                Self::UntilClose
            });
        }
        let mut lengths = headers.get_all(CONTENT_LENGTH).iter().map(length);
        let Some(first) = lengths.next() else {
            return Ok(Self::UntilClose);
        };
        if lengths.any(|other| other != first) {
            return Err(Broken::Malformed("several lengths"));
        }
        match first.ok_or(Broken::Malformed("a length that is no number"))? {
            0 => Ok(Self::Ended),
            length => Ok(Self::Length(length)),
        }
    }

    pub(super) const fn is_ended(&self) -> bool {
        matches!(self, Self::Ended)
    }

    pub(super) fn size_hint(&self) -> SizeHint {
        match self {
            Self::Length(left) => SizeHint::with_exact(*left),
            Self::Ended => SizeHint::with_exact(0),
            Self::Chunks(_) | Self::UntilClose => SizeHint::default(),
        }
    }

    /// The next piece of the body from the front of `input`, at most one chunk; `None` at the body's
    /// end, and if more input is needed: what `input` holds then is wanted again before it.
    pub(super) fn next(&mut self, input: &mut Bytes) -> Result<Option<Bytes>, Broken> {
        let piece = match self {
            Self::Ended => None,
            Self::UntilClose => Some(std::mem::take(input)),
            Self::Length(left) => {
                let piece = take(left, input);
                if *left == 0 {
                    *self = Self::Ended;
                }
                Some(piece)
            }
            Self::Chunks(chunks) => loop {
                match chunks.step(input)? {
                    Step::Piece(piece) => break Some(piece),
                    Step::Framing(used) => input.advance(used),
                    Step::Last(used) => {
                        input.advance(used);
                        *self = Self::Ended;
                        break None;
                    }
                    Step::More => break None,
                }
            },
        };
        Ok(piece.filter(|piece| !piece.is_empty()))
    }

    /// The connection has ended: whether the body had, too.
    pub(super) fn close(&mut self) -> Result<(), Broken> {
        match self {
            Self::Ended => Ok(()),
            Self::UntilClose => {
                *self = Self::Ended;
                Ok(())
            }
            Self::Length(_) | Self::Chunks(_) => Err(Broken::Closed),
        }
    }
}

/// What comes next in a body of chunks.
enum Step {
    Piece(Bytes),
    /// So many bytes between the pieces.
    Framing(usize),
    /// So many bytes, and nothing after them.
    Last(usize),
    /// Nothing that is whole.
    More,
}

impl Chunks {
    fn step(&mut self, input: &mut Bytes) -> Result<Step, Broken> {
        match self {
            _ if input.is_empty() => Ok(Step::More),
            Self::Size => match httparse::parse_chunk_size(input) {
                Ok(httparse::Status::Complete((used, size))) => {
                    *self = match size {
                        0 => Self::Trailers(0),
                        size => Self::Data(size),
                    };
                    Ok(Step::Framing(used))
                }
                Ok(httparse::Status::Partial) if input.len() > MAX_LINE => {
                    Err(Broken::Malformed("a chunk's size that does not end"))
                }
                Ok(httparse::Status::Partial) => Ok(Step::More),
                Err(_) => Err(Broken::Malformed("a chunk's size that is no number")),
            },
            Self::Data(left) => {
                let piece = take(left, input);
                if *left == 0 {
                    *self = Self::Line;
                }
                Ok(Step::Piece(piece))
            }
            Self::Line => match &input[..] {
                [b'\r', b'\n', ..] => {
                    *self = Self::Size;
                    Ok(Step::Framing(2))
                }
                [b'\r'] => Ok(Step::More),
                _ => Err(Broken::Malformed("a chunk that is longer than its size")),
            },
            Self::Trailers(seen) => {
                let end = memchr::memchr(b'\n', input);
                if *seen + end.unwrap_or(input.len()) > MAX_LINE {
                    return Err(Broken::Malformed("trailers that do not end"));
                }
                let Some(end) = end else {
                    return Ok(Step::More);
                };
                *seen += end + 1;
                // What they tell is between the provider and the gateway.
                Ok(match &input[..end] {
                    b"" | b"\r" => Step::Last(end + 1),
                    _ => Step::Framing(end + 1),
                })
            }
        }
    }
}

fn take(left: &mut u64, input: &mut Bytes) -> Bytes {
    let taken = usize::try_from(*left).map_or(input.len(), |left| left.min(input.len()));
    *left -= taken as u64;
    input.split_to(taken)
}

/// Digits alone, and not the sign that Rust's own reader would take.
fn length(value: &http::HeaderValue) -> Option<u64> {
    let text = value.to_str().ok()?.trim();
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn of(head: &[(&'static str, &'static str)]) -> Result<Framing, Broken> {
        let headers = head
            .iter()
            .map(|&(name, value)| (name.parse().unwrap(), value.parse().unwrap()));
        Framing::of(
            &Method::POST,
            Version::HTTP_11,
            StatusCode::OK,
            &headers.collect(),
        )
    }

    /// What a body in chunks is, given in pieces of `size` bytes, and how many bytes were left over.
    fn decode(input: &[u8], size: usize) -> Result<(Vec<u8>, usize, Framing), String> {
        let mut framing = Framing::Chunks(Chunks::Size);
        let mut out = Vec::new();
        let mut left = Bytes::new();
        for piece in input.chunks(size) {
            left = Bytes::from([&left, piece].concat());
            while let Some(piece) = framing
                .next(&mut left)
                .map_err(|broken| broken.to_string())?
            {
                out.extend(piece);
            }
        }
        Ok((out, left.len(), framing))
    }

    #[test]
    fn the_head_tells_how_long_the_body_is() {
        assert_eq!(of(&[("content-length", "12")]), Ok(Framing::Length(12)));
        assert_eq!(of(&[("content-length", "0")]), Ok(Framing::Ended));
        assert_eq!(of(&[]), Ok(Framing::UntilClose));
        let chunked = Ok(Framing::Chunks(Chunks::Size));
        assert_eq!(of(&[("transfer-encoding", "Chunked")]), chunked);
        assert_eq!(of(&[("transfer-encoding", "gzip, chunked")]), chunked);
        assert_eq!(
            of(&[("transfer-encoding", "chunked"), ("content-length", "3")]),
            chunked
        );
        assert_eq!(
            of(&[("transfer-encoding", "gzip")]),
            Ok(Framing::UntilClose)
        );
    }

    #[test]
    fn lengths_that_contradict_are_refused() {
        let twice = |one, other| of(&[("content-length", one), ("content-length", other)]);
        assert_eq!(twice("3", "3"), Ok(Framing::Length(3)));
        assert!(twice("3", "4").is_err());
        for odd in ["-1", "+1", "0x3", "3, 4", "", "99999999999999999999"] {
            assert!(of(&[("content-length", odd)]).is_err(), "{odd:?}");
        }
    }

    #[test]
    fn an_answer_to_head_and_some_statuses_have_no_body() {
        let headers = HeaderMap::from_iter([(CONTENT_LENGTH, "7".parse().unwrap())]);
        let of = |method, status| Framing::of(&method, Version::HTTP_11, status, &headers);
        assert_eq!(of(Method::HEAD, StatusCode::OK), Ok(Framing::Ended));
        assert_eq!(of(Method::GET, StatusCode::NO_CONTENT), Ok(Framing::Ended));
        assert_eq!(
            of(Method::GET, StatusCode::NOT_MODIFIED),
            Ok(Framing::Ended)
        );
    }

    #[test]
    fn chunks_are_the_same_cut_at_every_byte() {
        let body =
            b"5;name=\"v\"\r\nhello\r\n1\r\n,\r\n00C\r\n in 3 chunks\r\n0\r\nx: y\r\n\r\nHTTP";
        for size in 1..=body.len() {
            let (out, left, framing) = decode(body, size).unwrap();
            assert_eq!(out, b"hello, in 3 chunks");
            assert_eq!((left, framing), (4, Framing::Ended));
        }
    }

    #[test]
    fn faulty_chunks_are_refused() {
        for faulty in [
            "x\r\n",
            "-1\r\n",
            "fffffffffffffffff\r\n",
            "3\r\nabcd\r\n",
            "3\r\nabc\n",
        ] {
            assert!(decode(faulty.as_bytes(), 1).is_err(), "{faulty:?}");
        }
        let long = format!("5;{}", "e".repeat(MAX_LINE));
        assert!(decode(long.as_bytes(), 1024).is_err());
        let trailers = format!("0\r\n{}", "x: y\r\n".repeat(MAX_LINE / 6 + 1));
        assert!(decode(trailers.as_bytes(), 1024).is_err());
    }

    #[test]
    fn a_connection_that_ends_too_early_is_a_fault() {
        assert!(Framing::Length(1).close().is_err());
        assert!(Framing::Chunks(Chunks::Trailers(0)).close().is_err());
        assert!(Framing::UntilClose.close().is_ok());
        assert!(Framing::Ended.close().is_ok());
    }

    proptest! {
        #[test]
        fn any_chunks_come_back(
            chunks in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..40), 0..8),
            size in 1..50_usize,
        ) {
            let mut wire = Vec::new();
            for chunk in &chunks {
                wire.extend(format!("{:x}\r\n", chunk.len()).bytes());
                wire.extend(chunk);
                wire.extend(b"\r\n");
            }
            wire.extend(b"0\r\n\r\n");
            let (out, left, framing) = decode(&wire, size).unwrap();
            prop_assert_eq!(out, chunks.concat());
            prop_assert_eq!((left, framing), (0, Framing::Ended));
        }

        #[test]
        fn no_input_makes_it_panic(input in prop::collection::vec(any::<u8>(), 0..200), size in 1..50_usize) {
            let _ = decode(&input, size);
        }
    }
}
