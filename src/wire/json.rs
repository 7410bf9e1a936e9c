//! Reads the top level of a JSON object and steps over the rest.
//!
//! A gateway needs a handful of members of a body that may hold megabytes of images. [`members`]
//! walks the top level and steps over each value, checking the grammar of what it steps over, at the
//! speed of `memchr` inside strings and of a table look-up for each token outside. What it does not
//! look at: the inside of strings (escapes, control characters) and whether the text is UTF-8.

use std::fmt;
use std::ops::Range;

use bytes::BufMut;

/// Deepest nesting of arrays and objects below the top level.
const MAX_DEPTH: u32 = 127;

/// Why a text is not the JSON that was hoped for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It ends too early.
    Truncated,
    /// The top level is not an object.
    NotAnObject,
    /// This byte does not belong here.
    Unexpected(usize),
    /// Not UTF-8 from this byte on.
    NotUtf8(usize),
    /// Nested deeper than 128 levels.
    TooDeep,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Truncated => f.write_str("the text ends before the object does"),
            Self::NotAnObject => f.write_str("the top level is not an object"),
            Self::Unexpected(at) => write!(f, "unexpected character at byte {at}"),
            Self::NotUtf8(at) => write!(f, "not UTF-8 at byte {at}"),
            Self::TooDeep => f.write_str("nested deeper than 128 levels"),
        }
    }
}

impl std::error::Error for Fault {}

/// A member of the top-level object, as byte positions in the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Member {
    /// Of the opening quote of its name.
    pub start: usize,
    /// One past the closing quote of its name.
    pub name_end: usize,
    /// Of the first byte of its value.
    pub value_start: usize,
    /// One past the last byte of its value.
    pub end: usize,
    /// One past the value of the member before it, or past the opening brace.
    pub before: usize,
    /// Whether the name holds an escape and must be [decoded](string) before it is compared.
    pub escaped: bool,
}

impl Member {
    /// The value's bytes.
    pub fn value<'a>(&self, text: &'a [u8]) -> &'a [u8] {
        &text[self.value_start..self.end]
    }

    /// The bytes between the quotes of its name.
    pub fn raw_name<'a>(&self, text: &'a [u8]) -> &'a [u8] {
        &text[self.start + 1..self.name_end - 1]
    }

    /// Where its value stands.
    pub fn value_range(&self) -> Range<usize> {
        self.value_start..self.end
    }
}

/// The value of the member of this name of the object that `text` is, the last one if there are several.
/// `None` too if `text` is no object.
pub fn member<'t>(text: &'t [u8], name: &[u8]) -> Option<&'t [u8]> {
    let mut found = None;
    members(text, |member| {
        if member.raw_name(text) == name {
            found = Some(member.value(text));
        }
    })
    .ok()?;
    found
}

/// Calls `visit` for each member of the object that `text` is; returns the position of its closing
/// brace.
pub fn members(text: &[u8], mut visit: impl FnMut(Member)) -> Result<usize, Fault> {
    let mut at = skip_space(text, 0);
    match text.get(at) {
        Some(b'{') => at += 1,
        Some(_) => return Err(Fault::NotAnObject),
        None => return Err(Fault::Truncated),
    }
    let mut before = at;
    at = skip_space(text, at);
    if text.get(at) == Some(&b'}') {
        return end_of_text(text, at);
    }
    loop {
        let start = at;
        let (name_end, escaped) = skip_string(text, at)?;
        at = expect(text, skip_space(text, name_end), b':')?;
        let value_start = skip_space(text, at);
        let end = skip_value(text, value_start)?;
        visit(Member {
            start,
            name_end,
            value_start,
            end,
            before,
            escaped,
        });
        before = end;
        at = skip_space(text, end);
        match text.get(at) {
            Some(b',') => at = skip_space(text, at + 1),
            Some(b'}') => return end_of_text(text, at),
            Some(_) => return Err(Fault::Unexpected(at)),
            None => return Err(Fault::Truncated),
        }
    }
}

/// Calls `visit` for each element of the array that `text` is, with its bytes.
pub fn elements<'a>(text: &'a [u8], mut visit: impl FnMut(&'a [u8])) -> Result<(), Fault> {
    let mut at = match text.get(skip_space(text, 0)) {
        Some(b'[') => skip_space(text, skip_space(text, 0) + 1),
        Some(_) => return Err(Fault::Unexpected(skip_space(text, 0))),
        None => return Err(Fault::Truncated),
    };
    if text.get(at) == Some(&b']') {
        return end_of_text(text, at).map(|_| ());
    }
    loop {
        let end = skip_value(text, at)?;
        visit(&text[at..end]);
        at = skip_space(text, end);
        match text.get(at) {
            Some(b',') => at = skip_space(text, at + 1),
            Some(b']') => return end_of_text(text, at).map(|_| ()),
            Some(_) => return Err(Fault::Unexpected(at)),
            None => return Err(Fault::Truncated),
        }
    }
}

