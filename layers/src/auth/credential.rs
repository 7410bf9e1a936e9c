//! Takes the one credential out of a request's headers.

use std::fmt;

use http::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue};

use super::{KeyDigest, Refused};

/// Longer values are refused unhashed: no key is that long, and hashing is paid by the length.
const LONGEST_KEY: usize = 16 * 1024;

/// The headers in which a credential may come.
///
/// Each value may be the bare key or `Bearer` and the key; `Authorization` needs the `Bearer`.
#[derive(Debug, Clone)]
pub struct HeaderShapes {
    names: Vec<HeaderName>,
}

impl HeaderShapes {
    /// `Authorization: Bearer`, `x-api-key`, `api-key`, `x-goog-api-key` and `x-litellm-api-key`.
    pub fn common() -> Self {
        let others = [
            "x-api-key",
            "api-key",
            "x-goog-api-key",
            "x-litellm-api-key",
        ];
        let others = others.map(HeaderName::from_static);
        Self {
            names: [AUTHORIZATION].into_iter().chain(others).collect(),
        }
    }

    /// `Authorization: Bearer` and nothing else.
    pub fn bearer() -> Self {
        Self {
            names: vec![AUTHORIZATION],
        }
    }

    /// Looks at the header `name` as well.
    #[must_use]
    pub fn and(mut self, name: HeaderName) -> Self {
        if !self.names.contains(&name) {
            self.names.push(name);
        }
        self
    }

    /// The headers looked at.
    pub fn names(&self) -> &[HeaderName] {
        &self.names
    }

    /// Removes every credential header; gives what the headers said.
    pub(super) fn take(
        &self,
        headers: &mut HeaderMap,
        well_formed: Option<fn(&[u8]) -> bool>,
    ) -> Result<Presented, Refused> {
        let found = self.find(headers, well_formed);
        self.remove(headers);
        found
    }

    pub(super) fn remove(&self, headers: &mut HeaderMap) {
        for name in &self.names {
            headers.remove(name);
        }
    }

    pub(super) fn find(
        &self,
        headers: &HeaderMap,
        well_formed: Option<fn(&[u8]) -> bool>,
    ) -> Result<Presented, Refused> {
        let mut key: Option<&[u8]> = None;
        let mut foreign: Option<&[u8]> = None;
        for name in &self.names {
            let Some(value) = sole(headers, name)? else {
                continue;
            };
            match read(name, value) {
                Shape::Key([]) => {}
                Shape::Key(other) if key.is_none_or(|key| key == other) => key = Some(other),
                Shape::Key(_) => return Err(Refused::Conflicting),
                Shape::OtherScheme(value) => foreign = Some(value),
            }
        }
        let malformed = |why, key| Refused::Malformed {
            why,
            last_four: LastFour::of(key),
        };
        let Some(key) = key else {
            // Another scheme beside a key is a matter between the client and some proxy.
            return Err(foreign.map_or(Refused::Missing, |key| malformed(Malformed::Scheme, key)));
        };
        if key.len() > LONGEST_KEY {
            return Err(malformed(Malformed::TooLong, key));
        }
        if well_formed.is_some_and(|well_formed| !well_formed(key)) {
            return Err(malformed(Malformed::Form, key));
        }
        Ok(Presented {
            digest: KeyDigest::of(key),
            last_four: LastFour::of(key),
        })
    }
}

impl Default for HeaderShapes {
    fn default() -> Self {
        Self::common()
    }
}

/// What is left of a credential when it has been hashed.
#[derive(Debug, Clone, Copy)]
pub(super) struct Presented {
    pub(super) digest: KeyDigest,
    pub(super) last_four: LastFour,
}

enum Shape<'a> {
    Key(&'a [u8]),
    OtherScheme(&'a [u8]),
}

fn sole<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<Option<&'a HeaderValue>, Refused> {
    let mut values = headers.get_all(name).iter();
    let first = values.next();
    match values.next() {
        None => Ok(first),
        Some(_) => Err(Refused::Repeated(name.clone())),
    }
}

fn read<'a>(name: &HeaderName, value: &'a HeaderValue) -> Shape<'a> {
    let value = value.as_bytes().trim_ascii();
    match value.split_at_checked(6) {
        Some((scheme, key)) if scheme.eq_ignore_ascii_case(b"bearer") && starts_blank(key) => {
            Shape::Key(key.trim_ascii())
        }
        _ if name == AUTHORIZATION && !value.is_empty() => Shape::OtherScheme(value),
        _ => Shape::Key(value),
    }
}

/// `Bearer` alone is a scheme with an empty key; `bearer-of-news` is a key.
fn starts_blank(rest: &[u8]) -> bool {
    rest.first().is_none_or(u8::is_ascii_whitespace)
}

