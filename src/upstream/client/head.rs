//! The heads of requests and of answers. Source: RFC 9112.

use std::mem::MaybeUninit;

use bytes::{Bytes, BytesMut};
use http::header::{CONNECTION, CONTENT_LENGTH, TRANSFER_ENCODING};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode, Version};
use http_body::SizeHint;

use super::broken::Broken;
use super::framing::Framing;

/// Header fields of one answer.
const MAX_HEADERS: usize = 200;
/// Bytes of the head of an answer.
pub(super) const MAX_HEAD_BYTES: usize = 128 << 10;

/// How the body of a request is sent.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Sent {
    /// So many bytes, as the head says.
    Length(u64),
    Chunks,
}

/// The head of a request with a body of this size, whose length or coding it tells.
pub(super) fn write(head: &mut Parts, size: &SizeHint) -> (Bytes, Sent) {
    let told = length_told(&head.headers);
    head.headers.remove(TRANSFER_ENCODING);
    let sent = match size.exact().or(told) {
        Some(length) => Sent::Length(length),
        None => Sent::Chunks,
    };
    match sent {
        Sent::Chunks => {
            let chunked = HeaderValue::from_static("chunked");
            head.headers.insert(TRANSFER_ENCODING, chunked);
        }
        // Methods without the notion of a body do not say that they have none.
        Sent::Length(0) if !matches!(head.method, Method::POST | Method::PUT | Method::PATCH) => {
            head.headers.remove(CONTENT_LENGTH);
        }
        Sent::Length(length) => {
            head.headers.insert(CONTENT_LENGTH, length.into());
        }
    }
    (text(head), sent)
}

fn length_told(headers: &HeaderMap) -> Option<u64> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

fn text(head: &Parts) -> Bytes {
    let target = head.uri.path_and_query().map_or("/", |path| path.as_str());
    let fields = head.headers.iter();
    let room: usize = fields
        .map(|(name, value)| name.as_str().len() + value.len() + 4)
        .sum();
    let mut text = BytesMut::with_capacity(head.method.as_str().len() + target.len() + room + 14);
    for part in [head.method.as_str(), " ", target, " HTTP/1.1\r\n"] {
        text.extend_from_slice(part.as_bytes());
    }
    for (name, value) in &head.headers {
        for part in [name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"] {
            text.extend_from_slice(part);
        }
    }
    text.extend_from_slice(b"\r\n");
    text.freeze()
}

/// The head of an answer.
#[derive(Debug)]
pub(super) struct Head {
    pub(super) response: Response<()>,
    pub(super) framing: Framing,
    /// Whether the server keeps the connection open after it.
    pub(super) keeps: bool,
}

/// Reads the head of an answer to a request of this method, and says how many bytes it takes; `None`
/// if it does not end in `input`. Answers that only inform are used, and give no head.
pub(super) fn read(input: &[u8], method: &Method) -> Result<Option<(usize, Option<Head>)>, Broken> {
    let mut fields = [const { MaybeUninit::uninit() }; MAX_HEADERS];
    let mut head = httparse::Response::new(&mut []);
    let config = httparse::ParserConfig::default();
    let parsed = config.parse_response_with_uninit_headers(&mut head, input, &mut fields);
    let used = match parsed {
        Ok(httparse::Status::Complete(used)) => used,
        Ok(httparse::Status::Partial) => return Ok(None),
        Err(httparse::Error::TooManyHeaders) => {
            return Err(Broken::Malformed("too many header fields"));
        }
        Err(_) => return Err(Broken::Malformed("no head of HTTP/1")),
    };
    let status = StatusCode::from_u16(head.code.unwrap_or_default())
        .map_err(|_| Broken::Malformed("no status"))?;
    if status == StatusCode::SWITCHING_PROTOCOLS {
        return Err(Broken::Malformed("another protocol"));
    }
    if status.is_informational() {
        return Ok(Some((used, None)));
    }
    let version = match head.version {
        Some(0) => Version::HTTP_10,
        _ => Version::HTTP_11,
    };
    let mut headers = HeaderMap::with_capacity(head.headers.len());
    for field in &*head.headers {
        let name = HeaderName::from_bytes(field.name.as_bytes());
        let value = HeaderValue::from_bytes(field.value);
        let (Ok(name), Ok(value)) = (name, value) else {
            return Err(Broken::Malformed("an odd header field"));
        };
        headers.append(name, value);
    }
    let framing = Framing::of(method, version, status, &headers)?;
    let keeps = keeps(version, &headers);
    let mut response = Response::new(());
    *response.status_mut() = status;
    *response.version_mut() = version;
    *response.headers_mut() = headers;
    Ok(Some((
        used,
        Some(Head {
            response,
            framing,
            keeps,
        }),
    )))
}