/// The string that a JSON string literal (quotes and all) stands for.
pub fn string(literal: &[u8]) -> Option<std::borrow::Cow<'_, str>> {
    let inner = literal.strip_prefix(b"\"")?.strip_suffix(b"\"")?;
    if memchr::memchr(b'\\', inner).is_none() {
        return std::str::from_utf8(inner).ok().map(Into::into);
    }
    serde_json::from_slice::<String>(literal)
        .ok()
        .map(Into::into)
}

/// Appends `text` to `out` as a JSON string literal.
pub fn push_string(out: &mut impl BufMut, text: &str) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    out.put_u8(b'"');
    let mut rest = text.as_bytes();
    while let Some(at) = find_escaped(rest) {
        out.put_slice(&rest[..at]);
        match rest[at] {
            b'\n' => out.put_slice(b"\\n"),
            b'\r' => out.put_slice(b"\\r"),
            b'\t' => out.put_slice(b"\\t"),
            8 => out.put_slice(b"\\b"),
            12 => out.put_slice(b"\\f"),
            byte @ 0..=0x1f => {
                out.put_slice(b"\\u00");
                out.put_slice(&[HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]]);
            }
            byte => out.put_slice(&[b'\\', byte]),
        }
        rest = &rest[at + 1..];
    }
    out.put_slice(rest);
    out.put_u8(b'"');
}

/// Where the first byte stands that a JSON string has to escape.
fn find_escaped(text: &[u8]) -> Option<usize> {
    let first = |marks: u64| marks.trailing_zeros() as usize / 8;
    let Some(last) = text.last_chunk::<8>() else {
        let escaped = |byte: &u8| matches!(byte, 0..=0x1f | b'"' | b'\\');
        return text.iter().position(escaped);
    };
    let (eights, _) = text.as_chunks::<8>();
    for (at, eight) in eights.iter().enumerate() {
        let marks = escaped_of_eight(u64::from_le_bytes(*eight));
        if marks != 0 {
            return Some(at * 8 + first(marks));
        }
    }
    // Those of them that were looked at already have no mark.
    let marks = escaped_of_eight(u64::from_le_bytes(*last));
    (marks != 0).then(|| text.len() - last.len() + first(marks))
}

/// Marks the highest bit of bytes that a JSON string has to escape: of the first one for certain, of
/// those behind it perhaps wrongly. The test for a zero byte is Mycroft's.
fn escaped_of_eight(text: u64) -> u64 {
    const EACH: u64 = u64::MAX / 255;
    let below = |text: u64, least: u64| text.wrapping_sub(EACH * least) & !text;
    let quote = text ^ (EACH * u64::from(b'"'));
    let backslash = text ^ (EACH * u64::from(b'\\'));
    (below(text, 0x20) | below(quote, 1) | below(backslash, 1)) & (EACH << 7)
}

fn end_of_text(text: &[u8], brace: usize) -> Result<usize, Fault> {
    match skip_space(text, brace + 1) {
        end if end == text.len() => Ok(brace),
        extra => Err(Fault::Unexpected(extra)),
    }
}

fn expect(text: &[u8], at: usize, byte: u8) -> Result<usize, Fault> {
    match text.get(at) {
        Some(found) if *found == byte => Ok(at + 1),
        Some(_) => Err(Fault::Unexpected(at)),
        None => Err(Fault::Truncated),
    }
}

fn skip_space(text: &[u8], mut at: usize) -> usize {
    while let Some(b' ' | b'\n' | b'\t' | b'\r') = text.get(at) {
        at += 1;
    }
    at
}

/// Returns the position past the closing quote, and whether there was an escape.
fn skip_string(text: &[u8], at: usize) -> Result<(usize, bool), Fault> {
    let mut at = expect(text, at, b'"')?;
    let mut escaped = false;
    loop {
        let rest = text.get(at..).ok_or(Fault::Truncated)?;
        let found = memchr::memchr2(b'"', b'\\', rest).ok_or(Fault::Truncated)?;
        if rest[found] == b'"' {
            return Ok((at + found + 1, escaped));
        }
        escaped = true;
        at += found + 2;
    }
}

fn skip_value(text: &[u8], at: usize) -> Result<usize, Fault> {
    match text.get(at) {
        Some(b'"') => skip_string(text, at).map(|(end, _)| end),
        Some(b'{' | b'[') => skip_nested(text, at),
        Some(_) => skip_scalar(text, at),
        None => Err(Fault::Truncated),
    }
}

