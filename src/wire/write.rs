//! Writes JSON from anything that serde can tell.
//!
//! `serde_json` looks at each byte of a string by itself when it writes one, and a conversation is
//! nearly all strings: here runs without an escape are found eight bytes at a time and copied
//! whole. What is written is the same, but for a key that is no string, which is an error.

use serde::Serialize;
use serde::ser::{self, Error as _, Serializer};
use serde_json::Error;

use super::json::push_string;

/// By structures whose names begin so, `serde_json` says that their only member is JSON already:
/// its `RawValue`, and its `Number` where that keeps the text. The name is no part of its public
/// interface; a test tells if it changes.
const VERBATIM: &str = "$serde_json::private::";

/// The JSON of `value`, in a vector that has `room` bytes to begin with.
pub fn to_vec(value: &(impl Serialize + ?Sized), room: usize) -> Result<Vec<u8>, Error> {
    let mut writer = Writer {
        out: Vec::with_capacity(room),
        verbatim: false,
    };
    value.serialize(&mut writer)?;
    Ok(writer.out)
}

struct Writer {
    out: Vec<u8>,
    /// The next string is JSON.
    verbatim: bool,
}

/// What is open: an array, or an object.
struct Open<'a> {
    writer: &'a mut Writer,
    /// Nothing stands in it yet.
    empty: bool,
    closing: &'static [u8],
}

impl Writer {
    #[expect(clippy::unnecessary_wraps, reason = "as serde's methods end")]
    fn put(&mut self, text: &[u8]) -> Result<(), Error> {
        self.out.extend_from_slice(text);
        Ok(())
    }

    fn integer(&mut self, value: impl itoa::Integer) -> Result<(), Error> {
        self.put(itoa::Buffer::new().format(value).as_bytes())
    }

    fn open(&mut self, opening: &[u8], closing: &'static [u8]) -> Open<'_> {
        self.out.extend_from_slice(opening);
        Open {
            writer: self,
            empty: true,
            closing,
        }
    }

    /// Begins `{"variant":`.
    fn variant(&mut self, variant: &str) {
        self.out.push(b'{');
        push_string(&mut self.out, variant);
        self.out.push(b':');
    }
}

impl<'a> Serializer for &'a mut Writer {
    type Ok = ();
    type Error = Error;
    type SerializeSeq = Open<'a>;
    type SerializeTuple = Open<'a>;
    type SerializeTupleStruct = Open<'a>;
    type SerializeTupleVariant = Open<'a>;
    type SerializeMap = Open<'a>;
    type SerializeStruct = Open<'a>;
    type SerializeStructVariant = Open<'a>;

    fn serialize_bool(self, value: bool) -> Result<(), Error> {
        self.put(if value { b"true" } else { b"false" })
    }
    fn serialize_i8(self, value: i8) -> Result<(), Error> {
        self.integer(value)
    }
    fn serialize_i16(self, value: i16) -> Result<(), Error> {
        self.integer(value)
    }
    fn serialize_i32(self, value: i32) -> Result<(), Error> {
        self.integer(value)
    }
    fn serialize_i64(self, value: i64) -> Result<(), Error> {
        self.integer(value)
    }
    fn serialize_i128(self, value: i128) -> Result<(), Error> {
        self.integer(value)
    }
    fn serialize_u8(self, value: u8) -> Result<(), Error> {
        self.integer(value)
    }
    fn serialize_u16(self, value: u16) -> Result<(), Error> {
        self.integer(value)
    }
    fn serialize_u32(self, value: u32) -> Result<(), Error> {
        self.integer(value)
    }
    fn serialize_u64(self, value: u64) -> Result<(), Error> {
        self.integer(value)
    }
    fn serialize_u128(self, value: u128) -> Result<(), Error> {
        self.integer(value)
    }
    fn serialize_f32(self, value: f32) -> Result<(), Error> {
        serde_json::to_writer(&mut self.out, &value)
    }
    fn serialize_f64(self, value: f64) -> Result<(), Error> {
        serde_json::to_writer(&mut self.out, &value)
    }
    fn serialize_char(self, value: char) -> Result<(), Error> {
        self.serialize_str(value.encode_utf8(&mut [0; 4]))
    }

    fn serialize_str(self, value: &str) -> Result<(), Error> {
        if self.verbatim {
            self.verbatim = false;
            return self.put(value.as_bytes());
        }
        push_string(&mut self.out, value);
        Ok(())
    }

    fn serialize_bytes(self, value: &[u8]) -> Result<(), Error> {
        value.serialize(self)
    }
    fn serialize_none(self) -> Result<(), Error> {
        self.put(b"null")
    }
    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<(), Error> {
        value.serialize(self)
    }
    fn serialize_unit(self) -> Result<(), Error> {
        self.put(b"null")
    }
    fn serialize_unit_struct(self, _: &'static str) -> Result<(), Error> {
        self.put(b"null")
    }
    fn serialize_unit_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
    ) -> Result<(), Error> {
        self.serialize_str(variant)
    }
    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        value: &T,
    ) -> Result<(), Error> {
        value.serialize(self)
    }
    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        value: &T,
    ) -> Result<(), Error> {
        self.variant(variant);
        value.serialize(&mut *self)?;
        self.put(b"}")
    }
    fn serialize_seq(self, _: Option<usize>) -> Result<Open<'a>, Error> {
        Ok(self.open(b"[", b"]"))
    }
    fn serialize_tuple(self, _: usize) -> Result<Open<'a>, Error> {
        Ok(self.open(b"[", b"]"))
    }
    fn serialize_tuple_struct(self, _: &'static str, _: usize) -> Result<Open<'a>, Error> {
        Ok(self.open(b"[", b"]"))
    }
    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<Open<'a>, Error> {
        self.variant(variant);
        Ok(self.open(b"[", b"]}"))
    }
    fn serialize_map(self, _: Option<usize>) -> Result<Open<'a>, Error> {
        Ok(self.open(b"{", b"}"))
    }
    fn serialize_struct(self, name: &'static str, _: usize) -> Result<Open<'a>, Error> {
        if name.starts_with(VERBATIM) {
            self.verbatim = true;
            return Ok(self.open(b"", b""));
        }
        Ok(self.open(b"{", b"}"))
    }
    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<Open<'a>, Error> {
        self.variant(variant);
        Ok(self.open(b"{", b"}}"))
    }
}