/// RFC 9112, section 9.3.
fn keeps(version: Version, headers: &HeaderMap) -> bool {
    let says = |token: &str| {
        let values = headers.get_all(CONNECTION).iter();
        let mut tokens = values
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(','));
        tokens.any(|told| told.trim().eq_ignore_ascii_case(token))
    };
    !says("close") && (version == Version::HTTP_11 || says("keep-alive"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::Request;

    fn wrote(request: http::request::Builder, size: &SizeHint) -> (String, Sent) {
        let (mut head, ()) = request.body(()).unwrap().into_parts();
        let (text, sent) = write(&mut head, size);
        (String::from_utf8(text.to_vec()).unwrap(), sent)
    }

    fn answer(text: &str) -> Head {
        let (used, head) = read(text.as_bytes(), &Method::POST).unwrap().unwrap();
        assert_eq!(used, text.len());
        head.unwrap()
    }

    #[test]
    fn a_request_tells_the_length_of_its_body() {
        let request = Request::post("/v1/x?y=z").header("host", "h");
        let (text, sent) = wrote(request, &SizeHint::with_exact(3));
        assert_eq!(
            text,
            "POST /v1/x?y=z HTTP/1.1\r\nhost: h\r\ncontent-length: 3\r\n\r\n"
        );
        assert_eq!(sent, Sent::Length(3));
        let (text, _) = wrote(Request::post("/"), &SizeHint::with_exact(0));
        assert!(text.contains("content-length: 0\r\n"));
        let (text, _) = wrote(Request::get("/"), &SizeHint::with_exact(0));
        assert_eq!(text, "GET / HTTP/1.1\r\n\r\n");
    }

    #[test]
    fn a_body_of_unknown_length_goes_as_told_or_in_chunks() {
        let (text, sent) = wrote(Request::post("/"), &SizeHint::default());
        assert!(text.ends_with("transfer-encoding: chunked\r\n\r\n"));
        assert_eq!(sent, Sent::Chunks);
        let told = Request::post("/").header("content-length", "9");
        let (text, sent) = wrote(told, &SizeHint::default());
        assert!(text.ends_with("content-length: 9\r\n\r\n"));
        assert_eq!(sent, Sent::Length(9));
    }

    #[test]
    fn one_length_and_no_other_coding_is_sent() {
        let both = Request::post("/")
            .header("content-length", "9")
            .header("content-length", "8")
            .header("transfer-encoding", "chunked");
        let (text, _) = wrote(both, &SizeHint::with_exact(3));
        assert_eq!(text, "POST / HTTP/1.1\r\ncontent-length: 3\r\n\r\n");
    }

    #[test]
    fn a_head_is_read_when_it_is_whole() {
        let text = "HTTP/1.1 429 Too Many Requests\r\nRetry-After: 3\r\nx: a\r\nx: b\r\n\r\n";
        for end in 0..text.len() {
            assert!(
                read(&text.as_bytes()[..end], &Method::POST)
                    .unwrap()
                    .is_none()
            );
        }
        let Head {
            response,
            framing,
            keeps,
        } = answer(text);
        assert_eq!(response.status(), 429);
        assert_eq!(response.headers()["retry-after"], "3");
        assert_eq!(response.headers().get_all("x").iter().count(), 2);
        assert_eq!(framing, Framing::UntilClose);
        assert!(keeps);
    }

    #[test]
    fn answers_that_inform_are_passed_over() {
        let hints = b"HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\nHTTP/1.1 200 OK\r\n";
        let (used, head) = read(hints, &Method::POST).unwrap().unwrap();
        assert!(head.is_none() && hints[used..].starts_with(b"HTTP/1.1 200"));
    }

    #[test]
    fn the_server_says_whether_it_keeps_the_connection() {
        let keeps = |text: &str| answer(text).keeps;
        assert!(keeps("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"));
        assert!(!keeps("HTTP/1.1 200 OK\r\nconnection: x, Close\r\n\r\n"));
        assert!(!keeps("HTTP/1.0 200 OK\r\n\r\n"));
        assert!(keeps("HTTP/1.0 200 OK\r\nconnection: keep-alive\r\n\r\n"));
    }

    #[test]
    fn what_is_no_head_is_refused() {
        let many = format!(
            "HTTP/1.1 200 OK\r\n{}\r\n",
            "x: y\r\n".repeat(MAX_HEADERS + 1)
        );
        for faulty in [
            "<html>\r\n\r\n",
            "HTTP/2 200 OK\r\n\r\n",
            "HTTP/1.1 20 OK\r\n\r\n",
            "HTTP/1.1 099 OK\r\n\r\n",
            "HTTP/1.1 101 Switching Protocols\r\n\r\n",
            "HTTP/1.1 200 OK\r\nbad name: x\r\n\r\n",
            "HTTP/1.1 200 OK\r\nx: \0\r\n\r\n",
            "HTTP/1.0 200 OK\r\ntransfer-encoding: chunked\r\n\r\n",
            &many,
        ] {
            assert!(
                read(faulty.as_bytes(), &Method::POST).is_err(),
                "{faulty:?}"
            );
        }
    }
}