/// The arrays and objects that are open, innermost last: a bit each, set for an object.
#[derive(Clone, Copy, Default)]
struct Open {
    objects: u128,
    depth: u32,
}

impl Open {
    fn push(&mut self, is_object: bool) -> Result<(), Fault> {
        if self.depth == MAX_DEPTH {
            return Err(Fault::TooDeep);
        }
        self.depth += 1;
        self.objects = self.objects << 1 | u128::from(is_object);
        Ok(())
    }

    fn pop(&mut self) {
        self.objects >>= 1;
        self.depth -= 1;
    }

    fn in_object(self) -> bool {
        self.objects & 1 == 1
    }
}

/// Steps over an array or object, without recursion.
fn skip_nested(text: &[u8], mut at: usize) -> Result<usize, Fault> {
    let mut open = Open::default();
    loop {
        // Here a value begins.
        match text.get(at) {
            Some(bracket @ (b'{' | b'[')) => {
                let is_object = *bracket == b'{';
                open.push(is_object)?;
                at = skip_space(text, at + 1);
                let closing = if is_object { b'}' } else { b']' };
                if text.get(at) != Some(&closing) {
                    if is_object {
                        at = skip_name(text, at)?;
                    }
                    continue;
                }
                at += 1;
                open.pop();
            }
            Some(b'"') => at = skip_string(text, at)?.0,
            Some(_) => at = skip_scalar(text, at)?,
            None => return Err(Fault::Truncated),
        }
        // Here one has ended, and perhaps those around it.
        loop {
            if open.depth == 0 {
                return Ok(at);
            }
            at = skip_space(text, at);
            match text.get(at) {
                Some(b',') => {
                    at = skip_space(text, at + 1);
                    if open.in_object() {
                        at = skip_name(text, at)?;
                    }
                    break;
                }
                Some(b'}') if open.in_object() => open.pop(),
                Some(b']') if !open.in_object() => open.pop(),
                Some(_) => return Err(Fault::Unexpected(at)),
                None => return Err(Fault::Truncated),
            }
            at += 1;
        }
    }
}

/// Steps over a member's name and the colon, to where its value begins.
fn skip_name(text: &[u8], at: usize) -> Result<usize, Fault> {
    let (end, _) = skip_string(text, at)?;
    let at = expect(text, skip_space(text, end), b':')?;
    Ok(skip_space(text, at))
}

fn skip_scalar(text: &[u8], at: usize) -> Result<usize, Fault> {
    let length = text[at..]
        .iter()
        .position(|byte| matches!(byte, b',' | b'}' | b']' | b' ' | b'\n' | b'\t' | b'\r'))
        .ok_or(Fault::Truncated)?;
    let scalar = &text[at..at + length];
    match scalar {
        b"true" | b"false" | b"null" => Ok(at + length),
        _ if is_number(scalar) => Ok(at + length),
        _ => Err(Fault::Unexpected(at)),
    }
}