impl Open<'_> {
    fn next(&mut self) {
        if !std::mem::take(&mut self.empty) {
            self.writer.out.push(b',');
        }
    }

    fn element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Error> {
        self.next();
        value.serialize(&mut *self.writer)
    }

    fn member<T: Serialize + ?Sized>(&mut self, name: &str, value: &T) -> Result<(), Error> {
        if !self.writer.verbatim {
            self.next();
            push_string(&mut self.writer.out, name);
            self.writer.out.push(b':');
        }
        value.serialize(&mut *self.writer)
    }

    fn close(self) -> Result<(), Error> {
        self.writer.put(self.closing)
    }
}

macro_rules! of_elements {
    ($($trait:ident::$method:ident;)*) => {$(
        impl ser::$trait for Open<'_> {
            type Ok = ();
            type Error = Error;
            fn $method<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Error> {
                self.element(value)
            }
            fn end(self) -> Result<(), Error> {
                self.close()
            }
        }
    )*};
}

of_elements! {
    SerializeSeq::serialize_element;
    SerializeTuple::serialize_element;
    SerializeTupleStruct::serialize_field;
    SerializeTupleVariant::serialize_field;
}

macro_rules! of_members {
    ($($trait:ident;)*) => {$(
        impl ser::$trait for Open<'_> {
            type Ok = ();
            type Error = Error;
            fn serialize_field<T: Serialize + ?Sized>(
                &mut self,
                name: &'static str,
                value: &T,
            ) -> Result<(), Error> {
                self.member(name, value)
            }
            fn end(self) -> Result<(), Error> {
                self.close()
            }
        }
    )*};
}

of_members! {
    SerializeStruct;
    SerializeStructVariant;
}

impl ser::SerializeMap for Open<'_> {
    type Ok = ();
    type Error = Error;
    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), Error> {
        self.next();
        let at = self.writer.out.len();
        key.serialize(&mut *self.writer)?;
        if self.writer.out.get(at) != Some(&b'"') {
            return Err(Error::custom("a member's name must be a string"));
        }
        self.writer.put(b":")
    }
    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Error> {
        value.serialize(&mut *self.writer)
    }
    fn end(self) -> Result<(), Error> {
        self.close()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;
    use serde_json::value::RawValue;
    use serde_json::{Value, json};

    use super::*;

    #[derive(Serialize)]
    enum Kind {
        Unit,
        New(u8),
        Pair(i8, char),
        #[serde(rename = "n\"d")]
        Named {
            a: Option<()>,
        },
    }

    #[derive(Serialize)]
    #[serde(tag = "type")]
    enum Tagged<'a> {
        One { text: &'a str },
    }

    #[derive(Serialize)]
    struct All<'a> {
        kinds: [Kind; 4],
        tagged: Tagged<'a>,
        numbers: (u64, i64, f64, f32, u128, bool),
        odd: f64,
        raw: &'a RawValue,
        bytes: &'a [u8],
        #[serde(skip_serializing_if = "Option::is_none")]
        left_out: Option<u8>,
        none: Option<u8>,
        #[serde(flatten)]
        rest: BTreeMap<&'a str, Value>,
    }

    #[test]
    fn all_that_serde_can_tell_is_written_as_serde_json_writes_it() {
        let raw: &RawValue = serde_json::from_str("{ \"as\" : [\"it \\u0041\", 1.50] }").unwrap();
        let all = All {
            kinds: [
                Kind::Unit,
                Kind::New(1),
                Kind::Pair(-1, '"'),
                Kind::Named { a: None },
            ],
            tagged: Tagged::One { text: "a\nb" },
            numbers: (u64::MAX, i64::MIN, 0.1, 1e30, u128::MAX, true),
            odd: f64::NAN,
            raw,
            bytes: b"ab",
            left_out: None,
            none: None,
            rest: [("x", json!({"y": []})), ("é", json!({}))].into(),
        };
        let written = to_vec(&all, 0).unwrap();
        assert_eq!(
            String::from_utf8(written).unwrap(),
            serde_json::to_string(&all).unwrap()
        );
    }

    #[test]
    fn what_is_json_already_is_written_as_it_is() {
        let text = "{ \"as\" : \"it \\u0041\" }";
        let raw: Box<RawValue> = serde_json::from_str(text).unwrap();
        assert_eq!(to_vec(&[&raw], 0).unwrap(), format!("[{text}]").as_bytes());
    }

    #[test]
    fn a_name_that_is_no_string_is_refused() {
        assert!(to_vec(&BTreeMap::from([(1, 2)]), 0).is_err());
    }

    proptest! {
        #[test]
        fn strings_are_written_as_serde_json_writes_them(text in "(\\PC|[\"\\\\\u{0}-\u{20}]){0,70}") {
            prop_assert_eq!(to_vec(&text, 0).unwrap(), serde_json::to_vec(&text).unwrap());
        }
    }
}