/// What is wrong with a credential.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Malformed {
    /// `Authorization` has another scheme than `Bearer`.
    Scheme,
    /// It is longer than any key.
    TooLong,
    /// It failed the check given to [`AuthLayer::well_formed`](super::AuthLayer::well_formed).
    Form,
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Scheme => "the scheme is not Bearer",
            Self::TooLong => "it is too long",
            Self::Form => "it does not have the form of a key",
        })
    }
}

/// The last characters of a key, enough for its owner to tell which one it was.
///
/// At most four, and never more than half of the key. It prints with dots before: `...1234`.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct LastFour {
    bytes: [u8; 4],
    len: u8,
}

impl LastFour {
    fn of(key: &[u8]) -> Self {
        let mut bytes = [0; 4];
        let mut len = 0;
        let tail = &key[key.len() - (key.len() / 2).min(4)..];
        for (slot, byte) in bytes.iter_mut().zip(tail) {
            // Keys are text; what is not printable must not reach a log line.
            *slot = if byte.is_ascii_graphic() { *byte } else { b'?' };
            len += 1;
        }
        Self { bytes, len }
    }

    /// The characters alone.
    pub fn as_str(&self) -> &str {
        str::from_utf8(&self.bytes[..usize::from(self.len)]).unwrap_or_default()
    }
}

impl fmt::Display for LastFour {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "...{}", self.as_str())
    }
}

impl fmt::Debug for LastFour {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LastFour({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn take(headers: &[(&'static str, &'static str)]) -> (Result<Presented, Refused>, HeaderMap) {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, HeaderValue::from_static(value));
        }
        (HeaderShapes::common().take(&mut map, None), map)
    }

    fn taken(headers: &[(&'static str, &'static str)]) -> KeyDigest {
        let (presented, left) = take(headers);
        assert!(left.is_empty(), "the credential was left in {left:?}");
        presented.unwrap().digest
    }

    #[test]
    fn every_shape_gives_the_same_key() {
        let key = KeyDigest::of(b"sk-1234");
        assert_eq!(taken(&[("authorization", "Bearer sk-1234")]), key);
        assert_eq!(taken(&[("authorization", "bearer   sk-1234 ")]), key);
        for name in [
            "x-api-key",
            "api-key",
            "x-goog-api-key",
            "x-litellm-api-key",
        ] {
            assert_eq!(taken(&[(name, "sk-1234")]), key);
            assert_eq!(taken(&[(name, "Bearer sk-1234")]), key);
        }
        assert_eq!(
            taken(&[
                ("x-api-key", "sk-1234"),
                ("authorization", "Bearer sk-1234")
            ]),
            key
        );
        assert_eq!(
            taken(&[("x-api-key", "sk-1234"), ("authorization", "Basic eDp5")]),
            key
        );
        assert_eq!(
            taken(&[("x-api-key", "bearers")]),
            KeyDigest::of(b"bearers")
        );
    }

    #[test]
    fn each_fault_has_its_own_refusal() {
        let (refused, _) = take(&[("content-type", "text/plain")]);
        assert!(matches!(refused, Err(Refused::Missing)));
        let (refused, _) = take(&[("authorization", "Bearer ")]);
        assert!(matches!(refused, Err(Refused::Missing)));
        let (refused, _) = take(&[("x-api-key", "a"), ("authorization", "Bearer b")]);
        assert!(matches!(refused, Err(Refused::Conflicting)));
        let (refused, _) = take(&[("authorization", "Bearer a"), ("authorization", "Bearer a")]);
        assert!(matches!(refused, Err(Refused::Repeated(name)) if name == AUTHORIZATION));
        let (refused, _) = take(&[("authorization", "Basic eDp5")]);
        let Err(Refused::Malformed { why, last_four }) = refused else {
            panic!("{refused:?}")
        };
        assert_eq!((why, last_four.as_str()), (Malformed::Scheme, "eDp5"));
    }

    #[test]
    fn a_refused_request_keeps_no_credential_either() {
        let (_, left) = take(&[("x-api-key", "a"), ("api-key", "b"), ("accept", "*/*")]);
        assert_eq!(left.len(), 1);
    }

    #[test]
    fn the_tail_shows_no_more_than_half_of_a_key() {
        assert_eq!(LastFour::of(b"sk-12345678").to_string(), "...5678");
        assert_eq!(LastFour::of(b"abcd").to_string(), "...cd");
        assert_eq!(LastFour::of(b"a").to_string(), "...");
        assert_eq!(LastFour::of(b"sk-\xff\x00\x1b[").to_string(), "...??[");
    }
}