/// RFC 8259, section 6.
fn is_number(text: &[u8]) -> bool {
    let digits = |text: &[u8]| text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let text = text.strip_prefix(b"-").unwrap_or(text);
    let whole = digits(text);
    if whole == 0 || (whole > 1 && text[0] == b'0') {
        return false;
    }
    let mut rest = &text[whole..];
    if let Some(fraction) = rest.strip_prefix(b".") {
        let count = digits(fraction);
        if count == 0 {
            return false;
        }
        rest = &fraction[count..];
    }
    if let Some(exponent) = rest.strip_prefix(b"e").or(rest.strip_prefix(b"E")) {
        let exponent = exponent
            .strip_prefix(b"+")
            .or(exponent.strip_prefix(b"-"))
            .unwrap_or(exponent);
        let count = digits(exponent);
        return count > 0 && count == exponent.len();
    }
    rest.is_empty()
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;
    use proptest::prelude::*;

    fn names(text: &str) -> Result<Vec<(String, String)>, Fault> {
        let bytes = text.as_bytes();
        let mut found = Vec::new();
        members(bytes, |member| {
            found.push((
                String::from_utf8_lossy(member.raw_name(bytes)).into_owned(),
                String::from_utf8_lossy(member.value(bytes)).into_owned(),
            ));
        })?;
        Ok(found)
    }

    #[test]
    fn members_are_found_with_their_values() {
        let found = names(r#" { "a" : 1 , "b":"x\"}", "c":[1,[2,"]"]],"d":{"e":{"}":1}} } "#);
        let expected = [
            ("a", "1"),
            ("b", r#""x\"}""#),
            ("c", r#"[1,[2,"]"]]"#),
            ("d", r#"{"e":{"}":1}}"#),
        ];
        assert_eq!(
            found.unwrap(),
            expected
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .to_vec()
        );
        assert_eq!(names("{}"), Ok(vec![]));
    }

    #[test]
    fn what_is_no_object_is_refused() {
        assert_eq!(names("[1]"), Err(Fault::NotAnObject));
        assert_eq!(names("\"x\""), Err(Fault::NotAnObject));
        assert_eq!(names(""), Err(Fault::Truncated));
        for text in [
            "{",
            "{\"a\"",
            "{\"a\":",
            "{\"a\":1",
            "{\"a\":\"",
            "{\"a\":[",
            "{\"a\":[\"]",
            "{\"a\":\"\\",
        ] {
            assert_eq!(names(text), Err(Fault::Truncated), "{text}");
        }
        for text in [
            "{,}",
            "{\"a\":1,}",
            "{\"a\" 1}",
            "{a:1}",
            "{\"a\":01}",
            "{\"a\":1}x",
            "{\"a\":nul}",
            "{\"a\":1 \"b\":2}",
            "{\"a\":+1}",
            "{\"a\":1.}",
            "{\"a\":.5}",
            "{\"a\":1e}",
            "{\"a\":}",
        ] {
            assert!(matches!(names(text), Err(Fault::Unexpected(_))), "{text}");
        }
    }

    #[test]
    fn elements_are_found_as_they_are_written() {
        fn all(text: &str) -> Result<Vec<&str>, Fault> {
            let mut found = Vec::new();
            elements(text.as_bytes(), |element| {
                found.push(std::str::from_utf8(element).unwrap());
            })?;
            Ok(found)
        }
        assert_eq!(
            all(r#" [1.50, [2,3] ,"a]",{"b":[]} ] "#),
            Ok(vec!["1.50", "[2,3]", r#""a]""#, r#"{"b":[]}"#])
        );
        assert_eq!(all("[ ]"), Ok(vec![]));
        assert_eq!(all("[1,2"), Err(Fault::Truncated));
        assert_eq!(all("[1,]"), Err(Fault::Unexpected(3)));
        assert_eq!(all("{}"), Err(Fault::Unexpected(0)));
        assert_eq!(all("[1] 2"), Err(Fault::Unexpected(4)));
    }

    #[test]
    fn strings_are_written_so_that_they_read_back() {
        for text in ["", "plain", "q\"b\\n\n\r\t\u{1}\u{1f}é\u{2028}"] {
            let mut out = Vec::new();
            push_string(&mut out, text);
            assert_eq!(string(&out).as_deref(), Some(text));
        }
    }

    proptest! {
        #[test]
        fn every_object_that_serde_reads_is_read_alike(
            entries in proptest::collection::vec(("[a-z\\\\\"é]{0,6}", any_json()), 0..8),
        ) {
            let object = entries.into_iter().collect::<serde_json::Map<_, _>>();
            for text in [
                serde_json::to_string(&object).unwrap(),
                serde_json::to_string_pretty(&object).unwrap(),
            ] {
                let bytes = text.as_bytes();
                let object: serde_json::Map<String, serde_json::Value> =
                    serde_json::from_str(&text).unwrap();
                let mut seen = Vec::new();
                members(bytes, |member| seen.push(member)).unwrap();
                prop_assert_eq!(seen.len(), object.len());
                for member in seen {
                    let name = string(&bytes[member.start..member.name_end]).unwrap();
                    let value: serde_json::Value =
                        serde_json::from_slice(member.value(bytes)).unwrap();
                    prop_assert_eq!(&object[name.as_ref()], &value);
                }
            }
        }

        #[test]
        fn no_text_makes_it_panic(text in proptest::collection::vec(any::<u8>(), 0..64)) {
            let _ = members(&text, |_| ());
        }

        #[test]
        fn it_takes_what_serde_takes_and_nothing_else(text in "\\{[{}\\[\\]\",:01a .+-]{0,24}\\}") {
            let read = serde_json::from_str::<HashMap<String, serde_json::Value>>(&text);
            prop_assert_eq!(members(text.as_bytes(), |_| ()).is_ok(), read.is_ok());
        }
    }

    fn any_json() -> impl Strategy<Value = serde_json::Value> {
        let leaf = prop_oneof![
            Just(serde_json::Value::Null),
            any::<bool>().prop_map(Into::into),
            any::<i64>().prop_map(Into::into),
            any::<f64>().prop_map(Into::into),
            "[a-z\"\\\\\\[\\]{}\n é]{0,12}".prop_map(Into::into),
        ];
        leaf.prop_recursive(4, 32, 4, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..4).prop_map(Into::into),
                proptest::collection::hash_map("[a-z\"]{0,4}", inner, 0..4)
                    .prop_map(|map| serde_json::Value::Object(map.into_iter().collect())),
            ]
        })
    }
}
